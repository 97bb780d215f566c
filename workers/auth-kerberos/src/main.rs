//! `bulkhead-auth-kerberos`: started by the launcher for one login.

fn main() {
    check::run::<bulkhead_auth_kerberos::process::Login>()
}
