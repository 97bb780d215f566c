//! Everything that is known about a session before anything of it is made.

use super::chains::{Secrets, open_secrets};
use super::executables::executable;
use super::key_data::{Keys, open_keys};
use super::wanted::{Wanted, wanted};
use super::worker_uids::worker_uids;
use crate::auth::What;
use crate::error::{Error, Result, reason};
use crate::exposure::Typed;
use crate::options::{Places as PlaceArgs, StartArgs};
use crate::places::{self, Places};
use crate::secrets;
use crate::session::{self, Owner};
use crate::tls::FOR_CLIENTS;
use ipc::spec::{LauncherSpec, ListenerKey};
use policy::Role;
use std::path::{Path, PathBuf};

/// What the service manager tells the supervisor, and nobody else.
const SERVICE_VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM"];

/// Everything that is known before anything is made.
pub struct Plan {
    pub owner: Owner,
    pub places: Places,
    pub mode: u32,
    pub wanted: Vec<Wanted>,
    pub secrets: Secrets,
    pub keys: Keys,
    /// What `keys` is told, for each socket that is open.
    pub key_spec: Vec<Option<ListenerKey>>,
    pub launcher: LauncherSpec,
    pub executables: Vec<(Role, PathBuf)>,
    pub service: Vec<(String, String)>,
    pub cwd: PathBuf,
}

/// Whether the commands can be started in a directory: with the rights that they will have.
fn enter(dir: &Path, owner: &Owner) -> Result<()> {
    let entered = files::as_user(owner.ids(), || dir.join(".").metadata());
    entered.map(drop).map_err(|error| {
        let whose = match owner.switch {
            Some(_) => format!(
                " (with the rights of {}, whose session it is)",
                owner.user.name
            ),
            None => String::new(),
        };
        Error::new(format!(
            "--chdir={}: {}{whose}",
            dir.display(),
            reason(&error)
        ))
    })
}

/// Says which options are accepted although a server has nothing to do with them.
fn for_clients(args: &StartArgs, wanted: &[Wanted]) -> Option<String> {
    let said = [
        args.ssl_check_hostname.is_some(),
        args.ssl_server_hostname.is_some(),
        args.ssl_server_verify_mode.is_some(),
    ];
    let of_sockets = |name: &str| wanted.iter().any(|one| one.for_clients.contains(&name));
    let names = FOR_CLIENTS.iter().zip(said);
    let names = names.filter(|(name, said)| *said || of_sockets(name));
    let names: Vec<_> = names.map(|(name, _)| format!("{name}=")).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{}: for clients only, a server does nothing with it",
            names.join(", ")
        )
    })
}

impl Plan {
    /// Reads the command line and the environment, and opens the secrets.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(args: &StartArgs, typed: &Typed) -> Result<Self> {
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
            .filter_map(|module| match &module.what {
                What::Env { name } => Some(name.clone()),
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
                enter(&dir, &owner)?;
                dir
            }
            (None, Some(_)) => owner.user.home.clone(),
            (None, None) => cwd.clone(),
        };
        let commands = session::commands(args, &env, &chdir, owner.ids())?;
        if args.exit_with_children == Some(true) && !commands.iter().any(|command| command.child) {
            return Err(Error::usage("--exit-with-children needs a --start-child="));
        }
        let xvfb = session::x_server(args, &env, &cwd, owner.ids())?;
        let executables = Role::ALL
            .into_iter()
            // Which are looked for when they are needed.
            .filter(|role| *role != Role::Ctl && !role.is_of_launcher())
            .map(|role| Ok((role, executable(role)?)))
            .collect::<Result<_>>()?;
        let places = Places::find(&PlaceArgs {
            socket_dir: args.socket_dir.clone(),
            sessions_dir: args.sessions_dir.clone(),
        })?;
        let secrets = open_secrets(&wanted, &owner)?;
        let mut keys = open_keys(&wanted, &owner)?;
        keys.warnings.extend(for_clients(args, &wanted));
        secrets::scrub(&variables);
        let xauthority = match inherited.iter().find(|(name, _)| name == "XAUTHORITY") {
            Some((_, path)) if owner.switch.is_none() && !path.is_empty() => cwd.join(path),
            _ => owner.user.home.join(".Xauthority"),
        };
        let service = inherited
            .into_iter()
            .filter(|(name, _)| SERVICE_VARIABLES.contains(&name.as_str()))
            .collect();
        let launcher = LauncherSpec {
            // These are known when the display is claimed and the log is open.
            display: 0,
            session_dir: PathBuf::new(),
            log_name: None,
            log_json: true,
            xvfb,
            commands,
            env,
            chdir: Some(chdir),
            user: owner.switch.clone(),
            remove_at_end: Vec::new(),
            xauthority: Some(xauthority),
        };
        Ok(Self {
            owner,
            places,
            mode,
            wanted,
            secrets,
            keys,
            key_spec: Vec::new(),
            launcher,
            executables,
            service,
            cwd,
        })
    }
}
