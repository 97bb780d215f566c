//! A window whose frames are counted.

use crate::application::Application;
use crate::screen::Screen;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use test_client::Client;
use test_client::wire::packet::WindowId;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt as _, CreateGCAux, Gcontext, ImageFormat, Window};

const LONG: Duration = Duration::from_secs(20);

/// A window of an application.
pub struct Shown {
    /// Which application.
    pub application: Application,
    /// Which window.
    pub window: Window,
    /// What is drawn with.
    pub gc: Gcontext,
}

impl Shown {
    /// Shows it on the screen of a session.
    ///
    /// # Panics
    /// When the X server is not there.
    pub fn new(screen: Screen, title: &str, size: (u16, u16)) -> Self {
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

    /// Draws these pixels, at the left, `y` pixels from the top.
    ///
    /// # Panics
    /// When the X server is not there.
    pub fn put(&self, to: u32, (width, height): (u16, u16), y: i16, pixels: &[u8]) {
        let (x, format) = (self.application.x(), ImageFormat::Z_PIXMAP);
        x.put_image(format, to, self.gc, width, height, 0, y, 0, 24, pixels)
            .unwrap();
    }
}

/// Frames that are counted: the number is in the pixels, twelve black or white squares, and below
/// each its opposite.
pub struct Counter(Shown);

/// How many frames are drawn.
pub const FRAMES: u16 = 100;

impl Counter {
    const BITS: u16 = 12;
    const SIDE: u16 = 16;
    const SIZE: (u16, u16) = (Self::BITS * Self::SIDE, 2 * Self::SIDE);

    /// Shows a window with this title on the screen of a session.
    pub fn new(screen: Screen, title: &str) -> Self {
        Self(Shown::new(screen, title, Self::SIZE))
    }

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

    /// The fastest pace at which a client that is alone gets every frame, and half of that, since others use
    /// this machine too.
    ///
    /// # Panics
    /// When there is none.
    pub fn pace(&self, client: &mut Client, window: WindowId) -> Duration {
        let pace = [20, 40, 80, 160].map(Duration::from_millis);
        let pace = pace.into_iter().find(|pace| {
            let frames = self.frames(client, window, *pace);
            println!("alone, one in {pace:?}: {frames} of {FRAMES} frames");
            frames == usize::from(FRAMES)
        });
        pace.expect("a pace at which no frame is lost") * 2
    }

    /// How many of [`FRAMES`] frames at this pace the client gets.
    ///
    /// # Panics
    /// When the last one does not come.
    pub fn frames(&self, client: &mut Client, window: WindowId, pace: Duration) -> usize {
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
