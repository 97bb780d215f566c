//! `auth=kerberos-password`, `auth=kerberos-token` and `auth=gss`: who we are to Kerberos, and whom
//! it asks.

use crate::auth::Options;
use crate::error::Result;
use crate::places;
use ipc::spec::{CheckAsks, Token};
use std::path::PathBuf;

/// The first part of our name, protocol "Modules".
const SERVICE: &str = "xpra";
/// Where the system has its keys.
const KEYTAB: &str = "/etc/krb5.keytab";
/// Where a KDC listens (RFC 4120, section 7.2.3).
const PORT: u16 = 88;
/// Longest part of a name, in bytes.
const MAX_NAME: usize = 255;

/// Kerberos decides.
#[derive(Clone, PartialEq, Eq)]
pub struct Kerberos {
    /// `xpra` of `xpra/host@REALM`.
    pub service: String,
    /// `host`.
    pub host: String,
    /// `REALM`.
    pub realm: String,
    /// The file with our keys.
    pub keytab: PathBuf,
    /// Who says that it is the user.
    pub by: By,
    /// Seconds that it may take.
    pub timeout: u16,
}

/// What shows who a user is.
#[derive(Clone, PartialEq, Eq)]
pub enum By {
    /// A password, which a KDC knows.
    Password {
        /// Its host.
        kdc: String,
        /// Its port.
        port: u16,
    },
    /// A ticket that the user has.
    Ticket(Token),
}

/// The options of `kerberos-password`.
pub const PASSWORD: &[&str] = &["service", "realm", "keytab", "kdc", "timeout"];

/// The options of `kerberos-token` and `gss`.
pub const TICKET: &[&str] = &["service", "realm", "keytab", "timeout"];

impl Kerberos {
    /// Reads those of `kerberos-password`.
    ///
    /// # Errors
    /// What is missing or wrong, by name.
    pub fn password(options: &mut Options<'_>) -> Result<Self> {
        let kdc = options.require("kdc", "kdc.example.org")?;
        match address(&kdc) {
            Some((kdc, port)) => Self::read(options, By::Password { kdc, port }),
            None => Err(options.wrong("kdc", &kdc, "HOST, HOST:PORT and [ADDRESS]:PORT")),
        }
    }

    /// Reads those of `kerberos-token` and `gss`.
    ///
    /// # Errors
    /// See [`Self::password`].
    pub fn ticket(options: &mut Options<'_>, token: Token) -> Result<Self> {
        Self::read(options, By::Ticket(token))
    }

    /// What clients are asked for. Each of their handlers has its own way to write a service.
    #[must_use]
    pub fn asks(&self) -> CheckAsks {
        let Self {
            service,
            host,
            realm,
            ..
        } = self;
        match self.by {
            By::Password { .. } => CheckAsks::Password,
            By::Ticket(token) => CheckAsks::Token {
                token,
                service: match token {
                    Token::Kerberos => format!("{service}@{host}"),
                    Token::Gss => format!("{service}/{host}@{realm}"),
                },
            },
        }
    }

    fn read(options: &mut Options<'_>, by: By) -> Result<Self> {
        let realm = options.require("realm", "EXAMPLE.ORG")?;
        if !is_name(&realm) {
            return Err(options.wrong(
                "realm",
                &realm,
                "names of letters, digits, `.`, `-` and `_`",
            ));
        }
        let name = options.take("service");
        let name = name.unwrap_or_else(|| SERVICE.to_owned());
        let (service, host) = match name.split_once(['/', '@']) {
            Some((service, host)) => (service.to_owned(), host.to_owned()),
            None => (name.clone(), places::host().to_ascii_lowercase()),
        };
        if !is_name(&service) || !is_name(&host) {
            return Err(options.wrong("service", &name, "NAME and NAME/HOST"));
        }
        let keytab = options
            .take("keytab")
            .map_or_else(|| KEYTAB.into(), PathBuf::from);
        Ok(Self {
            service,
            host,
            realm,
            keytab,
            by,
            timeout: options.timeout()?,
        })
    }
}

/// Of signs that mean nothing else in a name of Kerberos.
fn is_name(text: &str) -> bool {
    let is = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is)
}

fn address(text: &str) -> Option<(String, u16)> {
    let port = |text: &str| text.parse().ok().filter(|port| *port > 0);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']')? {
            (host, "") => (host, PORT),
            (host, after) => (host, port(after.strip_prefix(':')?)?),
        },
        None => match text.split_once(':') {
            // An address of IPv6 has more of them.
            Some((_, after)) if after.contains(':') => (text, PORT),
            Some((host, after)) => (host, port(after)?),
            None => (text, PORT),
        },
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{self, What};
    use crate::syntax::RawModule;

    fn read(text: &str) -> Result<Kerberos> {
        let module = auth::chain(&[RawModule::parse(text)?], &[])?.remove(0);
        match module.what {
            What::Kerberos(kerberos) => Ok(kerberos),
            _ => panic!("{text}"),
        }
    }

    #[test]
    fn options_and_their_defaults() {
        let it = read("kerberos_password:realm=R.TEST,kdc=kdc.test").unwrap();
        assert_eq!(it.service, "xpra");
        assert_eq!(it.host, places::host().to_ascii_lowercase());
        assert_eq!((it.timeout, it.keytab), (10, KEYTAB.into()));
        let By::Password { kdc, port } = it.by else {
            panic!("a ticket");
        };
        assert_eq!((kdc.as_str(), port), ("kdc.test", 88));
        for (kdc, host, port) in [
            ("kdc:7", "kdc", 7),
            ("::1", "::1", 88),
            ("[::1]", "::1", 88),
            ("[::1]:7", "::1", 7),
            ("127.0.0.1:7", "127.0.0.1", 7),
        ] {
            assert_eq!(address(kdc), Some((host.to_owned(), port)), "{kdc}");
        }
        for (text, part) in [
            ("gss", "needs realm="),
            ("gss(realm=a/b)", "names of letters"),
            ("gss(realm=R,service=a/b/c)", "NAME and NAME/HOST"),
            ("gss(realm=R,service=a@)", "NAME and NAME/HOST"),
            ("kerberos-token(realm=R,kdc=k)", "no option `kdc`"),
            ("kerberos-token(realm=R,gid=1)", "no option `gid`"),
            ("kerberos-password(realm=R)", "needs kdc="),
            ("kerberos-password(realm=R,kdc=k:0)", "HOST:PORT"),
            ("kerberos-password(realm=R,kdc=[::1)", "HOST:PORT"),
            ("kerberos-password(realm=R,kdc=:88)", "HOST:PORT"),
            ("kerberos-password(realm=R,kdc=k,timeout=51)", "1 to 50"),
        ] {
            let error = read(text).err().expect(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    /// Its handlers take a name of GSS-API's, and one of Kerberos'.
    #[test]
    fn clients_are_asked_in_their_own_words() {
        for (text, token, name) in [
            (
                "kerberos-token(realm=R,service=a/h)",
                Token::Kerberos,
                "a@h",
            ),
            ("gss(realm=R,service=a@h)", Token::Gss, "a/h@R"),
        ] {
            let service = name.to_owned();
            let expected = CheckAsks::Token { token, service };
            assert_eq!(read(text).unwrap().asks(), expected);
        }
    }
}
