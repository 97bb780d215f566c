//! Whatever the network sends, it ends the connection that sent it, and nothing else.

#[path = "upstream_holes/peer.rs"]
mod peer;

use bulkhead_tests::processes;
use bulkhead_tests::session::Session;
use bulkhead_tests::twins::{attach, shown};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use peer::{
    LONG, end_of, header, hello, key_to_pixels, knock, logged, only_these_are_left, packet,
    processes_but, record, say, sharing,
};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use test_client::wire::lz4;
use test_client::wire::packet::WindowId;
use test_client::wire::rencodeplus::{self, Value};
use test_client::{Client, Options};

const TERMINAL: &str = "--start=xterm -T typing -geometry 80x24+10+10 -e cat";

/// What is measured is measured alone.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|error| error.into_inner())
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// Types `count` letters; a line is ended before the terminal's is full.
fn typed(client: &mut Client, window: WindowId, count: usize) -> Vec<Duration> {
    (0..count)
        .map(|n| {
            if n % 60 == 59 {
                key_to_pixels(client, window, "\n");
            }
            key_to_pixels(client, window, "x")
        })
        .collect()
}

/// One way to misbehave.
struct Attack {
    name: &'static str,
    /// With the password, or as a stranger.
    attached: bool,
    bytes: Vec<u8>,
    /// Then closes its side.
    closes: bool,
    /// What the log says of it, where it says something.
    reason: Option<&'static str>,
}

fn attacks() -> Vec<Attack> {
    let stranger = |name, bytes, reason| Attack {
        name,
        attached: false,
        bytes,
        closes: false,
        reason: Some(reason),
    };
    let known = |name, bytes, reason| Attack {
        attached: true,
        ..stranger(name, bytes, reason)
    };
    let gone = |name, bytes| Attack {
        name,
        attached: false,
        bytes,
        closes: true,
        reason: None,
    };
    let caps = |caps: &[(&str, Value)]| {
        let pairs = caps.iter().map(|(key, value)| (*key, value.clone()));
        packet("hello", vec![Value::dict(pairs)])
    };
    let nested = |len| [&[193u8][..], b"\x85hello", &vec![59; len]].concat();
    let mut bomb = lz4::compress(&vec![0; 1 << 20]);
    bomb[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let large = lz4::compress(&vec![0; (4 << 20) + 1]);
    let two_hellos = [hello(&Options::gtk()), hello(&Options::gtk())].concat();
    let mut unnumbered = vec![194];
    rencodeplus::encode_into(&Value::Int(7), &mut unnumbered);
    rencodeplus::encode_into(&Value::Int(7), &mut unnumbered);
    let chunked = [
        record(0, 0, 7, b"x"),
        packet("ping", vec![Value::Int(1); 3]),
    ]
    .concat();
    let twice = [record(0, 0, 7, b"x"), record(0, 0, 7, b"x")].concat();
    let many = (1..=4)
        .flat_map(|index| record(0, 0, index, b"x"))
        .collect();
    let noise = |seed: u32| {
        let step = |state: &mut u32| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some((*state >> 24) as u8)
        };
        std::iter::successors(Some(seed), |n| Some(n.wrapping_add(1)))
            .scan(seed, move |state, _| step(state))
            .take(4096)
    };
    vec![
        gone("nothing", vec![]),
        gone("half a header", b"P\x10\0\0".to_vec()),
        gone("half a record", record(0x10, 0, 0, b"\xc1\x85he")),
        gone("a header and no payload", header(0x10, 0, 0, 1000)),
        stranger(
            "four gigabytes announced",
            header(0x10, 0, 0, u32::MAX as usize),
            "65536 are allowed",
        ),
        stranger(
            "a web browser",
            b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n".to_vec(),
            "starts with 0x47",
        ),
        stranger("random bytes", noise(1).collect(), "no valid records"),
        stranger(
            "random bytes in a record",
            record(0x10, 0, 0, &noise(2).collect::<Vec<_>>()),
            "an unacceptable packet before authentication",
        ),
        stranger(
            "unknown flags",
            record(0x90, 0, 0, b"x"),
            "unknown flag bits 0x80",
        ),
        stranger(
            "an older encoder",
            record(0x01, 0, 0, b"x"),
            "only rencodeplus is supported",
        ),
        stranger(
            "zstd",
            record(0x10, 0x81, 0, b"x"),
            "compression 0x81: only lz4",
        ),
        stranger(
            "a cipher that was not agreed",
            record(0x12, 0, 0, b"x"),
            "no cipher was agreed",
        ),
        stranger("an empty record", header(0x10, 0, 0, 0), "empty payload"),
        stranger(
            "a chunk before authentication",
            record(0, 0, 7, b"x"),
            "more than 0 chunks",
        ),
        stranger(
            "a bomb's announcement",
            record(0x10, 0x11, 0, &bomb),
            "lz4: says",
        ),
        stranger(
            "nested lists before authentication",
            record(0x10, 0, 0, &nested(60_000)),
            "rencodeplus: ",
        ),
        stranger("no packet", record(0x10, 0, 0, &unnumbered), "not a packet"),
        stranger(
            "a key before hello",
            packet("key-action", vec![Value::Int(1); 3]),
            "key-action",
        ),
        stranger(
            "stop before hello",
            packet("shutdown-server", vec![]),
            "shutdown-server",
        ),
        stranger("a second hello", two_hellos, "a hello "),
        stranger(
            "a hello of wrong types",
            caps(&[
                ("rencodeplus", Value::List(vec![])),
                ("uuid", Value::Dict(vec![])),
                ("digest", Value::Int(5)),
            ]),
            "does not offer rencodeplus",
        ),
        stranger(
            "a hello that is a number",
            packet("hello", vec![Value::Int(1)]),
            "hello: argument",
        ),
        stranger(
            "an endless name",
            caps(&[("uuid", Value::from("x".repeat(9000)))]),
            "is larger than",
        ),
        known(
            "200,000 nested lists",
            record(
                0x10,
                0,
                0,
                &[&[193, 0x84][..], b"ping", &vec![59; 200_000]].concat(),
            ),
            "rencodeplus: ",
        ),
        known("a chunk without a place", chunked, "has no placeholder"),
        known("a chunk twice", twice, "chunk index 7 twice"),
        known("too many chunks", many, "more than 3 chunks"),
        known(
            "a real bomb",
            record(0x10, 0x11, 0, &large),
            "lz4: says 4194305",
        ),
        known(
            "an oversized record",
            header(0x10, 0, 0, (1 << 20) + 1),
            "1048576 are allowed",
        ),
        known(
            "random bytes from a friend",
            noise(3).collect(),
            "no valid records",
        ),
    ]
}

impl Attack {
    /// Carries it out and waits until the server has ended it.
    fn run(&self, session: &Session, number: usize) {
        if self.attached {
            let mut client =
                Client::connect(&peer::address(session), &sharing(number), LONG).unwrap();
            let _ = client.send_bytes(&self.bytes);
            let end = Instant::now() + LONG;
            let error = loop {
                assert!(Instant::now() < end, "{} does not end", self.name);
                match client.next_event(LONG) {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            let told = matches!(
                error,
                test_client::Error::Disconnected(_)
                    | test_client::Error::Closed
                    | test_client::Error::Io(_)
            );
            assert!(told, "{}: {error}", self.name);
            return;
        }
        let end = if self.closes {
            let mut stream = knock(session);
            stream.write_all(&self.bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            end_of(stream, LONG)
        } else {
            say(session, &self.bytes)
        };
        let constant = |name: &String| name == "challenge" || name == "disconnect";
        assert!(end.packets.iter().all(constant), "{}: {end:?}", self.name);
    }
}

#[test]
fn six_hundred_malformed_connections_end_and_nobody_notices() {
    const EACH: usize = 20;
    let _alone = alone();
    let session = Session::start(&["--sharing=yes", TERMINAL]);
    let mut client = attach(&session, 1);
    let window = shown(&mut client, "typing");
    client.focus(Some(window)).unwrap();
    let before = processes_but(&session, &[]);
    assert_eq!(before.len(), 6, "{before:?}");
    typed(&mut client, window, 60);
    let mut quiet = typed(&mut client, window, 240);

    let attacks = attacks();
    let rounds: Vec<&Attack> = (0..EACH).flat_map(|_| &attacks).collect();
    assert_eq!(rounds.len(), 600);
    let (next, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let began = Instant::now();
    let mut attacked = Vec::new();
    std::thread::scope(|scope| {
        let attackers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(attack) = rounds.get(number) else {
                            break;
                        };
                        attack.run(&session, 100 + number);
                    }
                })
            })
            .collect();
        let watcher = scope.spawn(|| {
            let failed = attackers.into_iter().any(|one| one.join().is_err());
            done.store(true, Ordering::Relaxed);
            assert!(!failed, "an attack did not end");
        });
        while !done.load(Ordering::Relaxed) {
            attacked.extend(typed(&mut client, window, 5));
        }
        watcher.join().unwrap();
    });
    let took = began.elapsed();

    only_these_are_left(&session, &before);
    for attack in &attacks {
        if let Some(reason) = attack.reason {
            logged(&session, reason, EACH);
        }
    }
    let report = |what: &str, times: &mut [Duration]| {
        let (p50, p95) = (percentile(times, 50), percentile(times, 95));
        println!("key to pixels {what}: p50 {p50:?}, p95 {p95:?}");
        (p50, p95)
    };
    println!("{} connections in {took:?}", rounds.len());
    let (p50, p95) = report("before", &mut quiet);
    report("during", &mut attacked);
    // What else the machine does may be more than it was before.
    let slack = Duration::from_millis(5);
    let is_as_before = (0..3).any(|_| {
        let (p50_after, p95_after) = report("after", &mut typed(&mut client, window, 240));
        p50_after <= p50 * 3 / 2 + slack / 5 && p95_after <= p95 * 3 / 2 + slack
    });
    assert!(is_as_before);
    assert!(client.state().complaints.is_empty());
}

/// Connections that say nothing, or half a header.
fn half_open(session: &Session, count: usize) -> Vec<TcpStream> {
    (0..count)
        .map(|n| {
            let mut stream = knock(session);
            if n % 2 == 0 {
                stream.write_all(b"P\x10\0\0").unwrap();
            }
            stream
        })
        .collect()
}

fn more_descriptors() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if soft < 4096 {
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(4096), hard).unwrap();
    }
}

#[test]
fn a_thousand_half_open_connections_keep_nobody_out() {
    const TRIES: usize = 20;
    let _alone = alone();
    more_descriptors();
    let session = Session::start(&["--sharing=yes", TERMINAL]);
    let before = processes_but(&session, &[]);
    let local = session.session_dir().join("socket");
    assert!(UnixStream::connect(&local).is_ok());
    let local = test_client::Address::Unix(local);
    let connect = |address: &test_client::Address| {
        let began = Instant::now();
        let client = Client::connect(address, &sharing(1), LONG).unwrap();
        (began.elapsed(), client)
    };
    let report = |what: &str, times: &mut Vec<Duration>| {
        let (p50, most) = (percentile(times, 50), percentile(times, 100));
        println!("connect to hello {what}: p50 {p50:?}, longest {most:?}");
        (p50, most)
    };
    let short = |(p50, most)| p50 < Duration::from_secs(1) && most < Duration::from_secs(5);
    let tcp = peer::address(&session);
    let again = |address| (0..TRIES).map(|_| connect(address).0).collect::<Vec<_>>();
    report("alone", &mut again(&tcp));

    // They come from the client's own address, and there are as many as can be.
    let held = half_open(&session, 1000);
    assert!(short(report(
        "among 1,000 that wait, tcp",
        &mut again(&tcp)
    )));
    assert!(short(report(
        "among 1,000 that wait, unix",
        &mut again(&local)
    )));
    let (_, attached) = connect(&tcp);
    let strangers = processes::of_role(session.process().id(), "network").len();
    println!("processes of network at once: {strangers}");
    assert!(strangers <= 66, "{strangers}");
    drop((held, attached));
    only_these_are_left(&session, &before);
}

#[test]
fn who_dribbles_is_cut_off() {
    let _alone = alone();
    let session = Session::start(&[TERMINAL]);
    let before = processes_but(&session, &[]);
    let hello = hello(&sharing(1));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut stream = knock(&session);
                let copy = stream.try_clone().unwrap();
                let ended = AtomicBool::new(false);
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        for byte in hello.chunks(1) {
                            if ended.load(Ordering::Relaxed) || stream.write_all(byte).is_err() {
                                break;
                            }
                            std::thread::sleep(Duration::from_millis(200));
                        }
                    });
                    let reasons = end_of(copy, Duration::from_secs(80)).reasons;
                    ended.store(true, Ordering::Relaxed);
                    assert_eq!(reasons, ["login timeout"]);
                });
            });
        }
    });
    println!("bytes that dribble in end after {:?}", began.elapsed());
    logged(&session, "login timeout", 8);
    only_these_are_left(&session, &before);
}
