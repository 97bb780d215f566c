//! An application of the session attacks our processes; what separates them holds.

use bulkhead_tests::commands::{bin_dir, test_user};
use bulkhead_tests::processes;
use bulkhead_tests::session::{Session, Start};
use bulkhead_tests::twins::two_clients;
use std::os::unix::process::CommandExt;
use std::process::Command;

fn attack(session: &Session, pids: &[u32]) -> Vec<(u32, String, String)> {
    let user = test_user();
    let mut command = Command::new(bin_dir().join("hostile-neighbour"));
    command
        .args(pids.iter().map(u32::to_string))
        .current_dir(session.home());
    if nix::unistd::Uid::effective().is_root() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.ends_with("end\n"), "it came to its end: {output:?}");
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        Some((
            words.next()?.parse().ok()?,
            words.next()?.to_owned(),
            words.next()?.to_owned(),
        ))
    };
    text.lines().filter_map(line).collect()
}

fn nothing_is_reached(start: Start) {
    let session = Session::start_as(start, &["--sharing=yes", "--start=xterm"]);
    let _clients = two_clients(&session);
    let workers = processes::workers(session.process().id());
    let confined: Vec<u32> = workers
        .iter()
        .filter(|w| w.role != "launcher")
        .map(|w| w.pid)
        .collect();
    assert_eq!(
        confined.len(),
        7,
        "supervisor, auth, display, two of network and encoder"
    );
    let outcomes = attack(&session, &confined);
    assert_eq!(outcomes.len(), confined.len() * 10);
    for (pid, attempt, outcome) in outcomes {
        let role = workers
            .iter()
            .find(|w| w.pid == pid)
            .map(|w| w.role.as_str());
        assert!(
            ["EPERM", "EACCES"].contains(&outcome.as_str()),
            "{attempt} on {role:?}: {outcome}"
        );
    }
    // The control: the same attacks reach a process of the same user that is not ours.
    let victim = std::process::id();
    if !nix::unistd::Uid::effective().is_root() {
        assert!(
            attack(&session, &[victim])
                .iter()
                .any(|(_, _, outcome)| outcome == "done")
        );
    }
    let xterm = applications(&session);
    let reached = attack(&session, &xterm);
    assert!(
        reached
            .iter()
            .any(|(_, attempt, outcome)| attempt == "ptrace-seize" && outcome == "done"),
        "the control: another application can be attached to: {reached:?}"
    );
}

fn applications(session: &Session) -> Vec<u32> {
    let launcher = session.launcher();
    let parents = processes::parents();
    parents
        .iter()
        .filter(|(_, parent)| **parent == launcher)
        .map(|(pid, _)| *pid)
        .collect()
}

#[test]
fn in_a_session_of_the_same_user() {
    nothing_is_reached(Start::User);
}

#[test]
fn in_a_session_that_root_started() {
    if nix::unistd::Uid::effective().is_root() {
        nothing_is_reached(Start::Root);
    }
}
