//! From the listening socket to a `network` worker: who is taken in, and who gets a process.

use super::{Connection, LOGIN_TIMEOUT, Looked, Waiting, Who, Work};
use crate::admission::{Knock, Next};
use crate::log::Level;
use crate::penalties::Source;
use crate::session::Session;
use crate::sys;
use crate::worker::More;
use ipc::auth::{PeerFacts, SupervisorToAuth};
use ipc::channel::socketpair;
use ipc::keys::{Encryption, SupervisorToKeys};
use ipc::network::{NetworkToSupervisor, SupervisorToNetwork};
use ipc::spec::ListenerKind;
use ipc::tls::Version;
use ipc::{ConnectionId, ListenerId};
use nix::errno::Errno;
use nix::sys::socket::{SockaddrLike, SockaddrStorage, getsockopt, sockopt::PeerCredentials};
use policy::Role;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// A pause when there are no descriptors left for new connections.
const NO_DESCRIPTORS: Duration = Duration::from_millis(100);
/// Connections that are accepted in one go.
const ACCEPT_PER_TURN: usize = 128;
/// Processes that are started before it is somebody else's turn.
const STARTS_PER_TURN: usize = 4;

/// The facts that the kernel knows about a new connection.
fn facts(kind: ListenerKind, socket: &OwnedFd, address: &SockaddrStorage) -> Option<PeerFacts> {
    match kind {
        ListenerKind::Unix => {
            let peer = getsockopt(socket, PeerCredentials).ok()?;
            Some(PeerFacts::Unix {
                pid: peer.pid(),
                uid: peer.uid(),
                gid: peer.gid(),
            })
        }
        ListenerKind::Tcp => {
            let address = if let Some(v4) = address.as_sockaddr_in() {
                SocketAddr::new(IpAddr::V4(v4.ip()), v4.port())
            } else {
                let v6 = address.as_sockaddr_in6()?;
                SocketAddr::new(IpAddr::V6(v6.ip()), v6.port())
            };
            Some(PeerFacts::Tcp { address })
        }
    }
}

impl Session {
    /// Takes what has arrived at a listener.
    pub fn accept(&mut self, index: usize, now: Instant) {
        for _ in 0..ACCEPT_PER_TURN {
            let Some(listener) = self.listeners.get(index) else {
                return;
            };
            match sys::accept(listener.as_fd()) {
                Ok(Some((socket, address))) => self.take_in(index, socket, &address, now),
                Ok(None) => return,
                Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => {
                    self.accept_pause = Some(now + NO_DESCRIPTORS);
                    return;
                }
                Err(error) => {
                    let name = self.spec.listeners[index].name.clone();
                    self.log
                        .own(Level::Error, None, &format!("accept on {name}: {error}"));
                    self.accept_pause = Some(now + NO_DESCRIPTORS);
                    return;
                }
            }
        }
    }

    fn take_in(&mut self, index: usize, socket: OwnedFd, address: &SockaddrStorage, now: Instant) {
        let listener = &self.spec.listeners[index];
        let family_known = address.family().is_some();
        let Some(peer) = family_known
            .then(|| facts(listener.kind, &socket, address))
            .flatten()
        else {
            return;
        };
        self.counters.accepted += 1;
        let source = Source::of(&peer);
        if self.admission.penalties.refuses(source, now) {
            self.counters.penalised += 1;
            let text = format!("{} is turned away: too many failed attempts", Who(&peer));
            self.log.own(Level::Debug, None, &text);
            return;
        }
        let Ok(listener) = u16::try_from(index).map(ListenerId) else {
            return;
        };
        self.last_number += 1;
        let waiting = Waiting {
            socket,
            listener,
            peer,
            source,
            since: now,
            spoke: false,
            looked: match self.spec.listeners[index].files && !self.files.is_empty() {
                true => Looked::No,
                false => Looked::Yes,
            },
        };
        self.waiting.insert(self.last_number, waiting);
        let knocks = self.knocks(|_| true);
        let gone = self.admission.one_too_many(self.last_number, &knocks, now);
        if let Some(number) = gone {
            self.waiting.remove(&number);
            self.counters.crowded += 1;
        }
    }

    fn knocks(&self, filter: impl Fn(&Waiting) -> bool) -> Vec<Knock<u64>> {
        let waiting = self.waiting.iter().filter(|(_, waiting)| filter(waiting));
        waiting
            .map(|(number, waiting)| Knock {
                id: *number,
                source: waiting.source,
                since: waiting.since,
            })
            .collect()
    }

    /// A waiting connection has said something, or has gone. Who comes and goes without a word
    /// only wanted to know whether we are there; it costs no process and no line in the log.
    pub fn heard(&mut self, number: u64, gone: bool) {
        if gone {
            self.waiting.remove(&number);
        } else if let Some(waiting) = self.waiting.get_mut(&number) {
            waiting.spoke = true;
            self.look();
        }
    }

    /// Starts processes for those who wait, as far as there is room.
    pub fn admit(&mut self, now: Instant) {
        let before = self.waiting.len();
        self.waiting.retain(|_, waiting| waiting.deadline() > now);
        if self.waiting.len() < before {
            self.look_is_late();
        }
        self.choose_at = None;
        if !self.running() || !self.auth.ready {
            return;
        }
        for _ in 0..STARTS_PER_TURN {
            let waiting = self.knocks(|waiting| {
                let has_keys = self.keys.ready || self.encryption(waiting.listener).is_none();
                waiting.spoke && waiting.looked == Looked::Yes && has_keys
            });
            if waiting.is_empty() {
                return;
            }
            let strangers = self.connections.iter().filter(|(_, one)| one.is_stranger());
            let strangers: Vec<_> = strangers
                .map(|(id, one)| Knock {
                    id: *id,
                    source: one.source,
                    since: one.since,
                })
                .collect();
            match self.admission.next(&waiting, &strangers, now) {
                Next::Start(number) => {
                    let Some(waiting) = self.waiting.remove(&number) else {
                        return;
                    };
                    if self.admission.penalties.refuses(waiting.source, now) {
                        self.counters.penalised += 1;
                    } else {
                        self.start_network(ConnectionId(number), waiting, now);
                    }
                }
                Next::Replace { victim } => {
                    self.counters.crowded += 1;
                    self.log.own(
                        Level::Debug,
                        Some(victim.0),
                        "made room for another connection",
                    );
                    self.drop_connection(victim, now);
                }
                Next::Wait(until) => {
                    self.choose_at = Some(until);
                    return;
                }
                Next::Nothing => return,
            }
        }
        // There may be more to do; first look what else has happened.
        self.choose_at = Some(now);
    }

    fn start_network(&mut self, id: ConnectionId, waiting: Waiting, now: Instant) {
        let Waiting {
            socket,
            listener,
            peer,
            source,
            ..
        } = waiting;
        let encryption = self.encryption(listener).cloned();
        let tls12 = matches!(&encryption, Some(Encryption::Tls(tls)) if tls.speaks(Version::Tls12));
        let restarted = false;
        let is_encrypted = encryption.is_some();
        let started = socketpair().and_then(|pair| {
            let keys_pair = encryption.as_ref().map(|_| socketpair()).transpose()?;
            let network = self
                .nursery
                .start_with::<SupervisorToNetwork, NetworkToSupervisor>(
                    Role::Network,
                    Some(id),
                    &[socket.as_fd()],
                    More { tls12, restarted },
                    now,
                )?;
            Ok((pair, keys_pair, network))
        });
        let ((to_auth, to_network), keys_pair, mut network) = match started {
            Ok(started) => started,
            Err(error) => {
                let text = format!("no process for a connection from {}: {error}", Who(&peer));
                self.log.own(Level::Error, Some(id.0), &text);
                return;
            }
        };
        let mut channels = vec![to_auth];
        if let Some((to_keys, to_network)) = keys_pair {
            channels.push(to_keys);
            if let Some(keys) = self.keys.usable() {
                let connection = SupervisorToKeys::Connection {
                    connection: id,
                    listener,
                };
                keys.tell(&connection, vec![to_network], &mut self.log);
                self.keys.ask(&mut self.log, now);
            }
        }
        let local = matches!(peer, PeerFacts::Unix { .. });
        let start = SupervisorToNetwork::Start {
            id: local.then(|| Box::new(self.facts())),
            login_timeout: u16::try_from(LOGIN_TIMEOUT.as_secs()).unwrap_or(u16::MAX),
            encryption,
            capabilities: self.spec.listeners[usize::from(listener.0)]
                .capabilities
                .clone(),
        };
        network.tell(&start, channels, &mut self.log);
        if let Some(auth) = self.auth.usable() {
            let connection = SupervisorToAuth::Connection {
                connection: id,
                listener,
                peer: peer.clone(),
            };
            auth.tell(&connection, vec![to_network], &mut self.log);
            self.auth.ask(&mut self.log, now);
        }
        let name = &self.spec.listeners[usize::from(listener.0)].name;
        let text = format!("connection from {} on {name}", Who(&peer));
        self.log.own(Level::Debug, Some(id.0), &text);
        let connection = Connection {
            network,
            listener,
            peer,
            source,
            since: now,
            login: LOGIN_TIMEOUT,
            keys: is_encrypted.then(|| self.reload.generation()),
            check: None,
            verdict: None,
            asked: None,
            has_asked: false,
            work: Work::Nothing,
            leaving: false,
        };
        self.connections.insert(id, connection);
    }
}
