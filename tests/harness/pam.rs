//! PAM services and users of the system of a test's own.

use crate::commands::chmod;
use crate::session::Session;
use crate::{eventually, processes};
use nix::fcntl::OFlag;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

/// A service as Debian makes them, without the parts that only a terminal has.
pub const UNIX: &str = "auth requisite pam_nologin.so\n\
    auth [success=1 default=ignore] pam_unix.so nullok\n\
    auth requisite pam_deny.so\n\
    auth required pam_permit.so\n\
    account required pam_unix.so\n\
    session required pam_unix.so\n";

/// A directory with services of a test's own.
pub struct Services(tempfile::TempDir);

impl Services {
    /// With these files.
    ///
    /// # Panics
    /// When they cannot be written.
    #[must_use]
    pub fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("bulkhead-pam-")
            .tempdir_in("/tmp")
            .unwrap();
        chmod(directory.path(), 0o755);
        let services = Self(directory);
        for (name, text) in files {
            services.write(name, text);
        }
        services
    }

    /// Writes a file there.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        chmod(&path, 0o644);
        path
    }

    /// Where they are.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Held for writing while the system's users are changed, by whichever test.
static USERS: RwLock<()> = RwLock::new(());

/// The system's users do not change while this is held. Whoever changes them puts another file into the
/// place of `/etc/passwd`, which a process that asks in that moment may not read.
pub fn unchanged_users() -> RwLockReadGuard<'static, ()> {
    USERS.read().unwrap_or_else(PoisonError::into_inner)
}

/// A user of this system, for one test: nobody else has the name, and it is removed in the end. Only
/// root can make one.
pub struct SystemUser(String);

impl SystemUser {
    /// With this password.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(password: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let user = Self(format!("bh-{}-{count}", std::process::id()));
        user.run(&["useradd", "--no-create-home", "--no-log-init"]);
        // As the system hashes them: Debian's yescrypt.
        let _alone = USERS.write().unwrap_or_else(PoisonError::into_inner);
        let mut child = Command::new("chpasswd")
            .stdin(Stdio::piped())
            .spawn()
            .expect("chpasswd is there");
        let mut stdin = child.stdin.take().unwrap();
        let line = format!("{}:{password}\n", user.0);
        stdin.write_all(line.as_bytes()).unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success());
        user
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Runs a command about it, which gets its name as the last argument: `usermod -L`.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&self, words: &[&str]) {
        let _alone = USERS.write().unwrap_or_else(PoisonError::into_inner);
        let output = Command::new(words[0])
            .args(&words[1..])
            .arg(&self.0)
            .output()
            .unwrap_or_else(|error| panic!("{words:?}: {error}"));
        assert!(output.status.success(), "{words:?}: {output:?}");
    }
}

impl Drop for SystemUser {
    fn drop(&mut self) {
        let _alone = USERS.write().unwrap_or_else(PoisonError::into_inner);
        let _ = Command::new("userdel")
            .arg(&self.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// A hash of a password as crypt(5) has it.
///
/// # Panics
/// When there is no `openssl`.
#[must_use]
pub fn hash(password: &str) -> String {
    let output = Command::new("openssl")
        .args(["passwd", "-6", password])
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What `pamtester`, a stock program, says of a user and a password, asked of the same service. It
/// reads services where the system has them, so it is asked about copies: see the tests.
#[must_use]
pub fn pamtester_says_yes(service: &str, user: &str, password: &str) -> bool {
    let _unchanged = unchanged_users();
    let mut child = Command::new("pamtester")
        .args([service, user, "authenticate", "acct_mgmt"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("pamtester is installed");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(format!("{password}\n").as_bytes()).unwrap();
    drop(stdin);
    child.wait().unwrap().success()
}

/// A service that anybody can ask, and that knows one user.
pub struct PasswordFile(Services);

impl PasswordFile {
    /// With this user and this password.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        Self::with_users(&[(user, password)])
    }

    /// With several.
    #[must_use]
    pub fn with_users(users: &[(&str, &str)]) -> Self {
        let services = Services::new(&[]);
        let lines = users
            .iter()
            .map(|(user, password)| format!("{user}:{}\n", hash(password)));
        let users = services.write("users", &lines.collect::<String>());
        let text = format!(
            "auth required pam_pwdfile.so pwdfile={}\naccount required pam_permit.so\n",
            users.display()
        );
        services.write("users-of-a-file", &text);
        Self(services)
    }

    /// The module that asks it.
    #[must_use]
    pub fn module(&self) -> String {
        let directory = self.0.path().display();
        format!("pam(service-dir={directory},service=users-of-a-file,timeout=50)")
    }

    /// From now on, whoever asks waits: the file with the users is one that nobody writes.
    ///
    /// # Panics
    /// When that cannot be made.
    pub fn hang(&self) {
        let users = self.0.path().join("users");
        std::fs::remove_file(&users).unwrap();
        nix::unistd::mkfifo(&users, nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
        chmod(&users, 0o644);
    }

    /// Waits until there is a process that asks and is confined; from then on it waits.
    ///
    /// # Panics
    /// When there is none.
    pub fn is_asked(&self, session: &Session) -> u32 {
        let outside = processes::seccomp_filters(std::process::id()).unwrap();
        let own = 1 + policy::of(policy::Role::AuthPam).refusals.len();
        eventually("a process that asks PAM", Duration::from_secs(20), || {
            let pid = processes::of_role(session.process().id(), "auth-pam").pop()?;
            (processes::seccomp_filters(pid)? == outside + own).then_some(pid)
        })
    }

    /// Lets those go on who wait: there are no users.
    ///
    /// # Panics
    /// When nobody waits.
    pub fn release(&self) {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        // Without a reader there is an error (fifo(7)).
        options.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
        eventually("a reader", Duration::from_secs(20), || {
            options.open(self.0.path().join("users")).ok()
        });
    }
}
