//! The process of `auth` with fake neighbours: verdicts, order, bounds.

mod common;

use bulkhead_auth::conversation::Verifier;
use bulkhead_auth::modules::Modules;
use bulkhead_auth::service;
use common::{Network, Supervisor, hello_of, listener, next, secret_file, serve, unix};
use ipc::auth::{
    AuthToNetwork, AuthToSupervisor, Digest, NetworkToAuth, PeerFacts, Refusal, SupervisorToAuth,
};
use ipc::channel::socketpair;
use ipc::spec::{AuthModule, AuthSpec, SecretAt};
use ipc::verdict::Peer;
use ipc::{Channel, ChannelError, ConnectionId, ListenerId};
use runtime::secret::Buffer;

/// Runs the service with one listener for each chain.
fn with_service(chains: Vec<Vec<AuthModule>>, test: impl FnOnce(&mut Supervisor)) {
    let listeners = chains.into_iter().map(|chain| listener(chain, false));
    serve(listeners.collect(), vec![secret_file(b"secret")], test);
}

/// Waits until the service has heard what was said so far: it answers at the end of a turn in
/// which it has heard one message of each connection, and the others have said no more than two.
fn hears(supervisor: &mut Supervisor) {
    for _ in 0..2 {
        let mut probe = connect(supervisor, u64::MAX);
        probe.send(&hello(), vec![]).unwrap();
        next(&mut probe).unwrap();
        let gone = SupervisorToAuth::Gone(ConnectionId(u64::MAX));
        supervisor.send(&gone, vec![]).unwrap();
    }
}

fn connect(supervisor: &mut Supervisor, id: u64) -> Network {
    common::connect(supervisor, ConnectionId(id), unix(1000))
}

fn hello() -> NetworkToAuth {
    hello_of("someone else", &[Digest::HmacSha512])
}

fn wrong() -> NetworkToAuth {
    NetworkToAuth::Response {
        response: vec![b'0'; 128],
        client_salt: vec![1; 32],
    }
}

fn secret() -> Vec<AuthModule> {
    vec![AuthModule::Secret {
        name: "password".into(),
        secret: SecretAt {
            index: 0,
            in_place: false,
        },
    }]
}

#[test]
fn verdicts_go_to_the_supervisor_and_to_the_client() {
    with_service(vec![vec![AuthModule::None]], |supervisor| {
        let mut network = connect(supervisor, 7);
        network.send(&hello(), vec![]).unwrap();
        let accepted = AuthToSupervisor::Accepted {
            connection: ConnectionId(7),
            username: "me".into(),
            module: "none".into(),
            sessions: None,
        };
        assert_eq!(next(supervisor).unwrap(), accepted);
        assert_eq!(next(&mut network).unwrap(), AuthToNetwork::Accepted);
    });
    with_service(vec![secret()], |supervisor| {
        let mut network = connect(supervisor, 8);
        network.send(&hello(), vec![]).unwrap();
        assert!(matches!(
            next(&mut network).unwrap(),
            AuthToNetwork::Challenge { .. }
        ));
        network.send(&wrong(), vec![]).unwrap();
        let refused = AuthToSupervisor::Refused {
            connection: ConnectionId(8),
            username: "someone else".into(),
            module: "password".into(),
            why: Refusal::Failed,
        };
        assert_eq!(next(supervisor).unwrap(), refused);
        let text = "authentication failed".to_owned();
        assert_eq!(
            next(&mut network).unwrap(),
            AuthToNetwork::Rejected { text }
        );
    });
}

#[test]
fn a_network_that_breaks_rules_is_reported_and_dropped() {
    with_service(vec![secret()], |supervisor| {
        // A response to nothing; a message after the verdict; not a message at all.
        let mut first = connect(supervisor, 1);
        first.send(&wrong(), vec![]).unwrap();
        let mut second = connect(supervisor, 2);
        second.send(&hello(), vec![]).unwrap();
        second.send(&wrong(), vec![]).unwrap();
        second.send(&wrong(), vec![]).unwrap();
        let (ours, theirs) = socketpair().unwrap();
        let third = SupervisorToAuth::Connection {
            connection: ConnectionId(3),
            listener: ListenerId(0),
            peer: PeerFacts::Unix {
                pid: 1,
                uid: 1,
                gid: 1,
            },
        };
        supervisor.send(&third, vec![theirs]).unwrap();
        let mut third: Channel<AuthToNetwork, AuthToNetwork> = Channel::new(ours);
        // The channel may have been closed after its first packet, the greeting.
        let _ = third.send(&AuthToNetwork::Accepted, vec![]);
        let mut reported = Vec::new();
        while reported.len() < 3 {
            if let AuthToSupervisor::Violation(violation) = next(supervisor).unwrap() {
                reported.push(violation.peer);
            }
        }
        reported.sort_by_key(|peer| format!("{peer:?}"));
        let expected = [1, 2, 3].map(|id| Peer::Network(ConnectionId(id)));
        assert_eq!(reported, expected);
        // The others are served.
        let mut fourth = connect(supervisor, 4);
        fourth.send(&hello(), vec![]).unwrap();
        assert!(matches!(
            next(&mut fourth).unwrap(),
            AuthToNetwork::Challenge { .. }
        ));
    });
}

/// Security A28: no answer is no. Connections that say nothing, leave, or never answer their
/// challenge get no verdict, and the others are served.
#[test]
fn no_answer_is_no() {
    with_service(vec![secret()], |supervisor| {
        let mut silent = Vec::new();
        for id in 0..1000 {
            let mut network = connect(supervisor, id);
            match id % 3 {
                0 => {}
                1 => network.send(&hello(), vec![]).unwrap(),
                _ => {
                    network.send(&hello(), vec![]).unwrap();
                    supervisor
                        .send(&SupervisorToAuth::Gone(ConnectionId(id)), vec![])
                        .unwrap();
                }
            }
            if id % 20 == 0 {
                silent.push(network);
            }
            // The service may have a bounded number at a time: let it forget those that left.
            if id % 50 == 0 {
                hears(supervisor);
            }
        }
        // It has heard all of that, and says nothing but that it lives.
        hears(supervisor);
        let mut honest = connect(supervisor, 5000);
        honest.send(&hello(), vec![]).unwrap();
        assert!(matches!(
            next(&mut honest).unwrap(),
            AuthToNetwork::Challenge { .. }
        ));
    });
}

#[test]
fn more_connections_than_there_may_be_are_dropped() {
    with_service(vec![secret()], |supervisor| {
        let mut all: Vec<_> = (0..257).map(|id| connect(supervisor, id)).collect();
        let mut last = all.pop().unwrap();
        assert!(matches!(next(&mut last), Err(ChannelError::Closed)));
        let mut first = all.swap_remove(0);
        first.send(&hello(), vec![]).unwrap();
        assert!(matches!(
            next(&mut first).unwrap(),
            AuthToNetwork::Challenge { .. }
        ));
    });
}

/// The supervisor passes another file, or says that there is none: who answers after that is held against it.
#[test]
fn another_secret_takes_the_place_of_one() {
    with_service(vec![secret()], |supervisor| {
        let mut id = 0;
        let mut verdict = |supervisor: &mut Supervisor, answer: &[u8]| {
            id += 1;
            let mut network = connect(supervisor, id);
            network.send(&hello(), vec![]).unwrap();
            let AuthToNetwork::Challenge { salt, .. } = next(&mut network).unwrap() else {
                panic!("no challenge");
            };
            network.send(&common::proof(answer, &salt), vec![]).unwrap();
            match next(supervisor).unwrap() {
                AuthToSupervisor::Accepted { .. } => None,
                AuthToSupervisor::Refused { why, .. } => Some(why),
                other => panic!("{other:?}"),
            }
        };
        let tell = |supervisor: &mut Supervisor, message: SupervisorToAuth, file: Option<&[u8]>| {
            let fds = file.map(|text| secret_file(text).into());
            supervisor
                .send(&message, fds.into_iter().collect())
                .unwrap();
        };
        assert_eq!(verdict(supervisor, b"secret"), None);
        let other = SupervisorToAuth::Secret { index: 0 };
        tell(supervisor, other.clone(), Some(b"other"));
        assert_eq!(verdict(supervisor, b"other"), None);
        assert_eq!(verdict(supervisor, b"secret"), Some(Refusal::Failed));
        tell(supervisor, SupervisorToAuth::NoSecret { index: 0 }, None);
        for answer in [&b"other"[..], b"secret", b""] {
            assert_eq!(verdict(supervisor, answer), Some(Refusal::Unusable));
        }
        // One that this session has not is nobody's.
        tell(
            supervisor,
            SupervisorToAuth::Secret { index: 1 },
            Some(b"x"),
        );
        tell(supervisor, SupervisorToAuth::NoSecret { index: 1 }, None);
        assert_eq!(verdict(supervisor, b"x"), Some(Refusal::Unusable));
        tell(supervisor, other, Some(b"third"));
        assert_eq!(verdict(supervisor, b"third"), None);
    });
}

/// After a predecessor that had all in force, what is not as it has to be keeps out who needs it.
#[test]
fn a_restart_survives_what_cannot_be_used() {
    let chains = [
        vec![AuthModule::Users {
            secret: SecretAt {
                index: 0,
                in_place: true,
            },
        }],
        vec![AuthModule::None],
    ];
    let spec = || AuthSpec {
        listeners: chains
            .iter()
            .map(|it| listener(it.clone(), false))
            .collect(),
        owner: "me".into(),
    };
    let file = || vec![secret_file(b"no users file")];
    let mut buffer = Buffer::new().unwrap();
    assert!(Modules::new(spec(), file(), &mut buffer).is_err());
    let (ours, theirs) = socketpair().unwrap();
    let service = std::thread::spawn({
        let (spec, file) = (spec(), file());
        move || {
            let mut buffer = Buffer::new().unwrap();
            let mut modules = Modules::again(spec, file, &mut buffer);
            service::serve(Channel::new(theirs), &mut modules, Verifier::new(buffer))
        }
    });
    let mut supervisor: Supervisor = Channel::new(ours);
    assert_eq!(next(&mut supervisor).unwrap(), AuthToSupervisor::Ready);
    for (place, lets_in) in [(0, false), (1, true)] {
        let (ours, theirs) = socketpair().unwrap();
        let message = SupervisorToAuth::Connection {
            connection: ConnectionId(place.into()),
            listener: ListenerId(place),
            peer: unix(1),
        };
        supervisor.send(&message, vec![theirs]).unwrap();
        let mut network: Network = Channel::new(ours);
        network.send(&hello(), vec![]).unwrap();
        if !lets_in {
            let AuthToNetwork::Challenge { salt, .. } = next(&mut network).unwrap() else {
                panic!("no challenge");
            };
            network.send(&common::proof(b"", &salt), vec![]).unwrap();
        }
        let verdict = next(&mut supervisor).unwrap();
        let accepted = matches!(verdict, AuthToSupervisor::Accepted { .. });
        let unusable = matches!(
            verdict,
            AuthToSupervisor::Refused {
                why: Refusal::Unusable,
                ..
            }
        );
        assert_eq!((accepted, unusable), (lets_in, !lets_in), "{verdict:?}");
    }
    drop(supervisor);
    service.join().unwrap().unwrap();
}
