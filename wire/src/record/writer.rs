use super::{ChunkIndex, Compression, Header, Kind};
use crate::limits::{HEADER_SIZE, MIN_COMPRESS_SIZE};
use crate::lz4;
use crate::packet::Packet;

/// A payload whose size does not fit a header (or is zero, for a chunk).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("record: a payload of {0} bytes cannot be sent")]
pub struct TooLarge(pub usize);

/// Turns packets into records, as the peer of one connection wants them.
///
/// A big argument is sent without being copied: write
/// [`chunk_header`](RecordWriter::chunk_header), then its bytes from wherever
/// they are, then the packet with an empty byte string in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordWriter {
    lz4: bool,
}

impl RecordWriter {
    /// `lz4`: the peer takes LZ4. Before the peer's hello is known, a client
    /// may use it and a server must not.
    pub fn new(lz4: bool) -> RecordWriter {
        RecordWriter { lz4 }
    }

    /// One packet as a main record, compressed if that helps. `flush`: nothing
    /// more is queued behind it.
    pub fn record(&self, packet: &Packet, flush: bool) -> Result<Vec<u8>, TooLarge> {
        let mut out = vec![0; HEADER_SIZE];
        packet.encode_into(&mut out);
        self.finish(out, flush)
    }

    /// The header of a raw chunk of `size` bytes for the argument `index` of
    /// the packet that will follow.
    pub fn chunk_header(
        &self,
        index: ChunkIndex,
        size: usize,
    ) -> Result<[u8; HEADER_SIZE], TooLarge> {
        Ok(Header {
            encrypted: false,
            kind: Kind::Chunk(index),
            compression: Compression::None,
            size: payload_size(size)?,
        }
        .to_bytes())
    }

    /// Completes a record of which `out` has room for the header and the
    /// payload.
    fn finish(self, mut out: Vec<u8>, flush: bool) -> Result<Vec<u8>, TooLarge> {
        let mut compression = Compression::None;
        let payload = out.get(HEADER_SIZE..).unwrap_or_default();
        if self.lz4 && payload.len() >= MIN_COMPRESS_SIZE {
            let packed = lz4::compress(payload);
            if packed.len() < payload.len() {
                compression = Compression::Lz4 { level: 1 };
                out.truncate(HEADER_SIZE);
                out.extend(packed);
            }
        }
        let header = Header {
            encrypted: false,
            kind: Kind::Main { flush },
            compression,
            size: payload_size(out.len().saturating_sub(HEADER_SIZE))?,
        };
        if let Some(head) = out.first_chunk_mut::<HEADER_SIZE>() {
            *head = header.to_bytes();
        }
        Ok(out)
    }
}

fn payload_size(size: usize) -> Result<u32, TooLarge> {
    match u32::try_from(size) {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(TooLarge(size)),
    }
}
