//! The worker that reads one client's bytes. It has one socket, the channels to our own
//! processes that its client may use, and nothing else.
//!
//! * [`connection`]: a connection from its first byte to its last, without input or output; its
//!   phases are [`pre_auth`], [`accepted`] and [`attached`].
//! * [`translate`]: between packets of the wire and messages to our own processes.
//! * [`pictures`]: the encoder's buffers and what the client has acknowledged.
//! * [`outbox`]: what waits to be written to the client.
//! * [`transport`]: what carries the bytes: the socket, or [`tls`] on it.
//! * [`worker`]: the process around it all.
#![forbid(unsafe_code)]

pub mod accepted;
pub mod attached;
pub mod connection;
mod encryption;
pub mod outbox;
pub mod pictures;
pub mod pre_auth;
pub mod tls;
pub mod translate;
pub mod transport;
pub mod worker;

/// The version that we tell clients, that of the protocol's reference: one that every client can
/// parse (protocol "What the server must put in its hello").
pub const VERSION: &str = "6.5";
