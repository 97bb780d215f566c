//! The processes of a session, by what they are for.

use bulkhead_tests::processes;
use bulkhead_tests::session::Session;
use policy::Role;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;

/// What a process is for: its role, and the client that it serves, if it serves only one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    pub role: Role,
    pub connection: Option<u64>,
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.connection {
            Some(connection) => write!(f, "{} {connection}", self.role),
            None => write!(f, "{}", self.role),
        }
    }
}

/// A process of ours.
pub struct Live {
    pub pid: u32,
    pub parent: u32,
    pub who: Who,
    pub arguments: Vec<String>,
}

impl Live {
    /// All of a session with so many clients: one of each role, and one for each client of those
    /// that serve one.
    pub fn all(session: &Session, clients: usize) -> Vec<Self> {
        let workers = processes::workers(session.process().id());
        let all: Vec<Self> = workers.into_iter().map(Self::from).collect();
        let mut count = BTreeMap::new();
        for live in &all {
            *count.entry(live.who.role).or_insert(0) += 1;
        }
        let belong = |role: Role| (role, if per_client(role) { clients } else { 1 });
        // A check lives as long as a login that needs it.
        let others = [
            Role::Ctl,
            Role::AuthLdap,
            Role::AuthSqlite,
            Role::AuthSql,
            Role::AuthKeycloak,
            Role::AuthFido,
            Role::AuthOtpscreen,
            Role::AuthNames,
            Role::AuthCertificate,
        ];
        let others = others.into_iter().chain(Role::OF_LAUNCHER);
        let others: Vec<_> = others.collect();
        let session_roles = Role::ALL.into_iter().filter(|role| !others.contains(role));
        assert_eq!(count, session_roles.map(belong).collect());
        for live in &all {
            let Who { role, connection } = live.who;
            assert_eq!(connection.is_some(), per_client(role), "{:?}", live.who);
        }
        all
    }

    /// The line of `/proc/PID/status` with this name.
    pub fn status(&self, name: &str) -> String {
        processes::status(self.pid, name).unwrap_or_else(|| panic!("{:?}: no {name}", self.who))
    }

    /// A small file of `/proc/PID`.
    pub fn file(&self, name: &str) -> String {
        let text = fs::read_to_string(format!("/proc/{}/{name}", self.pid));
        text.unwrap_or_else(|error| panic!("{:?}: {name}: {error}", self.who))
    }

    /// Each open descriptor and what it is: the link in `/proc/PID/fd`.
    pub fn descriptors(&self) -> BTreeMap<i32, String> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap();
        let link = |entry: fs::DirEntry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            let link = fs::read_link(entry.path()).ok()?;
            Some((number, link.to_string_lossy().into_owned()))
        };
        entries.flatten().filter_map(link).collect()
    }
}

impl From<processes::Worker> for Live {
    fn from(worker: processes::Worker) -> Self {
        let role = Role::from_name(&worker.role);
        let role = role.unwrap_or_else(|| panic!("no role {:?}", worker.role));
        let text = fs::read_to_string(format!("/proc/{}/cmdline", worker.pid)).unwrap();
        let arguments: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
        let number = |argument: &String| argument.strip_prefix("--connection=")?.parse().ok();
        let connection = arguments.iter().find_map(number);
        Self {
            pid: worker.pid,
            parent: worker.parent,
            who: Who { role, connection },
            arguments,
        }
    }
}

/// Is there one of this role for each client?
pub fn per_client(role: Role) -> bool {
    match role {
        Role::Network
        | Role::Encoder
        | Role::AuthLdap
        | Role::AuthPam
        | Role::AuthSqlite
        | Role::AuthSql
        | Role::AuthKeycloak
        | Role::AuthFido
        | Role::AuthOtpscreen
        | Role::AuthNames
        | Role::AuthKerberos
        | Role::AuthCertificate => true,
        Role::Supervisor | Role::Launcher | Role::Auth | Role::Keys | Role::Display | Role::Ctl => {
            false
        }
    }
}
