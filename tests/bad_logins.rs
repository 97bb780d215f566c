//! User names and passwords that are wrong in every way, at every module that looks at one, in a real session
//! with real servers: each is no, and who is right is let in afterwards. And right ones that look wrong.

use bulkhead_tests::commands::{chmod, oathtool_of};
use bulkhead_tests::databases::Files;
use bulkhead_tests::kdc::Kdc;
use bulkhead_tests::pam::PasswordFile;
use bulkhead_tests::processes;
use bulkhead_tests::security_keys::KeyFiles;
use bulkhead_tests::session::{KEY, Session, Start, encrypted_socket};
use bulkhead_tests::slapd::Slapd;
use bulkhead_tests::source::connect_from;
use bulkhead_tests::sql_servers::SqlServer;
use bulkhead_tests::verdicts;
use std::collections::BTreeMap;
use std::time::Duration;
use test_client::wire::cipher::Mode;
use test_client::wire::hello::{ClientHello, Request};
use test_client::{Client, Options};

const LONG: Duration = Duration::from_secs(60);

/// The user of every module, and the password.
const ALICE: (&str, &str) = ("alice", "alice's secret: ü");

/// Passwords that are good, but look strange, each with its user.
const GOOD: [(&str, &str); 5] = [
    ("short", "x"),
    ("foreign", "пароль 日本語 ñ 🔑"),
    ("spaces", "  two  spaces  "),
    ("signs", r#"it's "a\ $(b) `c`; % -- ?"#),
    ("null", "a\0b"),
];
/// Without the last one, which most cannot hold.
const TEXTS: usize = 4;

/// What is done to the right name or password.
fn wrong(right: &str) -> Vec<(&'static str, Vec<u8>)> {
    let right = right.as_bytes();
    let with = |before: &[u8], after: &[u8]| [before, right, after].concat();
    let middle = |between: &[u8]| [&right[..1], between, &right[1..]].concat();
    let all: Vec<u8> = (0..=255).collect();
    vec![
        ("empty", Vec::new()),
        ("one byte", right[..1].to_vec()),
        ("as long as may be", b"x".repeat(256)),
        ("long", b"x".repeat(5000)),
        ("longer than everything", b"x".repeat(100_000)),
        ("every byte", all.clone()),
        ("every second byte", all.into_iter().step_by(2).collect()),
        ("no UTF-8", with(b"", b"\xff")),
        ("another accent", with(b"", "\u{301}".as_bytes())),
        ("a null byte in it", middle(b"\0")),
        ("a line end in it", middle(b"\n")),
        ("a line end behind it", with(b"", b"\n")),
        ("a space before it", with(b" ", b"")),
        ("a space behind it", with(b"", b" ")),
        ("a sign without width", with(b"", "\u{200b}".as_bytes())),
        ("written from the right", with("\u{202e}".as_bytes(), b"")),
        ("for printf", b"%s%n%1$x".to_vec()),
        (
            "for a shell and SQL",
            b"' OR '1'='1'; -- $(id) `id` *)(uid=*".to_vec(),
        ),
    ]
}

/// What is wrong, as it is said to a socket.
struct Case {
    what: String,
    /// Who comes.
    options: Options,
}

/// What a socket asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Proof,
    Password,
    /// Once each.
    Code,
}

/// A socket, which is encrypted, and whose answers one module looks at.
struct Socket {
    bind: String,
    port: u16,
    asks: Asks,
    /// The name counts.
    named: bool,
    /// The password, or the key of the codes.
    right: String,
    /// The only one of [`wrong`] that is tried.
    only: Option<usize>,
    /// Something else than a proof is tried, too.
    proofs: bool,
    /// Users and passwords that look strange.
    good: Vec<(&'static str, &'static str)>,
}

/// Is let in, and from where.
type Outcome = (String, Result<(), String>);

impl Socket {
    fn new(module: &str, asks: Asks, named: bool) -> Self {
        let (port, bind) = encrypted_socket(module);
        Self {
            bind,
            port,
            asks,
            named,
            right: ALICE.1.to_owned(),
            only: None,
            proofs: false,
            good: Vec::new(),
        }
    }

    /// What it is sent in the place of a proof is looked at by a process of its own kind.
    fn with_proofs(self) -> Self {
        Self {
            proofs: true,
            ..self
        }
    }

    /// It knows these too.
    fn knows(mut self, good: &[(&'static str, &'static str)]) -> Self {
        self.good.extend(good);
        self
    }

    /// Another one, which knows this password only.
    fn of(module: &str, good: (&'static str, &'static str)) -> Self {
        let right = good.1.to_owned();
        let socket = Self::new(module, Asks::Proof, false);
        // That it refuses what is wrong, the others show.
        Self {
            right,
            only: Some(0),
            ..socket
        }
    }

    /// What is right now.
    fn right(&self, when: &str) -> String {
        match self.asks {
            Asks::Code => oathtool_of(&self.right, when),
            Asks::Proof | Asks::Password => self.right.clone(),
        }
    }

    fn options(&self, user: &str, password: &[u8]) -> Options {
        let mut options = Options::gtk();
        // It asks something, and shows nothing.
        let info = Some(Request::Info);
        options.hello = ClientHello::command_line(options.hello.identity, info);
        options = options.username(user).encrypted(Mode::Gcm, KEY.as_bytes());
        options.password = Some(password.to_vec());
        options.xor = self.asks != Asks::Proof;
        options
    }

    fn cases(&self) -> Vec<Case> {
        let (user, _) = ALICE;
        let right = self.right("now");
        let mut cases = Vec::new();
        let case = |what: String, options| Case { what, options };
        for (what, password) in wrong(&right) {
            cases.push(case(
                format!("password: {what}"),
                self.options(user, &password),
            ));
        }
        let answers = wrong(&right).into_iter().filter(|_| self.proofs);
        for (what, answer) in answers {
            let mut options = self.options(user, b"any");
            options.raw.response = Some(answer);
            cases.push(case(format!("proof: {what}"), options));
        }
        for (what, name) in wrong(user).into_iter().filter(|_| self.named) {
            let mut options = self.options(user, right.as_bytes());
            // Bytes are taken for latin1, as everywhere.
            match String::from_utf8(name) {
                Ok(name) => options = options.username(&name),
                Err(name) => options.raw.username = Some(name.into_bytes()),
            }
            cases.push(case(format!("name: {what}"), options));
        }
        match self.only {
            None => cases,
            Some(at) => vec![cases.swap_remove(at)],
        }
    }

    /// A client, from an address of its own.
    fn comes(&self, from: [u8; 2], options: &Options) -> Outcome {
        let stream = connect_from([9, from[0], from[1]], self.port).unwrap();
        let address = stream.local_addr().unwrap().to_string();
        let outcome = Client::on(stream, options).handshake(LONG);
        (address, outcome.map_err(|error| error.to_string()))
    }

    /// Who is right, two who are wrong, and who is right again, from one address: who was let in there is no stranger,
    /// and a third failure would be waited for. By the addresses of who is wrong: who that was, and what they are told.
    fn tries_all(&self, number: u8) -> BTreeMap<String, String> {
        let is_let_in = |from: [u8; 2], user: &str, password: &str| {
            let (_, outcome) = self.comes(from, &self.options(user, password.as_bytes()));
            assert_eq!(outcome, Ok(()), "{}: {from:?}: {user}", self.bind);
        };
        let mut refused = BTreeMap::new();
        for (place, cases) in (1..).zip(self.cases().chunks(2)) {
            let from = [number, place];
            is_let_in(from, ALICE.0, &self.right("now"));
            for Case { what, options } in cases {
                let (address, outcome) = self.comes(from, options);
                let said = outcome.expect_err(&format!("{}: {what}", self.bind));
                refused.insert(address, format!("{}: {what}: {said}", self.bind));
            }
            is_let_in(from, ALICE.0, &self.right("30 seconds"));
        }
        for (place, (user, password)) in (201..).zip(&self.good) {
            is_let_in([number, place], user, password);
        }
        refused
    }
}

/// With everything that the modules ask.
struct Servers {
    files: KeyFiles,
    databases: Files,
    postgresql: SqlServer,
    mariadb: SqlServer,
    slapd: Slapd,
    kdc: Kdc,
    users: PasswordFile,
}

impl Servers {
    fn start() -> Self {
        let texts: Vec<_> = [ALICE].into_iter().chain(GOOD[..TEXTS].to_vec()).collect();
        let people: Vec<_> = GOOD
            .map(|(user, password)| (user.to_owned(), password.as_bytes()))
            .into();
        let databases = Files::new();
        let kdc = Kdc::start();
        for (user, password) in &texts {
            databases.passwd("hashed", &["add", user], password);
            databases.passwd("plain", &["add", user, "--plain"], password);
            let quoted = password.replace('"', "\"\"");
            if *user != ALICE.0 {
                kdc.change(&format!("addprinc -pw \"{quoted}\" {user}"));
            }
        }
        Self {
            files: KeyFiles::new(),
            databases,
            postgresql: SqlServer::postgresql(&texts),
            mariadb: SqlServer::mariadb(&texts),
            slapd: Slapd::with_people(&people),
            kdc,
            users: PasswordFile::with_users(&texts),
        }
    }

    /// A file that only the session's user can read.
    fn secret(&self, name: &str, text: &str) -> String {
        let path = self.files.write(name, text);
        chmod(&path, 0o600);
        path.display().to_string()
    }

    fn sockets(&self) -> Vec<Socket> {
        let mut sockets = Vec::new();
        let file = |user: &str, password: &str| {
            format!(
                "file(filename={})",
                self.secret(&format!("{user}.txt"), password)
            )
        };
        sockets.push(Socket::new(&file(ALICE.0, ALICE.1), Asks::Proof, false).with_proofs());
        sockets.extend(GOOD.map(|good| Socket::of(&file(good.0, good.1), good)));
        sockets.push(Socket::new("env(name=alice)", Asks::Proof, false));
        sockets.extend(
            GOOD[..TEXTS]
                .iter()
                .map(|good| Socket::of(&format!("env(name={})", good.0), *good)),
        );
        let value = |password: &str| format!("password(value={password})");
        sockets.push(Socket::new(&value(ALICE.1), Asks::Proof, false));
        sockets.extend(
            GOOD[..TEXTS]
                .iter()
                .map(|good| Socket::of(&value(good.1), *good)),
        );
        // A space at the end of a line would be a mistake.
        let line = |(user, password): &(&str, &str)| format!("{user}|{password}|\n");
        let users: String = [ALICE].iter().chain(&GOOD).map(line).collect();
        let users = format!("multifile(filename={})", self.secret("users", &users));
        sockets.push(Socket::new(&users, Asks::Proof, true).knows(&GOOD));
        // The shell cannot hold a null byte, either.
        let program = self.files.write(
            "may-enter",
            "#!/bin/sh\nIFS= read -r password || exit 1\n[ \"$password\" = \"$(cat \"${0%/*}/$1.txt\")\" ]\n",
        );
        chmod(&program, 0o755);
        let exec = format!(
            "exec(command={} ${{username}},require-challenge=yes)",
            program.display()
        );
        sockets.push(Socket::new(&exec, Asks::Password, true).knows(&GOOD[..TEXTS]));
        let hashed = format!(
            "sqlite(filename={})",
            self.databases.path("hashed").display()
        );
        sockets.push(Socket::new(&hashed, Asks::Password, true).knows(&GOOD[..TEXTS]));
        let plain = format!(
            "sqlite(filename={})",
            self.databases.path("plain").display()
        );
        for module in [plain, self.postgresql.module("")] {
            let socket = Socket::new(&module, Asks::Proof, true).with_proofs();
            sockets.push(socket.knows(&GOOD[..TEXTS]));
        }
        let mariadb = self.mariadb.module("");
        sockets.push(Socket::new(&mariadb, Asks::Proof, true).knows(&GOOD[..TEXTS]));
        let ldap = format!(
            "ldap(host=127.0.0.1,port={},username_format=(uid=%username,ou=people,dc=test))",
            self.slapd.port
        );
        sockets.push(Socket::new(&ldap, Asks::Password, true).knows(&GOOD));
        let kerberos = self.kdc.module("kerberos-password", Start::User);
        sockets.push(Socket::new(&kerberos, Asks::Password, true).knows(&GOOD[..TEXTS]));
        let pam = self.users.module();
        sockets.push(Socket::new(&pam, Asks::Password, true).knows(&GOOD[..TEXTS]));
        // Codes are good once, and wrong ones are counted by key: each has its own.
        for case in 0..wrong("123456").len() {
            let letter = char::from(b'A' + u8::try_from(case).unwrap());
            let key = format!("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PX{letter}");
            let file = self.secret(&format!("{letter}.otp"), &key);
            let module = format!("otp(filename={file},valid-window=2)");
            let socket = Socket::new(&module, Asks::Code, false);
            sockets.push(Socket {
                right: key,
                only: Some(case),
                ..socket
            });
        }
        sockets
    }
}

#[test]
fn what_is_wrong_is_refused_and_harms_nobody() {
    let servers = Servers::start();
    let sockets = servers.sockets();
    let binds = sockets.iter().map(|socket| socket.bind.as_str());
    let options: Vec<_> = ["--debug=all", "--sharing=yes"]
        .into_iter()
        .chain(binds)
        .collect();
    let variables = [ALICE].into_iter().chain(GOOD[..TEXTS].to_vec());
    let variables: Vec<_> = variables
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let wrapper: Vec<_> = ["/usr/bin/env"]
        .into_iter()
        .chain(variables.iter().map(String::as_str))
        .collect();
    let session = Session::start_under(&wrapper, Start::User, &options);
    let alive = || {
        let workers = processes::workers(session.process().id());
        let lasting = workers
            .into_iter()
            .filter(|one| !["network", "encoder"].contains(&one.role.as_str()));
        lasting
            .filter(|one| !one.role.starts_with("auth-"))
            .collect::<Vec<_>>()
    };
    let before = alive();
    let refused: BTreeMap<_, _> = std::thread::scope(|scope| {
        let begin = |(number, socket)| scope.spawn(move || Socket::tries_all(socket, number));
        let begun: Vec<_> = (1..).zip(&sockets).map(begin).collect();
        begun
            .into_iter()
            .flat_map(|all| all.join().unwrap())
            .collect()
    });
    assert_eq!(alive(), before);
    let lines = session.process().lines();
    for line in &lines {
        let bad = ["\"level\":\"error\"", "by its sandbox", "panicked"];
        let is_bad = bad.iter().any(|bad| line.contains(bad));
        // A check says so of what it is asked.
        assert!(!is_bad || line.contains("\"message\":\"no: "), "{line}");
    }
    // Each has one record: of `auth`'s no, or, if it is larger than anything that is looked at, of `network`'s.
    let verdicts = verdicts::of(lines.iter().map(String::as_str));
    let mut too_large = 0;
    for (address, what) in &refused {
        let from = format!("{address},");
        let own: Vec<_> = verdicts
            .iter()
            .filter(|one| one.text.starts_with(&from))
            .collect();
        let came = format!("connection from {address} on ");
        let came = lines.iter().find(|line| line.contains(&came)).unwrap();
        let came: serde_json::Value = serde_json::from_str(came).unwrap();
        let number = format!("\"connection\":{},", came["connection"]);
        let ended = "ending the connection reason=\\\"protocol error\\\"";
        let ended = lines
            .iter()
            .filter(|line| line.contains(&number) && line.contains(ended))
            .count();
        assert_eq!(own.len() + ended, 1, "{what}: {own:?}");
        assert!(own.iter().all(|one| !one.let_in), "{what}: {own:?}");
        match ended {
            0 => assert!(what.ends_with("authentication failed"), "{what}: {own:?}"),
            _ => too_large += 1,
        }
    }
    println!("{} refused, {too_large} of them unread", refused.len());
    assert!(
        too_large * 5 < refused.len(),
        "{too_large} of {}",
        refused.len()
    );
}
