//! `auth=pam` with the real libpam: the process that asks it, alone and confined as the launcher
//! starts it, and whole sessions with the stock client. Users of the system are made for a test, by
//! root only.

use bulkhead_tests::asked::{Answered, Asked};
use bulkhead_tests::door::Door;
use bulkhead_tests::eventually;
use bulkhead_tests::pam::{Services, SystemUser, UNIX, hash, pamtester_says_yes, unchanged_users};
use bulkhead_tests::processes;
use bulkhead_tests::session::{Session, Start, free_port};
use ipc::check::{AuthToCheck, Password};
use ipc::spec::{OwnSpec, PamSpec, StartedSpec};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
const PASSWORD: &str = "a user's secret: ü";

/// Starts the process as the launcher does in a session that root has started, and asks it.
fn ask(spec: &PamSpec, username: &str, password: &str) -> Answered {
    let _unchanged = unchanged_users();
    let groups = [std::fs::metadata("/etc/shadow").unwrap().gid()];
    let asked = Asked {
        program: "bulkhead-auth-pam",
        started: StartedSpec {
            own: OwnSpec::Pam(spec.clone()),
            host: Some([127, 0, 0, 9].into()),
        },
        passed: &[],
        id: Some(1_900_000_009),
        groups: &groups,
    };
    asked.ask(&AuthToCheck::Password {
        username: username.to_owned(),
        password: Password(password.as_bytes().to_vec()),
    })
}

/// A session that a user has started, and its unix socket.
fn session_socket(services: &Services) -> (Session, String) {
    let directory = services.path().display();
    let name = format!("@bulkhead-pam-{}", free_port());
    let option = format!("--bind={name},auth=pam(service-dir={directory},service=x)");
    (Session::start(&[&option]), name)
}

fn spec(services: &Services, service: &str) -> PamSpec {
    PamSpec {
        service: service.to_owned(),
        directory: Some(services.path().to_owned()),
        session: false,
        timeout: 10,
    }
}

#[test]
fn a_system_user_is_who_pam_unix_says() {
    if !needs::root("make users of the system") {
        return;
    }
    let services = Services::new(&[("x", UNIX)]);
    let x = spec(&services, "x");
    let user = SystemUser::new(PASSWORD);
    let yes = ask(&x, user.name(), PASSWORD);
    assert!(yes.is_yes(), "{yes:?}");
    assert!(yes.took < Duration::from_secs(1), "{yes:?}");
    let no = |username: &str, password: &str, why: &str| {
        let answered = ask(&x, username, password);
        assert!(!answered.is_yes(), "{username}: {answered:?}");
        assert!(answered.log.contains(why), "{username}: {answered:?}");
        answered
    };
    let wrong = no(
        user.name(),
        "wrong",
        "authentication: Authentication failure",
    );
    let unknown = no("nobody-of-that-name", PASSWORD, "authentication: ");
    // Who is there is not told by how long it takes: both come right after the same second.
    for answered in [&wrong, &unknown] {
        let late = answered.took.saturating_sub(Duration::from_secs(1));
        assert!(
            answered.took >= Duration::from_secs(1) && late < Duration::from_millis(300),
            "{answered:?}"
        );
    }
    println!("wrong {:?}, unknown {:?}", wrong.took, unknown.took);
    let session = PamSpec {
        session: true,
        ..x.clone()
    };
    let changed = |command: &[&str]| {
        let user = SystemUser::new(PASSWORD);
        user.run(command);
        user
    };
    let locked = changed(&["usermod", "--lock"]);
    let expired = changed(&["usermod", "--expiredate", "1"]);
    let aged = changed(&["chage", "--lastday", "0"]);
    let blank = changed(&["passwd", "--delete"]);
    // Each no takes a second: all of them together.
    std::thread::scope(|scope| {
        for name in ["", "a:b", "a\nb", "../x", "root\u{1b}[2J"] {
            let x = &x;
            scope.spawn(move || assert!(!ask(x, name, PASSWORD).is_yes(), "{name:?}"));
        }
        scope.spawn(|| no(user.name(), "", "an empty password"));
        scope.spawn(|| no(user.name(), &format!("{PASSWORD}\0"), "zero byte"));
        scope.spawn(|| {
            assert!(ask(&session, user.name(), PASSWORD).is_yes());
            assert!(!ask(&session, user.name(), "wrong").is_yes());
        });
        scope.spawn(|| no(locked.name(), PASSWORD, "authentication: "));
        let why = "account: User account has expired";
        scope.spawn(|| no(expired.name(), PASSWORD, why));
        let why = "account: Authentication token is no longer valid";
        scope.spawn(|| no(aged.name(), PASSWORD, why));
        // Elsewhere `nullok` lets in who has no password, whatever is typed.
        let why = "authentication: Authentication failure";
        scope.spawn(|| no(blank.name(), "anything", why));
    });
    for (user, command) in [
        (&locked, ["usermod", "--unlock"].as_slice()),
        (&expired, &["usermod", "--expiredate", ""]),
        (&aged, &["chage", "--lastday", "20000"]),
    ] {
        user.run(command);
        assert!(ask(&x, user.name(), PASSWORD).is_yes());
    }
}

/// The system's own service, which is the default, and a stock program's opinion of the same.
#[test]
fn the_systems_own_service_is_asked_as_pamtester_asks_it() {
    if !needs::root("make users of the system") {
        return;
    }
    let login = PamSpec {
        service: "login".into(),
        directory: None,
        session: false,
        timeout: 10,
    };
    let user = SystemUser::new(PASSWORD);
    let same = |password: &str, yes: bool| {
        let answered = ask(&login, user.name(), password);
        assert_eq!(answered.is_yes(), yes, "{answered:?}");
        assert_eq!(pamtester_says_yes("login", user.name(), password), yes);
    };
    same(PASSWORD, true);
    same("wrong", false);
    user.run(&["usermod", "--expiredate", "1"]);
    same(PASSWORD, false);
}

#[test]
fn every_module_of_the_table_can_do_its_work() {
    if !needs::root("make users of the system") {
        return;
    }
    let user = SystemUser::new(PASSWORD);
    let services = Services::new(&[]);
    let users = services.write("users", &format!("{}:{}\n", user.name(), hash("another")));
    let listed = services.write("listed", &format!("{}\n", user.name()));
    let (users, listed) = (users.display(), listed.display());
    let all = format!(
        "auth required pam_faildelay.so delay=3000000\n\
         auth required pam_env.so\n\
         auth optional pam_group.so\n\
         auth optional pam_cap.so\n\
         auth required pam_shells.so\n\
         auth required pam_localuser.so\n\
         auth required pam_nologin.so\n\
         auth required pam_listfile.so item=user sense=allow file={listed} onerr=fail\n\
         auth required pam_succeed_if.so uid >= 1000 user notingroup root\n\
         auth required pam_unix.so\n\
         account required pam_nologin.so\n\
         account required pam_shells.so\n\
         account required pam_localuser.so\n\
         account required pam_listfile.so item=user sense=allow file={listed} onerr=fail\n\
         account required pam_succeed_if.so user ingroup {name}\n\
         account required pam_unix.so\n\
         session required pam_permit.so\n\
         session required pam_unix.so\n",
        name = user.name()
    );
    services.write("all", &all);
    // Its default shell is one of /etc/shells only if the test says so.
    user.run(&["usermod", "--shell", "/bin/sh"]);
    let session = PamSpec {
        session: true,
        ..spec(&services, "all")
    };
    let answered = ask(&session, user.name(), PASSWORD);
    assert!(answered.is_yes(), "{answered:?}");
    services.write("listed", "somebody-else\n");
    let answered = ask(&session, user.name(), PASSWORD);
    assert!(!answered.is_yes(), "{answered:?}");
    let pwdfile =
        format!("auth required pam_pwdfile.so pwdfile={users}\naccount required pam_permit.so\n");
    services.write("pwdfile", &pwdfile);
    for (password, yes) in [("another", true), (PASSWORD, false)] {
        let answered = ask(&spec(&services, "pwdfile"), user.name(), password);
        assert_eq!(answered.is_yes(), yes, "{answered:?}");
    }
    services.write(
        "denied",
        "auth required pam_unix.so\naccount required pam_deny.so\n",
    );
    let answered = ask(&spec(&services, "denied"), user.name(), PASSWORD);
    assert!(
        !answered.is_yes() && answered.log.contains("account: "),
        "{answered:?}"
    );
}

/// One module asks and says no; the next finds no password and would say yes to whatever was said.
#[test]
fn who_has_no_password_has_none_that_is_right() {
    if !needs::root("make users of the system") {
        return;
    }
    let user = SystemUser::new(PASSWORD);
    user.run(&["passwd", "--delete"]);
    let services = Services::new(&[]);
    let right = services.write("right", &format!("{}:{}\n", user.name(), hash("another")));
    let empty = services.write("empty", &format!("{}:\n", user.name()));
    let right = format!("pam_pwdfile.so pwdfile={}", right.display());
    let empty = format!("pam_pwdfile.so pwdfile={}", empty.display());
    let unix = "pam_unix.so nullok try_first_pass".to_owned();
    for (first, second) in [
        (&right, &unix),
        (&right, &empty),
        (&empty, &unix),
        (&unix, &empty),
    ] {
        let text = format!(
            "auth sufficient {first}\nauth required {second}\naccount required pam_permit.so\n"
        );
        services.write("x", &text);
        let answered = ask(&spec(&services, "x"), user.name(), "a guess");
        assert!(!answered.is_yes(), "{text}: {answered:?}");
    }
}

#[test]
fn what_asks_for_more_or_has_changed_is_no() {
    if !needs::root("make users of the system") {
        return;
    }
    let user = SystemUser::new(PASSWORD);
    let services = Services::new(&[]);
    // What was good when the session began, and is not any more.
    for (text, part) in [
        (
            "auth required pam_permit.so\naccount required pam_permit.so\n",
            "asks for a password",
        ),
        (
            "auth sufficient pam_rootok.so\nauth required pam_unix.so\naccount required pam_unix.so\n",
            "pam_rootok.so",
        ),
        ("auth required pam_unix.so\n", "no `account` line"),
    ] {
        services.write("other", UNIX);
        services.write("x", text);
        let answered = ask(&spec(&services, "x"), user.name(), PASSWORD);
        assert_eq!(answered.answer, None, "{answered:?}");
        assert!(answered.log.contains(part), "{answered:?}");
    }
    let answered = ask(&spec(&services, "gone"), user.name(), PASSWORD);
    assert!(
        answered.answer.is_none() && answered.log.contains("gone"),
        "{answered:?}"
    );
}

/// A session with one more TCP socket, on which PAM decides; encrypted, so that the stock client
/// sends a password there.
fn door(start: Start, services: &Services, options: &str) -> Door {
    let directory = services.path().display();
    Door::start_as(
        start,
        &format!("pam(service-dir={directory},{options})"),
        true,
    )
}

fn the_check(session: &Session) -> u32 {
    eventually("a check", LONG, || {
        processes::of_role(session.process().id(), "auth-pam")
            .first()
            .copied()
    })
}

#[test]
fn the_stock_client_is_let_in_by_a_session_of_root_or_not() {
    if !needs::root("make users of the system") {
        return;
    }
    let services = Services::new(&[("x", UNIX)]);
    let user = SystemUser::new(PASSWORD);
    let door = door(Start::Root, &services, "service=x,timeout=3");
    let _unchanged = unchanged_users();
    assert!(door.lets_in(user.name(), PASSWORD));
    door.logged(&format!("is let in as `{}` by pam", user.name()));
    assert!(!door.lets_in(user.name(), "wrong"));
    door.logged("no: authentication: Authentication failure");
    door.logged("is refused by pam");
    assert!(!door.shows(user.name(), "wrong"));
    assert!(door.shows(user.name(), PASSWORD));
    // One that hangs is ended, and that is a no: it has said nothing yet when it is stopped.
    std::thread::scope(|scope| {
        let login = scope.spawn(|| door.lets_in(user.name(), "wrong"));
        let check = Pid::from_raw(the_check(&door.session).cast_signed());
        kill(check, Signal::SIGSTOP).unwrap();
        assert!(!login.join().unwrap());
    });
    door.logged("auth=pam: no answer in time: ended");
    door.is_clean("auth-pam", &[PASSWORD, "wrong"]);
}

/// Without root: users in a file.
#[test]
fn the_stock_client_is_let_in_by_a_session_of_a_user_or_not() {
    let services = Services::new(&[]);
    let users = services.write("users", &format!("ann:{}\n", hash(PASSWORD)));
    let text = format!(
        "auth required pam_pwdfile.so pwdfile={}\naccount required pam_permit.so\n",
        users.display()
    );
    services.write("x", &text);
    let door = door(Start::User, &services, "service=x");
    assert!(door.lets_in("ann", PASSWORD));
    assert!(!door.lets_in("ann", "wrong"));
    assert!(!door.shows("ann", "wrong"));
    assert!(door.shows("ann", PASSWORD));
    door.is_clean("auth-pam", &[PASSWORD, "wrong"]);
    // Our own commands, on a socket whose listener is who they are started by.
    let name = bulkhead_tests::commands::test_user().name;
    services.write("users", &format!("ann:{0}\n{name}:{0}\n", hash(PASSWORD)));
    let socket = session_socket(&services);
    for (password, is_right) in [(PASSWORD, true), ("wrong", false)] {
        let file = socket.0.home().join("pam-password.txt");
        std::fs::write(&file, password).unwrap();
        bulkhead_tests::commands::chmod(&file, 0o644);
        let file = format!("--password-file={}", file.display());
        let output = socket.0.bulkhead(&["info", &socket.1, &file]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            said.contains("server.mode=seamless"),
            is_right,
            "{output:?}"
        );
    }
    // Yes is not the answer of the command that comes after it, which the launcher runs too.
    let chain = format!(
        "pam(service-dir={},service=x),auth=exec(command=/bin/false)",
        services.path().display()
    );
    let chained = Door::new(&chain, true);
    for _ in 0..3 {
        assert!(!chained.lets_in("ann", PASSWORD));
    }
    // What cannot be put in force is refused when a session is started, and says why.
    services.write("unix", UNIX);
    services.write("other", &text);
    services.write("rootok", &format!("auth sufficient pam_rootok.so\n{UNIX}"));
    for (service, part) in [
        ("unix", "only a session that root starts"),
        ("missing", "No such file"),
        ("rootok", "`auth pam_rootok.so` cannot be asked"),
    ] {
        let bind = format!(
            "--bind-tcp=127.0.0.1:{},auth=sys(service-dir={},service={service}),encryption=AES,keyfile=key.txt",
            free_port(),
            services.path().display()
        );
        let output = door
            .session
            .command()
            .args(["seamless", "--daemon=no", &bind])
            .current_dir(door.session.home())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(part), "{said}");
    }
}
