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
    /// Another hello: out of order, nothing of it was looked at. Those before
    /// authentication are [`PreAuthPacket`](super::PreAuthPacket)s.
    Hello,
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
    "shutdown-server" => |mut a| Ok(match a.optional(Args::bool)? {
        Some(true) => ClientPacket::ExitServer {
            reason: a.optional(|a| a.text(MAX_TEXT))?.unwrap_or_default(),
        },
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
            None if name == "hello" => ClientPacket::Hello,
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
            ClientPacket::Hello => Packet::new("hello", Vec::new()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Position, RgbFormat, Size};

    fn parse(name: &str, args: Vec<Value>) -> Result<ClientPacket, PacketError> {
        ClientPacket::parse(Packet::new(name, args))
    }

    fn ints(numbers: &[i64]) -> Value {
        Value::list(numbers.iter().copied())
    }

    #[test]
    fn both_layouts_of_configure_window() {
        let state = || Value::dict([("focused", Value::Bool(true))]);
        let props = || Value::dict([("encodings.rgb_formats", Value::list(["RGB", "new"]))]);
        let legacy = parse(
            "configure-window",
            vec![
                7.into(),
                1.into(),
                (-2).into(),
                30.into(),
                40.into(),
                props(),
                9.into(),
                state(),
                false.into(),
                7.into(),
                ints(&[5, 6]),
                Value::list(["shift", "strange"]),
            ],
        )
        .unwrap();
        let modern = parse(
            "window-configure",
            vec![
                7.into(),
                Value::dict([
                    ("geometry", ints(&[1, -2, 30, 40])),
                    ("resize-counter", 9.into()),
                    ("properties", props()),
                    ("state", state()),
                    (
                        "pointer",
                        Value::dict([
                            ("wid", Value::from(7)),
                            ("position", ints(&[5, 6])),
                            ("modifiers", Value::list(["shift"])),
                        ]),
                    ),
                ]),
            ],
        )
        .unwrap();
        assert_eq!(legacy, modern);
        let ClientPacket::ConfigureWindow(configure) = legacy else {
            panic!("{legacy:?}");
        };
        assert_eq!(configure.resize_counter, Some(9));
        assert_eq!(configure.properties.rgb_formats, Some(vec![RgbFormat::Rgb]));
        assert_eq!(configure.geometry.unwrap().size, Size::new(30, 40).unwrap());
        // HTML5 moves its tray with the first arguments only.
        let short = [7, 1, 2, 30, 40].map(Value::from).to_vec();
        assert!(parse("configure-window", [short, vec![props()]].concat()).is_ok());
    }

    #[test]
    fn both_layouts_of_keys() {
        let legacy = parse(
            "key-action",
            vec![
                7.into(),
                "a".into(),
                true.into(),
                Value::list(["control"]),
                97.into(),
                "a".into(),
                38.into(),
                1.into(),
            ],
        );
        let modern = parse(
            "keyboard-event",
            vec![
                7.into(),
                "a".into(),
                true.into(),
                Value::dict([
                    ("modifiers", Value::list(["control"])),
                    ("keyval", 97.into()),
                    ("string", "a".into()),
                    ("keycode", 38.into()),
                    ("group", 1.into()),
                ]),
            ],
        );
        assert_eq!(legacy, modern);
        assert!(matches!(legacy, Ok(ClientPacket::Key(_))));
    }

    #[test]
    fn both_layouts_of_acknowledgements() {
        let tail = [77.into(), "oops".into()];
        let legacy = [[3, 7, 20, 10].map(Value::from).to_vec(), tail.to_vec()].concat();
        let master = [[7, 20, 10, 3].map(Value::from).to_vec(), tail.to_vec()].concat();
        let ack = ClientPacket::DrawAck(DrawAck {
            sequence: 3,
            window: WindowId::new(7),
            width: 20,
            height: 10,
            decode_time: 77,
            message: "oops".into(),
        });
        assert_eq!(parse("damage-sequence", legacy.clone()).unwrap(), ack);
        assert_eq!(parse("window-draw-ack", legacy).unwrap(), ack);
        assert_eq!(parse("window-ack", master).unwrap(), ack);
    }

    #[test]
    fn old_and_new_pointer_packets() {
        let held = [Value::list(["mod1"]), ints(&[1])];
        let map = Value::dict([("modifiers", held[0].clone()), ("buttons", held[1].clone())]);
        let position = ints(&[5, 6, 1, 2]);
        let old = [vec![7.into(), position.clone()], held.to_vec()].concat();
        let new = vec![
            (-1).into(),
            0.into(),
            7.into(),
            position.clone(),
            map.clone(),
        ];
        let motion = parse("pointer-position", old).unwrap();
        assert_eq!(motion, parse("pointer", new).unwrap());
        let ClientPacket::PointerMotion(motion) = motion else {
            panic!("{motion:?}");
        };
        assert_eq!(
            motion.position,
            Position {
                x: 5,
                y: 6,
                relative: Some((1, 2))
            }
        );
        assert_eq!((motion.modifiers.mask(), motion.buttons), (8, vec![1]));

        let press = [Value::from(3), true.into(), position];
        let old = [vec![7.into()], press.to_vec(), held.to_vec()].concat();
        let new = [
            vec![(-1).into(), 0.into(), 7.into()],
            press.to_vec(),
            vec![map],
        ]
        .concat();
        assert_eq!(
            parse("button-action", old).unwrap(),
            parse("pointer-button", new).unwrap()
        );
    }

    #[test]
    fn numbers_out_of_range_drop_the_packet() {
        let problem = |name: &str, args: Vec<Value>| parse(name, args).unwrap_err().problem;
        for id in [0, -1, -2, 1 << 48, i64::MAX] {
            assert_eq!(
                problem("close-window", vec![id.into()]),
                ArgError::Range(id)
            );
        }
        assert_eq!(problem("focus", vec![(-2).into()]), ArgError::Range(-2));
        for (width, height) in [(0, 5), (5, 0), (32_768, 5), (5, -1), (5, 65_536)] {
            let args = [7, 0, 0, width, height].map(Value::from).to_vec();
            assert!(matches!(problem("map-window", args), ArgError::Range(_)));
        }
        for button in [0, 256, -1] {
            let args = vec![7.into(), button.into(), true.into(), ints(&[1, 2])];
            assert_eq!(
                problem("button-action", args),
                ArgError::Range(button.into())
            );
        }
        assert_eq!(problem("quality", vec![101.into()]), ArgError::Range(101));
        assert_eq!(problem("close-window", vec![]), ArgError::Missing);
        assert!(matches!(
            problem("close-window", vec![Value::None]),
            ArgError::Type { .. }
        ));
        let error = parse("map-window", vec![7.into(), 0.into()]).unwrap_err();
        assert_eq!((error.packet.as_str(), error.index), ("map-window", 3));
        assert_eq!(error.to_string(), "map-window: argument 3: missing");
    }

    #[test]
    fn none_and_all_windows() {
        for id in [0, -1] {
            assert_eq!(
                parse("focus", vec![id.into(), Value::List(vec![])]).unwrap(),
                ClientPacket::Focus {
                    window: None,
                    modifiers: Modifiers::NONE
                }
            );
            let refresh = vec![id.into(), 0.into(), 80.into()];
            let ClientPacket::BufferRefresh(refresh) = parse("buffer-refresh", refresh).unwrap()
            else {
                panic!();
            };
            assert_eq!((refresh.window, refresh.quality), (None, Some(80)));
            assert!(refresh.refresh_now);
        }
    }

    #[test]
    fn loose_types() {
        // Bytes for text, text for numbers, numbers for bools, whole floats.
        let key = vec![
            Value::Float(7.0),
            Value::Bytes(b"eacute".to_vec()),
            1.into(),
            Value::List(vec![Value::Bytes(b"shift".to_vec())]),
            "233".into(),
            Value::Bytes(vec![0xe9]),
        ];
        let ClientPacket::Key(key) = parse("key-action", key).unwrap() else {
            panic!();
        };
        assert_eq!(key.window, WindowId::new(7));
        assert_eq!((key.keysym.as_str(), key.text.as_str()), ("eacute", "é"));
        assert!(key.pressed);
        assert_eq!((key.modifiers.mask(), key.keyval, key.keycode), (1, 233, 0));
    }

    #[test]
    fn the_forms_of_keymaps() {
        let keymap = Value::dict([
            ("layout", Value::from("de")),
            ("options", Value::list(["a", "b"])),
            (
                "x11_keycodes",
                Value::dict([("38", Value::list(["a", "A"])), ("999", Value::list(["b"]))]),
            ),
        ]);
        let nested = Value::dict([("keymap", keymap.clone())]);
        let a = parse("keymap-changed", vec![nested, true.into()]).unwrap();
        let b = parse("keymap-changed", vec![keymap.clone(), true.into()]).unwrap();
        let Value::Dict(mut pairs) = keymap else {
            panic!();
        };
        pairs.push(("force".into(), true.into()));
        let c = parse("keyboard-config", vec![Value::Dict(pairs)]).unwrap();
        assert_eq!(a, b);
        assert_eq!(b, c);
        let ClientPacket::KeymapChanged { keymap, force } = a else {
            panic!();
        };
        assert!(force);
        assert_eq!(keymap.layout, "de");
        assert_eq!(keymap.options, "a,b");
        assert_eq!(keymap.x11_keycodes, [(38, vec!["a".into(), "A".into()])]);
    }

    #[test]
    fn quality_one_by_one_or_as_a_map() {
        let tuning = |what, value| Tuning { what, value };
        assert_eq!(
            parse("min-speed", vec![(-1).into()]).unwrap(),
            ClientPacket::Tuning(vec![tuning(Tunable::MinSpeed, None)])
        );
        let map = Value::dict([("speed", Value::from(50)), ("quality", (-1).into())]);
        assert_eq!(
            parse("encoding-options", vec![map]).unwrap(),
            ClientPacket::Tuning(vec![
                tuning(Tunable::Quality, None),
                tuning(Tunable::Speed, Some(50))
            ])
        );
        let bad = Value::dict([("speed", Value::from(101))]);
        assert!(parse("encoding-options", vec![bad]).is_err());
        assert!(matches!(
            parse("encoding-set", vec!["png".into(), ints(&[7])]).unwrap(),
            ClientPacket::Encoding { .. }
        ));
    }

    #[test]
    fn shutdown_and_exit() {
        assert_eq!(
            parse("shutdown-server", vec![]).unwrap(),
            ClientPacket::ShutdownServer
        );
        let exit = ClientPacket::ExitServer { reason: "x".into() };
        assert_eq!(
            parse("shutdown-server", vec![true.into(), "x".into()]).unwrap(),
            exit
        );
        assert_eq!(parse("exit-server", vec!["x".into()]).unwrap(), exit);
    }

    #[test]
    fn what_does_not_exist_is_ignored_unread() {
        for name in ["clipboard-token", "start-command", "webcam-frame", "?"] {
            assert_eq!(
                parse(name, vec![Value::Float(f64::NAN); 9]).unwrap(),
                ClientPacket::Ignored { name: name.into() }
            );
        }
    }

    #[test]
    fn another_hello_is_not_read() {
        let hello = parse("hello", vec![Value::Float(f64::NAN); 9]);
        assert_eq!(hello.unwrap(), ClientPacket::Hello);
    }

    #[test]
    fn lists_are_bounded() {
        let many = Value::List(vec![7.into(); MAX_WINDOW_LIST + 1]);
        assert_eq!(
            parse("suspend", vec![true.into(), many])
                .unwrap_err()
                .problem,
            ArgError::TooLong(MAX_WINDOW_LIST)
        );
        let long = "x".repeat(MAX_NAME + 1);
        assert_eq!(
            parse("encoding", vec![long.into()]).unwrap_err().problem,
            ArgError::TooLong(MAX_NAME)
        );
    }
}
