//! The elements of DER (X.690), one after the other.

use crate::Date;

/// Elements, of which the first is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Der<'d>(pub &'d [u8]);

impl<'d> Der<'d> {
    /// Tag of a truth value.
    pub const BOOLEAN: u8 = 0x01;
    /// Tag of a number.
    pub const INTEGER: u8 = 0x02;
    /// Tag of a string of bits.
    pub const BITS: u8 = 0x03;
    /// Tag of a string of bytes.
    pub const BYTES: u8 = 0x04;
    /// Tag of an object identifier.
    pub const OBJECT: u8 = 0x06;
    /// Tag of a text in UTF-8.
    pub const UTF8: u8 = 0x0c;
    /// Tag of a text of letters and digits.
    pub const PRINTABLE: u8 = 0x13;
    /// Tag of a text in ASCII.
    pub const IA5: u8 = 0x16;
    /// Tag of a time with two digits for the year.
    pub const UTC_TIME: u8 = 0x17;
    /// Tag of a time with four.
    pub const GENERALIZED_TIME: u8 = 0x18;
    /// Tag of a sequence.
    pub const SEQUENCE: u8 = 0x30;
    /// Tag of a set.
    pub const SET: u8 = 0x31;

    /// What is in the next element, if it is of this kind.
    pub fn take(&mut self, tag: u8) -> Option<Der<'d>> {
        let mut rest = *self;
        let (found, content, _) = rest.any()?;
        if found != tag {
            return None;
        }
        *self = rest;
        Some(content)
    }

    /// The next element: its tag, what is in it, and all of it.
    pub fn any(&mut self) -> Option<(u8, Der<'d>, &'d [u8])> {
        let all = self.0;
        let (tag, rest) = all.split_first()?;
        let (len, rest) = match rest.split_first()? {
            (len @ 0..=0x7f, rest) => (usize::from(*len), rest),
            (count @ 0x81..=0x83, rest) => {
                let (bytes, rest) = rest.split_at_checked(usize::from(count & 0x7f))?;
                let len = bytes
                    .iter()
                    .fold(0, |len, byte| len << 8 | usize::from(*byte));
                (len, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        let whole = all.get(..all.len() - rest.len())?;
        Some((*tag, Der(content), whole))
    }

    /// A time, in seconds since 1970 (RFC 5280, section 4.1.2.5).
    pub fn time(&mut self) -> Option<i64> {
        let (text, long) = match self.take(Self::UTC_TIME) {
            Some(text) => (text.0, false),
            None => (self.take(Self::GENERALIZED_TIME)?.0, true),
        };
        let digits = text.strip_suffix(b"Z")?;
        let wanted = if long { 14 } else { 12 };
        if digits.len() != wanted || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut pairs = digits.chunks_exact(2).map(|pair| {
            pair.iter()
                .fold(0_u8, |sum, digit| sum * 10 + (digit - b'0'))
        });
        let mut next = || pairs.next();
        let year = match long {
            true => i32::from(next()?) * 100 + i32::from(next()?),
            // RFC 5280, section 4.1.2.5.1.
            false => match i32::from(next()?) {
                year @ 50.. => 1900 + year,
                year => 2000 + year,
            },
        };
        let (month, day) = (next()?, next()?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let clock = [next()?, next()?, next()?];
        let seconds = clock
            .iter()
            .fold(0, |sum, part| sum * 60 + i64::from(*part));
        Some(Date { year, month, day }.begins() + seconds)
    }
}
