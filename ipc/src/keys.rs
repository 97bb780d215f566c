//! The edges `network`–`keys` and `supervisor`–`keys`: the keys of one connection, and the
//! signature of its handshake.

use crate::channel::Message;
use crate::ids::{ConnectionId, ListenerId};
use crate::tls::{Certificate, Handshake, Scheme, Version};
use crate::verdict::Violation;
use serde::{Deserialize, Serialize};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// The hash in a key derivation (protocol: `key_hash`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the hash functions")]
pub enum KeyHash {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// A mode of AES that a listener demands of its clients (protocol "Negotiation").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the modes")]
pub enum AesMode {
    Cbc,
    Ctr,
    Cfb,
    Gcm,
}

impl AesMode {
    /// As it is written on a command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cbc => "AES-CBC",
            Self::Ctr => "AES-CTR",
            Self::Cfb => "AES-CFB",
            Self::Gcm => "AES-GCM",
        }
    }
}

/// How the clients of a listener encrypt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption {
    /// Each record, with a key that both sides know.
    Aes(AesMode),
    /// The whole connection, with TLS.
    Tls(Certificate),
}

impl Encryption {
    /// For people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Aes(mode) => mode.name(),
            Self::Tls(certificate) => {
                let old = certificate.speaks(Version::Tls12);
                let new = certificate.speaks(Version::Tls13);
                match (old && new, new, certificate.optional) {
                    (true, _, false) => "TLS 1.3 or 1.2",
                    (true, _, true) => "TLS 1.3 or 1.2, or not: the socket takes both",
                    (false, true, false) => "TLS 1.3",
                    (false, true, true) => "TLS 1.3, or not: the socket takes both",
                    (false, false, false) => "TLS 1.2",
                    (false, false, true) => "TLS 1.2, or not: the socket takes both",
                }
            }
        }
    }
}

/// How a key is derived: what travels in clear beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derivation {
    /// 16 to 256 bytes.
    pub salt: Vec<u8>,
    /// The hash.
    pub hash: KeyHash,
    /// Bytes of the key: 16, 24 or 32.
    pub size: u8,
    /// How often PBKDF2 hashes, within bounds.
    pub iterations: u32,
}

/// A derived key, 16, 24 or 32 bytes. Wiped when dropped, never shown.
#[derive(Clone, Serialize, Deserialize)]
pub struct DerivedKey(pub Vec<u8>);

impl fmt::Debug for DerivedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<key>")
    }
}

impl PartialEq for DerivedKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for DerivedKey {}

impl Drop for DerivedKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// `network` asks `keys`. No variant names a connection or a listener: the channel does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkToKeys {
    /// A hello arrived: both keys of the connection are renewed.
    Derive {
        /// What the client says about what it will receive.
        theirs: Derivation,
    },
    /// The server's part of a TLS handshake is to be signed. The text is made by `keys`, so that nothing else
    /// can be signed.
    Sign {
        /// How.
        scheme: Scheme,
        /// What it is about.
        handshake: Handshake,
    },
}

impl Message for NetworkToKeys {
    const NAME: &'static str = "network>keys";
}

/// `keys` answers `network`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeysToNetwork {
    /// The keys of this connection until its next hello.
    Derived {
        /// For what the client will receive.
        send: DerivedKey,
        /// For what we will receive.
        receive: DerivedKey,
        /// How `receive` is derived; the salt is ours and new.
        ours: Derivation,
        /// 16 random characters where our receiving context starts.
        iv: [u8; 16],
        /// What the sealer of this connection draws its random bytes from.
        seed: [u8; 32],
    },
    /// The signature of the handshake.
    Signed {
        /// As the scheme has it, at most 1 KiB.
        signature: Vec<u8>,
    },
    /// There are none.
    Refused {
        /// What to tell the client: one line, no secret in it.
        text: String,
    },
}

impl Message for KeysToNetwork {
    const NAME: &'static str = "keys>network";
    const SECRET: bool = true;
}

/// The supervisor tells `keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupervisorToKeys {
    /// A new connection on an encrypted listener. Descriptor: channel to its `network`.
    Connection {
        /// Which.
        connection: ConnectionId,
        /// Through which listener: an index into [`KeysSpec::listeners`](crate::spec::KeysSpec).
        listener: ListenerId,
    },
    /// The connection was let in: it asks no more, and its salts are remembered longer than those
    /// of strangers.
    Admitted(ConnectionId),
    /// The connection has gone.
    Gone(ConnectionId),
    /// Answer with [`KeysToSupervisor::Pong`], to show that you live.
    Ping,
    /// Another file has taken the place of one with key data. Descriptor: it.
    Secret {
        /// Which, as in [`KeyData::secret`](crate::spec::KeyData).
        index: u16,
    },
    /// That file has gone, or what has its name cannot be used: nobody is let in with it.
    NoSecret {
        /// Which.
        index: u16,
    },
}

impl Message for SupervisorToKeys {
    const NAME: &'static str = "supervisor>keys";
    fn descriptors(&self) -> usize {
        usize::from(matches!(
            self,
            Self::Connection { .. } | Self::Secret { .. }
        ))
    }
}

/// `keys` tells the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeysToSupervisor {
    /// The key data of every listener can be read, and the private keys are those of their
    /// certificates; connections may be accepted.
    Ready,
    /// It cannot; the session must not start.
    Failed {
        /// One line that says what, where and what to do; no secret in it.
        reason: String,
    },
    /// A peer broke the rules.
    Violation(Violation),
    /// The answer to [`SupervisorToKeys::Ping`].
    Pong,
}

impl Message for KeysToSupervisor {
    const NAME: &'static str = "keys>supervisor";
}
