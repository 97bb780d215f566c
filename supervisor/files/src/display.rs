//! Displays of X servers, as the file system has them: the lock file that every X server makes
//! and honours, and the socket at which it listens (Xserver(1), FILES).

use crate::open::small;
use crate::socket::{listens, listens_abstract};
use crate::spot::guard;
use nix::sys::signal::kill;
use nix::unistd::{Pid, geteuid, getpid, mkstemp};
use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Longest lock file that is believed, in bytes.
const MAX_LOCK: u64 = 32;
/// Where X servers have their sockets.
const SOCKETS: &str = "/tmp/.X11-unix";

/// Why a display cannot be had.
#[derive(Debug)]
pub enum Refused {
    /// Somebody has it, and this says so.
    InUse(String),
    /// What an X server that has ended has left there is another user's.
    Left {
        /// Its lock or its socket.
        file: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// What the file system says of the lock file.
    Failed(PathBuf, io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(by) => f.write_str(by),
            Self::Left { file, owner } => write!(
                f,
                "{} was left there by an X server of the user {owner}, who alone can remove it",
                file.display()
            ),
            Self::Failed(file, error) => write!(f, "cannot make {}: {error}", file.display()),
        }
    }
}

/// The lock file of a display.
#[must_use]
pub fn lock_file(display: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/.X{display}-lock"))
}

/// The socket of a display.
#[must_use]
pub fn socket(display: u32) -> PathBuf {
    Path::new(SOCKETS).join(format!("X{display}"))
}

/// The process that a display's lock names.
#[must_use]
pub fn holder(display: u32) -> Option<i32> {
    small(&lock_file(display), MAX_LOCK)?.trim().parse().ok()
}

/// Takes a display for this process: makes its lock file, as X servers do, in one step. One that
/// names `previous`, who hands it on, is replaced, as is one whose process has ended.
///
/// # Errors
/// Why it cannot be had; nothing is left then.
pub fn take(display: u32, previous: Option<i32>) -> Result<(), Refused> {
    lock(display, previous)?;
    is_free(display).inspect_err(|_| release(display))
}

/// Gives a display up that this process holds.
pub fn release(display: u32) {
    if holder(display) == Some(getpid().as_raw()) {
        let _ = fs::remove_file(lock_file(display));
    }
}

fn exists(pid: i32) -> bool {
    pid > 0 && kill(Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH)
}

fn lock(display: u32, previous: Option<i32>) -> Result<(), Refused> {
    let lock = lock_file(display);
    let failed = |error: io::Error| Refused::Failed(lock.clone(), error);
    // A name that nobody can foresee, so that nobody can have put something there.
    let (file, new) =
        mkstemp(&lock.with_extension("XXXXXX")).map_err(|error| failed(error.into()))?;
    let mut file = File::from(file);
    let mut put = || {
        writeln!(file, "{:>10}", getpid().as_raw())
            .and_then(|()| file.set_permissions(Permissions::from_mode(0o444)))
            .map_err(failed)?;
        match fs::hard_link(&new, &lock) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => return other.map_err(failed),
        }
        let holder = holder(display);
        if holder.is_some() && holder == previous {
            return fs::rename(&new, &lock).map_err(failed);
        }
        if let Some(pid) = holder.filter(|&pid| exists(pid)) {
            let lock = lock.display();
            return Err(Refused::InUse(format!("process {pid} has it, says {lock}")));
        }
        remove_left(&lock)?;
        fs::hard_link(&new, &lock).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Refused::InUse(format!(
                "another start has just taken it, says {}",
                lock.display()
            )),
            _ => failed(error),
        })
    };
    let put = put();
    // A lock that was renamed is no longer there.
    let _ = fs::remove_file(&new);
    put
}

/// Removes what an X server that was killed has left.
fn remove_left(file: &Path) -> Result<(), Refused> {
    let failed = |error| Refused::Failed(file.to_path_buf(), error);
    match fs::remove_file(file) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let owner = fs::symlink_metadata(file).map_err(failed)?.uid();
            let file = file.to_path_buf();
            Err(Refused::Left { file, owner })
        }
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// X servers that take no lock (`-nolock`) have the socket, in the file system, as an abstract
/// name, or both.
fn is_free(display: u32) -> Result<(), Refused> {
    let path = socket(display);
    let name = path.as_os_str().as_encoded_bytes();
    let answers = |at: &str| Err(Refused::InUse(format!("an X server answers at {at}")));
    if listens_abstract(name).is_ok() {
        return answers(&format!("@{}", path.display()));
    }
    match listens(&path) {
        Ok(()) => answers(&path.display().to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(Refused::InUse(format!(
            "{} is another user's",
            path.display()
        ))),
        // Root removes things only where nobody else can change what the path leads to.
        Err(_) if geteuid().is_root() && guard(Path::new(SOCKETS)).is_none() => Ok(()),
        Err(_) => remove_left(&path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
    use std::os::fd::{AsRawFd, OwnedFd};

    /// A display of this test's own, and nothing of it before and after.
    struct Own(u32);

    impl Own {
        fn new(number: u32) -> Self {
            let own = Self(4_000_000 + std::process::id() % 100_000 * 10 + number);
            own.clear();
            own
        }

        fn clear(&self) {
            let _ = fs::remove_file(lock_file(self.0));
            let _ = fs::remove_file(socket(self.0));
        }

        fn says(&self) -> String {
            take(self.0, None).unwrap_err().to_string()
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            self.clear();
        }
    }

    fn listener(address: &UnixAddr) -> OwnedFd {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = nix::sys::socket::socket(AddressFamily::Unix, SockType::Stream, flags, None);
        let socket = socket.unwrap();
        nix::sys::socket::bind(socket.as_raw_fd(), address).unwrap();
        nix::sys::socket::listen(&socket, Backlog::new(1).unwrap()).unwrap();
        socket
    }

    #[test]
    fn a_lock_is_taken_once_handed_on_and_given_up() {
        let own = Own::new(0);
        let me = getpid().as_raw();
        take(own.0, None).unwrap();
        assert_eq!(holder(own.0), Some(me));
        assert!(own.says().contains(&format!("process {me} has it")));
        take(own.0, Some(me)).unwrap();
        // Of a process that has ended, and what is no lock.
        for text in ["1999999999\n", "rubbish"] {
            release(own.0);
            fs::write(lock_file(own.0), text).unwrap();
            take(own.0, None).unwrap();
        }
        release(own.0);
        fs::write(lock_file(own.0), "         1\n").unwrap();
        release(own.0);
        assert!(own.says().contains("process 1 has it"));
        let beside = fs::read_dir("/tmp").unwrap().flatten().filter(|entry| {
            let name = entry.file_name().into_string().unwrap_or_default();
            name.starts_with(&format!(".X{}-", own.0))
        });
        assert_eq!(beside.count(), 1);
    }

    #[test]
    fn who_answers_without_a_lock_is_found() {
        let own = Own::new(1);
        let path = socket(own.0);
        if let Err(error) = fs::create_dir(SOCKETS) {
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        }
        let live = listener(&UnixAddr::new(&path).unwrap());
        assert!(
            own.says()
                .contains(&format!("answers at {}", path.display()))
        );
        assert_eq!(holder(own.0), None);
        drop(live);
        take(own.0, None).unwrap();
        assert!(!path.exists(), "a dead socket is in the way");
        release(own.0);
        let name = path.as_os_str().as_encoded_bytes();
        let _live = listener(&UnixAddr::new_abstract(name).unwrap());
        assert!(
            own.says()
                .contains(&format!("answers at @{}", path.display()))
        );
    }
}
