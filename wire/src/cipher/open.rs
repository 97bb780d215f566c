use super::gcm::{Gcm, RANDOM, TAG};
use super::seal::unbound;
use super::{BLOCK, Direction, Framing, Iv, Mode, SessionKey, Suite};
use crate::record::Header;
use aws_lc_rs::cipher::{DecryptingKey, DecryptionContext, StreamingDecryptingKey};
use aws_lc_rs::error::Unspecified;

/// A record is not what a holder of the key sent next: another key, or changed,
/// repeated, reordered on the way. Which of these cannot be told, and is not
/// looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("record: cannot be decrypted: another key, or it was changed on the way")]
pub struct OpenError;

impl From<Unspecified> for OpenError {
    fn from(_: Unspecified) -> OpenError {
        OpenError
    }
}

/// Opens the records of one direction, in the order in which they were sent.
/// An error is final.
pub struct Opener(State);

enum State {
    /// Whole blocks; the last ciphertext block of a record is the vector of
    /// the next.
    Cbc {
        key: Box<DecryptingKey>,
        iv: Iv,
    },
    /// One context that goes on from record to record.
    Stream(StreamingDecryptingKey),
    /// A context for each record.
    PerRecord {
        mode: Mode,
        key: SessionKey,
    },
    /// The sender's random bytes have not come.
    GcmStart {
        key: SessionKey,
        direction: Direction,
    },
    Gcm(Box<Gcm>),
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}

impl Opener {
    /// The start of a direction.
    pub fn new(suite: Suite) -> Result<Opener, OpenError> {
        let Suite {
            mode,
            framing,
            iv,
            key,
            direction,
        } = suite;
        Ok(Opener(match (mode, framing) {
            (Mode::Gcm, _) => State::GcmStart { key, direction },
            (mode, Framing::PerRecord) => State::PerRecord { mode, key },
            (Mode::Cbc, Framing::Stream) => State::Cbc {
                key: Box::new(DecryptingKey::cbc(unbound(&key)?)?),
                iv,
            },
            (mode, Framing::Stream) => State::Stream(streaming(mode, &key, iv)?),
        }))
    }

    /// Bytes on the wire behind a header that announces `size`.
    pub fn wire_size(&self, size: usize) -> usize {
        match self.0 {
            State::Cbc { .. } => padded(size),
            State::Stream(_) => size,
            State::PerRecord { mode, .. } => match (mode, size.checked_sub(BLOCK)) {
                (Mode::Cbc, Some(size)) => padded(size).saturating_add(BLOCK),
                _ => size,
            },
            State::GcmStart { .. } => size.saturating_add(RANDOM + TAG),
            State::Gcm(_) => size.saturating_add(TAG),
        }
    }

    /// The payload of a record: `sealed` is the
    /// [`wire_size`](Opener::wire_size) of what its header announces.
    pub fn open(&mut self, header: &Header, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let size = usize::try_from(header.size).map_err(|_| OpenError)?;
        let (plain, announced) = match self.0 {
            State::PerRecord { .. } => (self.plain(header, sealed)?, size.checked_sub(BLOCK)),
            _ => (self.plain(header, sealed)?, Some(size)),
        };
        // What padding says has to agree with what the header says.
        if Some(plain.len()) == announced {
            Ok(plain)
        } else {
            Err(OpenError)
        }
    }

    fn plain(&mut self, header: &Header, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        match &mut self.0 {
            State::Cbc { key, iv } => {
                let last = *sealed.last_chunk().ok_or(OpenError)?;
                decrypt_cbc(key, std::mem::replace(iv, last), sealed)
            }
            State::Stream(key) => update(key, sealed),
            State::PerRecord { mode, key } => {
                let (iv, sealed) = sealed.split_first_chunk::<BLOCK>().ok_or(OpenError)?;
                match mode {
                    Mode::Cbc => decrypt_cbc(&DecryptingKey::cbc(unbound(key)?)?, *iv, sealed),
                    mode => update(&mut streaming(*mode, key, *iv)?, sealed),
                }
            }
            State::GcmStart { key, direction } => {
                let (random, sealed) = sealed.split_first_chunk::<RANDOM>().ok_or(OpenError)?;
                let mut gcm = Gcm::new(key, *direction, random)?;
                let plain = gcm.open(&header.to_bytes(), sealed)?;
                self.0 = State::Gcm(Box::new(gcm));
                Ok(plain)
            }
            State::Gcm(gcm) => Ok(gcm.open(&header.to_bytes(), sealed)?),
        }
    }
}

/// Bytes of `size` bytes with their padding.
fn padded(size: usize) -> usize {
    size.saturating_add(BLOCK - size % BLOCK)
}

fn streaming(mode: Mode, key: &SessionKey, iv: Iv) -> Result<StreamingDecryptingKey, Unspecified> {
    let context = DecryptionContext::Iv128(iv.into());
    let key = unbound(key)?;
    match mode {
        Mode::Ctr => StreamingDecryptingKey::ctr(key, context),
        Mode::Cfb => StreamingDecryptingKey::cfb128(key, context),
        Mode::Cbc | Mode::Gcm => Err(Unspecified),
    }
}

/// The plaintext of the next bytes of a stream.
fn update(key: &mut StreamingDecryptingKey, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    // The library wants room for one more block than it fills.
    let mut plain = vec![0; sealed.len() + BLOCK];
    let written = key.update(sealed, &mut plain)?.written().len();
    plain.truncate(sealed.len());
    if written == sealed.len() {
        Ok(plain)
    } else {
        Err(OpenError)
    }
}

/// The plaintext of whole blocks, without its padding.
fn decrypt_cbc(key: &DecryptingKey, iv: Iv, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut plain = sealed.to_vec();
    key.decrypt(&mut plain, DecryptionContext::Iv128(iv.into()))?;
    let padding = plain.last().copied().ok_or(OpenError)?;
    let padding = usize::from(padding);
    if padding == 0 || padding > BLOCK {
        return Err(OpenError);
    }
    let size = plain.len().checked_sub(padding).ok_or(OpenError)?;
    let good = plain
        .get(size..)
        .unwrap_or_default()
        .iter()
        .all(|byte| usize::from(*byte) == padding);
    plain.truncate(size);
    if good { Ok(plain) } else { Err(OpenError) }
}
