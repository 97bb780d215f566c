//! Private keys under a pass phrase, as OpenSSL 3 writes them: PKCS #8 (RFC 5958, section 3) with
//! PBES2 of PBKDF2 and AES-CBC (RFC 8018, section 6.2).

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::pbkdf2::{
    self, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA384, PBKDF2_HMAC_SHA512,
};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// Most iterations: about two seconds.
const MAX_ITERATIONS: u32 = 4_000_000;

const PBES2: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d";
const PBKDF2: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c";
/// By the object identifier (RFC 8018, appendix B.1.2).
const HASHES: [(&[u8], pbkdf2::Algorithm); 4] = [
    (b"\x2a\x86\x48\x86\xf7\x0d\x02\x07", PBKDF2_HMAC_SHA1),
    (b"\x2a\x86\x48\x86\xf7\x0d\x02\x09", PBKDF2_HMAC_SHA256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x02\x0a", PBKDF2_HMAC_SHA384),
    (b"\x2a\x86\x48\x86\xf7\x0d\x02\x0b", PBKDF2_HMAC_SHA512),
];
/// The same of ciphers, with the bytes of their keys (RFC 8018, appendix B.2.5).
const CIPHERS: [(&[u8], &Algorithm, usize); 3] = [
    (b"\x60\x86\x48\x01\x65\x03\x04\x01\x02", &AES_128, 16),
    (b"\x60\x86\x48\x01\x65\x03\x04\x01\x16", &AES_192, 24),
    (b"\x60\x86\x48\x01\x65\x03\x04\x01\x2a", &AES_256, 32),
];

/// Why a key stays shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// It is encrypted in another way, or damaged.
    Unknown,
    /// Not with this pass phrase.
    PassPhrase,
}

/// What is in an `EncryptedPrivateKeyInfo`: a key in PKCS #8, as DER.
///
/// # Errors
/// [`Shut`].
pub fn open(der: &[u8], pass_phrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, Shut> {
    let sealed = Sealed::read(der).ok_or(Shut::Unknown)?;
    let (algorithm, len) = sealed.cipher;
    let mut key = Zeroizing::new([0; 32]);
    let key = key.get_mut(..len).ok_or(Shut::Unknown)?;
    pbkdf2::derive(
        sealed.hash,
        sealed.iterations,
        sealed.salt,
        pass_phrase,
        key,
    );
    let mut plain = Zeroizing::new(sealed.data.to_vec());
    let opened = UnboundCipherKey::new(algorithm, key)
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .and_then(|key| {
            let context = DecryptionContext::Iv128(sealed.iv.into());
            Ok(key.decrypt(&mut plain, context)?.len())
        });
    plain.truncate(opened.map_err(|_| Shut::PassPhrase)?);
    // The padding of one in 256 other keys looks right.
    let mut rest = Der(&plain);
    match rest.take(Der::SEQUENCE).is_some() && rest.0.is_empty() {
        true => Ok(plain),
        false => Err(Shut::PassPhrase),
    }
}

/// An `EncryptedPrivateKeyInfo`.
struct Sealed<'d> {
    hash: pbkdf2::Algorithm,
    iterations: NonZeroU32,
    salt: &'d [u8],
    cipher: (&'static Algorithm, usize),
    iv: [u8; 16],
    data: &'d [u8],
}

impl<'d> Sealed<'d> {
    fn read(der: &'d [u8]) -> Option<Self> {
        let mut outer = Der(der).whole(Der::SEQUENCE)?;
        let mut algorithm = outer.take(Der::SEQUENCE)?;
        let data = outer.take(Der::OCTET_STRING)?.0;
        algorithm.is(PBES2)?;
        let mut parameters = algorithm.take(Der::SEQUENCE)?;
        let mut derivation = parameters.take(Der::SEQUENCE)?;
        let mut encryption = parameters.take(Der::SEQUENCE)?;

        derivation.is(PBKDF2)?;
        let mut derivation = derivation.take(Der::SEQUENCE)?;
        let salt = derivation.take(Der::OCTET_STRING)?.0;
        let iterations = derivation.take(Der::INTEGER)?.number()?;
        // How long the key is, the cipher says.
        let _ = derivation.take(Der::INTEGER);
        let hash = match derivation.take(Der::SEQUENCE) {
            Some(mut hash) => hash.take(Der::OBJECT_IDENTIFIER)?.0,
            None => HASHES[0].0,
        };
        let (_, hash) = HASHES.into_iter().find(|(name, _)| *name == hash)?;

        let name = encryption.take(Der::OBJECT_IDENTIFIER)?.0;
        let (_, algorithm, len) = CIPHERS.into_iter().find(|(own, ..)| *own == name)?;
        Some(Self {
            hash,
            iterations: NonZeroU32::new(iterations).filter(|it| it.get() <= MAX_ITERATIONS)?,
            salt,
            cipher: (algorithm, len),
            iv: encryption.take(Der::OCTET_STRING)?.0.try_into().ok()?,
            data,
        })
    }
}

/// What is left of a text in DER (X.690).
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    const INTEGER: u8 = 0x02;
    const OCTET_STRING: u8 = 0x04;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    const SEQUENCE: u8 = 0x30;

    /// What is in the next element, if it has this tag.
    fn take(&mut self, tag: u8) -> Option<Self> {
        let (first, rest) = self.0.split_first()?;
        let (len, rest) = match rest.split_first()? {
            (len @ ..=0x7f, rest) => (usize::from(*len), rest),
            (0x81, [len, rest @ ..]) => (usize::from(*len), rest),
            (0x82, [high, low, rest @ ..]) => {
                (usize::from(u16::from_be_bytes([*high, *low])), rest)
            }
            _ => return None,
        };
        let (inside, rest) = rest.split_at_checked(len).filter(|_| *first == tag)?;
        self.0 = rest;
        Some(Self(inside))
    }

    /// What is in the only element there is.
    fn whole(mut self, tag: u8) -> Option<Self> {
        let inside = self.take(tag)?;
        self.0.is_empty().then_some(inside)
    }

    /// Is this name next?
    fn is(&mut self, name: &[u8]) -> Option<()> {
        (self.take(Self::OBJECT_IDENTIFIER)?.0 == name).then_some(())
    }

    /// A number of at most 32 bits that is not negative.
    fn number(&self) -> Option<u32> {
        let digits = match self.0 {
            [0, rest @ ..] => rest,
            [0..=0x7f, ..] => self.0,
            _ => return None,
        };
        let mut number = [0; 4];
        let at = number.len().checked_sub(digits.len())?;
        number.get_mut(at..)?.copy_from_slice(digits);
        Some(u32::from_be_bytes(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustls_pki_types::PrivateKeyDer;
    use rustls_pki_types::pem::PemObject;
    use std::io::Write;
    use std::process::{Command, Stdio};

    const PASS_PHRASE: &str = "a long p\u{e4}ss phrase";

    /// As DER, what OpenSSL makes of a key with these options.
    fn openssl(pem: &str, options: &[&str]) -> Vec<u8> {
        let mut child = Command::new("openssl")
            .args(["pkcs8", "-topk8", "-outform", "DER", "-passout", "env:IT"])
            .args(options)
            .env("IT", PASS_PHRASE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(pem.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    fn made() -> (String, Vec<u8>) {
        let made = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let pem = made.serialize_pem();
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let der = der.secret_der().to_vec();
        (pem, der)
    }

    #[test]
    fn what_openssl_shuts_is_opened_with_its_pass_phrase_only() {
        let (pem, der) = made();
        for options in [
            &[][..],
            &["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA1"],
            &["-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA384"],
            &[
                "-v2",
                "aes-256-cbc",
                "-v2prf",
                "hmacWithSHA512",
                "-iter",
                "70000",
            ],
        ] {
            let shut = openssl(&pem, options);
            let pass_phrase = PASS_PHRASE.as_bytes();
            assert_eq!(open(&shut, pass_phrase).as_deref(), Ok(&der), "{options:?}");
            // As many as it takes to meet a padding that is right.
            for other in 0..1000_u16 {
                let it = if options.is_empty() { other } else { other % 4 };
                assert_eq!(open(&shut, &it.to_be_bytes()), Err(Shut::PassPhrase));
            }
        }
    }

    #[test]
    fn other_ways_are_named() {
        let (pem, der) = made();
        for options in [
            &["-v2", "des3"][..],
            &["-v2", "aes-256-ofb"],
            &["-v2prf", "hmacWithSHA224"],
            &["-scrypt"],
            &["-v1", "PBE-SHA1-3DES"],
        ] {
            let shut = openssl(&pem, options);
            assert_eq!(
                open(&shut, PASS_PHRASE.as_bytes()),
                Err(Shut::Unknown),
                "{options:?}"
            );
        }
        for other in [&der[..], b"", b"\x30\x80"] {
            assert_eq!(open(other, PASS_PHRASE.as_bytes()), Err(Shut::Unknown));
        }
    }

    #[test]
    fn iterations_have_a_bound() {
        let (pem, _) = made();
        let shut = openssl(&pem, &["-iter", "70000"]);
        let digits = &70_000_u32.to_be_bytes()[1..];
        let at = shut.windows(3).position(|it| it == digits).unwrap();
        for (number, known) in [
            (1, true),
            (MAX_ITERATIONS, true),
            (MAX_ITERATIONS + 1, false),
            (0, false),
        ] {
            let mut other = shut.clone();
            other[at..at + 3].copy_from_slice(&number.to_be_bytes()[1..]);
            assert_eq!(Sealed::read(&other).is_some(), known, "{number}");
        }
    }

    #[test]
    fn none_of_it_may_be_missing() {
        let (pem, _) = made();
        let shut = openssl(&pem, &[]);
        for len in 0..shut.len() {
            assert_eq!(
                open(&shut[..len], PASS_PHRASE.as_bytes()),
                Err(Shut::Unknown)
            );
        }
        let more = [&shut[..], &[0]].concat();
        assert_eq!(open(&more, PASS_PHRASE.as_bytes()), Err(Shut::Unknown));
    }

    proptest! {
        #[test]
        fn numbers(number: u32, more in 0..4_usize) {
            let digits = number.to_be_bytes();
            let digits = [&[0; 5][..more], &digits].concat();
            let start = digits.iter().take_while(|it| **it == 0).count();
            let shortest = match &digits[start..] {
                rest @ ([] | [0x80..=0xff, ..]) => [&[0], rest].concat(),
                rest => rest.to_vec(),
            };
            prop_assert_eq!(Der(&shortest).number(), Some(number));
            prop_assert_eq!(Der(&[&[1, 0, 0, 0], &shortest[..]].concat()).number(), None);
        }

        #[test]
        fn rubbish_does_no_harm(der: Vec<u8>, tag: u8) {
            let _ = Der(&der).take(tag);
            prop_assert!(Sealed::read(&der).is_none());
        }
    }
}
