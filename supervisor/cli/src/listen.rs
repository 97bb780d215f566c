//! Opens listening sockets.

use crate::error::{Error, Result, reason};
use files::{Ids, Spot};
use ipc::spec::MadeFile;
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};
use nix::sys::stat::{Mode, fchmod, umask};
use nix::unistd::{Gid, Uid, fchownat};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::os::unix::net::{self, UnixListener};
use std::path::Path;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// What a connection attempt says about a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Somebody accepts.
    Live,
    /// Nothing is there.
    Dead,
    /// This user may not ask.
    Inaccessible,
    /// Something is there that does not answer.
    Unknown,
}

impl State {
    /// As a stock client prints it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Dead => "DEAD",
            Self::Inaccessible => "INACCESSIBLE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// Connects to a unix socket and says nothing.
#[must_use]
pub fn probe(path: &Path) -> State {
    match files::listens(path) {
        Ok(()) => State::Live,
        Err(error) => match error.kind() {
            ErrorKind::NotFound => State::Dead,
            ErrorKind::PermissionDenied => State::Inaccessible,
            _ => State::Unknown,
        },
    }
}

fn listening(socket: OwnedFd) -> io::Result<OwnedFd> {
    listen(&socket.as_fd(), Backlog::new(BACKLOG)?)?;
    Ok(socket)
}

/// Makes room for a socket: only a dead one is removed.
fn make_room(path: &Path) -> io::Result<()> {
    let Ok(meta) = path.symlink_metadata() else {
        return Ok(());
    };
    if !meta.file_type().is_socket() {
        return Err(io::Error::other("something else is there"));
    }
    match probe(path) {
        State::Live => Err(io::Error::other("another server listens there")),
        _ => std::fs::remove_file(path),
    }
}

/// Listens at a path with this mode; a dead socket that lies there is replaced. In a start as
/// root it becomes the user's.
///
/// # Errors
/// Somebody listens there already, something else is there, or what the kernel says.
pub fn unix(spot: &Spot, mode: u32, owner: Option<Ids>) -> Result<(OwnedFd, MadeFile)> {
    unix_of(SockType::Stream, spot, mode, owner)
}

/// Listens for channels at a path in a directory of ours, for this user only.
///
/// # Errors
/// Something else is there, or what the kernel says.
pub fn door(path: &Path) -> Result<(OwnedFd, MadeFile)> {
    unix_of(SockType::SeqPacket, &Spot::new(path, None), 0o600, None)
}

fn unix_of(
    kind: SockType,
    spot: &Spot,
    mode: u32,
    owner: Option<Ids>,
) -> Result<(OwnedFd, MadeFile)> {
    let fail = |why: &str| {
        let path = spot.path.display();
        Error::new(format!("unix socket {path}: {why}{}", spot.rights()))
    };
    let bind_with_mode = |path: &Path| -> nix::Result<OwnedFd> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Unix, kind, flags, None)?;
        let address = UnixAddr::new(path)?;
        // The socket in the file system is born with the mode of the unbound one, as far as the
        // umask lets it (unix(7)): it is never open to more.
        fchmod(&socket, Mode::from_bits_truncate(mode))?;
        let bare = (mode & 0o077 != 0).then(|| umask(Mode::empty()));
        let bound = bind(socket.as_raw_fd(), &address);
        bare.map(umask);
        bound.map(|()| socket)
    };
    let make = |path: &Path| {
        make_room(path)?;
        bind_with_mode(path).map_err(|error| match error {
            Errno::ENAMETOOLONG => {
                io::Error::other("the path is too long for a socket (107 bytes)")
            }
            error => error.into(),
        })
    };
    let said = |error: io::Error| fail(&reason(&error));
    let socket = spot.act(make).map_err(said)?;
    let made = files::made(spot).map_err(said)?;
    let ready = || {
        if let (Some(owner), None) = (owner, spot.user) {
            give(&spot.path, owner)?;
        }
        listening(socket)
    };
    match ready() {
        Ok(socket) => Ok((socket, made)),
        Err(error) => {
            files::remove(&made, owner);
            Err(said(error))
        }
    }
}

/// Makes a socket another user's.
fn give(path: &Path, Ids { uid, gid }: Ids) -> io::Result<()> {
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_NOFOLLOW)
        .open(path)?;
    if !file.metadata()?.file_type().is_socket() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    fchownat(&file, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH)?;
    Ok(())
}

/// Listens at an abstract name.
///
/// # Errors
/// Somebody listens there already, or what the kernel says.
pub fn abstract_unix(name: &str) -> Result<OwnedFd> {
    let fail = |error: &io::Error| {
        Error::new(match error.kind() {
            ErrorKind::AddrInUse => format!(
                "abstract socket @{name}: somebody else listens there, and clients that are given only the display would talk to them; choose another display"
            ),
            _ => format!("abstract socket @{name}: {}", reason(error)),
        })
    };
    let address = net::SocketAddr::from_abstract_name(name).map_err(|error| fail(&error))?;
    let listener = UnixListener::bind_addr(&address).map_err(|error| fail(&error))?;
    listener
        .set_nonblocking(true)
        .map_err(|error| fail(&error))?;
    listening(OwnedFd::from(listener)).map_err(|error| fail(&error))
}

/// Listens on a network address. `any`: on all interfaces, of both families where there are two.
///
/// # Errors
/// The port is in use, or what the kernel says.
pub fn tcp(address: SocketAddr, any: bool) -> Result<(OwnedFd, SocketAddr)> {
    let fail = |error: &io::Error| {
        Error::new(match error.kind() {
            ErrorKind::AddrInUse => format!(
                "tcp {address}: the port is in use; choose another, or end what listens there (ss -ltnp)"
            ),
            ErrorKind::AddrNotAvailable => {
                format!("tcp {address}: this machine does not have that address")
            }
            _ => format!("tcp {address}: {}", reason(error)),
        })
    };
    let listener = match TcpListener::bind(address) {
        Err(error) if any && error.kind() != ErrorKind::AddrInUse => {
            TcpListener::bind((IpAddr::from(Ipv4Addr::UNSPECIFIED), address.port()))
        }
        result => result,
    }
    .map_err(|error| fail(&error))?;
    let local = listener.local_addr().map_err(|error| fail(&error))?;
    listener
        .set_nonblocking(true)
        .map_err(|error| fail(&error))?;
    let socket = listening(OwnedFd::from(listener)).map_err(|error| fail(&error))?;
    Ok((socket, local))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn sockets_are_private_and_dead_ones_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let spot = Spot::new(&path, None);
        let (first, _) = unix(&spot, 0o600, None).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(probe(&path), State::Live);
        let error = unix(&spot, 0o600, None).unwrap_err().to_string();
        assert!(error.contains("another server listens"), "{error}");
        drop(first);
        assert_eq!(probe(&path), State::Unknown);
        let (again, made) = unix(&spot, 0o660, None).unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o660);
        drop(again);
        files::remove(&made, None);
        assert!(!path.exists());
        assert_eq!(probe(&path), State::Dead);
        std::fs::write(&path, "").unwrap();
        assert!(unix(&spot, 0o600, None).is_err());
        assert!(path.exists());
    }

    #[test]
    fn ports_in_use_are_named() {
        let (_socket, local) = tcp("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let error = tcp(local, false).unwrap_err().to_string();
        assert!(
            error.contains(&format!("tcp {local}: the port is in use")),
            "{error}"
        );
        let error = tcp("192.0.2.1:2000".parse().unwrap(), false)
            .unwrap_err()
            .to_string();
        assert!(error.contains("does not have that address"), "{error}");
    }

    #[test]
    fn abstract_names_are_taken_once() {
        let name = format!("bulkhead-test/{}", std::process::id());
        let _socket = abstract_unix(&name).unwrap();
        assert!(
            abstract_unix(&name)
                .unwrap_err()
                .to_string()
                .contains("somebody else")
        );
    }
}
