//! The steps between exec and the first message.

use crate::{BadOption, Options, Seat, sys};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{chroot, fchdir, getppid};
use policy::{Role, SandboxMode, StartMode};
use std::os::fd::{AsFd, BorrowedFd};

/// Why a process does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A start parameter.
    #[error(transparent)]
    Option(#[from] BadOption),
    /// A layer of the sandbox.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// A descriptor is open between those of the role's table.
    #[error("descriptor {0} is open, but the policy does not declare it")]
    UndeclaredDescriptor(i32),
    /// A descriptor of the role's table is not open.
    #[error("descriptor {0} is missing")]
    MissingDescriptor(i32),
    /// The empty directory cannot be entered.
    #[error("the empty directory does not become the root: {0}")]
    Root(Errno),
    /// A process attribute cannot be set.
    #[error("prctl: {0}")]
    Attribute(Errno),
    /// Whoever started this process has ended in the meantime.
    #[error("the supervisor has ended")]
    Orphan,
    /// The role's own preparations failed.
    #[error("{0}")]
    WarmUp(String),
    /// Something reads back as not in force.
    #[error("self-check: {0}")]
    NotInForce(&'static str),
}

/// What is in force, for the first message and the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enforced {
    /// The Landlock interface that is used; 0: none, on a kernel without Landlock.
    pub landlock_abi: u32,
    /// Landlock rights that the running kernel does not know.
    pub missing_rights: Vec<&'static str>,
    /// Namespaces that the running kernel refused (best-effort only); with them goes the root.
    pub missing_namespaces: Vec<&'static str>,
}

impl Enforced {
    /// The layers that are missing altogether, for people: only in best-effort mode, and on a
    /// kernel that has none of them.
    #[must_use]
    pub fn missing_layers(&self) -> Option<String> {
        let landlock = (self.landlock_abi == 0).then(|| "Landlock".to_owned());
        let names = self.missing_namespaces.join(", ");
        let namespaces = (!names.is_empty()).then(|| format!("namespaces ({names})"));
        let missing: Vec<_> = landlock.into_iter().chain(namespaces).collect();
        (!missing.is_empty()).then(|| missing.join(" and "))
    }
}

/// No core file, no ptrace and no `/proc/PID/mem` by our uid. `prctl(2)`, PR_SET_DUMPABLE.
pub fn not_dumpable() -> Result<(), Error> {
    prctl::set_dumpable(false).map_err(Error::Attribute)
}

/// Everything that can be done before the role's warm-up.
pub fn before_warm_up(role: Role, seat: &mut Seat) -> Result<(), Error> {
    let options = seat.options();
    policy::check_no_new_privs()?;
    let missing = policy::enter_namespaces(role, options.mode, options.sandbox)?;
    // A change of credentials may have set this back to /proc/sys/fs/suid_dumpable.
    not_dumpable()?;
    if let Some(entry) = policy::of(role)
        .descriptors
        .iter()
        .find(|entry| entry.closed_at_start)
    {
        let root = seat
            .descriptor(entry.fd)
            .ok_or(Error::MissingDescriptor(entry.fd))?;
        if missing.is_empty() {
            // The working directory is the root then, so there is nothing above it to go to.
            fchdir(&root)
                .and_then(|()| chroot("."))
                .map_err(Error::Root)?;
        }
    }
    seat.enforced.missing_namespaces = missing;
    policy::drop_capabilities(role, options.mode)?;
    end_with_parent(role, options)?;
    policy::apply_limits(role)?;
    Ok(())
}

/// The kernel clears this setting when credentials change, so it comes after them; and the parent
/// may have ended before it was set. `PR_SET_PDEATHSIG(2const)`.
fn end_with_parent(role: Role, options: Options) -> Result<(), Error> {
    if !policy::of(role).dies_with_parent {
        return Ok(());
    }
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(Error::Attribute)?;
    if options.parent == Some(getppid().as_raw()) {
        Ok(())
    } else {
        Err(Error::Orphan)
    }
}

/// Landlock, the self-check, and the filter.
pub fn after_warm_up(role: Role, seat: &mut Seat) -> Result<(), Error> {
    let options = seat.options();
    let named = std::mem::take(&mut seat.named_files);
    let named: Vec<_> = named.iter().map(AsFd::as_fd).collect();
    let report = policy::install_landlock(role, &named, options.sandbox)?;
    seat.enforced.landlock_abi = report.abi;
    seat.enforced.missing_rights = report.missing_rights;
    check(role, options, report.abi)?;
    seal(role)
}

/// Reads back what the filter will forbid to ask.
fn check(role: Role, options: Options, landlock_abi: u32) -> Result<(), Error> {
    policy::check_capabilities(role, options.mode)?;
    policy::check_limits(role)?;
    policy::check_no_new_privs()?;
    if prctl::get_dumpable() != Ok(false) {
        return Err(Error::NotInForce("the process is dumpable"));
    }
    if policy::of(role).dies_with_parent && prctl::get_pdeathsig() != Ok(Some(Signal::SIGKILL)) {
        return Err(Error::NotInForce("there is no parent-death signal"));
    }
    if landlock_abi > 0 && sys::can_open_root() {
        return Err(Error::NotInForce("a directory can be opened"));
    }
    Ok(())
}

/// The last step: from here on, what is not allowed kills the process. That the filter is in
/// force is what the kernel's answer says; asking again is no longer allowed.
fn seal(role: Role) -> Result<(), Error> {
    policy::install_seccomp(role)?;
    sys::end_when_memory_runs_out();
    Ok(())
}

/// Confines the supervisor (or what stands in for it in a test): not dumpable, only the
/// capabilities of its policy, limits, Landlock with nothing but the workers' `executables`, the
/// filter. To be called once its listening sockets, its signal descriptor and all else that needs
/// opening is open; what is started from then on inherits the filter and the Landlock rules.
///
/// # Errors
/// What the kernel refused. The process must end then.
pub fn confine_supervisor(
    mode: StartMode,
    sandbox: SandboxMode,
    executables: &[BorrowedFd<'_>],
) -> Result<Enforced, Error> {
    let role = Role::Supervisor;
    crate::install_hook(role);
    sys::default_fault_signals();
    policy::check_no_new_privs()?;
    policy::drop_capabilities(role, mode)?;
    not_dumpable()?;
    policy::apply_limits(role)?;
    let report = policy::install_landlock(role, executables, sandbox)?;
    let options = Options {
        mode,
        sandbox,
        parent: None,
        connection: None,
        tls12: false,
        restarted: false,
        log: tracing::level_filters::LevelFilter::OFF,
    };
    check(role, options, report.abi)?;
    seal(role)?;
    Ok(Enforced {
        landlock_abi: report.abi,
        missing_rights: report.missing_rights,
        missing_namespaces: Vec::new(),
    })
}
