//! What processes cost, as the kernel counts it.

use crate::server::{Kind, Server};
use bulkhead_tests::processes;
use std::fs;
use std::time::Instant;

/// What one process costs while nothing happens.
pub struct Cost {
    /// Its role, or the name of its program.
    pub name: String,
    /// Proportional set size, in MiB.
    pub memory: f64,
    /// Share of one CPU, in percent.
    pub cpu: f64,
    /// How often one of its threads slept and was woken, per second.
    pub wakeups: f64,
}

/// A process at some moment.
pub struct Look {
    at: Instant,
    pid: u32,
    name: String,
    memory: f64,
    /// Nanoseconds on a CPU.
    ran: f64,
    slept: f64,
}

/// The processes of the server now: all of ours, or all that run Python. The X server and the
/// applications are not among them.
pub fn look(server: &Server) -> Vec<Look> {
    let processes: Vec<(u32, String)> = match server.kind {
        Kind::Bulkhead => processes::workers(server.id())
            .into_iter()
            .map(|worker| (worker.pid, worker.role))
            .collect(),
        Kind::Xpra => pythons(server.id()),
    };
    processes
        .into_iter()
        .map(|(pid, name)| Look {
            at: Instant::now(),
            pid,
            name,
            memory: memory(pid),
            ran: of_threads(pid, |task| {
                number(&fs::read_to_string(format!("{task}/schedstat")).ok()?)
            }),
            slept: of_threads(pid, |task| {
                let status = fs::read_to_string(format!("{task}/status")).ok()?;
                field(&status, "voluntary_ctxt_switches:")
            }),
        })
        .collect()
}

/// What processes did between two looks; memory is from the second.
///
/// # Errors
/// There are none, or not the same ones any more.
pub fn between(before: &[Look], after: &[Look]) -> Result<Vec<Cost>, String> {
    if after.is_empty() || before.len() != after.len() {
        let names = |looks: &[Look]| {
            let names: Vec<_> = looks.iter().map(|look| look.name.as_str()).collect();
            names.join(", ")
        };
        let (before, after) = (names(before), names(after));
        return Err(format!("the processes were {before}, and are {after}"));
    }
    let cost = |new: &Look| {
        let old = before.iter().find(|old| old.pid == new.pid);
        let old = old.ok_or_else(|| format!("another {} has come", new.name))?;
        let seconds = (new.at - old.at).as_secs_f64();
        Ok(Cost {
            name: new.name.clone(),
            memory: new.memory,
            cpu: (new.ran - old.ran) / 1e9 / seconds * 100.0,
            wakeups: (new.slept - old.slept) / seconds,
        })
    };
    after.iter().map(cost).collect()
}

fn pythons(top: u32) -> Vec<(u32, String)> {
    let parents = processes::parents();
    let below = |mut pid: u32| {
        while pid > 1 && pid != top {
            pid = *parents.get(&pid).unwrap_or(&0);
        }
        pid == top
    };
    let python = |pid: &u32| {
        let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let name = program.file_name()?.to_str()?.to_owned();
        name.starts_with("python").then_some((*pid, name))
    };
    parents
        .keys()
        .filter(|pid| below(**pid))
        .filter_map(python)
        .collect()
}

fn memory(pid: u32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    field(&rollup, "Pss:").unwrap_or(f64::NAN) / 1024.0
}

fn of_threads(pid: u32, value: impl Fn(&str) -> Option<f64>) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let paths = tasks
        .into_iter()
        .flatten()
        .flatten()
        .map(|task| task.path());
    paths.filter_map(|path| value(path.to_str()?)).sum()
}

fn field(text: &str, name: &str) -> Option<f64> {
    number(text.lines().find_map(|line| line.strip_prefix(name))?)
}

fn number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(pid: u32) -> Look {
        let (memory, ran, slept) = (1.0, 0.0, 0.0);
        let (at, name) = (Instant::now(), format!("role{pid}"));
        Look {
            at,
            pid,
            name,
            memory,
            ran,
            slept,
        }
    }

    #[test]
    fn what_is_not_the_same_processes_is_no_figure() {
        let is_one = |before: &[u32], after: &[u32]| {
            let looks = |pids: &[u32]| pids.iter().map(|pid| look(*pid)).collect::<Vec<_>>();
            between(&looks(before), &looks(after)).is_ok()
        };
        assert!(is_one(&[1, 2], &[1, 2]));
        for (before, after) in [
            (&[][..], &[][..]),
            (&[1, 2], &[1]),
            (&[1], &[1, 2]),
            (&[1], &[2]),
        ] {
            assert!(!is_one(before, after), "{before:?} {after:?}");
        }
    }
}
