//! An application of the session attacks every process and every socket of ours; what the design
//! says of that in each start mode is what happens, and what the audit says.

use bulkhead_tests::commands::{bin_dir, chmod, test_user};
use bulkhead_tests::databases::Files;
use bulkhead_tests::eventually;
use bulkhead_tests::kdc::SilentKdc;
use bulkhead_tests::name_server::HostRules;
use bulkhead_tests::neighbour::{Check, Door, Neighbour};
use bulkhead_tests::otpscreen;
use bulkhead_tests::pam::PasswordFile;
use bulkhead_tests::processes::{self, Worker};
use bulkhead_tests::security_keys::{KeyFiles, held};
use bulkhead_tests::session::{KEY, Session, Start, encrypted_socket, free_port};
use bulkhead_tests::tls::{Held, certificate_socket};
use bulkhead_tests::twins::{options, two_clients};
use policy::{Role, StartMode};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use test_client::wire::cipher::Mode;
use test_client::{Address, Client, SecurityKey};

const LONG: Duration = Duration::from_secs(20);

/// What the kernel says to the session's applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Allowed,
    Refused,
}
use Answer::{Allowed, Refused};

/// What docs/security.md says an application can do to a process of this role, in a session that
/// its user has started and in one that root has.
fn design(role: Role, check: Check, mode: StartMode) -> Answer {
    match role {
        // Nobody attaches to a process of ours, the launcher, which has no sandbox, included. A
        // signal needs no more than the same user id: what that costs is a restart, and of the
        // launcher the session.
        Role::Supervisor
        | Role::Launcher
        | Role::Network
        | Role::Auth
        | Role::Keys
        | Role::Display
        | Role::Encoder
        | Role::Ctl
        | Role::AuthLdap
        | Role::AuthPam
        | Role::AuthSqlite
        | Role::AuthSql
        | Role::AuthKeycloak
        | Role::AuthOtpscreen
        | Role::AuthNames
        | Role::AuthFido
        | Role::AuthKerberos
        | Role::AuthCertificate => match (check, mode) {
            (Check::Attach, _) => Refused,
            (Check::SameUser, StartMode::User) => Allowed,
            (Check::SameUser, StartMode::Root) => Refused,
        },
    }
}

/// A session with two clients, an application that attacks and another one.
struct Scene {
    session: Session,
    clients: [Client; 2],
    mode: StartMode,
    attacker: Neighbour,
    other: Neighbour,
    /// A socket of the session that asks for a password.
    strict: PathBuf,
    /// A port whose logins this server decides about.
    ldap: (u16, TcpListener),
    /// A port whose logins this database server decides about.
    sql: (u16, TcpListener),
    /// A port where a certificate lets in.
    certificate: u16,
    keycloak: (u16, TcpListener),
    /// A port whose clients' names this name server tells, and the rules.
    names: (u16, TcpListener, HostRules),
    /// A port where what the screen shows lets in.
    screen: u16,
    /// A port whose logins PAM decides about, and a service that makes who asks wait.
    pam: (u16, PasswordFile),
    /// A port whose logins a database decides about, and that.
    sqlite: (u16, Files),
    /// A port for a security key, which has a file.
    fido: (u16, SecurityKey, KeyFiles),
    /// A port whose logins Kerberos decides about, and a KDC that never answers.
    kerberos: (u16, SilentKdc),
    _directory: tempfile::TempDir,
}

fn scene(start: Start) -> Scene {
    let directory = tempfile::Builder::new()
        .prefix("bulkhead-neighbour-")
        .tempdir_in("/tmp")
        .unwrap();
    // A path of the session's user, where every user may make things.
    chmod(directory.path(), 0o1777);
    let path = |name: &str| directory.path().join(name);
    let program = bin_dir().join("hostile-neighbour");
    let app = |path: PathBuf| format!("{} {}", program.display(), path.display());
    let strict = path("strict.sock");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, bind) = encrypted_socket(&format!(
        "ldap(host=127.0.0.1,port={},timeout=50,username_format=uid=%username)",
        server.local_addr().unwrap().port()
    ));
    let sql_server = TcpListener::bind("127.0.0.1:0").unwrap();
    let (sql_port, sql) = encrypted_socket(&format!(
        "sql(uri=postgresql://u@127.0.0.1:{}/d,timeout=50)",
        sql_server.local_addr().unwrap().port()
    ));
    let provider = TcpListener::bind("127.0.0.1:0").unwrap();
    let (keycloak_port, keycloak) = encrypted_socket(&format!(
        "keycloak(server_url=http://127.0.0.1:{},client_id=u,redirect_uri=https://x/,timeout=50)",
        provider.local_addr().unwrap().port()
    ));
    let rules = HostRules::new("# nobody\n", "xpra: .test\n");
    let name_server = TcpListener::bind("127.0.0.1:0").unwrap();
    let module = rules.module(name_server.local_addr().unwrap().port(), 50);
    // From another address than the others, of which eight are checked at a time.
    let names_port = free_port();
    let names = format!(
        "--bind-tcp=[::1]:{names_port},auth={module},auth=password(value=another),encryption=AES-GCM,keyfile=key.txt"
    );
    let (screen, by_screen) = encrypted_socket("otpscreen");
    let service = PasswordFile::new("somebody", "else");
    service.hang();
    let (pam_port, pam) = encrypted_socket(&service.module());
    let files = Files::new();
    files.passwd("users", &["add", "ann"], "ann's");
    let path_of_users = files.path("users");
    let (users_port, users) =
        encrypted_socket(&format!("sqlite(filename={})", path_of_users.display()));
    let (key, key_files) = (SecurityKey::new(), KeyFiles::new());
    let (fido_port, fido) = encrypted_socket(&key_files.module("u2f", &key));
    let kdc = SilentKdc::new(start);
    let (kerberos_port, kerberos) = encrypted_socket(&kdc.module());
    let (certificate, shown) = certificate_socket();
    let session = Session::start_as(
        start,
        &[
            &bind,
            &sql,
            &shown,
            &keycloak,
            &names,
            &by_screen,
            &pam,
            &users,
            &fido,
            &kerberos,
            "--sharing=yes",
            "--start=xterm",
            &format!("--start={}", app(path("attacker"))),
            &format!("--start-child={}", app(path("other"))),
            "--bind=auto",
            &format!("--bind={},auth=password(value=another)", strict.display()),
        ],
    );
    let clients = two_clients(&session);
    let (attacker, other) = (path("attacker"), path("other"));
    let (attacker, other) = (Neighbour::meet(&attacker), Neighbour::meet(&other));
    let user = test_user().uid.to_string();
    let parents = processes::parents();
    for application in [&attacker, &other] {
        let pid = application.pid;
        assert_eq!(parents.get(&pid), Some(&session.launcher()));
        assert_eq!(
            processes::status(pid, "Uid").unwrap(),
            [&*user; 4].join("\t")
        );
    }
    let mode = match start {
        Start::User => StartMode::User,
        Start::Root => StartMode::Root,
    };
    let _directory = directory;
    Scene {
        session,
        clients,
        mode,
        attacker,
        other,
        strict,
        ldap: (port, server),
        sql: (sql_port, sql_server),
        certificate,
        keycloak: (keycloak_port, provider),
        names: (names_port, name_server, rules),
        screen,
        pam: (pam_port, service),
        sqlite: (users_port, files),
        fido: (fido_port, key, key_files),
        kerberos: (kerberos_port, kdc),
        _directory,
    }
}

fn role_of(worker: &Worker) -> Role {
    Role::from_name(&worker.role).unwrap_or_else(|| panic!("no role {:?}", worker.role))
}

/// What the audit says of each process: whether its owner's other processes may attach.
fn audited(session: &Session) -> BTreeMap<u32, Option<bool>> {
    let output = session.bulkhead(&["audit", "--json", &format!(":{}", session.display)]);
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |process: &serde_json::Value| {
        let pid = process["pid"].as_u64().unwrap().try_into().unwrap();
        (pid, process["dumpable"].as_bool())
    };
    report["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(of)
        .collect()
}

/// Somebody who logs in at this port in vain.
fn login(port: u16, name: u8) -> JoinHandle<()> {
    login_at(&format!("tcp://127.0.0.1:{port}"), name)
}

fn login_at(address: &str, name: u8) -> JoinHandle<()> {
    let address = Address::parse(address).unwrap();
    let options = options(name).encrypted(Mode::Gcm, KEY.as_bytes()).xor();
    let options = options.visit(|_| Vec::new());
    std::thread::spawn(move || {
        assert!(Client::connect(&address, &options, 3 * LONG).is_err());
    })
}

/// One whose login an `auth-ldap` is asking about, one of an `auth-sql`, of an `auth-keycloak`, an `auth-names` and of an `auth-kerberos`,
/// until what is returned is dropped; and one whose login an `auth-pam` is asking about, until the
/// service is released.
fn logins(scene: &Scene) -> (Vec<TcpStream>, [JoinHandle<()>; 6]) {
    let (pam_port, service) = &scene.pam;
    let (kerberos_port, kdc) = &scene.kerberos;
    let logins = [
        login(scene.ldap.0, 3),
        login(*pam_port, 4),
        login(scene.sql.0, 6),
        login(scene.keycloak.0, 8),
        login(*kerberos_port, 7),
        login_at(&format!("tcp://[::1]:{}", scene.names.0), 10),
    ];
    let asked = [
        &scene.ldap.1,
        &scene.sql.1,
        &scene.keycloak.1,
        &scene.names.1,
    ]
    .map(|server| {
        let (mut asked, _) = server.accept().unwrap();
        asked.read_exact(&mut [0]).unwrap();
        asked
    });
    service.is_asked(&scene.session);
    let mut all = kdc.is_asked();
    all.extend(asked);
    (all, logins)
}

/// Somebody whose login an `auth-sqlite` decides about, as soon as what is returned is dropped.
fn login_while_written(scene: &Scene) -> (File, JoinHandle<()>) {
    let (port, files) = &scene.sqlite;
    let written = files.lock("users");
    let login = login(*port, 5);
    scene
        .session
        .process()
        .wait_for_line(LONG, |line| line.contains("somebody writes the database"));
    (written, login)
}

/// Somebody who reads a code on the screen, and types something else as soon as what is returned is dropped.
fn login_with_a_code(scene: &Scene) -> (Sender<()>, JoinHandle<()>) {
    let address = Address::parse(&format!("tcp://127.0.0.1:{}", scene.screen)).unwrap();
    let (holds, held) = channel();
    let held = Mutex::new(held);
    let options = options(9).encrypted(Mode::Gcm, KEY.as_bytes());
    let options = options.reads(move |_| {
        let _ = held.lock().unwrap().recv();
        b"another".to_vec()
    });
    let login = std::thread::spawn(move || {
        assert!(Client::connect(&address, &options, 3 * LONG).is_err());
    });
    let _ = otpscreen::one(&scene.session);
    (holds, login)
}

/// Tries everything on a process: could it be attached to?
fn attack(scene: &mut Scene, pid: u32, role: Role) -> bool {
    let mut attached = false;
    for (attempt, outcome) in scene.attacker.attack(pid) {
        let answer = match outcome.as_str() {
            "done" => Allowed,
            "EPERM" | "EACCES" => Refused,
            other => panic!("{} on {role}: {other}", attempt.name),
        };
        let expected = design(role, attempt.check, scene.mode);
        assert_eq!(answer, expected, "{} on {role}", attempt.name);
        attached |= attempt.check == Check::Attach && answer == Allowed;
    }
    attached
}

fn processes_are_as_far_away_as_the_design_says(scene: &mut Scene) {
    // A server that never answers, for a `ctl` to wait for.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}/", silent.local_addr().unwrap());
    let command = scene.session.begin(&["info", &address]);
    let ctl = eventually("a bulkhead-ctl", LONG, || {
        let ctl = processes::workers(command.id()).pop()?;
        (processes::status(ctl.pid, "Seccomp")? == "2").then_some(ctl)
    });
    // It waits for a few seconds only.
    let caught = Held::catch(&scene.session, scene.certificate);
    assert!(!attack(scene, caught.pid, Role::AuthCertificate));
    assert!(caught.release());
    let networks = || processes::of_role(scene.session.process().id(), "network");
    eventually("the end of that login", LONG, || {
        (networks().len() == scene.clients.len()).then_some(())
    });
    let (asked, logins) = logins(scene);
    let (written, other_login) = login_while_written(scene);
    let (shown, reader) = login_with_a_code(scene);
    let (port, key, _) = &scene.fido;
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let mut other = None;
    let held = held(&scene.session, key, |key| {
        let options = options(8).encrypted(Mode::Gcm, KEY.as_bytes());
        let options = options.security_key(key);
        other = Some(std::thread::spawn(move || {
            assert!(Client::connect(&address, &options, 3 * LONG).is_ok());
        }));
    });
    let top = scene.session.process().id();
    let mut targets = processes::workers(top);
    assert_eq!(
        targets.len(),
        27,
        "eleven of network, two of encoder: {targets:?}"
    );
    targets.push(ctl);
    let mut roles: BTreeSet<Role> = targets.iter().map(role_of).collect();
    roles.insert(Role::AuthCertificate);
    assert_eq!(roles, BTreeSet::from(Role::ALL));

    let audited = audited(&scene.session);
    for target in &targets {
        let role = role_of(target);
        let attached = attack(scene, target.pid, role);
        match audited.get(&target.pid) {
            // A process of root, which hides from other users in any case.
            Some(None) => assert!(
                !attached
                    && processes::status(target.pid, "Uid")
                        .unwrap()
                        .starts_with("0\t"),
                "{role}"
            ),
            Some(&Some(possible)) => assert_eq!(possible, attached, "{role}: the audit"),
            None => assert_eq!(role, Role::Ctl, "is not in the audit"),
        }
    }
    // No answer is no.
    drop((asked, written, held, shown));
    scene.pam.1.release();
    for login in logins.into_iter().chain(other) {
        login.join().unwrap();
    }
    other_login.join().unwrap();
    reader.join().unwrap();
    // Their `network` has a second to say goodbye.
    eventually("the refused logins have left nothing", LONG, || {
        let left = processes::workers(top);
        let ends = [
            Role::AuthLdap,
            Role::AuthSqlite,
            Role::AuthSql,
            Role::AuthKeycloak,
            Role::AuthOtpscreen,
            Role::AuthNames,
            Role::AuthFido,
            Role::Ctl,
        ];
        let gone = |one: &Worker| {
            let role = role_of(one);
            role.is_of_launcher() || ends.contains(&role)
        };
        let networks = left.iter().filter(|one| role_of(one) == Role::Network);
        (networks.count() == scene.clients.len() && !left.iter().any(gone)).then_some(())
    });
    // The control: every one of the attempts reaches another application.
    for (attempt, outcome) in scene.attacker.attack(scene.other.pid) {
        assert_eq!(outcome, "done", "{} on another application", attempt.name);
    }
}

/// Every unix socket at which this process listens, by its name in `/proc/net/unix`.
fn listening(pid: u32) -> BTreeSet<String> {
    const LISTENS: u32 = 0x1_0000;
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    let named = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let listens = u32::from_str_radix(words.get(3)?, 16).ok()? & LISTENS != 0;
        listens.then_some((words.get(6)?.parse().ok()?, (*words.get(7)?).to_owned()))
    };
    let all: BTreeMap<u64, String> = table.lines().filter_map(named).collect();
    let own = processes::sockets(pid);
    own.iter()
        .filter_map(|inode| all.get(inode).cloned())
        .collect()
}

fn sockets_are_what_the_design_says(scene: &mut Scene) {
    let session = &scene.session;
    let (dir, display) = (session.session_dir(), session.display);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let beside = dir.with_file_name(format!("{}-{display}", host.trim()));
    let name = |path: PathBuf| path.to_str().unwrap().to_owned();
    let client = |address: String| (Door::Client(address.clone()), address);
    let (launcher, reload) = (dir.join("launcher.sock"), dir.join("reload.sock"));
    // The kernel says that the application is the session's owner, who is let in.
    let owner = "let-in";
    let doors = [
        (client(name(dir.join("socket"))), owner),
        (client(name(beside)), owner),
        (client(format!("@xpra/{display}")), owner),
        (client(name(scene.strict.clone())), "asked"),
        (client(format!("127.0.0.1:{}", session.port)), "asked"),
        (
            (Door::Launcher(launcher.clone()), name(launcher)),
            match scene.mode {
                // It has a supervisor and hears nobody else.
                StartMode::User => "turned-away",
                // It is root's, mode 0600.
                StartMode::Root => "EACCES",
            },
        ),
        (
            (Door::Reload(reload.clone()), name(reload)),
            match scene.mode {
                // It is who has started the session.
                StartMode::User => "let-in",
                StartMode::Root => "EACCES",
            },
        ),
    ];
    if nix::unistd::Uid::effective().is_root() {
        let ours = [session.process().id(), session.launcher()];
        let all: BTreeSet<String> = ours.into_iter().flat_map(listening).collect();
        let known = doors.iter().map(|((_, name), _)| name.clone());
        let known: BTreeSet<String> = known.filter(|name| name.starts_with(['/', '@'])).collect();
        assert_eq!(all, known, "each socket is tried");
    }
    // The logins that were refused cost their address a pause in which nobody is asked.
    eventually("the end of the pause", LONG, || {
        let door = Door::Client(format!("127.0.0.1:{}", session.port));
        (scene.attacker.knock(&door) == "asked").then_some(())
    });
    let before = eventually("nobody but the clients", LONG, || {
        let all = processes::workers(session.process().id());
        let networks = all.iter().filter(|one| role_of(one) == Role::Network);
        (networks.count() == scene.clients.len()).then_some(all)
    });
    for ((door, _), expected) in &doors {
        assert_eq!(scene.attacker.knock(door), *expected, "{door}");
    }
    // Nobody minded: the same processes serve the same clients, and nobody else is left.
    eventually("the processes from before and no others", LONG, || {
        let after = processes::workers(session.process().id());
        assert!(before.iter().all(|worker| after.contains(worker)));
        (after.len() == before.len()).then_some(())
    });
    are_served(&mut scene.clients);
}

/// Each is sent new pictures when it asks for them.
fn are_served(clients: &mut [Client]) {
    for client in clients {
        let before = client.state().draws;
        client.refresh(None, 100).unwrap();
        client.wait_for(|state| state.draws > before, LONG).unwrap();
    }
}

/// What a signal costs in a session of the same user: a restart.
fn who_is_ended_comes_back(scene: &mut Scene) {
    let top = scene.session.process().id();
    for role in [Role::Encoder, Role::Display, Role::Auth] {
        let before = processes::of_role(top, role.name());
        let victim = before[0];
        let outcome = scene.attacker.end(victim);
        match design(role, Check::SameUser, scene.mode) {
            Refused => assert_eq!(outcome, "EPERM", "{role}"),
            Allowed => {
                assert_eq!(outcome, "done", "{role}");
                eventually("a new one in its place", LONG, || {
                    let now = processes::of_role(top, role.name());
                    (now.len() == before.len() && !now.contains(&victim)).then_some(())
                });
            }
        }
    }
    are_served(&mut scene.clients);
}

fn the_design_holds(start: Start) {
    let mut scene = scene(start);
    processes_are_as_far_away_as_the_design_says(&mut scene);
    sockets_are_what_the_design_says(&mut scene);
    who_is_ended_comes_back(&mut scene);
}

#[test]
fn in_a_session_of_the_same_user() {
    the_design_holds(Start::User);
}

#[test]
fn in_a_session_that_root_started() {
    if needs::root("start a session for somebody else") {
        the_design_holds(Start::Root);
    }
}
