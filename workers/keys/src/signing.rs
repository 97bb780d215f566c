//! What may be signed: a server's part of a TLS 1.3 handshake, and nothing else. Its text is made
//! here, around a hash; so whatever `network` says, a signature is never one of anything else.

use ipc::tls::Scheme;

/// Handshakes of one connection.
pub const MAX_PER_CONNECTION: u32 = 1;

/// What comes before the hash in a CertificateVerify (RFC 8446, section 4.4.3), after 64 spaces.
const CONTEXT: &[u8] = b"TLS 1.3, server CertificateVerify\0";

/// A signature that is asked for, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// How.
    pub scheme: Scheme,
    /// What.
    pub text: Vec<u8>,
}

/// A question that no sound `network` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No cipher suite of TLS 1.3 has such a hash.
    #[error("a transcript hash of {0} bytes")]
    Hash(usize),
}

impl Request {
    /// Checks a question.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn new(scheme: Scheme, transcript: &[u8]) -> Result<Request, Malformed> {
        if !matches!(transcript.len(), 32 | 48) {
            return Err(Malformed::Hash(transcript.len()));
        }
        Ok(Request {
            scheme,
            text: [&[b' '; 64], CONTEXT, transcript].concat(),
        })
    }

    /// How long the answer takes, in hashes of a derivation: at most about that of RSA with 4096
    /// bits.
    #[must_use]
    pub fn cost(&self) -> u64 {
        match self.scheme {
            Scheme::RsaPssSha256 | Scheme::RsaPssSha384 | Scheme::RsaPssSha512 => 10_000,
            Scheme::EcdsaP256Sha256
            | Scheme::EcdsaP384Sha384
            | Scheme::EcdsaP521Sha512
            | Scheme::Ed25519 => 1_000,
        }
    }
}
