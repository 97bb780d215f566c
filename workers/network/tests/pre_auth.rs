//! Before authentication.

mod common;

use common::{Bench, facts, gui};
use ipc::auth::{AuthToNetwork, Digest, NetworkToAuth};
use ipc::network::{NetworkToSupervisor, Request as Asked, SupervisorToNetwork};
use proptest::prelude::*;
use std::time::Duration;
use wire::hello::{ClientHello, Identity, Request};
use wire::packet::{Disconnect, Packet, ServerPacket, accepted_names};
use wire::record::RecordWriter;
use wire::rencodeplus::Value;

fn tool(request: Request) -> ClientHello {
    ClientHello::command_line(Identity::default(), Some(request))
}

fn challenge() -> AuthToNetwork {
    AuthToNetwork::Challenge {
        salt: vec![9; 64],
        digest: Digest::HmacSha512,
        salt_digest: Digest::HmacSha256,
        prompt: "password for user 'me'".into(),
    }
}

fn answer(mut hello: ClientHello) -> ClientHello {
    hello.auth.response = Some(vec![b'a'; 128]);
    hello.auth.client_salt = Some(vec![1; 32]);
    hello
}

/// Security A21: every packet type but the two ends the connection, nothing reaches anybody.
#[test]
fn any_other_packet_ends_the_connection() {
    let names = accepted_names()
        .iter()
        .copied()
        .chain(["", "draw", "hellO", "challenge"]);
    for name in names.filter(|name| !matches!(*name, "disconnect" | "connection-close")) {
        for before in [false, true] {
            let mut bench = Bench::new();
            if before {
                bench.send(gui().into_packet());
                bench.told();
            }
            bench.send(Packet::new(name, vec![Value::Int(1); 3]));
            assert_eq!(
                bench.ended(),
                ["protocol error", "unacceptable packet"],
                "{name}"
            );
            let told = bench.told();
            assert!(
                told.auth.is_empty() && told.supervisor.is_empty(),
                "{name}: {told:?}"
            );
        }
    }
}

#[test]
fn the_version_is_told_to_everybody_and_is_constant() {
    let mut bench = Bench::new();
    bench.send(tool(Request::Version).into_packet());
    let hello = Value::dict([("version", Value::from("6.5"))]);
    assert_eq!(bench.received(), [Packet::new("hello", vec![hello])]);
    assert!(bench.told().auth.is_empty());
    bench.wait(Duration::from_secs(2));
    assert!(bench.connection.is_closed());
}

#[test]
fn the_id_is_told_on_local_sockets_only() {
    let mut local = Bench::with(Some(facts()));
    local.send(tool(Request::Id).into_packet());
    let [ServerPacket::Hello(map)] = &local.read()[..] else {
        panic!()
    };
    let text = |key| {
        wire::caps::Caps::new(map)
            .text(key, 99)
            .unwrap()
            .unwrap_or_default()
    };
    assert_eq!(
        (text("uuid"), text("display")),
        (facts().uuid, ":7".to_owned())
    );
    assert_eq!(text("session-type"), "seamless");

    let mut remote = Bench::new();
    remote.send(tool(Request::Id).into_packet());
    assert!(remote.received().is_empty());
    assert_eq!(remote.told().auth.len(), 1);
}

#[test]
fn a_connect_test_gets_its_text_back() {
    let mut bench = Bench::new();
    bench.send(tool(Request::ConnectTest("hello there".into())).into_packet());
    let hello = Value::dict([("connect_test_response", Value::from("hello there"))]);
    assert_eq!(bench.received(), [Packet::new("hello", vec![hello])]);
}

/// Only what was asked for, as texts, and before the hello.
#[test]
fn what_modules_look_at_is_told() {
    let names = [
        "client_type",
        "display.dpi",
        "missing",
        "bell",
        "wordy",
        "digest",
    ];
    let mut bench = Bench::new();
    let names = names.map(str::to_owned).to_vec();
    bench.connection = bench.connection.telling(names);
    let mut hello = gui().into_packet();
    let Some(Value::Dict(map)) = hello.args.first_mut() else {
        panic!("{hello:?}");
    };
    map.retain(|(key, _)| !key.is_key("display"));
    let dpi = Value::dict([("dpi", Value::Int(96))]);
    map.push(("display".into(), dpi));
    map.push(("wordy".into(), "x".repeat(257).as_str().into()));
    bench.send(hello);
    let told = bench.told().auth;
    let text = |text: &str| Some(text.to_owned());
    let values = vec![
        text("Python/GTK3"),
        text("96"),
        None,
        text("True"),
        None,
        None,
    ];
    assert_eq!(told[0], NetworkToAuth::Capabilities(values));
    assert!(
        matches!(told[1..], [NetworkToAuth::Hello { .. }]),
        "{told:?}"
    );
    // A later hello changes nothing.
    bench.auth(challenge());
    bench.send(answer(gui()).into_packet());
    assert!(matches!(
        bench.told().auth[..],
        [NetworkToAuth::Response { .. }]
    ));
}

#[test]
fn challenge_response_accepted() {
    let mut bench = Bench::new();
    bench.send(gui().into_packet());
    let told = bench.told();
    let [
        NetworkToAuth::Hello {
            username,
            digests,
            salt_digests,
            small: false,
        },
    ] = &told.auth[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(
        (username.as_str(), digests.len(), salt_digests.len()),
        ("someone", 8, 8)
    );
    bench.auth(challenge());
    let packets = bench.received();
    let args = vec![
        Value::Bytes(vec![9; 64]),
        Value::Dict(vec![]),
        "hmac+sha512".into(),
        "hmac+sha256".into(),
        "password for user 'me'".into(),
    ];
    assert_eq!(packets, [Packet::new("challenge", args)]);
    bench.send(answer(gui()).into_packet());
    let response = NetworkToAuth::Response {
        response: vec![b'a'; 128],
        client_salt: vec![1; 32],
    };
    assert_eq!(bench.told().auth, [response]);
    bench.auth(AuthToNetwork::Accepted);
    let told = bench.told();
    assert_eq!(
        told.closed,
        [
            bulkhead_network::connection::Effect::CloseAuth,
            bulkhead_network::connection::Effect::CloseKeys
        ]
    );
    let [NetworkToSupervisor::Request(Asked::Session(client))] = &told.supervisor[..] else {
        panic!("{told:?}")
    };
    assert_eq!(client.client_type, "Python/GTK3");
}

#[test]
fn the_request_of_the_full_hello_counts() {
    let mut bench = Bench::new();
    let mut small = tool(Request::Stop);
    small.auth.wants_challenge = true;
    bench.send(small.into_packet());
    assert!(matches!(
        bench.told().auth[..],
        [NetworkToAuth::Hello { small: true, .. }]
    ));
    bench.auth(challenge());
    bench.send(answer(tool(Request::Info)).into_packet());
    bench.auth(AuthToNetwork::Accepted);
    assert_eq!(
        bench.told().supervisor,
        [NetworkToSupervisor::Request(Asked::Info)]
    );
}

#[test]
fn a_refusal_takes_a_second_and_says_nothing_else() {
    let mut bench = Bench::new();
    bench.send(gui().into_packet());
    bench.auth(AuthToNetwork::Rejected {
        text: "authentication failed".into(),
    });
    bench.wait(Duration::from_millis(900));
    bench.send(gui().into_packet());
    assert!(bench.received().is_empty() && !bench.connection.is_closed());
    bench.wait(Duration::from_millis(100));
    assert_eq!(bench.ended(), ["authentication failed"]);
}

/// What it was asked for has gone: nobody waits for its answer, which may be on its way.
#[test]
fn a_client_that_is_asked_can_be_refused() {
    let rejected = || AuthToNetwork::Rejected {
        text: "authentication failed".into(),
    };
    let mut bench = Bench::new();
    bench.send(gui().into_packet());
    bench.auth(challenge());
    bench.received();
    bench.told();
    bench.auth(rejected());
    bench.wait(Duration::from_millis(900));
    bench.send(answer(gui()).into_packet());
    assert!(bench.received().is_empty() && bench.told().auth.is_empty());
    bench.wait(Duration::from_millis(100));
    assert_eq!(bench.ended(), ["authentication failed"]);
    // Once. Nothing else is said to who has not answered; and whoever is gone hears nothing.
    for message in [AuthToNetwork::Accepted, challenge(), rejected()] {
        let mut bench = Bench::new();
        bench.send(gui().into_packet());
        bench.auth(challenge());
        bench.told();
        if message == rejected() {
            bench.auth(rejected());
        }
        bench.auth(message);
        let told = bench.told();
        assert!(
            matches!(told.supervisor[..], [NetworkToSupervisor::Violation(_)]),
            "{told:?}"
        );
    }
    let mut bench = Bench::new();
    bench.send(gui().into_packet());
    bench.auth(challenge());
    bench.send(Disconnect::new("client exit").into_packet());
    bench.told();
    bench.auth(rejected());
    assert!(bench.connection.is_closed() && bench.told().supervisor.is_empty());
}

/// Security A28: no answer is no, neither from the client nor from `auth`.
#[test]
fn who_is_silent_is_cut_off() {
    let silent = |bench: &mut Bench| {
        bench.wait(Duration::from_secs(19));
        assert!(!bench.connection.is_closed() && bench.received().is_empty());
        bench.wait(Duration::from_secs(1));
        assert_eq!(bench.ended(), ["login timeout"]);
        assert!(bench.told().supervisor.is_empty());
    };
    silent(&mut Bench::new());
    let mut asked = Bench::new();
    asked.send(gui().into_packet());
    silent(&mut asked);
    let mut challenged = Bench::new();
    challenged.send(gui().into_packet());
    challenged.auth(challenge());
    challenged.received();
    silent(&mut challenged);
    let mut half = Bench::new();
    half.bytes(b"P\x10\0\0\0\0");
    silent(&mut half);
}

/// A person reads something and types it.
#[test]
fn who_is_given_time_has_it() {
    let mut bench = Bench::new();
    bench.send(gui().into_packet());
    bench.auth(challenge());
    bench.received();
    bench.wait(Duration::from_secs(10));
    bench.supervisor(SupervisorToNetwork::LoginTime(100));
    bench.wait(Duration::from_secs(99));
    assert!(!bench.connection.is_closed() && bench.received().is_empty());
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.ended(), ["login timeout"]);
    // It is never less.
    let mut bench = Bench::new();
    bench.supervisor(SupervisorToNetwork::LoginTime(1));
    bench.wait(Duration::from_secs(19));
    assert!(!bench.connection.is_closed());
}

/// Without a password, reading on slowly buys no time.
#[test]
fn a_slow_reader_without_a_password_has_two_seconds() {
    let mut bench = Bench::new();
    bench.send(tool(Request::Version).into_packet());
    for _ in 0..2 {
        assert!(!bench.connection.is_closed());
        assert_eq!(bench.read_some(1).len(), 1);
        bench.wait(Duration::from_secs(1));
    }
    assert!(bench.connection.is_closed());
}

#[test]
fn auth_that_goes_away_lets_nobody_in() {
    let mut bench = Bench::new();
    bench.send(gui().into_packet());
    bench.connection.auth_lost(bench.now);
    assert_eq!(bench.ended()[0], "server error");
    assert!(bench.told().supervisor.is_empty());
}

#[test]
fn hellos_out_of_order_end_the_connection() {
    // Before the last one was answered.
    let mut bench = Bench::new();
    bench.send(gui().into_packet());
    bench.send(answer(gui()).into_packet());
    assert_eq!(bench.ended()[0], "protocol error");
    assert_eq!(bench.told().auth.len(), 1);
    // One that does not answer the challenge.
    let mut bench = Bench::new();
    bench.send(gui().into_packet());
    bench.auth(challenge());
    bench.send(gui().into_packet());
    assert_eq!(bench.ended()[0], "authentication error");
    assert_eq!(bench.told().auth.len(), 1);
}

#[test]
fn a_verdict_that_nobody_asked_for_is_no_verdict() {
    for message in [AuthToNetwork::Accepted, challenge()] {
        let mut bench = Bench::new();
        bench.auth(message);
        assert_eq!(bench.ended(), ["server error"]);
        let told = bench.told();
        assert!(
            matches!(told.supervisor[..], [NetworkToSupervisor::Violation(_)]),
            "{told:?}"
        );
    }
}

#[test]
fn disconnecting_and_probing_are_quiet() {
    let mut bench = Bench::new();
    bench.send(Disconnect::new("client exit").into_packet());
    assert!(bench.connection.is_closed() && bench.received().is_empty());
    let mut probe = Bench::new();
    probe.connection.client_closed();
    assert!(probe.connection.is_closed());
}

#[test]
fn more_than_64_kib_in_all_end_the_connection() {
    // One record that announces too much.
    let mut bench = Bench::new();
    bench.bytes(b"P\x10\0\0\0\x01\0\x01");
    assert_eq!(bench.ended(), ["protocol error", "invalid record"]);
    // Many that are small: hellos answered by challenges without end.
    let mut bench = Bench::new();
    let mut big = answer(gui());
    big.identity.hostname = "x".repeat(250);
    big.metadata_supported = (0..400).map(|n| format!("{n:032}")).collect();
    let record = RecordWriter::new(false)
        .record(&big.into_packet(), true)
        .unwrap();
    let mut sent = 0;
    while bench.connection.outbox().is_empty() || bench.names() == ["challenge"] {
        bench.bytes(&record);
        bench.auth(challenge());
        sent += record.len();
        assert!(sent < 200_000);
    }
    assert!(sent > 64 * 1024 && sent - record.len() <= 64 * 1024);
    bench.wait(Duration::from_secs(2));
    assert!(bench.connection.is_closed());
}

#[test]
fn what_is_not_xpra_is_refused() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x01\0\0\0\0\0\0",
    ] {
        let mut bench = Bench::new();
        bench.bytes(bytes);
        assert_eq!(bench.ended(), ["protocol error", "invalid record"]);
    }
}

#[test]
fn the_supervisor_can_end_it_at_any_time() {
    let mut bench = Bench::new();
    let reason = vec!["server error".to_owned(), "too many connections".to_owned()];
    bench.supervisor(SupervisorToNetwork::Disconnect {
        reason: reason.clone(),
    });
    assert_eq!(bench.ended(), reason);
}

proptest! {
    /// Whatever comes before authentication, nobody hears of it but `auth`, and nothing panics.
    #[test]
    fn arbitrary_bytes_reach_nobody(
        pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..8),
        header in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        for piece in pieces {
            if header {
                let size = u32::try_from(piece.len()).unwrap().to_be_bytes();
                bench.bytes(&[&b"P\x10\0\0"[..], &size[..]].concat());
            }
            bench.bytes(&piece);
        }
        let told = bench.told();
        prop_assert!(told.supervisor.is_empty() && told.display.is_empty() && told.encoder.is_empty());
    }

    /// A hello of which bytes were changed is a hello or the end.
    #[test]
    fn damaged_hellos_do_no_harm(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = RecordWriter::new(false).record(&gui().into_packet(), true).unwrap();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let mut bench = Bench::new();
        bench.bytes(&bytes);
        let told = bench.told();
        prop_assert!(told.supervisor.is_empty() && told.auth.len() <= 1);
    }
}
