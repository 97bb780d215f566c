//! What waits to be written to the client: whole packets, in order, bounded.

use ipc::frames::OutputBuffer;
use ipc::shared::Reader;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;
use wire::cipher::{SealError, Sealer};
use wire::limits::HEADER_SIZE;
use wire::record::{Header, seal};

/// Most memory of ours that may wait for a client that does not read: titles, icons' frames,
/// answers. Pictures are written from the encoder's buffers, and the encoder has few under way;
/// both together, and what the kernel holds, are less than 8 MiB.
pub const MAX_WAITING: usize = 2 << 20;
/// What a piece costs besides its bytes: a queue that grows is twice as long as what it holds, and
/// the allocator's part.
const PIECE: usize = 2 * size_of::<Piece>() + 32;
/// Most pieces handed to one write.
pub const MAX_SLICES: usize = 16;
/// Bytes that are sealed before they are written: what is sealed cannot be dropped any more.
const SEALED_AHEAD: usize = 64 * 1024;
/// Most bytes that sealing adds to a packet: at most four records, each with a vector, a tag and
/// padding.
const SEALING: usize = 4 * 128;

/// A picture of this encoder (they are counted) has left its buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// Which encoder of the connection.
    pub encoder: u32,
    /// Which of its buffers.
    pub buffer: OutputBuffer,
}

/// Bytes to write.
#[derive(Debug)]
enum Bytes {
    Owned(Vec<u8>),
    /// The start of an encoder's buffer, written without being copied. The mapping is held until
    /// it has been written, whatever becomes of the encoder.
    Mapped(Rc<Reader>, usize),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(reader, len) => reader.bytes().get(..*len).unwrap_or_default(),
        }
    }

    fn owned(&self) -> usize {
        match self {
            Self::Owned(bytes) => bytes.len(),
            Self::Mapped(..) => 0,
        }
    }
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// Bytes of ours in it, as [`MAX_WAITING`] counts them.
    owned: usize,
    /// The last piece of a packet.
    end: bool,
    release: Option<Release>,
}

/// Packets on their way to the client.
#[derive(Debug, Default)]
pub struct Outbox {
    /// What is to be sealed first, if there is a sealer.
    waiting: VecDeque<Piece>,
    sealer: Option<Sealer>,
    /// To be written as they are.
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that are written.
    written: usize,
    /// The first piece continues a packet of which pieces have gone.
    inside: bool,
    owned: usize,
}

impl Outbox {
    /// Queues one packet, its record already encoded.
    pub fn push(&mut self, packet: Vec<u8>) {
        self.add(Bytes::Owned(packet), true, None);
    }

    /// Queues a packet with a picture that is written from its buffer: what comes before it, the
    /// picture, what comes after it (if anything). `release`: the buffer.
    pub fn push_around(
        &mut self,
        before: Vec<u8>,
        picture: (Rc<Reader>, usize),
        after: Vec<u8>,
        release: Release,
    ) {
        self.add(Bytes::Owned(before), false, None);
        self.add(Bytes::Mapped(picture.0, picture.1), false, Some(release));
        self.add(Bytes::Owned(after), true, None);
    }

    fn add(&mut self, bytes: Bytes, end: bool, release: Option<Release>) {
        let owned = bytes.owned();
        self.owned += owned;
        let queue = match self.sealer {
            Some(_) => &mut self.waiting,
            None => &mut self.pieces,
        };
        queue.push_back(Piece {
            bytes,
            owned,
            end,
            release,
        });
    }

    /// Every packet that is queued from now on is sealed, in the order in which it is written.
    ///
    /// # Errors
    /// What is queued cannot be sealed with the sealer before: the connection has to end.
    pub fn set_sealer(&mut self, sealer: Sealer) -> Result<(), SealError> {
        while self.seal_one()? {}
        self.sealer = Some(sealer);
        Ok(())
    }

    /// Seals one packet; false if none waits.
    fn seal_one(&mut self) -> Result<bool, SealError> {
        let (Some(end), Some(sealer)) = (
            self.waiting.iter().position(|piece| piece.end),
            &mut self.sealer,
        ) else {
            return Ok(false);
        };
        let packet: Vec<Piece> = self.waiting.drain(..=end).collect();
        // In one piece from the start: a picture that grew by doubling would not fit.
        let plain: usize = packet.iter().map(|piece| piece.bytes.get().len()).sum();
        let mut sealed = Vec::new();
        let room = plain.saturating_add(SEALING);
        sealed.try_reserve_exact(room).map_err(|_| SealError)?;
        let mut plain = Plain::new(&packet);
        while let Some(header) = plain.take(HEADER_SIZE)? {
            let header = header.as_ref().try_into().map_err(|_| SealError)?;
            let header = Header::parse(header).map_err(|_| SealError)?;
            let size = usize::try_from(header.size).map_err(|_| SealError)?;
            let payload = plain.take(size)?.ok_or(SealError)?;
            seal(sealer, header, &payload, &mut sealed)?;
        }
        self.pieces.push_back(Piece {
            bytes: Bytes::Owned(sealed),
            owned: packet.iter().map(|piece| piece.owned).sum(),
            end: true,
            release: packet.iter().find_map(|piece| piece.release),
        });
        Ok(true)
    }

    /// Seals as many packets as the next write may take.
    fn seal_ahead(&mut self) -> Result<(), SealError> {
        while self.pieces.len() < MAX_SLICES {
            let sealed = self.pieces.iter().map(|piece| piece.bytes.get().len());
            if sealed.sum::<usize>() >= SEALED_AHEAD || !self.seal_one()? {
                break;
            }
        }
        Ok(())
    }

    /// Has everything been written?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.waiting.is_empty()
    }

    /// Does more wait than may wait?
    #[must_use]
    pub fn is_overfull(&self) -> bool {
        self.owned + (self.waiting.len() + self.pieces.len()) * PIECE > MAX_WAITING
    }

    /// Bytes of ours that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.owned
    }

    /// What to write next, as far as `slices` has room; how many slices were filled.
    ///
    /// # Errors
    /// It cannot be sealed: the connection has to end.
    pub fn slices<'a>(
        &'a mut self,
        slices: &mut [IoSlice<'a>; MAX_SLICES],
    ) -> Result<usize, SealError> {
        self.seal_ahead()?;
        let mut filled = 0;
        for (slot, piece) in slices.iter_mut().zip(&self.pieces) {
            let bytes = piece.bytes.get();
            let skip = if filled == 0 { self.written } else { 0 };
            *slot = IoSlice::new(bytes.get(skip..).unwrap_or_default());
            filled += 1;
        }
        Ok(filled)
    }

    /// `count` bytes were written; tells which buffers are free now.
    pub fn advance(&mut self, mut count: usize, mut released: impl FnMut(Release)) {
        while let Some(first) = self.pieces.front() {
            let left = first.bytes.get().len().saturating_sub(self.written);
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            if let Some(piece) = self.pieces.pop_front() {
                self.owned -= piece.owned;
                self.inside = !piece.end;
                if let Some(release) = piece.release {
                    released(release);
                }
            }
        }
    }

    /// Drops every packet of which nothing has been written or sealed yet.
    pub fn cut(&mut self) {
        self.waiting.clear();
        if self.sealer.is_none() {
            let begun = self.inside || self.written > 0;
            let keep = match self.pieces.iter().position(|piece| piece.end) {
                Some(end) if begun => end + 1,
                _ => 0,
            };
            self.pieces.truncate(keep);
        }
        self.owned = self.pieces.iter().map(|piece| piece.owned).sum();
    }
}

/// The bytes of a packet, from piece to piece.
struct Plain<'p> {
    pieces: std::slice::Iter<'p, Piece>,
    /// What is left of the last piece.
    rest: &'p [u8],
}

impl<'p> Plain<'p> {
    fn new(pieces: &'p [Piece]) -> Self {
        Self {
            pieces: pieces.iter(),
            rest: &[],
        }
    }

    /// So many bytes, copied only if they are in several pieces; `None` at the end.
    fn take(&mut self, len: usize) -> Result<Option<Cow<'p, [u8]>>, SealError> {
        while self.rest.is_empty() {
            match self.pieces.next() {
                Some(piece) => self.rest = piece.bytes.get(),
                None => return Ok(None),
            }
        }
        if let Some((taken, rest)) = self.rest.split_at_checked(len) {
            self.rest = rest;
            return Ok(Some(Cow::Borrowed(taken)));
        }
        let mut taken = Vec::with_capacity(len);
        while taken.len() < len {
            let (part, rest) = self
                .rest
                .split_at(self.rest.len().min(len.saturating_sub(taken.len())));
            taken.extend_from_slice(part);
            self.rest = rest;
            if self.rest.is_empty() && taken.len() < len {
                self.rest = self.pieces.next().ok_or(SealError)?.bytes.get();
            }
        }
        Ok(Some(Cow::Owned(taken)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::shared::Unsealed;
    use proptest::prelude::*;
    use std::os::fd::AsFd;

    fn picture(content: &[u8]) -> Rc<Reader> {
        let bytes = u32::try_from(content.len()).unwrap();
        let (mut writer, fd) = Unsealed::new(bytes).unwrap().into_writer().unwrap();
        writer.bytes().copy_from_slice(content);
        Rc::new(Reader::new(fd.as_fd(), bytes).unwrap())
    }

    const FREE: Release = Release {
        encoder: 1,
        buffer: OutputBuffer(3),
    };

    /// Writes at most `step` bytes at a time.
    fn write_all(outbox: &mut Outbox, step: usize) -> (Vec<u8>, Vec<Release>) {
        let (mut out, mut released) = (Vec::new(), Vec::new());
        while !outbox.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let filled = outbox.slices(&mut slices).unwrap();
            let all: Vec<u8> = slices[..filled].iter().flat_map(|s| s.to_vec()).collect();
            let count = all.len().min(step);
            out.extend_from_slice(&all[..count]);
            outbox.advance(count, |release| released.push(release));
        }
        (out, released)
    }

    #[test]
    fn a_picture_is_written_from_its_buffer_and_released_once() {
        for step in [1, 3, 1000] {
            let mut outbox = Outbox::default();
            outbox.push(b"one".to_vec());
            outbox.push_around(
                b"head".to_vec(),
                (picture(b"picture"), 4),
                b"main".to_vec(),
                FREE,
            );
            assert_eq!(outbox.waiting(), 11);
            assert_eq!(
                write_all(&mut outbox, step),
                (b"oneheadpictmain".to_vec(), vec![FREE])
            );
            assert_eq!(outbox.waiting(), 0);
        }
    }

    #[test]
    fn a_picture_may_be_the_end_of_its_packet() {
        let mut outbox = Outbox::default();
        outbox.push_around(b"head".to_vec(), (picture(b"picture"), 4), Vec::new(), FREE);
        outbox.push(b"two".to_vec());
        outbox.advance(5, |_| ());
        outbox.cut();
        assert_eq!(write_all(&mut outbox, 5), (b"ict".to_vec(), vec![FREE]));
    }

    #[test]
    fn a_cut_completes_the_packet_that_was_begun() {
        for (written, rest) in [
            (0, &b""[..]),
            (3, b""),
            (4, b"eadpictmain"),
            (7, b"pictmain"),
            (12, b"ain"),
        ] {
            let mut outbox = Outbox::default();
            outbox.push(b"one".to_vec());
            outbox.push_around(
                b"head".to_vec(),
                (picture(b"picture"), 4),
                b"main".to_vec(),
                FREE,
            );
            outbox.push(b"two".to_vec());
            outbox.advance(written, |_| ());
            outbox.cut();
            assert_eq!(write_all(&mut outbox, 5).0, rest, "{written}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_splits_the_bytes_are_the_same(
            packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..40),
            step in 1..200usize,
        ) {
            let mut outbox = Outbox::default();
            for packet in &packets {
                outbox.push(packet.clone());
            }
            prop_assert_eq!(write_all(&mut outbox, step).0, packets.concat());
        }
    }
}
