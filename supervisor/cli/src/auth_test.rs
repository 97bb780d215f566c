//! `bulkhead auth-test`: tries an authentication module without a session of anybody's.
//!
//! Nothing here decides: a session is started for it as any other is, with the same parser, processes
//! and sandboxes, without applications, on a socket that only its user reaches, and is asked
//! by the confined client of the one-shot commands. What its log says about that is printed, to who
//! started it; the client is told what every client is told.

use crate::auth::{self, Asks, Sockets, What};
use crate::error::{Error, Result, one_line, reason};
use crate::exposure::Typed;
use crate::oneshot::{self, Ask};
use crate::options::{AuthTestArgs, LogFormat, StartArgs};
use crate::process;
use crate::prompt;
use crate::secrets;
use crate::start;
use crate::syntax::RawModule;
use crate::users;
use ipc::command::{Command, CommandSpec, EXIT_PASSWORD};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, geteuid, mkdtemp};
use std::fs::{File, Permissions};
use std::io::{self, BufRead, BufReader, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The socket, in a directory of its own.
const SOCKET: &str = "socket";

/// Tries it: status 0 when the client is let in, 1 when it is not.
///
/// # Errors
/// The module cannot be put in force, or no session can be started.
pub fn run(args: &AuthTestArgs) -> Result<ExitCode> {
    let raw = RawModule::parse(&args.module)?;
    let mut asks = false;
    for module in auth::chain(std::slice::from_ref(&raw), &[])? {
        asks |= module.kind.asks != Asks::Nothing;
        if module.kind.asks == Asks::Signature {
            return Err(Error::usage(format!(
                "auth={}: a security key answers it, which only a client has: xpra attach",
                module.name()
            )));
        }
        if module.kind.asks == Asks::Ticket {
            return Err(Error::usage(format!(
                "auth={}: asks for a ticket, which this command has not: start a session with it and attach with kinit's ticket",
                module.name()
            )));
        }
        if module.kind.sockets == Sockets::Tls {
            return Err(Error::usage(format!(
                "auth={}: is tried with a session and `xpra info ssl://…`: its client needs TLS",
                module.name()
            )));
        }
        if module.kind.asks == Asks::Code {
            return Err(Error::usage(format!(
                "auth={}: a person answers it, at the provider's pages, which this command cannot open: start a session with it",
                module.name()
            )));
        }
        if module.kind.asks == Asks::Shown {
            return Err(Error::usage(format!(
                "auth={}: a person answers it, who reads the code on the session's screen, and nobody sees that of this try: start a session with it",
                module.name()
            )));
        }
        if matches!(module.what, What::HttpHeader(_)) {
            return Err(Error::usage(format!(
                "auth={}: looks at the request that opens a WebSocket, and this command opens none",
                module.name()
            )));
        }
        if module.kind.sockets == Sockets::Network {
            return Err(Error::usage(format!(
                "auth={}: asks nothing but where a client comes from: tcpdmatch(8) says what its rules mean",
                module.name()
            )));
        }
    }
    let mut password = oneshot::password(args.password_file.as_deref())?;
    let can_ask = password.is_none() && io::stdin().is_terminal();
    if asks && password.is_none() && !can_ask {
        return Err(Error::usage(
            "there is no terminal to ask for the password: --password-file=FILE or the variable XPRA_PASSWORD",
        ));
    }
    let directory = Directory::new()?;
    let mut session = Session::start(&raw, args, &directory.0)?;
    loop {
        let socket = UnixStream::connect(directory.0.join(SOCKET));
        let socket = socket.map_err(|error| Error::new(reason(&error)))?;
        let mut spec = CommandSpec {
            command: Command::Info,
            password: password.as_ref().map(|bytes| bytes.to_vec()),
            can_ask: can_ask && password.is_none(),
            username: args.username.clone().unwrap_or_else(own_name),
            plain: true,
        };
        let asked = oneshot::ask(Ask {
            spec: &spec,
            socket: OwnedFd::from(socket),
            picture: None,
            sandbox: args.sandbox,
            silent: true,
        });
        spec.wipe();
        match asked? {
            EXIT_PASSWORD if spec.can_ask => {
                let question = format!("Password for auth={}: ", raw.name);
                password = Some(prompt::password(io::stdin().as_fd(), &question)?);
            }
            _ => break,
        }
    }
    let log = session.end();
    let (accepted, text) = verdict(&log).ok_or_else(|| failure(&log))?;
    crate::print(&format!("{}\n", one_line(&text)))?;
    Ok(ExitCode::from(u8::from(!accepted)))
}

fn own_name() -> String {
    let uid = geteuid();
    users::user(&uid.to_string()).map_or_else(|_| uid.to_string(), |user| user.name)
}

/// A line of the log, `TIME LEVEL ROLE[PID] #CONNECTION: TEXT`.
struct Record<'l> {
    level: &'l str,
    role: &'l str,
    /// It is about the client, and not about the session.
    client: bool,
    text: &'l str,
}

impl<'l> Record<'l> {
    fn read(line: &'l str) -> Option<Self> {
        let (head, text) = line.trim_end().split_once(": ")?;
        let mut words = head.split_whitespace().skip(1);
        let level = words.next()?;
        let (role, _) = words.next()?.split_once('[')?;
        Some(Self {
            level,
            role,
            client: words.next().is_some(),
            text,
        })
    }
}

/// Why there is no session, or no decision: the last error, or what was said last.
fn failure(log: &[String]) -> Error {
    let mut records = log.iter().filter_map(|line| Record::read(line));
    let error = records.rfind(|record| record.level == "error");
    let last = log.last().map_or("it has ended without a word", |line| {
        // The socket is not the person's.
        let line = line.trim_end();
        let placed = line.strip_prefix("--bind=");
        placed
            .and_then(|it| it.split_once(": "))
            .map_or(line, |(_, why)| why)
    });
    Error::new(error.map_or(last, |record| record.text))
}

/// What the log says: is the client let in, and the line for the person.
fn verdict(log: &[String]) -> Option<(bool, String)> {
    let records = log.iter().filter_map(|line| Record::read(line));
    let mut found = None;
    let mut reasons = Vec::new();
    for Record { role, text, .. } in records.filter(|record| record.client) {
        // What the client has said begins with the first quote.
        let (before, _) = text.split_once('`').unwrap_or((text, ""));
        match role {
            "supervisor" if before.ends_with(" is let in as ") => {
                found = Some((true, format!("accepted: {text}")));
            }
            "supervisor" if before.ends_with(", who says to be ") => {
                found = Some((false, format!("refused: {text}")));
            }
            "supervisor" if text.starts_with("auth=") => reasons.push(text),
            role if role.starts_with("auth") && text != "started" => reasons.push(text),
            _ => {}
        }
    }
    let (accepted, mut text) = found?;
    if !reasons.is_empty() {
        text += &format!(" ({})", reasons.join("; "));
    }
    Some((accepted, text))
}

/// A new directory, of this user's, that is removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Self> {
        let fail =
            |error: io::Error| Error::new(format!("no directory in /tmp: {}", reason(&error)));
        let path = mkdtemp("/tmp/bulkhead-auth-test-XXXXXX").map_err(|error| fail(error.into()))?;
        let directory = Self(path);
        // The session's user goes through it, in a start as root.
        let mode = if geteuid().is_root() { 0o711 } else { 0o700 };
        std::fs::set_permissions(&directory.0, Permissions::from_mode(mode)).map_err(fail)?;
        Ok(directory)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The session, which ends with this.
struct Session {
    supervisor: Option<Pid>,
    log: BufReader<File>,
}

impl Session {
    /// Starts it, and waits until it is ready.
    fn start(module: &RawModule, args: &AuthTestArgs, directory: &Path) -> Result<Self> {
        let socket = directory.join(SOCKET);
        // Nothing that a configuration file says: no other socket, no application.
        let start = StartArgs {
            bind: vec![format!("{},auth={module}", socket.display())],
            sessions_dir: Some(directory.to_owned()),
            daemon: Some(false),
            log_format: Some(LogFormat::Human),
            uid: args.uid.clone(),
            sandbox: args.sandbox,
            ..StartArgs::default()
        };
        let (supervisor, output) =
            process::child(|| match start::run(&start, &Typed::default()) {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("{error}");
                    error.code()
                }
            })?;
        secrets::scrub(&[]);
        let mut session = Self {
            supervisor: Some(supervisor),
            log: BufReader::new(output),
        };
        let mut said = Vec::new();
        loop {
            let mut line = String::new();
            match session.log.read_line(&mut line) {
                Ok(1..) if line.contains(" is ready after ") => return Ok(session),
                Ok(1..) => {
                    if line.starts_with("bulkhead: warning: ") {
                        eprint!("{line}");
                    }
                    said.push(line);
                }
                _ => return Err(failure(&said)),
            }
        }
    }

    /// Ends it; what it has logged.
    fn end(&mut self) -> Vec<String> {
        if let Some(supervisor) = self.supervisor {
            let _ = kill(supervisor, Signal::SIGTERM);
        }
        let lines = (&mut self.log)
            .lines()
            .map_while(std::result::Result::ok)
            .collect();
        if let Some(supervisor) = self.supervisor.take() {
            let _ = waitpid(supervisor, None);
        }
        lines
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.supervisor.is_some() {
            self.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn why_there_is_no_session_is_said() {
        let log = "T warn  supervisor[7]: something else\n\
            T error supervisor[7]: multifile of listener 0: its password file, line 1: x\n\
            T info  auth[8]: the process ended with status 1\n";
        assert_eq!(
            failure(&lines(log)).to_string(),
            "multifile of listener 0: its password file, line 1: x"
        );
        let early = "--bind=/tmp/x/socket,auth=file(filename=/y): password file /y: no such file";
        assert_eq!(
            failure(&lines(early)).to_string(),
            "password file /y: no such file"
        );
        assert_eq!(failure(&[]).to_string(), "it has ended without a word");
    }

    #[test]
    fn the_record_of_the_decision_is_what_counts() {
        let start =
            "2026-01-01T00:00:00.000Z info  supervisor[7]: session :9 is ready after 5 ms\n";
        assert_eq!(verdict(&lines(start)), None);
        let yes = "T info  supervisor[7] #2: the local user 5 is let in as `ann` by multifile\n";
        assert_eq!(
            verdict(&lines(&format!("{start}{yes}"))),
            Some((
                true,
                "accepted: the local user 5 is let in as `ann` by multifile".into()
            ))
        );
        let no = "T info  supervisor[7] #1: auth=exec: its command has ended with status 1\n\
            T info  auth-ldap[8] #1: the server says no\n\
            T info  auth-ldap[8] #1: started\n\
            T warn  supervisor[7] #1: x, who says to be `x is let in as y`, is refused by exec: no: x\n";
        let (accepted, text) = verdict(&lines(no)).unwrap();
        assert!(!accepted);
        assert_eq!(
            text,
            "refused: x, who says to be `x is let in as y`, is refused by exec: no: x \
             (auth=exec: its command has ended with status 1; the server says no)"
        );
    }
}
