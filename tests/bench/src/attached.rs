//! What a client sees: the same small client for both servers.

use crate::Arguments;
use crate::server::{PASSWORD, Server};
use bulkhead_tests::tls;
use std::time::{Duration, Instant};
use test_client::wire::packet::WindowId;
use test_client::{Address, Client, Error, Happening, KeyPress, Options, press_of};

/// Longest that any single step may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Keys after which the line is emptied.
const LINE: usize = 40;

/// What a client saw.
pub struct Attached {
    /// From connecting to the server's hello.
    pub hello: Vec<Duration>,
    /// The same over TLS.
    pub tls_hello: Vec<Duration>,
    /// From connecting to the first picture of the window.
    pub pixels: Vec<Duration>,
    /// From a key press to a picture that changes a pixel of the window.
    pub keys: Vec<Duration>,
}

impl Attached {
    /// Attaches again and again, then types; leaves the last client attached.
    pub fn measure(
        server: &Server,
        arguments: &Arguments,
        number: usize,
    ) -> Result<(Self, Client), Error> {
        let (address, options) = door(server);
        let (mut hello, mut pixels) = (Vec::new(), Vec::new());
        // The first one waits for the terminal.
        let mut client = Client::connect(&address, &options, PATIENCE)?;
        drawn(&mut client, false)?;
        client.settle(Duration::from_millis(700), PATIENCE)?;
        for _ in 0..arguments.connects {
            client.disconnect()?;
            std::thread::sleep(Duration::from_millis(300));
            let start = Instant::now();
            client = Client::connect(&address, &options, PATIENCE)?;
            hello.push(start.elapsed());
            pixels.push(drawn(&mut client, false)?.0 - start);
            client.settle(Duration::from_millis(200), PATIENCE)?;
        }
        let tls = tls::address(server.tls_port);
        let mut tls_hello = Vec::new();
        for _ in 0..arguments.connects {
            client.disconnect()?;
            std::thread::sleep(Duration::from_millis(300));
            let start = Instant::now();
            client = Client::connect(&tls, &options, PATIENCE)?;
            tls_hello.push(start.elapsed());
            client.settle(Duration::from_millis(200), PATIENCE)?;
        }
        // The rest is measured in clear.
        client.disconnect()?;
        client = Client::connect(&address, &options, PATIENCE)?;
        drawn(&mut client, false)?;
        client.settle(Duration::from_millis(700), PATIENCE)?;
        let keys = type_keys(&mut client, arguments.keys, number)?;
        let seen = Self {
            hello,
            tls_hello,
            pixels,
            keys,
        };
        Ok((seen, client))
    }
}

/// Where a client connects, and as whom.
fn door(server: &Server) -> (Address, Options) {
    let address = Address::Tcp(format!("127.0.0.1:{}", server.port));
    (address, Options::gtk().password(PASSWORD))
}

/// A client that is attached.
pub fn connect(server: &Server) -> Result<Client, Error> {
    let (address, options) = door(server);
    Client::connect(&address, &options, PATIENCE)
}

/// Goes on for this long.
pub fn idle(client: &mut Client, time: Duration) -> Result<(), Error> {
    let end = Instant::now() + time;
    while client
        .next_event(end.saturating_duration_since(Instant::now()))?
        .is_some()
    {}
    Ok(())
}

/// When the last byte of the next picture came (of the next that changes something), and of
/// which window it is.
fn drawn(client: &mut Client, must_change: bool) -> Result<(Instant, WindowId), Error> {
    let end = Instant::now() + PATIENCE;
    while let Some(event) = client.next_event(end.saturating_duration_since(Instant::now()))? {
        match event.what {
            Happening::Drawn {
                window, changed, ..
            } if changed || !must_change => {
                return Ok((event.at, window));
            }
            _ => {}
        }
    }
    Err(Error::Timeout(PATIENCE, "a picture"))
}

fn type_keys(client: &mut Client, count: usize, number: usize) -> Result<Vec<Duration>, Error> {
    let windows = &client.state().windows;
    let window = *windows
        .keys()
        .next()
        .ok_or(Error::Timeout(PATIENCE, "a window"))?;
    client.focus(Some(window))?;
    client.point(window, 50, 50)?;
    client.settle(Duration::from_millis(700), PATIENCE)?;
    let key = press_of('x').ok_or(Error::NoKey('x'))?;
    let backspace = test_client::named("BackSpace").ok_or(Error::NoKey('\u{8}'))?;
    let mut gaps = Gaps::new(number);
    let mut times = Vec::new();
    for typed in 1..=count {
        idle(client, gaps.next())?;
        let start = Instant::now();
        client.key(window, &key, true, 0)?;
        times.push(drawn(client, true)?.0 - start);
        idle(client, Duration::from_millis(30))?;
        client.key(window, &key, false, 0)?;
        if typed % LINE == 0 {
            for _ in 0..LINE {
                press(client, window, &backspace)?;
            }
            client.settle(Duration::from_millis(300), PATIENCE)?;
        }
    }
    Ok(times)
}

fn press(client: &mut Client, window: WindowId, key: &KeyPress) -> Result<(), Error> {
    client.key(window, key, true, 0)?;
    client.key(window, key, false, 0)?;
    idle(client, Duration::from_millis(5))
}

/// Irregular pauses of 50 to 300 ms, the same for both servers (Numerical Recipes' generator).
struct Gaps(u32);

impl Gaps {
    fn new(number: usize) -> Self {
        Self(u32::try_from(number).unwrap_or_default())
    }

    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Duration::from_millis(u64::from(50 + (self.0 >> 16) % 250))
    }
}
