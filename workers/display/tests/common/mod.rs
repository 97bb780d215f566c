//! A real X server, the worker in a thread, and the peers it talks to.
#![allow(dead_code, reason = "not every test uses everything")]

use ipc::capture::{CaptureBuffer, DisplayToEncoder, EncoderToDisplay};
use ipc::channel::socketpair;
use ipc::display::{
    Attach, DisplayToNetwork, DisplayToSupervisor, Geometry, Metadata, NetworkToDisplay, Purpose,
    SupervisorToDisplay,
};
use ipc::input::{Key, Modifiers, Pointer};
use ipc::shared::{Reader, Unsealed};
use ipc::verdict::Rights;
use ipc::{Channel, ConnectionId, Message, Position, Rect, Size, WindowId};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ConnectionExt as _, CreateGCAux, CreateWindowAux, EventMask, ImageFormat, PropMode,
    Rectangle, WindowClass,
};
use x11rb::rust_connection::{DefaultStream, RustConnection};
use x11rb::wrapper::ConnectionExt as _;

/// Nothing here takes longer than this.
pub const PATIENCE: Duration = Duration::from_secs(20);

const COOKIE: [u8; 16] = *b"0123456789abcdef";

/// An X server of our own.
pub struct Xvfb {
    child: Child,
    _directory: tempfile::TempDir,
    pub authority: std::path::PathBuf,
    pub display: u32,
}

impl Xvfb {
    pub fn start(screen: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = directory.path().join("authority");
        let mut entry = vec![0xff, 0xff, 0, 0, 0, 0];
        for part in [&b"MIT-MAGIC-COOKIE-1"[..], &COOKIE] {
            entry.extend_from_slice(&u16::try_from(part.len()).unwrap().to_be_bytes());
            entry.extend_from_slice(part);
        }
        std::fs::File::create(&authority)
            .unwrap()
            .write_all(&entry)
            .unwrap();
        let mut child = Command::new("Xvfb")
            .args([
                "-displayfd",
                "1",
                "-screen",
                "0",
                screen,
                "-nolisten",
                "tcp",
                "-noreset",
            ])
            .arg("-auth")
            .arg(&authority)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let display = line.trim().parse().unwrap();
        Self {
            child,
            _directory: directory,
            authority,
            display,
        }
    }

    pub fn socket(&self) -> UnixStream {
        UnixStream::connect(format!("/tmp/.X11-unix/X{}", self.display)).unwrap()
    }

    /// A process with this display.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("DISPLAY", format!(":{}", self.display))
            .env("XAUTHORITY", &self.authority)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Xvfb {
    fn drop(&mut self) {
        // SIGTERM, so that it removes its lock and socket.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill")
            .arg(&pid)
            .stderr(Stdio::null())
            .status();
        let _ = self.child.wait();
    }
}

/// Waits until a descriptor can be read, or a deadline.
fn wait(fd: impl AsFd, deadline: Instant, what: &str) {
    let left = deadline.saturating_duration_since(Instant::now());
    assert!(!left.is_zero(), "waited too long for {what}");
    let timeout = PollTimeout::try_from(left).unwrap();
    poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout).unwrap();
}

/// Receives until `want` finds what it wants.
pub fn until<Tx: Message, Rx: Message + std::fmt::Debug, T>(
    channel: &mut Channel<Tx, Rx>,
    what: &str,
    mut want: impl FnMut(Rx, Vec<OwnedFd>) -> Option<T>,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        channel.flush().unwrap();
        match channel
            .receive()
            .unwrap_or_else(|error| panic!("{what}: {error}"))
        {
            Some((message, fds)) => {
                if let Some(found) = want(message, fds) {
                    return found;
                }
            }
            None => wait(channel.as_fd(), deadline, what),
        }
    }
}

/// The worker.
pub struct Worker {
    pub supervisor: Channel<SupervisorToDisplay, DisplayToSupervisor>,
    thread: Option<JoinHandle<i32>>,
}

impl Worker {
    /// Starts it and waits until it is ready.
    pub fn start(server: &Xvfb) -> Self {
        let mut worker = Self::launch(server);
        until(&mut worker.supervisor, "Ready", |m, _| match m {
            DisplayToSupervisor::Ready => Some(()),
            DisplayToSupervisor::Failed { reason } => panic!("{reason}"),
            _ => None,
        });
        worker
    }

    pub fn launch(server: &Xvfb) -> Self {
        let (ours, theirs) = socketpair().unwrap();
        let thread = std::thread::Builder::new()
            .name("worker".into())
            .spawn(move || display::run(Channel::new(theirs)))
            .unwrap();
        let mut supervisor = Channel::new(ours);
        let (mut writer, cookie) = Unsealed::new(16).unwrap().into_writer().unwrap();
        writer.bytes().copy_from_slice(&COOKIE);
        let start = SupervisorToDisplay::Start {
            display: server.display,
            name: "Bulkhead test".into(),
            resize: true,
        };
        supervisor
            .send(&start, vec![server.socket().into(), cookie])
            .unwrap();
        Self {
            supervisor,
            thread: Some(thread),
        }
    }

    pub fn client(&mut self, number: u64, readonly: bool, purpose: Purpose) -> Peer {
        let (network, network_end) = socketpair().unwrap();
        let (encoder, encoder_end) = socketpair().unwrap();
        let connection = ConnectionId(number);
        let rights = Rights { readonly };
        let message = SupervisorToDisplay::Client {
            connection,
            rights,
            purpose,
        };
        self.supervisor
            .send(&message, vec![network_end, encoder_end])
            .unwrap();
        Peer::new(network, encoder)
    }

    /// A client that has attached and knows every window.
    pub fn attached(&mut self, number: u64, readonly: bool, attach: Attach) -> Peer {
        let mut peer = self.client(number, readonly, Purpose::Session);
        peer.say(NetworkToDisplay::Attach(attach));
        peer.hear("Synced", |m| {
            matches!(m, DisplayToNetwork::Synced).then_some(())
        });
        peer
    }

    /// Closes the channel and waits for the end.
    pub fn stop(mut self) -> i32 {
        let thread = self.thread.take().unwrap();
        drop(self);
        thread.join().unwrap()
    }

    /// Waits for the end without closing the channel.
    pub fn join(&mut self) -> i32 {
        self.thread.take().unwrap().join().unwrap()
    }
}

/// A client's first message.
pub fn attach() -> Attach {
    Attach {
        held: vec![],
        desktop: None,
        dpi: None,
        keyboard_sync: true,
        key_repeat: None,
        keymap: Box::default(),
        cursors: false,
        bell: false,
        said: 0,
    }
}

/// A window as a client sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub geometry: Geometry,
    pub override_redirect: bool,
    pub metadata: Vec<Metadata>,
    pub counter: u32,
}

impl Seen {
    pub fn title(&self) -> &str {
        self.metadata
            .iter()
            .rev()
            .find_map(|m| {
                if let Metadata::Title(t) = m {
                    Some(t.as_str())
                } else {
                    None
                }
            })
            .unwrap_or("")
    }
}

/// What a client has of a window's pixels: rows of BGRX or BGRA.
pub struct Canvas {
    pub size: Size,
    pub pixels: Vec<u8>,
}

/// A client's `network` and `encoder`.
pub struct Peer {
    pub network: Channel<NetworkToDisplay, DisplayToNetwork>,
    pub encoder: Channel<EncoderToDisplay, DisplayToEncoder>,
    pub buffers: BTreeMap<u16, Reader>,
    pub windows: BTreeMap<WindowId, Seen>,
    pub canvases: BTreeMap<WindowId, Canvas>,
    pub frames: usize,
}

impl Peer {
    fn new(network: OwnedFd, encoder: OwnedFd) -> Self {
        Self {
            network: Channel::new(network),
            encoder: Channel::new(encoder),
            buffers: BTreeMap::new(),
            windows: BTreeMap::new(),
            canvases: BTreeMap::new(),
            frames: 0,
        }
    }

    pub fn say(&mut self, message: NetworkToDisplay) {
        self.network.send(&message, vec![]).unwrap();
    }

    pub fn ask(&mut self, message: EncoderToDisplay) {
        self.encoder.send(&message, vec![]).unwrap();
    }

    /// Takes in messages until `want` finds what it wants.
    pub fn hear<T>(
        &mut self,
        what: &str,
        mut want: impl FnMut(&DisplayToNetwork) -> Option<T>,
    ) -> T {
        let windows = &mut self.windows;
        until(&mut self.network, what, |message, _| {
            match &message {
                DisplayToNetwork::NewWindow {
                    window,
                    geometry,
                    override_redirect,
                    metadata,
                } => {
                    let seen = Seen {
                        geometry: *geometry,
                        override_redirect: *override_redirect,
                        metadata: metadata.clone(),
                        counter: 0,
                    };
                    windows.insert(*window, seen);
                }
                DisplayToNetwork::LostWindow(window) => drop(windows.remove(window)),
                DisplayToNetwork::MoveResize {
                    window,
                    geometry,
                    resize_counter,
                } => {
                    let seen = windows
                        .get_mut(window)
                        .expect("a window that was announced");
                    (seen.geometry, seen.counter) = (*geometry, *resize_counter);
                }
                DisplayToNetwork::Metadata { window, metadata } => {
                    let seen = windows
                        .get_mut(window)
                        .expect("a window that was announced");
                    seen.metadata.extend(metadata.iter().cloned());
                }
                _ => {}
            }
            want(&message)
        })
    }

    /// Takes in messages until a window has this title.
    pub fn titled(&mut self, title: &str) -> WindowId {
        loop {
            if let Some((id, _)) = self.windows.iter().find(|(_, w)| w.title() == title) {
                return *id;
            }
            self.hear(&format!("a window {title:?}"), |_| Some(()));
        }
    }

    pub fn lost(&mut self, id: WindowId) {
        while self.windows.contains_key(&id) {
            self.hear("LostWindow", |_| Some(()));
        }
    }

    /// Says that the client shows a window where it was told that it is.
    pub fn map(&mut self, id: WindowId) {
        let geometry = self.windows[&id].geometry;
        self.say(NetworkToDisplay::Map {
            window: id,
            geometry,
            states: vec![],
        });
    }

    /// Takes in one message of the encoder's channel.
    pub fn encoder_message(&mut self, what: &str) -> DisplayToEncoder {
        let buffers = &mut self.buffers;
        until(&mut self.encoder, what, |message, mut fds| match message {
            DisplayToEncoder::Buffer { buffer, bytes } => {
                let reader = Reader::new(fds.remove(0).as_fd(), bytes).expect("a sealed buffer");
                assert!(buffer.0 < ipc::capture::MAX_BUFFERS);
                buffers.insert(buffer.0, reader);
                None
            }
            other => Some(other),
        })
    }

    /// Applies a frame and gives the buffer back.
    pub fn apply(&mut self, message: &DisplayToEncoder) {
        let DisplayToEncoder::Frame {
            buffer,
            window,
            window_size,
            rect,
            ..
        } = message
        else {
            return;
        };
        assert!(rect.fits(*window_size));
        let bytes = &self.buffers[&buffer.0].bytes()[..rect.size.bytes() as usize];
        let canvas = self.canvases.entry(*window).or_insert_with(|| Canvas {
            size: *window_size,
            pixels: vec![],
        });
        if canvas.size != *window_size || canvas.pixels.is_empty() {
            canvas.size = *window_size;
            canvas.pixels = vec![0; window_size.bytes() as usize];
        }
        paste(
            &mut canvas.pixels,
            window_size.stride() as usize,
            *rect,
            bytes,
        );
        self.frames += 1;
        self.ask(EncoderToDisplay::Release(*buffer));
    }

    /// Pulls frames until the pixels of a window are these.
    pub fn settle(&mut self, window: WindowId, size: (u16, u16), expected: &[u8]) {
        loop {
            if let Some(canvas) = self.canvases.get(&window)
                && <(u16, u16)>::from(canvas.size) == size
                && same_colours(&canvas.pixels, expected)
            {
                return;
            }
            self.ask(EncoderToDisplay::Pull);
            loop {
                let message = self.encoder_message("a frame");
                self.apply(&message);
                if let DisplayToEncoder::Frame { .. } = message {
                    break;
                }
            }
        }
    }

    pub fn release(&mut self, buffer: CaptureBuffer) {
        self.ask(EncoderToDisplay::Release(buffer));
    }

    /// Types one key: press and release.
    pub fn type_key(&mut self, window: WindowId, name: &str, keycode: u32, modifiers: Modifiers) {
        for pressed in [true, false] {
            self.say(key(window, name, keycode, modifiers, pressed));
        }
    }

    pub fn motion(&mut self, window: WindowId, x: i32, y: i32) {
        self.say(NetworkToDisplay::Motion(pointer(window, x, y)));
    }

    pub fn button(&mut self, window: WindowId, x: i32, y: i32, button: u8, pressed: bool) {
        let pointer = pointer(window, x, y);
        self.say(NetworkToDisplay::Button {
            pointer,
            button,
            pressed,
        });
    }
}

pub fn key(
    window: WindowId,
    name: &str,
    keycode: u32,
    modifiers: Modifiers,
    pressed: bool,
) -> NetworkToDisplay {
    NetworkToDisplay::Key(Key {
        window: Some(window),
        name: name.into(),
        keysym: display::input::keysyms::from_name(name).unwrap_or(0),
        keycode,
        group: 0,
        pressed,
        modifiers,
    })
}

pub fn pointer(window: WindowId, x: i32, y: i32) -> Pointer {
    // The client has the window elsewhere: only what is relative to it counts.
    let position = Position {
        x: 5000 + x,
        y: 5000 + y,
    };
    let relative = Some(Position { x, y });
    Pointer {
        window: Some(window),
        position,
        relative,
        modifiers: Modifiers::default(),
    }
}

pub fn paste(canvas: &mut [u8], stride: usize, rect: Rect, bytes: &[u8]) {
    for (row, line) in bytes.chunks_exact(rect.size.stride() as usize).enumerate() {
        let start = (usize::from(rect.y) + row) * stride + usize::from(rect.x) * 4;
        canvas[start..start + line.len()].copy_from_slice(line);
    }
}

pub fn same_colours(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && a.chunks_exact(4)
            .zip(b.chunks_exact(4))
            .all(|(a, b)| a[..3] == b[..3])
}

/// An X11 application.
pub struct App {
    pub x: RustConnection,
    pub root: u32,
    pub gc: u32,
}

impl App {
    pub fn start(server: &Xvfb) -> Self {
        let (stream, _) = DefaultStream::from_unix_stream(server.socket()).unwrap();
        let x = RustConnection::connect_to_stream_with_auth_info(
            stream,
            0,
            b"MIT-MAGIC-COOKIE-1".to_vec(),
            COOKIE.to_vec(),
        )
        .unwrap();
        let root = x.setup().roots[0].root;
        let gc = x.generate_id().unwrap();
        x.create_gc(gc, root, &CreateGCAux::new()).unwrap();
        Self { x, root, gc }
    }

    pub fn create(&self, place: (i16, i16, u16, u16), attributes: &CreateWindowAux) -> u32 {
        let window = self.x.generate_id().unwrap();
        let (x, y, w, h) = place;
        let class = WindowClass::INPUT_OUTPUT;
        self.x
            .create_window(0, window, self.root, x, y, w, h, 0, class, 0, attributes)
            .unwrap();
        window
    }

    /// A window with a title, that listens to everything.
    pub fn window(&self, title: &str, place: (i16, i16, u16, u16)) -> u32 {
        let window = self.create(place, &listening());
        self.title(window, title);
        self.x.map_window(window).unwrap();
        self.x.flush().unwrap();
        window
    }

    /// A window that places itself.
    pub fn menu(&self, title: &str, place: (i16, i16, u16, u16)) -> u32 {
        let window = self.create(place, &listening().override_redirect(1));
        self.title(window, title);
        self.x.map_window(window).unwrap();
        self.x.flush().unwrap();
        window
    }

    pub fn atom(&self, name: &str) -> u32 {
        self.x
            .intern_atom(false, name.as_bytes())
            .unwrap()
            .reply()
            .unwrap()
            .atom
    }

    pub fn title(&self, window: u32, title: &str) {
        let (name, utf8) = (self.atom("_NET_WM_NAME"), self.atom("UTF8_STRING"));
        let replace = PropMode::REPLACE;
        self.x
            .change_property8(replace, window, name, utf8, title.as_bytes())
            .unwrap();
        self.x.flush().unwrap();
    }

    pub fn fill(&self, window: u32, colour: u32, place: (i16, i16, u16, u16)) {
        let change = x11rb::protocol::xproto::ChangeGCAux::new().foreground(colour);
        self.x.change_gc(self.gc, &change).unwrap();
        let (x, y, width, height) = place;
        let rect = Rectangle {
            x,
            y,
            width,
            height,
        };
        self.x
            .poly_fill_rectangle(window, self.gc, &[rect])
            .unwrap();
        self.x.flush().unwrap();
    }

    /// A picture in which no two neighbours are alike.
    pub fn paint(&self, window: u32, (width, height): (u16, u16)) {
        for y in (0..height).step_by(7) {
            for x in (0..width).step_by(11) {
                let colour = u32::from(x) * 77_777 + u32::from(y) * 3_333;
                let at = (i16::try_from(x).unwrap(), i16::try_from(y).unwrap());
                self.fill(window, colour & 0x00ff_ffff, (at.0, at.1, 11, 7));
            }
        }
        self.sync();
    }

    pub fn image(&self, window: u32, (width, height): (u16, u16)) -> Vec<u8> {
        let format = ImageFormat::Z_PIXMAP;
        let image = self
            .x
            .get_image(format, window, 0, 0, width, height, !0)
            .unwrap();
        image.reply().unwrap().data
    }

    pub fn sync(&self) {
        self.x.get_input_focus().unwrap().reply().unwrap();
    }

    pub fn wait<T>(&self, what: &str, mut want: impl FnMut(&Event) -> Option<T>) -> T {
        self.x.flush().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.x.poll_for_event().unwrap() {
                Some(event) => {
                    if let Some(found) = want(&event) {
                        return found;
                    }
                }
                None => wait(self.x.stream(), deadline, what),
            }
        }
    }

    pub fn mapped(&self, window: u32) {
        self.wait("MapNotify", |e| match e {
            Event::MapNotify(e) if e.window == window => Some(()),
            _ => None,
        });
    }

    pub fn property(&self, window: u32, name: &str) -> Vec<u32> {
        let atom = self.atom(name);
        let any = AtomEnum::ANY;
        let reply = self
            .x
            .get_property(false, window, atom, any, 0, 1024)
            .unwrap()
            .reply()
            .unwrap();
        reply.value32().map(Iterator::collect).unwrap_or_default()
    }

    /// Waits until a property is this: another client writes it, and the X server serves clients
    /// in any order.
    pub fn becomes(&self, window: u32, name: &str, expected: &[u32]) {
        self.until(name, || self.property(window, name) == expected);
    }

    /// Asks the X server until it is so.
    pub fn until(&self, what: &str, so: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !so() {
            assert!(Instant::now() < deadline, "waited too long for {what}");
        }
    }
}

pub fn listening() -> CreateWindowAux {
    CreateWindowAux::new()
        .background_pixel(0x0033_6699)
        .event_mask(
            EventMask::KEY_PRESS
                | EventMask::KEY_RELEASE
                | EventMask::BUTTON_PRESS
                | EventMask::BUTTON_RELEASE
                | EventMask::POINTER_MOTION
                | EventMask::STRUCTURE_NOTIFY
                | EventMask::FOCUS_CHANGE
                | EventMask::PROPERTY_CHANGE
                | EventMask::EXPOSURE,
        )
}
