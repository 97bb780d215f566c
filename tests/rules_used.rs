//! Which rules of the policies a real session uses: every call that a worker makes behind its
//! filter is allowed (or it would not live), and every call that is allowed is made by a session
//! here, or is named with its reason.
//!
//! The workers are watched with strace, as root; an ordinary user cannot look into them.

use bulkhead_tests::session::Session;
use bulkhead_tests::twins::{attach, shown};
use bulkhead_tests::{eventually, processes};
use policy::{Role, RulePath};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

/// Allowed, and not made here: role, call, why it stays.
const NOT_MADE: &[(&str, &str, &str)] = &[
    (
        "*",
        "mremap",
        "the allocator moves only blocks that grow past its threshold",
    ),
    (
        "*",
        "brk",
        "the allocator may have enough from before the filter",
    ),
    (
        "*",
        "mmap",
        "the allocator may have enough from before the filter",
    ),
    (
        "*",
        "munmap",
        "the allocator may have enough from before the filter",
    ),
    ("*", "write", "only to log"),
    (
        "*",
        "getrandom",
        "seeds of hash maps are asked for once a thread",
    ),
    ("*", "exit_group", "only at the end"),
];

/// Starts strace on every process of the session and on those that it starts.
fn watch(supervisor: u32, file: &std::path::Path) -> bulkhead_tests::process::Process {
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(file);
    for worker in processes::workers(supervisor) {
        if worker.role != "launcher" {
            command.args(["-p", &worker.pid.to_string()]);
        }
    }
    bulkhead_tests::process::Process::start(&mut command)
}

/// Calls by process, without those before its filter was in force.
fn calls(trace: &str) -> BTreeMap<u32, BTreeSet<String>> {
    let mut calls: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for line in trace.lines() {
        let Some((pid, rest)) = line.split_once(' ') else {
            continue;
        };
        let Ok(pid) = pid.parse() else { continue };
        let rest = rest.trim_start();
        let name: String = rest
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        if name == "seccomp" {
            calls.insert(pid, BTreeSet::new());
        } else if !name.is_empty() && rest[name.len()..].starts_with('(') {
            calls.entry(pid).or_default().insert(name);
        }
    }
    calls
}

#[test]
fn every_rule_is_used_or_has_its_reason() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("not run: only root can watch the workers");
        return;
    }
    let session = Session::start(&["--sharing=yes", "--start=xterm -T wanted"]);
    let supervisor = session.process().id();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("trace");
    let strace = watch(supervisor, &file);
    let traced = |pid: u32| processes::status(pid, "TracerPid").is_some_and(|tracer| tracer != "0");
    eventually("strace looks at everything", LONG, || {
        let workers = processes::workers(supervisor);
        workers
            .iter()
            .filter(|w| w.role != "launcher")
            .all(|w| traced(w.pid))
            .then_some(())
    });
    // A session's life: two clients, typing, a screenshot, a new display and encoder.
    let mut first = attach(&session, 1);
    let window = shown(&mut first, "wanted");
    let mut second = attach(&session, 2);
    shown(&mut second, "wanted");
    first.focus(Some(window)).unwrap();
    first
        .type_text(window, "xset b; ls /; echo ready\n")
        .unwrap();
    first.settle(Duration::from_millis(500), LONG).unwrap();
    // A new `display` and a new `encoder` start before strace's eyes.
    for role in ["display", "encoder"] {
        processes::replace(supervisor, role, nix::sys::signal::Signal::SIGKILL);
        let draws = first.state().draws;
        first.type_text(window, "x").unwrap();
        first.wait_for(|state| state.draws > draws, LONG).unwrap();
    }
    let shot = session.bulkhead(&["screenshot", "shot.png", &format!(":{}", session.display)]);
    assert!(shot.status.success(), "{shot:?}");
    let mut roles: BTreeMap<u32, String> = BTreeMap::new();
    for worker in processes::workers(supervisor) {
        roles.insert(worker.pid, worker.role);
    }
    drop(strace);
    let trace = std::fs::read_to_string(&file).unwrap();
    let mut made: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (pid, names) in calls(&trace) {
        if let Some(role) = roles.get(&pid) {
            made.entry(role.clone()).or_default().extend(names);
        }
    }
    let mut unexplained = Vec::new();
    for role in [Role::Network, Role::Auth, Role::Display, Role::Encoder] {
        let made = made.get(role.name()).cloned().unwrap_or_default();
        assert!(made.len() > 3, "{role} was watched: {made:?}");
        for rule in policy::of(role).rules {
            let reason = |&&(r, call, _): &&(&str, &str, &str)| {
                (r == "*" || r == role.name()) && call == rule.call
            };
            let excused = rule.path != RulePath::Always || NOT_MADE.iter().any(|e| reason(&e));
            if !made.contains(rule.call) && !excused {
                unexplained.push(format!("{role}: {} ({})", rule.call, rule.why));
            }
        }
        println!(
            "{role}: {} calls made of {} allowed",
            made.len(),
            policy::of(role).calls().len()
        );
    }
    assert!(
        unexplained.is_empty(),
        "rules that nothing used:\n{}",
        unexplained.join("\n")
    );
}
