//! The Xpra wire protocol, without any input or output of its own.
//!
//! Bytes go in and typed packets come out, and the other way round, for both
//! directions: a server reads what clients send, a client reads what servers
//! send, and each can be written. Nothing here opens, reads or writes a file
//! or a socket, keeps time, or makes random numbers.
//!
//! The way of a packet from a peer:
//!
//! 1. [`record::RecordReader`] takes bytes in any split and gives
//!    [`record::Message`]s: one main record with its raw chunks, decompressed.
//! 2. [`packet::Packet::decode`] turns a message into a name and arguments
//!    ([`rencodeplus::Value`]s). Errors up to here are fatal for a connection.
//! 3. [`packet::ClientPacket`], [`packet::ServerPacket`] or, before
//!    authentication, [`packet::PreAuthPacket`] check every argument. An error
//!    here concerns one packet only.
//!
//! ```
//! use wire::limits::Limits;
//! use wire::packet::{ClientPacket, Packet, WindowId};
//! use wire::record::{RecordReader, RecordWriter};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A client closes a window …
//! let window = WindowId::new(7).ok_or("no window id")?;
//! let packet = ClientPacket::CloseWindow(window).into_packet();
//! let bytes = RecordWriter::new(true).record(&packet, true)?;
//!
//! // … and an authenticated client's worker reads it.
//! let limits = Limits::CLIENT_TO_SERVER;
//! let mut reader = RecordReader::new(limits);
//! reader.push(&bytes);
//! while let Some(message) = reader.next_message()? {
//!     let packet = ClientPacket::parse(Packet::decode(message, &limits.budget)?)?;
//!     assert_eq!(packet, ClientPacket::CloseWindow(window));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Every parser is total: no bytes from a peer make it panic, loop, or
//! allocate more than the [`limits`] allow.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable
    )
)]

pub mod caps;
pub mod challenge;
pub mod cipher;
pub mod hello;
pub mod limits;
pub mod lz4;
pub mod packet;
pub mod record;
pub mod rencodeplus;
pub mod security_key;
