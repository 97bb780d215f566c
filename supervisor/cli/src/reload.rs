//! `bulkhead reload`: the certificates and keys of a running session, opened anew by their names and
//! brought to its supervisor, which can open nothing itself.
//!
//! The names are in a record that the start has left in the session directory, where only who
//! started the session can write. The session is not believed when it comes to what root opens: it
//! is not even asked.

use crate::certificate;
use crate::claim::{connect_in, open_session_dir};
use crate::error::{Error, Result, one_line, reason};
use crate::find::{only_display, session_dir};
use crate::options::ReloadArgs;
use crate::places::{Places, RELOAD_RECORD, RELOAD_SOCKET};
use crate::secrets;
use crate::start::{check_versions, open_pair};
use crate::tls::{self, Pair, PassPhrase, Tls};
use crate::users;
use files::Ids;
use ipc::reload::{CommandToSupervisor, MAX_REASON, SupervisorToCommand};
use ipc::spec::{self, KeysSpec, ListenerKey, SessionUser};
use ipc::tls::Suite;
use ipc::{Channel, ChannelError, ListenerId};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf, absolute};
use std::time::{Duration, Instant};

/// The session gives up after ten seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is to be opened again, and what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The session's user, in a start as root.
    user: Option<SessionUser>,
    /// As `keys` was told at the start.
    keys: KeysSpec,
    sockets: Vec<Socket>,
}

/// A socket with TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Socket {
    listener: ListenerId,
    /// Its address.
    name: String,
    certificate: PathBuf,
    key: PathBuf,
    /// The file of a pass phrase. One that is somewhere else is what [`tls::VARIABLE`] says now; if
    /// that says nothing, it stays what it was.
    pass_phrase: Option<PathBuf>,
    /// What it speaks, as far as the certificate's key fits.
    suites: Vec<Suite>,
}

impl Record {
    /// Of these listeners of a session.
    ///
    /// # Errors
    /// There is no certificate any more.
    pub fn new<'a>(
        user: Option<&SessionUser>,
        keys: &KeysSpec,
        listeners: impl Iterator<Item = (&'a str, Option<&'a Tls>)>,
    ) -> Result<Self> {
        let mut sockets = Vec::new();
        for (listener, (name, tls)) in (0..).map(ListenerId).zip(listeners) {
            let Some(tls) = tls else { continue };
            let full = |path: &Path| {
                absolute(path)
                    .map_err(|error| Error::new(format!("{}: {}", path.display(), reason(&error))))
            };
            let Pair { certificate, key } = tls.pair()?;
            sockets.push(Socket {
                listener,
                name: name.to_owned(),
                certificate: full(&certificate)?,
                key: full(&key)?,
                pass_phrase: match &tls.pass_phrase {
                    Some(PassPhrase::File(path)) => Some(full(path)?),
                    Some(PassPhrase::Text(_)) | None => None,
                },
                suites: tls.suites.clone(),
            });
        }
        Ok(Self {
            user: user.cloned(),
            keys: keys.clone(),
            sockets,
        })
    }

    /// Does no socket have a certificate?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Leaves it in a session directory.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, session_dir: &Path) -> Result<()> {
        let path = session_dir.join(RELOAD_RECORD);
        let write = || -> io::Result<()> {
            let bytes = spec::encode(self)?;
            let mut options = File::options();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(&bytes)
        };
        write().map_err(|error| Error::new(format!("{}: {}", path.display(), reason(&error))))
    }

    /// Removes that of an earlier session, and its socket.
    pub fn remove(session_dir: &Path) {
        for name in [RELOAD_RECORD, RELOAD_SOCKET] {
            let _ = fs::remove_file(session_dir.join(name));
        }
    }

    /// Reads that of a session directory of ours.
    fn load(dir: &OwnedFd) -> Result<Self> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let read = || -> io::Result<Self> {
            let file = File::from(openat(dir, RELOAD_RECORD, flags, Mode::empty())?);
            let meta = file.metadata()?;
            let me = nix::unistd::geteuid().as_raw();
            let ours = meta.is_file() && meta.uid() == me && meta.mode() & 0o022 == 0;
            match ours && meta.nlink() == 1 {
                true => spec::read(&file),
                false => Err(io::Error::other("it is not what the start has written")),
            }
        };
        read().map_err(|error| {
            Error::new(match error.kind() {
                ErrorKind::NotFound => {
                    "it has no socket with TLS that could get another certificate".to_owned()
                }
                _ => format!("{RELOAD_RECORD}: {}", reason(&error)),
            })
        })
    }
}

/// What is brought to the session.
#[derive(Debug)]
struct Brought {
    messages: Vec<(CommandToSupervisor, Option<OwnedFd>)>,
    /// What to tell whoever has asked for it.
    lines: Vec<String>,
    warnings: Vec<String>,
}

impl Brought {
    /// Opens and checks everything that the record names.
    fn open(record: Record) -> Result<Self> {
        let Record {
            user,
            mut keys,
            sockets,
        } = record;
        let user = user.as_ref().map(Ids::from);
        let mut brought = Self {
            messages: Vec::new(),
            lines: Vec::new(),
            warnings: Vec::new(),
        };
        let names: Vec<_> = sockets
            .iter()
            .map(|it| (it.listener, it.name.clone()))
            .collect();
        for socket in sockets {
            let name = socket.name.clone();
            let opened = brought.socket(&mut keys, socket, user);
            opened.map_err(|error| error.at(name))?;
        }
        let held = names.iter().filter_map(|(listener, name)| {
            let held = keys.listeners.get(usize::from(listener.0))?.as_ref()?;
            Some((name.as_str(), held))
        });
        check_versions(&held.collect::<Vec<_>>())?;
        let bytes = spec::encode(&keys).map_err(|error| Error::new(reason(&error)))?;
        let spec = secrets::sealed(&bytes)?;
        brought
            .messages
            .push((CommandToSupervisor::Install, Some(spec)));
        Ok(brought)
    }

    fn socket(&mut self, keys: &mut KeysSpec, socket: Socket, user: Option<Ids>) -> Result<()> {
        let place = usize::from(socket.listener.0);
        let Some(Some(ListenerKey::Tls(held))) = keys.listeners.get_mut(place) else {
            return Err(Error::new(
                "the session's record is damaged: start it again",
            ));
        };
        let pair = Pair {
            certificate: socket.certificate,
            key: socket.key,
        };
        let (chain, suites, secret) = open_pair(&pair, &socket.suites, user)?;
        self.warnings.extend(secret.warnings);
        self.secret(held.secret, secret.fd);
        let pass_phrase = match &socket.pass_phrase {
            Some(path) => {
                let secret = secrets::key_copy(path, user)?;
                self.warnings.extend(secret.warnings);
                Some(secret.fd)
            }
            None if std::env::var_os(tls::VARIABLE).is_some() => {
                Some(secrets::variable("TLS", tls::VARIABLE)?)
            }
            None => None,
        };
        if let (Some(place), Some(fd)) = (held.pass_phrase, pass_phrase) {
            self.secret(place, fd);
        }
        let certificate::Chain {
            certificates,
            kind,
            public,
            until,
        } = chain;
        self.lines.push(format!(
            "{}: {} ({}), good until {until}",
            socket.name,
            pair.certificate.display(),
            kind.name()
        ));
        (held.kind, held.public) = (kind, public);
        let certificate = CommandToSupervisor::Certificate {
            listener: socket.listener,
            chain: certificates,
            key: kind,
            suites,
        };
        self.messages.push((certificate, None));
        Ok(())
    }

    fn secret(&mut self, place: u16, fd: OwnedFd) {
        let message = CommandToSupervisor::Secret { place };
        self.messages.push((message, Some(fd)));
    }
}

/// Has a session use the certificates and keys that are in its files now.
///
/// # Errors
/// There is no such session of this user's, a file is not as it has to be, or the session says why
/// not; then everything is as it was.
pub fn run(args: &ReloadArgs) -> Result<()> {
    let places = Places::find(&args.places)?;
    let display = match args.display {
        Some(display) => display,
        None => only_display(&places)?,
    };
    let session = format!("session :{display}");
    let dir = session_dir(display, &places).ok_or_else(|| {
        Error::new(format!(
            "there is no session :{display}; bulkhead list shows those there are"
        ))
    })?;
    let at = |error: Error| error.at(&session);
    let dir = open(&dir).map_err(at)?;
    let record = Record::load(&dir).map_err(at)?;
    // Everything first: a session does not wait for who comes with nothing.
    let opened = Brought::open(record.clone());
    let messages = match &opened {
        Ok(_) => None,
        Err(error) => {
            let mut reason = error.to_string();
            reason.truncate(reason.floor_char_boundary(MAX_REASON));
            Some(vec![(CommandToSupervisor::GiveUp { reason }, None)])
        }
    };
    let socket = visit(&dir, &record);
    if let (Some(messages), Ok(socket)) = (messages, &socket) {
        // For its log; the error is said here in any case.
        let socket = socket
            .try_clone()
            .map_err(|error| Error::new(reason(&error)));
        let _ = socket.and_then(|socket| tell(socket, messages));
    }
    let brought = opened.map_err(at)?;
    for warning in &brought.warnings {
        eprintln!("bulkhead: warning: {}", one_line(warning));
    }
    let answer = socket.and_then(|socket| tell(socket, brought.messages));
    let answer = answer.map_err(at)?;
    match answer {
        SupervisorToCommand::Done => {
            let lines = brought.lines.iter().map(|line| one_line(line) + "\n");
            crate::print(&lines.collect::<String>())
        }
        SupervisorToCommand::Refused { reason } => Err(Error::new(format!(
            "{session} goes on with the certificates that it has: {reason}"
        ))),
    }
}

/// A session directory of ours.
fn open(path: &Path) -> Result<OwnedFd> {
    let fail = |why: &str| Error::new(format!("{}: {why}", path.display()));
    let dir = open_session_dir(path).ok_or_else(|| fail("is no directory that can be opened"))?;
    let meta = dir.try_clone().and_then(|dir| File::from(dir).metadata());
    let meta = meta.map_err(|error| fail(&reason(&error)))?;
    if meta.uid() != nix::unistd::geteuid().as_raw() {
        let owner = users::user(&meta.uid().to_string())
            .map_or_else(|_| meta.uid().to_string(), |user| user.name);
        return Err(Error::new(format!(
            "{owner} has started it, and nobody else can do this: runuser -u {owner} -- bulkhead reload …"
        )));
    }
    match meta.mode() & 0o022 {
        0 => Ok(dir),
        _ => Err(fail("others can write there")),
    }
}

/// A connection to the session that has left this record.
fn visit(dir: &OwnedFd, record: &Record) -> Result<OwnedFd> {
    let socket = match connect_in(dir, RELOAD_SOCKET) {
        Ok(Some(socket)) => socket,
        Ok(None) => return Err(Error::new("somebody else listens for it")),
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => {
            return Err(Error::new(
                "there is no server any more; bulkhead list says what can be done",
            ));
        }
        Err(Errno::EAGAIN) => {
            return Err(Error::new("others do this at the moment: try again"));
        }
        Err(error) => return Err(Error::new(reason(&error.into()))),
    };
    match Record::load(dir)? == *record {
        true => Ok(socket),
        false => Err(Error::new("it was started again meanwhile: try again")),
    }
}

/// Brings everything, and waits for the answer.
fn tell(
    socket: OwnedFd,
    messages: Vec<(CommandToSupervisor, Option<OwnedFd>)>,
) -> Result<SupervisorToCommand> {
    let end = Instant::now() + PATIENCE;
    let mut channel = Channel::<CommandToSupervisor, SupervisorToCommand>::new(socket);
    for (message, fd) in messages {
        match channel.send(&message, fd.into_iter().collect()) {
            // It may have said why.
            Ok(()) | Err(ChannelError::Closed) => {}
            Err(error) => return Err(Error::new(error.to_string())),
        }
    }
    loop {
        match channel.receive() {
            Ok(Some((answer, _))) => return Ok(answer),
            Ok(None) => {}
            Err(ChannelError::Closed) => {
                return Err(Error::new("it has ended without an answer: see its log"));
            }
            Err(error) => return Err(Error::new(error.to_string())),
        }
        let left = end.saturating_duration_since(Instant::now());
        let left = channel.retry_at().map_or(left, |at| {
            left.min(at.saturating_duration_since(Instant::now()))
        });
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, channel.awaits_socket());
        if Instant::now() >= end {
            return Err(Error::new("it does not answer: see its log"));
        }
        let patience = PollTimeout::try_from(left + Duration::from_millis(1));
        let mut fds = [PollFd::new(channel.as_fd(), flags)];
        match poll(&mut fds, patience.unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Error::new(reason(&error.into()))),
        }
        match channel.flush() {
            Ok(()) | Err(ChannelError::Closed) => {}
            Err(error) => return Err(Error::new(error.to_string())),
        }
    }
}
