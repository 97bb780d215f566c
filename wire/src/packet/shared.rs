use super::Packet;
use super::args::{Args, PacketError};
use crate::limits::{MAX_IDENTITY, MAX_TEXT};
use crate::rencodeplus::Value;

/// Reasons of a `disconnect` that clients understand (protocol "One-shot
/// requests"). One that contains `error` or `timeout` is a failure for a
/// command line client, except [`IDLE_TIMEOUT`](reason::IDLE_TIMEOUT).
pub mod reason {
    /// The client did not answer pings.
    pub const CLIENT_PING_TIMEOUT: &str = "client ping timeout";
    /// The client did not authenticate in time.
    pub const LOGIN_TIMEOUT: &str = "login timeout";
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: &str = "protocol error";
    /// The peer's version is not supported.
    pub const VERSION_ERROR: &str = "version error";
    /// A control command failed.
    pub const CONTROL_COMMAND_ERROR: &str = "control command error";
    /// Wrong password, or whatever else was asked for.
    pub const AUTHENTICATION_FAILED: &str = "authentication failed";
    /// Authentication could not be done.
    pub const AUTHENTICATION_ERROR: &str = "authentication error";
    /// Not allowed.
    pub const PERMISSION_ERROR: &str = "permission error";
    /// The server failed.
    pub const SERVER_ERROR: &str = "server error";
    /// The connection failed.
    pub const CONNECTION_ERROR: &str = "connection error";
    /// There is no such session.
    pub const SESSION_NOT_FOUND: &str = "session not found error";
    /// A one-shot request was answered.
    pub const DONE: &str = "done";
    /// The server ends, its applications stay.
    pub const SERVER_EXIT: &str = "server exit";
    /// The server is replaced: the client reconnects.
    pub const SERVER_UPGRADE: &str = "server upgrade";
    /// The session ends.
    pub const SERVER_SHUTDOWN: &str = "server shutdown";
    /// The client asked for it.
    pub const CLIENT_REQUEST: &str = "client request";
    /// Someone asked to detach this client.
    pub const DETACH_REQUEST: &str = "detach request";
    /// Another client took the session.
    pub const NEW_CLIENT: &str = "new client";
    /// No input for too long.
    pub const IDLE_TIMEOUT: &str = "idle timeout";
    /// The session is locked by another client.
    pub const SESSION_BUSY: &str = "session busy";
    /// The client leaves.
    pub const CLIENT_EXIT: &str = "client exit";
}

/// `disconnect` (modern `connection-close`), in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// One of [`reason`], or free text.
    pub reason: String,
    /// More lines for the user.
    pub details: Vec<String>,
}

impl Disconnect {
    /// A reason without details.
    pub fn new(reason: &str) -> Disconnect {
        Disconnect {
            reason: reason.to_owned(),
            details: Vec::new(),
        }
    }

    pub(super) fn read(mut args: Args) -> Result<Disconnect, PacketError> {
        Ok(Disconnect {
            reason: args.optional(|a| a.text(MAX_TEXT))?.unwrap_or_default(),
            details: args
                .remaining()
                .iter()
                .filter_map(Value::to_text)
                .filter(|text| text.len() <= MAX_TEXT)
                .collect(),
        })
    }

    /// The packet.
    pub fn into_packet(self) -> Packet {
        let mut args = vec![Value::Text(self.reason)];
        args.extend(self.details.into_iter().map(Value::Text));
        Packet::new("disconnect", args)
    }
}

/// `ping`, in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// Milliseconds of the sender's monotonic clock.
    pub time: i64,
    /// Milliseconds since 1970, if the sender says so.
    pub wall_time: Option<i64>,
    /// Who sent it, when relayed by a proxy. Empty otherwise.
    pub source: String,
}

impl Ping {
    pub(super) fn read(mut args: Args) -> Result<Ping, PacketError> {
        Ok(Ping {
            time: args.int()?,
            wall_time: args.optional(Args::int)?,
            source: args.optional(|a| a.text(MAX_IDENTITY))?.unwrap_or_default(),
        })
    }

    pub(super) fn into_packet(self) -> Packet {
        let mut args: Vec<Value> = vec![self.time.into()];
        match (self.wall_time, self.source) {
            (None, source) if source.is_empty() => {}
            (Some(wall), source) if source.is_empty() => args.push(wall.into()),
            (wall, source) => args.extend([wall.unwrap_or(0).into(), source.into()]),
        }
        Packet::new("ping", args)
    }
}

/// `ping_echo` (modern `ping-echo`), in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PingEcho {
    /// The `time` of the ping.
    pub time: i64,
    /// Load averages of 1, 5 and 15 minutes, in thousandths.
    pub load: [i64; 3],
    /// Milliseconds: the answering side's own ping latency; −1: unknown.
    pub latency: i64,
    /// The `source` of the ping.
    pub source: String,
}

impl PingEcho {
    pub(super) fn read(mut args: Args) -> Result<PingEcho, PacketError> {
        let mut number = |default| Ok(args.optional(Args::int)?.unwrap_or(default));
        Ok(PingEcho {
            time: number(0)?,
            load: [number(0)?, number(0)?, number(0)?],
            latency: number(-1)?,
            source: args.optional(|a| a.text(MAX_IDENTITY))?.unwrap_or_default(),
        })
    }

    pub(super) fn into_packet(self) -> Packet {
        let [one, five, fifteen] = self.load;
        Packet::new(
            "ping_echo",
            vec![
                self.time.into(),
                one.into(),
                five.into(),
                fifteen.into(),
                self.latency.into(),
                self.source.into(),
            ],
        )
    }
}
