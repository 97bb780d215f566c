//! Fork and exec of a confined process, with exactly the descriptors of its table: as the supervisor
//! starts workers, and the launcher what may not inherit the supervisor's sandbox.

use nix::errno::Errno;
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Exit code of a child that could not become the process; the runtime's own code for that.
const EXIT_START: i32 = 103;
/// `_LINUX_CAPABILITY_VERSION_3`, capget(2).
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// How a worker is to be started.
pub struct Plan<'a> {
    /// Its executable.
    pub executable: BorrowedFd<'a>,
    /// Name and arguments.
    pub arguments: &'a [CString],
    /// Its descriptors, by number.
    pub table: &'a [BorrowedFd<'a>],
    /// User and group, in a start as root.
    pub id: Option<u32>,
    /// Supplementary groups, in a start as root.
    pub groups: &'a [u32],
}

/// Forks a child that becomes the worker, and gives its process id with a descriptor for it: both
/// or neither, so that there is never a child that nobody watches.
///
/// # Errors
/// What clone(2) says.
pub fn start(plan: &Plan<'_>) -> Result<(i32, OwnedFd), Errno> {
    // Everything that needs memory is made before the fork.
    let mut arguments: Vec<*const libc::c_char> = plan
        .arguments
        .iter()
        .map(|argument| argument.as_ptr())
        .collect();
    arguments.push(std::ptr::null());
    let mut table: Vec<RawFd> = plan.table.iter().map(AsRawFd::as_raw_fd).collect();
    table.push(plan.executable.as_raw_fd());
    let above = RawFd::try_from(table.len()).map_err(|_| Errno::EMFILE)?;
    let mut descriptor: RawFd = -1;
    // SAFETY: as fork(2) without the C library's part, which concerns threads and memory: this
    // process has one thread, and the child only makes plain system calls. The kernel writes the
    // descriptor before it returns here.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone,
            libc::CLONE_PIDFD | libc::SIGCHLD,
            0,
            &raw mut descriptor,
            0,
            0,
        )
    };
    match i32::try_from(Errno::result(pid)?).map_err(|_| Errno::EOVERFLOW)? {
        0 => {
            // SAFETY: we are the child; the pointers are valid until exec or exit.
            let (step, errno) =
                unsafe { become_worker(&arguments, &mut table, above, plan.id, plan.groups) };
            // SAFETY: writes a constant and ends.
            unsafe {
                for text in [
                    c"ERROR cannot start: ",
                    step,
                    c" failed: ",
                    errno.desc_c(),
                    c"\n",
                ] {
                    libc::write(2, text.as_ptr().cast(), text.to_bytes().len());
                }
                libc::_exit(EXIT_START)
            }
        }
        // SAFETY: the kernel has just made this descriptor for us; it is close-on-exec.
        pid => Ok((pid, unsafe { OwnedFd::from_raw_fd(descriptor) })),
    }
}

trait Description {
    fn desc_c(self) -> &'static CStr;
}

impl Description for Errno {
    /// The few reasons that matter here, without formatting.
    fn desc_c(self) -> &'static CStr {
        match self {
            Errno::EACCES => c"EACCES",
            Errno::EPERM => c"EPERM",
            Errno::EAGAIN => c"EAGAIN",
            Errno::ENOMEM => c"ENOMEM",
            Errno::EMFILE => c"EMFILE",
            Errno::EBADF => c"EBADF",
            Errno::ENOEXEC => c"ENOEXEC",
            Errno::EINVAL => c"EINVAL",
            _ => c"unexpected error",
        }
    }
}

/// # Safety
/// To be called in the child of a fork only. `arguments` ends with a null pointer; the last entry
/// of `table` is the executable; `above` is its length.
unsafe fn become_worker(
    arguments: &[*const libc::c_char],
    table: &mut [RawFd],
    above: RawFd,
    id: Option<u32>,
    groups: &[u32],
) -> (&'static CStr, Errno) {
    // SAFETY: plain system calls on memory that was allocated before the fork.
    unsafe {
        macro_rules! step {
            ($name:literal, $call:expr) => {
                if $call < 0 {
                    return ($name, Errno::last());
                }
            };
        }
        // First the descriptors, so that what fails later can be said in the log. All of them go
        // out of the way of the table before the table is filled.
        for fd in table.iter_mut() {
            *fd = libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, above);
            step!(c"F_DUPFD", *fd);
        }
        let executable = above - 1;
        for (target, fd) in (0..).zip(table.iter()) {
            let flags = if target == executable {
                libc::O_CLOEXEC
            } else {
                0
            };
            step!(c"dup3", libc::dup3(*fd, target, flags));
        }
        step!(
            c"close_range",
            libc::close_range(above.cast_unsigned(), libc::c_uint::MAX, 0)
        );
        let mut none = std::mem::MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        step!(
            c"sigprocmask",
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut())
        );
        step!(c"setsid", libc::setsid());
        if let Some(id) = id {
            // Not by the C library, which would tell its other threads, of which there are none here.
            let (count, list) = (groups.len(), groups.as_ptr());
            step!(
                c"setgroups",
                libc::syscall(libc::SYS_setgroups, count, list)
            );
            step!(c"setresgid", libc::syscall(libc::SYS_setresgid, id, id, id));
            step!(c"setresuid", libc::syscall(libc::SYS_setresuid, id, id, id));
        }
        let header: [u32; 2] = [CAPABILITY_VERSION, 0];
        let nothing = [0_u32; 6];
        step!(
            c"capset",
            libc::syscall(libc::SYS_capset, header.as_ptr(), nothing.as_ptr())
        );
        step!(
            c"no_new_privs",
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        );
        let environment = [std::ptr::null::<libc::c_char>()];
        libc::syscall(
            libc::SYS_execveat,
            executable,
            c"".as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
        (c"execveat", Errno::last())
    }
}
