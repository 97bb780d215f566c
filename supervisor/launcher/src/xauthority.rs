//! Xauthority files: the session's own, and the session's entry in the user's.
//!
//! Format and locking are those of libXau (`Xauth.h`, `AuLock.c`): entries of a family and four
//! counted strings, numbers big-endian; `FILE-c` is created and linked to `FILE-l`, the new
//! contents go to `FILE-n`, which is renamed.

use nix::fcntl::OFlag;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// `FamilyWild`: any address.
const FAMILY_WILD: u16 = 65535;
/// `FamilyLocal`: this host, by name.
const FAMILY_LOCAL: u16 = 256;
/// The only authorization protocol that we use.
const COOKIE_PROTOCOL: &[u8] = b"MIT-MAGIC-COOKIE-1";
/// Largest Xauthority file of a user that is taken in.
const MAX_FILE: u64 = 1 << 20;
/// How long to wait for another program's lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// A lock that is older than this was left by a program that is gone.
const LOCK_STALE: Duration = Duration::from_secs(10);

/// The secret that opens the X server.
pub type Cookie = [u8; 16];

/// What a client says first (X11 protocol, "Connection Setup"), for one that has numbers in little-endian,
/// as we do: protocol 11.0, with the cookie.
pub fn setup_request(cookie: &Cookie) -> Vec<u8> {
    let padded = COOKIE_PROTOCOL.len().next_multiple_of(4);
    let length = |bytes: usize| u16::try_from(bytes).unwrap_or_default().to_le_bytes();
    let mut request = vec![b'l', 0, 11, 0, 0, 0];
    request.extend_from_slice(&length(COOKIE_PROTOCOL.len()));
    request.extend_from_slice(&length(cookie.len()));
    request.extend_from_slice(&[0; 2]);
    request.extend_from_slice(COOKIE_PROTOCOL);
    request.resize(12 + padded, 0);
    request.extend_from_slice(cookie);
    request
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    family: u16,
    address: Vec<u8>,
    number: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
}

impl Entry {
    fn cookie(family: u16, address: &[u8], number: &str, cookie: &Cookie) -> Self {
        Self {
            family,
            address: address.to_vec(),
            number: number.as_bytes().to_vec(),
            name: COOKIE_PROTOCOL.to_vec(),
            data: cookie.to_vec(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.family.to_be_bytes());
        for part in [&self.address, &self.number, &self.name, &self.data] {
            // Ours are short; those of a file came with a 16-bit length.
            out.extend_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(part);
        }
    }
}

/// Reads entries up to the end or the first that is cut off.
fn parse(mut bytes: &[u8]) -> Vec<Entry> {
    fn number(bytes: &mut &[u8]) -> Option<u16> {
        let (head, rest) = bytes.split_first_chunk::<2>()?;
        *bytes = rest;
        Some(u16::from_be_bytes(*head))
    }
    fn string(bytes: &mut &[u8]) -> Option<Vec<u8>> {
        let len = usize::from(number(bytes)?);
        let (head, rest) = bytes.split_at_checked(len)?;
        *bytes = rest;
        Some(head.to_vec())
    }
    let mut entries = Vec::new();
    let mut entry = || {
        Some(Entry {
            family: number(&mut bytes)?,
            address: string(&mut bytes)?,
            number: string(&mut bytes)?,
            name: string(&mut bytes)?,
            data: string(&mut bytes)?,
        })
    };
    while let Some(one) = entry() {
        entries.push(one);
    }
    entries
}

fn serialize(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        entry.write(&mut out);
    }
    out
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
}

/// Writes the session's own file, which opens the display from wherever it is read.
///
/// # Errors
/// What the file system says.
pub fn write_session(path: &Path, display: u32, cookie: &Cookie) -> io::Result<()> {
    let entry = Entry::cookie(FAMILY_WILD, b"", &display.to_string(), cookie);
    let new = with_suffix(path, "-n");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create_new(&new)?;
    file.write_all(&serialize(&[entry]))?;
    fs::rename(&new, path)
}

/// The cookie in a session's own file.
pub fn read_session(path: &Path) -> Option<Cookie> {
    let mut bytes = Vec::new();
    let file = files::ordinary(path).ok()?;
    file.take(MAX_FILE).read_to_end(&mut bytes).ok()?;
    parse(&bytes).first()?.data.as_slice().try_into().ok()
}

/// The lock of libXau on a file; released when dropped.
struct Lock {
    create: PathBuf,
    link: PathBuf,
}

impl Lock {
    fn take(path: &Path) -> io::Result<Self> {
        let lock = Self {
            create: with_suffix(path, "-c"),
            link: with_suffix(path, "-l"),
        };
        let end = Instant::now() + LOCK_PATIENCE;
        loop {
            let attempt =
                create_new(&lock.create).and_then(|_| fs::hard_link(&lock.create, &lock.link));
            match attempt {
                Ok(()) => return Ok(lock),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            let stale = [&lock.create, &lock.link].into_iter().any(|path| {
                fs::symlink_metadata(path)
                    .and_then(|metadata| metadata.modified())
                    .ok()
                    .and_then(|modified| SystemTime::now().duration_since(modified).ok())
                    .is_some_and(|age| age > LOCK_STALE)
            });
            if stale {
                lock.release();
                continue;
            }
            if Instant::now() > end {
                // Not ours to release.
                std::mem::forget(lock);
                return Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    format!("{} is locked by another program", path.display()),
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn release(&self) {
        for path in [&self.create, &self.link] {
            // Gone already is as good as removed.
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.release();
    }
}

/// Changes the entries of a file, if `change` says so.
fn update(
    path: &Path,
    remove_empty: bool,
    change: impl FnOnce(&mut Vec<Entry>) -> bool,
) -> io::Result<()> {
    let _lock = Lock::take(path)?;
    let mut bytes = Vec::new();
    // A link may be followed, but nothing is waited for.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path);
    match opened {
        Ok(file) => {
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("it is no ordinary file"));
            }
            file.take(MAX_FILE).read_to_end(&mut bytes)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut entries = parse(&bytes);
    if !change(&mut entries) {
        return Ok(());
    }
    // A link that the user has made leads to the real file.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if entries.is_empty() && remove_empty {
        return fs::remove_file(&target);
    }
    let new = with_suffix(&target, "-n");
    let _ = fs::remove_file(&new);
    let mut file = create_new(&new)?;
    file.write_all(&serialize(&entries))?;
    file.sync_all()?;
    fs::rename(&new, &target)
}

/// Puts the session's cookie into the user's file, in place of older ones for that display. True
/// if the file was there and empty: then it is to be that again.
///
/// # Errors
/// What the file system says; another program holds the lock.
pub fn merge(path: &Path, display: u32, cookie: &Cookie) -> io::Result<bool> {
    let host = nix::unistd::gethostname()?;
    let entry = Entry::cookie(
        FAMILY_LOCAL,
        host.as_encoded_bytes(),
        &display.to_string(),
        cookie,
    );
    let existed = path.exists();
    let mut empty = false;
    update(path, false, |entries| {
        empty = existed && entries.is_empty();
        entries.retain(|old| {
            (old.family, &old.address, &old.number) != (entry.family, &entry.address, &entry.number)
        });
        entries.push(entry);
        true
    })?;
    Ok(empty)
}

/// Takes the session's cookie out of the user's file. One in which nothing is left then goes,
/// but with `keep_empty`.
///
/// # Errors
/// What the file system says; another program holds the lock.
pub fn remove(path: &Path, cookie: &Cookie, keep_empty: bool) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    update(path, !keep_empty, |entries| {
        let before = entries.len();
        entries.retain(|entry| entry.data != cookie);
        entries.len() != before
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strings() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..40)
    }

    #[test]
    fn a_connection_begins_as_the_protocol_wants_it() {
        let request = setup_request(&[7; 16]);
        let head = b"l\0\x0b\0\0\0\x12\0\x10\0\0\0MIT-MAGIC-COOKIE-1\0\0";
        assert_eq!(request, [&head[..], &[7; 16]].concat());
    }

    proptest! {
        #[test]
        fn files_survive_a_round_trip(
            parts in proptest::collection::vec((any::<u16>(), strings(), strings(), strings()), 0..8),
        ) {
            let entries: Vec<_> = parts
                .into_iter()
                .map(|(family, address, number, data)| Entry {
                    family, address, number, name: COOKIE_PROTOCOL.to_vec(), data,
                })
                .collect();
            prop_assert_eq!(parse(&serialize(&entries)), entries);
        }

        #[test]
        fn any_bytes_parse_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let entries = parse(&bytes);
            prop_assert!(serialize(&entries).len() <= bytes.len());
        }
    }

    #[test]
    fn a_merged_cookie_replaces_the_older_one_and_goes_without_a_trace() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("Xauthority");
        let other = Entry::cookie(FAMILY_LOCAL, b"elsewhere", "1", &[9; 16]);
        fs::write(&file, serialize(std::slice::from_ref(&other))).unwrap();
        merge(&file, 7, &[1; 16]).unwrap();
        merge(&file, 7, &[2; 16]).unwrap();
        let entries = parse(&fs::read(&file).unwrap());
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1].data, [2; 16]);
        remove(&file, &[2; 16], false).unwrap();
        assert_eq!(parse(&fs::read(&file).unwrap()), [other]);
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "locks are left"
        );
    }

    #[test]
    fn an_empty_file_stays_only_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("Xauthority");
        // Made for two sessions, of which the one that made it ends first.
        let keep = [1, 2].map(|byte| merge(&file, byte.into(), &[byte; 16]).unwrap());
        assert_eq!(keep, [false, false]);
        remove(&file, &[1; 16], keep[0]).unwrap();
        assert_eq!(parse(&fs::read(&file).unwrap()).len(), 1);
        remove(&file, &[2; 16], keep[1]).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

        fs::write(&file, "").unwrap();
        let keep = merge(&file, 1, &[1; 16]).unwrap();
        remove(&file, &[1; 16], keep).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"");
    }

    #[test]
    fn a_stale_lock_does_not_stop_us() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("Xauthority");
        let lock = File::create(with_suffix(&file, "-c")).unwrap();
        lock.set_modified(SystemTime::now() - Duration::from_secs(60))
            .unwrap();
        merge(&file, 1, &[3; 16]).unwrap();
        assert_eq!(parse(&fs::read(&file).unwrap()).len(), 1);
    }

    #[test]
    fn the_sessions_own_file_is_private_and_gives_the_cookie_back() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("xauthority");
        write_session(&file, 1, &[5; 16]).unwrap();
        write_session(&file, 12, &[6; 16]).unwrap();
        assert_eq!(read_session(&file), Some([6; 16]));
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
            0o600
        );
    }
}
