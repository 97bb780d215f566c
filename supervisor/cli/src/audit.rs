//! Compares every process of a session with its policy, as the kernel enforces it. Reads `/proc`
//! and the policies that are compiled in; asks no process anything.

use crate::error::{Error, Result, one_line, reason};
use crate::find::{only_display, session_dir};
use crate::options::AuditArgs;
use crate::places::{PID_FILE, Places};
use crate::print;
use crate::proc::{Proc, Process, Seen};
use policy::{Role, StartMode};
use serde::Serialize;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;
use std::time::Duration;

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
    /// Namespaces that are not those of the launcher.
    pub namespaces: Option<Vec<String>>,
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
    let pid_file = dir.join(PID_FILE);
    let supervisor = std::fs::read_to_string(&pid_file)
        .map_err(|error| Error::new(format!("{}: {}", pid_file.display(), reason(&error))))?
        .trim()
        .parse::<u32>()
        .map_err(|_| Error::new(format!("{}: not a process id", pid_file.display())))?;
    let owner = dir
        .metadata()
        .map_err(|error| Error::new(format!("{}: {}", dir.display(), reason(&error))))?
        .uid();
    let mut report = examine(&Proc::default(), display, supervisor, owner)?;
    // A worker that has only just been started is not confined yet: look again.
    for _ in 0..LOOKS {
        if report.differences() == 0 {
            break;
        }
        std::thread::sleep(PAUSE);
        report = examine(&Proc::default(), display, supervisor, owner)?;
    }
    let text = match args.json {
        true => {
            serde_json::to_string_pretty(&report).map_err(|error| Error::new(error.to_string()))?
                + "\n"
        }
        false => in_words(&report),
    };
    print(&text)?;
    Ok(if report.differences() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
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
pub fn examine(proc: &Proc, display: u32, supervisor: u32, owner: u32) -> Result<Report> {
    let head = proc
        .process(supervisor)
        .filter(|process| role_of(&process.args) == Some(Role::Supervisor))
        .ok_or_else(|| {
            Error::new(format!(
                "session :{display} has no supervisor (process {supervisor} is none); bulkhead seamless :{display} would take it over"
            ))
        })?;
    let mode = match head.uids.get(1) {
        Some(uid) if *uid == owner => StartMode::User,
        _ => StartMode::Root,
    };
    let pids = proc.pids();
    let parents: BTreeMap<u32, u32> = pids
        .iter()
        .filter_map(|pid| Some((*pid, proc.parent(*pid)?)))
        .collect();
    let name = format!(":{display}");
    let mut launchers = Vec::new();
    let mut found = Vec::new();
    let mut differences = Vec::new();
    for pid in pids {
        let args = proc.args(pid);
        let child = parents.get(&pid) == Some(&supervisor);
        match role_of(&args) {
            Some(Role::Launcher) if args.get(1) == Some(&name) => {
                // Other users may call a process what they like.
                let wanted = if mode == StartMode::Root { 0 } else { owner };
                launchers.extend(
                    proc.process(pid)
                        .filter(|process| process.uids.iter().all(|uid| *uid == wanted)),
                );
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
    if mode == StartMode::Root {
        for (role, process) in &found {
            let shared = found
                .iter()
                .any(|(other, p)| other != role && p.uids == process.uids);
            if shared || process.uids.iter().any(|uid| *uid == owner || *uid == 0) {
                differences.push(format!(
                    "{role} {} does not have a user id of its own role",
                    process.pid
                ));
            }
        }
    }
    let outside = launchers
        .first()
        .and_then(|launcher| match &launcher.namespaces {
            Seen::Known(namespaces) => Some(namespaces.clone()),
            Seen::Hidden => None,
        });
    let mut processes = vec![entry(Role::Supervisor, &head, mode, outside.as_ref())];
    processes.extend(
        launchers
            .iter()
            .map(|process| entry(Role::Launcher, process, mode, outside.as_ref())),
    );
    found.sort_by_key(|(role, process)| (*role, process.pid));
    processes.extend(
        found
            .iter()
            .map(|(role, process)| entry(*role, process, mode, outside.as_ref())),
    );
    let abi = landlock_abi();
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

fn entry(
    role: Role,
    process: &Process,
    mode: StartMode,
    outside: Option<&BTreeMap<String, u64>>,
) -> Entry {
    let confined = policy::of(role).unconfined.is_none();
    let mut entry = Entry {
        role: role.name(),
        pid: process.pid,
        uid: process.uids.get(1).copied().unwrap_or_default(),
        seccomp: match process.seccomp {
            0 => "none",
            1 => "strict",
            _ => "filter",
        },
        seccomp_filters: process.filters,
        no_new_privs: process.no_new_privs,
        capabilities: capability_names(
            process
                .capabilities
                .get("CapEff")
                .copied()
                .unwrap_or(u64::MAX),
        ),
        dumpable: process.dumpable,
        namespaces: match (&process.namespaces, outside) {
            (Seen::Known(own), Some(outside)) => Some(
                own.iter()
                    .filter(|(name, number)| outside.get(*name) != Some(number))
                    .map(|(name, _)| name.clone())
                    .collect(),
            ),
            _ => None,
        },
        descriptors: match &process.descriptors {
            Seen::Known(all) => Some(all.len()),
            Seen::Hidden => None,
        },
        label: process.label.clone(),
        confined,
        differences: Vec::new(),
        not_readable: Vec::new(),
    };
    if confined {
        compare(role, process, mode, &mut entry);
    }
    entry
}

/// Filters that a role has at least: its own, and a worker that of the supervisor as well.
fn filters(role: Role) -> u32 {
    if role.is_worker() { 2 } else { 1 }
}

fn compare(role: Role, process: &Process, mode: StartMode, entry: &mut Entry) {
    let policy = policy::of(role);
    let mut differs = |text: String| entry.differences.push(text);
    if process.seccomp != 2 {
        differs("no system-call filter".into());
    } else if let Some(count) = process.filters.filter(|count| *count < filters(role)) {
        differs(format!(
            "{count} system-call filters, where {} belong",
            filters(role)
        ));
    }
    if !process.no_new_privs {
        differs("no_new_privs is not set".into());
    }
    if process.dumpable == Some(true) {
        differs("it is dumpable: its owner's other processes may attach".into());
    }
    if process
        .uids
        .iter()
        .any(|uid| process.uids.first() != Some(uid))
    {
        differs(format!("several user ids: {:?}", process.uids));
    }
    let allowed = policy
        .capabilities(mode)
        .iter()
        .filter_map(|name| number_of(name))
        .fold(0, |set, n| set | 1 << n);
    let own_user_namespace = policy
        .namespaces(mode)
        .iter()
        .any(|namespace| namespace.name() == "user");
    for (set, value) in &process.capabilities {
        // Without a user namespace of one's own the bounding set needs a capability to be changed;
        // under no_new_privs it gives nothing.
        let harmless = *set == "CapBnd" && mode == StartMode::User && !own_user_namespace;
        if value & !allowed != 0 && !harmless {
            differs(format!("{set} has {}", capability_names(value & !allowed)));
        }
    }
    for limit in policy.limits {
        let name = limit.resource.proc_name();
        let above = |value: Option<u64>| value.is_none_or(|value| value > limit.value);
        match process.limits.get(name) {
            Some((soft, hard)) if !above(*soft) && !above(*hard) => {}
            Some((_, hard)) => differs(format!(
                "limit {} is {}, where {} belongs",
                limit.resource.name(),
                hard.map_or_else(|| "unlimited".into(), |hard| hard.to_string()),
                limit.value
            )),
            None => differs(format!("limit {} is not there", limit.resource.name())),
        }
    }
    let wanted = policy.namespaces(mode);
    if !wanted.is_empty() {
        match &entry.namespaces {
            Some(own) => {
                for namespace in wanted
                    .iter()
                    .filter(|namespace| !own.iter().any(|name| name == namespace.name()))
                {
                    entry
                        .differences
                        .push(format!("no {} namespace of its own", namespace.name()));
                }
            }
            None => entry.not_readable.push("namespaces"),
        }
        match process.own_root {
            Seen::Known(true) => entry
                .differences
                .push("its root directory is not the empty one".into()),
            Seen::Known(false) => {}
            Seen::Hidden => entry.not_readable.push("root directory"),
        }
    }
    match &process.descriptors {
        Seen::Known(all) => {
            entry.differences.extend(
                all.iter()
                    .filter(|(number, what)| !belongs(role, **number, what))
                    .map(|(number, what)| format!("descriptor {number} is {what}")),
            );
        }
        Seen::Hidden => entry.not_readable.push("descriptors"),
    }
}

/// Whether a role may hold such a descriptor: none but the supervisor and `auth`, which hold what
/// the command line opened for them, have anything with a name in the file system.
fn belongs(role: Role, number: u32, what: &str) -> bool {
    let nameless = ["socket:", "pipe:", "anon_inode:", "/memfd:"]
        .iter()
        .any(|kind| what.starts_with(kind));
    match role {
        Role::Supervisor => true,
        Role::Auth => nameless || what == "/dev/null" || number >= 6,
        _ => nameless || (number == 0 && what == "/dev/null"),
    }
}

/// Names of capabilities by number: capability.h.
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

fn number_of(name: &str) -> Option<usize> {
    CAPABILITIES.iter().position(|known| *known == name)
}

fn capability_names(set: u64) -> String {
    let known = (1_u64 << CAPABILITIES.len()) - 1;
    match set & known {
        0 if set == 0 => "none".to_owned(),
        all if all == known => "all".to_owned(),
        some => {
            let names: Vec<_> = CAPABILITIES
                .iter()
                .enumerate()
                .filter(|(n, _)| some & 1 << n != 0)
                .map(|(_, name)| *name)
                .collect();
            match names.len() {
                0 => format!("{set:#x}"),
                1..=6 => names.join(","),
                many => format!("{many} of {}", CAPABILITIES.len()),
            }
        }
    }
}

fn in_words(report: &Report) -> String {
    let mut rows = vec![
        [
            "ROLE",
            "PID",
            "UID",
            "SECCOMP",
            "NNP",
            "CAPS",
            "ATTACH",
            "NAMESPACES",
            "FDS",
            "LABEL",
            "RESULT",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for entry in &report.processes {
        let hidden = || "?".to_owned();
        rows.push(vec![
            entry.role.to_owned(),
            entry.pid.to_string(),
            entry.uid.to_string(),
            match entry.seccomp_filters {
                Some(count) if entry.seccomp == "filter" => format!("{count} filters"),
                _ => entry.seccomp.to_owned(),
            },
            if entry.no_new_privs { "yes" } else { "no" }.to_owned(),
            entry.capabilities.clone(),
            match entry.dumpable {
                Some(true) => "possible",
                Some(false) => "refused",
                None => "?",
            }
            .to_owned(),
            entry
                .namespaces
                .as_ref()
                .map_or_else(hidden, |own| match own.is_empty() {
                    true => "none".to_owned(),
                    false => own.join(","),
                }),
            entry
                .descriptors
                .map_or_else(hidden, |count| count.to_string()),
            entry.label.clone().unwrap_or_else(|| "-".to_owned()),
            match (entry.confined, entry.differences.len()) {
                (false, _) => "unconfined by design".to_owned(),
                (true, 0) => "as its policy".to_owned(),
                (true, count) => format!("{count} DIFFERENT"),
            },
        ]);
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = format!(
        "Session :{}, started as {}\n\n",
        report.display, report.mode
    );
    for row in &rows {
        let line: Vec<_> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text += line.join("  ").trim_end();
        text.push('\n');
    }
    text.push('\n');
    text += &match report.landlock_abi {
        0 => "Landlock: the running kernel has none\n".to_owned(),
        abi => format!(
            "Landlock: version {abi} of the running kernel, not shown in /proc; a process that could not enter it has not started\n"
        ),
    };
    if !report.landlock_rights_unknown_to_kernel.is_empty() {
        text += &format!(
            "Landlock rights that this kernel does not know (system-call filters and namespaces stand for them): {}\n",
            report.landlock_rights_unknown_to_kernel.join(", ")
        );
    }
    let mut hidden: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entry in &report.processes {
        for what in &entry.not_readable {
            hidden
                .entry(*what)
                .or_default()
                .push(format!("{} {}", entry.role, entry.pid));
        }
    }
    for (what, who) in hidden {
        text += &format!(
            "Not readable by this user (root can): {what} of {}\n",
            who.join(", ")
        );
    }
    for difference in &report.differences {
        text += &format!("DIFFERENT: {}\n", one_line(difference));
    }
    for entry in &report.processes {
        for difference in &entry.differences {
            text += &format!(
                "DIFFERENT: {} {}: {}\n",
                entry.role,
                entry.pid,
                one_line(difference)
            );
        }
    }
    text += &match report.differences() {
        0 => "Everything is as the policies say.\n".to_owned(),
        1 => "One difference.\n".to_owned(),
        count => format!("{count} differences.\n"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
            filters: Some(filters(role)),
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
            descriptors: Seen::Known([(0, "/dev/null".into()), (3, "socket:[1]".into())].into()),
            own_root: Seen::Known(false),
            label: None,
        }
    }

    fn outside() -> BTreeMap<String, u64> {
        ["user", "mnt", "net", "ipc", "uts", "cgroup"]
            .map(|name| (name.to_owned(), 10))
            .into()
    }

    fn differences(role: Role, mode: StartMode, process: &Process) -> Vec<String> {
        entry(role, process, mode, Some(&outside())).differences
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
            ("1 system-call filters", |p| p.filters = Some(1)),
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
        process.descriptors = Seen::Hidden;
        process.own_root = Seen::Hidden;
        let entry = entry(Role::Display, &process, StartMode::User, Some(&outside()));
        assert_eq!(entry.differences, [""; 0]);
        assert_eq!(
            entry.not_readable,
            ["namespaces", "root directory", "descriptors"]
        );
    }

    #[test]
    fn the_launcher_is_shown_and_not_compared() {
        let mut process = perfect(Role::Launcher, StartMode::User);
        (process.seccomp, process.no_new_privs) = (0, false);
        let entry = entry(Role::Launcher, &process, StartMode::User, None);
        assert!(!entry.confined && entry.differences.is_empty());
    }

    #[test]
    fn a_process_that_is_no_supervisor_is_not_audited() {
        let error = examine(&Proc::default(), 7, std::process::id(), 0)
            .unwrap_err()
            .to_string();
        assert!(error.contains("session :7 has no supervisor"), "{error}");
    }

    #[test]
    fn every_capability_of_the_policies_is_known() {
        for role in Role::ALL {
            for mode in StartMode::ALL {
                for name in policy::of(role).capabilities(mode) {
                    assert!(number_of(name).is_some(), "{name}");
                }
            }
        }
        assert_eq!(capability_names(0), "none");
        assert_eq!(capability_names((1 << 41) - 1), "all");
        assert_eq!(capability_names(1 << 5), "CAP_KILL");
        assert_eq!(capability_names(0xff), "8 of 41");
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
                    entry(
                        role,
                        &perfect(role, StartMode::User),
                        StartMode::User,
                        Some(&outside()),
                    )
                })
                .into(),
            differences: vec!["x".into()],
        };
        let text = in_words(&report);
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
