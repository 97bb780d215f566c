//! A client that stops reading costs at most 8 MiB, and nobody else a frame.

use bulkhead_tests::counter::{Counter, FRAMES, Shown};
use bulkhead_tests::eventually;
use bulkhead_tests::memory::Cost;
use bulkhead_tests::processes;
use bulkhead_tests::session::Session;
use bulkhead_tests::twins::{options, shown};
use nix::sys::socket::{setsockopt, sockopt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use test_client::wire::packet::Coding;
use test_client::{Address, Client, Options};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::ConnectionExt as _;

const LONG: Duration = Duration::from_secs(20);

/// What is measured is measured alone.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|error| error.into_inner())
}

/// Pixels that no coding makes small, and text.
fn noise(seed: usize) -> impl Iterator<Item = u8> {
    let step = |state: &mut u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some(state.to_be_bytes()[0])
    };
    std::iter::repeat(()).scan(u32::try_from(seed).unwrap(), move |state, ()| step(state))
}

/// Redraws a large window as fast as the X server can until it is over, and changes its title
/// each time if it is to.
fn redraw(session: &Session, titles: bool, over: &AtomicBool) {
    const SIZE: (u16, u16) = (1000, 700);
    let shown = Shown::new(session.screen(), "redrawn", SIZE);
    let x = shown.application.x();
    let pictures = [1, 2].map(|seed| {
        let (picture, mut noise) = (x.generate_id().unwrap(), noise(seed));
        x.create_pixmap(24, picture, shown.window, SIZE.0, SIZE.1)
            .unwrap();
        for row in 0..SIZE.1 {
            let pixels: Vec<u8> = noise.by_ref().take(usize::from(SIZE.0) * 4).collect();
            shown.put(picture, (SIZE.0, 1), row.cast_signed(), &pixels);
        }
        picture
    });
    for (count, picture) in pictures.into_iter().cycle().enumerate() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        x.copy_area(picture, shown.window, shown.gc, 0, 0, 0, 0, SIZE.0, SIZE.1)
            .unwrap();
        if titles {
            let letters = noise(count).map(|byte| char::from(b'0' + byte % 64));
            let title: String = letters.take(1000).collect();
            shown.application.title(shown.window, &title);
        }
        shown.application.sync();
    }
}

/// Attaches a client for which its own kernel holds little: that is its affair, not the server's.
fn attach(session: &Session, options: &Options) -> Client {
    let address = Address::parse(&format!("tcp://127.0.0.1:{}", session.port)).unwrap();
    let mut client = Client::open(&address, options, LONG).unwrap();
    setsockopt(&client, sockopt::RcvBuf, &(256 << 10)).unwrap();
    client.handshake(LONG).unwrap();
    client
}

/// Reads for so long.
fn read(client: &mut Client, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        let left = end.saturating_duration_since(Instant::now());
        client.next_event(left).unwrap();
    }
}

/// Tells the others that it is over, also when a check has failed.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn connections(session: &Session) -> usize {
    processes::of_role(session.process().id(), "network").len()
}

/// What a session costs at most while one of two clients has stopped reading, more than before,
/// in bytes. `titles`: until the client is cut off.
fn cost(coding: Coding, titles: bool) -> u64 {
    let session = Session::start(&["--sharing=yes"]);
    let over = AtomicBool::new(false);
    let [mut good, mut lazy] = [1, 2].map(|name| {
        let mut options = options(name).codings(&[coding]);
        options.decode = false;
        attach(&session, &options)
    });
    std::thread::scope(|scope| {
        scope.spawn(|| redraw(&session, titles, &over));
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                read(&mut good, Duration::from_millis(50));
            }
        });
        let _ends = Ends(&over);
        lazy.wait_for(|state| state.draws > 20, LONG).unwrap();
        let costs = (0..20).map(|_| {
            read(&mut lazy, Duration::from_millis(100));
            Cost::of(&session)
        });
        let before = costs.skip(10).min_by_key(|cost| cost.sum()).unwrap();
        // From here on it reads nothing.
        let (stopped, mut most, mut queued) = (Instant::now(), before, 0);
        while connections(&session) == 2 && stopped.elapsed() < Duration::from_secs(8) {
            let now = Cost::of(&session);
            (most, queued) = (
                std::cmp::max_by_key(most, now, |cost| cost.sum()),
                queued.max(now.sockets),
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("{coding:?}: {before:?} before, {most:?} at most while one does not read");
        assert!(queued > 100 << 10, "nothing waited for it");
        if titles {
            let gone = || (connections(&session) == 1).then_some(());
            eventually("who does not read is cut off", LONG, gone);
        } else {
            assert_eq!(connections(&session), 2);
        }
        most.sum() - before.sum()
    })
}

#[test]
fn it_costs_at_most_8_mib() {
    if !needs::root("read the memory of our processes") {
        return;
    }
    let _alone = alone();
    for (coding, titles) in [
        (Coding::Rgb24, false),
        (Coding::Rgb24, true),
        (Coding::Jpeg, true),
    ] {
        let cost = cost(coding, titles);
        println!("{coding:?}, titles {titles}: {} KiB", cost >> 10);
        assert!(cost <= 8 << 20, "{coding:?}, titles {titles}: {cost}");
    }
}

#[test]
fn nobody_else_loses_a_frame() {
    if !needs::root("read the memory of our processes") {
        return;
    }
    let _alone = alone();
    let all = usize::from(FRAMES);
    let session = Session::start(&["--sharing=yes"]);
    let counter = Counter::new(session.screen(), "counter");
    let mut good = attach(&session, &options(1));
    let window = shown(&mut good, "counter");
    let pace = counter.pace(&mut good, window);

    let mut lazy = attach(&session, &options(2));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = Ends(&over);
        scope.spawn(|| redraw(&session, false, &over));
        lazy.wait_for(|state| state.draws > 20, LONG).unwrap();
        // From here on it reads nothing. What the kernel holds for it fills.
        let full = Instant::now() + Duration::from_secs(2);
        while Instant::now() < full || Cost::of(&session).sockets < 100 << 10 {
            assert!(full.elapsed() < LONG, "nothing waits for who does not read");
            read(&mut good, Duration::from_millis(100));
        }
    });
    good.settle(Duration::from_millis(300), LONG).unwrap();
    // What the one costs the other, it costs it each time.
    let most = (0..3)
        .map(|_| counter.frames(&mut good, window, pace))
        .inspect(|frames| println!("while one does not read: {frames} of {all} frames"))
        .find(|frames| *frames == all);
    assert_eq!(connections(&session), 2);
    assert!(most.is_some(), "frames are lost");
}
