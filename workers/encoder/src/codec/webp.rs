//! WebP, lossless and lossy. The only foreign functions that are called without a safe wrapper.

use super::CodecError;
use crate::pixels::Pixels;
use ipc::Size;
use libwebp_sys::{
    WebPConfig, WebPConfigLosslessPreset, WebPEncode, WebPEncodingError, WebPPicture,
    WebPPictureFree, WebPPictureImportBGRA, WebPPictureImportBGRX, WebPValidateConfig,
};
use std::ffi::c_int;
use std::slice;

/// Lossless or a quality 1–100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every pixel exactly.
    Lossless,
    /// Quality.
    Lossy(u8),
}

/// Effort of the lossless coder, 0–9: more takes several times as long for a few per cent.
const LOSSLESS_EFFORT: c_int = 0;
/// Effort of the lossy coder, 0–6.
const LOSSY_EFFORT: c_int = 1;

/// Enough for any picture of this size: the lossless coder falls back to plain literals.
#[must_use]
pub fn bound(size: Size) -> usize {
    let bytes = size.bytes() as usize;
    bytes + bytes / 8 + 4096
}

/// Where the coder's bytes go.
struct Sink<'a> {
    out: &'a mut [u8],
    used: usize,
}

/// Gets the coder's bytes. Gives 0 when they do not fit, which ends the coder with an error.
extern "C" fn write(data: *const u8, len: usize, picture: *const WebPPicture) -> c_int {
    // SAFETY: libwebp calls this inside of `WebPEncode` only, with the picture that was passed to
    // it, whose `custom_ptr` is the exclusive pointer to the `Sink` in `encode`, which outlives
    // that call and is not used otherwise during it.
    let sink = unsafe { &mut *(*picture).custom_ptr.cast::<Sink<'_>>() };
    if len == 0 {
        return 1;
    }
    // SAFETY: libwebp passes a pointer to `len` readable bytes of its own, which no one writes
    // during this call.
    let data = unsafe { slice::from_raw_parts(data, len) };
    let place = sink
        .used
        .checked_add(len)
        .and_then(|end| sink.out.get_mut(sink.used..end));
    let Some(place) = place else { return 0 };
    place.copy_from_slice(data);
    sink.used += len;
    1
}

/// A picture of libwebp's, freed at the end.
struct Picture(WebPPicture);

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: the picture was initialised by `WebPPicture::new`, and owns what it points to.
        unsafe { WebPPictureFree(&raw mut self.0) };
    }
}

fn config(mode: Mode, alpha: bool) -> Option<WebPConfig> {
    let mut config = WebPConfig::new().ok()?;
    match mode {
        Mode::Lossless => {
            // SAFETY: `config` is a valid, initialised configuration.
            if unsafe { WebPConfigLosslessPreset(&raw mut config, LOSSLESS_EFFORT) } == 0 {
                return None;
            }
        }
        Mode::Lossy(quality) => {
            config.quality = quality.clamp(1, 100).into();
            config.method = LOSSY_EFFORT;
            config.alpha_quality = 100;
        }
    }
    // Keep the colours of transparent pixels: they are premultiplied.
    config.exact = c_int::from(alpha);
    config.thread_level = 0;
    // SAFETY: `config` is a valid configuration.
    (unsafe { WebPValidateConfig(&raw const config) } != 0).then_some(config)
}

/// Writes the file to the start of `out`; gives its length.
///
/// # Errors
/// When it does not fit, a side is above 16383, or memory is short.
pub fn encode(pixels: &Pixels<'_>, mode: Mode, out: &mut [u8]) -> Result<usize, CodecError> {
    let invalid = CodecError::Webp(WebPEncodingError::VP8_ENC_ERROR_INVALID_CONFIGURATION as u32);
    let failed = |picture: &Picture| match picture.0.error_code {
        WebPEncodingError::VP8_ENC_ERROR_BAD_WRITE => CodecError::TooLarge,
        code => CodecError::Webp(code as u32),
    };
    let (Some(config), Ok(picture)) = (config(mode, pixels.alpha()), WebPPicture::new()) else {
        return Err(invalid);
    };
    let mut picture = Picture(picture);
    let Ok(stride) = c_int::try_from(pixels.stride()) else {
        return Err(invalid);
    };
    picture.0.use_argb = c_int::from(mode == Mode::Lossless);
    picture.0.width = pixels.size().width().into();
    picture.0.height = pixels.size().height().into();
    let import = if pixels.alpha() {
        WebPPictureImportBGRA
    } else {
        WebPPictureImportBGRX
    };
    // SAFETY: `Pixels` guarantees `stride * height` readable bytes, four a pixel; libwebp copies
    // them into memory of its own.
    if unsafe { import(&raw mut picture.0, pixels.bytes().as_ptr(), stride) } == 0 {
        return Err(failed(&picture));
    }
    let mut sink = Sink { out, used: 0 };
    picture.0.writer = Some(write);
    picture.0.custom_ptr = (&raw mut sink).cast();
    // SAFETY: configuration and picture are valid; `sink` outlives the call.
    let done = unsafe { WebPEncode(&raw const config, &raw mut picture.0) };
    if done == 0 {
        return Err(failed(&picture));
    }
    Ok(sink.used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::samples;
    use std::io::Cursor;

    /// Decodes with an independent decoder, into memory order.
    fn decode(file: &[u8], size: Size) -> Vec<u8> {
        let mut decoder = image_webp::WebPDecoder::new(Cursor::new(file)).unwrap();
        assert_eq!(
            decoder.dimensions(),
            (size.width().into(), size.height().into())
        );
        let mut bytes = vec![0; decoder.output_buffer_size().unwrap()];
        decoder.read_image(&mut bytes).unwrap();
        if decoder.has_alpha() {
            bytes
                .as_chunks::<4>()
                .0
                .iter()
                .flat_map(|p| [p[2], p[1], p[0], p[3]])
                .collect()
        } else {
            bytes
                .as_chunks::<3>()
                .0
                .iter()
                .flat_map(|p| [p[2], p[1], p[0], 0])
                .collect()
        }
    }

    fn round_trip(source: &[u8], size: Size, alpha: bool, mode: Mode) -> Vec<u8> {
        let mut out = vec![0; bound(size)];
        let len = encode(&Pixels::new(source, size, alpha).unwrap(), mode, &mut out).unwrap();
        decode(&out[..len], size)
    }

    #[test]
    fn lossless_arrives_exactly() {
        for (width, height) in [(1, 1), (1, 300), (16383, 1), (61, 47), (256, 256)] {
            let size = Size::new(width, height).unwrap();
            for mut source in [samples::text(size), samples::noise(size, 11)] {
                source
                    .as_chunks_mut::<4>()
                    .0
                    .iter_mut()
                    .for_each(|p| p[3] = 0);
                assert!(round_trip(&source, size, false, Mode::Lossless) == source);
            }
        }
    }

    #[test]
    fn lossless_keeps_premultiplied_alpha() {
        let size = Size::new(64, 64).unwrap();
        let mut source = samples::alpha(size);
        // Not a premultiplied pixel, but what is there must arrive.
        source[..4].copy_from_slice(&[1, 2, 3, 0]);
        assert!(round_trip(&source, size, true, Mode::Lossless) == source);
    }

    #[test]
    fn lossy_arrives_nearly() {
        let size = Size::new(320, 240).unwrap();
        let source = samples::photo(size);
        let good = samples::psnr(&source, &round_trip(&source, size, false, Mode::Lossy(95)));
        let poor = samples::psnr(&source, &round_trip(&source, size, false, Mode::Lossy(10)));
        assert!(good > 34.0 && good > poor, "{good} {poor}");
    }

    #[test]
    fn too_wide_or_too_short_a_buffer_is_an_error() {
        let size = Size::new(16384, 1).unwrap();
        let source = samples::text(size);
        let pixels = Pixels::new(&source, size, false).unwrap();
        let result = encode(&pixels, Mode::Lossless, &mut vec![0; bound(size)]);
        assert!(matches!(result, Err(CodecError::Webp(_))));
        let size = Size::new(50, 50).unwrap();
        let source = samples::noise(size, 1);
        let pixels = Pixels::new(&source, size, false).unwrap();
        for (len, mode) in [
            (0, Mode::Lossless),
            (20, Mode::Lossless),
            (5000, Mode::Lossless),
            (300, Mode::Lossy(90)),
        ] {
            let result = encode(&pixels, mode, &mut vec![0; len]);
            assert!(matches!(result, Err(CodecError::TooLarge)), "{len}");
        }
    }
}
