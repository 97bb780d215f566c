//! What the authentication modules are called and which options they take.

pub mod databases;
pub mod exec;
pub mod fido;
pub mod kerberos;
pub mod keycloak;
pub mod ldap;
pub mod otpscreen;
pub mod pam;

use crate::error::{Error, Result};
use crate::options::boolean;
use crate::syntax::{Pair, RawModule};
use databases::{Server, Sqlite};
use exec::Command;
use fido::{Fido, Keys};
use ipc::spec::Fido as Protocol;
use ipc::spec::Token;
use kerberos::Kerberos;
use keycloak::Keycloak;
use ldap::Ldap;
use otpscreen::Screen;
use pam::Pam;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Environment variable that `env` reads when it is not told another.
pub const DEFAULT_VARIABLE: &str = "XPRA_PASSWORD";

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
    /// Options of its own; [`COMMON`] has those of all.
    options: &'static [&'static str],
    /// What it asks the client for.
    pub asks: Asks,
    /// Does it keep anybody out?
    pub authenticates: bool,
    /// Where it works.
    pub sockets: Sockets,
    /// Whose name it is about: the client's, unless `client-username=no` says that it is the
    /// session's owner's; or the other way round.
    client_username: bool,
    /// Its `value=` is no secret.
    is_open: bool,
    read: fn(&mut Options<'_>) -> Result<What>,
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

const PEERCRED: Kind = Kind {
    name: "peercred",
    options: &["uid", "gid", "allow-owner"],
    sockets: Sockets::Unix,
    read: peercred,
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
    read: exec,
    ..PLAIN
};

/// It with `require-challenge=yes`.
static EXEC_WITH_PASSWORD: Kind = Kind {
    asks: Asks::Password,
    client_username: true,
    ..EXEC
};

/// Every module that there is, those that a person looks for first.
static KINDS: [Kind; 28] = [
    Kind {
        name: "file",
        options: &["filename"],
        asks: Asks::Proof,
        read: |options| {
            Ok(What::File {
                filename: options.require("filename", "password.txt")?.into(),
            })
        },
        ..PLAIN
    },
    Kind {
        name: "multifile",
        options: &["filename"],
        asks: Asks::Proof,
        client_username: true,
        read: |options| {
            Ok(What::MultiFile {
                filename: options.require("filename", "users.txt")?.into(),
            })
        },
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
        options: &["name"],
        asks: Asks::Proof,
        read: env,
        ..PLAIN
    },
    Kind {
        name: "password",
        options: &["value"],
        asks: Asks::Proof,
        read: |options| {
            Ok(What::Password {
                value: Zeroizing::new(options.require("value", "SECRET")?),
            })
        },
        ..PLAIN
    },
    Kind {
        name: "otp",
        options: &["filename", "secret", "valid-window"],
        asks: Asks::Password,
        read: otp,
        ..PLAIN
    },
    PEERCRED,
    Kind {
        name: "hosts",
        options: &["hosts-allow", "hosts-deny"],
        // Everybody at these machines is no one person.
        authenticates: false,
        sockets: Sockets::Network,
        read: |options| {
            Ok(What::Hosts {
                allow: options.take("hosts-allow").map(PathBuf::from),
                deny: options.take("hosts-deny").map(PathBuf::from),
            })
        },
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
        options: &["property", "value"],
        // Everybody can say it.
        authenticates: false,
        is_open: true,
        read: capability,
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
        options: &["users", "subject", "san", "fingerprint"],
        sockets: Sockets::Tls,
        read: certificate,
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

/// Every module that there is.
#[must_use]
pub fn kinds() -> &'static [Kind] {
    &KINDS
}

/// Modules of Xpra's that do not exist here yet.
const NOT_BUILT: [&str; 3] = ["scram", "oauth", "option"];

/// Options that are secrets themselves.
const SECRETS: [&str; 3] = ["value", "secret", "client_secret_key"];

/// Options that every module takes.
const COMMON: [&str; 3] = ["prompt", "client-username", "verify-username"];

/// An option that every module of Xpra's takes and none of ours does yet.
const COMMON_NOT_BUILT: [&str; 1] = ["socket-dirs"];

/// Longest `prompt=`, in bytes.
const MAX_PROMPT: usize = 256;

/// Is this the name of a module's option? In a bind string these may stand beside the module.
#[must_use]
pub fn is_option(name: &str) -> bool {
    let own = KINDS.iter().flat_map(|kind| kind.options);
    own.chain(&COMMON)
        .chain(&COMMON_NOT_BUILT)
        .any(|known| *known == name)
}

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
        value: Zeroizing<String>,
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
    },
    /// The client says something of itself.
    Capability {
        /// The key in its hello.
        property: String,
        /// What has to stand there.
        value: Zeroizing<String>,
    },
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

/// Whose certificate is whose.
#[derive(Clone, PartialEq, Eq)]
pub enum Whose {
    /// A file says so.
    File(PathBuf),
    /// This one (`KIND:VALUE`, as in such a file) is the session's owner's.
    Owner(String),
}

/// Where the key of one-time codes is.
#[derive(Clone, PartialEq, Eq)]
pub enum OtpKey {
    /// In a file.
    File(PathBuf),
    /// On the command line.
    Value(Zeroizing<String>),
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

/// Most modules of one socket.
const MAX_CHAIN: usize = 8;

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

/// Reads the modules of one socket. `shared` are options that were written beside them, for
/// whichever module knows them (`auth=file,filename=x`).
///
/// # Errors
/// An unknown or missing module, an unknown, missing or unused option: each by name.
pub fn chain(raw: &[RawModule], shared: &[Pair]) -> Result<Vec<Module>> {
    if raw.len() > MAX_CHAIN {
        return Err(Error::usage(format!("more than {MAX_CHAIN} times auth=")));
    }
    let mut used = BTreeSet::new();
    let modules = raw
        .iter()
        .map(|raw| module(raw, shared, &mut used))
        .collect::<Result<Vec<_>>>()?;
    for (position, one) in modules.iter().enumerate() {
        let same = |other: &&Module| other.file().is_some() && other.file() == one.file();
        if let Some(other) = modules.iter().skip(position + 1).find(same) {
            return Err(Error::usage(format!(
                "auth={} and auth={} have one secret, which is one factor: give each a filename of its own, as in auth={}(filename=FILE)",
                one.name(),
                other.name(),
                other.name()
            )));
        }
    }
    match shared.iter().find(|(key, _)| !used.contains(key.as_str())) {
        Some((key, _)) if raw.is_empty() => {
            Err(Error::usage(format!("`{key}=` without auth=MODULE")))
        }
        Some((key, _)) if COMMON_NOT_BUILT.contains(&key.as_str()) => Err(Error::usage(format!(
            "the option `{key}` of modules is not built yet"
        ))),
        Some((key, _)) => {
            let names: Vec<_> = modules.iter().map(Module::name).collect();
            Err(Error::usage(format!(
                "no option `{key}` has auth={}",
                names.join(", auth=")
            )))
        }
        None => Ok(modules),
    }
}

/// The keys of a client's hello that these modules look at, each once.
#[must_use]
pub fn capabilities(chain: &[Module]) -> Vec<String> {
    let mut names = Vec::new();
    for module in chain {
        if let What::Capability { property, .. } = &module.what
            && !names.contains(property)
        {
            names.push(property.clone());
        }
    }
    names
}

/// The time limit of a check in seconds, when none is given.
const TIMEOUT: u16 = 10;
/// The longest; a login may take 60 seconds in all.
const MAX_TIMEOUT: u16 = 50;

/// The options of one module while it is being read.
pub struct Options<'a> {
    kind: &'static Kind,
    own: &'a [Pair],
    shared: &'a [Pair],
    used: &'a mut BTreeSet<String>,
}

impl Options<'_> {
    /// The last of these that was written. Only names that [`KINDS`] or [`COMMON`] have are found.
    pub fn take(&mut self, key: &str) -> Option<String> {
        if !self.knows(key) {
            return None;
        }
        if self.shared.iter().any(|(name, _)| name == key) {
            self.used.insert(key.to_owned());
        }
        let last = |pairs: &[Pair]| {
            pairs
                .iter()
                .rev()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value.clone())
        };
        last(self.own).or_else(|| last(self.shared))
    }

    /// All of them, but for secrets.
    fn written(&self) -> Vec<Pair> {
        let is_own = |key: &String| self.own.iter().any(|(own, _)| own == key);
        let beside = self.shared.iter().filter(|(key, _)| !is_own(key));
        let secret = |key: &str| SECRETS.contains(&key) && !self.kind.is_open;
        let shown = |(key, _): &&Pair| self.knows(key) && !secret(key);
        self.own
            .iter()
            .chain(beside)
            .filter(shown)
            .cloned()
            .collect()
    }

    fn knows(&self, key: &str) -> bool {
        let mut known = self.kind.options.iter().chain(&COMMON);
        // Nobody sees the prompt of a module that asks nothing; and it would refuse a wrong name
        // before anything is asked, which tells the right one.
        let vain = ["prompt", "verify-username"].contains(&key) && self.kind.asks == Asks::Nothing;
        known.any(|known| *known == key) && !vain
    }

    /// One that has to be there, and not be empty.
    ///
    /// # Errors
    /// It is not.
    pub fn require(&mut self, key: &str, example: &str) -> Result<String> {
        match self.take(key) {
            Some(value) if !value.is_empty() => Ok(value),
            Some(_) => Err(Error::usage(format!(
                "auth={}: `{key}=` is empty",
                self.kind.name
            ))),
            None => Err(Error::usage(format!(
                "auth={0} needs {key}=, e.g. auth={0}({key}={example})",
                self.kind.name
            ))),
        }
    }

    /// A yes or no.
    ///
    /// # Errors
    /// It is neither.
    pub fn flag(&mut self, key: &str, default: bool) -> Result<bool> {
        match self.take(key) {
            None => Ok(default),
            Some(text) => {
                let place = format!("auth={}: {key}", self.kind.name);
                boolean(&text).map_err(|error| error.at(place))
            }
        }
    }

    /// The time limit of a check in seconds.
    ///
    /// # Errors
    /// None that a login leaves time for.
    pub fn timeout(&mut self) -> Result<u16> {
        let Some(text) = self.take("timeout") else {
            return Ok(TIMEOUT);
        };
        match text.parse() {
            Ok(seconds) if (1..=MAX_TIMEOUT).contains(&seconds) => Ok(seconds),
            _ => {
                let allowed = format!("1 to {MAX_TIMEOUT} seconds: a login may take 60 in all");
                Err(self.wrong("timeout", &text, &allowed))
            }
        }
    }

    /// Whose they are, for errors.
    pub fn place(&self) -> String {
        format!("auth={}", self.kind.name)
    }

    /// An error: this is no value of that option.
    pub fn wrong(&self, key: &str, value: &str, allowed: &str) -> Error {
        Error::usage(format!(
            "auth={}: {key}={value}: there are {allowed}",
            self.kind.name
        ))
    }

    /// An error: this option needs another one.
    pub fn vain(&self, key: &str, needed: &str) -> Error {
        Error::usage(format!("auth={}: `{key}` needs {needed}", self.kind.name))
    }

    /// A list with colons.
    fn list(&mut self, key: &str) -> Vec<String> {
        let text = self.take(key).unwrap_or_default();
        let parts = text.split(':').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    }

    fn prompt(&mut self) -> Result<Option<String>> {
        let Some(text) = self.take("prompt") else {
            return Ok(None);
        };
        if text.is_empty() || text.len() > MAX_PROMPT || text.contains(char::is_control) {
            return Err(Error::usage(format!(
                "auth={}: `prompt=` is empty, longer than {MAX_PROMPT} bytes or not printable",
                self.kind.name
            )));
        }
        Ok(Some(text))
    }

    fn finish(self) -> Result<()> {
        match self.own.iter().find(|(key, _)| !self.knows(key)) {
            None => Ok(()),
            Some((key, _)) if COMMON_NOT_BUILT.contains(&key.as_str()) => {
                Err(Error::usage(format!(
                    "auth={}: the option `{key}` is not built yet",
                    self.kind.name
                )))
            }
            Some((key, _)) => Err(Error::usage(format!(
                "auth={} has no option `{key}`",
                self.kind.name
            ))),
        }
    }
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
    if normal == "http_header" {
        return Err(Error::usage(
            "auth=http-header looks at the request that opens a WebSocket, and there are none here yet: no socket could have it",
        ));
    }
    if normal == "win32" {
        return Err(Error::usage("auth=win32 needs MS Windows; use sys or pam"));
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

fn module(raw: &RawModule, shared: &[Pair], used: &mut BTreeSet<String>) -> Result<Module> {
    let kind = kind(&raw.name)?;
    let mut options = Options {
        kind,
        own: &raw.options,
        shared,
        used,
    };
    let what = (kind.read)(&mut options)?;
    let module = Module {
        kind: options.kind,
        what,
        prompt: options.prompt()?,
        client_username: client_username(&mut options)?,
        verify_username: options.flag("verify-username", false)?,
        written: options.written(),
    };
    options.finish()?;
    Ok(module)
}

/// Is the user who the client says that it is?
fn client_username(options: &mut Options<'_>) -> Result<bool> {
    let kind = options.kind;
    let yes = options.flag("client-username", kind.client_username)?;
    match yes && matches!(kind.asks, Asks::Code | Asks::Shown) {
        // The provider has names of its own; and whoever reads a code is nobody by name.
        true => Err(Error::usage(format!(
            "auth={}: client-username=yes: the name that a client says is not proved by it",
            kind.name
        ))),
        false => Ok(yes),
    }
}

fn exec(options: &mut Options<'_>) -> Result<What> {
    let command = Command::read(options)?;
    if command.password {
        options.kind = &EXEC_WITH_PASSWORD;
        if !options.flag("client-username", true)? {
            return Err(Error::usage(
                "auth=exec: client-username=no: the command is told the name that the client says",
            ));
        }
    }
    Ok(What::Exec(command))
}

fn env(options: &mut Options<'_>) -> Result<What> {
    let name = options.take("name");
    let name = name.unwrap_or_else(|| DEFAULT_VARIABLE.to_owned());
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(Error::usage(format!(
            "auth=env: `{name}` is no variable's name"
        )));
    }
    Ok(What::Env { name })
}

/// Most codes before and after the present one: five minutes.
const MAX_WINDOW: u8 = 10;

fn otp(options: &mut Options<'_>) -> Result<What> {
    let window = options.take("valid-window").unwrap_or_else(|| "0".into());
    let bad = || {
        Error::usage(format!(
            "auth=otp: `valid-window={window}` is not a number of codes from 0 to {MAX_WINDOW}"
        ))
    };
    let number = window.parse().ok().filter(|number| *number <= MAX_WINDOW);
    let number = number.ok_or_else(bad)?;
    let key = match (options.take("filename"), options.take("secret")) {
        (Some(_), Some(_)) => {
            return Err(Error::usage("auth=otp: either `filename=` or `secret=`"));
        }
        (_, Some(value)) => OtpKey::Value(Zeroizing::new(value)),
        _ => OtpKey::File(options.require("filename", "otp.txt")?.into()),
    };
    Ok(What::Otp {
        key,
        window: number,
    })
}

/// Longest key of a client's hello, in bytes.
const MAX_PROPERTY: usize = 64;
/// Longest value there, in bytes.
const MAX_CAPABILITY: usize = 256;

fn capability(options: &mut Options<'_>) -> Result<What> {
    let property = options
        .take("property")
        .unwrap_or_else(|| "display".to_owned());
    if property.is_empty() || property.len() > MAX_PROPERTY || property.contains(char::is_control) {
        return Err(options.wrong(
            "property",
            "…",
            &format!("printable texts of 1 to {MAX_PROPERTY} bytes"),
        ));
    }
    let value = Zeroizing::new(options.require("value", "TEXT")?);
    if value.len() > MAX_CAPABILITY {
        return Err(options.wrong(
            "value",
            "…",
            &format!("texts of 1 to {MAX_CAPABILITY} bytes"),
        ));
    }
    Ok(What::Capability { property, value })
}

fn certificate(options: &mut Options<'_>) -> Result<What> {
    let given: Vec<_> = ["users", "subject", "san", "fingerprint"]
        .into_iter()
        .filter_map(|key| Some((key, options.take(key)?)))
        .collect();
    let [(key, value)] = &given[..] else {
        return Err(Error::usage(
            "auth=certificate needs to be told whose certificate lets in, in one way: users=FILE, subject=, san= or fingerprint=",
        ));
    };
    if *key == "users" {
        return Ok(What::Certificate(Whose::File(
            options.require("users", "certificates.txt")?.into(),
        )));
    }
    let inner = value.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
    let rule = format!("{key}:{}", inner.unwrap_or(value));
    match certificates::Users::read(format!("owner|{rule}\n").as_bytes()) {
        Ok(_) => Ok(What::Certificate(Whose::Owner(rule))),
        Err(error) => {
            let error = error.to_string();
            let error = error.trim_start_matches("line 1: ");
            Err(Error::usage(format!("auth=certificate: {key}=: {error}")))
        }
    }
}

fn peercred(options: &mut Options<'_>) -> Result<What> {
    Ok(What::PeerCred {
        uids: options.list("uid"),
        gids: options.list("gid"),
        allow_owner: options.flag("allow-owner", true)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, shared: &[(&str, &str)]) -> Result<Vec<Module>> {
        let shared: Vec<Pair> = shared
            .iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect();
        chain(&[RawModule::parse(text)?], &shared)
    }

    #[test]
    fn options_are_found_in_brackets_and_beside_the_module() {
        let what = |text: &str, shared: &[(&str, &str)]| {
            let mut modules = read(text, shared).unwrap();
            assert_eq!(modules.len(), 1);
            modules.remove(0).what
        };
        let wanted = What::File {
            filename: "a.txt".into(),
        };
        assert!(what("file(filename=a.txt)", &[]) == wanted);
        assert!(what("file:filename=a.txt", &[]) == wanted);
        assert!(what("file", &[("filename", "a.txt")]) == wanted);
        let wanted = What::Env {
            name: DEFAULT_VARIABLE.into(),
        };
        assert!(what("env", &[]) == wanted);
        let wanted = What::PeerCred {
            uids: vec!["a".into(), "12".into()],
            gids: vec![],
            allow_owner: false,
        };
        assert!(what("peercred(uid=a:12,allow-owner=no)", &[]) == wanted);
    }

    #[test]
    fn what_every_module_takes() {
        let of = |text: &str, shared: &[(&str, &str)]| {
            let mut modules = read(text, shared).unwrap();
            let module = modules.remove(0);
            let prompt = module.prompt.unwrap_or_default();
            (prompt, module.client_username, module.verify_username)
        };
        assert_eq!(of("env", &[]), (String::new(), false, false));
        assert_eq!(of("allow", &[]), (String::new(), true, false));
        let all = "env(prompt=say it,client-username=yes,verify-username=on)";
        assert_eq!(of(all, &[]), ("say it".into(), true, true));
        let shared = [("prompt", "p"), ("client-username", "no")];
        assert_eq!(of("allow", &shared), ("p".into(), false, false));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (text, part) in [
            ("file", "needs filename="),
            ("file:filename=", "is empty"),
            ("password", "needs value="),
            ("none:x=1", "no option `x`"),
            ("env(socket-dirs=/)", "`socket-dirs` is not built yet"),
            ("env(prompt=)", "`prompt=` is empty"),
            ("env(prompt=a\nb)", "not printable"),
            ("peercred(prompt=a)", "no option `prompt`"),
            ("env(verify-username=perhaps)", "perhaps"),
            ("hosts(verify-username=yes)", "no option `verify-username`"),
            ("gss", "auth=gss needs realm="),
            ("http-header", "WebSocket"),
            ("capability", "needs value="),
            ("capability(value=)", "`value=` is empty"),
            (
                "capability(property=,value=x)",
                "printable texts of 1 to 64",
            ),
            ("frob", "auth=frob: there is no such module"),
            ("win32", "needs MS Windows"),
            ("otp", "needs filename="),
            (
                "otp(filename=a,secret=b)",
                "either `filename=` or `secret=`",
            ),
            (
                "otp(filename=a,valid-window=11)",
                "`valid-window=11` is not",
            ),
            ("otp(filename=a,valid-window=-1)", "from 0 to 10"),
            ("multifile", "needs filename="),
            ("u2f(verify=yes)", "no option `verify`"),
            ("fido2(app_id=)", "printable texts of 1 to 256 bytes"),
            ("fido2(origin=a\tb)", "printable texts"),
            ("u2f(public_key=04)", "is no public key of P-256"),
            ("u2f(public_key=0x04)", "is not hexadecimal"),
            (
                "u2f(public_key=04,public-key-file=k)",
                "either `public_key=` or `public-key-file=`",
            ),
            ("u2f(public-key-file=)", "names of files"),
            ("hosts(filename=a)", "no option `filename`"),
            ("env:name=A=B", "no variable's name"),
            ("peercred:allow-owner=perhaps", "perhaps"),
        ] {
            let error = read(text, &[]).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let error = read("env", &[("filename", "a")]).unwrap_err().to_string();
        assert_eq!(error, "no option `filename` has auth=env");
        let error = chain(&[], &[("value".into(), "secret".into())])
            .unwrap_err()
            .to_string();
        assert_eq!(error, "`value=` without auth=MODULE");
    }

    #[test]
    fn only_modules_that_keep_somebody_out_authenticate() {
        let all = [
            "allow",
            "none",
            "fail",
            "reject",
            "env",
            "password:value=x",
            "file:filename=x",
            "peercred",
            "multifile:filename=x",
            "hosts",
            "capability:value=x",
            "otp:filename=x",
            "u2f",
            "fido2",
        ];
        let yes: Vec<_> = all
            .iter()
            .flat_map(|text| read(text, &[]).unwrap())
            .filter(|module| module.kind.authenticates)
            .map(|module| module.name())
            .collect();
        assert_eq!(
            yes,
            [
                "fail",
                "reject",
                "env",
                "password",
                "file",
                "peercred",
                "multifile",
                "otp",
                "u2f",
                "fido2"
            ]
        );
    }

    #[test]
    fn the_tables_fit_together() {
        let names: BTreeSet<_> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
        assert!(NOT_BUILT.iter().all(|name| !names.contains(name)));
        for kind in &KINDS {
            // A name that the table lacks would never be found.
            assert!(kind.options.iter().all(|name| is_option(name)));
            assert!(kind.options.iter().all(|name| !COMMON.contains(name)));
            let error = read(kind.name, &[]).err().map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert!(error.is_empty() || error.contains(" needs "), "{error}");
        }
    }

    #[test]
    fn two_modules_have_two_secrets() {
        let both = |first: &str, second: &str| {
            let raw = [first, second].map(|text| RawModule::parse(text).unwrap());
            let shared = [("filename".into(), "k".into())];
            chain(&raw, &shared).map_err(|error| error.to_string())
        };
        assert!(both("file", "otp(filename=x)").is_ok());
        for (first, second) in [("file", "otp"), ("otp", "multifile"), ("file", "file")] {
            let error = both(first, second).unwrap_err();
            let start = format!("auth={first} and auth={second} have one secret");
            assert!(error.starts_with(&start), "{error}");
        }
    }

    #[test]
    fn a_password_is_not_printed() {
        let modules = read("password:value=hunter2", &[]).unwrap();
        assert_eq!(format!("{modules:?}"), "[password]");
        let modules = read("otp:secret=hunter2", &[]).unwrap();
        assert_eq!(format!("{modules:?}"), "[otp]");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,80}", key in "[a-z-]{0,12}", value in ".{0,20}") {
            let _ = read(&text, &[(&key, &value)]);
        }
    }
}
