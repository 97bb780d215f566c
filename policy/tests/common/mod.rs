//! Doing something in a forked child and looking at how it ended. Only for tests that run in a
//! single thread (`harness = false`).

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an exit code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// Runs `body` in a forked child, which ends with the code that it returns. After five seconds
/// the child is ended by SIGALRM.
pub fn in_child(body: impl FnOnce() -> i32) -> End {
    // SAFETY: this process has one thread, so the child may do anything.
    match unsafe { libc::fork() } {
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        0 => {
            // SAFETY: a timer for this process, and a limit; no memory is involved but `none`.
            unsafe {
                libc::alarm(5);
                let none = libc::rlimit {
                    rlim_cur: 0,
                    rlim_max: 0,
                };
                libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
            }
            let code = body();
            // SAFETY: ends the child.
            unsafe { libc::_exit(code) }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child of ours; `status` is writable.
            while unsafe { libc::waitpid(child, &raw mut status, 0) } != child {}
            if libc::WIFSIGNALED(status) {
                End::Signal(libc::WTERMSIG(status))
            } else {
                End::Code(libc::WEXITSTATUS(status))
            }
        }
    }
}
