//! What a worker writes: lines on a pipe. Who wrote is known by the pipe, not by what is written,
//! and each worker may only write so much.

use super::{Level, Log, Origin};
use crate::rate::Bucket;
use nix::errno::Errno;
use record::printable;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// Longest line that is taken from a worker.
const MAX_LINE: usize = 4096;
/// What a pipe holds; a worker may not change it (pipe(7)).
const PIPE: usize = 64 << 10;
/// Records that a worker may write at once, and per second in the long run: whoever takes one over
/// does not fill the disk overnight.
const BURST: u32 = 200;
const PER_SECOND: u32 = 10;

/// The reading end of a worker's log pipe.
pub struct Pipe {
    pipe: Option<OwnedFd>,
    origin: Origin,
    line: Vec<u8>,
    bucket: Bucket,
    suppressed: u64,
    /// The last panic that was written.
    pub panic: Option<String>,
}

impl Pipe {
    /// Reads from a pipe on behalf of a worker.
    #[must_use]
    pub fn new(pipe: OwnedFd, origin: Origin, now: Instant) -> Self {
        Self {
            pipe: Some(pipe),
            origin,
            line: Vec::new(),
            bucket: Bucket::new(BURST, PER_SECOND, now),
            suppressed: 0,
            panic: None,
        }
    }

    /// What to wait for.
    pub fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads what is there, within bounds: a worker that never stops writing does not keep us
    /// from everybody else.
    pub fn read(&mut self, log: &mut Log, now: Instant) {
        self.read_pieces(4, log, now);
    }

    /// Reads what one that has ended has left, to the end.
    pub fn read_last(&mut self, log: &mut Log, now: Instant) {
        self.read_pieces(PIPE / MAX_LINE + 1, log, now);
    }

    fn read_pieces(&mut self, pieces: usize, log: &mut Log, now: Instant) {
        let mut buffer = [0; MAX_LINE];
        for _ in 0..pieces {
            let Some(pipe) = &self.pipe else { return };
            match nix::unistd::read(pipe, &mut buffer) {
                Ok(0) => {
                    self.pipe = None;
                    self.end_line(log, now);
                }
                Ok(len) => self.take(&buffer[..len], log, now),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    fn take(&mut self, bytes: &[u8], log: &mut Log, now: Instant) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (piece, complete) = match piece.split_last() {
                Some((b'\n', piece)) => (piece, true),
                _ => (piece, false),
            };
            let room = MAX_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if complete {
                self.end_line(log, now);
            }
        }
    }

    fn end_line(&mut self, log: &mut Log, now: Instant) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return;
        }
        let (level, text) = level_of(&line);
        let (connection, text) = connection_of(self.origin, text);
        let origin = Origin {
            connection,
            ..self.origin
        };
        if line.starts_with(b"PANIC ") {
            self.panic = Some(printable(text));
        }
        if !self.bucket.take(now) {
            self.suppressed += 1;
            return;
        }
        let suppressed = std::mem::take(&mut self.suppressed);
        if suppressed > 0 {
            let note = format!("{suppressed} records were suppressed: too many");
            log.record(Level::Warn, self.origin, note.as_bytes());
        }
        log.record(level, origin, text);
    }
}

/// The connection that a record is about, and the rest: the one that its process is for. A
/// process that is for all of them says it, first thing after the level.
fn connection_of(origin: Origin, text: &[u8]) -> (Option<u64>, &[u8]) {
    let said = || {
        let rest = text.strip_prefix(b"connection=")?;
        let end = rest.iter().position(|byte| *byte == b' ')?;
        let number = str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        Some((Some(number), &rest[end + 1..]))
    };
    match origin.connection {
        Some(_) => (origin.connection, text),
        None => said().unwrap_or((None, text)),
    }
}

/// The level that a line begins with, and the rest.
fn level_of(line: &[u8]) -> (Level, &[u8]) {
    let levels: [(&[u8], Level); 7] = [
        (b"ERROR ", Level::Error),
        (b"WARN ", Level::Warn),
        (b"INFO ", Level::Info),
        (b"DEBUG ", Level::Debug),
        (b"TRACE ", Level::Debug),
        (b"PANIC ", Level::Error),
        (b"OOM ", Level::Error),
    ];
    let known = levels.iter().find(|(name, _)| line.starts_with(name));
    match known {
        // The word says more than the level.
        Some((b"PANIC " | b"OOM ", level)) => (*level, line),
        Some((name, level)) => (*level, &line[name.len()..]),
        None => (Level::Info, line),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const ORIGIN: Origin = Origin {
        role: "network",
        pid: 7,
        connection: Some(3),
    };

    #[test]
    fn a_flood_is_limited_and_counted() {
        let (read, _write) =
            nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK)
                .unwrap();
        let start = Instant::now();
        let mut source = Pipe::new(read, ORIGIN, start);
        let mut log = Log::lines(Format::Human, false, 1);
        let mut suppressed_after = |now| {
            for _ in 0..1000 {
                source.take(b"DEBUG x\n", &mut log, now);
            }
            source.suppressed
        };
        assert_eq!(suppressed_after(start), 1000 - u64::from(BURST));
        let later = start + Duration::from_secs(1);
        assert_eq!(suppressed_after(later), 1000 - u64::from(PER_SECOND));
    }

    #[test]
    fn the_connection_is_the_processes_or_what_it_says_first() {
        let all = Origin {
            connection: None,
            ..ORIGIN
        };
        let said = b"connection=12 refused";
        assert_eq!(connection_of(all, said), (Some(12), b"refused".as_slice()));
        assert_eq!(connection_of(ORIGIN, said), (Some(3), said.as_slice()));
        for text in [
            b"refused connection=12 ".as_slice(),
            b"connection=x refused",
            b"connection=-1 refused",
            b"connection=99999999999999999999 refused",
            b"connection=12",
            b"",
        ] {
            assert_eq!(connection_of(all, text), (None, text));
        }
    }

    #[test]
    fn levels_are_read_and_panics_kept() {
        assert_eq!(level_of(b"WARN text"), (Level::Warn, b"text".as_slice()));
        assert_eq!(level_of(b"text"), (Level::Info, b"text".as_slice()));
        assert_eq!(level_of(b"PANIC x").0, Level::Error);
        let (read, write) =
            nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK)
                .unwrap();
        let now = Instant::now();
        let mut source = Pipe::new(read, ORIGIN, now);
        let mut log = Log::lines(Format::Human, false, 1);
        nix::unistd::write(&write, b"PANIC network a.rs:1 oh\nINFO half").unwrap();
        source.read(&mut log, now);
        assert_eq!(source.panic.as_deref(), Some("PANIC network a.rs:1 oh"));
        assert_eq!(source.line, b"INFO half");
        drop(write);
        source.read(&mut log, now);
        assert!(source.pipe().is_none() && source.line.is_empty());
    }

    proptest! {
        #[test]
        fn lines_are_bounded_however_they_are_cut(
            pieces in proptest::collection::vec(
                proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'x')], 0..6000), 0..6),
        ) {
            let (read, _write) = nix::unistd::pipe2(
                nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK,
            ).unwrap();
            let now = Instant::now();
            let mut source = Pipe::new(read, ORIGIN, now);
            while source.bucket.take(now) {}
            let mut log = Log::lines(Format::Human, false, 1);
            for piece in &pieces {
                source.take(piece, &mut log, now);
                prop_assert!(source.line.len() <= MAX_LINE);
            }
        }
    }
}
