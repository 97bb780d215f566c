//! What the authentication modules are called and which options they take.

use crate::error::{Error, Result};
use crate::options::boolean;
use crate::syntax::{Pair, RawModule};
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Environment variable that `env` reads when it is not told another.
pub const DEFAULT_VARIABLE: &str = "XPRA_PASSWORD";

/// A module as it was asked for; nothing is opened or looked up yet.
#[derive(Clone, PartialEq, Eq)]
pub enum Module {
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
    /// The kernel says who connects.
    PeerCred {
        /// User names or numbers.
        uids: Vec<String>,
        /// Group names or numbers.
        gids: Vec<String>,
        /// The session's owner may connect too.
        allow_owner: bool,
    },
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Most modules of one socket.
const MAX_CHAIN: usize = 8;

/// Modules of Xpra's that do not exist here yet.
const NOT_BUILT: [&str; 24] = [
    "multifile",
    "sqlite",
    "sql",
    "mysql",
    "pam",
    "sys",
    "win32",
    "hosts",
    "exec",
    "capability",
    "http_header",
    "ldap",
    "ldap3",
    "kerberos_password",
    "kerberos_token",
    "gss",
    "keycloak",
    "u2f",
    "fido2",
    "otp",
    "otpscreen",
    "scram",
    "oauth",
    "option",
];

/// Options that every module of Xpra's takes and none of ours does yet.
const COMMON_NOT_BUILT: [&str; 4] = [
    "prompt",
    "client-username",
    "verify-username",
    "socket-dirs",
];

/// Every name that a module's option has: in a bind string these may stand beside the module.
pub const OPTION_NAMES: [&str; 10] = [
    "name",
    "value",
    "filename",
    "uid",
    "gid",
    "allow-owner",
    "prompt",
    "client-username",
    "verify-username",
    "socket-dirs",
];

impl Module {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::None => "none",
            Self::Fail => "fail",
            Self::Reject => "reject",
            Self::Env { .. } => "env",
            Self::Password { .. } => "password",
            Self::File { .. } => "file",
            Self::PeerCred { .. } => "peercred",
        }
    }

    /// Does it keep anybody out?
    #[must_use]
    pub fn authenticates(&self) -> bool {
        !matches!(self, Self::Allow | Self::None)
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

/// The options of one module while it is being read.
struct Options<'a> {
    module: &'static str,
    own: &'a [Pair],
    shared: &'a [Pair],
    used: &'a mut BTreeSet<String>,
    known: Vec<&'static str>,
}

impl Options<'_> {
    fn take(&mut self, key: &'static str) -> Option<String> {
        self.known.push(key);
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

    fn require(&mut self, key: &'static str, example: &str) -> Result<String> {
        match self.take(key) {
            Some(value) if !value.is_empty() => Ok(value),
            Some(_) => Err(Error::usage(format!(
                "auth={}: `{key}=` is empty",
                self.module
            ))),
            None => Err(Error::usage(format!(
                "auth={0} needs {key}=, e.g. auth={0}({key}={example})",
                self.module
            ))),
        }
    }

    fn finish(self) -> Result<()> {
        match self
            .own
            .iter()
            .find(|(key, _)| !self.known.contains(&key.as_str()))
        {
            None => Ok(()),
            Some((key, _)) if COMMON_NOT_BUILT.contains(&key.as_str()) => Err(Error::usage(
                format!("auth={}: the option `{key}` is not built yet", self.module),
            )),
            Some((key, _)) => Err(Error::usage(format!(
                "auth={} has no option `{key}`",
                self.module
            ))),
        }
    }
}

/// The module's name, if there is such a module.
///
/// # Errors
/// There is not, or not yet.
pub fn known_name(raw: &RawModule) -> Result<&'static str> {
    const KNOWN: [&str; 8] = [
        "allow", "none", "fail", "reject", "env", "password", "file", "peercred",
    ];
    let normal = raw.name.replace('-', "_");
    if let Some(name) = KNOWN.into_iter().find(|name| *name == normal) {
        return Ok(name);
    }
    Err(Error::usage(match NOT_BUILT.contains(&normal.as_str()) {
        true => format!(
            "auth={}: this module is not built yet; there are {AVAILABLE}",
            raw.name
        ),
        false => format!(
            "auth={}: there is no such module; there are {AVAILABLE}",
            raw.name
        ),
    }))
}

fn module(raw: &RawModule, shared: &[Pair], used: &mut BTreeSet<String>) -> Result<Module> {
    let name = known_name(raw)?;
    let mut options = Options {
        module: name,
        own: &raw.options,
        shared,
        used,
        known: Vec::new(),
    };
    let list = |text: Option<String>| -> Vec<String> {
        text.iter()
            .flat_map(|t| t.split(':'))
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let module = match name {
        "allow" => Module::Allow,
        "none" => Module::None,
        "fail" => Module::Fail,
        "reject" => Module::Reject,
        "env" => {
            let name = options
                .take("name")
                .unwrap_or_else(|| DEFAULT_VARIABLE.to_owned());
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(Error::usage(format!(
                    "auth=env: `{name}` is no variable's name"
                )));
            }
            Module::Env { name }
        }
        "password" => {
            let value = options.require("value", "SECRET")?;
            Module::Password {
                value: Zeroizing::new(value),
            }
        }
        "file" => Module::File {
            filename: options.require("filename", "password.txt")?.into(),
        },
        _ => Module::PeerCred {
            uids: list(options.take("uid")),
            gids: list(options.take("gid")),
            allow_owner: match options.take("allow-owner") {
                None => true,
                Some(text) => boolean(&text).map_err(|e| e.at("auth=peercred: allow-owner"))?,
            },
        },
    };
    options.finish()?;
    Ok(module)
}

const AVAILABLE: &str = "file, env, password, peercred, none, allow, reject and fail";

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
        let wanted = vec![Module::File {
            filename: "a.txt".into(),
        }];
        assert!(read("file(filename=a.txt)", &[]).unwrap() == wanted);
        assert!(read("file:filename=a.txt", &[]).unwrap() == wanted);
        assert!(read("file", &[("filename", "a.txt")]).unwrap() == wanted);
        assert!(
            read("env", &[]).unwrap()
                == [Module::Env {
                    name: DEFAULT_VARIABLE.into()
                }]
        );
        let wanted = Module::PeerCred {
            uids: vec!["a".into(), "12".into()],
            gids: vec![],
            allow_owner: false,
        };
        assert!(read("peercred(uid=a:12,allow-owner=no)", &[]).unwrap() == [wanted]);
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (text, part) in [
            ("file", "needs filename="),
            ("file:filename=", "is empty"),
            ("password", "needs value="),
            ("none:x=1", "no option `x`"),
            ("file(filename=a,prompt=b)", "`prompt` is not built yet"),
            ("ldap", "auth=ldap: this module is not built yet"),
            ("http-header", "not built yet"),
            ("frob", "auth=frob: there is no such module"),
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
        ];
        let yes: Vec<_> = all
            .iter()
            .flat_map(|text| read(text, &[]).unwrap())
            .filter(Module::authenticates)
            .map(|m| m.name())
            .collect();
        assert_eq!(
            yes,
            ["fail", "reject", "env", "password", "file", "peercred"]
        );
    }

    #[test]
    fn a_password_is_not_printed() {
        let modules = read("password:value=hunter2", &[]).unwrap();
        assert_eq!(format!("{modules:?}"), "[password]");
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,80}", key in "[a-z-]{0,12}", value in ".{0,20}") {
            let _ = read(&text, &[(&key, &value)]);
        }
    }
}
