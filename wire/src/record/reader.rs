use super::{ChunkIndex, Compression, Header, HeaderError, Kind};
use crate::cipher::{OpenError, Opener};
use crate::limits::{HEADER_SIZE, Limits};
use crate::lz4::{self, Lz4Error};
use std::borrow::Cow;

/// Why the bytes of a peer are not records. Fatal for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// An encrypted record, and no cipher was agreed.
    #[error("record: encrypted, but no cipher was agreed")]
    Encrypted,
    /// A record in clear, and a cipher was agreed.
    #[error("record: not encrypted, though a cipher was agreed")]
    NotEncrypted,
    /// An encrypted record.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The header announces more than the phase allows.
    #[error("record: {size} bytes, {allowed} are allowed")]
    PayloadTooLarge {
        /// Bytes announced.
        size: u32,
        /// Bytes allowed.
        allowed: u32,
    },
    /// All records of this phase together are too large.
    #[error("record: more than {allowed} bytes in this phase")]
    TotalTooLarge {
        /// Bytes allowed.
        allowed: u64,
    },
    /// The record and the chunks before it are too large.
    #[error("record: a packet of more than {allowed} bytes")]
    PacketTooLarge {
        /// Bytes allowed.
        allowed: usize,
    },
    /// Too many chunks before one main record.
    #[error("record: more than {allowed} chunks")]
    TooManyChunks {
        /// Chunks allowed.
        allowed: usize,
    },
    /// A chunk index was used twice.
    #[error("record: chunk index {0} twice")]
    RepeatedChunk(u8),
    /// The compressed payload.
    #[error("record: {0}")]
    Lz4(#[from] Lz4Error),
}

/// One packet as it came: the main record's payload and its chunks, both
/// decompressed, nothing decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The packet in rencodeplus.
    pub payload: Vec<u8>,
    /// Big arguments that came as records of their own, at most three.
    pub chunks: Vec<(ChunkIndex, Vec<u8>)>,
    /// The sender had nothing more queued. A hint.
    pub flush: bool,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("payload", &self.payload.len())
            .field(
                "chunks",
                &self
                    .chunks
                    .iter()
                    .map(|(index, data)| (index.get(), data.len()))
                    .collect::<Vec<_>>(),
            )
            .field("flush", &self.flush)
            .finish()
    }
}

/// Turns bytes, however they are split, into [`Message`]s.
///
/// Holds at most one record that is not complete, its chunks, and what the
/// last [`push`](RecordReader::push) brought beyond it: call
/// [`next_message`](RecordReader::next_message) until it gives `None` after
/// every push. An error is final: every later call gives it again.
#[derive(Debug)]
pub struct RecordReader {
    limits: Limits,
    opener: Option<Opener>,
    buffer: Vec<u8>,
    /// Bytes of `buffer` already used.
    used: usize,
    /// Bytes of records accepted in this phase.
    total: u64,
    chunks: Vec<(ChunkIndex, Vec<u8>)>,
    failed: Option<RecordError>,
}

impl RecordReader {
    /// A reader for the start of a connection.
    pub fn new(limits: Limits) -> RecordReader {
        RecordReader {
            limits,
            opener: None,
            buffer: Vec::new(),
            used: 0,
            total: 0,
            chunks: Vec::new(),
            failed: None,
        }
    }

    /// Begins the next phase: other limits, and the total counts from zero.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.total = 0;
    }

    /// From the next record on, every one has to be encrypted, for this opener. What came in clear
    /// and waits for more is no part of what follows: the next call is an error.
    pub fn set_opener(&mut self, opener: Opener) {
        if self.opener.is_none() && !self.chunks.is_empty() {
            self.failed = Some(RecordError::NotEncrypted);
        }
        self.opener = Some(opener);
    }

    /// Ends the reading of records: what came behind the last one. `None`: part of a packet is held already, or
    /// there was an error.
    pub fn into_rest(mut self) -> Option<Vec<u8>> {
        let between = self.chunks.is_empty() && self.failed.is_none();
        self.buffer.drain(..self.used.min(self.buffer.len()));
        between.then_some(self.buffer)
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Adds bytes as they came from the peer.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if self.used > 0 {
            self.buffer.drain(..self.used);
            self.used = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes held that belong to no message yet. Zero at the end of a stream
    /// means that it ended between two packets.
    pub fn pending(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|(_, data)| data.len()).sum();
        self.buffer
            .len()
            .saturating_sub(self.used)
            .saturating_add(chunks)
    }

    /// The next packet, or `None` if more bytes are needed.
    pub fn next_message(&mut self) -> Result<Option<Message>, RecordError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        loop {
            match self.next_record() {
                Ok(None) => return Ok(None),
                Ok(Some((Kind::Main { flush }, payload))) => {
                    return Ok(Some(Message {
                        payload,
                        chunks: std::mem::take(&mut self.chunks),
                        flush,
                    }));
                }
                Ok(Some((Kind::Chunk(index), payload))) => self.chunks.push((index, payload)),
                Err(error) => {
                    self.failed = Some(error);
                    self.buffer = Vec::new();
                    self.used = 0;
                    self.chunks = Vec::new();
                    return Err(error);
                }
            }
        }
    }

    /// The next record, checked by its header before its payload is there.
    fn next_record(&mut self) -> Result<Option<(Kind, Vec<u8>)>, RecordError> {
        let rest = self.buffer.get(self.used..).unwrap_or_default();
        let Some((header, rest)) = rest.split_first_chunk::<HEADER_SIZE>() else {
            return Ok(None);
        };
        let header = Header::parse(*header)?;
        let total = self.admit(&header)?;
        let size = usize::try_from(header.size).unwrap_or(usize::MAX);
        let size = match &self.opener {
            Some(opener) => opener.wire_size(size),
            None => size,
        };
        let Some(payload) = rest.get(..size) else {
            return Ok(None);
        };
        let payload = match &mut self.opener {
            Some(opener) => Cow::Owned(opener.open(&header, payload)?),
            None => Cow::Borrowed(payload),
        };
        let held: usize = self.chunks.iter().map(|(_, data)| data.len()).sum();
        let allowed = self.limits.max_packet.saturating_sub(held);
        let payload = match header.compression {
            Compression::Lz4 { .. } => lz4::decompress(&payload, allowed)?,
            Compression::None if payload.len() > allowed => {
                return Err(RecordError::PacketTooLarge {
                    allowed: self.limits.max_packet,
                });
            }
            Compression::None => payload.into_owned(),
        };
        self.used = self
            .used
            .saturating_add(HEADER_SIZE)
            .saturating_add(size)
            .min(self.buffer.len());
        self.total = total;
        Ok(Some((header.kind, payload)))
    }

    /// Checks what a header announces; gives the new total of the phase.
    fn admit(&self, header: &Header) -> Result<u64, RecordError> {
        match (header.encrypted, &self.opener) {
            (true, None) => return Err(RecordError::Encrypted),
            (false, Some(_)) => return Err(RecordError::NotEncrypted),
            (true, Some(_)) | (false, None) => {}
        }
        if header.size > self.limits.max_payload {
            return Err(RecordError::PayloadTooLarge {
                size: header.size,
                allowed: self.limits.max_payload,
            });
        }
        let total = self
            .total
            .saturating_add(u64::try_from(HEADER_SIZE).unwrap_or(u64::MAX))
            .saturating_add(u64::from(header.size));
        if let Some(allowed) = self.limits.max_total
            && total > allowed
        {
            return Err(RecordError::TotalTooLarge { allowed });
        }
        if let Kind::Chunk(index) = header.kind {
            if self.chunks.len() >= self.limits.max_chunks {
                return Err(RecordError::TooManyChunks {
                    allowed: self.limits.max_chunks,
                });
            }
            if self.chunks.iter().any(|(used, _)| *used == index) {
                return Err(RecordError::RepeatedChunk(index.get()));
            }
        }
        Ok(total)
    }
}
