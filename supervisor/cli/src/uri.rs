//! Where a database is, in one text, as SQLAlchemy has it: `DIALECT+DRIVER://USER:PASSWORD@HOST:PORT/DATABASE`.

use crate::hidden::Hidden;
use std::ops::Range;
use zeroize::Zeroizing;

/// The parts of such a text, with what is percent-encoded decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Uri {
    /// The kind of database, without the driver, which is a library's.
    pub scheme: String,
    /// As whom; empty if nobody is named.
    pub user: String,
    /// With which password.
    pub password: Option<Hidden<String>>,
    /// Where; empty if nothing is named. Without the brackets of IPv6.
    pub host: String,
    /// At which port.
    pub port: Option<u16>,
    /// What comes after the `/`.
    pub database: String,
}

impl Uri {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong, without the text, in which a password may be.
    pub fn read(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("is no DIALECT://…")?;
        let scheme = scheme.split('+').next().unwrap_or_default();
        if text.contains(['?', '#']) {
            return Err("has options of a driver (`?`), which are not built");
        }
        if text.chars().any(|c| c.is_control() || c == ' ') {
            return Err("has spaces or control characters");
        }
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match user.split_once(':') {
            Some((user, password)) => (user, Some(Hidden::new(decoded(password)?))),
            None => (user, None),
        };
        let (host, port) = match place.strip_prefix('[').and_then(|it| it.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (
                host,
                Some(port.strip_prefix(':').ok_or("has no such host")?),
            ),
            None => match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            },
        };
        let port = match port.map(str::parse) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err("has a port that is no number from 1 to 65535"),
        };
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            user: decoded(user)?,
            password,
            host: decoded(host)?,
            port,
            database: decoded(database)?,
        })
    }
}

fn decoded(text: &str) -> Result<String, &'static str> {
    const WRONG: &str = "has a `%` that is not followed by the two digits of a byte of UTF-8";
    // No growing, which would leave copies of a password behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digits = rest
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits
            .filter(|digits| !digits.starts_with('+'))
            .ok_or(WRONG)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| WRONG)?);
        rest = rest.get(2..).unwrap_or_default();
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(WRONG),
    }
}

/// Where the password is in it: what must not be shown, and may be nothing. `None` of a text that
/// cannot be read, in which it may be anywhere; a port could be half of one where nobody is named.
#[must_use]
pub fn password(text: &str) -> Option<Range<usize>> {
    let uri = Uri::read(text).ok()?;
    let start = text.find("://")? + 3;
    let end = match text[start..].rfind('@') {
        Some(at) => start + at,
        None if uri.port.is_none() => return Some(start..start),
        None => return None,
    };
    match text[start..end].find(':') {
        Some(at) => Some(start + at + 1..end),
        None => Some(start..start),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_parts_are_found() {
        let uri = Uri::read("mysql+pymysql://xpra:p%40ss%2F@db.test:3307/users")
            .ok()
            .unwrap();
        assert_eq!((uri.scheme.as_str(), uri.user.as_str()), ("mysql", "xpra"));
        assert_eq!(uri.password.unwrap().as_str(), "p@ss/");
        assert_eq!((uri.host.as_str(), uri.port), ("db.test", Some(3307)));
        assert_eq!(uri.database, "users");
        let uri = Uri::read("postgresql://[::1]/d").ok().unwrap();
        assert_eq!((uri.host.as_str(), uri.port), ("::1", None));
        assert!(uri.user.is_empty() && uri.password.is_none());
        let uri = Uri::read("sqlite:////var/lib/users.sdb").ok().unwrap();
        assert_eq!(
            (uri.host.as_str(), uri.database.as_str()),
            ("", "/var/lib/users.sdb")
        );
        for wrong in [
            "",
            "mysql",
            "mysql:host/db",
            "mysql://h/d?charset=utf8",
            "mysql://h:0/d",
            "mysql://h:65536/d",
            "mysql://h:x/d",
            "mysql://u%4@h/d",
            "mysql://u%zz@h/d",
            "mysql://u%+1@h/d",
            "mysql://u%ff@h/d",
            "mysql://u%00@h/d",
            "mysql://u n@h/d",
            "mysql://[::1]x/d",
        ] {
            assert!(Uri::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_found_whatever_is_in_it() {
        let of = |text: &str| password(text).map(|range| text[range].to_owned());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("mysql://u:secret@h/d"), some("secret"));
        assert_eq!(of("mysql://u:se:cr@et@h/d"), some("se:cr@et"));
        assert_eq!(of("mysql://u@h:3306/d"), some(""));
        assert_eq!(of("sqlite:///d"), some(""));
        for unknown in [
            "mysql://u:se/cret@h/d",
            "u:secret@h",
            "mysql://u:secret",
            "mysql://u:123",
        ] {
            assert_eq!(of(unknown), None, "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(mysql://)?[a-z:@/%0-9\\[\\]é?]{0,30}") {
            let _ = (Uri::read(&text).is_ok(), password(&text).map(|range| text[range].len()));
        }
    }
}
