//! A connection over which somebody else has said what opens it: the X server's answer is next.

use crate::XStream;
use runtime::{Interest, PollSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;
use x11rb::errors::ConnectError;
use x11rb::protocol::xproto::{Setup, SetupFailed};
use x11rb::rust_connection::{RustConnection, Stream};
use x11rb::x11_utils::TryParse;

/// Longest answer that is taken, in bytes: those of X servers with many visuals have 20 KB.
const MAX_ANSWER: usize = 64 << 10;
/// Bytes of its head, which says how long the rest is.
const HEAD: usize = 8;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing came in time.
    #[error("the X server does not answer")]
    Late,
    /// Reading failed, or the X server has gone.
    #[error("the connection to the X server is lost: {0}")]
    Lost(#[from] io::Error),
    /// It says no.
    #[error("the X server refuses the connection: {0}")]
    Refused(String),
    /// It says what no X server says.
    #[error("what the X server says first makes no sense")]
    Nonsense,
}

/// Takes the answer, and goes on from there.
///
/// # Errors
/// [`OpenError`].
pub fn open(socket: OwnedFd, until: Instant) -> Result<RustConnection<XStream>, OpenError> {
    let stream = XStream::new(socket);
    let mut answer = vec![0; HEAD];
    fill(&stream, &mut answer, until)?;
    let rest = match answer[..] {
        [.., low, high] => usize::from(u16::from_le_bytes([low, high])) * 4,
        _ => return Err(OpenError::Nonsense),
    };
    if rest > MAX_ANSWER {
        return Err(OpenError::Nonsense);
    }
    answer.resize(HEAD + rest, 0);
    fill(&stream, answer.get_mut(HEAD..).unwrap_or_default(), until)?;
    let setup = setup(&answer)?;
    RustConnection::for_connected_stream(stream, setup).map_err(|error| match error {
        ConnectError::IoError(error) => OpenError::Lost(error),
        _ => OpenError::Nonsense,
    })
}

/// Reads that many bytes.
fn fill(stream: &XStream, mut room: &mut [u8], until: Instant) -> Result<(), OpenError> {
    while !room.is_empty() {
        match stream.read(room, &mut Vec::new()) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(count) => room = room.get_mut(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(OpenError::Late);
                }
                let mut set = PollSet::new();
                set.add(stream.as_fd(), Interest::Read);
                set.wait(Some(left)).map_err(io::Error::from)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What it says, if it is yes (X11 protocol, "Connection Setup").
fn setup(answer: &[u8]) -> Result<Setup, OpenError> {
    match answer.first() {
        Some(1) => match Setup::try_parse(answer) {
            Ok((setup, _)) if !setup.roots.is_empty() => Ok(setup),
            _ => Err(OpenError::Nonsense),
        },
        Some(0) => {
            let (failed, _) = SetupFailed::try_parse(answer).map_err(|_| OpenError::Nonsense)?;
            let text = String::from_utf8_lossy(&failed.reason);
            Err(OpenError::Refused(text.chars().take(200).collect()))
        }
        _ => Err(OpenError::Nonsense),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    fn opened(said: &[u8]) -> OpenError {
        let (mut server, ours) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        server.write_all(said).unwrap();
        drop(server);
        let until = Instant::now() + Duration::from_secs(5);
        open(ours.into(), until).err().expect("no connection")
    }

    #[test]
    fn what_is_no_yes_is_said() {
        let no = b"\0\x04\x0b\0\0\0\x01\0nope";
        assert_eq!(
            opened(no).to_string(),
            "the X server refuses the connection: nope"
        );
        for nonsense in [
            &b"\x02\0\0\0\0\0\0\0"[..],
            b"\x01\0\x0b\0\0\0\0\0",
            b"\x01\0\x0b\0\0\0\x01\0abcd",
            b"\0\x40\x0b\0\0\0\x01\0nope",
            b"\x01\0\x0b\0\0\0\xff\xff",
        ] {
            let error = opened(nonsense);
            assert!(
                matches!(error, OpenError::Nonsense),
                "{nonsense:?}: {error}"
            );
        }
        assert!(matches!(opened(b"\x01\0\x0b"), OpenError::Lost(_)));
        let (_server, ours) = UnixStream::pair().unwrap();
        let late = open(ours.into(), Instant::now());
        assert!(matches!(late, Err(OpenError::Late)));
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_read_without_panic(answer: Vec<u8>) {
            let _ = setup(&answer);
        }
    }
}
