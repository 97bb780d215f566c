//! The few calls that the safe wrappers do not have.
#![allow(unsafe_code, reason = "the only module of this crate that needs it")]

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::{SFlag, fstat};
use std::alloc::{GlobalAlloc, Layout, System};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends the process at once: no handlers, no flushing. `_exit(2)`.
pub fn exit(code: i32) -> ! {
    // SAFETY: ends the process; nothing can be in an invalid state afterwards.
    unsafe { libc::_exit(code) }
}

/// A descriptor by its number. Only for numbers of the standard streams and for asking whether a
/// number is open.
fn borrow(fd: i32) -> BorrowedFd<'static> {
    // SAFETY: descriptors 0 to 2 are never closed here; for any other number, the only use is
    // F_GETFD, which is what tells whether it is open.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// The log.
pub fn standard_error() -> BorrowedFd<'static> {
    borrow(2)
}

/// Whether a descriptor is open.
pub fn is_open(fd: i32) -> bool {
    fcntl(borrow(fd), FcntlArg::F_GETFD) != Err(Errno::EBADF)
}

/// Takes a descriptor that was open when the process was executed.
pub fn adopt(fd: i32) -> OwnedFd {
    // A worker executes nothing; this is for the day somebody thinks otherwise.
    let _ = fcntl(borrow(fd), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    // SAFETY: it is open (the caller has looked), was so before any code of ours ran, and is
    // adopted once, by `Seat::take`, which runs once.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Closes every descriptor from this one on. `close_range(2)`.
pub fn close_from(first: i32) {
    // SAFETY: nobody owns a descriptor above the role's table yet: this runs before any code that
    // opens one. It cannot fail for this range.
    unsafe { libc::close_range(first.unsigned_abs(), libc::c_uint::MAX, 0) };
}

/// A full log pipe drops lines; it never stops the process. Only for pipes: a terminal's flag
/// would be shared with others.
pub fn log_without_waiting() {
    let log = standard_error();
    let is_pipe = fstat(log).is_ok_and(|status| {
        SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFIFO
    });
    if is_pipe && let Ok(flags) = fcntl(log, FcntlArg::F_GETFL) {
        let flags = OFlag::from_bits_truncate(flags) | OFlag::O_NONBLOCK;
        // A pipe that would wait is a slower log, not a reason to stay away.
        let _ = fcntl(log, FcntlArg::F_SETFL(flags));
    }
}

/// Rust's handlers for these signals would make calls that no filter allows, so that a
/// segmentation fault would look like a violation.
pub fn default_fault_signals() {
    for fault in [Signal::SIGSEGV, Signal::SIGBUS] {
        // SAFETY: the default action runs no code of ours. It cannot fail for these signals.
        let _ = unsafe { signal(fault, SigHandler::SigDfl) };
    }
}

/// Whether the root directory can be opened for reading: Landlock must refuse it.
pub fn can_open_root() -> bool {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    nix::fcntl::open("/", flags, nix::sys::stat::Mode::empty()).err() != Some(Errno::EACCES)
}

/// The allocator of every process that links this crate: the system's, but running out of memory
/// is a clean end with a code of its own. (The usual one, `abort`, makes calls that no filter
/// allows, and would look like a violation.)
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

static END_WHEN_NONE: AtomicBool = AtomicBool::new(false);

/// From here on, an allocation that fails ends the process with [`crate::EXIT_MEMORY`].
pub fn end_when_memory_runs_out() {
    END_WHEN_NONE.store(true, Ordering::Relaxed);
}

fn checked(pointer: *mut u8, size: usize) -> *mut u8 {
    if pointer.is_null() && END_WHEN_NONE.load(Ordering::Relaxed) {
        crate::panic::write_line(format_args!("OOM {size} bytes were refused"));
        exit(crate::EXIT_MEMORY);
    }
    pointer
}

// SAFETY: every call goes to the system's allocator with the same arguments, and what it returns
// is returned.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the ones that `System` asks for.
        checked(unsafe { System.alloc(layout) }, layout.size())
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        checked(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        checked(unsafe { System.realloc(pointer, layout, size) }, size)
    }
}
