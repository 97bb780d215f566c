//! JPEG.

use super::CodecError;
use crate::pixels::Pixels;
use ipc::Size;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

/// From this quality on, colour is not subsampled.
const FULL_COLOUR: u8 = 90;

/// What is kept between pictures.
pub struct Encoder(Compressor);

/// Enough for any picture of this size.
#[must_use]
pub fn bound(size: Size) -> usize {
    turbojpeg::compressed_buf_len(size.width().into(), size.height().into(), Subsamp::None)
        .unwrap_or(usize::MAX)
}

impl Encoder {
    /// A compressor.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn new() -> Result<Self, CodecError> {
        Ok(Self(Compressor::new()?))
    }

    /// Writes the file to the start of `out`; gives its length.
    ///
    /// # Errors
    /// When it does not fit, or the library refuses.
    pub fn encode(
        &mut self,
        pixels: &Pixels<'_>,
        quality: u8,
        out: &mut [u8],
    ) -> Result<usize, CodecError> {
        // The library compares lengths and then writes; an empty slice is no buffer to it.
        if out.is_empty() {
            return Err(CodecError::TooLarge);
        }
        self.0.set_quality(quality.clamp(1, 100).into())?;
        let subsamp = if quality >= FULL_COLOUR {
            Subsamp::None
        } else {
            Subsamp::Sub2x2
        };
        self.0.set_subsamp(subsamp)?;
        let image = Image {
            pixels: pixels.bytes(),
            width: pixels.size().width().into(),
            pitch: pixels.stride(),
            height: pixels.size().height().into(),
            format: PixelFormat::BGRX,
        };
        Ok(self.0.compress_to_slice(image, out)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::samples;

    fn round_trip(source: &[u8], size: Size, quality: u8) -> Vec<u8> {
        let mut out = vec![0; bound(size)];
        let pixels = Pixels::new(source, size, false).unwrap();
        let len = Encoder::new()
            .unwrap()
            .encode(&pixels, quality, &mut out)
            .unwrap();
        let image = turbojpeg::decompress(&out[..len], PixelFormat::BGRX).unwrap();
        assert_eq!(
            (image.width, image.height),
            (size.width().into(), size.height().into())
        );
        image.pixels
    }

    #[test]
    fn pictures_arrive_nearly() {
        let size = Size::new(320, 240).unwrap();
        let source = samples::photo(size);
        let good = samples::psnr(&source, &round_trip(&source, size, 95));
        let usual = samples::psnr(&source, &round_trip(&source, size, 80));
        let poor = samples::psnr(&source, &round_trip(&source, size, 10));
        assert!(
            good > 36.0 && usual > 33.0 && good > usual && usual > poor,
            "{good} {usual} {poor}"
        );
    }

    #[test]
    fn extreme_shapes() {
        for (width, height) in [(1, 1), (16384, 1), (1, 16384), (17, 3)] {
            let size = Size::new(width, height).unwrap();
            round_trip(&samples::photo(size), size, 80);
        }
    }

    #[test]
    fn a_short_buffer_is_an_error() {
        let size = Size::new(64, 64).unwrap();
        let source = samples::noise(size, 9);
        let pixels = Pixels::new(&source, size, false).unwrap();
        let mut encoder = Encoder::new().unwrap();
        for len in [0, 1, 600, 2000] {
            assert!(
                encoder.encode(&pixels, 95, &mut vec![0; len]).is_err(),
                "{len}"
            );
        }
        // And the compressor is still usable.
        assert!(
            encoder
                .encode(&pixels, 95, &mut vec![0; bound(size)])
                .is_ok()
        );
    }
}
