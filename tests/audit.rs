//! `bulkhead audit` on running sessions: nothing differs from the policies.

use bulkhead_tests::session::{Session, Start};
use bulkhead_tests::twins::two_clients;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

fn nothing_differs(start: Start) {
    let session = Session::start_as(start, &["--sharing=yes", "--start=xterm"]);
    let _clients = two_clients(&session);
    let display = format!(":{}", session.display);
    let text = session.bulkhead(&["audit", &display]);
    let table = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.status.success(), "{text:?}");
    for role in [
        "supervisor",
        "launcher",
        "network",
        "auth",
        "display",
        "encoder",
    ] {
        assert!(table.contains(role), "{role} is in the table:\n{table}");
    }
    let json = session.bulkhead(&["audit", "--json", &display]);
    assert!(json.status.success(), "{json:?}");
    assert!(
        json.stdout.starts_with(b"{") || json.stdout.starts_with(b"["),
        "{json:?}"
    );
}

#[test]
fn of_a_user() {
    nothing_differs(Start::User);
}

#[test]
fn started_by_root() {
    if nix::unistd::Uid::effective().is_root() {
        nothing_differs(Start::Root);
    }
}

/// The audit's status when something is not as the policies say (docs/usage.md).
const DIFFERENT: i32 = 3;

/// A kernel that lacks a layer: no session without being told so, and then all that is missing is
/// named, by each process and by the audit.
fn a_layer_is_missing(kernel: &str, layer: &str, refused: &str, differs: &[&str]) {
    let wrapper = ["lesser-kernel", kernel];
    let best = "--sandbox=best-effort";
    let options = ["--sharing=yes", "--start=xterm", best];
    let session = Session::start_under(&wrapper, Start::User, &options);
    let _clients = two_clients(&session);
    for role in ["network", "auth", "display", "encoder"] {
        let named = |line: &str| line.contains(role) && line.contains(layer);
        let line = session.process().wait_for_line(LONG, named);
        assert!(line.contains("best effort: without"), "{line}");
    }
    let display = format!(":{}", session.display);
    let audit = session.bulkhead(&["audit", &display]);
    let table = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert_eq!(audit.status.code(), Some(DIFFERENT), "{audit:?}");
    for what in differs {
        assert!(table.contains(what), "{what}: {table}");
    }
    // The same without being told, and a program that would end such a session at once.
    let start = ["seamless", "--daemon=no", "--exit-with-children=yes"];
    let strict = session.bulkhead(&[&start[..], &["--start-child=true"]].concat());
    assert!(!strict.status.success(), "{strict:?}");
    let said = String::from_utf8_lossy(&strict.stderr).into_owned();
    let lines: Vec<_> = said.lines().filter(|line| line.contains(refused)).collect();
    assert_eq!(lines.len(), 1, "{said}");
    let stop = session.bulkhead(&["stop", best, &display]);
    assert!(stop.status.success(), "{stop:?}");
}

#[test]
fn without_landlock() {
    let differs = ["Landlock"];
    a_layer_is_missing("no-landlock", "Landlock", "offers no Landlock", &differs);
}

#[test]
fn without_user_namespaces() {
    let names = "namespaces (user, mnt, net, ipc, uts, cgroup)";
    let refused = "refused new namespaces";
    a_layer_is_missing("no-userns", names, refused, &["namespace"]);
}
