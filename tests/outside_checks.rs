//! Logins that somebody outside of `auth` decides about, with the stock client and real backends:
//! a command, a real LDAP server.

use bulkhead_auth_ldap::server::{Failure, Server};
use bulkhead_tests::commands::chmod;
use bulkhead_tests::eventually;
use bulkhead_tests::processes;
use bulkhead_tests::session::{Session, free_port};
use bulkhead_tests::slapd::{ALICE, READER, Slapd};
use bulkhead_tests::stock;
use ipc::spec::LdapUser;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);

/// A session with one more TCP socket, on which this module decides; encrypted, so that the stock
/// client sends a password there.
fn session(module: &str) -> (Session, u16) {
    let port = free_port();
    let bind =
        format!("--bind-tcp=127.0.0.1:{port},auth={module},encryption=AES-CTR,keyfile=key.txt");
    (Session::start(&[&bind]), port)
}

/// The stock client asks for `info` there.
fn info(session: &Session, port: u16, username: &str, password: &str) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, password).unwrap();
    let target = format!("tcp://{username}@127.0.0.1:{port}/");
    let key = format!(
        "--encryption-keyfile={}",
        session.home().join("key.txt").display()
    );
    let handler = format!("--challenge-handlers=file:filename={}", file.display());
    let words = ["info", &target, "--encryption=AES-CTR", &key, &handler];
    stock::run_without_display(session, &words)
}

fn is_let_in(output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stdout);
    let yes = output.status.success();
    assert_eq!(yes, said.contains("server.mode=seamless"), "{output:?}");
    yes
}

/// No process of a check is left, and the session goes on.
fn is_clean(session: &Session) {
    eventually("the end of the checks", LONG, || {
        processes::of_role(session.process().id(), "auth-ldap")
            .is_empty()
            .then_some(())
    });
}

#[test]
fn a_command_lets_the_stock_client_in_or_not() {
    // The command has to be there when the session starts; what it does may change.
    let directory = tempfile::Builder::new()
        .prefix("bulkhead-exec-")
        .tempdir_in("/tmp")
        .unwrap();
    chmod(directory.path(), 0o755);
    let path = directory.path().join("may-enter");
    let write = |text: &str| {
        let next = directory.path().join("next");
        std::fs::write(&next, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&next, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&next, &path).unwrap();
    };
    write("[ \"$1\" = ann ] && [ \"$BULKHEAD_AUTH_USERNAME\" = ann ]");
    let command = format!("exec(command={} ${{username}},timeout=2)", path.display());
    let (session, port) = session(&command);
    let logged = |session: &Session, text: &str| {
        session
            .process()
            .wait_for_line(LONG, |line| line.contains(text));
    };
    assert!(is_let_in(&info(&session, port, "ann", "any")));
    assert!(!is_let_in(&info(&session, port, "bob", "any")));
    logged(&session, "auth=exec: its command has ended with status 1");
    assert!(!is_let_in(&info(&session, port, "-x", "any")));
    logged(
        &session,
        "auth=exec: a user name that a command could take for something else",
    );
    // Another one: who fails often has to wait.
    let (session, port) = self::session(&command);
    write("kill -SEGV $$");
    assert!(!is_let_in(&info(&session, port, "ann", "any")));
    logged(&session, "its command has ended with status 139");
    write("sleep 60");
    let start = Instant::now();
    assert!(!is_let_in(&info(&session, port, "ann", "any")));
    assert!(start.elapsed() < Duration::from_secs(20));
    logged(&session, "its command has not ended in time: it was killed");
}

/// The stock client with the right password and with a wrong one, and what the log says of it.
#[test]
fn a_real_directory_lets_the_stock_client_in_or_not() {
    let slapd = Slapd::start();
    let reader = slapd.file("reader");
    std::fs::write(&reader, format!("{READER}\n")).unwrap();
    chmod(&reader, 0o644);
    let port = slapd.port;
    for module in [
        format!(
            "ldap(host=127.0.0.1,port={port},username_format=(uid=%username,ou=people,dc=test))"
        ),
        format!(
            "ldap3(host=localhost,port={port},search-base=(dc=test),\
             search-user=(cn=reader,dc=test),search-password-file={})",
            reader.display()
        ),
    ] {
        let (session, port) = session(&module);
        assert!(is_let_in(&info(&session, port, "alice", ALICE)), "{module}");
        let logged = |text: &str| {
            session
                .process()
                .wait_for_line(LONG, |line| line.contains(text));
        };
        logged("is let in as `alice` by ldap");
        assert!(!is_let_in(&info(&session, port, "alice", "wrong")));
        logged("the server says no");
        logged("is refused by ldap");
        is_clean(&session);
    }
}

/// The same server, asked as the process does that checks a login: who is who, and who is nobody.
#[test]
fn what_a_real_directory_says() {
    let slapd = Slapd::start();
    let ask = |user: LdapUser, reader: Option<&str>, username: &str, password: &str| {
        let server = Server {
            user,
            reader_password: reader.map(|text| text.to_owned().into()),
        };
        let socket = TcpStream::connect(("127.0.0.1", slapd.port)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let until = Instant::now() + LONG;
        server.ask(socket.into(), username, password.to_owned().into(), until)
    };
    let name = |format: &str| LdapUser::Name(format.to_owned());
    let people = || name("uid=%username,ou=people,dc=test");
    for (username, password, yes) in [
        ("alice", ALICE, true),
        ("alice", "wrong", false),
        ("alice", "", false),
        ("ALICE", ALICE, true),
        ("nobody", ALICE, false),
        ("nopassword", "x", false),
        // A name that has to be escaped; and what its pieces would be if it were not.
        ("eve,ou=others", "eve's", true),
        ("bob,ou=others", "bob's", false),
        ("alice,ou=people,dc=test", ALICE, false),
        ("*", ALICE, false),
        ("\\61lice", ALICE, false),
    ] {
        let answer = ask(people(), None, username, password);
        assert_eq!(answer.ok(), Some(yes), "{username} {password}");
    }
    for username in ["", "alice\0", "alice\n"] {
        assert!(
            ask(people(), None, username, ALICE).is_err(),
            "{username:?}"
        );
    }
    let found = || LdapUser::Search {
        base: "dc=test".into(),
        attribute: "uid".into(),
        reader: Some("cn=reader,dc=test".into()),
    };
    for (username, password, yes) in [
        ("alice", ALICE, true),
        ("alice", "wrong", false),
        ("alice", "", false),
        ("nobody", ALICE, false),
        ("nopassword", "x", false),
        ("eve,ou=others", "eve's", true),
        ("*", ALICE, false),
        ("alic*", ALICE, false),
        ("alice)(uid=*", ALICE, false),
        ("*)(|(uid=*", ALICE, false),
        ("\\2a", ALICE, false),
    ] {
        let answer = ask(found(), Some(READER), username, password);
        assert_eq!(answer.ok(), Some(yes), "{username} {password}");
    }
    // There are two of that name: who is meant is not clear.
    let two = ask(found(), Some(READER), "bob", "bob's");
    assert!(matches!(two, Err(Failure::TwoEntries)), "{two:?}");
    let refused = ask(found(), Some("wrong"), "alice", ALICE);
    assert!(matches!(refused, Err(Failure::Reader(49))), "{refused:?}");
    // Who is not let read finds nobody.
    let nobody = LdapUser::Search {
        base: "dc=test".into(),
        attribute: "uid".into(),
        reader: None,
    };
    assert!(!matches!(ask(nobody, None, "alice", ALICE), Ok(true)));
}

/// Who takes connections, and does this with each.
fn server(act: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            act(stream);
        }
    });
    port
}

#[test]
fn a_server_that_is_down_slow_or_mad_is_no() {
    let held = std::sync::Mutex::new(Vec::new());
    let silent = server(move |stream| held.lock().unwrap().push(stream));
    let rubbish = server(|mut stream| {
        let _ = stream.write_all(&[0xff; 4096]);
    });
    // The beginning of a message of 2 GiB, and then bytes without end.
    let endless = server(|mut stream| {
        let _ = stream.write_all(&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]);
        while stream.write_all(&[0x30; 65536]).is_ok() {}
    });
    // Very deep.
    let deep = server(|mut stream| {
        let mut bytes = vec![0x30, 0x83, 0x0f, 0xff, 0xff];
        bytes.extend([0x30, 0x80].repeat(500_000));
        let _ = stream.write_all(&bytes);
        std::thread::sleep(Duration::from_millis(500));
    });
    let closed = server(drop);
    // "Success", to somebody else's question; and to nobody's.
    let liar = server(|mut stream| {
        let answer = |id| [0x30, 12, 2, 1, id, 0x61, 7, 10, 1, 0, 4, 0, 4, 0];
        let _ = stream.write_all(&answer(0));
        let _ = stream.write_all(&answer(99));
        std::thread::sleep(Duration::from_millis(500));
    });
    let nobody = free_port();
    for (what, backend) in [
        ("silent", silent),
        ("rubbish", rubbish),
        ("endless", endless),
        ("deep", deep),
        ("closed", closed),
        ("liar", liar),
        ("nobody", nobody),
    ] {
        let (session, port) = session(&format!(
            "ldap(host=127.0.0.1,port={backend},timeout=2,username_format=uid=%username)"
        ));
        let start = Instant::now();
        assert!(!is_let_in(&info(&session, port, "alice", "x")), "{what}");
        println!("{what}: no after {:?}", start.elapsed());
        session.process().wait_for_line(LONG, |line| {
            line.contains("is refused by ldap: authentication failed")
        });
        is_clean(&session);
    }
}

/// A slow server costs the others nothing; and a check that is killed is no.
#[test]
fn others_log_in_meanwhile_and_a_killed_check_is_no() {
    let held = std::sync::Mutex::new(Vec::new());
    let silent = server(move |stream| held.lock().unwrap().push(stream));
    let (session, port) = session(&format!(
        "ldap(host=127.0.0.1,port={silent},timeout=50,username_format=uid=%username)"
    ));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| info(&session, port, "alice", "x"));
        let check = eventually("a check", LONG, || {
            processes::of_role(session.process().id(), "auth-ldap")
                .first()
                .copied()
        });
        let start = Instant::now();
        let output = stock::run(&session, stock::Via::Tcp, &["info"]);
        assert!(is_let_in(&output));
        println!("another login during a check: {:?}", start.elapsed());
        assert!(!waiting.is_finished());
        kill(Pid::from_raw(check.cast_signed()), Signal::SIGKILL).unwrap();
        assert!(!is_let_in(&waiting.join().unwrap()));
    });
    is_clean(&session);
}
