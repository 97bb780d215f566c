//! What is expensive is done at once when it has not been done lately, else a little later, and
//! then once for all who have asked meanwhile.

use std::time::{Duration, Instant};

/// The time between two of the same kind.
pub const PAUSE: Duration = Duration::from_millis(100);

/// One kind of expensive work.
#[derive(Debug, Default)]
pub struct Pace {
    wanted: bool,
    last: Option<Instant>,
}

impl Pace {
    /// It is to be done.
    pub fn want(&mut self) {
        self.wanted = true;
    }

    /// Has it been asked for, and not been done yet?
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// When it is to be done, if it is.
    #[must_use]
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let next = self.last.map_or(now, |last| last + PAUSE);
        self.wanted.then_some(next)
    }

    /// Is it to be done now? Then it counts as done.
    pub fn take(&mut self, now: Instant) -> bool {
        let due = self.next(now).is_some_and(|next| next <= now);
        if due {
            *self = Self {
                wanted: false,
                last: Some(now),
            };
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_at_once_the_others_together() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert!(!pace.take(start));
        pace.want();
        assert!(pace.take(start) && !pace.is_wanted());
        let soon = start + PAUSE / 10;
        pace.want();
        pace.want();
        assert!(!pace.take(soon) && pace.is_wanted());
        assert_eq!(pace.next(soon), Some(start + PAUSE));
        assert!(pace.take(start + PAUSE));
        assert!(!pace.take(start + PAUSE * 2));
    }
}
