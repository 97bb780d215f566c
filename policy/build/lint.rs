//! What a policy file must not say. The list of dangerous calls follows minijail's
//! `seccomp_policy_lint.py`, longer by what can make or reach code, memory or names.

use crate::build::source::Source;
use crate::types::{Condition, LandlockPath, Namespace, Resource, Role, RulePath, Test};

/// Calls that must carry an argument filter or a written `justification`.
const DANGEROUS: &[&str] = &[
    "accept4",
    "arch_prctl",
    "bind",
    "capset",
    "chroot",
    "clone",
    "close_range",
    "connect",
    "creat",
    "dup3",
    "execve",
    "execveat",
    "fallocate",
    "fchdir",
    "fcntl",
    "ftruncate",
    "futex",
    "getsockopt",
    "ioctl",
    "kill",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "listen",
    "madvise",
    "memfd_create",
    "mlock2",
    "mmap",
    "mprotect",
    "mremap",
    "open",
    "openat",
    "openat2",
    "pidfd_open",
    "pidfd_send_signal",
    "pipe2",
    "prctl",
    "prlimit64",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "seccomp",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setgroups",
    "setresgid",
    "setresuid",
    "setsockopt",
    "shmat",
    "signalfd4",
    "socket",
    "socketpair",
    "tgkill",
    "timerfd_create",
    "tkill",
    "unlink",
    "unlinkat",
    "unshare",
    "waitid",
];

/// Calls that no role may have, whatever the reason: they reach other processes, load code into
/// the kernel, hide their arguments from the filter, or change what names mean.
const NEVER: &[&str] = &[
    "_sysctl",
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "chmod",
    "chown",
    "clock_adjtime",
    "clock_settime",
    "clone3",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "init_module",
    "io_setup",
    "io_submit",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "link",
    "linkat",
    "lookup_dcookie",
    "migrate_pages",
    "mknod",
    "mknodat",
    "modify_ldt",
    "mount",
    "mount_setattr",
    "move_mount",
    "move_pages",
    "name_to_handle_at",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "personality",
    "pidfd_getfd",
    "pivot_root",
    "pkey_mprotect",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "remap_file_pages",
    "rename",
    "renameat",
    "renameat2",
    "request_key",
    "setns",
    "settimeofday",
    "shmat",
    "swapoff",
    "swapon",
    "symlink",
    "symlinkat",
    "syslog",
    "truncate",
    "umount2",
    "uselib",
    "userfaultfd",
    "vfork",
    "vhangup",
];

/// What a role can be said to hold.
const HOLDABLE: &[&str] = &[
    "applications",
    "authorities",
    "backend-secret",
    "backend-socket",
    "child-processes",
    "client-socket",
    "key-data",
    "listening-sockets",
    "login-password",
    "passwords",
    "picture-codecs",
    "pixels",
    "private-keys",
    "public-keys",
    "server-socket",
    "service-keys",
    "shown-code",
    "system-passwords",
    "user-environment",
    "x-cookie",
    "x11",
];

const PROT_EXEC: u64 = 4;

/// All that is wrong with one file.
pub fn file(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut complain = |text: String| wrong.push(text);
    for word in &source.holds {
        if !HOLDABLE.contains(&word.as_str()) {
            complain(format!("holds: `{word}` is not one of {HOLDABLE:?}"));
        }
    }
    for (name, text) in [
        ("purpose", &source.purpose),
        ("parses", &source.parses),
        ("count", &source.count),
    ] {
        if text.trim().is_empty() {
            complain(format!("{name}: is empty"));
        }
    }
    descriptors(source, &mut complain);
    if let Some(reason) = &source.unconfined {
        if source.role != Role::Launcher {
            complain("unconfined: only the launcher may be".into());
        }
        if reason.trim().is_empty() {
            complain("unconfined: needs a reason".into());
        }
        if source.default.is_some() || !source.limits.is_empty() {
            complain("unconfined: has a filter or limits all the same".into());
        }
        if source.locks_memory {
            complain("unconfined: what it starts needs what could be locked".into());
        }
    } else {
        confined(source, &mut complain);
    }
    for (index, rule) in source.rules.iter().enumerate() {
        let place = format!("rule for `{}` ({})", rule.call, rule.why);
        let mut complain = |text: &str| complain(format!("{place}: {text}"));
        if rule.why.trim().is_empty() {
            complain("has no `why`");
        }
        // What is only answered can do nothing.
        let performed = rule.refused.is_none();
        if performed && NEVER.contains(&rule.call) {
            complain("this call is never allowed");
        }
        let dangerous = performed && DANGEROUS.contains(&rule.call);
        match rule.justification {
            None if dangerous && rule.conditions.is_empty() => {
                complain(
                    "a dangerous call needs a condition on its arguments, or a `justification`",
                );
            }
            Some(_) if !dangerous || !rule.conditions.is_empty() => {
                complain("a `justification` is for dangerous calls without conditions only");
            }
            Some(text) if text.trim().len() < 20 => {
                complain("the `justification` says nothing");
            }
            _ => {}
        }
        if performed
            && ["mmap", "mprotect"].contains(&rule.call)
            && !rule.conditions.iter().any(excludes_executable)
        {
            complain("memory could become executable: `prot` must exclude PROT_EXEC");
        }
        if rule.call == "restart_syscall" && rule.path != RulePath::ErrorPath {
            complain("is only taken after a stop: say `only = \"error-path\"`");
        }
        for (other_index, other) in source.rules.iter().enumerate() {
            let earlier_twin = other.implies(rule) && other_index < index;
            if other_index != index && rule.implies(other) && (!other.implies(rule) || earlier_twin)
            {
                complain("duplicate: another rule of this call allows all of it");
            }
        }
    }
    wrong
}

fn excludes_executable(condition: &Condition) -> bool {
    // `prot` is the third argument of both calls.
    condition.argument == 2
        && match condition.test {
            Test::Equal(value) | Test::Within(value) => value & PROT_EXEC == 0,
            Test::AtMost(value) => value < PROT_EXEC,
            Test::Includes(_) => false,
        }
}

fn descriptors(source: &Source, complain: &mut impl FnMut(String)) {
    for (index, entry) in source.descriptors.iter().enumerate() {
        if source.descriptors[..index]
            .iter()
            .any(|other| other.fd == entry.fd)
        {
            complain(format!("descriptors: {} is there twice", entry.fd));
        }
        if entry.fd < 0 || entry.what.trim().is_empty() {
            complain(format!("descriptors: {} is not described", entry.fd));
        }
        if source.unconfined.is_none() && entry.kinds.is_empty() {
            complain(format!("descriptors: {} has no kinds", entry.fd));
        }
    }
    if source.role.is_worker() {
        for fd in 0..=4 {
            match source.descriptors.iter().find(|entry| entry.fd == fd) {
                Some(entry) if entry.optional => {
                    complain(format!("descriptors: {fd} cannot be optional in a worker"));
                }
                Some(entry) if entry.closed_at_start != (fd == 4) => {
                    complain(
                        "descriptors: exactly 4, the root directory, is closed at the start".into(),
                    );
                }
                Some(_) => {}
                None => complain(format!("descriptors: a worker needs {fd}")),
            }
        }
    }
}

/// What a role can hold that nobody else must read, also not from a disk. (Of session keys and passwords on
/// their way the `network` of a connection has its own client's.)
const SECRETS: [&str; 8] = [
    "backend-secret",
    "key-data",
    "login-password",
    "passwords",
    "private-keys",
    "service-keys",
    "shown-code",
    "system-passwords",
];

/// The limit on locked memory of a role that locks memory: the kernel's default.
const LOCKED: u64 = 8 << 20;

/// What holds for every role but the launcher.
fn confined(source: &Source, complain: &mut impl FnMut(String)) {
    if source.default.as_deref() != Some("kill-process") {
        complain("seccomp.default: must be `kill-process`".into());
    }
    if source.rules.is_empty() {
        complain("seccomp.allow: is empty".into());
    }
    let limit = |wanted: Resource| {
        source
            .limits
            .iter()
            .find(|limit| limit.resource == wanted)
            .map(|limit| limit.value)
    };
    if limit(Resource::Core) != Some(0) {
        complain("limits: core must be 0".into());
    }
    let supervisor = source.role == Role::Supervisor;
    if !supervisor && limit(Resource::Processes) != Some(0) {
        complain("limits: nproc must be 0".into());
    }
    for wanted in [
        Resource::Descriptors,
        Resource::FileSize,
        Resource::AddressSpace,
        Resource::LockedMemory,
    ] {
        if !supervisor && limit(wanted).is_none() {
            complain(format!("limits: {} is missing", wanted.name()));
        }
    }
    let secret = source
        .holds
        .iter()
        .find(|it| SECRETS.contains(&it.as_str()));
    if let (Some(secret), false) = (secret, source.locks_memory) {
        complain(format!("locks_memory: false, but it holds `{secret}`"));
    }
    // Enough for what `runtime` locks, and no more than a kernel grants by itself.
    if source.locks_memory && limit(Resource::LockedMemory) != Some(LOCKED) {
        complain("limits: memlock must be 8 MiB with locks_memory".into());
    }
    if limit(Resource::FileSize) == Some(0)
        && source.rules.iter().any(|rule| rule.call == "ftruncate")
    {
        complain("limits: fsize 0 makes sizing a memfd fail, but ftruncate is allowed".into());
    }
    if !supervisor && source.capabilities.iter().any(|list| !list.is_empty()) {
        complain("capabilities: only the supervisor may keep any".into());
    }
    if !source.capabilities[1].is_empty() {
        complain("capabilities: none can be kept in mode user".into());
    }
    if !supervisor
        && source
            .landlock
            .paths
            .contains(&LandlockPath::WorkerExecutables)
    {
        complain("landlock: only the supervisor starts workers".into());
    }
    let landlock = &source.landlock;
    if !(landlock.deny_tcp && landlock.scope_abstract_unix && landlock.scope_signal) {
        complain("landlock: deny_tcp and both scopes are needed".into());
    }
    for (mode, namespaces) in ["root", "user"].iter().zip(&source.namespaces) {
        for wanted in [
            Namespace::User,
            Namespace::Mount,
            Namespace::Net,
            Namespace::Ipc,
            Namespace::Uts,
            Namespace::Cgroup,
        ] {
            if !supervisor && !namespaces.contains(&wanted) {
                complain(format!("namespaces.{mode}: {} is missing", wanted.name()));
            }
        }
    }
    if source.role.is_worker() && !source.dies_with_parent {
        complain("dies_with_parent: a worker ends with the supervisor".into());
    }
}

/// What is wrong between the files: a channel has two ends.
pub fn all(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources {
        for other in &source.channels {
            let back = sources
                .iter()
                .find(|candidate| candidate.role == *other)
                .is_some_and(|candidate| candidate.channels.contains(&source.role));
            if !back || *other == source.role {
                wrong.push(format!(
                    "{}.toml: channels: `{other}` is not the other end of a channel to `{}`",
                    source.role, source.role
                ));
            }
        }
    }
    wrong
}
