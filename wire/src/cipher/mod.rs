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
pub use offer::{
    CipherOffer, Framing, Iterations, KeyHash, KeyParameters, KeySize, Mode, OfferError, Salt,
};
pub use open::{OpenError, Opener};
pub use seal::{SealError, Sealer};

use crate::limits::HEADER_SIZE;
use crate::record::{Compression, Header, Kind, seal};
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

/// One direction's AES key for one connection. Wiped when dropped, never shown. It does not move,
/// so that no copy stays behind.
#[derive(Clone)]
pub struct SessionKey {
    size: KeySize,
    bytes: Zeroizing<Vec<u8>>,
}

impl SessionKey {
    /// The key in `bytes`, if there are 16, 24 or 32.
    pub fn new(bytes: &[u8]) -> Option<SessionKey> {
        Some(SessionKey {
            size: KeySize::new(bytes.len())?,
            bytes: Zeroizing::new(bytes.to_vec()),
        })
    }

    /// How long it is.
    pub fn size(&self) -> KeySize {
        self.size
    }

    /// Its 16, 24 or 32 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
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

/// Uses every mode with every key size once, so that what the library sets up
/// at its first use is there: a confined process may not be allowed to do it
/// later.
///
/// # Errors
/// The library does not work.
pub fn warm_up() -> Result<(), SealError> {
    for mode in Mode::ALL {
        for size in KeySize::ALL {
            for framing in [Framing::Stream, Framing::PerRecord] {
                let key = [0; KeySize::MAX];
                let key = key.get(..size.bytes()).and_then(SessionKey::new);
                try_out(Suite {
                    mode: *mode,
                    framing,
                    iv: [0; BLOCK],
                    key: key.ok_or(SealError)?,
                    direction: Direction::ServerToClient,
                })?;
            }
        }
    }
    Ok(())
}

/// Seals and opens a record.
fn try_out(suite: Suite) -> Result<(), SealError> {
    let header = Header {
        encrypted: false,
        kind: Kind::Main { flush: false },
        compression: Compression::None,
        size: 1,
    };
    let mut sealed = Vec::new();
    seal(
        &mut Sealer::new(&suite, [0; 32])?,
        header,
        b"x",
        &mut sealed,
    )?;
    let (header, payload) = sealed.split_first_chunk::<HEADER_SIZE>().ok_or(SealError)?;
    let header = Header::parse(*header).map_err(|_| SealError)?;
    let mut opener = Opener::new(suite).map_err(|_| SealError)?;
    match opener.open(&header, payload) {
        Ok(opened) if opened == b"x" => Ok(()),
        _ => Err(SealError),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_sealed_can_be_opened() {
        super::warm_up().unwrap();
    }
}
