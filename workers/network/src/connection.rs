//! One connection from its first byte to its last, without any input or output of its own.
//!
//! Bytes of the client and messages of our own processes go in; what is to be written to the
//! client waits in the [`Outbox`], what is to be told to our own processes in
//! [`Connection::take_effects`]. The phases are types: before authentication there is no value
//! that could hold any packet but `hello` and `disconnect`; and between two of these, where a client changes to TLS,
//! none but its agreement and `disconnect`.

use crate::accepted::Accepted;
use crate::attached::Attached;
use crate::encryption;
use crate::outbox::{Outbox, Release};
use crate::pre_auth::PreAuth;
use crate::tls::{HANDSHAKE, TlsError};
use ipc::ConnectionId;
use ipc::auth::{AuthToNetwork, NetworkToAuth};
use ipc::display::{DisplayToNetwork, NetworkToDisplay};
use ipc::frames::{EncoderToNetwork, NetworkToEncoder};
use ipc::keys::{AesMode, KeysToNetwork, NetworkToKeys};
use ipc::network::{NetworkToSupervisor, SessionFacts, SupervisorToNetwork};
use ipc::shared::Reader;
use ipc::verdict::{Peer, Violation};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};
use wire::cipher::{Opener, SealError, Sealer};
use wire::hello::ClientHello;
use wire::limits::{INLINE_SIZE, Limits};
use wire::packet::{
    Challenge, ClientPacket, Disconnect, Map, Packet, PreAuthPacket, ServerPacket, UpgradePacket,
    reason,
};
use wire::record::{ChunkIndex, Message, RecordReader, RecordWriter};
use wire::rencodeplus::{Budget, Value};

/// Time for a client to read its last packet and to leave. One that has proved who it is has so
/// much again whenever it has read a part: its last packet may be a screenshot on a slow link.
const CLOSING: Duration = Duration::from_secs(2);
/// Most time for that.
const CLOSING_SLOWLY: Duration = Duration::from_secs(60);

/// What is to be told to our own processes.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// To `auth`.
    Auth(NetworkToAuth),
    /// To `keys`.
    Keys(NetworkToKeys),
    /// To the supervisor.
    Supervisor(NetworkToSupervisor),
    /// To `display`.
    Display(NetworkToDisplay),
    /// To `encoder`.
    Encoder(NetworkToEncoder),
    /// Close the channel to `auth`: it has done its work.
    CloseAuth,
    /// Close the channel to `keys`: it has done its work.
    CloseKeys,
    /// Close the channel to `display`: it broke a rule.
    CloseDisplay,
    /// Close the channel to `encoder`: it broke a rule, or is not needed any more.
    CloseEncoder,
}

/// What a phase writes to: the client's outbox and the messages to our own processes.
#[derive(Debug)]
pub struct Output {
    /// What waits for the client.
    pub outbox: Outbox,
    /// How the client wants its records.
    pub writer: RecordWriter,
    effects: Vec<Effect>,
    /// What the client is told with our next challenge or hello, if the connection is encrypted.
    next: Option<encryption::Next>,
    /// From the next record on, what the client sends is for this.
    opener: Option<Opener>,
}

impl Output {
    /// Queues a packet.
    pub fn packet(&mut self, packet: ServerPacket) {
        self.raw(&packet.into_packet());
    }

    /// Queues a hello. The client's records are opened as it says from now on: stock clients send
    /// none between their last hello and ours (protocol "Negotiation").
    pub fn hello(&mut self, mut map: Map) {
        if let Some(caps) = self.renew() {
            map.push(("encryption".into(), Value::Dict(caps)));
        }
        self.packet(ServerPacket::Hello(map));
    }

    /// Queues a challenge. As with a hello, the client's next record is opened as it says.
    pub fn challenge(&mut self, mut challenge: Challenge) {
        if let Some(caps) = self.renew() {
            challenge.auth_caps = encryption::challenge_caps(caps);
        }
        self.packet(ServerPacket::Challenge(challenge));
    }

    fn renew(&mut self) -> Option<Map> {
        let (caps, opener) = self.next.take()?.tell();
        self.opener = Some(opener);
        Some(caps)
    }

    /// Everything that is queued from now on is sealed; `next` is told with the next challenge or
    /// hello.
    pub fn encrypt(&mut self, sealer: Sealer, next: encryption::Next) -> Result<(), SealError> {
        self.next = Some(next);
        self.outbox.set_sealer(sealer)
    }

    /// Queues a packet of any kind.
    pub fn raw(&mut self, packet: &Packet) {
        match self.writer.record(packet, true) {
            Ok(record) => self.outbox.push(record),
            Err(error) => tracing::error!(packet = %packet.name, %error, "a packet not sent"),
        }
    }

    /// Queues a packet that carries a picture, written from its buffer: in a raw chunk when it is
    /// large and the client takes chunks. Pictures are compressed already.
    pub fn picture(
        &mut self,
        index: ChunkIndex,
        (reader, len, release): (Rc<Reader>, usize, Release),
        chunks: bool,
        packet: impl FnOnce(Vec<u8>) -> Packet,
    ) {
        let plain = RecordWriter::new(false);
        let packet = packet(Vec::new());
        let parts = if chunks && len > INLINE_SIZE {
            let header = plain.chunk_header(index, len);
            header.and_then(|header| Ok((header.to_vec(), plain.record(&packet, true)?)))
        } else {
            plain.record_around(&packet, index, len, true)
        };
        match parts {
            Ok((before, after)) => {
                self.outbox
                    .push_around(before, (reader, len), after, release);
            }
            Err(error) => tracing::error!(%error, "a picture not sent"),
        }
    }

    /// Queues a message to one of our own processes.
    pub fn tell(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Reports a process that broke a rule, which ends in the supervisor killing it. The number
    /// of the connection is not ours to say: the supervisor knows whose report it is.
    pub fn report(&mut self, peer: Rule, what: &str) {
        let (peer, close) = match peer {
            Rule::Encoder => (Peer::Encoder(ConnectionId(0)), Effect::CloseEncoder),
            Rule::Display => (Peer::Display, Effect::CloseDisplay),
            Rule::Auth => (Peer::Auth, Effect::CloseAuth),
            Rule::Keys => (Peer::Keys, Effect::CloseKeys),
        };
        tracing::error!(?peer, what, "a process broke a rule");
        let what = crate::translate::shorten(what, 256);
        let report = NetworkToSupervisor::Violation(Violation { peer, what });
        self.effects.extend([Effect::Supervisor(report), close]);
    }
}

/// Which process broke a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The connection's `encoder`.
    Encoder,
    /// The session's `display`.
    Display,
    /// The session's `auth`.
    Auth,
    /// The session's `keys`.
    Keys,
}

/// How a phase goes on after something happened.
#[derive(Debug)]
pub enum Next {
    /// As before.
    Stay,
    /// The client has proved who it is.
    Accept(Box<ClientHello>),
    /// The client is asked to change to TLS, and to say all of it again.
    Upgrade,
    /// The session is granted.
    Attach(Box<Attached>),
    /// Tell the client why, then end.
    Disconnect(Disconnect),
    /// The last packet is queued; the client leaves.
    Finish,
    /// End at once: there is nobody to tell.
    Close,
}

impl Next {
    /// Ends the connection with one of the protocol's reasons and a text.
    pub fn disconnect(reason: &str, detail: &str) -> Self {
        let mut disconnect = Disconnect::new(reason);
        if !detail.is_empty() {
            disconnect.details.push(detail.to_owned());
        }
        Self::Disconnect(disconnect)
    }

    /// Ends the connection of a client that says what has no place here.
    pub fn out_of_order(what: &str) -> Self {
        tracing::warn!(what, "a packet out of order");
        Self::disconnect(reason::PROTOCOL_ERROR, &format!("out of order: {what}"))
    }
}

/// May a client in clear change to TLS?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It does not, or not any more.
    No,
    /// As long as it has not said hello.
    Possible,
    /// It was asked to.
    Asked,
    /// It has agreed: what comes next is TLS.
    Agreed,
}

#[derive(Debug)]
enum Phase {
    PreAuth(Box<PreAuth>),
    /// The client was asked to change to TLS. Nothing that it has said counts any more; what is demanded of it, and
    /// until when, does.
    Changing(Box<PreAuth>),
    Accepted(Box<Accepted>),
    Attached(Box<Attached>),
    /// The last packet is on its way; what the client says is not looked at any more.
    Closing {
        /// The end, if the client reads nothing more until then.
        deadline: Instant,
        /// The end whatever it reads.
        last: Instant,
    },
    Closed,
}

/// One client's connection.
#[derive(Debug)]
pub struct Connection {
    reader: RecordReader,
    phase: Phase,
    /// Capabilities of the client's hello that `auth` is to be told.
    told: Vec<String>,
    /// Clients in clear that can are asked to change to TLS.
    asks_for_tls: bool,
    change: Change,
    /// It has agreed, and nothing was heard of it in TLS.
    has_agreed: bool,
    /// What came in one breath with the answer: the beginning of TLS.
    rest: Vec<u8>,
    out: Output,
}

impl Connection {
    /// A connection of which nothing has been read. `id`: what the `id` request may tell without
    /// authentication. `login_timeout`: seconds. `encryption`: what its socket demands.
    #[must_use]
    pub fn new(
        now: Instant,
        id: Option<Box<SessionFacts>>,
        login_timeout: u16,
        encryption: Option<AesMode>,
    ) -> Self {
        let deadline = now + Duration::from_secs(login_timeout.into());
        Self {
            reader: RecordReader::new(Limits::PRE_AUTH),
            phase: Phase::PreAuth(Box::new(PreAuth::new(id, deadline, encryption))),
            told: Vec::new(),
            asks_for_tls: false,
            change: Change::No,
            has_agreed: false,
            rest: Vec::new(),
            out: Output {
                outbox: Outbox::default(),
                writer: RecordWriter::new(false),
                effects: Vec::new(),
                next: None,
                opener: None,
            },
        }
    }

    /// With capabilities of the client's hello that `auth` is to be told.
    #[must_use]
    pub fn telling(mut self, capabilities: Vec<String>) -> Self {
        self.told = capabilities;
        self
    }

    /// One whose client is asked to change to TLS, if it begins in clear and can.
    #[must_use]
    pub fn asking_for_tls(mut self, asks: bool) -> Self {
        self.asks_for_tls = asks;
        self
    }

    /// What the client says next is in clear, and could be in TLS.
    pub fn may_change(&mut self, could: bool) {
        if let Phase::PreAuth(phase) = &mut self.phase
            && phase.is_untouched()
        {
            phase.asks_for_tls = could && self.asks_for_tls;
            self.change = match phase.asks_for_tls {
                true => Change::Possible,
                false => Change::No,
            };
        }
    }

    /// What came already of a client that has agreed to TLS: the beginning of that.
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest)
    }

    /// Does the client change to TLS?
    #[must_use]
    pub fn change(&self) -> Change {
        match (&self.phase, self.change) {
            // It has said hello, and was not asked.
            (Phase::PreAuth(phase), Change::Possible) if !phase.is_untouched() => Change::No,
            (Phase::PreAuth(_) | Phase::Changing(_), change) => change,
            _ => Change::No,
        }
    }

    /// What is to be told to our own processes, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.out.effects)
    }

    /// What is to be written to the client.
    #[must_use]
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.out.outbox
    }

    /// `count` bytes of the outbox have been written.
    pub fn written(&mut self, now: Instant, count: usize) {
        let mut released = Vec::new();
        self.out
            .outbox
            .advance(count, |release| released.push(release));
        for release in released {
            match &mut self.phase {
                Phase::Attached(attached) => attached.released(release, &mut self.out),
                Phase::PreAuth(_)
                | Phase::Changing(_)
                | Phase::Accepted(_)
                | Phase::Closing { .. }
                | Phase::Closed => {}
            }
        }
        if let Phase::Closing { deadline, last } = &mut self.phase {
            *deadline = (now + CLOSING).min(*last);
        }
        self.follow(now, Next::Stay);
    }

    /// Is there nothing left to do?
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// May the encoder be heard? Not before the client has had its hello.
    #[must_use]
    pub fn hears_encoder(&self) -> bool {
        match &self.phase {
            Phase::Attached(attached) => attached.is_greeted(),
            Phase::Accepted(accepted) => accepted.awaits_screenshot(),
            Phase::PreAuth(_) | Phase::Changing(_) | Phase::Closing { .. } | Phase::Closed => false,
        }
    }

    /// May the client be heard?
    #[must_use]
    pub fn hears_client(&self) -> bool {
        match &self.phase {
            Phase::Attached(attached) => attached.hears_client(),
            Phase::PreAuth(_)
            | Phase::Changing(_)
            | Phase::Accepted(_)
            | Phase::Closing { .. }
            | Phase::Closed => true,
        }
    }

    /// Does this message concern a window that `display` has not told of yet?
    #[must_use]
    pub fn is_early(&self, message: &EncoderToNetwork) -> bool {
        let window = match message {
            EncoderToNetwork::Draw { window, .. } | EncoderToNetwork::Icon { window, .. } => window,
            _ => return false,
        };
        matches!(&self.phase, Phase::Attached(attached) if !attached.knows(*window))
    }

    /// When something is to be done although nothing happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::PreAuth(phase) => Some(phase.deadline()),
            Phase::Changing(begun) => Some(begun.deadline()),
            Phase::Accepted(_) => None,
            Phase::Attached(phase) => Some(phase.deadline()),
            Phase::Closing { deadline, .. } => Some(*deadline),
            Phase::Closed => None,
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Instant) {
        let next = match &mut self.phase {
            Phase::PreAuth(phase) => phase.tick(now),
            Phase::Changing(begun) => begun.tick(now),
            Phase::Accepted(_) => Next::Stay,
            Phase::Attached(phase) => phase.tick(now, &mut self.out),
            Phase::Closing { deadline, .. } if now >= *deadline => Next::Close,
            Phase::Closing { .. } | Phase::Closed => Next::Stay,
        };
        self.follow(now, next);
    }

    /// Bytes came from the client.
    pub fn client_says(&mut self, now: Instant, bytes: &[u8]) {
        if matches!(self.phase, Phase::Closing { .. } | Phase::Closed) {
            return;
        }
        self.reader.push(bytes);
        loop {
            if matches!(self.phase, Phase::Closing { .. } | Phase::Closed) {
                return;
            }
            let message = match self.reader.next_message() {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "the client sends no valid records");
                    return self.follow(
                        now,
                        Next::disconnect(reason::PROTOCOL_ERROR, "invalid record"),
                    );
                }
            };
            let budget = self.reader.limits().budget;
            let next = match &mut self.phase {
                Phase::PreAuth(phase) => {
                    match PreAuthPacket::decode_with(message, &budget, &self.told) {
                        Ok(packet) => phase.packet(packet, &mut self.out),
                        Err(error) => {
                            tracing::warn!(%error, "an unacceptable packet before authentication");
                            Next::disconnect(reason::PROTOCOL_ERROR, "unacceptable packet")
                        }
                    }
                }
                Phase::Changing(_) => self.answer_to_change(message, &budget),
                Phase::Accepted(_) | Phase::Attached(_) => match Packet::decode(message, &budget) {
                    Ok(packet) => self.packet(now, packet),
                    Err(error) => {
                        tracing::warn!(%error, "an undecodable packet");
                        Next::disconnect(reason::PROTOCOL_ERROR, "undecodable packet")
                    }
                },
                Phase::Closing { .. } | Phase::Closed => Next::Stay,
            };
            self.follow(now, next);
        }
    }

    /// A client that was asked to change to TLS says so. In clear nothing may come behind that: it could be
    /// somebody else's, and be taken for what the client says in TLS. What does is the beginning of TLS, or refused.
    fn answer_to_change(&mut self, message: Message, budget: &Budget) -> Next {
        let answer = match UpgradePacket::decode(message, budget) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, "no answer to the question for TLS");
                return Next::disconnect(reason::PROTOCOL_ERROR, "unacceptable packet");
            }
        };
        match answer {
            UpgradePacket::Disconnect(disconnect) => {
                tracing::info!(reason = %disconnect.reason, "the client leaves before authentication");
                Next::Close
            }
            UpgradePacket::Agreed if !self.out.outbox.is_empty() => {
                Next::out_of_order("an answer before the question")
            }
            UpgradePacket::Agreed => {
                let fresh = RecordReader::new(Limits::PRE_AUTH);
                let rest = std::mem::replace(&mut self.reader, fresh).into_rest();
                let tls = |rest: &Vec<u8>| rest.first().is_none_or(|first| *first == HANDSHAKE);
                let Some(rest) = rest.filter(tls) else {
                    return Next::out_of_order("bytes in clear after the answer");
                };
                self.rest = rest;
                self.out.writer = RecordWriter::new(false);
                if let Phase::Changing(begun) = std::mem::replace(&mut self.phase, Phase::Closed) {
                    self.phase = Phase::PreAuth(begun);
                }
                self.has_agreed = true;
                self.change = Change::Agreed;
                tracing::info!("the client changes to TLS");
                Next::Stay
            }
        }
    }

    /// A packet of a client that has proved who it is.
    fn packet(&mut self, now: Instant, packet: Packet) -> Next {
        let packet = match ClientPacket::parse(packet) {
            Ok(packet) => packet,
            // A value that we do not take costs one packet (protocol "Loose typing to tolerate").
            Err(error) if !error.is_malformed() => {
                tracing::debug!(%error, "a packet ignored");
                return Next::Stay;
            }
            Err(error) => {
                tracing::warn!(%error, "a malformed packet");
                return Next::disconnect(reason::PROTOCOL_ERROR, "malformed packet");
            }
        };
        if let ClientPacket::Disconnect(disconnect) = &packet {
            tracing::info!(reason = %disconnect.reason, "the client disconnects");
            return Next::Close;
        }
        match &mut self.phase {
            Phase::Attached(phase) if phase.is_greeted() => {
                phase.packet(now, packet, &mut self.out)
            }
            // Stock clients say nothing between their hello and ours.
            Phase::Accepted(_) | Phase::Attached(_) => {
                Next::out_of_order("a packet before our hello")
            }
            Phase::PreAuth(_) | Phase::Changing(_) | Phase::Closing { .. } | Phase::Closed => {
                Next::Stay
            }
        }
    }

    /// The client closed its side.
    pub fn client_closed(&mut self) {
        match &self.phase {
            Phase::PreAuth(phase) if phase.is_untouched() && self.has_agreed => {
                tracing::info!(
                    "the client left instead of beginning TLS, or before it said hello in it"
                );
            }
            Phase::PreAuth(phase) if phase.is_untouched() && self.reader.pending() == 0 => {
                // A probe: `xpra list` connects and closes (protocol "Unix sockets and discovery").
            }
            Phase::PreAuth(phase) => {
                let text = match phase.was_sealed() {
                    true => "the client left before it had proved who it is: is its key another?",
                    false => "the client left before it had proved who it is",
                };
                tracing::info!("{text}");
            }
            Phase::Changing(_) => {
                tracing::info!("the client left instead of changing to TLS");
            }
            Phase::Accepted(_) | Phase::Attached(_) => {
                tracing::info!("the client closed the connection")
            }
            Phase::Closing { .. } | Phase::Closed => {}
        }
        self.phase = Phase::Closed;
    }

    /// What carries the client's bytes is of no more use.
    pub fn transport_failed(&mut self, error: &TlsError) {
        tracing::warn!(%error, "the connection ends");
        self.phase = Phase::Closed;
    }

    /// `auth` says something.
    pub fn auth_says(&mut self, now: Instant, message: AuthToNetwork) {
        let next = match (&mut self.phase, message) {
            (Phase::PreAuth(phase), message) => phase.auth(now, message, &mut self.out),
            // Said before it could know that the client goes.
            (Phase::Closing { .. } | Phase::Closed, AuthToNetwork::Rejected { .. }) => Next::Stay,
            _ => {
                self.out
                    .report(Rule::Auth, "a message that nobody has asked for");
                Next::Stay
            }
        };
        self.follow(now, next);
    }

    /// `keys` says something.
    pub fn keys_says(&mut self, now: Instant, message: KeysToNetwork) {
        let next = match &mut self.phase {
            Phase::PreAuth(phase) => phase.keys(message, &mut self.out),
            _ => {
                self.out.report(Rule::Keys, "a message after the login");
                Next::Stay
            }
        };
        self.follow(now, next);
    }

    /// The channel to `keys` has ended: it is away, or knows of the verdict already.
    pub fn keys_lost(&mut self, now: Instant) {
        if let Phase::PreAuth(phase) = &mut self.phase {
            let next = phase.keys_lost();
            self.follow(now, next);
        }
    }

    /// The channel to `auth` has ended.
    pub fn auth_lost(&mut self, now: Instant) {
        let lost = match &self.phase {
            Phase::PreAuth(phase) => !phase.is_refused(),
            Phase::Changing(_) => true,
            _ => false,
        };
        if lost {
            let detail = "authentication is being restarted, try again";
            self.follow(now, Next::disconnect(reason::SERVER_ERROR, detail));
        }
    }

    /// The supervisor says something. Channels that come with it are the caller's business.
    pub fn supervisor_says(&mut self, now: Instant, message: SupervisorToNetwork) {
        let next = match (&mut self.phase, message) {
            (Phase::Closing { .. } | Phase::Closed, _) => Next::Stay,
            (_, SupervisorToNetwork::Disconnect { reason }) => {
                let mut reason = reason.into_iter();
                let first = reason.next().unwrap_or_default();
                Next::Disconnect(Disconnect {
                    reason: first,
                    details: reason.collect(),
                })
            }
            (Phase::PreAuth(phase), SupervisorToNetwork::LoginTime(seconds)) => {
                phase.extend(now + Duration::from_secs(seconds.into()));
                Next::Stay
            }
            // It was quick.
            (_, SupervisorToNetwork::LoginTime(_)) => Next::Stay,
            (Phase::Accepted(phase), message) => phase.supervisor(now, message, &mut self.out),
            (Phase::Attached(phase), SupervisorToNetwork::Display) => {
                phase.display_restarted(&mut self.out);
                Next::Stay
            }
            (Phase::Attached(phase), SupervisorToNetwork::Encoder) => {
                phase.encoder_restarted(&mut self.out);
                Next::Stay
            }
            (_, message) => {
                tracing::error!(?message, "an untimely message of the supervisor");
                Next::Stay
            }
        };
        self.follow(now, next);
    }

    /// `display` says something.
    pub fn display_says(&mut self, now: Instant, message: DisplayToNetwork) {
        let result = match &mut self.phase {
            Phase::Attached(phase) => phase.display(now, message, &mut self.out),
            _ => Ok(()),
        };
        if let Err(what) = result {
            self.out.report(Rule::Display, what);
        }
        self.follow(now, Next::Stay);
    }

    /// The channel to `display` has ended.
    pub fn display_lost(&mut self) {
        if let Phase::Attached(attached) = &mut self.phase {
            attached.display_lost();
        }
    }

    /// `encoder` says something; `fds` came with it.
    pub fn encoder_says(&mut self, now: Instant, message: EncoderToNetwork, fds: &[OwnedFd]) {
        let result = match &mut self.phase {
            Phase::Attached(phase) => phase
                .encoder(message, fds, &mut self.out)
                .map(|()| Next::Stay),
            Phase::Accepted(phase) => phase.encoder(message, fds, &mut self.out),
            _ => Ok(Next::Stay),
        };
        let next = result.unwrap_or_else(|what| {
            self.out.report(Rule::Encoder, what);
            Next::Stay
        });
        self.follow(now, next);
    }

    /// One of our own processes broke a rule of its channel.
    pub fn channel_broken(&mut self, peer: Rule, what: &str) {
        self.out.report(peer, what);
    }

    /// Goes on as a phase says, and cuts off a client that does not read.
    fn follow(&mut self, now: Instant, next: Next) {
        if let Some(opener) = self.out.opener.take() {
            self.reader.set_opener(opener);
        }
        match next {
            Next::Stay => {}
            Next::Accept(hello) => {
                self.reader.set_limits(Limits::CLIENT_TO_SERVER);
                self.out.tell(Effect::CloseAuth);
                self.out.tell(Effect::CloseKeys);
                let (phase, next) = Accepted::new(hello, &mut self.out);
                self.phase = Phase::Accepted(Box::new(phase));
                return self.follow(now, next);
            }
            Next::Upgrade => {
                if let Phase::PreAuth(begun) = std::mem::replace(&mut self.phase, Phase::Closed) {
                    self.out.raw(&UpgradePacket::question());
                    self.change = Change::Asked;
                    self.phase = Phase::Changing(begun);
                }
            }
            Next::Attach(attached) => self.phase = Phase::Attached(attached),
            Next::Disconnect(disconnect) => {
                let text = disconnect.details.join(", ");
                tracing::info!(reason = %disconnect.reason, text, "ending the connection");
                self.out.packet(ServerPacket::Disconnect(disconnect));
                self.finish(now);
            }
            Next::Finish => self.finish(now),
            Next::Close => self.phase = Phase::Closed,
        }
        let closing = matches!(self.phase, Phase::Closing { .. } | Phase::Closed);
        if !closing && self.out.outbox.is_overfull() {
            tracing::warn!("the client does not read: more than 2 MiB wait for it");
            self.out.outbox.cut();
            let text = "the client does not read what it is sent";
            self.follow(now, Next::disconnect(reason::CONNECTION_ERROR, text));
        }
    }

    /// The last packet is queued: nothing that our own processes say matters any more.
    fn finish(&mut self, now: Instant) {
        let patience = match self.phase {
            Phase::Accepted(_) | Phase::Attached(_) => CLOSING_SLOWLY,
            Phase::PreAuth(_) | Phase::Changing(_) | Phase::Closing { .. } | Phase::Closed => {
                CLOSING
            }
        };
        self.phase = Phase::Closing {
            deadline: now + CLOSING,
            last: now + patience,
        };
        for close in [
            Effect::CloseAuth,
            Effect::CloseKeys,
            Effect::CloseDisplay,
            Effect::CloseEncoder,
        ] {
            self.out.tell(close);
        }
    }
}
