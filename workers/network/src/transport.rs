//! What carries the bytes of a connection: the socket itself, or TLS on it. It is the listener that
//! says which; a client has a choice only where the listener leaves it one, and then its first byte
//! decides, once.

use crate::tls::{HANDSHAKE, Tls, TlsError};

/// What carries the bytes of a connection.
#[derive(Debug)]
pub enum Transport {
    /// The socket.
    Plain,
    /// The client's first byte decides.
    Either(Box<Tls>),
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

    /// Bytes came from the client; `hear` gets what they mean. Whether there may be more.
    ///
    /// # Errors
    /// The connection has to end.
    pub fn hear(&mut self, bytes: &[u8], mut hear: impl FnMut(&[u8])) -> Result<bool, TlsError> {
        let begins = bytes.first() == Some(&HANDSHAKE);
        if let Self::Either(_) = self
            && let Self::Either(tls) = std::mem::replace(self, Self::Plain)
            && begins
        {
            *self = Self::Tls(tls, false);
        }
        match self {
            Self::Plain | Self::Either(_) => {
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
