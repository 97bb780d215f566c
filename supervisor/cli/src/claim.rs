//! Chooses a display and makes it ours: whoever makes the session directory has it.

use crate::error::{Error, Result, reason};
use crate::listen::{State, probe};
use crate::places::{LAUNCHER_SOCKET, PID_FILE, Places, SOCKET, ensure};
use crate::undo::Undo;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket};
use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
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
    /// Its session directory, mode 0700.
    pub dir: PathBuf,
    /// The channel to a launcher whose supervisor has ended.
    pub launcher: Option<OwnedFd>,
    /// Listens at the display's abstract name, where the display was ours to choose. Session
    /// directories are each user's own; this name is what two of them cannot both have.
    pub abstract_socket: Option<OwnedFd>,
}

/// What says that an X server has this display.
fn x_server(display: u32) -> Option<String> {
    let lock = format!("/tmp/.X{display}-lock");
    if let Some(text) = small_file(Path::new(&lock))
        && let Ok(pid) = text.trim().parse::<u32>()
        && Path::new(&format!("/proc/{pid}")).exists()
    {
        return Some(format!("process {pid} has it, says {lock}"));
    }
    let socket = format!("/tmp/.X11-unix/X{display}");
    (probe(Path::new(&socket)) == State::Live).then(|| format!("an X server answers at {socket}"))
}

/// What is in a file that says a process id, where others may have put a link, or a pipe that
/// nobody writes to.
fn small_file(path: &Path) -> Option<String> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .ok()?;
    let mut text = String::new();
    let ordinary = file.metadata().ok()?.is_file();
    ordinary
        .then(|| file.take(MAX_PID_FILE).read_to_string(&mut text).ok())
        .flatten()?;
    Some(text)
}

fn runs_supervisor(pid_file: &Path) -> Option<u32> {
    let pid = small_file(pid_file)?.trim().parse().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    is_live_supervisor(&stat).then_some(pid)
}

/// Is this line of `/proc/PID/stat` (proc(5)) that of a supervisor which has not ended? One that
/// nobody has waited for yet (`Z`) has. The kernel cuts names after 15 bytes.
fn is_live_supervisor(stat: &str) -> bool {
    let rest = stat.split_once(" (bulkhead-superv");
    rest.and_then(|(_, rest)| rest.rsplit_once(") "))
        .is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// Connects to a launcher that waits for a supervisor.
fn adopt(dir: &Path) -> Option<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).ok()?;
    let address = UnixAddr::new(&dir.join(LAUNCHER_SOCKET)).ok()?;
    connect(socket.as_raw_fd(), &address).ok()?;
    // In a start as root the directory is the user's: only a launcher of ours is believed.
    let peer = getsockopt(&socket, PeerCredentials).ok()?;
    (peer.uid() == nix::unistd::geteuid().as_raw()).then_some(socket)
}

/// Claims a display: this one, or a free one.
///
/// # Errors
/// It is taken, or the session directory cannot be made.
pub fn claim(wanted: Option<u32>, places: &Places, undo: &mut Undo) -> Result<Claim> {
    let mode = if nix::unistd::geteuid().is_root() {
        0o755
    } else {
        0o700
    };
    undo.directories(ensure(&places.sessions, mode)?);
    if let Some(display) = wanted {
        return claim_this(display, places, undo);
    }
    for display in FIRST_FREE..FIRST_FREE + TRIED {
        let dir = places.session(display);
        let socket_taken = places
            .sockets
            .iter()
            .any(|d| d.join(places.socket_name(display)).exists());
        if x_server(display).is_some() || socket_taken {
            continue;
        }
        let Ok(abstract_socket) = crate::listen::abstract_unix(&abstract_name(display)) else {
            continue;
        };
        // Who had the name until now may have an X server by now.
        if x_server(display).is_some() {
            continue;
        }
        match DirBuilder::new().mode(0o700).create(&dir) {
            Ok(()) => {
                undo.tree(&dir);
                return Ok(Claim {
                    display,
                    dir,
                    launcher: None,
                    abstract_socket: Some(abstract_socket),
                });
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(Error::new(format!(
                    "directory {}: {}",
                    dir.display(),
                    reason(&error)
                )));
            }
        }
    }
    Err(Error::new(format!(
        "no display from :{FIRST_FREE} to :{} is free; name one",
        FIRST_FREE + TRIED - 1
    )))
}

fn claim_this(display: u32, places: &Places, undo: &mut Undo) -> Result<Claim> {
    let dir = places.session(display);
    let fail = |why: String| Error::new(format!("directory {}: {why}", dir.display()));
    match DirBuilder::new().mode(0o700).create(&dir) {
        Ok(()) => undo.tree(&dir),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let meta = dir
                .symlink_metadata()
                .map_err(|error| fail(reason(&error)))?;
            let uid = nix::unistd::geteuid();
            if !meta.is_dir()
                || (meta.uid() != uid.as_raw() && !uid.is_root())
                || meta.mode() & 0o022 != 0
            {
                return Err(fail("is not a session directory of ours (a directory of this user that others cannot write)".into()));
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
                    "display :{display} is taken: {why}; choose another, or end that session with: bulkhead stop :{display}"
                )));
            }
            if let Some(launcher) = adopt(&dir) {
                return Ok(Claim {
                    display,
                    dir,
                    launcher: Some(launcher),
                    abstract_socket: None,
                });
            }
            // What lies there is of a session that was killed: the launcher cleans it up.
        }
        Err(error) => return Err(fail(format!("cannot be made: {}", reason(&error)))),
    }
    match x_server(display) {
        Some(why) => Err(Error::new(format!(
            "display :{display} is taken: {why}; choose another, or leave it out"
        ))),
        None => Ok(Claim {
            display,
            dir,
            launcher: None,
            abstract_socket: None,
        }),
    }
}

/// The abstract name at which a stock client looks first.
#[must_use]
pub fn abstract_name(display: u32) -> String {
    format!("xpra/{display}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_waited_for_in_place_of_a_lock() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("lock");
        std::fs::write(&path, "      1234\n").unwrap();
        assert_eq!(small_file(&path).unwrap().trim(), "1234");
        let link = tmp.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(small_file(&link), None);
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(small_file(&path), None);
    }

    #[test]
    fn a_supervisor_that_has_ended_holds_nothing() {
        assert!(is_live_supervisor("17 (bulkhead-superv) S 1 17 17"));
        assert!(!is_live_supervisor("17 (bulkhead-superv) Z 1 17 17"));
        assert!(!is_live_supervisor("17 (xterm) S 1 17 17"));
        assert!(!is_live_supervisor(""));
    }

    fn places(dir: &Path) -> Places {
        Places {
            sessions: dir.to_path_buf(),
            sockets: vec![dir.to_path_buf()],
            searched: vec![dir.to_path_buf()],
            hostname: "box".into(),
            home: dir.to_path_buf(),
        }
    }

    #[test]
    fn a_free_display_is_claimed_once() {
        let tmp = tempfile::tempdir().unwrap();
        let places = places(tmp.path());
        let (mut undo, mut other) = (Undo::default(), Undo::default());
        let first = claim(None, &places, &mut undo).unwrap();
        assert!(first.display >= FIRST_FREE && first.launcher.is_none());
        assert_eq!(first.dir.metadata().unwrap().mode() & 0o777, 0o700);
        let second = claim(None, &places, &mut other).unwrap();
        assert!(second.display > first.display);
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
                    (claim(None, &places, &mut undo).unwrap(), undo)
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
        let claimed = claim(Some(54321), &places, &mut undo).unwrap();
        let _socket =
            crate::listen::unix(&claimed.dir.join(SOCKET), 0o600, None, &mut undo).unwrap();
        let error = claim(Some(54321), &places, &mut Undo::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("display :54321 is taken: a server answers"),
            "{error}"
        );
    }

    #[test]
    fn a_waiting_launcher_is_found_and_a_dead_session_is_no_obstacle() {
        let tmp = tempfile::tempdir().unwrap();
        let places = places(tmp.path());
        let mut undo = Undo::default();
        let claimed = claim(Some(54322), &places, &mut undo).unwrap();
        assert!(
            claim(Some(54322), &places, &mut Undo::default())
                .unwrap()
                .launcher
                .is_none()
        );
        let flags = SockFlag::SOCK_CLOEXEC;
        let launcher = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        let address = UnixAddr::new(&claimed.dir.join(LAUNCHER_SOCKET)).unwrap();
        nix::sys::socket::bind(launcher.as_raw_fd(), &address).unwrap();
        nix::sys::socket::listen(&launcher, nix::sys::socket::Backlog::new(4).unwrap()).unwrap();
        assert!(
            claim(Some(54322), &places, &mut Undo::default())
                .unwrap()
                .launcher
                .is_some()
        );
    }

    #[test]
    fn what_is_no_session_directory_is_refused() {
        let tmp = tempfile::tempdir().unwrap();
        std::fs::write(tmp.path().join("54323"), "").unwrap();
        let error = claim(Some(54323), &places(tmp.path()), &mut Undo::default()).unwrap_err();
        assert!(
            error.to_string().contains("not a session directory"),
            "{error}"
        );
    }
}
