//! `--bind`, `--bind-tcp` and `--bind-ssl`: where a session listens, and on which conditions.

use crate::auth::{self, Module};
use crate::encryption::{Encryption, Written};
use crate::error::{Error, Result};
use crate::options::boolean;
use crate::syntax::{MASK, OPEN_OPTIONS, Pair, RawBind, RawModule, SECRET_OPTIONS, URI_OPTION};
use crate::tls;
use crate::uri;
use std::fmt;
use std::path::PathBuf;

/// The port of `--bind-tcp=HOST:`.
pub const DEFAULT_PORT: u16 = 14500;

/// A place for a unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnixAddress {
    /// Everywhere a client given `:N` looks: the session directory, the socket directory and the
    /// abstract name.
    Auto,
    /// The same without the abstract name.
    NoAbstract,
    /// No unix socket.
    None,
    /// This path.
    Path(PathBuf),
    /// `HOSTNAME-N` in this directory.
    Directory(PathBuf),
    /// This abstract name.
    Abstract(String),
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::NoAbstract => f.write_str("noabstract"),
            Self::None => f.write_str("none"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Directory(path) => write!(f, "{}/", path.display()),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

impl UnixAddress {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "auto" => Self::Auto,
            "noabstract" => Self::NoAbstract,
            "none" => Self::None,
            _ if text.contains('\0') => return Err(Error::usage("a zero byte in a path")),
            _ if text.starts_with("/dev/") => {
                return Err(Error::usage(format!("`{text}`: devices are not built yet")));
            }
            _ if text.starts_with('@') && text.len() > 1 => Self::Abstract(text[1..].to_owned()),
            _ if text.starts_with(['/', '~']) && text.ends_with('/') => {
                Self::Directory(PathBuf::from(match text.trim_end_matches('/') {
                    "" => "/",
                    directory => directory,
                }))
            }
            _ if text.starts_with(['/', '~']) && text != "~" => Self::Path(PathBuf::from(text)),
            _ => {
                return Err(Error::usage(format!(
                    "`{text}` is neither auto, noabstract, none, an absolute path, a directory ending in / nor @NAME"
                )));
            }
        })
    }
}

/// The host part of a network address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Nothing was written: the loopback interface.
    Default,
    /// `*`: every interface, both families.
    Any,
    /// A name or an address.
    Name(String),
}

/// `[HOST]:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpAddress {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
}

impl fmt::Display for TcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Default => {}
            Host::Any => f.write_str("*")?,
            Host::Name(name) if name.contains(':') => write!(f, "[{name}]")?,
            Host::Name(name) => f.write_str(name)?,
        }
        write!(f, ":{}", self.port)
    }
}

impl TcpAddress {
    /// Reads `[HOST]:PORT`.
    ///
    /// # Errors
    /// What is not of that form, by name.
    pub fn parse(text: &str, min_port: u16) -> Result<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest
                    .split_once(']')
                    .ok_or_else(|| Error::usage(format!("`{text}`: a [ without its ]")))?;
                let port = rest.strip_prefix(':').ok_or_else(|| no_port(text))?;
                if host.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(Error::usage(format!("`{host}` is not an IPv6 address")));
                }
                (host, port)
            }
            None => text.rsplit_once(':').ok_or_else(|| no_port(text))?,
        };
        if host.contains(':') && !text.starts_with('[') {
            return Err(Error::usage(format!(
                "`{text}`: write an IPv6 address as [{host}]:PORT"
            )));
        }
        let host = match host {
            "" => Host::Default,
            "*" => Host::Any,
            _ if host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c)) =>
            {
                Host::Name(host.to_owned())
            }
            _ => return Err(Error::usage(format!("`{host}` is not a host"))),
        };
        let port = match port {
            "" => DEFAULT_PORT,
            _ => port.parse::<u16>().map_err(|_| {
                Error::usage(format!("`{port}` is not a port: a number up to 65535"))
            })?,
        };
        if port < min_port {
            return Err(Error::usage(format!(
                "port {port} is below --min-port={min_port}"
            )));
        }
        Ok(Self { host, port })
    }
}

fn no_port(text: &str) -> Error {
    Error::usage(format!(
        "`{text}` has no port: write HOST:PORT, or :PORT for 127.0.0.1"
    ))
}

/// What the options of a socket say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// All of these must agree; `None` when `auth=` was not given.
    pub auth: Option<Vec<Module>>,
    /// What its clients have to encrypt with.
    pub encryption: Option<Encryption>,
    /// What it says of TLS.
    pub tls: tls::Said,
    /// Requests that this socket refuses.
    pub refused_requests: Vec<String>,
}

/// `--bind=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixBind {
    /// Where.
    pub address: UnixAddress,
    /// On which conditions.
    pub options: SocketOptions,
}

/// `--bind-tcp=` and `--bind-ssl=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpBind {
    /// Where.
    pub address: TcpAddress,
    /// On which conditions.
    pub options: SocketOptions,
}

impl UnixBind {
    /// Reads the value of `--bind`.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn parse(text: &str) -> Result<Self> {
        let raw = RawBind::parse(text)?;
        Ok(Self {
            address: UnixAddress::parse(&raw.address)?,
            options: SocketOptions::read(&raw.options)?,
        })
    }
}

impl TcpBind {
    /// Reads the value of `--bind-tcp` or `--bind-ssl`.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn parse(text: &str, min_port: u16) -> Result<Self> {
        let raw = RawBind::parse(text)?;
        Ok(Self {
            address: TcpAddress::parse(&raw.address, min_port)?,
            options: SocketOptions::read(&raw.options)?,
        })
    }
}

/// Requests that exist.
const REQUESTS: [&str; 8] = [
    "version",
    "id",
    "connect_test",
    "info",
    "screenshot",
    "detach",
    "stop",
    "exit",
];
/// Requests of Xpra's that do not exist here, so that `no` is what they are.
const REQUESTS_NOT_BUILT: [&str; 7] = [
    "icon", "command", "control", "run", "print", "event", "encode",
];
/// What a socket of Xpra's can also do, and ours not yet; `no` is what they are.
const SWITCHES_NOT_BUILT: [&str; 14] = [
    "ws",
    "wss",
    "ssh",
    "quic",
    "vsock",
    "rfb",
    "rdp",
    "http",
    "mdns",
    "upnp",
    "shell",
    "record",
    "proxy-start",
    "retry",
];
/// Socket options of Xpra's with a value; the first part of a name counts for those with a dash.
const VALUES_NOT_BUILT: [&str; 8] = [
    "nodelay",
    "cork",
    "keepalive",
    "trusted",
    "trust-proxy-headers",
    "uuid",
    "backlog",
    "timeout",
];

impl SocketOptions {
    fn read(pairs: &[Pair]) -> Result<Self> {
        let mut modules = Vec::new();
        let mut shared = Vec::new();
        let mut encryption = Written::default();
        let mut options = Self::default();
        for (key, value) in pairs {
            if encryption.take(key, value)? || options.tls.take(key, value)? {
                continue;
            }
            let request = key.replace('-', "_");
            match key.as_str() {
                "auth" => {
                    let module = RawModule::parse(value)?;
                    auth::kind(&module.name)?;
                    modules.push(module);
                }
                _ if auth::is_option(key) => {
                    shared.push((key.clone(), value.clone()));
                }
                _ if REQUESTS.contains(&request.as_str()) => {
                    if !boolean(value).map_err(|e| e.at(key))? {
                        options.refused_requests.push(request);
                    }
                }
                _ if REQUESTS_NOT_BUILT.contains(&request.as_str())
                    || SWITCHES_NOT_BUILT.contains(&key.as_str()) =>
                {
                    if value == "auto" || boolean(value).map_err(|e| e.at(key))? {
                        return Err(Error::usage(format!(
                            "the socket option `{key}={value}` is not built yet; `{key}=no` is accepted"
                        )));
                    }
                }
                _ if VALUES_NOT_BUILT.contains(&key.as_str())
                    || ["ssl-", "ssh-", "upnp-"].iter().any(|p| key.starts_with(p)) =>
                {
                    return Err(Error::usage(format!(
                        "the socket option `{key}` is not built yet"
                    )));
                }
                _ => return Err(Error::usage(format!("there is no socket option `{key}`"))),
            }
        }
        options.encryption = encryption.finish()?;
        let chain = auth::chain(&modules, &shared)?;
        options.auth = (!modules.is_empty()).then_some(chain);
        Ok(options)
    }
}

/// Where a secret begins, after the name of this option.
fn secret_of(key: &str, text: &str) -> Option<usize> {
    let ends = text.match_indices(key).map(|(at, key)| at + key.len());
    // Whoever is named in one has a password, perhaps.
    let is_open = |end: &usize| {
        let open = OPEN_OPTIONS.iter().any(|open| text[..*end].ends_with(open));
        open && !text[*end..].contains('@')
    };
    ends.filter(|end| !is_open(end)).min()
}

/// The same text without what must not be shown: the values of [`SECRET_OPTIONS`].
#[must_use]
pub fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(end) = SECRET_OPTIONS
        .iter()
        .filter_map(|key| secret_of(key, rest))
        .min()
    {
        let mut depth = 0_u32;
        let len = rest[end..].find(|c| match c {
            '(' => {
                depth += 1;
                false
            }
            ')' if depth > 0 => {
                depth -= 1;
                false
            }
            c => c == ')' || (c == ',' && depth == 0),
        });
        let secret = len.map_or(rest.len(), |len| end + len);
        shown.push_str(&rest[..end]);
        if !rest[..end].ends_with(URI_OPTION) {
            shown.push_str(MASK);
            rest = &rest[secret..];
            continue;
        }
        let value = &rest[end..secret];
        let next = rest[secret..]
            .find(URI_OPTION)
            .unwrap_or(rest.len() - secret);
        let goes_on = rest[secret..secret + next].contains('@');
        // One that cannot be read may have its password anywhere, and be no end of it.
        let (false, Some(hidden)) = (goes_on, uri::password(value)) else {
            return shown + MASK;
        };
        shown.push_str(&value[..hidden.start]);
        if !hidden.is_empty() {
            shown.push_str(MASK);
        }
        shown.push_str(&value[hidden.end..]);
        rest = &rest[secret..];
    }
    // What stands under no option.
    match rest.split_once("//") {
        Some((before, after)) if after.contains('@') => shown + before + "//***",
        _ => shown + rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(text: &str) -> Result<TcpBind> {
        TcpBind::parse(text, 1024)
    }

    #[test]
    fn network_addresses() {
        let of = |text| tcp(text).unwrap().address.to_string();
        assert_eq!(of(":10000"), ":10000");
        assert_eq!(of("*:10000"), "*:10000");
        assert_eq!(of("[::1]:10000"), "[::1]:10000");
        assert_eq!(of("0.0.0.0:10000,auth=none"), "0.0.0.0:10000");
        assert_eq!(of("host.example:"), "host.example:14500");
        for (text, part) in [
            ("10000", "`10000` has no port"),
            ("", "has no port"),
            (":80", "port 80 is below --min-port=1024"),
            (":65536", "`65536` is not a port"),
            (":x", "`x` is not a port"),
            ("::1:10000", "[::1]:PORT"),
            ("[::1]", "has no port"),
            ("[::1:1", "a [ without"),
            ("[host]:1", "`host` is not an IPv6 address"),
            ("a b:2000", "`a b` is not a host"),
        ] {
            let error = tcp(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn unix_addresses() {
        let of = |text| UnixBind::parse(text).unwrap().address;
        assert_eq!(of("auto"), UnixAddress::Auto);
        assert_eq!(of("none"), UnixAddress::None);
        assert_eq!(of("noabstract"), UnixAddress::NoAbstract);
        assert_eq!(of("/tmp/a"), UnixAddress::Path("/tmp/a".into()));
        assert_eq!(of("~/a/,auth=none"), UnixAddress::Directory("~/a".into()));
        assert_eq!(of("/"), UnixAddress::Directory("/".into()));
        assert_eq!(of("@x"), UnixAddress::Abstract("x".into()));
        for text in ["", "relative", "relative/", "@", "/dev/ttyS0", "a\0b", "~"] {
            assert!(UnixBind::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn chains_keep_their_order_and_share_options() {
        let bind =
            tcp(":10000,auth=env,name=A,auth=password,value=x,stop=no,exit=no,mdns=no").unwrap();
        let chain = bind.options.auth.unwrap();
        assert_eq!(format!("{chain:?}"), "[env, password]");
        assert_eq!(bind.options.refused_requests, ["stop", "exit"]);
        assert_eq!(tcp(":10000").unwrap().options.auth, None);
    }

    #[test]
    fn options_that_do_not_exist_are_named() {
        for (text, part) in [
            (":10000,encryption=DES,keyfile=k", "there are AES"),
            (":10000,keyfile=k", "a key without `encryption=`"),
            (
                ":10000,ssl-ca-data=c",
                "ssl-ca-data: these are no certificates",
            ),
            (":10000,ssl-mode=auto", "`ssl-mode` is not built yet"),
            (":10000,ssl=www", "web pages are not built yet"),
            (":10000,ssl=perhaps", "neither on, auto, tcp nor off"),
            (":10000,ssl-key=", "`ssl-key=` is empty"),
            (":10000,shell=yes", "`shell=yes` is not built yet"),
            (":10000,frob=1", "no socket option `frob`"),
            (":10000,filename=x", "without auth=MODULE"),
            (":10000,info=maybe", "maybe"),
            (":10000,auth=", "module's name"),
        ] {
            let error = tcp(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn passwords_are_masked() {
        assert_eq!(
            masked(":1,auth=password,value=x"),
            ":1,auth=password,value=***"
        );
        assert_eq!(
            masked("password(value=a(b,)c),value=,c"),
            "password(value=***),value=***,c"
        );
        assert_eq!(
            masked(":1,encryption=AES,encryption-keydata=0x00,stop=no,keydata=a"),
            ":1,encryption=AES,encryption-keydata=***,stop=no,keydata=***"
        );
        assert_eq!(masked("nothing"), "nothing");
        assert_eq!(
            masked(":1,auth=mysql(uri=mysql://u:a(b,)c@h/d,tls=yes),auth=sql,uri=sql://h/d"),
            ":1,auth=mysql(uri=mysql://u:***@h/d,tls=yes),auth=sql,uri=sql://h/d"
        );
        for (text, wanted) in [
            (
                "keycloak(server_url=https://h/,client_secret_key=a,redirect_uri=https://x/?y)",
                "keycloak(server_url=https://h/,client_secret_key=***,redirect_uri=https://x/?y)",
            ),
            (
                "keycloak(server_url=https://u:secret@h/,client_id=a)",
                "keycloak(server_url=***,client_id=a)",
            ),
            ("mysql:uri=u:secret", "mysql:uri=***"),
            ("sql:uri=s://u:secret", "sql:uri=***"),
            ("sql:uri=s://u:123,4@h/d,tls=yes", "sql:uri=***"),
            ("sql:uri=s://u:se,cret@h/d", "sql:uri=***"),
            ("a(uri=s://u:sec)ret@h/d),tls=yes", "a(uri=***"),
            ("sql(uri=s://u:a@b,c@h/d)", "sql(uri=***"),
            ("sql(uri=s://h/d?user=u&password=secret)", "sql(uri=***"),
            ("mysql(url=s://u:secret@h/d)", "mysql(url=***)"),
            (
                "sql(uri=s://h/d,password=secret)",
                "sql(uri=s://h/d,password=***)",
            ),
            ("sql(uri=s://h/d),auth=x(value=s@e)", "sql(uri=***"),
            ("sql://u:secret@h/d", "sql://***"),
            (
                "a(uri=s://u:x@h/d),b(uri=s://u:y@h/d)",
                "a(uri=s://u:***@h/d),b(uri=s://u:***@h/d)",
            ),
        ] {
            assert_eq!(masked(text), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,200}") {
            let _ = (tcp(&text), UnixBind::parse(&text), masked(&text));
        }

        #[test]
        fn addresses_survive_printing(
            host in prop_oneof!["", "\\*", "[a-z0-9.-]{1,20}", Just("[::1]".to_owned()), Just("[fe80::1]".to_owned())],
            port in 1024_u16..,
        ) {
            let address = TcpAddress::parse(&format!("{host}:{port}"), 1024).unwrap();
            prop_assert_eq!(TcpAddress::parse(&address.to_string(), 1024).unwrap(), address);
        }

        #[test]
        fn paths_survive_printing(text in "[/~@a-z.]{1,20}/?") {
            if let Ok(bind) = UnixBind::parse(&text) {
                let again = UnixBind::parse(&bind.address.to_string()).unwrap();
                prop_assert_eq!(again.address, bind.address);
            }
        }
    }
}
