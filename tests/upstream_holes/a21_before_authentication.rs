//! A21: before authentication there is nothing to call.

use crate::peer::{only_these_are_left, packet, processes_but, say};
use bulkhead_tests::session::Session;
use test_client::wire::packet::accepted_names;
use test_client::wire::rencodeplus::Value;

#[test]
fn every_packet_of_a_session_ends_the_connection() {
    let session = Session::start(&["--start=xterm"]);
    let before = processes_but(&session, &[]);
    let ours = ["hello", "disconnect", "connection-close"];
    let names = accepted_names().iter().filter(|name| !ours.contains(name));
    let more = [
        "challenge",
        "draw",
        "startup-complete",
        "command_request",
        "control",
    ];
    let mut tried = 0;
    for name in names.chain(&more) {
        let end = say(&session, &packet(name, vec![Value::Int(1); 4]));
        assert_eq!(end.packets, ["disconnect"], "{name}");
        assert_eq!(end.reasons, ["protocol error", "unacceptable packet"]);
        tried += 1;
    }
    println!("{tried} packet types");
    assert!(tried > 50);
    only_these_are_left(&session, &before);
}
