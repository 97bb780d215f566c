//! A session of either server, with an xterm, a port and a password.

use bulkhead_tests::commands::{chmod, stock_xpra, test_user};
use bulkhead_tests::eventually;
use bulkhead_tests::process::Process;
use bulkhead_tests::screen::Screen;
use bulkhead_tests::session::free_port;
use bulkhead_tests::tls;
use std::fmt;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The password of every session.
pub const PASSWORD: &str = "measured";

/// The X server of both: Bulkhead's own default.
const XVFB: &str = "Xvfb +extension GLX +extension Composite +extension RANDR +extension RENDER \
    -extension DOUBLE-BUFFER -noreset -screen 0 8192x4096x24+32";

/// The application of both: a shell that reads no one's settings.
const APPLICATION: &str = "xterm -e bash --norc --noprofile";

/// Certificate and key in the home directory of both.
const CERTIFICATE: &str = "tls-cert.pem";
const KEY: &str = "tls-key.pem";
/// A file with [`PASSWORD`], likewise.
const PASSWORD_FILE: &str = "password.txt";

/// Longest start or end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The stock one.
    Xpra,
    /// Ours.
    Bulkhead,
}

impl Kind {
    /// Both, in the order of the table.
    pub const BOTH: [Self; 2] = [Self::Xpra, Self::Bulkhead];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Xpra => "Xpra",
            Self::Bulkhead => "Bulkhead",
        })
    }
}

/// Where the executables are, and a home directory for each server, the same in all runs.
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    /// Copies the executables to where the sessions' user can reach them.
    pub fn new(executables: &Path) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("bulkhead-bench-")
            .tempdir_in("/tmp")
            .unwrap();
        chmod(directory.path(), 0o755);
        let place = Self { directory };
        std::fs::create_dir(place.path("bin")).unwrap();
        chmod(&place.path("bin"), 0o755);
        let names = policy::Role::ALL.map(policy::Role::executable);
        for name in names.into_iter().chain(["bulkhead"]) {
            let to = place.path("bin").join(name);
            std::fs::copy(executables.join(name), &to)
                .unwrap_or_else(|error| panic!("{name} is not built (make bench does): {error}"));
            chmod(&to, if name == "bulkhead" { 0o755 } else { 0o711 });
        }
        for kind in Kind::BOTH {
            for path in [place.home(kind), place.runtime(kind)] {
                std::fs::create_dir(&path).unwrap();
                chmod(&path, 0o700);
                if kind == Kind::Bulkhead && is_root() {
                    let user = test_user();
                    chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
                }
            }
            place.write(kind, CERTIFICATE, &tls::files().certificate);
            place.write(kind, KEY, &tls::files().key);
            place.write(kind, PASSWORD_FILE, PASSWORD);
        }
        place
    }

    /// A file in the home directory of a server, which its user alone may read.
    fn write(&self, kind: Kind, name: &str, text: &str) {
        let path = self.home(kind).join(name);
        std::fs::write(&path, text).unwrap();
        chmod(&path, 0o600);
        if kind == Kind::Bulkhead && is_root() {
            let user = test_user();
            chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn home(&self, kind: Kind) -> PathBuf {
        self.path(&format!("{kind}-home"))
    }

    fn runtime(&self, kind: Kind) -> PathBuf {
        self.path(&format!("{kind}-runtime"))
    }

    fn command(&self, kind: Kind) -> Command {
        let mut command = match kind {
            Kind::Xpra => Command::new(stock_xpra()),
            Kind::Bulkhead => Command::new(self.path("bin").join("bulkhead")),
        };
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            .env("SHELL", "/bin/bash")
            .env("HOME", self.home(kind))
            .env("XDG_RUNTIME_DIR", self.runtime(kind))
            .current_dir(self.home(kind));
        if kind == Kind::Bulkhead && is_root() {
            let user = test_user();
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    /// What a server says its version is.
    pub fn version(&self, kind: Kind) -> String {
        let output = self.command(kind).arg("--version").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        let version = text.split_whitespace().map(|w| w.trim_start_matches('v'));
        version.into_iter().find(number).unwrap_or("?").to_owned()
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0)
}

/// A running session. It ends with this.
pub struct Server {
    /// Which.
    pub kind: Kind,
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// The same with TLS.
    pub tls_port: u16,
    display: u32,
    /// Where the cookie of its X server is.
    xauthority: PathBuf,
    process: Process,
}

impl Server {
    /// Starts one; also says how long it took until it was ready.
    pub fn start(kind: Kind, place: &Place) -> (Self, Duration) {
        let (port, tls_port) = (free_port(), free_port());
        let display = free_display();
        let auth = format!(
            "auth=file(filename={})",
            place.home(kind).join(PASSWORD_FILE).display()
        );
        let mut command = place.command(kind);
        command.args(["seamless", &format!(":{display}")]);
        command.arg("--daemon=no");
        command.arg(format!("--bind-tcp=127.0.0.1:{port},{auth}"));
        command.arg(format!("--bind-ssl=127.0.0.1:{tls_port},{auth}"));
        command.args([
            format!("--ssl-cert={CERTIFICATE}"),
            format!("--ssl-key={KEY}"),
        ]);
        command.arg(format!("--start={APPLICATION}"));
        command.arg(format!("--xvfb={XVFB}"));
        if kind == Kind::Xpra {
            // What Bulkhead does not have yet. Printing would wait 5 s for a missing cupsd, and D-Bus as
            // root 10 s where a dead daemon has left its pid file.
            command.args(["--mdns=no", "--audio=no", "--html=no", "--systemd-run=no"]);
            command.args(["--printing=no", "--dbus=no"]);
        }
        let start = Instant::now();
        let process = Process::start(&mut command);
        process.wait_for_line(PATIENCE, |line| line.contains(" is ready"));
        let ready = start.elapsed();
        let server = Self {
            kind,
            port,
            tls_port,
            display,
            xauthority: place.home(kind).join(".Xauthority"),
            process,
        };
        (server, ready)
    }

    /// A look at its X server.
    pub fn screen(&self) -> Screen {
        eventually("connect to the X server", PATIENCE, || {
            Screen::connect(self.display, Some(&self.xauthority))
        })
    }

    /// What it has said.
    pub fn output(&self) -> String {
        self.process.lines().join("\n")
    }

    /// The process that was started.
    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.ended().is_some() {
            return;
        }
        let stop = Command::new("kill").arg(self.id().to_string()).status();
        assert!(stop.is_ok_and(|status| status.success()), "cannot stop");
        let end = Instant::now() + PATIENCE;
        while self.process.ended().is_none() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A display number that nobody uses now.
fn free_display() -> u32 {
    let free = |number: &u32| {
        !Path::new(&format!("/tmp/.X11-unix/X{number}")).exists()
            && !Path::new(&format!("/tmp/.X{number}-lock")).exists()
    };
    (300..600).find(free).expect("a free display")
}
