//! Output buffers: encoded bytes on their way to `network`. A small number, made when needed,
//! used again when `network` has written what was in them.

use crate::fault::Fault;
use ipc::frames::{MAX_BUFFERS, OutputBuffer};
use ipc::shared::{MAX_SHARED, SharedError, Unsealed, Writer};
use std::os::fd::OwnedFd;

/// Bytes of the smallest buffer.
const SMALLEST: u32 = 64 * 1024;

struct Slot {
    writer: Writer,
    bytes: u32,
    busy: bool,
}

/// The pool.
#[derive(Default)]
pub struct Pool(Vec<Slot>);

/// Memory that `network` does not know yet, to be passed before its first use.
#[derive(Debug)]
pub struct Fresh {
    /// Its size.
    pub bytes: u32,
    /// The sealed memfd.
    pub fd: OwnedFd,
}

impl Pool {
    /// How many buffers can be taken now.
    #[must_use]
    pub fn free(&self) -> usize {
        usize::from(MAX_BUFFERS) - self.0.iter().filter(|slot| slot.busy).count()
    }

    /// Takes a buffer of at least `bytes`: a free one that is large enough, else a free one made
    /// anew with that size, else a new one. `None` when all are with `network`.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn take(
        &mut self,
        bytes: u32,
    ) -> Result<Option<(OutputBuffer, Option<Fresh>)>, SharedError> {
        let free = |slot: &(usize, &Slot)| !slot.1.busy;
        let enough = self
            .0
            .iter()
            .enumerate()
            .filter(free)
            .filter(|(_, slot)| slot.bytes >= bytes);
        if let Some((index, _)) = enough.min_by_key(|(_, slot)| slot.bytes) {
            self.0[index].busy = true;
            return Ok(Some((name(index), None)));
        }
        // The largest of those that are too small: so only as many grow as are in use at a time.
        let too_small = self
            .0
            .iter()
            .enumerate()
            .filter(free)
            .max_by_key(|(_, slot)| slot.bytes);
        let index = too_small.map_or(self.0.len(), |(index, _)| index);
        if index >= usize::from(MAX_BUFFERS) {
            return Ok(None);
        }
        let size = bytes
            .max(SMALLEST)
            .checked_next_power_of_two()
            .unwrap_or(bytes)
            .min(MAX_SHARED);
        let (writer, fd) = Unsealed::new(size.max(bytes))?.into_writer()?;
        let slot = Slot {
            writer,
            bytes: size,
            busy: true,
        };
        match self.0.get_mut(index) {
            Some(old) => *old = slot,
            None => self.0.push(slot),
        }
        Ok(Some((name(index), Some(Fresh { bytes: size, fd }))))
    }

    /// The memory of a buffer that was taken.
    pub fn bytes(&mut self, buffer: OutputBuffer) -> &mut [u8] {
        match self.0.get_mut(usize::from(buffer.0)) {
            Some(slot) if slot.busy => slot.writer.bytes(),
            _ => &mut [],
        }
    }

    /// The buffer is free again.
    ///
    /// # Errors
    /// When it was not taken.
    pub fn give_back(&mut self, buffer: OutputBuffer) -> Result<(), Fault> {
        match self.0.get_mut(usize::from(buffer.0)) {
            Some(slot) if slot.busy => {
                slot.busy = false;
                Ok(())
            }
            _ => Err(Fault::NotSent(buffer)),
        }
    }
}

fn name(index: usize) -> OutputBuffer {
    OutputBuffer(u16::try_from(index).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn buffers_are_used_again_and_grow() {
        let mut pool = Pool::default();
        let (first, fresh) = pool.take(100).unwrap().unwrap();
        assert_eq!(fresh.unwrap().bytes, SMALLEST);
        pool.give_back(first).unwrap();
        let (again, fresh) = pool.take(SMALLEST).unwrap().unwrap();
        assert!(again == first && fresh.is_none());
        pool.give_back(again).unwrap();
        let (grown, fresh) = pool.take(SMALLEST + 1).unwrap().unwrap();
        assert_eq!((grown, fresh.unwrap().bytes), (first, 2 * SMALLEST));
        // The next small picture leaves the large buffer alone only if there is another.
        let (second, fresh) = pool.take(10).unwrap().unwrap();
        assert!(second != grown && fresh.is_some());
        pool.give_back(grown).unwrap();
        pool.give_back(second).unwrap();
        assert_eq!(pool.take(10).unwrap().unwrap().0, second);
    }

    #[test]
    fn what_was_not_taken_cannot_be_given_back() {
        let mut pool = Pool::default();
        assert!(pool.give_back(OutputBuffer(0)).is_err());
        assert!(pool.give_back(OutputBuffer(u16::MAX)).is_err());
        let (buffer, _) = pool.take(1).unwrap().unwrap();
        pool.give_back(buffer).unwrap();
        assert!(pool.give_back(buffer).is_err());
        assert!(pool.bytes(buffer).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Never more than eight, never one that is out, always large enough, and `network` can
        /// follow: what it knows of each buffer is its real size.
        #[test]
        fn the_pool_keeps_its_promises(steps in proptest::collection::vec((any::<bool>(), 1..300_000_u32, 0..8_u16), 1..60)) {
            let mut pool = Pool::default();
            let mut known: BTreeMap<u16, u32> = BTreeMap::new();
            let mut out: Vec<OutputBuffer> = vec![];
            for (take, bytes, index) in steps {
                if take {
                    let free = pool.free();
                    match pool.take(bytes).unwrap() {
                        None => prop_assert_eq!((free, out.len()), (0, 8)),
                        Some((buffer, fresh)) => {
                            prop_assert!(buffer.0 < MAX_BUFFERS && !out.contains(&buffer));
                            if let Some(fresh) = fresh {
                                let old = known.insert(buffer.0, fresh.bytes);
                                prop_assert!(old.is_none_or(|old| old < fresh.bytes));
                            }
                            prop_assert!(known[&buffer.0] >= bytes);
                            prop_assert_eq!(pool.bytes(buffer).len(), known[&buffer.0] as usize);
                            out.push(buffer);
                        }
                    }
                } else {
                    let buffer = OutputBuffer(index);
                    let place = out.iter().position(|b| *b == buffer);
                    prop_assert_eq!(pool.give_back(buffer).is_ok(), place.is_some());
                    if let Some(place) = place { out.swap_remove(place); }
                }
                prop_assert_eq!(pool.free(), 8 - out.len());
            }
        }
    }
}
