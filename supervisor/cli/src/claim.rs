//! Chooses a display and makes it ours: whoever makes the X server's lock file has it. That file is
//! one for all users and all session directories, and every X server honours it.

use crate::error::{Error, Result, reason};
use crate::listen::{State, probe};
use crate::places::{LAUNCHER_SOCKET, PID_FILE, Places, RECORD, RELOAD_RECORD, SOCKET, X11};
use crate::start::open_path;
use crate::undo::Undo;
use crate::users;
use files::display::Refused;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket};
use nix::sys::stat::{Mode, fstat, fstatat};
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Free displays are looked for from this one on, away from those of login screens and of ssh.
const FIRST_FREE: u32 = 100;
/// How many are tried.
const TRIED: u32 = 1000;
/// Longest file that says a process id.
const MAX_PID_FILE: u64 = 32;

/// A display that is ours.
#[derive(Debug)]
pub struct Claim {
    /// Its number.
    pub display: u32,
    /// Its session directory, in which only we can write. In a start as root the session's user
    /// may enter it (mode 0711): what is in there has modes of its own.
    pub dir: PathBuf,
    /// The channel to a launcher whose supervisor has ended.
    pub launcher: Option<OwnedFd>,
    /// Listens at the display's abstract name, where the display was ours to choose.
    pub abstract_socket: Option<OwnedFd>,
}

/// Takes a display's lock for this process, until the launcher takes it over.
fn lock(display: u32, undo: &mut Undo) -> std::result::Result<(), Refused> {
    files::display::take(display, None)?;
    undo.display(display);
    Ok(())
}

/// Makes the lock this process's, after a fork.
///
/// # Errors
/// It is gone, and somebody else has the display.
pub fn hand_on(display: u32, from: i32) -> Result<()> {
    files::display::take(display, Some(from)).map_err(|why| refused(display, &why))
}

/// Why a display that was asked for cannot be had, and what to do.
fn refused(display: u32, refused: &Refused) -> Error {
    Error::new(match refused {
        Refused::InUse(by) => {
            format!("display :{display} is in use: {by}; choose another, or leave it out")
        }
        Refused::Left { file, owner } => {
            let owner = users::user(&owner.to_string())
                .map_or_else(|_| format!("the user {owner}"), |user| user.name);
            let file = file.display();
            format!(
                "display :{display} cannot be had: an X server of {owner}'s that has ended left {file}; choose another display, or have {owner} remove that file: rm {file}"
            )
        }
        Refused::Failed(file, error) => {
            format!("cannot make {}: {}", file.display(), reason(error))
        }
    })
}

/// The process id of the supervisor that this file names, if it has not ended.
#[must_use]
pub fn runs_supervisor(pid_file: &Path) -> Option<u32> {
    let pid = files::small(pid_file, MAX_PID_FILE)?.trim().parse().ok()?;
    is_supervisor(pid).then_some(pid)
}

/// Is this process a supervisor which has not ended?
#[must_use]
pub fn is_supervisor(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| is_live_supervisor(&stat))
}

/// Is this line of `/proc/PID/stat` (proc(5)) that of a supervisor which has not ended? One that
/// nobody has waited for yet (`Z`) has. The kernel cuts names after 15 bytes.
fn is_live_supervisor(stat: &str) -> bool {
    let rest = stat.split_once(" (bulkhead-superv");
    rest.and_then(|(_, rest)| rest.rsplit_once(") "))
        .is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// Connects to the launcher of a session directory that waits for a supervisor. No link is
/// followed: it is the launcher of this session and no other.
#[must_use]
pub fn waiting_launcher(dir: &Path) -> Option<OwnedFd> {
    connect_in(&open_session_dir(dir)?, LAUNCHER_SOCKET)
        .ok()
        .flatten()
}

/// A session directory itself, and nothing that a link leads to.
#[must_use]
pub fn open_session_dir(dir: &Path) -> Option<OwnedFd> {
    open_path(dir, libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW).ok()
}

/// Connects to a socket of ours in a session directory, at which a process that we have started
/// listens; `None` if it is somebody else's.
///
/// # Errors
/// What the kernel says.
pub fn connect_in(dir: &OwnedFd, name: &str) -> nix::Result<Option<OwnedFd>> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let there = openat(dir, name, flags, Mode::empty())?;
    let meta = fstat(&there)?;
    let me = nix::unistd::geteuid().as_raw();
    if meta.st_mode & libc::S_IFMT != libc::S_IFSOCK || meta.st_uid != me {
        return Ok(None);
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    let path = format!("/proc/self/fd/{}", there.as_raw_fd());
    connect(socket.as_raw_fd(), &UnixAddr::new(path.as_str())?)?;
    // Who starts the session listens: in a start as root, root.
    let peer = getsockopt(&socket, PeerCredentials)?;
    Ok((peer.uid() == me).then_some(socket))
}

/// Connects to a launcher that waits for a supervisor. The directory is ours alone.
///
/// # Errors
/// The session is another user's.
fn adopt(dir: &Path, user: u32) -> Result<Option<OwnedFd>> {
    let fail = |why: String| Error::new(format!("directory {}: {why}", dir.display()));
    let Some(dir_fd) = open_session_dir(dir) else {
        return Ok(None);
    };
    let Ok(Some(socket)) = connect_in(&dir_fd, LAUNCHER_SOCKET) else {
        return Ok(None);
    };
    // Whose applications they are is said by the one directory that is theirs.
    let whose = fstatat(&dir_fd, X11, AtFlags::AT_SYMLINK_NOFOLLOW)
        .map_err(|error| fail(format!("{X11}: {}", reason(&error.into()))))?
        .st_uid;
    match whose == user {
        true => Ok(Some(socket)),
        false => Err(fail(format!(
            "holds the applications of the user {whose}: end them with `bulkhead stop`, or choose another display"
        ))),
    }
}

/// Makes a session directory, in the place of one in which only logs have stayed.
fn make(dir: &Path) -> std::io::Result<()> {
    if let Some(logs) = only_logs(dir) {
        for log in logs {
            std::fs::remove_file(log)?;
        }
        std::fs::remove_dir(dir)?;
    }
    DirBuilder::new().mode(0o700).create(dir)?;
    if nix::unistd::geteuid().is_root() {
        // The session's user comes to the socket and the cookie, and can replace neither.
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o711))?;
    }
    Ok(())
}

/// The logs in a session directory of ours in which nothing else is, as a session that has failed
/// leaves them; `None` for any other.
#[must_use]
pub fn only_logs(dir: &Path) -> Option<Vec<PathBuf>> {
    dir.symlink_metadata().ok()?;
    if foreign(dir).is_some() {
        return None;
    }
    let entries: Vec<_> = std::fs::read_dir(dir).ok()?.flatten().collect();
    let is_log = |entry: &std::fs::DirEntry| {
        entry.file_type().is_ok_and(|kind| kind.is_file())
            && [PID_FILE, RECORD, RELOAD_RECORD]
                .iter()
                .all(|name| entry.file_name() != **name)
    };
    let only = !entries.is_empty() && entries.iter().all(is_log);
    only.then(|| entries.iter().map(std::fs::DirEntry::path).collect())
}

/// Claims a display for a session of this user: this one, or a free one.
///
/// # Errors
/// It is taken, or the session directory cannot be made.
pub fn claim(wanted: Option<u32>, user: u32, places: &Places, undo: &mut Undo) -> Result<Claim> {
    let mode = if nix::unistd::geteuid().is_root() {
        0o755
    } else {
        0o700
    };
    undo.directories(places.ensure(&places.sessions, mode)?);
    if let Some(display) = wanted {
        return claim_this(display, user, places, undo);
    }
    for display in FIRST_FREE..FIRST_FREE + TRIED {
        let dir = places.session(display);
        let socket_taken = places
            .sockets
            .iter()
            .any(|d| d.join(places.socket_name(display)).exists());
        if socket_taken || dir.symlink_metadata().is_ok() && only_logs(&dir).is_none() {
            continue;
        }
        // Clients that are given only the display would talk to whoever has the name.
        let Ok(abstract_socket) = crate::listen::abstract_unix(&abstract_name(display)) else {
            continue;
        };
        match lock(display, undo) {
            Ok(()) => {}
            Err(why @ Refused::Failed(..)) => return Err(refused(display, &why)),
            Err(_) => continue,
        }
        return match make(&dir) {
            Ok(()) => {
                undo.tree(&dir);
                Ok(Claim {
                    display,
                    dir,
                    launcher: None,
                    abstract_socket: Some(abstract_socket),
                })
            }
            Err(error) => Err(at(&dir, &format!("cannot be made: {}", reason(&error)))),
        };
    }
    Err(Error::new(format!(
        "no display from :{FIRST_FREE} to :{} is free; name one, such as :{}",
        FIRST_FREE + TRIED - 1,
        FIRST_FREE + TRIED
    )))
}

/// Why a directory cannot be this session's; `None` if it can, or is not there.
fn foreign(dir: &Path) -> Option<Error> {
    let meta = match dir.symlink_metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => return Some(at(dir, &reason(&error))),
    };
    let me = nix::unistd::geteuid().as_raw();
    let ours = meta.is_dir() && meta.uid() == me && meta.mode() & 0o022 == 0;
    (!ours).then(|| {
        at(
            dir,
            "is not a session directory of ours (a directory of this user that others cannot write)",
        )
    })
}

fn at(dir: &Path, why: &str) -> Error {
    Error::new(format!("directory {}: {why}", dir.display()))
}

fn claim_this(display: u32, user: u32, places: &Places, undo: &mut Undo) -> Result<Claim> {
    let dir = places.session(display);
    if let Some(error) = foreign(&dir) {
        return Err(error);
    }
    let live = if probe(&dir.join(SOCKET)) == State::Live {
        Some(format!(
            "a server answers at {}",
            dir.join(SOCKET).display()
        ))
    } else {
        runs_supervisor(&dir.join(PID_FILE)).map(|pid| format!("process {pid} serves it"))
    };
    if let Some(why) = live {
        return Err(Error::new(format!(
            "display :{display} is in use: {why}; choose another, or end that session with: bulkhead stop :{display}"
        )));
    }
    if let Some(launcher) = adopt(&dir, user)? {
        return Ok(Claim {
            display,
            dir,
            launcher: Some(launcher),
            abstract_socket: None,
        });
    }
    // A session that ends gives its display up when its directory is as it is to stay.
    lock(display, undo).map_err(|why| refused(display, &why))?;
    match make(&dir) {
        Ok(()) => undo.tree(&dir),
        // What lies there is of a session that was killed: the launcher cleans it up.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if let Some(error) = foreign(&dir) {
                return Err(error);
            }
        }
        Err(error) => return Err(at(&dir, &format!("cannot be made: {}", reason(&error)))),
    }
    Ok(Claim {
        display,
        dir,
        launcher: None,
        abstract_socket: None,
    })
}

/// The abstract name at which a stock client looks first.
#[must_use]
pub fn abstract_name(display: u32) -> String {
    format!("xpra/{display}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use files::Spot;
    use std::os::unix::fs::{lchown, symlink};

    #[test]
    fn a_supervisor_that_has_ended_holds_nothing() {
        assert!(is_live_supervisor("17 (bulkhead-superv) S 1 17 17"));
        assert!(!is_live_supervisor("17 (bulkhead-superv) Z 1 17 17"));
        assert!(!is_live_supervisor("17 (xterm) S 1 17 17"));
        assert!(!is_live_supervisor(""));
    }

    /// Displays of this test process's own.
    fn number(test: u32) -> u32 {
        30_000 + std::process::id() % 3000 * 10 + test
    }

    fn me() -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    fn launcher(path: &Path) -> OwnedFd {
        let flags = SockFlag::SOCK_CLOEXEC;
        let launcher = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        nix::sys::socket::bind(launcher.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
        nix::sys::socket::listen(&launcher, nix::sys::socket::Backlog::new(4).unwrap()).unwrap();
        launcher
    }

    fn places(dir: &Path) -> Places {
        Places {
            sessions: dir.to_path_buf(),
            sockets: vec![dir.to_path_buf()],
            searched: vec![dir.to_path_buf()],
            stock: Vec::new(),
            hostname: "box".into(),
            home: dir.to_path_buf(),
            named: Vec::new(),
        }
    }

    #[test]
    fn a_free_display_is_claimed_once() {
        let tmp = tempfile::tempdir().unwrap();
        let places = places(tmp.path());
        let (mut undo, mut other) = (Undo::default(), Undo::default());
        let first = claim(None, me(), &places, &mut undo).unwrap();
        assert!(first.display >= FIRST_FREE && first.launcher.is_none());
        let mode = if me() == 0 { 0o711 } else { 0o700 };
        assert_eq!(first.dir.metadata().unwrap().mode() & 0o777, mode);
        let second = claim(None, me(), &places, &mut other).unwrap();
        assert_ne!(second.display, first.display);
        drop((undo, other));
        assert!(!first.dir.exists() && !second.dir.exists());
    }

    #[test]
    fn two_users_who_start_at_once_get_different_displays() {
        let homes = [(); 8].map(|()| tempfile::tempdir().unwrap());
        let claims: Vec<(Claim, Undo)> = std::thread::scope(|scope| {
            let start = |home: &tempfile::TempDir| {
                let places = places(home.path());
                scope.spawn(move || {
                    let mut undo = Undo::default();
                    (claim(None, me(), &places, &mut undo).unwrap(), undo)
                })
            };
            let started: Vec<_> = homes.iter().map(start).collect();
            let joined = started.into_iter().map(|thread| thread.join().unwrap());
            joined.collect()
        });
        let displays: std::collections::BTreeSet<u32> =
            claims.iter().map(|(claim, _)| claim.display).collect();
        assert_eq!(displays.len(), claims.len());
    }

    #[test]
    fn a_display_with_a_live_session_is_taken() {
        let tmp = tempfile::tempdir().unwrap();
        let places = places(tmp.path());
        let mut undo = Undo::default();
        let display = number(1);
        let claimed = claim(Some(display), me(), &places, &mut undo).unwrap();
        let _socket =
            crate::listen::unix(&Spot::new(&claimed.dir.join(SOCKET), None), 0o600, None).unwrap();
        let error = claim(Some(display), me(), &places, &mut Undo::default())
            .unwrap_err()
            .to_string();
        let wanted = format!("display :{display} is in use: a server answers");
        assert!(error.starts_with(&wanted), "{error}");
    }

    #[test]
    fn a_waiting_launcher_is_found_and_a_dead_session_is_no_obstacle() {
        let tmp = tempfile::tempdir().unwrap();
        let places = places(tmp.path());
        let mut undo = Undo::default();
        let display = number(2);
        let claimed = claim(Some(display), me(), &places, &mut undo).unwrap();
        // As after a SIGKILL, but that this process lives on.
        files::display::release(display);
        let found = || claim(Some(display), me(), &places, &mut Undo::default());
        assert!(found().unwrap().launcher.is_none());
        let _launcher = launcher(&claimed.dir.join(LAUNCHER_SOCKET));
        std::fs::create_dir(claimed.dir.join(X11)).unwrap();
        assert!(found().unwrap().launcher.is_some());

        // Another session's launcher, at the end of a link.
        let elsewhere = tempfile::tempdir().unwrap();
        let _other = launcher(&elsewhere.path().join("s"));
        std::fs::remove_file(claimed.dir.join(LAUNCHER_SOCKET)).unwrap();
        symlink(
            elsewhere.path().join("s"),
            claimed.dir.join(LAUNCHER_SOCKET),
        )
        .unwrap();
        assert!(found().unwrap().launcher.is_none());
        std::fs::remove_dir(claimed.dir.join(X11)).unwrap();
        let real = places.session(number(9));
        std::fs::rename(&claimed.dir, &real).unwrap();
        symlink(&real, &claimed.dir).unwrap();
        assert!(
            found()
                .unwrap_err()
                .to_string()
                .contains("is not a session directory")
        );
        std::fs::remove_file(&claimed.dir).unwrap();
    }

    #[test]
    fn applications_stay_their_users() {
        if me() != 0 {
            return;
        }
        let tmp = tempfile::tempdir().unwrap();
        let places = places(tmp.path());
        let mut undo = Undo::default();
        let display = number(4);
        let claimed = claim(Some(display), 65534, &places, &mut undo).unwrap();
        files::display::release(display);
        let _launcher = launcher(&claimed.dir.join(LAUNCHER_SOCKET));
        let x11 = claimed.dir.join(X11);
        std::fs::create_dir(&x11).unwrap();
        lchown(&x11, Some(65534), None).unwrap();
        let found = |user| claim(Some(display), user, &places, &mut Undo::default());
        assert!(found(65534).unwrap().launcher.is_some());
        let error = found(65533).unwrap_err().to_string();
        assert!(error.contains("applications of the user 65534"), "{error}");
        // A socket that the user could have put there, and a directory that is the user's.
        lchown(claimed.dir.join(LAUNCHER_SOCKET), Some(65534), None).unwrap();
        assert!(found(65534).unwrap().launcher.is_none());
        lchown(&claimed.dir, Some(65534), None).unwrap();
        assert!(
            found(65534)
                .unwrap_err()
                .to_string()
                .contains("is not a session directory")
        );
    }

    #[test]
    fn what_is_no_session_directory_is_refused() {
        let tmp = tempfile::tempdir().unwrap();
        let display = number(3);
        std::fs::write(tmp.path().join(display.to_string()), "").unwrap();
        let error = claim(
            Some(display),
            me(),
            &places(tmp.path()),
            &mut Undo::default(),
        )
        .unwrap_err();
        assert!(
            error.to_string().contains("not a session directory"),
            "{error}"
        );
    }
}
