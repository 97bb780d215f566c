//! `bulkhead-display`: see the library.

#![forbid(unsafe_code)]

use ipc::Channel;
use runtime::Role;
use std::collections::HashMap;
use std::convert::Infallible;
use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run(
        Role::Display,
        // x11rb has hash maps: their first one asks the kernel for a seed.
        |_seat| Ok::<_, Infallible>(HashMap::<u8, u8>::new()),
        |mut seat, _warm| match display::run(Channel::new(seat.supervisor())) {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        },
    )
}
