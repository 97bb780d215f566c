//! An application inside a session that attacks other processes of the machine. Reads process
//! ids from its arguments, tries everything on each, and writes one line an attempt to standard
//! output: `PID ATTEMPT OUTCOME`, the outcome `done` or the name of the error.

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::unistd::Pid;
use std::fs::{self, OpenOptions};
use std::io;

type Attempt = fn(i32) -> Result<(), Errno>;

const ATTEMPTS: [(&str, Attempt); 10] = [
    // The kernel lets go of it when we end.
    ("ptrace-seize", |pid| {
        ptrace::seize(Pid::from_raw(pid), ptrace::Options::empty())
    }),
    ("mem-read", |pid| open(&format!("/proc/{pid}/mem"), false)),
    ("mem-write", |pid| open(&format!("/proc/{pid}/mem"), true)),
    ("maps", |pid| read(&format!("/proc/{pid}/maps"))),
    ("environ", |pid| read(&format!("/proc/{pid}/environ"))),
    ("fd-list", |pid| {
        io_result(fs::read_dir(format!("/proc/{pid}/fd")).map(drop))
    }),
    ("fd-open", |pid| open(&format!("/proc/{pid}/fd/3"), false)),
    ("root", |pid| {
        io_result(fs::read_dir(format!("/proc/{pid}/root")).map(drop))
    }),
    ("vm-readv", |pid| {
        let mut buffer = [0u8; 16];
        let local = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        let remote = libc::iovec {
            iov_base: 0x40_0000 as *mut libc::c_void,
            iov_len: 16,
        };
        // SAFETY: `local` describes `buffer`, which lives through the call; `remote` is an
        // address of another process and never touched here.
        let result =
            unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
        // An address that is not mapped there means that reading was allowed.
        match Errno::result(result) {
            Ok(_) | Err(Errno::EFAULT) => Ok(()),
            Err(error) => Err(error),
        }
    }),
    ("pidfd-getfd", |pid| {
        // SAFETY: two system calls on numbers; the descriptors they make end with us.
        let result = unsafe {
            let pidfd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
            libc::syscall(libc::SYS_pidfd_getfd, pidfd, 3, 0)
        };
        Errno::result(result).map(drop)
    }),
];

fn io_result(result: io::Result<()>) -> Result<(), Errno> {
    result.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
}

fn open(path: &str, write: bool) -> Result<(), Errno> {
    io_result(
        OpenOptions::new()
            .read(true)
            .write(write)
            .open(path)
            .map(drop),
    )
}

fn read(path: &str) -> Result<(), Errno> {
    io_result(fs::read(path).map(drop))
}

fn main() {
    for pid in std::env::args()
        .skip(1)
        .filter_map(|word| word.parse::<i32>().ok())
    {
        for (name, attempt) in ATTEMPTS {
            match attempt(pid) {
                Ok(()) => println!("{pid} {name} done"),
                Err(error) => println!("{pid} {name} {error:?}"),
            }
        }
    }
    println!("end");
}
