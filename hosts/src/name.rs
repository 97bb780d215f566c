//! The names of machines, as far as rules may go by them.

use std::fmt;

/// The longest name, in characters, and the longest of its parts.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// What tcp-wrappers have in the place of a name that is not there, and of one that is not believed. They
/// compare these texts with patterns as they do names; here no machine is called that.
pub(crate) const UNKNOWN: &str = "unknown";
pub(crate) const PARANOID: &str = "paranoid";

/// The name of a machine: letters, digits, hyphens and underscores, with dots between, and no
/// address. In lower case, because names that differ in that only are one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Reads one, without the dot of the root at its end.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let name = text.to_ascii_lowercase();
        let is_word = ![UNKNOWN, PARANOID].contains(&name.as_str());
        // No top-level domain is a number, and an address must not be a name.
        let (_, last) = name.rsplit_once('.').unwrap_or(("", &name));
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
        let good = name.len() <= MAX_NAME && name.split('.').all(is_label);
        (good && is_word && !is_number).then_some(Self(name))
    }

    /// It, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(good)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// What is known of the name of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// This one, which has that address.
    Name(Name),
    /// It has none.
    Unknown,
    /// It has one that cannot be believed: that name has not this address, or is no name of a machine.
    Paranoid,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_of_machines() {
        let long = format!("{}.org", "a".repeat(63));
        for text in [
            "a",
            "a.b",
            "A_b-c.1.example",
            "1e100.net",
            "xn--bcher-kva.example",
            &long,
        ] {
            let name = Name::new(text).unwrap();
            assert_eq!(name.as_str(), text.to_ascii_lowercase());
        }
        let (wide, total) = (format!("{}.org", "a".repeat(64)), ["abc"; 64].join("."));
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a\0",
            "b\u{fc}cher.example",
            "*.example",
            "a?",
            "-a.example",
            "a-.example",
            "10.0.0.1",
            "a.1",
            "1",
            "::1",
            "unknown",
            "Paranoid",
            "a:b",
            "a@b",
            "a/b",
            "[a]",
            "a\\b",
            &wide,
            &total,
        ] {
            assert_eq!(Name::new(text), None, "{text:?}");
        }
    }
}
