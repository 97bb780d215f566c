//! Which coding a picture gets: a pure function of what the client announced and wishes, and of
//! what the picture is like.
//!
//! Exact by default. Lossy only where pixels are many and look like a photograph, or change so
//! often that nobody can look at them closely; [`crate::window`] sees to it that they are sent
//! again exactly.

use crate::content::Content;
use crate::offer::{Jpeg, Offer, Png, Raw, Webp};
use ipc::Size;
use ipc::frames::Coding;

/// How a picture is to be coded. Every variant carries the proof that the client takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Raw pixels, LZ4 where it helps.
    Raw(Raw),
    /// PNG.
    Png(Png),
    /// JPEG with a quality 1–100.
    Jpeg(Jpeg, u8),
    /// Lossless WebP.
    WebpLossless(Webp),
    /// Lossy WebP with a quality 1–99.
    WebpLossy(Webp, u8),
}

impl How {
    /// Its name on the wire.
    #[must_use]
    pub fn coding(self) -> Coding {
        match self {
            Self::Raw(raw) => raw.name(),
            Self::Png(_) => Coding::Png,
            Self::Jpeg(..) => Coding::Jpeg,
            Self::WebpLossless(_) | Self::WebpLossy(..) => Coding::Webp,
        }
    }

    /// Does every pixel arrive as it is?
    #[must_use]
    pub fn lossless(self) -> bool {
        !matches!(self, Self::Jpeg(..) | Self::WebpLossy(..))
    }

    /// Quality 1–100.
    #[must_use]
    pub fn quality(self) -> u8 {
        match self {
            Self::Jpeg(_, quality) | Self::WebpLossy(_, quality) => quality,
            _ => 100,
        }
    }
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The coding.
    pub how: How,
    /// Keep alpha; else the picture is shown as opaque.
    pub alpha: bool,
    /// Nothing better is possible: no refresh need follow.
    pub best: bool,
}

/// What the person at the client wishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Quality 1–100, 100 is lossless; `None` for automatic.
    pub quality: Option<u8>,
    /// Speed 1–100; low values spend time to save bytes. `None` for automatic.
    pub speed: Option<u8>,
    /// Preferred coding.
    pub prefer: Option<Coding>,
}

/// Codings that are avoided: the client has failed to draw them, or they could not take a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    png: bool,
    jpeg: bool,
    webp: bool,
}

impl Failed {
    /// Avoids a coding from now on. Says whether that is news. Raw pixels are never avoided.
    pub fn add(&mut self, coding: Coding) -> bool {
        match coding {
            Coding::Png => !std::mem::replace(&mut self.png, true),
            Coding::Jpeg => !std::mem::replace(&mut self.jpeg, true),
            Coding::Webp => !std::mem::replace(&mut self.webp, true),
            Coding::Rgb24 | Coding::Rgb32 => false,
        }
    }

    /// What either of them avoids.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            png: self.png || other.png,
            jpeg: self.jpeg || other.jpeg,
            webp: self.webp || other.webp,
        }
    }
}

/// What the decision depends on.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// What the client can show.
    pub offer: &'a Offer,
    /// What it cannot, as it turned out.
    pub failed: Failed,
    /// Wishes.
    pub tuning: Tuning,
    /// Quality asked for this very picture; 100 is lossless.
    pub wanted: Option<u8>,
    /// Extent.
    pub size: Size,
    /// The source has alpha.
    pub alpha: bool,
    /// What it looks like.
    pub content: Content,
    /// Large parts of the window change many times a second.
    pub rapid: bool,
}

/// Pixels: below this, a picture is raw whatever the client prefers.
const TINY: u32 = 32 * 32;
/// Pixels: below this, raw is at least as fast as anything else on any link.
const SMALL: u32 = 128 * 128;
/// Pixels: from here on a lossy coding may be worth its loss.
pub const BIG: u32 = 256 * 256;
/// Quality of lossy pictures when the client has no wish.
const QUALITY: u8 = 80;
/// Quality when a lossy coding is all there is.
const BEST_LOSSY: u8 = 98;
/// Below this speed, bytes count more than time.
const THRIFTY: u8 = 40;
/// Largest side of a WebP picture (VP8 has 14 bits).
const WEBP_SIDE: u16 = 16383;

/// Decides. `None` when the client can draw nothing.
#[must_use]
pub fn choose(question: &Question<'_>) -> Option<Choice> {
    if question.alpha
        && question.offer.transparency
        && let Some((how, best)) = pick(question)
    {
        return Some(Choice {
            how,
            alpha: true,
            best,
        });
    }
    let (how, best) = pick(&Question {
        alpha: false,
        ..*question
    })?;
    Some(Choice {
        how,
        alpha: false,
        best,
    })
}

/// Is the content worth a look? It costs a glance at the pixels.
#[must_use]
pub fn content_matters(size: Size) -> bool {
    pixels(size) >= SMALL
}

fn pixels(size: Size) -> u32 {
    u32::from(size.width()) * u32::from(size.height())
}

fn pick(q: &Question<'_>) -> Option<(How, bool)> {
    let exact = || lossless(q).map(|how| (how, true));
    if lossy_is_right(q) {
        let quality = q
            .wanted
            .or(q.tuning.quality)
            .unwrap_or(QUALITY)
            .clamp(1, 99);
        lossy(q, quality).map(|how| (how, false)).or_else(exact)
    } else {
        exact().or_else(|| Some((lossy(q, BEST_LOSSY)?, true)))
    }
}

fn lossy_is_right(q: &Question<'_>) -> bool {
    let area = pixels(q.size);
    if q.wanted.or(q.tuning.quality) == Some(100) || area < SMALL {
        return false;
    }
    match (q.tuning.prefer, q.content) {
        (Some(Coding::Png | Coding::Rgb24 | Coding::Rgb32), _) => false,
        (Some(Coding::Jpeg), _) => true,
        (_, Content::Flat) => false,
        // Who names a quality means it.
        _ if q.wanted.or(q.tuning.quality).is_some() => true,
        (_, Content::Photo) => area >= BIG,
        (_, Content::Mixed) => area >= BIG && q.rapid,
    }
}

fn lossy(q: &Question<'_>, quality: u8) -> Option<How> {
    // JPEG has no alpha.
    let jpeg = q
        .offer
        .jpeg
        .filter(|_| !q.alpha && !q.failed.jpeg)
        .map(|t| How::Jpeg(t, quality));
    let webp = webp(q).map(|t| How::WebpLossy(t, quality));
    if q.tuning.prefer == Some(Coding::Webp) {
        webp.or(jpeg)
    } else {
        jpeg.or(webp)
    }
}

fn lossless(q: &Question<'_>) -> Option<How> {
    let area = pixels(q.size);
    let raw = if q.alpha {
        q.offer.raw_alpha
    } else {
        q.offer.raw
    }
    .map(How::Raw);
    let fast_raw = raw.filter(|_| area < SMALL || lz4(q));
    let png = q.offer.png.filter(|_| !q.failed.png).map(How::Png);
    let webp = webp(q).map(How::WebpLossless);
    let in_order: [Option<How>; 4] = match q.tuning.prefer {
        _ if area < TINY => [raw, png, webp, None],
        Some(Coding::Png) => [png, raw, webp, None],
        Some(Coding::Webp) => [webp, raw, png, None],
        Some(Coding::Rgb24 | Coding::Rgb32) => [raw, png, webp, None],
        // Nobody waits for a refresh: what LZ4 cannot compress need not go as it is.
        _ if area >= BIG && q.wanted == Some(100) && q.content != Content::Flat => {
            [png, fast_raw, webp, raw]
        }
        _ if area >= SMALL && q.tuning.speed.is_some_and(|s| s < THRIFTY) => [webp, png, raw, None],
        _ => [fast_raw, png, webp, raw],
    };
    in_order.into_iter().flatten().next()
}

fn lz4(q: &Question<'_>) -> bool {
    if q.alpha {
        q.offer.raw_alpha
    } else {
        q.offer.raw
    }
    .is_some_and(Raw::lz4)
}

fn webp(q: &Question<'_>) -> Option<Webp> {
    let fits = q.size.width() <= WEBP_SIDE && q.size.height() <= WEBP_SIDE;
    q.offer.webp.filter(|_| fits && !q.failed.webp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::everything;
    use ipc::frames::{PictureCaps, RgbFormat};
    use proptest::prelude::*;

    fn size(width: u32, height: u32) -> Size {
        Size::new(width, height).unwrap()
    }

    fn question(offer: &Offer, width: u32, height: u32, content: Content) -> Question<'_> {
        Question {
            offer,
            failed: Failed::default(),
            tuning: Tuning::default(),
            wanted: None,
            size: size(width, height),
            alpha: false,
            content,
            rapid: false,
        }
    }

    fn name(q: &Question<'_>) -> &'static str {
        match choose(q).map(|choice| (choice.how, choice.alpha)) {
            None => "nothing",
            Some((How::Raw(_), false)) => "raw",
            Some((How::Raw(_), true)) => "raw with alpha",
            Some((How::Png(_), false)) => "png",
            Some((How::Png(_), true)) => "png with alpha",
            Some((How::Jpeg(..), _)) => "jpeg",
            Some((How::WebpLossless(_), _)) => "webp",
            Some((How::WebpLossy(..), _)) => "lossy webp",
        }
    }

    #[test]
    fn the_table() {
        use Content::{Flat, Mixed, Photo};
        let all = Offer::new(&everything());
        let ask = |w, h, content| question(&all, w, h, content);
        let tuned = |q, tuning| Question { tuning, ..q };
        let prefer = |c| Tuning {
            prefer: Some(c),
            ..Tuning::default()
        };
        let quality = |n| Tuning {
            quality: Some(n),
            ..Tuning::default()
        };
        let speed = |n| Tuning {
            speed: Some(n),
            ..Tuning::default()
        };
        let rows = [
            // A key press, a terminal, a whole screen of text.
            ("raw", ask(12, 13, Flat)),
            ("raw", ask(484, 316, Flat)),
            ("raw", ask(1920, 1080, Flat)),
            (
                "raw",
                Question {
                    rapid: true,
                    ..ask(1920, 1080, Flat)
                },
            ),
            // Photographs: small, big, big and moving.
            ("raw", ask(64, 64, Photo)),
            ("raw", ask(200, 200, Photo)),
            ("jpeg", ask(640, 480, Photo)),
            ("raw", ask(640, 480, Mixed)),
            (
                "jpeg",
                Question {
                    rapid: true,
                    ..ask(640, 480, Mixed)
                },
            ),
            // The lossless refresh.
            (
                "png",
                Question {
                    wanted: Some(100),
                    rapid: true,
                    ..ask(640, 480, Photo)
                },
            ),
            (
                "jpeg",
                Question {
                    wanted: Some(50),
                    ..ask(640, 480, Mixed)
                },
            ),
            // Wishes.
            ("raw", tuned(ask(640, 480, Photo), quality(100))),
            ("jpeg", tuned(ask(200, 200, Mixed), quality(30))),
            ("webp", tuned(ask(640, 480, Flat), speed(10))),
            ("png", tuned(ask(640, 480, Photo), prefer(Coding::Png))),
            ("raw", tuned(ask(12, 13, Flat), prefer(Coding::Png))),
            ("webp", tuned(ask(640, 480, Flat), prefer(Coding::Webp))),
            (
                "lossy webp",
                tuned(ask(640, 480, Photo), prefer(Coding::Webp)),
            ),
            ("jpeg", tuned(ask(640, 480, Flat), prefer(Coding::Jpeg))),
            ("raw", tuned(ask(640, 480, Photo), prefer(Coding::Rgb24))),
            (
                "raw",
                Question {
                    wanted: Some(100),
                    ..tuned(ask(640, 480, Flat), prefer(Coding::Jpeg))
                },
            ),
            // Alpha.
            (
                "raw with alpha",
                Question {
                    alpha: true,
                    ..ask(484, 316, Flat)
                },
            ),
            (
                "lossy webp",
                Question {
                    alpha: true,
                    ..ask(640, 480, Photo)
                },
            ),
            // WebP has 14 bits a side.
            ("raw", tuned(ask(16384, 1, Flat), prefer(Coding::Webp))),
        ];
        for (number, (expected, q)) in rows.iter().enumerate() {
            assert_eq!(name(q), *expected, "row {number}");
        }
    }

    #[test]
    fn clients_that_take_little() {
        use Content::{Flat, Photo};
        let with = |codings: &[Coding], rgb_formats: &[RgbFormat], rgb_lz4| {
            Offer::new(&PictureCaps {
                codings: codings.to_vec(),
                rgb_formats: rgb_formats.to_vec(),
                rgb_lz4,
                ..everything()
            })
        };
        let png = with(&[Coding::Png], &[], false);
        assert_eq!(name(&question(&png, 3, 3, Flat)), "png");
        assert_eq!(name(&question(&png, 640, 480, Photo)), "png");
        assert_eq!(
            name(&Question {
                alpha: true,
                ..question(&png, 3, 3, Flat)
            }),
            "png with alpha"
        );
        let jpeg = with(&[Coding::Jpeg], &[], false);
        let q = question(&jpeg, 640, 480, Flat);
        // Lossy is the best there is: it must not be refreshed for ever.
        assert!(choose(&q).unwrap().best);
        assert!(
            choose(&Question {
                wanted: Some(100),
                ..q
            })
            .unwrap()
            .best
        );
        assert!(
            !choose(&Question {
                content: Photo,
                ..q
            })
            .unwrap()
            .best
        );
        let plain = with(&[Coding::Rgb24, Coding::Png], &[RgbFormat::Rgb], false);
        assert_eq!(name(&question(&plain, 100, 100, Flat)), "raw");
        assert_eq!(name(&question(&plain, 640, 480, Flat)), "png");
        // No order with alpha: PNG keeps it; where nothing can, the picture is opaque.
        assert_eq!(
            name(&Question {
                alpha: true,
                ..question(&plain, 9, 9, Flat)
            }),
            "png with alpha"
        );
        let raw = with(&[Coding::Rgb24], &[RgbFormat::Rgb], true);
        assert_eq!(
            name(&Question {
                alpha: true,
                ..question(&raw, 9, 9, Flat)
            }),
            "raw"
        );
        assert_eq!(
            name(&question(&with(&[], &[], true), 9, 9, Flat)),
            "nothing"
        );
    }

    #[test]
    fn a_coding_that_failed_is_not_used_again() {
        let offer = Offer::new(&everything());
        let mut failed = Failed::default();
        assert!(failed.add(Coding::Jpeg) && !failed.add(Coding::Jpeg));
        let q = Question {
            failed,
            ..question(&offer, 640, 480, Content::Photo)
        };
        assert_eq!(name(&q), "lossy webp");
        failed.add(Coding::Webp);
        assert_eq!(name(&Question { failed, ..q }), "raw");
        assert!(!failed.add(Coding::Rgb24));
    }

    fn codings() -> impl Strategy<Value = Vec<Coding>> {
        let all = vec![
            Coding::Rgb24,
            Coding::Rgb32,
            Coding::Png,
            Coding::Jpeg,
            Coding::Webp,
        ];
        proptest::sample::subsequence(all, 0..=5)
    }

    fn orders() -> impl Strategy<Value = Vec<RgbFormat>> {
        use RgbFormat::{Bgr, Bgra, Bgrx, Rgb, Rgba, Rgbx};
        proptest::sample::subsequence(vec![Bgrx, Bgra, Rgbx, Rgba, Rgb, Bgr], 0..=6)
    }

    proptest! {
        /// Security goal A3: whatever is asked, only what was announced is answered.
        #[test]
        fn only_what_was_announced(
            codings in codings(), orders in orders(), lz4: bool, transparency: bool, alpha: bool,
            rapid: bool, width in 1..=16384_u32, height in 1..=16384_u32, content in 0..3_usize,
            wanted in proptest::option::of(1..=100_u8), quality in proptest::option::of(1..=100_u8),
            speed in proptest::option::of(1..=100_u8), preferred in 0..6_usize,
        ) {
            let caps = PictureCaps {
                codings: codings.clone(), rgb_formats: orders.clone(), rgb_lz4: lz4, transparency,
                ..everything()
            };
            let all = [Coding::Rgb24, Coding::Rgb32, Coding::Png, Coding::Jpeg, Coding::Webp];
            let q = Question {
                offer: &Offer::new(&caps),
                failed: Failed::default(),
                tuning: Tuning { quality, speed, prefer: all.get(preferred).copied() },
                wanted,
                size: size(width, height),
                alpha,
                content: [Content::Flat, Content::Mixed, Content::Photo][content],
                rapid,
            };
            if let Some(choice) = choose(&q) {
                prop_assert!(codings.contains(&choice.how.coding()));
                prop_assert!(!choice.alpha || (alpha && transparency));
                if let How::Raw(raw) = choice.how {
                    prop_assert!(orders.contains(&raw.order()));
                    prop_assert!(!raw.lz4() || lz4);
                }
                prop_assert!((1..=100).contains(&choice.how.quality()));
                prop_assert!(choice.best || !choice.how.lossless());
                if wanted == Some(100) {
                    prop_assert!(choice.best);
                }
            } else {
                let raw = |c: &Coding| matches!(c, Coding::Rgb24 | Coding::Rgb32);
                let webp_only = codings.iter().all(|c| *c == Coding::Webp || raw(c));
                prop_assert!(codings.iter().all(raw) && (orders.is_empty() || codings.is_empty())
                    || webp_only && width.max(height) == 16384);
            }
        }
    }
}
