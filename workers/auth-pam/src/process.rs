//! A question from `auth`, the modules of a service, an answer.

use crate::pam::{self, Modules};
use check::Auth;
use ipc::check::AuthToCheck;
use ipc::spec::{self, PamSpec, StartedSpec};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use runtime::{PollSet, Seat};
use services::{SYSTEM, Service};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// In the descriptor table: the channel to `auth`, the spec.
const AUTH: i32 = 3;
const SPEC: i32 = 4;

/// A no is told after a multiple of this time: whether there is such a user, what kind of hash it
/// has, and which phase has failed must not be seen by how long it took.
const NO_EVERY: Duration = Duration::from_secs(1);
/// Longest user name: the kernel's for processes is 32, and directories have longer ones.
const MAX_NAME: usize = 256;

/// Everything that is there before the question.
pub struct Prepared {
    auth: Auth,
    modules: Modules,
    session: bool,
    host: Option<String>,
}

impl Prepared {
    /// Reads what was passed, looks at the service again, and loads its modules.
    ///
    /// # Errors
    /// One line.
    pub fn new(seat: &mut Seat) -> Result<Self, String> {
        let auth = seat.descriptor(AUTH).ok_or("no channel to auth")?;
        let spec = seat.descriptor(SPEC).ok_or("the spec was not passed")?;
        let StartedSpec { own, host } =
            spec::read(&File::from(spec)).map_err(|error| error.to_string())?;
        let PamSpec {
            service,
            directory,
            session,
            timeout,
        } = own;
        let auth = Auth::new(auth, timeout);
        let directory = directory.unwrap_or_else(|| PathBuf::from(SYSTEM));
        // It may have been changed since the session was started.
        let read = Service::read(&directory, &service, session, None)
            .map_err(|error| format!("the service `{service}`: {error}"))?;
        for path in &read.files {
            name_file(seat, path);
        }
        pam::look_up_in_files();
        let modules = Modules::load(&directory, &service)?;
        pam::close_system_log();
        Ok(Self {
            auth,
            modules,
            session,
            host: host.map(|host| host.to_string()),
        })
    }

    /// Hears the question, asks the modules, answers.
    pub fn work(mut self, seat: Seat) -> ExitCode {
        let Some(AuthToCheck::Password { username, password }) = self.auth.question(seat) else {
            // Nobody waits for an answer.
            return ExitCode::SUCCESS;
        };
        let asked = Instant::now();
        let answer = match self.ask(&username, &password.0) {
            Ok(()) => true,
            Err(why) => {
                tracing::info!("no: {why}");
                false
            }
        };
        drop(password);
        for line in self.modules.lines() {
            tracing::info!(line, "a module says");
        }
        if !answer {
            self.wait_for_nothing(asked);
        }
        self.auth.answer(answer)
    }

    fn ask(&self, username: &str, password: &[u8]) -> Result<(), String> {
        if username.is_empty() || username.len() > MAX_NAME {
            return Err("no user name, or one that is too long".into());
        }
        // In the files of users these end a name.
        if username.contains([':', '\n', '\0']) || username.contains(char::is_control) {
            return Err("a user name with signs that no user has".into());
        }
        if password.is_empty() {
            return Err("an empty password".into());
        }
        let host = self.host.as_deref();
        self.modules
            .ask(username, password, host, self.session)
            .map_err(|failure| failure.to_string())
    }

    /// Until the next time at which a no may be told.
    fn wait_for_nothing(&self, asked: Instant) {
        let mut tell_at = asked + NO_EVERY;
        while tell_at < Instant::now() {
            tell_at += NO_EVERY;
        }
        loop {
            let left = tell_at.saturating_duration_since(Instant::now());
            if left.is_zero() || PollSet::new().wait(Some(left)).is_err() {
                return;
            }
        }
    }
}

/// A file that a line of the service names. One that cannot be opened is the matter of the module
/// that wants to read it.
fn name_file(seat: &mut Seat, path: &Path) {
    match open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(file) => seat.name_file(file),
        Err(error) => tracing::warn!(path = %path.display(), %error, "a file of the service"),
    }
}
