//! Certificates of clients, made by openssl: good ones and all that are to be refused; with the stock
//! client, with openssl, and with a client of ours on rustls.

use bulkhead_tests::screen::ClientScreen;
use bulkhead_tests::session::{PASSWORD, Session, free_port};
use bulkhead_tests::stock::{self, StockClient};
use bulkhead_tests::tls::{self, Held, address, certificate_socket, tls_socket};
use bulkhead_tests::{commands, eventually, processes};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use test_client::{Client, Error, Identity, Options};

const LONG: Duration = Duration::from_secs(30);
const XTERM: &str = "--start=xterm -T wanted -geometry 60x20+40+30 -e tee typed.txt";

/// What `openssl ca` is told.
const CONFIGURATION: &str = "
[ca]
default_ca = own
[own]
database = NAME.index
new_certs_dir = .
rand_serial = yes
certificate = NAME.pem
private_key = NAME.key
default_md = sha256
default_days = 2
default_crl_days = 2
crlnumber = NAME.number
unique_subject = no
policy = policy
[policy]
organizationName = optional
commonName = supplied
emailAddress = optional
[client]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = email:ann@x.org,DNS:ann.x.org
[server]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = serverAuth
[middle]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
";

const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
const ED25519: &[&str] = &["-algorithm", "ED25519"];
const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

/// Authorities and what they have signed, in one directory that every user can read.
struct Office {
    directory: tempfile::TempDir,
}

impl Office {
    /// `root`, and `middle` below it.
    fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("bulkhead-test-")
            .tempdir_in("/tmp")
            .unwrap();
        commands::chmod(directory.path(), 0o755);
        let office = Self { directory };
        office.root("root");
        office.key("middle", P256);
        office.request("middle", "/CN=middle");
        office.sign("root", "middle", "middle", &[]);
        office.prepare("middle");
        office
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn openssl(&self, words: &[&str]) -> Output {
        let output = Command::new("openssl")
            .args(words)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
        output
    }

    fn prepare(&self, name: &str) {
        fs::write(self.path(&format!("{name}.index")), "").unwrap();
        fs::write(self.path(&format!("{name}.number")), "01").unwrap();
        let text = CONFIGURATION.replace("NAME", name);
        fs::write(self.path(&format!("{name}.cnf")), text).unwrap();
    }

    /// An authority of its own.
    fn root(&self, name: &str) {
        self.prepare(name);
        self.key(name, P256);
        let (key, certificate, own) = (
            format!("{name}.key"),
            format!("{name}.pem"),
            format!("{name}.cnf"),
        );
        let subject = format!("/CN={name}");
        self.openssl(&[
            "req",
            "-x509",
            "-new",
            "-days",
            "2",
            "-key",
            &key,
            "-out",
            &certificate,
            "-config",
            &own,
            "-extensions",
            "root",
            "-subj",
            &subject,
        ]);
    }

    fn key(&self, name: &str, kind: &[&str]) {
        let key = format!("{name}.key");
        self.openssl(&[&["genpkey", "-out", &key], kind].concat());
    }

    fn request(&self, name: &str, subject: &str) {
        let (key, out) = (format!("{name}.key"), format!("{name}.req"));
        self.openssl(&[
            "req", "-new", "-config", "root.cnf", "-key", &key, "-out", &out, "-subj", subject,
        ]);
    }

    fn sign(&self, by: &str, name: &str, kind: &str, more: &[&str]) {
        let own = format!("{by}.cnf");
        let (request, out) = (format!("{name}.req"), format!("{name}.pem"));
        let words = [
            "ca",
            "-batch",
            "-notext",
            "-config",
            &own,
            "-extensions",
            kind,
            "-in",
            &request,
            "-out",
            &out,
        ];
        self.openssl(&[&words[..], more].concat());
    }

    /// A client's certificate with its key.
    fn client(&self, by: &str, name: &str, key: &[&str], subject: &str, kind: &str, more: &[&str]) {
        self.key(name, key);
        self.request(name, subject);
        self.sign(by, name, kind, more);
    }

    fn revoke(&self, by: &str, name: &str) {
        let (own, certificate) = (format!("{by}.cnf"), format!("{name}.pem"));
        self.openssl(&["ca", "-config", &own, "-revoke", &certificate]);
    }

    fn list(&self, by: &str) -> String {
        let own = format!("{by}.cnf");
        let output = self.openssl(&["ca", "-config", &own, "-gencrl"]);
        String::from_utf8(output.stdout).unwrap()
    }

    fn pem(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("{name}.pem"))).unwrap()
    }

    /// A file of these texts, which the session may read.
    fn file(&self, name: &str, texts: &[&str]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, texts.concat()).unwrap();
        commands::chmod(&path, 0o644);
        path
    }

    fn der(&self, name: &str) -> Vec<u8> {
        let file = format!("{name}.pem");
        self.openssl(&["x509", "-in", &file, "-outform", "DER"])
            .stdout
    }

    /// What a client of ours shows: with the key of another, if one is named.
    fn identity(&self, chain: &[&str], key: &str) -> Identity {
        let file = format!("{key}.key");
        let key = self
            .openssl(&["pkey", "-in", &file, "-outform", "DER"])
            .stdout;
        Identity {
            chain: chain.iter().map(|name| self.der(name)).collect(),
            key,
        }
    }

    fn fingerprint(&self, name: &str) -> String {
        let file = format!("{name}.pem");
        let said = self.openssl(&["x509", "-in", &file, "-noout", "-fingerprint", "-sha256"]);
        let said = String::from_utf8(said.stdout).unwrap();
        said.trim().split_once('=').unwrap().1.to_owned()
    }

    fn subject(&self, name: &str) -> String {
        let file = format!("{name}.pem");
        let words = [
            "x509", "-in", &file, "-noout", "-subject", "-nameopt", "RFC2253",
        ];
        let said = String::from_utf8(self.openssl(&words).stdout).unwrap();
        said.trim().strip_prefix("subject=").unwrap().to_owned()
    }
}

fn options() -> Options {
    let mut options = Options::gtk();
    options.hello.share = true;
    options
}

fn connect(port: u16, identity: Option<Identity>, options: &Options) -> Result<Client, Error> {
    let address = match identity {
        Some(identity) => address(port).showing(identity),
        None => address(port),
    };
    Client::connect(&address, options, LONG)
}

fn logged(session: &Session, parts: &[&str]) {
    session
        .process()
        .wait_for_line(LONG, |line| parts.iter().all(|part| line.contains(part)));
}

/// Keys of every kind, by subject, fingerprint and names beside the subject, alone and below another.
#[test]
fn a_good_certificate_is_its_users() {
    let office = Office::new();
    let more = [
        ("ann", "root", P256, "/O=x, y/CN=ann"),
        ("bob", "root", RSA, "/CN=bob"),
        ("eve", "middle", ED25519, "/CN=eve"),
        ("joe", "middle", P384, "/CN=joe/emailAddress=joe@x.org"),
    ];
    for (name, by, key, subject) in more {
        office.client(by, name, key, subject, "client", &[]);
    }
    assert_eq!(office.subject("ann"), "CN=ann,O=x\\, y");
    let users = format!(
        "ann|subject:{}\nbob|fingerprint:{}\n# eve\neve|subject:CN=eve\njoe|subject:{}\n",
        office.subject("ann"),
        office.fingerprint("bob"),
        office.subject("joe"),
    );
    let users = office.file("users.txt", &[&users]);
    let trust = office.file(
        "trust.pem",
        &[
            &office.pem("root"),
            &office.list("root"),
            &office.list("middle"),
        ],
    );
    let auth = format!("certificate(users={})", users.display());
    let (port, bind) = tls_socket(&auth);
    let bind = format!("{bind},ssl-ca-certs={}", trust.display());
    let session = Session::start(&["--sharing=yes", "--start=xterm", &bind]);
    for (name, by, ..) in more {
        let chain = match by {
            "root" => vec![name],
            _ => vec![name, by],
        };
        let mut client = connect(port, Some(office.identity(&chain, name)), &options()).unwrap();
        client.wait_for(|state| state.draws > 0, LONG).unwrap();
        let who = format!("is let in as `{name}` by certificate");
        logged(&session, &[&who, "encrypted with TLS 1.3"]);
        // As a record has it, and then JSON.
        let subject = office.subject(name).replace('\\', r"\\\\");
        let subject = format!("the certificate `{subject}`");
        logged(&session, &["auth-certificate", &subject, "is good"]);
    }
    // Nobody is left who judges.
    eventually("the end of the checks", LONG, || {
        let left = processes::of_role(session.process().id(), "auth-certificate");
        left.is_empty().then_some(())
    });
}

/// What is shown, and what the log says of it.
struct Case {
    chain: &'static [&'static str],
    key: &'static str,
    why: &'static str,
}

const fn case(chain: &'static [&'static str], key: &'static str, why: &'static str) -> Case {
    Case { chain, key, why }
}

#[test]
fn everybody_else_is_refused_and_the_log_says_why() {
    let office = Office::new();
    office.client("root", "ann", P256, "/CN=ann", "client", &[]);
    office.client("root", "other", P256, "/CN=other", "client", &[]);
    let past = ["-startdate", "200101000000Z", "-enddate", "200301000000Z"];
    office.client("root", "over", P256, "/CN=ann", "client", &past);
    let future = [
        "-startdate",
        "20900101000000Z",
        "-enddate",
        "20910101000000Z",
    ];
    office.client("root", "early", P256, "/CN=ann", "client", &future);
    office.client("root", "revoked", P256, "/CN=ann", "client", &[]);
    office.revoke("root", "revoked");
    office.client("root", "server", P256, "/CN=ann", "server", &[]);
    // Somebody of the same name signs.
    office.root("stranger");
    office.client("stranger", "foreign", P256, "/CN=ann", "client", &[]);
    office.key("itself", P256);
    office.openssl(&[
        "req",
        "-x509",
        "-new",
        "-days",
        "2",
        "-key",
        "itself.key",
        "-out",
        "itself.pem",
        "-config",
        "root.cnf",
        "-extensions",
        "client",
        "-subj",
        "/CN=ann",
    ]);
    // Below one that may have nobody below.
    office.key("low", P256);
    office.request("low", "/CN=low");
    office.sign("middle", "low", "middle", &[]);
    office.prepare("low");
    office.client("low", "deep", P256, "/CN=ann", "client", &[]);
    let users = office.file("users.txt", &["ann|subject:CN=ann\n"]);
    let lists: Vec<_> = ["root", "middle", "low"]
        .map(|name| office.list(name))
        .into();
    let trust = office.file("trust.pem", &[&office.pem("root"), &lists.concat()]);
    let cases = [
        case(&["over"], "over", "it expired on 2020-03-01"),
        case(&["early"], "early", "it is not valid before 2090-01-01"),
        case(&["revoked"], "revoked", "it is revoked"),
        case(
            &["foreign"],
            "foreign",
            "nobody in ssl-ca-certs has signed it",
        ),
        case(
            &["foreign", "stranger"],
            "foreign",
            "nobody in ssl-ca-certs has signed it",
        ),
        case(
            &["itself"],
            "itself",
            "nobody in ssl-ca-certs has signed it",
        ),
        case(&["server"], "server", "it is not for clients"),
        case(&["middle"], "middle", "its key is not for signatures"),
        case(
            &["deep", "low", "middle"],
            "deep",
            "more certificates between",
        ),
        case(
            &["ann"],
            "other",
            "the handshake is not signed with its key",
        ),
        case(&["other"], "other", "it is no user's"),
    ];
    // Who fails often has to wait: not many in one session.
    for cases in cases.chunks(3) {
        let (port, bind) = tls_socket(&format!("certificate(users={})", users.display()));
        let bind = format!("{bind},ssl-ca-certs={}", trust.display());
        let session = Session::start(&["--start=xterm", &bind]);
        for Case { chain, key, why } in cases {
            let refused = connect(port, Some(office.identity(chain, key)), &options()).err();
            assert!(
                matches!(&refused, Some(Error::Disconnected(text)) if text[0] == "authentication failed"),
                "{chain:?}: {refused:?}"
            );
            logged(&session, &["auth-certificate", why]);
        }
        logged(
            &session,
            &["is refused by certificate: authentication failed"],
        );
        let lines = session.process().lines();
        assert!(
            !lines.iter().any(|line| line.contains("is let in")),
            "{lines:?}"
        );
    }
}

/// What is wanted of every client stands before the other modules, and does not replace them.
#[test]
fn the_password_alone_is_not_enough_and_the_certificate_neither() {
    let office = Office::new();
    office.client("root", "ann", P256, "/CN=ann", "client", &[]);
    office.root("stranger");
    office.client("stranger", "foreign", P256, "/CN=ann", "client", &[]);
    let trust = office.file("trust.pem", &[&office.pem("root")]);
    let (required, bind) = tls_socket(&format!("password(value={PASSWORD})"));
    let trust = format!("ssl-ca-certs={}", trust.display());
    let bind = format!("{bind},ssl-client-verify-mode=required,{trust}");
    let (optional, more) = tls_socket(&format!("password(value={PASSWORD})"));
    let more = format!("{more},ssl-client-verify-mode=optional,{trust}");
    let session = Session::start(&["--sharing=yes", "--start=xterm", &bind, &more]);
    let ann = || Some(office.identity(&["ann"], "ann"));
    let foreign = || Some(office.identity(&["foreign"], "foreign"));
    let right = options().password(PASSWORD);
    for (port, identity) in [(required, ann()), (optional, ann()), (optional, None)] {
        connect(port, identity, &right).unwrap();
    }
    logged(&session, &["is let in as", "by password"]);
    // Who has none is told in TLS, and asked nothing.
    let refused = connect(required, None, &right).err();
    assert!(
        !matches!(refused, None | Some(Error::Disconnected(_))),
        "{refused:?}"
    );
    logged(
        &session,
        &["network", "shows no certificate, and this socket wants one"],
    );
    for (port, identity, options) in [
        (required, foreign(), &right),
        (optional, foreign(), &right),
        (required, ann(), &options()),
    ] {
        assert!(connect(port, identity, options).is_err());
    }
    logged(&session, &["is refused by certificate"]);
}

/// Files are read for each login: what is revoked now is revoked, and another file in the place of one
/// counts. Nobody is let in when one is away, when the lists are missing, or nothing is left.
#[test]
fn what_the_files_say_counts_for_the_next_login() {
    let office = Office::new();
    office.client("root", "ann", P256, "/CN=ann", "client", &[]);
    let (root, list) = (office.pem("root"), office.list("root"));
    let trust = office.file("trust.pem", &[&root, &list]);
    let users = office.file("users.txt", &["ann|subject:CN=ann\n"]);
    let bind = |auth: &str| {
        let (port, bind) = tls_socket(auth);
        (port, format!("{bind},ssl-ca-certs={}", trust.display()))
    };
    let (port, bind) = bind(&format!("certificate(users={})", users.display()));
    let session = Session::start(&["--start=xterm", &bind]);
    let mut failures = 0;
    let mut is_in = |why: Option<&str>| {
        let result = connect(port, Some(office.identity(&["ann"], "ann")), &options());
        match why {
            None => drop(result.unwrap()),
            Some(why) => {
                assert!(result.is_err());
                logged(&session, &["auth-certificate", why]);
                failures += 1;
                // As long as the pauses after this many failures.
                std::thread::sleep(Duration::from_millis(500) * [0, 0, 0, 1, 2, 4, 8][failures]);
            }
        }
    };
    is_in(None);
    office.revoke("root", "ann");
    office.file("trust.pem", &[&root, &office.list("root")]);
    is_in(Some("it is revoked"));
    office.file("trust.pem", &[&root]);
    is_in(Some("no revocation list any more"));
    office.file("trust.pem", &[&root[..100]]);
    is_in(Some("is damaged"));
    let key = fs::read_to_string(office.path("root.key")).unwrap();
    office.file("trust.pem", &[&root, &list, &key]);
    is_in(Some("holds a private key"));
    office.file("trust.pem", &[&root, &list]);
    is_in(None);
    office.file("users.txt", &["ann|subject:CN=ann\nbob|san:ann.x.org\n"]);
    is_in(Some("more than one user"));
    office.file("users.txt", &["ann|subject:CN=ann\n"]);
    is_in(None);
    let other = office.file("other.pem", &[&root, &list]);
    fs::rename(other, &trust).unwrap();
    is_in(None);
    let other = office.file("other.txt", &["bob|subject:CN=ann\n"]);
    fs::rename(other, &users).unwrap();
    is_in(None);
    logged(&session, &["is let in as `bob`"]);
    fs::remove_file(&users).unwrap();
    let result = connect(port, Some(office.identity(&["ann"], "ann")), &options());
    assert!(result.is_err());
    logged(
        &session,
        &["auth=certificate: a file that it needs cannot be used"],
    );
}

/// A check that dies, by whatever signal, is a no for its login and for nobody else.
#[test]
fn a_check_that_dies_is_no() {
    let (port, bind) = certificate_socket();
    let session = Session::start(&["--sharing=yes", "--start=xterm", &bind]);
    let ann = || Some(tls::client().identity.clone());
    let mut other = connect(port, ann(), &options()).unwrap();
    for signal in [Signal::SIGKILL, Signal::SIGSYS] {
        let held = Held::catch(&session, port);
        kill(Pid::from_raw(held.pid.try_into().unwrap()), signal).unwrap();
        assert!(!held.release());
        logged(&session, &["is refused by certificate"]);
    }
    logged(&session, &["auth-certificate", "killed by its sandbox"]);
    // Who is in is served as before.
    other.wait_for(|state| state.draws > 0, LONG).unwrap();
    other.settle(Duration::from_millis(300), LONG).unwrap();
    let (window, draws) = (
        *other.state().windows.keys().next().unwrap(),
        other.state().draws,
    );
    other.focus(Some(window)).unwrap();
    other.type_text(window, "x").unwrap();
    other.wait_for(|state| state.draws > draws, LONG).unwrap();
    connect(port, ann(), &options()).unwrap();
}

/// `xpra info`, with what the stock client is told of TLS.
fn info(session: &Session, office: &Office, port: u16, own: Option<&str>) -> (bool, Output) {
    let authority = session.home().join("tls-ca.pem");
    let mut more = vec![format!("--ssl-ca-certs={}", authority.display())];
    if let Some(name) = own {
        more.push(format!(
            "--ssl-cert={}",
            office.path(&format!("{name}.pem")).display()
        ));
        more.push(format!(
            "--ssl-key={}",
            office.path(&format!("{name}.key")).display()
        ));
    }
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let address = format!("ssl://127.0.0.1:{port}/");
    let output = stock::run_at(session, &address, &[], &more, &["info"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (
        output.status.success() && said.contains("server.mode=seamless"),
        output,
    )
}

#[test]
fn the_stock_client_shows_its_certificate() {
    let office = Office::new();
    office.client("root", "ann", RSA, "/CN=ann", "client", &[]);
    office.client("root", "bob", P256, "/CN=bob", "client", &[]);
    for name in ["ann.key", "bob.key"] {
        commands::chmod(&office.path(name), 0o644);
    }
    let trust = office.file("trust.pem", &[&office.pem("root")]);
    let (port, bind) = tls_socket("certificate(san=ann@x.org)");
    let (strict, more) = tls_socket("certificate(subject=CN=ann)");
    let trust = format!("ssl-ca-certs={}", trust.display());
    let binds = [format!("{bind},{trust}"), format!("{more},{trust}")];
    let session = Session::start(&[XTERM, &binds[0], &binds[1]]);
    let (good, output) = info(&session, &office, port, Some("ann"));
    assert!(good, "{output:?}");
    for own in [Some("bob"), None] {
        let (good, output) = info(&session, &office, strict, own);
        assert!(!good, "{own:?}: {output:?}");
    }
    logged(
        &session,
        &["auth-certificate", "`CN=bob`", "it is no user's"],
    );
    logged(
        &session,
        &["network", "shows no certificate, and this socket wants one"],
    );
    // A person.
    let screen = ClientScreen::start(1280, 800);
    let home = session.home();
    let options = [
        format!("--ssl-ca-certs={}", home.join("tls-ca.pem").display()),
        format!("--ssl-cert={}", office.path("ann.pem").display()),
        format!("--ssl-key={}", office.path("ann.key").display()),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let address = format!("ssl://127.0.0.1:{strict}/");
    let _client = StockClient::attach_at(&session, &screen, &address, &[], &options);
    eventually("the window at the client", LONG, || {
        screen.screen.window_named("wanted")
    });
    screen.activate("wanted");
    screen.xdotool(&["type", "--delay", "20", "a word"]);
    screen.xdotool(&["key", "Return"]);
    eventually("the text in the application", LONG, || {
        let typed = fs::read_to_string(home.join("typed.txt")).unwrap_or_default();
        (typed == "a word\n").then_some(())
    });
}

/// The handshake of openssl, which says what it was asked for; a hello never comes.
#[test]
fn openssl_is_asked_and_shows_its_certificate() {
    let office = Office::new();
    for (name, key) in [("ann", P256), ("bob", RSA), ("eve", ED25519)] {
        office.client("root", name, key, &format!("/CN={name}"), "client", &[]);
    }
    let trust = office.file("trust.pem", &[&office.pem("root")]);
    let (port, bind) = tls_socket("certificate(subject=CN=ann)");
    let bind = format!("{bind},ssl-ca-certs={}", trust.display());
    let session = Session::start(&[&bind]);
    let s_client = |more: &[&str]| {
        let connect = format!("127.0.0.1:{port}");
        let mut child = Command::new("openssl")
            .args(["s_client", "-connect", &connect, "-CAfile"])
            .arg(session.home().join("tls-ca.pem"))
            .args(["-ign_eof", "-verify_return_error"])
            .args(more)
            .current_dir(office.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // What is no packet ends the connection.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), &[b'x'; 64]);
        let output = child.wait_with_output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    for name in ["ann", "bob", "eve"] {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let said = s_client(&["-cert", &certificate, "-key", &key]);
        for part in [
            "New, TLSv1.3",
            "Verification: OK",
            "No client certificate CA names sent",
            "Requested Signature Algorithms: ed25519:ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA512",
        ] {
            assert!(said.contains(part), "{name}: {part}: {said}");
        }
        assert!(!said.contains("alert certificate required"), "{said}");
    }
    let said = s_client(&[]);
    assert!(said.contains("alert certificate required"), "{said}");
    // Who says nothing has not been judged.
    let lines = session.process().lines();
    assert!(
        !lines.iter().any(|line| line.contains("auth-certificate")),
        "{lines:?}"
    );
}

/// In hexadecimal digits and in base64, of DER and of PEM: the same people are let in, and no others; and with
/// revocation lists that have to be there.
#[test]
fn authorities_may_be_in_the_option() {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let office = Office::new();
    office.client("root", "ann", P256, "/CN=ann", "client", &[]);
    office.client("root", "old", P256, "/CN=ann", "client", &[]);
    office.root("stranger");
    office.client("stranger", "foreign", P256, "/CN=ann", "client", &[]);
    office.revoke("root", "old");
    let der = office.der("root");
    let hex: String = der.iter().map(|byte| format!("{byte:02x}")).collect();
    let (pem, list) = (office.pem("root"), office.list("root"));
    let both = STANDARD.encode(pem.clone() + &list);
    let file = office.file("trust.pem", &[&pem, &list]);
    let flags = "ssl-verify-flags=(X509_STRICT,CRL_CHECK_CHAIN)";
    let sockets: Vec<_> = [
        (format!("ssl-ca-data={hex}"), false),
        (
            format!("ssl-ca-data=base64:{}", STANDARD.encode(&der)),
            false,
        ),
        (format!("ssl-ca-data={both},{flags}"), true),
        (format!("ssl-ca-certs={},{flags}", file.display()), true),
    ]
    .into_iter()
    .map(|(option, lists)| {
        let (port, bind) = tls_socket("certificate(subject=CN=ann)");
        (port, format!("{bind},{option}"), lists)
    })
    .collect();
    let binds: Vec<_> = sockets.iter().map(|(_, bind, _)| bind.as_str()).collect();
    let common = ["--sharing=yes", "--start=xterm"];
    for binds in binds.chunks(2) {
        let session = Session::start(&[&common[..], binds].concat());
        for (port, bind, lists) in &sockets {
            if !binds.contains(&bind.as_str()) {
                continue;
            }
            let connect =
                |name: &str| connect(*port, Some(office.identity(&[name], name)), &options());
            connect("ann").unwrap();
            assert_eq!(connect("old").is_ok(), !lists, "{bind}");
            assert!(connect("foreign").is_err(), "{bind}");
        }
        logged(&session, &["nobody in ssl-ca-certs has signed it"]);
    }
    // The switch for all sockets, and it is not shown.
    let (port, bind) = tls_socket("certificate(subject=CN=ann)");
    let session = Session::start(&["--start=xterm", &bind, &format!("--ssl-ca-data={hex}")]);
    connect(port, Some(office.identity(&["ann"], "ann")), &options()).unwrap();
    assert!(
        !session
            .process()
            .lines()
            .iter()
            .any(|line| line.contains(&hex))
    );
}

/// Starts a session that does not come about.
fn refused(directory: &Path, bind: &str) -> String {
    let user = commands::test_user();
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new(commands::bin_dir().join("bulkhead"));
    if nix::unistd::Uid::effective().is_root() {
        use std::os::unix::process::CommandExt;
        nix::unistd::chown(scratch.path(), Some(user.uid), Some(user.gid)).unwrap();
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    let output = command
        .args(["seamless", "--daemon=no"])
        .args(bind.split(' '))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", scratch.path())
        .env("XDG_RUNTIME_DIR", scratch.path())
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success(), "{bind}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors = said.lines().filter(|line| !line.contains("warning"));
    assert_eq!(errors.count(), 1, "{bind}: {said}");
    said
}

/// Whatever is wrong with a file is said before anybody can connect.
#[test]
fn what_cannot_be_checked_is_not_opened() {
    let office = Office::new();
    office.client("root", "ann", P256, "/CN=ann", "client", &[]);
    let tls = tls::files();
    let user = commands::test_user();
    let key = fs::read_to_string(office.path("root.key")).unwrap();
    let list = office.list("root");
    for (name, text, mode) in [
        ("tls-cert.pem", tls.certificate.as_str(), 0o644),
        ("tls-key.pem", &tls.key, 0o600),
        ("empty.pem", "", 0o644),
        ("no.pem", "words", 0o644),
        ("key.pem", &(office.pem("root") + &key), 0o644),
        ("two.pem", &(office.pem("root") + &list + &list), 0o644),
        ("many.pem", &office.pem("root").repeat(33), 0o644),
        ("half.txt", "bob|san:x\nann|subject:CN=ann", 0o644),
        ("open.pem", &office.pem("root"), 0o666),
        ("users.txt", "ann|subject:CN=ann\n", 0o644),
        ("bad.txt", "ann|subject:CN=ann\nbob|subject:CN=ann\n", 0o644),
        ("open.txt", "ann|subject:CN=ann\n", 0o666),
    ] {
        let path = office.file(name, &[text]);
        commands::chmod(&path, mode);
        if nix::unistd::Uid::effective().is_root() {
            nix::unistd::chown(&path, Some(user.uid), Some(user.gid)).unwrap();
        }
    }
    let own = "ssl-cert=tls-cert.pem,ssl-key=tls-key.pem";
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let (port, other) = (free_port(), free_port());
    let ssl = |rest: &str| format!("--bind-ssl=127.0.0.1:{port},{own},{rest}");
    for (bind, part) in [
        (
            ssl("auth=certificate(users=users.txt)"),
            "add ssl-ca-certs=FILE",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=required"),
            "add ssl-ca-certs=FILE",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=optional"),
            "add ssl-ca-certs=FILE",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=perhaps"),
            "neither none, optional nor required",
        ),
        (
            ssl("auth=reject,ssl-ca-certs=root.pem"),
            "alone checks nothing",
        ),
        (
            ssl(
                "auth=certificate(users=users.txt),ssl-client-verify-mode=optional,ssl-ca-certs=root.pem",
            ),
            "needs a certificate of every client",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=none.pem"),
            "certificate none.pem: no such file",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=empty.pem"),
            "certificate empty.pem: holds no certificate in PEM",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=no.pem"),
            "certificate no.pem: holds no certificate in PEM",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=key.pem"),
            "certificate key.pem: holds a private key",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=two.pem"),
            "certificate two.pem: revocation list 2 is a second one",
        ),
        (
            ssl("auth=certificate(users=half.txt),ssl-ca-certs=root.pem"),
            "half.txt: the last line has no end",
        ),
        (
            ssl(
                "auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=/etc/ssl/certs/ca-certificates.crt",
            ),
            "has to be said: a file",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=many.pem"),
            "more than 32 certificates",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=open.pem"),
            "others may write it",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=ann.pem"),
            "certificate 1 is no authority's",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=default"),
            "has to be said: a file",
        ),
        (
            ssl(
                "auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=root.pem,ssl-ca-data=3000",
            ),
            "ssl-ca-certs= and ssl-ca-data=: which of them?",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=required,ssl-ca-data=hello"),
            "ssl-ca-data: these are no certificates",
        ),
        (
            ssl("auth=reject,ssl-client-verify-mode=required,ssl-ca-data=3000"),
            "ssl-ca-data: is damaged",
        ),
        (
            ssl(&format!(
                "auth=reject,ssl-client-verify-mode=required,ssl-ca-data={}",
                hex(office.pem("ann").as_bytes())
            )),
            "ssl-ca-data: certificate 1 is no authority's",
        ),
        (
            ssl(&format!(
                "auth=reject,ssl-client-verify-mode=required,ssl-ca-data={}",
                hex((office.pem("root") + &key).as_bytes())
            )),
            "ssl-ca-data: holds a private key",
        ),
        (
            ssl("auth=reject,ssl-ca-data=3000"),
            "`ssl-ca-data=` alone checks nothing",
        ),
        (
            ssl("auth=reject,ssl-verify-flags=CRL_CHECK_LEAF"),
            "`ssl-verify-flags=` alone checks nothing",
        ),
        (
            ssl(
                "auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=root.pem,ssl-verify-flags=CRL_CHECK_LEAF",
            ),
            "need revocation lists",
        ),
        (
            ssl(
                "auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=root.pem,ssl-verify-flags=ALLOW_PROXY_CERTS",
            ),
            "would let in who is not let in here",
        ),
        (
            ssl(
                "auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=root.pem,ssl-protocol=TLS",
            ),
            "certificates of clients need TLS 1.3",
        ),
        (
            format!(
                "{} {}",
                ssl("auth=reject"),
                ssl("auth=reject,ssl-protocol=TLSv1_2")
                    .replace(&port.to_string(), &other.to_string())
            ),
            "TLS 1.2 alone, with the key of a socket that has TLS 1.3",
        ),
        (
            ssl("auth=certificate,ssl-ca-certs=root.pem"),
            "whose certificate lets in",
        ),
        (
            ssl("auth=certificate(users=none.txt),ssl-ca-certs=root.pem"),
            "none.txt: no such file",
        ),
        (
            ssl("auth=certificate(users=bad.txt),ssl-ca-certs=root.pem"),
            "bad.txt: line 2: the same certificate",
        ),
        (
            ssl("auth=certificate(users=open.txt),ssl-ca-certs=root.pem"),
            "others may write it",
        ),
        (
            ssl("auth=certificate(san=a),auth=certificate(san=b),ssl-ca-certs=root.pem"),
            "a client has one certificate",
        ),
        (
            format!("--bind-tcp=127.0.0.1:{port},auth=certificate(users=users.txt)"),
            "need TLS, which all clients have on --bind-ssl only",
        ),
        (
            format!(
                "--bind-tcp=127.0.0.1:{port},ssl=on,{own},auth=reject,ssl-client-verify-mode=required,ssl-ca-certs=root.pem"
            ),
            "need TLS, which all clients have on --bind-ssl only",
        ),
        (
            "--bind=auto --auth=certificate(users=users.txt)".into(),
            "works on --bind-ssl only",
        ),
        (
            "--bind=auto,ssl-client-verify-mode=required".into(),
            "TLS is for network sockets",
        ),
        ("--ssl-client-verify-mode=required".into(), "check nothing"),
        (
            format!("{} --ssl-ca-certs=root.pem", ssl("auth=reject")),
            "check nothing",
        ),
    ] {
        let said = refused(office.directory.path(), &bind);
        assert!(said.contains(part), "{bind}: {said}");
    }
}
