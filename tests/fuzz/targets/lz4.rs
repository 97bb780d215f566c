//! A compressed block with its size in front: it is refused, or as long as it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::lz4;

const ALLOWED: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    if let Ok(plain) = lz4::decompress(data, ALLOWED) {
        assert!(plain.len() <= ALLOWED);
        assert_eq!(
            lz4::decompress(&lz4::compress(&plain), ALLOWED).as_ref(),
            Ok(&plain)
        );
    }
});
