//! `bulkhead auth-test`: each module against the real thing, from a terminal, without a session of
//! anybody's.

use bulkhead_cli::auth;
use bulkhead_tests::commands::{OTP_KEY, chmod, oathtool, test_user};
use bulkhead_tests::databases::Files;
use bulkhead_tests::kdc::{self, Kdc};
use bulkhead_tests::pam::{PasswordFile, Services, SystemUser, UNIX};
use bulkhead_tests::session::{Session, Start};
use bulkhead_tests::slapd::{ALICE, Slapd};
use bulkhead_tests::sql_servers::SqlServer;
use nix::unistd::{chown, geteuid};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

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
    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.session.command();
        command.arg("auth-test").args(words);
        if self.start == Start::Root {
            command.arg(format!("--uid={}", test_user().name));
        }
        command
    }

    fn tries(&self, words: &[&str], password: &str) -> Output {
        let mut command = self.command(words);
        // What `env` is told to read.
        command.env("DOOR", "sesame");
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

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.session.home().join(name);
        std::fs::write(&path, text).unwrap();
        chmod(&path, 0o600);
        if geteuid().is_root() {
            chown(&path, Some(test_user().uid), None).unwrap();
        }
        path.display().to_string()
    }

    /// Everything that `rows` says of one module.
    fn tries_all(&self, name: &str, servers: &Servers) {
        for row in self.rows(name, servers) {
            match row {
                Row::Tried(module, user, tries) => {
                    let user = format!("--username={user}");
                    let words = [module.as_str(), &user];
                    for (password, is_right, part) in tries {
                        let yes = self.is_let_in(&words, &password, part);
                        assert_eq!(yes, is_right, "{module}: {password}");
                    }
                }
                Row::NotTried(module, part) => self.is_an_error(&[&module], part),
            }
        }
    }

    /// What there is to try of a module: a new one needs its row.
    fn rows(&self, name: &str, servers: &Servers) -> Vec<Row> {
        let file = |name: &str, text: &str| self.file(name, text);
        let by = |module: &str, yes, no| {
            let tries = vec![
                ("sesame".to_owned(), true, yes),
                ("wrong".to_owned(), false, no),
            ];
            Row::Tried(module.to_owned(), "ann".to_owned(), tries)
        };
        let one = |module: &str, password: &str, is_right, part| {
            let tries = vec![(password.to_owned(), is_right, part)];
            Row::Tried(module.to_owned(), "ann".to_owned(), tries)
        };
        let not = |module: &str, part| vec![Row::NotTried(module.to_owned(), part)];
        let nobody = "there is no such user";
        match name {
            "file" => {
                let module = format!("file(filename={})", file("one.txt", "sesame"));
                vec![
                    by(&module, "by file", "by file: authentication failed"),
                    Row::NotTried(
                        "file(filename=/nowhere)".into(),
                        "bulkhead: password file /nowhere: no such file",
                    ),
                ]
            }
            "multifile" => {
                let users = file("users.txt", "ann|sesame|1000|staff|:10,:11\n");
                let module = format!("multifile(filename={users})");
                let yes = "as `ann` by multifile; sessions: user 1000, group staff, 2 displays, 0 variables, 0 options";
                let half = file("half.txt", "ann|ses");
                let carl = "`carl`, is refused by multifile: there is no such user";
                vec![
                    by(&module, yes, "by multifile: authentication failed"),
                    Row::Tried(module, "carl".into(), vec![("sesame".into(), false, carl)]),
                    Row::NotTried(
                        format!("multifile(filename={half})"),
                        "line 1: the last line has no line end",
                    ),
                ]
            }
            "sqlite" => {
                let mut rows = Vec::new();
                for name in ["hashed", "plain"] {
                    let path = servers.databases.path(name).display().to_string();
                    let module = format!("sqlite(filename={path})");
                    rows.push(by(&module, "as `ann` by sqlite", "by sqlite"));
                    let tries = vec![("sesame".into(), false, nobody)];
                    rows.push(Row::Tried(module, "carl".into(), tries));
                }
                let part = "database /nowhere: there is none";
                rows.push(Row::NotTried("sqlite(filename=/nowhere)".into(), part));
                rows
            }
            "mysql" => vec![by(
                &servers.mariadb.module(""),
                "as `ann` by mysql",
                "by mysql",
            )],
            "sql" => {
                let path = servers.databases.path("hashed").display().to_string();
                vec![
                    by(&servers.postgresql.module(""), "as `ann` by sql", "by sql"),
                    by(
                        &format!("sql(uri=sqlite:///{path})"),
                        "as `ann` by sql",
                        "by sql",
                    ),
                ]
            }
            "env" => vec![
                by("env(name=DOOR)", "by env", "by env: authentication failed"),
                Row::NotTried("env(name=NOTHING)".into(), "NOTHING"),
            ],
            "password" => vec![by(
                "password(value=sesame)",
                "by password",
                "by password: authentication failed",
            )],
            "otp" => {
                let module = format!("otp(filename={},valid-window=1)", file("otp.txt", OTP_KEY));
                vec![
                    one(&module, &oathtool("now"), true, "by otp"),
                    one(&module, "abcdef", false, "by otp: authentication failed"),
                ]
            }
            // Who tries is who connects.
            "peercred" => {
                let uid = geteuid().as_raw();
                let own = self.session.start == Start::Root || !geteuid().is_root();
                let own = if own { uid } else { test_user().uid.as_raw() };
                vec![
                    one(&format!("peercred(uid={own})"), "x", true, "by peercred"),
                    one(
                        "peercred(uid=4242,allow-owner=no)",
                        "x",
                        false,
                        "by peercred",
                    ),
                ]
            }
            "hosts" => not("hosts", "tcpdmatch"),
            "exec" => {
                let command = file(
                    "may-enter",
                    "#!/bin/sh\nread -r password\n[ \"$password\" = sesame ]\n",
                );
                chmod(&PathBuf::from(&command), 0o755);
                let asks = format!("exec(command={command},require-challenge=yes)");
                let ends = "(auth=exec: its command has ended with status 1)";
                vec![
                    one("exec(command=/bin/true)", "x", true, "by exec"),
                    one("exec(command=/bin/false)", "x", false, ends),
                    by(&asks, "as `ann` by exec", ends),
                ]
            }
            "ldap" | "ldap3" => {
                let module = format!(
                    "{name}(host=127.0.0.1,port={},username_format=(uid=%username,ou=people,dc=test))",
                    servers.slapd.port
                );
                let tries = vec![
                    (ALICE.to_owned(), true, "as `alice` by ldap"),
                    ("wrong".to_owned(), false, "(no: the server says no)"),
                ];
                vec![Row::Tried(module, "alice".into(), tries)]
            }
            "pam" | "sys" => {
                let mut rows = vec![by(
                    &servers.users.module().replacen("pam", name, 1),
                    "as `ann` by ",
                    "no: authentication: ",
                )];
                // Only a session that root starts may ask about the system's users.
                let module = format!(
                    "{name}(service-dir={},service=x)",
                    servers.services.path().display()
                );
                match (&servers.system, self.start) {
                    (Some(user), Start::Root) => {
                        let tries = vec![
                            ("sesame".to_owned(), true, "by "),
                            ("wrong".to_owned(), false, "no: authentication: "),
                        ];
                        rows.push(Row::Tried(module, user.name().to_owned(), tries));
                    }
                    _ => rows.push(Row::NotTried(module, "only a session that root starts")),
                }
                rows
            }
            "u2f" | "fido2" => not(name, "a security key answers it, which only a client has"),
            "capability" => {
                let module = "capability(property=username,value=ann)";
                let another = "capability(property=username,value=bob)";
                vec![
                    one(module, "x", true, "by capability"),
                    one(another, "x", false, "by capability: authentication failed"),
                ]
            }
            "http-header" => not(name, "this command opens none"),
            "kerberos-password" => {
                let tries = vec![
                    (
                        kdc::ALICE.to_owned(),
                        true,
                        "as `alice` by kerberos-password",
                    ),
                    ("wrong".to_owned(), false, "no: the KDC says no: "),
                ];
                let module = servers.kdc.module(name, self.start);
                vec![Row::Tried(module, "alice".into(), tries)]
            }
            "kerberos-token" | "gss" => not(
                &servers.kdc.module(name, self.start),
                "asks for a ticket, which this command has not",
            ),
            "certificate" => not("certificate(subject=CN=ann)", "its client needs TLS"),
            "keycloak" => not(
                "keycloak(server_url=https://127.0.0.1/,client_id=us,redirect_uri=https://xpra.example.org/)",
                "a person answers it, at the provider's pages",
            ),
            "otpscreen" => not(name, "nobody sees that of this try"),
            "none" => vec![one(name, "x", true, "by none")],
            "allow" => vec![one(name, "x", true, "by allow")],
            "reject" => vec![one(name, "x", false, "by reject")],
            "fail" => vec![one(name, "x", false, "by fail")],
            other => panic!("nobody tries auth={other}"),
        }
    }
}

/// A module, and what comes of it.
enum Row {
    /// It, the user, and for each password whether that lets in, and what is said of it.
    Tried(String, String, Vec<(String, bool, &'static str)>),
    /// It, and why it cannot be tried.
    NotTried(String, &'static str),
}

/// Whom the modules ask.
struct Servers {
    databases: Files,
    mariadb: SqlServer,
    postgresql: SqlServer,
    slapd: Slapd,
    kdc: Kdc,
    /// One for everybody, and those of the system.
    users: PasswordFile,
    services: Services,
    system: Option<SystemUser>,
}

impl Servers {
    fn start() -> Self {
        let users = [("ann", "sesame")];
        let databases = Files::new();
        databases.passwd("hashed", &["add", "ann"], "sesame");
        databases.passwd("plain", &["add", "ann", "--plain"], "sesame");
        Self {
            databases,
            mariadb: SqlServer::mariadb(&users),
            postgresql: SqlServer::postgresql(&users),
            slapd: Slapd::start(),
            kdc: Kdc::start(),
            users: PasswordFile::new("ann", "sesame"),
            services: Services::new(&[("x", UNIX)]),
            system: geteuid().is_root().then(|| SystemUser::new("sesame")),
        }
    }
}

fn every_module_can_be_tried_or_says_why_not(start: Start, servers: &Servers) {
    let person = Person {
        session: Session::start_as(start, &[]),
        start,
    };
    // Most of them wait most of the time.
    std::thread::scope(|scope| {
        for kinds in auth::kinds().chunks(8) {
            let person = &person;
            scope.spawn(move || {
                for kind in kinds {
                    person.tries_all(kind.name, servers);
                }
            });
        }
    });
    // Those of Xpra's that there are not.
    for (name, part) in [
        ("win32", "auth=win32 needs MS Windows; use sys or pam"),
        ("scram", "this module is not built yet"),
        ("oauth", "this module is not built yet"),
        ("option", "this module is not built yet"),
        ("nonsense", "there is no such module"),
    ] {
        person.is_an_error(&[name], part);
    }
    // The session that there is has not noticed.
    let log = person.session.process().lines();
    assert!(
        !log.iter().any(|line| line.contains("multifile")),
        "{log:?}"
    );
}

#[test]
fn modules_can_be_tried_without_a_session() {
    let servers = Servers::start();
    every_module_can_be_tried_or_says_why_not(Start::User, &servers);
    if needs::root("try modules for somebody else") {
        every_module_can_be_tried_or_says_why_not(Start::Root, &servers);
    }
    a_person_is_asked_at_the_terminal();
    assert_eq!(left(), [""; 0]);
}

/// The password is typed where nobody sees it.
fn a_person_is_asked_at_the_terminal() {
    let person = Person {
        session: Session::start(&[]),
        start: Start::User,
    };
    let module = format!("file(filename={})", person.file("one.txt", "sesame"));
    for (typed, says) in [("sesame", "accepted: "), ("wrong", "refused: ")] {
        let command = person.command(&[&module]);
        let words = [command.get_program()]
            .into_iter()
            .chain(command.get_args());
        let words: Vec<_> = words
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let words = match geteuid().is_root() {
            true => format!("runuser -u {} -- {}", test_user().name, words.join(" ")),
            false => words.join(" "),
        };
        // It has a terminal for who asks.
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &words, "/dev/null"]);
        terminal.env("XDG_RUNTIME_DIR", person.session.runtime_dir());
        terminal
            .env("HOME", person.session.home())
            .env_remove("XPRA_PASSWORD");
        let mut terminal = terminal
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut shown = String::new();
        let mut output = terminal.stdout.take().unwrap();
        while !shown.ends_with("Password for auth=file: ") {
            let mut byte = [0];
            assert_eq!(output.read(&mut byte).unwrap(), 1, "{shown}");
            shown.push(byte[0].into());
        }
        let mut input = terminal.stdin.take().unwrap();
        input.write_all(format!("{typed}\n").as_bytes()).unwrap();
        output.read_to_string(&mut shown).unwrap();
        assert!(shown.contains(says) && !shown.contains(typed), "{shown}");
        assert_eq!(terminal.wait().unwrap().success(), typed == "sesame");
    }
}
