//! What `auth` says of those who want to get in.

use super::{Admitted, FAREWELL, Who};
use crate::ending::Ending;
use crate::log::{Level, quoted};
use crate::session::{Phase, Session};
use ipc::auth::{AuthToSupervisor, Refusal};
use ipc::keys::SupervisorToKeys;
use ipc::verdict::Peer;
use std::time::Instant;

/// Most connections that have proved who they are: without it one client could take every
/// descriptor and process that a new `auth`, `display` or encoder of somebody else's needs.
const MAX_ADMITTED: usize = 200;

impl Session {
    /// What `auth` says.
    pub fn hear_auth(&mut self, message: AuthToSupervisor, now: Instant) {
        match message {
            // Once.
            AuthToSupervisor::Ready if self.auth.ready => {}
            AuthToSupervisor::Ready => {
                self.auth.ready = true;
                self.log.own(Level::Debug, None, "auth is up");
                self.check_ready();
            }
            AuthToSupervisor::Failed { reason } => {
                if matches!(self.phase, Phase::Starting) {
                    self.end(Ending::failure("server error"), &reason);
                } else if let Some(worker) = &mut self.auth.worker
                    && worker.let_go(now)
                {
                    self.log.own(Level::Error, None, &format!("auth: {reason}"));
                }
            }
            AuthToSupervisor::Accepted {
                connection: id,
                username,
                module,
                sessions,
            } => {
                self.end_shown(id, now);
                let admitted = self.connections.values().filter(|one| !one.is_stranger());
                let full = admitted.count() >= MAX_ADMITTED;
                let listener = self.connections.get(&id).map(|one| one.listener);
                let encryption = listener
                    .and_then(|listener| self.encryption(listener))
                    .map(|encryption| format!(", encrypted with {}", encryption.name()))
                    .unwrap_or_default();
                // The connection may have gone; then the verdict is void.
                let Some(connection) = self.connections.get_mut(&id) else {
                    return;
                };
                if connection.verdict.is_some() || connection.leaving {
                    return;
                }
                if full {
                    let text = format!("{MAX_ADMITTED} clients are logged in: no more have room");
                    self.log
                        .own(Level::Warn, Some(id.0), &format!("turned away: {text}"));
                    return self.farewell(id, &["server error", &text], now);
                }
                self.counters.authenticated += 1;
                let sessions = sessions.map_or_else(String::new, |it| format!("; sessions: {it}"));
                let text = format!(
                    "{} is let in as {} by {module}{encryption}{sessions}",
                    Who(&connection.peer),
                    quoted(&username)
                );
                connection.verdict = Some(Admitted { username, module });
                self.tell_keys(&SupervisorToKeys::Admitted(id));
                self.log.own(Level::Info, Some(id.0), &text);
                self.grant(id, now);
            }
            AuthToSupervisor::Refused {
                connection: id,
                username,
                module,
                why,
            } => {
                self.end_shown(id, now);
                let Some(connection) = self.connections.get_mut(&id) else {
                    return;
                };
                if connection.leaving || !connection.is_stranger() {
                    return;
                }
                // It tells its client by itself, and has nothing else to do.
                connection.leaving = true;
                connection.network.ends_within(FAREWELL, now);
                self.counters.refused += 1;
                // A stock client that cannot do our digests is no attack.
                if why != Refusal::NoDigest {
                    self.admission.penalties.failed(connection.source, now);
                }
                let text = format!(
                    "{}, who says to be {}, is refused by {module}: {}",
                    Who(&connection.peer),
                    quoted(&username),
                    match why {
                        Refusal::Failed => "authentication failed",
                        Refusal::OutOfOrder => "the response belongs to no challenge",
                        Refusal::NoDigest => "there is no digest that both sides accept",
                        Refusal::TooMany =>
                            "too many failed attempts for this user, it was not looked at",
                        Refusal::UnknownUser => "there is no such user",
                        Refusal::OtherName => "not the name that it has to be",
                        Refusal::Origin => "not from there",
                        Refusal::Unusable => "what it compares with cannot be used",
                        Refusal::NoName => "which name its address has could not be found out",
                        Refusal::UsedCode => "this code has been used",
                        Refusal::Counter =>
                            "the security key has not counted on since its last signature: cloned?",
                        Refusal::NoCertificate => "it has shown no certificate",
                        Refusal::UsedCertificate =>
                            "the handshake of its certificate has let somebody in before",
                    }
                );
                self.log.own(Level::Warn, Some(id.0), &text);
            }
            AuthToSupervisor::Check {
                connection,
                check,
                username,
                stranger,
            } => self.check_wanted(connection, check, username, stranger, now),
            AuthToSupervisor::Violation(violation) => self.report(Peer::Auth, &violation, now),
            AuthToSupervisor::Pong => {
                for (reporter, what) in self.auth.answered() {
                    self.disbelieve(reporter, Peer::Auth, &what);
                }
            }
        }
    }
}
