//! A configuration file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = bulkhead_cli::config::parse(text, "fuzzed.toml") {
        assert!(error.to_string().contains("fuzzed.toml"), "{error}");
    }
});
