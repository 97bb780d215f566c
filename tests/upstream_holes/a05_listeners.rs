//! A5: each listener has its own authentication, and none is open because another one is not.

use crate::login::next_packet;
use crate::peer::{LONG, Stream, end_of, hello, sharing};
use bulkhead_tests::session::{PASSWORD, Session, free_port};
use bulkhead_tests::tls::{self, certificate_socket, tls_socket};
use std::io::Write;
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use tempfile::TempDir;
use test_client::{Address, Client, Error, Options};

/// A directory of the session's user that everybody can enter.
pub fn directory_of_the_user() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    bulkhead_tests::commands::chmod(directory.path(), 0o755);
    let user = bulkhead_tests::commands::test_user();
    nix::unistd::chown(directory.path(), Some(user.uid), Some(user.gid)).unwrap();
    directory
}

/// A session with sockets of each kind, some with a password of their own.
pub fn everywhere() -> (TempDir, Session, Vec<(Address, &'static str)>) {
    const OTHER: &str = "another one";
    let ports = [free_port(), free_port()];
    let tcp = |port: u16| Address::Tcp(format!("127.0.0.1:{port}"));
    let directory = directory_of_the_user();
    let unix = directory.path().join("asks");
    let session = Session::start(&[
        &format!(
            "--bind-tcp=127.0.0.1:{},auth=password(value={OTHER})",
            ports[0]
        ),
        "--tcp-auth=password(value=another one)",
        &format!("--bind-tcp=127.0.0.1:{}", ports[1]),
        &format!("--bind={},auth=password(value={OTHER})", unix.display()),
        "--sharing=yes",
    ]);
    let first = tcp(session.port);
    let addresses = vec![
        (first, bulkhead_tests::session::PASSWORD),
        (tcp(ports[0]), OTHER),
        (tcp(ports[1]), OTHER),
        (Address::Unix(unix), OTHER),
    ];
    (directory, session, addresses)
}

/// Connects to one of them.
pub fn connect(address: &Address) -> Box<dyn Stream> {
    match address {
        Address::Tcp(name) => Box::new(TcpStream::connect(name).unwrap()),
        Address::Tls(name, ..) | Address::Changing(name, _) => {
            Box::new(TcpStream::connect(name).unwrap())
        }
        Address::Unix(path) => Box::new(UnixStream::connect(path).unwrap()),
        Address::Abstract(name) => {
            let address = SocketAddr::from_abstract_name(name).unwrap();
            Box::new(UnixStream::connect_addr(&address).unwrap())
        }
    }
}

#[test]
fn no_listener_lets_anybody_in_without_its_password() {
    let (_directory, _session, addresses) = everywhere();
    for (address, password) in &addresses {
        // Two hellos, and no answer to the challenge between them.
        let hello = hello(&Options::gtk());
        let mut stream = connect(address);
        stream.write_all(&hello).unwrap();
        stream.write_all(&hello).unwrap();
        let end = end_of(stream, LONG);
        let silent = |name: &String| name == "challenge" || name == "disconnect";
        assert!(end.packets.iter().all(silent), "{address:?}: {end:?}");
        assert!(!end.reasons.is_empty(), "{address:?}: {end:?}");
        // The right one.
        Client::connect(address, &sharing(1).password(password), LONG).unwrap();
    }
    // The password of another listener, once each: nobody is penalised for that yet.
    for (address, password) in &addresses[..2] {
        let wrong = addresses.iter().find(|(_, other)| other != password);
        let options = sharing(2).password(wrong.unwrap().1);
        let error = Client::connect(address, &options, LONG).map(drop);
        assert!(
            matches!(&error, Err(Error::Disconnected(reasons)) if reasons == &["authentication failed"]),
            "{address:?}: {error:?}"
        );
    }
}

/// What is wanted of clients on one socket with TLS is not had from what another wants.
#[test]
fn a_certificate_counts_at_the_listener_that_trusts_its_authority() {
    let (own, bind) = certificate_socket();
    let (others, more) = tls_socket(&format!("password(value={PASSWORD})"));
    // Of another authority.
    let more = format!("{more},ssl-client-verify-mode=required,ssl-ca-certs=tls-ca.pem");
    let _session = Session::start(&["--sharing=yes", &bind, &more]);
    let shown = |port| tls::address(port).showing(tls::client().identity.clone());
    let password = sharing(1).password(PASSWORD);
    Client::connect(&shown(own), &sharing(2), LONG).unwrap();
    // The right password, and a certificate that is good elsewhere; none; no TLS.
    let error = Client::connect(&shown(others), &password, LONG).map(drop);
    assert!(
        matches!(&error, Err(Error::Disconnected(reasons)) if reasons == &["authentication failed"]),
        "{error:?}"
    );
    for port in [own, others] {
        assert!(Client::connect(&tls::address(port), &password, LONG).is_err());
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(&hello(&password)).unwrap();
        let end = end_of(stream, LONG);
        assert!(end.packets.is_empty(), "{end:?}");
    }
}

/// Does this as another user, such as to connect: the kernel notes who does.
pub fn as_user<T: Send + 'static>(
    uid: u32,
    gid: u32,
    what: impl FnOnce() -> T + Send + 'static,
) -> T {
    let done = std::thread::spawn(move || {
        // By the plain system call: a thread has a user of its own, C's functions change all.
        // SAFETY: numbers, and no memory but an empty list; only this thread changes, and ends.
        unsafe {
            let nobody = std::ptr::null::<libc::gid_t>();
            assert_eq!(libc::syscall(libc::SYS_setgroups, 0, nobody), 0);
            assert_eq!(libc::syscall(libc::SYS_setresgid, gid, gid, gid), 0);
            assert_eq!(libc::syscall(libc::SYS_setresuid, uid, uid, uid), 0);
        }
        what()
    });
    done.join().unwrap()
}

/// Connects as this user.
fn connect_as(path: &Path, uid: u32, gid: u32) -> UnixStream {
    let path = path.to_owned();
    as_user(uid, gid, move || {
        UnixStream::connect(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    })
}

#[test]
fn the_kernel_says_who_connects() {
    if !needs::root("connect as another user") {
        return;
    }
    let user = bulkhead_tests::commands::test_user();
    // Options; who passes: the owner, a user who is listed, one of a listed group, another, root.
    // Users and groups are new for each, so that nobody is penalised for the last one.
    let listeners = [
        // Root could do everything anyway.
        ("", [true, false, false, false, true]),
        (",auth=peercred", [true, false, false, false, false]),
        (",auth=peercred(uid=UID)", [true, true, false, false, false]),
        (
            ",auth=peercred(uid=UID,allow-owner=no)",
            [false, true, false, false, false],
        ),
        (
            ",auth=peercred(uid=UID:1,gid=GID)",
            [true, true, true, false, false],
        ),
        (
            ",auth=peercred(allow-owner=no)",
            [false, false, false, false, false],
        ),
    ];
    let (uid, gid) = (|n: u32| 61_000 + n, |n: u32| 62_000 + n);
    let directory = directory_of_the_user();
    let path = |n: u32| directory.path().join(format!("listener-{n}"));
    let mut options = vec![
        "--sharing=yes".to_owned(),
        "--socket-permissions=666".to_owned(),
    ];
    for (n, (auth, _)) in (0..).zip(listeners) {
        let auth = auth
            .replace("UID", &uid(n).to_string())
            .replace("GID", &gid(n).to_string());
        options.push(format!("--bind={}{auth}", path(n).display()));
    }
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let _session = Session::start(&options);
    for (n, (auth, allowed)) in (0..).zip(listeners) {
        let callers = [
            (user.uid.as_raw(), user.gid.as_raw()),
            (uid(n), 63_000),
            (64_000 + n, gid(n)),
            (65_000 + n, 63_000),
            (0, 0),
        ];
        for ((uid, gid), allowed) in callers.into_iter().zip(allowed) {
            // Each failure costs root time; twice is enough.
            if uid == 0 && n > 1 {
                continue;
            }
            let mut stream = connect_as(&path(n), uid, gid);
            stream.write_all(&hello(&sharing(1))).unwrap();
            let first = next_packet(&mut stream).name;
            let expected = if allowed { "hello" } else { "disconnect" };
            assert_eq!(first, expected, "{auth:?} by {uid}:{gid}");
        }
    }
}
