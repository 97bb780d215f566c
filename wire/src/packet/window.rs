use super::args::{ArgError, Args, PacketError};
use super::geometry::{Geometry, Position, Size, WindowId};
use super::input::{self, Modifiers};
use super::picture::RgbFormat;
use super::{Map, Packet};
use crate::caps::Caps;
use crate::limits::{MAX_HELD, MAX_NAME, MAX_NAMES};
use crate::rencodeplus::Value;

/// A client shows a window: `map-window` (modern `window-map`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapWindow {
    /// Which one.
    pub window: WindowId,
    /// Where the client put it.
    pub geometry: Geometry,
    /// How it wants it drawn.
    pub properties: WindowProperties,
    /// Its state.
    pub state: WindowState,
}

impl MapWindow {
    pub(super) fn read(mut args: Args) -> Result<MapWindow, PacketError> {
        Ok(MapWindow {
            window: args.window()?,
            geometry: args.geometry()?,
            properties: args.optional(properties)?.unwrap_or_default(),
            state: args.optional(state)?.unwrap_or_default(),
        })
    }

    pub(super) fn into_packet(self) -> Packet {
        let mut args = vec![self.window.into()];
        self.geometry.push_to(&mut args);
        args.push(Value::Dict(self.properties.into_map()));
        args.push(Value::Dict(self.state.into_map()));
        Packet::new("map-window", args)
    }
}

/// A client hides a window: `unmap-window` (modern `window-unmap`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmapWindow {
    /// Which one.
    pub window: WindowId,
    /// Minimized, not withdrawn.
    pub iconified: bool,
    /// Its state.
    pub state: WindowState,
}

impl UnmapWindow {
    pub(super) fn read(mut args: Args) -> Result<UnmapWindow, PacketError> {
        Ok(UnmapWindow {
            window: args.window()?,
            iconified: args.optional(Args::bool)?.unwrap_or(false),
            state: args.optional(state)?.unwrap_or_default(),
        })
    }

    pub(super) fn into_packet(self) -> Packet {
        Packet::new(
            "unmap-window",
            vec![
                self.window.into(),
                self.iconified.into(),
                Value::Dict(self.state.into_map()),
            ],
        )
    }
}

/// A client moved, resized or changed a window: `configure-window` (modern
/// `window-configure`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigureWindow {
    /// Which one.
    pub window: WindowId,
    /// Where it is now. Absent or to be ignored if `skip_geometry`.
    pub geometry: Option<Geometry>,
    /// How it wants it drawn.
    pub properties: WindowProperties,
    /// The counter of the server's last resize that the client has seen;
    /// `None` if it keeps no count (0 or −1 on the wire).
    pub resize_counter: Option<u64>,
    /// What changed of its state.
    pub state: WindowState,
    /// The geometry is only informational.
    pub skip_geometry: bool,
    /// Where the pointer is.
    pub pointer: Option<PointerState>,
}

/// The pointer at the time of a [`ConfigureWindow`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointerState {
    /// The window under it.
    pub window: Option<WindowId>,
    /// Where it is.
    pub position: Position,
    /// Held at that time.
    pub modifiers: Modifiers,
}

impl ConfigureWindow {
    /// `configure-window`: everything in order.
    pub(super) fn read(mut args: Args) -> Result<ConfigureWindow, PacketError> {
        Ok(ConfigureWindow {
            window: args.window()?,
            geometry: Some(args.geometry()?),
            properties: args.optional(properties)?.unwrap_or_default(),
            resize_counter: args.optional(counter)?.flatten(),
            state: args.optional(state)?.unwrap_or_default(),
            skip_geometry: args.optional(Args::bool)?.unwrap_or(false),
            pointer: args.optional(pointer)?.flatten(),
        })
    }

    /// `window-configure`: a map.
    pub(super) fn read_map(mut args: Args) -> Result<ConfigureWindow, PacketError> {
        let window = args.window()?;
        let map = args.dict()?;
        let caps = Caps::new(&map);
        let geometry = match caps.get("geometry") {
            Some(value) => {
                Some(Geometry::from_value(value).ok_or_else(|| args.wrong("a geometry", value))?)
            }
            None => None,
        };
        let pointer = match caps.get("pointer").and_then(Caps::of) {
            Some(pointer) => pointer_map(&args, &pointer)?,
            None => None,
        };
        Ok(ConfigureWindow {
            window,
            geometry,
            properties: read_properties(&args, &caps.map("properties"))?,
            resize_counter: caps
                .int::<u64>("resize-counter")
                .filter(|counter| *counter > 0),
            state: WindowState::read(&caps.map("state")),
            skip_geometry: geometry.is_none(),
            pointer,
        })
    }

    /// The legacy packet, or the modern one if there is no geometry.
    pub(super) fn into_packet(self) -> Packet {
        let counter = Value::from(self.resize_counter.unwrap_or(0));
        let properties = Value::Dict(self.properties.into_map());
        let state = Value::Dict(self.state.into_map());
        let mut args = vec![self.window.into()];
        let Some(geometry) = self.geometry else {
            let mut map = vec![
                ("resize-counter", counter),
                ("properties", properties),
                ("state", state),
            ];
            if let Some(pointer) = self.pointer {
                map.push((
                    "pointer",
                    Value::dict([
                        ("wid", pointer.window.into()),
                        ("position", pointer.position.into()),
                        ("modifiers", pointer.modifiers.into()),
                    ]),
                ));
            }
            args.push(Value::dict(map));
            return Packet::new("window-configure", args);
        };
        geometry.push_to(&mut args);
        args.extend([properties, counter, state, self.skip_geometry.into()]);
        if let Some(pointer) = self.pointer {
            args.extend([
                pointer.window.into(),
                pointer.position.into(),
                pointer.modifiers.into(),
            ]);
        }
        Packet::new("configure-window", args)
    }
}

fn counter(args: &mut Args) -> Result<Option<u64>, PacketError> {
    match args.int::<i64>()? {
        -1 | 0 => Ok(None),
        counter => args.fit(counter).map(Some),
    }
}

/// Window, position and modifiers: the end of a `configure-window`. Some
/// clients end with an empty position.
fn pointer(args: &mut Args) -> Result<Option<PointerState>, PacketError> {
    let window = args.window_or_none()?;
    match args.peek() {
        Some(Value::List(items)) if !items.is_empty() => {}
        _ => return Ok(None),
    }
    Ok(Some(PointerState {
        window,
        position: args.position()?,
        modifiers: args.optional(input::modifiers)?.unwrap_or_default(),
    }))
}

fn pointer_map(args: &Args, caps: &Caps<'_>) -> Result<Option<PointerState>, PacketError> {
    let Some((x, y)) = caps.pair("position") else {
        return Ok(None);
    };
    let relative = match caps.get("position").and_then(Value::as_list) {
        Some([_, _, rx, ry, ..]) => rx.to_int().zip(ry.to_int()),
        _ => None,
    };
    let relative = match relative {
        Some((rx, ry)) => Some((args.fit(rx)?, args.fit(ry)?)),
        None => None,
    };
    Ok(Some(PointerState {
        window: caps.int("wid").and_then(WindowId::from_wire),
        position: Position { x, y, relative },
        modifiers: Modifiers::from_values(args.caps(caps.list("modifiers", MAX_HELD))?),
    }))
}

/// How a client wants one window drawn: `client_properties`. What is absent
/// stays as it was. Keys that we do not use are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WindowProperties {
    /// Pixel formats that it takes for this window.
    pub rgb_formats: Option<Vec<RgbFormat>>,
    /// It can show transparency here.
    pub transparency: Option<bool>,
    /// Pixels on its screen, after its scaling.
    pub render_size: Option<Size>,
    /// The desktop that it put the window on; 65535 unset, 0xffffffff all.
    pub workspace: Option<u32>,
}

impl WindowProperties {
    pub(super) fn into_map(self) -> Map {
        let mut map = Vec::new();
        if let Some(formats) = self.rgb_formats {
            let names = Value::list(formats.into_iter().map(RgbFormat::name));
            map.push(("encodings.rgb_formats".into(), names));
        }
        if let Some(transparency) = self.transparency {
            map.push(("encoding.transparency".into(), transparency.into()));
        }
        if let Some(size) = self.render_size {
            map.push(("encoding.render-size".into(), size.into()));
        }
        if let Some(workspace) = self.workspace {
            map.push(("workspace".into(), workspace.into()));
        }
        map
    }
}

pub(super) fn properties(args: &mut Args) -> Result<WindowProperties, PacketError> {
    let map = args.dict()?;
    read_properties(args, &Caps::new(&map))
}

fn read_properties(args: &Args, caps: &Caps<'_>) -> Result<WindowProperties, PacketError> {
    let key = "encodings.rgb_formats";
    let rgb_formats = if caps.has(key) {
        let names = args.caps(caps.texts(key, MAX_NAMES, MAX_NAME))?;
        Some(names.iter().filter_map(|n| RgbFormat::parse(n)).collect())
    } else {
        None
    };
    Ok(WindowProperties {
        rgb_formats,
        transparency: caps.get("encoding.transparency").map(Value::truthy),
        render_size: caps
            .pair::<i64>("encoding.render-size")
            .and_then(|(width, height)| Size::from_wire(width, height)),
        workspace: caps.int("workspace"),
    })
}

/// A window's state as a client sees it. What is absent did not change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs)] // the names of the protocol's state keys
pub struct WindowState {
    pub iconified: Option<bool>,
    pub focused: Option<bool>,
    pub fullscreen: Option<bool>,
    pub maximized: Option<bool>,
    pub above: Option<bool>,
    pub below: Option<bool>,
    pub sticky: Option<bool>,
    pub shaded: Option<bool>,
    pub skip_taskbar: Option<bool>,
    pub skip_pager: Option<bool>,
    /// Pixels of the client's window frame: left, right, top, bottom.
    pub frame: Option<[u16; 4]>,
}

impl WindowState {
    fn read(caps: &Caps<'_>) -> WindowState {
        let flag = |key| caps.get(key).map(Value::truthy);
        WindowState {
            iconified: flag("iconified"),
            focused: flag("focused"),
            fullscreen: flag("fullscreen"),
            maximized: flag("maximized"),
            above: flag("above"),
            below: flag("below"),
            sticky: flag("sticky"),
            shaded: flag("shaded"),
            skip_taskbar: flag("skip-taskbar"),
            skip_pager: flag("skip-pager"),
            frame: caps.get("frame").and_then(frame),
        }
    }

    fn into_map(self) -> Map {
        let flags = [
            ("iconified", self.iconified),
            ("focused", self.focused),
            ("fullscreen", self.fullscreen),
            ("maximized", self.maximized),
            ("above", self.above),
            ("below", self.below),
            ("sticky", self.sticky),
            ("shaded", self.shaded),
            ("skip-taskbar", self.skip_taskbar),
            ("skip-pager", self.skip_pager),
        ];
        let mut map: Map = flags
            .into_iter()
            .filter_map(|(key, flag)| Some((key.into(), flag?.into())))
            .collect();
        if let Some(frame) = self.frame {
            map.push(("frame".into(), Value::list(frame)));
        }
        map
    }
}

fn frame(value: &Value) -> Option<[u16; 4]> {
    match value.as_list()? {
        [left, right, top, bottom] => Some([
            left.to_int()?.try_into().ok()?,
            right.to_int()?.try_into().ok()?,
            top.to_int()?.try_into().ok()?,
            bottom.to_int()?.try_into().ok()?,
        ]),
        _ => None,
    }
}

fn state(args: &mut Args) -> Result<WindowState, PacketError> {
    match args.value()? {
        Value::Dict(map) => Ok(WindowState::read(&Caps::new(&map))),
        other => Err(args.error(ArgError::Type {
            expected: "a map",
            found: other.kind(),
        })),
    }
}
