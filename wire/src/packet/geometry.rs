use crate::limits::{MAX_DIMENSION, MAX_WINDOW_ID};
use crate::rencodeplus::Value;

/// A window's number on the wire: 1 to 2^48 − 1. The 0 and −1 of the wire,
/// which mean none or all, are `Option::None` here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowId(u64);

impl WindowId {
    /// The id, if it is in range.
    pub fn new(id: u64) -> Option<WindowId> {
        (1..MAX_WINDOW_ID).contains(&id).then_some(WindowId(id))
    }

    pub(super) fn from_wire(id: i64) -> Option<WindowId> {
        u64::try_from(id).ok().and_then(WindowId::new)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl From<WindowId> for Value {
    fn from(id: WindowId) -> Value {
        Value::from(id.0)
    }
}

impl From<Option<WindowId>> for Value {
    fn from(id: Option<WindowId>) -> Value {
        Value::from(id.map_or(0, WindowId::get))
    }
}

impl std::fmt::Display for WindowId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Pixels: width and height, 1 to 32767 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    width: u16,
    height: u16,
}

impl Size {
    /// The size, if both are 1 to 32767.
    pub fn new(width: u16, height: u16) -> Option<Size> {
        let fits = |n| (1..=MAX_DIMENSION).contains(&n);
        (fits(width) && fits(height)).then_some(Size { width, height })
    }

    pub(crate) fn from_wire(width: i64, height: i64) -> Option<Size> {
        Size::new(width.try_into().ok()?, height.try_into().ok()?)
    }

    /// Pixels.
    pub fn width(self) -> u16 {
        self.width
    }

    /// Pixels.
    pub fn height(self) -> u16 {
        self.height
    }
}

impl From<Size> for Value {
    fn from(size: Size) -> Value {
        Value::list([size.width, size.height])
    }
}

/// A rectangle on the screen, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// From the left edge of the screen.
    pub x: i32,
    /// From the top edge of the screen.
    pub y: i32,
    /// Width and height.
    pub size: Size,
}

impl Geometry {
    /// Four arguments: x, y, width, height.
    pub(super) fn push_to(self, args: &mut Vec<Value>) {
        args.extend([
            self.x.into(),
            self.y.into(),
            self.size.width.into(),
            self.size.height.into(),
        ]);
    }

    /// `[x, y, width, height]`.
    pub(crate) fn from_value(value: &Value) -> Option<Geometry> {
        match value.as_list()? {
            [x, y, width, height, ..] => Some(Geometry {
                x: x.to_int()?.try_into().ok()?,
                y: y.to_int()?.try_into().ok()?,
                size: Size::from_wire(width.to_int()?, height.to_int()?)?,
            }),
            _ => None,
        }
    }
}

impl From<Geometry> for Value {
    fn from(geometry: Geometry) -> Value {
        let mut items = Vec::with_capacity(4);
        geometry.push_to(&mut items);
        Value::List(items)
    }
}

/// Where the pointer is, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// From the left edge of the screen.
    pub x: i32,
    /// From the top edge of the screen.
    pub y: i32,
    /// From the top left corner of the window, if the client says so.
    pub relative: Option<(i32, i32)>,
}

impl From<Position> for Value {
    fn from(position: Position) -> Value {
        let mut items: Vec<Value> = vec![position.x.into(), position.y.into()];
        if let Some((x, y)) = position.relative {
            items.extend([x.into(), y.into()]);
        }
        Value::List(items)
    }
}
