//! Connections from an address of the test's choice: what is held against one is not held against another.

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// To this port of 127.0.0.1, from 127.B.C.D.
///
/// # Errors
/// It is refused.
///
/// # Panics
/// When there is no socket, or not from there.
pub fn connect_from([b, c, d]: [u8; 3], port: u16) -> io::Result<TcpStream> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let stream = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
    bind(stream.as_raw_fd(), &SockaddrIn::new(127, b, c, d, 0)).unwrap();
    connect(stream.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port))?;
    Ok(TcpStream::from(stream))
}
