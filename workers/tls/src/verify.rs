//! Verifying signatures before the sandbox, with every algorithm that certificates are signed with.

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{AlgorithmIdentifier, alg_id};

/// The base points of the curves as public keys (NIST SP 800-186, section 3.2.1), uncompressed.
const P256: &[u8] = b"\x04\
\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96\
\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5";
const P384: &[u8] = b"\x04\
\xaa\x87\xca\x22\xbe\x8b\x05\x37\x8e\xb1\xc7\x1e\xf3\x20\xad\x74\x6e\x1d\x3b\x62\x8b\xa7\x9b\x98\x59\xf7\x41\xe0\x82\x54\x2a\x38\x55\x02\xf2\x5d\xbf\x55\x29\x6c\x3a\x54\x5e\x38\x72\x76\x0a\xb7\
\x36\x17\xde\x4a\x96\x26\x2c\x6f\x5d\x9e\x98\xbf\x92\x92\xdc\x29\xf8\xf4\x1d\xbd\x28\x9a\x14\x7c\xe9\xda\x31\x13\xb5\xf0\xb8\xc0\x0a\x60\xb1\xce\x1d\x7e\x81\x9d\x7a\x43\x1d\x7c\x90\xea\x0e\x5f";
const P521: &[u8] = b"\x04\
\x00\xc6\x85\x8e\x06\xb7\x04\x04\xe9\xcd\x9e\x3e\xcb\x66\x23\x95\xb4\x42\x9c\x64\x81\x39\x05\x3f\xb5\x21\xf8\x28\xaf\x60\x6b\x4d\x3d\xba\xa1\x4b\x5e\x77\xef\xe7\x59\x28\xfe\x1d\xc1\x27\xa2\xff\xa8\xde\x33\x48\xb3\xc1\x85\x6a\x42\x9b\xf9\x7e\x7e\x31\xc2\xe5\xbd\x66\
\x01\x18\x39\x29\x6a\x78\x9a\x3b\xc0\x04\x5c\x8a\x5f\xb4\x2c\x7d\x1b\xd9\x98\xf5\x44\x49\x57\x9b\x44\x68\x17\xaf\xbd\x17\x27\x3e\x66\x2c\x97\xee\x72\x99\x5e\xf4\x26\x40\xc5\x50\xb9\x01\x3f\xad\x07\x61\x35\x3c\x70\x86\xa2\x72\xc2\x40\x88\xbe\x94\x76\x9f\xd1\x66\x50";
/// The base point of edwards25519 (RFC 8032, section 5.1).
const ED25519: [u8; 32] = {
    let mut point = [0x66; 32];
    point[0] = 0x58;
    point
};

/// An RSA key of 2048 bits that nobody has: `RSAPublicKey` (RFC 8017, appendix A.1.1) of an odd modulus of
/// ones and 65537.
fn rsa() -> Vec<u8> {
    let modulus = [&[0x02, 0x82, 0x01, 0x01, 0x00][..], &[0xff; 256]].concat();
    let content = [&modulus[..], &[0x02, 0x03, 0x01, 0x00, 0x01]].concat();
    let len = u16::try_from(content.len()).unwrap_or_default();
    [&[0x30, 0x82][..], &len.to_be_bytes(), &content].concat()
}

/// A public key of an algorithm, and a signature that is none: right in form, wrong in content.
fn wrong(algorithm: AlgorithmIdentifier) -> Option<(Vec<u8>, Vec<u8>)> {
    let ecdsa = || vec![0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01];
    Some(match algorithm {
        alg_id::RSA_ENCRYPTION => (rsa(), vec![1; 256]),
        alg_id::ECDSA_P256 => (P256.to_vec(), ecdsa()),
        alg_id::ECDSA_P384 => (P384.to_vec(), ecdsa()),
        alg_id::ECDSA_P521 => (P521.to_vec(), ecdsa()),
        alg_id::ED25519 => (ED25519.to_vec(), vec![1; 64]),
        // The sizes are those of FIPS 204, table 2.
        alg_id::ML_DSA_44 => (vec![0; 1312], vec![0; 2420]),
        alg_id::ML_DSA_65 => (vec![0; 1952], vec![0; 3309]),
        alg_id::ML_DSA_87 => (vec![0; 2592], vec![0; 4627]),
        _ => return None,
    })
}

/// Verifies a wrong signature with each algorithm; all of them must say that it is wrong.
///
/// # Errors
/// One takes it, so the library does not work.
pub fn warm_up_verification(provider: &CryptoProvider) -> Result<(), rustls::Error> {
    let failed = |text: &str| Err(rustls::Error::General(text.to_owned()));
    for algorithm in provider.signature_verification_algorithms.all {
        let Some((key, signature)) = wrong(algorithm.public_key_alg_id()) else {
            return failed("an algorithm that is not known here");
        };
        if algorithm
            .verify_signature(&key, b"warm-up", &signature)
            .is_ok()
        {
            return failed("a wrong signature is right");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_algorithm_of_a_client_is_tried() {
        warm_up_verification(&crate::client()).unwrap();
    }
}
