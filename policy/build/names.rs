//! The names that conditions are written with: the arguments of calls and the kernel's constants.

/// An argument: its name and whether the kernel declares it 64 bits wide (`long`, `size_t`, a
/// pointer) and not `int`. What is declared `int` is compared in its lower half, because the
/// kernel ignores the upper one.
pub struct Argument {
    pub name: &'static str,
    pub wide: bool,
}

const fn int(name: &'static str) -> Argument {
    Argument { name, wide: false }
}

const fn long(name: &'static str) -> Argument {
    Argument { name, wide: true }
}

/// The arguments of the calls that conditions exist for, as in the kernel's `SYSCALL_DEFINE`s.
pub const SIGNATURES: &[(&str, &[Argument])] = &[
    (
        "accept4",
        &[int("fd"), long("address"), long("length"), int("flags")],
    ),
    ("arch_prctl", &[int("option"), long("arg2")]),
    (
        "clone",
        &[
            long("flags"),
            long("stack"),
            long("parent_tid"),
            long("child_tid"),
            long("tls"),
        ],
    ),
    ("close_range", &[int("first"), int("last"), int("flags")]),
    ("dup3", &[int("old"), int("new"), int("flags")]),
    (
        "execveat",
        &[
            int("fd"),
            long("path"),
            long("argv"),
            long("envp"),
            int("flags"),
        ],
    ),
    (
        "fallocate",
        &[int("fd"), int("mode"), long("offset"), long("length")],
    ),
    ("fcntl", &[int("fd"), int("command"), long("value")]),
    ("fstat", &[int("fd"), long("buffer")]),
    ("ftruncate", &[int("fd"), long("length")]),
    (
        "futex",
        &[
            long("address"),
            int("operation"),
            int("value"),
            long("timeout"),
        ],
    ),
    ("getrandom", &[long("buffer"), long("length"), int("flags")]),
    (
        "getsockopt",
        &[
            int("fd"),
            int("level"),
            int("option"),
            long("value"),
            long("length"),
        ],
    ),
    ("ioctl", &[int("fd"), int("request"), long("value")]),
    ("kill", &[int("pid"), int("signal")]),
    (
        "landlock_create_ruleset",
        &[long("attributes"), long("size"), int("flags")],
    ),
    ("landlock_restrict_self", &[int("fd"), int("flags")]),
    ("lseek", &[int("fd"), long("offset"), int("whence")]),
    ("madvise", &[long("address"), long("length"), int("advice")]),
    ("memfd_create", &[long("name"), int("flags")]),
    ("mlock2", &[long("address"), long("length"), int("flags")]),
    (
        "mmap",
        &[
            long("address"),
            long("length"),
            long("prot"),
            long("flags"),
            long("fd"),
            long("offset"),
        ],
    ),
    ("mprotect", &[long("address"), long("length"), long("prot")]),
    (
        "mremap",
        &[
            long("address"),
            long("old_length"),
            long("new_length"),
            long("flags"),
            long("new_address"),
        ],
    ),
    (
        "newfstatat",
        &[int("fd"), long("path"), long("buffer"), int("flags")],
    ),
    (
        "openat",
        &[int("fd"), long("path"), int("flags"), int("mode")],
    ),
    ("pidfd_open", &[int("pid"), int("flags")]),
    (
        "pidfd_send_signal",
        &[int("pidfd"), int("signal"), long("info"), int("flags")],
    ),
    ("pipe2", &[long("fds"), int("flags")]),
    (
        "pread64",
        &[int("fd"), long("buffer"), long("length"), long("offset")],
    ),
    (
        "prctl",
        &[
            int("option"),
            long("arg2"),
            long("arg3"),
            long("arg4"),
            long("arg5"),
        ],
    ),
    (
        "prlimit64",
        &[int("pid"), int("resource"), long("new"), long("old")],
    ),
    ("read", &[int("fd"), long("buffer"), long("length")]),
    (
        "recvfrom",
        &[
            int("fd"),
            long("buffer"),
            long("length"),
            int("flags"),
            long("address"),
            long("address_length"),
        ],
    ),
    ("recvmsg", &[int("fd"), long("message"), int("flags")]),
    (
        "seccomp",
        &[int("operation"), int("flags"), long("program")],
    ),
    ("sendmsg", &[int("fd"), long("message"), int("flags")]),
    (
        "sendto",
        &[
            int("fd"),
            long("buffer"),
            long("length"),
            int("flags"),
            long("address"),
            int("address_length"),
        ],
    ),
    ("setgroups", &[int("count"), long("groups")]),
    (
        "setsockopt",
        &[
            int("fd"),
            int("level"),
            int("option"),
            long("value"),
            int("length"),
        ],
    ),
    ("shutdown", &[int("fd"), int("how")]),
    (
        "signalfd4",
        &[int("fd"), long("mask"), long("size"), int("flags")],
    ),
    (
        "socketpair",
        &[int("family"), int("type"), int("protocol"), long("fds")],
    ),
    ("timerfd_create", &[int("clock"), int("flags")]),
    (
        "timerfd_settime",
        &[int("fd"), int("flags"), long("new"), long("old")],
    ),
    ("unshare", &[long("flags")]),
    (
        "wait4",
        &[int("pid"), long("status"), int("options"), long("usage")],
    ),
    (
        "waitid",
        &[
            int("kind"),
            int("id"),
            long("info"),
            int("options"),
            long("usage"),
        ],
    ),
    ("write", &[int("fd"), long("buffer"), long("length")]),
    ("writev", &[long("fd"), long("vector"), long("count")]),
];

/// From the kernel's headers (`asm/prctl.h`, `linux/landlock.h`); the `libc` crate lacks them.
const ARCH_SET_FS: u64 = 0x1002;
const LANDLOCK_CREATE_RULESET_ERRATA: u64 = 1 << 1;

macro_rules! constants {
    ($($name:ident)*) => {
        /// The constants' values.
        #[allow(
            clippy::cast_sign_loss,
            clippy::cast_lossless,
            clippy::unnecessary_cast,
            clippy::cast_possible_truncation,
            reason = "the constants have many types; none of them is negative"
        )]
        pub const CONSTANTS: &[(&str, u64)] = &[
            ("ARCH_SET_FS", ARCH_SET_FS),
            ("LANDLOCK_CREATE_RULESET_ERRATA", LANDLOCK_CREATE_RULESET_ERRATA),
            $((stringify!($name), libc::$name as u64),)*
        ];
    };
}

constants! {
    AF_UNIX
    AT_EMPTY_PATH
    CLONE_PIDFD
    EAFNOSUPPORT ENOENT ENOTTY
    CLONE_NEWCGROUP CLONE_NEWIPC CLONE_NEWNET CLONE_NEWNS CLONE_NEWUSER CLONE_NEWUTS
    F_ADD_SEALS F_DUPFD_CLOEXEC F_GETFD F_GETFL F_GET_SEALS F_OFD_SETLKW F_SETFD F_SETFL F_SETLK F_SETPIPE_SZ
    F_SEAL_SEAL F_SEAL_SHRINK F_SEAL_GROW F_SEAL_WRITE F_SEAL_FUTURE_WRITE
    FD_CLOEXEC FIONBIO
    FUTEX_PRIVATE_FLAG FUTEX_WAKE
    GRND_INSECURE GRND_NONBLOCK
    MADV_DONTDUMP MADV_DONTNEED MADV_FREE MADV_WIPEONFORK
    MAP_ANONYMOUS MAP_LOCKED MAP_NORESERVE MAP_POPULATE MAP_PRIVATE MAP_SHARED MAP_STACK
    MFD_ALLOW_SEALING MFD_CLOEXEC MFD_NOEXEC_SEAL
    MLOCK_ONFAULT
    MREMAP_MAYMOVE
    MSG_CMSG_CLOEXEC MSG_DONTWAIT MSG_NOSIGNAL MSG_PEEK MSG_TRUNC
    O_CLOEXEC O_CREAT O_DIRECTORY O_NONBLOCK O_PATH O_RDONLY O_RDWR
    PR_CAPBSET_DROP PR_CAPBSET_READ PR_CAP_AMBIENT PR_CAP_AMBIENT_CLEAR_ALL PR_GET_DUMPABLE PR_GET_NO_NEW_PRIVS PR_GET_PDEATHSIG
    PR_GET_SECCOMP PR_SET_DUMPABLE PR_SET_NAME PR_SET_NO_NEW_PRIVS PR_SET_PDEATHSIG
    P_PID P_PIDFD
    PROT_EXEC PROT_NONE PROT_READ PROT_WRITE
    SECCOMP_FILTER_FLAG_TSYNC SECCOMP_SET_MODE_FILTER
    SEEK_CUR SEEK_END SEEK_SET
    SFD_CLOEXEC SFD_NONBLOCK
    SHUT_WR SHUT_RDWR
    SIGCHLD SIGKILL SIGTERM
    SOCK_CLOEXEC SOCK_NONBLOCK SOCK_SEQPACKET
    SOL_SOCKET SO_ERROR SO_PEERCRED SO_RCVBUF SO_SNDBUF
    IPPROTO_TCP TCP_NODELAY
    TFD_CLOEXEC TFD_NONBLOCK
    WEXITED WNOHANG WNOWAIT
}
