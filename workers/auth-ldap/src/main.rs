//! Asks an LDAP server about one login.
#![forbid(unsafe_code)]

use bulkhead_auth_ldap::process::Prepared;
use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run(runtime::Role::AuthLdap, Prepared::new, |seat, prepared| {
        prepared.work(seat)
    })
}
