//! The process of `keys` with fake neighbours: order, bounds, fairness.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use bulkhead_keys::derivation::MAX_PER_CONNECTION;
use bulkhead_keys::key_data::Listeners;
use bulkhead_keys::salts::UsedSalts;
use bulkhead_keys::service;
use ipc::channel::socketpair;
use ipc::keys::{
    Derivation, KeyHash, KeysToNetwork, KeysToSupervisor, NetworkToKeys, SupervisorToKeys,
};
use ipc::spec::{KeyData, KeysSpec, ListenerKey, PrivateKey};
use ipc::tls::{Group, Handshake, KeyKind, Scheme, Version};
use ipc::verdict::Peer;
use ipc::{Channel, ChannelError, ConnectionId, ListenerId, Message};
use runtime::secret::Buffer;
use runtime::{Interest, PollSet};
use std::collections::VecDeque;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;
use wire::cipher::{Iterations, KeyParameters, KeySize, Salt, derive};

type Supervisor = Channel<SupervisorToKeys, KeysToSupervisor>;
type Network = Channel<NetworkToKeys, KeysToNetwork>;

fn next<Tx: Message, Rx: Message>(channel: &mut Channel<Tx, Rx>) -> Result<Rx, ChannelError> {
    for _ in 0..1000 {
        channel.flush()?;
        if let Some((message, _)) = channel.receive()? {
            return Ok(message);
        }
        let mut set = PollSet::new();
        set.add(channel.as_fd(), Interest::read_and(channel.wants_write()));
        set.wait(Some(Duration::from_secs(10))).unwrap();
    }
    panic!("no message");
}

/// Runs the service with one listener in clear, one that is encrypted with AES, and one with TLS.
fn with_service(test: impl FnOnce(&mut Supervisor)) {
    with_key(&p256(), test);
}

/// The same with this private key, of which nothing older than TLS 1.3 is signed.
fn with_key(pair: &rcgen::KeyPair, test: impl FnOnce(&mut Supervisor)) {
    with_versions(pair, &[Version::Tls13], test);
}

/// The same with these versions.
fn with_versions(pair: &rcgen::KeyPair, versions: &[Version], test: impl FnOnce(&mut Supervisor)) {
    let versions = versions.to_vec();
    let (ours, theirs) = socketpair().unwrap();
    let (pem, public) = (pair.serialize_pem(), pair.public_key_raw().to_vec());
    let service = std::thread::spawn(move || {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"key data\n").unwrap();
        let data = KeyData {
            secret: 0,
            trim: true,
            in_place: false,
            key_size: 32,
        };
        let mut key_file = tempfile::tempfile().unwrap();
        key_file.write_all(pem.as_bytes()).unwrap();
        let key = PrivateKey {
            pass_phrase: None,
            name: "key.pem".into(),
            secret: 1,
            kind: KeyKind::EcdsaP256,
            versions,
            public,
        };
        let keys = [
            None,
            Some(ListenerKey::Aes(data)),
            Some(ListenerKey::Tls(key)),
        ];
        let spec = KeysSpec {
            listeners: keys.to_vec(),
        };
        let mut buffer = Buffer::new().unwrap();
        let mut listeners = Listeners::new(spec, vec![file, key_file], &mut buffer, false).unwrap();
        let mut used = UsedSalts::default();
        service::serve(Channel::new(theirs), &mut listeners, &mut used, buffer)
    });
    let mut supervisor = Channel::new(ours);
    assert_eq!(next(&mut supervisor).unwrap(), KeysToSupervisor::Ready);
    test(&mut supervisor);
    drop(supervisor);
    service.join().unwrap().unwrap();
}

fn p256() -> rcgen::KeyPair {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
}

fn connect(supervisor: &mut Supervisor, id: u64, listener: u16) -> Network {
    let (ours, theirs) = socketpair().unwrap();
    let message = SupervisorToKeys::Connection {
        connection: ConnectionId(id),
        listener: ListenerId(listener),
    };
    supervisor.send(&message, vec![theirs]).unwrap();
    Channel::new(ours)
}

fn question(salt: u8) -> Derivation {
    Derivation {
        salt: vec![salt; 64],
        hash: KeyHash::Sha1,
        size: 32,
        iterations: 1000,
    }
}

fn ask(network: &mut Network, theirs: Derivation) {
    let question = NetworkToKeys::Derive { theirs };
    network.send(&question, Vec::new()).unwrap();
}

fn refusal(network: &mut Network) -> String {
    match next(network).unwrap() {
        KeysToNetwork::Refused { text } => text,
        granted => panic!("{granted:?}"),
    }
}

fn violation(supervisor: &mut Supervisor, id: u64) -> String {
    match next(supervisor).unwrap() {
        KeysToSupervisor::Violation(violation) => {
            assert_eq!(violation.peer, Peer::Network(ConnectionId(id)));
            violation.what
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_connection_gets_its_own_keys() {
    with_service(|supervisor| {
        let mut keys = Vec::new();
        for id in [1, 2] {
            let mut network = connect(supervisor, id, 1);
            for hello in [0, 1] {
                ask(
                    &mut network,
                    question(u8::try_from(id).unwrap() * 2 + hello),
                );
                match next(&mut network).unwrap() {
                    KeysToNetwork::Derived { send, receive, .. } => keys.extend([send, receive]),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(keys.iter().all(|key| key.0.len() == 32));
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "{index}");
        }
    });
}

#[test]
fn a_salt_is_used_once_whoever_brings_it() {
    with_service(|supervisor| {
        let mut first = connect(supervisor, 1, 1);
        ask(&mut first, question(1));
        assert!(matches!(
            next(&mut first),
            Ok(KeysToNetwork::Derived { .. })
        ));
        let mut second = connect(supervisor, 2, 1);
        ask(&mut second, question(1));
        assert!(refusal(&mut second).contains("used before"));
    });
}

#[test]
fn other_sizes_and_other_listeners() {
    with_service(|supervisor| {
        let mut network = connect(supervisor, 1, 1);
        ask(
            &mut network,
            Derivation {
                size: 16,
                ..question(1)
            },
        );
        assert!(refusal(&mut network).contains("keys of 32 bytes"));
        for (id, listener) in [(2, 0), (3, 2), (4, 3)] {
            let mut network = connect(supervisor, id, listener);
            ask(&mut network, question(2));
            let what = violation(supervisor, id);
            assert_eq!(what, "a derivation on a socket without AES");
            assert!(matches!(next(&mut network), Err(ChannelError::Closed)));
        }
    });
}

#[test]
fn what_breaks_the_rules_is_reported_and_dropped() {
    with_service(|supervisor| {
        let mut network = connect(supervisor, 1, 1);
        ask(
            &mut network,
            Derivation {
                size: 5,
                ..question(1)
            },
        );
        assert_eq!(violation(supervisor, 1), "a key of 5 bytes");
        assert!(matches!(next(&mut network), Err(ChannelError::Closed)));

        let mut network = connect(supervisor, 2, 1);
        for hello in 0..MAX_PER_CONNECTION {
            ask(&mut network, question(10 + u8::try_from(hello).unwrap()));
            next(&mut network).unwrap();
        }
        ask(&mut network, question(99));
        assert_eq!(violation(supervisor, 2), "too many derivations");

        let mut network = connect(supervisor, 3, 1);
        for salt in [50, 51] {
            let theirs = Derivation {
                iterations: 200_000,
                ..question(salt)
            };
            ask(&mut network, theirs);
        }
        // Whether the second came while the first was waiting or after its answer is chance.
        let answered = matches!(next(&mut network), Ok(KeysToNetwork::Derived { .. }));
        assert!(answered || violation(supervisor, 3).contains("asked again"));
    });
}

fn sign(network: &mut Network, scheme: Scheme, transcript: &[u8]) {
    let transcript = transcript.to_vec();
    sign_handshake(network, scheme, Handshake::Tls13 { transcript });
}

fn sign_handshake(network: &mut Network, scheme: Scheme, handshake: Handshake) {
    let question = NetworkToKeys::Sign { scheme, handshake };
    network.send(&question, Vec::new()).unwrap();
}

/// What a sound `network` wants to have signed in TLS 1.2 where TLS 1.3 is spoken too.
fn old() -> Handshake {
    let mut server_random = [2; 32];
    server_random[24..].copy_from_slice(b"DOWNGRD\x01");
    Handshake::Tls12 {
        client_random: [1; 32],
        server_random,
        group: Group::X25519,
        point: vec![3; 32],
    }
}

#[test]
fn tls_1_2_is_signed_where_it_is_spoken() {
    let pair = p256();
    let scheme = Scheme::EcdsaP256Sha256;
    let both = [Version::Tls12, Version::Tls13];
    for versions in [&both[..1], &both[..]] {
        with_versions(&pair, versions, |supervisor| {
            let mut network = connect(supervisor, 1, 2);
            sign_handshake(&mut network, scheme, old());
            let KeysToNetwork::Signed { signature } = next(&mut network).unwrap() else {
                panic!("it is not signed");
            };
            // RFC 5246, section 7.4.3, and RFC 8422, section 5.4.
            let text = [
                &[1; 32][..],
                &[2; 24],
                b"DOWNGRD\x01",
                &[3, 0, 29, 32],
                &[3; 32],
            ]
            .concat();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key_raw());
            key.verify(&text, &signature).unwrap();
            // One connection, one handshake, of whatever version.
            sign(&mut network, scheme, &[7; 32]);
            assert_eq!(violation(supervisor, 1), "a second handshake");
        });
    }
}

/// A `network` that somebody has broken into asks for what it has no use for.
#[test]
fn what_is_no_handshake_of_tls_1_2_is_reported_and_not_signed() {
    let change = |with: fn(&mut [u8; 32], &mut [u8; 32], &mut Group, &mut Vec<u8>)| {
        let mut handshake = old();
        let Handshake::Tls12 {
            client_random,
            server_random,
            group,
            point,
        } = &mut handshake
        else {
            unreachable!()
        };
        with(client_random, server_random, group, point);
        handshake
    };
    let form = "a public point of 32 bytes that has not the form of its group's";
    let questions = [
        (
            change(|client, server, _, _| (*client, *server) = ([b' '; 32], [b' '; 32])),
            "randoms of TLS 1.2 that begin as a handshake of TLS 1.3 does",
        ),
        (
            change(|_, server, _, _| *server = [2; 32]),
            "a random of TLS 1.2 that hides that the socket speaks TLS 1.3",
        ),
        (change(|_, _, group, _| *group = Group::P256), form),
        (
            change(|_, _, _, point| point.push(0)),
            "a public point of 33 bytes that has not the form of its group's",
        ),
        (
            change(|_, _, group, point| (*group, *point) = (Group::P256, vec![2; 65])),
            "a public point of 65 bytes that has not the form of its group's",
        ),
    ];
    let scheme = Scheme::EcdsaP256Sha256;
    let both = [Version::Tls12, Version::Tls13];
    with_versions(&p256(), &both, |supervisor| {
        for (id, (handshake, what)) in (0..).zip(questions) {
            let mut network = connect(supervisor, id, 2);
            sign_handshake(&mut network, scheme, handshake);
            assert_eq!(violation(supervisor, id), what);
            assert!(matches!(next(&mut network), Err(ChannelError::Closed)));
        }
    });
    // What a client alone can bring about is refused, and no `network` is accused.
    with_versions(&p256(), &both, |supervisor| {
        let mut network = connect(supervisor, 1, 2);
        let like_der = change(|client, _, _, _| client[..3].copy_from_slice(&[0x30, 98, 0x02]));
        sign_handshake(&mut network, scheme, like_der);
        assert!(refusal(&mut network).contains("the beginning of a certificate"));
        let ping = SupervisorToKeys::Ping;
        supervisor.send(&ping, Vec::new()).unwrap();
        assert_eq!(next(supervisor).unwrap(), KeysToSupervisor::Pong);
    });
    // A socket that has only one of the versions signs none of the other.
    for (versions, handshake, what) in [
        (
            &both[1..],
            old(),
            "a handshake of TLS 1.2, which the socket does not speak",
        ),
        (
            &both[..1],
            Handshake::Tls13 {
                transcript: vec![7; 32],
            },
            "a handshake of TLS 1.3, which the socket does not speak",
        ),
    ] {
        with_versions(&p256(), versions, |supervisor| {
            let mut network = connect(supervisor, 1, 2);
            sign_handshake(&mut network, scheme, handshake);
            assert_eq!(violation(supervisor, 1), what);
            assert!(matches!(next(&mut network), Err(ChannelError::Closed)));
        });
    }
}

#[test]
fn a_handshake_is_signed_and_nothing_else() {
    let pair = p256();
    with_key(&pair, |supervisor| {
        for (id, len) in [(1, 32), (2, 48)] {
            let mut network = connect(supervisor, id, 2);
            // What an attacker would like to have signed instead is only what is hashed here.
            let hash = vec![7; len];
            sign(&mut network, Scheme::EcdsaP256Sha256, &hash);
            let KeysToNetwork::Signed { signature } = next(&mut network).unwrap() else {
                panic!("it is not signed");
            };
            // RFC 8446, section 4.4.3.
            let mut text = vec![0x20; 64];
            text.extend(b"TLS 1.3, server CertificateVerify");
            text.push(0);
            text.extend(&hash);
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key_raw());
            key.verify(&text, &signature).unwrap();
            key.verify(&hash, &signature).unwrap_err();
            // One connection, one handshake.
            sign(&mut network, Scheme::EcdsaP256Sha256, &hash);
            assert_eq!(violation(supervisor, id), "a second handshake");
            assert!(matches!(next(&mut network), Err(ChannelError::Closed)));
        }
    });
}

#[test]
fn what_is_no_handshake_of_the_listener_is_reported_and_not_signed() {
    with_service(|supervisor| {
        let p256 = Scheme::EcdsaP256Sha256;
        let questions = [
            // On a socket in clear, with AES, and on none.
            (0, p256, 32, "a signature on a socket without TLS"),
            (1, p256, 32, "a signature on a socket without TLS"),
            (9, p256, 32, "a signature on a socket without TLS"),
            (2, p256, 0, "a transcript hash of 0 bytes"),
            (2, p256, 20, "a transcript hash of 20 bytes"),
            (2, p256, 33, "a transcript hash of 33 bytes"),
            (2, p256, 64, "a transcript hash of 64 bytes"),
            (2, p256, 4000, "a transcript hash of 4000 bytes"),
            (
                2,
                Scheme::Ed25519,
                32,
                "a signature that its key cannot make",
            ),
            (
                2,
                Scheme::RsaPssSha256,
                32,
                "a signature that its key cannot make",
            ),
            (
                2,
                Scheme::EcdsaP384Sha384,
                48,
                "a signature that its key cannot make",
            ),
        ];
        for (id, (listener, scheme, len, what)) in (0..).zip(questions) {
            let mut network = connect(supervisor, id, listener);
            sign(&mut network, scheme, &vec![1; len]);
            assert_eq!(violation(supervisor, id), what);
            assert!(matches!(next(&mut network), Err(ChannelError::Closed)));
        }
    });
}

#[test]
fn after_the_login_nothing_is_signed() {
    with_service(|supervisor| {
        let mut network = connect(supervisor, 1, 2);
        let admitted = SupervisorToKeys::Admitted(ConnectionId(1));
        supervisor.send(&admitted, Vec::new()).unwrap();
        supervisor
            .send(&SupervisorToKeys::Ping, Vec::new())
            .unwrap();
        assert_eq!(next(supervisor).unwrap(), KeysToSupervisor::Pong);
        let transcript = vec![1; 32];
        let question = NetworkToKeys::Sign {
            scheme: Scheme::EcdsaP256Sha256,
            handshake: Handshake::Tls13 { transcript },
        };
        // Whether the question still goes out is chance; there is no answer.
        let _ = network.send(&question, Vec::new());
        assert!(matches!(next(&mut network), Err(ChannelError::Closed)));
    });
}

/// Eight connections want the most expensive answer there is; one that wants a cheap one does
/// not wait for more than the one that is being computed.
#[test]
fn the_cheapest_are_answered_first() {
    with_service(|supervisor| {
        let expensive: Vec<Network> = (0..8)
            .map(|id| {
                let mut network = connect(supervisor, id, 1);
                let theirs = Derivation {
                    iterations: 200_000,
                    hash: KeyHash::Sha512,
                    ..question(u8::try_from(id).unwrap())
                };
                ask(&mut network, theirs);
                network
            })
            .collect();
        let mut cheap = connect(supervisor, 100, 1);
        ask(&mut cheap, question(100));
        assert!(matches!(
            next(&mut cheap),
            Ok(KeysToNetwork::Derived { .. })
        ));
        let mut waiting = Vec::new();
        for mut network in expensive {
            if let Ok(None) = network.receive() {
                waiting.push(network);
            }
        }
        assert!(waiting.len() >= 5, "{} of 8 still wait", waiting.len());
        for mut network in waiting {
            let answer = next(&mut network);
            assert!(matches!(answer, Ok(KeysToNetwork::Derived { .. })));
        }
    });
}

/// However many cheap questions come, an expensive one has its turn.
#[test]
fn nobody_waits_for_ever() {
    with_service(|supervisor| {
        let mut asked = 0;
        let mut cheap = |supervisor: &mut Supervisor| {
            asked += 1;
            assert!(asked < 200, "it waits for ever");
            let mut network = connect(supervisor, 100 + u64::from(asked), 1);
            let salt = vec![asked; 65];
            ask(
                &mut network,
                Derivation {
                    salt,
                    ..question(0)
                },
            );
            network
        };
        // Some always wait.
        let mut waiting: VecDeque<_> = (0..8).map(|_| cheap(supervisor)).collect();
        let mut patient = connect(supervisor, 1, 1);
        let dear = Derivation {
            iterations: 20_000,
            ..question(1)
        };
        ask(&mut patient, dear);
        while let Ok(None) = patient.receive() {
            let mut first = waiting.pop_front().unwrap();
            next(&mut first).unwrap();
            waiting.push_back(cheap(supervisor));
        }
    });
}

/// The supervisor passes another file, or says that there is none: who asks after that gets keys of it.
#[test]
fn another_file_of_key_data_takes_the_place_of_one() {
    with_service(|supervisor| {
        let mut salt = 0;
        let mut derived = |supervisor: &mut Supervisor| {
            salt += 1;
            let mut network = connect(supervisor, salt.into(), 1);
            ask(&mut network, question(salt));
            (salt, next(&mut network))
        };
        let of = |key_data: &[u8], (salt, answer): (u8, Result<KeysToNetwork, ChannelError>)| {
            let parameters = KeyParameters {
                salt: Salt::new(vec![salt; 64]).unwrap(),
                hash: wire::cipher::KeyHash::Sha1,
                size: KeySize::Aes256,
                iterations: Iterations::new(1000).unwrap(),
            };
            let Ok(KeysToNetwork::Derived { send, .. }) = answer else {
                panic!("{answer:?}");
            };
            send.0 == derive(key_data, &parameters).as_bytes()
        };
        let tell = |supervisor: &mut Supervisor, index, text: Option<&[u8]>| {
            let (message, fds) = match text {
                Some(text) => {
                    let mut file = tempfile::tempfile().unwrap();
                    file.write_all(text).unwrap();
                    (SupervisorToKeys::Secret { index }, vec![file.into()])
                }
                None => (SupervisorToKeys::NoSecret { index }, vec![]),
            };
            supervisor.send(&message, fds).unwrap();
        };
        assert!(of(b"key data", derived(supervisor)));
        tell(supervisor, 0, Some(b"other\n"));
        assert!(of(b"other", derived(supervisor)));
        tell(supervisor, 0, None);
        assert!(!matches!(
            derived(supervisor).1,
            Ok(KeysToNetwork::Derived { .. })
        ));
        // One that this session has not is nobody's.
        tell(supervisor, 7, Some(b"other\n"));
        assert!(!matches!(
            derived(supervisor).1,
            Ok(KeysToNetwork::Derived { .. })
        ));
        tell(supervisor, 0, Some(b"third"));
        assert!(of(b"third", derived(supervisor)));
    });
}
