//! The worker that knows the passwords. It never sees a byte of the network protocol: it answers
//! small typed questions of `network` workers and gives its verdicts to the supervisor.
//!
//! * [`modules`]: the chains of modules that guard the listeners.
//! * [`challenge`]: fresh random bytes, answered once.
//! * [`multifile`], [`headers`], [`otp`]: what single modules look at, without any side effect.
//! * [`command`]: how a command is told what the client said.
//! * [`screen`]: codes that are shown on the session's screen.
//! * [`counters`]: how often security keys have signed.
//! * [`guesses`]: how often somebody may try to be a user.
//! * [`told`]: what is said of a client before anybody is asked anything.
//! * [`conversation`]: what one connection may say, and in which order.
//! * [`service`]: the process around them.
#![forbid(unsafe_code)]

pub mod challenge;
pub mod command;
pub mod conversation;
pub mod counters;
pub mod guesses;
pub mod headers;
pub mod modules;
pub mod multifile;
pub mod otp;
pub mod provider;
pub mod screen;
pub mod service;
pub mod told;
