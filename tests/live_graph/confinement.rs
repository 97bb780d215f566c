//! What the kernel holds each process to.

use crate::live::{Live, Who};
use bulkhead_tests::commands::test_user;
use bulkhead_tests::processes;
use bulkhead_tests::secrets;
use bulkhead_tests::session::Session;
use policy::{Role, StartMode};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Workers' user ids in a start as root begin here, 16 for each display: docs/usage.md.
const WORKER_UIDS: u32 = 1_900_000_000;
const WORKER_UIDS_EACH: u32 = 32;

/// Each against its policy.
pub fn is_as_declared(session: &Session, all: &[Live], mode: StartMode) {
    let of = |role| all.iter().find(|live| live.who.role == role).unwrap();
    let launcher = of(Role::Launcher);
    for live in all {
        let confined = policy::of(live.who.role).unconfined.is_none();
        ids(live, session, mode);
        filters(live);
        capabilities(live, launcher, mode);
        limits(live, launcher);
        locked_memory(live);
        // No policy declares a security label: every process has the one it was started in.
        assert_eq!(label(live.pid), label(std::process::id()), "{:?}", live.who);
        let supervisor = session.process().id();
        match live.who.role {
            Role::Supervisor => {}
            role if role.is_of_launcher() => {
                assert_eq!(live.parent, session.launcher(), "{:?}", live.who);
            }
            _ => assert_eq!(live.parent, supervisor, "{:?}", live.who),
        }
        let name = fs::read_link(format!("/proc/{}/exe", live.pid)).unwrap();
        assert_eq!(name.file_name().unwrap(), live.who.role.executable());
        let by_launcher = live.who.role.is_of_launcher();
        if live.who.role.is_worker() || by_launcher {
            let text = format!("--mode={mode}");
            assert!(live.arguments.contains(&text), "{:?}", live.arguments);
            assert_eq!(live.file("environ"), "", "{:?}", live.who);
        }
        if live.who.role.is_worker() {
            let root = fs::read_dir(format!("/proc/{}/root", live.pid)).unwrap();
            assert_eq!(root.count(), 0, "{:?}: its root is empty", live.who);
        }
        assert!(!confined || live.status("Threads") == "1", "{:?}", live.who);
    }
    namespaces(all, mode);
}

/// Real, effective, saved and file-system ids, and no other group than a start brings along.
fn ids(live: &Live, session: &Session, mode: StartMode) {
    let user = test_user();
    let role = live.who.role;
    let (uid, gid) = match (mode, role) {
        (StartMode::User, _) => (user.uid.as_raw(), user.gid.as_raw()),
        (StartMode::Root, Role::Launcher) => (0, 0),
        (StartMode::Root, _) => {
            let place = Role::ALL.iter().position(|other| *other == role).unwrap();
            let place = u32::try_from(place).unwrap();
            let id = WORKER_UIDS + WORKER_UIDS_EACH * session.display + place;
            (id, id)
        }
    };
    let four = |id: u32| {
        [
            id.to_string(),
            id.to_string(),
            id.to_string(),
            id.to_string(),
        ]
        .join("\t")
    };
    assert_eq!(live.status("Uid"), four(uid), "{:?}", live.who);
    assert_eq!(live.status("Gid"), four(gid), "{:?}", live.who);
    if (mode, role) != (StartMode::Root, Role::Launcher) {
        assert_eq!(live.status("Groups"), "", "{:?}", live.who);
    }
}

/// The supervisor has its own filter and whatever lies below all (some systems put one there); a
/// worker has its own on top of these.
fn filters(live: &Live) {
    let count = |pid| {
        let count = processes::status(pid, "Seccomp_filters").expect("the kernel counts them");
        count.parse::<u32>().expect("a number")
    };
    let outside = std::process::id();
    // Its own, and one for each error of what is only answered.
    let installed = |role: Role| 1 + u32::try_from(policy::of(role).refusals.len()).unwrap();
    let role = live.who.role;
    let (own, confined) = match role {
        Role::Launcher => (0, false),
        // Not started by the supervisor.
        Role::Supervisor | Role::Ctl | Role::AuthPam | Role::AuthKerberos => {
            (installed(role), true)
        }
        Role::Network
        | Role::Auth
        | Role::Keys
        | Role::Display
        | Role::Encoder
        | Role::AuthLdap
        | Role::AuthSqlite
        | Role::AuthSql
        | Role::AuthKeycloak
        | Role::AuthFido
        | Role::AuthOtpscreen
        | Role::AuthNames
        | Role::AuthCertificate => (installed(role) + installed(Role::Supervisor), true),
    };
    assert_eq!(count(live.pid), count(outside) + own, "{:?}", live.who);
    let from_outside = |name| processes::status(outside, name).unwrap();
    let (seccomp, no_new_privs) = match confined {
        true => ("2".to_owned(), "1".to_owned()),
        false => (from_outside("Seccomp"), from_outside("NoNewPrivs")),
    };
    assert_eq!(live.status("Seccomp"), seccomp, "{:?}", live.who);
    assert_eq!(live.status("NoNewPrivs"), no_new_privs, "{:?}", live.who);
}

/// Number of a capability: capability.h.
fn capability(name: &str) -> u32 {
    match name {
        "CAP_KILL" => 5,
        "CAP_SETGID" => 6,
        "CAP_SETUID" => 7,
        other => panic!("no policy had {other} so far"),
    }
}

fn capabilities(live: &Live, launcher: &Live, mode: StartMode) {
    let policy = policy::of(live.who.role);
    if policy.unconfined.is_some() {
        return;
    }
    let allowed = policy.capabilities(mode).iter();
    let allowed: u64 = allowed.map(|name| 1 << capability(name)).sum();
    let hex = |set: u64| format!("{set:016x}");
    // Without a capability and a user namespace of one's own the bounding set cannot be changed;
    // under no_new_privs it gives nothing.
    let bounding = match (mode, policy.namespaces(mode).is_empty()) {
        (StartMode::User, true) => launcher.status("CapBnd"),
        _ => hex(allowed),
    };
    let sets = [
        ("CapInh", hex(0)),
        ("CapPrm", hex(allowed)),
        ("CapEff", hex(allowed)),
        ("CapBnd", bounding),
        ("CapAmb", hex(0)),
    ];
    for (set, expected) in sets {
        assert_eq!(live.status(set), expected, "{:?}: {set}", live.who);
    }
}

/// Soft and hard limit of each resource, by its name in `/proc/PID/limits`.
fn limits_of(live: &Live) -> BTreeMap<String, [String; 2]> {
    let text = live.file("limits");
    let line = |line: &str| {
        // Fixed columns: 25 for the name, 20 for each value.
        let (name, values) = line.split_at_checked(25)?;
        let mut values = values.split_whitespace().map(str::to_owned);
        Some((name.trim().to_owned(), [values.next()?, values.next()?]))
    };
    text.lines().skip(1).filter_map(line).collect()
}

/// Those that the policy names are its, or lower where the session was started with less; the
/// others are those that it was started with.
fn limits(live: &Live, launcher: &Live) {
    let mut expected = limits_of(launcher);
    for limit in policy::of(live.who.role).limits {
        let name = limit.resource.proc_name();
        let outside = expected.get_mut(name);
        let outside = outside.unwrap_or_else(|| panic!("{name} is no limit"));
        let hard = outside[1].parse().unwrap_or(u64::MAX);
        let value = limit.value.min(hard).to_string();
        *outside = [value.clone(), value];
    }
    assert_eq!(limits_of(live), expected, "{:?}", live.who);
}

/// A role with secrets has its heap and its stack in memory that is not swapped out, and no other has.
fn locked_memory(live: &Live) {
    const HEAP: u64 = 4 << 20;
    const STACK: u64 = 96 << 10;
    let locks = policy::of(live.who.role).locks_memory;
    if locks && !secrets::may_lock(live.pid) {
        println!("{:?}: ulimit -l is too low to show anything", live.who);
        return;
    }
    for (name, least) in [("[heap]", HEAP), ("[stack]", STACK)] {
        let locked = secrets::locked(live.pid, name);
        assert_eq!(locked >= least, locks, "{:?}: {name} {locked}", live.who);
        assert!(locks || locked == 0, "{:?}: {name} {locked}", live.who);
    }
}

/// The security label, or the kernel's word that there is none.
fn label(pid: u32) -> Result<String, Option<i32>> {
    fs::read_to_string(format!("/proc/{pid}/attr/current")).map_err(|error| error.raw_os_error())
}

/// Every entry of `/proc/PID/ns`.
fn namespaces_of(pid: u32) -> BTreeMap<String, String> {
    let entries = fs::read_dir(format!("/proc/{pid}/ns")).unwrap().flatten();
    let entry = |entry: fs::DirEntry| {
        let link = fs::read_link(entry.path()).unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, link.to_string_lossy().into_owned())
    };
    entries.map(entry).collect()
}

/// Those that a policy names are apart from ours and from every other process's; the others ours.
fn namespaces(all: &[Live], mode: StartMode) {
    let outside = namespaces_of(std::process::id());
    let mut taken: BTreeMap<String, Who> = BTreeMap::new();
    for live in all {
        let declared = policy::of(live.who.role).namespaces(mode);
        let declared: BTreeSet<&str> = declared.iter().map(|namespace| namespace.name()).collect();
        for (name, number) in namespaces_of(live.pid) {
            if declared.contains(name.as_str()) {
                assert_ne!(number, outside[&name], "{:?}: {name}", live.who);
                let other = taken.insert(number, live.who);
                assert_eq!(other, None, "{:?} shares its {name}", live.who);
            } else {
                assert_eq!(number, outside[&name], "{:?}: {name}", live.who);
            }
        }
        if declared.contains("user") {
            let ids = processes::status(live.pid, "Uid").unwrap();
            let own = ids.split_whitespace().next().unwrap();
            let mapped = match policy::of(live.who.role).reads_as_root && mode == StartMode::Root {
                true => vec!["0", own, "1"],
                false => vec![],
            };
            let map = live.file("uid_map");
            let map: Vec<_> = map.split_whitespace().collect();
            assert_eq!(map, mapped, "{:?}: nobody else is mapped", live.who);
            assert_eq!(
                live.file("gid_map"),
                "",
                "{:?}: no group is mapped",
                live.who
            );
        }
    }
}
