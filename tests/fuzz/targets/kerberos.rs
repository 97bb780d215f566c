//! What clients send for a ticket, and a KDC's answer, before the library sees them.
#![no_main]

use bulkhead_auth_kerberos::kdc::{MAX_ANSWER, frame, is_answer, unframe};
use bulkhead_auth_kerberos::token::request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = request(bytes) {
        assert!(!request.is_empty() && request.len() < bytes.len());
    }
    if let Ok(Some(message)) = unframe(bytes) {
        assert!((1..=MAX_ANSWER).contains(&message.len()));
        assert_eq!(frame(message).unwrap(), bytes);
        if is_answer(message) {
            assert!(message.len() > 1);
        }
    }
});
