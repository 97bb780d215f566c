//! One password, as the bytes that clients make of it: the stock client's are Latin-1 where it was
//! typed and it can be, those of a password file are whatever stands there (protocol "Exact
//! computation"). Databases have text.

use zeroize::Zeroizing;

/// The text of a password that a client has sent: UTF-8 if it is that, else Latin-1.
#[must_use]
pub fn text(password: &[u8]) -> Zeroizing<Vec<u8>> {
    match std::str::from_utf8(password) {
        Ok(_) => Zeroizing::new(password.to_vec()),
        Err(_) => {
            // No growing, which would leave copies behind.
            let mut text = Zeroizing::new(Vec::with_capacity(password.len() * 2));
            let mut room = [0; 2];
            for byte in password {
                text.extend_from_slice(char::from(*byte).encode_utf8(&mut room).as_bytes());
            }
            text
        }
    }
}

/// The same password as Latin-1, if that is something else.
#[must_use]
pub fn latin1(password: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if password.is_ascii() {
        return None;
    }
    let text = std::str::from_utf8(password).ok()?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(password.len()));
    for c in text.chars() {
        bytes.push(u8::try_from(u32::from(c)).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_two_spellings_at_most() {
        assert_eq!(*text(b"plain"), b"plain");
        assert_eq!(*text("\u{fc}".as_bytes()), "\u{fc}".as_bytes());
        assert_eq!(*text(b"\xfc!"), "\u{fc}!".as_bytes());
        assert_eq!(*text(b""), b"");
        assert!(latin1(b"plain").is_none() && latin1(b"").is_none());
        assert_eq!(*latin1("\u{fc}!".as_bytes()).unwrap(), b"\xfc!");
        assert!(latin1("\u{20ac}".as_bytes()).is_none());
        assert!(latin1(b"\xfc").is_none());
    }
}
