//! The one-shot requests of the stock Xpra 6.5.5, over TCP: with the password they are answered,
//! without it only `version` is.

use bulkhead_tests::eventually;
use bulkhead_tests::screen::ClientScreen;
use bulkhead_tests::session::Session;
use bulkhead_tests::stock::{self, StockClient, Via};
use std::process::Output;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);
const XTERM: &str = "--start=xterm -T wanted -geometry 60x20+40+30";

fn ask(session: &Session, words: &[&str]) -> Output {
    stock::run(session, Via::Tcp, words)
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn picture(session: &Session, via: Via) -> (Output, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let png = directory.path().join("screen.png");
    let output = stock::run(session, via, &["screenshot", png.to_str().unwrap()]);
    (output, std::fs::read(&png).unwrap_or_default())
}

#[test]
fn questions_are_answered_with_the_password() {
    let session = Session::start(&[XTERM]);
    let id = text(&ask(&session, &["id"]));
    for line in [
        format!("display=:{}", session.display),
        "session-type=seamless".to_owned(),
    ] {
        assert!(id.contains(&line), "{id}");
    }
    // Over the unix socket it is the same answer.
    let local = text(&stock::run(&session, Via::UnixSocket, &["id"]));
    let uuid = |text: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix("uuid=").map(str::to_owned))
    };
    assert!(
        uuid(&id).is_some() && uuid(&id) == uuid(&local),
        "{id}{local}"
    );

    let version = text(&ask(&session, &["version"]));
    assert!(version.trim().starts_with("6.5"), "{version}");
    let info = text(&ask(&session, &["info"]));
    assert!(info.contains("server.mode=seamless"), "{info}");
    let (output, png) = picture(&session, Via::Tcp);
    assert!(
        output.status.success() && png.starts_with(b"\x89PNG"),
        "{output:?}"
    );
    let list = text(&stock::run_without_display(&session, &["list"]));
    let live = format!("LIVE session at :{}", session.display);
    assert!(list.contains(&live), "{list}");
}

#[test]
fn without_the_password_only_the_version_is_told() {
    let session = Session::start(&[XTERM]);
    let stranger = |words: &[&str]| stock::run(&session, Via::Unauthenticated, words);
    for words in [["id"], ["info"], ["detach"], ["stop"], ["exit"]] {
        let output = stranger(&words);
        assert!(!output.status.success(), "{words:?}: {output:?}");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            !said.contains("uuid") && !said.contains("server."),
            "{said}"
        );
    }
    let (output, png) = picture(&session, Via::Unauthenticated);
    assert!(!output.status.success() && png.is_empty(), "{output:?}");
    assert!(text(&stranger(&["version"])).trim().starts_with("6.5"));
    // Nobody has ended anything.
    assert!(text(&ask(&session, &["info"])).contains("server.mode=seamless"));
}

/// What is written into the password file counts at once; another file in its place does not.
#[test]
fn a_password_file_is_written_and_not_replaced() {
    let session = Session::start(&[XTERM]);
    let file = session.password_file();
    std::fs::write(&file, "another password").unwrap();
    text(&ask(&session, &["info"]));
    let next = session.home().join("next");
    std::fs::copy(&file, &next).unwrap();
    std::fs::rename(&next, &file).unwrap();
    let refused = ask(&session, &["info"]);
    assert!(!refused.status.success(), "{refused:?}");
    session.process().wait_for_line(LONG, |line| {
        line.contains("another file was put in its place")
    });
}

#[test]
fn detach_ends_the_clients_and_not_the_session() {
    let session = Session::start(&[XTERM]);
    let screen = ClientScreen::start(800, 600);
    let mut client = StockClient::attach(&session, &screen, Via::Tcp);
    eventually("the window at the client", LONG, || {
        screen.screen.window_named("wanted")
    });
    text(&ask(&session, &["detach"]));
    client.process_mut().wait(LONG);
    assert!(session.screen().window_named("wanted").is_some());
}

#[test]
fn exit_leaves_the_applications_and_stop_does_not() {
    let mut session = Session::start(&[XTERM]);
    eventually("the window", LONG, || {
        session.screen().window_named("wanted")
    });
    text(&ask(&session, &["exit"]));
    assert!(session.process_mut().wait(LONG).success());
    session.start_again();
    assert!(session.screen().window_named("wanted").is_some());
    text(&ask(&session, &["stop"]));
    assert!(session.process_mut().wait(LONG).success());
    assert!(!session.session_dir().exists());
}
