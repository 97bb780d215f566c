//! The encoder among its peers, which are played by the tests.

mod common;
mod hostile;
mod session;
