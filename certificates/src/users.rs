//! Whose certificate is whose: a line for each, `USER|KIND:VALUE`.

use crate::Leaf;
use crate::names::Alternative;
use std::collections::BTreeSet;
use std::fmt;

/// Longest such file, in bytes.
pub const MAX_USERS: u64 = 64 * 1024;
/// Longest name of a user, in bytes.
const MAX_NAME: usize = 256;
/// Most lines that say something.
const MAX_LINES: usize = 4096;

/// What a certificate has to be to be somebody's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Is {
    /// This one.
    Fingerprint([u8; 32]),
    /// One with this subject.
    Subject(String),
    /// One with this machine's name.
    Machine(String),
    /// One with this address of mail.
    Mail(String),
}

/// A file of these lines.
#[derive(Clone, PartialEq, Eq)]
pub struct Users(Vec<(String, Is)>);

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} lines>", self.0.len())
    }
}

/// A line that is none, by its number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Nobody's.
    #[error("no user in the whole file")]
    Empty,
    /// Half a file: who knows what the line was to say.
    #[error("the last line has no end: is the file whole?")]
    Unended,
    /// More than there is room for.
    #[error("more than {MAX_LINES} lines")]
    Long,
    /// What is wrong with this one.
    #[error("line {0}: {1}")]
    Line(usize, &'static str),
}

/// It is more than one user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

impl Users {
    /// Reads a file.
    ///
    /// # Errors
    /// The first [`Mistake`].
    pub fn read(text: &[u8]) -> Result<Self, Mistake> {
        let mut users: Vec<(String, Is)> = Vec::new();
        let mut known = BTreeSet::new();
        if !text.is_empty() && !text.ends_with(b"\n") {
            return Err(Mistake::Unended);
        }
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let at = |what| Mistake::Line(number + 1, what);
            let line = std::str::from_utf8(line.trim_ascii()).map_err(|_| at("not UTF-8"))?;
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (user, rule) = line.split_once('|').ok_or_else(|| {
                at("not USER|fingerprint:HEX, USER|subject:NAME or USER|san:NAME")
            })?;
            let user = user.trim();
            if user.is_empty() || user.len() > MAX_NAME || user.contains(char::is_control) {
                return Err(at("no user before `|`, or one of more than 256 bytes"));
            }
            let is = Is::read(rule.trim()).map_err(at)?;
            if !known.insert(is.clone()) {
                return Err(at("the same certificate is in a line before"));
            }
            if users.len() >= MAX_LINES {
                return Err(Mistake::Long);
            }
            users.push((user.to_owned(), is));
        }
        match users.is_empty() {
            true => Err(Mistake::Empty),
            false => Ok(Self(users)),
        }
    }

    /// Whose certificate this is, if it is somebody's.
    ///
    /// # Errors
    /// It fits lines of several users.
    pub fn user(&self, leaf: &Leaf<'_>) -> Result<Option<&str>, Ambiguous> {
        let fingerprint = leaf.fingerprint();
        let subject = leaf.subject();
        let alternatives = leaf.alternatives();
        let fits = |is: &Is| {
            match is {
            Is::Fingerprint(wanted) => *wanted == fingerprint,
            Is::Subject(wanted) => subject.as_ref() == Some(wanted),
            Is::Machine(wanted) => alternatives.iter().any(|name| {
                matches!(name, Alternative::Machine(name) if name.eq_ignore_ascii_case(wanted))
            }),
            Is::Mail(wanted) => alternatives
                .iter()
                .any(|name| matches!(name, Alternative::Mail(name) if name == wanted)),
        }
        };
        let mut found: Option<&str> = None;
        for (user, _) in self.0.iter().filter(|(_, is)| fits(is)) {
            match found {
                Some(other) if other != user => return Err(Ambiguous),
                _ => found = Some(user),
            }
        }
        Ok(found)
    }
}

impl Is {
    fn read(rule: &str) -> Result<Self, &'static str> {
        let (kind, value) = rule
            .split_once(':')
            .ok_or("after `|`: not fingerprint:HEX, subject:NAME or san:NAME")?;
        let value = value.trim();
        if value.is_empty() {
            return Err("nothing after `:`");
        }
        match kind {
            "fingerprint" => {
                let digits: Vec<u32> = value
                    .chars()
                    .filter(|c| *c != ':')
                    .map(|c| c.to_digit(16))
                    .collect::<Option<_>>()
                    .unwrap_or_default();
                let byte = |pair: &[u32]| match pair {
                    [high, low] => u8::try_from(high << 4 | low).ok(),
                    _ => None,
                };
                let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
                let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
                bytes
                    .map(Self::Fingerprint)
                    .ok_or("the fingerprint is not the 64 digits of SHA-256")
            }
            "subject" => match value.chars().all(|c| matches!(c, ' '..='~')) {
                true => Ok(Self::Subject(value.to_owned())),
                false => {
                    Err("write the subject as `openssl x509 -noout -subject -nameopt RFC2253`")
                }
            },
            "san" if value.contains('*') => Err("a name with `*` is no one's"),
            "san" if value.contains('@') => Ok(Self::Mail(value.to_owned())),
            "san" => Ok(Self::Machine(value.to_ascii_lowercase())),
            _ => Err("after `|`: not fingerprint:HEX, subject:NAME or san:NAME"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate() -> Vec<u8> {
        let mut params = CertificateParams::new(["A.x.org".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "ann");
        let mail = "ann@x.org".try_into().unwrap();
        params.subject_alt_names.push(SanType::Rfc822Name(mail));
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_is_one_users_or_nobodys() {
        let der = certificate();
        let leaf = Leaf::read(&der).unwrap();
        let hex = leaf.fingerprint_text();
        let colons: Vec<_> = hex
            .as_bytes()
            .chunks(2)
            .map(|c| std::str::from_utf8(c).unwrap())
            .collect();
        let colons = colons.join(":").to_uppercase();
        for (text, expected) in [
            (
                format!("# who\n\nann | fingerprint: {hex}\r\n"),
                Ok(Some("ann")),
            ),
            (format!("ann|fingerprint:{colons}"), Ok(Some("ann"))),
            ("ann|subject:CN=ann".into(), Ok(Some("ann"))),
            ("ann|san:a.X.org".into(), Ok(Some("ann"))),
            ("ann|san:ann@x.org".into(), Ok(Some("ann"))),
            ("ann|san:Ann@x.org".into(), Ok(None)),
            ("ann|san:x.org".into(), Ok(None)),
            ("ann|san:ann".into(), Ok(None)),
            ("ann|subject:CN=an".into(), Ok(None)),
            ("ann|subject:cn=ann".into(), Ok(None)),
            (format!("ann|fingerprint:{}", "0".repeat(64)), Ok(None)),
            (
                "ann|san:a.x.org\nann|subject:CN=ann".into(),
                Ok(Some("ann")),
            ),
            ("ann|san:a.x.org\nbob|subject:CN=ann".into(), Err(Ambiguous)),
            (
                "bob|san:b.x.org\nann|subject:CN=ann".into(),
                Ok(Some("ann")),
            ),
        ] {
            let users = Users::read(format!("{text}\n").as_bytes()).unwrap();
            assert_eq!(users.user(&leaf), expected, "{text}");
        }
    }

    #[test]
    fn a_mistake_is_said_by_its_line() {
        let zeros = "0".repeat(63);
        for (text, part) in [
            ("", "no user in the whole file"),
            ("# ann|subject:CN=ann", "no user in the whole file"),
            ("\nann", "line 2: not USER|"),
            ("|subject:CN=ann", "line 1: no user before"),
            ("ann|CN=ann", "line 1: after `|`"),
            ("ann|issuer:CN=ann", "line 1: after `|`"),
            ("ann|subject:", "line 1: nothing after"),
            ("ann|subject:CN=\u{e9}", "line 1: write the subject as"),
            ("ann|san:*.x.org", "is no one's"),
            (&format!("ann|fingerprint:{zeros}"), "64 digits"),
            (&format!("ann|fingerprint:{zeros}x"), "64 digits"),
            ("ann|san:x\nbob|san:X", "line 2: the same certificate"),
            ("ann|san:x\nann|san:x", "line 2: the same certificate"),
        ] {
            let text = format!("{text}\n");
            let error = Users::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(Users::read(b"ann|san:\xff\n").is_err());
        // Whoever is being written.
        let half = Users::read(b"bob|san:x\nann|subject:CN=ann");
        assert_eq!(half, Err(Mistake::Unended));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Users::read(&bytes);
        }
    }
}
