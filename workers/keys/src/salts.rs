//! The salts that clients have used.
//!
//! A salt travels in clear. Who recorded a connection and breaks a `network` worker could have
//! the recorded keys derived again with it; so no salt is taken twice.

use sha2::{Digest, Sha256};
use std::collections::{HashSet, VecDeque};
use wire::cipher::Salt;

/// Salts remembered of those who were let in, and as many of those who were not: 4 MiB in all.
/// Then the oldest of the same kind is forgotten: no client can make this grow, or keep others out
/// by filling it, and strangers cannot make us forget what was used by others.
const REMEMBERED: usize = 1 << 16;

/// What is kept of a salt.
pub type Mark = [u8; 16];

/// The salts that clients have used.
#[derive(Debug)]
pub struct UsedSalts {
    marks: HashSet<Mark>,
    /// Of connections that have not been let in, the oldest first.
    strangers: VecDeque<Mark>,
    /// Of connections that were let in.
    admitted: VecDeque<Mark>,
}

impl Default for UsedSalts {
    /// With all the memory that it will need: to be made in the warm-up, as no filter allows to
    /// get more. (Twice as many: a full table of hashes is rehashed in place, not moved, while at
    /// most half of it is in use.)
    fn default() -> Self {
        Self {
            marks: HashSet::with_capacity(2 * (2 * REMEMBERED + 1)),
            strangers: VecDeque::with_capacity(REMEMBERED + 1),
            admitted: VecDeque::with_capacity(REMEMBERED + 1),
        }
    }
}

impl UsedSalts {
    /// Notes a salt of a connection that has not proved anything; `None` if it was used before.
    #[must_use]
    pub fn take(&mut self, salt: &Salt) -> Option<Mark> {
        let mut mark = Mark::default();
        mark.copy_from_slice(&Sha256::digest(salt.as_bytes())[..16]);
        if !self.marks.insert(mark) {
            return None;
        }
        Self::push(&mut self.strangers, mark, &mut self.marks);
        Some(mark)
    }

    /// The connection of this salt was let in.
    pub fn admit(&mut self, mark: Mark) {
        if let Some(place) = self.strangers.iter().position(|other| *other == mark) {
            self.strangers.remove(place);
            Self::push(&mut self.admitted, mark, &mut self.marks);
        }
    }

    fn push(queue: &mut VecDeque<Mark>, mark: Mark, marks: &mut HashSet<Mark>) {
        queue.push_back(mark);
        if queue.len() > REMEMBERED
            && let Some(oldest) = queue.pop_front()
        {
            marks.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn salt(number: usize) -> Salt {
        let mut bytes = vec![0; 64];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Salt::new(bytes).unwrap()
    }

    #[test]
    fn a_salt_is_taken_once_and_the_memory_is_bounded() {
        let mut used = UsedSalts::default();
        let mut take = |number| used.take(&salt(number)).is_some();
        assert!((0..REMEMBERED).all(&mut take));
        assert!(!take(0) && !take(REMEMBERED - 1));
        assert!(take(REMEMBERED));
        assert!(!take(1), "only the oldest was forgotten");
        assert!((0..5 * REMEMBERED).all(|number| take(2 * REMEMBERED + number)));
        // What is reported is what the table can hold less what it has not cleaned up yet.
        let fresh = UsedSalts::default();
        assert!(used.marks.capacity() <= fresh.marks.capacity());
        assert_eq!(used.marks.len(), REMEMBERED);
        assert_eq!(used.strangers.capacity(), fresh.strangers.capacity());
    }

    #[test]
    fn strangers_make_nobody_forget_the_salts_of_those_let_in() {
        let mut used = UsedSalts::default();
        let mark = used.take(&salt(0)).unwrap();
        used.admit(mark);
        for number in 1..3 * REMEMBERED {
            assert!(used.take(&salt(number)).is_some());
        }
        assert_eq!(used.take(&salt(0)), None);
        // Twice is once.
        used.admit(mark);
        assert_eq!(used.admitted.len(), 1);
        for number in 0..REMEMBERED {
            let mark = used.take(&salt(4 * REMEMBERED + number)).unwrap();
            used.admit(mark);
        }
        assert!(
            used.take(&salt(0)).is_some(),
            "only the oldest was forgotten"
        );
        assert_eq!(used.admitted.len(), REMEMBERED);
    }
}
