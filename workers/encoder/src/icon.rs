//! Icons and cursors: small premultiplied pictures that are made to fit.

use crate::pixels::{PIXEL, Pixels};
use ipc::Size;

/// Largest side that `display` may send.
pub const MAX_SIDE: u16 = 256;

/// The largest size of the same shape that is not above `max`, nor above itself.
#[must_use]
pub fn fit(size: Size, max: (u16, u16)) -> Size {
    let (width, height) = (u32::from(size.width()), u32::from(size.height()));
    let (max_width, max_height) = (u32::from(max.0.max(1)), u32::from(max.1.max(1)));
    let fitted = if width <= max_width && height <= max_height {
        None
    } else if width * max_height > height * max_width {
        Size::new(max_width, (height * max_width / width).max(1))
    } else {
        Size::new((width * max_height / height).max(1), max_height)
    };
    fitted.unwrap_or(size)
}

/// A coordinate of a picture in the same picture of another size.
#[must_use]
pub fn scale_coordinate(value: u16, from: u16, to: u16) -> u16 {
    let scaled = u32::from(value) * u32::from(to) / u32::from(from.max(1));
    u16::try_from(scaled)
        .unwrap_or(u16::MAX)
        .min(to.saturating_sub(1))
}

/// Averages the pixels that fall together. Premultiplied colours may simply be averaged.
#[must_use]
pub fn shrink(source: &Pixels<'_>, size: Size) -> Vec<u8> {
    let (from, to) = (source.size(), size);
    // The source's columns (or rows) that make up one of the target's.
    let span = |i: u16, from: u16, to: u16| {
        let edge = |i: usize| i * usize::from(from) / usize::from(to);
        let first = edge(usize::from(i));
        first..edge(usize::from(i) + 1).max(first + 1)
    };
    let mut out = Vec::with_capacity(size.bytes() as usize);
    for y in 0..to.height() {
        for x in 0..to.width() {
            let columns = span(x, from.width(), to.width());
            let (mut sums, mut count) = ([0_u32; PIXEL], 0);
            for row in source
                .rows()
                .skip(span(y, from.height(), to.height()).start)
                .take(span(y, from.height(), to.height()).len())
            {
                let part = row
                    .get(columns.start * PIXEL..columns.end * PIXEL)
                    .unwrap_or_default();
                for pixel in part.as_chunks::<PIXEL>().0 {
                    count += 1;
                    sums.iter_mut()
                        .zip(pixel)
                        .for_each(|(sum, value)| *sum += u32::from(*value));
                }
            }
            let average =
                |sum: u32| u8::try_from(sum.checked_div(count).unwrap_or(0)).unwrap_or(u8::MAX);
            out.extend(sums.map(average));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::samples;
    use proptest::prelude::*;

    fn size(width: u32, height: u32) -> Size {
        Size::new(width, height).unwrap()
    }

    #[test]
    fn shapes_are_kept() {
        assert_eq!(fit(size(48, 48), (64, 64)), size(48, 48));
        assert_eq!(fit(size(128, 64), (64, 64)), size(64, 32));
        assert_eq!(fit(size(64, 256), (64, 64)), size(16, 64));
        assert_eq!(fit(size(256, 1), (64, 64)), size(64, 1));
        assert_eq!(fit(size(5, 5), (0, 0)), size(1, 1));
        assert_eq!(scale_coordinate(10, 32, 16), 5);
        assert_eq!(scale_coordinate(31, 32, 16), 15);
        assert_eq!(scale_coordinate(65535, 32, 16), 15);
    }

    #[test]
    fn colours_are_averaged() {
        let source = [0, 0, 0, 0, 100, 50, 20, 200, 0, 0, 0, 0, 100, 50, 20, 200];
        let pixels = Pixels::new(&source, size(2, 2), true).unwrap();
        assert_eq!(shrink(&pixels, size(1, 1)), [50, 25, 10, 100]);
        assert_eq!(shrink(&pixels, size(2, 2)), source);
    }

    proptest! {
        #[test]
        fn any_shape_fits(w in 1..=256_u32, h in 1..=256_u32, mw: u16, mh: u16) {
            let fitted = fit(size(w, h), (mw, mh));
            prop_assert!(fitted.width() <= mw.max(1) && fitted.height() <= mh.max(1));
            prop_assert!(u32::from(fitted.width()) <= w && u32::from(fitted.height()) <= h);
        }

        #[test]
        fn premultiplied_stays_premultiplied(w in 1..40_u32, h in 1..40_u32, mw in 1..40_u16, mh in 1..40_u16) {
            let from = size(w, h);
            let source = samples::alpha(from);
            let to = fit(from, (mw, mh));
            let out = shrink(&Pixels::new(&source, from, true).unwrap(), to);
            prop_assert_eq!(out.len(), to.bytes() as usize);
            prop_assert!(out.as_chunks::<4>().0.iter().all(|p| p[..3].iter().all(|c| *c <= p[3])));
        }
    }
}
