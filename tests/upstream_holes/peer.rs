//! The other end of the wire: a client that behaves, and one that does not.

use bulkhead_tests::processes::{self, Worker};
use bulkhead_tests::session::{PASSWORD, Session};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use test_client::wire::limits::Limits;
use test_client::wire::packet::{Packet, ServerPacket, WindowId};
use test_client::wire::record::{RecordReader, RecordWriter};
use test_client::wire::rencodeplus::Value;
use test_client::{Address, Client, Happening, Options};

/// Longer than anything here takes.
pub const LONG: Duration = Duration::from_secs(20);

/// A client of its own that knows the password and shares.
pub fn sharing(name: usize) -> Options {
    let mut options = Options::gtk().password(PASSWORD);
    options.hello.identity.uuid = format!("{name:032x}");
    options.hello.share = true;
    options
}

/// The session's TCP socket.
pub fn address(session: &Session) -> Address {
    Address::parse(&format!("tcp://127.0.0.1:{}", session.port)).unwrap()
}

/// Types one character and returns how long it took until pixels changed; then waits until
/// nothing more is drawn.
pub fn key_to_pixels(client: &mut Client, window: WindowId, text: &str) -> Duration {
    let pressed = Instant::now();
    client.type_text(window, text).unwrap();
    let latency = loop {
        let left = LONG.saturating_sub(pressed.elapsed());
        let event = client.next_event(left).unwrap().expect("pixels change");
        if matches!(event.what, Happening::Drawn { changed: true, .. }) {
            break event.at.saturating_duration_since(pressed);
        }
    };
    client.settle(Duration::from_millis(4), LONG).unwrap();
    latency
}

/// Processes of ours that serve the session or that client, in the order of their ids.
pub fn processes_but(session: &Session, others: &[Worker]) -> Vec<Worker> {
    let mut all = processes::workers(session.process().id());
    all.retain(|worker| !others.contains(worker));
    all.sort_by_key(|worker| worker.pid);
    all
}

/// Waits until exactly these processes are left.
pub fn only_these_are_left(session: &Session, wanted: &[Worker]) {
    let end = Instant::now() + LONG;
    let mut left = processes_but(session, &[]);
    while left != wanted {
        assert!(
            Instant::now() < end,
            "{left:?} are left, wanted are {wanted:?}"
        );
        std::thread::sleep(Duration::from_millis(10));
        left = processes_but(session, &[]);
    }
}

/// Waits until the log has `count` lines with this text.
pub fn logged(session: &Session, text: &str, count: usize) {
    let lines = || {
        let all = session.process().lines();
        all.iter().filter(|line| line.contains(text)).count()
    };
    let end = Instant::now() + LONG;
    while lines() < count {
        let all = session.process().lines();
        let tail = &all[all.len().saturating_sub(5)..];
        assert!(
            Instant::now() < end,
            "{} of {count} lines with {text:?}; the log ends {tail:#?}",
            lines()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A record with these header bytes.
pub fn record(flags: u8, compression: u8, index: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(flags, compression, index, payload.len());
    bytes.extend(payload);
    bytes
}

/// A header that says so many bytes follow.
pub fn header(flags: u8, compression: u8, index: u8, size: usize) -> Vec<u8> {
    let mut bytes = vec![b'P', flags, compression, index];
    bytes.extend(u32::try_from(size).unwrap().to_be_bytes());
    bytes
}

/// A packet as a record.
pub fn packet(name: &str, args: Vec<Value>) -> Vec<u8> {
    let writer = RecordWriter::new(false);
    writer.record(&Packet::new(name, args), true).unwrap()
}

/// A hello as a record.
pub fn hello(options: &Options) -> Vec<u8> {
    let writer = RecordWriter::new(false);
    let hello = options.hello.clone().into_packet();
    writer.record(&hello, true).unwrap()
}

/// Connects, as anybody can.
pub fn knock(session: &Session) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, session.port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// How a connection ended.
#[derive(Debug, Default)]
pub struct End {
    /// The reasons that the server gave, if it gave one.
    pub reasons: Vec<String>,
    /// Every packet that it sent.
    pub packets: Vec<String>,
}

/// A stream of bytes.
pub trait Stream: Read + Write {
    /// How long a read may take.
    fn patience(&self, time: Duration);
}

impl Stream for TcpStream {
    fn patience(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}

impl Stream for UnixStream {
    fn patience(&self, time: Duration) {
        self.set_read_timeout(Some(time)).unwrap();
    }
}

impl Stream for Box<dyn Stream> {
    fn patience(&self, time: Duration) {
        (**self).patience(time);
    }
}

/// Waits until the server ends a connection, by word or by deed, then closes it.
pub fn end_of(mut stream: impl Stream, limit: Duration) -> End {
    let deadline = Instant::now() + limit;
    let mut reader = RecordReader::new(Limits::SERVER_TO_CLIENT);
    let mut buffer = vec![0; 64 * 1024];
    let mut end = End::default();
    loop {
        while let Ok(Some(message)) = reader.next_message() {
            let budget = &Limits::SERVER_TO_CLIENT.budget;
            let packet = Packet::decode(message, budget).unwrap();
            end.packets.push(packet.name.clone());
            if let Ok(ServerPacket::Disconnect(disconnect)) = ServerPacket::parse(packet) {
                end.reasons = [vec![disconnect.reason], disconnect.details].concat();
                return end;
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "not ended within {limit:?}");
        stream.patience(left);
        match stream.read(&mut buffer) {
            Ok(0) => return end,
            Ok(length) => reader.push(&buffer[..length]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                // Closed while bytes of ours were unread.
                ErrorKind::ConnectionReset => return end,
                _ => panic!("{error}"),
            },
        }
    }
}

/// Connects, says this, and waits for the end. The server may end it before all is said.
pub fn say(session: &Session, bytes: &[u8]) -> End {
    let mut stream = knock(session);
    let _ = stream.write_all(bytes);
    end_of(stream, LONG)
}
