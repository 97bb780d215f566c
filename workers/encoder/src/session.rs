//! The loop around the channels.

use crate::codec::Codecs;
use crate::engine::{self, Action, Engine};
use crate::fault::Fault;
use ipc::capture::{DisplayToEncoder, EncoderToDisplay};
use ipc::channel::{Channel, ChannelError};
use ipc::encoder::{EncoderToSupervisor, SupervisorToEncoder};
use ipc::frames::{EncoderToNetwork, NetworkToEncoder};
use ipc::ids::ConnectionId;
use ipc::shared::SharedError;
use ipc::verdict::{Peer, Violation};
use nix::errno::Errno;
use runtime::poll::Slot;
use runtime::{Interest, PollSet};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// Messages taken from one channel before the others have their turn.
const BURST: usize = 64;
/// Bytes of the description of a violation.
const MAX_WHAT: usize = 256;

/// Why the encoder ends before the supervisor tells it to.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The supervisor cannot be understood.
    #[error("supervisor: {0}")]
    Supervisor(ChannelError),
    /// No memory, or no descriptor.
    #[error("{0}")]
    Shared(#[from] SharedError),
    /// The same, when a peer's buffer was to be mapped.
    #[error("{0}")]
    Shortage(Fault),
    /// Waiting failed.
    #[error("poll: {0}")]
    Poll(#[from] Errno),
}

type Network = Channel<EncoderToNetwork, NetworkToEncoder>;
type Display = Channel<EncoderToDisplay, DisplayToEncoder>;

/// One client's encoder with its channels. A channel is dropped when its peer is gone or has
/// broken a rule; the supervisor decides what follows.
pub struct Session {
    supervisor: Channel<EncoderToSupervisor, SupervisorToEncoder>,
    network: Option<Network>,
    display: Option<Display>,
    engine: Engine,
}

/// Which channels have something to be read.
struct Ready {
    supervisor: bool,
    network: bool,
    display: bool,
}

impl Ready {
    /// Nothing is known yet.
    const ALL: Self = Self {
        supervisor: true,
        network: true,
        display: true,
    };
}

impl Session {
    /// A session that waits for its first message.
    #[must_use]
    pub fn new(supervisor: OwnedFd, codecs: Codecs) -> Self {
        Self {
            supervisor: Channel::new(supervisor),
            network: None,
            display: None,
            engine: Engine::new(codecs),
        }
    }

    /// Serves until the supervisor closes its channel.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub fn serve(mut self) -> Result<(), SessionError> {
        let mut ready = Ready::ALL;
        loop {
            if ready.supervisor {
                match self.supervisor() {
                    Err(ChannelError::Closed) => return Ok(()),
                    result => result.map_err(SessionError::Supervisor)?,
                }
            }
            if ready.network {
                self.network()?;
            }
            if ready.display {
                self.display()?;
            }
            self.engine.work(Instant::now())?;
            self.send()?;
            ready = self.wait()?;
        }
    }

    /// New channels are heard in the next turn: what they bring makes them ready.
    fn supervisor(&mut self) -> Result<(), ChannelError> {
        self.supervisor.flush()?;
        while let Some((message, fds)) = self.supervisor.receive()? {
            let mut fds = fds.into_iter();
            match message {
                SupervisorToEncoder::Start => {
                    self.network = fds.next().map(Channel::new);
                    self.display = fds.next().map(Channel::new);
                }
                SupervisorToEncoder::Display => {
                    self.engine.display_gone();
                    self.display = fds.next().map(Channel::new);
                    self.engine.display_started();
                }
            }
        }
        Ok(())
    }

    /// Does something wait for `display` to read? Then `network` has to wait, too: what it says
    /// may be for `display`.
    fn display_is_behind(&self) -> bool {
        self.display.as_ref().is_some_and(Channel::wants_write)
    }

    fn network(&mut self) -> Result<(), SessionError> {
        for _ in 0..BURST {
            if self.display_is_behind() {
                break;
            }
            let Some(network) = &mut self.network else {
                break;
            };
            let result = match network.receive() {
                Ok(None) => break,
                Ok(Some((message, _))) => self.engine.network(message),
                Err(error) => Err(Fault::Channel(error)),
            };
            if let Err(fault) = result {
                self.network_fault(fault)?;
            }
            self.send()?;
        }
        Ok(())
    }

    fn display(&mut self) -> Result<(), SessionError> {
        for _ in 0..BURST {
            let Some(display) = &mut self.display else {
                break;
            };
            let result = match display.receive() {
                Ok(None) => break,
                Ok(Some((message, fds))) => {
                    self.engine
                        .display(message, fds.into_iter().next(), Instant::now())
                }
                Err(error) => Err(Fault::Channel(error)),
            };
            if let Err(fault) = result {
                self.display_fault(fault)?;
                break;
            }
            // A picture is sent before the next message is looked at.
            self.engine.work(Instant::now())?;
            self.send()?;
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), SessionError> {
        while let Some(action) = self.engine.next_action() {
            match action {
                Action::Network(message, fd) => {
                    let Some(network) = &mut self.network else {
                        continue;
                    };
                    if let Err(error) = network.send(&message, fd.into_iter().collect()) {
                        self.network_fault(error.into())?;
                    }
                }
                Action::Display(message) => {
                    let Some(display) = &mut self.display else {
                        continue;
                    };
                    if let Err(error) = display.send(&message, Vec::new()) {
                        self.display_fault(error.into())?;
                    }
                }
            }
        }
        Ok(())
    }

    fn network_fault(&mut self, fault: Fault) -> Result<(), SessionError> {
        self.network = None;
        // The supervisor knows whose encoder this is; we do not, and need not.
        self.report(Peer::Network(ConnectionId(0)), fault)
    }

    fn display_fault(&mut self, fault: Fault) -> Result<(), SessionError> {
        self.display = None;
        self.engine.display_gone();
        self.report(Peer::Display, fault)
    }

    /// Tells the supervisor, unless the peer has just gone away.
    fn report(&mut self, peer: Peer, fault: Fault) -> Result<(), SessionError> {
        if engine::is_shortage(&fault) {
            return Err(SessionError::Shortage(fault));
        }
        if let Fault::Channel(error) = &fault
            && !error.is_violation()
        {
            tracing::debug!(?peer, %error, "a channel has ended");
            return Ok(());
        }
        let mut what = fault.to_string();
        what.truncate(what.floor_char_boundary(MAX_WHAT));
        tracing::warn!(?peer, %what, "a peer broke the rules");
        let report = EncoderToSupervisor::Violation(Violation { peer, what });
        match self.supervisor.send(&report, Vec::new()) {
            Ok(()) | Err(ChannelError::Closed) => Ok(()),
            Err(error) => Err(SessionError::Supervisor(error)),
        }
    }

    fn wait(&mut self) -> Result<Ready, SessionError> {
        let retry = self.network.as_ref().and_then(Channel::retry_at);
        let deadlines = self.engine.deadline().into_iter().chain(retry);
        let timeout = deadlines
            .min()
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let mut set = PollSet::new();
        let interest = Interest::read_and(self.supervisor.wants_write());
        let supervisor = set.add(self.supervisor.as_fd(), interest);
        let network = self.network.as_ref().and_then(|channel| {
            let interest = match (!self.display_is_behind(), channel.awaits_socket()) {
                (true, write) => Interest::read_and(write),
                (false, true) => Interest::Write,
                (false, false) => return None,
            };
            Some(set.add(channel.as_fd(), interest))
        });
        let display = self.display.as_ref().map(|channel| {
            let interest = Interest::read_and(channel.wants_write());
            set.add(channel.as_fd(), interest)
        });
        set.wait(timeout)?;
        let of = |slot: Option<Slot>| slot.map(|slot| set.ready(slot)).unwrap_or_default();
        let (supervisor, network, display) = (set.ready(supervisor), of(network), of(display));
        drop(set);
        if network.writable
            && let Some(Err(error)) = self.network.as_mut().map(Channel::flush)
        {
            self.network_fault(error.into())?;
        }
        if display.writable
            && let Some(Err(error)) = self.display.as_mut().map(Channel::flush)
        {
            self.display_fault(error.into())?;
        }
        Ok(Ready {
            // A report that waits is written where the supervisor is read.
            supervisor: supervisor.any(),
            network: network.readable,
            display: display.readable,
        })
    }
}
