//! What each process has open.

use crate::CLIENTS;
use crate::live::Live;
use bulkhead_tests::session::Session;
use policy::{DescriptorKind as Kind, Role};
use std::collections::BTreeMap;
use std::fs;

/// Kinds of sockets by inode: `/proc/net/unix` and `/proc/net/tcp`, proc(5).
fn sockets() -> BTreeMap<u64, Kind> {
    let table = |name: &str| fs::read_to_string(format!("/proc/net/{name}")).unwrap();
    let unix = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let kind = match (*words.get(4)?, *words.get(3)?) {
            ("0001", "00010000") => Kind::Listener,
            ("0001", "00000000") => Kind::Stream,
            ("0002", _) => Kind::Datagram,
            ("0005", "00000000") => Kind::Channel,
            _ => return None,
        };
        Some((words.get(6)?.parse().ok()?, kind))
    };
    let tcp = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let kind = match *words.get(3)? {
            "0A" => Kind::Listener,
            "01" => Kind::Stream,
            _ => return None,
        };
        Some((words.get(9)?.parse().ok()?, kind))
    };
    let mut all: BTreeMap<u64, Kind> = table("unix").lines().filter_map(unix).collect();
    all.extend(table("tcp").lines().filter_map(tcp));
    all
}

/// What an open descriptor is.
fn kind(link: &str, sockets: &BTreeMap<u64, Kind>) -> Option<Kind> {
    let inode = |link: &str| {
        link.strip_prefix("socket:[")?
            .strip_suffix(']')?
            .parse()
            .ok()
    };
    match link {
        "/dev/null" => Some(Kind::Null),
        "anon_inode:[pidfd]" => Some(Kind::Process),
        "anon_inode:[signalfd]" => Some(Kind::Signals),
        _ if link.starts_with("pidfd:[") => Some(Kind::Process),
        _ if link.starts_with("pipe:[") => Some(Kind::Pipe),
        _ if link.starts_with("/memfd:") => Some(Kind::Memory),
        _ if link.starts_with('/') => Some(Kind::File),
        _ => sockets.get(&inode(link)?).copied(),
    }
}

/// How many of which kind a process has, but memory: how many buffers there are is up to the
/// windows. `None` for the launcher, which has no table.
fn expected(role: Role) -> Option<BTreeMap<Kind, usize>> {
    /// `auth`, `keys`, `display`, and for each client a `network` and an `encoder`.
    const WORKERS: usize = 3 + 2 * CLIENTS;
    /// The password file, and the key file.
    const SECRETS: usize = 2;
    let worker = |channels: usize| {
        let own = [
            (Kind::Null, 1),
            (Kind::Pipe, 2),
            (Kind::Channel, 1 + channels),
        ];
        BTreeMap::from(own)
    };
    let with = |mut all: BTreeMap<Kind, usize>, kind, count| {
        all.insert(kind, count);
        all
    };
    match role {
        Role::Supervisor => Some(BTreeMap::from([
            // Its own standard input, and that of its children.
            (Kind::Null, 2),
            // Its two outputs, and the log of each child.
            (Kind::Pipe, 2 + WORKERS),
            (Kind::Channel, 1 + WORKERS),
            (Kind::Process, WORKERS),
            (Kind::Signals, 1),
            // TCP in clear and encrypted, the session's socket, the one beside it and the
            // abstract one.
            (Kind::Listener, 5),
            // The workers' executables, the empty directory, what `auth` and `keys` are given.
            (Kind::File, Role::WORKERS.len() + 1 + SECRETS),
        ])),
        Role::Network => Some(with(worker(2), Kind::Stream, 1)),
        Role::Auth | Role::Keys => Some(with(worker(0), Kind::File, 1)),
        Role::Display => Some(with(worker(2 * CLIENTS), Kind::Stream, 1)),
        Role::Encoder => Some(worker(2)),
        // To the supervisor and to `auth`.
        Role::AuthFido | Role::AuthCertificate => Some(worker(1)),
        // The same, and the database.
        Role::AuthSqlite => Some(with(worker(1), Kind::File, 1)),
        // The same, and a socket.
        Role::AuthLdap
        | Role::AuthSql
        | Role::AuthKeycloak
        | Role::AuthOtpscreen
        | Role::AuthNames => Some(with(worker(1), Kind::Stream, 1)),
        // To `auth` only.
        Role::AuthPam => Some(worker(0)),
        // Beside it, a connection that is asked, and those for later questions.
        Role::AuthKerberos => Some(with(worker(0), Kind::Stream, 4)),
        Role::Launcher | Role::Ctl => None,
    }
}

/// A process has what its policy's table says at each number, and no more of a kind than its work
/// needs.
pub fn of_one_are_as_declared(live: &Live) -> BTreeMap<i32, String> {
    let (policy, sockets) = (policy::of(live.who.role), sockets());
    let open = live.descriptors();
    let mut found = BTreeMap::new();
    for (number, link) in &open {
        let kind = kind(link, &sockets);
        let kind = kind.unwrap_or_else(|| panic!("{:?}: {number} is {link}", live.who));
        assert!(
            policy.may_hold(*number, kind),
            "{:?}: {number} is {link}",
            live.who
        );
        *found.entry(kind).or_insert(0) += 1;
    }
    for entry in policy.descriptors.iter().filter(|entry| entry.is_kept()) {
        let link = open.get(&entry.fd);
        let kind = link.and_then(|link| kind(link, &sockets));
        let as_declared = kind.is_some_and(|kind| entry.kinds.contains(&kind));
        assert!(as_declared, "{:?}: {} is {link:?}", live.who, entry.what);
    }
    found.remove(&Kind::Memory);
    assert_eq!(
        Some(found),
        expected(live.who.role),
        "{:?}: {open:?}",
        live.who
    );
    open
}

/// Each process has what its policy's table says at each number, and no more of a kind than its
/// work needs.
pub fn are_as_declared(session: &Session, all: &[Live]) {
    let sockets = sockets();
    for live in all {
        if expected(live.who.role).is_none() {
            continue;
        }
        let open = of_one_are_as_declared(live);
        let secret = match live.who.role {
            Role::Auth => session.password_file(),
            Role::Keys => session.home().join("key.txt"),
            _ => continue,
        };
        let file = open
            .values()
            .find(|link| kind(link, &sockets) == Some(Kind::File));
        assert_eq!(file.map(String::as_str), secret.to_str());
    }
}
