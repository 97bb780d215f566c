//! Sessions without a server: it was killed, or asked to exit, and its launcher keeps the
//! applications; or the launcher was killed too, and left files. And the wait for an end.

use crate::claim::{is_supervisor, only_logs, runs_supervisor, waiting_launcher};
use crate::error::{Error, Result};
use crate::listen::probe;
use crate::places::{LAUNCHER_SOCKET, LOG_FILE, PID_FILE, RECORD, SOCKET};
use crate::process::Program;
use crate::start::executable;
use files::display::holder;
use ipc::launcher::{LauncherToSupervisor, SupervisorToLauncher};
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use policy::Role;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an end may take: the supervisor gives the launcher 20 seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked.
const INTERVAL: Duration = Duration::from_millis(20);

/// What there is of a session that has no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// The applications, and a launcher that waits for the next server.
    Applications,
    /// Files.
    Files,
}

impl Remains {
    /// What remains in a session directory; `None` if there is a server, or nothing of a session.
    #[must_use]
    pub fn of(dir: &Path) -> Option<Self> {
        if runs_supervisor(&dir.join(PID_FILE)).is_some() {
            return None;
        }
        match UnixStream::connect(dir.join(LAUNCHER_SOCKET)) {
            // Its socket is of another type: so a process that lives has it, which has noticed
            // nothing (unix(7)).
            Err(error) if error.raw_os_error() == Some(Errno::EPROTOTYPE as i32) => {
                Some(Self::Applications)
            }
            Err(_) if dir.join(RECORD).exists() => Some(Self::Files),
            _ => None,
        }
    }

    /// What a person can do.
    #[must_use]
    pub fn advice(self, display: u32) -> String {
        match self {
            Self::Applications => format!(
                "its server has ended; `bulkhead seamless :{display}` takes it over, `bulkhead stop :{display}` ends it"
            ),
            Self::Files => {
                format!("it was killed; `bulkhead stop :{display}` removes what it has left")
            }
        }
    }
}

/// Ends a session that has no server.
///
/// # Errors
/// It cannot be ended by this user, or does not end.
pub fn end(display: u32, dir: &Path, remains: Remains) -> Result<()> {
    match remains {
        Remains::Applications => {
            let session = Running::of(display, dir);
            let channel = waiting_launcher(dir).ok_or_else(|| {
                Error::new(format!(
                    "session :{display}: its launcher does not listen to this user: {}",
                    dir.join(LAUNCHER_SOCKET).display()
                ))
            })?;
            let mut channel =
                ipc::Channel::<SupervisorToLauncher, LauncherToSupervisor>::new(channel);
            channel
                .send(&SupervisorToLauncher::Stop, Vec::new())
                .map_err(|error| Error::new(format!("session :{display}: {error}")))?;
            session.wait_for_its_end()
        }
        Remains::Files => {
            let path = dir.to_string_lossy();
            let launcher = Program::new(
                &executable(Role::Launcher)?,
                &["bulkhead-launcher", "--clean-up", &path],
                &[],
                Vec::new(),
                None,
            )?;
            match waitpid(launcher.spawn()?, None) {
                Ok(WaitStatus::Exited(_, 0)) if !dir.exists() => Ok(()),
                _ => Err(Error::new(format!(
                    "session :{display}: what it has left cannot be removed: {path}"
                ))),
            }
        }
    }
}

/// A session whose end is waited for.
#[derive(Debug)]
pub struct Running {
    display: u32,
    dir: PathBuf,
    /// Its supervisor's process id, if it has one.
    server: Option<u32>,
    /// The directory's device and inode number: the next session's is another one.
    identity: Option<(u64, u64)>,
    /// The process that holds the display; it gives it up last.
    holder: Option<i32>,
}

impl Running {
    /// The session of this directory.
    #[must_use]
    pub fn of(display: u32, dir: &Path) -> Self {
        Self {
            display,
            dir: dir.to_path_buf(),
            server: runs_supervisor(&dir.join(PID_FILE)),
            identity: identity(dir),
            holder: holder(display),
        }
    }

    /// Waits until nothing of the session is left, but for the logs of one that has failed.
    ///
    /// # Errors
    /// That takes too long.
    pub fn wait_for_its_end(&self) -> Result<()> {
        let gone = || {
            let now = identity(&self.dir);
            let directory = now.is_some() && now == self.identity && only_logs(&self.dir).is_none();
            let display = self.holder.is_some() && holder(self.display) == self.holder;
            !directory && !display
        };
        self.wait(|| self.server_has_ended() && gone())
    }

    /// Waits until the server has ended; the applications may stay.
    ///
    /// # Errors
    /// That takes too long.
    pub fn wait_for_its_server(&self) -> Result<()> {
        self.wait(|| self.server_has_ended())
    }

    fn server_has_ended(&self) -> bool {
        !self.server.is_some_and(is_supervisor)
    }

    fn wait(&self, done: impl Fn() -> bool) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        // A server that has told its client waits until the client has looked whether it is
        // still there, as the stock one does.
        let _ = probe(&self.dir.join(SOCKET));
        while !done() {
            if Instant::now() >= end {
                return Err(Error::new(format!(
                    "session :{} has not ended within {} seconds; its log: {}",
                    self.display,
                    PATIENCE.as_secs(),
                    self.dir.join(LOG_FILE).display()
                )));
            }
            std::thread::sleep(INTERVAL);
        }
        Ok(())
    }
}

fn identity(dir: &Path) -> Option<(u64, u64)> {
    let meta = dir.symlink_metadata().ok()?;
    Some((meta.dev(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
    use nix::sys::socket::{bind, listen, socket};
    use std::os::fd::AsRawFd;

    #[test]
    fn what_remains_is_seen_and_nobody_notices() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Remains::of(dir.path()), None);
        let path = dir.path().join(LAUNCHER_SOCKET);
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let launcher = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        bind(launcher.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&launcher, Backlog::new(4).unwrap()).unwrap();
        assert_eq!(Remains::of(dir.path()), Some(Remains::Applications));
        let accepted = nix::sys::socket::accept(launcher.as_raw_fd());
        assert_eq!(accepted, Err(Errno::EAGAIN));
        drop(launcher);
        assert_eq!(Remains::of(dir.path()), None);
        std::fs::write(dir.path().join(RECORD), "").unwrap();
        assert_eq!(Remains::of(dir.path()), Some(Remains::Files));
    }
}
