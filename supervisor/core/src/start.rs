//! From exec to the loop: the specification, the descriptors, our own sandbox.

use crate::admission::Admission;
use crate::client::Named;
use crate::log::{Level, Log};
use crate::place::Place;
use crate::ready::Announcement;
use crate::reload::Reload;
use crate::session::{Counters, Phase, Session};
use crate::sys;
use crate::worker::Nursery;
use ipc::Channel;
use ipc::auth::SupervisorToAuth;
use ipc::display::SupervisorToDisplay;
use ipc::keys::SupervisorToKeys;
use ipc::launcher::SupervisorToLauncher;
use ipc::spec::{self, CheckKind, CheckSpec, FdIndex, ListenerKind, SupervisorSpec};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{setsockopt, sockopt};
use nix::unistd::{Gid, Uid, geteuid, getpid, setgroups, setresgid, setresuid};
use policy::{Role, SandboxMode, StartMode};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Why the start is given up, before there is a log.
type Result<T> = std::result::Result<T, String>;

fn failed(what: &str) -> impl Fn(nix::Error) -> String {
    move |error| format!("{what}: {error}")
}

/// The descriptors that the specification names, each taken once.
struct Passed(Vec<Option<OwnedFd>>);

impl Passed {
    fn take(&mut self, index: FdIndex) -> Result<OwnedFd> {
        let place = usize::from(index)
            .checked_sub(3)
            .and_then(|place| self.0.get_mut(place));
        place
            .and_then(Option::take)
            .ok_or_else(|| format!("descriptor {index} is missing or named twice"))
    }
}

/// The descriptors that a check's process gets.
fn own_fds(check: &CheckSpec) -> &[FdIndex] {
    match &check.kind {
        CheckKind::Ldap(fds)
        | CheckKind::Sql(fds)
        | CheckKind::Sqlite(fds)
        | CheckKind::Keycloak(fds)
        | CheckKind::Fido(fds)
        | CheckKind::Screen(fds)
        | CheckKind::Names(fds)
        | CheckKind::Certificate(fds)
        | CheckKind::Outside { fds, .. } => fds,
        CheckKind::Command => &[],
    }
}

/// The highest descriptor that the specification names.
fn highest(spec: &SupervisorSpec) -> FdIndex {
    let listeners = spec.listeners.iter().map(|listener| listener.fd);
    let executables = spec.executables.iter().map(|(_, fd)| *fd);
    listeners
        .chain(executables)
        .chain([spec.empty_root])
        .chain(spec.auth_fds.iter().copied())
        .chain(spec.keys_fds.iter().copied())
        .chain(spec.door)
        .chain(spec.checks.iter().flat_map(own_fds).copied())
        .chain(spec.outside_checks)
        .chain(spec.ready)
        .max()
        .unwrap_or(4)
}

/// Reads what the command line has left, takes on the supervisor's identity and sandbox.
///
/// # Errors
/// One line.
pub fn session() -> Result<Session> {
    let started = Instant::now();
    let mut first = sys::take_passed(3, 4).map_err(failed("descriptors 3 and 4"))?;
    let part = File::from(first.pop().ok_or("descriptor 4")?);
    let mut launcher = Channel::new(first.pop().ok_or("descriptor 3")?);
    let spec: SupervisorSpec =
        spec::read(&part).map_err(|error| format!("the specification: {error}"))?;
    drop(part);
    // 3 and 4 are taken: what comes after them has the numbers of the specification.
    let mut passed = Passed(vec![None, None]);
    passed.0.extend(
        sys::take_passed(5, highest(&spec).into())
            .map_err(failed("descriptors"))?
            .into_iter()
            .map(Some),
    );

    let pid = getpid().as_raw();
    let mut log = Log::new(spec.log_json, spec.debug, pid);
    let ready = spec.ready.map(|fd| passed.take(fd)).transpose()?;
    let mut announcement = Announcement::new(ready);
    let listeners = spec
        .listeners
        .iter()
        .map(|listener| {
            let socket = passed.take(listener.fd)?;
            prepare_listener(listener.kind, &socket).map_err(failed(&listener.name))?;
            Ok(socket)
        })
        .collect::<Result<Vec<_>>>()?;
    let executables = spec
        .executables
        .iter()
        .map(|(name, fd)| {
            let role = Role::from_name(name).filter(|role| role.is_worker());
            Ok((
                role.ok_or_else(|| format!("`{name}` is no worker"))?,
                passed.take(*fd)?,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    for role in Role::WORKERS {
        if !executables.iter().any(|(there, _)| *there == role) {
            return Err(format!("there is no executable for {role}"));
        }
    }
    let auth_fds = spec
        .auth_fds
        .iter()
        .map(|fd| passed.take(*fd))
        .collect::<Result<Vec<_>>>()?;
    let keys_fds = spec
        .keys_fds
        .iter()
        .map(|fd| passed.take(*fd))
        .collect::<Result<Vec<_>>>()?;
    let door = spec.door.map(|fd| passed.take(fd)).transpose()?;
    // Who has started the session: later we may be somebody else.
    let reload = Reload::new(door, geteuid().as_raw(), started);
    let check_fds = spec
        .checks
        .iter()
        .map(|check| own_fds(check).iter().map(|fd| passed.take(*fd)).collect())
        .collect::<Result<Vec<_>>>()?;
    let files = Named::all(&spec, spec.checks.iter().map(own_fds))?;
    if let Some(checks) = spec.outside_checks {
        // It takes them from the first message only: before we hear from anybody.
        let checks = passed.take(checks)?;
        launcher
            .send(&SupervisorToLauncher::Checks, vec![checks])
            .map_err(|error| format!("the launcher cannot be told of the checks: {error}"))?;
    }
    let null = File::open("/dev/null").map_err(|error| format!("/dev/null: {error}"))?;
    let mode = if spec.worker_uid_base.is_some() && geteuid().is_root() {
        StartMode::Root
    } else {
        StartMode::User
    };
    let nursery = Nursery {
        executables,
        null: null.into(),
        empty_root: passed.take(spec.empty_root)?,
        mode,
        sandbox: match spec.sandbox {
            spec::SandboxMode::Enforce => SandboxMode::Enforce,
            spec::SandboxMode::BestEffort => SandboxMode::BestEffort,
        },
        uid_base: spec.worker_uid_base.filter(|_| mode == StartMode::Root),
        pid,
        debug: spec.debug,
    };
    let signals = take_signals().map_err(failed("signals"))?;
    let enforced = confine(&nursery).inspect_err(|reason| announcement.ending(reason))?;
    if !enforced.missing_rights.is_empty() {
        let text = format!(
            "Landlock ABI {}: this kernel does not know {}",
            enforced.landlock_abi,
            enforced.missing_rights.join(", ")
        );
        let level = if enforced.landlock_abi == 0 {
            Level::Warn
        } else {
            Level::Debug
        };
        log.own(level, None, &text);
    }
    let start_time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    Ok(Session {
        spec,
        nursery,
        log,
        launcher: Some(launcher),
        signals,
        listeners,
        accept_pause: None,
        auth_fds,
        keys_fds,
        reload,
        check_fds,
        files,
        look: None,
        announcement,
        landlock_abi: enforced.landlock_abi,
        start_time,
        started,
        phase: Phase::Starting,
        display_number: None,
        auth: Place::new(Role::Auth, SupervisorToAuth::Ping),
        keys: Place::new(Role::Keys, SupervisorToKeys::Ping),
        display: Place::new(Role::Display, SupervisorToDisplay::Ping),
        waiting: BTreeMap::new(),
        choose_at: None,
        connections: BTreeMap::new(),
        dismissed: Vec::new(),
        admission: Admission::new(started),
        counters: Counters::default(),
        last_number: 0,
        had_windows: false,
    })
}

/// Bytes that the kernel takes for a client before it can send them. What is sent and not yet
/// acknowledged is not counted, so this does not bound what a long link carries; a send buffer of
/// a fixed size would (and `net.core.wmem_max` would bound it in turn).
const MAX_UNSENT: u32 = 256 * 1024;

/// Accepted sockets inherit what is set here: small packets go out at once, a peer that has
/// silently gone is found in the end, and little waits in the kernel for one that does not read
/// (tcp(7)).
fn prepare_listener(kind: ListenerKind, socket: &OwnedFd) -> nix::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(socket, FcntlArg::F_GETFL)?);
    fcntl(socket, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    if kind == ListenerKind::Tcp {
        setsockopt(socket, sockopt::TcpNoDelay, &true)?;
        setsockopt(socket, sockopt::KeepAlive, &true)?;
        sys::bound_unsent(socket.as_fd(), MAX_UNSENT)?;
    }
    Ok(())
}

fn take_signals() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// Takes the supervisor's own user (in a start as root) and its sandbox, for good.
fn confine(nursery: &Nursery) -> Result<runtime::Enforced> {
    prctl::set_no_new_privs().map_err(failed("no_new_privs"))?;
    if let Some(base) = nursery.uid_base {
        let id = Role::Supervisor.id(base);
        let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
        // While we may still: what the supervisor does not keep leaves the bounding set too.
        policy::drop_capabilities(Role::Supervisor, nursery.mode)
            .map_err(|error| error.to_string())?;
        prctl::set_keepcaps(true).map_err(failed("PR_SET_KEEPCAPS"))?;
        setgroups(&[]).map_err(failed("setgroups"))?;
        setresgid(gid, gid, gid).map_err(failed("setresgid"))?;
        setresuid(uid, uid, uid).map_err(failed("setresuid"))?;
        prctl::set_keepcaps(false).map_err(failed("PR_SET_KEEPCAPS"))?;
    }
    let executables: Vec<_> = nursery
        .executables
        .iter()
        .map(|(_, file)| file.as_fd())
        .collect();
    runtime::confine_supervisor(nursery.mode, nursery.sandbox, &executables)
        .map_err(|error| format!("the supervisor cannot be confined: {error}"))
}
