//! A9: secrets and those who share the user. Attacks of another process of the user are in
//! `tests/hostile_neighbour.rs`; here is what there would be to steal.

use crate::login::answer;
use crate::peer::{LONG, address, hello, knock, logged, processes_but, sharing};
use bulkhead_tests::commands::{OTP_KEY, OTP_KEY_BYTES, chmod, oathtool, test_user};
use bulkhead_tests::databases::Files;
use bulkhead_tests::openid::{Provider, SECRET};
use bulkhead_tests::secrets::{files_hold, holds, only_these_hold};
use bulkhead_tests::security_keys::KeyFiles;
use bulkhead_tests::session::{KEY, PASSWORD, Session, Start, encrypted_socket, free_port};
use bulkhead_tests::slapd::Slapd;
use bulkhead_tests::sql_servers::{READER, SqlServer};
use bulkhead_tests::{eventually, processes, secrets, tls};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat;
use nix::unistd::{chown, mkfifo};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use test_client::wire::cipher::{Mode, SessionKey};
use test_client::{Address, Client, Options};

/// Only `auth` ever has a password, and it forgets it when it has compared.
fn nobody_keeps_it(start: Start) {
    if !needs::root("read the memory of our processes") {
        return;
    }
    let mut random = [0; 12];
    let mut source = File::open("/dev/urandom").unwrap();
    source.read_exact(&mut random).unwrap();
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let session = Session::start_as(start, &["--sharing=yes", "--start=xterm"]);
    // `auth` reads the file anew for each client.
    std::fs::write(session.password_file(), &secret).unwrap();
    let options = Options::gtk().password(&secret);
    let client = Client::connect(&address(&session), &options, LONG).unwrap();
    let processes = eventually("all six processes", LONG, || {
        let processes = processes_but(&session, &[]);
        (processes.len() == 6).then_some(processes)
    });
    for worker in &processes {
        assert!(!holds(worker.pid, secret.as_bytes()), "{worker:?}");
        if worker.role == "auth" {
            let locked = processes::status(worker.pid, "VmLck").unwrap();
            let other: u64 = ["[heap]", "[stack]"]
                .map(|name| secrets::locked(worker.pid, name))
                .iter()
                .sum();
            assert_eq!(
                locked,
                format!("{} kB", other / 1024 + 68),
                "where it reads passwords is not swapped out"
            );
        }
    }
    // The control: what is there is found.
    assert!(holds(std::process::id(), secret.as_bytes()));
    drop(client);
}

#[test]
fn no_process_keeps_the_password() {
    nobody_keeps_it(Start::User);
    nobody_keeps_it(Start::Root);
}

/// Nor one of many passwords, in a file or in a database, nor a key of one-time codes.
#[test]
fn no_process_keeps_what_the_files_of_modules_hold() {
    if !needs::root("read the memory of our processes") {
        return;
    }
    const PASSWORD: &str = "one password of many, to look for";
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    chmod(directory.path(), 0o755);
    let users = format!("bob|another\nann|{PASSWORD}\n");
    let [users, key] = [("users", users.as_str()), ("key", OTP_KEY)].map(|(name, text)| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        chmod(&path, 0o600);
        chown(&path, Some(test_user().uid), None).unwrap();
        path.display().to_string()
    });
    const STORED: &str = "one password of a database, to look for";
    let files = Files::new();
    files.passwd("plain", &["add", "ann", "--plain"], STORED);
    files.passwd("hashed", &["add", "ann"], STORED);
    let [plain, hashed] = ["plain", "hashed"].map(|name| files.path(name).display().to_string());
    let modules = format!(
        "multifile(filename={users}),auth=otp(filename={key},valid-window=1),\
         auth=sqlite(filename={plain}),auth=sqlite(filename={hashed})"
    );
    let (port, bind) = encrypted_socket(&modules);
    let session = Session::start(&["--sharing=yes", "--start=xterm", &bind]);
    let options = Options::gtk().username("ann").password(PASSWORD);
    let options = options.next_password(&oathtool("now"));
    let options = options.next_password(STORED).next_password(STORED);
    let options = options.encrypted(Mode::Gcm, KEY.as_bytes());
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let client = Client::connect(&address, &options, LONG).unwrap();
    for worker in processes_but(&session, &[]) {
        for secret in [
            PASSWORD.as_bytes(),
            STORED.as_bytes(),
            OTP_KEY.as_bytes(),
            OTP_KEY_BYTES,
        ] {
            assert!(!holds(worker.pid, secret), "{worker:?}");
        }
    }
    drop(client);
}

/// What is said of a user's sessions has passwords in it: in an address, in a variable, in an option. Nobody
/// has use for them, so nobody keeps them who has read them, and nobody else gets them.
#[test]
fn no_process_keeps_the_passwords_of_a_user_s_sessions() {
    if !needs::root("read the memory of our processes") {
        return;
    }
    const SECRETS: [&str; 3] = [
        "in-a-display-to-look-for",
        "in-a-variable-to-look-for",
        "in-an-option-to-look-for",
    ];
    let [display, variable, option] = SECRETS;
    let display = format!(":10,tcp://me:{display}@host:1/");
    let variable = format!("A={variable}");
    let option = format!("speed=100;password={option}");
    let fields = ["1000", "staff", &display, &variable, &option];
    let files = Files::new();
    let owned = |name: &str, text: &str, mode| {
        let path = files.path(name);
        std::fs::write(&path, text).unwrap();
        chmod(&path, mode);
        chown(&path, Some(test_user().uid), None).unwrap();
        path.display().to_string()
    };
    let line = format!("ann|{PASSWORD}|{}\n", fields.join("|"));
    let users = owned("users", &line, 0o600);
    files.stock_tool("stock", &["create"]);
    files.stock_tool("stock", &[&["add", "ann", PASSWORD], &fields[..]].concat());
    let stock = files.path("stock").display().to_string();
    let server = SqlServer::postgresql_with(
        &[("ann", PASSWORD)],
        &[&format!(
            "UPDATE users SET uid='1000', gid='staff', displays='{display}', \
             env_options='{variable}', session_options='{option}'"
        )],
    );
    // A second module that takes its time: the login is under way, and the first one has agreed.
    let fifo = files.path("fifo");
    mkfifo(&fifo, stat::Mode::from_bits_truncate(0o644)).unwrap();
    chown(&fifo, Some(test_user().uid), None).unwrap();
    let waits = format!("#!/bin/sh\nread -r line < {}\n", fifo.display());
    let waits = owned("waits", &waits, 0o755);
    for (module, start) in [
        (format!("multifile(filename={users})"), Start::User),
        (format!("sqlite(filename={stock})"), Start::User),
        (format!("sqlite(filename={stock})"), Start::Root),
        (server.module(""), Start::User),
    ] {
        let (port, bind) = encrypted_socket(&format!("{module},auth=exec(command={waits})"));
        let session = Session::start_as(start, &["--sharing=yes", "--start=xterm", &bind]);
        let nobody_has_them = |when: &str| {
            for worker in processes_but(&session, &[]) {
                for secret in SECRETS.into_iter().chain([READER]) {
                    let found = holds(worker.pid, secret.as_bytes());
                    assert!(!found, "{when}, {module}: {secret:?} is at {worker:?}");
                }
            }
        };
        let options = Options::gtk().username("ann").password(PASSWORD);
        let options = options.encrypted(Mode::Gcm, KEY.as_bytes());
        let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
        let login = std::thread::spawn(move || Client::connect(&address, &options, LONG));
        let mut waiting = eventually("the second module", LONG, || {
            let mut open = File::options();
            let open = open.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
            open.open(&fifo).ok()
        });
        nobody_has_them("during the login");
        writeln!(waiting, "yes").unwrap();
        let client = login.join().unwrap().unwrap();
        // It was read: this is what may be known of it.
        logged(
            &session,
            "; sessions: user 1000, group staff, 2 displays, 1 variable, 2 options",
            1,
        );
        nobody_has_them("after the login");
        drop(client);
    }
    // The control: what is there is found.
    assert!(holds(std::process::id(), variable.as_bytes()));
}

/// Nor one that somebody else decides about: whoever waits for the answer has it no more.
#[test]
fn no_process_keeps_a_password_while_a_server_is_asked() {
    if !needs::root("read the memory of our processes") {
        return;
    }
    const PASSWORD: &str = "asked about, to look for";
    let slapd = Slapd::start();
    let (port, bind) = encrypted_socket(&format!(
        "ldap(host=127.0.0.1,port={},username_format=(uid=%username,ou=people,dc=test))",
        slapd.port
    ));
    let session = Session::start(&["--start=xterm", &bind]);
    let before = processes_but(&session, &[]);
    // The kernel takes the connection and what is sent on it; nobody answers.
    slapd.process().signal(Signal::SIGSTOP);
    let options = Options::gtk().username("alice").password(PASSWORD).xor();
    let options = options.encrypted(Mode::Gcm, KEY.as_bytes());
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let asking = std::thread::spawn(move || Client::connect(&address, &options, LONG).is_err());
    let asked = eventually("the question on its way to the server", LONG, || {
        let new = processes_but(&session, &before);
        let check = new.iter().find(|worker| worker.role == "auth-ldap")?;
        let asked = matches!(slapd.unread(), Some(len) if len > PASSWORD.len());
        asked.then_some(check.pid)
    });
    for worker in processes_but(&session, &[]) {
        assert!(!holds(worker.pid, PASSWORD.as_bytes()), "{worker:?}");
    }
    // The control: it is there still, and waits.
    assert!(
        processes_but(&session, &before)
            .iter()
            .any(|worker| worker.pid == asked)
    );
    assert!(holds(std::process::id(), PASSWORD.as_bytes()));
    slapd.process().signal(Signal::SIGCONT);
    assert!(asking.join().unwrap(), "it is not her password");
}

/// Our secret at an OpenID Connect provider is in a file, and nobody has read it who still lives.
#[test]
fn no_process_keeps_our_secret_at_a_provider() {
    if !needs::root("read the memory of our processes") {
        return;
    }
    let provider = Provider::start(true);
    for start in [Start::User, Start::Root] {
        let port = free_port();
        let bind = format!(
            "--bind-tcp=127.0.0.1:{port},auth={}",
            provider.module("bulkhead", "")
        );
        let session = Session::start_as(start, &["--sharing=yes", "--start=xterm", &bind]);
        let options = provider.client(Options::gtk(), "ann");
        let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
        let client = Client::connect(&address, &options, LONG).unwrap();
        eventually("the end of the checks", LONG, || {
            let checks = processes::of_role(session.process().id(), "auth-keycloak");
            checks.is_empty().then_some(())
        });
        for worker in processes_but(&session, &[]) {
            assert!(!holds(worker.pid, SECRET.as_bytes()), "{worker:?}");
        }
        drop(client);
    }
    // The control: what is there is found.
    assert!(holds(std::process::id(), SECRET.as_bytes()));
}

/// Nobody keeps the key data, and only a connection's own `network` has its session keys.
#[test]
fn no_process_keeps_a_key() {
    if !needs::root("read the memory of our processes") {
        return;
    }
    for (mode, option) in [(Mode::Ctr, "AES-CTR"), (Mode::Gcm, "AES-GCM")] {
        let encryption = format!("--tcp-encryption={option}");
        let session = Session::start(&[
            "--sharing=yes",
            "--start=xterm",
            &encryption,
            "--tcp-encryption-keyfile=key.txt",
        ]);
        let before = processes_but(&session, &[]);
        let options = |name| sharing(name).encrypted(mode, KEY.as_bytes());
        let client = Client::connect(&address(&session), &options(1), LONG).unwrap();
        let own = processes_but(&session, &before);
        let other = Client::connect(&address(&session), &options(2), LONG).unwrap();
        let all = processes_but(&session, &[]);
        assert!(all.iter().any(|worker| worker.role == "keys"), "{all:?}");
        // One each for the first hello and the one with the answer, both ways.
        let keys = client.session_keys();
        assert_eq!(keys.len(), 4);
        for worker in &all {
            assert!(!holds(worker.pid, KEY.as_bytes()), "{option}: {worker:?}");
            // GCM works with keys that it derives when the first record has come; the other modes
            // with the last two.
            let works_with = mode == Mode::Ctr && worker.role == "network" && own.contains(worker);
            let wanted = [false, false, works_with, works_with];
            eventually(&format!("{wanted:?} at {option}: {worker:?}"), LONG, || {
                let held = |key: &SessionKey| holds(worker.pid, key.as_bytes());
                keys.iter().map(held).eq(wanted).then_some(())
            });
        }
        // The control: what is there is found.
        assert!(holds(std::process::id(), KEY.as_bytes()));
        drop((client, other));
    }
}

/// Who may lock hardly any memory has a session all the same, and is told.
#[test]
fn a_low_limit_on_locked_memory_is_said_and_ends_nobody() {
    let (port, bind) = encrypted_socket("file(filename=password.txt)");
    let wrapper = ["/usr/bin/prlimit", "--memlock=65536"];
    let session = Session::start_under(&wrapper, Start::User, &["--start=xterm", &bind]);
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let options = sharing(1).encrypted(Mode::Gcm, KEY.as_bytes());
    drop(Client::connect(&address, &options, LONG).unwrap());
    let lines = session.process().lines();
    for role in ["\"auth\"", "\"keys\""] {
        let said = |line: &&String| line.contains(role) && line.contains("ulimit -l");
        assert_eq!(lines.iter().filter(said).count(), 1, "{role}: {lines:#?}");
    }
}

/// No process of ours writes a core file, whatever ends it.
#[test]
fn nobody_leaves_a_core_file() {
    let session = Session::start(&["--start=xterm"]);
    for worker in processes_but(&session, &[]) {
        if worker.role == "launcher" {
            continue;
        }
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", worker.pid)).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let words: Vec<_> = line.unwrap().split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{worker:?}");
        // Not dumpable: what is in `/proc` about it belongs to root.
        let owner = std::os::unix::fs::MetadataExt::uid(
            &std::fs::metadata(format!("/proc/{}/mem", worker.pid)).unwrap(),
        );
        assert_eq!(owner, 0, "{worker:?}");
    }
}

/// Every file below a directory, with its content.
fn files(top: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(top).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path()),
            Ok(kind) if kind.is_file() => {
                let content = std::fs::read(entry.path()).unwrap();
                vec![(entry.path().display().to_string(), content)]
            }
            _ => vec![],
        })
        .collect()
}

/// No secret of a session is in a log, a file, an argument or an environment, however much is
/// logged.
#[test]
fn no_secret_is_shown_anywhere() {
    const TYPED: &str = "typed on the command line";
    const HEADER: &str = "what a proxy would say";
    const CAPABILITY: &str = "what a client would say of itself";
    const VARIABLE: &str = "a secret of the environment";
    const PASS_PHRASE: &str = "the pass phrase of a key";
    let ports = [(); 5].map(|()| free_port());
    let binds = [
        format!("auth=password(value={TYPED})"),
        "auth=env,encryption=AES-CTR,keyfile=key.txt".to_owned(),
        "auth=env,encryption=AES-GCM,keyfile=key.txt".to_owned(),
        format!("auth=http-header(value={HEADER}),auth=env"),
        format!("auth=capability(value={CAPABILITY}),auth=env"),
    ];
    let mut options = vec!["--debug=all".to_owned(), "--sharing=yes".to_owned()];
    options.extend(
        ports
            .iter()
            .zip(binds)
            .map(|(port, bind)| format!("--bind-tcp=127.0.0.1:{port},{bind}")),
    );
    let own = KeyFiles::new();
    let key = own.write("key.pem", &tls::locked_key(PASS_PHRASE));
    chmod(&key, 0o600);
    let tls_port = free_port();
    options.push(format!(
        "--bind-ssl=127.0.0.1:{tls_port},auth=env,ssl-cert=tls-cert.pem,ssl-key={},ssl-key-password={PASS_PHRASE}",
        key.display()
    ));
    options.push("--start=xterm".to_owned());
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let variable = format!("XPRA_PASSWORD={VARIABLE}");
    let session = Session::start_under(&["/usr/bin/env", &variable], Start::User, &options);
    // Logins that succeed, with everything that is secret on the way.
    let mut session_keys = Vec::new();
    for (port, mode) in [(ports[1], Mode::Ctr), (ports[2], Mode::Gcm)] {
        let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
        let options = sharing(port.into())
            .password(VARIABLE)
            .encrypted(mode, KEY.as_bytes());
        let client = Client::connect(&address, &options, LONG).unwrap();
        session_keys.extend(
            client
                .session_keys()
                .iter()
                .map(|key| key.as_bytes().to_vec()),
        );
    }
    let options = sharing(2).password(VARIABLE);
    drop(Client::connect(&tls::address(tls_port), &options, LONG).unwrap());
    for port in [ports[3], ports[4]] {
        let refused = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
        let options = sharing(3).password(VARIABLE);
        assert!(Client::connect(&refused, &options, LONG).is_err());
    }
    // A login that succeeds, by hand: its response would let anybody try passwords at home.
    let mut stream = knock(&session);
    stream.write_all(&hello(&sharing(1))).unwrap();
    let (answered, response) = answer(&mut stream, PASSWORD);
    stream.write_all(&answered).unwrap();
    logged(&session, "accepted", 1);
    if needs::root("read the memory of our processes") {
        for secret in [TYPED, VARIABLE, HEADER, CAPABILITY].map(str::as_bytes) {
            only_these_hold(&session, &[secret], &[], "after logins");
            // Whose it is, and who passes it on when that one is started again. Neither has a copy but
            // while it compares.
            let open: Vec<_> = files_hold(&session, secret).into_iter().collect();
            assert_eq!(open, ["auth", "supervisor"]);
        }
        only_these_hold(&session, &[PASS_PHRASE.as_bytes()], &[], "after logins");
        // The control: what is there is found.
        assert!(holds(std::process::id(), TYPED.as_bytes()));
    }
    let cookie = {
        let file = std::fs::read(session.session_dir().join("x11/xauthority")).unwrap();
        file[file.len() - 16..].to_vec()
    };
    let mut secrets = vec![
        ("the password", PASSWORD.as_bytes().to_vec()),
        ("the password on the command line", TYPED.into()),
        ("the password in the environment", VARIABLE.into()),
        ("the value of a header", HEADER.into()),
        ("what a client has to say of itself", CAPABILITY.into()),
        ("the pass phrase", PASS_PHRASE.into()),
        ("the key data", KEY.into()),
        ("the cookie", cookie.clone()),
        ("the response", response),
    ];
    for key in &session_keys {
        secrets.push(("a session key", key.clone()));
    }
    // As a program shows bytes.
    let shown: Vec<_> = secrets
        .iter()
        .flat_map(|(name, bytes)| {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let list = format!("{bytes:?}");
            let list = list.trim_matches(['[', ']']).to_owned();
            [(*name, hex.into_bytes()), (*name, list.into_bytes())]
        })
        .collect();
    secrets.extend(shown);

    let log = session.process().lines().join("\n").into_bytes();
    assert!(
        String::from_utf8_lossy(&log).contains("debug"),
        "the log is as verbose as it gets"
    );
    let mut places = vec![("the log".to_owned(), log)];
    let parents = processes::parents();
    let ours = processes_but(&session, &[]);
    let below = |pid: &&u32| ours.iter().any(|worker| worker.pid == parents[*pid]);
    let everybody = ours.iter().map(|worker| &worker.pid);
    for pid in everybody.chain(parents.keys().filter(below)) {
        for name in ["cmdline", "environ"] {
            let path = format!("/proc/{pid}/{name}");
            if let Ok(content) = std::fs::read(&path) {
                places.push((path, content));
            }
        }
    }
    assert!(places.len() > 2 * ours.len(), "processes can be looked at");
    for top in [session.runtime_dir(), session.home()] {
        places.extend(files(&top));
    }
    for (place, content) in &places {
        for (name, secret) in &secrets {
            // Where they belong.
            let kept = match *name {
                "the cookie" => place.to_lowercase().ends_with("xauthority"),
                "the password" => place.ends_with("/password.txt"),
                "the key data" => place.ends_with("/key.txt"),
                _ => false,
            };
            let found = content.windows(secret.len()).any(|window| window == secret);
            assert!(kept || !found, "{name} is in {place}");
        }
    }
    // The control: what is there is found.
    assert!(
        places
            .iter()
            .any(|(place, _)| place.ends_with("/password.txt"))
    );
}
