//! The seeds of the fuzz targets reach every packet and every message, so that ten seconds of
//! fuzzing do too. Who adds one adds a line to the file in `tests/fuzz/seeds`: a name, and the
//! bytes in hex (those of a text are paragraphs in a file that ends in `.txt`).

#[path = "fuzz/directions.rs"]
mod directions;

use directions::{DIRECTIONS, Direction};
use std::collections::BTreeSet;
use std::path::Path;
use test_client::wire::limits::Limits;
use test_client::wire::packet::{
    ClientPacket, Packet, PreAuthPacket, ServerPacket, UpgradePacket, accepted_names,
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
variants!(upgrade_packets: UpgradePacket { Agreed Disconnect });

#[test]
fn every_packet_is_reached() {
    let (mut client, client_kind) = client_packets();
    let (mut server, server_kind) = server_packets();
    let (mut pre_auth, pre_auth_kind) = pre_auth_packets();
    let (mut upgrade, upgrade_kind) = upgrade_packets();
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
        if let Ok(packet) = UpgradePacket::decode(message(), &Limits::PRE_AUTH.budget) {
            upgrade.remove(upgrade_kind(&packet));
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
        (client, server, pre_auth, upgrade),
        (none.clone(), none.clone(), none.clone(), none)
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

/// `direction:Variant`, as a seed is called.
fn message_name(direction: &Direction, message: &str) -> String {
    let end = message.find(|c: char| !c.is_alphanumeric());
    format!(
        "{}:{}",
        direction.name,
        &message[..end.unwrap_or(message.len())]
    )
}

/// The line of a small message of this variant: zeros and ones, as many as it takes.
fn suggestion(number: usize, variant: u8) -> Option<String> {
    fn fill(direction: &Direction, bytes: &mut Vec<u8>) -> Option<String> {
        match (direction.check)(bytes) {
            Ok(message) => return Some(message),
            Err(error) if !error.contains("UnexpectedEnd") || bytes.len() > 400 => return None,
            Err(_) => {}
        }
        (0..2).find_map(|byte| {
            bytes.push(byte);
            fill(direction, bytes).or_else(|| {
                bytes.pop();
                None
            })
        })
    }
    let (direction, mut bytes) = (&DIRECTIONS[number], vec![variant]);
    let name = message_name(direction, &fill(direction, &mut bytes)?);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{name} {number:02x}{hex}"))
}

#[test]
fn every_message_between_our_processes_is_reached() {
    let mut missing: BTreeSet<(usize, u8)> = DIRECTIONS
        .iter()
        .enumerate()
        .flat_map(|(number, direction)| {
            (0..variant_count(direction.check)).map(move |variant| (number, variant))
        })
        .collect();
    let mut stale = Vec::new();
    for (seed, data) in seeds("channel") {
        let (direction, bytes) = directions::chosen(&data).expect("not empty");
        match (direction.check)(bytes).map(|message| message_name(direction, &message)) {
            Ok(name) if name == seed => _ = missing.remove(&(usize::from(data[0]), bytes[0])),
            Ok(name) => stale.push(format!("{seed} is {name}")),
            Err(error) => stale.push(format!("{seed}: {error}")),
        }
    }
    let suggested = |&(number, variant): &(usize, u8)| {
        suggestion(number, variant)
            .unwrap_or_else(|| format!("(variant {variant} of {})", DIRECTIONS[number].name))
    };
    let missing: Vec<_> = missing.iter().map(suggested).collect();
    assert!(
        missing.is_empty() && stale.is_empty(),
        "lines of channel.hex that are to go:\n{}\nto come, unless there are better ones:\n{}",
        stale.join("\n"),
        missing.join("\n")
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

/// As messages name a role: those that check a login outside of `auth` hear and say the same.
fn end(role: policy::Role) -> &'static str {
    match role.name() {
        name if name.starts_with("auth-") => "check",
        name => name,
    }
}

/// The list of directions is that of the policies.
#[test]
fn every_channel_is_fuzzed() {
    // The one that no worker has: `bulkhead reload`.
    let own = ["command>supervisor", "supervisor>command"];
    let mut declared = BTreeSet::from(own.map(str::to_owned));
    for role in policy::Role::ALL {
        for peer in policy::of(role).channels {
            declared.insert(format!("{}>{}", end(role), end(*peer)));
            declared.insert(format!("{}>{}", end(*peer), end(role)));
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
