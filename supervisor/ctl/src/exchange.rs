//! The conversation over a connected socket, within a time.

use crate::conversation::{Answer, Conversation, Failure, SALT, Step};
use ipc::command::CommandSpec;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use runtime::{Interest, PollSet};
use rustix::rand::{GetRandomFlags, getrandom};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Bytes taken from the socket at a time.
const CHUNK: usize = 64 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// What the server said, or did not.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// The connection failed.
    #[error("the connection failed: {}", .0.desc())]
    Socket(#[from] Errno),
    /// Too late.
    #[error("the server did not answer within {} seconds", .0.as_secs())]
    Timeout(Duration),
}

/// Asks and waits for the answer.
///
/// # Errors
/// See [`ExchangeError`].
pub fn exchange(
    socket: &OwnedFd,
    spec: CommandSpec,
    patience: Duration,
) -> Result<Answer, ExchangeError> {
    let end = Instant::now() + patience;
    let wait = |interest| {
        let left = end.saturating_duration_since(Instant::now());
        let mut set = PollSet::new();
        set.add(socket.as_fd(), interest);
        match set.wait(Some(left))? {
            0 => Err(ExchangeError::Timeout(patience)),
            _ => Ok(()),
        }
    };
    let mut conversation = Conversation::new(spec);
    let mut outgoing = conversation.begin()?;
    let mut buffer = vec![0; CHUNK];
    loop {
        write(socket, &outgoing, || wait(Interest::Write))?;
        outgoing.clear();
        wait(Interest::Read)?;
        let received = match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) | Err(Errno::ECONNRESET) => return Err(conversation.closed().into()),
            Ok(length) => buffer.get(..length).unwrap_or_default(),
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        let salt = || {
            let mut salt = [0; SALT];
            // Up to 256 bytes are never cut short (getrandom(2)).
            getrandom(&mut salt, GetRandomFlags::empty())
                .ok()
                .map(|_| salt)
        };
        for step in conversation.receive(received, salt)? {
            match step {
                Step::Send(bytes) => outgoing.extend(bytes),
                Step::Done(answer) => return Ok(answer),
            }
        }
    }
}

fn write(
    socket: &OwnedFd,
    mut bytes: &[u8],
    wait: impl Fn() -> Result<(), ExchangeError>,
) -> Result<(), ExchangeError> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    while !bytes.is_empty() {
        match send(socket.as_raw_fd(), bytes, flags) {
            Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
            Err(Errno::EAGAIN) => wait()?,
            Err(Errno::EINTR) => {}
            // What the server said before it closed is more interesting.
            Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
