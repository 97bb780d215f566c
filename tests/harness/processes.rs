//! The processes of a session, as the kernel shows them.

use crate::eventually;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// One process of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// Process id.
    pub pid: u32,
    /// Parent's process id.
    pub parent: u32,
    /// Role: the executable's name without `bulkhead-`.
    pub role: String,
}

/// Every process below `top` whose program is one of ours, `top` included.
pub fn workers(top: u32) -> Vec<Worker> {
    let parents = parents();
    let ours = |(&pid, &parent): (&u32, &u32)| {
        let role = role_name(pid)?;
        // Between fork and exec a child still has its parent's arguments.
        let forked = role_name(parent).as_ref() == Some(&role);
        (is_below(pid, top, &parents) && !forked).then_some(Worker { pid, parent, role })
    };
    parents.iter().filter_map(ours).collect()
}

/// Every process below `top`, `top` included, by its role or, where it is not one of ours, by the name of its
/// program.
pub fn all(top: u32) -> Vec<(u32, String)> {
    let parents = parents();
    let name = |pid| {
        Some(
            fs::read_to_string(format!("/proc/{pid}/comm"))
                .ok()?
                .trim()
                .to_owned(),
        )
    };
    let below = parents.keys().filter(|pid| is_below(**pid, top, &parents));
    below
        .filter_map(|pid| Some((*pid, role_name(*pid).or_else(|| name(*pid))?)))
        .collect()
}

fn is_below(mut pid: u32, top: u32, parents: &BTreeMap<u32, u32>) -> bool {
    while pid > 1 {
        if pid == top {
            return true;
        }
        pid = *parents.get(&pid).unwrap_or(&0);
    }
    false
}

/// The processes of this role below `top`.
pub fn of_role(top: u32, role: &str) -> Vec<u32> {
    workers(top)
        .into_iter()
        .filter(|w| w.role == role)
        .map(|w| w.pid)
        .collect()
}

/// Every live process id with its parent's.
pub fn parents() -> BTreeMap<u32, u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, parent_of(pid)?))
        })
        .collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses and may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z").then(|| fields.next()?.parse().ok())?
}

/// The role of a process, if it is one of ours.
pub fn role_name(pid: u32) -> Option<String> {
    let cmdline = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let program = cmdline.split(|byte| *byte == 0).next()?;
    let name = String::from_utf8_lossy(program).into_owned();
    let name = name.rsplit('/').next()?;
    Some(name.strip_prefix("bulkhead-")?.to_owned())
}

/// A line of `/proc/PID/status`, e.g. `Seccomp`.
pub fn status(pid: u32, key: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find(|line| line.split(':').next() == Some(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// How many seccomp filters a process has, those that it inherited among them.
pub fn seccomp_filters(pid: u32) -> Option<usize> {
    status(pid, "Seccomp_filters")?.parse().ok()
}

/// Inode of a unix socket to the inode of its peer (`ss -x`).
///
/// # Panics
/// When there is no `ss`.
pub fn socket_peers() -> BTreeMap<u64, u64> {
    let output = Command::new("ss")
        .args(["-x", "-a", "-n", "-H"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let peer = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let star = words.iter().rposition(|word| *word == "*")?;
        let local = words.get(star.checked_sub(1)?)?.parse().ok()?;
        Some((local, words.get(star + 1)?.parse().ok()?))
    };
    text.lines().filter_map(peer).collect()
}

/// Socket inodes among a process's descriptors.
pub fn sockets(pid: u32) -> Vec<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|entry| {
            let link = fs::read_link(entry.path()).ok()?.to_str()?.to_owned();
            link.strip_prefix("socket:[")?
                .strip_suffix(']')?
                .parse()
                .ok()
        })
        .collect()
}

/// Sends a process a signal that ends it.
///
/// # Panics
/// When there is no such process.
pub fn end(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

/// Kills one process of a role below `top`, and waits until another has taken its place.
///
/// # Panics
/// When there is no such process, or none takes its place.
pub fn replace(top: u32, role: &str, signal: Signal) {
    let before = of_role(top, role);
    let victim = *before.first().unwrap_or_else(|| panic!("no {role}"));
    end(victim, signal);
    eventually(
        "a new process in the place of the dead one",
        Duration::from_secs(20),
        || {
            let now = of_role(top, role);
            let new = now.iter().any(|pid| !before.contains(pid));
            (new && !now.contains(&victim)).then_some(())
        },
    );
}
