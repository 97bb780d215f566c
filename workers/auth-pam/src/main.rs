//! `bulkhead-auth-pam`: started by the launcher for one login.

use bulkhead_auth_pam::process::Prepared;

fn main() {
    runtime::run(policy::Role::AuthPam, Prepared::new, |seat, prepared| {
        prepared.work(seat)
    })
}
