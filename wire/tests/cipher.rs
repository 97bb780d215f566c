//! The AES layer against what the stock code made, against a second
//! implementation, and against everything that somebody on the way may do.

mod offer;

use aes::cipher::{BlockModeEncrypt, KeyIvInit, StreamCipher};
use offer::any_offer;
use proptest::prelude::*;
use serde_json::Value as Json;
use wire::caps::Caps;
use wire::cipher::{
    BLOCK, CipherOffer, Direction, Framing, Iterations, KeyHash, KeyParameters, KeySize, Mode,
    OfferError, Opener, Salt, Sealer, SessionKey, Suite, derive,
};
use wire::limits::{HEADER_SIZE, Limits};
use wire::packet::Packet;
use wire::record::{
    self, ChunkIndex, Compression, Header, Kind, Message, RecordError, RecordReader,
};
use wire::rencodeplus::Value;

const RANDOM: [u8; 32] = [5; 32];

fn hex(json: &Json) -> Vec<u8> {
    let text = json.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

fn suite(mode: Mode, framing: Framing, size: KeySize) -> Suite {
    let bytes: Vec<u8> = (0..).take(size.bytes()).collect();
    Suite {
        mode,
        framing,
        iv: *b"0123456789abcdef",
        key: SessionKey::new(&bytes).unwrap(),
        direction: Direction::ClientToServer,
    }
}

/// Every way of sealing that exists.
fn suites() -> Vec<Suite> {
    let mut suites = Vec::new();
    for mode in Mode::ALL {
        for size in KeySize::ALL {
            suites.push(suite(*mode, Framing::Stream, *size));
            if !mode.is_authenticated() {
                suites.push(suite(*mode, Framing::PerRecord, *size));
            }
        }
    }
    assert_eq!(suites.len(), 3 * 2 * 3 + 3);
    suites
}

fn header(size: usize) -> Header {
    Header {
        encrypted: false,
        kind: Kind::Main { flush: false },
        compression: Compression::None,
        size: size.try_into().unwrap(),
    }
}

fn seal(sealer: &mut Sealer, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    record::seal(sealer, header(payload.len()), payload, &mut out).unwrap();
    out
}

fn reader(suite: &Suite) -> RecordReader {
    let mut reader = RecordReader::new(Limits::SERVER_TO_CLIENT);
    reader.set_opener(Opener::new(suite.clone()).unwrap());
    reader
}

fn read(reader: &mut RecordReader, bytes: &[u8]) -> Result<Vec<Vec<u8>>, RecordError> {
    reader.push(bytes);
    let mut payloads = Vec::new();
    while let Some(Message { payload, .. }) = reader.next_message()? {
        payloads.push(payload);
    }
    Ok(payloads)
}

/// What the stock 6.5.5 code made of the same key data and records.
#[test]
fn stock_vectors() {
    let json: Json = serde_json::from_str(include_str!("data/aes.json")).unwrap();
    let vectors = json["vectors"].as_array().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for vector in vectors {
        let text = |key: &str| vector[key].as_str().unwrap();
        let number = |key: &str| vector[key].as_i64().unwrap();
        let caps = Value::dict([
            ("cipher", "AES".into()),
            ("mode", text("mode").into()),
            ("iv", text("iv_text").into()),
            ("key_salt", Value::Bytes(hex(&vector["key_salt"]))),
            ("key_size", Value::Int(number("key_size"))),
            ("key_hash", text("key_hash").into()),
            ("key_stretch_iterations", Value::Int(number("iterations"))),
        ]);
        let offer = CipherOffer::parse(&Caps::of(&caps).unwrap())
            .unwrap()
            .unwrap();
        let key = derive(&hex(&vector["key_data"]), &offer.key);
        assert_eq!(key.as_bytes(), hex(&vector["key"]), "{vector}");
        seen.insert((
            offer.mode.name(),
            offer.key.size.bytes(),
            offer.key.hash.name(),
        ));

        let suite = Suite {
            mode: offer.mode,
            framing: offer.framing,
            iv: offer.iv,
            key,
            direction: Direction::ServerToClient,
        };
        let mut sealer = Sealer::new(&suite, RANDOM).unwrap();
        let mut reader = reader(&suite);
        for record in vector["stream_records"].as_array().unwrap() {
            let plain = hex(&record["plain"]);
            let sealed = seal(&mut sealer, &plain);
            assert_eq!(sealed[HEADER_SIZE..], hex(&record["cipher"]), "{record}");
            assert_eq!(read(&mut reader, &sealed).unwrap(), [plain]);
        }
    }
    assert_eq!(vectors.len(), 36);
    assert_eq!(
        seen.len(),
        27,
        "three modes, three sizes, three hashes: {seen:?}"
    );
}

/// Each unauthenticated mode, as another implementation has it.
#[test]
fn another_implementation_agrees() {
    for mode in [Mode::Cbc, Mode::Ctr, Mode::Cfb] {
        let suite = suite(mode, Framing::Stream, KeySize::Aes256);
        let (key, iv) = (suite.key.as_bytes(), &suite.iv[..]);
        let mut stream = Sealer::new(&suite, RANDOM).unwrap();
        for (number, size) in [1u8, 15, 16, 17, 200].into_iter().enumerate() {
            let plain = vec![size; size.into()];
            // The first record of a context of its own …
            let sealed = seal(&mut Sealer::new(&suite, RANDOM).unwrap(), &plain);
            let mut expected = plain.clone();
            match mode {
                Mode::Cbc => {
                    let mut cbc = cbc::Encryptor::<aes::Aes256>::new_from_slices(key, iv).unwrap();
                    let missing = BLOCK - expected.len() % BLOCK;
                    expected.resize(expected.len() + missing, missing.try_into().unwrap());
                    for block in expected.chunks_exact_mut(BLOCK) {
                        cbc.encrypt_block(block.try_into().unwrap());
                    }
                }
                Mode::Ctr => ctr::Ctr128BE::<aes::Aes256>::new_from_slices(key, iv)
                    .unwrap()
                    .apply_keystream(&mut expected),
                Mode::Cfb => cfb_mode::BufEncryptor::<aes::Aes256>::new_from_slices(key, iv)
                    .unwrap()
                    .encrypt(&mut expected),
                Mode::Gcm => unreachable!("has a test of its own"),
            }
            assert_eq!(sealed[HEADER_SIZE..], expected, "{mode:?} {size}");
            // … and a later one of a context that goes on.
            let streamed = seal(&mut stream, &plain);
            assert_eq!(streamed == sealed, number == 0, "{mode:?} {size}");
        }
    }
}

#[test]
fn a_header_is_either_sealed_or_not_accepted() {
    for suite in suites() {
        let mut sealer = Sealer::new(&suite, RANDOM).unwrap();
        let sealed = seal(&mut sealer, b"payload");
        let mut clear = RecordReader::new(Limits::SERVER_TO_CLIENT);
        assert_eq!(read(&mut clear, &sealed), Err(RecordError::Encrypted));
        let plain = wire::record::RecordWriter::new(false)
            .record(&Packet::new("ping", vec![]), true)
            .unwrap();
        assert_eq!(
            read(&mut reader(&suite), &plain),
            Err(RecordError::NotEncrypted)
        );
    }
}

/// Every bit of the first three GCM records, each flipped alone: nothing of
/// that record is ever seen, and the records before it are whole.
#[test]
fn every_flipped_bit_is_noticed() {
    let suite = suite(Mode::Gcm, Framing::Stream, KeySize::Aes256);
    let mut sealer = Sealer::new(&suite, RANDOM).unwrap();
    let payloads: [&[u8]; 3] = [b"first", b"the second", b"third"];
    let records: Vec<Vec<u8>> = payloads.iter().map(|p| seal(&mut sealer, p)).collect();
    for (number, record) in records.iter().enumerate() {
        for bit in 0..record.len() * 8 {
            let mut reader = reader(&suite);
            for (before, payload) in records.iter().zip(payloads).take(number) {
                assert_eq!(read(&mut reader, before).unwrap(), [payload]);
            }
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A larger size makes the reader wait: give it more than it asks.
            reader.push(&flipped);
            for _ in 0..3 {
                reader.push(&[0; 1 << 20]);
            }
            match reader.next_message() {
                Err(_) => {}
                Ok(None) => assert!((4 * 8..8 * 8).contains(&bit), "bit {bit} of {number}"),
                Ok(Some(message)) => panic!("bit {bit} of record {number}: {message:?}"),
            }
        }
    }
}

#[test]
fn gcm_records_keep_their_place() {
    let suite = suite(Mode::Gcm, Framing::Stream, KeySize::Aes128);
    let mut sealer = Sealer::new(&suite, RANDOM).unwrap();
    let [a, b, c] = [b"a", b"b", b"c"].map(|payload| seal(&mut sealer, payload));
    let open = |records: &[&Vec<u8>]| {
        let mut reader = reader(&suite);
        let mut got = Vec::new();
        for record in records {
            match read(&mut reader, record) {
                Ok(payloads) => got.extend(payloads.concat()),
                Err(_) => return (String::from_utf8(got).unwrap(), true),
            }
        }
        (String::from_utf8(got).unwrap(), false)
    };
    let good = |text: &str| (text.to_owned(), false);
    let bad = |text: &str| (text.to_owned(), true);
    assert_eq!(open(&[&a, &b, &c]), good("abc"));
    assert_eq!(open(&[&a, &a]), bad("a"), "sent again");
    assert_eq!(open(&[&a, &b, &b]), bad("ab"), "sent again");
    assert_eq!(open(&[&a, &c]), bad("a"), "left out");
    assert_eq!(open(&[&b, &c, &c]), bad(""), "the start left out");
    assert_eq!(open(&[&a, &c, &b]), bad("a"), "changed places");
    assert_eq!(open(&[&a[..a.len() - 1].to_vec()]), good(""), "cut off");
    assert_eq!(open(&[&a[..a.len() - 1].to_vec(), &b]), bad(""), "spliced");
}

/// What one side sent is nothing for the same side, and the same offer a second
/// time makes other bytes of the same text.
#[test]
fn gcm_is_of_one_direction_and_one_start() {
    let suite = suite(Mode::Gcm, Framing::Stream, KeySize::Aes256);
    let sealed = seal(&mut Sealer::new(&suite, RANDOM).unwrap(), b"payload");
    let back = Suite {
        direction: Direction::ServerToClient,
        ..suite.clone()
    };
    assert!(read(&mut reader(&back), &sealed).is_err());

    let again = seal(&mut Sealer::new(&suite, [6; 32]).unwrap(), b"payload");
    let text = HEADER_SIZE + RANDOM.len();
    assert_eq!(sealed[..HEADER_SIZE], again[..HEADER_SIZE]);
    assert_ne!(sealed[text..], again[text..]);
    assert_eq!(read(&mut reader(&suite), &again).unwrap(), [b"payload"]);
}

#[test]
fn records_bring_vectors_of_their_own() {
    let suite = suite(Mode::Cbc, Framing::PerRecord, KeySize::Aes256);
    let mut sealer = Sealer::new(&suite, RANDOM).unwrap();
    let [a, b] = [(); 2].map(|()| seal(&mut sealer, b"the same"));
    // 16 bytes of vector are announced, 8 bytes of padding are not.
    assert_eq!(a[..HEADER_SIZE], [b'P', 0x12, 0, 0, 0, 0, 0, 24]);
    assert_eq!(a.len(), HEADER_SIZE + 16 + 16);
    assert_ne!(a[8..24], b[8..24]);
    assert_ne!(a[24..], b[24..]);
    // They can be read in any order: nothing here is authenticated.
    assert_eq!(
        read(&mut reader(&suite), &[b, a].concat()).unwrap(),
        [b"the same"; 2]
    );
}

fn offer() -> CipherOffer {
    CipherOffer {
        mode: Mode::Cbc,
        framing: Framing::Stream,
        iv: *b"0123456789abcdef",
        key: KeyParameters {
            salt: Salt::new(vec![3; 64]).unwrap(),
            hash: KeyHash::Sha1,
            size: KeySize::Aes256,
            iterations: Iterations::DEFAULT,
        },
    }
}

fn parse(change: &[(&str, Value)]) -> Result<Option<CipherOffer>, OfferError> {
    let mut map = offer().into_map();
    map.extend(change.iter().map(|(k, v)| ((*k).into(), v.clone())));
    CipherOffer::parse(&Caps::new(&map))
}

#[test]
fn offers() {
    assert_eq!(parse(&[]).unwrap().unwrap(), offer());
    assert_eq!(CipherOffer::parse(&Caps::EMPTY).unwrap(), None);
    let refused: &[(&str, Value, &str)] = &[
        ("cipher", "DES".into(), "\"DES\": only AES"),
        ("mode", "ECB".into(), "mode \"ECB\" is not supported"),
        ("mode", "GCM".into(), "does not verify"),
        ("iv", "short".into(), "16 characters"),
        ("iv", "0123456789abcdef0".into(), "16 characters"),
        ("iv", "0123456789abcde\u{100}".into(), "16 characters"),
        ("key_salt", Value::Bytes(vec![1; 15]), "16 to 256 bytes"),
        ("key_salt", Value::Bytes(vec![1; 257]), "16 to 256 bytes"),
        ("key_salt", Value::Bytes(vec![1; 5000]), "larger than"),
        ("key_size", Value::Int(8), "keys of 8 bytes"),
        ("key_size", Value::Int(-1), "keys of -1 bytes"),
        ("key_hash", "MD5".into(), "\"MD5\" is not supported"),
        ("key_stretch", "none".into(), "\"none\" is not supported"),
        ("key_stretch_iterations", Value::Int(999), "999 iterations"),
        (
            "key_stretch_iterations",
            Value::Int(200_001),
            "200001 iterations",
        ),
        ("key_stretch_iterations", Value::Int(i64::MAX), "iterations"),
        ("padding", "legacy".into(), "\"legacy\" is not supported"),
    ];
    for (key, value, expected) in refused {
        let error = parse(&[(key, value.clone())]).unwrap_err().to_string();
        assert!(error.contains(expected), "{key}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
    // Every vector that is 16 characters of Latin-1.
    let iv: String = (240..=255u8).map(char::from).collect();
    let offer = parse(&[("iv", iv.into())]).unwrap().unwrap();
    assert_eq!(
        offer.iv,
        std::array::from_fn(|i| 240 + u8::try_from(i).unwrap())
    );
}

/// A chunk that came in clear is no part of a packet that is sealed.
#[test]
fn nothing_in_clear_is_merged_with_what_is_sealed() {
    let suite = suite(Mode::Gcm, Framing::Stream, KeySize::Aes256);
    let chunk = Header {
        kind: Kind::Chunk(ChunkIndex::new(1).unwrap()),
        ..header(1)
    };
    let mut reader = RecordReader::new(Limits::SERVER_TO_CLIENT);
    assert_eq!(
        read(&mut reader, &[&chunk.to_bytes()[..], b"x"].concat()).unwrap(),
        [b""; 0]
    );
    reader.set_opener(Opener::new(suite.clone()).unwrap());
    let mut sealer = Sealer::new(&suite, RANDOM).unwrap();
    let sealed = seal(&mut sealer, b"le");
    assert_eq!(read(&mut reader, &sealed), Err(RecordError::NotEncrypted));
}

proptest! {
    #[test]
    fn offers_round_trip(offer in any_offer()) {
        let map = offer.clone().into_map();
        prop_assert_eq!(CipherOffer::parse(&Caps::new(&map)).unwrap(), Some(offer));
    }

    /// Whatever is sent arrives, however it is split.
    #[test]
    fn records_round_trip(
        suite in prop::sample::select(suites()),
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut sealer = Sealer::new(&suite, RANDOM).unwrap();
        let sent: Vec<u8> = payloads.iter().flat_map(|p| seal(&mut sealer, p)).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(sent.len())).collect();
        cuts.extend([0, sent.len()]);
        cuts.sort_unstable();
        let mut reader = reader(&suite);
        let mut got = Vec::new();
        for pair in cuts.windows(2) {
            got.extend(read(&mut reader, &sent[pair[0]..pair[1]]).unwrap());
        }
        prop_assert_eq!(got, payloads);
        prop_assert_eq!(reader.pending(), 0);
    }

    /// Another key, or any bytes at all: an error or other bytes, never these.
    #[test]
    fn another_key_opens_nothing(
        suite in prop::sample::select(suites()),
        payload in prop::collection::vec(any::<u8>(), 32..300),
    ) {
        let sealed = seal(&mut Sealer::new(&suite, RANDOM).unwrap(), &payload);
        let other = Suite {
            key: SessionKey::new(&vec![0xee; suite.key.size().bytes()]).unwrap(),
            ..suite.clone()
        };
        if let Ok(got) = read(&mut reader(&other), &sealed) {
            prop_assert!(!suite.mode.is_authenticated());
            prop_assert_ne!(got, vec![payload]);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        suite in prop::sample::select(suites()),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        size in 0u8..255,
    ) {
        let mut sent = vec![b'P', 0x12, 0, 0, 0, 0, 0, size];
        sent.extend(bytes);
        let _ = read(&mut reader(&suite), &sent);
    }
}
