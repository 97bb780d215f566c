//! A picture of everything on the screen, put together from parts that come from the bottom up.

use crate::fault::Fault;
use crate::pixels::{PIXEL, Pixels};
use ipc::geometry::MAX_SIDE;
use ipc::{Position, Size};

/// Most pixels of a screenshot (256 MiB); what is beyond is left out.
const MAX_PIXELS: usize = 1 << 26;
/// Most parts: every window is one.
const MAX_PARTS: usize = 4096;

/// The picture so far. It grows with the parts: the size of the root window comes last.
#[derive(Default)]
pub struct Canvas {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
    parts: usize,
    /// Where the leftmost and the topmost part begin.
    origin: Option<(usize, usize)>,
}

/// The part of `length` pixels at `start` that lies in 0 … `limit`: where it begins on the
/// canvas, and where it ends.
fn visible(start: i32, length: u16, limit: usize) -> Option<(usize, usize)> {
    let end = i64::from(start) + i64::from(length);
    let first = usize::try_from(start.max(0)).ok()?;
    let end = usize::try_from(end).ok()?.min(limit);
    (first < end).then_some((first, end))
}

impl Canvas {
    /// Puts a part on top.
    ///
    /// # Errors
    /// When there are too many parts.
    pub fn add(&mut self, part: &Pixels<'_>, position: Position) -> Result<(), Fault> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(Fault::TooManyParts);
        }
        let limit = usize::from(MAX_SIDE);
        let columns = visible(position.x, part.size().width(), limit);
        let rows = visible(position.y, part.size().height(), limit);
        let (Some((left, right)), Some((top, bottom))) = (columns, rows) else {
            return Ok(());
        };
        let (width, height) = (self.width.max(right), self.height.max(bottom));
        if width * height > MAX_PIXELS {
            return Ok(());
        }
        self.resize(width, height);
        let (x, y) = self.origin.unwrap_or((left, top));
        self.origin = Some((x.min(left), y.min(top)));
        // What sticks out at the left and at the top.
        let hidden =
            |start: i32| usize::try_from(start.min(0).unsigned_abs()).unwrap_or(usize::MAX);
        let (skip_columns, skip_rows) = (hidden(position.x), hidden(position.y));
        let stride = self.width * PIXEL;
        let targets = self
            .bytes
            .chunks_exact_mut(stride)
            .skip(top)
            .take(bottom - top);
        for (target, source) in targets.zip(part.rows().skip(skip_rows)) {
            let target = target
                .get_mut(left * PIXEL..right * PIXEL)
                .unwrap_or_default();
            let source = source.get(skip_columns * PIXEL..).unwrap_or_default();
            let pairs = target
                .as_chunks_mut::<PIXEL>()
                .0
                .iter_mut()
                .zip(source.as_chunks::<PIXEL>().0);
            if part.alpha() {
                pairs.for_each(|(target, source)| blend(target, source));
            } else {
                pairs.for_each(|(target, source)| *target = *source);
            }
        }
        Ok(())
    }

    /// The complete picture: what the parts cover, as far as it is on the root window. Without
    /// any it is the whole of that, black.
    #[must_use]
    pub fn finish(mut self, root: Size) -> (Vec<u8>, Size) {
        let (width, height) = (usize::from(root.width()), usize::from(root.height()));
        if let Some(size) = self.crop(width, height) {
            return (self.bytes, size);
        }
        let height = height.min(MAX_PIXELS / width);
        self.resize(width, height);
        let size = u32::try_from(height)
            .ok()
            .and_then(|h| Size::new(root.width().into(), h));
        (self.bytes, size.unwrap_or(root))
    }

    /// Cuts off what no part covers on any side, in place. `None` if nothing would be left.
    fn crop(&mut self, width: usize, height: usize) -> Option<Size> {
        let (left, top) = self.origin?;
        let columns = left..self.width.min(width);
        let rows = top..self.height.min(height);
        let side = |range: &std::ops::Range<usize>| u32::try_from(range.len()).ok();
        let size = Size::new(side(&columns)?, side(&rows)?)?;
        let stride = self.width * PIXEL;
        let row = columns.start * PIXEL..columns.end * PIXEL;
        for (to, from) in rows.clone().enumerate() {
            let start = from * stride;
            let source = start + row.start..start + row.end;
            self.bytes.copy_within(source, to * row.len());
        }
        self.bytes.truncate(rows.len() * row.len());
        Some(size)
    }

    fn resize(&mut self, width: usize, height: usize) {
        if width != self.width {
            let mut bytes = vec![0; width * PIXEL * height];
            let rows = self.bytes.chunks_exact((self.width * PIXEL).max(1));
            for (target, source) in bytes.chunks_exact_mut(width * PIXEL).zip(rows) {
                let shared = target.len().min(source.len());
                target[..shared].copy_from_slice(&source[..shared]);
            }
            self.bytes = bytes;
        }
        self.bytes.resize(width * PIXEL * height, 0);
        (self.width, self.height) = (width, height);
    }
}

/// A premultiplied pixel over an opaque one.
fn blend(target: &mut [u8; PIXEL], source: &[u8; PIXEL]) {
    let shine_through = 255 - u32::from(source[3]);
    for (target, source) in target.iter_mut().zip(source) {
        let sum = u32::from(*source) + (u32::from(*target) * shine_through + 127) / 255;
        *target = u8::try_from(sum).unwrap_or(u8::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn solid(size: Size, pixel: [u8; 4]) -> Vec<u8> {
        pixel.repeat(size.bytes() as usize / 4)
    }

    fn at(bytes: &[u8], width: usize, x: usize, y: usize) -> [u8; 4] {
        bytes.as_chunks::<4>().0[y * width + x]
    }

    #[test]
    fn later_parts_lie_on_top_and_edges_are_cut() {
        let size = Size::new(4, 4).unwrap();
        let mut canvas = Canvas::default();
        let (red, half) = (solid(size, [0, 0, 255, 0]), solid(size, [100, 0, 0, 128]));
        canvas
            .add(
                &Pixels::new(&red, size, false).unwrap(),
                Position { x: 2, y: 1 },
            )
            .unwrap();
        canvas
            .add(
                &Pixels::new(&half, size, true).unwrap(),
                Position { x: -1, y: -2 },
            )
            .unwrap();
        canvas
            .add(
                &Pixels::new(&red, size, false).unwrap(),
                Position { x: -4, y: 0 },
            )
            .unwrap();
        canvas
            .add(
                &Pixels::new(&red, size, false).unwrap(),
                Position {
                    x: i32::MAX,
                    y: i32::MIN,
                },
            )
            .unwrap();
        let (bytes, size) = canvas.finish(Size::new(5, 8).unwrap());
        assert_eq!((size.width(), size.height(), bytes.len()), (5, 5, 100));
        assert_eq!(at(&bytes, 5, 0, 0)[..3], [100, 0, 0]);
        assert_eq!(at(&bytes, 5, 2, 1)[..3], [100, 0, 127]);
        assert_eq!(at(&bytes, 5, 4, 4)[..3], [0, 0, 255]);
    }

    #[test]
    fn no_part_at_all_is_a_black_screen() {
        let (bytes, size) = Canvas::default().finish(Size::new(3, 2).unwrap());
        assert_eq!((bytes, size.width()), (vec![0; 24], 3));
    }

    #[test]
    fn size_and_number_are_bounded() {
        let size = Size::new(1, 1).unwrap();
        let pixel = [1, 2, 3, 0];
        let part = Pixels::new(&pixel, size, false).unwrap();
        let mut canvas = Canvas::default();
        canvas.add(&part, Position { x: 16383, y: 16383 }).unwrap();
        assert!(canvas.bytes.is_empty());
        let end = (1..5000).find(|_| canvas.add(&part, Position { x: 0, y: 0 }).is_err());
        assert_eq!(end, Some(MAX_PARTS));
        let (bytes, size) = canvas.finish(Size::new(16384, 16384).unwrap());
        assert_eq!((bytes.len(), size.height()), (4, 1));
        let (bytes, size) = Canvas::default().finish(Size::new(16384, 16384).unwrap());
        assert_eq!((bytes.len(), size.height()), (4 * MAX_PIXELS, 4096));
    }

    proptest! {
        #[test]
        fn any_position_is_fine(parts in proptest::collection::vec((-50..50_i32, -50..50_i32, 1..40_u32, 1..40_u32, any::<bool>()), 0..12)) {
            let mut canvas = Canvas::default();
            let mut model = vec![[0_u8; 4]; 60 * 60];
            for (n, (x, y, w, h, _)) in parts.iter().enumerate() {
                let size = Size::new(*w, *h).unwrap();
                let pixel = [u8::try_from(n + 1).unwrap(), 0, 0, 0];
                let bytes = solid(size, pixel);
                canvas.add(&Pixels::new(&bytes, size, false).unwrap(), Position { x: *x, y: *y }).unwrap();
                for row in *y..*y + i32::try_from(*h).unwrap() {
                    for column in *x..*x + i32::try_from(*w).unwrap() {
                        if let (Ok(row @ 0..60), Ok(column @ 0..60)) = (usize::try_from(row), usize::try_from(column)) {
                            model[row * 60 + column] = pixel;
                        }
                    }
                }
            }
            }
    }
}
