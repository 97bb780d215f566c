//! An application of the session that attacks what runs beside it: what it can try, and the
//! conversation with the test that gives it its targets. The program is `hostile-neighbour`; the
//! launcher starts it as it starts every application.

use crate::eventually;
use ipc::launcher::{LauncherToSupervisor, SupervisorToLauncher};
use ipc::reload::{CommandToSupervisor, SupervisorToCommand};
use ipc::{Channel, Message};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::ptrace;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket,
    sockopt::PeerCredentials,
};
use nix::unistd::Pid;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;
use test_client::{Address, Client, Error, Options};

const LONG: Duration = Duration::from_secs(20);

/// What the kernel asks before it allows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// May the one attach to the other: ptrace(2), "Ptrace access mode checking".
    Attach,
    /// Have both the same user id, whatever their namespaces: kill(2), prlimit(2).
    SameUser,
}

/// One way to reach another process.
pub struct Attempt {
    /// Its name.
    pub name: &'static str,
    /// What the kernel asks.
    pub check: Check,
    run: fn(i32) -> Result<(), Errno>,
}

const fn attach(name: &'static str, run: fn(i32) -> Result<(), Errno>) -> Attempt {
    let check = Check::Attach;
    Attempt { name, check, run }
}

const fn same_user(name: &'static str, run: fn(i32) -> Result<(), Errno>) -> Attempt {
    let check = Check::SameUser;
    Attempt { name, check, run }
}

/// Everything that is tried on a process. None of it harms one that it reaches.
pub const ATTEMPTS: [Attempt; 17] = [
    // The kernel lets go of it when the program ends.
    attach("ptrace-seize", |pid| {
        ptrace::seize(Pid::from_raw(pid), ptrace::Options::empty())
    }),
    attach("mem-read", |pid| open(&format!("/proc/{pid}/mem"), false)),
    attach("mem-write", |pid| open(&format!("/proc/{pid}/mem"), true)),
    attach("maps", |pid| {
        io_result(fs::read(format!("/proc/{pid}/maps")))
    }),
    attach("environ", |pid| {
        io_result(fs::read(format!("/proc/{pid}/environ")))
    }),
    attach("fd-list", |pid| {
        io_result(fs::read_dir(format!("/proc/{pid}/fd")))
    }),
    attach("fd-open", |pid| open(&format!("/proc/{pid}/fd/0"), false)),
    attach("root", |pid| {
        io_result(fs::read_dir(format!("/proc/{pid}/root")))
    }),
    attach("namespace", |pid| {
        open(&format!("/proc/{pid}/ns/user"), false)
    }),
    attach("vm-readv", |pid| {
        vm(pid, |pid, local, remote| {
            // SAFETY: `local` describes a buffer of the caller's, which is long enough; `remote`
            // is an address of another process and never touched here.
            unsafe { libc::process_vm_readv(pid, local, 1, remote, 1, 0) }
        })
    }),
    attach("vm-writev", |pid| {
        vm(pid, |pid, local, remote| {
            // SAFETY: as above; the other process has nothing at that address.
            unsafe { libc::process_vm_writev(pid, local, 1, remote, 1, 0) }
        })
    }),
    attach("pidfd-getfd", |pid| {
        let pidfd = pidfd(pid)?;
        // SAFETY: a call on numbers; the descriptor that it makes ends with the program.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd, 0, 0) };
        Errno::result(fd).map(drop)
    }),
    attach("kcmp", |pid| {
        // SAFETY: a call on numbers.
        Errno::result(unsafe { libc::syscall(libc::SYS_kcmp, me(), pid, KCMP_FILES, 0, 0) })
            .map(drop)
    }),
    // Signal 0 asks whether a signal could be sent: kill(2).
    same_user("kill", |pid| {
        nix::sys::signal::kill(Pid::from_raw(pid), None)
    }),
    same_user("tgkill", |pid| {
        // SAFETY: a call on numbers.
        Errno::result(unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, 0) }).map(drop)
    }),
    same_user("pidfd-send-signal", |pid| {
        let none = std::ptr::null::<libc::siginfo_t>();
        let pidfd = pidfd(pid)?;
        // SAFETY: a call on numbers, without information for the signal.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, 0, none, 0) };
        Errno::result(sent).map(drop)
    }),
    same_user("prlimit", |pid| {
        let mut limits = std::mem::MaybeUninit::<libc::rlimit64>::uninit();
        let none = std::ptr::null();
        // SAFETY: the kernel writes one `rlimit64`, for which there is room.
        let asked = unsafe { libc::prlimit64(pid, libc::RLIMIT_NOFILE, none, limits.as_mut_ptr()) };
        Errno::result(asked).map(drop)
    }),
];

/// Descriptor tables: kcmp(2).
const KCMP_FILES: libc::c_int = 2;

fn me() -> i32 {
    Pid::this().as_raw()
}

fn io_result<T>(result: io::Result<T>) -> Result<(), Errno> {
    let number = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(0));
    result.map(drop).map_err(number)
}

fn open(path: &str, write: bool) -> Result<(), Errno> {
    io_result(OpenOptions::new().read(true).write(write).open(path))
}

fn pidfd(pid: i32) -> Result<libc::c_long, Errno> {
    // SAFETY: a call on numbers; the descriptor that it makes ends with the program.
    Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

type Transfer = fn(i32, *const libc::iovec, *const libc::iovec) -> isize;

fn vm(pid: i32, transfer: Transfer) -> Result<(), Errno> {
    const NOTHING_THERE: *mut libc::c_void = std::ptr::without_provenance_mut(0x1000);
    let mut buffer = [0_u8; 16];
    let local = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let remote = libc::iovec {
        iov_base: NOTHING_THERE,
        iov_len: buffer.len(),
    };
    match Errno::result(transfer(pid, &raw const local, &raw const remote)) {
        // The kernel looks for the address when it has decided that we may.
        Ok(_) | Err(Errno::EFAULT) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A socket that an application may try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// One for clients: says hello and knows no password. A path, `@NAME` or `HOST:PORT`.
    Client(String),
    /// That of a launcher: does as if it were a new supervisor and ends the session.
    Launcher(PathBuf),
    /// That of a supervisor for new certificates: does as if it were `bulkhead reload`, and brings none.
    Reload(PathBuf),
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(address) => write!(f, "client {address}"),
            Self::Launcher(path) => write!(f, "launcher {}", path.display()),
            Self::Reload(path) => write!(f, "reload {}", path.display()),
        }
    }
}

/// What came of it, in a word: `let-in`, `asked` (for a password), `turned-away`, or the error's
/// name.
fn try_door(kind: &str, address: &str) -> String {
    let path = Path::new(address);
    let tried = match kind {
        "client" => return try_client(address),
        "reload" => {
            let reason = "a neighbour".to_owned();
            try_channel::<_, SupervisorToCommand>(path, &CommandToSupervisor::GiveUp { reason })
        }
        _ => try_channel::<_, LauncherToSupervisor>(path, &SupervisorToLauncher::Stop),
    };
    tried.unwrap_or_else(|error| format!("{error:?}"))
}

fn try_client(address: &str) -> String {
    let mut options = Options::gtk();
    options.hello.identity.uuid = "0".repeat(32);
    options.hello.share = true;
    let address = Address::parse(address).expect("an address");
    match Client::connect(&address, &options, LONG) {
        Ok(_) => "let-in".to_owned(),
        Err(Error::Challenge(_)) => "asked".to_owned(),
        Err(Error::Disconnected(_) | Error::Closed) => "turned-away".to_owned(),
        Err(Error::Io(error)) => match error.raw_os_error() {
            Some(number) => format!("{:?}", Errno::from_raw(number)),
            None => error.to_string(),
        },
        Err(error) => error.to_string(),
    }
}

fn try_channel<Tx: Message, Rx: Message>(path: &Path, said: &Tx) -> nix::Result<String> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    let mut channel = Channel::<Tx, Rx>::new(socket);
    // It may be closed already.
    let _ = channel.send(said, vec![]);
    let mut answers = [PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
    let patience = PollTimeout::try_from(LONG).unwrap_or(PollTimeout::MAX);
    let answered = poll(&mut answers, patience)? > 0;
    Ok(match channel.receive() {
        _ if !answered => "no-answer".to_owned(),
        // A message, or a greeting alone.
        Ok(_) => "let-in".to_owned(),
        Err(_) => "turned-away".to_owned(),
    })
}

/// The program: does what it is told at this socket, until it is ended.
///
/// # Panics
/// When it cannot listen there.
pub fn serve(path: &Path) {
    // Where a system restricts attaching to one's children, its other targets are not ours to
    // change, but this program is the control and lets everybody.
    // SAFETY: sets a flag of this process.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0) };
    let listener = UnixListener::bind(path).expect("a socket to be told things");
    for stream in listener.incoming().flatten() {
        let mut answers = stream.try_clone().expect("a second handle");
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            for answer in obey(&line) {
                // Whoever asked may have failed in the meantime.
                let _ = writeln!(answers, "{answer}");
            }
            let _ = writeln!(answers, "end");
        }
    }
}

fn obey(line: &str) -> Vec<String> {
    let (word, rest) = line.split_once(' ').unwrap_or_default();
    let (kind, address) = rest.split_once(' ').unwrap_or_default();
    let pid = || rest.parse().expect("a process id");
    let word_of = |outcome: Result<(), Errno>| match outcome {
        Ok(()) => "done".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    match word {
        "attack" => ATTEMPTS
            .iter()
            .map(|attempt| format!("{} {}", attempt.name, word_of((attempt.run)(pid()))))
            .collect(),
        "end" => {
            let sent = nix::sys::signal::kill(Pid::from_raw(pid()), nix::sys::signal::SIGKILL);
            vec![word_of(sent)]
        }
        "door" => vec![try_door(kind, address)],
        other => panic!("what is {other:?}?"),
    }
}

/// The test's side: a neighbour that runs in a session.
pub struct Neighbour {
    answers: BufReader<UnixStream>,
    /// Its process id, as the kernel says.
    pub pid: u32,
}

impl Neighbour {
    /// The one that was started with this path.
    ///
    /// # Panics
    /// When it does not come.
    pub fn meet(path: &Path) -> Self {
        let stream = eventually("the neighbour in the session", LONG, || {
            UnixStream::connect(path).ok()
        });
        stream.set_read_timeout(Some(LONG * 2)).unwrap();
        let pid = getsockopt(&stream, PeerCredentials).unwrap().pid();
        Self {
            answers: BufReader::new(stream),
            pid: pid.try_into().unwrap(),
        }
    }

    fn ask(&mut self, line: &str) -> Vec<String> {
        writeln!(self.answers.get_mut(), "{line}").unwrap();
        let mut answers = Vec::new();
        loop {
            let mut answer = String::new();
            self.answers.read_line(&mut answer).unwrap();
            match answer.strip_suffix('\n') {
                Some("end") => return answers,
                Some(answer) => answers.push(answer.to_owned()),
                None => panic!("the neighbour has ended: {line}: {answers:?}"),
            }
        }
    }

    /// Tries everything on a process: each attempt and what came of it, `done` or the error's
    /// name.
    ///
    /// # Panics
    /// When the neighbour has ended.
    pub fn attack(&mut self, pid: u32) -> Vec<(&'static Attempt, String)> {
        let answers = self.ask(&format!("attack {pid}"));
        assert_eq!(answers.len(), ATTEMPTS.len(), "{answers:?}");
        let pairs = ATTEMPTS.iter().zip(answers);
        pairs
            .map(|(attempt, answer)| {
                let (name, outcome) = answer.split_once(' ').expect("two words");
                assert_eq!(name, attempt.name);
                (attempt, outcome.to_owned())
            })
            .collect()
    }

    /// Sends a process the signal that ends it: `done` or the error's name.
    ///
    /// # Panics
    /// When the neighbour has ended.
    pub fn end(&mut self, pid: u32) -> String {
        self.ask(&format!("end {pid}")).remove(0)
    }

    /// Tries a socket: `let-in`, `asked`, `turned-away` or the error's name.
    ///
    /// # Panics
    /// When the neighbour has ended.
    pub fn knock(&mut self, door: &Door) -> String {
        self.ask(&format!("door {door}")).remove(0)
    }
}
