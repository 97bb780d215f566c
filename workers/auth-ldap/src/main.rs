//! `bulkhead-auth-ldap`: asks an LDAP server about one login.
#![forbid(unsafe_code)]

fn main() {
    check::run::<bulkhead_auth_ldap::process::Ldap>()
}
