//! The real `bulkhead`: what is wrong is said in one line and leaves nothing behind, and what it
//! starts gets exactly what it is meant to have. The processes that it starts are stand-ins here
//! that write down what they find.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `nobody`: tests that run as root become somebody else.
const NOBODY: u32 = 65534;

/// Writes down descriptors, environment and arguments beside itself.
const STAND_IN: &str = r#"#!/bin/bash
out=REPORTS/${0##*/}
for fd in /proc/$$/fd/*; do
  echo "${fd##*/} $(readlink "$fd")"
done | grep -v -e "$0" -e ' $' > "$out.fds"
tr '\0' '\n' < /proc/$$/environ > "$out.env"
tr '\0' '\n' < /proc/$$/cmdline > "$out.args"
pwd > "$out.cwd"
mv "$out.fds" "$out.done"
BODY
"#;

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn uid() -> u32 {
    if is_root() {
        NOBODY
    } else {
        nix::unistd::geteuid().as_raw()
    }
}

/// A machine for one test: executables, a home and a runtime directory. One at a time: a fork of
/// another test would hold an executable open while it is still being written.
struct Place {
    dir: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Place {
    fn new() -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().unwrap();
        let place = Self { dir, _alone };
        place.chmod("", 0o755);
        for name in ["bin", "home", "run", "reports", "path"] {
            fs::create_dir(place.path(name)).unwrap();
        }
        for name in ["home", "run", "reports"] {
            if is_root() {
                chown(place.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
            }
            place.chmod(name, 0o700);
        }
        fs::copy(env!("CARGO_BIN_EXE_bulkhead"), place.path("bin/bulkhead")).unwrap();
        for role in policy::Role::ALL {
            place.stand_in(role.executable(), "exit 0");
        }
        place.script("path/Xvfb", "#!/bin/sh\n");
        place.script("path/xterm", "#!/bin/sh\n");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn script(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.chmod(name, 0o755);
    }

    fn stand_in(&self, executable: &str, body: &str) {
        let text = STAND_IN
            .replace("REPORTS", self.path("reports").to_str().unwrap())
            .replace("BODY", body);
        self.script(&format!("bin/{executable}"), &text);
    }

    fn file(&self, name: &str, mode: u32, text: &str) -> String {
        let path = self.path("home").join(name);
        fs::write(&path, text).unwrap();
        if is_root() {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin/bulkhead"));
        command
            .args(args)
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.path("path").display()),
            )
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("XPRA_SOCKET_HOSTNAME", "box")
            .current_dir(self.path("home"));
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// What lies in the home and runtime directories.
    fn left(&self) -> Vec<String> {
        fn walk(dir: &Path, all: &mut Vec<String>) {
            for entry in fs::read_dir(dir).unwrap().flatten() {
                all.push(entry.path().display().to_string());
                if entry.file_type().unwrap().is_dir() {
                    walk(&entry.path(), all);
                }
            }
        }
        let mut all = Vec::new();
        walk(&self.path("home"), &mut all);
        walk(&self.path("run"), &mut all);
        all.sort();
        all
    }

    /// Runs it; it must fail with one line that contains `wanted`, and leave nothing.
    fn refused(&self, args: &[&str], wanted: &str) {
        self.refused_command(self.command(args), wanted);
    }

    fn refused_command(&self, mut command: Command, wanted: &str) {
        let before = self.left();
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with("bulkhead: warning:"))
            .collect();
        assert!(!output.status.success(), "{command:?} succeeded");
        assert_eq!(lines.len(), 1, "{command:?}: {text}");
        assert!(
            lines[0].starts_with("bulkhead: ") && lines[0].contains(wanted),
            "{command:?}: {text}"
        );
        assert_eq!(output.stdout, b"", "{command:?}");
        assert_eq!(self.left(), before, "{command:?}");
        assert!(
            !self.path("reports/bulkhead-launcher.done").exists(),
            "{command:?} started the launcher"
        );
    }

    fn report(&self, role: &str, kind: &str) -> String {
        let path = self.path(&format!("reports/bulkhead-{role}.{kind}"));
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let done = self.path(&format!("reports/bulkhead-{role}.done"));
        while !done.exists() {
            assert!(std::time::Instant::now() < end, "{role} was not started");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        fs::read_to_string(path).unwrap()
    }

    fn descriptors(&self, role: &str) -> BTreeMap<u32, String> {
        self.report(role, "done")
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(number, what)| (number.parse().unwrap(), what.to_owned()))
            .collect()
    }
}

/// Displays that nobody else uses.
fn display() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        ":{}",
        20000 + std::process::id() % 4000 * 10 + NEXT.fetch_add(1, Ordering::Relaxed) % 10
    )
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn mistakes_on_the_command_line_are_one_line() {
    let place = Place::new();
    for (args, wanted) in [
        (&["start", "--frobnicate"][..], "'--frobnicate'"),
        (
            &["start", "--dpi=96"],
            "--dpi: this option of Xpra's is not built yet",
        ),
        (&["start", "--sandbox=off"], "'off'"),
        (&["start", "--env=x"], "--env=x: not NAME=VALUE"),
        (&["start", ":x"], "':x'"),
        (&["start", ":1", ":2"], "':2'"),
        (&["frob"], "'frob'"),
        (&[], "no command"),
        (&["start", "--exit-with-children"], "needs a --start-child="),
        (&["start", "--bind=none"], "nobody could ever connect"),
        (
            &["start", "--socket-permissions=9"],
            "--socket-permissions=9",
        ),
        (
            &["start", "--uid=root"],
            "only root can start a session of another user",
        ),
        (
            &["start", "--uid=no-such-user"],
            "there is no user `no-such-user`",
        ),
        (&["start", "--start='"], "--start: "),
        (
            &["start", "--start=no-such-program"],
            "no program `no-such-program`",
        ),
        (
            &["start", "--chdir=/nonexistent"],
            "--chdir=/nonexistent: is not a directory",
        ),
        (
            &["start", "--bind-tcp=:10000,auth=env"],
            "the variable XPRA_PASSWORD is not set",
        ),
        (
            &["start", "--bind=@x,auth=none"],
            "every user of this machine can reach @x",
        ),
        (&["stop", ":59999"], "there is no session :59999"),
        (&["stop"], "there is no session"),
        (&["info", "tcp://127.0.0.1:1"], "connection refused"),
        (&["audit", ":59999"], "there is no session :59999"),
    ] {
        place.refused(args, wanted);
    }
}

#[test]
fn network_sockets_that_are_not_safe_are_refused() {
    let place = Place::new();
    for (bind, wanted) in [
        (
            "--bind-tcp=0.0.0.0:10000,auth=password,value=hunter2",
            "no encryption yet",
        ),
        ("--bind-tcp=*:10000,auth=fail", "no encryption yet"),
        ("--bind-tcp=[::]:10000,auth=fail", "no encryption yet"),
        ("--bind-tcp=127.0.0.1:10000", "it has no authentication"),
        ("--bind-tcp=127.0.0.1:10000,auth=none", "no authentication"),
    ] {
        place.refused(&["start", "--start=xterm", bind], wanted);
        let text = text(&place.command(&["start", bind]).output().unwrap());
        assert!(
            text.contains("safe: `") && text.contains("--insecure`") && !text.contains("hunter2"),
            "{text}"
        );
    }
}

#[test]
fn password_files_that_cannot_be_used_are_named() {
    let place = Place::new();
    for (file, wanted) in [
        (
            "missing.txt".to_owned(),
            "password file missing.txt: no such file or directory",
        ),
        (
            "/proc/1/environ".to_owned(),
            "password file /proc/1/environ: permission denied",
        ),
        (
            place.file("shared.txt", 0o666, "x"),
            "others may write it (mode 666): chmod 600",
        ),
        (place.file("empty.txt", 0o600, ""), "is empty"),
        (place.path("home").display().to_string(), "is a directory"),
    ] {
        place.refused(
            &[
                "start",
                &format!("--bind-tcp=:10000,auth=file,filename={file}"),
            ],
            wanted,
        );
    }
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_left() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let bind = format!("--bind-tcp={address},auth=fail");
    place.refused(
        &["start", &display(), &bind],
        &format!("tcp {address}: the port is in use"),
    );
    place.refused(
        &["start", &bind],
        &format!("tcp {address}: the port is in use"),
    );
    place.refused(
        &[
            "start",
            "--bind-tcp=192.0.2.1:10000,auth=fail",
            "--insecure",
        ],
        "does not have that address",
    );
}

#[test]
fn a_missing_x_server_or_part_of_ours_is_named() {
    let place = Place::new();
    fs::remove_file(place.path("path/Xvfb")).unwrap();
    let mut command = place.command(&["start"]);
    command.env("PATH", place.path("path"));
    place.refused_command(
        command,
        "Xvfb is not installed (on Debian: apt install xvfb)",
    );
    place.refused(
        &["start", "--xvfb=/nonexistent/X -a"],
        "no program `/nonexistent/X`",
    );
    place.script("path/Xvfb", "#!/bin/sh\n");
    fs::remove_file(place.path("bin/bulkhead-display")).unwrap();
    place.refused(&["start"], "bulkhead-display is missing");
}

#[test]
fn a_display_that_is_taken_is_named() {
    let place = Place::new();
    let name = display();
    let number = &name[1..];
    let lock = PathBuf::from(format!("/tmp/.X{number}-lock"));
    fs::write(&lock, format!("{:>10}\n", std::process::id())).unwrap();
    place.refused(
        &["start", &name],
        &format!("display {name} is taken: process {}", std::process::id()),
    );
    fs::remove_file(&lock).unwrap();

    let run = place.path("run/xpra");
    fs::create_dir_all(run.join(number)).unwrap();
    for dir in [run.clone(), run.join(number)] {
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        if is_root() {
            chown(&dir, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let socket = run.join(number).join("socket");
    let _live = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    place.refused(
        &["start", &name],
        &format!("display {name} is taken: a server answers at"),
    );
    fs::remove_file(&socket).unwrap();

    let other = UnixListener::bind(run.join(format!("box-{number}"))).unwrap();
    fs::set_permissions(
        run.join(format!("box-{number}")),
        fs::Permissions::from_mode(0o777),
    )
    .unwrap();
    place.refused(&["start", &name], "another server listens there");
    drop(other);
}

#[test]
fn directories_that_cannot_be_used_are_named() {
    let place = Place::new();
    let open = place.path("home/open");
    fs::create_dir(&open).unwrap();
    if is_root() {
        chown(&open, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    place.refused(
        &["start", &format!("--socket-dir={}", open.display())],
        "chmod go-w",
    );
    place.refused(
        &["start", &format!("--bind={}/", open.display())],
        "chmod go-w",
    );
    place.refused(&["start", "--sessions-dir=/proc/self/x"], "cannot be made");
    place.refused(
        &["start", "--log-file=/nonexistent/log"],
        "log file /nonexistent/log: no such file",
    );
    place.refused(
        &["start", "--pidfile=/nonexistent/pid"],
        "pid file /nonexistent/pid: no such file",
    );
    place.refused(
        &["start", &format!("--bind=/{}", "x".repeat(120))],
        "too long for a socket",
    );
    place.chmod("run", 0o500);
    place.refused(&["start"], "cannot be made: permission denied");
}

#[test]
fn configuration_mistakes_name_file_and_line() {
    let place = Place::new();
    let dir = place.path("home/.config/bulkhead");
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join("bulkhead.toml");
    let write = |mode, text| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    write(0o644, "start = \"xterm\"\nfrob = 1\n");
    place.refused(&["start"], "bulkhead.toml:2: there is no option `frob`");
    write(0o666, "");
    place.refused(&["start"], "others may write it");
    write(0o644, "bind-tcp = \"0.0.0.0:10000,auth=fail\"\n");
    place.refused(&["start"], "--bind-tcp=127.0.0.1:10000,auth=fail`");
}

#[test]
fn root_needs_a_user_who_is_not_root() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    for (args, wanted) in [
        (&["start"][..], "a start as root needs --uid=USER"),
        (&["start", "--uid=root"], "a session is never root's"),
        (&["start", "--uid=0"], "a session is never root's"),
        (&["start", "--uid=00"], "a session is never root's"),
        (&["start", "--uid=-1"], "there is no user `-1`"),
        (&["start", "--uid=4294967295"], "there is no user"),
        (&["start", "--uid=4294967296"], "there is no user"),
        (
            &["start", "--uid=nobody", "--worker-uid-base=0"],
            "must be nobody's, and not root's",
        ),
        (
            &["start", "--uid=nobody", "--worker-uid-base=65530"],
            "must be nobody's, and not root's",
        ),
        (
            &["start", "--uid=nobody", "--gid=0"],
            "never of the group root",
        ),
    ] {
        let mut command = place.command(args);
        command.uid(0).gid(0);
        place.refused_command(command, wanted);
    }
}

#[test]
fn the_processes_get_what_they_are_meant_to_have_and_no_secret() {
    let place = Place::new();
    let name = display();
    let number = &name[1..];
    let secret = place.file("password.txt", 0o600, "hunter1");
    let bind = format!(
        "--bind-tcp=127.0.0.1:0,auth=file,filename={secret},auth=env,name=MINE,auth=password,value=hunter2"
    );
    let output = place
        .command(&[
            "start",
            &name,
            "--daemon=no",
            "--start=xterm -e 'a b'",
            "--min-port=0",
            &bind,
        ])
        .env("MINE", "hunter3")
        .env("XPRA_PASSWORD", "hunter4")
        .env("NOTIFY_SOCKET", "/run/notify")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains("warning: auth=password"),
        "{}",
        text(&output)
    );

    for role in ["supervisor", "launcher"] {
        for kind in ["args", "env"] {
            assert!(
                !place.report(role, kind).contains("hunter"),
                "{role} {kind}"
            );
        }
    }
    assert_eq!(
        place.report("supervisor", "args").lines().last(),
        Some(name.as_str())
    );
    let env = place.report("supervisor", "env");
    let known: Vec<_> = env
        .lines()
        .filter(|line| !line.starts_with("PWD="))
        .collect();
    assert_eq!(known, ["NOTIFY_SOCKET=/run/notify"]);
    assert!(!place.report("launcher", "env").contains("NOTIFY"));
    assert_eq!(place.report("supervisor", "cwd"), "/\n");

    // 0 to 4; three unix sockets and one for TCP; four executables; the empty directory; what
    // auth is given and its three secrets.
    let found = place.descriptors("supervisor");
    let kinds: Vec<_> = found
        .values()
        .map(|what| match what.split([':', ' ']).next().unwrap() {
            path if path.contains("/bin/bulkhead-") => "executable",
            path if path.contains("/xpra/empty-") => "empty",
            path if path.ends_with("/password.txt") => "password.txt",
            other => other,
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "/dev/null",
            "pipe",
            "pipe",
            "socket",
            "/memfd",
            "socket",
            "socket",
            "socket",
            "socket",
            "executable",
            "executable",
            "executable",
            "executable",
            "empty",
            "/memfd",
            "password.txt",
            "/memfd",
            "/memfd"
        ],
        "{found:?}"
    );
    let found = place.descriptors("launcher");
    let kinds: Vec<_> = found
        .iter()
        .map(|(fd, what)| format!("{fd} {}", what.split(':').next().unwrap()))
        .collect();
    let log = place.path("run/xpra").join(number).join("server.log");
    assert_eq!(
        kinds,
        [
            "0 /dev/null",
            &format!("1 {}", log.display()),
            &format!("2 {}", log.display()),
            "3 socket",
            "4 /memfd"
        ]
    );

    let session = place.path("run/xpra").join(number);
    for (path, mode) in [
        (place.path("run/xpra"), 0o700),
        (session.clone(), 0o700),
        (session.join("socket"), 0o600),
        (session.join("server.log"), 0o600),
        (place.path("run/xpra").join(format!("box-{number}")), 0o600),
    ] {
        let meta = path.symlink_metadata().unwrap();
        assert_eq!(
            (meta.mode() & 0o777, meta.uid()),
            (mode, uid()),
            "{}",
            path.display()
        );
    }
    assert_eq!(fs::read_dir(&session).unwrap().count(), 3);
}

#[test]
fn in_the_background_the_terminal_hears_what_became_of_it() {
    // The pipe for the answer is the last descriptor.
    let answer = |line: &str| {
        format!(
            "for fd in /proc/$$/fd/*; do n=${{fd##*/}}; [ -p $fd ] && [ $n -gt ${{last:-0}} ] && last=$n; done\necho '{line}' >&$last\n"
        )
    };
    let place = Place::new();
    let name = display();
    place.stand_in("bulkhead-supervisor", &answer(&format!("ready {name}")));
    let output = place.command(&["start", &name]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(
        text(&output),
        format!("session {name} is ready; attach with: xpra attach {name}\n")
    );
    assert_eq!(
        fs::read_to_string(place.path("run/xpra").join(&name[1..]).join("server.pid"))
            .unwrap()
            .lines()
            .count(),
        1
    );

    let name = display();
    place.stand_in("bulkhead-supervisor", &answer("failed the X server ended"));
    let output = place.command(&["start", &name]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).starts_with("bulkhead: the session did not start: the X server ended (log: "),
        "{}",
        text(&output)
    );

    let name = display();
    place.stand_in("bulkhead-supervisor", "echo last words; exit 3");
    let output = place.command(&["start", &name]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("did not start: last words"),
        "{}",
        text(&output)
    );
}

#[test]
fn a_waiting_launcher_is_taken_over() {
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
    use nix::sys::socket::{bind, listen, socket};
    use std::os::fd::AsRawFd;
    let place = Place::new();
    let name = display();
    let sessions = place.path("run/xpra");
    let sessions_dir = format!("--sessions-dir={}", sessions.display());
    // A launcher is believed only if it is of our own user: as root, everything here is root's.
    let start = |more: &[&str]| {
        let mut command = place.command(&["start", &name, "--daemon=no", &sessions_dir]);
        command.args(more);
        if is_root() {
            command
                .uid(0)
                .gid(0)
                .arg("--uid=nobody")
                .env("XDG_RUNTIME_DIR", "/nonexistent");
        }
        command.output().unwrap()
    };
    let output = start(&[]);
    assert!(output.status.success(), "{}", text(&output));
    place.report("launcher", "done");
    fs::remove_file(place.path("reports/bulkhead-launcher.done")).unwrap();
    let dir = sessions.join(&name[1..]);
    let meta = dir.metadata().unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o777), (uid(), 0o700));

    let launcher = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    bind(
        launcher.as_raw_fd(),
        &UnixAddr::new(&dir.join("launcher.sock")).unwrap(),
    )
    .unwrap();
    listen(&launcher, Backlog::new(1).unwrap()).unwrap();
    let output = start(&["--start=xterm"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains("is taken over with its applications"),
        "{}",
        text(&output)
    );
    assert!(!place.path("reports/bulkhead-launcher.done").exists());
}

#[test]
fn one_shot_commands_become_ctl_with_the_secret_in_memory_only() {
    let place = Place::new();
    let socket = place.path("home/socket");
    let _server = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    let output = place
        .command(&["screenshot", "out.png", socket.to_str().unwrap()])
        .env("XPRA_PASSWORD", "hunter4")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let found = place.descriptors("ctl");
    let kinds: Vec<_> = found
        .values()
        .skip(3)
        .map(|what| what.split([':', ' ']).next().unwrap().to_owned())
        .collect();
    assert_eq!(
        found.keys().copied().collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5, 6]
    );
    assert_eq!((kinds[0].as_str(), kinds[2].as_str()), ("/memfd", "socket"));
    assert!(
        found[&4].ends_with("(deleted)") && found[&6].ends_with("/out.png"),
        "{found:?}"
    );
    assert!(
        !place.report("ctl", "env").contains("hunter")
            && !place.report("ctl", "args").contains("hunter")
    );
}

#[test]
fn help_and_lists_go_to_standard_output() {
    let place = Place::new();
    for (args, wanted) in [
        (&["--help"][..], "bulkhead stop :100"),
        (&["seamless", "--help"], "Where it listens:"),
        (&["--version"], "bulkhead 0."),
        (&["list"], "sessions"),
        (&["policy", "network"], "bulkhead-network"),
        (&["generate", "completions", "zsh"], "#compdef bulkhead"),
    ] {
        let output = place.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output));
        assert!(
            String::from_utf8_lossy(&output.stdout).contains(wanted),
            "{args:?}: {}",
            text(&output)
        );
        assert_eq!(output.stderr, b"");
    }
}
