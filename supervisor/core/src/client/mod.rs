//! Connections: from the listening socket to the last byte.
//!
//! In the order of a connection's life: [`arrive`], [`check`], [`verdict`], [`request`], then [`attach`] or
//! [`one_shot`], and [`leave`]. Here is what a connection is.

mod arrive;
mod attach;
mod check;
mod files;
mod leave;
mod one_shot;
mod outside;
mod request;
mod verdict;

use crate::log::Level;
use crate::penalties::Source;
use crate::restarts::Restarts;
use crate::session::Session;
use crate::worker::Worker;
use ipc::ListenerId;
use ipc::auth::PeerFacts;
use ipc::encoder::{EncoderToSupervisor, SupervisorToEncoder};
use ipc::network::{
    ClientDescription, NetworkToSupervisor, Request, SessionFacts, SupervisorToNetwork,
};
use ipc::verdict::Rights;
use std::fmt;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

pub use check::Check;
pub use files::{Look, Looked, Named};

/// So long a connection may be silent before it says its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(10);
/// So long a client may take to prove who it is, but for what a person reads on the screen; a person types a
/// password in this time.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// What the supervisor adds before it ends a worker that does not keep to that.
const LOGIN_SLACK: Duration = Duration::from_secs(5);
/// So long a told client may take to leave.
const FAREWELL: Duration = Duration::from_secs(2);
/// So long the answer to a one-shot request may take, with its transfer: `network` gives a client
/// that goes on reading a minute.
const ONE_SHOT: Duration = Duration::from_secs(70);
/// So long `display` may take to describe the windows for `info`.
pub const DESCRIBE: Duration = Duration::from_millis(500);

/// A connection that has not said anything yet, or waits for a process.
pub struct Waiting {
    pub socket: OwnedFd,
    pub listener: ListenerId,
    pub peer: PeerFacts,
    pub source: Source,
    pub since: Instant,
    /// There is something to be read.
    pub spoke: bool,
    /// Are the files that decide about it those of now?
    pub looked: Looked,
}

impl Waiting {
    /// When it is closed.
    pub fn deadline(&self) -> Instant {
        self.since + FIRST_BYTE
    }
}

/// What `auth` said about a connection.
#[derive(Clone, Debug)]
pub struct Admitted {
    pub username: String,
    pub module: String,
}

/// An attached client.
pub struct Attached {
    pub description: ClientDescription,
    pub rights: Rights,
    pub encoder: Option<Worker<SupervisorToEncoder, EncoderToSupervisor>>,
    pub encoder_due: Option<Instant>,
    pub restarts: Restarts,
    pub since: Instant,
    /// Its hello has been sent.
    pub greeted: bool,
}

/// A picture in the making.
pub struct Picture {
    pub encoder: Option<Worker<SupervisorToEncoder, EncoderToSupervisor>>,
    /// The other end of the channel that `display` has for its `network`: there is none, as one
    /// picture needs no input.
    _unused: OwnedFd,
}

/// What a connection is being served with.
pub enum Work {
    /// Nothing yet, or nothing any more.
    Nothing,
    /// The session.
    Session(Box<Attached>),
    /// A picture of the screen.
    Screenshot(Box<Picture>),
    /// Facts; complete when `display` has described the windows.
    Info {
        /// What `display` gives back.
        token: u64,
        /// When the answer goes out without the windows.
        until: Instant,
    },
}

/// A connection with a `network` worker.
pub struct Connection {
    pub network: Worker<SupervisorToNetwork, NetworkToSupervisor>,
    pub listener: ListenerId,
    pub peer: PeerFacts,
    pub source: Source,
    pub since: Instant,
    /// So long it may take to prove who it is, from `since` on.
    pub login: Duration,
    /// Which `keys` it logs in with, if it is encrypted: [`Reload::generation`](crate::reload::Reload).
    pub keys: Option<u32>,
    /// What `auth` waits for.
    pub check: Option<Check>,
    /// Given once, by `auth`.
    pub verdict: Option<Admitted>,
    /// Asked, and not yet granted: the verdict may be still on its way, or `display` be away.
    pub asked: Option<Request>,
    /// It has asked its one question.
    pub has_asked: bool,
    pub work: Work,
    /// It has been told to go.
    pub leaving: bool,
}

impl Connection {
    /// Its encoder.
    pub fn encoder(&self) -> Option<&Worker<SupervisorToEncoder, EncoderToSupervisor>> {
        match &self.work {
            Work::Session(attached) => attached.encoder.as_ref(),
            Work::Screenshot(picture) => picture.encoder.as_ref(),
            Work::Nothing | Work::Info { .. } => None,
        }
    }

    /// Its encoder.
    pub fn encoder_mut(&mut self) -> Option<&mut Worker<SupervisorToEncoder, EncoderToSupervisor>> {
        match &mut self.work {
            Work::Session(attached) => attached.encoder.as_mut(),
            Work::Screenshot(picture) => picture.encoder.as_mut(),
            Work::Nothing | Work::Info { .. } => None,
        }
    }

    /// It has broken a rule: it ends, and nothing more is granted while it does. False when it
    /// was on its way already.
    pub fn condemn(&mut self) -> bool {
        self.leaving = true;
        self.asked = None;
        self.network.condemn()
    }

    /// A stranger has not proved who it is.
    fn is_stranger(&self) -> bool {
        self.verdict.is_none()
    }

    /// It has not proved who it is, or not said what it wants; that has a time limit.
    fn is_undecided(&self) -> bool {
        self.is_stranger() || !self.has_asked
    }

    /// When something is to be done about it.
    pub fn deadlines(&self) -> impl Iterator<Item = Option<Instant>> {
        let login = self
            .is_undecided()
            .then(|| self.since + self.login + LOGIN_SLACK);
        let work = match &self.work {
            Work::Session(attached) => attached.encoder_due,
            Work::Info { until, .. } => Some(*until),
            Work::Nothing | Work::Screenshot(_) => None,
        };
        let encoder = self.encoder().and_then(Worker::deadline);
        [
            login.filter(|_| !self.leaving),
            work,
            encoder,
            self.network.deadline(),
            self.check.as_ref().and_then(Check::deadline),
        ]
        .into_iter()
    }
}

/// A peer as the log names it.
pub struct Who<'a>(pub &'a PeerFacts);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            PeerFacts::Tcp { address } => write!(f, "{address}"),
            PeerFacts::Unix { pid, uid, .. } => write!(f, "local user {uid} (process {pid})"),
        }
    }
}

impl Session {
    /// What a client is told about the session.
    fn facts(&self) -> SessionFacts {
        SessionFacts {
            display: self.display_number.unwrap_or_default(),
            session_name: self.spec.session_name.clone(),
            uuid: self.spec.uuid.clone(),
            machine_id: self.spec.machine_id.clone(),
            hostname: self.spec.hostname.clone(),
            pid: u32::try_from(self.nursery.pid).unwrap_or_default(),
            start_time: self.start_time,
            readonly: self.spec.readonly,
            sharing: self.spec.sharing != Some(false),
            resize: self.spec.resize_display,
        }
    }

    /// Does what is due for connections.
    pub fn tick_clients(&mut self, now: Instant) {
        let mut late = Vec::new();
        let mut encoders = Vec::new();
        let mut infos = Vec::new();
        for (id, connection) in &mut self.connections {
            connection.network.enforce_deadline(now);
            if let Some(encoder) = connection.encoder_mut() {
                encoder.enforce_deadline(now);
            }
            if !connection.leaving
                && connection.is_undecided()
                && connection.since + connection.login + LOGIN_SLACK <= now
            {
                late.push(*id);
            }
            match &connection.work {
                Work::Session(attached) if attached.encoder_due.is_some_and(|due| due <= now) => {
                    encoders.push(*id);
                }
                Work::Info { until, .. } if *until <= now => infos.push(*id),
                _ => {}
            }
        }
        for id in late {
            self.log.own(Level::Info, Some(id.0), "login timeout");
            self.drop_connection(id, now);
        }
        for id in encoders {
            self.restart_encoder(id, now);
        }
        for id in infos {
            self.finish_info(id, None, now);
        }
        self.tick_checks(now);
    }
}
