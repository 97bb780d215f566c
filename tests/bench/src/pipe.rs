//! How many bytes of pictures a second `network` brings to one client over the loopback interface. The
//! worker's loop runs in a thread; its neighbours are played here, but for `keys`, which is the real one. The
//! client is the test client, which opens what is sealed and looks at no pixel. For TLS it is compared with
//! what `openssl s_client` gets from `openssl s_server`.

use crate::channel::next;
use crate::keys::{AES, KEY_DATA, Keys, TLS};
use bulkhead_network::worker::{READ, Worker};
use ipc::auth::{AuthToNetwork, NetworkToAuth};
use ipc::capture::PixelFormat;
use ipc::channel::socketpair;
use ipc::display::{DisplayToNetwork, Geometry, Metadata, NetworkToDisplay};
use ipc::frames::{
    Coding, DrawOptions, Encoded, EncoderToNetwork, MAX_BUFFERS, NetworkToEncoder, OutputBuffer,
};
use ipc::keys::{AesMode, Encryption};
use ipc::network::{NetworkToSupervisor, SessionFacts, SupervisorToNetwork};
use ipc::shared::Unsealed;
use ipc::{Channel, Position, Size, WindowId};
use std::error::Error;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use test_client::wire::cipher::Mode;
use test_client::{Address, Client, Happening, Options};

/// Bytes of a picture.
const PICTURE: usize = 4 << 20;
/// Pictures of one measurement.
const COUNT: usize = 256;
/// Longest that any step may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the bytes are carried by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The socket.
    Plain,
    /// The AES layer.
    Aes(AesMode),
    /// TLS 1.3.
    Tls,
}

impl Carrier {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Plain,
        Self::Aes(AesMode::Cbc),
        Self::Aes(AesMode::Ctr),
        Self::Aes(AesMode::Cfb),
        Self::Aes(AesMode::Gcm),
        Self::Tls,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain TCP",
            Self::Aes(mode) => mode.name(),
            Self::Tls => "TLS 1.3",
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Bytes of pictures per second.
///
/// # Errors
/// A step failed.
pub fn ours(carrier: Carrier, keys: &mut Keys) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let name = format!("127.0.0.1:{port}");
    let mut options = Options::gtk().password("any");
    options.decode = false;
    let mut address = Address::Tcp(name.clone());
    let encryption = match carrier {
        Carrier::Plain => None,
        Carrier::Aes(mode) => {
            let theirs = match mode {
                AesMode::Cbc => Mode::Cbc,
                AesMode::Ctr => Mode::Ctr,
                AesMode::Cfb => Mode::Cfb,
                AesMode::Gcm => Mode::Gcm,
            };
            options = options.encrypted(theirs, KEY_DATA);
            Some((Encryption::Aes(mode), AES))
        }
        Carrier::Tls => {
            address = Address::tls(name, &keys.authority);
            Some((Encryption::Tls(keys.certificate()), TLS))
        }
    };
    let client = std::thread::spawn(move || {
        receive(&address, &options).map_err(|error: Box<dyn Error>| error.to_string())
    });

    let socket = listener.accept()?.0;
    socket.set_nodelay(true)?;
    let (supervisor, theirs) = socketpair()?;
    let worker = std::thread::spawn(move || {
        let worker = Worker::new(socket.into(), theirs, vec![0; READ]);
        worker.run().map_err(|error| error.to_string())
    });
    let mut supervisor: Channel<SupervisorToNetwork, NetworkToSupervisor> =
        Channel::new(supervisor);
    let (auth, theirs) = socketpair()?;
    let mut fds = vec![theirs];
    if let Some((_, listener)) = encryption {
        fds.push(keys.connect(listener)?);
    }
    let start = SupervisorToNetwork::Start {
        id: None,
        login_timeout: 20,
        encryption: encryption.map(|(encryption, _)| encryption),
        capabilities: Vec::new(),
    };
    supervisor.send(&start, fds)?;
    let mut auth: Channel<AuthToNetwork, NetworkToAuth> = Channel::new(auth);
    expect(next(&mut auth)?, |said| {
        matches!(said, NetworkToAuth::Hello { .. })
    })?;
    auth.send(&AuthToNetwork::Accepted, Vec::new())?;
    let request = next(&mut supervisor)?;
    expect(request, |said| {
        matches!(said, NetworkToSupervisor::Request(_))
    })?;
    let (display, for_display) = socketpair()?;
    let (encoder, for_encoder) = socketpair()?;
    let session = SupervisorToNetwork::Session(facts());
    supervisor.send(&session, vec![for_display, for_encoder])?;
    let mut display: Channel<DisplayToNetwork, NetworkToDisplay> = Channel::new(display);
    let mut encoder: Channel<EncoderToNetwork, NetworkToEncoder> = Channel::new(encoder);
    expect(next(&mut encoder)?, |said| {
        matches!(said, NetworkToEncoder::Start(_))
    })?;
    expect(next(&mut display)?, |said| {
        matches!(said, NetworkToDisplay::Attach(_))
    })?;
    for message in shown()? {
        display.send(&message, Vec::new())?;
    }
    draw(&mut encoder)?;
    let speed = client.join().map_err(|_| "the client panicked")??;
    drop((supervisor, auth, display, encoder));
    worker.join().map_err(|_| "the worker panicked")??;
    Ok(speed)
}

fn expect<T: std::fmt::Debug>(said: T, what: impl Fn(&T) -> bool) -> Result<()> {
    match what(&said) {
        true => Ok(()),
        false => Err(format!("network says {said:?}").into()),
    }
}

fn facts() -> Box<SessionFacts> {
    Box::new(SessionFacts {
        display: 7,
        session_name: String::new(),
        uuid: "0123456789abcdef0123456789abcdef".into(),
        machine_id: "fedcba9876543210fedcba9876543210".into(),
        hostname: "host".into(),
        pid: 4711,
        start_time: 1_700_000_000,
        readonly: false,
        sharing: false,
        resize: false,
    })
}

fn size() -> Result<Size> {
    Ok(Size::new(1920, 1080).ok_or("no size")?)
}

/// A display with one window.
fn shown() -> Result<[DisplayToNetwork; 3]> {
    Ok([
        DisplayToNetwork::Attached {
            root: size()?,
            max_root: size()?,
            modifier_keys: Default::default(),
            done: 0,
        },
        DisplayToNetwork::NewWindow {
            window: WindowId::new(0, 1),
            geometry: Geometry {
                position: Position { x: 0, y: 0 },
                size: size()?,
            },
            override_redirect: false,
            metadata: vec![Metadata::Title("pictures".into())],
        },
        DisplayToNetwork::Synced,
    ])
}

/// Sends the pictures, each when its buffer is free.
fn draw(encoder: &mut Channel<EncoderToNetwork, NetworkToEncoder>) -> Result<()> {
    let bytes = u32::try_from(PICTURE)?;
    let mut free = Vec::new();
    for number in 0..MAX_BUFFERS {
        let (mut writer, fd) = Unsealed::new(bytes)?.into_writer()?;
        // What is nothing but zeros is one page for the kernel.
        for (place, byte) in writer.bytes().iter_mut().enumerate() {
            *byte = place.to_le_bytes()[1] ^ place.to_le_bytes()[0];
        }
        let buffer = OutputBuffer(number);
        encoder.send(&EncoderToNetwork::Buffer { buffer, bytes }, vec![fd])?;
        free.push(buffer);
    }
    let mut sequence = 0;
    while sequence < COUNT as u64 || free.len() < usize::from(MAX_BUFFERS) {
        while sequence < COUNT as u64 {
            let Some(buffer) = free.pop() else { break };
            sequence += 1;
            encoder.send(&picture(sequence, Encoded { buffer, bytes })?, Vec::new())?;
        }
        if let NetworkToEncoder::Written(buffer) = next(encoder)? {
            free.push(buffer);
        }
    }
    Ok(())
}

/// A picture of the whole window, as far as `network` looks.
fn picture(sequence: u64, data: Encoded) -> Result<EncoderToNetwork> {
    Ok(EncoderToNetwork::Draw {
        sequence,
        window: WindowId::new(0, 1),
        window_size: size()?,
        rect: size()?.rect(),
        coding: Coding::Webp,
        data,
        options: DrawOptions {
            rgb_format: None,
            lz4: 0,
            rowstride: 0,
            quality: 90,
            source: PixelFormat::Bgrx,
        },
        flush: 0,
    })
}

/// Attaches; from the first picture to the last.
fn receive(address: &Address, options: &Options) -> Result<f64> {
    let mut client = Client::connect(address, options, PATIENCE)?;
    let (mut count, mut start) = (0, Instant::now());
    while count < COUNT {
        let event = client.next_event(PATIENCE)?.ok_or("no picture")?;
        if let Happening::Drawn { .. } = event.what {
            if count == 0 {
                start = Instant::now();
            }
            count += 1;
        }
    }
    Ok(((COUNT - 1) * PICTURE) as f64 / start.elapsed().as_secs_f64())
}

/// The same between the programs of OpenSSL, of which the client throws away what it gets: bytes per second.
///
/// # Errors
/// A step failed.
pub fn openssl(keys: &Keys) -> Result<f64> {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("cert.pem"), &keys.pem.0)?;
    std::fs::write(path("key.pem"), &keys.pem.1)?;
    let total = COUNT * PICTURE;
    std::fs::File::create(path("pictures"))?.set_len(total as u64)?;
    let port = bulkhead_tests::session::free_port();
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-WWW", "-tls1_3", "-naccept", "1"])
        .args(["-cert", "cert.pem", "-key", "key.pem", "-accept"])
        .arg(format!("127.0.0.1:{port}"))
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let end = Instant::now() + PATIENCE;
    while !listens(port)? {
        if Instant::now() > end {
            return Err("openssl s_server does not listen".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let start = Instant::now();
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-connect"])
        .arg(format!("127.0.0.1:{port}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut question = client.stdin.take().ok_or("no standard input")?;
    std::io::Write::write_all(&mut question, b"GET /pictures HTTP/1.0\r\n\r\n")?;
    let ended = client.wait()?;
    let time = start.elapsed();
    drop(question);
    server.wait()?;
    if !ended.success() {
        return Err(format!("openssl s_client: {ended}").into());
    }
    Ok(total as f64 / time.as_secs_f64())
}

/// Is there a listening socket? A connection would be the one that it accepts.
fn listens(port: u16) -> std::io::Result<bool> {
    let wanted = format!("0100007F:{port:04X} 00000000:0000 0A");
    Ok(std::fs::read_to_string("/proc/net/tcp")?.contains(&wanted))
}
