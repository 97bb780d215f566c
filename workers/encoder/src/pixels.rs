//! A checked view of pixels, and the orders in which they can be written.

use ipc::Size;
use ipc::geometry::BYTES_PER_PIXEL;

/// Bytes of a pixel, as an index.
pub const PIXEL: usize = BYTES_PER_PIXEL as usize;

/// Tightly packed rows of `BGRX` or (premultiplied) `BGRA`.
#[derive(Clone, Copy)]
pub struct Pixels<'a> {
    bytes: &'a [u8],
    size: Size,
    alpha: bool,
}

impl<'a> Pixels<'a> {
    /// The picture of this size at the start of `bytes`, if they are enough.
    #[must_use]
    pub fn new(bytes: &'a [u8], size: Size, alpha: bool) -> Option<Self> {
        Some(Self {
            bytes: bytes.get(..size.bytes() as usize)?,
            size,
            alpha,
        })
    }

    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Extent.
    #[must_use]
    pub fn size(&self) -> Size {
        self.size
    }

    /// The fourth byte of a pixel means something.
    #[must_use]
    pub fn alpha(&self) -> bool {
        self.alpha
    }

    /// The same pixels, to be shown as opaque.
    #[must_use]
    pub fn opaque(self) -> Self {
        Self {
            alpha: false,
            ..self
        }
    }

    /// Bytes of one row.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.size.stride() as usize
    }

    /// The rows, from the top.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> {
        self.bytes.chunks_exact(self.stride())
    }

    /// At most `count` rows from row `first` on.
    #[must_use]
    pub fn band(&self, first: u16, count: u16) -> Option<Self> {
        let count = count.min(self.size.height().checked_sub(first)?);
        let size = Size::new(self.size.width().into(), count.into())?;
        Self::new(
            self.bytes.get(usize::from(first) * self.stride()..)?,
            size,
            self.alpha,
        )
    }
}

/// Writes red, green, blue of each pixel of a row.
pub fn to_rgb(row: &[u8], out: &mut [u8]) {
    for (source, target) in row
        .as_chunks::<PIXEL>()
        .0
        .iter()
        .zip(out.as_chunks_mut::<3>().0)
    {
        *target = [source[2], source[1], source[0]];
    }
}

/// Writes red, green, blue and the fourth byte of each pixel of a row, as they are.
pub fn to_rgba(row: &[u8], out: &mut [u8]) {
    for (source, target) in row
        .as_chunks::<PIXEL>()
        .0
        .iter()
        .zip(out.as_chunks_mut::<PIXEL>().0)
    {
        *target = [source[2], source[1], source[0], source[3]];
    }
}

/// As [`to_rgba`], with colours no longer multiplied by alpha.
pub fn to_straight_rgba(row: &[u8], out: &mut [u8]) {
    for (source, target) in row
        .as_chunks::<PIXEL>()
        .0
        .iter()
        .zip(out.as_chunks_mut::<PIXEL>().0)
    {
        let alpha = u32::from(source[3]);
        let straight = |colour: u8| {
            let value = (u32::from(colour) * 255 + alpha / 2)
                .checked_div(alpha)
                .unwrap_or(0);
            u8::try_from(value).unwrap_or(u8::MAX)
        };
        *target = [
            straight(source[2]),
            straight(source[1]),
            straight(source[0]),
            source[3],
        ];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_never_more_than_there_are() {
        let size = Size::new(3, 4).unwrap();
        assert!(Pixels::new(&[0; 47], size, false).is_none());
        let bytes: Vec<u8> = (0..50).collect();
        let pixels = Pixels::new(&bytes, size, false).unwrap();
        assert_eq!(pixels.bytes().len(), 48);
        assert_eq!(pixels.rows().count(), 4);
        let band = pixels.band(3, 10).unwrap();
        assert_eq!((band.size().height(), band.bytes()[0]), (1, 36));
        assert!(pixels.band(4, 1).is_none());
        assert!(pixels.band(5, 1).is_none());
    }

    #[test]
    fn straight_alpha_is_the_inverse_of_premultiplied() {
        let mut out = [0; 12];
        to_straight_rgba(&[10, 20, 30, 255, 64, 32, 0, 128, 9, 9, 9, 0], &mut out);
        assert_eq!(out, [30, 20, 10, 255, 0, 64, 128, 128, 0, 0, 0, 0]);
        // A colour above its alpha is no premultiplied pixel; it must not wrap.
        to_straight_rgba(&[255, 0, 0, 1], &mut out[..4]);
        assert_eq!(&out[..4], &[0, 0, 255, 1]);
    }
}
