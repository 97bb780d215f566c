//! A4: type codes that made the decoder loop (CVE-2021-40839) or read beyond the end.

use crate::peer::{LONG, address, only_these_are_left, processes_but, record, say, sharing};
use bulkhead_tests::session::Session;
use std::time::{Duration, Instant};
use test_client::{Client, Error};

#[test]
fn every_type_code_alone_ends_its_connection_at_once() {
    let session = Session::start(&[]);
    let before = processes_but(&session, &[]);
    for code in 0..=u8::MAX {
        // By itself, and where a list without end has its next item.
        for payload in [&[code][..], &[59, code], &[59, code, code, 127]] {
            let began = Instant::now();
            let end = say(&session, &record(0x10, 0, 0, payload));
            assert_eq!(end.packets, ["disconnect"], "{payload:?}");
            assert_eq!(end.reasons[0], "protocol error", "{payload:?}");
            assert!(began.elapsed() < Duration::from_secs(5), "{payload:?}");
        }
    }
    only_these_are_left(&session, &before);
}

#[test]
fn the_same_from_a_client_that_knows_the_password() {
    let session = Session::start(&["--sharing=yes"]);
    let before = processes_but(&session, &[]);
    for code in (45..=58).filter(|code| !(48..=57).contains(code)) {
        let mut client = Client::connect(&address(&session), &sharing(1), LONG).unwrap();
        client
            .send_bytes(&record(0x10, 0, 0, &[59, code, 127]))
            .unwrap();
        let error = loop {
            match client.next_event(LONG) {
                Ok(event) => assert!(event.is_some(), "{code} is not answered"),
                Err(error) => break error,
            }
        };
        let Error::Disconnected(reasons) = error else {
            panic!("{code}: {error}");
        };
        assert_eq!(reasons, ["protocol error", "undecodable packet"]);
    }
    only_these_are_left(&session, &before);
}
