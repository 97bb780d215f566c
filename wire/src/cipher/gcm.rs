//! AES-GCM over records, one direction (`docs/wire-gcm.md`).
//!
//! The nonce is the number of the record, so it cannot repeat under a key. The
//! keys follow from each other: who learns today's cannot open what was sent
//! under an earlier one.

use super::{Direction, SessionKey};
use crate::limits::HEADER_SIZE;
use aws_lc_rs::aead::{
    AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, NONCE_LEN, Nonce,
    UnboundKey,
};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf;
use zeroize::Zeroizing;

/// Bytes that follow the ciphertext of a record.
pub const TAG: usize = 16;

/// Bytes from the sender's random source that precede its first ciphertext.
pub const RANDOM: usize = 32;

/// Bytes of the secrets that keys are made of.
const SECRET: usize = 32;

/// Records under one key.
const KEY_RECORDS: u64 = 1 << 20;

/// Bytes of plaintext under one key: 2^32 blocks (NIST SP 800-38D allows 2^36
/// in one invocation; the bound for many keeps the advantage below 2^-60).
const KEY_BYTES: u64 = 1 << 36;

/// The state of one direction.
pub struct Gcm {
    algorithm: &'static Algorithm,
    /// Makes the key in use, and the next of these.
    secret: Zeroizing<Vec<u8>>,
    key: LessSafeKey,
    /// The number of the next record. Never starts again.
    record: u64,
    /// Under the key in use.
    records: u64,
    bytes: u64,
}

/// The output of one key expansion.
struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand (RFC 5869) of a secret that is uniformly random already.
fn expand(secret: &[u8], label: &[u8], out: &mut [u8]) -> Result<(), Unspecified> {
    hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, secret)
        .expand(&[label], Length(out.len()))?
        .fill(out)
}

/// The secret of the first key. The sender's random bytes make it a new one
/// even if somebody replays the receiver's offer.
fn first_secret(
    key: &SessionKey,
    direction: Direction,
    random: &[u8; RANDOM],
) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let label: &[u8] = match direction {
        Direction::ClientToServer => b"xpra gcm 1 client to server",
        Direction::ServerToClient => b"xpra gcm 1 server to client",
    };
    let mut secret = Zeroizing::new(vec![0; SECRET]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, random)
        .extract(key.as_bytes())
        .expand(&[label], Length(secret.len()))?
        .fill(&mut secret)?;
    Ok(secret)
}

fn aead_key(algorithm: &'static Algorithm, secret: &[u8]) -> Result<LessSafeKey, Unspecified> {
    let mut key = Zeroizing::new(vec![0; algorithm.key_len()]);
    expand(secret, b"key", &mut key)?;
    Ok(LessSafeKey::new(UnboundKey::new(algorithm, &key)?))
}

impl Gcm {
    /// The start of a direction. `random`: what its sender drew for it.
    pub fn new(
        key: &SessionKey,
        direction: Direction,
        random: &[u8; RANDOM],
    ) -> Result<Gcm, Unspecified> {
        let algorithm = match key.size() {
            super::KeySize::Aes128 => &AES_128_GCM,
            super::KeySize::Aes192 => &AES_192_GCM,
            super::KeySize::Aes256 => &AES_256_GCM,
        };
        let secret = first_secret(key, direction, random)?;
        Ok(Gcm {
            key: aead_key(algorithm, &secret)?,
            algorithm,
            secret,
            record: 0,
            records: 0,
            bytes: 0,
        })
    }

    /// The number of the next record, as bytes of a nonce.
    fn nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        if let Some(low) = nonce.last_chunk_mut() {
            *low = self.record.to_be_bytes();
        }
        nonce
    }

    /// A record of so many bytes went through: counts it, and makes the next
    /// key if this one has done its work.
    fn count(&mut self, bytes: usize) -> Result<(), Unspecified> {
        self.record = self.record.checked_add(1).ok_or(Unspecified)?;
        self.records += 1;
        self.bytes = self
            .bytes
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.records >= KEY_RECORDS || self.bytes >= KEY_BYTES {
            let mut next = Zeroizing::new(vec![0; SECRET]);
            expand(&self.secret, b"next", &mut next)?;
            self.key = aead_key(self.algorithm, &next)?;
            self.secret = next;
            self.records = 0;
            self.bytes = 0;
        }
        Ok(())
    }

    /// Appends ciphertext and tag to `out`.
    pub fn seal(
        &mut self,
        header: &[u8; HEADER_SIZE],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Unspecified> {
        let start = out.len();
        out.resize(start + plain.len() + TAG, 0);
        let (ciphertext, tag) = out
            .get_mut(start..)
            .unwrap_or_default()
            .split_at_mut(plain.len());
        self.key.seal_out_of_place_scatter(
            Nonce::assume_unique_for_key(self.nonce()),
            Aad::from(header),
            plain,
            ciphertext,
            &[],
            tag,
        )?;
        self.count(plain.len())
    }

    /// The plaintext of a record's ciphertext and tag, if they and the header
    /// are what the sender sealed as its next record.
    pub fn open(
        &mut self,
        header: &[u8; HEADER_SIZE],
        sealed: &[u8],
    ) -> Result<Vec<u8>, Unspecified> {
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG>().ok_or(Unspecified)?;
        let mut plain = vec![0; ciphertext.len()];
        self.key.open_separate_gather(
            Nonce::assume_unique_for_key(self.nonce()),
            Aad::from(header),
            ciphertext,
            tag,
            &mut plain,
        )?;
        self.count(plain.len())?;
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes_gcm::aead::{Aead, KeyInit, Payload};

    const HEADER: [u8; HEADER_SIZE] = [b'P', 0x12, 0, 0, 0, 0, 0, 1];

    fn gcm() -> Gcm {
        let key = SessionKey::new(&[7; 32]).unwrap();
        Gcm::new(&key, Direction::ClientToServer, &[9; RANDOM]).unwrap()
    }

    /// Ten million records, ten keys: no nonce twice, and none of them is
    /// under a key that was in use before.
    #[test]
    fn no_nonce_repeats() {
        let mut gcm = gcm();
        let mut nonces = Vec::with_capacity(10_000_000);
        let mut keys = vec![gcm.secret.to_vec()];
        let mut out = Vec::new();
        for _ in 0..10_000_000 {
            nonces.push(gcm.nonce());
            out.clear();
            gcm.seal(&HEADER, b"x", &mut out).unwrap();
            if keys.last() != Some(gcm.secret.as_ref()) {
                keys.push(gcm.secret.to_vec());
            }
        }
        nonces.sort_unstable();
        nonces.dedup();
        assert_eq!(nonces.len(), 10_000_000);
        assert_eq!(keys.len(), 10);
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 10);
    }

    /// Bytes count as well as records.
    #[test]
    fn a_key_ends_with_its_bytes() {
        let mut gcm = gcm();
        let secret = gcm.secret.clone();
        gcm.bytes = KEY_BYTES - 2;
        gcm.count(1).unwrap();
        assert_eq!(gcm.secret, secret);
        gcm.count(1).unwrap();
        assert_ne!(gcm.secret, secret);
        assert_eq!((gcm.record, gcm.records, gcm.bytes), (2, 0, 0));
    }

    /// The last number is never used for a second record.
    #[test]
    fn numbers_end() {
        let mut gcm = gcm();
        gcm.record = u64::MAX;
        assert!(gcm.seal(&HEADER, b"x", &mut Vec::new()).is_err());
    }

    /// Another implementation opens what this one seals, by the specification
    /// alone: before and after a change of keys.
    #[test]
    fn another_implementation_agrees() {
        fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
            use hmac::Mac;
            let mut mac = <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(key).unwrap();
            for part in parts {
                mac.update(part);
            }
            mac.finalize().into_bytes().to_vec()
        }
        let prk = hmac(&[9; RANDOM], &[&[7; 32]]);
        let first = hmac(&prk, &[b"xpra gcm 1 client to server", &[1]]);
        let second = hmac(&first, &[b"next", &[1]]);

        let mut gcm = gcm();
        gcm.records = KEY_RECORDS - 1;
        for (number, secret) in [first, second].iter().enumerate() {
            let key = hmac(secret, &[b"key", &[1]]);
            let oracle = aes_gcm::Aes256Gcm::new_from_slice(&key).unwrap();
            let mut nonce = [0; 12];
            nonce[4..].copy_from_slice(&(number as u64).to_be_bytes());
            let mut sealed = Vec::new();
            gcm.seal(&HEADER, b"payload", &mut sealed).unwrap();
            let payload = Payload {
                msg: &sealed,
                aad: &HEADER,
            };
            assert_eq!(
                oracle.decrypt(&nonce.into(), payload).unwrap(),
                b"payload",
                "record {number}"
            );
        }
    }
}
