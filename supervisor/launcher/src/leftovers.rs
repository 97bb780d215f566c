//! What a session leaves in the file system, written down while it runs, so that its own end and
//! the next start after a SIGKILL clean up in the same way.

use crate::processes::start_time;
use crate::xauthority;
use ipc::spec::SessionUser;
use nix::fcntl::OFlag;
use nix::sys::signal::kill;
use nix::unistd::{Gid, Pid, Uid, getegid, geteuid, getgroups, setegid, seteuid, setgroups};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The record's name in the session directory.
const RECORD: &str = "launcher.state";
/// The record's mode: that of no other file. In a start as root the directory is the session's
/// user's, who can put another file of root's in the record's place: the log, which the
/// applications may write. But nobody can give a file of root's this mode.
const RECORD_MODE: u32 = 0o400;
/// Longest lock file of an X server that is believed.
const MAX_LOCK: u64 = 32;
/// The session's own Xauthority file.
pub const XAUTHORITY: &str = "xauthority";
/// Where a supervisor finds a launcher that has lost its own.
pub const SOCKET: &str = "launcher.sock";
/// Output of the X server and the commands.
pub const LOG: &str = "server.log";

/// Everything that must go when a session has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftovers {
    /// The launcher, and when it was started.
    pub launcher: (i32, u64),
    /// The display whose lock file names the launcher.
    pub display: Option<u32>,
    /// The user of the session, in a start as root.
    pub user: Option<(u32, u32)>,
    /// The user's Xauthority file.
    pub xauthority: Option<PathBuf>,
    /// Files outside of the session directory.
    pub files: Vec<PathBuf>,
}

impl Leftovers {
    fn encode(&self) -> Vec<u8> {
        let display = self.display.map_or(0, |display| u64::from(display) + 1);
        let (uid, gid) = self.user.unwrap_or((0, 0));
        let (pid, start) = self.launcher;
        let mut out = format!("{pid} {start} {display} {uid} {gid}").into_bytes();
        for path in std::iter::once(self.xauthority.as_deref().unwrap_or(Path::new("")))
            .chain(self.files.iter().map(PathBuf::as_path))
        {
            out.push(0);
            out.extend_from_slice(path.as_os_str().as_bytes());
        }
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut parts = bytes.split(|&byte| byte == 0);
        let numbers = std::str::from_utf8(parts.next()?).ok()?;
        let numbers: Vec<u64> = numbers
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        let [pid, start, display, uid, gid] = numbers[..] else {
            return None;
        };
        let mut paths = parts.map(|path| PathBuf::from(OsStr::from_bytes(path)));
        let xauthority = paths.next()?;
        let narrow = |number: u64| u32::try_from(number).ok();
        Some(Self {
            launcher: (i32::try_from(pid).ok()?, start),
            display: match display {
                0 => None,
                next => Some(narrow(next - 1)?),
            },
            user: match uid {
                0 => None,
                uid => Some((narrow(uid)?, narrow(gid)?)),
            },
            xauthority: (xauthority != Path::new("")).then_some(xauthority),
            files: paths.collect(),
        })
    }

    /// Writes the record of a session.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, session_dir: &Path) -> io::Result<()> {
        let new = session_dir.join("launcher.state-n");
        let _ = fs::remove_file(&new);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(RECORD_MODE)
            .open(&new)?;
        // Whatever the umask took away.
        file.set_permissions(fs::Permissions::from_mode(RECORD_MODE))?;
        file.write_all(&self.encode())?;
        fs::rename(new, session_dir.join(RECORD))
    }

    /// The record of a session that was ours to write.
    fn load(session_dir: &Path) -> Option<Self> {
        let mut file = open_file(&session_dir.join(RECORD)).ok()?;
        let metadata = file.metadata().ok()?;
        if metadata.uid() != geteuid().as_raw()
            || metadata.mode() & 0o7777 != RECORD_MODE
            || metadata.nlink() != 1
        {
            return None;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        Self::decode(&bytes)
    }

    fn launcher_lives(&self) -> bool {
        start_time(self.launcher.0) == Some(self.launcher.1)
    }

    /// Removes the lock of the display, and the socket of an X server that has been killed.
    fn remove_x_files(&self) {
        let Some(display) = self.display else { return };
        if x_lock_owner(display) == Some(self.launcher.0) {
            let socket = x_socket(display);
            if UnixStream::connect(&socket).is_err() {
                let _ = fs::remove_file(socket);
            }
            let _ = fs::remove_file(x_lock(display));
        }
    }

    /// Removes the session's files and directory. `keep_log` leaves the applications' output
    /// for the person who wants to know why.
    pub fn clean(&self, session_dir: &Path, keep_log: bool) {
        if let (Some(file), Some(cookie)) = (
            &self.xauthority,
            xauthority::read_session(&session_dir.join(XAUTHORITY)),
        ) {
            let user = self.user;
            // The file is the user's; an end must not fail because of it.
            let _ = as_user(user, || xauthority::remove(file, &cookie));
        }
        self.remove_x_files();
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        for entry in fs::read_dir(session_dir).into_iter().flatten().flatten() {
            if !(keep_log && entry.file_name() == LOG) {
                let path = entry.path();
                let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let _ = if directory {
                    fs::remove_dir_all(path)
                } else {
                    fs::remove_file(path)
                };
            }
        }
        // Stays when something is kept in it.
        let _ = fs::remove_dir(session_dir);
    }
}

/// Runs `action` with the file-system identity of the session's user: paths in a home directory
/// are the user's to redirect.
pub fn as_user<T>(
    user: Option<(u32, u32)>,
    action: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let Some((uid, gid)) = user else {
        return action();
    };
    let (old_uid, old_gid, old_groups) = (geteuid(), getegid(), getgroups()?);
    // What root's groups may read is not the user's.
    setgroups(&[Gid::from_raw(gid)])?;
    setegid(Gid::from_raw(gid))?;
    let result = seteuid(Uid::from_raw(uid))
        .map_err(io::Error::from)
        .and_then(|()| action());
    seteuid(old_uid)?;
    setegid(old_gid)?;
    setgroups(&old_groups)?;
    result
}

/// The identity that [`as_user`] takes.
pub fn ids(user: Option<&SessionUser>) -> Option<(u32, u32)> {
    user.map(|user| (user.uid, user.gid))
}

/// Opens an ordinary file where others may have put something else: a link, a pipe that nobody
/// writes to.
pub fn open_file(path: &Path) -> io::Result<fs::File> {
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    Ok(file)
}

/// The lock file of a display.
pub fn x_lock(display: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/.X{display}-lock"))
}

/// The socket of a display.
pub fn x_socket(display: u32) -> PathBuf {
    PathBuf::from(format!("/tmp/.X11-unix/X{display}"))
}

/// The process that a display's lock names.
pub fn x_lock_owner(display: u32) -> Option<i32> {
    let mut text = String::new();
    open_file(&x_lock(display))
        .ok()?
        .take(MAX_LOCK)
        .read_to_string(&mut text)
        .ok()?;
    text.trim().parse().ok()
}

/// Whether there is a process with this id, of whatever user.
pub fn exists(pid: i32) -> bool {
    pid > 0 && kill(Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH)
}

/// What is in the way of a start in this session directory.
#[derive(Debug, PartialEq, Eq)]
pub enum Before {
    /// Nothing.
    Free,
    /// A launcher runs there, with this process id.
    Running(i32),
}

/// Cleans up after launchers that were killed: the one of this session directory and those of
/// the directories beside it. Those of live sessions are left alone.
pub fn clean_up_after_killed(session_dir: &Path) -> Before {
    for sibling in session_dir
        .parent()
        .and_then(|parent| fs::read_dir(parent).ok())
        .into_iter()
        .flatten()
        .flatten()
    {
        let dir = sibling.path();
        if dir != session_dir
            && let Some(left) = Leftovers::load(&dir)
            && !left.launcher_lives()
        {
            left.clean(&dir, false);
        }
    }
    let Some(left) = Leftovers::load(session_dir) else {
        return Before::Free;
    };
    if left.launcher_lives() {
        return Before::Running(left.launcher.0);
    }
    // Sockets that are listed there may have been bound anew for us already.
    let left = Leftovers {
        files: Vec::new(),
        ..left
    };
    if let (Some(file), Some(cookie)) = (
        &left.xauthority,
        xauthority::read_session(&session_dir.join(XAUTHORITY)),
    ) {
        let _ = as_user(left.user, || xauthority::remove(file, &cookie));
    }
    left.remove_x_files();
    // Not the log: the new session's supervisor may write to it already.
    for name in [RECORD, XAUTHORITY, SOCKET] {
        let _ = fs::remove_file(session_dir.join(name));
    }
    Before::Free
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(launcher: (i32, u64), dir: &Path) -> Leftovers {
        Leftovers {
            launcher,
            display: Some(4_000_000),
            user: None,
            xauthority: Some(dir.join("Xauthority")),
            files: vec![dir.join("a socket"), dir.join("a pid file")],
        }
    }

    #[test]
    fn a_record_survives_a_round_trip() {
        let all = some((1, 2), Path::new("/home/a user"));
        assert_eq!(Leftovers::decode(&all.encode()), Some(all.clone()));
        let none = Leftovers {
            display: None,
            xauthority: None,
            files: vec![],
            ..all
        };
        assert_eq!(Leftovers::decode(&none.encode()), Some(none));
        assert_eq!(Leftovers::decode(b"rubbish"), None);
    }

    #[test]
    fn only_a_record_is_taken_for_one() {
        let root = tempfile::tempdir().unwrap();
        let mine = some((i32::MAX, 1), root.path());
        mine.save(root.path()).unwrap();
        assert_eq!(Leftovers::load(root.path()), Some(mine.clone()));
        let record = root.path().join(RECORD);
        // What an application can make of the log, which is ours but has another mode.
        fs::set_permissions(&record, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Leftovers::load(root.path()), None);
        fs::set_permissions(&record, fs::Permissions::from_mode(RECORD_MODE)).unwrap();
        fs::hard_link(&record, root.path().join("second")).unwrap();
        assert_eq!(Leftovers::load(root.path()), None);
        fs::remove_file(&record).unwrap();
        std::os::unix::fs::symlink(root.path().join("second"), &record).unwrap();
        assert_eq!(Leftovers::load(root.path()), None);
        fs::remove_file(&record).unwrap();
        nix::unistd::mkfifo(&record, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(Leftovers::load(root.path()), None);
        assert_eq!(xauthority::read_session(&record), None);
    }

    #[test]
    fn a_killed_launchers_traces_go_and_a_live_ones_stay() {
        let root = tempfile::tempdir().unwrap();
        let (dead, live) = (root.path().join("1"), root.path().join("2"));
        let cookie = [7; 16];
        for dir in [&dead, &live] {
            fs::create_dir(dir).unwrap();
            fs::write(dir.join(LOG), "x").unwrap();
        }
        let killed = some((i32::MAX, 1), root.path());
        killed.save(&dead).unwrap();
        xauthority::write_session(&dead.join(XAUTHORITY), 4_000_000, &cookie, None).unwrap();
        xauthority::merge(killed.xauthority.as_deref().unwrap(), 4_000_000, &cookie).unwrap();
        fs::write(&killed.files[0], "").unwrap();
        let me = nix::unistd::getpid().as_raw();
        some((me, start_time(me).unwrap()), root.path())
            .save(&live)
            .unwrap();

        let fresh = root.path().join("3");
        fs::create_dir(&fresh).unwrap();
        assert_eq!(clean_up_after_killed(&fresh), Before::Free);
        assert!(!dead.exists() && !killed.files[0].exists());
        assert_eq!(fs::read(killed.xauthority.unwrap()).unwrap(), b"");
        assert!(live.join(LOG).exists());
        assert_eq!(clean_up_after_killed(&live), Before::Running(me));
    }
}
