//! The secrets of all sockets, and what `auth` is told about them.

use crate::auth::Module;
use crate::error::{Error, Result};
use crate::secrets::{self, Secret};
use crate::session::Owner;
use crate::users;
use ipc::spec::AuthModule;
use std::os::fd::OwnedFd;

/// The secrets and what `auth` is told about them.
pub struct Secrets {
    pub listeners: Vec<Vec<AuthModule>>,
    pub fds: Vec<OwnedFd>,
    pub warnings: Vec<String>,
}

/// Opens and checks the secrets of all sockets, and turns names into numbers. Each chain comes with
/// the option that asks for it, which an error begins with.
pub fn open_secrets(chains: &[(&str, &[Module])], owner: &Owner) -> Result<Secrets> {
    let mut secrets = Secrets {
        listeners: Vec::new(),
        fds: Vec::new(),
        warnings: Vec::new(),
    };
    let mut known: Vec<(&Module, u16, bool)> = Vec::new();
    for (said, chain) in chains {
        let mut specs = Vec::new();
        for module in *chain {
            let spec = match module {
                Module::Allow => AuthModule::Allow,
                Module::None => AuthModule::None,
                Module::Fail => AuthModule::Fail,
                Module::Reject => AuthModule::Reject,
                Module::PeerCred {
                    uids,
                    gids,
                    allow_owner,
                } => {
                    let mut numbers = uids
                        .iter()
                        .map(|uid| users::uid(uid))
                        .collect::<Result<Vec<_>>>()
                        .map_err(at_peercred)?;
                    if *allow_owner {
                        numbers.insert(0, owner.user.uid);
                    }
                    let gids = gids
                        .iter()
                        .map(|gid| users::group(gid))
                        .collect::<Result<Vec<_>>>()
                        .map_err(at_peercred)?;
                    AuthModule::PeerCred {
                        uids: numbers,
                        gids,
                    }
                }
                Module::Env { .. } | Module::Password { .. } | Module::File { .. } => {
                    let known_one = known.iter().find(|(other, ..)| *other == module);
                    let (secret, in_place) = match known_one {
                        Some((_, index, in_place)) => (*index, *in_place),
                        None => {
                            let Secret {
                                fd,
                                warnings,
                                in_place,
                            } = secrets::of_module(module, owner.ids())
                                .map_err(|error| error.at(said))?;
                            let index = u16::try_from(secrets.fds.len())
                                .map_err(|_| Error::usage("too many passwords"))?;
                            secrets.fds.push(fd);
                            secrets.warnings.extend(warnings);
                            known.push((module, index, in_place));
                            (index, in_place)
                        }
                    };
                    AuthModule::Secret {
                        name: module.name().to_owned(),
                        secret,
                        in_place,
                    }
                }
            };
            specs.push(spec);
        }
        secrets.listeners.push(specs);
    }
    Ok(secrets)
}

fn at_peercred(error: Error) -> Error {
    error.at("auth=peercred")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_is_opened_once_and_named_by_position() {
        let value = |text: &str| Module::Password {
            value: text.to_owned().into(),
        };
        let owner = Owner {
            user: users::user("root").unwrap(),
            switch: None,
        };
        let (first, second) = (vec![value("a"), value("b")], vec![value("b"), Module::None]);
        let secrets = open_secrets(&[("", &first), ("", &second)], &owner).unwrap();
        assert_eq!(secrets.fds.len(), 2);
        let secret = |secret| AuthModule::Secret {
            name: "password".into(),
            secret,
            in_place: false,
        };
        assert_eq!(
            secrets.listeners,
            [
                vec![secret(0), secret(1)],
                vec![secret(1), AuthModule::None]
            ]
        );
    }

    #[test]
    fn peers_are_numbers() {
        let owner = Owner {
            user: users::user("root").unwrap(),
            switch: None,
        };
        let chain = vec![Module::PeerCred {
            uids: vec!["77".into()],
            gids: vec!["root".into()],
            allow_owner: true,
        }];
        let secrets = open_secrets(&[("", &chain)], &owner).unwrap();
        assert_eq!(
            secrets.listeners,
            [[AuthModule::PeerCred {
                uids: vec![0, 77],
                gids: vec![0]
            }]]
        );
    }
}
