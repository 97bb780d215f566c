//! A5: each listener has its own authentication, and none is open because another one is not.

use crate::peer::{LONG, Stream, end_of, hello, sharing};
use bulkhead_tests::session::{Session, free_port};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use tempfile::TempDir;
use test_client::{Address, Client, Error, Options};

/// A session with sockets of each kind, some with a password of their own.
pub fn everywhere() -> (TempDir, Session, Vec<(Address, &'static str)>) {
    const OTHER: &str = "another one";
    let ports = [free_port(), free_port()];
    let tcp = |port: u16| Address::Tcp(format!("127.0.0.1:{port}"));
    let directory = tempfile::tempdir().unwrap();
    let unix = directory.path().join("asks");
    bulkhead_tests::commands::chmod(directory.path(), 0o755);
    let user = bulkhead_tests::commands::test_user();
    nix::unistd::chown(directory.path(), Some(user.uid), Some(user.gid)).unwrap();
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
        Address::Unix(path) => Box::new(UnixStream::connect(path).unwrap()),
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
