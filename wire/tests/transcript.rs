//! A recorded session between stock 6.5.5 peers is read in full.

mod common;

use common::transcript;
use std::collections::BTreeSet;
use wire::caps::Caps;
use wire::challenge::{Digest, Hash};
use wire::hello::{ClientHello, Request};
use wire::limits::Limits;
use wire::packet::{
    ClientPacket, Coding, Metadata, Modifiers, Packet, PreAuthPacket, RgbFormat, ServerPacket,
    Size, WindowId, WindowType, reason,
};
use wire::record::{Message, RecordReader, RecordWriter};
use wire::rencodeplus::Value;

/// Dicts in the order of their keys.
fn sorted(value: Value) -> Value {
    match value {
        Value::List(items) => Value::List(items.into_iter().map(sorted).collect()),
        Value::Dict(pairs) => {
            let mut pairs: Vec<_> = pairs.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            pairs.sort_by_key(|(key, _)| format!("{key:?}"));
            Value::Dict(pairs)
        }
        other => other,
    }
}

/// Through records, as a peer would see it.
fn through_the_wire(packet: &Packet, limits: Limits) -> Message {
    let mut reader = RecordReader::new(limits);
    reader.push(&RecordWriter::new(true).record(packet, true).unwrap());
    let message = reader.next_message().unwrap().unwrap();
    assert_eq!(reader.pending(), 0);
    message
}

fn client_hello(message: Message) -> ClientHello {
    match PreAuthPacket::decode(message, &Limits::PRE_AUTH.budget).unwrap() {
        PreAuthPacket::Hello(hello) => *hello,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_client_packet() {
    let mut ignored = BTreeSet::new();
    let mut typed = BTreeSet::new();
    for line in transcript() {
        if !line.from.starts_with("client") || line.packet.name == "hello" {
            continue;
        }
        let message = through_the_wire(&line.packet, Limits::CLIENT_TO_SERVER);
        let packet = Packet::decode(message, &Limits::CLIENT_TO_SERVER.budget).unwrap();
        assert_eq!(packet, line.packet);
        match ClientPacket::parse(packet) {
            Ok(ClientPacket::Ignored { name }) => {
                ignored.insert(name);
            }
            Ok(packet) => {
                // What we write is what we read.
                let again = packet.clone().into_packet();
                assert_eq!(again.name, line.packet.name);
                assert_eq!(ClientPacket::parse(again).unwrap(), packet);
                typed.insert(line.packet.name);
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(
        ignored.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "audio-capabilities",
            "clipboard-contents",
            "clipboard-enable-selections",
            "clipboard-request",
            "clipboard-token",
            "sound-control",
        ]
    );
    assert_eq!(
        typed.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "configure-window",
            "damage-sequence",
            "focus",
            "info-request",
            "key-action",
            "keymap-changed",
            "layout-changed",
            "map-window",
            "ping",
            "ping_echo",
            "pointer",
            "pointer-button",
            "set-keyboard-sync-enabled",
        ]
    );
}

#[test]
fn every_server_packet() {
    let mut ignored = BTreeSet::new();
    for line in transcript() {
        if !line.from.starts_with("server") {
            continue;
        }
        let message = through_the_wire(&line.packet, Limits::SERVER_TO_CLIENT);
        let packet = Packet::decode(message, &Limits::SERVER_TO_CLIENT.budget).unwrap();
        let typed = ServerPacket::parse(packet).unwrap();
        if let ServerPacket::Ignored { name } = typed {
            ignored.insert(name);
            continue;
        }
        // What we would send is what upstream sent, but for the order of maps.
        let mut theirs = line.packet;
        if theirs.name == "cursor" {
            theirs.args.truncate(11);
        }
        let ours = typed.into_packet();
        assert_eq!(ours.name, theirs.name);
        assert_eq!(
            sorted(Value::List(ours.args)),
            sorted(Value::List(theirs.args)),
            "{}",
            theirs.name
        );
    }
    assert_eq!(
        ignored.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "audio-capabilities",
            "clipboard-contents",
            "clipboard-request",
            "clipboard-token",
            "notify_show",
            "sound-data",
        ]
    );
}

#[test]
fn the_desktop_clients_hello() {
    let line = transcript().swap_remove(2);
    let hello = client_hello(through_the_wire(&line.packet, Limits::PRE_AUTH));
    assert_eq!(hello.identity.version, "6.5");
    assert_eq!(hello.identity.client_type, "Python/GTK3");
    assert_eq!(hello.identity.username, "root");
    assert_eq!(hello.identity.uuid.len(), 64);
    assert_eq!(hello.identity.session_id.len(), 32);
    assert!(hello.network.rencodeplus && hello.network.lz4 && hello.network.chunks);
    assert_eq!(hello.network.encryption, Ok(None));
    assert_eq!(hello.auth.digests.len(), 13);
    assert!(hello.auth.digests.contains(&Digest::Xor));
    assert_eq!(
        wire::challenge::choose(&hello.auth.salt_digests),
        Some(Hash::Sha512)
    );
    assert_eq!(hello.auth.response.as_ref().unwrap().len(), 128);
    assert_eq!(hello.auth.client_salt.as_ref().unwrap().len(), 32);
    assert!(!hello.auth.wants_challenge);
    assert_eq!(hello.request, None);
    assert!(hello.ui_client && hello.windows && hello.steal && hello.events);
    assert!(!hello.share && !hello.lock);
    assert!(hello.keyboard && hello.keyboard_sync && hello.bell && hello.system_tray);
    assert!(hello.show_desktop);
    assert_eq!(hello.key_repeat, Some((660, 40)));
    assert_eq!(hello.keymap.layout, "us");
    assert_eq!(hello.keymap.query.as_ref().unwrap().model, "pc105");
    assert_eq!(hello.keymap.mod_meanings.len(), 14);
    assert_eq!(hello.keymap.mod_pointermissing, Modifiers::from_mask(16));
    assert!(hello.keymap.sync && hello.keymap.layout_groups && !hello.keymap.raw);
    assert_eq!(hello.display.desktop_size, Size::new(1920, 1080));
    assert_eq!(hello.display.monitors.len(), 1);
    assert_eq!(hello.display.monitors[0].name, "screen");
    assert_eq!(hello.display.screens[0].name, ":200.0");
    assert_eq!(hello.display.dpi, Some((100, 100)));
    assert_eq!(hello.display.refresh_rate, Some(5));
    assert_eq!(hello.encoding.core.len(), 12);
    assert!(hello.encoding.core.contains(&Coding::JpegAlpha));
    assert_eq!(
        hello.encoding.rgb_formats,
        [RgbFormat::Bgrx, RgbFormat::Bgra]
    );
    assert!(hello.encoding.rgb_lz4 && hello.encoding.transparency);
    assert_eq!(hello.encoding.min_quality, Some(1));
    assert_eq!(hello.encoding.quality, None);
    assert_eq!(hello.encoding.auto_refresh_delay, Some(150));
    assert_eq!(hello.encoding.icon_encodings, ["BGRA", "default", "png"]);
    assert_eq!(hello.encoding.icon_size, Some((64, 64)));
    assert_eq!(hello.encoding.icon_max_size, Some((128, 128)));
    assert!(hello.cursor.enabled && hello.cursor.legacy);
    assert_eq!(hello.cursor.encodings, ["raw", "default", "png"]);
    assert!(hello.metadata_supported.iter().any(|key| key == "shape"));
    assert_eq!(hello.wants, ["events", "packet-types"]);
}

#[test]
fn the_command_line_clients_hellos() {
    let requests: Vec<_> = transcript()
        .into_iter()
        .filter(|line| line.from.starts_with("client") && line.packet.name == "hello")
        .map(|line| client_hello(through_the_wire(&line.packet, Limits::PRE_AUTH)))
        .filter(|hello| hello.auth.response.is_none())
        .filter_map(|hello| {
            assert!(
                !hello.ui_client && !hello.windows && !hello.keyboard || hello.request.is_none()
            );
            hello.request
        })
        .collect();
    assert_eq!(
        requests,
        [
            Request::Command(vec!["help".into()]),
            Request::Info,
            Request::Version,
            Request::Screenshot,
            Request::Id,
            Request::Detach,
            Request::Stop,
        ]
    );
}

#[test]
fn hellos_fit_before_authentication() {
    for line in transcript() {
        if line.from.starts_with("client") && line.packet.name == "hello" {
            let record = RecordWriter::new(false).record(&line.packet, true).unwrap();
            assert!(record.len() < 64 * 1024, "{}", record.len());
        }
    }
}

#[test]
fn some_packets_in_detail() {
    let mut seen = 0;
    for line in transcript() {
        if line.from == "client1" && line.packet.name != "hello" {
            match ClientPacket::parse(line.packet).unwrap() {
                ClientPacket::ConfigureWindow(p) if p.window.get() == 6_291_513 => {
                    let pointer = p.pointer.unwrap();
                    assert_eq!(pointer.window, None);
                    assert_eq!((pointer.position.x, pointer.position.y), (200, 200));
                    assert_eq!(pointer.modifiers.names(), ["control"]);
                    assert_eq!(p.state.focused, Some(true));
                    assert_eq!(p.properties.rgb_formats.unwrap().len(), 6);
                    assert_eq!(p.properties.render_size, Size::new(256, 696));
                    assert!(p.skip_geometry);
                    seen += 1;
                }
                ClientPacket::Key(key) if key.keysym == "H" => {
                    assert_eq!(key.modifiers.mask(), 1);
                    assert_eq!((key.keyval, key.keycode, key.group), (72, 43, 0));
                    seen += 1;
                }
                ClientPacket::KeymapChanged { keymap, .. } => {
                    assert!(keymap.keycodes.len() > 200);
                    assert!(!keymap.x11_keycodes.is_empty());
                    assert!(keymap.x11_keycodes.iter().any(|(code, names)| {
                        *code == 10 && names.first().is_some_and(|name| name == "1")
                    }));
                    seen += 1;
                }
                _ => {}
            }
        } else if line.from == "server1" {
            match ServerPacket::parse(line.packet).unwrap() {
                ServerPacket::NewWindow(new) if new.window.get() == 6_291_468 => {
                    assert!(new.metadata.contains(&Metadata::Title("xterm".into())));
                    assert!(
                        new.metadata
                            .contains(&Metadata::WindowType(vec![WindowType::Normal]))
                    );
                    assert!(new.metadata.contains(&Metadata::RequestedPosition((0, 0))));
                    seen += 1;
                }
                ServerPacket::Draw(draw) if draw.sequence == 3 => {
                    assert_eq!(draw.coding, Coding::Rgb24);
                    assert_eq!(draw.options.rgb_format, Some(RgbFormat::Bgrx));
                    assert_eq!(draw.options.lz4, Some(1));
                    assert_eq!(draw.rowstride, 48);
                    assert_eq!(draw.options.window_size, Size::new(484, 316));
                    assert_eq!(Some(draw.window), WindowId::new(6_291_468));
                    seen += 1;
                }
                ServerPacket::Disconnect(p) => {
                    assert_eq!(p.reason, reason::DETACH_REQUEST);
                    seen += 1;
                }
                ServerPacket::Hello(map) => {
                    let caps = Caps::new(&map);
                    assert_eq!(caps.text("server.mode", 99).unwrap().unwrap(), "seamless");
                    assert!(caps.bool("lz4", false));
                    seen += 1;
                }
                _ => {}
            }
        }
    }
    assert_eq!(seen, 7);
}
