//! The operator's file of certificates.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|pem: &[u8]| {
    if let Ok(chain) = bulkhead_cli::certificate::chain(pem, 1_800_000_000) {
        assert!(!chain.certificates.is_empty());
    }
});
