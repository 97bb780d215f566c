//! What a security key signs (protocol "U2F/FIDO2"), and the answer that carries its signature.
//!
//! The server's salt is what is signed: with the name of the application, a text that the client
//! calls its origin, whether somebody was there, and how often the key has signed. Nothing here
//! signs or checks a signature: a client has a [`Token`] for that, and a server its own way.

use sha2::{Digest as _, Sha256};

/// Which of the two digests that ask for a signature; what is signed is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `u2f`.
    U2f,
    /// `fido2`.
    Fido2,
}

impl Protocol {
    /// The digest's name in a client's hello.
    pub fn digest_name(self) -> &'static str {
        match self {
            Protocol::U2f => "u2f",
            Protocol::Fido2 => "fido2",
        }
    }

    /// The digest's name in a challenge. The second half says nothing.
    pub fn challenge_name(self) -> &'static str {
        match self {
            Protocol::U2f => "u2f:xor",
            Protocol::Fido2 => "fido2:xor",
        }
    }
}

/// Somebody was there: touched the key.
pub const PRESENT: u8 = 0x01;
/// The key knows who it was: by a PIN or a finger.
pub const VERIFIED: u8 = 0x04;

/// Bytes in front of a signature: flags, and the counter.
const HEAD: usize = 5;
/// Bytes of a signature: two numbers of 256 bits in DER, of which each takes from one byte to 33.
const SIGNATURE: std::ops::RangeInclusive<usize> = 8..=72;

/// Bytes of what is signed.
pub const MESSAGE: usize = 32 + HEAD + 32;

/// The answer to a challenge, `challenge_response` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assertion<'a> {
    /// [`PRESENT`], [`VERIFIED`], and what else the key says.
    pub flags: u8,
    /// How often the key has signed; always 0 if it does not count.
    pub counter: u32,
    /// ECDSA on P-256 with SHA-256, in DER: not looked at.
    pub signature: &'a [u8],
}

impl<'a> Assertion<'a> {
    /// Splits an answer; `None` when it is no longer or shorter than answers are.
    pub fn parse(response: &'a [u8]) -> Option<Self> {
        let ([flags, counter @ ..], signature) = response.split_first_chunk::<HEAD>()?;
        SIGNATURE.contains(&signature.len()).then_some(Self {
            flags: *flags,
            counter: u32::from_be_bytes(*counter),
            signature,
        })
    }

    /// What has to be signed for it, for this application and these [`client_data`].
    pub fn message(&self, app_id: &str, client_data: &str) -> [u8; MESSAGE] {
        let mut message = [0; MESSAGE];
        let parts = [
            &hash(app_id)[..],
            &[self.flags],
            &self.counter.to_be_bytes(),
            &hash(client_data),
        ];
        for (place, byte) in message.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        message
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// The JSON text about a challenge that is signed (its hash is): the keys in the order of the
/// alphabet, separated and escaped as Python's `json` does, which is what the stock clients use.
pub fn client_data(challenge: &[u8], origin: &str) -> String {
    format!(
        r#"{{"challenge": "{}", "origin": "{}", "typ": "navigator.id.getAssertion"}}"#,
        base64url(challenge),
        json(origin)
    )
}

/// RFC 4648 section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let byte = |at: usize| u32::from(part.get(at).copied().unwrap_or(0));
        let number = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..=part.len() {
            let letter = number >> (18 - 6 * at) & 63;
            let letter = usize::try_from(letter).ok().and_then(|at| LETTERS.get(at));
            text.extend(letter.copied().map(char::from));
        }
    }
    text
}

/// The inside of a JSON string, in ASCII.
fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out
}

/// The text that a client means with an origin, `challenge_client_salt` on the wire: each character
/// is a byte if all of them can be (latin1), else it is UTF-8.
pub fn origin(salt: &[u8]) -> String {
    match std::str::from_utf8(salt) {
        Ok(text) if text.chars().any(|c| c > '\u{ff}') => text.to_owned(),
        _ => salt.iter().copied().map(char::from).collect(),
    }
}

/// The other way round.
pub fn origin_salt(origin: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = origin.chars().map(|c| u8::try_from(c).ok()).collect();
    bytes.unwrap_or_else(|| origin.as_bytes().to_vec())
}

/// A security key, as a client sees it.
pub trait Token {
    /// Signs, when somebody touches it, for an application and for client data, of both of which
    /// it gets the SHA-256: flags, counter (big endian) and signature, one after the other, as
    /// U2F and CTAP1 have it. `None` when nobody does, or it is another key.
    fn authenticate(&mut self, application: [u8; 32], client_data: [u8; 32]) -> Option<Vec<u8>>;
}

/// The answer to a challenge: `challenge_response` and `challenge_client_salt`.
pub fn respond(
    token: &mut dyn Token,
    app_id: &str,
    challenge: &[u8],
    origin: &str,
) -> Option<(Vec<u8>, Vec<u8>)> {
    let response = token.authenticate(hash(app_id), hash(&client_data(challenge, origin)))?;
    Some((response, origin_salt(origin)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `json.dumps(…, sort_keys=True)` of Python 3.11 makes of the same.
    #[test]
    fn client_data_are_what_python_writes() {
        for (challenge, origin, text) in [
            (
                &b"\x00\x10\x83\xff\xfe"[..],
                "Xpra",
                r#"{"challenge": "ABCD__4", "origin": "Xpra", "typ": "navigator.id.getAssertion"}"#,
            ),
            (
                b"",
                "a \"b\" \\ /\u{7f}<&'>",
                "{\"challenge\": \"\", \"origin\": \"a \\\"b\\\" \\\\ /\\u007f<&'>\", \"typ\": \"navigator.id.getAssertion\"}",
            ),
            (
                b"\xfb",
                "\0\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f}",
                r#"{"challenge": "-w", "origin": "\u0000\u0001\b\t\n\u000b\f\r\u001f", "typ": "navigator.id.getAssertion"}"#,
            ),
            (
                b"ab",
                "h\u{f6}st\u{80}\u{20ac}\u{1f511}\u{ffff}",
                r#"{"challenge": "YWI", "origin": "h\u00f6st\u0080\u20ac\ud83d\udd11\uffff", "typ": "navigator.id.getAssertion"}"#,
            ),
        ] {
            assert_eq!(client_data(challenge, origin), text);
        }
        assert_eq!(base64url(b"abc"), "YWJj");
    }

    #[test]
    fn an_origin_is_the_text_that_the_client_has() {
        for text in [
            "",
            "Xpra",
            "h\u{f6}st",
            "\u{20ac}",
            "\u{c3}\u{a9}",
            "\u{1f511}\u{e9}",
        ] {
            assert_eq!(origin(&origin_salt(text)), text, "{text:?}");
        }
        assert_eq!(origin_salt("\u{f6}"), b"\xf6");
        assert_eq!(origin(b"\xff\xfe"), "\u{ff}\u{fe}");
    }

    #[test]
    fn an_answer_has_its_length() {
        let bytes = |len| vec![7; len];
        for len in [0, 1, 5, 12, 78, 1024] {
            assert_eq!(Assertion::parse(&bytes(len)), None, "{len}");
        }
        for len in [13, 75, 77] {
            let bytes = bytes(len);
            let found = Assertion::parse(&bytes).unwrap();
            assert_eq!((found.flags, found.counter), (7, 0x0707_0707));
            assert_eq!(found.signature.len(), len - 5);
        }
    }

    #[test]
    fn what_is_signed_has_everything_in_it() {
        let response = [&[PRESENT, 0, 0, 1, 2][..], &[0; 70]].concat();
        let found = Assertion::parse(&response).unwrap();
        let message = found.message("Xpra", "{}");
        assert_eq!(message[..32], hash("Xpra"));
        assert_eq!(message[32..37], response[..5]);
        assert_eq!(message[37..], hash("{}"));
    }

    struct Echo;
    impl Token for Echo {
        fn authenticate(&mut self, application: [u8; 32], data: [u8; 32]) -> Option<Vec<u8>> {
            Some([application, data].concat())
        }
    }

    #[test]
    fn a_token_is_asked_about_two_hashes() {
        let found = respond(&mut Echo, "Xpra", b"salt", "h\u{f6}st");
        let data = client_data(b"salt", "h\u{f6}st");
        let expected = ([hash("Xpra"), hash(&data)].concat(), b"h\xf6st".to_vec());
        assert_eq!(found, Some(expected));
    }
}
