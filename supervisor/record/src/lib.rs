//! A record of the log: who says what, and the line that it becomes. Everything that is not a
//! printable character is escaped here, once.

#![forbid(unsafe_code)]

use std::fmt::Write;
use std::time::Duration;

/// Longest text of a record in bytes, after escaping: with the stamp it is written in one piece
/// to a pipe (pipe(7): `PIPE_BUF`).
const MAX_TEXT: usize = 3500;

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

    /// As syslog counts (syslog(3)).
    const fn priority(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warn => 4,
            Self::Info => 6,
            Self::Debug => 7,
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

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A line for a person.
    Human,
    /// A line of JSON.
    Json,
    /// Fields for the journal, one a line (systemd's native journal protocol).
    Journal,
}

/// Text that is printable and not too long.
#[must_use]
pub fn printable(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    escape(text, &mut out, MAX_TEXT);
    out
}

/// What a peer says of itself, as a part of a text: between backticks, of which none is inside. A
/// space at either end and a backslash are written out too, so that what is quoted can be read back.
#[must_use]
pub fn quoted(said: &str) -> String {
    let mut out = String::with_capacity(said.len() + 2);
    let inner = said.trim_matches(' ');
    let edge = |count: usize| "\\u{20}".repeat(count);
    let front = said.len() - said.trim_start_matches(' ').len();
    out.push('`');
    out += &edge(front);
    for c in inner.chars() {
        match c {
            '"' | '\'' => out.push(c),
            '`' => out.extend(c.escape_unicode()),
            c => out.extend(c.escape_debug()),
        }
    }
    out += &edge(said.len() - front - inner.len());
    out.push('`');
    out
}

impl Format {
    /// A record as it is written; `time` is since 1970.
    #[must_use]
    pub fn record(self, time: Duration, level: Level, origin: Origin, text: &[u8]) -> String {
        let Origin {
            role,
            pid,
            connection,
        } = origin;
        let optional = |start: &str, end: &str| {
            connection
                .map(|number| format!("{start}{number}{end}"))
                .unwrap_or_default()
        };
        match self {
            Self::Human => {
                let (time, level, text) = (timestamp(time), level.name(), printable(text));
                let connection = optional(" #", "");
                format!("{time} {level:5} {role}[{pid}]{connection}: {text}\n")
            }
            Self::Json => {
                // JSON's own escapes can double it, and a record must go into a pipe in one
                // piece: one that did not would be waited for.
                let mut message = String::new();
                escape(text, &mut message, MAX_TEXT / 2);
                let message = message.replace('\\', "\\\\").replace('"', "\\\"");
                let (time, level) = (timestamp(time), level.name());
                let connection = optional(",\"connection\":", "");
                format!(
                    "{{\"time\":\"{time}\",\"level\":\"{level}\",\"role\":\"{role}\",\
                     \"pid\":{pid}{connection},\"message\":\"{message}\"}}\n"
                )
            }
            Self::Journal => {
                let (priority, text) = (level.priority(), printable(text));
                let connection = optional("CONNECTION=", "\n");
                format!(
                    "PRIORITY={priority}\nSYSLOG_IDENTIFIER=bulkhead-{role}\nSYSLOG_PID={pid}\n\
                     ROLE={role}\n{connection}MESSAGE={text}\n"
                )
            }
        }
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

    fn is_printable(line: &str) -> bool {
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
        let record =
            |format: Format, text| format.record(Duration::ZERO, Level::Warn, ORIGIN, text);
        let text = b"x\nERROR \x1b[2J\xe2\x80\xae\xff \xc2\x9b \"quoted\"";
        assert_eq!(
            record(Format::Human, text),
            "1970-01-01T00:00:00.000Z warn  network[7] #3: \
             x\\nERROR \\u{1b}[2J\\u{202e}\\xff \\u{9b} \"quoted\"\n"
        );
        let line = record(Format::Json, b"a \"b\"\n");
        assert!(
            line.ends_with(",\"connection\":3,\"message\":\"a \\\"b\\\"\\\\n\"}\n"),
            "{line}"
        );
        assert_eq!(
            record(Format::Journal, b"x\nPRIORITY=0\nROLE=auth"),
            "PRIORITY=4\nSYSLOG_IDENTIFIER=bulkhead-network\nSYSLOG_PID=7\nROLE=network\n\
             CONNECTION=3\nMESSAGE=x\\nPRIORITY=0\\nROLE=auth\n"
        );
    }

    #[test]
    fn what_is_quoted_cannot_end_its_quotes() {
        for (said, shown) in [
            ("ann", "`ann`"),
            ("", "``"),
            (" ", "`\\u{20}`"),
            ("  ", "`\\u{20}\\u{20}`"),
            (" a b ", "`\\u{20}a b\\u{20}`"),
            ("\t\n", "`\\t\\n`"),
            ("\u{a0}", "`\\u{a0}`"),
            (
                "x` is let in as `root",
                "`x\\u{60} is let in as \\u{60}root`",
            ),
            ("\\u{60}", "`\\\\u{60}`"),
            ("o'brien \"x\"", "`o'brien \"x\"`"),
            ("j\u{fc}rg", "`j\u{fc}rg`"),
        ] {
            assert_eq!(quoted(said), shown);
        }
    }

    proptest! {
        #[test]
        fn no_two_names_look_the_same(a in "[ `u{}20\\\\\\n]{0,6}", b in "[ `u{}20\\\\\\n]{0,6}") {
            prop_assert_eq!(a == b, quoted(&a) == quoted(&b));
            prop_assert_eq!(quoted(&a).matches('`').count(), 2);
        }

        /// It stays as it is when the record is written.
        #[test]
        fn what_is_quoted_is_printable(said in "\\PC{0,20}.{0,20}") {
            prop_assert!(is_printable(&quoted(&said)));
        }

        #[test]
        fn every_record_is_printable_and_has_as_many_lines_as_it_should(
            text in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'"')], 0..5000),
            (format, lines) in prop_oneof![
                Just((Format::Human, 1)),
                Just((Format::Json, 1)),
                Just((Format::Journal, 6)),
            ],
        ) {
            let record = format.record(Duration::ZERO, Level::Info, ORIGIN, &text);
            let record = record.strip_suffix('\n').unwrap();
            prop_assert_eq!(record.split('\n').count(), lines);
            prop_assert!(record.split('\n').all(is_printable), "{:?}", record);
            prop_assert!(record.len() <= MAX_TEXT + 300);
        }

        #[test]
        fn every_character_is_escaped_or_printable(text in "\\PC{0,40}.{0,40}") {
            let mut out = String::new();
            escape(text.as_bytes(), &mut out, MAX_TEXT);
            prop_assert!(is_printable(&out));
        }
    }
}
