//! `bulkhead-auth-pam`: started by the launcher for one login.

fn main() {
    check::run::<bulkhead_auth_pam::process::Pam>()
}
