//! The worker's loop on real sockets, with all its neighbours played by the test.

mod common;

use common::worker::{self, Auth, Running, Supervisor, next};
use common::{FakeEncoder, answered, challenge, facts, gui, new_window, window};
use ipc::auth::{AuthToNetwork, NetworkToAuth};
use ipc::channel::socketpair;
use ipc::display::{DisplayToNetwork, Metadata, NetworkToDisplay};
use ipc::frames::{EncoderToNetwork, NetworkToEncoder, OutputBuffer};
use ipc::network::{NetworkToSupervisor, Request, SupervisorToNetwork};
use ipc::verdict::Peer;
use ipc::{Channel, ChannelError};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::Duration;
use wire::limits::Limits;
use wire::packet::{ClientPacket, Packet, Ping, ServerPacket};
use wire::record::{RecordReader, RecordWriter};

struct Client {
    socket: UnixStream,
    reader: RecordReader,
}

impl Client {
    fn send(&mut self, packet: Packet) {
        let record = RecordWriter::new(true).record(&packet, true).unwrap();
        self.socket.write_all(&record).unwrap();
    }

    fn next(&mut self) -> Option<ServerPacket> {
        loop {
            if let Some(message) = self.reader.next_message().unwrap() {
                let packet = Packet::decode(message, &Limits::SERVER_TO_CLIENT.budget).unwrap();
                return Some(ServerPacket::parse(packet).unwrap());
            }
            let mut buffer = [0; 65_536];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.reader.push(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The next packet of this name.
    fn until(&mut self, name: &str) -> ServerPacket {
        loop {
            let packet = self.next().expect("the connection lives");
            if packet.clone().into_packet().name == name {
                return packet;
            }
        }
    }
}

struct World {
    client: Client,
    supervisor: Supervisor,
    auth: Auth,
    worker: JoinHandle<Result<(), String>>,
}

impl World {
    fn new() -> Self {
        let Running {
            socket,
            mut supervisor,
            worker,
        } = worker::run();
        let (auth, theirs) = socketpair().unwrap();
        supervisor.send(&worker::start(None), vec![theirs]).unwrap();
        let reader = RecordReader::new(Limits::SERVER_TO_CLIENT);
        let client = Client { socket, reader };
        Self {
            client,
            supervisor,
            auth: Channel::new(auth),
            worker,
        }
    }
}

struct Session {
    world: World,
    display: Channel<DisplayToNetwork, NetworkToDisplay>,
    encoder: Channel<EncoderToNetwork, NetworkToEncoder>,
}

/// Through login into a session with window 1.
fn session() -> Session {
    let mut world = World::new();
    world.client.send(gui().into_packet());
    assert!(matches!(
        next(&mut world.auth).unwrap(),
        NetworkToAuth::Hello { .. }
    ));
    world.auth.send(&challenge(), vec![]).unwrap();
    world.client.until("challenge");
    let mut hello = gui();
    hello.auth.response = Some(vec![b'0'; 128]);
    hello.auth.client_salt = Some(vec![1; 32]);
    world.client.send(hello.into_packet());
    assert!(matches!(
        next(&mut world.auth).unwrap(),
        NetworkToAuth::Response { .. }
    ));
    world.auth.send(&AuthToNetwork::Accepted, vec![]).unwrap();
    let request = next(&mut world.supervisor).unwrap();
    assert!(matches!(
        request,
        NetworkToSupervisor::Request(Request::Session(_))
    ));
    // It has done its work.
    assert!(matches!(next(&mut world.auth), Err(ChannelError::Closed)));
    let (display, d) = socketpair().unwrap();
    let (encoder, e) = socketpair().unwrap();
    world
        .supervisor
        .send(&SupervisorToNetwork::Session(facts()), vec![d, e])
        .unwrap();
    let (mut display, mut encoder) = (Channel::new(display), Channel::new(encoder));
    assert!(matches!(
        next(&mut encoder).unwrap(),
        NetworkToEncoder::Start(_)
    ));
    assert!(matches!(
        next(&mut display).unwrap(),
        NetworkToDisplay::Attach(_)
    ));
    display.send(&answered(), vec![]).unwrap();
    assert_eq!(
        next(&mut world.supervisor).unwrap(),
        NetworkToSupervisor::Attached
    );
    display.send(&new_window(1), vec![]).unwrap();
    display.send(&DisplayToNetwork::Synced, vec![]).unwrap();
    world.client.until("startup-complete");
    Session {
        world,
        display,
        encoder,
    }
}

fn ping(time: i64) -> Packet {
    ClientPacket::Ping(Ping {
        time,
        wall_time: None,
        source: String::new(),
    })
    .into_packet()
}

#[test]
fn a_session_from_login_to_goodbye() {
    let Session {
        mut world,
        mut display,
        mut encoder,
    } = session();
    world.client.send(ping(5));
    assert!(matches!(world.client.until("ping_echo"), ServerPacket::PingEcho(e) if e.time == 5));
    // A picture that is larger than any socket buffer.
    let mut fake = FakeEncoder::default();
    let (message, fds) = fake.buffer(4 << 20);
    encoder.send(&message, fds).unwrap();
    let content: Vec<u8> = (0..3_000_000u32).map(|n| n.to_le_bytes()[1]).collect();
    encoder.send(&fake.draw(1, 0, &content), vec![]).unwrap();
    encoder
        .send(&EncoderToNetwork::DefaultCursor, vec![])
        .unwrap();
    let ServerPacket::Draw(draw) = world.client.until("draw") else {
        panic!()
    };
    assert!(draw.data == content);
    assert_eq!(
        next(&mut encoder).unwrap(),
        NetworkToEncoder::Written(OutputBuffer(0))
    );
    world.client.until("cursor");
    world
        .client
        .send(ClientPacket::CloseWindow(common::wire_window(1)).into_packet());
    assert_eq!(
        next(&mut display).unwrap(),
        NetworkToDisplay::Close(window(1))
    );
    let goodbye = SupervisorToNetwork::Disconnect {
        reason: vec!["server shutdown".into()],
    };
    world.supervisor.send(&goodbye, vec![]).unwrap();
    let ServerPacket::Disconnect(last) = world.client.until("disconnect") else {
        panic!()
    };
    assert_eq!(last.reason, "server shutdown");
    drop(world.client);
    assert_eq!(world.worker.join().unwrap(), Ok(()));
}

/// The news of a window and its picture come on different channels: the picture waits.
#[test]
fn a_picture_never_overtakes_its_window() {
    let Session {
        mut world,
        mut display,
        mut encoder,
    } = session();
    let mut fake = FakeEncoder::default();
    let (message, fds) = fake.buffer(100);
    encoder.send(&message, fds).unwrap();
    for n in 2..200 {
        display.send(&new_window(n), vec![]).unwrap();
        encoder.send(&fake.draw(n, 0, b"x"), vec![]).unwrap();
        world.client.until("new-window");
        world.client.until("draw");
        assert_eq!(
            next(&mut encoder).unwrap(),
            NetworkToEncoder::Written(OutputBuffer(0))
        );
    }
}

#[test]
fn neighbours_that_end_or_break_rules_do_not_end_the_connection() {
    let Session {
        mut world,
        display,
        encoder,
    } = session();
    drop(encoder);
    world.client.send(ping(1));
    world.client.until("ping_echo");
    let (ours, theirs) = socketpair().unwrap();
    world
        .supervisor
        .send(&SupervisorToNetwork::Encoder, vec![theirs])
        .unwrap();
    // Not an encoder at all.
    let mut encoder: Channel<DisplayToNetwork, NetworkToEncoder> = Channel::new(ours);
    let _ = encoder.send(&DisplayToNetwork::Synced, vec![]);
    let report = next(&mut world.supervisor).unwrap();
    let NetworkToSupervisor::Violation(violation) = report else {
        panic!("{report:?}")
    };
    assert!(matches!(violation.peer, Peer::Encoder(_)));
    drop(display);
    world
        .client
        .send(ClientPacket::CloseWindow(common::wire_window(1)).into_packet());
    world.client.send(ping(2));
    world.client.until("ping_echo");
    let (ours, theirs) = socketpair().unwrap();
    world
        .supervisor
        .send(&SupervisorToNetwork::Display, vec![theirs])
        .unwrap();
    let mut display: Channel<DisplayToNetwork, NetworkToDisplay> = Channel::new(ours);
    let NetworkToDisplay::Attach(attach) = next(&mut display).unwrap() else {
        panic!()
    };
    assert_eq!(attach.held, [window(1)]);
    display.send(&answered(), vec![]).unwrap();
    display.send(&DisplayToNetwork::Synced, vec![]).unwrap();
    world.client.until("lost-window");
}

/// A client that stops reading costs at most 8 MiB, is told so, and nobody waits for it.
#[test]
fn a_client_that_stops_reading_is_cut_off() {
    let Session {
        world,
        mut display,
        mut encoder,
    } = session();
    let mut fake = FakeEncoder::default();
    for _ in 0..8 {
        let (message, fds) = fake.buffer(1 << 20);
        encoder.send(&message, fds).unwrap();
    }
    for buffer in 0..8 {
        encoder
            .send(&fake.draw(1, buffer, &vec![1; 1 << 20]), vec![])
            .unwrap();
    }
    // Incompressible titles, until it is enough.
    let mut random = 1u32;
    let mut sent = 0;
    let end = loop {
        let title: String = (0..500)
            .map(|_| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                char::from(b'!' + random.to_be_bytes()[0] % 90)
            })
            .collect();
        sent += title.len();
        assert!(sent < 40 << 20, "not cut off");
        let metadata = vec![Metadata::Title(title)];
        if let Err(error) = display.send(
            &DisplayToNetwork::Metadata {
                window: window(1),
                metadata,
            },
            vec![],
        ) {
            break error;
        }
        if display.wants_write() {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    assert!(matches!(end, ChannelError::Closed), "{end}");
    assert!(sent > 1 << 20, "{sent}");
    assert_eq!(world.worker.join().unwrap(), Ok(()));
}

#[test]
fn a_client_that_leaves_ends_the_worker() {
    for half in [false, true] {
        let Session { world, .. } = session();
        if half {
            world.client.socket.shutdown(Shutdown::Write).unwrap();
        } else {
            drop(world.client);
        }
        assert_eq!(world.worker.join().unwrap(), Ok(()));
    }
    // A probe.
    let World {
        client,
        worker,
        supervisor,
        auth,
    } = World::new();
    drop(client);
    assert_eq!(worker.join().unwrap(), Ok(()));
    drop((supervisor, auth));
}

#[test]
fn a_supervisor_that_ends_ends_the_worker() {
    let Session { world, .. } = session();
    drop(world.supervisor);
    assert_eq!(world.worker.join().unwrap(), Ok(()));
}

/// Input that comes faster than `display` takes it waits at the client; none is lost.
#[test]
fn a_slow_display_slows_its_client_only() {
    let Session {
        world,
        mut display,
        mut encoder,
    } = session();
    let World {
        client,
        supervisor,
        worker,
        ..
    } = world;
    let mut socket = client.socket.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let packet = |n: u64| {
            ClientPacket::PointerMotion(wire::packet::PointerMotion {
                device: 0,
                sequence: n,
                window: None,
                position: wire::packet::Position {
                    x: 1,
                    y: 1,
                    relative: None,
                },
                modifiers: wire::packet::Modifiers::NONE,
                buttons: vec![],
            })
        };
        for n in 0..20_000 {
            let record = RecordWriter::new(false)
                .record(&packet(n).into_packet(), true)
                .unwrap();
            socket.write_all(&record).unwrap();
        }
    });
    // The others are heard while nobody reads `display`'s end.
    std::thread::sleep(Duration::from_millis(100));
    let mut fake = FakeEncoder::default();
    let (message, fds) = fake.buffer(100);
    encoder.send(&message, fds).unwrap();
    encoder.send(&fake.draw(1, 0, b"x"), vec![]).unwrap();
    assert_eq!(
        next(&mut encoder).unwrap(),
        NetworkToEncoder::Written(OutputBuffer(0))
    );
    for n in 0..20_000 {
        assert!(
            matches!(next(&mut display).unwrap(), NetworkToDisplay::Motion(_)),
            "{n}"
        );
    }
    sender.join().unwrap();
    drop((client, supervisor));
    worker.join().unwrap().unwrap();
}
