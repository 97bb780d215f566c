//! Compares every process of a session with its policy, as the kernel enforces it. Reads `/proc`
//! and the policies that are compiled in; asks no process anything.

mod capabilities;
mod compare;
pub mod descriptors;
mod record;
mod table;

use crate::error::{Error, Result};
use crate::find::{only_display, session_dir};
use crate::options::AuditArgs;
use crate::places::Places;
use crate::print;
use crate::proc::{Proc, Seen};
use compare::{Around, entry};
use policy::{Role, StartMode};
use record::Record;
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

/// The exit code of an audit that found a difference: not that of one that found no session.
const DIFFERENT: u8 = 3;
/// How often a difference is looked at again.
const LOOKS: usize = 5;
/// How long after the last look.
const PAUSE: Duration = Duration::from_millis(100);

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The session's display.
    pub display: u32,
    /// `root` or `user`.
    pub mode: &'static str,
    /// Which Landlock the running kernel offers; 0: none.
    pub landlock_abi: u32,
    /// What our policies ask of Landlock and the running kernel does not know.
    pub landlock_rights_unknown_to_kernel: Vec<&'static str>,
    /// One for each process.
    pub processes: Vec<Entry>,
    /// What is not as the policy says, about the session as a whole.
    pub differences: Vec<String>,
    /// How root looks at what this user may not read, if there is any.
    pub root_command: Option<String>,
}

/// One process.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Its role.
    pub role: &'static str,
    /// Its id.
    pub pid: u32,
    /// Its effective user id.
    pub uid: u32,
    /// `filter`, `strict` or `none`.
    pub seccomp: &'static str,
    /// How many filters, where the kernel counts them.
    pub seccomp_filters: Option<u32>,
    /// `no_new_privs`.
    pub no_new_privs: bool,
    /// Capabilities in effect.
    pub capabilities: String,
    /// Whether its owner's other processes may attach.
    pub dumpable: Option<bool>,
    /// Namespaces that are known not to be those of the launcher.
    pub namespaces: Vec<String>,
    /// Namespaces that belong to it, of which this user may not know.
    pub namespaces_not_readable: Vec<&'static str>,
    /// How many descriptors are open.
    pub descriptors: Option<usize>,
    /// Its security label.
    pub label: Option<String>,
    /// Whether the policy confines it.
    pub confined: bool,
    /// What is not as the policy says.
    pub differences: Vec<String>,
    /// What this user may not know.
    pub not_readable: Vec<&'static str>,
}

impl Report {
    /// How many differences there are.
    #[must_use]
    pub fn differences(&self) -> usize {
        self.differences.len()
            + self
                .processes
                .iter()
                .map(|entry| entry.differences.len())
                .sum::<usize>()
    }

    /// How many facts this user may not know.
    #[must_use]
    pub fn not_readable(&self) -> usize {
        let facts = self.processes.iter().map(|entry| entry.not_readable.len());
        facts.sum()
    }
}

/// Runs the audit of a session and prints it.
///
/// # Errors
/// There is no such session.
pub fn run(args: &AuditArgs) -> Result<ExitCode> {
    let places = Places::find(&args.places)?;
    let display = args.display.map_or_else(|| only_display(&places), Ok)?;
    let dir = session_dir(display, &places).ok_or_else(|| {
        Error::new(format!(
            "there is no session :{display}; bulkhead list shows those there are"
        ))
    })?;
    let record = Record::read(&dir, display)?;
    let mut report = examine(&Proc::default(), record)?;
    // A worker that has only just been started is not confined yet: look again.
    for _ in 0..LOOKS {
        if report.differences() == 0 {
            break;
        }
        std::thread::sleep(PAUSE);
        report = examine(&Proc::default(), record)?;
    }
    if report.not_readable() > 0 {
        let sessions = dir.parent().unwrap_or(&dir).display();
        report.root_command = Some(format!(
            "sudo bulkhead audit --sessions-dir={sessions} :{display}"
        ));
    }
    let text = match args.json {
        true => {
            serde_json::to_string_pretty(&report).map_err(|error| Error::new(error.to_string()))?
                + "\n"
        }
        false => table::in_words(&report),
    };
    print(&text)?;
    Ok(if report.differences() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(DIFFERENT)
    })
}

/// The role that a process's own name claims.
fn role_of(args: &[String]) -> Option<Role> {
    let name = args.first()?.rsplit('/').next()?;
    Role::ALL.into_iter().find(|role| role.executable() == name)
}

/// Looks at all processes of a session.
///
/// # Errors
/// The supervisor does not run.
pub fn examine(proc: &Proc, record: Record) -> Result<Report> {
    let Record {
        display,
        supervisor,
        mode,
        user,
    } = record;
    let name = format!(":{display}");
    let head = proc
        .process(supervisor)
        .filter(|process| role_of(&process.args) == Some(Role::Supervisor))
        .filter(|process| process.args.get(1) == Some(&name))
        .ok_or_else(|| {
            Error::new(format!(
                "session :{display} has no supervisor (process {supervisor} is none); bulkhead seamless :{display} would take it over"
            ))
        })?;
    if !record.is_ours(&head.uids) {
        let whose = head.uids.first().copied().unwrap_or_default();
        return Err(Error::new(format!(
            "process {supervisor} belongs to the user {whose}: the session directory of the user {user} is not believed about it"
        )));
    }
    let pids = proc.pids();
    let parents: BTreeMap<u32, u32> = pids
        .iter()
        .filter_map(|pid| Some((*pid, proc.parent(*pid)?)))
        .collect();
    let mut launchers = Vec::new();
    let mut found = Vec::new();
    let mut differences = Vec::new();
    for pid in &pids {
        let pid = *pid;
        let args = proc.args(pid);
        let child = parents.get(&pid) == Some(&supervisor);
        match role_of(&args) {
            Some(Role::Launcher) if args.get(1) == Some(&name) => {
                // Other users may call a process what they like.
                launchers.extend(proc.process(pid).filter(|process| {
                    let mut uids = process.uids.iter();
                    uids.all(|uid| *uid == record.launcher())
                }));
            }
            Some(role) if child && role.is_worker() => {
                if let Some(process) = proc.process(pid) {
                    found.push((role, process));
                }
            }
            _ if child && !args.is_empty() => {
                differences.push(format!(
                    "the supervisor has a child that no policy knows: process {pid}, {}",
                    args[0]
                ));
            }
            _ => {}
        }
    }
    // Started by the launcher, whose other children are the X server and the applications.
    for pid in pids {
        let parent = parents.get(&pid);
        let ours = launchers
            .iter()
            .any(|launcher| Some(&launcher.pid) == parent);
        let role = role_of(&proc.args(pid)).filter(|role| ours && role.is_of_launcher());
        if let Some(role) = role {
            found.extend(proc.process(pid).map(|process| (role, process)));
        }
    }
    for (role, process) in &found {
        if let Some((child, _)) = parents.iter().find(|(_, parent)| **parent == process.pid) {
            differences.push(format!(
                "{role} {} has a child: process {child}",
                process.pid
            ));
        }
    }
    for role in [Role::Auth, Role::Display] {
        let count = found.iter().filter(|(other, _)| *other == role).count();
        if count != 1 {
            differences.push(format!(
                "{count} processes of the role {role}, where one belongs"
            ));
        }
    }
    if launchers.len() != 1 {
        differences.push(format!(
            "{} processes of the role launcher, where one belongs",
            launchers.len()
        ));
    }
    for (role, process) in &found {
        let shared = mode == StartMode::Root
            && (process.uids == head.uids
                || found
                    .iter()
                    .any(|(other, p)| other != role && p.uids == process.uids));
        if shared || !record.is_ours(&process.uids) {
            let wanted = match mode {
                StartMode::Root => "a user id of its own role",
                StartMode::User => "the session's user id",
            };
            differences.push(format!("{role} {} does not have {wanted}", process.pid));
        }
    }
    let around = Around {
        mode,
        outside: launchers
            .first()
            .and_then(|launcher| match &launcher.namespaces {
                Seen::Known(namespaces) => Some(namespaces.clone()),
                Seen::Hidden => None,
            }),
        outside_filters: launchers
            .first()
            .and_then(|launcher| launcher.filters)
            .unwrap_or(0),
        sockets: proc.sockets(),
    };
    let mut processes = vec![entry(Role::Supervisor, &head, &around)];
    processes.extend(
        launchers
            .iter()
            .map(|process| entry(Role::Launcher, process, &around)),
    );
    found.sort_by_key(|(role, process)| (*role, process.pid));
    processes.extend(
        found
            .iter()
            .map(|(role, process)| entry(*role, process, &around)),
    );
    let abi = landlock_abi();
    if abi == 0 {
        differences.push("the running kernel has no Landlock".into());
    }
    Ok(Report {
        display,
        mode: mode.name(),
        landlock_abi: abi,
        landlock_rights_unknown_to_kernel: policy::landlock_rights()
            .iter()
            .filter(|(since, _)| *since > abi)
            .map(|(_, name)| *name)
            .collect(),
        processes,
        differences,
        root_command: None,
    })
}

/// The Landlock that the running kernel offers: landlock_create_ruleset(2), the question for the
/// version.
fn landlock_abi() -> u32 {
    const VERSION: libc::c_long = 1;
    // SAFETY: with this flag the call makes nothing and reads no memory.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            VERSION,
        )
    };
    u32::try_from(answer).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::capabilities::number_of;
    use super::compare::filters;
    use super::descriptors::Socket;
    use super::*;
    use crate::proc::Process;
    use policy::DescriptorKind as Kind;

    /// A container has three of its own.
    const OUTSIDE_FILTERS: u32 = 3;

    /// A process that is exactly as the policy of its role says.
    fn perfect(role: Role, mode: StartMode) -> Process {
        let policy = policy::of(role);
        let allowed = policy
            .capabilities(mode)
            .iter()
            .filter_map(|name| number_of(name))
            .fold(0, |s, n| s | 1 << n);
        let namespace =
            |name: &str| u64::from(policy.namespaces(mode).iter().any(|n| n.name() == name));
        Process {
            pid: 7,
            parent: 1,
            args: vec![role.executable().into()],
            uids: vec![1000; 4],
            no_new_privs: true,
            seccomp: 2,
            filters: Some(OUTSIDE_FILTERS + filters(role)),
            capabilities: crate::proc::CAPABILITY_SETS
                .map(|set| (set, allowed))
                .into(),
            limits: policy
                .limits
                .iter()
                .map(|limit| {
                    (
                        limit.resource.proc_name().to_owned(),
                        (Some(limit.value), Some(limit.value)),
                    )
                })
                .collect(),
            dumpable: Some(false),
            namespaces: Seen::Known(
                outside()
                    .into_iter()
                    .map(|(n, v)| (n.clone(), v + namespace(&n)))
                    .collect(),
            ),
            apart: Vec::new(),
            descriptors: Seen::Known(
                policy
                    .descriptors
                    .iter()
                    .filter(|entry| entry.is_kept())
                    .filter_map(|entry| {
                        let link = match entry.kinds.first() {
                            None => return None,
                            Some(Kind::Null) => "/dev/null",
                            Some(Kind::Pipe) => "pipe:[1]",
                            Some(Kind::Channel) => "socket:[5]",
                            Some(Kind::Stream) => "socket:[1]",
                            Some(Kind::Memory) => "/memfd:x",
                            Some(Kind::File) => "/a/file",
                            other => panic!("{other:?}"),
                        };
                        Some((u32::try_from(entry.fd).unwrap(), link.into()))
                    })
                    .collect(),
            ),
            own_root: Seen::Known(false),
            label: None,
        }
    }

    fn outside() -> BTreeMap<String, u64> {
        ["user", "mnt", "net", "ipc", "uts", "cgroup"]
            .map(|name| (name.to_owned(), 10))
            .into()
    }

    /// A kernel with one socket of each kind, numbered as its type is.
    fn around(mode: StartMode) -> Around {
        let socket = |inode, kind, what: &str| {
            let what = what.to_owned();
            (inode, Socket { kind, what })
        };
        Around {
            mode,
            outside: Some(outside()),
            outside_filters: OUTSIDE_FILTERS,
            sockets: [
                socket(1, Some(Kind::Stream), "a stream"),
                socket(2, Some(Kind::Datagram), "a datagram socket"),
                socket(3, None, "a raw socket"),
                socket(5, Some(Kind::Channel), "a channel"),
                socket(9, Some(Kind::Listener), "a listener"),
            ]
            .into(),
        }
    }

    fn differences(role: Role, mode: StartMode, process: &Process) -> Vec<String> {
        entry(role, process, &around(mode)).differences
    }

    #[test]
    fn what_is_as_the_policy_says_is_no_difference() {
        for role in Role::ALL {
            for mode in StartMode::ALL {
                assert_eq!(
                    differences(role, mode, &perfect(role, mode)),
                    [""; 0],
                    "{role} {mode}"
                );
            }
        }
    }

    #[test]
    fn every_single_weakening_is_a_difference() {
        type Weaken = fn(&mut Process);
        let weaken: [(&str, Weaken); 12] = [
            ("no system-call filter", |p| p.seccomp = 0),
            ("4 system-call filters", |p| p.filters = Some(4)),
            ("no_new_privs", |p| p.no_new_privs = false),
            ("dumpable", |p| p.dumpable = Some(true)),
            ("several user ids", |p| p.uids[2] = 0),
            ("CapEff has CAP_SYS_ADMIN", |p| {
                p.capabilities.insert("CapEff", 1 << 21);
            }),
            ("CapBnd has all", |p| {
                p.capabilities.insert("CapBnd", u64::MAX >> 23);
            }),
            ("limit nofile is 99999", |p| {
                p.limits
                    .insert("Max open files".into(), (Some(1), Some(99_999)));
            }),
            ("limit core is unlimited", |p| {
                p.limits
                    .insert("Max core file size".into(), (Some(0), None));
            }),
            ("no net namespace", |p| {
                p.namespaces = Seen::Known(outside())
            }),
            ("root directory", |p| p.own_root = Seen::Known(true)),
            ("descriptor 9 is /etc/passwd", |p| {
                let Seen::Known(all) = &mut p.descriptors else {
                    return;
                };
                all.insert(9, "/etc/passwd".into());
            }),
        ];
        for mode in StartMode::ALL {
            for (wanted, change) in weaken {
                let mut process = perfect(Role::Network, mode);
                change(&mut process);
                let found = differences(Role::Network, mode, &process);
                assert!(
                    found.iter().any(|text| text.contains(wanted)),
                    "{wanted}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_hidden_is_named_and_no_difference() {
        let mut process = perfect(Role::Display, StartMode::User);
        process.namespaces = Seen::Hidden;
        process.apart = vec!["user", "mnt", "net"];
        process.descriptors = Seen::Hidden;
        process.own_root = Seen::Hidden;
        let entry = entry(Role::Display, &process, &around(StartMode::User));
        assert_eq!(entry.differences, [""; 0]);
        assert_eq!(
            entry.not_readable,
            ["root directory", "other namespaces", "descriptors"]
        );
        assert_eq!(entry.namespaces, ["user", "mnt", "net"]);
        assert_eq!(entry.namespaces_not_readable, ["ipc", "uts", "cgroup"]);
    }

    /// Even the user is shown that a process shares a namespace that everybody can see into.
    #[test]
    fn what_is_hidden_hides_no_difference_that_is_shown() {
        let mut process = perfect(Role::Display, StartMode::User);
        process.namespaces = Seen::Hidden;
        process.apart = vec!["user", "mnt"];
        assert_eq!(
            differences(Role::Display, StartMode::User, &process),
            ["no net namespace of its own"]
        );
    }

    /// Every kind of descriptor at every number of a worker's table, and one more: only what the
    /// policy names is none.
    #[test]
    fn every_other_descriptor_is_a_difference() {
        let links = [
            ("/dev/null", Some(Kind::Null)),
            ("pipe:[1]", Some(Kind::Pipe)),
            ("socket:[5]", Some(Kind::Channel)),
            ("socket:[1]", Some(Kind::Stream)),
            ("socket:[9]", Some(Kind::Listener)),
            ("socket:[2]", Some(Kind::Datagram)),
            ("socket:[3]", None),
            ("socket:[77]", None),
            ("/memfd:x (deleted)", Some(Kind::Memory)),
            ("anon_inode:[pidfd]", Some(Kind::Process)),
            ("anon_inode:[signalfd]", Some(Kind::Signals)),
            ("anon_inode:[eventpoll]", None),
            ("/etc/passwd", Some(Kind::File)),
            ("/dev/mem", Some(Kind::Device)),
        ];
        let mut refused = BTreeMap::new();
        for role in Role::ALL.into_iter().filter(|role| *role != Role::Launcher) {
            for (link, kind) in links {
                for number in 0..8 {
                    let mut process = perfect(role, StartMode::User);
                    let Seen::Known(all) = &mut process.descriptors else {
                        panic!("hidden");
                    };
                    all.insert(number, link.into());
                    let found = differences(role, StartMode::User, &process);
                    let fd = i32::try_from(number).unwrap();
                    let allowed = kind.is_some_and(|kind| policy::of(role).may_hold(fd, kind));
                    assert_eq!(
                        found.is_empty(),
                        allowed,
                        "{role} {number} {link}: {found:?}"
                    );
                    if !allowed {
                        *refused.entry(role).or_insert(0) += 1;
                    }
                }
            }
        }
        // A second client in a `network`, a listener or a file anywhere, a TCP connection in
        // `encoder`: said once more, without the table.
        let at = |role: Role, fd, kind| policy::of(role).may_hold(fd, kind);
        assert!(at(Role::Network, 5, Kind::Stream) && !at(Role::Network, 6, Kind::Stream));
        assert!(!at(Role::Encoder, 4, Kind::Stream) && !at(Role::Auth, 7, Kind::Stream));
        for role in Role::WORKERS {
            assert!((0..99).all(|fd| !at(role, fd, Kind::Listener)), "{role}");
            assert!(
                !at(role, 4, Kind::File) && !at(role, 3, Kind::Stream),
                "{role}"
            );
            assert!(refused[&role] > 70, "{role}: {}", refused[&role]);
        }
    }

    #[test]
    fn a_descriptor_that_is_missing_is_a_difference() {
        let mut process = perfect(Role::Network, StartMode::User);
        let Seen::Known(all) = &mut process.descriptors else {
            panic!("hidden");
        };
        all.remove(&3);
        assert_eq!(
            differences(Role::Network, StartMode::User, &process),
            ["descriptor 3 is not open"]
        );
    }

    #[test]
    fn the_launcher_has_no_sandbox_to_compare_but_nobody_may_attach() {
        let mut process = perfect(Role::Launcher, StartMode::User);
        (process.seccomp, process.no_new_privs) = (0, false);
        let seen = entry(Role::Launcher, &process, &around(StartMode::User));
        assert!(!seen.confined && seen.differences.is_empty());
        process.dumpable = Some(true);
        let seen = entry(Role::Launcher, &process, &around(StartMode::User));
        assert!(seen.differences[0].contains("may attach"), "{seen:?}");
    }

    #[test]
    fn a_process_that_is_no_supervisor_is_not_audited() {
        let record = Record {
            display: 7,
            supervisor: std::process::id(),
            mode: StartMode::User,
            user: nix::unistd::geteuid().as_raw(),
        };
        let error = examine(&Proc::default(), record).unwrap_err().to_string();
        assert!(error.contains("session :7 has no supervisor"), "{error}");
    }

    #[test]
    fn the_table_is_readable() {
        let report = Report {
            display: 7,
            mode: "user",
            landlock_abi: 2,
            landlock_rights_unknown_to_kernel: vec!["connect_tcp"],
            processes: [Role::Supervisor, Role::Launcher, Role::Network]
                .map(|role| {
                    let process = perfect(role, StartMode::User);
                    entry(role, &process, &around(StartMode::User))
                })
                .into(),
            differences: vec!["x".into()],
            root_command: None,
        };
        let text = table::in_words(&report);
        assert!(
            text.contains("ROLE        PID") && text.ends_with("DIFFERENT: x\nOne difference.\n"),
            "{text}"
        );
        assert!(
            serde_json::to_string(&report)
                .unwrap()
                .contains("\"role\":\"network\"")
        );
    }
}
