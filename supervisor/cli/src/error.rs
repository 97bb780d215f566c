//! One line that says what, where and what to do.

use std::fmt;

pub use files::reason;

/// Why the command ends without having done its work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    message: String,
    /// The command line itself is wrong.
    usage: bool,
}

impl Error {
    /// Something on this machine is not as it must be.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: one_line(&message.into()),
            usage: false,
        }
    }

    /// What was typed (or configured) is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            message: one_line(&message.into()),
            usage: true,
        }
    }

    /// The exit code: 2 for a wrong command line, else 1.
    #[must_use]
    pub fn code(&self) -> u8 {
        if self.usage { 2 } else { 1 }
    }

    /// The same with a place in front.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self {
            message: one_line(&format!("{place}: {}", self.message)),
            usage: self.usage,
        }
    }
}

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// Makes one printable line of a text that may contain anything.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_printable_line() {
        assert_eq!(Error::new("a\nb\x1b[31m").to_string(), "a b\u{fffd}[31m");
        assert_eq!(Error::usage("x").at("line 3").to_string(), "line 3: x");
        assert_eq!((Error::usage("x").code(), Error::new("x").code()), (2, 1));
    }
}
