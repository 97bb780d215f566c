//! How often security keys have signed. Each says so with its signature, and counts on: if one says
//! no more than it has said before, somebody else signs with its private key. Every signature counts, also
//! of a login that comes to nothing: else it could be used again.

use std::collections::BTreeMap;

/// The counters of the last signatures, by the number of the key. There are no more keys than numbers.
#[derive(Debug, Default)]
pub struct Counters(BTreeMap<u16, u32>);

impl Counters {
    /// Remembers a counter. A key that has only ever said 0 does not count (WebAuthn section 6.1.1).
    ///
    /// # Errors
    /// The key has not counted on: what it said before, which stays.
    pub fn go_on(&mut self, key: u16, counter: u32) -> Result<(), u32> {
        let last = self.0.insert(key, counter);
        match last {
            None | Some(0) => Ok(()),
            Some(last) if last < counter => Ok(()),
            Some(last) => {
                self.0.insert(key, last);
                Err(last)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_on() {
        let mut counters = Counters::default();
        let mut steps = [
            (1, 7, true),
            (1, 7, false),
            (1, 6, false),
            (1, 0, false),
            (1, 8, true),
            // Another key.
            (2, 3, true),
            (1, u32::MAX, true),
            (1, u32::MAX, false),
            (1, 9, false),
        ]
        .into_iter();
        assert!(steps.all(|(key, counter, good)| counters.go_on(key, counter).is_ok() == good));
    }

    #[test]
    fn a_key_that_does_not_count_never_has() {
        let mut counters = Counters::default();
        assert_eq!([counters.go_on(1, 0), counters.go_on(1, 0)], [Ok(()); 2]);
        assert_eq!(counters.go_on(1, 1), Ok(()));
        assert_eq!(counters.go_on(1, 0), Err(1));
    }
}
