//! `auth=http-header`: what a proxy has to say of a client in the request that opens a WebSocket, and which
//! proxies are believed.

use crate::auth::{Module, Options, What};
use crate::error::Result;
use crate::hidden::Hidden;
use ipc::http::Cidr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The header when nobody names one (protocol "Modules").
const PROPERTY: &str = "X-Forwarded-Proto";
/// What it has to say when nobody says (protocol "Modules").
const VALUE: &str = "https";
/// Longest name of a header, in bytes.
const MAX_PROPERTY: usize = 64;
/// Longest value, in bytes.
const MAX_VALUE: usize = 256;
/// Most proxies, or networks of them.
const MAX_PROXIES: usize = 32;

/// Its options.
pub const OPTIONS: &[&str] = &["property", "value", "proxies"];

/// What has to be said, and by whom.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpHeader {
    /// The name of the header.
    pub property: String,
    /// What has to stand there.
    pub value: Hidden<String>,
    /// Whose requests count.
    pub proxies: Vec<Cidr>,
}

impl HttpHeader {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn read(options: &mut Options<'_>) -> Result<Self> {
        let property = options
            .take("property")
            .unwrap_or_else(|| PROPERTY.to_owned());
        if !(1..=MAX_PROPERTY).contains(&property.len()) || !property.bytes().all(is_token) {
            return Err(options.wrong(
                "property",
                "…",
                &format!(
                    "names of headers: 1 to {MAX_PROPERTY} letters, digits and !#$%&'*+-.^_`|~"
                ),
            ));
        }
        let value = Hidden::new(options.take("value").unwrap_or_else(|| VALUE.to_owned()));
        // Whitespace around it is not of the value (RFC 9110, section 5.5): nothing would ever be the same.
        let ends = value.starts_with(' ') || value.ends_with(' ');
        let printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !(1..=MAX_VALUE).contains(&value.len()) || ends || !printable {
            return Err(options.wrong(
                "value",
                "…",
                &format!("printable texts of 1 to {MAX_VALUE} letters of ASCII, without a space around them"),
            ));
        }
        Ok(Self {
            property,
            value,
            proxies: match options.take("proxies") {
                Some(text) => proxies(options, &text)?,
                None => own(),
            },
        })
    }

    /// Does it say what everybody can guess?
    #[must_use]
    pub fn is_usual(&self) -> bool {
        self.value.is(VALUE)
    }
}

/// A letter of a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The addresses of this machine alone, 127.0.0.0/8 and `::1`.
fn own() -> Vec<Cidr> {
    let v4 = Cidr::new(Ipv4Addr::new(127, 0, 0, 0).into(), 8);
    v4.into_iter()
        .chain([Cidr::one(Ipv6Addr::LOCALHOST.into())])
        .collect()
}

/// Addresses and networks between commas or spaces. Parentheses around them keep the commas from ending
/// the option.
fn proxies(options: &Options<'_>, text: &str) -> Result<Vec<Cidr>> {
    let inner = text.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
    let words = inner.unwrap_or(text).split([',', ' ']);
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    if !(1..=MAX_PROXIES).contains(&words.len()) {
        let allowed = format!("1 to {MAX_PROXIES} of them, such as (127.0.0.0/8,::1)");
        return Err(options.wrong("proxies", text, &allowed));
    }
    let read = |word: &str| {
        proxy(word).ok_or_else(|| {
            let allowed = "addresses, and networks without bits after their prefix, such as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32 of one machine on all links (a name is not looked up; for everybody: auth=capability)";
            options.wrong("proxies", word, allowed)
        })
    };
    words.into_iter().map(read).collect()
}

fn proxy(word: &str) -> Option<Cidr> {
    let (address, prefix) = match word.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (word, None),
    };
    let address: IpAddr = address.parse().ok()?;
    // Nobody comes from some of them; and who comes from ::ffff:192.0.2.1 is known as 192.0.2.1.
    let never =
        address.is_unspecified() || address.is_multicast() || address.to_canonical() != address;
    // On each link it is another machine's.
    let (broadcast, link) = match address {
        IpAddr::V4(address) => (address.is_broadcast(), address.is_link_local()),
        IpAddr::V6(address) => (false, address.is_unicast_link_local()),
    };
    if never || broadcast || link {
        return None;
    }
    match prefix {
        None => Some(Cidr::one(address)),
        Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
            Cidr::new(address, prefix.parse().ok()?)
        }
        Some(_) => None,
    }
}

/// What is to be said of a socket with these modules, which `said` asks for.
#[must_use]
pub fn warning(said: &str, chain: &[Module]) -> Option<String> {
    let is_it = |module: &Module| matches!(module.what, What::HttpHeader(_));
    chain.iter().any(is_it).then(|| {
        format!(
            "{said}: auth=http-header lets nobody in: it looks at the request that opens a WebSocket, and there are none here yet"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth;
    use crate::syntax::RawModule;

    fn read(text: &str) -> Result<HttpHeader> {
        let mut chain = auth::chain(&[RawModule::parse(text)?], &[])?;
        match chain.remove(0).what {
            What::HttpHeader(header) => Ok(header),
            _ => panic!("{text}"),
        }
    }

    fn networks(texts: &[(&str, u8)]) -> Vec<Cidr> {
        let network = |(first, prefix): &(&str, u8)| {
            let first: IpAddr = first.parse().unwrap();
            Cidr::new(first, *prefix).unwrap()
        };
        texts.iter().map(network).collect()
    }

    #[test]
    fn options_and_their_defaults() {
        for name in ["http-header", "http_header"] {
            let it = read(name).unwrap();
            assert_eq!(it.property, "X-Forwarded-Proto");
            assert_eq!(it.value.as_str(), "https");
            assert!(it.proxies == networks(&[("127.0.0.0", 8), ("::1", 128)]));
        }
        let it = read("http-header(property=X!#$%&'*+-.^_`|~1,value=a b)").unwrap();
        assert_eq!(
            (it.property.as_str(), it.value.as_str()),
            ("X!#$%&'*+-.^_`|~1", "a b")
        );
        for (text, expected) in [
            ("10.0.0.1", &[("10.0.0.1", 32)][..]),
            ("2001:db8::/32", &[("2001:db8::", 32)]),
            ("(10.0.0.0/8,::1)", &[("10.0.0.0", 8), ("::1", 128)]),
            ("10.0.0.0/8 ::1", &[("10.0.0.0", 8), ("::1", 128)]),
            ("(10.0.0.0/8, ::1)", &[("10.0.0.0", 8), ("::1", 128)]),
        ] {
            let it = read(&format!("http-header(proxies={text})")).unwrap();
            assert!(it.proxies == networks(expected), "{text}");
        }
    }

    #[test]
    fn what_could_never_fit_or_means_something_else_is_refused() {
        let many = vec!["::1"; MAX_PROXIES + 1].join(" ");
        for (options, part) in [
            ("property=", "1 to 64 letters"),
            ("property=X Y", "1 to 64 letters"),
            ("property=X:", "1 to 64 letters"),
            ("property=\u{e9}", "1 to 64 letters"),
            ("property=X(Y)", "1 to 64 letters"),
            (&format!("property={}", "x".repeat(65)), "1 to 64 letters"),
            ("value=", "1 to 256 letters"),
            ("value=***", "a value that was not shown"),
            ("value= x", "1 to 256 letters"),
            ("value=x ", "1 to 256 letters"),
            ("value=x\ty", "1 to 256 letters"),
            ("value=x\r\nY: z", "1 to 256 letters"),
            ("value=\u{e9}", "1 to 256 letters"),
            (&format!("value={}", "x".repeat(257)), "1 to 256 letters"),
            ("proxies=", "1 to 32 of them"),
            ("proxies=()", "1 to 32 of them"),
            (&format!("proxies={many}"), "1 to 32 of them"),
            (
                "proxies=localhost",
                "proxies=localhost: there are addresses",
            ),
            ("proxies=(10.0.0.1,x)", "proxies=x: there are addresses"),
            ("proxies=10.0.0.1/8", "without bits after their prefix"),
            ("proxies=10.0.0.0/33", "without bits"),
            ("proxies=10.0.0.0/", "without bits"),
            ("proxies=10.0.0.0/+8", "without bits"),
            ("proxies=10.0.0.0/255.0.0.0", "without bits"),
            ("proxies=0.0.0.0", "for everybody: auth=capability"),
            ("proxies=::", "for everybody: auth=capability"),
            ("proxies=0.0.0.0/1", "for everybody: auth=capability"),
            ("proxies=255.255.255.255", "without bits"),
            ("proxies=224.0.0.1", "without bits"),
            ("proxies=ff02::/16", "without bits"),
            ("proxies=fe80::1", "of one machine on all links"),
            ("proxies=fe80::/10", "of one machine on all links"),
            ("proxies=fe80::1%eth0", "of one machine on all links"),
            ("proxies=169.254.1.1", "of one machine on all links"),
            ("proxies=0.0.0.0/0", "for everybody: auth=capability"),
            ("proxies=::/0", "for everybody: auth=capability"),
            ("proxies=::ffff:10.0.0.1", "without bits"),
            ("proxies=::ffff:10.0.0.0/104", "without bits"),
            ("proxies=[::1]", "proxies=[::1]: there are addresses"),
            ("proxies=10.0.0.1:80", "without bits"),
            ("proxies=local", "proxies=local: there are addresses"),
            ("prompt=x", "no option `prompt`"),
            ("verify-username=yes", "no option `verify-username`"),
        ] {
            let error = read(&format!("http-header({options})")).err();
            let error = error.unwrap_or_else(|| panic!("{options}")).to_string();
            assert!(error.contains(part), "{options}: {error}");
        }
    }
}
