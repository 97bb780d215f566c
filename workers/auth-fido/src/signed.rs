//! What has to be true of an answer (protocol "U2F/FIDO2"). An answer that has the length of one is
//! tried with every key, and then everything else is looked at: how long that takes does not tell what
//! is wrong.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};
use ipc::spec::{FidoKey, FidoSpec};
use wire::security_key::{self, Assertion, PRESENT, VERIFIED};

/// Longest origin that is taken, in bytes.
const MAX_ORIGIN: usize = 256;
/// Bytes of a public key: 4, and two numbers.
const POINT: usize = 65;

/// Why an answer is none. No key is named: it is not known which one it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Too long, or with control characters.
    #[error("what the client calls its origin is too long or has control characters")]
    Origin,
    /// Not what `origin=` says.
    #[error("the client calls its origin something else than origin= says")]
    OtherOrigin,
    /// Neither flags, counter and signature.
    #[error("the answer has not the length of one")]
    Length,
    /// Nobody touched the key.
    #[error("nobody was at the key")]
    Absent,
    /// It does not know who did.
    #[error("the key does not know who touched it, and verify= says that it must")]
    NotVerified,
    /// What no key that was asked for this says.
    #[error("the key says more about itself than it was asked")]
    Flags,
    /// Another key, application or challenge, or no signature at all.
    #[error("none of the known keys has signed this challenge for this app_id")]
    Signature,
}

/// Which signatures are good.
pub struct Rules {
    app_id: String,
    origin: Option<String>,
    verify: bool,
    keys: Vec<Known>,
}

/// A key that is known.
pub struct Known {
    /// Its number in the configuration.
    pub number: u16,
    /// Where it comes from, for the log.
    pub name: String,
    public: ParsedPublicKey,
}

impl Rules {
    /// Takes what the spec says, and makes what the sandbox will not let be made: the library looks
    /// for what the processor can when it is used for the first time.
    ///
    /// # Errors
    /// A point that is none of the curve's, or no key at all.
    pub fn new(spec: FidoSpec) -> Result<Self, String> {
        let known = |key: FidoKey| {
            // The library would take other forms too.
            let point =
                Some(&key.point).filter(|point| point.len() == POINT && point.first() == Some(&4));
            let public =
                point.and_then(|point| ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).ok());
            let public = public.ok_or_else(|| format!("{}: no public key of P-256", key.name))?;
            Ok(Known {
                number: key.number,
                name: key.name,
                public,
            })
        };
        let keys = spec.keys.into_iter().map(known);
        let keys = keys.collect::<Result<Vec<_>, String>>()?;
        if keys.is_empty() {
            return Err("no key was passed".into());
        }
        let rules = Self {
            app_id: spec.app_id,
            origin: spec.origin,
            verify: spec.verify,
            keys,
        };
        // Two ones in DER: well-formed, and nobody's.
        let nobody = [PRESENT, 0, 0, 0, 0, 0x30, 6, 2, 1, 1, 2, 1, 1];
        match rules.check(&[], b"", &nobody) {
            Err(_) => Ok(rules),
            Ok(_) => Err("the library takes every signature".into()),
        }
    }

    /// Which key has signed, and its counter.
    ///
    /// # Errors
    /// None has, or it says what it must not.
    pub fn check(
        &self,
        challenge: &[u8],
        client_salt: &[u8],
        response: &[u8],
    ) -> Result<(&Known, u32), Mistake> {
        let origin = security_key::origin(client_salt);
        let answer = Assertion::parse(response).ok_or(Mistake::Length)?;
        let data = security_key::client_data(challenge, &origin);
        let message = answer.message(&self.app_id, &data);
        let mut signer = None;
        for key in &self.keys {
            if key.public.verify_sig(&message, answer.signature).is_ok() {
                signer = Some(key);
            }
        }
        // Of what nobody has signed nothing else is told, in the log neither.
        let signer = signer.ok_or(Mistake::Signature)?;
        self.may(&origin, client_salt.len(), answer.flags)?;
        Ok((signer, answer.counter))
    }

    fn may(&self, origin: &str, len: usize, flags: u8) -> Result<(), Mistake> {
        if len > MAX_ORIGIN || origin.contains(char::is_control) {
            return Err(Mistake::Origin);
        }
        if self.origin.as_deref().is_some_and(|said| said != origin) {
            return Err(Mistake::OtherOrigin);
        }
        match flags {
            flags if flags & PRESENT == 0 => Err(Mistake::Absent),
            flags if flags & !(PRESENT | VERIFIED) != 0 => Err(Mistake::Flags),
            flags if self.verify && flags & VERIFIED == 0 => Err(Mistake::NotVerified),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    const SALT: &[u8] = &[9; 64];

    struct Key(EcdsaKeyPair);

    impl Key {
        fn new() -> Self {
            Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
        }

        fn known(&self, number: u16) -> FidoKey {
            FidoKey {
                number,
                name: format!("key {number}"),
                point: self.0.public_key().as_ref().to_vec(),
            }
        }

        /// An answer for an application, with client data.
        fn answer(&self, app_id: &str, data: &str, flags: u8, counter: u32) -> Vec<u8> {
            let unsigned = Assertion {
                flags,
                counter,
                signature: &[],
            };
            let message = unsigned.message(app_id, data);
            let signature = self.0.sign(&SystemRandom::new(), &message).unwrap();
            let head = [&[flags][..], &counter.to_be_bytes()].concat();
            [&head[..], signature.as_ref()].concat()
        }

        fn right(&self, origin: &str, flags: u8) -> Vec<u8> {
            self.answer("Xpra", &security_key::client_data(SALT, origin), flags, 7)
        }
    }

    fn spec(keys: &[&Key]) -> FidoSpec {
        FidoSpec {
            app_id: "Xpra".into(),
            origin: None,
            verify: false,
            keys: (0..).zip(keys).map(|(at, key)| key.known(at)).collect(),
            timeout: 10,
        }
    }

    fn outcome(rules: &Rules, origin: &[u8], response: &[u8]) -> Result<u16, Mistake> {
        let found = rules.check(SALT, origin, response);
        found.map(|(key, counter)| {
            assert_eq!(counter, 7);
            key.number
        })
    }

    #[test]
    fn the_key_that_has_signed_is_named() {
        let keys = [Key::new(), Key::new(), Key::new()];
        let rules = Rules::new(spec(&[&keys[0], &keys[1]])).unwrap();
        for origin in [
            "",
            "Xpra",
            "h\u{f6}st",
            "\u{20ac}",
            "a \"b\" \\",
            &"x".repeat(256),
        ] {
            let salt = security_key::origin_salt(origin);
            for (number, key) in (0..2).zip(&keys) {
                assert_eq!(
                    outcome(&rules, &salt, &key.right(origin, PRESENT)),
                    Ok(number)
                );
            }
            let stranger = keys[2].right(origin, PRESENT);
            assert_eq!(outcome(&rules, &salt, &stranger), Err(Mistake::Signature));
        }
    }

    #[test]
    fn what_was_signed_has_to_be_what_was_asked() {
        let key = Key::new();
        let rules = Rules::new(spec(&[&key])).unwrap();
        let data = security_key::client_data(SALT, "o");
        let wrong = Err(Mistake::Signature);
        for answer in [
            key.answer("xpra", &data, PRESENT, 7),
            key.answer("", &data, PRESENT, 7),
            key.answer(
                "Xpra",
                &security_key::client_data(&[8; 64], "o"),
                PRESENT,
                7,
            ),
            key.answer(
                "Xpra",
                &security_key::client_data(&SALT[..63], "o"),
                PRESENT,
                7,
            ),
            key.answer("Xpra", &security_key::client_data(SALT, "p"), PRESENT, 7),
            key.answer(
                "Xpra",
                &data.replace("getAssertion", "finishEnrollment"),
                PRESENT,
                7,
            ),
            key.answer("Xpra", &data.replace(": ", ":"), PRESENT, 7),
        ] {
            assert_eq!(outcome(&rules, b"o", &answer), wrong);
        }
        // Whatever is changed in the answer.
        let good = key.right("o", PRESENT);
        assert_eq!(outcome(&rules, b"o", &good), Ok(0));
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut other = good.clone();
                other[at] ^= 1 << bit;
                assert!(rules.check(SALT, b"o", &other).is_err(), "{at}, {bit}");
            }
        }
        for len in 0..good.len() {
            assert!(rules.check(SALT, b"o", &good[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn somebody_has_to_be_there_and_to_be_known_if_that_is_wanted() {
        let key = Key::new();
        let at = |verify, flags| {
            let rules = Rules::new(FidoSpec {
                verify,
                ..spec(&[&key])
            });
            outcome(&rules.unwrap(), b"o", &key.right("o", flags))
        };
        assert_eq!(at(false, PRESENT | VERIFIED), Ok(0));
        assert_eq!(at(true, PRESENT | VERIFIED), Ok(0));
        assert_eq!(at(true, PRESENT), Err(Mistake::NotVerified));
        for absent in [0, VERIFIED, 0xfe] {
            assert_eq!(at(false, absent), Err(Mistake::Absent));
        }
        for bit in [1, 3, 4, 5, 6, 7] {
            assert_eq!(at(false, PRESENT | 1 << bit), Err(Mistake::Flags), "{bit}");
        }
    }

    #[test]
    fn an_origin_is_short_and_printable_and_the_one_that_is_wanted() {
        let key = Key::new();
        let rules = Rules::new(spec(&[&key])).unwrap();
        for origin in ["a\nb", "\0", "\u{7f}", "\u{85}", &"x".repeat(257)] {
            let salt = security_key::origin_salt(origin);
            let found = outcome(&rules, &salt, &key.right(origin, PRESENT));
            assert_eq!(found, Err(Mistake::Origin), "{origin:?}");
        }
        let rules = Rules::new(FidoSpec {
            origin: Some("ann's".into()),
            ..spec(&[&key])
        });
        let rules = rules.unwrap();
        let other = outcome(&rules, b"bob's", &key.right("bob's", PRESENT));
        assert_eq!(other, Err(Mistake::OtherOrigin));
        assert_eq!(
            outcome(&rules, b"ann's", &key.right("ann's", PRESENT)),
            Ok(0)
        );
    }

    /// One number in a signature, in DER, with a leading zero where it would be negative.
    fn number(bytes: &[u8]) -> Vec<u8> {
        [&[2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    #[test]
    fn a_signature_is_der_and_nothing_else() {
        let key = Key::new();
        let rules = Rules::new(spec(&[&key])).unwrap();
        let good = key.right("o", PRESENT);
        let (head, der) = good.split_at(5);
        let r = &der[4..4 + usize::from(der[3])];
        let s = &der[4 + r.len() + 2..];
        let sequence = |inside: &[u8]| {
            let len = u8::try_from(inside.len()).unwrap();
            [head, &[0x30, len], inside].concat()
        };
        let try_it = |response: &[u8]| outcome(&rules, b"o", response);
        let inside = [number(r), number(s)].concat();
        assert_eq!(sequence(&inside), good);
        // The same numbers, written in another way.
        let long = [
            &[0x30, 0x81, u8::try_from(inside.len()).unwrap()],
            &inside[..],
        ]
        .concat();
        let padded = [number(&[&[0], r].concat()), number(s)].concat();
        let trailing = [&inside[..], &[0]].concat();
        let endless = [&[0x30, 0x80], &inside[..], &[0, 0]].concat();
        for wrong in [
            [head, &long].concat(),
            [head, &endless].concat(),
            sequence(&padded),
            sequence(&trailing),
            [&good[..], &[0]].concat(),
            // Raw, as other formats have it.
            [head, &r[r.len() - 32..], &s[s.len().max(32) - 32..]].concat(),
        ] {
            assert!(try_it(&wrong).is_err());
        }
        // Zero and negative numbers.
        let (zero, minus) = (number(&[0]), number(&[0xff]));
        for inside in [[&zero[..], &zero], [&minus, &minus], [&zero, &number(s)]] {
            assert_eq!(try_it(&sequence(&inside.concat())), Err(Mistake::Signature));
        }
    }

    #[test]
    fn a_public_key_is_a_point_of_the_curve() {
        let key = Key::new();
        let point = key.known(0).point;
        let mut off = point.clone();
        off[64] ^= 1;
        let zero = [&[4][..], &[0; 64]].concat();
        let compressed = [&[2 | point[64] & 1][..], &point[1..33]].concat();
        for wrong in [off, zero, vec![0], vec![], compressed, point[..64].to_vec()] {
            let mut spec = spec(&[&key]);
            spec.keys[0].point = wrong;
            assert!(Rules::new(spec).is_err());
        }
        assert!(Rules::new(spec(&[])).is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_but_a_signature_is_one(salt: Vec<u8>, response: Vec<u8>) {
            let rules = Rules::new(spec(&[&Key::new()])).unwrap();
            assert!(rules.check(SALT, &salt, &response).is_err());
        }
    }
}
