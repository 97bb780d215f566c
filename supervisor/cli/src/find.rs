//! Finds sessions, for `list` and for the commands that talk to one.

use crate::claim::abstract_name;
use crate::ended::Remains;
use crate::error::{Error, Result, reason};
use crate::listen::{State, probe};
use crate::options::display;
use crate::places::{Places, SOCKET};
use crate::users;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    AddressFamily, SockaddrLike, SockaddrStorage, UnixAddr, getsockname, getsockopt,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a server may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a socket at which nobody listens is left alone, as by a stock client.
const DEAD_AFTER: Duration = Duration::from_secs(120);

/// A session, or what is left of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its display.
    pub display: u32,
    /// Its socket.
    pub path: PathBuf,
    /// What there is.
    pub what: What,
    /// Its socket was dead, and has been removed.
    pub removed: bool,
}

/// What was found of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A socket, and what it says.
    Socket(State),
    /// A session directory without a server.
    Remains(Remains),
}

impl Found {
    fn line(&self) -> String {
        let display = self.display;
        match self.what {
            What::Socket(state) => format!("{} session at :{display}", state.name()),
            What::Remains(remains) => {
                format!("DEAD session at :{display}: {}", remains.advice(display))
            }
        }
    }
}

/// The sessions in each directory, in the order in which they are searched.
#[must_use]
pub fn sessions(places: &Places) -> Vec<(PathBuf, Vec<Found>)> {
    let prefix = format!("{}-", places.hostname);
    let mut all = Vec::new();
    for dir in &places.searched {
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let (number, path, own_name) = match name.strip_prefix(&prefix) {
                Some(number) => (number, entry.path(), true),
                None => (name, entry.path().join(SOCKET), false),
            };
            let Some(display) = display(number).ok().filter(|_| !number.starts_with(':')) else {
                continue;
            };
            let is_socket = path
                .symlink_metadata()
                .is_ok_and(|meta| meta.file_type().is_socket());
            let remains = Remains::of(&dir.join(number)).map(What::Remains);
            let what = remains.or_else(|| is_socket.then(|| What::Socket(probe(&path))));
            if let Some(what) = what
                && (own_name || !found.contains_key(&display))
            {
                let removed = false;
                found.insert(
                    display,
                    Found {
                        display,
                        path,
                        what,
                        removed,
                    },
                );
            }
        }
        if !found.is_empty() {
            all.push((dir.clone(), found.into_values().collect()));
        }
    }
    all
}

/// Removes this user's dead sockets, as a stock client does. One that is younger than
/// [`DEAD_AFTER`] may be one whose server is about to listen.
pub fn remove_dead(sessions: &mut [(PathBuf, Vec<Found>)]) {
    let me = nix::unistd::geteuid().as_raw();
    let ours = |meta: &std::fs::Metadata| meta.uid() == me && meta.mode() & 0o022 == 0;
    for (dir, found) in sessions {
        // Where others may write, a name may mean another thing by the time it is removed.
        if !dir.symlink_metadata().is_ok_and(|meta| ours(&meta)) {
            continue;
        }
        for one in found
            .iter_mut()
            .filter(|one| one.what == What::Socket(State::Unknown))
        {
            let old = |meta: &std::fs::Metadata| {
                let age = meta.modified().ok().and_then(|at| at.elapsed().ok());
                age.is_some_and(|age| age > DEAD_AFTER)
            };
            one.removed = one
                .path
                .symlink_metadata()
                .is_ok_and(|meta| meta.uid() == me && old(&meta))
                && std::fs::remove_file(&one.path).is_ok();
        }
    }
}

/// What `bulkhead list` prints.
#[must_use]
pub fn listing(sessions: &[(PathBuf, Vec<Found>)]) -> String {
    if sessions.is_empty() {
        return "No sessions found\n".to_owned();
    }
    let mut text = "Found the following sessions:\n".to_owned();
    for (dir, found) in sessions {
        text += &format!("{}:\n", dir.display());
        for one in found {
            let removed = if one.removed { " (cleaned up)" } else { "" };
            text += &format!("\t{}{removed}\n", one.line());
        }
    }
    text
}

/// The display that is meant when none is named: that of the only session, with or without a
/// server.
///
/// # Errors
/// There is none, or there are several.
pub fn only_display(places: &Places) -> Result<u32> {
    let mut live: Vec<u32> = sessions(places)
        .into_iter()
        .flat_map(|(_, found)| found)
        .filter(|found| {
            let meant = [
                What::Socket(State::Live),
                What::Remains(Remains::Applications),
            ];
            meant.contains(&found.what)
        })
        .map(|found| found.display)
        .collect();
    live.sort_unstable();
    live.dedup();
    match live[..] {
        [] => Err(Error::new(
            "there is no session; start one with: bulkhead seamless --start=xterm",
        )),
        [display] => Ok(display),
        _ => {
            let names: Vec<_> = live.iter().map(|display| format!(":{display}")).collect();
            Err(Error::usage(format!(
                "there are several sessions ({}): name one",
                names.join(", ")
            )))
        }
    }
}

/// What a command talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A session of this user.
    Display(u32),
    /// A unix socket.
    Path(PathBuf),
    /// An abstract unix socket.
    Abstract(String),
    /// A network address.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

impl Target {
    /// Reads `:N`, `N`, `tcp://HOST:PORT[/]`, `tcp:HOST:PORT`, a path, `socket://PATH`, `@NAME`.
    ///
    /// # Errors
    /// What is not of these forms, by name.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(rest) = text
            .strip_prefix("tcp://")
            .or_else(|| text.strip_prefix("tcp:"))
        {
            if rest.contains('@') {
                return Err(Error::usage(
                    "a user or password in an address can be seen by others: use --password-file=",
                ));
            }
            if rest.contains('?') {
                return Err(Error::usage("options in an address are not built yet"));
            }
            let address = rest.strip_suffix('/').unwrap_or(rest);
            let address = crate::bind::TcpAddress::parse(address, 1)?;
            return match address.host {
                crate::bind::Host::Name(host) => Ok(Self::Tcp {
                    host,
                    port: address.port,
                }),
                _ => Err(Error::usage(format!("`{text}` has no host"))),
            };
        }
        if let Some(path) = text.strip_prefix("socket://") {
            return Ok(Self::Path(path.into()));
        }
        if text.starts_with('/') {
            return Ok(Self::Path(text.into()));
        }
        if let Some(name) = text.strip_prefix('@').filter(|name| !name.is_empty()) {
            return Ok(Self::Abstract(name.to_owned()));
        }
        display(text).map(Self::Display).map_err(|_| {
            Error::usage(format!(
                "`{text}` is no session: write :N, tcp://HOST:PORT or a socket's path"
            ))
        })
    }

    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(&self, places: &Places) -> Result<OwnedFd> {
        match self {
            Self::Display(display) => connect_display(*display, places),
            Self::Path(path) => connect_path(path)
                .map(OwnedFd::from)
                .map_err(|error| Error::new(format!("{}: {}", path.display(), reason(&error)))),
            Self::Abstract(name) => connect_abstract(name)
                .ok_or_else(|| Error::new(format!("@{name}: no server of yours listens there"))),
            Self::Tcp { host, port } => {
                let address = SocketAddr::new(users::address(host)?, *port);
                let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)
                    .map_err(|error| Error::new(format!("tcp {address}: {}", reason(&error))))?;
                let _ = stream.set_nodelay(true);
                Ok(OwnedFd::from(stream))
            }
        }
    }
}

fn connect_path(path: &Path) -> io::Result<UnixStream> {
    files::connect(&UnixAddr::new(path)?, CONNECT_TIMEOUT)
}

/// Anybody may listen at an abstract name: the kernel says who does.
fn connect_abstract(name: &str) -> Option<OwnedFd> {
    let address = UnixAddr::new_abstract(name.as_bytes()).ok()?;
    let stream = files::connect(&address, CONNECT_TIMEOUT).ok()?.into();
    is_own(&stream).then_some(stream)
}

/// Is who listens there our own user or root? The kernel knows of unix sockets only.
pub fn is_own(socket: &OwnedFd) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    let unix = getsockname::<SockaddrStorage>(socket.as_raw_fd())
        .is_ok_and(|address| address.family() == Some(AddressFamily::Unix));
    unix && getsockopt(socket, PeerCredentials)
        .is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

fn connect_display(display: u32, places: &Places) -> Result<OwnedFd> {
    let mut candidates = vec![places.session(display).join(SOCKET)];
    candidates.extend(places.searched.iter().flat_map(|dir| {
        [
            dir.join(places.socket_name(display)),
            dir.join(display.to_string()).join(SOCKET),
        ]
    }));
    let mut refused: Option<(PathBuf, std::io::Error)> = None;
    for path in candidates {
        match connect_path(&path) {
            Ok(stream) => return Ok(stream.into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => refused = refused.or(Some((path, error))),
        }
    }
    if let Some(socket) = connect_abstract(&abstract_name(display)) {
        return Ok(socket);
    }
    Err(Error::new(match refused {
        Some((path, error)) => format!(
            "no live session :{display}: {}: {}",
            path.display(),
            reason(&error)
        ),
        None => format!("there is no session :{display}; bulkhead list shows those there are"),
    }))
}

/// The session directory of a display, wherever it is.
#[must_use]
pub fn session_dir(display: u32, places: &Places) -> Option<PathBuf> {
    let mut dirs: Vec<&Path> = vec![&places.sessions];
    dirs.extend(places.searched.iter().map(PathBuf::as_path));
    dirs.into_iter()
        .map(|dir| dir.join(display.to_string()))
        .find(|dir| dir.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::net::UnixListener;

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
    fn targets() {
        assert_eq!(Target::parse(":7").unwrap(), Target::Display(7));
        assert_eq!(Target::parse("7").unwrap(), Target::Display(7));
        assert_eq!(Target::parse("/a/b").unwrap(), Target::Path("/a/b".into()));
        assert_eq!(
            Target::parse("socket:///a").unwrap(),
            Target::Path("/a".into())
        );
        assert_eq!(Target::parse("@x").unwrap(), Target::Abstract("x".into()));
        for text in ["tcp://box:10000", "tcp://box:10000/", "tcp:box:10000"] {
            assert_eq!(
                Target::parse(text).unwrap(),
                Target::Tcp {
                    host: "box".into(),
                    port: 10000
                }
            );
        }
        assert_eq!(
            Target::parse("tcp://[::1]:9").unwrap(),
            Target::Tcp {
                host: "::1".into(),
                port: 9
            }
        );
        for bad in [
            "",
            "x",
            "@",
            "tcp://",
            "tcp://:1",
            "tcp://u:p@h:1",
            "tcp://h:1/?a=b",
            "ssh://h",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sessions_are_listed_with_their_state() {
        let dir = tempfile::tempdir().unwrap();
        let _live = UnixListener::bind(dir.path().join("box-7")).unwrap();
        drop(UnixListener::bind(dir.path().join("box-8")).unwrap());
        std::fs::create_dir(dir.path().join("9")).unwrap();
        let _inside = UnixListener::bind(dir.path().join("9/socket")).unwrap();
        std::fs::create_dir(dir.path().join("7")).unwrap();
        let _same = UnixListener::bind(dir.path().join("7/socket")).unwrap();
        std::fs::write(dir.path().join("box-10"), "").unwrap();
        let places = places(dir.path());
        let found = sessions(&places);
        assert_eq!(
            listing(&found),
            format!(
                "Found the following sessions:\n{}:\n\tLIVE session at :7\n\tUNKNOWN session at :8\n\tLIVE session at :9\n",
                dir.path().display()
            )
        );
        assert!(
            only_display(&places)
                .unwrap_err()
                .to_string()
                .contains("(:7, :9)")
        );
        assert!(Target::Display(7).connect(&places).is_ok());
        let error = Target::Display(8).connect(&places).unwrap_err().to_string();
        assert!(
            error.contains("no live session :8") && error.contains("connection refused"),
            "{error}"
        );
        let error = Target::Display(54399)
            .connect(&places)
            .unwrap_err()
            .to_string();
        assert!(error.contains("there is no session :54399"), "{error}");
        assert_eq!(listing(&[]), "No sessions found\n");
    }

    #[test]
    fn old_dead_sockets_of_ours_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let old = |name: &str| {
            let path = dir.path().join(name);
            let listener = UnixListener::bind(&path).unwrap();
            let long_ago = nix::sys::time::TimeSpec::from_duration(Duration::from_secs(1));
            let flags = nix::sys::stat::UtimensatFlags::FollowSymlink;
            nix::sys::stat::utimensat(nix::fcntl::AT_FDCWD, &path, &long_ago, &long_ago, flags)
                .unwrap();
            listener
        };
        let _live = old("box-7");
        drop(old("box-8"));
        drop(UnixListener::bind(dir.path().join("box-9")).unwrap());
        drop(old("box-10"));
        let foreign = nix::unistd::geteuid().is_root();
        if foreign {
            std::os::unix::fs::lchown(dir.path().join("box-10"), Some(65534), None).unwrap();
        }
        let places = places(dir.path());
        let list = || {
            let mut found = sessions(&places);
            remove_dead(&mut found);
            listing(&found)
        };
        chmod(dir.path(), 0o722);
        assert!(!list().contains("cleaned up"), "others may write there");
        chmod(dir.path(), 0o700);
        let text = list();
        assert!(
            text.contains("UNKNOWN session at :8 (cleaned up)\n"),
            "{text}"
        );
        assert_eq!(
            text.matches("cleaned up").count(),
            if foreign { 1 } else { 2 }
        );
        let left = |name: &str| dir.path().join(name).exists();
        assert!(left("box-7") && !left("box-8") && left("box-9"));
        assert_eq!(left("box-10"), foreign);
    }

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(tcp://|socket://|:|@)?.{0,60}") {
            let _ = Target::parse(&text);
        }
    }
}
