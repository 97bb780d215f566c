//! Clients that want one answer, and no session.

use crate::common::{Bench, FakeEncoder, facts, gui};
use ipc::Size;
use ipc::frames::{EncoderToNetwork, NetworkToEncoder};
use ipc::network::{InfoValue, NetworkToSupervisor, Request as Asked, SupervisorToNetwork};
use std::time::Duration;
use wire::caps::Caps;
use wire::hello::{ClientHello, Identity, Request};
use wire::packet::{Packet, ServerPacket};
use wire::rencodeplus::Value;

fn request(request: Request) -> Bench {
    Bench::accepted(ClientHello::command_line(
        Identity::default(),
        Some(request),
    ))
}

#[test]
fn requests_are_asked_of_the_supervisor() {
    for (wanted, asked) in [
        (Request::Info, Asked::Info),
        (Request::Id, Asked::Id),
        (Request::Screenshot, Asked::Screenshot),
        (Request::Detach, Asked::Detach),
        (Request::Stop, Asked::Stop),
        (Request::Exit, Asked::Exit),
    ] {
        let mut bench = request(wanted);
        assert_eq!(
            bench.told().supervisor,
            [NetworkToSupervisor::Request(asked)]
        );
        assert!(bench.received().is_empty());
    }
}

#[test]
fn requests_that_do_not_exist_are_refused_by_name() {
    for (wanted, name) in [
        (Request::Command(vec!["help".into()]), "command"),
        (Request::Run(vec!["xterm".into()]), "run"),
        (Request::Other("print".into()), "print"),
    ] {
        let mut bench = request(wanted);
        assert!(bench.told().supervisor.is_empty());
        let text = format!("the request '{name}' is not available here");
        assert_eq!(bench.ended(), ["permission error", &text]);
    }
}

#[test]
fn info_comes_in_one_hello() {
    let mut bench = request(Request::Info);
    let part = |key: &str, n| SupervisorToNetwork::Info(vec![(key.to_owned(), InfoValue::Int(n))]);
    bench.supervisor(part("server.pid", 5));
    bench.supervisor(part("server.uptime", 6));
    assert!(bench.received().is_empty());
    bench.supervisor(SupervisorToNetwork::InfoEnd);
    let server = Value::dict([("pid", Value::Int(5)), ("uptime", Value::Int(6))]);
    let expected = Packet::new("hello", vec![Value::dict([("server", server)])]);
    assert_eq!(bench.received(), [expected]);
    bench.wait(Duration::from_secs(2));
    assert!(bench.connection.is_closed());
}

#[test]
fn id_comes_in_one_hello() {
    let mut bench = request(Request::Id);
    bench.supervisor(SupervisorToNetwork::Id(facts()));
    let [ServerPacket::Hello(map)] = &bench.read()[..] else {
        panic!()
    };
    let text = |key| Caps::new(map).text(key, 99).unwrap();
    assert_eq!(text("uuid"), Some(facts().uuid));
    assert_eq!(text("display"), Some(":7".to_owned()));
    bench.wait(Duration::from_secs(2));
    assert!(bench.connection.is_closed());
}

#[test]
fn a_screenshot_is_sent_without_a_hello() {
    for len in [1000, 100_000] {
        let mut bench = request(Request::Screenshot);
        bench.supervisor(SupervisorToNetwork::Screenshot);
        assert!(matches!(
            bench.told().encoder[..],
            [NetworkToEncoder::Start(_)]
        ));
        assert!(bench.connection.hears_encoder());
        let mut encoder = FakeEncoder::default();
        bench.buffer(&mut encoder, 200_000);
        let content: Vec<u8> = (0..len).map(|n: u32| n.to_le_bytes()[0]).collect();
        let data = encoder.put(0, &content);
        bench.encoder(EncoderToNetwork::Screenshot {
            size: Size::new(64, 48).unwrap(),
            data,
        });
        let [ServerPacket::Screenshot(shot)] = &bench.read()[..] else {
            panic!()
        };
        assert_eq!(
            (shot.width, shot.height, shot.encoding.as_str()),
            (64, 48, "png")
        );
        assert!(shot.data == content);
        bench.wait(Duration::from_secs(2));
        assert!(bench.connection.is_closed());
    }
}

/// The last packet may be large and the link slow: who goes on reading gets it, within a minute.
#[test]
fn a_screenshot_goes_to_a_slow_client() {
    let taken = |step: usize, pause: Duration| {
        let mut bench = request(Request::Screenshot);
        bench.supervisor(SupervisorToNetwork::Screenshot);
        let mut encoder = FakeEncoder::default();
        bench.buffer(&mut encoder, 200_000);
        let size = Size::new(64, 48).unwrap();
        let data = encoder.put(0, &[7; 200_000]);
        bench.encoder(EncoderToNetwork::Screenshot { size, data });
        let start = bench.now;
        while !bench.connection.is_closed() && !bench.connection.outbox().is_empty() {
            bench.read_some(step);
            bench.wait(pause);
        }
        (bench.connection.outbox().is_empty(), bench.now - start)
    };
    let pause = Duration::from_millis(1900);
    let (all, time) = taken(10_000, pause);
    assert!(all && time > Duration::from_secs(30), "{time:?}");
    // Who reads on for ever does not get forever.
    let (all, time) = taken(1000, pause);
    assert!(!all && (60..62).contains(&time.as_secs()), "{time:?}");
    let (all, time) = taken(10_000, Duration::from_millis(2000));
    assert!(!all && time.as_secs() == 2, "{time:?}");
}

#[test]
fn disconnects_carry_their_reason() {
    let mut bench = Bench::attached(gui());
    let reason = vec!["new client".to_owned(), "someone else".to_owned()];
    bench.supervisor(SupervisorToNetwork::Disconnect {
        reason: reason.clone(),
    });
    assert_eq!(bench.ended(), reason);
}
