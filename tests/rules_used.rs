//! Which rules of the policies real sessions use: every call that a process makes behind a filter
//! is allowed (or it would not live), and every rule is used here, bit by bit, or is named with
//! its reason.
//!
//! The sessions run under `trace-rules`: as an ordinary user, as root, without a vDSO, and on a
//! kernel without Landlock.

use bulkhead_tests::commands::{OTP_KEY, bin_dir, oathtool};
use bulkhead_tests::databases::Files;
use bulkhead_tests::kdc::Kdc;
use bulkhead_tests::name_server::{Dnsmasq, HostRules};
use bulkhead_tests::openid::Provider;
use bulkhead_tests::otpscreen;
use bulkhead_tests::pam::{PasswordFile, Services, SystemUser, UNIX, unchanged_users};
use bulkhead_tests::processes;
use bulkhead_tests::screen::Screen;
use bulkhead_tests::security_keys::KeyFiles;
use bulkhead_tests::session::{KEY, PASSWORD, Session, Start, encrypted_socket};
use bulkhead_tests::slapd::{ALICE, Slapd};
use bulkhead_tests::sql_servers::SqlServer;
use bulkhead_tests::tls::{self, tls_socket};
use bulkhead_tests::twins::{attach, attach_as, options, shown};
use nix::sys::signal::Signal;
use policy::{Role, Rule, Test};
use std::collections::BTreeMap;
use std::process::Output;
use std::time::Duration;
use test_client::wire::cipher::Mode;
use test_client::wire::packet::{Coding, Packet, RgbFormat};
use test_client::wire::rencodeplus::Value;
use test_client::{Address, Client, SecurityKey, State};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    AtomEnum, ConfigureWindowAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, ImageFormat,
    PropMode, Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

const LONG: Duration = Duration::from_secs(60);

/// Why a login that Kerberos decides about needs no more memory than it has.
const MANY_PARTS: &str = "what comes before the filter is enough for a KDC's answer; tests/kerberos.rs has one with many parts";

/// Rules that a session need not use: role, call, conditions, and the test that does.
const NOT_USED: &[(Role, &str, &[&str], &str)] = &[
    (
        Role::Auth,
        "mmap",
        &[
            "prot == PROT_READ|PROT_WRITE",
            "flags == MAP_PRIVATE|MAP_ANONYMOUS",
        ],
        "error path: workers/runtime/tests/start.rs lets the memory run out",
    ),
    (
        Role::Keys,
        "mmap",
        &[
            "prot == PROT_READ|PROT_WRITE",
            "flags == MAP_PRIVATE|MAP_ANONYMOUS",
        ],
        "error path: workers/runtime/tests/start.rs lets the memory run out",
    ),
    (
        Role::AuthLdap,
        "mmap",
        &[
            "prot == PROT_READ|PROT_WRITE",
            "flags == MAP_PRIVATE|MAP_ANONYMOUS",
        ],
        "slapd's answers are short; workers/runtime/tests/start.rs lets the memory run out",
    ),
    (
        Role::AuthFido,
        "ppoll",
        &[],
        "a question that is not there at once: tests/live_graph holds a login until its process waits",
    ),
    (
        Role::AuthFido,
        "brk",
        &[],
        "what comes before the filter is enough for one signature; \
         workers/runtime/tests/start.rs lets the memory run out",
    ),
    (
        Role::AuthNames,
        "brk",
        &[],
        "what comes before the filter is enough for short answers; tests/host_names.rs has a long one",
    ),
    (
        Role::AuthNames,
        "mmap",
        &[
            "prot == PROT_READ|PROT_WRITE",
            "flags == MAP_PRIVATE|MAP_ANONYMOUS",
        ],
        "error path: workers/runtime/tests/start.rs lets the memory run out",
    ),
    (
        Role::AuthOtpscreen,
        "mmap",
        &[
            "prot == PROT_READ|PROT_WRITE",
            "flags == MAP_PRIVATE|MAP_ANONYMOUS",
        ],
        "error path: workers/runtime/tests/start.rs lets the memory run out",
    ),
    (
        Role::AuthFido,
        "mmap",
        &[
            "prot == PROT_READ|PROT_WRITE",
            "flags == MAP_PRIVATE|MAP_ANONYMOUS",
        ],
        "error path: workers/runtime/tests/start.rs lets the memory run out",
    ),
    (
        Role::AuthLdap,
        "brk",
        &[],
        "what comes before the filter is enough for answers as short as slapd's; \
         workers/runtime/tests/start.rs lets the memory run out",
    ),
    (
        Role::Keys,
        "brk",
        &[],
        "many connections at a time: for a few the heap is large enough once a private key was read; \
         workers/runtime/tests/start.rs lets the memory run out",
    ),
    (
        Role::Network,
        "futex",
        &["operation == FUTEX_WAKE|FUTEX_PRIVATE_FLAG"],
        "a client with an odd key share: tests/stock_tls.rs sends it",
    ),
    (
        Role::AuthLdap,
        "mremap",
        &["flags == MREMAP_MAYMOVE"],
        "slapd's answers are short; tests/outside_checks.rs has a server with a long one",
    ),
    (
        Role::AuthLdap,
        "munmap",
        &[],
        "slapd's answers are short; tests/outside_checks.rs has a server with a long one",
    ),
    (
        Role::AuthLdap,
        "futex",
        &["operation == FUTEX_WAKE|FUTEX_PRIVATE_FLAG"],
        "an LDAP server with an odd key share: the library is the same, tests/stock_tls.rs sends one",
    ),
    (Role::AuthKerberos, "brk", &[], MANY_PARTS),
    (
        Role::AuthKerberos,
        "mmap",
        &[
            "prot == PROT_READ|PROT_WRITE",
            "flags == MAP_PRIVATE|MAP_ANONYMOUS",
        ],
        MANY_PARTS,
    ),
    (
        Role::AuthKerberos,
        "mremap",
        &["flags == MREMAP_MAYMOVE"],
        MANY_PARTS,
    ),
    (Role::AuthKerberos, "munmap", &[], MANY_PARTS),
    (
        Role::AuthKeycloak,
        "mremap",
        &["flags == MREMAP_MAYMOVE"],
        "a provider's list can be long; workers/runtime/tests/start.rs lets a block grow",
    ),
    (
        Role::AuthKeycloak,
        "futex",
        &["operation == FUTEX_WAKE|FUTEX_PRIVATE_FLAG"],
        "a provider with an odd key share: the library is the same, tests/stock_tls.rs sends one",
    ),
    (
        Role::AuthSqlite,
        "mremap",
        &["flags == MREMAP_MAYMOVE"],
        "a hostile database; workers/runtime/tests/start.rs lets a block grow",
    ),
    (
        Role::AuthSql,
        "brk",
        &[],
        "the heap is large enough since the TLS library was tried; without TLS it grows",
    ),
    (
        Role::AuthSql,
        "mremap",
        &["flags == MREMAP_MAYMOVE"],
        "the server's answers are short; workers/runtime/tests/start.rs lets a block grow",
    ),
    (
        Role::AuthSql,
        "futex",
        &["operation == FUTEX_WAKE|FUTEX_PRIVATE_FLAG"],
        "a database server with an odd key share: the library is the same, tests/stock_tls.rs sends one",
    ),
    (
        Role::AuthCertificate,
        "mmap",
        &[
            "prot == PROT_READ|PROT_WRITE",
            "flags == MAP_PRIVATE|MAP_ANONYMOUS",
        ],
        "small files of authorities; workers/runtime/tests/start.rs lets the memory run out",
    ),
    (
        Role::AuthCertificate,
        "brk",
        &[],
        "what comes before the filter is enough for a small chain; \
         workers/runtime/tests/start.rs lets the memory run out",
    ),
    (
        Role::AuthCertificate,
        "mremap",
        &["flags == MREMAP_MAYMOVE"],
        "a chain of certificates as long as it may be; workers/runtime/tests/start.rs lets a block grow",
    ),
    (
        Role::AuthCertificate,
        "munmap",
        &[],
        "a chain of certificates as long as it may be; workers/runtime/tests/start.rs lets a block grow",
    ),
    (
        Role::AuthCertificate,
        "futex",
        &["operation == FUTEX_WAKE|FUTEX_PRIVATE_FLAG"],
        "a certificate with a key on an odd curve: the library is the same, tests/stock_tls.rs has such a share",
    ),
    (
        Role::Display,
        "mremap",
        &["flags == MREMAP_MAYMOVE"],
        "a queue of events that grows while the X server is slow, in half of the runs here; \
         workers/runtime/tests/start.rs lets a block grow",
    ),
];

/// How often a rule was used, and the bits that each of its conditions has seen.
#[derive(Clone, Debug, Default)]
struct Used {
    count: usize,
    bits: Vec<u64>,
}

/// What `trace-rules` has written.
#[derive(Default)]
struct Record(BTreeMap<(Role, usize), Used>);

impl Record {
    fn add(&mut self, lines: &[String]) {
        assert!(lines.iter().any(|line| line == "RULES end"), "{lines:?}");
        for line in lines {
            let Some(line) = line.strip_prefix("RULE ") else {
                continue;
            };
            let mut words = line.split(' ');
            let role = Role::from_name(words.next().unwrap()).unwrap();
            let mut number = || words.next().unwrap().parse::<usize>().unwrap();
            let (index, count) = (number(), number());
            let seen: Vec<_> = words
                .map(|word| u64::from_str_radix(word, 16).unwrap_or(0))
                .collect();
            let used = self.0.entry((role, index)).or_default();
            used.count += count;
            used.bits.resize(seen.len(), 0);
            used.bits.iter_mut().zip(seen).for_each(|(a, b)| *a |= b);
        }
    }

    fn take(&mut self, output: &Output) {
        let text = String::from_utf8_lossy(&output.stdout);
        self.add(&text.lines().map(str::to_owned).collect::<Vec<_>>());
    }

    fn of(&self, role: Role, index: usize) -> Option<&Used> {
        self.0.get(&(role, index))
    }
}

/// Bytes that cannot be compressed.
fn random() -> impl Iterator<Item = u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(Some(1), next).map(|state| state.to_be_bytes()[0])
}

/// An application of the test's own: a window full of noise, with a large icon.
struct Noise {
    screen: Screen,
    window: Window,
}

impl Noise {
    fn start(session: &Session) -> Self {
        /// As much as fits into one request.
        const TILE: (u16, u16) = (256, 248);
        let screen = session.screen();
        let x = screen.connection();
        let ids = || x.generate_id().unwrap();
        let (window, pixmap, gc) = (ids(), ids(), ids());
        let (root, depth) = (screen.root(), x.setup().roots[0].root_depth);
        let bytes = usize::from(TILE.0) * usize::from(TILE.1) * 4;
        let noise: Vec<u8> = random().take(bytes).collect();
        x.create_pixmap(depth, pixmap, root, TILE.0, TILE.1)
            .unwrap();
        x.create_gc(gc, pixmap, &CreateGCAux::new()).unwrap();
        let format = ImageFormat::Z_PIXMAP;
        x.put_image(format, pixmap, gc, TILE.0, TILE.1, 0, 0, 0, depth, &noise)
            .unwrap();
        let class = WindowClass::INPUT_OUTPUT;
        let look = CreateWindowAux::new().background_pixmap(pixmap);
        x.create_window(0, window, root, 9, 9, 600, 400, 0, class, 0, &look)
            .unwrap();
        let replace = PropMode::REPLACE;
        let (name, text) = (AtomEnum::WM_NAME, AtomEnum::STRING);
        x.change_property8(replace, window, name, text, b"noise")
            .unwrap();
        let icon = x.intern_atom(false, b"_NET_WM_ICON").unwrap();
        let icon = icon.reply().unwrap().atom;
        let pixels: Vec<u32> = [240, 240].into_iter().chain(0..240 * 240).collect();
        x.change_property32(replace, window, icon, AtomEnum::CARDINAL, &pixels)
            .unwrap();
        x.map_window(window).unwrap();
        x.sync().unwrap();
        Self { screen, window }
    }

    /// Changes its title more often than anybody can follow: whoever asks the X server for
    /// something meanwhile gets all the news before the answer.
    fn floods(&self) {
        let x = self.screen.connection();
        let (name, text) = (AtomEnum::WM_NAME, AtomEnum::STRING);
        x.grab_server().unwrap();
        for _ in 0..30_000 {
            x.change_property8(PropMode::REPLACE, self.window, name, text, b"noise")
                .unwrap();
        }
        x.ungrab_server().unwrap();
        x.sync().unwrap();
    }

    /// The window gets this size, and all of it is drawn anew.
    fn grows(&self, client: &mut Client, (width, height): (u16, u16)) {
        let x = self.screen.connection();
        let size = ConfigureWindowAux::new()
            .width(u32::from(width))
            .height(u32::from(height));
        x.configure_window(self.window, &size).unwrap();
        x.clear_area(false, self.window, 0, 0, 0, 0).unwrap();
        x.sync().unwrap();
        let drawn = |state: &State| {
            let window = state.titled("noise").map(|id| &state.windows[&id]);
            window.is_some_and(|window| {
                let corner = window.pixels.bytes().len() - 4;
                (window.pixels.width(), window.pixels.height()) == (width.into(), height.into())
                    && window.pixels.bytes()[corner..] != [0; 4]
            })
        };
        client.wait_for(drawn, LONG).unwrap();
        client.settle(Duration::from_millis(300), LONG).unwrap();
    }
}

/// Large windows, one client for each coding (encoders have a library for each), a large packet,
/// a flood.
fn strain(session: &Session, first: &mut Client) -> Noise {
    let codings = [
        (2, Coding::Png),
        (3, Coding::Webp),
        (4, Coding::Jpeg),
        (5, Coding::Rgb24),
    ];
    let mut others = codings.map(|(name, coding)| {
        let mut options = options(name).codings(&[coding]);
        // Not as the X server has it: an encoder has to convert.
        options.hello.encoding.rgb_formats = vec![RgbFormat::Rgb];
        let mut client = attach_as(session, &options);
        shown(&mut client, "wanted");
        client
    });
    let noise = Noise::start(session);
    noise.floods();
    for size in [(700, 500), (1200, 900), (300, 200), (1600, 1000)] {
        noise.grows(first, size);
        for client in &mut others {
            noise.grows(client, size);
        }
    }
    // What nobody knows is read and ignored.
    let text: String = random().take(600_000).map(char::from).collect();
    let large = Packet {
        name: "nonsense".into(),
        args: vec![Value::from(text)],
    };
    first.send_packet(&large).unwrap();
    noise
}

/// A session's life: typing, workers that die, all commands, a server that goes and comes back.
fn life(record: &mut Record, wrapper: &[&str], start: Start, more: &[&str], strained: bool) {
    // Lower than all else, so that a screenshot grows while it is made.
    let xterm = "--start=xterm -T wanted -geometry 80x20+10+780";
    let (port, encrypted) = encrypted_socket(&format!("password(value={PASSWORD})"));
    let (code_port, codes) = encrypted_socket(&format!("otp(secret={OTP_KEY})"));
    let slapd = Slapd::start();
    let (ldap_port, ldap) = encrypted_socket(&format!(
        "ldap(host=127.0.0.1,port={},username_format=(uid=%username,ou=people,dc=test))",
        slapd.port
    ));
    let (tls_port, tls_bind) = tls_socket(&format!("password(value={PASSWORD})"));
    let (certificate_port, certificate) = tls::certificate_socket();
    let service = PasswordFile::new("ann", PASSWORD);
    let (pam_port, pam) = encrypted_socket(&service.module());
    // Only a session that root starts may ask about the system's users.
    let user = (start == Start::Root).then(|| SystemUser::new(PASSWORD));
    let unix = Services::new(&[("x", UNIX)]);
    let (unix_port, unix) = encrypted_socket(&format!(
        "pam(service-dir={},service=x,open-session=yes)",
        unix.path().display()
    ));
    let hash = accounts::hash::make(PASSWORD.as_bytes(), &[7; accounts::hash::SALT]).unwrap();
    let server = SqlServer::postgresql(&[("ann", &hash)]);
    let (sql_port, sql) = encrypted_socket(&server.module(&format!(
        ",hashed=yes,tls=yes,cacert={}",
        server.file("ca.pem").display()
    )));
    let files = Files::new();
    files.passwd("users", &["add", "ann"], PASSWORD);
    let (users_port, users) = encrypted_socket(&format!(
        "sqlite(filename={})",
        files.path("users").display()
    ));
    let (key, key_files) = (SecurityKey::new(), KeyFiles::new());
    let (fido_port, fido) = encrypted_socket(&key_files.module("fido2", &key));
    let kdc = Kdc::start();
    let (kdc_port, by_kdc) = encrypted_socket(&kdc.module("kerberos-password", start));
    let (ticket_port, by_ticket) = encrypted_socket(&kdc.module("gss", start));
    let provider = Provider::start(true);
    let (provider_port, by_provider) =
        encrypted_socket(&provider.module("bulkhead", ",claim_field=groups,auth_groups=staff"));
    let (screen_port, by_screen) = encrypted_socket("otpscreen");
    let names = Dnsmasq::start(&[
        "ptr-record=1.0.0.127.in-addr.arpa,desk.example.test",
        "host-record=desk.example.test,127.0.0.1",
    ]);
    let host_rules = HostRules::new("xpra: desk.example.test\n", "ALL: ALL\n");
    let rules = host_rules.module(names.port, 10);
    let (names_port, by_name) =
        encrypted_socket(&format!("{rules},auth=password(value={PASSWORD})"));
    let mut words = vec![
        "--sharing=yes",
        "--debug=yes",
        &by_screen,
        &by_name,
        xterm,
        &encrypted,
        &codes,
        &ldap,
        &tls_bind,
        &certificate,
        &pam,
        &users,
        &sql,
        &fido,
        &by_provider,
        &by_kdc,
        &by_ticket,
    ];
    words.extend(user.is_some().then_some(unix.as_str()));
    let mut session = Session::start_under(wrapper, start, &[&words, more].concat());
    let mut first = attach(&session, 1);
    let window = shown(&mut first, "wanted");
    first.focus(Some(window)).unwrap();
    first
        .type_text(window, "xset b; ls /; echo ready\n")
        .unwrap();
    let _noise = strained.then(|| strain(&session, &mut first));
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let sealed = options(4).encrypted(Mode::Gcm, KEY.as_bytes());
    let mut sealed = Client::connect(&address, &sealed, LONG).unwrap();
    sealed.wait_for(|state| state.draws > 0, LONG).unwrap();
    let address = Address::parse(&format!("tcp://127.0.0.1:{code_port}")).unwrap();
    let by_code = || {
        // The clock may step on meanwhile.
        let code = options(6).password(&oathtool("now"));
        let code = code.encrypted(Mode::Gcm, KEY.as_bytes());
        Client::connect(&address, &code, LONG).is_ok()
    };
    assert!(by_code() || by_code());
    let address = Address::parse(&format!("tcp://127.0.0.1:{ldap_port}")).unwrap();
    let alice = options(6).encrypted(Mode::Gcm, KEY.as_bytes()).xor();
    let alice = alice.username("alice");
    for (password, yes) in [(ALICE, true), ("wrong", false)] {
        let client = Client::connect(&address, &alice.clone().password(password), LONG);
        assert_eq!(client.is_ok(), yes, "{:?}", client.err());
    }
    let mut tls = Client::connect(&tls::address(tls_port), &options(7), LONG).unwrap();
    tls.wait_for(|state| state.draws > 0, LONG).unwrap();
    let ann = tls::address(certificate_port).showing(tls::client().identity.clone());
    let mut by_certificate = Client::connect(&ann, &options(7), LONG).unwrap();
    by_certificate
        .wait_for(|state| state.draws > 0, LONG)
        .unwrap();
    let by_pam = |port: u16, username: &str, password: &str| {
        let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
        let options = options(6).encrypted(Mode::Gcm, KEY.as_bytes()).xor();
        let options = options.username(username).password(password);
        Client::connect(&address, &options, LONG).is_ok()
    };
    assert!(by_pam(pam_port, "ann", PASSWORD) && !by_pam(pam_port, "ann", "wrong"));
    if let Some(user) = &user {
        let _unchanged = unchanged_users();
        assert!(by_pam(unix_port, user.name(), PASSWORD));
        assert!(!by_pam(unix_port, user.name(), "wrong"));
    }
    let address = Address::parse(&format!("tcp://127.0.0.1:{users_port}")).unwrap();
    let ann = options(6).encrypted(Mode::Gcm, KEY.as_bytes()).xor();
    let ann = ann.username("ann");
    let sql_address = Address::parse(&format!("tcp://127.0.0.1:{sql_port}")).unwrap();
    let by_sql = |password: &str| {
        let client = ann.clone().password(password);
        Client::connect(&sql_address, &client, LONG).is_ok()
    };
    assert!(by_sql(PASSWORD) && !by_sql("wrong"));
    let written = files.lock("users");
    std::thread::scope(|scope| {
        let client = ann.clone().password(PASSWORD);
        let waits = scope.spawn(move || Client::connect(&address, &client, LONG));
        session
            .process()
            .wait_for_line(LONG, |line| line.contains("somebody writes the database"));
        drop(written);
        waits.join().unwrap().unwrap();
    });
    let address = Address::parse(&format!("tcp://127.0.0.1:{provider_port}")).unwrap();
    let person = options(6).encrypted(Mode::Gcm, KEY.as_bytes());
    Client::connect(&address, &provider.client(person, "ann"), 3 * LONG).unwrap();
    let address = Address::parse(&format!("tcp://127.0.0.1:{names_port}")).unwrap();
    let named = options(6).encrypted(Mode::Gcm, KEY.as_bytes());
    Client::connect(&address, &named, LONG).unwrap();
    let address = Address::parse(&format!("tcp://127.0.0.1:{screen_port}")).unwrap();
    std::thread::scope(|scope| {
        let (types, typed) = std::sync::mpsc::channel::<String>();
        let typed = std::sync::Mutex::new(typed);
        let reader = options(6).encrypted(Mode::Gcm, KEY.as_bytes());
        let reader = reader.reads(move |_| typed.lock().unwrap().recv().unwrap().into());
        let waits = scope.spawn(move || Client::connect(&address, &reader, LONG));
        types.send(otpscreen::one(&session).code(6)).unwrap();
        waits.join().unwrap().unwrap();
    });
    let address = Address::parse(&format!("tcp://127.0.0.1:{fido_port}")).unwrap();
    // One that fails uses nothing else, and one failure more would cost the commands below a pause.
    let with_key = options(6).encrypted(Mode::Gcm, KEY.as_bytes());
    Client::connect(&address, &with_key.security_key(key), LONG).unwrap();
    assert!(by_pam(kdc_port, "alice", ALICE));
    let cache = kdc.kinit("alice", ALICE, "cache");
    let address = Address::parse(&format!("tcp://127.0.0.1:{ticket_port}")).unwrap();
    let ticket = kdc.token(&cache, "xpra@localhost");
    let ticket = options(6)
        .encrypted(Mode::Gcm, KEY.as_bytes())
        .username("alice")
        .ticket(&ticket);
    Client::connect(&address, &ticket, LONG).unwrap();
    for role in ["display", "encoder", "auth", "keys"] {
        processes::replace(session.process().id(), role, Signal::SIGKILL);
        let draws = first.state().draws;
        first.type_text(window, "x").unwrap();
        first.wait_for(|state| state.draws > draws, LONG).unwrap();
    }
    let display = format!(":{}", session.display);
    let tcp = format!("tcp://127.0.0.1:{}/", session.port);
    let right = format!("--password-file={}", session.password_file().display());
    let wrong = session.home().join("wrong.txt");
    std::fs::copy(session.password_file(), &wrong).unwrap();
    std::fs::write(&wrong, "wrong").unwrap();
    let wrong = format!("--password-file={}", wrong.display());
    for (words, succeeds) in [
        (&["screenshot", "shot.png", &display][..], true),
        (&["info", &tcp, &right], true),
        (&["info", &tcp, &wrong], false),
        (&["exit", &display], true),
    ] {
        let output = session.bulkhead(&[words, more].concat());
        assert_eq!(output.status.success(), succeeds, "{words:?}: {output:?}");
        record.take(&output);
    }
    ended(record, &mut session);
    session.start_again();
    let mut client = attach(&session, 1);
    shown(&mut client, "wanted");
    record.take(&session.bulkhead(&[&["stop", &display], more].concat()));
    ended(record, &mut session);
}

/// Waits for the end of the session's server, and notes what it used.
fn ended(record: &mut Record, session: &mut Session) {
    session.process_mut().wait(LONG);
    let process = session.process();
    process.wait_for_line(LONG, |line| line == "RULES end");
    record.add(&process.lines());
}

/// What of a rule no session has used.
fn unused(rule: &Rule, used: Option<&Used>) -> Option<String> {
    let conditions: Vec<_> = rule.conditions.iter().map(|one| one.text).collect();
    let name = format!("{} {conditions:?} ({})", rule.call, rule.why);
    let Some(used) = used else {
        return Some(name);
    };
    let unseen = rule
        .conditions
        .iter()
        .zip(&used.bits)
        .find_map(|(one, seen)| {
            let Test::Within(bits) = one.test else {
                return None;
            };
            (bits & !seen != 0).then(|| format!("{:#x} of {}", bits & !seen, one.text))
        });
    unseen.map(|unseen| format!("{name}: {unseen}"))
}

#[test]
fn every_rule_is_used_or_has_its_reason() {
    let mut record = Record::default();
    let root = needs::root("start a session for somebody else");
    let best = "--sandbox=best-effort";
    life(&mut record, &["trace-rules"], Start::User, &[], true);
    if root {
        life(&mut record, &["trace-rules"], Start::Root, &[], false);
    }
    // Whoever strikes out the vDSO must be allowed to read the executables.
    let whoever = if root { Start::Root } else { Start::User };
    let no_vdso = ["trace-rules", "--no-vdso"];
    life(&mut record, &no_vdso, whoever, &[], false);
    let lesser = bin_dir().join("lesser-kernel").display().to_string();
    let no_landlock = ["trace-rules", &lesser, "no-landlock"];
    life(&mut record, &no_landlock, Start::User, &[best], false);

    let mut wrong = Vec::new();
    for role in Role::ALL {
        let rules = policy::of(role).rules;
        let mut count = 0;
        for (index, rule) in rules.iter().enumerate() {
            let excused = NOT_USED.iter().any(|(whose, call, conditions, _)| {
                let texts = rule.conditions.iter().map(|one| one.text);
                (*whose, *call) == (role, rule.call) && texts.eq(conditions.iter().copied())
            });
            // Its heap is made as large as it mostly gets before the filter (`runtime`'s module `locked`);
            // workers/runtime/tests/start.rs lets the memory run out.
            let allocator = ["brk", "mmap", "mremap", "munmap"].contains(&rule.call);
            let prepared = allocator && policy::of(role).locks_memory;
            let excused = excused || prepared;
            let needs_root = ["setgroups", "setresgid", "setresuid"].contains(&rule.call);
            match unused(rule, record.of(role, index)) {
                Some(what) if !(excused || needs_root && !root) => {
                    wrong.push(format!("{role}: {what}"));
                }
                unused => count += usize::from(unused.is_none()),
            }
        }
        println!("{role}: {count} rules used of {}", rules.len());
    }
    assert!(wrong.is_empty(), "nothing used:\n{}", wrong.join("\n"));
}
