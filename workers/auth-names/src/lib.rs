//! Which names an address has, for one login: what `/etc/hosts` had when the session started, else what
//! name servers say, over TCP (RFC 7766).
//!
//! * [`message`]: a question of the DNS and its answer, as bytes.
//! * [`lookup`]: the questions about an address, and what follows from the answers.
//! * [`server`]: a connection to a name server.
//! * [`process`]: the process.
//!
//! Only "there is no such name" means that there is none. A server that is silent, breaks off, says that it
//! has failed, or contradicts itself or the question, has said nothing, and who depends on it stays out.
#![forbid(unsafe_code)]

pub mod lookup;
pub mod message;
pub mod process;
pub mod server;

/// Why it could not be found out which names an address has.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection to the server.
    #[error(transparent)]
    Connection(#[from] backend::Broken),
    /// There is no connection.
    #[error("the server takes no connection")]
    Unreachable,
    /// What the server said.
    #[error("the server has sent {0}")]
    Mistake(#[from] message::Mistake),
    /// So many that somebody must have made them for it.
    #[error("there are too many questions")]
    TooMany,
    /// A name that is too long for a question: no name of a machine is.
    #[error("there is a name that cannot be asked about")]
    Unaskable,
}
