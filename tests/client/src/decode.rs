//! Pictures of a `draw`, with decoders that share nothing with our encoder but JPEG's library.

use std::io::Cursor;
use wire::lz4::{self, Lz4Error};
use wire::packet::{Coding, Draw, RgbFormat};

/// Why a picture cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A coding that this client never announced.
    #[error("{0:?} was not announced")]
    Coding(Coding),
    /// Raw pixels in an order that this client never announced.
    #[error("{0:?} was not announced")]
    Order(RgbFormat),
    /// Too few bytes, or too many.
    #[error("{got} bytes of pixels, not {expected}")]
    Length {
        /// Bytes that came.
        got: usize,
        /// Bytes that belong there.
        expected: usize,
    },
    /// LZ4.
    #[error("{0}")]
    Lz4(#[from] Lz4Error),
    /// PNG.
    #[error("png: {0}")]
    Png(#[from] png::DecodingError),
    /// JPEG.
    #[error("{0}")]
    Jpeg(#[from] turbojpeg::Error),
    /// WebP.
    #[error("webp: {0}")]
    Webp(#[from] image_webp::DecodingError),
    /// The picture in the file has another size or kind.
    #[error("a file with another picture: {0}")]
    Picture(String),
    /// Outside of its window.
    #[error("a picture outside of its window")]
    Outside,
}

/// Blue, green, red, alpha of every pixel; alpha is 255 where the picture has none.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(draw: &Draw) -> Result<Vec<u8>, DecodeError> {
    let (width, height) = (
        usize::from(draw.size.width()),
        usize::from(draw.size.height()),
    );
    let size = |got: (usize, usize)| {
        let same = got == (width, height);
        if same {
            Ok(())
        } else {
            Err(DecodeError::Picture(format!("{}×{}", got.0, got.1)))
        }
    };
    match draw.coding {
        Coding::Rgb24 | Coding::Rgb32 => raw(draw, width, height),
        Coding::Png | Coding::PngGrey | Coding::PngPalette => {
            let (pixels, got) = png_file(&draw.data)?;
            size(got).map(|()| pixels)
        }
        Coding::Jpeg => {
            let image = turbojpeg::decompress(&draw.data, turbojpeg::PixelFormat::BGRA)?;
            size((image.width, image.height)).map(|()| image.pixels)
        }
        Coding::Webp => {
            let mut decoder = image_webp::WebPDecoder::new(Cursor::new(&draw.data))?;
            let (w, h) = decoder.dimensions();
            size((
                usize::try_from(w).unwrap_or(0),
                usize::try_from(h).unwrap_or(0),
            ))?;
            let mut bytes = vec![0; decoder.output_buffer_size().unwrap_or(0)];
            decoder.read_image(&mut bytes)?;
            Ok(if decoder.has_alpha() {
                from_rgba(&bytes)
            } else {
                from_rgb(&bytes)
            })
        }
        coding => Err(DecodeError::Coding(coding)),
    }
}

fn raw(draw: &Draw, width: usize, height: usize) -> Result<Vec<u8>, DecodeError> {
    let order = draw.options.rgb_format.unwrap_or(match draw.coding {
        Coding::Rgb24 => RgbFormat::Rgb,
        _ => RgbFormat::Rgbx,
    });
    let row = width * order.bytes_per_pixel();
    let stride = usize::try_from(draw.rowstride).unwrap_or(0).max(row);
    // The last row need not be padded.
    let expected = stride * height - (stride - row);
    let unpacked;
    let bytes = match draw.options.lz4 {
        Some(_) => {
            unpacked = lz4::decompress(&draw.data, stride * height)?;
            &unpacked
        }
        None => &draw.data,
    };
    if bytes.len() < expected || bytes.len() > stride * height {
        return Err(DecodeError::Length {
            got: bytes.len(),
            expected,
        });
    }
    let rows = bytes
        .chunks(stride)
        .flat_map(|line| line.get(..row).unwrap_or_default().to_vec());
    let tight: Vec<u8> = rows.collect();
    let four = |convert: fn(&[u8; 4]) -> [u8; 4]| {
        tight.as_chunks::<4>().0.iter().flat_map(convert).collect()
    };
    Ok(match order {
        RgbFormat::Bgrx => four(|p| [p[0], p[1], p[2], 255]),
        RgbFormat::Bgra => tight,
        RgbFormat::Rgbx => four(|p| [p[2], p[1], p[0], 255]),
        RgbFormat::Rgba => from_rgba(&tight),
        RgbFormat::Rgb => from_rgb(&tight),
        RgbFormat::Bgr => tight
            .as_chunks::<3>()
            .0
            .iter()
            .flat_map(|p| [p[0], p[1], p[2], 255])
            .collect(),
        other => return Err(DecodeError::Order(other)),
    })
}

/// A PNG file: its pixels, width and height.
pub(crate) fn png_file(file: &[u8]) -> Result<(Vec<u8>, (usize, usize)), DecodeError> {
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let length = reader
        .output_buffer_size()
        .ok_or_else(|| DecodeError::Picture("too large".into()))?;
    let mut bytes = vec![0; length];
    let info = reader.next_frame(&mut bytes)?;
    let size = (
        usize::try_from(info.width).unwrap_or(0),
        usize::try_from(info.height).unwrap_or(0),
    );
    let pixels = match info.color_type {
        png::ColorType::Rgb => from_rgb(&bytes),
        png::ColorType::Rgba => from_rgba(&bytes),
        png::ColorType::Grayscale => bytes.iter().flat_map(|g| [*g, *g, *g, 255]).collect(),
        png::ColorType::GrayscaleAlpha => bytes
            .as_chunks::<2>()
            .0
            .iter()
            .flat_map(|[g, a]| [*g, *g, *g, *a])
            .collect(),
        png::ColorType::Indexed => return Err(DecodeError::Picture("a palette".into())),
    };
    Ok((pixels, size))
}

fn from_rgb(bytes: &[u8]) -> Vec<u8> {
    bytes
        .as_chunks::<3>()
        .0
        .iter()
        .flat_map(|p| [p[2], p[1], p[0], 255])
        .collect()
}

fn from_rgba(bytes: &[u8]) -> Vec<u8> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .flat_map(|p| [p[2], p[1], p[0], p[3]])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::packet::{DrawOptions, Size, WindowId};

    fn draw(coding: Coding, order: Option<RgbFormat>, rowstride: u32, data: Vec<u8>) -> Draw {
        let options = DrawOptions {
            rgb_format: order,
            ..DrawOptions::default()
        };
        let (window, size) = (WindowId::new(1).unwrap(), Size::new(2, 2).unwrap());
        Draw {
            window,
            x: 0,
            y: 0,
            size,
            coding,
            data,
            sequence: 1,
            rowstride,
            options,
        }
    }

    #[test]
    fn raw_pixels_with_and_without_padding() {
        let expected = [3, 2, 1, 255, 6, 5, 4, 255, 9, 8, 7, 255, 12, 11, 10, 255];
        let tight: Vec<u8> = (1..=12).collect();
        assert_eq!(
            decode(&draw(Coding::Rgb24, None, 6, tight.clone())).unwrap(),
            expected
        );
        let padded = [&tight[..6], &[0, 0], &tight[6..]].concat();
        assert_eq!(
            decode(&draw(Coding::Rgb24, Some(RgbFormat::Rgb), 8, padded)).unwrap(),
            expected
        );
        assert!(decode(&draw(Coding::Rgb24, None, 6, tight[..11].to_vec())).is_err());
        let mut packed = draw(Coding::Rgb24, None, 6, lz4::compress(&tight));
        packed.options.lz4 = Some(1);
        assert_eq!(decode(&packed).unwrap(), expected);
    }

    #[test]
    fn what_was_not_announced_is_refused() {
        assert!(matches!(
            decode(&draw(Coding::H264, None, 0, vec![])),
            Err(DecodeError::Coding(_))
        ));
        let r210 = draw(Coding::Rgb32, Some(RgbFormat::R210), 8, vec![0; 16]);
        assert!(matches!(decode(&r210), Err(DecodeError::Order(_))));
        assert!(decode(&draw(Coding::Png, None, 0, b"no png".to_vec())).is_err());
    }
}
