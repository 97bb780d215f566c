//! One challenge: fresh random bytes, answered at most once.

use crate::provider::Login;
use ipc::auth::{AuthToNetwork, Digest, MAX_TOKEN};
use ipc::spec::{Fido, Token};
use rustix::rand::{GetRandomFlags, getrandom};
use std::collections::{BTreeSet, VecDeque};
use subtle::ConstantTimeEq;
use wire::challenge::{self as maths, Hash};
use zeroize::Zeroizing;

/// Bytes of a salt of ours.
const SALT: usize = 64;
/// Longest answer to a challenge, but for those with a ticket or the like, in bytes.
pub const MAX_RESPONSE: usize = 1024;
/// Bytes of a client's salt that we accept (protocol "Exact computation").
const CLIENT_SALT: std::ops::RangeInclusive<usize> = 16..=256;
/// The digests that we use, best first (protocol "Digest lists"; those of SHA-3 after those that
/// every client has).
const PREFERENCE: [Digest; 8] = [
    Digest::HmacSha512,
    Digest::HmacSha384,
    Digest::HmacSha256,
    Digest::HmacSha224,
    Digest::HmacSha3_512,
    Digest::HmacSha3_384,
    Digest::HmacSha3_256,
    Digest::HmacSha3_224,
];

/// What a module wants to know from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// That it has the secret, which is not sent.
    Proof,
    /// The password itself: only where nobody on the way can read it.
    Password,
    /// A signature of a security key.
    Signature(Fido),
    /// A ticket: likewise.
    Token(Token),
    /// What an OpenID Connect provider gives it.
    Code,
    /// That it has a code that is shown on the session's screen, which is not sent.
    Shown,
}

impl Question {
    /// Must nobody on the way be able to read the answer?
    #[must_use]
    pub fn is_confidential(self) -> bool {
        match self {
            // A signature is good for our salt only, a code with the secret of this login only, and what is
            // shown for one answer.
            Self::Proof | Self::Signature(_) | Self::Code | Self::Shown => false,
            Self::Password | Self::Token(_) => true,
        }
    }
}

/// Why no challenge can be made.
#[derive(Debug, thiserror::Error)]
pub enum ChallengeError {
    /// The client has no digest that we accept; the name of one that would do.
    #[error("no common digest")]
    NoDigest(&'static str),
    /// The kernel gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(rustix::io::Errno),
}

/// A challenge that waits for its answer. Answering consumes it.
#[derive(Debug)]
pub struct Challenge {
    salt: Salt,
    digest: Digest,
    salt_digest: Digest,
}

/// What goes out as the salt.
#[derive(Debug)]
enum Salt {
    Random([u8; SALT]),
    /// The address where the client is to go.
    Login(Box<Login>),
}

impl Salt {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Random(bytes) => bytes,
            Self::Login(login) => login.address.as_bytes(),
        }
    }
}

fn best(offered: &[Digest]) -> Result<Digest, ChallengeError> {
    let known = PREFERENCE
        .into_iter()
        .find(|digest| offered.contains(digest));
    known.ok_or(ChallengeError::NoDigest("hmac+sha512"))
}

fn digest(question: Question, offered: &[Digest]) -> Result<Digest, ChallengeError> {
    match question {
        Question::Proof | Question::Shown => best(offered),
        Question::Password if offered.contains(&Digest::Xor) => Ok(Digest::Xor),
        Question::Password => Err(ChallengeError::NoDigest("xor")),
        Question::Signature(Fido::U2f) if offered.contains(&Digest::U2f) => Ok(Digest::U2f),
        Question::Signature(Fido::U2f) => Err(ChallengeError::NoDigest("u2f")),
        Question::Signature(Fido::Fido2) if offered.contains(&Digest::Fido2) => Ok(Digest::Fido2),
        Question::Signature(Fido::Fido2) => Err(ChallengeError::NoDigest("fido2")),
        Question::Code if offered.contains(&Digest::Keycloak) => Ok(Digest::Keycloak),
        Question::Code => Err(ChallengeError::NoDigest("keycloak")),
        Question::Token(token) => {
            let (wanted, name) = match token {
                Token::Kerberos => (Digest::Kerberos, "kerberos"),
                Token::Gss => (Digest::Gss, "gss"),
            };
            match offered.contains(&wanted) {
                true => Ok(wanted),
                false => Err(ChallengeError::NoDigest(name)),
            }
        }
    }
}

impl Challenge {
    /// A new one, with the best digests that the client offers.
    ///
    /// # Errors
    /// [`ChallengeError`].
    pub fn new(
        question: Question,
        digests: &[Digest],
        salt_digests: &[Digest],
    ) -> Result<Self, ChallengeError> {
        let mut salt = [0; SALT];
        // Up to 256 bytes are never cut short (getrandom(2)).
        getrandom(&mut salt, GetRandomFlags::empty()).map_err(ChallengeError::Random)?;
        Ok(Self {
            salt: Salt::Random(salt),
            digest: digest(question, digests)?,
            salt_digest: best(salt_digests)?,
        })
    }

    /// One that sends the client to a provider.
    ///
    /// # Errors
    /// [`ChallengeError`].
    pub fn at_provider(
        login: Login,
        digests: &[Digest],
        salt_digests: &[Digest],
    ) -> Result<Self, ChallengeError> {
        Ok(Self {
            salt: Salt::Login(Box::new(login)),
            digest: digest(Question::Code, digests)?,
            salt_digest: best(salt_digests)?,
        })
    }

    /// What to ask the client; a ticket for this service, if it is one.
    #[must_use]
    pub fn message(&self, prompt: String, service: Option<&str>) -> AuthToNetwork {
        let (salt, digest, salt_digest) =
            (self.salt.bytes().to_vec(), self.digest, self.salt_digest);
        match service {
            Some(service) => AuthToNetwork::TokenChallenge {
                salt,
                digest,
                service: service.to_owned(),
                salt_digest,
                prompt,
            },
            None => AuthToNetwork::Challenge {
                salt,
                digest,
                salt_digest,
                prompt,
            },
        }
    }

    /// The longest answer, in bytes.
    #[must_use]
    pub fn max_response(&self) -> usize {
        match self.digest {
            Digest::Kerberos | Digest::Gss | Digest::Keycloak => MAX_TOKEN,
            _ => MAX_RESPONSE,
        }
    }

    /// Mixes in the client's salt. `None` when that is not acceptable, or when the mixture has
    /// been used before.
    #[must_use]
    pub fn combine(self, client_salt: &[u8], used: &mut UsedSalts) -> Option<Combined> {
        if let (Digest::U2f | Digest::Fido2, Salt::Random(signed)) = (self.digest, &self.salt) {
            // The client mixes nothing in: what is signed is our salt.
            let salt: String = signed.iter().map(|byte| format!("{byte:02x}")).collect();
            return used
                .insert(&salt)
                .then_some(Combined::Signature(Signed(*signed)));
        }
        if !CLIENT_SALT.contains(&client_salt.len()) {
            return None;
        }
        let mix = maths::Digest::Hmac(hash(self.salt_digest)?);
        let salt = maths::combined_salt(mix, self.salt.bytes(), client_salt).ok()?;
        if !used.insert(&salt) {
            return None;
        }
        let covered = Covered { salt };
        Some(match (hash(self.digest), self.digest) {
            (Some(hash), digest) => Combined::Proof(Proof {
                salt: covered.salt,
                digest,
                hash,
            }),
            (None, Digest::Kerberos | Digest::Gss) => Combined::Token(covered),
            (None, _) => match self.salt {
                Salt::Random(_) => Combined::Password(covered),
                Salt::Login(login) => Combined::Code(covered, login),
            },
        })
    }
}

/// A challenge with both salts: good for one check.
#[derive(Debug)]
pub enum Combined {
    /// What was asked for is a [`Question::Proof`] or [`Question::Shown`].
    Proof(Proof),
    /// What was asked for is a [`Question::Password`].
    Password(Covered),
    /// What was asked for is a [`Question::Signature`].
    Signature(Signed),
    /// What was asked for is a [`Question::Token`].
    Token(Covered),
    /// What was asked for is a [`Question::Code`].
    Code(Covered, Box<Login>),
}

/// What a security key has to sign.
#[derive(Debug)]
pub struct Signed(pub [u8; SALT]);

/// What a client proves that it knows a secret with.
#[derive(Debug)]
pub struct Proof {
    salt: String,
    digest: Digest,
    hash: Hash,
}

impl Proof {
    /// Is this the response of somebody who knows the secret?
    #[must_use]
    pub fn check(self, secret: &[u8], response: &[u8]) -> bool {
        let expected = Zeroizing::new(maths::hmac_response(self.hash, secret, &self.salt));
        expected.ct_eq(response).into()
    }

    /// For somebody else to check: how the response is made, and the mixed salts.
    #[must_use]
    pub fn into_parts(self) -> (Digest, String) {
        (self.digest, self.salt)
    }
}

/// What a client covers its password with.
#[derive(Debug)]
pub struct Covered {
    salt: String,
}

impl Covered {
    /// The password that the client sent.
    #[must_use]
    pub fn password(self, response: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(maths::xor_response(response, &self.salt))
    }
}

/// The hash that a digest is made of, if it is.
fn hash(digest: Digest) -> Option<Hash> {
    Some(match digest {
        Digest::HmacSha512 => Hash::Sha512,
        Digest::HmacSha384 => Hash::Sha384,
        Digest::HmacSha256 => Hash::Sha256,
        Digest::HmacSha224 => Hash::Sha224,
        Digest::HmacSha3_512 => Hash::Sha3_512,
        Digest::HmacSha3_384 => Hash::Sha3_384,
        Digest::HmacSha3_256 => Hash::Sha3_256,
        Digest::HmacSha3_224 => Hash::Sha3_224,
        Digest::Xor
        | Digest::U2f
        | Digest::Fido2
        | Digest::Kerberos
        | Digest::Gss
        | Digest::Keycloak => return None,
    })
}

/// The mixed salts of the last checks. Each of our own salts is random and consumed by its
/// answer, so that a repetition is a sign of broken random numbers rather than of a replay.
#[derive(Debug, Default)]
pub struct UsedSalts {
    set: BTreeSet<String>,
    order: VecDeque<String>,
}

impl UsedSalts {
    /// How many are remembered.
    const CAPACITY: usize = 4096;

    /// Remembers one; false when it was there.
    pub fn insert(&mut self, salt: &str) -> bool {
        if !self.set.insert(salt.to_owned()) {
            return false;
        }
        self.order.push_back(salt.to_owned());
        if self.order.len() > Self::CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &[u8] = &[7; 32];
    const HASH: Digest = Digest::HmacSha512;

    #[test]
    fn a_password_comes_as_it_was_typed() {
        let password = "a long one, \u{e9}".repeat(20);
        let challenge = Challenge::new(Question::Password, &[HASH, Digest::Xor], &[HASH]).unwrap();
        let mix = maths::Digest::Hmac(Hash::Sha512);
        let salt = maths::combined_salt(mix, challenge.salt.bytes(), SALT).unwrap();
        let response = maths::xor_response(password.as_bytes(), &salt);
        let combined = challenge.combine(SALT, &mut UsedSalts::default());
        let Some(Combined::Password(covered)) = combined else {
            panic!("{combined:?}");
        };
        assert_eq!(*covered.password(&response), password.as_bytes());
    }

    #[test]
    fn a_password_is_asked_for_only_by_who_needs_it_and_never_as_a_salt() {
        let digest = |question, offered: &[Digest], salts: &[Digest]| {
            let challenge = Challenge::new(question, offered, salts);
            challenge.map_or_else(|error| Err(error.to_string()), |one| Ok(one.digest))
        };
        let both = [Digest::Xor, HASH];
        assert_eq!(digest(Question::Proof, &both, &both), Ok(HASH));
        assert_eq!(digest(Question::Password, &both, &both), Ok(Digest::Xor));
        for (question, offered, salts) in [
            (Question::Proof, &[Digest::Xor][..], &both[..]),
            (Question::Password, &[HASH], &both),
            (Question::Password, &both, &[Digest::Xor]),
        ] {
            assert!(digest(question, offered, salts).is_err());
        }
    }
}
