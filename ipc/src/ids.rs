//! Names of things that more than one process talks about.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One accepted connection. Given by the supervisor, never reused in the life of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConnectionId(pub u64);

/// One listening socket, an index into the session's list of listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ListenerId(pub u16);

/// A window as clients know it: a generation above the X11 window id, so that an id is not
/// used for another window while a client may still hold it. 48 bits, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WindowId(u64);

impl WindowId {
    /// Builds an id from an X11 window id and the generation of its use.
    #[must_use]
    pub const fn new(generation: u16, xid: u32) -> Self {
        Self(((generation as u64) << 32) | xid as u64)
    }

    /// Accepts an id from the wire: 1 to 2^48 - 1 with a non-zero X11 part.
    #[must_use]
    pub const fn from_wire(value: u64) -> Option<Self> {
        if value >> 48 == 0 && value & 0xffff_ffff != 0 {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The number that travels to clients.
    #[must_use]
    pub const fn wire(self) -> u64 {
        self.0
    }

    /// The X11 window id. It means something in `display` only.
    #[must_use]
    pub const fn xid(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }

    /// How often this X11 id had been used before.
    #[must_use]
    pub const fn generation(self) -> u16 {
        ((self.0 >> 32) & 0xffff) as u16
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ListenerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for WindowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_ids_keep_both_parts_and_refuse_the_reserved_values() {
        let id = WindowId::new(7, 0x0060_000c);
        assert_eq!((id.generation(), id.xid()), (7, 0x0060_000c));
        assert_eq!(WindowId::from_wire(id.wire()), Some(id));
        assert_eq!(WindowId::from_wire(0), None);
        assert_eq!(WindowId::from_wire(1 << 32), None);
        assert_eq!(WindowId::from_wire(1 << 48 | 1), None);
        assert_eq!(WindowId::from_wire(u64::MAX), None);
    }
}
