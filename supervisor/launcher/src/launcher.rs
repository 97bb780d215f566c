//! The launcher's loop.

use crate::checks::{self, Checks, Ended, Kind, NotStarted};
use crate::leftovers::{self, Before, LOG, Leftovers, SOCKET, XAUTHORITY};
use crate::marked;
use crate::named::{Change, Named};
use crate::processes::{self, GRACE, LIMIT};
use crate::x_server::{self, XServer};
use crate::xauthority::{self, Cookie};
use files::{Ids, as_user};
use ipc::check::CheckId;
use ipc::display::Signal as Asked;
use ipc::launcher::{
    CheckOutcome, CommandId, LauncherToSupervisor, ProcessEnd, SupervisorToLauncher,
};
use ipc::spec::{self, ChecksSpec, LauncherSpec};
use ipc::{Channel, ConnectionId};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, accept4, bind, getsockopt, listen,
    socket, sockopt::PeerCredentials,
};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{dup2_stderr, dup2_stdout, geteuid, getpid, setsid};
use record::{Format, Level, Origin};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::net::{IpAddr, Shutdown};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The X server gets this long after SIGTERM.
const X_GRACE: Duration = Duration::from_secs(3);
/// The X server gets this long to take a connection.
const X_PATIENCE: Duration = Duration::from_secs(5);
/// The same for a login: others wait meanwhile.
const X_PATIENCE_OF_LOGINS: Duration = Duration::from_millis(200);
/// Longest reason that a message may carry.
const MAX_REASON: usize = 1024;
/// Longest name of a program that a message may carry.
const MAX_PROGRAM: usize = 64;

type Supervisor = Channel<LauncherToSupervisor, SupervisorToLauncher>;

/// How far the end of the session is.
enum Ending {
    /// The applications were asked to end.
    Applications {
        since: Instant,
        asked: BTreeSet<i32>,
    },
    /// The X server was asked to end.
    X { since: Instant },
    /// Nothing is left.
    Done,
}

struct Launcher {
    spec: LauncherSpec,
    cookie: Cookie,
    log: File,
    supervisor: Option<Supervisor>,
    /// It has said something.
    has_spoken: bool,
    /// What logins may need, as the present supervisor's command line says.
    checks: Checks,
    /// The files that decide about them, as it says too.
    named: Named,
    /// The present supervisor is not the one that the X server was started for.
    adopted: bool,
    sockets: OwnedFd,
    signals: SignalFd,
    x: Option<XServer>,
    commands_started: bool,
    running: BTreeMap<i32, CommandId>,
    left: Leftovers,
    ending: Option<Ending>,
    /// The end was not asked for: the logs stay.
    failed: bool,
    /// Processes of the session that were seen during the end.
    seen: BTreeSet<i32>,
}

/// Runs a session's launcher to its end. False if the session has failed: the supervisor has been
/// told why, and the log.
#[must_use]
pub fn run(channel: OwnedFd, spec: LauncherSpec) -> bool {
    let mut channel = Supervisor::new(channel);
    let (display, format) = (spec.display, format(&spec));
    match Launcher::prepare(spec) {
        Ok(mut launcher) => {
            launcher.supervisor = Some(channel);
            launcher.start_x();
            launcher.run()
        }
        Err(reason) => {
            let failed = LauncherToSupervisor::Failed {
                reason: shorten(&reason, MAX_REASON),
            };
            x_server::give_up_display(display);
            // If the supervisor is gone too, the caller's message is all there is.
            let _ = channel.send(&failed, vec![]);
            eprint!("{}", record(format, Level::Error, &reason));
            false
        }
    }
}

fn format(spec: &LauncherSpec) -> Format {
    match spec.log_json {
        true => Format::Json,
        false => Format::Human,
    }
}

/// A record of this process's.
pub fn record(format: Format, level: Level, text: &str) -> String {
    let origin = Origin {
        role: "launcher",
        pid: getpid().as_raw(),
        connection: None,
    };
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    format.record(time.unwrap_or_default(), level, origin, text.as_bytes())
}

/// One line of bounded length.
fn shorten(text: &str, max: usize) -> String {
    let mut text = text.replace(['\n', '\r'], " ");
    text.truncate(text.floor_char_boundary(max));
    text
}

/// Blocked and read from a descriptor: children, and requests to end.
fn take_signals() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
    ] {
        set.add(signal);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

/// The log of the applications.
fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
}

fn adoption_socket(path: &Path) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    let address = UnixAddr::new(path)?;
    let before = umask(Mode::from_bits_truncate(0o177));
    let bound = bind(socket.as_raw_fd(), &address);
    umask(before);
    bound?;
    listen(&socket, Backlog::new(4)?)?;
    Ok(socket)
}

impl Launcher {
    fn prepare(mut spec: LauncherSpec) -> Result<Self, String> {
        let dir = spec.session_dir.clone();
        let failed = |what: String| move |error: io::Error| format!("{what}: {error}");
        // Of a process group leader's making it would be refused: then there is a session already.
        match setsid() {
            Ok(_) | Err(Errno::EPERM) => {}
            Err(error) => return Err(failed("setsid".into())(error.into())),
        }
        // SAFETY: close_range only touches descriptors above those that were passed to us.
        unsafe { libc::close_range(5, libc::c_uint::MAX, 0) };
        // The cookie, and the channel over which the supervisor takes our word.
        prctl::set_dumpable(false)
            .map_err(|error| failed("PR_SET_DUMPABLE".into())(error.into()))?;
        prctl::set_child_subreaper(true)
            .map_err(|error| failed("PR_SET_CHILD_SUBREAPER".into())(error.into()))?;
        if let Before::Running(pid) = leftovers::clean_up_after_killed(&dir) {
            return Err(format!(
                "{} belongs to a running session (launcher process {pid}): choose another \
                 display, or end that session with `bulkhead stop`",
                dir.display()
            ));
        }
        let log = open_log(&dir.join(LOG))
            .map_err(failed(format!("cannot write {}", dir.join(LOG).display())))?;
        // The session outlives the terminal that it was started from.
        dup2_stdout(&log)
            .and_then(|()| dup2_stderr(&log))
            .map_err(|error| failed("dup2".into())(error.into()))?;
        let sockets = adoption_socket(&dir.join(SOCKET))
            .map_err(io::Error::from)
            .map_err(failed(format!(
                "cannot listen on {}",
                dir.join(SOCKET).display()
            )))?;
        let mut cookie: Cookie = [0; 16];
        getrandom::fill(&mut cookie).map_err(|error| format!("no random bytes: {error}"))?;
        let me = getpid().as_raw();
        let mark = marked::new().map_err(|error| format!("no random bytes: {error}"))?;
        spec.env.retain(|(name, _)| name != marked::VARIABLE);
        spec.env.push((marked::VARIABLE.into(), mark.clone()));
        let left = Leftovers {
            launcher: (me, processes::start_time(me).unwrap_or_default()),
            display: None,
            mark,
            user: spec.user.clone(),
            xauthority: spec.xauthority.clone(),
            xauthority_was_empty: false,
            files: spec.remove_at_end.clone(),
        };
        left.save(&dir)
            .and_then(|()| left.make_x11(&dir))
            .map_err(failed(format!("cannot write in {}", dir.display())))?;
        let signals = take_signals().map_err(|error| failed("signalfd".into())(error.into()))?;
        Ok(Self {
            cookie,
            log,
            supervisor: None,
            has_spoken: false,
            checks: Checks::default(),
            named: Named::default(),
            adopted: false,
            sockets,
            signals,
            x: None,
            commands_started: false,
            running: BTreeMap::new(),
            left,
            ending: None,
            failed: false,
            seen: BTreeSet::new(),
            spec,
        })
    }

    /// Who the applications are, in a start as root.
    fn user(&self) -> Option<Ids> {
        self.spec.user.as_ref().map(Ids::from)
    }

    fn write_cookie(&self, display: u32) -> io::Result<()> {
        let path = self.spec.session_dir.join(XAUTHORITY);
        as_user(self.user(), || {
            xauthority::write_session(&path, display, &self.cookie)
        })
    }

    fn start_x(&mut self) {
        let auth = self.spec.session_dir.join(XAUTHORITY);
        let display = self.spec.display;
        let started = x_server::take_display(display).and_then(|()| {
            self.left.display = Some(display);
            self.left
                .save(&self.spec.session_dir)
                .and_then(|()| self.write_cookie(display))
                .map_err(|error| format!("cannot write {}: {error}", auth.display()))?;
            x_server::start(&self.spec, display, &auth, &self.log)
        });
        match started {
            Ok(server) => self.x = Some(server),
            Err(reason) => self.fail(reason),
        }
    }

    fn x_ready(&mut self, display: u32) {
        if let Some(file) = &self.spec.xauthority {
            let merged = as_user(self.user(), || {
                xauthority::merge(file, display, &self.cookie)
            });
            let saved = merged.and_then(|empty| match empty {
                true => {
                    self.left.xauthority_was_empty = true;
                    self.left.save(&self.spec.session_dir)
                }
                false => Ok(()),
            });
            // A convenience for the person's own programs; the session works without.
            if let Err(error) = saved {
                let text = format!(
                    "the cookie could not be put into {}: {error}",
                    file.display()
                );
                self.note(Level::Warn, &text);
            }
        }
        self.tell(
            &LauncherToSupervisor::XReady {
                display,
                adopted: self.adopted,
            },
            vec![],
        );
    }

    /// A record of ours in the session's log.
    fn note(&mut self, level: Level, text: &str) {
        let record = record(format(&self.spec), level, text);
        let _ = self.log.write_all(record.as_bytes());
    }

    fn tell(&mut self, message: &LauncherToSupervisor, fds: Vec<OwnedFd>) {
        if let Some(channel) = &mut self.supervisor
            && channel.send(message, fds).is_err()
        {
            self.supervisor = None;
        }
    }

    /// The session cannot go on: says so and cleans up.
    fn fail(&mut self, reason: String) {
        let log = self.spec.session_dir.join(LOG);
        let reason = format!(
            "{} (log: {})",
            shorten(&reason, MAX_REASON / 2),
            log.display()
        );
        let reason = shorten(&reason, MAX_REASON);
        self.note(Level::Error, &reason);
        self.tell(
            &LauncherToSupervisor::Failed {
                reason: reason.clone(),
            },
            vec![],
        );
        self.failed = true;
        self.end();
    }

    fn end(&mut self) {
        if self.ending.is_none() {
            self.ending = Some(Ending::Applications {
                since: Instant::now(),
                asked: BTreeSet::new(),
            });
        }
    }

    fn run(mut self) -> bool {
        loop {
            self.step_end();
            if matches!(self.ending, Some(Ending::Done)) {
                break;
            }
            if let Err(error) = self.wait() {
                self.note(Level::Error, &format!("cannot wait for events: {error}"));
                return false;
            }
        }
        let logs = [Some(LOG), self.spec.log_name.as_deref()];
        let logs: Vec<&str> = logs.into_iter().flatten().collect();
        let kept = if self.failed { &logs[..] } else { &[] };
        self.left.clean(&self.spec.session_dir, kept);
        self.tell(&LauncherToSupervisor::Stopped, vec![]);
        !self.failed
    }

    fn timeout(&self) -> PollTimeout {
        let until = if self.ending.is_some() {
            Some(processes::COUNT_INTERVAL)
        } else {
            let waiting = self.x.as_ref().filter(|x| !x.answers);
            waiting.map(|x| x.deadline.saturating_duration_since(Instant::now()))
        };
        let check = self.checks.deadline();
        let check = check.map(|at| at.saturating_duration_since(Instant::now()));
        let retry = self.supervisor.as_ref().and_then(Channel::retry_at);
        let retry = retry.map(|at| at.saturating_duration_since(Instant::now()));
        let until = until.into_iter().chain(retry).chain(check).min();
        until.map_or(PollTimeout::NONE, |until| {
            PollTimeout::try_from(until + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        })
    }

    fn wait(&mut self) -> nix::Result<()> {
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.sockets.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(channel) = &self.supervisor {
            let write = if channel.awaits_socket() {
                PollFlags::POLLOUT
            } else {
                PollFlags::empty()
            };
            fds.push(PollFd::new(channel.as_fd(), PollFlags::POLLIN | write));
        }
        if let Some(ready) = self.x.as_ref().and_then(|x| x.ready.as_ref()) {
            fds.push(PollFd::new(ready.as_fd(), PollFlags::POLLIN));
        }
        match poll(&mut fds, self.timeout()) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
        self.x_progress();
        while let Ok(Some(info)) = self.signals.read_signal() {
            let signal = i32::try_from(info.ssi_signo).unwrap_or_default();
            if signal == Signal::SIGTERM as i32 || signal == Signal::SIGINT as i32 {
                self.end();
            }
        }
        self.reap();
        for ended in self.checks.end_late(Instant::now()) {
            self.check_ended(ended);
        }
        self.listen_to_supervisor();
        self.adopt();
        Ok(())
    }

    fn x_progress(&mut self) {
        let Some(x) = &mut self.x else { return };
        if x.answers || self.ending.is_some() {
            return;
        }
        if x.read_ready() {
            let display = x.display;
            self.x_ready(display);
        } else if Instant::now() >= x.deadline {
            self.fail("the X server did not answer within 20 seconds".into());
        }
    }

    fn reap(&mut self) {
        let checks = &self.checks;
        for (pid, status) in processes::reap(|pid| checks.ends(pid)) {
            let pid = pid.as_raw();
            if self.x.as_ref().is_some_and(|x| x.pid == pid) {
                let was_ready = self.x.take().is_some_and(|x| x.answers);
                if self.ending.is_none() {
                    self.x_ended(was_ready, status);
                }
            } else if let Some(command) = self.running.remove(&pid) {
                self.command_ended(command, status);
            } else if let Some(ended) = self.checks.ended(pid, status, Instant::now()) {
                self.check_ended(ended);
            }
        }
    }

    fn x_ended(&mut self, was_ready: bool, status: i32) {
        let words = x_server::last_words(&self.spec.session_dir.join(LOG));
        let words = words.map(|words| format!(": {words}")).unwrap_or_default();
        if was_ready {
            self.tell(&LauncherToSupervisor::XEnded { status }, vec![]);
            self.failed = true;
            let text = format!("the X server has ended with status {status}{words}");
            self.note(Level::Error, &text);
            self.end();
        } else {
            self.fail(format!(
                "the X server ended at its start with status {status}{words}"
            ));
        }
    }

    fn is_child(&self, command: CommandId) -> bool {
        self.spec
            .command(command)
            .is_some_and(|command| command.child)
    }

    fn children_left(&self) -> bool {
        self.running.values().any(|command| self.is_child(*command))
    }

    /// What a command is called in the log: its program without the directories.
    fn program(&self, command: CommandId) -> String {
        let argv = self.spec.command(command).map(|command| &command.argv);
        let program = argv.and_then(|argv| argv.first());
        let name = program.and_then(|program| program.rsplit('/').next());
        shorten(name.unwrap_or_default(), MAX_PROGRAM)
    }

    fn command_ended(&mut self, command: CommandId, status: i32) {
        let ended = LauncherToSupervisor::CommandEnded {
            command,
            program: self.program(command),
            status,
        };
        self.tell(&ended, vec![]);
        if self.is_child(command) && !self.children_left() {
            self.tell(&LauncherToSupervisor::ChildrenEnded, vec![]);
        }
    }

    /// The display of an X server that answers.
    fn display(&self) -> Option<u32> {
        self.x.as_ref().filter(|x| x.answers).map(|x| x.display)
    }

    fn start_commands(&mut self) {
        let Some(display) = self.display() else {
            return;
        };
        if std::mem::replace(&mut self.commands_started, true) {
            return;
        }
        let mut failed = Vec::new();
        for (index, command) in self.spec.commands.iter().enumerate() {
            let Ok(id) = u16::try_from(index).map(CommandId) else {
                break;
            };
            let (argv, death) = (&command.argv, Signal::SIGHUP);
            match self.start_command(display, argv, &[], Stdio::null(), death) {
                Ok(pid) => {
                    self.running.insert(pid, id);
                }
                Err(error) => failed.push((id, command.argv.join(" "), error)),
            }
        }
        for (pid, command) in self.running.clone() {
            let started = LauncherToSupervisor::CommandStarted {
                command,
                program: self.program(command),
                pid: u32::try_from(pid).unwrap_or_default(),
            };
            self.tell(&started, vec![]);
        }
        for (command, line, error) in failed {
            self.note(Level::Error, &format!("cannot start `{line}`: {error}"));
            // As a shell says it: not found, or not to be executed.
            let status = if error.kind() == io::ErrorKind::NotFound {
                127
            } else {
                126
            };
            self.command_ended(command, status);
        }
    }

    /// `death`: what it gets when the launcher is killed.
    fn start_command(
        &self,
        display: u32,
        argv: &[String],
        more_env: &[(&str, String)],
        stdin: Stdio,
        death: Signal,
    ) -> io::Result<i32> {
        let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.spec.env.iter().map(|(name, value)| (name, value)))
            .env("DISPLAY", format!(":{display}"))
            .env("XAUTHORITY", self.spec.session_dir.join(XAUTHORITY))
            .envs(more_env.iter().map(|(name, value)| (name, value)))
            .stdin(stdin)
            .stdout(self.log.try_clone()?)
            .stderr(self.log.try_clone()?);
        let dir = self.spec.chdir.as_deref().unwrap_or(Path::new("/"));
        let dir = CString::new(dir.as_os_str().as_bytes())?;
        let user = self.spec.user.as_ref();
        let child = processes::start(&mut command, user, &dir, None, death)?;
        i32::try_from(child.id()).map_err(io::Error::other)
    }

    /// Starts the command that decides about a login.
    fn run_check(
        &mut self,
        connection: ConnectionId,
        check: CheckId,
        username: &str,
        peer: &str,
    ) -> Result<(), CheckOutcome> {
        let display = self.display().ok_or(CheckOutcome::Refused)?;
        if self.ending.is_some() {
            return Err(CheckOutcome::Refused);
        }
        let command = self
            .checks
            .command(check, display, username, peer, Instant::now())?;
        match self.start_check_command(display, &command) {
            Ok((pid, input)) => {
                self.checks
                    .started(pid, connection, command.until, Kind::Command);
                if let Some(input) = input {
                    let input = vec![input.into()];
                    self.tell(&LauncherToSupervisor::CommandInput(connection), input);
                }
                Ok(())
            }
            Err(error) => {
                let program = command.argv.first().map_or("", String::as_str);
                let text = format!("auth=exec: cannot start `{program}`: {error}");
                self.note(Level::Error, &text);
                Err(CheckOutcome::NotStarted)
            }
        }
    }

    /// The command's process id, and the other end of its standard input, if somebody is to write
    /// there. A socket, because who writes may use no pipe.
    fn start_check_command(
        &self,
        display: u32,
        command: &checks::Command,
    ) -> io::Result<(i32, Option<UnixStream>)> {
        let (input, stdin) = match command.password {
            true => {
                let (input, stdin) = UnixStream::pair()?;
                // It is told something, and says nothing.
                stdin.shutdown(Shutdown::Write)?;
                (Some(input), OwnedFd::from(stdin).into())
            }
            false => (None, Stdio::null()),
        };
        let pid =
            self.start_command(display, &command.argv, &command.env, stdin, Signal::SIGKILL)?;
        Ok((pid, input))
    }

    /// Starts the process that decides about a login.
    fn start_check(
        &mut self,
        connection: ConnectionId,
        check: CheckId,
        host: Option<IpAddr>,
        fds: &[OwnedFd],
    ) {
        let started = match self.ending {
            Some(_) => Err(NotStarted::Refused),
            None => self
                .checks
                .start(connection, check, host, fds, Instant::now()),
        };
        let pid = started.as_ref().ok();
        let pid = pid.and_then(|pid| u32::try_from(*pid).ok());
        self.tell(
            &LauncherToSupervisor::CheckStarted { connection, pid },
            vec![],
        );
        if let Err(error) = started {
            self.note(
                Level::Error,
                &format!("the process of a check cannot be started: {error}"),
            );
            self.check_ended(Ended::Process(connection, ProcessEnd::NotStarted));
        }
    }

    fn check_ended(&mut self, ended: Ended) {
        match ended {
            Ended::Command(connection, outcome) => self.checked(connection, outcome),
            Ended::Process(connection, end) => {
                let ended = LauncherToSupervisor::CheckEnded { connection, end };
                self.tell(&ended, vec![]);
            }
        }
    }

    fn checked(&mut self, connection: ConnectionId, outcome: CheckOutcome) {
        let checked = LauncherToSupervisor::Checked {
            connection,
            outcome,
        };
        self.tell(&checked, vec![]);
    }

    fn listen_to_supervisor(&mut self) {
        loop {
            let Some(channel) = &mut self.supervisor else {
                return;
            };
            let received = channel.flush().and_then(|()| channel.receive());
            match received {
                Ok(None) => return,
                Ok(Some((message, fds))) => self.obey(message, fds),
                Err(error) => {
                    self.supervisor = None;
                    if error.is_violation() {
                        let text = format!("the supervisor's channel is given up: {error}");
                        self.note(Level::Error, &text);
                    }
                    self.left_alone();
                }
            }
        }
    }

    /// There is no supervisor any more: a start that failed leaves its log; a session that lost
    /// its supervisor waits for the next.
    fn left_alone(&mut self) {
        self.checks.end_all();
        if self.commands_started {
            self.supervisor = None;
        } else {
            self.failed = true;
            self.end();
        }
    }

    fn obey(&mut self, message: SupervisorToLauncher, fds: Vec<OwnedFd>) {
        let is_first = !std::mem::replace(&mut self.has_spoken, true);
        match message {
            SupervisorToLauncher::Checks => self.take_checks(is_first, fds),
            SupervisorToLauncher::Connect { connection, check } => {
                let sockets = match self.checks.wants_display(check) {
                    true => self.show_cookie(),
                    false => self.checks.connect(check),
                };
                let connecting = LauncherToSupervisor::Connecting {
                    connection,
                    sockets: u8::try_from(sockets.len()).unwrap_or_default(),
                };
                self.tell(&connecting, sockets);
            }
            SupervisorToLauncher::RunCheck {
                connection,
                check,
                username,
                peer,
            } => {
                if let Err(outcome) = self.run_check(connection, check, &username, &peer) {
                    self.checked(connection, outcome);
                }
            }
            SupervisorToLauncher::StartCheck {
                connection,
                check,
                host,
                own: _,
            } => self.start_check(connection, check, host, &fds),
            SupervisorToLauncher::EndCheck(connection) => self.checks.end(connection),
            SupervisorToLauncher::Look => self.look(),
            SupervisorToLauncher::StartCommands => self.start_commands(),
            SupervisorToLauncher::OpenDisplay => match self.open_display() {
                Ok(fds) => self.tell(&LauncherToSupervisor::Display, fds),
                // An X server that has just ended is told about as such, by `reap`.
                Err(_) if self.x.is_none() || self.ending.is_some() => {}
                Err(error) => self.fail(format!("cannot connect to the X server: {error}")),
            },
            SupervisorToLauncher::Signal { pid, signal } => self.signal(pid, signal),
            // The supervisor lives, so nobody else has put sockets there.
            SupervisorToLauncher::Stop => {
                self.left.hide(&self.spec.session_dir);
                self.end();
            }
            SupervisorToLauncher::Leave => {
                self.left.hide(&self.spec.session_dir);
                self.left_alone();
            }
        }
    }

    /// The first message of a channel was written before anybody could have broken the supervisor;
    /// what comes later is not believed.
    fn take_checks(&mut self, is_first: bool, fds: Vec<OwnedFd>) {
        let file = fds.into_iter().next().filter(|_| is_first).map(File::from);
        match file.map(|file| spec::read::<ChecksSpec>(&file)) {
            Some(Ok(mut spec)) => {
                self.named = Named::new(std::mem::take(&mut spec.files));
                self.checks = Checks::new(spec);
            }
            Some(Err(error)) => {
                self.note(Level::Error, &format!("checks of logins: {error}"));
            }
            None => {
                let text = "checks of logins that come late are not taken";
                self.note(Level::Error, text);
            }
        }
    }

    /// Tells which files that decide about logins are others now.
    fn look(&mut self) {
        for change in self.named.look(self.user()) {
            let (message, fds) = match change {
                Change::Other { file, name, fd } => {
                    (LauncherToSupervisor::File { file, name }, vec![fd])
                }
                Change::Nothing(file, reason) => {
                    (LauncherToSupervisor::NoFile { file, reason }, vec![])
                }
            };
            self.tell(&message, fds);
        }
        self.tell(&LauncherToSupervisor::Looked, vec![]);
    }

    /// Sends an application the signal that a client asks for.
    fn signal(&self, pid: u32, signal: Asked) {
        let signal = match signal {
            Asked::Int => Signal::SIGINT,
            Asked::Term => Signal::SIGTERM,
            Asked::Quit => Signal::SIGQUIT,
            Asked::Cont => Signal::SIGCONT,
            Asked::Usr1 => Signal::SIGUSR1,
            Asked::Usr2 => Signal::SIGUSR2,
        };
        let user = self.user().map_or(geteuid().as_raw(), |user| user.uid);
        let x_server = self.x.as_ref().map(|x| x.pid);
        let allowed = i32::try_from(pid).ok().filter(|pid| Some(*pid) != x_server);
        if let Some(pid) = allowed {
            processes::signal_application(pid, user, signal);
        }
    }

    fn open_display(&mut self) -> io::Result<Vec<OwnedFd>> {
        self.reap();
        let socket = self.connect_to_x(X_PATIENCE)?;
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let mut cookie = File::from(memfd_create(c"x cookie", flags)?);
        cookie.write_all(&self.cookie)?;
        cookie.rewind()?;
        fcntl(&cookie, FcntlArg::F_ADD_SEALS(SealFlag::all()))?;
        Ok(vec![socket.into(), cookie.into()])
    }

    /// A connection to the X server for the process of a check, which is not to have the cookie: what
    /// opens the connection is said here, and the answer is for that process. None if there can be none.
    fn show_cookie(&mut self) -> Vec<OwnedFd> {
        if self.ending.is_some() {
            return Vec::new();
        }
        let connected = self
            .connect_to_x(X_PATIENCE_OF_LOGINS)
            .and_then(|mut socket| {
                socket.write_all(&xauthority::setup_request(&self.cookie))?;
                Ok(socket)
            });
        match connected {
            Ok(socket) => vec![socket.into()],
            Err(error) => {
                let text = format!("no connection to the X server for a login: {error}");
                self.note(Level::Error, &text);
                Vec::new()
            }
        }
    }

    fn connect_to_x(&self, patience: Duration) -> io::Result<UnixStream> {
        let display = self.display().ok_or(io::ErrorKind::NotConnected)?;
        let address = UnixAddr::new(&files::display::socket(display))?;
        let socket = files::connect(&address, patience)?;
        // Before somebody gets the cookie: where the sockets' directory is not root's, its owner
        // can put another one in this place.
        let server = getsockopt(&socket, PeerCredentials)?.uid();
        let user = self.user().map_or(geteuid().as_raw(), |user| user.uid);
        if server != user && server != 0 {
            return Err(io::Error::other(format!(
                "its socket belongs to the user {server}"
            )));
        }
        Ok(socket)
    }

    /// Takes a new supervisor when there is none; turns everybody else away.
    fn adopt(&mut self) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        while let Ok(fd) = accept4(self.sockets.as_raw_fd(), flags) {
            // SAFETY: accept4 has just made this descriptor for us.
            let socket = unsafe { OwnedFd::from_raw_fd(fd) };
            let Ok(peer) = getsockopt(&socket, PeerCredentials) else {
                continue;
            };
            let allowed = peer.uid() == geteuid().as_raw() || peer.uid() == 0;
            if !allowed || self.supervisor.is_some() || self.ending.is_some() {
                continue;
            }
            self.supervisor = Some(Supervisor::new(socket));
            self.has_spoken = false;
            self.checks = Checks::default();
            self.named = Named::default();
            self.adopted = true;
            if let Some(display) = self.display() {
                self.tell(
                    &LauncherToSupervisor::XReady {
                        display,
                        adopted: true,
                    },
                    vec![],
                );
            }
            let had_children = self.spec.commands.iter().any(|command| command.child);
            if self.commands_started && had_children && !self.children_left() {
                self.tell(&LauncherToSupervisor::ChildrenEnded, vec![]);
            }
            self.listen_to_supervisor();
        }
    }

    /// Drives the end of the session as far as it goes now.
    fn step_end(&mut self) {
        let x = self.x.as_ref().map(|x| x.pid);
        match &mut self.ending {
            None | Some(Ending::Done) => {}
            Some(Ending::Applications { since, asked }) => {
                let mut applications = processes::descendants();
                applications.retain(|pid| Some(*pid) != x);
                self.seen.extend(&applications);
                let late = since.elapsed() >= GRACE;
                if applications.is_empty() || since.elapsed() >= LIMIT {
                    if let Some(pid) = x {
                        processes::signal(pid, Signal::SIGTERM);
                    }
                    self.ending = Some(Ending::X {
                        since: Instant::now(),
                    });
                    return self.step_end();
                }
                for pid in applications {
                    if late {
                        processes::signal(pid, Signal::SIGKILL);
                    } else if asked.insert(pid) {
                        processes::signal(pid, Signal::SIGTERM);
                        // A stopped process would not see it.
                        processes::signal(pid, Signal::SIGCONT);
                    }
                }
            }
            Some(Ending::X { since }) => match x {
                Some(pid) if since.elapsed() >= X_GRACE => {
                    processes::signal(pid, Signal::SIGKILL);
                }
                Some(_) => {}
                None => {
                    processes::remove_shared_memory(&self.seen, self.user());
                    self.ending = Some(Ending::Done);
                }
            },
        }
    }
}
