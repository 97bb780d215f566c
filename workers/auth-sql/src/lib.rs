//! One question to a database server: does this user know this password? And if so, what is said of the
//! user's sessions.
//!
//! The process lives for one login, on a socket that somebody else has connected. Of each protocol
//! it speaks what that takes: to log in, and prepared statements, with the user's name as a parameter, that
//! give one row.
//!
//! * [`users`]: what is asked.
//! * [`postgres`]: PostgreSQL's protocol, version 3.
//! * [`scram`]: how one proves to PostgreSQL, and PostgreSQL to us, that both know the password of
//!   the database's user.
//! * [`mariadb`]: MariaDB's and MySQL's protocol.
//! * [`bytes`]: reading what a server sends, bounded.
//! * [`stream`]: what it sends, in pieces.
//! * [`process`]: the process around it.
#![forbid(unsafe_code)]

pub mod bytes;
pub mod mariadb;
pub mod postgres;
pub mod process;
pub mod scram;
pub mod stream;
pub mod users;

use backend::Broken;
use zeroize::Zeroizing;

/// Longest message of a server's, in bytes: those to us are short.
const MAX_MESSAGE: usize = 64 * 1024;
/// Most messages until there is an answer to one question.
const MAX_MESSAGES: usize = 128;

/// As whom the database is asked.
pub struct Login {
    /// The database's user.
    pub user: String,
    /// The database.
    pub database: String,
    /// The user's password, if it has one: not empty.
    pub password: Option<Zeroizing<Vec<u8>>>,
}

/// Why the server cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing comes.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It says what is no answer.
    #[error("the server says what it cannot say here")]
    Malformed,
    /// It is to encrypt, and does not.
    #[error("the server has no TLS")]
    NoTls,
    /// It wants the password in a way that could be read, or that is not built.
    #[error("the server wants its password by {0}, which is not done: let its user log in by {1}")]
    Method(String, &'static str),
    /// It does not know the password that we do.
    #[error("the server does not prove that it knows the password of its user")]
    Impostor,
    /// It says no: a code of five characters, or a number.
    #[error("the server refuses (error {0})")]
    Refused(String),
    /// The query gives something else than one column.
    #[error("the query does not give one column")]
    Columns,
    /// Who is meant is not clear.
    #[error("the query finds more than one user of this name")]
    TwoRows,
    /// A user without a password.
    #[error("the query finds no text where the password should be")]
    NoText,
    /// What there is about sessions is not what it should be.
    #[error("{0}")]
    NoSessions(&'static str),
}
