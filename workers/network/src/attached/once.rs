//! What the person did that must be done once, not never and not twice, although a `display` may
//! end before it has done it.
//!
//! Each such message has a number, counted from 1. A `display` writes the number of the last one
//! that it has done where the next one finds it; what came after that is said again.

use ipc::display::NetworkToDisplay;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most messages that are kept. Far more than a person does in the time below.
const MAX_KEPT: usize = 512;
/// What was said so long ago has been done.
const KEPT: Duration = Duration::from_secs(5);

/// The messages that may not have been done yet.
#[derive(Debug, Default)]
pub struct Once {
    /// How many have been said.
    said: u64,
    /// The last of them, oldest first.
    kept: VecDeque<(Instant, NetworkToDisplay)>,
}

impl Once {
    /// Would the next one push out one that may still be needed?
    pub fn is_full(&self) -> bool {
        self.kept.len() >= MAX_KEPT
    }

    /// How many have been said.
    pub fn said(&self) -> u64 {
        self.said
    }

    /// Counts a message that is said now, if it is one of those.
    pub fn say(&mut self, now: Instant, message: &NetworkToDisplay) {
        if message.is_once() {
            self.said += 1;
            if self.kept.len() == MAX_KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back((now, message.clone()));
        }
    }

    /// Forgets what was done long ago: nobody needs to find here what was typed.
    pub fn forget(&mut self, now: Instant) {
        let old = |at: &Instant| now.saturating_duration_since(*at) >= KEPT;
        while self.kept.front().is_some_and(|(at, _)| old(at)) {
            self.kept.pop_front();
        }
    }

    /// The messages that are to be said again, in order, when this many have been done.
    pub fn after(&self, done: u64) -> impl Iterator<Item = &NetworkToDisplay> {
        let left = usize::try_from(self.said.saturating_sub(done)).unwrap_or(usize::MAX);
        let first = self.kept.len().saturating_sub(left);
        self.kept.iter().skip(first).map(|(_, message)| message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::WindowId;

    fn close(xid: u32) -> NetworkToDisplay {
        NetworkToDisplay::Close(WindowId::new(0, xid))
    }

    fn after(once: &Once, done: u64) -> Vec<NetworkToDisplay> {
        once.after(done).cloned().collect()
    }

    #[test]
    fn what_was_not_done_is_said_again_in_order() {
        let (mut once, now) = (Once::default(), Instant::now());
        assert_eq!(after(&once, 0), []);
        for xid in 1..=4 {
            once.say(now, &close(xid));
            once.say(now, &NetworkToDisplay::SetBell(true));
        }
        assert_eq!(once.said(), 4);
        assert_eq!(after(&once, 2), [close(3), close(4)]);
        assert_eq!(after(&once, 4), []);
        assert_eq!(after(&once, 9), [], "more than was said");
    }

    #[test]
    fn no_more_is_kept_than_may_be_needed() {
        let (mut once, now) = (Once::default(), Instant::now());
        for xid in 0..1000 {
            once.say(now, &close(xid));
        }
        assert_eq!(after(&once, 0).len(), MAX_KEPT);
        assert_eq!(after(&once, 999), [close(999)]);
        assert!(once.is_full());
        once.say(now + KEPT, &close(1000));
        once.forget(now + KEPT);
        assert_eq!(after(&once, 0), [close(1000)]);
        assert!(!once.is_full());
        once.forget(now + KEPT * 2);
        assert_eq!(after(&once, 0), []);
    }
}
