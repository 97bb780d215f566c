//! The seeds of the fuzz targets reach every packet and every message, so that ten seconds of
//! fuzzing do too. Who adds one adds a line to the file in `tests/fuzz/seeds`: a name, and the
//! bytes in hex (those of a text are paragraphs in a file that ends in `.txt`).

#[path = "fuzz/directions.rs"]
mod directions;

use directions::DIRECTIONS;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use test_client::wire::limits::Limits;
use test_client::wire::packet::{
    ClientPacket, Packet, PreAuthPacket, ServerPacket, accepted_names,
};
use test_client::wire::record::{Message, RecordReader};

/// The seeds of a target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let text = std::fs::read_to_string(directory.join(format!("{target}.hex"))).unwrap();
    let seed = |line: &str| {
        let (name, hex) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        let byte = |n: usize| u8::from_str_radix(hex.get(n..n + 2)?, 16).ok();
        let bytes = (0..hex.len()).step_by(2).map(byte);
        let bytes = bytes.collect::<Option<_>>();
        (
            name.to_owned(),
            bytes.unwrap_or_else(|| panic!("{name}: not hex")),
        )
    };
    text.lines().map(seed).collect()
}

/// The name of an enum's variant, and the names of all of them: a new one does not compile.
macro_rules! variants {
    ($function:ident: $enum:ident { $($variant:ident)* }) => {
        fn $function() -> (BTreeSet<&'static str>, fn(&$enum) -> &'static str) {
            ([$(stringify!($variant)),*].into(), |value| match value {
                $($enum::$variant { .. } => stringify!($variant),)*
            })
        }
    };
}

variants!(client_packets: ClientPacket {
    Disconnect Ping PingEcho MapWindow UnmapWindow ConfigureWindow CloseWindow Focus WindowAction
    WindowSignal BufferRefresh DrawAck Key LayoutChanged KeymapChanged KeyboardSync PointerMotion
    PointerButton WheelMotion Encoding Tuning SetCursors SetBell ConfigureDisplay ForceUngrab
    SharingToggle LockToggle Suspend Resume BandwidthLimit InfoRequest ShutdownServer ExitServer
    Hello Ignored
});
variants!(server_packets: ServerPacket {
    Hello Challenge Disconnect Ping PingEcho StartupComplete Encodings SettingChange ServerEvent
    InfoResponse NewWindow NewOverrideRedirect LostWindow RaiseWindow RestackWindow
    InitiateMoveResize ConfigureOverrideRedirect WindowMoveResize WindowResized WindowMetadata
    WindowIcon Draw EndOfStream Bell PointerPosition PointerGrab PointerUngrab Cursor DesktopSize
    ShowDesktop Screenshot Ignored
});
variants!(pre_auth_packets: PreAuthPacket { Hello Disconnect });

#[test]
fn every_packet_is_reached() {
    let (mut client, client_kind) = client_packets();
    let (mut server, server_kind) = server_packets();
    let (mut pre_auth, pre_auth_kind) = pre_auth_packets();
    let mut names: BTreeSet<&str> = accepted_names().iter().copied().collect();
    for (seed, payload) in seeds("packet") {
        let message = || Message {
            payload: payload.clone(),
            chunks: Vec::new(),
            flush: false,
        };
        if let Ok(packet) = PreAuthPacket::decode(message(), &Limits::PRE_AUTH.budget) {
            pre_auth.remove(pre_auth_kind(&packet));
        }
        let packet = Packet::decode(message(), &Limits::SERVER_TO_CLIENT.budget)
            .unwrap_or_else(|error| panic!("{seed}: {error}"));
        let name = packet.name.clone();
        if let Ok(packet) = ClientPacket::parse(packet.clone()) {
            client.remove(client_kind(&packet));
            names.remove(name.as_str());
        }
        if let Ok(packet) = ServerPacket::parse(packet) {
            server.remove(server_kind(&packet));
        }
    }
    let none = BTreeSet::new();
    assert_eq!(names, none, "names that no seed has");
    assert_eq!(
        (client, server, pre_auth),
        (none.clone(), none.clone(), none)
    );
}

/// How many variants an enum has: what serde says of a number that is none of them.
fn variant_count(check: fn(&[u8]) -> Result<String, String>) -> u8 {
    const NONE: u8 = 250;
    let error = check(&[NONE]).expect_err("so many variants");
    let number = error.rsplit_once("0 <= i < ").map(|(_, number)| number);
    let number = number.unwrap_or_else(|| panic!("serde says it otherwise: {error}"));
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn every_message_between_our_processes_is_reached() {
    let mut missing: BTreeMap<&str, BTreeSet<u8>> = DIRECTIONS
        .iter()
        .map(|direction| {
            (
                direction.name,
                (0..variant_count(direction.check)).collect(),
            )
        })
        .collect();
    for (seed, data) in seeds("channel") {
        let (direction, bytes) = directions::chosen(&data).expect("not empty");
        let message = (direction.check)(bytes);
        let message = message.unwrap_or_else(|error| panic!("{seed}: {error}"));
        let variant = message
            .split(|c: char| !c.is_alphanumeric())
            .next()
            .unwrap();
        assert_eq!(seed, format!("{}:{variant}", direction.name));
        missing.get_mut(direction.name).unwrap().remove(&bytes[0]);
    }
    missing.retain(|_, variants| !variants.is_empty());
    assert!(
        missing.is_empty(),
        "variants that no seed has, by number: {missing:?}"
    );
}

#[test]
fn every_target_has_seeds() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut targets = 0;
    for entry in std::fs::read_dir(fuzz.join("targets")).unwrap() {
        let path = entry.unwrap().path();
        let target = path.file_stem().and_then(|stem| stem.to_str()).unwrap();
        match std::fs::read_to_string(fuzz.join(format!("seeds/{target}.txt"))) {
            Ok(text) => assert!(text.contains("\n\n"), "{target}: paragraphs"),
            Err(_) => assert!(!seeds(target).is_empty(), "{target}"),
        }
        targets += 1;
    }
    assert!(targets >= 9);
}

/// The list of directions is that of the policies.
#[test]
fn every_channel_is_fuzzed() {
    let mut declared = BTreeSet::new();
    for role in policy::Role::ALL {
        for peer in policy::of(role).channels {
            declared.insert(format!("{}>{}", role.name(), peer.name()));
            declared.insert(format!("{}>{}", peer.name(), role.name()));
        }
    }
    let listed: BTreeSet<_> = DIRECTIONS
        .iter()
        .map(|direction| direction.name.to_owned())
        .collect();
    assert_eq!(listed, declared);
}

#[test]
fn records_in_every_form_are_reached() {
    let (mut plain, mut compressed, mut chunks) = (0, 0, 0);
    for (seed, data) in seeds("record") {
        compressed += usize::from(data[3] != 0);
        plain += usize::from(data[3] == 0);
        let mut reader = RecordReader::new(Limits::SERVER_TO_CLIENT);
        reader.push(&data[1..]);
        while let Some(message) = reader
            .next_message()
            .unwrap_or_else(|e| panic!("{seed}: {e}"))
        {
            chunks += message.chunks.len();
        }
    }
    assert!(
        plain > 0 && compressed > 0 && chunks > 0,
        "{plain}, {compressed}, {chunks}"
    );
}
