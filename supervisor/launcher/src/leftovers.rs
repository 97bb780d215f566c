//! What a session leaves behind, written down while it runs, so that its own end and the next
//! start after a SIGKILL clean up in the same way.
//!
//! The session directory and with it the record are ours alone: in a start as root the session's
//! user can write neither. What the user can write is touched with the user's rights only.

use crate::marked;
use crate::processes::start_time;
use crate::xauthority;
use files::{Ids, as_user, display};
use ipc::spec::{self, MadeFile, SessionUser};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};

/// The record's name in the session directory.
const RECORD: &str = "launcher.state";
/// The one directory in the session directory that is the session's user's: programs that read
/// an Xauthority file make a lock beside it.
pub const X11: &str = "x11";
/// The session's own Xauthority file.
pub const XAUTHORITY: &str = "x11/xauthority";
/// Where a supervisor finds a launcher that has lost its own.
pub const SOCKET: &str = "launcher.sock";
/// The server's own socket, which the command line makes.
const SERVER_SOCKET: &str = "socket";
/// The one for new certificates, likewise.
const RELOAD_SOCKET: &str = "reload.sock";
/// Output of the X server and the commands.
pub const LOG: &str = "server.log";

/// Everything that must go when a session has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftovers {
    /// The launcher, and when it was started.
    pub launcher: (i32, u64),
    /// The display whose lock file names the launcher.
    pub display: Option<u32>,
    /// What the environment of each of its processes has as [`marked::VARIABLE`].
    pub mark: String,
    /// The user of the session, in a start as root.
    pub user: Option<SessionUser>,
    /// The user's Xauthority file.
    pub xauthority: Option<PathBuf>,
    /// That file was there and empty.
    pub xauthority_was_empty: bool,
    /// Files outside of the session directory.
    pub files: Vec<MadeFile>,
}

impl Leftovers {
    fn user(&self) -> Option<Ids> {
        self.user.as_ref().map(Ids::from)
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
            .mode(0o600)
            .open(&new)?;
        file.write_all(&spec::encode(self).map_err(io::Error::other)?)?;
        fs::rename(new, session_dir.join(RECORD))
    }

    /// The record of a session, from a directory in which only we can have written it.
    fn load(session_dir: &Path) -> Option<Self> {
        let ours = |meta: &fs::Metadata| meta.uid() == geteuid().as_raw();
        let dir = fs::symlink_metadata(session_dir).ok()?;
        if !dir.is_dir() || !ours(&dir) || dir.mode() & 0o022 != 0 {
            return None;
        }
        let file = files::ordinary(&session_dir.join(RECORD)).ok()?;
        if !ours(&file.metadata().ok()?) {
            return None;
        }
        spec::read(&file).ok()
    }

    fn launcher_lives(&self) -> bool {
        start_time(self.launcher.0) == Some(self.launcher.1)
    }

    /// Makes the directory of the session's user.
    ///
    /// # Errors
    /// What the file system says.
    pub fn make_x11(&self, session_dir: &Path) -> io::Result<()> {
        let dir = session_dir.join(X11);
        match fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        match self.user() {
            Some(user) => lchown(dir, Some(user.uid), Some(user.gid)),
            None => Ok(()),
        }
    }

    /// Takes the session's cookie out of the user's file.
    fn forget_cookie(&self, session_dir: &Path) {
        let Some(file) = &self.xauthority else { return };
        // The file is the user's; an end must not fail because of it.
        let _ = as_user(self.user(), || {
            xauthority::read_session(&session_dir.join(XAUTHORITY)).map_or(Ok(()), |cookie| {
                xauthority::remove(file, &cookie, self.xauthority_was_empty)
            })
        });
    }

    /// Removes the lock of the display, and the socket of an X server that has been killed.
    fn remove_x_files(&self) {
        let Some(display) = self.display else { return };
        if display::holder(display) == Some(self.launcher.0) {
            let socket = display::socket(display);
            if files::listens(&socket).is_err() {
                let _ = fs::remove_file(socket);
            }
            let _ = fs::remove_file(display::lock_file(display));
        }
    }

    /// Removes a directory of the session's user with what is in it.
    fn remove_user_directory(&self, dir: &Path) {
        let _ = as_user(self.user(), || fs::remove_dir_all(dir));
        // Its name is in ours.
        let _ = fs::remove_dir(dir);
    }

    /// Removes what clients find the server by: its sockets, and the files outside of the session
    /// directory.
    pub fn hide(&self, session_dir: &Path) {
        for file in &self.files {
            files::remove(file, self.user());
        }
        for socket in [SERVER_SOCKET, RELOAD_SOCKET] {
            let _ = fs::remove_file(session_dir.join(socket));
        }
    }

    /// Removes the session's files and directory, but the files of these names, for the person who
    /// wants to know why. The display is given up last: until then nobody else can have the
    /// directory.
    pub fn clean(&self, session_dir: &Path, kept: &[&str]) {
        self.forget_cookie(session_dir);
        self.hide(session_dir);
        for entry in fs::read_dir(session_dir).into_iter().flatten().flatten() {
            if kept.iter().any(|name| entry.file_name() == **name) {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.remove_user_directory(&entry.path());
            } else {
                let _ = fs::remove_file(entry.path());
            }
        }
        // Stays when something is kept in it.
        let _ = fs::remove_dir(session_dir);
        self.remove_x_files();
    }
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
            marked::end(&left.mark, left.user());
            left.clean(&dir, &[]);
        }
    }
    let Some(left) = Leftovers::load(session_dir) else {
        return Before::Free;
    };
    if left.launcher_lives() {
        return Before::Running(left.launcher.0);
    }
    marked::end(&left.mark, left.user());
    left.forget_cookie(session_dir);
    left.remove_x_files();
    left.remove_user_directory(&session_dir.join(X11));
    // Not the log, the socket and the process id: they may be the new session's already.
    for name in [RECORD, SOCKET] {
        let _ = fs::remove_file(session_dir.join(name));
    }
    Before::Free
}

/// Cleans up after the launcher of this session directory, if it was killed, and leaves nothing.
pub fn clean_up(session_dir: &Path) -> Before {
    match Leftovers::load(session_dir) {
        Some(left) if left.launcher_lives() => Before::Running(left.launcher.0),
        Some(left) => {
            marked::end(&left.mark, left.user());
            left.clean(session_dir, &[]);
            Before::Free
        }
        None => Before::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use files::{Spot, made};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn some(launcher: (i32, u64), dir: &Path) -> Leftovers {
        let files = ["a socket", "a pid file"].map(|name| {
            fs::write(dir.join(name), "").unwrap();
            made(&Spot::new(&dir.join(name), None)).unwrap()
        });
        Leftovers {
            launcher,
            display: Some(4_000_000),
            mark: "0123".into(),
            user: None,
            xauthority: Some(dir.join("Xauthority")),
            xauthority_was_empty: false,
            files: files.to_vec(),
        }
    }

    #[test]
    fn only_a_record_is_taken_for_one() {
        let root = tempfile::tempdir().unwrap();
        let mine = some((i32::MAX, 1), root.path());
        mine.save(root.path()).unwrap();
        assert_eq!(Leftovers::load(root.path()), Some(mine.clone()));
        let chmod = |mode| {
            fs::set_permissions(root.path(), fs::Permissions::from_mode(mode)).unwrap();
        };
        for mode in [0o720, 0o702, 0o1777] {
            chmod(mode);
            assert_eq!(Leftovers::load(root.path()), None, "{mode:o}");
        }
        chmod(0o700);
        let link = root.path().join("link");
        symlink(root.path(), &link).unwrap();
        assert_eq!(Leftovers::load(&link), None);
        let record = root.path().join(RECORD);
        if geteuid().is_root() {
            lchown(&record, Some(65534), None).unwrap();
            assert_eq!(Leftovers::load(root.path()), None);
        }
        fs::rename(&record, root.path().join("second")).unwrap();
        symlink("second", &record).unwrap();
        assert_eq!(Leftovers::load(root.path()), None);
        fs::remove_file(&record).unwrap();
        nix::unistd::mkfifo(&record, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(Leftovers::load(root.path()), None);
        assert_eq!(xauthority::read_session(&record), None);
        fs::remove_file(&record).unwrap();
        fs::write(&record, "rubbish").unwrap();
        assert_eq!(Leftovers::load(root.path()), None);
    }

    #[test]
    fn a_killed_launchers_traces_go_and_a_live_ones_stay() {
        let root = tempfile::tempdir().unwrap();
        let (dead, live) = (root.path().join("1"), root.path().join("2"));
        let cookie = [7; 16];
        let killed = some((i32::MAX, 1), root.path());
        for dir in [&dead, &live] {
            fs::DirBuilder::new().mode(0o700).create(dir).unwrap();
            fs::write(dir.join(LOG), "x").unwrap();
            killed.make_x11(dir).unwrap();
        }
        killed.save(&dead).unwrap();
        xauthority::write_session(&dead.join(XAUTHORITY), 4_000_000, &cookie).unwrap();
        xauthority::merge(killed.xauthority.as_deref().unwrap(), 4_000_000, &cookie).unwrap();
        // What has been bound anew there is not the dead session's.
        let anew = &killed.files[1].path;
        let _old = fs::File::open(anew).unwrap();
        fs::remove_file(anew).unwrap();
        fs::write(anew, "").unwrap();
        let me = nix::unistd::getpid().as_raw();
        let other = tempfile::tempdir().unwrap();
        some((me, start_time(me).unwrap()), other.path())
            .save(&live)
            .unwrap();

        let fresh = root.path().join("3");
        fs::DirBuilder::new().mode(0o700).create(&fresh).unwrap();
        assert_eq!(clean_up_after_killed(&fresh), Before::Free);
        assert!(!dead.exists() && !killed.files[0].path.exists() && anew.exists());
        assert!(!killed.xauthority.unwrap().exists());
        assert!(live.join(LOG).exists());
        assert_eq!(clean_up_after_killed(&live), Before::Running(me));
        assert_eq!(clean_up(&live), Before::Running(me));
        some((i32::MAX, 1), root.path()).save(&fresh).unwrap();
        assert_eq!(clean_up(&fresh), Before::Free);
        assert!(live.exists() && !fresh.exists());
    }
}
