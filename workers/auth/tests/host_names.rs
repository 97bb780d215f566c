//! `hosts` with rules that go by names: what the process is asked that finds them out, and what follows.

mod common;

use common::checks::{Check, ID, gone, passes, ready, refused_as, wanted};
use common::{Network, Supervisor, connect, hello_of, listener, next, secret_file, serve};
use ipc::auth::{AuthToSupervisor, Digest, PeerFacts, Refusal, SupervisorToAuth};
use ipc::check::{AddressName, AuthToCheck, CheckId, CheckToAuth, MAX_NAMES};
use ipc::spec::{AuthModule, AuthStep, SecretAt};

fn at(index: u16) -> SecretAt {
    SecretAt {
        index,
        in_place: false,
    }
}

/// A socket with these rules and nothing else.
fn with(allow: &str, deny: &str, test: impl FnOnce(&mut Supervisor)) {
    with_step(allow, deny, AuthStep::from, test);
}

/// The same, with more to be said of the module.
fn with_step(
    allow: &str,
    deny: &str,
    step: impl FnOnce(AuthModule) -> AuthStep,
    test: impl FnOnce(&mut Supervisor),
) {
    let hosts = AuthModule::Hosts {
        allow: at(0),
        deny: at(1),
        names: Some(CheckId(3)),
    };
    let files = [allow, deny].map(|text| secret_file(text.as_bytes()));
    serve(vec![listener(vec![step(hosts)], false)], files.into(), test);
}

fn come(supervisor: &mut Supervisor) -> Network {
    let peer = PeerFacts::Tcp {
        address: "[::ffff:10.0.0.1]:5".parse().unwrap(),
    };
    let mut network = connect(supervisor, ID, peer);
    let hello = hello_of("someone", &[Digest::HmacSha512]);
    network.send(&hello, vec![]).unwrap();
    network
}

/// The process, which has been asked.
fn asked(supervisor: &mut Supervisor) -> Check {
    wanted(supervisor, ID);
    let mut process = ready(supervisor);
    let AuthToCheck::Names(address) = next(&mut process).unwrap() else {
        panic!("another question");
    };
    assert_eq!(address.to_canonical().to_string(), "10.0.0.1");
    process
}

fn named(name: &str) -> AddressName {
    AddressName::Verified(name.to_owned())
}

const ALLOW: &str = "xpra: .example.org EXCEPT bad.example.org\n";
const DENY: &str = "ALL: ALL\n";

#[test]
fn a_name_is_what_the_rules_are_told() {
    let good = || named("desk.example.org");
    for (names, yes) in [
        (vec![good()], true),
        (vec![named("DESK.Example.org")], true),
        (vec![good(), named("another.example.org")], true),
        (vec![named("bad.example.org")], false),
        (vec![good(), named("bad.example.org")], false),
        (vec![good(), AddressName::Paranoid], false),
        (vec![AddressName::Unknown], false),
        (vec![AddressName::Paranoid], false),
    ] {
        with(ALLOW, DENY, |supervisor| {
            let mut network = come(supervisor);
            let mut process = asked(supervisor);
            process.send(&CheckToAuth::Named(names), vec![]).unwrap();
            match yes {
                true => passes(supervisor, &mut network),
                false => refused_as(supervisor, &mut network, Refusal::Origin),
            }
            gone(supervisor);
        });
    }
}

/// As where an address decides.
#[test]
fn who_has_to_name_the_owner_has_to() {
    let strict = |module: AuthModule| AuthStep {
        verify_username: true,
        ..module.into()
    };
    with_step(ALLOW, DENY, strict, |supervisor| {
        let mut network = come(supervisor);
        let mut process = asked(supervisor);
        let names = vec![named("desk.example.org")];
        process.send(&CheckToAuth::Named(names), vec![]).unwrap();
        refused_as(supervisor, &mut network, Refusal::OtherName);
    });
}

/// What would keep somebody out is not lost: without an answer nobody comes in.
#[test]
fn only_names_are_an_answer() {
    let deny = "xpra: .evil.test\n";
    for answer in [
        CheckToAuth::Yes,
        CheckToAuth::No,
        CheckToAuth::User("me".to_owned()),
        CheckToAuth::Signed { key: 0, counter: 1 },
        CheckToAuth::Shown,
    ] {
        with("# nobody\n", deny, |supervisor| {
            let mut network = come(supervisor);
            let mut process = asked(supervisor);
            process.send(&answer, vec![]).unwrap();
            refused_as(supervisor, &mut network, Refusal::NoName);
        });
    }
    with("# nobody\n", deny, |supervisor| {
        let mut network = come(supervisor);
        drop(asked(supervisor));
        refused_as(supervisor, &mut network, Refusal::NoName);
    });
    with("# nobody\n", deny, |supervisor| {
        let mut network = come(supervisor);
        wanted(supervisor, ID);
        let yes = SupervisorToAuth::Checked {
            connection: ID,
            passed: true,
        };
        supervisor.send(&yes, vec![]).unwrap();
        refused_as(supervisor, &mut network, Refusal::NoName);
    });
}

#[test]
fn what_is_no_name_breaks_the_rules() {
    let long = "a".repeat(300);
    for names in [
        vec![],
        vec![AddressName::Unknown; MAX_NAMES + 1],
        vec![named("")],
        vec![named("10.0.0.1")],
        vec![named("a b")],
        vec![named("unknown")],
        vec![named("a.\n")],
        vec![named(&long)],
    ] {
        with("# nobody\n", "xpra: .evil.test\n", |supervisor| {
            let mut network = come(supervisor);
            let mut process = asked(supervisor);
            process.send(&CheckToAuth::Named(names), vec![]).unwrap();
            let said = next(supervisor).unwrap();
            assert!(matches!(said, AuthToSupervisor::Violation(_)), "{said:?}");
            refused_as(supervisor, &mut network, Refusal::NoName);
        });
    }
}
