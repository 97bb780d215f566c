//! What the command line and the processes that check logins have in common about databases of
//! users.
//!
//! * [`file`]: what the first bytes of a SQLite file say, and the mark of one with hashed passwords.
//! * [`hash`]: passwords as argon2id hashes.
//! * [`query`]: a query with a place for the user's name.
//! * [`spelling`]: one password, as bytes of different encodings.
#![forbid(unsafe_code)]

pub mod file;
pub mod hash;
pub mod query;
pub mod spelling;
