use super::gcm::{Gcm, RANDOM};
use super::{BLOCK, Framing, Iv, KeySize, Mode, SessionKey, Suite};
use crate::record::Header;
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, EncryptionContext, StreamingEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;

/// A record could not be sealed: the library refused, or a counter ended.
/// Nothing more may be sent on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("record: cannot be sealed")]
pub struct SealError;

impl From<Unspecified> for SealError {
    fn from(_: Unspecified) -> SealError {
        SealError
    }
}

/// Seals the records of one direction, in the order in which they are sent.
pub struct Sealer(State);

enum State {
    /// One context that goes on from record to record.
    Stream {
        key: StreamingEncryptingKey,
        padded: bool,
    },
    /// A context for each record.
    PerRecord {
        mode: Mode,
        key: SessionKey,
        ivs: Box<Ivs>,
    },
    Gcm {
        gcm: Box<Gcm>,
        /// Goes before the first ciphertext.
        random: Option<[u8; RANDOM]>,
    },
}

/// Vectors that nobody can predict, made from one random seed (NIST SP 800-38A
/// appendix C asks no more of them).
struct Ivs {
    seed: hmac::Key,
    count: u64,
}

impl Ivs {
    fn next(&mut self) -> Result<Iv, SealError> {
        let tag = hmac::sign(&self.seed, &self.count.to_be_bytes());
        self.count = self.count.checked_add(1).ok_or(SealError)?;
        tag.as_ref().first_chunk().copied().ok_or(SealError)
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// The start of a direction. `random`: from the operating system, for this
    /// sealer only.
    pub fn new(suite: &Suite, random: [u8; RANDOM]) -> Result<Sealer, SealError> {
        Ok(Sealer(match (suite.mode, suite.framing) {
            (Mode::Gcm, _) => State::Gcm {
                gcm: Box::new(Gcm::new(&suite.key, suite.direction, &random)?),
                random: Some(random),
            },
            (mode, Framing::Stream) => State::Stream {
                key: streaming(mode, &suite.key, suite.iv)?,
                padded: mode == Mode::Cbc,
            },
            (mode, Framing::PerRecord) => State::PerRecord {
                mode,
                key: suite.key.clone(),
                ivs: Box::new(Ivs {
                    seed: hmac::Key::new(hmac::HMAC_SHA256, &random),
                    count: 0,
                }),
            },
        }))
    }

    /// Bytes that the header announces for a payload of `size` bytes.
    pub fn announced(&self, size: usize) -> usize {
        match self.0 {
            State::PerRecord { .. } => size.saturating_add(BLOCK),
            State::Stream { .. } | State::Gcm { .. } => size,
        }
    }

    /// Appends what goes on the wire after `header` for this payload.
    pub fn seal(
        &mut self,
        header: &Header,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        match &mut self.0 {
            State::Stream { key, padded } => encrypt(key, *padded, payload, out),
            State::PerRecord { mode, key, ivs } => {
                let iv = ivs.next()?;
                out.extend_from_slice(&iv);
                let mut key = streaming(*mode, key, iv)?;
                encrypt(&mut key, *mode == Mode::Cbc, payload, out)
            }
            State::Gcm { gcm, random } => {
                out.extend(random.take().into_iter().flatten());
                Ok(gcm.seal(&header.to_bytes(), payload, out)?)
            }
        }
    }
}

/// The key as the library wants it.
pub(super) fn unbound(key: &SessionKey) -> Result<UnboundCipherKey, Unspecified> {
    let algorithm = match key.size() {
        KeySize::Aes128 => &AES_128,
        KeySize::Aes192 => &AES_192,
        KeySize::Aes256 => &AES_256,
    };
    UnboundCipherKey::new(algorithm, key.as_bytes())
}

fn streaming(mode: Mode, key: &SessionKey, iv: Iv) -> Result<StreamingEncryptingKey, Unspecified> {
    let context = EncryptionContext::Iv128(iv.into());
    let key = unbound(key)?;
    match mode {
        // Never finished, so it adds no padding of its own.
        Mode::Cbc => StreamingEncryptingKey::less_safe_cbc_pkcs7(key, context),
        Mode::Ctr => StreamingEncryptingKey::less_safe_ctr(key, context),
        Mode::Cfb => StreamingEncryptingKey::less_safe_cfb128(key, context),
        Mode::Gcm => Err(Unspecified),
    }
}

/// Appends the ciphertext of `payload` and, where the mode needs whole blocks,
/// of 1 to 16 bytes of padding (RFC 5652 6.3).
fn encrypt(
    key: &mut StreamingEncryptingKey,
    padded: bool,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    let missing = BLOCK - payload.len() % BLOCK;
    let value = u8::try_from(missing).map_err(|_| SealError)?;
    let padding = [value; BLOCK];
    let padding = padding.get(..missing).unwrap_or_default();
    let padding: &[u8] = if padded { padding } else { &[] };

    let start = out.len();
    // The library wants room for one more block than it fills.
    out.resize(start + payload.len() + 2 * BLOCK, 0);
    let mut end = start;
    for part in [payload, padding] {
        let room = out.get_mut(end..).unwrap_or_default();
        end += key.update(part, room)?.written().len();
    }
    out.truncate(end);
    if end - start == payload.len() + padding.len() {
        Ok(())
    } else {
        Err(SealError)
    }
}
