//! Packets: a name and arguments, and the typed form of every packet that we
//! speak (protocol "Names: legacy and modern").
//!
//! Legacy names are written; legacy and modern names are read.

mod args;
mod client;
mod geometry;
mod input;
mod metadata;
mod picture;
mod pre_auth;
mod server;
mod shared;
mod window;

pub use args::{ArgError, PacketError};
pub use client::{
    Activity, BufferRefresh, ClientPacket, DrawAck, InfoRequest, LayoutChanged, Tunable, Tuning,
    accepted_names,
};
pub use geometry::{Geometry, Position, Size, WindowId};
pub use input::{KeyAction, Modifiers, PointerButton, PointerMotion, WheelMotion};
pub use metadata::{Metadata, Shape, SizeConstraints, WindowType};
pub use picture::{Coding, Cursor, Draw, DrawOptions, RgbFormat, Screenshot, WindowIcon};
pub use pre_auth::{PreAuthError, PreAuthPacket, UpgradePacket};
pub use server::{Bell, Challenge, DesktopSize, MoveResize, NewWindow, Restack, ServerPacket};
pub use shared::{Disconnect, Ping, PingEcho, reason};
pub use window::{
    ConfigureWindow, MapWindow, PointerState, UnmapWindow, WindowProperties, WindowState,
};

use crate::limits::{MAX_PACKET_ARGS, MAX_PACKET_NAME};
use crate::record::Message;
use crate::rencodeplus::{self, Budget, DecodeError, Value};

/// The pairs of a dict.
pub type Map = Vec<(Value, Value)>;

/// A packet whose arguments are not checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// The packet type.
    pub name: String,
    /// What follows the type. Argument `n` has chunk index `n + 1`.
    pub args: Vec<Value>,
}

/// Why a message is no packet. Fatal for the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The main record.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Not a list that starts with a name.
    #[error("packet: does not start with a name")]
    NoName,
    /// The name is too long.
    #[error("packet: a name of {0} bytes")]
    NameTooLong(usize),
    /// Too many arguments.
    #[error("packet: {0} arguments")]
    TooManyArgs(usize),
    /// A chunk for an argument that is not there or not an empty byte string.
    #[error("packet: chunk {0} has no placeholder")]
    NoPlaceholder(u8),
}

impl Packet {
    /// A packet.
    pub fn new(name: &str, args: Vec<Value>) -> Packet {
        Packet {
            name: name.to_owned(),
            args,
        }
    }

    /// Decodes a message and puts its chunks into their places.
    pub fn decode(message: Message, budget: &Budget) -> Result<Packet, MessageError> {
        let Value::List(items) = rencodeplus::decode(&message.payload, budget)? else {
            return Err(MessageError::NoName);
        };
        let mut items = items.into_iter();
        let name = match items.next() {
            Some(name @ (Value::Text(_) | Value::Bytes(_))) => {
                name.to_text().ok_or(MessageError::NoName)?
            }
            _ => return Err(MessageError::NoName),
        };
        if name.is_empty() {
            return Err(MessageError::NoName);
        }
        if name.len() > MAX_PACKET_NAME {
            return Err(MessageError::NameTooLong(name.len()));
        }
        let mut args: Vec<Value> = items.collect();
        if args.len() > MAX_PACKET_ARGS {
            return Err(MessageError::TooManyArgs(args.len()));
        }
        for (index, data) in message.chunks {
            let place = usize::from(index.get()).saturating_sub(1);
            match args.get_mut(place) {
                Some(Value::Bytes(placeholder)) if placeholder.is_empty() => *placeholder = data,
                _ => return Err(MessageError::NoPlaceholder(index.get())),
            }
        }
        Ok(Packet { name, args })
    }

    /// The packet in rencodeplus, without a header.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// Appends the packet in rencodeplus.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        rencodeplus::encode_packet(&self.name, &self.args, out);
    }
}
