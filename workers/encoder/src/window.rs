//! What is kept per window: how often it changes, and which part of it the client does not have
//! exactly.

use crate::choose::{BIG, Choice};
use crate::region::Region;
use ipc::{Rect, Size};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many big changes …
const RAPID: usize = 5;
/// … within this time are rapid.
const RAPID_TIME: Duration = Duration::from_secs(1);

/// Parts of the window that were asked for again.
struct Refresh {
    quality: u8,
    left: Region,
}

/// One window.
pub struct Window {
    size: Size,
    changed: Instant,
    big_changes: VecDeque<Instant>,
    inexact: Region,
    refresh: Option<Refresh>,
}

impl Window {
    /// A window that was seen for the first time.
    #[must_use]
    pub fn new(size: Size, now: Instant) -> Self {
        Self {
            size,
            changed: now,
            big_changes: VecDeque::new(),
            inexact: Region::default(),
            refresh: None,
        }
    }

    /// A part of it has changed.
    pub fn change(&mut self, size: Size, rect: Rect, now: Instant) {
        if size != self.size {
            self.size = size;
            self.inexact.clip(size);
            if let Some(refresh) = &mut self.refresh {
                refresh.left.clip(size);
            }
        }
        self.changed = now;
        // What we asked for ourselves is no change.
        let area = u32::from(rect.size.width()) * u32::from(rect.size.height());
        if area >= BIG && self.refresh.is_none() {
            if self.big_changes.len() == RAPID {
                self.big_changes.pop_front();
            }
            self.big_changes.push_back(now);
        }
    }

    /// Do large parts of it change many times a second?
    #[must_use]
    pub fn rapid(&self, now: Instant) -> bool {
        let enough = self.big_changes.len() == RAPID;
        let first = self.big_changes.front();
        enough && first.is_some_and(|first| now.saturating_duration_since(*first) < RAPID_TIME)
    }

    /// The quality that was asked for, while a refresh is under way.
    #[must_use]
    pub fn wanted(&self) -> Option<u8> {
        Some(self.refresh.as_ref()?.quality)
    }

    /// A part of it goes to the client.
    pub fn sent(&mut self, rect: Rect, choice: &Choice) {
        if choice.best {
            self.inexact.subtract(rect);
        } else {
            self.inexact.add(rect);
        }
        if let Some(refresh) = &mut self.refresh {
            refresh.left.subtract(rect);
            if refresh.left.is_empty() {
                self.refresh = None;
            }
        }
    }

    /// All of it is asked for again with this quality.
    pub fn ask(&mut self, quality: u8) {
        self.refresh = Some(Refresh {
            quality,
            left: Region::whole(self.size),
        });
    }

    /// What was asked for will not come: `display` is a new one, which knows nothing of it.
    pub fn ask_again_later(&mut self) {
        self.refresh = None;
    }

    /// When a lossless refresh is due, if it is.
    #[must_use]
    pub fn due(&self, quiet: Duration) -> Option<Instant> {
        (!self.inexact.is_empty() && self.refresh.is_none()).then(|| self.changed + quiet)
    }

    /// The lossless refresh begins.
    pub fn begin_refresh(&mut self) {
        self.refresh = Some(Refresh {
            quality: 100,
            left: self.inexact.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choose::How;
    use crate::offer::{Offer, everything};

    const QUIET: Duration = Duration::from_millis(150);

    fn choices() -> (Choice, Choice) {
        let offer = Offer::new(&everything());
        let lossy = How::Jpeg(offer.jpeg.unwrap(), 80);
        let exact = How::Raw(offer.raw.unwrap());
        (
            Choice {
                how: lossy,
                alpha: false,
                best: false,
            },
            Choice {
                how: exact,
                alpha: false,
                best: true,
            },
        )
    }

    #[test]
    fn what_is_inexact_is_refreshed_after_quiet() {
        let (lossy, exact) = choices();
        let (size, now) = (Size::new(640, 480).unwrap(), Instant::now());
        let half = Rect {
            x: 0,
            y: 0,
            size: Size::new(640, 240).unwrap(),
        };
        let other = Rect { y: 240, ..half };
        let mut window = Window::new(size, now);
        window.change(size, half, now);
        assert_eq!(window.due(QUIET), None);
        window.sent(half, &lossy);
        assert_eq!(window.due(QUIET), Some(now + QUIET));
        window.begin_refresh();
        assert_eq!((window.due(QUIET), window.wanted()), (None, Some(100)));
        window.sent(other, &exact);
        assert_eq!(window.wanted(), Some(100));
        window.sent(half, &exact);
        assert_eq!((window.due(QUIET), window.wanted()), (None, None));
    }

    #[test]
    fn a_window_that_shrinks_owes_no_more_than_it_shows() {
        let (lossy, _) = choices();
        let (size, now) = (Size::new(640, 480).unwrap(), Instant::now());
        let mut window = Window::new(size, now);
        window.sent(
            Rect {
                x: 600,
                y: 400,
                size: Size::new(40, 80).unwrap(),
            },
            &lossy,
        );
        let small = Size::new(100, 100).unwrap();
        window.change(small, small.rect(), now);
        assert_eq!(window.due(QUIET), None);
    }

    #[test]
    fn five_big_changes_a_second_are_rapid() {
        let (size, now) = (Size::new(640, 480).unwrap(), Instant::now());
        let mut window = Window::new(size, now);
        let small = Size::new(100, 100).unwrap().rect();
        for n in 0..5 {
            assert!(!window.rapid(now));
            window.change(size, small, now);
            window.change(size, size.rect(), now + Duration::from_millis(n * 100));
        }
        assert!(window.rapid(now + Duration::from_millis(900)));
        assert!(!window.rapid(now + Duration::from_millis(1000)));
    }
}
