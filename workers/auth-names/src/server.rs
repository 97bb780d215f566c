//! Connections to name servers, which are asked one after the other.

use crate::message::{Answer, MAX_ANSWER, Mistake, Question};
use crate::{Failure, lookup};
use backend::{Broken, Transport};
use ipc::check::AddressName;
use runtime::{Interest, PollSet};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

/// A connection to a name server, over which one question is asked after the other (RFC 7766).
pub struct Server<'i> {
    transport: Transport,
    /// What has come, and was not asked for yet.
    heard: Vec<u8>,
    /// A number for each question.
    ids: &'i mut Vec<u16>,
}

impl<'i> Server<'i> {
    /// On this connection.
    #[must_use]
    pub fn new(transport: Transport, ids: &'i mut Vec<u16>) -> Self {
        Self {
            transport,
            heard: Vec::new(),
            ids,
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// There is none that can be believed.
    pub fn ask(&mut self, question: &Question) -> Result<Answer, Failure> {
        let id = self.ids.pop().ok_or(Failure::TooMany)?;
        let message = question.encode(id).ok_or(Failure::Unaskable)?;
        let length = u16::try_from(message.len()).map_err(|_| Failure::Unaskable)?;
        let sent = [&length.to_be_bytes()[..], &message].concat();
        self.transport.send(&sent)?;
        let length = self.hear(2)?;
        let length = match length[..] {
            [high, low] => usize::from(u16::from_be_bytes([high, low])),
            _ => return Err(Mistake::Malformed.into()),
        };
        if length > MAX_ANSWER {
            return Err(Mistake::Long.into());
        }
        let answer = self.hear(length)?;
        Ok(question.answer(id, &answer)?)
    }

    /// The next bytes, so many.
    fn hear(&mut self, count: usize) -> Result<Vec<u8>, Failure> {
        while self.heard.len() < count {
            self.transport.receive(&mut self.heard)?;
        }
        let rest = self.heard.split_off(count);
        Ok(std::mem::replace(&mut self.heard, rest))
    }
}

/// What the servers say that these sockets connect to, the preferred one first: another is asked when those
/// before it have failed, and has to know who the client is. That there is no name, or none to be believed, one of
/// them says alone: it may be that only the first knows it.
///
/// # Errors
/// Why it could not be found out.
pub fn names(
    address: IpAddr,
    known: &[(IpAddr, Vec<String>)],
    sockets: Vec<OwnedFd>,
    ids: &mut Vec<u16>,
    until: Instant,
) -> Result<Vec<AddressName>, String> {
    let mut failed = None;
    let count = u32::try_from(sockets.len()).unwrap_or(u32::MAX);
    for (socket, servers) in sockets.into_iter().zip((1..=count).rev()) {
        let now = Instant::now();
        let share = now + until.saturating_duration_since(now) / servers;
        let asked = connected(&socket, share).and_then(|()| {
            let mut server = Server::new(Transport::new(socket, share), ids);
            lookup::names(address, known, |question| server.ask(question))
        });
        let is_positive = |names: &[AddressName]| {
            let verified = |name: &AddressName| matches!(name, AddressName::Verified(_));
            names.iter().all(verified)
        };
        match asked {
            Ok(names) if failed.is_none() || is_positive(&names) => return Ok(names),
            Ok(_) => {}
            // What the preferred one has said is what the operator has to know.
            Err(error) => failed = failed.or_else(|| Some(format!("name server: {error}"))),
        }
    }
    Err(failed.unwrap_or_else(|| "there is no connection to a name server".to_owned()))
}

/// Waits until it is connected.
fn connected(socket: &OwnedFd, until: Instant) -> Result<(), Failure> {
    let left = check::left(until).ok_or(Failure::Unreachable)?;
    let mut set = PollSet::new();
    let slot = set.add(socket.as_fd(), Interest::Write);
    set.wait(Some(left))
        .map_err(|error| Broken::Connection(error.into()))?;
    let state = set.ready(slot);
    match state.writable && !state.hangup {
        true => Ok(()),
        false => Err(Failure::Unreachable),
    }
}
