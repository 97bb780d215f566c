//! The bytes between us and the X server, for x11rb.
//!
//! Of what the X server says, an application decides a lot, the size of some replies too (a
//! cursor of 32767² pixels makes a reply of 4 GiB). A packet that is larger than any we can use
//! arrives here without its body; x11rb then calls it malformed, and we go on. One event that
//! only an application can send, and that x11rb misreads, does not arrive at all.
#![forbid(unsafe_code)]

mod opened;

pub use opened::{OpenError, open};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, recvmsg, sendmsg};
use runtime::{Interest, PollSet};
use std::cell::RefCell;
use std::io::{Error, ErrorKind, IoSlice, IoSliceMut, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use x11rb::rust_connection::{PollMode, Stream};
use x11rb::utils::RawFdContainer;

/// Largest body of a packet from the X server that we take, in bytes.
const MAX_BODY: u64 = 4 << 20;
/// Bytes read at a time.
const CHUNK: usize = 16 * 1024;

/// A connection to an X server.
pub struct XStream {
    socket: OwnedFd,
    input: RefCell<Input>,
}

struct Input {
    framing: Framing,
    raw: Vec<u8>,
    ready: Vec<u8>,
    taken: usize,
}

impl XStream {
    /// Takes a connected, non-blocking or blocking, stream socket.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        let input = Input {
            framing: Framing::default(),
            raw: vec![0; CHUNK],
            ready: Vec::new(),
            taken: 0,
        };
        Self {
            socket,
            input: RefCell::new(input),
        }
    }

    /// Has something been read from the socket that x11rb has not taken yet?
    #[must_use]
    pub fn has_more(&self) -> bool {
        let input = self.input.borrow();
        input.taken < input.ready.len()
    }
}

impl AsFd for XStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Stream for XStream {
    fn poll(&self, mode: PollMode) -> Result<()> {
        if mode.readable() && self.has_more() {
            return Ok(());
        }
        let interest = match mode {
            PollMode::Readable => Interest::Read,
            PollMode::Writable => Interest::Write,
            PollMode::ReadAndWritable => Interest::ReadWrite,
        };
        let mut set = PollSet::new();
        set.add(self.as_fd(), interest);
        set.wait(None).map(drop).map_err(Error::from)
    }

    fn read(&self, buf: &mut [u8], _: &mut Vec<RawFdContainer>) -> Result<usize> {
        let Input {
            framing,
            raw,
            ready,
            taken,
        } = &mut *self.input.borrow_mut();
        while *taken == ready.len() {
            ready.clear();
            *taken = 0;
            // No room for descriptors: nobody sends us any, and the kernel drops them.
            let room = &mut [IoSliceMut::new(raw)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let received = recvmsg::<()>(self.socket.as_raw_fd(), room, None, flags);
            let len = match received.map(|message| message.bytes) {
                Ok(len) => len,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if len == 0 {
                return Ok(0);
            }
            framing.filter(&raw[..len], ready);
        }
        let len = buf.len().min(ready.len() - *taken);
        buf[..len].copy_from_slice(&ready[*taken..*taken + len]);
        *taken += len;
        Ok(len)
    }

    fn write(&self, buf: &[u8], fds: &mut Vec<RawFdContainer>) -> Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)], fds)
    }

    fn write_vectored(&self, bufs: &[IoSlice<'_>], fds: &mut Vec<RawFdContainer>) -> Result<usize> {
        let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() {
            &rights[..0]
        } else {
            &rights[..]
        };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        loop {
            match sendmsg::<()>(self.socket.as_raw_fd(), bufs, control, flags, None) {
                Ok(0) if bufs.iter().any(|b| !b.is_empty()) => {
                    return Err(ErrorKind::WriteZero.into());
                }
                Ok(len) => {
                    fds.clear();
                    return Ok(len);
                }
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Follows where packets begin (X11 protocol, "Connection Setup" and appendix B).
#[derive(Debug)]
struct Framing {
    /// The first packet is the answer to the connection setup.
    setup: bool,
    /// The first bytes of a packet whose size is not known yet.
    head: Vec<u8>,
    /// Bytes of the packet that are still to come.
    left: u64,
    /// They are passed on.
    keep: bool,
}

impl Default for Framing {
    fn default() -> Self {
        Self {
            setup: true,
            head: Vec::with_capacity(8),
            left: 0,
            keep: true,
        }
    }
}

impl Framing {
    /// Appends to `out` what may be passed on.
    fn filter(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            if self.left == 0 {
                let (head, rest) = input.split_at(input.len().min(8 - self.head.len()));
                self.head.extend_from_slice(head);
                input = rest;
                if self.head.len() == 8 {
                    self.start(out);
                }
                continue;
            }
            let len = usize::try_from(self.left)
                .unwrap_or(usize::MAX)
                .min(input.len());
            let (body, rest) = input.split_at(len);
            if self.keep {
                out.extend_from_slice(body);
            }
            self.left -= len as u64;
            input = rest;
            if self.left == 0 {
                self.keep = true;
            }
        }
    }

    /// The first eight bytes of a packet are there.
    fn start(&mut self, out: &mut Vec<u8>) {
        /// An event, an error, or the fixed part of a reply.
        const FIXED: usize = 32;
        let head = std::mem::take(&mut self.head);
        if self.setup {
            self.setup = false;
            self.left = u64::from(u16::from_le_bytes([head[6], head[7]])) * 4;
            out.extend_from_slice(&head);
            return;
        }
        const REPLY: u8 = 1;
        const GENERIC_EVENT: u8 = 35;
        /// This event has no sequence number: an application that sends it fills these bytes as it
        /// likes, and x11rb, that knows only the real one, would take them for one and wait
        /// forever for answers that it has already passed over.
        const SENT_KEYMAP_NOTIFY: u8 = 0x80 | 11;
        if head[0] == SENT_KEYMAP_NOTIFY {
            self.left = FIXED as u64 - 8;
            self.keep = false;
            return;
        }
        let body = match head[0] & 0x7f {
            REPLY | GENERIC_EVENT => {
                u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]])) * 4
            }
            _ => 0,
        };
        if body <= MAX_BODY {
            out.extend_from_slice(&head);
            self.left = FIXED as u64 - 8 + body;
            return;
        }
        // The fixed part now, with zeros in place of what follows the length.
        out.extend_from_slice(&head[..4]);
        out.extend_from_slice(&[0; FIXED - 4]);
        self.left = FIXED as u64 - 8 + body;
        self.keep = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(kind: u8, words: u32, real: usize) -> Vec<u8> {
        let mut packet = vec![kind, 7, 1, 0];
        packet.extend_from_slice(&words.to_le_bytes());
        packet.resize(32 + real, 9);
        packet
    }

    fn setup() -> Vec<u8> {
        let mut packet = vec![1, 0, 11, 0, 0, 0, 2, 0];
        packet.resize(16, 5);
        packet
    }

    #[test]
    fn a_reply_that_is_too_large_loses_its_body() {
        let words = u32::try_from(MAX_BODY / 4 + 1).unwrap();
        let mut input = setup();
        input.extend(packet(1, words, words as usize * 4));
        input.extend(packet(17, 0x0900_0000, 0));
        let mut out = Vec::new();
        Framing::default().filter(&input, &mut out);
        assert_eq!(out.len(), 16 + 32 + 32);
        assert_eq!(out[16..24], [1, 7, 1, 0, 0, 0, 0, 0]);
        assert_eq!(out[48..], packet(17, 0x0900_0000, 0));
    }

    #[test]
    fn a_keymap_event_that_was_sent_does_not_arrive() {
        let mut input = setup();
        for kind in [11, 0x80 | 11, 0x80 | 12, 0x80 | 11] {
            input.extend(packet(kind, u32::MAX, 0));
        }
        let mut out = Vec::new();
        Framing::default().filter(&input, &mut out);
        let kinds: Vec<_> = out[16..].chunks(32).map(|packet| packet[0]).collect();
        assert_eq!(kinds, [11, 0x80 | 12]);
    }

    proptest! {
        #[test]
        fn small_packets_pass_unchanged_however_they_are_cut(
            packets in proptest::collection::vec(
                (any::<u8>().prop_filter("passes", |kind| *kind != 0x80 | 11), 0..20u32),
                0..20,
            ),
            cuts in proptest::collection::vec(1..50usize, 1..40),
        ) {
            let mut input = setup();
            for (kind, words) in packets {
                let real = if matches!(kind & 0x7f, 1 | 35) { words as usize * 4 } else { 0 };
                input.extend(packet(kind, words, real));
            }
            let (mut framing, mut out) = (Framing::default(), Vec::new());
            let (mut rest, mut n) = (&input[..], 0);
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(rest.len().min(cuts[n % cuts.len()]));
                framing.filter(piece, &mut out);
                (rest, n) = (after, n + 1);
            }
            prop_assert_eq!(out, input);
        }
    }
}
