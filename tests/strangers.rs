//! Two hundred connections a second that never log in cost the client that has no frame.

use bulkhead_tests::counter::{Counter, FRAMES};
use bulkhead_tests::session::Session;
use bulkhead_tests::strangers::{ENOUGH, among};
use bulkhead_tests::twins::{attach, shown};

#[test]
fn they_cost_nobody_a_frame() {
    let session = Session::start(&["--sharing=yes"]);
    let counter = Counter::new(session.screen(), "counter");
    let mut client = attach(&session, 1);
    let window = shown(&mut client, "counter");
    let pace = counter.pace(&mut client, window);
    let all = usize::from(FRAMES);
    let (frames, a_second) = among(&mut client, session.port, |client| {
        // What they cost, they cost each time.
        (0..3)
            .map(|_| counter.frames(client, window, pace))
            .inspect(|frames| println!("among strangers: {frames} of {all} frames"))
            .find(|frames| *frames == all)
    });
    println!("one frame in {pace:?}, {a_second:.0} strangers a second");
    assert!(frames.is_some(), "frames are lost");
    assert!(a_second > ENOUGH, "only {a_second:.0} strangers a second");
}
