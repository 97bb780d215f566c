//! The process: one channel to the supervisor, one to each connection's `network`.

use crate::command;
use crate::conversation::{Conversation, Finding, Step, Verifier};
use crate::modules::Modules;
use hosts::{Name, Naming};
use ipc::auth::{AuthToNetwork, AuthToSupervisor, NetworkToAuth, PeerFacts, SupervisorToAuth};
use ipc::check::{AddressName, AuthToCheck, CheckToAuth, MAX_NAMES, PLACES};
use ipc::verdict::{Peer, Violation};
use ipc::{Channel, ChannelError, ConnectionId, ListenerId};
use runtime::{Interest, PollSet};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

/// Most connections at a time. The supervisor caps them lower.
const MAX_CONNECTIONS: usize = 256;

/// The channel to the supervisor.
pub type Supervisor = Channel<AuthToSupervisor, SupervisorToAuth>;

struct Connection {
    channel: Channel<AuthToNetwork, NetworkToAuth>,
    conversation: Conversation,
    /// A process that makes the check that the conversation waits for.
    check: Option<Check>,
    /// Waits until the supervisor has been told.
    answer: Option<AuthToNetwork>,
    /// Its `network` has gone during a check. That goes on until the supervisor has seen it too: if
    /// the check ended first, somebody who leaves during it would not be counted.
    hung_up: bool,
}

struct Check {
    channel: Channel<AuthToCheck, CheckToAuth>,
    /// It was ready, and has the question.
    asked: bool,
}

/// Who of a connection has something to say.
#[derive(Clone, Copy)]
enum Speaker {
    Network,
    Check,
}

/// What one message led to.
enum Outcome {
    Nothing,
    Answered,
    Gone,
    Broken(String),
}

impl From<ChannelError> for Outcome {
    fn from(error: ChannelError) -> Self {
        if error.is_violation() {
            Self::Broken(error.to_string())
        } else {
            Self::Gone
        }
    }
}

/// Answers until the supervisor has gone.
///
/// # Errors
/// What made the channel to the supervisor unusable, or poll(2) fail.
pub fn serve(
    mut supervisor: Supervisor,
    modules: &mut Modules,
    verifier: Verifier,
) -> Result<(), ChannelError> {
    let mut service = Service {
        modules,
        connections: BTreeMap::new(),
        verifier,
    };
    supervisor.send(&AuthToSupervisor::Ready, Vec::new())?;
    match service.run(&mut supervisor) {
        Err(ChannelError::Closed) => Ok(()),
        result => result,
    }
}

struct Service<'m> {
    modules: &'m mut Modules,
    connections: BTreeMap<ConnectionId, Connection>,
    verifier: Verifier,
}

impl Service<'_> {
    fn run(&mut self, supervisor: &mut Supervisor) -> Result<(), ChannelError> {
        loop {
            let ready = self.wait(supervisor)?;
            supervisor.flush()?;
            while let Some((message, fds)) = supervisor.receive()? {
                self.supervisor_says(supervisor, message, fds)?;
            }
            for (connection, speaker) in ready {
                match speaker {
                    Speaker::Network => self.connection_says(connection, supervisor)?,
                    Speaker::Check => self.check_says(connection, supervisor)?,
                }
            }
            if !supervisor.wants_write() {
                self.deliver(supervisor)?;
            }
        }
    }

    /// Waits for something to do; the connections that have something to say.
    fn wait(&self, supervisor: &Supervisor) -> Result<Vec<(ConnectionId, Speaker)>, ChannelError> {
        let mut set = PollSet::new();
        set.add(
            supervisor.as_fd(),
            Interest::read_and(supervisor.wants_write()),
        );
        let mut slots = Vec::with_capacity(self.connections.len());
        for (id, connection) in &self.connections {
            if !connection.hung_up {
                let channel = &connection.channel;
                let interest = Interest::read_and(channel.wants_write());
                let slot = set.add(channel.as_fd(), interest);
                slots.push(((*id, Speaker::Network), slot));
            }
            if let Some(check) = &connection.check {
                let check = &check.channel;
                let interest = Interest::read_and(check.wants_write());
                let slot = set.add(check.as_fd(), interest);
                slots.push(((*id, Speaker::Check), slot));
            }
        }
        set.wait(None)?;
        slots.retain(|(_, slot)| set.ready(*slot).any());
        Ok(slots.into_iter().map(|(who, _)| who).collect())
    }

    fn supervisor_says(
        &mut self,
        supervisor: &mut Supervisor,
        message: SupervisorToAuth,
        fds: Vec<OwnedFd>,
    ) -> Result<(), ChannelError> {
        match message {
            SupervisorToAuth::Connection {
                connection,
                listener,
                peer,
            } => {
                // The channel has checked that there is exactly one.
                if let Some(fd) = fds.into_iter().next() {
                    self.admit(connection, listener, peer, fd);
                }
            }
            SupervisorToAuth::Gone(connection) => self.forget(connection),
            SupervisorToAuth::Ask(id) => {
                let connection = self.connections.get_mut(&id);
                if let (Some(connection), Some(fd)) = (connection, fds.into_iter().next()) {
                    connection.check = Some(Check {
                        channel: Channel::new(fd),
                        asked: false,
                    });
                }
            }
            SupervisorToAuth::Tell(id) => {
                let connection = self.connections.get_mut(&id);
                if let (Some(connection), Some(fd)) = (connection, fds.into_iter().next())
                    && let Some(question) = connection.conversation.question(self.modules)
                    && let Err(error) = command::tell(&fd, &question)
                {
                    tracing::warn!(connection = id.0, "the command is not told: {error}");
                    self.check_over(id, Finding::No, supervisor)?;
                }
            }
            SupervisorToAuth::Checked { connection, passed } => {
                let finding = match passed {
                    true => Finding::Yes,
                    false => Finding::No,
                };
                self.check_over(connection, finding, supervisor)?;
            }
            SupervisorToAuth::Secret { index } => {
                let file = fds.into_iter().next().map(File::from);
                self.modules.replace(index, file);
            }
            SupervisorToAuth::NoSecret { index } => self.modules.replace(index, None),
            SupervisorToAuth::Ping => supervisor.send(&AuthToSupervisor::Pong, Vec::new())?,
        }
        Ok(())
    }

    fn admit(&mut self, id: ConnectionId, listener: ListenerId, peer: PeerFacts, fd: OwnedFd) {
        if self.connections.len() >= MAX_CONNECTIONS {
            tracing::warn!(
                connection = id.0,
                "too many connections at a time, dropped this one"
            );
            return;
        }
        match self.connections.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(Connection {
                    channel: Channel::new(fd),
                    conversation: Conversation::new(listener, peer),
                    check: None,
                    answer: None,
                    hung_up: false,
                });
            }
            Entry::Occupied(_) => tracing::error!(connection = id.0, "a connection told twice"),
        }
    }

    /// Nobody is there any more.
    fn hung_up(&mut self, id: ConnectionId) {
        match self.connections.get_mut(&id) {
            Some(connection) if connection.check.is_some() => connection.hung_up = true,
            _ => self.forget(id),
        }
    }

    /// The connection has gone.
    fn forget(&mut self, id: ConnectionId) {
        let gone = self.connections.remove(&id);
        let halfway = gone
            .as_ref()
            .and_then(|gone| gone.conversation.left_halfway(self.modules));
        if let Some((module, user)) = halfway {
            tracing::warn!(
                connection = id.0,
                module,
                user,
                "left without an answer, after a right one to another module"
            );
        }
    }

    /// Takes one message of a connection: nobody can keep the others waiting.
    fn connection_says(
        &mut self,
        id: ConnectionId,
        supervisor: &mut Supervisor,
    ) -> Result<(), ChannelError> {
        let outcome = match self.connections.get_mut(&id) {
            Some(connection) => {
                connection.hear(id, supervisor, self.modules, &mut self.verifier)?
            }
            None => Outcome::Nothing,
        };
        match outcome {
            Outcome::Nothing | Outcome::Answered => {}
            Outcome::Gone => self.hung_up(id),
            Outcome::Broken(what) => {
                self.connections.remove(&id);
                let violation = Violation {
                    peer: Peer::Network(id),
                    what: shorten(what),
                };
                supervisor.send(&AuthToSupervisor::Violation(violation), Vec::new())?;
            }
        }
        Ok(())
    }

    /// Takes what a check says: that it can be asked, or its answer, which is no if it is not given.
    fn check_says(
        &mut self,
        id: ConnectionId,
        supervisor: &mut Supervisor,
    ) -> Result<(), ChannelError> {
        let free = self.free_place();
        let connection = self.connections.get_mut(&id);
        let Some(Connection {
            check: Some(check),
            conversation,
            ..
        }) = connection
        else {
            return Ok(());
        };
        let channel = &mut check.channel;
        let heard = channel.flush().and_then(|()| channel.receive());
        let broken = match (heard, check.asked) {
            (Ok(None), _) => return Ok(()),
            (Ok(Some((CheckToAuth::Ready, _))), false) => {
                check.asked = true;
                if let Some(step) = conversation.takes_place(free, self.modules, &mut self.verifier)
                {
                    return self.refused(id, step, supervisor);
                }
                let question = conversation.question(self.modules);
                let asked =
                    question.is_some_and(|question| channel.send(&question, Vec::new()).is_ok());
                if asked {
                    return Ok(());
                }
                None
            }
            (Ok(Some((CheckToAuth::Yes, _))), true) => {
                return self.check_over(id, Finding::Yes, supervisor);
            }
            (Ok(Some((CheckToAuth::Sessions(sessions), _))), true) => {
                return self.check_over(id, Finding::Sessions(sessions), supervisor);
            }
            (Ok(Some((CheckToAuth::User(user), _))), true) => {
                return self.check_over(id, Finding::User(user), supervisor);
            }
            (Ok(Some((CheckToAuth::Signed { key, counter }, _))), true) => {
                return self.check_over(id, Finding::Signed { key, counter }, supervisor);
            }
            (Ok(Some((CheckToAuth::Address { address, memory }, _))), true) => {
                return self.check_over(id, Finding::Address { address, memory }, supervisor);
            }
            (Ok(Some((CheckToAuth::Named(names), _))), true) => match namings(names) {
                Some(names) => return self.check_over(id, Finding::Named(names), supervisor),
                None => Some("names that are none".to_owned()),
            },
            (Ok(Some((CheckToAuth::Shown, _))), true) if !conversation.is_shown() => {
                return self.shown(id, supervisor);
            }
            (Ok(Some((CheckToAuth::Shown, _))), true) => Some("shown twice".to_owned()),
            (Ok(Some((CheckToAuth::No, _))), true) => None,
            (Ok(Some((CheckToAuth::Ready, _))), true) => Some("ready twice".to_owned()),
            (Ok(Some((_, _))), false) => Some("an answer before it was asked".to_owned()),
            (Err(error), _) => error.is_violation().then(|| error.to_string()),
        };
        if let Some(what) = broken {
            let violation = Violation {
                peer: Peer::Check(id),
                what: shorten(what),
            };
            supervisor.send(&AuthToSupervisor::Violation(violation), Vec::new())?;
        }
        self.check_over(id, Finding::No, supervisor)
    }

    /// A place on the screen that no connection has.
    fn free_place(&self) -> u8 {
        let has = |place: &u8| {
            let mut all = self.connections.values();
            all.any(|one| one.conversation.place() == Some(*place))
        };
        (0..PLACES).find(|place| !has(place)).unwrap_or_default()
    }

    /// There is nothing to ask the process of a check.
    fn refused(
        &mut self,
        id: ConnectionId,
        step: Step,
        supervisor: &mut Supervisor,
    ) -> Result<(), ChannelError> {
        match self.connections.get_mut(&id) {
            Some(connection) => {
                connection.check = None;
                connection.follow(id, step, supervisor).map(drop)
            }
            None => Ok(()),
        }
    }

    /// A code can be seen. Its process stays.
    fn shown(&mut self, id: ConnectionId, supervisor: &mut Supervisor) -> Result<(), ChannelError> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Ok(());
        };
        let conversation = &mut connection.conversation;
        let step = conversation.checked(Finding::Shown, self.modules, &mut self.verifier);
        if !conversation.is_shown() {
            connection.check = None;
        }
        match step {
            Some(step) => connection.follow(id, step, supervisor).map(drop),
            None => Ok(()),
        }
    }

    /// The check of a connection is over.
    fn check_over(
        &mut self,
        id: ConnectionId,
        finding: Finding,
        supervisor: &mut Supervisor,
    ) -> Result<(), ChannelError> {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Ok(());
        };
        connection.check = None;
        if let Some(step) =
            connection
                .conversation
                .checked(finding, self.modules, &mut self.verifier)
        {
            connection.follow(id, step, supervisor)?;
        }
        Ok(())
    }

    /// Passes on the answers whose verdicts have left for the supervisor.
    fn deliver(&mut self, supervisor: &mut Supervisor) -> Result<(), ChannelError> {
        let mut lost = Vec::new();
        for (id, connection) in &mut self.connections {
            let Some(answer) = connection.answer.take() else {
                continue;
            };
            if connection.hung_up {
                continue;
            }
            if let Err(error) = connection.channel.send(&answer, Vec::new()) {
                lost.push((*id, error));
            }
        }
        for (id, error) in lost {
            self.hung_up(id);
            if let Outcome::Broken(what) = Outcome::from(error) {
                let violation = Violation {
                    peer: Peer::Network(id),
                    what: shorten(what),
                };
                supervisor.send(&AuthToSupervisor::Violation(violation), Vec::new())?;
            }
        }
        Ok(())
    }
}

impl Connection {
    fn hear(
        &mut self,
        id: ConnectionId,
        supervisor: &mut Supervisor,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Result<Outcome, ChannelError> {
        if let Err(error) = self.channel.flush() {
            return Ok(error.into());
        }
        let message = match self.channel.receive() {
            Ok(Some((message, _))) => message,
            Ok(None) => return Ok(Outcome::Nothing),
            Err(error) => return Ok(error.into()),
        };
        let message = match message {
            NetworkToAuth::Certificate(shown) => {
                return Ok(match self.conversation.keep(shown, modules) {
                    true => Outcome::Nothing,
                    false => {
                        let what = "a certificate that nobody asked for, out of order, or too long";
                        Outcome::Broken(what.to_owned())
                    }
                });
            }
            message => message,
        };
        let step = self.conversation.receive(message, modules, verifier);
        if !self.conversation.is_shown() {
            // What was asked for with it has been answered.
            self.check = None;
        }
        self.follow(id, step, supervisor)
    }

    /// Does what a step of the conversation says.
    fn follow(
        &mut self,
        id: ConnectionId,
        step: Step,
        supervisor: &mut Supervisor,
    ) -> Result<Outcome, ChannelError> {
        match step {
            Step::Check {
                check,
                username,
                stranger,
            } => {
                let check = AuthToSupervisor::Check {
                    connection: id,
                    check,
                    username,
                    stranger,
                };
                supervisor.send(&check, Vec::new())?;
            }
            Step::Ask(question) => self.answer = Some(question),
            Step::Accept {
                module,
                username,
                sessions,
            } => {
                // The supervisor writes the record that counts.
                tracing::debug!(connection = id.0, module, "accepted");
                let verdict = AuthToSupervisor::Accepted {
                    connection: id,
                    username,
                    module,
                    sessions,
                };
                supervisor.send(&verdict, Vec::new())?;
                self.answer = Some(AuthToNetwork::Accepted);
            }
            Step::Refuse {
                module,
                username,
                why,
                text,
            } => {
                tracing::debug!(connection = id.0, module, "refused");
                let verdict = AuthToSupervisor::Refused {
                    connection: id,
                    username,
                    module,
                    why,
                };
                supervisor.send(&verdict, Vec::new())?;
                self.answer = Some(AuthToNetwork::Rejected { text });
            }
            Step::Listen => return Ok(Outcome::Nothing),
            Step::Violation(what) => return Ok(Outcome::Broken(what.to_owned())),
        }
        Ok(Outcome::Answered)
    }
}

/// At most 256 bytes, as a report may have.
fn shorten(mut what: String) -> String {
    let end = (0..=256).rev().find(|end| what.is_char_boundary(*end));
    what.truncate(end.unwrap_or(0));
    what
}

/// The names that a check tells, if that is what they are.
fn namings(told: Vec<AddressName>) -> Option<Vec<Naming>> {
    let naming = |told: AddressName| {
        Some(match told {
            AddressName::Verified(name) => Naming::Name(Name::new(&name)?),
            AddressName::Paranoid => Naming::Paranoid,
            AddressName::Unknown => Naming::Unknown,
        })
    };
    let few = (1..=MAX_NAMES).contains(&told.len());
    let names: Option<Vec<_>> = told.into_iter().map(naming).collect();
    names.filter(|_| few)
}
