//! Every line of `docs/usage.md` and `docs/authentication.md` whose outcome is `works: …` does that, in a real session.

use bulkhead_tests::commands::{OTP_KEY, chmod, oathtool, test_user};
use bulkhead_tests::screen::Screen;
use bulkhead_tests::session::{KEY, PASSWORD, Session, free_port};
use bulkhead_tests::verdicts::{self, Verdict};
use bulkhead_tests::{eventually, otpscreen, processes, tls};
use nix::sys::signal::Signal;
use nix::unistd::chown;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;
use test_client::wire::cipher::Mode;
use test_client::{Address, Client, Error, Identity, Options, SecurityKey};

const LONG: Duration = Duration::from_secs(20);

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A line of the tables and what it is said to do.
struct Row {
    variables: Vec<(String, String)>,
    words: Vec<String>,
    line: String,
    warns: bool,
    outcome: String,
}

fn rows() -> Vec<Row> {
    let texts = [
        include_str!("../docs/usage.md"),
        include_str!("../docs/authentication.md"),
    ];
    let lines = texts.into_iter().flat_map(str::lines);
    let rows = lines.filter_map(|row| {
        let (line, outcome) = row.strip_prefix("| `")?.split_once("` | ")?;
        let outcome = outcome.strip_suffix(" |")?;
        let (how, outcome) = outcome.split_once(": ")?;
        let warns = match how {
            "works" => false,
            "works, with a warning" => true,
            _ => return None,
        };
        let words = line
            .split(' ')
            .map(|word| word.trim_matches('\'').to_owned());
        let mut words: Vec<String> = words.collect();
        let program = words.iter().position(|word| word == "xpra")?;
        let variables = words.drain(..program).map(|word| {
            let (name, value) = word.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        Some(Row {
            variables: variables.collect(),
            words: words.drain(..).skip(1).collect(),
            line: line.to_owned(),
            warns,
            outcome: outcome.to_owned(),
        })
    });
    rows.collect()
}

/// The owner of the sessions, and the one that the one-shot commands are for; with a security key.
struct Owner(Session, SecurityKey);

impl Owner {
    fn new() -> Self {
        let owner = Self(Session::start(&[]), SecurityKey::new());
        // The lines call it by two names.
        let home = owner.0.home();
        std::fs::hard_link(home.join("password.txt"), home.join("mypasswordfile.txt")).unwrap();
        // What docs/authentication.md shows.
        for (name, text) in [
            (
                "users.txt",
                "ann|sesame\nbob|another one|1001|staff|:10|LANG=C|speed=100\n",
            ),
            ("hosts.allow", "xpra: 127.0.0.0/8 EXCEPT 127.0.0.9\n"),
            ("hosts.deny", "xpra: ALL\n"),
            ("otp.txt", OTP_KEY),
            (
                "certificates.txt",
                "bob|san:bob@example.org\nann|subject:CN=ann\n",
            ),
        ] {
            owner.secret(name, text);
        }
        for (database, more) in [("plain.sdb", &["--plain"][..]), ("users.sdb", &[])] {
            let database = format!("--database={}", home.join(database).display());
            for (user, password) in [("ann", "sesame"), ("bob", "another one")] {
                let input = home.join("typed");
                std::fs::write(&input, password).unwrap();
                chmod(&input, 0o644);
                let mut command: Command = owner.0.command();
                command.args(["passwd", "add", user, &database]).args(more);
                let output = command.stdin(File::open(&input).unwrap()).output();
                assert!(output.unwrap().status.success());
            }
        }
        // Where a session looks for those of its user.
        std::fs::write(home.join("typed"), owner.1.hex()).unwrap();
        let typed = home.join("typed").display().to_string();
        chmod(&home.join("typed"), 0o644);
        for words in [&["u2f", &typed][..], &["fido2", &typed, "--label=ann-blue"]] {
            let output = owner.0.bulkhead(words);
            assert!(output.status.success(), "{output:?}");
        }
        owner.secret("key.hex", &owner.1.hex());
        owner
    }

    /// The words with what they name put where this test may have it.
    fn words(&self, row: &Row, port: u16, display: u32) -> Vec<String> {
        let home = self.0.home().display().to_string();
        let own = |word: &String| {
            let word = word
                .replace(":10000", &format!(":{port}"))
                .replace("/tmp", &home)
                .replace("/path/to", &home)
                .replace("mysecret", "sesame");
            match word.as_str() {
                ":100" => format!(":{display}"),
                _ => word,
            }
        };
        row.words.iter().map(own).collect()
    }

    fn run(&self, words: &[String], variables: &[(String, String)]) -> Output {
        let mut command: Command = self.0.command();
        command.args(words);
        for (name, value) in variables {
            command.env(name, value.replace("mysecret", "sesame"));
        }
        command.output().unwrap()
    }

    fn secret(&self, name: &str, text: &str) -> String {
        let path = self.0.home().join(name);
        std::fs::write(&path, text).unwrap();
        chmod(&path, 0o600);
        chown(&path, Some(test_user().uid), None).unwrap();
        format!("--password-file={}", path.display())
    }
}

/// A session that a row has started.
struct Started<'a> {
    owner: &'a Owner,
    row: &'a Row,
    display: u32,
    /// What a client is given.
    target: String,
}

impl Started<'_> {
    /// The records of logins in the session's log.
    fn verdicts(&self) -> Vec<Verdict> {
        let log = std::fs::read_to_string(self.directory().join("server.log")).unwrap_or_default();
        verdicts::of(log.lines())
    }

    /// Who is let in, and who is refused because of what they answer, leaves one record more; who
    /// goes away by themselves leaves none.
    fn is_recorded(&self, before: usize, let_in: bool, refused: bool) {
        let wanted = usize::from(let_in || refused);
        eventually("the record of a login", LONG, || {
            (self.verdicts().len() >= before + wanted).then_some(())
        });
        let more = self.verdicts().split_off(before);
        let as_it_was = more.iter().all(|verdict| verdict.let_in == let_in);
        assert!(
            more.len() == wanted && as_it_was,
            "{}: {more:?}",
            self.row.line
        );
    }

    /// Attaches.
    fn attaches(&self, address: &Address, options: &Options) -> bool {
        let before = self.verdicts().len();
        let error = Client::connect(address, options, LONG).err();
        let refused = match &error {
            Some(Error::Disconnected(why)) => why.iter().any(|why| why == "authentication failed"),
            _ => false,
        };
        self.is_recorded(before, error.is_none(), refused);
        error.is_none()
    }

    fn ask(&self, command: &str, password: Option<&str>) -> Output {
        let mut args: Vec<String> = command.split(' ').map(str::to_owned).collect();
        args.push(self.target.clone());
        args.extend(password.map(|text| self.owner.secret("typed", text)));
        self.owner.run(&args, &[])
    }

    fn lets_in(&self, password: Option<&str>) -> bool {
        let before = self.verdicts().len();
        let output = self.ask("info", password);
        let let_in = output.status.success();
        self.is_recorded(
            before,
            let_in,
            said(&output).contains("authentication failed"),
        );
        assert!(
            let_in || said(&output).lines().count() == 1,
            "{}",
            said(&output)
        );
        let_in
    }

    /// With key data, if any.
    fn lets_in_with(&self, key: Option<&[u8]>, password: &str) -> bool {
        let mode = match self.row.line.contains("AES-GCM") {
            true => Mode::Gcm,
            false => Mode::Cbc,
        };
        let mut options = Options::gtk().password(password);
        if let Some(key) = key {
            options = options.encrypted(mode, key);
        }
        let address = Address::parse(&self.target).unwrap();
        self.attaches(&address, &options)
    }

    fn directory(&self) -> PathBuf {
        self.owner
            .0
            .runtime_dir()
            .join("xpra")
            .join(self.display.to_string())
    }

    /// The launcher, by the display's lock.
    fn launcher(&self) -> Option<u32> {
        let lock = std::fs::read_to_string(format!("/tmp/.X{}-lock", self.display)).ok()?;
        lock.trim().parse().ok()
    }

    fn child(&self, name: &str) -> u32 {
        let launcher = self.launcher().unwrap();
        eventually(name, LONG, || {
            let mut all = processes::parents().into_iter();
            let comm = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm"));
            all.find(|(pid, parent)| {
                *parent == launcher && comm(*pid).is_ok_and(|comm| comm.trim_end() == name)
            })
            .map(|(pid, _)| pid)
        })
    }

    /// Whether the session does what its row says.
    fn does(&self) -> bool {
        match self.row.outcome.as_str() {
            "who knows the password gets in" => {
                // Two of the three are wrong, which makes the third wait: it comes first.
                let right = if self.row.line.contains("file") {
                    PASSWORD
                } else {
                    "sesame"
                };
                self.lets_in(Some(right)) && !self.lets_in(Some("wrong")) && !self.lets_in(None)
            }
            "who has the key and knows the password gets in" => {
                let keys: [(&str, &[u8]); 4] = [
                    ("key.txt", KEY.as_bytes()),
                    ("0x1234", b"\x12\x34"),
                    ("base64:aGVsbG8=", b"hello"),
                    // Nothing is said: it is the password.
                    ("", b"sesame"),
                ];
                let key = keys.iter().find(|(said, _)| self.row.line.contains(said));
                let right = key.map(|(_, key)| *key);
                self.lets_in_with(right, "sesame")
                    && !self.lets_in_with(right, "wrong")
                    && !self.lets_in_with(Some(b"another"), "sesame")
                    && !self.lets_in_with(None, "sesame")
            }
            "each user gets in with their own password" => {
                let address = Address::parse(&self.target).unwrap();
                let lets_in = |user: &str, password: &str| {
                    let options = Options::gtk().username(user).password(password);
                    self.attaches(&address, &options)
                };
                lets_in("ann", "sesame")
                    && lets_in("bob", "another one")
                    && !lets_in("ann", "another one")
                    && !lets_in("carl", "sesame")
            }
            "each user gets in with the key and their own password" => {
                let address = Address::parse(&self.target).unwrap();
                let lets_in = |user: &str, password: &str, key: &str| {
                    let options = Options::gtk().username(user).password(password);
                    let options = options.encrypted(Mode::Gcm, key.as_bytes()).xor();
                    self.attaches(&address, &options)
                };
                lets_in("ann", "sesame", KEY)
                    && lets_in("bob", "another one", KEY)
                    && !lets_in("ann", "another one", KEY)
                    && !lets_in("ann", "sesame", "another key")
            }
            "who says it and knows the password gets in" => {
                let address = Address::parse(&self.target).unwrap();
                let lets_in = |client_type: &str, password: &str| {
                    let mut options = Options::gtk().password(password);
                    options.hello.identity.client_type = client_type.into();
                    self.attaches(&address, &options)
                };
                lets_in("Python/GTK3", PASSWORD)
                    && !lets_in("HTML5", PASSWORD)
                    && !lets_in("Python/GTK3", "wrong")
            }
            "who holds the key gets in" => {
                let address = Address::parse(&self.target).unwrap();
                let lets_in = |key: SecurityKey| {
                    let options = Options::gtk().security_key(key);
                    self.attaches(&address, &options)
                };
                lets_in(self.owner.1.clone()) && !lets_in(SecurityKey::new())
            }
            "who holds the key and knows the password gets in" => {
                let address = Address::parse(&self.target).unwrap();
                let lets_in = |key: SecurityKey, password: &str| {
                    let options = Options::gtk().security_key(key).password(password);
                    self.attaches(&address, &options)
                };
                lets_in(self.owner.1.clone(), PASSWORD)
                    && !lets_in(SecurityKey::new(), PASSWORD)
                    && !lets_in(self.owner.1.clone(), "wrong")
            }
            "who has the certificate gets in" => {
                let (_, port) = self.target.rsplit_once(':').unwrap();
                let address = || tls::address(port.parse().unwrap());
                let lets_in = |address| self.attaches(&address, &Options::gtk());
                let own = &tls::client().identity;
                // The certificate alone is not enough: it is shown to many.
                let another = Identity {
                    key: tls::key(),
                    ..own.clone()
                };
                lets_in(address().showing(own.clone()))
                    && !lets_in(address().showing(another))
                    && !lets_in(address())
            }
            "who reads the code gets in" => {
                let address = Address::parse(&self.target).unwrap();
                let xauthority = self.directory().join("x11/xauthority");
                let count = if self.row.line.contains("count=8") {
                    8
                } else {
                    6
                };
                let display = self.display;
                let lets_in = |types: fn(String) -> String| {
                    let xauthority = xauthority.clone();
                    let options = Options::gtk().reads(move |_| {
                        let screen = Screen::connect(display, Some(&xauthority)).unwrap();
                        types(otpscreen::one_on(&screen).code(count)).into_bytes()
                    });
                    self.attaches(&address, &options)
                };
                lets_in(|code| code) && !lets_in(|code| code + "x")
            }
            "who has the key, the password and a code gets in" => {
                let mut code = oathtool("now");
                let address = Address::parse(&self.target).unwrap();
                let lets_in = |password: &str, code: &str| {
                    let options = Options::gtk().password(password).next_password(code);
                    let options = options.encrypted(Mode::Gcm, KEY.as_bytes());
                    self.attaches(&address, &options)
                };
                // Its time may end on the way.
                let mut came = lets_in(PASSWORD, &code);
                if !came {
                    code = oathtool("now");
                    came = lets_in(PASSWORD, &code);
                }
                came && !lets_in("wrong", &code)
                    && !lets_in(PASSWORD, "abcdef")
                    && !lets_in(PASSWORD, &code)
            }
            "everybody gets in" => self.lets_in(None),
            "nobody gets in" => !self.lets_in(Some("sesame")) && !self.lets_in(None),
            "everything is logged" => {
                let log = std::fs::read_to_string(self.directory().join("server.log"));
                log.unwrap().contains("\"level\":\"debug\"")
            }
            "the session ends with its xterm" => {
                processes::end(self.child("xterm"), Signal::SIGTERM);
                eventually("the end", LONG, || {
                    (!self.directory().exists()).then_some(())
                });
                true
            }
            "the files are where the line says" => {
                let pid = std::fs::read_to_string(self.owner.0.home().join("a.pid")).unwrap();
                let log = std::fs::read_to_string(self.directory().join("a.log")).unwrap();
                let stamp = format!("\"role\":\"supervisor\",\"pid\":{}", pid.trim());
                log.contains(&stamp)
            }
            "the X server and the commands have A=B" => {
                let environment = std::fs::read(format!("/proc/{}/environ", self.child("Xvfb")));
                environment
                    .unwrap()
                    .split(|byte| *byte == 0)
                    .any(|one| one == b"A=B")
            }
            "stop, exit and screenshot are refused there" => {
                let refused = |command| {
                    let output = self.ask(command, Some("sesame"));
                    !output.status.success() && self.directory().join("socket").exists()
                };
                self.lets_in(Some("sesame"))
                    && ["stop", "exit", "screenshot x.png"]
                        .into_iter()
                        .all(refused)
            }
            other => panic!("nobody tests `{other}`"),
        }
    }
}

impl Drop for Started<'_> {
    fn drop(&mut self) {
        // By the launcher: some of these let nobody ask.
        if let Some(launcher) = self.launcher() {
            processes::end(launcher, Signal::SIGTERM);
            eventually("the end", LONG, || {
                (!self.directory().exists()).then_some(())
            });
        }
    }
}

#[test]
fn every_line_that_starts_a_session_does_what_it_says() {
    let owner = Owner::new();
    let rows = rows();
    let starts = |row: &&Row| ["start", "seamless"].contains(&row.words[0].as_str());
    let mut number = 0;
    for row in rows.iter().filter(starts) {
        number += 1;
        let port = free_port();
        let display = 51_000 + std::process::id() % 400 * 30 + number;
        let mut words = owner.words(row, port, display);
        words.push(format!(":{display}"));
        let mut variables = vec![("XPRA_PASSWORD".to_owned(), "sesame".to_owned())];
        variables.extend(row.variables.clone());
        let output = owner.run(&words, &variables);
        assert!(output.status.success(), "{}: {}", row.line, said(&output));
        assert_eq!(
            said(&output).contains("warning: "),
            row.warns,
            "{}",
            row.line
        );
        let session = Started {
            owner: &owner,
            row,
            display,
            target: match ["--bind-tcp", "--bind-ssl"].map(|bind| row.line.contains(bind)) {
                [true, _] => format!("tcp://127.0.0.1:{port}"),
                [_, true] => format!("ssl://127.0.0.1:{port}"),
                _ => format!(":{display}"),
            },
        };
        assert!(session.does(), "{}: not so: {}", row.line, row.outcome);
    }
    assert!(number >= 18, "only {number} lines");
}

#[test]
fn every_question_is_answered() {
    let mut owner = Owner::new();
    let rows = rows();
    let asks = |row: &&Row| !["start", "seamless"].contains(&row.words[0].as_str());
    let mut number = 0;
    for row in rows.iter().filter(asks) {
        number += 1;
        let (port, display) = (owner.0.port, owner.0.display);
        let words = owner.words(row, port, display);
        let password = vec![("XPRA_PASSWORD".to_owned(), PASSWORD.to_owned())];
        let output = owner.run(&words, &password);
        assert!(output.status.success(), "{}: {}", row.line, said(&output));
        let text = said(&output);
        let done = match row.outcome.as_str() {
            "it names the session" => text.contains(&format!("LIVE session at :{display}")),
            "it is answered" => !text.is_empty() && !text.contains("warning"),
            "the picture is saved" => {
                let picture = std::fs::read(owner.0.home().join("screen.png")).unwrap();
                picture.starts_with(b"\x89PNG")
            }
            "clients are disconnected" => text.is_empty(),
            "the session ends" | "the server ends" => {
                let ended = owner.0.process_mut().wait(LONG).success();
                let left = owner.0.session_dir().exists();
                if left {
                    owner.0.start_again();
                } else {
                    owner = Owner::new();
                }
                ended && left == (row.outcome == "the server ends")
            }
            other => panic!("nobody tests `{other}`"),
        };
        assert!(done, "{}: not so: {}: {text}", row.line, row.outcome);
    }
    assert!(number >= 11, "only {number} lines");
}
