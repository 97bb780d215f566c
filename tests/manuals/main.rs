//! What `docs/authentication.md` and `docs/encryption.md` show in blocks, done as it stands there: by a shell,
//! with the stock client, against real servers. (The lines in their tables: `usage_lines.rs`.)

mod authentication;
mod encryption;

use bulkhead_tests::manual;

/// The chapters with blocks, each with the test that executes them: it is told all blocks of the chapter, and
/// says how many there are.
macro_rules! executed {
    ($($page:ident::$test:ident: $part:literal, $chapter:literal;)*) => {
        const EXECUTED: &[(&str, &str)] = &[$(($part, $chapter)),*];
        $(
            #[test]
            fn $test() {
                $page::$test(manual::blocks($part, $chapter));
            }
        )*
    };
}

executed! {
    authentication::a_try: "Authentication", "Trying a module";
    authentication::multifile: "Authentication", "multifile";
    authentication::sqlite: "Authentication", "sqlite";
    authentication::hosts: "Authentication", "hosts";
    authentication::otp: "Authentication", "otp";
    authentication::otpscreen: "Authentication", "otpscreen";
    authentication::certificate: "Authentication", "certificate";
    authentication::ldap: "Authentication", "`ldap`, `ldap3`";
    authentication::security_keys: "Authentication", "`u2f`, `fido2`";
    authentication::keycloak: "Authentication", "`keycloak`";
    authentication::pam: "Authentication", "`pam`, `sys`";
    authentication::kerberos: "Authentication", "`kerberos-password`, `kerberos-token`, `gss`";
    authentication::exec: "Authentication", "`exec`";
    encryption::tls: "TLS", "Try it";
    encryption::a_new_certificate: "TLS", "A new certificate";
    encryption::certificates_of_clients: "TLS", "Certificates of clients";
    encryption::aes: "AES", "Try it";
}

#[test]
fn every_block_is_executed() {
    assert_eq!(manual::chapters(), EXECUTED);
}
