//! Two hundred connections a second that never log in cost the client that has no frame.

use bulkhead_tests::counter::{Counter, FRAMES};
use bulkhead_tests::session::Session;
use bulkhead_tests::twins::{attach, options, shown};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, bind, connect, socket,
};
use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use test_client::wire::record::RecordWriter;

/// One in each of these.
const PACE: Duration = Duration::from_millis(5);
/// How many are there at a time, at most.
const AT_A_TIME: usize = 100;

/// A connection from an address of its own, all of 127.0.0.0/8.
fn stranger(port: u16, number: usize) -> Option<TcpStream> {
    let fd = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::Tcp,
    )
    .unwrap();
    let byte = |number: usize| u8::try_from(number % 250 + 1).unwrap();
    let from = SockaddrIn::new(127, byte(number / 250), byte(number), 1, 0);
    bind(fd.as_raw_fd(), &from).unwrap();
    let to = SockaddrIn::new(127, 0, 0, 1, port);
    connect(fd.as_raw_fd(), &to).ok()?;
    Some(TcpStream::from(fd))
}

/// What they say: nothing, what is no Xpra, or a hello whose challenge is never answered.
fn sayings() -> [Vec<u8>; 3] {
    let hello = options(9).hello.into_packet();
    let hello = RecordWriter::new(true).record(&hello, true).unwrap();
    [Vec::new(), b"GET / HTTP/1.0\r\n\r\n".to_vec(), hello]
}

#[test]
fn they_cost_nobody_a_frame() {
    let session = Session::start(&["--sharing=yes"]);
    let counter = Counter::new(&session, "counter");
    let mut client = attach(&session, 1);
    let window = shown(&mut client, "counter");
    let pace = counter.pace(&mut client, window);
    let (over, came) = (AtomicBool::new(false), AtomicUsize::new(0));
    let all = usize::from(FRAMES);
    let (frames, time) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (sayings, mut there) = (sayings(), VecDeque::new());
            let start = Instant::now();
            for number in 0.. {
                let at = start + PACE * u32::try_from(number).unwrap();
                std::thread::sleep(at.saturating_duration_since(Instant::now()));
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let Some(mut stranger) = stranger(session.port, number) else {
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
        });
        while came.load(Ordering::Relaxed) < AT_A_TIME {
            client
                .settle(Duration::from_millis(50), pace * 100)
                .unwrap();
        }
        let (before, start) = (came.load(Ordering::Relaxed), Instant::now());
        // What they cost, they cost each time.
        let most = (0..3)
            .map(|_| counter.frames(&mut client, window, pace))
            .inspect(|frames| println!("among strangers: {frames} of {all} frames"))
            .find(|frames| *frames == all);
        let came = came.load(Ordering::Relaxed) - before;
        over.store(true, Ordering::Relaxed);
        (
            most,
            f64::from(u32::try_from(came).unwrap()) / start.elapsed().as_secs_f64(),
        )
    });
    println!("one frame in {pace:?}, {time:.0} strangers a second");
    assert!(frames.is_some(), "frames are lost");
    assert!(time > 180.0, "only {time:.0} strangers a second");
}
