//! Who comes in, and who does not.

use crate::bench::{Bench, wait_for};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

fn more_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(8192), hard).unwrap();
}

pub fn probes_cost_nothing() {
    let bench = Bench::new(|_| {});
    bench.logged(0, &["attach with"]);
    wait_for("what workers say at their start", || {
        (bench.pids("auth").len() + bench.pids("display").len() == 2).then_some(())
    });
    let before = bench.lines().len();
    for _ in 0..200 {
        drop(UnixStream::connect(&bench.unix).unwrap());
        drop(TcpStream::connect(bench.tcp).unwrap());
    }
    let silent = UnixStream::connect(&bench.unix).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    // The kernel counts a FIN among what can be read a moment before it marks the end: poll(2) may call the one
    // of hundreds that it hits then readable, and not at its end. So it was seen, on a machine under load.
    let said = bench.lines().split_off(before);
    let came = said.iter().filter(|line| line.contains("connection from"));
    let came = came.count();
    assert!(came <= 2, "{came} processes for 400 probes");
    if came == 0 {
        assert_eq!(said, [""; 0]);
    }
    // Nor does the supervisor go round and round for those that have gone.
    let ran = || {
        let path = format!("/proc/{}/schedstat", bench.supervisor.id());
        let text = std::fs::read_to_string(path).unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    };
    wait_for("the supervisor to be quiet for 400 ms", || {
        let start = ran();
        std::thread::sleep(Duration::from_millis(400));
        (ran() - start < Duration::from_millis(20)).then_some(())
    });
    drop(silent);
}

pub fn a_thousand_half_open_connections() {
    more_descriptors();
    let bench = Bench::new(|_| {});
    // Silent ones, and ones that begin something.
    for word in ["", "h"] {
        let _crowd: Vec<_> = (0..1000)
            .map(|_| {
                let mut stream = TcpStream::connect(bench.tcp).unwrap();
                stream.write_all(word.as_bytes()).unwrap();
                stream
            })
            .collect();
        for round in 0..3 {
            // Who is turned away for another tries again, as a client does.
            let start = Instant::now();
            wait_for("to be let in", || {
                let mut client = bench.tcp();
                let heard = [client.say("login ok").hear(), client.hear()];
                (heard[0].starts_with("start") && heard[1].starts_with("accepted")).then_some(())
            });
            println!("let in after {:?} (`{word}`, {round})", start.elapsed());
            assert!(start.elapsed() < Duration::from_secs(5));
            // And from elsewhere.
            let start = Instant::now();
            let mut local = bench.unix();
            local.say("login ok").expect("start").expect("accepted");
            println!("from elsewhere after {:?}", start.elapsed());
            assert!(start.elapsed() < Duration::from_secs(5));
        }
    }
    let live = bench.pids("network");
    let live = live
        .iter()
        .filter(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(live.count() <= 80);
}

pub fn a_thousand_wrong_passwords() {
    let bench = Bench::new(|_| {});
    let mut attached = bench.attached("a", "share steal");
    let start = Instant::now();
    let mut tried = 0_u64;
    for _ in 0..1000 {
        let mut client = bench.tcp();
        client.say("login wrong");
        if client.hear().starts_with("start") {
            client.expect("rejected");
            tried += 1;
        }
    }
    println!("{tried} of 1000 tries in {:?}", start.elapsed());
    assert!(tried <= 8 + 2 * start.elapsed().as_secs(), "{tried}");
    // Others are served.
    let mut local = bench.attached("b", "share steal");
    local.say("x").expect("what?");
    attached.say("x").expect("what?");
}

pub fn one_client_too_many_is_told_so() {
    more_descriptors();
    let bench = Bench::new(|spec| spec.sharing = Some(true));
    let mut attached: Vec<_> = (0..100)
        .map(|number| bench.attached(&format!("client-{number}"), "share steal"))
        .collect();
    let logged_in = || {
        let mut client = bench.unix();
        client.say("login ok").expect("start");
        client
    };
    let mut late = logged_in();
    late.expect("accepted")
        .say("session late share steal")
        .expect("disconnect session busy|100 clients use the session")
        .expect_end();
    bench.logged(0, &["\"connection\":101", "turned away: 100 clients use"]);
    // Who is there already may come again.
    attached[7] = bench.attached("client-7", "share steal");
    // Those who proved who they are and have not said what they want count too.
    // One after the other: until then they are strangers, of whom there may be fewer.
    let accepted = |_| {
        let mut client = logged_in();
        client.expect("accepted");
        client
    };
    let mut idle: Vec<_> = (0..100).map(accepted).collect();
    let mut late = logged_in();
    // What it hears from auth may come too late.
    let mut told = late.hear();
    if told == "accepted" {
        told = late.hear();
    }
    assert!(told.starts_with("disconnect server error|200 clients are logged in"));
    late.expect_end();
    bench.logged(0, &["\"connection\":203", "turned away: 200 clients are"]);
    // Nobody else notices, and a place that becomes free is one.
    for client in attached.iter_mut().chain(&mut idle) {
        client.say("still there?").expect("what?");
    }
    drop(attached.pop());
    bench.logged(0, &["\"connection\":100", "the client has left"]);
    let mut next = idle.pop().unwrap();
    next.say("session next share steal").expect("session");
    next.say("stop").expect("disconnect server shutdown");
    assert_eq!(bench.stopped(), 0);
}

/// Descriptors run out at each step of the start of a worker in turn.
pub fn a_start_that_fails_at_any_step_leaves_nothing() {
    let bench = Bench::new(|_| {});
    let supervisor = bench.supervisor.id();
    let numbers = |what: &str| -> Vec<u64> {
        let entries = std::fs::read_dir(format!("/proc/{supervisor}/{what}")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names
            .map(|name| name.to_str().unwrap().parse().unwrap())
            .collect()
    };
    let children = || {
        let path = format!("/proc/{supervisor}/task/{supervisor}/children");
        std::fs::read_to_string(path).unwrap()
    };
    let limit = |descriptors: u64| {
        let limits = nix::libc::rlimit {
            rlim_cur: descriptors,
            rlim_max: 4096,
        };
        // SAFETY: reads `limits`, writes nothing.
        let result = unsafe {
            nix::libc::prlimit(
                supervisor.cast_signed(),
                nix::libc::RLIMIT_NOFILE,
                &raw const limits,
                std::ptr::null_mut(),
            )
        };
        assert_eq!(result, 0);
    };
    let (before, open) = (children(), numbers("fd").len());
    // With this limit there is room for so many more.
    let taken = numbers("fd");
    let with_room = |room: usize| {
        let free = (0..4096).filter(|number| !taken.contains(number));
        free.take(room + 1).last().unwrap()
    };
    let mut failures = 0;
    for room in 0..12 {
        limit(with_room(room));
        let mut client = bench.unix();
        client.say("hello");
        if room == 0 {
            // It waits at the listener until there is room.
            limit(4096);
        }
        if client.hear().is_empty() {
            failures += 1;
        }
        limit(4096);
        drop(client);
        wait_for("the end of everything", || {
            (children() == before && numbers("fd").len() == open).then_some(())
        });
    }
    assert!(
        (4..12).contains(&failures),
        "{failures} of 12 starts have failed"
    );
    bench.logged(0, &["\"error\"", "no process for a connection", "EMFILE"]);
    bench.unix().say("hello").expect("start");
}
