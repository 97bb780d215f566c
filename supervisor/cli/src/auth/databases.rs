//! The modules whose users are in a database: what their options say.

use crate::auth::ldap::LdapTls;
use crate::auth::{Options, What};
use crate::error::{Error, Result};
use crate::hidden::Hidden;
use crate::uri::Uri;
use accounts::query::{self, Refused};
use ipc::spec::{SessionsQuery, SqlServer};
use std::net::IpAddr;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The database when none is named (protocol "Modules").
pub const FILENAME: &str = "sqlite.sdb";
/// The same question to a server. MariaDB's own order of letters takes case, accents and spaces at the
/// end for nothing; no name with such spaces is asked about.
const MARIADB_QUERY: &str = "SELECT password FROM users WHERE username=(?) COLLATE utf8mb4_bin";
/// See [`MARIADB_QUERY`].
const POSTGRESQL_QUERY: &str =
    "SELECT password FROM users WHERE CAST(username AS text)=(?) COLLATE \"C\"";
/// Xpra's own query about sessions, in the same way, but for the password, which was right, and would stand in
/// the server's logs.
const MARIADB_SESSIONS: &str = "SELECT uid, gid, displays, env_options, session_options FROM users WHERE username=(?) COLLATE utf8mb4_bin";
/// See [`MARIADB_SESSIONS`].
const POSTGRESQL_SESSIONS: &str = "SELECT uid, gid, displays, env_options, session_options FROM users WHERE CAST(username AS text)=(?) COLLATE \"C\"";
/// Xpra's own query, for a name that is the same byte by byte, whatever the table takes for the same:
/// guesses are counted by name.
const PASSWORD_QUERY: &str =
    "SELECT password FROM users WHERE username=(?) COLLATE BINARY AND typeof(username)='text'";

/// Xpra's own query, in the same way.
const SESSIONS_QUERY: &str = "SELECT uid, gid, displays, env_options, session_options FROM users WHERE username=(?) COLLATE BINARY AND typeof(username)='text' AND password=(?)";

/// `sqlite`: a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Sqlite {
    /// Its path.
    pub filename: PathBuf,
    /// One SELECT of a password, with one parameter.
    pub query: String,
    /// One SELECT of what is known of the user's sessions.
    pub sessions: Option<SessionsQuery>,
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
        Self::of(options, filename.into())
    }

    fn of(options: &mut Options<'_>, filename: PathBuf) -> Result<Self> {
        let (query, sessions) = queries(options, PASSWORD_QUERY, SESSIONS_QUERY, |number| {
            format!("?{number}")
        })?;
        Ok(Self {
            filename,
            query,
            sessions,
        })
    }
}

/// `mysql` and `sql`: a database server.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Its protocol.
    pub kind: SqlServer,
    /// It, by name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// As whom it is asked.
    pub user: String,
    /// The password of that user, if it has one.
    pub password: Option<Password>,
    /// The database there.
    pub database: String,
    /// One SELECT of a password, with one parameter.
    pub query: String,
    /// One SELECT of what is known of the user's sessions.
    pub sessions: Option<SessionsQuery>,
    /// What it gives are hashes, and not passwords in clear.
    pub hashed: bool,
    /// With TLS.
    pub tls: Option<LdapTls>,
    /// Seconds that it may take.
    pub timeout: u16,
}

/// Where the password of a server's user is.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// On the command line.
    Value(Hidden<String>),
    /// In a file.
    File(PathBuf),
}

/// The options of `mysql` and `sql`.
pub const SERVER: &[&str] = &[
    "uri",
    "password-file",
    "hashed",
    "password_query",
    "sessions_query",
    "tls",
    "cacert",
    "timeout",
];
/// Those that a file has no use for.
const OF_SERVERS: [&str; 5] = ["password-file", "hashed", "tls", "cacert", "timeout"];

/// Reads those of `mysql`.
///
/// # Errors
/// What is wrong, by name.
pub fn mysql(options: &mut Options<'_>) -> Result<What> {
    let uri = uri(options, "mysql://USER@127.0.0.1/DATABASE")?;
    match uri.scheme.as_str() {
        "mysql" | "mariadb" => Ok(What::Sql(Server::read(options, SqlServer::MariaDb, uri)?)),
        _ => Err(no_such(
            options,
            "mysql://… and mariadb://…; auth=sql has others",
        )),
    }
}

/// Reads those of `sql`.
///
/// # Errors
/// What is wrong, by name.
pub fn sql(options: &mut Options<'_>) -> Result<What> {
    let uri = uri(options, "postgresql://USER@127.0.0.1/DATABASE")?;
    let kind = match uri.scheme.as_str() {
        "postgresql" | "postgres" => SqlServer::PostgreSql,
        "mysql" | "mariadb" => SqlServer::MariaDb,
        "sqlite" => return file(options, uri),
        _ => {
            return Err(no_such(
                options,
                "postgresql://…, mysql://…, mariadb://… and sqlite:///FILE",
            ));
        }
    };
    Ok(What::Sql(Server::read(options, kind, uri)?))
}

fn uri(options: &mut Options<'_>, example: &str) -> Result<Uri> {
    let text = Zeroizing::new(options.require("uri", example)?);
    Uri::read(&text).map_err(|why| Error::usage(format!("{}: uri {why}", options.place())))
}

fn no_such(options: &Options<'_>, allowed: &str) -> Error {
    Error::usage(format!("{}: uri: there are {allowed}", options.place()))
}

/// `sqlite:///FILE`.
fn file(options: &mut Options<'_>, uri: Uri) -> Result<What> {
    let of_server = |key: &&str| options.take(key).is_some();
    if let Some(key) = OF_SERVERS.into_iter().find(of_server) {
        return Err(options.vain(key, "the uri of a server"));
    }
    if !uri.host.is_empty() || !uri.user.is_empty() || uri.port.is_some() || uri.database.is_empty()
    {
        return Err(no_such(options, "sqlite:///FILE and sqlite:////PATH/FILE"));
    }
    Ok(What::Sqlite(Sqlite::of(options, uri.database.into())?))
}

impl Server {
    fn read(options: &mut Options<'_>, kind: SqlServer, uri: Uri) -> Result<Self> {
        let (port, password_query, sessions_query) = match kind {
            SqlServer::MariaDb => (3306, MARIADB_QUERY, MARIADB_SESSIONS),
            SqlServer::PostgreSql => (5432, POSTGRESQL_QUERY, POSTGRESQL_SESSIONS),
        };
        let parameter = |number| match kind {
            SqlServer::MariaDb => "?".to_owned(),
            SqlServer::PostgreSql => format!("${number}"),
        };
        if uri.user.is_empty() || uri.database.is_empty() {
            return Err(Error::usage(format!(
                "{}: uri has no user or no database",
                options.place()
            )));
        }
        let password = match (options.take("password-file"), uri.password) {
            (Some(_), Some(_)) => {
                return Err(Error::usage(format!(
                    "{}: one password is in uri, and one in password-file: leave one out",
                    options.place()
                )));
            }
            (Some(file), None) => Some(Password::File(file.into())),
            (None, Some(value)) if value.trim().is_empty() => {
                return Err(Error::usage(format!(
                    "{}: uri has an empty password: leave its colon out",
                    options.place()
                )));
            }
            (None, value) => value.map(Password::Value),
        };
        let tls = options.flag("tls", false)?;
        let authorities = options.take("cacert").map(PathBuf::from);
        if authorities.is_some() && !tls {
            return Err(options.vain("cacert", "tls=yes"));
        }
        let (query, sessions) = queries(options, password_query, sessions_query, parameter)?;
        Ok(Self {
            kind,
            host: match uri.host.is_empty() {
                true => "localhost".to_owned(),
                false => uri.host,
            },
            port: uri.port.unwrap_or(port),
            user: uri.user,
            password,
            database: uri.database,
            query,
            sessions,
            hashed: options.flag("hashed", false)?,
            tls: tls.then_some(LdapTls {
                ask: true,
                authorities,
            }),
            timeout: options.timeout()?,
        })
    }

    /// Can nobody between us and the server read what it says, or speak for it?
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        self.tls.is_some()
            || self.host == "localhost"
            || address.is_ok_and(|address| address.is_loopback())
    }
}

/// The queries for passwords and, if there is one, for sessions, with the database's own kind of parameter.
fn queries(
    options: &mut Options<'_>,
    password_query: &str,
    sessions_query: &str,
    parameter: impl Fn(usize) -> String,
) -> Result<(String, Option<SessionsQuery>)> {
    let place = options.place();
    let bound = |key, query: &str, places| {
        query::bound(query, places, &parameter)
            .map_err(|why| Error::usage(format!("{place}: {key} {why}")))
    };
    let own = options.take("password_query");
    let sessions = match (options.take("sessions_query"), &own) {
        (Some(query), _) => Some(query),
        // A table with other names has others for these, too.
        (None, Some(_)) => None,
        (None, None) => Some(sessions_query.to_owned()),
    };
    // For the name, and perhaps for the password.
    let about_sessions = |query: String| -> Result<SessionsQuery> {
        let query = query::bare(&query);
        let password = matches!(
            query::bound(query, 1, &parameter),
            Err(Refused::Places { found: 2.., .. })
        );
        let query = bound("sessions_query", query, 1 + usize::from(password))?;
        Ok(SessionsQuery { query, password })
    };
    let sessions = sessions.map(about_sessions).transpose()?;
    let query = own.as_deref().map_or(password_query, query::bare);
    let query = bound("password_query", query, 1)?;
    match query::one_column(&query) {
        Ok(()) => Ok((query, sessions)),
        Err(why) => Err(Error::usage(format!("{place}: password_query {why}"))),
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
        let sessions = it.sessions.unwrap();
        assert!(sessions.password);
        assert_eq!(
            sessions.query,
            "SELECT uid, gid, displays, env_options, session_options FROM users \
             WHERE username=(?1) COLLATE BINARY AND typeof(username)='text' AND password=(?2)"
        );
        let own = "sqlite(password_query=(SELECT p FROM u WHERE n=%s))";
        assert_eq!(read(own).ok().unwrap().sessions, None);
        let it = read(
            "sqlite(filename=/a b,password_query=(SELECT coalesce(p, q) FROM u WHERE n=%s),\
             sessions_query=SELECT uid FROM users WHERE username=(%s) AND password=(%s))",
        );
        let it = it.ok().unwrap();
        assert_eq!(it.filename, PathBuf::from("/a b"));
        assert_eq!(it.query, "SELECT coalesce(p, q) FROM u WHERE n=?1");
        assert_eq!(
            it.sessions.unwrap().query,
            "SELECT uid FROM users WHERE username=(?1) AND password=(?2)"
        );
    }

    fn server(text: &str) -> Result<Server> {
        let mut modules = auth::chain(&[RawModule::parse(text)?], &[])?;
        match modules.remove(0).what {
            What::Sql(server) => Ok(server),
            _ => panic!("{text}"),
        }
    }

    #[test]
    fn a_server_is_named_in_one_text() {
        let it = server("mysql(uri=mysql://xpra:p%2Cw@db.test/users)")
            .ok()
            .unwrap();
        assert_eq!((it.kind, it.port), (SqlServer::MariaDb, 3306));
        assert_eq!(
            (it.host.as_str(), it.database.as_str()),
            ("db.test", "users")
        );
        assert!(it.password == Some(Password::Value(Hidden::new("p,w".into()))));
        assert!(!it.is_confidential() && !it.hashed);
        assert!(it.query.ends_with("username=(?) COLLATE utf8mb4_bin"));
        let sessions = it.sessions.unwrap();
        assert!(sessions.query.ends_with("username=(?) COLLATE utf8mb4_bin"));
        assert!(!sessions.password);
        let it = server(
            "sql(uri=postgresql+psycopg2://xpra@127.0.0.1:5433/users,password-file=f,\
             hashed=yes,password_query=SELECT p FROM u WHERE n=%s,tls=yes,cacert=ca.pem)",
        );
        let it = it.ok().unwrap();
        assert_eq!((it.kind, it.port), (SqlServer::PostgreSql, 5433));
        assert_eq!(it.query, "SELECT p FROM u WHERE n=$1");
        // Its columns have other names.
        assert_eq!(it.sessions, None);
        assert!(it.password == Some(Password::File("f".into())) && it.hashed);
        assert!(it.is_confidential() && it.tls.is_some());
        let it = server("sql(uri=postgresql://xpra@127.0.0.1/users)").ok();
        let sessions = it.unwrap().sessions.unwrap();
        assert!(sessions.query.ends_with("text)=($1) COLLATE \"C\""));
        let it = server(
            "sql(uri=postgresql://xpra@127.0.0.1/users,password_query=SELECT p FROM u WHERE n=%s,\
             sessions_query=(SELECT 1, 2, d, '', '' FROM u WHERE n=%s AND p=%s))",
        );
        let sessions = it.ok().unwrap().sessions.unwrap();
        assert_eq!(
            sessions.query,
            "SELECT 1, 2, d, '', '' FROM u WHERE n=$1 AND p=$2"
        );
        assert!(sessions.password);
        let it = read("sql(uri=sqlite:////a/users.sdb)").ok().unwrap();
        assert_eq!(it.filename, PathBuf::from("/a/users.sdb"));
        assert!(it.query.contains("?1"));
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for (text, part) in [
            ("mysql", "needs uri="),
            ("mysql(uri=mysql://hunter2)", "no user or no database"),
            ("mysql(uri=mysql://u:hunter2@h)", "no user or no database"),
            (
                "mysql(uri=postgresql://u:hunter2@h/d)",
                "auth=sql has others",
            ),
            (
                "sql(uri=oracle://u:hunter2@h/d)",
                "uri: there are postgresql",
            ),
            ("sql(uri=sqlite://h/d)", "sqlite:///FILE"),
            (
                "sql(uri=sqlite:///d,tls=yes)",
                "`tls` needs the uri of a server",
            ),
            (
                "sql(uri=mysql://u:hunter2@h/d,password-file=f)",
                "leave one out",
            ),
            (
                "sql(uri=mysql://u:hunter2@h/d,cacert=f)",
                "`cacert` needs tls=yes",
            ),
            (
                "sql(uri=mysql://u:hunter2@h/d,timeout=99)",
                "1 to 50 seconds",
            ),
            ("sql(uri=mysql://u:hunter2@h/d?a=b)", "options of a driver"),
        ] {
            let error = server(text).err().expect(text).to_string();
            assert!(
                error.contains(part) && !error.contains("hunter2"),
                "{text}: {error}"
            );
        }
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
            ("sqlite(sessions_query=SELECT 1)", "has not 1 of the places"),
            (
                "sqlite(sessions_query=(SELECT ?, ?, ?))",
                "has not 2 of the places",
            ),
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
