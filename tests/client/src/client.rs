//! The client itself.

use crate::Error;
use crate::decode::{DecodeError, decode};
use crate::encryption::{random, sealed};
use crate::framebuffer::Framebuffer;
use crate::keyboard::{KeyPress, named, press_of};
use crate::options::Options;
use crate::state::{Event, Happening, State, Window};
use crate::transport::{Address, Socket};
use std::io::Read;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use wire::caps::Caps;
use wire::challenge::{self, Digest};
use wire::cipher::{Opener, Sealer, SessionKey};
use wire::hello::ClientHello;
use wire::limits::Limits;
use wire::packet::{
    BufferRefresh, Challenge, ClientPacket, ConfigureWindow, Disconnect, Draw, DrawAck, Geometry,
    KeyAction, LayoutChanged, Map, MapWindow, Modifiers, NewWindow, Packet, PingEcho,
    PointerButton, PointerMotion, Position, RgbFormat, ServerPacket, Size, UnmapWindow, WindowId,
    WindowProperties, WindowState, reason,
};
use wire::record::{RecordReader, RecordWriter};
use wire::rencodeplus::Value;

/// Shift in a modifier mask.
const SHIFT: u8 = 1;

/// An attached client.
pub struct Client {
    socket: Socket,
    reader: RecordReader,
    writer: RecordWriter,
    sealer: Option<Sealer>,
    session_keys: Vec<SessionKey>,
    options: Options,
    buffer: Vec<u8>,
    received: Instant,
    state: State,
    pointer_sequence: u64,
}

/// Its socket, to set options on.
impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Client {
    /// Connects, authenticates and says hello; returns when the server's hello is there.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn connect(address: &Address, options: &Options, timeout: Duration) -> Result<Self, Error> {
        let mut client = Self::open(address, options, timeout)?;
        client.handshake(timeout)?;
        Ok(client)
    }

    /// Only connects: nothing is sent yet.
    ///
    /// # Errors
    /// What connecting says.
    pub fn open(address: &Address, options: &Options, timeout: Duration) -> Result<Self, Error> {
        Ok(Self::new(Socket::connect(address, timeout)?, options))
    }

    /// With a connection that somebody else has made.
    #[must_use]
    pub fn on(socket: TcpStream, options: &Options) -> Self {
        Self::new(Socket::Tcp(socket), options)
    }

    /// The same, on a unix socket.
    #[must_use]
    pub fn on_unix(socket: UnixStream, options: &Options) -> Self {
        Self::new(Socket::Unix(socket), options)
    }

    /// The same, with TLS on it where the address says so.
    ///
    /// # Errors
    /// What the other end makes of that.
    pub fn through(
        address: &Address,
        socket: TcpStream,
        options: &Options,
        timeout: Duration,
    ) -> Result<Self, Error> {
        Ok(Self::new(Socket::on(address, socket, timeout)?, options))
    }

    fn new(socket: Socket, options: &Options) -> Self {
        Self {
            socket,
            reader: RecordReader::new(Limits::SERVER_TO_CLIENT),
            writer: RecordWriter::new(true),
            sealer: None,
            session_keys: Vec::new(),
            options: options.clone(),
            buffer: vec![0; 256 * 1024],
            received: Instant::now(),
            state: State::default(),
            pointer_sequence: 0,
        }
    }

    /// What it says hello with.
    #[must_use]
    pub fn hello(&self) -> &ClientHello {
        &self.options.hello
    }

    /// Says hello, answers challenges, and waits for the server's hello.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn handshake(&mut self, timeout: Duration) -> Result<(), Error> {
        let end = Instant::now() + timeout;
        let first = self.options.password.clone();
        let mut passwords = first.into_iter().chain(self.options.next_passwords.clone());
        let mut password = passwords.next();
        self.send_hello(self.options.hello.clone())?;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.next_packet(left)? {
                None => return Err(Error::Timeout(timeout, "a hello")),
                Some(ServerPacket::Challenge(challenge)) => {
                    self.renew(&challenge.auth_caps)?;
                    let key = self.options.security_key.as_mut();
                    match key.and_then(|key| key.answer(&challenge.digest, &challenge.salt)) {
                        Some((response, salt)) => self.respond(response, salt)?,
                        None if challenge.digest == Digest::Keycloak.name() => {
                            let brought = self.visit(&challenge)?;
                            self.answer(&challenge, Some(&brought))?;
                        }
                        None if self.options.reads.is_some()
                            && challenge.prompt.contains("screen") =>
                        {
                            let reads = self.options.reads.clone();
                            let read = reads.map(|reads| (reads.0)(&challenge.prompt));
                            self.answer(&challenge, read.as_deref())?;
                        }
                        None => {
                            self.answer(&challenge, password.as_deref())?;
                            password = passwords.next().or(password);
                        }
                    }
                }
                Some(ServerPacket::Disconnect(disconnect)) => return Err(disconnected(disconnect)),
                Some(ServerPacket::Hello(map)) => {
                    self.renew(&map)?;
                    self.state.hello = map;
                    return self.after_hello();
                }
                Some(_) => {}
            }
        }
    }

    /// Every key that the connection has been encrypted with.
    #[must_use]
    pub fn session_keys(&self) -> &[SessionKey] {
        &self.session_keys
    }

    /// Goes where the challenge says.
    fn visit(&self, challenge: &Challenge) -> Result<Vec<u8>, Error> {
        let refuse = || Error::Challenge(challenge.digest.clone());
        let visit = self.options.visit.as_ref().ok_or_else(refuse)?;
        let address = std::str::from_utf8(&challenge.salt).map_err(|_| refuse())?;
        Ok((visit.0)(address))
    }

    /// Answers a challenge with this password.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn answer(&mut self, challenge: &Challenge, password: Option<&[u8]>) -> Result<(), Error> {
        let refuse = || Error::Challenge(challenge.digest.clone());
        let offered = |digest: &Digest| self.options.hello.auth.digests.contains(digest);
        let digest = Digest::of_challenge(&challenge.digest).filter(offered);
        let salt_digest = Digest::parse(&challenge.salt_digest);
        let (Some(digest), Some(salt_digest), Some(password)) = (digest, salt_digest, password)
        else {
            return Err(refuse());
        };
        let mut salt = [0; 32];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut salt)?;
        let combined =
            challenge::combined_salt(salt_digest, &challenge.salt, &salt).map_err(|_| refuse())?;
        let response = challenge::response(digest, password, &combined);
        self.respond(response, salt.to_vec())
    }

    fn respond(&mut self, response: Vec<u8>, client_salt: Vec<u8>) -> Result<(), Error> {
        let mut hello = self.options.hello.clone();
        let raw = self.options.raw.response.clone();
        hello.auth.response = Some(raw.unwrap_or(response));
        hello.auth.client_salt = Some(client_salt);
        self.send_hello(hello)
    }

    /// Sends a hello; what comes after it is encrypted as it says.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn send_hello(&mut self, mut hello: ClientHello) -> Result<(), Error> {
        let Some(encryption) = &self.options.encryption else {
            return self.send_packet(&self.packet_of(hello));
        };
        let (offer, suite) = encryption.offer()?;
        hello.network.encryption = Ok(Some(offer));
        self.send_packet(&self.packet_of(hello))?;
        self.session_keys.push(suite.key.clone());
        let opener = Opener::new(suite).map_err(|_| Error::Encryption)?;
        self.reader.set_opener(opener);
        Ok(())
    }

    fn packet_of(&self, hello: ClientHello) -> Packet {
        let mut packet = hello.into_packet();
        if let (Some(name), [Value::Dict(map)]) = (&self.options.raw.username, &mut packet.args[..])
        {
            map.retain(|(key, _)| !key.is_key("username"));
            map.push(("username".into(), Value::Bytes(name.clone())));
        }
        packet
    }

    /// The server has said, in a challenge or its hello, how it wants to be written to.
    ///
    /// # Errors
    /// That is of no use.
    pub fn renew(&mut self, caps: &Map) -> Result<(), Error> {
        if let Some(encryption) = &self.options.encryption {
            let suite = encryption.wanted(&Caps::new(caps))?;
            self.session_keys.push(suite.key.clone());
            self.sealer = Some(Sealer::new(&suite, random()?).map_err(|_| Error::Encryption)?);
        }
        Ok(())
    }

    fn after_hello(&mut self) -> Result<(), Error> {
        if !self.options.hello.keyboard {
            return Ok(());
        }
        let keymap = self.options.hello.keymap.clone();
        let layout = LayoutChanged {
            layout: keymap.layout.clone(),
            ..LayoutChanged::default()
        };
        self.send(ClientPacket::LayoutChanged(layout))?;
        self.send(ClientPacket::KeymapChanged {
            keymap: Box::new(keymap),
            force: false,
        })
    }

    /// What is known of the session.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// A window's pixels.
    ///
    /// # Errors
    /// [`Error::NoWindow`].
    pub fn pixels(&self, window: WindowId) -> Result<&Framebuffer, Error> {
        self.window(window).map(|window| &window.pixels)
    }

    fn window(&self, id: WindowId) -> Result<&Window, Error> {
        self.state.windows.get(&id).ok_or(Error::NoWindow(id.get()))
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// What writing says.
    pub fn send(&mut self, packet: ClientPacket) -> Result<(), Error> {
        self.send_packet(&packet.into_packet())
    }

    /// Sends any packet, also one that makes no sense.
    ///
    /// # Errors
    /// What writing says.
    pub fn send_packet(&mut self, packet: &Packet) -> Result<(), Error> {
        let bytes = self.writer.record(packet, true)?;
        match &mut self.sealer {
            Some(sealer) => {
                let bytes = sealed(sealer, &bytes)?;
                self.send_bytes(&bytes)
            }
            None => self.send_bytes(&bytes),
        }
    }

    /// Sends any bytes.
    ///
    /// # Errors
    /// What writing says.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.socket.write_all(bytes)?)
    }

    /// The next packet, before anything is made of it; `None` when none comes in time.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn next_packet(&mut self, timeout: Duration) -> Result<Option<ServerPacket>, Error> {
        let end = Instant::now() + timeout;
        loop {
            if let Some(message) = self.reader.next_message()? {
                let packet = Packet::decode(message, &Limits::SERVER_TO_CLIENT.budget)?;
                match ServerPacket::parse(packet) {
                    Ok(packet) => return Ok(Some(packet)),
                    Err(error) => self.state.complaints.push(error.to_string()),
                }
                continue;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.socket.read(&mut self.buffer, left)? {
                None if left.is_zero() => return Ok(None),
                None => {}
                Some(0) => return Err(Error::Closed),
                Some(length) => {
                    self.received = Instant::now();
                    self.reader.push(&self.buffer[..length]);
                }
            }
        }
    }

    /// The next thing that happens, or `None` when nothing does in time. Pings are answered,
    /// pictures drawn and acknowledged, windows mapped, as the options say.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn next_event(&mut self, timeout: Duration) -> Result<Option<Event>, Error> {
        let end = Instant::now() + timeout;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Some(packet) = self.next_packet(left)? else {
                return Ok(None);
            };
            let at = self.received;
            if let Some(what) = self.handle(packet)? {
                return Ok(Some(Event { at, what }));
            }
        }
    }

    /// Goes on until the condition holds.
    ///
    /// # Errors
    /// [`Error::Timeout`], and what [`Client::next_event`] says.
    pub fn wait_for(
        &mut self,
        condition: impl Fn(&State) -> bool,
        timeout: Duration,
    ) -> Result<(), Error> {
        let end = Instant::now() + timeout;
        while !condition(&self.state) {
            let left = end.saturating_duration_since(Instant::now());
            if self.next_event(left)?.is_none() {
                return Err(Error::Timeout(timeout, "what was waited for"));
            }
        }
        Ok(())
    }

    /// Goes on until no picture has come for `quiet`.
    ///
    /// # Errors
    /// [`Error::Timeout`], and what [`Client::next_event`] says.
    pub fn settle(&mut self, quiet: Duration, timeout: Duration) -> Result<(), Error> {
        let end = Instant::now() + timeout;
        let mut last = Instant::now();
        loop {
            let left = (last + quiet).saturating_duration_since(Instant::now());
            match self.next_event(left)? {
                Some(Event {
                    at,
                    what: Happening::Drawn { .. },
                }) => last = at,
                Some(_) => {}
                None => return Ok(()),
            }
            if Instant::now() > end {
                return Err(Error::Timeout(timeout, "quiet"));
            }
        }
    }

    fn handle(&mut self, packet: ServerPacket) -> Result<Option<Happening>, Error> {
        match &packet {
            ServerPacket::Ping(ping) => {
                let echo = PingEcho {
                    time: ping.time,
                    load: [0; 3],
                    latency: -1,
                    source: ping.source.clone(),
                };
                self.send(ClientPacket::PingEcho(echo))?;
            }
            ServerPacket::Disconnect(disconnect) => return Err(disconnected(disconnect.clone())),
            ServerPacket::NewWindow(new) => self.new_window(new, false)?,
            ServerPacket::NewOverrideRedirect(new) => self.new_window(new, true)?,
            ServerPacket::LostWindow(window) => drop(self.state.windows.remove(window)),
            ServerPacket::ConfigureOverrideRedirect { window, geometry }
            | ServerPacket::WindowMoveResize {
                window, geometry, ..
            } => self.moved(*window, *geometry),
            ServerPacket::WindowResized { window, size, .. } => {
                if let Ok(Geometry { x, y, .. }) =
                    self.window(*window).map(|window| window.geometry)
                {
                    self.moved(*window, Geometry { x, y, size: *size });
                }
            }
            ServerPacket::WindowMetadata { window, metadata } => {
                if let Some(window) = self.state.windows.get_mut(window) {
                    window.learn(metadata.clone());
                }
            }
            ServerPacket::WindowIcon(icon) => {
                if let Some(window) = self.state.windows.get_mut(&icon.window) {
                    window.icon = Some(icon.clone());
                }
            }
            ServerPacket::StartupComplete => self.state.startup_complete = true,
            ServerPacket::Cursor(cursor) => self.state.cursor.clone_from(cursor),
            ServerPacket::Bell(_) => self.state.bells += 1,
            ServerPacket::DesktopSize(desktop) => {
                self.state.desktop = Some((desktop.size.width(), desktop.size.height()));
            }
            ServerPacket::Draw(draw) => return self.draw(draw).map(Some),
            _ => {}
        }
        Ok(Some(Happening::Packet(Box::new(packet))))
    }

    fn new_window(&mut self, new: &NewWindow, override_redirect: bool) -> Result<(), Error> {
        let size = new.geometry.size;
        let window = Window {
            geometry: new.geometry,
            override_redirect,
            metadata: new.metadata.clone(),
            pixels: Framebuffer::new(size.width().into(), size.height().into()),
            draws: 0,
            icon: None,
        };
        self.state.windows.insert(new.window, window);
        if self.options.map && !override_redirect {
            self.map(new.window, new.geometry)?;
        }
        Ok(())
    }

    fn moved(&mut self, window: WindowId, geometry: Geometry) {
        if let Some(window) = self.state.windows.get_mut(&window) {
            window.geometry = geometry;
        }
    }

    fn draw(&mut self, draw: &Draw) -> Result<Happening, Error> {
        let start = Instant::now();
        self.state.draws += 1;
        self.state.draw_bytes += u64::try_from(draw.data.len()).unwrap_or(u64::MAX);
        let changed = match self.state.windows.get_mut(&draw.window) {
            Some(window) if self.options.decode => {
                window.draws += 1;
                if let Some(size) = draw.options.window_size {
                    window
                        .pixels
                        .resize(size.width().into(), size.height().into());
                }
                let (x, y) = (usize::try_from(draw.x), usize::try_from(draw.y));
                let (Ok(x), Ok(y)) = (x, y) else {
                    return Err(DecodeError::Outside.into());
                };
                let (width, height) = (draw.size.width().into(), draw.size.height().into());
                let pixels = decode(draw)?;
                window
                    .pixels
                    .paint(x, y, width, height, &pixels)
                    .ok_or(DecodeError::Outside)?
            }
            Some(window) => {
                window.draws += 1;
                true
            }
            None => false,
        };
        if self.options.acknowledge {
            let time = i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX);
            self.acknowledge(draw, time.max(1))?;
        }
        Ok(Happening::Drawn {
            window: draw.window,
            area: (draw.x, draw.y, draw.size.width(), draw.size.height()),
            coding: draw.coding,
            bytes: draw.data.len(),
            changed,
        })
    }

    /// Acknowledges a picture; for options without it.
    ///
    /// # Errors
    /// What writing says.
    pub fn acknowledge(&mut self, draw: &Draw, decode_time: i64) -> Result<(), Error> {
        self.send(ClientPacket::DrawAck(DrawAck {
            sequence: draw.sequence,
            window: Some(draw.window),
            width: draw.size.width(),
            height: draw.size.height(),
            decode_time,
            message: String::new(),
        }))
    }

    /// Shows a window.
    ///
    /// # Errors
    /// What writing says.
    pub fn map(&mut self, window: WindowId, geometry: Geometry) -> Result<(), Error> {
        let properties = WindowProperties {
            rgb_formats: Some(vec![RgbFormat::Bgrx]),
            transparency: Some(self.options.hello.encoding.transparency),
            ..WindowProperties::default()
        };
        let state = WindowState::default();
        self.send(ClientPacket::MapWindow(MapWindow {
            window,
            geometry,
            properties,
            state,
        }))
    }

    /// Hides a window.
    ///
    /// # Errors
    /// What writing says.
    pub fn unmap(&mut self, window: WindowId) -> Result<(), Error> {
        let unmap = UnmapWindow {
            window,
            iconified: true,
            state: WindowState::default(),
        };
        self.send(ClientPacket::UnmapWindow(unmap))
    }

    /// Moves and resizes a window, as a person does.
    ///
    /// # Errors
    /// What writing says.
    pub fn configure(&mut self, window: WindowId, geometry: Geometry) -> Result<(), Error> {
        self.moved(window, geometry);
        self.send(ClientPacket::ConfigureWindow(ConfigureWindow {
            window,
            geometry: Some(geometry),
            properties: WindowProperties::default(),
            resize_counter: None,
            state: WindowState::default(),
            skip_geometry: false,
            pointer: None,
        }))
    }

    /// As [`Client::configure`], where the window is.
    ///
    /// # Errors
    /// [`Error::NoWindow`], and what writing says.
    pub fn resize(&mut self, window: WindowId, size: Size) -> Result<(), Error> {
        let geometry = Geometry {
            size,
            ..self.window(window)?.geometry
        };
        self.configure(window, geometry)
    }

    /// Asks the application to close a window.
    ///
    /// # Errors
    /// What writing says.
    pub fn close(&mut self, window: WindowId) -> Result<(), Error> {
        self.send(ClientPacket::CloseWindow(window))
    }

    /// Moves the focus.
    ///
    /// # Errors
    /// What writing says.
    pub fn focus(&mut self, window: Option<WindowId>) -> Result<(), Error> {
        self.send(ClientPacket::Focus {
            window,
            modifiers: Modifiers::NONE,
        })
    }

    /// Asks for all pixels of a window (or all windows) again.
    ///
    /// # Errors
    /// What writing says.
    pub fn refresh(&mut self, window: Option<WindowId>, quality: u8) -> Result<(), Error> {
        let properties = WindowProperties::default();
        let quality = Some(quality);
        self.send(ClientPacket::BufferRefresh(BufferRefresh {
            window,
            quality,
            refresh_now: true,
            properties,
        }))
    }

    /// Presses or releases a key.
    ///
    /// # Errors
    /// What writing says.
    pub fn key(
        &mut self,
        window: WindowId,
        key: &KeyPress,
        pressed: bool,
        modifiers: u8,
    ) -> Result<(), Error> {
        self.send(ClientPacket::Key(KeyAction {
            window: Some(window),
            keysym: key.keysym.clone(),
            pressed,
            modifiers: Modifiers::from_mask(modifiers),
            keyval: key.keyval,
            text: key.text.clone(),
            keycode: key.keycode,
            group: 0,
        }))
    }

    /// Presses and releases the keys of a text.
    ///
    /// # Errors
    /// [`Error::NoKey`], and what writing says.
    pub fn type_text(&mut self, window: WindowId, text: &str) -> Result<(), Error> {
        for c in text.chars() {
            let press = press_of(c).ok_or(Error::NoKey(c))?;
            let shift = named("Shift_L").filter(|_| press.shift);
            if let Some(shift) = &shift {
                self.key(window, shift, true, 0)?;
            }
            let held = if press.shift { SHIFT } else { 0 };
            self.key(window, &press, true, held)?;
            self.key(window, &press, false, held)?;
            if let Some(shift) = &shift {
                self.key(window, shift, false, SHIFT)?;
            }
        }
        Ok(())
    }

    fn place(&mut self, window: WindowId, x: i32, y: i32) -> Result<(u64, Position), Error> {
        let corner = self.window(window)?.geometry;
        self.pointer_sequence += 1;
        let position = Position {
            x: corner.x + x,
            y: corner.y + y,
            relative: Some((x, y)),
        };
        Ok((self.pointer_sequence, position))
    }

    /// Moves the pointer to a place in a window.
    ///
    /// # Errors
    /// [`Error::NoWindow`], and what writing says.
    pub fn point(&mut self, window: WindowId, x: i32, y: i32) -> Result<(), Error> {
        let (sequence, position) = self.place(window, x, y)?;
        self.send(ClientPacket::PointerMotion(PointerMotion {
            device: 0,
            sequence,
            window: Some(window),
            position,
            modifiers: Modifiers::NONE,
            buttons: vec![],
        }))
    }

    /// Presses or releases a button at a place in a window. The wheel is buttons 4 to 7.
    ///
    /// # Errors
    /// [`Error::NoWindow`], and what writing says.
    pub fn button(
        &mut self,
        window: WindowId,
        button: u8,
        pressed: bool,
        x: i32,
        y: i32,
    ) -> Result<(), Error> {
        let (sequence, position) = self.place(window, x, y)?;
        self.send(ClientPacket::PointerButton(PointerButton {
            device: 0,
            sequence,
            window: Some(window),
            button,
            pressed,
            position,
            modifiers: Modifiers::NONE,
            buttons: if pressed { vec![button] } else { vec![] },
        }))
    }

    /// Presses and releases a button.
    ///
    /// # Errors
    /// [`Error::NoWindow`], and what writing says.
    pub fn click(&mut self, window: WindowId, button: u8, x: i32, y: i32) -> Result<(), Error> {
        self.point(window, x, y)?;
        self.button(window, button, true, x, y)?;
        self.button(window, button, false, x, y)
    }

    /// Leaves politely.
    ///
    /// # Errors
    /// What writing says.
    pub fn disconnect(mut self) -> Result<(), Error> {
        self.send(ClientPacket::Disconnect(Disconnect::new(
            reason::CLIENT_EXIT,
        )))
    }
}

fn disconnected(disconnect: Disconnect) -> Error {
    Error::Disconnected([vec![disconnect.reason], disconnect.details].concat())
}
