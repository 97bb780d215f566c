//! Between `bulkhead reload` and the supervisor of a running session: certificates and keys anew.
//! No worker has this channel: it is made at a socket of whoever has started the session.
//!
//! All of it counts, or nothing does: the supervisor collects what comes until
//! [`CommandToSupervisor::Install`], has it tried by a `keys` of its own, and answers once.

use crate::channel::Message;
use crate::ids::ListenerId;
use crate::tls::{KeyKind, MAX_CHAIN, Suite};
use serde::{Deserialize, Serialize};

/// Longest reason, in bytes.
pub const MAX_REASON: usize = 1024;

/// The command tells the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandToSupervisor {
    /// What a listener with TLS is to show its clients. Once for each of them.
    Certificate {
        /// Which.
        listener: ListenerId,
        /// The certificate and those that it is signed with, each as DER; at most [`MAX_CHAIN`]
        /// bytes.
        chain: Vec<Vec<u8>>,
        /// What its key is.
        key: KeyKind,
        /// What is spoken with that; in the same versions as before.
        suites: Vec<Suite>,
    },
    /// A secret that takes the place of another; those that are not named stay as they are.
    /// Descriptor: a sealed memfd, which the supervisor passes on unread.
    Secret {
        /// Which, as in [`KeysSpec`](crate::spec::KeysSpec).
        place: u16,
    },
    /// That was all. Descriptor: a sealed memfd with the [`KeysSpec`](crate::spec::KeysSpec) that belongs
    /// to it, which the supervisor compares with the present one and passes on.
    Install,
    /// The files are not as they have to be, so nothing comes; for the log.
    GiveUp {
        /// One line, at most [`MAX_REASON`] bytes, no secret in it.
        reason: String,
    },
}

impl Message for CommandToSupervisor {
    const NAME: &'static str = "command>supervisor";
    fn descriptors(&self) -> usize {
        usize::from(matches!(self, Self::Secret { .. } | Self::Install))
    }
    fn limit(&self) -> usize {
        match self {
            Self::Certificate { .. } => MAX_CHAIN + 4096,
            _ => 4096,
        }
    }
}

/// The supervisor answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupervisorToCommand {
    /// Whoever connects from now on gets it.
    Done,
    /// Everything is as it was.
    Refused {
        /// One line, at most [`MAX_REASON`] bytes, no secret in it.
        reason: String,
    },
}

impl Message for SupervisorToCommand {
    const NAME: &'static str = "supervisor>command";
}
