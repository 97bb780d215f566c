//! Reading what a server sends: whatever is not there is [`Failure::Malformed`].

use crate::Failure;

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'m>(pub &'m [u8]);

impl<'m> Bytes<'m> {
    /// So many bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn take(&mut self, len: usize) -> Result<&'m [u8], Failure> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Failure::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// So many bytes, as an array.
    ///
    /// # Errors
    /// There are fewer.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Failure::Malformed)
    }

    /// One byte.
    ///
    /// # Errors
    /// There is none.
    pub fn byte(&mut self) -> Result<u8, Failure> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// Text that ends with a zero.
    ///
    /// # Errors
    /// There is no zero.
    pub fn text(&mut self) -> Result<&'m [u8], Failure> {
        let end = self.0.iter().position(|byte| *byte == 0);
        let text = self.take(end.ok_or(Failure::Malformed)?)?;
        self.take(1)?;
        Ok(text)
    }
}

/// Text of a server in a line of the log: short, printable.
#[must_use]
pub fn shown(text: &[u8]) -> String {
    let plain = |byte: &u8| match byte.is_ascii_graphic() {
        true => char::from(*byte),
        false => '?',
    };
    text.iter().take(32).map(plain).collect()
}
