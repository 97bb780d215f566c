//! Codes that a session shows on its screen: read there, point by point, as somebody would who sees it.

use crate::eventually;
use crate::screen::{Picture, Screen};
use crate::session::Session;
use std::time::Duration;
use x11rb::protocol::xproto::Window;

/// What the windows are called.
pub const TITLE: &str = "Bulkhead: a code for a login";

/// The letters, as they are drawn: rows of points.
const FONT: &str = include_str!("../../workers/auth-otpscreen/src/font.txt");
/// Points of a letter, and of the room that it has.
const LETTER: (usize, usize, usize) = (5, 9, 6);
/// Where a code is in its window: its first row, and the margins.
const CODE: (usize, usize) = (128, 24);

const LONG: Duration = Duration::from_secs(20);

/// A window with a code.
#[derive(Clone)]
pub struct Shown {
    /// It.
    pub window: Window,
    /// What it looks like.
    pub picture: Picture,
}

/// The windows that can be seen now.
#[must_use]
pub fn all(screen: &Screen) -> Vec<Shown> {
    let windows = screen.windows_named(TITLE).into_iter();
    let seen = |window| {
        let picture = screen.picture(window)?;
        Some(Shown { window, picture })
    };
    windows.filter_map(seen).collect()
}

/// The one window of a session, once it is drawn.
///
/// # Panics
/// When there is none, or more than one.
#[must_use]
pub fn one(session: &Session) -> Shown {
    one_on(&session.screen())
}

/// The one window on a screen, once it is drawn.
///
/// # Panics
/// When there is none, or more than one.
#[must_use]
pub fn one_on(screen: &Screen) -> Shown {
    eventually("a window with a code", LONG, || {
        let mut shown = all(screen);
        assert!(shown.len() <= 1, "{} windows", shown.len());
        shown.pop().filter(Shown::is_drawn)
    })
}

/// No window is left.
///
/// # Panics
/// When one is.
pub fn none_is_left(session: &Session) {
    let screen = session.screen();
    eventually("the end of the windows", LONG, || {
        all(&screen).is_empty().then_some(())
    });
}

impl Shown {
    fn is_dark(&self, x: usize, y: usize) -> bool {
        let at = (y * usize::from(self.picture.width) + x) * 4;
        let pixel = self.picture.pixels.get(at..at + 3);
        pixel.is_some_and(|pixel| pixel.iter().all(|part| *part < 64))
    }

    /// Is everything there, down to the last line?
    #[must_use]
    pub fn is_drawn(&self) -> bool {
        let (width, height) = (self.picture.width.into(), self.picture.height.into());
        (height - 40..height).any(|y| (0..width).any(|x| self.is_dark(x, y)))
    }

    /// The code of so many letters.
    ///
    /// # Panics
    /// When something in it is no letter.
    #[must_use]
    pub fn code(&self, count: usize) -> String {
        let room = usize::from(self.picture.width) - 2 * CODE.1;
        let scale = (room / (LETTER.2 * count)).min(8);
        let left = CODE.1 + (room - LETTER.2 * count * scale) / 2;
        let letter = |place: usize| {
            let dark = |column: usize, row: usize| {
                let x = left + (place * LETTER.2 + column) * scale + scale / 2;
                self.is_dark(x, CODE.0 + row * scale + scale / 2)
            };
            let is_it = |letter: &char| {
                let points = points(*letter);
                (0..LETTER.1).all(|row| (0..LETTER.0).all(|at| dark(at, row) == points[row][at]))
            };
            let found: Vec<char> = (' '..='~').filter(is_it).collect();
            assert_eq!(found.len(), 1, "letter {place}");
            found[0]
        };
        (0..count).map(letter).collect()
    }
}

fn points(letter: char) -> Vec<Vec<bool>> {
    let place = letter as usize - ' ' as usize;
    let lines = FONT.lines().skip(place / 19 * LETTER.1).take(LETTER.1);
    let words = lines.map(|line| line.split(' ').nth(place % 19).unwrap());
    words
        .map(|word| word.chars().map(|c| c == '#').collect())
        .collect()
}
