//! Password files with many users, as an operator writes them.
#![no_main]

use bulkhead_auth::multifile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let checked = multifile::check(file);
    for user in ["", "ann", "x"] {
        let found = multifile::password(file, user, b"nobody");
        assert_eq!(found.err(), checked.err());
    }
});
