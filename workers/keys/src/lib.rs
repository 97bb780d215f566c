//! The worker that knows the AES key data. It never sees a byte of the network protocol: it
//! answers one small typed question of `network` workers with the keys of that connection.
//!
//! * [`key_data`]: what the operator gave, read for each derivation.
//! * [`derivation`]: what may be derived, and how.
//! * [`salts`]: no salt of a client's is used twice.
//! * [`service`]: the process around them.
#![forbid(unsafe_code)]

pub mod derivation;
pub mod key_data;
pub mod salts;
pub mod service;
