//! The process: one channel to the supervisor, one to each encrypted connection's `network`.
//!
//! A derivation and a signature take milliseconds, and a client asks for them before it has proved
//! anything. So one is done at a time, the one that is due first, and what others say is heard between any two.
//! A question is due when so much work has been done since it came as its own answer takes: cheap
//! ones come first, and an expensive one waits for no more than twice its own time's worth.

use crate::derivation::{self, Randomness};
use crate::key_data::Listeners;
use crate::salts::{Mark, UsedSalts};
use crate::signing;
use ipc::keys::{KeysToNetwork, KeysToSupervisor, NetworkToKeys, SupervisorToKeys};
use ipc::verdict::{Peer, Violation};
use ipc::{Channel, ChannelError, ConnectionId, ListenerId};
use runtime::secret::{Buffer, SecretError};
use runtime::{Interest, PollSet};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// Most connections at a time. The supervisor caps those who have not logged in lower.
const MAX_CONNECTIONS: usize = 256;

/// The channel to the supervisor.
pub type Supervisor = Channel<KeysToSupervisor, SupervisorToKeys>;

struct Connection {
    channel: Channel<KeysToNetwork, NetworkToKeys>,
    listener: ListenerId,
    derivations: u32,
    signatures: u32,
    /// Waits for its turn, and when it is due, in hashes of work done.
    request: Option<(u64, Request)>,
    /// The salts of its keys.
    salts: Vec<Mark>,
}

/// A question, checked.
enum Request {
    Derive(derivation::Request),
    Sign(signing::Request),
    /// What is not done, though nobody has done wrong: what the client is told.
    Refuse(String),
}

impl Request {
    /// How long the answer takes, in hashes.
    fn cost(&self) -> u64 {
        match self {
            Self::Derive(request) => request.cost(),
            Self::Sign(request) => request.cost(),
            Self::Refuse(_) => 0,
        }
    }
}

/// Answers until the supervisor has gone.
///
/// # Errors
/// What made the channel to the supervisor unusable, or poll(2) fail.
pub fn serve(
    mut supervisor: Supervisor,
    listeners: &mut Listeners,
    used: &mut UsedSalts,
    buffer: Buffer,
) -> Result<(), ChannelError> {
    let mut service = Service {
        deriver: Deriver {
            listeners,
            used,
            buffer,
        },
        connections: BTreeMap::new(),
        done: 0,
    };
    supervisor.send(&KeysToSupervisor::Ready, Vec::new())?;
    match service.run(&mut supervisor) {
        Err(ChannelError::Closed) => Ok(()),
        result => result,
    }
}

struct Service<'l> {
    deriver: Deriver<'l>,
    connections: BTreeMap<ConnectionId, Connection>,
    /// Work since the start, in hashes.
    done: u64,
}

/// What it takes to answer a request.
struct Deriver<'l> {
    listeners: &'l mut Listeners,
    used: &'l mut UsedSalts,
    buffer: Buffer,
}

impl Deriver<'_> {
    fn answer(
        &mut self,
        listener: ListenerId,
        request: Request,
        salts: &mut Vec<Mark>,
    ) -> Result<KeysToNetwork, AnswerError> {
        let request = match request {
            Request::Derive(request) => request,
            Request::Refuse(text) => return Ok(KeysToNetwork::Refused { text }),
            Request::Sign(signing::Request { scheme, text }) => {
                let key = self.listeners.private_key(listener);
                let key = key.ok_or(AnswerError::Open)?;
                let signature = key.sign(scheme, &text).ok_or(AnswerError::Sign)?;
                return Ok(KeysToNetwork::Signed { signature });
            }
        };
        let size = self.listeners.key_size(listener).ok_or(AnswerError::Open)?;
        if request.size() != usize::from(size) {
            return Ok(KeysToNetwork::Refused {
                text: format!("encryption: this socket wants keys of {size} bytes"),
            });
        }
        let random = Randomness::draw()?;
        let Self { used, buffer, .. } = self;
        let answer = self.listeners.read(listener, buffer, |key_data| {
            request.answer(key_data, used, salts, random)
        });
        Ok(answer.ok_or(AnswerError::Open)??)
    }
}

impl Service<'_> {
    fn run(&mut self, supervisor: &mut Supervisor) -> Result<(), ChannelError> {
        loop {
            let ready = self.wait(supervisor)?;
            supervisor.flush()?;
            while let Some((message, fds)) = supervisor.receive()? {
                self.supervisor_says(supervisor, message, fds)?;
            }
            for id in ready {
                let done = self.done;
                let listeners = &*self.deriver.listeners;
                let heard = match self.connections.get_mut(&id) {
                    Some(connection) => connection.hear(done, listeners),
                    None => continue,
                };
                self.settle(id, heard, supervisor)?;
            }
            self.answer_one(supervisor)?;
        }
    }

    /// Waits for something to do; the connections that have something to say.
    fn wait(&self, supervisor: &Supervisor) -> Result<Vec<ConnectionId>, ChannelError> {
        let mut set = PollSet::new();
        set.add(
            supervisor.as_fd(),
            Interest::read_and(supervisor.wants_write()),
        );
        let mut slots = Vec::with_capacity(self.connections.len());
        for (id, connection) in &self.connections {
            let channel = &connection.channel;
            slots.push((
                *id,
                set.add(channel.as_fd(), Interest::read_and(channel.wants_write())),
            ));
        }
        let waiting = self.connections.values().any(|c| c.request.is_some());
        set.wait(waiting.then_some(Duration::ZERO))?;
        slots.retain(|(_, slot)| set.ready(*slot).any());
        Ok(slots.into_iter().map(|(id, _)| id).collect())
    }

    fn supervisor_says(
        &mut self,
        supervisor: &mut Supervisor,
        message: SupervisorToKeys,
        fds: Vec<OwnedFd>,
    ) -> Result<(), ChannelError> {
        match message {
            SupervisorToKeys::Connection {
                connection,
                listener,
            } => {
                // The channel has checked that there is exactly one.
                if let Some(fd) = fds.into_iter().next() {
                    self.admit(connection, listener, fd);
                }
            }
            SupervisorToKeys::Admitted(connection) => {
                if let Some(gone) = self.connections.remove(&connection) {
                    for mark in gone.salts {
                        self.deriver.used.admit(mark);
                    }
                }
            }
            SupervisorToKeys::Gone(connection) => {
                self.connections.remove(&connection);
            }
            SupervisorToKeys::Secret { index } => {
                let file = fds.into_iter().next().map(File::from);
                self.deriver.listeners.replace(index, file);
            }
            SupervisorToKeys::NoSecret { index } => self.deriver.listeners.replace(index, None),
            SupervisorToKeys::Ping => supervisor.send(&KeysToSupervisor::Pong, Vec::new())?,
        }
        Ok(())
    }

    fn admit(&mut self, id: ConnectionId, listener: ListenerId, fd: OwnedFd) {
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
                    listener,
                    derivations: 0,
                    signatures: 0,
                    request: None,
                    salts: Vec::new(),
                });
            }
            Entry::Occupied(_) => tracing::error!(connection = id.0, "a connection told twice"),
        }
    }

    /// Answers the request that is due first.
    fn answer_one(&mut self, supervisor: &mut Supervisor) -> Result<(), ChannelError> {
        let first = self
            .connections
            .iter_mut()
            .filter_map(|(id, connection)| Some((connection.request.as_ref()?.0, id, connection)))
            .min_by_key(|(due, ..)| *due);
        let Some((_, id, connection)) = first else {
            return Ok(());
        };
        let Some((_, request)) = connection.request.take() else {
            return Ok(());
        };
        self.done = self.done.saturating_add(request.cost());
        let id = *id;
        let answer = self
            .deriver
            .answer(connection.listener, request, &mut connection.salts)
            .unwrap_or_else(|error| {
                tracing::error!(connection = id.0, "{error}");
                KeysToNetwork::Refused {
                    text: "encryption is not possible".to_owned(),
                }
            });
        if let KeysToNetwork::Refused { text } = &answer {
            tracing::warn!(connection = id.0, "{text}");
        }
        let sent = connection.channel.send(&answer, Vec::new());
        self.settle(id, sent.map_err(Lost::from), supervisor)
    }

    /// Drops a connection that is lost, and reports a peer that broke the rules.
    fn settle(
        &mut self,
        id: ConnectionId,
        result: Result<(), Lost>,
        supervisor: &mut Supervisor,
    ) -> Result<(), ChannelError> {
        let Err(lost) = result else { return Ok(()) };
        self.connections.remove(&id);
        if let Lost::Broken(mut what) = lost {
            let end = (0..=256).rev().find(|end| what.is_char_boundary(*end));
            what.truncate(end.unwrap_or(0));
            let violation = Violation {
                peer: Peer::Network(id),
                what,
            };
            supervisor.send(&KeysToSupervisor::Violation(violation), Vec::new())?;
        }
        Ok(())
    }
}

/// Why there is no answer, though the client did nothing wrong.
#[derive(Debug, thiserror::Error)]
enum AnswerError {
    #[error("the listener has no such key")]
    Open,
    #[error("the private key does not sign")]
    Sign,
    #[error("the key data {0}")]
    Secret(#[from] SecretError),
    #[error("no random bytes: {0}")]
    Random(#[from] rustix::io::Errno),
}

/// Why a connection is of no more use.
enum Lost {
    Gone,
    Broken(String),
}

impl From<ChannelError> for Lost {
    fn from(error: ChannelError) -> Self {
        if error.is_violation() {
            Self::Broken(error.to_string())
        } else {
            Self::Gone
        }
    }
}

impl Connection {
    /// Takes one question, if none waits.
    fn hear(&mut self, done: u64, listeners: &Listeners) -> Result<(), Lost> {
        self.channel.flush()?;
        let Some((question, _)) = self.channel.receive()? else {
            return Ok(());
        };
        let broken = |what: &str| Err(Lost::Broken(what.to_owned()));
        if self.request.is_some() {
            return broken("asked again before the answer");
        }
        let request = match question {
            NetworkToKeys::Derive { theirs } => {
                if listeners.key_size(self.listener).is_none() {
                    return broken("a derivation on a socket without AES");
                }
                self.derivations += 1;
                if self.derivations > derivation::MAX_PER_CONNECTION {
                    return broken("too many derivations");
                }
                let request = derivation::Request::new(theirs);
                Request::Derive(request.map_err(|error| Lost::Broken(error.to_string()))?)
            }
            NetworkToKeys::Sign { scheme, handshake } => {
                self.signatures += 1;
                if self.signatures > signing::MAX_PER_CONNECTION {
                    return broken("a second handshake");
                }
                match listeners.private_key(self.listener) {
                    None => return broken("a signature on a socket without TLS"),
                    Some(key) if !key.kind().schemes().contains(&scheme) => {
                        return broken("a signature that its key cannot make");
                    }
                    Some(_) => {}
                }
                let versions = listeners.versions(self.listener);
                match signing::Request::new(scheme, &handshake, versions) {
                    Ok(request) => Request::Sign(request),
                    Err(why) if why.is_violation() => return broken(&why.to_string()),
                    Err(why) => Request::Refuse(why.to_string()),
                }
            }
        };
        self.request = Some((done.saturating_add(request.cost()), request));
        Ok(())
    }
}
