//! `stop` and `exit`: what they leave, when they return, and what they tell the person who asked,
//! also when the server, or everything that could be asked, has been killed.

use bulkhead_tests::session::Session;
use bulkhead_tests::stock::{self, Via};
use bulkhead_tests::{eventually, processes};
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);
const XTERM: &str = "--start=xterm -T wanted";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn succeeds(session: &Session, command: &str) {
    let output = session.bulkhead(&[command, &format!(":{}", session.display)]);
    assert!(output.status.success(), "{command}: {}", said(&output));
    assert_eq!(said(&output), "", "{command}");
}

/// Launcher, X server and applications.
fn left_alone(session: &Session) -> Vec<u32> {
    let launcher = session.launcher();
    let parents = processes::parents();
    let children = parents.iter().filter(|(_, parent)| **parent == launcher);
    children.map(|(pid, _)| *pid).chain([launcher]).collect()
}

/// One that has ended and that nobody has waited for does not.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// Runs `end` and sees `bulkhead stop` end everything that it leaves.
fn stop_after(end: impl FnOnce(&mut Session)) {
    let mut session = Session::start(&[XTERM]);
    let name = format!(":{}", session.display);
    let processes = eventually("the application", LONG, || {
        let all = left_alone(&session);
        (all.len() >= 3).then_some(all)
    });
    end(&mut session);
    session.process_mut().wait(LONG);
    assert!(processes.iter().copied().all(lives));
    let info = session.bulkhead(&["info", &name]);
    let advice = format!(
        "session {name}: its server has ended; `bulkhead seamless {name}` takes it over, `bulkhead stop {name}` ends it"
    );
    assert_eq!(info.status.code(), Some(1));
    assert_eq!(said(&info), format!("bulkhead: {advice}\n"));
    let list = said(&session.bulkhead(&["list"]));
    assert!(
        list.contains(&format!("DEAD session at {name}: its server has ended")),
        "{list}"
    );
    succeeds(&session, "stop");
    assert!(!session.session_dir().exists());
    // The launcher itself has one step to go when everything else is gone.
    eventually("the end of all processes", LONG, || {
        (!processes.iter().copied().any(lives)).then_some(())
    });
    // Sessions that root has started for others are listed too.
    let list = said(&session.bulkhead(&["list"]));
    let own = session.runtime_dir();
    assert!(!list.contains(own.to_str().unwrap()), "{list}");
}

#[test]
fn stop_ends_what_a_killed_server_has_left() {
    stop_after(|session| processes::end(session.process().id(), Signal::SIGKILL));
}

#[test]
fn stop_ends_what_exit_has_left() {
    stop_after(|session| {
        succeeds(session, "exit");
        // `exit` returns when the server has ended.
        assert!(session.process_mut().ended().is_some());
        assert!(!session.session_dir().join("socket").exists());
    });
}

#[test]
fn stop_cleans_up_when_the_launcher_was_killed_too() {
    let mut session = Session::start(&[XTERM]);
    processes::end(session.launcher(), Signal::SIGKILL);
    session.process_mut().wait(LONG);
    let list = said(&session.bulkhead(&["list"]));
    assert!(list.contains("it was killed; `bulkhead stop"), "{list}");
    succeeds(&session, "stop");
    assert!(!session.session_dir().exists());
    assert!(!Path::new(&format!("/tmp/.X{}-lock", session.display)).exists());
}

#[test]
fn a_display_is_free_when_stop_returns_and_waits_for_a_server_when_exit_does() {
    // One that no other test chooses while it is free.
    let display = 30_000 + std::process::id() % 20_000;
    let mut session = Session::start(&[&format!(":{display}"), XTERM]);
    succeeds(&session, "exit");
    session.start_again();
    succeeds(&session, "stop");
    session.start_again();
    succeeds(&session, "stop");
}

#[test]
fn the_stock_client_sees_the_session_end() {
    for command in ["stop", "exit"] {
        let mut session = Session::start(&[XTERM]);
        let output = stock::run(&session, Via::UnixSocket, &[command]);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        let last = text.lines().last().unwrap_or_default();
        let wanted = format!("xpra at {} has exited.", session.display);
        assert_eq!(last, wanted, "{command}: {}", said(&output));
        if command == "exit" {
            session.process_mut().wait(LONG);
            succeeds(&session, "stop");
        }
    }
}

#[test]
fn a_session_without_its_usual_socket_is_found_by_its_number() {
    for (number, bind) in ["--bind=none", "--bind=@bulkhead-test/unusual"]
        .iter()
        .enumerate()
    {
        // Without the abstract name a display that anybody else may choose is not safe.
        let display = 30_000 + std::process::id() % 10_000 * 2 + u32::try_from(number).unwrap();
        let session = Session::start(&[&format!(":{display}"), bind]);
        let list = said(&session.bulkhead(&["list"]));
        assert!(
            list.contains(&format!("LIVE session at :{}\n", session.display)),
            "{list}"
        );
        let info = session.bulkhead(&["info", &format!(":{}", session.display)]);
        assert!(info.status.success(), "{}", said(&info));
        succeeds(&session, "stop");
    }
}

#[test]
fn a_picture_that_is_refused_leaves_the_file_as_it_was() {
    let session = Session::start(&[]);
    let file = session.home().join("screen.png");
    std::fs::write(&file, "before").unwrap();
    bulkhead_tests::commands::chmod(&file, 0o666);
    let shoot = |target: &str| session.bulkhead(&["screenshot", file.to_str().unwrap(), target]);
    let refused = shoot(&format!("tcp://127.0.0.1:{}", session.port));
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("XPRA_PASSWORD"), "{refused:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"before");
    let taken = shoot(&format!(":{}", session.display));
    assert!(taken.status.success(), "{taken:?}");
    assert_eq!(&std::fs::read(&file).unwrap()[1..4], b"PNG");
}
