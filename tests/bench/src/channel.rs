//! Waiting for a message of a process that is played here.

use ipc::{Channel, ChannelError, Message};
use runtime::{Interest, PollSet};
use std::os::fd::AsFd;
use std::time::Duration;

/// The next message.
///
/// # Errors
/// The other side has gone, or says nothing.
pub fn next<Tx: Message, Rx: Message>(channel: &mut Channel<Tx, Rx>) -> Result<Rx, ChannelError> {
    loop {
        channel.flush()?;
        if let Some((message, _)) = channel.receive()? {
            return Ok(message);
        }
        let mut set = PollSet::new();
        let slot = set.add(channel.as_fd(), Interest::read_and(channel.wants_write()));
        set.wait(Some(Duration::from_secs(20)))?;
        if !set.ready(slot).any() {
            return Err(ChannelError::Closed);
        }
    }
}
