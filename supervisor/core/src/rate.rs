//! How often something may happen: a token bucket. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// So many at once, and so many per second in the long run.
#[derive(Debug)]
pub struct Bucket {
    capacity: u32,
    tokens: u32,
    /// One more token in this time.
    interval: Duration,
    /// The tokens are those of this time.
    filled: Instant,
}

impl Bucket {
    /// A full bucket. `per_second` is at least 1.
    #[must_use]
    pub fn new(capacity: u32, per_second: u32, now: Instant) -> Self {
        Self {
            capacity,
            tokens: capacity,
            interval: Duration::from_secs(1) / per_second.max(1),
            filled: now,
        }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled);
        let earned = passed.as_nanos() / self.interval.as_nanos();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned >= self.capacity - self.tokens {
            (self.tokens, self.filled) = (self.capacity, now);
        } else {
            self.tokens += earned;
            self.filled += self.interval * earned;
        }
    }

    /// May it happen now? Then it has.
    pub fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let granted = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        granted
    }

    /// When it may happen, if not now.
    pub fn wait(&mut self, now: Instant) -> Option<Instant> {
        self.fill(now);
        (self.tokens == 0).then(|| self.filled + self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_allowed_and_never_less(
            capacity in 1..100_u32,
            per_second in 1..200_u32,
            pauses in proptest::collection::vec(0..50_u64, 1..500),
        ) {
            let start = Instant::now();
            let mut bucket = Bucket::new(capacity, per_second, start);
            let (mut now, mut taken) = (start, 0_u32);
            for pause in pauses {
                now += Duration::from_millis(pause);
                let wait = bucket.wait(now);
                if bucket.take(now) {
                    prop_assert!(wait.is_none());
                    taken += 1;
                } else {
                    let wait = wait.unwrap();
                    prop_assert!(wait > now && wait <= now + Duration::from_secs(1) / per_second);
                }
                let most = f64::from(capacity) + (now - start).as_secs_f64() * f64::from(per_second);
                prop_assert!(f64::from(taken) <= most + 0.001);
            }
            // Whoever waits as long as he is told gets his turn.
            while let Some(wait) = bucket.wait(now) {
                now = wait;
            }
            prop_assert!(bucket.take(now));
        }
    }
}
