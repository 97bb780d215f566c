use crate::bench::{Bench, Client, wait_for};
use crate::fake;
use ipc::launcher::LauncherToSupervisor;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        /// Every test with its name.
        pub const ALL: &[(&str, fn())] = &[$((stringify!($name), $name)),*];
    };
}

tests![
    a_client_gets_the_session_only_after_the_verdict,
    what_a_worker_inherits,
    in_a_start_as_root_each_role_has_its_own_user,
    clients_share_or_take_over,
    one_shot_requests,
    a_killed_encoder_is_replaced,
    a_killed_display_is_replaced_and_keeps_its_clients,
    a_display_that_keeps_dying_is_given_up,
    a_killed_auth_costs_logins_in_flight_only,
    the_end_of_a_client_is_accounted,
    who_dies,
    a_worker_that_hangs_is_replaced,
    nobody_fills_the_log,
    rules_are_kept_or_the_breaker_ends,
    records_cannot_be_forged,
    probes_cost_nothing,
    a_thousand_half_open_connections,
    a_thousand_wrong_passwords,
    one_client_too_many_is_told_so,
    a_start_that_fails_at_any_step_leaves_nothing,
    ends_in_order,
    a_start_that_fails_says_why,
    another_display_than_the_one_asked_for_is_left_alone,
    a_start_that_fails_stops_nothing,
    the_launchers_end_is_the_sessions,
];

fn a_client_gets_the_session_only_after_the_verdict() {
    let bench = Bench::new(|_| {});
    // What `id` may tell without a login is for local sockets only.
    let mut local = bench.unix();
    local.say("session a share steal").expect("start id=:77");
    let mut remote = bench.tcp();
    remote.say("session b share steal").expect("start id=none");
    // Asked before the verdict: nothing. (Neither is told that it is attached.)
    std::thread::sleep(Duration::from_millis(100));
    assert!(bench.pids("encoder").is_empty());
    remote
        .say("login wrong")
        .expect("rejected authentication failed")
        .expect_end();
    // With the verdict, the question is still there.
    local
        .say("login ok")
        .expect_both("accepted", "session readonly=false");
    bench.logged(0, &["\"display\"", "client 1 Session readonly=false"]);
    bench.logged(0, &["\"encoder\"", "\"connection\":1", "Start"]);
    kill(Pid::from_raw(bench.supervisor.id() as i32), Signal::SIGTERM).unwrap();
    local.expect("disconnect server shutdown");
    assert_eq!(bench.stopped(), 0);
}

fn status_of(pid: i32) -> impl Fn(&str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    move |name: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.trim().split('\t').next().unwrap().to_owned()
    }
}

fn what_a_worker_inherits() {
    let bench = Bench::new(|_| {});
    let mut client = bench.attached("a", "share steal");
    for role in ["network", "auth", "display", "encoder"] {
        let pid = wait_for(role, || bench.pids(role).first().copied());
        let status = status_of(pid);
        for (name, value) in [
            ("Seccomp:", "2"),
            ("NoNewPrivs:", "1"),
            ("CapPrm:", "0000000000000000"),
            ("CapEff:", "0000000000000000"),
            ("CapAmb:", "0000000000000000"),
            ("SigBlk:", "0000000000000000"),
        ] {
            assert_eq!(status(name), value, "{role} {name}");
        }
        assert_eq!(status("NSsid:"), pid.to_string(), "{role} leads no session");
        assert!(
            std::fs::read(format!("/proc/{pid}/environ"))
                .unwrap()
                .is_empty()
        );
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
        let arguments = String::from_utf8(arguments).unwrap();
        assert!(
            arguments.starts_with(&format!("bulkhead-{role}\0--mode=user\0")),
            "{arguments}"
        );
        let fd = |number: i32| {
            std::fs::read_link(format!("/proc/{pid}/fd/{number}"))
                .map(|path| path.to_str().unwrap().split(':').next().unwrap().to_owned())
        };
        assert_eq!(fd(0).unwrap(), "/dev/null");
        assert_eq!(
            (fd(1).unwrap(), fd(2).unwrap()),
            ("pipe".into(), "pipe".into())
        );
        assert_eq!(fd(3).unwrap(), "socket");
        assert!(fd(4).unwrap().ends_with("/empty"));
        // What follows it was given in messages, sockets and X's cookie; never a file of ours.
        let more = (5..64)
            .filter_map(|number| fd(number).ok())
            .collect::<Vec<_>>();
        assert!(
            more.iter().all(|path| path == "socket" || path == "/memfd"),
            "{role} {more:?}"
        );
    }
    let status = status_of(bench.supervisor.id() as i32);
    assert_eq!(
        (status("Seccomp:").as_str(), status("NoNewPrivs:").as_str()),
        ("2", "1")
    );
    assert_eq!(status("CapEff:"), "0000000000000000");
    // Each exec has its own address space.
    let mut maps = std::collections::BTreeSet::new();
    let mut clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = bench.unix();
            client.say("hello").expect("start");
            client
        })
        .collect();
    wait_for("21 workers", || {
        (bench.pids("network").len() == 21).then_some(())
    });
    for pid in bench.pids("network") {
        let map = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        maps.insert(map.split('-').next().unwrap().to_owned());
    }
    assert_eq!(maps.len(), 21, "address space layouts repeat");
    clients.clear();
    client.say("stop").expect("disconnect server shutdown");
    assert_eq!(bench.stopped(), 0);
}

fn in_a_start_as_root_each_role_has_its_own_user() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: not root");
        return;
    }
    let base = 61_000;
    let bench = Bench::new(|spec| spec.worker_uid_base = Some(base));
    let mut client = bench.attached("a", "share steal");
    let mut seen = std::collections::BTreeSet::new();
    for role in ["network", "auth", "display", "encoder"] {
        let pid = wait_for(role, || bench.pids(role).first().copied());
        let status = status_of(pid);
        let uid: u32 = status("Uid:").parse().unwrap();
        assert_eq!(status("Uid:"), status("Gid:"));
        assert!(uid > base && seen.insert(uid), "{role} runs as {uid}");
        assert_eq!(status("CapEff:"), "0000000000000000");
        assert_eq!(status("Groups:"), "");
    }
    let status = status_of(bench.supervisor.id() as i32);
    assert_eq!(status("Uid:"), base.to_string());
    // KILL, SETGID, SETUID.
    for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
        assert_eq!(status(set), "00000000000000e0", "{set}");
    }
    // It can still end what it has started.
    let encoder = bench.kill_last("encoder", Signal::SIGSTOP);
    client.say("stop").expect("disconnect server shutdown");
    assert_eq!(bench.stopped(), 0);
    assert!(!std::path::Path::new(&format!("/proc/{encoder}")).exists());
}

fn clients_share_or_take_over() {
    let bench = Bench::new(|_| {});
    let mut first = bench.attached("a", "share steal");
    let mut second = bench.attached("b", "share steal");
    // The same again replaces itself only.
    let mut again = bench.attached("b", "share steal");
    second.expect("disconnect new client").expect_end();
    bench.logged(0, &["\"display\"", "gone 2"]);
    // Who does not share and does not steal is turned away.
    let mut polite = bench.unix();
    polite.say("login ok").expect("start").expect("accepted");
    polite
        .say("session c alone wait")
        .expect("disconnect session busy")
        .expect_end();
    // Who steals gets it alone.
    let thief = bench.attached("d", "alone steal");
    first.expect("disconnect new client").expect_end();
    again.expect("disconnect new client").expect_end();
    drop(thief);
    bench.logged(0, &["\"connection\":5", "the client has left"]);
    let bench = Bench::new(|spec| {
        (spec.sharing, spec.readonly, spec.exit_with_client) = (Some(false), true, true);
    });
    let mut first = bench.attached("a", "share steal");
    let mut second = bench.unix();
    second.say("login ok").expect("start").expect("accepted");
    second
        .say("session b share steal")
        .expect("session readonly=true");
    first.expect("disconnect new client").expect_end();
    bench.logged(0, &["client 2 Session readonly=true"]);
    drop(second);
    assert_eq!(bench.stopped(), 0);
}

fn one_shot_requests() {
    let bench = Bench::new(|_| {});
    let ask = |request: &str| {
        let mut client = bench.unix();
        client
            .say("login ok")
            .expect("start")
            .expect("accepted")
            .say(request);
        client
    };
    let mut clients = [
        bench.attached("a", "share steal"),
        bench.attached("b", "share steal"),
    ];
    let mut info = ask("info");
    let mut facts = Vec::new();
    loop {
        let line = info.hear();
        if line == "info-end" {
            break;
        }
        facts.push(line.strip_prefix("info ").unwrap().to_owned());
    }
    for fact in [
        "display.name Text(\":77\")",
        "display.width Int(640)",
        "clients Int(2)",
        "client.0.uuid Text(\"a\")",
        "client.1.user Text(\"ok\")",
        "server.session-name Text(\"a session\")",
        "sandbox.restarts.display Int(0)",
    ] {
        assert!(
            facts.iter().any(|line| line == fact),
            "no {fact} in {facts:#?}"
        );
    }
    assert!(
        facts
            .iter()
            .filter(|fact| fact.contains(".role Text"))
            .count()
            >= 7
    );
    // A display that does not answer does not keep it.
    let display = bench.kill_last("display", Signal::SIGSTOP);
    let asked = Instant::now();
    let mut info = ask("info");
    while info.hear() != "info-end" {}
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "{:?}",
        asked.elapsed()
    );
    kill(Pid::from_raw(display), Signal::SIGCONT).unwrap();

    ask("screenshot").expect("screenshot");
    bench.logged(0, &["\"display\"", "Screenshot readonly=true"]);

    ask("detach")
        .expect("disconnect done|2 clients have been disconnected")
        .expect_end();
    for client in &mut clients {
        client.expect("disconnect detach request").expect_end();
    }
    // `stop=no` on the tcp socket.
    let mut remote = bench.tcp();
    remote.say("login ok").expect("start").expect("accepted");
    remote
        .say("stop")
        .expect("disconnect permission error|")
        .expect_end();
    // Twice is once too often.
    let mut twice = ask("session a share steal");
    twice.expect("session").say("info").expect_end();
    bench.logged(0, &["violation: network asks a second time"]);
    // `exit` leaves the launcher and the applications alone.
    let mut bystander = bench.attached("c", "share steal");
    ask("exit").expect("disconnect server exit").expect_end();
    bystander.expect("disconnect server exit").expect_end();
    assert_eq!(bench.left(), 0);
}

fn a_killed_encoder_is_replaced() {
    let bench = Bench::new(|_| {});
    let mut client = bench.attached("a", "share steal");
    let mut other = bench.attached("b", "share steal");
    wait_for("encoders", || {
        (bench.pids("encoder").len() == 2).then_some(())
    });
    for signal in [Signal::SIGKILL, Signal::SIGSEGV] {
        let skip = bench.lines().len();
        let first = bench.pids("encoder")[0];
        let victim = if signal == Signal::SIGKILL {
            first
        } else {
            *bench.pids("encoder").last().unwrap()
        };
        let start = Instant::now();
        kill(Pid::from_raw(victim), signal).unwrap();
        client.expect("new-encoder");
        let took = start.elapsed();
        println!("a new encoder after {took:?}");
        assert!(took < Duration::from_millis(100));
        bench.logged(skip, &["\"display\"", "encoder 1"]);
        bench.logged(skip, &["\"encoder\"", "\"connection\":1", "Start"]);
    }
    bench.logged(0, &["\"encoder\"", "the process was killed by SIGSEGV"]);
    // One that keeps dying costs its client only.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let pids = bench.pids("encoder");
        let live = pids.iter().filter(|pid| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
            line.is_ok_and(|line| {
                line.contains("--connection=1\0") || line.ends_with("--connection=1")
            })
        });
        for pid in live {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
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

fn a_killed_display_is_replaced_and_keeps_its_clients() {
    let mut bench = Bench::new(|_| {});
    let mut clients = [
        bench.attached("a", "share steal"),
        bench.attached("b", "share steal"),
    ];
    for round in 0..3 {
        let skip = bench.lines().len();
        let start = Instant::now();
        bench.kill_last("display", Signal::SIGKILL);
        assert_eq!(bench.answer(Duration::from_millis(1000)), None);
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

fn a_display_that_keeps_dying_is_given_up() {
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

fn a_killed_auth_costs_logins_in_flight_only() {
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

fn the_end_of_a_client_is_accounted() {
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
        let pid = bench.pids("encoder")[0];
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
fn who_dies() {
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
            // The launcher answers.
            bench.answer(Duration::from_millis(if row.role == "display" {
                1000
            } else {
                0
            }));
            for (client, expected) in [(&mut victim, row.victim), (&mut other, row.other)] {
                if expected == "what?" {
                    client.say("still there?");
                }
                assert_eq!(client.hear(), expected, "{what}");
            }
            let expected = if row.stranger_lives { "what?" } else { "" };
            assert_eq!(stranger.say("still there?").hear(), expected, "{what}");
            if row.replaced {
                wait_for("the next one", || {
                    (bench.pids(row.role).len() == before + 1).then_some(())
                });
            }
            // Whoever comes now is served.
            let mut next = bench.attached("c", "share steal");
            assert_eq!(
                bench.pids(row.role).len() > before,
                row.replaced || before > 1
            );
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

fn a_worker_that_hangs_is_replaced() {
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

/// Whatever a worker repeats, it is written once.
fn nobody_fills_the_log() {
    let mut bench = Bench::start(|spec| spec.session_name = fake::NOISY_DISPLAY.into());
    let told = LauncherToSupervisor::XReady {
        display: 77,
        adopted: false,
    };
    bench.launcher.send(&told, vec![]).unwrap();
    wait_for("a display that is given up", || {
        bench.answer(Duration::from_millis(5));
        let gave_up = "the display keeps failing";
        bench
            .lines()
            .into_iter()
            .find(|line| line.contains(gave_up))
    });
    let count = |bench: &Bench, text: &str| {
        let lines = bench.lines();
        lines.iter().filter(|line| line.contains(text)).count()
    };
    let deaths = bench.pids("display").len();
    assert_eq!(count(&bench, "display: noise"), deaths);
    assert_eq!(count(&bench, "the display is back"), deaths - 1);
    assert_eq!(count(&bench, "violation"), 0);

    let mut client = bench.unix();
    client
        .say("login storm")
        .expect("start")
        .expect("rejected")
        .expect_end();
    bench.logged(0, &["\"network\"", "\"connection\":1", "the process"]);
    assert_eq!(count(&bench, "is refused by fake"), 1);
    drop(bench);

    let bench = Bench::new(|_| {});
    let mut client = bench.attached("a", "share steal");
    client.say("accuse display often").expect_end();
    bench.logged(0, &["\"network\"", "\"connection\":1", "the process"]);
    assert_eq!(count(&bench, "network of connection 1 reports display"), 1);
}

fn rules_are_kept_or_the_breaker_ends() {
    let bench = Bench::new(|_| {});
    let mut victim = bench.attached("a", "share steal");
    let display = bench.pids("display")[0];
    // A connection's word does not end what everybody needs.
    let mut liar = bench.attached("b", "share steal");
    liar.say("accuse display").expect_end();
    let line = bench.logged(0, &["violation", "network of connection 2 reports display"]);
    assert!(
        line.contains("not believed") && !line.contains('\u{1b}'),
        "{line}"
    );
    // Its own encoder it may have ended, whatever number it says.
    let mut client = bench.attached("c", "share steal");
    client.say("accuse encoder").expect("new-encoder");
    // Rubbish on the channel.
    client.say("rubbish").expect_end();
    bench.logged(
        0,
        &[
            "\"connection\":3",
            "violation: network>supervisor: not a message",
        ],
    );
    victim.say("still there").expect("what?");
    assert_eq!(bench.pids("display"), [display]);
}

fn records_cannot_be_forged() {
    let bench = Bench::new(|_| {});
    let mut client = bench.unix();
    client
        .say("log ERROR ^[2J\"},{\"role\":\"auth\",\"x\":\"")
        .expect("start");
    client
        .say("log WARN \u{202e}\u{2028}\u{9b}")
        .say("log last");
    bench.logged(0, &["\"message\":\"last\"}"]);
    for _ in 0..2000 {
        client.say("log flood");
    }
    client.say("log PANIC in the flood");
    client.say("hello");
    while client.hear() != "what?" {}
    let lines = bench.lines();
    for line in &lines {
        assert!(
            line.starts_with("{\"time\":") && line.ends_with("\"}"),
            "{line}"
        );
        assert!(
            !line
                .chars()
                .any(|c| c.is_control() || "\u{202e}\u{2028}".contains(c)),
            "{line}"
        );
    }
    let forged = lines.iter().find(|line| line.contains("[2J")).unwrap();
    assert!(
        forged.contains("\"level\":\"error\",\"role\":\"network\""),
        "{forged}"
    );
    assert!(
        forged.contains("\\\\u{1b}[2J\\\"},{\\\"role\\\":\\\"auth\\\""),
        "{forged}"
    );
    let flood = lines
        .iter()
        .filter(|line| line.contains("\"message\":\"flood\""))
        .count();
    assert!(flood < 400, "{flood} of 2000 records got through");
}

fn probes_cost_nothing() {
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
    assert_eq!(bench.pids("network").len(), 0);
    assert_eq!(bench.lines().len(), before);
    // Nor does the supervisor go round and round for those that have gone.
    let ran = || {
        let path = format!("/proc/{}/schedstat", bench.supervisor.id());
        let text = std::fs::read_to_string(path).unwrap();
        Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
    };
    let start = ran();
    std::thread::sleep(Duration::from_millis(400));
    let busy = ran() - start;
    assert!(
        busy < Duration::from_millis(20),
        "busy for {busy:?} of 400 ms"
    );
    drop(silent);
}

fn more_descriptors() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(8192), hard).unwrap();
}

fn a_thousand_half_open_connections() {
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
            let start = Instant::now();
            let mut client = bench.tcp();
            client.say("login ok").expect("start").expect("accepted");
            println!("let in after {:?} (`{word}`, {round})", start.elapsed());
            assert!(start.elapsed() < Duration::from_secs(1));
            // And from elsewhere.
            let start = Instant::now();
            let mut local = bench.unix();
            local.say("login ok").expect("start").expect("accepted");
            println!("from elsewhere after {:?}", start.elapsed());
            assert!(start.elapsed() < Duration::from_secs(1));
        }
    }
    let live = bench.pids("network");
    let live = live
        .iter()
        .filter(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(live.count() <= 80);
}

fn a_thousand_wrong_passwords() {
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

fn one_client_too_many_is_told_so() {
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
    let mut idle: Vec<_> = (0..100).map(|_| logged_in()).collect();
    for client in &mut idle {
        client.expect("accepted");
    }
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
fn a_start_that_fails_at_any_step_leaves_nothing() {
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

fn ends_in_order() {
    // A worker that does not end is ended.
    let bench = Bench::new(|_| {});
    let mut client = bench.attached("a", "share steal");
    for role in ["encoder", "display", "auth"] {
        wait_for(role, || (!bench.pids(role).is_empty()).then_some(()));
        bench.kill_last(role, Signal::SIGSTOP);
    }
    let start = Instant::now();
    kill(Pid::from_raw(bench.supervisor.id() as i32), Signal::SIGINT).unwrap();
    client.expect("disconnect server shutdown").expect_end();
    assert_eq!(bench.stopped(), 0);
    println!(
        "with three stopped workers the end took {:?}",
        start.elapsed()
    );
    assert!(start.elapsed() < Duration::from_secs(4));

    let mut bench = Bench::new(|spec| spec.exit_with_children = true);
    bench
        .launcher
        .send(&LauncherToSupervisor::ChildrenEnded, vec![])
        .unwrap();
    assert_eq!(bench.stopped(), 0);

    // Killed: its workers go too. (Here by their channels; the real ones also by the kernel.)
    let mut bench = Bench::new(|_| {});
    let _client = bench.attached("a", "share steal");
    let pids: Vec<_> = ["network", "auth", "display", "encoder"]
        .iter()
        .flat_map(|role| bench.pids(role))
        .collect();
    bench.supervisor.kill().unwrap();
    for pid in pids {
        wait_for("the end of a worker", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_err().then_some(())
        });
    }
}

fn a_start_that_fails_says_why() {
    let mut bench = Bench::start(|_| {});
    let reason = "cannot start the X server `Xvfb`: no such program".to_owned();
    bench
        .launcher
        .send(
            &LauncherToSupervisor::Failed {
                reason: reason.clone(),
            },
            vec![],
        )
        .unwrap();
    bench
        .launcher
        .send(&LauncherToSupervisor::Stopped, vec![])
        .unwrap();
    let mut line = String::new();
    std::io::Read::read_to_string(&mut bench.ready, &mut line).unwrap();
    assert_eq!(line, format!("failed {reason}\n"));
    bench.logged(0, &["\"error\"", &reason]);
    assert_eq!(bench.ended(), 1);
}

fn another_display_than_the_one_asked_for_is_left_alone() {
    let told = |display| LauncherToSupervisor::XReady {
        display,
        adopted: true,
    };
    let mut bench = Bench::start(|spec| spec.display = Some(77));
    bench.launcher.send(&told(78), vec![]).unwrap();
    let line = bench.logged(0, &["\"error\"", "has display :78, not :77"]);
    assert!(line.contains("`bulkhead seamless :78`"), "{line}");
    let mut ready = String::new();
    std::io::Read::read_to_string(&mut bench.ready, &mut ready).unwrap();
    assert!(ready.starts_with("failed the launcher that answers"));
    assert_eq!(bench.left(), 1);

    // Nor may it change later.
    let mut bench = Bench::new(|spec| spec.display = Some(77));
    let mut client = bench.attached("a", "share steal");
    bench.launcher.send(&told(78), vec![]).unwrap();
    client.expect("disconnect server error").expect_end();
    bench.logged(0, &["\"error\"", "display :78 after :77"]);
    assert_eq!(bench.left(), 1);
}

/// The session that a start was to take over has applications.
fn a_start_that_fails_stops_nothing() {
    let bench = Bench::start(|_| {});
    wait_for("auth", || bench.pids("auth").pop());
    bench.kill_last("auth", Signal::SIGKILL);
    bench.logged(0, &["the process `auth` was killed by SIGKILL"]);
    assert_eq!(bench.left(), 1);

    let mut bench = Bench::start(|spec| spec.session_name = fake::NO_DISPLAY.into());
    let told = LauncherToSupervisor::XReady {
        display: 77,
        adopted: true,
    };
    bench.launcher.send(&told, vec![]).unwrap();
    assert_eq!(bench.left(), 1);
}

fn the_launchers_end_is_the_sessions() {
    let mut bench = Bench::new(|_| {});
    let mut client: Client = bench.attached("a", "share steal");
    bench
        .launcher
        .send(&LauncherToSupervisor::XEnded { status: 139 }, vec![])
        .unwrap();
    bench
        .launcher
        .send(&LauncherToSupervisor::Stopped, vec![])
        .unwrap();
    client.expect("disconnect server shutdown|the X server has ended with status 139");
    assert_eq!(bench.ended(), 1);

    let mut bench = Bench::new(|_| {});
    let mut client: Client = bench.attached("a", "share steal");
    let (gone, _) = ipc::channel::socketpair().unwrap();
    drop(std::mem::replace(
        &mut bench.launcher,
        ipc::Channel::new(gone),
    ));
    client.expect("disconnect server shutdown|the launcher has ended");
    assert_eq!(bench.ended(), 1);
}
