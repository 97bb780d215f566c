//! What may be derived, and how.

use crate::salts::{Mark, UsedSalts};
use ipc::keys::{Derivation, DerivedKey, KeyHash as Hash, KeysToNetwork};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use wire::cipher::{Iterations, KeyHash, KeyParameters, KeySize, Salt, derive};

/// Hellos of one connection: one starts it, one answers each challenge of the longest chain (eight
/// modules), and one the challenge that asks for nothing but the full hello.
pub const MAX_PER_CONNECTION: u32 = 10;

/// How the keys of what we receive are derived: what stock clients take, with the best hash.
const OURS: (KeyHash, Iterations) = (KeyHash::Sha512, Iterations::DEFAULT);

/// Bytes of a salt that we make. Stock servers send as many.
const SALT: usize = 64;

/// A client's parameters, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    theirs: KeyParameters,
}

/// A question that no sound `network` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Too short or too long.
    #[error("a salt of {0} bytes")]
    Salt(usize),
    /// No AES key is that long.
    #[error("a key of {0} bytes")]
    Size(u8),
    /// Too few or too many.
    #[error("{0} iterations")]
    Iterations(u32),
}

impl Request {
    /// Checks a question. `network` has checked the client's words, so what is wrong here is
    /// its own doing.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn new(theirs: Derivation) -> Result<Request, Malformed> {
        let Derivation {
            salt,
            hash,
            size,
            iterations,
        } = theirs;
        let len = salt.len();
        Ok(Request {
            theirs: KeyParameters {
                salt: Salt::new(salt).ok_or(Malformed::Salt(len))?,
                hash: match hash {
                    Hash::Sha1 => KeyHash::Sha1,
                    Hash::Sha224 => KeyHash::Sha224,
                    Hash::Sha256 => KeyHash::Sha256,
                    Hash::Sha384 => KeyHash::Sha384,
                    Hash::Sha512 => KeyHash::Sha512,
                },
                size: KeySize::new(size.into()).ok_or(Malformed::Size(size))?,
                iterations: Iterations::new(iterations).ok_or(Malformed::Iterations(iterations))?,
            },
        })
    }

    /// How long the answer takes, in hashes.
    #[must_use]
    pub fn cost(&self) -> u64 {
        let (_, ours) = OURS;
        // PBKDF2 begins anew for each output block of the hash.
        let output = match self.theirs.hash {
            KeyHash::Sha1 => 20,
            KeyHash::Sha224 => 28,
            KeyHash::Sha256 => 32,
            KeyHash::Sha384 => 48,
            KeyHash::Sha512 => 64,
        };
        let blocks = u64::from(self.size() > output) + 1;
        blocks * u64::from(self.theirs.iterations.get()) + u64::from(ours.get())
    }

    /// Bytes of the key that is asked for.
    #[must_use]
    pub fn size(&self) -> usize {
        self.theirs.size.bytes()
    }

    /// Derives both keys, or says why not. The salts of the keys are added to `salts`: ours too,
    /// so that nobody has our key derived again by calling our salt theirs.
    pub fn answer(
        self,
        key_data: &[u8],
        used: &mut UsedSalts,
        salts: &mut Vec<Mark>,
        random: Randomness,
    ) -> KeysToNetwork {
        let Some(theirs) = used.take(&self.theirs.salt) else {
            return KeysToNetwork::Refused {
                text: "encryption: this key salt was used before".to_owned(),
            };
        };
        salts.push(theirs);
        salts.extend(used.take(&random.salt));
        let (hash, iterations) = OURS;
        let ours = KeyParameters {
            salt: random.salt,
            hash,
            size: self.theirs.size,
            iterations,
        };
        KeysToNetwork::Derived {
            send: key(key_data, &self.theirs),
            receive: key(key_data, &ours),
            ours: Derivation {
                salt: ours.salt.as_bytes().to_vec(),
                hash: Hash::Sha512,
                size: u8::try_from(ours.size.bytes()).unwrap_or_default(),
                iterations: iterations.get(),
            },
            iv: random.iv,
            seed: random.seed,
        }
    }
}

/// What one answer needs of the operating system.
pub struct Randomness {
    salt: Salt,
    iv: [u8; 16],
    seed: [u8; 32],
}

impl Randomness {
    /// New for each answer.
    ///
    /// # Errors
    /// The kernel gives none.
    pub fn draw() -> Result<Randomness, Errno> {
        let salt = Salt::new(draw::<SALT>()?.to_vec()).ok_or(Errno::INVAL)?;
        Ok(Randomness {
            salt,
            // Characters that every client reads as the same bytes.
            iv: draw::<16>()?.map(|byte| ALPHABET[usize::from(byte % 64)]),
            seed: draw()?,
        })
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Up to 256 bytes are never cut short (getrandom(2)).
fn draw<const N: usize>() -> Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(bytes)
}

fn key(key_data: &[u8], parameters: &KeyParameters) -> DerivedKey {
    DerivedKey(derive(key_data, parameters).as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(salt: u8) -> Derivation {
        Derivation {
            salt: vec![salt; 64],
            hash: Hash::Sha1,
            size: 32,
            iterations: 1000,
        }
    }

    fn answer(salt: u8, used: &mut UsedSalts) -> KeysToNetwork {
        let request = Request::new(question(salt)).unwrap();
        let random = Randomness::draw().unwrap();
        request.answer(b"key data", used, &mut Vec::new(), random)
    }

    #[test]
    fn both_keys_are_what_the_other_side_derives() {
        let KeysToNetwork::Derived {
            send,
            receive,
            ours,
            iv,
            seed,
        } = answer(1, &mut UsedSalts::default())
        else {
            panic!("refused");
        };
        let parameters = |derivation| Request::new(derivation).unwrap().theirs;
        assert_eq!(send, key(b"key data", &parameters(question(1))));
        assert_eq!(receive, key(b"key data", &parameters(ours.clone())));
        assert_ne!(send, receive);
        assert_eq!(ours.salt.len(), SALT);
        assert!(iv.iter().all(u8::is_ascii_graphic));
        assert_ne!(seed, [0; 32]);
    }

    #[test]
    fn nothing_is_given_twice() {
        let mut used = UsedSalts::default();
        let KeysToNetwork::Derived {
            ours: first,
            iv: one,
            seed: a,
            ..
        } = answer(1, &mut used)
        else {
            panic!("refused");
        };
        let KeysToNetwork::Derived {
            ours: second,
            iv: two,
            seed: b,
            ..
        } = answer(2, &mut used)
        else {
            panic!("refused");
        };
        assert_ne!((first.salt, one, a), (second.salt, two, b));
        assert!(matches!(
            answer(1, &mut used),
            KeysToNetwork::Refused { .. }
        ));
        assert!(matches!(
            answer(2, &mut used),
            KeysToNetwork::Refused { .. }
        ));
    }

    #[test]
    fn our_salt_is_nobody_elses() {
        let mut used = UsedSalts::default();
        let KeysToNetwork::Derived { ours, .. } = answer(1, &mut used) else {
            panic!("refused");
        };
        let request = Request::new(ours).unwrap();
        let random = Randomness::draw().unwrap();
        let again = request.answer(b"key data", &mut used, &mut Vec::new(), random);
        assert!(matches!(again, KeysToNetwork::Refused { .. }));
    }

    #[test]
    fn what_no_sound_worker_asks() {
        let changed = |change: fn(&mut Derivation)| {
            let mut derivation = question(1);
            change(&mut derivation);
            Request::new(derivation).map(|request| request.cost())
        };
        // A key of 32 bytes takes two outputs of SHA-1.
        assert_eq!(changed(|_| ()), Ok(12_000));
        assert_eq!(changed(|d| d.hash = Hash::Sha256), Ok(11_000));
        assert_eq!(changed(|d| d.size = 16), Ok(11_000));
        assert_eq!(changed(|d| d.salt.truncate(15)), Err(Malformed::Salt(15)));
        assert_eq!(
            changed(|d| d.salt.resize(257, 0)),
            Err(Malformed::Salt(257))
        );
        assert_eq!(changed(|d| d.size = 31), Err(Malformed::Size(31)));
        assert_eq!(changed(|d| d.size = 0), Err(Malformed::Size(0)));
        assert_eq!(changed(|d| d.iterations = 0), Err(Malformed::Iterations(0)));
        let most = u32::MAX;
        assert_eq!(
            changed(|d| d.iterations = u32::MAX),
            Err(Malformed::Iterations(most))
        );
    }
}
