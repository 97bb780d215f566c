//! `ssl-ca-certs=`, `ssl-ca-data=` and `ssl-verify-flags=`: who may sign the certificates of clients, and how those
//! are looked at.

use crate::encryption;
use crate::error::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::MAX_TRUST;
use certificates::der::Der;
use std::fmt;
use std::path::PathBuf;

/// Who may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    /// They are in a file, which is read for each login.
    File(PathBuf),
    /// They are in the option.
    Data(Pem),
}

impl Authorities {
    /// The option that says so.
    #[must_use]
    pub fn option(&self) -> &'static str {
        match self {
            Self::File(_) => "ssl-ca-certs",
            Self::Data(_) => "ssl-ca-data",
        }
    }
}

/// Certificates in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem(Vec<u8>);

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of PEM", self.0.len())
    }
}

impl Pem {
    /// Reads the value of `ssl-ca-data=`: hexadecimal digits or base64, as Xpra has it, of certificates in DER, one
    /// behind the other, or of text in PEM; or that text itself. Whether these are certificates is not looked at.
    ///
    /// # Errors
    /// It is none of this.
    pub fn parse(text: &str) -> Result<Self> {
        const BEGIN: &[u8] = b"-----BEGIN ";
        let is_pem = |bytes: &[u8]| bytes.windows(BEGIN.len()).any(|part| part == BEGIN);
        let bytes = match is_pem(text.as_bytes()) {
            true => text.as_bytes().to_vec(),
            false => match encryption::encoded(text)? {
                Some(bytes) => bytes.to_vec(),
                None => return Err(Self::wrong()),
            },
        };
        let pem = match is_pem(&bytes) {
            true => bytes,
            false => Self::of(&bytes).ok_or_else(Self::wrong)?,
        };
        match pem.len() as u64 <= MAX_TRUST {
            true => Ok(Self(pem)),
            false => Err(Error::usage(format!("longer than {MAX_TRUST} bytes"))),
        }
    }

    /// Certificates in DER as PEM.
    fn of(der: &[u8]) -> Option<Vec<u8>> {
        let mut all = Der(der);
        let mut pem = String::new();
        while !all.0.is_empty() {
            let (_, _, whole) = all.any().filter(|(tag, ..)| *tag == Der::SEQUENCE)?;
            pem.push_str("-----BEGIN CERTIFICATE-----\n");
            pem.push_str(&STANDARD.encode(whole));
            pem.push_str("\n-----END CERTIFICATE-----\n");
        }
        (!pem.is_empty()).then(|| pem.into_bytes())
    }

    fn wrong() -> Error {
        Error::usage(
            "these are no certificates: hexadecimal digits or base64 of DER or PEM (base64 -w0 ca.pem)",
        )
    }

    /// The text.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// `ssl-verify-flags=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Without revocation lists there is no session.
    pub lists: bool,
    /// What OpenSSL wants of the form of certificates is wanted, and is not all looked at here.
    pub strict: bool,
}

/// What one of OpenSSL's flags is here.
#[derive(Clone, Copy)]
enum Meaning {
    /// The case, whether it is said or not.
    Always,
    /// Taken, and said not to be all the case: it is in everybody's configuration of Xpra, whose default it is.
    Strict,
    /// The case with revocation lists, and they have to be there.
    Lists,
    /// Refused: somebody would be let in who is not.
    Weakens,
}
use Meaning::{Always, Lists, Strict, Weakens};

/// The flags as OpenSSL and Python's `ssl` call them, without `VERIFY_`.
const FLAGS: [(&str, Meaning); 7] = [
    ("DEFAULT", Always),
    ("X509_STRICT", Strict),
    ("X509_TRUSTED_FIRST", Always),
    ("X509_PARTIAL_CHAIN", Always),
    ("CRL_CHECK_LEAF", Lists),
    ("CRL_CHECK_CHAIN", Lists),
    ("ALLOW_PROXY_CERTS", Weakens),
];

impl Flags {
    /// Reads the value of `ssl-verify-flags=`.
    ///
    /// # Errors
    /// A flag that is not known, or that would weaken the check.
    pub fn parse(text: &str) -> Result<Self> {
        let mut flags = Self::default();
        for name in crate::offer::names(text)? {
            let known = |(known, _): &&(&str, Meaning)| known.eq_ignore_ascii_case(name);
            match FLAGS.iter().find(known) {
                Some((_, Always)) => {}
                Some((_, Strict)) => flags.strict = true,
                Some((_, Lists)) => flags.lists = true,
                Some((_, Weakens)) => {
                    return Err(Error::usage(format!(
                        "`{name}` would let in who is not let in here: leave it out"
                    )));
                }
                None => {
                    let known = FLAGS.iter().filter(|(_, what)| !matches!(what, Weakens));
                    let known: Vec<_> = known.map(|(name, _)| *name).collect();
                    return Err(Error::usage(format!(
                        "`{name}` is no flag that is known here; there are {}",
                        known.join(", ")
                    )));
                }
            }
        }
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use certificates::Trust;
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    fn authority() -> rcgen::Certificate {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// As Xpra encodes it, and as people would.
    #[test]
    fn certificates_in_every_form() {
        let (one, other) = (authority(), authority());
        let both = [one.der().as_ref(), other.der()].concat();
        let pem = format!("{}{}", one.pem(), other.pem());
        for (text, count) in [
            (hex(one.der()), 1),
            (format!("0x{}", hex(one.der())), 1),
            (STANDARD.encode(one.der()), 1),
            (format!("base64:{}", STANDARD.encode(one.der())), 1),
            (format!("b64:{}", STANDARD.encode(&both)), 2),
            (hex(&both), 2),
            (STANDARD.encode(&pem), 2),
            (hex(pem.as_bytes()), 2),
            (pem.clone(), 2),
        ] {
            let read = Pem::parse(&text).unwrap();
            let trust = Trust::read(read.bytes(), 1_800_000_000).unwrap();
            assert_eq!(trust.authorities.len(), count, "{text}");
            assert!(format!("{read:?}").ends_with("bytes of PEM"));
        }
        let cut = &both[..both.len() - 1];
        for text in [
            "",
            "0x",
            "0xzz",
            "b64:a",
            "ca.pem",
            "/etc/ssl/ca.pem",
            "hello world!",
            &hex(cut),
            &hex(&both[1..]),
            &hex(&[&both[..], &[0]].concat()),
        ] {
            assert!(Pem::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_are_the_case_or_need_lists_or_are_refused() {
        for (text, lists, strict) in [
            ("X509_STRICT", false, true),
            ("DEFAULT", false, false),
            (
                "x509_strict,X509_TRUSTED_FIRST:X509_PARTIAL_CHAIN",
                false,
                true,
            ),
            ("CRL_CHECK_LEAF", true, false),
            ("(X509_STRICT,CRL_CHECK_CHAIN)", true, true),
        ] {
            assert_eq!(Flags::parse(text), Ok(Flags { lists, strict }), "{text}");
        }
        for (text, part) in [
            ("", "an empty list"),
            ("ALLOW_PROXY_CERTS", "would let in"),
            ("X509_STRICT,ALLOW_PROXY_CERTS", "would let in"),
            ("CRL_CHECK", "`CRL_CHECK` is no flag"),
            ("VERIFY_X509_STRICT", "is no flag"),
        ] {
            let error = Flags::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,60}", bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = (Pem::parse(&text), Pem::parse(&hex(&bytes)), Flags::parse(&text));
        }
    }
}
