//! What `bulkhead` asks of `bulkhead-ctl`, the confined one-shot client, which it starts. Descriptor 3 is a sealed memfd with a [`CommandSpec`] (read it with
//! [`crate::spec::read`]), 4 the empty directory, 5 the connected socket, and, for
//! [`Command::Screenshot`] only, 6 the memory to write to. Arguments are those of every process with
//! a sandbox (`--mode=`, `--sandbox=`).

use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroize;

/// Exit code of `bulkhead-ctl` for [`CommandSpec::can_ask`]; nothing is printed then.
pub const EXIT_PASSWORD: u8 = 3;

/// One-shot requests to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Print what the server tells about itself.
    Info,
    /// Print the server's version.
    Version,
    /// Print `key=value` lines that name the session.
    Id,
    /// Write a PNG of the screen to descriptor 6.
    Screenshot,
    /// Disconnect the clients.
    Detach,
    /// End the session.
    Stop,
    /// End the server, leave X and the applications.
    Exit,
}

/// What to ask, and with which password.
#[derive(Clone, Serialize, Deserialize)]
pub struct CommandSpec {
    /// What to ask.
    pub command: Command,
    /// What answers a challenge.
    pub password: Option<Vec<u8>>,
    /// Without a password for a server that wants one, the end is [`EXIT_PASSWORD`]: whoever
    /// started this asks the person, and tries again.
    pub can_ask: bool,
    /// User name for the hello.
    pub username: String,
    /// The server is the invoker's own or root's, on this machine: it may be sent the password itself.
    pub plain: bool,
}

impl CommandSpec {
    /// Wipes the password.
    pub fn wipe(&mut self) {
        self.password.zeroize();
    }
}

impl fmt::Debug for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandSpec")
            .field("command", &self.command)
            .field("password", &self.password.is_some())
            .finish_non_exhaustive()
    }
}
