//! What a database of users says of itself, and the hash of a user in it.
#![no_main]

use accounts::{file, hash, spelling};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let kept = file::passwords(bytes);
    assert!(kept.is_err() || bytes.len() >= file::HEADER);
    if hash::Parsed::read(bytes).is_ok() {
        assert!(hash::is_hash(bytes));
    }
    let text = spelling::text(bytes);
    assert!(std::str::from_utf8(&text).is_ok());
    if let Some(latin1) = spelling::latin1(bytes) {
        assert!(latin1.len() < bytes.len());
    }
});
