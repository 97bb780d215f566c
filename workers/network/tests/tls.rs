//! The worker's loop with TLS on its socket: the client is rustls, `keys` and the others are played
//! by the test.

mod common;

use ::aws_lc_rs::signature as signatures;
use bulkhead_network::worker::{READ, Worker};
use common::gui;
use ipc::auth::{AuthToNetwork, Digest, NetworkToAuth};
use ipc::channel::socketpair;
use ipc::keys::{DerivedKey, Encryption, KeysToNetwork, NetworkToKeys};
use ipc::network::{NetworkToSupervisor, SupervisorToNetwork};
use ipc::tls::{Certificate, Clients, KeyKind, Scheme};
use ipc::verdict::Peer;
use ipc::{Channel, ChannelError, Message};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SigningKey};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, NamedGroup, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wire::limits::Limits;
use wire::packet::{Packet, ServerPacket};
use wire::record::{RecordReader, RecordWriter};

fn next<Tx: Message, Rx: Message>(channel: &mut Channel<Tx, Rx>) -> Result<Rx, ChannelError> {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        channel.flush()?;
        if let Some((message, _)) = channel.receive()? {
            return Ok(message);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("no message in time");
}

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

type Tls = StreamOwned<ClientConnection, UnixStream>;

struct World {
    socket: Option<UnixStream>,
    supervisor: Channel<SupervisorToNetwork, NetworkToSupervisor>,
    auth: Channel<AuthToNetwork, NetworkToAuth>,
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
        let (socket, theirs) = UnixStream::pair().unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let (ours, channel) = socketpair().unwrap();
        let worker = std::thread::spawn(move || {
            let worker = Worker::new(theirs.into(), channel, vec![0; READ]);
            worker.run().map_err(|error| error.to_string())
        });
        let server = server();
        let mut supervisor = Channel::new(ours);
        let (auth, their_auth) = socketpair().unwrap();
        let (keys, their_keys) = socketpair().unwrap();
        let certificate = Certificate {
            chain: server.chain.clone(),
            key: KeyKind::EcdsaP256,
            optional,
            clients,
        };
        let start = SupervisorToNetwork::Start {
            id: None,
            login_timeout: 20,
            encryption: Some(Encryption::Tls(certificate)),
            capabilities: vec![],
        };
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
        let mut roots = RootCertStore::empty();
        roots.add(self.server.authority.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
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
    fn question(&mut self) -> Vec<u8> {
        let keys = self.keys.as_mut().unwrap();
        let NetworkToKeys::Sign { scheme, transcript } = next(keys).unwrap() else {
            panic!("it wants no signature");
        };
        assert_eq!(scheme, Scheme::EcdsaP256Sha256);
        transcript
    }

    /// Signs what is asked for, as `keys` does.
    fn sign(&mut self) {
        let transcript = self.question();
        let context = b"TLS 1.3, server CertificateVerify\0";
        let text = [&[b' '; 64], &context[..], &transcript].concat();
        let signature = self.server.key.sign(&text).unwrap();
        self.answer(KeysToNetwork::Signed { signature });
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

fn challenge() -> AuthToNetwork {
    AuthToNetwork::Challenge {
        salt: vec![1; 64],
        digest: Digest::HmacSha512,
        salt_digest: Digest::HmacSha512,
        prompt: "?".into(),
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
