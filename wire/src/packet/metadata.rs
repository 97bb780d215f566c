use super::Map;
use super::args::{ArgError, Args, PacketError};
use super::geometry::{Size, WindowId};
use super::picture::names;
use crate::caps::Caps;
use crate::limits::{MAX_IDENTITY, MAX_NAME, MAX_NAMES, MAX_RECTANGLES, MAX_TEXT};
use crate::rencodeplus::Value;

names! {
    /// `_NET_WM_WINDOW_TYPE`, without its prefix.
    WindowType {
        /// An ordinary window.
        Normal = "NORMAL",
        /// A dialog.
        Dialog = "DIALOG",
        /// A torn-off menu.
        Menu = "MENU",
        /// A menu of a menu bar.
        DropdownMenu = "DROPDOWN_MENU",
        /// A context menu.
        PopupMenu = "POPUP_MENU",
        /// A tooltip.
        Tooltip = "TOOLTIP",
        /// A notification.
        Notification = "NOTIFICATION",
        /// The list of a combo box.
        Combo = "COMBO",
        /// Something being dragged.
        Dnd = "DND",
        /// A dock or panel.
        Dock = "DOCK",
        /// A desktop background.
        Desktop = "DESKTOP",
        /// A torn-off toolbar.
        Toolbar = "TOOLBAR",
        /// A palette or toolbox.
        Utility = "UTILITY",
        /// A splash screen.
        Splash = "SPLASH",
    }
}

/// The sizes that a window may have: `size-constraints`. What is absent is
/// not constrained.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SizeConstraints {
    /// Pixels: width and height.
    pub minimum: Option<(u32, u32)>,
    /// Pixels: width and height.
    pub maximum: Option<(u32, u32)>,
    /// Pixels: the size is this plus a multiple of `increment`.
    pub base: Option<(u32, u32)>,
    /// Pixels.
    pub increment: Option<(u32, u32)>,
    /// Width to height, at least: numerator and denominator.
    pub minimum_aspect: Option<(u32, u32)>,
    /// Width to height, at most: numerator and denominator.
    pub maximum_aspect: Option<(u32, u32)>,
    /// X11 window gravity, 1 to 10.
    pub gravity: Option<u8>,
}

/// Parts of a window that are shown or that take input: `shape`. Rectangles
/// are x, y, width, height in pixels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// Offset of the shape.
    pub x: i32,
    /// Offset of the shape.
    pub y: i32,
    /// What is inside the window's outline.
    pub bounding: Option<Vec<[i32; 4]>>,
    /// What is painted.
    pub clip: Option<Vec<[i32; 4]>>,
    /// What takes input.
    pub input: Option<Vec<[i32; 4]>>,
}

macro_rules! metadata {
    ($($(#[$doc:meta])* $variant:ident($type:ty) = $key:literal, $read:expr;)*) => {
        /// One property of a window, in `new-window` and `window-metadata`
        /// (protocol "Metadata"). Send a client only the keys that it lists as
        /// supported.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Metadata {
            $($(#[$doc])* $variant($type),)*
        }

        impl Metadata {
            /// The key on the wire.
            pub fn key(&self) -> &'static str {
                match self {
                    $(Metadata::$variant(_) => $key,)*
                }
            }

            /// All keys that exist here.
            pub const KEYS: &'static [&'static str] = &[$($key,)*];

            fn read(args: &Args, key: &str, value: &Value) -> Result<Option<Metadata>, PacketError> {
                match key {
                    $($key => {
                        let read: fn(&Value) -> Option<$type> = $read;
                        match read(value) {
                            Some(value) => Ok(Some(Metadata::$variant(value))),
                            None => Err(args.error(ArgError::Unknown($key))),
                        }
                    })*
                    _ => Ok(None),
                }
            }

            fn value(self) -> Value {
                match self {
                    $(Metadata::$variant(value) => ToValue::to_value(value),)*
                }
            }
        }
    };
}

metadata! {
    /// The title.
    Title(String) = "title", text;
    /// The title when minimized.
    IconTitle(String) = "icon-title", text;
    /// `WM_CLASS`, in its order: instance, class.
    ClassInstance((String, String)) = "class-instance", texts2;
    /// What kind of window, best first.
    WindowType(Vec<WindowType>) = "window-type", window_types;
    /// The sizes that it may have.
    SizeConstraints(SizeConstraints) = "size-constraints", size_constraints;
    /// The window that this one belongs to; none to undo.
    TransientFor(Option<WindowId>) = "transient-for", window;
    /// The window that this one is a part of.
    Parent(Option<WindowId>) = "parent", window;
    /// The leader of its group.
    GroupLeader(Option<WindowId>) = "group-leader", window;
    /// Pixels from its parent.
    RelativePosition((i32, i32)) = "relative-position", pair;
    /// Where it is on the server.
    RequestedPosition((i32, i32)) = "requested-position", pair;
    /// Place it at the requested position, even if that is (0, 0).
    SetInitialPosition(bool) = "set-initial-position", flag;
    /// No window manager touches it: a menu, a tooltip.
    OverrideRedirect(bool) = "override-redirect", flag;
    /// Process that made it.
    Pid(u32) = "pid", int;
    /// `WM_WINDOW_ROLE`.
    Role(String) = "role", text;
    /// Host that the process runs on.
    ClientMachine(String) = "client-machine", text;
    /// Command line of the process.
    Command(String) = "command", text;
    /// Locale of the process.
    Locale(String) = "locale", text;
    /// It may be transparent.
    HasAlpha(bool) = "has-alpha", flag;
    /// 0 to 0xffffffff opaque; none for the default.
    Opacity(Option<u32>) = "opacity", opacity;
    /// Motif decoration bits; −1 for the default.
    Decorations(i32) = "decorations", int;
    /// Minimized.
    Iconic(bool) = "iconic", flag;
    /// Covers the screen.
    Fullscreen(bool) = "fullscreen", flag;
    /// Maximized.
    Maximized(bool) = "maximized", flag;
    /// Above other windows.
    Above(bool) = "above", flag;
    /// Below other windows.
    Below(bool) = "below", flag;
    /// Only its title bar is shown.
    Shaded(bool) = "shaded", flag;
    /// On all desktops.
    Sticky(bool) = "sticky", flag;
    /// Not in the task bar.
    SkipTaskbar(bool) = "skip-taskbar", flag;
    /// Not in the pager.
    SkipPager(bool) = "skip-pager", flag;
    /// A modal dialog.
    Modal(bool) = "modal", flag;
    /// It has the focus.
    Focused(bool) = "focused", flag;
    /// A tray icon.
    Tray(bool) = "tray", flag;
    /// Desktop number; 65535 unset, 0xffffffff all.
    Workspace(u32) = "workspace", int;
    /// The application's own X11 window; informational.
    Xid(u32) = "xid", int;
    /// EWMH hint: 0 none, 1 bypass, 2 do not.
    BypassCompositor(u32) = "bypass-compositor", int;
    /// EWMH monitor numbers: top, bottom, left, right.
    FullscreenMonitors([i32; 4]) = "fullscreen-monitors", rectangle;
    /// What it shows, such as `picture` or `video`.
    ContentType(String) = "content-type", text;
    /// Parts that are shown or take input.
    Shape(Shape) = "shape", shape;
    /// Parts that are surely opaque: x, y, width, height in pixels.
    OpaqueRegion(Vec<[i32; 4]>) = "opaque-region", rectangles;
}

impl Metadata {
    /// Reads the map of a packet. Keys that we do not know are left out.
    pub(super) fn read_all(args: &mut Args) -> Result<Vec<Metadata>, PacketError> {
        let map = args.dict()?;
        if map.len() > MAX_NAMES {
            return Err(args.error(ArgError::TooLong(MAX_NAMES)));
        }
        let mut all = Vec::new();
        for (key, value) in &map {
            if let Some(key) = key.to_text()
                && let Some(metadata) = Metadata::read(args, &key, value)?
            {
                all.push(metadata);
            }
        }
        Ok(all)
    }

    pub(super) fn into_map(all: Vec<Metadata>) -> Map {
        all.into_iter()
            .map(|metadata| (metadata.key().into(), metadata.value()))
            .collect()
    }
}

/// A type that has one form on the wire.
trait ToValue {
    fn to_value(self) -> Value;
}

macro_rules! to_value {
    ($($type:ty),*) => {$(
        impl ToValue for $type {
            fn to_value(self) -> Value {
                Value::from(self)
            }
        }
    )*};
}
to_value!(String, bool, u32, i32, Option<WindowId>);

impl ToValue for (String, String) {
    fn to_value(self) -> Value {
        Value::list([self.0, self.1])
    }
}

impl ToValue for (i32, i32) {
    fn to_value(self) -> Value {
        Value::list([self.0, self.1])
    }
}

impl ToValue for Option<u32> {
    fn to_value(self) -> Value {
        self.map_or(Value::Int(-1), Value::from)
    }
}

impl ToValue for [i32; 4] {
    fn to_value(self) -> Value {
        Value::list(self)
    }
}

impl ToValue for Vec<[i32; 4]> {
    fn to_value(self) -> Value {
        Value::list(self.into_iter().map(Value::list))
    }
}

impl ToValue for Vec<WindowType> {
    fn to_value(self) -> Value {
        Value::list(self)
    }
}

impl ToValue for SizeConstraints {
    fn to_value(self) -> Value {
        let pairs = [
            ("minimum-size", self.minimum),
            ("maximum-size", self.maximum),
            ("base-size", self.base),
            ("increment", self.increment),
            ("minimum-aspect-ratio", self.minimum_aspect),
            ("maximum-aspect-ratio", self.maximum_aspect),
        ];
        let mut map: Vec<(&str, Value)> = pairs
            .into_iter()
            .filter_map(|(key, pair)| pair.map(|(a, b)| (key, Value::list([a, b]))))
            .collect();
        if let Some(gravity) = self.gravity {
            map.push(("gravity", gravity.into()));
        }
        Value::dict(map)
    }
}

impl ToValue for Shape {
    fn to_value(self) -> Value {
        let mut map = vec![("x", self.x.into()), ("y", self.y.into())];
        let parts = [
            ("Bounding.rectangles", self.bounding),
            ("Clip.rectangles", self.clip),
            ("ShapeInput.rectangles", self.input),
        ];
        for (key, part) in parts {
            if let Some(part) = part {
                map.push((key, part.to_value()));
            }
        }
        Value::dict(map)
    }
}

fn text(value: &Value) -> Option<String> {
    value.to_text().filter(|text| text.len() <= MAX_TEXT)
}

fn texts2(value: &Value) -> Option<(String, String)> {
    let short = |value: &Value| value.to_text().filter(|text| text.len() <= MAX_IDENTITY);
    match value.as_list()? {
        [a, b] => Some((short(a)?, short(b)?)),
        _ => None,
    }
}

/// Types that we do not know are left out.
fn window_types(value: &Value) -> Option<Vec<WindowType>> {
    let items = value.as_list()?;
    (items.len() <= WindowType::ALL.len() * 2).then(|| {
        items
            .iter()
            .filter_map(|item| item.to_text().filter(|name| name.len() <= MAX_NAME))
            .filter_map(|name| WindowType::parse(&name))
            .collect()
    })
}

fn size_constraints(value: &Value) -> Option<SizeConstraints> {
    let caps = Caps::of(value)?;
    Some(SizeConstraints {
        minimum: caps.pair("minimum-size"),
        maximum: caps.pair("maximum-size"),
        base: caps.pair("base-size"),
        increment: caps.pair("increment"),
        minimum_aspect: caps.pair("minimum-aspect-ratio"),
        maximum_aspect: caps.pair("maximum-aspect-ratio"),
        gravity: caps.int("gravity"),
    })
}

fn shape(value: &Value) -> Option<Shape> {
    let caps = Caps::of(value)?;
    Some(Shape {
        x: caps.int("x").unwrap_or(0),
        y: caps.int("y").unwrap_or(0),
        bounding: caps.get("Bounding.rectangles").and_then(rectangles),
        clip: caps.get("Clip.rectangles").and_then(rectangles),
        input: caps.get("ShapeInput.rectangles").and_then(rectangles),
    })
}

#[allow(clippy::option_option)] // absent from the packet, or no window
fn window(value: &Value) -> Option<Option<WindowId>> {
    match value.to_int()? {
        -1 | 0 => Some(None),
        id => WindowId::from_wire(id).map(Some),
    }
}

#[allow(clippy::option_option)] // absent from the packet, or the default
fn opacity(value: &Value) -> Option<Option<u32>> {
    match value.to_int()? {
        -1 => Some(None),
        opacity => u32::try_from(opacity).ok().map(Some),
    }
}

fn int<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    value.to_int()?.try_into().ok()
}

#[allow(clippy::unnecessary_wraps)] // one of several readers
fn flag(value: &Value) -> Option<bool> {
    Some(value.truthy())
}

fn pair(value: &Value) -> Option<(i32, i32)> {
    match value.as_list()? {
        [a, b] => Some((int(a)?, int(b)?)),
        _ => None,
    }
}

fn rectangle(value: &Value) -> Option<[i32; 4]> {
    match value.as_list()? {
        [a, b, c, d] => Some([int(a)?, int(b)?, int(c)?, int(d)?]),
        _ => None,
    }
}

fn rectangles(value: &Value) -> Option<Vec<[i32; 4]>> {
    let items = value.as_list()?;
    if items.len() > MAX_RECTANGLES {
        return None;
    }
    items.iter().map(rectangle).collect()
}

impl SizeConstraints {
    /// The constraints of a window that cannot be resized.
    pub fn fixed(size: Size) -> SizeConstraints {
        let size = (u32::from(size.width()), u32::from(size.height()));
        SizeConstraints {
            minimum: Some(size),
            maximum: Some(size),
            ..SizeConstraints::default()
        }
    }
}
