//! A policy in words.

use crate::{
    LandlockPath, Limit, Resource, Role, RolePolicy, Rule, RulePath, StartMode, landlock_rights,
};
use std::fmt::Write;

/// What a process can do only with one of these system calls.
pub const ABILITIES: [(&str, &[&str]); 21] = [
    (
        "open or create files",
        &[
            "open",
            "openat",
            "openat2",
            "creat",
            "open_by_handle_at",
            "mknod",
            "mknodat",
        ],
    ),
    (
        "change, rename or remove files by their names",
        &[
            "truncate",
            "rename",
            "renameat",
            "renameat2",
            "link",
            "linkat",
            "symlink",
            "symlinkat",
            "unlink",
            "unlinkat",
            "mkdir",
            "mkdirat",
            "rmdir",
            "chmod",
            "fchmodat",
            "fchmodat2",
            "chown",
            "lchown",
            "fchownat",
        ],
    ),
    ("list directories", &["getdents", "getdents64"]),
    ("make sockets", &["socket"]),
    ("make pairs of sockets", &["socketpair"]),
    ("connect a socket to an address", &["connect"]),
    ("listen at an address", &["bind", "listen"]),
    ("accept connections", &["accept", "accept4"]),
    ("start programs", &["execve", "execveat"]),
    (
        "start processes or threads",
        &["fork", "vfork", "clone", "clone3"],
    ),
    (
        "send signals",
        &[
            "kill",
            "tkill",
            "tgkill",
            "rt_sigqueueinfo",
            "rt_tgsigqueueinfo",
            "pidfd_send_signal",
        ],
    ),
    (
        "see into other processes",
        &[
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "kcmp",
            "pidfd_getfd",
        ],
    ),
    (
        "become another user",
        &[
            "setuid",
            "setgid",
            "setreuid",
            "setregid",
            "setresuid",
            "setresgid",
            "setgroups",
            "setfsuid",
            "setfsgid",
        ],
    ),
    ("raise its limits", &["setrlimit", "prlimit64"]),
    ("give devices commands (ioctl)", &["ioctl"]),
    (
        "mount, or change its root or namespaces",
        &[
            "mount",
            "umount2",
            "pivot_root",
            "chroot",
            "unshare",
            "setns",
            "fsmount",
            "move_mount",
        ],
    ),
    (
        "share memory or messages by System V or POSIX names",
        &["shmget", "shmat", "msgget", "semget", "mq_open"],
    ),
    (
        "use io_uring",
        &["io_uring_setup", "io_uring_enter", "io_uring_register"],
    ),
    (
        "load code into the kernel",
        &[
            "bpf",
            "init_module",
            "finit_module",
            "kexec_load",
            "kexec_file_load",
        ],
    ),
    (
        "use the kernel's keys",
        &["add_key", "request_key", "keyctl"],
    ),
    (
        "set the clock",
        &["settimeofday", "clock_settime", "adjtimex", "clock_adjtime"],
    ),
];

/// The third argument of these says whether memory becomes executable.
const PROTECTING: [&str; 3] = ["mmap", "mprotect", "pkey_mprotect"];
/// `PROT_EXEC`, and all bits that say what memory may be used for (mmap(2)).
const EXECUTE: u64 = 4;
const PROTECTIONS: u64 = 7;

/// Whether a rule lets memory become executable.
fn can_make_executable<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> bool {
    let mut rules = rules
        .into_iter()
        .filter(|rule| PROTECTING.contains(&rule.call));
    rules.any(|rule| {
        let mut values = (0..=PROTECTIONS).filter(|value| value & EXECUTE != 0);
        values.any(|value| {
            let mut conditions = rule.conditions.iter();
            conditions.all(|one| one.argument != 2 || one.holds_for(value))
        })
    })
}

/// What there is no system call for in these rules, in words.
#[must_use]
pub fn denied(rules: &[Rule]) -> Vec<&'static str> {
    let performed = || rules.iter().filter(|rule| rule.refused.is_none());
    let without = |names: &[&str]| !performed().any(|rule| names.contains(&rule.call));
    let abilities = ABILITIES.iter().filter(|(_, names)| without(names));
    let executable = (!can_make_executable(performed())).then_some("make memory executable");
    abilities
        .map(|(words, _)| *words)
        .chain(executable)
        .collect()
}

/// What other roles hold and this one never does.
fn not_held(policy: &RolePolicy) -> Vec<&'static str> {
    let all = Role::ALL.into_iter().flat_map(|role| crate::of(role).holds);
    let all = all.copied().filter(|one| !policy.holds.contains(one));
    all.collect()
}

/// A limit's value with its unit.
fn value(limit: &Limit) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units
        .into_iter()
        .find(|(shift, _)| limit.value.trailing_zeros() >= *shift);
    match (limit.resource, unit) {
        (Resource::Descriptors | Resource::Processes, _) => limit.value.to_string(),
        (_, Some((shift, unit))) if limit.value > 0 => format!("{} {unit}", limit.value >> shift),
        _ => format!("{} bytes", limit.value),
    }
}

/// What a role may do, for people: the text of `bulkhead policy ROLE`.
#[must_use]
pub fn explain(role: Role) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_policy(&mut out, role);
    out
}

fn list(items: &[&str]) -> String {
    if items.is_empty() {
        "none".into()
    } else {
        items.join(", ")
    }
}

fn write_policy(out: &mut String, role: Role) -> std::fmt::Result {
    let policy = crate::of(role);
    writeln!(out, "{role} ({})", role.executable())?;
    writeln!(out, "  {}", policy.purpose)?;
    writeln!(out, "  How many:  {}", policy.count)?;
    writeln!(out, "  Reads:     {}", policy.parses)?;
    writeln!(out, "  Holds:     {}", list(policy.holds))?;
    let channels: Vec<_> = policy.channels.iter().map(|role| role.name()).collect();
    writeln!(out, "  Talks to:  {}", list(&channels))?;

    writeln!(
        out,
        "\nDescriptors when it is executed (nothing else is open):"
    )?;
    for entry in policy.descriptors {
        let mark = if entry.onwards {
            ", and so on"
        } else if entry.optional {
            ", if there is one"
        } else if entry.closed_at_start || entry.read_at_start {
            ", closed before the first message"
        } else {
            ""
        };
        writeln!(out, "  {:>2}  {}{mark}", entry.fd, entry.what)?;
    }

    if !policy.received.is_empty() {
        writeln!(out, "\nDescriptors that it gets later:")?;
        for entry in policy.received {
            writeln!(out, "      {}", entry.what)?;
        }
    }

    let restart = &policy.restart;
    if restart.enabled {
        writeln!(
            out,
            "\nWhen it dies, a new one is started after {} ms, later ones after up to {} ms; after {} deaths \
             within {} s, or {} deaths by its own sandbox, it stays away for the session.",
            restart.first_pause_ms,
            restart.longest_pause_ms,
            restart.give_up_after,
            restart.within_s,
            restart.give_up_after_violations
        )?;
    } else {
        writeln!(out, "\nWhen it dies, no new one is started in its place.")?;
    }
    if let Some(reason) = policy.unconfined {
        return writeln!(out, "\nUNCONFINED: {reason}");
    }

    writeln!(out, "\nIt may not, because it has no system call for it:")?;
    for words in denied(policy.rules) {
        writeln!(out, "  {words}")?;
    }
    writeln!(out, "It never holds: {}", list(&not_held(policy)))?;

    writeln!(out, "\nCapabilities:")?;
    for mode in StartMode::ALL {
        writeln!(out, "  {mode:<5} {}", list(policy.capabilities(mode)))?;
    }
    writeln!(out, "Namespaces of its own:")?;
    for mode in StartMode::ALL {
        let names: Vec<_> = policy
            .namespaces(mode)
            .iter()
            .map(|one| one.name())
            .collect();
        writeln!(out, "  {mode:<5} {}", list(&names))?;
    }
    if policy.reads_as_root {
        writeln!(
            out,
            "  root: its user id reads as 0 inside, which gives it no right"
        )?;
    }
    if policy.locks_memory {
        writeln!(
            out,
            "Memory: where its secrets get is not written to swap space, as far as its limit goes"
        )?;
    }
    writeln!(out, "Limits:")?;
    for limit in policy.limits {
        let name = limit.resource.proc_name().trim_start_matches("Max ");
        writeln!(out, "  {name:<18} {}", value(limit))?;
    }

    writeln!(
        out,
        "Landlock ({} rights and scopes, as far as the kernel knows them):",
        landlock_rights().len()
    )?;
    if policy.landlock.paths.is_empty() {
        writeln!(out, "  no file, no directory, no device")?;
    }
    for path in policy.landlock.paths {
        match path {
            LandlockPath::WorkerExecutables => {
                writeln!(
                    out,
                    "  reads and executes the workers' executables; nothing else"
                )?;
            }
            LandlockPath::NamedFiles => {
                writeln!(out, "  reads the files that its configuration names")?;
            }
            LandlockPath::Read(path) => writeln!(out, "  reads {path}")?,
        }
    }
    if policy.landlock.deny_tcp {
        writeln!(out, "  binds and connects no TCP port")?;
    }
    if policy.landlock.scope_abstract_unix {
        writeln!(out, "  reaches no abstract unix socket from outside")?;
    }
    if policy.landlock.scope_signal {
        writeln!(out, "  signals no process outside")?;
    }

    writeln!(
        out,
        "\nSystem calls ({} of them; anything else kills the process):",
        policy.calls().len()
    )?;
    for rule in policy.rules {
        let conditions: Vec<_> = rule.conditions.iter().map(|one| one.text).collect();
        writeln!(out, "  {}({})", rule.call, conditions.join(", "))?;
        let mark = match rule.path {
            RulePath::Always => "",
            RulePath::ErrorPath => " [only when something went wrong]",
            RulePath::NoVdso => " [only without a vDSO]",
        };
        writeln!(out, "      {}{mark}", rule.why)?;
        if let Some(refused) = rule.refused {
            writeln!(out, "      not performed: answered with {}", refused.name)?;
        }
        if let Some(text) = rule.justification {
            writeln!(out, "      any arguments: {text}")?;
        }
    }
    Ok(())
}
