//! A client in a session: packets to messages and messages to packets.

#[path = "../common/mod.rs"]
mod common;
mod input;
mod pictures;
mod requests;
mod restarts;
mod slowness;
mod start;
mod windows;

use wire::rencodeplus::Value;

fn text(value: &Value) -> String {
    value.to_text().unwrap()
}
