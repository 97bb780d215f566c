//! Two hundred connections a second that never log in.

use crate::source::connect_from;
use crate::twins::options;
use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use test_client::Client;
use test_client::wire::record::RecordWriter;

/// So many come in a second, if the machine can make them.
pub const A_SECOND: u32 = 200;
/// With fewer than these nothing is shown.
pub const ENOUGH: f64 = 180.0;
/// How many are there at a time, at most.
const AT_A_TIME: usize = 100;
/// Longest until so many are there.
const LONG: Duration = Duration::from_secs(20);

/// A connection from an address of its own, all of 127.0.0.0/8.
fn stranger(port: u16, number: usize) -> Option<TcpStream> {
    let byte = |number: usize| u8::try_from(number % 250 + 1).unwrap();
    connect_from([byte(number / 250), byte(number), 1], port).ok()
}

/// What they say: nothing, what is no Xpra, or a hello whose challenge is never answered.
fn sayings() -> [Vec<u8>; 3] {
    let hello = options(9).hello.into_packet();
    let hello = RecordWriter::new(true).record(&hello, true).unwrap();
    [Vec::new(), b"GET / HTTP/1.0\r\n\r\n".to_vec(), hello]
}

/// They come until this goes, also when what looks at them fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn come(port: u16, came: &AtomicUsize, over: &AtomicBool) {
    let (sayings, mut there) = (sayings(), VecDeque::new());
    let (start, pace) = (Instant::now(), Duration::from_secs(1) / A_SECOND);
    for number in 0.. {
        let at = start + pace * u32::try_from(number).unwrap();
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        if over.load(Ordering::Relaxed) {
            break;
        }
        let Some(mut stranger) = stranger(port, number) else {
            continue;
        };
        // Some are gone already.
        let _ = stranger.write_all(&sayings[number % 3]);
        there.push_back(stranger);
        if there.len() > AT_A_TIME {
            there.pop_front();
        }
        came.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is seen while they come to this port of the server that the client is attached to, and how many came
/// in a second of that time.
///
/// # Panics
/// When they cannot come.
pub fn among<T>(client: &mut Client, port: u16, look: impl FnOnce(&mut Client) -> T) -> (T, f64) {
    let (over, came) = (AtomicBool::new(false), AtomicUsize::new(0));
    let number = || came.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        let _over = Over(&over);
        scope.spawn(|| come(port, &came, &over));
        let end = Instant::now() + LONG;
        while number() < AT_A_TIME {
            assert!(Instant::now() < end, "only {} strangers came", number());
            client.settle(Duration::from_millis(50), LONG).unwrap();
        }
        let (before, start) = (number(), Instant::now());
        let seen = look(client);
        let came = u32::try_from(number() - before).unwrap();
        (seen, f64::from(came) / start.elapsed().as_secs_f64())
    })
}
