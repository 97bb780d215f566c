//! What the kernel shows of a running session with two clients equals what `policy/` declares,
//! process by process: descriptors, channels and shared memory, user ids, capabilities, filters,
//! namespaces, limits and labels.
//!
//! Everything is read by root (descriptors and namespaces of our processes are nobody else's
//! business), so as an ordinary user these tests only say that they were not run.

mod channels;
mod checks;
mod confinement;
mod descriptors;
mod live;
mod memory;

use bulkhead_tests::session::{Session, Start, encrypted_socket};
use bulkhead_tests::twins::two_clients;
use live::Live;
use policy::StartMode;

/// Who attaches in these sessions.
const CLIENTS: usize = 2;

fn check(start: Start, mode: StartMode) {
    if !needs::root("read the descriptors of our processes") {
        return;
    }
    let (_, encrypted) = encrypted_socket("reject");
    let session = Session::start_as(start, &["--sharing=yes", "--start=xterm", &encrypted]);
    let _clients = two_clients(&session);
    let all = Live::all(&session, CLIENTS);
    channels::are_as_declared(&all);
    channels::each_network_has_its_own_client(&session, &all);
    memory::is_shared_by_the_processes_of_one_client(&all);
    descriptors::are_as_declared(&session, &all);
    confinement::is_as_declared(&session, &all, mode);
}

#[test]
fn a_session_of_a_user_is_what_the_policy_declares() {
    check(Start::User, StartMode::User);
}

#[test]
fn a_session_started_by_root_is_what_the_policy_declares() {
    check(Start::Root, StartMode::Root);
}
