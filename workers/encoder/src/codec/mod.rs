//! One module per coding, and what is kept between pictures.

pub mod jpeg;
pub mod png;
pub mod rgb;
#[expect(unsafe_code, reason = "libwebp has no safe wrapper")]
pub mod webp;

use crate::choose::How;
use crate::offer::{Offer, everything};
use crate::pixels::Pixels;
use ipc::Size;
use ipc::shared::MAX_SHARED;

/// Why a picture could not be encoded. The caller takes another coding.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// It does not fit into the buffer.
    #[error("the picture does not fit into its buffer")]
    TooLarge,
    /// What the PNG library says.
    #[error("png: {0}")]
    Png(#[from] ::png::EncodingError),
    /// What the JPEG library says.
    #[error("jpeg: {0}")]
    Jpeg(#[from] turbojpeg::Error),
    /// What the WebP library says.
    #[error("webp: error {0}")]
    Webp(u32),
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes from the start of the buffer.
    pub bytes: usize,
    /// LZ4 level; 0 when not compressed with it.
    pub lz4: u8,
    /// Bytes of a row of raw pixels, else 0.
    pub rowstride: u32,
}

impl Written {
    fn file(bytes: usize) -> Self {
        Self {
            bytes,
            lz4: 0,
            rowstride: 0,
        }
    }
}

/// The encoders with what they keep.
pub struct Codecs {
    rgb: rgb::Encoder,
    jpeg: Option<jpeg::Encoder>,
}

impl Codecs {
    /// Encoders that have nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            rgb: rgb::Encoder::new(),
            jpeg: None,
        }
    }

    /// Bytes that are enough for any picture of this size, if a buffer can have them.
    #[must_use]
    pub fn bound(how: How, size: Size) -> Option<u32> {
        let bytes = match how {
            How::Raw(_) => rgb::bound(size),
            How::Png(_) => png::bound(size),
            How::Jpeg(..) => jpeg::bound(size),
            How::WebpLossless(_) | How::WebpLossy(..) => webp::bound(size),
        };
        u32::try_from(bytes)
            .ok()
            .filter(|bytes| *bytes <= MAX_SHARED)
    }

    /// Encodes `pixels` to the start of `out`.
    ///
    /// # Errors
    /// What the coding cannot do.
    pub fn encode(
        &mut self,
        how: How,
        pixels: &Pixels<'_>,
        out: &mut [u8],
    ) -> Result<Written, CodecError> {
        match how {
            How::Raw(raw) => self.rgb.encode(raw, pixels, out),
            How::Png(_) => {
                let alpha = if pixels.alpha() {
                    png::Alpha::AsIs
                } else {
                    png::Alpha::None
                };
                png::encode(pixels, alpha, out).map(Written::file)
            }
            How::Jpeg(_, quality) => {
                let jpeg = match &mut self.jpeg {
                    Some(jpeg) => jpeg,
                    none => none.insert(jpeg::Encoder::new()?),
                };
                jpeg.encode(pixels, quality, out).map(Written::file)
            }
            How::WebpLossless(_) => {
                webp::encode(pixels, webp::Mode::Lossless, out).map(Written::file)
            }
            How::WebpLossy(_, q) => {
                webp::encode(pixels, webp::Mode::Lossy(q), out).map(Written::file)
            }
        }
    }

    /// Runs every coding on small pictures, so that what the libraries do on first use (look at
    /// the processor; the C library's `qsort` asks how much memory there is) is done before the
    /// sandbox is closed. One picture has a few colours, one so many that every table gets large.
    pub fn warm_up(&mut self) {
        let offer = Offer::new(&everything());
        let Some(size) = Size::new(64, 64) else {
            return;
        };
        let tokens = (offer.raw_alpha, offer.png, offer.jpeg, offer.webp);
        let (Some(raw), Some(png), Some(jpeg), Some(webp)) = tokens else {
            return;
        };
        let few = (0..size.bytes()).map(|n| n.to_le_bytes()[0] & 0x30);
        let many = (0..size.bytes()).map(|n| n.wrapping_mul(0x9e37_79b1).to_le_bytes()[3]);
        let all = [
            How::Raw(raw),
            How::Png(png),
            How::Jpeg(jpeg, 80),
            How::WebpLossless(webp),
            How::WebpLossy(webp, 80),
        ];
        let mut out = vec![0; 64 * 1024];
        for source in [few.collect::<Vec<_>>(), many.collect()] {
            for (how, alpha) in all.into_iter().flat_map(|how| [(how, false), (how, true)]) {
                if let Some(pixels) = Pixels::new(&source, size, alpha)
                    && let Err(error) = self.encode(how, &pixels, &mut out)
                {
                    tracing::error!(coding = ?how.coding(), %error, "warm-up");
                }
            }
        }
    }
}

impl Default for Codecs {
    fn default() -> Self {
        Self::new()
    }
}

/// Pictures for tests.
#[cfg(test)]
pub mod samples {
    use ipc::Size;

    fn next(state: &mut u64) -> u8 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        state.to_le_bytes()[3]
    }

    /// White with black bars, like text.
    pub fn text(size: Size) -> Vec<u8> {
        let width = usize::from(size.width());
        (0..width * usize::from(size.height()))
            .flat_map(|i| {
                let (x, y) = (i % width, i / width);
                let ink = y % 13 < 9 && x % 7 < 2 && (x / 7 + y / 13) % 5 != 0;
                if ink {
                    [0x20, 0x10, 0, 0]
                } else {
                    [0xff, 0xff, 0xff, 0]
                }
            })
            .collect()
    }

    /// Smooth colours with a little grain.
    pub fn photo(size: Size) -> Vec<u8> {
        let (width, mut state) = (usize::from(size.width()), 42);
        (0..width * usize::from(size.height()))
            .flat_map(|i| {
                let (x, y) = (i % width, i / width);
                let grain = next(&mut state) % 5;
                let byte = |v: usize| u8::try_from(v % 200).unwrap() + grain;
                [
                    byte(x / 4),
                    byte(y / 3),
                    byte((x + y) / 5),
                    next(&mut state),
                ]
            })
            .collect()
    }

    /// No two pixels alike; the fourth byte too.
    pub fn noise(size: Size, seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..size.bytes()).map(|_| next(&mut state)).collect()
    }

    /// Valid premultiplied pixels.
    pub fn alpha(size: Size) -> Vec<u8> {
        let mut bytes = noise(size, 7);
        for pixel in bytes.as_chunks_mut::<4>().0 {
            let alpha = pixel[3];
            for colour in &mut pixel[..3] {
                *colour = (*colour).min(alpha);
            }
        }
        bytes
    }

    /// Peak signal to noise ratio of two pictures in the same order, first three of four bytes.
    pub fn psnr(a: &[u8], b: &[u8]) -> f64 {
        assert_eq!(a.len(), b.len());
        let (mut sum, mut count) = (0_f64, 0_f64);
        for (a, b) in a.as_chunks::<4>().0.iter().zip(b.as_chunks::<4>().0) {
            for i in 0..3 {
                sum += (f64::from(a[i]) - f64::from(b[i])).powi(2);
                count += 1.0;
            }
        }
        10.0 * (255.0 * 255.0 * count / sum.max(1e-9)).log10()
    }
}
