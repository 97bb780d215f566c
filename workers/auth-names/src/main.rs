//! `bulkhead-auth-names`: asks the DNS which names one address has.
#![forbid(unsafe_code)]

fn main() {
    check::run::<bulkhead_auth_names::process::Names>()
}
