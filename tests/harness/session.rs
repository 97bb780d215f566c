//! A Bulkhead session of a test's own.

use crate::commands::{bin_dir, chmod, test_user};
use crate::eventually;
use crate::process::Process;
use crate::processes;
use crate::screen::Screen;
use crate::verdicts;
use nix::sys::signal::Signal;
use nix::unistd::{Uid, chown};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How the session is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// By an ordinary user.
    User,
    /// By root, for that user (the system service's way).
    Root,
}

/// A running session with a TCP port and a password, and directories of its own.
pub struct Session {
    process: Process,
    launcher: Option<u32>,
    wrapper: Vec<String>,
    arguments: Vec<String>,
    directory: tempfile::TempDir,
    /// Display number.
    pub display: u32,
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// How it was started.
    pub start: Start,
}

/// The password of every test session.
pub const PASSWORD: &str = "the password";
/// What `key.txt` holds, in the directory where every session is started: AES key data.
pub const KEY: &str = "the key data of every test";
/// In the home directory: what `tee` writes.
const TYPED: &str = "typed.txt";
/// The session's TCP socket is encrypted with [`KEY`].
pub const ENCRYPTED: [&str; 2] = [
    "--tcp-encryption=AES-GCM",
    "--tcp-encryption-keyfile=key.txt",
];

impl Session {
    /// Starts one as an ordinary user with more options, and waits until it is ready.
    pub fn start(options: &[&str]) -> Self {
        Self::start_as(Start::User, options)
    }

    /// Starts one with one more TCP socket for each of these, which is what is written after `auth=`,
    /// and more options: their ports. Nothing encrypts there unless it says so.
    pub fn with_sockets<const N: usize>(auth: [&str; N], options: &[&str]) -> (Self, [u16; N]) {
        let ports = auth.map(|_| free_port());
        let binds: Vec<_> = ports
            .iter()
            .zip(auth)
            .map(|(port, auth)| format!("--bind-tcp=127.0.0.1:{port},auth={auth}"))
            .collect();
        let mut words = options.to_vec();
        words.extend(binds.iter().map(String::as_str));
        (Self::start(&words), ports)
    }

    /// Starts one with more options, and waits until it is ready.
    pub fn start_as(start: Start, options: &[&str]) -> Self {
        Self::start_under(&[], start, options)
    }

    /// Starts one by another program, which is to execute the words after its own arguments; so
    /// are all other commands of this session.
    ///
    /// # Panics
    /// When it does not get ready.
    pub fn start_under(wrapper: &[&str], start: Start, options: &[&str]) -> Self {
        let wrapper: Vec<String> = wrapper.iter().map(|word| (*word).to_owned()).collect();
        let directory = tempfile::Builder::new()
            .prefix("bulkhead-test-")
            .tempdir_in("/tmp")
            .unwrap();
        let (runtime, home) = (
            directory.path().join("runtime"),
            directory.path().join("home"),
        );
        chmod(directory.path(), 0o755);
        let user = test_user();
        for path in [&runtime, &home] {
            std::fs::create_dir(path).unwrap();
            chmod(path, 0o700);
            if Uid::effective().is_root() && !(start == Start::Root && *path == runtime) {
                chown(path, Some(user.uid), Some(user.gid)).unwrap();
            }
        }
        let password = match start {
            Start::User => home.join("password.txt"),
            // Where only root can replace it.
            Start::Root => directory.path().join("password.txt"),
        };
        std::fs::write(&password, PASSWORD).unwrap();
        chmod(&password, 0o600);
        if Uid::effective().is_root() && start == Start::User {
            chown(&password, Some(user.uid), Some(user.gid)).unwrap();
        }
        let key = home.join("key.txt");
        std::fs::write(&key, format!("{KEY}\n")).unwrap();
        chmod(&key, 0o600);
        if Uid::effective().is_root() {
            chown(&key, Some(user.uid), Some(user.gid)).unwrap();
        }
        let tls = crate::tls::files();
        let client = crate::tls::client();
        for (name, content) in [
            ("tls-cert.pem", &tls.certificate),
            ("tls-key.pem", &tls.key),
            ("tls-ca.pem", &tls.authority),
            ("client-cert.pem", &client.certificate),
            ("client-key.pem", &client.key),
            ("client-ca.pem", &client.authority),
        ] {
            let path = home.join(name);
            std::fs::write(&path, content).unwrap();
            chmod(&path, 0o600);
            if Uid::effective().is_root() {
                chown(&path, Some(user.uid), Some(user.gid)).unwrap();
            }
        }
        let port = free_port();
        let bind = format!(
            "--bind-tcp=127.0.0.1:{port},auth=file(filename={})",
            password.display()
        );
        let chdir = format!("--chdir={}", home.display());
        let mut arguments: Vec<String> = vec!["--daemon=no".into(), bind, chdir];
        arguments.extend(options.iter().map(|option| (*option).to_owned()));
        if start == Start::Root {
            arguments.push(format!("--uid={}", user.name));
        }
        let mut command = command_as(&wrapper, start, &runtime, &home);
        let process = Process::start(command.arg("seamless").args(&arguments));
        let display = ready(&process);
        let typed = home.join(TYPED);
        if options
            .iter()
            .any(|option| option.ends_with("tee typed.txt"))
        {
            // xterm shows its window before its child has set up the terminal, and what is typed
            // before that is lost.
            eventually("the application", Duration::from_secs(20), || {
                typed.exists().then_some(())
            });
        }
        let launcher = processes::of_role(process.id(), "launcher")
            .first()
            .copied();
        Self {
            process,
            launcher,
            wrapper,
            arguments,
            directory,
            display,
            port,
            start,
        }
    }

    /// Starts the server of this session again, after its supervisor has ended, with the same
    /// options.
    ///
    /// # Panics
    /// When it does not get ready.
    pub fn start_again(&mut self) {
        let mut command = self.command();
        let name = format!(":{}", self.display);
        command.args(["seamless", &name]);
        command.args(self.arguments.iter().filter(|argument| **argument != name));
        self.process = Process::start(&mut command);
        assert_eq!(ready(&self.process), self.display);
    }

    /// The launcher's process id.
    ///
    /// # Panics
    /// When there was none.
    pub fn launcher(&self) -> u32 {
        self.launcher.expect("a session has a launcher")
    }

    /// `XDG_RUNTIME_DIR` of the session.
    pub fn runtime_dir(&self) -> PathBuf {
        self.directory.path().join("runtime")
    }

    /// A directory that the session's applications can write to.
    pub fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// The session directory.
    pub fn session_dir(&self) -> PathBuf {
        let sessions = match self.start {
            Start::User => self.runtime_dir().join("xpra"),
            Start::Root => PathBuf::from("/run/xpra"),
        };
        sessions.join(self.display.to_string())
    }

    /// Do clients have to encrypt, because of [`ENCRYPTED`]?
    pub fn is_encrypted(&self) -> bool {
        self.arguments.iter().any(|option| option == ENCRYPTED[0])
    }

    /// What was typed into the application, if that is `tee typed.txt`.
    pub fn typed(&self) -> String {
        std::fs::read_to_string(self.home().join(TYPED)).unwrap_or_default()
    }

    /// A file with the password.
    pub fn password_file(&self) -> PathBuf {
        match self.start {
            Start::User => self.home().join("password.txt"),
            Start::Root => self.directory.path().join("password.txt"),
        }
    }

    /// The supervisor.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits for a line in the log that has all these parts.
    ///
    /// # Panics
    /// When there is none within a minute.
    pub fn logged(&self, parts: &[&str]) {
        self.process.wait_for_line(Duration::from_secs(60), |line| {
            parts.iter().all(|part| line.contains(part))
        });
    }

    /// The supervisor, to wait for.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// A look at the session's X server, with its cookie.
    pub fn screen(&self) -> Screen {
        let xauthority = self.session_dir().join("x11/xauthority");
        eventually(
            "connect to the session's X server",
            Duration::from_secs(10),
            || Screen::connect(self.display, Some(&xauthority)),
        )
    }

    /// A `bulkhead` command by the session's owner.
    pub fn bulkhead(&self, args: &[&str]) -> std::process::Output {
        self.command().args(args).output().unwrap()
    }

    /// `bulkhead` by another user than who has started the session, without arguments.
    pub fn command_of(&self, start: Start) -> Command {
        command_as(&self.wrapper, start, &self.runtime_dir(), &self.home())
    }

    /// Starts a `bulkhead` command by the session's owner, to look at while it runs.
    pub fn begin(&self, args: &[&str]) -> Process {
        Process::start(self.command().args(args))
    }

    /// `bulkhead` by the session's owner, without arguments.
    pub fn command(&self) -> Command {
        command_as(&self.wrapper, self.start, &self.runtime_dir(), &self.home())
    }
}

/// Waits until the session is ready and gives its display number.
fn ready(process: &Process) -> u32 {
    let line = process.wait_for_line(Duration::from_secs(20), |line| line.contains(" is ready"));
    line.split_whitespace()
        .find_map(|word| word.strip_prefix(':')?.parse().ok())
        .unwrap_or_else(|| panic!("no display in {line:?}"))
}

impl Drop for Session {
    fn drop(&mut self) {
        let wait = |ended: &mut dyn FnMut() -> bool| {
            let end = std::time::Instant::now() + Duration::from_secs(10);
            while !ended() && std::time::Instant::now() < end {
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        if self.process.ended().is_none() {
            self.process.signal(Signal::SIGTERM);
            wait(&mut || self.process.ended().is_some());
        }
        // A launcher that a supervisor has left behind ends its session when it is asked to.
        if let Some(launcher) = self.launcher.and_then(|pid| i32::try_from(pid).ok()) {
            let launcher = nix::unistd::Pid::from_raw(launcher);
            if nix::sys::signal::kill(launcher, Signal::SIGTERM).is_ok() {
                wait(&mut || nix::sys::signal::kill(launcher, None).is_err());
            }
        }
        // Whatever module decides in whatever test: once of each connection.
        let lines = self.process.lines();
        let verdicts = verdicts::of(lines.iter().map(String::as_str));
        if let Some(both) = verdicts::twice(&verdicts)
            && !std::thread::panicking()
        {
            panic!("two records of one login: {both:?}");
        }
    }
}

/// `bulkhead`, or another program that executes it, with directories of its own, as an ordinary
/// user or as root.
fn command_as(wrapper: &[String], start: Start, runtime: &Path, home: &Path) -> Command {
    let user = test_user();
    let bulkhead = bin_dir().join("bulkhead");
    let mut command = match wrapper {
        [] => Command::new(bulkhead),
        [program, arguments @ ..] => {
            let mut command = Command::new(bin_dir().join(program));
            command.args(arguments).arg(bulkhead);
            command
        }
    };
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", runtime)
        .current_dir(home);
    if start == Start::User && Uid::effective().is_root() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

/// Another TCP socket, whose clients have to encrypt with [`KEY`]: its port and the option. Its
/// session has a `keys`. `auth`: how clients log in there.
pub fn encrypted_socket(auth: &str) -> (u16, String) {
    let port = free_port();
    let bind =
        format!("--bind-tcp=127.0.0.1:{port},auth={auth},encryption=AES-GCM,keyfile=key.txt");
    (port, bind)
}

/// A TCP port on 127.0.0.1 that nobody uses now. The kernel gives it to nobody who does not ask for it, so
/// it is still free when a session is started.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    /// Below those of `ip_local_port_range`.
    const FIRST: u16 = 16_000;
    const COUNT: u32 = 16_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // Other programs of the tests begin elsewhere.
    let begin = std::process::id().wrapping_mul(61);
    let mut ports = std::iter::repeat_with(|| {
        let place = begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % COUNT;
        FIRST + u16::try_from(place).unwrap()
    });
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.by_ref().take(1000).find(free).expect("a free port")
}
