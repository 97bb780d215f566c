//! What a client hears first, and who is told of it.

use crate::common::{Bench, answered, facts, gui, gui_caps, new_window};
use crate::text;
use ipc::Size;
use ipc::display::{DisplayToNetwork, NetworkToDisplay};
use ipc::frames::{EncoderToNetwork, NetworkToEncoder};
use ipc::network::{NetworkToSupervisor, SessionFacts, SupervisorToNetwork};
use wire::caps::Caps;
use wire::packet::ServerPacket;
use wire::rencodeplus::Value;

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
