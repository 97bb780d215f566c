//! Real handshakes before any filter is in force: the library asks the kernel for some things once in a
//! process (where its random numbers come from, what the processor can do, locks at the first use of a
//! cipher), and no filter allows that. So a client and a server in the same process go through all that a
//! provider offers. There is no key in it: what is signed, and whether, is nobody's business here.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, ServerConfig, ServerConnection};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
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
pub fn warm_up(all: &CryptoProvider) -> Result<(), Error> {
    // What differs only in who signs is one here: nobody does.
    let differs =
        |suite: &&SupportedCipherSuite| Nobody::of(**suite).algorithm() != SignatureAlgorithm::RSA;
    let suites: Vec<_> = all.cipher_suites.iter().filter(differs).collect();
    let count = suites.len().max(all.kx_groups.len());
    let suites = suites.into_iter().cycle().take(count);
    for (round, suite) in suites.enumerate() {
        let version = suite.version().version;
        let usable = all.kx_groups.iter();
        let usable = usable.filter(|group| group.usable_for_version(version));
        let usable: Vec<_> = usable.collect();
        let group = round.checked_rem(usable.len());
        let group = group.and_then(|place| usable.get(place));
        let group = group.ok_or(Error::HandshakeNotComplete)?;
        shake_hands(all, *suite, **group)?;
    }
    Ok(())
}

fn shake_hands(
    all: &CryptoProvider,
    suite: SupportedCipherSuite,
    group: &'static dyn SupportedKxGroup,
) -> Result<(), Error> {
    let nobody = Arc::new(Nobody::of(suite));
    let one = CryptoProvider {
        cipher_suites: vec![suite],
        kx_groups: vec![group],
        ..all.clone()
    };
    let versions = &[suite.version()];
    let mut config = ClientConfig::builder_with_provider(Arc::new(one))
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&nobody) as _)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    let name = ServerName::try_from("localhost").map_err(|_| Error::HandshakeNotComplete)?;
    let mut client = ClientConnection::new(Arc::new(config), name)?;

    let certificate = CertificateDer::from(vec![0]);
    let certified = CertifiedKey::new(vec![certificate], nobody);
    let mut config = ServerConfig::builder_with_provider(Arc::new(all.clone()))
        .with_protocol_versions(versions)?
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

/// Signs nothing and verifies nothing, with a scheme that the cipher suite takes.
#[derive(Clone, Debug)]
struct Nobody(SignatureScheme);

impl Nobody {
    fn of(suite: SupportedCipherSuite) -> Self {
        let own = match suite {
            SupportedCipherSuite::Tls12(suite) => suite.sign.first(),
            SupportedCipherSuite::Tls13(_) => None,
        };
        Self(own.copied().unwrap_or(SignatureScheme::ED25519))
    }
}

impl SigningKey for Nobody {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(self.clone()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0 {
            SignatureScheme::ED25519 => SignatureAlgorithm::ED25519,
            SignatureScheme::ECDSA_NISTP256_SHA256
            | SignatureScheme::ECDSA_NISTP384_SHA384
            | SignatureScheme::ECDSA_NISTP521_SHA512 => SignatureAlgorithm::ECDSA,
            _ => SignatureAlgorithm::RSA,
        }
    }
}

impl Signer for Nobody {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(vec![0])
    }

    fn scheme(&self) -> SignatureScheme {
        self.0
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
        Ok(HandshakeSignatureValid::assertion())
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
        vec![self.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_and_every_exchange_of_both_sides_works() {
        for provider in [crate::server(false), crate::server(true), crate::client()] {
            warm_up(&provider).unwrap();
        }
    }

    #[test]
    fn a_server_offers_tls_1_2_only_where_it_is_told_to() {
        let is_new = |one: &SupportedCipherSuite| one.tls13().is_some();
        assert!(crate::server(false).cipher_suites.iter().all(is_new));
        assert!(!crate::server(true).cipher_suites.iter().all(is_new));
    }

    /// RSA is left out of the warm-up: there is such a suite for ECDSA, with the same cipher and the same hash.
    #[test]
    fn every_suite_for_rsa_has_a_twin() {
        for provider in [crate::server(true), crate::client()] {
            let names = provider
                .cipher_suites
                .iter()
                .map(|one| format!("{:?}", one.suite()));
            let names: Vec<_> = names.collect();
            for name in &names {
                assert!(names.contains(&name.replace("_RSA_", "_ECDSA_")), "{name}");
            }
        }
    }
}
