//! Letters of our own, because X servers need not have fonts: `font.txt` shows them, five points wide
//! and nine high, of which the last two are below the line.

/// Points of a letter from left to right.
pub const WIDTH: usize = 5;
/// Points of a letter from top to bottom.
pub const HEIGHT: usize = 9;

/// A letter: a row of points in each byte, the leftmost one is the fifth bit from the right.
pub type Glyph = [u8; HEIGHT];

/// The first of the letters that there are: they are those of ASCII that can be printed.
const FIRST: u8 = b' ';
/// How many there are.
const COUNT: usize = 95;
/// How many stand beside each other in the file.
const BESIDE: usize = 19;

/// In place of what there is no letter for.
const BOX: Glyph = [0x1f, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1f, 0, 0];

static GLYPHS: [Glyph; COUNT] = read(include_bytes!("font.txt"));

const fn read(text: &[u8]) -> [Glyph; COUNT] {
    let line = BESIDE * (WIDTH + 1);
    let mut glyphs = [[0; HEIGHT]; COUNT];
    let mut at = 0;
    while at < COUNT * HEIGHT * WIDTH {
        let (glyph, row, column) = (at / (HEIGHT * WIDTH), at / WIDTH % HEIGHT, at % WIDTH);
        let above = glyph / BESIDE * HEIGHT + row;
        let point = text[above * line + glyph % BESIDE * (WIDTH + 1) + column];
        assert!(point == b'#' || point == b'.', "a point is # or .");
        glyphs[glyph][row] = glyphs[glyph][row] << 1 | (point == b'#') as u8;
        at += 1;
    }
    glyphs
}

/// The letter for a character; a box for those that there is none for.
#[must_use]
pub fn glyph(letter: char) -> &'static Glyph {
    let place = u32::from(letter).checked_sub(FIRST.into());
    let place = place.and_then(|place| usize::try_from(place).ok());
    place.and_then(|it| GLYPHS.get(it)).unwrap_or(&BOX)
}

/// The lit points of a row, from left to right, those beside each other together: where they begin, and
/// how many they are.
pub fn runs(row: u8) -> impl Iterator<Item = (usize, usize)> {
    let lit = move |column: usize| column < WIDTH && row >> (WIDTH - 1 - column) & 1 == 1;
    let mut column = 0;
    std::iter::from_fn(move || {
        let start = (column..WIDTH).find(|it| lit(*it))?;
        let end = (start..).find(|it| !lit(*it))?;
        column = end;
        Some((start, end - start))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::spec::Letters;
    use std::collections::BTreeSet;

    #[test]
    fn every_letter_is_another() {
        let printable = || (b' '..=b'~').map(char::from);
        let different: BTreeSet<&Glyph> = printable().map(glyph).collect();
        assert_eq!(different.len(), COUNT);
        assert!(!different.contains(&BOX));
        for odd in [
            '\0',
            '\n',
            '\u{1b}',
            '\u{7f}',
            'é',
            '\u{202e}',
            '\u{10ffff}',
        ] {
            assert_eq!(glyph(odd), &BOX);
        }
        assert_eq!(
            glyph('L'),
            &[0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f, 0, 0]
        );
        assert_eq!(glyph('~')[3], 0b10101);
    }

    #[test]
    fn the_letters_of_codes_can_be_seen() {
        for kind in [Letters::Digits, Letters::Alpha, Letters::Alphanumeric] {
            for letter in kind.all() {
                assert_ne!(glyph(char::from(*letter)), &BOX);
            }
        }
    }

    #[test]
    fn points_beside_each_other_are_one_run() {
        let of = |row| runs(row).collect::<Vec<_>>();
        assert_eq!(of(0), []);
        assert_eq!(of(0b11111), [(0, 5)]);
        assert_eq!(of(0b10101), [(0, 1), (2, 1), (4, 1)]);
        assert_eq!(of(0b01101), [(1, 2), (4, 1)]);
    }
}
