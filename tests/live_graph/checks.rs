//! A process that checks a login lives as long as that login: here its server never answers.

use crate::live::{Live, Who};
use crate::{confinement, descriptors};
use bulkhead_tests::eventually;
use bulkhead_tests::processes;
use bulkhead_tests::session::{Session, Start, free_port};
use bulkhead_tests::twins::options;
use policy::{Role, StartMode};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;
use test_client::{Address, Client};

const LONG: Duration = Duration::from_secs(20);

fn check(start: Start, mode: StartMode) {
    if !needs::root("read the descriptors of our processes") {
        return;
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free_port();
    let module = format!(
        "ldap(host=127.0.0.1,port={},timeout=50,username_format=uid=%username)",
        server.local_addr().unwrap().port()
    );
    let bind =
        format!("--bind-tcp=127.0.0.1:{port},auth={module},encryption=AES-GCM,keyfile=key.txt");
    let session = Session::start_as(start, &[&bind]);
    let address = Address::parse(&format!("tcp://127.0.0.1:{port}")).unwrap();
    let key = bulkhead_tests::session::KEY.as_bytes();
    let options = options(1)
        .encrypted(test_client::wire::cipher::Mode::Gcm, key)
        .xor();
    std::thread::scope(|scope| {
        let login = scope.spawn(move || Client::connect(&address, &options, LONG).err());
        // Once the server has been asked, nothing changes any more.
        let (mut asked, _) = server.accept().unwrap();
        std::io::Read::read_exact(&mut asked, &mut [0]).unwrap();
        let workers = processes::workers(session.process().id());
        let all: Vec<Live> = workers.into_iter().map(Live::from).collect();
        let of = |role| {
            all.iter()
                .filter(|live| live.who.role == role)
                .collect::<Vec<_>>()
        };
        let [check] = of(Role::AuthLdap)[..] else {
            panic!("one check, and no more");
        };
        confinement::is_as_declared(&session, &all, mode);
        descriptors::of_one_are_as_declared(check);
        // One channel to the supervisor, one to `auth`, none to anybody else.
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
        assert_eq!(others, [Role::Supervisor, Role::Auth]);
        // The audit sees it, and nothing that is different.
        let audit = session.bulkhead(&["audit", &format!(":{}", session.display)]);
        let text = String::from_utf8_lossy(&audit.stdout);
        assert!(
            audit.status.success() && text.contains("auth-ldap"),
            "{text}"
        );
        // The server goes: that is no.
        drop(asked);
        assert!(login.join().unwrap().is_some());
    });
    eventually("the end of the check", LONG, || {
        let left = processes::of_role(session.process().id(), "auth-ldap");
        left.is_empty().then_some(())
    });
}

#[test]
fn a_check_in_a_session_of_a_user_is_what_the_policy_declares() {
    check(Start::User, StartMode::User);
}

#[test]
fn a_check_in_a_session_started_by_root_is_what_the_policy_declares() {
    check(Start::Root, StartMode::Root);
}
