//! The users of a database for `auth=sqlite`: added, changed, removed, listed.
//!
//! The file is changed in place, by transactions, under SQLite's own locks: a session that uses it
//! sees each change whole, at its next login.

mod place;

use crate::error::{Error, Result, reason};
use crate::options::{PasswdAction, PasswdArgs};
use crate::prompt;
use accounts::file::{HASHED_MARK, Passwords, SCHEMA};
use accounts::{hash, spelling};
use nix::sys::prctl::set_dumpable;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

/// Longest password in bytes, as long as a client's may be.
const MAX_PASSWORD: usize = 1024;
/// Longest name in bytes, as long as the column is.
const MAX_NAME: usize = 255;
/// How long somebody else's change is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Does what the command line says.
///
/// # Errors
/// In one line, what is not as it has to be.
pub fn run(args: &PasswdArgs) -> Result<()> {
    // No other process of this user reads the password here, and no core file has it.
    set_dumpable(false).map_err(|error| Error::new(format!("prctl: {}", reason(&error.into()))))?;
    let path = &args.database;
    let said = match &args.action {
        PasswdAction::Add { user, plain } => {
            check_name(user)?;
            let mut database = Database::open_or_make(path, *plain)?;
            let password = database.asked()?;
            database.change(|users| users.add(user, &password))?;
            format!("user {user} was added to {}", path.display())
        }
        PasswdAction::Change { user } => {
            let mut database = Database::open(path)?;
            let password = database.asked()?;
            database.change(|users| users.set(user, &password))?;
            format!("user {user} has another password")
        }
        PasswdAction::Remove { user } => {
            Database::open(path)?.change(|users| users.remove(user))?;
            format!("user {user} was removed from {}", path.display())
        }
        PasswdAction::List => return Database::open(path)?.list(),
    };
    crate::print(&format!("{said}\n"))
}

/// A name that a client can say, and that is what it looks like.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME || name.trim() != name || name != printable(name) {
        return Err(Error::usage(format!(
            "{} is no user's name: 1 to {MAX_NAME} bytes, all to be seen, and without spaces around it",
            printable(name)
        )));
    }
    Ok(())
}

struct Database<'p> {
    path: &'p Path,
    connection: Connection,
    passwords: Passwords,
}

impl<'p> Database<'p> {
    fn fail(path: &Path, why: &dyn std::fmt::Display) -> Error {
        Error::new(format!("database {}: {why}", path.display()))
    }

    /// Opens the database, which the first user makes.
    fn open_or_make(path: &'p Path, plain: bool) -> Result<Self> {
        let kept = match plain {
            true => Passwords::Plain,
            false => Passwords::Hashed,
        };
        Self::at(path, Some(kept))
    }

    /// Opens one that is there.
    fn open(path: &'p Path) -> Result<Self> {
        Self::at(path, None)
    }

    fn at(path: &'p Path, make: Option<Passwords>) -> Result<Self> {
        let fail = |why: &dyn std::fmt::Display| Self::fail(path, why);
        let found = place::find(path, make.is_some()).map_err(|why| fail(&why))?;
        let connection = connect(&found).map_err(|why| fail(&why))?;
        // What somebody who was killed has left half done is undone here.
        let tables = "SELECT count(*) FROM sqlite_schema";
        let tables: i64 = connection
            .query_row(tables, (), |row| row.get(0))
            .map_err(|why| fail(&why))?;
        let mark: i64 = connection
            .query_row("PRAGMA application_id", (), |row| row.get(0))
            .map_err(|why| fail(&why))?;
        let passwords = match mark == i64::from(HASHED_MARK) {
            true => Passwords::Hashed,
            false => Passwords::Plain,
        };
        if (make, passwords) == (Some(Passwords::Plain), Passwords::Hashed) {
            return Err(fail(
                &"keeps hashed passwords only: leave --plain out, or name another file",
            ));
        }
        let mut database = Self {
            path,
            connection,
            passwords,
        };
        match make {
            Some(kept) if tables == 0 => database.make_table(kept)?,
            _ => {
                let query = "SELECT count(*) FROM users";
                let ask = database.connection.query_row(query, (), |_| Ok(()));
                ask.map_err(|why| fail(&why))?;
            }
        }
        Ok(database)
    }

    fn make_table(&mut self, kept: Passwords) -> Result<()> {
        self.passwords = kept;
        self.change(|users| {
            users.0.execute_batch(SCHEMA)?;
            if kept == Passwords::Hashed {
                users.0.pragma_update(None, "application_id", HASHED_MARK)?;
            }
            Ok(Ok(()))
        })
    }

    /// The password that the person gives, as it is kept.
    fn asked(&self) -> Result<Zeroizing<String>> {
        if self.passwords == Passwords::Plain {
            eprintln!(
                "bulkhead: {} keeps passwords in clear: whoever reads it has them",
                self.path.display()
            );
        }
        let typed = typed()?;
        if typed.is_empty() || typed.len() > MAX_PASSWORD {
            return Err(Error::new(format!(
                "a password has 1 to {MAX_PASSWORD} bytes"
            )));
        }
        let text = spelling::text(&typed);
        if self.passwords == Passwords::Plain {
            if hash::is_hash(&text) {
                return Err(Error::new(
                    "a password that is kept in clear cannot begin as a hash does ($argon2, $2, $5$, $6$, $y$, {SSHA and the like): it would let nobody in",
                ));
            }
            let text = std::str::from_utf8(&text).unwrap_or_default();
            return Ok(Zeroizing::new(text.to_owned()));
        }
        let mut salt = [0; hash::SALT];
        getrandom::fill(&mut salt)
            .map_err(|error| Error::new(format!("no random numbers: {error}")))?;
        hash::make(&text, &salt)
            .map(Zeroizing::new)
            .map_err(|error| Error::new(error.to_string()))
    }

    /// Changes the users: all of it, or nothing.
    fn change(&mut self, act: impl FnOnce(&Users<'_>) -> Changed) -> Result<()> {
        let fail = |why: &dyn std::fmt::Display| Self::fail(self.path, why);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|why| fail(&why))?;
        let users = Users(transaction);
        act(&users)
            .map_err(|why| fail(&why))?
            .map_err(|why| fail(&why))?;
        users.0.commit().map_err(|why| fail(&why))
    }

    fn list(&self) -> Result<()> {
        let names = || -> rusqlite::Result<String> {
            let mut statement = self
                .connection
                .prepare("SELECT username FROM users ORDER BY username")?;
            let names = statement.query_map((), |row| {
                Ok(match row.get_ref(0)? {
                    ValueRef::Text(name) | ValueRef::Blob(name) => {
                        printable(&String::from_utf8_lossy(name))
                    }
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Real(_) | ValueRef::Null => "(no name)".to_owned(),
                })
            })?;
            names.map(|name| Ok(name? + "\n")).collect()
        };
        crate::print(&names().map_err(|why| Self::fail(self.path, &why))?)
    }
}

/// A name on a terminal: a database is a file, and may come from anybody. What is not seen, or turns
/// the direction of what follows, is written out.
fn printable(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut escaped = name.escape_debug().peekable();
    while let Some(c) = escaped.next() {
        // These are printable.
        let plain = (c == '\\').then(|| escaped.next_if(|next| "\"'\\".contains(*next)));
        out.push(plain.flatten().unwrap_or(c));
    }
    out
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    sqlite::hold(&connection)?;
    sqlite::without_views(&connection)?;
    // Nothing is left in the file of a password that was changed.
    connection.pragma_update(None, "secure_delete", true)?;
    Ok(connection)
}

/// What SQLite says, and what we do.
type Changed = rusqlite::Result<std::result::Result<(), String>>;

struct Users<'c>(Transaction<'c>);

impl Users<'_> {
    fn count(&self, user: &str) -> rusqlite::Result<i64> {
        let query = "SELECT count(*) FROM users WHERE username=?1 COLLATE BINARY";
        self.0.query_row(query, [user], |row| row.get(0))
    }

    fn add(&self, user: &str, password: &str) -> Changed {
        if self.count(user)? > 0 {
            return Ok(Err(format!(
                "user {user} is there already: bulkhead passwd change {user}"
            )));
        }
        let add = "INSERT INTO users \
            (username, password, uid, gid, displays, env_options, session_options) \
            VALUES (?1, ?2, '', '', '', '', '')";
        self.0.execute(add, [user, password])?;
        Ok(Ok(()))
    }

    fn set(&self, user: &str, password: &str) -> Changed {
        let set = "UPDATE users SET password=?2 WHERE username=?1 COLLATE BINARY";
        Ok(match self.0.execute(set, [user, password])? {
            0 => Err(unknown(user)),
            1 => Ok(()),
            many => Err(format!(
                "user {user} is there {many} times, and who is meant is not clear: bulkhead passwd remove {user}"
            )),
        })
    }

    fn remove(&self, user: &str) -> Changed {
        let remove = "DELETE FROM users WHERE username=?1 COLLATE BINARY";
        Ok(match self.0.execute(remove, [user])? {
            0 => Err(unknown(user)),
            _ => Ok(()),
        })
    }
}

fn unknown(user: &str) -> String {
    format!("there is no user {}", printable(user))
}

/// What the person types, twice; or the first line of what is not a terminal.
fn typed() -> Result<Zeroizing<Vec<u8>>> {
    let input = io::stdin();
    if input.is_terminal() {
        let first = prompt::password(input.as_fd(), "New password: ")?;
        let again = prompt::password(input.as_fd(), "Once more: ")?;
        return match first == again {
            true => Ok(first),
            false => Err(Error::new("these are two different passwords")),
        };
    }
    // No growing, which would leave copies behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_PASSWORD + 2));
    let read = input.as_fd().try_clone_to_owned().and_then(|input| {
        // Not std's own, whose buffer stays.
        let input = File::from(input);
        input.take(MAX_PASSWORD as u64 + 2).read_to_end(&mut line)
    });
    read.map_err(|error| Error::new(format!("standard input: {}", reason(&error))))?;
    if let Some(end) = line.iter().position(|byte| b"\r\n".contains(byte)) {
        line.truncate(end);
    }
    Ok(line)
}
