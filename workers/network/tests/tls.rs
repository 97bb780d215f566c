//! The worker's loop with TLS on its socket: the client is rustls, `keys` and the others are played
//! by the test.

mod common;

use ::aws_lc_rs::signature as signatures;
use bulkhead_network::connection::{Change, Connection, Effect};
use common::worker::{self, Auth, Running, Supervisor, next};
use common::{challenge, gui};
use ipc::auth::{AuthToNetwork, NetworkToAuth};
use ipc::channel::socketpair;
use ipc::keys::{DerivedKey, Encryption, KeysToNetwork, NetworkToKeys};
use ipc::network::{NetworkToSupervisor, SupervisorToNetwork};
use ipc::tls::{Certificate, Clients, Group, Handshake, KeyKind, Scheme, Suite};
use ipc::verdict::Peer;
use ipc::{Channel, ChannelError};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SigningKey};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, NamedGroup, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wire::hello::Request;
use wire::limits::Limits;
use wire::packet::{Disconnect, Packet, ServerPacket};
use wire::record::{RecordReader, RecordWriter};
use wire::rencodeplus::Value;

/// What signs, and what a client trusts.
struct Server {
    key: KeyPair,
    chain: Vec<Vec<u8>>,
    authority: CertificateDer<'static>,
}

fn server() -> Server {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    Server {
        chain: vec![certificate.der().to_vec()],
        authority: authority.der().clone(),
        key,
    }
}

/// Those of TLS 1.3, and of both versions; as a socket with such a key has them.
const NEW: [Suite; 3] = [Suite::Aes256, Suite::Chacha20, Suite::Aes128];
const BOTH: [Suite; 6] = [
    Suite::Aes256,
    Suite::Chacha20,
    Suite::Aes128,
    Suite::EcdsaChacha20,
    Suite::EcdsaAes256,
    Suite::EcdsaAes128,
];

type Tls = StreamOwned<ClientConnection, UnixStream>;

struct World {
    socket: Option<UnixStream>,
    supervisor: Supervisor,
    auth: Auth,
    keys: Option<Channel<KeysToNetwork, NetworkToKeys>>,
    server: Server,
    worker: JoinHandle<Result<(), String>>,
}

impl World {
    fn new(optional: bool) -> Self {
        Self::asking(optional, Clients::NotAsked)
    }

    /// One that asks clients for a certificate.
    fn asking(optional: bool, clients: Clients) -> Self {
        Self::speaking(optional, clients, &NEW)
    }

    /// One with these cipher suites.
    fn speaking(optional: bool, clients: Clients, suites: &[Suite]) -> Self {
        let Running {
            socket,
            mut supervisor,
            worker,
        } = worker::run();
        let server = server();
        let (auth, their_auth) = socketpair().unwrap();
        let (keys, their_keys) = socketpair().unwrap();
        let certificate = Certificate {
            chain: server.chain.clone(),
            key: KeyKind::EcdsaP256,
            suites: suites.to_vec(),
            optional,
            upgrade: optional,
            clients,
        };
        let start = worker::start(Some(Encryption::Tls(certificate)));
        supervisor
            .send(&start, vec![their_auth, their_keys])
            .unwrap();
        Self {
            socket: Some(socket),
            supervisor,
            auth: Channel::new(auth),
            keys: Some(Channel::new(keys)),
            server,
            worker,
        }
    }

    /// Begins a handshake in another thread.
    fn connect(&mut self) -> JoinHandle<std::io::Result<Tls>> {
        self.connect_with(None)
    }

    /// The same, with certificates and the key of the first.
    fn connect_with(
        &mut self,
        own: Option<(Vec<CertificateDer<'static>>, &KeyPair)>,
    ) -> JoinHandle<std::io::Result<Tls>> {
        self.connect_as(own, rustls::ALL_VERSIONS, aws_lc_rs::default_provider())
    }

    /// The same, with these versions and algorithms.
    fn connect_as(
        &mut self,
        own: Option<(Vec<CertificateDer<'static>>, &KeyPair)>,
        versions: &[&'static SupportedProtocolVersion],
        provider: CryptoProvider,
    ) -> JoinHandle<std::io::Result<Tls>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.server.authority.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                config.with_client_auth_cert(chain, key).unwrap()
            }
        };
        let name = ServerName::try_from("localhost").unwrap();
        let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = self.socket.take().unwrap();
        std::thread::spawn(move || {
            while tls.is_handshaking() {
                tls.complete_io(&mut socket)?;
            }
            Ok(StreamOwned::new(tls, socket))
        })
    }

    /// What is to be signed.
    fn question(&mut self) -> Handshake {
        let keys = self.keys.as_mut().unwrap();
        let NetworkToKeys::Sign { scheme, handshake } = next(keys).unwrap() else {
            panic!("it wants no signature");
        };
        assert_eq!(scheme, Scheme::EcdsaP256Sha256);
        handshake
    }

    /// Signs what is asked for, as `keys` does: what that was.
    fn sign(&mut self) -> Handshake {
        let handshake = self.question();
        let text = match &handshake {
            Handshake::Tls13 { transcript } => {
                let context = b"TLS 1.3, server CertificateVerify\0";
                [&[b' '; 64], &context[..], transcript].concat()
            }
            Handshake::Tls12 {
                client_random,
                server_random,
                group,
                point,
            } => {
                let [high, low] = group.number().to_be_bytes();
                let len = u8::try_from(point.len()).unwrap();
                let head = [3, high, low, len];
                [&client_random[..], server_random, &head, point].concat()
            }
        };
        let signature = self.server.key.sign(&text).unwrap();
        self.answer(KeysToNetwork::Signed { signature });
        handshake
    }

    fn answer(&mut self, answer: KeysToNetwork) {
        let keys = self.keys.as_mut().unwrap();
        keys.send(&answer, Vec::new()).unwrap();
    }

    fn ends(self) {
        assert_eq!(self.worker.join().unwrap(), Ok(()));
    }
}

fn record(packet: Packet) -> Vec<u8> {
    RecordWriter::new(false).record(&packet, true).unwrap()
}

fn packet(from: &mut impl Read) -> ServerPacket {
    let mut reader = RecordReader::new(Limits::SERVER_TO_CLIENT);
    loop {
        if let Some(message) = reader.next_message().unwrap() {
            let packet = Packet::decode(message, &Limits::SERVER_TO_CLIENT.budget).unwrap();
            return ServerPacket::parse(packet).unwrap();
        }
        let mut byte = [0; 1];
        from.read_exact(&mut byte).unwrap();
        reader.push(&byte);
    }
}

#[test]
fn a_handshake_is_signed_elsewhere_and_once() {
    for optional in [false, true] {
        let mut world = World::new(optional);
        let connecting = world.connect();
        world.sign();
        let mut tls = connecting.join().unwrap().unwrap();
        assert_eq!(
            tls.conn.protocol_version(),
            Some(rustls::ProtocolVersion::TLSv1_3)
        );
        let group = tls.conn.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, NamedGroup::X25519MLKEM768);
        tls.write_all(&record(gui().into_packet())).unwrap();
        let hello = next(&mut world.auth).unwrap();
        assert!(matches!(hello, NetworkToAuth::Hello { .. }), "{hello:?}");
        world.auth.send(&challenge(), vec![]).unwrap();
        let ServerPacket::Challenge(sent) = packet(&mut tls) else {
            panic!("no challenge");
        };
        assert_eq!(sent.salt, [1; 64]);
        // It is not asked again: the channel is closed.
        let keys = world.keys.as_mut().unwrap();
        assert!(matches!(next(keys), Err(ChannelError::Closed)));
        assert_eq!(tls.conn.tls13_tickets_received(), 0);
        // A client that says goodbye is gone.
        tls.conn.send_close_notify();
        tls.conn.complete_io(&mut tls.sock).unwrap();
        world.ends();
    }
}

/// With each suite and each group of TLS 1.2, from the hello to the challenge; and the signature is asked for in
/// parts, of which the last of the random says that TLS 1.3 is spoken too.
#[test]
fn tls_1_2_is_spoken_where_it_is_allowed() {
    let mut names = Vec::new();
    for alone in [false, true] {
        let suites = if alone { &BOTH[3..] } else { &BOTH[..] };
        for suite in 0..3 {
            for group in [NamedGroup::X25519, NamedGroup::secp256r1] {
                let mut world = World::speaking(false, Clients::NotAsked, suites);
                let mut provider = aws_lc_rs::default_provider();
                let ecdsa = |name: &str| name.contains("_ECDSA_");
                let suites = &mut provider.cipher_suites;
                suites.retain(|one| ecdsa(&format!("{:?}", one.suite())));
                *suites = vec![suites[suite]];
                provider.kx_groups.retain(|one| one.name() == group);
                let versions = &[&rustls::version::TLS12];
                let connecting = world.connect_as(None, versions, provider);
                let asked = world.sign();
                let Handshake::Tls12 {
                    server_random,
                    group: asked,
                    ..
                } = asked
                else {
                    panic!("{asked:?}");
                };
                assert_eq!(server_random.ends_with(b"DOWNGRD\x01"), !alone);
                assert_eq!(asked == Group::X25519, group == NamedGroup::X25519);
                let mut tls = connecting.join().unwrap().unwrap();
                let version = tls.conn.protocol_version();
                assert_eq!(version, Some(ProtocolVersion::TLSv1_2));
                names.push(tls.conn.negotiated_cipher_suite().unwrap().suite());
                tls.write_all(&record(gui().into_packet())).unwrap();
                let hello = next(&mut world.auth).unwrap();
                assert!(matches!(hello, NetworkToAuth::Hello { .. }), "{hello:?}");
                world.auth.send(&challenge(), vec![]).unwrap();
                assert!(matches!(packet(&mut tls), ServerPacket::Challenge(_)));
                drop(tls);
                world.ends();
            }
        }
    }
    names.dedup();
    assert_eq!(names.len(), 6);
}

/// Who can do better does better, and who can do only what is not allowed is told so, before anything is signed.
#[test]
fn a_version_is_spoken_as_the_socket_is_told() {
    let old = &[&rustls::version::TLS12][..];
    let new = &[&rustls::version::TLS13][..];
    for (suites, versions, spoken) in [
        (
            &NEW[..],
            rustls::ALL_VERSIONS,
            Some(ProtocolVersion::TLSv1_3),
        ),
        (&NEW, old, None),
        (&NEW, new, Some(ProtocolVersion::TLSv1_3)),
        (&BOTH, rustls::ALL_VERSIONS, Some(ProtocolVersion::TLSv1_3)),
        (&BOTH, old, Some(ProtocolVersion::TLSv1_2)),
        (
            &BOTH[3..],
            rustls::ALL_VERSIONS,
            Some(ProtocolVersion::TLSv1_2),
        ),
        (&BOTH[3..], new, None),
    ] {
        let mut world = World::speaking(false, Clients::NotAsked, suites);
        let provider = aws_lc_rs::default_provider();
        let connecting = world.connect_as(None, versions, provider);
        match spoken {
            Some(version) => {
                world.sign();
                let tls = connecting.join().unwrap().unwrap();
                assert_eq!(tls.conn.protocol_version(), Some(version));
            }
            None => {
                let error = connecting.join().unwrap().unwrap_err().to_string();
                assert!(error.contains("ProtocolVersion"), "{error}");
                let keys = world.keys.as_mut().unwrap();
                assert!(matches!(next(keys), Err(ChannelError::Closed)));
            }
        }
        world.ends();
    }
}

/// A suite is used that the socket has, and the one that it has first, whatever the client would like best.
#[test]
fn the_socket_chooses_the_suite() {
    for (suites, expected) in [
        (&NEW[..], "TLS13_AES_256_GCM_SHA384"),
        (&NEW[1..], "TLS13_CHACHA20_POLY1305_SHA256"),
        (&NEW[2..], "TLS13_AES_128_GCM_SHA256"),
        (&[Suite::Aes128, Suite::Aes256], "TLS13_AES_128_GCM_SHA256"),
    ] {
        let mut world = World::speaking(false, Clients::NotAsked, suites);
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.reverse();
        let connecting = world.connect_as(None, rustls::ALL_VERSIONS, provider);
        world.sign();
        let tls = connecting.join().unwrap().unwrap();
        let suite = tls.conn.negotiated_cipher_suite().unwrap().suite();
        assert_eq!(format!("{suite:?}"), expected);
        drop(tls);
        world.ends();
    }
}

/// The hello of a client in clear that can change to TLS.
fn changing() -> Vec<u8> {
    let mut hello = gui();
    hello.network.packet_types = vec!["ssl-upgrade".to_owned()];
    record(hello.into_packet())
}

/// What both sides call it.
fn upgrade() -> Vec<u8> {
    record(Packet::new("ssl-upgrade", vec![Value::Dict(vec![])]))
}

/// Asked in clear; what it says then in TLS is the first that anybody hears.
#[test]
fn a_client_in_clear_changes_to_tls() {
    let mut world = World::new(true);
    let mut socket = world.socket.take().unwrap();
    socket.write_all(&changing()).unwrap();
    let mut asked = vec![0; upgrade().len()];
    socket.read_exact(&mut asked).unwrap();
    assert_eq!(asked, upgrade());
    socket.write_all(&upgrade()).unwrap();
    world.socket = Some(socket);
    let connecting = world.connect();
    world.sign();
    let mut tls = connecting.join().unwrap().unwrap();
    assert!(matches!(world.auth.receive(), Ok(None)));
    // It may still say that it can; it is not asked again.
    tls.write_all(&changing()).unwrap();
    let hello = next(&mut world.auth).unwrap();
    assert!(matches!(hello, NetworkToAuth::Hello { .. }), "{hello:?}");
    world.auth.send(&challenge(), vec![]).unwrap();
    assert!(matches!(packet(&mut tls), ServerPacket::Challenge(_)));
    let keys = world.keys.as_mut().unwrap();
    assert!(matches!(next(keys), Err(ChannelError::Closed)));
    drop(tls);
    world.ends();
}

/// A client that does not wait between its answer and TLS is served like one that does.
#[test]
fn tls_may_begin_in_one_breath_with_the_answer() {
    let mut world = World::new(true);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut through = world.socket.replace(ours).unwrap();
    through.write_all(&changing()).unwrap();
    let mut question = vec![0; upgrade().len()];
    through.read_exact(&mut question).unwrap();
    let connecting = world.connect();
    // The client's hello in TLS is put behind the answer.
    let (mut from, mut to) = (theirs.try_clone().unwrap(), through.try_clone().unwrap());
    let first = std::thread::spawn(move || {
        let mut first = vec![0; 16 * 1024];
        let count = from.read(&mut first).unwrap();
        to.write_all(&[&upgrade()[..], &first[..count]].concat())
            .unwrap();
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let (mut from, mut to) = (through, theirs);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    world.sign();
    let mut tls = connecting.join().unwrap().unwrap();
    tls.write_all(&record(gui().into_packet())).unwrap();
    let hello = next(&mut world.auth).unwrap();
    assert!(matches!(hello, NetworkToAuth::Hello { .. }), "{hello:?}");
    drop(tls);
    first.join().unwrap();
    world.ends();
}

/// Who sits on the way could add to what a client says in clear. None of that counts, whatever and whenever it
/// is: `auth` never hears of it, and nothing is signed for it.
#[test]
fn what_is_said_in_clear_around_the_change_does_not_count() {
    let hello = || record(gui().into_packet());
    let join = |parts: &[Vec<u8>]| parts.concat();
    let asked = upgrade().len();
    // What is sent at once; what after the question; and what is said about it.
    let rows: [(&str, Vec<u8>, Vec<u8>); 8] = [
        (
            "an answer before the question",
            join(&[changing(), upgrade()]),
            vec![],
        ),
        ("another hello instead", changing(), hello()),
        ("the same hello again", changing(), changing()),
        (
            "another packet",
            changing(),
            record(Packet::new("ping", vec![Value::Int(1)])),
        ),
        (
            "a hello behind the answer",
            changing(),
            join(&[upgrade(), hello()]),
        ),
        (
            "part of one behind it",
            changing(),
            join(&[upgrade(), hello()[..9].to_vec()]),
        ),
        (
            "a byte behind it",
            changing(),
            join(&[upgrade(), b"P".to_vec()]),
        ),
        (
            "an answer with other arguments",
            changing(),
            record(Packet::new("ssl-upgrade", vec![Value::Int(1)])),
        ),
    ];
    for (name, first, second) in rows {
        let mut world = World::new(true);
        let mut socket = world.socket.take().unwrap();
        socket.write_all(&first).unwrap();
        let mut question = vec![0; asked];
        socket.read_exact(&mut question).unwrap();
        assert_eq!(question, upgrade(), "{name}");
        socket.write_all(&second).unwrap();
        let end = packet(&mut socket);
        assert!(
            matches!(end, ServerPacket::Disconnect(_)),
            "{name}: {end:?}"
        );
        assert!(
            matches!(next(&mut world.auth), Err(ChannelError::Closed)),
            "{name}"
        );
        let keys = world.keys.as_mut().unwrap();
        assert!(matches!(next(keys), Err(ChannelError::Closed)), "{name}");
        drop(socket);
        world.ends();
    }
    // What comes later, when the answer may have been heard alone: it is no TLS, and is not answered.
    let mut world = World::new(true);
    let mut socket = world.socket.take().unwrap();
    socket.write_all(&changing()).unwrap();
    let mut question = vec![0; asked];
    socket.read_exact(&mut question).unwrap();
    socket.write_all(&upgrade()).unwrap();
    socket.write_all(&hello()).unwrap();
    let mut said = Vec::new();
    match socket.read_to_end(&mut said) {
        Ok(0) => {}
        Ok(_) => {
            let end = packet(&mut said.as_slice());
            assert!(matches!(end, ServerPacket::Disconnect(_)), "{end:?}");
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    assert!(matches!(next(&mut world.auth), Err(ChannelError::Closed)));
    drop(socket);
    world.ends();
}

/// What our own processes say meanwhile, and when it takes too long: the time for the login is the one that it was.
#[test]
fn the_change_ends_with_the_login_and_with_auth() {
    let now = Instant::now();
    let asked = || {
        let connection = Connection::new(now, None, 20, None);
        let mut connection = connection.asking_for_tls(true);
        connection.may_change(true);
        connection.client_says(now, &changing());
        assert_eq!(connection.change(), Change::Asked);
        assert_eq!(connection.take_effects(), []);
        assert_eq!(connection.deadline(), Some(now + Duration::from_secs(20)));
        connection
    };
    let told = |connection: &mut Connection| {
        let effects = connection.take_effects();
        assert!(effects.contains(&Effect::CloseAuth), "{effects:?}");
        assert_eq!(connection.change(), Change::No);
    };
    let late = now + Duration::from_secs(21);
    let mut connection = asked();
    connection.tick(late);
    told(&mut connection);
    let mut connection = asked();
    connection.auth_lost(now);
    told(&mut connection);
    let mut connection = asked();
    let reason = vec!["no".to_owned()];
    connection.supervisor_says(now, SupervisorToNetwork::Disconnect { reason });
    told(&mut connection);
    let mut connection = asked();
    connection.auth_says(now, AuthToNetwork::Accepted);
    let effects = connection.take_effects();
    assert!(
        matches!(&effects[..], [Effect::Supervisor(NetworkToSupervisor::Violation(violation)), Effect::CloseAuth] if violation.peer == Peer::Auth),
        "{effects:?}"
    );
    // It has agreed: its time goes on, and it may leave.
    let mut connection = asked();
    let len = connection.outbox().waiting();
    connection.written(now, len);
    connection.client_says(now + Duration::from_secs(5), &upgrade());
    assert_eq!(connection.change(), Change::Agreed);
    assert_eq!(connection.deadline(), Some(now + Duration::from_secs(20)));
    connection.may_change(false);
    assert_eq!(connection.change(), Change::No);
    connection.tick(late);
    told(&mut connection);
    // Who is not asked is not: the socket says so, or the client has TLS already.
    for (asks, could) in [(false, true), (true, false)] {
        let connection = Connection::new(now, None, 20, None);
        let mut connection = connection.asking_for_tls(asks);
        connection.may_change(could);
        connection.client_says(now, &changing());
        assert_eq!(connection.change(), Change::No);
        let effects = connection.take_effects();
        assert!(
            matches!(&effects[..], [Effect::Auth(NetworkToAuth::Hello { .. })]),
            "{effects:?}"
        );
        // And an answer that nobody has asked for ends it.
        connection.auth_says(now, challenge());
        connection.take_effects();
        connection.client_says(now, &upgrade());
        told(&mut connection);
    }
}

/// Who cannot, and who asks for what everybody is told, is served in clear as before; and who was asked may leave.
#[test]
fn nobody_has_to_change() {
    let mut world = World::new(true);
    let mut socket = world.socket.take().unwrap();
    socket.write_all(&changing()).unwrap();
    let mut question = vec![0; upgrade().len()];
    socket.read_exact(&mut question).unwrap();
    let leave = ServerPacket::Disconnect(Disconnect::new("no"));
    socket.write_all(&record(leave.into_packet())).unwrap();
    assert!(matches!(next(&mut world.auth), Err(ChannelError::Closed)));
    drop(socket);
    world.ends();

    let mut world = World::new(true);
    let mut socket = world.socket.take().unwrap();
    let mut hello = gui();
    hello.network.packet_types = vec!["ssl-upgrade".to_owned()];
    hello.request = Some(Request::Version);
    socket.write_all(&record(hello.into_packet())).unwrap();
    assert!(matches!(packet(&mut socket), ServerPacket::Hello(_)));
    drop(socket);
    world.ends();
}

/// Byte by byte, as slow as a client can be; and what comes together with the end of the handshake
/// is not lost.
#[test]
fn a_handshake_may_come_in_pieces() {
    let mut world = World::new(false);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let through = world.socket.replace(ours).unwrap();
    let mut from = theirs.try_clone().unwrap();
    let mut to = through.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut byte = [0; 1];
        while from.read_exact(&mut byte).is_ok() && to.write_all(&byte).is_ok() {}
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let (mut from, mut to) = (through, theirs);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let connecting = world.connect();
    world.sign();
    let mut tls = connecting.join().unwrap().unwrap();
    tls.write_all(&record(gui().into_packet())).unwrap();
    assert!(matches!(
        next(&mut world.auth),
        Ok(NetworkToAuth::Hello { .. })
    ));
    drop(tls);
    world.ends();
}

#[test]
fn a_client_in_clear_is_served_only_where_it_may_be() {
    let mut world = World::new(true);
    let mut socket = world.socket.take().unwrap();
    socket.write_all(&record(gui().into_packet())).unwrap();
    assert!(matches!(
        next(&mut world.auth),
        Ok(NetworkToAuth::Hello { .. })
    ));
    world.auth.send(&challenge(), vec![]).unwrap();
    assert!(matches!(packet(&mut socket), ServerPacket::Challenge(_)));
    // Its choice is made: there is no TLS any more.
    assert!(matches!(
        next(world.keys.as_mut().unwrap()),
        Err(ChannelError::Closed)
    ));
    drop(socket);
    world.ends();

    let mut world = World::new(false);
    let mut socket = world.socket.take().unwrap();
    socket.write_all(&record(gui().into_packet())).unwrap();
    let mut said = Vec::new();
    // At once: it is not a login that takes too long.
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    socket.read_to_end(&mut said).unwrap();
    assert_eq!(said, b"", "not a byte in clear");
    assert!(matches!(next(&mut world.auth), Err(ChannelError::Closed)));
    world.ends();
}

#[test]
fn no_signature_is_no_connection() {
    // It refuses, goes, answers another question, or signs something else.
    let answers = [
        Some(KeysToNetwork::Refused {
            text: "no".to_owned(),
        }),
        None,
        Some(KeysToNetwork::Derived {
            send: DerivedKey(vec![1; 32]),
            receive: DerivedKey(vec![2; 32]),
            ours: ipc::keys::Derivation {
                salt: vec![3; 64],
                hash: ipc::keys::KeyHash::Sha512,
                size: 32,
                iterations: 1000,
            },
            iv: [4; 16],
            seed: [5; 32],
        }),
        Some(KeysToNetwork::Signed {
            signature: vec![6; 70],
        }),
    ];
    for answer in answers {
        let mut world = World::new(false);
        let connecting = world.connect();
        world.question();
        let accused = matches!(answer, Some(KeysToNetwork::Derived { .. }));
        match answer {
            Some(answer) => world.answer(answer),
            None => world.keys = None,
        }
        assert!(connecting.join().unwrap().is_err());
        if accused {
            let report = next(&mut world.supervisor).unwrap();
            assert!(
                matches!(&report, NetworkToSupervisor::Violation(violation) if violation.peer == Peer::Keys),
                "{report:?}"
            );
        } else {
            // Nobody is accused of having died or refused.
            assert!(matches!(
                next(&mut world.supervisor),
                Err(ChannelError::Closed)
            ));
        }
        world.ends();
    }
}

/// A certificate for whoever wants one: nobody looks at it here.
fn own() -> (CertificateDer<'static>, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["ann".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.der().clone(), key)
}

/// It is passed on as it came, before the hello, with what proves that the client has its key.
#[test]
fn what_a_client_shows_is_passed_on_unread() {
    for clients in [Clients::Optional, Clients::Required] {
        let mut world = World::asking(false, clients);
        let (certificate, key) = own();
        let rubbish = CertificateDer::from(b"rubbish".to_vec());
        let chain = vec![certificate.clone(), rubbish.clone()];
        let connecting = world.connect_with(Some((chain, &key)));
        world.sign();
        let mut tls = connecting.join().unwrap().unwrap();
        tls.write_all(&record(gui().into_packet())).unwrap();
        let NetworkToAuth::Certificate(shown) = next(&mut world.auth).unwrap() else {
            panic!("no certificate");
        };
        assert!(shown.is_bounded());
        assert_eq!(shown.chain, [certificate.to_vec(), rubbish.to_vec()]);
        assert_eq!(shown.scheme, Scheme::EcdsaP256Sha256);
        // The key of the certificate has signed this handshake.
        let context = b"TLS 1.3, client CertificateVerify\0";
        let text = [&[b' '; 64], &context[..], &shown.transcript].concat();
        let algorithm = &signatures::ECDSA_P256_SHA256_ASN1;
        let public = signatures::UnparsedPublicKey::new(algorithm, key.public_key_raw());
        public.verify(&text, &shown.signature).unwrap();
        assert!(matches!(
            next(&mut world.auth),
            Ok(NetworkToAuth::Hello { .. })
        ));
        drop(tls);
        world.ends();
    }
}

#[test]
fn who_shows_nothing_is_sent_away_where_one_has_to() {
    let mut world = World::asking(false, Clients::Required);
    let connecting = world.connect();
    world.sign();
    // The client's part of the handshake is over before the server can say anything. (Who writes now
    // may hear of the closed socket only.)
    let mut tls = connecting.join().unwrap().unwrap();
    let error = tls.read_exact(&mut [0]).unwrap_err().to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
    assert!(matches!(next(&mut world.auth), Err(ChannelError::Closed)));
    world.ends();

    let mut world = World::asking(false, Clients::Optional);
    let connecting = world.connect();
    world.sign();
    let mut tls = connecting.join().unwrap().unwrap();
    tls.write_all(&record(gui().into_packet())).unwrap();
    let hello = next(&mut world.auth).unwrap();
    assert!(matches!(hello, NetworkToAuth::Hello { .. }), "{hello:?}");
    drop(tls);
    world.ends();
    // Who is not asked shows nothing.
    let mut world = World::new(false);
    let (certificate, key) = own();
    let connecting = world.connect_with(Some((vec![certificate], &key)));
    world.sign();
    let mut tls = connecting.join().unwrap().unwrap();
    tls.write_all(&record(gui().into_packet())).unwrap();
    let hello = next(&mut world.auth).unwrap();
    assert!(matches!(hello, NetworkToAuth::Hello { .. }), "{hello:?}");
    drop(tls);
    world.ends();
}

/// The command line allows no such socket. If there were one, nobody would be let in by what cannot be checked.
#[test]
fn what_is_shown_in_tls_1_2_counts_for_nothing() {
    for clients in [Clients::Optional, Clients::Required] {
        let mut world = World::speaking(false, clients, &BOTH);
        let (certificate, key) = own();
        let provider = aws_lc_rs::default_provider();
        let versions = &[&rustls::version::TLS12];
        let connecting = world.connect_as(Some((vec![certificate], &key)), versions, provider);
        world.sign();
        assert!(connecting.join().unwrap().is_err());
        assert!(matches!(next(&mut world.auth), Err(ChannelError::Closed)));
        world.ends();
    }
}

#[test]
fn who_shows_too_much_is_sent_away() {
    let (certificate, key) = own();
    let big = CertificateDer::from(vec![0; 33 * 1024]);
    for chain in [vec![certificate.clone(); 9], vec![certificate, big]] {
        let mut world = World::asking(false, Clients::Required);
        let connecting = world.connect_with(Some((chain, &key)));
        world.sign();
        let mut tls = connecting.join().unwrap().unwrap();
        let _ = tls.write_all(&record(gui().into_packet()));
        assert!(tls.read_exact(&mut [0]).is_err());
        assert!(matches!(next(&mut world.auth), Err(ChannelError::Closed)));
        world.ends();
    }
}
