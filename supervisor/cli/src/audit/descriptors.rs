//! What an open descriptor is: the link in `/proc/PID/fd`, and for sockets the kernel's tables.

use policy::DescriptorKind as Kind;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A socket as the kernel's tables show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// What it is to a policy; none for one of another kind.
    pub kind: Option<Kind>,
    /// In words.
    pub what: String,
}

/// All sockets by inode: `/proc/net/unix`, `tcp` and `tcp6` (proc(5)).
pub type Sockets = BTreeMap<u64, Socket>;

/// State of a listening TCP socket (tcp_states.h).
const TCP_LISTEN: &str = "0A";
/// State of an established one.
const TCP_ESTABLISHED: &str = "01";
/// `SO_ACCEPTCON` in the flags of a unix socket: it listens.
const LISTENS: u32 = 0x1_0000;

/// Reads the tables in a directory such as `/proc/net`. All our sockets are made in the network
/// namespace in which the session was started, whoever holds them now.
#[must_use]
pub fn sockets(dir: &Path) -> Sockets {
    let lines = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    let mut all: Sockets = lines("unix").lines().skip(1).filter_map(unix).collect();
    for name in ["tcp", "tcp6"] {
        all.extend(lines(name).lines().skip(1).filter_map(tcp));
    }
    all
}

/// `Num: RefCount Protocol Flags Type St Inode [Path]`.
fn unix(line: &str) -> Option<(u64, Socket)> {
    let words: Vec<_> = line.split_whitespace().collect();
    let listens = u32::from_str_radix(words.get(3)?, 16).ok()? & LISTENS != 0;
    let (kind, what) = match (*words.get(4)?, listens) {
        ("0001", true) => (Some(Kind::Listener), "a listening unix stream socket"),
        ("0001", false) => (Some(Kind::Stream), "a unix stream socket"),
        ("0002", false) => (Some(Kind::Datagram), "a unix datagram socket"),
        ("0005", true) => (Some(Kind::Listener), "a listening unix seqpacket socket"),
        ("0005", false) => (Some(Kind::Channel), "a unix seqpacket socket"),
        _ => (None, "a unix socket of another type"),
    };
    let path = words
        .get(7)
        .map_or(String::new(), |path| format!(" {path}"));
    let socket = Socket {
        kind,
        what: format!("{what}{path}"),
    };
    Some((words.get(6)?.parse().ok()?, socket))
}

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …`.
fn tcp(line: &str) -> Option<(u64, Socket)> {
    let words: Vec<_> = line.split_whitespace().collect();
    let (kind, what) = match *words.get(3)? {
        TCP_LISTEN => (Kind::Listener, "a listening TCP socket"),
        TCP_ESTABLISHED => (Kind::Stream, "a TCP connection"),
        // One that is being closed.
        _ => (Kind::Stream, "a TCP socket"),
    };
    let socket = Socket {
        kind: Some(kind),
        what: what.to_owned(),
    };
    Some((words.get(9)?.parse().ok()?, socket))
}

/// What a descriptor is to a policy, and in words.
#[must_use]
pub fn classify(link: &str, sockets: &Sockets) -> (Option<Kind>, String) {
    let inode = link
        .strip_prefix("socket:[")
        .and_then(|rest| rest.strip_suffix(']'))
        .and_then(|number| number.parse::<u64>().ok());
    if let Some(inode) = inode {
        return match sockets.get(&inode) {
            Some(socket) => (socket.kind, socket.what.clone()),
            None => (None, "a socket of an unknown family".to_owned()),
        };
    }
    let kind = match link {
        "/dev/null" => Some(Kind::Null),
        "anon_inode:[pidfd]" => Some(Kind::Process),
        "anon_inode:[signalfd]" => Some(Kind::Signals),
        _ if link.starts_with("pipe:[") => Some(Kind::Pipe),
        _ if link.starts_with("pidfd:[") => Some(Kind::Process),
        _ if link.starts_with("/memfd:") => Some(Kind::Memory),
        _ if link.starts_with("/dev/") => Some(Kind::Device),
        _ if link.starts_with('/') => Some(Kind::File),
        _ => None,
    };
    (kind, link.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    /// The kernel's own tables, about sockets that are really open.
    #[test]
    fn what_is_open_is_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let tcp_listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = std::net::TcpStream::connect(tcp_listener.local_addr().unwrap()).unwrap();
        let unix_listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let (stream, _keep) = UnixStream::pair().unwrap();
        let (datagram, _keep2) = UnixDatagram::pair().unwrap();
        let (channel, _keep3) = ipc::channel::socketpair().unwrap();
        let (door, _) = crate::listen::door(&dir.path().join("d")).unwrap();
        let file = fs::File::create(dir.path().join("f")).unwrap();
        let null = fs::File::open("/dev/null").unwrap();
        let (pipe, _keep4) = std::io::pipe().unwrap();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();

        let sockets = sockets(Path::new("/proc/self/net"));
        let cases: [(i32, Option<Kind>); 11] = [
            (tcp_listener.as_raw_fd(), Some(Kind::Listener)),
            (tcp.as_raw_fd(), Some(Kind::Stream)),
            (unix_listener.as_raw_fd(), Some(Kind::Listener)),
            (door.as_raw_fd(), Some(Kind::Listener)),
            (stream.as_raw_fd(), Some(Kind::Stream)),
            (datagram.as_raw_fd(), Some(Kind::Datagram)),
            (channel.as_raw_fd(), Some(Kind::Channel)),
            (file.as_raw_fd(), Some(Kind::File)),
            (null.as_raw_fd(), Some(Kind::Null)),
            (pipe.as_raw_fd(), Some(Kind::Pipe)),
            (udp.as_raw_fd(), None),
        ];
        for (fd, kind) in cases {
            let link = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
            let (found, what) = classify(link.to_str().unwrap(), &sockets);
            assert_eq!(found, kind, "{what}");
        }
    }
}
