use super::{KeyHash, KeyParameters, SessionKey};
use zeroize::Zeroizing;

/// PBKDF2-HMAC over the key data that both sides were given (RFC 8018 5.2,
/// protocol "Negotiation"). The work is bounded by
/// [`Iterations::MAX`](super::Iterations::MAX).
pub fn derive(key_data: &[u8], parameters: &KeyParameters) -> SessionKey {
    let mut bytes = Zeroizing::new(vec![0; parameters.size.bytes()]);
    let pbkdf2 = match parameters.hash {
        KeyHash::Sha1 => pbkdf2::pbkdf2_hmac::<sha1::Sha1>,
        KeyHash::Sha224 => pbkdf2::pbkdf2_hmac::<sha2::Sha224>,
        KeyHash::Sha256 => pbkdf2::pbkdf2_hmac::<sha2::Sha256>,
        KeyHash::Sha384 => pbkdf2::pbkdf2_hmac::<sha2::Sha384>,
        KeyHash::Sha512 => pbkdf2::pbkdf2_hmac::<sha2::Sha512>,
    };
    pbkdf2(
        key_data,
        parameters.salt.as_bytes(),
        parameters.iterations.get(),
        &mut bytes,
    );
    SessionKey {
        size: parameters.size,
        bytes,
    }
}
