//! What is shown, and where. What a client says of itself is shortened, stands on a line of its own, and is
//! made of letters that we have ([`crate::font`]): it cannot look like anything else.

use crate::font::{self, HEIGHT, WIDTH};
use ipc::auth::PeerFacts;
use x11rb::protocol::xproto::Rectangle;

/// Points of the window from left to right.
pub const PAGE_WIDTH: u16 = 720;
/// Points of the window from top to bottom.
pub const PAGE_HEIGHT: u16 = 280;
/// Free at the left and at the right.
const MARGIN: u16 = 24;
/// Points of the screen for a point of a small letter.
const SMALL: u16 = 2;
/// The same for a letter of a short code.
const LARGE: u16 = 8;
/// Most small letters of a line.
const MOST: usize = 56;

/// Where the line with the time is, and how high it is.
pub const TIME: (i16, u16) = (244, 20);

/// A line of text.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    x: u16,
    y: u16,
    scale: u16,
    text: String,
}

impl Line {
    fn small(y: u16, text: &str) -> Self {
        Self {
            x: MARGIN,
            y,
            scale: SMALL,
            text: shorten(text, MOST),
        }
    }

    fn code(y: u16, code: &str) -> Self {
        let columns = u16::try_from(code.chars().count() * (WIDTH + 1)).unwrap_or(u16::MAX);
        let room = PAGE_WIDTH - 2 * MARGIN;
        let scale = room.checked_div(columns).unwrap_or(LARGE).clamp(1, LARGE);
        let left = room.saturating_sub(columns.saturating_mul(scale)) / 2;
        Self {
            x: MARGIN + left,
            y,
            scale,
            text: code.to_owned(),
        }
    }

    /// What is to be filled, so that it can be read.
    fn rectangles(&self) -> impl Iterator<Item = Rectangle> {
        self.text
            .chars()
            .enumerate()
            .flat_map(move |(place, letter)| {
                let rows = font::glyph(letter).iter().enumerate();
                rows.flat_map(move |(row, points)| {
                    font::runs(*points).filter_map(move |(column, count)| {
                        let left = place.checked_mul(WIDTH + 1)?.checked_add(column)?;
                        self.rectangle(left, row, count)
                    })
                })
            })
    }

    fn rectangle(&self, column: usize, row: usize, count: usize) -> Option<Rectangle> {
        let scaled = |points: usize| u16::try_from(points).ok()?.checked_mul(self.scale);
        let at = |start: u16, points| i16::try_from(start.checked_add(scaled(points)?)?).ok();
        Some(Rectangle {
            x: at(self.x, column)?,
            y: at(self.y, row)?,
            width: scaled(count)?,
            height: self.scale,
        })
    }
}

/// At most so many characters; where some are left out there are three points.
fn shorten(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text
            .chars()
            .take(most.saturating_sub(3))
            .chain("...".chars())
            .collect(),
        false => text.to_owned(),
    }
}

/// A page with a code.
#[derive(Debug)]
pub struct Page(Vec<Line>);

impl Page {
    /// For this code, and whoever is to type it.
    #[must_use]
    pub fn new(code: &str, username: &str, peer: &PeerFacts) -> Self {
        let from = match peer {
            PeerFacts::Tcp { address } => {
                format!("{}, port {}", address.ip().to_canonical(), address.port())
            }
            PeerFacts::Unix { pid, uid, .. } => format!("this machine, user {uid}, process {pid}"),
        };
        let name = match username {
            "" => "Says no name.".to_owned(),
            name => format!("Says to be: {name}"),
        };
        Self(vec![
            Line::small(24, "Somebody asks to come into this session."),
            Line::small(60, &format!("From: {from}")),
            Line::small(84, &name),
            Line::code(128, code),
            Line::small(220, "Tell this code only to whom you want to let in."),
        ])
    }

    /// Everything but the time.
    #[must_use]
    pub fn rectangles(&self) -> Vec<Rectangle> {
        self.0.iter().flat_map(Line::rectangles).collect()
    }
}

/// The line with the time that is left.
#[must_use]
pub fn time(seconds: u64) -> Vec<Rectangle> {
    let text = format!("Good once, for {seconds} s. Close this window to refuse.");
    Line::small(TIME.0.unsigned_abs(), &text)
        .rectangles()
        .collect()
}

/// Is all of a line above this one?
const _: () = assert!(HEIGHT * 2 <= TIME.1 as usize && TIME.0 + 20 < PAGE_HEIGHT as i16);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp() -> PeerFacts {
        PeerFacts::Tcp {
            address: "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535"
                .parse()
                .unwrap(),
        }
    }

    fn lies_within(rectangles: &[Rectangle]) -> bool {
        let inside = |it: &Rectangle| {
            let right = u16::try_from(it.x).unwrap() + it.width;
            let below = u16::try_from(it.y).unwrap() + it.height;
            right <= PAGE_WIDTH - MARGIN && below <= PAGE_HEIGHT
        };
        rectangles.iter().all(inside)
    }

    #[test]
    fn a_code_is_as_large_as_there_is_room() {
        for (count, scale) in [(6, 8), (14, 8), (15, 7), (32, 3)] {
            let line = Line::code(0, &"8".repeat(count));
            assert_eq!(line.scale, scale, "{count}");
            assert!(lies_within(&line.rectangles().collect::<Vec<_>>()));
        }
    }

    #[test]
    fn nobody_is_called_so() {
        let name = |name| {
            let page = Page::new("123456", name, &tcp());
            page.0[2].text.clone()
        };
        assert_eq!(name(""), "Says no name.");
        assert_eq!(name("ann"), "Says to be: ann");
        let long = name(&"x".repeat(256));
        assert_eq!((long.len(), &long[50..]), (MOST, "xxx..."));
    }

    #[test]
    fn the_time_is_on_its_line() {
        for seconds in [0, 9, 120, u64::MAX] {
            let rectangles = time(seconds);
            assert!(lies_within(&rectangles));
            let line = TIME.0..TIME.0 + i16::try_from(TIME.1).unwrap();
            assert!(rectangles.iter().all(|it| line.contains(&it.y)));
            let page = Page::new("x", "x", &tcp());
            assert!(page.rectangles().iter().all(|it| !line.contains(&it.y)));
        }
    }

    proptest! {
        #[test]
        fn whatever_a_client_says_stays_on_its_line(name in "\\PC*|(?s:.{0,300})", code in "[a-z0-9]{0,32}") {
            let page = Page::new(&code, &name, &tcp());
            prop_assert!(lies_within(&page.rectangles()));
            let (own, line) = (page.0[2].rectangles(), 84..104);
            prop_assert!(own.into_iter().all(|it| line.contains(&it.y)));
            prop_assert!(page.rectangles().len() < 8000);
        }
    }
}
