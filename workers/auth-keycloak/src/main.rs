//! `bulkhead-auth-keycloak`: asks an OpenID Connect provider about one login.
#![forbid(unsafe_code)]

fn main() {
    check::run::<bulkhead_auth_keycloak::process::Keycloak>()
}
