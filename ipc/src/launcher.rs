//! The edge `supervisor`–`launcher`. The launcher is unconfined, so what can be asked of it is
//! little and fixed: commands come by index from its own list.

use crate::channel::{MAX_FDS, Message};
use crate::check::CheckId;
use crate::display::Signal;
use crate::ids::ConnectionId;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Index into [`LauncherSpec::commands`](crate::spec::LauncherSpec).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommandId(pub u16);

/// Index into [`SupervisorSpec::files`](crate::spec::SupervisorSpec) and
/// [`ChecksSpec::files`](crate::spec::ChecksSpec).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileId(pub u16);

/// How the command of a check has ended. Only [`CheckOutcome::Passed`] is yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckOutcome {
    /// It has ended by itself with status 0, in time.
    Passed,
    /// Another exit code, or 128 + signal.
    Status(i32),
    /// It was still running when its time was over.
    Late,
    /// There is no such program, or it cannot be executed.
    NotStarted,
    /// The user's name could be taken for something else by a command: it was not started.
    BadName,
    /// There is no such command, or too many run.
    Refused,
}

/// How the process of a check has ended. None of it is yes: what it has found out it tells `auth`
/// itself, and one that is over must never be taken for the command that comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessEnd {
    /// Exit code, or 128 + signal.
    Status(i32),
    /// It was still running when its time was over.
    Late,
    /// There is none: no such check, too many run, or it cannot be executed.
    NotStarted,
}

/// The supervisor tells `launcher`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupervisorToLauncher {
    /// Start the commands of the list; ignored when they were started already.
    StartCommands,
    /// Send a signal to an application. Refused unless the process is one of the session's user
    /// below the launcher, and not the X server.
    Signal {
        /// Its process id.
        pid: u32,
        /// Which signal.
        signal: Signal,
    },
    /// Connect to the X server; answered by [`LauncherToSupervisor::Display`].
    OpenDisplay,
    /// Remove the sockets, end the applications and the X server, clean up, answer
    /// [`LauncherToSupervisor::Stopped`], end.
    Stop,
    /// The supervisor ends: remove the sockets. A session whose commands have been started is kept for the next one;
    /// one that never was ends as if [`SupervisorToLauncher::Stop`] were asked. Closing the
    /// channel means the same.
    Leave,
    /// What logins may need of it from now on. Only the first message on a channel: the supervisor
    /// passes on, unread and before it hears from anybody, what the command line has given it;
    /// afterwards nobody can add to it. Descriptor: a [`ChecksSpec`](crate::spec::ChecksSpec).
    Checks,
    /// Connect to the server of a check; answered by [`LauncherToSupervisor::Connecting`].
    Connect {
        /// For the login on this connection.
        connection: ConnectionId,
        /// Which.
        check: CheckId,
    },
    /// Run the command of a check; answered by [`LauncherToSupervisor::Checked`], in the check's
    /// own time, and by [`LauncherToSupervisor::CommandInput`] before, if it is told a password.
    RunCheck {
        /// For the login on this connection.
        connection: ConnectionId,
        /// Which.
        check: CheckId,
        /// Who the client says it is, at most 256 bytes; may be empty.
        username: String,
        /// Who connects, as the kernel says, for people: at most 256 bytes.
        peer: String,
    },
    /// Start the process of a check, in the check's own time; answered by
    /// [`LauncherToSupervisor::CheckStarted`], and by [`LauncherToSupervisor::CheckEnded`] when it has
    /// ended. Descriptors: the pipe that is its log; its end of the channel to `auth`; what it gets
    /// beside.
    StartCheck {
        /// For the login on this connection.
        connection: ConnectionId,
        /// Which.
        check: CheckId,
        /// Where the client is, if it has an address.
        host: Option<IpAddr>,
        /// How many descriptors of its own follow, at most two.
        own: u8,
    },
    /// The connection has gone: its command or process is ended.
    EndCheck(ConnectionId),
    /// Somebody connects: are the files that decide about logins still those that were passed? Answered by a
    /// [`LauncherToSupervisor::File`] or [`LauncherToSupervisor::NoFile`] for each that is not, then by
    /// [`LauncherToSupervisor::Looked`]; not asked again before that.
    Look,
}

impl Message for SupervisorToLauncher {
    const NAME: &'static str = "supervisor>launcher";
    fn descriptors(&self) -> usize {
        match self {
            Self::Checks => 1,
            Self::StartCheck { own, .. } => usize::from(*own).saturating_add(2).min(MAX_FDS),
            _ => 0,
        }
    }
}

/// `launcher` tells the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LauncherToSupervisor {
    /// The X server answers.
    XReady {
        /// X11 display number.
        display: u32,
        /// It was running already: this supervisor takes over.
        adopted: bool,
    },
    /// The session cannot be started or go on.
    Failed {
        /// One line that says what, where and what to do; at most 1024 bytes.
        reason: String,
    },
    /// Descriptors: a connected socket to the X server; a sealed memfd with the 16 bytes of the
    /// MIT-MAGIC-COOKIE-1.
    Display,
    /// A command runs.
    CommandStarted {
        /// Which.
        command: CommandId,
        /// Its program, for the log; at most 64 bytes.
        program: String,
        /// Its process id.
        pid: u32,
    },
    /// A command has ended.
    CommandEnded {
        /// Which.
        command: CommandId,
        /// Its program, for the log; at most 64 bytes.
        program: String,
        /// Exit code, or 128 + signal.
        status: i32,
    },
    /// The last command of `--start-child` has ended.
    ChildrenEnded,
    /// The X server has ended by itself; everything is being cleaned up.
    XEnded {
        /// Exit code, or 128 + signal.
        status: i32,
    },
    /// Nothing of the session is left.
    Stopped,
    /// Descriptors: sockets that connect, or have failed to, to the addresses of a check's
    /// server; none when that is not possible at all.
    Connecting {
        /// For the login on this connection.
        connection: ConnectionId,
        /// How many, at most 4.
        sockets: u8,
    },
    /// The process of a check runs, or could not be started: what [`Self::CheckEnded`] says of this
    /// connection from now on is about this one.
    CheckStarted {
        /// For the login on this connection.
        connection: ConnectionId,
        /// Its process id; `None`: there is none.
        pid: Option<u32>,
    },
    /// The process of a check has ended, or could not be started.
    CheckEnded {
        /// For the login on this connection.
        connection: ConnectionId,
        /// How.
        end: ProcessEnd,
    },
    /// The command of a check has ended, or could not be started.
    Checked {
        /// For the login on this connection.
        connection: ConnectionId,
        /// What became of it.
        outcome: CheckOutcome,
    },
    /// The command of a check runs, and waits for a password. Descriptor: a stream socket, the other end of
    /// which is its standard input.
    CommandInput(ConnectionId),
    /// Another file has the name of this one. Descriptor: it, opened for reading.
    File {
        /// Which.
        file: FileId,
        /// What it is, and its name, for the log; at most 1024 bytes.
        name: String,
    },
    /// What has the name of this one cannot be used, or nothing has it.
    NoFile {
        /// Which.
        file: FileId,
        /// One line that says what, where and what to do; at most 1024 bytes.
        reason: String,
    },
    /// The answer to [`SupervisorToLauncher::Look`]: all that there was to say has been said.
    Looked,
}

impl Message for LauncherToSupervisor {
    const NAME: &'static str = "launcher>supervisor";
    fn descriptors(&self) -> usize {
        match self {
            Self::Display => 2,
            Self::CommandInput(_) | Self::File { .. } => 1,
            Self::Connecting { sockets, .. } => usize::from(*sockets).min(MAX_FDS),
            _ => 0,
        }
    }
}
