//! The encoder's peers, played by a test, around a session that runs in a thread.

use encoder::codec::Codecs;
use encoder::offer::everything;
use encoder::session::Session;
use ipc::capture::{CaptureBuffer, DisplayToEncoder, EncoderToDisplay, PixelFormat};
use ipc::channel::{Channel, Message, socketpair};
use ipc::encoder::{EncoderToSupervisor, SupervisorToEncoder};
use ipc::frames::{
    Coding, DrawOptions, EncoderToNetwork, NetworkToEncoder, OutputBuffer, PictureCaps, RgbFormat,
};
use ipc::shared::{Reader, Unsealed, Writer};
use ipc::verdict::{Peer, Violation};
use ipc::{Rect, Size, WindowId};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest time that anything may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A capture buffer as `display` sees it.
struct Capture {
    writer: Writer,
    bytes: u32,
    free: bool,
}

/// Where the encoder runs.
enum Encoder {
    Thread(JoinHandle<bool>),
    /// The real executable under its policy.
    Process(Child),
}

/// The three peers.
pub struct Peers {
    /// As the supervisor has it.
    pub supervisor: Channel<SupervisorToEncoder, EncoderToSupervisor>,
    /// As `network` has it.
    pub network: Channel<NetworkToEncoder, EncoderToNetwork>,
    /// As `display` has it.
    pub display: Channel<DisplayToEncoder, EncoderToDisplay>,
    captures: BTreeMap<u16, Capture>,
    outputs: BTreeMap<u16, (Reader, u32)>,
    /// Pulls that are open.
    pub pulls: usize,
    /// Refreshes that were asked for.
    pub refreshes: Vec<Option<WindowId>>,
    /// The encoder runs here.
    encoder: Encoder,
}

/// A drawn picture with its bytes.
#[derive(Debug)]
pub struct Drawn {
    pub sequence: u64,
    pub window: WindowId,
    pub rect: Rect,
    pub coding: Coding,
    pub options: DrawOptions,
    pub buffer: OutputBuffer,
    pub flush: u16,
    pub data: Vec<u8>,
}

/// What came from the encoder on its way to the client.
#[derive(Debug)]
pub enum Seen {
    Draw(Drawn),
    Other(EncoderToNetwork, Vec<u8>),
}

pub fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).unwrap()
}

pub fn caps() -> PictureCaps {
    everything()
}

/// Receives within the time, or `None`.
pub fn receive<Tx: Message, Rx: Message>(
    channel: &mut Channel<Tx, Rx>,
    time: Duration,
) -> Option<(Rx, Vec<std::os::fd::OwnedFd>)> {
    let end = Instant::now() + time;
    loop {
        if let Some(message) = channel.receive().ok()? {
            return Some(message);
        }
        let left = end.checked_duration_since(Instant::now())?;
        let mut set = [PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
        poll(&mut set, PollTimeout::try_from(left).unwrap()).ok()?;
    }
}

impl Peers {
    /// Starts a session with its channels, without `Start` from `network`.
    pub fn silent() -> Self {
        Self::around(|theirs| {
            Encoder::Thread(std::thread::spawn(move || {
                Session::new(theirs, Codecs::new()).serve().is_ok()
            }))
        })
    }

    /// Starts the real executable for a client with these capabilities.
    pub fn confined(caps: PictureCaps) -> Self {
        let mut peers = Self::around(|theirs| Encoder::Process(crate::confined::start(&theirs)));
        peers.tell(NetworkToEncoder::Start(caps));
        peers
    }

    fn around(start: impl FnOnce(OwnedFd) -> Encoder) -> Self {
        let (supervisor, theirs) = socketpair().unwrap();
        let mut supervisor: Channel<SupervisorToEncoder, EncoderToSupervisor> =
            Channel::new(supervisor);
        let ((network, n), (display, d)) = (socketpair().unwrap(), socketpair().unwrap());
        supervisor
            .send(&SupervisorToEncoder::Start, vec![n, d])
            .unwrap();
        Self {
            supervisor,
            network: Channel::new(network),
            display: Channel::new(display),
            captures: BTreeMap::new(),
            outputs: BTreeMap::new(),
            pulls: 0,
            refreshes: vec![],
            encoder: start(theirs),
        }
    }

    /// Starts a session for a client with these capabilities.
    pub fn with(caps: PictureCaps) -> Self {
        let mut peers = Self::silent();
        peers.tell(NetworkToEncoder::Start(caps));
        peers
    }

    pub fn tell(&mut self, message: NetworkToEncoder) {
        self.network.send(&message, vec![]).unwrap();
    }

    /// Sends as `display`, without a descriptor.
    pub fn show(&mut self, message: DisplayToEncoder) {
        self.display.send(&message, vec![]).unwrap();
    }

    /// A new `display` in the place of the old one.
    pub fn restart_display(&mut self) {
        let (display, theirs) = socketpair().unwrap();
        self.display = Channel::new(display);
        self.supervisor
            .send(&SupervisorToEncoder::Display, vec![theirs])
            .unwrap();
        self.captures.clear();
        self.pulls = 0;
    }

    /// Looks at what the encoder tells `display`, for at most this time or until `enough`.
    pub fn hear_display(&mut self, time: Duration, enough: impl Fn(&Self) -> bool) {
        let end = Instant::now() + time;
        while !enough(self) {
            let left = end.saturating_duration_since(Instant::now());
            let Some((message, _)) = receive(&mut self.display, left) else {
                break;
            };
            match message {
                EncoderToDisplay::Pull => self.pulls += 1,
                EncoderToDisplay::Release(buffer) => {
                    let capture = self.captures.get_mut(&buffer.0).unwrap();
                    assert!(!capture.free, "released twice");
                    capture.free = true;
                }
                EncoderToDisplay::Refresh(window) => self.refreshes.push(window),
                EncoderToDisplay::Active(_) => {}
            }
            assert!(self.pulls <= 8);
        }
    }

    /// Has it given this one back?
    pub fn has_back(&self, buffer: CaptureBuffer) -> bool {
        self.captures.get(&buffer.0).is_some_and(|it| it.free)
    }

    /// Waits for a free capture buffer of at least this size and fills it.
    pub fn capture(&mut self, pixels: &[u8]) -> CaptureBuffer {
        let bytes = u32::try_from(pixels.len()).unwrap();
        self.hear_display(PATIENCE, |peers| {
            peers.captures.len() < 8 || peers.captures.values().any(|c| c.free)
        });
        let fits = self
            .captures
            .iter()
            .find(|(_, c)| c.free && c.bytes >= bytes)
            .map(|(i, _)| *i);
        let index = fits.unwrap_or_else(|| {
            let count = u16::try_from(self.captures.len()).unwrap();
            let index = if count < 8 {
                count
            } else {
                *self.captures.iter().find(|(_, c)| c.free).unwrap().0
            };
            let (writer, fd) = Unsealed::new(bytes).unwrap().into_writer().unwrap();
            self.captures.insert(
                index,
                Capture {
                    writer,
                    bytes,
                    free: true,
                },
            );
            let message = DisplayToEncoder::Buffer {
                buffer: CaptureBuffer(index),
                bytes,
            };
            self.display.send(&message, vec![fd]).unwrap();
            index
        });
        let capture = self.captures.get_mut(&index).unwrap();
        capture.writer.bytes()[..pixels.len()].copy_from_slice(pixels);
        capture.free = false;
        CaptureBuffer(index)
    }

    /// Waits for a pull and sends a frame.
    pub fn frame(
        &mut self,
        window: WindowId,
        window_size: Size,
        rect: Rect,
        pixels: &[u8],
        format: PixelFormat,
    ) {
        self.hear_display(PATIENCE, |peers| peers.pulls > 0);
        assert!(self.pulls > 0, "no pull came");
        let buffer = self.capture(pixels);
        self.pulls -= 1;
        self.show(DisplayToEncoder::Frame {
            buffer,
            window,
            window_size,
            rect,
            format,
            more: false,
        });
    }

    /// The next thing for the client.
    pub fn see(&mut self, time: Duration) -> Option<Seen> {
        loop {
            let (message, fds) = receive(&mut self.network, time)?;
            let data = |outputs: &BTreeMap<u16, (Reader, u32)>, data: &ipc::frames::Encoded| {
                outputs[&data.buffer.0].0.bytes()[..data.bytes as usize].to_vec()
            };
            return Some(match message {
                EncoderToNetwork::Buffer { buffer, bytes } => {
                    let reader = Reader::new(fds[0].as_fd(), bytes).unwrap();
                    let old = self.outputs.insert(buffer.0, (reader, bytes));
                    assert!(buffer.0 < 8 && old.is_none_or(|(_, old)| old < bytes));
                    continue;
                }
                EncoderToNetwork::Draw {
                    sequence,
                    window,
                    window_size,
                    rect,
                    coding,
                    data: place,
                    options,
                    flush,
                } => {
                    assert!(rect.fits(window_size));
                    let data = data(&self.outputs, &place);
                    Seen::Draw(Drawn {
                        sequence,
                        window,
                        rect,
                        coding,
                        options,
                        buffer: place.buffer,
                        flush,
                        data,
                    })
                }
                EncoderToNetwork::Icon { data: place, .. }
                | EncoderToNetwork::Cursor { data: place, .. }
                | EncoderToNetwork::Screenshot { data: place, .. } => {
                    let bytes = data(&self.outputs, &place);
                    // An encoder that has had enough of us does not listen.
                    let written = NetworkToEncoder::Written(place.buffer);
                    let _ = self.network.send(&written, vec![]);
                    Seen::Other(message, bytes)
                }
                EncoderToNetwork::DefaultCursor => Seen::Other(message, vec![]),
            });
        }
    }

    /// The next picture, written and acknowledged.
    pub fn draw(&mut self) -> Option<Drawn> {
        match self.see(PATIENCE)? {
            Seen::Draw(drawn) => {
                self.done(&drawn);
                Some(drawn)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Written and acknowledged.
    pub fn done(&mut self, drawn: &Drawn) {
        self.tell(NetworkToEncoder::Written(drawn.buffer));
        self.tell(NetworkToEncoder::Ack {
            sequence: drawn.sequence,
            decode_us: 100,
        });
    }

    /// The violation that is reported.
    pub fn violation(&mut self) -> (Peer, String) {
        let (EncoderToSupervisor::Violation(Violation { peer, what }), _) =
            receive(&mut self.supervisor, PATIENCE).expect("a violation is reported");
        assert!(what.len() <= 256);
        (peer, what)
    }

    /// Ends the session and says whether it ended well.
    pub fn end(self) -> bool {
        let Self {
            supervisor,
            encoder,
            ..
        } = self;
        drop(supervisor);
        match encoder {
            Encoder::Thread(thread) => thread.join().expect("the encoder did not panic"),
            Encoder::Process(mut child) => child.wait().unwrap().success(),
        }
    }
}

/// Decodes a picture with independent decoders, into memory order; the fourth byte is 0 where the
/// picture has no alpha.
pub fn decode(drawn: &Drawn) -> Vec<u8> {
    let (width, height) = (
        usize::from(drawn.rect.size.width()),
        usize::from(drawn.rect.size.height()),
    );
    let rgb = |bytes: &[u8]| -> Vec<u8> {
        bytes
            .as_chunks::<3>()
            .0
            .iter()
            .flat_map(|p| [p[2], p[1], p[0], 0])
            .collect()
    };
    let rgba = |bytes: &[u8]| -> Vec<u8> {
        bytes
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|p| [p[2], p[1], p[0], p[3]])
            .collect()
    };
    let pixels = match drawn.coding {
        Coding::Rgb24 | Coding::Rgb32 => {
            let plain = if drawn.options.lz4 > 0 {
                lz4_flex::block::decompress_size_prepended(&drawn.data).unwrap()
            } else {
                drawn.data.clone()
            };
            assert_eq!(plain.len(), drawn.options.rowstride as usize * height);
            match drawn.options.rgb_format.unwrap() {
                RgbFormat::Bgrx => plain
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .flat_map(|p| [p[0], p[1], p[2], 0])
                    .collect(),
                RgbFormat::Bgra => plain,
                RgbFormat::Rgbx => plain
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .flat_map(|p| [p[2], p[1], p[0], 0])
                    .collect(),
                RgbFormat::Rgba => rgba(&plain),
                RgbFormat::Rgb => rgb(&plain),
                RgbFormat::Bgr => plain
                    .as_chunks::<3>()
                    .0
                    .iter()
                    .flat_map(|p| [p[0], p[1], p[2], 0])
                    .collect(),
            }
        }
        Coding::Png => {
            let mut reader = png::Decoder::new(std::io::Cursor::new(&drawn.data))
                .read_info()
                .unwrap();
            let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut bytes).unwrap();
            if info.color_type == png::ColorType::Rgba {
                rgba(&bytes)
            } else {
                rgb(&bytes)
            }
        }
        Coding::Jpeg => {
            turbojpeg::decompress(&drawn.data, turbojpeg::PixelFormat::BGRX)
                .unwrap()
                .pixels
        }
        Coding::Webp => {
            let mut decoder =
                image_webp::WebPDecoder::new(std::io::Cursor::new(&drawn.data)).unwrap();
            let mut bytes = vec![0; decoder.output_buffer_size().unwrap()];
            decoder.read_image(&mut bytes).unwrap();
            if decoder.has_alpha() {
                rgba(&bytes)
            } else {
                rgb(&bytes)
            }
        }
    };
    assert_eq!(pixels.len(), width * height * 4);
    pixels
}

/// A client's copy of a window.
pub struct Screen {
    size: Size,
    pub pixels: Vec<u8>,
}

impl Screen {
    pub fn new(size: Size) -> Self {
        Self {
            size,
            pixels: vec![0; size.bytes() as usize],
        }
    }

    pub fn paint(&mut self, rect: Rect, pixels: &[u8]) {
        let (stride, left) = (self.size.stride() as usize, usize::from(rect.x) * 4);
        let width = rect.size.stride() as usize;
        for (row, source) in pixels.chunks_exact(width).enumerate() {
            let start = (usize::from(rect.y) + row) * stride + left;
            self.pixels[start..start + width].copy_from_slice(source);
        }
    }

    pub fn part(&self, rect: Rect) -> Vec<u8> {
        let (stride, left) = (self.size.stride() as usize, usize::from(rect.x) * 4);
        let width = rect.size.stride() as usize;
        (usize::from(rect.y)..rect.bottom() as usize)
            .flat_map(|y| self.pixels[y * stride + left..][..width].to_vec())
            .collect()
    }

    /// The same colours, whatever the unused byte is?
    pub fn shows(&self, other: &Self) -> bool {
        let pairs = self
            .pixels
            .as_chunks::<4>()
            .0
            .iter()
            .zip(other.pixels.as_chunks::<4>().0);
        pairs.into_iter().all(|(a, b)| a[..3] == b[..3])
    }
}

/// A small generator, for pictures.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: u64) -> u32 {
        u32::try_from((self.roll() >> 16) % limit).unwrap()
    }

    /// Flat, smooth or noisy pixels.
    pub fn picture(&mut self, size: Size) -> Vec<u8> {
        let (kind, width) = (self.below(3), usize::from(size.width()));
        let base = self.roll().to_le_bytes();
        (0..width * usize::from(size.height()))
            .flat_map(|i| {
                let (x, y) = ((i % width).to_le_bytes(), (i / width).to_le_bytes());
                match kind {
                    0 if (x[0] / 7) % 3 == 0 && (y[0] / 11) % 2 == 0 => {
                        [base[0], base[1], base[2], 0]
                    }
                    0 => [255, 255, 255, 0],
                    1 => [x[0] / 2, y[0] / 2, (x[0] / 4).wrapping_add(y[0] / 4), 0],
                    _ => {
                        let noise = self.roll().to_le_bytes();
                        [noise[0], noise[1] / 2, noise[2] / 4, 0]
                    }
                }
            })
            .collect()
    }
}
