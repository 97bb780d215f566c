//! The process: waits for the client's socket and the channels, moves bytes and messages between
//! them and a [`Connection`]. Nothing here blocks but the wait.

use crate::connection::{Change, Connection, Effect, Rule};
use crate::outbox::MAX_SLICES;
use crate::tls::{Tls, TlsError};
use crate::transport::Transport;
use ipc::auth::{AuthToNetwork, NetworkToAuth};
use ipc::display::{DisplayToNetwork, NetworkToDisplay};
use ipc::frames::{EncoderToNetwork, NetworkToEncoder};
use ipc::keys::{Encryption, KeysToNetwork, NetworkToKeys};
use ipc::network::{NetworkToSupervisor, SupervisorToNetwork};
use ipc::{Channel, ChannelError, Message};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, sendmsg};
use runtime::{Interest, PollSet, Ready};
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

/// Bytes read from the client at a time.
pub const READ: usize = 64 * 1024;
/// Messages taken from one channel, and writes made, before the others have their turn.
const BURST: usize = 256;

/// Why the process cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The channel to the supervisor.
    #[error("the channel to the supervisor: {0}")]
    Supervisor(#[from] ChannelError),
    /// poll(2).
    #[error("poll: {0}")]
    Poll(Errno),
    /// The supervisor did not begin as it must.
    #[error("the supervisor's first message is not Start")]
    NoStart,
    /// The certificate is of no use.
    #[error("{0}")]
    Tls(#[from] TlsError),
}

/// Everything that the process holds.
pub struct Worker {
    client: OwnedFd,
    transport: Transport,
    supervisor: Channel<NetworkToSupervisor, SupervisorToNetwork>,
    auth: Option<Channel<NetworkToAuth, AuthToNetwork>>,
    keys: Option<Channel<NetworkToKeys, KeysToNetwork>>,
    display: Option<Channel<NetworkToDisplay, DisplayToNetwork>>,
    encoder: Option<Channel<NetworkToEncoder, EncoderToNetwork>>,
    /// Where the client's bytes are read.
    buffer: Vec<u8>,
    /// The client's socket takes no more at the moment.
    full: bool,
}

/// What poll(2) found.
#[derive(Default)]
struct Woken {
    client: Ready,
    supervisor: Ready,
    auth: Ready,
    keys: Ready,
    display: Ready,
    encoder: Ready,
}

impl Worker {
    /// `buffer`: of [`READ`] bytes.
    #[must_use]
    pub fn new(client: OwnedFd, supervisor: OwnedFd, buffer: Vec<u8>) -> Self {
        Self {
            client,
            transport: Transport::Plain,
            supervisor: Channel::new(supervisor),
            auth: None,
            keys: None,
            display: None,
            encoder: None,
            buffer,
            full: false,
        }
    }

    /// Serves the client until either side has enough.
    ///
    /// # Errors
    /// [`WorkerError`]; that the supervisor has gone is not one.
    pub fn run(mut self) -> Result<(), WorkerError> {
        match self.serve() {
            Err(WorkerError::Supervisor(ChannelError::Closed)) => Ok(()),
            result => result,
        }
    }

    fn serve(&mut self) -> Result<(), WorkerError> {
        let mut connection = self.started()?;
        while !connection.is_closed() {
            let woken = self.wait(&connection)?;
            let now = Instant::now();
            connection.tick(now);
            self.apply(&mut connection)?;
            self.hear_supervisor(&mut connection, woken.supervisor, now)?;
            self.hear_auth(&mut connection, woken.auth, now)?;
            self.hear_keys(&mut connection, woken.keys, now)?;
            self.hear_display(&mut connection, woken.display, now)?;
            self.hear_encoder(&mut connection, woken.encoder, now)?;
            if woken.client.readable {
                self.read(&mut connection, now)?;
            }
            self.full &= !woken.client.writable;
            self.write(&mut connection, now)?;
        }
        if let Transport::Tls(tls, _) = &mut self.transport {
            tls.close();
            // Nobody is waited for.
            while tls.wants_write() && tls.write_to(&mut Socket(&self.client)).is_ok() {}
        }
        self.supervisor.flush()?;
        Ok(())
    }

    /// Waits for the supervisor's first message.
    fn started(&mut self) -> Result<Connection, WorkerError> {
        loop {
            self.supervisor.flush()?;
            if let Some((message, fds)) = self.supervisor.receive()? {
                let SupervisorToNetwork::Start {
                    id,
                    login_timeout,
                    encryption,
                    capabilities,
                } = message
                else {
                    return Err(WorkerError::NoStart);
                };
                let mut fds = fds.into_iter();
                let mut changes = false;
                self.auth = fds.next().map(Channel::new);
                let mode = match (encryption, fds.next().map(Channel::new)) {
                    (None, None) => None,
                    (Some(Encryption::Aes(mode)), Some(keys)) => {
                        self.keys = Some(keys);
                        Some(mode)
                    }
                    (Some(Encryption::Tls(certificate)), Some(keys)) => {
                        let (optional, asks) = (certificate.optional, certificate.upgrade);
                        let tls = Tls::new(certificate, keys)?;
                        self.transport = Transport::tls(tls, optional);
                        changes = asks;
                        None
                    }
                    // The channel has counted them.
                    (Some(_), None) | (None, Some(_)) => return Err(WorkerError::NoStart),
                };
                let now = Instant::now();
                let connection = Connection::new(now, id, login_timeout, mode);
                return Ok(connection.telling(capabilities).asking_for_tls(changes));
            }
            let mut set = PollSet::new();
            set.add(
                self.supervisor.as_fd(),
                Interest::read_and(self.supervisor.wants_write()),
            );
            set.wait(None).map_err(WorkerError::Poll)?;
        }
    }

    fn wait(&self, connection: &Connection) -> Result<Woken, WorkerError> {
        let mut set = PollSet::new();
        // A client that sends faster than its messages are taken waits until they are.
        let ready_for_more = connection.hears_client()
            && !wants_write(self.display.as_ref())
            && !wants_write(self.encoder.as_ref())
            && !self.supervisor.wants_write();
        let interest = match (ready_for_more, self.full) {
            (true, true) => Interest::ReadWrite,
            (true, false) => Interest::Read,
            (false, true) => Interest::Write,
            (false, false) => Interest::Hangup,
        };
        let client = set.add(self.client.as_fd(), interest);
        let supervisor = set.add(
            self.supervisor.as_fd(),
            Interest::read_and(self.supervisor.wants_write()),
        );
        let auth = add(&mut set, self.auth.as_ref(), true);
        let keys = add(&mut set, self.keys.as_ref(), true);
        let display = add(&mut set, self.display.as_ref(), true);
        let encoder = add(&mut set, self.encoder.as_ref(), connection.hears_encoder());
        let timeout = connection
            .deadline()
            .map(|at| at.saturating_duration_since(Instant::now()));
        set.wait(timeout).map_err(WorkerError::Poll)?;
        let ready = |slot: Option<_>| slot.map_or(Ready::default(), |slot| set.ready(slot));
        Ok(Woken {
            client: set.ready(client),
            supervisor: set.ready(supervisor),
            auth: ready(auth),
            keys: ready(keys),
            display: ready(display),
            encoder: ready(encoder),
        })
    }

    fn hear_supervisor(
        &mut self,
        connection: &mut Connection,
        ready: Ready,
        now: Instant,
    ) -> Result<(), WorkerError> {
        if ready.writable {
            self.supervisor.flush()?;
        }
        if !ready.readable {
            return Ok(());
        }
        while let Some((message, fds)) = self.supervisor.receive()? {
            let mut fds = fds.into_iter();
            match &message {
                SupervisorToNetwork::Session(_) => {
                    self.display = fds.next().map(Channel::new);
                    self.encoder = fds.next().map(Channel::new);
                }
                SupervisorToNetwork::Display => self.display = fds.next().map(Channel::new),
                SupervisorToNetwork::Screenshot | SupervisorToNetwork::Encoder => {
                    self.encoder = fds.next().map(Channel::new);
                }
                SupervisorToNetwork::Start { .. }
                | SupervisorToNetwork::Info(_)
                | SupervisorToNetwork::InfoEnd
                | SupervisorToNetwork::Id(_)
                | SupervisorToNetwork::LoginTime(_)
                | SupervisorToNetwork::Disconnect { .. } => {}
            }
            connection.supervisor_says(now, message);
            self.apply(connection)?;
        }
        Ok(())
    }

    fn hear_auth(
        &mut self,
        connection: &mut Connection,
        ready: Ready,
        now: Instant,
    ) -> Result<(), WorkerError> {
        if !ready.any() {
            return Ok(());
        }
        while let Some(heard) = next(&mut self.auth) {
            match heard {
                Ok((message, _)) => connection.auth_says(now, message),
                Err(error) => {
                    broken(connection, Rule::Auth, &error);
                    connection.auth_lost(now);
                    self.auth = None;
                }
            }
            self.apply(connection)?;
        }
        Ok(())
    }

    fn hear_keys(
        &mut self,
        connection: &mut Connection,
        ready: Ready,
        now: Instant,
    ) -> Result<(), WorkerError> {
        if !ready.any() {
            return Ok(());
        }
        while let Some(heard) = next(&mut self.keys) {
            match heard {
                Ok((message, _)) => connection.keys_says(now, message),
                Err(error) => {
                    broken(connection, Rule::Keys, &error);
                    connection.keys_lost(now);
                    self.keys = None;
                }
            }
            self.apply(connection)?;
        }
        Ok(())
    }

    fn hear_display(
        &mut self,
        connection: &mut Connection,
        ready: Ready,
        now: Instant,
    ) -> Result<(), WorkerError> {
        if !ready.any() {
            return Ok(());
        }
        for _ in 0..BURST {
            let Some(heard) = next(&mut self.display) else {
                break;
            };
            match heard {
                Ok((message, _)) => connection.display_says(now, message),
                Err(error) => {
                    broken(connection, Rule::Display, &error);
                    connection.display_lost();
                    self.display = None;
                }
            }
            self.apply(connection)?;
        }
        Ok(())
    }

    fn hear_encoder(
        &mut self,
        connection: &mut Connection,
        ready: Ready,
        now: Instant,
    ) -> Result<(), WorkerError> {
        if !ready.any() {
            return Ok(());
        }
        for _ in 0..BURST {
            if !connection.hears_encoder() {
                break;
            }
            let Some(heard) = next(&mut self.encoder) else {
                break;
            };
            match heard {
                Ok((message, fds)) => {
                    if connection.is_early(&message) {
                        // Its window was told before the picture, on the other channel.
                        let all = Ready {
                            readable: true,
                            ..Ready::default()
                        };
                        self.hear_display(connection, all, now)?;
                    }
                    connection.encoder_says(now, message, &fds);
                }
                Err(error) => {
                    broken(connection, Rule::Encoder, &error);
                    self.encoder = None;
                }
            }
            self.apply(connection)?;
        }
        Ok(())
    }

    /// Tells our own processes what the connection has for them.
    fn apply(&mut self, connection: &mut Connection) -> Result<(), WorkerError> {
        loop {
            let effects = connection.take_effects();
            if effects.is_empty() {
                return Ok(());
            }
            for effect in effects {
                let (peer, result) = match effect {
                    Effect::Supervisor(message) => {
                        self.supervisor.send(&message, Vec::new())?;
                        continue;
                    }
                    Effect::CloseAuth => {
                        self.auth = None;
                        continue;
                    }
                    Effect::CloseKeys => {
                        self.keys = None;
                        continue;
                    }
                    Effect::CloseDisplay => {
                        self.display = None;
                        continue;
                    }
                    Effect::CloseEncoder => {
                        self.encoder = None;
                        continue;
                    }
                    Effect::Auth(message) => (Rule::Auth, tell(&mut self.auth, &message)),
                    Effect::Keys(message) => (Rule::Keys, tell(&mut self.keys, &message)),
                    Effect::Display(message) => (Rule::Display, tell(&mut self.display, &message)),
                    Effect::Encoder(message) => (Rule::Encoder, tell(&mut self.encoder, &message)),
                };
                if let Err(error) = result {
                    broken(connection, peer, &error);
                }
            }
        }
    }

    fn read(&mut self, connection: &mut Connection, now: Instant) -> Result<(), WorkerError> {
        match recv(
            self.client.as_raw_fd(),
            &mut self.buffer,
            MsgFlags::MSG_DONTWAIT,
        ) {
            Ok(0) => connection.client_closed(),
            Ok(count) => {
                let bytes = self.buffer.get(..count).unwrap_or_default();
                connection.may_change(self.transport.could_be_tls(bytes));
                let mut heard = self
                    .transport
                    .hear(bytes, |bytes| connection.client_says(now, bytes));
                match connection.change() {
                    Change::Agreed => {
                        connection.may_change(false);
                        let rest = connection.take_rest();
                        let tls = &mut self.transport;
                        heard = tls.upgrade().and_then(|()| match rest.is_empty() {
                            true => Ok(true),
                            false => tls.hear(&rest, |bytes| connection.client_says(now, bytes)),
                        });
                    }
                    Change::No => self.transport.settle(),
                    Change::Possible | Change::Asked => {}
                }
                if let Transport::Tls(tls, _) = &mut self.transport {
                    if let Some(what) = tls.take_broken() {
                        connection.channel_broken(Rule::Keys, &what);
                    }
                    if let Some(what) = tls.take_opened() {
                        tracing::info!("the client speaks {what}");
                    }
                    // Before anything that the client has said over TLS.
                    if let Some(shown) = tls.take_shown() {
                        let message = NetworkToAuth::Certificate(Box::new(shown));
                        if let Err(error) = tell(&mut self.auth, &message) {
                            broken(connection, Rule::Auth, &error);
                        }
                    }
                }
                match heard {
                    Ok(true) => {}
                    Ok(false) => connection.client_closed(),
                    Err(error) => connection.transport_failed(&error),
                }
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => {
                tracing::info!(%error, "reading from the client");
                connection.client_closed();
            }
        }
        self.apply(connection)
    }

    fn write(&mut self, connection: &mut Connection, now: Instant) -> Result<(), WorkerError> {
        for _ in 0..BURST {
            if self.full || !self.has_to_write(connection) {
                break;
            }
            let wrote = match &mut self.transport {
                Transport::Plain | Transport::Either(_) | Transport::Clear(_) => {
                    fill(connection, |slices| {
                        Socket(&self.client).write_vectored(slices)
                    })
                }
                Transport::Tls(tls, _) => {
                    let taken = match tls.is_open() {
                        true => fill(connection, |slices| Ok(tls.send(slices))),
                        false => Ok(0),
                    };
                    taken.and_then(|taken| {
                        connection.written(now, taken);
                        // What is written now was counted when it was taken.
                        tls.write_to(&mut Socket(&self.client)).map(|_| 0)
                    })
                }
            };
            match wrote {
                Ok(count) => connection.written(now, count),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.full = true,
                    io::ErrorKind::Interrupted => {}
                    _ => {
                        tracing::info!(%error, "writing to the client");
                        connection.client_closed();
                        break;
                    }
                },
            }
            self.apply(connection)?;
        }
        // What is left after a burst goes out as soon as the socket is asked again.
        self.full |= self.has_to_write(connection);
        Ok(())
    }

    /// Is there something for the client that can be written to its socket?
    fn has_to_write(&self, connection: &mut Connection) -> bool {
        let waits = !connection.outbox().is_empty();
        match &self.transport {
            Transport::Plain | Transport::Clear(_) => waits,
            Transport::Either(_) => false,
            Transport::Tls(tls, _) => tls.wants_write() || (tls.is_open() && waits),
        }
    }
}

/// Gives what waits for the client to `take`, which says how much it has taken.
fn fill(
    connection: &mut Connection,
    take: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
    let filled = connection
        .outbox()
        .slices(&mut slices)
        .map_err(io::Error::other)?;
    take(slices.get(..filled).unwrap_or_default())
}

/// The client's socket.
struct Socket<'s>(&'s OwnedFd);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        Ok(sendmsg::<()>(self.0.as_raw_fd(), slices, &[], flags, None)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wants_write<Tx: Message, Rx: Message>(channel: Option<&Channel<Tx, Rx>>) -> bool {
    channel.is_some_and(Channel::wants_write)
}

fn add<'fd, Tx: Message, Rx: Message>(
    set: &mut PollSet<'fd>,
    channel: Option<&'fd Channel<Tx, Rx>>,
    hear: bool,
) -> Option<runtime::poll::Slot> {
    let channel = channel?;
    let interest = match (hear, channel.wants_write()) {
        (true, write) => Interest::read_and(write),
        (false, true) => Interest::Write,
        (false, false) => return None,
    };
    Some(set.add(channel.as_fd(), interest))
}

/// Writes what waits to a process, if it is there, and reads what it says, if it says something.
fn next<Tx: Message, Rx: Message>(
    channel: &mut Option<Channel<Tx, Rx>>,
) -> Option<Result<(Rx, Vec<OwnedFd>), ChannelError>> {
    let channel = channel.as_mut()?;
    channel.flush().and_then(|()| channel.receive()).transpose()
}

/// Sends to a process that may have gone: then there is nobody to tell.
fn tell<Tx: Message, Rx: Message>(
    channel: &mut Option<Channel<Tx, Rx>>,
    message: &Tx,
) -> Result<(), ChannelError> {
    let Some(open) = channel else { return Ok(()) };
    match open.send(message, Vec::new()) {
        Err(error @ ChannelError::TooLong { .. }) => {
            tracing::error!(%error, "a message not sent");
            Ok(())
        }
        Err(ChannelError::Closed) => {
            // Its last words are still to be heard; the end is noticed there.
            Ok(())
        }
        result => result,
    }
}

fn broken(connection: &mut Connection, peer: Rule, error: &ChannelError) {
    if error.is_violation() {
        connection.channel_broken(peer, &error.to_string());
    } else {
        tracing::debug!(?peer, %error, "a channel ended");
    }
}
