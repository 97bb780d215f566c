//! `bulkhead auth-test`: each module against the real thing, from a terminal, without a session of
//! anybody's.

use bulkhead_tests::commands::{OTP_KEY, chmod, oathtool, test_user};
use bulkhead_tests::databases::Files;
use bulkhead_tests::session::{Session, Start};
use bulkhead_tests::slapd::{ALICE, Slapd};
use nix::unistd::{chown, geteuid};
use std::process::Output;

/// What is left in `/tmp` of its sessions.
fn left() -> Vec<String> {
    let names = std::fs::read_dir("/tmp").unwrap().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.starts_with("bulkhead-auth-test-"))
        .collect()
}

struct Person {
    /// For its places and its environment only.
    session: Session,
    start: Start,
}

impl Person {
    fn tries(&self, words: &[&str], password: &str) -> Output {
        let mut command = self.session.command();
        command.arg("auth-test").args(words);
        if self.start == Start::Root {
            command.arg(format!("--uid={}", test_user().name));
        }
        command.env("XPRA_PASSWORD", password).output().unwrap()
    }

    /// What it says, in one line: is it a yes?
    fn is_let_in(&self, words: &[&str], password: &str, part: &str) -> bool {
        let output = self.tries(words, password);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = said
            .strip_suffix('\n')
            .unwrap_or_else(|| panic!("{words:?}: {output:?}"));
        let yes = output.status.success();
        assert!(yes || output.status.code() == Some(1), "{output:?}");
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(yes, line.starts_with("accepted: "), "{line}");
        assert_eq!(!yes, line.starts_with("refused: "), "{line}");
        assert!(line.contains(part), "{words:?}: {line}");
        yes
    }

    /// It is not even tried.
    fn is_an_error(&self, words: &[&str], part: &str) {
        let output = self.tries(words, "x");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.stdout.is_empty() && !output.status.success(),
            "{output:?}"
        );
        assert!(
            said.contains(part) && said.lines().count() == 1,
            "{words:?}: {said}"
        );
    }
}

fn modules_can_be_tried(start: Start) {
    let person = Person {
        session: Session::start_as(start, &[]),
        start,
    };
    let file = |name: &str, text: &str| {
        let path = person.session.home().join(name);
        std::fs::write(&path, text).unwrap();
        chmod(&path, 0o600);
        if geteuid().is_root() {
            chown(&path, Some(test_user().uid), None).unwrap();
        }
        path.display().to_string()
    };
    let users = format!(
        "multifile(filename={})",
        file("users.txt", "ann|sesame|1000|staff|:10,:11\n")
    );
    let ann = [users.as_str(), "--username=ann"];
    let sessions = "as `ann` by multifile; sessions: user 1000, group staff, 2 displays, 0 variables, 0 options";
    assert!(person.is_let_in(&ann, "sesame", sessions));
    assert!(!person.is_let_in(&ann, "wrong", "by multifile: authentication failed"));
    let carl = [users.as_str(), "--username=carl"];
    let unknown = "`carl`, is refused by multifile: there is no such user";
    assert!(!person.is_let_in(&carl, "sesame", unknown));
    let otp = format!("otp:filename={}", file("otp.txt", OTP_KEY));
    // The clock may step on meanwhile.
    let by_code = || {
        let output = person.tries(&[&otp], &oathtool("now"));
        output.status.success()
    };
    assert!(by_code() || by_code());
    let ends = "(auth=exec: its command has ended with status 1)";
    assert!(!person.is_let_in(&["exec(command=/bin/false)"], "x", ends));
    assert!(person.is_let_in(&["exec(command=/bin/true)"], "x", "by exec"));
    let slapd = Slapd::start();
    let ldap = format!(
        "ldap(host=127.0.0.1,port={},username_format=(uid=%username,ou=people,dc=test))",
        slapd.port
    );
    let alice = [ldap.as_str(), "--username=alice"];
    assert!(person.is_let_in(&alice, ALICE, "as `alice` by ldap"));
    assert!(!person.is_let_in(&alice, "wrong", "(no: the server says no)"));
    let files = Files::new();
    files.passwd("hashed", &["add", "ann"], "sesame");
    files.passwd("plain", &["add", "ann", "--plain"], "sesame");
    for name in ["hashed", "plain"] {
        let database = format!("sqlite(filename={})", files.path(name).display());
        let ann = [database.as_str(), "--username=ann"];
        assert!(person.is_let_in(&ann, "sesame", "as `ann` by sqlite"));
        assert!(!person.is_let_in(&ann, "wrong", "by sqlite"));
        let carl = [database.as_str(), "--username=carl"];
        assert!(!person.is_let_in(&carl, "sesame", "there is no such user"));
    }
    person.is_an_error(
        &["sqlite(filename=/nowhere)"],
        "database /nowhere: there is none",
    );
    let half = format!("multifile(filename={})", file("half.txt", "ann|ses"));
    person.is_an_error(&[&half], "line 1: the last line has no line end");
    person.is_an_error(
        &["file(filename=/nowhere)"],
        "bulkhead: password file /nowhere: no such file",
    );
    person.is_an_error(&["hosts"], "tcpdmatch");
    person.is_an_error(&["otpscreen"], "nobody sees that of this try");
    person.is_an_error(&["http-header"], "this command opens none");
    person.is_an_error(&["nonsense"], "there is no such module");
    // The session that there is has not noticed.
    let log = person.session.process().lines();
    assert!(
        !log.iter().any(|line| line.contains("multifile")),
        "{log:?}"
    );
}

#[test]
fn modules_can_be_tried_without_a_session() {
    modules_can_be_tried(Start::User);
    if needs::root("try modules for somebody else") {
        modules_can_be_tried(Start::Root);
    }
    assert_eq!(left(), [""; 0]);
}
