//! From policy files to embedded data: read, judge, compile, write. Used by `build.rs`, and by
//! the tests of the linter.

pub mod calls;
pub mod emit;
pub mod lint;
pub mod names;
pub mod source;
