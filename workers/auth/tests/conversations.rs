//! What one connection may say to `auth`, and what comes of it.

mod common;

use bulkhead_auth::conversation::{Conversation, Finding, Step, Verifier};
use bulkhead_auth::modules::Modules;
use common::{hello_of, in_force, listener, secret_file, unix};
use ipc::ListenerId;
use ipc::auth::{AuthToNetwork, Digest, NetworkToAuth, PeerFacts, Refusal};
use ipc::check::CheckId;
use ipc::spec::{AuthModule, AuthStep, CheckAsks, Fido, SecretAt, Token};
use proptest::prelude::*;
use std::io::Write;
use wire::challenge::{self as maths, Hash};

const ALL: [(Digest, Hash); 8] = [
    (Digest::HmacSha512, Hash::Sha512),
    (Digest::HmacSha384, Hash::Sha384),
    (Digest::HmacSha256, Hash::Sha256),
    (Digest::HmacSha224, Hash::Sha224),
    (Digest::HmacSha3_512, Hash::Sha3_512),
    (Digest::HmacSha3_384, Hash::Sha3_384),
    (Digest::HmacSha3_256, Hash::Sha3_256),
    (Digest::HmacSha3_224, Hash::Sha3_224),
];

fn secret(index: u16) -> AuthModule {
    AuthModule::Secret {
        name: "file".into(),
        secret: SecretAt {
            index,
            in_place: false,
        },
    }
}

fn modules(chain: Vec<impl Into<AuthStep>>) -> (Modules, Verifier) {
    let secrets = vec![secret_file(b"one\n"), secret_file(b"two")];
    in_force(vec![listener(chain, false)], secrets)
}

fn tcp() -> PeerFacts {
    PeerFacts::Tcp {
        address: "127.0.0.1:1".parse().unwrap(),
    }
}

fn hello(small: bool) -> NetworkToAuth {
    NetworkToAuth::Hello {
        username: "me".into(),
        digests: vec![Digest::HmacSha512],
        salt_digests: vec![Digest::HmacSha512],
        small,
    }
}

/// The client's side.
fn respond(question: &Step, password: &[u8], client_salt: &[u8]) -> NetworkToAuth {
    let Step::Ask(AuthToNetwork::Challenge {
        salt,
        digest,
        salt_digest,
        ..
    }) = question
    else {
        panic!("not a challenge: {question:?}");
    };
    let hash = |digest: &Digest| ALL.iter().find(|(name, _)| name == digest).unwrap().1;
    let mix = maths::Digest::Hmac(hash(salt_digest));
    let combined = maths::combined_salt(mix, salt, client_salt).unwrap();
    NetworkToAuth::Response {
        response: maths::hmac_response(hash(digest), password, &combined),
        client_salt: client_salt.to_vec(),
    }
}

struct Talk {
    modules: Modules,
    verifier: Verifier,
    conversation: Conversation,
}

impl Talk {
    fn new(chain: Vec<impl Into<AuthStep>>, peer: PeerFacts) -> Self {
        let (modules, verifier) = modules(chain);
        Self {
            modules,
            verifier,
            conversation: Conversation::new(ListenerId(0), peer),
        }
    }

    fn say(&mut self, message: NetworkToAuth) -> Step {
        self.conversation
            .receive(message, &self.modules, &mut self.verifier)
    }

    fn left_halfway(&self) -> Option<&str> {
        let (module, _) = self.conversation.left_halfway(&self.modules)?;
        Some(module)
    }
}

fn is_accepted(step: &Step) -> bool {
    matches!(step, Step::Accept { .. })
}

/// Whatever the reason is: the client is told the same.
fn is_refused(step: &Step) -> bool {
    matches!(step, Step::Refuse { why, text, .. }
        if text == "authentication failed" && *why != Refusal::OutOfOrder)
}

const SALT: &[u8] = &[7; 32];

#[test]
fn the_right_password_is_accepted_with_every_digest() {
    for (digest, _) in ALL {
        for (salt_digest, _) in ALL {
            let mut talk = Talk::new(vec![secret(0)], tcp());
            let question = talk.say(NetworkToAuth::Hello {
                username: String::new(),
                digests: vec![digest],
                salt_digests: vec![salt_digest],
                small: false,
            });
            let answer = respond(&question, b"one\n", SALT);
            assert_eq!(
                talk.say(answer),
                Step::Accept {
                    module: "file".into(),
                    username: "me".into(),
                    sessions: None,
                }
            );
        }
    }
}

#[test]
fn the_best_common_digest_is_chosen() {
    let mut talk = Talk::new(vec![secret(0)], tcp());
    let question = talk.say(NetworkToAuth::Hello {
        username: String::new(),
        digests: vec![Digest::HmacSha3_512, Digest::HmacSha224, Digest::HmacSha256],
        salt_digests: vec![Digest::HmacSha3_224, Digest::HmacSha3_384],
        small: false,
    });
    let Step::Ask(AuthToNetwork::Challenge {
        salt,
        digest,
        salt_digest,
        prompt,
    }) = question
    else {
        panic!("{question:?}");
    };
    assert_eq!(
        (digest, salt_digest),
        (Digest::HmacSha256, Digest::HmacSha3_384)
    );
    assert_eq!(
        (salt.len(), prompt.as_str()),
        (64, "password for user 'me'")
    );
}

fn from(address: &str) -> PeerFacts {
    PeerFacts::Tcp {
        address: format!("{address}:1").parse().unwrap(),
    }
}

fn why(step: &Step) -> Option<Refusal> {
    match step {
        Step::Refuse { why, .. } => Some(*why),
        _ => None,
    }
}

#[test]
fn strangers_are_heard_only_so_often_and_others_always() {
    let mut talk = Talk::new(vec![secret(0)], tcp());
    let mut try_it = |peer, password: &[u8]| {
        talk.conversation = Conversation::new(ListenerId(0), peer);
        let question = talk.say(hello(false));
        let step = talk.say(respond(&question, password, SALT));
        assert!(is_accepted(&step) || is_refused(&step), "{step:?}");
        step
    };
    assert!(is_accepted(&try_it(from("192.0.2.1"), b"one\n")));
    let guesses: Vec<_> = (0..200)
        .map(|host| why(&try_it(from(&format!("10.0.0.{host}")), b"guess")))
        .collect();
    let heard = guesses.iter().filter(|why| **why == Some(Refusal::Failed));
    assert!((11..=16).contains(&heard.count()), "{guesses:?}");
    assert_eq!(guesses[199], Some(Refusal::TooMany));
    // Who is right is not heard either, but from where it was right before, and here.
    assert_eq!(
        why(&try_it(from("192.0.2.2"), b"one\n")),
        Some(Refusal::TooMany)
    );
    for peer in [from("192.0.2.1"), unix(7)] {
        assert!(is_accepted(&try_it(peer.clone(), b"one\n")));
        assert_eq!(why(&try_it(peer, b"guess")), Some(Refusal::Failed));
    }
}

/// Two modules about one user: the pause that the first answer begins does not meet the second.
#[test]
fn who_was_right_goes_on_to_the_next_module_whoever_guesses_meanwhile() {
    let (modules, mut verifier) = modules(vec![secret(0), secret(1)]);
    let mut talk = |host: u8, passwords: [&[u8]; 2]| {
        let peer = from(&format!("10.0.0.{host}"));
        let mut conversation = Conversation::new(ListenerId(0), peer);
        let mut step = conversation.receive(hello(false), &modules, &mut verifier);
        for password in passwords {
            if !matches!(step, Step::Ask(_)) {
                break;
            }
            let answer = respond(&step, password, &[host; 32]);
            step = conversation.receive(answer, &modules, &mut verifier);
        }
        step
    };
    for host in 1..=11 {
        assert!(is_refused(&talk(host, [b"x", b""])));
    }
    let right: [&[u8]; 2] = [b"one\n", b"two"];
    assert_eq!(why(&talk(12, right)), Some(Refusal::TooMany));
    // After the pause, which is a second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert!(is_accepted(&talk(13, right)));
    // And whoever has only the first password does not guess at the second any faster. This pause is two seconds.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let halfway: [&[u8]; 2] = [b"one\n", b"x"];
    assert_eq!(why(&talk(14, halfway)), Some(Refusal::Failed));
    for host in 15..30 {
        assert_eq!(why(&talk(host, halfway)), Some(Refusal::TooMany));
    }
}

/// A check outside that has not ended is a failure until it has, so many at a time are no way around.
#[test]
fn guesses_of_strangers_that_somebody_else_decides_about_count_too() {
    let step = AuthStep {
        client_username: true,
        ..AuthModule::Check {
            name: "ldap".into(),
            check: CheckId(0),
            asks: CheckAsks::Password,
        }
        .into()
    };
    let (modules, mut verifier) = in_force(vec![listener(vec![step], true)], vec![]);
    let asks = |host: u8, verifier: &mut Verifier| {
        let peer = from(&format!("10.0.0.{host}"));
        let mut conversation = Conversation::new(ListenerId(0), peer);
        let hello = NetworkToAuth::Hello {
            username: "ann".into(),
            digests: vec![Digest::Xor],
            salt_digests: vec![Digest::HmacSha256],
            small: false,
        };
        conversation.receive(hello, &modules, verifier);
        let response = NetworkToAuth::Response {
            response: vec![1; 8],
            client_salt: SALT.to_vec(),
        };
        let step = conversation.receive(response, &modules, verifier);
        (conversation, step)
    };
    // Those that were right cost nothing.
    for host in 0..50 {
        let (mut conversation, step) = asks(host, &mut verifier);
        assert!(matches!(step, Step::Check { .. }), "{step:?}");
        let step = conversation.checked(Finding::Yes, &modules, &mut verifier);
        assert!(is_accepted(&step.unwrap()));
    }
    let heard = (100..200).filter(|host| {
        let (_, step) = asks(*host, &mut verifier);
        assert!(matches!(step, Step::Check { .. }) || why(&step) == Some(Refusal::TooMany));
        why(&step).is_none()
    });
    assert!((11..=13).contains(&heard.count()));
    // From where she has been before.
    let (_, step) = asks(49, &mut verifier);
    assert!(matches!(step, Step::Check { .. }), "{step:?}");
}

/// Nobody guesses a signature or a ticket: rubbish instead of one keeps no stranger from the next module
/// of the chain, or from another socket.
#[test]
fn rubbish_for_a_security_key_or_a_ticket_keeps_nobody_out() {
    rubbish_keeps_nobody_out(CheckAsks::Signature(Fido::U2f), |counter| Finding::Signed {
        key: 0,
        counter,
    });
    let ticket = CheckAsks::Token {
        token: Token::Gss,
        service: "xpra@here".into(),
    };
    rubbish_keeps_nobody_out(ticket, |_| Finding::Yes);
}

fn rubbish_keeps_nobody_out(asks: CheckAsks, right: fn(u32) -> Finding) {
    let key = AuthModule::Check {
        name: "a module".into(),
        check: CheckId(0),
        asks,
    };
    let listener = listener(vec![key, secret(0)], true);
    let (modules, mut verifier) = in_force(vec![listener], vec![secret_file(b"one\n")]);
    let mut come = |host: u8, finding: Finding| {
        let peer = from(&format!("10.0.0.{host}"));
        let mut conversation = Conversation::new(ListenerId(0), peer);
        let hello = hello_of("me", &[Digest::HmacSha512, Digest::U2f, Digest::Gss]);
        conversation.receive(hello, &modules, &mut verifier);
        let response = NetworkToAuth::Response {
            response: vec![1; 13],
            client_salt: SALT.to_vec(),
        };
        let step = conversation.receive(response, &modules, &mut verifier);
        assert!(matches!(step, Step::Check { .. }), "{step:?}");
        let step = conversation.checked(finding.clone(), &modules, &mut verifier);
        let step = step.unwrap();
        if finding == Finding::No {
            assert!(is_refused(&step));
            return;
        }
        let answer = respond(&step, b"one\n", SALT);
        let step = conversation.receive(answer, &modules, &mut verifier);
        assert!(is_accepted(&step), "{step:?}");
    };
    for host in 0..60 {
        come(host, Finding::No);
    }
    for (host, counter) in (100..150).zip(1..) {
        come(host, right(counter));
    }
}

#[test]
fn a_wrong_password_is_refused_without_a_hint() {
    for wrong in [&b"two"[..], b"one", b"one\n\n", b"", b"ONE\n"] {
        let mut talk = Talk::new(vec![secret(0)], tcp());
        let question = talk.say(hello(false));
        let step = talk.say(respond(&question, wrong, SALT));
        assert!(is_refused(&step), "{step:?}");
    }
}

#[test]
fn modules_that_ask_nobody() {
    for (module, peer, accepted) in [
        (AuthModule::None, tcp(), true),
        (AuthModule::Fail, tcp(), false),
        (
            AuthModule::PeerCred {
                uids: vec![5],
                gids: vec![],
            },
            unix(5),
            true,
        ),
        (
            AuthModule::PeerCred {
                uids: vec![5],
                gids: vec![],
            },
            unix(6),
            false,
        ),
        (
            AuthModule::PeerCred {
                uids: vec![5, 0],
                gids: vec![0],
            },
            tcp(),
            false,
        ),
    ] {
        let mut talk = Talk::new(vec![module.clone()], peer);
        let step = talk.say(hello(false));
        assert_eq!(
            (is_accepted(&step), is_refused(&step)),
            (accepted, !accepted),
            "{module:?}"
        );
    }
}

#[test]
fn allow_takes_any_answer_and_reject_none() {
    let mut talk = Talk::new(vec![AuthModule::Allow], tcp());
    let question = talk.say(hello(false));
    assert!(is_accepted(&talk.say(respond(
        &question,
        b"whatever",
        SALT
    ))));
    let mut talk = Talk::new(vec![AuthModule::Reject], tcp());
    let question = talk.say(hello(false));
    assert!(is_refused(&talk.say(respond(&question, b"whatever", SALT))));
}

#[test]
fn every_module_of_a_chain_must_agree() {
    let chain = || {
        vec![
            AuthModule::PeerCred {
                uids: vec![5],
                gids: vec![],
            },
            secret(0),
            AuthModule::None,
            secret(1),
        ]
    };
    let mut talk = Talk::new(chain(), unix(5));
    let first = talk.say(hello(true));
    let second = talk.say(respond(&first, b"one\n", SALT));
    assert!(matches!(second, Step::Ask(_)) && first != second);
    assert!(is_accepted(&talk.say(respond(&second, b"two", SALT))));

    // Who leaves in the middle knows that the first ones have agreed.
    let mut talk = Talk::new(chain(), unix(5));
    let first = talk.say(hello(true));
    assert_eq!(talk.left_halfway(), None);
    let second = talk.say(respond(&first, b"one\n", SALT));
    assert_eq!(talk.left_halfway(), Some("file"));
    assert!(is_refused(&talk.say(respond(&second, b"one\n", SALT))));
    assert!(is_refused(&Talk::new(chain(), unix(6)).say(hello(true))));
}

#[test]
fn a_small_hello_gets_a_challenge_that_decides_nothing() {
    let mut talk = Talk::new(vec![AuthModule::None], tcp());
    let question = talk.say(hello(true));
    assert!(is_accepted(&talk.say(respond(
        &question,
        b"anything",
        SALT
    ))));
}

#[test]
fn without_a_common_digest_the_client_is_told() {
    for (digests, salt_digests) in [
        (vec![], vec![Digest::HmacSha512]),
        (vec![Digest::HmacSha512], vec![]),
    ] {
        let mut talk = Talk::new(vec![secret(0)], tcp());
        let username = String::new();
        let step = talk.say(NetworkToAuth::Hello {
            username,
            digests,
            salt_digests,
            small: false,
        });
        let Step::Refuse {
            why: Refusal::NoDigest,
            text,
            ..
        } = step
        else {
            panic!("{step:?}")
        };
        assert_eq!(text, "cannot proceed without 'hmac+sha512' digest support");
    }
}

#[test]
fn an_answer_counts_once_and_for_its_own_challenge() {
    // The same answer again.
    let mut talk = Talk::new(vec![secret(0)], tcp());
    let question = talk.say(hello(false));
    let answer = respond(&question, b"one\n", SALT);
    assert!(is_accepted(&talk.say(answer.clone())));
    assert!(matches!(talk.say(answer.clone()), Step::Violation(_)));
    // On another connection.
    talk.conversation = Conversation::new(ListenerId(0), tcp());
    assert!(matches!(talk.say(hello(false)), Step::Ask(_)));
    assert!(is_refused(&talk.say(answer)));
    // Two challenges are never the same.
    talk.conversation = Conversation::new(ListenerId(0), tcp());
    assert!(talk.say(hello(false)) != question);
}

#[test]
fn what_is_out_of_order_ends_it() {
    let answer = |question: &Step| respond(question, b"one\n", SALT);
    let mut talk = Talk::new(vec![secret(0)], tcp());
    let question = talk.say(hello(false));
    let step = talk.say(hello(false));
    assert!(
        matches!(
            step,
            Step::Refuse {
                why: Refusal::OutOfOrder,
                ..
            }
        ),
        "{step:?}"
    );
    assert!(matches!(talk.say(answer(&question)), Step::Violation(_)));
    let mut fresh = Talk::new(vec![secret(0)], tcp());
    assert!(matches!(fresh.say(answer(&question)), Step::Violation(_)));
}

#[test]
fn client_salts_and_responses_have_bounds() {
    for (salt, accepted) in [(15, false), (16, true), (256, true), (257, false)] {
        let mut talk = Talk::new(vec![secret(0)], tcp());
        let question = talk.say(hello(false));
        let step = talk.say(respond(&question, b"one\n", &vec![1; salt]));
        assert_eq!(is_accepted(&step), accepted, "{salt}");
    }
    let mut talk = Talk::new(vec![secret(0)], tcp());
    talk.say(hello(false));
    let long = NetworkToAuth::Response {
        response: vec![0; 1025],
        client_salt: SALT.to_vec(),
    };
    assert!(matches!(talk.say(long), Step::Violation(_)));
    let mut talk = Talk::new(vec![secret(0)], tcp());
    let many = NetworkToAuth::Hello {
        username: String::new(),
        digests: vec![Digest::HmacSha512; 17],
        salt_digests: vec![],
        small: false,
    };
    assert!(matches!(talk.say(many), Step::Violation(_)));
}

fn capability(place: u8, index: u16) -> AuthModule {
    AuthModule::Capability {
        place,
        secret: SecretAt {
            index,
            in_place: false,
        },
    }
}

#[test]
fn what_a_client_says_of_itself_is_compared_whole() {
    let told = |values: &[Option<&str>]| {
        let values = values.iter().map(|value| value.map(str::to_owned));
        NetworkToAuth::Capabilities(values.collect())
    };
    // The secrets are "one\n" and "two".
    for (values, accepted) in [
        (&[Some("x"), Some("two")][..], true),
        (&[None, Some("two")], true),
        (&[Some("two"), Some("one\n")], false),
        (&[Some("x"), Some("two ")], false),
        (&[Some("x"), Some("tw")], false),
        (&[Some("x"), Some("two\0")], false),
        (&[Some("x"), Some("")], false),
        (&[Some("two"), None], false),
        (&[Some("two")], false),
        (&[], false),
    ] {
        let mut talk = Talk::new(vec![capability(1, 1)], tcp());
        assert_eq!(talk.say(told(values)), Step::Listen);
        let step = talk.say(hello(false));
        assert_eq!(is_accepted(&step), accepted, "{values:?}: {step:?}");
        assert_eq!(is_refused(&step), !accepted);
    }
    // Without a word.
    let mut talk = Talk::new(vec![capability(1, 1)], tcp());
    assert!(is_refused(&talk.say(hello(false))));
    // Both of a chain.
    let mut talk = Talk::new(vec![capability(0, 1), secret(0)], tcp());
    talk.say(told(&[Some("two")]));
    let question = talk.say(hello(false));
    assert!(is_accepted(&talk.say(respond(&question, b"one\n", SALT))));
}

#[test]
fn what_a_client_says_of_itself_has_bounds_and_its_place() {
    let some = |count, len| NetworkToAuth::Capabilities(vec![Some("x".repeat(len)); count]);
    for (count, len, listens) in [(8, 256, true), (9, 1, false), (1, 257, false), (0, 0, true)] {
        let mut talk = Talk::new(vec![capability(0, 1)], tcp());
        let step = talk.say(some(count, len));
        assert_eq!(step == Step::Listen, listens, "{step:?}");
        assert_eq!(matches!(step, Step::Violation(_)), !listens);
    }
    let mut talk = Talk::new(vec![capability(0, 1)], tcp());
    assert_eq!(talk.say(some(1, 1)), Step::Listen);
    assert!(matches!(talk.say(some(1, 1)), Step::Violation(_)));
    let mut talk = Talk::new(vec![secret(0)], tcp());
    talk.say(hello(false));
    assert!(matches!(talk.say(some(1, 1)), Step::Violation(_)));
}

#[test]
fn whose_name_counts() {
    let step = |module: AuthModule, client_username, verify_username| AuthStep {
        client_username,
        verify_username,
        ..module.into()
    };
    let accepted = |chain: Vec<AuthStep>, username: &str, password: &[u8]| {
        let mut talk = Talk::new(chain, tcp());
        let mut said = hello(false);
        if let NetworkToAuth::Hello { username: name, .. } = &mut said {
            username.clone_into(name);
        }
        let mut outcome = talk.say(said);
        let mut asked = Vec::new();
        while let Step::Ask(AuthToNetwork::Challenge { prompt, .. }) = &outcome {
            asked.push(prompt.clone());
            outcome = talk.say(respond(&outcome, password, SALT));
        }
        let Step::Accept { username, .. } = outcome else {
            assert!(is_refused(&outcome), "{outcome:?}");
            return (asked, None);
        };
        (asked, Some(username))
    };
    let prompt = |name: &str| vec![format!("password for user '{name}'")];
    let said = |name: &str| Some(name.to_owned());
    // Whom it is about, is asked for and is let in.
    let owner = |name| accepted(vec![step(secret(0), false, false)], name, b"one\n");
    assert_eq!(owner("you"), (prompt("me"), said("me")));
    let client = |name| accepted(vec![step(secret(0), true, false)], name, b"one\n");
    assert_eq!(client("you"), (prompt("you"), said("you")));
    // A name that has to be the owner's is asked like every other.
    let verified = |name, password| accepted(vec![step(secret(0), false, true)], name, password);
    assert_eq!(verified("me", b"one\n"), (prompt("me"), said("me")));
    assert_eq!(verified("you", b"one\n"), (prompt("you"), None));
    assert_eq!(verified("me", b"two"), (prompt("me"), None));
    let unasked = |name| accepted(vec![step(AuthModule::None, false, true)], name, b"");
    assert_eq!(unasked("me"), (vec![], said("me")));
    assert_eq!(unasked("you"), (vec![], None));
    // Each module has its own words.
    let own = AuthStep {
        prompt: Some("the second".into()),
        ..secret(0).into()
    };
    let chain = vec![step(secret(0), false, false), own];
    let asked = vec![prompt("me").remove(0), "the second".to_owned()];
    assert_eq!(accepted(chain, "x", b"one\n"), (asked, said("me")));
}

#[test]
fn a_listener_that_does_not_exist_lets_nobody_in() {
    let mut talk = Talk::new(vec![AuthModule::None], tcp());
    talk.conversation = Conversation::new(ListenerId(1), tcp());
    assert!(is_refused(&talk.say(hello(false))));
}

#[test]
fn a_password_file_that_becomes_unusable_lets_nobody_in() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"one\n").unwrap();
    let listener = listener(vec![secret(0)], false);
    let (modules, mut verifier) = in_force(vec![listener], vec![file.reopen().unwrap()]);
    file.as_file().set_len(0).unwrap();
    let mut conversation = Conversation::new(ListenerId(0), tcp());
    let question = conversation.receive(hello(false), &modules, &mut verifier);
    let step = conversation.receive(respond(&question, b"", SALT), &modules, &mut verifier);
    assert!(is_refused(&step), "{step:?}");
}

/// One message of a peer that tries everything but knowing the password.
#[derive(Clone, Debug)]
enum Attempt {
    Hello {
        small: bool,
        digests: usize,
    },
    Guess {
        password: Vec<u8>,
        salt: usize,
    },
    Noise {
        response: Vec<u8>,
        client_salt: Vec<u8>,
    },
    Replay(usize),
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let bytes = |max| proptest::collection::vec(any::<u8>(), 0..max);
    let attempt = prop_oneof![
        (any::<bool>(), 0..4usize).prop_map(|(small, digests)| Attempt::Hello { small, digests }),
        (bytes(6), 0..300usize).prop_map(|(password, salt)| Attempt::Guess { password, salt }),
        (bytes(1100), bytes(1100)).prop_map(|(response, client_salt)| Attempt::Noise {
            response,
            client_salt
        }),
        (0..8usize).prop_map(Attempt::Replay),
    ];
    proptest::collection::vec(attempt, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// 1,000 random sequences over several connections: nobody gets in without the password,
    /// also not with the right answers of somebody else.
    #[test]
    fn nobody_gets_in_without_the_password(
        connections in proptest::collection::vec(attempts(), 1..4),
        chain in 0..3usize,
    ) {
        let chain = [vec![secret(0)], vec![AuthModule::None, secret(1)], vec![secret(1), secret(0)]]
            .into_iter().nth(chain).unwrap();
        let mut talk = Talk::new(chain, tcp());
        // What an honest client was seen to say.
        let first = talk.say(hello(false));
        let mut seen = vec![respond(&first, b"one\n", SALT), respond(&first, b"two", SALT)];
        for attempts in connections {
            talk.conversation = Conversation::new(ListenerId(0), tcp());
            let mut question = None;
            for attempt in attempts {
                let message = match attempt {
                    Attempt::Hello { small, digests } => NetworkToAuth::Hello {
                        username: "me".into(),
                        digests: ALL.iter().map(|(digest, _)| *digest).take(digests).collect(),
                        salt_digests: vec![Digest::HmacSha256],
                        small,
                    },
                    Attempt::Guess { password, salt } => match &question {
                        Some(question) if password != b"one\n" && password != b"two" => {
                            respond(question, &password, &vec![3; salt])
                        }
                        _ => continue,
                    },
                    Attempt::Noise { response, client_salt } => {
                        NetworkToAuth::Response { response, client_salt }
                    }
                    Attempt::Replay(index) => seen[index % seen.len()].clone(),
                };
                if seen.len() < 8 {
                    seen.push(message.clone());
                }
                let step = talk.say(message);
                prop_assert!(!is_accepted(&step));
                question = matches!(step, Step::Ask(_)).then_some(step);
            }
        }
    }
}
