//! One value. What decodes must encode to bytes that decode to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::limits::Limits;
use wire::rencodeplus::{decode, encode};

fuzz_target!(|data: &[u8]| {
    let budget = &Limits::CLIENT_TO_SERVER.budget;
    if let Ok(value) = decode(data, budget) {
        let again = encode(&value);
        // Compare as bytes: a float may be not a number.
        if let Ok(value) = decode(&again, budget) {
            assert_eq!(encode(&value), again);
        }
    }
});
