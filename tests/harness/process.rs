//! Child processes that end with the test.

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A child in its own process group, whose output is collected line by line.
pub struct Process {
    child: Child,
    output: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Process {
    /// Starts it with nothing to read and both outputs collected.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let output = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        collect(child.stdout.take(), &output);
        if let Some(stderr) = &child.stderr {
            // Whose log is not read in time drops records.
            let _ = fcntl(stderr, FcntlArg::F_SETPIPE_SZ(1 << 20));
        }
        collect(child.stderr.take(), &output);
        Self { child, output }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Every line so far, of both outputs.
    pub fn lines(&self) -> Vec<String> {
        self.output
            .0
            .lock()
            .map(|lines| lines.clone())
            .unwrap_or_default()
    }

    /// The first line that `wanted` accepts.
    ///
    /// # Panics
    /// With the output so far, when there is none within `limit`.
    pub fn wait_for_line(&self, limit: Duration, wanted: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + limit;
        let mut lines = self.output.0.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "no such line within {limit:?}; output:\n{}",
                lines.join("\n")
            );
            lines = self.output.1.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// Its exit status, when it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// With its output, when it does not end within `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            let output = || self.lines().join("\n");
            assert!(
                Instant::now() < end,
                "still runs after {limit:?}; output:\n{}",
                output()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal to its process group.
    pub fn signal(&self, signal: Signal) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = killpg(Pid::from_raw(id), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::SIGKILL);
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!(
                "--- output of {}:\n{}",
                self.child.id(),
                self.lines().join("\n")
            );
        }
    }
}

fn collect(
    stream: Option<impl Read + Send + 'static>,
    output: &Arc<(Mutex<Vec<String>>, Condvar)>,
) {
    let (Some(stream), output) = (stream, Arc::clone(output)) else {
        return;
    };
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if let Ok(mut lines) = output.0.lock() {
                lines.push(String::from_utf8_lossy(&line).into_owned());
                output.1.notify_all();
            }
        }
    });
}
