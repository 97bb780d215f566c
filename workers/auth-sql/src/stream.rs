//! What a server says, in pieces of a known length.

use backend::{Broken, Transport};
use std::time::Instant;
use zeroize::{Zeroize, Zeroizing};

/// Bytes that come at once, at most.
const ROOM: usize = 4096;

/// What is on the way to a server and back.
pub trait Wire {
    /// The next bytes, as many as that.
    ///
    /// # Errors
    /// [`Broken`].
    fn take(&mut self, len: usize) -> Result<Zeroizing<Vec<u8>>, Broken>;

    /// Sends all of it.
    ///
    /// # Errors
    /// [`Broken`].
    fn send(&mut self, bytes: &[u8]) -> Result<(), Broken>;

    /// From now on with TLS.
    ///
    /// # Errors
    /// [`Broken`].
    fn encrypt(&mut self, with: &backend::Tls) -> Result<(), Broken>;

    /// From now on nobody waits for longer than until then.
    fn end_by(&mut self, until: Instant);

    /// Has the server said more than was taken?
    fn is_ahead(&self) -> bool;

    /// Sends a good-bye, if that can be done at once.
    fn leave(&mut self, bytes: &[u8]);
}

/// A connection and what has come. What is taken from it is wiped when it is dropped: there are
/// passwords in it.
pub struct Stream {
    transport: Transport,
    input: Zeroizing<Vec<u8>>,
}

impl Stream {
    /// Nothing is read yet. `most` is the longest that will be taken at once.
    #[must_use]
    pub fn new(transport: Transport, most: usize) -> Self {
        Self {
            transport,
            // No growing, which would leave copies behind.
            input: Zeroizing::new(Vec::with_capacity(most + ROOM)),
        }
    }
}

impl Wire for Stream {
    fn take(&mut self, len: usize) -> Result<Zeroizing<Vec<u8>>, Broken> {
        while self.input.len() < len {
            self.transport.receive(&mut self.input)?;
        }
        let taken = Zeroizing::new(self.input.get(..len).unwrap_or_default().to_vec());
        let rest = self.input.len() - len;
        self.input.copy_within(len.., 0);
        if let Some(left) = self.input.get_mut(rest..) {
            left.zeroize();
        }
        self.input.truncate(rest);
        Ok(taken)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.transport.send(bytes)
    }

    fn encrypt(&mut self, with: &backend::Tls) -> Result<(), Broken> {
        self.transport.encrypt(with)
    }

    fn end_by(&mut self, until: Instant) {
        self.transport.end_by(until);
    }

    fn is_ahead(&self) -> bool {
        !self.input.is_empty()
    }

    fn leave(&mut self, bytes: &[u8]) {
        self.transport.send_last(bytes);
    }
}
