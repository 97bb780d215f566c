//! A secret that stands on the command line or in a variable.

use std::fmt;
use std::ops::Deref;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// It, a text or bytes: wiped when it goes, and not shown. Two are compared in constant time. Whoever has written them
/// is the only one who could measure that here; but so nobody has to ask of which secret that is true.
#[derive(Clone)]
pub struct Hidden<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize + AsRef<[u8]>> Hidden<T> {
    /// Hides it.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// Is it this?
    pub fn is(&self, bytes: impl AsRef<[u8]>) -> bool {
        (**self).as_ref().ct_eq(bytes.as_ref()).into()
    }
}

impl<T: Zeroize> From<Zeroizing<T>> for Hidden<T> {
    fn from(value: Zeroizing<T>) -> Self {
        Self(value)
    }
}

impl<T: Zeroize> Deref for Hidden<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + AsRef<[u8]>> PartialEq for Hidden<T> {
    fn eq(&self, other: &Self) -> bool {
        (**self).as_ref().ct_eq((**other).as_ref()).into()
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Hidden<T> {}

impl<T: Zeroize> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_compared_and_not_shown() {
        let one = Hidden::new("a secret".to_owned());
        assert!(one == one.clone() && one.is(b"a secret"));
        for other in ["", "a secre", "a secreu", "a secrets"] {
            assert!(one != Hidden::new(other.to_owned()) && !one.is(other));
        }
        assert_eq!(format!("{one:?}"), "***");
    }
}
