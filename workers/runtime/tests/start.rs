//! The way from exec to the first message, for every worker in both start modes, under the
//! supervisor's own filter and Landlock rules: what the kernel says about the process afterwards,
//! and how it ends.
//!
//! The binary is the test, the supervisor and the workers.

mod common;

use common::{End, SESSION_UID, Started, WORKER_UID, executed_as, is_root, modes, start};
use policy::{Role, StartMode};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

/// What a worker is told to do, by its connection number or over its channel.
const PANIC_IN_WARM_UP: u64 = 1;
const FAIL_IN_WARM_UP: u64 = 2;
const OBEY: u64 = 3;

fn main() -> ExitCode {
    if let Some(role) = executed_as() {
        worker(role);
    }
    for mode in modes() {
        for role in Role::WORKERS {
            println!("{role}, {mode}");
            what_the_kernel_says(role, *mode);
            ends(role, *mode);
            start_fails(role, *mode);
        }
    }
    dies_with_the_supervisor();
    wrong_starts();
    common::clean_up();
    ExitCode::SUCCESS
}

fn worker(role: Role) -> ! {
    runtime::run(
        role,
        |seat| {
            tracing::debug!(role = %seat.role(), "warming up");
            match seat.options().connection {
                Some(PANIC_IN_WARM_UP) => panic!("in the\nwarm-up"),
                Some(FAIL_IN_WARM_UP) => Err("no socket\tto warm"),
                _ => Ok(()),
            }
        },
        |mut seat, ()| {
            let enforced = seat.enforced().clone();
            let mut channel = UnixStream::from(seat.supervisor());
            let _rest = seat.descriptors_from(5);
            tracing::info!(abi = enforced.landlock_abi, missing = ?enforced.missing_rights, "started");
            send(&mut channel, b"ready");
            loop {
                let mut set = runtime::PollSet::new();
                let slot = set.add(channel.as_fd(), runtime::Interest::Read);
                set.wait(Some(Duration::from_secs(60)))
                    .expect("it can wait");
                assert!(set.ready(slot).readable);
                let mut order = [0];
                match receive(&mut channel, &mut order) {
                    0 => return ExitCode::SUCCESS,
                    _ => obey(role, order[0]),
                }
                send(&mut channel, b"done");
            }
        },
    )
}

fn obey(role: Role, order: u8) {
    match order {
        b'p' => panic!("as told"),
        b'i' => {
            let numbers: Vec<u32> = Vec::new();
            let index = std::hint::black_box(7);
            println!("{}", numbers[index]);
        }
        b'm' => {
            let size = std::hint::black_box(1_usize << 46);
            drop(std::hint::black_box(vec![1_u8; size]));
        }
        b'a' => {
            // Where large blocks cannot be given back, there are none.
            let large = policy::of(role).calls().contains(&"munmap");
            let pages = if large { 100 } else { 30 };
            // The last one grows from nothing.
            let mut blocks: Vec<Vec<u8>> = (1..pages).map(|n| vec![7; n * 4096]).collect();
            blocks.push(
                (0..pages * 4096)
                    .map(|n| n.to_le_bytes()[0])
                    .filter(|n| *n < 64)
                    .collect(),
            );
            drop(std::hint::black_box(blocks));
        }
        // SAFETY: asks the kernel something that needs no argument.
        b's' => drop(unsafe { libc::getpid() }),
        // SAFETY: the fault is the purpose: it ends the process.
        b'f' => unsafe { std::hint::black_box(std::ptr::dangling_mut::<u8>()).write_volatile(1) },
        b'l' => {
            for number in 0..100_000 {
                tracing::info!(number, "too much");
            }
        }
        _ => {}
    }
}

/// The way of a channel: recvmsg and sendmsg.
fn send(channel: &mut UnixStream, bytes: &[u8]) {
    use nix::sys::socket::{MsgFlags, sendmsg};
    use std::os::fd::AsRawFd;
    let packet = [std::io::IoSlice::new(bytes)];
    sendmsg::<()>(
        channel.as_raw_fd(),
        &packet,
        &[],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
    .expect("it is sent");
}

fn receive(channel: &mut UnixStream, bytes: &mut [u8]) -> usize {
    use nix::sys::socket::{MsgFlags, recvmsg};
    use std::os::fd::AsRawFd;
    let mut slices = [std::io::IoSliceMut::new(bytes)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    recvmsg::<()>(channel.as_raw_fd(), &mut slices, None, flags)
        .expect("it is received")
        .bytes
}

fn ready(role: Role, mode: StartMode) -> Started {
    let mut started = start(role, mode, OBEY);
    let mut message = [0; 16];
    let length = started
        .channel
        .read(&mut message)
        .expect("the channel can be read");
    if &message[..length] != b"ready" {
        panic!("{role}, {mode}: {:?}", started.end());
    }
    started
}

fn what_the_kernel_says(role: Role, mode: StartMode) {
    let started = ready(role, mode);
    let policy = policy::of(role);
    let proc = format!("/proc/{}", started.pid);
    let status = fs::read_to_string(format!("{proc}/status")).expect("status");
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"))
            .unwrap_or_else(|| panic!("{name} in {status}"))
            .to_owned()
    };
    assert_eq!(field("Seccomp"), "2");
    // The supervisor's and its own (some systems and sandboxes put one below all).
    assert!(field("Seccomp_filters").parse::<u32>().expect("a number") >= 2);
    assert_eq!(field("NoNewPrivs"), "1");
    assert_eq!(field("Threads"), "1");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    if is_root() {
        let uid = match mode {
            StartMode::Root => WORKER_UID,
            StartMode::User => SESSION_UID,
        };
        assert_eq!(field("Uid"), [uid; 4].map(|uid| uid.to_string()).join("\t"));
        assert_eq!(field("Gid"), [uid; 4].map(|uid| uid.to_string()).join("\t"));
        // The rest is only for root's eyes: the process is not dumpable.
        for namespace in policy.namespaces(mode) {
            let link = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{}", namespace.name()));
            let theirs = link(&started.pid.to_string()).expect("its namespace");
            assert_ne!(theirs, link("self").expect("ours"));
        }
        let open: Vec<i32> = {
            let mut open: Vec<i32> = fs::read_dir(format!("{proc}/fd"))
                .expect("its descriptors")
                .map(|entry| {
                    entry
                        .expect("one")
                        .file_name()
                        .to_str()
                        .expect("a number")
                        .parse()
                        .expect("a number")
                })
                .collect();
            open.sort_unstable();
            open
        };
        let declared: Vec<i32> = policy
            .descriptors
            .iter()
            .filter(|entry| !entry.optional && !entry.onwards && !entry.closed_at_start)
            .map(|entry| entry.fd)
            .collect();
        assert_eq!(open, declared);
        assert_eq!(
            fs::read_dir(format!("{proc}/root"))
                .expect("its root")
                .count(),
            0
        );
    }
    let limits = fs::read_to_string(format!("{proc}/limits")).expect("limits");
    for limit in policy.limits {
        let name = limit.resource.proc_name();
        let line = limits
            .lines()
            .find(|line| line.starts_with(name))
            .expect(name);
        let values: Vec<_> = line[name.len()..].split_whitespace().take(2).collect();
        assert_eq!(
            values,
            [limit.value.to_string(), limit.value.to_string()],
            "{line}"
        );
    }
    same_user_cannot_attach(&started);
    let (end, log) = started.end();
    assert_eq!(end, End::Code(0), "{log}");
    assert!(
        log.contains(&format!("DEBUG warming up role=\"{role}\"\n")),
        "{log}"
    );
    assert!(log.contains("INFO started abi="), "{log}");
}

/// A process of the worker's own uid, outside of its namespaces.
fn same_user_cannot_attach(started: &Started) {
    let pid = started.pid;
    let owner = fs::metadata(format!("/proc/{}/stat", started.supervisor)).is_ok();
    assert!(owner, "the supervisor lives");
    let attack = || {
        if is_root() {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
            let uid = status
                .lines()
                .find_map(|line| line.strip_prefix("Uid:\t"))
                .expect("a uid");
            common::become_user(
                uid.split('\t')
                    .next()
                    .and_then(|uid| uid.parse().ok())
                    .expect("a uid"),
            );
        }
        // SAFETY: no memory of ours is involved.
        let attached = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) } == 0;
        let opened = ["mem", "environ", "maps", "fd/3", "root/", "cwd/"]
            .iter()
            .any(|file| fs::File::open(format!("/proc/{pid}/{file}")).is_ok());
        i32::from(attached) + 2 * i32::from(opened)
    };
    // SAFETY: this test has one thread.
    match unsafe { libc::fork() } {
        0 => {
            let code = attack();
            // SAFETY: ends the child.
            unsafe { libc::_exit(code) }
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child of ours.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0, "1: ptrace, 2: /proc/PID");
        }
    }
}

fn ends(role: Role, mode: StartMode) {
    let sigsys = End::Signal(libc::SIGSYS);
    for (order, wanted, line) in [
        (
            b'p',
            End::Code(runtime::EXIT_PANIC),
            format!("PANIC {role} "),
        ),
        (
            b'i',
            End::Code(runtime::EXIT_PANIC),
            "index out of bounds".to_owned(),
        ),
        (
            b'm',
            End::Code(runtime::EXIT_MEMORY),
            "OOM 70368744177664 bytes were refused\n".to_owned(),
        ),
        (b's', sigsys, String::new()),
        (b'f', End::Signal(libc::SIGSEGV), String::new()),
        (b'a', End::Code(0), String::new()),
        (b'l', End::Code(0), "INFO too much number=0\n".to_owned()),
    ] {
        let mut started = ready(role, mode);
        started.channel.write_all(&[order]).expect("it listens");
        let mut answer = [0; 4];
        let _ = started.channel.read(&mut answer);
        let (end, log) = started.end();
        assert_eq!(end, wanted, "{role}, {mode}, {}: {log}", char::from(order));
        assert!(log.contains(&line), "{role}, {mode}: {log}");
        if order == b'p' {
            assert!(log.ends_with(" as told\n"), "{log}");
        }
        if order == b'l' {
            assert!(log.len() <= 65536 + 4096, "a pipe's worth");
        }
        for line in log.lines() {
            assert!(!line.contains(char::is_control), "{line}");
        }
    }
}

fn start_fails(role: Role, mode: StartMode) {
    let (end, log) = start(role, mode, PANIC_IN_WARM_UP).end();
    assert_eq!(end, End::Code(runtime::EXIT_PANIC), "{log}");
    assert!(log.contains(&format!("PANIC {role} ")), "{log}");
    assert!(log.ends_with(" in the\\nwarm-up\n"), "{log}");
    let (end, log) = start(role, mode, FAIL_IN_WARM_UP).end();
    assert_eq!(end, End::Code(runtime::EXIT_START), "{log}");
    assert!(
        log.ends_with(&format!("ERROR {role} cannot start: no socket\\tto warm\n")),
        "{log}"
    );
}

fn dies_with_the_supervisor() {
    let mut started = ready(Role::Encoder, StartMode::User);
    let supervisor = nix::unistd::Pid::from_raw(started.supervisor);
    nix::sys::signal::kill(supervisor, nix::sys::signal::Signal::SIGKILL).expect("it lives");
    // The worker's end of the channel closes when the worker is gone.
    let got = started.channel.read(&mut [0; 4]).unwrap_or(0);
    assert_eq!(got, 0);
    nix::sys::wait::waitpid(supervisor, None).expect("it has ended");
}

/// Executed by hand: no table, no parameters.
fn wrong_starts() {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    let parent = format!("--parent={}", std::process::id());
    let wrong_parent = "--parent=1".to_owned();
    for (arguments, complaint) in [
        (vec![], "bad or missing argument: --parent"),
        (
            vec!["--no-sandbox"],
            "bad or missing argument: --no-sandbox",
        ),
        (
            vec!["--mode=user", "--sandbox=off", &parent],
            "bad or missing argument: --sandbox=off",
        ),
        (
            vec!["--mode=user", "--sandbox=enforce", &parent],
            "descriptor 3 is missing",
        ),
        (
            vec!["--mode=user", "--sandbox=best-effort", &wrong_parent],
            "descriptor 3 is missing",
        ),
    ] {
        let output = Command::new("/proc/self/exe")
            .arg0("bulkhead-encoder")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("it can be executed");
        assert_eq!(output.status.code(), Some(runtime::EXIT_START));
        let text = String::from_utf8(output.stderr).expect("text");
        assert_eq!(text, format!("ERROR encoder cannot start: {complaint}\n"));
    }
}
