//! How often somebody may try to be a user, from however many places. Pure: the time is an argument.
//!
//! The supervisor holds failures against the source that they come from, which does not help where
//! there are many sources. Here they are held against the user whom they are about, whether there
//! is such a user or not: after some of them, strangers are heard only now and then, and in between
//! are refused without a look at what they say. That is never for long, and not for those who come
//! from where the user has come from before, nor for local users, whom the kernel names: nobody
//! far away can keep a user out.

use ipc::auth::PeerFacts;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Most users that are remembered.
const MAX_USERS: usize = 4096;
/// Most places that are remembered, of all users and of one.
const MAX_PLACES: usize = 1024;
const MAX_PLACES_OF_USER: usize = 32;
/// Failures that cost nothing: everybody mistypes.
const FREE_FAILURES: u32 = 10;
/// One failure is forgiven in this time.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// The first pause; each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause: as long as a one-time code is good.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// More failures than this are not counted: five doublings from the first pause to the longest.
const MAX_FAILURES: u32 = FREE_FAILURES + 6;

#[derive(Clone, Copy, Debug)]
struct Record {
    /// Failures as of `updated`, less the forgiven ones.
    failures: u32,
    updated: Instant,
    /// Strangers are not heard before.
    until: Instant,
}

impl Record {
    fn forgive(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.updated);
        let times = u32::try_from(passed.as_secs() / FORGIVEN_AFTER.as_secs()).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_sub(times);
        self.updated = match self.failures {
            0 => now,
            _ => self.updated + FORGIVEN_AFTER * times,
        };
    }

    /// One failure more, and its pause.
    fn count(&mut self, now: Instant) {
        self.forgive(now);
        self.failures = (self.failures + 1).min(MAX_FAILURES);
        if let Some(excess) = self.failures.checked_sub(FREE_FAILURES + 1) {
            let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(excess));
            self.until = now + pause.min(LONGEST_PAUSE);
        }
    }
}

/// The memory of failures, and of where users come from.
#[derive(Debug, Default)]
pub struct Guesses {
    /// By [`folded`] names.
    users: BTreeMap<String, Record>,
    /// Where users have proved who they are, the last one at the end.
    places: VecDeque<(String, IpAddr)>,
}

/// For LDAP servers, Active Directory and many databases `Ann` is `ann`: each spelling would be guessed at anew. Where
/// they are two users, they are counted together.
fn folded(user: &str) -> String {
    user.to_lowercase()
}

/// Where a connection comes from: an address, of IPv6 the half that is one customer's. `None`: a
/// user of this machine, on a unix socket.
fn place(peer: &PeerFacts) -> Option<IpAddr> {
    match peer {
        PeerFacts::Unix { .. } => None,
        PeerFacts::Tcp { address } => Some(match address.ip().to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                Ipv6Addr::from(network).into()
            }
        }),
    }
}

impl Guesses {
    /// Is this somebody of whom nothing is known?
    #[must_use]
    pub fn is_stranger(&self, user: &str, peer: &PeerFacts) -> bool {
        let from = place(peer);
        let known = |from| {
            self.places
                .iter()
                .any(|(name, at)| (name.as_str(), *at) == (user, from))
        };
        from.is_some_and(|from| !known(from))
    }

    /// May a stranger try to be this user now? It counts as a failure until [`Self::was_right`]
    /// takes that back: many at a time are as many failures.
    pub fn begin(&mut self, user: &str, now: Instant) -> bool {
        let user = folded(user);
        if !self.users.contains_key(&user) && self.users.len() >= MAX_USERS {
            self.forget_one(now);
        }
        let fresh = Record {
            failures: 0,
            updated: now,
            until: now,
        };
        let record = self.users.entry(user).or_insert(fresh);
        if now < record.until {
            return false;
        }
        record.count(now);
        true
    }

    /// Would [`Self::begin`] say yes?
    #[must_use]
    pub fn may_begin(&self, user: &str, now: Instant) -> bool {
        self.users
            .get(&folded(user))
            .is_none_or(|record| now >= record.until)
    }

    /// A stranger who was right goes on to the next module that is about this user: it is a failure until
    /// [`Self::was_right`] as well, and does not wait for the pause that its own first answer may have begun.
    pub fn go_on(&mut self, user: &str, now: Instant) {
        match self.users.get_mut(&folded(user)) {
            Some(record) => record.count(now),
            // It was right about something else.
            None => _ = self.begin(user, now),
        }
    }

    /// What a stranger has begun was no guess. The pause that it began stays: it is not the last
    /// word on who that is.
    pub fn was_right(&mut self, user: &str) {
        if let Some(record) = self.users.get_mut(&folded(user)) {
            record.failures = record.failures.saturating_sub(1);
        }
    }

    /// The user is let in: who comes from there is no stranger any more.
    pub fn is_in(&mut self, user: &str, peer: &PeerFacts) {
        let Some(from) = place(peer) else { return };
        self.places
            .retain(|(name, at)| (name.as_str(), *at) != (user, from));
        let mut own = self.places.iter().filter(|(name, _)| name == user);
        if own.clone().count() >= MAX_PLACES_OF_USER
            && let Some(oldest) = own.next().cloned()
        {
            self.places.retain(|place| *place != oldest);
        }
        if self.places.len() >= MAX_PLACES {
            self.places.pop_front();
        }
        self.places.push_back((user.to_owned(), from));
    }

    /// Makes room: the least penalised goes first, then the oldest.
    fn forget_one(&mut self, now: Instant) {
        let least = self.users.iter().min_by_key(|(_, record)| {
            let mut record = **record;
            record.forgive(now);
            (record.until.max(now), record.failures, record.updated)
        });
        if let Some(user) = least.map(|(user, _)| user.clone()) {
            self.users.remove(&user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(address: &str) -> PeerFacts {
        PeerFacts::Tcp {
            address: address.parse().unwrap(),
        }
    }

    /// Those of many tries a second that are heard.
    fn heard(guesses: &mut Guesses, user: &str, from: Instant, seconds: u64) -> u64 {
        let tries = (0..seconds * 10).map(|tenth| from + Duration::from_millis(tenth * 100));
        tries.filter(|now| guesses.begin(user, *now)).count() as u64
    }

    #[test]
    fn a_user_can_be_guessed_at_only_so_often_from_everywhere_together() {
        let start = Instant::now();
        let mut guesses = Guesses::default();
        let minute = heard(&mut guesses, "ann", start, 60);
        assert!((11..=u64::from(MAX_FAILURES)).contains(&minute), "{minute}");
        let hour = heard(&mut guesses, "ann", start + Duration::from_secs(60), 3600);
        assert!((100..=120).contains(&hour), "{hour}");
        // Somebody else is somebody else, and there need not be such a user.
        assert_eq!(heard(&mut guesses, "bob", start, 60), minute);
        // It is forgiven soon.
        let later = start + Duration::from_secs(3660) + FORGIVEN_AFTER * MAX_FAILURES;
        for _ in 0..FREE_FAILURES {
            assert!(guesses.begin("ann", later));
        }
    }

    #[test]
    fn spellings_of_a_name_are_one() {
        let now = Instant::now();
        let mut guesses = Guesses::default();
        let names = ["zoë", "Zoë", "ZOË"];
        for name in names.iter().cycle().take(FREE_FAILURES as usize + 1) {
            assert!(guesses.begin(name, now));
        }
        for name in names {
            assert!(!guesses.begin(name, now) && !guesses.may_begin(name, now));
        }
        guesses.was_right("Zoë");
        guesses.go_on("ZOË", now);
        assert_eq!(guesses.users["zoë"].failures, FREE_FAILURES + 1);
        // Who has proved to be the one has not proved to be the other.
        guesses.is_in("Zoë", &tcp("192.0.2.1:5"));
        assert!(guesses.is_stranger("zoë", &tcp("192.0.2.1:5")));
    }

    #[test]
    fn who_is_right_has_not_failed() {
        let now = Instant::now();
        let mut guesses = Guesses::default();
        for _ in 0..1000 {
            assert!(guesses.begin("ann", now));
            guesses.was_right("ann");
        }
        // As many as run at a time are failures until they have ended.
        let begun = (0..100).filter(|_| guesses.begin("ann", now)).count();
        assert_eq!(begun, FREE_FAILURES as usize + 1);
        guesses.was_right("nobody");
    }

    #[test]
    fn who_has_been_there_is_no_stranger() {
        let mut guesses = Guesses::default();
        let home = tcp("192.0.2.1:5");
        assert!(guesses.is_stranger("ann", &home));
        guesses.is_in("ann", &home);
        for (user, peer, stranger) in [
            ("ann", "192.0.2.1:7", false),
            ("ann", "[::ffff:192.0.2.1]:7", false),
            ("ann", "192.0.2.2:5", true),
            ("bob", "192.0.2.1:5", true),
            ("", "192.0.2.1:5", true),
        ] {
            assert_eq!(
                guesses.is_stranger(user, &tcp(peer)),
                stranger,
                "{user} {peer}"
            );
        }
        guesses.is_in("ann", &tcp("[2001:db8::1]:1"));
        assert!(!guesses.is_stranger("ann", &tcp("[2001:db8::ffff]:2")));
        assert!(guesses.is_stranger("ann", &tcp("[2001:db8:0:1::1]:1")));
        let unix = PeerFacts::Unix {
            pid: 1,
            uid: 2,
            gid: 3,
        };
        assert!(!guesses.is_stranger("carl", &unix));
        // Somebody with many places does not push the others out.
        for place in 0..2000_u32 {
            guesses.is_in(
                "bob",
                &tcp(&format!("10.0.{}.{}:1", place >> 8, place & 255)),
            );
        }
        assert!(!guesses.is_stranger("ann", &home));
        assert_eq!(guesses.places.len(), 2 + MAX_PLACES_OF_USER);
        for user in 0..2000 {
            guesses.is_in(&format!("user {user}"), &home);
        }
        assert_eq!(guesses.places.len(), MAX_PLACES);
    }

    /// Names cost a try each: whoever fills the memory with them does not make it forget a user who
    /// is being guessed at.
    #[test]
    fn a_flood_of_names_makes_nobody_forgotten() {
        let now = Instant::now();
        let mut guesses = Guesses::default();
        while guesses.begin("ann", now) {}
        for name in 0..3 * MAX_USERS {
            assert!(guesses.begin(&format!("name {name}"), now));
            assert!(guesses.users.len() <= MAX_USERS);
        }
        assert!(!guesses.begin("ann", now));
    }

    proptest! {
        #[test]
        fn pauses_end(tries in prop::collection::vec((0..3_u8, 0..100_000_u64), 1..300)) {
            let mut now = Instant::now();
            let mut guesses = Guesses::default();
            for (user, millis) in tries {
                now += Duration::from_millis(millis);
                guesses.begin(&user.to_string(), now);
                let record = guesses.users[&user.to_string()];
                prop_assert!(record.until <= now + LONGEST_PAUSE && record.failures <= MAX_FAILURES);
            }
            for user in ["0", "1", "2"] {
                prop_assert!(guesses.begin(user, now + LONGEST_PAUSE));
            }
        }
    }
}
