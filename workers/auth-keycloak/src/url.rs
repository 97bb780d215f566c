//! Addresses (RFC 3986), as far as they are needed here: of the provider, in ASCII, without users.

use std::fmt;

/// Longest address, in bytes.
pub const MAX: usize = 512;

/// `https://host:port/path`, or `http:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// With TLS.
    pub tls: bool,
    /// The host, in lower case; an address of IPv6 in brackets.
    pub host: String,
    /// Its port, also where that is not written.
    pub port: u16,
    /// From the first `/` on; it has no query.
    pub path: String,
}

impl Url {
    /// Reads one.
    ///
    /// # Errors
    /// It is none, or has what is not needed here: a user, a query, a fragment.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, query) = Self::parse_with_query(text)?;
        match query {
            None => Ok(address),
            Some(_) => Err("has a query"),
        }
    }

    /// The same of one that may have a query, which is what follows the `?`.
    ///
    /// # Errors
    /// As of [`Url::parse`].
    pub fn parse_with_query(text: &str) -> Result<(Self, Option<&str>), &'static str> {
        if text.len() > MAX {
            return Err("is too long");
        }
        // What an address may have: nothing that ends a line, a word or a quotation.
        let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte);
        if !text.bytes().all(allowed) {
            return Err("has what no address has");
        }
        let (scheme, rest) = text.split_once("://").ok_or("is no address")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("is neither https: nor http:"),
        };
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let end = rest.find('/').unwrap_or(rest.len());
        let (place, path) = rest.split_at(end);
        let (host, port) = match place.rsplit_once(':') {
            // The last colon of an address of IPv6 is within its brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (place, None),
        };
        let is_v6 = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
        let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !is_v6 && (host.is_empty() || !host.bytes().all(of_name)) {
            return Err("has no such host");
        }
        let port = match port {
            None if tls => 443,
            None => 80,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err("has no such port"),
            },
        };
        let path = match path.is_empty() {
            true => "/".to_owned(),
            false => path.to_owned(),
        };
        let url = Self {
            tls,
            host: host.to_ascii_lowercase(),
            port,
            path,
        };
        Ok((url, query))
    }

    /// Is the other one at the same place: the same host and port, in the same way?
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        (self.tls, &self.host, self.port) == (other.tls, &other.host, other.port)
    }

    /// The host and the port, if that is not the usual one.
    #[must_use]
    pub fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

/// What a value is in a query or a form (`application/x-www-form-urlencoded`).
#[must_use]
pub fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len() * 3);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text += &format!("%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_an_address_says() {
        let url = Url::parse("HTTPS://Login.Example.org/realms/r").unwrap();
        assert_eq!((url.tls, url.port), (true, 443));
        assert_eq!(url.to_string(), "https://login.example.org/realms/r");
        let url = Url::parse("http://[::1]:8080").unwrap();
        assert_eq!(url.host, "[::1]");
        assert_eq!(url.to_string(), "http://[::1]:8080/");
        assert_eq!(Url::parse("http://[::1]").unwrap().port, 80);
        let (url, query) = Url::parse_with_query("https://a:444/x?y=z?").unwrap();
        assert_eq!((url.authority(), query), ("a:444".into(), Some("y=z?")));
        let beside = |text| url.is_beside(&Url::parse(text).unwrap());
        assert!(beside("https://A:444/q"));
        assert!(!beside("https://a/x") && !beside("http://a:444/x") && !beside("https://b:444/"));
    }

    #[test]
    fn what_is_no_address() {
        for text in [
            "",
            "https",
            "https://",
            "https:///x",
            "ftp://a/",
            "https://user@a/",
            "https://a:0/",
            "https://a:65536/",
            "https://a:x/",
            "https://[::1",
            "https://[a]/",
            "https://a/#x",
            "https://a/?x",
            "https://a/\r\nX: y",
            "https://a/ b",
            "https://\u{e4}/",
            "https://a\\b/",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_special_is_encoded() {
        assert_eq!(encoded("a b&c=%/\u{e9}+~"), "a%20b%26c%3D%25%2F%C3%A9%2B~");
    }

    proptest! {
        #[test]
        fn an_address_is_read_as_it_is_shown(text in "https?://[a-z.:\\[\\]0-9]{0,12}/?[!-~]{0,20}") {
            if let Ok(url) = Url::parse(&text) {
                prop_assert_eq!(Url::parse(&url.to_string()), Ok(url));
            }
        }
    }
}
