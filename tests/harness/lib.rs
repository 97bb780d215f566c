//! What the tests stand on: real sessions, real X servers, the real stock client. Everything a
//! test starts ends with it.

pub mod application;
pub mod asked;
pub mod commands;
pub mod counter;
pub mod databases;
pub mod door;
pub mod kdc;
pub mod manual;
pub mod memory;
pub mod name_server;
pub mod neighbour;
pub mod openid;
pub mod otpscreen;
pub mod pam;
pub mod process;
pub mod processes;
pub mod screen;
pub mod secrets;
pub mod security_keys;
pub mod session;
pub mod slapd;
pub mod source;
pub mod sql_servers;
pub mod stock;
pub mod strangers;
pub mod tls;
pub mod twins;
pub mod verdicts;

use std::time::{Duration, Instant};

/// Waits until `condition` gives a value, looking every 10 ms.
///
/// # Panics
/// With `what` when `limit` has passed.
pub fn eventually<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
