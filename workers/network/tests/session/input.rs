//! The client's input.

use crate::common::{
    Bench, FakeEncoder, answered, challenge, facts, geometry, gui, new_window, window, wire_window,
};
use ipc::Position;
use ipc::display::{DisplayToNetwork, NetworkToDisplay, Signal, WindowState};
use ipc::frames::{Coding, NetworkToEncoder};
use ipc::input::Modifiers;
use ipc::network::{NetworkToSupervisor, Request as Asked, SupervisorToNetwork};
use proptest::prelude::*;
use wire::packet::{self as p, ClientPacket, Packet, ServerPacket};
use wire::rencodeplus::Value;

fn input(packet: ClientPacket) -> Vec<NetworkToDisplay> {
    let mut bench = Bench::attached(gui());
    bench.say(packet);
    bench.told().display
}

pub fn key(n: u32, pressed: bool) -> ClientPacket {
    ClientPacket::Key(p::KeyAction {
        window: p::WindowId::new(n.into()),
        keysym: "e".into(),
        pressed,
        modifiers: p::Modifiers::from_mask(0b101),
        keyval: 101,
        text: "e".into(),
        keycode: 26,
        group: 0,
    })
}

pub fn button(n: u32, pressed: bool) -> ClientPacket {
    ClientPacket::PointerButton(p::PointerButton {
        device: 0,
        sequence: 3,
        window: p::WindowId::new(n.into()),
        button: 1,
        pressed,
        position: p::Position {
            x: 30,
            y: 40,
            relative: Some((3, 4)),
        },
        modifiers: p::Modifiers::NONE,
        buttons: vec![],
    })
}

#[test]
fn keys_and_buttons_go_to_the_window() {
    let [NetworkToDisplay::Key(key)] = &input(key(1, true))[..] else {
        panic!()
    };
    assert_eq!(
        (key.window, key.name.as_str(), key.keycode),
        (Some(window(1)), "e", 26)
    );
    assert_eq!(
        (key.keysym, key.pressed, key.modifiers),
        (101, true, Modifiers(0b101))
    );
    let [
        NetworkToDisplay::Button {
            pointer,
            button: 1,
            pressed: true,
        },
    ] = &input(button(1, true))[..]
    else {
        panic!()
    };
    assert_eq!(pointer.position, Position { x: 30, y: 40 });
    assert_eq!(pointer.relative, Some(Position { x: 3, y: 4 }));
}

/// What is pressed in a window that is gone is ignored; what is released is released.
#[test]
fn windows_that_the_client_was_not_told_of_get_nothing() {
    assert!(input(key(2, true)).is_empty() && input(button(2, true)).is_empty());
    let [NetworkToDisplay::Key(key)] = &input(key(2, false))[..] else {
        panic!()
    };
    assert_eq!(key.window, None);
    let [NetworkToDisplay::Button { pointer, .. }] = &input(button(2, false))[..] else {
        panic!()
    };
    assert_eq!(pointer.window, None);
    let other = wire_window(2);
    for packet in [
        ClientPacket::CloseWindow(other),
        ClientPacket::Focus {
            window: Some(other),
            modifiers: p::Modifiers::NONE,
        },
        ClientPacket::WindowSignal {
            window: other,
            signal: "SIGINT".into(),
        },
        ClientPacket::UnmapWindow(p::UnmapWindow {
            window: other,
            iconified: true,
            state: p::WindowState::default(),
        }),
    ] {
        assert!(input(packet.clone()).is_empty(), "{packet:?}");
    }
}

#[test]
fn window_packets_become_messages() {
    let place = p::Geometry {
        x: -5,
        y: 6,
        size: p::Size::new(700, 32_767).unwrap(),
    };
    let state = p::WindowState {
        maximized: Some(true),
        focused: Some(false),
        ..Default::default()
    };
    let map = ClientPacket::MapWindow(p::MapWindow {
        window: wire_window(1),
        geometry: place,
        properties: p::WindowProperties::default(),
        state: state.clone(),
    });
    let expected = NetworkToDisplay::Map {
        window: window(1),
        geometry: geometry(-5, 6, 700, 16_384),
        states: vec![
            (WindowState::Focused, false),
            (WindowState::Maximized, true),
        ],
    };
    assert_eq!(input(map), [expected]);
    for (skip_geometry, expected) in [(false, Some(geometry(-5, 6, 700, 16_384))), (true, None)] {
        let configure = ClientPacket::ConfigureWindow(p::ConfigureWindow {
            window: wire_window(1),
            geometry: Some(place),
            properties: p::WindowProperties::default(),
            resize_counter: Some(9),
            state: p::WindowState::default(),
            skip_geometry,
            pointer: None,
        });
        let expected = NetworkToDisplay::Configure {
            window: window(1),
            geometry: expected,
            resize_counter: 9,
            states: vec![],
        };
        assert_eq!(input(configure), [expected]);
    }
    let focus = |window| ClientPacket::Focus {
        window,
        modifiers: p::Modifiers::NONE,
    };
    assert_eq!(
        input(focus(Some(wire_window(1)))),
        [NetworkToDisplay::Focus(Some(window(1)))]
    );
    assert_eq!(input(focus(None)), [NetworkToDisplay::Focus(None)]);
    let signal = |name: &str| ClientPacket::WindowSignal {
        window: wire_window(1),
        signal: name.into(),
    };
    let expected = NetworkToDisplay::Signal {
        window: window(1),
        signal: Signal::Term,
    };
    assert_eq!(input(signal("SIGTERM")), [expected]);
    assert!(input(signal("SIGKILL")).is_empty());
}

#[test]
fn pings_are_answered_and_requests_passed_on() {
    let mut bench = Bench::attached(gui());
    bench.say(ClientPacket::Ping(p::Ping {
        time: 77,
        wall_time: None,
        source: "sid".into(),
    }));
    let [ServerPacket::PingEcho(echo)] = &bench.read()[..] else {
        panic!()
    };
    assert_eq!((echo.time, echo.source.as_str()), (77, "sid"));
    bench.say(ClientPacket::InfoRequest(p::InfoRequest::default()));
    assert_eq!(bench.names(), ["info-response"]);
    bench.say(ClientPacket::ShutdownServer);
    bench.say(ClientPacket::ExitServer {
        reason: "because".into(),
    });
    let asked = [Asked::Stop, Asked::Exit].map(NetworkToSupervisor::Request);
    assert_eq!(bench.told().supervisor, asked);
}

#[test]
fn what_is_no_packet_ends_the_connection() {
    let mut bench = Bench::attached(gui());
    bench.bytes(b"P\x10\0\0\0\0\0\x01\x05");
    assert_eq!(bench.ended(), ["protocol error", "undecodable packet"]);
    let mut bench = Bench::attached(gui());
    bench.bytes(b"P\x02\0\0\0\0\0\x01\x05");
    assert_eq!(bench.ended(), ["protocol error", "invalid record"]);
}

#[test]
fn wishes_about_pictures_go_to_the_encoder() {
    let mut bench = Bench::attached(gui());
    let encoding = |name: &str| ClientPacket::Encoding {
        name: name.into(),
        windows: vec![],
    };
    // Jpeg is nothing that this client announced (security A3).
    for name in ["png", "auto", "jpeg", "h264", "rgb"] {
        bench.say(encoding(name));
    }
    let prefer = |coding| NetworkToEncoder::Prefer(coding);
    let expected = [
        prefer(Some(Coding::Png)),
        prefer(None),
        prefer(None),
        prefer(None),
        prefer(Some(Coding::Rgb24)),
    ];
    assert_eq!(bench.told().encoder, expected);
    let tune = |what, value| ClientPacket::Tuning(vec![p::Tuning { what, value }]);
    bench.say(tune(p::Tunable::Quality, Some(0)));
    bench.say(tune(p::Tunable::Speed, Some(50)));
    bench.say(tune(p::Tunable::MinSpeed, Some(50)));
    let quality = |speed| NetworkToEncoder::Quality {
        quality: Some(1),
        speed,
    };
    assert_eq!(bench.told().encoder, [quality(None), quality(Some(50))]);
    bench.say(ClientPacket::Suspend(p::Activity {
        ui: true,
        windows: vec![],
    }));
    bench.say(ClientPacket::Suspend(p::Activity {
        ui: true,
        windows: vec![],
    }));
    bench.say(ClientPacket::Resume(p::Activity {
        ui: true,
        windows: vec![],
    }));
    let active = [false, true].map(NetworkToEncoder::Active);
    assert_eq!(bench.told().encoder, active);
    let refresh = |n: u64| {
        ClientPacket::BufferRefresh(p::BufferRefresh {
            window: p::WindowId::new(n),
            quality: Some(80),
            refresh_now: true,
            properties: p::WindowProperties::default(),
        })
    };
    for n in [0, 1, 2] {
        bench.say(refresh(n));
    }
    let refresh = |window| NetworkToEncoder::Refresh {
        window,
        quality: 80,
    };
    assert_eq!(
        bench.told().encoder,
        [refresh(None), refresh(Some(window(1)))]
    );
}

/// The recorded client of a stock session, with a fake server behind us.
#[test]
fn the_recorded_client_is_understood() {
    let mut bench = Bench::new();
    let mut display = Vec::new();
    let mut encoder = Vec::new();
    let mut fake = FakeEncoder::default();
    for line in transcript::transcript() {
        match (line.from.as_str(), line.packet.name.as_str()) {
            ("client1", "hello") => {
                let answers = line.packet.args[0].as_dict().unwrap().iter();
                let answers = answers
                    .filter(|(key, _)| key.is_key("challenge_response"))
                    .count();
                bench.send(line.packet);
                if answers == 0 {
                    bench.auth(challenge());
                } else {
                    bench.auth(ipc::auth::AuthToNetwork::Accepted);
                    bench.supervisor(SupervisorToNetwork::Session(facts()));
                    bench.display(answered());
                    bench.buffer(&mut fake, 1000);
                }
            }
            ("client1", _) => bench.send(line.packet),
            ("server1", "new-window" | "new-override-redirect") => {
                let id = line.packet.args[0].to_int().unwrap();
                bench.display(new_window(u32::try_from(id).unwrap()));
            }
            ("server1", "lost-window") => {
                let id = line.packet.args[0].to_int().unwrap();
                bench.display(DisplayToNetwork::LostWindow(window(
                    u32::try_from(id).unwrap(),
                )));
            }
            ("server1", "draw") => {
                let id = line.packet.args[0].to_int().unwrap();
                let draw = fake.draw(u32::try_from(id).unwrap(), 0, b"picture");
                bench.encoder(draw);
            }
            _ => {}
        }
        bench.received();
        let told = bench.told();
        display.extend(told.display);
        encoder.extend(told.encoder);
    }
    assert!(!bench.connection.is_closed());
    let count =
        |wanted: fn(&NetworkToDisplay) -> bool| display.iter().filter(|m| wanted(m)).count();
    assert_eq!(count(|m| matches!(m, NetworkToDisplay::Map { .. })), 2);
    assert_eq!(
        count(|m| matches!(m, NetworkToDisplay::Configure { .. })),
        7
    );
    assert_eq!(count(|m| matches!(m, NetworkToDisplay::Key(_))), 14);
    assert_eq!(count(|m| matches!(m, NetworkToDisplay::Button { .. })), 10);
    assert_eq!(count(|m| matches!(m, NetworkToDisplay::Keymap(_))), 1);
    assert_eq!(
        count(|m| matches!(m, NetworkToDisplay::KeyboardSync(true))),
        1
    );
    let keymap = display.iter().find_map(|message| match message {
        NetworkToDisplay::Keymap(keymap) => Some(keymap),
        _ => None,
    });
    let keymap = keymap.unwrap();
    assert_eq!(
        (keymap.layout.as_str(), keymap.model.as_str()),
        ("us", "pc105")
    );
    assert!(keymap.x11_keycodes.len() > 200 && keymap.keycodes.is_empty());
    assert!(
        ipc::channel::encode(&NetworkToDisplay::Keymap(keymap.clone()))
            .unwrap()
            .len()
            < 32_768
    );
    // Every acknowledgement of the recording that has its draw in it: sequences restart there for
    // each window, here they do not.
    let acks = encoder
        .iter()
        .filter(|m| matches!(m, NetworkToEncoder::Ack { .. }))
        .count();
    assert!(acks >= 10, "{acks}");
}

#[path = "../../../../wire/tests/common/mod.rs"]
mod transcript;

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Int(1)),
        any::<i64>().prop_map(Value::Int),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::None),
        "[a-z]{0,70}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(2, 12, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            proptest::collection::vec((inner.clone(), inner), 0..4).prop_map(|pairs| {
                let scalar = |key: &Value| !matches!(key, Value::List(_) | Value::Dict(_));
                Value::Dict(pairs.into_iter().filter(|(key, _)| scalar(key)).collect())
            }),
        ]
    })
}

proptest! {
    /// Whatever an authenticated client sends, nothing panics and no window that it was not told
    /// of is touched.
    #[test]
    fn arbitrary_packets_do_no_harm(
        packets in proptest::collection::vec(
            (0..wire::packet::accepted_names().len(), proptest::collection::vec(any_value(), 0..9)),
            0..12,
        ),
    ) {
        let mut bench = Bench::attached(gui());
        for (name, args) in packets {
            bench.send(Packet::new(wire::packet::accepted_names()[name], args));
        }
        for message in bench.told().display {
            if let NetworkToDisplay::Close(w) | NetworkToDisplay::Map { window: w, .. } = message {
                prop_assert_eq!(w, window(1));
            }
        }
    }

    /// Bytes of an authenticated client that are no packets end its connection at most.
    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bench = Bench::attached(gui());
        bench.bytes(&bytes);
        let size = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        let mut bench = Bench::attached(gui());
        bench.bytes(&[&b"P\x10\0\0"[..], &size[..], &bytes[..]].concat());
        prop_assert!(bench.told().supervisor.is_empty());
    }
}
