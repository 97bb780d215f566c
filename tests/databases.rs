//! Users in databases, with the stock client and real databases.

use bulkhead_tests::databases::Files;
use bulkhead_tests::door::Door;
use bulkhead_tests::session::{Session, free_port};

const PASSWORD: &str = "a long p\u{e4}ssword";

/// What must not be in a log.
const SECRETS: [&str; 5] = ["a long p", "argon2", "another", "a newer", "eve's"];

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
    assert!(door.shows("ann", PASSWORD));
    assert!(!door.shows("ann", "another"));
    door.logged("is refused by sqlite: authentication failed");
    assert!(!door.lets_in("'%20OR%20'1'='1", PASSWORD));
    door.logged("there is no such user");
    // What is changed counts at once.
    files.passwd("users", &["change", "ann"], "a newer one");
    assert!(door.lets_in("ann", "a newer one"));
    files.passwd("users", &["remove", "ann"], "");
    assert!(!door.lets_in("ann", "a newer one"));
    assert!(door.lets_in("bob", "another"));
    door.is_clean("auth-sqlite", &SECRETS);
}

#[test]
fn a_database_of_xpra_s_lets_the_stock_client_in_or_not() {
    let files = Files::new();
    files.stock_tool("users", &["create"]);
    let sessions = ["1000", "staff", ":10,:11", "A=hunter2", "speed=1"];
    files.stock_tool(
        "users",
        &[&["add", "ann", PASSWORD][..], &sessions].concat(),
    );
    // No encryption: the password is not sent.
    let door = Door::new(
        &format!("sqlite,filename={}", files.path("users").display()),
        false,
    );
    assert!(door.lets_in("ann", PASSWORD));
    door.logged("; sessions: user 1000, group staff, 2 displays, 1 variable, 1 option");
    assert!(door.shows("ann", PASSWORD));
    assert!(!door.shows("ann", "another"));
    assert!(!door.lets_in("eve", PASSWORD));
    files.stock_tool("users", &["add", "eve", "eve's"]);
    assert!(door.lets_in("eve", "eve's"));
    files.passwd("users", &["change", "eve"], "another of eve's");
    assert!(door.lets_in("eve", "another of eve's"));
    door.is_clean("auth-sqlite", &SECRETS);
}

/// As SQLAlchemy names it: the same module under the name of `sql`, with hashes and with passwords in clear.
#[test]
fn a_database_in_a_uri_lets_the_stock_client_in_or_not() {
    let files = Files::new();
    let uri = |name: &str| {
        let path = files.path(name).display().to_string();
        format!("sql(uri=sqlite:///{})", path.replace(' ', "%20"))
    };
    for (name, kind, encrypted) in [
        ("of hashes", None, true),
        ("in clear", Some("--plain"), false),
    ] {
        let words: Vec<_> = ["add", "ann"].into_iter().chain(kind).collect();
        files.passwd(name, &words, PASSWORD);
        let door = Door::new(&uri(name), encrypted);
        assert!(door.lets_in("ann", PASSWORD), "{name}");
        door.recorded(&["is let in as `ann` by sql"]);
        assert!(door.shows("ann", PASSWORD), "{name}");
        assert!(!door.lets_in("ann", "another"), "{name}");
        door.recorded(&["is refused by sql: authentication failed"]);
        assert!(!door.shows("ann", "another"), "{name}");
        assert!(!door.lets_in("eve", PASSWORD), "{name}");
        door.logged("there is no such user");
        assert!(door.lets_in("ann", PASSWORD), "{name}");
        door.is_clean("auth-sqlite", &SECRETS);
    }
    // Where others read along, no password is sent.
    let session = Session::start(&[]);
    let bind = format!(
        "--bind-tcp=127.0.0.1:{},auth={}",
        free_port(),
        uri("of hashes")
    );
    let output = session.bulkhead(&["seamless", "--daemon=no", &bind]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("auth=sql is sent the password itself"),
        "{output:?}"
    );
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
