//! What an operator says about the certificates of clients: who may sign them, which are revoked, and
//! whose they are. The command line reads it when a session starts, to tell what is wrong with it, and
//! the process that judges one client's certificate reads it again.
//!
//! Whether a chain is good is webpki's business. What webpki does not tell, the names in a certificate
//! and what is expected of an authority, is read here, from DER that is bounded.
#![forbid(unsafe_code)]

mod date;
pub mod der;
mod leaf;
mod names;
mod pem;
mod trust;
mod users;

pub use date::Date;
pub use leaf::Leaf;
pub use names::shown;
pub use pem::{Damaged, sections};
pub use trust::{Authority, MAX_TRUST, Trust, Wrong};
pub use users::{Ambiguous, MAX_USERS, Mistake, Users};
