//! Secrets: read from their descriptor for each check, wiped after it, never shown.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use zeroize::Zeroizing;

/// Largest secret in bytes. A password file is read whole, its last newline included
/// (protocol "Modules").
pub const MAX_SECRET: usize = 64 * 1024;

/// What a secret file holds. Wiped when dropped.
pub struct Secret {
    /// Allocated once at its largest size, so that growing leaves no copy behind.
    buffer: Zeroizing<Vec<u8>>,
    len: usize,
}

impl Secret {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Why there is no secret to check against.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The kernel refused.
    #[error("cannot be read ({0}): check that it is a file that the session's user may read")]
    Read(#[from] std::io::Error),
    /// Nothing in it: everybody knows the empty password.
    #[error("is empty: write a password into it")]
    Empty,
    /// More than [`MAX_SECRET`].
    #[error("is larger than 64 KiB: it cannot be a password")]
    TooLarge,
}

/// An open secret: a sealed memfd, or a password file whose content may change.
#[derive(Debug)]
pub struct SecretFile(File);

impl SecretFile {
    /// A passed descriptor.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self(file)
    }

    /// Reads what it holds now.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn read(&self) -> Result<Secret, SecretError> {
        let mut secret = Secret {
            buffer: Zeroizing::new(vec![0; MAX_SECRET + 1]),
            len: 0,
        };
        while let Some(rest) = secret
            .buffer
            .get_mut(secret.len..)
            .filter(|rest| !rest.is_empty())
        {
            match self.0.read_at(rest, secret.len as u64) {
                Ok(0) => break,
                Ok(read) => secret.len += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        match secret.len {
            0 => Err(SecretError::Empty),
            len if len > MAX_SECRET => Err(SecretError::TooLarge),
            _ => Ok(secret),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &[u8]) -> (tempfile::NamedTempFile, SecretFile) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        let secret = SecretFile::new(file.reopen().unwrap());
        (file, secret)
    }

    #[test]
    fn the_whole_content_counts_and_changes_are_seen() {
        let (mut file, secret) = file(b"pass word\n");
        assert_eq!(secret.read().unwrap().bytes(), b"pass word\n");
        file.as_file().set_len(0).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(secret.read().unwrap().bytes(), b"new");
    }

    #[test]
    fn empty_too_large_and_unreadable_are_no_secret() {
        assert!(matches!(file(b"").1.read(), Err(SecretError::Empty)));
        assert!(file(&[b'x'; MAX_SECRET]).1.read().is_ok());
        let error = file(&[b'x'; MAX_SECRET + 1]).1.read();
        assert!(matches!(error, Err(SecretError::TooLarge)));
        let directory = SecretFile::new(File::open("/").unwrap());
        assert!(matches!(directory.read(), Err(SecretError::Read(_))));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let (_keep, secret) = file(b"hunter2");
        assert_eq!(format!("{:?}", secret.read().unwrap()), "<secret>");
    }
}
