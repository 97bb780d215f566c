//! What carries the bytes of a connection: the socket itself, or TLS on it. It is the listener that
//! says which; a client has a choice only where the listener leaves it one, and then its first byte
//! decides, and what is agreed in clear, once.

use crate::tls::{HANDSHAKE, Tls, TlsError};

/// What carries the bytes of a connection.
#[derive(Debug)]
pub enum Transport {
    /// The socket.
    Plain,
    /// The client's first byte decides.
    Either(Box<Tls>),
    /// The socket, and TLS on it if the client is asked to change to that and does.
    Clear(Box<Tls>),
    /// TLS; has the client said anything?
    Tls(Box<Tls>, bool),
}

impl Transport {
    /// TLS, for all (`optional`: for those who want it).
    #[must_use]
    pub fn tls(tls: Tls, optional: bool) -> Self {
        match optional {
            true => Self::Either(Box::new(tls)),
            false => Self::Tls(Box::new(tls), false),
        }
    }

    /// Are these bytes in clear, of a client that could have TLS?
    #[must_use]
    pub fn could_be_tls(&self, bytes: &[u8]) -> bool {
        match self {
            Self::Either(_) => bytes.first() != Some(&HANDSHAKE),
            Self::Clear(_) => true,
            Self::Plain | Self::Tls(..) => false,
        }
    }

    /// It has been agreed that what comes next is TLS.
    ///
    /// # Errors
    /// There is none: the connection has to end, and must not go on in clear.
    pub fn upgrade(&mut self) -> Result<(), TlsError> {
        match std::mem::replace(self, Self::Plain) {
            Self::Clear(tls) => {
                *self = Self::Tls(tls, false);
                Ok(())
            }
            _ => Err(TlsError::Clear),
        }
    }

    /// It stays as it is: who could sign is let go.
    pub fn settle(&mut self) {
        if let Self::Clear(_) = self {
            *self = Self::Plain;
        }
    }

    /// Bytes came from the client; `hear` gets what they mean. Whether there may be more.
    ///
    /// # Errors
    /// The connection has to end.
    pub fn hear(&mut self, bytes: &[u8], mut hear: impl FnMut(&[u8])) -> Result<bool, TlsError> {
        let begins = bytes.first() == Some(&HANDSHAKE);
        if let Self::Either(_) = self
            && let Self::Either(tls) = std::mem::replace(self, Self::Plain)
        {
            *self = match begins {
                true => Self::Tls(tls, false),
                false => Self::Clear(tls),
            };
        }
        match self {
            Self::Plain | Self::Either(_) | Self::Clear(_) => {
                hear(bytes);
                Ok(true)
            }
            Self::Tls(_, false) if !begins => Err(TlsError::Clear),
            Self::Tls(tls, begun) => {
                *begun = true;
                tls.take_in(bytes, hear)
            }
        }
    }
}
