//! Starting, counting and ending processes: the X server and the user's commands.
//!
//! Everything here is a child of the launcher or, because it is a subreaper, becomes one.

use files::{Ids, as_user};
use ipc::spec::SessionUser;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

/// Applications get this long after SIGTERM.
pub const GRACE: Duration = Duration::from_secs(3);
/// What SIGKILL does not end after this long is out of our reach (another user's process).
pub const LIMIT: Duration = Duration::from_secs(5);
/// How often the remaining processes are counted during an end.
pub const COUNT_INTERVAL: Duration = Duration::from_millis(20);
/// Highest signal number of Linux.
const LAST_SIGNAL: i32 = 64;

/// Starts a program in its own process group, with nothing of ours: no descriptor above the
/// three standard ones (but `keep`), default signal dispositions, an empty signal mask, the
/// session's user, in `dir` if that user may enter it. `death` is what it gets when the launcher
/// is killed.
///
/// # Errors
/// What fork and exec say; `NotFound` when there is no such program.
pub fn start(
    command: &mut Command,
    user: Option<&SessionUser>,
    dir: &CStr,
    keep: Option<i32>,
    death: Signal,
) -> io::Result<Child> {
    let groups: Vec<libc::gid_t> = user.map(|user| user.groups.clone()).unwrap_or_default();
    let ids = user.map(|user| (user.uid, user.gid));
    let dir = dir.to_owned();
    command.process_group(0);
    let prepare = move || -> io::Result<()> {
        let check = |result: libc::c_int| match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        };
        // SAFETY: between fork and exec only async-signal-safe calls are allowed; these are plain
        // system calls on plain values, and `groups` was allocated before the fork.
        unsafe {
            // By the plain system call: the C library refuses its own two signals, which may be
            // ignored too. Fails for KILL and STOP, which always have the default disposition.
            let default = [0_u64; 4];
            for signal in 1..=LAST_SIGNAL {
                let none = std::ptr::null_mut::<u64>();
                libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, 8);
            }
            let mut none = std::mem::MaybeUninit::uninit();
            check(libc::sigemptyset(none.as_mut_ptr()))?;
            check(libc::sigprocmask(
                libc::SIG_SETMASK,
                none.as_ptr(),
                std::ptr::null_mut(),
            ))?;
            if let Some((uid, gid)) = ids {
                check(libc::setgroups(groups.len(), groups.as_ptr()))?;
                check(libc::setresgid(gid, gid, gid))?;
                check(libc::setresuid(uid, uid, uid))?;
            }
            // As login does for a user without a home; exec's own error would not name it.
            if libc::chdir(dir.as_ptr()) != 0 {
                check(libc::chdir(c"/".as_ptr()))?;
            }
            check(libc::prctl(libc::PR_SET_PDEATHSIG, death as libc::c_int))?;
            // Marked, not closed: std still has to report whether exec worked.
            let cloexec = libc::CLOSE_RANGE_CLOEXEC as libc::c_int;
            check(libc::close_range(3, libc::c_uint::MAX, cloexec))?;
            if let Some(fd) = keep {
                check(libc::fcntl(fd, libc::F_SETFD, 0))?;
            }
        }
        Ok(())
    };
    // SAFETY: the closure keeps to what is allowed between fork and exec (above).
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

/// Exit code, or 128 + signal; `None` for what is not an end.
pub fn exit_status(status: WaitStatus) -> Option<i32> {
    match status {
        WaitStatus::Exited(_, code) => Some(code),
        WaitStatus::Signaled(_, signal, _) => Some(128 + signal as i32),
        _ => None,
    }
}

/// Collects every child that has ended. `before` is told of each while its number, and that of
/// its group, cannot be another's yet.
pub fn reap(before: impl Fn(Pid)) -> Vec<(Pid, i32)> {
    const LOOK: WaitPidFlag = WaitPidFlag::WEXITED
        .union(WaitPidFlag::WNOHANG)
        .union(WaitPidFlag::WNOWAIT);
    let mut ended = Vec::new();
    loop {
        let pid = match waitid(Id::All, LOOK).map(|status| status.pid()) {
            Ok(Some(pid)) => pid,
            Err(Errno::EINTR) => continue,
            Ok(None) | Err(_) => return ended,
        };
        before(pid);
        match waitpid(pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return ended,
            Ok(status) => {
                if let (Some(pid), Some(code)) = (status.pid(), exit_status(status)) {
                    ended.push((pid, code));
                }
            }
            Err(Errno::EINTR) => {}
            Err(_) => return ended,
        }
    }
}

/// Parent and start time of a process from `/proc/PID/stat` (proc(5)); `None` when there is no
/// such process or it is a zombie.
fn stat(pid: i32) -> Option<(i32, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything.
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    Some((fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
}

/// When the process was started, in clock ticks since boot: with its id, its identity.
pub fn start_time(pid: i32) -> Option<u64> {
    stat(pid).map(|(_, start)| start)
}

/// The ids of all processes.
pub fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Every live process below this one, at whatever depth.
pub fn descendants() -> BTreeSet<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in all() {
        if let Some((parent, _)) = stat(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = BTreeSet::new();
    let mut queue = vec![nix::unistd::getpid().as_raw()];
    while let Some(parent) = queue.pop() {
        for &child in children.get(&parent).into_iter().flatten() {
            if found.insert(child) {
                queue.push(child);
            }
        }
    }
    found
}

/// Sends a signal to one process. That it is gone, or of a user that we may not signal, is no
/// error: who is left is counted again.
pub fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// A process that stays the one it is, though its number may be given to another.
pub struct Handle(OwnedFd);

impl Handle {
    /// The process that has this number now; `None` when there is none.
    pub fn open(pid: i32) -> Option<Self> {
        // SAFETY: pidfd_open(2) takes two plain numbers and makes a descriptor.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
        // SAFETY: the kernel has just made this descriptor for us.
        Some(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sends a signal; that the process is gone is no error.
    pub fn signal(&self, signal: Signal) {
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: pidfd_send_signal(2) takes a descriptor, a number and no information.
        unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal as libc::c_int,
                none,
                0,
            );
        }
    }
}

/// Sends a signal to a live process below this one that runs as `user`, and to no other.
pub fn signal_application(pid: i32, user: u32, signal: Signal) {
    // Whatever has the number by now: the signal goes to the one that had it before this look.
    let Some(process) = Handle::open(pid) else {
        return;
    };
    let owner = fs::metadata(format!("/proc/{pid}")).map(|about| about.uid());
    if owner.is_ok_and(|owner| owner == user) && descendants().contains(&pid) {
        process.signal(signal);
    }
}

/// Removes System V shared memory that ended processes of the session have left (an application
/// that is killed between making a segment and marking it): nobody is attached, and one of `pids`
/// made it or used it last. As the session's user: what others own is not ours, whoever used it.
pub fn remove_shared_memory(pids: &BTreeSet<i32>, user: Option<Ids>) {
    let _ = as_user(user, || {
        remove_segments(pids);
        Ok(())
    });
}

fn remove_segments(pids: &BTreeSet<i32>) {
    let text = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    for line in text.lines().skip(1) {
        // key shmid perms size cpid lpid nattch …
        let fields: Vec<i64> = line
            .split_whitespace()
            .map_while(|field| field.parse().ok())
            .collect();
        let [_, id, _, _, creator, last, attached, ..] = fields[..] else {
            continue;
        };
        let ours = |pid: i64| i32::try_from(pid).is_ok_and(|pid| pids.contains(&pid));
        let Ok(id) = i32::try_from(id) else { continue };
        if attached == 0 && (ours(creator) || ours(last)) {
            // SAFETY: IPC_RMID takes no buffer.
            unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_below_us_and_its_status_is_told() {
        let mut sleeper = start(
            Command::new("sleep").arg("60"),
            None,
            c"/",
            None,
            Signal::SIGHUP,
        )
        .unwrap();
        let pid = i32::try_from(sleeper.id()).unwrap();
        assert!(descendants().contains(&pid));
        assert!(start_time(pid).is_some());
        signal(pid, Signal::SIGKILL);
        sleeper.wait().unwrap();
        assert!(!descendants().contains(&pid));
        let killed = WaitStatus::Signaled(Pid::from_raw(1), Signal::SIGKILL, false);
        assert_eq!(exit_status(killed), Some(137));
    }

    #[test]
    fn a_missing_program_is_named_as_such() {
        let error = start(
            &mut Command::new("/nonexistent/program"),
            None,
            c"/",
            None,
            Signal::SIGHUP,
        )
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
