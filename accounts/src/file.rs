//! The beginning of a SQLite file (sqlite.org/fileformat2.html, section 1.3). No SQLite is needed
//! to read it, so that who starts a session does not have to parse the rest.

/// Bytes of the header.
pub const HEADER: usize = 100;
/// Largest database of users in bytes: some hundred thousand of them.
pub const MAX_FILE: u64 = 16 << 20;
/// `PRAGMA application_id` of a database whose passwords are all hashed.
pub const HASHED_MARK: i32 = i32::from_be_bytes(*b"BhPw");

/// The table of users, as Xpra has it, but that a name is there once.
pub const SCHEMA: &str = "CREATE TABLE users (\
    username VARCHAR(255) NOT NULL PRIMARY KEY, \
    password VARCHAR(255) NOT NULL, \
    uid VARCHAR(63) NOT NULL DEFAULT '', \
    gid VARCHAR(63) NOT NULL DEFAULT '', \
    displays VARCHAR(8191) NOT NULL DEFAULT '', \
    env_options VARCHAR(8191) NOT NULL DEFAULT '', \
    session_options VARCHAR(8191) NOT NULL DEFAULT '')";

/// How the passwords of a database are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passwords {
    /// In clear, for digests that prove the knowledge of the password without sending it.
    Plain,
    /// As argon2id hashes, for who is sent the password itself.
    Hashed,
}

/// Why a file is no database that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It begins with something else.
    #[error("is no SQLite database")]
    NotSqlite,
    /// What was written last may be in another file.
    #[error(
        "is in WAL mode, in which what was written last is in another file: sqlite3 FILE 'PRAGMA journal_mode=DELETE'"
    )]
    Wal,
}

/// What the first [`HEADER`] bytes of a file say.
///
/// # Errors
/// [`Unusable`].
pub fn passwords(header: &[u8]) -> Result<Passwords, Unusable> {
    let at = |place: usize| {
        header
            .get(place..place + 4)
            .and_then(|it| it.try_into().ok())
    };
    if header.len() < HEADER || !header.starts_with(b"SQLite format 3\0") {
        return Err(Unusable::NotSqlite);
    }
    // The versions that who writes and who reads has to know: 1 is a rollback journal, 2 is WAL.
    if header[18] != 1 || header[19] != 1 {
        return Err(Unusable::Wal);
    }
    Ok(match at(68).map(i32::from_be_bytes) {
        Some(HASHED_MARK) => Passwords::Hashed,
        _ => Passwords::Plain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..16].copy_from_slice(b"SQLite format 3\0");
        header[18..20].copy_from_slice(&[1, 1]);
        header
    }

    #[test]
    fn the_mark_says_how_passwords_are_kept() {
        let mut header = header();
        assert_eq!(passwords(&header), Ok(Passwords::Plain));
        header[68..72].copy_from_slice(b"BhPw");
        assert_eq!(passwords(&header), Ok(Passwords::Hashed));
        header[68..72].copy_from_slice(b"GPKG");
        assert_eq!(passwords(&header), Ok(Passwords::Plain));
    }

    #[test]
    fn what_cannot_be_read_alone_is_said() {
        for end in 0..HEADER {
            assert_eq!(passwords(&header()[..end]), Err(Unusable::NotSqlite));
        }
        assert_eq!(passwords(&[0; HEADER]), Err(Unusable::NotSqlite));
        for at in [18, 19] {
            let mut header = header();
            header[at] = 2;
            assert_eq!(passwords(&header), Err(Unusable::Wal));
        }
    }
}
