//! An American keyboard: its keys, and what to press for a character.

use wire::hello::Keycode;

/// A key with the modifier that a character needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPress {
    /// X11 keysym name.
    pub keysym: String,
    /// X11 keysym number.
    pub keyval: u32,
    /// X11 key code.
    pub keycode: u32,
    /// Shift must be held.
    pub shift: bool,
    /// The text that it makes.
    pub text: String,
}

/// X11 key code of the first key in a row, and the characters without and with shift.
const ROWS: [(u32, &str, &str); 5] = [
    (10, "1234567890-=", "!@#$%^&*()_+"),
    (24, "qwertyuiop[]", "QWERTYUIOP{}"),
    (38, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
    (51, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (65, " ", " "),
];

/// Names of keysyms that are not the character itself.
const NAMES: [(char, &str); 33] = [
    (' ', "space"),
    ('!', "exclam"),
    ('@', "at"),
    ('#', "numbersign"),
    ('$', "dollar"),
    ('%', "percent"),
    ('^', "asciicircum"),
    ('&', "ampersand"),
    ('*', "asterisk"),
    ('(', "parenleft"),
    (')', "parenright"),
    ('-', "minus"),
    ('_', "underscore"),
    ('=', "equal"),
    ('+', "plus"),
    ('[', "bracketleft"),
    (']', "bracketright"),
    ('{', "braceleft"),
    ('}', "braceright"),
    (';', "semicolon"),
    (':', "colon"),
    ('\'', "apostrophe"),
    ('"', "quotedbl"),
    ('`', "grave"),
    ('~', "asciitilde"),
    ('\\', "backslash"),
    ('|', "bar"),
    (',', "comma"),
    ('<', "less"),
    ('.', "period"),
    ('>', "greater"),
    ('/', "slash"),
    ('?', "question"),
];

/// Keys that make no printable character: name, keysym, key code.
const OTHERS: [(&str, u32, u32); 13] = [
    ("Escape", 0xff1b, 9),
    ("BackSpace", 0xff08, 22),
    ("Tab", 0xff09, 23),
    ("Return", 0xff0d, 36),
    ("Control_L", 0xffe3, 37),
    ("Shift_L", 0xffe1, 50),
    ("Shift_R", 0xffe2, 62),
    ("Alt_L", 0xffe9, 64),
    ("Caps_Lock", 0xffe5, 66),
    ("Up", 0xff52, 111),
    ("Left", 0xff51, 113),
    ("Right", 0xff53, 114),
    ("Down", 0xff54, 116),
];

fn name(c: char) -> String {
    let known = NAMES.iter().find(|(named, _)| *named == c);
    known.map_or_else(|| c.to_string(), |(_, name)| (*name).to_owned())
}

/// What to press for a character; `\n`, `\t`, backspace and escape too.
#[must_use]
pub fn press_of(c: char) -> Option<KeyPress> {
    let other = match c {
        '\n' => "Return",
        '\t' => "Tab",
        '\u{8}' => "BackSpace",
        '\u{1b}' => "Escape",
        _ => "",
    };
    if let Some(press) = named(other) {
        return Some(press);
    }
    ROWS.iter().find_map(|(first, plain, shifted)| {
        let place = |keys: &str| keys.chars().position(|key| key == c);
        let (index, shift) = place(plain)
            .map(|i| (i, false))
            .or(place(shifted).map(|i| (i, true)))?;
        Some(KeyPress {
            keysym: name(c),
            keyval: c.into(),
            keycode: first + u32::try_from(index).ok()?,
            shift,
            text: c.to_string(),
        })
    })
}

/// A key by the name of its keysym: `Return`, `Left`, `Control_L` …
#[must_use]
pub fn named(keysym: &str) -> Option<KeyPress> {
    let (name, keyval, keycode) = OTHERS.iter().find(|(name, ..)| *name == keysym)?;
    let text = match keysym {
        "Return" => "\r",
        "Tab" => "\t",
        _ => "",
    };
    Some(KeyPress {
        keysym: (*name).into(),
        keyval: *keyval,
        keycode: *keycode,
        shift: false,
        text: text.into(),
    })
}

/// The keyboard as a client tells it.
#[must_use]
pub fn keycodes() -> Vec<Keycode> {
    let characters = ROWS
        .iter()
        .flat_map(|(_, plain, shifted)| plain.chars().chain(shifted.chars()));
    let presses = characters.filter_map(press_of);
    presses
        .chain(OTHERS.iter().filter_map(|(name, ..)| named(name)))
        .map(|press| Keycode {
            keyval: press.keyval,
            keysym: press.keysym,
            keycode: press.keycode,
            group: 0,
            level: u8::from(press.shift),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_character_has_a_key() {
        for c in ' '..='~' {
            let press = press_of(c).unwrap();
            assert_eq!((press.text, press.keyval), (c.to_string(), c.into()));
        }
        assert_eq!(press_of('e').unwrap().keycode, 26);
        assert_eq!(
            press_of('H').map(|p| (p.keycode, p.shift)),
            Some((43, true))
        );
        assert_eq!(press_of('\n').unwrap().keysym, "Return");
        assert!(press_of('é').is_none());
        assert!(keycodes().len() > 100);
    }
}
