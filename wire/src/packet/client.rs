use super::args::{ArgError, Args, PacketError};
use super::geometry::WindowId;
use super::input::{KeyAction, Modifiers, PointerButton, PointerMotion, WheelMotion};
use super::shared::{Disconnect, Ping, PingEcho};
use super::window::{self, ConfigureWindow, MapWindow, UnmapWindow, WindowProperties};
use super::{Packet, input};
use crate::caps::Caps;
use crate::hello::{DisplayCaps, Keymap};
use crate::limits::{MAX_IDENTITY, MAX_NAME, MAX_NAMES, MAX_TEXT, MAX_WINDOW_LIST};
use crate::rencodeplus::Value;

/// What an authenticated client may send (protocol "Table: client → server").
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // one at a time
pub enum ClientPacket {
    /// The client leaves.
    Disconnect(Disconnect),
    /// Answer it.
    Ping(Ping),
    /// The answer to our ping.
    PingEcho(PingEcho),
    /// A window is shown.
    MapWindow(MapWindow),
    /// A window is hidden.
    UnmapWindow(UnmapWindow),
    /// A window was moved, resized or changed.
    ConfigureWindow(ConfigureWindow),
    /// The user closes a window.
    CloseWindow(WindowId),
    /// The focus moved; none if it left all windows.
    Focus {
        /// Where it is now.
        window: Option<WindowId>,
        /// Held at that time.
        modifiers: Modifiers,
    },
    /// A window manager action on a window, by name.
    WindowAction {
        /// Which one.
        window: WindowId,
        /// Its name.
        action: String,
    },
    /// A signal for the process of a window.
    WindowSignal {
        /// Which one.
        window: WindowId,
        /// Its name: `SIGINT` or `INT`.
        signal: String,
    },
    /// Send a window's pixels again, or draw it differently.
    BufferRefresh(BufferRefresh),
    /// A draw was painted, or not.
    DrawAck(DrawAck),
    /// A key.
    Key(KeyAction),
    /// The keyboard layout changed.
    LayoutChanged(LayoutChanged),
    /// The keymap changed.
    KeymapChanged {
        /// The new one.
        keymap: Box<Keymap>,
        /// Apply it even if it looks the same.
        force: bool,
    },
    /// Key presses and releases are real ones, or presses repeat by
    /// themselves.
    KeyboardSync(bool),
    /// The pointer moved.
    PointerMotion(PointerMotion),
    /// A button.
    PointerButton(PointerButton),
    /// The wheel, precisely.
    WheelMotion(WheelMotion),
    /// The user chose an encoding, for all windows if none is listed.
    Encoding {
        /// `auto`, or a name.
        name: String,
        /// Only for these.
        windows: Vec<WindowId>,
    },
    /// The user chose quality or speed.
    Tuning(Vec<Tuning>),
    /// Send cursors, or not.
    SetCursors(bool),
    /// Send the bell, or not.
    SetBell(bool),
    /// The client's screen changed.
    ConfigureDisplay(Box<DisplayCaps>),
    /// End all X11 grabs.
    ForceUngrab,
    /// Share the session with other clients, or not.
    SharingToggle(bool),
    /// Lock the session against other clients, or not.
    LockToggle(bool),
    /// Stop drawing, for all windows if none is listed.
    Suspend(Activity),
    /// Draw again, for all windows if none is listed.
    Resume(Activity),
    /// Bits per second that the client wants at most; 0: no limit.
    BandwidthLimit(u64),
    /// Asks for an `info-response`.
    InfoRequest(InfoRequest),
    /// Asks to end the session with its applications.
    ShutdownServer,
    /// Asks to end the server; the applications stay.
    ExitServer {
        /// For the log.
        reason: String,
    },
    /// A packet of a feature that does not exist, or an unknown one. Nothing
    /// of it was looked at.
    Ignored {
        /// Its type.
        name: String,
    },
}

/// `buffer-refresh` (modern `window-refresh`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferRefresh {
    /// Which one, or all.
    pub window: Option<WindowId>,
    /// 0 to 100, if given.
    pub quality: Option<u8>,
    /// Send pixels now. If not, only the properties are new.
    pub refresh_now: bool,
    /// How the client wants it drawn from now on.
    pub properties: WindowProperties,
}

/// `damage-sequence` (modern `window-draw-ack` and `window-ack`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawAck {
    /// Of the draw.
    pub sequence: u64,
    /// Of the draw.
    pub window: Option<WindowId>,
    /// Pixels, of the draw.
    pub width: u16,
    /// Pixels, of the draw.
    pub height: u16,
    /// Microseconds; 0: not painted, −1: failed, −2: no such window.
    pub decode_time: i64,
    /// What failed.
    pub message: String,
}

/// `layout-changed`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LayoutChanged {
    /// XKB layout.
    pub layout: String,
    /// XKB variant.
    pub variant: String,
    /// XKB options.
    pub options: String,
    /// Input method.
    pub backend: String,
    /// Name within the input method.
    pub name: String,
}

/// One quality or speed setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// Which one.
    pub what: Tunable,
    /// 0 to 100; none: automatic.
    pub value: Option<u8>,
}

super::picture::names! {
    /// What a [`Tuning`] sets.
    Tunable {
        /// Best quality is 100.
        Quality = "quality",
        /// Lower bound of automatic quality.
        MinQuality = "min-quality",
        /// Upper bound of automatic quality.
        MaxQuality = "max-quality",
        /// Fastest is 100.
        Speed = "speed",
        /// Lower bound of automatic speed.
        MinSpeed = "min-speed",
        /// Upper bound of automatic speed.
        MaxSpeed = "max-speed",
    }
}

/// What `suspend` and `resume` are about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Activity {
    /// The whole user interface.
    pub ui: bool,
    /// These windows.
    pub windows: Vec<WindowId>,
}

/// `info-request`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InfoRequest {
    /// Clients to be told about.
    pub uuids: Vec<String>,
    /// Windows to be told about.
    pub windows: Vec<WindowId>,
    /// Parts of the map; all if empty.
    pub categories: Vec<String>,
}

macro_rules! read_by_name {
    ($($($name:literal)|+ => $read:expr,)*) => {
        /// Every packet type that is decoded from a client, legacy and modern:
        /// what a server lists as its `packet-types`.
        pub fn accepted_names() -> &'static [&'static str] {
            &[$($($name,)+)*]
        }

        fn read(name: &str, args: Args) -> Result<Option<ClientPacket>, PacketError> {
            match name {
                $($($name)|+ => {
                    let read: fn(Args) -> Result<ClientPacket, PacketError> = $read;
                    read(args).map(Some)
                })*
                _ => Ok(None),
            }
        }
    };
}

read_by_name! {
    "disconnect" | "connection-close" => |a| Disconnect::read(a).map(ClientPacket::Disconnect),
    "ping" => |a| Ping::read(a).map(ClientPacket::Ping),
    "ping_echo" | "ping-echo" => |a| PingEcho::read(a).map(ClientPacket::PingEcho),
    "map-window" | "window-map" => |a| MapWindow::read(a).map(ClientPacket::MapWindow),
    "unmap-window" | "window-unmap" => |a| UnmapWindow::read(a).map(ClientPacket::UnmapWindow),
    "configure-window" => |a| ConfigureWindow::read(a).map(ClientPacket::ConfigureWindow),
    "window-configure" => |a| ConfigureWindow::read_map(a).map(ClientPacket::ConfigureWindow),
    "close-window" | "window-close" => |mut a| a.window().map(ClientPacket::CloseWindow),
    "focus" | "window-focus" => |mut a| Ok(ClientPacket::Focus {
        window: a.window_or_none()?,
        modifiers: a.optional(input::modifiers)?.unwrap_or_default(),
    }),
    "window-action" => |mut a| Ok(ClientPacket::WindowAction {
        window: a.window()?,
        action: a.text(MAX_NAME)?,
    }),
    "window-signal" => |mut a| Ok(ClientPacket::WindowSignal {
        window: a.window()?,
        signal: a.text(MAX_NAME)?,
    }),
    "buffer-refresh" => |a| BufferRefresh::read(a).map(ClientPacket::BufferRefresh),
    "window-refresh" => |a| BufferRefresh::read_modern(a).map(ClientPacket::BufferRefresh),
    "damage-sequence" | "window-draw-ack" => |a| DrawAck::read(a).map(ClientPacket::DrawAck),
    "window-ack" => |a| DrawAck::read_window_first(a).map(ClientPacket::DrawAck),
    "key-action" => |a| KeyAction::read(a).map(ClientPacket::Key),
    "keyboard-event" => |a| KeyAction::read_event(a).map(ClientPacket::Key),
    "layout-changed" => |a| LayoutChanged::read(a).map(ClientPacket::LayoutChanged),
    "keymap-changed" | "keyboard-config" => keymap_changed,
    "set-keyboard-sync-enabled" | "keyboard-sync-enabled-status" | "keyboard-sync" =>
        |mut a| a.bool().map(ClientPacket::KeyboardSync),
    "pointer" | "pointer-motion" => |a| PointerMotion::read(a).map(ClientPacket::PointerMotion),
    "pointer-position" => |a| PointerMotion::read_position(a).map(ClientPacket::PointerMotion),
    "pointer-button" => |a| PointerButton::read(a).map(ClientPacket::PointerButton),
    "button-action" => |a| PointerButton::read_action(a).map(ClientPacket::PointerButton),
    "wheel-motion" | "pointer-wheel" => |a| WheelMotion::read(a).map(ClientPacket::WheelMotion),
    "encoding" => |mut a| Ok(ClientPacket::Encoding {
        name: a.text(MAX_NAME)?,
        windows: a.optional(|a| a.windows(MAX_WINDOW_LIST))?.unwrap_or_default(),
    }),
    "encoding-set" | "encoding-options" | "encoding-config" => encoding_map,
    "quality" => |a| tuning(Tunable::Quality, a),
    "min-quality" => |a| tuning(Tunable::MinQuality, a),
    "max-quality" => |a| tuning(Tunable::MaxQuality, a),
    "speed" => |a| tuning(Tunable::Speed, a),
    "min-speed" => |a| tuning(Tunable::MinSpeed, a),
    "max-speed" => |a| tuning(Tunable::MaxSpeed, a),
    "set-cursors" | "cursor-set" => |mut a| a.bool().map(ClientPacket::SetCursors),
    "set-bell" | "bell-set" => |mut a| a.bool().map(ClientPacket::SetBell),
    "configure-display" | "display-configure" => |mut a| {
        let map = a.dict()?;
        let display = DisplayCaps::parse_configure(&Caps::new(&map));
        Ok(ClientPacket::ConfigureDisplay(Box::new(a.caps(display)?)))
    },
    "desktop_size" => |mut a| Ok(ClientPacket::ConfigureDisplay(Box::new(DisplayCaps {
        desktop_size: Some(a.size()?),
        ..DisplayCaps::default()
    }))),
    "force-ungrab" | "display-ungrab" => |_| Ok(ClientPacket::ForceUngrab),
    "sharing-toggle" => |mut a| a.bool().map(ClientPacket::SharingToggle),
    "lock-toggle" | "sharing-lock" => |mut a| a.bool().map(ClientPacket::LockToggle),
    "suspend" => |a| Activity::read(a).map(ClientPacket::Suspend),
    "resume" => |a| Activity::read(a).map(ClientPacket::Resume),
    "bandwidth-limit" | "bandwidth-status" => |mut a| a.int().map(ClientPacket::BandwidthLimit),
    "info-request" => |a| InfoRequest::read(a).map(ClientPacket::InfoRequest),
    // `shutdown-server true` is the modern form of `exit-server`.
    "shutdown-server" => |mut a| Ok(match a.peek() {
        Some(Value::Bool(true)) => {
            a.skip();
            ClientPacket::ExitServer {
                reason: a.optional(|a| a.text(MAX_TEXT))?.unwrap_or_default(),
            }
        }
        _ => ClientPacket::ShutdownServer,
    }),
    "exit-server" => |mut a| Ok(ClientPacket::ExitServer {
        reason: a.optional(|a| a.text(MAX_TEXT))?.unwrap_or_default(),
    }),
}

impl ClientPacket {
    /// Checks a packet from an authenticated client. Never fails for a type
    /// that is unknown: that is [`ClientPacket::Ignored`].
    pub fn parse(packet: Packet) -> Result<ClientPacket, PacketError> {
        let name = packet.name.clone();
        Ok(match read(&name, Args::new(packet))? {
            Some(packet) => packet,
            None => ClientPacket::Ignored { name },
        })
    }

    /// The packet, by its legacy name.
    pub fn into_packet(self) -> Packet {
        let flag = |name, value: bool| Packet::new(name, vec![value.into()]);
        match self {
            ClientPacket::Disconnect(p) => p.into_packet(),
            ClientPacket::Ping(p) => p.into_packet(),
            ClientPacket::PingEcho(p) => p.into_packet(),
            ClientPacket::MapWindow(p) => p.into_packet(),
            ClientPacket::UnmapWindow(p) => p.into_packet(),
            ClientPacket::ConfigureWindow(p) => p.into_packet(),
            ClientPacket::CloseWindow(window) => Packet::new("close-window", vec![window.into()]),
            ClientPacket::Focus { window, modifiers } => {
                Packet::new("focus", vec![window.into(), modifiers.into()])
            }
            ClientPacket::WindowAction { window, action } => {
                Packet::new("window-action", vec![window.into(), action.into()])
            }
            ClientPacket::WindowSignal { window, signal } => {
                Packet::new("window-signal", vec![window.into(), signal.into()])
            }
            ClientPacket::BufferRefresh(p) => p.into_packet(),
            ClientPacket::DrawAck(p) => p.into_packet(),
            ClientPacket::Key(p) => p.into_packet(),
            ClientPacket::LayoutChanged(p) => p.into_packet(),
            ClientPacket::KeymapChanged { keymap, force } => Packet::new(
                "keymap-changed",
                vec![
                    Value::dict([("keymap", Value::Dict(keymap.into_map()))]),
                    force.into(),
                ],
            ),
            ClientPacket::KeyboardSync(on) => flag("set-keyboard-sync-enabled", on),
            ClientPacket::PointerMotion(p) => p.into_packet(),
            ClientPacket::PointerButton(p) => p.into_packet(),
            ClientPacket::WheelMotion(p) => p.into_packet(),
            ClientPacket::Encoding { name, windows } => {
                Packet::new("encoding", vec![name.into(), Value::list(windows)])
            }
            ClientPacket::Tuning(tunings) => tuning_packet(&tunings),
            ClientPacket::SetCursors(on) => flag("set-cursors", on),
            ClientPacket::SetBell(on) => flag("set-bell", on),
            ClientPacket::ConfigureDisplay(display) => Packet::new(
                "configure-display",
                vec![Value::Dict(display.into_configure_map())],
            ),
            ClientPacket::ForceUngrab => Packet::new("force-ungrab", Vec::new()),
            ClientPacket::SharingToggle(on) => flag("sharing-toggle", on),
            ClientPacket::LockToggle(on) => flag("lock-toggle", on),
            ClientPacket::Suspend(p) => p.into_packet("suspend"),
            ClientPacket::Resume(p) => p.into_packet("resume"),
            ClientPacket::BandwidthLimit(limit) => {
                Packet::new("bandwidth-limit", vec![limit.into()])
            }
            ClientPacket::InfoRequest(p) => p.into_packet(),
            ClientPacket::ShutdownServer => Packet::new("shutdown-server", Vec::new()),
            ClientPacket::ExitServer { reason } => Packet::new("exit-server", vec![reason.into()]),
            ClientPacket::Ignored { name } => Packet {
                name,
                args: Vec::new(),
            },
        }
    }
}

impl BufferRefresh {
    fn read(mut args: Args) -> Result<BufferRefresh, PacketError> {
        let window = args.window_or_none()?;
        args.skip();
        let quality = args.optional(percent)?.flatten();
        let refresh_now = args.optional(refresh_now)?.unwrap_or(true);
        Ok(BufferRefresh {
            window,
            quality,
            refresh_now,
            properties: args.optional(window::properties)?.unwrap_or_default(),
        })
    }

    fn read_modern(mut args: Args) -> Result<BufferRefresh, PacketError> {
        Ok(BufferRefresh {
            window: args.window_or_none()?,
            quality: None,
            refresh_now: args.optional(refresh_now)?.unwrap_or(true),
            properties: WindowProperties::default(),
        })
    }

    fn into_packet(self) -> Packet {
        let properties = self.properties.into_map();
        Packet::new(
            "buffer-refresh",
            vec![
                self.window.into(),
                0.into(),
                self.quality.map_or(Value::Int(-1), Value::from),
                Value::dict([("refresh-now", self.refresh_now.into())]),
                Value::Dict(properties),
            ],
        )
    }
}

fn refresh_now(args: &mut Args) -> Result<bool, PacketError> {
    let map = args.dict()?;
    Ok(Caps::new(&map).bool("refresh-now", true))
}

/// 0 to 100; −1 for automatic.
fn percent(args: &mut Args) -> Result<Option<u8>, PacketError> {
    match args.int::<i64>()? {
        -1 => Ok(None),
        number @ 0..=100 => args.fit(number).map(Some),
        number => Err(args.error(ArgError::Range(number))),
    }
}

fn tuning(what: Tunable, mut args: Args) -> Result<ClientPacket, PacketError> {
    Ok(ClientPacket::Tuning(vec![Tuning {
        what,
        value: percent(&mut args)?,
    }]))
}

/// One setting has a packet of its own; more are a map.
fn tuning_packet(tunings: &[Tuning]) -> Packet {
    let value = |tuning: &Tuning| tuning.value.map_or(Value::Int(-1), Value::from);
    match tunings {
        [one] => Packet::new(one.what.name(), vec![value(one)]),
        all => Packet::new(
            "encoding-options",
            vec![Value::dict(all.iter().map(|t| (t.what.name(), value(t))))],
        ),
    }
}

/// The modern packets: a name with windows, or a map of settings.
fn encoding_map(mut args: Args) -> Result<ClientPacket, PacketError> {
    if !matches!(args.peek(), Some(Value::Dict(_))) {
        return Ok(ClientPacket::Encoding {
            name: args.text(MAX_NAME)?,
            windows: args
                .optional(|a| a.windows(MAX_WINDOW_LIST))?
                .unwrap_or_default(),
        });
    }
    let map = args.dict()?;
    let caps = Caps::new(&map);
    let mut tunings = Vec::new();
    for what in Tunable::ALL {
        match caps.int::<i64>(what.name()) {
            None => {}
            Some(-1) => tunings.push(Tuning {
                what: *what,
                value: None,
            }),
            Some(number @ 0..=100) => tunings.push(Tuning {
                what: *what,
                value: Some(args.fit(number)?),
            }),
            Some(number) => return Err(args.error(ArgError::Range(number))),
        }
    }
    Ok(ClientPacket::Tuning(tunings))
}

/// `keymap-changed [{"keymap": {…}}, force]`, or the map itself, with `force`
/// inside or not.
fn keymap_changed(mut args: Args) -> Result<ClientPacket, PacketError> {
    let map = args.dict()?;
    let caps = Caps::new(&map);
    let inner = caps.get("keymap").and_then(Caps::of).unwrap_or(caps);
    let keymap = args.caps(Keymap::parse(&inner))?;
    let force = args.optional(Args::bool)?.unwrap_or(false) || caps.bool("force", false);
    Ok(ClientPacket::KeymapChanged {
        keymap: Box::new(keymap),
        force,
    })
}

impl DrawAck {
    fn read(mut args: Args) -> Result<DrawAck, PacketError> {
        Ok(DrawAck {
            sequence: args.int()?,
            window: args.window_or_none()?,
            width: args.int()?,
            height: args.int()?,
            decode_time: args.int()?,
            message: args.optional(|a| a.text(MAX_TEXT))?.unwrap_or_default(),
        })
    }

    /// `window-ack`: the window and its size come first.
    fn read_window_first(mut args: Args) -> Result<DrawAck, PacketError> {
        let (window, width, height) = (args.window_or_none()?, args.int()?, args.int()?);
        Ok(DrawAck {
            sequence: args.int()?,
            window,
            width,
            height,
            decode_time: args.int()?,
            message: args.optional(|a| a.text(MAX_TEXT))?.unwrap_or_default(),
        })
    }

    fn into_packet(self) -> Packet {
        Packet::new(
            "damage-sequence",
            vec![
                self.sequence.into(),
                self.window.into(),
                self.width.into(),
                self.height.into(),
                self.decode_time.into(),
                self.message.into(),
            ],
        )
    }
}

impl LayoutChanged {
    fn read(mut args: Args) -> Result<LayoutChanged, PacketError> {
        let mut text = || Ok(args.optional(|a| a.text(MAX_NAME))?.unwrap_or_default());
        Ok(LayoutChanged {
            layout: text()?,
            variant: text()?,
            options: text()?,
            backend: text()?,
            name: text()?,
        })
    }

    fn into_packet(self) -> Packet {
        Packet::new(
            "layout-changed",
            vec![
                self.layout.into(),
                self.variant.into(),
                self.options.into(),
                self.backend.into(),
                self.name.into(),
            ],
        )
    }
}

impl Activity {
    fn read(mut args: Args) -> Result<Activity, PacketError> {
        Ok(Activity {
            ui: args.optional(Args::bool)?.unwrap_or(true),
            windows: args
                .optional(|a| a.windows(MAX_WINDOW_LIST))?
                .unwrap_or_default(),
        })
    }

    fn into_packet(self, name: &str) -> Packet {
        Packet::new(name, vec![self.ui.into(), Value::list(self.windows)])
    }
}

impl InfoRequest {
    fn read(mut args: Args) -> Result<InfoRequest, PacketError> {
        Ok(InfoRequest {
            uuids: args
                .optional(|a| a.texts(MAX_NAMES, MAX_IDENTITY))?
                .unwrap_or_default(),
            windows: args
                .optional(|a| a.windows(MAX_WINDOW_LIST))?
                .unwrap_or_default(),
            categories: args
                .optional(|a| a.texts(MAX_NAMES, MAX_NAME))?
                .unwrap_or_default(),
        })
    }

    fn into_packet(self) -> Packet {
        Packet::new(
            "info-request",
            vec![
                Value::list(self.uuids),
                Value::list(self.windows),
                Value::list(self.categories),
            ],
        )
    }
}
