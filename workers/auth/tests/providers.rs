//! Logins at an OpenID Connect provider: where clients are sent, and what they bring back.

mod common;

use common::checks::{
    ADDRESS, Check, ID, address, check, connect, fails, gone, log_in, passes, ready, refused_as,
    wanted, with,
};
use common::{Network, SALT, Supervisor, hello_of, in_clear, next};
use ipc::auth::{
    AuthToNetwork, AuthToSupervisor, Digest, NetworkToAuth, Refusal, SupervisorToAuth,
};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::CheckAsks;

/// Says hello, as somebody who can go somewhere.
fn come(supervisor: &mut Supervisor) -> Network {
    let mut network = connect(supervisor, ID);
    let hello = hello_of("someone", &[Digest::HmacSha512, Digest::Keycloak]);
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

/// Where the client was sent; it brings this back, after its state.
fn bring(network: &mut Network, answer: &[u8]) -> String {
    let AuthToNetwork::Challenge { salt, digest, .. } = next(network).unwrap() else {
        panic!("no challenge");
    };
    assert_eq!(digest, Digest::Keycloak);
    let answer = [state(&salt), answer].concat();
    network.send(&in_clear(&answer, &salt), vec![]).unwrap();
    String::from_utf8(salt).unwrap()
}

/// In an address.
fn state(address: &[u8]) -> &[u8] {
    let text = std::str::from_utf8(address).unwrap();
    let (_, rest) = text.split_once("&state=").unwrap();
    rest.split('&').next().unwrap().as_bytes()
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
