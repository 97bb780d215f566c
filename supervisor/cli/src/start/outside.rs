//! The checks of logins that are made outside of `auth`: what each process is told about them.

use super::executables::executable;
use crate::auth::databases::{Password, Server, Sqlite};
use crate::auth::exec::Command;
use crate::auth::fido::{Fido, Point};
use crate::auth::kerberos::{By, Kerberos};
use crate::auth::keycloak::{Keycloak, Secret as ClientSecret};
use crate::auth::ldap::{Ldap, LdapEntry, LdapTls};
use crate::auth::otpscreen::Screen;
use crate::auth::pam::Pam;
use crate::auth::{Names, Whose};
use crate::certificate;
use crate::error::{Error, Result, reason};
use crate::resolver;
use crate::secrets::{self, Secret};
use crate::session::Owner;
use crate::tls::Clients;
use crate::trusted::Authorities;
use crate::users;
use accounts::file::Passwords;
use certificates::Users;
use ipc::check::CheckId;
use ipc::spec::{
    self, CertificateSpec, CheckAsks, CheckKind, CheckSpec, FdIndex, FidoKey, FidoSpec, FileKind,
    KerberosSpec, KeycloakSpec, LdapSpec, LdapUser, MAX_SOCKETS, NamedFile, NamesSpec,
    OutsideCheck, OwnSpec, PamSpec, ScreenSpec, ServerTls, SqlSpec, SqliteSpec, UsersFile,
};
use policy::{Role, SandboxMode, StartMode};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Seconds that a check on this machine may take.
const TIMEOUT: u16 = 10;

/// Most questions to a KDC about one password: what it wants, the proof, which takes two with SPAKE,
/// and one more.
const QUESTIONS: usize = 4;

/// How the session is started, for the processes that the launcher starts.
pub struct How {
    /// Where the workers' user ids begin, in a start as root.
    pub uid_base: Option<u32>,
    /// `--sandbox`.
    pub sandbox: SandboxMode,
    /// Log records of every level.
    pub debug: bool,
}

impl How {
    /// As the runtime of a process reads it.
    fn arguments(&self) -> Vec<String> {
        let mode = match self.uid_base {
            Some(_) => StartMode::Root,
            None => StartMode::User,
        };
        let level = if self.debug { "debug" } else { "info" };
        vec![
            format!("--mode={mode}"),
            format!("--sandbox={}", self.sandbox),
            format!("--log={level}"),
        ]
    }
}

/// All of them.
#[derive(Default)]
pub struct Checks {
    /// In the order of their ids.
    checks: Vec<Check>,
    /// The security keys of all modules, in the order of their numbers.
    keys: Vec<Point>,
    /// What all of them remember of tickets, if there is one that does.
    tickets: Option<OwnedFd>,
}

struct Check {
    module: &'static str,
    timeout: u16,
    made: Made,
    outside: OutsideCheck,
    /// What its process gets; nothing if it has none.
    fds: Vec<Given>,
}

/// A descriptor for the process of a check, and the file's name if another that gets it is to count.
struct Given {
    fd: OwnedFd,
    named: Option<NamedFile>,
}

impl From<OwnedFd> for Given {
    fn from(fd: OwnedFd) -> Self {
        Self { fd, named: None }
    }
}

impl From<Secret> for Given {
    fn from(secret: Secret) -> Self {
        Self {
            fd: secret.fd,
            named: secret.named,
        }
    }
}

/// How a check is made, before its descriptors have places.
enum Made {
    Command,
    Outside(Role),
    Ldap,
    Sql,
    Sqlite,
    Keycloak,
    Fido,
    Screen,
    Certificate,
    Names,
}

impl Checks {
    fn push(&mut self, check: Check) -> Result<CheckId> {
        self.checks.push(check);
        u16::try_from(self.checks.len() - 1)
            .map(CheckId)
            .map_err(|_| Error::usage("too many auth modules"))
    }

    /// Adds a command.
    ///
    /// # Errors
    /// It cannot be executed with the rights of the session's user, or others can change it.
    pub fn command(&mut self, command: &Command, owner: &Owner) -> Result<CheckId> {
        let program = command.argv.first().map_or("", String::as_str);
        let user = owner.user.uid;
        files::as_user(owner.ids(), || files::check_program(program.as_ref(), user))
            .map_err(|error| Error::new(format!("auth=exec: {program}: {}", reason(&error))))?;
        self.push(Check {
            module: "exec",
            timeout: command.timeout,
            made: Made::Command,
            outside: OutsideCheck::Command {
                argv: command.argv.clone(),
                timeout: command.timeout,
                password: command.password,
            },
            fds: Vec::new(),
        })
    }

    /// Adds an LDAP server; warnings too.
    ///
    /// # Errors
    /// Its name is not known, or a file cannot be used.
    pub fn ldap(
        &mut self,
        module: &'static str,
        ldap: &Ldap,
        owner: &Owner,
        warnings: &mut Vec<String>,
    ) -> Result<CheckId> {
        let at = |error: Error| error.at(format!("auth={module}"));
        let addresses = addresses(&ldap.host, ldap.port).map_err(at)?;
        let mut files = Vec::new();
        let user = match &ldap.user {
            LdapEntry::Name(format) => LdapUser::Name(format.clone()),
            LdapEntry::Search {
                base,
                attribute,
                reader,
            } => {
                if let Some((_, file)) = reader {
                    let mut secret = secrets::file(file, owner.ids()).map_err(at)?;
                    warnings.append(&mut secret.warnings);
                    files.push(Given::from(secret));
                }
                LdapUser::Search {
                    base: base.clone(),
                    attribute: attribute.clone(),
                    reader: reader.as_ref().map(|(name, _)| name.clone()),
                }
            }
        };
        let tls = ldap.tls.as_ref();
        let tls = tls.map(|tls| server_tls(&ldap.host, tls, owner).map_err(at));
        let spec = spec::encode(&LdapSpec {
            user,
            tls: tls.transpose()?,
            timeout: ldap.timeout,
        })
        .map_err(|_| Error::usage(format!("auth={module}: its options are too long")))?;
        let mut fds = vec![secrets::sealed(&spec)?.into()];
        fds.append(&mut files);
        self.push(Check {
            module,
            timeout: ldap.timeout,
            made: Made::Ldap,
            outside: OutsideCheck::Connect(addresses),
            fds,
        })
    }

    /// Adds the certificates that the clients of a socket show. `whose`: they tell who a client is.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn certificate(
        &mut self,
        clients: &Clients,
        whose: Option<&Whose>,
        owner: &Owner,
        warnings: &mut Vec<String>,
    ) -> Result<CheckId> {
        let option = clients.authorities.option();
        let at = |error: Error| error.at(option);
        let (trust, file, in_place) = match &clients.authorities {
            Authorities::File(path) => {
                let (trust, fd, identity) = certificate::trust(path, owner.ids()).map_err(at)?;
                let named = secrets::named(path, FileKind::Authorities, identity)
                    .map_err(|error| at(Error::new(reason(&error))))?;
                let named = (!files::is_of_a_process(path)).then_some(named);
                (trust, Given { fd, named }, true)
            }
            Authorities::Data(pem) => {
                let trust = certificate::trust_in(pem.bytes()).map_err(at)?;
                (trust, secrets::sealed(pem.bytes())?.into(), false)
            }
        };
        if clients.flags.lists && trust.lists.is_empty() {
            return Err(Error::usage(format!(
                "ssl-verify-flags=CRL_CHECK_LEAF and CRL_CHECK_CHAIN need revocation lists, and none is in {option}=: cat ca.pem list.pem > trust.pem"
            )));
        }
        if clients.flags.strict {
            warnings.push("ssl-verify-flags=X509_STRICT: what OpenSSL wants beyond docs/encryption.md is form, such as identifiers of keys, and is not looked at".to_owned());
        }
        let users = whose
            .map(|whose| users_file(whose, owner).map_err(|error| error.at("auth=certificate")))
            .transpose()?;
        let spec = spec::encode(&CertificateSpec {
            in_place,
            lists: !trust.lists.is_empty(),
            users: users.as_ref().map(|(kind, _)| *kind),
            timeout: TIMEOUT,
        })
        .map_err(|_| Error::usage("auth=certificate: its options are too long"))?;
        let mut fds = vec![secrets::sealed(&spec)?.into(), file];
        fds.extend(users.map(|(_, file)| file));
        self.push(Check {
            module: "certificate",
            timeout: TIMEOUT,
            made: Made::Certificate,
            outside: OutsideCheck::Nothing,
            fds,
        })
    }

    /// Adds a PAM service.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn pam(&mut self, module: &'static str, pam: &Pam, owner: &Owner) -> Result<CheckId> {
        let groups = pam.check(owner)?;
        self.push(Check {
            module,
            timeout: pam.timeout,
            made: Made::Outside(Role::AuthPam),
            outside: OutsideCheck::Start {
                program: executable(Role::AuthPam)?,
                // Known when all else is.
                arguments: Vec::new(),
                id: None,
                groups,
                own: OwnSpec::Pam(PamSpec {
                    service: pam.service.clone(),
                    directory: pam.directory.clone(),
                    session: pam.session,
                    timeout: pam.timeout,
                }),
                connect: Vec::new(),
                timeout: pam.timeout,
            },
            fds: Vec::new(),
        })
    }

    /// Adds a SQLite database, and tells what its users are asked for; warnings too.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn sqlite(
        &mut self,
        module: &'static str,
        sqlite: &Sqlite,
        owner: &Owner,
        warnings: &mut Vec<String>,
    ) -> Result<(CheckId, CheckAsks)> {
        let at = |error: Error| error.at(format!("auth={module}"));
        let (secret, passwords) = secrets::database(&sqlite.filename, owner.ids()).map_err(at)?;
        warnings.extend(secret.warnings);
        let spec = spec::encode(&SqliteSpec {
            query: sqlite.query.clone(),
            sessions: sqlite.sessions.clone(),
            timeout: TIMEOUT,
        })
        .map_err(|_| Error::usage(format!("auth={module}: its options are too long")))?;
        let id = self.push(Check {
            module,
            timeout: TIMEOUT,
            made: Made::Sqlite,
            outside: OutsideCheck::Nothing,
            fds: vec![secrets::sealed(&spec)?.into(), secret.fd.into()],
        })?;
        Ok((
            id,
            match passwords {
                Passwords::Plain => CheckAsks::Proof,
                Passwords::Hashed => CheckAsks::Password,
            },
        ))
    }

    /// Adds a database server, and tells what its users are asked for; warnings too.
    ///
    /// # Errors
    /// Its name is not known, or a file cannot be used.
    pub fn sql(
        &mut self,
        module: &'static str,
        server: &Server,
        owner: &Owner,
        warnings: &mut Vec<String>,
    ) -> Result<(CheckId, CheckAsks)> {
        let at = |error: Error| error.at(format!("auth={module}"));
        let mut addresses = addresses(&server.host, server.port).map_err(at)?;
        // Where the server does not listen anybody may, and nothing would prove that it is another.
        if server.host == "localhost" {
            addresses.retain(SocketAddr::is_ipv4);
        }
        let password = match &server.password {
            None => None,
            Some(Password::File(file)) => {
                let mut secret = secrets::file(file, owner.ids()).map_err(at)?;
                warnings.append(&mut secret.warnings);
                Some(Given::from(secret))
            }
            Some(Password::Value(value)) => {
                warnings.push(format!(
                    "auth={module}: a password on a command line can be seen by every user of this machine until the session runs, and stays in the shell's history; use password-file="
                ));
                Some(secrets::sealed(value.as_bytes())?.into())
            }
        };
        let tls = server.tls.as_ref();
        let tls = tls.map(|tls| server_tls(&server.host, tls, owner).map_err(at));
        let spec = spec::encode(&SqlSpec {
            server: server.kind,
            user: server.user.clone(),
            password: password.is_some(),
            database: server.database.clone(),
            query: server.query.clone(),
            sessions: server.sessions.clone(),
            hashed: server.hashed,
            tls: tls.transpose()?,
            timeout: server.timeout,
        })
        .map_err(|_| Error::usage(format!("auth={module}: its options are too long")))?;
        let mut fds = vec![secrets::sealed(&spec)?.into()];
        fds.extend(password);
        let id = self.push(Check {
            module,
            timeout: server.timeout,
            made: Made::Sql,
            outside: OutsideCheck::Connect(addresses),
            fds,
        })?;
        Ok((
            id,
            match server.hashed {
                true => CheckAsks::Password,
                false => CheckAsks::Proof,
            },
        ))
    }

    /// Adds an OpenID Connect provider; warnings too.
    ///
    /// # Errors
    /// Its name is not known, or a file cannot be used.
    pub fn keycloak(
        &mut self,
        module: &'static str,
        keycloak: &Keycloak,
        owner: &Owner,
        warnings: &mut Vec<String>,
    ) -> Result<CheckId> {
        let at = |error: Error| error.at(format!("auth={module}"));
        warnings.extend(keycloak.warnings());
        let mut addresses = addresses(&keycloak.host, keycloak.port).map_err(at)?;
        // As of databases: where it does not listen anybody may.
        if keycloak.host == "localhost" {
            addresses.retain(SocketAddr::is_ipv4);
        }
        let secret = match &keycloak.secret {
            None => None,
            Some(ClientSecret::File(file)) => {
                let mut secret = secrets::file(file, owner.ids()).map_err(at)?;
                warnings.append(&mut secret.warnings);
                Some(Given::from(secret))
            }
            Some(ClientSecret::Value(value)) => {
                warnings.push(format!(
                    "auth={module}: a secret on a command line can be seen by every user of this machine until the session runs, and stays in the shell's history; use client-secret-file="
                ));
                Some(secrets::sealed(value.as_bytes())?.into())
            }
            Some(ClientSecret::Variable(value)) => Some(secrets::sealed(value.as_bytes())?.into()),
        };
        let tls = keycloak.tls.as_ref();
        let tls = tls.map(|tls| server_tls(&keycloak.host, tls, owner).map_err(at));
        let spec = spec::encode(&KeycloakSpec {
            issuer: keycloak.issuer.clone(),
            tls: tls.transpose()?,
            client: keycloak.client.clone(),
            secret: secret.is_some(),
            redirect: keycloak.redirect.clone(),
            scope: keycloak.scope.clone(),
            claim: keycloak.claim.clone(),
            groups: keycloak.groups.clone(),
            all: keycloak.all,
            timeout: keycloak.timeout,
        })
        .map_err(|_| Error::usage(format!("auth={module}: its options are too long")))?;
        let mut fds = vec![secrets::sealed(&spec)?.into()];
        fds.extend(secret);
        self.push(Check {
            module,
            timeout: keycloak.timeout,
            made: Made::Keycloak,
            outside: OutsideCheck::Connect(addresses),
            fds,
        })
    }

    /// Adds name servers.
    ///
    /// # Errors
    /// There is none, or the file of known names cannot be used.
    pub fn names(&mut self, module: &'static str, names: &Names, owner: &Owner) -> Result<CheckId> {
        let at = |error: Error| error.at(format!("auth={module}"));
        let servers = match names.server {
            Some(server) => vec![server],
            None => resolver::servers().map_err(at)?,
        };
        let known = resolver::known(names.file.as_deref(), owner.ids()).map_err(at)?;
        let spec = spec::encode(&NamesSpec {
            known,
            timeout: names.timeout,
        })
        .map_err(|_| Error::usage(format!("auth={module}: its file of names is too long")))?;
        self.push(Check {
            module,
            timeout: names.timeout,
            made: Made::Names,
            outside: OutsideCheck::Connect(servers),
            fds: vec![secrets::sealed(&spec)?.into()],
        })
    }

    /// Adds security keys.
    ///
    /// # Errors
    /// There is none, or a file of one cannot be used.
    pub fn fido(&mut self, module: &'static str, fido: &Fido, owner: &Owner) -> Result<CheckId> {
        let mut keys = Vec::new();
        for (name, point) in fido.public_keys(owner)? {
            keys.push(FidoKey {
                number: self.key(&point)?,
                name,
                point: point.bytes().to_vec(),
            });
        }
        let spec = spec::encode(&FidoSpec {
            app_id: fido.app_id.clone(),
            origin: fido.origin.clone(),
            verify: fido.verify,
            keys,
            timeout: TIMEOUT,
        })
        .map_err(|_| Error::usage(format!("auth={module}: its options are too long")))?;
        self.push(Check {
            module,
            timeout: TIMEOUT,
            made: Made::Fido,
            outside: OutsideCheck::Nothing,
            fds: vec![secrets::sealed(&spec)?.into()],
        })
    }

    /// Adds codes on the session's screen.
    ///
    /// # Errors
    /// There are too many modules.
    pub fn screen(&mut self, module: &'static str, screen: &Screen) -> Result<CheckId> {
        let spec = spec::encode(&ScreenSpec {
            timeout: screen.timeout,
        })
        .map_err(|_| Error::usage(format!("auth={module}: its options are too long")))?;
        self.push(Check {
            module,
            timeout: screen.timeout,
            made: Made::Screen,
            outside: OutsideCheck::Display,
            fds: vec![secrets::sealed(&spec)?.into()],
        })
    }

    /// The number of a security key, wherever it is known: `auth` remembers by it how often it has
    /// signed.
    fn key(&mut self, point: &Point) -> Result<u16> {
        let known = self.keys.iter().position(|known| known == point);
        let place = known.unwrap_or_else(|| {
            self.keys.push(point.clone());
            self.keys.len() - 1
        });
        u16::try_from(place).map_err(|_| Error::usage("too many security keys"))
    }

    /// Adds a service of Kerberos.
    ///
    /// # Errors
    /// Its keytab cannot be used, or its KDC is not known.
    pub fn kerberos(
        &mut self,
        module: &'static str,
        kerberos: &Kerberos,
        owner: &Owner,
    ) -> Result<CheckId> {
        let at = |error: Error| error.at(format!("auth={module}"));
        let keytab = secrets::key_file(&kerberos.keytab, owner.ids()).map_err(at)?;
        let tickets = match self.tickets.take() {
            Some(tickets) => tickets,
            None => secrets::memory()?,
        };
        // A ticket that one module has seen is good at none.
        let seen = tickets
            .try_clone()
            .map_err(|error| at(Error::new(reason(&error).to_string())))?;
        self.tickets = Some(tickets);
        let mut connect = Vec::new();
        if let By::Password { kdc, port } = &kerberos.by {
            let addresses = addresses(kdc, *port).map_err(at)?;
            // A KDC ends a connection after its answer.
            connect = addresses.repeat(QUESTIONS);
            connect.truncate(MAX_SOCKETS);
        }
        self.push(Check {
            module,
            timeout: kerberos.timeout,
            made: Made::Outside(Role::AuthKerberos),
            outside: OutsideCheck::Start {
                program: executable(Role::AuthKerberos)?,
                // Known when all else is.
                arguments: Vec::new(),
                id: None,
                groups: Vec::new(),
                own: OwnSpec::Kerberos(KerberosSpec {
                    service: kerberos.service.clone(),
                    host: kerberos.host.clone(),
                    realm: kerberos.realm.clone(),
                    keytab_in_place: keytab.in_place,
                    timeout: kerberos.timeout,
                }),
                connect,
                timeout: kerberos.timeout,
            },
            fds: vec![keytab.into(), seen.into()],
        })
    }

    /// What the supervisor is told, and what the launcher is. `add` gives a descriptor its place, and
    /// remembers the name of its file.
    ///
    /// # Errors
    /// Too many descriptors.
    pub fn hand_over(
        self,
        how: &How,
        mut add: impl FnMut(OwnedFd, Option<NamedFile>) -> Result<FdIndex>,
    ) -> Result<(Vec<CheckSpec>, Vec<OutsideCheck>)> {
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for mut check in self.checks {
            if let (Made::Outside(role), OutsideCheck::Start { arguments, id, .. }) =
                (&check.made, &mut check.outside)
            {
                *arguments = how.arguments();
                *id = how.uid_base.map(|base| role.id(base));
            }
            let fds = check.fds.into_iter();
            let fds = fds.map(|given| add(given.fd, given.named));
            let fds = fds.collect::<Result<_>>()?;
            let kind = match check.made {
                Made::Command => CheckKind::Command,
                Made::Outside(role) => CheckKind::Outside {
                    role: role.name().to_owned(),
                    fds,
                },
                Made::Ldap => CheckKind::Ldap(fds),
                Made::Sql => CheckKind::Sql(fds),
                Made::Sqlite => CheckKind::Sqlite(fds),
                Made::Keycloak => CheckKind::Keycloak(fds),
                Made::Fido => CheckKind::Fido(fds),
                Made::Screen => CheckKind::Screen(fds),
                Made::Certificate => CheckKind::Certificate(fds),
                Made::Names => CheckKind::Names(fds),
            };
            inside.push(CheckSpec {
                module: check.module.to_owned(),
                timeout: check.timeout,
                kind,
            });
            outside.push(check.outside);
        }
        Ok((inside, outside))
    }
}

fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let addresses = users::addresses(host)?;
    let with_port = |address| SocketAddr::new(address, port);
    Ok(addresses.into_iter().map(with_port).collect())
}

fn server_tls(host: &str, tls: &LdapTls, owner: &Owner) -> Result<ServerTls> {
    let system = Path::new(certificate::SYSTEM);
    let file = tls.authorities.as_deref().unwrap_or(system);
    Ok(ServerTls {
        name: host.to_owned(),
        authorities: certificate::authorities(file, owner.ids())?,
        ask: tls.ask,
    })
}

/// Whose certificate is whose, as a file for the process that is asked.
fn users_file(whose: &Whose, owner: &Owner) -> Result<(UsersFile, Given)> {
    let (kind, Given { fd, named }, shown) = match whose {
        Whose::File(path) => {
            let file = secrets::rule_file(path, owner.ids())?;
            let kind = match file.in_place {
                true => UsersFile::InPlace,
                false => UsersFile::Copy,
            };
            (kind, file.into(), path.display().to_string())
        }
        Whose::Owner(rule) => {
            let line = format!("{}|{rule}\n", owner.user.name);
            let fd = secrets::sealed(line.as_bytes())?;
            let fd = Given::from(fd);
            (UsersFile::Copy, fd, "the session's owner".to_owned())
        }
    };
    let at = |why: &dyn std::fmt::Display| Error::new(format!("{shown}: {why}"));
    let text = secrets::contents(&fd).map_err(|error| at(&reason(&error)))?;
    Users::read(&text).map_err(|error| at(&error))?;
    Ok((kind, Given { fd, named }))
}
