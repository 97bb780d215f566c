//! Logins that somebody outside of `auth` decides about, with the stock client and real backends:
//! a command, a real LDAP server.

use backend::{Broken, Tls};
use bulkhead_auth_ldap::server::{Encryption, Failure, Server};
use bulkhead_tests::commands::chmod;
use bulkhead_tests::door::Door;
use bulkhead_tests::eventually;
use bulkhead_tests::processes;
use bulkhead_tests::session::{PASSWORD, free_port};
use bulkhead_tests::slapd::{ALICE, READER, Slapd};
use bulkhead_tests::tls;
use ipc::spec::LdapUser;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);
/// What must not be in a log.
const SECRETS: [&str; 2] = [ALICE, READER];

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
    let door = Door::new(&command, true);
    assert!(door.lets_in("ann", "any"));
    assert!(!door.lets_in("bob", "any"));
    door.logged("auth=exec: its command has ended with status 1");
    assert!(!door.lets_in("-x", "any"));
    assert!(door.shows("ann", "any"));
    door.logged("auth=exec: a user name that a command could take for something else");
    // Another one: who fails often has to wait.
    let door = Door::new(&command, true);
    assert!(!door.shows("bob", "any"));
    write("kill -SEGV $$");
    assert!(!door.lets_in("ann", "any"));
    door.logged("its command has ended with status 139");
    write("sleep 60");
    let start = Instant::now();
    assert!(!door.lets_in("ann", "any"));
    assert!(start.elapsed() < Duration::from_secs(20));
    door.logged("its command has not ended in time: it was killed");
}

/// The client's password is the first line of the command's standard input, and nowhere else.
#[test]
fn a_command_is_told_the_password_of_the_stock_client() {
    let directory = tempfile::Builder::new()
        .prefix("bulkhead-exec-")
        .tempdir_in("/tmp")
        .unwrap();
    chmod(directory.path(), 0o755);
    let path = directory.path().join("may-enter");
    let text = "#!/bin/sh\n\
        IFS= read -r password || exit 9\n\
        IFS= read -r more && exit 8\n\
        tr '\\0' '\\n' < /proc/$$/environ | grep -q \"$password\" && exit 7\n\
        tr '\\0' '\\n' < /proc/$$/cmdline | grep -q \"$password\" && exit 6\n\
        [ \"$1\" = ann ] && [ \"$password\" = 'geh \u{e4}im' ]\n";
    std::fs::write(&path, text).unwrap();
    chmod(&path, 0o755);
    let module = format!(
        "exec(command={} ${{username}},require-challenge=yes)",
        path.display()
    );
    let door = Door::new(&module, true);
    assert!(door.lets_in("ann", "geh äim"));
    assert!(door.shows("ann", "geh äim"));
    for (user, password) in [("ann", "geh aim"), ("bob", "geh äim")] {
        assert!(!door.lets_in(user, password));
        door.logged("auth=exec: its command has ended with status 1");
    }
    door.is_silent_about(&["geh "]);
    let door = Door::new(&module, true);
    assert!(!door.shows("ann", "geh aim"));
    assert!(!door.lets_in("ann", "geh äim\nmore"));
    door.logged("the command is not told: a password with a line end");
    door.is_silent_about(&["geh "]);
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
        format!(
            "ldap(host=127.0.0.1,tls=yes,port={},cacert=tls-ca.pem,\
             username_format=(uid=%username,ou=people,dc=test))",
            slapd.tls_port
        ),
        format!(
            "ldap3(host=localhost,tls=starttls,port={port},cacert=tls-ca.pem,\
             username_format=(uid=%username,ou=people,dc=test))"
        ),
    ] {
        let door = Door::new(&module, true);
        assert!(door.lets_in("alice", ALICE), "{module}");
        door.logged("is let in as `alice` by ldap");
        assert!(!door.lets_in("alice", "wrong"));
        door.logged("the server says no");
        door.logged("is refused by ldap");
        assert!(!door.shows("alice", "wrong"), "{module}");
        assert!(door.shows("alice", ALICE), "{module}");
        door.is_clean("auth-ldap", &SECRETS);
    }
}

/// The same server, asked as the process does that checks a login: who is who, and who is nobody.
#[test]
fn what_a_real_directory_says() {
    let slapd = Slapd::start();
    let ask = |user: LdapUser, reader: Option<&str>, username: &str, password: &str| {
        let server = Server {
            user,
            tls: None,
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

/// Asks about Alice with TLS.
fn ask_with_tls(port: u16, name: &str, authority: &[u8], ask: bool) -> Result<bool, Failure> {
    let server = Server {
        user: LdapUser::Name("uid=%username,ou=people,dc=test".into()),
        reader_password: None,
        tls: Some(Encryption {
            tls: Tls::new(name, vec![authority.to_vec()]).unwrap(),
            ask,
        }),
    };
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    server.ask(socket.into(), "alice", ALICE.to_owned().into(), until)
}

/// The password goes to who proves to be the server, and to nobody else.
#[test]
fn a_directory_with_tls_has_to_prove_that_it_is_the_right_one() {
    let slapd = Slapd::start();
    let ours = &tls::files().authority_der;
    let foreign = tls::made_until(4096).authority_der;
    for (port, ask) in [(slapd.tls_port, false), (slapd.port, true)] {
        for name in ["127.0.0.1", "localhost"] {
            let answer = ask_with_tls(port, name, ours, ask);
            assert!(matches!(answer, Ok(true)), "{name}: {answer:?}");
        }
        let answer = ask_with_tls(port, "ldap.example.org", ours, ask);
        let other = matches!(answer, Err(Failure::Broken(Broken::OtherName(_))));
        assert!(other, "{answer:?}");
        let answer = ask_with_tls(port, "localhost", &foreign, ask);
        let unknown = matches!(answer, Err(Failure::Broken(Broken::Unknown)));
        assert!(unknown, "{answer:?}");
    }
    let old = tls::made_until(2020);
    let slapd = Slapd::start_with(&old);
    let answer = ask_with_tls(slapd.tls_port, "localhost", &old.authority_der, false);
    let expired = matches!(answer, Err(Failure::Broken(Broken::Expired)));
    assert!(expired, "{answer:?}");
    // In clear where TLS is due, and the other way round.
    for (port, ask) in [(slapd.port, false), (slapd.tls_port, true)] {
        let answer = ask_with_tls(port, "localhost", &old.authority_der, ask);
        assert!(answer.is_err(), "{answer:?}");
    }
    // One that says "yes, and here is what comes after" before there is TLS; one that has none.
    let extended = |code, more: &[u8]| {
        let text = [&[0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, code, 4, 0, 4, 0], more].concat();
        server(move |mut stream| {
            let _ = stream.read(&mut [0; 100]);
            let _ = stream.write_all(&text);
        })
    };
    let port = extended(0, &[0x30, 12, 2, 1, 2, 0x61, 7, 10, 1, 0, 4, 0, 4, 0]);
    let answer = ask_with_tls(port, "localhost", ours, true);
    assert!(matches!(answer, Err(Failure::Malformed(_))), "{answer:?}");
    let answer = ask_with_tls(extended(2, &[]), "localhost", ours, true);
    assert!(matches!(answer, Err(Failure::StartTls(2))), "{answer:?}");
    // One that begins and never goes on.
    let held = std::sync::Mutex::new(Vec::new());
    let silent = server(move |stream| held.lock().unwrap().push(stream));
    let answer = ask_with_tls(silent, "localhost", ours, false);
    let late = matches!(answer, Err(Failure::Broken(Broken::Late)));
    assert!(late, "{answer:?}");
}

/// A server that makes the confined process take as much memory as it may: no, and not by the sandbox.
#[test]
fn a_server_with_long_answers_is_no_by_its_answers() {
    // A message of 64 KiB, in pieces, and more than that; a certificate message of TLS 1.2 with nothing in it.
    let long = server(|mut stream| {
        let _ = stream.read(&mut [0; 100]);
        let message = [&[0x30, 0x82, 0xff, 0xfc][..], &[0; 70_000]].concat();
        for piece in message.chunks(1000) {
            let _ = stream.write_all(piece);
        }
        let _ = stream.read(&mut [0; 100]);
    });
    let clear = format!("ldap(host=127.0.0.1,port={long},timeout=5)");
    let mad = server(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&empty_certificates());
        let _ = stream.read(&mut [0; 4096]);
    });
    let tls = format!("ldap(host=127.0.0.1,port={mad},tls=yes,cacert=tls-ca.pem,timeout=5)");
    for module in [clear, tls] {
        let door = Door::new(&module, true);
        assert!(!door.lets_in("alice", ALICE), "{module}");
        door.logged("no: ");
        door.is_clean("auth-ldap", &SECRETS);
        let lines = door.session.process().lines();
        let killed = lines.iter().find(|line| line.contains("by its sandbox"));
        assert_eq!(killed, None, "{module}");
    }
}

/// A ServerHello of TLS 1.2, and a Certificate message (RFC 5246, section 7.4.2) of 21,000 certificates of
/// no bytes.
fn empty_certificates() -> Vec<u8> {
    let u24 = |number: usize| u32::try_from(number).unwrap().to_be_bytes()[1..].to_vec();
    let handshake = |kind: u8, body: &[u8]| [&[kind][..], &u24(body.len()), body].concat();
    // ECDHE-RSA with AES-128-GCM, and the extended master secret that the client has asked for.
    let hello = [
        &[3, 3][..],
        &[7; 32],
        &[0, 0xc0, 0x2f, 0, 0, 4, 0, 23, 0, 0],
    ]
    .concat();
    let certificates = vec![0; 3 * 21_000];
    let list = [u24(certificates.len()), certificates].concat();
    let both = [handshake(2, &hello), handshake(11, &list)].concat();
    let record = |part: &[u8]| {
        let len = u16::try_from(part.len()).unwrap();
        [&[22, 3, 3][..], &len.to_be_bytes(), part].concat()
    };
    both.chunks(16_000).flat_map(record).collect()
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
        let module =
            format!("ldap(host=127.0.0.1,port={backend},timeout=2,username_format=uid=%username)");
        let door = Door::new(&module, true);
        let start = Instant::now();
        assert!(!door.lets_in("alice", "x"), "{what}");
        println!("{what}: no after {:?}", start.elapsed());
        door.logged("is refused by ldap: authentication failed");
        door.is_clean("auth-ldap", &SECRETS);
    }
}

/// A no says nothing of what the directory had to do for it: nor when it is told, a second after it was
/// decided.
#[test]
fn a_no_of_a_directory_comes_at_its_time() {
    for needs in [0, 150] {
        let backend = server(move |mut stream| {
            let _ = stream.read(&mut [0; 100]);
            std::thread::sleep(Duration::from_millis(needs));
            let _ = stream.write_all(&[0x30, 12, 2, 1, 1, 0x61, 7, 10, 1, 49, 4, 0, 4, 0]);
            let _ = stream.read(&mut [0; 100]);
        });
        let door = Door::new(
            &format!("ldap(host=127.0.0.1,port={backend},username_format=uid=%username)"),
            true,
        );
        let took = door.refuses_after("alice", "x");
        println!("a directory that needs {needs} ms: no after {took:?}");
        assert!(took >= Duration::from_millis(1500), "{took:?}");
        door.logged("no: the server says no");
    }
}

/// A slow server costs the others nothing; and a check that is killed is no.
#[test]
fn others_log_in_meanwhile_and_a_killed_check_is_no() {
    let held = std::sync::Mutex::new(Vec::new());
    let silent = server(move |stream| held.lock().unwrap().push(stream));
    let module =
        format!("ldap(host=127.0.0.1,port={silent},timeout=50,username_format=uid=%username)");
    let door = Door::new(&module, true);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| door.lets_in("alice", "x"));
        let check = eventually("a check", LONG, || {
            processes::of_role(door.session.process().id(), "auth-ldap")
                .first()
                .copied()
        });
        let start = Instant::now();
        let other = door.visitor_at(format!("tcp://127.0.0.1:{}/", door.session.port));
        assert!(other.knows(PASSWORD).is_answered());
        println!("another login during a check: {:?}", start.elapsed());
        assert!(!waiting.is_finished());
        kill(Pid::from_raw(check.cast_signed()), Signal::SIGKILL).unwrap();
        assert!(!waiting.join().unwrap());
    });
    door.is_clean("auth-ldap", &SECRETS);
}
