//! The database's file, read as it is at one moment: under the locks of SQLite's own
//! (sqlite.org/lockingv3.html), so that nobody writes meanwhile.

use accounts::file::{HEADER, MAX_FILE, Passwords, Unusable};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::stat::fstat;
use runtime::PollSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Held while the others are taken.
const PENDING: libc::off_t = 0x4000_0000;
/// All of these are held to read, one of them by each reader.
const SHARED: (libc::off_t, libc::off_t) = (PENDING + 2, 510);
/// How often a writer is looked after.
const PAUSE: Duration = Duration::from_millis(20);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Somebody writes, and does not end.
    #[error("somebody else keeps the database locked")]
    Locked,
    /// The kernel refused.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The file has lost its name: what it holds is old.
    #[error(
        "the database was deleted, or another file was put in its place: nobody is let in with it until the session is started again; change it with bulkhead passwd or sqlite3"
    )]
    Replaced,
    /// Whoever likes can let anybody in.
    #[error("others may write the database (mode {0:o}): chmod 600")]
    Open(u32),
    /// More than anybody has users.
    #[error("the database is larger than 16 MiB")]
    TooLarge,
    /// It is none, or not alone.
    #[error("the database {0}")]
    Unusable(#[from] Unusable),
}

/// The file while nobody can write it.
#[derive(Debug)]
pub struct Locked {
    file: File,
    len: usize,
    passwords: Passwords,
}

impl Locked {
    /// Waits for whoever writes.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn new(file: File, until: Instant) -> Result<Self, Failure> {
        let mut waits = false;
        while !lock(&file)? {
            if !std::mem::replace(&mut waits, true) {
                tracing::info!("somebody writes the database: waiting");
            }
            let pause = check::left(until).ok_or(Failure::Locked)?.min(PAUSE);
            PollSet::new().wait(Some(pause)).map_err(io::Error::from)?;
        }
        let facts = fstat(&file).map_err(io::Error::from)?;
        if facts.st_nlink == 0 {
            return Err(Failure::Replaced);
        }
        if facts.st_mode & 0o022 != 0 {
            return Err(Failure::Open(facts.st_mode & 0o777));
        }
        let len = u64::try_from(facts.st_size).unwrap_or(u64::MAX);
        let len = match usize::try_from(len) {
            Ok(len) if len as u64 <= MAX_FILE => len,
            _ => return Err(Failure::TooLarge),
        };
        let mut header = Vec::with_capacity(HEADER);
        Whole { file: &file, at: 0 }
            .take(HEADER as u64)
            .read_to_end(&mut header)?;
        Ok(Self {
            len,
            passwords: accounts::file::passwords(&header)?,
            file,
        })
    }

    /// Its bytes, from the first on, and how many there are.
    #[must_use]
    pub fn content(&self) -> (impl Read, usize) {
        let whole = Whole {
            file: &self.file,
            at: 0,
        };
        (whole, self.len)
    }

    /// How it keeps passwords.
    #[must_use]
    pub fn passwords(&self) -> Passwords {
        self.passwords
    }
}

/// Tries to take the lock of a reader. It belongs to this process, not to the descriptor, which
/// others share, and ends with it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "these constants are small; the fields are of another type than they"
)]
fn lock(file: &File) -> io::Result<bool> {
    let set = |kind: libc::c_int, (start, len): (libc::off_t, libc::off_t)| {
        let lock = libc::flock {
            l_type: kind as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: start,
            l_len: len,
            l_pid: 0,
        };
        match fcntl(file, FcntlArg::F_SETLK(&lock)) {
            Ok(_) => Ok(true),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
            Err(error) => Err(io::Error::from(error)),
        }
    };
    let pending = (PENDING, 1);
    if !set(libc::F_RDLCK, pending)? {
        return Ok(false);
    }
    let shared = set(libc::F_RDLCK, SHARED)?;
    set(libc::F_UNLCK, pending)?;
    Ok(shared)
}

/// Reads without the descriptor's offset, which other checks share.
struct Whole<'f> {
    file: &'f File,
    at: u64,
}

impl Read for Whole<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(room, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    const SOON: Duration = Duration::from_millis(100);

    fn database() -> (tempfile::TempDir, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join("users")).unwrap();
        connection.execute_batch(accounts::file::SCHEMA).unwrap();
        (directory, connection)
    }

    fn open(directory: &tempfile::TempDir) -> Result<Locked, Failure> {
        let file = File::open(directory.path().join("users")).unwrap();
        Locked::new(file, Instant::now() + SOON)
    }

    // Locks belong to the process, so that these tests need another one: sqlite3.
    #[test]
    fn whoever_writes_is_waited_for() {
        use std::io::{BufRead, BufReader, Write};
        use std::process::{Command, Stdio};
        let (directory, connection) = database();
        drop(connection);
        let mut writer = Command::new("sqlite3")
            .arg(directory.path().join("users"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut say = writer.stdin.take().unwrap();
        let mut does = |what: &str| {
            writeln!(say, "{what}; SELECT 'done';").unwrap();
            assert_eq!(said.next().unwrap().unwrap(), "done");
        };
        does("BEGIN IMMEDIATE");
        assert!(
            open(&directory).is_ok(),
            "what is not written yet hinders nobody"
        );
        does("COMMIT; BEGIN EXCLUSIVE");
        assert!(matches!(open(&directory), Err(Failure::Locked)));
        does("COMMIT");
        let held = open(&directory).unwrap();
        drop(say);
        writer.wait().unwrap();
        // Who reads keeps writers out.
        let output = Command::new("sqlite3")
            .arg(directory.path().join("users"))
            .arg("BEGIN EXCLUSIVE")
            .output()
            .unwrap();
        assert!(!output.status.success(), "{output:?}");
        drop(held);
    }

    #[test]
    fn what_is_no_database_is_said() {
        let (directory, connection) = database();
        let path = directory.path().join("users");
        assert_eq!(open(&directory).unwrap().passwords(), Passwords::Plain);
        let mode = |mode| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            std::fs::set_permissions(&path, mode).unwrap();
        };
        mode(0o662);
        assert!(matches!(open(&directory), Err(Failure::Open(0o662))));
        mode(0o600);
        drop(connection);
        // As SQLite marks it; this one is built without.
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[2, 2], 18).unwrap();
        let wal = open(&directory);
        assert!(
            matches!(wal, Err(Failure::Unusable(Unusable::Wal))),
            "{wal:?}"
        );
        std::fs::write(&path, "no").unwrap();
        let text = open(&directory);
        assert!(
            matches!(text, Err(Failure::Unusable(Unusable::NotSqlite))),
            "{text:?}"
        );
        File::create(&path).unwrap().set_len(MAX_FILE + 1).unwrap();
        assert!(matches!(open(&directory), Err(Failure::TooLarge)));
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let gone = Locked::new(file, Instant::now() + SOON);
        assert!(matches!(gone, Err(Failure::Replaced)), "{gone:?}");
    }
}
