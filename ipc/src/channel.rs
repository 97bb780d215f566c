//! Typed messages over a `SOCK_SEQPACKET` socketpair (unix(7)).
//!
//! A message is one packet: bincode, then nothing. The first packet in each direction names the
//! channel and the protocol version. Sizes are bounded before decoding, the number of
//! descriptors must be the one the variant declares, trailing bytes are an error.
//! Nothing here blocks: what the socket does not take waits in a bounded queue, and a peer that
//! lets the queue overflow is as broken as one that sends rubbish.

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, RecvMsg, SockaddrStorage, recvmsg, sendmsg};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};
use zeroize::Zeroize;

/// Version of every channel; both ends come from one build, so any difference is a mistake.
const VERSION: u16 = 1;
/// Largest packet in bytes: the kernel bounds one by the socket's buffer.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Most descriptors that any variant carries.
pub const MAX_FDS: usize = 4;
/// Most packets that may wait for a peer that does not read.
const MAX_QUEUE: usize = 4096;
/// Most bytes that may wait for a peer that does not read.
const MAX_QUEUE_BYTES: usize = 4 << 20;

/// First pause after the kernel refused to take descriptors; each one doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// Longest of these pauses.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long the kernel may refuse before the channel is given up.
const PATIENCE: Duration = Duration::from_secs(10);

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<MAX_MESSAGE>,
> = bincode::config::standard().with_limit::<MAX_MESSAGE>();

/// One direction of one channel.
pub trait Message: Serialize + DeserializeOwned {
    /// Name of the direction, e.g. `network>auth`. Part of the first packet.
    const NAME: &'static str;

    /// Its messages have secrets in them: their bytes are wiped where they were encoded and where
    /// they were received, when they have been sent and decoded.
    const SECRET: bool = false;

    /// How many descriptors travel with this variant.
    fn descriptors(&self) -> usize {
        0
    }

    /// Largest encoded size of this variant in bytes.
    fn limit(&self) -> usize {
        4096
    }
}

/// Why a channel can no longer be used. All but [`ChannelError::Closed`] and
/// [`ChannelError::Io`] are violations by the peer.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    /// The peer has gone.
    #[error("the peer closed the channel")]
    Closed,
    /// The kernel refused.
    #[error("channel input/output: {0}")]
    Io(#[from] Errno),
    /// The first packet was not the expected greeting.
    #[error("expected the greeting of {expected}")]
    Greeting {
        /// The direction's name.
        expected: &'static str,
    },
    /// The packet is not a message of this direction.
    #[error("{channel}: not a message: {reason}")]
    Malformed {
        /// The direction's name.
        channel: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// The message is longer than its variant allows.
    #[error("{channel}: {len} bytes where {limit} are allowed")]
    TooLong {
        /// The direction's name.
        channel: &'static str,
        /// Bytes in the packet.
        len: usize,
        /// Bytes the variant allows.
        limit: usize,
    },
    /// More or fewer descriptors than the variant declares.
    #[error("{channel}: {got} descriptors where {expected} belong")]
    Descriptors {
        /// The direction's name.
        channel: &'static str,
        /// Received with the packet.
        got: usize,
        /// Declared by the variant.
        expected: usize,
    },
    /// The peer does not read.
    #[error("{channel}: {} does not read its messages", receiver(channel))]
    Stalled {
        /// The direction's name.
        channel: &'static str,
    },
    /// The kernel takes no descriptors: too many of this user are in flight (unix(7)). Some of
    /// them may be on this channel, and only its end brings them back.
    #[error("{channel}: too many descriptors are in flight")]
    InFlight {
        /// The direction's name.
        channel: &'static str,
    },
}

impl ChannelError {
    /// Did the peer break a rule (and not just go away)?
    #[must_use]
    pub fn is_violation(&self) -> bool {
        !matches!(self, Self::Closed | Self::Io(_))
    }
}

/// Who receives what goes this direction.
fn receiver(channel: &str) -> &str {
    channel.rsplit('>').next().unwrap_or(channel)
}

/// Encodes a message, or says that it is larger than its variant allows (our own mistake).
///
/// # Errors
/// [`ChannelError::TooLong`].
pub fn encode<T: Message>(message: &T) -> Result<Vec<u8>, ChannelError> {
    let too_long = |len| ChannelError::TooLong {
        channel: T::NAME,
        len,
        limit: message.limit(),
    };
    let bytes = if T::SECRET {
        // One that grows leaves copies behind.
        let mut bytes = vec![0; message.limit()];
        let len = bincode::serde::encode_into_slice(message, &mut bytes, CONFIG)
            .map_err(|_| too_long(bytes.len() + 1))?;
        bytes.truncate(len);
        bytes
    } else {
        bincode::serde::encode_to_vec(message, CONFIG).map_err(|_| too_long(MAX_MESSAGE + 1))?
    };
    if bytes.len() > message.limit().min(MAX_MESSAGE) {
        return Err(too_long(bytes.len()));
    }
    Ok(bytes)
}

/// Decodes one packet with `fds` descriptors.
///
/// # Errors
/// Every way in which a peer can break the rules of this direction.
pub fn decode<T: Message>(bytes: &[u8], fds: usize) -> Result<T, ChannelError> {
    let malformed = |reason: String| ChannelError::Malformed {
        channel: T::NAME,
        reason,
    };
    let (message, read): (T, usize) = bincode::serde::decode_from_slice(bytes, CONFIG)
        .map_err(|error| malformed(error.to_string()))?;
    if read != bytes.len() {
        return Err(malformed(format!(
            "{} trailing bytes",
            bytes.len().saturating_sub(read)
        )));
    }
    if bytes.len() > message.limit() {
        return Err(ChannelError::TooLong {
            channel: T::NAME,
            len: bytes.len(),
            limit: message.limit(),
        });
    }
    if fds != message.descriptors() {
        return Err(ChannelError::Descriptors {
            channel: T::NAME,
            got: fds,
            expected: message.descriptors(),
        });
    }
    Ok(message)
}

fn greeting<T: Message>() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + T::NAME.len());
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(T::NAME.as_bytes());
    bytes
}

/// The descriptors in a buffer of control messages that was zero before it was received into
/// (cmsg(3)). By hand: where there was no room for all, nix gives an error in place of those that
/// have come, and they would stay open for ever.
fn passed(control: &[u8]) -> impl Iterator<Item = RawFd> {
    // `struct cmsghdr` as the kernel writes it. There is at most one with descriptors, and we ask
    // for no other kind.
    let header = || {
        let (len, rest) = control.split_first_chunk()?;
        let (level, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let head = control.len() - rest.len();
        let rights = i32::from_ne_bytes(*level) == nix::libc::SOL_SOCKET
            && i32::from_ne_bytes(*kind) == nix::libc::SCM_RIGHTS;
        let data = rest.get(..usize::from_ne_bytes(*len).checked_sub(head)?)?;
        rights.then_some(data)
    };
    let (numbers, _) = header().unwrap_or_default().as_chunks();
    numbers.iter().copied().map(RawFd::from_ne_bytes)
}

/// The kernel takes no descriptors at the moment. Nothing tells when it does again: the socket
/// is writable all the time.
#[derive(Clone, Copy, Debug)]
struct Refused {
    since: Instant,
    pause: Duration,
    retry: Instant,
}

/// A packet that waits to be sent.
struct Packet {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
    secret: bool,
}

impl Drop for Packet {
    fn drop(&mut self) {
        if self.secret {
            self.bytes.zeroize();
        }
    }
}

/// One end of a channel that sends `Tx` and receives `Rx`.
pub struct Channel<Tx, Rx> {
    socket: OwnedFd,
    greeted: bool,
    queue: VecDeque<Packet>,
    queued_bytes: usize,
    refused: Option<Refused>,
    /// Where packets are received: only the pages a packet reaches are ever touched.
    buffer: Vec<u8>,
    direction: PhantomData<fn(Tx) -> Rx>,
}

impl<Tx: Message, Rx: Message> Channel<Tx, Rx> {
    /// Takes one end of a non-blocking `SOCK_SEQPACKET` socketpair and queues the greeting.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        let hello = greeting::<Tx>();
        Self {
            socket,
            greeted: false,
            queued_bytes: hello.len(),
            queue: VecDeque::from([Packet {
                bytes: hello,
                fds: Vec::new(),
                secret: false,
            }]),
            refused: None,
            buffer: vec![0; MAX_MESSAGE],
            direction: PhantomData,
        }
    }

    /// Sends a message, now or as soon as the socket takes it. `fds` must be as many as the
    /// variant declares; the channel owns them from now on.
    ///
    /// # Errors
    /// [`ChannelError::Stalled`] when the peer does not read, [`ChannelError::Closed`] when it
    /// is gone; [`ChannelError::TooLong`] and [`ChannelError::Descriptors`] are our own mistakes.
    pub fn send(&mut self, message: &Tx, fds: Vec<OwnedFd>) -> Result<(), ChannelError> {
        let packet = Packet {
            bytes: encode(message)?,
            fds,
            secret: Tx::SECRET,
        };
        let got = packet.fds.len();
        if got != message.descriptors() {
            return Err(ChannelError::Descriptors {
                channel: Tx::NAME,
                got,
                expected: message.descriptors(),
            });
        }
        let len = packet.bytes.len();
        if self.queue.len() >= MAX_QUEUE || self.queued_bytes + len > MAX_QUEUE_BYTES {
            return Err(ChannelError::Stalled { channel: Tx::NAME });
        }
        self.queued_bytes += len;
        self.queue.push_back(packet);
        self.flush()
    }

    /// Writes what waits, as far as the socket takes it.
    ///
    /// # Errors
    /// [`ChannelError::Closed`], [`ChannelError::InFlight`] or [`ChannelError::Io`].
    pub fn flush(&mut self) -> Result<(), ChannelError> {
        self.flush_at(Instant::now)
    }

    fn flush_at(&mut self, now: impl Fn() -> Instant) -> Result<(), ChannelError> {
        if self.refused.is_some_and(|refused| now() < refused.retry) {
            return Ok(());
        }
        while let Some(Packet { bytes, fds, .. }) = self.queue.front() {
            let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
            let rights = [ControlMessage::ScmRights(&raw)];
            let control = if raw.is_empty() {
                &rights[..0]
            } else {
                &rights[..]
            };
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            let packet = [IoSlice::new(bytes)];
            match sendmsg::<()>(self.socket.as_raw_fd(), &packet, control, flags, None) {
                Ok(_) => {
                    self.queued_bytes -= bytes.len();
                    self.queue.pop_front();
                    self.refused = None;
                }
                Err(Errno::EAGAIN) => {
                    self.refused = None;
                    return Ok(());
                }
                Err(Errno::ETOOMANYREFS) => return self.put_off(now()),
                Err(Errno::EINTR) => {}
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(ChannelError::Closed),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The kernel has refused: later, then.
    fn put_off(&mut self, now: Instant) -> Result<(), ChannelError> {
        let (since, pause) = match self.refused {
            Some(last) => (last.since, (last.pause * 2).min(LONGEST_PAUSE)),
            None => (now, FIRST_PAUSE),
        };
        if now.saturating_duration_since(since) >= PATIENCE {
            return Err(ChannelError::InFlight { channel: Tx::NAME });
        }
        let retry = now + pause;
        self.refused = Some(Refused {
            since,
            pause,
            retry,
        });
        Ok(())
    }

    /// Does something wait to be written?
    #[must_use]
    pub fn wants_write(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Is it the socket that it waits for? What to ask poll(2) for, of a channel that sends
    /// descriptors; on the others it is the same as [`Channel::wants_write`].
    #[must_use]
    pub fn awaits_socket(&self) -> bool {
        self.wants_write() && self.retry_at().is_none_or(|retry| retry <= Instant::now())
    }

    /// When to [`Channel::flush`] although nothing happens, on a channel that sends descriptors.
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        self.refused.map(|refused| refused.retry)
    }

    /// The next message with its descriptors, or `None` when there is none yet.
    ///
    /// # Errors
    /// [`ChannelError::Closed`] at the end, everything else when the peer broke a rule.
    pub fn receive(&mut self) -> Result<Option<(Rx, Vec<OwnedFd>)>, ChannelError> {
        loop {
            let Some((len, fds)) = self.receive_packet()? else {
                return Ok(None);
            };
            let bytes = &mut self.buffer[..len];
            if self.greeted {
                let message = decode(bytes, fds.len());
                if Rx::SECRET {
                    bytes.zeroize();
                }
                return message.map(|message| Some((message, fds)));
            }
            if bytes != greeting::<Rx>() || !fds.is_empty() {
                return Err(ChannelError::Greeting { expected: Rx::NAME });
            }
            self.greeted = true;
        }
    }

    fn receive_packet(&mut self) -> Result<Option<(usize, Vec<OwnedFd>)>, ChannelError> {
        let mut control = nix::cmsg_space!([RawFd; MAX_FDS]);
        let mut slices = [IoSliceMut::new(&mut self.buffer)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let received: RecvMsg<'_, '_, SockaddrStorage> = loop {
            match recvmsg(
                self.socket.as_raw_fd(),
                &mut slices,
                Some(&mut control),
                flags,
            ) {
                Ok(received) => break received,
                // A peer that ended with messages of ours unread resets the socket, once. What it
                // said before is still there, then comes the end.
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        };
        let (len, flags) = (received.bytes, received.flags);
        // SAFETY: the kernel has just made these descriptors for us; nobody else has them.
        let fds: Vec<_> = passed(&control)
            .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
            .collect();
        if flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
            return Err(ChannelError::TooLong {
                channel: Rx::NAME,
                len,
                limit: MAX_MESSAGE,
            });
        }
        // No message is empty: the kernel says "end of stream" this way.
        if len == 0 {
            return Err(ChannelError::Closed);
        }
        Ok(Some((len, fds)))
    }
}

impl<Tx, Rx> AsFd for Channel<Tx, Rx> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Makes the two ends of a channel as descriptors, close-on-exec and non-blocking.
///
/// # Errors
/// What socketpair(2) says.
pub fn socketpair() -> Result<(OwnedFd, OwnedFd), Errno> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Ping {
        Small(u32),
        Text(String),
        WithFd,
    }

    impl Message for Ping {
        const NAME: &'static str = "a>b";
        fn descriptors(&self) -> usize {
            usize::from(matches!(self, Self::WithFd))
        }
        fn limit(&self) -> usize {
            100
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Pong;
    impl Message for Pong {
        const NAME: &'static str = "b>a";
    }

    fn pair() -> (Channel<Ping, Pong>, Channel<Pong, Ping>) {
        let (a, b) = socketpair().unwrap();
        (Channel::new(a), Channel::new(b))
    }

    #[test]
    fn messages_and_descriptors_arrive_in_order() {
        let (mut a, mut b) = pair();
        let (fd, _other) = socketpair().unwrap();
        a.send(&Ping::Small(7), vec![]).unwrap();
        a.send(&Ping::WithFd, vec![fd]).unwrap();
        assert_eq!(b.receive().unwrap().unwrap().0, Ping::Small(7));
        let (message, fds) = b.receive().unwrap().unwrap();
        assert_eq!((message, fds.len()), (Ping::WithFd, 1));
        assert!(b.receive().unwrap().is_none());
        drop(a);
        assert!(matches!(b.receive(), Err(ChannelError::Closed)));
    }

    #[test]
    fn last_words_of_a_peer_that_did_not_read_arrive() {
        let (mut a, mut b) = pair();
        b.flush().unwrap();
        a.send(&Ping::Small(1), vec![]).unwrap();
        drop(a);
        assert_eq!(b.receive().unwrap().unwrap().0, Ping::Small(1));
        assert!(matches!(b.receive(), Err(ChannelError::Closed)));
    }

    #[test]
    fn descriptors_that_do_not_belong_here_are_closed_and_a_violation() {
        let (a, b) = socketpair().unwrap();
        let mut right: Channel<Pong, Ping> = Channel::new(b);
        let raw_send = |bytes: &[u8], count: usize, fd: &OwnedFd| {
            let raw = vec![fd.as_raw_fd(); count];
            let rights = [ControlMessage::ScmRights(&raw)];
            let flags = MsgFlags::empty();
            sendmsg::<()>(
                a.as_raw_fd(),
                &[IoSlice::new(bytes)],
                &rights[..usize::from(count > 0)],
                flags,
                None,
            )
            .unwrap();
        };
        let (mut reader, writer) = std::io::pipe().unwrap();
        let writer = OwnedFd::from(writer);
        raw_send(&greeting::<Ping>(), 0, &writer);
        for count in [1, MAX_FDS, MAX_FDS + 1, 20, 253] {
            raw_send(&encode(&Ping::Small(1)).unwrap(), count, &writer);
            let error = right.receive().err().unwrap();
            assert!(error.is_violation(), "{error}");
        }
        // Nobody has kept one.
        drop(writer);
        let read = std::io::Read::read(&mut reader, &mut [0; 1]).unwrap();
        assert_eq!(read, 0);
    }

    #[test]
    fn the_wrong_greeting_is_refused() {
        let (a, b) = socketpair().unwrap();
        let mut wrong: Channel<Pong, Ping> = Channel::new(a);
        let mut right: Channel<Pong, Ping> = Channel::new(b);
        wrong.send(&Pong, vec![]).unwrap();
        assert!(matches!(
            right.receive(),
            Err(ChannelError::Greeting { expected: "a>b" })
        ));
    }

    #[test]
    fn too_long_trailing_and_smuggled_descriptors_are_refused() {
        let long = Ping::Text("x".repeat(200));
        assert!(matches!(encode(&long), Err(ChannelError::TooLong { .. })));
        let bytes = bincode::serde::encode_to_vec(&long, CONFIG).unwrap();
        assert!(matches!(
            decode::<Ping>(&bytes, 0),
            Err(ChannelError::TooLong { .. })
        ));
        let mut bytes = encode(&Ping::Small(1)).unwrap();
        assert!(matches!(
            decode::<Ping>(&bytes, 1),
            Err(ChannelError::Descriptors { got: 1, .. })
        ));
        bytes.push(0);
        assert!(matches!(
            decode::<Ping>(&bytes, 0),
            Err(ChannelError::Malformed { .. })
        ));
        let bytes = encode(&Ping::WithFd).unwrap();
        assert!(matches!(
            decode::<Ping>(&bytes, 0),
            Err(ChannelError::Descriptors { got: 0, .. })
        ));
    }

    #[test]
    fn a_peer_that_does_not_read_stalls_only_itself() {
        let (mut a, _b) = pair();
        let error = (0..1_000_000)
            .find_map(|n| a.send(&Ping::Small(n), vec![]).err())
            .unwrap();
        assert!(matches!(error, ChannelError::Stalled { .. }) && error.is_violation());
        assert_eq!(error.to_string(), "a>b: b does not read its messages");
    }

    #[test]
    fn the_kernel_is_asked_less_and_less_often_and_in_the_end_no_more() {
        let (mut a, _b) = pair();
        let start = Instant::now();
        let (mut now, mut tries) = (start, 0);
        let error = loop {
            if let Err(error) = a.put_off(now) {
                break error;
            }
            now = a.retry_at().unwrap();
            tries += 1;
        };
        assert!(matches!(error, ChannelError::InFlight { .. }) && error.is_violation());
        let took = now - start;
        assert!(took >= PATIENCE && took < PATIENCE + LONGEST_PAUSE);
        assert!(tries < 40, "{tries}");
    }

    #[test]
    fn a_hostile_length_allocates_nothing() {
        // Variant 1 (Text) with a length of 2^63.
        let bytes = [1, 253, 0, 0, 0, 0, 0, 0, 0, 0x80];
        assert!(matches!(
            decode::<Ping>(&bytes, 0),
            Err(ChannelError::Malformed { .. })
        ));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode::<Ping>(&bytes, 0);
        }
    }
}
