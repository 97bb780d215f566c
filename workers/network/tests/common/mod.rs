//! A connection without processes: the tests play the client and all neighbours.
#![allow(dead_code, reason = "every test uses its own part")]

pub mod worker;

use bulkhead_network::connection::{Connection, Effect};
use ipc::auth::{AuthToNetwork, Digest, NetworkToAuth};
use ipc::capture::PixelFormat;
use ipc::display::{DisplayToNetwork, Geometry, Metadata, NetworkToDisplay};
use ipc::frames::{
    Coding, DrawOptions, Encoded, EncoderToNetwork, NetworkToEncoder, OutputBuffer, PictureCaps,
    RgbFormat,
};
use ipc::keys::{AesMode, KeysToNetwork, NetworkToKeys};
use ipc::network::{NetworkToSupervisor, SessionFacts, SupervisorToNetwork};
use ipc::shared::{Unsealed, Writer};
use ipc::{Position, Rect, Size, WindowId};
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};
use wire::cipher::{CipherOffer, Framing, Iterations, KeyHash, KeyParameters, KeySize, Mode, Salt};
use wire::hello::{ClientHello, Identity};
use wire::limits::Limits;
use wire::packet::{self as p, ClientPacket, Packet, ServerPacket};
use wire::record::{RecordReader, RecordWriter};

pub fn facts() -> Box<SessionFacts> {
    Box::new(SessionFacts {
        display: 7,
        session_name: "a session".into(),
        uuid: "0123456789abcdef0123456789abcdef".into(),
        machine_id: "fedcba9876543210fedcba9876543210".into(),
        hostname: "host".into(),
        pid: 4711,
        start_time: 1_700_000_000,
        readonly: false,
        sharing: false,
        resize: true,
    })
}

/// The hello of a client that shows windows.
pub fn gui() -> ClientHello {
    let identity = Identity {
        version: "6.5".into(),
        client_type: "Python/GTK3".into(),
        uuid: "ff".repeat(32),
        username: "someone".into(),
        ..Identity::default()
    };
    let mut hello = ClientHello::command_line(identity, None);
    hello.ui_client = true;
    hello.windows = true;
    hello.keyboard = true;
    hello.events = true;
    hello.bell = true;
    hello.encoding.core = vec![
        p::Coding::Rgb24,
        p::Coding::Rgb32,
        p::Coding::Png,
        p::Coding::Webp,
    ];
    hello.encoding.rgb_formats = vec![p::RgbFormat::Bgrx];
    hello.encoding.rgb_lz4 = true;
    hello.encoding.icon_encodings = vec!["png".into()];
    hello.cursor.enabled = true;
    hello.cursor.encodings = vec!["raw".into(), "png".into()];
    hello.display.desktop_size = p::Size::new(1920, 1080);
    hello
}

/// `auth` asks for a password.
pub fn challenge() -> AuthToNetwork {
    AuthToNetwork::Challenge {
        salt: vec![1; 64],
        digest: Digest::HmacSha512,
        salt_digest: Digest::HmacSha512,
        prompt: "?".into(),
    }
}

/// What a client offers that encrypts.
pub fn offer() -> CipherOffer {
    CipherOffer {
        mode: Mode::Cbc,
        framing: Framing::Stream,
        iv: [b'x'; 16],
        key: KeyParameters {
            salt: Salt::new(vec![1; 64]).unwrap(),
            hash: KeyHash::Sha1,
            size: KeySize::Aes256,
            iterations: Iterations::MIN,
        },
    }
}

pub fn window(n: u32) -> WindowId {
    WindowId::new(0, n)
}

pub fn wire_window(n: u32) -> p::WindowId {
    p::WindowId::new(n.into()).unwrap()
}

pub fn geometry(x: i32, y: i32, width: u32, height: u32) -> Geometry {
    Geometry {
        position: Position { x, y },
        size: Size::new(width, height).unwrap(),
    }
}

pub fn new_window(n: u32) -> DisplayToNetwork {
    DisplayToNetwork::NewWindow {
        window: window(n),
        geometry: geometry(10, 20, 300, 200),
        override_redirect: false,
        metadata: vec![Metadata::Title("a title".into()), Metadata::Pid(5)],
    }
}

pub fn answered() -> DisplayToNetwork {
    let mut modifier_keys: [Vec<(u8, String)>; 8] = Default::default();
    modifier_keys[0] = vec![(50, "Shift_L".into()), (62, "Shift_R".into())];
    modifier_keys[2] = vec![(37, "Control_L".into())];
    DisplayToNetwork::Attached {
        root: Size::new(1920, 1080).unwrap(),
        max_root: Size::new(8192, 4096).unwrap(),
        modifier_keys,
        done: 0,
    }
}

/// An encoder with its buffers.
#[derive(Default)]
pub struct FakeEncoder {
    writers: Vec<Writer>,
    sequence: u64,
}

impl FakeEncoder {
    pub fn buffer(&mut self, bytes: u32) -> (EncoderToNetwork, Vec<OwnedFd>) {
        let (writer, fd) = Unsealed::new(bytes).unwrap().into_writer().unwrap();
        self.writers.push(writer);
        let buffer = OutputBuffer(u16::try_from(self.writers.len() - 1).unwrap());
        (EncoderToNetwork::Buffer { buffer, bytes }, vec![fd])
    }

    /// Fills a buffer.
    pub fn put(&mut self, buffer: u16, content: &[u8]) -> Encoded {
        self.writers[usize::from(buffer)].bytes()[..content.len()].copy_from_slice(content);
        Encoded {
            buffer: OutputBuffer(buffer),
            bytes: u32::try_from(content.len()).unwrap(),
        }
    }

    /// A webp picture of the whole 300×200 window.
    pub fn draw(&mut self, n: u32, buffer: u16, content: &[u8]) -> EncoderToNetwork {
        let data = self.put(buffer, content);
        self.sequence += 1;
        let size = Size::new(300, 200).unwrap();
        EncoderToNetwork::Draw {
            sequence: self.sequence,
            window: window(n),
            window_size: size,
            rect: size.rect(),
            coding: Coding::Webp,
            data,
            options: webp(),
            flush: 0,
        }
    }

    pub fn raw(&mut self, rect: Rect, data: Encoded, options: DrawOptions) -> EncoderToNetwork {
        self.sequence += 1;
        EncoderToNetwork::Draw {
            sequence: self.sequence,
            window: window(1),
            window_size: Size::new(300, 200).unwrap(),
            rect,
            coding: Coding::Rgb24,
            data,
            options,
            flush: 0,
        }
    }
}

pub fn webp() -> DrawOptions {
    DrawOptions {
        rgb_format: None,
        lz4: 0,
        rowstride: 0,
        quality: 90,
        source: PixelFormat::Bgrx,
    }
}

pub fn bgrx(rowstride: u32, lz4: u8) -> DrawOptions {
    DrawOptions {
        rgb_format: Some(RgbFormat::Bgrx),
        lz4,
        rowstride,
        ..webp()
    }
}

/// What our own processes were told.
#[derive(Debug, Default)]
pub struct Told {
    pub auth: Vec<NetworkToAuth>,
    pub keys: Vec<NetworkToKeys>,
    pub supervisor: Vec<NetworkToSupervisor>,
    pub display: Vec<NetworkToDisplay>,
    pub encoder: Vec<NetworkToEncoder>,
    pub closed: Vec<Effect>,
}

pub struct Bench {
    pub connection: Connection,
    pub now: Instant,
    pub reader: RecordReader,
}

impl Bench {
    pub fn with(id: Option<Box<SessionFacts>>) -> Self {
        Self::on(id, None)
    }

    /// On a socket that demands this.
    pub fn on(id: Option<Box<SessionFacts>>, encryption: Option<AesMode>) -> Self {
        let now = Instant::now();
        Self {
            connection: Connection::new(now, id, 20, encryption),
            now,
            reader: RecordReader::new(Limits::SERVER_TO_CLIENT),
        }
    }

    pub fn new() -> Self {
        Self::with(None)
    }

    /// A client that has proved who it is and waits.
    pub fn accepted(hello: ClientHello) -> Self {
        let mut bench = Self::new();
        bench.send(hello.into_packet());
        bench.auth(AuthToNetwork::Accepted);
        bench
    }

    /// A client in the session, with window 1, all news read.
    pub fn attached(hello: ClientHello) -> Self {
        let mut bench = Self::accepted(hello);
        bench.supervisor(SupervisorToNetwork::Session(facts()));
        bench.display(answered());
        bench.display(new_window(1));
        bench.display(DisplayToNetwork::Synced);
        bench.received();
        bench.told();
        bench
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.connection.client_says(self.now, bytes);
    }

    pub fn send(&mut self, packet: Packet) {
        self.bytes(&RecordWriter::new(true).record(&packet, true).unwrap());
    }

    pub fn say(&mut self, packet: ClientPacket) {
        self.send(packet.into_packet());
    }

    pub fn auth(&mut self, message: AuthToNetwork) {
        self.connection.auth_says(self.now, message);
    }

    pub fn keys(&mut self, message: KeysToNetwork) {
        self.connection.keys_says(self.now, message);
    }

    pub fn supervisor(&mut self, message: SupervisorToNetwork) {
        self.connection.supervisor_says(self.now, message);
    }

    pub fn display(&mut self, message: DisplayToNetwork) {
        self.connection.display_says(self.now, message);
    }

    pub fn encoder(&mut self, message: EncoderToNetwork) {
        self.connection.encoder_says(self.now, message, &[]);
    }

    /// The encoder passes a buffer of this many bytes.
    pub fn buffer(&mut self, encoder: &mut FakeEncoder, bytes: u32) {
        let (message, fds) = encoder.buffer(bytes);
        self.connection.encoder_says(self.now, message, &fds);
    }

    pub fn wait(&mut self, time: Duration) {
        self.now += time;
        self.connection.tick(self.now);
    }

    /// What the next write would be.
    pub fn next_write(&mut self) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = self.connection.outbox().slices(&mut slices).unwrap();
        slices[..filled]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
    }

    /// The client reads at most this many bytes; they are not decoded.
    pub fn read_some(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = self.next_write();
        bytes.truncate(count);
        self.connection.written(self.now, bytes.len());
        bytes
    }

    /// The client reads everything.
    pub fn received(&mut self) -> Vec<Packet> {
        loop {
            let bytes = self.read_some(usize::MAX);
            if bytes.is_empty() {
                break;
            }
            self.reader.push(&bytes);
        }
        let mut packets = Vec::new();
        while let Some(message) = self.reader.next_message().unwrap() {
            let budget = Limits::SERVER_TO_CLIENT.budget;
            packets.push(Packet::decode(message, &budget).unwrap());
        }
        assert_eq!(self.reader.pending(), 0);
        packets
    }

    pub fn read(&mut self) -> Vec<ServerPacket> {
        self.received()
            .into_iter()
            .map(|packet| ServerPacket::parse(packet).unwrap())
            .collect()
    }

    pub fn names(&mut self) -> Vec<String> {
        self.received()
            .into_iter()
            .map(|packet| packet.name)
            .collect()
    }

    pub fn told(&mut self) -> Told {
        let mut told = Told::default();
        for effect in self.connection.take_effects() {
            match effect {
                Effect::Auth(message) => told.auth.push(message),
                Effect::Keys(message) => told.keys.push(message),
                Effect::Supervisor(message) => told.supervisor.push(message),
                Effect::Display(message) => told.display.push(message),
                Effect::Encoder(message) => told.encoder.push(message),
                close => told.closed.push(close),
            }
        }
        told
    }

    /// The reasons of the last packet, and that the connection then ends.
    pub fn ended(&mut self) -> Vec<String> {
        let last = self.received().pop().expect("a last packet");
        assert_eq!(last.name, "disconnect");
        self.bytes(b"whatever the client still says");
        self.wait(Duration::from_secs(2));
        assert!(self.connection.is_closed());
        last.args.iter().map(|arg| arg.to_text().unwrap()).collect()
    }
}

/// The picture abilities that [`gui`] announces.
pub fn gui_caps() -> PictureCaps {
    bulkhead_network::translate::picture_caps(&gui())
}
