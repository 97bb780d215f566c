//! The bytes to and from the server of keys (KDC), over TCP (RFC 4120, section 7.2.2): one
//! connection for each question, as servers end it after their answer. Nobody waits for longer than
//! the check may take.

use check::left;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, sendmsg};
use runtime::{Interest, PollSet};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

/// Longest answer, in bytes: tickets with what large directories put into them.
pub const MAX_ANSWER: usize = 64 * 1024;
/// Bytes of the number that says how long a message is.
const HEAD: usize = 4;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The time is over.
    #[error("the KDC has not answered in time")]
    Late,
    /// No address takes a connection.
    #[error("the KDC refuses connections, or has taken all that there were")]
    Refused,
    /// The connection has ended.
    #[error("the KDC has closed the connection")]
    Closed,
    /// It says what is no message.
    #[error("the KDC gives an answer that is too long, or none of Kerberos")]
    Malformed,
    /// What the kernel says.
    #[error("the connection to the KDC: {0}")]
    Connection(#[from] io::Error),
}

impl From<Errno> for Broken {
    fn from(error: Errno) -> Self {
        match error {
            Errno::EPIPE | Errno::ECONNRESET => Self::Closed,
            error => Self::Connection(error.into()),
        }
    }
}

/// A message as it goes over a connection.
///
/// # Errors
/// It is too long.
pub fn frame(message: &[u8]) -> Result<Vec<u8>, Broken> {
    let len = u32::try_from(message.len()).map_err(|_| Broken::Malformed)?;
    Ok([&len.to_be_bytes()[..], message].concat())
}

/// The message that begins here; `None`: more bytes are needed.
///
/// # Errors
/// It is longer than [`MAX_ANSWER`], empty, or more than one.
pub fn unframe(bytes: &[u8]) -> Result<Option<&[u8]>, Broken> {
    let Some((head, message)) = bytes.split_first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let len = usize::try_from(u32::from_be_bytes(*head)).map_err(|_| Broken::Malformed)?;
    match len {
        1..=MAX_ANSWER if message.len() == len => Ok(Some(message)),
        1..=MAX_ANSWER if message.len() < len => Ok(None),
        _ => Err(Broken::Malformed),
    }
}

/// Does it begin as an answer: AS-REP, or an error (RFC 4120, section 5.10), of a length that two bytes
/// say, or one, or none? The library takes that for granted.
#[must_use]
pub fn is_answer(message: &[u8]) -> bool {
    let len = match message {
        [0x6b | 0x7e, len @ ..=0x7f, ..] => 2 + usize::from(*len),
        [0x6b | 0x7e, 0x81, len, ..] => 3 + usize::from(*len),
        [0x6b | 0x7e, 0x82, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => return false,
    };
    message.len() == len
}

/// The sockets that connect to the server, each for one question.
pub struct Kdc {
    sockets: Vec<OwnedFd>,
    until: Instant,
}

impl Kdc {
    /// The preferred ones first.
    #[must_use]
    pub fn new(sockets: Vec<OwnedFd>, until: Instant) -> Self {
        Self { sockets, until }
    }

    /// Asks, and gives the answer. A connection that has ended before it was of use is no answer.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn ask(&mut self, question: &[u8]) -> Result<Vec<u8>, Broken> {
        let question = frame(question)?;
        loop {
            let socket = self.connected()?;
            let mut heard = Vec::new();
            match self.exchange(&socket, &question, &mut heard) {
                Err(Broken::Closed) if heard.is_empty() && !self.sockets.is_empty() => {}
                done => return done,
            }
        }
    }

    fn exchange(
        &self,
        socket: &OwnedFd,
        question: &[u8],
        heard: &mut Vec<u8>,
    ) -> Result<Vec<u8>, Broken> {
        let mut bytes = question;
        while !bytes.is_empty() {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            let iov = [IoSlice::new(bytes)];
            match sendmsg::<()>(socket.as_raw_fd(), &iov, &[], flags, None) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(Errno::EAGAIN) => self.wait(socket, Interest::Write)?,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut room = [0; 4096];
        loop {
            // Somebody who sends for ever is not listened to for longer.
            left(self.until).ok_or(Broken::Late)?;
            match recv(socket.as_raw_fd(), &mut room, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Err(Broken::Closed),
                Ok(count) => {
                    heard.extend_from_slice(room.get(..count).unwrap_or_default());
                    if let Some(message) = unframe(heard)? {
                        return match is_answer(message) {
                            true => Ok(message.to_vec()),
                            false => Err(Broken::Malformed),
                        };
                    }
                }
                Err(Errno::EAGAIN) => self.wait(socket, Interest::Read)?,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait(&self, socket: &OwnedFd, interest: Interest) -> Result<(), Broken> {
        let left = left(self.until).ok_or(Broken::Late)?;
        let mut set = PollSet::new();
        set.add(socket.as_fd(), interest);
        set.wait(Some(left))?;
        Ok(())
    }

    /// The first socket that is connected; if there are more, the one that is preferred.
    fn connected(&mut self) -> Result<OwnedFd, Broken> {
        while !self.sockets.is_empty() {
            let left = left(self.until).ok_or(Broken::Late)?;
            let mut set = PollSet::new();
            let slots: Vec<_> = self
                .sockets
                .iter()
                .map(|socket| set.add(socket.as_fd(), Interest::Write))
                .collect();
            set.wait(Some(left))?;
            let states: Vec<_> = slots.into_iter().map(|slot| set.ready(slot)).collect();
            let connected = |state: &runtime::Ready| state.writable && !state.hangup;
            if let Some(place) = states.iter().position(connected) {
                return Ok(self.sockets.remove(place));
            }
            let mut states = states.iter();
            self.sockets
                .retain(|_| !states.next().is_some_and(|state| state.hangup));
        }
        Err(Broken::Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_bounded_before_anything_is_kept() {
        let is_bad = |bytes: &[u8]| matches!(unframe(bytes), Err(Broken::Malformed));
        assert!(matches!(unframe(&[]), Ok(None)));
        assert!(matches!(unframe(&[0, 0, 0]), Ok(None)));
        assert!(matches!(unframe(&[0, 0, 0, 2, 7]), Ok(None)));
        assert!(matches!(unframe(&[0, 0, 0, 2, 7, 8]), Ok(Some([7, 8]))));
        // Empty, one more, the first too long one, and the bit that RFC 4120 reserves.
        assert!(is_bad(&[0, 0, 0, 0]));
        assert!(is_bad(&[0, 0, 0, 1, 7, 8]));
        assert!(is_bad(&[0, 1, 0, 1]));
        assert!(is_bad(&[0x80, 0, 0, 1]));
        assert!(matches!(unframe(&[0, 1, 0, 0]), Ok(None)));
    }

    #[test]
    fn only_what_is_whole_is_an_answer() {
        for good in [
            &[0x6b, 1, 9][..],
            &[0x7e, 0],
            &[0x6b, 0x81, 2, 9, 9],
            &[0x7e, 0x82, 0, 1, 9],
        ] {
            assert!(is_answer(good), "{good:02x?}");
            assert!(!is_answer(&good[..good.len() - 1]));
            assert!(!is_answer(&[good, &[0]].concat()));
        }
        for bad in [
            &[][..],
            &[0x6b],
            &[0x6a, 0],
            &[0x6b, 0x80, 0, 0],
            &[0x6b, 0x84, 0, 0, 0, 0],
        ] {
            assert!(!is_answer(bad), "{bad:02x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_framed_is_read(message in prop::collection::vec(any::<u8>(), 1..300)) {
            let bytes = frame(&message).unwrap();
            prop_assert_eq!(unframe(&bytes).unwrap(), Some(&message[..]));
            prop_assert!(unframe(&bytes[..bytes.len() - 1]).unwrap().is_none());
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = (unframe(&bytes), is_answer(&bytes));
        }
    }
}
