//! What the kernel shows of a running session equals what `policy/` declares: who is connected to
//! whom, with which user, namespaces, capabilities, limits and filters.
//!
//! Everything is read by root (descriptors and namespaces of our processes are nobody else's
//! business), so as an ordinary user these tests only say that they were not run.

use bulkhead_tests::processes::{self, Worker};
use bulkhead_tests::session::{Session, Start};
use bulkhead_tests::twins::two_clients;
use policy::{Role, StartMode};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

fn role_of(worker: &Worker) -> Role {
    Role::from_name(&worker.role).unwrap_or_else(|| panic!("no role {:?}", worker.role))
}

/// The session's processes: the supervisor's tree and the launcher beside it.
fn all(session: &Session) -> Vec<Worker> {
    processes::workers(session.process().id())
}

fn edges(workers: &[Worker]) -> BTreeSet<(Role, Role)> {
    let peers = processes::socket_peers();
    let mut owner = BTreeMap::new();
    for worker in workers {
        for inode in processes::sockets(worker.pid) {
            owner.insert(inode, role_of(worker));
        }
    }
    let edge = |(inode, role): (&u64, &Role)| {
        let other = *owner.get(peers.get(inode)?)?;
        Some((*role.min(&other), *role.max(&other)))
    };
    owner.iter().filter_map(edge).collect()
}

fn declared(present: &BTreeSet<Role>) -> BTreeSet<(Role, Role)> {
    let of = |role: Role| {
        policy::of(role)
            .channels
            .iter()
            .map(move |other| (role, *other))
    };
    let all = present.iter().copied().flat_map(of);
    all.filter(|(_, b)| present.contains(b))
        .map(|(a, b)| (a.min(b), a.max(b)))
        .collect()
}

fn namespace(pid: u32, name: &str) -> String {
    let link = fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
    link.to_string_lossy().into_owned()
}

fn check(start: Start, mode: StartMode) {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("not run: only root can read the descriptors of our processes");
        return;
    }
    let session = Session::start_as(start, &["--sharing=yes", "--start=xterm"]);
    let _clients = two_clients(&session);
    let workers = all(&session);
    let present: BTreeSet<Role> = workers.iter().map(role_of).collect();
    let expected = [
        Role::Supervisor,
        Role::Launcher,
        Role::Network,
        Role::Auth,
        Role::Display,
        Role::Encoder,
    ];
    assert_eq!(present, BTreeSet::from(expected), "{workers:?}");
    for role in [Role::Network, Role::Encoder] {
        let count = workers.iter().filter(|w| role_of(w) == role).count();
        assert_eq!(count, 2, "one {role} per client");
    }
    // A client's channel to `auth` ends with the verdict; all others live as long as it does.
    let mut expected = declared(&present);
    assert!(expected.remove(&(Role::Network, Role::Auth)));
    assert_eq!(edges(&workers), expected, "channels between live processes");
    // The supervisor has its own filter and whatever lies below all (some systems put one there);
    // a worker has its own on top of these.
    let filters = |pid| {
        let count = processes::status(pid, "Seccomp_filters").expect("the kernel counts them");
        count.parse::<u32>().expect("a number")
    };
    let below = filters(session.process().id());
    assert_eq!(below, filters(std::process::id()) + 1, "the supervisor's");
    let mut uids = BTreeMap::new();
    for worker in &workers {
        let (pid, role) = (worker.pid, role_of(worker));
        if role == Role::Launcher {
            assert_eq!(processes::status(pid, "Seccomp").as_deref(), Some("0"));
            continue;
        }
        let status = |key| processes::status(pid, key).unwrap_or_default();
        assert_eq!(status("Seccomp"), "2", "{role}");
        let own = u32::from(role != Role::Supervisor);
        assert_eq!(filters(pid), below + own, "{role}: its own filter");
        assert_eq!(status("NoNewPrivs"), "1", "{role}");
        for set in ["CapInh", "CapBnd", "CapAmb", "CapEff", "CapPrm"] {
            if policy::of(role).capabilities(mode).is_empty()
                && (role != Role::Supervisor || set == "CapEff")
            {
                assert_eq!(status(set), "0000000000000000", "{role} {set}");
            }
        }
        let own: Vec<_> = policy::of(role)
            .namespaces(mode)
            .iter()
            .map(|n| n.name())
            .collect();
        for name in ["user", "mnt", "net", "ipc", "uts", "cgroup", "pid"] {
            let apart = namespace(pid, name) != namespace(std::process::id(), name);
            assert_eq!(apart, own.contains(&name), "{role}: namespace {name}");
        }
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        for limit in policy::of(role).limits {
            let line = limits
                .lines()
                .find(|line| line.starts_with(limit.resource.proc_name()));
            let line = line.unwrap_or_else(|| panic!("{role}: no {}", limit.resource.proc_name()));
            let hard = line[limit.resource.proc_name().len()..]
                .split_whitespace()
                .nth(1);
            assert_eq!(
                hard,
                Some(limit.value.to_string().as_str()),
                "{role}: {line}"
            );
        }
        let uid = status("Uid")
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned();
        uids.insert(role, uid);
        if role != Role::Supervisor {
            let root = fs::read_dir(format!("/proc/{pid}/root")).map(Iterator::count);
            assert_eq!(root.unwrap(), 0, "{role}: its root directory is empty");
        }
    }
    let different: BTreeSet<_> = uids.values().collect();
    match start {
        Start::Root => {
            assert_eq!(
                different.len(),
                uids.len(),
                "one user id per role: {uids:?}"
            );
            let session_uid = bulkhead_tests::commands::test_user().uid.to_string();
            assert!(
                !different.contains(&session_uid),
                "none is the session's: {uids:?}"
            );
        }
        Start::User => assert_eq!(different.len(), 1, "{uids:?}"),
    }
}

#[test]
fn a_session_of_a_user_is_what_the_policy_declares() {
    check(Start::User, StartMode::User);
}

#[test]
fn a_session_started_by_root_is_what_the_policy_declares() {
    check(Start::Root, StartMode::Root);
}
