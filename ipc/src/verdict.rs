//! What the supervisor decides about a client, and what workers report to it.

use crate::ids::ConnectionId;
use serde::{Deserialize, Serialize};

/// What a client may do. Made by the supervisor, handed to the owner of each resource together
/// with the client's channel, never changed afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// No key, button, motion, focus, keymap, geometry, close, window action, signal or
    /// monitor change.
    pub readonly: bool,
}

/// Who broke the rules of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Peer {
    /// The `network` worker of a connection.
    Network(ConnectionId),
    /// The `encoder` worker of a connection.
    Encoder(ConnectionId),
    /// The `display` worker.
    Display,
    /// The `auth` worker.
    Auth,
    /// The `keys` worker.
    Keys,
    /// The process that checks a login of a connection.
    Check(ConnectionId),
}

/// A report about a peer that broke a rule of the channel, or does not read. The supervisor ends
/// one of the two: the peer, or a reporter that it does not believe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Whom it is about.
    pub peer: Peer,
    /// What it did, at most 256 bytes.
    pub what: String,
}
