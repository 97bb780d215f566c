//! The one-shot requests of the stock Xpra 6.5.5, over TCP: with the password they are answered,
//! without it only `version` is.

use bulkhead_tests::commands::test_user;
use bulkhead_tests::door::Door;
use bulkhead_tests::eventually;
use bulkhead_tests::processes;
use bulkhead_tests::screen::ClientScreen;
use bulkhead_tests::session::{Session, Start};
use bulkhead_tests::stock::{self, StockClient, Via};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
const KEY: &str = "0123456789abcdef0123456789abcdef";
const OTHER_KEY: &str = "fedcba9876543210fedcba9876543210";
const XTERM: &str = "--start=xterm -T wanted -geometry 60x20+40+30";

fn ask(session: &Session, words: &[&str]) -> Output {
    stock::run(session, Via::Tcp, words)
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn picture(session: &Session, via: Via) -> (Output, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let png = directory.path().join("screen.png");
    let output = stock::run(session, via, &["screenshot", png.to_str().unwrap()]);
    (output, std::fs::read(&png).unwrap_or_default())
}

#[test]
fn questions_are_answered_with_the_password() {
    let session = Session::start(&[XTERM]);
    let id = text(&ask(&session, &["id"]));
    for line in [
        format!("display=:{}", session.display),
        "session-type=seamless".to_owned(),
    ] {
        assert!(id.contains(&line), "{id}");
    }
    // Over the unix socket it is the same answer.
    let local = text(&stock::run(&session, Via::UnixSocket, &["id"]));
    let uuid = |text: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix("uuid=").map(str::to_owned))
    };
    assert!(
        uuid(&id).is_some() && uuid(&id) == uuid(&local),
        "{id}{local}"
    );

    let version = text(&ask(&session, &["version"]));
    assert!(version.trim().starts_with("6.5"), "{version}");
    let info = text(&ask(&session, &["info"]));
    assert!(info.contains("server.mode=seamless"), "{info}");
    let (output, png) = picture(&session, Via::Tcp);
    assert!(
        output.status.success() && png.starts_with(b"\x89PNG"),
        "{output:?}"
    );
    let list = text(&stock::run_without_display(&session, &["list"]));
    let live = format!("LIVE session at :{}", session.display);
    assert!(list.contains(&live), "{list}");
}

#[test]
fn without_the_password_only_the_version_is_told() {
    let session = Session::start(&[XTERM]);
    let stranger = |words: &[&str]| stock::run(&session, Via::Unauthenticated, words);
    for words in [["id"], ["info"], ["detach"], ["stop"], ["exit"]] {
        let output = stranger(&words);
        assert!(!output.status.success(), "{words:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            !said.contains("uuid") && !said.contains("server."),
            "{said}"
        );
    }
    let (output, png) = picture(&session, Via::Unauthenticated);
    assert!(!output.status.success() && png.is_empty(), "{output:?}");
    assert!(text(&stranger(&["version"])).trim().starts_with("6.5"));
    // Nobody has ended anything.
    assert!(text(&ask(&session, &["info"])).contains("server.mode=seamless"));
}

/// A password file, and the directory that it is in, of whoever starts the session.
struct PasswordFile {
    _directory: tempfile::TempDir,
    path: PathBuf,
    owner: User,
}

impl PasswordFile {
    fn new(start: Start) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let owner = match start {
            Start::User => test_user(),
            Start::Root => User::from_uid(0.into()).unwrap().unwrap(),
        };
        let file = Self {
            path: directory.path().join("password.txt"),
            _directory: directory,
            owner,
        };
        file.give(file._directory.path(), 0o755);
        file.write("password.txt", "first", 0o600);
        file
    }

    fn give(&self, path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let (uid, gid) = (self.owner.uid.as_raw(), self.owner.gid.as_raw());
        chown(path, Some(uid), Some(gid)).unwrap();
    }

    /// Another file beside it, or itself.
    fn write(&self, name: &str, password: &str, mode: u32) -> PathBuf {
        let path = self.path.with_file_name(name);
        std::fs::write(&path, password).unwrap();
        self.give(&path, mode);
        path
    }

    fn door(&self, start: Start) -> Door {
        let modules = format!("file(filename={})", self.path.display());
        Door::start_as(start, &modules, false)
    }
}

/// Kills the process of this role, and waits for the next.
fn is_started_again(door: &Door, role: &str) {
    let pids = || processes::of_role(door.session.process().id(), role);
    let [old] = pids()[..] else {
        panic!("one {role}")
    };
    kill(Pid::from_raw(old.try_into().unwrap()), Signal::SIGKILL).unwrap();
    eventually("the next one", LONG, || {
        pids().first().is_some_and(|pid| *pid != old).then_some(())
    });
}

/// What is written into the password file counts at once, and so does another file in its place.
#[test]
fn a_password_file_is_written_and_replaced() {
    for start in [Start::User, Start::Root] {
        if start == Start::Root && !needs::root("start a session as root") {
            return;
        }
        let file = PasswordFile::new(start);
        let door = file.door(start);
        assert!(door.lets_in("", "first"));
        file.write("password.txt", "second", 0o600);
        assert!(door.lets_in("", "second"));
        let next = file.write("next.txt", "third", 0o600);
        std::fs::rename(&next, &file.path).unwrap();
        assert!(door.lets_in("", "third"));
        let replaced = format!("password file {} is another one now", file.path.display());
        door.recorded(&[&replaced]);
        assert!(!door.lets_in("", "second"));
        // As an editor does that keeps the old file.
        std::fs::rename(&file.path, &next).unwrap();
        assert!(!door.lets_in("", "third"));
        door.recorded(&[
            "no such file or directory: until that is mended nobody is let in with it",
        ]);
        // An `auth` that is started again has other sockets to look after, also when what it gets in its place
        // is of no use.
        file.write("next.txt", "", 0o600);
        is_started_again(&door, "auth");
        text(&ask(&door.session, &["info"]));
        file.write("password.txt", "fourth", 0o666);
        assert!(!door.lets_in("", "fourth"));
        door.recorded(&["others may write it (mode 666): chmod 600"]);
        file.write("password.txt", "fifth", 0o600);
        assert!(door.lets_in("", "fifth"));
        door.is_silent_about(&["second", "third", "fourth", "fifth"]);
    }
}

/// The key of an encrypted socket is a file like others; where it is the password's, both change at once.
#[test]
fn a_key_file_is_replaced() {
    let file = PasswordFile::new(Start::User);
    let key = file.write("key.txt", KEY, 0o600);
    let (path, shown) = (file.path.display(), key.display());
    let own = format!("file(filename={path}),encryption=AES-CTR,keyfile={shown}");
    let door = Door::under(&[], Start::User, &own, &[]);
    // The client has keys of its own.
    let asks = |door: &Door, key: &str, password: &str| {
        let own = door.session.home().join("own-key.txt");
        std::fs::write(&own, key).unwrap();
        let own = format!("--encryption-keyfile={}", own.display());
        let visitor = door.visitor("").with("--encryption=AES-CTR").with(&own);
        visitor.knows(password).is_answered()
    };
    assert!(asks(&door, KEY, "first"));
    let next = file.write("next.txt", OTHER_KEY, 0o600);
    std::fs::rename(&next, &key).unwrap();
    assert!(asks(&door, OTHER_KEY, "first"));
    // A `keys` that is started again while somebody writes it serves who comes afterwards.
    file.write("key.txt", "", 0o600);
    is_started_again(&door, "keys");
    assert!(!asks(&door, OTHER_KEY, "first"));
    file.write("key.txt", KEY, 0o600);
    assert!(asks(&door, KEY, "first"));
    let both = format!("file(filename={path}),encryption=AES-CTR");
    let door = Door::under(&[], Start::User, &both, &[]);
    assert!(asks(&door, "first", "first"));
    let next = file.write("next.txt", "second", 0o600);
    std::fs::rename(&next, &file.path).unwrap();
    assert!(asks(&door, "second", "second"));
}

/// In a session that root has started, what has the name of a user's file is opened as that user.
#[test]
fn a_user_s_file_does_not_become_root_s() {
    if !needs::root("start a session as root") {
        return;
    }
    let file = PasswordFile::new(Start::User);
    let door = file.door(Start::Root);
    assert!(door.lets_in("", "first"));
    std::fs::remove_file(&file.path).unwrap();
    let root_s = door.session.password_file();
    symlink(&root_s, &file.path).unwrap();
    let password = std::fs::read_to_string(&root_s).unwrap();
    assert!(!door.lets_in("", &password));
    door.recorded(&["permission denied (with the rights of the user"]);
    std::fs::remove_file(&file.path).unwrap();
    file.write("password.txt", "second", 0o600);
    assert!(door.lets_in("", "second"));
}

#[test]
fn detach_ends_the_clients_and_not_the_session() {
    let session = Session::start(&[XTERM]);
    let screen = ClientScreen::start(800, 600);
    let mut client = StockClient::attach(&session, &screen, Via::Tcp);
    eventually("the window at the client", LONG, || {
        screen.screen.window_named("wanted")
    });
    text(&ask(&session, &["detach"]));
    client.process_mut().wait(LONG);
    assert!(session.screen().window_named("wanted").is_some());
}

#[test]
fn exit_leaves_the_applications_and_stop_does_not() {
    let mut session = Session::start(&[XTERM]);
    eventually("the window", LONG, || {
        session.screen().window_named("wanted")
    });
    text(&ask(&session, &["exit"]));
    assert!(session.process_mut().wait(LONG).success());
    session.start_again();
    assert!(session.screen().window_named("wanted").is_some());
    text(&ask(&session, &["stop"]));
    assert!(session.process_mut().wait(LONG).success());
    assert!(!session.session_dir().exists());
}
