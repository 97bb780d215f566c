//! A9: what each process has in memory while a login is under way that somebody else decides about, and
//! after it. Everybody is looked at: the supervisor, the launcher, the X server, the applications, and what
//! the command has become.

use crate::peer::LONG;
use bulkhead_tests::commands::{chmod, test_user};
use bulkhead_tests::databases::Files;
use bulkhead_tests::kdc::{LONELY_KEY, SilentKdc};
use bulkhead_tests::pam::PasswordFile;
use bulkhead_tests::secrets::{holds, only_these_hold};
use bulkhead_tests::session::{KEY, Session, Start, encrypted_socket};
use bulkhead_tests::source::connect_from;
use bulkhead_tests::{eventually, otpscreen, processes};
use nix::fcntl::OFlag;
use nix::sys::stat;
use nix::unistd::{chown, mkfifo};
use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::thread::JoinHandle;
use test_client::wire::cipher::Mode;
use test_client::{Client, Options};

/// What clients send.
const SENT: &str = "sent once, to look for";
/// The passwords of our own users at servers.
const SQL_READER: &str = "of the user of a database, to look for";
const LDAP_READER: &str = "of the user who searches, to look for";

/// A server that takes connections and what is sent on them, as its kernel does, and says nothing.
struct SilentServer(TcpListener);

impl SilentServer {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
}

/// One session with a socket for each module.
struct Scene {
    session: Session,
    sockets: Vec<u16>,
}

/// A login that has begun.
struct Login(JoinHandle<bool>);

impl Login {
    /// Is it let in? No client is left then.
    fn end(self) -> bool {
        self.0.join().unwrap()
    }
}

impl Scene {
    fn new(start: Start, modules: &[&str]) -> Self {
        let (sockets, binds): (Vec<_>, Vec<_>) = modules
            .iter()
            .map(|module| encrypted_socket(module))
            .unzip();
        let mut words = vec!["--start=xterm", "--sharing=yes"];
        words.extend(binds.iter().map(String::as_str));
        let session = Session::start_as(start, &words);
        Self { session, sockets }
    }

    /// Begins a login at one of the sockets.
    fn login(&self, socket: usize, options: Options) -> Login {
        let options = options.encrypted(Mode::Gcm, KEY.as_bytes());
        let source = u8::try_from(socket + 1).unwrap();
        let stream = connect_from([0, 9, source], self.sockets[socket]).unwrap();
        Login(std::thread::spawn(move || {
            Client::on(stream, &options).handshake(2 * LONG).is_ok()
        }))
    }

    /// The same with [`SENT`], by a user of this name.
    fn sends(&self, socket: usize, user: &str) -> Login {
        self.login(socket, Options::gtk().username(user).password(SENT).xor())
    }

    /// These are held by the processes of this name and by nobody else.
    fn only(&self, holders: &[&str], secrets: &[&[u8]], when: &str) {
        only_these_hold(&self.session, secrets, holders, when);
    }

    /// Nobody holds these, once there is no process of this name any more.
    fn nobody(&self, after: &str, secrets: &[&[u8]]) {
        eventually("the end of a check", LONG, || {
            let all = processes::all(self.session.process().id());
            all.iter().all(|(_, name)| name != after).then_some(())
        });
        self.only(&[], secrets, &format!("after {after}"));
    }
}

/// A file of whom the session is for.
fn owned(files: &Files, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = files.path(name);
    std::fs::write(&path, text).unwrap();
    chmod(&path, mode);
    chown(&path, Some(test_user().uid), None).unwrap();
    path
}

/// A command of `exec` that reads what it is told, and ends when it is told to.
struct Command {
    module: String,
    fifo: PathBuf,
}

/// The name of its program.
const COMMAND: &str = "knows-and-waits";

impl Command {
    fn new(files: &Files) -> Self {
        let fifo = files.path("fifo");
        mkfifo(&fifo, stat::Mode::from_bits_truncate(0o644)).unwrap();
        chown(&fifo, Some(test_user().uid), None).unwrap();
        let text = format!(
            "#!/bin/sh\nIFS= read -r password\nread -r line < {}\n",
            fifo.display()
        );
        let path = owned(files, COMMAND, &text, 0o755);
        let module = format!(
            "exec(command={},timeout=50,require-challenge=yes)",
            path.display()
        );
        Self { module, fifo }
    }

    /// Waits until it waits, and lets it say yes.
    fn release(&self) {
        let mut waiting = eventually("a command that waits", LONG, || {
            let mut open = File::options();
            let open = open.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
            open.open(&self.fifo).ok()
        });
        writeln!(waiting, "yes").unwrap();
    }
}

/// A password that is sent is at the process that asks about it, and nowhere else; so are the secrets that
/// this process asks with. When it has ended, nobody has them.
fn only_its_check_has_it(start: Start) {
    let files = Files::new();
    let pam = PasswordFile::new("ann", "another");
    pam.hang();
    let kdc = SilentKdc::new(start);
    let (ldap, mysql, sql) = (
        SilentServer::new(),
        SilentServer::new(),
        SilentServer::new(),
    );
    let reader = owned(&files, "sql-reader", SQL_READER, 0o600);
    let search = owned(&files, "ldap-reader", LDAP_READER, 0o600);
    files.passwd("hashed", &["add", "ann"], SENT);
    let command = Command::new(&files);
    let server = |name: &str, scheme: &str, port: u16| {
        format!(
            "{name}(uri={scheme}://xpra@127.0.0.1:{port}/d,hashed=yes,timeout=50,password-file={})",
            reader.display()
        )
    };
    let modules = [
        pam.module(),
        kdc.module(),
        format!(
            "ldap3(host=127.0.0.1,port={},timeout=50,search-base=(dc=test),\
             search-user=(cn=reader,dc=test),search-password-file={})",
            ldap.port(),
            search.display()
        ),
        server("mysql", "mysql", mysql.port()),
        server("sql", "postgresql", sql.port()),
        format!("sqlite(filename={})", files.path("hashed").display()),
        command.module.clone(),
        "otpscreen(mode=alphanumeric,count=16)".to_owned(),
    ];
    let modules: Vec<_> = modules.iter().map(String::as_str).collect();
    let scene = Scene::new(start, &modules);
    let sent = SENT.as_bytes();
    let at_start = [
        sent,
        SQL_READER.as_bytes(),
        LDAP_READER.as_bytes(),
        LONELY_KEY,
    ];
    scene.only(&[], &at_start, "at the start");

    let login = scene.sends(0, "ann-of-pam");
    pam.is_asked(&scene.session);
    scene.only(&["auth-pam"], &[sent], "while PAM is asked");
    pam.release();
    assert!(!login.end());
    scene.nobody("auth-pam", &[sent]);

    let login = scene.sends(1, "ann-of-kerberos");
    let asked = kdc.is_asked();
    // Of our keys there is the library's copy.
    scene.only(
        &["auth-kerberos"],
        &[sent, LONELY_KEY],
        "while a KDC is asked",
    );
    drop(asked);
    assert!(!login.end());
    scene.nobody("auth-kerberos", &[sent, LONELY_KEY]);

    let login = scene.sends(2, "ann-of-ldap");
    let both = [sent, LDAP_READER.as_bytes()];
    scene.only(&["auth-ldap"], &both, "while a directory is asked");
    drop(ldap);
    assert!(!login.end());
    scene.nobody("auth-ldap", &both);

    for (socket, user, server) in [(3, "ann-of-mysql", mysql), (4, "ann-of-sql", sql)] {
        let login = scene.sends(socket, user);
        let both = [sent, SQL_READER.as_bytes()];
        scene.only(
            &["auth-sql"],
            &both,
            &format!("while a server is asked ({user})"),
        );
        drop(server);
        assert!(!login.end());
        scene.nobody("auth-sql", &both);
    }

    // Now those that say yes.
    let writes = files.lock("hashed");
    let login = scene.sends(5, "ann");
    scene.only(&["auth-sqlite"], &[sent], "while a database is locked");
    drop(writes);
    assert!(login.end());
    scene.nobody("auth-sqlite", &[sent]);

    let login = scene.sends(6, "ann-of-exec");
    scene.only(&[COMMAND], &[sent], "while a command runs");
    command.release();
    assert!(login.end());
    scene.nobody(COMMAND, &[sent]);

    // The session's X server has its picture, as everybody has who sees the screen: that is what it is
    // for. These letters it has not.
    let (types, typed) = std::sync::mpsc::channel::<Vec<u8>>();
    let typed = std::sync::Mutex::new(typed);
    let options = Options::gtk().reads(move |_| typed.lock().unwrap().recv().unwrap_or_default());
    let login = scene.login(7, options);
    let code = otpscreen::one(&scene.session).code(16).into_bytes();
    scene.only(&["auth", "auth-otpscreen"], &[&code], "while it is shown");
    types.send(code.clone()).unwrap();
    assert!(login.end());
    scene.nobody("auth-otpscreen", &[&code]);

    scene.only(&[], &at_start, "in the end");
    // The control: what is there is found.
    assert!(holds(std::process::id(), sent));
}

#[test]
fn only_the_check_of_a_login_has_what_was_sent_when_a_user_has_started() {
    if needs::root("read the memory of our processes") {
        only_its_check_has_it(Start::User);
    }
}

#[test]
fn only_the_check_of_a_login_has_what_was_sent_when_root_has_started() {
    if needs::root("read the memory of our processes") {
        only_its_check_has_it(Start::Root);
    }
}
