//! Workers die, hang and are replaced.

use crate::bench::{Bench, PATIENCE, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

pub fn a_killed_encoder_is_replaced() {
    let bench = Bench::new(|_| {});
    let mut client = bench.attached("a", "share steal");
    let mut other = bench.attached("b", "share steal");
    wait_for("encoders", || {
        (bench.pids("encoder").len() == 2).then_some(())
    });
    let mut fastest = Duration::MAX;
    for signal in [Signal::SIGKILL, Signal::SIGSEGV] {
        let skip = bench.lines().len();
        let victim = *bench.pids_of("encoder", 1).last().unwrap();
        let start = Instant::now();
        kill(Pid::from_raw(victim), signal).unwrap();
        client.expect("new-encoder");
        let took = start.elapsed();
        println!("a new encoder after {took:?}");
        fastest = fastest.min(took);
        bench.logged(skip, &["\"display\"", "encoder 1"]);
        bench.logged(skip, &["\"encoder\"", "\"connection\":1", "Start"]);
    }
    assert!(fastest < Duration::from_millis(100), "{fastest:?}");
    bench.logged(0, &["\"encoder\"", "the process was killed by SIGSEGV"]);
    // One that keeps dying costs its client only.
    // The pauses between its restarts add up to ten seconds.
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        for pid in bench.pids_of("encoder", 1) {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
            if line.is_ok_and(|line| line.contains("--connection=1\0")) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        if bench
            .lines()
            .iter()
            .any(|line| line.contains("the encoder keeps failing"))
        {
            break;
        }
        assert!(Instant::now() < deadline, "it is never given up");
        std::thread::sleep(Duration::from_millis(5));
    }
    loop {
        let line = client.hear();
        if line != "new-encoder" {
            assert_eq!(line, "disconnect server error|the encoder keeps failing");
            break;
        }
    }
    other.say("stop").expect("disconnect server shutdown");
    assert_eq!(bench.stopped(), 0);
}

pub fn a_killed_display_is_replaced_and_keeps_its_clients() {
    let mut bench = Bench::new(|_| {});
    let mut clients = [
        bench.attached("a", "share steal"),
        bench.attached("b", "share steal"),
    ];
    for round in 0..3 {
        let skip = bench.lines().len();
        let start = Instant::now();
        bench.kill_last("display", Signal::SIGKILL);
        assert_eq!(bench.answer(PATIENCE), None);
        for client in &mut clients {
            client.expect("new-display");
        }
        println!("round {round}: a new display after {:?}", start.elapsed());
        for id in [1, 2] {
            bench.logged(skip, &["\"display\"", &format!("client {id} Session")]);
            let connection = format!("\"connection\":{id}");
            bench.logged(
                skip,
                &["\"encoder\"", &connection, "\"message\":\"Display\""],
            );
        }
        wait_for("the new one", || {
            (bench.pids("display").len() == round + 2).then_some(())
        });
    }
    assert_eq!(bench.pids("encoder").len(), 2);
    clients[0].say("stop").expect("disconnect server shutdown");
    assert_eq!(bench.stopped(), 0);
}

pub fn a_display_that_keeps_dying_is_given_up() {
    let mut bench = Bench::new(|_| {});
    let mut client = bench.attached("a", "share steal");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !bench
        .lines()
        .iter()
        .any(|line| line.contains("the display keeps failing"))
    {
        assert!(Instant::now() < deadline, "it is never given up");
        for pid in bench.pids("display") {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        bench.answer(Duration::from_millis(5));
    }
    loop {
        let line = client.hear();
        if line != "new-display" {
            assert_eq!(line, "disconnect server error|the display keeps failing");
            break;
        }
    }
    // The session and its applications go on, and can be stopped.
    let mut late = bench.unix();
    late.say("login ok").expect("start").expect("accepted");
    late.say("session a share steal")
        .expect("disconnect server error|");
    let mut stop = bench.unix();
    stop.say("login ok").expect("start").expect("accepted");
    stop.say("stop").expect("disconnect server shutdown");
    assert_eq!(bench.stopped(), 0);
}

pub fn a_killed_auth_costs_logins_in_flight_only() {
    let bench = Bench::new(|_| {});
    let mut attached = bench.attached("a", "share steal");
    let mut stranger = bench.unix();
    stranger.say("hello").expect("start").expect("what?");
    bench.kill_last("auth", Signal::SIGKILL);
    stranger.expect_end();
    let mut next = bench.attached("b", "share steal");
    attached.say("detach?").expect("what?");
    next.say("stop").expect("disconnect server shutdown");
    assert_eq!(bench.stopped(), 0);
}

pub fn a_killed_keys_costs_logins_in_flight_on_encrypted_sockets_only() {
    // Where nothing is encrypted there is none.
    let bench = Bench::new(|_| {});
    let mut client = bench.tcp();
    client.say("hello").expect("start").expect("what?");
    assert_eq!(bench.pids("keys"), []);
    drop(bench);

    let bench = Bench::encrypted();
    let mut attached = bench.attached("a", "share steal");
    let mut inside = bench.tcp();
    inside.say("login ok").expect("start").expect("accepted");
    let [mut sealed, mut plain] = [bench.tcp(), bench.unix()];
    for stranger in [&mut sealed, &mut plain] {
        stranger.say("hello").expect("start").expect("what?");
    }
    bench.kill_last("keys", Signal::SIGKILL);
    sealed.expect_end();
    for unconcerned in [&mut plain, &mut inside, &mut attached] {
        unconcerned.say("still there?").expect("what?");
    }
    // The next one serves the next.
    let mut next = bench.tcp();
    next.say("derive 0").expect("start").expect("no keys");
    attached.say("stop").expect("disconnect server shutdown");
    assert_eq!(bench.stopped(), 0);
}

pub fn the_end_of_a_client_is_accounted() {
    let bench = Bench::new(|_| {});
    let mut client = bench.attached("a", "share steal");
    client.say("panic").expect_end();
    let line = bench.logged(
        0,
        &["the process panicked: PANIC network fake.rs:1 asked to"],
    );
    assert!(
        line.contains("\"role\":\"network\"") && line.contains("\"connection\":1"),
        "{line}"
    );
    bench.logged(0, &["\"display\"", "gone 1"]);
    wait_for("the end of the encoder", || {
        let pid = *bench.pids("encoder").first()?;
        (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    });
    let mut client = bench.attached("b", "share steal");
    client.say("forbidden").expect_end();
    bench.logged(
        0,
        &["\"connection\":2", "was killed by its sandbox (SIGSYS)"],
    );
    let mut info = bench.unix();
    info.say("login ok")
        .expect("start")
        .expect("accepted")
        .say("info");
    loop {
        let line = info.hear();
        if line.starts_with("info sandbox.kills") {
            assert_eq!(line, "info sandbox.kills Int(1)");
            break;
        }
    }
}

/// The table of the architecture page, row by row: which clients notice, and how.
pub fn who_dies() {
    struct Row {
        role: &'static str,
        /// What the first client hears.
        victim: &'static str,
        /// What the second one hears, if anything.
        other: &'static str,
        replaced: bool,
        stranger_lives: bool,
    }
    const ROWS: [Row; 4] = [
        Row {
            role: "network",
            victim: "",
            other: "what?",
            replaced: false,
            stranger_lives: true,
        },
        Row {
            role: "encoder",
            victim: "new-encoder",
            other: "what?",
            replaced: true,
            stranger_lives: true,
        },
        Row {
            role: "display",
            victim: "new-display",
            other: "new-display",
            replaced: true,
            stranger_lives: true,
        },
        Row {
            role: "auth",
            victim: "what?",
            other: "what?",
            replaced: true,
            stranger_lives: false,
        },
    ];
    for row in ROWS {
        for (signal, level, text) in [
            (Signal::SIGKILL, "warn", "was killed by SIGKILL"),
            (Signal::SIGSEGV, "error", "was killed by SIGSEGV"),
            (Signal::SIGABRT, "error", "was killed by SIGABRT"),
            (
                Signal::SIGSYS,
                "error",
                "was killed by its sandbox (SIGSYS)",
            ),
        ] {
            let what = format!("{} by {signal}", row.role);
            let mut bench = Bench::new(|_| {});
            let mut victim = bench.attached("a", "share steal");
            wait_for("its encoder", || bench.pids("encoder").pop());
            let pid = bench.pids(row.role)[0];
            let mut other = bench.attached("b", "share steal");
            let mut stranger = bench.unix();
            stranger.say("hello").expect("start").expect("what?");
            wait_for("all of them", || {
                let encoders = bench.pids("encoder").len();
                (encoders == 2 && bench.pids("network").len() == 3).then_some(())
            });
            let before = bench.pids(row.role).len();
            kill(Pid::from_raw(pid), signal).unwrap();
            // Role, process and connection are those of the dead.
            let connection = match row.role {
                "network" | "encoder" => ",\"connection\":1",
                _ => "",
            };
            let origin = format!("\"role\":\"{}\",\"pid\":{pid}{connection},", row.role);
            bench.logged(0, &[&format!("\"level\":\"{level}\""), &origin, text]);
            if row.role == "display" {
                // The launcher answers.
                assert_eq!(bench.answer(PATIENCE), None);
            }
            for (client, expected) in [(&mut victim, row.victim), (&mut other, row.other)] {
                if expected == "what?" {
                    client.say("still there?");
                }
                assert_eq!(client.hear(), expected, "{what}");
            }
            if row.stranger_lives {
                stranger.say("still there?").expect("what?");
            } else {
                stranger.expect_end();
            }
            if row.replaced {
                wait_for("the next one", || {
                    (bench.pids(row.role).len() == before + 1).then_some(())
                });
            }
            // Whoever comes now is served.
            let mut next = bench.attached("c", "share steal");
            if row.replaced || before > 1 {
                // What a worker says goes another way than the answer to the client.
                wait_for("one more", || {
                    (bench.pids(row.role).len() > before).then_some(())
                });
            }
            let sandbox = u32::from(signal == Signal::SIGSYS);
            next.say("stop").expect("disconnect server shutdown");
            let deaths = bench
                .lines()
                .iter()
                .filter(|line| line.contains("by its sandbox"))
                .count();
            assert_eq!(deaths, sandbox as usize, "{what}");
            assert_eq!(bench.stopped(), 0, "{what}");
        }
    }
}

pub fn a_worker_that_hangs_is_replaced() {
    let mut bench = Bench::new(|_| {});
    let mut attached = bench.attached("a", "share steal");
    let stopped = ["auth", "display"].map(|role| bench.kill_last(role, Signal::SIGSTOP));
    // A login is under way, and a client says that display does not read.
    let mut stranger = bench.unix();
    stranger.say("login ok").expect("start");
    attached.say("accuse display");
    let start = Instant::now();
    for (role, pid) in ["auth", "display"].into_iter().zip(stopped) {
        let origin = format!("\"role\":\"{role}\",\"pid\":{pid},");
        wait_for("the end of one that hangs", || {
            bench.answer(Duration::from_millis(1));
            let mut lines = bench.lines().into_iter();
            lines.find(|line| line.contains(&origin) && line.contains("has not answered for 10 s"))
        });
    }
    println!("noticed after {:?}", start.elapsed());
    stranger.expect_end();
    // The accuser was right.
    bench.answer(Duration::from_millis(1000));
    attached.expect("new-display");
    bench.attached("b", "share steal");
    attached.say("stop").expect("disconnect server shutdown");
    assert_eq!(bench.stopped(), 0);
}
