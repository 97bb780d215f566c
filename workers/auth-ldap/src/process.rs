//! The process: a question from `auth`, a socket that the launcher has begun to connect, an answer.

use crate::names;
use crate::server::{Encryption, Server};
use crate::transport::Tls;
use check::{Check, No, left};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::{self, LdapSpec, LdapTls, LdapUser};
use runtime::secret::{Buffer, SecretFile};
use runtime::{Interest, PollSet, Role, Seat};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;
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
                Some(read_password(File::from(file))?)
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
        let socket = self.connected(until)?;
        self.server
            .ask(socket, username, password, until)
            .map_err(|failure| failure.to_string())
    }

    /// The first socket that is connected; if there are more, the one that is preferred.
    fn connected(&mut self, until: Instant) -> Result<OwnedFd, String> {
        while !self.sockets.is_empty() {
            let Some(left) = left(until) else {
                return Err("the server does not take a connection".into());
            };
            let mut set = PollSet::new();
            let slots: Vec<_> = self
                .sockets
                .iter()
                .map(|socket| set.add(socket.as_fd(), Interest::Write))
                .collect();
            set.wait(Some(left)).map_err(|error| error.to_string())?;
            let states: Vec<_> = slots.into_iter().map(|slot| set.ready(slot)).collect();
            let connected = |state: &runtime::Ready| state.writable && !state.hangup;
            if let Some(place) = states.iter().position(connected) {
                return Ok(self.sockets.swap_remove(place));
            }
            let mut states = states.iter();
            self.sockets
                .retain(|_| !states.next().is_some_and(|state| state.hangup));
        }
        Err("the server refuses connections".into())
    }
}

/// The library of TLS is only used, and tried out, where there is TLS.
fn encryption(spec: LdapTls) -> Result<Encryption, String> {
    let client = tls::client();
    tls::warm_up(&client)
        .and_then(|()| tls::warm_up_verification(&client))
        .map_err(|_| "the TLS library does not work")?;
    Ok(Encryption {
        tls: Tls::new(&spec.name, spec.authorities)?,
        ask: spec.ask,
    })
}

/// The password of who searches: a line end at its end is the editor's.
fn read_password(file: File) -> Result<Zeroizing<String>, String> {
    let mut buffer = Buffer::new().map_err(|error| error.to_string())?;
    let at = |error: &dyn std::fmt::Display| format!("search-password-file: {error}");
    let file = SecretFile::new(file);
    let secret = file.read(&mut buffer).map_err(|error| at(&error))?;
    let bytes = secret.bytes();
    let end = bytes.len()
        - bytes
            .iter()
            .rev()
            .take_while(|b| b"\r\n".contains(b))
            .count();
    Ok(names::password(&bytes[..end]))
}
