//! The edge `supervisor`–`launcher`. The launcher is unconfined, so what can be asked of it is
//! little and fixed: commands come by index from its own list.

use crate::channel::Message;
use crate::display::Signal;
use serde::{Deserialize, Serialize};

/// Index into [`LauncherSpec::commands`](crate::spec::LauncherSpec).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommandId(pub u16);

/// The supervisor tells `launcher`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl Message for SupervisorToLauncher {
    const NAME: &'static str = "supervisor>launcher";
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
}

impl Message for LauncherToSupervisor {
    const NAME: &'static str = "launcher>supervisor";
    fn descriptors(&self) -> usize {
        match self {
            Self::Display => 2,
            _ => 0,
        }
    }
}
