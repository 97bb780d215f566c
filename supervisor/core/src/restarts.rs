//! When a worker that died is started again. Pure: the time is an argument.

use policy::{Restart, Role};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The deaths of one worker's place.
#[derive(Debug)]
pub struct Restarts {
    policy: Restart,
    deaths: VecDeque<Instant>,
    /// All of them, for `info`.
    pub total: u32,
    violations: u32,
}

/// What follows a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A new one after this pause.
    After(Duration),
    /// No new one in this session.
    Off,
}

impl Restarts {
    /// For a role, as its policy says.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self {
            policy: policy::of(role).restart,
            deaths: VecDeque::new(),
            total: 0,
            violations: 0,
        }
    }

    /// The worker has died, by its sandbox or otherwise.
    pub fn died(&mut self, by_sandbox: bool, now: Instant) -> Verdict {
        self.total = self.total.saturating_add(1);
        self.violations = self.violations.saturating_add(u32::from(by_sandbox));
        let window = Duration::from_secs(self.policy.within_s);
        self.deaths.push_back(now);
        while self
            .deaths
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) > window)
        {
            self.deaths.pop_front();
        }
        let recent = u32::try_from(self.deaths.len()).unwrap_or(u32::MAX);
        if !self.policy.enabled
            || recent >= self.policy.give_up_after
            || self.violations >= self.policy.give_up_after_violations
        {
            return Verdict::Off;
        }
        let longest = Duration::from_millis(self.policy.longest_pause_ms);
        let pause = Duration::from_millis(self.policy.first_pause_ms)
            .saturating_mul(2_u32.saturating_pow(recent.saturating_sub(1)));
        Verdict::After(pause.min(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_the_place_is_given_up() {
        let mut restarts = Restarts::new(Role::Encoder);
        let mut now = Instant::now();
        let mut last = Duration::ZERO;
        let mut pauses = 0;
        while let Verdict::After(pause) = restarts.died(false, now) {
            assert!(pause >= last);
            assert!(pauses > 0 || pause <= Duration::from_millis(50));
            (last, pauses) = (pause, pauses + 1);
            now += pause;
        }
        assert_eq!(pauses + 1, restarts.policy.give_up_after);
    }

    #[test]
    fn a_death_now_and_then_costs_the_first_pause_only() {
        let mut restarts = Restarts::new(Role::Display);
        let start = Instant::now();
        let first = restarts.died(false, start);
        for hour in 1..100 {
            let now = start + Duration::from_secs(3600 * hour);
            assert_eq!(restarts.died(false, now), first);
        }
    }

    #[test]
    fn the_sandbox_is_not_tested_for_long() {
        let mut restarts = Restarts::new(Role::Display);
        let start = Instant::now();
        let deaths = (0..100).find(|hour| {
            restarts.died(true, start + Duration::from_secs(3600 * hour)) == Verdict::Off
        });
        assert_eq!(
            deaths,
            Some(u64::from(restarts.policy.give_up_after_violations) - 1)
        );
    }

    #[test]
    fn a_network_worker_is_never_restarted() {
        assert_eq!(
            Restarts::new(Role::Network).died(false, Instant::now()),
            Verdict::Off
        );
    }
}
