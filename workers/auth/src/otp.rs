//! One-time codes of the clock: TOTP (RFC 6238) as authenticator applications make them, six
//! digits of HMAC-SHA-1 for every thirty seconds.

use hmac::{KeyInit, Mac, SimpleHmac};
use sha1::Sha1;
use std::collections::VecDeque;
use std::time::{Duration, SystemTime};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// Seconds for which a code is made.
pub const STEP: u64 = 30;
/// Digits of a code.
pub const DIGITS: usize = 6;
/// Most steps before and after the present one that a module may accept.
pub const MAX_WINDOW: u8 = 10;
/// Bytes of a key: fewer can be guessed from codes (RFC 4226 wants 16; many applications make 10).
const KEY: std::ops::RangeInclusive<usize> = 10..=128;

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Something else than A–Z and 2–7.
    #[error("is not base32 (A to Z and 2 to 7)")]
    NotBase32,
    /// See the text.
    #[error("has not between 16 and 205 characters: `head -c 20 /dev/urandom | base32` makes one")]
    Length,
}

/// The key that both sides have. Wiped when dropped. It does not move, so that no copy stays
/// behind.
pub struct Key(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<key>")
    }
}

impl Key {
    /// Reads base32 (RFC 4648) as people write it: in either case, with spaces, with or without
    /// `=` at its end.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(text: &[u8]) -> Result<Self, KeyError> {
        let mut key = Self(Zeroizing::new(Vec::with_capacity(*KEY.end())));
        let text = text.trim_ascii();
        let end = text.iter().rposition(|byte| *byte != b'=');
        let (mut bits, mut have) = (Zeroizing::new(0_u32), 0);
        for byte in text.iter().take(end.map_or(0, |end| end + 1)) {
            let value = match byte.to_ascii_uppercase() {
                b' ' | b'-' => continue,
                letter @ b'A'..=b'Z' => letter - b'A',
                digit @ b'2'..=b'7' => digit - b'2' + 26,
                _ => return Err(KeyError::NotBase32),
            };
            *bits = *bits << 5 | u32::from(value);
            have += 5;
            if have >= 8 {
                have -= 8;
                let [.., byte] = (*bits >> have).to_be_bytes();
                if key.0.len() == *KEY.end() {
                    return Err(KeyError::Length);
                }
                key.0.push(byte);
            }
        }
        match KEY.contains(&key.0.len()) {
            true => Ok(key),
            false => Err(KeyError::Length),
        }
    }

    /// Tells it from others, in whichever files it stands, and tells nobody what it is.
    fn name(&self) -> [u8; 20] {
        // HMAC takes keys of every length: the error does not occur. What codes are made of is
        // eight bytes long.
        SimpleHmac::<Sha1>::new_from_slice(&self.0).map_or([0; 20], |mac| {
            mac.chain_update(b"which key is it?")
                .finalize()
                .into_bytes()
                .0
        })
    }

    /// The code of a step (RFC 4226 section 5.3).
    #[must_use]
    pub fn code(&self, step: u64) -> Zeroizing<[u8; DIGITS]> {
        let mut code = Zeroizing::new([b'0'; DIGITS]);
        // HMAC takes keys of every length: the error does not occur.
        let Ok(mac) = SimpleHmac::<Sha1>::new_from_slice(&self.0) else {
            return code;
        };
        let digest = mac.chain_update(step.to_be_bytes()).finalize().into_bytes();
        let [.., last] = digest.0;
        let offset = usize::from(last & 0x0f);
        let word = digest.iter().skip(offset).take(4);
        let mut number = word.fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) & 0x7fff_ffff;
        for digit in code.iter_mut().rev() {
            let [.., last] = (number % 10).to_be_bytes();
            *digit = b'0' + last;
            number /= 10;
        }
        code
    }

    /// The step that this code was made for, if it is within `window` steps of the present one.
    /// All of them are computed, and compared in constant time.
    #[must_use]
    pub fn step_of(&self, code: &[u8], now: u64, window: u8) -> Option<u64> {
        let present = now / STEP;
        let first = present.saturating_sub(window.into());
        let mut found = u64::MAX;
        for step in first..=present.saturating_add(window.into()) {
            let same = self.code(step).as_slice().ct_eq(code);
            found.conditional_assign(&step, same);
        }
        (found != u64::MAX).then_some(found)
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_secs()
}

/// Most steps of a key whose codes are remembered as used: what was used before the last so many
/// logins would come again if the clock were set back by years.
const MEMORY: usize = 1024;

/// Wrong codes that strangers may give for a key while one code is good, however many they are and
/// whatever they say who they are.
const MAX_WRONG: u32 = 5;

/// What is remembered of a key.
#[derive(Debug)]
struct Uses {
    /// Which key.
    name: [u8; 20],
    /// The steps whose codes were accepted, the last one in front.
    used: VecDeque<u64>,
    /// The present step, and how many wrong codes strangers have given in it.
    wrong: (u64, u32),
}

/// The codes that were given for each key.
#[derive(Debug, Default)]
pub struct UsedCodes(Vec<Uses>);

impl UsedCodes {
    fn of(&mut self, key: &Key) -> &mut Uses {
        let name = key.name();
        let known = self.0.iter().position(|uses| uses.name == name);
        let index = known.unwrap_or_else(|| {
            self.0.push(Uses {
                name,
                used: VecDeque::new(),
                wrong: (0, 0),
            });
            self.0.len() - 1
        });
        &mut self.0[index]
    }

    /// May a stranger give a code now? It counts as a wrong one until [`Self::was_right`] takes that
    /// back.
    pub fn begin(&mut self, key: &Key, now: u64) -> bool {
        let uses = self.of(key);
        let step = now / STEP;
        if uses.wrong.0 != step {
            uses.wrong = (step, 0);
        }
        let may = uses.wrong.1 < MAX_WRONG;
        uses.wrong.1 += u32::from(may);
        may
    }

    /// What a stranger has given was right.
    pub fn was_right(&mut self, key: &Key) {
        let uses = self.of(key);
        uses.wrong.1 = uses.wrong.1.saturating_sub(1);
    }

    /// Uses up the code of a step, at whichever socket; false when it was used before (RFC 6238
    /// section 5.2), or one after it was. Only what can be good now (`window` steps after the
    /// present one) counts as after it: what lies further ahead was used before the clock was set
    /// back, and would keep everybody out until the clock is there again.
    pub fn spend(&mut self, key: &Key, step: u64, now: u64, window: u8) -> bool {
        let latest = (now / STEP).saturating_add(window.into());
        let used = &mut self.of(key).used;
        if used
            .iter()
            .any(|used| *used == step || (step..=latest).contains(used))
        {
            return false;
        }
        used.truncate(MEMORY - 1);
        used.push_front(step);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Base32 of `12345678901234567890`, the key of the vectors in RFC 6238, appendix B.
    const RFC: &[u8] = b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn the_vectors_of_the_rfc() {
        let key = Key::read(RFC).unwrap();
        assert_eq!(*key.0, b"12345678901234567890");
        // There with eight digits; ours are the last six.
        for (time, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(key.code(time / STEP).as_slice(), &code.as_bytes()[2..]);
        }
        // Those of RFC 4226, appendix D.
        for (step, code) in ["755224", "287082", "359152", "969429", "338314"]
            .iter()
            .enumerate()
        {
            assert_eq!(key.code(step as u64).as_slice(), code.as_bytes());
        }
    }

    #[test]
    fn keys_as_people_write_them() {
        let key = Key::read(RFC).unwrap();
        for text in [
            "gezdgnbvgy3tqojqgezdgnbvgy3tqojq\n",
            "  GEZD GNBV GY3T QOJQ GEZD-GNBV-GY3T-QOJQ  ",
            "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ====",
        ] {
            assert_eq!(Key::read(text.as_bytes()).unwrap().0, key.0);
        }
        for (text, error) in [
            ("", KeyError::Length),
            ("====", KeyError::Length),
            ("GEZDGNBVGY3TQOJ", KeyError::Length),
            ("GEZDGNBVGY3TQOJ0", KeyError::NotBase32),
            ("GEZDGNBV=GY3TQOJQ", KeyError::NotBase32),
            ("GEZDGNBVGY3TQO\u{e9}", KeyError::NotBase32),
        ] {
            assert_eq!(Key::read(text.as_bytes()).err(), Some(error), "{text}");
        }
        let longest = "A".repeat(205);
        assert_eq!(*Key::read(longest.as_bytes()).unwrap().0, [0; 128]);
        assert!(Key::read(format!("{longest}AA").as_bytes()).is_err());
        assert_eq!(format!("{key:?}"), "<key>");
    }

    #[test]
    fn a_window_has_two_sides() {
        let key = Key::read(RFC).unwrap();
        let now = 1_111_111_111;
        for (ago, window, good) in [
            (0, 0, true),
            (1, 0, false),
            (-1, 0, false),
            (1, 1, true),
            (-1, 1, true),
            (2, 1, false),
            (-2, 1, false),
        ] {
            let step = (now / STEP).wrapping_add_signed(-ago);
            let found = key.step_of(&*key.code(step), now, window);
            assert_eq!(found, good.then_some(step), "{ago} {window}");
        }
        for wrong in [&b""[..], b"05047", b"0504711", b"\xff\xff\xff\xff\xff\xff"] {
            assert_eq!(key.step_of(wrong, now, 1), None);
        }
        // The beginning of time.
        assert_eq!(key.step_of(b"755224", 0, MAX_WINDOW), Some(0));
    }

    #[test]
    fn a_code_is_good_once_and_so_are_those_before_it() {
        let mut used = UsedCodes::default();
        let key = Key::read(RFC).unwrap();
        let again = Key::read(&RFC.to_ascii_lowercase()).unwrap();
        let other = Key::read(b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJA").unwrap();
        let mut spend = |key: &Key, step| used.spend(key, step, 10 * STEP, 1);
        assert!(spend(&key, 10));
        assert!(!spend(&again, 10));
        assert!(!spend(&key, 9));
        assert!(spend(&other, 9));
        assert!(spend(&key, 11));
        assert!(!spend(&again, 10));
    }

    /// A clock that was wrong and is set right: codes of the right time are good, used ones are not,
    /// now or when their time comes (again).
    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out_and_no_code_is_good_twice() {
        let mut used = UsedCodes::default();
        let key = Key::read(RFC).unwrap();
        let mut spend = |step, present: u64| used.spend(&key, step, present * STEP + 7, 1);
        assert!(spend(1000, 1000) && spend(1001, 1001));
        // Back by ten minutes, and then it goes on.
        assert!(spend(981, 981) && !spend(981, 981) && !spend(980, 981));
        assert!(spend(982, 982));
        for present in 983..999 {
            assert!(spend(present, present), "{present}");
        }
        // There one was used that the window lets in already.
        assert!(!spend(999, 999) && !spend(1000, 999) && !spend(1000, 1000) && !spend(1001, 1000));
        assert!(!spend(1001, 1001) && spend(1002, 1001));
        // And however often.
        for _ in 0..3 {
            assert!(!spend(990, 990) && !spend(1002, 1002));
        }
    }

    #[test]
    fn strangers_have_few_tries_for_each_code_of_a_key() {
        let mut used = UsedCodes::default();
        let key = Key::read(RFC).unwrap();
        let other = Key::read(b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJA").unwrap();
        for step in [7, 8, 7] {
            let now = step * STEP;
            for _ in 0..100 {
                assert!(used.begin(&key, now));
                used.was_right(&key);
            }
            for again in 0..100 {
                assert_eq!(
                    used.begin(&key, now + again % STEP),
                    again < MAX_WRONG.into()
                );
            }
            assert!(used.begin(&other, now));
        }
    }

    #[test]
    fn the_memory_of_used_codes_is_bounded() {
        let mut used = UsedCodes::default();
        let key = Key::read(RFC).unwrap();
        for step in 0..5000 {
            assert!(used.spend(&key, step, step * STEP, 0));
        }
        assert_eq!(used.0[0].used.len(), MEMORY);
        assert!(!used.spend(&key, 5000 - MEMORY as u64, 0, 0));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..300), now in any::<u64>()) {
            if let Ok(key) = Key::read(&text) {
                let code = key.code(now / STEP);
                prop_assert!(code.iter().all(u8::is_ascii_digit));
                prop_assert!(key.step_of(&*code, now, MAX_WINDOW).is_some());
            }
        }
    }
}
