//! The secrets of all sockets, and what `auth` is told about them.

use super::outside::Checks;
use super::wanted::{Protection, Wanted};
use crate::auth::{self, Module, Names, What, Whose, http_header};
use crate::error::{Error, Result, reason};
use crate::secrets::{self, Secret};
use crate::session::Owner;
use crate::tls::Clients;
use crate::users;
use hosts::Rules;
use ipc::check::CheckId;
use ipc::spec::{AuthListener, AuthModule, AuthStep, CheckAsks, NamedFile, SecretAt};
use std::os::fd::OwnedFd;
use std::path::Path;

/// The secrets and what `auth` is told about them.
#[derive(Default)]
pub struct Secrets {
    pub listeners: Vec<AuthListener>,
    pub fds: Vec<(OwnedFd, Option<NamedFile>)>,
    pub checks: Checks,
    pub warnings: Vec<String>,
}

/// Opens and checks the secrets of all sockets, and turns names into numbers.
pub fn open_secrets(wanted: &[Wanted], owner: &Owner) -> Result<Secrets> {
    let mut open = Open {
        secrets: Secrets::default(),
        known: Vec::new(),
        known_checks: Vec::new(),
        owner,
    };
    for socket in wanted {
        let capabilities = auth::capabilities(&socket.chain);
        let clients = match &socket.protection {
            Some(Protection::Tls(tls)) => tls.clients.as_ref(),
            _ => None,
        };
        let mut chain = Vec::with_capacity(socket.chain.len() + 1);
        let named = |module: &Module| matches!(module.what, What::Certificate(_));
        if let Some(clients) = clients.filter(|_| !socket.chain.iter().any(named)) {
            // Nobody else asks for what is wanted of every client.
            let module = open.certificate(Some(clients), None);
            chain.push(module.map_err(|error| error.at(&socket.said))?.into());
        }
        for module in &socket.chain {
            chain.push(AuthStep {
                module: match &module.what {
                    What::Certificate(whose) => open.certificate(clients, Some(whose)),
                    _ => open.module(module, &capabilities),
                }
                .map_err(|error| error.at(&socket.said))
                .and_then(|found| socket.may_ask(module, found))?,
                prompt: module.prompt.clone(),
                client_username: module.client_username,
                verify_username: module.verify_username,
            });
        }
        let warning = http_header::warning(&socket.said, &socket.chain);
        open.secrets.warnings.extend(warning);
        open.secrets.listeners.push(AuthListener {
            chain,
            confidential: socket.is_confidential(),
        });
    }
    Ok(open.secrets)
}

/// The secrets while they are being opened.
struct Open<'a> {
    secrets: Secrets,
    /// What a secret is of, and where it is.
    known: Vec<(&'a What, SecretAt)>,
    /// What a check is of, its number, and what it asks for.
    known_checks: Vec<(&'a What, CheckId, CheckAsks)>,
    owner: &'a Owner,
}

impl<'a> Open<'a> {
    /// `capabilities`: those that the modules of its socket look at.
    fn module(&mut self, module: &'a Module, capabilities: &[String]) -> Result<AuthModule> {
        Ok(match &module.what {
            What::Allow => AuthModule::Allow,
            What::None => AuthModule::None,
            What::Fail => AuthModule::Fail,
            What::Reject => AuthModule::Reject,
            What::PeerCred {
                uids,
                gids,
                allow_owner,
            } => {
                let at = |error: Error| error.at("auth=peercred");
                let own = allow_owner.then_some(Ok(self.owner.user.uid));
                let named = uids.iter().map(|uid| users::uid(uid));
                AuthModule::PeerCred {
                    uids: own
                        .into_iter()
                        .chain(named)
                        .collect::<Result<_>>()
                        .map_err(at)?,
                    gids: gids
                        .iter()
                        .map(|gid| users::group(gid))
                        .collect::<Result<_>>()
                        .map_err(at)?,
                }
            }
            What::Certificate(whose) => self.certificate(None, Some(whose))?,
            What::Exec(_)
            | What::Ldap(_)
            | What::Pam(_)
            | What::Sqlite(_)
            | What::Sql(_)
            | What::Fido(_)
            | What::Kerberos(_)
            | What::Keycloak(_)
            | What::Screen(_) => {
                let (check, asks) = self.check(module)?;
                AuthModule::Check {
                    name: module.name().to_owned(),
                    check,
                    asks,
                }
            }
            What::Env { .. } | What::Password { .. } | What::File { .. } => AuthModule::Secret {
                name: module.name().to_owned(),
                secret: self.secret(module)?,
            },
            What::MultiFile { .. } => AuthModule::Users {
                secret: self.secret(module)?,
            },
            What::Otp { window, .. } => AuthModule::Otp {
                secret: self.secret(module)?,
                window: *window,
            },
            What::Capability { property, .. } => {
                let place = capabilities.iter().position(|name| name == property);
                AuthModule::Capability {
                    // It is there, and a chain is shorter; at any other place there is no value.
                    place: place
                        .and_then(|it| u8::try_from(it).ok())
                        .unwrap_or(u8::MAX),
                    secret: self.secret(module)?,
                }
            }
            What::HttpHeader(header) => AuthModule::HttpHeader {
                header: header.property.clone(),
                secret: self.secret(module)?,
                proxies: header.proxies.clone(),
            },
            What::Hosts { allow, deny, names } => {
                let (allow, by_name) = self.rules(allow.as_deref(), secrets::HOSTS_ALLOW)?;
                let (deny, also_by_name) = self.rules(deny.as_deref(), secrets::HOSTS_DENY)?;
                // What no rule needs does not exist; but who names a server may write such a rule later.
                let wanted = by_name || also_by_name || names.server.is_some();
                AuthModule::Hosts {
                    allow,
                    deny,
                    names: wanted.then(|| self.names(module, names)).transpose()?,
                }
            }
        })
    }

    /// The check of the certificates that the clients of one socket show.
    fn certificate(
        &mut self,
        clients: Option<&Clients>,
        whose: Option<&Whose>,
    ) -> Result<AuthModule> {
        let clients =
            clients.ok_or_else(|| Error::usage("auth=certificate: this socket has no TLS"))?;
        let (checks, warnings) = (&mut self.secrets.checks, &mut self.secrets.warnings);
        let check = checks.certificate(clients, whose, self.owner, warnings)?;
        Ok(AuthModule::Certificate {
            check,
            optional: clients.optional,
            names: whose.is_some(),
        })
    }

    /// Which check a module needs, and what that asks the client for.
    fn check(&mut self, module: &'a Module) -> Result<(CheckId, CheckAsks)> {
        let mut known = self.known_checks.iter();
        if let Some((_, id, asks)) = known.find(|(what, ..)| *what == &module.what) {
            return Ok((*id, asks.clone()));
        }
        let (checks, warnings) = (&mut self.secrets.checks, &mut self.secrets.warnings);
        let (id, asks) = match &module.what {
            What::Exec(command) => {
                let asks = match command.password {
                    true => CheckAsks::Password,
                    false => CheckAsks::Nothing,
                };
                (checks.command(command, self.owner)?, asks)
            }
            What::Ldap(ldap) => {
                let id = checks.ldap(module.name(), ldap, self.owner, warnings)?;
                (id, CheckAsks::Password)
            }
            What::Pam(pam) => {
                let id = checks.pam(module.name(), pam, self.owner)?;
                (id, CheckAsks::Password)
            }
            What::Sql(server) => checks.sql(module.name(), server, self.owner, warnings)?,
            What::Sqlite(sqlite) => checks.sqlite(module.name(), sqlite, self.owner, warnings)?,
            What::Fido(fido) => {
                let id = checks.fido(module.name(), fido, self.owner)?;
                (id, CheckAsks::Signature(fido.protocol))
            }
            What::Kerberos(kerberos) => {
                let id = checks.kerberos(module.name(), kerberos, self.owner)?;
                (id, kerberos.asks())
            }
            What::Keycloak(keycloak) => {
                let id = checks.keycloak(module.name(), keycloak, self.owner, warnings)?;
                (id, CheckAsks::Code)
            }
            What::Screen(screen) => {
                let id = checks.screen(module.name(), screen)?;
                (id, CheckAsks::Shown(screen.code))
            }
            _ => return Err(Error::usage(format!("auth={}: no check", module.name()))),
        };
        self.known_checks.push((&module.what, id, asks.clone()));
        Ok((id, asks))
    }

    /// Opens the secret of a module, unless it is open already.
    fn secret(&mut self, module: &'a Module) -> Result<SecretAt> {
        let known = self.known.iter().find(|(what, _)| *what == &module.what);
        if let Some((_, at)) = known {
            return Ok(*at);
        }
        let secret = secrets::of_module(module, self.owner.ids())?;
        let at = self.keep(secret)?;
        self.known.push((&module.what, at));
        Ok(at)
    }

    /// The check that tells the names of clients.
    fn names(&mut self, module: &'a Module, names: &Names) -> Result<CheckId> {
        let mut known = self.known_checks.iter();
        if let Some((_, id, _)) = known.find(|(what, ..)| *what == &module.what) {
            return Ok(*id);
        }
        let id = self
            .secrets
            .checks
            .names(module.name(), names, self.owner)?;
        self.known_checks
            .push((&module.what, id, CheckAsks::Nothing));
        Ok(id)
    }

    /// Opens a file of rules, or the system's. Does one of them go by a name? What is wrong with them, `auth` says.
    fn rules(&mut self, path: Option<&Path>, default: &str) -> Result<(SecretAt, bool)> {
        let rules = match path {
            Some(path) => secrets::rule_file(path, self.owner.ids()),
            None => secrets::default_rule_file(Path::new(default), self.owner.ids()),
        };
        let rules = rules.map_err(|error| error.at("auth=hosts"))?;
        let text = secrets::contents(&rules.fd)
            .map_err(|error| Error::new(reason(&error).to_string()).at("auth=hosts"))?;
        let by_name = Rules::parse(&text).is_ok_and(|rules| rules.goes_by_names());
        Ok((self.keep(rules)?, by_name))
    }

    fn keep(&mut self, secret: Secret) -> Result<SecretAt> {
        let index = u16::try_from(self.secrets.fds.len())
            .map_err(|_| Error::usage("too many passwords"))?;
        self.secrets.fds.push((secret.fd, secret.named));
        self.secrets.warnings.extend(secret.warnings);
        Ok(SecretAt {
            index,
            in_place: secret.in_place,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind::UnixAddress;
    use crate::start::wanted::Socket;
    use crate::syntax::RawModule;

    fn wanted(texts: &[&str]) -> Wanted {
        let raw: Vec<_> = texts
            .iter()
            .map(|text| RawModule::parse(text).unwrap())
            .collect();
        Wanted {
            said: "--bind".into(),
            socket: Socket::Unix(UnixAddress::Auto),
            refused_requests: Vec::new(),
            protection: None,
            chain: auth::chain(&raw, &[]).unwrap(),
            for_clients: Vec::new(),
        }
    }

    fn open(wanted: &[Wanted]) -> (Vec<Vec<AuthModule>>, usize) {
        let owner = Owner {
            user: users::user("root").unwrap(),
            switch: None,
        };
        let secrets = open_secrets(wanted, &owner).unwrap();
        let modules = |listener: AuthListener| {
            assert!(listener.confidential);
            let steps = listener.chain.into_iter();
            steps.map(|step| step.module).collect()
        };
        let listeners = secrets.listeners.into_iter().map(modules);
        (listeners.collect(), secrets.fds.len())
    }

    #[test]
    fn every_secret_is_opened_once_and_named_by_position() {
        let first = wanted(&["password(value=a)", "password(value=b)"]);
        let second = wanted(&["password(value=b,prompt=another)", "none"]);
        let (listeners, fds) = open(&[first, second]);
        assert_eq!(fds, 2);
        let secret = |index| AuthModule::Secret {
            name: "password".into(),
            secret: SecretAt {
                index,
                in_place: false,
            },
        };
        assert_eq!(
            listeners,
            [
                vec![secret(0), secret(1)],
                vec![secret(1), AuthModule::None]
            ]
        );
    }

    #[test]
    fn peers_are_numbers() {
        let (listeners, _) = open(&[wanted(&["peercred(uid=77,gid=root)"])]);
        assert_eq!(
            listeners,
            [[AuthModule::PeerCred {
                uids: vec![0, 77],
                gids: vec![0]
            }]]
        );
    }
}
