//! Who ends when one worker says that another broke the rules of their channel, or that it does
//! not read.
//!
//! Nobody's word counts against somebody he has no channel to. A connection's own workers are
//! believed about each other. About `auth`, `keys` and `display`, on which everybody depends, they are
//! not: they may be the attacker. The accused is asked for a sign of life; if it gives one, the
//! accuser ends, and if it does not, it is the accused that hangs and is replaced.

use crate::client::{Check, Connection};
use crate::log::Level;
use crate::session::Session;
use ipc::ConnectionId;
use ipc::verdict::{Peer, Violation};
use std::time::Instant;

/// Whom a report ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    /// It is believed.
    Accused(Peer),
    /// It cannot be true, or is nothing that the reporter could know.
    Reporter,
    /// Let us hear the accused.
    Ask,
}

fn judge(reporter: Peer, accused: Peer) -> Judgement {
    match (reporter, accused) {
        (Peer::Auth | Peer::Keys, Peer::Network(_))
        | (Peer::Auth, Peer::Check(_))
        | (Peer::Display, Peer::Network(_) | Peer::Encoder(_)) => Judgement::Accused(accused),
        // They do not know their own number: it is about each other.
        (Peer::Network(own), Peer::Encoder(_)) => Judgement::Accused(Peer::Encoder(own)),
        (Peer::Encoder(own), Peer::Network(_)) => Judgement::Accused(Peer::Network(own)),
        (Peer::Network(_), Peer::Auth | Peer::Keys | Peer::Display)
        | (Peer::Encoder(_), Peer::Display) => Judgement::Ask,
        _ => Judgement::Reporter,
    }
}

impl Session {
    /// A worker says that another broke the rules of their channel.
    pub fn report(&mut self, reporter: Peer, violation: &Violation, now: Instant) {
        let Violation { peer, what } = violation;
        // It knows nobody but those who log in where it is needed. What it says of others may have
        // been true before the verdict.
        if let (Peer::Keys, Peer::Network(id)) = (reporter, *peer)
            && !self.logs_in_with_keys(id)
        {
            return;
        }
        match judge(reporter, *peer) {
            Judgement::Accused(accused) => self.end_accused(reporter, accused, what),
            Judgement::Reporter => self.disbelieve(reporter, *peer, what),
            Judgement::Ask => match peer {
                Peer::Auth => self.auth.accuse(reporter, what, &mut self.log, now),
                Peer::Keys => self.keys.accuse(reporter, what, &mut self.log, now),
                _ => self.display.accuse(reporter, what, &mut self.log, now),
            },
        }
    }

    /// With the present one.
    fn logs_in_with_keys(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(|connection| {
            connection.verdict.is_none() && connection.keys == Some(self.reload.generation())
        })
    }

    /// Ends one that somebody else has accused who is believed.
    pub fn end_accused(&mut self, reporter: Peer, accused: Peer, what: &str) {
        self.sentence(accused, reporter, accused, what, "ended");
    }

    /// The accused lives and answers: the reporter ends.
    pub fn disbelieve(&mut self, reporter: Peer, accused: Peer, what: &str) {
        let verdict = "not believed, the reporter is ended";
        self.sentence(reporter, reporter, accused, what, verdict);
    }

    /// Ends one of the two. Of one that is gone, or ends already, nothing is said again: nobody
    /// fills the log with it.
    fn sentence(&mut self, ended: Peer, reporter: Peer, accused: Peer, what: &str, verdict: &str) {
        let is_first = match ended {
            Peer::Auth => self.auth.worker.as_mut().is_some_and(|it| it.condemn()),
            Peer::Keys => self.keys.worker.as_mut().is_some_and(|it| it.condemn()),
            Peer::Display => self.display.worker.as_mut().is_some_and(|it| it.condemn()),
            Peer::Network(id) => {
                let connection = self.connections.get_mut(&id);
                connection.is_some_and(Connection::condemn)
            }
            Peer::Check(id) => {
                let connection = self.connections.get_mut(&id);
                let check = connection.and_then(|one| one.check.as_mut());
                match check.and_then(Check::worker_mut) {
                    Some(worker) => worker.condemn(),
                    None => self.end_check(id, Instant::now()),
                }
            }
            Peer::Encoder(id) => {
                let connection = self.connections.get_mut(&id);
                let encoder = connection.and_then(Connection::encoder_mut);
                encoder.is_some_and(|it| it.condemn())
            }
        };
        if !is_first {
            return;
        }
        self.counters.violations += 1;
        let connection = match ended {
            Peer::Network(id) | Peer::Encoder(id) | Peer::Check(id) => Some(id.0),
            Peer::Display | Peer::Auth | Peer::Keys => None,
        };
        let text = format!(
            "violation: {} reports {}: {what} ({verdict})",
            name(reporter),
            name(accused)
        );
        self.log.own(Level::Error, connection, &text);
    }
}

fn name(peer: Peer) -> String {
    match peer {
        Peer::Network(id) => format!("network of connection {id}"),
        Peer::Encoder(id) => format!("encoder of connection {id}"),
        Peer::Check(id) => format!("the check of connection {id}"),
        Peer::Display => "display".into(),
        Peer::Auth => "auth".into(),
        Peer::Keys => "keys".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table() {
        let (own, other) = (ConnectionId(1), ConnectionId(2));
        let (network, encoder) = (Peer::Network, Peer::Encoder);
        for (reporter, accused, expected) in [
            (
                Peer::Auth,
                network(other),
                Judgement::Accused(network(other)),
            ),
            (
                Peer::Keys,
                network(other),
                Judgement::Accused(network(other)),
            ),
            (
                Peer::Auth,
                Peer::Check(other),
                Judgement::Accused(Peer::Check(other)),
            ),
            (Peer::Keys, Peer::Check(other), Judgement::Reporter),
            (network(own), Peer::Check(own), Judgement::Reporter),
            (Peer::Keys, encoder(other), Judgement::Reporter),
            (Peer::Keys, Peer::Display, Judgement::Reporter),
            (Peer::Keys, Peer::Auth, Judgement::Reporter),
            (Peer::Keys, Peer::Keys, Judgement::Reporter),
            (Peer::Auth, Peer::Keys, Judgement::Reporter),
            (Peer::Display, Peer::Keys, Judgement::Reporter),
            (encoder(own), Peer::Keys, Judgement::Reporter),
            (network(own), Peer::Keys, Judgement::Ask),
            (Peer::Auth, encoder(other), Judgement::Reporter),
            (Peer::Auth, Peer::Display, Judgement::Reporter),
            (Peer::Auth, Peer::Auth, Judgement::Reporter),
            (
                Peer::Display,
                network(other),
                Judgement::Accused(network(other)),
            ),
            (
                Peer::Display,
                encoder(other),
                Judgement::Accused(encoder(other)),
            ),
            (Peer::Display, Peer::Auth, Judgement::Reporter),
            (Peer::Display, Peer::Display, Judgement::Reporter),
            // Whatever number they say.
            (
                network(own),
                encoder(other),
                Judgement::Accused(encoder(own)),
            ),
            (
                encoder(own),
                network(other),
                Judgement::Accused(network(own)),
            ),
            (network(own), network(other), Judgement::Reporter),
            (encoder(own), encoder(other), Judgement::Reporter),
            (encoder(own), Peer::Auth, Judgement::Reporter),
            // On these everybody depends.
            (network(own), Peer::Auth, Judgement::Ask),
            (network(own), Peer::Display, Judgement::Ask),
            (encoder(own), Peer::Display, Judgement::Ask),
        ] {
            assert_eq!(
                judge(reporter, accused),
                expected,
                "{reporter:?} {accused:?}"
            );
        }
    }
}
