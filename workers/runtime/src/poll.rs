//! Waiting for several descriptors: `ppoll(2)`.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Only for the other end to go away.
    Hangup,
    /// Until it can be read.
    Read,
    /// Until it can be written.
    Write,
    /// Either.
    ReadWrite,
}

impl Interest {
    /// Reading always, writing when there is something to write: what a channel wants.
    #[must_use]
    pub fn read_and(write: bool) -> Self {
        if write { Self::ReadWrite } else { Self::Read }
    }
}

/// What a descriptor is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// It can be read, or its end or an error is there to be read.
    pub readable: bool,
    /// It can be written, or an error is there to be found.
    pub writable: bool,
    /// The other end is gone, or the descriptor is in error.
    pub hangup: bool,
}

impl Ready {
    /// Whether it is ready for anything.
    #[must_use]
    pub fn any(self) -> bool {
        self.readable || self.writable || self.hangup
    }
}

/// The place of a descriptor in a [`PollSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot(usize);

/// Descriptors to wait for. Made anew for each turn of a loop: it only borrows them.
#[derive(Debug, Default)]
pub struct PollSet<'fd> {
    entries: Vec<PollFd<'fd>>,
}

impl<'fd> PollSet<'fd> {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a descriptor; the slot asks about it after [`PollSet::wait`].
    pub fn add(&mut self, fd: BorrowedFd<'fd>, interest: Interest) -> Slot {
        let flags = match interest {
            Interest::Hangup => PollFlags::empty(),
            Interest::Read => PollFlags::POLLIN,
            Interest::Write => PollFlags::POLLOUT,
            Interest::ReadWrite => PollFlags::POLLIN | PollFlags::POLLOUT,
        };
        self.entries.push(PollFd::new(fd, flags));
        Slot(self.entries.len() - 1)
    }

    /// Waits until a descriptor is ready or the time is over (`None`: for ever), and says how many
    /// are ready. With `Some(Duration::ZERO)` it only looks. A signal ends it early, but no process
    /// of ours handles one.
    ///
    /// # Errors
    /// What `ppoll(2)` says, but never `EINTR`.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<usize, Errno> {
        match ppoll(
            &mut self.entries,
            timeout.map(TimeSpec::from_duration),
            None,
        ) {
            Ok(ready) => Ok(usize::try_from(ready).unwrap_or(0)),
            Err(Errno::EINTR) => Ok(0),
            Err(errno) => Err(errno),
        }
    }

    /// What the last [`PollSet::wait`] found out about a descriptor.
    #[must_use]
    pub fn ready(&self, slot: Slot) -> Ready {
        let flags = self
            .entries
            .get(slot.0)
            .and_then(PollFd::revents)
            .unwrap_or(PollFlags::empty());
        let hangup =
            flags.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL);
        Ready {
            readable: hangup || flags.contains(PollFlags::POLLIN),
            writable: flags.intersects(PollFlags::POLLOUT | PollFlags::POLLERR),
            hangup,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn tells_what_is_ready() {
        let (mut here, there) = UnixStream::pair().expect("a socket pair");
        let (mute, _other) = UnixStream::pair().expect("a socket pair");
        let wait = || {
            let mut set = PollSet::new();
            let slots = [
                set.add(there.as_fd(), Interest::Read),
                set.add(mute.as_fd(), Interest::Read),
                set.add(there.as_fd(), Interest::ReadWrite),
                set.add(there.as_fd(), Interest::Hangup),
            ];
            let count = set.wait(Some(Duration::ZERO)).expect("it can be polled");
            (count, slots.map(|slot| set.ready(slot)))
        };
        let nothing = Ready::default();
        let write = Ready {
            writable: true,
            ..nothing
        };
        assert_eq!(wait(), (1, [nothing, nothing, write, nothing]));
        here.write_all(b"x").expect("it can be written");
        let read = Ready {
            readable: true,
            ..nothing
        };
        let both = Ready {
            writable: true,
            ..read
        };
        assert_eq!(wait(), (2, [read, nothing, both, nothing]));
        drop(here);
        let (count, ready) = wait();
        assert_eq!(count, 3);
        assert!(ready[0].hangup && ready[3].hangup && !ready[1].any());
    }

    #[test]
    fn waits_as_long_as_told() {
        use std::time::Instant;
        let (_here, there) = UnixStream::pair().expect("a socket pair");
        let mut set = PollSet::new();
        set.add(there.as_fd(), Interest::Read);
        let start = Instant::now();
        assert_eq!(set.wait(Some(Duration::from_millis(30))), Ok(0));
        assert!(start.elapsed() >= Duration::from_millis(30));
    }
}
