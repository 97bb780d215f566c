//! The processes of a session whose launcher was killed.
//!
//! With the launcher goes what tied them together: they have other parents, and daemons have
//! left their process groups and sessions. What every process inherits and few change is the
//! environment, so each session has a variable of its own in it (`/proc/PID/environ` shows it as
//! it was at exec). It finds processes of the session's user only, and of those not the ones
//! that were started with a fresh environment or, in a start as an ordinary user, that hide
//! their memory (not dumpable: an ssh-agent).

use crate::processes::{self, COUNT_INTERVAL, GRACE, Handle, LIMIT};
use files::Ids;
use nix::sys::signal::Signal;
use nix::unistd::geteuid;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::Read;
use std::time::Instant;

/// The variable with the mark.
pub const VARIABLE: &str = "BULKHEAD_SESSION";
/// How much of an environment is searched.
const MAX_ENVIRONMENT: u64 = 1 << 20;

/// A mark that no other session has.
///
/// # Errors
/// The kernel has no random numbers.
pub fn new() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Whether a process is this user's and has the mark.
fn has(pid: i32, entry: &[u8], uid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    // Real, effective, saved, file system's: one that may be another user is not ended.
    let theirs = uids.is_some_and(|uids| uids.split_whitespace().all(|id| id.parse() == Ok(uid)));
    let mut environment = Vec::new();
    theirs
        && File::open(format!("/proc/{pid}/environ"))
            .and_then(|file| file.take(MAX_ENVIRONMENT).read_to_end(&mut environment))
            .is_ok()
        && environment.split(|byte| *byte == 0).any(|one| one == entry)
}

/// Ends every process with this mark. `user` is the session's in a start as root.
pub fn end(mark: &str, user: Option<Ids>) {
    let entry = format!("{VARIABLE}={mark}").into_bytes();
    let uid = user.map_or(geteuid().as_raw(), |user| user.uid);
    let mut asked = BTreeSet::new();
    let since = Instant::now();
    while since.elapsed() < LIMIT {
        let late = since.elapsed() >= GRACE;
        let mut left = false;
        for pid in processes::all() {
            // First the handle, then the look: the signal goes to nobody else.
            let Some(process) = Handle::open(pid).filter(|_| has(pid, &entry, uid)) else {
                continue;
            };
            left = true;
            if late {
                process.signal(Signal::SIGKILL);
            } else if asked.insert(pid) {
                process.signal(Signal::SIGTERM);
                // A stopped process would not see it.
                process.signal(Signal::SIGCONT);
            }
        }
        if !left {
            break;
        }
        std::thread::sleep(COUNT_INTERVAL);
    }
    processes::remove_shared_memory(&asked, user);
}
