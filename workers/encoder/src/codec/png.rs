//! PNG, for pictures, icons, cursors and screenshots.
//!
//! In a picture of a window, alpha stays premultiplied as X11 has it, also in PNG and WebP: the
//! stock client hands the decoded bytes to Cairo unchanged. Icons and cursors become image files
//! at the client, which are not premultiplied.

use super::CodecError;
use crate::pixels::{self, Pixels};
use ipc::Size;
use png::{BitDepth, ColorType, Compression, Encoder};
use std::io::{Cursor, Write};

/// What becomes of alpha.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpha {
    /// Left out.
    None,
    /// Written as it is.
    AsIs,
    /// Colours are divided by it.
    Straight,
}

/// Enough for any picture of this size: a literal takes at most 12 bits.
#[must_use]
pub fn bound(size: Size) -> usize {
    let rows = size.bytes() as usize + usize::from(size.height());
    rows + rows / 2 + rows / 256 + 4096
}

/// Writes the file to the start of `out`; gives its length.
///
/// # Errors
/// When it does not fit.
pub fn encode(pixels: &Pixels<'_>, alpha: Alpha, out: &mut [u8]) -> Result<usize, CodecError> {
    let mut file = Cursor::new(out);
    let (width, height) = (pixels.size().width(), pixels.size().height());
    let mut encoder = Encoder::new(&mut file, width.into(), height.into());
    let (colour, samples) = match alpha {
        Alpha::None => (ColorType::Rgb, 3),
        Alpha::AsIs | Alpha::Straight => (ColorType::Rgba, 4),
    };
    encoder.set_color(colour);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    let mut writer = encoder.write_header()?;
    let mut stream = writer.stream_writer()?;
    let mut line = vec![0; usize::from(width) * samples];
    for row in pixels.rows() {
        match alpha {
            Alpha::None => pixels::to_rgb(row, &mut line),
            Alpha::AsIs => pixels::to_rgba(row, &mut line),
            Alpha::Straight => pixels::to_straight_rgba(row, &mut line),
        }
        stream.write_all(&line).map_err(|_| CodecError::TooLarge)?;
    }
    stream.finish()?;
    writer.finish()?;
    usize::try_from(file.position()).map_err(|_| CodecError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::samples;

    fn decode(file: &[u8]) -> (ColorType, Vec<u8>) {
        let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        (info.color_type, bytes)
    }

    #[test]
    fn pictures_arrive_exactly() {
        for (width, height) in [(1, 1), (33, 20), (300, 200), (16384, 1), (1, 16384)] {
            let size = Size::new(width, height).unwrap();
            for source in [samples::text(size), samples::noise(size, 2)] {
                let mut out = vec![0; bound(size)];
                let pixels = Pixels::new(&source, size, false).unwrap();
                let len = encode(&pixels, Alpha::None, &mut out).unwrap();
                let (colour, rgb) = decode(&out[..len]);
                assert_eq!(colour, ColorType::Rgb);
                let expected: Vec<u8> = source
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .flat_map(|p| [p[2], p[1], p[0]])
                    .collect();
                assert!(rgb == expected);
            }
        }
    }

    #[test]
    fn alpha_is_kept_or_made_straight() {
        let size = Size::new(25, 25).unwrap();
        let source = samples::alpha(size);
        let pixels = Pixels::new(&source, size, true).unwrap();
        let mut out = vec![0; bound(size)];
        let len = encode(&pixels, Alpha::AsIs, &mut out).unwrap();
        let (colour, rgba) = decode(&out[..len]);
        assert_eq!(colour, ColorType::Rgba);
        let expected: Vec<u8> = source
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|p| [p[2], p[1], p[0], p[3]])
            .collect();
        assert_eq!(rgba, expected);
        let len = encode(&pixels, Alpha::Straight, &mut out).unwrap();
        let (_, straight) = decode(&out[..len]);
        for (straight, source) in straight
            .as_chunks::<4>()
            .0
            .iter()
            .zip(source.as_chunks::<4>().0)
        {
            let alpha = u32::from(source[3]);
            let again = |c: u8| (u32::from(c) * alpha + 127) / 255;
            assert_eq!(straight[3], source[3]);
            assert!(again(straight[0]).abs_diff(source[2].into()) <= 1);
        }
    }

    #[test]
    fn a_short_buffer_is_an_error() {
        let size = Size::new(50, 50).unwrap();
        let source = samples::noise(size, 5);
        let pixels = Pixels::new(&source, size, false).unwrap();
        for len in [0, 1, 30, 100, 5000] {
            assert!(
                encode(&pixels, Alpha::None, &mut vec![0; len]).is_err(),
                "{len}"
            );
        }
    }
}
