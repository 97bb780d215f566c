//! The capture buffers of one encoder: which one to use for a picture, when to make one.
//!
//! A buffer costs memory only where it has been written, so capacities are generous; the one
//! that fits best is used, so that the large ones stay untouched while little changes.

use ipc::capture::{CaptureBuffer, MAX_BUFFERS};
use ipc::shared::Writer;

/// Smallest capacity, in bytes.
const LEAST: u32 = 256 * 1024;
/// Largest capacity: a frame of 4096×4096 pixels. Larger pictures travel in bands.
pub const MOST: u32 = 64 << 20;

/// Who writes into a buffer.
#[derive(Debug)]
pub enum Memory {
    /// The X server, which knows it by this segment.
    Server(u32),
    /// We do.
    Own(Writer),
}

/// One buffer.
#[derive(Debug)]
pub struct Slot {
    /// Its memory.
    pub memory: Memory,
    /// Its capacity.
    pub bytes: u32,
    /// The encoder has it.
    pub busy: bool,
}

/// All buffers of one encoder.
#[derive(Debug, Default)]
pub struct Pool {
    slots: Vec<Slot>,
}

/// What to do for a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Write into this buffer.
    Use(CaptureBuffer),
    /// Make a buffer of so many bytes with this index.
    Make(CaptureBuffer, u32),
    /// Wait for a buffer to come back.
    Wait,
}

fn index(at: usize) -> Option<CaptureBuffer> {
    u16::try_from(at)
        .ok()
        .filter(|at| *at < MAX_BUFFERS)
        .map(CaptureBuffer)
}

impl Pool {
    /// Finds room for a picture of `need` bytes, or for a part of it when it is larger than
    /// [`MOST`] or `budget`, the bytes by which the capacity of all pools may still grow.
    #[must_use]
    pub fn choose(&self, need: u32, own: bool, budget: u64) -> Choice {
        let usable =
            |slot: &&(usize, &Slot)| !slot.1.busy && matches!(slot.1.memory, Memory::Own(_)) == own;
        let free: Vec<_> = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, s)| !s.busy)
            .collect();
        let fitting = free
            .iter()
            .filter(usable)
            .filter(|(_, s)| s.bytes >= need.min(MOST));
        if let Some(buffer) = fitting
            .min_by_key(|(_, s)| s.bytes)
            .and_then(|(at, _)| index(*at))
        {
            return Choice::Use(buffer);
        }
        let wanted = need.clamp(LEAST, MOST).next_power_of_two();
        if self.slots.len() < MAX_BUFFERS.into()
            && u64::from(wanted) <= budget
            && let Some(buffer) = index(self.slots.len())
        {
            return Choice::Make(buffer, wanted);
        }
        // In place of the largest free one, so that the small ones stay small.
        let largest = free.iter().max_by_key(|(_, s)| s.bytes);
        if let Some((at, slot)) = largest
            && u64::from(wanted) <= budget + u64::from(slot.bytes)
            && let Some(buffer) = index(*at)
        {
            return Choice::Make(buffer, wanted);
        }
        // Whatever the others hold, every client has one small buffer of each kind.
        if !self
            .slots
            .iter()
            .any(|s| matches!(s.memory, Memory::Own(_)) == own)
        {
            let at = if self.slots.len() < MAX_BUFFERS.into() {
                Some(self.slots.len())
            } else {
                largest.map(|(at, _)| *at)
            };
            if let Some(buffer) = at.and_then(index) {
                return Choice::Make(buffer, LEAST);
            }
        }
        // The budget is spent: a band at a time through the largest that there is.
        let usable = free.iter().filter(usable).max_by_key(|(_, s)| s.bytes);
        match usable.and_then(|(at, _)| index(*at)) {
            Some(buffer) if !own => Choice::Use(buffer),
            _ => Choice::Wait,
        }
    }

    /// The buffer with this index.
    pub fn get_mut(&mut self, buffer: CaptureBuffer) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(buffer.0))
    }

    /// Puts a new buffer into its place. Returns what was there.
    pub fn put(&mut self, buffer: CaptureBuffer, slot: Slot) -> Option<Slot> {
        match self.slots.get_mut(usize::from(buffer.0)) {
            Some(old) => Some(std::mem::replace(old, slot)),
            None => {
                self.slots.push(slot);
                None
            }
        }
    }

    /// Is there a buffer that the encoder does not have, or room for one?
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.slots.len() < MAX_BUFFERS.into() || self.slots.iter().any(|s| !s.busy)
    }

    /// The capacity of all buffers.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.slots.iter().map(|s| u64::from(s.bytes)).sum()
    }

    /// Takes a buffer back. `false` when the encoder does not have it.
    #[must_use]
    pub fn release(&mut self, buffer: CaptureBuffer) -> bool {
        match self.get_mut(buffer) {
            Some(slot) if slot.busy => {
                slot.busy = false;
                true
            }
            _ => false,
        }
    }

    /// All buffers, at the end.
    pub fn into_slots(self) -> impl Iterator<Item = Slot> {
        self.slots.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: u64 = 1 << 40;

    fn slot(bytes: u32, busy: bool) -> Slot {
        Slot {
            memory: Memory::Server(1),
            bytes,
            busy,
        }
    }

    fn pool(slots: impl IntoIterator<Item = (u32, bool)>) -> Pool {
        Pool {
            slots: slots
                .into_iter()
                .map(|(bytes, busy)| slot(bytes, busy))
                .collect(),
        }
    }

    #[test]
    fn the_best_fit_is_used() {
        let pool = pool([
            (1 << 20, false),
            (LEAST, true),
            (LEAST, false),
            (4 << 20, false),
        ]);
        assert_eq!(
            pool.choose(100, false, PLENTY),
            Choice::Use(CaptureBuffer(2))
        );
        assert_eq!(
            pool.choose(LEAST + 1, false, PLENTY),
            Choice::Use(CaptureBuffer(0))
        );
        assert_eq!(
            pool.choose(5 << 20, false, PLENTY),
            Choice::Make(CaptureBuffer(4), 8 << 20)
        );
        assert_eq!(
            pool.choose(100, true, PLENTY),
            Choice::Make(CaptureBuffer(4), LEAST)
        );
    }

    #[test]
    fn a_full_pool_grows_its_largest_free_buffer_or_waits() {
        let full = |busy| pool((0..8).map(|n| (LEAST << (n % 3), n != 5 && busy)));
        assert_eq!(
            full(true).choose(5 << 20, false, PLENTY),
            Choice::Make(CaptureBuffer(5), 8 << 20)
        );
        let none = pool([(LEAST, true); 8]);
        assert_eq!(none.choose(1, false, PLENTY), Choice::Wait);
        assert!(!none.has_room());
    }

    #[test]
    fn a_spent_budget_means_bands() {
        let pool = pool([(LEAST, false), (1 << 20, false), (8 << 20, true)]);
        assert_eq!(
            pool.choose(16 << 20, false, 0),
            Choice::Use(CaptureBuffer(1))
        );
        let all_theirs = pool_of_one(true);
        assert_eq!(all_theirs.choose(16 << 20, false, 0), Choice::Wait);
        let most = Pool::default().choose(u32::MAX, false, PLENTY);
        assert_eq!(most, Choice::Make(CaptureBuffer(0), MOST));
    }

    #[test]
    fn what_the_others_hold_leaves_room_for_one_small_buffer_of_each_kind() {
        let least = |at| Choice::Make(CaptureBuffer(at), LEAST);
        for own in [false, true] {
            assert_eq!(Pool::default().choose(16 << 20, own, 0), least(0));
        }
        let one = pool_of_one(true);
        assert_eq!(one.choose(16 << 20, true, 0), least(1));
        let full = pool((0..8).map(|n| (LEAST, n != 3)));
        assert_eq!(full.choose(1, true, 0), least(3));
        assert_eq!(pool([(LEAST, true); 8]).choose(1, true, 0), Choice::Wait);
    }

    fn pool_of_one(busy: bool) -> Pool {
        pool([(LEAST, busy)])
    }

    #[test]
    fn only_what_was_given_is_taken_back() {
        let mut pool = pool([(LEAST, true)]);
        assert!(pool.release(CaptureBuffer(0)));
        assert!(!pool.release(CaptureBuffer(0)));
        assert!(!pool.release(CaptureBuffer(1)));
        assert!(!pool.release(CaptureBuffer(u16::MAX)));
    }
}
