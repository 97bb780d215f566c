//! A client that stops reading costs at most 8 MiB, and nobody else a frame.

use bulkhead_tests::application::Application;
use bulkhead_tests::eventually;
use bulkhead_tests::memory::Cost;
use bulkhead_tests::processes;
use bulkhead_tests::session::Session;
use bulkhead_tests::twins::{options, shown};
use nix::sys::socket::{setsockopt, sockopt};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use test_client::wire::packet::{Coding, WindowId};
use test_client::{Address, Client, Options};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt as _, CreateGCAux, Gcontext, ImageFormat, Window};

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

/// A window of an application.
struct Shown {
    application: Application,
    window: Window,
    gc: Gcontext,
}

impl Shown {
    fn new(session: &Session, title: &str, size: (u16, u16)) -> Self {
        let screen = session.screen();
        let application = Application { screen };
        let window = application.create((0, 0), size, false);
        application.title(window, title);
        let x = application.x();
        x.map_window(window).unwrap();
        let gc = x.generate_id().unwrap();
        x.create_gc(gc, window, &CreateGCAux::new()).unwrap();
        application.sync();
        Self {
            application,
            window,
            gc,
        }
    }

    fn put(&self, to: u32, (width, height): (u16, u16), y: i16, pixels: &[u8]) {
        let (x, format) = (self.application.x(), ImageFormat::Z_PIXMAP);
        x.put_image(format, to, self.gc, width, height, 0, y, 0, 24, pixels)
            .unwrap();
    }
}

/// Redraws a large window as fast as the X server can until it is over, and changes its title
/// each time if it is to.
fn redraw(session: &Session, titles: bool, over: &AtomicBool) {
    const SIZE: (u16, u16) = (1000, 700);
    let shown = Shown::new(session, "redrawn", SIZE);
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

/// Frames that are counted: the number is in the pixels, twelve black or white squares, and below
/// each its opposite.
struct Counter(Shown);

impl Counter {
    const BITS: u16 = 12;
    const SIDE: u16 = 16;
    const SIZE: (u16, u16) = (Self::BITS * Self::SIDE, 2 * Self::SIDE);

    fn draw(&self, number: u16) {
        let square = |row: u16, column: u16| {
            let white = (number >> (column / Self::SIDE) & 1) ^ (row / Self::SIDE) != 0;
            [if white { 0xff } else { 0 }; 4]
        };
        let row = |row| (0..Self::SIZE.0).flat_map(move |column| square(row, column));
        let pixels: Vec<u8> = (0..Self::SIZE.1).flat_map(row).collect();
        self.0.put(self.0.window, Self::SIZE, 0, &pixels);
        self.0.application.sync();
    }

    /// The number that a client sees.
    fn seen(client: &Client, window: WindowId) -> Option<u16> {
        let pixels = client.pixels(window).unwrap().bytes();
        let white = |row: u16, bit: u16| {
            let middle = |squares| usize::from(squares * Self::SIDE + Self::SIDE / 2);
            let at = middle(row) * usize::from(Self::SIZE.0) + middle(bit);
            pixels[at * 4] > 128
        };
        (0..Self::BITS).try_fold(0, |number, bit| {
            let (upper, lower) = (white(0, bit), white(1, bit));
            (upper != lower).then_some(number | u16::from(upper) << bit)
        })
    }

    /// How many of `FRAMES` frames at this pace the client gets.
    fn frames(&self, client: &mut Client, window: WindowId, pace: Duration) -> usize {
        let mut seen = BTreeSet::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                self.draw(0);
                let start = Instant::now() + pace;
                for number in 1..=FRAMES {
                    let at = start + pace * u32::from(number);
                    std::thread::sleep(at.saturating_duration_since(Instant::now()));
                    self.draw(number);
                }
            });
            let end = Instant::now() + pace * u32::from(FRAMES) + LONG;
            while !seen.contains(&FRAMES) {
                let left = end.saturating_duration_since(Instant::now());
                client.next_event(left).unwrap().expect("the last frame");
                seen.extend(Self::seen(client, window).filter(|number| *number > 0));
            }
        });
        seen.len()
    }
}

const FRAMES: u16 = 100;

#[test]
fn nobody_else_loses_a_frame() {
    if !needs::root("read the memory of our processes") {
        return;
    }
    let _alone = alone();
    let all = usize::from(FRAMES);
    let session = Session::start(&["--sharing=yes"]);
    let counter = Counter(Shown::new(&session, "counter", Counter::SIZE));
    let mut good = attach(&session, &options(1));
    let window = shown(&mut good, "counter");
    // The fastest pace at which a client that is alone gets every frame.
    let pace = [20, 40, 80, 160].map(Duration::from_millis);
    let pace = pace.into_iter().find(|pace| {
        let frames = counter.frames(&mut good, window, *pace);
        println!("alone, one in {pace:?}: {frames} of {all} frames");
        frames == all
    });
    // And half of that, since others use this machine too.
    let pace = pace.expect("a pace at which no frame is lost") * 2;

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
