//! The private key of a certificate: read once, when the session starts.

use crate::encrypted::{self, Shut};
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding,
};
use ipc::tls::{KeyKind, Scheme};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use std::fmt;
use zeroize::Zeroizing;

/// Most bytes of an RSA modulus. With twice as many a signature takes eight times as long, and
/// strangers ask for it.
const MAX_RSA: usize = 4096 / 8;

/// A private key. Never shown.
pub struct PrivateKey {
    kind: KeyKind,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair, Scheme),
    Ed25519(Ed25519KeyPair),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<private key>")
    }
}

/// Why a file is of no use as a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It can only be read with a pass phrase, and there is none.
    #[error("is encrypted: name the file with its pass phrase (ssl-key-password-file=FILE)")]
    Encrypted,
    /// Its pass phrase is another.
    #[error("has another pass phrase")]
    PassPhrase,
    /// In a way that is not known.
    #[error("is encrypted in a way that is not known here: openssl pkey -in OLD -aes256 -out NEW")]
    Unknown,
    /// There is no key in it.
    #[error("holds no private key in PEM (-----BEGIN PRIVATE KEY-----)")]
    None,
    /// The library does not take it.
    #[error("is no {} key that can be used, as its certificate wants it (RSA: 2048 to 4096 bits)", .0.name())]
    Unusable(KeyKind),
    /// It is for another certificate.
    #[error("is not the key of the certificate: name the two that were made together")]
    Other,
}

impl PrivateKey {
    /// Reads a key of this kind from PEM, and compares it with the public key of its certificate.
    /// `pass_phrase`: what opens it, if it is encrypted.
    /// It is tried out once with each of its schemes; so the library has asked the kernel for all
    /// that it asks once, which no filter allows.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(
        kind: KeyKind,
        pem: &[u8],
        pass_phrase: Option<&[u8]>,
        public: &[u8],
    ) -> Result<PrivateKey, KeyError> {
        let der = Zeroizing::new(key_in(pem, pass_phrase)?);
        let pair = Pair::read(kind, &der).ok_or(KeyError::Unusable(kind))?;
        if pair.public() != public {
            return Err(KeyError::Other);
        }
        let key = PrivateKey { kind, pair };
        match kind
            .schemes()
            .iter()
            .all(|scheme| key.sign(*scheme, b"").is_some())
        {
            true => Ok(key),
            false => Err(KeyError::Unusable(kind)),
        }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Signs what a handshake is. `None`: not a scheme of this key, or the library fails.
    #[must_use]
    pub fn sign(&self, scheme: Scheme, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(key) => {
                let padding: &'static dyn RsaEncoding = match scheme {
                    Scheme::RsaPssSha256 => &RSA_PSS_SHA256,
                    Scheme::RsaPssSha384 => &RSA_PSS_SHA384,
                    Scheme::RsaPssSha512 => &RSA_PSS_SHA512,
                    _ => return None,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Pair::Ecdsa(key, own) if *own == scheme => {
                Some(key.sign(&random, message).ok()?.as_ref().to_vec())
            }
            Pair::Ed25519(key) if scheme == Scheme::Ed25519 => {
                Some(key.try_sign(message).ok()?.as_ref().to_vec())
            }
            Pair::Ecdsa(..) | Pair::Ed25519(_) => None,
        }
    }
}

/// The first key in PEM.
fn key_in(pem: &[u8], pass_phrase: Option<&[u8]>) -> Result<PrivateKeyDer<'static>, KeyError> {
    const SHUT: &[u8] = b"ENCRYPTED PRIVATE KEY-----";
    // Of OpenSSL before 1.0 (RFC 1421, section 4.6.1.1): its derivation is one round of MD5.
    const OLD: &[u8] = b"Proc-Type: 4,ENCRYPTED";
    let has = |part: &[u8]| pem.windows(part.len()).any(|at| at == part);
    if !has(SHUT) {
        let none = if has(OLD) {
            KeyError::Unknown
        } else {
            KeyError::None
        };
        return PrivateKeyDer::from_pem_slice(pem).map_err(|_| none);
    }
    let pass_phrase = pass_phrase.ok_or(KeyError::Encrypted)?;
    // The reader of PEM knows keys in clear only, which differ in the label.
    let mut clear = Vec::with_capacity(pem.len());
    let mut rest = pem;
    while let Some(at) = rest.windows(SHUT.len()).position(|part| part == SHUT) {
        let (before, behind) = rest.split_at(at);
        clear.extend_from_slice(before);
        clear.extend_from_slice(b"PRIVATE KEY-----");
        rest = behind.get(SHUT.len()..).unwrap_or_default();
    }
    clear.extend_from_slice(rest);
    let shut = PrivateKeyDer::from_pem_slice(&clear).map_err(|_| KeyError::None)?;
    let mut open = encrypted::open(shut.secret_der(), pass_phrase).map_err(|why| match why {
        Shut::Unknown => KeyError::Unknown,
        Shut::PassPhrase => KeyError::PassPhrase,
    })?;
    Ok(PrivateKeyDer::Pkcs8(std::mem::take(&mut *open).into()))
}

impl Pair {
    fn read(kind: KeyKind, der: &PrivateKeyDer<'_>) -> Option<Self> {
        let ecdsa = |algorithm: &'static EcdsaSigningAlgorithm, scheme| {
            let key = match der {
                PrivateKeyDer::Sec1(_) | PrivateKeyDer::Pkcs8(_) => {
                    EcdsaKeyPair::from_private_key_der(algorithm, der.secret_der())
                }
                _ => return None,
            };
            Some(Self::Ecdsa(key.ok()?, scheme))
        };
        match (kind, der) {
            (KeyKind::Rsa, PrivateKeyDer::Pkcs8(der)) => {
                Self::rsa(RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()))
            }
            (KeyKind::Rsa, PrivateKeyDer::Pkcs1(der)) => {
                Self::rsa(RsaKeyPair::from_der(der.secret_pkcs1_der()))
            }
            (KeyKind::EcdsaP256, _) => {
                ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, Scheme::EcdsaP256Sha256)
            }
            (KeyKind::EcdsaP384, _) => {
                ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, Scheme::EcdsaP384Sha384)
            }
            (KeyKind::EcdsaP521, _) => {
                ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING, Scheme::EcdsaP521Sha512)
            }
            (KeyKind::Ed25519, PrivateKeyDer::Pkcs8(der)) => {
                let key = Ed25519KeyPair::from_pkcs8(der.secret_pkcs8_der());
                key.ok().map(Self::Ed25519)
            }
            (KeyKind::Rsa | KeyKind::Ed25519, _) => None,
        }
    }

    fn rsa(key: Result<RsaKeyPair, KeyRejected>) -> Option<Self> {
        let key = key.ok()?;
        (key.public_modulus_len() <= MAX_RSA).then_some(Self::Rsa(key))
    }

    /// As a certificate has it in its `subjectPublicKey`.
    fn public(&self) -> &[u8] {
        match self {
            Self::Rsa(key) => key.public_key().as_ref(),
            Self::Ecdsa(key, _) => key.public_key().as_ref(),
            Self::Ed25519(key) => key.public_key().as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
    use rcgen::{KeyPair as Made, RsaKeySize};

    fn rsa() -> Made {
        Made::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
    }

    fn read(kind: KeyKind, made: &Made) -> Result<PrivateKey, KeyError> {
        PrivateKey::read(
            kind,
            made.serialize_pem().as_bytes(),
            None,
            made.public_key_raw(),
        )
    }

    #[test]
    fn every_kind_signs_with_its_schemes_and_no_other() {
        for kind in KeyKind::ALL {
            let made = match kind {
                KeyKind::Rsa => rsa(),
                KeyKind::EcdsaP256 => Made::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
                KeyKind::EcdsaP384 => Made::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
                KeyKind::EcdsaP521 => Made::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap(),
                KeyKind::Ed25519 => Made::generate_for(&rcgen::PKCS_ED25519).unwrap(),
            };
            let key = read(kind, &made).unwrap();
            assert_eq!(key.kind(), kind);
            for (scheme, algorithm) in [
                (
                    Scheme::RsaPssSha256,
                    &signature::RSA_PSS_2048_8192_SHA256 as &'static dyn VerificationAlgorithm,
                ),
                (Scheme::RsaPssSha384, &signature::RSA_PSS_2048_8192_SHA384),
                (Scheme::RsaPssSha512, &signature::RSA_PSS_2048_8192_SHA512),
                (Scheme::EcdsaP256Sha256, &signature::ECDSA_P256_SHA256_ASN1),
                (Scheme::EcdsaP384Sha384, &signature::ECDSA_P384_SHA384_ASN1),
                (Scheme::EcdsaP521Sha512, &signature::ECDSA_P521_SHA512_ASN1),
                (Scheme::Ed25519, &signature::ED25519),
            ] {
                let signed = key.sign(scheme, b"text");
                assert_eq!(signed.is_some(), kind.schemes().contains(&scheme));
                if let Some(signature) = signed {
                    let public = UnparsedPublicKey::new(algorithm, made.public_key_raw());
                    public.verify(b"text", &signature).unwrap();
                    assert!(signature.len() <= 1024);
                }
            }
        }
    }

    #[test]
    fn an_rsa_key_is_not_larger_than_what_a_signature_is_billed_for() {
        let rsa = KeyKind::Rsa;
        let fits = Made::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_4096).unwrap();
        assert!(read(rsa, &fits).is_ok());
        // Made for this test: `openssl genrsa 8192` takes too long.
        let large = include_bytes!("../tests/data/rsa-8192.pem");
        assert!(PrivateKeyDer::from_pem_slice(large).is_ok());
        let read = PrivateKey::read(rsa, large, None, fits.public_key_raw());
        assert_eq!(read.unwrap_err(), KeyError::Unusable(rsa));
    }

    #[test]
    fn what_is_of_no_use_is_named() {
        let p256 = Made::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let other = Made::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let pem = p256.serialize_pem();
        let kind = KeyKind::EcdsaP256;
        let wrong = |kind, pem: &str| {
            PrivateKey::read(kind, pem.as_bytes(), None, other.public_key_raw()).unwrap_err()
        };
        assert_eq!(wrong(kind, &pem), KeyError::Other);
        assert_eq!(wrong(KeyKind::Rsa, &pem), KeyError::Unusable(KeyKind::Rsa));
        for kind in [KeyKind::EcdsaP384, KeyKind::EcdsaP521, KeyKind::Ed25519] {
            assert_eq!(wrong(kind, &pem), KeyError::Unusable(kind));
        }
        let encrypted = pem.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE");
        let encrypted = encrypted.replace("END PRIVATE", "END ENCRYPTED PRIVATE");
        assert_eq!(wrong(kind, &encrypted), KeyError::Encrypted);
        let no_key = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "key", no_key, &pem[..pem.len() / 2]] {
            assert_eq!(wrong(kind, pem), KeyError::None);
        }
        // Beside a certificate, and with text around, it is found.
        let beside = format!("{no_key}text\n{pem}{no_key}");
        assert!(PrivateKey::read(kind, beside.as_bytes(), None, p256.public_key_raw()).is_ok());
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(wrong(kind, old), KeyError::Unknown);
    }

    /// Made with `openssl genpkey -algorithm ED25519 | openssl pkey -aes256`.
    #[test]
    fn a_pass_phrase_opens_a_key_beside_a_certificate() {
        let pem = include_bytes!("../tests/data/encrypted.pem");
        let public = include_bytes!("../tests/data/encrypted.public");
        let read = |pass_phrase: Option<&str>| {
            let pass_phrase = pass_phrase.map(str::as_bytes);
            PrivateKey::read(KeyKind::Ed25519, pem, pass_phrase, public).map(drop)
        };
        assert_eq!(read(Some("sesame")), Ok(()));
        assert_eq!(read(Some("sesam")), Err(KeyError::PassPhrase));
        assert_eq!(read(Some("")), Err(KeyError::PassPhrase));
        assert_eq!(read(None), Err(KeyError::Encrypted));
        // One that is not encrypted needs none.
        let made = Made::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let clear = made.serialize_pem();
        let kind = KeyKind::Ed25519;
        assert!(
            PrivateKey::read(kind, clear.as_bytes(), Some(b"x"), made.public_key_raw()).is_ok()
        );
        // What is encrypted with it has to be a key.
        let shut = clear.replace("PRIVATE", "ENCRYPTED PRIVATE");
        let read = PrivateKey::read(kind, shut.as_bytes(), Some(b"x"), made.public_key_raw());
        assert_eq!(read.unwrap_err(), KeyError::Unknown);
    }

    #[test]
    fn a_key_is_not_shown() {
        let made = Made::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let key = read(KeyKind::Ed25519, &made).unwrap();
        assert_eq!(format!("{key:?}"), "<private key>");
    }
}
