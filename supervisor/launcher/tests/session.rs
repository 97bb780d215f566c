//! Sessions of a real launcher with a real Xvfb, driven over its channel.

mod common;

use common::{command, connect_to, free_display, spec_for, start, start_with, wait_for};
use ipc::Channel;
use ipc::launcher::{CommandId, LauncherToSupervisor as Told, SupervisorToLauncher as Ask};
use ipc::spec;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap()
        .trim()
}

#[test]
fn a_session_starts_its_commands_clean_and_leaves_nothing_behind() {
    let mut session = start(vec![
        command("echo $$ > $OUT/pid; exec sleep 1000", false),
        command(
            "xdpyinfo > /dev/null && echo \"$DISPLAY $?\" > $OUT/x; exit 3",
            true,
        ),
        command("no-such-program-at-all", false),
    ]);
    let before = Instant::now();
    let (display, adopted) = session.ready();
    println!("X ready after {:?}", before.elapsed());
    assert!(!adopted);
    let cookie = session.path("session/x11/xauthority");
    assert_eq!(
        fs::metadata(&cookie).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let socket = session.path("session/launcher.sock");
    assert_eq!(
        fs::metadata(&socket).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert!(
        fs::read(session.path("Xauthority"))
            .unwrap()
            .ends_with(&fs::read(&cookie).unwrap()[fs::read(&cookie).unwrap().len() - 16..])
    );
    // Neither TCP nor the abstract socket.
    let abstract_name = format!("@/tmp/.X11-unix/X{display}");
    let unix = fs::read_to_string("/proc/net/unix").unwrap();
    assert!(!unix.lines().any(|line| line.ends_with(&abstract_name)));
    assert!(unix.lines().any(|line| line.ends_with(&abstract_name[1..])));

    session.ask(Ask::StartCommands);
    session.ask(Ask::StartCommands);
    let sleeper: u32 = session.written("pid").trim().parse().unwrap();
    assert_eq!(session.written("x"), format!(":{display} 0\n"));
    let status = fs::read_to_string(format!("/proc/{sleeper}/status")).unwrap();
    for (name, value) in [
        ("Seccomp:", "0"),
        ("NoNewPrivs:", "0"),
        ("SigIgn:", "0000000000000000"),
        ("SigBlk:", "0000000000000000"),
    ] {
        assert_eq!(field(&status, name), value, "{name}");
    }
    let open: Vec<_> = fs::read_dir(format!("/proc/{sleeper}/fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(open.len(), 3, "{open:?}");
    let group = nix::unistd::getpgid(Some(Pid::from_raw(sleeper as i32))).unwrap();
    assert_eq!(group.as_raw(), sleeper as i32);

    let mut ended = Vec::new();
    let mut started = 0;
    loop {
        match session.told().unwrap().0 {
            Told::CommandEnded {
                command,
                program,
                status,
            } => ended.push((command, program, status)),
            Told::CommandStarted { .. } => started += 1,
            Told::ChildrenEnded => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(started, 3);
    assert!(ended.contains(&(CommandId(1), "sh".into(), 3)), "{ended:?}");

    session.ask(Ask::OpenDisplay);
    let fds = loop {
        match session.told().unwrap() {
            (Told::Display, fds) => break fds,
            (
                Told::CommandEnded {
                    command: CommandId(2),
                    status: 127,
                    ..
                },
                _,
            ) => {}
            other => panic!("{other:?}"),
        }
    };
    let mut bytes = Vec::new();
    let mut cookie_file = File::from(fds.into_iter().nth(1).unwrap());
    cookie_file.read_to_end(&mut bytes).unwrap();
    assert!(fs::read(&cookie).unwrap().ends_with(&bytes) && bytes.len() == 16);
    assert!(cookie_file.write_all(b"x").is_err());

    let file = session.path("Xauthority");
    session.stop();
    assert!(!lives(sleeper) && !file.exists());
    assert!(!Path::new(&format!("/tmp/.X{display}-lock")).exists());
    assert!(!Path::new(&abstract_name[1..]).exists());
}

#[test]
fn daemons_stubborn_and_stopped_processes_are_ended_too() {
    let mut session = start(vec![
        command(
            "(setsid sh -c 'trap \"\" TERM; echo $$ > $OUT/daemon; while :; do sleep 1; done' &) ; exit 0",
            false,
        ),
        command("echo $$ > $OUT/stopped; kill -STOP $$", false),
    ]);
    session.ready();
    session.ask(Ask::StartCommands);
    let daemon: u32 = session.written("daemon").trim().parse().unwrap();
    let stopped: u32 = session.written("stopped").trim().parse().unwrap();
    let before = Instant::now();
    session.stop();
    assert!(!lives(daemon) && !lives(stopped));
    println!("stop with a stubborn process took {:?}", before.elapsed());
}

#[test]
fn signals_go_to_applications_and_to_nobody_else() {
    let mut session = start(vec![command(
        "trap 'echo got >> $OUT/signals' USR1; echo $$ > $OUT/pid; while :; do sleep 1; done",
        false,
    )]);
    session.ready();
    session.ask(Ask::StartCommands);
    let application: u32 = session.written("pid").trim().parse().unwrap();
    let launcher = session.child.id();
    let below = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.contains("(Xvfb)") && stat.contains(&format!(" {launcher} "))
    };
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let x_server = pids.into_iter().find(below).expect("an X server");
    // This process, our parent's child as the launcher is; the launcher; the X server; nobody.
    let mut outside = Command::new("sleep").arg("1000").spawn().unwrap();
    let others = [outside.id(), launcher, x_server, 0, u32::MAX, 1];
    for pid in others {
        session.ask(Ask::Signal {
            pid,
            signal: ipc::display::Signal::Usr1,
        });
    }
    session.ask(Ask::Signal {
        pid: application,
        signal: ipc::display::Signal::Usr1,
    });
    assert_eq!(session.written("signals"), "got\n");
    assert!(outside.try_wait().unwrap().is_none() && lives(x_server) && lives(launcher));
    outside.kill().unwrap();
    outside.wait().unwrap();
    session.stop();
}

#[test]
fn a_lost_supervisor_is_replaced_and_only_then() {
    let mut session = start(vec![command("echo $$ > $OUT/pid; exec sleep 1000", false)]);
    let (display, _) = session.ready();
    session.ask(Ask::StartCommands);
    let sleeper = session.started();
    let socket = session.path("session/launcher.sock");

    // While there is a supervisor, a second one is turned away.
    let first = std::mem::replace(&mut session.channel, connect_to(&socket));
    assert!(session.told().is_none());
    // Killed: the channel just closes.
    drop(first);
    for leave in [true, false] {
        wait_for("adoption", || {
            let mut channel = connect_to(&socket);
            std::mem::swap(&mut session.channel, &mut channel);
            matches!(session.told(), Some((Told::XReady { adopted: true, display: d }, _)) if d == display)
                .then_some(())
        });
        assert!(lives(sleeper));
        session.ask(Ask::StartCommands);
        if leave {
            let sockets = ["session/socket", "box-77"].map(|name| session.path(name));
            fs::write(&sockets[0], "").unwrap();
            assert!(sockets[1].exists());
            session.ask(Ask::Leave);
            assert!(session.told().is_none());
            assert!(!sockets.iter().any(|socket| socket.exists()));
        }
    }
    assert_eq!(
        session.written("pid"),
        format!(
            "{sleeper}
"
        )
    );
    session.stop();
    assert!(!lives(sleeper));
}

#[test]
fn failures_are_one_line_each_and_leave_the_log_that_they_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec_for(dir.path(), free_display(), vec![]);
    spec.xvfb = vec!["no-such-x-server".into()];
    let mut session = start_with(dir, &spec);
    let Some((Told::Failed { reason }, _)) = session.told() else {
        panic!()
    };
    assert!(
        reason.contains("no-such-x-server") && reason.contains("--xvfb="),
        "{reason}"
    );
    let log = session.path("session/server.log");
    assert!(
        reason.ends_with(&format!(" (log: {})", log.display())),
        "{reason}"
    );
    while session.told().is_some() {}
    assert!(!session.child.wait().unwrap().success());
    assert_eq!(session.logs(), ["server.log"]);
    let record = fs::read_to_string(&log).unwrap();
    let launcher = session.child.id();
    let stamp = format!("\"level\":\"error\",\"role\":\"launcher\",\"pid\":{launcher},\"message\"");
    assert!(
        record.contains(&stamp) && record.lines().count() == 1,
        "{record}"
    );

    let dir = tempfile::tempdir().unwrap();
    let mut spec = spec_for(dir.path(), free_display(), vec![]);
    fs::write(dir.path().join("session/own.log"), "").unwrap();
    fs::write(dir.path().join("session/socket"), "").unwrap();
    spec.xvfb = ["sh", "-c", "echo first; echo last words >&2; exit 5"]
        .map(str::to_owned)
        .to_vec();
    let mut session = start_with(dir, &spec);
    let Some((Told::Failed { reason }, _)) = session.told() else {
        panic!()
    };
    assert!(reason.contains("status 5: last words"), "{reason}");
    while session.told().is_some() {}
    assert_eq!(session.logs(), ["own.log", "server.log"]);

    // A display that is in use.
    let mut other = start(vec![]);
    let (display, _) = other.ready();
    let dir = tempfile::tempdir().unwrap();
    let spec = spec_for(dir.path(), display, vec![]);
    let mut session = start_with(dir, &spec);
    let Some((Told::Failed { reason }, _)) = session.told() else {
        panic!()
    };
    assert!(
        reason.contains(&format!("display :{display} is in use: process")),
        "{reason}"
    );
    other.stop();
}

#[test]
fn a_start_whose_supervisor_fails_leaves_its_log() {
    let mut session = start(vec![command("exec sleep 1000", false)]);
    session.ready();
    session.channel = Channel::new(ipc::channel::socketpair().unwrap().0);
    assert!(!session.child.wait().unwrap().success());
    assert_eq!(session.logs(), ["server.log"]);

    let mut session = start(vec![command("exec sleep 1000", false)]);
    session.ready();
    session.ask(Ask::Leave);
    assert_eq!(session.told().unwrap().0, Told::Stopped);
    assert!(!session.child.wait().unwrap().success());
    assert_eq!(session.logs(), ["server.log"]);
}

#[test]
fn the_end_of_the_x_server_ends_the_session_and_says_so() {
    let mut session = start(vec![command("exec sleep 1000", false)]);
    let (display, _) = session.ready();
    session.ask(Ask::StartCommands);
    let sleeper = session.started();
    let launcher = session.child.id();
    let x = fs::read_to_string(format!("/proc/{launcher}/task/{launcher}/children")).unwrap();
    let x = x
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .find(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() == "Xvfb\n");
    let x: i32 = x.unwrap();
    kill(Pid::from_raw(x), Signal::SIGKILL).unwrap();
    assert_eq!(session.told().unwrap().0, Told::XEnded { status: 137 });
    while session
        .told()
        .is_some_and(|(message, _)| message != Told::Stopped)
    {}
    assert!(!lives(sleeper));
    assert!(!Path::new(&format!("/tmp/.X{display}-lock")).exists());
}

#[test]
fn the_next_start_cleans_up_after_a_killed_launcher() {
    let mut session = start(vec![
        command("exec sleep 1000", false),
        // Neither what the kernel does to a killed launcher's children nor the end of the X
        // server reaches these.
        command(
            "setsid sh -c 'echo $$ > $OUT/daemon; exec sleep 1000' & exit 0",
            false,
        ),
        command(
            "setsid sh -c 'trap \"\" TERM; echo $$ > $OUT/stubborn; while :; do sleep 1; done' & exit 0",
            false,
        ),
    ]);
    let (display, _) = session.ready();
    session.ask(Ask::StartCommands);
    let sleeper = session.started();
    let daemons = ["daemon", "stubborn"].map(|name| session.written(name).trim().parse().unwrap());
    let mut bystander = Command::new("sleep")
        .arg("1000")
        .env("BULKHEAD_SESSION", "of another session")
        .spawn()
        .unwrap();
    session.child.kill().unwrap();
    session.child.wait().unwrap();
    wait_for("the end of the application", || {
        (!lives(sleeper)).then_some(())
    });
    assert!(daemons.iter().all(|pid| lives(*pid)), "the control");
    wait_for("the end of the X server", || {
        (!Path::new(&format!("/tmp/.X11-unix/X{display}")).exists()).then_some(())
    });
    assert!(Path::new(&format!("/tmp/.X{display}-lock")).exists());
    assert!(session.path("session/x11/xauthority").exists());
    assert!(session.path("Xauthority").exists());

    let spec = spec_for(session.dir.path(), display, vec![]);
    let dir = std::mem::replace(&mut session.dir, tempfile::tempdir().unwrap());
    let mut next = start_with(dir, &spec);
    next.ready();
    assert!(!daemons.iter().any(|pid| lives(*pid)));
    assert!(lives(bystander.id()));
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    // One entry, not two.
    assert_eq!(
        fs::read(next.path("Xauthority"))
            .unwrap()
            .windows(18)
            .filter(|name| name == b"MIT-MAGIC-COOKIE-1")
            .count(),
        1
    );
    next.stop();
}

/// As the session's user; where that user may not go, as for one without a home.
#[test]
fn commands_start_in_a_directory_that_their_user_may_enter() {
    let root = nix::unistd::geteuid().is_root();
    for (mode, entered) in [(0o755, true), (0o700, !root), (0o000, false)] {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (out, start) = (dir.path().join("out"), dir.path().join("start"));
        fs::create_dir(&out).unwrap();
        fs::set_permissions(&out, fs::Permissions::from_mode(0o777)).unwrap();
        fs::create_dir(&start).unwrap();
        let mut spec = spec_for(
            dir.path(),
            free_display(),
            vec![command("pwd > $OUT/out/pwd", false)],
        );
        spec.chdir = Some(start.clone());
        fs::set_permissions(&start, fs::Permissions::from_mode(mode)).unwrap();
        if root {
            fs::set_permissions(&spec.session_dir, fs::Permissions::from_mode(0o711)).unwrap();
            spec.user = Some(spec::SessionUser {
                uid: 65534,
                gid: 65534,
                groups: vec![],
            });
        }
        let mut session = start_with(dir, &spec);
        session.ready();
        session.ask(Ask::StartCommands);
        let wanted = if entered {
            start.as_path()
        } else {
            Path::new("/")
        };
        let pwd = session.written("out/pwd");
        assert_eq!(Path::new(pwd.trim_end()), wanted, "{mode:o}");
        session.stop();
    }
}

/// What a user puts into the one directory that is theirs is removed with their rights.
#[test]
fn a_session_that_root_started_trusts_nothing_that_its_user_can_write() {
    if !needs::root("start a session for somebody else") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let plant = "xdpyinfo > /dev/null && xauth -q add :4000 . 00 && cd ${XAUTHORITY%/*} && \
        ln -s $OUT/roots link && mkdir d && ln -s $OUT/roots d/link && mkfifo pipe && \
        echo $? > d/done; touch $OUT/session/planted; exec sleep 1000";
    let mut spec = spec_for(dir.path(), free_display(), vec![command(plant, false)]);
    fs::set_permissions(&spec.session_dir, fs::Permissions::from_mode(0o711)).unwrap();
    spec.user = Some(spec::SessionUser {
        uid: 65534,
        gid: 65534,
        groups: vec![],
    });
    let roots = dir.path().join("roots");
    fs::create_dir(&roots).unwrap();
    fs::write(roots.join("file"), "").unwrap();
    let x11 = spec.session_dir.join("x11");
    let mut session = start_with(dir, &spec);
    session.ready();
    session.ask(Ask::StartCommands);
    assert_eq!(session.written("session/x11/d/done"), "0\n");
    assert!(!session.path("session/planted").exists());
    // A file of root's there is not the user's to remove, so the directory stays.
    fs::create_dir(x11.join("roots")).unwrap();
    fs::write(x11.join("roots/file"), "").unwrap();
    session.ask(Ask::Stop);
    while session.told().is_some() {}
    assert!(session.child.wait().unwrap().success());
    assert!(x11.join("roots/file").exists() && roots.join("file").exists());
}
