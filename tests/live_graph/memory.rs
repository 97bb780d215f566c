//! Who shares memory with whom.

use crate::live::{Live, Who};
use bulkhead_tests::processes;
use policy::Role;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Who holds a buffer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    Ours(Who),
    /// Another process, by its name.
    Other(String),
}

/// Inodes of the memfds that a process has open or mapped, all of one file system of the kernel's
/// own. A process that ends meanwhile has none.
fn memory(pid: u32) -> BTreeSet<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter();
    let open = entries.flatten().flatten().filter_map(|entry| {
        let link = fs::read_link(entry.path()).ok()?;
        let inode = || fs::metadata(entry.path()).ok().map(|meta| meta.ino());
        link.to_str()?.starts_with("/memfd:").then(inode)?
    });
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mapped = maps.lines().filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_memory = words.get(5)?.starts_with("/memfd:");
        is_memory.then(|| words[4].parse().ok())?
    });
    open.chain(mapped).collect()
}

/// A buffer is between the `encoder` and the `network` of one client, or between that `encoder`
/// and the X server, which writes the pictures: `display` asks for them and sees none, and no
/// client's processes see another client's.
pub fn is_shared_by_the_processes_of_one_client(all: &[Live]) {
    let ours: BTreeMap<u32, Who> = all.iter().map(|live| (live.pid, live.who)).collect();
    let mut holders: BTreeMap<u64, BTreeSet<Holder>> = BTreeMap::new();
    for pid in processes::parents().into_keys() {
        let holder = match ours.get(&pid) {
            Some(who) => Holder::Ours(*who),
            None => {
                let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                Holder::Other(name.trim_end().to_owned())
            }
        };
        for inode in memory(pid) {
            holders.entry(inode).or_default().insert(holder.clone());
        }
    }
    let is_ours = |holder: &Holder| matches!(holder, Holder::Ours(_));
    let shared: BTreeSet<BTreeSet<Holder>> = holders
        .into_values()
        .filter(|all| all.len() > 1 && all.iter().any(is_ours))
        .collect();
    let encoders = ours.values().filter(|who| who.role == Role::Encoder);
    let expected = encoders.flat_map(|encoder| {
        let role = Role::Network;
        let others = [
            Holder::Ours(Who { role, ..*encoder }),
            Holder::Other("Xvfb".to_owned()),
        ];
        others.map(|other| BTreeSet::from([Holder::Ours(*encoder), other]))
    });
    assert_eq!(shared, expected.collect());
}
