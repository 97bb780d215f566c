//! The process that asks PAM about one login: loads the modules of a service, is confined, hears one
//! question from `auth`, answers it, and ends.
//!
//! The modules are C that anybody may have written. They are loaded in the warm-up, before there is
//! anything worth stealing; from then on the process may read the files of users and nothing else,
//! and what they ask the kernel for beyond that ends it, which is a no.

#![deny(unsafe_code)]

pub mod conversation;
#[cfg(feature = "libpam")]
pub mod pam;
#[cfg(feature = "libpam")]
pub mod process;
