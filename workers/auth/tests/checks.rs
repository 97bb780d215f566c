//! Modules that need a check outside of `auth`: the supervisor is asked for it, a process or the
//! supervisor answers, and what is not a clear yes is no.

mod common;

use common::checks::{
    ID, check, connect, fails, gone, log_in, passes, process, ready, wanted, with,
};
use common::{SALT, Supervisor, in_clear, next};
use ipc::auth::{
    AuthToNetwork, AuthToSupervisor, Digest, NetworkToAuth, Refusal, SupervisorToAuth,
};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::sessions::Summary;
use ipc::spec::{AuthStep, CheckAsks, Token};
use ipc::verdict::Peer;
use ipc::{ChannelError, ConnectionId};
use nix::sys::socket::{MsgFlags, sendmsg};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use wire::challenge::{self as maths, Hash};

/// Bytes on a channel that are no message.
fn rubbish(raw: &OwnedFd) {
    let packet = [std::io::IoSlice::new(b"\xff\xff\xff")];
    let (fd, flags) = (raw.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
    sendmsg::<()>(fd, &packet, &[], flags, None).unwrap();
}

#[test]
fn the_password_goes_to_the_process_and_its_word_counts() {
    // It is about whom the client names, or about the session's owner.
    for (answer, yes, client_username, name) in [
        (CheckToAuth::Yes, true, true, "someone"),
        (CheckToAuth::No, false, true, "someone"),
        (CheckToAuth::Yes, true, false, "me"),
    ] {
        let step = AuthStep {
            client_username,
            ..check(CheckAsks::Password).into()
        };
        with(vec![step], |supervisor| {
            let mut network = connect(supervisor, ID);
            log_in(&mut network, Some(b"s3cret \xff"));
            wanted(supervisor, ID);
            let mut process = ready(supervisor);
            let AuthToCheck::Password { username, password } = next(&mut process).unwrap() else {
                panic!("another question");
            };
            assert_eq!(username, name);
            assert_eq!(password.0, b"s3cret \xff");
            process.send(&answer, vec![]).unwrap();
            match yes {
                true => passes(supervisor, &mut network),
                false => fails(supervisor, &mut network),
            }
            // It is not asked twice, and not believed twice.
            assert!(next(&mut process).is_err());
        });
    }
}

/// A yes may come with what is known of the user's sessions.
#[test]
fn what_a_check_knows_of_sessions_goes_with_the_yes() {
    let known = Summary::read(["1000", "", ":10", "", ""]).unwrap();
    with(vec![check(CheckAsks::Password)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, Some(b"x"));
        wanted(supervisor, ID);
        let mut process = ready(supervisor);
        next(&mut process).unwrap();
        let answer = CheckToAuth::Sessions(known.clone().unwrap());
        process.send(&answer, vec![]).unwrap();
        let AuthToSupervisor::Accepted { sessions, .. } = next(supervisor).unwrap() else {
            panic!("not let in");
        };
        assert_eq!(sessions, known);
    });
}

/// A command has no channel: it is told one line, and the supervisor says how it ended.
#[test]
fn a_command_is_told_the_password_and_its_end_counts() {
    for (password, told, passed, yes) in [
        (&b"s3cret \xff"[..], &b"s3cret \xff\n"[..], true, true),
        (b"s3cret", b"s3cret\n", false, false),
        // What reads a line would see another password: no, whatever it says.
        (b"s3cret\nmore", b"", true, false),
    ] {
        with(vec![check(CheckAsks::Password)], |supervisor| {
            let mut network = connect(supervisor, ID);
            log_in(&mut network, Some(password));
            wanted(supervisor, ID);
            let (ours, mut command) = UnixStream::pair().unwrap();
            supervisor
                .send(&SupervisorToAuth::Tell(ID), vec![ours.into()])
                .unwrap();
            let mut read = Vec::new();
            command.read_to_end(&mut read).unwrap();
            assert_eq!(read, told);
            // It is told once.
            let (ours, mut again) = UnixStream::pair().unwrap();
            supervisor
                .send(&SupervisorToAuth::Tell(ID), vec![ours.into()])
                .unwrap();
            assert_eq!(again.read_to_end(&mut read).unwrap(), 0);
            let checked = SupervisorToAuth::Checked {
                connection: ID,
                passed,
            };
            supervisor.send(&checked, vec![]).unwrap();
            match yes {
                true => passes(supervisor, &mut network),
                false => fails(supervisor, &mut network),
            }
        });
    }
}

/// What waits in a channel can be read by whatever holds the other end.
#[test]
fn nothing_is_asked_before_the_sandbox_is_in_force() {
    with(vec![check(CheckAsks::Password)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, Some(b"x"));
        wanted(supervisor, ID);
        let (mut process, _raw) = process(supervisor);
        // Whoever has answered this has seen all that came before it.
        for _ in 0..2 {
            supervisor.send(&SupervisorToAuth::Ping, vec![]).unwrap();
            assert_eq!(next(supervisor).unwrap(), AuthToSupervisor::Pong);
        }
        assert_eq!(process.receive().unwrap().map(|(it, _)| it), None);
        process.send(&CheckToAuth::Ready, vec![]).unwrap();
        next(&mut process).unwrap();
        process.send(&CheckToAuth::Yes, vec![]).unwrap();
        passes(supervisor, &mut network);
    });
}

#[test]
fn an_answer_without_a_question_and_a_second_ready_break_the_rules() {
    use CheckToAuth::{No, Ready, Yes};
    let signed = CheckToAuth::Signed { key: 0, counter: 1 };
    for said in [vec![Yes], vec![No], vec![signed], vec![Ready, Ready]] {
        with(vec![check(CheckAsks::Password)], |supervisor| {
            let mut network = connect(supervisor, ID);
            log_in(&mut network, Some(b"x"));
            wanted(supervisor, ID);
            let (mut process, _raw) = process(supervisor);
            for one in &said {
                process.send(one, vec![]).unwrap();
            }
            let AuthToSupervisor::Violation(violation) = next(supervisor).unwrap() else {
                panic!("{said:?}");
            };
            assert_eq!(violation.peer, Peer::Check(ID));
            fails(supervisor, &mut network);
        });
    }
}

/// What is compared with is there, and not here: the password itself is nowhere but at the client
/// and in that process.
#[test]
fn a_proof_goes_to_the_process_as_the_client_made_it() {
    with(vec![check(CheckAsks::Proof)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, None);
        let AuthToNetwork::Challenge { salt, digest, .. } = next(&mut network).unwrap() else {
            panic!("no challenge");
        };
        assert_eq!(digest, Digest::HmacSha512);
        let answer = NetworkToAuth::Response {
            response: b"a response".to_vec(),
            client_salt: SALT.to_vec(),
        };
        network.send(&answer, vec![]).unwrap();
        wanted(supervisor, ID);
        let mut process = ready(supervisor);
        let mix = maths::Digest::Hmac(Hash::Sha512);
        let question = AuthToCheck::Proof {
            username: "me".into(),
            digest,
            salt: maths::combined_salt(mix, &salt, &SALT).unwrap(),
            response: b"a response".to_vec(),
        };
        assert_eq!(next(&mut process).unwrap(), question);
        process.send(&CheckToAuth::Yes, vec![]).unwrap();
        passes(supervisor, &mut network);
    });
}

/// Who says another name than it may is asked and kept waiting like everybody, nobody's password is
/// tried, and it is no.
#[test]
fn a_name_that_may_not_be_said_is_no_when_the_check_is_over() {
    for client_username in [true, false] {
        let ticket = CheckAsks::Token {
            token: Token::Gss,
            service: "xpra/here".into(),
        };
        for asks in [CheckAsks::Password, CheckAsks::Proof, ticket] {
            let step = AuthStep {
                client_username,
                verify_username: true,
                ..check(asks).into()
            };
            with(vec![step], |supervisor| {
                let mut network = connect(supervisor, ID);
                log_in(&mut network, None);
                match next(&mut network).unwrap() {
                    AuthToNetwork::Challenge { .. } => {}
                    AuthToNetwork::TokenChallenge {
                        service, digest, ..
                    } => {
                        assert_eq!((service.as_str(), digest), ("xpra/here", Digest::Gss));
                    }
                    other => panic!("no challenge: {other:?}"),
                }
                let answer = NetworkToAuth::Response {
                    response: b"a response".to_vec(),
                    client_salt: SALT.to_vec(),
                };
                network.send(&answer, vec![]).unwrap();
                wanted(supervisor, ID);
                let mut process = ready(supervisor);
                let (name, said) = match next(&mut process).unwrap() {
                    AuthToCheck::Password { username, password } => (username, password.0.clone()),
                    AuthToCheck::Proof {
                        username, response, ..
                    } => (username, response),
                    other @ (AuthToCheck::Signature { .. }
                    | AuthToCheck::Certificate(_)
                    | AuthToCheck::Address
                    | AuthToCheck::Show { .. }
                    | AuthToCheck::Names(_)
                    | AuthToCheck::Code { .. }) => panic!("nobody wants that: {other:?}"),
                    AuthToCheck::Token { username, token } => (username, token.0.clone()),
                };
                assert_eq!(name, "no-user-has-this-name");
                assert_eq!(said, b"xxxxxxxxxx");
                process.send(&CheckToAuth::Yes, vec![]).unwrap();
                let verdict = next(supervisor).unwrap();
                let AuthToSupervisor::Refused { why, .. } = verdict else {
                    panic!("{verdict:?}");
                };
                assert_eq!(why, Refusal::OtherName);
            });
        }
    }
}

#[test]
fn a_process_that_ends_or_breaks_the_rules_is_no() {
    with(vec![check(CheckAsks::Password)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, Some(b"x"));
        wanted(supervisor, ID);
        drop(process(supervisor));
        fails(supervisor, &mut network);
    });
    with(vec![check(CheckAsks::Password)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, Some(b"x"));
        wanted(supervisor, ID);
        let (_check, raw) = process(supervisor);
        rubbish(&raw);
        let AuthToSupervisor::Violation(violation) = next(supervisor).unwrap() else {
            panic!("no report");
        };
        assert_eq!(violation.peer, Peer::Check(ID));
        fails(supervisor, &mut network);
    });
}

#[test]
fn the_supervisor_can_say_that_there_is_no_process() {
    use CheckAsks::{Nothing, Password};
    for (asks, passed) in [(Password, false), (Nothing, true), (Nothing, false)] {
        with(vec![check(asks.clone())], |supervisor| {
            let mut network = connect(supervisor, ID);
            log_in(&mut network, (asks == Password).then_some(&b"x"[..]));
            wanted(supervisor, ID);
            let checked = |connection| SupervisorToAuth::Checked { connection, passed };
            // Of another connection.
            supervisor.send(&checked(ConnectionId(8)), vec![]).unwrap();
            supervisor.send(&checked(ID), vec![]).unwrap();
            match passed {
                true => passes(supervisor, &mut network),
                false => fails(supervisor, &mut network),
            }
            // Too late to change anything.
            let other = SupervisorToAuth::Checked {
                connection: ID,
                passed: !passed,
            };
            supervisor.send(&other, vec![]).unwrap();
            supervisor.send(&SupervisorToAuth::Ping, vec![]).unwrap();
            assert_eq!(next(supervisor).unwrap(), AuthToSupervisor::Pong);
        });
    }
}

/// To an LDAP server the empty password is nobody's, and right.
#[test]
fn an_empty_password_is_asked_of_nobody() {
    with(vec![check(CheckAsks::Password)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, Some(b""));
        fails(supervisor, &mut network);
    });
}

#[test]
fn nobody_waits_for_the_check_of_somebody_else() {
    with(vec![check(CheckAsks::Password)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, Some(b"x"));
        wanted(supervisor, ID);
        let mut process = ready(supervisor);
        next(&mut process).unwrap();
        // Nine others come meanwhile, and are heard.
        for id in 20..29 {
            let mut other = connect(supervisor, ConnectionId(id));
            log_in(&mut other, Some(b"y"));
            wanted(supervisor, ConnectionId(id));
            let no = SupervisorToAuth::Checked {
                connection: ConnectionId(id),
                passed: false,
            };
            supervisor.send(&no, vec![]).unwrap();
            let refused = next(supervisor).unwrap();
            assert!(
                matches!(refused, AuthToSupervisor::Refused { connection, .. }
                if connection == ConnectionId(id))
            );
        }
        process.send(&CheckToAuth::Yes, vec![]).unwrap();
        passes(supervisor, &mut network);
    });
}

/// A client that leaves during a check is counted by the supervisor, which knows it by the check: that
/// is not over before the supervisor has seen the client go.
#[test]
fn a_check_goes_on_until_the_supervisor_has_seen_the_client_go() {
    let asked = |supervisor: &mut Supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, Some(b"x"));
        wanted(supervisor, ID);
        let mut process = ready(supervisor);
        next(&mut process).unwrap();
        drop(network);
        // It has seen that.
        supervisor.send(&SupervisorToAuth::Ping, vec![]).unwrap();
        assert_eq!(next(supervisor).unwrap(), AuthToSupervisor::Pong);
        assert!(matches!(process.receive(), Ok(None)));
        process
    };
    with(vec![check(CheckAsks::Password)], |supervisor| {
        let mut process = asked(supervisor);
        gone(supervisor);
        assert!(matches!(next(&mut process), Err(ChannelError::Closed)));
    });
    // Its answer counts.
    with(vec![check(CheckAsks::Password)], |supervisor| {
        let mut process = asked(supervisor);
        process.send(&CheckToAuth::No, vec![]).unwrap();
        let said = next(supervisor).unwrap();
        assert!(
            matches!(said, AuthToSupervisor::Refused { connection, .. } if connection == ID),
            "{said:?}"
        );
    });
}

/// The whole chain: the second module is asked only when the first has said yes.
#[test]
fn every_module_of_a_chain_has_its_check() {
    with(
        vec![check(CheckAsks::Nothing), check(CheckAsks::Password)],
        |supervisor| {
            let mut network = connect(supervisor, ID);
            log_in(&mut network, None);
            wanted(supervisor, ID);
            let yes = SupervisorToAuth::Checked {
                connection: ID,
                passed: true,
            };
            supervisor.send(&yes, vec![]).unwrap();
            let AuthToNetwork::Challenge { salt, .. } = next(&mut network).unwrap() else {
                panic!("no challenge");
            };
            network.send(&in_clear(b"x", &salt), vec![]).unwrap();
            wanted(supervisor, ID);
            let mut process = ready(supervisor);
            next(&mut process).unwrap();
            process.send(&CheckToAuth::Yes, vec![]).unwrap();
            passes(supervisor, &mut network);
        },
    );
}

/// Who speaks before its answer is there does what `network` never does.
#[test]
fn a_message_during_a_check_is_a_violation() {
    with(vec![check(CheckAsks::Nothing)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, None);
        wanted(supervisor, ID);
        log_in(&mut network, None);
        let AuthToSupervisor::Violation(violation) = next(supervisor).unwrap() else {
            panic!("no report");
        };
        assert_eq!(violation.peer, Peer::Network(ID));
    });
}
