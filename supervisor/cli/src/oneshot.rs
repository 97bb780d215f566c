//! `info`, `stop` and the like: the socket is connected here, then this process becomes
//! `bulkhead-ctl`, which is confined before it reads a byte of the server's.

use crate::error::{Error, Result, reason};
use crate::find::{Target, only_display};
use crate::options::{Login, Sandbox, TargetArgs};
use crate::places::Places;
use crate::process::Program;
use crate::secrets::{self, MAX_SECRET};
use crate::start::{empty_root, executable};
use ipc::command::{Command, CommandSpec};
use policy::{Role, SandboxMode, StartMode};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// The password, from the file or the environment.
fn password(login: &Login) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let fd = match &login.password_file {
        Some(path) => {
            let secret = secrets::file(path, None)?;
            for warning in secret.warnings {
                eprintln!("bulkhead: warning: {}", crate::error::one_line(&warning));
            }
            secret.fd
        }
        None if std::env::var_os(crate::auth::DEFAULT_VARIABLE).is_some() => {
            secrets::variable(crate::auth::DEFAULT_VARIABLE)?
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

/// Asks one thing of a session. Returns on failure only.
///
/// # Errors
/// There is no such session, or what it needs cannot be opened.
pub fn run(
    command: Command,
    args: &TargetArgs,
    file: Option<&Path>,
) -> Result<std::convert::Infallible> {
    let places = Places::find(&args.login.places)?;
    let target = match &args.target {
        Some(text) => Target::parse(text)?,
        None => Target::Display(only_display(&places)?),
    };
    let password = password(&args.login)?;
    let ctl = executable(Role::Ctl)?;
    let socket = target.connect(&places)?;
    let output = file
        .map(|path| {
            File::options()
                .write(true)
                .create(true)
                .truncate(true)
                .custom_flags(libc::O_NOCTTY)
                .open(path)
                .map_err(|error| Error::new(format!("{}: {}", path.display(), reason(&error))))
        })
        .transpose()?;
    let uid = nix::unistd::geteuid();
    let username =
        crate::users::user(&uid.to_string()).map_or_else(|_| uid.to_string(), |user| user.name);
    let spec = CommandSpec {
        command,
        password: password.as_ref().map(|bytes| bytes.to_vec()),
        username,
    };
    let bytes =
        Zeroizing::new(ipc::spec::encode(&spec).map_err(|error| Error::new(error.to_string()))?);
    let mut table = vec![
        secrets::sealed(&bytes)?,
        empty_root(&std::env::temp_dir())?,
        socket,
    ];
    table.extend(output.map(OwnedFd::from));
    let mode = if uid.is_root() {
        StartMode::Root
    } else {
        StartMode::User
    };
    let mode = format!("--mode={mode}");
    let sandbox = match args.sandbox {
        Some(Sandbox::BestEffort) => SandboxMode::BestEffort,
        Some(Sandbox::Enforce) | None => SandboxMode::Enforce,
    };
    let sandbox = format!("--sandbox={sandbox}");
    Err(Program::new(&ctl, &["bulkhead-ctl", &mode, &sandbox], &[], table, None)?.exec())
}
