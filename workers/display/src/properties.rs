//! Properties of windows, as hostile as the applications that write them: of any type, format and
//! length, changed at any time. What comes out of here is bounded and checked.

use crate::atoms::Atoms;
use ipc::Size;
use ipc::display::SizeConstraints;
use x11rb::protocol::xproto::{AtomEnum, GetPropertyReply};

/// Longest text that goes to clients, in bytes.
const MAX_TEXT: usize = 1024;
/// Longest side of an icon.
const MAX_ICON: u32 = 256;
/// The side of the icon that we choose when there are several.
const GOOD_ICON: u32 = 64;
/// Largest side in size hints.
const MAX_HINT: u32 = 32767;

/// A property's type, format and bytes.
#[derive(Clone, Debug, Default)]
pub struct Property {
    /// The atom of its type; 0 when there is no such property.
    pub kind: u32,
    /// Bits per item: 8, 16 or 32.
    pub format: u8,
    /// Its bytes, as many as were asked for.
    pub value: Vec<u8>,
}

impl From<GetPropertyReply> for Property {
    fn from(reply: GetPropertyReply) -> Self {
        Self {
            kind: reply.type_,
            format: reply.format,
            value: reply.value,
        }
    }
}

impl Property {
    /// Does the window have it?
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.kind != 0
    }

    /// Its items, none unless they have 32 bits.
    pub fn longs(&self) -> impl Iterator<Item = u32> {
        let bytes = if self.format == 32 {
            &self.value[..]
        } else {
            &[]
        };
        bytes
            .chunks_exact(4)
            .map(|c| u32::from_ne_bytes([c[0], c[1], c[2], c[3]]))
    }

    fn list(&self) -> Vec<u32> {
        self.longs().collect()
    }

    /// Its text, without control characters, at most 1024 bytes.
    #[must_use]
    pub fn text(&self, atoms: &Atoms) -> Option<String> {
        if self.format != 8 || !self.exists() {
            return None;
        }
        Some(clean(&self.decode(atoms, &self.value)))
    }

    /// Its texts that end in NUL (`WM_CLASS`, `WM_COMMAND`), at most `max`.
    #[must_use]
    pub fn texts(&self, atoms: &Atoms, max: usize) -> Vec<String> {
        if self.format != 8 {
            return Vec::new();
        }
        let value = self.value.strip_suffix(&[0]).unwrap_or(&self.value);
        let parts = value.split(|b| *b == 0).take(max);
        parts.map(|part| clean(&self.decode(atoms, part))).collect()
    }

    fn decode(&self, atoms: &Atoms, bytes: &[u8]) -> String {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) if self.kind == atoms.UTF8_STRING => String::from_utf8_lossy(bytes).into_owned(),
            // STRING is Latin-1 (ICCCM 2.7.1); of COMPOUND_TEXT that is what we understand.
            Err(_) => bytes.iter().map(|b| char::from(*b)).collect(),
        }
    }

    /// Its first item as a number.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        let expected = [AtomEnum::CARDINAL, AtomEnum::WINDOW].map(u32::from);
        expected
            .contains(&self.kind)
            .then(|| self.longs().next())
            .flatten()
    }
}

/// Text without control characters and cut to what a message may hold.
fn clean(text: &str) -> String {
    let invisible = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let mut clean = String::new();
    for c in text.chars().filter(|c| !invisible(*c)) {
        if clean.len() + c.len_utf8() > MAX_TEXT {
            break;
        }
        clean.push(c);
    }
    clean
}

/// The first `max` bytes of a text.
#[must_use]
pub fn shorten(text: &str, max: usize) -> String {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// `WM_NORMAL_HINTS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NormalHints {
    /// What goes to clients.
    pub constraints: SizeConstraints,
    /// The person chose the position.
    pub user_position: bool,
    /// The program chose the position.
    pub program_position: bool,
}

/// Reads `WM_NORMAL_HINTS` (ICCCM 4.1.2.3). What is out of range is as if it were not there.
#[must_use]
pub fn normal_hints(property: &Property) -> NormalHints {
    let items = property.list();
    let flags = items.first().copied().unwrap_or(0);
    let item = |bit: u32, at: usize| (flags & bit != 0).then(|| items.get(at).copied()).flatten();
    let side = |v: u32| u16::try_from(v).ok().filter(|v| u32::from(*v) <= MAX_HINT);
    let pair = |bit, at| Some((side(item(bit, at)?)?, side(item(bit, at + 1)?)?));
    let ratio = |at| match (item(128, at)?, item(128, at + 1)?) {
        (n, d) if (1..=MAX_HINT).contains(&n) && (1..=MAX_HINT).contains(&d) => Some((n, d)),
        _ => None,
    };
    let minimum: Option<(u16, u16)> = pair(16, 5);
    let least = minimum.unwrap_or((1, 1));
    // Larger than any window is no limit.
    let limit = |v: u32| side(v.min(MAX_HINT));
    let maximum = item(32, 7)
        .zip(item(32, 8))
        .and_then(|(w, h)| Some((limit(w)?, limit(h)?)))
        .filter(|(w, h)| *w >= least.0.max(1) && *h >= least.1.max(1));
    let gravity = item(512, 17)
        .and_then(|g| u8::try_from(g).ok())
        .filter(|g| (1..=10).contains(g));
    let constraints = SizeConstraints {
        minimum,
        maximum,
        base: pair(256, 15),
        increment: pair(64, 9).filter(|(w, h)| *w > 0 && *h > 0),
        minimum_aspect: ratio(11),
        maximum_aspect: ratio(13),
        gravity,
    };
    NormalHints {
        constraints,
        user_position: flags & 1 != 0,
        program_position: flags & 4 != 0,
    }
}

/// `WM_HINTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hints {
    /// The window manager gives it the focus.
    pub input: bool,
    /// It wants to start as an icon.
    pub iconic: bool,
    /// The leader of its window group.
    pub leader: Option<u32>,
}

/// Reads `WM_HINTS` (ICCCM 4.1.2.4).
#[must_use]
pub fn hints(property: &Property) -> Hints {
    let items = property.list();
    let flags = items.first().copied().unwrap_or(0);
    let item = |bit: u32, at: usize| (flags & bit != 0).then(|| items.get(at).copied()).flatten();
    Hints {
        input: item(1, 1) != Some(0),
        iconic: item(2, 2) == Some(3),
        leader: item(64, 8).filter(|leader| *leader != 0),
    }
}

/// `_MOTIF_WM_HINTS` decorations; -1 is the default.
#[must_use]
pub fn decorations(property: &Property) -> i32 {
    /// The decorations that Motif knows.
    const KNOWN: u32 = 0x7f;
    let items = property.list();
    match (items.first(), items.get(2)) {
        (Some(flags), Some(value)) if flags & 2 != 0 => i32::try_from(value & KNOWN).unwrap_or(-1),
        _ => -1,
    }
}

/// A window's icon, premultiplied BGRA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icon {
    /// Its extent, at most 256×256.
    pub size: Size,
    /// Its pixels, tightly packed.
    pub pixels: Vec<u8>,
}

/// Chooses one picture of `_NET_WM_ICON` (EWMH): the smallest that is at least 64 pixels wide, or
/// else the largest.
#[must_use]
pub fn icon(property: &Property) -> Option<Icon> {
    let items = property.list();
    let mut rest = &items[..];
    let mut best: Option<(Size, &[u32])> = None;
    while let [width, height, after @ ..] = rest {
        let count = width
            .checked_mul(*height)
            .and_then(|c| usize::try_from(c).ok());
        let Some(pixels) = count.and_then(|count| after.get(..count)) else {
            break;
        };
        if pixels.is_empty() {
            break;
        }
        rest = &after[pixels.len()..];
        if *width > MAX_ICON || *height > MAX_ICON {
            continue;
        }
        let Some(size) = Size::new(*width, *height) else {
            continue;
        };
        let good = |size: Size| u32::from(size.width()) >= GOOD_ICON;
        let better = best.is_none_or(|(old, _)| match (good(old), good(size)) {
            (true, true) => size.width() < old.width(),
            (false, false) => size.width() > old.width(),
            (_, new_is_good) => new_is_good,
        });
        if better {
            best = Some((size, pixels));
        }
    }
    let (size, pixels) = best?;
    Some(Icon {
        size,
        pixels: pixels.iter().flat_map(|argb| premultiply(*argb)).collect(),
    })
}

fn premultiply(argb: u32) -> [u8; 4] {
    let [b, g, r, a] = argb.to_le_bytes();
    // At most 255 * 255 + 127, divided by 255: fits in a byte.
    let by_alpha = |c: u8| ((u16::from(c) * u16::from(a) + 127) / 255).to_le_bytes()[0];
    [by_alpha(b), by_alpha(g), by_alpha(r), a]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn longs(items: &[u32]) -> Property {
        let value = items.iter().flat_map(|i| i.to_ne_bytes()).collect();
        Property {
            kind: u32::from(AtomEnum::CARDINAL),
            format: 32,
            value,
        }
    }

    #[test]
    fn text_is_cut_between_characters_and_has_no_control_characters() {
        assert_eq!(clean("a\0b\nc\u{1b}[2Jé\u{7f}"), "abc[2Jé");
        let long = clean(&"é".repeat(2000));
        assert_eq!(long.len(), 1024);
        assert_eq!(shorten("aé", 2), "a");
    }

    #[test]
    fn size_hints_out_of_range_are_ignored() {
        let mut items = [0u32; 18];
        items[0] = 16 | 32 | 64 | 128 | 256 | 512 | 1;
        items[5..9].copy_from_slice(&[10, 20, u32::MAX, 40]);
        items[9..11].copy_from_slice(&[0, 3]);
        items[11..15].copy_from_slice(&[1, 2, 3, 0]);
        items[15..18].copy_from_slice(&[5, 70000, 11]);
        let hints = normal_hints(&longs(&items));
        assert!(hints.user_position && !hints.program_position);
        assert_eq!(hints.constraints.minimum, Some((10, 20)));
        assert_eq!(hints.constraints.maximum, Some((32767, 40)));
        assert_eq!(hints.constraints.increment, None);
        assert_eq!(hints.constraints.minimum_aspect, Some((1, 2)));
        assert_eq!(hints.constraints.maximum_aspect, None);
        assert_eq!(
            (hints.constraints.base, hints.constraints.gravity),
            (None, None)
        );
    }

    #[test]
    fn a_maximum_below_the_minimum_is_ignored() {
        let mut items = [0u32; 18];
        items[0] = 16 | 32;
        items[5..9].copy_from_slice(&[100, 100, 50, 200]);
        assert_eq!(normal_hints(&longs(&items)).constraints.maximum, None);
    }

    #[test]
    fn an_icon_of_a_good_size_is_chosen_and_premultiplied() {
        let picture = |side: u32, argb: u32| {
            let mut items = vec![side, side];
            items.resize(2 + (side * side) as usize, argb);
            items
        };
        let all = [
            picture(16, 1),
            picture(128, 2),
            picture(64, 0x8000_ff40),
            picture(300, 3),
        ]
        .concat();
        let chosen = icon(&longs(&all)).unwrap();
        assert_eq!(chosen.size, Size::new(64, 64).unwrap());
        assert_eq!(chosen.pixels[..4], [0x20, 0x80, 0, 0x80]);
        let small = [picture(8, 1), picture(24, 2), picture(16, 3)].concat();
        assert_eq!(icon(&longs(&small)).unwrap().size.width(), 24);
        assert_eq!(icon(&longs(&[300, 300])), None);
        assert_eq!(icon(&longs(&[0, 0, 16])), None);
        assert_eq!(icon(&longs(&[u32::MAX, u32::MAX, 1])), None);
    }

    #[test]
    fn decorations_need_their_flag() {
        assert_eq!(decorations(&longs(&[2, 0, 0, 0, 0])), 0);
        assert_eq!(decorations(&longs(&[0, 0, 0, 0, 0])), -1);
        assert_eq!(decorations(&longs(&[2, 0, u32::MAX])), 0x7f);
        assert_eq!(decorations(&longs(&[2])), -1);
    }

    proptest! {
        #[test]
        fn no_bytes_of_any_format_do_harm(
            kind in 0..100u32,
            format in any::<u8>(),
            value in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let property = Property { kind, format, value };
            let hints = normal_hints(&property).constraints;
            if let (Some(min), Some(max)) = (hints.minimum, hints.maximum) {
                prop_assert!(min.0 <= max.0 && min.1 <= max.1);
            }
            let _ = (super::hints(&property), decorations(&property), property.number());
            if let Some(icon) = icon(&property) {
                prop_assert_eq!(icon.pixels.len(), icon.size.bytes() as usize);
            }
        }

        #[test]
        fn premultiplied_colours_never_exceed_alpha(argb in any::<u32>()) {
            let [b, g, r, a] = premultiply(argb);
            prop_assert!(b <= a && g <= a && r <= a);
        }
    }
}
