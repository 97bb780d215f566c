//! Asks the person for a password, on a terminal that does not show what is typed.

use crate::error::{Error, Result, reason};
use crate::secrets::MAX_SECRET;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::os::fd::{AsFd, BorrowedFd};
use zeroize::Zeroizing;

/// What ends the question. They are put off until the terminal is as it was.
const ENDS: [Signal; 5] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
];

/// Puts the terminal and the signals back.
struct Quiet<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
    signals: SigSet,
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
        let _ = self.signals.thread_set_mask();
    }
}

/// Prints a question on this terminal and reads the answer without showing it.
///
/// # Errors
/// It is no terminal, or there is no answer.
pub fn password(terminal: BorrowedFd<'_>, question: &str) -> Result<Zeroizing<Vec<u8>>> {
    let fail = |error: Errno| {
        Error::new(format!(
            "the password cannot be read from the terminal: {}",
            reason(&error.into())
        ))
    };
    let mut ends = SigSet::empty();
    ENDS.into_iter().for_each(|signal| ends.add(signal));
    let before = tcgetattr(terminal).map_err(fail)?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    silent.local_flags.insert(LocalFlags::ECHONL);
    let _quiet = Quiet {
        terminal,
        before,
        signals: ends
            .thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)
            .map_err(fail)?,
    };
    let ended = SignalFd::with_flags(&ends, SfdFlags::SFD_CLOEXEC).map_err(fail)?;
    tcsetattr(terminal, SetArg::TCSAFLUSH, &silent).map_err(fail)?;
    nix::unistd::write(terminal, question.as_bytes()).map_err(fail)?;
    let limit = usize::try_from(MAX_SECRET).unwrap_or(usize::MAX);
    let mut answer = Zeroizing::new(Vec::with_capacity(limit));
    loop {
        let mut fds = [
            PollFd::new(terminal, PollFlags::POLLIN),
            PollFd::new(ended.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            other => other.map_err(fail)?,
        };
        if fds[1].any() == Some(true) {
            return Err(Error::new("no password was given"));
        }
        let mut buffer = Zeroizing::new([0_u8; 256]);
        let read = nix::unistd::read(terminal, &mut buffer[..]).map_err(fail)?;
        answer.extend_from_slice(&buffer[..read]);
        if answer.ends_with(b"\n") {
            answer.pop();
            return Ok(answer);
        }
        if read == 0 || answer.len() >= limit {
            return Err(Error::new("no password was given"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    #[test]
    fn what_is_typed_is_not_shown() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut person = File::from(pty.master);
        let typist = std::thread::spawn(move || {
            let mut shown = vec![0; 3];
            person.read_exact(&mut shown).unwrap();
            person.write_all(b"hunter5\n").unwrap();
            let mut rest = [0; 64];
            let length = person.read(&mut rest).unwrap();
            shown.extend_from_slice(&rest[..length]);
            (String::from_utf8(shown).unwrap(), person)
        });
        let answer = password(pty.slave.as_fd(), "? :").unwrap();
        assert_eq!(&answer[..], b"hunter5");
        let (shown, _person) = typist.join().unwrap();
        assert_eq!(shown, "? :\r\n");
        let flags = tcgetattr(&pty.slave).unwrap().local_flags;
        assert!(flags.contains(LocalFlags::ECHO));
    }

    #[test]
    fn what_is_no_terminal_is_not_asked() {
        let file = tempfile::tempfile().unwrap();
        assert!(password(file.as_fd(), "?").is_err());
    }
}
