//! The encoder among its peers, which are played by the tests.

mod common;
mod confined;
mod hostile;
mod session;
