//! A new `display` or encoder behind a client that stays, and one that breaks the rules.

use crate::common::{
    Bench, FakeEncoder, answered, facts, geometry, gui, gui_caps, new_window, window, wire_window,
};
use crate::input::{button, key};
use crate::pictures::ack;
use bulkhead_network::connection::Effect;
use ipc::display::{Attach, DisplayToNetwork, NetworkToDisplay};
use ipc::frames::{NetworkToEncoder, OutputBuffer};
use ipc::network::{NetworkToSupervisor, SupervisorToNetwork};
use ipc::verdict::Peer;
use wire::packet::{self as p, ClientPacket, Packet, ServerPacket};

#[test]
fn a_new_display_is_told_what_the_client_holds_and_the_client_what_changed() {
    let mut bench = Bench::attached(gui());
    for n in [2, 3, 4] {
        bench.display(new_window(n));
    }
    bench.say(ClientPacket::SetBell(false));
    bench.say(ClientPacket::KeyboardSync(false));
    bench.received();
    bench.told();
    bench.supervisor(SupervisorToNetwork::Display);
    let told = bench.told();
    let [
        NetworkToDisplay::Attach(Attach {
            held,
            bell: false,
            keyboard_sync: false,
            ..
        }),
    ] = &told.display[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(*held, [1, 2, 3, 4].map(window));
    bench.display(answered());
    // 1 is as it was, 2 has moved, 3 is a menu now, 4 is gone, 5 is new.
    bench.display(new_window(1));
    bench.display(DisplayToNetwork::NewWindow {
        window: window(2),
        geometry: geometry(11, 20, 300, 200),
        override_redirect: false,
        metadata: vec![],
    });
    bench.display(DisplayToNetwork::NewWindow {
        window: window(3),
        geometry: geometry(10, 20, 300, 200),
        override_redirect: true,
        metadata: vec![],
    });
    bench.display(new_window(5));
    let expected = [
        "window-metadata",
        "window-move-resize",
        "lost-window",
        "new-override-redirect",
        "new-window",
    ];
    assert_eq!(bench.names(), expected);
    bench.display(DisplayToNetwork::Synced);
    let [ServerPacket::LostWindow(lost)] = &bench.read()[..] else {
        panic!()
    };
    assert_eq!(*lost, wire_window(4));
    assert!(bench.told().supervisor.is_empty());
}

/// What the client shows, and where its focus is, is told to a new `display` once it is in step.
#[test]
fn a_new_display_is_told_what_the_client_shows_and_where_its_focus_is() {
    let mut bench = Bench::attached(gui());
    for n in [2, 3] {
        bench.display(new_window(n));
    }
    let map = |n: u32| {
        ClientPacket::MapWindow(p::MapWindow {
            window: wire_window(n),
            geometry: p::Geometry {
                x: 5,
                y: 6,
                size: p::Size::new(70, 80).unwrap(),
            },
            properties: p::WindowProperties::default(),
            state: p::WindowState::default(),
        })
    };
    bench.say(map(2));
    bench.say(map(3));
    bench.say(ClientPacket::UnmapWindow(p::UnmapWindow {
        window: wire_window(3),
        iconified: true,
        state: p::WindowState::default(),
    }));
    bench.say(ClientPacket::Focus {
        window: Some(wire_window(2)),
        modifiers: p::Modifiers::default(),
    });
    bench.supervisor(SupervisorToNetwork::Display);
    bench.display(answered());
    for n in [1, 2, 3] {
        bench.display(new_window(n));
    }
    bench.told();
    bench.display(DisplayToNetwork::Synced);
    let told = bench.told().display;
    let [
        NetworkToDisplay::Map { window: shown, .. },
        NetworkToDisplay::Focus(Some(focus)),
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((*shown, *focus), (window(2), window(2)));
}

/// A chunk that is half written is completed from the buffer of the encoder that has gone.
#[test]
fn a_new_encoder_starts_afresh_and_half_a_picture_is_completed() {
    let mut bench = Bench::attached(gui());
    let content: Vec<u8> = (0..100_000u32).map(|n| n.to_be_bytes()[3]).collect();
    let mut first = FakeEncoder::default();
    bench.buffer(&mut first, 200_000);
    let draw = first.draw(1, 0, &content);
    bench.encoder(draw);
    let start = bench.read_some(50_000);
    drop(first);
    bench.supervisor(SupervisorToNetwork::Encoder);
    assert_eq!(bench.told().encoder, [NetworkToEncoder::Start(gui_caps())]);
    let mut second = FakeEncoder::default();
    bench.buffer(&mut second, 100);
    let draw = second.draw(1, 0, b"fresh");
    bench.encoder(draw);
    let mut bytes = start;
    loop {
        let more = bench.read_some(usize::MAX);
        if more.is_empty() {
            break;
        }
        bytes.extend(more);
    }
    let mut reader = wire::record::RecordReader::new(wire::limits::Limits::SERVER_TO_CLIENT);
    reader.push(&bytes);
    let mut draws = Vec::new();
    while let Some(message) = reader.next_message().unwrap() {
        let budget = wire::limits::Limits::SERVER_TO_CLIENT.budget;
        match ServerPacket::parse(Packet::decode(message, &budget).unwrap()).unwrap() {
            ServerPacket::Draw(draw) => draws.push((draw.sequence, draw.data)),
            other => panic!("{other:?}"),
        }
    }
    assert!(draws == [(1, content), (2, b"fresh".to_vec())]);
    // Only the new one's buffer is given back, only its picture acknowledged.
    assert_eq!(
        bench.told().encoder,
        [NetworkToEncoder::Written(OutputBuffer(0))]
    );
    bench.say(ack(1, 5));
    bench.say(ack(2, 5));
    assert_eq!(
        bench.told().encoder,
        [NetworkToEncoder::Ack {
            sequence: 1,
            decode_us: 5
        }]
    );
}

#[test]
fn a_display_that_breaks_rules_is_reported() {
    for message in [DisplayToNetwork::Synced, new_window(1)] {
        let mut bench = Bench::accepted(gui());
        bench.supervisor(SupervisorToNetwork::Session(facts()));
        bench.told();
        bench.display(message);
        let told = bench.told();
        let [NetworkToSupervisor::Violation(violation)] = &told.supervisor[..] else {
            panic!()
        };
        assert_eq!(
            (violation.peer, &told.closed[..]),
            (Peer::Display, &[Effect::CloseDisplay][..])
        );
        assert!(bench.received().is_empty());
    }
}

#[test]
fn a_new_display_is_told_what_the_last_one_has_not_done() {
    let mut bench = Bench::attached(gui());
    for packet in [key(1, true), button(1, true), key(1, false)] {
        bench.say(packet);
    }
    let said = bench.told().display;
    assert_eq!(said.len(), 3);
    bench.connection.display_lost();
    // What comes meanwhile waits behind that; what only says how things are does not.
    bench.say(key(1, true));
    bench.say(ClientPacket::SetBell(false));
    let meanwhile = bench.told().display;
    assert_eq!(meanwhile, [NetworkToDisplay::SetBell(false)]);
    bench.supervisor(SupervisorToNetwork::Display);
    let attach = bench.told().display;
    assert!(
        matches!(
            &attach[..],
            [NetworkToDisplay::Attach(Attach { said: 4, .. })]
        ),
        "{attach:?}"
    );
    // Too many: the client waits.
    for pressed in [false, true].into_iter().cycle().take(600) {
        if !bench.connection.hears_client() {
            break;
        }
        bench.say(key(1, pressed));
    }
    assert!(!bench.connection.hears_client());
    assert_eq!(bench.told().display, []);
    let DisplayToNetwork::Attached {
        root,
        max_root,
        modifier_keys,
        ..
    } = answered()
    else {
        panic!("an answer")
    };
    bench.display(DisplayToNetwork::Attached {
        root,
        max_root,
        modifier_keys,
        done: 1,
    });
    let again = bench.told().display;
    assert_eq!(again.len(), 512 - 1);
    assert_eq!((&again[..2], &again[2]), (&said[1..], &said[0]));
    assert!(bench.connection.hears_client());
}
