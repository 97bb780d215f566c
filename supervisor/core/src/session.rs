//! The supervisor's state and its loop.

use crate::admission::Admission;
use crate::client::{Check, Connection, Waiting, Work};
use crate::ending::Ending;
use crate::log::{Level, Log, Origin};
use crate::place::Place;
use crate::ready::Announcement;
use crate::reload::Reload;
use crate::worker::{Death, Dismissed, Nursery, Part, Worker};
use ipc::auth::{AuthToSupervisor, SupervisorToAuth};
use ipc::channel::Message;
use ipc::display::{DisplayToSupervisor, SupervisorToDisplay};
use ipc::keys::{KeysToSupervisor, SupervisorToKeys};
use ipc::launcher::{LauncherToSupervisor, SupervisorToLauncher};
use ipc::spec::SupervisorSpec;
use ipc::verdict::Peer;
use ipc::{Channel, ConnectionId};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::sys::time::TimeSpec;
use policy::Role;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// The peer has closed its sending half (poll(2)).
const POLLRDHUP: PollFlags = PollFlags::from_bits_retain(libc::POLLRDHUP);

/// How far the session is.
pub enum Phase {
    /// Not everything that is needed is there.
    Starting,
    /// Clients are accepted.
    Running,
    /// It goes down, in order.
    Ending(Ending),
    /// Done, with this exit code.
    Over(u8),
}

/// What the session has seen.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were closed because of penalties.
    pub penalised: u64,
    /// Connections that were closed because there were too many.
    pub crowded: u64,
    /// Refusals by `auth`.
    pub refused: u64,
    /// Clients that proved who they are.
    pub authenticated: u64,
    /// Broken rules between processes.
    pub violations: u64,
    /// Deaths by a sandbox.
    pub sandbox: u64,
}

/// A session.
pub struct Session {
    pub spec: SupervisorSpec,
    pub nursery: Nursery,
    pub log: Log,
    pub launcher: Option<Channel<SupervisorToLauncher, LauncherToSupervisor>>,
    pub signals: SignalFd,
    pub listeners: Vec<OwnedFd>,
    /// Listeners are left alone until then: there are no descriptors left.
    pub accept_pause: Option<Instant>,
    pub auth_fds: Vec<OwnedFd>,
    /// What `keys` gets: its own part, and the secrets by their places.
    pub keys_fds: Vec<OwnedFd>,
    /// What may be brought anew of that.
    pub reload: Reload,
    /// What the process of each check gets.
    pub check_fds: Vec<Vec<OwnedFd>>,
    /// Those of these two that others may take the place of.
    pub files: Vec<crate::client::Named>,
    /// The launcher looks at them.
    pub look: Option<crate::client::Look>,
    pub announcement: Announcement,
    /// Facts for `info`: what confines the supervisor.
    pub landlock_abi: u32,
    /// Unix time of the start in seconds.
    pub start_time: u64,
    pub started: Instant,
    pub phase: Phase,
    pub display_number: Option<u32>,
    pub auth: Place<SupervisorToAuth, AuthToSupervisor>,
    /// Empty for good when no listener is encrypted.
    pub keys: Place<SupervisorToKeys, KeysToSupervisor>,
    pub display: Place<SupervisorToDisplay, DisplayToSupervisor>,
    pub waiting: BTreeMap<u64, Waiting>,
    /// When the choice among those who wait is to be made again.
    pub choose_at: Option<Instant>,
    pub connections: BTreeMap<ConnectionId, Connection>,
    pub dismissed: Vec<Dismissed>,
    pub admission: Admission,
    pub counters: Counters,
    pub last_number: u64,
    /// The session has shown a window (for `--exit-with-windows`).
    pub had_windows: bool,
}

/// What a descriptor belongs to.
#[derive(Clone, Copy)]
enum Token {
    Signals,
    Launcher,
    Listener(usize),
    Waiting(u64),
    Auth(Part),
    Keys(Part),
    Display(Part),
    Network(ConnectionId, Part),
    Encoder(ConnectionId, Part),
    Check(ConnectionId, Part),
    Dismissed(i32, Part),
    Door,
    Visitor,
    Trial(Part),
    Retired(i32, Part),
}

fn channel_flags<Tx: Message, Rx: Message>(channel: &Channel<Tx, Rx>) -> PollFlags {
    let write = if channel.awaits_socket() {
        PollFlags::POLLOUT
    } else {
        PollFlags::empty()
    };
    PollFlags::POLLIN | write
}

/// The descriptors of a turn.
#[derive(Default)]
struct Turn<'a> {
    fds: Vec<PollFd<'a>>,
    tokens: Vec<Token>,
}

impl<'a> Turn<'a> {
    fn add(&mut self, token: Token, fd: BorrowedFd<'a>, flags: PollFlags) {
        self.fds.push(PollFd::new(fd, flags));
        self.tokens.push(token);
    }

    fn add_process(&mut self, token: impl Fn(Part) -> Token, process: &'a crate::worker::Process) {
        self.add(
            token(Part::Process),
            process.descriptor(),
            PollFlags::POLLIN,
        );
        if let Some(pipe) = process.log.pipe() {
            self.add(token(Part::Log), pipe, PollFlags::POLLIN);
        }
    }

    fn add_worker<Tx: Message, Rx: Message>(
        &mut self,
        token: impl Fn(Part) -> Token,
        worker: &'a Worker<Tx, Rx>,
    ) {
        if let Some(channel) = worker.channel() {
            self.add(
                token(Part::Channel),
                channel.as_fd(),
                channel_flags(channel),
            );
        }
        self.add_process(token, &worker.process);
    }
}

impl Session {
    /// Runs the session to its end and gives the exit code.
    pub fn run(mut self) -> u8 {
        self.start_auth(Instant::now());
        self.start_keys(Instant::now());
        loop {
            let now = Instant::now();
            self.tick(now);
            if let Phase::Over(code) = self.phase {
                return code;
            }
            match self.wait(now) {
                Ok(events) => {
                    let now = Instant::now();
                    for (token, flags) in events {
                        self.handle(token, flags, now);
                    }
                }
                Err(error) => {
                    self.log.own(
                        Level::Error,
                        None,
                        &format!("cannot wait for events: {error}"),
                    );
                    return 1;
                }
            }
        }
    }

    /// Are clients let in?
    pub fn running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    fn wait(&self, now: Instant) -> Result<Vec<(Token, PollFlags)>, Errno> {
        let mut turn = Turn::default();
        turn.add(Token::Signals, self.signals.as_fd(), PollFlags::POLLIN);
        if let Some(channel) = &self.launcher {
            turn.add(Token::Launcher, channel.as_fd(), channel_flags(channel));
        }
        // Before the others: a verdict counts before what is asked because of it.
        if let Some(worker) = &self.auth.worker {
            turn.add_worker(Token::Auth, worker);
        }
        if let Some(worker) = &self.keys.worker {
            turn.add_worker(Token::Keys, worker);
        }
        if let Some(worker) = &self.display.worker {
            turn.add_worker(Token::Display, worker);
        }
        if let Some(worker) = self.reload.trial() {
            turn.add_worker(Token::Trial, worker);
        }
        for worker in self.reload.retired() {
            let pid = worker.process.pid;
            turn.add_worker(|part| Token::Retired(pid, part), worker);
        }
        if let Some(channel) = self.reload.visitor() {
            turn.add(Token::Visitor, channel.as_fd(), channel_flags(channel));
        }
        for (id, connection) in &self.connections {
            turn.add_worker(|part| Token::Network(*id, part), &connection.network);
            if let Some(encoder) = connection.encoder() {
                turn.add_worker(|part| Token::Encoder(*id, part), encoder);
            }
            if let Some(check) = connection.check.as_ref().and_then(Check::worker) {
                turn.add_worker(|part| Token::Check(*id, part), check);
            }
            let outside = connection.check.as_ref().and_then(Check::outside);
            if let Some(pipe) = outside.and_then(|outside| outside.log.pipe()) {
                turn.add(Token::Check(*id, Part::Log), pipe, PollFlags::POLLIN);
            }
        }
        for dismissed in &self.dismissed {
            let pid = dismissed.process.pid;
            turn.add_process(|part| Token::Dismissed(pid, part), &dismissed.process);
        }
        for (number, waiting) in &self.waiting {
            let read = if waiting.spoke {
                PollFlags::empty()
            } else {
                PollFlags::POLLIN
            };
            turn.add(
                Token::Waiting(*number),
                waiting.socket.as_fd(),
                read | POLLRDHUP,
            );
        }
        let looked_for = matches!(&self.phase, Phase::Ending(ending) if ending.waits_for_a_look());
        if self.running() && self.accept_pause.is_none() || looked_for {
            for (index, listener) in self.listeners.iter().enumerate() {
                turn.add(Token::Listener(index), listener.as_fd(), PollFlags::POLLIN);
            }
        }
        if self.running()
            && self.accept_pause.is_none()
            && let Some(door) = self.reload.door()
        {
            turn.add(Token::Door, door, PollFlags::POLLIN);
        }
        let timeout = self
            .deadline()
            .map(|at| TimeSpec::from_duration(at.saturating_duration_since(now)));
        match ppoll(&mut turn.fds, timeout, None) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        let events = turn.fds.iter().zip(&turn.tokens).filter_map(|(fd, token)| {
            // A flag that nix does not know gives `None`, and we ask for one such.
            let flags = fd.revents().unwrap_or(POLLRDHUP);
            (!flags.is_empty()).then_some((*token, flags))
        });
        Ok(events.collect())
    }

    /// When something is to be done even if nothing happens.
    fn deadline(&self) -> Option<Instant> {
        let places = [
            self.auth.deadline(),
            self.keys.deadline(),
            self.display.deadline(),
            self.choose_at,
            self.accept_pause,
            self.reload.deadline(),
        ];
        let ending = match &self.phase {
            Phase::Ending(ending) => Some(ending.until),
            _ => None,
        };
        let dismissed = self.dismissed.iter().map(|dismissed| dismissed.kill_at);
        let connections = self.connections.values().flat_map(Connection::deadlines);
        let waiting = self
            .waiting
            .values()
            .map(|waiting| Some(waiting.deadline()));
        places
            .into_iter()
            .chain([ending])
            .chain(dismissed)
            .chain(connections)
            .chain(waiting)
            .flatten()
            .min()
    }

    /// Does what is due.
    fn tick(&mut self, now: Instant) {
        if self.accept_pause.is_some_and(|until| until <= now) {
            self.accept_pause = None;
        }
        self.auth.enforce_deadline(&mut self.log, now);
        self.keys.enforce_deadline(&mut self.log, now);
        self.display.enforce_deadline(&mut self.log, now);
        for dismissed in &mut self.dismissed {
            if dismissed.kill_at.is_some_and(|at| at <= now) {
                dismissed.kill_at = None;
                dismissed.process.kill();
            }
        }
        if !matches!(self.phase, Phase::Ending(_) | Phase::Over(_)) {
            if self.auth.take_due(now) {
                self.start_auth(now);
            }
            if self.keys.take_due(now) {
                self.start_keys(now);
            }
            if self.display.take_due(now) {
                self.open_display();
            }
        }
        self.tick_clients(now);
        self.tick_reload(now);
        self.admit(now);
        self.advance_end(now);
    }

    fn handle(&mut self, token: Token, flags: PollFlags, now: Instant) {
        match token {
            Token::Signals => self.read_signals(),
            Token::Launcher => self.listen_to_launcher(now),
            Token::Listener(index) if self.running() => self.accept(index, now),
            Token::Listener(_) => self.looked_at(now),
            Token::Waiting(number) => {
                let gone = PollFlags::POLLHUP | PollFlags::POLLERR | POLLRDHUP;
                self.heard(number, flags.intersects(gone));
            }
            Token::Auth(part) => self.auth_event(part, now),
            Token::Keys(part) => self.keys_event(part, now),
            Token::Display(part) => self.display_event(part, now),
            Token::Network(id, part) => self.network_event(id, part, now),
            Token::Encoder(id, part) => self.encoder_event(id, part, now),
            Token::Check(id, part) => self.check_event(id, part, now),
            Token::Dismissed(pid, part) => self.dismissed_event(pid, part, now),
            Token::Door => self.open_door(now),
            Token::Visitor => self.listen_to_visitor(now),
            Token::Trial(part) => self.trial_event(part, now),
            Token::Retired(pid, part) => self.retired_event(pid, part, now),
        }
    }

    fn read_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signal = i32::try_from(info.ssi_signo)
                .ok()
                .and_then(|n| Signal::try_from(n).ok());
            match signal {
                // In the background there is no terminal whose end it could tell.
                Some(Signal::SIGHUP) if self.announcement.in_background() => {
                    let text = match self.reload.is_possible() {
                        true => "SIGHUP: nothing is read anew; `bulkhead reload` does that",
                        false => "SIGHUP: there is nothing to read anew",
                    };
                    self.log.own(Level::Info, None, text);
                }
                Some(signal) => {
                    self.end(
                        Ending::stop("server shutdown", 0),
                        &format!("{signal}: the session ends"),
                    );
                }
                None => {}
            }
        }
    }

    fn auth_event(&mut self, part: Part, now: Instant) {
        let Some(worker) = &mut self.auth.worker else {
            return;
        };
        let (messages, death) = worker.event(part, &mut self.log, now);
        for message in messages {
            self.hear_auth(message, now);
        }
        if let Some(death) = death {
            self.auth_died(death, now);
        }
    }

    fn keys_event(&mut self, part: Part, now: Instant) {
        let Some(worker) = &mut self.keys.worker else {
            return;
        };
        let (messages, death) = worker.event(part, &mut self.log, now);
        for message in messages {
            self.hear_keys(message, now);
        }
        if let Some(death) = death {
            self.keys_died(death, now);
        }
    }

    fn display_event(&mut self, part: Part, now: Instant) {
        let Some(worker) = &mut self.display.worker else {
            return;
        };
        let (messages, death) = worker.event(part, &mut self.log, now);
        for message in messages {
            self.hear_display(message, now);
        }
        if let Some(death) = death {
            self.display_died(death, now);
        }
    }

    fn network_event(&mut self, id: ConnectionId, part: Part, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let (messages, death) = connection.network.event(part, &mut self.log, now);
        let Some(death) = death else {
            for message in messages {
                self.hear_network(id, message, now);
            }
            return;
        };
        // Nothing is granted to a worker that is gone; what it reports is still heard.
        for message in messages {
            if let ipc::network::NetworkToSupervisor::Violation(violation) = message {
                self.report(Peer::Network(id), &violation, now);
            }
        }
        self.network_died(id, death, now);
    }

    fn encoder_event(&mut self, id: ConnectionId, part: Part, now: Instant) {
        let connection = self.connections.get_mut(&id);
        let Some(worker) = connection.and_then(Connection::encoder_mut) else {
            return;
        };
        let (messages, death) = worker.event(part, &mut self.log, now);
        if let Some(death) = death {
            self.encoder_died(id, death, now);
        }
        for ipc::encoder::EncoderToSupervisor::Violation(violation) in messages {
            self.report(Peer::Encoder(id), &violation, now);
        }
    }

    fn dismissed_event(&mut self, pid: i32, part: Part, now: Instant) {
        let position = self
            .dismissed
            .iter()
            .position(|dismissed| dismissed.process.pid == pid);
        let Some(index) = position else { return };
        let process = &mut self.dismissed[index].process;
        match part {
            Part::Channel => {}
            Part::Log => process.log.read(&mut self.log, now),
            Part::Process => {
                let Some(death) = process.reap(&mut self.log, now) else {
                    return;
                };
                let mut gone = self.dismissed.swap_remove(index);
                self.account(&mut gone.process, death, true);
            }
        }
    }

    /// Logs the end of a worker. That of one that was dismissed only matters if it is a fault.
    pub fn account(&mut self, process: &mut crate::worker::Process, death: Death, dismissed: bool) {
        let panic = process.log.panic.take();
        self.account_for(process.origin(), panic, death, dismissed);
    }

    /// The same of one that is not our child.
    pub fn account_for(
        &mut self,
        origin: Origin,
        panic: Option<String>,
        death: Death,
        dismissed: bool,
    ) {
        if death.by_sandbox() {
            self.counters.sandbox += 1;
        }
        let level = match death {
            Death::Signal(libc::SIGKILL) if dismissed => Level::Debug,
            Death::Exit(0) => Level::Debug,
            Death::Exit(1) => Level::Info,
            Death::Signal(libc::SIGKILL) => Level::Warn,
            _ => Level::Error,
        };
        let panic = panic.map(|panic| format!(": {panic}")).unwrap_or_default();
        let text = format!("the process {death}{panic}");
        self.log.record(level, origin, text.as_bytes());
    }

    /// Every live process of ours, for `info`.
    pub fn processes(&self) -> Vec<(Role, i32, Option<ConnectionId>, Instant)> {
        let fact = |process: &crate::worker::Process| {
            (
                process.role,
                process.pid,
                process.connection,
                process.started,
            )
        };
        let mut all = Vec::new();
        all.extend(self.auth.worker.iter().map(|worker| fact(&worker.process)));
        let keys = self.keys.worker.iter().chain(self.reload.trial());
        let keys = keys.chain(self.reload.retired());
        all.extend(keys.map(|worker| fact(&worker.process)));
        all.extend(
            self.display
                .worker
                .iter()
                .map(|worker| fact(&worker.process)),
        );
        for connection in self.connections.values() {
            all.push(fact(&connection.network.process));
            all.extend(connection.encoder().map(|worker| fact(&worker.process)));
            let check = connection.check.as_ref().and_then(Check::worker);
            all.extend(check.map(|worker| fact(&worker.process)));
        }
        all
    }

    /// Clients that use the session now.
    pub fn attached(&self) -> impl Iterator<Item = (ConnectionId, &crate::client::Attached)> {
        self.connections
            .iter()
            .filter_map(|(id, connection)| match &connection.work {
                Work::Session(attached) => Some((*id, &**attached)),
                _ => None,
            })
    }
}
