//! Every direction of every channel between our own processes.
#![no_main]

#[path = "../directions.rs"]
mod directions;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some((direction, bytes)) = directions::chosen(data) {
        let _ = (direction.check)(bytes);
    }
});
