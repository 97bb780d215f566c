//! The X server: its display, its start, its readiness, why it ended.
//!
//! The display's lock file is made by the command line and taken over here: an X server that is
//! told to say its display number when it is ready (`-displayfd`) takes none, and without the
//! abstract socket nothing else keeps a second server from replacing the socket of the first
//! (seen with xserver 21.1).

use crate::processes;
use files::display;
use ipc::spec::LauncherSpec;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::getppid;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long the X server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much of the log is searched for the reason of an early end.
const LOG_TAIL: u64 = 8192;

/// A started X server.
pub struct XServer {
    /// Its process.
    pub pid: i32,
    /// Where it says its display number; closed when it has.
    pub ready: Option<File>,
    /// When it is too late for that.
    pub deadline: Instant,
    /// The display number.
    pub display: u32,
    /// Whether it answers.
    pub answers: bool,
    said: String,
}

/// Takes the display over from the process that has started this one, which has claimed it.
///
/// # Errors
/// One line for the person.
pub fn take_display(display: u32) -> Result<(), String> {
    display::take(display, Some(getppid().as_raw())).map_err(|refused| {
        format!(
            "display :{display} is in use: {refused}: choose another number, or end that X server"
        )
    })
}

/// Gives up the display that this process was to have.
pub fn give_up_display(display: u32) {
    if take_display(display).is_ok() {
        display::release(display);
    }
}

/// Starts the X server. It listens neither on TCP nor on the abstract socket, which no file
/// permission guards.
///
/// # Errors
/// One line for the person.
pub fn start(
    spec: &LauncherSpec,
    display: u32,
    auth: &Path,
    log: &File,
) -> Result<XServer, String> {
    let (program, arguments) = spec
        .xvfb
        .split_first()
        .ok_or("no X server is named: say which one with --xvfb=")?;
    let failed =
        |what: &str, error: io::Error| format!("cannot start the X server: {what}: {error}");
    let (ready, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .map_err(|error| failed("pipe", error.into()))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(format!(":{display}"))
        .arg("-displayfd")
        .arg(write.as_raw_fd().to_string())
        .arg("-auth")
        .arg(auth)
        .args(["-nolisten", "tcp", "-nolisten", "local"])
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(clone(log).map_err(|error| failed("log", error))?)
        .stderr(clone(log).map_err(|error| failed("log", error))?);
    let child = processes::start(
        &mut command,
        spec.user.as_ref(),
        c"/",
        Some(write.as_raw_fd()),
        Signal::SIGTERM,
    )
    .map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!(
            "cannot start the X server `{program}`: no such program; install it (on Debian: \
             apt install xvfb) or name another one with --xvfb="
        ),
        _ => format!("cannot start the X server `{program}`: {error}"),
    })?;
    drop::<OwnedFd>(write);
    Ok(XServer {
        pid: i32::try_from(child.id()).map_err(|error| error.to_string())?,
        ready: Some(File::from(ready)),
        deadline: Instant::now() + PATIENCE,
        display,
        answers: false,
        said: String::new(),
    })
}

fn clone(log: &File) -> io::Result<Stdio> {
    Ok(Stdio::from(log.try_clone()?))
}

impl XServer {
    /// Reads what the server says about its display. True when it has just become ready.
    pub fn read_ready(&mut self) -> bool {
        let Some(pipe) = &mut self.ready else {
            return false;
        };
        let mut bytes = [0; 32];
        loop {
            match pipe.read(&mut bytes) {
                Ok(0) => break,
                Ok(len) => self.said.push_str(&String::from_utf8_lossy(&bytes[..len])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.said.contains('\n') {
                        return false;
                    }
                    break;
                }
                Err(_) => break,
            }
            if self.said.len() > bytes.len() {
                break;
            }
        }
        // Ended or complete: nothing more comes this way. Without a number the server is about to
        // end, or the deadline ends it.
        self.ready = None;
        self.answers = self.said.trim() == self.display.to_string();
        self.answers
    }
}

/// The line in the log that says best why the server ended.
pub fn last_words(log: &Path) -> Option<String> {
    let mut file = files::ordinary(log).ok()?;
    let len = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(LOG_TAIL)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.trim().trim_start_matches("(EE)").trim())
        .filter(|line| !line.is_empty())
        .collect();
    let fatal = lines
        .iter()
        .rposition(|line| line.starts_with("Fatal server error"));
    let words = fatal.and_then(|at| lines.get(at + 1)).or(lines.last())?;
    Some((*words).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_in_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("server.log");
        std::fs::write(
            &log,
            "warning\n(EE) \nFatal server error:\n(EE) Server is already active for display 9\n\
             \tIf this server is no longer running, remove /tmp/.X9-lock\n(EE) \n",
        )
        .unwrap();
        assert_eq!(
            last_words(&log).unwrap(),
            "Server is already active for display 9"
        );
        std::fs::write(&log, "one\ntwo\n\n").unwrap();
        assert_eq!(last_words(&log).unwrap(), "two");
        std::fs::write(&log, "").unwrap();
        assert_eq!(last_words(&log), None);
    }
}
