//! How a session ends: in order, and without waiting for anybody for long.

use crate::log::Level;
use crate::session::{Phase, Session};
use ipc::launcher::SupervisorToLauncher;
use ipc::{ChannelError, ConnectionId};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// So long clients may take to leave.
const CLIENTS: Duration = Duration::from_secs(1);
/// So long a client that asked for the end may take to look whether anybody still listens.
const LOOK: Duration = Duration::from_secs(3);
/// So long the workers may take to end, with what follows for those that do not.
const WORKERS: Duration = Duration::from_millis(1500);
/// So long the launcher may take to end applications and X server.
const LAUNCHER: Duration = Duration::from_secs(20);

/// What is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Told,
    Clients,
    Look,
    Workers,
    Launcher,
}

/// An end in progress.
#[derive(Debug)]
pub struct Ending {
    step: Step,
    /// When the next step is taken in any case.
    pub until: Instant,
    /// What clients are told.
    reason: Vec<String>,
    ask: Option<SupervisorToLauncher>,
    code: u8,
    /// The start has failed, or the session.
    failed: bool,
    /// Who asked for it looks for the sockets once it has been told.
    looked_for: bool,
}

impl Ending {
    fn new(reason: &[&str], ask: Option<SupervisorToLauncher>, code: u8, failed: bool) -> Self {
        Self {
            step: Step::Told,
            until: Instant::now(),
            reason: reason.iter().map(|line| (*line).to_owned()).collect(),
            ask,
            code,
            failed,
            looked_for: false,
        }
    }

    /// Applications and X server end too.
    #[must_use]
    pub fn stop(reason: &str, code: u8) -> Self {
        Self::new(&[reason], Some(SupervisorToLauncher::Stop), code, false)
    }

    /// They stay for the next supervisor.
    #[must_use]
    pub fn leave(reason: &str) -> Self {
        Self::new(&[reason], Some(SupervisorToLauncher::Leave), 0, false)
    }

    /// The start has failed. What it has begun ends; a session that was to be taken over has
    /// applications, which do not end because of us: the launcher knows which of the two it is.
    #[must_use]
    pub fn failure(reason: &str) -> Self {
        Self::new(&[reason], Some(SupervisorToLauncher::Leave), 1, true)
    }

    /// A client of this machine has asked. The stock one connects to a socket once more when it
    /// has been told, and then waits until the socket is gone; when there is none any more, or
    /// one where nobody listens, it says that it does not know what has become of the session.
    #[must_use]
    pub fn asked_for_locally(self, local: bool) -> Self {
        Self {
            looked_for: local,
            ..self
        }
    }

    /// Is somebody expected to connect who only wants to know whether that works?
    #[must_use]
    pub fn waits_for_a_look(&self) -> bool {
        self.step == Step::Look
    }

    /// The launcher is cleaning up already, or is gone.
    #[must_use]
    pub fn after_launcher(reason: &[&str]) -> Self {
        Self::new(reason, None, 1, true)
    }
}

impl Session {
    /// Begins the end. The first reason counts.
    pub fn end(&mut self, ending: Ending, why: &str) {
        if matches!(self.phase, Phase::Ending(_) | Phase::Over(_)) {
            return;
        }
        let level = if ending.failed {
            Level::Error
        } else {
            Level::Info
        };
        self.log.own(level, None, why);
        self.announcement.ending(why);
        self.phase = Phase::Ending(ending);
    }

    /// The launcher has nothing left, or is gone.
    pub fn launcher_done(&mut self) {
        self.launcher = None;
    }

    /// Takes the steps that can be taken.
    pub fn advance_end(&mut self, now: Instant) {
        let Phase::Ending(ending) = &mut self.phase else {
            return;
        };
        match ending.step {
            Step::Told => {
                ending.step = Step::Clients;
                ending.until = now + CLIENTS;
                let reason = std::mem::take(&mut ending.reason);
                let reason: Vec<&str> = reason.iter().map(String::as_str).collect();
                // The listeners stay open, and nobody is accepted: see `asked_for_locally`.
                self.waiting.clear();
                self.refuse_visitor("the session ends", now);
                for id in self.connection_ids() {
                    self.farewell(id, &reason, now);
                }
            }
            Step::Clients if self.connections.is_empty() || ending.until <= now => {
                ending.step = Step::Look;
                ending.until = if ending.looked_for { now + LOOK } else { now };
            }
            Step::Look if ending.until <= now => {
                ending.step = Step::Workers;
                ending.until = now + WORKERS;
                for id in self.connection_ids() {
                    self.drop_connection(id, now);
                }
                self.dismissed
                    .extend(self.auth.worker.take().map(|worker| worker.dismiss(now)));
                self.dismissed
                    .extend(self.keys.worker.take().map(|worker| worker.dismiss(now)));
                self.dismiss_retired(now);
                self.dismissed
                    .extend(self.display.worker.take().map(|worker| worker.dismiss(now)));
            }
            Step::Workers if self.dismissed.is_empty() || ending.until <= now => {
                ending.step = Step::Launcher;
                ending.until = now + LAUNCHER;
                if let Some(ask) = ending.ask.take() {
                    self.tell_launcher(ask);
                }
            }
            Step::Launcher if self.launcher.is_none() || ending.until <= now => {
                let mut code = ending.code;
                if self.launcher.is_some() {
                    code = 1;
                    self.log.own(
                        Level::Error,
                        None,
                        "the launcher does not say that it is done",
                    );
                }
                self.phase = Phase::Over(code);
                return;
            }
            _ => return,
        }
        self.advance_end(now);
    }

    /// Somebody has connected to a session that goes down.
    pub fn looked_at(&mut self, now: Instant) {
        if let Phase::Ending(ending) = &mut self.phase
            && ending.waits_for_a_look()
        {
            ending.until = now;
        }
    }

    fn connection_ids(&self) -> Vec<ConnectionId> {
        self.connections.keys().copied().collect()
    }

    /// Asks the launcher for something.
    pub fn tell_launcher(&mut self, message: SupervisorToLauncher) {
        self.tell_launcher_with(message, vec![]);
    }

    /// Tells the launcher something, with descriptors.
    pub fn tell_launcher_with(&mut self, message: SupervisorToLauncher, fds: Vec<OwnedFd>) {
        let Some(channel) = &mut self.launcher else {
            return;
        };
        match channel.send(&message, fds) {
            Ok(()) => {}
            Err(ChannelError::Closed) => self.launcher_done(),
            Err(error) => {
                self.log.own(
                    Level::Error,
                    None,
                    &format!("the launcher cannot be asked: {error}"),
                );
            }
        }
    }
}
