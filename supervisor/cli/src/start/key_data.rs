//! The key data of all sockets, and what `keys` is told about it.

use super::wanted::Wanted;
use crate::auth::{Module, What};
use crate::encryption::{self, Encryption, Source, VARIABLE};
use crate::error::{Error, Result};
use crate::secrets::{self, Secret};
use crate::session::Owner;
use ipc::spec::KeyData;
use std::os::fd::OwnedFd;

/// The key data, and what `keys` is told about it: for each socket that is wanted.
#[derive(Default)]
pub struct Keys {
    pub listeners: Vec<Option<KeyData>>,
    pub fds: Vec<OwnedFd>,
    pub warnings: Vec<String>,
}

/// Opens and checks the key data of all sockets.
///
/// # Errors
/// What is wrong with one.
pub fn open_keys(wanted: &[Wanted], owner: &Owner) -> Result<Keys> {
    let mut keys = Keys::default();
    for one in wanted {
        let data = match &one.encryption {
            None => None,
            Some(wanted) => {
                let (secret, trim) = open(wanted, &one.chain, owner)?;
                let index = u16::try_from(keys.fds.len())
                    .map_err(|_| Error::usage("too many encrypted sockets"))?;
                keys.warnings.extend(short(&secret.fd));
                keys.warnings.extend(secret.warnings);
                keys.warnings.extend(encryption::warning(wanted));
                keys.fds.push(secret.fd);
                Some(KeyData {
                    secret: index,
                    trim,
                    in_place: secret.in_place,
                    key_size: wanted.key_size,
                })
            }
        };
        keys.listeners.push(data);
    }
    keys.warnings.sort();
    keys.warnings.dedup();
    Ok(keys)
}

/// A key that can be guessed. How long it is, is all that is looked at.
fn short(fd: &OwnedFd) -> Option<String> {
    let bytes = nix::sys::stat::fstat(fd).ok()?.st_size;
    (bytes < 16).then(|| {
        format!("a key of {bytes} bytes can be guessed by whoever can connect: take 32 random ones")
    })
}

/// The key data, and whether line ends around it count for nothing.
fn open(wanted: &Encryption, chain: &[Module], owner: &Owner) -> Result<(Secret, bool)> {
    match &wanted.source {
        Source::File(path) => {
            if chain.iter().any(|module| module.file() == Some(path)) {
                return Err(is_the_password("keyfile="));
            }
            Ok((secrets::key_file(path, owner.ids())?, true))
        }
        Source::Data(data) => {
            let same = |module: &Module| matches!(&module.what, What::Password { value } if value.as_bytes() == data.as_slice());
            if chain.iter().any(same) {
                return Err(is_the_password("keydata="));
            }
            let warnings = vec![
                "keydata= on a command line can be seen by every user of this machine until the session runs, and stays in the shell's history; use keyfile=".to_owned(),
            ];
            Ok((
                Secret {
                    fd: secrets::sealed(data)?,
                    warnings,
                    in_place: false,
                },
                false,
            ))
        }
        Source::Default if std::env::var_os(VARIABLE).is_some() => {
            let value = std::env::var_os(VARIABLE);
            let same = |module: &Module| match &module.what {
                What::Env { name } => std::env::var_os(name) == value,
                What::Password { value: password } => value
                    .as_ref()
                    .is_some_and(|value| value == password.as_str()),
                _ => false,
            };
            if chain.iter().any(same) {
                return Err(is_the_password(VARIABLE));
            }
            let fd = secrets::variable("encryption", VARIABLE)?;
            Ok((
                Secret {
                    fd,
                    warnings: Vec::new(),
                    in_place: false,
                },
                true,
            ))
        }
        Source::Default => {
            let own = |module: &&Module| {
                matches!(
                    module.what,
                    What::Env { .. } | What::Password { .. } | What::File { .. }
                )
            };
            let module = chain.iter().find(own).ok_or_else(|| {
                Error::usage(format!(
                    "encryption={} has no key: add keyfile=FILE (a new one: head -c 32 /dev/urandom | base64 > FILE)",
                    wanted.mode.name()
                ))
            })?;
            let secret = secrets::of_module(module, owner.ids())?;
            // The module's own warnings are said with it.
            let warnings = vec![format!(
                "{} with the password as its key: whoever can connect can have something sealed with it, and guess it at leisure; use keyfile=",
                wanted.mode.name()
            )];
            Ok((Secret { warnings, ..secret }, false))
        }
    }
}

fn is_the_password(what: &str) -> Error {
    Error::usage(format!(
        "{what} is the password: whoever guesses one has both; use another key"
    ))
}
