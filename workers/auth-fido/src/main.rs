//! `bulkhead-auth-fido`: looks which security key has signed the challenge of one login.
#![forbid(unsafe_code)]

fn main() {
    check::run::<bulkhead_auth_fido::process::Fido>()
}
