//! Connections: from the listening socket to the last byte.

use crate::admission::{Knock, Next};
use crate::ending::Ending;
use crate::log::Level;
use crate::penalties::Source;
use crate::restarts::{Restarts, Verdict};
use crate::session::{Phase, Session};
use crate::sharing::{self, Decision};
use crate::sys;
use crate::worker::{Death, Worker};
use ipc::auth::{AuthToSupervisor, PeerFacts, Refusal, SupervisorToAuth};
use ipc::channel::socketpair;
use ipc::display::{Purpose, SupervisorToDisplay};
use ipc::encoder::{EncoderToSupervisor, SupervisorToEncoder};
use ipc::network::{
    ClientDescription, NetworkToSupervisor, Request, SessionFacts, SupervisorToNetwork,
};
use ipc::spec::ListenerKind;
use ipc::verdict::{Peer, Rights};
use ipc::{ConnectionId, ListenerId};
use nix::errno::Errno;
use nix::sys::socket::{SockaddrLike, SockaddrStorage, getsockopt, sockopt::PeerCredentials};
use policy::Role;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// So long a connection may be silent before it says its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(10);
/// So long a client may take to prove who it is; a person types a password in this time.
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
/// Most clients that use the session at once: `display` has room for two channels of each, also
/// while it is told about all of them after a restart.
const MAX_ATTACHED: usize = 100;
/// Most connections that have proved who they are: without it one client could take every
/// descriptor and process that a new `auth`, `display` or encoder of somebody else's needs.
const MAX_ADMITTED: usize = 200;
/// A pause when there are no descriptors left for new connections.
const NO_DESCRIPTORS: Duration = Duration::from_millis(100);
/// Connections that are accepted in one go.
const ACCEPT_PER_TURN: usize = 128;
/// Processes that are started before it is somebody else's turn.
const STARTS_PER_TURN: usize = 4;

/// A connection that has not said anything yet, or waits for a process.
pub struct Waiting {
    pub socket: OwnedFd,
    pub listener: ListenerId,
    pub peer: PeerFacts,
    pub source: Source,
    pub since: Instant,
    /// There is something to be read.
    pub spoke: bool,
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
            .then(|| self.since + LOGIN_TIMEOUT + LOGIN_SLACK);
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
        }
    }

    /// Starts processes for those who wait, as far as there is room.
    pub fn admit(&mut self, now: Instant) {
        self.waiting.retain(|_, waiting| waiting.deadline() > now);
        self.choose_at = None;
        if !self.running() || !self.auth.ready {
            return;
        }
        for _ in 0..STARTS_PER_TURN {
            let waiting = self.knocks(|waiting| waiting.spoke);
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
        let started = socketpair().and_then(|pair| {
            let network = self
                .nursery
                .start::<SupervisorToNetwork, NetworkToSupervisor>(
                    Role::Network,
                    Some(id),
                    &[socket.as_fd()],
                    now,
                )?;
            Ok((pair, network))
        });
        let ((to_auth, to_network), mut network) = match started {
            Ok(started) => started,
            Err(error) => {
                let text = format!("no process for a connection from {}: {error}", Who(&peer));
                self.log.own(Level::Error, Some(id.0), &text);
                return;
            }
        };
        let local = matches!(peer, PeerFacts::Unix { .. });
        let start = SupervisorToNetwork::Start {
            id: local.then(|| Box::new(self.facts())),
            login_timeout: u16::try_from(LOGIN_TIMEOUT.as_secs()).unwrap_or(u16::MAX),
        };
        network.tell(&start, vec![to_auth], &mut self.log);
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
            verdict: None,
            asked: None,
            has_asked: false,
            work: Work::Nothing,
            leaving: false,
        };
        self.connections.insert(id, connection);
    }

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

    /// Answers `id` for a client that has proved who it is.
    fn tell_id(&mut self, id: ConnectionId, now: Instant) {
        let answer = SupervisorToNetwork::Id(Box::new(self.facts()));
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.network.tell(&answer, vec![], &mut self.log);
        }
        self.one_shot_done(id, now);
    }

    /// What `auth` says.
    pub fn hear_auth(&mut self, message: AuthToSupervisor, now: Instant) {
        match message {
            AuthToSupervisor::Ready => {
                self.auth.ready = true;
                self.check_ready();
            }
            AuthToSupervisor::Failed { reason } => {
                if matches!(self.phase, Phase::Starting) {
                    self.end(Ending::failure("server error"), &reason);
                } else if let Some(worker) = &mut self.auth.worker
                    && worker.let_go(now)
                {
                    self.log.own(Level::Error, None, &format!("auth: {reason}"));
                }
            }
            AuthToSupervisor::Accepted {
                connection: id,
                username,
                module,
            } => {
                let admitted = self.connections.values().filter(|one| !one.is_stranger());
                let full = admitted.count() >= MAX_ADMITTED;
                // The connection may have gone; then the verdict is void.
                let Some(connection) = self.connections.get_mut(&id) else {
                    return;
                };
                if connection.verdict.is_some() || connection.leaving {
                    return;
                }
                if full {
                    let text = format!("{MAX_ADMITTED} clients are logged in: no more have room");
                    self.log
                        .own(Level::Warn, Some(id.0), &format!("turned away: {text}"));
                    return self.farewell(id, &["server error", &text], now);
                }
                self.counters.authenticated += 1;
                let text = format!(
                    "{} is let in as `{username}` by {module}",
                    Who(&connection.peer)
                );
                connection.verdict = Some(Admitted { username, module });
                self.log.own(Level::Info, Some(id.0), &text);
                self.grant(id, now);
            }
            AuthToSupervisor::Refused {
                connection: id,
                module,
                why,
            } => {
                let Some(connection) = self.connections.get_mut(&id) else {
                    return;
                };
                if connection.leaving || !connection.is_stranger() {
                    return;
                }
                // It tells its client by itself, and has nothing else to do.
                connection.leaving = true;
                connection.network.ends_within(FAREWELL, now);
                self.counters.refused += 1;
                // A stock client that cannot do our digests is no attack.
                if why != Refusal::NoDigest {
                    self.admission.penalties.failed(connection.source, now);
                }
                let text = format!(
                    "{} is refused by {module}: {}",
                    Who(&connection.peer),
                    match why {
                        Refusal::Failed => "authentication failed",
                        Refusal::OutOfOrder => "the response belongs to no challenge",
                        Refusal::NoDigest => "there is no digest that both sides accept",
                        Refusal::TooMany => "too many attempts",
                    }
                );
                self.log.own(Level::Warn, Some(id.0), &text);
            }
            AuthToSupervisor::Violation(violation) => self.report(Peer::Auth, &violation, now),
            AuthToSupervisor::Pong => {
                for (reporter, what) in self.auth.answered() {
                    self.disbelieve(reporter, Peer::Auth, &what);
                }
            }
        }
    }

    /// What a client's `network` says.
    pub fn hear_network(&mut self, id: ConnectionId, message: NetworkToSupervisor, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        match message {
            NetworkToSupervisor::Request(request) => {
                let later = matches!(connection.work, Work::Session(_))
                    && matches!(request, Request::Stop | Request::Exit);
                if connection.leaving {
                    return;
                }
                if connection.has_asked && !later {
                    self.counters.violations += 1;
                    let text = "violation: network asks a second time; the connection is ended";
                    self.log.own(Level::Error, Some(id.0), text);
                    connection.condemn();
                    return;
                }
                connection.has_asked = true;
                connection.asked = Some(request);
                self.grant(id, now);
            }
            NetworkToSupervisor::Attached => {
                if let Work::Session(attached) = &mut connection.work
                    && !std::mem::replace(&mut attached.greeted, true)
                {
                    let it = &attached.description;
                    let text = format!(
                        "attached: {} {} on {}, after {} ms",
                        it.client_type,
                        it.version,
                        it.hostname,
                        now.saturating_duration_since(connection.since).as_millis()
                    );
                    self.log.own(Level::Info, Some(id.0), &text);
                }
            }
            NetworkToSupervisor::Violation(violation) => {
                // About an encoder that is gone by now there is nothing to be done, and nothing to
                // be logged as often as somebody likes. One that it never had is a lie.
                if matches!(violation.peer, Peer::Encoder(_)) && connection.encoder().is_none() {
                    if matches!(connection.work, Work::Nothing) && !connection.leaving {
                        self.counters.violations += 1;
                        let text = "violation: network reports an encoder that it does not have; \
                                    the connection is ended";
                        self.log.own(Level::Error, Some(id.0), text);
                        connection.condemn();
                    }
                    return;
                }
                self.report(Peer::Network(id), &violation, now);
            }
        }
    }

    /// Obeys what a connection has asked for, if it may and if it can be done now.
    fn grant(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.verdict.is_none()
            || connection.leaving
            || !matches!(self.phase, Phase::Running)
        {
            return;
        }
        let Some(request) = connection.asked.take() else {
            return;
        };
        let listener = &self.spec.listeners[usize::from(connection.listener.0)];
        if let Some(name) = request_name(&request)
            && listener
                .refused_requests
                .iter()
                .any(|refused| refused == name)
        {
            let text = format!("`{name}` requests are not allowed on this socket");
            self.log.own(Level::Warn, Some(id.0), &text);
            return self.farewell(id, &["permission error", &text], now);
        }
        if matches!(request, Request::Session(_) | Request::Screenshot) {
            if self.display.off {
                return self.farewell(id, &["server error", "the display cannot be used"], now);
            }
            if !self.display.ready {
                // Until it is back.
                connection.asked = Some(request);
                return;
            }
        }
        match request {
            Request::Session(description) => self.attach(id, description, now),
            Request::Info => self.start_info(id, now),
            Request::Id => self.tell_id(id, now),
            Request::Screenshot => self.start_screenshot(id, now),
            Request::Detach => self.detach(id, now),
            Request::Stop => {
                self.end(
                    Ending::stop("server shutdown", 0),
                    &format!("connection {id} asks to stop"),
                );
            }
            Request::Exit => {
                self.end(
                    Ending::leave("server exit"),
                    &format!("connection {id} asks to exit"),
                );
            }
        }
    }

    /// Grants what had to wait for `display`.
    pub fn grant_waiting(&mut self, now: Instant) {
        let waiting = self
            .connections
            .iter()
            .filter(|(_, one)| one.asked.is_some());
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.grant(id, now);
        }
    }

    fn attach(&mut self, id: ConnectionId, description: ClientDescription, now: Instant) {
        let attached: Vec<_> = self
            .attached()
            .map(|(id, one)| (id, &one.description))
            .collect();
        match sharing::decide(self.spec.sharing, &description, &attached) {
            Decision::Busy => {
                self.log
                    .own(Level::Info, Some(id.0), "turned away: the session is busy");
                return self.farewell(id, &["session busy", "this session is already active"], now);
            }
            Decision::Attach { replaced } if attached.len() - replaced.len() >= MAX_ATTACHED => {
                let text = format!("{MAX_ATTACHED} clients use the session: no more have room");
                self.log
                    .own(Level::Warn, Some(id.0), &format!("turned away: {text}"));
                return self.farewell(id, &["session busy", &text], now);
            }
            Decision::Attach { replaced } => {
                for old in replaced {
                    self.log.own(
                        Level::Info,
                        Some(old.0),
                        &format!("replaced by connection {id}"),
                    );
                    self.detach_one(old, &["new client"], now);
                }
            }
        }
        let attached = Attached {
            description,
            rights: Rights {
                readonly: self.spec.readonly,
            },
            encoder: None,
            encoder_due: None,
            restarts: Restarts::new(Role::Encoder),
            since: now,
            greeted: false,
        };
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.work = Work::Session(Box::new(attached));
        }
        self.connect_client(id, true, now);
    }

    /// Makes the channels of an attached client: all of them for a new one, those to `display`
    /// (and to an encoder that is missing) after `display` was started anew.
    pub fn connect_client(&mut self, id: ConnectionId, new: bool, now: Instant) {
        let facts = new.then(|| Box::new(self.facts()));
        self.display.ask(&mut self.log, now);
        let Some(display) = self.display.worker.as_mut() else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Work::Session(attached) = &mut connection.work else {
            return;
        };
        let made = socketpair().and_then(|windows| Ok((windows, socketpair()?, socketpair()?)));
        let missing = attached.encoder.is_none();
        let made = made.and_then(|pairs| {
            if missing {
                let encoder = self.nursery.start(Role::Encoder, Some(id), &[], now)?;
                attached.encoder = Some(encoder);
                attached.encoder_due = None;
            }
            Ok(pairs)
        });
        let ((network_display, display_network), (display_encoder, encoder_display), pictures) =
            match made {
                Ok(pairs) => pairs,
                Err(error) => {
                    let text = format!("a client cannot be connected: {error}");
                    self.log.own(Level::Error, Some(id.0), &text);
                    return self.farewell(id, &["server error", "out of resources"], now);
                }
            };
        let (network_encoder, encoder_network) = pictures;
        let log = &mut self.log;
        let client = SupervisorToDisplay::Client {
            connection: id,
            rights: attached.rights,
            purpose: Purpose::Session,
        };
        display.tell(&client, vec![display_network, display_encoder], log);
        let network = &mut connection.network;
        if let Some(facts) = facts {
            let session = SupervisorToNetwork::Session(facts);
            network.tell(&session, vec![network_display, network_encoder], log);
        } else {
            network.tell(&SupervisorToNetwork::Display, vec![network_display], log);
            if missing {
                network.tell(&SupervisorToNetwork::Encoder, vec![network_encoder], log);
            }
        }
        if let Some(encoder) = &mut attached.encoder {
            if missing {
                let start = SupervisorToEncoder::Start;
                encoder.tell(&start, vec![encoder_network, encoder_display], log);
            } else {
                encoder.tell(&SupervisorToEncoder::Display, vec![encoder_display], log);
            }
        }
    }

    /// Starts the next encoder of an attached client.
    fn restart_encoder(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Work::Session(attached) = &mut connection.work else {
            return;
        };
        attached.encoder_due = None;
        // Without a `display` there is nothing to encode; the next one brings the encoder along.
        let Some(display) = self.display.worker.as_mut() else {
            return;
        };
        let made = socketpair()
            .and_then(|pair| Ok((pair, socketpair()?)))
            .and_then(|pairs| {
                let encoder = self.nursery.start(Role::Encoder, Some(id), &[], now)?;
                Ok((pairs, encoder))
            });
        match made {
            Ok((((network, encoder_network), (to_display, encoder_display)), encoder)) => {
                let encoder: &mut Worker<_, _> = attached.encoder.insert(encoder);
                let start = SupervisorToEncoder::Start;
                encoder.tell(
                    &start,
                    vec![encoder_network, encoder_display],
                    &mut self.log,
                );
                let anew = SupervisorToNetwork::Encoder;
                connection.network.tell(&anew, vec![network], &mut self.log);
                display.tell(
                    &SupervisorToDisplay::Encoder(id),
                    vec![to_display],
                    &mut self.log,
                );
            }
            Err(error) => {
                let text = format!("an encoder cannot be started: {error}");
                self.log.own(Level::Error, Some(id.0), &text);
                self.encoder_gone(id, false, now);
            }
        }
    }

    /// An encoder has died.
    pub fn encoder_died(&mut self, id: ConnectionId, death: Death, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let encoder = match &mut connection.work {
            Work::Session(attached) => attached.encoder.take(),
            Work::Screenshot(picture) => picture.encoder.take(),
            Work::Nothing | Work::Info { .. } => None,
        };
        if let Some(mut encoder) = encoder {
            self.account(&mut encoder.process, death, false);
            self.encoder_gone(id, death.by_sandbox(), now);
        }
    }

    fn encoder_gone(&mut self, id: ConnectionId, by_sandbox: bool, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        match &mut connection.work {
            Work::Session(attached) => match attached.restarts.died(by_sandbox, now) {
                Verdict::After(pause) => attached.encoder_due = Some(now + pause),
                Verdict::Off => {
                    let text = "the encoder keeps failing; the client is sent away";
                    self.log.own(Level::Error, Some(id.0), text);
                    self.farewell(id, &["server error", "the encoder keeps failing"], now);
                }
            },
            Work::Screenshot(_) if !connection.leaving => {
                // After the picture it has nothing more to do, and the client says when it has it.
                connection.network.ends_within(ONE_SHOT, now);
            }
            _ => {}
        }
    }

    fn start_screenshot(&mut self, id: ConnectionId, now: Instant) {
        self.display.ask(&mut self.log, now);
        let Some(display) = self.display.worker.as_mut() else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let made = socketpair()
            .and_then(|windows| Ok((windows, socketpair()?, socketpair()?)))
            .and_then(|pairs| {
                Ok((
                    pairs,
                    self.nursery.start(Role::Encoder, Some(id), &[], now)?,
                ))
            });
        let (((unused, display_network), pixels, pictures), encoder) = match made {
            Ok(made) => made,
            Err(error) => {
                self.log
                    .own(Level::Error, Some(id.0), &format!("no screenshot: {error}"));
                return self.farewell(id, &["server error", "out of resources"], now);
            }
        };
        let mut encoder: Worker<SupervisorToEncoder, EncoderToSupervisor> = encoder;
        let (display_encoder, encoder_display) = pixels;
        let (network_encoder, encoder_network) = pictures;
        let log = &mut self.log;
        // No input whatever: the owner of the resource is told so too.
        let rights = Rights { readonly: true };
        let client = SupervisorToDisplay::Client {
            connection: id,
            rights,
            purpose: Purpose::Screenshot,
        };
        display.tell(&client, vec![display_network, display_encoder], log);
        encoder.tell(
            &SupervisorToEncoder::Start,
            vec![encoder_network, encoder_display],
            log,
        );
        connection
            .network
            .tell(&SupervisorToNetwork::Screenshot, vec![network_encoder], log);
        connection.network.ends_within(ONE_SHOT, now);
        let picture = Picture {
            encoder: Some(encoder),
            _unused: unused,
        };
        connection.work = Work::Screenshot(Box::new(picture));
    }

    fn detach(&mut self, id: ConnectionId, now: Instant) {
        let others: Vec<_> = self
            .attached()
            .map(|(id, _)| id)
            .filter(|one| *one != id)
            .collect();
        for other in &others {
            self.log.own(
                Level::Info,
                Some(other.0),
                &format!("detached by connection {id}"),
            );
            self.detach_one(*other, &["detach request"], now);
        }
        let text = format!("{} clients have been disconnected", others.len());
        self.farewell(id, &["done", &text], now);
    }

    /// Takes the session away from a client and tells it why.
    fn detach_one(&mut self, id: ConnectionId, reason: &[&str], now: Instant) {
        self.farewell(id, reason, now);
        self.take_away(id, now);
    }

    /// Takes away what a connection was given: from now on it cannot do anything, even if its
    /// process stays for a moment.
    fn take_away(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let encoder = match std::mem::replace(&mut connection.work, Work::Nothing) {
            Work::Session(attached) => attached.encoder,
            Work::Screenshot(picture) => picture.encoder,
            Work::Nothing | Work::Info { .. } => return,
        };
        if let Some(display) = &mut self.display.worker {
            display.tell(&SupervisorToDisplay::Gone(id), vec![], &mut self.log);
        }
        self.dismissed
            .extend(encoder.map(|encoder| encoder.dismiss(now)));
    }

    /// Tells a client to go, and why.
    pub fn farewell(&mut self, id: ConnectionId, reason: &[&str], now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut connection.leaving, true) {
            return;
        }
        let reason = reason.iter().map(|line| bounded(line)).collect();
        let disconnect = SupervisorToNetwork::Disconnect { reason };
        connection.network.tell(&disconnect, vec![], &mut self.log);
        connection.network.ends_within(FAREWELL, now);
    }

    /// A `network` worker has died: its client is gone.
    pub fn network_died(&mut self, id: ConnectionId, death: Death, now: Instant) {
        self.take_away_and_count(id, now);
        let Some(mut connection) = self.connections.remove(&id) else {
            return;
        };
        self.account(&mut connection.network.process, death, connection.leaving);
        self.forget(id);
    }

    /// Ends a connection from our side, without a word.
    pub fn drop_connection(&mut self, id: ConnectionId, now: Instant) {
        self.take_away_and_count(id, now);
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        // It has nothing to finish.
        connection.network.process.kill();
        self.dismissed.push(connection.network.dismiss(now));
        self.forget(id);
    }

    fn forget(&mut self, id: ConnectionId) {
        if let Some(auth) = &mut self.auth.worker {
            auth.tell(&SupervisorToAuth::Gone(id), vec![], &mut self.log);
        }
    }

    fn take_away_and_count(&mut self, id: ConnectionId, now: Instant) {
        let connection = self.connections.get(&id);
        let attached_since = connection.and_then(|connection| match &connection.work {
            Work::Session(attached) => Some(attached.since),
            _ => None,
        });
        self.take_away(id, now);
        let Some(since) = attached_since else { return };
        let seconds = now.saturating_duration_since(since).as_secs();
        self.log.own(
            Level::Info,
            Some(id.0),
            &format!("the client has left after {seconds} s"),
        );
        if self.spec.exit_with_client && self.running() && self.attached().next().is_none() {
            self.end(
                Ending::stop("server shutdown", 0),
                "the last client has left: the session ends",
            );
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
                && connection.since + LOGIN_TIMEOUT + LOGIN_SLACK <= now
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
    }

    /// A one-shot answer is out: the client closes, or is closed.
    pub fn one_shot_done(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.work = Work::Nothing;
            connection.network.ends_within(ONE_SHOT, now);
        }
    }
}

/// The name of a request as in a bind option; attaching is not one.
fn request_name(request: &Request) -> Option<&'static str> {
    match request {
        Request::Session(_) => None,
        Request::Info => Some("info"),
        Request::Id => Some("id"),
        Request::Screenshot => Some("screenshot"),
        Request::Detach => Some("detach"),
        Request::Stop => Some("stop"),
        Request::Exit => Some("exit"),
    }
}

/// At most 256 bytes, as the message demands.
fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(256)].to_owned()
}
