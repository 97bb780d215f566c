//! The bench on which a supervisor is tested: its command line, its launcher, its clients.

use ipc::Channel;
use ipc::keys::{AesMode, Encryption};
use ipc::launcher::{LauncherToSupervisor, SupervisorToLauncher};
use ipc::spec::{self, ListenerKind, ListenerSpec, SandboxMode, SupervisorSpec};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use policy::Role;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub struct Bench {
    pub supervisor: Child,
    pub launcher: Channel<LauncherToSupervisor, SupervisorToLauncher>,
    pub tcp: SocketAddr,
    pub unix: PathBuf,
    lines: Arc<Mutex<Vec<String>>>,
    pub ready: File,
    _dir: tempfile::TempDir,
}

/// The specification of the bench; a test may change it.
pub fn default_spec() -> SupervisorSpec {
    SupervisorSpec {
        display: None,
        session_name: "a session".into(),
        uuid: "0123456789abcdef0123456789abcdef".into(),
        machine_id: "0123456789abcdef0123456789abcdef".into(),
        hostname: "box".into(),
        listeners: vec![],
        readonly: false,
        sharing: None,
        resize_display: true,
        exit_with_children: false,
        exit_with_client: false,
        exit_with_windows: false,
        sandbox: SandboxMode::Enforce,
        worker_uid_base: None,
        executables: vec![],
        empty_root: 0,
        auth_fds: vec![],
        keys_fds: vec![],
        door: None,
        checks: vec![],
        outside_checks: None,
        files: vec![],
        ready: None,
        log_json: true,
        debug: true,
        attach_hint: "bulkhead attach".into(),
    }
}

impl Bench {
    /// Starts a supervisor and waits until it accepts clients.
    pub fn new(change: impl FnOnce(&mut SupervisorSpec)) -> Self {
        Self::new_with(vec![], |spec, _| change(spec))
    }

    /// The same, with more descriptors, of which `change` is told where they begin.
    pub fn new_with(
        more: Vec<OwnedFd>,
        change: impl FnOnce(&mut SupervisorSpec, spec::FdIndex),
    ) -> Self {
        let mut bench = Self::start_with(more, change);
        bench.answer(Duration::from_millis(50));
        let told = LauncherToSupervisor::XReady {
            display: 77,
            adopted: false,
        };
        bench.launcher.send(&told, vec![]).unwrap();
        assert_eq!(bench.asked(), SupervisorToLauncher::StartCommands);
        let mut line = String::new();
        bench.ready.read_to_string(&mut line).unwrap();
        assert_eq!(line, "ready :77\n");
        bench
    }

    /// Starts a supervisor whose X server is not there yet.
    pub fn start(change: impl FnOnce(&mut SupervisorSpec)) -> Self {
        Self::start_with(vec![], |spec, _| change(spec))
    }

    fn start_with(
        more: Vec<OwnedFd>,
        change: impl FnOnce(&mut SupervisorSpec, spec::FdIndex),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let unix = dir.path().join("socket");
        let unix_listener = UnixListener::bind(&unix).unwrap();
        let tcp_listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = tcp_listener.local_addr().unwrap();
        // std's backlog is 128.
        nix::sys::socket::listen(&tcp_listener, nix::sys::socket::Backlog::new(4000).unwrap())
            .unwrap();
        let empty = dir.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        let (ours, theirs) = ipc::channel::socketpair().unwrap();
        let (ready, ready_write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let mut passed: Vec<OwnedFd> = vec![
            unix_listener.into(),
            tcp_listener.into(),
            File::open(&empty).unwrap().into(),
            ready_write,
        ];
        let mut spec = default_spec();
        let listener = |kind, name: &str, fd, refused: &[&str]| ListenerSpec {
            kind,
            name: name.into(),
            fd,
            encryption: None,
            capabilities: vec![],
            files: true,
            refused_requests: refused.iter().map(|name| (*name).to_owned()).collect(),
        };
        spec.listeners = vec![
            listener(ListenerKind::Unix, "socket", 5, &[]),
            listener(ListenerKind::Tcp, "tcp", 6, &["stop"]),
        ];
        spec.empty_root = 7;
        spec.ready = Some(8);
        for (role, fd) in Role::WORKERS.map(Role::name).into_iter().zip(9..) {
            spec.executables.push((role.into(), fd));
            passed.push(File::open("/proc/self/exe").unwrap().into());
        }
        let place = u16::try_from(5 + passed.len()).unwrap();
        passed.extend(more);
        change(&mut spec, place);
        let mut part = File::from(memfd_create(c"spec", MFdFlags::MFD_CLOEXEC).unwrap());
        part.write_all(&spec::encode(&spec).unwrap()).unwrap();
        part.rewind().unwrap();
        let mut table: Vec<i32> = vec![theirs.as_raw_fd(), part.as_raw_fd()];
        table.extend(passed.iter().map(AsRawFd::as_raw_fd));
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-supervisor"));
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        // SAFETY: fcntl and dup2 are async-signal-safe, and nothing is allocated.
        unsafe {
            command.pre_exec(move || {
                for fd in &mut table {
                    *fd = libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, 200);
                }
                for (target, fd) in (3..).zip(&table) {
                    libc::dup2(*fd, target);
                }
                Ok(())
            });
        }
        let mut supervisor = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (sink, stderr) = (lines.clone(), supervisor.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        Self {
            supervisor,
            launcher: Channel::new(ours),
            tcp,
            unix,
            lines,
            ready: ready.into(),
            _dir: dir,
        }
    }

    /// Answers requests for an X connection until the supervisor asks for something else.
    pub fn asked(&mut self) -> SupervisorToLauncher {
        let end = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < end, "the supervisor asks for nothing");
            if let Some(other) = self.answer(Duration::from_millis(100)) {
                return other;
            }
        }
    }

    /// Answers requests for an X connection for a while.
    pub fn answer(&mut self, time: Duration) -> Option<SupervisorToLauncher> {
        self.launcher.flush().unwrap();
        let mut fds = [PollFd::new(self.launcher.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::try_from(time).unwrap()).unwrap();
        match self.launcher.receive() {
            Ok(Some((SupervisorToLauncher::OpenDisplay, _))) => {
                let (socket, _other) = ipc::channel::socketpair().unwrap();
                let cookie = memfd_create(c"cookie", MFdFlags::MFD_CLOEXEC).unwrap();
                let fds = vec![socket, cookie];
                self.launcher
                    .send(&LauncherToSupervisor::Display, fds)
                    .unwrap();
                None
            }
            Ok(Some((other, _))) => Some(other),
            _ => None,
        }
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits for a record with all of these pieces, after the first `skip` records.
    pub fn logged(&self, skip: usize, pieces: &[&str]) -> String {
        let found = |line: &String| pieces.iter().all(|piece| line.contains(piece));
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.lines().into_iter().skip(skip).find(found) {
                return line;
            }
            assert!(
                Instant::now() < end,
                "no record with {pieces:?} in {:#?}",
                self.lines()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Process ids of the workers of a role that said that they are started.
    pub fn pids(&self, role: &str) -> Vec<i32> {
        self.started(&format!("\"role\":\"{role}\""))
    }

    /// The same, for one connection. In the log they stand as they were heard, not as they came.
    pub fn pids_of(&self, role: &str, connection: u64) -> Vec<i32> {
        let mut pids = self.pids(role);
        let own = self.started(&format!("\"connection\":{connection},"));
        pids.retain(|pid| own.contains(pid));
        pids
    }

    fn started(&self, whose: &str) -> Vec<i32> {
        let started = self.lines();
        let started = started
            .iter()
            .filter(|line| line.contains(whose) && line.ends_with("\"message\":\"started\"}"));
        started
            .map(|line| {
                let (_, rest) = line.split_once("\"pid\":").unwrap();
                rest.split(',').next().unwrap().parse().unwrap()
            })
            .collect()
    }

    pub fn kill_last(&self, role: &str, signal: Signal) -> i32 {
        let pid = wait_for("what it says at its start", || self.pids(role).pop());
        kill(Pid::from_raw(pid), signal).unwrap();
        pid
    }

    /// One whose TCP socket is encrypted.
    pub fn encrypted() -> Self {
        Self::new(|spec| spec.listeners[1].encryption = Some(Encryption::Aes(AesMode::Gcm)))
    }

    pub fn unix(&self) -> Client {
        let stream = UnixStream::connect(&self.unix).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::new(stream)
    }

    pub fn tcp(&self) -> Client {
        let stream = TcpStream::connect(self.tcp).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client::new(stream)
    }

    /// A client that is attached.
    pub fn attached(&self, uuid: &str, words: &str) -> Client {
        let mut client = self.unix();
        client.say("login ok").expect("start").expect("accepted");
        client
            .say(&format!("session {uuid} {words}"))
            .expect("session");
        client
    }

    /// Plays the launcher until it is asked to stop, then waits for the end.
    pub fn stopped(mut self) -> i32 {
        assert_eq!(self.asked(), SupervisorToLauncher::Stop);
        self.launcher
            .send(&LauncherToSupervisor::Stopped, vec![])
            .unwrap();
        self.ended()
    }

    /// Plays the launcher until it is left alone, then waits for the end.
    pub fn left(mut self) -> i32 {
        assert_eq!(self.asked(), SupervisorToLauncher::Leave);
        let (gone, _) = ipc::channel::socketpair().unwrap();
        drop(std::mem::replace(&mut self.launcher, Channel::new(gone)));
        self.ended()
    }

    pub fn ended(mut self) -> i32 {
        let pids: Vec<_> = Role::WORKERS
            .iter()
            .flat_map(|role| self.pids(role.name()))
            .collect();
        let code = self.supervisor.wait().unwrap().code().unwrap();
        for pid in pids {
            // One that was killed at last may be with init for a moment.
            wait_for("the end of a worker", || {
                (!PathBuf::from(format!("/proc/{pid}")).exists()).then_some(())
            });
        }
        code
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

pub struct Client {
    stream: BufReader<Box<dyn Stream>>,
}

impl Client {
    fn new(stream: impl Read + Write + 'static) -> Self {
        Self {
            stream: BufReader::new(Box::new(stream)),
        }
    }

    pub fn say(&mut self, line: &str) -> &mut Self {
        // One that was closed by the other side is found out by reading.
        let _ = self
            .stream
            .get_mut()
            .write_all(format!("{line}\n").as_bytes());
        self
    }

    /// The next line; empty at the end.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        let _ = self.stream.read_line(&mut line);
        line.trim_end().to_owned()
    }

    /// The next line must begin like this.
    pub fn expect(&mut self, start: &str) -> &mut Self {
        let line = self.hear();
        assert!(line.starts_with(start), "`{line}` instead of `{start}`");
        self
    }

    /// The next two lines must begin like these, in any order: they come from two processes.
    pub fn expect_both(&mut self, one: &str, other: &str) -> &mut Self {
        let lines = [self.hear(), self.hear()];
        for start in [one, other] {
            let found = lines.iter().any(|line| line.starts_with(start));
            assert!(found, "{lines:?} without `{start}`");
        }
        self
    }

    pub fn expect_end(&mut self) {
        assert_eq!(self.hear(), "");
    }
}
