//! What a session costs in memory: its processes and what they hold together, and what the kernel
//! holds for its clients.

use crate::processes;
use crate::session::Session;
use std::collections::BTreeMap;
use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Memory of a session without its X server and its applications. All in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Of the supervisor, the launcher and every worker: their own, and their share of what is
    /// mapped from files.
    pub processes: u64,
    /// Pages of every memfd that one of them has open or mapped, each memfd once.
    pub memfds: u64,
    /// What the kernel has queued for the clients of the TCP socket, with its overhead.
    pub sockets: u64,
}

impl Cost {
    /// Of a session, now. Root only. A process that ends meanwhile counts as far as it was read.
    ///
    /// # Panics
    /// When it cannot be measured.
    pub fn of(session: &Session) -> Self {
        let mut memfds = BTreeMap::new();
        let mut own = 0;
        for worker in processes::workers(session.process().id()) {
            let process = PathBuf::from(format!("/proc/{}", worker.pid));
            own += own_memory(&process);
            for place in ["fd", "map_files"] {
                memfds.extend(memfds_of(&process.join(place)));
            }
        }
        assert!(own > 0, "only root can look at our processes");
        Self {
            processes: own,
            memfds: memfds.values().sum(),
            sockets: queued(session.port),
        }
    }

    /// All of it.
    pub fn sum(self) -> u64 {
        self.processes + self.memfds + self.sockets
    }
}

/// Proportional memory that is not shared memory.
fn own_memory(process: &Path) -> u64 {
    let text = fs::read_to_string(process.join("smaps_rollup")).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        number.unwrap_or(0) << 10
    };
    field("Pss:") - field("Pss_Shmem:")
}

/// The memfds behind a directory of links, by inode, and their pages in bytes.
fn memfds_of(links: &Path) -> BTreeMap<u64, u64> {
    let links = fs::read_dir(links).into_iter().flatten().flatten();
    let memfd = |link: fs::DirEntry| {
        let target = fs::read_link(link.path()).ok()?;
        let file = target.to_str()?.starts_with("/memfd:").then(|| link.path());
        let file = fs::metadata(file?).ok()?;
        Some((file.st_ino(), file.st_blocks() * 512))
    };
    links.filter_map(memfd).collect()
}

/// What `ss` says of the server's ends of the connections to a port: received, queued to be sent,
/// and allocated in advance.
fn queued(port: u16) -> u64 {
    let filter = format!("sport = :{port}");
    let output = Command::new("ss")
        .args(["-tmnH", "state", "established", &filter])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let of_connection = |memory: &str| -> u64 {
        let (fields, _) = memory.split_once(')').unwrap();
        let counts = fields.split(',').filter_map(|field| {
            let (name, number) = field.split_at(field.find(|c: char| c.is_ascii_digit())?);
            ["r", "w", "f"]
                .contains(&name)
                .then(|| number.parse::<u64>().unwrap())
        });
        counts.sum()
    };
    text.split("skmem:(").skip(1).map(of_connection).sum()
}
