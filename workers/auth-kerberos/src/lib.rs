//! The process that asks Kerberos about one login: is confined, hears one question from `auth`,
//! answers it, and ends.
//!
//! The protocol is MIT's library, which is C; what it reads comes from the client (a token) or from
//! a server of keys (its answers). Of the library this uses what needs no file and no network: the
//! configuration is a table of ours, the keys are copied before the sandbox is in force, and the
//! bytes to and from the server go through sockets that somebody else has connected. GSS-API, with
//! its mechanisms that negotiate others, is not needed for reading one token of Kerberos.
//!
//! * [`token`]: what clients send becomes the request to a service (AP-REQ).
//! * [`kdc`]: the bytes to and from the server of keys.
//! * `krb5`: the library.
//! * `process`: the process around it.

#![deny(unsafe_code)]

pub mod kdc;
#[cfg(feature = "libkrb5")]
pub mod krb5;
#[cfg(feature = "libkrb5")]
pub mod process;
pub mod token;
