//! The authentication modules with the stock Xpra 6.5.5 client: the right secret opens, the wrong
//! one does not, and the log says who came, from where, and why not.

use bulkhead_tests::commands::{OTP_KEY, chmod, oathtool, test_user};
use bulkhead_tests::door::Door;

use bulkhead_tests::session::Start;
use nix::unistd::{Uid, chown};
use std::path::PathBuf;

/// Files that the session's user alone can read.
struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        chmod(directory.path(), 0o755);
        let all = Self(directory);
        for (name, text) in files {
            let path = all.path(name);
            std::fs::write(&path, text).unwrap();
            chmod(&path, 0o600);
            if Uid::effective().is_root() {
                chown(&path, Some(test_user().uid), Some(test_user().gid)).unwrap();
            }
        }
        all
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A session with these modules; `HOME` in them is where the files are.
    fn door(&self, modules: &str) -> Door {
        let here = self.0.path().display().to_string();
        Door::new(&modules.replace("HOME", &here), false)
    }
}

#[test]
fn multifile() {
    let users = "ann|first-pass|1000|staff|:10\nbob|second pass\n";
    let files = Files::new(&[("users.txt", users)]);
    let door = files.door("multifile,filename=HOME/users.txt");
    // The password in the address.
    assert!(door.visitor("ann:first-pass").is_answered());
    door.recorded(&["127.0.0.1", "is let in as `ann` by multifile"]);
    assert!(door.lets_in("bob", "second pass"));
    assert!(!door.shows("bob", "first-pass"));
    door.recorded(&[
        "127.0.0.1",
        "`bob`",
        "is refused by multifile: authentication failed",
    ]);
    assert!(!door.lets_in("carl", "first-pass"));
    door.recorded(&[
        "127.0.0.1",
        "`carl`",
        "is refused by multifile: there is no such user",
    ]);
    // What is written into the file counts at once.
    std::fs::write(files.path("users.txt"), "carl|third pass\n").unwrap();
    assert!(door.lets_in("carl", "third pass"));
    assert!(!door.visitor("ann:first-pass").is_answered());
    assert!(door.shows("carl", "third pass"));
    door.is_silent_about(&["first-pass", "second pass", "third pass"]);
}

#[test]
fn hosts_before_a_password() {
    let files = Files::new(&[
        ("hosts.allow", "xpra: 127.0.0.0/8 EXCEPT 127.0.0.9\n"),
        ("hosts.deny", "ALL: ALL\n"),
        ("pw.txt", "a long secret"),
    ]);
    let door = files.door(
        "hosts(hosts-allow=HOME/hosts.allow,hosts-deny=HOME/hosts.deny),auth=file(filename=HOME/pw.txt)",
    );
    assert!(door.lets_in("", "a long secret"));
    assert!(!door.lets_in("", "another"));
    door.recorded(&["is refused by file: authentication failed"]);
    assert!(door.shows("", "a long secret"));
    std::fs::write(files.path("hosts.allow"), "xpra: [::1]\n").unwrap();
    assert!(!door.lets_in("", "a long secret"));
    assert!(!door.shows("", "a long secret"));
    door.recorded(&["127.0.0.1", "is refused by hosts: not from there"]);
    door.is_silent_about(&["a long secret"]);
}

#[test]
fn one_time_codes() {
    let files = Files::new(&[("otp.txt", OTP_KEY)]);
    let here = files.path("otp.txt").display().to_string();
    let door = Door::new(&format!("otp(filename={here},valid-window=1)"), true);
    // A code of an hour ago.
    let old = oathtool("1 hour ago");
    assert!(!door.lets_in("", &old));
    door.recorded(&["is refused by otp: authentication failed"]);
    let code = oathtool("now");
    assert!(door.lets_in("", &code));
    door.recorded(&["is let in as", "by otp, encrypted with AES-CTR"]);
    // Somebody has looked over the shoulder.
    assert!(!door.shows("", &code));
    door.recorded(&["is refused by otp: this code has been used"]);
    let next = oathtool("30 seconds");
    assert!(door.shows("", &next));
    door.is_silent_about(&[OTP_KEY, &code, &next]);
}

#[test]
fn a_code_after_a_password() {
    let files = Files::new(&[("otp.txt", OTP_KEY), ("pw.txt", "a long secret")]);
    let here = files.path("").display().to_string();
    let door = Door::new(
        &format!("file(filename={here}pw.txt),auth=otp(filename={here}otp.txt,valid-window=1)"),
        true,
    );
    let both = |password: &str, code: &str| door.visitor("").knows(password).knows(code);
    assert!(!both("another", &oathtool("now")).is_answered());
    assert!(!both("a long secret", "000000").is_shown());
    assert!(both("a long secret", &oathtool("now")).is_answered());
}

#[test]
fn what_the_client_says_of_itself_before_a_password() {
    let files = Files::new(&[("pw.txt", "a long secret")]);
    let door =
        files.door("capability(property=username,value=ann),auth=file(filename=HOME/pw.txt)");
    assert!(door.lets_in("ann", "a long secret"));
    assert!(!door.lets_in("ann", "another"));
    door.recorded(&["is refused by file: authentication failed"]);
    assert!(!door.shows("ann2", "a long secret"));
    door.recorded(&["is refused by capability: authentication failed"]);
    assert!(door.shows("ann", "a long secret"));
    door.is_silent_about(&["a long secret"]);
}

/// `env`, `password`, `file`: one password for everybody.
#[test]
fn one_password_for_everybody() {
    const SECRET: &str = "w\u{f6}rd \"with\" #everything";
    let files = Files::new(&[("pw.txt", SECRET)]);
    let file = format!("file(filename={})", files.path("pw.txt").display());
    let variable = format!("XPRA_PASSWORD={SECRET}");
    let value = "password(value=in-the-command)".to_owned();
    for (name, wrapper, module, secret) in [
        ("file", vec![], file, SECRET),
        (
            "env",
            vec!["/usr/bin/env", &variable],
            "env".to_owned(),
            SECRET,
        ),
        ("password", vec![], value, "in-the-command"),
    ] {
        let door = Door::under(&wrapper, Start::User, &module, &[]);
        assert!(door.lets_in("", secret), "{name}");
        door.recorded(&["is let in as", &format!("by {name}")]);
        assert!(!door.lets_in("", "another"), "{name}");
        assert!(!door.shows("", "another"), "{name}");
        assert!(!door.visitor("").is_answered(), "{name}");
        door.recorded(&[&format!("is refused by {name}: authentication failed")]);
        assert!(door.shows("", secret), "{name}");
        door.is_silent_about(&[secret, "another"]);
    }
}

/// Those that ask for nothing, or for something that does not count.
#[test]
fn everybody_or_nobody() {
    for (module, everybody) in [
        ("none", true),
        ("allow", true),
        ("reject", false),
        ("fail", false),
    ] {
        let door = Door::under(&[], Start::User, module, &["--insecure"]);
        assert_eq!(door.lets_in("ann", "a secret"), everybody, "{module}");
        assert_eq!(door.shows("ann", "a secret"), everybody, "{module}");
        match everybody {
            true => door.recorded(&["is let in as", &format!("by {module}")]),
            false => door.recorded(&[&format!("is refused by {module}")]),
        }
        door.is_silent_about(&["a secret"]);
    }
}

/// The kernel says who the client is.
#[test]
fn who_the_kernel_says_it_is() {
    if !needs::root("connect as another user") {
        return;
    }
    let directory = Files::new(&[]);
    chown(&directory.path(""), Some(test_user().uid), None).unwrap();
    let socket = |name: &str| directory.path(name).display().to_string();
    let bind = |name: &str, uids: &str| format!("--bind={},auth=peercred{uids}", socket(name));
    // The stock client is started by root.
    let door = Door::under(
        &[],
        Start::User,
        "reject",
        &[
            "--socket-permissions=666",
            &bind("owner", ""),
            &bind("root", "(uid=0)"),
        ],
    );
    let at = |name: &str| door.visitor_at(format!("socket://{}", socket(name)));
    assert!(at("root").is_answered());
    assert!(at("root").is_shown());
    door.recorded(&["local user 0 ", "is let in as", "by peercred"]);
    assert!(!at("owner").is_answered());
    assert!(!at("owner").is_shown());
    door.recorded(&["local user 0 ", "is refused by peercred"]);
}

/// There are no WebSockets, so no request says anything of anybody: also who comes from an address that is
/// believed, and knows the password, is told what everybody is told.
#[test]
fn nobody_has_a_header_yet() {
    const WARNING: &str =
        "auth=http-header lets nobody in: it looks at the request that opens a WebSocket";
    let files = Files::new(&[("pw.txt", "a long secret")]);
    let file = format!("file(filename={})", files.path("pw.txt").display());
    for (modules, why) in [
        ("http-header".to_owned(), "authentication failed"),
        (format!("http-header,auth={file}"), "authentication failed"),
        (format!("{file},auth=http-header"), "authentication failed"),
        (
            format!("http-header(proxies=192.0.2.1),auth={file}"),
            "not from there",
        ),
    ] {
        let door = Door::under(&[], Start::User, &modules, &["--insecure"]);
        assert!(!door.shows("", "a long secret"), "{modules}");
        door.recorded(&["127.0.0.1", &format!("is refused by http-header: {why}")]);
        assert!(!door.lets_in("", "a long secret"), "{modules}");
        let lines = door.session.process().lines();
        let warned = lines.iter().filter(|line| line.contains(WARNING)).count();
        assert_eq!(warned, 1, "{modules}: {lines:?}");
        door.is_silent_about(&["a long secret"]);
    }
}
