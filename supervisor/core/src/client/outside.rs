//! Processes of checks that the launcher starts, because our own children could not do what they
//! have to: Landlock's rules and the filter are inherited. We have their log, and hear how they
//! end; what they find out `auth` hears itself.

use super::check::{Check, Stage};
use crate::log::{Level, Origin, Pipe};
use crate::session::Session;
use crate::worker::Death;
use ipc::ConnectionId;
use ipc::auth::{PeerFacts, SupervisorToAuth};
use ipc::channel::socketpair;
use ipc::launcher::{ProcessEnd, SupervisorToLauncher};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use policy::Role;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// One that the launcher is asked for.
pub struct Starting {
    role: Role,
    log: OwnedFd,
    to_auth: OwnedFd,
}

/// One that runs.
pub struct Outside {
    /// What it writes.
    pub log: Pipe,
    origin: Origin,
}

impl Session {
    /// Asks for the process of a check, of this role.
    pub(super) fn start_outside(&mut self, id: ConnectionId, role: Option<Role>) {
        let place = self.connections.get(&id).and_then(|one| one.check.as_ref());
        let place = place.map(|check| usize::from(check.id.0));
        let own = place.and_then(|place| self.check_fds.get(place));
        let own = own.map_or(&[][..], Vec::as_slice);
        let make = || -> io::Result<_> {
            let role = role.ok_or(io::ErrorKind::InvalidInput)?;
            let own: Vec<_> = own
                .iter()
                .map(OwnedFd::try_clone)
                .collect::<Result<_, _>>()?;
            let count = u8::try_from(own.len()).map_err(io::Error::other)?;
            let log = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
            Ok((role, own, count, log, socketpair()?))
        };
        let made = make();
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Some(check) = &mut connection.check else {
            return;
        };
        let (role, own, count, (log, log_there), (to_auth, to_check)) = match made {
            Ok(made) => made,
            Err(error) => {
                let text = format!("no channel for a check: {error}");
                self.log.own(Level::Error, Some(id.0), &text);
                connection.check = None;
                return self.tell_checked(id, false);
            }
        };
        check.stage = Stage::Starting(Some(Starting { role, log, to_auth }));
        let host = match connection.peer {
            PeerFacts::Tcp { address } => Some(address.ip()),
            PeerFacts::Unix { .. } => None,
        };
        let start = SupervisorToLauncher::StartCheck {
            connection: id,
            check: check.id,
            host,
            own: count,
        };
        let passed = [log_there, to_check].into_iter().chain(own);
        self.tell_launcher_with(start, passed.collect());
    }

    /// The launcher has started the process of a check, or says next why not.
    pub fn outside_started(&mut self, id: ConnectionId, pid: Option<u32>, now: Instant) {
        // The connection may have gone.
        let connection = self.connections.get_mut(&id);
        let Some(check) = connection.and_then(|one| one.check.as_mut()) else {
            return;
        };
        let Stage::Starting(starting) = &mut check.stage else {
            // Of one that was given up before this was said.
            return;
        };
        let Some(Starting { role, log, to_auth }) = starting.take() else {
            return;
        };
        let origin = Origin {
            role: role.name(),
            pid: pid.and_then(|pid| pid.try_into().ok()).unwrap_or_default(),
            connection: Some(id.0),
        };
        check.stage = Stage::Outside(Box::new(Outside {
            log: Pipe::new(log, origin, now),
            origin,
        }));
        if let Some(auth) = &mut self.auth.worker {
            auth.tell(&SupervisorToAuth::Ask(id), vec![to_auth], &mut self.log);
        }
    }

    /// It writes something.
    pub fn outside_log(&mut self, id: ConnectionId, now: Instant) {
        let connection = self.connections.get_mut(&id);
        let check = connection.and_then(|one| one.check.as_mut());
        if let Some(Stage::Outside(outside)) = check.map(|check| &mut check.stage) {
            outside.log.read(&mut self.log, now);
        }
    }

    /// It has ended, or could not be started.
    pub fn outside_ended(&mut self, id: ConnectionId, end: ProcessEnd, now: Instant) {
        let connection = self.connections.get_mut(&id);
        let check = connection.map(|one| &mut one.check);
        let Some(Check {
            id: check,
            stage: Stage::Outside(mut outside),
            ..
        }) = check.and_then(|check| check.take_if(|check| check.outside().is_some()))
        else {
            // Of one that nobody waits for.
            return;
        };
        outside.log.read_last(&mut self.log, now);
        let module = self.module(usize::from(check.0));
        let own = |text: &str| format!("auth={module}: {text}");
        match end {
            // As a shell says it.
            ProcessEnd::Status(status) => {
                let death = match status {
                    129.. => Death::Signal(status - 128),
                    _ => Death::Exit(status),
                };
                self.account_for(outside.origin, outside.log.panic.take(), death, false);
            }
            ProcessEnd::Late => {
                let text = own("no answer in time: ended");
                self.log.own(Level::Warn, Some(id.0), &text);
            }
            ProcessEnd::NotStarted => {
                let text = own("no process for its check: see the session's log");
                self.log.own(Level::Error, Some(id.0), &text);
            }
        }
        self.start_checks(now);
    }
}
