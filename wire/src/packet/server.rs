use super::args::{ArgError, Args, PacketError};
use super::geometry::{Geometry, Size, WindowId};
use super::metadata::Metadata;
use super::picture::{Cursor, Draw, Screenshot, WindowIcon};
use super::shared::{Disconnect, Ping, PingEcho};
use super::{Map, Packet};
use crate::limits::{MAX_NAME, MAX_SALT, MAX_TEXT};
use crate::rencodeplus::Value;

/// What a server may send (protocol "Table: server → client"). Legacy names
/// are written, both are read.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant)] // one at a time
pub enum ServerPacket {
    /// The server's capabilities, or the answer to a one-shot request.
    Hello(Map),
    /// Prove who you are.
    Challenge(Challenge),
    /// The end.
    Disconnect(Disconnect),
    /// Answer it.
    Ping(Ping),
    /// The answer to a client's ping.
    PingEcho(PingEcho),
    /// All windows that exist were sent.
    StartupComplete,
    /// What the server encodes, for the client's menus.
    Encodings(Map),
    /// A setting of the session changed.
    SettingChange {
        /// Which one.
        name: String,
        /// Its value.
        value: Value,
    },
    /// Something happened, for clients that asked for events.
    ServerEvent {
        /// What.
        name: String,
        /// More about it.
        args: Vec<Value>,
    },
    /// The answer to an `info-request`.
    InfoResponse(Map),
    /// A window.
    NewWindow(NewWindow),
    /// A window that no window manager touches: a menu, a tooltip.
    NewOverrideRedirect(NewWindow),
    /// A window is gone.
    LostWindow(WindowId),
    /// Put a window on top.
    RaiseWindow(WindowId),
    /// Put a window above or below another.
    RestackWindow(Restack),
    /// The application wants the user to move or resize its window.
    InitiateMoveResize(MoveResize),
    /// An override-redirect window moved.
    ConfigureOverrideRedirect {
        /// Which one.
        window: WindowId,
        /// Where it is now.
        geometry: Geometry,
    },
    /// The server moved and resized a window.
    WindowMoveResize {
        /// Which one.
        window: WindowId,
        /// Where it is now.
        geometry: Geometry,
        /// Comes back in `configure-window`; 0: no count.
        resize_counter: u64,
    },
    /// The server resized a window.
    WindowResized {
        /// Which one.
        window: WindowId,
        /// Its size now.
        size: Size,
        /// Comes back in `configure-window`; 0: no count.
        resize_counter: u64,
    },
    /// Properties of a window changed.
    WindowMetadata {
        /// Which one.
        window: WindowId,
        /// What changed.
        metadata: Vec<Metadata>,
    },
    /// A window's icon.
    WindowIcon(WindowIcon),
    /// Pixels.
    Draw(Draw),
    /// No more frames of a window's video stream will come.
    EndOfStream(WindowId),
    /// The bell.
    Bell(Bell),
    /// Where another client's pointer is.
    PointerPosition {
        /// The window under it.
        window: Option<WindowId>,
        /// Pixels from the left edge of the screen.
        x: i32,
        /// Pixels from the top edge of the screen.
        y: i32,
        /// Pixels from the corner of the window.
        relative: Option<(i32, i32)>,
    },
    /// An application grabbed the pointer.
    PointerGrab(Option<WindowId>),
    /// The grab ended.
    PointerUngrab(Option<WindowId>),
    /// The shape of the pointer; none for the default one.
    Cursor(Option<Cursor>),
    /// The server's screen was resized.
    DesktopSize(DesktopSize),
    /// Show the desktop, or the windows again.
    ShowDesktop(bool),
    /// The answer to a screenshot request.
    Screenshot(Screenshot),
    /// A packet that our clients have no use for. Nothing of it was looked at.
    Ignored {
        /// Its type.
        name: String,
    },
}

/// `challenge` (protocol "Authentication handshake").
#[derive(Clone, PartialEq)]
pub struct Challenge {
    /// The server's salt: 32 to 1023 random bytes.
    pub salt: Vec<u8>,
    /// Empty, or what concerns encryption.
    pub auth_caps: Map,
    /// Name of the digest for the password, such as `hmac+sha512`.
    pub digest: String,
    /// Name of the digest that mixes the salts, such as `hmac+sha512`.
    pub salt_digest: String,
    /// Text for the user.
    pub prompt: String,
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Challenge")
            .field("salt", &self.salt.len())
            .field("digest", &self.digest)
            .field("salt_digest", &self.salt_digest)
            .field("prompt", &self.prompt)
            .finish_non_exhaustive()
    }
}

/// `new-window` and `new-override-redirect` (modern `window-create`).
#[derive(Debug, Clone, PartialEq)]
pub struct NewWindow {
    /// Its number, never used again while a client may hold it.
    pub window: WindowId,
    /// Where it is.
    pub geometry: Geometry,
    /// What it is.
    pub metadata: Vec<Metadata>,
    /// What this client said about it before; often empty.
    pub client_properties: Map,
}

/// `restack-window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restack {
    /// Which one.
    pub window: WindowId,
    /// X11: 0 above, 1 below.
    pub detail: u8,
    /// The other window, or all.
    pub sibling: Option<WindowId>,
}

/// `initiate-moveresize`, as in `_NET_WM_MOVERESIZE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoveResize {
    /// Which one.
    pub window: WindowId,
    /// Pixels: where the pointer was pressed.
    pub x_root: i32,
    /// Pixels: where the pointer was pressed.
    pub y_root: i32,
    /// 0 to 7 an edge or corner, 8 move, 9 and 10 by keyboard, 11 cancel.
    pub direction: u8,
    /// X11 button that is pressed.
    pub button: u8,
    /// 1: an application.
    pub source: u8,
}

/// `bell` (modern `window-bell`), as in XKB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bell {
    /// For which window.
    pub window: Option<WindowId>,
    /// X11 device.
    pub device: i32,
    /// Volume: −100 to 100.
    pub percent: i32,
    /// Hertz.
    pub pitch: i32,
    /// Milliseconds.
    pub duration: i32,
    /// XKB class.
    pub class: i32,
    /// XKB id.
    pub id: i32,
    /// XKB name.
    pub name: String,
}

/// `desktop_size` (modern `display-resized`), in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DesktopSize {
    /// Of the screen now.
    pub size: Size,
    /// The largest that it can have.
    pub max: Size,
}

impl ServerPacket {
    /// Checks a packet from a server.
    pub fn parse(packet: Packet) -> Result<ServerPacket, PacketError> {
        use ServerPacket as P;
        let name = packet.name.clone();
        let mut a = Args::new(packet);
        Ok(match name.as_str() {
            "hello" => P::Hello(a.dict()?),
            "challenge" => P::Challenge(Challenge::read(a)?),
            "disconnect" | "connection-close" => P::Disconnect(Disconnect::read(a)?),
            "ping" => P::Ping(Ping::read(a)?),
            "ping_echo" | "ping-echo" => P::PingEcho(PingEcho::read(a)?),
            "startup-complete" => P::StartupComplete,
            "encodings" | "encoding-set" => P::Encodings(a.dict()?),
            "setting-change" => P::SettingChange {
                name: a.text(MAX_NAME)?,
                value: a.value()?,
            },
            "server-event" | "events" => P::ServerEvent {
                name: a.text(MAX_NAME)?,
                args: a.remaining(),
            },
            "info-response" => P::InfoResponse(a.dict()?),
            "new-window" => P::NewWindow(NewWindow::read(a)?),
            "new-override-redirect" => P::NewOverrideRedirect(NewWindow::read(a)?),
            "window-create" => {
                let new = NewWindow::read(a)?;
                if new.metadata.contains(&Metadata::OverrideRedirect(true)) {
                    P::NewOverrideRedirect(new)
                } else {
                    P::NewWindow(new)
                }
            }
            "lost-window" | "window-destroy" => P::LostWindow(a.window()?),
            "raise-window" | "window-raise" => P::RaiseWindow(a.window()?),
            "restack-window" | "window-restack" => P::RestackWindow(Restack {
                window: a.window()?,
                detail: a.int()?,
                sibling: a.optional(Args::window_or_none)?.flatten(),
            }),
            "initiate-moveresize" | "window-initiate-moveresize" => {
                P::InitiateMoveResize(MoveResize {
                    window: a.window()?,
                    x_root: a.int()?,
                    y_root: a.int()?,
                    direction: a.int()?,
                    button: a.int()?,
                    source: a.int()?,
                })
            }
            "configure-override-redirect" => P::ConfigureOverrideRedirect {
                window: a.window()?,
                geometry: a.geometry()?,
            },
            "window-move-resize" => P::WindowMoveResize {
                window: a.window()?,
                geometry: a.geometry()?,
                resize_counter: a.optional(counter)?.unwrap_or(0),
            },
            "window-resized" => P::WindowResized {
                window: a.window()?,
                size: a.size()?,
                resize_counter: a.optional(counter)?.unwrap_or(0),
            },
            "window-metadata" => P::WindowMetadata {
                window: a.window()?,
                metadata: Metadata::read_all(&mut a)?,
            },
            "window-icon" => P::WindowIcon(WindowIcon::read(a)?),
            "draw" | "window-draw" => P::Draw(Draw::read(a)?),
            "eos" | "window-eos" => P::EndOfStream(a.window()?),
            "bell" | "window-bell" => P::Bell(Bell::read(a)?),
            "pointer-position" => {
                let (window, x, y) = (a.window_or_none()?, a.int()?, a.int()?);
                let relative = match (a.optional(Args::int)?, a.optional(Args::int)?) {
                    (Some(x), Some(y)) => Some((x, y)),
                    _ => None,
                };
                P::PointerPosition {
                    window,
                    x,
                    y,
                    relative,
                }
            }
            "pointer-grab" | "window-grab" => P::PointerGrab(a.window_or_none()?),
            "pointer-ungrab" | "window-ungrab" => P::PointerUngrab(a.window_or_none()?),
            "cursor" => P::Cursor(Cursor::read(a)?),
            "cursor-data" => P::Cursor(Some(Cursor::read_data(a)?)),
            "cursor-default" => P::Cursor(None),
            "desktop_size" | "display-resized" => P::DesktopSize(DesktopSize {
                size: a.size()?,
                max: a.size()?,
            }),
            "show-desktop" | "display-show-desktop" => P::ShowDesktop(a.bool()?),
            "screenshot" | "display-screenshot" => P::Screenshot(Screenshot::read(a)?),
            _ => P::Ignored { name },
        })
    }

    /// The packet, by its legacy name.
    pub fn into_packet(self) -> Packet {
        use ServerPacket as P;
        match self {
            P::Hello(map) => Packet::new("hello", vec![Value::Dict(map)]),
            P::Challenge(p) => p.into_packet(),
            P::Disconnect(p) => p.into_packet(),
            P::Ping(p) => p.into_packet(),
            P::PingEcho(p) => p.into_packet(),
            P::StartupComplete => Packet::new("startup-complete", Vec::new()),
            P::Encodings(map) => Packet::new("encodings", vec![Value::Dict(map)]),
            P::SettingChange { name, value } => {
                Packet::new("setting-change", vec![name.into(), value])
            }
            P::ServerEvent { name, args } => {
                let mut all = vec![name.into()];
                all.extend(args);
                Packet::new("server-event", all)
            }
            P::InfoResponse(map) => Packet::new("info-response", vec![Value::Dict(map)]),
            P::NewWindow(p) => p.into_packet("new-window"),
            P::NewOverrideRedirect(p) => p.into_packet("new-override-redirect"),
            P::LostWindow(window) => Packet::new("lost-window", vec![window.into()]),
            P::RaiseWindow(window) => Packet::new("raise-window", vec![window.into()]),
            P::RestackWindow(p) => Packet::new(
                "restack-window",
                vec![p.window.into(), p.detail.into(), p.sibling.into()],
            ),
            P::InitiateMoveResize(p) => Packet::new(
                "initiate-moveresize",
                vec![
                    p.window.into(),
                    p.x_root.into(),
                    p.y_root.into(),
                    p.direction.into(),
                    p.button.into(),
                    p.source.into(),
                ],
            ),
            P::ConfigureOverrideRedirect { window, geometry } => {
                geometry_packet("configure-override-redirect", window, geometry, None)
            }
            P::WindowMoveResize {
                window,
                geometry,
                resize_counter,
            } => geometry_packet("window-move-resize", window, geometry, Some(resize_counter)),
            P::WindowResized {
                window,
                size,
                resize_counter,
            } => Packet::new(
                "window-resized",
                vec![
                    window.into(),
                    size.width().into(),
                    size.height().into(),
                    resize_counter.into(),
                ],
            ),
            P::WindowMetadata { window, metadata } => Packet::new(
                "window-metadata",
                vec![window.into(), Value::Dict(Metadata::into_map(metadata))],
            ),
            P::WindowIcon(p) => p.into_packet(),
            P::Draw(p) => p.into_packet(),
            P::EndOfStream(window) => Packet::new("eos", vec![window.into()]),
            P::Bell(p) => p.into_packet(),
            P::PointerPosition {
                window,
                x,
                y,
                relative,
            } => {
                let mut args = vec![window.into(), x.into(), y.into()];
                if let Some((x, y)) = relative {
                    args.extend([x.into(), y.into()]);
                }
                Packet::new("pointer-position", args)
            }
            P::PointerGrab(window) => Packet::new("pointer-grab", vec![window.into()]),
            P::PointerUngrab(window) => Packet::new("pointer-ungrab", vec![window.into()]),
            P::Cursor(cursor) => Cursor::packet(cursor),
            P::DesktopSize(p) => Packet::new(
                "desktop_size",
                vec![
                    p.size.width().into(),
                    p.size.height().into(),
                    p.max.width().into(),
                    p.max.height().into(),
                ],
            ),
            P::ShowDesktop(show) => Packet::new("show-desktop", vec![show.into()]),
            P::Screenshot(p) => p.into_packet(),
            P::Ignored { name } => Packet {
                name,
                args: Vec::new(),
            },
        }
    }
}

/// A resize counter; −1 stands for none.
fn counter(args: &mut Args) -> Result<u64, PacketError> {
    let number = args.int::<i64>()?;
    args.fit(number.max(0))
}

fn geometry_packet(
    name: &str,
    window: WindowId,
    geometry: Geometry,
    counter: Option<u64>,
) -> Packet {
    let mut args = vec![window.into()];
    geometry.push_to(&mut args);
    args.extend(counter.map(Value::from));
    Packet::new(name, args)
}

impl Challenge {
    fn read(mut args: Args) -> Result<Challenge, PacketError> {
        let salt = args.bytes()?;
        if salt.len() > MAX_SALT {
            return Err(args.error(ArgError::TooLong(MAX_SALT)));
        }
        Ok(Challenge {
            salt,
            auth_caps: args.optional(Args::dict)?.unwrap_or_default(),
            digest: args.optional(|a| a.text(MAX_NAME))?.unwrap_or_default(),
            salt_digest: args.optional(|a| a.text(MAX_NAME))?.unwrap_or_default(),
            prompt: args.optional(|a| a.text(MAX_TEXT))?.unwrap_or_default(),
        })
    }

    fn into_packet(self) -> Packet {
        Packet::new(
            "challenge",
            vec![
                Value::Bytes(self.salt),
                Value::Dict(self.auth_caps),
                self.digest.into(),
                self.salt_digest.into(),
                self.prompt.into(),
            ],
        )
    }
}

impl NewWindow {
    fn read(mut args: Args) -> Result<NewWindow, PacketError> {
        Ok(NewWindow {
            window: args.window()?,
            geometry: args.geometry()?,
            metadata: Metadata::read_all(&mut args)?,
            client_properties: args.optional(Args::dict)?.unwrap_or_default(),
        })
    }

    fn into_packet(self, name: &str) -> Packet {
        let mut args = vec![self.window.into()];
        self.geometry.push_to(&mut args);
        args.push(Value::Dict(Metadata::into_map(self.metadata)));
        args.push(Value::Dict(self.client_properties));
        Packet::new(name, args)
    }
}

impl Bell {
    fn read(mut args: Args) -> Result<Bell, PacketError> {
        Ok(Bell {
            window: args.window_or_none()?,
            device: args.int()?,
            percent: args.int()?,
            pitch: args.int()?,
            duration: args.int()?,
            class: args.int()?,
            id: args.int()?,
            name: args.optional(|a| a.text(MAX_NAME))?.unwrap_or_default(),
        })
    }

    fn into_packet(self) -> Packet {
        Packet::new(
            "bell",
            vec![
                self.window.into(),
                self.device.into(),
                self.percent.into(),
                self.pitch.into(),
                self.duration.into(),
                self.class.into(),
                self.id.into(),
                self.name.into(),
            ],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, args: Vec<Value>) -> ServerPacket {
        ServerPacket::parse(Packet::new(name, args)).unwrap()
    }

    #[test]
    fn modern_names() {
        let new = |extra: bool| {
            let mut metadata = vec![("title", Value::from("x"))];
            if extra {
                metadata.push(("override-redirect", true.into()));
            }
            let mut args = [7, 0, 0, 5, 5].map(Value::from).to_vec();
            args.extend([Value::dict(metadata), Value::Dict(vec![])]);
            args
        };
        assert_eq!(
            parse("window-create", new(false)),
            parse("new-window", new(false))
        );
        assert_eq!(
            parse("window-create", new(true)),
            parse("new-override-redirect", new(true))
        );
        assert_eq!(
            parse("window-destroy", vec![7.into()]),
            parse("lost-window", vec![7.into()])
        );
        assert_eq!(
            parse("cursor-default", vec![]),
            parse("cursor", vec!["".into()])
        );
        assert_eq!(
            parse("connection-close", vec!["done".into()]),
            ServerPacket::Disconnect(Disconnect::new("done"))
        );
    }

    #[test]
    fn unknown_metadata_is_left_out_and_bad_metadata_refused() {
        let metadata = |key: &str, value: Value| {
            ServerPacket::parse(Packet::new(
                "window-metadata",
                vec![7.into(), Value::dict([(key, value)])],
            ))
        };
        assert_eq!(
            metadata("x11-property", Value::None).unwrap(),
            ServerPacket::WindowMetadata {
                window: WindowId::new(7).unwrap(),
                metadata: vec![]
            }
        );
        assert!(metadata("title", Value::None).is_err());
        assert!(metadata("class-instance", Value::list(["x"])).is_err());
        assert!(metadata("shape", 1.into()).is_err());
    }

    #[test]
    fn a_coding_that_is_not_known_is_refused() {
        let mut args = [7, 0, 0, 5, 5].map(Value::from).to_vec();
        args.extend(["exe".into(), Value::Bytes(vec![]), 1.into(), 0.into()]);
        assert!(ServerPacket::parse(Packet::new("draw", args)).is_err());
    }

    #[test]
    fn a_scroll_may_have_its_list_as_data() {
        let mut args = [7, 0, 0, 5, 5].map(Value::from).to_vec();
        let areas = Value::list([Value::list([0, 1, 2, 3, 0, -4])]);
        args.extend(["scroll".into(), areas.clone(), 1.into(), 0.into()]);
        args.push(Value::dict([("scroll", areas)]));
        let ServerPacket::Draw(draw) = parse("draw", args) else {
            panic!();
        };
        assert_eq!(draw.options.scroll, Some(vec![[0, 1, 2, 3, 0, -4]]));
        assert!(draw.data.is_empty());
    }

    #[test]
    fn secrets_and_pixels_are_not_shown() {
        let challenge = Challenge {
            salt: b"0123456789".to_vec(),
            auth_caps: vec![],
            digest: "hmac+sha512".into(),
            salt_digest: "hmac+sha512".into(),
            prompt: String::new(),
        };
        assert!(format!("{challenge:?}").contains("salt: 10"));
    }
}
