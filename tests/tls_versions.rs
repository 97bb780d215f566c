//! Versions and cipher suites of TLS, as a stranger finds them: with openssl, with the stock Xpra 6.5.5 client, and
//! with hellos that are written here byte by byte, as those who probe servers send them.

use bulkhead_tests::screen::ClientScreen;
use bulkhead_tests::session::{PASSWORD, Session, free_port};
use bulkhead_tests::stock::{self, StockClient};
use bulkhead_tests::tls::{address, tls_socket};
use bulkhead_tests::{commands, eventually, processes};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use test_client::{Client, Options};

const LONG: Duration = Duration::from_secs(30);

/// Runs openssl with this as its input: did it end well, and what it says.
fn openssl(directory: &Path, words: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new("openssl")
        .args(words)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Connects with `openssl s_client`, which checks the certificate.
fn s_client(directory: &Path, port: u16, more: &[&str], input: &str) -> (bool, String) {
    let connect = format!("127.0.0.1:{port}");
    let words = ["s_client", "-connect", &connect, "-verify_return_error"];
    openssl(directory, &[&words[..], more].concat(), input)
}

/// A kind of key: by which algorithm and option openssl makes one, and how TLS 1.2 with it is called.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    algorithm: &'static str,
    option: Option<&'static str>,
    suite: &'static str,
    signed: &'static str,
}

const fn curve(name: &'static str, option: &'static str) -> Kind {
    Kind {
        name,
        algorithm: "EC",
        option: Some(option),
        suite: "ECDHE-ECDSA",
        signed: "ECDSA",
    }
}

const KEYS: [Kind; 5] = [
    Kind {
        name: "rsa",
        algorithm: "RSA",
        option: Some("rsa_keygen_bits:2048"),
        suite: "ECDHE-RSA",
        signed: "RSA-PSS",
    },
    curve("p256", "ec_paramgen_curve:P-256"),
    curve("p384", "ec_paramgen_curve:P-384"),
    curve("p521", "ec_paramgen_curve:P-521"),
    Kind {
        name: "ed25519",
        algorithm: "ED25519",
        option: None,
        suite: "ECDHE-ECDSA",
        signed: "ed25519",
    },
];

/// One more, for sockets that have nothing newer than TLS 1.2.
const ALONE: Kind = curve("alone", "ec_paramgen_curve:P-256");

/// Certificates of all kinds, of the session's user: the directory.
fn certificates() -> tempfile::TempDir {
    let temporary = tempfile::tempdir().unwrap();
    let directory = temporary.path();
    commands::chmod(directory, 0o755);
    let user = commands::test_user();
    for kind in KEYS.into_iter().chain([ALONE]) {
        let (key, certificate) = (format!("{}.key", kind.name), format!("{}.crt", kind.name));
        let mut make = vec!["genpkey", "-out", &key, "-algorithm", kind.algorithm];
        make.extend(kind.option.iter().flat_map(|option| ["-pkeyopt", option]));
        let request = ["req", "-new", "-x509", "-key", &key, "-out", &certificate];
        let subject = ["-subj", "/CN=127.0.0.1", "-days", "2"];
        for words in [make, [&request[..], &subject].concat()] {
            let (success, said) = openssl(directory, &words, "");
            assert!(success, "{words:?}: {said}");
        }
        let key = directory.join(key);
        commands::chmod(&key, 0o600);
        nix::unistd::chown(&key, Some(user.uid), Some(user.gid)).unwrap();
    }
    temporary
}

/// A socket with one of them, and more options: its port and the option.
fn socket(directory: &Path, name: &str, more: &str) -> (u16, String) {
    let port = free_port();
    let file = |end| {
        directory
            .join(format!("{name}.{end}"))
            .display()
            .to_string()
    };
    let bind = format!(
        "--bind-ssl=127.0.0.1:{port},auth=reject,ssl-cert={},ssl-key={}{more}",
        file("crt"),
        file("key")
    );
    (port, bind)
}

#[test]
fn openssl_has_tls_1_2_where_it_is_allowed_and_only_there() {
    let temporary = certificates();
    let directory = temporary.path();
    let sockets: Vec<_> = KEYS
        .iter()
        .map(|kind| {
            let both = socket(directory, kind.name, ",ssl-protocol=TLS");
            (both, socket(directory, kind.name, ""))
        })
        .collect();
    let (old, bind_old) = socket(directory, "alone", ",ssl-protocol=TLSv1_2");
    let (not, bind_not) = socket(
        directory,
        "p256",
        ",ssl-protocol=auto,ssl-options=ALL:NO_TLSv1_2",
    );
    let (chosen, bind_chosen) = socket(
        directory,
        "rsa",
        ",ssl-protocol=TLS,ssl-ciphers=(ECDHE-RSA-AES128-GCM-SHA256,TLS_AES_128_GCM_SHA256,ECDHE-RSA-AES256-GCM-SHA384)",
    );
    let mut binds: Vec<&str> = vec![&bind_old, &bind_not, &bind_chosen];
    for ((_, both), (_, new)) in &sockets {
        binds.extend([both.as_str(), new.as_str()]);
    }
    let session = Session::start(&binds);
    let warned = |line: &String| line.contains("a socket with TLS 1.2 alone");
    assert_eq!(
        session
            .process()
            .lines()
            .iter()
            .filter(|line| warned(line))
            .count(),
        1
    );

    let new = "New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384";
    for (kind, ((both, _), (alone, _))) in KEYS.into_iter().zip(&sockets) {
        let Kind {
            name,
            suite,
            signed,
            ..
        } = kind;
        let trusted = format!("{name}.crt");
        let trusted = ["-CAfile", &trusted];
        let connect =
            |port: u16, more: &[&str]| s_client(directory, port, &[&trusted, more].concat(), "");
        let (success, said) = connect(*alone, &["-tls1_2"]);
        assert!(
            !success && said.contains("Cipher is (NONE)"),
            "{name}: {said}"
        );
        for port in [*both, *alone] {
            let (success, said) = connect(port, &[]);
            assert!(success && said.contains(new), "{name}: {said}");
        }
        let (success, said) = connect(*both, &["-tls1_2"]);
        assert!(success, "{name}: {said}");
        for part in [
            &format!("New, TLSv1.2, Cipher is {suite}-CHACHA20-POLY1305"),
            "Verification: OK",
            &format!("Peer signature type: {signed}"),
            "Compression: NONE",
            "Extended master secret: yes",
            "Secure Renegotiation IS supported",
            "Session-ID: \n",
            "Server Temp Key: X25519",
        ] {
            assert!(said.contains(part), "{name}: {part}: {said}");
        }
        assert!(!said.contains("TLS session ticket"), "{name}: {said}");
        for cipher in [
            "AES256-GCM-SHA384",
            "AES128-GCM-SHA256",
            "CHACHA20-POLY1305",
        ] {
            let cipher = format!("{suite}-{cipher}");
            let (success, said) = connect(*both, &["-tls1_2", "-cipher", &cipher]);
            assert!(
                success && said.contains(&cipher),
                "{name}: {cipher}: {said}"
            );
        }
        let (success, said) = connect(*both, &["-tls1_2", "-groups", "P-256:P-384:P-521"]);
        let part = "Server Temp Key: ECDH, prime256v1";
        assert!(success && said.contains(part), "{name}: {said}");
        let (success, said) = connect(*both, &["-tls1_2", "-groups", "P-384:P-521"]);
        assert!(!success, "{name}: {said}");
    }

    let alone = ["-CAfile", "alone.crt"];
    let (success, said) = s_client(directory, old, &alone, "");
    assert!(success && said.contains("New, TLSv1.2"), "{said}");
    assert!(!s_client(directory, old, &[&alone[..], &["-tls1_3"]].concat(), "").0);
    let p256 = ["-CAfile", "p256.crt"];
    let connect = |port, more: &[&str]| s_client(directory, port, &[&p256, more].concat(), "");
    assert!(connect(not, &[]).1.contains(new));
    assert!(!connect(not, &["-tls1_2"]).0);
    // What is named and nothing else, and the first of it first.
    let rsa = ["-CAfile", "rsa.crt"];
    for (more, suite) in [
        (&["-tls1_2"][..], Some("ECDHE-RSA-AES128-GCM-SHA256")),
        (&[], Some("TLS_AES_128_GCM_SHA256")),
        (
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"],
            Some("ECDHE-RSA-AES256-GCM-SHA384"),
        ),
        (&["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"], None),
        (
            &["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"],
            None,
        ),
    ] {
        let (success, said) = s_client(directory, chosen, &[&rsa, more].concat(), "");
        assert_eq!(success, suite.is_some(), "{more:?}: {said}");
        let cipher = format!("Cipher is {}", suite.unwrap_or("(NONE)"));
        assert!(said.contains(&cipher), "{more:?}: {said}");
    }
    session.process().wait_for_line(LONG, |line| {
        line.contains("no cipher suite that this socket has")
    });

    // `R` asks for another handshake on the same connection.
    let (port, _) = sockets[0].0;
    let words = ["-CAfile", "rsa.crt", "-tls1_2"];
    let (_, said) = s_client(directory, port, &words, "R\n");
    assert!(said.contains("RENEGOTIATING"), "{said}");
    assert!(said.contains("no renegotiation"), "{said}");
    // Who still uses it is in the log.
    for part in [
        "the client speaks TLS 1.2, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, X25519",
        "the client speaks TLS 1.3, TLS_AES_128_GCM_SHA256, X25519",
        "exchanges keys in no group that there is here",
    ] {
        session
            .process()
            .wait_for_line(LONG, |line| line.contains(part));
    }
    no_filter_had_to_act(&session);
}

/// No filter had to end what no sound process does.
fn no_filter_had_to_act(session: &Session) {
    let lines = session.process().lines();
    let killed = lines.iter().find(|line| line.contains("by its sandbox"));
    assert_eq!(killed, None);
}

/// What a ClientHello has in it.
#[derive(Clone)]
struct Hello {
    /// Of the record and of the hello itself.
    version: [u8; 2],
    suites: Vec<u16>,
    compressions: Vec<u8>,
    extensions: Vec<(u16, Vec<u8>)>,
}

fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap();
    [&len.to_be_bytes(), bytes].concat()
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

const GROUPS: u16 = 10;
const POINTS: u16 = 11;
const SCHEMES: u16 = 13;
const HEARTBEAT: u16 = 15;
const MASTER_SECRET: u16 = 23;
const TICKET: u16 = 35;
const VERSIONS: u16 = 43;
const RENEGOTIATION: u16 = 0xff01;

impl Hello {
    /// One of TLS 1.2 that is served: each row of a table changes one thing.
    fn good() -> Self {
        Self {
            version: [3, 3],
            // ECDHE with ECDSA and with RSA, AES-128-GCM.
            suites: vec![0xc02b, 0xc02f],
            compressions: vec![0],
            extensions: vec![
                (GROUPS, long(&numbers(&[29, 23]))),
                (POINTS, short(&[0])),
                // ECDSA on P-256 with SHA-256, and RSA-PSS.
                (SCHEMES, long(&numbers(&[0x0403, 0x0804]))),
                (MASTER_SECRET, Vec::new()),
                (RENEGOTIATION, vec![0]),
            ],
        }
    }

    fn with(mut self, kind: u16, content: Vec<u8>) -> Self {
        self = self.without(kind);
        self.extensions.push((kind, content));
        self
    }

    fn without(mut self, kind: u16) -> Self {
        self.extensions.retain(|(other, _)| *other != kind);
        self
    }

    fn suites(mut self, suites: &[u16]) -> Self {
        self.suites = suites.to_vec();
        self
    }

    fn version(mut self, version: [u8; 2]) -> Self {
        self.version = version;
        self
    }

    fn compressions(mut self, compressions: &[u8]) -> Self {
        self.compressions = compressions.to_vec();
        self
    }

    /// RFC 5246, section 7.4.1.2.
    fn record(&self) -> Vec<u8> {
        let extension =
            |(kind, content): &(u16, Vec<u8>)| [&kind.to_be_bytes()[..], &long(content)].concat();
        let extensions: Vec<u8> = self.extensions.iter().flat_map(extension).collect();
        let body = [
            &self.version[..],
            &[7; 32],
            &[0],
            &long(&numbers(&self.suites)),
            &short(&self.compressions),
            &long(&extensions),
        ]
        .concat();
        let handshake = [&[1, 0][..], &long(&body)].concat();
        [&[22][..], &self.version, &long(&handshake)].concat()
    }
}

/// How a server answers a hello.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// Nothing.
    Silence,
    /// An alert: its number.
    Alert(u8),
    /// A handshake.
    Hello {
        version: [u8; 2],
        random: [u8; 32],
        session: Vec<u8>,
        suite: u16,
        compression: u8,
        extensions: Vec<u16>,
    },
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let Some((head, rest)) = bytes.split_first_chunk::<5>() else {
            assert_eq!(bytes, b"", "part of a record");
            return Self::Silence;
        };
        if head[0] == 21 {
            assert_eq!(rest[0], 2, "a fatal alert");
            return Self::Alert(rest[1]);
        }
        assert_eq!((head[0], rest[0]), (22, 2), "a ServerHello");
        let mut rest = &rest[4..];
        let mut take = |count: usize| {
            let (taken, left) = rest.split_at(count);
            rest = left;
            taken.to_vec()
        };
        let version = take(2).try_into().unwrap();
        let random = take(32).try_into().unwrap();
        let len = take(1)[0];
        let session = take(len.into());
        let suite = take(2);
        let compression = take(1)[0];
        let mut left = usize::from(u16::from_be_bytes(take(2).try_into().unwrap()));
        let mut extensions = Vec::new();
        while left > 0 {
            let kind = u16::from_be_bytes(take(2).try_into().unwrap());
            let len = u16::from_be_bytes(take(2).try_into().unwrap());
            take(len.into());
            extensions.push(kind);
            left -= 4 + usize::from(len);
        }
        Self::Hello {
            version,
            random,
            session,
            suite: u16::from_be_bytes(suite.try_into().unwrap()),
            compression,
            extensions,
        }
    }
}

/// Sends this, and reads until the end, or (`first`) the end of the first record.
fn send(port: u16, sent: &[u8], first: bool) -> Vec<u8> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket.write_all(sent).unwrap();
    let mut all = Vec::new();
    let mut part = [0; 4096];
    loop {
        let record = all
            .get(3..5)
            .map(|len: &[u8]| 5 + usize::from(u16::from_be_bytes([len[0], len[1]])));
        if first && record.is_some_and(|len| all.len() >= len) {
            return all;
        }
        match socket.read(&mut part) {
            Ok(0) => return all,
            Ok(count) => all.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return all,
            Err(error) => panic!("{error}: {all:?}"),
        }
    }
}

fn answer(port: u16, hello: &Hello) -> Answer {
    Answer::read(&send(port, &hello.record(), true))
}

const HANDSHAKE_FAILURE: Answer = Answer::Alert(40);
const ILLEGAL_PARAMETER: Answer = Answer::Alert(47);
const PROTOCOL_VERSION: Answer = Answer::Alert(70);

/// What `testssl` and its like look for, on sockets that speak as much as there is: each row is a hello that is
/// served but for one thing.
#[test]
fn what_is_weak_is_refused() {
    let temporary = certificates();
    let directory = temporary.path();
    let both = |name| socket(directory, name, ",ssl-protocol=TLS,ssl-options=ALL");
    let (ecdsa, bind) = both("p256");
    let (rsa, bind_rsa) = both("rsa");
    let (alone, bind_alone) = socket(directory, "alone", ",ssl-protocol=TLSv1_2");
    let (new, bind_new) = socket(directory, "p256", "");
    let session = Session::start(&[&bind, &bind_rsa, &bind_alone, &bind_new]);
    let good = Hello::good;
    let of = |suite: u16| move || Hello::good().suites(&[suite]);
    let rows: [(&str, &dyn Fn() -> Hello, Answer); 38] = [
        ("SSL 3.0", &|| good().version([3, 0]), PROTOCOL_VERSION),
        ("TLS 1.0", &|| good().version([3, 1]), PROTOCOL_VERSION),
        ("TLS 1.1", &|| good().version([3, 2]), PROTOCOL_VERSION),
        (
            "TLS 1.1 and 1.0, said as new clients do",
            &|| good().with(VERSIONS, short(&[3, 2, 3, 1])),
            PROTOCOL_VERSION,
        ),
        ("NULL with MD5", &of(0x0001), HANDSHAKE_FAILURE),
        ("NULL with SHA-256", &of(0x003b), HANDSHAKE_FAILURE),
        ("ECDHE with NULL", &of(0xc010), HANDSHAKE_FAILURE),
        ("export RC4-40", &of(0x0003), HANDSHAKE_FAILURE),
        ("export RC2-40", &of(0x0006), HANDSHAKE_FAILURE),
        ("export DHE with DES-40", &of(0x0014), HANDSHAKE_FAILURE),
        ("RC4 with MD5", &of(0x0004), HANDSHAKE_FAILURE),
        ("RC4", &of(0x0005), HANDSHAKE_FAILURE),
        ("ECDHE-ECDSA with RC4", &of(0xc007), HANDSHAKE_FAILURE),
        ("ECDHE-RSA with RC4", &of(0xc011), HANDSHAKE_FAILURE),
        ("DES", &of(0x0009), HANDSHAKE_FAILURE),
        ("3DES", &of(0x000a), HANDSHAKE_FAILURE),
        ("ECDHE-RSA with 3DES", &of(0xc012), HANDSHAKE_FAILURE),
        ("IDEA", &of(0x0007), HANDSHAKE_FAILURE),
        ("SEED", &of(0x0096), HANDSHAKE_FAILURE),
        (
            "ECDHE-ECDSA with AES-CBC and SHA-1",
            &of(0xc009),
            HANDSHAKE_FAILURE,
        ),
        (
            "ECDHE-ECDSA with AES-CBC and SHA-256",
            &of(0xc023),
            HANDSHAKE_FAILURE,
        ),
        (
            "ECDHE-RSA with AES-CBC and SHA-1",
            &of(0xc013),
            HANDSHAKE_FAILURE,
        ),
        (
            "ECDHE-RSA with AES-CBC and SHA-384",
            &of(0xc028),
            HANDSHAKE_FAILURE,
        ),
        (
            "exchange of keys by RSA, AES-CBC",
            &of(0x002f),
            HANDSHAKE_FAILURE,
        ),
        (
            "exchange of keys by RSA, AES-GCM",
            &of(0x009c),
            HANDSHAKE_FAILURE,
        ),
        ("DHE with AES-GCM", &of(0x009e), HANDSHAKE_FAILURE),
        ("DHE with ChaCha20", &of(0xccaa), HANDSHAKE_FAILURE),
        ("static ECDH", &of(0xc02d), HANDSHAKE_FAILURE),
        ("nobody signs: DH", &of(0x00a6), HANDSHAKE_FAILURE),
        ("nobody signs: ECDH", &of(0xc018), HANDSHAKE_FAILURE),
        ("a key that both have", &of(0x00a8), HANDSHAKE_FAILURE),
        ("CCM with short tags", &of(0xc0ae), HANDSHAKE_FAILURE),
        (
            "a curve that is too short",
            &|| good().with(GROUPS, long(&numbers(&[19, 15]))),
            HANDSHAKE_FAILURE,
        ),
        ("no curves", &|| good().without(GROUPS), HANDSHAKE_FAILURE),
        (
            "no extended master secret",
            &|| good().without(MASTER_SECRET),
            HANDSHAKE_FAILURE,
        ),
        (
            "signatures with SHA-1 and MD5 alone",
            &|| good().with(SCHEMES, long(&numbers(&[0x0201, 0x0203, 0x0101]))),
            HANDSHAKE_FAILURE,
        ),
        (
            "compression alone",
            &|| good().compressions(&[1]),
            ILLEGAL_PARAMETER,
        ),
        (
            "points in short form alone",
            &|| good().with(POINTS, short(&[1, 2])),
            ILLEGAL_PARAMETER,
        ),
    ];
    for port in [ecdsa, rsa, alone] {
        for (name, hello, refused) in &rows {
            assert_eq!(answer(port, &hello()), *refused, "{name}");
        }
    }

    // And the same hello with nothing changed, or with something that is not taken up.
    for (port, suite) in [(ecdsa, 0xc02b), (rsa, 0xc02f), (alone, 0xc02b)] {
        for (name, hello) in [
            ("nothing", good()),
            ("compression too", good().compressions(&[1, 0])),
            ("heartbeats", good().with(HEARTBEAT, vec![1])),
            ("tickets", good().with(TICKET, Vec::new())),
            ("a ticket of somebody's", good().with(TICKET, vec![9; 64])),
            ("weak suites first", {
                let weak = [0x0005, 0x000a, 0x002f, 0xc013, 0x009e];
                good().suites(&[&weak[..], &[0xc02b, 0xc02f]].concat())
            }),
        ] {
            let Answer::Hello {
                version,
                random,
                session,
                suite: chosen,
                compression,
                extensions,
            } = answer(port, &hello)
            else {
                panic!("{name}: refused");
            };
            assert_eq!((version, chosen, compression), ([3, 3], suite, 0), "{name}");
            assert_eq!(session, b"", "{name}: no session is kept");
            assert!(
                extensions.contains(&MASTER_SECRET),
                "{name}: {extensions:?}"
            );
            for none in [HEARTBEAT, TICKET] {
                assert!(!extensions.contains(&none), "{name}: {extensions:?}");
            }
            // RFC 8446, section 4.1.3: a client that could do better notices.
            let says = random.ends_with(b"DOWNGRD\x01");
            assert_eq!(says, port != alone, "{name}: {random:?}");
        }
        // A heartbeat instead of the rest of the handshake ends it, and is not answered with memory.
        let heartbeat = [24, 3, 3, 0, 3, 1, 0x40, 0];
        let sent = [&good().record()[..], &heartbeat].concat();
        let said = send(port, &sent, false);
        assert!(said.len() < 4096, "{} bytes", said.len());
        // A hello in the form of SSL 2.0.
        let old = [0x80, 0x1c, 1, 3, 1, 0, 3, 0, 0, 0, 16, 0, 0, 4];
        assert_eq!(send(port, &[&old[..], &[7; 16]].concat(), false), b"");
    }
    // Where nothing is said, TLS 1.2 is not spoken at all.
    assert_eq!(answer(new, &good()), PROTOCOL_VERSION);
    session.process().wait_for_line(LONG, |line| {
        line.contains("without extended master secrets")
    });
    no_filter_had_to_act(&session);
}

/// The stock client, which is told to speak TLS 1.2, and whose server allows it.
#[test]
fn a_person_with_an_old_client_sees_the_session() {
    let auth = format!("password(value={PASSWORD})");
    let (port, bind) = tls_socket(&auth);
    let (new, bind_new) = tls_socket(&auth);
    let session = Session::start(&[
        "--start=xterm -T wanted",
        "--sharing=yes",
        &format!("{bind},ssl-protocol=TLS"),
        &bind_new,
    ]);
    let authority = session.home().join("tls-ca.pem");
    let authority = format!("--ssl-ca-certs={}", authority.display());
    let old = [authority.as_str(), "--ssl-protocol=TLSv1_2"];
    let address_of = |port| format!("ssl://127.0.0.1:{port}/");
    let ask = |port, words: &[&str]| {
        let output = stock::run_at(&session, &address_of(port), &[PASSWORD], &old, words);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said, output)
    };
    let (success, said, output) = ask(port, &["info"]);
    assert!(
        success && said.contains("server.mode=seamless"),
        "{output:?}"
    );
    let (success, said, output) = ask(new, &["info"]);
    assert!(!success && !said.contains("server."), "{output:?}");
    session.process().wait_for_line(LONG, |line| {
        line.contains("no version of TLS that this socket does")
    });

    let screen = ClientScreen::start(1280, 800);
    let _client = StockClient::attach_at(&session, &screen, &address_of(port), &[PASSWORD], &old);
    let x11 = session.screen();
    let inside = eventually("the window in the session", LONG, || {
        x11.window_named("wanted")
    });
    let outside = eventually("the window at the client", LONG, || {
        screen.screen.window_named("wanted")
    });
    eventually("both pictures are the same, and not empty", LONG, || {
        let (wanted, shown) = (x11.picture(inside)?, screen.screen.picture(outside)?);
        (wanted.difference(&shown) == Some(0) && wanted.colours() > 1).then_some(())
    });
    session
        .process()
        .wait_for_line(LONG, |line| line.contains("encrypted with TLS 1.3 or 1.2"));
    no_filter_had_to_act(&session);
}

/// Stock clients have the code to change to TLS, and none of them says so in its hello (6.4.4 and 6.5.5): then nobody
/// asks them, here as there. With that one line added to its hello the stock client is asked, changes, and
/// logs in over TLS.
#[test]
fn the_stock_client_changes_to_tls_when_it_says_that_it_can() {
    const SAYS: &str = "
import xpra.client.base.client as base
before = base.XpraClientBase.make_hello_base
def make_hello_base(self):
    hello = before(self)
    hello['packet-types'] = ('ssl-upgrade', )
    return hello
base.XpraClientBase.make_hello_base = make_hello_base
";
    let port = free_port();
    let bind = format!(
        "--bind-tcp=127.0.0.1:{port},auth=password(value={PASSWORD}),ssl=on,ssl-cert=tls-cert.pem,ssl-key=tls-key.pem"
    );
    let session = Session::start(&["--start=xterm", "--sharing=yes", &bind]);
    let library = tempfile::tempdir().unwrap();
    let address = format!("tcp://127.0.0.1:{port}/");
    let handler = format!(
        "--challenge-handlers=file:filename={}",
        session.password_file().display()
    );
    let ask = || {
        let library = library.path().display().to_string();
        let variables = [("PYTHONPATH", library)];
        let output = stock::run_with(&session, &variables, &["info", &address, &handler]);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (output.status.success(), said)
    };
    // As it is, it is served in clear.
    let (success, said) = ask();
    assert!(success && said.contains("server.mode=seamless"), "{said}");
    assert!(!said.contains("SSL handshake complete"), "{said}");
    let changes = |line: &str| line.contains("the client changes to TLS");
    assert!(!session.process().lines().iter().any(|line| changes(line)));
    std::fs::write(library.path().join("sitecustomize.py"), SAYS).unwrap();
    let (success, said) = ask();
    assert!(success && said.contains("server.mode=seamless"), "{said}");
    assert!(said.contains("SSL handshake complete, TLSv1.3"), "{said}");
    session.process().wait_for_line(LONG, changes);
    no_filter_had_to_act(&session);
}

/// A `keys` that is away costs a handshake of TLS 1.2 as well, and what is signed is signed there.
#[test]
fn a_handshake_of_tls_1_2_is_signed_by_keys() {
    let (port, bind) = tls_socket(&format!("password(value={PASSWORD})"));
    let session = Session::start(&["--start=xterm", &format!("{bind},ssl-protocol=TLS")]);
    let mut options = Options::gtk().password(PASSWORD);
    options.hello.share = true;
    let old = address(port).old();
    Client::connect(&old, &options, LONG).unwrap();
    let server = session.process().id();
    processes::replace(server, "keys", nix::sys::signal::Signal::SIGKILL);
    eventually("another client", LONG, || {
        Client::connect(&old, &options, LONG).ok()
    });
}
