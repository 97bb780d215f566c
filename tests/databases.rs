//! Users in databases, with the stock client and real databases.

use bulkhead_tests::databases::Files;
use bulkhead_tests::eventually;
use bulkhead_tests::processes;
use bulkhead_tests::session::{Session, free_port};
use bulkhead_tests::stock;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
const PASSWORD: &str = "a long p\u{e4}ssword";

/// A session with one more TCP socket, on which this module decides.
struct Door {
    session: Session,
    port: u16,
    encrypted: bool,
}

impl Door {
    fn new(module: &str, encrypted: bool) -> Self {
        let port = free_port();
        let encryption = match encrypted {
            true => ",encryption=AES-CTR,keyfile=key.txt",
            false => "",
        };
        let bind = format!("--bind-tcp=127.0.0.1:{port},auth={module}{encryption}");
        Self {
            session: Session::start(&["--debug", &bind]),
            port,
            encrypted,
        }
    }

    /// Does the stock client get an answer there?
    fn lets_in(&self, user: &str, password: &str) -> bool {
        let address = format!("tcp://{user}@127.0.0.1:{}/", self.port);
        let key = self.session.home().join("key.txt");
        let key = format!("--encryption-keyfile={}", key.display());
        let more: &[&str] = match self.encrypted {
            true => &["--encryption=AES-CTR", &key],
            false => &[],
        };
        let output = stock::run_at(&self.session, &address, &[password], more, &["info"]);
        let said = String::from_utf8_lossy(&output.stdout);
        let yes = output.status.success();
        assert_eq!(yes, said.contains("server.mode=seamless"), "{output:?}");
        yes
    }

    fn logged(&self, text: &str) {
        let process = self.session.process();
        process.wait_for_line(LONG, |line| line.contains(text));
    }

    /// No process of a check is left, and no password is in the log.
    fn is_clean(&self, role: &str) {
        eventually("the end of the checks", LONG, || {
            let left = processes::of_role(self.session.process().id(), role);
            left.is_empty().then_some(())
        });
        for line in self.session.process().lines() {
            let secrets = ["a long p", "argon2", "another", "a newer", "eve's"];
            let shown = secrets.into_iter().find(|text| line.contains(text));
            assert_eq!(shown, None, "{line}");
        }
    }
}

#[test]
fn a_database_of_bulkhead_passwd_lets_the_stock_client_in_or_not() {
    let files = Files::new();
    files.passwd("users", &["add", "ann"], PASSWORD);
    files.passwd("users", &["add", "bob"], "another");
    let door = Door::new(
        &format!("sqlite(filename={})", files.path("users").display()),
        true,
    );
    assert!(door.lets_in("ann", PASSWORD));
    door.logged("is let in as `ann` by sqlite");
    assert!(!door.lets_in("ann", "another"));
    door.logged("is refused by sqlite: authentication failed");
    assert!(!door.lets_in("'%20OR%20'1'='1", PASSWORD));
    door.logged("there is no such user");
    // What is changed counts at once.
    files.passwd("users", &["change", "ann"], "a newer one");
    assert!(door.lets_in("ann", "a newer one"));
    files.passwd("users", &["remove", "ann"], "");
    assert!(!door.lets_in("ann", "a newer one"));
    assert!(door.lets_in("bob", "another"));
    door.is_clean("auth-sqlite");
}

#[test]
fn a_database_of_xpra_s_lets_the_stock_client_in_or_not() {
    let files = Files::new();
    files.stock_tool("users", &["create"]);
    files.stock_tool("users", &["add", "ann", PASSWORD]);
    // No encryption: the password is not sent.
    let door = Door::new(
        &format!("sqlite,filename={}", files.path("users").display()),
        false,
    );
    assert!(door.lets_in("ann", PASSWORD));
    assert!(!door.lets_in("ann", "another"));
    assert!(!door.lets_in("eve", PASSWORD));
    files.stock_tool("users", &["add", "eve", "eve's"]);
    assert!(door.lets_in("eve", "eve's"));
    files.passwd("users", &["change", "eve"], "another of eve's");
    assert!(door.lets_in("eve", "another of eve's"));
    door.is_clean("auth-sqlite");
}

#[test]
fn a_database_that_became_something_else_is_no() {
    let files = Files::new();
    files.passwd("users", &["add", "ann", "--plain"], PASSWORD);
    let path = files.path("users");
    let module = format!("sqlite(filename={})", path.display());
    let good = std::fs::read(&path).unwrap();
    let door = Door::new(&module, false);
    assert!(door.lets_in("ann", PASSWORD));
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    assert!(!door.lets_in("ann", PASSWORD));
    std::fs::write(&path, [&good[..100], &[0xff; 8192]].concat()).unwrap();
    assert!(!door.lets_in("ann", PASSWORD));
    std::fs::write(&path, "").unwrap();
    assert!(!door.lets_in("ann", PASSWORD));
    door.logged("is no SQLite database");
}
