//! The process of `auth` between neighbours that a test plays, and what a client says.
#![allow(dead_code, reason = "each test uses another part")]

pub mod checks;

use bulkhead_auth::conversation::Verifier;
use bulkhead_auth::modules::Modules;
use bulkhead_auth::service;
use ipc::auth::{
    AuthToNetwork, AuthToSupervisor, Digest, NetworkToAuth, PeerFacts, SupervisorToAuth,
};
use ipc::channel::socketpair;
use ipc::spec::{AuthListener, AuthSpec, AuthStep};
use ipc::{Channel, ChannelError, ConnectionId, ListenerId, Message};
use runtime::secret::Buffer;
use runtime::{Interest, PollSet};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use wire::challenge::{self as maths, Hash};

pub type Supervisor = Channel<SupervisorToAuth, AuthToSupervisor>;
pub type Network = Channel<NetworkToAuth, AuthToNetwork>;

/// The client's.
pub const SALT: [u8; 32] = [3; 32];

pub fn next<Tx: Message, Rx: Message>(channel: &mut Channel<Tx, Rx>) -> Result<Rx, ChannelError> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        channel.flush()?;
        if let Some((message, _)) = channel.receive()? {
            return Ok(message);
        }
        assert!(Instant::now() < end, "no message");
        let mut set = PollSet::new();
        let interest = Interest::read_and(channel.wants_write());
        set.add(channel.as_fd(), interest);
        set.wait(Some(end.saturating_duration_since(Instant::now())))
            .unwrap();
    }
}

/// These listeners with these secrets, in a session of `me`.
pub fn in_force(listeners: Vec<AuthListener>, secrets: Vec<File>) -> (Modules, Verifier) {
    let spec = AuthSpec {
        listeners,
        owner: "me".into(),
    };
    let mut buffer = Buffer::new().unwrap();
    let modules = Modules::new(spec, secrets, &mut buffer).unwrap();
    (modules, Verifier::new(buffer))
}

/// A listener with this chain, where nobody on the way can read, or somebody can.
pub fn listener(chain: Vec<impl Into<AuthStep>>, confidential: bool) -> AuthListener {
    AuthListener {
        chain: chain.into_iter().map(Into::into).collect(),
        confidential,
    }
}

pub fn secret_file(content: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content).unwrap();
    file
}

/// Runs the service with these listeners and secrets.
pub fn serve(listeners: Vec<AuthListener>, secrets: Vec<File>, test: impl FnOnce(&mut Supervisor)) {
    let (ours, theirs) = socketpair().unwrap();
    let service = std::thread::spawn(move || {
        let (mut modules, verifier) = in_force(listeners, secrets);
        service::serve(Channel::new(theirs), &mut modules, verifier)
    });
    let mut supervisor = Channel::new(ours);
    assert_eq!(next(&mut supervisor).unwrap(), AuthToSupervisor::Ready);
    test(&mut supervisor);
    drop(supervisor);
    service.join().unwrap().unwrap();
}

/// Somebody at this machine.
pub fn unix(uid: u32) -> PeerFacts {
    PeerFacts::Unix {
        pid: 1,
        uid,
        gid: uid,
    }
}

/// A client comes through the first listener.
pub fn connect(supervisor: &mut Supervisor, id: ConnectionId, peer: PeerFacts) -> Network {
    let (ours, theirs) = socketpair().unwrap();
    let message = SupervisorToAuth::Connection {
        connection: id,
        listener: ListenerId(0),
        peer,
    };
    supervisor.send(&message, vec![theirs]).unwrap();
    Channel::new(ours)
}

/// What a client says that has these digests.
pub fn hello_of(username: &str, digests: &[Digest]) -> NetworkToAuth {
    NetworkToAuth::Hello {
        username: username.into(),
        digests: digests.to_vec(),
        salt_digests: vec![Digest::HmacSha512],
        small: false,
    }
}

/// What both salts make.
fn combined(salt: &[u8]) -> String {
    let mix = maths::Digest::Hmac(Hash::Sha512);
    maths::combined_salt(mix, salt, &SALT).unwrap()
}

/// The answer to a question for the secret itself.
pub fn in_clear(secret: &[u8], salt: &[u8]) -> NetworkToAuth {
    NetworkToAuth::Response {
        response: maths::xor_response(secret, &combined(salt)),
        client_salt: SALT.to_vec(),
    }
}

/// The answer to a question for a proof.
pub fn proof(secret: &[u8], salt: &[u8]) -> NetworkToAuth {
    NetworkToAuth::Response {
        response: maths::hmac_response(Hash::Sha512, secret, &combined(salt)),
        client_salt: SALT.to_vec(),
    }
}
