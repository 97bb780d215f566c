//! What a session directory says of its session, and whose word that is.
//!
//! Who can write there can write what they like. So a directory that a user can write is believed
//! about processes of that user only, and only one that nobody but root can write about a session
//! that root has started.

use crate::error::{Error, Result, reason};
use crate::places::{PID_FILE, X11};
use policy::StartMode;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Longest file that says a process id.
const MAX_PID_FILE: u64 = 32;

/// A session, as its directory has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub display: u32,
    /// The process that is said to be its supervisor.
    pub supervisor: u32,
    /// How it was started: whose the directory is.
    pub mode: StartMode,
    /// The session's user.
    pub user: u32,
}

impl Record {
    /// Reads a session directory. No link is followed, and nothing is waited for.
    ///
    /// # Errors
    /// There is no such record, or it is nobody's in particular.
    pub fn read(dir: &Path, display: u32) -> Result<Self> {
        let fail = |path: &Path, why: &str| Error::new(format!("{}: {why}", path.display()));
        let directory = |path: &Path| -> Result<Metadata> {
            let meta = path.symlink_metadata();
            match meta.map_err(|error| fail(path, &reason(&error)))? {
                meta if meta.is_dir() => Ok(meta),
                _ => Err(fail(path, "is no directory")),
            }
        };
        let theirs = dir.join(X11);
        let (owner, user) = (directory(dir)?.uid(), directory(&theirs)?.uid());
        // In a start as root the session directory is root's, and the one in it the user's.
        let mode = match owner {
            0 if files::guard(dir).is_none() => {
                let why = "is root's, but others can change what this path leads to";
                return Err(fail(dir, why));
            }
            0 => StartMode::Root,
            _ if owner == user => StartMode::User,
            _ => {
                let why =
                    format!("belongs to the user {user}, and not to {owner}, who can replace it");
                return Err(fail(&theirs, &why));
            }
        };
        let pid_file = dir.join(PID_FILE);
        let text = files::small(&pid_file, MAX_PID_FILE);
        let supervisor = text.and_then(|text| text.trim().parse().ok());
        Ok(Self {
            display,
            supervisor: supervisor.ok_or_else(|| fail(&pid_file, "does not say a process id"))?,
            mode,
            user,
        })
    }

    /// Is a process with these ids one of the session's user, or in a start as root of a role of
    /// ours?
    #[must_use]
    pub fn is_ours(&self, uids: &[u32]) -> bool {
        uids.iter().all(|uid| match self.mode {
            StartMode::User => *uid == self.user,
            StartMode::Root => *uid != self.user && *uid != 0,
        })
    }

    /// Whose the launcher is.
    #[must_use]
    pub fn launcher(&self) -> u32 {
        match self.mode {
            StartMode::User => self.user,
            StartMode::Root => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};

    fn record(dir: &Path) -> std::result::Result<Record, String> {
        Record::read(dir, 7).map_err(|error| error.to_string())
    }

    #[test]
    fn a_directory_is_its_owners_word() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, pid_file) = (dir.path(), dir.path().join(PID_FILE));
        let me = nix::unistd::geteuid().as_raw();
        std::fs::create_dir(dir.join(X11)).unwrap();
        let user = if me == 0 { 65534 } else { me };
        let own = |path: &Path, uid| chown(path, Some(uid), None).unwrap();
        own(dir, user);
        own(&dir.join(X11), user);
        for text in ["", "x", "-1", "1 2", "4294967296"] {
            std::fs::write(&pid_file, text).unwrap();
            let error = record(dir).unwrap_err();
            assert!(
                error.contains("does not say a process id"),
                "{text}: {error}"
            );
        }
        std::fs::write(&pid_file, "42\n").unwrap();
        let found = record(dir).unwrap();
        let expected = Record {
            display: 7,
            supervisor: 42,
            mode: StartMode::User,
            user,
        };
        assert_eq!(found, expected);
        assert!(found.is_ours(&[user; 4]) && !found.is_ours(&[user, user, 0, user]));
        assert_eq!(found.launcher(), user);
        if me == 0 {
            // Whose it is said to be inside makes no difference.
            own(&dir.join(X11), 65533);
            let error = record(dir).unwrap_err();
            assert!(error.contains("not to 65534"), "{error}");
            // Root's, in a place where others make directories.
            own(dir, 0);
            assert_eq!(record(dir).map(|record| record.mode), Ok(StartMode::Root));
            let found = record(dir).unwrap();
            assert!(found.is_ours(&[1_900_000_000; 4]));
            assert!(!found.is_ours(&[0; 4]) && !found.is_ours(&[65533; 4]));
            assert_eq!(found.launcher(), 0);
        }
    }

    #[test]
    fn no_link_is_followed_and_nothing_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let (dir, pid_file) = (dir.path(), dir.path().join(PID_FILE));
        std::fs::create_dir(dir.join(X11)).unwrap();
        std::fs::write(dir.join("other"), "42").unwrap();
        symlink(dir.join("other"), &pid_file).unwrap();
        assert!(record(dir).unwrap_err().contains("does not say"));
        std::fs::remove_file(&pid_file).unwrap();
        nix::unistd::mkfifo(&pid_file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(record(dir).unwrap_err().contains("does not say"));
        let link = dir.join("link");
        symlink(dir, &link).unwrap();
        assert!(record(&link).unwrap_err().contains("is no directory"));
    }
}
