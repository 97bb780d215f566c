//! Secrets: read from their descriptor for each check into memory that is not swapped out, wiped
//! after it, never shown.

use crate::secret_memory::SecretMemory;
use nix::sys::stat::fstat;
use std::fmt;
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use zeroize::Zeroize;

/// Largest secret in bytes. A password file is read whole, its last newline included
/// (protocol "Modules").
pub const MAX_SECRET: usize = 64 * 1024;

/// Memory for one secret at a time.
pub struct Buffer(SecretMemory);

impl Buffer {
    /// Large enough for every secret. To be made in the warm-up.
    ///
    /// # Errors
    /// There is not so much memory.
    pub fn new() -> std::io::Result<Self> {
        // One more byte, to tell what is too large.
        let len = NonZeroUsize::MIN.saturating_add(MAX_SECRET);
        Ok(Self(SecretMemory::new(len)?))
    }
}

/// What a secret file holds. Wiped when dropped.
pub struct Secret<'b>(&'b mut [u8]);

impl Secret<'_> {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0
    }
}

impl Drop for Secret<'_> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Overwrites what the functions that have returned have left below on the stack: a library that
/// computes with a secret moves copies of it there. What is to be covered must have been called,
/// not inlined.
#[inline(never)]
pub fn wipe_stack() {
    let mut room = [0_u64; 4096];
    room.zeroize();
    std::hint::black_box(&room);
}

/// Why there is no secret to check against.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The kernel refused.
    #[error("cannot be read ({0}): check that it is a file that the session's user may read")]
    Read(#[from] std::io::Error),
    /// Nothing in it: everybody knows the empty password.
    #[error("is empty: write a secret into it")]
    Empty,
    /// The file has lost its name: what it holds is an old secret.
    #[error(
        "was deleted, or another file was put in its place, after this client had connected: who connects \
         now finds the new one"
    )]
    Replaced,
    /// The supervisor says that there is none.
    #[error("has gone, or is not as it has to be: the session's log says why")]
    Gone,
    /// More than [`MAX_SECRET`].
    #[error("is larger than 64 KiB: it cannot be a password or a key")]
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

    /// Is it still the file that its owner knows? (A copy of ours has no name from the start.)
    ///
    /// # Errors
    /// [`SecretError::Replaced`], or the kernel refused.
    pub fn check_name(&self) -> Result<(), SecretError> {
        match fstat(&self.0).map_err(std::io::Error::from)?.st_nlink {
            0 => Err(SecretError::Replaced),
            _ => Ok(()),
        }
    }

    /// Reads what it holds now.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn read<'b>(&self, buffer: &'b mut Buffer) -> Result<Secret<'b>, SecretError> {
        let mut len = 0;
        let result = loop {
            let Some(rest) = buffer.0.get_mut(len..).filter(|rest| !rest.is_empty()) else {
                break Err(SecretError::TooLarge);
            };
            match self.0.read_at(rest, len as u64) {
                Ok(0) if len == 0 => break Err(SecretError::Empty),
                Ok(0) => break Ok(()),
                Ok(read) => len += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error.into()),
            }
        };
        let (read, _) = buffer.0.split_at_mut(len);
        // Dropped, and so wiped, also when it is of no use.
        let secret = Secret(read);
        result.map(|()| secret)
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
        let mut buffer = Buffer::new().unwrap();
        let (mut file, secret) = file(b"pass word\n");
        assert_eq!(secret.read(&mut buffer).unwrap().bytes(), b"pass word\n");
        file.as_file().set_len(0).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(secret.read(&mut buffer).unwrap().bytes(), b"new");
    }

    #[test]
    fn a_file_that_was_replaced_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("a"), directory.path().join("b"));
        std::fs::write(&path, "old").unwrap();
        let secret = SecretFile::new(File::open(&path).unwrap());
        std::fs::write(&path, "written in place").unwrap();
        secret.check_name().unwrap();
        std::fs::write(&other, "new").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert!(matches!(secret.check_name(), Err(SecretError::Replaced)));
        let secret = SecretFile::new(File::open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(secret.check_name(), Err(SecretError::Replaced)));
    }

    #[test]
    fn empty_too_large_and_unreadable_are_no_secret() {
        let mut buffer = Buffer::new().unwrap();
        let mut read = |file: SecretFile| file.read(&mut buffer).map(|secret| secret.bytes().len());
        assert!(matches!(read(file(b"").1), Err(SecretError::Empty)));
        assert_eq!(read(file(&[b'x'; MAX_SECRET]).1).unwrap(), MAX_SECRET);
        let error = read(file(&[b'x'; MAX_SECRET + 1]).1);
        assert!(matches!(error, Err(SecretError::TooLarge)));
        let directory = SecretFile::new(File::open("/").unwrap());
        assert!(matches!(read(directory), Err(SecretError::Read(_))));
    }

    #[test]
    fn nothing_is_left_of_a_secret() {
        let mut buffer = Buffer::new().unwrap();
        for content in [
            &b"hunter2"[..],
            &[b'x'; MAX_SECRET],
            &[b'x'; MAX_SECRET + 1],
        ] {
            let (_keep, secret) = file(content);
            let seen = secret
                .read(&mut buffer)
                .map(|secret| secret.bytes() == content);
            assert!(matches!(seen, Ok(true) | Err(SecretError::TooLarge)));
            assert!(buffer.0.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let mut buffer = Buffer::new().unwrap();
        let (_keep, secret) = file(b"hunter2");
        let secret = secret.read(&mut buffer).unwrap();
        assert_eq!(format!("{secret:?}"), "<secret>");
    }
}
