use crate::limits::{HEADER_SIZE, MAX_CHUNK_INDEX};

/// First byte of every record.
const MAGIC: u8 = b'P';

mod flag {
    pub const RENCODE: u8 = 0x01;
    pub const ENCRYPTED: u8 = 0x02;
    pub const YAML: u8 = 0x04;
    pub const FLUSH: u8 = 0x08;
    pub const RENCODEPLUS: u8 = 0x10;
    pub const ENCODERS: u8 = RENCODE | YAML | RENCODEPLUS;
    pub const KNOWN: u8 = ENCODERS | ENCRYPTED | FLUSH;
}

mod algorithm {
    pub const LZ4: u8 = 0x10;
    pub const LZO: u8 = 0x20;
    pub const BROTLI: u8 = 0x40;
    pub const ZSTD: u8 = 0x80;
}

/// The header of a record: every value of this type has exactly one form on
/// the wire, and every other header is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The payload is encrypted.
    pub encrypted: bool,
    /// Main record or chunk.
    pub kind: Kind,
    /// How the payload is compressed.
    pub compression: Compression,
    /// Bytes of payload, without the header and any cipher padding. Never 0.
    pub size: u32,
}

/// What a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A packet in rencodeplus.
    Main {
        /// The sender has nothing more queued behind this record. A hint.
        flush: bool,
    },
    /// One big argument of the packet that follows.
    Chunk(ChunkIndex),
}

/// Position of an argument in a packet's list: 1 to 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkIndex(u8);

impl ChunkIndex {
    /// The data of `draw`.
    pub const DRAW: ChunkIndex = ChunkIndex(7);
    /// The pixels of a legacy `cursor`.
    pub const CURSOR: ChunkIndex = ChunkIndex(9);
    /// The data of `window-icon`.
    pub const WINDOW_ICON: ChunkIndex = ChunkIndex(5);
    /// The data of `screenshot`.
    pub const SCREENSHOT: ChunkIndex = ChunkIndex(5);

    /// The index, if it is 1 to 15.
    pub fn new(index: u8) -> Option<ChunkIndex> {
        (1..=MAX_CHUNK_INDEX)
            .contains(&index)
            .then_some(ChunkIndex(index))
    }

    /// The number, 1 to 15.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// Compression of one record's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    None,
    /// LZ4 with a size prefix, see [`crate::lz4`].
    Lz4 {
        /// 1 to 15, only informational.
        level: u8,
    },
}

/// Why eight bytes are no header that we accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The first byte is not `P`: not an Xpra peer.
    #[error("header: starts with {0:#04x}, not an xpra record")]
    Magic(u8),
    /// Bits that have no meaning.
    #[error("header: unknown flag bits {0:#04x}")]
    UnknownFlags(u8),
    /// A main record that is not in rencodeplus alone: the flags byte.
    #[error("header: flags {0:#04x}: only rencodeplus is supported")]
    Encoder(u8),
    /// A chunk with an encoder or the flush bit: the flags byte.
    #[error("header: flags {0:#04x} on a chunk")]
    ChunkFlags(u8),
    /// A chunk index above 15.
    #[error("header: chunk index {0}")]
    ChunkIndex(u8),
    /// Brotli, zstd, lzo or zlib: the compression byte.
    #[error("header: compression {0:#04x}: only lz4 is supported")]
    UnsupportedCompression(u8),
    /// A compression byte that has no meaning.
    #[error("header: malformed compression {0:#04x}")]
    Compression(u8),
    /// A payload of no bytes.
    #[error("header: empty payload")]
    Empty,
}

impl Header {
    /// Reads a header. A function of the eight bytes only.
    pub fn parse(bytes: [u8; HEADER_SIZE]) -> Result<Header, HeaderError> {
        let [magic, flags, compression, index, size @ ..] = bytes;
        if magic != MAGIC {
            return Err(HeaderError::Magic(magic));
        }
        if flags & !flag::KNOWN != 0 {
            return Err(HeaderError::UnknownFlags(flags & !flag::KNOWN));
        }
        let kind = match index {
            0 if flags & flag::ENCODERS != flag::RENCODEPLUS => {
                return Err(HeaderError::Encoder(flags));
            }
            0 => Kind::Main {
                flush: flags & flag::FLUSH != 0,
            },
            1..=MAX_CHUNK_INDEX if flags & !flag::ENCRYPTED != 0 => {
                return Err(HeaderError::ChunkFlags(flags));
            }
            1..=MAX_CHUNK_INDEX => Kind::Chunk(ChunkIndex(index)),
            _ => return Err(HeaderError::ChunkIndex(index)),
        };
        let size = u32::from_be_bytes(size);
        if size == 0 {
            return Err(HeaderError::Empty);
        }
        Ok(Header {
            encrypted: flags & flag::ENCRYPTED != 0,
            kind,
            compression: Compression::parse(compression)?,
            size,
        })
    }

    /// The bytes of a header.
    pub fn to_bytes(self) -> [u8; HEADER_SIZE] {
        let encrypted = if self.encrypted { flag::ENCRYPTED } else { 0 };
        let (flags, index) = match self.kind {
            Kind::Main { flush: false } => (flag::RENCODEPLUS, 0),
            Kind::Main { flush: true } => (flag::RENCODEPLUS | flag::FLUSH, 0),
            Kind::Chunk(index) => (0, index.get()),
        };
        let compression = match self.compression {
            Compression::None => 0,
            Compression::Lz4 { level } => algorithm::LZ4 | (level & 0x0f),
        };
        let [a, b, c, d] = self.size.to_be_bytes();
        [MAGIC, flags | encrypted, compression, index, a, b, c, d]
    }
}

impl Compression {
    fn parse(byte: u8) -> Result<Compression, HeaderError> {
        let (high, level) = (byte & 0xf0, byte & 0x0f);
        match (high, level) {
            (0, 0) => Ok(Compression::None),
            (algorithm::LZ4, 1..) => Ok(Compression::Lz4 { level }),
            (0 | algorithm::LZO | algorithm::BROTLI | algorithm::ZSTD, 1..) => {
                Err(HeaderError::UnsupportedCompression(byte))
            }
            _ => Err(HeaderError::Compression(byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(flags: u8, compression: u8, index: u8) -> Result<Header, HeaderError> {
        Header::parse([b'P', flags, compression, index, 0, 0, 0, 1])
    }

    /// Every flags byte, on a main record and on a chunk.
    #[test]
    fn exhaustive_flags() {
        for flags in 0..=u8::MAX {
            let main = with(flags, 0, 0);
            match flags {
                0x10 | 0x12 | 0x18 | 0x1a => {
                    let header = main.unwrap();
                    assert_eq!(header.encrypted, flags & 2 != 0);
                    assert_eq!(
                        header.kind,
                        Kind::Main {
                            flush: flags & 8 != 0
                        }
                    );
                    assert_eq!(header.to_bytes(), [b'P', flags, 0, 0, 0, 0, 0, 1]);
                }
                _ if flags & 0xe0 != 0 => {
                    assert_eq!(main, Err(HeaderError::UnknownFlags(flags & 0xe0)));
                }
                _ => assert_eq!(main, Err(HeaderError::Encoder(flags))),
            }
            let chunk = with(flags, 0, 7);
            match flags {
                0 | 2 => {
                    let header = chunk.unwrap();
                    assert_eq!(header.encrypted, flags & 2 != 0);
                    assert_eq!(header.kind, Kind::Chunk(ChunkIndex(7)));
                    assert_eq!(header.to_bytes(), [b'P', flags, 0, 7, 0, 0, 0, 1]);
                }
                _ if flags & 0xe0 != 0 => {
                    assert_eq!(chunk, Err(HeaderError::UnknownFlags(flags & 0xe0)));
                }
                _ => assert_eq!(chunk, Err(HeaderError::ChunkFlags(flags))),
            }
        }
    }

    #[test]
    fn exhaustive_compression() {
        for byte in 0..=u8::MAX {
            let header = with(0x10, byte, 0);
            match byte {
                0 => assert_eq!(header.unwrap().compression, Compression::None),
                0x11..=0x1f => {
                    let header = header.unwrap();
                    let level = byte - 0x10;
                    assert_eq!(header.compression, Compression::Lz4 { level });
                    assert_eq!(header.to_bytes()[2], byte);
                }
                0x01..=0x0f | 0x21..=0x2f | 0x41..=0x4f | 0x81..=0x8f => {
                    assert_eq!(header, Err(HeaderError::UnsupportedCompression(byte)));
                }
                _ => assert_eq!(header, Err(HeaderError::Compression(byte))),
            }
        }
    }

    #[test]
    fn exhaustive_index_and_magic() {
        for index in 0..=u8::MAX {
            let main = with(0x10, 0, index);
            let chunk = with(0, 0, index);
            match index {
                0 => {
                    assert!(main.is_ok());
                    assert_eq!(chunk, Err(HeaderError::Encoder(0)));
                }
                1..=15 => {
                    assert_eq!(main, Err(HeaderError::ChunkFlags(0x10)));
                    assert!(chunk.is_ok());
                }
                _ => {
                    assert_eq!(main, Err(HeaderError::ChunkIndex(index)));
                    assert_eq!(chunk, Err(HeaderError::ChunkIndex(index)));
                }
            }
            let magic = Header::parse([index, 0x10, 0, 0, 0, 0, 0, 1]);
            assert_eq!(magic.is_ok(), index == b'P');
        }
    }

    #[test]
    fn size_is_big_endian_and_not_zero() {
        let header = Header::parse([b'P', 0x18, 0x11, 0, 0x12, 0x34, 0x56, 0x78]).unwrap();
        assert_eq!(header.size, 0x1234_5678);
        assert_eq!(
            Header::parse([b'P', 0x10, 0, 0, 0, 0, 0, 0]),
            Err(HeaderError::Empty)
        );
    }
}
