//! One SELECT in a copy of the database, in memory. Nothing else can be done there, and what the
//! file says, whose schema is SQL too, cannot make it do more, or take longer.

use check::stored::Whose;
use ipc::sessions::Summary;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error, MAIN_DB, params_from_iter};
use std::borrow::Cow;
use std::io::Read;
use std::time::Instant;
use zeroize::Zeroizing;

/// Steps of SQLite's machine between two looks at the clock.
const STEPS: i32 = 10_000;

/// Columns about sessions: user, group, displays, variables and options.
const SESSIONS: usize = 5;

/// Functions that need what the process does not have, or whose answer is not the database's: random
/// numbers, the time and its zone.
const NOT: [&str; 13] = [
    "random",
    "randomblob",
    "date",
    "time",
    "datetime",
    "julianday",
    "unixepoch",
    "strftime",
    "timediff",
    "current_date",
    "current_time",
    "current_timestamp",
    "load_extension",
];

/// Why the database gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What SQLite says. With the default query its messages name tables and columns, never values.
    #[error("the database: {0}")]
    Sqlite(#[from] Error),
    /// The query gives something else than one password.
    #[error("the query does not give one column")]
    Columns,
    /// Who is meant is not clear.
    #[error("the query finds more than one user of this name")]
    TwoRows,
    /// A user without a password.
    #[error("the query finds no text where the password should be")]
    NoText,
    /// What there is about sessions is not what it should be.
    #[error("{0}")]
    NoSessions(&'static str),
    /// SQLite gives up in the middle of them. Its messages may have values in them then: this is the code.
    #[error("the database: error {0}")]
    Code(i32),
}

/// SQLite, ready for a database.
#[derive(Debug)]
pub struct Database(Connection);

impl Database {
    /// An empty one, with all bounds. To be made in the warm-up.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn new() -> Result<Self, Error> {
        let connection = Connection::open_in_memory()?;
        sqlite::hold(&connection)?;
        // It loads the schema of an empty database, and allocates.
        connection.query_row("SELECT 1", (), |_| Ok(()))?;
        Ok(Self(connection))
    }

    /// Takes a copy of a database, and from now on nothing but questions. Whoever asks has until then.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn load(
        &mut self,
        (content, len): (impl Read, usize),
        until: Instant,
    ) -> Result<(), Failure> {
        let late = move || Instant::now() >= until;
        self.0.progress_handler(STEPS, Some(late))?;
        self.0.deserialize_read_exact(MAIN_DB, content, len, true)?;
        // Not before, which is an ATTACH to SQLite; the database is looked at from here on.
        self.0.authorizer(Some(authorize))?;
        Ok(())
    }

    /// The password that the database has for a user, if it has one.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn password(
        &self,
        query: &str,
        username: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let mut statement = self.0.prepare(query)?;
        if statement.column_count() != 1 {
            return Err(Failure::Columns);
        }
        let mut rows = statement.query([username])?;
        let password = match rows.next()? {
            None => return Ok(None),
            Some(row) => match row.get_ref(0)? {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
                // Of a number it is not known how it was written.
                ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => {
                    return Err(Failure::NoText);
                }
            },
        };
        let password = Zeroizing::new(password);
        match rows.next()? {
            None => Ok(Some(password)),
            Some(_) => Err(Failure::TwoRows),
        }
    }

    /// What the database says of the sessions of a user, if anything, until then. Its texts stay where SQLite
    /// has them.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn sessions(
        &mut self,
        query: &str,
        whose: &Whose,
        until: Instant,
    ) -> Result<Option<Summary>, Failure> {
        let late = move || Instant::now() >= until;
        self.0.progress_handler(STEPS, Some(late))?;
        let mut statement = self.0.prepare(query)?;
        if statement.column_count() != SESSIONS {
            return Err(Failure::NoSessions("the query does not give five columns"));
        }
        let parameter = |bytes| {
            ToSqlOutput::Borrowed(match std::str::from_utf8(bytes) {
                Ok(_) => ValueRef::Text(bytes),
                Err(_) => ValueRef::Blob(bytes),
            })
        };
        let password = whose.password.as_ref().map(|password| &password[..]);
        let parameters = [Some(whose.username.as_bytes()), password];
        let parameters = parameters.into_iter().flatten().map(parameter);
        let mut rows = statement.query(params_from_iter(parameters))?;
        let Some(row) = rows.next().map_err(coded)? else {
            return Ok(None);
        };
        let mut texts: [Cow<'_, str>; SESSIONS] = Default::default();
        for (column, text) in texts.iter_mut().enumerate() {
            *text = match row.get_ref(column)? {
                ValueRef::Null => "".into(),
                ValueRef::Integer(number) => number.to_string().into(),
                ValueRef::Text(bytes) => std::str::from_utf8(bytes)
                    .map_err(|_| Failure::NoSessions("a text that is not UTF-8"))?
                    .into(),
                ValueRef::Real(_) | ValueRef::Blob(_) => {
                    return Err(Failure::NoSessions("something that is no text"));
                }
            };
        }
        let summary = Summary::read(texts.each_ref().map(|text| &**text));
        drop(texts);
        match rows.next().map_err(coded)? {
            None => summary.map_err(Failure::NoSessions),
            Some(_) => Err(Failure::TwoRows),
        }
    }
}

/// An error while a query runs.
fn coded(error: Error) -> Failure {
    Failure::Code(error.sqlite_error().map_or(0, |error| error.extended_code))
}

/// Only what a SELECT does.
fn authorize(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } => Authorization::Allow,
        AuthAction::Function { function_name } if !NOT.contains(&function_name) => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::LazyLock;
    use std::time::Duration;

    const QUERY: &str = "SELECT password FROM users WHERE username=?1";

    /// The file that this SQL makes.
    fn file(sql: &str) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        let connection = Connection::open(file.path()).unwrap();
        connection.execute_batch(sql).unwrap();
        drop(connection);
        std::fs::read(file.path()).unwrap()
    }

    /// Xpra's own table.
    const STOCK: &str = "CREATE TABLE users (\
        username VARCHAR(255) NOT NULL, password VARCHAR(255), uid VARCHAR(63), gid VARCHAR(63), \
        displays VARCHAR(8191), env_options VARCHAR(8191), session_options VARCHAR(8191));";

    fn ask_with(
        content: &[u8],
        query: &str,
        username: &str,
        time: Duration,
    ) -> Result<Option<Vec<u8>>, String> {
        let mut database = Database::new().unwrap();
        database
            .load((content, content.len()), Instant::now() + time)
            .and_then(|()| database.password(query, username))
            .map(|found| found.map(|found| found.to_vec()))
            .map_err(|error| error.to_string())
    }

    fn ask(content: &[u8], query: &str, username: &str) -> Result<Option<Vec<u8>>, String> {
        ask_with(content, query, username, Duration::from_secs(10))
    }

    #[test]
    fn a_user_has_a_password_and_nobody_has_none() {
        let file = file(&format!(
            "{STOCK} INSERT INTO users (username, password) VALUES \
             ('ann', 'secret'), ('bob', 'bob''s'), ('bob', 'another'), ('carl', NULL), \
             ('eve', x'00ff'), ('o''hara', 'x'), ('num', 17), ('empty', '');"
        ));
        let found = |name: &str| ask(&file, QUERY, name);
        assert_eq!(found("ann"), Ok(Some(b"secret".to_vec())));
        assert_eq!(found("o'hara"), Ok(Some(b"x".to_vec())));
        assert_eq!(found("eve"), Ok(Some(b"\0\xff".to_vec())));
        // The column makes text of it.
        assert_eq!(found("num"), Ok(Some(b"17".to_vec())));
        assert_eq!(found("empty"), Ok(Some(vec![])));
        assert!(found("bob").unwrap_err().contains("more than one"));
        assert!(found("carl").unwrap_err().contains("no text"));
        for name in [
            "",
            "Ann",
            "ann ",
            "ann\0",
            "ann'--",
            "' OR '1'='1",
            "'; DELETE FROM users; --",
            "x' UNION SELECT 'secret",
            "%",
            "*",
            "?1",
            &"a".repeat(256),
        ] {
            assert_eq!(found(name), Ok(None), "{name:?}");
        }
    }

    #[test]
    fn what_is_known_of_sessions() {
        const QUERY: &str = "SELECT uid, gid, displays, env_options, session_options FROM users \
            WHERE username=(?1) AND password=(?2)";
        let file = file(&format!(
            "{STOCK} INSERT INTO users VALUES \
             ('ann', 'secret', '1000', 'staff', ':10,:11', 'A=b', 'speed=1'), \
             ('bob', 'secret', NULL, NULL, NULL, NULL, NULL), \
             ('carl', 'secret', '', '', '', 'nonsense', ''), \
             ('dora', 'secret', 17, x'00', '', '', ''), ('eve', 'a', '1', '', '', '', ''), \
             ('eve', 'a', '2', '', '', '', '');"
        ));
        let begun = Instant::now();
        let ask = |query: &str, name: &str, password: &str| {
            let mut database = Database::new().unwrap();
            let until = begun + Duration::from_secs(60);
            database.load((&file[..], file.len()), until).unwrap();
            let whose = Whose {
                username: name.to_owned(),
                password: (!password.is_empty()).then(|| Zeroizing::new(password.into())),
            };
            let until = Instant::now() + Duration::from_millis(500);
            let found = database.sessions(query, &whose, until);
            found
                .map(|it| it.map(|it| it.to_string()))
                .map_err(|error| error.to_string())
        };
        let ann = "user 1000, group staff, 2 displays, 1 variable, 1 option";
        assert_eq!(ask(QUERY, "ann", "secret"), Ok(Some(ann.into())));
        let by_name = "SELECT uid, gid, displays, env_options, session_options FROM users \
            WHERE username=(?1)";
        assert_eq!(ask(by_name, "ann", ""), Ok(Some(ann.into())));
        for (name, password) in [("ann", "another"), ("bob", "secret"), ("nobody", "secret")] {
            assert_eq!(ask(QUERY, name, password), Ok(None), "{name}");
        }
        for (query, name, password, part) in [
            (QUERY, "carl", "secret", "name=value"),
            (QUERY, "dora", "secret", "no text"),
            (QUERY, "eve", "a", "more than one"),
            ("SELECT ?1, ?2", "ann", "x", "five columns"),
            (
                "SELECT absent, ?1, ?2, '', '' FROM users",
                "ann",
                "x",
                "absent",
            ),
            // It has no place for it.
            (by_name, "ann", "secret", "parameter"),
            // SQLite quotes the path, which is the password here.
            (
                "SELECT json_extract('{}', ?2), ?1, '', '', ''",
                "ann",
                "secret",
                "error 1",
            ),
            (
                "SELECT count(*), ?1, '', '', '' FROM users a, users b, users c, users d, users e, \
                 users f, users g, users h, users i, users j, users k, users l, users m, users n",
                "ann",
                "",
                "error 9",
            ),
        ] {
            let why = ask(query, name, password).unwrap_err();
            assert!(why.contains(part), "{name}: {why}");
            assert!(!why.contains("secret"), "{why}");
        }
        // It does not have all of the time.
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    /// Guesses are counted by name: what the table takes for the same is somebody else.
    #[test]
    fn a_name_is_the_same_byte_by_byte() {
        const DEFAULT: &str = "SELECT password FROM users WHERE username=(?1) COLLATE BINARY AND typeof(username)='text'";
        for column in [
            "VARCHAR(255)",
            "TEXT COLLATE NOCASE PRIMARY KEY",
            "TEXT COLLATE RTRIM",
        ] {
            let file = file(&format!(
                "CREATE TABLE users (username {column}, password TEXT); INSERT INTO users VALUES ('ann', 'x');"
            ));
            assert_eq!(ask(&file, DEFAULT, "ann"), Ok(Some(b"x".to_vec())));
            for name in ["Ann", "ANN", "ann ", "ann\0", "a%", "%", "?nn"] {
                assert_eq!(ask(&file, DEFAULT, name), Ok(None), "{column}: {name:?}");
            }
        }
        let numbers = file(
            "CREATE TABLE users (username INTEGER, password INTEGER); INSERT INTO users VALUES (17, 17);",
        );
        for name in ["17", "017", "17.0", " 17"] {
            assert_eq!(ask(&numbers, DEFAULT, name), Ok(None), "{name:?}");
        }
        assert!(ask(&numbers, QUERY, "17").unwrap_err().contains("no text"));
    }

    #[test]
    fn a_query_can_do_no_more_than_ask() {
        let file = file(&format!(
            "{STOCK} INSERT INTO users (username, password) VALUES ('ann', 'secret'); \
             CREATE VIEW people AS SELECT username AS name, upper(password) AS word FROM users;"
        ));
        let view = "SELECT lower(word) FROM people WHERE name=?1";
        assert_eq!(ask(&file, view, "ann"), Ok(Some(b"secret".to_vec())));
        for query in [
            "SELECT username, password FROM users WHERE username=?1",
            "SELECT password FROM nothing WHERE username=?1",
            "SELECT randomblob(8) WHERE ?1<>''",
            "SELECT random() WHERE ?1<>''",
            "SELECT load_extension(?1)",
            "SELECT date(?1)",
            "SELECT DateTime('now') WHERE ?1<>''",
            "SELECT strftime('%s', ?1, 'localtime')",
            "SELECT current_timestamp WHERE ?1<>''",
            "SELECT * FROM pragma_table_info(?1)",
            "SELECT sql FROM sqlite_dbpage WHERE ?1",
            "DELETE FROM users WHERE username=?1 RETURNING password",
            "PRAGMA user_version",
            "ATTACH ?1 AS other",
            "VACUUM INTO ?1",
            "SELECT password FROM users",
            "SELECT password FROM users WHERE username=?1; SELECT 1",
        ] {
            assert!(ask(&file, query, "ann").is_err(), "{query}");
        }
    }

    #[test]
    fn what_a_hostile_file_says_takes_no_time_and_no_memory() {
        // A view that would count for ever, and one that would make a text of a gigabyte.
        let endless = file(
            "CREATE VIEW users AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) \
             SELECT 'ann' AS username, i AS password FROM n WHERE i<0;",
        );
        let refused = ask(&endless, QUERY, "ann").unwrap_err();
        assert!(refused.contains("not authorized"), "{refused}");
        let crossed = file(&format!(
            "{STOCK} {} CREATE VIEW people AS SELECT a.username AS username, a.password AS password \
             FROM users a, users b, users c, users d, users e WHERE a.uid||b.uid||c.uid||d.uid||e.uid='x';",
            "INSERT INTO users (username, password, uid) VALUES ('ann', 'x', 'y');".repeat(60)
        ));
        let start = Instant::now();
        let people = "SELECT password FROM people WHERE username=?1";
        let late = ask_with(&crossed, people, "ann", Duration::from_millis(200));
        assert!(late.unwrap_err().contains("interrupted"));
        assert!(start.elapsed() < Duration::from_secs(5));
        let large = file(
            "CREATE VIEW users AS SELECT 'ann' AS username, hex(zeroblob(1000000000)) AS password;",
        );
        assert!(ask(&large, QUERY, "ann").unwrap_err().contains("too big"));
    }

    #[test]
    fn what_is_no_database_gives_no_password() {
        let good = file(&format!(
            "{STOCK} INSERT INTO users (username, password) VALUES ('ann', 'secret');"
        ));
        assert!(ask(b"", QUERY, "ann").is_err());
        assert!(ask(b"no database", QUERY, "ann").is_err());
        for len in (0..good.len()).step_by(97) {
            match ask(&good[..len], QUERY, "ann") {
                Err(_) | Ok(None) => {}
                Ok(Some(found)) => assert_eq!(found, b"secret", "{len}"),
            }
        }
    }

    static INDEXED: LazyLock<Vec<u8>> = LazyLock::new(|| {
        file(&format!(
            "{STOCK} CREATE INDEX i ON users (username); \
             INSERT INTO users (username, password) VALUES ('ann', 'secret');"
        ))
    });

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_damaged_file_ends_nothing(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        ) {
            let mut bytes = INDEXED.clone();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = ask(&bytes, QUERY, "ann");
        }
    }
}
