//! The names in a certificate.
//!
//! A subject is one text, so that it can be compared with what an operator wrote: that of RFC 4514 as
//! `openssl x509 -subject -nameopt RFC2253` prints it. Names with the same text are the same but for how
//! their texts are encoded, and there is nothing but printable ASCII in it.

use crate::der::Der;
use std::fmt::Write;

/// Most attributes in one name.
const MAX_ATTRIBUTES: usize = 64;

/// The attributes that have a short name: as openssl calls them.
const SHORT: [(&str, &[u8]); 15] = [
    ("CN", &[0x55, 4, 3]),
    ("SN", &[0x55, 4, 4]),
    ("serialNumber", &[0x55, 4, 5]),
    ("C", &[0x55, 4, 6]),
    ("L", &[0x55, 4, 7]),
    ("ST", &[0x55, 4, 8]),
    ("street", &[0x55, 4, 9]),
    ("O", &[0x55, 4, 10]),
    ("OU", &[0x55, 4, 11]),
    ("title", &[0x55, 4, 12]),
    ("GN", &[0x55, 4, 42]),
    ("initials", &[0x55, 4, 43]),
    (
        "emailAddress",
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1],
    ),
    (
        "UID",
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1],
    ),
    (
        "DC",
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
    ),
];

/// A name (`RDNSequence`, without its own tag) as one text; `None` when it is none.
pub fn text(name: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut count = 0_usize;
    let mut rest = Der(name);
    while !rest.0.is_empty() {
        let mut part = String::new();
        let mut attributes = rest.take(Der::SET)?;
        while !attributes.0.is_empty() {
            count += 1;
            if count > MAX_ATTRIBUTES {
                return None;
            }
            if !part.is_empty() {
                part.push('+');
            }
            attribute(attributes.take(Der::SEQUENCE)?, &mut part)?;
        }
        parts.push(part);
    }
    parts.reverse();
    Some(parts.join(","))
}

fn attribute(mut of: Der<'_>, into: &mut String) -> Option<()> {
    let object = of.take(Der::OBJECT)?.0;
    let (tag, value, whole) = of.any()?;
    if !of.0.is_empty() {
        return None;
    }
    let short = SHORT.iter().find(|(_, known)| *known == object);
    match short {
        Some((name, _)) => into.push_str(name),
        None => into.push_str(&dotted(object)?),
    }
    into.push('=');
    let readable = [Der::UTF8, Der::PRINTABLE, Der::IA5].contains(&tag);
    match std::str::from_utf8(value.0) {
        Ok(value) if readable && short.is_some() => escape(value.as_bytes(), into),
        _ => {
            into.push('#');
            for byte in whole {
                let _ = write!(into, "{byte:02X}");
            }
        }
    }
    Some(())
}

/// RFC 4514, section 2.4; what is not ASCII is escaped as well.
fn escape(value: &[u8], into: &mut String) {
    let last = value.len().saturating_sub(1);
    for (place, byte) in value.iter().enumerate() {
        let special = match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => true,
            b'#' => place == 0,
            b' ' => place == 0 || place == last,
            _ => false,
        };
        match byte {
            _ if special => into.extend(['\\', char::from(*byte)]),
            0x20..=0x7e => into.push(char::from(*byte)),
            _ => {
                let _ = write!(into, "\\{byte:02X}");
            }
        }
    }
}

/// An object identifier in numbers.
fn dotted(object: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut number = 0_u64;
    let mut complete = false;
    for byte in object {
        number = number
            .checked_mul(128)?
            .checked_add(u64::from(byte & 0x7f))?;
        complete = byte & 0x80 == 0;
        if complete {
            match text.is_empty() {
                true => {
                    let first = (number / 40).min(2);
                    let _ = write!(text, "{first}.{}", number - first * 40);
                }
                false => {
                    let _ = write!(text, ".{number}");
                }
            }
            number = 0;
        }
    }
    complete.then_some(text)
}

/// A text from a certificate for the log: bounded, in quotes, and nothing but printable ASCII.
#[must_use]
pub fn shown(text: &str) -> String {
    const MAX: usize = 200;
    let end = text.floor_char_boundary(MAX);
    let more = if end < text.len() { "…" } else { "" };
    let plain: String = text
        .get(..end)
        .unwrap_or_default()
        .chars()
        .map(|c| {
            if matches!(c, ' '..='~') && c != '`' {
                c
            } else {
                '?'
            }
        })
        .collect();
    format!("`{plain}{more}`")
}

/// A name beside the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alternative<'c> {
    /// A machine (`dNSName`).
    Machine(&'c str),
    /// An address of mail (`rfc822Name`).
    Mail(&'c str),
}

/// The names beside the subject (RFC 5280, section 4.2.1.6: what is in the extension).
pub fn alternatives(extension: &[u8]) -> Option<Vec<Alternative<'_>>> {
    const MAIL: u8 = 0x81;
    const MACHINE: u8 = 0x82;
    let mut names = Der(extension).take(Der::SEQUENCE)?;
    let mut found = Vec::new();
    while !names.0.is_empty() {
        let (tag, content, _) = names.any()?;
        let Ok(text) = std::str::from_utf8(content.0) else {
            continue;
        };
        match tag {
            MAIL => found.push(Alternative::Mail(text)),
            MACHINE => found.push(Alternative::Machine(text)),
            _ => {}
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = u8::try_from(content.len()).unwrap();
        [&[tag, len], content].concat()
    }

    fn part(object: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        let pair = [element(Der::OBJECT, object), element(tag, value)].concat();
        element(Der::SEQUENCE, &pair)
    }

    fn one(object: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        element(Der::SET, &part(object, tag, value))
    }

    const CN: &[u8] = &[0x55, 4, 3];
    const O: &[u8] = &[0x55, 4, 10];

    #[test]
    fn a_subject_is_one_text_and_another_is_another() {
        let name = [one(O, Der::UTF8, b"x"), one(CN, Der::PRINTABLE, b"ann")].concat();
        assert_eq!(text(&name).unwrap(), "CN=ann,O=x");
        let set = [part(CN, Der::UTF8, b"a"), part(O, Der::UTF8, b"b")].concat();
        assert_eq!(text(&element(Der::SET, &set)).unwrap(), "CN=a+O=b");
        for (value, shown) in [
            (&b"ann,O=x"[..], "CN=ann\\,O=x"),
            (b" a ", "CN=\\ a\\ "),
            (b"#a", "CN=\\#a"),
            (b"a\\#", "CN=a\\\\#"),
            (b"a\nb\0", "CN=a\\0Ab\\00"),
            ("\u{e9}".as_bytes(), "CN=\\C3\\A9"),
            (b"", "CN="),
            (b"\xff", "CN=#0C01FF"),
        ] {
            assert_eq!(text(&one(CN, Der::UTF8, value)).unwrap(), shown);
        }
        // Texts of other kinds, and attributes that nobody knows.
        assert_eq!(text(&one(CN, 0x1e, b"\0a")).unwrap(), "CN=#1E020061");
        let other = one(&[0x2a, 0x86, 0x48, 3], Der::UTF8, b"a");
        assert_eq!(text(&other).unwrap(), "1.2.840.3=#0C0161");
        assert_eq!(text(&[]).unwrap(), "");
        let many = one(CN, Der::UTF8, b"a").repeat(MAX_ATTRIBUTES + 1);
        for bad in [&many[..], &[0x31, 5, 1], &one(&[0x80], Der::UTF8, b"a")] {
            assert_eq!(text(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_shown_is_short_and_printable() {
        assert_eq!(shown("a`b\n\u{e9}"), "`a?b??`");
        let long = shown(&"x".repeat(1000));
        assert!(long.len() < 220 && long.ends_with("…`"), "{long}");
    }

    #[test]
    fn names_beside_the_subject() {
        let names = [
            element(0x81, b"ann@x.org"),
            element(0x82, b"a.x.org"),
            element(0x87, &[127, 0, 0, 1]),
            element(0x82, b"\xff"),
        ];
        let extension = element(Der::SEQUENCE, &names.concat());
        assert_eq!(
            alternatives(&extension).unwrap(),
            [
                Alternative::Mail("ann@x.org"),
                Alternative::Machine("a.x.org")
            ]
        );
        assert_eq!(alternatives(b"\x30\x05\x81"), None);
    }
}
