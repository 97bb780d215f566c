//! Putting a policy in force on the calling process.
//!
//! Sources: `seccomp(2)`, `landlock(7)` and the kernel's `userspace-api/landlock.rst`,
//! `capabilities(7)`, `user_namespaces(7)`, `setrlimit(2)`.

use crate::{LandlockPath, Limit, Namespace, Resource, Role, RolePolicy, SandboxMode, StartMode};
use caps::{CapSet, Capability, CapsHashSet};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};
use nix::sched::CloneFlags;
use nix::sys::prctl;
use nix::sys::resource::{Resource as Rlimit, getrlimit, setrlimit};
use std::os::fd::{AsFd, BorrowedFd};

/// Why a process could not be confined. It must end then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The launcher has no sandbox to put in force.
    #[error("the role {0} has no sandbox")]
    Unconfined(Role),
    /// The kernel refused the filter.
    #[error("the system-call filter was refused: {0}")]
    Seccomp(#[from] seccompiler::Error),
    /// The kernel has no Landlock.
    #[error(
        "the running kernel offers no Landlock (--sandbox=best-effort starts without, and says so)"
    )]
    NoLandlock,
    /// The kernel refused the ruleset.
    #[error("Landlock refused the ruleset: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// A capability set could not be changed or read.
    #[error("capabilities: {0}")]
    Capabilities(String),
    /// A limit could not be set.
    #[error("the limit {name} could not be set to {value}: {errno}")]
    Limit {
        /// The limit's name in the policy file.
        name: &'static str,
        /// The wanted value.
        value: u64,
        /// The kernel's answer.
        errno: nix::Error,
    },
    /// The namespaces could not be entered.
    #[error(
        "the kernel refused new namespaces: {0} (--sandbox=best-effort starts without, and says so)"
    )]
    Namespaces(nix::Error),
    /// A setting reads back as something else.
    #[error("self-check: {0}")]
    NotInForce(String),
}

/// What Landlock enforces on this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LandlockReport {
    /// The interface version that is used; 0 when the kernel has no Landlock.
    pub abi: u32,
    /// The rights that the running kernel does not know, by name. Another layer covers them.
    pub missing_rights: Vec<&'static str>,
}

/// The newest Landlock interface whose rights we ask for.
const NEWEST: ABI = ABI::V9;

/// Every right and scope that we ask Landlock for, with the interface version that brought it.
/// `landlock(7)`, "Kernel support".
pub fn landlock_rights() -> &'static [(u32, &'static str)] {
    &[
        (1, "fs-execute"),
        (1, "fs-write-file"),
        (1, "fs-read-file"),
        (1, "fs-read-dir"),
        (1, "fs-remove-dir"),
        (1, "fs-remove-file"),
        (1, "fs-make-char"),
        (1, "fs-make-dir"),
        (1, "fs-make-reg"),
        (1, "fs-make-sock"),
        (1, "fs-make-fifo"),
        (1, "fs-make-block"),
        (1, "fs-make-sym"),
        (2, "fs-refer"),
        (3, "fs-truncate"),
        (4, "net-bind-tcp"),
        (4, "net-connect-tcp"),
        (5, "fs-ioctl-dev"),
        (6, "scope-abstract-unix-socket"),
        (6, "scope-signal"),
        (9, "fs-resolve-unix"),
    ]
}

fn confined(role: Role) -> Result<&'static RolePolicy, Error> {
    let policy = crate::of(role);
    match policy.unconfined {
        Some(_) => Err(Error::Unconfined(role)),
        None => Ok(policy),
    }
}

/// Installs the role's system-call filter on all threads of the process, for good. Sets
/// `no_new_privs`. Filters add up: one that was there before stays in force.
///
/// # Errors
/// The kernel's refusal.
pub fn install_seccomp(role: Role) -> Result<(), Error> {
    let policy = confined(role)?;
    // The last one may allow no more filters.
    for filter in policy.refusals.iter().chain([&policy.filter]) {
        seccompiler::apply_filter_all_threads(filter)?;
    }
    Ok(())
}

/// Puts the role's Landlock rules in force, with every right that the running kernel knows. Sets
/// `no_new_privs`. `passed` are the files that `worker-executables` or `named-files` among its
/// paths stands for; without such a word they are not used.
///
/// # Errors
/// No Landlock in the kernel (unless `sandbox` is best-effort), or its refusal.
pub fn install_landlock(
    role: Role,
    passed: &[BorrowedFd<'_>],
    sandbox: SandboxMode,
) -> Result<LandlockReport, Error> {
    let rules = &confined(role)?.landlock;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?;
    if rules.deny_tcp {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?;
    }
    if rules.scope_abstract_unix {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket)?;
    }
    if rules.scope_signal {
        ruleset = ruleset.scope(Scope::Signal)?;
    }
    let mut created = ruleset.create()?;
    for path in rules.paths {
        let (rights, file) = match path {
            LandlockPath::WorkerExecutables => (AccessFs::Execute | AccessFs::ReadFile, None),
            LandlockPath::NamedFiles => (AccessFs::ReadFile.into(), None),
            LandlockPath::Read(path) => match PathFd::new(path) {
                Ok(file) => (AccessFs::ReadFile.into(), Some(file)),
                // There is none, so there is nothing to be read.
                Err(_) => continue,
            },
        };
        let files = match &file {
            Some(file) => &[file.as_fd()][..],
            None => passed,
        };
        for file in files {
            created = created.add_rule(PathBeneath::new(file, rights))?;
        }
    }
    let status = created.restrict_self()?;
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as u32,
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
    };
    if abi == 0 && sandbox == SandboxMode::Enforce {
        return Err(Error::NoLandlock);
    }
    Ok(LandlockReport {
        abi,
        missing_rights: landlock_rights()
            .iter()
            .filter(|(since, _)| *since > abi)
            .map(|(_, name)| *name)
            .collect(),
    })
}

fn wanted_capabilities(policy: &RolePolicy, mode: StartMode) -> Result<CapsHashSet, Error> {
    policy
        .capabilities(mode)
        .iter()
        .map(|name| {
            name.parse::<Capability>()
                .map_err(|error| Error::Capabilities(error.to_string()))
        })
        .collect()
}

/// Drops every capability that the role does not keep, from all five sets. The bounding set can
/// only be changed by a process that still has `CAP_SETPCAP` (as root, or in a user namespace of
/// its own); without it, and with `no_new_privs`, it gives nothing.
///
/// # Errors
/// The kernel's refusal.
pub fn drop_capabilities(role: Role, mode: StartMode) -> Result<(), Error> {
    let keep = wanted_capabilities(confined(role)?, mode)?;
    let failed = |error: caps::errors::CapsError| Error::Capabilities(error.to_string());
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).map_err(failed)? {
        for capability in caps::all() {
            let present = caps::has_cap(None, CapSet::Bounding, capability).unwrap_or(false);
            if present && !keep.contains(&capability) {
                caps::drop(None, CapSet::Bounding, capability).map_err(failed)?;
            }
        }
    }
    caps::clear(None, CapSet::Ambient).map_err(failed)?;
    caps::clear(None, CapSet::Inheritable).map_err(failed)?;
    // Only what is there can be kept: in a test, or in mode user, there may be none.
    let have = caps::read(None, CapSet::Permitted).map_err(failed)?;
    let keep: CapsHashSet = keep.intersection(&have).copied().collect();
    caps::set(None, CapSet::Effective, &keep).map_err(failed)?;
    caps::set(None, CapSet::Permitted, &keep).map_err(failed)
}

/// Reads the capability sets back.
///
/// # Errors
/// [`Error::NotInForce`] when one has more than the role keeps.
pub fn check_capabilities(role: Role, mode: StartMode) -> Result<(), Error> {
    let keep = wanted_capabilities(confined(role)?, mode)?;
    for set in [CapSet::Permitted, CapSet::Effective, CapSet::Inheritable] {
        let have = caps::read(None, set).map_err(|error| Error::Capabilities(error.to_string()))?;
        if let Some(extra) = have.difference(&keep).next() {
            return Err(Error::NotInForce(format!("{extra} is still in {set:?}")));
        }
    }
    Ok(())
}

/// Sets `no_new_privs` if it is not set, and reads it back.
///
/// # Errors
/// [`Error::NotInForce`].
pub fn check_no_new_privs() -> Result<(), Error> {
    match prctl::set_no_new_privs().and_then(|()| prctl::get_no_new_privs()) {
        Ok(true) => Ok(()),
        _ => Err(Error::NotInForce("no_new_privs is not set".into())),
    }
}

/// Enters the role's namespaces, all in one call, and without mapping a uid, so that inside
/// every uid reads as the overflow uid (but for [`RolePolicy::reads_as_root`]). To be called after exec: a user namespace that was
/// entered before would make the process attachable by its uid's other processes. Returns the names of the
/// namespaces that the kernel did not give (only in best-effort mode).
///
/// # Errors
/// The kernel's refusal.
pub fn enter_namespaces(
    role: Role,
    mode: StartMode,
    sandbox: SandboxMode,
) -> Result<Vec<&'static str>, Error> {
    let policy = confined(role)?;
    let wanted = policy.namespaces(mode);
    let flags = wanted
        .iter()
        .map(|namespace| match namespace {
            Namespace::User => CloneFlags::CLONE_NEWUSER,
            Namespace::Mount => CloneFlags::CLONE_NEWNS,
            Namespace::Net => CloneFlags::CLONE_NEWNET,
            Namespace::Ipc => CloneFlags::CLONE_NEWIPC,
            Namespace::Uts => CloneFlags::CLONE_NEWUTS,
            Namespace::Cgroup => CloneFlags::CLONE_NEWCGROUP,
        })
        .fold(CloneFlags::empty(), |all, one| all | one);
    if flags.is_empty() {
        return Ok(Vec::new());
    }
    // Only where it is wanted: the supervisor's filter, which workers inherit, has no such call.
    let as_root = policy.reads_as_root && mode == StartMode::Root;
    let uid = as_root.then(nix::unistd::geteuid);
    match nix::sched::unshare(flags) {
        Ok(()) => {
            uid.map_or(Ok(()), read_as_root)
                .map_err(Error::Namespaces)?;
            Ok(Vec::new())
        }
        Err(_) if sandbox == SandboxMode::BestEffort => {
            Ok(wanted.iter().map(|namespace| namespace.name()).collect())
        }
        Err(errno) => Err(Error::Namespaces(errno)),
    }
}

/// Makes this user id read as 0 in the user namespace that has just been entered. The kernel's
/// checks go on with the id that it is outside.
///
/// The file with the map belongs to root while the process is not dumpable (proc(5)), so that is
/// lifted meanwhile: only in mode root, where nobody else has the user id of a role.
fn read_as_root(uid: nix::unistd::Uid) -> nix::Result<()> {
    prctl::set_dumpable(true)?;
    let written = std::fs::write("/proc/self/uid_map", format!("0 {uid} 1"));
    prctl::set_dumpable(false)?;
    written.map_err(|error| {
        error
            .raw_os_error()
            .map_or(nix::Error::EIO, nix::Error::from_raw)
    })
}

const fn rlimit(resource: Resource) -> Rlimit {
    match resource {
        Resource::AddressSpace => Rlimit::RLIMIT_AS,
        Resource::Core => Rlimit::RLIMIT_CORE,
        Resource::Data => Rlimit::RLIMIT_DATA,
        Resource::FileSize => Rlimit::RLIMIT_FSIZE,
        Resource::LockedMemory => Rlimit::RLIMIT_MEMLOCK,
        Resource::MessageQueues => Rlimit::RLIMIT_MSGQUEUE,
        Resource::Descriptors => Rlimit::RLIMIT_NOFILE,
        Resource::Processes => Rlimit::RLIMIT_NPROC,
        Resource::Stack => Rlimit::RLIMIT_STACK,
    }
}

/// Sets the role's resource limits, soft and hard. A hard limit that is lower already stays.
///
/// # Errors
/// The limit that the kernel refused.
pub fn apply_limits(role: Role) -> Result<(), Error> {
    for Limit { resource, value } in confined(role)?.limits {
        let set = |value: u64| setrlimit(rlimit(*resource), value, value);
        getrlimit(rlimit(*resource))
            .and_then(|(_, hard)| set((*value).min(hard)))
            .map_err(|errno| Error::Limit {
                name: resource.name(),
                value: *value,
                errno,
            })?;
    }
    Ok(())
}

/// Reads the resource limits back.
///
/// # Errors
/// [`Error::NotInForce`] with the limit that is higher than the policy says.
pub fn check_limits(role: Role) -> Result<(), Error> {
    for Limit { resource, value } in confined(role)?.limits {
        match getrlimit(rlimit(*resource)) {
            Ok((soft, hard)) if soft <= *value && hard <= *value => {}
            _ => {
                return Err(Error::NotInForce(format!(
                    "the limit {} is not {value}",
                    resource.name()
                )));
            }
        }
    }
    Ok(())
}
