//! What is read of a certificate (RFC 5280, section 4.1) beside what webpki says of it.

use crate::der::Der;
use crate::names::{self, Alternative};
use sha2::{Digest, Sha256};

/// Most extensions that are looked through.
const MAX_EXTENSIONS: usize = 64;

/// A certificate.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'c> {
    der: &'c [u8],
    serial: &'c [u8],
    issuer: &'c [u8],
    subject: &'c [u8],
    begins: i64,
    ends: i64,
    /// What is in its `SubjectPublicKeyInfo`.
    key: Der<'c>,
    extensions: Option<Der<'c>>,
}

impl<'c> Leaf<'c> {
    /// Reads one; `None` when that is none.
    #[must_use]
    pub fn read(der: &'c [u8]) -> Option<Self> {
        let mut outer = Der(der);
        let mut certificate = outer.take(Der::SEQUENCE)?;
        if !outer.0.is_empty() {
            return None;
        }
        let mut body = certificate.take(Der::SEQUENCE)?;
        // The version, which the oldest do not have.
        let _ = body.take(0xa0);
        let serial = body.take(Der::INTEGER)?.0;
        body.take(Der::SEQUENCE)?;
        let issuer = body.take(Der::SEQUENCE)?.0;
        let mut validity = body.take(Der::SEQUENCE)?;
        let subject = body.take(Der::SEQUENCE)?.0;
        let key = body.take(Der::SEQUENCE)?;
        // Numbers of its issuer and of its own, which nobody uses.
        let _ = body.take(0x81);
        let _ = body.take(0x82);
        let extensions = match body.take(0xa3) {
            Some(mut tagged) => Some(tagged.take(Der::SEQUENCE)?),
            None => None,
        };
        Some(Self {
            der,
            serial,
            issuer,
            subject,
            begins: validity.time()?,
            ends: validity.time()?,
            key,
            extensions,
        })
    }

    /// From when to when it is good, in seconds since 1970, both included.
    #[must_use]
    pub fn validity(&self) -> (i64, i64) {
        (self.begins, self.ends)
    }

    /// Its number, as the list of who has signed it has it.
    #[must_use]
    pub fn serial(&self) -> &'c [u8] {
        self.serial
    }

    /// Who has signed it: the name, without its own tag.
    #[must_use]
    pub fn issuer(&self) -> &'c [u8] {
        self.issuer
    }

    /// Its subject as one text (RFC 4514).
    #[must_use]
    pub fn subject(&self) -> Option<String> {
        names::text(self.subject)
    }

    /// The hash that names it: SHA-256 of all of it.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.der).into()
    }

    /// The same, as it is written.
    #[must_use]
    pub fn fingerprint_text(&self) -> String {
        let hex = |byte: &u8| format!("{byte:02x}");
        self.fingerprint().iter().map(hex).collect()
    }

    /// Its names beside the subject.
    #[must_use]
    pub(crate) fn alternatives(&self) -> Vec<Alternative<'c>> {
        const ALTERNATIVE: &[u8] = &[0x55, 0x1d, 0x11];
        let found = self.extension(ALTERNATIVE).and_then(names::alternatives);
        found.unwrap_or_default()
    }

    /// May it sign others, and if so: how many between it and the last, if that is bounded.
    #[must_use]
    pub fn authority(&self) -> Option<Option<u8>> {
        const CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
        let mut constraints = Der(self.extension(CONSTRAINTS)?).take(Der::SEQUENCE)?;
        if constraints.take(Der::BOOLEAN)?.0 != [0xff] {
            return None;
        }
        if constraints.0.is_empty() {
            return Some(None);
        }
        match constraints.take(Der::INTEGER)?.0 {
            [len @ 0..=0x7f] => Some(Some(*len)),
            // So many there are never.
            [0, 0x80..=0xff] => Some(None),
            _ => None,
        }
    }

    /// May its key sign a handshake (RFC 8446, section 4.4.2.4)? Where nothing is said, it may.
    #[must_use]
    pub fn signs(&self) -> bool {
        const USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
        let usage = match self.find(USAGE) {
            Ok(Some(usage)) => usage,
            Ok(None) => return true,
            // What cannot be read may say that it may not.
            Err(Unreadable) => return false,
        };
        // The first bit, behind how many of the last byte do not count.
        match Der(usage).take(Der::BITS).map(|bits| bits.0) {
            Some([_, first, ..]) => first & 0x80 != 0,
            _ => false,
        }
    }

    /// How many bits its RSA key has; `None` when it has another.
    #[must_use]
    pub fn rsa_bits(&self) -> Option<usize> {
        const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
        let mut key = self.key;
        let mut algorithm = key.take(Der::SEQUENCE)?;
        if algorithm.take(Der::OBJECT)?.0 != RSA {
            return None;
        }
        // A string of bits begins with how many of the last byte do not count.
        let public = key.take(Der::BITS)?.0.strip_prefix(&[0])?;
        let modulus = Der(public).take(Der::SEQUENCE)?.take(Der::INTEGER)?.0;
        let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
        Some((modulus.len() - zeros).saturating_mul(8))
    }

    /// What is in an extension, where it can be found.
    fn extension(&self, wanted: &[u8]) -> Option<&'c [u8]> {
        self.find(wanted).ok().flatten()
    }

    /// What is in an extension, if there is such a one.
    fn find(&self, wanted: &[u8]) -> Result<Option<&'c [u8]>, Unreadable> {
        let Some(mut extensions) = self.extensions else {
            return Ok(None);
        };
        for _ in 0..MAX_EXTENSIONS {
            if extensions.0.is_empty() {
                return Ok(None);
            }
            let mut one = extensions.take(Der::SEQUENCE).ok_or(Unreadable)?;
            let object = one.take(Der::OBJECT).ok_or(Unreadable)?.0;
            // Whether it must be understood.
            let _ = one.take(Der::BOOLEAN);
            let value = one.take(Der::BYTES).ok_or(Unreadable)?.0;
            if object == wanted {
                return Ok(Some(value));
            }
        }
        Err(Unreadable)
    }
}

/// There are more extensions than are looked through, or something else.
#[derive(Clone, Copy, Debug)]
struct Unreadable;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, KeyPair,
        KeyUsagePurpose, SanType,
    };

    fn params() -> CertificateParams {
        let mut params = CertificateParams::new(["a.x.org".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::OrganizationName, "x");
        params.distinguished_name.push(DnType::CommonName, "ann");
        params
    }

    #[test]
    fn what_is_in_it_is_found() {
        let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let mut params = params();
        let mail = "ann@x.org".try_into().unwrap();
        params.subject_alt_names.push(SanType::Rfc822Name(mail));
        let certificate = params.self_signed(&key).unwrap();
        let leaf = Leaf::read(certificate.der()).unwrap();
        assert_eq!(leaf.subject().unwrap(), "CN=ann,O=x");
        assert_eq!(
            leaf.alternatives(),
            [
                Alternative::Machine("a.x.org"),
                Alternative::Mail("ann@x.org")
            ]
        );
        assert_eq!(leaf.rsa_bits(), Some(2048));
        assert_eq!(leaf.authority(), None);
        assert_eq!(leaf.fingerprint_text().len(), 64);
    }

    #[test]
    fn an_authority_says_that_it_is_one() {
        let key = KeyPair::generate().unwrap();
        for (is, expected) in [
            (IsCa::NoCa, None),
            (IsCa::ExplicitNoCa, None),
            (IsCa::Ca(BasicConstraints::Unconstrained), Some(None)),
            (IsCa::Ca(BasicConstraints::Constrained(2)), Some(Some(2))),
        ] {
            let mut params = params();
            params.is_ca = is;
            let certificate = params.self_signed(&key).unwrap();
            let leaf = Leaf::read(certificate.der()).unwrap();
            assert_eq!((leaf.authority(), leaf.rsa_bits()), (expected, None));
        }
    }

    #[test]
    fn a_key_signs_unless_it_is_said_or_might_be_said_that_it_may_not() {
        let key = KeyPair::generate().unwrap();
        let signs = |usages: &[KeyUsagePurpose], others: u64| {
            let mut params = params();
            params.key_usages = usages.to_vec();
            for number in 0..others {
                let content = vec![0x05, 0x00];
                let extension = CustomExtension::from_oid_content(&[1, 2, number], content);
                params.custom_extensions.push(extension);
            }
            let certificate = params.self_signed(&key).unwrap();
            Leaf::read(certificate.der()).unwrap().signs()
        };
        assert!(signs(&[], 0));
        assert!(signs(&[KeyUsagePurpose::DigitalSignature], 0));
        assert!(signs(
            &[
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyAgreement
            ],
            0
        ));
        assert!(!signs(&[KeyUsagePurpose::KeyAgreement], 0));
        assert!(!signs(&[KeyUsagePurpose::DecipherOnly], 0));
        assert!(signs(&[], 60));
        assert!(!signs(&[], 64), "more than are looked through");
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(leaf) = Leaf::read(&bytes) {
                let _ = (leaf.subject(), leaf.alternatives(), leaf.authority(), leaf.rsa_bits());
                let _ = leaf.signs();
            }
        }
    }
}
