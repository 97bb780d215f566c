//! Who may sign certificates of clients, and whose they are: both files as an operator writes them.
#![no_main]

use certificates::{Trust, Users};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    if let Ok(trust) = Trust::read(file, 1_800_000_000) {
        assert!(!trust.authorities.is_empty());
    }
    let _ = Users::read(file);
});
