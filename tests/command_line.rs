//! What a person types, with real sessions: which display a start gets, what it says, what it
//! leaves.

use bulkhead_tests::commands::{bin_dir, test_user};
use bulkhead_tests::eventually;
use bulkhead_tests::session::Session;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, getsid};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Barrier;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

/// Each start has its own session directory, as those of two users do.
#[test]
fn sessions_that_start_at_once_get_displays_of_their_own() {
    for round in 0..2 {
        for bind in ["none", "~/socket", "@NAME"] {
            let both = Barrier::new(2);
            let start = |which: &str| {
                let name = format!("@bulkhead-test-{}-{round}-{which}", std::process::id());
                let bind = format!("--bind={}", bind.replace("@NAME", &name));
                both.wait();
                Session::start(&[&bind])
            };
            let (one, other) = std::thread::scope(|scope| {
                let one = scope.spawn(|| start("one"));
                (start("other"), one.join())
            });
            let other = other.unwrap();
            assert_ne!(one.display, other.display, "--bind={bind}");
            for session in [one, other] {
                session.screen();
            }
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A display that no other test chooses; what a test leaves there ends with it.
struct OwnDisplay(u32);

impl OwnDisplay {
    fn new(number: u32) -> Self {
        Self(50_000 + std::process::id() % 1500 * 10 + number)
    }
}

impl Drop for OwnDisplay {
    fn drop(&mut self) {
        let lock = PathBuf::from(format!("/tmp/.X{}-lock", self.0));
        if lock.exists() {
            let _ = kill(pid_in(&lock), Signal::SIGTERM);
            eventually("the end", LONG, || (!lock.exists()).then_some(()));
        }
    }
}

/// Runs `bulkhead` as the session's owner at a terminal of its own, which is gone when it returns.
fn at_a_terminal(session: &Session, args: &[&str]) -> Output {
    let bulkhead = session.command();
    let quoted = args.iter().map(|arg| format!(" '{arg}'"));
    let line = bin_dir().join("bulkhead").display().to_string() + &quoted.collect::<String>();
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).env_clear();
    terminal.envs(
        bulkhead
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    terminal.current_dir(session.home());
    if Uid::effective().is_root() {
        let user = test_user();
        terminal.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    terminal.output().unwrap()
}

fn pid_in(file: &Path) -> Pid {
    let text = std::fs::read_to_string(file).unwrap();
    Pid::from_raw(text.trim().parse().unwrap())
}

/// One that has ended and that nobody has waited for does not.
fn lives(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, state)| !state.starts_with(['Z', 'X']))
}

/// The controlling terminal of a process (proc(5)); 0 for none.
fn terminal_of(pid: Pid) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ').nth(4).unwrap().parse().unwrap()
}

#[test]
fn a_session_in_the_background_outlives_its_terminal_and_stop_cleans_up() {
    // Gives the user, the directories and the environment.
    let other = Session::start(&[]);
    let (log, pidfile) = (other.home().join("own.log"), other.home().join("own.pid"));
    let own = OwnDisplay::new(0);
    let display = own.0;
    let name = format!(":{display}");
    let output = at_a_terminal(
        &other,
        &[
            "start",
            &name,
            "--daemon=yes",
            "--log-file=~/own.log",
            "--pidfile=~/own.pid",
            "--start=sh -c \"exit 3\"",
            "--start=xterm -T wanted",
        ],
    );
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    let wanted = format!("session {name} is ready; attach with: xpra attach {name}");
    assert_eq!(text.trim_end(), wanted);

    let server = pid_in(&pidfile);
    assert_eq!(terminal_of(server), 0);
    let test = getsid(None).unwrap();
    assert_ne!(getsid(Some(server)).unwrap(), test);
    // As a terminal's end would say it, to whoever has one.
    kill(server, Signal::SIGHUP).unwrap();
    let logged = |what: &str| {
        eventually(what, LONG, || {
            let text = std::fs::read_to_string(&log).unwrap();
            text.lines()
                .find(|line| line.contains(what))
                .map(str::to_owned)
        })
    };
    logged("SIGHUP: there is nothing to read anew");
    logged("command 1 (`sh`) has ended with status 3");
    logged("is ready after");
    let info = other.bulkhead(&["info", &name]);
    assert!(info.status.success(), "{}", said(&info));
    assert_eq!(pid_in(&pidfile), server);

    let directory = other.runtime_dir().join("xpra").join(display.to_string());
    assert!(directory.is_dir());
    let stop = other.bulkhead(&["stop", &name]);
    assert!(stop.status.success(), "{}", said(&stop));
    assert!(!directory.exists() && !pidfile.exists());
    assert!(!lives(server));
    assert!(!Path::new(&format!("/tmp/.X{display}-lock")).exists());
    assert!(log.exists(), "the person's own file stays");
}

#[test]
fn the_log_of_a_start_that_fails_stays_until_the_next() {
    let other = Session::start(&[]);
    let own = OwnDisplay::new(1);
    let display = own.0;
    let name = format!(":{display}");
    let directory = other.runtime_dir().join("xpra").join(display.to_string());
    let names = || -> Vec<PathBuf> {
        let mut all: Vec<_> = std::fs::read_dir(&directory)
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name().into())
            .collect();
        all.sort();
        all
    };
    let lock = PathBuf::from(format!("/tmp/.X{display}-lock"));
    for log in ["server.log", "own.log"] {
        let failed = other.bulkhead(&[
            "start",
            &name,
            &format!("--log-file={log}"),
            "--xvfb=sh -c 'echo no such luck; exit 1'",
        ]);
        let text = said(&failed);
        assert_eq!(failed.status.code(), Some(1), "{text}");
        let log = directory.join("server.log");
        let wanted = format!(
            "bulkhead: the session did not start: the X server ended at its start with status 1: no such luck (log: {})\n",
            log.display()
        );
        assert_eq!(text, wanted);
        assert!(!lock.exists() && !directory.join("launcher.state").exists());
        let text = std::fs::read_to_string(log).unwrap();
        assert_eq!(text.matches("no such luck\n").count(), 1, "{text}");
        assert!(text.contains("\"role\":\"launcher\",\"pid\":"), "{text}");
    }
    assert_eq!(names(), ["own.log", "server.log"].map(PathBuf::from));

    let started = other.bulkhead(&["start", &name]);
    assert!(started.status.success(), "{}", said(&started));
    assert!(!directory.join("own.log").exists());
    let text = std::fs::read_to_string(directory.join("server.log")).unwrap();
    assert!(!text.contains("no such luck"), "{text}");
    let stop = other.bulkhead(&["stop", &name]);
    assert!(stop.status.success(), "{}", said(&stop));
    assert!(!directory.exists());
}

#[test]
fn a_record_of_auth_has_its_connection_as_a_field() {
    let session = Session::start(&["--debug"]);
    let password = format!("--password-file={}", session.password_file().display());
    let address = format!("tcp://127.0.0.1:{}", session.port);
    let info = session.bulkhead(&["info", &address, &password]);
    assert!(info.status.success(), "{}", said(&info));
    let line = session.process().wait_for_line(LONG, |line| {
        line.contains("\"role\":\"auth\"") && line.contains("accepted")
    });
    assert!(
        line.contains(",\"connection\":1,\"message\":\"accepted module="),
        "{line}"
    );
}

/// `DISPLAY=:N xterm` on the same machine: programs look where `XAUTHORITY` says, else in the home
/// directory, which is where `HOME` says and not the password file.
#[test]
fn the_cookie_is_where_programs_look_for_it_and_goes_at_the_end() {
    let other = Session::start(&[]);
    let (usual, named) = (other.home().join(".Xauthority"), other.home().join("named"));
    assert_eq!(
        usual.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    let user = test_user();
    let with = |program: &str, xauthority: Option<&Path>| {
        let mut command = match program {
            "bulkhead" => other.command(),
            program => Command::new(program),
        };
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command
            .env("HOME", other.home())
            .env("XDG_RUNTIME_DIR", other.runtime_dir());
        command.envs(xauthority.map(|path| ("XAUTHORITY", path)));
        if Uid::effective().is_root() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    };
    let opens = |display: u32, xauthority: Option<&Path>| {
        let name = format!(":{display}");
        let mut xdpyinfo = with("xdpyinfo", xauthority);
        xdpyinfo
            .args(["-display", &name])
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(opens(other.display, None));
    assert!(!opens(other.display, Some(&named)));

    let own = OwnDisplay::new(2);
    let display = own.0;
    let name = format!(":{display}");
    let mut start = with("bulkhead", Some(&named));
    let started = start.args(["start", &name]).output().unwrap();
    assert!(started.status.success(), "{}", said(&started));
    assert!(opens(display, Some(&named)) && !opens(display, None));
    let stop = other.bulkhead(&["stop", &name]);
    assert!(stop.status.success(), "{}", said(&stop));
    assert!(!named.exists() && usual.exists());
    let stop = other.bulkhead(&["stop", &format!(":{}", other.display)]);
    assert!(stop.status.success(), "{}", said(&stop));
    assert!(!usual.exists());
}
