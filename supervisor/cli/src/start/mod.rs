//! The start of a session: everything is checked and opened first, then the launcher is split
//! off and this process becomes the supervisor.

mod answer;
mod chains;
mod executables;
mod key_data;
mod opened;
mod outside;
mod plan;
mod wanted;
mod worker_uids;
mod written;

pub use executables::{empty_root, executable, open_path};
pub use key_data::{check_versions, open_pair};

use crate::auth;
use crate::claim::{self, Claim};
use crate::error::{Error, Result, one_line, reason};
use crate::exposure::Typed;
use crate::options::{LogFormat, Sandbox, Sharing, StartArgs};
use crate::places::{self, LOG_FILE};
use crate::process::{self, Background, Program};
use crate::secrets;
use crate::undo::Undo;
use answer::wait;
use ipc::launcher::{LauncherToSupervisor, SupervisorToLauncher};
use ipc::spec::{
    self, AuthSpec, ChecksSpec, FdIndex, KeysSpec, ListenerSpec, NamedFile, SandboxMode,
    SupervisorSpec,
};
use nix::unistd::getpid;
use opened::{Opened, attach_hint, open_door, open_sockets};
use outside::How;
use plan::Plan;
use policy::Role;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use wanted::wanted;
use worker_uids::worker_uids;
use written::{log_path, open_log, open_pid_files};

/// Checks what can be checked without opening anything.
///
/// # Errors
/// What [`run`] would refuse before it opens anything.
pub fn check(args: &StartArgs, typed: &Typed) -> Result<()> {
    wanted(args, typed).map(drop)
}

fn random_id() -> Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::new(format!("no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn machine_id() -> Result<String> {
    let valid = |text: &String| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|text| text.trim().to_ascii_lowercase())
        .find(valid)
        .map_or_else(random_id, Ok)
}

/// Descriptors of the supervisor, in order from 3 on.
#[derive(Default)]
struct Table(Vec<OwnedFd>);

impl Table {
    fn add(&mut self, fd: OwnedFd) -> Result<FdIndex> {
        self.0.push(fd);
        FdIndex::try_from(self.0.len() + 2).map_err(|_| Error::usage("too many sockets"))
    }
}

/// Files whose names may get others, as the supervisor and the launcher know them.
#[derive(Default)]
struct Names {
    places: Vec<FdIndex>,
    files: Vec<NamedFile>,
}

impl Names {
    fn note(&mut self, place: FdIndex, named: Option<NamedFile>) -> FdIndex {
        if let Some(named) = named {
            self.places.push(place);
            self.files.push(named);
        }
        place
    }
}

fn encoded<T: serde::Serialize>(spec: &T) -> Result<OwnedFd> {
    let bytes = spec::encode(spec).map_err(|_| {
        Error::usage("the environment and the commands are too large (more than 1 MiB)")
    })?;
    secrets::sealed(&bytes)
}

/// Starts a session. Returns only in the process that the terminal waits for, or on failure.
///
/// # Errors
/// Why there is no session; nothing is left of the attempt.
pub fn run(args: &StartArgs, typed: &Typed) -> Result<()> {
    let mut plan = Plan::new(args, typed)?;
    let user = plan.owner.ids();
    let mut undo = Undo::for_user(user);
    let warnings = std::mem::take(&mut plan.secrets.warnings);
    for warning in warnings
        .into_iter()
        .chain(std::mem::take(&mut plan.keys.warnings))
    {
        eprintln!("bulkhead: warning: {}", one_line(&warning));
    }
    let mut claim = claim::claim(args.display, plan.owner.user.uid, &plan.places, &mut undo)?;
    let opened = open_sockets(&mut plan, &mut claim, &mut undo)?;
    let door = open_door(&plan, &claim, &opened, &mut undo)?;
    let mut pid_files = open_pid_files(args, &claim, &mut plan, &mut undo)?;
    let daemon = args.daemon != Some(false);
    let log_path = log_path(args, &claim, &plan);
    let to_file = daemon || args.log_file.is_some();
    let log = to_file
        .then(|| open_log(&log_path, &claim, user, &mut undo))
        .transpose()
        .map_err(|error| match args.log_file {
            Some(_) => error.at("--log-file"),
            None => error,
        })?;
    let session_log = open_log(&claim.dir.join(LOG_FILE), &claim, user, &mut undo)?;
    if claim.launcher.is_some() && !plan.launcher.commands.is_empty() {
        eprintln!(
            "bulkhead: display :{} has a session whose server had ended: it is taken over with its applications; nothing is started anew",
            claim.display
        );
    }
    let hint = attach_hint(&claim, &plan.places, &opened);
    let claim_dir = claim.dir.clone();
    // Opened now: when the start fails, the log may be removed before it is read.
    // By descriptor: the path may mean another file by now.
    let log_reader = log
        .as_ref()
        .and_then(|log| File::open(format!("/proc/self/fd/{}", log.as_raw_fd())).ok());
    let from_terminal = getpid().as_raw();
    let ready = match daemon.then(process::background).transpose()? {
        None => None,
        Some(Background::Parent(pipe)) => {
            undo.disarm();
            return wait(pipe, log_reader.as_ref(), &log_path, &hint);
        }
        Some(Background::Child(pipe)) => {
            if let Some(log) = &log {
                process::leave_terminal(log)?;
            }
            if claim.launcher.is_none() {
                claim::hand_on(claim.display, from_terminal)?;
            }
            Some(pipe)
        }
    };
    for file in &mut pid_files {
        file.write_all(format!("{}\n", std::process::id()).as_bytes())
            .map_err(|error| Error::new(format!("pid file: {}", reason(&error))))?;
    }
    drop(pid_files);
    match hand_over(
        args,
        plan,
        claim,
        (opened, door),
        Output {
            log,
            log_name: log_path
                .strip_prefix(&claim_dir)
                .ok()
                .and_then(|name| name.to_str())
                .map(str::to_owned),
            session_log,
            ready,
            hint,
        },
        &mut undo,
    )? {}
}

/// Where lines go.
struct Output {
    log: Option<OwnedFd>,
    /// Its name, where it is in the session directory.
    log_name: Option<String>,
    session_log: OwnedFd,
    ready: Option<OwnedFd>,
    hint: String,
}

fn hand_over(
    args: &StartArgs,
    plan: Plan,
    claim: Claim,
    (opened, door): (Vec<Opened>, Option<OwnedFd>),
    output: Output,
    undo: &mut Undo,
) -> Result<std::convert::Infallible> {
    let display = claim.display;
    let human = output.log.is_none() && std::io::stderr().is_terminal();
    let auth = AuthSpec {
        listeners: plan.secrets.listeners,
        owner: plan.owner.user.name.clone(),
    };
    let mut table = Table::default();
    // Places 3 and 4: the channel and the specification itself, which names all the others.
    let (channel, launcher_end) = match claim.launcher {
        Some(channel) => (channel, None),
        None => {
            let (ours, theirs) = ipc::channel::socketpair()
                .map_err(|error| Error::new(format!("no channel to the launcher: {error}")))?;
            (ours, Some(theirs))
        }
    };
    let spare = channel
        .try_clone()
        .map_err(|error| Error::new(format!("no descriptor: {}", reason(&error))))?;
    table.add(channel)?;
    table.add(encoded(&())?)?;
    let mut listeners = Vec::new();
    for socket in opened {
        let files = socket.asks_files();
        listeners.push(ListenerSpec {
            kind: socket.kind,
            name: socket.name,
            fd: table.add(socket.fd)?,
            encryption: socket.demand,
            refused_requests: socket.refused_requests,
            capabilities: auth::capabilities(&socket.chain),
            files,
        });
    }
    let mut executables = Vec::new();
    for (role, path) in plan.executables.iter().filter(|(role, _)| role.is_worker()) {
        executables.push((
            role.name().to_owned(),
            table.add(open_path(path, libc::O_PATH)?)?,
        ));
    }
    let empty_root = table.add(empty_root(&plan.places.sessions)?)?;
    let mut auth_fds = vec![table.add(encoded(&auth)?)?];
    let mut names = Names::default();
    for (secret, named) in plan.secrets.fds {
        auth_fds.push(names.note(table.add(secret)?, named));
    }
    let mut keys_fds = Vec::new();
    if !plan.keys.fds.is_empty() {
        let spec = KeysSpec {
            listeners: plan.key_spec,
        };
        keys_fds.push(table.add(encoded(&spec)?)?);
    }
    for (secret, named) in plan.keys.fds {
        keys_fds.push(names.note(table.add(secret)?, named));
    }
    let door = door.map(|door| table.add(door)).transpose()?;
    let worker_uid_base = worker_uids(args.worker_uid_base, &plan.owner, display)?;
    let sandbox = match args.sandbox {
        Some(Sandbox::BestEffort) => SandboxMode::BestEffort,
        Some(Sandbox::Enforce) | None => SandboxMode::Enforce,
    };
    let how = How {
        uid_base: worker_uid_base,
        sandbox: match sandbox {
            SandboxMode::BestEffort => policy::SandboxMode::BestEffort,
            SandboxMode::Enforce => policy::SandboxMode::Enforce,
        },
        debug: args.debug == Some(true),
    };
    let checks = plan.secrets.checks;
    let (checks, outside) = checks.hand_over(&how, |fd, named| {
        table.add(fd).map(|place| names.note(place, named))
    })?;
    let outside = ChecksSpec {
        checks: outside,
        files: names.files,
    };
    let outside_checks = match outside == ChecksSpec::default() {
        true => None,
        false => Some(table.add(encoded(&outside)?)?),
    };
    let ready = output.ready.map(|ready| table.add(ready)).transpose()?;
    let supervisor = SupervisorSpec {
        display: Some(display),
        session_name: args.session_name.clone().unwrap_or_default(),
        uuid: random_id()?,
        machine_id: machine_id()?,
        hostname: places::host(),
        listeners,
        readonly: args.readonly == Some(true),
        sharing: match args.sharing {
            Some(Sharing::Yes) => Some(true),
            Some(Sharing::No) => Some(false),
            Some(Sharing::Auto) | None => None,
        },
        resize_display: args.resize_display != Some(false),
        exit_with_children: args.exit_with_children == Some(true),
        exit_with_client: args.exit_with_client == Some(true),
        exit_with_windows: args.exit_with_windows == Some(true),
        sandbox,
        worker_uid_base,
        executables,
        empty_root,
        auth_fds,
        keys_fds,
        door,
        checks,
        outside_checks,
        files: names.places,
        ready,
        log_json: match args.log_format {
            Some(LogFormat::Json) => true,
            Some(LogFormat::Human) => false,
            Some(LogFormat::Auto) | None => !human,
        },
        debug: args.debug == Some(true),
        attach_hint: output.hint,
    };
    table.0[1] = encoded(&supervisor)?;
    let path = |wanted: Role| {
        plan.executables
            .iter()
            .find(|(role, _)| *role == wanted)
            .map_or_else(|| executable(wanted), |(_, path)| Ok(path.clone()))
    };
    let name = format!(":{display}");
    let program = Program::new(
        &path(Role::Supervisor)?,
        &["bulkhead-supervisor", &name],
        &plan.service,
        table.0,
        output.log,
    )?;
    if let Some(channel) = launcher_end {
        let mut spec = plan.launcher;
        spec.display = display;
        spec.session_dir.clone_from(&claim.dir);
        spec.log_name = output.log_name;
        spec.log_json = supervisor.log_json;
        let table = vec![channel, encoded(&spec)?];
        Program::new(
            &path(Role::Launcher)?,
            &["bulkhead-launcher", &name],
            &[],
            table,
            Some(output.session_log),
        )?
        .spawn()?;
    }
    // From here on the launcher removes what was made.
    undo.disarm();
    let _ = std::env::set_current_dir("/");
    let error = program.exec();
    let mut channel = ipc::Channel::<SupervisorToLauncher, LauncherToSupervisor>::new(spare);
    let _ = channel.send(&SupervisorToLauncher::Stop, Vec::new());
    Err(error)
}
