//! Codes that are shown on the session's screen.

use ipc::check::{MAX_CODE, Password};
use ipc::spec::Code;
use rustix::rand::{GetRandomFlags, getrandom};
use zeroize::Zeroizing;

/// A new code, of which each letter is as likely as any other.
///
/// # Errors
/// The kernel gives no random bytes.
pub fn draw(kind: Code) -> Result<Password, rustix::io::Errno> {
    let letters = kind.letters.all();
    let count = usize::from(kind.count.min(MAX_CODE));
    // Bytes from here on would make the first letters likelier.
    let even = 256 - 256 % letters.len();
    // It does not grow, so that no copy stays behind.
    let mut code = Password(Vec::with_capacity(count));
    let mut bytes = Zeroizing::new([0; 64]);
    while code.0.len() < count {
        // Up to 256 bytes are never cut short (getrandom(2)).
        getrandom(&mut *bytes, GetRandomFlags::empty())?;
        let drawn = bytes.iter().map(|byte| usize::from(*byte));
        let drawn = drawn.filter(|byte| *byte < even);
        let drawn = drawn.filter_map(|byte| letters.get(byte % letters.len()));
        let missing = count - code.0.len();
        code.0.extend(drawn.take(missing));
    }
    Ok(code)
}

/// Most characters of a name that are shown.
const MAX_NAME: usize = 64;

/// What can be shown of a name that a client says, with U+FFFD in place of what is no printable ASCII.
#[must_use]
pub fn printable(name: &str) -> String {
    let shown = |letter: char| match letter {
        ' '..='~' => letter,
        _ => char::REPLACEMENT_CHARACTER,
    };
    name.chars().take(MAX_NAME).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::spec::Letters;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn every_letter_is_as_likely() {
        for letters in [Letters::Digits, Letters::Alpha, Letters::Alphanumeric] {
            let mut seen = BTreeMap::new();
            let kind = Code { letters, count: 32 };
            for _ in 0..20_000 {
                let code = draw(kind).unwrap();
                assert_eq!(code.0.len(), 32);
                for letter in &code.0 {
                    *seen.entry(*letter).or_insert(0_i64) += 1;
                }
            }
            let all: BTreeSet<u8> = letters.all().iter().copied().collect();
            assert_eq!(all.len(), letters.all().len());
            assert!(seen.keys().eq(&all), "{letters:?}: {seen:?}");
            let mean = 20_000 * 32 / i64::try_from(all.len()).unwrap();
            // Seven standard deviations, so that this fails once in many millions of runs; of bytes modulo 23
            // or 31 some would be 13 off.
            let most = 7 * i64::try_from(mean.unsigned_abs().isqrt()).unwrap();
            for (letter, count) in seen {
                let off = (count - mean).abs();
                assert!(off < most, "{}: {count}, not {mean}", char::from(letter));
            }
        }
    }

    #[test]
    fn a_name_is_what_can_be_shown_of_it() {
        assert_eq!(printable("ann ~!"), "ann ~!");
        assert_eq!(
            printable("\u{202e}a\0\u{7f}\u{e9}"),
            "\u{fffd}a\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(printable(&"x".repeat(100)).len(), MAX_NAME);
    }

    #[test]
    fn codes_have_their_length_and_differ() {
        for count in [1, 6, 31, 32] {
            let kind = Code {
                letters: Letters::Alphanumeric,
                count,
            };
            assert_eq!(draw(kind).unwrap().0.len(), usize::from(count));
        }
        let kind = Code {
            letters: Letters::Digits,
            count: 32,
        };
        assert!(draw(kind).unwrap() != draw(kind).unwrap());
    }
}
