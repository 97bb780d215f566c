//! A start as root meets what the session's user has put in its way: it reads, makes and changes
//! nothing that the user could not, and says what is wrong in one line. One test for each row of
//! the table in `docs/security.md`.

mod place;

use place::{NOBODY, Place, display, text};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// What a user may put where a file is to be, and what is said of it.
const PLANTS: [&str; 6] = [
    "a link to root's",
    "a link to nothing",
    "a link to root's directory on the way",
    "a pipe",
    "root's file",
    "a second name",
];

/// A user's directory and one of root's beside it.
struct Ground {
    place: Place,
    roots: PathBuf,
}

impl Ground {
    fn new() -> Option<Self> {
        if !needs::root("give a directory to somebody else") {
            return None;
        }
        let place = Place::new();
        let roots = place.path("roots");
        fs::create_dir(&roots).unwrap();
        place.chmod("roots", 0o755);
        place.chmod("home", 0o755);
        fs::write(roots.join("file"), "root's").unwrap();
        fs::set_permissions(roots.join("file"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(place.path("sessions")).unwrap();
        place.chmod("sessions", 0o755);
        Some(Self { place, roots })
    }

    /// Puts something there and gives the path that is to be named.
    fn plant(&self, what: &str) -> PathBuf {
        let (home, file) = (self.place.path("home"), self.roots.join("file"));
        let path = home.join("x");
        match what {
            "a link to root's" => symlink(&file, &path).unwrap(),
            "a link to nothing" => symlink(self.roots.join("new"), &path).unwrap(),
            "a link to root's directory on the way" => {
                symlink(&self.roots, home.join("way")).unwrap();
                return home.join("way/new");
            }
            "a pipe" => {
                nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
                chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
            "root's file" => {
                fs::write(&path, "root's").unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            }
            "a second name" => fs::hard_link(&file, &path).unwrap(),
            other => panic!("{other}"),
        }
        path
    }

    fn root(&self, args: &[&str]) -> Command {
        let mut command = self.place.command(&["start", "--uid=nobody"]);
        command.args(args).uid(0).gid(0);
        if !args.iter().any(|arg| arg.starts_with("--sessions-dir=")) {
            let sessions = self.place.path("sessions");
            command.arg(format!("--sessions-dir={}", sessions.display()));
        }
        command
    }

    /// Every plant is refused in one line, and root's things are as they were.
    fn holds(&self, option: impl Fn(&str) -> String, wanted: &str) {
        for plant in PLANTS {
            let path = self.plant(plant);
            let command = self.root(&[&option(path.to_str().unwrap())]);
            self.place.refused_command(command, wanted);
            let file = self.roots.join("file");
            let meta = file.metadata().unwrap();
            assert_eq!(fs::read(&file).unwrap(), b"root's", "{plant}");
            assert_eq!((meta.uid(), meta.mode() & 0o7777), (0, 0o600), "{plant}");
            let names = fs::read_dir(&self.roots).unwrap().count();
            assert_eq!(names, 1, "{plant}: something was made");
            for name in ["x", "way"] {
                let _ = fs::remove_file(self.place.path("home").join(name));
            }
        }
    }
}

#[test]
fn a_log_file() {
    let Some(ground) = Ground::new() else { return };
    ground.holds(|path| format!("--log-file={path}"), "log file /");
}

#[test]
fn a_pid_file() {
    let Some(ground) = Ground::new() else { return };
    ground.holds(|path| format!("--pidfile={path}"), "pid file /");
}

#[test]
fn a_password_file() {
    let Some(ground) = Ground::new() else { return };
    ground.holds(
        |path| format!("--bind-tcp=127.0.0.1:10000,auth=file,filename={path}"),
        "password file /",
    );
}

#[test]
fn a_key_file() {
    let Some(ground) = Ground::new() else { return };
    ground.holds(
        |path| format!("--bind-tcp=127.0.0.1:10000,auth=fail,encryption=AES,keyfile={path}"),
        "key file /",
    );
}

#[test]
fn a_socket() {
    let Some(ground) = Ground::new() else { return };
    ground.holds(|path| format!("--bind={path}"), "unix socket /");
}

#[test]
fn directories_of_sockets_and_sessions() {
    let Some(ground) = Ground::new() else { return };
    let home = ground.place.path("home");
    symlink(&ground.roots, home.join("way")).unwrap();
    fs::create_dir(home.join("roots")).unwrap();
    for dir in ["", "way", "way/new", "roots", "roots/new", "new"] {
        let dir = home.join(dir);
        for option in ["--socket-dir", "--sessions-dir"] {
            let command = ground.root(&[&format!("{option}={}", dir.display())]);
            ground.place.refused_command(command, "directory /");
        }
        let command = ground.root(&[&format!("--bind={}/", dir.display())]);
        ground.place.refused_command(command, "directory /");
    }
    assert_eq!(fs::read_dir(&ground.roots).unwrap().count(), 1);
}

#[test]
fn a_session_directory() {
    let Some(ground) = Ground::new() else { return };
    let name = display();
    let dir = ground.place.path("sessions").join(&name[1..]);
    let wanted = "is not a session directory of ours";
    fs::create_dir(&dir).unwrap();
    chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
    ground.place.refused_command(ground.root(&[&name]), wanted);
    fs::remove_dir(&dir).unwrap();
    symlink(&ground.roots, &dir).unwrap();
    ground.place.refused_command(ground.root(&[&name]), wanted);
    assert_eq!(fs::read_dir(&ground.roots).unwrap().count(), 1);
}

#[test]
fn where_nothing_is_planted_files_are_whose_the_directory_is() {
    let Some(ground) = Ground::new() else { return };
    let name = display();
    let (home, roots) = (ground.place.path("home"), &ground.roots);
    let argument = |option: &str, path: PathBuf| format!("--{option}={}", path.display());
    let output = ground
        .root(&[
            &name,
            "--daemon=no",
            &argument("pidfile", home.join("pid")),
            &argument("log-file", home.join("log")),
            "--bind=auto",
            &argument("bind", home.join("socket")),
            &argument("bind", roots.join("socket")),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let session = ground.place.path("sessions").join(&name[1..]);
    for (path, owner, mode) in [
        (home.join("pid"), NOBODY, 0o644),
        (home.join("log"), NOBODY, 0o600),
        (home.join("socket"), NOBODY, 0o600),
        // In root's directory the user can use it, and not replace it.
        (roots.join("socket"), NOBODY, 0o600),
        (session.join("socket"), NOBODY, 0o600),
        (session.join("server.pid"), 0, 0o644),
        (session.join("server.log"), 0, 0o600),
        (session, 0, 0o711),
    ] {
        let meta = path.symlink_metadata().unwrap();
        let found = (meta.uid(), meta.mode() & 0o7777);
        assert_eq!(found, (owner, mode), "{}", path.display());
    }
}
