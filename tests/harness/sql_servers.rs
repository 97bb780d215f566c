//! Real database servers of a test's own, on loopback, each with a table of users.

use crate::commands::{chmod, test_user};
use crate::process::Process;
use crate::session::free_port;
use crate::tls;
use nix::unistd::{Uid, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The password of the server's user `xpra`, who may read the table.
pub const READER: &str = "reader's: s\u{e9}cret";
/// The same in a URI.
pub const READER_IN_URI: &str = "reader's%3A%20s%C3%A9cret";

const LONG: Duration = Duration::from_secs(60);

/// A server that ends with the test.
pub struct SqlServer {
    process: Process,
    directory: tempfile::TempDir,
    /// Its port on 127.0.0.1, in clear and with TLS.
    pub port: u16,
    postgresql: bool,
}

/// As whom servers run: as root they do not.
fn as_user(command: &mut Command, directory: &Path) {
    if Uid::effective().is_root() {
        let user = test_user();
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command.current_dir(directory).env("HOME", directory);
}

fn run(program: &Path, arguments: &[&str], directory: &Path, password: &str) {
    let mut command = Command::new(program);
    as_user(&mut command, directory);
    let output = command
        .args(arguments)
        .env("PGPASSWORD", password)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

fn place(prefix: &str) -> tempfile::TempDir {
    let directory = tempfile::Builder::new()
        .prefix(prefix)
        .tempdir_in("/tmp")
        .unwrap();
    chmod(directory.path(), 0o755);
    own(directory.path());
    let files = tls::files();
    for (name, text) in [
        ("cert.pem", &files.certificate),
        ("key.pem", &files.key),
        ("ca.pem", &files.authority),
        ("reader", &READER.to_owned()),
    ] {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        chmod(&path, 0o600);
        own(&path);
    }
    directory
}

fn own(path: &Path) {
    if Uid::effective().is_root() {
        let user = test_user();
        chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}

/// A program of PostgreSQL's, which Debian keeps out of the way.
fn of_postgresql(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("postgresql is installed");
    let mut found = versions
        .flatten()
        .map(|it| it.path().join("bin").join(name));
    found.find(|path| path.exists()).expect("postgresql")
}

/// Xpra's own table (protocol "SQL schema"), but for three `VARCHAR(8191)`: in utf8mb4 they are too large
/// for a row of MariaDB's.
const TABLE: &str = "CREATE TABLE users (username VARCHAR(255) NOT NULL, password VARCHAR(255), \
    uid VARCHAR(63), gid VARCHAR(63), displays TEXT, env_options TEXT, session_options TEXT);\n";

/// A statement that adds this user.
fn add(user: &str, password: &str) -> String {
    let quoted = |text: &str| text.replace('\'', "''");
    format!(
        "INSERT INTO users (username, password) VALUES ('{}', '{}');\n",
        quoted(user),
        quoted(password)
    )
}

impl SqlServer {
    /// MariaDB with these users and their passwords.
    ///
    /// # Panics
    /// When it does not start, or is not installed.
    pub fn mariadb(users: &[(&str, &str)]) -> Self {
        Self::mariadb_with(users, &[])
    }

    /// The same, and what these statements do to the table.
    ///
    /// # Panics
    /// When it does not start, or is not installed.
    pub fn mariadb_with(users: &[(&str, &str)], more: &[&str]) -> Self {
        let directory = place("bulkhead-mariadb-");
        let t = directory.path();
        let at = |name: &str| t.join(name).display().to_string();
        let data = format!("--datadir={}", at("data"));
        run(
            Path::new("/usr/bin/mariadb-install-db"),
            &[
                "--no-defaults",
                "--skip-test-db",
                "--skip-name-resolve",
                &data,
            ],
            t,
            "",
        );
        let mut sql = format!(
            "SET sql_mode='NO_BACKSLASH_ESCAPES';\nCREATE DATABASE d CHARACTER SET utf8mb4;\nUSE d;\n{TABLE}"
        );
        for (user, password) in users {
            sql += &add(user, password);
        }
        for statement in more {
            sql += &format!("{statement};\n");
        }
        let password = READER.replace('\'', "''");
        sql += &format!(
            "CREATE USER xpra@'127.0.0.1' IDENTIFIED BY '{password}';\n\
             GRANT SELECT ON d.* TO xpra@'127.0.0.1';\n"
        );
        // Each on a line of its own, as an init file has it.
        std::fs::write(t.join("init.sql"), sql).unwrap();
        let port = free_port();
        let mut command = Command::new("/usr/sbin/mariadbd");
        as_user(&mut command, t);
        command.args([
            "--no-defaults",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--bind-address=127.0.0.1",
            &data,
            &format!("--port={port}"),
            &format!("--socket={}", at("socket")),
            &format!("--pid-file={}", at("pid")),
            &format!("--init-file={}", at("init.sql")),
            &format!("--ssl-cert={}", at("cert.pem")),
            &format!("--ssl-key={}", at("key.pem")),
        ]);
        let process = Process::start(&mut command);
        process.wait_for_line(LONG, |line| line.contains("ready for connections"));
        Self {
            process,
            directory,
            port,
            postgresql: false,
        }
    }

    /// PostgreSQL with these users and their passwords.
    ///
    /// # Panics
    /// When it does not start, or is not installed.
    pub fn postgresql(users: &[(&str, &str)]) -> Self {
        Self::postgresql_with(users, &[])
    }

    /// The same, and what these statements do to the table.
    ///
    /// # Panics
    /// When it does not start, or is not installed.
    pub fn postgresql_with(users: &[(&str, &str)], more: &[&str]) -> Self {
        let directory = place("bulkhead-postgresql-");
        let t = directory.path();
        run(
            &of_postgresql("initdb"),
            &[
                "--pgdata=data",
                "--auth=scram-sha-256",
                "--username=root",
                "--pwfile=reader",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
            t,
            "",
        );
        let port = free_port();
        let mut command = Command::new(of_postgresql("postgres"));
        as_user(&mut command, t);
        let at = |name: &str| t.join(name).display().to_string();
        command.args(["-D", "data", "-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", at("")),
            "fsync=off".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", at("cert.pem")),
            format!("ssl_key_file={}", at("key.pem")),
        ] {
            command.args(["-c", &setting]);
        }
        let process = Process::start(&mut command);
        process.wait_for_line(LONG, |line| line.contains("ready to accept connections"));
        let password = READER.replace('\'', "''");
        let mut sql = TABLE.to_owned();
        for (user, password) in users {
            sql += &add(user, password);
        }
        for statement in more {
            sql += &format!("{statement};\n");
        }
        sql += &format!("CREATE USER xpra PASSWORD '{password}'; GRANT SELECT ON users TO xpra;\n");
        let server = Self {
            process,
            directory,
            port,
            postgresql: true,
        };
        server.sql("postgres", "CREATE DATABASE d");
        server.sql("d", &sql);
        server
    }

    fn sql(&self, database: &str, sql: &str) {
        let words = [
            "--host=127.0.0.1",
            &format!("--port={}", self.port),
            "--username=root",
            "--no-psqlrc",
            "--set=ON_ERROR_STOP=1",
            database,
            "-c",
            sql,
        ];
        run(
            &of_postgresql("psql"),
            &words,
            self.directory.path(),
            READER,
        );
    }

    /// The module that asks it, with these options beside its URI. Its user's password is in a file.
    pub fn module(&self, more: &str) -> String {
        let name = if self.postgresql { "sql" } else { "mysql" };
        let file = self.file("reader");
        format!(
            "{name}(uri={},password-file={}{more})",
            self.uri(""),
            file.display()
        )
    }

    /// Its URI, with this between user and host.
    pub fn uri(&self, password: &str) -> String {
        let scheme = if self.postgresql {
            "postgresql"
        } else {
            "mysql"
        };
        format!("{scheme}://xpra{password}@127.0.0.1:{}/d", self.port)
    }

    /// A file beside its own: `ca.pem`, `reader`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The server, to stop and to end.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
