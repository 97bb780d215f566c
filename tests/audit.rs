//! `bulkhead audit` on running sessions: nothing differs from the policies.

use bulkhead_tests::session::{Session, Start};
use bulkhead_tests::twins::two_clients;

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
