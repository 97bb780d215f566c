//! Modules that need a check outside of `auth`: the supervisor is asked for it, a process or the
//! supervisor answers, and what is not a clear yes is no.

use bulkhead_auth::conversation::Verifier;
use bulkhead_auth::modules::Modules;
use bulkhead_auth::service;
use ipc::auth::{
    AuthToNetwork, AuthToSupervisor, Digest, NetworkToAuth, PeerFacts, Refusal, SupervisorToAuth,
};
use ipc::channel::socketpair;
use ipc::check::{AuthToCheck, CheckId, CheckToAuth};
use ipc::sessions::Sessions;
use ipc::spec::{
    AuthListener, AuthModule, AuthSpec, AuthStep, CheckAsks, Code, Fido, Letters, Token,
};
use ipc::verdict::Peer;
use ipc::{Channel, ChannelError, ConnectionId, ListenerId, Message};
use nix::sys::socket::{MsgFlags, sendmsg};
use runtime::secret::Buffer;
use runtime::{Interest, PollSet};
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use wire::challenge::{self as maths, Hash};

type Supervisor = Channel<SupervisorToAuth, AuthToSupervisor>;
type Network = Channel<NetworkToAuth, AuthToNetwork>;
type Check = Channel<CheckToAuth, AuthToCheck>;

const ID: ConnectionId = ConnectionId(7);
const SALT: [u8; 32] = [3; 32];

fn next<Tx: Message, Rx: Message>(channel: &mut Channel<Tx, Rx>) -> Result<Rx, ChannelError> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        channel.flush()?;
        if let Some((message, _)) = channel.receive()? {
            return Ok(message);
        }
        assert!(Instant::now() < end, "no message");
        let mut set = PollSet::new();
        let interest = Interest::read_and(channel.wants_write());
        set.add(channel.as_fd(), interest);
        set.wait(Some(end.saturating_duration_since(Instant::now())))
            .unwrap();
    }
}

/// A module with check 3.
fn check(asks: CheckAsks) -> AuthModule {
    AuthModule::Check {
        name: "outside".into(),
        check: CheckId(3),
        asks,
    }
}

/// Runs the service with one chain on a confidential listener.
fn with(chain: Vec<impl Into<AuthStep>>, test: impl FnOnce(&mut Supervisor)) {
    let chain = chain.into_iter().map(Into::into).collect();
    let (ours, theirs) = socketpair().unwrap();
    let service = std::thread::spawn(move || {
        let spec = AuthSpec {
            listeners: vec![AuthListener {
                chain,
                confidential: true,
            }],
            owner: "me".into(),
        };
        let mut buffer = Buffer::new().unwrap();
        let modules = Modules::new(spec, vec![], &mut buffer).unwrap();
        service::serve(Channel::new(theirs), &modules, Verifier::new(buffer))
    });
    let mut supervisor = Channel::new(ours);
    assert_eq!(next(&mut supervisor).unwrap(), AuthToSupervisor::Ready);
    test(&mut supervisor);
    drop(supervisor);
    service.join().unwrap().unwrap();
}

fn connect(supervisor: &mut Supervisor, id: ConnectionId) -> Network {
    let (ours, theirs) = socketpair().unwrap();
    let message = SupervisorToAuth::Connection {
        connection: id,
        listener: ListenerId(0),
        peer: PeerFacts::Unix {
            pid: 1,
            uid: 1000,
            gid: 1000,
        },
    };
    supervisor.send(&message, vec![theirs]).unwrap();
    Channel::new(ours)
}

/// Says hello, and answers the question for a password, if there is one.
fn log_in(network: &mut Network, password: Option<&[u8]>) {
    let hello = NetworkToAuth::Hello {
        username: "someone".into(),
        digests: vec![Digest::HmacSha512, Digest::Xor, Digest::Gss],
        salt_digests: vec![Digest::HmacSha512],
        small: false,
    };
    network.send(&hello, vec![]).unwrap();
    let Some(password) = password else { return };
    let AuthToNetwork::Challenge { salt, digest, .. } = next(network).unwrap() else {
        panic!("no challenge");
    };
    assert_eq!(digest, Digest::Xor);
    let mix = maths::Digest::Hmac(Hash::Sha512);
    let key = maths::combined_salt(mix, &salt, &SALT).unwrap();
    let answer = NetworkToAuth::Response {
        response: maths::xor_response(password, &key),
        client_salt: SALT.to_vec(),
    };
    network.send(&answer, vec![]).unwrap();
}

fn wanted(supervisor: &mut Supervisor, connection: ConnectionId) {
    let wanted = AuthToSupervisor::Check {
        connection,
        check: CheckId(3),
        username: "someone".into(),
        stranger: false,
    };
    assert_eq!(next(supervisor).unwrap(), wanted);
}

/// The supervisor has started a process.
fn process(supervisor: &mut Supervisor) -> (Check, OwnedFd) {
    let (ours, theirs) = socketpair().unwrap();
    let raw = ours.try_clone().unwrap();
    supervisor
        .send(&SupervisorToAuth::Ask(ID), vec![theirs])
        .unwrap();
    (Channel::new(ours), raw)
}

/// It is confined.
fn ready(supervisor: &mut Supervisor) -> Check {
    let (mut process, _) = process(supervisor);
    process.send(&CheckToAuth::Ready, vec![]).unwrap();
    process
}

fn passes(supervisor: &mut Supervisor, network: &mut Network) {
    let verdict = next(supervisor).unwrap();
    assert!(matches!(verdict, AuthToSupervisor::Accepted { connection, .. } if connection == ID));
    assert_eq!(next(network).unwrap(), AuthToNetwork::Accepted);
}

fn fails(supervisor: &mut Supervisor, network: &mut Network) {
    let refused = AuthToSupervisor::Refused {
        connection: ID,
        username: "someone".into(),
        module: "outside".into(),
        why: Refusal::Failed,
    };
    assert_eq!(next(supervisor).unwrap(), refused);
    let text = "authentication failed".to_owned();
    assert_eq!(next(network).unwrap(), AuthToNetwork::Rejected { text });
}

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

/// A yes may come with what is known of the user's sessions; with what that cannot be it is none.
#[test]
fn what_a_check_knows_of_sessions_goes_with_the_yes() {
    let known = Sessions::read(["1000", "", ":10", "", ""])
        .unwrap()
        .unwrap();
    let unsound = Sessions {
        uid: Some("a b".into()),
        ..Sessions::default()
    };
    for (said, yes) in [(known, true), (unsound, false)] {
        with(vec![check(CheckAsks::Password)], |supervisor| {
            let mut network = connect(supervisor, ID);
            log_in(&mut network, Some(b"x"));
            wanted(supervisor, ID);
            let mut process = ready(supervisor);
            next(&mut process).unwrap();
            let said = Box::new(said);
            let answer = CheckToAuth::Sessions(said.clone());
            process.send(&answer, vec![]).unwrap();
            if !yes {
                return fails(supervisor, &mut network);
            }
            let AuthToSupervisor::Accepted { sessions, .. } = next(supervisor).unwrap() else {
                panic!("not let in");
            };
            assert_eq!(sessions, Some(said));
        });
    }
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
            let mix = maths::Digest::Hmac(Hash::Sha512);
            let key = maths::combined_salt(mix, &salt, &SALT).unwrap();
            let answer = NetworkToAuth::Response {
                response: maths::xor_response(b"x", &key),
                client_salt: SALT.to_vec(),
            };
            network.send(&answer, vec![]).unwrap();
            wanted(supervisor, ID);
            let mut process = ready(supervisor);
            next(&mut process).unwrap();
            process.send(&CheckToAuth::Yes, vec![]).unwrap();
            passes(supervisor, &mut network);
        },
    );
}

/// Says hello, and answers the question for a signature with this and that.
fn sign(network: &mut Network, response: &[u8], client_salt: &[u8]) -> Vec<u8> {
    let hello = NetworkToAuth::Hello {
        username: "someone".into(),
        digests: vec![Digest::HmacSha512, Digest::U2f, Digest::Xor],
        salt_digests: vec![Digest::HmacSha512],
        small: false,
    };
    network.send(&hello, vec![]).unwrap();
    let AuthToNetwork::Challenge { salt, digest, .. } = next(network).unwrap() else {
        panic!("no challenge");
    };
    assert_eq!((digest, salt.len()), (Digest::U2f, 64));
    let answer = NetworkToAuth::Response {
        response: response.to_vec(),
        client_salt: client_salt.to_vec(),
    };
    network.send(&answer, vec![]).unwrap();
    salt
}

const KEY: CheckAsks = CheckAsks::Signature(Fido::U2f);

/// Whatever the client sends: nothing of it is looked at here.
#[test]
fn a_signature_goes_to_the_process_as_it_came_with_our_salt() {
    for (response, client_salt) in [(&b"signature"[..], &b"origin"[..]), (b"", b"")] {
        with(vec![check(KEY)], |supervisor| {
            let mut network = connect(supervisor, ID);
            let challenge = sign(&mut network, response, client_salt);
            wanted(supervisor, ID);
            let mut process = ready(supervisor);
            let question = AuthToCheck::Signature {
                challenge,
                origin: client_salt.to_vec(),
                response: response.to_vec(),
            };
            assert_eq!(next(&mut process).unwrap(), question);
            let signed = CheckToAuth::Signed { key: 0, counter: 0 };
            process.send(&signed, vec![]).unwrap();
            passes(supervisor, &mut network);
        });
    }
}

/// A yes that does not say whose signature it was is no yes; nor is one where none was asked for.
#[test]
fn who_is_asked_for_a_signature_says_whose_it_was() {
    use CheckToAuth::{No, Yes};
    for answer in [Yes, No] {
        with(vec![check(KEY)], |supervisor| {
            let mut network = connect(supervisor, ID);
            sign(&mut network, b"signature", b"origin");
            wanted(supervisor, ID);
            let mut process = ready(supervisor);
            next(&mut process).unwrap();
            process.send(&answer, vec![]).unwrap();
            fails(supervisor, &mut network);
        });
    }
    with(vec![check(KEY)], |supervisor| {
        let mut network = connect(supervisor, ID);
        sign(&mut network, b"signature", b"origin");
        wanted(supervisor, ID);
        let yes = SupervisorToAuth::Checked {
            connection: ID,
            passed: true,
        };
        supervisor.send(&yes, vec![]).unwrap();
        fails(supervisor, &mut network);
    });
    with(vec![check(CheckAsks::Password)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, Some(b"x"));
        wanted(supervisor, ID);
        let mut process = ready(supervisor);
        next(&mut process).unwrap();
        let signed = CheckToAuth::Signed { key: 0, counter: 1 };
        process.send(&signed, vec![]).unwrap();
        fails(supervisor, &mut network);
    });
}

#[test]
fn a_key_that_does_not_count_on_is_refused_and_another_one_is_not() {
    with(vec![check(KEY)], |supervisor| {
        for (key, counter, passes) in [
            (0, 7, true),
            (0, 7, false),
            (1, 3, true),
            (0, 6, false),
            (0, 8, true),
        ] {
            let mut network = connect(supervisor, ID);
            sign(&mut network, b"signature", b"origin");
            wanted(supervisor, ID);
            let mut process = ready(supervisor);
            next(&mut process).unwrap();
            let signed = CheckToAuth::Signed { key, counter };
            process.send(&signed, vec![]).unwrap();
            match passes {
                true => self::passes(supervisor, &mut network),
                false => {
                    let AuthToSupervisor::Refused { why, .. } = next(supervisor).unwrap() else {
                        panic!("no refusal");
                    };
                    assert_eq!(why, Refusal::Counter);
                    let text = "authentication failed".to_owned();
                    assert_eq!(
                        next(&mut network).unwrap(),
                        AuthToNetwork::Rejected { text }
                    );
                }
            }
            let gone = SupervisorToAuth::Gone(ID);
            supervisor.send(&gone, vec![]).unwrap();
        }
    });
}

/// The check is made for who says another name, too: how long the answer takes does not tell the
/// name.
#[test]
fn who_does_not_say_the_owners_name_is_refused_after_the_check() {
    let step = AuthStep {
        verify_username: true,
        ..check(KEY).into()
    };
    with(vec![step], |supervisor| {
        let mut network = connect(supervisor, ID);
        sign(&mut network, b"signature", b"origin");
        wanted(supervisor, ID);
        let mut process = ready(supervisor);
        next(&mut process).unwrap();
        let signed = CheckToAuth::Signed { key: 0, counter: 1 };
        process.send(&signed, vec![]).unwrap();
        let refused = next(supervisor).unwrap();
        assert!(
            matches!(
                refused,
                AuthToSupervisor::Refused {
                    why: Refusal::OtherName,
                    ..
                }
            ),
            "{refused:?}"
        );
    });
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

const ADDRESS: &str = "https://login.test/auth?response_type=code";

/// Says hello, as somebody who can go somewhere.
fn come(supervisor: &mut Supervisor) -> Network {
    let mut network = connect(supervisor, ID);
    let hello = NetworkToAuth::Hello {
        username: "someone".into(),
        digests: vec![Digest::HmacSha512, Digest::Keycloak],
        salt_digests: vec![Digest::HmacSha512],
        small: false,
    };
    network.send(&hello, vec![]).unwrap();
    network
}

/// The process that is asked where clients have to go.
fn asked_for_an_address(supervisor: &mut Supervisor) -> Check {
    wanted(supervisor, ID);
    let mut process = ready(supervisor);
    assert_eq!(next(&mut process).unwrap(), AuthToCheck::Address);
    process
}

fn address(address: &str, memory: usize) -> CheckToAuth {
    CheckToAuth::Address {
        address: address.into(),
        memory: vec![9; memory],
    }
}

/// Where the client was sent; it brings this back, after its state.
fn bring(network: &mut Network, answer: &[u8]) -> String {
    let AuthToNetwork::Challenge { salt, digest, .. } = next(network).unwrap() else {
        panic!("no challenge");
    };
    assert_eq!(digest, Digest::Keycloak);
    let mix = maths::Digest::Hmac(Hash::Sha512);
    let key = maths::combined_salt(mix, &salt, &SALT).unwrap();
    let answer = [state(&salt), answer].concat();
    let response = NetworkToAuth::Response {
        response: maths::xor_response(&answer, &key),
        client_salt: SALT.to_vec(),
    };
    network.send(&response, vec![]).unwrap();
    String::from_utf8(salt).unwrap()
}

/// In an address.
fn state(address: &[u8]) -> &[u8] {
    let text = std::str::from_utf8(address).unwrap();
    let (_, rest) = text.split_once("&state=").unwrap();
    rest.split('&').next().unwrap().as_bytes()
}

/// The connection is over.
fn gone(supervisor: &mut Supervisor) {
    supervisor
        .send(&SupervisorToAuth::Gone(ID), vec![])
        .unwrap();
}

#[test]
fn a_code_goes_to_the_process_with_what_makes_the_login_this_one() {
    with(vec![check(CheckAsks::Code)], |supervisor| {
        // A long one: more than a password may have.
        let answer = "a code ".repeat(1000).into_bytes();
        // Where to go is asked once for all, also for who comes after somebody who failed.
        for (first, yes) in [(true, true), (false, true), (false, false), (false, true)] {
            let mut network = come(supervisor);
            if first {
                let mut process = asked_for_an_address(supervisor);
                process.send(&address(ADDRESS, 5), vec![]).unwrap();
            }
            let went = bring(&mut network, &answer);
            let rest = went.strip_prefix(ADDRESS).unwrap();
            wanted(supervisor, ID);
            let mut process = ready(supervisor);
            let AuthToCheck::Code {
                memory,
                verifier,
                state,
                nonce,
                answer: said,
            } = next(&mut process).unwrap()
            else {
                panic!("another question");
            };
            let wanted = [state.as_bytes(), &answer].concat();
            assert_eq!((memory, &said.0), (vec![9; 5], &wanted));
            assert!(rest.starts_with(&format!("&state={state}&nonce={nonce}&code_challenge=")));
            assert!(!rest.contains(std::str::from_utf8(&verifier.0).unwrap()));
            let verdict = match yes {
                true => CheckToAuth::Yes,
                false => CheckToAuth::No,
            };
            process.send(&verdict, vec![]).unwrap();
            match yes {
                true => passes(supervisor, &mut network),
                false => fails(supervisor, &mut network),
            }
            gone(supervisor);
        }
    });
}

/// Where to go is no verdict, and a verdict is not where to go.
#[test]
fn who_is_asked_for_an_address_lets_nobody_in() {
    use CheckToAuth::{No, Yes};
    let signed = CheckToAuth::Signed { key: 0, counter: 1 };
    for answer in [
        Yes,
        No,
        signed,
        address("https://login.test/? auth", 1),
        address("javascript:auth?", 1),
        address(&format!("https://login.test/?{}", "x".repeat(800)), 1),
        address("https://login.test/?\u{e4}", 1),
        address(ADDRESS, 0),
    ] {
        with(vec![check(CheckAsks::Code)], |supervisor| {
            let mut network = come(supervisor);
            let mut process = asked_for_an_address(supervisor);
            process.send(&answer, vec![]).unwrap();
            refused_as(supervisor, &mut network, Refusal::Unusable);
        });
    }
    with(vec![check(CheckAsks::Code)], |supervisor| {
        let mut network = come(supervisor);
        wanted(supervisor, ID);
        let yes = SupervisorToAuth::Checked {
            connection: ID,
            passed: true,
        };
        supervisor.send(&yes, vec![]).unwrap();
        refused_as(supervisor, &mut network, Refusal::Unusable);
    });
    with(vec![check(CheckAsks::Code)], |supervisor| {
        let mut network = come(supervisor);
        let mut process = asked_for_an_address(supervisor);
        process.send(&address(ADDRESS, 1), vec![]).unwrap();
        bring(&mut network, b"{}");
        wanted(supervisor, ID);
        let mut process = ready(supervisor);
        next(&mut process).unwrap();
        process.send(&address(ADDRESS, 1), vec![]).unwrap();
        fails(supervisor, &mut network);
    });
    with(vec![check(CheckAsks::Password)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, Some(b"x"));
        wanted(supervisor, ID);
        let mut process = ready(supervisor);
        next(&mut process).unwrap();
        process.send(&address(ADDRESS, 1), vec![]).unwrap();
        fails(supervisor, &mut network);
    });
}

/// What cannot be an answer costs no process.
#[test]
fn who_brings_something_else_is_refused_at_once() {
    with(vec![check(CheckAsks::Code)], |supervisor| {
        let mut network = come(supervisor);
        let mut process = asked_for_an_address(supervisor);
        process.send(&address(ADDRESS, 1), vec![]).unwrap();
        assert!(matches!(
            next(&mut network).unwrap(),
            AuthToNetwork::Challenge { .. }
        ));
        let response = NetworkToAuth::Response {
            response: b"rubbish".to_vec(),
            client_salt: SALT.to_vec(),
        };
        network.send(&response, vec![]).unwrap();
        fails(supervisor, &mut network);
    });
}

/// Nobody asks the provider for them.
#[test]
fn who_cannot_go_anywhere_is_told() {
    with(vec![check(CheckAsks::Code)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, None);
        let AuthToSupervisor::Refused { why, .. } = next(supervisor).unwrap() else {
            panic!("no refusal");
        };
        assert_eq!(why, Refusal::NoDigest);
        let text = "cannot proceed without 'keycloak' digest support".to_owned();
        assert_eq!(
            next(&mut network).unwrap(),
            AuthToNetwork::Rejected { text }
        );
    });
}

fn refused_as(supervisor: &mut Supervisor, network: &mut Network, as_what: Refusal) {
    let AuthToSupervisor::Refused { why, .. } = next(supervisor).unwrap() else {
        panic!("no refusal");
    };
    assert_eq!(why, as_what);
    let text = "authentication failed".to_owned();
    assert_eq!(next(network).unwrap(), AuthToNetwork::Rejected { text });
}

/// Of six digits.
const CODE: CheckAsks = CheckAsks::Shown(Code {
    letters: Letters::Digits,
    count: 6,
});

/// What a process is to show, which says that it does.
fn shown(supervisor: &mut Supervisor) -> (Check, Vec<u8>) {
    wanted(supervisor, ID);
    let mut process = ready(supervisor);
    let AuthToCheck::Show {
        code,
        username,
        peer,
        place: 0,
    } = next(&mut process).unwrap()
    else {
        panic!("another question");
    };
    assert_eq!(username, "someone");
    assert!(matches!(peer, PeerFacts::Unix { uid: 1000, .. }));
    assert!(code.0.len() == 6 && code.0.iter().all(u8::is_ascii_digit));
    process.send(&CheckToAuth::Shown, vec![]).unwrap();
    (process, code.0.clone())
}

/// Answers the question for a code.
fn types(network: &mut Network, code: &[u8]) {
    let AuthToNetwork::Challenge {
        salt,
        digest,
        prompt,
        ..
    } = next(network).unwrap()
    else {
        panic!("no challenge");
    };
    assert_eq!(digest, Digest::HmacSha512);
    assert!(prompt.contains("screen"), "{prompt}");
    let mix = maths::Digest::Hmac(Hash::Sha512);
    let salt = maths::combined_salt(mix, &salt, &SALT).unwrap();
    let answer = NetworkToAuth::Response {
        response: maths::hmac_response(Hash::Sha512, code, &salt),
        client_salt: SALT.to_vec(),
    };
    network.send(&answer, vec![]).unwrap();
}

/// The channel to it has ended.
fn is_over(mut process: Check) {
    let end = next(&mut process).unwrap_err();
    assert!(matches!(end, ChannelError::Closed), "{end}");
}

#[test]
fn a_code_is_shown_and_then_asked_for() {
    with(vec![check(CODE)], |supervisor| {
        let mut codes: Vec<Vec<u8>> = Vec::new();
        for right in [true, false, true] {
            let mut network = connect(supervisor, ID);
            log_in(&mut network, None);
            let (process, code) = shown(supervisor);
            match right {
                true => {
                    types(&mut network, &code);
                    passes(supervisor, &mut network);
                }
                // The one before.
                false => {
                    types(&mut network, &codes[0]);
                    fails(supervisor, &mut network);
                }
            }
            is_over(process);
            codes.push(code);
            gone(supervisor);
        }
        assert!(codes[0] != codes[1] || codes[1] != codes[2]);
    });
}

/// Who shows a code does not decide.
#[test]
fn who_shows_a_code_lets_nobody_in() {
    // Before it is shown.
    for answer in [
        CheckToAuth::Yes,
        CheckToAuth::No,
        CheckToAuth::User("me".into()),
        address(ADDRESS, 5),
    ] {
        with(vec![check(CODE)], |supervisor| {
            let mut network = connect(supervisor, ID);
            log_in(&mut network, None);
            wanted(supervisor, ID);
            let mut process = ready(supervisor);
            next(&mut process).unwrap();
            process.send(&answer, vec![]).unwrap();
            refused_as(supervisor, &mut network, Refusal::Unusable);
            is_over(process);
        });
    }
    // And after that. An answer that is on its way is not looked at.
    for answer in [Some(CheckToAuth::Yes), Some(CheckToAuth::No), None] {
        with(vec![check(CODE)], |supervisor| {
            let mut network = connect(supervisor, ID);
            log_in(&mut network, None);
            let (mut process, code) = shown(supervisor);
            let challenge = next(&mut network).unwrap();
            match &answer {
                Some(answer) => process.send(answer, vec![]).unwrap(),
                None => drop(process),
            }
            fails(supervisor, &mut network);
            let AuthToNetwork::Challenge { salt, .. } = challenge else {
                panic!("{challenge:?}");
            };
            let mix = maths::Digest::Hmac(Hash::Sha512);
            let salt = maths::combined_salt(mix, &salt, &SALT).unwrap();
            let answer = NetworkToAuth::Response {
                response: maths::hmac_response(Hash::Sha512, &code, &salt),
                client_salt: SALT.to_vec(),
            };
            network.send(&answer, vec![]).unwrap();
            // Nothing comes of it, no report either.
            supervisor.send(&SupervisorToAuth::Ping, vec![]).unwrap();
            assert_eq!(next(supervisor).unwrap(), AuthToSupervisor::Pong);
            supervisor.send(&SupervisorToAuth::Ping, vec![]).unwrap();
            assert_eq!(next(supervisor).unwrap(), AuthToSupervisor::Pong);
        });
    }
    // It says twice that it shows something, or shows what nobody has asked for.
    with(vec![check(CODE)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, None);
        let (mut process, _) = shown(supervisor);
        next(&mut network).unwrap();
        process.send(&CheckToAuth::Shown, vec![]).unwrap();
        let AuthToSupervisor::Violation(violation) = next(supervisor).unwrap() else {
            panic!("no report");
        };
        assert_eq!(violation.peer, Peer::Check(ID));
        fails(supervisor, &mut network);
    });
    with(vec![check(CheckAsks::Password)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, Some(b"x"));
        wanted(supervisor, ID);
        let mut process = ready(supervisor);
        next(&mut process).unwrap();
        process.send(&CheckToAuth::Shown, vec![]).unwrap();
        fails(supervisor, &mut network);
    });
    // Nor does the supervisor.
    with(vec![check(CODE)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, None);
        wanted(supervisor, ID);
        let yes = SupervisorToAuth::Checked {
            connection: ID,
            passed: true,
        };
        supervisor.send(&yes, vec![]).unwrap();
        refused_as(supervisor, &mut network, Refusal::Unusable);
    });
}

/// A code is one factor, in its place in the chain; each has its own.
#[test]
fn a_code_has_its_place_among_the_modules() {
    let chain = vec![check(CheckAsks::Nothing), check(CODE), check(CODE)];
    with(chain, |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, None);
        wanted(supervisor, ID);
        let yes = SupervisorToAuth::Checked {
            connection: ID,
            passed: true,
        };
        supervisor.send(&yes, vec![]).unwrap();
        let (first, code) = shown(supervisor);
        types(&mut network, &code);
        is_over(first);
        let (second, code) = shown(supervisor);
        types(&mut network, &code);
        passes(supervisor, &mut network);
        is_over(second);
    });
}

/// Nobody has a code shown who could not answer.
#[test]
fn who_has_no_digest_sees_no_code() {
    with(vec![check(CODE)], |supervisor| {
        let mut network = connect(supervisor, ID);
        let hello = NetworkToAuth::Hello {
            username: "someone".into(),
            digests: vec![Digest::Xor],
            salt_digests: vec![Digest::HmacSha512],
            small: false,
        };
        network.send(&hello, vec![]).unwrap();
        let AuthToSupervisor::Refused { why, .. } = next(supervisor).unwrap() else {
            panic!("no refusal");
        };
        assert_eq!(why, Refusal::NoDigest);
    });
}

/// A code that is shown to a stranger is as much as a guess: the screen is not full of them.
#[test]
fn strangers_see_few_codes() {
    with(vec![check(CODE)], |supervisor| {
        let mut come = |last: u8, right: bool| {
            let (ours, theirs) = socketpair().unwrap();
            let message = SupervisorToAuth::Connection {
                connection: ID,
                listener: ListenerId(0),
                peer: PeerFacts::Tcp {
                    address: format!("192.0.2.{last}:5").parse().unwrap(),
                },
            };
            supervisor.send(&message, vec![theirs]).unwrap();
            let mut network = Network::new(ours);
            log_in(&mut network, None);
            let seen = match next(supervisor).unwrap() {
                AuthToSupervisor::Refused { why, .. } => {
                    assert_eq!(why, Refusal::TooMany);
                    None
                }
                AuthToSupervisor::Check { .. } => {
                    let mut process = ready(supervisor);
                    let AuthToCheck::Show { code, .. } = next(&mut process).unwrap() else {
                        panic!("another question");
                    };
                    process.send(&CheckToAuth::Shown, vec![]).unwrap();
                    if right {
                        types(&mut network, &code.0);
                        passes(supervisor, &mut network);
                    }
                    Some(process)
                }
                other => panic!("{other:?}"),
            };
            gone(supervisor);
            // Not before: its end would be an answer.
            seen.is_some()
        };
        // Whoever is right has not guessed, and is a stranger no more.
        for _ in 0..20 {
            assert!(come(1, true));
        }
        let seen = (2..42).filter(|last| come(*last, false)).count();
        assert!((10..=12).contains(&seen), "{seen}");
        assert!(come(1, true));
    });
}

/// Whoever leaves before a code is shown has not been shown one, and windows are beside each other.
#[test]
fn only_what_is_shown_counts() {
    with(vec![check(CODE)], |supervisor| {
        let come = |supervisor: &mut Supervisor, id: u64| {
            let (ours, theirs) = socketpair().unwrap();
            let message = SupervisorToAuth::Connection {
                connection: ConnectionId(id),
                listener: ListenerId(0),
                peer: PeerFacts::Tcp {
                    address: format!("192.0.2.{}:5", id % 200).parse().unwrap(),
                },
            };
            supervisor.send(&message, vec![theirs]).unwrap();
            let mut network = Network::new(ours);
            log_in(&mut network, None);
            let told = next(supervisor).unwrap();
            let stranger = matches!(told, AuthToSupervisor::Check { stranger: true, .. });
            assert!(stranger, "{told:?}");
            network
        };
        let networks: Vec<_> = (1..100).map(|id| come(supervisor, id)).collect();
        drop(networks);
        let mut places = Vec::new();
        let mut held = Vec::new();
        for id in 101..105 {
            let network = come(supervisor, id);
            held.push((network, Check::new(ask(supervisor, ConnectionId(id)))));
            let (_, process) = held.last_mut().unwrap();
            process.send(&CheckToAuth::Ready, vec![]).unwrap();
            let AuthToCheck::Show { place, .. } = next(process).unwrap() else {
                panic!("another question");
            };
            places.push(place);
        }
        assert_eq!(places, [0, 1, 2, 3]);
    });
}

/// The supervisor has started a process for this connection.
fn ask(supervisor: &mut Supervisor, id: ConnectionId) -> OwnedFd {
    let (ours, theirs) = socketpair().unwrap();
    supervisor
        .send(&SupervisorToAuth::Ask(id), vec![theirs])
        .unwrap();
    ours
}
