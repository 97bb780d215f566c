//! The process: a question from `auth`, a socket that the launcher has begun to connect, an answer.

use crate::names;
use crate::server::{Encryption, Server};
use check::{Check, No};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::{self, LdapSpec, LdapUser, ServerTls};
use runtime::{Role, Seat};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// In the descriptor table: the spec, then what it says.
const SPEC: i32 = 6;

/// A login that an LDAP server decides about.
pub struct Ldap {
    sockets: Vec<OwnedFd>,
    server: Server,
}

impl Check for Ldap {
    const ROLE: Role = Role::AuthLdap;
    const AUTH: i32 = 5;
    /// A directory hashes the password of somebody who is there, and searches longer for some names than
    /// for others.
    const NO_EVERY: Option<Duration> = Some(Duration::from_millis(500));

    fn prepare(seat: &mut Seat) -> Result<(Self, u16), String> {
        let spec = seat.descriptor(SPEC).ok_or("the spec was not passed")?;
        let spec: LdapSpec = spec::read(&File::from(spec)).map_err(|error| error.to_string())?;
        let tls = spec.tls.map(encryption).transpose()?;
        let mut passed = seat.descriptors_from(SPEC + 1).into_iter();
        let reader_password = match &spec.user {
            LdapUser::Search {
                reader: Some(_), ..
            } => {
                let file = passed.next().ok_or("no password was passed")?;
                let password = backend::password(file, "search-password-file")?;
                Some(names::password(&password))
            }
            LdapUser::Search { reader: None, .. } | LdapUser::Name(_) => None,
        };
        let check = Self {
            sockets: passed.collect(),
            server: Server {
                user: spec.user,
                reader_password,
                tls,
            },
        };
        Ok((check, spec.timeout))
    }

    fn decide(mut self, question: AuthToCheck, until: Instant) -> Result<CheckToAuth, No> {
        let AuthToCheck::Password { username, password } = question else {
            return Err(No::Failed(
                "bug: auth asks about something else than a password".into(),
            ));
        };
        let text = names::password(&password.0);
        drop(password);
        match self.ask(&username, text, until) {
            Ok(true) => Ok(CheckToAuth::Yes),
            Ok(false) => Err(No::Refused("the server says no".into())),
            Err(why) => Err(No::Failed(why)),
        }
    }
}

impl Ldap {
    fn ask(
        &mut self,
        username: &str,
        password: Zeroizing<String>,
        until: Instant,
    ) -> Result<bool, String> {
        let socket = backend::connected(&mut self.sockets, until)?;
        self.server
            .ask(socket, username, password, until)
            .map_err(|failure| failure.to_string())
    }
}

fn encryption(spec: ServerTls) -> Result<Encryption, String> {
    let ask = spec.ask;
    Ok(Encryption {
        tls: backend::tls(spec)?,
        ask,
    })
}
