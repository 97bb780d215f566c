//! `bulkhead-auth-certificate`: judges the certificate of one client.
#![forbid(unsafe_code)]

fn main() {
    check::run::<bulkhead_auth_certificate::process::Certificate>()
}
