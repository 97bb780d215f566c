//! One question: which of the known security keys has signed the challenge of this login?
//!
//! The process lives for one login. Nothing in it is a secret: it has public keys, and what one
//! client has sent. It is there because what the client has sent is parsed here and given to a large
//! library, which `auth`, that knows the passwords, does neither of.
//!
//! * [`signed`]: what has to be true of an answer.
//! * [`process`]: the process around it.
#![forbid(unsafe_code)]

pub mod process;
pub mod signed;
