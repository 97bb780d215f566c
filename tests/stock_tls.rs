//! TLS with the stock Xpra 6.5.5 client, with openssl, and with a client of ours on rustls.

use bulkhead_tests::screen::ClientScreen;
use bulkhead_tests::secrets::holds;
use bulkhead_tests::session::{PASSWORD, Session, Start, free_port};
use bulkhead_tests::stock::{self, StockClient, Via};
use bulkhead_tests::tls::{address, files, locked_key, tls_socket};
use bulkhead_tests::{commands, eventually, processes};
use nix::sys::signal::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use test_client::{Address, Client, Error, Options};

const LONG: Duration = Duration::from_secs(30);
const XTERM: &str = "--start=xterm -T wanted -geometry 60x20+40+30 -e tee typed.txt";
const AUTHORITY: Option<&str> = Some("tls-ca.pem");

/// A session with a TLS socket that wants the password.
fn session(more: &[&str]) -> (Session, u16) {
    let (port, bind) = tls_socket(&format!("password(value={PASSWORD})"));
    let options = [XTERM, "--sharing=yes", &bind];
    (Session::start(&[&options[..], more].concat()), port)
}

fn typed(session: &Session) -> String {
    std::fs::read_to_string(session.home().join("typed.txt")).unwrap_or_default()
}

fn options() -> Options {
    let mut options = Options::gtk().password(PASSWORD);
    options.hello.share = true;
    options
}

#[test]
fn a_person_types_in_a_session_with_tls() {
    let (session, port) = session(&[]);
    let screen = ClientScreen::start(1280, 800);
    let _client = StockClient::attach(&session, &screen, Via::Tls(port, AUTHORITY));
    let x11 = session.screen();
    let inside = eventually("the window in the session", LONG, || {
        x11.window_named("wanted")
    });
    let outside = eventually("the window at the client", LONG, || {
        screen.screen.window_named("wanted")
    });
    screen.activate("wanted");
    screen.xdotool(&["type", "--delay", "20", "a word"]);
    screen.xdotool(&["key", "Return"]);
    eventually("the text in the application", LONG, || {
        (typed(&session) == "a word\n").then_some(())
    });
    eventually("both pictures are the same, and not empty", LONG, || {
        let (wanted, shown) = (x11.picture(inside)?, screen.screen.picture(outside)?);
        (wanted.difference(&shown) == Some(0) && wanted.colours() > 1).then_some(())
    });
    session
        .process()
        .wait_for_line(LONG, |line| line.contains("encrypted with TLS 1.3"));
}

#[test]
fn the_command_line_tools_check_the_certificate() {
    let (session, port) = session(&[]);
    let ask = |via, words: &[&str]| {
        let output = stock::run(&session, via, words);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), said, output)
    };
    for (words, expected) in [
        (["info"], "server.mode=seamless"),
        (["id"], "session-type=seamless"),
        (["version"], "6.5"),
    ] {
        let (success, said, output) = ask(Via::Tls(port, AUTHORITY), &words);
        assert!(success && said.contains(expected), "{output:?}");
    }
    let (success, said, output) = ask(Via::Tls(port, None), &["info"]);
    assert!(!success && !said.contains("server."), "{output:?}");
    session
        .process()
        .wait_for_line(LONG, |line| line.contains("does not trust the certificate"));
    let (success, _, output) = ask(Via::Tls(port, AUTHORITY), &["stop"]);
    assert!(success, "{output:?}");
}

fn openssl(directory: &Path, words: &[&str]) -> Output {
    let output = Command::new("openssl")
        .args(words)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    output
}

/// Connects with `openssl s_client`, which checks the certificate; what it says.
fn s_client(directory: &Path, port: u16, more: &[&str]) -> (bool, String) {
    let connect = format!("127.0.0.1:{port}");
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &connect, "-verify_return_error"])
        .args(more)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Every kind of key, in every form that openssl writes them in, and what such a handshake is
/// signed with.
const KEYS: [(&str, &[&str], &str); 7] = [
    (
        "rsa",
        &[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
        ],
        "RSA-PSS",
    ),
    ("rsa-pkcs1", &["genrsa", "-traditional", "2048"], "RSA-PSS"),
    (
        "p256",
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ],
        "ECDSA",
    ),
    (
        "p256-sec1",
        &["ecparam", "-genkey", "-noout", "-name", "prime256v1"],
        "ECDSA",
    ),
    (
        "p384",
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-384",
        ],
        "ECDSA",
    ),
    (
        "p521",
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-521",
        ],
        "ECDSA",
    ),
    ("ed25519", &["genpkey", "-algorithm", "ED25519"], "ed25519"),
];

#[test]
fn openssl_connects_with_every_kind_of_key() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    commands::chmod(directory, 0o755);
    let user = commands::test_user();
    let mut binds = Vec::new();
    for (name, make, _) in KEYS {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        openssl(
            directory,
            &[&make[..1], &["-out", &key], &make[1..]].concat(),
        );
        let request = ["req", "-new", "-x509", "-key", &key, "-out", &certificate];
        let subject = ["-subj", "/CN=127.0.0.1", "-days", "2"];
        openssl(directory, &[&request[..], &subject].concat());
        let key = directory.join(key);
        commands::chmod(&key, 0o600);
        nix::unistd::chown(&key, Some(user.uid), Some(user.gid)).unwrap();
        let port = free_port();
        let bind = format!(
            "--bind-ssl=127.0.0.1:{port},auth=reject,ssl-cert={},ssl-key={}",
            directory.join(certificate).display(),
            key.display(),
        );
        binds.push((port, bind));
    }
    let options: Vec<_> = binds.iter().map(|(_, bind)| bind.as_str()).collect();
    let session = Session::start(&options);
    for ((name, _, signed), (port, _)) in KEYS.into_iter().zip(&binds) {
        let trusted = format!("{name}.crt");
        let (success, said) = s_client(directory, *port, &["-CAfile", &trusted]);
        assert!(success, "{name}: {said}");
        for part in [
            "New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384",
            "Verification: OK",
            &format!("Peer signature type: {signed}"),
            "No ALPN negotiated",
        ] {
            assert!(said.contains(part), "{name}: {part}: {said}");
        }
        // Tickets would be shown.
        assert!(!said.contains("Session Ticket arrived"), "{said}");
    }
    let (port, _) = binds[0];
    for suite in [
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_GCM_SHA256",
    ] {
        let words = ["-CAfile", "rsa.crt", "-ciphersuites", suite];
        let (success, said) = s_client(directory, port, &words);
        assert!(success && said.contains(suite), "{suite}: {said}");
    }
    for (group, share) in [("P-256", "ECDH, prime256v1"), ("X25519", "X25519")] {
        let words = ["-CAfile", "rsa.crt", "-groups", group];
        let (success, said) = s_client(directory, port, &words);
        assert!(success && said.contains(share), "{group}: {said}");
    }
    for old in [
        &["-tls1_2"][..],
        &["-tls1_1"],
        &["-tls1"],
        &["-groups", "P-521"],
        &["-ciphersuites", "TLS_AES_128_CCM_SHA256"],
    ] {
        let words = [&["-CAfile", "rsa.crt"], old].concat();
        let (success, said) = s_client(directory, port, &words);
        assert!(
            !success && said.contains("Cipher is (NONE)"),
            "{old:?}: {said}"
        );
    }
    // Whoever was refused cost nobody else anything.
    let (success, said) = s_client(directory, port, &["-CAfile", "rsa.crt"]);
    assert!(success, "{said}");
    drop(session);
}

/// Sends this, and reads until the end.
fn answer(port: u16, sent: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket.write_all(sent).unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut all = Vec::new();
    match socket.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    all
}

/// A hello as a client in clear sends it.
fn hello() -> Vec<u8> {
    let writer = test_client::wire::record::RecordWriter::new(false);
    let packet = options().hello.into_packet();
    writer.record(&packet, true).unwrap()
}

/// What each kind of socket makes of each kind of client: no socket has a way around what it wants.
#[test]
fn what_a_socket_wants_is_what_it_serves() {
    let auth = format!("password(value={PASSWORD})");
    let (required, bind) = tls_socket(&auth);
    let either = free_port();
    let bind_either = format!(
        "--bind-tcp=127.0.0.1:{either},auth={auth},ssl=on,ssl-cert=tls-cert.pem,ssl-key=tls-key.pem"
    );
    // The same two, with TLS 1.2, and with nothing newer.
    let (both, bind_both) = tls_socket(&auth);
    let bind_both = format!("{bind_both},ssl-protocol=TLS");
    let (old, bind_old) = tls_socket(&auth);
    let bind_old = format!("{bind_old},ssl-protocol=TLSv1_2");
    let any = free_port();
    let bind_any = bind_either.replace(&either.to_string(), &any.to_string());
    let bind_any = format!("{bind_any},ssl-protocol=TLS");
    // One that asks nobody to change.
    let quiet = free_port();
    let bind_quiet = bind_either.replace(&either.to_string(), &quiet.to_string());
    let bind_quiet = format!("{bind_quiet},ssl-upgrade=no");
    let binds = [&bind, &bind_either, &bind_both, &bind_any, &bind_quiet].map(String::as_str);
    // Not beside one with TLS 1.3 and the same certificate.
    let _alone = Session::start(&[XTERM, "--sharing=yes", &bind_old]);
    let session = Session::start(&[&[XTERM, "--sharing=yes"], &binds[..]].concat());
    let tcp = |port| Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    for (port, clear, tls13, tls12, changes) in [
        (session.port, true, false, false, false),
        (required, false, true, false, false),
        (either, true, true, false, true),
        (both, false, true, true, false),
        (old, false, false, true, false),
        (any, true, true, true, true),
        (quiet, true, true, false, false),
    ] {
        // Each way in: a kind of address that is new has its row here.
        let ways = [
            tcp(port),
            address(port),
            address(port).old(),
            address(port).changing(),
        ];
        for address in ways {
            let served = match &address {
                Address::Tcp(_) => clear,
                Address::Tls(_, _, _, false) => tls13,
                Address::Tls(_, _, _, true) => tls12,
                Address::Changing(..) => changes,
                Address::Unix(_) | Address::Abstract(_) => unreachable!("not of this socket"),
            };
            let served_so = Client::connect(&address, &options(), LONG).is_ok();
            assert_eq!(served_so, served, "{port} {address:?}");
            // Never without the password.
            let mut wrong = options();
            wrong.password = None;
            assert!(
                Client::connect(&address, &wrong, LONG).is_err(),
                "{address:?}"
            );
        }
        // A client in clear is not told a byte where TLS is wanted, whatever it sends.
        if !clear {
            for sent in [
                &hello()[..],
                b"GET / HTTP/1.1\r\n\r\n",
                b"SSH-2.0-x\r\n",
                b"P",
                b"\0",
            ] {
                assert_eq!(answer(port, sent), b"", "{sent:?}");
            }
        }
    }
    session
        .process()
        .wait_for_line(LONG, |line| line.contains("attach with ssl://"));
    // The password of one socket is asked under TLS as well.
    let mut wrong = options();
    wrong.password = Some(b"wrong".to_vec());
    let refused = Client::connect(&address(required), &wrong, LONG).err();
    assert!(
        matches!(&refused, Some(Error::Disconnected(why)) if why[0].contains("authentication")),
        "{refused:?}"
    );
}

/// What is no handshake ends that connection, and is answered with an alert at most.
#[test]
fn rubbish_ends_its_own_connection() {
    let (session, port) = session(&[]);
    let mut openings: Vec<Vec<u8>> = vec![
        b"\x16".to_vec(),
        b"\x16\x03\x01".to_vec(),
        // A record that never comes, one that is too long, one of nothing.
        b"\x16\x03\x01\x02\x00\x01".to_vec(),
        b"\x16\x03\x01\xff\xff".to_vec(),
        b"\x16\x03\x01\x00\x00".to_vec(),
        // A handshake of another kind, and a hello with rubbish in it.
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00".to_vec(),
        b"\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\xaa\xaa".to_vec(),
        // Data before a handshake.
        b"\x16\x03\x03\x00\x00\x17\x03\x03\x00\x01\x00".to_vec(),
    ];
    let noise = (0..40_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]);
    openings.push([0x16].into_iter().chain(noise).collect());
    for opening in &openings {
        let said = answer(port, opening);
        let shown = &opening[..opening.len().min(20)];
        // Nothing, or an alert: a record of type 21 with two bytes.
        assert!(
            said.is_empty() || said[..5] == [21, 3, 3, 0, 2],
            "{shown:?}: {said:?}"
        );
    }
    for share in odd_shares() {
        // Some are a point of the curve as well; then the handshake goes on, until we go.
        answer(port, &client_hello(&share));
    }
    Client::connect(&address(port), &options(), LONG).unwrap();
    // No filter had to end what no sound process does.
    let lines = session.process().lines();
    let killed = lines.iter().find(|line| line.contains("by its sandbox"));
    assert_eq!(killed, None);
}

/// 32 bytes that are a share of X25519 by their length, and a SubjectPublicKeyInfo by their form: the
/// library tries that first, and looks through all its curves for the one that is named.
fn odd_shares() -> Vec<Vec<u8>> {
    const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
    let element = |tag: u8, content: &[u8]| {
        let len = u8::try_from(content.len()).unwrap();
        [&[tag, len], content].concat()
    };
    let oid = |oid: &[u8]| element(6, oid);
    let sequence = |parts: &[Vec<u8>]| element(0x30, &parts.concat());
    let share = |algorithm: Vec<u8>| {
        let room = 32 - 2 - algorithm.len() - 2;
        sequence(&[algorithm, element(3, &vec![0; room])])
    };
    let null = vec![5, 0];
    [
        sequence(&[oid(EC), oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7])]),
        sequence(&[oid(EC), oid(&[0x2b, 0x81, 4, 0, 0x21])]),
        sequence(&[oid(EC), oid(&[0x2b, 0x81, 4, 0, 0x0a])]),
        sequence(&[oid(EC), oid(&[0x2a, 3])]),
        sequence(&[oid(RSA), null.clone()]),
        sequence(&[oid(ED25519)]),
        sequence(&[oid(&[0x2b, 0x65, 0x6e]), null]),
    ]
    .map(share)
    .to_vec()
}

/// A ClientHello of TLS 1.3 (RFC 8446, section 4.1.2) with this share of X25519.
fn client_hello(share: &[u8]) -> Vec<u8> {
    assert_eq!(share.len(), 32);
    let long = |bytes: &[u8]| {
        let len = u16::try_from(bytes.len()).unwrap();
        [&len.to_be_bytes(), bytes].concat()
    };
    let extension = |kind: u16, bytes: &[u8]| [&kind.to_be_bytes()[..], &long(bytes)].concat();
    let shares = long(&[&[0, 0x1d][..], &long(share)].concat());
    let extensions = [
        extension(43, &[2, 3, 4]),
        extension(10, &long(&[0, 0x1d])),
        extension(13, &long(&[8, 4, 4, 3, 8, 7])),
        extension(51, &shares),
    ];
    let body = [
        &[3, 3][..],
        &[7; 32],
        &[0],
        &long(&[0x13, 1]),
        &[1, 0],
        &long(&extensions.concat()),
    ]
    .concat();
    let handshake = [&[1, 0][..], &long(&body)].concat();
    [&[0x16, 3, 1][..], &long(&handshake)].concat()
}

#[test]
fn a_keys_that_dies_costs_a_handshake_and_no_client() {
    let (session, port) = session(&[]);
    let mut client = Client::connect(&address(port), &options(), LONG).unwrap();
    client.wait_for(|state| state.draws > 0, LONG).unwrap();
    let server = session.process().id();
    // It stands still while a client wants a signature, and dies then.
    let keys = processes::of_role(server, "keys")[0];
    let pid = nix::unistd::Pid::from_raw(i32::try_from(keys).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGSTOP).unwrap();
    let connecting = std::thread::spawn(move || Client::connect(&address(port), &options(), LONG));
    eventually("a network process for it", LONG, || {
        (processes::of_role(server, "network").len() == 2).then_some(())
    });
    processes::replace(server, "keys", Signal::SIGKILL);
    assert!(connecting.join().unwrap().is_err());
    // Who was there noticed nothing, and who comes next gets in.
    let window = *client.state().windows.keys().next().unwrap();
    client.focus(Some(window)).unwrap();
    client.type_text(window, "still here\n").unwrap();
    eventually("the text in the application", LONG, || {
        (typed(&session) == "still here\n").then_some(())
    });
    eventually("another client", LONG, || {
        Client::connect(&address(port), &options(), LONG).ok()
    });
}

/// What is wrong with a certificate or key is said in one line, and there is no session.
#[test]
fn what_is_wrong_with_the_files_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let user = commands::test_user();
    commands::chmod(directory, 0o755);
    let write = |name: &str, content: &str, mode| {
        let path = directory.join(name);
        std::fs::write(&path, content).unwrap();
        commands::chmod(&path, mode);
        nix::unistd::chown(&path, Some(user.uid), Some(user.gid)).unwrap();
    };
    let good = files();
    write("cert.pem", &good.certificate, 0o644);
    write("key.pem", &good.key, 0o600);
    write("open.pem", &good.key, 0o644);
    write("no.pem", "nothing in PEM\n", 0o600);
    write(
        "both.pem",
        &format!("{}{}", good.certificate, good.key),
        0o600,
    );
    openssl(
        directory,
        &["genpkey", "-algorithm", "RSA", "-out", "rsa.pem"],
    );
    let encrypt = ["pkey", "-in", "key.pem", "-aes256", "-passout", "pass:x"];
    openssl(
        directory,
        &[&encrypt[..], &["-out", "encrypted.pem"]].concat(),
    );
    let other = [
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ];
    openssl(directory, &[&other[..], &["-out", "other.pem"]].concat());
    let small = [
        "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=x",
    ];
    openssl(
        directory,
        &[&small[..], &["-keyout", "small.pem", "-out", "small.crt"]].concat(),
    );
    let old = [
        "x509",
        "-in",
        "small.crt",
        "-signkey",
        "small.pem",
        "-days",
        "-1",
    ];
    openssl(directory, &[&old[..], &["-out", "old.crt"]].concat());
    for name in ["rsa.pem", "encrypted.pem", "other.pem", "small.pem"] {
        let path = directory.join(name);
        commands::chmod(&path, 0o600);
        nix::unistd::chown(&path, Some(user.uid), Some(user.gid)).unwrap();
    }
    for (certificate, key, part) in [
        ("none.pem", "key.pem", "certificate none.pem: no such file"),
        ("cert.pem", "none.pem", "key file none.pem: no such file"),
        (
            "no.pem",
            "key.pem",
            "certificate no.pem: holds no certificate in PEM",
        ),
        (
            "key.pem",
            "key.pem",
            "certificate key.pem: holds no certificate in PEM",
        ),
        (
            "cert.pem",
            "open.pem",
            "others may read it (mode 644): chmod 600 open.pem",
        ),
        (
            "cert.pem",
            "no.pem",
            "the TLS key no.pem holds no private key in PEM",
        ),
        (
            "cert.pem",
            "other.pem",
            "the TLS key other.pem is not the key of the certificate",
        ),
        (
            "cert.pem",
            "rsa.pem",
            "the TLS key rsa.pem is no ECDSA P-256 key",
        ),
        (
            "cert.pem",
            "encrypted.pem",
            "the TLS key encrypted.pem is encrypted: name the file with its pass phrase (ssl-key-password-file=FILE)",
        ),
        (
            "cert.pem",
            "encrypted.pem,ssl-key-password=y",
            "the TLS key encrypted.pem has another pass phrase",
        ),
        (
            "cert.pem",
            "encrypted.pem,ssl-key-password-file=open.pem",
            "others may read it (mode 644): chmod 600 open.pem",
        ),
        ("small.crt", "small.pem", "2048 to 4096 bits"),
        ("old.crt", "small.pem", "certificate old.crt: expired on "),
    ] {
        let output = start(directory, certificate, key);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{certificate} {key}");
        assert!(said.contains(part), "{certificate} {key}: {said}");
    }
    // A key in the certificate's file, as Xpra's manuals have it, needs no name.
    drop(Session::start(&[&format!(
        "--bind-ssl=127.0.0.1:{},auth=reject,ssl-cert={}",
        free_port(),
        directory.join("both.pem").display()
    )]));
}

/// Starts a session that does not come about.
fn start(directory: &Path, certificate: &str, key: &str) -> Output {
    let scratch = tempfile::tempdir().unwrap();
    let user = commands::test_user();
    let mut command = Command::new(commands::bin_dir().join("bulkhead"));
    if nix::unistd::Uid::effective().is_root() {
        use std::os::unix::process::CommandExt;
        nix::unistd::chown(scratch.path(), Some(user.uid), Some(user.gid)).unwrap();
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
        .args(["seamless", "--daemon=no"])
        .arg(format!(
            "--bind-ssl=127.0.0.1:{},auth=reject,ssl-cert={certificate},ssl-key={key}",
            free_port()
        ))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", scratch.path())
        .env("XDG_RUNTIME_DIR", scratch.path())
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn setup_ssl_makes_what_clients_accept() {
    let home = tempfile::tempdir().unwrap();
    let setup = |words: &[&str]| {
        Command::new(commands::bin_dir().join("bulkhead"))
            .arg("setup-ssl")
            .args(words)
            .env_clear()
            .env("HOME", home.path())
            .current_dir(home.path())
            .output()
            .unwrap()
    };
    let output = setup(&["127.0.0.1", "host.example"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    let directory = home.path().join(".config/bulkhead/ssl");
    let mode = |name: &str| {
        let metadata = directory.join(name).metadata().unwrap();
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
    };
    assert_eq!(
        (mode("key.pem"), mode("cert.pem"), mode("ca-cert.pem")),
        (0o600, 0o644, 0o644)
    );
    let print = [
        "x509",
        "-in",
        "cert.pem",
        "-noout",
        "-fingerprint",
        "-sha256",
    ];
    let print = openssl(&directory, &print);
    let print = String::from_utf8_lossy(&print.stdout).into_owned();
    let print = print.trim().split_once('=').unwrap().1.to_owned();
    assert!(
        said.contains(&format!("SHA-256 fingerprint: {print}")),
        "{said}"
    );
    assert!(
        said.contains("xpra attach ssl://127.0.0.1:10000/ --ssl-ca-certs=ca-cert.pem"),
        "{said}"
    );
    // What X509_STRICT asks for, which the stock client sets.
    let verify = [
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-CAfile",
        "ca-cert.pem",
    ];
    let names = ["-verify_ip", "127.0.0.1", "cert.pem"];
    openssl(&directory, &[&verify[..], &names].concat());
    let host = ["-verify_hostname", "host.example", "cert.pem"];
    openssl(&directory, &[&verify[..], &host].concat());
    // Nothing is ever overwritten.
    let key = std::fs::read(directory.join("key.pem")).unwrap();
    let again = setup(&[]);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("key.pem is there already"));
    assert_eq!(std::fs::read(directory.join("key.pem")).unwrap(), key);
    assert!(setup(&["--dir=here"]).status.success());
}

/// From a file and, with a warning, from the command line; once the session runs, nobody has it.
#[test]
fn a_pass_phrase_opens_a_key_and_is_forgotten() {
    const PASS_PHRASE: &str = "hardly guessable pass phrase";
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let user = commands::test_user();
    commands::chmod(directory, 0o755);
    let own = |name: &str| {
        let path = directory.join(name);
        commands::chmod(&path, 0o600);
        nix::unistd::chown(&path, Some(user.uid), Some(user.gid)).unwrap();
        path.display().to_string()
    };
    std::fs::write(directory.join("pass.txt"), format!("{PASS_PHRASE}\n")).unwrap();
    std::fs::write(directory.join("key.pem"), locked_key(PASS_PHRASE)).unwrap();
    let (key, file) = (own("key.pem"), own("pass.txt"));
    for (said, warns) in [
        (format!("ssl-key-password-file={file}"), false),
        (format!("ssl-key-password={PASS_PHRASE}"), true),
    ] {
        let port = free_port();
        let session = Session::start(&[&format!(
            "--bind-ssl=127.0.0.1:{port},auth=password(value={PASSWORD}),ssl-cert=tls-cert.pem,ssl-key={key},{said}"
        )]);
        Client::connect(&address(port), &options(), LONG).unwrap();
        let lines = session.process().lines();
        assert!(!lines.iter().any(|line| line.contains(PASS_PHRASE)));
        let warned = lines
            .iter()
            .any(|line| line.contains("ssl-key-password= on a command line"));
        assert_eq!(warned, warns, "{lines:?}");
        if needs::root("read the memory of our processes") {
            for worker in processes::workers(session.process().id()) {
                assert!(!holds(worker.pid, PASS_PHRASE.as_bytes()), "{worker:?}");
            }
        }
    }
}

/// The private key is in `keys`, and in no other process, before, while and after it is used.
#[test]
fn only_keys_has_the_private_key() {
    if !needs::root("read the memory of our processes") {
        return;
    }
    for start in [Start::User, Start::Root] {
        let (port, bind) = tls_socket(&format!("password(value={PASSWORD})"));
        let session = Session::start_as(start, &["--sharing=yes", "--start=xterm", &bind]);
        // PKCS #8 of P-256: the number itself, as bytes and as the words of the machine.
        let der = &files().key_der;
        let number: Vec<u8> = der[36..68].to_vec();
        let words: Vec<u8> = number.iter().rev().copied().collect();
        let pem = files().key.lines().nth(1).unwrap().as_bytes().to_vec();
        let look = |when: &str| {
            let mut owners = 0;
            for worker in processes::workers(session.process().id()) {
                let has = [&number, &words, &pem, der]
                    .iter()
                    .any(|form| holds(worker.pid, form));
                if worker.role == "keys" {
                    assert!(has, "{when}: the control: what is there is found");
                    owners += 1;
                } else {
                    assert!(!has, "{when}: {worker:?}");
                }
            }
            assert_eq!(owners, 1);
        };
        look("before");
        let mut client = Client::connect(&address(port), &options(), LONG).unwrap();
        client.wait_for(|state| state.draws > 0, LONG).unwrap();
        look("with a client");
        drop(client);
        eventually("it has gone", LONG, || {
            processes::of_role(session.process().id(), "network")
                .is_empty()
                .then_some(())
        });
        look("after it");
    }
}
