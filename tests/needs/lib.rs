//! What a test needs from where it is started. A test that lacks it is not run, and says so.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

/// The file with a line for each test that was not run; `make test` names it and prints it.
const FILE: &str = "BULKHEAD_NOT_RUN";

/// Whether this is root. If not, the test that asks is noted as not run; `why` says what only root
/// can do.
///
/// # Panics
/// When it is not root though it runs under CI (`CI=true`), or the note cannot be written.
#[must_use]
pub fn root(why: &str) -> bool {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0);
    if !is_root {
        not_run(&format!("only root can {why}"));
    }
    is_root
}

fn not_run(why: &str) {
    let executable = env::args().next().unwrap_or_default();
    let executable = executable.rsplit('/').next().unwrap_or_default();
    // Without the hash that cargo puts behind it.
    let target = executable
        .rsplit_once('-')
        .map_or(executable, |(name, _)| name);
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main");
    let name = test.map_or(target.to_owned(), |test| format!("{target}: {test}"));
    let line = format!("NOT RUN: {name}: {why}\n");
    eprint!("{line}");
    let ci = env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!ci, "{line}: under CI every test is to be run");
    if let Some(file) = env::var_os(FILE) {
        let file = OpenOptions::new().append(true).create(true).open(file);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.unwrap_or_else(|error| panic!("{FILE}: {error}"));
    }
}
