//! Starts processes with exactly the descriptors they are meant to have.

use crate::error::{Error, Result, reason};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Pid, fork, setsid};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// First descriptor after the standard three.
const FIRST: RawFd = 3;

/// A program and everything it gets.
#[derive(Debug)]
pub struct Program {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
    /// Descriptors 3, 4, 5 ….
    table: Vec<OwnedFd>,
    /// Descriptors 1 and 2; `None`: those of this process.
    output: Option<OwnedFd>,
}

fn c_string(bytes: &OsStr) -> Result<CString> {
    CString::new(bytes.as_bytes()).map_err(|_| Error::usage("a zero byte in an argument"))
}

impl Program {
    /// A program with these arguments (the first is its name), this environment, these
    /// descriptors from 3 on, and its output there.
    ///
    /// # Errors
    /// A zero byte in a text.
    pub fn new(
        path: &Path,
        args: &[&str],
        env: &[(String, String)],
        table: Vec<OwnedFd>,
        output: Option<OwnedFd>,
    ) -> Result<Self> {
        Ok(Self {
            path: c_string(path.as_os_str())?,
            args: args
                .iter()
                .map(|arg| c_string(OsStr::new(arg)))
                .collect::<Result<_>>()?,
            env: env
                .iter()
                .map(|(name, value)| c_string(OsStr::new(&format!("{name}={value}"))))
                .collect::<Result<_>>()?,
            table,
            output,
        })
    }

    fn failed(&self, error: Errno) -> Error {
        Error::new(format!(
            "cannot execute {}: {}",
            self.path.to_string_lossy(),
            reason(&io::Error::from(error))
        ))
    }

    /// Becomes this program. On failure the descriptors of this process are no longer what they
    /// were: report and end.
    pub fn exec(self) -> Error {
        let error = arrange_and_exec(&self, None);
        self.failed(error)
    }

    /// Starts this program as a child.
    ///
    /// # Errors
    /// It cannot be executed.
    pub fn spawn(self) -> Result<Pid> {
        let (read, write) =
            nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|error| self.failed(error))?;
        // SAFETY: this process has one thread, so the child may do what any process may.
        match unsafe { fork() }.map_err(|error| self.failed(error))? {
            ForkResult::Child => {
                let _ = arrange_and_exec(&self, Some(write));
                std::process::exit(127);
            }
            ForkResult::Parent { child } => {
                drop(write);
                let mut code = [0_u8; 4];
                match io::Read::read_exact(&mut std::fs::File::from(read), &mut code) {
                    Err(_) => Ok(child),
                    Ok(()) => {
                        let _ = nix::sys::wait::waitpid(child, None);
                        Err(self.failed(Errno::from_raw(i32::from_ne_bytes(code))))
                    }
                }
            }
        }
    }
}

/// A copy of a descriptor at or above `min`.
fn copy_above(fd: BorrowedFd<'_>, min: RawFd) -> nix::Result<OwnedFd> {
    let raw = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(min))?;
    // SAFETY: the kernel has just made this descriptor for us; nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Puts a copy of a descriptor at a number, where it stays open across exec.
fn place(fd: BorrowedFd<'_>, number: RawFd) -> nix::Result<()> {
    // SAFETY: what was at that number is given up: the caller executes another program or ends.
    unsafe { nix::unistd::dup2_raw(fd, number) }.map(|placed| {
        let _ = placed.into_raw_fd();
    })
}

/// Marks every descriptor from `first` on to be closed by exec.
fn close_from(first: RawFd) -> nix::Result<()> {
    let first = libc::c_uint::try_from(first).map_err(|_| Errno::EBADF)?;
    let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: sets a flag on descriptors, touches no memory.
    Errno::result(unsafe { libc::close_range(first, libc::c_uint::MAX, flags) }).map(drop)
}

/// Does not return unless something failed; then `report`, if given, gets the error's number.
fn arrange_and_exec(program: &Program, report: Option<OwnedFd>) -> Errno {
    let run = || -> nix::Result<std::convert::Infallible> {
        let end = FIRST + RawFd::try_from(program.table.len()).map_err(|_| Errno::EMFILE)?;
        let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
        let null = copy_above(null.as_fd(), end)?;
        let output = program
            .output
            .as_ref()
            .map(|fd| copy_above(fd.as_fd(), end))
            .transpose()?;
        let table: Vec<OwnedFd> = program
            .table
            .iter()
            .map(|fd| copy_above(fd.as_fd(), end))
            .collect::<nix::Result<_>>()?;
        let report = report
            .as_ref()
            .map(|fd| copy_above(fd.as_fd(), end))
            .transpose()?;
        let done = || -> nix::Result<std::convert::Infallible> {
            place(null.as_fd(), 0)?;
            if let Some(output) = &output {
                place(output.as_fd(), 1)?;
                place(output.as_fd(), 2)?;
            }
            for (fd, number) in table.iter().zip(FIRST..) {
                place(fd.as_fd(), number)?;
            }
            close_from(end)?;
            nix::unistd::execve(&program.path, &program.args, &program.env)
        };
        done().inspect_err(|error| {
            if let Some(report) = &report {
                let _ = nix::unistd::write(report, &(*error as i32).to_ne_bytes());
            }
        })
    };
    match run() {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

/// Which end of the fork this is.
#[derive(Debug)]
pub enum Background {
    /// The one that was started from the terminal: reads the line that says "ready".
    Parent(OwnedFd),
    /// The one that goes on: writes that line.
    Child(OwnedFd),
}

/// Forks: the child does `work` and ends with what that gives, unless it becomes another program.
/// What it, or that, prints comes from the descriptor; when this process dies, it is to end.
///
/// # Errors
/// What the kernel says.
pub fn child(work: impl FnOnce() -> u8) -> Result<(Pid, std::fs::File)> {
    let fail = |error: Errno| Error::new(format!("cannot fork: {}", reason(&error.into())));
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(fail)?;
    // SAFETY: this process has one thread, so the child may do what any process may.
    match unsafe { fork() }.map_err(fail)? {
        ForkResult::Parent { child } => Ok((child, read.into())),
        ForkResult::Child => {
            let ready = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)
                .map_err(fail)
                .and_then(|()| leave_terminal(&write));
            drop((read, write));
            let code = ready.map_or(1, |()| work());
            std::process::exit(code.into())
        }
    }
}

/// Leaves the terminal: forks twice with a new session in between.
///
/// # Errors
/// What the kernel says.
pub fn background() -> Result<Background> {
    let fail = |error: Errno| {
        Error::new(format!(
            "cannot go to the background: {}",
            reason(&error.into())
        ))
    };
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(fail)?;
    // SAFETY: this process has one thread, so the child may do what any process may.
    match unsafe { fork() }.map_err(fail)? {
        ForkResult::Parent { child } => {
            let _ = nix::sys::wait::waitpid(child, None);
            return Ok(Background::Parent(read));
        }
        ForkResult::Child => {}
    }
    let _ = setsid();
    // SAFETY: as above.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => Ok(Background::Child(write)),
        Ok(ForkResult::Parent { .. }) => std::process::exit(0),
        Err(_) => std::process::exit(1),
    }
}

/// Replaces the standard descriptors of this process: nothing to read, output there.
///
/// # Errors
/// What the kernel says.
pub fn leave_terminal(output: &OwnedFd) -> Result<()> {
    let run = || -> nix::Result<()> {
        let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
        nix::unistd::dup2_stdin(&null)?;
        nix::unistd::dup2_stdout(output)?;
        nix::unistd::dup2_stderr(output)
    };
    run().map_err(|error| {
        Error::new(format!(
            "cannot leave the terminal: {}",
            reason(&error.into())
        ))
    })
}
