//! Databases of users.

use crate::commands::{bin_dir, chmod, stock_xpra, test_user};
use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::{Uid, chown};
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A directory whose files the session's user owns.
pub struct Files(tempfile::TempDir);

impl Files {
    /// An empty one.
    #[expect(
        clippy::new_without_default,
        reason = "it makes something in the file system"
    )]
    pub fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("bulkhead-databases-")
            .tempdir_in("/tmp")
            .unwrap();
        chmod(directory.path(), 0o755);
        own(directory.path());
        Self(directory)
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `bulkhead passwd` with this database.
    ///
    /// # Panics
    /// When it refuses.
    pub fn passwd(&self, name: &str, words: &[&str], password: &str) {
        let path = self.path(name);
        let database = format!("--database={}", path.display());
        let mut command = Command::new(bin_dir().join("bulkhead"));
        if Uid::effective().is_root() {
            let user = test_user();
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        let mut child = command
            .args(["passwd", &database])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let _ = input.write_all(password.as_bytes());
        drop(input);
        assert!(child.wait().unwrap().success(), "{words:?}");
    }

    /// Xpra's own tool with this database.
    ///
    /// # Panics
    /// When it refuses.
    pub fn stock_tool(&self, name: &str, words: &[&str]) {
        let path = self.path(name);
        let output = Command::new(stock_xpra())
            .args(["auth", "sqlite", path.to_str().unwrap()])
            .args(words)
            .env("HOME", self.0.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        chmod(&path, 0o600);
        own(&path);
    }

    /// Writes this database, as SQLite does, and does not end as long as what is returned lives.
    ///
    /// # Panics
    /// When somebody reads it.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "these constants are small; the fields are of another type than they"
    )]
    pub fn lock(&self, name: &str) -> File {
        let file = File::options().read(true).write(true).open(self.path(name));
        let file = file.unwrap();
        let lock = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            // Those that readers share (sqlite.org/lockingv3.html).
            l_start: 0x4000_0002,
            l_len: 510,
            l_pid: 0,
        };
        fcntl(&file, FcntlArg::F_SETLK(&lock)).unwrap();
        file
    }
}

fn own(path: &Path) {
    if Uid::effective().is_root() {
        let user = test_user();
        chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}
