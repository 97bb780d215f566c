//! What a client says in a handshake of TLS, changed on its way: rustls as `network` has it, and what `keys`
//! makes of the questions that come from it. Both sides are real, so that a change can be anywhere in a whole
//! handshake; whatever it is, nothing is heard in the end but what the client has said, from its beginning on.
//!
//! The input: a byte of choices, then changes of five bytes each: where in what the client says (two, big
//! endian), what ([`Change`]), with which byte, how often.
#![no_main]

use bulkhead_keys::private_key::PrivateKey;
use bulkhead_keys::signing::Request;
use bulkhead_network::tls::Tls;
use ipc::Channel;
use ipc::channel::socketpair;
use ipc::keys::{KeysToNetwork, NetworkToKeys};
use ipc::tls::{Certificate, Clients, KeyKind, Suite, Version};
use libfuzzer_sys::fuzz_target;
use rcgen::{CertificateParams, KeyPair};
use runtime::{Interest, PollSet};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, LazyLock};

/// What the client says in TLS.
const SAID: [u8; 3000] = {
    let mut said = [0; 3000];
    let mut at = 0;
    while at < said.len() {
        said[at] = (at % 251) as u8;
        at += 1;
    }
    said
};

/// One key pair with its own certificate, for both sides.
struct Own {
    pair: KeyPair,
    certificate: CertificateDer<'static>,
    key: PrivateKey,
}

static OWN: LazyLock<Own> = LazyLock::new(|| {
    let pair = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&pair).unwrap();
    let pem = pair.serialize_pem();
    let public = pair.public_key_raw();
    let key = PrivateKey::read(KeyKind::EcdsaP256, pem.as_bytes(), None, public).unwrap();
    Own {
        certificate: certificate.der().clone(),
        pair,
        key,
    }
});

/// Those of TLS 1.3, then those of 1.2 with such a key.
const SUITES: [Suite; 6] = [
    Suite::Aes256,
    Suite::Chacha20,
    Suite::Aes128,
    Suite::EcdsaChacha20,
    Suite::EcdsaAes256,
    Suite::EcdsaAes128,
];

/// What is changed.
enum Change {
    Flip,
    Delete,
    Insert,
    End,
}

struct Edit {
    at: usize,
    change: Change,
    byte: u8,
    count: usize,
}

/// What the client says, as it arrives.
struct Way {
    edits: Vec<Edit>,
    said: usize,
    deleted: usize,
    ended: bool,
}

impl Way {
    fn carry(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut carried = Vec::new();
        for byte in bytes {
            let mut byte = *byte;
            for edit in self.edits.iter().filter(|edit| edit.at == self.said) {
                match edit.change {
                    Change::Flip => byte ^= edit.byte,
                    Change::Delete => self.deleted = edit.count,
                    Change::Insert => carried.extend(vec![edit.byte; edit.count]),
                    Change::End => self.ended = true,
                }
            }
            self.said += 1;
            match self.deleted {
                0 if !self.ended => carried.push(byte),
                0 => {}
                _ => self.deleted -= 1,
            }
        }
        carried
    }
}

/// `keys`, of one connection.
fn sign(channel: OwnedFd, versions: &[Version]) {
    let mut channel: Channel<KeysToNetwork, NetworkToKeys> = Channel::new(channel);
    loop {
        let (scheme, handshake) = match channel.receive() {
            Ok(Some((NetworkToKeys::Sign { scheme, handshake }, _))) => (scheme, handshake),
            Ok(Some(other)) => panic!("{other:?}"),
            Ok(None) => {
                let mut set = PollSet::new();
                set.add(channel.as_fd(), Interest::read_and(false));
                set.wait(None).unwrap();
                continue;
            }
            Err(_) => return,
        };
        let request = Request::new(scheme, &handshake, versions);
        // What no sound `network` asks is never asked.
        let answer = match request {
            Ok(request) => KeysToNetwork::Signed {
                signature: OWN.key.sign(request.scheme, &request.text).unwrap(),
            },
            Err(malformed) => {
                assert!(!malformed.is_violation(), "{malformed}");
                KeysToNetwork::Refused {
                    text: malformed.to_string(),
                }
            }
        };
        if channel.send(&answer, Vec::new()).is_err() {
            return;
        }
    }
}

fn client(old: bool, shows: bool) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(OWN.certificate.clone()).unwrap();
    let versions = match old {
        true => &[&rustls::version::TLS12][..],
        false => rustls::ALL_VERSIONS,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let config = match shows {
        true => {
            let key = PrivateKeyDer::try_from(OWN.pair.serialize_der()).unwrap();
            config
                .with_client_auth_cert(vec![OWN.certificate.clone()], key)
                .unwrap()
        }
        false => config.with_no_client_auth(),
    };
    ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap()
}

fuzz_target!(|data: &[u8]| {
    let Some((choices, edits)) = data.split_first() else {
        return;
    };
    let (old, both, shows) = (choices & 1 != 0, choices & 2 != 0, choices & 4 != 0);
    let clients = match choices >> 3 & 3 {
        // A socket that speaks both versions does not ask.
        _ if both => Clients::NotAsked,
        0 => Clients::NotAsked,
        1 => Clients::Optional,
        _ => Clients::Required,
    };
    let suites = match both {
        true => &SUITES[..],
        false => &SUITES[..3],
    };
    let certificate = Certificate {
        chain: vec![OWN.certificate.to_vec()],
        key: KeyKind::EcdsaP256,
        suites: suites.to_vec(),
        optional: false,
        upgrade: false,
        clients,
    };
    let versions: Vec<_> = Version::ALL
        .into_iter()
        .filter(|version| certificate.speaks(*version))
        .collect();
    let edits: Vec<Edit> = edits
        .chunks_exact(5)
        .take(20)
        .map(|edit| Edit {
            at: usize::from(u16::from_be_bytes([edit[0], edit[1]])),
            change: match edit[2] % 4 {
                0 => Change::Flip,
                1 => Change::Delete,
                2 => Change::Insert,
                _ => Change::End,
            },
            byte: edit[3],
            count: edit[4].into(),
        })
        .collect();
    let unchanged = edits.is_empty();
    let mut way = Way {
        edits,
        said: 0,
        deleted: 0,
        ended: false,
    };
    let (ours, theirs) = socketpair().unwrap();
    let keys = std::thread::spawn(move || sign(theirs, &versions));
    let mut server = Tls::new(certificate, Channel::new(ours)).unwrap();
    let mut client = client(old, shows);
    let (mut heard, mut written) = (Vec::new(), 0);
    // More than a handshake with all that is said takes.
    for _ in 0..20 {
        let mut said = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut said).unwrap();
        }
        let arrives = way.carry(&said);
        let alive = server.take_in(&arrives, |bytes| heard.extend_from_slice(bytes));
        // The server says something too, as soon as it can.
        if server.is_open() && written == 0 {
            written = server.send(&[IoSlice::new(&SAID)]);
        }
        let mut answer = Vec::new();
        while server.wants_write() {
            server.write_to(&mut answer).unwrap();
        }
        let silent = said.is_empty() && answer.is_empty();
        let mut rest = &answer[..];
        let mut lost = !matches!(alive, Ok(true));
        while !rest.is_empty() && !lost {
            lost = client.read_tls(&mut rest).is_err() || client.process_new_packets().is_err();
        }
        if lost || silent {
            break;
        }
        if !client.is_handshaking() && said.len() < SAID.len() {
            let _ = client.writer().write(&SAID);
        }
    }
    let mut read = Vec::new();
    let _ = client.reader().read_to_end(&mut read);
    assert_eq!(server.take_broken(), None);
    let prefix = heard.len().min(SAID.len());
    assert_eq!(heard[..prefix], SAID[..prefix]);
    if let Some(shown) = server.take_shown() {
        assert!(clients != Clients::NotAsked && server.is_open());
        assert_eq!(shown.chain.first(), Some(&OWN.certificate.to_vec()));
    }
    if unchanged && both | !old && (clients != Clients::Required || shows) {
        assert!(server.is_open() && heard.starts_with(&SAID) && read.starts_with(&SAID));
    }
    drop(server);
    keys.join().unwrap();
});
