//! The few system calls that have no safe form: fork and exec of a worker, process descriptors,
//! accept with the peer's address. The only unsafe code of the supervisor.

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{SockaddrLike, SockaddrStorage};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Exit code of a child that could not become a worker; the runtime's own code for that.
const EXIT_START: i32 = 103;
/// `_LINUX_CAPABILITY_VERSION_3`, capget(2).
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Takes the passed descriptors `first` to `last`, all of them close-on-exec from now on.
///
/// # Errors
/// `EBADF` with one that is not open.
pub fn take_passed(first: RawFd, last: RawFd) -> Result<Vec<OwnedFd>, Errno> {
    (first..=last)
        .map(|fd| {
            // SAFETY: F_SETFD changes nothing but the flag of one descriptor.
            Errno::result(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
            // SAFETY: called at the start, before anything was opened here, once for each range.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        })
        .collect()
}

/// Sets `TCP_NOTSENT_LOWAT` in bytes: more than that is not taken from a writer before it is sent.
///
/// # Errors
/// What setsockopt(2) says.
pub fn bound_unsent(socket: BorrowedFd<'_>, bytes: u32) -> Result<(), Errno> {
    let (level, option) = (libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT);
    let (value, length) = ((&raw const bytes).cast(), 4);
    // SAFETY: the kernel reads four bytes from `bytes`.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, length) };
    Errno::result(result).map(drop)
}

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
            let (step, errno) = unsafe { become_worker(&arguments, &mut table, above, plan.id) };
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
            step!(c"setgroups", libc::setgroups(0, std::ptr::null()));
            step!(c"setresgid", libc::setresgid(id, id, id));
            step!(c"setresuid", libc::setresuid(id, id, id));
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

/// Sends a signal to the process behind a descriptor; one that has ended is no error.
pub fn signal(process: BorrowedFd<'_>, signal: Signal) {
    // SAFETY: pidfd_send_signal(2) without a siginfo.
    unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal as libc::c_int,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        );
    }
}

/// Accepts a connection with its peer's address; `None` when there is none now.
///
/// # Errors
/// What accept4(2) says.
pub fn accept(listener: BorrowedFd<'_>) -> Result<Option<(OwnedFd, SockaddrStorage)>, Errno> {
    loop {
        let mut storage = std::mem::MaybeUninit::<libc::sockaddr_storage>::zeroed();
        let mut len = libc::socklen_t::try_from(size_of::<libc::sockaddr_storage>())
            .map_err(|_| Errno::EINVAL)?;
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: the kernel writes at most `len` bytes into `storage`.
        let fd = unsafe {
            libc::accept4(
                listener.as_raw_fd(),
                storage.as_mut_ptr().cast(),
                &raw mut len,
                flags,
            )
        };
        match Errno::result(fd) {
            Ok(fd) => {
                // SAFETY: the kernel has just made this descriptor for us.
                let socket = unsafe { OwnedFd::from_raw_fd(fd) };
                // SAFETY: zeroed, then filled by the kernel; from_raw looks at the family.
                let address =
                    unsafe { SockaddrStorage::from_raw(storage.as_ptr().cast(), Some(len)) };
                match address {
                    Some(address) => return Ok(Some((socket, address))),
                    None => return Err(Errno::EAFNOSUPPORT),
                }
            }
            Err(Errno::EAGAIN) => return Ok(None),
            // The client has gone already, or a network error that is not about the listener
            // (accept(2), "Error handling").
            Err(
                Errno::EINTR
                | Errno::ECONNABORTED
                | Errno::EPROTO
                | Errno::ENETDOWN
                | Errno::ENETUNREACH
                | Errno::EHOSTUNREACH
                | Errno::EHOSTDOWN,
            ) => {}
            Err(error) => return Err(error),
        }
    }
}
