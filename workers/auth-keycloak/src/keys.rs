//! Keys of the provider (JSON Web Keys, RFC 7517), and what they have signed (RFC 7515, RFC 7518, RFC
//! 8037). Only public keys: there is nothing here that a shared secret could be taken for.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most keys that are kept.
pub const MAX_KEYS: usize = 16;
/// Longest name of a key, in bytes.
const MAX_NAME: usize = 128;
/// Longest modulus of RSA, in bytes.
const MAX_MODULUS: usize = 1024;
/// Longest exponent of RSA, in bytes.
const MAX_EXPONENT: usize = 8;

/// A public key that signatures can be checked with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The one algorithm that it is for, if it says so.
    algorithm: Option<String>,
    point: Point,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Point {
    /// Big-endian.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    /// Uncompressed: 4, x, y.
    P256(Vec<u8>),
    /// The same.
    P384(Vec<u8>),
    /// 32 bytes.
    Ed25519(Vec<u8>),
}

/// How something is signed.
#[derive(Clone, Copy)]
pub struct Algorithm {
    /// Its name (`alg`).
    pub name: &'static str,
    scheme: Scheme,
    /// The hash that goes with it.
    hash: &'static digest::Algorithm,
}

#[derive(Clone, Copy)]
enum Scheme {
    Rsa(&'static RsaParameters),
    P256(&'static dyn VerificationAlgorithm),
    P384(&'static dyn VerificationAlgorithm),
    Ed25519(&'static dyn VerificationAlgorithm),
}

const fn rsa(
    name: &'static str,
    parameters: &'static RsaParameters,
    hash: &'static digest::Algorithm,
) -> Algorithm {
    Algorithm {
        name,
        scheme: Scheme::Rsa(parameters),
        hash,
    }
}

/// All that there are. Whatever is not here, `none` and those with a shared secret first of all, is no
/// signature.
static ALGORITHMS: [Algorithm; 9] = [
    rsa("RS256", &RSA_PKCS1_2048_8192_SHA256, &digest::SHA256),
    rsa("RS384", &RSA_PKCS1_2048_8192_SHA384, &digest::SHA384),
    rsa("RS512", &RSA_PKCS1_2048_8192_SHA512, &digest::SHA512),
    rsa("PS256", &RSA_PSS_2048_8192_SHA256, &digest::SHA256),
    rsa("PS384", &RSA_PSS_2048_8192_SHA384, &digest::SHA384),
    rsa("PS512", &RSA_PSS_2048_8192_SHA512, &digest::SHA512),
    Algorithm {
        name: "ES256",
        scheme: Scheme::P256(&ECDSA_P256_SHA256_FIXED),
        hash: &digest::SHA256,
    },
    Algorithm {
        name: "ES384",
        scheme: Scheme::P384(&ECDSA_P384_SHA384_FIXED),
        hash: &digest::SHA384,
    },
    Algorithm {
        name: "EdDSA",
        scheme: Scheme::Ed25519(&ED25519),
        hash: &digest::SHA512,
    },
];

impl Algorithm {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        ALGORITHMS.iter().find(|one| one.name == name).copied()
    }

    /// The left half of the hash of something, as a token has it of what came with it.
    #[must_use]
    pub fn half_hash(self, of: &[u8]) -> String {
        let hash = digest::digest(self.hash, of);
        let hash = hash.as_ref();
        URL_SAFE_NO_PAD.encode(hash.get(..hash.len() / 2).unwrap_or_default())
    }
}

impl Key {
    /// The keys of a set that can be used here: of others, of other kinds and purposes, there may be
    /// any.
    ///
    /// # Errors
    /// It is no set, or has none that can be used, or too many.
    pub fn set(json: &[u8]) -> Result<Vec<Self>, &'static str> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|_| "are no set of keys")?;
        let keys: Vec<_> = set.keys.iter().filter_map(Self::read).collect();
        match keys.len() {
            0 => Err("have none that can be used"),
            1..=MAX_KEYS => Ok(keys),
            _ => Err("are too many"),
        }
    }

    fn read(json: &Value) -> Option<Self> {
        // A field that is there and is no text is not taken for one that is not.
        let optional = |name: &str| match json.get(name) {
            None => Some(None),
            Some(value) => value.as_str().map(Some),
        };
        let bytes = |name: &str| {
            let text = json.get(name)?.as_str()?;
            let bounded = text.len() <= MAX_MODULUS * 2;
            bounded.then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten()
        };
        let sized = |name: &str, size: usize| bytes(name).filter(|it| it.len() == size);
        let on_curve = |size: usize| Some([vec![4], sized("x", size)?, sized("y", size)?].concat());
        if optional("use")?.is_some_and(|what| what != "sig") {
            return None;
        }
        let point = match (json.get("kty")?.as_str()?, optional("crv")?) {
            ("RSA", _) => Point::Rsa {
                modulus: bytes("n").filter(|it| it.len() <= MAX_MODULUS)?,
                exponent: bytes("e").filter(|it| it.len() <= MAX_EXPONENT)?,
            },
            ("EC", Some("P-256")) => Point::P256(on_curve(32)?),
            ("EC", Some("P-384")) => Point::P384(on_curve(48)?),
            ("OKP", Some("Ed25519")) => Point::Ed25519(sized("x", 32)?),
            _ => return None,
        };
        let algorithm = optional("alg")?;
        if algorithm.is_some_and(|name| Algorithm::named(name).is_none()) {
            return None;
        }
        let name = optional("kid")?;
        if name.is_some_and(|name| name.len() > MAX_NAME) {
            return None;
        }
        Some(Self {
            name: name.map(str::to_owned),
            algorithm: algorithm.map(str::to_owned),
            point,
        })
    }

    /// Can it have signed so?
    fn fits(&self, algorithm: Algorithm) -> bool {
        let said = self.algorithm.as_deref();
        let kind = matches!(
            (algorithm.scheme, &self.point),
            (Scheme::Rsa(_), Point::Rsa { .. })
                | (Scheme::P256(_), Point::P256(_))
                | (Scheme::P384(_), Point::P384(_))
                | (Scheme::Ed25519(_), Point::Ed25519(_))
        );
        kind && said.is_none_or(|name| name == algorithm.name)
    }

    /// Has it signed this?
    #[must_use]
    pub fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        match (algorithm.scheme, &self.point) {
            (Scheme::Rsa(parameters), Point::Rsa { modulus, exponent }) => {
                let key = RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                };
                key.verify(parameters, message, signature).is_ok()
            }
            (
                Scheme::P256(scheme) | Scheme::P384(scheme) | Scheme::Ed25519(scheme),
                Point::P256(point) | Point::P384(point) | Point::Ed25519(point),
            ) => UnparsedPublicKey::new(scheme, point)
                .verify(message, signature)
                .is_ok(),
            _ => false,
        }
    }
}

/// The key that a signature says it is of; where it says nothing, the only one that it can be.
#[must_use]
pub fn find<'k>(keys: &'k [Key], name: Option<&str>, algorithm: Algorithm) -> Option<&'k Key> {
    let mut found = keys
        .iter()
        .filter(|key| name.is_none() || key.name.as_deref() == name)
        .filter(|key| key.fits(algorithm));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    };
    use serde_json::json;

    fn text(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// A key of P-256 with its public half.
    pub fn p256(name: &str) -> (EcdsaKeyPair, Value) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref().to_vec();
        let json = json!({"kty": "EC", "crv": "P-256", "kid": name, "use": "sig", "alg": "ES256",
            "x": text(&point[1..33]), "y": text(&point[33..])});
        (pair, json)
    }

    fn set(keys: &[Value]) -> Result<Vec<Key>, &'static str> {
        Key::set(json!({"keys": keys}).to_string().as_bytes())
    }

    #[test]
    fn each_algorithm_has_its_keys() {
        let random = SystemRandom::new();
        let rsa = KeyPair::generate(KeySize::Rsa2048).unwrap();
        // The modulus is in the middle of what is of a fixed length (RFC 8017, A.1.1).
        let (n, e) = (&rsa.public_key().as_ref()[9..265], &[1, 0, 1]);
        let rsa_json = json!({"kty": "RSA", "n": text(n), "e": text(e), "kid": "r"});
        let mut rs = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, b"m", &mut rs).unwrap();
        let mut ps = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PSS_SHA256, &random, b"m", &mut ps).unwrap();
        let (ec, ec_json) = p256("e");
        let es = ec.sign(&random, b"m").unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        let ed_json = json!({"kty": "OKP", "crv": "Ed25519", "x": text(ed.public_key().as_ref())});
        let keys = set(&[rsa_json, ec_json, ed_json]).unwrap();
        let signed = [
            ("RS256", rs.clone(), 0),
            ("PS256", ps, 0),
            ("ES256", es.as_ref().to_vec(), 1),
            ("EdDSA", ed.sign(b"m").as_ref().to_vec(), 2),
        ];
        for (name, signature, place) in &signed {
            let algorithm = Algorithm::named(name).unwrap();
            assert_eq!(find(&keys, None, algorithm), Some(&keys[*place]), "{name}");
            for (at, key) in keys.iter().enumerate() {
                let yes = at == *place;
                assert_eq!(key.has_signed(algorithm, b"m", signature), yes, "{name}");
                assert!(!key.has_signed(algorithm, b"n", signature));
                let shorter = &signature[..signature.len() - 1];
                assert!(!key.has_signed(algorithm, b"m", shorter));
            }
        }
        // One way of RSA is not taken for the other.
        assert!(!keys[0].has_signed(Algorithm::named("PS256").unwrap(), b"m", &rs));
    }

    #[test]
    fn there_is_no_algorithm_without_a_key_of_the_providers_own() {
        for name in [
            "none", "None", "", "HS256", "HS512", "rs256", "RS1", "ES512", "ES256K",
        ] {
            assert!(Algorithm::named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_key_is_for_what_it_says() {
        let (_, json) = p256("a");
        let with = |name: &str, value: Value| {
            let mut json = json.clone();
            json[name] = value;
            json
        };
        assert!(set(std::slice::from_ref(&json)).is_ok());
        for (name, value) in [
            ("use", json!("enc")),
            ("use", json!(1)),
            ("kty", json!("oct")),
            ("crv", json!("P-384")),
            ("alg", json!("HS256")),
            ("kid", json!("k".repeat(129))),
            ("kid", json!(["a"])),
            ("x", json!("AA")),
            ("x", json!("=")),
            ("y", Value::Null),
        ] {
            assert_eq!(
                set(&[with(name, value.clone())]),
                Err("have none that can be used"),
                "{name} {value}"
            );
        }
        // Of one that cannot be used nobody hears.
        assert_eq!(
            set(&[json.clone(), json!({"kty": "oct", "k": "AAAA"}), json!(7)])
                .unwrap()
                .len(),
            1
        );
        assert_eq!(set(&vec![json; 17]), Err("are too many"));
        assert_eq!(Key::set(b"{}"), Err("are no set of keys"));
        assert_eq!(
            Key::set("[".repeat(1000).as_bytes()),
            Err("are no set of keys")
        );
    }

    #[test]
    fn a_name_means_one_key() {
        let keys = set(&[p256("a").1, p256("b").1, p256("b").1]).unwrap();
        let es256 = Algorithm::named("ES256").unwrap();
        assert_eq!(find(&keys, Some("a"), es256), Some(&keys[0]));
        for name in [Some("b"), Some("c"), Some(""), None] {
            assert_eq!(find(&keys, name, es256), None, "{name:?}");
        }
        assert_eq!(
            find(&keys, Some("a"), Algorithm::named("RS256").unwrap()),
            None
        );
    }
}
