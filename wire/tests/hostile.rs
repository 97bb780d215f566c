//! What a hostile peer sends. Named rows are the attack classes of the threat
//! model: A4 and A29 rencode, A21 before authentication, A22 framing.

use proptest::collection::vec;
use proptest::prelude::*;
use wire::caps::Caps;
use wire::hello::{ClientHello, DisplayCaps, Keymap};
use wire::limits::Limits;
use wire::lz4::{self, Lz4Error};
use wire::packet::{
    ClientPacket, MessageError, Packet, PreAuthError, PreAuthPacket, ServerPacket, accepted_names,
};
use wire::record::{ChunkIndex, Message, RecordError, RecordReader, RecordWriter};
use wire::rencodeplus::{self, Budget, DecodeError, Value};

const BUDGET: Budget = Limits::CLIENT_TO_SERVER.budget;

fn message(payload: Vec<u8>) -> Message {
    Message {
        payload,
        chunks: Vec::new(),
        flush: false,
    }
}

fn header(flags: u8, compression: u8, index: u8, size: usize) -> Vec<u8> {
    let mut bytes = vec![b'P', flags, compression, index];
    bytes.extend(u32::try_from(size).unwrap().to_be_bytes());
    bytes
}

fn record(flags: u8, compression: u8, index: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(flags, compression, index, payload.len());
    bytes.extend(payload);
    bytes
}

fn first_error(limits: Limits, bytes: &[u8]) -> RecordError {
    let mut reader = RecordReader::new(limits);
    reader.push(bytes);
    loop {
        match reader.next_message() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error"),
            Err(error) => {
                // It stays an error, whatever follows.
                reader.push(&record(0x10, 0, 0, b"x"));
                assert_eq!(reader.next_message(), Err(error));
                assert_eq!(reader.pending(), 0);
                return error;
            }
        }
    }
}

// A29: 200,000 nested lists in one packet.
#[test]
fn nesting_is_an_error_not_a_stack_overflow() {
    for open in [59u8, 60, 193, 103] {
        let bytes = vec![open; 200_000];
        let unlimited = Budget {
            depth: 1000,
            items: usize::MAX,
            bytes: usize::MAX,
        };
        assert!(rencodeplus::decode(&bytes, &unlimited).is_err());
    }
    for open in [59u8, 193] {
        assert_eq!(
            rencodeplus::decode(&[open; 100], &Limits::PRE_AUTH.budget),
            Err(DecodeError::TooDeep(12))
        );
    }
    let mut bytes = vec![193u8];
    bytes.extend(b"\x85hello");
    bytes.extend(vec![59u8; 60_000]);
    assert_eq!(
        PreAuthPacket::decode(message(bytes), &Limits::PRE_AUTH.budget),
        Err(PreAuthError::Message(MessageError::Decode(
            DecodeError::Trailing(60_000)
        )))
    );
}

// A4: type codes that made a decoder loop or allocate.
#[test]
fn rencode_codes_that_looped() {
    let decode = |bytes: &[u8]| rencodeplus::decode(bytes, &BUDGET);
    // Codes that start no value, alone and in a list without end.
    for code in (45..=58).filter(|code| !(48..=57).contains(code)) {
        assert_eq!(decode(&[code]), Err(DecodeError::UnknownCode(code)));
        assert_eq!(
            decode(&[59, code, 127]),
            Err(DecodeError::UnknownCode(code))
        );
    }
    // A list or dict that never ends, one of nothing but terminators.
    assert_eq!(decode(&[59]), Err(DecodeError::Truncated));
    assert_eq!(decode(&[60, 1]), Err(DecodeError::Truncated));
    assert_eq!(decode(&[127]), Err(DecodeError::UnexpectedEnd));
    assert_eq!(decode(&[193, 127]), Err(DecodeError::UnexpectedEnd));
    assert_eq!(decode(&[103, 1, 127]), Err(DecodeError::UnexpectedEnd));
    assert_eq!(decode(&[60, 1, 127]), Err(DecodeError::UnexpectedEnd));
    // Keys that are no scalars, empty or not.
    for key in [&[192u8][..], &[193, 1], &[59, 127]] {
        let bytes = [&[103][..], key, &[1]].concat();
        assert_eq!(decode(&bytes), Err(DecodeError::BadKey("list")));
    }
    for key in [&[102u8][..], &[103, 1, 1], &[60, 127]] {
        let bytes = [&[103][..], key, &[1]].concat();
        assert_eq!(decode(&bytes), Err(DecodeError::BadKey("dict")));
    }
    // Lengths beyond the end, beyond a word, of no digits.
    assert_eq!(decode(b"99999999:x"), Err(DecodeError::Truncated));
    assert_eq!(
        decode(b"99999999999999999999999999999:x"),
        Err(DecodeError::Truncated)
    );
    assert_eq!(decode(b"5"), Err(DecodeError::Truncated));
    assert_eq!(decode(b"5x"), Err(DecodeError::BadLength));
    assert_eq!(decode(b"00/"), Err(DecodeError::BadLength));
    assert_eq!(decode(b"0/"), Ok(Value::Bytes(Vec::new())));
    // Integers of no digits, of too many, of other characters.
    for bad in [
        &b"\x3d\x7f"[..],
        b"\x3d-\x7f",
        b"\x3d+1\x7f",
        b"\x3d1x\x7f",
        b"\x3d01\x7f",
    ] {
        assert_eq!(decode(bad), Err(DecodeError::BadInteger), "{bad:?}");
    }
    assert_eq!(decode(b"\x3d-0\x7f"), Err(DecodeError::BadInteger));
    assert_eq!(decode(b"\x3d12"), Err(DecodeError::Truncated));
    let mut long = vec![61];
    long.extend(vec![b'9'; 100_000]);
    assert_eq!(decode(&long), Err(DecodeError::BadInteger));
}

#[test]
fn budgets_hold() {
    let small = Budget {
        depth: 2,
        items: 5,
        bytes: 4,
    };
    let decode = |bytes: &[u8]| rencodeplus::decode(bytes, &small);
    assert!(decode(&[0xc4, 1, 2, 3, 4]).is_ok());
    assert_eq!(
        decode(&[0xc5, 1, 2, 3, 4, 5]),
        Err(DecodeError::TooManyItems(5))
    );
    assert_eq!(
        decode(&[59, 1, 2, 3, 4, 5, 127]),
        Err(DecodeError::TooManyItems(5))
    );
    assert!(decode(&[0xc1, 0xc0]).is_ok());
    assert_eq!(decode(&[0xc1, 0xc1, 0xc0]), Err(DecodeError::TooDeep(2)));
    assert!(decode(b"\xc2\x82ab2/cd").is_ok());
    assert_eq!(
        decode(b"\xc2\x82ab3/cde"),
        Err(DecodeError::TooManyBytes(4))
    );
}

// A21: every packet type but two is refused by its name, before its arguments
// are decoded.
#[test]
fn before_authentication_only_hello_and_disconnect() {
    let budget = &Limits::PRE_AUTH.budget;
    for name in accepted_names().iter().copied().chain([
        "",
        "x",
        "Hello",
        "hello ",
        "ssl-upgrade",
        "challenge",
    ]) {
        // The arguments are no rencodeplus at all.
        let mut payload = vec![194];
        rencodeplus::encode_into(&name.into(), &mut payload);
        payload.extend([45; 99]);
        let error = PreAuthPacket::decode(message(payload), budget).unwrap_err();
        match name {
            "disconnect" | "connection-close" => assert_eq!(
                error,
                PreAuthError::Message(MessageError::Decode(DecodeError::UnknownCode(45)))
            ),
            "" => assert_eq!(
                error,
                PreAuthError::Message(MessageError::Decode(DecodeError::NotAPacket))
            ),
            name => assert_eq!(error, PreAuthError::NotAllowed { name: name.into() }),
        }
    }
    // Not lists, no names, names that are too long.
    for payload in [
        vec![],
        vec![1],
        vec![192],
        vec![193, 1],
        vec![193, 192],
        vec![102],
        vec![59, 127],
        b"\xc165:".iter().copied().chain([b'a'; 65]).collect(),
        b"\xc1\x81\xff".to_vec(),
    ] {
        assert!(PreAuthPacket::decode(message(payload), budget).is_err());
    }
    let hello = Packet::new("hello", vec![Value::Dict(Vec::new())]);
    assert!(PreAuthPacket::decode(message(hello.encode()), budget).is_ok());
    let no_map = Packet::new("hello", vec![Value::Int(1)]);
    assert!(PreAuthPacket::decode(message(no_map.encode()), budget).is_err());
}

#[test]
fn hello_bounds_every_string_and_list() {
    let long = "x".repeat(300);
    let many: Vec<Value> = vec!["x".into(); 600];
    for (key, value) in [
        ("uuid", Value::from(long.as_str())),
        ("username", long.as_str().into()),
        ("request", long.as_str().into()),
        ("digest", Value::List(many.clone())),
        ("wants", Value::List(many.clone())),
        ("metadata.supported", Value::List(many.clone())),
        ("encodings", Value::dict([("core", Value::List(many))])),
        (
            "monitors",
            Value::Dict((0..17).map(|i| (i.into(), Value::Dict(vec![]))).collect()),
        ),
        ("challenge_response", Value::Bytes(vec![0; 16_385])),
        ("challenge_client_salt", Value::Bytes(vec![0; 1024])),
        (
            "keymap",
            Value::dict([("keycodes", Value::List(vec![Value::None; 2049]))]),
        ),
    ] {
        let map = [(Value::from(key), value)];
        assert!(ClientHello::parse(&map).is_err(), "{key}");
    }
    // Wrong types are absent, not errors.
    for key in ["uuid", "digest", "monitors", "keymap", "key_repeat", "dpi"] {
        for value in [Value::None, Value::Float(0.5), Value::Int(-7)] {
            let map = [(Value::from(key), value)];
            assert!(ClientHello::parse(&map).is_ok(), "{key}");
        }
    }
}

// A22: framing.
#[test]
fn size_limits_are_checked_by_the_header_alone() {
    let limits = Limits::PRE_AUTH;
    assert_eq!(
        first_error(limits, &header(0x10, 0, 0, 65_537)),
        RecordError::PayloadTooLarge {
            size: 65_537,
            allowed: 65_536
        }
    );
    // 65,536 bytes and their header are more than the phase allows.
    assert_eq!(
        first_error(limits, &header(0x10, 0, 0, 65_536)),
        RecordError::TotalTooLarge { allowed: 65_536 }
    );
    let mut two = record(0x10, 0, 0, &[1; 40_000]);
    two.extend(header(0x10, 0, 0, 30_000));
    assert_eq!(
        first_error(limits, &two),
        RecordError::TotalTooLarge { allowed: 65_536 }
    );
    // A new phase counts anew.
    let mut reader = RecordReader::new(limits);
    reader.push(&record(0x10, 0, 0, &[1; 40_000]));
    assert!(reader.next_message().unwrap().is_some());
    reader.set_limits(Limits::CLIENT_TO_SERVER);
    reader.push(&record(0x10, 0, 0, &[1; 400_000]));
    assert!(reader.next_message().unwrap().is_some());
}

#[test]
fn encrypted_records_need_a_cipher() {
    for flags in [0x12, 0x1a] {
        assert_eq!(
            first_error(Limits::PRE_AUTH, &record(flags, 0, 0, b"x")),
            RecordError::Encrypted
        );
    }
}

#[test]
fn lz4_bombs() {
    let limits = Limits::CLIENT_TO_SERVER;
    // Says 4 GiB − 1.
    let mut bomb = lz4::compress(&vec![0; 1 << 20]);
    bomb[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(
        first_error(limits, &record(0x10, 0x11, 0, &bomb)),
        RecordError::Lz4(Lz4Error::TooLarge { .. })
    ));
    // Says less than it is, or more.
    for size in [1u32, (1 << 20) + 1] {
        bomb[..4].copy_from_slice(&size.to_le_bytes());
        assert!(matches!(
            first_error(limits, &record(0x10, 0x11, 0, &bomb)),
            RecordError::Lz4(Lz4Error::Corrupt | Lz4Error::Ratio { .. })
        ));
    }
    // A real bomb: 4 MiB and one byte out of 16 KB.
    let bomb = lz4::compress(&vec![0; (4 << 20) + 1]);
    assert!(bomb.len() < 17_000);
    assert!(matches!(
        first_error(limits, &record(0x10, 0x11, 0, &bomb)),
        RecordError::Lz4(Lz4Error::TooLarge { .. })
    ));
    // Three of them as chunks and one as main, each below the limit.
    let half = lz4::compress(&vec![0; 2 << 20]);
    let mut all = record(0, 0x11, 1, &half);
    all.extend(record(0, 0x11, 2, &half));
    all.extend(record(0, 0x11, 3, &half));
    assert!(matches!(
        first_error(limits, &all),
        RecordError::Lz4(Lz4Error::TooLarge { allowed: 0, .. })
    ));
    let mut plain = Vec::new();
    for index in 1..=3 {
        plain.extend(record(0, 0, index, &vec![0; 1 << 20]));
    }
    plain.extend(record(0x10, 0, 0, &vec![0; 1 << 20]));
    plain.extend(record(0, 0, 1, &vec![0; 1 << 20]));
    let mut reader = RecordReader::new(limits);
    reader.push(&plain);
    assert!(reader.next_message().unwrap().is_some());
    assert_eq!(reader.pending(), (1 << 20) + 8);
}

#[test]
fn chunk_games() {
    let limits = Limits::CLIENT_TO_SERVER;
    let main = Packet::new(
        "p",
        vec![
            Value::Bytes(vec![]),
            1.into(),
            Value::Bytes(vec![9]),
            "".into(),
            Value::Bytes(vec![]),
        ],
    )
    .encode();
    let with = |indexes: &[u8]| -> Result<Packet, MessageError> {
        let mut bytes = Vec::new();
        for index in indexes {
            bytes.extend(record(0, 0, *index, &[*index]));
        }
        bytes.extend(record(0x10, 0, 0, &main));
        let mut reader = RecordReader::new(limits);
        reader.push(&bytes);
        let message = reader.next_message().unwrap().unwrap();
        assert_eq!(message.chunks.len(), indexes.len());
        Packet::decode(message, &BUDGET)
    };
    let packet = with(&[5, 1]).unwrap();
    assert_eq!(packet.args[0], Value::Bytes(vec![1]));
    assert_eq!(packet.args[4], Value::Bytes(vec![5]));
    // An integer, bytes that are not empty, text, beyond the end.
    for index in [2, 3, 4, 6, 15] {
        assert_eq!(with(&[index]), Err(MessageError::NoPlaceholder(index)));
    }
    // Twice; a fourth; any before authentication.
    let chunk = |index| record(0, 0, index, b"x");
    let twice = [chunk(1), chunk(1)].concat();
    assert_eq!(first_error(limits, &twice), RecordError::RepeatedChunk(1));
    let four = [chunk(1), chunk(2), chunk(3), header(0, 0, 4, 1)].concat();
    assert_eq!(
        first_error(limits, &four),
        RecordError::TooManyChunks { allowed: 3 }
    );
    assert_eq!(
        first_error(Limits::PRE_AUTH, &header(0, 0, 1, 1)),
        RecordError::TooManyChunks { allowed: 0 }
    );
    // They belong to one packet only.
    let mut reader = RecordReader::new(limits);
    reader.push(
        &[
            chunk(1),
            record(0x10, 0, 0, &main),
            record(0x10, 0, 0, &main),
        ]
        .concat(),
    );
    assert_eq!(reader.next_message().unwrap().unwrap().chunks.len(), 1);
    assert_eq!(reader.next_message().unwrap().unwrap().chunks.len(), 0);
}

#[test]
fn packets_with_too_much() {
    let decode = |packet: Packet| Packet::decode(message(packet.encode()), &BUDGET);
    let long = Packet::new(&"x".repeat(65), vec![]);
    assert_eq!(decode(long), Err(MessageError::NameTooLong(65)));
    let many = Packet::new("x", vec![Value::None; 65]);
    assert_eq!(decode(many), Err(MessageError::TooManyArgs(65)));
    assert_eq!(decode(Packet::new("", vec![])), Err(MessageError::NoName));
}

#[test]
fn a_chunk_is_sent_without_its_bytes() {
    let writer = RecordWriter::new(true);
    let head = writer.chunk_header(ChunkIndex::DRAW, 100_000).unwrap();
    assert_eq!(head, [b'P', 0, 0, 7, 0, 1, 0x86, 0xa0]);
    assert!(writer.chunk_header(ChunkIndex::DRAW, 0).is_err());
    assert!(writer.chunk_header(ChunkIndex::DRAW, 1 << 32).is_err());
}

/// Values of every kind, some deep.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::from),
        (-70i64..300).prop_map(Value::Int),
        any::<f64>()
            .prop_filter("not equal to itself", |v| !v.is_nan())
            .prop_map(Value::Float),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::None),
        vec(any::<u8>(), 0..80).prop_map(Value::Bytes),
        ".{0,80}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 200, 70, |inner| {
        let key = prop_oneof![
            ".{0,20}".prop_map(Value::Text),
            any::<i64>().prop_map(Value::Int),
            vec(any::<u8>(), 0..9).prop_map(Value::Bytes),
            Just(Value::Text(String::new())),
        ];
        prop_oneof![
            vec(inner.clone(), 0..70).prop_map(Value::List),
            vec((key, inner), 0..30).prop_map(Value::Dict),
        ]
    })
}

const KEYS: &[&str] = &[
    "version",
    "uuid",
    "encoders",
    "lz4",
    "digest",
    "request",
    "run",
    "window",
    "windows",
    "metadata.supported",
    "keymap",
    "key_repeat",
    "modifiers",
    "display",
    "desktop_size",
    "screen_sizes",
    "monitors",
    "dpi",
    "encodings",
    "encoding",
    "cursor",
    "keycodes",
    "x11_keycodes",
    "query_struct",
    "mod_meanings",
    "challenge_response",
    "geometry",
    "pointer",
    "position",
    "state",
    "properties",
    "scroll",
    "window-size",
    "frame",
    "",
];

/// Keys that the readers look for, with values of every kind.
fn any_caps() -> impl Strategy<Value = Vec<(Value, Value)>> {
    vec(
        (
            prop::sample::select(KEYS).prop_map(Value::from),
            any_value(),
        ),
        0..12,
    )
}

const SERVER_NAMES: &[&str] = &[
    "hello",
    "challenge",
    "disconnect",
    "ping",
    "ping_echo",
    "startup-complete",
    "encodings",
    "setting-change",
    "server-event",
    "info-response",
    "new-window",
    "new-override-redirect",
    "window-create",
    "lost-window",
    "raise-window",
    "restack-window",
    "initiate-moveresize",
    "configure-override-redirect",
    "window-move-resize",
    "window-resized",
    "window-metadata",
    "window-icon",
    "draw",
    "eos",
    "bell",
    "pointer-position",
    "pointer-grab",
    "pointer-ungrab",
    "cursor",
    "cursor-data",
    "cursor-default",
    "desktop_size",
    "show-desktop",
    "screenshot",
    "x",
];

/// Arguments that get past the first checks now and then.
fn any_args() -> impl Strategy<Value = Vec<Value>> {
    let arg = prop_oneof![
        4 => (0i64..400).prop_map(Value::Int),
        2 => any::<bool>().prop_map(Value::Bool),
        2 => prop::sample::select(&["png", "rgb24", "a", ""][..]).prop_map(Value::from),
        2 => any_caps().prop_map(Value::Dict),
        1 => vec((0i64..9).prop_map(Value::Int), 0..7).prop_map(Value::List),
        1 => any_value(),
    ];
    vec(arg, 0..14)
}

proptest! {
    #[test]
    fn rencodeplus_round_trip(value in any_value()) {
        let bytes = rencodeplus::encode(&value);
        prop_assert_eq!(rencodeplus::decode(&bytes, &BUDGET).unwrap(), value);
        // Not one byte less, not one byte more.
        prop_assert!(rencodeplus::decode(&bytes[..bytes.len() - 1], &BUDGET).is_err());
        let mut more = bytes;
        more.push(1);
        prop_assert_eq!(rencodeplus::decode(&more, &BUDGET), Err(DecodeError::Trailing(1)));
    }

    #[test]
    fn rencodeplus_arbitrary_bytes(bytes in vec(any::<u8>(), 0..400)) {
        let _ = rencodeplus::packet_name(&bytes, 64);
        if let Ok(value) = rencodeplus::decode(&bytes, &BUDGET) {
            let again = rencodeplus::encode(&value);
            // Compared as bytes: a float may not equal itself.
            let value = rencodeplus::decode(&again, &BUDGET).unwrap();
            prop_assert_eq!(rencodeplus::encode(&value), again);
        }
    }

    #[test]
    fn rencodeplus_flipped_bytes(value in any_value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = rencodeplus::encode(&value);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = rencodeplus::decode(&bytes, &BUDGET);
    }

    #[test]
    fn records_of_arbitrary_bytes(
        bytes in vec(any::<u8>(), 0..200),
        head in prop::sample::select(&[0x10u8, 0x18, 0, 0xff][..]),
        split in 1usize..20,
    ) {
        let mut all = vec![b'P', head, 0, 0, 0, 0, 0, 9];
        all.extend(bytes);
        for limits in [Limits::PRE_AUTH, Limits::CLIENT_TO_SERVER] {
            let mut reader = RecordReader::new(limits);
            for part in all.chunks(split) {
                reader.push(part);
                while let Ok(Some(message)) = reader.next_message() {
                    let _ = PreAuthPacket::decode(message.clone(), &limits.budget);
                    let _ = Packet::decode(message, &limits.budget);
                }
            }
        }
    }

    #[test]
    fn records_in_any_split(
        packets in vec((any_value(), any::<bool>(), vec(any::<u8>(), 0..500), 0u8..=3), 1..6),
        splits in vec(1usize..200, 1..50),
    ) {
        let mut bytes = Vec::new();
        let mut sent = Vec::new();
        for (value, lz4, data, chunks) in packets {
            let writer = RecordWriter::new(lz4);
            let mut args = vec![Value::Bytes(Vec::new()); 3];
            args.push(value);
            let mut message_chunks = Vec::new();
            for index in 1..=chunks {
                let mut data = data.clone();
                data.push(index);
                let index = ChunkIndex::new(index).unwrap();
                bytes.extend(writer.chunk_header(index, data.len()).unwrap());
                bytes.extend(&data);
                message_chunks.push((index, data));
            }
            let packet = Packet::new("packet", args);
            bytes.extend(writer.record(&packet, lz4).unwrap());
            sent.push(Message { payload: packet.encode(), chunks: message_chunks, flush: lz4 });
        }
        let mut reader = RecordReader::new(Limits::CLIENT_TO_SERVER);
        let mut received = Vec::new();
        let mut rest = bytes.as_slice();
        let mut splits = splits.iter().cycle();
        while !rest.is_empty() {
            let (part, tail) = rest.split_at(rest.len().min(*splits.next().unwrap()));
            rest = tail;
            reader.push(part);
            while let Some(message) = reader.next_message().unwrap() {
                received.push(message);
            }
        }
        prop_assert_eq!(reader.pending(), 0);
        prop_assert_eq!(received, sent);
    }

    #[test]
    fn client_packets_of_arbitrary_arguments(
        name in prop::sample::select(accepted_names()),
        args in any_args(),
    ) {
        // What is accepted can be written, and reads the same again.
        if let Ok(packet) = ClientPacket::parse(Packet::new(name, args)) {
            let again = ClientPacket::parse(packet.clone().into_packet());
            prop_assert_eq!(again.as_ref(), Ok(&packet));
        }
    }

    #[test]
    fn server_packets_of_arbitrary_arguments(
        name in prop::sample::select(SERVER_NAMES),
        args in any_args(),
    ) {
        if let Ok(packet) = ServerPacket::parse(Packet::new(name, args)) {
            let again = ServerPacket::parse(packet.clone().into_packet());
            prop_assert_eq!(again.as_ref(), Ok(&packet));
        }
    }

    #[test]
    fn hellos_of_arbitrary_maps(map in any_caps()) {
        let caps = Caps::new(&map);
        let _ = Keymap::parse(&caps);
        let _ = DisplayCaps::parse_configure(&caps);
        if let Ok(hello) = ClientHello::parse(&map) {
            let again = ClientHello::parse(&hello.clone().into_map());
            prop_assert_eq!(again, Ok(hello));
        }
    }
}
