//! The process: a question from `auth`, an open database, an answer.

use crate::database::Database;
use crate::file::Locked;
use check::stored::{self, Stored, Whose};
use check::{Check, No};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::{self, SessionsQuery, SqliteSpec};
use runtime::{Role, Seat, secret};
use std::fs::File;
use std::time::{Duration, Instant};

/// In the descriptor table: the spec, the database.
const SPEC: i32 = 6;
const DATABASE: i32 = 7;

/// A login that a database decides about.
pub struct Sqlite {
    file: File,
    database: Database,
    query: String,
    sessions: Option<SessionsQuery>,
}

impl Check for Sqlite {
    const ROLE: Role = Role::AuthSqlite;
    const AUTH: i32 = 5;
    /// Hashes of other programs cost more or less than ours, and a larger table takes longer.
    const NO_EVERY: Option<Duration> = Some(Duration::from_millis(500));

    fn prepare(seat: &mut Seat) -> Result<(Self, u16), String> {
        let spec = seat.descriptor(SPEC).ok_or("the spec was not passed")?;
        let file = seat.descriptor(DATABASE).ok_or("no database was passed")?;
        let spec: SqliteSpec = spec::read(&File::from(spec)).map_err(|error| error.to_string())?;
        let check = Self {
            file: File::from(file),
            database: Database::new().map_err(|error| error.to_string())?,
            query: spec.query,
            sessions: spec.sessions,
        };
        Ok((check, spec.timeout))
    }

    fn decide(mut self, claim: AuthToCheck, until: Instant) -> Result<CheckToAuth, No> {
        let mut whose = None;
        let answer = stored::decide(&claim, |username| {
            let found = look_up(self.file, &mut self.database, &self.query, username, until)?;
            whose = Whose::new(username, found.0.as_ref(), self.sessions.as_ref());
            Ok(found)
        });
        drop(claim);
        let sessions = self.sessions.as_ref().zip(whose).map(|(query, whose)| {
            let database = &mut self.database;
            move |until| database.sessions(&query.query, &whose, until)
        });
        let answer = stored::answer(answer, until, sessions);
        secret::wipe_stack();
        answer
    }
}

fn look_up(
    file: File,
    database: &mut Database,
    query: &str,
    username: &str,
    until: Instant,
) -> Result<Stored, String> {
    let file = Locked::new(file, until).map_err(|error| error.to_string())?;
    let kept = file.passwords();
    let loaded = database.load(file.content(), until);
    // Others may write now.
    drop(file);
    loaded
        .and_then(|()| database.password(query, username))
        .map(|stored| (stored, kept))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use accounts::{file, hash};
    use ipc::check::Password;
    use nix::time::{ClockId, clock_gettime};
    use rusqlite::Connection;

    const QUERY: &str = "SELECT password FROM users WHERE username=?1";

    /// Of the given users and their passwords.
    fn database(users: &[(&str, Option<&str>)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let connection = Connection::open(file.path()).unwrap();
        connection
            .execute_batch("CREATE TABLE users (username TEXT, password TEXT)")
            .unwrap();
        let mark = file::HASHED_MARK;
        connection
            .pragma_update(None, "application_id", mark)
            .unwrap();
        for user in users {
            connection
                .execute("INSERT INTO users VALUES (?1, ?2)", *user)
                .unwrap();
        }
        file
    }

    fn asked(file: &tempfile::NamedTempFile, query: &str, name: &str) -> Result<bool, String> {
        let claim = AuthToCheck::Password {
            username: name.into(),
            password: Password(b"hunter2".to_vec()),
        };
        let until = Instant::now() + Duration::from_secs(10);
        let mut database = Database::new().unwrap();
        let file = file.reopen().unwrap();
        stored::decide(&claim, |username| {
            look_up(file, &mut database, query, username, until)
        })
    }

    /// What this thread has computed so far: what else runs on the machine is not in it.
    fn computed() -> Duration {
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
        Duration::from(time)
    }

    /// The shortest of some times: that others use the processor's caches only makes it longer.
    fn time(act: impl Fn()) -> Duration {
        let times = (0..5).map(|_| {
            let start = computed();
            act();
            computed() - start
        });
        times.min().unwrap()
    }

    #[test]
    fn who_is_not_there_or_is_there_oddly_takes_as_long_as_a_wrong_password() {
        let other = hash::make(b"another", &[1; hash::SALT]).unwrap();
        let file = database(&[
            ("ann", Some(&other)),
            ("two", Some(&other)),
            ("two", Some(&other)),
            ("null", None),
            ("plain", Some("another")),
            ("costly", Some(&other.replace("t=2", "t=9"))),
        ]);
        assert_eq!(asked(&file, QUERY, "ann"), Ok(false));
        let wrong = time(|| assert_eq!(asked(&file, QUERY, "ann"), Ok(false)));
        assert_eq!(asked(&file, QUERY, "nobody"), Ok(false));
        let broken = "SELECT absent FROM users WHERE username=?1";
        for (query, name, part) in [
            (QUERY, "nobody", None),
            (QUERY, "two", Some("more than one")),
            (QUERY, "null", Some("no text")),
            (QUERY, "plain", Some("no argon2id hash")),
            (QUERY, "costly", Some("costs too much")),
            (QUERY, "an\0n", Some("control characters")),
            (QUERY, "", Some("empty")),
            (QUERY, "ann ", Some("spaces around it")),
            (QUERY, "ann\u{fffe}", Some("control characters")),
            (broken, "ann", Some("no such column")),
        ] {
            let taken = time(|| match (asked(&file, query, name), part) {
                (Ok(false), None) => {}
                (Err(why), Some(part)) if why.contains(part) => {}
                (other, _) => panic!("{name:?}: {other:?}"),
            });
            let ratio = taken.as_secs_f64() / wrong.as_secs_f64();
            assert!(
                (0.5..2.0).contains(&ratio),
                "{name:?}: {taken:?} of {wrong:?}"
            );
        }
    }
}
