//! A small client without a screen, for tests and measurements. It speaks to our server and to
//! the stock one: attaches, shows windows in memory, acknowledges, types, points.
//!
//! ```no_run
//! use std::time::Duration;
//! use test_client::{Address, Client, Options};
//!
//! let address = Address::parse("tcp://127.0.0.1:10000").unwrap();
//! let mut client = Client::connect(&address, &Options::gtk().password("secret"), Duration::from_secs(10))?;
//! client.wait_for(|state| state.windows.values().any(|window| window.draws > 0), Duration::from_secs(5))?;
//! let window = *client.state().windows.keys().next().unwrap();
//! client.focus(Some(window))?;
//! client.type_text(window, "ls\n")?;
//! # Ok::<(), test_client::Error>(())
//! ```
#![forbid(unsafe_code)]

mod client;
mod decode;
mod encryption;
mod framebuffer;
mod keyboard;
mod options;
mod security_key;
mod state;
mod transport;

pub use client::Client;
pub use decode::{DecodeError, decode};
pub use encryption::Encryption;
pub use framebuffer::Framebuffer;
pub use keyboard::{KeyPress, keycodes, named, press_of};
pub use options::Options;
pub use security_key::SecurityKey;
pub use state::{Event, Happening, State, Window};
pub use transport::{Address, Identity};
pub use wire;

use std::time::Duration;

/// Why the client cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The server's bytes are no records.
    #[error("{0}")]
    Record(#[from] wire::record::RecordError),
    /// The records are no packets.
    #[error("{0}")]
    Message(#[from] wire::packet::MessageError),
    /// A packet of ours is too large.
    #[error("{0}")]
    TooLarge(#[from] wire::record::TooLarge),
    /// It asks for a password and there is none, or by a digest that we refuse.
    #[error("cannot answer the challenge {0:?}")]
    Challenge(String),
    /// What the server says about its encryption cannot be used.
    #[error("the server's encryption cannot be used")]
    Encryption,
    /// A picture cannot be decoded.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// The server said goodbye.
    #[error("disconnected: {}", .0.join(", "))]
    Disconnected(Vec<String>),
    /// The server closed the connection without a word.
    #[error("the connection was closed")]
    Closed,
    /// It took too long.
    #[error("nothing within {0:?} of {1}")]
    Timeout(Duration, &'static str),
    /// No such window.
    #[error("there is no window {0:#x}")]
    NoWindow(u64),
    /// A character that is on no key.
    #[error("there is no key for {0:?}")]
    NoKey(char),
}
