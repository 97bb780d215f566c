//! The escape battery: what a process under foreign control would try. Each attempt runs in a
//! worker of each role, started and confined as in a session, and must end by SIGSYS or be
//! refused. Each also runs in a process without a sandbox, where it must succeed wherever it can
//! (else the attempt tests nothing).
//!
//! Attempts are raw calls, so that no wrapper gives up before the kernel is asked.

mod common;

use common::{End, executed_as, is_root, modes, start};
use policy::{Role, SandboxMode, StartMode};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::ptr::null_mut;

/// What the supervisor can do of all this, because it is its work, or the start of a worker.
const SUPERVISOR_MAY: &[&str] = &[
    "where a link points",
    "fork with a descriptor of the child",
    "read capabilities",
    "be another group",
    "another process's processor",
    "a session of its own",
    "handle a signal",
    "Landlock's version",
    "a pipe",
];

/// What a process that asks PAM can do, because its modules open the files of users by name.
const PAM_MAY: &[&str] = &["read a file", "status of a file"];

/// Exit codes of an attempt. A program that was executed instead ends with 0.
const ESCAPED: i32 = 42;
const REFUSED: i32 = 43;
/// Connection numbers above this say which attempt.
const FIRST: u64 = 1000;

/// What the control run can do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Control {
    /// Anybody.
    Works,
    /// Root.
    Root,
    /// It depends on the machine: a kernel option, a module, a setting.
    Varies,
    /// Nobody: it would do harm, or a descriptor here is not what the attempt is after. Its call
    /// is tried all the same.
    Never,
}
use Control::{Never, Root, Varies, Works};

/// What an attempt aims at.
struct Target {
    /// The process that started this one.
    parent: i32,
}

struct Attempt {
    class: &'static str,
    what: &'static str,
    control: Control,
    run: fn(&Target) -> bool,
}

impl std::fmt::Display for Attempt {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "{}: {}", self.class, self.what)
    }
}

/// A call with up to six arguments; whether it succeeded.
macro_rules! call {
    ($number:ident $(, $argument:expr)* $(,)?) => {
        call!(@raw libc::$number $(, $argument)*) != -1
    };
    (@raw $number:expr $(, $argument:expr)*) => {
        // SAFETY: the attempt is the purpose; the process ends right after it.
        unsafe { libc::syscall($number $(, $argument)*) }
    };
}

macro_rules! attempts {
    ($($class:literal { $($what:literal, $control:ident, $run:expr;)* })*) => {
        &[$($(Attempt { class: $class, what: $what, control: $control, run: $run },)*)*]
    };
}

const PAGE: usize = 4096;

fn path(text: &std::ffi::CStr) -> *const libc::c_char {
    text.as_ptr()
}

/// A file of the control run's own.
fn own_file() -> *const libc::c_char {
    path(c"/tmp/bulkhead-escape")
}

fn make_own_file() -> bool {
    let fd = call!(@raw libc::SYS_openat, libc::AT_FDCWD, own_file(), libc::O_CREAT | libc::O_RDWR, 0o600);
    fd != -1
}

fn map(prot: i32, flags: i32, fd: i64) -> i64 {
    call!(@raw libc::SYS_mmap, 0, PAGE, prot, flags, fd, 0)
}

fn socket(family: i32, kind: i32) -> bool {
    call!(SYS_socket, family, kind, 0)
}

/// A copy of all mounts, from which nothing comes back to the others.
fn own_mounts() -> bool {
    let private = libc::MS_REC | libc::MS_PRIVATE;
    call!(SYS_unshare, libc::CLONE_NEWNS)
        && call!(
            SYS_mount,
            null_mut::<u8>(),
            path(c"/"),
            null_mut::<u8>(),
            private,
            0
        )
}

/// `prot` for a page that was writable.
fn protect(prot: i32) -> bool {
    let page = map(
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        -1,
    );
    page != -1 && call!(SYS_mprotect, page, PAGE, prot)
}

/// What a forked process is to do is nothing.
fn forked(pid: i64) -> bool {
    if pid == 0 {
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) }
    }
    pid > 0
}

/// A program in memory: `#!/bin/true`.
fn program_in_memory() -> i64 {
    let fd = call!(@raw libc::SYS_memfd_create, path(c"x"), 0);
    call!(@raw libc::SYS_write, fd, path(c"#!/bin/true\n"), 12);
    fd
}

fn arguments(program: &std::ffi::CStr) -> [*const libc::c_char; 3] {
    [program.as_ptr(), path(c"/bin/true"), std::ptr::null()]
}

/// The 32-bit entry: the number, and whether it gave what is no error.
fn call_32(number: i32) -> bool {
    let result: i32;
    // SAFETY: the calls that are tried this way take no pointer.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {first}", "int 0x80", "xchg rbx, {first}",
            first = inout(reg) 0_u64 => _,
            inlateout("eax") number => result, in("ecx") 0, in("edx") 0,
        );
    }
    result >= 0
}

const RW: i32 = libc::PROT_READ | libc::PROT_WRITE;
const RWX: i32 = RW | libc::PROT_EXEC;
const RX: i32 = libc::PROT_READ | libc::PROT_EXEC;
const ANONYMOUS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;

#[rustfmt::skip]
const ATTEMPTS: &[Attempt] = attempts! {
    "files" {
        "read a file", Works, |_| call!(SYS_openat, libc::AT_FDCWD, path(c"/etc/passwd"), libc::O_RDONLY);
        "read a file that no policy names", Works, |_| call!(SYS_openat, libc::AT_FDCWD, path(c"/etc/hosts"), libc::O_RDONLY);
        "read a file, the old call", Works, |_| call!(SYS_open, path(c"/etc/passwd"), libc::O_RDONLY);
        "read a file with openat2", Works, |_| {
            let how = [libc::O_RDONLY as u64, 0, 0];
            call!(SYS_openat2, libc::AT_FDCWD, path(c"/etc/passwd"), how.as_ptr(), size_of_val(&how))
        };
        "open a path without reading it", Works, |_| call!(SYS_openat, libc::AT_FDCWD, path(c"/"), libc::O_PATH);
        "write a file", Works, |_| make_own_file();
        "make a file", Works, |_| call!(SYS_creat, own_file(), 0o600);
        "make a directory", Works, |_| {
            call!(SYS_mkdir, path(c"/tmp/bulkhead-escape-d"), 0o700) && call!(SYS_rmdir, path(c"/tmp/bulkhead-escape-d"))
        };
        "make a symbolic link", Works, |_| {
            call!(SYS_symlink, path(c"/etc/passwd"), path(c"/tmp/bulkhead-escape-l")) && call!(SYS_unlink, path(c"/tmp/bulkhead-escape-l"))
        };
        "remove a file", Works, |_| make_own_file() && call!(SYS_unlinkat, libc::AT_FDCWD, own_file(), 0);
        "rename a file", Works, |_| make_own_file() && call!(SYS_rename, own_file(), own_file());
        "change a mode", Works, |_| make_own_file() && call!(SYS_chmod, own_file(), 0o666);
        "truncate a file", Works, |_| make_own_file() && call!(SYS_truncate, own_file(), 0);
        "make a device", Varies, |_| {
            call!(SYS_mknod, path(c"/tmp/bulkhead-escape-n"), libc::S_IFCHR | 0o600, 0x103) && call!(SYS_unlink, path(c"/tmp/bulkhead-escape-n"))
        };
        "our own memory as a file", Works, |_| call!(SYS_openat, libc::AT_FDCWD, path(c"/proc/self/mem"), libc::O_RDWR);
        "another's environment", Works, |target| {
            let file = format!("/proc/{}/environ\0", target.parent);
            call!(SYS_openat, libc::AT_FDCWD, file.as_ptr(), libc::O_RDONLY)
        };
        "sysfs", Works, |_| call!(SYS_openat, libc::AT_FDCWD, path(c"/sys"), libc::O_RDONLY | libc::O_DIRECTORY);
        "a terminal", Varies, |_| call!(SYS_openat, libc::AT_FDCWD, path(c"/dev/tty"), libc::O_RDWR);
        "status of a file", Works, |_| {
            let mut status = [0_u64; 64];
            call!(SYS_newfstatat, libc::AT_FDCWD, path(c"/etc/passwd"), status.as_mut_ptr(), 0)
        };
        "status of a file with statx", Works, |_| {
            let mut status = [0_u64; 64];
            call!(SYS_statx, libc::AT_FDCWD, path(c"/etc/passwd"), 0, 0xfff, status.as_mut_ptr())
        };
        "existence of a file", Works, |_| call!(SYS_access, path(c"/etc/passwd"), 0);
        "leave the root", Works, |_| call!(SYS_chdir, path(c"/"));
        "another root", Root, |_| call!(SYS_chroot, path(c"/"));
        "a file by handle", Works, |_| {
            let mut handle = [128_u32, 0, 0, 0].into_iter().chain([0; 32]).collect::<Vec<_>>();
            let mut mount = 0;
            call!(SYS_name_to_handle_at, libc::AT_FDCWD, path(c"/etc/passwd"), handle.as_mut_ptr(), &raw mut mount, 0)
        };
        // Root has no more than fs.inotify.max_user_instances of them, all programs together.
        "watch files", Varies, |_| call!(SYS_inotify_init1, 0);
        "where a link points", Works, |_| {
            let mut buffer = [0_u8; 100];
            call!(SYS_readlink, path(c"/proc/self/exe"), buffer.as_mut_ptr(), buffer.len())
        };
    }
    "programs" {
        "execute a program", Works, |_| call!(SYS_execve, path(c"/bin/true"), arguments(c"true").as_ptr(), null_mut::<u8>());
        "execute a program by descriptor", Works, |_| {
            let fd = call!(@raw libc::SYS_openat, libc::AT_FDCWD, path(c"/bin/true"), libc::O_PATH);
            call!(SYS_execveat, fd, path(c""), arguments(c"true").as_ptr(), null_mut::<u8>(), libc::AT_EMPTY_PATH)
        };
        "execute a program from memory", Works, |_| {
            let fd = program_in_memory();
            call!(SYS_execveat, fd, path(c""), arguments(c"x").as_ptr(), null_mut::<u8>(), libc::AT_EMPTY_PATH)
        };
        "execute by way of the loader", Varies, |_| {
            call!(SYS_execve, path(c"/lib64/ld-linux-x86-64.so.2"), arguments(c"ld.so").as_ptr(), null_mut::<u8>())
        };
        "fork", Works, |_| forked(call!(@raw libc::SYS_fork));
        "fork with clone", Works, |_| forked(call!(@raw libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0));
        "fork with a descriptor of the child", Works, |_| {
            let mut descriptor = -1;
            let flags = libc::CLONE_PIDFD | libc::SIGCHLD;
            forked(call!(@raw libc::SYS_clone, flags, 0, &raw mut descriptor, 0, 0))
        };
        "fork with clone3", Works, |_| {
            let mut arguments = [0_u64; 8];
            arguments[4] = libc::SIGCHLD as u64;
            forked(call!(@raw libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments)))
        };
        "a new user namespace with clone3", Varies, |_| {
            let mut arguments = [0_u64; 8];
            arguments[0] = libc::CLONE_NEWUSER as u64;
            arguments[4] = libc::SIGCHLD as u64;
            forked(call!(@raw libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments)))
        };
    }
    "memory" {
        "writable and executable memory", Works, |_| map(RWX, ANONYMOUS, -1) != -1;
        "executable memory", Works, |_| map(RX, ANONYMOUS, -1) != -1;
        "memory becomes executable", Works, |_| protect(RX);
        "memory becomes writable and executable", Works, |_| protect(RWX);
        "our own code becomes writable", Works, |_| {
            let code = main as fn() -> ExitCode as usize & !(PAGE - 1);
            call!(SYS_mprotect, code, PAGE, RWX)
        };
        "executable memory from a memfd", Works, |_| {
            let fd = call!(@raw libc::SYS_memfd_create, path(c"x"), libc::MFD_CLOEXEC);
            call!(@raw libc::SYS_ftruncate, fd, PAGE);
            map(RX, libc::MAP_SHARED, fd) != -1
        };
        "memory becomes executable with a key", Varies, |_| {
            let page = map(RW, ANONYMOUS, -1);
            call!(SYS_pkey_mprotect, page, PAGE, RX, -1)
        };
        "what is readable becomes executable", Works, |_| call!(SYS_personality, 0x0040_0000);
        "memory at a chosen place", Works, |_| {
            let page = map(RW, ANONYMOUS, -1);
            call!(@raw libc::SYS_mmap, page, PAGE, RW, ANONYMOUS | libc::MAP_FIXED, -1, 0) != -1
        };
        "memory moves to a chosen place", Works, |_| {
            let (from, to) = (map(RW, ANONYMOUS, -1), map(RW, ANONYMOUS, -1));
            call!(SYS_mremap, from, PAGE, PAGE, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, to)
        };
        "shared memory of System V", Works, |_| {
            let id = call!(@raw libc::SYS_shmget, libc::IPC_PRIVATE, PAGE, 0o600);
            id != -1 && call!(SYS_shmctl, id, libc::IPC_RMID, 0)
        };
        "page faults in user space", Varies, |_| call!(SYS_userfaultfd, libc::O_CLOEXEC | 1);
        "the memory of the parent", Root, |target| {
            let mut buffer = [0_u8; 8];
            let here = [buffer.as_mut_ptr() as usize, 8];
            let there = [ATTEMPTS.as_ptr() as usize, 8];
            let number = libc::SYS_process_vm_readv;
            call!(@raw number, target.parent, here.as_ptr(), 1_usize, there.as_ptr(), 1_usize, 0_usize) > 0
        };
        "into the memory of the parent", Root, |target| {
            let mut buffer = [0_u8; 8];
            let here = [buffer.as_mut_ptr() as usize, 0];
            let there = [ATTEMPTS.as_ptr() as usize, 0];
            call!(SYS_process_vm_writev, target.parent, here.as_ptr(), 1_usize, there.as_ptr(), 1_usize, 0_usize)
        };
        "secret memory", Varies, |_| call!(SYS_memfd_secret, 0);
        "huge pages in a memfd", Varies, |_| call!(SYS_memfd_create, path(c"x"), libc::MFD_HUGETLB);
    }
    "network" {
        "a TCP socket", Works, |_| socket(libc::AF_INET, libc::SOCK_STREAM);
        "a UDP socket", Works, |_| socket(libc::AF_INET, libc::SOCK_DGRAM);
        "an IPv6 socket", Varies, |_| socket(libc::AF_INET6, libc::SOCK_STREAM);
        "a unix socket", Works, |_| socket(libc::AF_UNIX, libc::SOCK_STREAM);
        "a netlink socket", Works, |_| socket(libc::AF_NETLINK, libc::SOCK_RAW);
        "a raw socket", Varies, |_| call!(SYS_socket, libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP);
        "a packet socket", Varies, |_| socket(libc::AF_PACKET, libc::SOCK_RAW);
        "the kernel's ciphers", Varies, |_| socket(libc::AF_ALG, libc::SOCK_SEQPACKET);
        "a socket of virtual machines", Varies, |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM);
        "a pair of sockets", Works, |_| {
            let mut pair = [0; 2];
            call!(SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr())
        };
        "connect a descriptor we have", Never, |_| {
            let address = [1_u16, 0, 0, 0];
            call!(SYS_connect, 3, address.as_ptr(), 8)
        };
        "listen on a descriptor we have", Never, |_| call!(SYS_listen, 3, 1);
        "change a socket", Works, |_| {
            let on = 1;
            call!(SYS_setsockopt, 3, libc::SOL_SOCKET, libc::SO_PASSCRED, &raw const on, 4)
        };
        "submission queues", Varies, |_| {
            let mut parameters = [0_u64; 32];
            call!(SYS_io_uring_setup, 1, parameters.as_mut_ptr())
        };
    }
    "processes" {
        "trace the parent", Root, |target| call!(SYS_ptrace, libc::PTRACE_SEIZE, target.parent, 0, 0);
        "be traced", Works, |_| call!(SYS_ptrace, libc::PTRACE_TRACEME, 0, 0, 0);
        "signal the parent", Works, |target| call!(SYS_kill, target.parent, 0);
        "signal everybody", Works, |_| call!(SYS_kill, -1, 0);
        "signal a thread", Works, |target| call!(SYS_tgkill, target.parent, target.parent, 0);
        "a descriptor of the parent", Works, |target| call!(SYS_pidfd_open, target.parent, 0);
        "descriptors out of the parent", Root, |target| {
            let pidfd = call!(@raw libc::SYS_pidfd_open, target.parent, 0);
            call!(SYS_pidfd_getfd, pidfd, 1, 0)
        };
        "compare with the parent", Varies, |target| call!(@raw libc::SYS_kcmp, target.parent, target.parent, 0, 0, 0) >= 0;
        "the parent's namespaces", Root, |target| {
            let pidfd = call!(@raw libc::SYS_pidfd_open, target.parent, 0);
            call!(SYS_setns, pidfd, libc::CLONE_NEWUTS)
        };
        "a new user namespace", Varies, |_| call!(SYS_unshare, libc::CLONE_NEWUSER);
        "be dumpable again", Works, |_| call!(SYS_prctl, libc::PR_SET_DUMPABLE, 1, 0, 0, 0);
        "outlive the parent", Works, |_| call!(SYS_prctl, libc::PR_SET_PDEATHSIG, 0, 0, 0, 0);
        "keep capabilities", Works, |_| call!(SYS_prctl, libc::PR_SET_KEEPCAPS, 1, 0, 0, 0);
        "read capabilities", Works, |_| {
            let (header, mut data) = ([0x2008_0522_u32, 0], [0_u32; 6]);
            call!(SYS_capget, header.as_ptr(), data.as_mut_ptr())
        };
        "be root", Root, |_| call!(SYS_setuid, 0);
        "be another group", Root, |_| call!(SYS_setresgid, 0, 0, 0);
        "priority", Works, |_| call!(SYS_setpriority, libc::PRIO_PROCESS, 0, 19);
        "another process's processor", Works, |_| {
            let mut mask = [0_u64; 128];
            call!(@raw libc::SYS_sched_getaffinity, 0, size_of_val(&mask), mask.as_mut_ptr()) > 0
        };
        "a session of its own", Varies, |_| call!(SYS_setsid);
        "handle a signal", Works, |_| {
            let action = [0_u64; 4];
            call!(SYS_rt_sigaction, libc::SIGUSR1, action.as_ptr(), 0, 8)
        };
        "wait for children", Works, |_| call!(SYS_wait4, -1, 0, libc::WNOHANG, 0);
    }
    "the kernel" {
        "load a BPF map", Root, |_| {
            let mut attributes = [0_u32; 32];
            attributes[..4].copy_from_slice(&[2, 4, 8, 1]);
            call!(SYS_bpf, 0, attributes.as_mut_ptr(), 72)
        };
        "performance counters", Varies, |_| {
            let mut attributes = [0_u32; 32];
            attributes[..2].copy_from_slice(&[1, 128]);
            call!(SYS_perf_event_open, attributes.as_mut_ptr(), 0, -1, -1, 0)
        };
        "the session's keys", Varies, |_| call!(SYS_keyctl, 0, -3, 1);
        "a new key", Varies, |_| call!(SYS_add_key, path(c"user"), path(c"escape"), path(c"x"), 1, -2);
        "mount", Root, |_| {
            let _ = call!(SYS_mount, path(c"none"), path(c"/nowhere"), path(c"tmpfs"), 0, 0);
            own_mounts() && call!(SYS_mount, path(c"none"), path(c"/tmp"), path(c"tmpfs"), 0, 0)
        };
        "unmount", Root, |_| {
            let _ = call!(SYS_umount2, path(c"/nowhere"), 0);
            own_mounts()
                && call!(SYS_mount, path(c"none"), path(c"/tmp"), path(c"tmpfs"), 0, 0)
                && call!(SYS_umount2, path(c"/tmp"), 0)
        };
        "a file system context", Root, |_| call!(SYS_fsopen, path(c"tmpfs"), 0);
        "a copy of a mount", Root, |_| call!(SYS_open_tree, libc::AT_FDCWD, path(c"/"), 1);
        "another root mount", Varies, |_| {
            let _ = call!(SYS_pivot_root, path(c"/"), path(c"/tmp"));
            own_mounts()
                && call!(SYS_mount, path(c"none"), path(c"/tmp"), path(c"tmpfs"), 0, 0)
                && call!(SYS_pivot_root, path(c"/tmp"), path(c"/tmp"))
        };
        "a kernel module", Never, |_| call!(SYS_init_module, path(c"x"), 1, path(c""));
        "another kernel", Never, |_| call!(SYS_kexec_load, 0, 0, 0, 1 << 30);
        "the kernel's log", Varies, |_| call!(SYS_syslog, 10, 0, 0);
        "ports", Varies, |_| call!(SYS_iopl, 3);
        "a port", Varies, |_| call!(SYS_ioperm, 0x80, 1, 1);
        "the descriptor table of the processor", Varies, |_| {
            let mut buffer = [0_u64; 8];
            call!(@raw libc::SYS_modify_ldt, 0, buffer.as_mut_ptr(), size_of_val(&buffer)) >= 0
        };
        "the host's name", Root, |_| call!(SYS_unshare, libc::CLONE_NEWUTS) && call!(SYS_sethostname, path(c"x"), 1);
        "the clock", Never, |_| call!(SYS_clock_settime, libc::CLOCK_REALTIME, 0);
        "swap", Never, |_| call!(SYS_swapoff, path(c"/"));
        "another filter", Works, |_| {
            let return_allow = [0x7fff_0000_0000_0006_u64];
            let program = [1_usize, return_allow.as_ptr() as usize];
            call!(SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
                && call!(SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, program.as_ptr())
        };
        "Landlock's version", Works, |_| call!(SYS_landlock_create_ruleset, 0, 0, 1);
        "what the kernel is", Works, |_| {
            let mut buffer = [0_u8; 512];
            call!(SYS_uname, buffer.as_mut_ptr())
        };
    }
    "other ways in" {
        "a 32-bit call", Varies, |_| call_32(20);
        "a 32-bit fork", Varies, |_| call_32(2);
        "a 32-bit mprotect, with everything zero", Varies, |_| call_32(125);
        "an x32 call", Varies, |_| call!(@raw 0x4000_0000 + libc::SYS_getpid) != -1;
        "an x32 mmap", Varies, |_| call!(@raw 0x4000_0000 + libc::SYS_mmap, 0, PAGE, RWX, ANONYMOUS, -1, 0) != -1;
        "the sixteenth way to get one's number", Works, |_| call!(SYS_getpid);
    }
    "messages" {
        "a pipe", Works, |_| {
            let mut pair = [0; 2];
            call!(SYS_pipe2, pair.as_mut_ptr(), 0)
        };
        "a counter", Works, |_| call!(SYS_eventfd2, 0, 0);
        "a timer", Works, |_| call!(SYS_timerfd_create, libc::CLOCK_MONOTONIC, 0);
        "signals as a file", Works, |_| {
            let mask = 0_u64;
            call!(SYS_signalfd4, -1, &raw const mask, 8, 0)
        };
        "a semaphore of System V", Works, |_| {
            let id = call!(@raw libc::SYS_semget, libc::IPC_PRIVATE, 1, 0o600);
            id != -1 && call!(SYS_semctl, id, 0, libc::IPC_RMID, 0)
        };
        "a queue of System V", Works, |_| {
            let id = call!(@raw libc::SYS_msgget, libc::IPC_PRIVATE, 0o600);
            id != -1 && call!(SYS_msgctl, id, libc::IPC_RMID, 0)
        };
        "a POSIX queue", Varies, |_| call!(SYS_mq_open, path(c"escape"), libc::O_CREAT | libc::O_RDWR, 0o600, 0);
        "an event set", Works, |_| call!(SYS_epoll_create1, 0);
        "type into a terminal", Never, |_| call!(SYS_ioctl, 3, libc::TIOCSTI, path(c"x"));
        "ask a descriptor", Works, |_| {
            let mut count = 0;
            call!(SYS_ioctl, 3, libc::FIONREAD, &raw mut count)
        };
        "signals by a descriptor", Works, |target| {
            let mut pair = [0; 2];
            call!(SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr())
                && call!(SYS_fcntl, pair[0], libc::F_SETOWN, target.parent)
        };
        "write where only messages go", Works, |_| call!(SYS_write, 3, path(c"x"), 1);
    }
    "resources" {
        "a copy of a descriptor", Works, |_| call!(SYS_dup, 2);
        "another copy of a descriptor", Works, |_| call!(SYS_fcntl, 2, libc::F_DUPFD, 0);
        "higher limits", Varies, |_| {
            let limit = [1 << 20, 1_u64 << 20];
            call!(SYS_prlimit64, 0, libc::RLIMIT_NOFILE, limit.as_ptr(), 0)
        };
        "limits of the parent", Works, |target| {
            let mut limit = [0_u64; 2];
            call!(SYS_prlimit64, target.parent, libc::RLIMIT_NOFILE, 0, limit.as_mut_ptr())
        };
        "all of the address space", Works, |_| {
            call!(@raw libc::SYS_mmap, 0, 1_u64 << 40, libc::PROT_NONE, ANONYMOUS | libc::MAP_NORESERVE, -1, 0) != -1
        };
        "more memory than it may have", Varies, |_| {
            call!(@raw libc::SYS_mmap, 0, 1_u64 << 35, RW, ANONYMOUS, -1, 0) != -1
        };
        "a memfd of 2 GiB", Works, |_| {
            let fd = call!(@raw libc::SYS_memfd_create, path(c"x"), libc::MFD_CLOEXEC);
            call!(SYS_ftruncate, fd, 1_u64 << 31)
        };
        "locked memory", Works, |_| call!(SYS_mlockall, libc::MCL_CURRENT);
        "sleep", Works, |_| {
            let time = [0_u64; 2];
            call!(SYS_nanosleep, time.as_ptr(), 0)
        };
    }
};

/// Fewest attempts that each role must have held off in each mode.
const FEWEST: usize = 60;

#[derive(Default)]
struct Report {
    failed: usize,
}

impl Report {
    fn complain(&mut self, text: &str) {
        self.failed += 1;
        println!("FAILED {text}");
    }

    /// What the control run can do; each attempt that it cannot make succeed is named.
    fn control(&mut self) {
        let (mut never, mut not_here) = (Vec::new(), Vec::new());
        for attempt in ATTEMPTS {
            let name = attempt.to_string();
            match (attempt.control, control(attempt)) {
                (Works, false) => self.complain(&format!("{name}: fails without a sandbox too")),
                (Root, false) if is_root() => {
                    self.complain(&format!("{name}: fails for root without a sandbox too"));
                }
                (Never, true) => self.complain(&format!("{name}: succeeds without a sandbox")),
                (Never, false) => never.push(name),
                (Root | Varies, false) => not_here.push(name),
                (Works | Root | Varies, true) => {}
            }
        }
        let proven = ATTEMPTS.len() - never.len() - not_here.len();
        println!("without a sandbox {proven} of {} succeed", ATTEMPTS.len());
        println!("impossible anywhere: {}", never.join("; "));
        println!("impossible here: {}", not_here.join("; "));
        if proven < FEWEST {
            self.complain("the attempts prove too little");
        }
    }

    /// What a worker, or `ctl`, is kept from.
    fn worker(&mut self, role: Role, mode: StartMode) {
        let (mut killed, mut refused) = (0, 0);
        for (attempt, number) in ATTEMPTS.iter().zip(FIRST..) {
            let started = start(role, mode, number);
            // Kept open: what writes to it must fail because it may not, not because nobody reads.
            let _open = started.channel.try_clone().expect("a copy");
            match started.end() {
                (End::Signal(libc::SIGSYS), _) => killed += 1,
                (End::Code(REFUSED), _) => refused += 1,
                (End::Code(ESCAPED), _)
                    if role == Role::AuthPam && PAM_MAY.contains(&attempt.what) => {}
                (end, log) => {
                    self.complain(&format!("{role}, {mode:?}: {attempt}: {end:?}: {log}"));
                }
            }
        }
        self.held_off(role, mode, killed, refused, "");
    }

    /// What the supervisor is kept from; what it is not.
    fn supervisor(&mut self, mode: StartMode) -> BTreeSet<&'static str> {
        let (mut killed, mut refused, mut may) = (0, 0, BTreeSet::new());
        for attempt in ATTEMPTS {
            match supervisor(attempt, mode) {
                End::Signal(libc::SIGSYS) => killed += 1,
                End::Code(REFUSED) => refused += 1,
                End::Code(ESCAPED | 0) if SUPERVISOR_MAY.contains(&attempt.what) => {
                    may.insert(attempt.what);
                }
                end => {
                    self.complain(&format!("supervisor, {mode:?}: {attempt}: {end:?}"));
                }
            }
        }
        let work = format!(", {} are its work", may.len());
        self.held_off(Role::Supervisor, mode, killed, refused, &work);
        may
    }

    fn held_off(&mut self, role: Role, mode: StartMode, killed: usize, refused: usize, more: &str) {
        let all = ATTEMPTS.len();
        println!(
            "{role}, {mode:?}: of {all} attempts {killed} ended by SIGSYS, {refused} refused{more}"
        );
        if killed + refused < FEWEST {
            self.complain(&format!("{role}, {mode:?}: too few attempts ran"));
        }
    }
}

fn main() -> ExitCode {
    if let Some(role) = executed_as() {
        worker(role);
    }
    let mut report = Report::default();
    report.control();
    let mut may = BTreeSet::new();
    for mode in modes() {
        let others = [Role::Ctl].into_iter().chain(Role::OF_LAUNCHER);
        for role in Role::WORKERS.into_iter().chain(others) {
            report.worker(role, *mode);
        }
        may.extend(report.supervisor(*mode));
    }
    if is_root() && !SUPERVISOR_MAY.iter().all(|what| may.contains(what)) {
        report.complain(&format!("the supervisor may no more than {may:?}"));
    }
    common::clean_up();
    let _ = std::fs::remove_file("/tmp/bulkhead-escape");
    ExitCode::from(u8::from(report.failed > 0))
}

fn worker(role: Role) -> ! {
    runtime::run(
        role,
        |_| {
            Ok::<_, std::io::Error>(Target {
                parent: nix::unistd::getppid().as_raw(),
            })
        },
        |seat, target| {
            let number = seat.options().connection.unwrap_or(FIRST) - FIRST;
            let attempt = usize::try_from(number)
                .ok()
                .and_then(|number| ATTEMPTS.get(number));
            end(attempt.is_some_and(|attempt| (attempt.run)(&target)))
        },
    )
}

/// How the attempt ends in the supervisor's place.
fn supervisor(attempt: &Attempt, mode: StartMode) -> End {
    in_child(|| {
        let parent = nix::unistd::getppid().as_raw();
        if mode == StartMode::User && is_root() {
            common::become_user(common::SESSION_UID);
        }
        runtime::confine_supervisor(mode, SandboxMode::Enforce, &[]).expect("it can be confined");
        end((attempt.run)(&Target { parent }))
    })
}

/// Whether it succeeds without a sandbox, in a child of a child (so that what it does to its
/// parent is done to nobody who is needed) that has a channel and a child of its own.
fn control(attempt: &Attempt) -> bool {
    let status = in_child(|| {
        let parent = std::process::id().cast_signed();
        let status = in_child(|| {
            let mut pair = [0; 2];
            let kind = libc::SOCK_SEQPACKET;
            assert!(call!(
                SYS_socketpair,
                libc::AF_UNIX,
                kind,
                0,
                pair.as_mut_ptr()
            ));
            assert!(pair.contains(&3) || call!(SYS_dup2, pair[0], 3));
            assert!(forked(call!(@raw libc::SYS_fork)));
            end((attempt.run)(&Target { parent }))
        });
        let succeeded = matches!(status, End::Code(ESCAPED | 0));
        end(succeeded)
    });
    status == End::Code(ESCAPED)
}

fn in_child(body: impl FnOnce() -> ExitCode) -> End {
    // SAFETY: this test has one thread.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: a timer, and the end of the child.
            unsafe { libc::alarm(5) };
            body();
            unreachable!("the body ends the process")
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child of ours; `status` is writable.
            while unsafe { libc::waitpid(child, &raw mut status, 0) } != child {}
            if libc::WIFEXITED(status) {
                End::Code(libc::WEXITSTATUS(status))
            } else {
                End::Signal(libc::WTERMSIG(status))
            }
        }
    }
}

fn end(succeeded: bool) -> ExitCode {
    // SAFETY: ends the process.
    unsafe { libc::_exit(if succeeded { ESCAPED } else { REFUSED }) }
}
