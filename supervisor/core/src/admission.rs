//! Who may knock: penalties of sources that fail to prove themselves, and who has to go when too
//! many knock at once. Pure: the time is an argument.
//!
//! The habits are those of OpenSSH (`MaxStartups`, `PerSourcePenalties`), with two differences:
//! a connection that has not sent a byte costs no process, and when there are too many the
//! newest, not a random one, is served: who comes now has not been kept waiting by those who
//! came before.

use ipc::auth::PeerFacts;
use std::cmp::Reverse;
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
/// Most processes of clients that have not proved themselves.
pub const MAX_STRANGERS: usize = 64;
/// Most of them from one source without failures; each failure halves it.
const MAX_STRANGERS_OF_SOURCE: usize = 32;
/// Most connections that wait for a first byte or a process.
pub const MAX_WAITING: usize = 512;
/// So long a stranger is left alone, even if others wait.
pub const STRANGER_GRACE: Duration = Duration::from_millis(500);

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

    /// How many strangers of a source may have a process.
    fn share(&self, source: Source, now: Instant) -> usize {
        let halved = MAX_STRANGERS_OF_SOURCE
            .checked_shr(self.failures(source, now))
            .unwrap_or(0);
        halved.max(1)
    }
}

/// A connection in the eyes of the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knock<Id> {
    /// Which; a newer one has a greater id.
    pub id: Id,
    /// Where it comes from.
    pub source: Source,
    /// Since when.
    pub since: Instant,
}

/// What to do next for those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<Waiting, Stranger> {
    /// Start a process for this one.
    Start(Waiting),
    /// End this stranger's process first.
    Replace {
        /// The one that goes.
        victim: Stranger,
    },
    /// Nothing before this time.
    Wait(Instant),
    /// Nobody waits.
    Nothing,
}

fn count<Id>(knocks: &[Knock<Id>], source: Source) -> usize {
    knocks.iter().filter(|knock| knock.source == source).count()
}

/// Chooses among those who wait with something to say: the least penalised source, then the one
/// with the fewest processes, then the newest connection.
#[must_use]
pub fn next<W: Copy + Ord, S: Copy + Ord>(
    penalties: &Penalties,
    waiting: &[Knock<W>],
    strangers: &[Knock<S>],
    now: Instant,
) -> Next<W, S> {
    let chosen = waiting.iter().min_by_key(|knock| {
        let rank = (
            penalties.failures(knock.source, now),
            count(strangers, knock.source),
        );
        (rank, Reverse((knock.since, knock.id)))
    });
    let Some(chosen) = chosen else {
        return Next::Nothing;
    };
    let own_full = count(strangers, chosen.source) >= penalties.share(chosen.source, now);
    if !own_full && strangers.len() < MAX_STRANGERS {
        return Next::Start(chosen.id);
    }
    let candidates = strangers
        .iter()
        .filter(|knock| !own_full || knock.source == chosen.source);
    let victim = candidates.max_by_key(|knock| {
        let rank = (
            penalties.failures(knock.source, now),
            count(strangers, knock.source),
        );
        (rank, Reverse((knock.since, knock.id)))
    });
    match victim {
        Some(victim) if now >= victim.since + STRANGER_GRACE => Next::Replace { victim: victim.id },
        Some(victim) => Next::Wait(victim.since + STRANGER_GRACE),
        None => Next::Nothing,
    }
}

/// The one to close when too many wait: of the most penalised, then the most crowded source the
/// oldest.
#[must_use]
pub fn to_drop<W: Copy + Ord>(
    penalties: &Penalties,
    waiting: &[Knock<W>],
    now: Instant,
) -> Option<W> {
    waiting
        .iter()
        .max_by_key(|knock| {
            let rank = (
                penalties.failures(knock.source, now),
                count(waiting, knock.source),
            );
            (rank, Reverse((knock.since, knock.id)))
        })
        .map(|knock| knock.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: Source = Source::V4([127, 0, 0, 1]);
    const THERE: Source = Source::V4([192, 0, 2, 1]);

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

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
            let now = after(start, tenth * 100);
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

    /// A crowd that has said something and waits, and then one more.
    fn serve_last(crowd: usize, source_of_last: Source) -> Duration {
        let start = Instant::now();
        let penalties = Penalties::default();
        let mut waiting: Vec<_> = (0..crowd)
            .map(|id| Knock {
                id,
                source: HERE,
                since: after(start, id as u64 / 10),
            })
            .collect();
        // In the same go as the last of the crowd.
        let arrived = after(start, crowd as u64 / 10);
        let mut strangers: Vec<Knock<usize>> = Vec::new();
        let mut now = start;
        loop {
            if now >= arrived && !waiting.iter().any(|knock| knock.id == crowd) {
                waiting.push(Knock {
                    id: crowd,
                    source: source_of_last,
                    since: arrived,
                });
            }
            let present: Vec<_> = waiting
                .iter()
                .filter(|knock| knock.since <= now)
                .copied()
                .collect();
            match next(&penalties, &present, &strangers, now) {
                Next::Start(id) => {
                    if id == crowd {
                        return now - arrived;
                    }
                    let at = waiting.iter().position(|knock| knock.id == id).unwrap();
                    strangers.push(Knock {
                        since: now,
                        ..waiting.swap_remove(at)
                    });
                    // What the start of a process costs.
                    now += Duration::from_millis(5);
                }
                Next::Replace { victim } => strangers.retain(|knock| knock.id != victim),
                Next::Wait(until) => {
                    let next_arrival = waiting
                        .iter()
                        .map(|knock| knock.since)
                        .filter(|at| *at > now);
                    let next_arrival = next_arrival.chain((arrived > now).then_some(arrived)).min();
                    now = next_arrival.map_or(until, |at| until.min(at));
                }
                Next::Nothing => now += Duration::from_millis(1),
            }
        }
    }

    #[test]
    fn a_thousand_half_open_connections_do_not_keep_the_next_one_out() {
        for source in [HERE, THERE] {
            let waited = serve_last(1000, source);
            assert!(
                waited <= Duration::from_millis(600),
                "{source:?} waited {waited:?}"
            );
        }
    }

    #[test]
    fn the_most_penalised_go_first() {
        let start = Instant::now();
        let mut penalties = Penalties::default();
        penalties.failed(THERE, start);
        let knock = |id, source| Knock {
            id,
            source,
            since: after(start, id),
        };
        let waiting = [knock(1, HERE), knock(2, HERE), knock(3, THERE)];
        assert_eq!(to_drop(&penalties, &waiting, start), Some(3));
        assert_eq!(to_drop(&Penalties::default(), &waiting, start), Some(1));
        let none: [Knock<u64>; 0] = [];
        assert_eq!(next(&penalties, &waiting, &none, start), Next::Start(2));
        assert_eq!(to_drop(&penalties, &none, start), None);
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

    proptest! {
        #[test]
        fn strangers_never_exceed_their_number(
            arrivals in proptest::collection::vec((0..200_u8, 0..20_u64), 1..400),
        ) {
            let mut now = Instant::now();
            let penalties = Penalties::default();
            let mut waiting: Vec<Knock<usize>> = Vec::new();
            let mut strangers: Vec<Knock<usize>> = Vec::new();
            for (id, (source, millis)) in arrivals.into_iter().enumerate() {
                now += Duration::from_millis(millis);
                waiting.push(Knock { id, source: Source::User(source.into()), since: now });
                loop {
                    match next(&penalties, &waiting, &strangers, now) {
                        Next::Start(id) => {
                            let at = waiting.iter().position(|knock| knock.id == id).unwrap();
                            strangers.push(Knock { since: now, ..waiting.swap_remove(at) });
                        }
                        Next::Replace { victim } => {
                            let old = strangers.iter().find(|knock| knock.id == victim).unwrap();
                            prop_assert!(now >= old.since + STRANGER_GRACE);
                            strangers.retain(|knock| knock.id != victim);
                        }
                        Next::Wait(until) => {
                            prop_assert!(until > now && until <= now + STRANGER_GRACE);
                            break;
                        }
                        Next::Nothing => break,
                    }
                    prop_assert!(strangers.len() <= MAX_STRANGERS);
                }
            }
        }
    }
}
