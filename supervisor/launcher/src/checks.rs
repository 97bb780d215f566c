//! What logins need from outside of the sandbox: connections to a server that knows the users, and
//! commands that decide. Which, is fixed before anybody can ask ([`ChecksSpec`]).

use ipc::ConnectionId;
use ipc::check::CheckId;
use ipc::launcher::CheckOutcome;
use ipc::spec::{ChecksSpec, OutsideCheck};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, connect, setsockopt, socket,
    sockopt::TcpNoDelay,
};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Most commands at a time.
const MAX_RUNNING: usize = 16;
/// Most addresses of one server.
const MAX_ADDRESSES: usize = ipc::channel::MAX_FDS;
/// Longest user name that a command is told.
const MAX_NAME: usize = 256;

/// A command that runs for a login.
struct Running {
    connection: ConnectionId,
    until: Instant,
}

/// The checks of this session, and the commands that run for them now, by process id.
#[derive(Default)]
pub struct Checks {
    spec: ChecksSpec,
    running: BTreeMap<i32, Running>,
}

/// A command that is to be started.
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What is added to its environment.
    pub env: Vec<(&'static str, String)>,
    /// When its time is over.
    pub until: Instant,
}

impl Checks {
    /// Those of a new supervisor.
    pub fn new(spec: ChecksSpec) -> Self {
        Self {
            spec,
            running: BTreeMap::new(),
        }
    }

    /// Sockets that connect to the server of a check. Nobody waits for that here: whoever gets
    /// them sees what becomes of it.
    pub fn connect(&self, check: CheckId) -> Vec<OwnedFd> {
        match self.spec.check(check) {
            Some(OutsideCheck::Connect(addresses)) => addresses
                .iter()
                .take(MAX_ADDRESSES)
                .filter_map(|address| begin_to_connect(*address).ok())
                .collect(),
            _ => Vec::new(),
        }
    }

    /// What is to be started for a check.
    ///
    /// # Errors
    /// Why nothing is.
    pub fn command(
        &self,
        check: CheckId,
        display: u32,
        username: &str,
        peer: &str,
        now: Instant,
    ) -> Result<Command, CheckOutcome> {
        let Some(OutsideCheck::Command { argv, timeout }) = self.spec.check(check) else {
            return Err(CheckOutcome::Refused);
        };
        if self.running.len() >= MAX_RUNNING {
            return Err(CheckOutcome::Refused);
        }
        if !is_safe(username) {
            return Err(CheckOutcome::BadName);
        }
        let info = format!("Connection request from {peer}");
        let (display, seconds) = (format!(":{display}"), timeout.to_string());
        let values = [
            ("${username}", username),
            ("${info}", &info),
            ("${timeout}", &seconds),
            ("${display}", &display),
        ];
        let argv = argv.iter().map(|word| put_in(word, &values)).collect();
        Ok(Command {
            argv,
            env: vec![
                ("BULKHEAD_AUTH_USERNAME", username.to_owned()),
                ("BULKHEAD_AUTH_INFO", info.clone()),
                ("BULKHEAD_AUTH_TIMEOUT", seconds.clone()),
            ],
            until: now + Duration::from_secs((*timeout).into()),
        })
    }

    /// It runs, in a process group of its own.
    pub fn started(&mut self, pid: i32, connection: ConnectionId, until: Instant) {
        self.running.insert(pid, Running { connection, until });
    }

    /// A child has ended, and is not reaped yet: what a check has started in its group and left
    /// behind goes with it.
    pub fn ends(&self, pid: Pid) {
        if self.running.contains_key(&pid.as_raw()) {
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }

    /// A child has ended. If it was a check: whose, and what that means. The status is the
    /// kernel's about this very child, and is heard once.
    pub fn ended(
        &mut self,
        pid: i32,
        status: i32,
        now: Instant,
    ) -> Option<(ConnectionId, CheckOutcome)> {
        let Running { connection, until } = self.running.remove(&pid)?;
        let outcome = match status {
            _ if now >= until => CheckOutcome::Late,
            0 => CheckOutcome::Passed,
            status => CheckOutcome::Status(status),
        };
        Some((connection, outcome))
    }

    /// When the time of the next one is over.
    pub fn deadline(&self) -> Option<Instant> {
        self.running.values().map(|running| running.until).min()
    }

    /// Ends those whose time is over; whose they were.
    pub fn end_late(&mut self, now: Instant) -> Vec<ConnectionId> {
        self.end_those(|running| running.until <= now)
    }

    /// Ends that of a login that has been given up.
    pub fn end(&mut self, connection: ConnectionId) {
        self.end_those(|running| running.connection == connection);
    }

    /// Ends all: nobody waits for them.
    pub fn end_all(&mut self) {
        self.end_those(|_| true);
    }

    fn end_those(&mut self, which: impl Fn(&Running) -> bool) -> Vec<ConnectionId> {
        let mut ended = Vec::new();
        self.running.retain(|pid, running| {
            let end = which(running);
            if end {
                // It is not reaped yet, so the number is still its own; so is the group's.
                let _ = killpg(Pid::from_raw(*pid), Signal::SIGKILL);
                ended.push(running.connection);
            }
            !end
        });
        ended
    }
}

fn begin_to_connect(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&socket, TcpNoDelay, &true)?;
    let fd = socket.as_raw_fd();
    let begun = match address {
        SocketAddr::V4(address) => connect(fd, &SockaddrIn::from(address)),
        SocketAddr::V6(address) => connect(fd, &SockaddrIn6::from(address)),
    };
    match begun {
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// A name that no command takes for an option, a path or two words, and no terminal for a command
/// of its own. Empty is one that the client has not said.
fn is_safe(name: &str) -> bool {
    name.len() <= MAX_NAME
        && !name.starts_with(['-', '.'])
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || "._-@+".contains(c))
}

/// Puts values into a word. What a value holds is not looked at again.
fn put_in(word: &str, values: &[(&str, &str)]) -> String {
    let mut rest = word;
    let mut filled = String::with_capacity(word.len());
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        filled.push_str(before);
        let known = values.iter().find(|(name, _)| from.starts_with(name));
        let (name, value) = known.copied().unwrap_or(("${", "${"));
        filled.push_str(value);
        rest = &from[name.len()..];
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Checks {
        Checks::new(ChecksSpec {
            checks: vec![
                OutsideCheck::Command {
                    argv: ["/bin/ask", "--for=${username}", "${info}", "${x} $y ${"]
                        .map(str::to_owned)
                        .to_vec(),
                    timeout: 7,
                },
                OutsideCheck::Connect(vec!["127.0.0.1:1".parse().unwrap()]),
            ],
        })
    }

    fn argv(username: &str) -> Result<Vec<String>, CheckOutcome> {
        let peer = "${username}";
        let command = checks().command(CheckId(0), 5, username, peer, Instant::now());
        command.map(|command| command.argv)
    }

    #[test]
    fn values_stay_in_their_words_and_are_not_looked_at_again() {
        let words = argv("a.b@c").unwrap();
        assert_eq!(
            words,
            [
                "/bin/ask",
                "--for=a.b@c",
                "Connection request from ${username}",
                "${x} $y ${"
            ]
        );
    }

    #[test]
    fn names_that_could_be_something_else_start_nothing() {
        for name in [
            "-x",
            "--help",
            "a b",
            "a\nb",
            "$(id)",
            "`id`",
            "a;b",
            "../x",
            ".",
            "a/b",
            "a\u{1b}[2J",
        ] {
            assert_eq!(argv(name), Err(CheckOutcome::BadName), "{name:?}");
        }
        assert!(argv("").is_ok() && argv("Jürgen+1").is_ok());
        assert_eq!(argv(&"a".repeat(257)), Err(CheckOutcome::BadName));
    }

    #[test]
    fn only_what_was_configured_can_be_asked_for() {
        let (checks, now) = (checks(), Instant::now());
        for check in [1, 2, u16::MAX] {
            let refused = checks.command(CheckId(check), 5, "me", "", now).err();
            assert_eq!(refused, Some(CheckOutcome::Refused));
        }
        assert!(checks.connect(CheckId(0)).is_empty());
        assert!(checks.connect(CheckId(7)).is_empty());
    }

    #[test]
    fn only_status_zero_in_time_is_yes_and_it_is_said_once() {
        let mut checks = checks();
        let now = Instant::now();
        let until = now + Duration::from_secs(7);
        for (status, at, expected) in [
            (0, now, CheckOutcome::Passed),
            (1, now, CheckOutcome::Status(1)),
            (137, now, CheckOutcome::Status(137)),
            (0, until, CheckOutcome::Late),
        ] {
            checks.started(77, ConnectionId(3), until);
            let outcome = checks.ended(77, status, at);
            assert_eq!(outcome, Some((ConnectionId(3), expected)));
            assert_eq!(checks.ended(77, 0, now), None);
        }
    }
}
