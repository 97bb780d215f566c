//! Bytes to and from the server: on a socket, or on TLS on it. Nobody waits for longer than the check
//! may take.

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, sendmsg};
use runtime::{Interest, PollSet};
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, RootCertStore};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Why the connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The time is over.
    #[error("the server has not answered in time")]
    Late,
    /// The connection has ended.
    #[error("the server has closed the connection")]
    Closed,
    /// What the kernel says.
    #[error("the connection to the server: {0}")]
    Connection(#[from] io::Error),
    /// Nobody whom we trust says that this is the server.
    #[error("the server's certificate is signed by nobody in cacert")]
    Unknown,
    /// It is another server's.
    #[error("the server's certificate is not for {0}: name the server as the certificate does")]
    OtherName(String),
    /// Its time is over.
    #[error("the server's certificate has expired")]
    Expired,
    /// Whatever else is wrong.
    #[error("TLS with the server: {}", short(.0))]
    Tls(rustls::Error),
}

/// An error as the library puts it, which may quote the server.
fn short(error: &rustls::Error) -> String {
    let mut text = error.to_string();
    text.truncate(text.floor_char_boundary(200));
    text
}

impl From<Errno> for Broken {
    fn from(error: Errno) -> Self {
        match error {
            Errno::EPIPE | Errno::ECONNRESET => Self::Closed,
            error => Self::Connection(error.into()),
        }
    }
}

/// How the server proves that it is the right one.
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// The server of this name (or address), whose certificate one of these has signed.
    ///
    /// # Errors
    /// One line.
    pub fn new(name: &str, authorities: Vec<Vec<u8>>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let given = authorities.into_iter().map(CertificateDer::from);
        // Of the system's many, one that is of no use is not missed.
        let (good, _) = roots.add_parsable_certificates(given);
        if good == 0 {
            return Err("no certificate in cacert can be used".into());
        }
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| format!("`{name}` is no name that a certificate could be for"))?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(tls::client()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }

    fn explain(&self, error: rustls::Error) -> Broken {
        match error {
            rustls::Error::InvalidCertificate(error) => match error {
                // Another authority of the same name signs differently.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => Broken::Unknown,
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => {
                    Broken::OtherName(self.name.to_str().into_owned())
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Broken::Expired
                }
                error => Broken::Tls(rustls::Error::InvalidCertificate(error)),
            },
            error => Broken::Tls(error),
        }
    }
}

/// A connection to the server.
pub struct Transport {
    socket: Socket,
    until: Instant,
    tls: Option<Box<ClientConnection>>,
}

impl Transport {
    /// On a socket that is connected, until then.
    #[must_use]
    pub fn new(socket: OwnedFd, until: Instant) -> Self {
        Self {
            socket: Socket(socket),
            until,
            tls: None,
        }
    }

    /// From now on with TLS; returns when the server has proved who it is.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn encrypt(&mut self, with: &Tls) -> Result<(), Broken> {
        let tls = ClientConnection::new(Arc::clone(&with.config), with.name.clone());
        let mut tls = Box::new(tls.map_err(Broken::Tls)?);
        while tls.is_handshaking() {
            self.flush(&mut tls)?;
            if tls.is_handshaking() {
                let heard = self.hear(&mut tls);
                // What there is to say to the server about it, it is told.
                let told = self.flush(&mut tls);
                heard?.map_err(|error| with.explain(error))?;
                told?;
            }
        }
        self.flush(&mut tls)?;
        self.tls = Some(tls);
        Ok(())
    }

    /// From now on it ends then, if that is earlier.
    pub fn end_by(&mut self, until: Instant) {
        self.until = self.until.min(until);
    }

    /// What is left of the time.
    ///
    /// # Errors
    /// Nothing.
    pub fn left(&self) -> Result<Duration, Broken> {
        let left = self.until.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(Broken::Late),
            false => Ok(left),
        }
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn send(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        if let Some(mut tls) = self.tls.take() {
            let taken = tls.writer().write_all(bytes).map_err(Broken::from);
            let result = taken.and_then(|()| self.flush(&mut tls));
            // Whatever happens: never in clear again.
            self.tls = Some(tls);
            return result;
        }
        while !bytes.is_empty() {
            match self.socket.send(&[IoSlice::new(bytes)]) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(Errno::EAGAIN) => self.wait(Interest::Write)?,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Sends it, if that can be done at once.
    pub fn send_last(&mut self, bytes: &[u8]) {
        self.until = Instant::now();
        // The answer is there; nobody is waited for.
        let _ = self.send(bytes);
    }

    /// Adds to this what comes next: at least a byte.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn receive(&mut self, into: &mut Vec<u8>) -> Result<(), Broken> {
        let mut bytes = Zeroizing::new([0; 4096]);
        if let Some(mut tls) = self.tls.take() {
            let result = self.receive_tls(&mut tls, &mut *bytes);
            self.tls = Some(tls);
            let count = result?;
            into.extend_from_slice(bytes.get(..count).unwrap_or_default());
            return self.left().map(drop);
        }
        loop {
            match self.socket.receive(&mut *bytes) {
                Ok(0) => return Err(Broken::Closed),
                Ok(count) => {
                    into.extend_from_slice(bytes.get(..count).unwrap_or_default());
                    // Somebody who sends for ever is not listened to for longer.
                    return self.left().map(drop);
                }
                Err(Errno::EAGAIN) => self.wait(Interest::Read)?,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn receive_tls(&self, tls: &mut ClientConnection, bytes: &mut [u8]) -> Result<usize, Broken> {
        loop {
            match tls.reader().read(bytes) {
                Ok(0) => return Err(Broken::Closed),
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // It went without a word.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(Broken::Closed);
                }
                Err(error) => return Err(error.into()),
            }
            self.hear(tls)?.map_err(Broken::Tls)?;
            self.flush(tls)?;
        }
    }

    /// Takes what comes from the socket; what TLS says of it is the inner result.
    fn hear(&self, tls: &mut ClientConnection) -> Result<Result<(), rustls::Error>, Broken> {
        loop {
            self.left()?;
            match tls.read_tls(&mut &self.socket) {
                Ok(0) => return Err(Broken::Closed),
                Ok(_) => return Ok(tls.process_new_packets().map(drop)),
                Err(error) => self.again(error, Interest::Read)?,
            }
        }
    }

    /// Writes what TLS has to say.
    fn flush(&self, tls: &mut ClientConnection) -> Result<(), Broken> {
        while tls.wants_write() {
            if let Err(error) = tls.write_tls(&mut &self.socket) {
                self.again(error, Interest::Write)?;
            }
        }
        Ok(())
    }

    /// Waits, if that is all that is wrong.
    fn again(&self, error: io::Error, interest: Interest) -> Result<(), Broken> {
        match error.kind() {
            io::ErrorKind::WouldBlock => self.wait(interest),
            io::ErrorKind::Interrupted => Ok(()),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Err(Broken::Closed),
            _ => Err(error.into()),
        }
    }

    fn wait(&self, interest: Interest) -> Result<(), Broken> {
        let mut set = PollSet::new();
        set.add(self.socket.0.as_fd(), interest);
        set.wait(Some(self.left()?))?;
        Ok(())
    }
}

/// The socket, which never waits.
struct Socket(OwnedFd);

impl Socket {
    fn send(&self, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        sendmsg::<()>(self.0.as_raw_fd(), slices, &[], flags, None)
    }

    fn receive(&self, bytes: &mut [u8]) -> Result<usize, Errno> {
        recv(self.0.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT)
    }
}

impl Read for &Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(self.receive(bytes)?)
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.send(&[IoSlice::new(bytes)])?)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(self.send(slices)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
