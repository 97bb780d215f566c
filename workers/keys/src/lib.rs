//! The worker that knows the AES key data and the private keys of TLS. It never sees a byte of the
//! network protocol: it answers two small typed questions of `network` workers, with the keys of
//! that connection or the signature of its handshake.
//!
//! * [`key_data`]: what the operator gave for each listener.
//! * [`derivation`]: what may be derived, and how.
//! * [`salts`]: no salt of a client's is used twice.
//! * [`signing`]: what may be signed.
//! * [`private_key`]: with what.
//! * [`encrypted`]: with what pass phrase that is opened.
//! * [`service`]: the process around them.
#![forbid(unsafe_code)]

pub mod derivation;
pub mod encrypted;
pub mod key_data;
pub mod private_key;
pub mod salts;
pub mod service;
pub mod signing;
