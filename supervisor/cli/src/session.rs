//! What the X server and the user's commands get: who they are, their environment, their words.

use crate::error::{Error, Result, reason};
use crate::options::StartArgs;
use crate::secrets::is_secret_variable;
use crate::syntax::words;
use crate::users::{self, User};
use files::Ids;
use ipc::spec::{CommandSpec, SessionUser};
use nix::unistd::AccessFlags;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The X server that is started when none is named: a screen that clients of any size fit on.
const XVFB: &str = "Xvfb +extension GLX +extension Composite +extension RANDR +extension RENDER \
    -extension DOUBLE-BUFFER -noreset -screen 0 8192x4096x24+32";

/// Variables of the terminal's or the service manager's, which are not the session's.
const NOT_INHERITED: [&str; 23] = [
    "BULKHEAD_SESSION",
    "DISPLAY",
    "XAUTHORITY",
    "WAYLAND_DISPLAY",
    "WAYLAND_SOCKET",
    "WINDOWID",
    "SESSION_MANAGER",
    "DESKTOP_STARTUP_ID",
    "XDG_ACTIVATION_TOKEN",
    "XDG_SEAT",
    "XDG_VTNR",
    "XDG_SESSION_ID",
    "XDG_SESSION_TYPE",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    "MANAGERPID",
    "OLDPWD",
];

/// What a start as root takes over from root's environment.
const FROM_ROOT: [&str; 4] = ["LANG", "LANGUAGE", "TZ", "TERM"];

/// Variables that make toolkits use the session's display.
const FIXED: [(&str, &str); 4] = [
    ("XDG_SESSION_TYPE", "x11"),
    ("GDK_BACKEND", "x11"),
    ("QT_QPA_PLATFORM", "xcb"),
    ("NO_AT_BRIDGE", "1"),
];

/// Who the session belongs to.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The user.
    pub user: User,
    /// In a start as root: what the commands become.
    pub switch: Option<SessionUser>,
}

impl Owner {
    /// With whose rights the user's places are used, in a start as root.
    #[must_use]
    pub fn ids(&self) -> Option<Ids> {
        self.switch.as_ref().map(Ids::from)
    }
}

/// Finds the session's owner.
///
/// # Errors
/// A start as root without a user, a user who does not exist or is root, or a user who cannot
/// become another.
pub fn owner(args: &StartArgs) -> Result<Owner> {
    let me = nix::unistd::geteuid().as_raw();
    let Some(text) = &args.uid else {
        if me == 0 {
            return Err(Error::usage(
                "a start as root needs --uid=USER: the user whose session it is (never root), e.g. --uid=nobody",
            ));
        }
        if let Some(gid) = &args.gid {
            own_group(gid)?;
        }
        return Ok(Owner {
            user: myself(me),
            switch: None,
        });
    };
    if me != 0 {
        if users::uid(text).map_err(|error| error.at("--uid"))? != me {
            return Err(Error::usage(format!(
                "--uid={text}: only root can start a session of another user"
            )));
        }
        if let Some(gid) = &args.gid {
            own_group(gid)?;
        }
        return Ok(Owner {
            user: myself(me),
            switch: None,
        });
    }
    let user = users::user(text).map_err(|error| error.at("--uid"))?;
    if user.uid == 0 {
        return Err(Error::usage(format!(
            "--uid={text}: a session is never root's: name another user"
        )));
    }
    let gid = match &args.gid {
        None => user.gid,
        Some(gid) => users::group(gid).map_err(|error| error.at("--gid"))?,
    };
    if gid == 0 {
        return Err(Error::usage(
            "a session is never of the group root: name another with --gid=",
        ));
    }
    let groups = users::groups(&user)
        .into_iter()
        .filter(|group| *group != 0)
        .collect();
    let switch = Some(SessionUser {
        uid: user.uid,
        gid,
        groups,
    });
    Ok(Owner { user, switch })
}

fn own_group(text: &str) -> Result<()> {
    let gid = users::group(text).map_err(|error| error.at("--gid"))?;
    match gid == nix::unistd::getegid().as_raw() {
        true => Ok(()),
        false => Err(Error::usage(format!(
            "--gid={text}: only root can start a session of another group"
        ))),
    }
}

/// This process's user, who need not be listed anywhere. Home is where `HOME` says, as for every
/// other program.
fn myself(uid: u32) -> User {
    let mut user = users::user(&uid.to_string()).unwrap_or_else(|_| User {
        name: uid.to_string(),
        uid,
        gid: nix::unistd::getegid().as_raw(),
        home: "/".into(),
        shell: "/bin/sh".into(),
    });
    let home = std::env::var_os("HOME").map(PathBuf::from);
    if let Some(home) = home.filter(|home| home.is_absolute()) {
        user.home = home;
    }
    user
}

/// The environment of the X server and the commands. `secrets` are variables that hold passwords.
///
/// # Errors
/// An `--env` that is not `NAME=VALUE`.
pub fn environment(
    inherited: &[(String, String)],
    owner: &Owner,
    extra: &[String],
    secrets: &[String],
) -> Result<Vec<(String, String)>> {
    let mut env: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: &str| {
        env.retain(|(known, _)| known != name);
        env.push((name.to_owned(), value.to_owned()));
    };
    for (name, value) in inherited {
        let wanted = match owner.switch {
            Some(_) => FROM_ROOT.contains(&name.as_str()) || name.starts_with("LC_"),
            None => !NOT_INHERITED.contains(&name.as_str()),
        };
        if wanted && !is_secret_variable(name) && !secrets.contains(name) {
            set(name, value);
        }
    }
    if owner.switch.is_some() {
        let user = &owner.user;
        set("HOME", &user.home.to_string_lossy());
        set("USER", &user.name);
        set("LOGNAME", &user.name);
        set("SHELL", &user.shell);
        set("PATH", "/usr/local/bin:/usr/bin:/bin");
        let runtime = format!("/run/user/{}", user.uid);
        if Path::new(&runtime).is_dir() {
            set("XDG_RUNTIME_DIR", &runtime);
        }
    } else if !inherited.iter().any(|(name, _)| name == "PATH") {
        set("PATH", "/usr/local/bin:/usr/bin:/bin");
    }
    for (name, value) in FIXED {
        set(name, value);
    }
    for entry in extra.iter().filter(|entry| !entry.starts_with('#')) {
        match entry.split_once('=') {
            Some((name, value)) if !name.is_empty() && !entry.contains('\0') => set(name, value),
            _ => return Err(Error::usage(format!("--env={entry}: not NAME=VALUE"))),
        }
    }
    Ok(env)
}

/// Finds a program as execvp(3) would, that `user` (`None`: this process's) may execute.
///
/// # Errors
/// There is none, and why.
pub fn find_program(
    name: &str,
    env: &[(String, String)],
    cwd: &Path,
    user: Option<Ids>,
) -> Result<PathBuf> {
    let runs = |path: &Path| -> std::io::Result<()> {
        files::as_user(user, || {
            let meta = path.metadata()?;
            nix::unistd::eaccess(path, AccessFlags::X_OK)?;
            match meta.is_file() {
                true => Ok(()),
                false => Err(std::io::Error::other("is no file")),
            }
        })
    };
    if name.contains('/') {
        let path = cwd.join(name);
        return runs(&path).map(|()| path).map_err(|error| {
            let what = match error.kind() {
                ErrorKind::PermissionDenied => "may not be executed (chmod +x, if it is a program)",
                ErrorKind::NotFound => "there is no such program",
                _ => return Error::new(format!("`{name}`: {}", reason(&error))),
            };
            Error::new(format!("`{name}`: {what}"))
        });
    }
    let path = env
        .iter()
        .find(|(key, _)| key == "PATH")
        .map_or("", |(_, value)| value.as_str());
    std::env::split_paths(path)
        .map(|dir| cwd.join(dir).join(name))
        .find(|path| runs(path).is_ok())
        .ok_or_else(|| Error::new(format!("there is no program `{name}` in PATH ({path})")))
}

/// The commands of `--start` and `--start-child`.
///
/// # Errors
/// A command that is not there, or cannot be split into words.
pub fn commands(
    args: &StartArgs,
    env: &[(String, String)],
    cwd: &Path,
    user: Option<Ids>,
) -> Result<Vec<CommandSpec>> {
    let start = args.start.iter().map(|text| ("start", text, false));
    let child = args
        .start_child
        .iter()
        .map(|text| ("start-child", text, true));
    start
        .chain(child)
        .map(|(option, text, child)| {
            let argv = words(text).map_err(|error| error.at(format!("--{option}")))?;
            find_program(&argv[0], env, cwd, user)
                .map_err(|error| error.at(format!("--{option}={text}")))?;
            Ok(CommandSpec { argv, child })
        })
        .collect()
}

/// The X server's words.
///
/// # Errors
/// It is not installed, or the text cannot be split.
pub fn x_server(
    args: &StartArgs,
    env: &[(String, String)],
    cwd: &Path,
    user: Option<Ids>,
) -> Result<Vec<String>> {
    let mut argv =
        words(args.xvfb.as_deref().unwrap_or(XVFB)).map_err(|error| error.at("--xvfb"))?;
    let path = find_program(&argv[0], env, cwd, user).map_err(|error| match args.xvfb {
        None => Error::new(
            "Xvfb is not installed (on Debian: apt install xvfb); or name another X server with --xvfb=",
        ),
        Some(_) => error.at("--xvfb"),
    })?;
    argv[0] = path
        .into_os_string()
        .into_string()
        .map_err(|_| Error::new("the X server's path is not UTF-8"))?;
    Ok(argv)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(k, v)| ((*k).into(), (*v).into()))
            .collect()
    }

    fn someone(root: bool) -> Owner {
        Owner {
            user: User {
                name: "ann".into(),
                uid: 7777,
                gid: 7777,
                home: "/home/ann".into(),
                shell: "/bin/sh".into(),
            },
            switch: root.then(|| SessionUser {
                uid: 7777,
                gid: 7777,
                groups: vec![],
            }),
        }
    }

    #[test]
    fn no_secret_and_no_foreign_display_is_inherited() {
        let inherited = pairs(&[
            ("DISPLAY", ":0"),
            ("XPRA_PASSWORD", "s"),
            ("MINE", "s"),
            ("EDITOR", "vi"),
            ("PATH", "/bin"),
        ]);
        let env = environment(
            &inherited,
            &someone(false),
            &["A=b=c".into(), "#x".into()],
            &["MINE".into()],
        )
        .unwrap();
        let get = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(
            (get("EDITOR"), get("A"), get("GDK_BACKEND")),
            (Some("vi"), Some("b=c"), Some("x11"))
        );
        assert!(!env.iter().any(|(_, v)| v == "s" || v == ":0"));
        let env = environment(&inherited, &someone(true), &[], &[]).unwrap();
        let get = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(
            (get("EDITOR"), get("HOME"), get("USER")),
            (None, Some("/home/ann"), Some("ann"))
        );
        assert!(environment(&[], &someone(false), &["novalue".into()], &[]).is_err());
    }

    #[test]
    fn programs_are_found_before_anything_starts() {
        let env = pairs(&[("PATH", "/nonexistent:/bin")]);
        let args = StartArgs {
            start: vec!["sh -c 'a b'".into()],
            start_child: vec!["/bin/sh".into()],
            ..StartArgs::default()
        };
        let found = commands(&args, &env, Path::new("/"), None).unwrap();
        assert_eq!(found[0].argv, ["sh", "-c", "a b"]);
        assert_eq!((found[0].child, found[1].child), (false, true));
        let args = StartArgs {
            start: vec!["no-such-program x".into()],
            ..StartArgs::default()
        };
        let error = commands(&args, &env, Path::new("/"), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("no program `no-such-program`"), "{error}");
        let error = x_server(
            &StartArgs::default(),
            &pairs(&[("PATH", "/nonexistent")]),
            Path::new("/"),
            None,
        )
        .unwrap_err();
        assert!(error.to_string().contains("apt install xvfb"), "{error}");
    }
}
