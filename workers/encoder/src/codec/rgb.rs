//! Raw pixels, `rgb24` and `rgb32` on the wire, with LZ4 where it helps: a little-endian u32
//! size, then one LZ4 block (protocol "Compression byte").

use super::{CodecError, Written};
use crate::offer::Raw;
use crate::pixels::{self, PIXEL, Pixels};
use ipc::Size;
use ipc::frames::RgbFormat;
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

/// Bytes: less is not compressed, the client would spend more than the wire.
const WORTH_COMPRESSING: usize = 512;
/// Bytes of the size in front of the block.
const PREFIX: usize = 4;
/// Clients only look whether it is above 0.
const LEVEL: u8 = 1;
/// Bytes: the LZ4 table for small inputs is smaller, and faster to clear.
const SMALL_INPUT: usize = u16::MAX as usize;
/// Bytes of converted pixels that are kept for the next picture.
const KEEP: usize = 256 * 1024;

/// What is kept between pictures.
pub struct Encoder {
    small: CompressTable,
    large: Option<CompressTable>,
    converted: Vec<u8>,
}

/// Enough for any picture of this size.
#[must_use]
pub fn bound(size: Size) -> usize {
    PREFIX + get_maximum_output_size(size.bytes() as usize)
}

impl Encoder {
    /// Without anything kept yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            small: CompressTable::small(),
            large: None,
            converted: Vec::new(),
        }
    }

    /// Writes the pixels in the order of `raw`.
    ///
    /// # Errors
    /// When `out` is too small.
    pub fn encode(
        &mut self,
        raw: Raw,
        pixels: &Pixels<'_>,
        out: &mut [u8],
    ) -> Result<Written, CodecError> {
        let mut converted = std::mem::take(&mut self.converted);
        let data = match conversion(raw.order(), pixels.alpha()) {
            None => pixels.bytes(),
            Some(conversion) => {
                convert(&conversion, pixels, &mut converted);
                &converted
            }
        };
        let rowstride = data.len() / usize::from(pixels.size().height());
        let written = self.pack(raw.lz4(), data, out).map(|(bytes, lz4)| Written {
            bytes,
            lz4,
            // A row is at most 64 KiB.
            rowstride: u32::try_from(rowstride).unwrap_or(u32::MAX),
        });
        if converted.capacity() <= KEEP {
            self.converted = converted;
        }
        written
    }

    fn pack(&mut self, lz4: bool, data: &[u8], out: &mut [u8]) -> Result<(usize, u8), CodecError> {
        if lz4 && data.len() >= WORTH_COMPRESSING {
            let table = if data.len() < SMALL_INPUT {
                &mut self.small
            } else {
                self.large.get_or_insert_with(CompressTable::large)
            };
            let declared = u32::try_from(data.len()).map_err(|_| CodecError::TooLarge)?;
            let (prefix, block) = out
                .split_first_chunk_mut::<PREFIX>()
                .ok_or(CodecError::TooLarge)?;
            *prefix = declared.to_le_bytes();
            let packed =
                compress_into_with_table(data, block, table).map_err(|_| CodecError::TooLarge)?;
            // At least a sixteenth must be gained.
            if PREFIX + packed <= data.len() - data.len() / 16 {
                return Ok((PREFIX + packed, LEVEL));
            }
        }
        out.get_mut(..data.len())
            .ok_or(CodecError::TooLarge)?
            .copy_from_slice(data);
        Ok((data.len(), 0))
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes one row in another order, `pixel` bytes each.
struct Conversion {
    pixel: usize,
    row: fn(&[u8], &mut [u8]),
}

/// How to get from memory order to the wire's; `None` where they are the same.
fn conversion(order: RgbFormat, alpha: bool) -> Option<Conversion> {
    let four = |row| Some(Conversion { pixel: PIXEL, row });
    let three = |row| Some(Conversion { pixel: 3, row });
    match order {
        RgbFormat::Bgrx => None,
        RgbFormat::Bgra if alpha => None,
        RgbFormat::Bgra => four(to_opaque_bgra),
        RgbFormat::Rgba if alpha => four(pixels::to_rgba),
        RgbFormat::Rgbx | RgbFormat::Rgba => four(to_opaque_rgba),
        RgbFormat::Rgb => three(pixels::to_rgb),
        RgbFormat::Bgr => three(to_bgr),
    }
}

fn convert(conversion: &Conversion, pixels: &Pixels<'_>, out: &mut Vec<u8>) {
    let stride = usize::from(pixels.size().width()) * conversion.pixel;
    out.clear();
    out.resize(stride * usize::from(pixels.size().height()), 0);
    for (row, target) in pixels.rows().zip(out.chunks_exact_mut(stride)) {
        (conversion.row)(row, target);
    }
}

fn to_opaque_bgra(row: &[u8], out: &mut [u8]) {
    for (source, target) in row
        .as_chunks::<PIXEL>()
        .0
        .iter()
        .zip(out.as_chunks_mut::<PIXEL>().0)
    {
        *target = [source[0], source[1], source[2], 255];
    }
}

fn to_opaque_rgba(row: &[u8], out: &mut [u8]) {
    for (source, target) in row
        .as_chunks::<PIXEL>()
        .0
        .iter()
        .zip(out.as_chunks_mut::<PIXEL>().0)
    {
        *target = [source[2], source[1], source[0], 255];
    }
}

fn to_bgr(row: &[u8], out: &mut [u8]) {
    for (source, target) in row
        .as_chunks::<PIXEL>()
        .0
        .iter()
        .zip(out.as_chunks_mut::<3>().0)
    {
        *target = [source[0], source[1], source[2]];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::samples;
    use crate::offer::{Offer, everything};
    use ipc::frames::{Coding, PictureCaps};
    use proptest::prelude::*;

    fn raw(order: RgbFormat, lz4: bool, alpha: bool) -> Raw {
        let caps = PictureCaps {
            codings: vec![Coding::Rgb24],
            rgb_formats: vec![order],
            rgb_lz4: lz4,
            ..everything()
        };
        let offer = Offer::new(&caps);
        if alpha {
            offer.raw_alpha.unwrap()
        } else {
            offer.raw.unwrap()
        }
    }

    /// Encodes, unpacks with the LZ4 decoder, and brings the colours back into memory order.
    fn round_trip(
        order: RgbFormat,
        lz4: bool,
        alpha: bool,
        source: &[u8],
        size: Size,
    ) -> (Vec<u8>, Written) {
        let pixels = Pixels::new(source, size, alpha).unwrap();
        let mut out = vec![0xee; bound(size)];
        let written = Encoder::new()
            .encode(raw(order, lz4, alpha), &pixels, &mut out)
            .unwrap();
        let data = &out[..written.bytes];
        let plain = if written.lz4 > 0 {
            lz4_flex::block::decompress_size_prepended(data).unwrap()
        } else {
            data.to_vec()
        };
        let height = usize::from(size.height());
        assert_eq!(plain.len(), written.rowstride as usize * height);
        let back = match order {
            RgbFormat::Bgrx | RgbFormat::Bgra => plain,
            RgbFormat::Rgbx | RgbFormat::Rgba => plain
                .as_chunks::<4>()
                .0
                .iter()
                .flat_map(|p| [p[2], p[1], p[0], p[3]])
                .collect(),
            RgbFormat::Rgb => plain
                .as_chunks::<3>()
                .0
                .iter()
                .flat_map(|p| [p[2], p[1], p[0], 255])
                .collect(),
            RgbFormat::Bgr => plain
                .as_chunks::<3>()
                .0
                .iter()
                .flat_map(|p| [p[0], p[1], p[2], 255])
                .collect(),
        };
        (back, written)
    }

    fn same_colours(a: &[u8], b: &[u8]) -> bool {
        let pairs = a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0);
        a.len() == b.len() && pairs.into_iter().all(|(a, b)| a[..3] == b[..3])
    }

    #[test]
    fn every_order_arrives_exactly() {
        use RgbFormat::{Bgr, Bgra, Bgrx, Rgb, Rgba, Rgbx};
        let size = Size::new(37, 21).unwrap();
        for source in [samples::text(size), samples::noise(size, 3)] {
            for (order, lz4) in [Bgrx, Bgra, Rgbx, Rgba, Rgb, Bgr]
                .into_iter()
                .flat_map(|o| [(o, true), (o, false)])
            {
                let (back, written) = round_trip(order, lz4, false, &source, size);
                assert!(same_colours(&back, &source), "{order:?}");
                assert!(lz4 || written.lz4 == 0);
                if matches!(order, Bgra | Rgba) {
                    assert!(back.as_chunks::<4>().0.iter().all(|p| p[3] == 255));
                }
            }
        }
    }

    #[test]
    fn alpha_arrives_exactly() {
        let size = Size::new(30, 30).unwrap();
        let source = samples::alpha(size);
        for order in [RgbFormat::Bgra, RgbFormat::Rgba] {
            assert_eq!(round_trip(order, true, true, &source, size).0, source);
        }
    }

    #[test]
    fn compression_only_where_it_helps() {
        let tiny = Size::new(10, 12).unwrap();
        assert_eq!(
            round_trip(RgbFormat::Bgrx, true, false, &samples::text(tiny), tiny)
                .1
                .lz4,
            0
        );
        let size = Size::new(200, 100).unwrap();
        let (_, text) = round_trip(RgbFormat::Bgrx, true, false, &samples::text(size), size);
        assert!(text.lz4 > 0 && text.bytes < 8000);
        let (_, noise) = round_trip(RgbFormat::Bgrx, true, false, &samples::noise(size, 1), size);
        assert_eq!((noise.lz4, noise.bytes), (0, 80000));
    }

    #[test]
    fn a_short_buffer_is_an_error() {
        let size = Size::new(50, 50).unwrap();
        let source = samples::noise(size, 5);
        let pixels = Pixels::new(&source, size, false).unwrap();
        for len in [0, 3, 4, 5, 512, 9999] {
            let mut out = vec![0; len];
            for lz4 in [true, false] {
                let result =
                    Encoder::new().encode(raw(RgbFormat::Bgrx, lz4, false), &pixels, &mut out);
                assert!(matches!(result, Err(CodecError::TooLarge)));
            }
        }
    }

    proptest! {
        #[test]
        fn any_size_arrives(width in 1..80_u32, height in 1..80_u32, seed: u64) {
            let size = Size::new(width, height).unwrap();
            let source = samples::noise(size, seed);
            prop_assert!(same_colours(&round_trip(RgbFormat::Bgrx, true, false, &source, size).0, &source));
        }
    }
}
