//! Pictures that the client has not acknowledged yet. They are few and small, so that a slow
//! client gets fresh pictures and not a queue of old ones.

use crate::fault::Fault;
use ipc::WindowId;
use ipc::frames::Coding;
use std::collections::VecDeque;

/// Pictures that may be under way.
pub const MAX_PICTURES: usize = 12;
/// Bytes that may be under way before no further picture is begun.
pub const MAX_BYTES: usize = 3 << 20;

/// A picture under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number.
    pub sequence: u64,
    /// Whose.
    pub window: WindowId,
    /// How it was coded.
    pub coding: Coding,
    /// Its encoded size.
    pub bytes: usize,
}

/// The accounts.
#[derive(Default)]
pub struct Flight {
    pictures: VecDeque<Sent>,
    bytes: usize,
    last: u64,
}

impl Flight {
    /// How many more pictures may be begun now.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.bytes >= MAX_BYTES {
            0
        } else {
            MAX_PICTURES.saturating_sub(self.pictures.len())
        }
    }

    /// Books a picture and gives its number.
    pub fn add(&mut self, window: WindowId, coding: Coding, bytes: usize) -> u64 {
        self.last += 1;
        self.bytes += bytes;
        self.pictures.push_back(Sent {
            sequence: self.last,
            window,
            coding,
            bytes,
        });
        self.last
    }

    /// The client has acknowledged a picture. `None` when that is known already, or nobody waits
    /// for it any more.
    ///
    /// # Errors
    /// When there never was such a picture.
    pub fn ack(&mut self, sequence: u64) -> Result<Option<Sent>, Fault> {
        if sequence == 0 || sequence > self.last {
            return Err(Fault::NeverSent(sequence));
        }
        let place = self
            .pictures
            .iter()
            .position(|sent| sent.sequence == sequence);
        let sent = place.and_then(|place| self.pictures.remove(place));
        self.bytes -= sent.map_or(0, |sent| sent.bytes);
        Ok(sent)
    }

    /// The window is gone: its pictures need not be acknowledged.
    pub fn forget(&mut self, window: WindowId) {
        self.pictures.retain(|sent| sent.window != window);
        self.bytes = self.pictures.iter().map(|sent| sent.bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_and_pictures_are_bounded() {
        let (window, mut flight) = (WindowId::new(0, 5), Flight::default());
        let big = flight.add(window, Coding::Rgb24, MAX_BYTES);
        assert_eq!(flight.room(), 0);
        flight.ack(big).unwrap().unwrap();
        for _ in 0..MAX_PICTURES {
            assert!(flight.room() > 0);
            flight.add(window, Coding::Png, 10);
        }
        assert_eq!(flight.room(), 0);
        flight.forget(window);
        assert_eq!(flight.room(), MAX_PICTURES);
        assert_eq!(flight.ack(2).unwrap(), None);
        assert!(flight.ack(0).is_err() && flight.ack(14).is_err());
    }

    proptest! {
        #[test]
        fn the_sums_are_right(steps in proptest::collection::vec((0..4_u8, 0..1_000_000_usize, 0..40_u64), 0..80)) {
            let mut flight = Flight::default();
            let mut model: Vec<(u64, u32, usize)> = vec![];
            for (step, bytes, n) in steps {
                let xid = u32::try_from(n % 3 + 1).unwrap();
                match step {
                    0 | 1 => {
                        let sequence = flight.add(WindowId::new(0, xid), Coding::Jpeg, bytes);
                        model.push((sequence, xid, bytes));
                    }
                    2 => {
                        let known = n >= 1 && n <= flight.last;
                        prop_assert_eq!(flight.ack(n).is_ok(), known);
                        model.retain(|sent| sent.0 != n);
                    }
                    _ => {
                        flight.forget(WindowId::new(0, xid));
                        model.retain(|sent| sent.1 != xid);
                    }
                }
                prop_assert_eq!(flight.bytes, model.iter().map(|sent| sent.2).sum::<usize>());
                prop_assert_eq!(flight.pictures.len(), model.len());
            }
        }
    }
}
