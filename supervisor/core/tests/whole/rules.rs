//! Workers that do what they should not.

use crate::bench::{Bench, wait_for};
use crate::fake;
use ipc::launcher::LauncherToSupervisor;
use std::time::Duration;

/// Whatever a worker repeats, it is written once.
pub fn nobody_fills_the_log() {
    let mut bench = Bench::start(|spec| spec.session_name = fake::NOISY_DISPLAY.into());
    // A display that fails before `auth` is ready ends the start.
    bench.logged(0, &["auth is up"]);
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
    let display = wait_for("its display", || bench.pids("display").pop());
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

/// The log says who came between backticks: no name says more than itself.
pub fn names_cannot_be_forged() {
    let bench = Bench::new(|_| {});
    let said = "x`\u{3000}is\u{3000}let\u{3000}in";
    let shown = "x\\\\u{60}\\\\u{3000}is\\\\u{3000}let\\\\u{3000}in";
    let mut client = bench.unix();
    client
        .say(&format!("login {said}"))
        .expect("start")
        .expect("rejected");
    bench.logged(
        0,
        &[&format!("who says to be `{shown}`, is refused by fake")],
    );
    let mut client = bench.unix();
    client
        .say(&format!("login ok-{said}"))
        .expect("start")
        .expect("accepted");
    bench.logged(0, &[&format!("is let in as `ok-{shown}` by fake")]);
    // And what a client says of itself later.
    client.say("session a` share steal");
    bench.logged(0, &["attached: `fake\\\\u{1b}[2J`"]);
}

pub fn keys_knows_those_who_log_in_on_encrypted_sockets() {
    let bench = Bench::encrypted();
    // Connections 1 to 4.
    let mut attached = bench.attached("a", "share steal");
    let mut plain = bench.unix();
    plain.say("hello").expect("start").expect("what?");
    let mut inside = bench.tcp();
    inside.say("login ok").expect("start").expect("accepted");
    bench.logged(0, &["\"keys\"", "admitted 3"]);
    let mut sealed = bench.tcp();
    sealed.say("hello").expect("start").expect("what?");
    bench.logged(0, &["\"keys\"", "connection 4"]);
    // It was told of these only, and only these it can end.
    assert!(!bench.lines().iter().any(|line| {
        line.contains("\"keys\"")
            && (line.contains("connection 1") || line.contains("connection 2"))
    }));
    let mut accuser = bench.tcp();
    accuser.say("derive 0").expect("start").expect("no keys");
    for number in [1, 2, 3, 4711] {
        accuser.say(&format!("derive {number}")).expect("no keys");
    }
    for innocent in [&mut attached, &mut plain, &mut inside, &mut sealed] {
        innocent.say("still there?").expect("what?");
    }
    accuser.say("derive 4").expect("no keys");
    sealed.expect_end();
    bench.logged(
        0,
        &["keys reports network of connection 4: rubbish (ended)"],
    );
    for innocent in [&mut attached, &mut plain, &mut inside, &mut accuser] {
        innocent.say("still there?").expect("what?");
    }
    attached.say("stop").expect("disconnect server shutdown");
    assert_eq!(bench.stopped(), 0);
}
