//! The launcher: starts, reaps and ends the X server and the user's commands.
//!
//! It is split off first and left unconfined, because seccomp, Landlock and `no_new_privs` are
//! inherited and would break the user's applications. In exchange it reads no peer's bytes: what
//! can be asked of it is the few fixed messages of [`ipc::launcher`], commands come by index
//! from its own list. It outlives a supervisor that crashes or is told to exit, and waits for
//! the next one on `launcher.sock` in the session directory.
//!
//! Descriptor 3 is the channel to the supervisor, descriptor 4 the [`LauncherSpec`]. As
//! `bulkhead-launcher --clean-up DIRECTORY` it removes what a killed launcher has left there.

mod checks;
mod launcher;
mod leftovers;
mod marked;
mod named;
mod processes;
mod x_server;
mod xauthority;

use ipc::spec::{self, LauncherSpec};
use leftovers::Before;
use record::{Format, Level};
use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if let [_, flag, dir] = &args[..]
        && flag == "--clean-up"
    {
        return match leftovers::clean_up(Path::new(dir)) {
            Before::Free => ExitCode::SUCCESS,
            Before::Running(_) => ExitCode::FAILURE,
        };
    }
    // SAFETY: the command line passes these two descriptors and nothing here has used them.
    let (channel, spec) = unsafe { (OwnedFd::from_raw_fd(3), File::from_raw_fd(4)) };
    let spec: LauncherSpec = match spec::read(&spec) {
        Ok(spec) => spec,
        Err(error) => {
            let text = format!("descriptor 4 is not a specification: {error}");
            eprint!("{}", launcher::record(Format::Json, Level::Error, &text));
            return ExitCode::from(2);
        }
    };
    match launcher::run(channel, spec) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
