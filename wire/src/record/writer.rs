use super::{ChunkIndex, Compression, Header, Kind};
use crate::limits::{HEADER_SIZE, MIN_COMPRESS_SIZE};
use crate::lz4;
use crate::packet::Packet;
use crate::rencodeplus;

/// A payload whose size does not fit a header (or is zero, for a chunk).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("record: a payload of {0} bytes cannot be sent")]
pub struct TooLarge(pub usize);

/// Turns packets into records, as the peer of one connection wants them.
///
/// A big argument is sent without being copied, from wherever its bytes are:
/// after [`chunk_header`](RecordWriter::chunk_header) and before the packet
/// with an empty byte string in its place, or, to a peer that takes no chunks,
/// between the two parts of [`record_around`](RecordWriter::record_around).
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

    /// One packet as an uncompressed main record, in two parts: between them
    /// belong `len` bytes, the argument `hole` of the packet, whatever the
    /// packet has there. (If it has fewer, they are its last.)
    pub fn record_around(
        &self,
        packet: &Packet,
        hole: ChunkIndex,
        len: usize,
        flush: bool,
    ) -> Result<(Vec<u8>, Vec<u8>), TooLarge> {
        let place = usize::from(hole.get()).saturating_sub(1);
        let before = packet.args.get(..place).unwrap_or(&packet.args);
        let after = packet.args.get(place + 1..).unwrap_or_default();
        let mut start = vec![0; HEADER_SIZE];
        let end = rencodeplus::encode_packet_around(&packet.name, before, len, after, &mut start);
        let ours = start.len().saturating_sub(HEADER_SIZE) + end.len();
        let header = Header {
            encrypted: false,
            kind: Kind::Main { flush },
            compression: Compression::None,
            size: payload_size(ours.saturating_add(len))?,
        };
        if let Some(head) = start.first_chunk_mut::<HEADER_SIZE>() {
            *head = header.to_bytes();
        }
        Ok((start, end))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rencodeplus::Value;

    #[test]
    fn a_packet_in_two_parts_is_the_packet() {
        let writer = RecordWriter::new(false);
        for (count, hole) in [(1, 1), (7, 7), (9, 7), (70, 5), (62, 6), (63, 6)] {
            for len in [0, 9, 100_000] {
                let data = vec![b'x'; len];
                let mut args = vec![Value::from("arg"); count];
                args[hole - 1] = Value::Bytes(data.clone());
                let whole = writer.record(&Packet::new("draw", args.clone()), true);
                args[hole - 1] = Value::None;
                let hole = ChunkIndex::new(u8::try_from(hole).unwrap()).unwrap();
                let packet = Packet::new("draw", args);
                let (start, end) = writer.record_around(&packet, hole, len, true).unwrap();
                assert_eq!([start, data, end].concat(), whole.unwrap(), "{count} {len}");
            }
        }
    }

    #[test]
    fn what_fits_no_header_is_refused() {
        let writer = RecordWriter::new(false);
        let packet = Packet::new("draw", Vec::new());
        let around = |len| writer.record_around(&packet, ChunkIndex::DRAW, len, true);
        assert!(around(u32::MAX as usize).is_err() && around(usize::MAX).is_err());
    }
}
