//! `auth=ldap` and `auth=ldap3`: which LDAP server is asked, and which of its entries a user is.

use crate::auth::Options;
use crate::error::Result;
use crate::options::boolean;
use std::net::IpAddr;
use std::path::PathBuf;

/// Upstream's, protocol "Modules".
const USERNAME_FORMAT: &str = "(cn=%username, o=%domain)";

/// `ldap` and `ldap3`: an LDAP server decides.
#[derive(Clone, PartialEq, Eq)]
pub struct Ldap {
    /// The server, by name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// With TLS.
    pub tls: Option<LdapTls>,
    /// Which entry a user is.
    pub user: LdapEntry,
    /// Seconds that it may take.
    pub timeout: u16,
}

/// TLS with a server.
#[derive(Clone, PartialEq, Eq)]
pub struct LdapTls {
    /// It is asked for TLS first (StartTLS).
    pub ask: bool,
    /// The file of the certificates that its own may be signed with; `None`: the system's.
    pub authorities: Option<PathBuf>,
}

/// Which entry of the directory a user is.
#[derive(Clone, PartialEq, Eq)]
pub enum LdapEntry {
    /// The one with this name.
    Name(String),
    /// One that is looked for.
    Search {
        /// Below this entry.
        base: String,
        /// By this attribute.
        attribute: String,
        /// By whom: the name of an entry, and the file with its password.
        reader: Option<(String, PathBuf)>,
    },
}

/// The options of `ldap`.
pub const LDAP: &[&str] = &[
    "host",
    "port",
    "tls",
    "cacert",
    "encoding",
    "username_format",
    "domain",
    "search-base",
    "search-attribute",
    "search-user",
    "search-password-file",
    "timeout",
];

/// The options of `ldap3`.
pub const LDAP3: &[&str] = &[
    "host",
    "port",
    "tls",
    "cacert",
    "encoding",
    "username_format",
    "domain",
    "search-base",
    "search-attribute",
    "search-user",
    "search-password-file",
    "timeout",
    "authentication",
];

impl Ldap {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn read(options: &mut Options<'_>) -> Result<Self> {
        let host = options
            .take("host")
            .unwrap_or_else(|| "localhost".to_owned());
        let tls = tls(options)?;
        let port = match options.take("port") {
            None if tls.as_ref().is_some_and(|tls| !tls.ask) => 636,
            None => 389,
            Some(text) => match text.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(options.wrong("port", &text, "numbers from 1 to 65535")),
            },
        };
        if let Some(encoding) = options.take("encoding")
            && !["utf8", "utf-8"].contains(&encoding.to_ascii_lowercase().as_str())
        {
            return Err(options.wrong("encoding", &encoding, "utf8"));
        }
        if let Some(how) = options.take("authentication")
            && !how.eq_ignore_ascii_case("simple")
        {
            return Err(options.wrong("authentication", &how, "simple"));
        }
        Ok(Self {
            host,
            port,
            tls,
            user: entry(options)?,
            timeout: options.timeout()?,
        })
    }

    /// Can nobody between us and the server read the password?
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.tls.is_some()
            || self.host == "localhost"
            || address.is_ok_and(|address| address.is_loopback())
    }
}

fn tls(options: &mut Options<'_>) -> Result<Option<LdapTls>> {
    let authorities = options.take("cacert").map(PathBuf::from);
    let ask = match options.take("tls") {
        Some(text) if text.eq_ignore_ascii_case("starttls") => true,
        Some(text) => match boolean(&text) {
            Ok(true) => false,
            Ok(false) if authorities.is_some() => {
                return Err(options.vain("cacert", "tls=yes or tls=starttls"));
            }
            Ok(false) => return Ok(None),
            Err(_) => return Err(options.wrong("tls", &text, "yes, starttls or no")),
        },
        None if authorities.is_some() => {
            return Err(options.vain("cacert", "tls=yes or tls=starttls"));
        }
        None => return Ok(None),
    };
    Ok(Some(LdapTls { ask, authorities }))
}

fn entry(options: &mut Options<'_>) -> Result<LdapEntry> {
    let format = options.take("username_format");
    let domain = options.take("domain");
    let base = options.take("search-base");
    let attribute = options.take("search-attribute");
    let reader = options.take("search-user");
    let password = options.take("search-password-file");
    match base {
        Some(base) => {
            for (key, value) in [("username_format", &format), ("domain", &domain)] {
                if value.is_some() {
                    return Err(options.vain(key, "no search-base"));
                }
            }
            let attribute = attribute.unwrap_or_else(|| "uid".to_owned());
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-.;".contains(c);
            if attribute.is_empty() || !attribute.chars().all(is_name) {
                return Err(options.wrong("search-attribute", &attribute, "names such as uid"));
            }
            let reader = match (reader, password) {
                (Some(reader), Some(file)) => Some((bare(&reader).to_owned(), file.into())),
                (None, None) => None,
                (Some(_), None) => return Err(options.vain("search-user", "search-password-file")),
                (None, Some(_)) => return Err(options.vain("search-password-file", "search-user")),
            };
            Ok(LdapEntry::Search {
                base: bare(&base).to_owned(),
                attribute,
                reader,
            })
        }
        None => {
            for (key, value) in [
                ("search-attribute", &attribute),
                ("search-user", &reader),
                ("search-password-file", &password),
            ] {
                if value.is_some() {
                    return Err(options.vain(key, "search-base"));
                }
            }
            let format = format.unwrap_or_else(|| USERNAME_FORMAT.to_owned());
            let format = bare(&format);
            if !format.contains("%username") {
                return Err(options.wrong("username_format", format, "texts with %username in it"));
            }
            Ok(LdapEntry::Name(match domain {
                Some(domain) => format.replace("%domain", &domain),
                None => format.to_owned(),
            }))
        }
    }
}

/// Without the parentheses that keep its commas from ending the option.
fn bare(text: &str) -> &str {
    let inner = text.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
    inner.unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{self, What};
    use crate::syntax::RawModule;

    fn read(text: &str) -> Result<What> {
        let module = auth::chain(&[RawModule::parse(text)?], &[])?.remove(0);
        Ok(module.what)
    }

    fn ldap(text: &str) -> Ldap {
        match read(text).unwrap() {
            What::Ldap(ldap) => ldap,
            _ => panic!("{text}"),
        }
    }

    #[test]
    fn a_directory_is_asked_by_name_or_by_search() {
        let it = ldap("ldap");
        assert_eq!(
            (it.host.as_str(), it.port, it.timeout),
            ("localhost", 389, 10)
        );
        assert!(it.user == LdapEntry::Name("cn=%username, o=%domain".into()));
        let it = ldap(
            "ldap3(host=ldap.x.org,tls=no,username_format=(uid=%username,dc=%domain),domain=x,authentication=simple)",
        );
        assert_eq!((it.host.as_str(), it.port), ("ldap.x.org", 389));
        assert!(it.user == LdapEntry::Name("uid=%username,dc=x".into()));
        let it = ldap(
            "ldap(search-base=(ou=people,dc=x),search-user=(cn=reader,dc=x),search-password-file=/f)",
        );
        assert!(
            it.user
                == LdapEntry::Search {
                    base: "ou=people,dc=x".into(),
                    attribute: "uid".into(),
                    reader: Some(("cn=reader,dc=x".into(), "/f".into())),
                }
        );
        for (text, part) in [
            ("ldap(port=0)", "1 to 65535"),
            ("ldap(port=x)", "1 to 65535"),
            ("ldap(tls=maybe)", "yes, starttls or no"),
            ("ldap(cacert=/x)", "tls=yes or tls=starttls"),
            ("ldap(tls=no,cacert=/x)", "tls=yes or tls=starttls"),
            ("ldap(encoding=latin1)", "utf8"),
            ("ldap3(authentication=NTLM)", "simple"),
            ("ldap(authentication=simple)", "no option `authentication`"),
            ("ldap(username_format=cn=x)", "%username"),
            ("ldap(search-user=x)", "search-base"),
            ("ldap(search-base=x,search-user=x)", "search-password-file"),
            (
                "ldap(search-base=x,search-attribute=(a=*))",
                "names such as uid",
            ),
            ("ldap(search-base=x,domain=y)", "no search-base"),
        ] {
            let error = read(text).err().expect(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn with_tls_the_port_is_another_one() {
        for (text, port, expected) in [
            ("ldap(tls=yes)", 636, Some((false, None))),
            ("ldap3(tls=on,port=1636)", 1636, Some((false, None))),
            (
                "ldap(tls=StartTLS,cacert=/x)",
                389,
                Some((true, Some("/x"))),
            ),
            ("ldap(tls=no)", 389, None),
        ] {
            let it = ldap(text);
            let tls = it.tls.map(|tls| (tls.ask, tls.authorities));
            let expected = expected.map(|(ask, file)| (ask, file.map(PathBuf::from)));
            assert_eq!((it.port, tls), (port, expected), "{text}");
        }
    }

    #[test]
    fn a_password_goes_in_clear_to_this_machine_only() {
        for (text, confidential) in [
            ("ldap", true),
            ("ldap(host=127.0.0.1)", true),
            ("ldap(host=::1)", true),
            ("ldap(host=ldap.x.org)", false),
            ("ldap(host=192.0.2.1)", false),
            ("ldap(host=192.0.2.1,tls=no)", false),
            ("ldap(host=192.0.2.1,tls=yes)", true),
            ("ldap(host=ldap.x.org,tls=starttls)", true),
        ] {
            assert_eq!(ldap(text).is_confidential(), confidential, "{text}");
        }
    }
}
