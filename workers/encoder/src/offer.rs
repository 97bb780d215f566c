//! What the client can show. Made once from its hello; a coding that is not in it cannot be
//! named, because the tokens that [`crate::choose`] works with are made here only
//! (security goal A3).

use ipc::frames::{Coding, PictureCaps, RgbFormat};
use std::time::Duration;

/// Proof that the client takes raw pixels, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raw {
    name: Coding,
    order: RgbFormat,
    lz4: bool,
}

impl Raw {
    /// `rgb24` or `rgb32`. The bytes per pixel are those of the order, whatever the name.
    #[must_use]
    pub fn name(self) -> Coding {
        self.name
    }

    /// Byte order.
    #[must_use]
    pub fn order(self) -> RgbFormat {
        self.order
    }

    /// The client can decompress LZ4.
    #[must_use]
    pub fn lz4(self) -> bool {
        self.lz4
    }
}

macro_rules! tokens {
    ($($name:ident),*) => { $(
        #[doc = concat!("Proof that the client takes ", stringify!($name), ".")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(());
    )* };
}
tokens!(Png, Jpeg, Webp);

/// Form of an icon or cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IconForm {
    png: bool,
    max: (u16, u16),
}

impl IconForm {
    /// PNG (straight alpha), else raw `BGRA` (premultiplied).
    #[must_use]
    pub fn png(self) -> bool {
        self.png
    }

    /// Largest width and height.
    #[must_use]
    pub fn max(self) -> (u16, u16) {
        self.max
    }

    fn new(png: bool, raw: bool, max: Option<(u16, u16)>) -> Option<Self> {
        let (width, height) = max.unwrap_or((u16::MAX, u16::MAX));
        // Zero is what a client says that has no wish.
        let side = |side: u16| if side == 0 { u16::MAX } else { side };
        (png || raw).then_some(Self {
            png,
            max: (side(width), side(height)),
        })
    }
}

/// The negotiated set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Raw pixels without alpha.
    pub raw: Option<Raw>,
    /// Raw pixels with (premultiplied) alpha.
    pub raw_alpha: Option<Raw>,
    /// PNG.
    pub png: Option<Png>,
    /// JPEG.
    pub jpeg: Option<Jpeg>,
    /// WebP.
    pub webp: Option<Webp>,
    /// It can draw alpha.
    pub transparency: bool,
    /// Window icons.
    pub icon: Option<IconForm>,
    /// Cursors.
    pub cursor: Option<IconForm>,
    /// Quiet before a lossless refresh.
    pub refresh_after: Duration,
}

/// Orders without alpha, the cheapest first. The last two carry an alpha of 255.
const OPAQUE: [RgbFormat; 6] = {
    use RgbFormat::{Bgr, Bgra, Bgrx, Rgb, Rgba, Rgbx};
    [Bgrx, Rgbx, Bgr, Rgb, Bgra, Rgba]
};
/// Orders with alpha, the cheapest first.
const ALPHA: [RgbFormat; 2] = [RgbFormat::Bgra, RgbFormat::Rgba];
/// A client that wants no delay would get everything twice.
const SHORTEST_DELAY: Duration = Duration::from_millis(50);

impl Offer {
    /// Takes over what the client announced.
    #[must_use]
    pub fn new(caps: &PictureCaps) -> Self {
        let takes = |coding: Coding| caps.codings.contains(&coding);
        let raw = |orders: &[RgbFormat], names: [Coding; 2]| {
            let order = *orders
                .iter()
                .find(|order| caps.rgb_formats.contains(order))?;
            let name = names.into_iter().find(|name| takes(*name))?;
            Some(Raw {
                name,
                order,
                lz4: caps.rgb_lz4,
            })
        };
        Self {
            raw: raw(&OPAQUE, [Coding::Rgb24, Coding::Rgb32]),
            raw_alpha: raw(&ALPHA, [Coding::Rgb32, Coding::Rgb24]),
            png: takes(Coding::Png).then_some(Png(())),
            jpeg: takes(Coding::Jpeg).then_some(Jpeg(())),
            webp: takes(Coding::Webp).then_some(Webp(())),
            transparency: caps.transparency,
            icon: IconForm::new(caps.icon_png, caps.icon_bgra, caps.icon_max),
            cursor: IconForm::new(caps.cursor_png, caps.cursor_raw, caps.cursor_max),
            refresh_after: Duration::from_millis(caps.auto_refresh_delay.into())
                .max(SHORTEST_DELAY),
        }
    }

    /// Can the client draw anything?
    #[must_use]
    pub fn draws(&self) -> bool {
        use Coding::{Jpeg, Png, Rgb24, Webp};
        [Rgb24, Png, Jpeg, Webp].into_iter().any(|c| self.has(c))
    }

    /// Did the client announce this coding?
    #[must_use]
    pub fn has(&self, coding: Coding) -> bool {
        let raw = |name| {
            [self.raw, self.raw_alpha]
                .into_iter()
                .flatten()
                .any(|raw| raw.name == name)
        };
        match coding {
            Coding::Rgb24 | Coding::Rgb32 => raw(Coding::Rgb24) || raw(Coding::Rgb32),
            Coding::Png => self.png.is_some(),
            Coding::Jpeg => self.jpeg.is_some(),
            Coding::Webp => self.webp.is_some(),
        }
    }
}

/// Everything a client can take: for warming up, and for tests.
#[must_use]
pub fn everything() -> PictureCaps {
    use Coding::{Jpeg, Png, Rgb24, Rgb32, Webp};
    PictureCaps {
        codings: vec![Rgb24, Rgb32, Png, Jpeg, Webp],
        rgb_formats: vec![RgbFormat::Bgrx, RgbFormat::Bgra],
        rgb_lz4: true,
        transparency: true,
        icon_png: true,
        icon_bgra: true,
        icon_max: Some((64, 64)),
        cursor_raw: true,
        cursor_png: true,
        cursor_max: Some((128, 128)),
        quality: None,
        speed: None,
        auto_refresh_delay: 150,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gtk_client_gets_its_own_orders() {
        let offer = Offer::new(&everything());
        let (raw, alpha) = (offer.raw.unwrap(), offer.raw_alpha.unwrap());
        assert_eq!((raw.name(), raw.order()), (Coding::Rgb24, RgbFormat::Bgrx));
        assert_eq!(
            (alpha.name(), alpha.order()),
            (Coding::Rgb32, RgbFormat::Bgra)
        );
    }

    #[test]
    fn an_html5_client_gets_rgbx() {
        use RgbFormat::{Rgb, Rgba, Rgbx};
        let caps = PictureCaps {
            codings: vec![Coding::Rgb32, Coding::Png],
            rgb_formats: vec![Rgb, Rgba, Rgbx],
            ..everything()
        };
        let offer = Offer::new(&caps);
        assert_eq!(offer.raw.unwrap().order(), Rgbx);
        assert_eq!(offer.raw_alpha.unwrap().order(), Rgba);
        assert!(!offer.has(Coding::Webp) && offer.has(Coding::Png));
    }

    #[test]
    fn nothing_announced_is_nothing_offered() {
        let offer = Offer::new(&PictureCaps {
            codings: vec![],
            icon_png: false,
            icon_bgra: false,
            cursor_png: false,
            cursor_raw: false,
            ..everything()
        });
        let all = [
            Coding::Rgb24,
            Coding::Rgb32,
            Coding::Png,
            Coding::Jpeg,
            Coding::Webp,
        ];
        assert!(!all.into_iter().any(|coding| offer.has(coding)));
        assert!(offer.icon.is_none() && offer.cursor.is_none());
        // Names without an order, or an order without a name, are nothing either.
        let offer = Offer::new(&PictureCaps {
            rgb_formats: vec![],
            ..everything()
        });
        assert!(offer.raw.is_none() && offer.raw_alpha.is_none());
    }

    #[test]
    fn zero_is_no_wish() {
        let caps = PictureCaps {
            icon_max: Some((0, 48)),
            auto_refresh_delay: 0,
            ..everything()
        };
        let offer = Offer::new(&caps);
        assert_eq!(offer.icon.unwrap().max(), (u16::MAX, 48));
        assert_eq!(offer.refresh_after, SHORTEST_DELAY);
    }
}
