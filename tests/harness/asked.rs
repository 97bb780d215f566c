//! The process of a check that the launcher starts, alone and confined as in a session that root has
//! started, and what it answers.

use crate::commands::bin_dir;
use ipc::Channel;
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::{self, StartedSpec};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, pipe2};
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);

/// How a process is started.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its executable, in the directory of ours.
    pub program: &'a str,
    /// What it is told of its module and of the login.
    pub started: StartedSpec,
    /// What it gets beside.
    pub passed: &'a [BorrowedFd<'a>],
    /// Its user and group id; `None`: those of who starts it.
    pub id: Option<u32>,
    /// Its supplementary groups.
    pub groups: &'a [u32],
}

/// What became of a question.
#[derive(Debug)]
pub struct Answered {
    /// `None`: it ended without an answer.
    pub answer: Option<CheckToAuth>,
    /// From the question to the answer, or to the end.
    pub took: Duration,
    /// All that it has written.
    pub log: String,
    /// How it has ended.
    pub end: WaitStatus,
}

impl Answered {
    /// Is it a yes?
    ///
    /// # Panics
    /// When it has not ended as one that has answered does.
    #[must_use]
    pub fn is_yes(&self) -> bool {
        let exited = matches!(self.end, WaitStatus::Exited(_, 0));
        assert!(exited, "{self:?}");
        self.answer == Some(CheckToAuth::Yes)
    }
}

/// A memfd, empty.
///
/// # Panics
/// When the kernel has none.
#[must_use]
pub fn memory() -> OwnedFd {
    memfd_create(c"test", MFdFlags::MFD_CLOEXEC).unwrap()
}

impl Asked<'_> {
    /// Starts it, and asks it when it is ready.
    ///
    /// # Panics
    /// When it cannot be started, or says nothing for half a minute.
    #[must_use]
    pub fn ask(&self, question: &AuthToCheck) -> Answered {
        let program = File::open(bin_dir().join(self.program)).unwrap();
        let (log, log_there) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let (ours, theirs) = ipc::channel::socketpair().unwrap();
        let mut told = File::from(memory());
        told.write_all(&spec::encode(&self.started).unwrap())
            .unwrap();
        let null = File::open("/dev/null").unwrap();
        let arguments: Vec<_> = [
            self.program,
            "--mode=root",
            "--sandbox=enforce",
            "--log=debug",
            &format!("--parent={}", std::process::id()),
            "--connection=7",
        ]
        .map(|word| CString::new(word).unwrap())
        .into();
        let mut table = vec![
            null.as_fd(),
            log_there.as_fd(),
            log_there.as_fd(),
            theirs.as_fd(),
            told.as_fd(),
        ];
        table.extend(self.passed);
        let (pid, _) = spawn::start(&spawn::Plan {
            executable: program.as_fd(),
            arguments: &arguments,
            table: &table,
            id: self.id,
            groups: self.groups,
        })
        .unwrap();
        drop((log_there, theirs));
        let (answer, took) = answer(Channel::new(ours), question, Instant::now() + LONG);
        let end = waitpid(Pid::from_raw(pid), None).unwrap();
        let mut text = String::new();
        File::from(log).read_to_string(&mut text).unwrap();
        Answered {
            answer,
            took,
            log: text,
            end,
        }
    }
}

/// What it answers, if it does, and how long it took from the question.
fn answer(
    mut channel: Channel<AuthToCheck, CheckToAuth>,
    question: &AuthToCheck,
    until: Instant,
) -> (Option<CheckToAuth>, Duration) {
    let mut start = Instant::now();
    loop {
        match channel.receive() {
            Ok(Some((CheckToAuth::Ready, _))) => {
                start = Instant::now();
                let _ = channel.send(question, Vec::<OwnedFd>::new());
            }
            Ok(Some((answer, _))) => return (Some(answer), start.elapsed()),
            Ok(None) => {
                let left = until.saturating_duration_since(Instant::now());
                assert!(!left.is_zero(), "it says nothing");
                let mut fds = [PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
                poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap();
            }
            Err(_) => return (None, start.elapsed()),
        }
    }
}
