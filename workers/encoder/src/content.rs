//! A glance at pixels: text and user interfaces repeat the pixel to the left, photographs do not.

use crate::pixels::{PIXEL, Pixels};

/// What a picture looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text, lines, areas of one colour.
    Flat,
    /// Some of both, or a gradient.
    Mixed,
    /// A photograph or a film.
    Photo,
}

/// Rows and, in each of them, pixels that are looked at.
const ROWS: usize = 48;
const COLUMNS: usize = 96;

/// Looks at up to [`ROWS`] × [`COLUMNS`] pixels.
#[must_use]
pub fn glance(pixels: &Pixels<'_>) -> Content {
    let height = usize::from(pixels.size().height());
    let width = usize::from(pixels.size().width());
    let (mut seen, mut equal) = (0_u32, 0_u32);
    for row in pixels.rows().step_by(height.div_ceil(ROWS)) {
        for x in (1..width).step_by(width.div_ceil(COLUMNS)) {
            let at = |x: usize| row.get(x * PIXEL..x * PIXEL + 3);
            seen += 1;
            equal += u32::from(at(x) == at(x - 1));
        }
    }
    match equal * 100 {
        _ if seen == 0 => Content::Flat,
        score if score >= seen * 60 => Content::Flat,
        score if score >= seen * 25 => Content::Mixed,
        _ => Content::Photo,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::samples;
    use ipc::Size;

    #[test]
    fn text_is_flat_and_noise_is_a_photo() {
        let size = Size::new(300, 200).unwrap();
        let of = |bytes: &[u8]| glance(&Pixels::new(bytes, size, false).unwrap());
        assert_eq!(of(&samples::text(size)), Content::Flat);
        assert_eq!(of(&samples::photo(size)), Content::Photo);
        assert_eq!(of(&samples::noise(size, 1)), Content::Photo);
    }

    #[test]
    fn extreme_shapes_are_fine() {
        for (width, height) in [(1, 1), (1, 16384), (16384, 1), (2, 3)] {
            let size = Size::new(width, height).unwrap();
            let bytes = vec![0; size.bytes() as usize];
            assert_eq!(
                glance(&Pixels::new(&bytes, size, false).unwrap()),
                Content::Flat
            );
        }
    }
}
