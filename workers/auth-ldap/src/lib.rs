//! One question to an LDAP server: do this user and this password belong together?
//!
//! The process lives for one login. What a broken or hostile server can reach in it is that one
//! password, which was meant for the server anyway, and the connection to it.
//!
//! Of LDAP (RFC 4511) this needs a bind and a search for one name, so that is what is here, on a
//! socket that somebody else has connected: no name service, no runtime, no thread, and no filter
//! that would have to be escaped.
//!
//! * [`ber`]: the encoding, bounded, flat.
//! * [`message`]: the few messages.
//! * [`names`]: what the client says becomes the name of an entry.
//! * [`server`]: the conversation with the server.
//! * [`process`]: the process around it.
#![forbid(unsafe_code)]

pub mod ber;
pub mod message;
pub mod names;
pub mod process;
pub mod server;
