//! Connections to unix sockets that end: a listener that accepts nothing while its queue is full
//! makes a plain connect(2) wait for ever.

use nix::errno::Errno;
use nix::sys::socket::sockopt::SendTimeout;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect as connect_to, setsockopt, socket,
};
use nix::sys::time::TimeVal;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

fn stream(flags: SockFlag) -> nix::Result<OwnedFd> {
    let flags = flags | SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Unix, SockType::Stream, flags, None)
}

/// Connects to an address, and waits no longer than `patience` for a place in the queue.
///
/// # Errors
/// `TimedOut`, or what the kernel says.
pub fn connect(address: &UnixAddr, patience: Duration) -> io::Result<UnixStream> {
    let socket = stream(SockFlag::empty())?;
    let seconds = i64::try_from(patience.as_secs()).unwrap_or(i64::MAX);
    let limit = TimeVal::new(seconds, i64::from(patience.subsec_micros()));
    // Counts for connect(2) too (socket(7)).
    setsockopt(&socket, SendTimeout, &limit)?;
    match connect_to(socket.as_raw_fd(), address) {
        Ok(()) => {}
        Err(Errno::EAGAIN) => {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("nobody accepts a connection there within {patience:?}"),
            ));
        }
        Err(error) => return Err(error.into()),
    }
    setsockopt(&socket, SendTimeout, &TimeVal::new(0, 0))?;
    Ok(UnixStream::from(socket))
}

/// Whether somebody listens at a path. Who listens with a full queue does.
///
/// # Errors
/// Nobody listens, and why that is known.
pub fn listens(path: &Path) -> io::Result<()> {
    listens_at(&UnixAddr::new(path)?)
}

/// Whether somebody listens at an abstract name.
///
/// # Errors
/// Nobody listens, and why that is known.
pub fn listens_abstract(name: &[u8]) -> io::Result<()> {
    listens_at(&UnixAddr::new_abstract(name)?)
}

fn listens_at(address: &UnixAddr) -> io::Result<()> {
    let socket = stream(SockFlag::SOCK_NONBLOCK)?;
    match connect_to(socket.as_raw_fd(), address) {
        Ok(()) | Err(Errno::EAGAIN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{Backlog, bind, listen};

    #[test]
    fn a_full_queue_is_somebody_who_listens_and_is_not_waited_for() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("s");
        assert_eq!(listens(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        let server = stream(SockFlag::empty()).unwrap();
        let address = UnixAddr::new(&path).unwrap();
        bind(server.as_raw_fd(), &address).unwrap();
        assert_eq!(
            listens(&path).unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        listen(&server, Backlog::new(1).unwrap()).unwrap();
        let patience = Duration::from_millis(50);
        let mut queue = Vec::new();
        let error = loop {
            match connect(&address, patience) {
                Ok(one) => queue.push(one),
                Err(error) => break error,
            }
            assert!(queue.len() < 100, "the queue is never full");
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        listens(&path).unwrap();
    }
}
