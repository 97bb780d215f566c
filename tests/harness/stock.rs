//! The stock Xpra client, unmodified.

use crate::commands::{cfb_xpra, stock_xpra};
use crate::process::Process;
use crate::screen::ClientScreen;
use crate::session::Session;
use std::process::{Command, Output};

/// A stock client with its own screen and home directory.
pub struct StockClient {
    process: Process,
    _home: tempfile::TempDir,
}

/// How to reach a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// `tcp://127.0.0.1:PORT/`.
    Tcp,
    /// `:N`, through the unix socket.
    UnixSocket,
    /// `tcp://127.0.0.1:PORT/`, without the password.
    Unauthenticated,
    /// `tcp://127.0.0.1:PORT/`, encrypted in this mode with this key file in the session's home.
    Encrypted(&'static str, &'static str),
    /// `ssl://127.0.0.1:PORT/`, with the authority in this file in the session's home, if any.
    Tls(u16, Option<&'static str>),
}

impl Via {
    /// The options that name the mode and the key, or the authority.
    fn encryption(self, session: &Session) -> Vec<String> {
        let (mode, key) = match self {
            Self::Encrypted(mode, key) => (mode, key),
            Self::Tls(_, Some(authority)) => {
                let authority = session.home().join(authority);
                return vec![format!("--ssl-ca-certs={}", authority.display())];
            }
            _ => return Vec::new(),
        };
        let key = session.home().join(key);
        vec![
            format!("--encryption={mode}"),
            format!("--encryption-keyfile={}", key.display()),
        ]
    }

    /// Does the client know the password?
    fn has_password(self) -> bool {
        matches!(self, Self::Tcp | Self::Encrypted(..) | Self::Tls(..))
    }
}

/// What would only be in a test's way.
pub const WITHOUT: [&str; 8] = [
    "--opengl=no",
    "--splash=no",
    "--tray=no",
    "--audio=no",
    "--mdns=no",
    "--notifications=no",
    "--reconnect=no",
    "--title=@title@",
];

/// The options that answer one challenge after the other.
pub fn handlers(home: &std::path::Path, secrets: &[&str]) -> Vec<String> {
    let handler = |(number, secret): (usize, &&str)| {
        let file = home.join(format!("secret-{number}"));
        std::fs::write(&file, secret).unwrap();
        format!("--challenge-handlers=file:filename={}", file.display())
    };
    secrets.iter().enumerate().map(handler).collect()
}

impl StockClient {
    /// `xpra attach` with the right password.
    pub fn attach(session: &Session, screen: &ClientScreen, via: Via) -> Self {
        Self::attach_with(session, screen, via, &[])
    }

    /// `xpra attach` with the right password and more options.
    pub fn attach_with(session: &Session, screen: &ClientScreen, via: Via, more: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let password = home.path().join("password");
        std::fs::copy(session.password_file(), &password).unwrap();
        let mut command = stock(session, home.path(), &["attach", &target(session, via)]);
        command
            .args(WITHOUT)
            .args(more)
            .args(via.encryption(session))
            .env("DISPLAY", screen.display());
        if via.has_password() {
            command.arg(format!(
                "--challenge-handlers=file:filename={}",
                password.display()
            ));
        }
        Self {
            process: Process::start(&mut command),
            _home: home,
        }
    }

    /// `xpra attach` to an address, with a secret for each challenge and more options.
    pub fn attach_at(
        session: &Session,
        screen: &ClientScreen,
        address: &str,
        secrets: &[&str],
        more: &[&str],
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let more = more.iter().map(|word| (*word).to_owned());
        let words: Vec<_> = handlers(home.path(), secrets)
            .into_iter()
            .chain(more)
            .collect();
        Self::attach_from(home, session, screen, address, &words, &[])
    }

    /// The same with handlers of one's own and more variables in its environment; `home` is where it lives.
    pub fn attach_from(
        home: tempfile::TempDir,
        session: &Session,
        screen: &ClientScreen,
        address: &str,
        words: &[String],
        variables: &[(&str, String)],
    ) -> Self {
        let mut command = stock(session, home.path(), &["attach", address]);
        command
            .args(WITHOUT)
            .args(words)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env("DISPLAY", screen.display());
        Self {
            process: Process::start(&mut command),
            _home: home,
        }
    }

    /// The client's process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The client's process, to wait for.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// What the stock client calls the session.
pub fn target(session: &Session, via: Via) -> String {
    match via {
        Via::Tcp | Via::Unauthenticated | Via::Encrypted(..) => {
            format!("tcp://127.0.0.1:{}/", session.port)
        }
        Via::Tls(port, _) => format!("ssl://127.0.0.1:{port}/"),
        Via::UnixSocket => format!(":{}", session.display),
    }
}

/// Runs a one-shot command of the stock client to its end, as the session's owner would.
pub fn run(session: &Session, via: Via, words: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let password = home.path().join("password");
    std::fs::copy(session.password_file(), &password).unwrap();
    let mut command = stock(session, home.path(), words);
    command
        .arg(target(session, via))
        .args(via.encryption(session));
    if via.has_password() {
        command.arg(format!(
            "--challenge-handlers=file:filename={}",
            password.display()
        ));
    }
    command.output().unwrap()
}

/// Runs a one-shot command of the stock client to its end, with a secret for each challenge and
/// more options.
pub fn run_at(
    session: &Session,
    address: &str,
    secrets: &[&str],
    more: &[&str],
    words: &[&str],
) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = stock(session, home.path(), words);
    command
        .arg(address)
        .args(handlers(home.path(), secrets))
        .args(more);
    // Without a secret and a terminal it would ask nobody.
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

/// Runs a command of the stock client to its end with more variables in its environment.
pub fn run_with(session: &Session, variables: &[(&str, String)], words: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = stock(session, home.path(), words);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command.stdin(std::process::Stdio::null()).output().unwrap()
}

/// Runs a command of the stock client that names no display.
pub fn run_without_display(session: &Session, words: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    stock(session, home.path(), words).output().unwrap()
}

/// The same with the last stock client that has AES-CFB.
pub fn run_cfb(session: &Session, words: &[&str]) -> Output {
    run_cfb_with(session, &[], words)
}

/// The same with more variables in its environment.
pub fn run_cfb_with(session: &Session, variables: &[(&str, String)], words: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let runtime = session.runtime_dir();
    let mut command = command(&cfb_xpra(), &runtime, home.path(), words);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command.output().unwrap()
}

fn stock(session: &Session, home: &std::path::Path, words: &[&str]) -> Command {
    command(&stock_xpra(), &session.runtime_dir(), home, words)
}

/// A stock client that lives in `home` and looks for sessions in `runtime`.
pub fn command(
    program: &std::path::Path,
    runtime: &std::path::Path,
    home: &std::path::Path,
    words: &[&str],
) -> Command {
    let mut command = Command::new(program);
    command
        .args(words)
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", runtime)
        .env("NO_AT_BRIDGE", "1")
        // Without one it starts a bus of its own, which stays when it has gone.
        .env("DBUS_SESSION_BUS_ADDRESS", "disabled:")
        .env_remove("DISPLAY");
    command
}
