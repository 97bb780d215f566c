//! Security keys: a process looks at what they sign, and `auth` at how they count.

mod common;

use common::checks;
use common::checks::{
    ID, check, connect, fails, gone, log_in, passes, ready, refused_as, wanted, with,
};
use common::{Network, hello_of, next};
use ipc::auth::{
    AuthToNetwork, AuthToSupervisor, Digest, NetworkToAuth, Refusal, SupervisorToAuth,
};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::{AuthStep, CheckAsks, Fido};

/// Says hello, and answers the question for a signature with this and that.
fn sign(network: &mut Network, response: &[u8], client_salt: &[u8]) -> Vec<u8> {
    let hello = hello_of("someone", &[Digest::HmacSha512, Digest::U2f, Digest::Xor]);
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
                true => checks::passes(supervisor, &mut network),
                false => {
                    refused_as(supervisor, &mut network, Refusal::Counter);
                }
            }
            gone(supervisor);
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
