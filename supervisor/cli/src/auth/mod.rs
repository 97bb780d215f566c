//! Authentication on the command line: the modules that guard a socket, and their options.

mod capability;
mod certificate;
pub mod databases;
pub mod exec;
pub mod fido;
pub mod http_header;
pub mod kerberos;
pub mod keycloak;
mod kinds;
pub mod ldap;
mod module;
mod options;
mod origin;
mod otp;
pub mod otpscreen;
pub mod pam;
mod passwords;

pub use certificate::Whose;
pub use kinds::{Asks, Kind, Sockets, kind, kinds};
pub use module::{Module, What};
pub use options::{Options, is_option};
pub use origin::Names;
pub use otp::OtpKey;
pub use passwords::DEFAULT_VARIABLE;

use crate::error::{Error, Result};
use crate::syntax::{Pair, RawModule};
use options::COMMON_NOT_BUILT;
use std::collections::BTreeSet;

/// Most modules of one socket.
const MAX_CHAIN: usize = 8;

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

fn module(raw: &RawModule, shared: &[Pair], used: &mut BTreeSet<String>) -> Result<Module> {
    let kind = kind(&raw.name)?;
    let mut options = Options::new(kind, &raw.options, shared, used);
    options.are_shown()?;
    let what = (kind.read)(&mut options)?;
    let module = Module {
        kind: options.kind(),
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
    let kind = options.kind();
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

#[cfg(test)]
mod tests {
    use super::kinds::{KINDS, NOT_BUILT};
    use super::options::COMMON;
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
            ("capability", "needs value="),
            ("capability(value=)", "`value=` is empty"),
            (
                "capability(value=***)",
                "value=***: this stands for a value",
            ),
            ("password(value=***)", "value=***: this stands for a value"),
            ("otp(secret=***)", "secret=***: this stands for a value"),
            (
                "keycloak(client_secret_key=***)",
                "client_secret_key=***: this stands",
            ),
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
            ("hosts(nameserver=dns.example.org)", "there are an address"),
            ("hosts(timeout=0)", "1 to 50 seconds"),
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
            "http-header",
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
