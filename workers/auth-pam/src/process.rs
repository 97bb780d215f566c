//! A question from `auth`, the modules of a service, an answer.

use crate::pam::{self, Modules};
use check::{Check, No};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::{self, OwnSpec, PamSpec, StartedSpec};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use runtime::{Role, Seat};
use services::{SYSTEM, Service};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// In the descriptor table.
const SPEC: i32 = 4;

/// Longest user name: the kernel's for processes is 32, and directories have longer ones.
const MAX_NAME: usize = 256;

/// A login that the modules of a PAM service decide about.
pub struct Pam {
    modules: Modules,
    session: bool,
    host: Option<String>,
}

impl Check for Pam {
    const ROLE: Role = Role::AuthPam;
    const AUTH: i32 = 3;
    /// Whether there is such a user, what kind of hash it has, and which phase has failed must not be
    /// seen by how long it took.
    const NO_EVERY: Option<Duration> = Some(Duration::from_secs(1));

    /// Looks at the service again, and loads its modules.
    fn prepare(seat: &mut Seat) -> Result<(Self, u16), String> {
        let spec = seat.descriptor(SPEC).ok_or("the spec was not passed")?;
        let StartedSpec { own, host } =
            spec::read(&File::from(spec)).map_err(|error| error.to_string())?;
        let OwnSpec::Pam(PamSpec {
            service,
            directory,
            session,
            timeout,
        }) = own
        else {
            return Err("the spec is another role's".into());
        };
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
        let check = Self {
            modules,
            session,
            host: host.map(|host| host.to_string()),
        };
        Ok((check, timeout))
    }

    fn decide(self, question: AuthToCheck, _until: Instant) -> Result<CheckToAuth, No> {
        let AuthToCheck::Password { username, password } = question else {
            return Err(No::Failed(
                "bug: auth asks about something else than a password".into(),
            ));
        };
        let answer = self.ask(&username, &password.0);
        drop(password);
        for line in self.modules.lines() {
            tracing::info!(line, "a module says");
        }
        match answer {
            Ok(()) => Ok(CheckToAuth::Yes),
            Err(why) => Err(No::Refused(why)),
        }
    }
}

impl Pam {
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
}

/// A file that a line of the service names. One that cannot be opened is the matter of the module
/// that wants to read it.
fn name_file(seat: &mut Seat, path: &Path) {
    match open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(file) => seat.name_file(file),
        Err(error) => tracing::warn!(path = %path.display(), %error, "a file of the service"),
    }
}
