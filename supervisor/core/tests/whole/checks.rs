//! Checks of logins outside of `auth`: whatever does not end with a clear yes is no.

use crate::bench::{Bench, Client, wait_for};
use ipc::ConnectionId;
use ipc::check::CheckId;
use ipc::launcher::{CheckOutcome, LauncherToSupervisor, SupervisorToLauncher};
use ipc::spec::{CheckKind, CheckSpec};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A server of users, of which this test only sees who connects.
struct Server(TcpListener);

impl Server {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn socket(&self) -> OwnedFd {
        TcpStream::connect(self.0.local_addr().unwrap())
            .unwrap()
            .into()
    }
}

/// Checks 0, 3 and 6 are made by a process with a socket, check 1 by a command, checks 2, 4 and 5 by
/// processes that need nothing from the launcher.
fn bench(timeout: u16) -> Bench {
    Bench::new(|spec| {
        let check = |module: &str, kind| CheckSpec {
            module: module.into(),
            timeout,
            kind,
        };
        spec.checks = vec![
            check("ldap", CheckKind::Ldap(vec![])),
            check("exec", CheckKind::Command),
            check("sqlite", CheckKind::Sqlite(vec![])),
            check("sql", CheckKind::Sql(vec![])),
            check("u2f", CheckKind::Fido(vec![])),
            check("certificate", CheckKind::Certificate(vec![])),
            check("otpscreen", CheckKind::Screen(vec![])),
            check("hosts", CheckKind::Names(vec![])),
        ];
    })
}

/// A client logs in, and the launcher is asked for its check.
fn asked(bench: &mut Bench, word: &str) -> (Client, SupervisorToLauncher) {
    let mut client = bench.tcp();
    client.say(&format!("login {word}")).expect("start id=none");
    (client, bench.asked())
}

/// The launcher gives a socket for the check of this connection.
fn connect(bench: &mut Bench, asked: &SupervisorToLauncher, server: &Server) {
    let SupervisorToLauncher::Connect { connection, check } = asked else {
        panic!("{asked:?}");
    };
    assert!([CheckId(0), CheckId(3), CheckId(6), CheckId(7)].contains(check));
    let connecting = LauncherToSupervisor::Connecting {
        connection: *connection,
        sockets: 1,
    };
    let sockets = vec![server.socket()];
    bench.launcher.send(&connecting, sockets).unwrap();
}

fn refused(client: &mut Client) {
    client.expect("rejected authentication failed").expect_end();
}

pub fn yes_is_only_what_the_process_says() {
    let mut bench = bench(10);
    let server = Server::new();
    let (mut client, question) = asked(&mut bench, "check:0:yes");
    connect(&mut bench, &question, &server);
    client.expect("accepted");
    for (check, role, word, record) in [
        (0, "\"auth-ldap\"", "no", "asked about no"),
        (0, "\"auth-ldap\"", "die", "the process panicked"),
        (0, "\"auth-ldap\"", "forbidden", "killed by its sandbox"),
        (3, "\"auth-sql\"", "no", "asked about no"),
        (6, "\"auth-otpscreen\"", "no", "asked about no"),
        (7, "\"auth-names\"", "no", "asked about no"),
    ] {
        // A session each: who fails often has to wait.
        let mut bench = self::bench(10);
        let (mut client, question) = asked(&mut bench, &format!("check:{check}:{word}"));
        connect(&mut bench, &question, &server);
        if check == 6 {
            // A person reads and types, and there is time for other modules after that.
            client.expect("login-time 70");
        }
        refused(&mut client);
        bench.logged(0, &[role, record]);
    }
    // No socket, no process.
    for (check, record) in [
        (0, "auth=ldap: no connection to its server"),
        (6, "auth=otpscreen: no connection to the X server"),
    ] {
        let (mut client, question) = asked(&mut bench, &format!("check:{check}:yes"));
        let SupervisorToLauncher::Connect { connection, .. } = question else {
            panic!("{question:?}");
        };
        let nothing = LauncherToSupervisor::Connecting {
            connection,
            sockets: 0,
        };
        bench.launcher.send(&nothing, vec![]).unwrap();
        if check == 6 {
            client.expect("login-time 70");
        }
        refused(&mut client);
        bench.logged(0, &[record]);
    }
    // Nobody is left.
    for pid in bench.pids("auth-ldap") {
        wait_for("the end of a check", || {
            (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
        });
    }
}

pub fn a_process_that_needs_nobody_is_asked_at_once() {
    for (check, role) in [
        (2, "\"auth-sqlite\""),
        (4, "\"auth-fido\""),
        (5, "\"auth-certificate\""),
    ] {
        let bench = bench(10);
        let mut client = bench.tcp();
        client
            .say(&format!("login check:{check}:yes"))
            .expect("start id=none");
        client.expect("accepted");
        for word in ["no", "die", "forbidden"] {
            let mut bench = self::bench(10);
            let mut client = bench.tcp();
            client
                .say(&format!("login check:{check}:{word}"))
                .expect("start id=none");
            refused(&mut client);
            bench.logged(0, &[role]);
            assert_eq!(bench.answer(Duration::from_millis(50)), None);
        }
    }
}

pub fn a_command_decides() {
    for (outcome, passes) in [
        (CheckOutcome::Passed, true),
        (CheckOutcome::Status(1), false),
        (CheckOutcome::Status(137), false),
        (CheckOutcome::Late, false),
        (CheckOutcome::NotStarted, false),
        (CheckOutcome::BadName, false),
        (CheckOutcome::Refused, false),
    ] {
        // A session each: who fails often has to wait.
        let mut bench = bench(10);
        let (mut client, question) = asked(&mut bench, "check:1:me");
        let SupervisorToLauncher::RunCheck {
            connection,
            check,
            username,
            peer,
        } = question
        else {
            panic!("{question:?}");
        };
        assert_eq!((check, username.as_str()), (CheckId(1), "me"));
        assert!(peer.starts_with("127.0.0.1:"), "{peer}");
        // A socket for what it is told goes to `auth`; one of another connection to nobody.
        let (mut reads, writes) = UnixStream::pair().unwrap();
        let (mut nobody, strangers) = UnixStream::pair().unwrap();
        for (id, end) in [(connection.0 + 1, strangers), (connection.0, writes)] {
            let input = LauncherToSupervisor::CommandInput(ConnectionId(id));
            bench.launcher.send(&input, vec![end.into()]).unwrap();
        }
        let mut told = Vec::new();
        reads.read_to_end(&mut told).unwrap();
        assert_eq!(told, b"secret\n");
        assert_eq!(nobody.read_to_end(&mut told).unwrap(), 0);
        // About a connection that waits for nothing.
        for connection in [ConnectionId(connection.0 + 1), ConnectionId(0)] {
            let outcome = CheckOutcome::Passed;
            let other = LauncherToSupervisor::Checked {
                connection,
                outcome,
            };
            bench.launcher.send(&other, vec![]).unwrap();
        }
        let checked = LauncherToSupervisor::Checked {
            connection,
            outcome,
        };
        bench.launcher.send(&checked, vec![]).unwrap();
        match passes {
            true => drop(client.expect("accepted")),
            false => refused(&mut client),
        }
        // Once is enough.
        bench.launcher.send(&checked, vec![]).unwrap();
        if let CheckOutcome::Status(status) = outcome {
            let record = format!("auth=exec: its command has ended with status {status}");
            bench.logged(0, &[&record]);
        }
    }
}

pub fn a_check_that_takes_too_long_is_no() {
    let mut bench = bench(3);
    let server = Server::new();
    let start = Instant::now();
    let (mut hangs, question) = asked(&mut bench, "check:0:hang");
    connect(&mut bench, &question, &server);
    bench.logged(0, &["asked about hang"]);
    // The launcher says nothing.
    let (mut silent, _) = asked(&mut bench, "check:0:yes");
    let (mut command, question) = asked(&mut bench, "check:1:yes");
    let SupervisorToLauncher::RunCheck { connection, .. } = question else {
        panic!("{question:?}");
    };
    refused(&mut hangs);
    refused(&mut silent);
    refused(&mut command);
    let took = start.elapsed();
    assert!(took > Duration::from_secs(3) && took < Duration::from_secs(15));
    assert_eq!(bench.asked(), SupervisorToLauncher::EndCheck(connection));
    bench.logged(0, &["auth=ldap: no answer in time: ended"]);
    let pid = bench.pids("auth-ldap")[0];
    wait_for("the end of the check", || {
        (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
}

pub fn a_connection_that_goes_takes_its_check_with_it() {
    let mut bench = bench(30);
    let server = Server::new();
    let (client, question) = asked(&mut bench, "check:0:hang");
    connect(&mut bench, &question, &server);
    bench.logged(0, &["asked about hang"]);
    let pid = bench.pids("auth-ldap")[0];
    drop(client);
    wait_for("the end of the check", || {
        (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
    bench.logged(0, &["`hang`, has left before the answer"]);
    let (client, question) = asked(&mut bench, "check:1:me");
    drop(client);
    bench.logged(0, &["`me`, has left before the answer"]);
    let SupervisorToLauncher::RunCheck { connection, .. } = question else {
        panic!("{question:?}");
    };
    assert_eq!(bench.asked(), SupervisorToLauncher::EndCheck(connection));
    // So does `auth`.
    let (_client, question) = asked(&mut bench, "check:0:hang");
    connect(&mut bench, &question, &server);
    let pid = wait_for("another check", || bench.pids("auth-ldap").get(1).copied());
    bench.kill_last("auth", nix::sys::signal::Signal::SIGKILL);
    wait_for("the end of the check", || {
        (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
}

pub fn checks_have_a_number_and_others_go_on() {
    let mut bench = bench(30);
    let server = Server::new();
    let mut clients = Vec::new();
    // One source has 8; the others of it wait.
    for _ in 0..8 {
        let (client, question) = asked(&mut bench, "check:0:hang");
        connect(&mut bench, &question, &server);
        clients.push(client);
    }
    let mut waits = bench.tcp();
    waits.say("login check:0:yes").expect("start id=none");
    assert_eq!(bench.answer(Duration::from_millis(200)), None);
    // Another source is served, and so are logins that need no check.
    let mut local = bench.unix();
    local.say("login check:0:yes").expect("start id=:77");
    let question = bench.asked();
    connect(&mut bench, &question, &server);
    local.expect("accepted");
    let mut other = bench.unix();
    other
        .say("login ok")
        .expect("start id=:77")
        .expect("accepted");
    // When one goes, the next one has its turn.
    clients.pop();
    let question = bench.asked();
    connect(&mut bench, &question, &server);
    waits.expect("accepted");
}

pub fn what_is_not_configured_is_no() {
    let mut bench = bench(10);
    let mut client = bench.tcp();
    client.say("login check:8:yes").expect("start id=none");
    refused(&mut client);
    assert_eq!(bench.answer(Duration::from_millis(50)), None);
    bench.logged(0, &["bug: auth asks for a check that cannot be"]);
}
