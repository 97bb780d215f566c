//! What a real launcher does for logins: commands that decide, connections to a server.

mod common;

use common::{PATIENCE, Session, start, wait_for};
use ipc::ConnectionId;
use ipc::check::{AuthToCheck, CheckId, CheckToAuth};
use ipc::launcher::{
    CheckOutcome, LauncherToSupervisor as Told, ProcessEnd, SupervisorToLauncher as Ask,
};
use ipc::spec::{self, ChecksSpec, KerberosSpec, OutsideCheck, OwnSpec, PamSpec};
use nix::fcntl::OFlag;
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

fn memfd(checks: Vec<OutsideCheck>) -> OwnedFd {
    let mut file = File::from(memfd_create(c"checks", MFdFlags::MFD_CLOEXEC).unwrap());
    let files = Vec::new();
    let spec = ChecksSpec { checks, files };
    file.write_all(&spec::encode(&spec).unwrap()).unwrap();
    file.rewind().unwrap();
    file.into()
}

fn shell(line: &str, timeout: u16) -> OutsideCheck {
    OutsideCheck::Command {
        argv: ["/bin/sh", "-c", line, "check", "${username}", "${info}"]
            .map(str::to_owned)
            .to_vec(),
        timeout,
        password: false,
    }
}

/// The same, told a password.
fn asking(line: &str) -> OutsideCheck {
    match shell(line, 10) {
        OutsideCheck::Command { argv, timeout, .. } => OutsideCheck::Command {
            argv,
            timeout,
            password: true,
        },
        other => other,
    }
}

fn tell(session: &mut Session, checks: Vec<OutsideCheck>) {
    let checks = vec![memfd(checks)];
    session.channel.send(&Ask::Checks, checks).unwrap();
}

/// A launcher with these checks, whose X server answers.
fn with(checks: Vec<OutsideCheck>) -> Session {
    let mut session = start(vec![]);
    tell(&mut session, checks);
    session.ready();
    session
}

fn run(session: &mut Session, connection: u64, check: u16, username: &str) {
    session.ask(Ask::RunCheck {
        connection: ConnectionId(connection),
        check: CheckId(check),
        username: username.into(),
        peer: "127.0.0.1:9".into(),
    });
}

fn outcome(session: &mut Session) -> (u64, CheckOutcome) {
    match session.told().unwrap().0 {
        Told::Checked {
            connection,
            outcome,
        } => (connection.0, outcome),
        other => panic!("{other:?}"),
    }
}

/// The socket comes before the end of the command, and what is written there is all that the command
/// finds on its standard input, where it can say nothing.
#[test]
fn a_command_is_told_a_password_on_its_standard_input() {
    let mut session = with(vec![
        asking("read -r line && [ \"$line\" = secret ] && ! read -r more"),
        asking("! (echo x >&0) && read -r line"),
        asking("! read -r line"),
        asking("exit 3"),
        shell("! read -r line", 10),
    ]);
    let passed = CheckOutcome::Passed;
    for (check, said, expected) in [
        (0, Some("secret\n"), passed),
        (0, Some("another\n"), CheckOutcome::Status(1)),
        (1, Some("secret\n"), passed),
        (2, Some(""), passed),
        (3, Some(""), CheckOutcome::Status(3)),
        (4, None, passed),
    ] {
        run(&mut session, 7, check, "");
        if let Some(said) = said {
            let (told, fds) = session.told().unwrap();
            assert_eq!(told, Told::CommandInput(ConnectionId(7)));
            let mut input = UnixStream::from(fds.into_iter().next().unwrap());
            input.write_all(said.as_bytes()).unwrap();
        }
        assert_eq!(outcome(&mut session), (7, expected), "{check} {said:?}");
    }
    session.stop();
}

/// `auth=exec` once admitted a client though the command had exited 1 (Xpra 6.5.5, in 13 tries).
#[test]
fn a_command_that_says_no_is_never_heard_as_yes() {
    let mut session = with(vec![
        shell("exit 1", 10),
        shell("exit 0", 10),
        shell("kill -KILL $$", 10),
        // Says yes and no, as it were: a child of it ends with 0 while it ends with 1.
        shell("(exit 0) & exit 1", 10),
        // And a child that lives on and ends with 0 later, a child of the launcher by then.
        shell("(sleep 0.01; exit 0) & exit 3", 10),
    ]);
    let expected = [
        CheckOutcome::Status(1),
        CheckOutcome::Passed,
        CheckOutcome::Status(137),
        CheckOutcome::Status(1),
        CheckOutcome::Status(3),
    ];
    let mut heard = 0;
    // Many at a time, so that their ends come together.
    for round in 0..100 {
        let mut waiting: BTreeMap<u64, u16> = BTreeMap::new();
        for check in [0, 1, 2, 3, 4, 0, 0, 1] {
            let connection = round * 100 + waiting.len() as u64;
            waiting.insert(connection, check);
            run(&mut session, connection, check, "");
        }
        while !waiting.is_empty() {
            let (connection, outcome) = outcome(&mut session);
            let check = waiting.remove(&connection).expect("asked, and told once");
            assert_eq!(outcome, expected[usize::from(check)], "check {check}");
            heard += 1;
        }
    }
    assert_eq!(heard, 800);
    session.stop();
}

#[test]
fn a_command_is_told_who_asks_and_no_shell_reads_it() {
    let mut session = with(vec![shell(
        "printf '%s|%s|%s|%s|%s|%s\\n' \"$1\" \"$2\" \"$BULKHEAD_AUTH_USERNAME\" \
         \"$BULKHEAD_AUTH_INFO\" \"$BULKHEAD_AUTH_TIMEOUT\" \"$DISPLAY\" > $OUT/told",
        10,
    )]);
    run(&mut session, 1, 0, "jürgen@x");
    assert_eq!(outcome(&mut session), (1, CheckOutcome::Passed));
    let told = session.written("told");
    let words: Vec<_> = told.trim_end().split('|').collect();
    let info = "Connection request from 127.0.0.1:9";
    assert_eq!(words[..5], ["jürgen@x", info, "jürgen@x", info, "10"]);
    assert!(words[5].starts_with(':'), "{told}");
    for name in ["$(touch $OUT/x)", "-x", "a b", "a;b", "../x"] {
        run(&mut session, 2, 0, name);
        assert_eq!(outcome(&mut session), (2, CheckOutcome::BadName), "{name}");
    }
    session.stop();
}

#[test]
fn a_command_that_does_not_end_is_ended_with_all_that_it_started() {
    let mut session = with(vec![
        shell("echo $$ > $OUT/late; sleep 1000 & sleep 1000; exit 0", 3),
        shell("echo $$ > $OUT/long; sleep 1000", 50),
    ]);
    let start = Instant::now();
    run(&mut session, 1, 0, "");
    assert_eq!(outcome(&mut session), (1, CheckOutcome::Late));
    assert!(start.elapsed() < Duration::from_secs(15));
    // The connection goes.
    run(&mut session, 2, 1, "");
    let pids = ["late", "long"].map(|name| session.written(name).trim().parse::<u32>().unwrap());
    session.ask(Ask::EndCheck(ConnectionId(2)));
    for pid in pids {
        wait_for("the end of the command", || {
            let group = |stat: &str| {
                let (_, rest) = stat.rsplit_once(") ")?;
                let fields: Vec<_> = rest.split(' ').collect();
                (fields[0] != "Z").then(|| fields[2] == pid.to_string())
            };
            let all = fs::read_dir("/proc").unwrap().flatten();
            let mut stats =
                all.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
            (!stats.any(|stat| group(&stat) == Some(true))).then_some(())
        });
    }
    session.stop();
}

/// Whatever it said, and however it ended.
#[test]
fn nothing_of_a_command_that_has_ended_stays_behind() {
    let stays = "trap '' HUP TERM; sleep 1000 & echo $! > $OUT/";
    let mut session = with(vec![
        shell(&format!("{stays}yes; exit 0"), 10),
        shell(&format!("{stays}no; exit 1"), 10),
        shell(&format!("{stays}killed; kill -KILL $$"), 10),
    ]);
    for (check, name, expected) in [
        (0, "yes", CheckOutcome::Passed),
        (1, "no", CheckOutcome::Status(1)),
        (2, "killed", CheckOutcome::Status(137)),
    ] {
        run(&mut session, 1, check, "");
        assert_eq!(outcome(&mut session), (1, expected));
        let pid = session.written(name);
        wait_for("the end of what it has left", || {
            (!fs::exists(format!("/proc/{}", pid.trim())).unwrap()).then_some(())
        });
    }
    session.stop();
}

#[test]
fn what_cannot_be_started_is_no() {
    let mut session = with(vec![OutsideCheck::Command {
        argv: vec!["/no/such/program".into()],
        timeout: 5,
        password: false,
    }]);
    run(&mut session, 1, 0, "me");
    assert_eq!(outcome(&mut session), (1, CheckOutcome::NotStarted));
    run(&mut session, 2, 1, "me");
    assert_eq!(outcome(&mut session), (2, CheckOutcome::Refused));
    session.stop();
}

#[test]
fn there_are_only_so_many_at_a_time() {
    let mut session = with(vec![shell("read x < $OUT/gate", 50)]);
    nix::unistd::mkfifo(&session.path("gate"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for connection in 0..17 {
        run(&mut session, connection, 0, "");
    }
    assert_eq!(outcome(&mut session), (16, CheckOutcome::Refused));
    session.stop();
}

#[test]
fn a_server_is_connected_to_and_nothing_else() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = server.local_addr().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut session = with(vec![OutsideCheck::Connect(vec![nobody, here])]);
    let ask = |session: &mut Session, check| {
        session.ask(Ask::Connect {
            connection: ConnectionId(1),
            check: CheckId(check),
        });
        let (told, fds) = session.told().unwrap();
        let expected = Told::Connecting {
            connection: ConnectionId(1),
            sockets: u8::try_from(fds.len()).unwrap(),
        };
        assert_eq!(told, expected);
        fds
    };
    assert!(ask(&mut session, 1).is_empty());
    let fds = ask(&mut session, 0);
    let (mut accepted, _) = server.accept().unwrap();
    accepted.write_all(b"x").unwrap();
    // On loopback a refusal is known at once; that socket may be missing.
    let mut ours = TcpStream::from(fds.into_iter().next_back().unwrap());
    ours.set_nonblocking(false).unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut byte = [0];
    ours.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"x");
    session.stop();
}

/// Whoever comes later, and may be broken, cannot add a command; a new supervisor brings its own.
#[test]
fn checks_are_taken_from_the_first_message_only() {
    let mut session = start(vec![]);
    session.ready();
    session.ask(Ask::StartCommands);
    tell(&mut session, vec![shell("exit 0", 10)]);
    run(&mut session, 1, 0, "");
    assert_eq!(outcome(&mut session), (1, CheckOutcome::Refused));
    let socket = session.path("session/launcher.sock");
    drop(std::mem::replace(
        &mut session.channel,
        common::unconnected(),
    ));
    wait_for("adoption", || {
        let mut channel = common::connect_to(&socket);
        let checks = vec![memfd(vec![shell("exit 0", 10)])];
        channel.send(&Ask::Checks, checks).ok()?;
        session.channel = channel;
        matches!(session.told(), Some((Told::XReady { .. }, _))).then_some(())
    });
    run(&mut session, 1, 0, "");
    assert_eq!(outcome(&mut session), (1, CheckOutcome::Passed));
    tell(&mut session, vec![shell("exit 1", 10)]);
    run(&mut session, 1, 0, "");
    assert_eq!(outcome(&mut session), (1, CheckOutcome::Passed));
    session.stop();
}

/// A shell stands for a process of ours.
fn process(program: &str, line: &str, timeout: u16) -> OutsideCheck {
    OutsideCheck::Start {
        program: program.into(),
        arguments: vec!["-c".into(), line.into()],
        id: None,
        groups: Vec::new(),
        own: OwnSpec::Pam(PamSpec {
            service: "x".into(),
            directory: None,
            session: false,
            timeout,
        }),
        connect: Vec::new(),
        timeout,
    }
}

/// Asks for the process of a check; its log, and our end of its channel to `auth`.
fn start_check(session: &mut Session, connection: u64, check: u16) -> (File, OwnedFd) {
    start_check_with(session, connection, check, Vec::new())
}

/// The same, with descriptors of its own.
fn start_check_with(
    session: &mut Session,
    connection: u64,
    check: u16,
    own: Vec<OwnedFd>,
) -> (File, OwnedFd) {
    let (log, log_there) = nix::unistd::pipe2(OFlag::O_CLOEXEC).unwrap();
    let (auth, auth_there) = ipc::channel::socketpair().unwrap();
    let ask = Ask::StartCheck {
        connection: ConnectionId(connection),
        check: CheckId(check),
        host: None,
        own: own.len().try_into().unwrap(),
    };
    let descriptors = [log_there, auth_there].into_iter().chain(own);
    session.channel.send(&ask, descriptors.collect()).unwrap();
    (log.into(), auth)
}

fn started(session: &mut Session) -> (u64, Option<u32>) {
    match session.told().unwrap().0 {
        Told::CheckStarted { connection, pid } => (connection.0, pid),
        other => panic!("{other:?}"),
    }
}

fn ended(session: &mut Session) -> (u64, ProcessEnd) {
    match session.told().unwrap().0 {
        Told::CheckEnded { connection, end } => (connection.0, end),
        other => panic!("{other:?}"),
    }
}

/// After what every one gets come its own descriptors, and then sockets.
#[test]
fn a_process_gets_what_is_its_own_and_connections() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let line = "cat <&5 && cat <&6 && echo connected >&7 && echo again >&8 && ! true <&9";
    let mut check = process("/bin/sh", line, 10);
    let OutsideCheck::Start { connect, own, .. } = &mut check else {
        unreachable!();
    };
    *own = OwnSpec::Kerberos(KerberosSpec {
        service: "x".into(),
        host: "h".into(),
        realm: "R".into(),
        keytab_in_place: false,
        timeout: 10,
    });
    *connect = vec![server.local_addr().unwrap(); 2];
    let mut session = with(vec![check]);
    let own = ["one", "two"].map(|text| {
        let mut file = File::from(memfd_create(c"own", MFdFlags::MFD_CLOEXEC).unwrap());
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        OwnedFd::from(file)
    });
    let (mut log, _auth) = start_check_with(&mut session, 5, 0, own.into());
    assert!(started(&mut session).1.is_some());
    assert_eq!(ended(&mut session), (5, ProcessEnd::Status(0)));
    let mut said = String::new();
    log.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("onetwo"), "{said}");
    for expected in ["connected\n", "again\n"] {
        let mut heard = String::new();
        server
            .accept()
            .unwrap()
            .0
            .read_to_string(&mut heard)
            .unwrap();
        assert_eq!(heard, expected);
    }
    // None of them, and it is not started.
    start_check(&mut session, 6, 0);
    assert_eq!(started(&mut session).1, None);
    assert_eq!(ended(&mut session), (6, ProcessEnd::NotStarted));
    session.stop();
}

/// Every one that is asked for is answered, and its end is told once: nobody waits for a process that
/// there is not.
#[test]
fn processes_of_checks_are_started_watched_and_ended() {
    let mut session = with(vec![
        process("/bin/sh", "exit 0", 10),
        process("/bin/sh", "exit 1", 10),
        process("/nonexistent/program", "exit 0", 10),
        process("/bin/sh", "exec sleep 60", 1),
        shell("exit 0", 10),
        process("/bin/sh", "exec sleep 60", 50),
    ]);
    for (check, runs, expected) in [
        (0, true, ProcessEnd::Status(0)),
        (1, true, ProcessEnd::Status(1)),
        (2, false, ProcessEnd::NotStarted),
        // A command is none, nor is one that was not configured.
        (4, false, ProcessEnd::NotStarted),
        (77, false, ProcessEnd::NotStarted),
    ] {
        let (mut log, auth) = start_check(&mut session, 5, check);
        let (connection, pid) = started(&mut session);
        assert_eq!((connection, pid.is_some()), (5, runs), "{check}");
        assert_eq!(ended(&mut session), (5, expected), "{check}");
        // Nobody has the other ends any more.
        log.read_to_end(&mut Vec::new()).unwrap();
        let mut channel = ipc::Channel::<AuthToCheck, CheckToAuth>::new(auth);
        let ended = wait_for("the end of the channel", || channel.receive().err());
        assert!(!ended.is_violation(), "{ended}");
    }
    let start = Instant::now();
    let _late = start_check(&mut session, 6, 3);
    assert!(started(&mut session).1.is_some());
    assert_eq!(ended(&mut session), (6, ProcessEnd::Late));
    assert!(start.elapsed() >= Duration::from_millis(900));
    // One that nobody waits for is ended, and not told about.
    let (mut log, _auth) = start_check(&mut session, 7, 5);
    assert!(started(&mut session).1.is_some());
    session.ask(Ask::EndCheck(ConnectionId(7)));
    log.read_to_end(&mut Vec::new()).unwrap();
    let _next = start_check(&mut session, 8, 0);
    assert_eq!(started(&mut session).0, 8);
    assert_eq!(ended(&mut session), (8, ProcessEnd::Status(0)));
    session.stop();
}
