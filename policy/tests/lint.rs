//! The linter: a good file passes, and each way of being wrong is found and named.

#[allow(
    dead_code,
    reason = "the build script uses all of it, a test only a part"
)]
#[path = "../build/mod.rs"]
mod build;

mod types {
    pub use policy::*;
}

use policy::Role;

const GOOD: &str = r#"
purpose = "tests the linter"
parses = "nothing"
holds = ["pixels"]
count = "none"
channels = ["supervisor"]
dies_with_parent = true
locks_memory = false

[[descriptors]]
fd = 0
what = "a"
kinds = ["null"]
[[descriptors]]
fd = 1
what = "b"
kinds = ["null"]
[[descriptors]]
fd = 2
what = "c"
kinds = ["null"]
[[descriptors]]
fd = 3
what = "d"
kinds = ["null"]
[[descriptors]]
fd = 4
what = "e"
kinds = ["null"]
closed_at_start = true

[limits]
as = "1 GiB"
core = 0
fsize = 0
memlock = 0
nofile = 16
nproc = 0

[namespaces]
root = ["user", "mnt", "net", "ipc", "uts", "cgroup"]
user = ["user", "mnt", "net", "ipc", "uts", "cgroup"]

[capabilities]
root = []
user = []

[landlock]
paths = []
deny_tcp = true
scopes = ["abstract-unix", "signal"]

[restart]
enabled = false

[seccomp]
default = "kill-process"

[[seccomp.allow]]
call = "exit_group"
why = "the end"

[[seccomp.allow]]
call = "mmap"
when = ["prot within PROT_READ|PROT_WRITE", "flags == MAP_SHARED"]
why = "buffers"
"#;

/// Everything that is wrong with a file, as one text.
fn judge(text: &str) -> String {
    match build::source::read(Role::Encoder, text) {
        Ok(source) => build::lint::file(&source).join("\n"),
        Err(error) => error,
    }
}

fn with_rule(rule: &str) -> String {
    judge(&format!("{GOOD}\n[[seccomp.allow]]\n{rule}\n"))
}

fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    judge(&GOOD.replacen(from, to, 1))
}

#[test]
fn a_good_file_passes() {
    assert_eq!(judge(GOOD), "");
}

#[test]
fn the_shipped_files_pass() {
    let mut sources = Vec::new();
    for role in Role::ALL {
        let path = format!("{}/roles/{role}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("the file is there");
        let source = build::source::read(role, &text).expect("the file can be read");
        assert_eq!(build::lint::file(&source), Vec::<String>::new());
        let filter = build::emit::compile(&source).expect("it compiles");
        assert_eq!(filter, policy::filter(role), "{role}: what is embedded");
        let refusals = build::emit::refusals(&source).expect("they compile");
        assert_eq!(refusals, policy::of(role).refusals, "{role}: refusals");
        sources.push(source);
    }
    assert_eq!(build::lint::all(&sources), Vec::<String>::new());
}

#[test]
fn bad_rules_are_found() {
    for (rule, complaint) in [
        (
            "call = 'nonsense'\nwhy = 'x'",
            "no system call has this name",
        ),
        ("call = 'getpid'\nwhy = ' '", "has no `why`"),
        ("call = 'getpid'", "missing field `why`"),
        ("call = 'getpid'\nwhy = 'x'\nwhatever = 1", "unknown field"),
        ("call = 'ioctl'\nwhy = 'x'", "needs a condition"),
        ("call = 'prctl'\nwhy = 'x'", "needs a condition"),
        ("call = 'clone'\nwhy = 'x'", "needs a condition"),
        ("call = 'recvmsg'\nwhy = 'x'", "needs a condition"),
        (
            "call = 'kill'\nwhy = 'x'\njustification = 'because'",
            "says nothing",
        ),
        (
            "call = 'getpid'\nwhy = 'x'\njustification = 'this one is not dangerous at all'",
            "for dangerous calls",
        ),
        ("call = 'clone3'\nwhy = 'x'", "never allowed"),
        ("call = 'ptrace'\nwhy = 'x'", "never allowed"),
        ("call = 'io_uring_setup'\nwhy = 'x'", "never allowed"),
        (
            "call = 'mmap'\nwhy = 'x'\nwhen = ['flags == MAP_SHARED']",
            "executable",
        ),
        (
            "call = 'mmap'\nwhy = 'x'\nwhen = ['prot within PROT_READ|PROT_EXEC']",
            "executable",
        ),
        (
            "call = 'mmap'\nwhy = 'x'\nwhen = ['prot == 7']",
            "executable",
        ),
        (
            "call = 'mmap'\nwhy = 'x'\nwhen = ['prot <= 4']",
            "executable",
        ),
        (
            "call = 'mmap'\nwhy = 'x'\nwhen = ['prot includes PROT_READ']",
            "executable",
        ),
        (
            "call = 'mprotect'\nwhy = 'x'\nwhen = ['length <= 4096']",
            "executable",
        ),
        (
            "call = 'mprotect'\nwhy = 'x'\njustification = 'the linter must see through this one'",
            "executable",
        ),
        ("call = 'exit_group'\nwhy = 'x'", "duplicate"),
        (
            "call = 'mmap'\nwhy = 'x'\nwhen = ['prot == PROT_READ', 'flags == MAP_SHARED']",
            "duplicate",
        ),
        (
            "call = 'close'\nwhy = 'x'\nwhen = ['fd == 1']",
            "arguments of this call",
        ),
        (
            "call = 'write'\nwhy = 'x'\nwhen = ['descriptor == 1']",
            "no argument `descriptor`",
        ),
        (
            "call = 'write'\nwhy = 'x'\nwhen = ['fd == ONE']",
            "neither a number nor a constant",
        ),
        (
            "call = 'write'\nwhy = 'x'\nwhen = ['fd != 1']",
            "is not `ARGUMENT",
        ),
        (
            "call = 'write'\nwhy = 'x'\nwhen = ['fd']",
            "is not `ARGUMENT",
        ),
        ("call = 'write'\nwhy = 'x'\nonly = 'sometimes'", "only:"),
        (
            "call = 'restart_syscall'\nwhy = 'x'",
            "only taken after a stop",
        ),
        (
            "call = 'ftruncate'\nwhy = 'x'\nwhen = ['length <= 4096']",
            "fsize 0",
        ),
    ] {
        let got = with_rule(rule);
        assert!(
            got.contains(complaint),
            "{rule}\n  gave: {got}\n  wanted: {complaint}"
        );
    }
}

/// What is answered with an error instead of being performed may be any call, but not one that is allowed too.
#[test]
fn refusals_are_judged() {
    for (entry, complaint) in [
        ("call = 'ptrace'\nwhy = 'x'\nwith = 'ENOENT'", ""),
        ("call = 'ptrace'\nwhy = 'x'", "`with` names the error"),
        ("call = 'ptrace'\nwhy = 'x'\nwith = 'EWHAT'", "EWHAT"),
        ("call = 'ptrace'\nwhy = 'x'\nwith = '1'", "is no error"),
        (
            "call = 'ptrace'\nwhy = 'x'\nwith = 'ENOENT|1'",
            "is no error",
        ),
        (
            "call = 'ptrace'\nwhy = 'x'\nwith = 'PROT_READ'",
            "is no error",
        ),
        ("call = 'ptrace'\nwith = 'ENOENT'", "missing field `why`"),
        (
            "call = 'exit_group'\nwhy = 'x'\nwith = 'ENOENT'",
            "duplicate",
        ),
    ] {
        let got = judge(&format!("{GOOD}\n[[seccomp.refuse]]\n{entry}\n"));
        assert!(
            got.contains(complaint) && got.is_empty() == complaint.is_empty(),
            "{entry}\n  gave: {got}\n  wanted: {complaint}"
        );
    }
    let got = with_rule("call = 'getpid'\nwhy = 'x'\nwith = 'ENOENT'");
    assert!(got.contains("`with` names the error"), "{got}");
}

#[test]
fn duplicates_within_one_entry_are_found() {
    let got = with_rule("call = 'write'\nwhy = 'x'\nwhen = ['fd in 1, 2, 1']");
    assert!(got.contains("duplicate"), "{got}");
}

#[test]
fn bad_files_are_found() {
    for (from, to, complaint) in [
        ("\"kill-process\"", "\"errno\"", "must be `kill-process`"),
        (
            "\"kill-process\"",
            "\"kill-thread\"",
            "must be `kill-process`",
        ),
        ("[\"pixels\"]", "[\"gold\"]", "holds:"),
        ("\"nothing\"", "\" \"", "parses:"),
        (
            "channels = [\"supervisor\"]",
            "channels = [\"nobody\"]",
            "no role is called",
        ),
        ("core = 0", "core = 1", "core must be 0"),
        ("locks_memory = false\n", "", "missing field `locks_memory`"),
        (
            "[\"pixels\"]",
            "[\"passwords\"]",
            "locks_memory: false, but",
        ),
        (
            "locks_memory = false",
            "locks_memory = true",
            "memlock must be 8 MiB",
        ),
        ("nproc = 0", "nproc = 1", "nproc must be 0"),
        ("nofile = 16\n", "", "nofile is missing"),
        ("\"1 GiB\"", "\"1 GB\"", "is not `N KiB`"),
        ("\"1 GiB\"", "\"much\"", "is not `N KiB`"),
        ("nofile = 16", "files = 16", "no limit is called"),
        ("root = [\"user\", ", "root = [", "user is missing"),
        (
            "[\"user\", \"mnt\"",
            "[\"user\", \"pid\"",
            "no namespace is called",
        ),
        ("root = []", "root = [\"CAP_KILL\"]", "only the supervisor"),
        (
            "paths = []",
            "paths = [\"worker-executables\"]",
            "only the supervisor",
        ),
        ("paths = []", "paths = [\"/etc\"]", "no kind of path"),
        ("deny_tcp = true", "deny_tcp = false", "both scopes"),
        (
            "[\"abstract-unix\", \"signal\"]",
            "[\"signal\"]",
            "both scopes",
        ),
        ("[\"abstract-unix\", \"signal\"]", "[\"sound\"]", "no scope"),
        (
            "dies_with_parent = true",
            "dies_with_parent = false",
            "ends with the supervisor",
        ),
        ("fd = 4", "fd = 7", "a worker needs 4"),
        ("fd = 4", "fd = 3", "twice"),
        (
            "closed_at_start = true",
            "closed_at_start = false",
            "exactly 4",
        ),
        (
            "what = \"d\"",
            "what = \"d\"\noptional = true",
            "cannot be optional",
        ),
        ("purpose = \"tests the linter\"", "purpose = 1", "purpose"),
        (
            "purpose",
            "unconfined = \"I want to\"\npurpose",
            "only the launcher",
        ),
        ("purpose", "sandbox = false\npurpose", "unknown field"),
    ] {
        let got = changed(from, to);
        assert!(
            got.contains(complaint),
            "{to}\n  gave: {got}\n  wanted: {complaint}"
        );
    }
}

#[test]
fn a_channel_has_two_ends() {
    let read = |role, text: &str| build::source::read(role, text).expect("it can be read");
    let alone = [read(Role::Encoder, GOOD)];
    assert!(
        build::lint::all(&alone)
            .join("")
            .contains("not the other end")
    );
    let other = GOOD.replace("\"supervisor\"", "\"encoder\"");
    let pair = [read(Role::Encoder, GOOD), read(Role::Supervisor, &other)];
    assert_eq!(build::lint::all(&pair), Vec::<String>::new());
}

#[test]
fn the_call_table_is_the_kernels() {
    for name in policy::ABILITIES.iter().flat_map(|(_, names)| *names) {
        let known = build::calls::CALLS.iter().any(|(known, _)| known == name);
        assert!(known, "{name}");
    }
    let number = |wanted| build::calls::CALLS.iter().find(|(name, _)| *name == wanted);
    for (name, value) in [
        ("read", libc::SYS_read),
        ("mmap", libc::SYS_mmap),
        ("execveat", libc::SYS_execveat),
        ("landlock_restrict_self", libc::SYS_landlock_restrict_self),
    ] {
        assert_eq!(number(name), Some(&(name, value)));
    }
    let numbers: Vec<_> = build::calls::CALLS
        .iter()
        .map(|(_, number)| number)
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
}
