//! What a client sends as a security key's answer, and what a registration gave.
#![no_main]

use bulkhead_cli::register::Registered;
use libfuzzer_sys::fuzz_target;
use wire::security_key::{self, Assertion};

fuzz_target!(|data: &[u8]| {
    let _ = Registered::read(data);
    let Some((at, data)) = data.split_first() else {
        return;
    };
    let (salt, response) = data.split_at(data.len().min((*at).into()));
    let origin = security_key::origin(salt);
    assert_eq!(security_key::origin_salt(&origin), salt);
    let text = security_key::client_data(salt, &origin);
    assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    if let Some(answer) = Assertion::parse(response) {
        assert_eq!(answer.message("Xpra", &text)[32..37], response[..5]);
        assert!(answer.signature.len() <= 72);
    }
});
