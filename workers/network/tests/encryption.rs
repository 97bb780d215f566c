//! The AES layer: a client that has a key, and a `keys` that derives with it, both played here.

mod common;

use bulkhead_network::connection::Effect;
use common::{Bench, FakeEncoder, answered, challenge, facts, gui, new_window};
use ipc::auth::{AuthToNetwork, NetworkToAuth};
use ipc::display::DisplayToNetwork;
use ipc::keys::{AesMode, Derivation, DerivedKey, KeyHash as Hash, KeysToNetwork, NetworkToKeys};
use ipc::network::{NetworkToSupervisor, Request, SupervisorToNetwork};
use ipc::verdict::Peer;
use std::time::Duration;
use wire::caps::Caps;
use wire::cipher::{
    CipherOffer, Direction, Framing, Iterations, KeyHash, KeyParameters, KeySize, Mode, Opener,
    Salt, Sealer, Suite, derive,
};
use wire::hello::{ClientHello, Identity, Request as Asked};
use wire::limits::{HEADER_SIZE, Limits};
use wire::packet::{Challenge, ClientPacket, Packet, ServerPacket};
use wire::record::{Header, RecordReader, RecordWriter, seal};

const MODES: [(AesMode, Mode); 4] = [
    (AesMode::Cbc, Mode::Cbc),
    (AesMode::Ctr, Mode::Ctr),
    (AesMode::Cfb, Mode::Cfb),
    (AesMode::Gcm, Mode::Gcm),
];

/// A client with a key.
struct Client {
    mode: Mode,
    framing: Framing,
    key_data: &'static [u8],
    hellos: u8,
    sealer: Option<Sealer>,
}

impl Client {
    fn new(mode: Mode, framing: Framing) -> Self {
        Self {
            mode,
            framing,
            key_data: b"key data",
            hellos: 0,
            sealer: None,
        }
    }

    fn suite(&self, offer: &CipherOffer, direction: Direction) -> Suite {
        Suite {
            mode: offer.mode,
            framing: offer.framing,
            iv: offer.iv,
            key: derive(self.key_data, &offer.key),
            direction,
        }
    }

    /// Sends a hello with an offer of its own; from then on it opens what it gets as it offered.
    fn hello(&mut self, bench: &mut Bench, hello: ClientHello) {
        let (record, opener) = self.sealed_hello(hello);
        bench.bytes(&record);
        bench.reader.set_opener(opener);
    }

    /// The record of a hello, and what opens the answer.
    fn sealed_hello(&mut self, mut hello: ClientHello) -> (Vec<u8>, Opener) {
        self.hellos += 1;
        let mut offer = CipherOffer {
            mode: self.mode,
            framing: self.framing,
            iv: [b'a' + self.hellos; 16],
            ..common::offer()
        };
        offer.key.salt = Salt::new(vec![self.hellos; 64]).unwrap();
        hello.network.encryption = Ok(Some(offer.clone()));
        let record = self.sealed(hello.into_packet());
        let suite = self.suite(&offer, Direction::ServerToClient);
        (record, Opener::new(suite).unwrap())
    }

    fn send(&mut self, bench: &mut Bench, packet: Packet) {
        bench.bytes(&self.sealed(packet));
    }

    /// The record that would be sent next.
    fn sealed(&mut self, packet: Packet) -> Vec<u8> {
        let plain = RecordWriter::new(true).record(&packet, true).unwrap();
        let Some(sealer) = &mut self.sealer else {
            return plain;
        };
        let (header, payload) = plain.split_first_chunk::<HEADER_SIZE>().unwrap();
        let mut sealed = Vec::new();
        seal(
            sealer,
            Header::parse(*header).unwrap(),
            payload,
            &mut sealed,
        )
        .unwrap();
        sealed
    }

    /// The server has told how it wants the next records.
    fn told(&mut self, caps: &Caps<'_>) {
        let offer = CipherOffer::parse(&caps.map("encryption"))
            .unwrap()
            .unwrap();
        assert_eq!((offer.mode, offer.framing), (self.mode, self.framing));
        let suite = self.suite(&offer, Direction::ClientToServer);
        self.sealer = Some(Sealer::new(&suite, [self.hellos; 32]).unwrap());
    }
}

/// What `keys` is asked, and answers; the salt and vector are of this number.
fn keys(bench: &mut Bench, number: u8) {
    let told = bench.told();
    let [NetworkToKeys::Derive { theirs }] = &told.keys[..] else {
        panic!("{told:?}");
    };
    assert!(
        told.auth.is_empty(),
        "nobody is asked before there are keys"
    );
    assert_eq!((theirs.hash, theirs.size), (Hash::Sha1, 32));
    bench.keys(derived(theirs, number));
}

/// The answer for a client that says this of what it receives.
fn derived(theirs: &Derivation, number: u8) -> KeysToNetwork {
    let salt = vec![100 + number; 64];
    let parameters = |salt: &[u8], hash| KeyParameters {
        salt: Salt::new(salt.to_vec()).unwrap(),
        hash,
        size: KeySize::Aes256,
        iterations: Iterations::MIN,
    };
    let key = |salt: &[u8], hash| {
        let key = derive(b"key data", &parameters(salt, hash));
        DerivedKey(key.as_bytes().to_vec())
    };
    KeysToNetwork::Derived {
        send: key(&theirs.salt, KeyHash::Sha1),
        receive: key(&salt, KeyHash::Sha512),
        ours: Derivation {
            salt,
            hash: Hash::Sha512,
            size: 32,
            iterations: 1000,
        },
        iv: [b'A' + number; 16],
        seed: [number; 32],
    }
}

/// `auth` asks the client for a password.
fn challenged(bench: &mut Bench) -> Challenge {
    bench.auth(challenge());
    match bench.read().pop() {
        Some(ServerPacket::Challenge(challenge)) => challenge,
        other => panic!("no challenge: {other:?}"),
    }
}

/// A client that has logged in and is in the session.
fn attached(mode: AesMode, client: &mut Client) -> Bench {
    let mut bench = Bench::on(None, Some(mode));
    client.hello(&mut bench, gui());
    keys(&mut bench, 1);
    assert_eq!(bench.told().auth.len(), 1);
    let challenge = challenged(&mut bench);
    // For the HTML5 client it is also not nested.
    assert!(Caps::new(&challenge.auth_caps).has("key_salt"));
    client.told(&Caps::new(&challenge.auth_caps));
    let mut answer = gui();
    answer.auth.response = Some(vec![1; 64]);
    answer.auth.client_salt = Some(vec![2; 64]);
    client.hello(&mut bench, answer);
    keys(&mut bench, 2);
    assert_eq!(bench.told().auth.len(), 1);
    bench.auth(AuthToNetwork::Accepted);
    assert!(bench.told().closed.contains(&Effect::CloseKeys));
    bench.supervisor(SupervisorToNetwork::Session(facts()));
    bench.display(answered());
    bench.display(new_window(1));
    bench.display(DisplayToNetwork::Synced);
    let packets = bench.read();
    let Some(ServerPacket::Hello(map)) = packets.first() else {
        panic!("{packets:?}");
    };
    client.told(&Caps::new(map));
    bench.told();
    bench
}

#[test]
fn a_session_in_every_mode_and_framing() {
    for (mode, wire_mode) in MODES {
        let framings = match mode {
            AesMode::Gcm => &[Framing::Stream][..],
            _ => &[Framing::Stream, Framing::PerRecord],
        };
        for framing in framings {
            let mut client = Client::new(wire_mode, *framing);
            let mut bench = attached(mode, &mut client);
            let mut encoder = FakeEncoder::default();
            bench.buffer(&mut encoder, 200_000);
            for content in [&b"small"[..], &[b'x'; 150_000]] {
                let draw = encoder.draw(1, 0, content);
                bench.encoder(draw);
                let mut packets = bench.read();
                let Some(ServerPacket::Draw(draw)) = packets.pop() else {
                    panic!("{packets:?}");
                };
                assert_eq!(draw.data, content, "{mode:?} {framing:?}");
                assert_eq!(bench.told().encoder.len(), 1, "the buffer is given back");
            }
            for _ in 0..3 {
                client.send(&mut bench, ClientPacket::ShutdownServer.into_packet());
                let told = bench.told().supervisor;
                assert_eq!(told, [NetworkToSupervisor::Request(Request::Stop)]);
            }
        }
    }
}

/// What the client does not read is dropped only while it is not sealed: what comes after it can
/// still be opened.
#[test]
fn a_client_that_does_not_read_is_told_so_in_its_cipher() {
    let mut client = Client::new(Mode::Ctr, Framing::Stream);
    let mut bench = attached(AesMode::Ctr, &mut client);
    // Text that does not compress.
    let mut noise = 1_u64;
    for _ in 0..20_000 {
        let text: String = (0..60)
            .map(|_| {
                noise = noise
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                format!("{noise:x}")
            })
            .collect();
        let metadata = vec![ipc::display::Metadata::Title(text)];
        bench.display(DisplayToNetwork::Metadata {
            window: common::window(1),
            metadata,
        });
        if bench.told().closed.contains(&Effect::CloseDisplay) {
            break;
        }
        // It reads a little, in the middle of records.
        let some = bench.read_some(1);
        bench.reader.push(&some);
    }
    let packets = bench.read();
    let Some(ServerPacket::Disconnect(end)) = packets.last() else {
        panic!("{} packets", packets.len());
    };
    assert!(end.details[0].contains("does not read"), "{end:?}");
}

fn refused(bench: &mut Bench) -> String {
    let [ServerPacket::Disconnect(end)] = &bench.read()[..] else {
        panic!("no disconnect");
    };
    assert!(bench.told().auth.is_empty());
    end.details.join(" ")
}

#[test]
fn what_the_socket_demands_is_what_the_client_has() {
    let plain = || ClientHello::command_line(Identity::default(), Some(Asked::Info));
    let mut bench = Bench::on(None, Some(AesMode::Gcm));
    bench.send(plain().into_packet());
    assert!(refused(&mut bench).contains("--encryption=AES-GCM"));

    for (mode, _) in MODES {
        for (_, other) in MODES.into_iter().filter(|(own, _)| *own != mode) {
            let mut bench = Bench::on(None, Some(mode));
            let mut client = Client::new(other, Framing::Stream);
            client.hello(&mut bench, plain());
            // No keys: it is said in clear.
            bench.reader = RecordReader::new(Limits::SERVER_TO_CLIENT);
            assert!(refused(&mut bench).contains("attach with --encryption="));
        }
    }

    let mut bench = Bench::new();
    Client::new(Mode::Cbc, Framing::Stream).hello(&mut bench, plain());
    bench.reader = RecordReader::new(Limits::SERVER_TO_CLIENT);
    assert!(refused(&mut bench).contains("is not encrypted"));

    // What everybody may know.
    let mut bench = Bench::on(None, Some(AesMode::Cbc));
    bench.send(ClientHello::command_line(Identity::default(), Some(Asked::Version)).into_packet());
    assert!(matches!(&bench.read()[..], [ServerPacket::Hello(_)]));
}

#[test]
fn nothing_in_clear_after_the_keys() {
    for (mode, wire_mode) in MODES {
        let mut client = Client::new(wire_mode, Framing::Stream);
        let mut bench = attached(mode, &mut client);
        let plain = ClientPacket::ShutdownServer.into_packet();
        bench.send(plain);
        assert!(bench.told().supervisor.is_empty(), "{mode:?}");
        assert!(matches!(
            bench.read().last(),
            Some(ServerPacket::Disconnect(_))
        ));
    }
}

#[test]
fn another_key_gets_nowhere() {
    for (mode, wire_mode) in MODES {
        let mut bench = Bench::on(None, Some(mode));
        let mut client = Client::new(wire_mode, Framing::Stream);
        client.hello(&mut bench, gui());
        keys(&mut bench, 1);
        bench.told();
        let challenge = challenged(&mut bench);
        client.key_data = b"a guess";
        client.told(&Caps::new(&challenge.auth_caps));
        let mut answer = gui();
        answer.auth.response = Some(vec![1; 64]);
        answer.auth.client_salt = Some(vec![2; 64]);
        client.hello(&mut bench, answer);
        let told = bench.told();
        assert!(told.auth.is_empty() && told.keys.is_empty(), "{mode:?}");
        assert!(told.closed.contains(&Effect::CloseAuth), "{mode:?}");
    }
}

/// `keys` is one of our own, but a broken one does no harm here.
#[test]
fn what_keys_says_out_of_place() {
    let refusal = || KeysToNetwork::Refused {
        text: "no keys today".into(),
    };
    let violates = |bench: &mut Bench| {
        bench.told().supervisor.iter().any(|message| {
            matches!(message, NetworkToSupervisor::Violation(violation)
                if violation.peer == Peer::Keys)
        })
    };
    let mut bench = Bench::on(None, Some(AesMode::Cbc));
    bench.keys(refusal());
    assert!(violates(&mut bench));

    let mut client = Client::new(Mode::Cbc, Framing::Stream);
    let mut bench = Bench::on(None, Some(AesMode::Cbc));
    client.hello(&mut bench, gui());
    bench.reader = RecordReader::new(Limits::SERVER_TO_CLIENT);
    bench.keys(refusal());
    assert_eq!(refused(&mut bench), "no keys today");

    let mut client = Client::new(Mode::Cbc, Framing::Stream);
    let mut bench = Bench::on(None, Some(AesMode::Cbc));
    client.hello(&mut bench, gui());
    bench.keys(KeysToNetwork::Derived {
        send: DerivedKey(vec![1; 16]),
        receive: DerivedKey(vec![1; 32]),
        ours: Derivation {
            salt: vec![1; 64],
            hash: Hash::Sha512,
            size: 32,
            iterations: 1000,
        },
        iv: [b'x'; 16],
        seed: [1; 32],
    });
    assert!(violates(&mut bench));

    let mut client = Client::new(Mode::Cbc, Framing::Stream);
    let mut bench = attached(AesMode::Cbc, &mut client);
    bench.keys(refusal());
    assert!(violates(&mut bench));
    // The client is not the one to pay for it.
    client.send(&mut bench, ClientPacket::ShutdownServer.into_packet());
    assert_eq!(bench.told().supervisor.len(), 1);
}

#[test]
fn keys_that_is_gone_is_said_to_who_waits_for_it() {
    let mut client = Client::new(Mode::Cbc, Framing::Stream);
    let mut bench = Bench::on(None, Some(AesMode::Cbc));
    client.hello(&mut bench, gui());
    bench.connection.keys_lost(bench.now);
    bench.reader = RecordReader::new(Limits::SERVER_TO_CLIENT);
    assert!(refused(&mut bench).contains("try again"));

    // Before anything was said.
    let mut bench = Bench::on(None, Some(AesMode::Cbc));
    bench.connection.keys_lost(bench.now);
    assert!(bench.read().is_empty());
    Client::new(Mode::Cbc, Framing::Stream).hello(&mut bench, gui());
    bench.reader = RecordReader::new(Limits::SERVER_TO_CLIENT);
    assert!(refused(&mut bench).contains("try again"));

    // It may know of the verdict before we do.
    let mut client = Client::new(Mode::Cbc, Framing::Stream);
    let mut bench = Bench::on(None, Some(AesMode::Cbc));
    client.hello(&mut bench, gui());
    keys(&mut bench, 1);
    bench.connection.keys_lost(bench.now);
    bench.auth(AuthToNetwork::Accepted);
    assert!(bench.read().is_empty());
    assert_eq!(bench.told().supervisor.len(), 1);

    let mut bench = attached(AesMode::Cbc, &mut Client::new(Mode::Cbc, Framing::Stream));
    bench.connection.keys_lost(bench.now);
    assert!(bench.read().is_empty());
}

/// The names of the packets that a client sends are not seen on the way.
#[test]
fn nothing_readable_leaves() {
    for (mode, wire_mode) in MODES {
        let mut client = Client::new(wire_mode, Framing::Stream);
        let mut bench = attached(mode, &mut client);
        bench.display(DisplayToNetwork::Metadata {
            window: common::window(1),
            metadata: vec![ipc::display::Metadata::Title("a secret title".into())],
        });
        let bytes = bench.next_write();
        assert!(bytes.len() > 20);
        for word in [&b"secret"[..], b"window-metadata", b"metadata"] {
            assert!(
                !bytes.windows(word.len()).any(|part| part == word),
                "{mode:?}"
            );
        }
        bench.read();
    }
}

/// A hello in clear proves nothing: `auth` is told to ask for another one, under the key.
#[test]
fn nobody_is_let_in_by_a_hello_in_clear() {
    let mut bench = Bench::on(None, Some(AesMode::Gcm));
    let mut client = Client::new(Mode::Gcm, Framing::Stream);
    let stop = ClientHello::command_line(Identity::default(), Some(Asked::Stop));
    assert!(!stop.auth.wants_challenge);
    client.hello(&mut bench, stop);
    keys(&mut bench, 1);
    let told = bench.told().auth;
    assert!(
        matches!(&told[..], [NetworkToAuth::Hello { small: true, .. }]),
        "{told:?}"
    );
}

/// What everybody may ask first is no way around the keys later.
#[test]
fn an_answer_comes_with_an_offer_too() {
    let mut bench = Bench::on(None, Some(AesMode::Ctr));
    let mut client = Client::new(Mode::Ctr, Framing::Stream);
    client.hello(&mut bench, gui());
    keys(&mut bench, 1);
    bench.told();
    let challenge = challenged(&mut bench);
    client.told(&Caps::new(&challenge.auth_caps));
    let mut answer = ClientHello::command_line(Identity::default(), Some(Asked::Version));
    answer.auth.response = Some(vec![1; 64]);
    answer.auth.client_salt = Some(vec![2; 64]);
    client.send(&mut bench, answer.into_packet());
    assert!(bench.told().auth.is_empty());
    assert!(matches!(
        bench.read().last(),
        Some(ServerPacket::Disconnect(_))
    ));
}

/// The answer is not looked at, and its sender hears so under the key that it has offered with it.
#[test]
fn a_refusal_before_the_answer_has_its_key_waits_for_that() {
    let mut bench = Bench::on(None, Some(AesMode::Ctr));
    let mut client = Client::new(Mode::Ctr, Framing::Stream);
    client.hello(&mut bench, gui());
    keys(&mut bench, 1);
    bench.told();
    let challenge = challenged(&mut bench);
    client.told(&Caps::new(&challenge.auth_caps));
    let mut answer = gui();
    answer.auth.response = Some(vec![1; 64]);
    answer.auth.client_salt = Some(vec![2; 64]);
    client.hello(&mut bench, answer);
    let rejected = || AuthToNetwork::Rejected {
        text: "authentication failed".into(),
    };
    bench.auth(rejected());
    assert!(bench.read().is_empty());
    keys(&mut bench, 2);
    assert!(bench.told().auth.is_empty());
    bench.wait(Duration::from_secs(1));
    let [ServerPacket::Disconnect(end)] = &bench.read()[..] else {
        panic!("no disconnect");
    };
    assert_eq!(end.reason, "authentication failed");
}

/// Many small packets cost more than their bytes, sealed or not.
#[test]
fn small_packets_that_wait_to_be_sealed_are_counted() {
    let mut client = Client::new(Mode::Gcm, Framing::Stream);
    let mut bench = attached(AesMode::Gcm, &mut client);
    let mut count = 0;
    while !bench.told().closed.contains(&Effect::CloseDisplay) {
        bench.display(DisplayToNetwork::Raise(common::window(1)));
        count += 1;
        assert!(count < 40_000, "they wait without end");
    }
}

/// What becomes of records on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// One bit of this byte, from the start of the header.
    Header(usize),
    /// Of the first and the last block behind it, and of the last byte: in CBC that is what padding is read from.
    FirstBlock,
    LastBlock,
    LastByte,
    Truncated,
    Repeated,
    Swapped,
}

const DAMAGES: [Damage; 14] = [
    Damage::Header(0),
    Damage::Header(1),
    Damage::Header(2),
    Damage::Header(3),
    Damage::Header(4),
    Damage::Header(5),
    Damage::Header(6),
    Damage::Header(7),
    Damage::FirstBlock,
    Damage::LastBlock,
    Damage::LastByte,
    Damage::Truncated,
    Damage::Repeated,
    Damage::Swapped,
];

impl Damage {
    /// Three good records as they arrive.
    fn does(self, [first, second, third]: &[Vec<u8>; 3]) -> Vec<u8> {
        let mut one = first.clone();
        match self {
            Self::Header(at) => one[at] ^= 1,
            Self::FirstBlock => one[HEADER_SIZE] ^= 1,
            Self::LastBlock => *one.iter_mut().nth_back(15).unwrap() ^= 1,
            Self::LastByte => *one.last_mut().unwrap() ^= 1,
            Self::Truncated => drop(one.pop()),
            // Not the first one: in GCM it is longer, and nobody would take it for another.
            Self::Repeated => return [&first[..], second, second, third].concat(),
            Self::Swapped => return [&first[..], third, second].concat(),
        }
        [&one[..], second, third].concat()
    }
}

/// More than any header here announces, and no record.
const FILLER: &[u8] = &[0; 70_000];

fn framings(mode: Mode) -> &'static [Framing] {
    match mode {
        Mode::Gcm => &[Framing::Stream],
        Mode::Cbc | Mode::Ctr | Mode::Cfb => &[Framing::Stream, Framing::PerRecord],
    }
}

/// How many of three records count in the session when this was done to them.
fn counts(mode: Mode, framing: Framing, damage: Damage) -> usize {
    match (damage, framing, mode) {
        // The first one is good, or two are. What comes again or early is out of its place in a
        // stream of vectors, of key stream or of nonces; where each record brings its own vector, no
        // record has a place.
        (Damage::Repeated, Framing::Stream, _) => 2,
        (Damage::Swapped, Framing::Stream, _) => 1,
        (Damage::Repeated, Framing::PerRecord, _) => 4,
        (Damage::Swapped, Framing::PerRecord, _) => 3,
        // A bit of the text and nothing else: the name of a packet that there is not, which is
        // passed over. In CBC the same bit is in the padding, in a stream of CFB the next record is
        // opened with it, and in GCM nothing is opened.
        (Damage::LastByte, _, Mode::Ctr) | (Damage::LastByte, Framing::PerRecord, Mode::Cfb) => 2,
        // A header that is none, a length that does not fit what follows, a text that is no packet,
        // or padding that is none.
        _ => 0,
    }
}

/// GCM looks at nothing that was changed on the way. The other modes notice what cannot be read then, and
/// are what the stock client has: docs/encryption.md says what that is worth. In none is there a panic, and
/// all that cannot be read ends the connection.
#[test]
fn what_is_changed_on_the_way_in_a_session() {
    for (mode, wire_mode) in MODES {
        for framing in framings(wire_mode) {
            for damage in DAMAGES {
                let mut client = Client::new(wire_mode, *framing);
                let mut bench = attached(mode, &mut client);
                let mut next = || client.sealed(ClientPacket::ShutdownServer.into_packet());
                let records = [next(), next(), next()];
                bench.bytes(&damage.does(&records));
                bench.bytes(FILLER);
                let told = bench.told();
                let name = format!("{mode:?} {framing:?} {damage:?}: {told:?}");
                let stop = NetworkToSupervisor::Request(Request::Stop);
                let stops = told.supervisor.iter().filter(|it| **it == stop);
                let expected = counts(wire_mode, *framing, damage);
                assert_eq!(stops.count(), expected, "{name}");
                assert_eq!(told.supervisor.len(), expected, "{name}");
                assert!(told.display.is_empty() && told.encoder.is_empty(), "{name}");
                assert!(told.closed.contains(&Effect::CloseDisplay), "{name}");
            }
        }
    }
}

/// Before anybody is let in there is one thing that a record can do: ask `auth`, once, whether this is the
/// answer. GCM does not even that with one that was changed.
#[test]
fn what_is_changed_on_the_way_before_authentication() {
    for (mode, wire_mode) in MODES {
        for framing in framings(wire_mode) {
            for damage in DAMAGES {
                let mut bench = Bench::on(None, Some(mode));
                let mut client = Client::new(wire_mode, *framing);
                client.hello(&mut bench, gui());
                keys(&mut bench, 1);
                bench.told();
                let challenge = challenged(&mut bench);
                client.told(&Caps::new(&challenge.auth_caps));
                let mut answer = gui();
                answer.auth.response = Some(vec![1; 64]);
                answer.auth.client_salt = Some(vec![2; 64]);
                let mut next = || client.sealed_hello(answer.clone()).0;
                let records = [next(), next(), next()];
                bench.bytes(&damage.does(&records));
                bench.bytes(FILLER);
                let mut told = bench.told();
                let name = format!("{mode:?} {framing:?} {damage:?}");
                assert!(told.keys.len() <= 1, "{name}: {told:?}");
                if let Some(NetworkToKeys::Derive { theirs }) = told.keys.pop() {
                    bench.keys(derived(&theirs, 2));
                    told.auth.extend(bench.told().auth);
                }
                // The first record was good.
                let good = matches!(damage, Damage::Repeated | Damage::Swapped);
                match &told.auth[..] {
                    [] => {}
                    [NetworkToAuth::Response { .. }] => {
                        assert!(mode != AesMode::Gcm || good, "{name}");
                    }
                    other => panic!("{name}: {other:?}"),
                }
                assert!(told.display.is_empty() && told.encoder.is_empty(), "{name}");
                assert!(told.supervisor.is_empty(), "{name}: {told:?}");
            }
        }
    }
}
