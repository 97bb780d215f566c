//! Values that a peer sent and nobody has checked yet.

use serde::{Deserialize, Serialize};

/// A value from a peer. The only way out is [`Untrusted::check`], so every use of such a value
/// goes through a place that says what is acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted<T>(T);

impl<T> Untrusted<T> {
    /// Marks a value as coming from a peer (or as being sent to one that will not believe it).
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Turns the value into the type the code works with, or says why not.
    ///
    /// # Errors
    /// Whatever `check` refuses with.
    pub fn check<U, E>(self, check: impl FnOnce(T) -> Result<U, E>) -> Result<U, E> {
        check(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_way_out_is_a_check() {
        let small = |v: u32| if v < 10 { Ok(v) } else { Err("too big") };
        assert_eq!(Untrusted::new(3).check(small), Ok(3));
        assert_eq!(Untrusted::new(30).check(small), Err("too big"));
    }
}
