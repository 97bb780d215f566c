//! The modules whose users are in a database: what their options say.

use crate::auth::Options;
use crate::error::{Error, Result};
use accounts::query;
use std::path::PathBuf;

/// The database when none is named (protocol "Modules").
pub const FILENAME: &str = "sqlite.sdb";
/// Xpra's own query, for a name that is the same byte by byte, whatever the table takes for the same:
/// guesses are counted by name.
const PASSWORD_QUERY: &str =
    "SELECT password FROM users WHERE username=(?) COLLATE BINARY AND typeof(username)='text'";

/// `sqlite`: a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Sqlite {
    /// Its path.
    pub filename: PathBuf,
    /// One SELECT of a password, with one parameter.
    pub query: String,
}

/// The options of `sqlite`.
pub const SQLITE: &[&str] = &["filename", "password_query", "sessions_query"];

impl Sqlite {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong, by name.
    pub fn read(options: &mut Options<'_>) -> Result<Self> {
        let filename = match options.take("filename") {
            Some(filename) if filename.is_empty() => {
                return Err(options.wrong("filename", "", "names of files"));
            }
            filename => filename.unwrap_or_else(|| FILENAME.to_owned()),
        };
        Ok(Self {
            filename: filename.into(),
            query: password_query(options, |number| format!("?{number}"))?,
        })
    }
}

/// The query for passwords, with the database's own kind of parameter. That for sessions, which
/// the proxy server will need, is checked and changes nothing.
fn password_query(
    options: &mut Options<'_>,
    parameter: impl Fn(usize) -> String,
) -> Result<String> {
    let mut bound = |key, default: &str, places| {
        let given = options.take(key);
        let query = given.as_deref().map_or(default, query::bare);
        query::bound(query, places, &parameter)
            .map_err(|why| Error::usage(format!("{}: {key} {why}", options.place())))
    };
    bound("sessions_query", "SELECT ?, ?", 2)?;
    let query = bound("password_query", PASSWORD_QUERY, 1)?;
    match query::one_column(&query) {
        Ok(()) => Ok(query),
        Err(why) => Err(Error::usage(format!(
            "{}: password_query {why}",
            options.place()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{self, What};
    use crate::syntax::RawModule;

    fn read(text: &str) -> Result<Sqlite> {
        let mut modules = auth::chain(&[RawModule::parse(text)?], &[])?;
        match modules.remove(0).what {
            What::Sqlite(sqlite) => Ok(sqlite),
            _ => panic!("{text}"),
        }
    }

    #[test]
    fn a_database_is_named_or_not() {
        let it = read("sqlite").ok().unwrap();
        assert_eq!(it.filename, PathBuf::from("sqlite.sdb"));
        assert_eq!(
            it.query,
            "SELECT password FROM users WHERE username=(?1) COLLATE BINARY AND typeof(username)='text'"
        );
        let it = read(
            "sqlite(filename=/a b,password_query=(SELECT coalesce(p, q) FROM u WHERE n=%s),\
             sessions_query=SELECT uid FROM users WHERE username=(%s) AND password=(%s))",
        );
        let it = it.ok().unwrap();
        assert_eq!(it.filename, PathBuf::from("/a b"));
        assert_eq!(it.query, "SELECT coalesce(p, q) FROM u WHERE n=?1");
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for (text, part) in [
            ("sqlite(filename=)", "names of files"),
            ("sqlite(password_query=)", "is not one SELECT"),
            (
                "sqlite(password_query=DELETE FROM users)",
                "is not one SELECT",
            ),
            ("sqlite(password_query=SELECT 1)", "has not 1 of the places"),
            ("sqlite(sessions_query=SELECT ?)", "has not 2 of the places"),
            ("sqlite(password_query=SELECT ? -- x)", "has `--`"),
            (
                "sqlite(password_query=(SELECT p, q FROM u WHERE n=?))",
                "gives more than one column",
            ),
            ("sqlite(password_query=SELECT p WHERE n=?1)", "after it"),
            ("sqlite(uri=x)", "no option `uri`"),
        ] {
            let error = read(text).err().expect(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
