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
use ipc::spec::{AuthListener, AuthModule, AuthSpec, AuthStep, CheckAsks, Fido, Token};
use ipc::verdict::Peer;
use ipc::{Channel, ChannelError, ConnectionId, ListenerId, Message};
use nix::sys::socket::{MsgFlags, sendmsg};
use runtime::secret::Buffer;
use runtime::{Interest, PollSet};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
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

#[test]
fn a_connection_that_goes_takes_the_channel_with_it() {
    with(vec![check(CheckAsks::Password)], |supervisor| {
        let mut network = connect(supervisor, ID);
        log_in(&mut network, Some(b"x"));
        wanted(supervisor, ID);
        let mut process = ready(supervisor);
        next(&mut process).unwrap();
        drop(network);
        assert!(matches!(next(&mut process), Err(ChannelError::Closed)));
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
