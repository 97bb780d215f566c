//! The log: one record is one printable line, whoever wrote it, with the role, the process and the
//! connection that it is about.
//!
//! On a terminal these are lines for a person, elsewhere JSON. Where standard error is the systemd
//! journal, the same goes there as fields: `PRIORITY`, `ROLE`, `CONNECTION`, `SYSLOG_PID` (the
//! worker's), `SYSLOG_IDENTIFIER` (`bulkhead-ROLE`), `MESSAGE`.

mod journal;
mod pipe;

pub use ::record::{Format, Level, Origin, quoted};
pub use pipe::Pipe;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where records go.
pub struct Log {
    format: Format,
    /// Instead of standard error.
    journal: Option<OwnedFd>,
    debug: bool,
    own: Origin,
    dropped: u64,
}

impl Log {
    /// The log on standard error, or in the journal that this is connected to. To be made before
    /// the sandbox is: it may open a socket.
    #[must_use]
    pub fn new(json: bool, debug: bool, pid: i32) -> Self {
        if !json {
            return Self::lines(Format::Human, debug, pid);
        }
        match journal::connect() {
            Some(journal) => Self::journal(journal, debug, pid),
            None => Self::lines(Format::Json, debug, pid),
        }
    }

    fn lines(format: Format, debug: bool, pid: i32) -> Self {
        Self {
            format,
            journal: None,
            debug,
            own: Origin {
                role: "supervisor",
                pid,
                connection: None,
            },
            dropped: 0,
        }
    }

    fn journal(socket: OwnedFd, debug: bool, pid: i32) -> Self {
        Self {
            journal: Some(socket),
            ..Self::lines(Format::Journal, debug, pid)
        }
    }

    /// Writes a record. One that cannot be written at once (a terminal that is stopped, a pipe
    /// that is full) is dropped and counted: a session does not wait for its log.
    pub fn record(&mut self, level: Level, origin: Origin, text: &[u8]) {
        if level == Level::Debug && !self.debug {
            return;
        }
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let stderr = io::stderr();
        let sink = self.journal.as_ref().map_or(stderr.as_fd(), AsFd::as_fd);
        if self.dropped > 0 && writable(sink) {
            let text = format!("{} records were dropped: nobody read the log", self.dropped);
            let text = text.as_bytes();
            let note = self.format.record(time, Level::Warn, self.own, text);
            if write_all(sink, &note) {
                self.dropped = 0;
            }
        }
        let record = self.format.record(time, level, origin, text);
        if self.dropped > 0 || !writable(sink) || !write_all(sink, &record) {
            self.dropped += 1;
        }
    }

    /// A record of the supervisor's own, about a connection or the session.
    pub fn own(&mut self, level: Level, connection: Option<u64>, text: &str) {
        let origin = Origin {
            connection,
            ..self.own
        };
        self.record(level, origin, text.as_bytes());
    }
}

fn writable(sink: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(sink, PollFlags::POLLOUT)];
    let now = Some(TimeSpec::from_duration(Duration::ZERO));
    matches!(ppoll(&mut fds, now, None), Ok(1..))
}

/// A record goes into the journal in one piece, and into most else. False if it did not go.
fn write_all(sink: BorrowedFd<'_>, record: &str) -> bool {
    let mut rest = record.as_bytes();
    while !rest.is_empty() {
        match nix::unistd::write(sink, rest) {
            Ok(len) => rest = &rest[len..],
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
    true
}
