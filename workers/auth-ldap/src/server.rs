//! The conversation with the server.

use crate::ber::{self, Malformed};
use crate::message::{self, Answer};
use crate::names::{self, BadName};
use backend::{Broken, Tls, Transport};
use ipc::spec::LdapUser;
use std::os::fd::OwnedFd;
use std::time::Instant;
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
    /// The connection.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It has no TLS, or does not want to.
    #[error("the server refuses StartTLS (result code {0})")]
    StartTls(u32),
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
    /// How what it is told is kept from others, if it is.
    pub tls: Option<Encryption>,
}

/// How a connection is encrypted.
pub struct Encryption {
    /// As whom the server has to prove itself.
    pub tls: Tls,
    /// It is asked for TLS first, in clear (StartTLS, RFC 4511, section 4.14).
    pub ask: bool,
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
            transport: Transport::new(socket, until),
            input: Vec::new(),
            last: 0,
        };
        if let Some(encryption) = &self.tls {
            if encryption.ask {
                connection.start_tls()?;
            }
            connection.transport.encrypt(&encryption.tls)?;
        }
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

/// A connection, and where we are on it.
struct Connection {
    transport: Transport,
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

    /// Asks for TLS, and hears that it may begin.
    fn start_tls(&mut self) -> Result<(), Failure> {
        let id = self.next_id();
        self.send(&message::start_tls(id))?;
        match self.answer(id)? {
            // What comes before TLS could be anybody's, and would be taken for what comes after.
            Answer::Extended(SUCCESS) if self.input.is_empty() => Ok(()),
            Answer::Extended(SUCCESS) => Err(Malformed.into()),
            Answer::Extended(code) => Err(Failure::StartTls(code)),
            _ => Err(Malformed.into()),
        }
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
        let seconds = u16::try_from(self.transport.left()?.as_secs()).unwrap_or(u16::MAX);
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
                Answer::Bind(_) | Answer::Extended(_) => return Err(Malformed.into()),
            }
        }
        Err(Malformed.into())
    }

    /// Says good-bye, if that can be said at once: the answer is there.
    fn leave(&mut self) {
        let id = self.next_id();
        self.transport.send_last(&message::unbind(id));
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.transport.send(bytes)?)
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
            self.transport.receive(&mut self.input)?;
        }
    }
}
