//! PAM services: which modules decide about a login, and whether they can do that inside of a process
//! that may only read a few files. `bulkhead` looks at a service before a session starts, and the
//! process that asks it before each login: a file may change.
//!
//! Only modules of [`modules::TABLE`] are let in. PAM's modules are programs that anybody may write, and
//! what one of them cannot do in such a process could count as a yes.

#![forbid(unsafe_code)]

mod line;
pub mod modules;
mod service;

pub use line::{Kind, Line, Malformed};
pub use service::{Error, SYSTEM, Service};
