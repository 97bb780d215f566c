//! Codes on the session's screen: who shows one decides nothing, and who reads it is asked for it.

mod common;

use common::checks::{
    ADDRESS, Check, ID, address, ask, check, connect, fails, gone, log_in, passes, ready,
    refused_as, wanted, with,
};
use common::{Network, Supervisor, hello_of, next, proof};
use ipc::auth::{AuthToNetwork, AuthToSupervisor, Digest, PeerFacts, Refusal, SupervisorToAuth};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::{CheckAsks, Code, Letters};
use ipc::verdict::Peer;
use ipc::{ChannelError, ConnectionId};

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
    network.send(&proof(code, &salt), vec![]).unwrap();
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
            network.send(&proof(&code, &salt), vec![]).unwrap();
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
        let hello = hello_of("someone", &[Digest::Xor]);
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
            let peer = PeerFacts::Tcp {
                address: format!("192.0.2.{last}:5").parse().unwrap(),
            };
            let mut network = common::connect(supervisor, ID, peer);
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
            let peer = PeerFacts::Tcp {
                address: format!("192.0.2.{}:5", id % 200).parse().unwrap(),
            };
            let mut network = common::connect(supervisor, ConnectionId(id), peer);
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
