//! `bulkhead passwd`, looked at with sqlite3; and what a start says of databases.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// As whom, where the tests run as root: a session is never root's.
const NOBODY: u32 = 65534;

/// A directory of the user's, and one with the executables: they are built where others may not look. One at a
/// time: a fork of another test would hold an executable open while it is still being written.
struct Place {
    directory: tempfile::TempDir,
    bin: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Place {
    fn new() -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::tempdir().unwrap();
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let bin = tempfile::tempdir().unwrap();
        std::fs::set_permissions(bin.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let built = env!("CARGO_BIN_EXE_bulkhead");
        std::fs::copy(built, bin.path().join("bulkhead")).unwrap();
        // They are looked for, and not started.
        for role in policy::Role::ALL {
            let program = bin.path().join(role.executable());
            std::fs::write(&program, "").unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self {
            directory,
            bin,
            _alone,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, words: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(self.bin.path().join("bulkhead"));
        if nix::unistd::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut child = command
            .args(words)
            .current_dir(self.directory.path())
            .env("HOME", self.directory.path())
            .env("XDG_RUNTIME_DIR", self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who refuses the command line does not read.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    fn works(&self, words: &[&str], input: &[u8]) -> String {
        let output = self.run(words, input);
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, words: &[&str], input: &[u8], part: &str) {
        let output = self.run(words, input);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{words:?}");
        assert!(said.contains(part), "{words:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }

    /// A file that only its owner may use.
    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
        self.close(name);
    }

    fn close(&self, name: &str) {
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.path(name), mode).unwrap();
    }

    fn sql(&self, file: &str, sql: &str) -> String {
        let mut command = Command::new("sqlite3");
        if nix::unistd::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command
            .args([file, sql])
            .current_dir(self.directory.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn users_are_added_changed_removed_and_listed() {
    let place = Place::new();
    place.refused(
        &["passwd", "list"],
        b"",
        "there is none: bulkhead passwd add",
    );
    let said = place.works(&["passwd", "add", "bob"], b"bob's\n");
    assert_eq!(said, "user bob was added to sqlite.sdb\n");
    assert_eq!(mode(&place.path("sqlite.sdb")), 0o600);
    place.works(
        &["passwd", "add", "ann o'hara"],
        "p\u{e4}ss\r\nmore\n".as_bytes(),
    );
    assert_eq!(place.works(&["passwd", "list"], b""), "ann o'hara\nbob\n");
    let hashes = || place.sql("sqlite.sdb", "SELECT password FROM users ORDER BY username");
    let before = hashes();
    let before: Vec<_> = before.lines().collect();
    assert_eq!(before.len(), 2);
    for (hash, password) in before.iter().zip(["p\u{e4}ss", "bob's"]) {
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let fits = accounts::hash::verify(hash.as_bytes(), password.as_bytes());
        assert_eq!(fits, Ok(true));
    }
    // The same password again, and another salt.
    place.works(&["passwd", "change", "bob"], b"bob's");
    let after = hashes();
    let after: Vec<_> = after.lines().collect();
    assert!(after[0] == before[0] && after[1] != before[1]);
    place.refused(&["passwd", "add", "bob"], b"x", "user bob is there already");
    place.refused(&["passwd", "change", "eve"], b"x", "there is no user eve");
    place.refused(&["passwd", "remove", "eve"], b"", "there is no user eve");
    place.works(&["passwd", "remove", "bob"], b"");
    assert_eq!(place.works(&["passwd", "list"], b""), "ann o'hara\n");
    // What has been removed is not in the file any more.
    let file = std::fs::read(place.path("sqlite.sdb")).unwrap();
    let gone = after[1].as_bytes();
    assert!(!file.windows(gone.len()).any(|window| window == gone));
    assert_eq!(place.sql("sqlite.sdb", "PRAGMA integrity_check"), "ok\n");
    assert!(!place.path("sqlite.sdb-journal").exists());
}

#[test]
fn passwords_in_clear_are_kept_only_where_that_is_said() {
    let place = Place::new();
    let database = "--database=users.db";
    // That is said before the password is asked for.
    let warned = |words: &[&str], input: &[u8]| {
        let output = place.run(words, input);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("users.db keeps passwords in clear"), "{said}");
        output.status.success()
    };
    assert!(warned(
        &["passwd", "add", "ann", "--plain", database],
        b"hunter2"
    ));
    assert!(!warned(&["passwd", "change", "ann", database], b""));
    assert_eq!(mode(&place.path("users.db")), 0o600);
    assert_eq!(
        place.sql("users.db", "SELECT password FROM users"),
        "hunter2\n"
    );
    // As it is kept for one, it is kept for all.
    assert!(warned(&["passwd", database, "add", "bob"], b"hunter3"));
    // To who proves by it, it would itself be the password.
    let output = place.run(&["passwd", database, "change", "bob"], b"$argon2id$v=19$x");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("cannot begin as a hash does"),
        "{said}"
    );
    // Nobody else reads them.
    let open = |mode| {
        std::fs::set_permissions(
            place.path("users.db"),
            std::fs::Permissions::from_mode(mode),
        )
        .unwrap()
    };
    open(0o644);
    place.refused(
        &["passwd", database, "list"],
        b"",
        "others may read it (mode 644)",
    );
    let bind = "--bind-tcp=127.0.0.1:10000,auth=sqlite(filename=users.db)";
    place.refused(
        &["seamless", "--daemon=no", bind],
        b"",
        "others may read it (mode 644)",
    );
    open(0o600);
    place.works(&["passwd", "add", "ann"], b"x");
    let both = ["passwd", "add", "bob", "--plain"];
    place.refused(&both, b"x", "keeps hashed passwords only");
    // Xpra's own table has no key.
    place.sql(
        "stock.sdb",
        "CREATE TABLE users (username VARCHAR(255) NOT NULL, password VARCHAR(255), \
         uid VARCHAR(63), gid VARCHAR(63), displays VARCHAR(8191), env_options VARCHAR(8191), \
         session_options VARCHAR(8191)); \
         INSERT INTO users (username, password) VALUES ('two', 'a'), ('two', 'b')",
    );
    std::fs::set_permissions(
        place.path("stock.sdb"),
        std::fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let stock = "--database=stock.sdb";
    place.works(&["passwd", "add", "ann", stock], b"hunter2");
    for (words, part) in [
        (["passwd", "add", "ann", stock], "is there already"),
        (["passwd", "change", "two", stock], "is there 2 times"),
    ] {
        let output = place.run(&words, b"x");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(part), "{said}");
    }
    let row = place.sql("stock.sdb", "SELECT * FROM users WHERE username='ann'");
    assert_eq!(row, "ann|hunter2|||||\n");
}

#[test]
fn what_is_no_name_no_password_or_no_database_is_said() {
    let place = Place::new();
    let long = "x".repeat(256);
    for name in [
        "",
        " ann",
        "ann\n",
        "a\u{1b}[2J",
        "a\u{202e}nn",
        "a\u{200b}nn",
        &long,
    ] {
        place.refused(&["passwd", "add", name], b"x", "is no user's name");
    }
    for password in [&b""[..], b"\n", b"\nx", &[b'x'; 1025]] {
        place.refused(
            &["passwd", "add", "ann"],
            password,
            "a password has 1 to 1024 bytes",
        );
    }
    place.works(&["passwd", "add", "ann"], &[b'x'; 1024]);
    let text = "a text that is longer than a header".repeat(9);
    place.write("text", text.as_bytes());
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(place.path("text"), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    place.refused(
        &["passwd", "list", "--database=text"],
        b"",
        "is no SQLite database",
    );
    place.refused(
        &["passwd", "add", "ann", "--database=text"],
        b"x",
        "is no SQLite database",
    );
    place.refused(
        &["passwd", "list", "--database=."],
        b"",
        "is no ordinary file",
    );
    place.refused(
        &["passwd", "add", "ann", "--database=no/where"],
        b"x",
        "database no/where",
    );
    place.sql("other", "CREATE TABLE t (x)");
    std::fs::set_permissions(place.path("other"), std::fs::Permissions::from_mode(0o600)).unwrap();
    place.refused(
        &["passwd", "list", "--database=other"],
        b"",
        "no such table: users",
    );
    std::fs::set_permissions(
        place.path("sqlite.sdb"),
        std::fs::Permissions::from_mode(0o622),
    )
    .unwrap();
    place.refused(&["passwd", "list"], b"", "others may write it (mode 622)");
    place.sql(
        "odd",
        "CREATE TABLE users (username, password); INSERT INTO users VALUES ('a' || char(27) || '[2J', 'x'), ('b' || char(8238) || '\\\"é', 'x'), (7, 'x'), (x'ff', 'x')",
    );
    std::fs::set_permissions(place.path("odd"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let listed = place.works(&["passwd", "list", "--database=odd"], b"");
    assert_eq!(listed, "7\na\\u{1b}[2J\nb\\u{202e}\\\"é\n\u{fffd}\n");
}

#[test]
fn a_start_says_what_is_wrong_with_a_database() {
    let place = Place::new();
    place.works(&["passwd", "add", "ann"], b"x");
    place.works(&["passwd", "add", "ann", "--plain", "--database=wal"], b"x");
    place.sql("wal", "PRAGMA journal_mode=WAL");
    std::fs::write(place.path("text"), "x").unwrap();
    place.works(
        &["passwd", "add", "ann", "--plain", "--database=left"],
        b"x",
    );
    std::fs::write(place.path("left-journal"), "x").unwrap();
    place.works(
        &["passwd", "add", "ann", "--plain", "--database=done"],
        b"x",
    );
    // Of journal_mode=PERSIST.
    std::fs::write(place.path("done-journal"), [0; 512]).unwrap();
    place.works(
        &["passwd", "add", "ann", "--plain", "--database=pipe"],
        b"x",
    );
    std::os::unix::fs::symlink("/dev/zero", place.path("pipe-journal")).unwrap();
    place.works(
        &["passwd", "add", "ann", "--plain", "--database=open"],
        b"x",
    );
    let open = std::fs::Permissions::from_mode(0o662);
    std::fs::set_permissions(place.path("open"), open).unwrap();
    for (options, part) in [
        (
            "sqlite",
            "its passwords are hashed; bulkhead passwd add --plain",
        ),
        (
            "sqlite(filename=none)",
            "there is none: bulkhead passwd add USER --database none",
        ),
        ("sqlite(filename=wal)", "is in WAL mode"),
        ("sqlite(filename=text)", "is no SQLite database"),
        ("sqlite(filename=left)", "was killed while writing"),
        ("sqlite(filename=pipe)", "pipe-journal: "),
        // The next mistake.
        (
            "sqlite(filename=done),auth=file(filename=none)",
            "password file none",
        ),
        ("sqlite(filename=open)", "others may write it (mode 662)"),
        ("sqlite(filename=.)", "is no ordinary file"),
    ] {
        let bind = format!("--bind-tcp=127.0.0.1:10000,auth={options}");
        place.refused(&["seamless", "--daemon=no", &bind], b"", part);
    }
}

/// What is played into a database from beside it, or reached through a link, is only what nobody else
/// can have laid there.
#[test]
fn nobody_else_has_a_hand_in_it() {
    use std::os::unix::fs::{chown, symlink};
    let place = Place::new();
    let list = |file: &str| format!("--database={file}");
    place.works(&["passwd", "add", "ann"], b"x");
    place.sql("planted", "CREATE TABLE users (username, password)");
    std::fs::set_permissions(
        place.path("planted"),
        std::fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    for suffix in ["-wal", "-shm", "-journal"] {
        let beside = place.path(&format!("planted{suffix}"));
        symlink("/etc/passwd", &beside).unwrap();
        place.refused(
            &["passwd", "list", &list("planted")],
            b"",
            "is no ordinary file",
        );
        std::fs::remove_file(&beside).unwrap();
        place.write(&format!("planted{suffix}"), b"");
        place.works(&["passwd", "list", &list("planted")], b"");
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o666)).unwrap();
        place.refused(
            &["passwd", "list", &list("planted")],
            b"",
            "others may write it",
        );
        std::fs::remove_file(&beside).unwrap();
    }
    place.write("planted-wal", b"x");
    place.refused(&["passwd", "list", &list("planted")], b"", "is in WAL mode");
    std::fs::remove_file(place.path("planted-wal")).unwrap();
    place.sql("planted", "PRAGMA journal_mode=WAL");
    let before = std::fs::read(place.path("planted")).unwrap();
    place.refused(&["passwd", "list", &list("planted")], b"", "is in WAL mode");
    assert_eq!(before, std::fs::read(place.path("planted")).unwrap());
    // Links of one's own are followed, and the journal belongs where they lead.
    std::fs::create_dir(place.path("elsewhere")).unwrap();
    if nix::unistd::geteuid().is_root() {
        chown(place.path("elsewhere"), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    symlink("../sqlite.sdb", place.path("elsewhere/link")).unwrap();
    assert_eq!(
        place.works(&["passwd", "list", &list("elsewhere/link")], b""),
        "ann\n"
    );
    // A directory in which others may make files is none for a database.
    for (mode, open) in [(0o1777, true), (0o775, true), (0o755, false)] {
        let directory = place.path("elsewhere");
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(mode)).unwrap();
        let file = format!("elsewhere/{mode:o}");
        let add = ["passwd", "add", "ann", &list(&file)];
        match open {
            true => {
                place.refused(&add, b"x", "others may write");
                assert!(!place.path(&file).exists());
            }
            false => drop(place.works(&add, b"x")),
        }
    }
    if needs::root("use another's files") {
        // Somebody's, for root.
        let database = list(place.path("sqlite.sdb").to_str().unwrap());
        let output = Command::new(env!("CARGO_BIN_EXE_bulkhead"))
            .args(["passwd", "list", &database])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && said.contains("run this as that user"),
            "{said}"
        );
        // Another's, for somebody.
        chown(place.path("sqlite.sdb"), Some(65533), None).unwrap();
        place.refused(&["passwd", "list"], b"", "belongs to the user 65533");
    }
}

/// SQLite undoes what somebody who was killed has left half done. Whoever lays such a half there
/// himself could add users by that.
#[test]
fn a_journal_is_played_only_where_nobody_else_can_have_laid_it() {
    let place = Place::new();
    let database = "--database=users";
    place.works(&["passwd", "add", "ann", database], b"x");
    place.works(&["passwd", "add", "evil", database], b"x");
    let with_evil = std::fs::read(place.path("users")).unwrap();
    place.works(&["passwd", "remove", "evil", database], b"");
    let listed = || place.works(&["passwd", "list", database], b"");
    assert_eq!(listed(), "ann\n");
    // As if that had not been done.
    let journal = journal_of(&with_evil);
    let plant = |mode| {
        let path = place.path("users-journal");
        std::fs::write(&path, &journal).unwrap();
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let before = std::fs::read(place.path("users")).unwrap();
    plant(0o666);
    place.refused(&["passwd", "list", database], b"", "others may write it");
    assert_eq!(std::fs::read(place.path("users")).unwrap(), before);
    if needs::root("plant another's file") {
        plant(0o600);
        std::os::unix::fs::chown(place.path("users-journal"), Some(65533), None).unwrap();
        place.refused(
            &["passwd", "list", database],
            b"",
            "belongs to the user 65533",
        );
        assert_eq!(std::fs::read(place.path("users")).unwrap(), before);
    }
    // The control: one's own is played.
    plant(0o600);
    assert_eq!(listed(), "ann\nevil\n");
}

/// The journal that makes a database this again (sqlite.org/fileformat2.html, section 3).
fn journal_of(database: &[u8]) -> Vec<u8> {
    let page = usize::from(u16::from_be_bytes([database[16], database[17]]));
    let pages: Vec<_> = database.chunks(page).collect();
    let mut journal = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7".to_vec();
    let (count, nonce) = (u32::try_from(pages.len()).unwrap(), 7_u32);
    for number in [count, nonce, count, 512, u32::try_from(page).unwrap()] {
        journal.extend(number.to_be_bytes());
    }
    journal.resize(512, 0);
    for (number, content) in (1_u32..).zip(pages) {
        let sampled = (1..).map_while(|step| page.checked_sub(200 * step));
        let sum: u32 = sampled
            .filter(|at| *at > 0)
            .map(|at| u32::from(content[at]))
            .sum();
        journal.extend(number.to_be_bytes());
        journal.extend(content);
        journal.extend((nonce + sum).to_be_bytes());
    }
    journal
}

/// Nothing is written before it is known that nobody else reads it, and as it is said.
#[test]
fn an_empty_file_is_closed_and_unmarked_before_a_password_is_in_it() {
    let place = Place::new();
    let sql = |file: &str, text: &str, mode| {
        place.sql(file, text);
        std::fs::set_permissions(place.path(file), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for plain in [&["--plain"][..], &[]] {
        let empty = place.path("empty");
        std::fs::write(&empty, "").unwrap();
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&empty, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        std::fs::set_permissions(&empty, std::fs::Permissions::from_mode(0o644)).unwrap();
        let words = [&["passwd", "add", "ann", "--database=empty"], plain].concat();
        place.refused(&words, b"hunter2", "others may read it (mode 644)");
        assert_eq!(std::fs::read(&empty).unwrap(), b"");
    }
    sql(
        "marked",
        "PRAGMA application_id=1114132599; CREATE TABLE users (x); DROP TABLE users;",
        0o600,
    );
    let marked = ["passwd", "add", "ann", "--database=marked", "--plain"];
    place.refused(&marked, b"hunter2", "keeps hashed passwords only");
    place.works(&marked[..4], b"hunter2");
    // What would be computed for ever is no table.
    sql(
        "view",
        "CREATE VIEW users AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) \
         SELECT i AS username, i AS password FROM n",
        0o600,
    );
    place.refused(&["passwd", "list", "--database=view"], b"", "no such table");
}
