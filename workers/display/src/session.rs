//! The state of the session and the loop that waits for everything that can happen.

use crate::atoms::Atoms;
use crate::client::{Client, Network};
use crate::input::keyboard::Keyboard;
use crate::pace::Pace;
use crate::picture::Cursor;
use crate::window::Windows;
use ipc::display::{DisplayToSupervisor, SupervisorToDisplay, WindowDescription};
use ipc::verdict::{Peer, Violation};
use ipc::{Channel, ChannelError, ConnectionId, Size, WindowId};
use runtime::{Interest, PollSet};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};
use x11rb::connection::Connection;
use x11rb::errors::{ConnectionError, ReplyError};
use x11rb::rust_connection::RustConnection;
use xstream::XStream;

/// Our connection to the X server.
pub type X = RustConnection<XStream>;
/// Our channel to the supervisor.
pub type Supervisor = Channel<DisplayToSupervisor, SupervisorToDisplay>;
/// The X server is gone, or nothing is.
pub type XResult<T> = Result<T, ConnectionError>;

/// Most X events handled before everybody else gets a turn.
const EVENTS_AT_A_TIME: usize = 2000;
/// Most messages of one peer handled before everybody else gets a turn; a large one takes the
/// time of all of them.
const MESSAGES_AT_A_TIME: usize = 200;
/// Most clients at a time; the supervisor allows fewer.
const MAX_CLIENTS: usize = 256;

/// What an X reply says; `None` when the X server refused or what it said makes no sense, which
/// is how it is when an application's window has just gone.
///
/// # Errors
/// The connection is lost.
pub fn answer<T>(reply: Result<T, ReplyError>) -> XResult<Option<T>> {
    match reply {
        Ok(reply) => Ok(Some(reply)),
        Err(
            ReplyError::X11Error(_) | ReplyError::ConnectionError(ConnectionError::ParseError(_)),
        ) => Ok(None),
        Err(ReplyError::ConnectionError(error)) => Err(error),
    }
}

/// Everything there is.
pub struct Session {
    /// The X server.
    pub x: Rc<X>,
    /// Its root window.
    pub root: u32,
    /// The size of that.
    pub size: Size,
    /// The largest size it can get.
    pub max_size: Size,
    /// The size follows the client.
    pub resize: bool,
    /// The X server tells which process has a connection (X-Resource 1.2).
    pub has_resources: bool,
    /// Numbers of names.
    pub atoms: Atoms,
    /// Our own window: it proves that we manage windows, and has the focus when nobody has.
    pub own: u32,
    /// Where the X server puts damage.
    pub region: u32,
    /// The windows.
    pub windows: Windows,
    /// The clients.
    pub clients: BTreeMap<ConnectionId, Client>,
    /// What has been done once for each client.
    pub done: BTreeMap<ConnectionId, u64>,
    /// The supervisor.
    pub supervisor: Supervisor,
    /// Keyboard.
    pub keyboard: Keyboard,
    /// When the X server is told of a client's new keymap.
    pub keymap_pace: Pace,
    /// When the screen gets the size of a client's desktop.
    pub screen_pace: Pace,
    /// The window with the focus.
    pub focus: Option<WindowId>,
    /// The client that chose the focus, and what it chose.
    pub focus_of: Option<(ConnectionId, WindowId)>,
    /// The request by which we gave the focus last: what the X server tells about the focus
    /// before it handles that is out of date.
    pub focus_given: u64,
    /// The window that waits for the X server's time to be told to take the focus.
    pub take_focus: Option<WindowId>,
    /// The window that we know to be above all others.
    pub top: Option<u32>,
    /// The pointer's shape; `None` when it must be asked for.
    pub cursor: Option<Option<Cursor>>,
    /// How many windows the supervisor knows of.
    pub told_windows: Option<u32>,
    /// `_NET_CLIENT_LIST` is to be written.
    pub list_changed: bool,
}

/// Why the loop ended.
#[derive(Debug)]
pub enum End {
    /// The supervisor has closed its channel: all is well.
    Supervisor,
    /// The X server has closed the connection.
    X(ConnectionError),
}

impl Session {
    /// Serves until the supervisor or the X server goes.
    pub fn run(&mut self) -> End {
        loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => return End::Supervisor,
                Err(error) => return End::X(error),
            }
        }
    }

    /// Does what there is to do, then waits. `false` at the end.
    fn turn(&mut self) -> XResult<bool> {
        /// What we ask the X server brings more events along; so often we look at once.
        const ROUNDS: usize = 4;
        for _ in 0..ROUNDS {
            self.settle()?;
            self.x.flush()?;
            if self.handle_events()? == 0 {
                return self.wait(self.pause());
            }
        }
        self.wait(Some(Duration::ZERO))
    }

    /// Brings everybody up to date with what has happened.
    fn settle(&mut self) -> XResult<()> {
        self.catch_up()?;
        self.read_stale_properties()?;
        // Nobody hears of anything before the X server does.
        self.x.flush()?;
        self.tell_supervisor();
        self.tell_clients()?;
        self.send_pictures()?;
        self.capture()
    }

    /// How long nothing is to be done unless something happens.
    fn pause(&self) -> Option<Duration> {
        let now = Instant::now();
        let paces = [self.keymap_pace.next(now), self.screen_pace.next(now)];
        let next = paces
            .into_iter()
            .flatten()
            .chain(self.next_settled())
            .min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Handles X events and says how many there were; 0 means that all have been read.
    fn handle_events(&mut self) -> XResult<usize> {
        for handled in 0..EVENTS_AT_A_TIME {
            match self.x.poll_for_event_with_sequence() {
                Ok(Some((event, sequence))) => self.handle_event(event, sequence)?,
                Ok(None) if self.x.stream().has_more() => {}
                Ok(None) => return Ok(handled),
                Err(ConnectionError::ParseError(error)) => tracing::debug!("X event: {error}"),
                Err(error) => return Err(error),
            }
        }
        Ok(EVENTS_AT_A_TIME)
    }

    /// Waits for something to happen, and handles what peers say. `false` at the end.
    fn wait(&mut self, timeout: Option<Duration>) -> XResult<bool> {
        let links = self.clients.values().filter_map(|c| c.encoder.as_ref());
        let retry = links.filter_map(|link| link.channel.retry_at()).min();
        let retry = retry.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout.into_iter().chain(retry).min();
        let (supervisor, x, peers) = {
            let mut set = PollSet::new();
            let interest = Interest::read_and(self.supervisor.wants_write());
            let supervisor = set.add(self.supervisor.as_fd(), interest);
            let x = set.add(self.x.stream().as_fd(), Interest::Read);
            let mut slots = Vec::new();
            for (id, client) in &self.clients {
                let network = &client.network;
                let interest = Interest::read_and(network.wants_write());
                slots.push((Peer::Network(*id), set.add(network.as_fd(), interest)));
                if let Some(link) = &client.encoder {
                    let interest = Interest::read_and(link.channel.awaits_socket());
                    slots.push((Peer::Encoder(*id), set.add(link.channel.as_fd(), interest)));
                }
            }
            if let Err(error) = set.wait(timeout) {
                tracing::error!("waiting failed: {error}");
                return Ok(false);
            }
            let ready = slots.into_iter().filter(|(_, slot)| set.ready(*slot).any());
            let peers: Vec<_> = ready.map(|(peer, _)| peer).collect();
            (set.ready(supervisor).any(), set.ready(x).any(), peers)
        };
        if x {
            // What peers say is about a world in which that has happened already.
            self.handle_events()?;
            self.read_stale_properties()?;
        }
        for peer in peers {
            match peer {
                Peer::Network(id) => self.hear_network(id)?,
                Peer::Encoder(id) => self.hear_encoder(id)?,
                Peer::Display | Peer::Auth | Peer::Keys | Peer::Check(_) => {}
            }
        }
        if supervisor {
            self.hear_supervisor()
        } else {
            Ok(true)
        }
    }

    fn hear_network(&mut self, id: ConnectionId) -> XResult<()> {
        for _ in 0..MESSAGES_AT_A_TIME {
            let Some(client) = self.clients.get_mut(&id) else {
                return Ok(());
            };
            let heard = client
                .network
                .flush()
                .and_then(|()| client.network.receive());
            match heard {
                Ok(Some((message, _))) => {
                    let large = message.is_large();
                    if let Err(what) = self.handle_network(id, message)? {
                        return self.violation(Peer::Network(id), what.into());
                    }
                    if large {
                        return Ok(());
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) => return self.channel_failed(Peer::Network(id), &error),
            }
        }
        Ok(())
    }

    fn hear_encoder(&mut self, id: ConnectionId) -> XResult<()> {
        for _ in 0..MESSAGES_AT_A_TIME {
            let link = self.clients.get_mut(&id).and_then(|c| c.encoder.as_mut());
            let Some(link) = link else { return Ok(()) };
            let heard = link.channel.flush().and_then(|()| link.channel.receive());
            match heard {
                Ok(Some((message, _))) => {
                    if let Err(what) = self.handle_encoder(id, message) {
                        return self.violation(Peer::Encoder(id), what.into());
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) => return self.channel_failed(Peer::Encoder(id), &error),
            }
        }
        Ok(())
    }

    /// A channel cannot be used any more.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn channel_failed(&mut self, peer: Peer, error: &ChannelError) -> XResult<()> {
        if error.is_violation() {
            return self.violation(peer, error.to_string());
        }
        tracing::debug!("{peer:?}: {error}");
        match peer {
            Peer::Network(id) => self.drop_client(id),
            // The supervisor will send a new one.
            Peer::Encoder(id) => self.drop_encoder(id),
            Peer::Display | Peer::Auth | Peer::Keys | Peer::Check(_) => Ok(()),
        }
    }

    fn violation(&mut self, peer: Peer, what: String) -> XResult<()> {
        tracing::warn!("{peer:?}: {what}");
        let what = crate::properties::shorten(&what, 256);
        self.send_supervisor(&DisplayToSupervisor::Violation(Violation { peer, what }));
        match peer {
            Peer::Network(id) => self.drop_client(id),
            Peer::Encoder(id) => self.drop_encoder(id),
            Peer::Display | Peer::Auth | Peer::Keys | Peer::Check(_) => Ok(()),
        }
    }

    /// Sends; that the supervisor has gone is seen when its channel is read.
    pub fn send_supervisor(&mut self, message: &DisplayToSupervisor) {
        if let Err(error) = self.supervisor.send(message, Vec::new()) {
            tracing::debug!("supervisor: {error}");
        }
    }

    fn tell_supervisor(&mut self) {
        let count = self.windows.iter().filter(|w| !w.override_redirect).count();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if self.told_windows != Some(count) {
            self.told_windows = Some(count);
            self.send_supervisor(&DisplayToSupervisor::Windows(count));
        }
    }

    fn hear_supervisor(&mut self) -> XResult<bool> {
        if let Err(error) = self.supervisor.flush() {
            tracing::debug!("supervisor: {error}");
        }
        loop {
            match self.supervisor.receive() {
                Ok(Some((message, fds))) => self.handle_supervisor(message, fds)?,
                Ok(None) => return Ok(true),
                Err(error) => {
                    tracing::debug!("supervisor: {error}");
                    return Ok(false);
                }
            }
        }
    }

    fn handle_supervisor(
        &mut self,
        message: SupervisorToDisplay,
        fds: Vec<OwnedFd>,
    ) -> XResult<()> {
        let mut fds = fds.into_iter();
        match message {
            SupervisorToDisplay::Start { .. } => {}
            SupervisorToDisplay::Client {
                connection,
                rights,
                purpose,
            } => {
                let (Some(network), Some(encoder)) = (fds.next(), fds.next()) else {
                    return Ok(());
                };
                if self.clients.len() >= MAX_CLIENTS {
                    tracing::warn!("too many clients");
                    return Ok(());
                }
                self.drop_client(connection)?;
                let network = Network::new(network);
                let client =
                    Client::new(connection, rights, purpose, network, Channel::new(encoder));
                self.clients.insert(connection, client);
            }
            SupervisorToDisplay::Encoder(connection) => {
                if let Some(encoder) = fds.next() {
                    self.replace_encoder(connection, encoder)?;
                }
            }
            SupervisorToDisplay::Gone(connection) => self.drop_client(connection)?,
            SupervisorToDisplay::Describe { token } => self.describe(token)?,
            SupervisorToDisplay::Ping => self.send_supervisor(&DisplayToSupervisor::Pong),
        }
        Ok(())
    }

    fn describe(&mut self, token: u64) -> XResult<()> {
        self.x.flush()?;
        let windows = self
            .windows
            .iter()
            .take(64)
            .map(|window| WindowDescription {
                window: window.id,
                title: crate::properties::shorten(window.title(), 128),
                geometry: window.place.geometry(),
                override_redirect: window.override_redirect,
            });
        let windows = windows.collect();
        let root = self.size;
        self.send_supervisor(&DisplayToSupervisor::Description {
            token,
            root,
            windows,
        });
        Ok(())
    }
}
