//! The few system calls that have no safe form: process descriptors, accept with the peer's
//! address. The only unsafe code of the supervisor itself.

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{SockaddrLike, SockaddrStorage};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

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
