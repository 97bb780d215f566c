//! What the command of `exec` is told: one line on its standard input.

use ipc::check::AuthToCheck;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, sendmsg};
use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};

/// Why a command is not told anything.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTold {
    /// A command that reads a line would see another password than one that reads all.
    #[error("a password with a line end or a null byte in it")]
    NoLine,
    /// Commands are told passwords only.
    #[error("bug: it asks for something else than a password")]
    NoPassword,
    /// What the kernel says.
    #[error("{0}")]
    Failed(#[from] Errno),
}

/// Writes the password, and a line end, to the socket that is the command's standard input.
///
/// # Errors
/// Nothing, or not all, was written.
pub fn tell(input: &OwnedFd, question: &AuthToCheck) -> Result<(), NotTold> {
    let AuthToCheck::Password { password, .. } = question else {
        return Err(NotTold::NoPassword);
    };
    let password = &password.0;
    if password.iter().any(|byte| [b'\n', b'\r', 0].contains(byte)) {
        return Err(NotTold::NoLine);
    }
    let line = [IoSlice::new(password), IoSlice::new(b"\n")];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    match sendmsg::<()>(input.as_raw_fd(), &line, &[], flags, None) {
        Ok(written) if written == password.len().saturating_add(1) => Ok(()),
        Ok(_) => Err(Errno::ENOBUFS.into()),
        // Who does not listen has made up its mind: its status is the answer.
        Err(Errno::EPIPE) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::check::Password;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    fn told(password: &[u8]) -> Result<Vec<u8>, NotTold> {
        let (input, mut stdin) = UnixStream::pair().unwrap();
        let question = AuthToCheck::Password {
            username: "ann".into(),
            password: Password(password.to_vec()),
        };
        let input = OwnedFd::from(input);
        tell(&input, &question)?;
        drop(input);
        let mut read = Vec::new();
        stdin.read_to_end(&mut read).unwrap();
        Ok(read)
    }

    #[test]
    fn a_command_is_told_one_line() {
        assert_eq!(told(b"secret").unwrap(), b"secret\n");
        assert_eq!(told("ünï".as_bytes()).unwrap(), "ünï\n".as_bytes());
        assert_eq!(told(&[0xff; 1024]).unwrap().len(), 1025);
        for bad in [&b"a\nb"[..], b"\n", b"a\r", b"a\0b"] {
            assert_eq!(told(bad), Err(NotTold::NoLine), "{bad:?}");
        }
    }

    #[test]
    fn nothing_but_a_password_is_told_and_a_deaf_command_ends_nobody() {
        let (input, stdin) = UnixStream::pair().unwrap();
        let input = OwnedFd::from(input);
        assert_eq!(
            tell(&input, &AuthToCheck::Address),
            Err(NotTold::NoPassword)
        );
        drop(stdin);
        let question = AuthToCheck::Password {
            username: String::new(),
            password: Password(b"secret".to_vec()),
        };
        assert_eq!(tell(&input, &question), Ok(()));
    }
}
