//! What a person types, with real sessions: which display a start gets, what it leaves.

use bulkhead_tests::session::Session;
use std::sync::Barrier;

/// Each start has its own session directory, as those of two users do.
#[test]
fn sessions_that_start_at_once_get_displays_of_their_own() {
    for round in 0..2 {
        for bind in ["none", "~/socket", "@NAME"] {
            let both = Barrier::new(2);
            let start = |which: &str| {
                let name = format!("@bulkhead-test-{}-{round}-{which}", std::process::id());
                let bind = format!("--bind={}", bind.replace("@NAME", &name));
                both.wait();
                Session::start(&[&bind])
            };
            let (one, other) = std::thread::scope(|scope| {
                let one = scope.spawn(|| start("one"));
                (start("other"), one.join())
            });
            let other = other.unwrap();
            assert_ne!(one.display, other.display, "--bind={bind}");
            for session in [one, other] {
                session.screen();
            }
        }
    }
}
