//! One question: is this certificate of a client good now, has the client its key, and whose is it?
//!
//! The process lives for one login. It is the only one that parses what a stranger sent as
//! certificates: who breaks it can say yes to that one login, and reach nothing else: it has no secret,
//! no socket and no file.
//!
//! * [`verify`]: the judgement.
//! * [`process`]: the process around it.
#![forbid(unsafe_code)]

pub mod process;
pub mod verify;
