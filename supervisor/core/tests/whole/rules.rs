//! Workers that do what they should not.

use crate::bench::{Bench, wait_for};
use crate::fake;
use ipc::launcher::LauncherToSupervisor;
use std::time::Duration;

/// Whatever a worker repeats, it is written once.
pub fn nobody_fills_the_log() {
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

pub fn rules_are_kept_or_the_breaker_ends() {
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

pub fn records_cannot_be_forged() {
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
