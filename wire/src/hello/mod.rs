//! `hello`: who the two sides are and what they can do (protocol "hello, and
//! which packet names to use").

mod client;
mod display;
mod keymap;
mod one_shot;
mod server;

pub use client::{
    AuthCaps, ClientHello, CursorCaps, EncodingCaps, HelloError, Identity, NetworkCaps, Request,
};
pub use display::{DisplayCaps, Monitor, Screen};
pub use keymap::{Keycode, Keymap, XkbQuery};
pub use one_shot::{command_reply, connect_test_reply, id_reply, version_reply};
pub use server::{ModifierKeycodes, ServerHello};
