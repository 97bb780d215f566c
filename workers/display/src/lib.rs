//! `display`: the X11 side of a seamless session.
//!
//! A compositing window manager that shows each window of the session to any number of clients:
//! what changes is told to their `network`, what is drawn goes to their `encoder`, what they type
//! and point at comes back. It has one connection to the X server, no file and no other socket.
//!
//! Everything that the X server says about windows has been chosen by applications, and they may
//! be hostile: replies are bounded (the crate `xstream`), text is cleaned and numbers are checked
//! ([`properties`]), and a flood of changes ends in a flag that is set already ([`client`]).

#![forbid(unsafe_code)]

pub mod atoms;
pub mod capture;
pub mod client;
pub mod constraints;
pub mod done;
pub mod events;
pub mod focus;
pub mod input;
pub mod outbox;
pub mod pace;
pub mod picture;
pub mod pool;
pub mod properties;
pub mod region;
pub mod requests;
pub mod screen;
pub mod session;
pub mod start;
pub mod window;
pub mod wm;

pub use start::run;
