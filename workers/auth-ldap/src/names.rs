//! What the client says becomes the name of an entry (RFC 4514), and nothing that it says changes
//! the shape of that.

use std::fmt::Write;
use zeroize::Zeroizing;

/// Why no entry can have this name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// The client has not said one.
    #[error("the client says no user name")]
    Empty,
    /// A zero, a line end or the like.
    #[error("the user name holds what no name has")]
    Control,
    /// Such as a server does not count (RFC 4518, section 2.6.1): guesses are counted by name, so they would be more.
    #[error("the user name has spaces around it, two together, or of another kind")]
    Spaces,
    /// `%domain` in the format, and none in the name.
    #[error("the user name has no domain (name@domain), which username_format= needs")]
    NoDomain,
}

/// A user name that may be looked for.
///
/// # Errors
/// [`BadName`].
pub fn sane(username: &str) -> Result<&str, BadName> {
    match username {
        "" => Err(BadName::Empty),
        name if name.contains(char::is_control) => Err(BadName::Control),
        name if name.trim() != name || name.contains("  ") => Err(BadName::Spaces),
        name if name.contains(|c: char| c.is_whitespace() && c != ' ') => Err(BadName::Spaces),
        name => Ok(name),
    }
}

/// The name to bind as: the format with `%username`, and `%domain`, which is what follows the
/// last `@` of the user's name.
///
/// # Errors
/// [`BadName`].
pub fn entry(format: &str, username: &str) -> Result<String, BadName> {
    let username = sane(username)?;
    let (user, domain) = match format.contains("%domain") {
        false => (username, ""),
        true => match username.rsplit_once('@') {
            Some((user, domain)) if !user.is_empty() && !domain.is_empty() => {
                (sane(user)?, sane(domain)?)
            }
            _ => return Err(BadName::NoDomain),
        },
    };
    // Not every server wants the name of an entry (`user@domain` of Active Directory): there is
    // nothing to escape from in such a text.
    let is_name = format.contains('=');
    let value = |text: &str| match is_name {
        true => escape(text),
        false => text.to_owned(),
    };
    // In one pass: a user may be called `%domain`.
    let mut name = String::new();
    let mut rest = format;
    while let Some(start) = rest.find('%') {
        let (before, from) = rest.split_at(start);
        name.push_str(before);
        rest = if let Some(after) = from.strip_prefix("%username") {
            name.push_str(&value(user));
            after
        } else if let Some(after) = from.strip_prefix("%domain") {
            name.push_str(&value(domain));
            after
        } else {
            name.push('%');
            &from[1..]
        };
    }
    Ok(name + rest)
}

/// A value in the name of an entry (RFC 4514, section 2.4): every character that means something
/// there, anywhere, is written as its bytes in hex.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let at_end = at == 0 || at + c.len_utf8() == text.len();
        if ",+\"\\<>;=#".contains(c) || (c == ' ' && at_end) {
            // Writing to a string does not fail. All of these are one byte.
            let _ = write!(escaped, "\\{:02x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// An entry that does not exist, for those who are not found: they cost the server, and time, what
/// a wrong password does.
#[must_use]
pub fn nobody(base: &str) -> String {
    format!("cn=bulkhead-nobody,{base}")
}

/// The password as LDAP wants it (UTF-8). A client sends the characters of a typed one as latin1,
/// and the bytes of a file as they are (protocol "Exact computation").
#[must_use]
pub fn password(bytes: &[u8]) -> Zeroizing<String> {
    // Enough for both: a text that grows leaves a copy behind.
    let mut password = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    match std::str::from_utf8(bytes) {
        Ok(text) => password.push_str(text),
        Err(_) => password.extend(bytes.iter().copied().map(char::from)),
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_put_in_and_escaped() {
        for (format, username, expected) in [
            ("cn=%username, o=%domain", "me@acme", "cn=me, o=acme"),
            ("uid=%username,dc=x", "me@acme", "uid=me@acme,dc=x"),
            ("uid=%username,dc=x", "a,dc=y", r"uid=a\2cdc\3dy,dc=x"),
            ("uid=%username,dc=x", "a+b=c", r"uid=a\2bb\3dc,dc=x"),
            ("uid=%username,dc=x", "a b", r"uid=a b,dc=x"),
            ("uid=%username,dc=x", "#a", r"uid=\23a,dc=x"),
            ("%username", "me@acme", "me@acme"),
            ("%username@%domain", "me@acme", "me@acme"),
            ("cn=%username,o=%domain", "%domain@x", "cn=%domain,o=x"),
            ("100%,uid=%username", "a", "100%,uid=a"),
        ] {
            assert_eq!(entry(format, username).as_deref(), Ok(expected));
        }
        for (username, why) in [
            ("", BadName::Empty),
            ("a\0b", BadName::Control),
            ("a\nb", BadName::Control),
            ("me", BadName::NoDomain),
            ("me@", BadName::NoDomain),
            ("@acme", BadName::NoDomain),
            (" me@acme", BadName::Spaces),
            ("me@acme ", BadName::Spaces),
            ("me @acme", BadName::Spaces),
            ("me@ acme", BadName::Spaces),
            ("m  e@acme", BadName::Spaces),
            ("m\u{a0}e@acme", BadName::Spaces),
        ] {
            assert_eq!(entry("cn=%username, o=%domain", username), Err(why));
        }
    }

    #[test]
    fn passwords_are_utf8() {
        assert_eq!(*password("schlüssel".as_bytes()), "schlüssel");
        assert_eq!(*password(b"schl\xfcssel"), "schlüssel");
    }

    proptest! {
        /// Whatever the client says, the name has as many parts as its format.
        #[test]
        fn no_user_name_adds_a_part(username in "[^\\x00-\\x1f\\x7f-\\u{9f}]{1,40}") {
            let username = format!("<{}>", username.replace("  ", " "));
            prop_assume!(sane(&username).is_ok());
            let name = entry("uid=%username,ou=people", &username).unwrap();
            let inner = name.strip_prefix("uid=").unwrap().strip_suffix(",ou=people").unwrap();
            let mut bytes = inner.bytes();
            while let Some(byte) = bytes.next() {
                match byte {
                    b'\\' => { bytes.next(); }
                    b',' | b'+' | b'"' | b'<' | b'>' | b';' | b'=' => panic!("{name}"),
                    _ => {}
                }
            }
        }
    }
}
