//! Where a server is, and the socket to it.

use crate::options::Options;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wire::packet::{Packet, UpgradePacket};
use wire::record::RecordWriter;

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Host and port.
    Tcp(String),
    /// Path of a socket.
    Unix(PathBuf),
    /// Abstract name of a socket.
    Abstract(String),
    /// Host and port, with TLS, and the certificate of the authority that the server's is signed
    /// with; what the client shows itself; and whether it speaks TLS 1.2, and not 1.3.
    Tls(String, CertificateDer<'static>, Option<Identity>, bool),
    /// The same of one that begins in clear, and changes to TLS when it is asked to.
    Changing(String, CertificateDer<'static>),
}

/// A certificate of a client, with those that it is signed with, as DER; and a key, which need not be
/// its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its own is the first.
    pub chain: Vec<Vec<u8>>,
    /// In PKCS #8, PKCS #1 or SEC 1.
    pub key: Vec<u8>,
}

impl Address {
    /// Host and port, with TLS, and the authority's certificate as DER.
    #[must_use]
    pub fn tls(name: String, authority: &[u8]) -> Self {
        Self::Tls(name, CertificateDer::from(authority.to_vec()), None, false)
    }

    /// The same, of a client that begins in clear.
    #[must_use]
    pub fn changing(self) -> Self {
        match self {
            Self::Tls(name, authority, ..) => Self::Changing(name, authority),
            other => other,
        }
    }

    /// The same, of a client that speaks TLS 1.2 and nothing newer.
    #[must_use]
    pub fn old(self) -> Self {
        match self {
            Self::Tls(name, authority, identity, _) => Self::Tls(name, authority, identity, true),
            other => other,
        }
    }

    /// The same, with a certificate of the client's.
    #[must_use]
    pub fn showing(self, identity: Identity) -> Self {
        match self {
            Self::Tls(name, authority, _, old) => Self::Tls(name, authority, Some(identity), old),
            other => other,
        }
    }

    /// `tcp://HOST:PORT`, `HOST:PORT`, `socket:///PATH`, `unix:///PATH`, `/PATH` or `@NAME`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix("tcp://") {
            return Some(Self::Tcp(rest.trim_end_matches('/').into()));
        }
        if let Some(name) = text.strip_prefix('@') {
            return Some(Self::Abstract(name.into()));
        }
        let path = ["socket://", "unix://"]
            .into_iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        match path.unwrap_or(text) {
            path if path.starts_with('/') => Some(Self::Unix(path.into())),
            host if host.contains(':') && !host.contains('/') => Some(Self::Tcp(host.into())),
            _ => None,
        }
    }
}

/// A connected socket.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Socket {
    pub fn connect(address: &Address, timeout: Duration) -> io::Result<Self> {
        match address {
            Address::Tcp(name) | Address::Tls(name, ..) | Address::Changing(name, _) => {
                Self::on(address, tcp(name, timeout)?, timeout)
            }
            Address::Unix(path) => Ok(Self::Unix(UnixStream::connect(path)?)),
            Address::Abstract(name) => {
                let address = SocketAddr::from_abstract_name(name)?;
                Ok(Self::Unix(UnixStream::connect_addr(&address)?))
            }
        }
    }

    /// On a connection to there that somebody has made.
    pub fn on(address: &Address, mut socket: TcpStream, timeout: Duration) -> io::Result<Self> {
        socket.set_read_timeout(Some(timeout))?;
        let tls = match address {
            Address::Tcp(_) | Address::Unix(_) | Address::Abstract(_) => {
                return Ok(Self::Tcp(socket));
            }
            Address::Tls(name, authority, identity, old) => {
                tls(name, authority, identity.as_ref(), *old)
            }
            Address::Changing(name, authority) => {
                change(&mut socket)?;
                tls(name, authority, None, false)
            }
        };
        let mut tls = tls.map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(tls, socket))))
    }

    /// Bytes, `None` when none came in time, `Some(0)` at the end.
    pub fn read(&mut self, buffer: &mut [u8], timeout: Duration) -> io::Result<Option<usize>> {
        // Zero would mean: for ever.
        let timeout = Some(timeout.max(Duration::from_micros(1)));
        let result = match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.read(buffer)
            }
            Self::Tls(stream) => {
                stream.sock.set_read_timeout(timeout)?;
                stream.read(buffer)
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.read(buffer)
            }
        };
        match result {
            Ok(length) => Ok(Some(length)),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(Some(0)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Some(0)),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            },
        }
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.sock.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

fn tcp(name: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "no such host");
    for address in name.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Says in clear that it could change to TLS, and waits for the question.
fn change(socket: &mut TcpStream) -> io::Result<()> {
    let mut hello = Options::gtk().hello;
    hello.network.packet_types = vec![UpgradePacket::NAME.to_owned()];
    let writer = RecordWriter::new(false);
    let record = |packet: &Packet| writer.record(packet, true).map_err(io::Error::other);
    socket.write_all(&record(&hello.into_packet())?)?;
    // The answer is the same packet.
    let question = record(&UpgradePacket::question())?;
    let mut asked = vec![0; question.len()];
    socket.read_exact(&mut asked)?;
    match asked == question {
        true => socket.write_all(&question),
        false => Err(io::Error::other("not asked to change to TLS")),
    }
}

/// TLS with a server that this authority vouches for.
fn tls(
    name: &str,
    authority: &CertificateDer<'static>,
    identity: Option<&Identity>,
    old: bool,
) -> Result<ClientConnection, Box<dyn std::error::Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone())?;
    let version = match old {
        true => &rustls::version::TLS12,
        false => &rustls::version::TLS13,
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])?
        .with_root_certificates(roots);
    let config = match identity {
        None => config.with_no_client_auth(),
        Some(Identity { chain, key }) => {
            let chain = chain.iter().cloned().map(CertificateDer::from).collect();
            let key = PrivateKeyDer::try_from(key.clone())?;
            // Not checked: it may be another's.
            let both = CertifiedKey::new(chain, aws_lc_rs::sign::any_supported_type(&key)?);
            config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(both)))
        }
    };
    let host = name.rsplit_once(':').map_or(name, |(host, _)| host);
    let host = ServerName::try_from(host.to_owned())?;
    Ok(ClientConnection::new(Arc::new(config), host)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let tcp = |text: &str| Some(Address::Tcp(text.into()));
        let unix = |path: &str| Some(Address::Unix(path.into()));
        assert_eq!(
            Address::parse("tcp://127.0.0.1:10000/"),
            tcp("127.0.0.1:10000")
        );
        assert_eq!(Address::parse("localhost:1"), tcp("localhost:1"));
        assert_eq!(Address::parse("socket:///run/x"), unix("/run/x"));
        assert_eq!(Address::parse("/run/x"), unix("/run/x"));
        let name = Address::Abstract("xpra/7".into());
        assert_eq!(Address::parse("@xpra/7"), Some(name));
        assert_eq!(Address::parse("nonsense"), None);
    }
}
