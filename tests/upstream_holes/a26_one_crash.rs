//! A26: a process that dies is missed by nobody but its own session or client. What comes back,
//! and how fast, is in `tests/kill.rs`.

use crate::peer::{key_to_pixels, processes_but};
use bulkhead_tests::processes;
use bulkhead_tests::session::Session;
use bulkhead_tests::twins::{attach, shown};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[test]
fn the_other_sessions_notice_nothing() {
    let start = || Session::start(&["--sharing=yes", "--start=xterm -T typing -e cat"]);
    let [mut victim, one, two] = std::thread::scope(|scope| {
        let started = [(); 3].map(|()| scope.spawn(start));
        started.map(|thread| thread.join().unwrap())
    });
    let _attached = attach(&victim, 1);
    let mut others: Vec<_> = [&one, &two]
        .into_iter()
        .map(|session| {
            let mut client = attach(session, 1);
            let window = shown(&mut client, "typing");
            client.focus(Some(window)).unwrap();
            key_to_pixels(&mut client, window, "x");
            (session, client, window, processes_but(session, &[]))
        })
        .collect();
    let supervisor = victim.process().id();
    for role in [
        "encoder",
        "display",
        "auth",
        "network",
        "supervisor",
        "launcher",
    ] {
        let pid = match role {
            "launcher" => victim.launcher(),
            role => processes::of_role(supervisor, role)[0],
        };
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
        if role == "supervisor" {
            victim.process_mut().wait(crate::peer::LONG);
        }
        for (session, client, window, before) in &mut others {
            key_to_pixels(client, *window, "x");
            assert_eq!(
                processes_but(session, &[]),
                *before,
                "after {role} of another"
            );
        }
    }
}
