//! TLS of one connection: the handshake and the records are rustls's. The private key is not here:
//! `keys` is asked to sign the handshake, once, and for no more than a few seconds. Whoever asks
//! here is the only one who waits: a process has one connection.
//!
//! A client's certificate is not looked at here, nor is its signature of the handshake: both are kept
//! as they came, and somebody else judges them ([`Tls::take_shown`]).

use ipc::keys::{KeysToNetwork, NetworkToKeys};
use ipc::tls::{
    Certificate, Clients, Group, Handshake, KeyKind, MAX_CHAIN, MAX_SHOWN, Scheme, Shown, Suite,
    Version,
};
use ipc::{Channel, ChannelError};
use runtime::{Interest, PollSet};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoClientAuth, NoServerSessionStorage, ServerConfig, ServerConnection};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{
    CipherSuite, DigitallySignedStruct, DistinguishedName, PeerIncompatible, SignatureAlgorithm,
    SignatureScheme, SupportedProtocolVersion,
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
/// What comes before a curve in what a server of TLS 1.2 signs, after two randoms (RFC 8422, section 5.4).
const NAMED_CURVE: u8 = 3;
/// The same as [`CONTEXT`], of a client.
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
    #[error(
        "the client speaks no version of TLS that this socket does: what that is, ssl-protocol= and ssl-options= say (TLS 1.3 alone, where they say nothing)"
    )]
    Old,
    /// The client has none of our cipher suites.
    #[error(
        "the client has no cipher suite that this socket has: which those are, ssl-ciphers= and the kind of the certificate's key say"
    )]
    NoSuite,
    /// The client has none of our groups.
    #[error(
        "the client exchanges keys in no group that there is here (X25519 and P-256): it needs a newer TLS library"
    )]
    NoGroup,
    /// The client cannot check our signature.
    #[error(
        "the client checks no signature that the certificate's key makes (of RSA with PSS, of ECDSA on its own curve, or of Ed25519): it needs a newer TLS library, or the socket a certificate with another key"
    )]
    NoSignature,
    /// The client has TLS 1.2 as it was before 2015.
    #[error(
        "the client speaks TLS 1.2 without extended master secrets (RFC 7627), which is not safe: it needs a newer TLS library"
    )]
    NoExtendedMasterSecret,
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
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled,
            ) => Self::Old,
            rustls::Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
                Self::NoSuite
            }
            rustls::Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon) => Self::NoGroup,
            rustls::Error::PeerIncompatible(PeerIncompatible::NoSignatureSchemesInCommon) => {
                Self::NoSignature
            }
            rustls::Error::PeerIncompatible(
                PeerIncompatible::ExtendedMasterSecretExtensionRequired,
            ) => Self::NoExtendedMasterSecret,
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
    /// It has been said what came about.
    told: bool,
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
        let versions = Version::ALL.into_iter();
        let versions = versions.filter(|version| certificate.speaks(*version));
        let versions: Vec<_> = versions.map(their_version).collect();
        let mut provider = tls::server(certificate.speaks(Version::Tls12));
        let all = std::mem::take(&mut provider.cipher_suites);
        let named = |suite: &Suite| {
            let name = their_suite(*suite);
            all.iter().copied().find(|known| known.suite() == name)
        };
        provider.cipher_suites = certificate.suites.iter().filter_map(named).collect();
        let chain = certificate.chain.into_iter().map(CertificateDer::from);
        let key = RemoteKey {
            kind: certificate.key,
            remote: Arc::clone(&remote),
        };
        let certified = CertifiedKey::new(chain.collect(), Arc::new(key));
        let resolver = SingleCertAndKey::from(certified);
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&versions)?
            .with_client_cert_verifier(match certificate.clients {
                Clients::NotAsked => Arc::new(NoClientAuth),
                Clients::Optional | Clients::Required => Arc::clone(&keeper) as _,
            })
            .with_cert_resolver(Arc::new(resolver));
        // Which suite it is, we say, and not who is on the way to us with a hello of its own choice.
        config.ignore_client_order = true;
        // What a client of TLS 1.2 has to have so that its keys are of this handshake alone (RFC 7627).
        config.require_ems = true;
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
            told: false,
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

    /// Version, cipher suite and group, once the handshake is over; once.
    #[must_use]
    pub fn take_opened(&mut self) -> Option<String> {
        if self.told || !self.is_open() {
            return None;
        }
        self.told = true;
        let suite = self.connection.negotiated_cipher_suite()?.suite();
        let group = self.connection.negotiated_key_exchange_group()?.name();
        let suite = Suite::ALL
            .into_iter()
            .find(|own| their_suite(*own) == suite)?;
        let (version, suite) = (suite.version().name(), suite.name());
        Some(format!("{version}, {suite}, {group:?}"))
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

fn their_version(version: Version) -> &'static SupportedProtocolVersion {
    match version {
        Version::Tls12 => &rustls::version::TLS12,
        Version::Tls13 => &rustls::version::TLS13,
    }
}

fn their_suite(suite: Suite) -> CipherSuite {
    match suite {
        Suite::Aes256 => CipherSuite::TLS13_AES_256_GCM_SHA384,
        Suite::Chacha20 => CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        Suite::Aes128 => CipherSuite::TLS13_AES_128_GCM_SHA256,
        Suite::EcdsaChacha20 => CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        Suite::EcdsaAes256 => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        Suite::EcdsaAes128 => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        Suite::RsaChacha20 => CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        Suite::RsaAes256 => CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        Suite::RsaAes128 => CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
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
        let handshake = handshake(message).ok_or_else(|| failed("that is no handshake of ours"))?;
        let mut remote = self.remote.lock().unwrap_or_else(PoisonError::into_inner);
        let question = NetworkToKeys::Sign {
            scheme: self.scheme,
            handshake,
        };
        remote.ask(&question)
    }

    fn scheme(&self) -> SignatureScheme {
        theirs(self.scheme)
    }
}

/// What the library wants to have signed: `keys` puts the same together from its parts.
fn handshake(message: &[u8]) -> Option<Handshake> {
    if let Some(rest) = message.strip_prefix(&[b' '; 64]) {
        let transcript = rest.strip_prefix(CONTEXT)?.to_vec();
        return Some(Handshake::Tls13 { transcript });
    }
    let (client_random, rest) = message.split_first_chunk()?;
    let (server_random, rest) = rest.split_first_chunk()?;
    let ([named, high, low, len], point) = rest.split_first_chunk()?;
    let number = u16::from_be_bytes([*high, *low]);
    let group = Group::ALL
        .into_iter()
        .find(|group| group.number() == number)?;
    let sound = *named == NAMED_CURVE && usize::from(*len) == point.len();
    sound.then(|| Handshake::Tls12 {
        client_random: *client_random,
        server_random: *server_random,
        group,
        point: point.to_vec(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// None of what a socket is told to have is lost on the way to the library.
    #[test]
    fn the_library_has_every_suite() {
        for suite in Suite::ALL {
            let all = tls::server(true).cipher_suites;
            let found = all.iter().find(|known| known.suite() == their_suite(suite));
            let found = found.unwrap_or_else(|| panic!("{suite:?}"));
            assert_eq!(found.version(), their_version(suite.version()));
            let name = format!("{:?}", found.suite()).replace("TLS13_", "TLS_");
            assert_eq!(name, suite.name());
            for key in KeyKind::ALL {
                let key = RemoteKey {
                    kind: key,
                    remote: Arc::new(Mutex::new(Remote {
                        keys: None,
                        broken: None,
                    })),
                };
                assert_eq!(
                    found.usable_for_signature_algorithm(key.algorithm()),
                    suite.fits(key.kind)
                );
            }
        }
    }

    #[test]
    fn what_is_to_be_signed_is_taken_apart() {
        let hash = [7; 48];
        let text = [&[b' '; 64], CONTEXT, &hash].concat();
        let transcript = hash.to_vec();
        assert_eq!(handshake(&text), Some(Handshake::Tls13 { transcript }));
        let of = |named, number: u16, len: u8, point: &[u8]| {
            let [high, low] = number.to_be_bytes();
            let text = [&[1; 32][..], &[2; 32], &[named, high, low, len], point].concat();
            handshake(&text)
        };
        let expected = Handshake::Tls12 {
            client_random: [1; 32],
            server_random: [2; 32],
            group: Group::X25519,
            point: vec![5; 32],
        };
        assert_eq!(of(3, 29, 32, &[5; 32]), Some(expected));
        assert!(of(3, 23, 65, &[4; 65]).is_some());
        for other in [
            of(1, 29, 32, &[5; 32]),
            of(3, 24, 97, &[4; 97]),
            of(3, 29, 31, &[5; 32]),
            of(3, 29, 33, &[5; 32]),
            handshake(&[1; 67]),
            handshake(&[b' '; 64]),
            handshake(&[]),
        ] {
            assert_eq!(other, None);
        }
    }
}
