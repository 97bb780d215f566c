//! The rules of tcp-wrappers, as an operator writes them.
#![no_main]

use bulkhead_auth::hosts::{Hosts, Rules};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let Ok(deny) = Rules::parse(file) else { return };
    let hosts = Hosts {
        allow: Rules::default(),
        deny,
    };
    for address in ["10.0.0.1", "::1", "::ffff:10.0.0.1"] {
        let admitted = hosts.admits(address.parse().expect("an address"));
        assert!(admitted || hosts.keeps_out());
    }
});
