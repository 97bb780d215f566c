//! Kerberos with MIT's own KDC: the process that asks it, alone and confined as the launcher starts
//! it, and whole sessions with the stock client.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bulkhead_tests::asked::{Answered, Asked, memory};
use bulkhead_tests::door::Door;
use bulkhead_tests::kdc::{ALICE, Kdc, REALM, SERVICE};
use bulkhead_tests::session::{KEY, Session, Start, encrypted_socket};
use bulkhead_tests::twins::options;
use ipc::check::{AuthToCheck, Password};
use ipc::spec::{KerberosSpec, OwnSpec, StartedSpec};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use test_client::wire::cipher::Mode;
use test_client::{Address, Client};

const LONG: Duration = Duration::from_secs(30);

/// How a process is started.
struct How {
    spec: KerberosSpec,
    keytab: PathBuf,
    /// Where the KDC is.
    ports: Vec<u16>,
    /// What the checks of this session have seen.
    seen: OwnedFd,
}

fn question(username: &str, password: &str) -> AuthToCheck {
    AuthToCheck::Password {
        username: username.to_owned(),
        password: Password(password.as_bytes().to_vec()),
    }
}

impl How {
    fn new(kdc: &Kdc) -> Self {
        Self {
            spec: KerberosSpec {
                service: SERVICE[0].to_owned(),
                host: SERVICE[1].to_owned(),
                realm: REALM.to_owned(),
                keytab_in_place: true,
                timeout: 10,
            },
            keytab: kdc.file("xpra.keytab"),
            ports: vec![kdc.port; 4],
            seen: memory(),
        }
    }

    /// Starts the process as the launcher does in a session that root has started, and asks it.
    fn ask(&self, question: &AuthToCheck) -> Answered {
        self.ask_with(File::open(&self.keytab).unwrap(), question)
    }

    fn ask_with(&self, keytab: File, question: &AuthToCheck) -> Answered {
        let sockets = self.ports.iter().map(|port| {
            let socket = TcpStream::connect(("127.0.0.1", *port)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        });
        let sockets: Vec<_> = sockets.collect();
        let own = [keytab.as_fd(), self.seen.as_fd()];
        let passed: Vec<_> = own
            .into_iter()
            .chain(sockets.iter().map(AsFd::as_fd))
            .collect();
        let asked = Asked {
            program: "bulkhead-auth-kerberos",
            started: StartedSpec {
                own: OwnSpec::Kerberos(self.spec.clone()),
                host: None,
            },
            passed: &passed,
            id: nix::unistd::geteuid().is_root().then_some(1_900_000_010),
            groups: &[],
        };
        asked.ask(question)
    }

    fn password(&self, username: &str, password: &str) -> Answered {
        self.ask(&question(username, password))
    }

    fn token(&self, username: &str, token: &[u8]) -> Answered {
        self.ask(&AuthToCheck::Token {
            username: username.to_owned(),
            token: Password(token.to_vec()),
        })
    }

    fn with_keytab(self, keytab: &Path) -> Self {
        Self {
            keytab: keytab.to_owned(),
            ..self
        }
    }
}

#[test]
fn a_password_is_right_when_the_kdc_and_the_keytab_say_so() {
    let kdc = Kdc::start();
    let how = How::new(&kdc);
    let yes = how.password("alice", ALICE);
    assert!(yes.is_yes(), "{yes:?}");
    assert!(yes.took < Duration::from_secs(1), "{yes:?}");
    println!("right: {:?}", yes.took);
    assert!(how.password("bob", "bob's").is_yes());
    let no = |username: &str, password: &str, why: &str| {
        let answered = how.password(username, password);
        assert!(!answered.is_yes(), "{username}: {answered:?}");
        assert!(answered.log.contains(why), "{username}: {answered:?}");
        println!(
            "{username:?}: {}",
            answered.log.lines().last().unwrap_or_default()
        );
        answered
    };
    let wrong = no("alice", "wrong", "Decrypt integrity check failed");
    let wrong_preauth = no("bob", "wrong", "Preauthentication failed");
    let unknown = no(
        "nobody-of-that-name",
        ALICE,
        "not found in Kerberos database",
    );
    for answered in [&wrong, &wrong_preauth, &unknown] {
        let late = answered.took.saturating_sub(Duration::from_secs(1));
        assert!(
            answered.took >= Duration::from_secs(1) && late < Duration::from_millis(300),
            "{answered:?}"
        );
    }
    std::thread::scope(|scope| {
        for (username, password, why) in [
            ("expired", "expired", "entry in database has expired"),
            ("aged", "aged", "Password has expired"),
            ("locked", "locked", "have been revoked"),
            ("changed", "changed", "Password has expired"),
            ("old", "old", "no support for encryption type"),
            ("alice/admin", "instance", "not found"),
            ("alice@OTHER.TEST", ALICE, "not found"),
            ("alice@BULKHEAD.TEST", ALICE, "not found"),
            ("", ALICE, "no user name"),
            ("a\nb", ALICE, "signs"),
            ("alice", "", "an empty password"),
        ] {
            let no = &no;
            scope.spawn(move || no(username, password, why));
        }
    });
}

/// The right password is no use without the right keys, whoever says yes.
#[test]
fn a_kdc_that_the_keytab_does_not_know_is_nobody() {
    let (kdc, other) = (Kdc::start(), Kdc::start());
    // Of the same name, with the same users, and its own keys: a false one.
    let mut how = How::new(&kdc);
    how.ports = vec![other.port; 4];
    let no = how.password("alice", ALICE);
    assert!(
        !no.is_yes() && no.log.contains("is not proved by the keytab"),
        "{no:?}"
    );
    // Ours, of which we have no key: the process does not even start.
    for (keytab, why) in [
        (
            kdc.file("other.keytab"),
            "the keytab has no AES key of xpra/localhost@",
        ),
        (kdc.configuration(), "the keytab"),
    ] {
        let no = How::new(&kdc).with_keytab(&keytab).password("alice", ALICE);
        assert!(no.answer.is_none() && no.log.contains(why), "{no:?}");
    }
    // Keys that were changed, in a file that was put into the place of the one that we have.
    let path = kdc.file("replaced.keytab");
    std::fs::copy(kdc.file("xpra.keytab"), &path).unwrap();
    let how = How::new(&kdc).with_keytab(&path);
    let open = File::open(&path).unwrap();
    assert!(how.password("alice", ALICE).is_yes());
    std::fs::remove_file(&path).unwrap();
    let no = how.ask_with(open, &question("alice", ALICE));
    assert!(
        no.answer.is_none() && no.log.contains("was deleted"),
        "{no:?}"
    );
    // More keys than ours are left alone.
    let both = How::new(&kdc).with_keytab(&kdc.file("both.keytab"));
    assert!(both.password("alice", ALICE).is_yes());
    // A key of ours that anybody can find out.
    let mut how = How::new(&kdc).with_keytab(&kdc.file("rc4.keytab"));
    how.spec.service = "rc4".to_owned();
    let no = how.password("alice", ALICE);
    assert!(
        no.answer.is_none() && no.log.contains("has no AES key of rc4/localhost@"),
        "{no:?}"
    );
    // Other names than the keytab has.
    let mut how = How::new(&kdc);
    how.spec.realm = "ELSEWHERE.TEST".to_owned();
    let no = how.password("alice", ALICE);
    assert!(no.answer.is_none(), "{no:?}");
}

/// A server that does as the closure says with each connection, one after the other.
fn server(act: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            act(stream);
        }
    });
    port
}

#[test]
fn a_kdc_that_is_down_slow_or_mad_is_no() {
    let kdc = Kdc::start();
    let ask = |port: u16, timeout: u16| {
        let mut how = How::new(&kdc);
        how.spec.timeout = timeout;
        how.ports = vec![port; 4];
        how.password("alice", ALICE)
    };
    let says = |bytes: Vec<u8>| {
        server(move |mut stream| {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&bytes);
            let _ = stream.read(&mut [0]);
        })
    };
    let message = |bytes: &[u8]| {
        let len = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [&len[..], bytes].concat()
    };
    let part = |tag: u8, content: &[u8]| {
        let len = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], &len[..], content].concat()
    };
    let number = |tag: u8, number: u8| part(tag, &part(0x02, &[number]));
    // An error (RFC 4120, section 5.9.1) about a name of many parts, which take more memory than bytes.
    let name = [
        number(0xa0, 0),
        part(0xa1, &part(0x30, &[0x1b, 0].repeat(32_000))),
    ];
    let error = [
        number(0xa0, 5),
        number(0xa1, 30),
        part(0xa4, &part(0x18, b"20260101000000Z")),
        number(0xa5, 0),
        number(0xa6, 60),
        part(0xa9, &part(0x1b, REALM.as_bytes())),
        part(0xaa, &part(0x30, &name.concat())),
    ];
    let error = part(0x7e, &part(0x30, &error.concat()));
    let noise: Vec<u8> = (0..60_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for (name, port, why) in [
        ("ends", server(drop), "closed the connection"),
        ("silent", server(std::mem::forget), "not answered in time"),
        ("empty", says(message(b"")), "too long, or none of Kerberos"),
        (
            "endless",
            says(vec![0x7f; 100_000]),
            "too long, or none of Kerberos",
        ),
        (
            "reserved",
            says(vec![0x80, 0, 0, 1, 0]),
            "too long, or none of Kerberos",
        ),
        (
            "cut off",
            says(vec![0, 0, 1, 0, 0x6b]),
            "not answered in time",
        ),
        (
            "one byte",
            says(message(b"k")),
            "too long, or none of Kerberos",
        ),
        (
            "garbage",
            says(message(&noise)),
            "too long, or none of Kerberos",
        ),
        (
            "an answer of noise",
            says(message(&[&[0x6b, 0x82, 0xea, 0x60], &noise[..]].concat())),
            "the KDC says no: ",
        ),
        (
            "an error of noise",
            says(message(&[&[0x7e, 0x82, 0xea, 0x60], &noise[..]].concat())),
            "the KDC says no: ",
        ),
        (
            "many parts",
            says(message(&error)),
            "the KDC says no: Generic error",
        ),
        (
            "deep",
            says(message(
                &[&[0x6b, 0x82, 0xea, 0x60][..], &[0x30, 0x80].repeat(30_000)].concat(),
            )),
            "the KDC says no: ",
        ),
    ] {
        let no = ask(port, 2);
        assert!(!no.is_yes() && no.log.contains(why), "{name}: {no:?}");
        println!("{name}: {:?}, {}", no.took, no.log.trim_end());
    }
    // Nobody is there at all.
    let mut how = How::new(&kdc);
    how.ports = Vec::new();
    let no = how.password("alice", ALICE);
    assert!(
        !no.is_yes() && no.log.contains("refuses connections"),
        "{no:?}"
    );
}

/// With SPAKE nobody who listens to the network can try passwords.
#[test]
fn passwords_are_proved_with_spake_where_the_kdc_has_it() {
    let kdc = Kdc::start_with(REALM, "spake_preauth_groups = edwards25519");
    let how = How::new(&kdc);
    let yes = how.password("bob", "bob's");
    assert!(yes.is_yes(), "{yes:?}");
    assert!(!how.password("bob", "wrong").is_yes());
    println!("with SPAKE: {:?}", yes.took);
    kdc.process()
        .wait_for_line(LONG, |line| line.contains("preauth (spake)"));
}

#[test]
fn a_ticket_is_good_for_its_user_and_once() {
    let kdc = Kdc::start();
    let how = How::new(&kdc);
    let cache = kdc.kinit("alice", ALICE, "alice.cache");
    let token = || kdc.token(&cache, "xpra@localhost");
    let first = token();
    println!("a token has {} bytes", first.len());
    let yes = how.token("alice", &first);
    assert!(yes.is_yes(), "{yes:?}");
    println!("right: {:?}", yes.took);
    let no = |how: &How, username: &str, token: &[u8], why: &str| {
        let answered = how.token(username, token);
        assert!(
            !answered.is_yes() && answered.log.contains(why),
            "{why}: {answered:?}"
        );
        assert!(answered.took >= Duration::from_secs(1), "{answered:?}");
    };
    no(&how, "alice", &first, "replay");
    // As the handler `kerberos` writes it.
    let text = |token: &[u8]| STANDARD.encode(token).into_bytes();
    assert!(how.token("alice", &text(&token())).is_yes());
    no(&how, "alice", &text(&first), "replay");
    let (second, third) = (token(), token());
    let other = kdc.token(&cache, "other@localhost");
    let bob = kdc.kinit("bob", "bob's", "bob.cache");
    let admin = kdc.kinit("alice/admin", "instance", "admin.cache");
    let admin = kdc.token(&admin, "xpra@localhost");
    std::thread::scope(|scope| {
        let (how, no, kdc, bob) = (&how, &no, &kdc, &bob);
        scope.spawn(move || no(how, "bob", &second, "the ticket is alice@BULKHEAD.TEST's"));
        scope.spawn(move || {
            no(
                how,
                "alice",
                &kdc.token(bob, "xpra@localhost"),
                "the ticket is bob@",
            )
        });
        scope.spawn(move || no(how, "alice", &admin, "the ticket is alice/admin@"));
        scope.spawn(move || no(how, "alice@BULKHEAD.TEST", &third, "the ticket is alice@"));
        scope.spawn(move || no(how, "alice", &other, "ticket: "));
        scope.spawn(move || no(how, "alice", b"", "no token"));
        scope.spawn(move || no(how, "alice", b"garbage", "no token"));
        scope.spawn(move || no(how, "alice", &[0x60; 16_384], "cut off, or too long"));
    });
    // Nothing of a token can be changed or cut off; a few places stand for all.
    let good = token();
    for at in (0..good.len()).step_by(good.len() / 12) {
        let mut changed = good.clone();
        changed[at] ^= 1;
        let answered = how.token("alice", &changed);
        assert!(!answered.is_yes(), "{at}: {answered:?}");
    }
    for len in [1, 2, 17, good.len() / 2, good.len() - 1] {
        let answered = how.token("alice", &good[..len]);
        assert!(!answered.is_yes(), "{len}: {answered:?}");
    }
    assert!(how.token("alice", &good).is_yes());
    // Of the library's, but not a token of GSS-API: made for something else.
    let other_use = "import ctypes, sys\n\
        k = ctypes.CDLL('libkrb5.so.3')\n\
        class Data(ctypes.Structure):\n\
        \x20 _fields_ = [('magic', ctypes.c_int), ('length', ctypes.c_uint), ('data', ctypes.c_void_p)]\n\
        context, auth, cache = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()\n\
        assert k.krb5_init_context(ctypes.byref(context)) == 0\n\
        assert k.krb5_cc_default(context, ctypes.byref(cache)) == 0\n\
        out = Data()\n\
        code = k.krb5_mk_req(context, ctypes.byref(auth), 0, b'xpra', b'localhost', None, cache, ctypes.byref(out))\n\
        assert code == 0, code\n\
        sys.stdout.buffer.write(ctypes.string_at(out.data, out.length))\n";
    let request = kdc.python(&cache, other_use);
    let mechanism = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\x00";
    let inner = [&mechanism[..], &request].concat();
    let len = u16::try_from(inner.len()).unwrap().to_be_bytes();
    no(
        &how,
        "alice",
        &[&[0x60, 0x82], &len[..], &inner].concat(),
        "not one of GSS-API",
    );
    // A clock that is ten minutes ahead: the offset in the head of the cache moves that of the client.
    let mut ahead = std::fs::read(&cache).unwrap();
    assert_eq!(ahead[..8], [5, 4, 0, 12, 0, 1, 0, 8]);
    ahead[8..12].copy_from_slice(&(600_i32).to_be_bytes());
    let ahead_cache = kdc.file("ahead.cache");
    std::fs::write(&ahead_cache, ahead).unwrap();
    no(
        &how,
        "alice",
        &kdc.token(&ahead_cache, "xpra@localhost"),
        "Clock skew too great",
    );
    // Of another realm, with the same names.
    let elsewhere = Kdc::start_with("OTHER.TEST", "");
    let foreign = elsewhere.kinit("alice", ALICE, "alice.cache");
    let foreign = elsewhere.token(&foreign, "xpra@localhost");
    no(&how, "alice", &foreign, "ticket: ");
    // What has been seen is remembered for the session, and for no other one.
    let mut forgetful = How::new(&kdc);
    forgetful.seen = memory();
    assert!(forgetful.token("alice", &good).is_yes());
}

fn the_stock_client_logs_in(start: Start) {
    let kdc = Kdc::start();
    // Encrypted, so that the stock client sends a password there.
    let by_password = Door::start_as(start, &kdc.module("kerberos-password", start), true);
    assert!(by_password.lets_in("alice", ALICE));
    by_password.logged("is let in as `alice` by kerberos-password");
    assert!(!by_password.lets_in("alice", "wrong"));
    by_password.logged("no: the KDC says no: ");
    by_password.logged("is refused by kerberos-password");
    assert!(!by_password.lets_in("bob", ALICE));
    assert!(!by_password.shows("alice", "wrong"));
    assert!(by_password.shows("alice", ALICE));
    by_password.is_clean("auth-kerberos", &[ALICE]);
    drop(by_password);

    let alice = kdc.environment(&kdc.kinit("alice", ALICE, "alice.cache"));
    let nobody = kdc.environment(&kdc.file("no.cache"));
    for (module, handler, name) in [
        ("kerberos-token", "kerberos", "kerberos-token"),
        ("gss", "gss", "gss"),
    ] {
        let by_ticket = Door::start_as(start, &kdc.module(module, start), true);
        let comes = |user: &str, variables| {
            let visitor = by_ticket.visitor(user).by(handler);
            visitor.variables(variables)
        };
        assert!(comes("alice", &alice).is_answered(), "{module}");
        by_ticket.logged(&format!("is let in as `alice` by {name}"));
        // A second ticket is not the first.
        assert!(comes("alice", &alice).is_shown(), "{module}");
        assert!(!comes("bob", &alice).is_shown(), "{module}");
        by_ticket.logged("no: the ticket is alice@BULKHEAD.TEST's");
        by_ticket.logged(&format!("is refused by {name}"));
        assert!(!comes("alice", &nobody).is_answered(), "{module}");
        // As long as one may be, and longer.
        let address = Address::parse(&format!("tcp://127.0.0.1:{}", by_ticket.port)).unwrap();
        for (len, why) in [
            (16_384, "no: a token that is cut off, or too long"),
            (16_385, "is larger than 16384"),
        ] {
            let options = options(1)
                .encrypted(Mode::Ctr, KEY.as_bytes())
                .username("alice")
                .ticket(&vec![0x60; len]);
            assert!(Client::connect(&address, &options, LONG).is_err());
            by_ticket.logged(why);
        }
    }
}

/// Nor with another module of the session, nor on another socket.
#[test]
fn a_ticket_is_good_once_in_a_session() {
    let kdc = Kdc::start();
    let sockets =
        ["gss", "kerberos-token"].map(|module| encrypted_socket(&kdc.module(module, Start::User)));
    let session = Session::start(&[&sockets[0].1, &sockets[1].1]);
    let cache = kdc.kinit("alice", ALICE, "alice.cache");
    let is_let_in = |port: u16, ticket: &[u8]| {
        let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
        let options = options(1).encrypted(Mode::Gcm, KEY.as_bytes());
        let options = options.username("alice").ticket(ticket);
        Client::connect(&address, &options, LONG).is_ok()
    };
    for [first, second] in [[0, 1], [1, 0]].map(|places| places.map(|at: usize| sockets[at].0)) {
        let ticket = kdc.token(&cache, "xpra@localhost");
        assert!(is_let_in(first, &ticket));
        assert!(!is_let_in(second, &ticket));
        session
            .process()
            .wait_for_line(LONG, |line| line.contains("replay"));
    }
}

#[test]
fn the_stock_client_logs_in_to_a_session_of_a_user() {
    the_stock_client_logs_in(Start::User);
}

#[test]
fn the_stock_client_logs_in_to_a_session_of_root() {
    if needs::root("start a session for somebody else") {
        the_stock_client_logs_in(Start::Root);
    }
}
