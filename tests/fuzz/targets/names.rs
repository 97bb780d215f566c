//! What a name server says. The first byte says what it was asked.
#![no_main]

use bulkhead_auth_names::message::{Answer, MAX_ANSWER, Question};
use hosts::Name;
use libfuzzer_sys::fuzz_target;
use std::net::IpAddr;

/// The number of each question.
const ID: u16 = 0x1234;

fuzz_target!(|bytes: &[u8]| {
    let Some((what, bytes)) = bytes.split_first() else {
        return;
    };
    let address: IpAddr = match what & 1 {
        0 => "127.0.0.1".parse().expect("an address"),
        _ => "::1".parse().expect("an address"),
    };
    let name = Name::new("desk.test").expect("a name");
    let question = match what & 2 {
        0 => Question::names_of(address),
        _ => Question::has(&name, address),
    };
    let question = question.expect("a question");
    let Ok(answer) = question.answer(ID, bytes) else {
        return;
    };
    assert!(bytes.len() <= MAX_ANSWER);
    assert_eq!(question.answer(ID, bytes), Ok(answer.clone()));
    // It is the answer to this question only.
    assert!(question.answer(!ID, bytes).is_err());
    match answer {
        Answer::Names(names) => {
            assert!(what & 2 == 0 && !names.is_empty());
            for name in names.into_iter().flatten() {
                assert_eq!(Name::new(name.as_str()), Some(name));
            }
        }
        Answer::HasAddress(_) => assert!(what & 2 != 0),
        Answer::Alias(name) => {
            assert!(Question::alias_of(*name).encode(ID).is_some());
        }
        Answer::Nothing => {}
    }
});
