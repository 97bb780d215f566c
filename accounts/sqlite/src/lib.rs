//! What SQLite is held to, whoever opens a database of users: a file may have been made by somebody
//! else, and its schema is SQL too.
#![forbid(unsafe_code)]

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, Result};

/// Lengths in bytes.
const LIMITS: [(Limit, i32); 10] = [
    (Limit::SQLITE_LIMIT_LENGTH, 1 << 20),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 64 << 10),
    (Limit::SQLITE_LIMIT_COLUMN, 100),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 50),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 10),
    (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 256),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 4),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
];

/// What it may do on behalf of a database.
const CONFIG: [(DbConfig, bool); 7] = [
    (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
    (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
    (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
];

/// Sets all of it.
///
/// # Errors
/// What SQLite says.
pub fn hold(connection: &Connection) -> Result<()> {
    for (config, value) in CONFIG {
        connection.set_db_config(config, value)?;
    }
    for (limit, value) in LIMITS {
        connection.set_limit(limit, value)?;
    }
    // Damage in a page is noticed before the page is used.
    connection.pragma_update(None, "cell_size_check", true)
}

/// For who writes: a table is a table, and nothing that is computed.
///
/// # Errors
/// What SQLite says.
pub fn without_views(connection: &Connection) -> Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `.cargo/config.toml` says so, and the environment cannot say something else.
    #[test]
    fn sqlite_is_built_without_what_nobody_needs() {
        let connection = Connection::open_in_memory().unwrap();
        let mut statement = connection.prepare("PRAGMA compile_options").unwrap();
        let options = statement.query_map((), |row| row.get::<_, String>(0));
        let options: Vec<String> = options.unwrap().map(Result::unwrap).collect();
        for wanted in [
            "OMIT_WAL",
            "OMIT_LOAD_EXTENSION",
            "OMIT_SHARED_CACHE",
            "TEMP_STORE=3",
            "DQS=0",
            "MAX_MMAP_SIZE=0",
        ] {
            assert!(
                options.iter().any(|it| it == wanted),
                "{wanted}: {options:?}"
            );
        }
        for part in [
            "FTS",
            "RTREE",
            "USE_URI",
            "ENABLE_LOAD_EXTENSION",
            "SOUNDEX",
        ] {
            assert!(
                !options.iter().any(|it| it.contains(part)),
                "{part}: {options:?}"
            );
        }
    }
}
