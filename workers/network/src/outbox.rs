//! What waits to be written to the client: whole packets, in order, bounded.

use ipc::frames::OutputBuffer;
use ipc::shared::Reader;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

/// Most memory of ours that may wait for a client that does not read: titles, icons' frames,
/// answers. Pictures are written from the encoder's buffers, and the encoder has few under way;
/// both together, and what the kernel holds, are less than 8 MiB.
pub const MAX_WAITING: usize = 2 << 20;
/// What a piece costs besides its bytes: a queue that grows is twice as long as what it holds, and
/// the allocator's part.
const PIECE: usize = 2 * size_of::<Piece>() + 32;
/// Most pieces handed to one write.
pub const MAX_SLICES: usize = 16;

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
    /// The last piece of a packet.
    end: bool,
    release: Option<Release>,
}

/// Packets on their way to the client.
#[derive(Debug, Default)]
pub struct Outbox {
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
        self.owned += bytes.owned();
        self.pieces.push_back(Piece {
            bytes,
            end,
            release,
        });
    }

    /// Has everything been written?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Does more wait than may wait?
    #[must_use]
    pub fn is_overfull(&self) -> bool {
        self.owned + self.pieces.len() * PIECE > MAX_WAITING
    }

    /// Bytes of ours that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.owned
    }

    /// What to write next, as far as `slices` has room; how many slices were filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; MAX_SLICES]) -> usize {
        let mut filled = 0;
        for (slot, piece) in slices.iter_mut().zip(&self.pieces) {
            let bytes = piece.bytes.get();
            let skip = if filled == 0 { self.written } else { 0 };
            *slot = IoSlice::new(bytes.get(skip..).unwrap_or_default());
            filled += 1;
        }
        filled
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
                self.owned -= piece.bytes.owned();
                self.inside = !piece.end;
                if let Some(release) = piece.release {
                    released(release);
                }
            }
        }
    }

    /// Drops every packet of which nothing has been written yet.
    pub fn cut(&mut self) {
        let begun = self.inside || self.written > 0;
        let keep = match self.pieces.iter().position(|piece| piece.end) {
            Some(end) if begun => end + 1,
            _ => 0,
        };
        self.pieces.truncate(keep);
        self.owned = self.pieces.iter().map(|piece| piece.bytes.owned()).sum();
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
            let filled = outbox.slices(&mut slices);
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
