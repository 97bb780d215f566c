//! The edge `supervisor`–`network`: one connection's life.

use crate::channel::Message;
use crate::keys::Encryption;
use crate::tls::MAX_CHAIN;
use crate::verdict::Violation;
use serde::{Deserialize, Serialize};

/// What a `network` worker is told about its session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFacts {
    /// X11 display number.
    pub display: u32,
    /// `--session-name`, at most 128 bytes; may be empty.
    pub session_name: String,
    /// 32 lower-case hexadecimal digits.
    pub uuid: String,
    /// 32 lower-case hexadecimal digits.
    pub machine_id: String,
    /// Host name, at most 64 bytes.
    pub hostname: String,
    /// The supervisor's process id.
    pub pid: u32,
    /// Unix time of the session's start in seconds.
    pub start_time: u64,
    /// The session (for this client) is read-only.
    pub readonly: bool,
    /// Several clients may be attached at a time.
    pub sharing: bool,
    /// The screen follows the client's size.
    pub resize: bool,
}

/// The supervisor tells `network`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupervisorToNetwork {
    /// First message. Descriptors: channel to `auth`; channel to `keys`, if the listener is
    /// encrypted.
    Start {
        /// Facts that `id` may tell before authentication; only for local sockets.
        id: Option<Box<SessionFacts>>,
        /// Seconds until a client that has not proved itself is cut off.
        login_timeout: u16,
        /// What the listener demands.
        encryption: Option<Encryption>,
        /// Capabilities of the client's first hello that `auth` is to be told, by name: at most 8 of
        /// at most 64 bytes.
        capabilities: Vec<String>,
    },
    /// The request is granted. Descriptors: channel to `display`, channel to `encoder`.
    Session(Box<SessionFacts>),
    /// The request for a screenshot is granted. Descriptor: channel to `encoder`.
    Screenshot,
    /// A part of the answer to `info`, to be sent when [`SupervisorToNetwork::InfoEnd`] comes.
    /// Keys are dotted, e.g. `server.pid`; at most 256 entries.
    Info(Vec<(String, InfoValue)>),
    /// The answer to `info` is complete.
    InfoEnd,
    /// The answer to `id`.
    Id(Box<SessionFacts>),
    /// `display` was started anew. Descriptor: channel to it.
    Display,
    /// `encoder` was started anew. Descriptor: channel to it.
    Encoder,
    /// End the connection politely.
    Disconnect {
        /// First the reason, then more text; at most 4 items of at most 256 bytes.
        reason: Vec<String>,
    },
    /// A client that has not proved itself is cut off after so many seconds from now, and not before: a person
    /// reads something and types it.
    LoginTime(u16),
}

/// A value in an answer to `info`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "nothing to add")]
pub enum InfoValue {
    Int(i64),
    Bool(bool),
    Text(String),
}

impl Message for SupervisorToNetwork {
    const NAME: &'static str = "supervisor>network";
    fn descriptors(&self) -> usize {
        match self {
            Self::Start { encryption, .. } => 1 + usize::from(encryption.is_some()),
            Self::Screenshot | Self::Display | Self::Encoder => 1,
            Self::Session(_) => 2,
            Self::Info(_)
            | Self::InfoEnd
            | Self::Id(_)
            | Self::LoginTime(_)
            | Self::Disconnect { .. } => 0,
        }
    }
    fn limit(&self) -> usize {
        match self {
            // A certificate may be in it.
            Self::Start { .. } => MAX_CHAIN + 4096,
            Self::Info(_) => 48 * 1024,
            _ => 4096,
        }
    }
}

/// What a client says of itself: for `info` and the log, decides nothing but sharing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientDescription {
    /// e.g. `Python/GTK3`, at most 64 bytes.
    pub client_type: String,
    /// e.g. `6.5`, at most 32 bytes.
    pub version: String,
    /// At most 64 bytes.
    pub hostname: String,
    /// Names the user and machine; at most 128 bytes.
    pub uuid: String,
    /// It agrees to share the session.
    pub share: bool,
    /// It may take the session over from others.
    pub steal: bool,
}

/// What an authenticated client asks for (protocol: one-shot requests).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// To see and use the session.
    Session(ClientDescription),
    /// A map of facts.
    Info,
    /// Which session this is.
    Id,
    /// A picture of the screen.
    Screenshot,
    /// Disconnect the other clients.
    Detach,
    /// End the session with all its applications.
    Stop,
    /// End the server; the X server and the applications stay.
    Exit,
}

/// `network` tells the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkToSupervisor {
    /// Asked once after `auth` has accepted; `Stop` and `Exit` also later, from an attached client.
    Request(Request),
    /// The client has been sent its hello.
    Attached,
    /// A peer broke the rules. `network` does not know its own number: of
    /// [`Peer::Encoder`](crate::verdict::Peer::Encoder) only the role counts here, the
    /// connection is the reporting one's.
    Violation(Violation),
}

impl Message for NetworkToSupervisor {
    const NAME: &'static str = "network>supervisor";
}
