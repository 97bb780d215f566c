//! The table of the modules: what each is called, takes, asks for and keeps off.

use super::databases::{self, Sqlite};
use super::fido::{self, Fido};
use super::http_header::{self, HttpHeader};
use super::kerberos::{self, Kerberos};
use super::keycloak::{self, Keycloak};
use super::ldap::{self, Ldap};
use super::otpscreen::{self, Screen};
use super::pam::{self, Pam};
use super::{Options, What, capability, certificate, exec, origin, otp, passwords};
use crate::error::{Error, Result};
use ipc::spec::{Fido as Protocol, Token};

/// What a module has to be told by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// Nothing.
    Nothing,
    /// That it knows the secret, which is not sent.
    Proof,
    /// The password itself (the digest `xor`): only where nobody on the way can read it.
    Password,
    /// One of these two, as its file says, which is not open yet.
    ProofOrPassword,
    /// A signature of a security key.
    Signature,
    /// A ticket: only where a password may be sent.
    Ticket,
    /// What an OpenID Connect provider gives it.
    Code,
    /// That it has what the session's screen shows, which is not sent.
    Shown,
}

impl Asks {
    /// What others must not read on the way, if it certainly is such a thing.
    #[must_use]
    pub fn secret(self) -> Option<&'static str> {
        match self {
            Self::Password => Some("password"),
            Self::Ticket => Some("ticket"),
            Self::Nothing
            | Self::Proof
            | Self::ProofOrPassword
            | Self::Signature
            | Self::Code
            | Self::Shown => None,
        }
    }
}

/// On which sockets a module works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {
    /// All.
    All,
    /// Those where the kernel says who connects.
    Unix,
    /// Those where clients have an address.
    Network,
    /// Those with TLS, where clients can show a certificate.
    Tls,
}

/// A module: all that the command line knows of it. Who adds one adds a row to [`KINDS`] and takes
/// its name out of [`NOT_BUILT`].
#[derive(Debug)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// Options of its own; [`super::options::COMMON`] has those of all.
    pub(super) options: &'static [&'static str],
    /// What it asks the client for.
    pub asks: Asks,
    /// Does it keep anybody out?
    pub authenticates: bool,
    /// Where it works.
    pub sockets: Sockets,
    /// Whose name it is about: the client's, unless `client-username=no` says that it is the
    /// session's owner's; or the other way round.
    pub(super) client_username: bool,
    /// Its `value=` is kept for the lines that a refusal shows, masked there; else something else stands in its place.
    pub(super) is_open: bool,
    pub(super) read: fn(&mut Options<'_>) -> Result<What>,
}

/// Most rows have these; `read` has to be given.
const PLAIN: Kind = Kind {
    name: "",
    options: &[],
    asks: Asks::Nothing,
    authenticates: true,
    sockets: Sockets::All,
    client_username: false,
    is_open: false,
    read: |_| Err(Error::usage("a module that cannot be read")),
};

pub(super) const PEERCRED: Kind = Kind {
    name: "peercred",
    options: origin::PEERCRED,
    sockets: Sockets::Unix,
    read: origin::peercred,
    ..PLAIN
};

/// `sys` is what the system has: that is this one.
const PAM: Kind = Kind {
    name: "pam",
    options: pam::OPTIONS,
    asks: Asks::Password,
    client_username: true,
    read: |options| Ok(What::Pam(Pam::read(options)?)),
    ..PLAIN
};

const EXEC: Kind = Kind {
    name: "exec",
    options: exec::OPTIONS,
    read: exec::read,
    ..PLAIN
};

/// It with `require-challenge=yes`.
pub(super) static EXEC_WITH_PASSWORD: Kind = Kind {
    asks: Asks::Password,
    client_username: true,
    ..EXEC
};

/// Every module that there is, those that a person looks for first.
pub(super) static KINDS: [Kind; 29] = [
    Kind {
        name: "file",
        options: passwords::FILE,
        asks: Asks::Proof,
        read: passwords::file,
        ..PLAIN
    },
    Kind {
        name: "multifile",
        options: passwords::FILE,
        asks: Asks::Proof,
        client_username: true,
        read: passwords::multifile,
        ..PLAIN
    },
    Kind {
        name: "sqlite",
        options: databases::SQLITE,
        asks: Asks::ProofOrPassword,
        client_username: true,
        read: |options| Ok(What::Sqlite(Sqlite::read(options)?)),
        ..PLAIN
    },
    Kind {
        name: "mysql",
        options: databases::SERVER,
        asks: Asks::ProofOrPassword,
        client_username: true,
        read: databases::mysql,
        ..PLAIN
    },
    Kind {
        name: "sql",
        options: databases::SERVER,
        asks: Asks::ProofOrPassword,
        client_username: true,
        read: databases::sql,
        ..PLAIN
    },
    Kind {
        name: "env",
        options: passwords::ENV,
        asks: Asks::Proof,
        read: passwords::env,
        ..PLAIN
    },
    Kind {
        name: "password",
        options: passwords::PASSWORD,
        asks: Asks::Proof,
        read: passwords::password,
        ..PLAIN
    },
    Kind {
        name: "otp",
        options: otp::OPTIONS,
        asks: Asks::Password,
        read: otp::read,
        ..PLAIN
    },
    PEERCRED,
    Kind {
        name: "hosts",
        options: origin::HOSTS,
        // Everybody at these machines is no one person.
        authenticates: false,
        sockets: Sockets::Network,
        read: origin::hosts,
        ..PLAIN
    },
    EXEC,
    Kind {
        name: "ldap",
        options: ldap::LDAP,
        asks: Asks::Password,
        client_username: true,
        read: |options| Ok(What::Ldap(Ldap::read(options)?)),
        ..PLAIN
    },
    Kind {
        name: "ldap3",
        options: ldap::LDAP3,
        asks: Asks::Password,
        client_username: true,
        read: |options| Ok(What::Ldap(Ldap::read(options)?)),
        ..PLAIN
    },
    PAM,
    Kind { name: "sys", ..PAM },
    Kind {
        name: "u2f",
        options: fido::U2F,
        asks: Asks::Signature,
        read: |options| Ok(What::Fido(Fido::read(options, Protocol::U2f)?)),
        ..PLAIN
    },
    Kind {
        name: "fido2",
        options: fido::FIDO2,
        asks: Asks::Signature,
        read: |options| Ok(What::Fido(Fido::read(options, Protocol::Fido2)?)),
        ..PLAIN
    },
    Kind {
        name: "capability",
        options: capability::OPTIONS,
        // Everybody can say it.
        authenticates: false,
        is_open: true,
        read: capability::read,
        ..PLAIN
    },
    Kind {
        name: "http-header",
        options: http_header::OPTIONS,
        // Everybody can say it who comes from there.
        authenticates: false,
        sockets: Sockets::Network,
        is_open: true,
        read: |options| Ok(What::HttpHeader(HttpHeader::read(options)?)),
        ..PLAIN
    },
    Kind {
        name: "kerberos-password",
        options: kerberos::PASSWORD,
        asks: Asks::Password,
        client_username: true,
        read: |options| Ok(What::Kerberos(Kerberos::password(options)?)),
        ..PLAIN
    },
    Kind {
        name: "kerberos-token",
        options: kerberos::TICKET,
        asks: Asks::Ticket,
        client_username: true,
        read: |options| Ok(What::Kerberos(Kerberos::ticket(options, Token::Kerberos)?)),
        ..PLAIN
    },
    Kind {
        name: "gss",
        options: kerberos::TICKET,
        asks: Asks::Ticket,
        client_username: true,
        read: |options| Ok(What::Kerberos(Kerberos::ticket(options, Token::Gss)?)),
        ..PLAIN
    },
    Kind {
        name: "certificate",
        options: certificate::OPTIONS,
        sockets: Sockets::Tls,
        read: certificate::read,
        ..PLAIN
    },
    Kind {
        name: "keycloak",
        options: keycloak::OPTIONS,
        asks: Asks::Code,
        read: |options| Ok(What::Keycloak(Keycloak::read(options)?)),
        ..PLAIN
    },
    Kind {
        name: "otpscreen",
        options: otpscreen::OPTIONS,
        asks: Asks::Shown,
        read: |options| Ok(What::Screen(Screen::read(options)?)),
        ..PLAIN
    },
    Kind {
        name: "none",
        authenticates: false,
        read: |_| Ok(What::None),
        ..PLAIN
    },
    Kind {
        name: "allow",
        asks: Asks::Proof,
        authenticates: false,
        client_username: true,
        read: |_| Ok(What::Allow),
        ..PLAIN
    },
    Kind {
        name: "reject",
        asks: Asks::Proof,
        read: |_| Ok(What::Reject),
        ..PLAIN
    },
    Kind {
        name: "fail",
        read: |_| Ok(What::Fail),
        ..PLAIN
    },
];

/// Modules of Xpra's that do not exist here yet.
pub(super) const NOT_BUILT: [&str; 3] = ["scram", "oauth", "option"];

/// Modules of Xpra's that would find nothing to look at here, and what is said of each.
const NOT_HERE: [(&str, &str); 1] = [("win32", "auth=win32 needs MS Windows; use sys or pam")];

/// Every module that there is.
#[must_use]
pub fn kinds() -> &'static [Kind] {
    &KINDS
}

/// The module of this name.
///
/// # Errors
/// There is none, or not yet.
pub fn kind(name: &str) -> Result<&'static Kind> {
    let normal = name.replace('-', "_");
    let is_it = |kind: &&Kind| kind.name.replace('-', "_") == normal;
    if let Some(kind) = KINDS.iter().find(is_it) {
        return Ok(kind);
    }
    if let Some((_, why)) = NOT_HERE.iter().find(|(name, _)| *name == normal) {
        return Err(Error::usage(*why));
    }
    let what = match NOT_BUILT.contains(&normal.as_str()) {
        true => "this module is not built yet",
        false => "there is no such module",
    };
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    let (last, others) = names.split_last().unwrap_or((&"", &[]));
    Err(Error::usage(format!(
        "auth={name}: {what}; there are {} and {last}",
        others.join(", ")
    )))
}
