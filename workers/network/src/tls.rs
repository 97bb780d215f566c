//! TLS of one connection: the handshake and the records are rustls's. The private key is not here:
//! `keys` is asked to sign the handshake, once, and for no more than a few seconds. Whoever asks
//! here is the only one who waits: a process has one connection.
//!
//! A client's certificate is not looked at here, nor is its signature of the handshake: both are kept
//! as they came, and somebody else judges them ([`Tls::take_shown`]).

use ipc::keys::{KeysToNetwork, NetworkToKeys};
use ipc::tls::{Certificate, Clients, KeyKind, MAX_CHAIN, MAX_SHOWN, Scheme, Shown};
use ipc::{Channel, ChannelError};
use runtime::{Interest, PollSet};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoClientAuth, NoServerSessionStorage, ServerConfig, ServerConnection};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{
    DigitallySignedStruct, DistinguishedName, PeerIncompatible, SignatureAlgorithm, SignatureScheme,
};
use std::fmt;
use std::io::{self, BufRead, IoSlice, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that wait between the outbox and the socket: what is encrypted cannot be dropped any more.
const BUFFER: usize = 64 * 1024;
/// How long `keys` has to sign.
const PATIENCE: Duration = Duration::from_secs(5);
/// The first byte of what a client of TLS sends: a handshake record.
pub const HANDSHAKE: u8 = 0x16;

/// What comes before the hash of what a server signs (RFC 8446, section 4.4.3), after 64 spaces.
const CONTEXT: &[u8] = b"TLS 1.3, server CertificateVerify\0";
/// The same of a client.
const CLIENT_CONTEXT: &[u8] = b"TLS 1.3, client CertificateVerify\0";

/// The channel to `keys`, until the handshake is signed.
pub type Keys = Channel<NetworkToKeys, KeysToNetwork>;

/// Why a connection with TLS ends.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The client does not begin with TLS.
    #[error("the client does not speak TLS, and this socket wants it: attach with ssl://")]
    Clear,
    /// The client does not take our certificate.
    #[error(
        "the client does not trust the certificate: give it the one that it is signed with (--ssl-ca-certs=FILE)"
    )]
    Untrusted,
    /// The client has no certificate, and has to.
    #[error(
        "the client shows no certificate, and this socket wants one: attach with --ssl-cert=FILE --ssl-key=FILE"
    )]
    NoCertificate,
    /// The client has none of our versions.
    #[error("the client does not speak TLS 1.3, and this socket nothing older")]
    Old,
    /// The client breaks the rules, or `keys` does not sign.
    #[error("TLS: {0}")]
    Tls(rustls::Error),
    /// It has what it read, and cannot give it to us.
    #[error("TLS: {0}")]
    Io(#[from] io::Error),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        use rustls::AlertDescription as Alert;
        match error {
            rustls::Error::AlertReceived(
                Alert::UnknownCA | Alert::BadCertificate | Alert::CertificateUnknown,
            ) => Self::Untrusted,
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            rustls::Error::PeerIncompatible(
                PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOfferedOrEnabled,
            ) => Self::Old,
            other => Self::Tls(other),
        }
    }
}

/// TLS of one connection.
pub struct Tls {
    connection: ServerConnection,
    remote: Arc<Mutex<Remote>>,
    /// What the client has shown.
    keeper: Arc<Keeper>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<TLS>")
    }
}

/// Who signs.
struct Remote {
    keys: Option<Keys>,
    /// What it did that no sound `keys` does.
    broken: Option<String>,
}

impl Tls {
    /// TLS with this certificate, of which `keys` has the key.
    ///
    /// # Errors
    /// The library refuses.
    pub fn new(certificate: Certificate, keys: Keys) -> Result<Self, TlsError> {
        let remote = Arc::new(Mutex::new(Remote {
            keys: Some(keys),
            broken: None,
        }));
        let keeper = Arc::new(Keeper::new(certificate.clients));
        let chain = certificate.chain.into_iter().map(CertificateDer::from);
        let key = RemoteKey {
            kind: certificate.key,
            remote: Arc::clone(&remote),
        };
        let certified = CertifiedKey::new(chain.collect(), Arc::new(key));
        let resolver = SingleCertAndKey::from(certified);
        let mut config = ServerConfig::builder_with_provider(Arc::new(tls::server()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(match certificate.clients {
                Clients::NotAsked => Arc::new(NoClientAuth),
                Clients::Optional | Clients::Required => Arc::clone(&keeper) as _,
            })
            .with_cert_resolver(Arc::new(resolver));
        // Nothing is resumed: a process has one connection. (And stock clients can lose their
        // first packet when tickets come: protocol "TLS hints".)
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        let mut connection = ServerConnection::new(Arc::new(config))?;
        connection.set_buffer_limit(Some(BUFFER));
        Ok(Self {
            connection,
            remote,
            keeper,
        })
    }

    /// Bytes came from the client; `hear` gets what they mean. Whether there may be more.
    ///
    /// # Errors
    /// The connection has to end; what there is to say about that waits to be written.
    pub fn take_in(
        &mut self,
        mut bytes: &[u8],
        mut hear: impl FnMut(&[u8]),
    ) -> Result<bool, TlsError> {
        while !bytes.is_empty() {
            let before = bytes.len();
            self.connection.read_tls(&mut bytes)?;
            let state = self.connection.process_new_packets()?;
            let mut left = state.plaintext_bytes_to_read();
            let mut reader = self.connection.reader();
            while left > 0 {
                let plain = reader.fill_buf()?;
                hear(plain);
                let count = plain.len();
                reader.consume(count);
                left = left.saturating_sub(count.max(1));
            }
            if state.peer_has_closed() {
                return Ok(false);
            }
            if bytes.len() == before {
                return Err(io::Error::from(io::ErrorKind::InvalidData).into());
            }
        }
        Ok(true)
    }

    /// Takes as much as there is room for of what the client is to get: so many bytes. None before
    /// the handshake is over.
    pub fn send(&mut self, slices: &[IoSlice<'_>]) -> usize {
        if self.connection.is_handshaking() {
            return 0;
        }
        self.connection
            .writer()
            .write_vectored(slices)
            .unwrap_or_default()
    }

    /// Does something wait to be written to the socket?
    #[must_use]
    pub fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Is the handshake over, so that something can be sent?
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Writes what waits, as much as goes at once.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn write_to(&mut self, socket: &mut dyn Write) -> io::Result<usize> {
        self.connection.write_tls(socket)
    }

    /// The last that the client is told, if it was told anything: that nothing comes any more.
    pub fn close(&mut self) {
        if self.is_open() {
            self.connection.send_close_notify();
        }
    }

    /// What the client has shown, once the handshake is over; once.
    #[must_use]
    pub fn take_shown(&mut self) -> Option<Shown> {
        self.is_open().then(|| self.keeper.take()).flatten()
    }

    /// What `keys` did that no sound one does.
    #[must_use]
    pub fn take_broken(&mut self) -> Option<String> {
        let remote = self.remote.lock();
        remote.unwrap_or_else(PoisonError::into_inner).broken.take()
    }
}

/// What rustls takes for the judge of certificates: it takes everything that is not too large, and
/// keeps it for who can judge.
#[derive(Debug)]
struct Keeper {
    required: bool,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    chain: Vec<Vec<u8>>,
    shown: Option<Shown>,
}

impl Keeper {
    fn new(clients: Clients) -> Self {
        Self {
            required: clients == Clients::Required,
            kept: Mutex::default(),
        }
    }

    fn take(&self) -> Option<Shown> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.shown.take()
    }
}

impl ClientCertVerifier for Keeper {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    /// Nobody is named: a client shows what it was told to show.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let all: Vec<_> = std::iter::once(own).chain(others).collect();
        if !Shown::may_be(all.iter().map(|der| der.len())) {
            return Err(failed(&format!(
                "the client shows more than {MAX_SHOWN} certificates, or more than {MAX_CHAIN} bytes of them"
            )));
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.chain = all.into_iter().map(|der| der.to_vec()).collect();
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(failed("that is no handshake of TLS 1.3"))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let transcript = message
            .strip_prefix(&[b' '; 64])
            .and_then(|rest| rest.strip_prefix(CLIENT_CONTEXT))
            .ok_or_else(|| failed("that is no handshake of TLS 1.3"))?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let scheme = Scheme::ALL.into_iter();
        let mut scheme = scheme.filter(|own| theirs(*own) == signed.scheme);
        let shown = Shown {
            chain: std::mem::take(&mut kept.chain),
            scheme: scheme
                .next()
                .ok_or_else(|| failed("a signature of a kind that was not offered"))?,
            transcript: transcript.to_vec(),
            signature: signed.signature().to_vec(),
        };
        if !shown.is_bounded() {
            return Err(failed("the client's signature is too long"));
        }
        kept.shown = Some(shown);
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Scheme::ALL.map(theirs).to_vec()
    }
}

/// What rustls takes for the private key.
struct RemoteKey {
    kind: KeyKind,
    remote: Arc<Mutex<Remote>>,
}

impl fmt::Debug for RemoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} key in keys>", self.kind.name())
    }
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let own = self.kind.schemes().iter();
        let scheme = own.copied().find(|own| offered.contains(&theirs(*own)))?;
        Some(Box::new(RemoteSigner {
            scheme,
            remote: Arc::clone(&self.remote),
        }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.kind {
            KeyKind::Rsa => SignatureAlgorithm::RSA,
            KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 => {
                SignatureAlgorithm::ECDSA
            }
            KeyKind::Ed25519 => SignatureAlgorithm::ED25519,
        }
    }
}

fn theirs(scheme: Scheme) -> SignatureScheme {
    match scheme {
        Scheme::RsaPssSha256 => SignatureScheme::RSA_PSS_SHA256,
        Scheme::RsaPssSha384 => SignatureScheme::RSA_PSS_SHA384,
        Scheme::RsaPssSha512 => SignatureScheme::RSA_PSS_SHA512,
        Scheme::EcdsaP256Sha256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        Scheme::EcdsaP384Sha384 => SignatureScheme::ECDSA_NISTP384_SHA384,
        Scheme::EcdsaP521Sha512 => SignatureScheme::ECDSA_NISTP521_SHA512,
        Scheme::Ed25519 => SignatureScheme::ED25519,
    }
}

struct RemoteSigner {
    scheme: Scheme,
    remote: Arc<Mutex<Remote>>,
}

impl fmt::Debug for RemoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{:?} in keys>", self.scheme)
    }
}

impl Signer for RemoteSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let transcript = message
            .strip_prefix(&[b' '; 64])
            .and_then(|rest| rest.strip_prefix(CONTEXT))
            .ok_or_else(|| failed("that is no handshake of TLS 1.3"))?;
        let mut remote = self.remote.lock().unwrap_or_else(PoisonError::into_inner);
        let question = NetworkToKeys::Sign {
            scheme: self.scheme,
            transcript: transcript.to_vec(),
        };
        remote.ask(&question)
    }

    fn scheme(&self) -> SignatureScheme {
        theirs(self.scheme)
    }
}

impl Remote {
    /// Asks, waits for the answer, and leaves: a connection has one handshake.
    fn ask(&mut self, question: &NetworkToKeys) -> Result<Vec<u8>, rustls::Error> {
        let Some(mut keys) = self.keys.take() else {
            return Err(failed("a second handshake"));
        };
        match wait(&mut keys, question) {
            Ok(Some(KeysToNetwork::Signed { signature })) => Ok(signature),
            Ok(Some(KeysToNetwork::Refused { text })) => Err(failed(&text)),
            Ok(Some(KeysToNetwork::Derived { .. })) => {
                self.broken = Some("keys that nobody asked for".to_owned());
                Err(failed("keys answers nonsense"))
            }
            Ok(None) => Err(failed("keys does not answer")),
            Err(error) if error.is_violation() => {
                self.broken = Some(error.to_string());
                Err(failed("keys answers nonsense"))
            }
            Err(_) => Err(failed("encryption is being restarted")),
        }
    }
}

/// `None`: no answer in time.
fn wait(keys: &mut Keys, question: &NetworkToKeys) -> Result<Option<KeysToNetwork>, ChannelError> {
    let until = Instant::now() + PATIENCE;
    keys.send(question, Vec::new())?;
    loop {
        keys.flush()?;
        if let Some((answer, _)) = keys.receive()? {
            return Ok(Some(answer));
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let mut set = PollSet::new();
        set.add(keys.as_fd(), Interest::read_and(keys.wants_write()));
        set.wait(Some(left))?;
    }
}

fn failed(why: &str) -> rustls::Error {
    rustls::Error::General(why.to_owned())
}
