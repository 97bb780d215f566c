//! A machine for one test of the real `bulkhead`, with stand-ins for what it starts.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `nobody`: tests that run as root become somebody else.
pub const NOBODY: u32 = 65534;

/// Writes down descriptors, environment and arguments beside itself.
pub const STAND_IN: &str = r#"#!/bin/bash
out=REPORTS/${0##*/}
for fd in /proc/$$/fd/*; do
  echo "${fd##*/} $(readlink "$fd")"
done | grep -v -e "$0" -e ' $' > "$out.fds"
tr '\0' '\n' < /proc/$$/environ > "$out.env"
tr '\0' '\n' < /proc/$$/cmdline > "$out.args"
pwd > "$out.cwd"
mv "$out.fds" "$out.done"
BODY
"#;

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

pub fn uid() -> u32 {
    if is_root() {
        NOBODY
    } else {
        nix::unistd::geteuid().as_raw()
    }
}

/// A machine for one test: executables, a home and a runtime directory. One at a time: a fork of
/// another test would hold an executable open while it is still being written.
pub struct Place {
    pub dir: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Place {
    pub fn new() -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let place = Self { dir, _alone };
        place.chmod("", 0o755);
        for name in ["bin", "home", "run", "reports", "path"] {
            fs::create_dir(place.path(name)).unwrap();
        }
        for name in ["home", "run", "reports"] {
            if is_root() {
                chown(place.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
            }
            place.chmod(name, 0o700);
        }
        fs::copy(env!("CARGO_BIN_EXE_bulkhead"), place.path("bin/bulkhead")).unwrap();
        for role in policy::Role::ALL {
            place.stand_in(role.executable(), "exit 0");
        }
        place.script("path/Xvfb", "#!/bin/sh\n");
        place.script("path/xterm", "#!/bin/sh\n");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn script(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.chmod(name, 0o755);
    }

    pub fn stand_in(&self, executable: &str, body: &str) {
        let text = STAND_IN
            .replace("REPORTS", self.path("reports").to_str().unwrap())
            .replace("BODY", body);
        self.script(&format!("bin/{executable}"), &text);
    }

    pub fn file(&self, name: &str, mode: u32, text: &str) -> String {
        let path = self.path("home").join(name);
        fs::write(&path, text).unwrap();
        if is_root() {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin/bulkhead"));
        command
            .args(args)
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.path("path").display()),
            )
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("XPRA_SOCKET_HOSTNAME", "box")
            .current_dir(self.path("home"));
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// What lies in the home and runtime directories.
    pub fn left(&self) -> Vec<String> {
        fn walk(dir: &Path, all: &mut Vec<String>) {
            for entry in fs::read_dir(dir).unwrap().flatten() {
                all.push(entry.path().display().to_string());
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), all);
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.path("home"), &mut all);
        walk(&self.path("run"), &mut all);
        all.sort();
        all
    }

    /// Runs it; it must fail with one line that contains `wanted`, and leave nothing.
    pub fn refused(&self, args: &[&str], wanted: &str) {
        self.refused_command(self.command(args), wanted);
    }

    pub fn refused_command(&self, mut command: Command, wanted: &str) {
        let before = self.left();
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with("bulkhead: warning:"))
            .collect();
        assert!(!output.status.success(), "{command:?} succeeded");
        assert_eq!(lines.len(), 1, "{command:?}: {text}");
        assert!(
            lines[0].starts_with("bulkhead: ") && lines[0].contains(wanted),
            "{command:?}: {text}"
        );
        assert_eq!(output.stdout, b"", "{command:?}");
        assert_eq!(self.left(), before, "{command:?}");
        assert!(
            !self.path("reports/bulkhead-launcher.done").exists(),
            "{command:?} started the launcher"
        );
    }

    pub fn report(&self, role: &str, kind: &str) -> String {
        let path = self.path(&format!("reports/bulkhead-{role}.{kind}"));
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let done = self.path(&format!("reports/bulkhead-{role}.done"));
        while !done.exists() {
            assert!(std::time::Instant::now() < end, "{role} was not started");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        fs::read_to_string(path).unwrap()
    }

    pub fn descriptors(&self, role: &str) -> BTreeMap<u32, String> {
        self.report(role, "done")
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(number, what)| (number.parse().unwrap(), what.to_owned()))
            .collect()
    }
}

/// How many displays a test process has.
const DISPLAYS: u32 = 10;

fn first_display() -> u32 {
    20000 + std::process::id() % 4000 * DISPLAYS
}

/// Displays that nobody else uses.
pub fn display() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed) % DISPLAYS;
    format!(":{}", first_display() + next)
}

impl Drop for Place {
    fn drop(&mut self) {
        // The launcher takes the lock over and removes it at its end; its stand-in does not.
        for display in first_display()..first_display() + DISPLAYS {
            let _ = fs::remove_file(files::display::lock_file(display));
        }
    }
}

pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
