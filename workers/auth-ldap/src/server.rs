//! The conversation with the server.

use crate::ber::{self, Malformed};
use crate::message::{self, Answer};
use crate::names::{self, BadName};
use ipc::spec::LdapUser;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, sendmsg};
use runtime::{Interest, PollSet};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Longest message of the server's: answers to us are short.
const MAX_MESSAGE: usize = 64 * 1024;
/// Most messages to one search: the entries, and references beside them.
const MAX_ANSWERS: usize = 64;

/// Result codes (RFC 4511, appendix A.1).
const SUCCESS: u32 = 0;
const SIZE_LIMIT: u32 = 4;
const NO_SUCH_OBJECT: u32 = 32;
const INVALID_NAME: u32 = 34;
/// An entry without a password.
const INAPPROPRIATE: u32 = 48;
const INVALID_CREDENTIALS: u32 = 49;
const ACCESS: u32 = 50;

/// Why the server cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The name, before anybody was asked.
    #[error(transparent)]
    Name(#[from] BadName),
    /// The time is over.
    #[error("the server has not answered in time")]
    Late,
    /// The connection has ended.
    #[error("the server has closed the connection")]
    Closed,
    /// What the kernel says.
    #[error("the connection to the server: {0}")]
    Connection(#[from] Errno),
    /// It says what is no answer.
    #[error("the server gives {0}")]
    Malformed(#[from] Malformed),
    /// The server lets nobody search, or not with that password.
    #[error("the server refuses the search-user (result code {0})")]
    Reader(u32),
    /// The server does not search there.
    #[error("the search has failed (result code {0})")]
    Search(u32),
    /// Who is meant is not clear.
    #[error("the search finds more than one entry")]
    TwoEntries,
    /// It says something else than yes or no.
    #[error("the server answers with result code {0}")]
    Code(u32),
}

/// How the server is asked.
pub struct Server {
    /// Which entry a user is.
    pub user: LdapUser,
    /// The password of who searches, if somebody does.
    pub reader_password: Option<Zeroizing<String>>,
}

impl Server {
    /// Do they belong together? The password is wiped when the server has it, before its answer.
    ///
    /// # Errors
    /// [`Failure`]: then the answer is no, too.
    pub fn ask(
        &self,
        socket: OwnedFd,
        username: &str,
        password: Zeroizing<String>,
        until: Instant,
    ) -> Result<bool, Failure> {
        // To an LDAP server this is nobody's password, and right.
        if password.is_empty() {
            return Ok(false);
        }
        // What cannot be asked is not asked.
        names::sane(username)?;
        let mut connection = Connection {
            socket,
            until,
            input: Vec::new(),
            last: 0,
        };
        let (name, found) = match &self.user {
            LdapUser::Name(format) => (names::entry(format, username)?, true),
            LdapUser::Search {
                base,
                attribute,
                reader,
            } => {
                if let (Some(reader), Some(password)) = (reader, &self.reader_password) {
                    let id = connection.ask_to_bind(reader, password)?;
                    match connection.bound(id)? {
                        SUCCESS => {}
                        code => return Err(Failure::Reader(code)),
                    }
                }
                match connection.search(base, attribute, username)? {
                    Some(name) => (name, true),
                    None => (names::nobody(base), false),
                }
            }
        };
        let id = connection.ask_to_bind(&name, &password)?;
        drop(password);
        let code = connection.bound(id)?;
        connection.leave();
        match code {
            SUCCESS => Ok(found),
            INVALID_CREDENTIALS | NO_SUCH_OBJECT | INVALID_NAME | INAPPROPRIATE | ACCESS => {
                Ok(false)
            }
            code => Err(Failure::Code(code)),
        }
    }
}

/// A connected socket, and where we are on it.
struct Connection {
    socket: OwnedFd,
    until: Instant,
    /// What has come and is not read.
    input: Vec<u8>,
    /// The id of the last request.
    last: u32,
}

impl Connection {
    fn next_id(&mut self) -> u32 {
        self.last += 1;
        self.last
    }

    /// The id of the request.
    fn ask_to_bind(&mut self, name: &str, password: &str) -> Result<u32, Failure> {
        let id = self.next_id();
        self.send(&message::bind(id, name, password))?;
        Ok(id)
    }

    /// The result code of a bind.
    fn bound(&mut self, id: u32) -> Result<u32, Failure> {
        match self.answer(id)? {
            Answer::Bind(code) => Ok(code),
            _ => Err(Malformed.into()),
        }
    }

    /// The one entry that matches.
    fn search(
        &mut self,
        base: &str,
        attribute: &str,
        value: &str,
    ) -> Result<Option<String>, Failure> {
        let id = self.next_id();
        let seconds = u16::try_from(self.left()?.as_secs()).unwrap_or(u16::MAX);
        self.send(&message::search(id, base, attribute, value, seconds.max(1)))?;
        let mut found = None;
        for _ in 0..MAX_ANSWERS {
            match self.answer(id)? {
                Answer::Entry(name) => {
                    // The name of the root is nobody's.
                    if name.is_empty() {
                        return Err(Malformed.into());
                    }
                    if found.replace(name).is_some() {
                        return Err(Failure::TwoEntries);
                    }
                }
                Answer::Reference => {}
                Answer::Done(SUCCESS) => return Ok(found),
                Answer::Done(SIZE_LIMIT) => return Err(Failure::TwoEntries),
                Answer::Done(code) => return Err(Failure::Search(code)),
                Answer::Bind(_) => return Err(Malformed.into()),
            }
        }
        Err(Malformed.into())
    }

    /// Says good-bye, if that can be said at once: the answer is there.
    fn leave(&mut self) {
        let id = self.next_id();
        let _ = self.try_send(&message::unbind(id));
    }

    fn left(&self) -> Result<Duration, Failure> {
        let left = self.until.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(Failure::Late),
            false => Ok(left),
        }
    }

    fn wait(&self, interest: Interest) -> Result<(), Failure> {
        let mut set = PollSet::new();
        set.add(self.socket.as_fd(), interest);
        set.wait(Some(self.left()?))?;
        Ok(())
    }

    fn try_send(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let fd = self.socket.as_raw_fd();
        sendmsg::<()>(fd, &[IoSlice::new(bytes)], &[], flags, None)
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        while !bytes.is_empty() {
            match self.try_send(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::EAGAIN) => self.wait(Interest::Write)?,
                Err(Errno::EINTR) => {}
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(Failure::Closed),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next message, which must answer the request with this id.
    fn answer(&mut self, id: u32) -> Result<Answer, Failure> {
        loop {
            if let Some(len) = ber::length(&self.input, MAX_MESSAGE)?
                && len <= self.input.len()
            {
                let answer = message::read(&self.input[..len], id);
                self.input.drain(..len);
                return Ok(answer?);
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> Result<(), Failure> {
        let mut bytes = [0; 4096];
        loop {
            match recv(self.socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
                Ok(0) | Err(Errno::ECONNRESET) => return Err(Failure::Closed),
                Ok(len) => {
                    self.input.extend_from_slice(&bytes[..len]);
                    // Somebody who sends for ever is not listened to for longer.
                    return self.left().map(drop);
                }
                Err(Errno::EAGAIN) => self.wait(Interest::Read)?,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
