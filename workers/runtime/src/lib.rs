//! The first lines of every confined process: from exec to the first message.
//!
//! A worker's `main` is
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! fn main() -> ExitCode {
//!     runtime::run(
//!         policy::Role::Network,
//!         // Before the sandbox: allocate and probe what is lazily allocated and probed.
//!         |_seat| Ok::<_, std::io::Error>(Vec::<u8>::with_capacity(65536)),
//!         // Confined.
//!         |_seat, _buffer| ExitCode::SUCCESS,
//!     )
//! }
//! ```
//!
//! What happens, in this order (`docs/architecture.md`, "The start of a worker"): the panic hook;
//! the start parameters; not dumpable; the descriptor table must be exactly the declared one;
//! namespaces, all in one call and **after** exec; the empty directory becomes the root; no
//! capability; parent-death signal, and the parent must still be the one that started us; limits;
//! memory is locked, where the role has secrets; the warm-up; Landlock; everything is read back; the system-call filter. There is no way to
//! leave a step out.

#![deny(unsafe_code)]

mod confine;
mod locked;
pub mod log;
mod options;
mod panic;
pub mod poll;
mod seat;
pub mod secret;
mod secret_memory;
mod sys;

pub use confine::{Enforced, Error, confine_supervisor};
pub use options::{BadOption, Options};
pub use panic::install_hook;
pub use policy::{Role, SandboxMode, StartMode};
pub use poll::{Interest, PollSet, Ready, Slot};
pub use seat::Seat;

use std::fmt::Display;
use std::process::ExitCode;

/// Exit code after a panic (one line `PANIC …` was written).
pub const EXIT_PANIC: i32 = 101;
/// Exit code when memory ran out (one line `OOM …` was written).
pub const EXIT_MEMORY: i32 = 102;
/// Exit code when the process could not be confined, or not be started as it must be. Nothing was
/// read from anybody.
pub const EXIT_START: i32 = 103;
/// Exit status of a process to which the kernel refused its namespaces. It has a status of its own, so that who
/// started it can say what to do without believing a word of it.
pub const EXIT_NAMESPACES: i32 = 104;

/// Confines the process as its role demands, then does the role's work, then ends the process:
/// it never returns, so that nothing of Rust's or C's own ending runs under the filter.
///
/// `warm_up` runs before Landlock and the filter, but already without capabilities, in the empty
/// root and under the limits; it may read the descriptors of the seat, and must not read anything
/// from a peer. What it returns is handed to `work`, together with the seat.
///
/// An error, of `warm_up` too, ends the process with [`EXIT_START`] (or [`EXIT_NAMESPACES`]) and one line on descriptor 2.
pub fn run<W, E: Display>(
    role: Role,
    warm_up: impl FnOnce(&mut Seat) -> Result<W, E>,
    work: impl FnOnce(Seat, W) -> ExitCode,
) -> ! {
    panic::install_hook(role);
    sys::default_fault_signals();
    let (seat, warm) = match start(role, warm_up) {
        Ok(started) => started,
        Err(error) => {
            panic::write_line(format_args!("ERROR {role} cannot start: {error}"));
            sys::exit(match error {
                Error::Policy(policy::Error::Namespaces(_)) => EXIT_NAMESPACES,
                _ => EXIT_START,
            });
        }
    };
    let code = work(seat, warm);
    log::report_dropped();
    // `ExitCode` cannot be read; it can be compared.
    let code = (0..=u8::MAX).find(|number| code == ExitCode::from(*number));
    sys::exit(code.map_or(1, i32::from))
}

fn start<W, E: Display>(
    role: Role,
    warm_up: impl FnOnce(&mut Seat) -> Result<W, E>,
) -> Result<(Seat, W), Error> {
    let options = Options::from_args(role, std::env::args().skip(1))?;
    confine::not_dumpable()?;
    let mut seat = Seat::take(role, options)?;
    log::install(options.log);
    confine::before_warm_up(role, &mut seat)?;
    lock_memory(role);
    let warm = warm_up(&mut seat).map_err(|error| Error::WarmUp(error.to_string()))?;
    confine::after_warm_up(role, &mut seat)?;
    if let Some(missing) = seat.enforced().missing_layers() {
        tracing::warn!("best effort: without {missing}");
    }
    Ok((seat, warm))
}

/// Where the role has secrets. That it cannot be done keeps nobody from working.
fn lock_memory(role: Role) {
    let policy = policy::of(role);
    if !policy.locks_memory {
        return;
    }
    if let Err(error) = locked::lock() {
        const WHAT: &str = "passwords and keys may be written to swap space: raise the limit on locked memory to 8 MiB (ulimit -l)";
        // Others are started for each login, and would say so each time.
        match policy.restart.enabled {
            true => tracing::warn!("{WHAT}: {error}"),
            false => tracing::debug!("{WHAT}: {error}"),
        }
    }
}
