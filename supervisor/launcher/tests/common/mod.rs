//! Sessions of a real launcher with a real Xvfb, driven over its channel.

#![allow(dead_code, reason = "each test uses another part")]

use ipc::launcher::{LauncherToSupervisor as Told, SupervisorToLauncher as Ask};
use ipc::spec::{self, CommandSpec, LauncherSpec};
use ipc::{Channel, ChannelError};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(30);

pub struct Session {
    pub dir: tempfile::TempDir,
    pub child: Child,
    pub channel: Channel<Ask, Told>,
}

pub fn command(line: &str, child: bool) -> CommandSpec {
    CommandSpec {
        argv: ["sh", "-c", line].map(str::to_owned).to_vec(),
        child,
    }
}

/// Claims a free display, as the command line does.
pub fn free_display() -> u32 {
    let free = |display: &u32| files::display::take(*display, None).is_ok();
    (100..1100).find(free).expect("a free display")
}

pub fn spec_for(dir: &Path, display: u32, commands: Vec<CommandSpec>) -> LauncherSpec {
    let session_dir = dir.join("session");
    if !session_dir.exists() {
        fs::create_dir(&session_dir).unwrap();
    }
    fs::set_permissions(&session_dir, fs::Permissions::from_mode(0o700)).unwrap();
    LauncherSpec {
        display,
        xvfb: ["Xvfb", "-screen", "0", "320x240x24", "-noreset"]
            .map(str::to_owned)
            .to_vec(),
        commands,
        env: vec![
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("OUT".into(), dir.to_str().unwrap().into()),
        ],
        chdir: None,
        user: None,
        session_dir,
        remove_at_end: vec![socket_beside(dir)],
        xauthority: Some(dir.join("Xauthority")),
        log_name: Some("own.log".into()),
        log_json: true,
    }
}

/// Stands for the socket `HOSTNAME-N`.
pub fn socket_beside(dir: &Path) -> spec::MadeFile {
    let path = dir.join("box-77");
    fs::write(&path, "").unwrap();
    files::made(&files::Spot::new(&path, None)).unwrap()
}

pub fn start_with(dir: tempfile::TempDir, spec: &LauncherSpec) -> Session {
    let (ours, theirs) = ipc::channel::socketpair().unwrap();
    let mut memfd = File::from(memfd_create(c"spec", MFdFlags::MFD_CLOEXEC).unwrap());
    memfd.write_all(&spec::encode(spec).unwrap()).unwrap();
    memfd.rewind().unwrap();
    let mut launcher = Command::new(env!("CARGO_BIN_EXE_bulkhead-launcher"));
    launcher.stdin(Stdio::null()).env_clear();
    let (channel, part) = (theirs.as_raw_fd(), memfd.as_raw_fd());
    // SAFETY: dup and dup2 are async-signal-safe.
    unsafe {
        launcher.pre_exec(move || {
            let high = [
                libc::fcntl(channel, libc::F_DUPFD, 50),
                libc::fcntl(part, libc::F_DUPFD, 50),
            ];
            libc::dup2(high[0], 3);
            libc::dup2(high[1], 4);
            // A habit that a launcher's parent may have; commands must not inherit it.
            libc::signal(libc::SIGINT, libc::SIG_IGN);
            Ok(())
        });
    }
    let child = launcher.spawn().unwrap();
    Session {
        dir,
        child,
        channel: Channel::new(ours),
    }
}

pub fn start(commands: Vec<CommandSpec>) -> Session {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec_for(dir.path(), free_display(), commands);
    start_with(dir, &spec)
}

impl Drop for Session {
    fn drop(&mut self) {
        // Ended already, or ends everything that it has started.
        let pid = Pid::from_raw(self.child.id() as i32);
        if self.child.try_wait().unwrap().is_none() {
            let _ = kill(pid, Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

impl Session {
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn ask(&mut self, message: Ask) {
        self.channel.send(&message, vec![]).unwrap();
    }

    /// The next message, or `None` at the end.
    pub fn told(&mut self) -> Option<(Told, Vec<OwnedFd>)> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.channel.receive() {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(ChannelError::Closed) => return None,
                Err(error) => panic!("{error}"),
            }
            assert!(Instant::now() < end, "the launcher says nothing");
            self.channel.flush().unwrap();
            poll(
                &mut [PollFd::new(self.channel.as_fd(), PollFlags::POLLIN)],
                PollTimeout::from(100u8),
            )
            .unwrap();
        }
    }

    pub fn ready(&mut self) -> (u32, bool) {
        match self.told().unwrap().0 {
            Told::XReady { display, adopted } => (display, adopted),
            other => panic!("{other:?}"),
        }
    }

    pub fn started(&mut self) -> u32 {
        match self.told().unwrap().0 {
            Told::CommandStarted { pid, .. } => pid,
            other => panic!("{other:?}"),
        }
    }

    /// Waits for a file with a complete line that a command writes.
    pub fn written(&self, name: &str) -> String {
        let path = self.path(name);
        wait_for(&format!("{}", path.display()), || {
            fs::read_to_string(&path)
                .ok()
                .filter(|text| text.ends_with('\n'))
        })
    }

    /// What is in the session directory.
    pub fn logs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("session")).unwrap().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn stop(mut self) {
        self.ask(Ask::Stop);
        let mut stopped = false;
        while let Some((message, _)) = self.told() {
            stopped |= message == Told::Stopped;
        }
        assert!(stopped);
        assert!(self.child.wait().unwrap().success());
        let left: Vec<_> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .filter(|name| name == "session" || name == "box-77")
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn connect_to(path: &Path) -> Channel<Ask, Told> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
    connect(socket.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
    Channel::new(socket)
}

/// A channel to nobody.
pub fn unconnected() -> Channel<Ask, Told> {
    Channel::new(ipc::channel::socketpair().unwrap().0)
}
