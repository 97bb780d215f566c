//! What a client asks for, through its `network`: granted if the verdict and the listener allow it.

use super::Work;
use crate::ending::Ending;
use crate::log::{Level, quoted};
use crate::session::{Phase, Session};
use ipc::ConnectionId;
use ipc::network::{NetworkToSupervisor, Request};
use ipc::spec::ListenerKind;
use ipc::verdict::Peer;
use std::time::Instant;

impl Session {
    /// What a client's `network` says.
    pub fn hear_network(&mut self, id: ConnectionId, message: NetworkToSupervisor, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        match message {
            NetworkToSupervisor::Request(request) => {
                let later = matches!(connection.work, Work::Session(_))
                    && matches!(request, Request::Stop | Request::Exit);
                if connection.leaving {
                    return;
                }
                if connection.has_asked && !later {
                    self.counters.violations += 1;
                    let text = "violation: network asks a second time; the connection is ended";
                    self.log.own(Level::Error, Some(id.0), text);
                    connection.condemn();
                    return;
                }
                connection.has_asked = true;
                connection.asked = Some(request);
                self.grant(id, now);
            }
            NetworkToSupervisor::Attached => {
                if let Work::Session(attached) = &mut connection.work
                    && !std::mem::replace(&mut attached.greeted, true)
                {
                    let it = &attached.description;
                    let host = match it.hostname.as_str() {
                        "" => "a host that does not say its name".to_owned(),
                        name => quoted(name),
                    };
                    let text = format!(
                        "attached: {} {} on {host}, after {} ms",
                        quoted(&it.client_type),
                        quoted(&it.version),
                        now.saturating_duration_since(connection.since).as_millis()
                    );
                    self.log.own(Level::Info, Some(id.0), &text);
                }
            }
            NetworkToSupervisor::Violation(violation) => {
                // About an encoder that is gone by now there is nothing to be done, and nothing to
                // be logged as often as somebody likes. One that it never had is a lie.
                if matches!(violation.peer, Peer::Encoder(_)) && connection.encoder().is_none() {
                    if matches!(connection.work, Work::Nothing) && !connection.leaving {
                        self.counters.violations += 1;
                        let text = "violation: network reports an encoder that it does not have; \
                                    the connection is ended";
                        self.log.own(Level::Error, Some(id.0), text);
                        connection.condemn();
                    }
                    return;
                }
                self.report(Peer::Network(id), &violation, now);
            }
        }
    }

    /// Obeys what a connection has asked for, if it may and if it can be done now.
    pub(super) fn grant(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.verdict.is_none()
            || connection.leaving
            || !matches!(self.phase, Phase::Running)
        {
            return;
        }
        let Some(request) = connection.asked.take() else {
            return;
        };
        let listener = &self.spec.listeners[usize::from(connection.listener.0)];
        if let Some(name) = request_name(&request)
            && listener
                .refused_requests
                .iter()
                .any(|refused| refused == name)
        {
            let text = format!("`{name}` requests are not allowed on this socket");
            self.log.own(Level::Warn, Some(id.0), &text);
            return self.farewell(id, &["permission error", &text], now);
        }
        if matches!(request, Request::Session(_) | Request::Screenshot) {
            if self.display.off {
                return self.farewell(id, &["server error", "the display cannot be used"], now);
            }
            if !self.display.ready {
                // Until it is back.
                connection.asked = Some(request);
                return;
            }
        }
        let local = listener.kind == ListenerKind::Unix;
        match request {
            Request::Session(description) => self.attach(id, description, now),
            Request::Info => self.start_info(id, now),
            Request::Id => self.tell_id(id, now),
            Request::Screenshot => self.start_screenshot(id, now),
            Request::Detach => self.detach(id, now),
            Request::Stop => {
                self.end(
                    Ending::stop("server shutdown", 0).asked_for_locally(local),
                    &format!("connection {id} asks to stop"),
                );
            }
            Request::Exit => {
                self.end(
                    Ending::leave("server exit").asked_for_locally(local),
                    &format!("connection {id} asks to exit"),
                );
            }
        }
    }

    /// Grants what had to wait for `display`.
    pub fn grant_waiting(&mut self, now: Instant) {
        let waiting = self
            .connections
            .iter()
            .filter(|(_, one)| one.asked.is_some());
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.grant(id, now);
        }
    }

    fn detach(&mut self, id: ConnectionId, now: Instant) {
        let others: Vec<_> = self
            .attached()
            .map(|(id, _)| id)
            .filter(|one| *one != id)
            .collect();
        for other in &others {
            self.log.own(
                Level::Info,
                Some(other.0),
                &format!("detached by connection {id}"),
            );
            self.detach_one(*other, &["detach request"], now);
        }
        let text = format!("{} clients have been disconnected", others.len());
        self.farewell(id, &["done", &text], now);
    }
}

/// The name of a request as in a bind option; attaching is not one.
fn request_name(request: &Request) -> Option<&'static str> {
    match request {
        Request::Session(_) => None,
        Request::Info => Some("info"),
        Request::Id => Some("id"),
        Request::Screenshot => Some("screenshot"),
        Request::Detach => Some("detach"),
        Request::Stop => Some("stop"),
        Request::Exit => Some("exit"),
    }
}
