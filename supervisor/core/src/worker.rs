//! A running worker: its process, its log, its channel to us.

use crate::log::{Level, Log, Origin, Pipe};
use crate::sys;
use ipc::channel::Message;
use ipc::{Channel, ChannelError, ConnectionId};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};
use policy::{Role, SandboxMode, StartMode};
use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use tracing::level_filters::LevelFilter;

/// Exit code of a panic, of memory that ran out, of a start that failed (the runtime's).
const EXIT_PANIC: i32 = runtime::EXIT_PANIC;
const EXIT_MEMORY: i32 = runtime::EXIT_MEMORY;
const EXIT_START: i32 = runtime::EXIT_START;
const EXIT_NAMESPACES: i32 = runtime::EXIT_NAMESPACES;
/// Messages that are taken from one worker before it is somebody else's turn.
pub const PER_TURN: usize = 64;
/// So long a worker whose channel is closed, or that was told to go, may take to end.
pub const END_PATIENCE: Duration = Duration::from_secs(1);

/// What is the same for every worker.
pub struct Nursery {
    /// The executables, by role.
    pub executables: Vec<(Role, OwnedFd)>,
    /// `/dev/null`.
    pub null: OwnedFd,
    /// The empty directory that becomes a worker's root.
    pub empty_root: OwnedFd,
    /// How the session was started.
    pub mode: StartMode,
    /// What missing kernel features mean.
    pub sandbox: SandboxMode,
    /// Workers run as this user plus the number of their role.
    pub uid_base: Option<u32>,
    /// Our own process id.
    pub pid: i32,
    /// Records of every level.
    pub debug: bool,
}

/// What only some workers are told.
#[derive(Clone, Copy, Debug, Default)]
pub struct More {
    /// It may have to speak TLS 1.2.
    pub tls12: bool,
    /// A predecessor had the session's configuration in force.
    pub restarted: bool,
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// It ended by itself.
    Exit(i32),
    /// It was killed by this signal.
    Signal(i32),
}

impl Death {
    /// Did the worker do what its sandbox forbids?
    #[must_use]
    pub fn by_sandbox(self) -> bool {
        self == Self::Signal(libc::SIGSYS)
    }

    /// Why a session does not start whose process of this role ended so, in one line.
    #[must_use]
    pub fn at_start(self, role: Role) -> String {
        match self {
            Self::Exit(EXIT_NAMESPACES) => format!("the process `{role}` {self}"),
            _ => format!("the process `{role}` {self}: see the log"),
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exit(0) => f.write_str("ended"),
            Self::Exit(EXIT_PANIC) => f.write_str("panicked"),
            Self::Exit(EXIT_MEMORY) => f.write_str("ran out of memory"),
            Self::Exit(EXIT_START) => f.write_str("could not be started"),
            Self::Exit(EXIT_NAMESPACES) => f.write_str(
                "could not be confined: the kernel refuses it user namespaces \
                 (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone); \
                 --sandbox=best-effort starts without, and says so",
            ),
            Self::Exit(code) => write!(f, "ended with status {code}"),
            Self::Signal(libc::SIGSYS) => {
                f.write_str("was killed by its sandbox (SIGSYS): it tried what its role may not do")
            }
            Self::Signal(number) => match Signal::try_from(number) {
                Ok(signal) => write!(f, "was killed by {signal}"),
                Err(_) => write!(f, "was killed by signal {number}"),
            },
        }
    }
}

/// A child process.
pub struct Process {
    /// Its role.
    pub role: Role,
    /// Its id; valid until [`Process::reap`] has said how it ended.
    pub pid: i32,
    /// The connection that it serves.
    pub connection: Option<ConnectionId>,
    /// When it was started.
    pub started: Instant,
    /// Its log.
    pub log: Pipe,
    descriptor: OwnedFd,
}

impl Process {
    /// Becomes readable when the process ends.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Ends it at once.
    pub fn kill(&self) {
        sys::signal(self.descriptor.as_fd(), Signal::SIGKILL);
    }

    /// How it ended, once, if it has. Its last words are in the log then.
    pub fn reap(&mut self, log: &mut Log, now: Instant) -> Option<Death> {
        let death = loop {
            match waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, code)) => break Death::Exit(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => break Death::Signal(signal as i32),
                Ok(_) => return None,
                Err(Errno::EINTR) => {}
                // Not our child any more: it can only have ended.
                Err(_) => break Death::Exit(0),
            }
        };
        self.log.read_last(log, now);
        Some(death)
    }

    /// As the log names it.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
            role: self.role.name(),
            pid: self.pid,
            connection: self.connection.map(|connection| connection.0),
        }
    }
}

/// A process with the channel to it.
pub struct Worker<Tx, Rx> {
    /// The process.
    pub process: Process,
    channel: Option<Channel<Tx, Rx>>,
    /// When it is killed if it has not ended by then.
    kill_at: Option<Instant>,
}

impl Nursery {
    /// Starts a worker. `descriptors` follow the empty directory in its table.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn start<Tx: Message, Rx: Message>(
        &self,
        role: Role,
        connection: Option<ConnectionId>,
        descriptors: &[BorrowedFd<'_>],
        now: Instant,
    ) -> Result<Worker<Tx, Rx>, Errno> {
        self.start_with(role, connection, descriptors, More::default(), now)
    }

    /// The same, and it is told more.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn start_with<Tx: Message, Rx: Message>(
        &self,
        role: Role,
        connection: Option<ConnectionId>,
        descriptors: &[BorrowedFd<'_>],
        more: More,
        now: Instant,
    ) -> Result<Worker<Tx, Rx>, Errno> {
        let (_, executable) = self
            .executables
            .iter()
            .find(|(name, _)| *name == role)
            .ok_or(Errno::ENOENT)?;
        let (channel, theirs) = ipc::channel::socketpair()?;
        let (log, log_write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let mut table = vec![
            self.null.as_fd(),
            log_write.as_fd(),
            log_write.as_fd(),
            theirs.as_fd(),
            self.empty_root.as_fd(),
        ];
        table.extend_from_slice(descriptors);
        let options = runtime::Options {
            mode: self.mode,
            sandbox: self.sandbox,
            parent: Some(self.pid),
            connection: connection.map(|connection| connection.0),
            tls12: more.tls12,
            restarted: more.restarted,
            log: if self.debug {
                LevelFilter::DEBUG
            } else {
                LevelFilter::INFO
            },
        };
        let arguments: Vec<CString> = std::iter::once(role.executable().to_owned())
            .chain(options.to_args())
            .filter_map(|argument| CString::new(argument).ok())
            .collect();
        let (pid, descriptor) = spawn::start(&spawn::Plan {
            executable: executable.as_fd(),
            arguments: &arguments,
            table: &table,
            id: self.uid_base.map(|base| role.id(base)),
            groups: &[],
        })?;
        let origin = Origin {
            role: role.name(),
            pid,
            connection: connection.map(|connection| connection.0),
        };
        let log = Pipe::new(log, origin, now);
        Ok(Worker {
            process: Process {
                role,
                pid,
                connection,
                started: now,
                log,
                descriptor,
            },
            channel: Some(Channel::new(channel)),
            kill_at: None,
        })
    }
}

impl<Tx: Message, Rx: Message> Worker<Tx, Rx> {
    /// The channel, as long as it is in use.
    pub fn channel(&self) -> Option<&Channel<Tx, Rx>> {
        self.channel.as_ref()
    }

    /// When something is to be done about this worker if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        let retry = self.channel().and_then(Channel::retry_at);
        self.kill_at.into_iter().chain(retry).min()
    }

    /// Kills it if its time is over.
    pub fn enforce_deadline(&mut self, now: Instant) {
        if self.kill_at.is_some_and(|at| at <= now) {
            self.kill_at = None;
            self.process.kill();
        }
    }

    /// It is to end by itself within this time.
    pub fn ends_within(&mut self, patience: Duration, now: Instant) {
        self.kill_at.get_or_insert(now + patience);
    }

    /// Sends a message. A worker that is gone is found by its process descriptor; one that does
    /// not read is ended here.
    pub fn tell(&mut self, message: &Tx, fds: Vec<OwnedFd>, log: &mut Log) {
        let Some(channel) = &mut self.channel else {
            return;
        };
        match channel.send(message, fds) {
            Ok(()) | Err(ChannelError::Closed | ChannelError::Io(_)) => {}
            Err(error @ (ChannelError::Stalled { .. } | ChannelError::InFlight { .. })) => {
                self.violated(&error.to_string(), log);
            }
            Err(error) => {
                let text = format!("bug: a message could not be sent: {error}");
                log.record(Level::Error, self.process.origin(), text.as_bytes());
            }
        }
    }

    /// Writes what waits. Who does not take it, or is gone, is treated as in [`Worker::tell`].
    fn flush(&mut self, log: &mut Log) {
        let flushed = self.channel.as_mut().map_or(Ok(()), Channel::flush);
        match flushed {
            Err(error) if error.is_violation() => self.violated(&error.to_string(), log),
            _ => {}
        }
    }

    /// It broke a rule of its channel: it ends, now.
    fn violated(&mut self, what: &str, log: &mut Log) {
        if self.condemn() {
            let text = format!("violation: {what}; the process is ended");
            log.record(Level::Error, self.process.origin(), text.as_bytes());
        }
    }

    /// Ends it at once: it is not listened to any more. False when it was on its way already.
    pub fn condemn(&mut self) -> bool {
        self.process.kill();
        self.channel.take().is_some()
    }

    /// It has said its last word and is to end by itself. False when it was on its way already.
    pub fn let_go(&mut self, now: Instant) -> bool {
        self.ends_within(END_PATIENCE, now);
        self.channel.take().is_some()
    }

    /// Writes what waits and reads what is there.
    pub fn listen(&mut self, log: &mut Log, now: Instant) -> Vec<Rx> {
        let mut messages = Vec::new();
        self.flush(log);
        while messages.len() < PER_TURN {
            let Some(channel) = &mut self.channel else {
                break;
            };
            match channel.receive() {
                Ok(Some((message, _))) => messages.push(message),
                Ok(None) => break,
                Err(error) if error.is_violation() => self.violated(&error.to_string(), log),
                Err(_) => drop(self.let_go(now)),
            }
        }
        messages
    }

    /// Something happens at one of its descriptors: what it says, and how it ended, if it has.
    pub fn event(&mut self, part: Part, log: &mut Log, now: Instant) -> (Vec<Rx>, Option<Death>) {
        match part {
            Part::Channel => (self.listen(log, now), None),
            Part::Log => {
                self.process.log.read(log, now);
                (Vec::new(), None)
            }
            Part::Process => {
                let last_words = self.listen(log, now);
                (last_words, self.process.reap(log, now))
            }
        }
    }

    /// Lets go of the channel, so that it ends by itself.
    pub fn dismiss(mut self, now: Instant) -> Dismissed {
        self.let_go(now);
        Dismissed {
            process: self.process,
            kill_at: self.kill_at,
        }
    }
}

/// Which of a worker's descriptors.
#[derive(Clone, Copy)]
pub enum Part {
    /// The channel to it.
    Channel,
    /// Its pidfd.
    Process,
    /// Its log pipe.
    Log,
}

/// A worker that nobody needs any more.
pub struct Dismissed {
    /// The process.
    pub process: Process,
    /// When it is killed if it has not ended by then.
    pub kill_at: Option<Instant>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_user_namespaces_is_named_with_what_to_do() {
        let why = Death::Exit(EXIT_NAMESPACES).at_start(Role::Auth);
        for part in [
            "`auth`",
            "user namespaces",
            "sysctl",
            "--sandbox=best-effort",
        ] {
            assert!(why.contains(part), "{part}: {why}");
        }
        assert!(!why.contains("see the log"), "it goes with the session");
        let why = Death::Exit(EXIT_START).at_start(Role::Display);
        assert!(why.ends_with("see the log"), "{why}");
    }

    #[test]
    fn ends_are_told_apart() {
        for (death, text) in [
            (Death::Exit(0), "ended"),
            (Death::Exit(101), "panicked"),
            (Death::Exit(102), "ran out of memory"),
            (Death::Exit(7), "ended with status 7"),
            (Death::Signal(libc::SIGSEGV), "was killed by SIGSEGV"),
        ] {
            assert_eq!(death.to_string(), text);
            assert!(!death.by_sandbox());
        }
        let sandbox = Death::Signal(libc::SIGSYS);
        assert!(sandbox.by_sandbox() && sandbox.to_string().contains("sandbox"));
    }
}
