//! Messages between Bulkhead's own processes, and the channels that carry them.
//!
//! * [`channel`]: typed, versioned, bounded messages over `SOCK_SEQPACKET` socketpairs.
//! * [`shared`]: sealed memory for pixels and encoded frames, passed once as a descriptor.
//! * One module per edge of the process graph, named after its two ends; one enum per
//!   direction. A channel exists only if `policy/` declares the edge.
//! * [`http`]: the request that opened a WebSocket.
//! * [`sessions`]: what a module knows of a user's sessions.
//! * [`spec`]: what the command line hands to the processes it starts.
//!
//! A peer that breaks a rule is an error *value* here ([`ChannelError`]): the receiver reports
//! it to the supervisor, which ends the sender. Nothing in this crate panics on a peer's bytes.

pub mod auth;
pub mod capture;
pub mod channel;
pub mod check;
pub mod command;
pub mod display;
pub mod encoder;
pub mod frames;
pub mod geometry;
pub mod http;
pub mod ids;
pub mod input;
pub mod keys;
pub mod launcher;
pub mod network;
pub mod reload;
pub mod sessions;
pub mod shared;
pub mod spec;
pub mod tls;
pub mod untrusted;
pub mod verdict;

pub use channel::{Channel, ChannelError, Message};
pub use geometry::{Position, Rect, Size};
pub use ids::{ConnectionId, ListenerId, WindowId};
pub use untrusted::Untrusted;
