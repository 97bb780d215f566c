//! Users at database servers, with the stock client and real servers.

use bulkhead_tests::door::Door;
use bulkhead_tests::sql_servers::{READER_IN_URI, SqlServer};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);
const PASSWORD: &str = "a long p\u{e4}ssword";

/// What must not be in a log.
const SECRETS: [&str; 3] = ["a long p", "argon2", "reader's"];

fn hash(password: &str) -> String {
    accounts::hash::make(password.as_bytes(), &[7; accounts::hash::SALT]).unwrap()
}

fn a_server_lets_the_stock_client_in_or_not(start: fn(&[(&str, &str)]) -> SqlServer) {
    let hashed = hash(PASSWORD);
    let server = start(&[
        ("ann", PASSWORD),
        ("two", PASSWORD),
        ("two", PASSWORD),
        ("hash", &hashed),
        ("o'hara", "o'hara's"),
    ]);
    // In clear, on this machine: nothing is sent, whose encryption nobody needs.
    let door = Door::new(&server.module(""), false);
    assert!(door.lets_in("ann", PASSWORD));
    assert!(door.shows("o'hara", "o'hara's"));
    assert!(!door.shows("o'hara", PASSWORD));
    // The database would take the last two for her. (More failures than these would cost a pause.)
    for (name, password) in [("Ann", PASSWORD), ("ann ", PASSWORD)] {
        assert!(!door.lets_in(name, password), "{name}");
    }
    door.is_clean("auth-sql", &SECRETS);
    let door = Door::new(&server.module(""), false);
    for (name, password, part) in [
        ("' OR '1'='1", PASSWORD, "there is no such user"),
        ("two", PASSWORD, "finds more than one user of this name"),
        (
            "hash",
            &hashed,
            "is a hash in a database of passwords in clear",
        ),
    ] {
        assert!(!door.lets_in(name, password), "{name}");
        door.logged(part);
    }
    door.is_clean("auth-sql", &SECRETS);
    let door = Door::new(&server.module(",timeout=4"), false);
    // Who is there is not told by the time that a no takes.
    for (name, password) in [("ann", "another"), ("nobody", PASSWORD)] {
        let took = door.refuses_after(name, password);
        println!("{name}: no after {took:?}");
        assert!(took >= Duration::from_millis(1500), "{name}: {took:?}");
    }
    // The server goes, and who waits for it has an answer all the same.
    let stop = |signal| {
        kill(
            Pid::from_raw(server.process().id().try_into().unwrap()),
            signal,
        )
        .unwrap()
    };
    stop(Signal::SIGSTOP);
    assert!(!door.lets_in("ann", PASSWORD));
    door.logged("has not answered in time");
    stop(Signal::SIGCONT);
    assert!(door.lets_in("ann", PASSWORD));
}

#[test]
fn mariadb_lets_the_stock_client_in_or_not() {
    a_server_lets_the_stock_client_in_or_not(SqlServer::mariadb);
}

#[test]
fn postgresql_lets_the_stock_client_in_or_not() {
    a_server_lets_the_stock_client_in_or_not(SqlServer::postgresql);
}

/// Starts a server with these users and their passwords, and what these statements do to the table.
type StartWith = fn(&[(&str, &str)], &[&str]) -> SqlServer;

/// What a table says of a user's sessions goes with the yes; whatever is wrong with it keeps nobody out.
fn a_server_tells_of_sessions(start: StartWith, sleep: &str) {
    let users = ["ann", "bob", "carl", "dora"].map(|name| (name, PASSWORD));
    let server = start(
        &users,
        &[
            "UPDATE users SET uid='1000', gid='staff', displays=':10,tcp://me:hunter2@host:1/', \
             env_options='A=hunter2', session_options='password=hunter2' WHERE username='ann'",
            "UPDATE users SET env_options='hunter2' WHERE username='bob'",
            "UPDATE users SET displays=repeat('x', 8191), env_options=concat('A=', repeat('x', 8189)), \
             session_options='a=b' WHERE username='carl'",
        ],
    );
    let door = Door::new(&server.module(""), false);
    for (name, part) in [
        (
            "ann",
            "; sessions: user 1000, group staff, 2 displays, 1 variable, 1 option",
        ),
        ("bob", "sessions: variables that are not name=value"),
        ("carl", "sessions: more than 16 KiB about sessions"),
        ("dora", "is let in as `dora` by "),
    ] {
        assert!(door.lets_in(name, PASSWORD), "{name}");
        door.logged(part);
    }
    assert!(!door.lets_in("ann", "another"));
    door.is_clean("auth-sql", &[&SECRETS[..], &["hunter2"]].concat());
    let lines = door.session.process().lines();
    let of_dora = lines.iter().find(|line| line.contains("`dora`")).unwrap();
    assert!(!of_dora.contains("sessions"), "{of_dora}");
    drop(door);
    let of_users = "FROM users WHERE username=%s AND password=%s";
    let two = "FROM users u, users v WHERE u.username=%s";
    for (query, part) in [
        (
            &*format!("(SELECT 1000, -1 + 51, displays, NULL, '' {of_users})"),
            "; sessions: user 1000, group 50, 2 displays, 0 variables, 0 options",
        ),
        (
            &format!("(SELECT uid, gid {of_users})"),
            "does not give five columns",
        ),
        (
            &format!("(SELECT uid, gid, displays, env_options, 1.5 {of_users})"),
            "something that is no text",
        ),
        (
            &format!("(SELECT u.uid, u.gid, u.displays, '', '' {two})"),
            "finds more than one user of this name",
        ),
        (
            &format!("(SELECT uid, gid, displays, env_options, absent {of_users})"),
            "the server refuses (error ",
        ),
    ] {
        let door = Door::new(&server.module(&format!(",sessions_query={query}")), false);
        assert!(door.lets_in("ann", PASSWORD), "{query}");
        door.logged(part);
        door.is_clean("auth-sql", &[&SECRETS[..], &["hunter2"]].concat());
    }
    // The client does not wait for what it has no need of, and who is not let in not at all.
    let late = format!("(SELECT uid, gid, displays, env_options, {sleep} {of_users})");
    let module = server.module(&format!(",timeout=50,sessions_query={late}"));
    let door = Door::new(&module, false);
    let begun = Instant::now();
    assert!(!door.lets_in("ann", "another"));
    let nothing = "nothing is known of this user's sessions: ";
    let lines = door.session.process().lines();
    assert!(!lines.iter().any(|line| line.contains(nothing)));
    assert!(door.lets_in("ann", PASSWORD));
    door.logged(&format!("{nothing}the server has not answered in time"));
    assert!(begun.elapsed() < LONG);
}

#[test]
fn mariadb_tells_of_sessions() {
    a_server_tells_of_sessions(SqlServer::mariadb_with, "sleep(60)");
}

#[test]
fn postgresql_tells_of_sessions() {
    a_server_tells_of_sessions(SqlServer::postgresql_with, "CAST(pg_sleep(60) AS text)");
}

/// With TLS, hashes, and the password of the server's user in the URI, which is shown nowhere.
fn a_server_proves_who_it_is(start: StartWith) {
    let server = start(
        &[("ann", &hash(PASSWORD))],
        &["UPDATE users SET displays=':10'"],
    );
    let name = server.module("").split('(').next().unwrap().to_owned();
    let uri = server.uri(&format!(":{READER_IN_URI}"));
    let ca = server.file("ca.pem").display().to_string();
    let module = format!("{name}(uri={uri},hashed=yes,tls=yes,cacert={ca})");
    let door = Door::new(&module, true);
    assert!(door.shows("ann", PASSWORD));
    // They are asked for with the hash.
    door.logged("; sessions: 1 display, 0 variables, 0 options");
    assert!(!door.shows("ann", "another"));
    assert!(!door.lets_in("eve", PASSWORD));
    door.is_clean("auth-sql", &SECRETS);
    let shown = std::fs::read(format!("/proc/{}/cmdline", door.session.process().id()));
    assert!(!String::from_utf8_lossy(&shown.unwrap()).contains("reader"));
    drop(door);
    // Another authority has not signed it; and a wrong password of the server's user is said.
    let other = bulkhead_tests::tls::made_until(4096);
    let strangers = server.file("strangers.pem");
    std::fs::write(&strangers, other.authority).unwrap();
    let module = format!(
        "{name}(uri={uri},hashed=yes,tls=yes,cacert={})",
        strangers.display()
    );
    let door = Door::new(&module, true);
    assert!(!door.lets_in("ann", PASSWORD));
    door.logged("signed by nobody in cacert");
    drop(door);
    let door = Door::new(&format!("{name}(uri={})", server.uri(":wrong")), false);
    assert!(!door.lets_in("ann", PASSWORD));
    door.logged("the server refuses (error ");
}

#[test]
fn mariadb_proves_who_it_is() {
    a_server_proves_who_it_is(SqlServer::mariadb_with);
}

#[test]
fn postgresql_proves_who_it_is() {
    a_server_proves_who_it_is(SqlServer::postgresql_with);
}

#[test]
fn a_server_that_is_down_slow_or_mad_is_no() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for scheme in ["mysql", "postgresql"] {
        let module = format!("sql(uri={scheme}://u@127.0.0.1:{port}/d,timeout=3)");
        let door = Door::new(&module, false);
        // One that talks nonsense, and one that says nothing.
        for (answer, part) in [
            (
                &b"\xff\xff\xff\x00HTTP/1.1 400 Bad Request\r\n\r\n"[..],
                "cannot say here",
            ),
            (&b"\x05\x00\x00\x00\xff"[..], "closed the connection"),
            (&b""[..], "has not answered in time"),
        ] {
            let begun = Instant::now();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut asked, _) = listener.accept().unwrap();
                    asked.write_all(answer).unwrap();
                    if answer.len() == 5 {
                        asked.shutdown(std::net::Shutdown::Write).unwrap();
                    }
                    let _ = asked.read_to_end(&mut Vec::new());
                });
                assert!(!door.lets_in("ann", PASSWORD));
            });
            door.logged(part);
            assert!(begun.elapsed() < LONG);
        }
        door.is_clean("auth-sql", &SECRETS);
    }
    drop(listener);
    let door = Door::new(&format!("mysql(uri=mysql://u@127.0.0.1:{port}/d)"), false);
    assert!(!door.lets_in("ann", PASSWORD));
    door.logged("the server refuses connections");
}
