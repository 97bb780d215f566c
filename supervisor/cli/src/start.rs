//! The start of a session: everything is checked and opened first, then the launcher is split
//! off and this process becomes the supervisor.

use crate::auth::{self, Module};
use crate::bind::{Host, SocketOptions, TcpBind, UnixAddress, UnixBind, masked};
use crate::claim::{self, Claim, abstract_name};
use crate::error::{Error, Result, one_line, reason};
use crate::exposure::{self, TcpSocket, Typed};
use crate::options::{LogFormat, Places as PlaceArgs, Sandbox, Sharing, StartArgs};
use crate::places::{self, LOG_FILE, PID_FILE, Places, SOCKET};
use crate::process::{self, Background, Program};
use crate::secrets::{self, Secret};
use crate::session::{self, Owner};
use crate::syntax::RawModule;
use crate::undo::Undo;
use crate::{listen, users};
use files::{Ids, Spot};
use ipc::launcher::{LauncherToSupervisor, SupervisorToLauncher};
use ipc::spec::{
    self, AuthModule, AuthSpec, FdIndex, LauncherSpec, ListenerKind, ListenerSpec, SandboxMode,
    SupervisorSpec,
};
use nix::unistd::geteuid;
use policy::Role;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, IsTerminal, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Where the workers' user ids begin in a start as root, 16 for each display.
const WORKER_UIDS: u32 = 1_900_000_000;
/// How many a session has.
const WORKER_UIDS_EACH: u32 = 16;
/// Longest file that says a process id.
const MAX_PID_FILE: u64 = 32;
/// What the service manager tells the supervisor, and nobody else.
const SERVICE_VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM"];

/// A socket that is to be opened.
struct Wanted {
    socket: Socket,
    refused_requests: Vec<String>,
    chain: Vec<Module>,
}

enum Socket {
    Unix(UnixAddress),
    Tcp { address: SocketAddr, any: bool },
}

/// A socket that is open.
struct Opened {
    fd: OwnedFd,
    kind: ListenerKind,
    name: String,
    refused_requests: Vec<String>,
    chain: Vec<Module>,
}

/// The secrets and what `auth` is told about them.
struct Secrets {
    listeners: Vec<Vec<AuthModule>>,
    fds: Vec<OwnedFd>,
    warnings: Vec<String>,
}

fn modules(option: &str, texts: &[String]) -> Result<Option<Vec<Module>>> {
    if texts.is_empty() {
        return Ok(None);
    }
    let read = || -> Result<Vec<Module>> {
        let raw = texts
            .iter()
            .map(|text| RawModule::parse(text))
            .collect::<Result<Vec<_>>>()?;
        auth::chain(&raw, &[])
    };
    read()
        .map(Some)
        .map_err(|error| error.at(format!("--{option}")))
}

/// The owner, as the kernel says; root could do everything anyway.
fn owner_only() -> Vec<Module> {
    vec![Module::PeerCred {
        uids: vec!["0".into()],
        gids: Vec::new(),
        allow_owner: true,
    }]
}

fn socket_mode(args: &StartArgs) -> Result<u32> {
    let Some(text) = &args.socket_permissions else {
        return Ok(0o600);
    };
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 && mode & 0o600 == 0o600 => Ok(mode),
        _ => Err(Error::usage(format!(
            "--socket-permissions={text}: not an octal mode with which the owner can connect, such as 600 or 660"
        ))),
    }
}

fn unix_wanted(args: &StartArgs, mode: u32) -> Result<Vec<Wanted>> {
    let default = modules("auth", &args.auth)?;
    let auto = ["auto".to_owned()];
    let texts = if args.bind.is_empty() {
        &auto[..]
    } else {
        &args.bind[..]
    };
    let mut wanted = Vec::new();
    for text in texts {
        let bind =
            UnixBind::parse(text).map_err(|error| error.at(format!("--bind={}", masked(text))))?;
        let SocketOptions {
            auth,
            refused_requests,
        } = bind.options;
        let chain = auth.or_else(|| default.clone()).unwrap_or_else(owner_only);
        if bind.address == UnixAddress::None {
            continue;
        }
        exposure::unix(
            text,
            &bind.address,
            mode,
            &chain,
            args.insecure == Some(true),
        )?;
        wanted.push(Wanted {
            socket: Socket::Unix(bind.address),
            refused_requests,
            chain,
        });
    }
    Ok(wanted)
}

fn tcp_wanted(args: &StartArgs, typed: &Typed) -> Result<Vec<Wanted>> {
    let default = modules("tcp-auth", &args.tcp_auth)?;
    let min_port = args.min_port.unwrap_or(1024);
    let mut wanted = Vec::new();
    for text in &args.bind_tcp {
        let at = |error: Error| error.at(format!("--bind-tcp={}", masked(text)));
        let bind = TcpBind::parse(text, min_port).map_err(at)?;
        let any = bind.address.host == Host::Any;
        let ip = match &bind.address.host {
            Host::Default => IpAddr::from([127, 0, 0, 1]),
            Host::Any => IpAddr::from(Ipv6Addr::UNSPECIFIED),
            Host::Name(name) => users::address(name).map_err(at)?,
        };
        let chain = bind.options.auth.or_else(|| default.clone());
        let socket = TcpSocket {
            text,
            address: ip,
            chain: chain.as_deref(),
        };
        exposure::tcp(&socket, args.insecure == Some(true), typed)?;
        wanted.push(Wanted {
            socket: Socket::Tcp {
                address: SocketAddr::new(ip, bind.address.port),
                any,
            },
            refused_requests: bind.options.refused_requests,
            chain: chain.unwrap_or_default(),
        });
    }
    if wanted.is_empty() && !args.tcp_auth.is_empty() {
        return Err(Error::usage(
            "--tcp-auth without --bind-tcp protects nothing",
        ));
    }
    Ok(wanted)
}

/// The mode of unix sockets, and all sockets, as far as the command line alone decides.
fn wanted(args: &StartArgs, typed: &Typed) -> Result<(u32, Vec<Wanted>)> {
    let mode = socket_mode(args)?;
    let mut wanted = unix_wanted(args, mode)?;
    wanted.extend(tcp_wanted(args, typed)?);
    match wanted.is_empty() {
        true => Err(Error::usage(
            "--bind=none without --bind-tcp: nobody could ever connect",
        )),
        false => Ok((mode, wanted)),
    }
}

/// Checks what can be checked without opening anything.
///
/// # Errors
/// What [`run`] would refuse before it opens anything.
pub fn check(args: &StartArgs, typed: &Typed) -> Result<()> {
    wanted(args, typed).map(drop)
}

/// Opens and checks the secrets of all sockets, and turns names into numbers.
fn open_secrets(chains: &[&[Module]], owner: &Owner) -> Result<Secrets> {
    let mut secrets = Secrets {
        listeners: Vec::new(),
        fds: Vec::new(),
        warnings: Vec::new(),
    };
    let mut known: Vec<(&Module, u16)> = Vec::new();
    for chain in chains {
        let mut specs = Vec::new();
        for module in *chain {
            let spec = match module {
                Module::Allow => AuthModule::Allow,
                Module::None => AuthModule::None,
                Module::Fail => AuthModule::Fail,
                Module::Reject => AuthModule::Reject,
                Module::PeerCred {
                    uids,
                    gids,
                    allow_owner,
                } => {
                    let mut numbers = uids
                        .iter()
                        .map(|uid| users::uid(uid))
                        .collect::<Result<Vec<_>>>()
                        .map_err(at_peercred)?;
                    if *allow_owner {
                        numbers.insert(0, owner.user.uid);
                    }
                    let gids = gids
                        .iter()
                        .map(|gid| users::group(gid))
                        .collect::<Result<Vec<_>>>()
                        .map_err(at_peercred)?;
                    AuthModule::PeerCred {
                        uids: numbers,
                        gids,
                    }
                }
                Module::Env { .. } | Module::Password { .. } | Module::File { .. } => {
                    let secret = match known.iter().find(|(other, _)| *other == module) {
                        Some((_, index)) => *index,
                        None => {
                            let Secret { fd, warnings } = open_secret(module, owner)?;
                            let index = u16::try_from(secrets.fds.len())
                                .map_err(|_| Error::usage("too many passwords"))?;
                            secrets.fds.push(fd);
                            secrets.warnings.extend(warnings);
                            known.push((module, index));
                            index
                        }
                    };
                    AuthModule::Secret {
                        name: module.name().to_owned(),
                        secret,
                    }
                }
            };
            specs.push(spec);
        }
        secrets.listeners.push(specs);
    }
    Ok(secrets)
}

fn at_peercred(error: Error) -> Error {
    error.at("auth=peercred")
}

fn open_secret(module: &Module, owner: &Owner) -> Result<Secret> {
    match module {
        Module::File { filename } => secrets::file(filename, owner.ids()),
        Module::Env { name } => Ok(Secret { fd: secrets::variable(name)?, warnings: Vec::new() }),
        Module::Password { value } => Ok(Secret {
            fd: secrets::literal(value)?,
            warnings: vec![
                "auth=password: a password on a command line can be seen by every user of this machine until the session runs, and stays in the shell's history; use auth=file or auth=env".into(),
            ],
        }),
        _ => Err(Error::new(format!("auth={} has no secret", module.name()))),
    }
}

/// The executable of a role, found beside this one.
///
/// # Errors
/// It is not installed.
pub fn executable(role: Role) -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(|error| {
        Error::new(format!(
            "cannot find this program itself: {}",
            reason(&error)
        ))
    })?;
    let dir = own.parent().unwrap_or(Path::new("/"));
    let places = [dir.to_path_buf(), dir.join("../libexec/bulkhead")];
    places
        .iter()
        .map(|dir| dir.join(role.executable()))
        .find(|path| nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok())
        .ok_or_else(|| {
            Error::new(format!(
                "{} is missing: it belongs into {} or {}; install Bulkhead completely",
                role.executable(),
                places[0].display(),
                places[1].display()
            ))
        })
}

/// Opens a file for reading, or as a mere name (`O_PATH`).
///
/// # Errors
/// What the kernel says.
pub fn open_path(path: &Path, flags: i32) -> Result<OwnedFd> {
    File::options()
        .read(true)
        .custom_flags(flags | libc::O_CLOEXEC)
        .open(path)
        .map(OwnedFd::from)
        .map_err(|error| Error::new(format!("{}: {}", path.display(), reason(&error))))
}

/// An empty directory that nobody can ever put anything into: it is removed, and stays open.
/// It is made in a directory in which only its owner, or root, can replace things.
///
/// # Errors
/// What the kernel says.
pub fn empty_root(parent: &Path) -> Result<OwnedFd> {
    let fail = |error: std::io::Error| {
        Error::new(format!(
            "directory {}: {}",
            parent.display(),
            reason(&error)
        ))
    };
    let make = || -> std::io::Result<OwnedFd> {
        let path = nix::unistd::mkdtemp(&parent.join("empty-XXXXXX"))?;
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let opened = File::options().read(true).custom_flags(flags).open(&path);
        std::fs::remove_dir(&path)?;
        let dir = opened?;
        // By descriptor: a path may mean something else by now.
        if dir.metadata()?.uid() != geteuid().as_raw() {
            return Err(ErrorKind::PermissionDenied.into());
        }
        dir.set_permissions(PermissionsExt::from_mode(0o555))?;
        Ok(OwnedFd::from(dir))
    };
    make().map_err(fail)
}

/// Where the workers' user ids begin; `None` but in a start as root.
fn worker_uids(base: Option<u32>, owner: &Owner, display: u32) -> Result<Option<u32>> {
    if owner.switch.is_none() {
        return match base {
            Some(_) => Err(Error::usage("--worker-uid-base is for a start as root")),
            None => Ok(None),
        };
    }
    let of_display = || {
        display
            .checked_mul(WORKER_UIDS_EACH)
            .and_then(|offset| WORKER_UIDS.checked_add(offset))
    };
    let range = base.or_else(of_display).and_then(|first| {
        let last = first.checked_add(WORKER_UIDS_EACH - 1)?;
        (first > 0 && last < u32::MAX).then_some(first..=last)
    });
    match range {
        Some(range) if !range.contains(&owner.user.uid) => Ok(Some(*range.start())),
        _ => Err(Error::usage(format!(
            "{}: {WORKER_UIDS_EACH} user ids from there on must be nobody's, and not root's",
            match base {
                Some(base) => format!("--worker-uid-base={base}"),
                None => format!(
                    "the workers' user ids of display :{display}; name others with --worker-uid-base="
                ),
            }
        ))),
    }
}

/// Everything that is known before anything is made.
struct Plan {
    owner: Owner,
    places: Places,
    mode: u32,
    wanted: Vec<Wanted>,
    secrets: Secrets,
    launcher: LauncherSpec,
    executables: Vec<(Role, PathBuf)>,
    service: Vec<(String, String)>,
    cwd: PathBuf,
}

impl Plan {
    fn new(args: &StartArgs, typed: &Typed) -> Result<Self> {
        let (mode, wanted) = wanted(args, typed)?;
        let owner = session::owner(args)?;
        // Of a display that is not known yet the highest stands for all.
        worker_uids(
            args.worker_uid_base,
            &owner,
            args.display.unwrap_or(u16::MAX.into()),
        )?;
        let inherited: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .collect();
        let variables: Vec<String> = wanted
            .iter()
            .flat_map(|wanted| &wanted.chain)
            .filter_map(|module| match module {
                Module::Env { name } => Some(name.clone()),
                _ => None,
            })
            .collect();
        let env = session::environment(&inherited, &owner, &args.env, &variables)?;
        let cwd = std::env::current_dir()
            .map_err(|error| Error::new(format!("the working directory: {}", reason(&error))))?;
        let chdir = match (&args.chdir, &owner.switch) {
            (Some(dir), _) => {
                let dir = places::expand(dir, &owner.user.home);
                let dir = cwd.join(&dir);
                if !dir.is_dir() {
                    return Err(Error::new(format!(
                        "--chdir={}: is not a directory",
                        dir.display()
                    )));
                }
                dir
            }
            (None, Some(_)) => owner.user.home.clone(),
            (None, None) => cwd.clone(),
        };
        let commands = session::commands(args, &env, &chdir)?;
        if args.exit_with_children == Some(true) && !commands.iter().any(|command| command.child) {
            return Err(Error::usage("--exit-with-children needs a --start-child="));
        }
        let xvfb = session::x_server(args, &env, &cwd)?;
        let executables = Role::ALL
            .into_iter()
            .filter(|role| *role != Role::Ctl)
            .map(|role| Ok((role, executable(role)?)))
            .collect::<Result<_>>()?;
        let places = Places::find(&PlaceArgs {
            socket_dir: args.socket_dir.clone(),
            sessions_dir: args.sessions_dir.clone(),
        })?;
        let chains: Vec<&[Module]> = wanted
            .iter()
            .map(|wanted| wanted.chain.as_slice())
            .collect();
        let secrets = open_secrets(&chains, &owner)?;
        secrets::scrub(&variables);
        let xauthority = match inherited.iter().find(|(name, _)| name == "XAUTHORITY") {
            Some((_, path)) if owner.switch.is_none() && !path.is_empty() => PathBuf::from(path),
            _ => owner.user.home.join(".Xauthority"),
        };
        let service = inherited
            .into_iter()
            .filter(|(name, _)| SERVICE_VARIABLES.contains(&name.as_str()))
            .collect();
        let launcher = LauncherSpec {
            display: None,
            xvfb,
            commands,
            env,
            chdir: Some(chdir),
            user: owner.switch.clone(),
            session_dir: PathBuf::new(),
            remove_at_end: Vec::new(),
            xauthority: Some(xauthority),
        };
        Ok(Self {
            owner,
            places,
            mode,
            wanted,
            secrets,
            launcher,
            executables,
            service,
            cwd,
        })
    }
}

/// Opens the sockets.
fn open_sockets(plan: &mut Plan, claim: &mut Claim, undo: &mut Undo) -> Result<Vec<Opened>> {
    let user = plan.owner.ids();
    let name = plan.places.socket_name(claim.display);
    let mut opened = Vec::new();
    let mut listeners = Vec::new();
    for (wanted, auth) in plan.wanted.drain(..).zip(plan.secrets.listeners.drain(..)) {
        let mut paths: Vec<PathBuf> = Vec::new();
        let mut abstract_names: Vec<String> = Vec::new();
        match &wanted.socket {
            Socket::Tcp { address, any } => {
                let (fd, local) = listen::tcp(*address, *any)?;
                listeners.push(auth);
                opened.push(Opened {
                    fd,
                    kind: ListenerKind::Tcp,
                    name: local.to_string(),
                    refused_requests: wanted.refused_requests,
                    chain: wanted.chain,
                });
                continue;
            }
            Socket::Unix(address @ (UnixAddress::Auto | UnixAddress::NoAbstract)) => {
                paths.push(claim.dir.join(SOCKET));
                for dir in &plan.places.sockets {
                    undo.directories(places::ensure(dir, 0o700)?);
                    paths.push(dir.join(&name));
                }
                if *address == UnixAddress::Auto {
                    abstract_names.push(abstract_name(claim.display));
                }
            }
            Socket::Unix(UnixAddress::Path(path)) => {
                paths.push(places::expand(path, &plan.places.home))
            }
            Socket::Unix(UnixAddress::Directory(dir)) => {
                let dir = places::expand(dir, &plan.places.home);
                undo.directories(places::ensure(&dir, 0o700)?);
                paths.push(dir.join(&name));
            }
            Socket::Unix(UnixAddress::Abstract(name)) => abstract_names.push(name.clone()),
            Socket::Unix(UnixAddress::None) => {}
        }
        for path in paths {
            let spot = Spot::new(&path, user);
            let (fd, made) = listen::unix(&spot, plan.mode, user)?;
            undo.file(made.clone());
            if path.parent() != Some(&claim.dir) {
                plan.launcher.remove_at_end.push(made);
            }
            listeners.push(auth.clone());
            opened.push(Opened {
                fd,
                kind: ListenerKind::Unix,
                name: path.display().to_string(),
                refused_requests: wanted.refused_requests.clone(),
                chain: wanted.chain.clone(),
            });
        }
        for abstract_name in abstract_names {
            // No mode guards an abstract name: the kernel's word on who connects comes first.
            let mut auth = auth.clone();
            if !auth
                .iter()
                .any(|module| matches!(module, AuthModule::PeerCred { .. }))
                && matches!(wanted.socket, Socket::Unix(UnixAddress::Auto))
            {
                auth.insert(
                    0,
                    AuthModule::PeerCred {
                        uids: vec![plan.owner.user.uid, 0],
                        gids: Vec::new(),
                    },
                );
            }
            let held = (abstract_name == claim::abstract_name(claim.display))
                .then(|| claim.abstract_socket.take())
                .flatten();
            listeners.push(auth);
            opened.push(Opened {
                fd: match held {
                    Some(held) => held,
                    None => listen::abstract_unix(&abstract_name)?,
                },
                kind: ListenerKind::Unix,
                name: format!("@{abstract_name}"),
                refused_requests: wanted.refused_requests.clone(),
                chain: wanted.chain.clone(),
            });
        }
    }
    plan.secrets.listeners = listeners;
    Ok(opened)
}

/// What a person types to attach.
fn attach_hint(display: u32, opened: &[Opened]) -> String {
    let Some(tcp) = opened
        .iter()
        .find(|socket| socket.kind == ListenerKind::Tcp)
    else {
        return format!("xpra attach :{display}");
    };
    let host = tcp
        .name
        .replace("0.0.0.0:", "localhost:")
        .replace("[::]:", "localhost:");
    let mut files = tcp.chain.iter().filter_map(|module| match module {
        Module::File { filename } => Some(filename),
        _ => None,
    });
    match (files.next(), files.next()) {
        (Some(file), None) => {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            let file = exposure::quoted(&file.to_string_lossy());
            format!("xpra attach tcp://{host}/ --password-file={file}")
        }
        _ => format!("xpra attach tcp://{host}/"),
    }
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

/// A file for lines of the log; a plain name is one in the session directory.
fn log_path(args: &StartArgs, claim: &Claim, plan: &Plan) -> PathBuf {
    match &args.log_file {
        None => claim.dir.join(LOG_FILE),
        Some(path) if path.components().count() == 1 && !path.starts_with("~") => {
            claim.dir.join(path)
        }
        Some(path) => plan.cwd.join(places::expand(path, &plan.places.home)),
    }
}

fn open_log(path: &Path, claim: &Claim, user: Option<Ids>, undo: &mut Undo) -> Result<OwnedFd> {
    let spot = Spot::new(path, user);
    let fail = |error: std::io::Error| {
        let why = reason(&error);
        Error::new(format!(
            "log file {}: {why}{}",
            path.display(),
            spot.rights()
        ))
    };
    let open = |path: &Path| {
        let existed = path.symlink_metadata().is_ok();
        let file = File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NOCTTY | libc::O_NONBLOCK)
            .open(path)?;
        let meta = file.metadata()?;
        let ours = [0, geteuid().as_raw()].contains(&meta.uid());
        // A device, such as /dev/null, is root's. Another's file, or a second name of one, is
        // nothing that was meant.
        let usual = meta.is_file() && meta.nlink() == 1 || meta.file_type().is_char_device();
        match ours && usual {
            true => Ok((file, existed)),
            false => Err(std::io::Error::other(
                "is not an ordinary file of this user's with one name",
            )),
        }
    };
    let (file, existed) = spot.act(open).map_err(fail)?;
    if !existed && path.parent() != Some(&claim.dir) {
        undo.file(files::made(&spot).map_err(fail)?);
    }
    Ok(OwnedFd::from(file))
}

/// Makes a file for the process id; one of an earlier session is replaced.
fn make_pid_file(path: &Path) -> std::io::Result<File> {
    match path.symlink_metadata() {
        Ok(_) if files::small(path, MAX_PID_FILE).is_some_and(|text| is_pid_file(&text)) => {
            std::fs::remove_file(path)?;
        }
        Ok(_) => {
            return Err(std::io::Error::other(
                "something else is there; remove it or name another file",
            ));
        }
        Err(_) => {}
    }
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
}

/// A number, or nothing yet.
fn is_pid_file(text: &str) -> bool {
    text.trim().bytes().all(|byte| byte.is_ascii_digit())
}

fn open_pid_files(
    args: &StartArgs,
    claim: &Claim,
    plan: &mut Plan,
    undo: &mut Undo,
) -> Result<Vec<File>> {
    let own = claim.dir.join(PID_FILE);
    let wanted = args
        .pidfile
        .as_ref()
        .map(|path| plan.cwd.join(places::expand(path, &plan.places.home)));
    let user = plan.owner.ids();
    let mut open = |path: &Path| {
        let spot = Spot::new(path, user);
        let fail = |error: std::io::Error| {
            let why = reason(&error);
            Error::new(format!(
                "pid file {}: {why}{}",
                path.display(),
                spot.rights()
            ))
        };
        let file = spot.act(make_pid_file).map_err(fail)?;
        let made = files::made(&spot).map_err(fail)?;
        undo.file(made.clone());
        Ok((file, made))
    };
    let mut files = vec![open(&own)?.0];
    if let Some(path) = wanted {
        let (file, made) = open(&path)?;
        plan.launcher.remove_at_end.push(made);
        files.push(file);
    }
    Ok(files)
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
    for warning in std::mem::take(&mut plan.secrets.warnings) {
        eprintln!("bulkhead: warning: {}", one_line(&warning));
    }
    let mut claim = claim::claim(args.display, plan.owner.user.uid, &plan.places, &mut undo)?;
    let opened = open_sockets(&mut plan, &mut claim, &mut undo)?;
    let mut pid_files = open_pid_files(args, &claim, &mut plan, &mut undo)?;
    let daemon = args.daemon != Some(false);
    let log_path = log_path(args, &claim, &plan);
    let to_file = daemon || args.log_file.is_some();
    let log = to_file
        .then(|| open_log(&log_path, &claim, user, &mut undo))
        .transpose()?;
    let session_log = open_log(&claim.dir.join(LOG_FILE), &claim, user, &mut undo)?;
    if claim.launcher.is_some() && !plan.launcher.commands.is_empty() {
        eprintln!(
            "bulkhead: display :{} has a session whose server had ended: it is taken over with its applications; nothing is started anew",
            claim.display
        );
    }
    let hint = attach_hint(claim.display, &opened);
    // Opened now: when the start fails, the log may be removed before it is read.
    // By descriptor: the path may mean another file by now.
    let log_reader = log
        .as_ref()
        .and_then(|log| File::open(format!("/proc/self/fd/{}", log.as_raw_fd())).ok());
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
        opened,
        Output {
            log,
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
    session_log: OwnedFd,
    ready: Option<OwnedFd>,
    hint: String,
}

fn hand_over(
    args: &StartArgs,
    plan: Plan,
    claim: Claim,
    opened: Vec<Opened>,
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
        listeners.push(ListenerSpec {
            kind: socket.kind,
            name: socket.name,
            fd: table.add(socket.fd)?,
            refused_requests: socket.refused_requests,
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
    for secret in plan.secrets.fds {
        auth_fds.push(table.add(secret)?);
    }
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
        sandbox: match args.sandbox {
            Some(Sandbox::BestEffort) => SandboxMode::BestEffort,
            Some(Sandbox::Enforce) | None => SandboxMode::Enforce,
        },
        worker_uid_base: worker_uids(args.worker_uid_base, &plan.owner, display)?,
        executables,
        empty_root,
        auth_fds,
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
        spec.display = Some(display);
        spec.session_dir.clone_from(&claim.dir);
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

/// Waits for the line that says what became of the start.
fn wait(pipe: OwnedFd, log: Option<&File>, path: &Path, hint: &str) -> Result<()> {
    let mut line = String::new();
    let _ = BufReader::new(File::from(pipe))
        .take(4096)
        .read_line(&mut line);
    let line = one_line(line.trim());
    if let Some(display) = line.strip_prefix("ready ") {
        println!("session {display} is ready; attach with: {hint}");
        return Ok(());
    }
    let why = line
        .strip_prefix("failed ")
        .map(str::to_owned)
        .or_else(|| log.and_then(last_line))
        .unwrap_or_else(|| "nothing was logged".into());
    Err(Error::new(format!(
        "the session did not start: {why} (log: {})",
        path.display()
    )))
}

/// The last line of a log, or of its last JSON record the message.
fn last_line(file: &File) -> Option<String> {
    let len = file.metadata().ok()?.len();
    let tail = len.min(16 * 1024);
    let mut bytes = vec![0_u8; usize::try_from(tail).ok()?];
    file.read_exact_at(&mut bytes, len - tail).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
    let record: Option<serde_json::Value> = serde_json::from_str(line).ok();
    let message = record
        .as_ref()
        .and_then(|record| record.get("message")?.as_str());
    Some(one_line(message.unwrap_or(line).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_root_stays_empty() {
        let dir = tempfile::tempdir().unwrap();
        let root = empty_root(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&root));
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        assert!(File::create(format!("{path}/x")).is_err());
        assert!(std::fs::create_dir(format!("{path}/x")).is_err());
    }

    #[test]
    fn every_secret_is_opened_once_and_named_by_position() {
        let value = |text: &str| Module::Password {
            value: text.to_owned().into(),
        };
        let owner = Owner {
            user: users::user("root").unwrap(),
            switch: None,
        };
        let (first, second) = (vec![value("a"), value("b")], vec![value("b"), Module::None]);
        let secrets = open_secrets(&[&first, &second], &owner).unwrap();
        assert_eq!(secrets.fds.len(), 2);
        let secret = |secret| AuthModule::Secret {
            name: "password".into(),
            secret,
        };
        assert_eq!(
            secrets.listeners,
            [
                vec![secret(0), secret(1)],
                vec![secret(1), AuthModule::None]
            ]
        );
    }

    #[test]
    fn peers_are_numbers() {
        let owner = Owner {
            user: users::user("root").unwrap(),
            switch: None,
        };
        let chain = vec![Module::PeerCred {
            uids: vec!["77".into()],
            gids: vec!["root".into()],
            allow_owner: true,
        }];
        let secrets = open_secrets(&[&chain], &owner).unwrap();
        assert_eq!(
            secrets.listeners,
            [[AuthModule::PeerCred {
                uids: vec![0, 77],
                gids: vec![0]
            }]]
        );
    }

    #[test]
    fn the_last_line_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "one\n{\"message\":\"two\"}\n\n").unwrap();
        assert_eq!(last_line(&File::open(&path).unwrap()).unwrap(), "two");
        std::fs::write(&path, "one\n").unwrap();
        assert_eq!(last_line(&File::open(&path).unwrap()).unwrap(), "one");
        std::fs::write(&path, "").unwrap();
        assert_eq!(last_line(&File::open(&path).unwrap()), None);
    }
}
