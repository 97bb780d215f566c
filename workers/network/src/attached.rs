//! A client in a session: its packets become messages to `display` and `encoder`, and theirs
//! become packets.

use crate::VERSION;
use crate::connection::{Effect, Next, Output};
use crate::outbox::Release;
use crate::pictures::Pictures;
use crate::translate::{self, MetadataFilter};
use ipc::display::{Attach, DisplayToNetwork, Geometry, MAX_HELD, Metadata, NetworkToDisplay};
use ipc::frames::{Coding, Encoded, EncoderToNetwork, NetworkToEncoder};
use ipc::network::{NetworkToSupervisor, Request, SessionFacts};
use ipc::{Size, WindowId};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wire::hello::{ClientHello, ServerHello};
use wire::packet::{self as p, ClientPacket, Packet, ServerPacket, Tunable, reason};
use wire::record::ChunkIndex;
use wire::rencodeplus::Value;

/// A client that has been silent for so long is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// A client that has been silent for so long is gone (protocol "Ping and events").
const PING_TIMEOUT: Duration = Duration::from_secs(60);
/// Most windows of a session.
const MAX_WINDOWS: usize = 4096;
/// Delay and interval of key repeat in milliseconds for clients that do not say (X11's default).
const KEY_REPEAT: (u32, u32) = (660, 40);
/// What a client says of a picture whose window is gone; -1 would blame the coding.
const WINDOW_GONE: i32 = -2;
/// Width and height of the session's cursors in pixels.
const CURSOR_SIZE: u16 = 24;

/// A window that the client has been told of.
#[derive(Debug)]
struct Window {
    geometry: Geometry,
    override_redirect: bool,
    /// The client has it on its screen.
    shown: bool,
}

/// The phase.
#[derive(Debug)]
pub struct Attached {
    facts: Box<SessionFacts>,
    hello: Box<ClientHello>,
    /// What the client brings along, kept up to date for a `display` that starts anew.
    attach: Attach,
    metadata: MetadataFilter,
    pictures: Pictures,
    windows: BTreeMap<WindowId, Window>,
    /// The client's focus.
    focus: Option<WindowId>,
    /// The session's screen and the largest it can get; none until the client has had its hello.
    screen: Option<(Size, Size)>,
    /// The client knows all windows.
    started: bool,
    /// The current `display` has answered.
    answered: bool,
    /// After a restart of `display`: the windows that it has not told of again.
    missing: Option<BTreeSet<WindowId>>,
    quality: Option<u8>,
    speed: Option<u8>,
    active: bool,
    heard: Instant,
    pinged: Instant,
    /// The start of our clock for pings.
    epoch: Instant,
}

type Rule = Result<(), &'static str>;

impl Attached {
    /// The session is granted: `display` and `encoder` are told who comes.
    pub fn new(
        now: Instant,
        facts: Box<SessionFacts>,
        hello: Box<ClientHello>,
        out: &mut Output,
    ) -> Self {
        let attach = translate::attach(&hello);
        let pictures = Pictures::new(translate::picture_caps(&hello));
        out.tell(Effect::Encoder(NetworkToEncoder::Start(
            pictures.caps().clone(),
        )));
        if !hello.windows {
            out.tell(Effect::Encoder(NetworkToEncoder::Active(false)));
        }
        out.tell(Effect::Display(NetworkToDisplay::Attach(attach.clone())));
        Self {
            facts,
            attach,
            metadata: MetadataFilter::new(&hello.metadata_supported),
            windows: BTreeMap::new(),
            focus: None,
            screen: None,
            started: false,
            answered: false,
            missing: None,
            quality: pictures.caps().quality,
            speed: pictures.caps().speed,
            active: hello.windows,
            pictures,
            hello,
            heard: now,
            pinged: now,
            epoch: now,
        }
    }

    /// Has the client had its hello?
    pub fn is_greeted(&self) -> bool {
        self.screen.is_some()
    }

    /// Has the client been told of this window?
    pub fn knows(&self, window: WindowId) -> bool {
        self.windows.contains_key(&window)
    }

    /// When [`Attached::tick`] has something to do.
    pub fn deadline(&self) -> Instant {
        let ping = self.heard.max(self.pinged) + PING_INTERVAL;
        ping.min(self.heard + PING_TIMEOUT)
    }

    /// Asks a silent client whether it is there, and gives up one that is not.
    pub fn tick(&mut self, now: Instant, out: &mut Output) -> Next {
        if now >= self.heard + PING_TIMEOUT {
            out.outbox.cut();
            return Next::disconnect(reason::CLIENT_PING_TIMEOUT, "");
        }
        if now >= self.heard.max(self.pinged) + PING_INTERVAL {
            self.pinged = now;
            // One question is enough for a client that has not read the last one.
            if self.is_greeted() && out.outbox.is_empty() {
                let since = now.saturating_duration_since(self.epoch).as_millis();
                out.packet(ServerPacket::Ping(p::Ping {
                    time: i64::try_from(since).unwrap_or(i64::MAX),
                    wall_time: None,
                    source: String::new(),
                }));
            }
        }
        Next::Stay
    }

    // From the client.

    /// A packet of the client.
    pub fn packet(&mut self, now: Instant, packet: ClientPacket, out: &mut Output) {
        self.heard = now;
        match packet {
            ClientPacket::Ping(ping) => out.packet(ServerPacket::PingEcho(p::PingEcho {
                time: ping.time,
                load: [0; 3],
                latency: -1,
                source: ping.source,
            })),
            ClientPacket::PingEcho(_) => {}
            ClientPacket::DrawAck(ack) => self.acknowledged(&ack, out),
            ClientPacket::InfoRequest(_) => {
                out.packet(ServerPacket::InfoResponse(self.info()));
            }
            ClientPacket::ShutdownServer => self.request(Request::Stop, out),
            ClientPacket::ExitServer { .. } => self.request(Request::Exit, out),
            ClientPacket::BufferRefresh(refresh) => self.refresh(&refresh, out),
            ClientPacket::Encoding { name, .. } => {
                let coding = translate::coding_named(&name);
                let coding = coding.filter(|coding| self.pictures.caps().codings.contains(coding));
                out.tell(Effect::Encoder(NetworkToEncoder::Prefer(coding)));
            }
            ClientPacket::Tuning(tunings) => self.tune(&tunings, out),
            ClientPacket::Suspend(which) if which.ui || which.windows.is_empty() => {
                self.set_active(false, out);
            }
            ClientPacket::Resume(which) if which.ui || which.windows.is_empty() => {
                self.set_active(true, out);
            }
            ClientPacket::Ignored { name } if name == "hello" => {
                tracing::warn!("a second hello ignored");
            }
            ClientPacket::Ignored { name } => tracing::debug!(name, "a packet ignored"),
            packet => {
                if let Some(message) = self.input(packet) {
                    self.remember(&message);
                    out.tell(Effect::Display(message));
                }
            }
        }
    }

    fn request(&mut self, request: Request, out: &mut Output) {
        out.tell(Effect::Supervisor(NetworkToSupervisor::Request(request)));
    }

    fn set_active(&mut self, active: bool, out: &mut Output) {
        let active = active && self.hello.windows;
        if self.active != active {
            self.active = active;
            out.tell(Effect::Encoder(NetworkToEncoder::Active(active)));
        }
    }

    fn acknowledged(&mut self, ack: &p::DrawAck, out: &mut Output) {
        if let Some(sequence) = self.pictures.acknowledge(ack.sequence) {
            let bounded = ack.decode_time.clamp(i32::MIN.into(), i32::MAX.into());
            let decode_us = i32::try_from(bounded).unwrap_or(0);
            out.tell(Effect::Encoder(NetworkToEncoder::Ack {
                sequence,
                decode_us,
            }));
        }
    }

    fn refresh(&mut self, refresh: &p::BufferRefresh, out: &mut Output) {
        let window = match refresh.window {
            Some(window) => match self.known(window) {
                Some(window) => Some(window),
                None => return,
            },
            None => None,
        };
        if refresh.refresh_now {
            let quality = refresh.quality.unwrap_or(100).max(1);
            out.tell(Effect::Encoder(NetworkToEncoder::Refresh {
                window,
                quality,
            }));
        }
    }

    fn tune(&mut self, tunings: &[p::Tuning], out: &mut Output) {
        let before = (self.quality, self.speed);
        for tuning in tunings {
            let value = tuning.value.map(|value| value.max(1));
            match tuning.what {
                Tunable::Quality => self.quality = value,
                Tunable::Speed => self.speed = value,
                Tunable::MinQuality
                | Tunable::MaxQuality
                | Tunable::MinSpeed
                | Tunable::MaxSpeed => {}
            }
        }
        let (quality, speed) = (self.quality, self.speed);
        if (quality, speed) != before {
            out.tell(Effect::Encoder(NetworkToEncoder::Quality {
                quality,
                speed,
            }));
        }
    }

    /// Keeps what a `display` that starts anew must be told again.
    fn remember(&mut self, message: &NetworkToDisplay) {
        match message {
            NetworkToDisplay::Map {
                window, geometry, ..
            } => {
                if let Some(known) = self.windows.get_mut(window) {
                    known.shown = true;
                    known.geometry = *geometry;
                }
            }
            NetworkToDisplay::Configure {
                window,
                geometry: Some(geometry),
                ..
            } => {
                if let Some(known) = self.windows.get_mut(window) {
                    known.geometry = *geometry;
                }
            }
            NetworkToDisplay::Unmap { window, .. } => {
                if let Some(known) = self.windows.get_mut(window) {
                    known.shown = false;
                }
            }
            NetworkToDisplay::Focus(window) => self.focus = *window,
            _ => {}
        }
    }

    /// Tells a `display` that started anew what the client shows, and where its focus is.
    fn remind(&self, out: &mut Output) {
        for (window, known) in self.windows.iter().filter(|(_, known)| known.shown) {
            out.tell(Effect::Display(NetworkToDisplay::Map {
                window: *window,
                geometry: known.geometry,
                states: Vec::new(),
            }));
        }
        if let Some(window) = self.focus.filter(|window| self.knows(*window)) {
            out.tell(Effect::Display(NetworkToDisplay::Focus(Some(window))));
        }
    }

    /// The window, if it is one that the client has been told of.
    fn known(&self, window: p::WindowId) -> Option<WindowId> {
        translate::our_window(window).filter(|window| self.knows(*window))
    }

    /// The window under the pointer or with the focus: `None` when the client names one that is
    /// gone, `Some(None)` when it names none.
    fn place(&self, window: Option<p::WindowId>) -> Option<Option<WindowId>> {
        match window {
            Some(window) => self.known(window).map(Some),
            None => Some(None),
        }
    }

    /// What a packet means to `display`; none for packets about windows that are gone and for
    /// what we do not have.
    fn input(&mut self, packet: ClientPacket) -> Option<NetworkToDisplay> {
        Some(match packet {
            ClientPacket::MapWindow(map) => NetworkToDisplay::Map {
                window: self.known(map.window)?,
                geometry: translate::our_geometry(map.geometry),
                states: translate::states(&map.state),
            },
            ClientPacket::UnmapWindow(unmap) => NetworkToDisplay::Unmap {
                window: self.known(unmap.window)?,
                iconified: unmap.iconified,
            },
            ClientPacket::ConfigureWindow(configure) => NetworkToDisplay::Configure {
                window: self.known(configure.window)?,
                geometry: configure
                    .geometry
                    .filter(|_| !configure.skip_geometry)
                    .map(translate::our_geometry),
                resize_counter: configure
                    .resize_counter
                    .map_or(0, |counter| u32::try_from(counter).unwrap_or(u32::MAX)),
                states: translate::states(&configure.state),
            },
            ClientPacket::CloseWindow(window) => NetworkToDisplay::Close(self.known(window)?),
            ClientPacket::Focus { window, .. } => NetworkToDisplay::Focus(self.place(window)?),
            ClientPacket::WindowSignal { window, signal } => NetworkToDisplay::Signal {
                window: self.known(window)?,
                signal: translate::signal(&signal)?,
            },
            ClientPacket::Key(key) => {
                // What was pressed is released, even when its window is gone.
                let window = match self.place(key.window) {
                    Some(window) => window,
                    None if key.pressed => return None,
                    None => None,
                };
                NetworkToDisplay::Key(translate::key(key, window)?)
            }
            ClientPacket::PointerMotion(motion) => {
                let window = self.place(motion.window)?;
                NetworkToDisplay::Motion(translate::pointer(
                    motion.position,
                    motion.modifiers,
                    window,
                ))
            }
            ClientPacket::PointerButton(button) => {
                let window = match self.place(button.window) {
                    Some(window) => window,
                    None if button.pressed => return None,
                    None => None,
                };
                NetworkToDisplay::Button {
                    pointer: translate::pointer(button.position, button.modifiers, window),
                    button: button.button,
                    pressed: button.pressed,
                }
            }
            ClientPacket::LayoutChanged(layout) => {
                let keymap = &mut self.attach.keymap;
                let before = keymap.clone();
                keymap.layout = translate::shorten(&layout.layout, 64);
                keymap.variant = translate::shorten(&layout.variant, 64);
                keymap.options = translate::shorten(&layout.options, 64);
                if *keymap == before {
                    return None;
                }
                NetworkToDisplay::Keymap(keymap.clone())
            }
            ClientPacket::KeymapChanged { keymap, .. } => {
                *self.attach.keymap = translate::keymap(&keymap);
                NetworkToDisplay::Keymap(self.attach.keymap.clone())
            }
            ClientPacket::KeyboardSync(sync) => {
                self.attach.keyboard_sync = sync;
                NetworkToDisplay::KeyboardSync(sync)
            }
            ClientPacket::ConfigureDisplay(display) => {
                let size = translate::our_size(display.desktop_size?);
                self.attach.desktop = Some(size);
                NetworkToDisplay::DesktopSize(size)
            }
            ClientPacket::SetCursors(on) => {
                self.attach.cursors = on && self.hello.cursor.enabled;
                NetworkToDisplay::SetCursors(self.attach.cursors)
            }
            ClientPacket::SetBell(on) => {
                self.attach.bell = on && self.hello.bell;
                NetworkToDisplay::SetBell(self.attach.bell)
            }
            _ => return None,
        })
    }

    /// The small answer to `info-request`.
    fn info(&self) -> p::Map {
        let (root, _) = self.screen.unzip();
        let size = root.map(|root| Value::list([root.width(), root.height()]));
        let server = Value::dict([
            ("version", Value::from(VERSION)),
            ("pid", self.facts.pid.into()),
            ("mode", "seamless".into()),
            ("uuid", self.facts.uuid.as_str().into()),
        ]);
        let mut map = vec![("server".into(), server)];
        if let Some(size) = size {
            map.push(("display".into(), Value::dict([("size", size)])));
        }
        map.push(("windows".into(), Value::from(self.windows.len() as u64)));
        map
    }

    // From `display`.

    /// A new `display` took the place of the last one.
    pub fn display_restarted(&mut self, out: &mut Output) {
        while self.windows.len() > MAX_HELD
            && let Some((window, _)) = self.windows.pop_last()
        {
            lost(window, out);
        }
        self.attach.held = self.windows.keys().copied().collect();
        self.missing = Some(self.windows.keys().copied().collect());
        self.answered = false;
        out.tell(Effect::Display(NetworkToDisplay::Attach(
            self.attach.clone(),
        )));
    }

    /// A message of `display`.
    ///
    /// # Errors
    /// The rule that it broke.
    pub fn display(&mut self, now: Instant, message: DisplayToNetwork, out: &mut Output) -> Rule {
        match message {
            DisplayToNetwork::Attached {
                root,
                max_root,
                modifier_keys,
            } => {
                if std::mem::replace(&mut self.answered, true) {
                    return Err("a second answer to the attachment");
                }
                if self.is_greeted() {
                    self.resized(root, max_root, out);
                } else {
                    self.heard = now;
                    self.greet(root, max_root, modifier_keys, out);
                }
                return Ok(());
            }
            _ if !self.answered => return Err("a message before the answer to the attachment"),
            DisplayToNetwork::Synced => self.synced(out),
            DisplayToNetwork::DesktopSize { root, max_root } => self.resized(root, max_root, out),
            DisplayToNetwork::Bell {
                window,
                percent,
                pitch,
                duration,
            } if self.attach.bell => {
                out.packet(ServerPacket::Bell(p::Bell {
                    window: window.and_then(translate::wire_window),
                    device: 0,
                    percent: percent.into(),
                    pitch: pitch.into(),
                    duration: duration.into(),
                    class: 0,
                    id: 0,
                    name: String::new(),
                }));
            }
            DisplayToNetwork::Bell { .. } => {}
            message if self.hello.windows => return self.window(message, out),
            _ => {}
        }
        Ok(())
    }

    /// A message of `display` about a window.
    fn window(&mut self, message: DisplayToNetwork, out: &mut Output) -> Rule {
        match message {
            DisplayToNetwork::NewWindow {
                window,
                geometry,
                override_redirect,
                metadata,
            } => {
                return self.new_window(window, geometry, override_redirect, metadata, out);
            }
            DisplayToNetwork::LostWindow(window) => {
                if self.windows.remove(&window).is_some() {
                    lost(window, out);
                }
            }
            DisplayToNetwork::MoveResize {
                window,
                geometry,
                resize_counter,
            } => {
                if let Some(known) = self.windows.get_mut(&window) {
                    known.geometry = geometry;
                    moved(window, known, resize_counter, out);
                }
            }
            DisplayToNetwork::Metadata { window, metadata } => {
                if self.knows(window) {
                    self.tell_metadata(window, metadata, out);
                }
            }
            DisplayToNetwork::Raise(window) => {
                if let (true, Some(window)) = (self.knows(window), translate::wire_window(window)) {
                    out.packet(ServerPacket::RaiseWindow(window));
                }
            }
            DisplayToNetwork::InitiateMoveResize {
                window,
                position,
                direction,
                button,
            } => {
                if direction > 11 {
                    return Err("a direction above 11");
                }
                if let (true, Some(window)) = (self.knows(window), translate::wire_window(window)) {
                    out.packet(ServerPacket::InitiateMoveResize(p::MoveResize {
                        window,
                        x_root: position.x,
                        y_root: position.y,
                        direction,
                        button,
                        source: 1,
                    }));
                }
            }
            DisplayToNetwork::Attached { .. }
            | DisplayToNetwork::Synced
            | DisplayToNetwork::DesktopSize { .. }
            | DisplayToNetwork::Bell { .. } => {}
        }
        Ok(())
    }

    /// The client's hello and what comes right after it (protocol "Sequence").
    fn greet(
        &mut self,
        root: Size,
        max_root: Size,
        modifier_keys: [Vec<(u8, String)>; 8],
        out: &mut Output,
    ) {
        let (Some(size), Some(max)) = (translate::wire_size(root), translate::wire_size(max_root))
        else {
            return;
        };
        let facts = &self.facts;
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let modifiers = (0..8).map(|bit| p::Modifiers::from_mask(1 << bit));
        let hello = ServerHello {
            version: VERSION.to_owned(),
            display: format!(":{}", facts.display),
            session_name: facts.session_name.clone(),
            uuid: facts.uuid.clone(),
            machine_id: facts.machine_id.clone(),
            hostname: facts.hostname.clone(),
            start_time: facts.start_time,
            current_time: since_1970.as_secs(),
            desktop_size: size,
            max_desktop_size: max,
            resize: facts.resize,
            readonly: facts.readonly,
            sharing: facts.sharing,
            sharing_toggle: false,
            lock: false,
            lock_toggle: false,
            client_shutdown: !facts.readonly,
            bell: true,
            cursors: true,
            cursor_size: CURSOR_SIZE,
            key_repeat: self.hello.key_repeat.unwrap_or(KEY_REPEAT),
            modifier_keycodes: modifiers.zip(modifier_keys).collect(),
            ping: u32::try_from(PING_INTERVAL.as_secs()).unwrap_or(0),
            lz4: self.hello.network.lz4,
        };
        out.packet(ServerPacket::Hello(hello.into_map()));
        out.tell(Effect::Supervisor(NetworkToSupervisor::Attached));
        self.screen = Some((root, max_root));
        self.event("handshake-complete", Vec::new(), out);
        if self.hello.windows {
            out.packet(ServerPacket::Encodings(encodings(
                &self.pictures.caps().codings,
            )));
        }
    }

    fn event(&self, name: &str, args: Vec<Value>, out: &mut Output) {
        if self.hello.events {
            out.packet(ServerPacket::ServerEvent {
                name: name.to_owned(),
                args,
            });
        }
    }

    /// Every window has been told.
    fn synced(&mut self, out: &mut Output) {
        if let Some(missing) = self.missing.take() {
            for window in missing {
                if self.windows.remove(&window).is_some() {
                    lost(window, out);
                }
            }
            self.remind(out);
        }
        if !std::mem::replace(&mut self.started, true) {
            if self.hello.ui_client {
                out.packet(ServerPacket::StartupComplete);
            }
            let uuid = Value::from(self.hello.identity.uuid.as_str());
            self.event("startup-complete", vec![uuid], out);
        }
    }

    fn resized(&mut self, root: Size, max_root: Size, out: &mut Output) {
        if self.screen == Some((root, max_root)) {
            return;
        }
        self.screen = Some((root, max_root));
        if let (true, Some(size), Some(max)) = (
            self.hello.windows,
            translate::wire_size(root),
            translate::wire_size(max_root),
        ) {
            out.packet(ServerPacket::DesktopSize(p::DesktopSize { size, max }));
        }
    }

    fn new_window(
        &mut self,
        window: WindowId,
        geometry: Geometry,
        override_redirect: bool,
        metadata: Vec<Metadata>,
        out: &mut Output,
    ) -> Rule {
        if let Some(missing) = &mut self.missing {
            missing.remove(&window);
        }
        let count = self.windows.len();
        match self.windows.get_mut(&window) {
            // The client holds it: what it is like now.
            Some(known) if known.override_redirect == override_redirect => {
                if known.geometry != geometry {
                    known.geometry = geometry;
                    moved(window, known, 0, out);
                }
                self.tell_metadata(window, metadata, out);
                return Ok(());
            }
            Some(_) => lost(window, out),
            None if count >= MAX_WINDOWS => return Err("too many windows"),
            None => {}
        }
        let (Some(id), Some(place)) = (
            translate::wire_window(window),
            translate::wire_geometry(geometry),
        ) else {
            return Err("a window that cannot be told");
        };
        let mut metadata = self.metadata.apply(metadata);
        if override_redirect {
            metadata.extend(self.metadata.override_redirect());
        }
        let new = p::NewWindow {
            window: id,
            geometry: place,
            metadata,
            client_properties: Vec::new(),
        };
        out.packet(if override_redirect {
            ServerPacket::NewOverrideRedirect(new)
        } else {
            ServerPacket::NewWindow(new)
        });
        self.windows.insert(
            window,
            Window {
                geometry,
                override_redirect,
                shown: false,
            },
        );
        Ok(())
    }

    fn tell_metadata(&self, window: WindowId, metadata: Vec<Metadata>, out: &mut Output) {
        let metadata = self.metadata.apply(metadata);
        if let (false, Some(window)) = (metadata.is_empty(), translate::wire_window(window)) {
            out.packet(ServerPacket::WindowMetadata { window, metadata });
        }
    }

    // From `encoder`.

    /// A new `encoder` took the place of the last one.
    pub fn encoder_restarted(&mut self, out: &mut Output) {
        self.pictures.restart();
        out.tell(Effect::Encoder(NetworkToEncoder::Start(
            self.pictures.caps().clone(),
        )));
        let (quality, speed) = (self.quality, self.speed);
        if (quality, speed) != (self.pictures.caps().quality, self.pictures.caps().speed) {
            out.tell(Effect::Encoder(NetworkToEncoder::Quality {
                quality,
                speed,
            }));
        }
        if !self.active {
            out.tell(Effect::Encoder(NetworkToEncoder::Active(false)));
        }
    }

    /// A message of `encoder`.
    ///
    /// # Errors
    /// The rule that it broke.
    pub fn encoder(
        &mut self,
        message: EncoderToNetwork,
        fds: &[OwnedFd],
        out: &mut Output,
    ) -> Rule {
        match message {
            EncoderToNetwork::Buffer { buffer, bytes } => self.pictures.add(buffer, bytes, fds),
            EncoderToNetwork::Draw { .. } => self.draw(message, out),
            EncoderToNetwork::Icon {
                window,
                size,
                png,
                data,
            } => self.icon(window, size, png, data, out),
            EncoderToNetwork::Cursor {
                size,
                hotspot,
                serial,
                png,
                data,
            } => self.cursor(size, hotspot, serial, png, data, out),
            EncoderToNetwork::DefaultCursor => {
                if self.attach.cursors {
                    out.raw(&if self.hello.cursor.legacy {
                        ServerPacket::Cursor(None).into_packet()
                    } else {
                        Packet::new("cursor-default", Vec::new())
                    });
                }
                Ok(())
            }
            EncoderToNetwork::Screenshot { .. } => Err("a screenshot that nobody asked for"),
        }
    }

    fn draw(&mut self, message: EncoderToNetwork, out: &mut Output) -> Rule {
        let EncoderToNetwork::Draw {
            sequence,
            window,
            window_size,
            rect,
            coding,
            data,
            options,
            flush,
        } = message
        else {
            return Ok(());
        };
        self.pictures.count(sequence)?;
        self.pictures
            .check(coding, &options, rect, window_size, data.bytes)?;
        let picture = self.pictures.take(data)?;
        let (true, Some(id), Some(size)) = (
            self.knows(window),
            translate::wire_window(window),
            translate::wire_size(rect.size),
        ) else {
            // The client could have drawn it: nothing is wrong with the coding.
            out.tell(Effect::Encoder(NetworkToEncoder::Ack {
                sequence,
                decode_us: WINDOW_GONE,
            }));
            self.released(picture.2, out);
            return Ok(());
        };
        let sequence = self.pictures.send();
        let raw = translate::is_raw(coding);
        let format = match options.rgb_format {
            Some(format) if raw => translate::wire_format(format),
            _ => translate::source_format(options.source),
        };
        let wire_options = p::DrawOptions {
            window_size: translate::wire_size(window_size),
            flush: Some(flush.into()),
            rgb_format: Some(format),
            lz4: Some(options.lz4).filter(|level| *level > 0),
            quality: Some(options.quality).filter(|_| !raw),
            ..p::DrawOptions::default()
        };
        out.picture(
            ChunkIndex::DRAW,
            picture,
            self.hello.network.chunks,
            |data| {
                ServerPacket::Draw(p::Draw {
                    window: id,
                    x: rect.x.into(),
                    y: rect.y.into(),
                    size,
                    coding: translate::wire_coding(coding),
                    data,
                    sequence,
                    rowstride: options.rowstride,
                    options: wire_options,
                })
                .into_packet()
            },
        );
        Ok(())
    }

    fn icon(
        &mut self,
        window: WindowId,
        size: Size,
        png: bool,
        data: Encoded,
        out: &mut Output,
    ) -> Rule {
        let caps = self.pictures.caps();
        if !(if png { caps.icon_png } else { caps.icon_bgra }) {
            return Err("an icon in a coding that the client did not announce");
        }
        if !png && data.bytes != size.bytes() {
            return Err("an icon of a wrong length");
        }
        let picture = self.pictures.take(data)?;
        let (true, Some(id)) = (self.knows(window), translate::wire_window(window)) else {
            self.released(picture.2, out);
            return Ok(());
        };
        out.picture(
            ChunkIndex::WINDOW_ICON,
            picture,
            self.hello.network.chunks,
            |data| {
                ServerPacket::WindowIcon(p::WindowIcon {
                    window: id,
                    width: size.width(),
                    height: size.height(),
                    encoding: if png { "png" } else { "BGRA" }.to_owned(),
                    data,
                })
                .into_packet()
            },
        );
        Ok(())
    }

    fn cursor(
        &mut self,
        size: Size,
        (x_hot, y_hot): (u16, u16),
        serial: u32,
        png: bool,
        data: Encoded,
        out: &mut Output,
    ) -> Rule {
        let caps = self.pictures.caps();
        if !(if png {
            caps.cursor_png
        } else {
            caps.cursor_raw
        }) {
            return Err("a cursor in a coding that the client did not announce");
        }
        if !png && data.bytes != size.bytes() {
            return Err("a cursor of a wrong length");
        }
        if x_hot >= size.width() || y_hot >= size.height() {
            return Err("a hot spot outside its cursor");
        }
        let picture = self.pictures.take(data)?;
        let (true, Some(wire_size)) = (self.attach.cursors, translate::wire_size(size)) else {
            self.released(picture.2, out);
            return Ok(());
        };
        let encoding = if png { "png" } else { "raw" }.to_owned();
        let chunks = self.hello.network.chunks;
        if self.hello.cursor.legacy {
            out.picture(ChunkIndex::CURSOR, picture, chunks, |pixels| {
                ServerPacket::Cursor(Some(p::Cursor {
                    encoding,
                    x: 0,
                    y: 0,
                    size: wire_size,
                    x_hot,
                    y_hot,
                    serial: serial.into(),
                    pixels,
                    name: String::new(),
                    default_size: (CURSOR_SIZE, CURSOR_SIZE),
                }))
                .into_packet()
            });
        } else {
            out.picture(ChunkIndex::DRAW, picture, chunks, |pixels| {
                Packet::new(
                    "cursor-data",
                    vec![
                        encoding.into(),
                        size.width().into(),
                        size.height().into(),
                        x_hot.into(),
                        y_hot.into(),
                        serial.into(),
                        Value::Bytes(pixels),
                        "".into(),
                    ],
                )
            });
        }
        Ok(())
    }

    /// A picture has left its buffer.
    pub fn released(&mut self, release: Release, out: &mut Output) {
        if let Some(buffer) = self.pictures.release(release) {
            out.tell(Effect::Encoder(NetworkToEncoder::Written(buffer)));
        }
    }
}

fn lost(window: WindowId, out: &mut Output) {
    if let Some(window) = translate::wire_window(window) {
        out.packet(ServerPacket::LostWindow(window));
    }
}

fn moved(window: WindowId, known: &Window, resize_counter: u32, out: &mut Output) {
    let place = translate::wire_geometry(known.geometry);
    if let (Some(window), Some(geometry)) = (translate::wire_window(window), place) {
        out.packet(if known.override_redirect {
            ServerPacket::ConfigureOverrideRedirect { window, geometry }
        } else {
            let resize_counter = resize_counter.into();
            ServerPacket::WindowMoveResize {
                window,
                geometry,
                resize_counter,
            }
        });
    }
}

/// The `encodings` packet: what we make of what the client can show.
fn encodings(codings: &[Coding]) -> p::Map {
    let names = |wanted: &dyn Fn(&Coding) -> bool| {
        let chosen = codings.iter().filter(|coding| wanted(coding));
        Value::list(chosen.map(|coding| translate::wire_coding(*coding)))
    };
    let all = || names(&|_| true);
    let lossless = names(&|coding| !matches!(coding, Coding::Jpeg));
    let lossy = names(&|coding| matches!(coding, Coding::Jpeg | Coding::Webp));
    let both = names(&|coding| matches!(coding, Coding::Webp));
    let inner = Value::dict([
        ("", all()),
        ("core", all()),
        ("allowed", all()),
        ("lossless", lossless),
        ("with_speed", lossy.clone()),
        ("with_quality", lossy),
        ("with_lossless_mode", both),
        ("min-quality", 1.into()),
        ("min-speed", 1.into()),
    ]);
    vec![("encodings".into(), inner)]
}
