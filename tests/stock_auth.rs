//! The authentication modules with the stock Xpra 6.5.5 client: the right secret opens, the wrong
//! one does not, and the log says who came, from where, and why not.

use bulkhead_tests::commands::{OTP_KEY, chmod, oathtool, test_user};
use bulkhead_tests::eventually;
use bulkhead_tests::screen::ClientScreen;
use bulkhead_tests::session::{Session, free_port};
use bulkhead_tests::stock::{self, StockClient};
use nix::unistd::chown;
use std::path::PathBuf;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
const XTERM: &str = "--start=xterm -T wanted -geometry 60x20+40+30";
const ENCRYPTED: [&str; 2] = ["--encryption=AES-CTR", "--encryption-keyfile="];

/// A session with one more TCP socket, and files in its home that the owner alone can read.
struct Door {
    session: Session,
    port: u16,
}

impl Door {
    /// `options` of the socket; `HOME` in them is the session's home directory.
    fn new(files: &[(&str, &str)], options: &str) -> Self {
        let directory = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        chmod(directory.path(), 0o755);
        let port = free_port();
        let at = |name: &str| directory.path().join(name);
        for (name, text) in files {
            write(&at(name), text);
        }
        let here = directory.path().display().to_string();
        let bind = format!(
            "--bind-tcp=127.0.0.1:{port},{}",
            options.replace("HOME", &here)
        );
        let session = Session::start(&["--debug", "--sharing=yes", XTERM, &bind]);
        let door = Self { session, port };
        // The files stay until the session has ended: they are read at each login.
        for (name, _) in files {
            std::fs::hard_link(at(name), door.file(name)).unwrap();
        }
        door
    }

    fn file(&self, name: &str) -> PathBuf {
        self.session.home().join(name)
    }

    fn address(&self, user: &str) -> String {
        format!("tcp://{user}127.0.0.1:{}/", self.port)
    }

    /// Does the session answer?
    fn answers(&self, user: &str, secrets: &[&str], more: &[&str]) -> bool {
        let output = stock::run_at(&self.session, &self.address(user), secrets, more, &["info"]);
        let said = String::from_utf8_lossy(&output.stdout);
        let answered = output.status.success() && said.contains("server.mode=seamless");
        assert!(answered || !said.contains("server."), "{output:?}");
        answered
    }

    /// Does its window come?
    fn shows(&self, user: &str, secrets: &[&str], more: &[&str]) {
        let screen = ClientScreen::start(1280, 800);
        let _client =
            StockClient::attach_at(&self.session, &screen, &self.address(user), secrets, more);
        eventually("the window at the client", LONG, || {
            screen.screen.window_named("wanted")
        });
    }

    /// Waits for a record of the supervisor's.
    fn logged(&self, parts: &[&str]) {
        self.session.process().wait_for_line(LONG, |line| {
            line.contains("\"role\":\"supervisor\"") && parts.iter().all(|part| line.contains(part))
        });
    }

    /// Nothing of this is in the log.
    fn is_silent_about(&self, secrets: &[&str]) {
        for line in self.session.process().lines() {
            for secret in secrets {
                assert!(!line.contains(secret), "{secret}: {line}");
            }
        }
    }
}

fn write(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
    chmod(path, 0o600);
    if nix::unistd::Uid::effective().is_root() {
        chown(path, Some(test_user().uid), Some(test_user().gid)).unwrap();
    }
}

#[test]
fn multifile() {
    let users = "ann|first-pass|1000|staff|:10\nbob|second pass\n";
    let door = Door::new(
        &[("users.txt", users)],
        "auth=multifile,filename=HOME/users.txt",
    );
    assert!(door.answers("ann:first-pass@", &[], &[]));
    door.logged(&["127.0.0.1", "is let in as `ann` by multifile"]);
    assert!(door.answers("bob@", &["second pass"], &[]));
    assert!(!door.answers("bob@", &["first-pass"], &[]));
    door.logged(&[
        "127.0.0.1",
        "`bob`",
        "is refused by multifile: authentication failed",
    ]);
    assert!(!door.answers("carl@", &["first-pass"], &[]));
    door.logged(&[
        "127.0.0.1",
        "`carl`",
        "is refused by multifile: there is no such user",
    ]);
    // What is written into the file counts at once.
    std::fs::write(door.file("users.txt"), "carl|third pass\n").unwrap();
    assert!(door.answers("carl@", &["third pass"], &[]));
    assert!(!door.answers("ann@", &["first-pass"], &[]));
    door.shows("carl@", &["third pass"], &[]);
    door.is_silent_about(&["first-pass", "second pass", "third pass"]);
}

#[test]
fn hosts_before_a_password() {
    let files = [
        ("hosts.allow", "xpra: 127.0.0.0/8 EXCEPT 127.0.0.9\n"),
        ("hosts.deny", "ALL: ALL\n"),
        ("pw.txt", "a long secret"),
    ];
    let door = Door::new(
        &files,
        "auth=hosts(hosts-allow=HOME/hosts.allow,hosts-deny=HOME/hosts.deny),auth=file(filename=HOME/pw.txt)",
    );
    assert!(door.answers("", &["a long secret"], &[]));
    assert!(!door.answers("", &["another"], &[]));
    door.logged(&["is refused by file: authentication failed"]);
    door.shows("", &["a long secret"], &[]);
    std::fs::write(door.file("hosts.allow"), "xpra: [::1]\n").unwrap();
    assert!(!door.answers("", &["a long secret"], &[]));
    door.logged(&["127.0.0.1", "is refused by hosts: not from there"]);
    door.is_silent_about(&["a long secret"]);
}

#[test]
fn one_time_codes() {
    let files = [
        ("otp.txt", OTP_KEY),
        ("key2.txt", "the key data of this test\n"),
    ];
    let door = Door::new(
        &files,
        "auth=otp,filename=HOME/otp.txt,valid-window=1,encryption=AES-CTR,keyfile=HOME/key2.txt",
    );
    let key = format!("{}{}", ENCRYPTED[1], door.file("key2.txt").display());
    let encrypted = [ENCRYPTED[0], &key];
    // A code of an hour ago, and none.
    let old = oathtool("1 hour ago");
    assert!(!door.answers("", &[&old], &encrypted));
    door.logged(&["is refused by otp: authentication failed"]);
    let code = oathtool("now");
    assert!(door.answers("", &[&code], &encrypted));
    door.logged(&["is let in as", "by otp, encrypted with AES-CTR"]);
    // Somebody has looked over the shoulder.
    assert!(!door.answers("", &[&code], &encrypted));
    door.logged(&["is refused by otp: this code has been used"]);
    let next = oathtool("30 seconds");
    door.shows("", &[&next], &encrypted);
    door.is_silent_about(&[OTP_KEY, &code, &next]);
}

#[test]
fn a_code_after_a_password() {
    let files = [
        ("otp.txt", OTP_KEY),
        ("key2.txt", "the key data of this test\n"),
        ("pw.txt", "a long secret"),
    ];
    let door = Door::new(
        &files,
        "auth=file(filename=HOME/pw.txt),auth=otp(filename=HOME/otp.txt,valid-window=1),\
         encryption=AES-CBC,keyfile=HOME/key2.txt",
    );
    let key = format!("{}{}", ENCRYPTED[1], door.file("key2.txt").display());
    let encrypted = ["--encryption=AES-CBC", &key];
    assert!(!door.answers("", &["another", &oathtool("now")], &encrypted));
    assert!(!door.answers("", &["a long secret", "000000"], &encrypted));
    assert!(door.answers("", &["a long secret", &oathtool("now")], &encrypted));
}

#[test]
fn what_the_client_says_of_itself_before_a_password() {
    let door = Door::new(
        &[("pw.txt", "a long secret")],
        "auth=capability(property=username,value=ann),auth=file(filename=HOME/pw.txt)",
    );
    assert!(door.answers("ann@", &["a long secret"], &[]));
    assert!(!door.answers("ann@", &["another"], &[]));
    door.logged(&["is refused by file: authentication failed"]);
    assert!(!door.answers("ann2@", &["a long secret"], &[]));
    door.logged(&["is refused by capability: authentication failed"]);
    door.shows("ann@", &["a long secret"], &[]);
    door.is_silent_about(&["a long secret"]);
}
