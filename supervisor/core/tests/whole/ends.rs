//! How a session ends, or does not begin.

use crate::bench::{Bench, Client, wait_for};
use crate::fake;
use ipc::launcher::LauncherToSupervisor;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

pub fn ends_in_order() {
    // A worker that does not end is ended.
    let bench = Bench::new(|_| {});
    let mut client = bench.attached("a", "share steal");
    for role in ["encoder", "display", "auth"] {
        wait_for(role, || (!bench.pids(role).is_empty()).then_some(()));
        bench.kill_last(role, Signal::SIGSTOP);
    }
    let start = Instant::now();
    kill(Pid::from_raw(bench.supervisor.id() as i32), Signal::SIGINT).unwrap();
    client.expect("disconnect server shutdown").expect_end();
    assert_eq!(bench.stopped(), 0);
    println!(
        "with three stopped workers the end took {:?}",
        start.elapsed()
    );
    assert!(start.elapsed() < Duration::from_secs(4));

    let mut bench = Bench::new(|spec| spec.exit_with_children = true);
    bench
        .launcher
        .send(&LauncherToSupervisor::ChildrenEnded, vec![])
        .unwrap();
    assert_eq!(bench.stopped(), 0);

    // Killed: its workers go too. (Here by their channels; the real ones also by the kernel.)
    let mut bench = Bench::new(|_| {});
    let _client = bench.attached("a", "share steal");
    let pids: Vec<_> = ["network", "auth", "display", "encoder"]
        .iter()
        .flat_map(|role| bench.pids(role))
        .collect();
    bench.supervisor.kill().unwrap();
    for pid in pids {
        wait_for("the end of a worker", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_err().then_some(())
        });
    }
}

pub fn a_start_that_fails_says_why() {
    let mut bench = Bench::start(|_| {});
    let reason = "cannot start the X server `Xvfb`: no such program".to_owned();
    bench
        .launcher
        .send(
            &LauncherToSupervisor::Failed {
                reason: reason.clone(),
            },
            vec![],
        )
        .unwrap();
    bench
        .launcher
        .send(&LauncherToSupervisor::Stopped, vec![])
        .unwrap();
    let mut line = String::new();
    std::io::Read::read_to_string(&mut bench.ready, &mut line).unwrap();
    assert_eq!(line, format!("failed {reason}\n"));
    bench.logged(0, &["\"error\"", &reason]);
    assert_eq!(bench.ended(), 1);
}

pub fn another_display_than_the_one_asked_for_is_left_alone() {
    let told = |display| LauncherToSupervisor::XReady {
        display,
        adopted: true,
    };
    let mut bench = Bench::start(|spec| spec.display = Some(77));
    bench.launcher.send(&told(78), vec![]).unwrap();
    let line = bench.logged(0, &["\"error\"", "has display :78, not :77"]);
    assert!(line.contains("`bulkhead seamless :78`"), "{line}");
    let mut ready = String::new();
    std::io::Read::read_to_string(&mut bench.ready, &mut ready).unwrap();
    assert!(ready.starts_with("failed the launcher that answers"));
    assert_eq!(bench.left(), 1);

    // Nor may it change later.
    let mut bench = Bench::new(|spec| spec.display = Some(77));
    let mut client = bench.attached("a", "share steal");
    bench.launcher.send(&told(78), vec![]).unwrap();
    client.expect("disconnect server error").expect_end();
    bench.logged(0, &["\"error\"", "display :78 after :77"]);
    assert_eq!(bench.left(), 1);
}

/// The session that a start was to take over has applications.
pub fn a_start_that_fails_stops_nothing() {
    let bench = Bench::start(|_| {});
    wait_for("auth", || bench.pids("auth").pop());
    bench.kill_last("auth", Signal::SIGKILL);
    bench.logged(0, &["the process `auth` was killed by SIGKILL"]);
    assert_eq!(bench.left(), 1);

    let mut bench = Bench::start(|spec| spec.session_name = fake::NO_DISPLAY.into());
    let told = LauncherToSupervisor::XReady {
        display: 77,
        adopted: true,
    };
    bench.launcher.send(&told, vec![]).unwrap();
    assert_eq!(bench.left(), 1);
}

pub fn the_launchers_end_is_the_sessions() {
    let mut bench = Bench::new(|_| {});
    let mut client: Client = bench.attached("a", "share steal");
    bench
        .launcher
        .send(&LauncherToSupervisor::XEnded { status: 139 }, vec![])
        .unwrap();
    bench
        .launcher
        .send(&LauncherToSupervisor::Stopped, vec![])
        .unwrap();
    client.expect("disconnect server shutdown|the X server has ended with status 139");
    assert_eq!(bench.ended(), 1);

    // A launcher that was told to end by somebody else says only that it has.
    let mut bench = Bench::new(|_| {});
    let mut client: Client = bench.attached("a", "share steal");
    bench
        .launcher
        .send(&LauncherToSupervisor::Stopped, vec![])
        .unwrap();
    client.expect("disconnect server shutdown|the launcher has ended");
    assert_eq!(bench.ended(), 1);

    let mut bench = Bench::new(|_| {});
    let mut client: Client = bench.attached("a", "share steal");
    let (gone, _) = ipc::channel::socketpair().unwrap();
    drop(std::mem::replace(
        &mut bench.launcher,
        ipc::Channel::new(gone),
    ));
    client.expect("disconnect server shutdown|the launcher has ended");
    assert_eq!(bench.ended(), 1);
}
