//! The log: one record is one printable line, whoever wrote it.
//!
//! Workers write lines to a pipe. Who wrote is known by the pipe, not by what is written. Here,
//! at the boundary, everything that is not a printable character is escaped, and each source may
//! only write so much.

use crate::rate::Bucket;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::fmt::Write;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest text of a record in bytes, after escaping: with the stamp it is written in one piece
/// to a pipe (pipe(7): `PIPE_BUF`).
const MAX_TEXT: usize = 3500;
/// Longest line that is taken from a worker.
const MAX_LINE: usize = 4096;
/// What a pipe holds; a worker may not change it (pipe(7)).
const PIPE: usize = 64 << 10;
/// Records that a worker may write at once, and per second in the long run: whoever takes one over
/// does not fill the disk overnight.
const BURST: u32 = 200;
const PER_SECOND: u32 = 10;

/// How much a record matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is lost.
    Error,
    /// Something is wrong, or somebody tries.
    Warn,
    /// What a person wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// Where a record comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The process's role.
    pub role: &'static str,
    /// Its process id.
    pub pid: i32,
    /// The connection that it serves.
    pub connection: Option<u64>,
}

/// Appends text with everything that is not printable written out: control characters, line and
/// paragraph separators, direction overrides, private and unassigned characters, and bytes that
/// are not UTF-8. Cut after `limit` bytes.
fn escape(text: &[u8], out: &mut String, limit: usize) {
    let end = out.len() + limit;
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            // `escape_debug` also escapes these three, which are printable.
            if matches!(c, '"' | '\'' | '\\') {
                out.push(c);
            } else {
                out.extend(c.escape_debug());
            }
            if out.len() > end {
                out.push_str(" [cut]");
                return;
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
}

/// Seconds since 1970 as a date and time in UTC (proleptic Gregorian calendar).
fn timestamp(now: Duration) -> String {
    let (days, second) = (now.as_secs() / 86_400, now.as_secs() % 86_400);
    // Eras of 400 years from 0000-03-01: the leap day is the last of its year.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + carry;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        now.subsec_millis()
    )
}

/// A record as the line that is written.
fn format_record(json: bool, time: Duration, level: Level, origin: Origin, text: &[u8]) -> String {
    let mut message = String::with_capacity(text.len() + 8);
    // JSON's own escapes can double it, and a record must go into a pipe in one piece: one that did
    // not would be waited for.
    escape(
        text,
        &mut message,
        if json { MAX_TEXT / 2 } else { MAX_TEXT },
    );
    let time = timestamp(time);
    let Origin {
        role,
        pid,
        connection,
    } = origin;
    let level = level.name();
    if json {
        // What is left in need of JSON's own escapes.
        let message = message.replace('\\', "\\\\").replace('"', "\\\"");
        let connection = connection
            .map(|number| format!(",\"connection\":{number}"))
            .unwrap_or_default();
        format!(
            "{{\"time\":\"{time}\",\"level\":\"{level}\",\"role\":\"{role}\",\"pid\":{pid}\
             {connection},\"message\":\"{message}\"}}\n"
        )
    } else {
        let connection = connection
            .map(|number| format!(" #{number}"))
            .unwrap_or_default();
        format!("{time} {level:5} {role}[{pid}]{connection}: {message}\n")
    }
}

/// Where records go.
pub struct Log {
    json: bool,
    debug: bool,
    own: Origin,
    dropped: u64,
}

impl Log {
    /// The log on descriptor 2.
    #[must_use]
    pub fn new(json: bool, debug: bool, pid: i32) -> Self {
        let own = Origin {
            role: "supervisor",
            pid,
            connection: None,
        };
        Self {
            json,
            debug,
            own,
            dropped: 0,
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
        let line = format_record(self.json, time, level, origin, text);
        if !writable() {
            self.dropped += 1;
            return;
        }
        if self.dropped > 0 {
            let text = format!("{} records were dropped: nobody read the log", self.dropped);
            let note = format_record(self.json, time, Level::Warn, self.own, text.as_bytes());
            self.dropped = 0;
            write_all(&note);
        }
        write_all(&line);
    }

    /// A record of the supervisor's own, about a connection or the session.
    pub fn own(&mut self, level: Level, connection: Option<u64>, text: &str) {
        self.record(
            level,
            Origin {
                connection,
                ..self.own
            },
            text.as_bytes(),
        );
    }
}

fn writable() -> bool {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    matches!(
        ppoll(
            &mut fds,
            Some(TimeSpec::from_duration(Duration::ZERO)),
            None
        ),
        Ok(1..)
    )
}

fn write_all(line: &str) {
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        match nix::unistd::write(io::stderr(), rest) {
            Ok(len) => rest = &rest[len..],
            Err(Errno::EINTR) => {}
            // Nobody is left to be told.
            Err(_) => return,
        }
    }
}

/// The reading end of a worker's log pipe.
pub struct Source {
    pipe: Option<OwnedFd>,
    origin: Origin,
    line: Vec<u8>,
    bucket: Bucket,
    suppressed: u64,
    /// The last panic that was written.
    pub panic: Option<String>,
}

impl Source {
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
        if line.starts_with(b"PANIC ") {
            let mut panic = String::new();
            escape(text, &mut panic, MAX_TEXT);
            self.panic = Some(panic);
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
        log.record(level, self.origin, text);
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
    use super::*;
    use proptest::prelude::*;

    const ORIGIN: Origin = Origin {
        role: "network",
        pid: 7,
        connection: Some(3),
    };

    fn printable(line: &str) -> bool {
        line.chars()
            .all(|c| matches!(c, '"' | '\'' | '\\') || c.escape_debug().eq(std::iter::once(c)))
    }

    #[test]
    fn dates_are_right() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_767_225_600, "2026-01-01T00:00:00.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn a_forged_record_stays_inside_its_own() {
        let text = b"x\nERROR \x1b[2J\xe2\x80\xae\xff \xc2\x9b \"quoted\"";
        let line = format_record(false, Duration::ZERO, Level::Warn, ORIGIN, text);
        assert_eq!(
            line,
            "1970-01-01T00:00:00.000Z warn  network[7] #3: \
             x\\nERROR \\u{1b}[2J\\u{202e}\\xff \\u{9b} \"quoted\"\n"
        );
        let line = format_record(true, Duration::ZERO, Level::Warn, ORIGIN, b"a \"b\"\n");
        assert!(
            line.ends_with(",\"connection\":3,\"message\":\"a \\\"b\\\"\\\\n\"}\n"),
            "{line}"
        );
    }

    #[test]
    fn a_flood_is_limited_and_counted() {
        let (read, _write) =
            nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK)
                .unwrap();
        let start = Instant::now();
        let mut source = Source::new(read, ORIGIN, start);
        let mut log = Log::new(false, false, 1);
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
    fn levels_are_read_and_panics_kept() {
        assert_eq!(level_of(b"WARN text"), (Level::Warn, b"text".as_slice()));
        assert_eq!(level_of(b"text"), (Level::Info, b"text".as_slice()));
        assert_eq!(level_of(b"PANIC x").0, Level::Error);
        let (read, write) =
            nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK)
                .unwrap();
        let now = Instant::now();
        let mut source = Source::new(read, ORIGIN, now);
        let mut log = Log::new(false, false, 1);
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
        fn every_record_is_one_printable_line(
            text in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'"')], 0..5000),
            json in any::<bool>(),
        ) {
            let line = format_record(json, Duration::ZERO, Level::Info, ORIGIN, &text);
            let line = line.strip_suffix('\n').unwrap();
            prop_assert!(printable(line), "{line:?}");
            prop_assert!(line.len() <= MAX_TEXT + 300);
        }

        #[test]
        fn every_character_is_escaped_or_printable(text in "\\PC{0,40}.{0,40}") {
            let mut out = String::new();
            escape(text.as_bytes(), &mut out, MAX_TEXT);
            prop_assert!(printable(&out));
        }

        #[test]
        fn lines_are_bounded_however_they_are_cut(
            pieces in proptest::collection::vec(
                proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'x')], 0..6000), 0..6),
        ) {
            let (read, _write) = nix::unistd::pipe2(
                nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK,
            ).unwrap();
            let now = Instant::now();
            let mut source = Source::new(read, ORIGIN, now);
            while source.bucket.take(now) {}
            let mut log = Log::new(false, false, 1);
            for piece in &pieces {
                source.take(piece, &mut log, now);
                prop_assert!(source.line.len() <= MAX_LINE);
            }
        }
    }
}
