//! The shape of a compiled policy: what `build.rs` writes from `roles/<role>.toml`.

use crate::{Role, StartMode};
use seccompiler::sock_filter;

/// Everything that one policy file says, compiled in.
#[derive(Debug)]
pub struct RolePolicy {
    /// Whose policy this is.
    pub role: Role,
    /// What the process is for, in one sentence.
    pub purpose: &'static str,
    /// Which bytes of others it reads.
    pub parses: &'static str,
    /// What it holds that is worth stealing (words from a closed list).
    pub holds: &'static [&'static str],
    /// How many of these run at a time, in words.
    pub count: &'static str,
    /// Why the role has no sandbox. `None` for all but the launcher.
    pub unconfined: Option<&'static str>,
    /// Whether the process is killed by the kernel when the one that started it ends
    /// (`PR_SET_PDEATHSIG`).
    pub dies_with_parent: bool,
    /// Whether what it computes with is kept out of swap space: its first memory, where secrets get
    /// (`mlock2(2)`, as far as its limit on locked memory goes).
    pub locks_memory: bool,
    /// The roles at the other ends of its channels.
    pub channels: &'static [Role],
    /// The descriptors it has when it is executed; nothing else is open.
    pub descriptors: &'static [Descriptor],
    /// What it may be given later.
    pub received: &'static [Received],
    /// Resource limits.
    pub limits: &'static [Limit],
    /// Namespaces it enters after exec in mode root.
    pub namespaces_root: &'static [Namespace],
    /// Namespaces it enters after exec in mode user.
    pub namespaces_user: &'static [Namespace],
    /// In mode root its user id reads as 0 in its user namespace: for libraries that ask whether
    /// they are root before they read what the kernel lets them read anyway. It gives no right.
    pub reads_as_root: bool,
    /// Capabilities (`CAP_…`) it keeps in mode root.
    pub capabilities_root: &'static [&'static str],
    /// Capabilities it keeps in mode user.
    pub capabilities_user: &'static [&'static str],
    /// Landlock.
    pub landlock: Landlock,
    /// What happens when it dies.
    pub restart: Restart,
    /// The rules of the system-call filter, in the order of the file. What matches none of them
    /// kills the process.
    pub rules: &'static [Rule],
    /// The compiled filter. Empty only for an unconfined role.
    pub filter: &'static [sock_filter],
    /// Filters that answer with an error what [`Rule::refused`] says, one for each error; all else
    /// passes them. The role's filter allows these calls, and of several filters the strictest answer
    /// wins: both are installed, or the process ends.
    pub refusals: &'static [&'static [sock_filter]],
}

impl RolePolicy {
    /// The distinct system calls that can be performed, in alphabetical order: what a budget counts.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        let performed = self.rules.iter().filter(|rule| rule.refused.is_none());
        let mut names: Vec<_> = performed.map(|rule| rule.call).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The namespaces of a start mode.
    #[must_use]
    pub fn namespaces(&self, mode: StartMode) -> &'static [Namespace] {
        match mode {
            StartMode::Root => self.namespaces_root,
            StartMode::User => self.namespaces_user,
        }
    }

    /// The capabilities kept in a start mode.
    #[must_use]
    pub fn capabilities(&self, mode: StartMode) -> &'static [&'static str] {
        match mode {
            StartMode::Root => self.capabilities_root,
            StartMode::User => self.capabilities_user,
        }
    }

    /// The limit of a resource, if the file names it.
    #[must_use]
    pub fn limit(&self, resource: Resource) -> Option<u64> {
        self.limits
            .iter()
            .find(|limit| limit.resource == resource)
            .map(|limit| limit.value)
    }

    /// Whether the process may hold a descriptor of this kind at this number, once it works.
    #[must_use]
    pub fn may_hold(&self, fd: i32, kind: DescriptorKind) -> bool {
        let fixed = self.descriptor(fd).filter(|entry| !entry.closed_at_start);
        // What has the number of an entry that may be missing, or is closed once it was read,
        // may have come later.
        let later = fd > 3 && !matches!(fixed, Some(entry) if entry.is_kept());
        fixed.is_some_and(|entry| entry.kinds.contains(&kind))
            || (later && self.received.iter().any(|received| received.kind == kind))
    }

    /// The descriptor table's entry for a number.
    #[must_use]
    pub fn descriptor(&self, fd: i32) -> Option<&'static Descriptor> {
        self.descriptors
            .iter()
            .find(|entry| entry.fd == fd || (entry.onwards && entry.fd < fd))
    }
}

/// One form of a system call that does not kill: the call and all of the conditions.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The call's name, as in the kernel's table.
    pub call: &'static str,
    /// Its number on x86-64.
    pub number: i64,
    /// What its arguments must be; empty when any arguments are allowed.
    pub conditions: &'static [Condition],
    /// Why the role needs it.
    pub why: &'static str,
    /// Why a call of the dangerous list has no condition, where that is so.
    pub justification: Option<&'static str>,
    /// Which runs take this rule.
    pub path: RulePath,
    /// The error that the call is answered with instead of being performed: for a library that asks
    /// for something it can do without. `None` where it is performed.
    pub refused: Option<Refused>,
}

/// An error as the answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its name, such as `ENOENT`.
    pub name: &'static str,
    /// Its number, errno(3).
    pub errno: u16,
}

/// Which runs of the process take a rule: what the test "every rule is exercised" may excuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RulePath {
    /// Ordinary running.
    Always,
    /// Only when something went wrong.
    ErrorPath,
    /// Only where the kernel offers no vDSO (emulated machines without a TSC).
    NoVdso,
}

/// A condition on one argument.
#[derive(Debug, PartialEq, Eq)]
pub struct Condition {
    /// The argument's index, 0 to 5.
    pub argument: u8,
    /// Whether all 64 bits are compared; else the lower 32, for what the kernel declares as `int`.
    pub wide: bool,
    /// The comparison.
    pub test: Test,
    /// The condition as the file has it, with the argument's name.
    pub text: &'static str,
}

/// A comparison with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// The argument is this value.
    Equal(u64),
    /// No other bit than these is set.
    Within(u64),
    /// All of these bits are set.
    Includes(u64),
    /// The argument is not larger than this value.
    AtMost(u64),
}

impl Condition {
    /// Whether an argument's value meets the condition, as the compiled filter decides it.
    #[must_use]
    pub fn holds_for(&self, value: u64) -> bool {
        let cut = |value: u64| {
            if self.wide {
                value
            } else {
                value & u64::from(u32::MAX)
            }
        };
        let value = cut(value);
        match self.test {
            Test::Equal(wanted) => value == cut(wanted),
            Test::Within(bits) => value & !cut(bits) == 0,
            Test::Includes(bits) => value & cut(bits) == cut(bits),
            Test::AtMost(limit) => value <= cut(limit),
        }
    }

    /// Whether every value that meets this condition also meets `other`.
    #[must_use]
    pub fn implies(&self, other: &Condition) -> bool {
        if self.argument != other.argument || (other.wide && !self.wide) {
            return false;
        }
        match (self.test, other.test) {
            (Test::Equal(value), _) => other.holds_for(value),
            (Test::Within(mine), Test::Within(theirs)) => mine & !theirs == 0,
            (Test::Within(mine), Test::AtMost(limit)) => mine <= limit,
            (Test::Includes(mine), Test::Includes(theirs)) => theirs & !mine == 0,
            (Test::AtMost(mine), Test::AtMost(theirs)) => mine <= theirs,
            _ => false,
        }
    }
}

impl Rule {
    /// Whether this call with these arguments meets the rule.
    #[must_use]
    pub fn covers(&self, number: i64, arguments: &[u64; 6]) -> bool {
        self.number == number
            && self
                .conditions
                .iter()
                .all(|condition| condition.holds_for(arguments[usize::from(condition.argument)]))
    }

    /// Whether everything that meets this rule meets `other` too.
    #[must_use]
    pub fn implies(&self, other: &Rule) -> bool {
        self.number == other.number
            && other.conditions.iter().all(|wanted| {
                self.conditions
                    .iter()
                    .any(|condition| condition.implies(wanted))
            })
    }
}

/// An entry of the descriptor table at exec.
#[derive(Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The number.
    pub fd: i32,
    /// What it is.
    pub what: &'static str,
    /// What kinds of open file it may be. Empty only for an unconfined role.
    pub kinds: &'static [DescriptorKind],
    /// Whether the process may be started without it.
    pub optional: bool,
    /// Whether the entry also stands for all later numbers.
    pub onwards: bool,
    /// Whether the runtime closes it before the first message (the empty root directory).
    pub closed_at_start: bool,
    /// Whether the role reads it in its warm-up and closes it.
    pub read_at_start: bool,
}

impl Descriptor {
    /// Whether it is open as long as the process lives.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !self.optional && !self.onwards && !self.closed_at_start && !self.read_at_start
    }
}

/// Descriptors that come later, over a channel or from a call that the role may make. They have
/// no number of their own.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    /// What they are.
    pub what: &'static str,
    /// What kind of open file they are.
    pub kind: DescriptorKind,
}

/// What a descriptor is, as the kernel shows it in `/proc/PID/fd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DescriptorKind {
    /// `/dev/null`.
    Null,
    /// A pipe.
    Pipe,
    /// One end of a pair of unix sockets of the type `SOCK_SEQPACKET`: a channel of ours.
    Channel,
    /// A connected stream socket, unix or TCP.
    Stream,
    /// A listening stream socket, unix or TCP.
    Listener,
    /// A unix datagram socket.
    Datagram,
    /// Anonymous memory, memfd_create(2).
    Memory,
    /// A process, pidfd_open(2).
    Process,
    /// Signals, signalfd(2).
    Signals,
    /// A file or a directory with a name.
    File,
    /// A terminal or another device.
    Device,
}

impl DescriptorKind {
    /// Every kind.
    pub const ALL: [DescriptorKind; 11] = [
        DescriptorKind::Null,
        DescriptorKind::Pipe,
        DescriptorKind::Channel,
        DescriptorKind::Stream,
        DescriptorKind::Listener,
        DescriptorKind::Datagram,
        DescriptorKind::Memory,
        DescriptorKind::Process,
        DescriptorKind::Signals,
        DescriptorKind::File,
        DescriptorKind::Device,
    ];

    /// The word in the policy files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            DescriptorKind::Null => "null",
            DescriptorKind::Pipe => "pipe",
            DescriptorKind::Channel => "channel",
            DescriptorKind::Stream => "stream",
            DescriptorKind::Listener => "listener",
            DescriptorKind::Datagram => "datagram",
            DescriptorKind::Memory => "memory",
            DescriptorKind::Process => "process",
            DescriptorKind::Signals => "signals",
            DescriptorKind::File => "file",
            DescriptorKind::Device => "device",
        }
    }
}

/// A resource limit; soft and hard limit are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is limited.
    pub resource: Resource,
    /// The value, as in `setrlimit(2)`.
    pub value: u64,
}

/// The resources that a policy limits. `setrlimit(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `RLIMIT_AS`: bytes of address space.
    AddressSpace,
    /// `RLIMIT_CORE`: bytes of a core file.
    Core,
    /// `RLIMIT_DATA`: bytes of private writable memory.
    Data,
    /// `RLIMIT_FSIZE`: bytes of a file, and of a memfd.
    FileSize,
    /// `RLIMIT_MEMLOCK`: bytes of locked memory.
    LockedMemory,
    /// `RLIMIT_MSGQUEUE`: bytes in POSIX message queues.
    MessageQueues,
    /// `RLIMIT_NOFILE`: one more than the highest descriptor.
    Descriptors,
    /// `RLIMIT_NPROC`: processes and threads of the uid.
    Processes,
    /// `RLIMIT_STACK`: bytes of stack.
    Stack,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Resource; 9] = [
        Resource::AddressSpace,
        Resource::Core,
        Resource::Data,
        Resource::FileSize,
        Resource::LockedMemory,
        Resource::MessageQueues,
        Resource::Descriptors,
        Resource::Processes,
        Resource::Stack,
    ];

    /// The name in the policy files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Resource::AddressSpace => "as",
            Resource::Core => "core",
            Resource::Data => "data",
            Resource::FileSize => "fsize",
            Resource::LockedMemory => "memlock",
            Resource::MessageQueues => "msgqueue",
            Resource::Descriptors => "nofile",
            Resource::Processes => "nproc",
            Resource::Stack => "stack",
        }
    }

    /// The line's beginning in `/proc/PID/limits`, for the audit. `proc_pid_limits(5)`.
    #[must_use]
    pub const fn proc_name(self) -> &'static str {
        match self {
            Resource::AddressSpace => "Max address space",
            Resource::Core => "Max core file size",
            Resource::Data => "Max data size",
            Resource::FileSize => "Max file size",
            Resource::LockedMemory => "Max locked memory",
            Resource::MessageQueues => "Max msgqueue size",
            Resource::Descriptors => "Max open files",
            Resource::Processes => "Max processes",
            Resource::Stack => "Max stack size",
        }
    }
}

/// A namespace. `namespaces(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Namespace {
    /// User and capability identifiers; no uid is mapped.
    User,
    /// Mounts; together with a chroot into an empty directory.
    Mount,
    /// Network: an empty one.
    Net,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Host name.
    Uts,
    /// Control groups.
    Cgroup,
}

impl Namespace {
    /// The name of the entry in `/proc/PID/ns`, which is also the name in the policy files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Namespace::User => "user",
            Namespace::Mount => "mnt",
            Namespace::Net => "net",
            Namespace::Ipc => "ipc",
            Namespace::Uts => "uts",
            Namespace::Cgroup => "cgroup",
        }
    }
}

/// What Landlock leaves to the process. Every file-system right that the running kernel knows is
/// handled, so what is not named here is denied.
#[derive(Debug, PartialEq, Eq)]
pub struct Landlock {
    /// The files the process may use.
    pub paths: &'static [LandlockPath],
    /// Whether binding and connecting TCP sockets is denied.
    pub deny_tcp: bool,
    /// Whether abstract unix sockets from outside are out of reach.
    pub scope_abstract_unix: bool,
    /// Whether signals to processes outside are denied.
    pub scope_signal: bool,
}

/// Files that a process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LandlockPath {
    /// `worker-executables`, handed to [`crate::install_landlock`] as descriptors: may be read and
    /// executed.
    WorkerExecutables,
    /// `named-files`, which the configuration names; handed to [`crate::install_landlock`] as
    /// descriptors: may be read.
    NamedFiles,
    /// `read PATH`: this file may be read, if there is one.
    Read(&'static str),
}

/// What happens when a process of the role dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Whether a new one is started at all.
    pub enabled: bool,
    /// The pause before the first restart.
    pub first_pause_ms: u64,
    /// The pauses double up to this one.
    pub longest_pause_ms: u64,
    /// After this many deaths in `within_s`, the feature is turned off for the session.
    pub give_up_after: u32,
    /// The window in which deaths are counted, in seconds.
    pub within_s: u64,
    /// After this many deaths by the sandbox (`SIGSYS`), it is turned off for the session.
    pub give_up_after_violations: u32,
}
