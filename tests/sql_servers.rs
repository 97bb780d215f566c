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

/// With TLS, hashes, and the password of the server's user in the URI, which is shown nowhere.
fn a_server_proves_who_it_is(start: fn(&[(&str, &str)]) -> SqlServer) {
    let server = start(&[("ann", &hash(PASSWORD))]);
    let name = server.module("").split('(').next().unwrap().to_owned();
    let uri = server.uri(&format!(":{READER_IN_URI}"));
    let ca = server.file("ca.pem").display().to_string();
    let module = format!("{name}(uri={uri},hashed=yes,tls=yes,cacert={ca})");
    let door = Door::new(&module, true);
    assert!(door.shows("ann", PASSWORD));
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
    a_server_proves_who_it_is(SqlServer::mariadb);
}

#[test]
fn postgresql_proves_who_it_is() {
    a_server_proves_who_it_is(SqlServer::postgresql);
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
