//! The basic encoding rules of ASN.1, as far as LDAP uses them: definite lengths, tags of one byte
//! (RFC 4511, section 5.1). Reading goes one level at a time, so nothing recurses. What is written
//! is wiped when it is dropped: a password may be in it.

use zeroize::Zeroizing;

/// `BOOLEAN`.
pub const BOOLEAN: u8 = 0x01;
/// `INTEGER`.
pub const INTEGER: u8 = 0x02;
/// `OCTET STRING`.
pub const OCTETS: u8 = 0x04;
/// `ENUMERATED`.
pub const ENUMERATED: u8 = 0x0a;
/// `SEQUENCE`.
pub const SEQUENCE: u8 = 0x30;

/// Not what it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an answer that is not LDAP")]
pub struct Malformed;

/// An element with this tag around what it holds.
#[must_use]
pub fn element(tag: u8, content: &[u8]) -> Zeroizing<Vec<u8>> {
    let len = content.len();
    // Enough for all of it: bytes that grow leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(len + 2 + size_of::<usize>()));
    bytes.push(tag);
    if len < 0x80 {
        bytes.extend(u8::try_from(len));
    } else {
        let digits = len.to_be_bytes();
        let skip = digits.iter().take_while(|digit| **digit == 0).count();
        bytes.extend(u8::try_from(digits.len() - skip).map(|count| 0x80 | count));
        bytes.extend_from_slice(&digits[skip..]);
    }
    bytes.extend_from_slice(content);
    bytes
}

/// An element of several.
#[must_use]
pub fn all(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    element(tag, &Zeroizing::new(parts.concat()))
}

/// A number that is not negative, `INTEGER` or `ENUMERATED`.
#[must_use]
pub fn number(tag: u8, value: u32) -> Zeroizing<Vec<u8>> {
    let digits = value.to_be_bytes();
    let skip = digits[..3].iter().take_while(|digit| **digit == 0).count();
    // One more where the first bit would be a sign.
    let sign = if digits[skip] >= 0x80 { &[0][..] } else { &[] };
    element(tag, &[sign, &digits[skip..]].concat())
}

/// How long the element is that begins here, its head included. `None`: more bytes are needed to
/// know.
///
/// # Errors
/// This is no beginning of an element, or one longer than `max` bytes.
pub fn length(bytes: &[u8], max: usize) -> Result<Option<usize>, Malformed> {
    let (head, len) = match bytes {
        [] | [_] => return Ok(None),
        [_, short @ ..0x80, ..] => (2, usize::from(*short)),
        [_, long, rest @ ..] => {
            let count = usize::from(long & 0x7f);
            if !(1..=4).contains(&count) {
                return Err(Malformed);
            }
            let Some(digits) = rest.get(..count) else {
                return Ok(None);
            };
            let add = |len: usize, digit: &u8| len << 8 | usize::from(*digit);
            (2 + count, digits.iter().fold(0, add))
        }
    };
    match len <= max.saturating_sub(head) {
        true => Ok(Some(head + len)),
        false => Err(Malformed),
    }
}

/// Elements, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// The next one: its tag and what it holds.
    ///
    /// # Errors
    /// There is none, or not all of it.
    pub fn any(&mut self) -> Result<(u8, &'b [u8]), Malformed> {
        let whole = length(self.0, self.0.len())?.ok_or(Malformed)?;
        let (element, rest) = self.0.split_at_checked(whole).ok_or(Malformed)?;
        // As `length` has read it.
        let head = match element[1] {
            0..0x80 => 2,
            long => 2 + usize::from(long & 0x7f),
        };
        self.0 = rest;
        Ok((element[0], &element[head..]))
    }

    /// The next one, which must have this tag.
    ///
    /// # Errors
    /// It has not.
    pub fn expect(&mut self, tag: u8) -> Result<&'b [u8], Malformed> {
        match self.any()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(Malformed),
        }
    }

    /// A number that is not negative.
    ///
    /// # Errors
    /// It is no number, or a larger one.
    pub fn number(&mut self, tag: u8) -> Result<u32, Malformed> {
        match self.expect(tag)? {
            digits @ [0..0x80, ..] if digits.len() <= 4 => {
                let add = |value: u32, digit: &u8| value << 8 | u32::from(*digit);
                Ok(digits.iter().fold(0, add))
            }
            _ => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_encodings() {
        assert_eq!(*number(INTEGER, 0), [2, 1, 0]);
        assert_eq!(*number(INTEGER, 127), [2, 1, 127]);
        assert_eq!(*number(INTEGER, 128), [2, 2, 0, 128]);
        assert_eq!(*number(ENUMERATED, 256), [10, 2, 1, 0]);
        assert_eq!(*element(OCTETS, b"ab"), [4, 2, b'a', b'b']);
        assert_eq!(element(OCTETS, &[7; 128])[..4], [4, 0x81, 128, 7]);
        assert_eq!(element(OCTETS, &[7; 300])[..5], [4, 0x82, 1, 44, 7]);
    }

    #[test]
    fn lengths_are_bounded_before_anything_is_kept() {
        assert_eq!(length(&[], 100), Ok(None));
        assert_eq!(length(&[0x30], 100), Ok(None));
        assert_eq!(length(&[0x30, 0x82, 1], 1000), Ok(None));
        assert_eq!(length(&[0x30, 98], 100), Ok(Some(100)));
        assert_eq!(length(&[0x30, 99], 100), Err(Malformed));
        // 2 GiB; the indefinite form; more digits than we read.
        assert_eq!(
            length(&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff], 65536),
            Err(Malformed)
        );
        assert_eq!(length(&[0x30, 0x80, 0, 0], 100), Err(Malformed));
        assert_eq!(length(&[0x30, 0x85, 0, 0, 0, 0, 1], 100), Err(Malformed));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            content in prop::collection::vec(any::<u8>(), 0..700),
            value in 0..=0x7fff_ffff_u32,
        ) {
            let bytes = [&element(OCTETS, &content)[..], &number(INTEGER, value)].concat();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.expect(OCTETS), Ok(&content[..]));
            prop_assert_eq!(reader.number(INTEGER), Ok(value));
            prop_assert_eq!(reader.any(), Err(Malformed));
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader::new(&bytes);
            while reader.any().is_ok() {}
            let _ = (length(&bytes, 30), Reader::new(&bytes).number(INTEGER));
        }
    }
}
