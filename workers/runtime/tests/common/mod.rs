//! A small stand-in for the supervisor, for tests: this very executable, started by descriptor as
//! a worker, under the supervisor's real Landlock rules and filter.

use nix::fcntl::{OFlag, open};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, fork};
use policy::{Role, SandboxMode, StartMode};
use runtime::Options;
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use tracing::level_filters::LevelFilter;

/// The user that applications run as, and the supervisor too in mode user, when the test is root.
pub const SESSION_UID: u32 = 64_900;
/// The worker's user in mode root.
pub const WORKER_UID: u32 = 64_901;

/// Whether the test may change users.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The modes that can be tested by whoever runs the test.
pub fn modes() -> &'static [StartMode] {
    if needs::root("take the users of mode root") {
        &StartMode::ALL
    } else {
        &[StartMode::User]
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Code(i32),
    Signal(i32),
}

/// A worker and the one that started it.
#[allow(dead_code, reason = "each test looks at another part")]
pub struct Started {
    /// The worker's process id.
    pub pid: i32,
    /// The supervisor's.
    pub supervisor: i32,
    /// The other end of descriptor 3.
    pub channel: UnixStream,
    /// The other end of a worker's descriptor 5, where it has one.
    pub extra: Option<UnixStream>,
    log: File,
    report: File,
}

impl Started {
    /// Waits for the end: how, and what was logged.
    pub fn end(mut self) -> (End, String) {
        drop(self.channel);
        let mut status = [0; 4];
        self.report
            .read_exact(&mut status)
            .expect("the supervisor reports the end");
        let mut log = String::new();
        self.log
            .read_to_string(&mut log)
            .expect("the log can be read");
        nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(self.supervisor), None)
            .expect("the supervisor ends");
        let status = i32::from_ne_bytes(status);
        let end = if libc::WIFSIGNALED(status) {
            End::Signal(libc::WTERMSIG(status))
        } else {
            End::Code(libc::WEXITSTATUS(status))
        };
        (end, log)
    }
}

/// Starts a supervisor, and by it a worker of `role`. `connection` tells the worker what to do.
pub fn start(role: Role, mode: StartMode, connection: u64) -> Started {
    let pair = || {
        socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .expect("a socket pair")
    };
    let cloexec = || {
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        (File::from(read), write)
    };
    let (channel, channel_there) = pair();
    let (extra, extra_there) = pair();
    let (log, log_there) = cloexec();
    let (mut report, report_there) = cloexec();
    let directory = empty_directory();
    std::fs::create_dir_all(&directory).expect("a directory");
    let flags = OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC;
    let root = open(&directory, flags, Mode::empty()).expect("it can be opened");
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let executable = open("/proc/self/exe", flags, Mode::empty()).expect("it is there");
    let null =
        open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).expect("it is there");

    let mut table = vec![&null, &log_there, &log_there, &channel_there, &root];
    // One socket stands for all that a role is given.
    let extras = match role {
        Role::Network | Role::Auth | Role::Keys | Role::Ctl => 1,
        Role::AuthLdap
        | Role::AuthNames
        | Role::AuthSql
        | Role::AuthKeycloak
        | Role::AuthFido
        | Role::AuthKerberos => 2,
        Role::AuthSqlite => 3,
        Role::AuthCertificate | Role::AuthOtpscreen => 3,
        Role::Supervisor | Role::Launcher | Role::Display | Role::Encoder | Role::AuthPam => 0,
    };
    table.extend(std::iter::repeat_n(&extra_there, extras));
    let table: Vec<RawFd> = table.into_iter().map(AsRawFd::as_raw_fd).collect();

    // SAFETY: the tests that use this have one thread.
    match unsafe { fork() }.expect("fork") {
        ForkResult::Child => {
            drop((channel, extra, log, report));
            let this = std::process::id().cast_signed();
            if mode == StartMode::User && is_root() {
                become_user(SESSION_UID);
            }
            // `ctl` is started by the command line, which is not confined.
            if role.is_worker() {
                runtime::confine_supervisor(mode, SandboxMode::Enforce, &[executable.as_fd()])
                    .expect("the supervisor can be confined");
            }
            supervise(
                role,
                mode,
                this,
                connection,
                &table,
                &executable,
                &report_there,
            )
        }
        ForkResult::Parent { child } => {
            drop((channel_there, extra_there, log_there, report_there));
            let mut pid = [0; 4];
            report
                .read_exact(&mut pid)
                .expect("the supervisor reports the start");
            Started {
                pid: i32::from_ne_bytes(pid),
                supervisor: child.as_raw(),
                channel: UnixStream::from(channel),
                extra: (extras > 0).then(|| UnixStream::from(extra)),
                log,
                report,
            }
        }
    }
}

/// Takes another user and group, and no supplementary group.
pub fn become_user(uid: u32) {
    let (user, group) = (
        nix::unistd::Uid::from_raw(uid),
        nix::unistd::Gid::from_raw(uid),
    );
    nix::unistd::setgroups(&[]).expect("setgroups");
    nix::unistd::setresgid(group, group, group).expect("setresgid");
    nix::unistd::setresuid(user, user, user).expect("setresuid");
}

fn supervise(
    role: Role,
    mode: StartMode,
    parent: i32,
    connection: u64,
    table: &[RawFd],
    executable: &OwnedFd,
    report: &OwnedFd,
) -> ! {
    let options = Options {
        mode,
        sandbox: SandboxMode::Enforce,
        parent: Some(parent),
        connection: Some(connection),
        tls12: true,
        restarted: false,
        log: LevelFilter::TRACE,
    };
    let text = |text: &str| CString::new(text).expect("no zero");
    let arguments: Vec<CString> = std::iter::once(text(role.executable()))
        .chain(options.to_args().iter().map(|argument| text(argument)))
        .collect();
    let mut descriptor: RawFd = -1;
    // SAFETY: as the supervisor forks: one thread, and the child soon is another program. The
    // kernel writes the descriptor.
    let child = unsafe {
        let flags = libc::CLONE_PIDFD | libc::SIGCHLD;
        libc::syscall(libc::SYS_clone, flags, 0, &raw mut descriptor, 0, 0)
    };
    match i32::try_from(child).expect("a process id") {
        ..0 => panic!("clone: {}", nix::errno::Errno::last()),
        0 => {
            nix::unistd::setsid().expect("setsid");
            if mode == StartMode::Root {
                become_user(WORKER_UID);
            }
            execute(table, executable, &arguments)
        }
        child => {
            let tell = |number: i32| {
                nix::unistd::write(report, &number.to_ne_bytes()).expect("the report is read");
            };
            tell(child);
            let mut status = 0;
            // SAFETY: waits for the child; `status` is writable.
            while unsafe { libc::waitpid(child, &raw mut status, 0) } != child {}
            tell(status);
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) }
        }
    }
}

/// Arranges the descriptor table and executes by descriptor.
fn execute(table: &[RawFd], executable: &OwnedFd, arguments: &[CString]) -> ! {
    let end = i32::try_from(table.len()).expect("a short table");
    // SAFETY: plain descriptor calls in a process of one thread that is about to be replaced.
    unsafe {
        // Out of the way first: nothing of ours is below 100 then.
        let high = |fd: RawFd, at: i32| {
            assert_eq!(libc::dup3(fd, at, libc::O_CLOEXEC), at);
            at
        };
        let moved: Vec<i32> = table
            .iter()
            .zip(100..)
            .map(|(fd, at)| high(*fd, at))
            .collect();
        let program = high(executable.as_raw_fd(), 99);
        for (fd, number) in moved.iter().zip(0..) {
            assert_eq!(libc::dup3(*fd, number, 0), number);
        }
        high(program, end);
        libc::close_range(end.cast_unsigned() + 1, u32::MAX, 0);
        let mut pointers: Vec<_> = arguments.iter().map(|argument| argument.as_ptr()).collect();
        pointers.push(std::ptr::null());
        let environment = [std::ptr::null::<libc::c_char>()];
        libc::syscall(
            libc::SYS_execveat,
            end,
            c"".as_ptr(),
            pointers.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
        libc::_exit(99)
    }
}

fn empty_directory() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("bulkhead-empty-{}", std::process::id()))
}

/// Removes what [`start`] has made.
pub fn clean_up() {
    std::fs::remove_dir(empty_directory()).expect("it is there, and still empty");
}

/// The role that this process was executed as, if it was.
pub fn executed_as() -> Option<Role> {
    let name = std::env::args().next()?;
    Role::from_name(name.strip_prefix("bulkhead-")?)
}
