//! Security keys made of software, for the stock client and for ours.

use crate::commands::{chmod, test_user};
use crate::door::Visitor;
use crate::session::Session;
use crate::stock;
use crate::{eventually, processes};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use test_client::SecurityKey;

/// The name of one of its keys, as `software_key.py` has it, in hexadecimal.
const HANDLE: &str = "6f6e65206f6620697473206b657973";

/// Files that the session's user owns.
pub struct KeyFiles(tempfile::TempDir);

impl Default for KeyFiles {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyFiles {
    /// None yet.
    ///
    /// # Panics
    /// When there is no directory.
    #[must_use]
    pub fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("bulkhead-keys-")
            .tempdir_in("/tmp")
            .unwrap();
        let files = Self(directory);
        files.own(files.path());
        chmod(files.path(), 0o755);
        files
    }

    fn own(&self, path: &Path) {
        if Uid::effective().is_root() {
            chown(path, Some(test_user().uid), Some(test_user().gid)).unwrap();
        }
    }

    /// Where they are.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes one.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        chmod(&path, 0o644);
        self.own(&path);
        path
    }

    /// A module that knows this key.
    pub fn module(&self, name: &str, key: &SecurityKey) -> String {
        let path = self.write("key.hex", &key.hex());
        format!("{name}(public-key-file={})", path.display())
    }
}

/// A key that is plugged in where the stock client runs: what libraries do with hardware, Python
/// modules of ours do instead, which come first on its way (`programs/software_key`).
pub struct StockKey(tempfile::TempDir);

impl Default for StockKey {
    fn default() -> Self {
        Self::new()
    }
}

impl StockKey {
    /// A new one.
    ///
    /// # Panics
    /// When there is no openssl(1).
    #[must_use]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made = Command::new("openssl")
            .args(["genpkey", "-algorithm", "EC", "-out"])
            .arg(directory.path().join("key.pem"))
            .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let key = Self(directory);
        key.set_counter(0);
        key
    }

    /// How often it says that it has signed: the next time one more than this.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn set_counter(&self, counter: u32) {
        std::fs::write(self.0.path().join("counter"), counter.to_string()).unwrap();
    }

    /// What a stock client has in its environment where the key is plugged in.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 6] {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/software_key");
        let directory = self.0.path().display().to_string();
        [
            ("PYTHONPATH", programs.display().to_string()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
            ("SOFTWARE_KEY", directory.clone()),
            ("XPRA_USER_CONF_DIRS", directory),
            ("XPRA_U2F_KEY_HANDLE", HANDLE.into()),
            ("XPRA_FIDO2_KEY_HANDLE", HANDLE.into()),
        ]
    }

    /// The stock registration tool, `xpra fido2`: what it writes into its file of the public key.
    ///
    /// # Panics
    /// When it writes none, or another key handle.
    #[must_use]
    pub fn register(&self, session: &Session) -> String {
        // Its last step is a window, for which there is no screen.
        let output = stock::run_with(session, &self.variables(), &["fido2"]);
        let read = |name: &str| std::fs::read_to_string(self.0.path().join(name));
        let handle = read("fido2-keyhandle.hex").unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!(handle, HANDLE);
        read("fido2-pub.hex").unwrap()
    }

    /// A stock client where the key is plugged in.
    #[must_use]
    pub fn plugged_into<'d>(&self, visitor: Visitor<'d>) -> Visitor<'d> {
        visitor.variables(&self.variables())
    }
}

/// A login whose check has a process that `auth` does not ask, until what is returned is dropped.
/// `begin` begins it with that key.
///
/// The client stops the supervisor before it answers. When `auth` has heard the answer, it waits for a
/// check: then it is stopped, and the supervisor goes on.
///
/// # Panics
/// When that does not succeed.
pub fn held(session: &Session, key: &SecurityKey, begin: impl FnOnce(SecurityKey)) -> Held {
    let top = session.process().id();
    let auth = *processes::of_role(top, "auth").first().unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    begin(key.clone().changed(move |_, _| {
        let supervisor = Held::stop(top);
        // It has asked for the answer, and waits.
        let switches = eventually("auth waits", LONG, || {
            let waits = processes::status(auth, "State")?.starts_with('S');
            waits.then(|| switches(auth))
        });
        told.send((supervisor, switches)).unwrap();
    }));
    let (supervisor, before) = heard.recv_timeout(LONG).unwrap();
    eventually("auth has heard the answer", LONG, || {
        (switches(auth) != before).then_some(())
    });
    let held = Held::stop(auth);
    drop(supervisor);
    eventually("a check that is confined", LONG, || {
        let check = *processes::of_role(top, "auth-fido").first()?;
        (processes::seccomp_filters(check) != processes::seccomp_filters(top)).then_some(())
    });
    held
}

/// How often a process has waited for something.
fn switches(pid: u32) -> Option<String> {
    processes::status(pid, "voluntary_ctxt_switches")
}

const LONG: Duration = Duration::from_secs(20);

/// A process that is stopped.
pub struct Held(Pid);

impl Held {
    fn stop(pid: u32) -> Self {
        let pid = Pid::from_raw(pid.cast_signed());
        kill(pid, Signal::SIGSTOP).unwrap();
        Self(pid)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGCONT);
    }
}
