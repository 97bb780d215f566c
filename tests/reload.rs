//! `bulkhead reload`: another certificate, another key, and nobody who is there notices.

use bulkhead_tests::screen::ClientScreen;
use bulkhead_tests::secrets::holds;
use bulkhead_tests::session::{KEY, PASSWORD, Session, Start, encrypted_socket, free_port};
use bulkhead_tests::stock::{StockClient, Via};
use bulkhead_tests::tls::{Files, made_until};
use bulkhead_tests::{commands, eventually, processes, twins};
use ipc::Channel;
use ipc::reload::{CommandToSupervisor, SupervisorToCommand};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::Pid;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use test_client::wire::cipher::Mode;
use test_client::{Address, Client};

const LONG: Duration = Duration::from_secs(30);
const XTERM: &str = "--start=xterm -T wanted -geometry 60x20+40+30 -e tee typed.txt";

/// A directory with certificates and keys that the session's user may read.
struct Store(tempfile::TempDir);

impl Store {
    fn new() -> Self {
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        commands::chmod(directory.path(), 0o755);
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Another file in the place of one, if there is one.
    fn write(&self, name: &str, content: &str) {
        let new = self.path("new");
        fs::write(&new, content).unwrap();
        self.give(&new);
        fs::rename(new, self.path(name)).unwrap();
    }

    fn give(&self, path: &Path) {
        commands::chmod(path, 0o600);
        nix::unistd::chown(path, Some(commands::test_user().uid), None).unwrap();
    }

    /// `cert.pem` and `key.pem`.
    fn put(&self, files: &Files) {
        self.write("cert.pem", &files.certificate);
        self.write("key.pem", &files.key);
        fs::write(self.path("ca.pem"), &files.authority).unwrap();
    }

    fn openssl(&self, words: &[&str]) {
        let mut command = Command::new("openssl");
        let output = command.args(words).current_dir(self.0.path()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    }

    /// A certificate that has signed itself, `NAME.crt`, and its key, `NAME.key`.
    fn make(&self, name: &str, kind: &[&str], days: &str) {
        let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
        let request = ["req", "-x509", "-nodes", "-subj", "/CN=127.0.0.1"];
        let name = ["-addext", "subjectAltName=IP:127.0.0.1"];
        let files = ["-days", days, "-keyout", &key, "-out", &certificate];
        self.openssl(&[&request[..], &name, &files, &["-newkey"], kind].concat());
        self.give(&self.path(&key));
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The certificate that is shown at a port, as PEM; the handshake is good.
    fn shown(&self, port: u16) -> String {
        self.shown_to(port, &[])
    }

    fn shown_to(&self, port: u16, more: &[&str]) -> String {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-connect", &format!("127.0.0.1:{port}")]);
        let output = command.args(more).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        first_certificate(&String::from_utf8_lossy(&output.stdout))
    }

    /// Is it the one in this file?
    fn shows(&self, port: u16, name: &str) -> bool {
        self.shown(port) == first_certificate(&self.text(name))
    }

    /// A socket with these files.
    fn bind(&self, more: &str) -> (u16, String) {
        let port = free_port();
        let (certificate, key) = (self.path("cert.pem"), self.path("key.pem"));
        let bind = format!(
            "--bind-ssl=127.0.0.1:{port},auth=password(value={PASSWORD}),ssl-cert={},ssl-key={}{more}",
            certificate.display(),
            key.display()
        );
        (port, bind)
    }
}

fn first_certificate(text: &str) -> String {
    const END: &str = "-----END CERTIFICATE-----";
    let begin = text.find("-----BEGIN CERTIFICATE-----");
    let begin = begin.unwrap_or_else(|| panic!("no certificate: {text}"));
    let len = text[begin..].find(END).unwrap();
    text[begin..begin + len].to_owned()
}

fn reload(session: &Session) -> Output {
    session.bulkhead(&["reload", &format!(":{}", session.display)])
}

fn is_done(session: &Session) -> String {
    let output = reload(session);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Why it is not done.
fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

fn connects(port: u16, files: &Files) -> bool {
    let address = Address::tls(format!("127.0.0.1:{port}"), &files.authority_der);
    Client::connect(&address, &twins::options(2), LONG).is_ok()
}

/// The only `keys` of a session.
fn keys(session: &Session) -> u32 {
    let top = session.process().id();
    eventually("one keys", LONG, || {
        match processes::of_role(top, "keys")[..] {
            [one] => Some(one),
            _ => None,
        }
    })
}

fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// As certbot does it: the names are links, and lead to other files from one moment to the next.
fn link(store: &Store, name: &str) {
    for (link, kind) in [("cert.pem", "crt"), ("key.pem", "key")] {
        let new = store.path("new");
        symlink(format!("{name}.{kind}"), &new).unwrap();
        fs::rename(new, store.path(link)).unwrap();
    }
}

#[test]
fn a_person_types_on_while_the_certificate_changes() {
    for start in [Start::User, Start::Root] {
        let store = Store::new();
        store.make("one", &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "3");
        store.make("two", &["rsa:2048"], "3");
        link(&store, "one");
        let (port, bind) = store.bind("");
        let either = free_port();
        let (certificate, key) = (store.path("cert.pem"), store.path("key.pem"));
        let bind_either = format!(
            "--bind-tcp=127.0.0.1:{either},auth=password(value={PASSWORD}),ssl=on,ssl-protocol=TLS,ssl-cert={},ssl-key={}",
            certificate.display(),
            key.display()
        );
        let options = [XTERM, "--sharing=yes", &bind, &bind_either];
        let session = Session::start_as(start, &options);
        fs::copy(store.path("one.crt"), session.home().join("one.crt")).unwrap();
        commands::chmod(&session.home().join("one.crt"), 0o644);
        let screen = ClientScreen::start(1280, 800);
        let client = StockClient::attach(&session, &screen, Via::Tls(port, Some("one.crt")));
        eventually("the window at the client", LONG, || {
            screen.screen.window_named("wanted")
        });
        let type_line = |text: &str, all: &str| {
            screen.activate("wanted");
            screen.xdotool(&["type", "--delay", "20", text]);
            screen.xdotool(&["key", "Return"]);
            eventually("the text in the application", LONG, || {
                (session.typed() == all).then_some(())
            });
        };
        type_line("before", "before\n");
        assert!(store.shows(port, "one.crt") && store.shows(either, "one.crt"));
        // Suites of TLS 1.2 are for one kind of key.
        let old =
            |name| store.shown_to(either, &["-tls1_2"]) == first_certificate(&store.text(name));
        assert!(old("one.crt"));
        let before = keys(&session);

        link(&store, "two");
        // Nothing happens by itself.
        assert!(store.shows(port, "one.crt"));
        let said = is_done(&session);
        for part in [
            &format!("127.0.0.1:{port}: "),
            &format!("127.0.0.1:{either}: "),
            "(RSA), good until 2",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(store.shows(port, "two.crt") && store.shows(either, "two.crt"));
        assert!(old("two.crt"));
        type_line("after", "before\nafter\n");
        let record = session
            .process()
            .wait_for_line(LONG, |line| line.contains("certificates and keys are new"));
        assert!(record.contains(&port.to_string()) && record.contains(&either.to_string()));
        let after = keys(&session);
        assert_ne!(before, after);

        // The next `keys` has the new key as well, whatever is done to the files.
        fs::write(store.path("two.key"), "rubbish\n").unwrap();
        processes::replace(session.process().id(), "keys", Signal::SIGKILL);
        eventually("a keys that signs", LONG, || {
            (keys(&session) != after && store.shows(port, "two.crt")).then_some(())
        });
        type_line("again", "before\nafter\nagain\n");
        drop(client);
    }
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let store = Store::new();
    let good = made_until(4096);
    store.put(&good);
    store.make("other", &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "3");
    store.make("rsa", &["rsa:2048"], "3");
    let (port, bind) = store.bind("");
    let session = Session::start(&[&bind, "--sharing=yes", XTERM]);
    let [shown, key] = ["cert.pem", "key.pem"].map(|name| store.text(name));
    fs::write(store.path("shown.pem"), &shown).unwrap();
    let before = keys(&session);
    let expired = made_until(2020);
    let encrypted = {
        let words = ["pkey", "-in", "key.pem", "-aes256", "-passout", "pass:x"];
        store.openssl(&[&words[..], &["-out", "encrypted.pem"]].concat());
        store.text("encrypted.pem")
    };
    let (other, rsa) = (store.text("other.key"), store.text("rsa.key"));
    for (certificate, key, part) in [
        (&shown, &other, "is not the key of the certificate"),
        (&shown, &rsa, "is no ECDSA P-256 key"),
        (&shown, &encrypted, "is encrypted"),
        (
            &shown,
            &"no key\n".to_owned(),
            "holds no private key in PEM",
        ),
        (&expired.certificate, &expired.key, "expired on 2020-01-01"),
        (&"nothing\n".to_owned(), &key, "holds no certificate in PEM"),
        (&shown, &String::new(), "is empty"),
    ] {
        store.write("cert.pem", certificate);
        store.write("key.pem", key);
        let said = refused(&reload(&session));
        assert!(said.contains(part), "{part}: {said}");
        assert!(said.contains(".pem"), "{said}");
        assert!(store.shows(port, "shown.pem"), "{part}");
    }
    store.write("cert.pem", &shown);
    store.write("key.pem", &key);
    commands::chmod(&store.path("key.pem"), 0o644);
    let said = refused(&reload(&session));
    assert!(said.contains("others may read it (mode 644)"), "{said}");
    fs::remove_file(store.path("key.pem")).unwrap();
    let said = refused(&reload(&session));
    assert!(said.contains("no such file"), "{said}");
    assert!(store.shows(port, "shown.pem") && connects(port, &good));
    // All of that was tried beside it.
    assert_eq!(keys(&session), before);
    let records = session.process().lines();
    let records = records
        .iter()
        .filter(|line| line.contains("reload refused"));
    // One each.
    assert_eq!(records.count(), 9);

    store.write("key.pem", &key);
    is_done(&session);
    assert!(connects(port, &good));
}

#[test]
fn a_handshake_under_way_is_signed_with_the_key_of_its_certificate() {
    let store = Store::new();
    let (old, new) = (made_until(4096), made_until(4095));
    store.put(&old);
    let (port, bind) = store.bind("");
    let session = Session::start(&[&bind, "--sharing=yes", XTERM]);
    let top = session.process().id();
    let before = keys(&session);
    // It stands still while a client wants its signature.
    signal(before, Signal::SIGSTOP);
    let authority = old.authority_der.clone();
    let connecting = std::thread::spawn(move || {
        let address = Address::tls(format!("127.0.0.1:{port}"), &authority);
        Client::connect(&address, &twins::options(1), LONG).map(drop)
    });
    eventually("a network process for it", LONG, || {
        (processes::of_role(top, "network").len() == 1).then_some(())
    });
    store.put(&new);
    is_done(&session);
    assert!(connects(port, &new) && !connects(port, &old));
    assert_eq!(processes::of_role(top, "keys").len(), 2);
    signal(before, Signal::SIGCONT);
    connecting.join().unwrap().unwrap();
    assert_ne!(keys(&session), before);
}

#[test]
fn the_old_key_is_nowhere_any_more() {
    if !needs::root("read the memory of our processes") {
        return;
    }
    for start in [Start::User, Start::Root] {
        let store = Store::new();
        let (old, new) = (made_until(4096), made_until(4095));
        store.put(&old);
        let (port, bind) = store.bind("");
        let session = Session::start_as(start, &[&bind, "--sharing=yes", XTERM]);
        let holders = |files: &Files| {
            // PKCS #8 of P-256: the number itself, as bytes and as the words of the machine.
            let number = files.key_der[36..68].to_vec();
            let words: Vec<u8> = number.iter().rev().copied().collect();
            let pem = files.key.lines().nth(1).unwrap().as_bytes().to_vec();
            let workers = processes::workers(session.process().id()).into_iter();
            let has = |pid| [&number, &words, &pem].iter().any(|form| holds(pid, form));
            let found = workers.filter(|worker| has(worker.pid));
            found.map(|worker| worker.role).collect::<Vec<_>>()
        };
        let address =
            |files: &Files| Address::tls(format!("127.0.0.1:{port}"), &files.authority_der);
        let mut client = Client::connect(&address(&old), &twins::options(1), LONG).unwrap();
        client.wait_for(|state| state.draws > 0, LONG).unwrap();
        assert_eq!(holders(&old), ["keys"]);
        store.put(&new);
        is_done(&session);
        keys(&session);
        assert_eq!(holders(&old), [""; 0]);
        assert_eq!(holders(&new), ["keys"]);
        assert!(connects(port, &new));
        let window = *client.state().windows.keys().next().unwrap();
        client.focus(Some(window)).unwrap();
        client.type_text(window, "still here\n").unwrap();
        eventually("the text in the application", LONG, || {
            (session.typed() == "still here\n").then_some(())
        });
    }
}

#[test]
fn a_hundred_times_leaves_nothing_behind() {
    let store = Store::new();
    let pairs = [made_until(4096), made_until(4095)];
    store.put(&pairs[0]);
    let (port, bind) = store.bind("");
    let session = Session::start(&[&bind, "--sharing=yes", XTERM]);
    let top = session.process().id();
    let mut client = {
        let address = Address::tls(format!("127.0.0.1:{port}"), &pairs[0].authority_der);
        Client::connect(&address, &twins::options(1), LONG).unwrap()
    };
    client.wait_for(|state| state.draws > 0, LONG).unwrap();
    let open = |pid: u32| fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count);
    let count = || {
        keys(&session);
        (processes::workers(top).len(), open(top).ok())
    };
    is_done(&session);
    let before = eventually("quiet", LONG, || {
        let first = count();
        std::thread::sleep(Duration::from_millis(100));
        (count() == first).then_some(first)
    });
    for round in 1..=100 {
        store.put(&pairs[round % 2]);
        is_done(&session);
    }
    eventually("as many processes and descriptors as before", LONG, || {
        (count() == before).then_some(())
    });
    assert!(connects(port, &pairs[0]) && !connects(port, &pairs[1]));
    let window = *client.state().windows.keys().next().unwrap();
    client.focus(Some(window)).unwrap();
    client.type_text(window, "still here\n").unwrap();
    eventually("the text in the application", LONG, || {
        (session.typed() == "still here\n").then_some(())
    });
    let audit = session.bulkhead(&["audit", &format!(":{}", session.display)]);
    assert!(audit.status.success(), "{audit:?}");
}

#[test]
fn pass_phrases_are_read_again() {
    let store = Store::new();
    let files = [4096, 4095, 4094].map(made_until);
    let encrypt = |files: &Files, pass_phrase: &str| {
        store.put(files);
        let out = format!("pass:{pass_phrase}");
        let words = ["pkey", "-in", "key.pem", "-aes256", "-out", "shut.pem"];
        store.openssl(&[&words[..], &["-passout", &out]].concat());
        store.write("key.pem", &store.text("shut.pem"));
    };
    encrypt(&files[0], "one");
    store.write("pass.txt", "one\n");
    let path = store.path("pass.txt");
    let (in_file, bind) = store.bind(&format!(",ssl-key-password-file={}", path.display()));
    let session = Session::start(&[&bind, "--start=xterm"]);
    assert!(connects(in_file, &files[0]));
    encrypt(&files[1], "two");
    let said = refused(&reload(&session));
    assert!(said.contains("has another pass phrase"), "{said}");
    store.write("pass.txt", "two\n");
    is_done(&session);
    assert!(connects(in_file, &files[1]));
    drop(session);

    // One that is in no file stays, unless the variable says another.
    let (typed, bind) = store.bind(",ssl-key-password=two");
    let session = Session::start(&[&bind, "--start=xterm"]);
    encrypt(&files[2], "two");
    is_done(&session);
    assert!(connects(typed, &files[2]));
    encrypt(&files[0], "three");
    refused(&reload(&session));
    let mut command = session.command();
    command
        .args(["reload", &format!(":{}", session.display)])
        .env("XPRA_SSL_KEY_PASSWORD", "three");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(connects(typed, &files[0]));
}

#[test]
fn sockets_with_aes_keep_their_keys() {
    let store = Store::new();
    let (old, new) = (made_until(4096), made_until(4095));
    store.put(&old);
    let (aes, bind_aes) = encrypted_socket(&format!("password(value={PASSWORD})"));
    let (port, bind) = store.bind("");
    let session = Session::start(&[&bind_aes, &bind, "--sharing=yes", "--start=xterm"]);
    let enters = || {
        let address = Address::parse(&format!("tcp://127.0.0.1:{aes}")).unwrap();
        let options = twins::options(2).encrypted(Mode::Gcm, KEY.as_bytes());
        Client::connect(&address, &options, LONG).is_ok()
    };
    assert!(enters() && connects(port, &old));
    store.put(&new);
    is_done(&session);
    assert!(enters() && connects(port, &new));
    // The start reads anew as well.
    let exit = session.bulkhead(&["exit", &format!(":{}", session.display)]);
    assert!(exit.status.success(), "{exit:?}");
    let mut session = session;
    store.put(&old);
    session.start_again();
    assert!(enters() && connects(port, &old));
    store.put(&new);
    is_done(&session);
    assert!(enters() && connects(port, &new));
}

#[test]
fn a_file_that_is_written_to_counts_only_when_it_is_said() {
    let store = Store::new();
    let (old, new) = (made_until(4096), made_until(4095));
    store.put(&old);
    let (port, bind) = store.bind("");
    let session = Session::start(&[&bind, "--sharing=yes", "--start=xterm"]);
    // In place, and one of the two only: a `keys` that is started now would find another pair.
    fs::write(store.path("key.pem"), &new.key).unwrap();
    processes::replace(session.process().id(), "keys", Signal::SIGKILL);
    eventually("the old certificate is signed with", LONG, || {
        connects(port, &old).then_some(())
    });
    refused(&reload(&session));
    fs::write(store.path("cert.pem"), &new.certificate).unwrap();
    is_done(&session);
    assert!(connects(port, &new));
}

/// A channel of this process to a session.
fn visit(session: &Session) -> Channel<CommandToSupervisor, SupervisorToCommand> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
    let path = session.session_dir().join("reload.sock");
    connect(socket.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    Channel::new(socket)
}

fn answer(channel: &mut Channel<CommandToSupervisor, SupervisorToCommand>) -> SupervisorToCommand {
    eventually("an answer", LONG, || {
        let _ = channel.flush();
        channel.receive().unwrap().map(|(answer, _)| answer)
    })
}

#[test]
fn only_who_has_started_it_can() {
    if !needs::root("be another user") {
        return;
    }
    let store = Store::new();
    let (old, new) = (made_until(4096), made_until(4095));
    store.put(&old);
    let (port, bind) = store.bind("");
    for start in [Start::User, Start::Root] {
        store.put(&old);
        let session = Session::start_as(start, &[&bind, "--sharing=yes", XTERM]);
        store.put(&new);
        let other = match start {
            Start::User => Start::Root,
            Start::Root => Start::User,
        };
        let sessions = session.session_dir();
        let sessions = format!("--sessions-dir={}", sessions.parent().unwrap().display());
        let words = ["reload", &format!(":{}", session.display), &sessions];
        let output = session.command_of(other).args(words).output().unwrap();
        let said = refused(&output);
        let part = match start {
            Start::User => commands::test_user().name,
            Start::Root => "root".to_owned(),
        };
        assert!(said.contains(&format!("{part} has started it")), "{said}");
        // Root comes to every socket, and that is not enough.
        if start == Start::User {
            let mut channel = visit(&session);
            let answer = answer(&mut channel);
            let refused = matches!(&answer, SupervisorToCommand::Refused { reason } if reason.contains("another user"));
            assert!(refused, "{answer:?}");
            session
                .process()
                .wait_for_line(LONG, |line| line.contains("reload refused: local user 0"));
        } else {
            let meta = session
                .session_dir()
                .join("reload.sock")
                .metadata()
                .unwrap();
            use std::os::unix::fs::MetadataExt;
            assert_eq!((meta.uid(), meta.mode() & 0o777), (0, 0o600));
            is_done(&session);
            // One visitor at a time, and one that says nothing only for a while.
            store.put(&old);
            let silent = visit(&session);
            is_done(&session);
            drop(silent);
        }
        assert!(connects(port, &old));
    }
}

#[test]
fn a_session_without_tls_has_no_door() {
    let session = Session::start(&["--start=xterm"]);
    for name in ["reload.sock", "reload.state"] {
        assert!(!session.session_dir().join(name).exists());
    }
    let said = refused(&reload(&session));
    assert!(said.contains("no socket with TLS"), "{said}");
    let said = refused(&session.bulkhead(&["reload", ":54399"]));
    assert!(said.contains("there is no session :54399"), "{said}");
}
