//! The worker's loop on real sockets.

use bulkhead_network::worker::{READ, Worker};
use ipc::auth::{AuthToNetwork, NetworkToAuth};
use ipc::channel::socketpair;
use ipc::keys::Encryption;
use ipc::network::{NetworkToSupervisor, SupervisorToNetwork};
use ipc::{Channel, ChannelError, Message};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Nothing here takes longer than this.
const PATIENCE: Duration = Duration::from_secs(20);

pub type Supervisor = Channel<SupervisorToNetwork, NetworkToSupervisor>;
pub type Auth = Channel<AuthToNetwork, NetworkToAuth>;

pub fn next<Tx: Message, Rx: Message>(channel: &mut Channel<Tx, Rx>) -> Result<Rx, ChannelError> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        channel.flush()?;
        if let Some((message, _)) = channel.receive()? {
            return Ok(message);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("no message in time");
}

/// A worker that runs, and was told nothing yet.
pub struct Running {
    /// The client's end.
    pub socket: UnixStream,
    pub supervisor: Supervisor,
    pub worker: JoinHandle<Result<(), String>>,
}

pub fn run() -> Running {
    let (socket, theirs) = UnixStream::pair().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let (ours, channel) = socketpair().unwrap();
    let worker = std::thread::spawn(move || {
        let worker = Worker::new(theirs.into(), channel, vec![0; READ]);
        worker.run().map_err(|error| error.to_string())
    });
    Running {
        socket,
        supervisor: Channel::new(ours),
        worker,
    }
}

/// What the supervisor says first.
pub fn start(encryption: Option<Encryption>) -> SupervisorToNetwork {
    SupervisorToNetwork::Start {
        id: None,
        login_timeout: 20,
        encryption,
        capabilities: vec![],
    }
}
