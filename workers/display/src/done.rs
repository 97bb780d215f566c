//! How many of the messages that must be done once have been done for each client: a property of
//! the root window, `_BULKHEAD_DONE`, that a `display` after this one reads. The X server handles
//! it right after what was done, so it is true whenever this process ends.
//!
//! An application that changes it can have keys lost or typed twice; it could type them itself.

use crate::session::{Session, XResult, answer};
use ipc::ConnectionId;
use std::collections::BTreeMap;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, PropMode};
use x11rb::wrapper::ConnectionExt as _;

/// Words for each client: its number and the count, each the upper half first.
const WORDS: usize = 4;
/// Most clients that are read.
const MAX_CLIENTS: u32 = 256;

impl Session {
    /// Learns what a process before this one has done.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn read_done(&mut self) -> XResult<()> {
        let (atom, kind) = (self.atoms._BULKHEAD_DONE, AtomEnum::CARDINAL);
        let length = MAX_CLIENTS * 4;
        let cookie = self
            .x
            .get_property(false, self.root, atom, kind, 0, length)?;
        if let Some(reply) = answer(cookie.reply())? {
            let words: Vec<u32> = reply.value32().into_iter().flatten().collect();
            self.done = parse(&words);
        }
        Ok(())
    }

    /// Takes over what has been done for a client that has said so many, and says how many that
    /// were. A client that has said fewer is another one with the same number.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn adopt_done(&mut self, id: ConnectionId, said: u64) -> XResult<u64> {
        let done = self.done.get(&id).copied().unwrap_or(0);
        let done = if done <= said { done } else { 0 };
        self.done.insert(id, done);
        self.write_done()?;
        Ok(done)
    }

    /// One more has been done for a client.
    ///
    /// # Errors
    /// The X server is gone.
    pub fn count_done(&mut self, id: ConnectionId) -> XResult<()> {
        if let Some(done) = self.done.get_mut(&id) {
            *done = done.saturating_add(1);
            self.write_done()?;
        }
        Ok(())
    }

    fn write_done(&self) -> XResult<()> {
        let (atom, kind) = (self.atoms._BULKHEAD_DONE, AtomEnum::CARDINAL);
        let words = format(&self.done);
        self.x
            .change_property32(PropMode::REPLACE, self.root, atom, kind, &words)?;
        Ok(())
    }
}

fn format(done: &BTreeMap<ConnectionId, u64>) -> Vec<u32> {
    let halves = |value: u64| {
        let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
        [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes)
    };
    let clients = done.iter();
    clients
        .flat_map(|(id, done)| [halves(id.0), halves(*done)].concat())
        .collect()
}

fn parse(words: &[u32]) -> BTreeMap<ConnectionId, u64> {
    let join = |upper: u32, lower: u32| u64::from(upper) << 32 | u64::from(lower);
    let clients = words.chunks_exact(WORDS);
    clients
        .map(|w| (ConnectionId(join(w[0], w[1])), join(w[2], w[3])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let all = [(1, 0), (7, 1 << 32 | 5), (u64::MAX, u64::MAX)];
        let done: BTreeMap<_, _> = all.map(|(id, n)| (ConnectionId(id), n)).into();
        let words = format(&done);
        assert_eq!(words.len(), WORDS * 3);
        assert_eq!(parse(&words), done);
        assert_eq!(parse(&words[..7]).len(), 1, "what is cut off");
    }
}
