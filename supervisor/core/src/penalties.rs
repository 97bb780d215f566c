//! Where connections come from, and what is held against a source that fails to prove itself. Pure:
//! the time is an argument.
//!
//! The habit is OpenSSH's (`PerSourcePenalties`): failures cost their source time, are forgiven in
//! the end, and are nobody else's. What nobody can tell apart shares them: an address with many
//! users behind it is one source.

use ipc::auth::PeerFacts;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Most sources that are remembered.
const MAX_SOURCES: usize = 4096;
/// One failure is forgiven in this time.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// Failures that cost nothing: everybody mistypes.
const FREE_FAILURES: u32 = 2;
/// The first pause; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Where a connection comes from, as far as penalties go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// An IPv4 address.
    V4([u8; 4]),
    /// The upper half of an IPv6 address: what one customer gets.
    V6([u8; 8]),
    /// A local user.
    User(u32),
}

impl Source {
    /// The source of a peer.
    #[must_use]
    pub fn of(peer: &PeerFacts) -> Self {
        match peer {
            PeerFacts::Unix { uid, .. } => Self::User(*uid),
            PeerFacts::Tcp { address } => match address.ip().to_canonical() {
                IpAddr::V4(address) => Self::V4(address.octets()),
                IpAddr::V6(address) => {
                    let octets = address.octets();
                    Self::V6(*octets.first_chunk().unwrap_or(&[0; 8]))
                }
            },
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Record {
    /// Failures as of `updated`, less the forgiven ones.
    failures: u32,
    updated: Instant,
    until: Instant,
}

impl Record {
    fn forgive(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.updated);
        let times = u32::try_from(passed.as_secs() / FORGIVEN_AFTER.as_secs()).unwrap_or(u32::MAX);
        if times > 0 {
            self.failures = self.failures.saturating_sub(times);
            self.updated += FORGIVEN_AFTER * times;
        }
    }
}

/// The memory of failures.
#[derive(Debug, Default)]
pub struct Penalties {
    records: BTreeMap<Source, Record>,
}

impl Penalties {
    /// Is a connection from here to be closed at once?
    #[must_use]
    pub fn refuses(&self, source: Source, now: Instant) -> bool {
        self.records
            .get(&source)
            .is_some_and(|record| now < record.until)
    }

    /// Failures that are held against a source.
    #[must_use]
    pub fn failures(&self, source: Source, now: Instant) -> u32 {
        self.records.get(&source).map_or(0, |record| {
            let mut record = *record;
            record.forgive(now);
            record.failures
        })
    }

    /// Somebody there has failed to prove who he is.
    pub fn failed(&mut self, source: Source, now: Instant) {
        if !self.records.contains_key(&source) && self.records.len() >= MAX_SOURCES {
            self.forget_one(now);
        }
        let fresh = Record {
            failures: 0,
            updated: now,
            until: now,
        };
        let record = self.records.entry(source).or_insert(fresh);
        record.forgive(now);
        if record.failures == 0 {
            record.updated = now;
        }
        record.failures = record.failures.saturating_add(1);
        if let Some(excess) = record.failures.checked_sub(FREE_FAILURES + 1) {
            let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(excess));
            record.until = now + pause.min(LONGEST_PAUSE);
        }
    }

    /// Makes room: the least penalised goes first, then the oldest.
    fn forget_one(&mut self, now: Instant) {
        let least = self.records.iter().min_by_key(|(_, record)| {
            let mut record = **record;
            record.forgive(now);
            (record.until.max(now), record.failures, record.updated)
        });
        if let Some(source) = least.map(|(source, _)| *source) {
            self.records.remove(&source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: Source = Source::V4([127, 0, 0, 1]);
    const THERE: Source = Source::V4([192, 0, 2, 1]);

    #[test]
    fn sources_are_addresses_networks_and_users() {
        let tcp = |text: &str| {
            Source::of(&PeerFacts::Tcp {
                address: text.parse().unwrap(),
            })
        };
        assert_eq!(tcp("[::ffff:192.0.2.1]:7"), THERE);
        assert_eq!(tcp("[2001:db8::1]:1"), tcp("[2001:db8::ffff]:2"));
        assert_ne!(tcp("[2001:db8::1]:1"), tcp("[2001:db8:0:1::1]:1"));
        assert_eq!(
            Source::of(&PeerFacts::Unix {
                pid: 1,
                uid: 7,
                gid: 8
            }),
            Source::User(7)
        );
    }

    #[test]
    fn a_thousand_wrong_passwords_are_few_attempts_and_hurt_nobody_else() {
        let start = Instant::now();
        let mut penalties = Penalties::default();
        let mut attempts = Vec::new();
        // Ten tries a second for ten minutes.
        for tenth in 0..6000 {
            let now = start + Duration::from_millis(tenth * 100);
            if !penalties.refuses(THERE, now) {
                attempts.push(tenth);
                penalties.failed(THERE, now);
            }
            assert!(!penalties.refuses(HERE, now));
        }
        let in_minute = |minute: u64| {
            attempts
                .iter()
                .filter(|tenth| **tenth / 600 == minute)
                .count()
        };
        assert!(in_minute(0) <= 10, "{attempts:?}");
        for minute in 1..10 {
            assert!(in_minute(minute) <= 2, "{attempts:?}");
        }
        // And is forgiven in the end.
        let later = start + Duration::from_secs(3600);
        assert_eq!(penalties.failures(THERE, later), 0);
        assert!(!penalties.refuses(THERE, later));
    }

    #[test]
    fn a_person_who_mistypes_twice_does_not_wait() {
        let now = Instant::now();
        let mut penalties = Penalties::default();
        for _ in 0..FREE_FAILURES {
            penalties.failed(HERE, now);
            assert!(!penalties.refuses(HERE, now));
        }
        penalties.failed(HERE, now);
        assert!(penalties.refuses(HERE, now));
        assert!(!penalties.refuses(HERE, now + FIRST_PAUSE));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn memory_is_bounded_and_pauses_end(
            sources in proptest::collection::vec((0..20_000_u32, 0..50_u64), 1..3000),
        ) {
            let mut now = Instant::now();
            let mut penalties = Penalties::default();
            for round in 0..3 {
                for (source, millis) in &sources {
                    now += Duration::from_millis(*millis);
                    penalties.failed(Source::User(*source + round * 20_000), now);
                    prop_assert!(penalties.records.len() <= MAX_SOURCES);
                }
            }
            for record in penalties.records.values() {
                prop_assert!(record.until <= now + LONGEST_PAUSE);
            }
        }
    }
}
