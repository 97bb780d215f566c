//! TLS: what `network` and `keys` must know of a listener's certificate. The private key is only
//! in `keys`.

use serde::{Deserialize, Serialize};

/// Most bytes of a certificate with those that it is signed with. Clients do not take more.
pub const MAX_CHAIN: usize = 32 * 1024;

/// What kind of key a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the names are those of the algorithms and curves"
)]
pub enum KeyKind {
    Rsa,
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Ed25519,
}

/// How a handshake is signed (RFC 8446, section 4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the RFC")]
pub enum Scheme {
    RsaPssSha256,
    RsaPssSha384,
    RsaPssSha512,
    EcdsaP256Sha256,
    EcdsaP384Sha384,
    EcdsaP521Sha512,
    Ed25519,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Rsa,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::Ed25519,
    ];

    /// How TLS 1.3 signs with such a key, the best first.
    #[must_use]
    pub fn schemes(self) -> &'static [Scheme] {
        match self {
            Self::Rsa => &[
                Scheme::RsaPssSha512,
                Scheme::RsaPssSha384,
                Scheme::RsaPssSha256,
            ],
            Self::EcdsaP256 => &[Scheme::EcdsaP256Sha256],
            Self::EcdsaP384 => &[Scheme::EcdsaP384Sha384],
            Self::EcdsaP521 => &[Scheme::EcdsaP521Sha512],
            Self::Ed25519 => &[Scheme::Ed25519],
        }
    }

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::EcdsaP521 => "ECDSA P-521",
            Self::Ed25519 => "Ed25519",
        }
    }
}

/// What a listener shows its clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The certificate and those that it is signed with, each as DER; at most [`MAX_CHAIN`] bytes.
    pub chain: Vec<Vec<u8>>,
    /// What its key is.
    pub key: KeyKind,
    /// Clients in clear are served too (`ssl=on` of a TCP socket).
    pub optional: bool,
}
