//! One module as it was asked for.

use super::certificate::Whose;
use super::databases::{Server, Sqlite};
use super::exec::Command;
use super::fido::{Fido, Keys};
use super::http_header::HttpHeader;
use super::kerberos::Kerberos;
use super::keycloak::Keycloak;
use super::kinds::{Kind, PEERCRED};
use super::ldap::Ldap;
use super::origin::Names;
use super::otp::OtpKey;
use super::otpscreen::Screen;
use super::pam::Pam;
use crate::hidden::Hidden;
use crate::syntax::Pair;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a module checks.
#[derive(Clone, PartialEq, Eq)]
pub enum What {
    /// Anybody who answers the question, with whatever answer.
    Allow,
    /// Anybody; nobody is asked.
    None,
    /// Nobody; nobody is asked.
    Fail,
    /// Nobody; everybody is asked.
    Reject,
    /// The password is in an environment variable.
    Env {
        /// Its name.
        name: String,
    },
    /// The password stands on the command line.
    Password {
        /// It.
        value: Hidden<String>,
    },
    /// The password is the contents of a file.
    File {
        /// Its path.
        filename: PathBuf,
    },
    /// The passwords of many users are in a file.
    MultiFile {
        /// Its path.
        filename: PathBuf,
    },
    /// The passwords of many users are in a SQLite database.
    Sqlite(Sqlite),
    /// The passwords of many users are at a database server.
    Sql(Server),
    /// Codes of the clock, made from a key.
    Otp {
        /// The key, in base32.
        key: OtpKey,
        /// How many codes before and after the present one are good too.
        window: u8,
    },
    /// Rules of tcp-wrappers; `None` where the system has them.
    Hosts {
        /// The path of `hosts.allow`.
        allow: Option<PathBuf>,
        /// The path of `hosts.deny`.
        deny: Option<PathBuf>,
        /// How names are found out.
        names: Names,
    },
    /// The client says something of itself.
    Capability {
        /// The key in its hello.
        property: String,
        /// What has to stand there.
        value: Hidden<String>,
    },
    /// A proxy says something of the client.
    HttpHeader(HttpHeader),
    /// The kernel says who connects.
    PeerCred {
        /// User names or numbers.
        uids: Vec<String>,
        /// Group names or numbers.
        gids: Vec<String>,
        /// The session's owner may connect too.
        allow_owner: bool,
    },
    /// A command decides.
    Exec(Command),
    /// An LDAP server decides.
    Ldap(Ldap),
    /// PAM's modules decide.
    Pam(Pam),
    /// Security keys sign.
    Fido(Fido),
    /// Kerberos decides.
    Kerberos(Kerberos),
    /// The certificate that the client shows says who it is.
    Certificate(Whose),
    /// An OpenID Connect provider decides.
    Keycloak(Keycloak),
    /// Codes are shown on the session's screen.
    Screen(Screen),
}

/// A module as it was asked for; nothing is opened or looked up yet.
#[derive(Clone)]
pub struct Module {
    /// Which.
    pub kind: &'static Kind,
    /// What it checks.
    pub what: What,
    /// What the person is asked, if not what we would ask.
    pub prompt: Option<String>,
    /// The user is who the client says, and not the session's owner.
    pub client_username: bool,
    /// Who does not say the owner's name is refused.
    pub verify_username: bool,
    /// Its options as they were written, wherever, but for secrets.
    pub written: Vec<Pair>,
}

impl PartialEq for Module {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
            && self.what == other.what
            && self.prompt == other.prompt
            && self.client_username == other.client_username
            && self.verify_username == other.verify_username
    }
}

impl Eq for Module {}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Module {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind.name
    }

    /// The file with its secret, if it has one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.what {
            What::File { filename }
            | What::MultiFile { filename }
            | What::Sqlite(Sqlite { filename, .. })
            | What::Otp {
                key: OtpKey::File(filename),
                ..
            }
            | What::Fido(Fido {
                keys: Keys::File(filename),
                ..
            }) => Some(filename),
            _ => None,
        }
    }

    /// The session's owner, as the kernel says; root could do everything anyway.
    #[must_use]
    pub fn owner_only() -> Self {
        Self {
            kind: &PEERCRED,
            what: What::PeerCred {
                uids: vec!["0".into()],
                gids: Vec::new(),
                allow_owner: true,
            },
            prompt: None,
            client_username: false,
            verify_username: false,
            written: Vec::new(),
        }
    }
}
