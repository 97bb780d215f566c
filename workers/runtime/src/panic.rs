//! A panic under a filter: one line, then the end. Nothing is opened, there is no backtrace.

use crate::sys;
use policy::Role;
use std::fmt;
use std::fmt::Write;

/// Makes every panic of this process write one line,
///
/// ```text
/// PANIC role file:line message
/// ```
///
/// to descriptor 2, and end the process with [`crate::EXIT_PANIC`], without unwinding.
pub fn install_hook(role: Role) {
    std::panic::set_hook(Box::new(move |info| {
        let (file, line) = info
            .location()
            .map_or(("?", 0), |location| (location.file(), location.line()));
        let message = info.payload_as_str().unwrap_or("(no text)");
        write_line(format_args!("PANIC {role} {file}:{line} {message}"));
        sys::exit(crate::EXIT_PANIC);
    }));
}

/// Writes one line to the log, escaped and cut, without allocating.
pub(crate) fn write_line(text: fmt::Arguments<'_>) {
    let mut line = crate::log::Line::new();
    // Cut, not failed, when it is too long.
    let _ = line.escaped().write_fmt(text);
    let _ = line.write();
}
