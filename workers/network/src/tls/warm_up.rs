//! Real handshakes before any filter is in force: the library asks the kernel for some things once in a
//! process (where its random numbers come from, what the processor can do, locks at the first use of a
//! cipher), and no filter allows that. So a client in the same process goes through all that
//! [`provider`] offers. There is no key in it: what is signed, and whether, is nobody's business here.

use super::provider;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ServerConfig, ServerConnection};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    DigitallySignedStruct, Error, SignatureAlgorithm, SignatureScheme, SupportedCipherSuite,
};
use std::io::{Read, Write};
use std::sync::Arc;

/// Most records that a side sends before the handshake is over.
const ROUNDS: usize = 8;
/// What is sent both ways at the end.
const HELLO: &[u8] = b"warm-up";

/// Shakes hands with each cipher suite and each key exchange, and sends a record both ways.
///
/// # Errors
/// The library does not work.
pub fn warm_up() -> Result<(), Error> {
    let all = provider();
    let count = all.cipher_suites.len().max(all.kx_groups.len());
    let suites = all.cipher_suites.iter().cycle();
    let groups = all.kx_groups.iter().cycle();
    for (suite, group) in suites.zip(groups).take(count) {
        shake_hands(*suite, *group)?;
    }
    Ok(())
}

fn shake_hands(
    suite: SupportedCipherSuite,
    group: &'static dyn SupportedKxGroup,
) -> Result<(), Error> {
    let one = CryptoProvider {
        cipher_suites: vec![suite],
        kx_groups: vec![group],
        ..provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(one))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Nobody))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    let name = ServerName::try_from("localhost").map_err(|_| Error::HandshakeNotComplete)?;
    let mut client = ClientConnection::new(Arc::new(config), name)?;

    let certificate = CertificateDer::from(vec![0]);
    let certified = CertifiedKey::new(vec![certificate], Arc::new(Nobody));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    let mut server = ServerConnection::new(Arc::new(config))?;

    let failed = |_| Error::HandshakeNotComplete;
    for _ in 0..ROUNDS {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).map_err(failed)?;
        server.read_tls(&mut wire.as_slice()).map_err(failed)?;
        server.process_new_packets()?;
        wire.clear();
        server.write_tls(&mut wire).map_err(failed)?;
        client.read_tls(&mut wire.as_slice()).map_err(failed)?;
        client.process_new_packets()?;
        if !client.is_handshaking() && !server.is_handshaking() {
            break;
        }
    }

    let mut wire = Vec::new();
    client.writer().write_all(HELLO).map_err(failed)?;
    client.write_tls(&mut wire).map_err(failed)?;
    server.read_tls(&mut wire.as_slice()).map_err(failed)?;
    server.process_new_packets()?;
    let mut heard = [0; HELLO.len()];
    server.reader().read_exact(&mut heard).map_err(failed)?;
    server.writer().write_all(&heard).map_err(failed)?;
    server.write_tls(&mut wire).map_err(failed)?;
    match heard == HELLO {
        true => Ok(()),
        false => Err(Error::HandshakeNotComplete),
    }
}

/// Signs nothing and verifies nothing.
#[derive(Debug)]
struct Nobody;

const SCHEME: SignatureScheme = SignatureScheme::ED25519;

impl SigningKey for Nobody {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Nobody))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Nobody {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(vec![0])
    }

    fn scheme(&self) -> SignatureScheme {
        SCHEME
    }
}

impl ServerCertVerifier for Nobody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::HandshakeNotComplete)
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SCHEME]
    }
}
