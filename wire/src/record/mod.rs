//! Records: the frames of the protocol (protocol "Record layer").
//!
//! A packet is one main record, after at most three raw chunk records that
//! carry its big arguments.

mod header;
mod reader;
mod sealed;
mod writer;

pub use header::{ChunkIndex, Compression, Header, HeaderError, Kind};
pub use reader::{Message, RecordError, RecordReader};
pub use sealed::seal;
pub use writer::{RecordWriter, TooLarge};
