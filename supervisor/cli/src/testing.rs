//! What the tests of several modules need.

use crate::error::Result;

/// What is known when each of these options has been taken. All have to be options.
pub fn taken<S: Default>(
    options: &[(&str, &str)],
    take: impl Fn(&mut S, &str, &str) -> Result<bool>,
) -> Result<S> {
    let mut said = S::default();
    for (key, value) in options {
        assert!(take(&mut said, key, value)?, "{key}");
    }
    Ok(said)
}
