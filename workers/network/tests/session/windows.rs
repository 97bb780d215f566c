//! What the session shows.

use crate::common::{Bench, FakeEncoder, geometry, gui, window, wire_window};
use crate::text;
use ipc::Size;
use ipc::display::{DisplayToNetwork, Metadata, NetworkToDisplay, WindowState};
use ipc::frames::{EncoderToNetwork, NetworkToEncoder, OutputBuffer};
use wire::packet::{self as p, ClientPacket, Packet, ServerPacket};
use wire::rencodeplus::Value;

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
