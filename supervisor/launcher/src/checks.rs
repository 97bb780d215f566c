//! What logins need from outside of the sandbox: connections to a server that knows the users,
//! commands that decide, and processes of ours that need more than the supervisor's children may.
//! Which, is fixed before anybody can ask ([`ChecksSpec`]).

use ipc::ConnectionId;
use ipc::check::CheckId;
use ipc::launcher::{CheckOutcome, ProcessEnd};
use ipc::spec::{self, ChecksSpec, MAX_SOCKETS, OutsideCheck, OwnSpec, StartedSpec};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, connect, setsockopt, socket,
    sockopt::TcpNoDelay,
};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, getpid};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Most commands and processes at a time.
const MAX_RUNNING: usize = 16;
/// Most addresses of one server.
const MAX_ADDRESSES: usize = ipc::channel::MAX_FDS;
/// Longest user name that a command is told.
const MAX_NAME: usize = 256;

/// A command or process that runs for a login.
struct Running {
    connection: ConnectionId,
    until: Instant,
    kind: Kind,
}

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A command: how it ends is the answer.
    Command,
    /// A process of ours, which answers by itself.
    Process,
}

/// What has ended, or is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A command.
    Command(ConnectionId, CheckOutcome),
    /// A process.
    Process(ConnectionId, ProcessEnd),
}

impl Running {
    /// With this status, or because its time was over.
    fn ended(&self, status: Option<i32>) -> Ended {
        match (self.kind, status) {
            (Kind::Command, None) => Ended::Command(self.connection, CheckOutcome::Late),
            (Kind::Command, Some(0)) => Ended::Command(self.connection, CheckOutcome::Passed),
            (Kind::Command, Some(status)) => {
                Ended::Command(self.connection, CheckOutcome::Status(status))
            }
            (Kind::Process, None) => Ended::Process(self.connection, ProcessEnd::Late),
            (Kind::Process, Some(status)) => {
                Ended::Process(self.connection, ProcessEnd::Status(status))
            }
        }
    }
}

/// The checks of this session, and what runs for them now, by process id.
#[derive(Default)]
pub struct Checks {
    spec: ChecksSpec,
    /// The programs of those that start one, in the order of the checks: what an update puts into
    /// their place belongs to another session.
    programs: Vec<Option<OwnedFd>>,
    running: BTreeMap<i32, Running>,
}

/// Why there is no process.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// There is no such check, or too many run.
    #[error("there is no such check, or too many run")]
    Refused,
    /// What the kernel says.
    #[error("{0}")]
    Failed(#[from] io::Error),
}

impl From<Errno> for NotStarted {
    fn from(error: Errno) -> Self {
        Self::Failed(error.into())
    }
}

/// A command that is to be started.
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What is added to its environment.
    pub env: Vec<(&'static str, String)>,
    /// It is told a password, on its standard input.
    pub password: bool,
    /// When its time is over.
    pub until: Instant,
}

impl Checks {
    /// Those of a new supervisor.
    pub fn new(spec: ChecksSpec) -> Self {
        let open = |check: &OutsideCheck| match check {
            OutsideCheck::Start { program, .. } => {
                let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
                nix::fcntl::open(program, flags, Mode::empty()).ok()
            }
            OutsideCheck::Command { .. }
            | OutsideCheck::Connect(_)
            | OutsideCheck::Nothing
            | OutsideCheck::Display => None,
        };
        Self {
            programs: spec.checks.iter().map(open).collect(),
            spec,
            running: BTreeMap::new(),
        }
    }

    /// Starts the process of a check. `descriptors`: its log, then its channel to `auth`, then its own.
    ///
    /// # Errors
    /// Why there is none.
    pub fn start(
        &mut self,
        connection: ConnectionId,
        check: CheckId,
        host: Option<IpAddr>,
        descriptors: &[OwnedFd],
        now: Instant,
    ) -> Result<i32, NotStarted> {
        let program = self.programs.get(usize::from(check.0));
        let Some(OutsideCheck::Start {
            program: path,
            arguments,
            id,
            groups,
            own,
            connect,
            timeout,
        }) = self.spec.check(check)
        else {
            return Err(NotStarted::Refused);
        };
        let (true, [log, auth, passed @ ..]) = (self.running.len() < MAX_RUNNING, descriptors)
        else {
            return Err(NotStarted::Refused);
        };
        let wanted = match own {
            OwnSpec::Pam(_) => 0,
            OwnSpec::Kerberos(_) => 2,
        };
        if passed.len() != wanted {
            return Err(NotStarted::Refused);
        }
        let program = program.and_then(Option::as_ref).ok_or(Errno::ENOENT)?;
        let spec = spec::encode(&StartedSpec {
            own: own.clone(),
            host,
        })?;
        let spec = sealed(&spec)?;
        let sockets: Vec<_> = connect
            .iter()
            .take(MAX_SOCKETS)
            .filter_map(|address| begin_to_connect(*address).ok())
            .collect();
        let null = File::open("/dev/null")?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let own = [
            format!("--parent={}", getpid()),
            format!("--connection={}", connection.0),
        ];
        let arguments: Vec<CString> = [name.into_owned()]
            .iter()
            .chain(arguments)
            .chain(&own)
            .filter_map(|word| CString::new(word.as_str()).ok())
            .collect();
        let table: Vec<_> = [null.as_fd(), log.as_fd(), log.as_fd(), auth.as_fd()]
            .into_iter()
            .chain([spec.as_fd()])
            .chain(passed.iter().map(AsFd::as_fd))
            .chain(sockets.iter().map(AsFd::as_fd))
            .collect();
        let (pid, _) = spawn::start(&spawn::Plan {
            executable: program.as_fd(),
            arguments: &arguments,
            table: &table,
            id: *id,
            groups,
        })?;
        let until = now + Duration::from_secs((*timeout).into());
        self.started(pid, connection, until, Kind::Process);
        Ok(pid)
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

    /// Does this check need a connection to the X server?
    pub fn wants_display(&self, check: CheckId) -> bool {
        matches!(self.spec.check(check), Some(OutsideCheck::Display))
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
        let Some(OutsideCheck::Command {
            argv,
            timeout,
            password,
        }) = self.spec.check(check)
        else {
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
            password: *password,
            until: now + Duration::from_secs((*timeout).into()),
        })
    }

    /// It runs, in a process group of its own.
    pub fn started(&mut self, pid: i32, connection: ConnectionId, until: Instant, kind: Kind) {
        let running = Running {
            connection,
            until,
            kind,
        };
        self.running.insert(pid, running);
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
    pub fn ended(&mut self, pid: i32, status: i32, now: Instant) -> Option<Ended> {
        let running = self.running.remove(&pid)?;
        Some(running.ended((now < running.until).then_some(status)))
    }

    /// When the time of the next one is over.
    pub fn deadline(&self) -> Option<Instant> {
        self.running.values().map(|running| running.until).min()
    }

    /// Ends those whose time is over; what they were.
    pub fn end_late(&mut self, now: Instant) -> Vec<Ended> {
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

    fn end_those(&mut self, which: impl Fn(&Running) -> bool) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.running.retain(|pid, running| {
            let end = which(running);
            if end {
                // It is not reaped yet, so the number is still its own; so is the group's.
                let pid = Pid::from_raw(*pid);
                let _ = killpg(pid, Signal::SIGKILL);
                // One that has just been started may have no group yet.
                let _ = kill(pid, Signal::SIGKILL);
                ended.push(running.ended(None));
            }
            !end
        });
        ended
    }
}

/// A sealed memfd with these bytes.
fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"spec", flags)?);
    file.write_all(bytes)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::all()))?;
    Ok(file.into())
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
            files: Vec::new(),
            checks: vec![
                OutsideCheck::Command {
                    argv: ["/bin/ask", "--for=${username}", "${info}", "${x} $y ${"]
                        .map(str::to_owned)
                        .to_vec(),
                    timeout: 7,
                    password: false,
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
        for check in [0, 1, 7] {
            assert!(!checks.wants_display(CheckId(check)));
        }
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
            checks.started(77, ConnectionId(3), until, Kind::Command);
            let outcome = checks.ended(77, status, at);
            assert_eq!(outcome, Some(Ended::Command(ConnectionId(3), expected)));
            assert_eq!(checks.ended(77, 0, now), None);
        }
        // Of a process that has answered, this is no yes.
        for (status, at, expected) in [
            (0, now, ProcessEnd::Status(0)),
            (159, now, ProcessEnd::Status(159)),
            (0, until, ProcessEnd::Late),
        ] {
            checks.started(77, ConnectionId(3), until, Kind::Process);
            let end = checks.ended(77, status, at);
            assert_eq!(end, Some(Ended::Process(ConnectionId(3), expected)));
        }
    }
}
