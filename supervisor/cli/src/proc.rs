//! What `/proc` says about a process: proc(5).

use crate::audit::descriptors::{self, Sockets};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A fact that may be hidden from this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<T> {
    /// It is so.
    Known(T),
    /// This user may not know.
    Hidden,
}

impl<T> Seen<T> {
    fn from(result: io::Result<T>) -> Option<Self> {
        match result {
            Ok(value) => Some(Self::Known(value)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(Self::Hidden),
            Err(_) => None,
        }
    }
}

/// One process at one moment.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// Its arguments.
    pub args: Vec<String>,
    /// Real, effective, saved and file-system user id.
    pub uids: Vec<u32>,
    /// `NoNewPrivs`.
    pub no_new_privs: bool,
    /// `Seccomp`: 2 is a filter.
    pub seccomp: u32,
    /// `Seccomp_filters`; kernels before 5.9 do not count.
    pub filters: Option<u32>,
    /// `CapInh`, `CapPrm`, `CapEff`, `CapBnd`, `CapAmb`.
    pub capabilities: BTreeMap<&'static str, u64>,
    /// Soft and hard limit by the name in `limits`; `None` is unlimited.
    pub limits: BTreeMap<String, (Option<u64>, Option<u64>)>,
    /// Whether its owner's other processes may attach; unknown for processes of root.
    pub dumpable: Option<bool>,
    /// Namespaces by name, as numbers.
    pub namespaces: Seen<BTreeMap<String, u64>>,
    /// Namespaces of [`SHOWN_TO_ALL`] that are not those of this process.
    pub apart: Vec<&'static str>,
    /// What each descriptor is.
    pub descriptors: Seen<BTreeMap<u32, String>>,
    /// Whether its root directory is that of this process.
    pub own_root: Seen<bool>,
    /// The security label, where there is one.
    pub label: Option<String>,
}

/// The capability sets in `status`.
pub const CAPABILITY_SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

/// Namespaces that everybody is shown something of: `uid_map`, `mountinfo` and `net/unix` of a
/// process are those of its namespaces, and can be read where `ns` cannot.
pub const SHOWN_TO_ALL: [&str; 3] = ["user", "mnt", "net"];

/// A mounted `/proc`.
#[derive(Clone, Debug)]
pub struct Proc {
    root: PathBuf,
}

impl Default for Proc {
    fn default() -> Self {
        Self {
            root: "/proc".into(),
        }
    }
}

impl Proc {
    /// The sockets of this network namespace.
    #[must_use]
    pub fn sockets(&self) -> Sockets {
        descriptors::sockets(&self.root.join("self/net"))
    }

    /// The namespaces that are apart from ours, from what everybody may read: another map of
    /// user ids; no mount below the root directory; no unix socket, though the session has some.
    fn apart(&self, dir: &Path) -> Option<Vec<&'static str>> {
        let own = fs::read(self.root.join("self/uid_map")).ok()?;
        let user = fs::read(dir.join("uid_map")).ok()? != own;
        let mnt = fs::read(dir.join("mountinfo")).ok()?.is_empty();
        let net = fs::read_to_string(dir.join("net/unix"))
            .ok()?
            .lines()
            .count()
            <= 1;
        let shown = SHOWN_TO_ALL.into_iter().zip([user, mnt, net]);
        Some(
            shown
                .filter(|(_, apart)| *apart)
                .map(|(name, _)| name)
                .collect(),
        )
    }

    /// The ids of all processes.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// The arguments of a process; none for one of the kernel's or one that has ended.
    #[must_use]
    pub fn args(&self, pid: u32) -> Vec<String> {
        let bytes = fs::read(self.root.join(format!("{pid}/cmdline"))).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    /// The parent of a process.
    #[must_use]
    pub fn parent(&self, pid: u32) -> Option<u32> {
        let status = fs::read_to_string(self.root.join(format!("{pid}/status"))).ok()?;
        field(&status, "PPid").and_then(|text| text.parse().ok())
    }

    /// Everything about a process, or `None` when it has ended.
    #[must_use]
    pub fn process(&self, pid: u32) -> Option<Process> {
        let dir = self.root.join(pid.to_string());
        let status = fs::read_to_string(dir.join("status")).ok()?;
        let number = |name| field(&status, name).and_then(|text| text.parse::<u32>().ok());
        let capabilities = CAPABILITY_SETS
            .into_iter()
            .map(|set| Some((set, u64::from_str_radix(field(&status, set)?, 16).ok()?)))
            .collect::<Option<_>>()?;
        let uids: Vec<u32> = field(&status, "Uid")?
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        // The files that only those may read who may attach belong to root when nobody may.
        let owner = fs::metadata(dir.join("environ")).ok()?.uid();
        let dumpable = uids
            .get(1)
            .filter(|uid| **uid != 0)
            .map(|uid| owner == *uid);
        let label = fs::read_to_string(dir.join("attr/current"))
            .ok()
            .map(|text| text.trim_end_matches(['\0', '\n']).to_owned())
            .filter(|text| !text.is_empty());
        let apart = self.apart(&dir)?;
        Some(Process {
            pid,
            parent: number("PPid")?,
            args: self.args(pid),
            uids,
            no_new_privs: number("NoNewPrivs")? == 1,
            seccomp: number("Seccomp")?,
            filters: number("Seccomp_filters"),
            capabilities,
            limits: limits(&fs::read_to_string(dir.join("limits")).ok()?),
            dumpable,
            namespaces: Seen::from(namespaces(&dir.join("ns")))?,
            descriptors: Seen::from(open_descriptors(&dir.join("fd")))?,
            own_root: match Seen::from(same_file(&dir.join("root"), &self.root.join("self/root")))?
            {
                // Nothing is mounted below it, so it is not the root directory of the system.
                Seen::Hidden if apart.contains(&"mnt") => Seen::Known(false),
                seen => seen,
            },
            apart,
            label,
        })
    }
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

fn limits(text: &str) -> BTreeMap<String, (Option<u64>, Option<u64>)> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            // Fixed columns: 25 for the name, 20 for each value.
            let (name, rest) = line.split_at_checked(25)?;
            let mut values = rest.split_whitespace().map(|value| match value {
                "unlimited" => Some(None),
                value => value.parse().ok().map(Some),
            });
            Some((name.trim().to_owned(), (values.next()??, values.next()??)))
        })
        .collect()
}

fn namespaces(dir: &Path) -> io::Result<BTreeMap<String, u64>> {
    let mut all = BTreeMap::new();
    for name in policy::Role::ALL
        .iter()
        .flat_map(|role| policy::StartMode::ALL.map(|mode| policy::of(*role).namespaces(mode)))
        .flatten()
        .map(|namespace| namespace.name())
    {
        let link = fs::read_link(dir.join(name))?;
        let number = link
            .to_str()
            .and_then(|text| text.split(['[', ']']).nth(1)?.parse().ok());
        all.insert(name.to_owned(), number.ok_or(io::ErrorKind::InvalidData)?);
    }
    Ok(all)
}

fn open_descriptors(dir: &Path) -> io::Result<BTreeMap<u32, String>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let number = entry
            .file_name()
            .to_str()
            .and_then(|text| text.parse().ok());
        // One that was closed in the meantime is not one.
        if let (Some(number), Ok(link)) = (number, fs::read_link(entry.path())) {
            all.insert(number, link.to_string_lossy().into_owned());
        }
    }
    Ok(all)
}

fn same_file(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (fs::metadata(one)?, fs::metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_read() {
        let proc = Proc::default();
        let me = proc.process(std::process::id()).unwrap();
        assert_eq!(me.parent, std::os::unix::process::parent_id());
        assert_eq!(me.uids.len(), 4);
        assert_eq!(me.own_root, Seen::Known(true));
        assert!(me.limits["Max open files"].0.is_some());
        let Seen::Known(descriptors) = &me.descriptors else {
            panic!("own descriptors are hidden")
        };
        assert!(descriptors.contains_key(&2));
        let Seen::Known(namespaces) = &me.namespaces else {
            panic!("own namespaces are hidden")
        };
        assert!(namespaces.contains_key("net"));
        assert!(proc.pids().contains(&me.pid));
        assert!(proc.process(u32::MAX).is_none());
    }

    #[test]
    fn limits_are_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max cpu time              unlimited            unlimited            seconds   \n\
                    Max open files            32                   64                   files     \n";
        let limits = limits(text);
        assert_eq!(limits["Max cpu time"], (None, None));
        assert_eq!(limits["Max open files"], (Some(32), Some(64)));
    }
}
