//! `info`, `stop` and the like: the socket is connected here, then `bulkhead-ctl` is started,
//! which is confined before it reads a byte of the server's. What it cannot do is done here:
//! asking the person for a password, keeping a picture, waiting until a session has ended.

use crate::ended::{self, Remains, Running};
use crate::error::{Error, Result, reason};
use crate::find::{Target, is_own, only_display, session_dir};
use crate::options::{Sandbox, TargetArgs, display};
use crate::places::{PID_FILE, Places};
use crate::process::Program;
use crate::prompt;
use crate::secrets::{self, MAX_SECRET};
use crate::start::{empty_root, executable};
use ipc::command::{Command, CommandSpec, EXIT_PASSWORD};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::wait::{WaitStatus, waitpid};
use policy::{Role, SandboxMode, StartMode};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

type Password = Zeroizing<Vec<u8>>;

/// The password, from the file or the environment.
///
/// # Errors
/// It cannot be read.
pub fn password(file: Option<&Path>) -> Result<Option<Password>> {
    let fd = match file {
        Some(path) => {
            let secret = secrets::answer(path)?;
            for warning in secret.warnings {
                eprintln!("bulkhead: warning: {}", crate::error::one_line(&warning));
            }
            secret.fd
        }
        None if std::env::var_os(crate::auth::DEFAULT_VARIABLE).is_some() => {
            secrets::variable("the password", crate::auth::DEFAULT_VARIABLE)?
        }
        None => return Ok(None),
    };
    let mut bytes = Zeroizing::new(Vec::new());
    File::from(fd)
        .take(MAX_SECRET)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::new(format!("the password: {}", reason(&error))))?;
    Ok(Some(bytes))
}

/// The session directory of a target, if it is one of this machine.
fn local(target: &Target, places: &Places) -> Option<(u32, PathBuf)> {
    match target {
        Target::Display(number) => Some((*number, session_dir(*number, places)?)),
        Target::Path(path) => {
            let dir = path.parent()?;
            let number = display(dir.file_name()?.to_str()?).ok()?;
            dir.join(PID_FILE)
                .exists()
                .then(|| (number, dir.to_path_buf()))
        }
        Target::Abstract(_) | Target::Tcp { .. } => None,
    }
}

/// What `bulkhead-ctl` is to do.
pub struct Ask<'a> {
    /// The question.
    pub spec: &'a CommandSpec,
    /// Connected to the server.
    pub socket: OwnedFd,
    /// Memory for a screenshot.
    pub picture: Option<OwnedFd>,
    /// What it does where the kernel lacks something.
    pub sandbox: Option<Sandbox>,
    /// Only its exit code counts.
    pub silent: bool,
}

/// Runs `bulkhead-ctl` and gives its exit code.
///
/// # Errors
/// It cannot be run, or did not end by itself.
pub fn ask(ask: Ask<'_>) -> Result<u8> {
    let Ask {
        spec,
        socket,
        picture,
        sandbox,
        silent,
    } = ask;
    let mode = match nix::unistd::geteuid().is_root() {
        true => StartMode::Root,
        false => StartMode::User,
    };
    let sandbox = match sandbox {
        Some(Sandbox::BestEffort) => SandboxMode::BestEffort,
        Some(Sandbox::Enforce) | None => SandboxMode::Enforce,
    };
    let output = silent.then(|| File::options().write(true).open("/dev/null"));
    let output = output
        .transpose()
        .map_err(|error| Error::new(reason(&error)))?;
    let bytes =
        Zeroizing::new(ipc::spec::encode(spec).map_err(|error| Error::new(error.to_string()))?);
    let mut table = vec![
        secrets::sealed(&bytes)?,
        empty_root(&std::env::temp_dir())?,
        socket,
    ];
    table.extend(picture);
    let mode = format!("--mode={mode}");
    let sandbox = format!("--sandbox={sandbox}");
    let program = executable(Role::Ctl)?;
    let ctl = Program::new(
        &program,
        &["bulkhead-ctl", &mode, &sandbox],
        &[],
        table,
        output.map(OwnedFd::from),
    )?;
    match waitpid(ctl.spawn()?, None) {
        Ok(WaitStatus::Exited(_, code)) => Ok(u8::try_from(code).unwrap_or(1)),
        Ok(WaitStatus::Signaled(_, signal, _)) => {
            Err(Error::new(format!("bulkhead-ctl was ended by {signal}")))
        }
        _ => Err(Error::new("bulkhead-ctl cannot be waited for")),
    }
}

/// A picture in memory: the file is touched when there is one.
fn memory() -> Result<File> {
    memfd_create(c"picture", MFdFlags::MFD_CLOEXEC)
        .map(File::from)
        .map_err(|error| Error::new(format!("no memory: {}", reason(&error.into()))))
}

fn keep(mut picture: File, path: &Path) -> Result<()> {
    let mut write = || -> io::Result<()> {
        picture.rewind()?;
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(libc::O_NOCTTY)
            .open(path)?;
        io::copy(&mut picture, &mut file).map(drop)
    };
    write().map_err(|error| Error::new(format!("{}: {}", path.display(), reason(&error))))
}

/// Asks one thing of a session.
///
/// # Errors
/// There is no such session, what it needs cannot be opened, or what was asked for is not done in
/// time. What `bulkhead-ctl` says, it has printed: that is in the exit code only.
pub fn run(command: Command, args: &TargetArgs, file: Option<&Path>) -> Result<ExitCode> {
    if let Some(name) = file.and_then(Path::to_str)
        && name.starts_with(':')
        && display(name).is_ok()
    {
        return Err(Error::usage(format!(
            "`{name}` is a session and no file: bulkhead screenshot FILE {name}"
        )));
    }
    let places = Places::find(&args.login.places)?;
    let target = match &args.target {
        Some(text) => Target::parse(text)?,
        None => Target::Display(only_display(&places)?),
    };
    let mut password = password(args.login.password_file.as_deref())?;
    let local = local(&target, &places);
    let can_ask = password.is_none() && io::stdin().is_terminal();
    let uid = nix::unistd::geteuid();
    let username =
        crate::users::user(&uid.to_string()).map_or_else(|_| uid.to_string(), |user| user.name);
    loop {
        let socket = match target.connect(&places) {
            Ok(socket) => socket,
            Err(error) => return without_server(command, local.as_ref(), error),
        };
        let session = local
            .as_ref()
            .map(|(display, dir)| Running::of(*display, dir));
        let picture = file.map(|_| memory()).transpose()?;
        let shared = picture.as_ref().map(File::try_clone).transpose();
        let shared = shared.map_err(|error| Error::new(reason(&error)))?;
        let mut spec = CommandSpec {
            command,
            password: password.as_ref().map(|bytes| bytes.to_vec()),
            can_ask: can_ask && password.is_none(),
            username: username.clone(),
            plain: is_own(&socket),
        };
        let code = ask(Ask {
            spec: &spec,
            socket,
            picture: shared.map(OwnedFd::from),
            sandbox: args.sandbox,
            silent: false,
        });
        spec.wipe();
        let code = code?;
        if code == EXIT_PASSWORD && can_ask && password.is_none() {
            password = Some(prompt::password(io::stdin().as_fd(), "Password: ")?);
            continue;
        }
        if code != 0 {
            return Ok(ExitCode::from(code));
        }
        if let (Some(picture), Some(path)) = (picture, file) {
            keep(picture, path)?;
        }
        match (command, session) {
            (Command::Stop, Some(session)) => session.wait_for_its_end()?,
            (Command::Exit, Some(session)) => session.wait_for_its_server()?,
            _ => {}
        }
        return Ok(ExitCode::SUCCESS);
    }
}

/// There is nobody to ask: what can be said or done without.
fn without_server(
    command: Command,
    local: Option<&(u32, PathBuf)>,
    error: Error,
) -> Result<ExitCode> {
    let Some((display, dir)) = local else {
        return Err(error);
    };
    match (Remains::of(dir), command) {
        (Some(remains), Command::Stop) => {
            ended::end(*display, dir, remains).map(|()| ExitCode::SUCCESS)
        }
        (Some(remains), _) => Err(Error::new(format!(
            "session :{display}: {}",
            remains.advice(*display)
        ))),
        (None, _) => Err(error),
    }
}
