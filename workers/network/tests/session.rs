//! A client in a session: packets to messages and messages to packets.

mod common;

use bulkhead_network::connection::Effect;
use common::{
    Bench, FakeEncoder, answered, bgrx, facts, geometry, gui, gui_caps, new_window, window,
    wire_window,
};
use ipc::display::{Attach, DisplayToNetwork, Metadata, NetworkToDisplay, Signal, WindowState};
use ipc::frames::{Coding, EncoderToNetwork, NetworkToEncoder, OutputBuffer};
use ipc::input::Modifiers;
use ipc::network::{
    InfoValue, NetworkToSupervisor, Request as Asked, SessionFacts, SupervisorToNetwork,
};
use ipc::verdict::{Peer, Violation};
use ipc::{Position, Size};
use proptest::prelude::*;
use std::time::Duration;
use wire::caps::Caps;
use wire::hello::{ClientHello, Identity, Request};
use wire::packet::{self as p, ClientPacket, Packet, ServerPacket};
use wire::rencodeplus::Value;

fn text(value: &Value) -> String {
    value.to_text().unwrap()
}

// The start.

#[test]
fn neighbours_are_told_who_comes_before_the_client_hears_anything() {
    let mut bench = Bench::accepted(gui());
    bench.told();
    bench.supervisor(SupervisorToNetwork::Session(facts()));
    let told = bench.told();
    assert_eq!(told.encoder, [NetworkToEncoder::Start(gui_caps())]);
    let [NetworkToDisplay::Attach(attach)] = &told.display[..] else {
        panic!("{told:?}")
    };
    assert_eq!(attach.desktop, Size::new(1920, 1080));
    assert!(attach.held.is_empty() && attach.cursors && attach.bell);
    assert!(bench.received().is_empty() && !bench.connection.hears_encoder());
    bench.display(answered());
    assert!(bench.connection.hears_encoder());
    assert_eq!(bench.told().supervisor, [NetworkToSupervisor::Attached]);
}

/// The order of the recorded session (protocol "Sequence").
#[test]
fn packets_come_in_the_order_that_clients_expect() {
    let mut bench = Bench::accepted(gui());
    bench.supervisor(SupervisorToNetwork::Session(facts()));
    bench.display(answered());
    bench.display(new_window(1));
    bench.display(DisplayToNetwork::Synced);
    let packets = bench.received();
    let names: Vec<&str> = packets.iter().map(|packet| packet.name.as_str()).collect();
    let expected = [
        "hello",
        "server-event",
        "encodings",
        "new-window",
        "startup-complete",
        "server-event",
    ];
    assert_eq!(names, expected);
    assert_eq!(text(&packets[1].args[0]), "handshake-complete");
    assert_eq!(text(&packets[5].args[1]), "ff".repeat(32));
}

/// What a GTK client needs to reach a working session (protocol "What the server must put in its
/// hello"), and what the HTML5 client reads.
#[test]
fn the_hello_has_what_clients_require() {
    let mut bench = Bench::accepted(gui());
    bench.supervisor(SupervisorToNetwork::Session(facts()));
    bench.display(answered());
    let ServerPacket::Hello(map) = bench.read().remove(0) else {
        panic!()
    };
    let caps = Caps::new(&map);
    assert_eq!(caps.text("version", 9).unwrap().as_deref(), Some("6.5"));
    assert!(matches!(caps.get("display"), Some(Value::Text(display)) if display == ":7"));
    for key in [
        "rencodeplus",
        "lz4",
        "windows",
        "bell",
        "cursors",
        "keyboard",
        "resize_screen",
    ] {
        assert!(caps.bool(key, false), "{key}");
    }
    for key in ["desktop_size", "actual_desktop_size", "root_window_size"] {
        assert_eq!(caps.pair(key), Some((1920, 1080)), "{key}");
    }
    assert_eq!(caps.pair("max_desktop_size"), Some((8192, 4096)));
    let names = |key| caps.texts(key, 999, 99).unwrap();
    assert!(names("encoders").contains(&"rencodeplus".to_owned()));
    for name in [
        "pointer",
        "pointer-button",
        "configure-display",
        "damage-sequence",
        "focus",
    ] {
        assert!(names("packet-types").contains(&name.to_owned()), "{name}");
    }
    // What does not exist is not there.
    for key in [
        "clipboard",
        "notifications",
        "webcam",
        "file",
        "printer",
        "setting-change",
    ] {
        assert!(!caps.bool(key, false), "{key}");
    }
    assert!(!caps.bool("audio.send", false) && !caps.bool("start-new-commands", false));
    assert_eq!(caps.get("wheel.precise"), Some(&Value::Bool(false)));
    let shift = caps.get("modifier_keycodes.shift").unwrap();
    let key = |code: u8, name: &str| Value::List(vec![code.into(), name.into()]);
    assert_eq!(
        shift,
        &Value::List(vec![key(50, "Shift_L"), key(62, "Shift_R")])
    );
    assert_eq!(names("modifiers-keynames.control"), ["Control_L"]);
    for (key, value) in [
        ("uuid", facts().uuid),
        ("session_name", facts().session_name),
    ] {
        assert_eq!(caps.text(key, 99).unwrap(), Some(value));
    }
}

#[test]
fn a_readonly_client_is_told_so() {
    let mut bench = Bench::accepted(gui());
    bench.supervisor(SupervisorToNetwork::Session(Box::new(SessionFacts {
        readonly: true,
        ..*facts()
    })));
    bench.display(answered());
    let ServerPacket::Hello(map) = bench.read().remove(0) else {
        panic!()
    };
    assert!(Caps::new(&map).bool("readonly", false));
    assert!(!Caps::new(&map).bool("client-shutdown", true));
}

/// Packets of a feature that a Python client does not have end its connection.
#[test]
fn a_client_without_windows_gets_none() {
    let mut hello = gui();
    (hello.windows, hello.ui_client, hello.events) = (false, false, false);
    hello.cursor.enabled = false;
    hello.bell = false;
    let mut bench = Bench::accepted(hello);
    bench.supervisor(SupervisorToNetwork::Session(facts()));
    assert!(
        bench
            .told()
            .encoder
            .contains(&NetworkToEncoder::Active(false))
    );
    bench.display(answered());
    bench.display(new_window(1));
    bench.display(DisplayToNetwork::Synced);
    bench.display(DisplayToNetwork::Bell {
        window: None,
        percent: 50,
        pitch: 1,
        duration: 1,
    });
    bench.display(DisplayToNetwork::DesktopSize {
        root: Size::new(800, 600).unwrap(),
        max_root: Size::new(8192, 4096).unwrap(),
    });
    bench.encoder(EncoderToNetwork::DefaultCursor);
    assert_eq!(bench.names(), ["hello"]);
}

// Requests.

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

// The client's input.

fn input(packet: ClientPacket) -> Vec<NetworkToDisplay> {
    let mut bench = Bench::attached(gui());
    bench.say(packet);
    bench.told().display
}

fn key(n: u32, pressed: bool) -> ClientPacket {
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

fn button(n: u32, pressed: bool) -> ClientPacket {
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
                    bench.auth(ipc::auth::AuthToNetwork::Challenge {
                        salt: vec![1; 64],
                        digest: ipc::auth::Digest::HmacSha512,
                        salt_digest: ipc::auth::Digest::HmacSha512,
                        prompt: String::new(),
                    });
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

#[path = "../../../wire/tests/common/mod.rs"]
mod transcript;

// What the session shows.

#[test]
fn windows_appear_change_and_disappear() {
    let mut bench = Bench::attached(gui());
    bench.display(DisplayToNetwork::NewWindow {
        window: window(2),
        geometry: geometry(72, 179, 256, 696),
        override_redirect: true,
        metadata: vec![],
    });
    let [ServerPacket::NewOverrideRedirect(new)] = &bench.read()[..] else {
        panic!()
    };
    assert_eq!(new.metadata, [p::Metadata::OverrideRedirect(true)]);
    for (n, name) in [
        (1, "window-move-resize"),
        (2, "configure-override-redirect"),
    ] {
        bench.display(DisplayToNetwork::MoveResize {
            window: window(n),
            geometry: geometry(1, 2, 3, 4),
            resize_counter: 5,
        });
        let packet = bench.received().remove(0);
        assert_eq!(packet.name, name);
        let numbers: Vec<_> = packet
            .args
            .iter()
            .map(|arg| arg.to_int().unwrap())
            .collect();
        let counter: &[i64] = if n == 1 { &[5] } else { &[] };
        assert_eq!(numbers, [&[n.into(), 1, 2, 3, 4], counter].concat());
    }
    bench.display(DisplayToNetwork::Metadata {
        window: window(1),
        metadata: vec![Metadata::State(WindowState::Focused, true)],
    });
    bench.display(DisplayToNetwork::Raise(window(1)));
    bench.display(DisplayToNetwork::LostWindow(window(1)));
    assert_eq!(
        bench.names(),
        ["window-metadata", "raise-window", "lost-window"]
    );
    // It is gone: late news about it are not passed on.
    bench.display(DisplayToNetwork::LostWindow(window(1)));
    bench.display(DisplayToNetwork::Raise(window(1)));
    bench.display(DisplayToNetwork::Metadata {
        window: window(1),
        metadata: vec![],
    });
    assert!(bench.received().is_empty());
    bench.say(ClientPacket::CloseWindow(wire_window(1)));
    assert!(bench.told().display.is_empty());
}

#[test]
fn only_metadata_that_the_client_takes_is_sent() {
    let mut hello = gui();
    hello.metadata_supported = vec!["pid".into(), "size-hints".into()];
    let mut bench = Bench::attached(hello);
    let metadata = vec![
        Metadata::Title("t".into()),
        Metadata::Pid(7),
        Metadata::SizeConstraints(ipc::display::SizeConstraints::default()),
    ];
    bench.display(DisplayToNetwork::Metadata {
        window: window(1),
        metadata,
    });
    let [ServerPacket::WindowMetadata { metadata, .. }] = &bench.read()[..] else {
        panic!()
    };
    let keys: Vec<_> = metadata.iter().map(p::Metadata::key).collect();
    assert_eq!(keys, ["pid", "size-constraints"]);
    let title = vec![Metadata::Title("t".into())];
    bench.display(DisplayToNetwork::Metadata {
        window: window(1),
        metadata: title,
    });
    assert!(bench.received().is_empty());
}

/// In the recorded session an xterm is `["xterm", "XTerm"]`: instance, then class.
#[test]
fn the_instance_comes_before_the_class() {
    let mut bench = Bench::attached(gui());
    let metadata = vec![Metadata::ClassInstance("XTerm".into(), "xterm".into())];
    bench.display(DisplayToNetwork::Metadata {
        window: window(1),
        metadata,
    });
    let packet = bench.received().remove(0);
    let expected = Value::dict([("class-instance", Value::list(["xterm", "XTerm"]))]);
    assert_eq!(packet.args[1], expected);
}

/// A client that names raw pixels but no order of them that we know can get none.
#[test]
fn raw_pixels_need_an_order() {
    let mut hello = gui();
    hello.encoding.rgb_formats = vec![p::RgbFormat::R210];
    let caps = bulkhead_network::translate::picture_caps(&hello);
    assert_eq!(caps.codings, [Coding::Png, Coding::Webp]);
}

#[test]
fn the_screen_and_the_bell() {
    let mut bench = Bench::attached(gui());
    let size = |root: (u32, u32)| DisplayToNetwork::DesktopSize {
        root: Size::new(root.0, root.1).unwrap(),
        max_root: Size::new(8192, 4096).unwrap(),
    };
    bench.display(size((1920, 1080)));
    assert!(bench.received().is_empty());
    bench.display(size((800, 600)));
    assert_eq!(bench.names(), ["desktop_size"]);
    let bell = DisplayToNetwork::Bell {
        window: None,
        percent: 50,
        pitch: 440,
        duration: 100,
    };
    bench.display(bell.clone());
    assert_eq!(bench.names(), ["bell"]);
    bench.say(ClientPacket::SetBell(false));
    assert_eq!(bench.told().display, [NetworkToDisplay::SetBell(false)]);
    bench.display(bell);
    assert!(bench.received().is_empty());
}

// Pictures.

/// Small pictures are inside their packet, large ones in a raw chunk: the bytes are the buffer's,
/// whatever the splits of the writes.
#[test]
fn pictures_arrive_as_they_are() {
    for (len, chunks) in [
        (1, true),
        (32_768, true),
        (32_769, true),
        (700_000, true),
        (700_000, false),
    ] {
        let mut hello = gui();
        hello.network.chunks = chunks;
        let mut bench = Bench::attached(hello);
        let mut encoder = FakeEncoder::default();
        bench.buffer(&mut encoder, 1 << 20);
        let content: Vec<u8> = (0..len)
            .map(|n: u32| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
            .collect();
        let draw = encoder.draw(1, 0, &content);
        bench.encoder(draw);
        // The header of a chunk, or that of a packet.
        let first = bench.next_write();
        assert_eq!(first[3], if chunks && len > 32_768 { 7 } else { 0 });
        assert!(bench.told().encoder.is_empty());
        let [ServerPacket::Draw(draw)] = &bench.read()[..] else {
            panic!()
        };
        assert!(draw.data == content, "{len}");
        assert_eq!((draw.sequence, draw.coding), (1, p::Coding::Webp));
        assert_eq!(
            (draw.x, draw.y, draw.size),
            (0, 0, p::Size::new(300, 200).unwrap())
        );
        assert_eq!(draw.options.window_size, p::Size::new(300, 200));
        assert_eq!(
            (draw.options.flush, draw.options.quality),
            (Some(0), Some(90))
        );
        assert_eq!(draw.options.rgb_format, Some(p::RgbFormat::Bgrx));
        assert_eq!(
            bench.told().encoder,
            [NetworkToEncoder::Written(OutputBuffer(0))]
        );
    }
}

/// A picture is written from its buffer also to a client that takes no chunks: what waits for it
/// is no copy.
#[test]
fn no_picture_is_copied() {
    for chunks in [false, true] {
        let mut hello = gui();
        hello.network.chunks = chunks;
        let mut bench = Bench::attached(hello);
        let mut encoder = FakeEncoder::default();
        for n in 0..2 {
            bench.buffer(&mut encoder, 9 << 20);
            let draw = encoder.draw(1, n, &vec![n.to_le_bytes()[0]; 9 << 20]);
            bench.encoder(draw);
        }
        assert!(bench.connection.outbox().waiting() < 1000);
        assert!(!bench.connection.is_closed());
        let draws = bench.read();
        for (n, packet) in draws.iter().enumerate() {
            let ServerPacket::Draw(draw) = packet else {
                panic!("{packet:?}")
            };
            assert!(draw.data.len() == 9 << 20 && draw.data.iter().all(|b| usize::from(*b) == n));
        }
        assert_eq!(draws.len(), 2);
    }
}

#[test]
fn raw_pixels_carry_their_layout() {
    let mut bench = Bench::attached(gui());
    let mut encoder = FakeEncoder::default();
    bench.buffer(&mut encoder, 100_000);
    let rect = ipc::Rect {
        x: 4,
        y: 5,
        size: Size::new(6, 13).unwrap(),
    };
    let data = encoder.put(0, &[3; 312]);
    let draw = encoder.raw(rect, data, bgrx(24, 0));
    bench.encoder(draw);
    let [ServerPacket::Draw(draw)] = &bench.read()[..] else {
        panic!()
    };
    assert_eq!((draw.x, draw.y, draw.rowstride), (4, 5, 24));
    assert_eq!((draw.options.lz4, draw.options.quality), (None, None));
    let data = encoder.put(0, &[3; 100]);
    let draw = encoder.raw(rect, data, bgrx(24, 2));
    bench.encoder(draw);
    let [ServerPacket::Draw(draw)] = &bench.read()[..] else {
        panic!()
    };
    assert_eq!((draw.options.lz4, draw.sequence), (Some(2), 2));
}

fn ack(sequence: u64, decode_time: i64) -> ClientPacket {
    ClientPacket::DrawAck(p::DrawAck {
        sequence,
        window: Some(wire_window(1)),
        width: 300,
        height: 200,
        decode_time,
        message: String::new(),
    })
}

#[test]
fn acknowledgements_reach_the_encoder_once() {
    let mut bench = Bench::attached(gui());
    let mut encoder = FakeEncoder::default();
    bench.buffer(&mut encoder, 100);
    for _ in 0..3 {
        let draw = encoder.draw(1, 0, b"x");
        bench.encoder(draw);
        bench.received();
    }
    bench.told();
    for packet in [
        ack(2, 500),
        ack(2, 500),
        ack(9, 1),
        ack(0, 1),
        ack(1, i64::MIN),
        ack(3, -1),
    ] {
        bench.say(packet);
    }
    let ack = |sequence, decode_us| NetworkToEncoder::Ack {
        sequence,
        decode_us,
    };
    assert_eq!(
        bench.told().encoder,
        [ack(2, 500), ack(1, i32::MIN), ack(3, -1)]
    );
}

#[test]
fn pictures_of_windows_that_are_gone_are_given_back() {
    let mut bench = Bench::attached(gui());
    let mut encoder = FakeEncoder::default();
    bench.buffer(&mut encoder, 100);
    let draw = encoder.draw(2, 0, b"x");
    assert!(bench.connection.is_early(&draw));
    bench.encoder(draw);
    assert!(bench.received().is_empty());
    let expected = [
        NetworkToEncoder::Ack {
            sequence: 1,
            decode_us: -2,
        },
        NetworkToEncoder::Written(OutputBuffer(0)),
    ];
    assert_eq!(bench.told().encoder, expected);
}

#[test]
fn icons_and_cursors() {
    let mut bench = Bench::attached(gui());
    let mut encoder = FakeEncoder::default();
    bench.buffer(&mut encoder, 100_000);
    let size = Size::new(9, 16).unwrap();
    let data = encoder.put(0, b"icon");
    bench.encoder(EncoderToNetwork::Icon {
        window: window(1),
        size,
        png: true,
        data,
    });
    let [ServerPacket::WindowIcon(icon)] = &bench.read()[..] else {
        panic!()
    };
    assert_eq!(
        (icon.width, icon.encoding.as_str(), &icon.data[..]),
        (9, "png", &b"icon"[..])
    );
    let data = encoder.put(0, b"cursor");
    let cursor = |png, data| EncoderToNetwork::Cursor {
        size,
        hotspot: (4, 8),
        serial: 3,
        png,
        data,
    };
    bench.encoder(cursor(true, data));
    let packet = bench.received().remove(0);
    // Clients test for nine items.
    assert!(packet.name == "cursor" && packet.args.len() >= 9);
    let [first, .., pixels, _, _] = &packet.args[..] else {
        panic!()
    };
    assert_eq!(
        (text(first), pixels),
        ("png".to_owned(), &Value::Bytes(b"cursor".to_vec()))
    );
    let data = encoder.put(0, &[1; 9 * 16 * 4]);
    bench.encoder(cursor(false, data));
    assert_eq!(text(&bench.received()[0].args[0]), "raw");
    bench.encoder(EncoderToNetwork::DefaultCursor);
    assert_eq!(bench.received(), [Packet::new("cursor", vec!["".into()])]);
    bench.say(ClientPacket::SetCursors(false));
    bench.told();
    bench.encoder(EncoderToNetwork::DefaultCursor);
    let data = encoder.put(0, b"cursor");
    bench.encoder(cursor(true, data));
    assert!(bench.received().is_empty());
    assert_eq!(
        bench.told().encoder,
        [NetworkToEncoder::Written(OutputBuffer(0))]
    );
}

#[test]
fn clients_without_the_old_cursor_packet_get_the_new_one() {
    let mut hello = gui();
    hello.cursor.legacy = false;
    let mut bench = Bench::attached(hello);
    let mut encoder = FakeEncoder::default();
    bench.buffer(&mut encoder, 100);
    let data = encoder.put(0, b"cursor");
    let size = Size::new(9, 16).unwrap();
    bench.encoder(EncoderToNetwork::Cursor {
        size,
        hotspot: (0, 0),
        serial: 1,
        png: true,
        data,
    });
    bench.encoder(EncoderToNetwork::DefaultCursor);
    assert_eq!(bench.names(), ["cursor-data", "cursor-default"]);
}

/// Security A3: what the client did not announce is never sent, and whoever tries is reported.
#[test]
fn an_encoder_that_breaks_rules_is_reported() {
    let size = Size::new(300, 200).unwrap();
    let small = ipc::Rect {
        x: 0,
        y: 0,
        size: Size::new(6, 13).unwrap(),
    };
    type Breach = Box<dyn Fn(&mut FakeEncoder) -> EncoderToNetwork>;
    let change = |f: fn(&mut EncoderToNetwork)| -> Breach {
        Box::new(move |encoder| {
            let mut draw = encoder.draw(1, 0, b"x");
            f(&mut draw);
            draw
        })
    };
    let raw = |len: usize, rowstride, lz4| -> Breach {
        Box::new(move |encoder| {
            let data = encoder.put(0, &vec![0; len]);
            encoder.raw(small, data, bgrx(rowstride, lz4))
        })
    };
    let breaches: Vec<(&str, Breach)> = vec![
        (
            "a coding",
            change(|m| {
                if let EncoderToNetwork::Draw { coding, .. } = m {
                    *coding = Coding::Jpeg
                }
            }),
        ),
        (
            "not inside",
            change(|m| {
                if let EncoderToNetwork::Draw { rect, .. } = m {
                    rect.x = 1
                }
            }),
        ),
        (
            "does not follow",
            change(|m| {
                if let EncoderToNetwork::Draw { sequence, .. } = m {
                    *sequence = 2
                }
            }),
        ),
        (
            "longer than",
            change(|m| {
                if let EncoderToNetwork::Draw { data, .. } = m {
                    data.bytes = 100_001
                }
            }),
        ),
        (
            "is empty",
            change(|m| {
                if let EncoderToNetwork::Draw { data, .. } = m {
                    data.bytes = 0
                }
            }),
        ),
        (
            "never passed",
            change(|m| {
                if let EncoderToNetwork::Draw { data, .. } = m {
                    data.buffer.0 = 1
                }
            }),
        ),
        (
            "beyond the last",
            change(|m| {
                if let EncoderToNetwork::Draw { data, .. } = m {
                    data.buffer.0 = 8
                }
            }),
        ),
        (
            "lz4 over",
            change(|m| {
                if let EncoderToNetwork::Draw { options, .. } = m {
                    options.lz4 = 1
                }
            }),
        ),
        ("wrong length", raw(311, 24, 0)),
        ("rows of a wrong", raw(312, 23, 0)),
        ("rows of a wrong", raw(312, u32::MAX, 0)),
        ("above 15", raw(312, 24, 16)),
        (
            "without their order",
            Box::new(move |encoder| {
                let data = encoder.put(0, &[0; 312]);
                encoder.raw(small, data, common::webp())
            }),
        ),
        (
            "did not announce",
            Box::new(move |encoder| {
                let data = encoder.put(0, &[0; 312]);
                let mut options = bgrx(24, 0);
                options.rgb_format = Some(ipc::frames::RgbFormat::Rgba);
                encoder.raw(small, data, options)
            }),
        ),
        (
            "an icon in",
            Box::new(move |encoder| {
                let data = encoder.put(0, b"x");
                EncoderToNetwork::Icon {
                    window: window(1),
                    size,
                    png: false,
                    data,
                }
            }),
        ),
        (
            "a cursor of a wrong",
            Box::new(move |encoder| {
                let data = encoder.put(0, b"x");
                EncoderToNetwork::Cursor {
                    size,
                    hotspot: (0, 0),
                    serial: 1,
                    png: false,
                    data,
                }
            }),
        ),
        (
            "a hot spot",
            Box::new(move |encoder| {
                let data = encoder.put(0, b"x");
                EncoderToNetwork::Cursor {
                    size,
                    hotspot: (300, 0),
                    serial: 1,
                    png: true,
                    data,
                }
            }),
        ),
        (
            "a screenshot",
            Box::new(move |encoder| {
                let data = encoder.put(0, b"x");
                EncoderToNetwork::Screenshot { size, data }
            }),
        ),
    ];
    for (text, breach) in breaches {
        let mut bench = Bench::attached(gui());
        let mut encoder = FakeEncoder::default();
        bench.buffer(&mut encoder, 100_000);
        let message = breach(&mut encoder);
        bench.encoder(message);
        let told = bench.told();
        let [
            NetworkToSupervisor::Violation(Violation {
                peer: Peer::Encoder(_),
                what,
            }),
        ] = &told.supervisor[..]
        else {
            panic!("{text}: {told:?}")
        };
        assert!(what.contains(text), "{what}");
        assert_eq!(told.closed, [Effect::CloseEncoder]);
        assert!(bench.received().is_empty() && !bench.connection.is_closed());
    }
}

#[test]
fn a_buffer_belongs_to_one_side_at_a_time() {
    let mut bench = Bench::attached(gui());
    let mut encoder = FakeEncoder::default();
    bench.buffer(&mut encoder, 100);
    let first = encoder.draw(1, 0, b"x");
    let second = encoder.draw(1, 0, b"y");
    bench.encoder(first);
    bench.encoder(second);
    let told = bench.told();
    assert!(
        matches!(told.supervisor[..], [NetworkToSupervisor::Violation(_)]),
        "{told:?}"
    );
}

// Restarts.

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

// Silence and slowness.

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
