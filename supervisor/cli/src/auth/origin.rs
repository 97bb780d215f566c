//! The modules that look at where a client comes from: `peercred` and `hosts`.

use super::{Options, What};
use crate::error::Result;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// The options of `peercred`.
pub(super) const PEERCRED: &[&str] = &["uid", "gid", "allow-owner"];

/// The options of `hosts`.
pub(super) const HOSTS: &[&str] = &[
    "hosts-allow",
    "hosts-deny",
    "nameserver",
    "names-file",
    "timeout",
];

/// Seconds for finding out a name, when none are given: who owns the client's address can make it last as long.
const TIMEOUT: u16 = 5;
/// Where name servers listen.
const PORT: u16 = 53;

/// How the names of clients are found out, where a rule goes by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The name server; `None`: those of `/etc/resolv.conf`.
    pub server: Option<SocketAddr>,
    /// The file of names that nobody is asked for; `None`: `/etc/hosts`.
    pub file: Option<PathBuf>,
    /// Seconds that it may take.
    pub timeout: u16,
}

pub(super) fn peercred(options: &mut Options<'_>) -> Result<What> {
    Ok(What::PeerCred {
        uids: options.list("uid"),
        gids: options.list("gid"),
        allow_owner: options.flag("allow-owner", true)?,
    })
}

pub(super) fn hosts(options: &mut Options<'_>) -> Result<What> {
    let server = match options.take("nameserver") {
        None => None,
        Some(text) => match server(&text) {
            Some(server) => Some(server),
            None => {
                let allowed = "an address, with a port if it is not 53: 192.0.2.53, 127.0.0.1:5353, [::1]:5353";
                return Err(options.wrong("nameserver", &text, allowed));
            }
        },
    };
    Ok(What::Hosts {
        allow: options.take("hosts-allow").map(PathBuf::from),
        deny: options.take("hosts-deny").map(PathBuf::from),
        names: Names {
            server,
            file: options.take("names-file").map(PathBuf::from),
            timeout: options.timeout_or(TIMEOUT)?,
        },
    })
}

/// `192.0.2.53`, `192.0.2.53:5353`, `::1`, `[::1]`, `[::1]:5353`.
fn server(text: &str) -> Option<SocketAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = match bare {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    };
    let server = match address {
        Some(address) => SocketAddr::new(address, PORT),
        None => text.parse().ok()?,
    };
    (server.port() != 0 && !server.ip().is_unspecified()).then_some(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_addresses() {
        for (text, wanted) in [
            ("192.0.2.53", Some("192.0.2.53:53")),
            ("192.0.2.53:5353", Some("192.0.2.53:5353")),
            ("::1", Some("[::1]:53")),
            ("[::1]", Some("[::1]:53")),
            ("[::1]:5353", Some("[::1]:5353")),
            ("localhost", None),
            ("192.0.2.53:0", None),
            ("0.0.0.0", None),
            ("192.0.2.53:70000", None),
            ("[192.0.2.53]", None),
            ("", None),
        ] {
            let wanted = wanted.map(|text| text.parse().unwrap());
            assert_eq!(server(text), wanted, "{text}");
        }
    }
}
