//! What a client sends: a token of GSS-API's (RFC 2743, section 3.1), and in it what Kerberos has a
//! client send to a service (AP-REQ; RFC 4121, section 4.1). Some clients write it in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The first byte of a token, which is no digit of base64: `[APPLICATION 0]`, constructed.
const TAG: u8 = 0x60;
/// The mechanism (`OBJECT IDENTIFIER` 1.2.840.113554.1.2.2), and that an AP-REQ follows.
const KERBEROS: [u8; 13] = [
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02, 0x01, 0x00,
];

/// Not what a client should send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Neither a token nor base64.
    #[error("what the client sends is no token")]
    Text,
    /// It begins like a token, and does not end as it says.
    #[error("a token that is cut off, or too long")]
    Length,
    /// Of another mechanism, or not the first of a conversation.
    #[error("a token that is not Kerberos' first one")]
    Mechanism,
}

/// What Kerberos has to say to a service, out of a token.
///
/// # Errors
/// [`Malformed`].
pub fn request(sent: &[u8]) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    let token = match sent.first() {
        Some(&TAG) => Zeroizing::new(sent.to_vec()),
        _ => STANDARD
            .decode(sent.trim_ascii_end())
            .map(Zeroizing::new)
            .map_err(|_| Malformed::Text)?,
    };
    let inner = inner(&token)?;
    let request = inner.strip_prefix(&KERBEROS).ok_or(Malformed::Mechanism)?;
    match request.is_empty() {
        true => Err(Malformed::Length),
        false => Ok(Zeroizing::new(request.to_vec())),
    }
}

/// What the token's element holds, to its last byte. Lengths are those of DER: definite, and as
/// short as they can be.
fn inner(token: &[u8]) -> Result<&[u8], Malformed> {
    let (inner, len) = match token {
        [TAG, len @ ..=0x7f, inner @ ..] => (inner, usize::from(*len)),
        [TAG, 0x81, len @ 0x80..=0xff, inner @ ..] => (inner, usize::from(*len)),
        [TAG, 0x82, high @ 1..=0xff, low, inner @ ..] => {
            (inner, usize::from(u16::from_be_bytes([*high, *low])))
        }
        [TAG, ..] => return Err(Malformed::Length),
        _ => return Err(Malformed::Text),
    };
    match inner.len() == len {
        true => Ok(inner),
        false => Err(Malformed::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(request: &[u8]) -> Vec<u8> {
        let len = KERBEROS.len() + request.len();
        let head = match u8::try_from(len) {
            Ok(len @ ..0x80) => vec![TAG, len],
            Ok(len) => vec![TAG, 0x81, len],
            Err(_) => [&[TAG, 0x82][..], &u16::try_from(len).unwrap().to_be_bytes()].concat(),
        };
        [&head[..], &KERBEROS, request].concat()
    }

    #[test]
    fn tokens_are_read_as_bytes_and_as_text() {
        for len in [1, 100, 114, 115, 242, 243, 2000, 12_000] {
            let expected = vec![0x6e; len];
            let bytes = token(&expected);
            assert_eq!(*request(&bytes).unwrap(), expected);
            let text = STANDARD.encode(&bytes);
            assert_eq!(*request(text.as_bytes()).unwrap(), expected);
            assert_eq!(*request(format!("{text}\n").as_bytes()).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_first_token_of_kerberos_is_refused() {
        let good = token(b"request");
        let changed = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        for (bytes, why) in [
            (Vec::new(), Malformed::Text),
            (b"not base64!".to_vec(), Malformed::Text),
            (b"====".to_vec(), Malformed::Text),
            // Base64 of what is no token.
            (b"AAAA".to_vec(), Malformed::Text),
            (vec![TAG], Malformed::Length),
            (good[..good.len() - 1].to_vec(), Malformed::Length),
            ([&good[..], b"x"].concat(), Malformed::Length),
            (token(b""), Malformed::Length),
            // The indefinite form, more digits than a token has, and a length that could be shorter.
            (changed(1, 0x80), Malformed::Length),
            (changed(1, 0x84), Malformed::Length),
            (
                [&[TAG, 0x81, good[1]][..], &good[2..]].concat(),
                Malformed::Length,
            ),
            (
                [&[TAG, 0x82, 0, good[1]][..], &good[2..]].concat(),
                Malformed::Length,
            ),
            // Another mechanism, and the answer to a request.
            (changed(10, 0x03), Malformed::Mechanism),
            (changed(13, 0x02), Malformed::Mechanism),
            (vec![TAG, 3, 6, 1, 0], Malformed::Mechanism),
        ] {
            assert_eq!(request(&bytes), Err(why), "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = request(&bytes);
            let _ = request(&[&[TAG][..], &bytes].concat());
            let _ = request(&token(&bytes));
        }
    }
}
