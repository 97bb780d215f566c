//! Certificates of clients, which `auth` does not look at: what is asked about them, of whom, and what
//! its answers mean.

mod common;

use bulkhead_auth::conversation::{Conversation, Finding, Step, Verifier};
use bulkhead_auth::modules::Modules;
use common::{hello_of, in_force, listener};
use ipc::ListenerId;
use ipc::auth::{AuthToNetwork, Digest, NetworkToAuth, PeerFacts, Refusal};
use ipc::check::{AuthToCheck, CheckId};
use ipc::spec::{AuthModule, AuthSpec, AuthStep, CheckAsks};
use ipc::tls::{Scheme, Shown};
use runtime::secret::Buffer;

fn module(names: bool, optional: bool) -> AuthModule {
    AuthModule::Certificate {
        check: CheckId(3),
        optional,
        names,
    }
}

fn shown(number: u8) -> Box<Shown> {
    Box::new(Shown {
        chain: vec![vec![number; 100]],
        scheme: Scheme::Ed25519,
        transcript: vec![number; 48],
        signature: vec![number; 64],
    })
}

struct World {
    modules: Modules,
    verifier: Verifier,
}

impl World {
    fn new(chain: Vec<AuthStep>) -> Self {
        let (modules, verifier) = in_force(vec![listener(chain, true)], vec![]);
        Self { modules, verifier }
    }

    fn talk(&mut self) -> Talk<'_> {
        let peer = PeerFacts::Tcp {
            address: "192.0.2.1:4".parse().unwrap(),
        };
        Talk {
            conversation: Conversation::new(ListenerId(0), peer),
            world: self,
        }
    }
}

struct Talk<'w> {
    conversation: Conversation,
    world: &'w mut World,
}

impl Talk<'_> {
    fn show(&mut self, number: u8) -> bool {
        self.conversation.keep(shown(number), &self.world.modules)
    }

    fn hello(&mut self, username: &str) -> Step {
        let hello = hello_of(username, &[Digest::HmacSha512]);
        self.say(hello)
    }

    fn say(&mut self, message: NetworkToAuth) -> Step {
        let World { modules, verifier } = &mut *self.world;
        self.conversation.receive(message, modules, verifier)
    }

    fn checked(&mut self, finding: Finding) -> Option<Step> {
        let World { modules, verifier } = &mut *self.world;
        self.conversation.checked(finding, modules, verifier)
    }

    /// All of it: the step after the check.
    fn all(&mut self, number: u8, username: &str, finding: Finding) -> Step {
        assert!(self.show(number));
        let step = self.hello(username);
        assert!(
            matches!(
                &step,
                Step::Check {
                    check: CheckId(3),
                    ..
                }
            ),
            "{step:?}"
        );
        let question = self.conversation.question(&self.world.modules);
        assert_eq!(question, Some(AuthToCheck::Certificate(shown(number))));
        assert_eq!(self.conversation.question(&self.world.modules), None);
        self.checked(finding).unwrap()
    }
}

fn accepted(step: &Step) -> Option<&str> {
    match step {
        Step::Accept {
            username, module, ..
        } => {
            assert_eq!(module, "certificate");
            Some(username)
        }
        _ => None,
    }
}

fn why(step: &Step) -> Option<Refusal> {
    match step {
        Step::Refuse { why, text, .. } => {
            assert_eq!(text, "authentication failed");
            Some(*why)
        }
        _ => None,
    }
}

fn user(name: &str) -> Finding {
    Finding::User(name.into())
}

#[test]
fn who_a_client_is_says_its_certificate() {
    let mut world = World::new(vec![module(true, false).into()]);
    let step = world.talk().all(1, "whoever", user("ann"));
    assert_eq!(accepted(&step), Some("ann"));
    // A yes without a name is none here, nor is a name that is none.
    for (number, finding) in [
        (2, Finding::No),
        (3, Finding::Yes),
        (4, user("")),
        (5, user(&"x".repeat(257))),
    ] {
        let step = world.talk().all(number, "ann", finding);
        assert_eq!(why(&step), Some(Refusal::Failed), "{number}");
    }
}

#[test]
fn a_good_certificate_alone_is_nobodys_name() {
    let mut world = World::new(vec![module(false, false).into()]);
    let step = world.talk().all(1, "whoever", Finding::Yes);
    assert_eq!(accepted(&step), Some("me"));
    for (number, finding) in [(2, Finding::No), (3, user("ann"))] {
        let step = world.talk().all(number, "ann", finding);
        assert_eq!(why(&step), Some(Refusal::Failed), "{number}");
    }
}

#[test]
fn who_shows_none_is_refused_where_one_has_to() {
    for names in [true, false] {
        let mut world = World::new(vec![module(names, false).into()]);
        let step = world.talk().hello("me");
        assert_eq!(why(&step), Some(Refusal::NoCertificate));
    }
    let mut world = World::new(vec![module(false, true).into(), AuthModule::Fail.into()]);
    // The next module decides.
    let step = world.talk().hello("me");
    assert!(matches!(&step, Step::Refuse { module, .. } if module == "fail"));
    // A refusal after a good one names whose it is.
    let mut named = World::new(vec![module(true, false).into(), AuthModule::Fail.into()]);
    let step = named.talk().all(3, "whoever", user("ann"));
    assert!(matches!(&step, Step::Refuse { username, .. } if username == "ann"));
    // One that is shown has to be good all the same.
    let step = world.talk().all(1, "me", Finding::No);
    assert!(matches!(&step, Step::Refuse { module, .. } if module == "certificate"));
}

#[test]
fn the_other_modules_come_after_it() {
    let mut world = World::new(vec![module(false, false).into(), AuthModule::Allow.into()]);
    let mut talk = world.talk();
    let step = talk.all(1, "me", Finding::Yes);
    assert!(matches!(step, Step::Ask(AuthToNetwork::Challenge { .. })));
    // Who is refused here is asked nothing.
    let step = world.talk().all(2, "me", Finding::No);
    assert_eq!(why(&step), Some(Refusal::Failed));
}

#[test]
fn the_certificate_of_one_and_the_name_of_another_are_nobody() {
    let by_name = AuthStep {
        client_username: true,
        ..AuthModule::None.into()
    };
    // A command is told what the client says, wherever it stands.
    let command: AuthStep = AuthModule::Check {
        name: "exec".into(),
        check: CheckId(4),
        asks: CheckAsks::Nothing,
    }
    .into();
    let mut world = World::new(vec![module(true, false).into(), command.clone()]);
    let step = world.talk().all(1, "bob", user("ann"));
    assert_eq!(why(&step), Some(Refusal::OtherName));
    let step = world.talk().all(2, "ann", user("ann"));
    assert!(matches!(&step, Step::Check { username, .. } if username == "ann"));
    let mut world = World::new(vec![command, module(true, false).into()]);
    for (number, name, expected) in [(3, "bob", None), (4, "ann", Some("ann"))] {
        let mut talk = world.talk();
        assert!(talk.show(number));
        let step = talk.hello(name);
        assert!(matches!(&step, Step::Check { username, .. } if username == name));
        let step = talk.checked(Finding::Yes).unwrap();
        assert!(matches!(
            &step,
            Step::Check {
                check: CheckId(3),
                ..
            }
        ));
        let step = talk.checked(user("ann")).unwrap();
        assert_eq!(accepted(&step), expected);
        let refused = expected.is_none().then_some(Refusal::OtherName);
        assert_eq!(why(&step), refused);
    }
    // What only the owner may pass is not for who shows somebody else's.
    let owners = AuthStep {
        verify_username: true,
        ..AuthModule::Allow.into()
    };
    let mut world = World::new(vec![module(true, false).into(), owners]);
    let step = world.talk().all(5, "me", user("ann"));
    assert_eq!(why(&step), Some(Refusal::OtherName));
    let step = world.talk().all(6, "me", user("me"));
    assert!(matches!(step, Step::Ask(_)), "{step:?}");
    let mut world = World::new(vec![module(true, false).into(), by_name]);
    let step = world.talk().all(1, "bob", user("ann"));
    assert_eq!(why(&step), Some(Refusal::OtherName));
    let step = world.talk().all(2, "ann", user("ann"));
    assert!(matches!(&step, Step::Accept { username, .. } if username == "ann"));
}

#[test]
fn a_handshake_counts_once() {
    let mut world = World::new(vec![module(true, false).into()]);
    // One that was no good is no good again.
    let step = world.talk().all(1, "", Finding::No);
    assert_eq!(why(&step), Some(Refusal::Failed));
    let step = world.talk().all(1, "", user("ann"));
    assert_eq!(accepted(&step), Some("ann"));
    let step = world.talk().all(1, "", user("ann"));
    assert_eq!(why(&step), Some(Refusal::UsedCertificate));
    let step = world.talk().all(2, "", user("ann"));
    assert_eq!(accepted(&step), Some("ann"));
}

#[test]
fn network_shows_one_at_the_right_time_or_has_to_go() {
    let mut world = World::new(vec![module(true, false).into()]);
    let mut talk = world.talk();
    assert!(talk.show(1));
    assert!(!talk.show(2), "twice");
    assert!(matches!(talk.hello("me"), Step::Violation(_)));
    let mut talk = world.talk();
    assert!(why(&talk.hello("me")).is_some());
    assert!(!talk.show(1), "after the verdict");
    let mut talk = world.talk();
    assert!(talk.show(1));
    assert!(matches!(talk.hello("me"), Step::Check { .. }));
    assert!(!talk.show(2), "during the check");
    assert_eq!(talk.checked(user("ann")), None);
    // As a message among others.
    let message = NetworkToAuth::Certificate(shown(1));
    assert!(matches!(world.talk().say(message), Step::Violation(_)));
    for change in [
        Shown {
            chain: Vec::new(),
            ..*shown(1)
        },
        Shown {
            chain: vec![vec![0; 10]; 9],
            ..*shown(1)
        },
        Shown {
            chain: vec![vec![0; 33 * 1024]],
            ..*shown(1)
        },
        Shown {
            transcript: vec![0; 64],
            ..*shown(1)
        },
        Shown {
            signature: vec![0; 1025],
            ..*shown(1)
        },
    ] {
        let mut talk = world.talk();
        let kept = talk
            .conversation
            .keep(Box::new(change), &talk.world.modules);
        assert!(!kept);
    }
    // Nobody asked.
    let mut world = World::new(vec![AuthModule::None.into()]);
    assert!(!world.talk().show(1));
}

#[test]
fn two_of_them_are_refused_at_the_start() {
    let chain = vec![module(true, false), module(false, false)];
    let spec = AuthSpec {
        listeners: vec![listener(chain, true)],
        owner: "me".into(),
    };
    let mut buffer = Buffer::new().unwrap();
    let error = Modules::new(spec, vec![], &mut buffer).unwrap_err();
    assert!(error.to_string().contains("asks twice for a certificate"));
}
