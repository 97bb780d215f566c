//! Files in places where others may write.
//!
//! A start as root makes, opens and removes files for a session's user. Where only root can
//! change what a path leads to, it does so as root; everywhere else with the user's rights
//! ([`Spot`]): then a link, a pipe or another's file that lies in its way leads to nothing that
//! the user could not have reached. There is no third case, so nothing depends on the moment
//! between a check and its use.

#![forbid(unsafe_code)]

pub mod display;
mod identity;
mod made;
mod named;
mod open;
mod socket;
mod spot;

pub use identity::{Ids, as_user};
pub use made::{made, remove};
pub use named::{
    MAX_AUTHORITIES, MAX_SECRET, check_file, check_len, check_owner, identity, identity_of, name,
    noun, open_named, reason,
};
pub use open::{ordinary, small};
pub use socket::{connect, listens, listens_abstract};
pub use spot::{Guard, Spot, check_own, check_program, guard, is_of_a_process, own_path};
