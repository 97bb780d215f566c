//! Records of `tracing` as lines on descriptor 2: `LEVEL message key=value …`, or, where a process
//! that is for all connections speaks of one, `LEVEL connection=N message key=value …`.
//!
//! The supervisor reads the other end of that pipe and stamps role, process and connection by the
//! pipe, not by what is written. Here, a line is at most [`MAX_LINE`] bytes (so that the kernel
//! writes it in one piece, `pipe(7)`), holds no control character, and is dropped and counted when
//! the pipe is full.

use crate::sys;
use nix::errno::Errno;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Longest line in bytes, with its end.
pub const MAX_LINE: usize = 4096;

/// What stands at the end of a line that was cut.
const CUT: &str = "[cut]\n";

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// How many lines were dropped because the pipe was full, since the last that got through.
#[must_use]
pub fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// A line in the making, on the stack.
pub(crate) struct Line {
    bytes: [u8; MAX_LINE],
    len: usize,
    cut: bool,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self {
            bytes: [0; MAX_LINE],
            len: 0,
            cut: false,
        }
    }

    /// Appends a piece, or cuts the line.
    fn push(&mut self, piece: &str) {
        if self.cut || self.len + piece.len() > MAX_LINE - CUT.len() {
            self.cut = true;
            return;
        }
        self.bytes[self.len..self.len + piece.len()].copy_from_slice(piece.as_bytes());
        self.len += piece.len();
    }

    pub(crate) fn escaped(&mut self) -> Escaped<'_> {
        Escaped {
            line: self,
            quoted: false,
        }
    }

    fn finish(&mut self) -> &[u8] {
        let end = if self.cut { CUT } else { "\n" };
        self.bytes[self.len..self.len + end.len()].copy_from_slice(end.as_bytes());
        &self.bytes[..self.len + end.len()]
    }

    /// Writes it to descriptor 2, whole or not at all.
    pub(crate) fn write(&mut self) -> Result<(), Errno> {
        let bytes = self.finish();
        loop {
            match nix::unistd::write(sys::standard_error(), bytes) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// Whether a character could change what a terminal or a reader makes of a line.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || c == '\\'
        || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Appends text with harmful characters as `\n`, `\u{1b}` …
pub(crate) struct Escaped<'line> {
    line: &'line mut Line,
    quoted: bool,
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut buffer = [0; 4];
        for c in text.chars() {
            if is_harmful(c) || (self.quoted && c == '"') {
                for escaped in c.escape_default() {
                    self.line.push(escaped.encode_utf8(&mut buffer));
                }
            } else {
                self.line.push(c.encode_utf8(&mut buffer));
            }
        }
        Ok(())
    }
}

/// The parts of a line, in order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The field `connection`.
    Connection,
    /// The message.
    Message,
    /// All others, as `key=value`.
    Others,
}

impl Part {
    fn of(field: &Field) -> Self {
        match field.name() {
            "connection" => Self::Connection,
            "message" => Self::Message,
            _ => Self::Others,
        }
    }
}

/// Puts one part of an event's fields into a line.
struct Fields<'line> {
    line: &'line mut Line,
    part: Part,
}

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Nothing here fails: a line that is too long is cut.
        let _ = match self.part {
            part if part != Part::of(field) => Ok(()),
            Part::Message => {
                self.line.push(" ");
                self.line.escaped().write_fmt(value)
            }
            Part::Connection | Part::Others => {
                self.line.push(" ");
                self.line.push(field.name());
                self.line.push("=\"");
                let mut quoted = self.line.escaped();
                quoted.quoted = true;
                let result = quoted.write_fmt(value);
                self.line.push("\"");
                result
            }
        };
    }

    fn number(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.part == Part::of(field) {
            self.line.push(" ");
            self.line.push(field.name());
            self.line.push("=");
            let _ = self.line.escaped().write_fmt(value);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format_args!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, format_args!("{value}"));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, format_args!("{value}"));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, format_args!("{value}"));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, format_args!("{value}"));
    }
}

fn line_of(event: &Event<'_>) -> Line {
    let mut line = Line::new();
    line.push(event.metadata().level().as_str());
    for part in [Part::Connection, Part::Message, Part::Others] {
        let line = &mut line;
        event.record(&mut Fields { line, part });
    }
    line
}

/// Writes events as lines. Spans are accepted and mean nothing: one process, one connection.
struct Lines {
    level: LevelFilter,
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level
    }
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        report_dropped();
        if line_of(event).write().is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Says how many lines were dropped, if any and if the pipe takes it now.
pub fn report_dropped() {
    let count = dropped();
    if count == 0 {
        return;
    }
    let mut line = Line::new();
    let _ = line
        .escaped()
        .write_fmt(format_args!("WARN log lines were dropped count={count}"));
    if line.write().is_ok() {
        DROPPED.fetch_sub(count, Ordering::Relaxed);
    }
}

/// Makes `tracing` write its events as lines to descriptor 2. The first call counts.
pub fn install(level: LevelFilter) {
    // An earlier subscriber stays; there is only one `run` in a process.
    let _ = tracing::subscriber::set_global_default(Lines { level });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Collect(Mutex<Vec<String>>);

    impl Subscriber for &'static Collect {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut line = line_of(event);
            let text = String::from_utf8(line.finish().to_vec()).expect("lines are text");
            self.0.lock().expect("one thread").push(text);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    fn lines(log: impl FnOnce()) -> Vec<String> {
        let collect: &'static Collect = Box::leak(Box::default());
        tracing::subscriber::with_default(collect, log);
        std::mem::take(&mut *collect.0.lock().expect("one thread"))
    }

    #[test]
    fn a_record_is_one_line() {
        let window = 7;
        let title = "a \"title\"\n\u{1b}[31mPANIC \u{202e}\\";
        let got = lines(|| {
            tracing::info!(window, title, up = true, "moved\r\nERROR x");
            tracing::warn!(error = %"no such file", "failed");
            tracing::info!(user = "ann", connection = 3_u64, "accepted");
        });
        assert_eq!(
            got,
            [
                "INFO moved\\r\\nERROR x window=7 title=\"a \\\"title\\\"\\n\\u{1b}[31mPANIC \\u{202e}\\\\\" up=true\n",
                "WARN failed error=\"no such file\"\n",
                "INFO connection=3 accepted user=\"ann\"\n",
            ]
        );
    }

    #[test]
    fn a_long_record_is_cut() {
        for length in [
            1,
            MAX_LINE / 2,
            MAX_LINE - 12,
            MAX_LINE - 11,
            MAX_LINE - 10,
            3 * MAX_LINE,
        ] {
            for (unit, bytes) in [("x", 1), ("\n", 2), ("ü", 2)] {
                let got = lines(|| tracing::info!("{}", unit.repeat(length)));
                assert_eq!(got.len(), 1);
                assert!(got[0].len() <= MAX_LINE, "{}", got[0].len());
                assert_eq!(got[0].matches('\n').count(), 1);
                let fits = "INFO ".len() + length * bytes <= MAX_LINE - CUT.len();
                assert_eq!(got[0].ends_with(CUT), !fits, "{length} × {unit:?}");
            }
        }
    }
}
