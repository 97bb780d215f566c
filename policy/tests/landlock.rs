//! Landlock alone, with no system-call filter: what it must refuse is refused, and works without
//! it. Rights that the running kernel does not know are left out, by name.

mod common;

use common::{End, in_child};
use policy::{LandlockPath, Role, SandboxMode, install_landlock, landlock_rights};
use std::ffi::CString;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// What an attempt works on: made outside, before Landlock.
struct Place {
    directory: PathBuf,
    port: u16,
    abstract_name: String,
    target: i32,
}

impl Place {
    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// A right, what is tried, and how it is refused.
struct Attempt {
    right: &'static str,
    what: &'static str,
    refused: ErrorKind,
    run: fn(&Place) -> Result<()>,
}

const fn attempt(
    right: &'static str,
    what: &'static str,
    run: fn(&Place) -> Result<()>,
) -> Attempt {
    Attempt {
        right,
        what,
        refused: ErrorKind::PermissionDenied,
        run,
    }
}

fn checked(result: i32) -> Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(Error::last_os_error())
    }
}

fn make_node(path: &Path, kind: libc::mode_t) -> Result<()> {
    let path = CString::new(path.to_str().expect("text")).expect("no zero");
    // SAFETY: the path is a C string.
    checked(unsafe { libc::mknod(path.as_ptr(), kind | 0o600, 0) })
}

const ATTEMPTS: &[Attempt] = &[
    attempt("fs-execute", "execute a program", |_| {
        // SAFETY: C strings and an array that ends with null.
        checked(unsafe {
            libc::execl(
                c"/bin/true".as_ptr(),
                c"true".as_ptr(),
                std::ptr::null::<libc::c_char>(),
            )
        })
    }),
    attempt("fs-read-file", "read a file", |place| {
        fs::read(place.file("file")).map(drop)
    }),
    attempt("fs-read-file", "read /etc/passwd", |_| {
        fs::read("/etc/passwd").map(drop)
    }),
    attempt("fs-read-file", "read /proc/self/maps", |_| {
        fs::read("/proc/self/maps").map(drop)
    }),
    attempt("fs-read-file", "read /dev/null", |_| {
        fs::File::open("/dev/null").map(drop)
    }),
    attempt("fs-write-file", "write a file", |place| {
        fs::OpenOptions::new()
            .write(true)
            .open(place.file("file"))
            .map(drop)
    }),
    attempt("fs-write-file", "write /dev/null", |_| {
        fs::write("/dev/null", "x")
    }),
    attempt("fs-read-dir", "list a directory", |place| {
        fs::read_dir(&place.directory).map(drop)
    }),
    attempt("fs-read-dir", "list /", |_| fs::read_dir("/").map(drop)),
    attempt("fs-read-dir", "list /proc/self/fd", |_| {
        fs::read_dir("/proc/self/fd").map(drop)
    }),
    attempt("fs-remove-dir", "remove a directory", |place| {
        fs::remove_dir(place.file("directory"))
    }),
    attempt("fs-remove-file", "remove a file", |place| {
        fs::remove_file(place.file("file"))
    }),
    attempt("fs-make-dir", "make a directory", |place| {
        fs::create_dir(place.file("new"))
    }),
    attempt("fs-make-reg", "make a file", |place| {
        fs::File::create_new(place.file("new")).map(drop)
    }),
    attempt("fs-make-reg", "make a temporary file", |place| {
        let path = CString::new(place.directory.to_str().expect("text")).expect("no zero");
        // SAFETY: the path is a C string.
        match unsafe { libc::open(path.as_ptr(), libc::O_TMPFILE | libc::O_RDWR, 0o600) } {
            -1 => Err(Error::last_os_error()),
            _ => Ok(()),
        }
    }),
    attempt("fs-make-reg", "make a hard link", |place| {
        fs::hard_link(place.file("file"), place.file("new"))
    }),
    attempt("fs-make-sock", "make a socket", |place| {
        UnixListener::bind(place.file("new")).map(drop)
    }),
    attempt("fs-make-fifo", "make a named pipe", |place| {
        make_node(&place.file("new"), libc::S_IFIFO)
    }),
    attempt("fs-make-sym", "make a symbolic link", |place| {
        symlink("/", place.file("new"))
    }),
    attempt("fs-remove-file", "rename a file", |place| {
        fs::rename(place.file("file"), place.file("new"))
    }),
    Attempt {
        right: "fs-refer",
        what: "move a file to another directory",
        refused: ErrorKind::PermissionDenied,
        run: |place| fs::rename(place.file("file"), place.file("directory/new")),
    },
    attempt("fs-truncate", "truncate a file", |place| {
        let path = CString::new(place.file("file").to_str().expect("text")).expect("no zero");
        // SAFETY: the path is a C string.
        checked(unsafe { libc::truncate(path.as_ptr(), 0) })
    }),
    attempt("net-bind-tcp", "bind a TCP port", |_| {
        TcpListener::bind("127.0.0.1:0").map(drop)
    }),
    attempt("net-connect-tcp", "connect to a TCP port", |place| {
        TcpStream::connect(("127.0.0.1", place.port)).map(drop)
    }),
    attempt(
        "scope-abstract-unix-socket",
        "connect to an abstract socket",
        |place| {
            let address = SocketAddr::from_abstract_name(&place.abstract_name)?;
            UnixStream::connect_addr(&address).map(drop)
        },
    ),
    attempt("scope-signal", "signal another process", |place| {
        // SAFETY: no memory is involved; signal 0 only asks.
        checked(unsafe { libc::kill(place.target, 0) })
    }),
    attempt("scope-signal", "signal init", |_| {
        // SAFETY: as above.
        checked(unsafe { libc::kill(1, 0) })
    }),
];

fn main() {
    let directory = std::env::temp_dir().join(format!("bulkhead-landlock-{}", std::process::id()));
    let abstract_name = format!("bulkhead-landlock-{}", std::process::id());
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = SocketAddr::from_abstract_name(&abstract_name).expect("a name");
    let _listener = UnixListener::bind_addr(&address).expect("an abstract socket");
    let place = Place {
        directory,
        port: tcp.local_addr().expect("an address").port(),
        abstract_name,
        target: std::process::id().cast_signed(),
    };
    let abi = in_child(|| {
        let report = install_landlock(Role::Encoder, &[], SandboxMode::Enforce);
        i32::try_from(report.expect("the kernel has Landlock").abi).expect("a small number")
    });
    let End::Code(abi) = abi else {
        panic!("{abi:?}")
    };
    let known = |right: &str| {
        landlock_rights()
            .iter()
            .any(|(since, name)| *name == right && i64::from(*since) <= i64::from(abi))
    };
    let is_root =
        fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0);
    for attempt in ATTEMPTS {
        if !known(attempt.right) {
            println!("not known to this kernel: {}", attempt.right);
            continue;
        }
        for role in Role::WORKERS
            .into_iter()
            .chain([Role::Ctl, Role::Supervisor])
            .chain(Role::OF_LAUNCHER)
        {
            fresh(&place);
            let got = in_child(|| {
                install_landlock(role, &[], SandboxMode::Enforce).expect("Landlock");
                outcome(attempt, &place)
            });
            // What a policy names, its role may read.
            let named = |path: &LandlockPath| match path {
                LandlockPath::Read(file) => attempt.what == format!("read {file}"),
                _ => false,
            };
            let may = policy::of(role).landlock.paths.iter().any(named);
            let wanted = End::Code(if may { 0 } else { REFUSED });
            assert_eq!(got, wanted, "{role}: {}", attempt.what);
        }
        // Only root may signal init.
        if attempt.what != "signal init" || is_root {
            fresh(&place);
            let control = in_child(|| outcome(attempt, &place));
            assert_eq!(control, End::Code(0), "{} without Landlock", attempt.what);
        }
    }
    only_the_executables(&place);
    println!("{} attempts, Landlock ABI {abi}", ATTEMPTS.len());
    fs::remove_dir_all(&place.directory).expect("it can be removed");
}

const REFUSED: i32 = 1;

fn outcome(attempt: &Attempt, place: &Place) -> i32 {
    match (attempt.run)(place) {
        Ok(()) => 0,
        Err(error)
            if error.kind() == attempt.refused || error.raw_os_error() == Some(libc::EXDEV) =>
        {
            REFUSED
        }
        Err(error) => {
            eprintln!("{}: {error}", attempt.what);
            2
        }
    }
}

fn fresh(place: &Place) {
    let _ = fs::remove_dir_all(&place.directory);
    fs::create_dir_all(place.file("directory")).expect("a directory");
    fs::write(place.file("file"), "content").expect("a file");
}

/// The supervisor may read and execute what it is given, and nothing next to it.
fn only_the_executables(place: &Place) {
    fresh(place);
    let mut program = PathBuf::from("/bin/true");
    if let Ok(real) = program.canonicalize() {
        program = real;
    }
    let file = fs::File::open(&program).expect("it is there");
    let got = in_child(|| {
        install_landlock(Role::Supervisor, &[file.as_fd()], SandboxMode::Enforce)
            .expect("Landlock");
        let readable = fs::read(&program).is_ok();
        let writable = fs::OpenOptions::new().append(true).open(&program).is_ok();
        let others = fs::read("/bin/sh").is_ok() || fs::read(place.file("file")).is_ok();
        i32::from(!readable) + 2 * i32::from(writable) + 4 * i32::from(others)
    });
    assert_eq!(
        got,
        End::Code(0),
        "1: not readable, 2: writable, 4: others are readable"
    );
}
