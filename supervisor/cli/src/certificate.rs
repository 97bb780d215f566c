//! Certificates: found in PEM, and read as far as it takes to tell the operator what is wrong with
//! one before any client does. Whether it is to be trusted is the client's business.

use crate::error::{Error, Result, reason};
use certificates::der::Der;
use certificates::{Date, MAX_TRUST, Trust, sections};
use files::{Ids, MAX_AUTHORITIES};
use ipc::spec::{FileIdentity, FileKind};
use ipc::tls::{KeyKind, MAX_CHAIN};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// Longest file of certificates, in bytes: a key may be in it too, and comments.
const MAX_FILE: u64 = 64 * 1024;

/// A certificate with those that it is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Each as DER, the first is the server's own.
    pub certificates: Vec<Vec<u8>>,
    /// What the first says of its key.
    pub kind: KeyKind,
    /// Its public key: what is in its `subjectPublicKey`.
    pub public: Vec<u8>,
    /// The last day on which it is good.
    pub until: Date,
}

/// Where Debian keeps the certificates of those who sign others (`ca-certificates`).
pub const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Reads a server's certificate and those that it is signed with. `user` is the session's in a start as
/// root.
///
/// # Errors
/// It cannot be read, others may write it, there is none in it, or the first is of no use now.
pub fn read(path: &Path, user: Option<Ids>) -> Result<Chain> {
    read_with(path, user, MAX_FILE, |pem| chain(pem, now())).map(|(chain, ..)| chain)
}

/// Seconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

/// Reads who may sign the certificates of clients, and which are revoked; and the open file.
///
/// # Errors
/// It cannot be read, others may write it, or there is nobody in it who may sign now.
pub fn trust(path: &Path, user: Option<Ids>) -> Result<(Trust, OwnedFd, FileIdentity)> {
    read_with(path, user, MAX_TRUST, |pem| {
        Trust::read(pem, now()).map_err(Wrong::Trust)
    })
}

/// The same of text that is in no file.
///
/// # Errors
/// There is nobody in it who may sign now.
pub fn trust_in(pem: &[u8]) -> Result<Trust> {
    Trust::read(pem, now()).map_err(|why| Error::new(why.to_string()))
}

/// Reads certificates that others may be signed with, each as DER.
///
/// # Errors
/// They cannot be read, others may write them, or there are none.
pub fn authorities(path: &Path, user: Option<Ids>) -> Result<Vec<Vec<u8>>> {
    read_with(path, user, MAX_AUTHORITIES, |pem| {
        let found = certificates(pem)?;
        match found.is_empty() {
            true => Err(Wrong::None),
            false => Ok(found),
        }
    })
    .map(|(found, ..)| found)
}

fn read_with<T>(
    path: &Path,
    user: Option<Ids>,
    limit: u64,
    with: impl FnOnce(&[u8]) -> std::result::Result<T, Wrong>,
) -> Result<(T, OwnedFd, FileIdentity)> {
    let (file, identity) =
        files::open_named(path, FileKind::Authorities, user).map_err(Error::new)?;
    let fail = |why: String| Error::new(format!("certificate {}: {why}", path.display()));
    // A key may be in the same file; it is not looked at, and wiped with the rest.
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(limit).unwrap_or_default() + 1,
    ));
    (&file)
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| fail(reason(&error)))?;
    if bytes.len() as u64 > limit {
        return Err(fail(format!("is longer than {limit} bytes")));
    }
    let read = with(&bytes).map_err(|why| fail(why.to_string()))?;
    Ok((read, file.into(), identity))
}

/// What is wrong with a file of certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// There is none.
    #[error("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")]
    None,
    /// It is not what it says that it is.
    #[error("is damaged: it is no certificate in PEM from begin to end")]
    Damaged,
    /// More than [`MAX_CHAIN`].
    #[error(
        "holds certificates of more than {MAX_CHAIN} bytes: leave out what clients have anyway"
    )]
    TooLong,
    /// Its time is over.
    #[error("expired on {0}: get a new one, or make one with `bulkhead setup-ssl`")]
    Expired(Date),
    /// Its time has not come.
    #[error("is not valid before {0}: is the clock right?")]
    Early(Date),
    /// What is wrong with authorities.
    #[error(transparent)]
    Trust(certificates::Wrong),
    /// Not one that TLS 1.3 signs with.
    #[error(
        "has a key that cannot be used here: RSA, ECDSA on P-256, P-384 or P-521, and Ed25519 can"
    )]
    Kind,
}

/// Reads the certificates in a file's text, at this time (seconds since 1970).
///
/// # Errors
/// [`Wrong`].
pub fn chain(pem: &[u8], now: i64) -> std::result::Result<Chain, Wrong> {
    let certificates = certificates(pem)?;
    let own = certificates.first().ok_or(Wrong::None)?;
    if certificates.iter().map(Vec::len).sum::<usize>() > MAX_CHAIN {
        return Err(Wrong::TooLong);
    }
    let own = Own::parse(own).ok_or(Wrong::Damaged)?;
    let kind = own.kind().ok_or(Wrong::Kind)?;
    if now > own.ends {
        return Err(Wrong::Expired(Date::of(own.ends)));
    }
    if now < own.begins {
        return Err(Wrong::Early(Date::of(own.begins)));
    }
    let (public, until) = (own.public.to_vec(), Date::of(own.ends));
    Ok(Chain {
        certificates,
        kind,
        public,
        until,
    })
}

/// The certificates of a PEM file, and nothing else that is in it.
fn certificates(pem: &[u8]) -> std::result::Result<Vec<Vec<u8>>, Wrong> {
    let found = sections(pem, &["CERTIFICATE"]).map_err(|_| Wrong::Damaged)?;
    Ok(found.into_iter().map(|(_, der)| der).collect())
}

/// What is read of the server's own certificate (RFC 5280, section 4.1).
struct Own<'c> {
    begins: i64,
    ends: i64,
    /// Object identifiers of the key's algorithm, and of its curve.
    algorithm: &'c [u8],
    curve: Option<&'c [u8]>,
    public: &'c [u8],
}

impl<'c> Own<'c> {
    fn parse(der: &'c [u8]) -> Option<Self> {
        let mut outer = Der(der);
        let mut certificate = outer.take(Der::SEQUENCE)?;
        if !outer.0.is_empty() {
            return None;
        }
        let mut body = certificate.take(Der::SEQUENCE)?;
        // The version, which the oldest do not have.
        let _ = body.take(0xa0);
        body.take(Der::INTEGER)?;
        body.take(Der::SEQUENCE)?;
        body.take(Der::SEQUENCE)?;
        let mut validity = body.take(Der::SEQUENCE)?;
        body.take(Der::SEQUENCE)?;
        let mut key = body.take(Der::SEQUENCE)?;
        let mut algorithm = key.take(Der::SEQUENCE)?;
        // A string of bits begins with how many of the last byte do not count.
        let public = key.take(Der::BITS)?.0.strip_prefix(&[0])?;
        Some(Self {
            begins: validity.time()?,
            ends: validity.time()?,
            algorithm: algorithm.take(Der::OBJECT)?.0,
            curve: algorithm.take(Der::OBJECT).map(|curve| curve.0),
            public,
        })
    }

    fn kind(&self) -> Option<KeyKind> {
        const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
        const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
        const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        const P384: &[u8] = &[0x2b, 0x81, 4, 0, 34];
        const P521: &[u8] = &[0x2b, 0x81, 4, 0, 35];
        const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
        Some(match (self.algorithm, self.curve) {
            (RSA, _) => KeyKind::Rsa,
            (ED25519, _) => KeyKind::Ed25519,
            (EC, Some(P256)) => KeyKind::EcdsaP256,
            (EC, Some(P384)) => KeyKind::EcdsaP384,
            (EC, Some(P521)) => KeyKind::EcdsaP521,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    /// From one day to another, and what it is called in PEM.
    fn pem(key: &KeyPair, from: (i32, u8, u8), until: (i32, u8, u8)) -> String {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params.self_signed(key).unwrap().pem()
    }

    fn at(year: i32, month: u8, day: u8) -> i64 {
        Date { year, month, day }.begins()
    }

    #[test]
    fn every_kind_of_key_is_known() {
        for (algorithm, kind) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, KeyKind::EcdsaP256),
            (&rcgen::PKCS_ECDSA_P384_SHA384, KeyKind::EcdsaP384),
            (&rcgen::PKCS_ECDSA_P521_SHA512, KeyKind::EcdsaP521),
            (&rcgen::PKCS_ED25519, KeyKind::Ed25519),
            (&rcgen::PKCS_RSA_SHA256, KeyKind::Rsa),
        ] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let pem = pem(&key, (2020, 1, 1), (2060, 1, 1));
            let chain = chain(pem.as_bytes(), at(2026, 1, 1)).unwrap();
            assert_eq!(chain.kind, kind);
            assert_eq!(chain.public, key.public_key_raw());
        }
    }

    #[test]
    fn what_is_in_a_file_and_when_it_is_good() {
        let key = KeyPair::generate().unwrap();
        let (first, second) = (
            pem(&key, (2020, 2, 3), (2030, 4, 5)),
            pem(&key, (1999, 1, 1), (2050, 1, 1)),
        );
        let now = at(2026, 1, 1);
        let both = format!(
            "text\r\n{}{}{second}",
            key.serialize_pem(),
            first.replace('\n', "\r\n")
        );
        let found = chain(both.as_bytes(), now).unwrap();
        assert_eq!(found.certificates.len(), 1 + 1);
        let error = |text: &str, now| chain(text.as_bytes(), now).unwrap_err().to_string();
        assert!(error(&first, at(2031, 1, 1)).contains("expired on 2030-04-05"));
        assert!(error(&first, at(2019, 1, 1)).contains("not valid before 2020-02-03"));
        assert!(error(&second, at(2050, 1, 2)).contains("expired on 2050-01-01"));
        // Only the first is the server's.
        chain(format!("{first}{second}").as_bytes(), at(2021, 1, 1)).unwrap();
        for none in [
            "",
            "-----BEGIN CERTIFICATE REQUEST-----",
            &key.serialize_pem(),
        ] {
            assert_eq!(chain(none.as_bytes(), now), Err(Wrong::None));
        }
        let cut = &first[..first.len() - 30];
        let other = first.replacen("MII", "MIJ", 1).replacen("MIIB", "MIIC", 1);
        for damaged in [
            cut,
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            &other,
        ] {
            assert_eq!(
                chain(damaged.as_bytes(), now),
                Err(Wrong::Damaged),
                "{damaged}"
            );
        }
        let long = first.repeat(MAX_CHAIN / 300 + 1);
        assert_eq!(chain(long.as_bytes(), now), Err(Wrong::TooLong));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (chain(&bytes, 0), Own::parse(&bytes).map(|own| own.kind()));
        }

        #[test]
        fn a_changed_certificate_panics_nobody(at in 0..400_usize, to in any::<u8>()) {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
            let mut der = params.self_signed(&key).unwrap().der().to_vec();
            let at = at % der.len();
            der[at] = to;
            let _ = Own::parse(&der).map(|own| own.kind());
            let _ = Own::parse(&der[..at]).map(|own| own.kind());
        }
    }
}
