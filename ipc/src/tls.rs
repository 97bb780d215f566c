//! TLS: what `network` and `keys` must know of a listener's certificate. The private key is only
//! in `keys`.

use serde::{Deserialize, Serialize};

/// Most bytes of a certificate with those that it is signed with. Clients do not take more.
pub const MAX_CHAIN: usize = 32 * 1024;

/// Most certificates that a client may show, its own included.
pub const MAX_SHOWN: usize = 8;

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

impl Scheme {
    /// Every way.
    pub const ALL: [Self; 7] = [
        Self::Ed25519,
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::EcdsaP521Sha512,
        Self::RsaPssSha512,
        Self::RsaPssSha384,
        Self::RsaPssSha256,
    ];
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
    /// What clients are asked to show.
    pub clients: Clients,
}

/// Are clients asked for a certificate? Whether it is a good one is not said here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Clients {
    /// They are not.
    #[default]
    NotAsked,
    /// Who has none goes on without.
    Optional,
    /// Who has none is sent away.
    Required,
}

/// What a client has shown, which nobody has looked at, and its signature of the handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The certificate and those that it is signed with, as the client sent them: at most
    /// [`MAX_SHOWN`], and at most [`MAX_CHAIN`] bytes.
    pub chain: Vec<Vec<u8>>,
    /// How it is signed.
    pub scheme: Scheme,
    /// Hash of the handshake up to the certificate: 32 or 48 bytes.
    pub transcript: Vec<u8>,
    /// At most [`MAX_SIGNATURE`] bytes.
    pub signature: Vec<u8>,
}

/// Longest signature of a handshake: RSA of 8192 bits.
pub const MAX_SIGNATURE: usize = 1024;

impl Shown {
    /// May a client show certificates of these sizes?
    #[must_use]
    pub fn may_be(sizes: impl ExactSizeIterator<Item = usize>) -> bool {
        (1..=MAX_SHOWN).contains(&sizes.len()) && sizes.sum::<usize>() <= MAX_CHAIN
    }

    /// Is all of it as large as it may be, and no larger?
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        Self::may_be(self.chain.iter().map(Vec::len))
            && [32, 48].contains(&self.transcript.len())
            && self.signature.len() <= MAX_SIGNATURE
    }
}
