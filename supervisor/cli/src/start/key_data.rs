//! The keys of all sockets, and what `keys` is told about them.

use super::wanted::{Protection, Wanted};
use crate::auth::{Module, What};
use crate::certificate::{self, Chain};
use crate::encryption::{self, Encryption, Source, VARIABLE};
use crate::error::{Error, Result};
use crate::hidden::Hidden;
use crate::offer;
use crate::secrets::{self, Secret};
use crate::session::Owner;
use crate::tls::{self, Pair, PassPhrase, Tls};
use files::Ids;
use ipc::keys::Encryption as Demand;
use ipc::spec::{KeyData, ListenerKey, NamedFile, PrivateKey};
use ipc::tls::{Certificate, Clients, Suite, Version};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;

/// The key of a socket, as `keys` is told of it, and what its clients have to do.
#[derive(Clone)]
pub struct Key {
    pub held: ListenerKey,
    pub demand: Demand,
}

/// The keys, and what `keys` is told about them: for each socket that is wanted.
#[derive(Default)]
pub struct Keys {
    pub listeners: Vec<Option<Key>>,
    pub fds: Vec<(OwnedFd, Option<NamedFile>)>,
    pub warnings: Vec<String>,
}

/// Opens and checks the keys of all sockets, and reads their certificates.
///
/// # Errors
/// What is wrong with one.
pub fn open_keys(wanted: &[Wanted], owner: &Owner) -> Result<Keys> {
    let mut keys = Keys::default();
    for one in wanted {
        let key = match &one.protection {
            None => None,
            Some(Protection::Aes(wanted)) => Some(keys.aes(wanted, &one.chain, owner)?),
            Some(Protection::Tls(wanted)) => {
                let key = keys.tls(wanted, owner);
                Some(key.map_err(|error| error.at(&one.said))?)
            }
        };
        keys.listeners.push(key);
    }
    let named = keys.listeners.iter().zip(wanted);
    let named = named.filter_map(|(key, one)| Some((one.said.as_str(), &key.as_ref()?.held)));
    check_versions(&named.collect::<Vec<_>>())?;
    keys.warnings.sort();
    keys.warnings.dedup();
    Ok(keys)
}

impl Keys {
    fn add(&mut self, secret: Secret) -> Result<u16> {
        let index = u16::try_from(self.fds.len())
            .map_err(|_| Error::usage("too many encrypted sockets"))?;
        self.warnings.extend(secret.warnings);
        self.fds.push((secret.fd, secret.named));
        Ok(index)
    }

    fn aes(&mut self, wanted: &Encryption, chain: &[Module], owner: &Owner) -> Result<Key> {
        let (secret, trim) = open(wanted, chain, owner)?;
        self.warnings.extend(short(&secret.fd));
        self.warnings.extend(encryption::warning(wanted));
        Ok(Key {
            held: ListenerKey::Aes(KeyData {
                trim,
                in_place: secret.in_place,
                key_size: wanted.key_size,
                secret: self.add(secret)?,
            }),
            demand: Demand::Aes(wanted.mode),
        })
    }

    fn tls(&mut self, wanted: &Tls, owner: &Owner) -> Result<Key> {
        let files = wanted.pair()?;
        let (chain, suites, secret) = open_pair(&files, &wanted.suites, owner.ids())?;
        let speaks = |version: &Version| suites.iter().any(|suite| suite.version() == *version);
        let versions: Vec<_> = Version::ALL.into_iter().filter(speaks).collect();
        if versions == [Version::Tls12] {
            self.warnings.push(
                "a socket with TLS 1.2 alone: newer clients have to do without what is better in TLS 1.3; ssl-protocol=TLS has both".to_owned(),
            );
        }
        let pass_phrase = pass_phrase(wanted.pass_phrase.as_ref(), owner)?;
        Ok(Key {
            held: ListenerKey::Tls(PrivateKey {
                name: files.key.display().to_string(),
                secret: self.add(secret)?,
                pass_phrase: pass_phrase.map(|secret| self.add(secret)).transpose()?,
                kind: chain.kind,
                versions,
                public: chain.public,
            }),
            demand: Demand::Tls(Certificate {
                chain: chain.certificates,
                key: chain.kind,
                suites,
                optional: wanted.optional,
                upgrade: wanted.upgrade,
                clients: match &wanted.clients {
                    None => Clients::NotAsked,
                    Some(clients) if clients.optional => Clients::Optional,
                    Some(_) => Clients::Required,
                },
            }),
        })
    }
}

/// Reads a certificate, and opens its key; and what of these suites is spoken with it. Both are copies: what is
/// written into the files later counts when the session is started or told so (`bulkhead reload`), and never one
/// without the other.
///
/// # Errors
/// What is wrong with one.
pub fn open_pair(
    files: &Pair,
    suites: &[Suite],
    user: Option<Ids>,
) -> Result<(Chain, Vec<Suite>, Secret)> {
    let chain = certificate::read(&files.certificate, user)?;
    let suites = offer::for_key(suites, chain.kind)?;
    let secret = secrets::key_copy(&files.key, user)?;
    Ok((chain, suites, secret))
}

/// A handshake says nothing of its port: who sits on the way can lead a client of one socket to another with the
/// same key. One that does not speak TLS 1.3 would not say that the client has come down to TLS 1.2.
///
/// # Errors
/// There is such a socket. They have names in front of their keys.
pub fn check_versions(keys: &[(&str, &ListenerKey)]) -> Result<()> {
    let tls = keys.iter().filter_map(|(said, key)| match key {
        ListenerKey::Tls(key) => Some((*said, key)),
        ListenerKey::Aes(_) => None,
    });
    for (said, key) in tls.clone() {
        let is_new = |other: &PrivateKey| {
            other.public == key.public && other.versions.contains(&Version::Tls13)
        };
        if key.versions == [Version::Tls12] && tls.clone().any(|(_, other)| is_new(other)) {
            return Err(Error::usage(format!(
                "{said}: TLS 1.2 alone, with the key of a socket that has TLS 1.3: who sits on the way could lead clients of that one here, and they would not notice; say ssl-protocol=TLS, or give it a certificate of its own",
            )));
        }
    }
    Ok(())
}

/// What opens the key of a certificate, if anything was said.
fn pass_phrase(said: Option<&PassPhrase>, owner: &Owner) -> Result<Option<Secret>> {
    let (fd, warnings) = match said {
        Some(PassPhrase::File(path)) => return secrets::key_copy(path, owner.ids()).map(Some),
        Some(PassPhrase::Text(text)) => (
            secrets::literal("ssl-key-password", text)?,
            vec!["ssl-key-password= on a command line can be seen by every user of this machine until the session runs, and stays in the shell's history; use ssl-key-password-file=".to_owned()],
        ),
        None if std::env::var_os(tls::VARIABLE).is_some() => {
            (secrets::variable("TLS", tls::VARIABLE)?, Vec::new())
        }
        None => return Ok(None),
    };
    Ok(Some(Secret {
        fd,
        warnings,
        in_place: false,
        named: None,
    }))
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
            let same = |module: &Module| matches!(&module.what, What::Password { value } if data.is(value.as_bytes()));
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
                    named: None,
                },
                false,
            ))
        }
        Source::Default if std::env::var_os(VARIABLE).is_some() => {
            let variable = |name: &str| {
                let value = std::env::var_os(name);
                value.map(|value| Hidden::new(value.into_vec()))
            };
            let key = variable(VARIABLE);
            let same = |module: &Module| match &module.what {
                What::Env { name } => variable(name) == key,
                What::Password { value } => {
                    key.as_ref().is_some_and(|key| key.is(value.as_bytes()))
                }
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
                    named: None,
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
