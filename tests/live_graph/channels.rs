//! Who is connected to whom, by both ends of each socket.

use crate::live::{Live, Who};
use bulkhead_tests::processes;
use bulkhead_tests::session::Session;
use policy::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// How many channels there are between two processes.
type Channels = BTreeMap<(Who, Who), usize>;

/// A channel's two ends, the smaller first.
fn pair(a: Who, b: Who) -> (Who, Who) {
    (a.min(b), a.max(b))
}

/// How many channels the policies declare between two processes. Those of different clients have
/// none, and a client's channels to `auth` and `keys` end with the verdict.
fn declared(a: Who, b: Who) -> usize {
    let same_client = a.connection.is_none() || b.connection.is_none() || a == b.like(a);
    let edge = policy::of(a.role).channels.contains(&b.role);
    let at_login = [Role::Auth, Role::Keys].contains(&pair(a, b).1.role);
    let ended = pair(a, b).0.role == Role::Network && at_login;
    usize::from(edge && same_client && !ended)
}

impl Who {
    /// This role for the other's client.
    fn like(self, other: Who) -> Who {
        let role = other.role;
        Who { role, ..self }
    }
}

/// Inodes of connected `SOCK_SEQPACKET` sockets: `/proc/net/unix`, proc(5).
fn seqpackets() -> BTreeSet<u64> {
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let connected = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        (words.get(3..5)? == ["00000000", "0005"]).then(|| words.get(6)?.parse().ok())?
    };
    table.lines().filter_map(connected).collect()
}

/// Every process of the machine that holds this socket, as often as it does.
fn holders() -> BTreeMap<u64, Vec<u32>> {
    let mut all: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for pid in processes::parents().into_keys() {
        for inode in processes::sockets(pid) {
            all.entry(inode).or_default().push(pid);
        }
    }
    all
}

/// Each channel of each process leads to the process that its policy names, of the same client;
/// nobody else has an end of it.
pub fn are_as_declared(all: &[Live]) {
    let who: BTreeMap<u32, Who> = all.iter().map(|live| (live.pid, live.who)).collect();
    let (peers, seqpackets, holders) = (processes::socket_peers(), seqpackets(), holders());
    let mut found = Channels::new();
    for live in all {
        for inode in processes::sockets(live.pid) {
            if !seqpackets.contains(&inode) {
                continue;
            }
            assert_eq!(
                holders[&inode],
                [live.pid],
                "{:?}: socket {inode}",
                live.who
            );
            let other = peers.get(&inode).and_then(|peer| holders.get(peer));
            let other = other.map(|pids| pids.iter().map(|pid| who.get(pid)).collect::<Vec<_>>());
            match other.as_deref() {
                Some([Some(other)]) => *found.entry(pair(live.who, **other)).or_insert(0) += 1,
                other => panic!("{:?}: the other end of {inode}: {other:?}", live.who),
            }
        }
    }
    let mut expected = Channels::new();
    for (n, a) in all.iter().enumerate() {
        for b in &all[n + 1..] {
            let (a, b) = (a.who, b.who);
            assert_eq!(declared(a, b), declared(b, a), "{a:?}, {b:?}");
            if declared(a, b) > 0 {
                // Each is found from both ends.
                expected.insert(pair(a, b), 2 * declared(a, b));
            }
        }
    }
    assert_eq!(found, expected);
}

/// Local and remote port of an established TCP socket: `/proc/net/tcp`.
fn tcp(inode: u64) -> Option<(u16, u16)> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
    table.lines().skip(1).find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        (words.get(9)?.parse() == Ok(inode)).then(|| Some((port(words[1])?, port(words[2])?)))?
    })
}

/// The socket at 5 of each `network` is that of the client whose number it has.
pub fn each_network_has_its_own_client(session: &Session, all: &[Live]) {
    let lines = session.process().lines();
    for live in all.iter().filter(|live| live.who.role == Role::Network) {
        let link = live.descriptors()[&5].clone();
        let inode = link.trim_matches(|c: char| !c.is_ascii_digit()).parse();
        let (local, remote) = tcp(inode.unwrap()).unwrap_or_else(|| panic!("{link}"));
        assert_eq!(local, session.port);
        let number = live.who.connection.unwrap();
        let number = format!("\"connection\":{number},");
        let said = format!("127.0.0.1:{remote} is let in");
        assert!(
            lines
                .iter()
                .any(|line| line.contains(&number) && line.contains(&said)),
            "{:?}: {said}: {lines:?}",
            live.who
        );
    }
}
