//! What `bulkhead` asks of `bulkhead-ctl`, the confined one-shot client.

use serde::{Deserialize, Serialize};

/// One-shot requests to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Print what the server tells about itself.
    Info,
    /// Print the server's version.
    Version,
    /// Print `key=value` lines that name the session.
    Id,
    /// Write a PNG of the screen to standard output's place (descriptor 4).
    Screenshot,
    /// Disconnect the clients.
    Detach,
    /// End the session.
    Stop,
    /// End the server, leave X and the applications.
    Exit,
}
