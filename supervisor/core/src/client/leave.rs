//! How a client leaves, or is made to.

use super::{FAREWELL, Work};
use crate::ending::Ending;
use crate::log::Level;
use crate::session::Session;
use crate::worker::Death;
use ipc::ConnectionId;
use ipc::auth::SupervisorToAuth;
use ipc::display::SupervisorToDisplay;
use ipc::keys::SupervisorToKeys;
use ipc::network::SupervisorToNetwork;
use std::time::Instant;

impl Session {
    /// Takes the session away from a client and tells it why.
    pub(super) fn detach_one(&mut self, id: ConnectionId, reason: &[&str], now: Instant) {
        self.farewell(id, reason, now);
        self.take_away(id, now);
    }

    /// Takes away what a connection was given: from now on it cannot do anything, even if its
    /// process stays for a moment.
    pub(super) fn take_away(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let encoder = match std::mem::replace(&mut connection.work, Work::Nothing) {
            Work::Session(attached) => attached.encoder,
            Work::Screenshot(picture) => picture.encoder,
            Work::Nothing | Work::Info { .. } => return,
        };
        if let Some(display) = &mut self.display.worker {
            display.tell(&SupervisorToDisplay::Gone(id), vec![], &mut self.log);
        }
        self.dismissed
            .extend(encoder.map(|encoder| encoder.dismiss(now)));
    }

    /// Tells a client to go, and why.
    pub fn farewell(&mut self, id: ConnectionId, reason: &[&str], now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if std::mem::replace(&mut connection.leaving, true) {
            return;
        }
        let reason = reason.iter().map(|line| bounded(line)).collect();
        let disconnect = SupervisorToNetwork::Disconnect { reason };
        connection.network.tell(&disconnect, vec![], &mut self.log);
        connection.network.ends_within(FAREWELL, now);
    }

    /// A `network` worker has died: its client is gone.
    pub fn network_died(&mut self, id: ConnectionId, death: Death, now: Instant) {
        self.leaves_check(id, now);
        self.take_away_and_count(id, now);
        let Some(mut connection) = self.connections.remove(&id) else {
            return;
        };
        self.account(&mut connection.network.process, death, connection.leaving);
        self.forget(id);
    }

    /// Ends a connection from our side, without a word.
    pub fn drop_connection(&mut self, id: ConnectionId, now: Instant) {
        self.leaves_check(id, now);
        self.take_away_and_count(id, now);
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        // It has nothing to finish.
        connection.network.process.kill();
        self.dismissed.push(connection.network.dismiss(now));
        self.forget(id);
    }

    fn forget(&mut self, id: ConnectionId) {
        if let Some(auth) = &mut self.auth.worker {
            auth.tell(&SupervisorToAuth::Gone(id), vec![], &mut self.log);
        }
        self.tell_keys(&SupervisorToKeys::Gone(id));
    }

    fn take_away_and_count(&mut self, id: ConnectionId, now: Instant) {
        let connection = self.connections.get(&id);
        let attached_since = connection.and_then(|connection| match &connection.work {
            Work::Session(attached) => Some(attached.since),
            _ => None,
        });
        self.take_away(id, now);
        let Some(since) = attached_since else { return };
        let seconds = now.saturating_duration_since(since).as_secs();
        self.log.own(
            Level::Info,
            Some(id.0),
            &format!("the client has left after {seconds} s"),
        );
        if self.spec.exit_with_client && self.running() && self.attached().next().is_none() {
            self.end(
                Ending::stop("server shutdown", 0),
                "the last client has left: the session ends",
            );
        }
    }
}

/// At most 256 bytes, as the message demands.
fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(256)].to_owned()
}
