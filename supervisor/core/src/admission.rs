//! Which of those who knock gets a process, and who has to go when there are too many. Pure: the
//! time and the lots are arguments.
//!
//! Before a client has proved who it is, nothing tells it from an attacker but where it comes
//! from. So:
//!
//! * Between sources it is fair: the one that uses the least, and then the one that was served
//!   the longest ago, is next. When there is no room it takes it, at once, from the source that
//!   uses the most; failures (see [`Penalties`]) make a source count double.
//! * Within a source, every other place goes to the newest, who must not wait for a crowd that
//!   was there before, and every other by lot, as who goes from a full waiting room does (the
//!   random early drop of OpenSSH's `MaxStartups`), and when places become free is by lot too:
//!   no order of arrivals keeps somebody out for certain. A neighbour of a flood who tries again
//!   when he is turned away gets in: after 4 s in the mean of the tests' model where 20 knock in
//!   every millisecond, after 9 s where 149 do.
//! * A connection that has not sent a byte costs no process, and processes of strangers are
//!   started at a bounded rate: nobody makes us start them without end.

use crate::penalties::{Penalties, Source};
use crate::rate::Bucket;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

/// Most processes of clients that have not proved themselves.
const MAX_STRANGERS: usize = 64;
/// Most of them from one source without failures; each failure halves it.
const MAX_STRANGERS_OF_SOURCE: usize = 32;
/// Most connections that wait for a first byte or a process.
const MAX_WAITING: usize = 512;
/// Most of them from one source without failures; each failure halves it. As many clients as a
/// session has places can come back from one address together.
const MAX_WAITING_OF_SOURCE: usize = 128;
/// So long a stranger is left alone when others of sources that use no less wait: at most, and by
/// lot at least half of it. Who knows when a place becomes free could be there just before.
const STRANGER_GRACE: Duration = Duration::from_millis(500);
/// Processes for strangers that are started in one go, and per second in the long run.
const STARTS: u32 = 64;
const STARTS_PER_SECOND: u32 = 100;
/// So long it counts that a source was served; the rate of starts bounds how many there are.
const SERVED_MEMORY: Duration = Duration::from_secs(10);

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

/// Numbers that nobody outside can predict.
#[derive(Debug)]
struct Lots<S> {
    key: S,
    drawn: u64,
}

impl<S: BuildHasher> Lots<S> {
    /// How long this one is left alone; always the same.
    fn grace(&self, id: impl Hash) -> Duration {
        let part = u32::from(u16::try_from(self.key.hash_one(id) >> 48).unwrap_or_default());
        STRANGER_GRACE / 2 + STRANGER_GRACE / 2 * part / u32::from(u16::MAX)
    }

    /// One of them, if there is one.
    fn draw<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        self.drawn += 1;
        let number = usize::try_from(self.key.hash_one(self.drawn) >> 32).unwrap_or_default();
        from.get(number.checked_rem(from.len())?)
    }
}

/// The door.
#[derive(Debug)]
pub struct Admission<S = RandomState> {
    /// What is held against sources.
    pub penalties: Penalties,
    starts: Bucket,
    /// When each source was served last.
    served: BTreeMap<Source, Instant>,
    lots: Lots<S>,
    /// Whose turn it is within a source: the newest's, or one by lot.
    newest: bool,
}

impl Admission {
    /// Nobody has knocked yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self::with_lots(RandomState::new(), now)
    }
}

/// The connections of each source.
fn by_source<Id: Copy>(knocks: &[Knock<Id>]) -> BTreeMap<Source, Vec<Knock<Id>>> {
    let mut sources = BTreeMap::<_, Vec<_>>::new();
    for knock in knocks {
        sources.entry(knock.source).or_default().push(*knock);
    }
    sources
}

/// What a source uses with so many connections: each failure doubles it, until one fills
/// everything that a source may have.
fn load(penalties: &Penalties, source: Source, held: usize, most: usize, now: Instant) -> usize {
    held << penalties.failures(source, now).min(most.ilog2())
}

impl<S: BuildHasher> Admission<S> {
    fn with_lots(key: S, now: Instant) -> Self {
        Self {
            penalties: Penalties::default(),
            starts: Bucket::new(STARTS, STARTS_PER_SECOND, now),
            served: BTreeMap::new(),
            lots: Lots { key, drawn: 0 },
            newest: true,
        }
    }

    /// Chooses among those who wait with something to say.
    pub fn next<W: Copy + Ord, T: Copy + Ord + Hash>(
        &mut self,
        waiting: &[Knock<W>],
        strangers: &[Knock<T>],
        now: Instant,
    ) -> Next<W, T> {
        if waiting.is_empty() {
            return Next::Nothing;
        }
        if let Some(until) = self.starts.wait(now) {
            return Next::Wait(until);
        }
        self.served
            .retain(|_, at| now.saturating_duration_since(*at) < SERVED_MEMORY);
        let inside = by_source(strangers);
        let penalties = &self.penalties;
        let load = |source, more| {
            let held = inside.get(&source).map_or(0, Vec::len) + more;
            load(penalties, source, held, MAX_STRANGERS_OF_SOURCE, now)
        };
        let outside = by_source(waiting);
        let ranked: Vec<_> = outside
            .keys()
            .map(|source| ((load(*source, 1), self.served.get(source)), *source))
            .collect();
        let first = ranked.iter().map(|(rank, _)| *rank).min();
        let equals: Vec<_> = ranked
            .iter()
            .filter(|(rank, _)| Some(*rank) == first)
            .map(|(_, source)| *source)
            .collect();
        let Some(source) = self.lots.draw(&equals).copied() else {
            return Next::Nothing;
        };
        let wanted = load(source, 1);
        let own_full = wanted > MAX_STRANGERS_OF_SOURCE;
        if !own_full && strangers.len() < MAX_STRANGERS {
            let knocks = &outside[&source];
            let chosen = if self.newest {
                knocks.iter().max_by_key(|knock| (knock.since, knock.id))
            } else {
                self.lots.draw(knocks)
            };
            let Some(chosen) = chosen else {
                return Next::Nothing;
            };
            self.newest = !self.newest;
            self.starts.take(now);
            self.served.insert(source, now);
            return Next::Start(chosen.id);
        }
        // Of the source that uses the most, the one whose grace is over first.
        let victim = strangers
            .iter()
            .filter(|knock| !own_full || knock.source == source)
            .map(|knock| {
                let free_at = knock.since + self.lots.grace(knock.id);
                (load(knock.source, 0), Reverse(free_at), knock.id, knock)
            })
            .max_by_key(|(load, free_at, id, _)| (*load, *free_at, Reverse(*id)));
        let Some((used, Reverse(free_at), _, victim)) = victim else {
            return Next::Nothing;
        };
        if now >= free_at || (victim.source != source && used > wanted) {
            Next::Replace { victim: victim.id }
        } else {
            Next::Wait(free_at)
        }
    }

    /// The one to close after `newcomer` has joined those who wait, if there are too many: by
    /// lot, of its own source when that has too many, of the source with the most otherwise.
    pub fn one_too_many<W: Copy + Ord>(
        &mut self,
        newcomer: W,
        waiting: &[Knock<W>],
        now: Instant,
    ) -> Option<W> {
        let sources = by_source(waiting);
        let used = |(source, knocks): (&Source, &Vec<Knock<W>>)| {
            let most = MAX_WAITING_OF_SOURCE;
            (
                load(&self.penalties, *source, knocks.len(), most, now),
                *source,
            )
        };
        let (used, source) = sources.iter().map(used).max()?;
        if used <= MAX_WAITING_OF_SOURCE && waiting.len() <= MAX_WAITING {
            return None;
        }
        let mut others = sources.get(&source)?.clone();
        if others.len() > 1 {
            others.retain(|knock| knock.id != newcomer);
        }
        self.lots.draw(&others).map(|knock| knock.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, VecDeque};
    use std::hash::{BuildHasherDefault, DefaultHasher};

    type Fixed = BuildHasherDefault<DefaultHasher>;

    const HERE: Source = Source::V4([127, 0, 0, 1]);
    const HONEST: usize = usize::MAX;
    /// What an honest client needs to prove who it is, on a busy machine.
    const LOGIN: Duration = Duration::from_millis(200);
    /// So many are taken in within a millisecond, at most, and the others wait in the kernel. That
    /// is an assumption: 50 µs for each, with accept(2) and close(2).
    const ACCEPTED: usize = 20;
    /// So many wait in the kernel (`SOMAXCONN`).
    const BACKLOG: usize = 4096;
    /// As in the session.
    const FIRST_BYTE: Duration = Duration::from_secs(10);

    /// One of an attacker's habits: `size` connections every `period` ms from one of its
    /// sources, each of which leaves `stays` ms after it has got a process.
    #[derive(Clone, Debug)]
    struct Habit {
        source: u8,
        period: u64,
        offset: u64,
        size: usize,
        stays: u64,
    }

    fn habits(sources: u8) -> impl Strategy<Value = Vec<Habit>> {
        let stays = prop_oneof![Just(0), 1..1000_u64, Just(u64::MAX / 2)];
        let habit = (0..sources, 1..1200_u64, 0..1200_u64, 1..150_usize, stays);
        proptest::collection::vec(
            habit.prop_map(|(source, period, offset, size, stays)| Habit {
                source,
                period,
                offset,
                size,
                stays,
            }),
            1..12,
        )
    }

    /// A door and who is before and behind it, in steps of a millisecond.
    struct World {
        admission: Admission<Fixed>,
        /// Of connections that are not taken in yet: their source, and how long they stay.
        backlog: VecDeque<(u8, u64)>,
        waiting: Vec<Knock<usize>>,
        inside: Vec<(Knock<usize>, u64)>,
        stays: BTreeMap<usize, u64>,
        ids: usize,
        start: Instant,
        now: u64,
    }

    impl World {
        fn new() -> Self {
            let start = Instant::now();
            Self {
                admission: Admission::with_lots(Fixed::default(), start),
                backlog: VecDeque::new(),
                waiting: Vec::new(),
                inside: Vec::new(),
                stays: BTreeMap::new(),
                ids: 0,
                start,
                now: 0,
            }
        }

        fn time(&self) -> Instant {
            self.start + Duration::from_millis(self.now)
        }

        fn knock(&mut self, id: usize, source: Source, stays: u64) {
            let since = self.time();
            self.stays.insert(id, stays);
            self.waiting.push(Knock { id, source, since });
            if let Some(gone) = self.admission.one_too_many(id, &self.waiting, since) {
                self.waiting.retain(|knock| knock.id != gone);
            }
            assert!(self.waiting.len() <= MAX_WAITING);
        }

        fn step(&mut self, habits: &[Habit]) {
            self.now += 1;
            for habit in habits {
                if self.now % habit.period == habit.offset % habit.period {
                    let all = std::iter::repeat_n((habit.source, habit.stays), habit.size);
                    self.backlog.extend(all);
                    self.backlog.truncate(BACKLOG);
                }
            }
            for _ in 0..self.backlog.len().min(ACCEPTED) {
                if let Some((source, stays)) = self.backlog.pop_front() {
                    self.ids += 1;
                    self.knock(self.ids, Source::User(source.into()), stays);
                }
            }
            let (now, at) = (self.time(), self.now);
            self.waiting.retain(|knock| now < knock.since + FIRST_BYTE);
            self.inside.retain(|(_, leaves)| *leaves > at);
            loop {
                let strangers: Vec<_> = self.inside.iter().map(|(knock, _)| *knock).collect();
                match self.admission.next(&self.waiting, &strangers, now) {
                    Next::Start(id) => {
                        let place = self.waiting.iter().position(|knock| knock.id == id);
                        let knock = self.waiting.swap_remove(place.unwrap());
                        let leaves = at.saturating_add(self.stays[&id]).max(at + 1);
                        self.inside.push((
                            Knock {
                                since: now,
                                ..knock
                            },
                            leaves,
                        ));
                    }
                    Next::Replace { victim } => self.inside.retain(|(one, _)| one.id != victim),
                    Next::Wait(until) => {
                        assert!(until > now && until <= now + STRANGER_GRACE);
                        break;
                    }
                    Next::Nothing => break,
                }
                assert!(self.inside.len() <= MAX_STRANGERS);
            }
        }

        fn holds(&self, id: usize) -> bool {
            self.inside.iter().any(|(knock, _)| knock.id == id)
        }

        /// An honest client that tries again when it is turned away: how long until it is in.
        fn honest(&mut self, source: Source, habits: &[Habit], patience: Duration) -> Duration {
            let asked = self.now;
            let mut inside_for = 0;
            self.knock(HONEST, source, u64::MAX / 2);
            loop {
                self.step(habits);
                if self.holds(HONEST) {
                    inside_for += 1;
                    if u128::from(inside_for) == LOGIN.as_millis() {
                        self.inside.retain(|(knock, _)| knock.id != HONEST);
                        let took = self.now - asked - inside_for + 1;
                        return Duration::from_millis(took);
                    }
                } else {
                    assert_eq!(inside_for, 0, "thrown out during the login");
                    if !self.waiting.iter().any(|knock| knock.id == HONEST) {
                        self.knock(HONEST, source, u64::MAX / 2);
                    }
                }
                let waited = Duration::from_millis(self.now - asked);
                assert!(waited < patience + LOGIN, "still out after {waited:?}");
            }
        }
    }

    /// An honest client's longest wait of several from another address than the attackers'.
    fn longest_from_elsewhere(habits: &[Habit], before: u64, tries: u8) -> Duration {
        let mut world = World::new();
        for _ in 0..before {
            world.step(habits);
        }
        (0..tries)
            .map(|_| world.honest(HERE, habits, Duration::from_secs(1)))
            .max()
            .unwrap_or_default()
    }

    /// When starts are as frequent as they may be: a start for each of the attackers' sources,
    /// and one's own.
    fn one_turn_of_each(habits: &[Habit]) -> Duration {
        let sources: BTreeSet<_> = habits.iter().map(|habit| habit.source).collect();
        let turns = u32::try_from(sources.len()).unwrap() + 1;
        Duration::from_secs(1) / STARTS_PER_SECOND * turns
    }

    /// Two of three sources were served longer ago than the honest client: both come first.
    #[test]
    fn who_was_served_longer_ago_is_served_first() {
        let habit = |(source, period, offset, size, stays)| Habit {
            source,
            period,
            offset,
            size,
            stays,
        };
        let habits = [
            (0, 510, 750, 2, 261),
            (1, 275, 789, 51, 0),
            (2, 974, 1083, 26, 0),
        ]
        .map(habit);
        let longest = longest_from_elsewhere(&habits, 2997, 7);
        assert!(longest > 2 * Duration::from_secs(1) / STARTS_PER_SECOND);
        assert!(longest <= one_turn_of_each(&habits), "{longest:?}");
    }

    proptest! {
        // Hours would be needed to make a case as small as can be.
        #![proptest_config(ProptestConfig { max_shrink_iters: 64, ..ProptestConfig::with_cases(24) })]

        /// Whatever comes from other addresses: each of them is served once before, at most.
        #[test]
        fn an_attacker_elsewhere_keeps_nobody_out(
            habits in habits(31),
            before in 1..3000_u64,
            tries in 1..10_u8,
        ) {
            let longest = longest_from_elsewhere(&habits, before, tries);
            let most = one_turn_of_each(&habits);
            prop_assert!(longest <= most, "{longest:?}, {most:?} are allowed");
        }

        /// Nor does what comes from the same one: it costs time, but not more than this.
        #[test]
        fn an_attacker_at_the_same_address_costs_bounded_time(
            habits in habits(1),
            before in 1..3000_u64,
        ) {
            let mut world = World::new();
            for _ in 0..before {
                world.step(&habits);
            }
            let tries = 24;
            let own = Source::User(0);
            let total: Duration = (0..tries)
                .map(|_| world.honest(own, &habits, Duration::from_secs(120)))
                .sum();
            let mean = total / tries;
            prop_assert!(mean <= Duration::from_secs(8), "{mean:?}");
        }
    }

    /// In time with the places that become free, or with the starts that are allowed: what is
    /// served in an order that is known never gets to somebody who comes in between.
    #[test]
    fn a_flood_in_step_with_the_door_does_not_close_it() {
        for (period, size, stays) in [
            (250, 150, u64::MAX / 2),
            (375, 150, u64::MAX / 2),
            (500, 150, u64::MAX / 2),
            (500, 33, u64::MAX / 2),
            (10, 1, 0),
            (10, 2, 0),
            (1, 1, 0),
        ] {
            let flood = [Habit {
                source: 0,
                period,
                offset: 0,
                size,
                stays,
            }];
            let mut world = World::new();
            for _ in 0..3000 {
                world.step(&flood);
            }
            let tries = 20;
            let total: Duration = (0..tries)
                .map(|_| world.honest(Source::User(0), &flood, Duration::from_secs(60)))
                .sum();
            println!("{:?} in the mean of {flood:?}", total / tries);
            assert!(total / tries <= Duration::from_secs(4), "{flood:?}");
        }
    }

    #[test]
    fn a_thousand_half_open_connections_do_not_keep_the_next_one_out() {
        for source in [HERE, Source::User(7)] {
            let mut world = World::new();
            for id in 0..1000 {
                world.knock(id, HERE, u64::MAX / 2);
                if id % 10 == 0 {
                    world.step(&[]);
                }
            }
            let took = world.honest(source, &[], Duration::from_secs(1));
            assert!(took <= Duration::from_millis(550), "{source:?}: {took:?}");
        }
    }

    #[test]
    fn processes_are_started_at_a_bounded_rate() {
        let habit = Habit {
            source: 0,
            period: 1,
            offset: 0,
            size: 5,
            stays: 0,
        };
        let mut world = World::new();
        let mut started = 0;
        for _ in 0..10_000 {
            world.step(std::slice::from_ref(&habit));
            started += world.inside.len();
        }
        let most = usize::try_from(STARTS + 10 * STARTS_PER_SECOND).unwrap();
        assert!(started <= most && started > most / 2, "{started}");
        assert_eq!(world.admission.served.len(), 1);
    }

    #[test]
    fn the_most_penalised_go_first() {
        let start = Instant::now();
        let there = Source::User(1);
        let mut admission = Admission::with_lots(Fixed::default(), start);
        admission.penalties.failed(there, start);
        let knock = |id: usize, source| Knock {
            id,
            source,
            since: start + Duration::from_millis(id as u64),
        };
        // Both use nothing: the one without failures is served.
        let waiting = [knock(1, HERE), knock(2, there)];
        let none: [Knock<usize>; 0] = [];
        assert_eq!(admission.next(&waiting, &none, start), Next::Start(1));
        // Half as many of theirs fill the room.
        let half = MAX_WAITING_OF_SOURCE / 2;
        let mut room: Vec<_> = (0..half).map(|id| knock(id, there)).collect();
        room.extend((half..2 * half).map(|id| knock(id, HERE)));
        assert_eq!(admission.one_too_many(half - 1, &room, start), None);
        room.push(knock(2 * half, there));
        let gone = admission.one_too_many(2 * half, &room, start).unwrap();
        assert!(gone < half);
        // And of those inside, theirs make room, at once.
        let inside: Vec<_> = (0..MAX_STRANGERS)
            .map(|id| {
                let others = Source::User(2 + u32::try_from(id).unwrap() % 16);
                knock(id, if id == 5 || id == 9 { there } else { others })
            })
            .collect();
        let full = start + Duration::from_millis(100);
        admission.penalties.failed(there, start);
        let next = admission.next(&[knock(1000, HERE)], &inside, full);
        assert!(matches!(next, Next::Replace { victim: 5 | 9 }), "{next:?}");
    }
}
