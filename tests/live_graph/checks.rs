//! A process that checks a login lives as long as that login: here nobody answers it.

use crate::live::{Live, Who};
use crate::{confinement, descriptors};
use bulkhead_tests::databases::Files;
use bulkhead_tests::eventually;
use bulkhead_tests::kdc::SilentKdc;
use bulkhead_tests::name_server::HostRules;
use bulkhead_tests::otpscreen;
use bulkhead_tests::pam::PasswordFile;
use bulkhead_tests::processes;
use bulkhead_tests::security_keys::{KeyFiles, held};
use bulkhead_tests::session::{Session, Start, free_port};
use bulkhead_tests::tls::{Held, certificate_socket};
use bulkhead_tests::twins::options;
use policy::{Role, StartMode};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::Duration;
use test_client::{Address, Client, SecurityKey};

const LONG: Duration = Duration::from_secs(20);
/// The checks that ask a server.
const BY_SERVER: [Role; 4] = [
    Role::AuthLdap,
    Role::AuthSql,
    Role::AuthKeycloak,
    Role::AuthNames,
];

/// Looks at the one process of a check, while a login waits for it.
fn look(session: &Session, mode: StartMode, role: Role, channels: &[Role]) {
    let workers = processes::workers(session.process().id());
    let all: Vec<Live> = workers.into_iter().map(Live::from).collect();
    let of = |role| {
        all.iter()
            .filter(|live| live.who.role == role)
            .collect::<Vec<_>>()
    };
    let [check] = of(role)[..] else {
        panic!("one check, and no more");
    };
    confinement::is_as_declared(session, &all, mode);
    descriptors::of_one_are_as_declared(check);
    // Who is at the other ends of its channels.
    let who: BTreeMap<u32, Who> = all.iter().map(|live| (live.pid, live.who)).collect();
    let peers = processes::socket_peers();
    let ends: BTreeMap<u64, u32> = all
        .iter()
        .flat_map(|live| {
            processes::sockets(live.pid)
                .into_iter()
                .map(|it| (it, live.pid))
        })
        .collect();
    let mut others: Vec<Role> = processes::sockets(check.pid)
        .iter()
        .filter_map(|inode| Some(who[ends.get(peers.get(inode)?)?].role))
        .collect();
    others.sort();
    assert_eq!(others, channels);
    // The audit sees it, and nothing that is different.
    let audit = session.bulkhead(&["audit", &format!(":{}", session.display)]);
    let text = String::from_utf8_lossy(&audit.stdout);
    assert!(
        audit.status.success() && text.contains(role.name()),
        "{text}"
    );
}

/// A session with one more socket, and somebody who logs in there with a wrong password.
fn login(start: Start, module: &str) -> (Session, JoinHandle<bool>) {
    let port = free_port();
    let bind =
        format!("--bind-tcp=127.0.0.1:{port},auth={module},encryption=AES-GCM,keyfile=key.txt");
    let session = Session::start_as(start, &[&bind]);
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let key = bulkhead_tests::session::KEY.as_bytes();
    let options = options(1)
        .encrypted(test_client::wire::cipher::Mode::Gcm, key)
        .visit(|_| Vec::new())
        .xor();
    let login = std::thread::spawn(move || Client::connect(&address, &options, LONG).is_ok());
    (session, login)
}

fn is_gone(session: &Session, role: &str) {
    eventually("the end of the check", LONG, || {
        let left = processes::of_role(session.process().id(), role);
        left.is_empty().then_some(())
    });
}

/// By a server that takes connections and does not answer.
fn by_server(start: Start, mode: StartMode, role: Role) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let rules = HostRules::new("# nobody\n", "xpra: .test\n");
    let module = match role {
        // The name comes before the password, which is wrong then.
        Role::AuthNames => {
            let names = rules.module(port, 50);
            format!("{names},auth=password(value=another)")
        }
        Role::AuthKeycloak => {
            format!(
                "keycloak(server_url=http://127.0.0.1:{port},client_id=u,redirect_uri=https://x/,timeout=50)"
            )
        }
        Role::AuthSql => format!("sql(uri=postgresql://u@127.0.0.1:{port}/d,timeout=50)"),
        _ => format!("ldap(host=127.0.0.1,port={port},timeout=50,username_format=uid=%username)"),
    };
    let (session, login) = login(start, &module);
    // Once the server has been asked, nothing changes any more.
    let (mut asked, _) = server.accept().unwrap();
    std::io::Read::read_exact(&mut asked, &mut [0]).unwrap();
    look(&session, mode, role, &[Role::Supervisor, Role::Auth]);
    // The server goes: that is no.
    drop(asked);
    assert!(!login.join().unwrap());
    is_gone(&session, role.name());
}

fn by_pam(start: Start, mode: StartMode) {
    let service = PasswordFile::new("somebody", "else");
    service.hang();
    let (session, login) = login(start, &service.module());
    service.is_asked(&session);
    // The supervisor has its log, and no channel to it.
    look(&session, mode, Role::AuthPam, &[Role::Auth]);
    service.release();
    assert!(!login.join().unwrap());
    is_gone(&session, "auth-pam");
}

fn by_sqlite(start: Start, mode: StartMode) {
    let files = Files::new();
    files.passwd("users", &["add", "ann"], "ann's");
    // Somebody else writes it.
    let written = files.lock("users");
    let module = format!("sqlite(filename={})", files.path("users").display());
    let (session, login) = login(start, &module);
    session
        .process()
        .wait_for_line(LONG, |line| line.contains("somebody writes the database"));
    look(
        &session,
        mode,
        Role::AuthSqlite,
        &[Role::Supervisor, Role::Auth],
    );
    drop(written);
    assert!(!login.join().unwrap());
    is_gone(&session, "auth-sqlite");
}

fn by_fido(start: Start, mode: StartMode) {
    let (key, files) = (SecurityKey::new(), KeyFiles::new());
    let port = free_port();
    let bind = format!(
        "--bind-tcp=127.0.0.1:{port},auth={}",
        files.module("u2f", &key)
    );
    let session = Session::start_as(start, &[&bind]);
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let mut login = None;
    let held = held(&session, &key, |key| {
        let options = options(1).security_key(key);
        let connect = move || Client::connect(&address, &options, LONG).is_ok();
        login = Some(std::thread::spawn(connect));
    });
    // The other end of its channel to `auth`, which is stopped, is on its way there.
    look(&session, mode, Role::AuthFido, &[Role::Supervisor]);
    drop(held);
    assert!(login.unwrap().join().unwrap());
    is_gone(&session, "auth-fido");
}

fn by_kerberos(start: Start, mode: StartMode) {
    let kdc = SilentKdc::new(start);
    let (session, login) = login(start, &kdc.module());
    let asked = kdc.is_asked();
    look(&session, mode, Role::AuthKerberos, &[Role::Auth]);
    drop(asked);
    assert!(!login.join().unwrap());
    is_gone(&session, "auth-kerberos");
}

fn by_screen(start: Start, mode: StartMode) {
    let port = free_port();
    let session = Session::start_as(
        start,
        &[&format!("--bind-tcp=127.0.0.1:{port},auth=otpscreen")],
    );
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let (types, typed) = std::sync::mpsc::channel::<String>();
    let typed = std::sync::Mutex::new(typed);
    let options = options(1).reads(move |_| typed.lock().unwrap().recv().unwrap().into());
    let login = std::thread::spawn(move || Client::connect(&address, &options, LONG).is_ok());
    let code = otpscreen::one(&session).code(6);
    look(
        &session,
        mode,
        Role::AuthOtpscreen,
        &[Role::Supervisor, Role::Auth],
    );
    types.send(code).unwrap();
    assert!(login.join().unwrap());
    is_gone(&session, "auth-otpscreen");
}

fn by_certificate(start: Start, mode: StartMode) {
    let (port, bind) = certificate_socket();
    let session = Session::start_as(start, &[&bind]);
    let held = Held::catch(&session, port);
    look(
        &session,
        mode,
        Role::AuthCertificate,
        &[Role::Supervisor, Role::Auth],
    );
    assert!(held.release());
    is_gone(&session, "auth-certificate");
}

#[test]
fn a_check_in_a_session_of_a_user_is_what_the_policy_declares() {
    if needs::root("read the descriptors of our processes") {
        for role in BY_SERVER {
            by_server(Start::User, StartMode::User, role);
        }
        by_pam(Start::User, StartMode::User);
        by_sqlite(Start::User, StartMode::User);
        by_fido(Start::User, StartMode::User);
        by_kerberos(Start::User, StartMode::User);
        by_certificate(Start::User, StartMode::User);
        by_screen(Start::User, StartMode::User);
    }
}

#[test]
fn a_check_in_a_session_started_by_root_is_what_the_policy_declares() {
    if needs::root("read the descriptors of our processes") {
        for role in BY_SERVER {
            by_server(Start::Root, StartMode::Root, role);
        }
        by_pam(Start::Root, StartMode::Root);
        by_sqlite(Start::Root, StartMode::Root);
        by_fido(Start::Root, StartMode::Root);
        by_kerberos(Start::Root, StartMode::Root);
        by_certificate(Start::Root, StartMode::Root);
        by_screen(Start::Root, StartMode::Root);
    }
}
