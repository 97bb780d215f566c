//! A module that needs a check outside of `auth`, in its service.

use super::{Network, Supervisor, hello_of, in_clear, listener, next, serve, unix};
use ipc::auth::{AuthToNetwork, AuthToSupervisor, Digest, Refusal, SupervisorToAuth};
use ipc::channel::socketpair;
use ipc::check::{AuthToCheck, CheckId, CheckToAuth};
use ipc::spec::{AuthModule, AuthStep, CheckAsks};
use ipc::{Channel, ConnectionId};
use std::os::fd::OwnedFd;

pub type Check = Channel<CheckToAuth, AuthToCheck>;

pub const ID: ConnectionId = ConnectionId(7);

/// A module with check 3.
pub fn check(asks: CheckAsks) -> AuthModule {
    AuthModule::Check {
        name: "outside".into(),
        check: CheckId(3),
        asks,
    }
}

/// Runs the service with one chain on a confidential listener.
pub fn with(chain: Vec<impl Into<AuthStep>>, test: impl FnOnce(&mut Supervisor)) {
    serve(vec![listener(chain, true)], vec![], test);
}

/// A client at this machine comes.
pub fn connect(supervisor: &mut Supervisor, id: ConnectionId) -> Network {
    super::connect(supervisor, id, unix(1000))
}

/// Says hello, and answers the question for a password, if there is one.
pub fn log_in(network: &mut Network, password: Option<&[u8]>) {
    let hello = hello_of("someone", &[Digest::HmacSha512, Digest::Xor, Digest::Gss]);
    network.send(&hello, vec![]).unwrap();
    let Some(password) = password else { return };
    let AuthToNetwork::Challenge { salt, digest, .. } = next(network).unwrap() else {
        panic!("no challenge");
    };
    assert_eq!(digest, Digest::Xor);
    network.send(&in_clear(password, &salt), vec![]).unwrap();
}

pub fn wanted(supervisor: &mut Supervisor, connection: ConnectionId) {
    let wanted = AuthToSupervisor::Check {
        connection,
        check: CheckId(3),
        username: "someone".into(),
        stranger: false,
    };
    assert_eq!(next(supervisor).unwrap(), wanted);
}

/// The supervisor has started a process for this connection.
pub fn ask(supervisor: &mut Supervisor, id: ConnectionId) -> OwnedFd {
    let (ours, theirs) = socketpair().unwrap();
    supervisor
        .send(&SupervisorToAuth::Ask(id), vec![theirs])
        .unwrap();
    ours
}

/// The supervisor has started a process.
pub fn process(supervisor: &mut Supervisor) -> (Check, OwnedFd) {
    let ours = ask(supervisor, ID);
    let raw = ours.try_clone().unwrap();
    (Channel::new(ours), raw)
}

/// It is confined.
pub fn ready(supervisor: &mut Supervisor) -> Check {
    let (mut process, _) = process(supervisor);
    process.send(&CheckToAuth::Ready, vec![]).unwrap();
    process
}

pub fn passes(supervisor: &mut Supervisor, network: &mut Network) {
    let verdict = next(supervisor).unwrap();
    assert!(matches!(verdict, AuthToSupervisor::Accepted { connection, .. } if connection == ID));
    assert_eq!(next(network).unwrap(), AuthToNetwork::Accepted);
}

pub fn fails(supervisor: &mut Supervisor, network: &mut Network) {
    let refused = AuthToSupervisor::Refused {
        connection: ID,
        username: "someone".into(),
        module: "outside".into(),
        why: Refusal::Failed,
    };
    assert_eq!(next(supervisor).unwrap(), refused);
    let text = "authentication failed".to_owned();
    assert_eq!(next(network).unwrap(), AuthToNetwork::Rejected { text });
}

pub fn refused_as(supervisor: &mut Supervisor, network: &mut Network, as_what: Refusal) {
    let AuthToSupervisor::Refused { why, .. } = next(supervisor).unwrap() else {
        panic!("no refusal");
    };
    assert_eq!(why, as_what);
    let text = "authentication failed".to_owned();
    assert_eq!(next(network).unwrap(), AuthToNetwork::Rejected { text });
}

/// The connection is over.
pub fn gone(supervisor: &mut Supervisor) {
    supervisor
        .send(&SupervisorToAuth::Gone(ID), vec![])
        .unwrap();
}

/// Where a provider has clients log in.
pub const ADDRESS: &str = "https://login.test/auth?response_type=code";

pub fn address(address: &str, memory: usize) -> CheckToAuth {
    CheckToAuth::Address {
        address: address.into(),
        memory: vec![9; memory],
    }
}
