//! The AES layer: what each side says about the records that it will receive
//! ([`CipherOffer`]), how key data becomes a key ([`derive()`]), and how records
//! are sealed and opened ([`Sealer`], [`Opener`]). Protocol "AES layer"; the
//! authenticated mode is specified in `docs/wire-gcm.md`.
//!
//! CBC, CTR and CFB are what deployed clients speak. They hide contents from
//! who listens and protect them from nobody who can change bytes on the way.
//! Only [`Mode::Gcm`] is authenticated.

mod derive;
mod gcm;
mod offer;
mod open;
mod seal;

pub use derive::derive;
pub use offer::{CipherOffer, Framing, Iterations, KeyHash, KeySize, Mode, OfferError, Salt};
pub use open::{OpenError, Opener};
pub use seal::{SealError, Sealer};

use zeroize::Zeroizing;

/// Bytes of an AES block and of every initialisation vector but GCM's.
pub const BLOCK: usize = 16;

/// Bytes: where each mode's context starts.
pub type Iv = [u8; BLOCK];

/// Who sends the records that a key protects. GCM derives a key of its own for
/// each, so that nothing sent one way is accepted the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// What the client sends.
    ClientToServer,
    /// What the server sends.
    ServerToClient,
}

/// One direction's AES key for one connection. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct SessionKey {
    size: KeySize,
    bytes: Zeroizing<[u8; KeySize::MAX]>,
}

impl SessionKey {
    /// The key in `bytes`, if there are 16, 24 or 32.
    pub fn new(bytes: &[u8]) -> Option<SessionKey> {
        let size = KeySize::new(bytes.len())?;
        let mut key = SessionKey {
            size,
            bytes: Zeroizing::default(),
        };
        key.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(key)
    }

    /// How long it is.
    pub fn size(&self) -> KeySize {
        self.size
    }

    /// Its 16, 24 or 32 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.size.bytes()).unwrap_or_default()
    }
}

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<key of {} bytes>", self.size.bytes())
    }
}

/// Everything that one direction needs: what the receiver said, and the key.
#[derive(Debug, Clone)]
pub struct Suite {
    /// Which mode.
    pub mode: Mode,
    /// One context for all records, or one for each.
    pub framing: Framing,
    /// Where the context starts.
    pub iv: Iv,
    /// The derived key.
    pub key: SessionKey,
    /// Who sends.
    pub direction: Direction,
}
