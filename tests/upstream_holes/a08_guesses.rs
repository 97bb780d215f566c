//! A8: guessing. What one source may do is settled by unit tests of the supervisor; here many
//! sources guess at one user, over real sockets.

use crate::login::{answer, next_packet};
use crate::peer::{LONG, hello, logged, sharing};
use bulkhead_tests::commands::{chmod, test_user};
use bulkhead_tests::eventually;
use bulkhead_tests::session::{Session, free_port};
use bulkhead_tests::source::connect_from;
use nix::unistd::chown;
use std::io::Write;
use test_client::wire::packet::ServerPacket;

struct Door {
    session: Session,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Door {
    fn new() -> Self {
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        chmod(directory.path(), 0o755);
        let users = directory.path().join("users.txt");
        std::fs::write(&users, "ann|ann's\nbob|bob's\n").unwrap();
        chmod(&users, 0o600);
        if nix::unistd::geteuid().is_root() {
            chown(&users, Some(test_user().uid), None).unwrap();
        }
        let port = free_port();
        let socket = format!(
            "127.0.0.1:{port},auth=multifile(filename={})",
            users.display()
        );
        let bind = format!("--bind-tcp={socket}");
        let session = Session::start(&["--sharing=yes", "--start=xterm", &bind]);
        Self {
            session,
            port,
            _directory: directory,
        }
    }

    /// What somebody hears who comes from 127.0.0.0/8 and says this.
    fn hears(&self, from: [u8; 3], user: &str, password: &str) -> String {
        let mut stream = connect_from(from, self.port).unwrap();
        let mut first = sharing(usize::from(from[2])).username(user);
        first.hello.auth.response = None;
        stream.write_all(&hello(&first)).unwrap();
        let (answered, _) = answer(&mut stream, password);
        stream.write_all(&answered).unwrap();
        match ServerPacket::parse(next_packet(&mut stream)) {
            Ok(ServerPacket::Disconnect(it)) => [vec![it.reason], it.details].concat().join("|"),
            Ok(ServerPacket::Hello(_)) => "hello".to_owned(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn many_sources_guess_no_more_than_a_few_and_keep_nobody_out() {
    let door = Door::new();
    let home = [0, 0, 7];
    assert_eq!(door.hears(home, "ann", "ann's"), "hello");
    // Of somebody who exists, and of somebody who does not.
    let mut said = Vec::new();
    for (user, net) in [("ann", 1), ("carl", 2)] {
        for host in 1..=40 {
            said.push(door.hears([net, 0, host], user, "a guess"));
        }
    }
    said.dedup();
    assert_eq!(said, ["authentication failed"], "everybody hears the same");
    // Those that were looked at: the first few, and what comes after a second or two.
    let lines = door.session.process().lines();
    let count = |user: &str, why: &str| {
        let who = format!("who says to be `{user}`, is refused by multifile: {why}");
        lines.iter().filter(|line| line.contains(&who)).count()
    };
    let looked_at = [
        ("ann", "authentication failed"),
        ("carl", "there is no such user"),
    ];
    for (user, why) in looked_at {
        let (looked_at, others) = (count(user, why), count(user, "too many"));
        println!("{user}: {looked_at} of 40 guesses were looked at");
        assert!((11..=16).contains(&looked_at), "{user}: {looked_at}");
        assert_eq!(looked_at + others, 40, "{user}");
    }
    // From where she has come from before she gets in, and so do others from wherever.
    assert_eq!(door.hears(home, "ann", "ann's"), "hello");
    assert_eq!(door.hears([3, 0, 1], "bob", "bob's"), "hello");
    // And from elsewhere after the pause. (Who goes on guessing would have a try now and then that
    // is hers otherwise: which of two is first after a pause is nobody's to say.)
    let mut host = 0;
    eventually("a new place", LONG, || {
        host += 1;
        (door.hears([5, 0, host], "ann", "ann's") == "hello").then_some(())
    });
    logged(&door.session, "is let in as `ann` by multifile", 3);
}
