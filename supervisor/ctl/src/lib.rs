//! `ctl`: asks one thing of a running session and prints the answer. The server may be hostile:
//! this process has its socket, and nothing else.
//!
//! * [`conversation`]: what is said, without any input or output of its own.
//! * [`exchange`]: the socket, with time-outs.
//! * [`show`]: answers as `key=value` lines.
#![forbid(unsafe_code)]

pub mod conversation;
pub mod exchange;
pub mod show;
