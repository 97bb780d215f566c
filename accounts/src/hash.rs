//! Passwords as argon2id hashes (RFC 9106), in the text form that other programs write and read
//! too (the reference implementation's, "PHC string"):
//! `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes of a salt of ours.
pub const SALT: usize = 16;
/// Bytes of a hash of ours.
const HASH: usize = 32;
/// What a hash of ours costs: 19 MiB, twice over (OWASP's first choice). Sixteen checks at a time
/// are 300 MiB.
const COST: Cost = Cost {
    memory: 19 * 1024,
    passes: 2,
    lanes: 1,
};
/// The most that somebody else's hash may cost: a login has seconds, and others log in too.
const MAX_COST: Cost = Cost {
    memory: 64 * 1024,
    passes: 8,
    lanes: 4,
};
/// The same for memory and passes together: five of ours, so that its user is not found by the time
/// that a no takes.
const MAX_WORK: u32 = 5 * 19 * 1024 * 2 + 8 * 1024;
/// Longest hash in characters.
const MAX_TEXT: usize = 256;

/// Everything that begins so is meant as a hash.
const SCHEME: &str = "$argon2";

#[derive(Clone, Copy, PartialEq, Eq)]
struct Cost {
    /// In KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
}

/// Why a password cannot be compared with this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHash {
    /// It is something else, maybe a password in clear.
    #[error("what is kept there is no argon2id hash: set the password again")]
    Malformed,
    /// Who can make a hash cannot make every login cost what it likes.
    #[error(
        "the hash there costs too much (more than 64 MiB, 8 passes, 4 lanes, or 3 passes of 64 MiB): set the password again"
    )]
    Costly,
    /// Memory, or a length that argon2 does not have.
    #[error("the hash there cannot be computed")]
    Failed,
}

/// How hashes of other programs begin (crypt(5), LDAP).
const OTHERS: [&str; 8] = [
    "$1$", "$2", "$5$", "$6$", "$y$", "$pbkdf2", "{SSHA", "{CRYPT}",
];

/// Is this the text of a hash, ours or another program's, and no password in clear?
#[must_use]
pub fn is_hash(text: &[u8]) -> bool {
    let mut known = OTHERS.into_iter().chain([SCHEME]);
    known.any(|scheme| text.starts_with(scheme.as_bytes()))
}

/// The hash of a password, as text. The salt has to be new and random.
///
/// # Errors
/// [`BadHash::Failed`].
pub fn make(password: &[u8], salt: &[u8; SALT]) -> Result<String, BadHash> {
    let mut hash = Zeroizing::new([0; HASH]);
    compute(COST, password, salt, &mut hash[..])?;
    let Cost {
        memory,
        passes,
        lanes,
    } = COST;
    let (salt, hash) = (BASE64.encode(salt), BASE64.encode(&hash[..]));
    Ok(format!(
        "{SCHEME}id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"
    ))
}

/// Is it the hash of this password?
///
/// # Errors
/// [`BadHash`].
pub fn verify(text: &[u8], password: &[u8]) -> Result<bool, BadHash> {
    Parsed::read(text)?.fits(password)
}

/// Costs as much as [`verify`] with a hash of ours: for users that there are not.
pub fn verify_nobody(password: &[u8]) {
    let mut hash = Zeroizing::new([0; HASH]);
    let computed = compute(COST, password, &[0; SALT], &mut hash[..]);
    std::hint::black_box((computed.is_ok(), &hash));
}

fn compute(cost: Cost, password: &[u8], salt: &[u8], hash: &mut [u8]) -> Result<(), BadHash> {
    let Cost {
        memory,
        passes,
        lanes,
    } = cost;
    let params =
        Params::new(memory, passes, lanes, Some(hash.len())).map_err(|_| BadHash::Malformed)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, hash)
        .map_err(|_| BadHash::Failed)
}

/// What the text of a hash says.
pub struct Parsed {
    cost: Cost,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Parsed {
    /// Reads it. Nothing is computed.
    ///
    /// # Errors
    /// It is none, or would cost too much.
    pub fn read(text: &[u8]) -> Result<Self, BadHash> {
        let parsed = Self::fields(text).ok_or(BadHash::Malformed)?;
        let Cost {
            memory,
            passes,
            lanes,
        } = parsed.cost;
        let work = memory.saturating_mul(passes);
        if memory > MAX_COST.memory
            || passes > MAX_COST.passes
            || lanes > MAX_COST.lanes
            || work > MAX_WORK
        {
            return Err(BadHash::Costly);
        }
        Ok(parsed)
    }

    fn fits(&self, password: &[u8]) -> Result<bool, BadHash> {
        let mut hash = Zeroizing::new(vec![0; self.hash.len()]);
        compute(self.cost, password, &self.salt, &mut hash)?;
        Ok(hash.ct_eq(&self.hash).into())
    }

    fn fields(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let rest = text.strip_prefix("$argon2id$v=19$")?;
        let mut parts = rest.split('$');
        let (cost, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
        let mut costs = cost.split(',');
        let mut number = |name| {
            let digits = costs.next()?.strip_prefix(name)?;
            let plain = !digits.starts_with(['0', '+']);
            digits.parse().ok().filter(|_| plain)
        };
        let cost = Cost {
            memory: number("m=")?,
            passes: number("t=")?,
            lanes: number("p=")?,
        };
        if parts.next().is_some() || costs.next().is_some() {
            return None;
        }
        let (salt, hash) = (BASE64.decode(salt).ok()?, BASE64.decode(hash).ok()?);
        // A short hash fits many passwords.
        (salt.len() >= 8 && hash.len() >= 16).then_some(Self { cost, salt, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hash_fits_its_password_only() {
        let hash = make("pässword".as_bytes(), &[7; SALT]).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$BwcHBwcHBwcHBwcHBwcHBw$"));
        assert!(is_hash(hash.as_bytes()) && hash.len() <= 255);
        for (password, fits) in [("pässword", true), ("passwort", false), ("", false)] {
            assert_eq!(verify(hash.as_bytes(), password.as_bytes()), Ok(fits));
        }
        assert_ne!(hash, make("pässword".as_bytes(), &[8; SALT]).unwrap());
    }

    /// Made by the reference implementation: `printf %s "hunter2" | argon2 somesalt -id -t 2 -k 1024 -p 4`.
    #[test]
    fn hashes_of_other_programs_are_understood() {
        let hash = REFERENCE.as_bytes();
        assert_eq!(verify(hash, b"hunter2"), Ok(true));
        assert_eq!(verify(hash, b"hunter3"), Ok(false));
    }

    const REFERENCE: &str =
        "$argon2id$v=19$m=1024,t=2,p=4$c29tZXNhbHQ$/R7n3c6NBs73CztfmkY64Cku7LSF/+z+44Ibx/hA4Qs";

    #[test]
    fn what_is_no_hash_or_costs_too_much_fits_nothing() {
        let hash = make(b"x", &[7; SALT]).unwrap();
        for (from, to) in [
            ("argon2id", "argon2i"),
            ("argon2id", "argon2d"),
            ("v=19", "v=16"),
            ("m=19456", "m=019456"),
            ("m=19456", "m=+9456"),
            ("m=19456", "m=-1"),
            ("m=19456", "m=1"),
            ("m=19456,", ""),
            ("p=1", "p=1,x=2"),
            ("t=2", "t=0"),
            ("$BwcH", "$Bw$cH"),
            ("BwcHBwcHBwcHBwcHBwcHBw", "BwcHBwc"),
            ("BwcHBwcHBwcHBwcHBwcHBw", "=="),
        ] {
            let bad = hash.replace(from, to);
            assert_eq!(
                verify(bad.as_bytes(), b"x"),
                Err(BadHash::Malformed),
                "{bad}"
            );
        }
        for (from, to) in [
            ("m=19456", "m=65537"),
            ("m=19456", "m=4294967295"),
            ("t=2", "t=9"),
            ("m=19456,t=2", "m=65536,t=4"),
            ("p=1", "p=5"),
        ] {
            let bad = hash.replace(from, to);
            assert_eq!(verify(bad.as_bytes(), b"x"), Err(BadHash::Costly), "{bad}");
        }
        for bad in ["", "x", "$argon2id", "$argon2id$v=19$", &"$".repeat(300)] {
            assert_eq!(
                verify(bad.as_bytes(), b"x"),
                Err(BadHash::Malformed),
                "{bad}"
            );
        }
        assert_eq!(verify(b"\xff", b"x"), Err(BadHash::Malformed));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_panics(text in r"(\$argon2id\$v=19\$m=[0-9]{1,3},t=[0-9],p=[0-9]\$[A-Za-z]{0,12}\$[A-Za-z]{0,24}|.{0,60})") {
            let _ = verify(text.as_bytes(), b"x");
        }
    }
}
