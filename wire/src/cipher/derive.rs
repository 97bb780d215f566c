use super::{CipherOffer, KeyHash, SessionKey};
use zeroize::Zeroizing;

/// The key of the records that the sender of `offer` will receive:
/// PBKDF2-HMAC over the key data that both sides were given (RFC 8018 5.2,
/// protocol "Negotiation"). The work is bounded by
/// [`Iterations::MAX`](super::Iterations::MAX).
pub fn derive(key_data: &[u8], offer: &CipherOffer) -> SessionKey {
    let mut bytes = Zeroizing::new([0; super::KeySize::MAX]);
    let (key, _) = bytes.split_at_mut(offer.key_size.bytes());
    let pbkdf2 = match offer.hash {
        KeyHash::Sha1 => pbkdf2::pbkdf2_hmac::<sha1::Sha1>,
        KeyHash::Sha224 => pbkdf2::pbkdf2_hmac::<sha2::Sha224>,
        KeyHash::Sha256 => pbkdf2::pbkdf2_hmac::<sha2::Sha256>,
        KeyHash::Sha384 => pbkdf2::pbkdf2_hmac::<sha2::Sha384>,
        KeyHash::Sha512 => pbkdf2::pbkdf2_hmac::<sha2::Sha512>,
    };
    pbkdf2(key_data, offer.salt.as_bytes(), offer.iterations.get(), key);
    SessionKey {
        size: offer.key_size,
        bytes,
    }
}
