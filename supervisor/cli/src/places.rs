//! Where sessions and their sockets are: the same places in which a stock client looks.

use crate::error::{Error, Result, reason};
use crate::options::Places as PlaceArgs;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The socket inside a session directory.
pub const SOCKET: &str = "socket";
/// The launcher's socket inside a session directory.
pub const LAUNCHER_SOCKET: &str = "launcher.sock";
/// The file with the supervisor's process id inside a session directory.
pub const PID_FILE: &str = "server.pid";
/// What the launcher writes down for the next start, inside a session directory.
pub const RECORD: &str = "launcher.state";
/// Where `bulkhead reload` connects, inside a session directory.
pub const RELOAD_SOCKET: &str = "reload.sock";
/// What it has to open again, inside a session directory.
pub const RELOAD_RECORD: &str = "reload.state";
/// The one directory inside a session directory that is the user's in a start as root.
pub const X11: &str = "x11";
/// The log inside a session directory.
pub const LOG_FILE: &str = "server.log";

/// The directories of this user.
#[derive(Clone, Debug)]
pub struct Places {
    /// Session directories are made here.
    pub sessions: PathBuf,
    /// The socket `HOSTNAME-N` of `--bind=auto` is made here.
    pub sockets: Vec<PathBuf>,
    /// Sockets are looked for here, in this order.
    pub searched: Vec<PathBuf>,
    /// The directories in which a stock client looks that is not told of others.
    pub stock: Vec<PathBuf>,
    /// The name in front of the number.
    pub hostname: String,
    /// For `~`.
    pub home: PathBuf,
    /// Options or variables that have named a directory of these, for errors.
    pub named: Vec<(PathBuf, &'static str)>,
}

impl Places {
    /// Finds them as a stock client does.
    ///
    /// # Errors
    /// There is no home directory, or the host's name cannot be part of a path.
    pub fn find(args: &PlaceArgs) -> Result<Self> {
        let uid = nix::unistd::geteuid().as_raw();
        let home = match std::env::var_os("HOME").filter(|home| !home.is_empty()) {
            Some(home) => PathBuf::from(home),
            None => crate::users::user(&uid.to_string())?.home,
        };
        let legacy = home.join(".xpra");
        let run = PathBuf::from("/run/xpra");
        let own = match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
            _ if uid == 0 => run.clone(),
            Some(dir) => PathBuf::from(dir).join("xpra"),
            None => {
                let usual = PathBuf::from(format!("/run/user/{uid}"));
                match usual.metadata() {
                    Ok(meta) if meta.uid() == uid => usual.join("xpra"),
                    _ => legacy.clone(),
                }
            }
        };
        let expand = |path: &PathBuf| expand(path, &home);
        let sessions = args
            .sessions_dir
            .as_ref()
            .map_or_else(|| own.clone(), expand);
        let sockets: Vec<PathBuf> = match args.socket_dir.is_empty() {
            true => vec![sessions.clone()],
            false => args.socket_dir.iter().map(expand).collect(),
        };
        let mut named: Vec<(PathBuf, &str)> = Vec::new();
        if args.sessions_dir.is_some() {
            named.push((sessions.clone(), "--sessions-dir"));
        }
        if !args.socket_dir.is_empty() {
            named.extend(sockets.iter().map(|dir| (dir.clone(), "--socket-dir")));
        }
        if std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|dir| own.starts_with(dir)) {
            named.push((own.clone(), "XDG_RUNTIME_DIR"));
        }
        let stock = vec![own, run, legacy];
        let mut searched = sockets.clone();
        for dir in std::iter::once(&sessions).chain(&stock) {
            if !searched.contains(dir) {
                searched.push(dir.clone());
            }
        }
        for dir in &searched {
            if !dir.is_absolute() {
                return Err(Error::usage(format!(
                    "{}: the path must be absolute",
                    dir.display()
                )));
            }
        }
        Ok(Self {
            sessions,
            sockets,
            searched,
            stock,
            hostname: hostname()?,
            home,
            named,
        })
    }

    /// As [`ensure`], for one of these: an error names what has led there.
    ///
    /// # Errors
    /// As [`ensure`].
    pub fn ensure(&self, dir: &Path, mode: u32) -> Result<Vec<PathBuf>> {
        let named = self.named.iter().find(|(known, _)| known == dir);
        ensure(dir, mode).map_err(|error| match named {
            Some((_, name)) => error.at(name),
            None => error,
        })
    }

    /// The session directory of a display.
    #[must_use]
    pub fn session(&self, display: u32) -> PathBuf {
        self.sessions.join(display.to_string())
    }

    /// Does a stock client that is given only the display find this session directory?
    #[must_use]
    pub fn stock_looks_in(&self, session: &Path) -> bool {
        session
            .parent()
            .is_some_and(|dir| self.stock.iter().any(|known| known == dir))
    }

    /// The name of a display's socket in a socket directory.
    #[must_use]
    pub fn socket_name(&self, display: u32) -> String {
        format!("{}-{display}", self.hostname)
    }
}

/// Replaces a leading `~`.
#[must_use]
pub fn expand(path: &Path, home: &Path) -> PathBuf {
    path.strip_prefix("~")
        .map_or_else(|_| path.to_path_buf(), |rest| home.join(rest))
}

/// The host's name for socket names.
fn hostname() -> Result<String> {
    let name = match std::env::var("XPRA_SOCKET_HOSTNAME") {
        Ok(name) if !name.is_empty() => name,
        _ => host(),
    };
    match name.contains(['/', '\0']) || name.starts_with('.') {
        true => Err(Error::new(format!(
            "the host's name `{name}` cannot be part of a socket's name"
        ))),
        false => Ok(name),
    }
}

/// The host's name.
#[must_use]
pub fn host() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "localhost".into())
}

/// Makes sure that a directory exists in which only its owner (or root) can replace things.
/// Returns what was made.
///
/// # Errors
/// It cannot be made, or others could replace the sockets in it.
pub fn ensure(dir: &Path, mode: u32) -> Result<Vec<PathBuf>> {
    let fail = |why: String| Error::new(format!("directory {}: {why}", dir.display()));
    let root = nix::unistd::geteuid().is_root();
    let others =
        "others than root can change what this path leads to; choose one that only root can";
    let there = dir.ancestors().find(|part| part.symlink_metadata().is_ok());
    if root
        && there
            .is_some_and(|there| there != dir && there.is_dir() && files::guard(there).is_none())
    {
        return Err(fail(others.into()));
    }
    let mut made = Vec::new();
    for part in dir.ancestors().collect::<Vec<_>>().into_iter().rev() {
        match DirBuilder::new().mode(mode).create(part) {
            Ok(()) => {
                made.push(part.to_path_buf());
                // Whatever the umask took away.
                let _ = std::fs::set_permissions(part, std::fs::Permissions::from_mode(mode));
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(_) if part.is_dir() => {}
            Err(error) => {
                remove_dirs(&made);
                return Err(Error::new(format!(
                    "directory {}: cannot be made: {}",
                    part.display(),
                    reason(&error)
                )));
            }
        }
    }
    let meta = dir.metadata().map_err(|error| fail(reason(&error)))?;
    let uid = nix::unistd::geteuid().as_raw();
    let sticky = meta.mode() & 0o1000 != 0;
    // A stock server that root started makes /run/xpra writable for the group root.
    let writers = if meta.gid() == 0 { 0o002 } else { 0o022 };
    let why = if !meta.is_dir() {
        Some("is not a directory".to_owned())
    } else if meta.uid() != uid && meta.uid() != 0 {
        Some(format!(
            "belongs to the user {}, who could replace the sockets in it",
            meta.uid()
        ))
    } else if !sticky && meta.mode() & writers != 0 {
        Some(format!(
            "others may write to it (mode {:o}): chmod go-w {}",
            meta.mode() & 0o777,
            dir.display()
        ))
    } else if root && files::guard(dir).is_none() {
        Some(others.to_owned())
    } else if nix::unistd::access(dir, nix::unistd::AccessFlags::W_OK).is_err() {
        Some("cannot be written by this user".to_owned())
    } else {
        None
    };
    match why {
        None => Ok(made),
        Some(why) => {
            remove_dirs(&made);
            Err(fail(why))
        }
    }
}

fn remove_dirs(made: &[PathBuf]) {
    for dir in made.iter().rev() {
        let _ = std::fs::remove_dir(dir);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tildes_are_expanded() {
        let home = Path::new("/home/a");
        assert_eq!(expand(Path::new("~/x"), home), Path::new("/home/a/x"));
        assert_eq!(expand(Path::new("/~/x"), home), Path::new("/~/x"));
    }

    #[test]
    fn directories_are_made_private_and_checked() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("a/b");
        assert_eq!(
            ensure(&dir, 0o700).unwrap(),
            [tmp.path().join("a"), dir.clone()]
        );
        assert_eq!(dir.metadata().unwrap().mode() & 0o777, 0o700);
        assert!(ensure(&dir, 0o700).unwrap().is_empty());
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o707)).unwrap();
        assert!(
            ensure(&dir, 0o700)
                .unwrap_err()
                .to_string()
                .contains("chmod go-w")
        );
        std::fs::write(tmp.path().join("file"), "").unwrap();
        let error = ensure(&tmp.path().join("file/x"), 0o700)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("file/x: cannot be made: not a directory"),
            "{error}"
        );
        assert!(ensure(Path::new("/proc/self/x"), 0o700).is_err());
    }
}
