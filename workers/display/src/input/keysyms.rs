//! Names and numbers of keysyms (X11/keysymdef.h, X11/XF86keysym.h).

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// `name hexadecimal-number` per line, sorted by name.
static TABLE: &str = include_str!("keysyms.txt");

/// Largest keysym there is (X11 protocol: 29 bits).
const MAX: u32 = 0x1fff_ffff;

/// Unicode keysyms are the code point above this.
const UNICODE: u32 = 0x0100_0000;

/// The line that holds byte `at`, with where it starts and ends.
fn line(at: usize) -> (usize, usize) {
    let bytes = TABLE.as_bytes();
    let start = bytes[..at]
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |p| p + 1);
    let end = bytes[at..]
        .iter()
        .position(|b| *b == b'\n')
        .map_or(bytes.len(), |p| at + p);
    (start, end)
}

fn entry(text: &'static str) -> Option<(&'static str, u32)> {
    let (name, number) = text.split_once(' ')?;
    Some((name, u32::from_str_radix(number, 16).ok()?))
}

fn in_table(name: &str) -> Option<u32> {
    let (mut low, mut high) = (0, TABLE.len());
    while low < high {
        let (start, end) = line(low + (high - low) / 2);
        let (found, number) = entry(&TABLE[start..end])?;
        match found.cmp(name) {
            std::cmp::Ordering::Equal => return Some(number),
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    None
}

/// The keysym of a character.
fn of_char(c: char) -> Option<u32> {
    match u32::from(c) {
        code @ (0x20..=0x7e | 0xa0..=0xff) => Some(code),
        0..=0xff => None,
        code => Some(UNICODE | code),
    }
}

/// The keysym with this name: a name of the table, `U` and a code point (`U20AC`), a number
/// (`0x1008ff13`) or a single character.
#[must_use]
pub fn from_name(name: &str) -> Option<u32> {
    if let Some(number) = in_table(name) {
        return Some(number);
    }
    let hex = |digits: &str| {
        let plain =
            (3..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        plain
            .then(|| u32::from_str_radix(digits, 16).ok())
            .flatten()
    };
    if let Some(code) = name.strip_prefix('U').and_then(hex) {
        return char::from_u32(code).and_then(of_char);
    }
    if let Some(number) = name.strip_prefix("0x").and_then(hex) {
        return valid(number);
    }
    let mut chars = name.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => of_char(c),
        _ => None,
    }
}

/// The number itself if a keysym can have it.
#[must_use]
pub const fn valid(number: u32) -> Option<u32> {
    if number == 0 || number > MAX {
        None
    } else {
        Some(number)
    }
}

/// The first name of each keysym of the table. A client's keyboard asks for thousands of them.
static NAMES: LazyLock<BTreeMap<u32, &'static str>> = LazyLock::new(|| {
    let entries = TABLE.lines().rev().filter_map(entry);
    entries.map(|(name, number)| (number, name)).collect()
});

/// A name of this keysym.
#[must_use]
pub fn name(keysym: u32) -> Option<&'static str> {
    NAMES.get(&keysym).copied()
}

/// Are these the small and the capital form of one letter?
#[must_use]
pub fn is_case_pair(small: u32, capital: u32) -> bool {
    if small == capital {
        return false;
    }
    let unicode = |k: u32| k.checked_sub(UNICODE).and_then(char::from_u32);
    if let (Some(s), Some(c)) = (unicode(small), unicode(capital)) {
        return s.to_uppercase().eq([c]);
    }
    match (small, capital) {
        (0x61..=0x7a | 0xe0..=0xf6 | 0xf8..=0xfe, _) => small - 0x20 == capital,
        (0x20..=0xff, _) => small == 0xff && capital == 0x13be, // ydiaeresis
        // Letters of the other tables have names that differ in case only.
        (0x100..=0x1fff, 0x100..=0x1fff) => match (name(small), name(capital)) {
            (Some(s), Some(c)) => s.eq_ignore_ascii_case(c),
            _ => false,
        },
        _ => false,
    }
}

/// Is this a key of the numeric keypad, whose meaning Num Lock changes?
#[must_use]
pub const fn is_keypad(keysym: u32) -> bool {
    matches!(keysym, 0xff80..=0xffbd | 0x1100_0000..=0x1100_ffff)
}

/// Does the key change other keys (Shift, Control, the locks …)?
#[must_use]
pub const fn is_modifier(keysym: u32) -> bool {
    matches!(keysym, 0xffe1..=0xffee | 0xfe01..=0xfe13 | 0xff7e | 0xff7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_table_is_found() {
        let mut before = "";
        for text in TABLE.lines() {
            let (found, number) = entry(text).unwrap();
            assert!(before < found, "{before} {found}");
            assert_eq!(from_name(found), Some(number), "{found}");
            before = found;
        }
    }

    #[test]
    fn names_that_are_not_in_the_table() {
        assert_eq!(from_name("U20AC"), Some(0x0100_20ac));
        assert_eq!(from_name("U00e9"), Some(0xe9));
        assert_eq!(from_name("U"), Some(u32::from(b'U')));
        assert_eq!(from_name("é"), Some(0xe9));
        assert_eq!(from_name("0x1008ff13"), Some(0x1008_ff13));
        for wrong in [
            "",
            "0x",
            "U110000",
            "UD800",
            "0xffffffffff",
            "Escapé",
            "U0007",
            "NoSuchKey",
        ] {
            assert_eq!(from_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_of_numbers() {
        assert_eq!(name(0xffe1), Some("Shift_L"));
        assert_eq!(name(0xe9), Some("eacute"));
        assert_eq!(name(0x0fff_fff0), None);
    }

    #[test]
    fn small_and_capital() {
        let pair = |s, c| is_case_pair(from_name(s).unwrap(), from_name(c).unwrap());
        assert!(pair("a", "A") && pair("eacute", "Eacute") && pair("Cyrillic_es", "Cyrillic_ES"));
        assert!(pair("scaron", "Scaron") && pair("U03b1", "U0391"));
        assert!(!pair("1", "exclam") && !pair("A", "a") && !pair("division", "multiply"));
        assert!(!pair("a", "a") && !pair("Escape", "Escape"));
    }
}
