//! Positions, sizes and rectangles with checked arithmetic (security goal A12).

use serde::{Deserialize, Serialize};

/// Largest width or height of anything we handle, in pixels.
pub const MAX_SIDE: u16 = 16384;
/// Bytes of one pixel in a captured image: always 32 bits, `BGRX` or `BGRA` in memory order.
pub const BYTES_PER_PIXEL: u32 = 4;

/// A point in the session's root window, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Position {
    /// From the left edge.
    pub x: i32,
    /// From the top edge.
    pub y: i32,
}

/// A width and a height in pixels, each 1 to [`MAX_SIDE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u16, u16)", into = "(u16, u16)")]
pub struct Size {
    width: u16,
    height: u16,
}

impl Size {
    /// A size, if both sides are 1 to [`MAX_SIDE`].
    #[must_use]
    pub const fn new(width: u32, height: u32) -> Option<Self> {
        if width >= 1 && width <= MAX_SIDE as u32 && height >= 1 && height <= MAX_SIDE as u32 {
            // Both fit: they are at most MAX_SIDE.
            #[expect(clippy::cast_possible_truncation)]
            Some(Self {
                width: width as u16,
                height: height as u16,
            })
        } else {
            None
        }
    }

    /// Width in pixels.
    #[must_use]
    pub const fn width(self) -> u16 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub const fn height(self) -> u16 {
        self.height
    }

    /// Bytes of one row at [`BYTES_PER_PIXEL`], without padding.
    #[must_use]
    pub const fn stride(self) -> u32 {
        self.width as u32 * BYTES_PER_PIXEL
    }

    /// Bytes of the whole picture at [`BYTES_PER_PIXEL`]: at most 1 GiB, so it fits.
    #[must_use]
    pub const fn bytes(self) -> u32 {
        self.stride() * self.height as u32
    }

    /// The rectangle at the origin with this size.
    #[must_use]
    pub const fn rect(self) -> Rect {
        Rect {
            x: 0,
            y: 0,
            size: self,
        }
    }
}

impl TryFrom<(u16, u16)> for Size {
    type Error = &'static str;
    fn try_from((width, height): (u16, u16)) -> Result<Self, Self::Error> {
        Self::new(width.into(), height.into()).ok_or("size out of range")
    }
}

impl From<Size> for (u16, u16) {
    fn from(size: Size) -> Self {
        (size.width, size.height)
    }
}

/// A rectangle inside a window: its origin is not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rect {
    /// From the window's left edge.
    pub x: u16,
    /// From the window's top edge.
    pub y: u16,
    /// Its extent.
    pub size: Size,
}

impl Rect {
    /// First column to the right of it.
    #[must_use]
    pub const fn right(self) -> u32 {
        self.x as u32 + self.size.width as u32
    }

    /// First row below it.
    #[must_use]
    pub const fn bottom(self) -> u32 {
        self.y as u32 + self.size.height as u32
    }

    /// Is it inside a window of this size?
    #[must_use]
    pub const fn fits(self, window: Size) -> bool {
        self.right() <= window.width as u32 && self.bottom() <= window.height as u32
    }

    /// The part of it that is inside a window of this size.
    #[must_use]
    pub fn clip(self, window: Size) -> Option<Self> {
        let width = self
            .right()
            .min(window.width.into())
            .checked_sub(self.x.into())?;
        let height = self
            .bottom()
            .min(window.height.into())
            .checked_sub(self.y.into())?;
        Some(Self {
            size: Size::new(width, height)?,
            ..self
        })
    }

    /// The smallest rectangle that holds both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let width = self.right().max(other.right()) - u32::from(x);
        let height = self.bottom().max(other.bottom()) - u32::from(y);
        // Two rectangles that start at u16 positions can span more than MAX_SIDE: clamp.
        let side = |v: u32| v.min(MAX_SIDE.into());
        let size = Size::new(side(width), side(height)).unwrap_or(self.size);
        Self { x, y, size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rects() -> impl Strategy<Value = Rect> {
        (
            0..=MAX_SIDE,
            0..=MAX_SIDE,
            1..=u32::from(MAX_SIDE),
            1..=u32::from(MAX_SIDE),
        )
            .prop_map(|(x, y, w, h)| Rect {
                x,
                y,
                size: Size::new(w, h).unwrap(),
            })
    }

    #[test]
    fn sizes_refuse_nothing_and_too_much() {
        assert!(Size::new(0, 1).is_none());
        assert!(Size::new(1, 0).is_none());
        assert!(Size::new(16385, 1).is_none());
        assert_eq!(Size::new(16384, 16384).map(Size::bytes), Some(1 << 30));
        assert!(Size::try_from((0, 5)).is_err());
    }

    proptest! {
        #[test]
        fn a_clipped_rectangle_fits(r in rects(), w in 1..=16384u32, h in 1..=16384u32) {
            let window = Size::new(w, h).unwrap();
            if let Some(clipped) = r.clip(window) {
                prop_assert!(clipped.fits(window));
            } else {
                prop_assert!(!r.fits(window));
            }
        }

        #[test]
        fn a_union_holds_both_up_to_the_largest_side(a in rects(), b in rects()) {
            let u = a.union(b);
            prop_assert!(u.x <= a.x && u.y <= b.y);
            if a.right().max(b.right()) - u32::from(u.x) <= MAX_SIDE.into() {
                prop_assert!(u.right() >= a.right().max(b.right()));
            }
        }
    }
}
