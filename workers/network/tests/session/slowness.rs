//! Clients that say nothing, or read slowly.

use crate::common::{Bench, gui, window};
use ipc::display::{DisplayToNetwork, Metadata};
use std::time::Duration;
use wire::packet::{self as p, ClientPacket};

#[test]
fn a_silent_client_is_asked_and_then_given_up() {
    let mut bench = Bench::attached(gui());
    let mut pings = 0;
    for _ in 0..59 {
        bench.wait(Duration::from_secs(1));
        pings += bench.names().len();
    }
    assert_eq!(pings, 11);
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.ended(), ["client ping timeout"]);
    // One that says anything is not asked.
    let mut bench = Bench::attached(gui());
    for _ in 0..100 {
        bench.wait(Duration::from_secs(4));
        bench.say(ClientPacket::PingEcho(p::PingEcho {
            time: 1,
            load: [0; 3],
            latency: 0,
            source: String::new(),
        }));
        assert!(bench.received().is_empty());
    }
    assert!(bench.connection.deadline().unwrap() >= bench.now + Duration::from_secs(5));
}

#[test]
fn a_client_that_does_not_read_is_cut_off_at_2_mib() {
    let mut hello = gui();
    hello.network.lz4 = false;
    let mut bench = Bench::attached(hello);
    let title = |n| DisplayToNetwork::Metadata {
        window: window(1),
        metadata: vec![Metadata::Title(format!("{n:01000}"))],
    };
    bench.display(title(0));
    bench.read_some(10);
    for n in 0..20_000 {
        bench.display(title(n));
        assert!(bench.connection.outbox().waiting() <= (2 << 20) + 2000);
        if bench.connection.outbox().waiting() < 100_000 && n > 1000 {
            break;
        }
    }
    // What was begun is completed, so that a client that reads again learns why.
    let bytes = bench.read_some(usize::MAX);
    assert!(bytes.ends_with(b"the client does not read what it is sent"));
    bench.wait(Duration::from_secs(2));
    assert!(bench.connection.is_closed());
}
