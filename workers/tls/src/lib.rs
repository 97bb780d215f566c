//! What our processes use of the TLS library, and its warm-up: what [`warm_up`] does not try before the
//! sandbox, a filter might not allow.
#![forbid(unsafe_code)]

mod verify;
mod warm_up;

pub use verify::warm_up_verification;
pub use warm_up::warm_up;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// For a server: TLS 1.3, with a key exchange that withstands quantum computers first; and with `tls12` that as
/// well, with forward secrecy and authenticated encryption.
#[must_use]
pub fn server(tls12: bool) -> CryptoProvider {
    use aws_lc_rs::cipher_suite::{
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
    };
    use aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768};
    let mut cipher_suites = vec![
        TLS13_AES_256_GCM_SHA384,
        TLS13_CHACHA20_POLY1305_SHA256,
        TLS13_AES_128_GCM_SHA256,
    ];
    if tls12 {
        cipher_suites.extend([
            TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ]);
    }
    CryptoProvider {
        cipher_suites,
        kx_groups: vec![X25519MLKEM768, X25519, SECP256R1],
        ..aws_lc_rs::default_provider()
    }
}

/// For a client: what servers of the last ten years have, which is TLS 1.2 with forward secrecy and
/// authenticated encryption beside 1.3.
#[must_use]
pub fn client() -> CryptoProvider {
    aws_lc_rs::default_provider()
}
