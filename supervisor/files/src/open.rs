//! Opening what may not be what it is meant to be.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens an ordinary file for reading where others may have put something else: a link, or a
/// pipe that nobody writes to.
///
/// # Errors
/// It is something else, or what the kernel says.
pub fn ordinary(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no ordinary file")),
    }
}

/// What is in such a file, if it is text of no more than `max` bytes.
#[must_use]
pub fn small(path: &Path, max: u64) -> Option<String> {
    let mut text = String::new();
    let len = ordinary(path)
        .ok()?
        .take(max + 1)
        .read_to_string(&mut text)
        .ok()?;
    (len as u64 <= max).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_waited_for_and_no_link_followed() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("lock");
        std::fs::write(&path, "      1234\n").unwrap();
        assert_eq!(small(&path, 32).unwrap().trim(), "1234");
        assert_eq!(small(&path, 5), None);
        let link = tmp.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(small(&link, 32), None);
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(small(&path, 32), None);
        assert!(ordinary(tmp.path()).is_err());
    }
}
