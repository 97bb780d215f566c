//! What a client is given, and what a worker is.

use crate::bench::{Bench, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

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

pub fn a_client_gets_the_session_only_after_the_verdict() {
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

pub fn what_a_worker_inherits() {
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

pub fn in_a_start_as_root_each_role_has_its_own_user() {
    if !needs::root("give each role its own user") {
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

pub fn clients_share_or_take_over() {
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

pub fn one_shot_requests() {
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
    // Without what `display` says, if that takes too long.
    let facts = wait_for("all facts", || {
        let mut info = ask("info");
        let mut facts = Vec::new();
        loop {
            let line = info.hear();
            if line == "info-end" {
                break;
            }
            facts.push(line.strip_prefix("info ").unwrap().to_owned());
        }
        let described = facts.iter().any(|fact| fact.starts_with("display.width"));
        described.then_some(facts)
    });
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
        asked.elapsed() < Duration::from_secs(10),
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
    // The stock client connects once more, to see whether that works.
    drop(bench.unix());
    assert_eq!(bench.left(), 0);
}
