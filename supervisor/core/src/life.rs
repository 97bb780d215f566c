//! The session's own workers and the launcher: starts, deaths, restarts.

use crate::ending::Ending;
use crate::log::Level;
use crate::restarts::Verdict;
use crate::session::{Phase, Session};
use crate::worker::{Death, More, PER_TURN};
use ipc::display::{DisplayToSupervisor, SupervisorToDisplay};
use ipc::keys::{Encryption, KeysToSupervisor};
use ipc::launcher::{LauncherToSupervisor, SupervisorToLauncher};
use ipc::verdict::Peer;
use ipc::{ChannelError, ListenerId};
use policy::Role;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

impl Session {
    /// Starts `auth` with its own part of the configuration and the secrets, which we never read.
    pub fn start_auth(&mut self, now: Instant) {
        let fds: Vec<_> = self.auth_fds.iter().map(AsFd::as_fd).collect();
        let more = self.again();
        match self.nursery.start_with(Role::Auth, None, &fds, more, now) {
            Ok(worker) => {
                self.auth.worker = Some(worker);
                self.tell_lost(Role::Auth);
            }
            Err(error) => {
                self.log.own(
                    Level::Error,
                    None,
                    &format!("auth cannot be started: {error}"),
                );
                self.auth_vacant(Death::Exit(runtime::EXIT_START), now);
            }
        }
    }

    /// What a process is told that takes the place of one that was in force.
    fn again(&self) -> More {
        More {
            restarted: !matches!(self.phase, Phase::Starting),
            ..More::default()
        }
    }

    /// `auth` has died: handshakes in flight end, attached clients notice nothing.
    pub fn auth_died(&mut self, death: Death, now: Instant) {
        if let Some(mut worker) = self.auth.worker.take() {
            self.account(&mut worker.process, death, false);
        }
        let strangers = self
            .connections
            .iter()
            .filter(|(_, one)| one.verdict.is_none());
        for id in strangers.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.log.own(
                Level::Info,
                Some(id.0),
                "ended: auth has gone during the login",
            );
            self.drop_connection(id, now);
        }
        self.auth_vacant(death, now);
    }

    fn auth_vacant(&mut self, death: Death, now: Instant) {
        let verdict = self.auth.vacate(death, now);
        if matches!(self.phase, Phase::Starting) {
            let why = death.at_start(Role::Auth);
            self.end(Ending::failure("server error"), &why);
        } else if verdict == Verdict::Off {
            let text = "auth keeps failing: nobody can log in any more in this session";
            self.log.own(Level::Error, None, text);
        }
    }

    /// Is there a listener whose clients have to encrypt? Then there is a `keys`.
    pub fn wants_keys(&self) -> bool {
        let mut listeners = self.spec.listeners.iter();
        listeners.any(|listener| listener.encryption.is_some())
    }

    /// Starts `keys`, if it is wanted, with its own part of the configuration and the key data,
    /// which we never read.
    pub fn start_keys(&mut self, now: Instant) {
        if !self.wants_keys() {
            return;
        }
        let fds: Vec<_> = self.keys_fds.iter().map(AsFd::as_fd).collect();
        let more = self.again();
        match self.nursery.start_with(Role::Keys, None, &fds, more, now) {
            Ok(worker) => {
                self.keys.worker = Some(worker);
                self.tell_lost(Role::Keys);
            }
            Err(error) => {
                let text = format!("keys cannot be started: {error}");
                self.log.own(Level::Error, None, &text);
                self.keys_vacant(Death::Exit(runtime::EXIT_START), now);
            }
        }
    }

    /// What `keys` says.
    pub fn hear_keys(&mut self, message: KeysToSupervisor, now: Instant) {
        match message {
            // Once.
            KeysToSupervisor::Ready if self.keys.ready => {}
            KeysToSupervisor::Ready => {
                self.keys.ready = true;
                self.log.own(Level::Debug, None, "keys is up");
                self.check_ready();
            }
            KeysToSupervisor::Failed { reason } => {
                if matches!(self.phase, Phase::Starting) {
                    self.end(Ending::failure("server error"), &reason);
                } else if let Some(worker) = &mut self.keys.worker
                    && worker.let_go(now)
                {
                    self.log.own(Level::Error, None, &format!("keys: {reason}"));
                }
            }
            KeysToSupervisor::Violation(violation) => self.report(Peer::Keys, &violation, now),
            KeysToSupervisor::Pong => {
                for (reporter, what) in self.keys.answered() {
                    self.disbelieve(reporter, Peer::Keys, &what);
                }
            }
        }
    }

    /// `keys` has died: handshakes in flight on encrypted listeners end, attached clients notice
    /// nothing.
    pub fn keys_died(&mut self, death: Death, now: Instant) {
        if let Some(mut worker) = self.keys.worker.take() {
            self.account(&mut worker.process, death, false);
        }
        let strangers = self
            .connections
            .iter()
            .filter(|(_, one)| one.verdict.is_none() && one.keys == Some(self.reload.generation()));
        for id in strangers.map(|(id, _)| *id).collect::<Vec<_>>() {
            let text = "ended: keys has gone during the login";
            self.log.own(Level::Info, Some(id.0), text);
            self.drop_connection(id, now);
        }
        self.keys_vacant(death, now);
    }

    fn keys_vacant(&mut self, death: Death, now: Instant) {
        let verdict = self.keys.vacate(death, now);
        if matches!(self.phase, Phase::Starting) {
            let why = death.at_start(Role::Keys);
            self.end(Ending::failure("server error"), &why);
        } else if verdict == Verdict::Off {
            let text = "keys keeps failing: nobody can log in on the encrypted sockets any more \
                        in this session";
            self.log.own(Level::Error, None, text);
        }
    }

    /// What a listener demands of its clients.
    pub fn encryption(&self, listener: ListenerId) -> Option<&Encryption> {
        let listener = self.spec.listeners.get(usize::from(listener.0));
        listener.and_then(|listener| listener.encryption.as_ref())
    }

    /// Asks for an X connection for the next `display`.
    pub fn open_display(&mut self) {
        self.tell_launcher(SupervisorToLauncher::OpenDisplay);
    }

    fn start_display(&mut self, fds: Vec<OwnedFd>, now: Instant) {
        if self.display.worker.is_some() || self.display.off {
            return;
        }
        let start = SupervisorToDisplay::Start {
            display: self.display_number.unwrap_or_default(),
            name: self.spec.session_name.clone(),
            resize: self.spec.resize_display,
        };
        match self.nursery.start(Role::Display, None, &[], now) {
            Ok(worker) => {
                let worker: &mut crate::worker::Worker<_, _> = self.display.worker.insert(worker);
                worker.tell(&start, fds, &mut self.log);
            }
            Err(error) => {
                self.log.own(
                    Level::Error,
                    None,
                    &format!("display cannot be started: {error}"),
                );
                self.display_vacant(Death::Exit(runtime::EXIT_START), now);
                return;
            }
        }
        // Clients that were attached to its predecessor.
        for id in self.attached().map(|(id, _)| id).collect::<Vec<_>>() {
            self.connect_client(id, false, now);
        }
    }

    /// What `display` says.
    pub fn hear_display(&mut self, message: DisplayToSupervisor, now: Instant) {
        match message {
            // Once.
            DisplayToSupervisor::Ready if self.display.ready => {}
            DisplayToSupervisor::Ready => {
                self.display.ready = true;
                if self.display.restarts.total > 0 {
                    self.log.own(Level::Info, None, "the display is back");
                }
                self.check_ready();
                self.grant_waiting(now);
            }
            DisplayToSupervisor::Failed { reason } => {
                if matches!(self.phase, Phase::Starting) {
                    self.end(Ending::failure("server error"), &reason);
                } else if let Some(worker) = &mut self.display.worker
                    && worker.let_go(now)
                {
                    self.log
                        .own(Level::Error, None, &format!("display: {reason}"));
                }
            }
            DisplayToSupervisor::XClosed => {
                // If the X server has ended, the launcher says so and why.
                if let Some(worker) = &mut self.display.worker
                    && worker.let_go(now)
                {
                    let text = "the X server has closed display's connection";
                    self.log.own(Level::Debug, None, text);
                }
            }
            DisplayToSupervisor::Pong => {
                for (reporter, what) in self.display.answered() {
                    self.disbelieve(reporter, Peer::Display, &what);
                }
            }
            DisplayToSupervisor::Violation(violation) => {
                self.report(Peer::Display, &violation, now);
            }
            DisplayToSupervisor::Signal { pid, signal } => {
                let what = format!("a client asks for {signal:?} to the process {pid}");
                self.log.own(Level::Debug, None, &what);
                self.tell_launcher(SupervisorToLauncher::Signal { pid, signal });
            }
            DisplayToSupervisor::Windows(count) => {
                let had = self.had_windows;
                self.had_windows |= count > 0;
                if self.spec.exit_with_windows && had && count == 0 {
                    let why = "the last window is closed: the session ends";
                    self.end(Ending::stop("server shutdown", 0), why);
                }
            }
            DisplayToSupervisor::Description {
                token,
                root,
                windows,
            } => {
                self.described(token, root, &windows, now);
            }
        }
    }

    /// `display` has died: clients stay, a new one adopts the windows.
    pub fn display_died(&mut self, death: Death, now: Instant) {
        if let Some(mut worker) = self.display.worker.take() {
            self.account(&mut worker.process, death, false);
        }
        self.end_screenshots(now);
        self.display_vacant(death, now);
    }

    fn display_vacant(&mut self, death: Death, now: Instant) {
        let verdict = self.display.vacate(death, now);
        if matches!(self.phase, Phase::Starting) {
            let why = death.at_start(Role::Display);
            self.end(Ending::failure("server error"), &why);
        } else if verdict == Verdict::Off {
            let text = "the display keeps failing: this session can no longer be attached to; \
                        its applications run on";
            self.log.own(Level::Error, None, text);
            for id in self.connections.keys().copied().collect::<Vec<_>>() {
                self.farewell(id, &["server error", "the display keeps failing"], now);
            }
        }
    }

    fn end_screenshots(&mut self, now: Instant) {
        let pictures = self
            .connections
            .iter()
            .filter(|(_, one)| matches!(one.work, crate::client::Work::Screenshot(_)));
        for id in pictures.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.farewell(id, &["server error", "the display has gone"], now);
        }
    }

    /// Reads what the launcher says, as much as is its turn.
    pub fn listen_to_launcher(&mut self, now: Instant) {
        for _ in 0..PER_TURN {
            let Some(channel) = &mut self.launcher else {
                return;
            };
            let _ = channel.flush();
            match channel.receive() {
                Ok(None) => return,
                Ok(Some((message, fds))) => self.hear_launcher(message, fds, now),
                Err(error) => {
                    self.launcher_done();
                    let why = match error {
                        ChannelError::Closed => {
                            "the launcher has ended: so does the session".into()
                        }
                        error => format!("the launcher breaks the rules: {error}"),
                    };
                    let reason = ["server shutdown", "the launcher has ended"];
                    self.end(Ending::after_launcher(&reason), &why);
                }
            }
        }
    }

    fn hear_launcher(&mut self, message: LauncherToSupervisor, fds: Vec<OwnedFd>, now: Instant) {
        match message {
            LauncherToSupervisor::XReady { display, adopted } => {
                if let Some(why) = self.refuses_display(display) {
                    return self.end(Ending::failure("server error"), &why);
                }
                self.display_number = Some(display);
                if adopted {
                    let text = format!("display :{display} with its applications is taken over");
                    self.log.own(Level::Info, None, &text);
                }
                self.open_display();
            }
            LauncherToSupervisor::Failed { reason } => {
                self.end(Ending::after_launcher(&["server error", &reason]), &reason);
            }
            LauncherToSupervisor::Display => self.start_display(fds, now),
            LauncherToSupervisor::Connecting { connection, .. } => {
                self.connecting(connection, &fds, now);
            }
            LauncherToSupervisor::CommandInput(connection) => {
                self.command_listens(connection, fds);
            }
            LauncherToSupervisor::Checked {
                connection,
                outcome,
            } => self.command_checked(connection, outcome, now),
            LauncherToSupervisor::CheckStarted { connection, pid } => {
                self.outside_started(connection, pid, now);
            }
            LauncherToSupervisor::CheckEnded { connection, end } => {
                self.outside_ended(connection, end, now);
            }
            LauncherToSupervisor::File { file, name } => self.other_file(file, &name, fds, now),
            LauncherToSupervisor::NoFile { file, reason } => self.no_file(file, reason),
            LauncherToSupervisor::Looked => self.looked(),
            LauncherToSupervisor::CommandStarted {
                command,
                program,
                pid,
            } => {
                let number = command.0 + 1;
                let text = format!("command {number} (`{program}`) is process {pid}");
                self.log.own(Level::Debug, None, &text);
            }
            LauncherToSupervisor::CommandEnded {
                command,
                program,
                status,
            } => {
                // 126 and 127: it could not be started.
                let level = if status == 126 || status == 127 {
                    Level::Error
                } else {
                    Level::Info
                };
                let number = command.0 + 1;
                let text = format!("command {number} (`{program}`) has ended with status {status}");
                self.log.own(level, None, &text);
            }
            LauncherToSupervisor::ChildrenEnded => {
                if self.spec.exit_with_children {
                    let why = "the last command of --start-child has ended: the session ends";
                    self.end(Ending::stop("server shutdown", 0), why);
                }
            }
            LauncherToSupervisor::XEnded { status } => {
                let why = format!("the X server has ended with status {status}");
                self.end(Ending::after_launcher(&["server shutdown", &why]), &why);
            }
            LauncherToSupervisor::Stopped => {
                self.launcher_done();
                // Unless the session ends already, somebody else has told it to.
                let reason = ["server shutdown", "the launcher has ended"];
                let why = "the launcher has ended: so does the session";
                self.end(Ending::after_launcher(&reason), why);
            }
        }
    }

    /// Why this display cannot be ours: the listeners, the names and the records were made for
    /// another one, or it is not the first that the launcher tells us.
    fn refuses_display(&self, display: u32) -> Option<String> {
        match (self.display_number, self.spec.display) {
            (Some(first), _) => Some(format!(
                "the launcher breaks the rules: it tells of display :{display} after :{first}"
            )),
            (None, Some(asked)) if asked != display => Some(format!(
                "the launcher that answers has display :{display}, not :{asked}: it is left as it \
                 is; use `bulkhead seamless :{display}` to take that session over"
            )),
            _ => None,
        }
    }

    /// Lets clients in when everything is there.
    pub fn check_ready(&mut self) {
        let has_keys = self.keys.ready || !self.wants_keys();
        let all = self.auth.ready && self.display.ready && has_keys;
        if !matches!(self.phase, Phase::Starting) || !all {
            return;
        }
        self.phase = Phase::Running;
        self.tell_launcher(SupervisorToLauncher::StartCommands);
        let display = self.display_number.unwrap_or_default();
        let text = format!(
            "session :{display} is ready after {} ms",
            self.started.elapsed().as_millis()
        );
        self.log.own(Level::Info, None, &text);
        if !self.spec.attach_hint.is_empty() {
            let text = format!("attach with: {}", self.spec.attach_hint);
            self.log.own(Level::Info, None, &text);
        }
        self.announcement.ready(display);
    }
}
