//! What somebody else says of a claim.

use hosts::Naming;
use ipc::sessions::Summary;

/// What somebody else says of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Also when there is none.
    No,
    /// The check says yes.
    Yes,
    /// It says yes, and who that is.
    User(String),
    /// It says yes, and what it knows of the user's sessions.
    Sessions(Summary),
    /// This security key has signed.
    Signed {
        /// Which.
        key: u16,
        /// How often it has.
        counter: u32,
    },
    /// This is where clients have to go.
    Address {
        /// Where.
        address: String,
        /// What is to be remembered for those who come back.
        memory: Vec<u8>,
    },
    /// The code is on the screen.
    Shown,
    /// The client's address has these names.
    Named(Vec<Naming>),
}
