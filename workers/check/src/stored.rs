//! What a client said, compared with what a database has for that user.

use crate::No;
use accounts::file::Passwords;
use accounts::hash::{self, BadHash};
use accounts::spelling;
use ipc::auth::Digest;
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::sessions::Summary;
use ipc::spec::SessionsQuery;
use std::fmt::Display;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;
use wire::challenge::{self as maths, Hash};
use zeroize::Zeroizing;

/// How long a database may take to tell of sessions.
const SOON: Duration = Duration::from_secs(2);
/// What has to be left of the time when it has: a yes that comes late is a no.
const SPARE: Duration = Duration::from_secs(1);
/// Compared with where there is no such user.
const NOBODY: &[u8] = b"nobody's secret";

/// Why nothing can be compared. No password is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// What the client was asked for when the session was started is not what is needed now.
    #[error(
        "the database keeps its passwords in another way than when the session was started: start it again"
    )]
    Changed,
    /// Who has stolen it could log in with the hash alone.
    #[error(
        "this user's password is a hash in a database of passwords in clear: it lets nobody in; set it again with bulkhead passwd"
    )]
    HashAmongPlain,
    /// Everybody knows it.
    #[error("this user's password is empty: it lets nobody in")]
    Empty,
    /// A hash that is none.
    #[error(transparent)]
    Hash(#[from] BadHash),
}

/// What a database has for a user, if it has one, and how it keeps passwords.
pub type Stored = (Option<Zeroizing<Vec<u8>>>, Passwords);

/// Does the client know the password of the user that it names? `look_up` asks the database.
/// Whatever is wrong costs as much as a wrong password: who asks must not see which it is.
///
/// # Errors
/// Why not, for the log.
pub fn decide(
    claim: &AuthToCheck,
    look_up: impl FnOnce(&str) -> Result<Stored, String>,
) -> Result<bool, String> {
    let username = match claim {
        AuthToCheck::Password { username, .. }
        | AuthToCheck::Proof { username, .. }
        | AuthToCheck::Token { username, .. } => username,
        _ => "",
    };
    let found = match is_name(username) {
        true => look_up(username),
        false => {
            Err("a user name that is empty, or has control characters or spaces around it".into())
        }
    };
    let (stored, kept, why) = match found {
        Ok((stored, kept)) => (stored, kept, None),
        Err(why) => (None, needed(claim), Some(why)),
    };
    let fits = fits(claim, stored.as_ref().map(|stored| &stored[..]), kept);
    if let Some(why) = why {
        return Err(why);
    }
    if stored.is_none() {
        tracing::info!("there is no such user");
    }
    fits.map_err(|error| error.to_string())
}

/// Whose sessions are asked for, if it is a yes.
pub struct Whose {
    /// The user.
    pub username: String,
    /// The password as it is stored, if the query has a place for it. It is kept only then.
    pub password: Option<Zeroizing<Vec<u8>>>,
}

impl Whose {
    /// Nobody, if nothing is asked about sessions, or nothing is stored for such a user.
    #[must_use]
    pub fn new(
        username: &str,
        stored: Option<&Zeroizing<Vec<u8>>>,
        query: Option<&SessionsQuery>,
    ) -> Option<Self> {
        let (stored, query) = stored.zip(query)?;
        Some(Self {
            username: username.to_owned(),
            password: query.password.then(|| stored.clone()),
        })
    }
}

/// What `auth` is told: a yes comes with what the database says of the sessions of who is let in, when it
/// is asked until then. That it says nothing, or what it should not, or nothing in time, keeps nobody out.
/// `until`: when all of the check has to be over.
///
/// # Errors
/// Why not.
pub fn answer<E: Display>(
    decided: Result<bool, String>,
    until: Instant,
    sessions: Option<impl FnOnce(Instant) -> Result<Option<Summary>, E>>,
) -> Result<CheckToAuth, No> {
    match decided {
        Ok(true) => {
            let known = sessions.map_or(Ok(None), |ask| match soon(until) {
                Some(soon) => ask(soon).map_err(|why| why.to_string()),
                None => Err("there is no time left to ask".to_owned()),
            });
            Ok(match known {
                Ok(known) => known.map_or(CheckToAuth::Yes, CheckToAuth::Sessions),
                Err(why) => {
                    tracing::warn!("nothing is known of this user's sessions: {why}");
                    CheckToAuth::Yes
                }
            })
        }
        Ok(false) => Err(No::Refused("it is not the password of this user".into())),
        Err(why) => Err(No::Failed(why)),
    }
}

/// When it has to be known what there is of sessions, if there is time to ask.
fn soon(until: Instant) -> Option<Instant> {
    let now = Instant::now();
    let latest = until.checked_sub(SPARE).filter(|latest| *latest > now)?;
    Some(latest.min(now + SOON))
}

/// A database may take a name with such signs for another (SQLite, in UTF-16, has one sign for the
/// last three); and guesses are counted by name.
fn is_name(name: &str) -> bool {
    let odd = |c: char| c.is_control() || ('\u{fffd}'..='\u{ffff}').contains(&c);
    !name.is_empty() && name.trim() == name && !name.contains(odd)
}

/// How a database has to keep its passwords for this to be compared with them.
fn needed(claim: &AuthToCheck) -> Passwords {
    match claim {
        AuthToCheck::Proof { .. } => Passwords::Plain,
        // Nobody compares with a password what is none.
        _ => Passwords::Hashed,
    }
}

/// Does what the client said fit what is stored for the user, if anything is? It costs as much
/// where there is no such user.
///
/// # Errors
/// [`Mistake`]: then it does not, either.
#[inline(never)]
pub fn fits(claim: &AuthToCheck, stored: Option<&[u8]>, kept: Passwords) -> Result<bool, Mistake> {
    match (claim, kept) {
        (AuthToCheck::Password { password, .. }, Passwords::Hashed) => {
            let text = spelling::text(&password.0);
            let fits = match stored {
                Some(stored) => hash::verify(stored, &text),
                None => Err(BadHash::Malformed),
            };
            if fits.is_err() {
                hash::verify_nobody(&text);
            }
            match stored {
                Some(_) => Ok(fits?),
                None => Ok(false),
            }
        }
        (
            AuthToCheck::Proof {
                digest,
                salt,
                response,
                ..
            },
            Passwords::Plain,
        ) => {
            let Some(hash) = hash_of(*digest) else {
                return Ok(false);
            };
            let password = stored.unwrap_or(NOBODY);
            let other = spelling::latin1(password);
            let is = |password: &[u8]| {
                let expected = Zeroizing::new(maths::hmac_response(hash, password, salt));
                expected.ct_eq(response)
            };
            let fits = is(password) | other.map_or(0.into(), |other| is(&other));
            match stored {
                Some(stored) if hash::is_hash(stored) => Err(Mistake::HashAmongPlain),
                Some(b"") => Err(Mistake::Empty),
                Some(_) => Ok(fits.into()),
                None => Ok(false),
            }
        }
        _ => Err(Mistake::Changed),
    }
}

fn hash_of(digest: Digest) -> Option<Hash> {
    Some(match digest {
        Digest::HmacSha512 => Hash::Sha512,
        Digest::HmacSha384 => Hash::Sha384,
        Digest::HmacSha256 => Hash::Sha256,
        Digest::HmacSha224 => Hash::Sha224,
        Digest::HmacSha3_512 => Hash::Sha3_512,
        Digest::HmacSha3_384 => Hash::Sha3_384,
        Digest::HmacSha3_256 => Hash::Sha3_256,
        Digest::HmacSha3_224 => Hash::Sha3_224,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::check::Password;

    const SALT: &str = "0123456789abcdef";

    fn password(text: &[u8]) -> AuthToCheck {
        AuthToCheck::Password {
            username: "ann".into(),
            password: Password(text.to_vec()),
        }
    }

    fn proof(text: &[u8]) -> AuthToCheck {
        AuthToCheck::Proof {
            username: "ann".into(),
            digest: Digest::HmacSha512,
            salt: SALT.into(),
            response: maths::hmac_response(Hash::Sha512, text, SALT),
        }
    }

    #[test]
    fn a_proof_is_made_with_the_password_in_either_spelling() {
        let fits =
            |said: &[u8], stored: Option<&[u8]>| fits(&proof(said), stored, Passwords::Plain);
        let stored = "p\u{e4}ss".as_bytes();
        assert_eq!(fits(stored, Some(stored)), Ok(true));
        assert_eq!(fits(b"p\xe4ss", Some(stored)), Ok(true));
        assert_eq!(fits(b"pass", Some(stored)), Ok(false));
        assert_eq!(fits(b"", Some(stored)), Ok(false));
        assert_eq!(fits(b"\xff\0", Some(b"\xff\0")), Ok(true));
        // Whoever guesses what nobody's password is.
        assert_eq!(fits(NOBODY, None), Ok(false));
        assert_eq!(fits(b"", Some(b"")), Err(Mistake::Empty));
    }

    #[test]
    fn a_stolen_hash_is_no_password() {
        let hash = hash::make(b"hunter2", &[1; hash::SALT]).unwrap();
        let hash = hash.as_bytes();
        let stolen = fits(&proof(hash), Some(hash), Passwords::Plain);
        assert_eq!(stolen, Err(Mistake::HashAmongPlain));
        let fits = |said: &[u8], stored| fits(&password(said), stored, Passwords::Hashed);
        assert_eq!(fits(b"hunter2", Some(hash)), Ok(true));
        assert_eq!(fits(hash, Some(hash)), Ok(false));
        assert_eq!(fits(b"hunter3", Some(hash)), Ok(false));
        assert_eq!(fits(b"hunter2", None), Ok(false));
        let plain = fits(b"hunter2", Some(b"hunter2"));
        assert_eq!(plain, Err(Mistake::Hash(BadHash::Malformed)));
    }

    #[test]
    fn only_who_is_let_in_has_sessions_and_their_lack_keeps_nobody_out() {
        let known = Summary::read(["1000", "", ":10", "", ""]).unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        let told = |sessions: Result<_, &str>| answer(Ok(true), until, Some(|_| sessions));
        let yes = Ok(CheckToAuth::Yes);
        let with_sessions = CheckToAuth::Sessions(known.clone().unwrap());
        assert_eq!(told(Ok(known)), Ok(with_sessions));
        assert_eq!(told(Ok(None)), yes);
        assert_eq!(told(Err("broken")), yes);
        let asked = |_| -> Result<_, &str> { panic!("it is asked") };
        assert_eq!(answer(Ok(true), until, Some(asked).filter(|_| false)), yes);
        // The rest of the time is for the answer.
        let late = Instant::now() + SPARE;
        assert_eq!(answer(Ok(true), late, Some(asked)), yes);
        for decided in [Ok(false), Err("broken".to_owned())] {
            assert!(answer(decided, until, Some(asked)).is_err());
        }
    }

    /// A database that says nothing of sessions makes no yes late.
    #[test]
    fn sessions_are_soon_known_or_never() {
        for left in [60, 2] {
            let until = Instant::now() + Duration::from_secs(left);
            let soon = soon(until).unwrap();
            assert!(soon + SPARE <= until && soon <= Instant::now() + SOON);
        }
        assert_eq!(soon(Instant::now() + SPARE), None);
    }

    #[test]
    fn a_password_is_kept_for_a_query_that_wants_it() {
        let stored = Zeroizing::new(b"hunter2".to_vec());
        let query = |password| SessionsQuery {
            query: String::new(),
            password,
        };
        let kept = |password| Whose::new("ann", Some(&stored), Some(&query(password)));
        assert_eq!(kept(true).unwrap().password, Some(stored.clone()));
        assert_eq!(kept(false).unwrap().password, None);
        assert!(Whose::new("ann", None, Some(&query(true))).is_none());
        assert!(Whose::new("ann", Some(&stored), None).is_none());
    }

    #[test]
    fn what_was_not_asked_for_is_not_compared() {
        let stored = Some(&b"x"[..]);
        let changed = Err(Mistake::Changed);
        assert_eq!(fits(&password(b"x"), stored, Passwords::Plain), changed);
        assert_eq!(fits(&proof(b"x"), stored, Passwords::Hashed), changed);
        let xor = AuthToCheck::Proof {
            username: "ann".into(),
            digest: Digest::Xor,
            salt: SALT.into(),
            response: vec![],
        };
        assert_eq!(fits(&xor, stored, Passwords::Plain), Ok(false));
    }
}
