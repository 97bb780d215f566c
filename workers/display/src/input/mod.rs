//! Keys, pointer and layout, from clients to the X server.

pub mod keyboard;
pub mod keysyms;
pub mod layout;
pub mod pointer;
