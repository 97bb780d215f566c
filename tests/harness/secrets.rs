//! Who has a secret in memory.

use crate::processes;
use crate::session::Session;
use memchr::memmem;
use policy::Role;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Memory is read in such pieces.
const PIECE: usize = 1 << 20;

/// Does the memory of a process contain this, as it is or mixed with the constants of HMAC? Who has ended has
/// nothing. Root only.
///
/// # Panics
/// When the memory of a process that lives cannot be read; when one that keeps its memory out of swap space has it
/// elsewhere.
#[must_use]
pub fn holds(pid: u32, secret: &[u8]) -> bool {
    held(pid, &[secret]) == [true]
}

/// The same of several, each by itself.
fn held(pid: u32, secrets: &[&[u8]]) -> Vec<bool> {
    let forms = |secret: &&[u8]| {
        [0, 0x36, 0x5c].map(|pad| secret.iter().map(|b| b ^ pad).collect::<Vec<_>>())
    };
    let forms: Vec<_> = secrets.iter().map(forms).collect();
    let mut found = vec![false; secrets.len()];
    let Some((mappings, memory)) = mappings(pid).zip(File::open(format!("/proc/{pid}/mem")).ok())
    else {
        // Who ends has given its memory back before it is a zombie, and then has no program either.
        let program = fs::read_link(format!("/proc/{pid}/exe"));
        assert!(program.is_err(), "{pid} has memory: {program:?}");
        return found;
    };
    // What lies across the border of two pieces is in the first one.
    let longest = secrets.iter().map(|secret| secret.len()).max().unwrap_or(0);
    let mut bytes = vec![0; PIECE + longest];
    for mapping in mappings.iter().filter(|mapping| mapping.readable) {
        for at in mapping.range.clone().step_by(PIECE) {
            let left = usize::try_from(mapping.range.end - at).unwrap();
            let len = left.min(bytes.len());
            let piece = &mut bytes[..len];
            // Devices and memory that even root may not read are no concern of ours.
            if memory.read_exact_at(piece, at).is_ok() {
                for (found, forms) in found.iter_mut().zip(&forms) {
                    if forms.iter().any(|it| memmem::find(piece, it).is_some()) {
                        let kept = mapping.locked || !keeps_out_of_swap(pid);
                        assert!(
                            kept,
                            "{pid} has it where it can be swapped out: {mapping:?}"
                        );
                        *found = true;
                    }
                }
            }
        }
    }
    found
}

/// Does its policy say so, and may it?
fn keeps_out_of_swap(pid: u32) -> bool {
    let role = processes::role_name(pid).and_then(|name| Role::from_name(&name));
    role.is_some_and(|role| policy::of(role).locks_memory) && may_lock(pid)
}

/// May a process lock as much memory as our processes with secrets want to?
#[must_use]
pub fn may_lock(pid: u32) -> bool {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max locked memory"));
    let limit = line.and_then(|line| line.split_whitespace().next());
    limit.is_some_and(|limit| {
        limit.parse::<u64>().is_ok_and(|limit| limit >= 8 << 20) || limit == "unlimited"
    })
}

/// A piece of a process's memory.
#[derive(Debug)]
struct Mapping {
    range: Range<u64>,
    readable: bool,
    locked: bool,
    name: String,
}

/// Those of a process, by proc_pid_smaps(5).
fn mappings(pid: u32) -> Option<Vec<Mapping>> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?;
    let mut all = Vec::<Mapping>::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let first = words.next()?;
        if first == "VmFlags:" {
            all.last_mut()?.locked = words.any(|flag| flag == "lo");
        } else if let Some((from, to)) = first.split_once('-') {
            let parse = |text| u64::from_str_radix(text, 16).ok();
            all.push(Mapping {
                range: parse(from)?..parse(to)?,
                readable: words.next()?.starts_with('r'),
                locked: false,
                name: words.nth(3).unwrap_or_default().to_owned(),
            });
        }
    }
    // One that has ended has none.
    (!all.is_empty()).then_some(all)
}

/// How many bytes of what is called so (`[heap]`) the kernel keeps out of swap space for a process.
#[must_use]
pub fn locked(pid: u32, name: &str) -> u64 {
    let all = mappings(pid).unwrap_or_default().into_iter();
    let locked = all.filter(|mapping| mapping.locked && mapping.name == name);
    locked
        .map(|mapping| mapping.range.end - mapping.range.start)
        .sum()
}

/// Waits until, of all processes of a session, these and no others have these in memory, all of them: ours by
/// role, others (its X server, its applications, the commands of `exec`) by the name of their program. Root
/// only.
///
/// # Panics
/// When others have one, or not all of these do; `when` that is. And as [`holds`].
pub fn only_these_hold(session: &Session, secrets: &[&[u8]], wanted: &[&str], when: &str) {
    // Who has read can be looked at before the one that wrote has wiped.
    const LIMIT: Duration = Duration::from_secs(10);
    let end = Instant::now() + LIMIT;
    let wanted: BTreeSet<String> = wanted.iter().copied().map(str::to_owned).collect();
    loop {
        let mut holders = vec![BTreeSet::new(); secrets.len()];
        for (pid, name) in processes::all(session.process().id()) {
            for (holders, held) in holders.iter_mut().zip(held(pid, secrets)) {
                if held {
                    holders.insert(name.clone());
                }
            }
        }
        if holders.iter().all(|it| *it == wanted) {
            return;
        }
        let wrong = secrets.iter().zip(holders).find(|(_, it)| *it != wanted);
        let (secret, holders) = wrong.expect("one of them");
        assert!(
            Instant::now() < end,
            "{when}, {:?} is at {holders:?}, not at {wanted:?}",
            String::from_utf8_lossy(secret)
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Which processes of a session have a memory file open that holds this: ours by role. Nobody needs to have
/// read it. Root only.
///
/// # Panics
/// When there is no such session.
#[must_use]
pub fn files_hold(session: &Session, secret: &[u8]) -> BTreeSet<String> {
    let holds = |pid: u32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd"));
        open.into_iter().flatten().flatten().any(|entry| {
            let link = fs::read_link(entry.path()).unwrap_or_default();
            link.to_string_lossy().starts_with("/memfd:")
                && fs::read(entry.path()).is_ok_and(|it| memmem::find(&it, secret).is_some())
        })
    };
    let all = processes::all(session.process().id()).into_iter();
    let found = all.filter(|(pid, _)| holds(*pid));
    found.map(|(_, name)| name).collect()
}
