//! The service of `keys` in a thread, with key data and private keys, as a connection sees it.

use bulkhead_keys::key_data::Listeners;
use bulkhead_keys::salts::UsedSalts;
use bulkhead_keys::service;
use ipc::channel::socketpair;
use ipc::keys::{KeysToNetwork, KeysToSupervisor, NetworkToKeys, SupervisorToKeys};
use ipc::spec::{KeyData, KeysSpec, ListenerKey, PrivateKey};
use ipc::tls::{Certificate, KeyKind, Scheme, Suite, Version};
use ipc::{Channel, ConnectionId, ListenerId};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, RsaKeySize};
use runtime::secret::Buffer;
use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

/// What both sides of an encrypted socket know.
pub const KEY_DATA: &[u8] = b"what both sides know";

/// The sockets: with AES, and with TLS and an ECDSA key. Those with the other [`Signer`]s come behind it.
pub const AES: ListenerId = ListenerId(0);
/// See [`AES`].
pub const TLS: ListenerId = ListenerId(1);

/// The private key of a socket with TLS.
#[derive(Clone)]
pub struct Signer {
    /// For people.
    pub name: &'static str,
    /// Whose key it is.
    pub listener: ListenerId,
    /// What it is.
    pub kind: KeyKind,
    /// How it signs.
    pub scheme: Scheme,
    /// The key.
    pub pem: String,
    /// As a certificate has it.
    pub public: Vec<u8>,
}

impl Signer {
    fn new(
        name: &'static str,
        listener: ListenerId,
        (kind, scheme): (KeyKind, Scheme),
        pair: &KeyPair,
    ) -> Self {
        Self {
            name,
            listener,
            kind,
            scheme,
            pem: pair.serialize_pem(),
            public: pair.public_key_raw().to_vec(),
        }
    }
}

/// The service.
pub struct Keys {
    supervisor: Channel<SupervisorToKeys, KeysToSupervisor>,
    connections: u64,
    signers: [Signer; 3],
    /// Certificate and key of [`TLS`], as PEM.
    pub pem: (String, String),
    /// Whose signature the certificate has: its certificate as DER.
    pub authority: Vec<u8>,
    certificate: Certificate,
    thread: JoinHandle<()>,
}

impl Keys {
    /// Starts it.
    ///
    /// # Errors
    /// What failed.
    pub fn start() -> Result<Self, Box<dyn Error>> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate()?;
        let authority = params.self_signed(&authority_key)?;
        let issuer = Issuer::new(params, authority_key);
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = CertificateParams::new(names)?.signed_by(&pair, &issuer)?;

        let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519)?;
        let p256 = (KeyKind::EcdsaP256, Scheme::EcdsaP256Sha256);
        let pss = (KeyKind::Rsa, Scheme::RsaPssSha256);
        let eddsa = (KeyKind::Ed25519, Scheme::Ed25519);
        let signers = [
            Signer::new("ECDSA P-256", TLS, p256, &pair),
            Signer::new("RSA 2048", ListenerId(2), pss, &rsa),
            Signer::new("Ed25519", ListenerId(3), eddsa, &ed25519),
        ];

        let mut listeners = vec![Some(ListenerKey::Aes(KeyData {
            secret: 0,
            trim: false,
            in_place: false,
            key_size: 32,
        }))];
        let mut secrets = vec![file(KEY_DATA)?];
        for signer in &signers {
            listeners.push(Some(ListenerKey::Tls(PrivateKey {
                pass_phrase: None,
                name: "key.pem".into(),
                secret: u16::try_from(secrets.len())?,
                kind: signer.kind,
                versions: vec![Version::Tls13],
                public: signer.public.clone(),
            })));
            secrets.push(file(signer.pem.as_bytes())?);
        }
        let spec = KeysSpec { listeners };
        let (ours, theirs) = socketpair()?;
        let thread = std::thread::spawn(move || serve(theirs, spec, secrets));
        let mut keys = Self {
            supervisor: Channel::new(ours),
            connections: 0,
            pem: (certificate.pem(), pair.serialize_pem()),
            authority: authority.der().to_vec(),
            certificate: Certificate {
                chain: vec![certificate.der().to_vec()],
                key: KeyKind::EcdsaP256,
                suites: vec![Suite::Aes256, Suite::Chacha20, Suite::Aes128],
                optional: false,
                upgrade: false,
                clients: ipc::tls::Clients::NotAsked,
            },
            signers,
            thread,
        };
        match super::channel::next(&mut keys.supervisor)? {
            KeysToSupervisor::Ready => Ok(keys),
            other => Err(format!("keys says {other:?}").into()),
        }
    }

    /// The private keys, each of a socket of its own.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }

    /// What `network` is told of the socket with TLS.
    pub fn certificate(&self) -> Certificate {
        self.certificate.clone()
    }

    /// The channel of a new connection.
    ///
    /// # Errors
    /// The service has ended.
    pub fn connect(&mut self, listener: ListenerId) -> Result<OwnedFd, Box<dyn Error>> {
        let (ours, theirs) = socketpair()?;
        self.connections += 1;
        let message = SupervisorToKeys::Connection {
            connection: ConnectionId(self.connections),
            listener,
        };
        self.supervisor.send(&message, vec![theirs])?;
        Ok(ours)
    }

    /// The same, spoken to by us.
    ///
    /// # Errors
    /// The service has ended.
    pub fn channel(
        &mut self,
        listener: ListenerId,
    ) -> Result<Channel<NetworkToKeys, KeysToNetwork>, Box<dyn Error>> {
        Ok(Channel::new(self.connect(listener)?))
    }

    /// Ends it.
    pub fn stop(self) {
        drop(self.supervisor);
        let _ = self.thread.join();
    }
}

fn file(content: &[u8]) -> std::io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(content)?;
    Ok(file)
}

fn serve(supervisor: OwnedFd, spec: KeysSpec, secrets: Vec<File>) {
    let mut buffer = Buffer::new().expect("memory for secrets");
    let mut listeners =
        Listeners::new(spec, secrets, &mut buffer, false).expect("keys that can be used");
    let mut used = UsedSalts::default();
    // Its end is ours.
    let _ = service::serve(Channel::new(supervisor), &mut listeners, &mut used, buffer);
}
