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

    /// How handshakes are signed with such a key, the best first. The same in both versions: TLS 1.2 with
    /// PKCS #1 v1.5 or SHA-1 is not done.
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
    /// What clients may encrypt with, the best first, and with it in which versions: at least one, each once,
    /// and each one that the key can sign for.
    pub suites: Vec<Suite>,
    /// Clients in clear are served too (`ssl=on` of a TCP socket).
    pub optional: bool,
    /// Of those, who can is asked to change to TLS (the packet `ssl-upgrade`).
    pub upgrade: bool,
    /// What clients are asked to show.
    pub clients: Clients,
}

impl Certificate {
    /// Is this version spoken?
    #[must_use]
    pub fn speaks(&self, version: Version) -> bool {
        self.suites.iter().any(|suite| suite.version() == version)
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl Version {
    /// Each.
    pub const ALL: [Self; 2] = [Self::Tls12, Self::Tls13];

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        }
    }
}

/// What a connection is encrypted with. There is none that only encrypts, and none whose keys somebody could
/// have later who gets the private key of the certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the algorithms")]
pub enum Suite {
    Aes256,
    Chacha20,
    Aes128,
    EcdsaChacha20,
    EcdsaAes256,
    EcdsaAes128,
    RsaChacha20,
    RsaAes256,
    RsaAes128,
}

impl Suite {
    /// Each, the best first. In TLS 1.2 keys cannot be renewed, and so a connection with AES-GCM ends after 2^24
    /// records; one with ChaCha20-Poly1305 does not (RFC 9325, section 4.4).
    pub const ALL: [Self; 9] = [
        Self::Aes256,
        Self::Chacha20,
        Self::Aes128,
        Self::EcdsaChacha20,
        Self::EcdsaAes256,
        Self::EcdsaAes128,
        Self::RsaChacha20,
        Self::RsaAes256,
        Self::RsaAes128,
    ];

    /// The version that it is of.
    #[must_use]
    pub fn version(self) -> Version {
        match self {
            Self::Aes256 | Self::Chacha20 | Self::Aes128 => Version::Tls13,
            Self::EcdsaChacha20
            | Self::EcdsaAes256
            | Self::EcdsaAes128
            | Self::RsaChacha20
            | Self::RsaAes256
            | Self::RsaAes128 => Version::Tls12,
        }
    }

    /// Can such a key sign for it?
    #[must_use]
    pub fn fits(self, key: KeyKind) -> bool {
        match self {
            Self::Aes256 | Self::Chacha20 | Self::Aes128 => true,
            Self::RsaChacha20 | Self::RsaAes256 | Self::RsaAes128 => key == KeyKind::Rsa,
            // Those of Ed25519 too (RFC 8422, section 5.10).
            Self::EcdsaChacha20 | Self::EcdsaAes256 | Self::EcdsaAes128 => key != KeyKind::Rsa,
        }
    }

    /// As IANA and the RFCs have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256 => "TLS_AES_256_GCM_SHA384",
            Self::Chacha20 => "TLS_CHACHA20_POLY1305_SHA256",
            Self::Aes128 => "TLS_AES_128_GCM_SHA256",
            Self::EcdsaChacha20 => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            Self::EcdsaAes256 => "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            Self::EcdsaAes128 => "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            Self::RsaChacha20 => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            Self::RsaAes256 => "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
            Self::RsaAes128 => "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        }
    }

    /// As OpenSSL has it.
    #[must_use]
    pub fn openssl_name(self) -> &'static str {
        match self {
            Self::Aes256 | Self::Chacha20 | Self::Aes128 => self.name(),
            Self::EcdsaChacha20 => "ECDHE-ECDSA-CHACHA20-POLY1305",
            Self::EcdsaAes256 => "ECDHE-ECDSA-AES256-GCM-SHA384",
            Self::EcdsaAes128 => "ECDHE-ECDSA-AES128-GCM-SHA256",
            Self::RsaChacha20 => "ECDHE-RSA-CHACHA20-POLY1305",
            Self::RsaAes256 => "ECDHE-RSA-AES256-GCM-SHA384",
            Self::RsaAes128 => "ECDHE-RSA-AES128-GCM-SHA256",
        }
    }
}

/// What of a handshake a server signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Handshake {
    /// What a CertificateVerify of TLS 1.3 is about.
    Tls13 {
        /// Hash of the handshake so far: 32 or 48 bytes.
        transcript: Vec<u8>,
    },
    /// What a ServerKeyExchange of TLS 1.2 is about (RFC 8422, section 5.4).
    Tls12 {
        /// What the client's hello has.
        client_random: [u8; 32],
        /// What ours has.
        server_random: [u8; 32],
        /// Where the keys are exchanged.
        group: Group,
        /// Our part of the exchange, as [`Group::is_point`] says.
        point: Vec<u8>,
    },
}

/// Where keys are exchanged in TLS 1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the groups")]
pub enum Group {
    X25519,
    P256,
}

impl Group {
    /// Each.
    pub const ALL: [Self; 2] = [Self::X25519, Self::P256];

    /// Its number in TLS (RFC 8422, section 5.1.1).
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::X25519 => 29,
            Self::P256 => 23,
        }
    }

    /// Has a public key this form? (Which points are on the curve is not looked at.)
    #[must_use]
    pub fn is_point(self, bytes: &[u8]) -> bool {
        match self {
            Self::X25519 => bytes.len() == 32,
            // Uncompressed, as all are.
            Self::P256 => bytes.len() == 65 && bytes.first() == Some(&4),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A `network` has no way to name a curve that nobody uses, or a version.
    #[test]
    fn a_handshake_of_another_kind_cannot_be_said() {
        let handshake = Handshake::Tls12 {
            client_random: [7; 32],
            server_random: [7; 32],
            group: Group::P256,
            point: vec![4; 65],
        };
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(&handshake, config).unwrap();
        let read = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            let read = bincode::serde::decode_from_slice::<Handshake, _>(&bytes, config);
            read.map(|(handshake, _)| handshake)
        };
        // The variant, two randoms, the group.
        let (variant, group) = (0, 1 + 64);
        assert_eq!(read(group, 1).unwrap(), handshake);
        for other in 2..=u8::MAX {
            read(group, other).unwrap_err();
            read(variant, other).unwrap_err();
        }
    }

    #[test]
    fn every_suite_has_names_of_its_own_and_a_key() {
        for (place, suite) in Suite::ALL.into_iter().enumerate() {
            for other in &Suite::ALL[place + 1..] {
                assert_ne!(suite.name(), other.name());
                assert_ne!(suite.openssl_name(), other.openssl_name());
            }
            assert!(KeyKind::ALL.into_iter().any(|key| suite.fits(key)));
        }
        // Nothing older than TLS 1.3 unless a suite of it is named.
        let new = Suite::ALL
            .iter()
            .filter(|suite| suite.version() == Version::Tls13);
        assert_eq!(new.count(), 3);
    }
}
