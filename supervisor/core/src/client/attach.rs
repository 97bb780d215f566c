//! A client that uses the session: its channels to `display`, its encoder and the next one.

use super::{Attached, ONE_SHOT, Work};
use crate::log::Level;
use crate::restarts::{Restarts, Verdict};
use crate::session::Session;
use crate::sharing::{self, Decision};
use crate::worker::{Death, Worker};
use ipc::ConnectionId;
use ipc::channel::socketpair;
use ipc::display::{Purpose, SupervisorToDisplay};
use ipc::encoder::SupervisorToEncoder;
use ipc::network::{ClientDescription, SupervisorToNetwork};
use ipc::verdict::Rights;
use policy::Role;
use std::time::Instant;

/// Most clients that use the session at once: `display` has room for two channels of each, also
/// while it is told about all of them after a restart.
const MAX_ATTACHED: usize = 100;

impl Session {
    /// Gives a client the session, if those who have it let it in.
    pub(super) fn attach(
        &mut self,
        id: ConnectionId,
        description: ClientDescription,
        now: Instant,
    ) {
        let attached: Vec<_> = self
            .attached()
            .map(|(id, one)| (id, &one.description))
            .collect();
        match sharing::decide(self.spec.sharing, &description, &attached) {
            Decision::Busy => {
                self.log
                    .own(Level::Info, Some(id.0), "turned away: the session is busy");
                return self.farewell(id, &["session busy", "this session is already active"], now);
            }
            Decision::Attach { replaced } if attached.len() - replaced.len() >= MAX_ATTACHED => {
                let text = format!("{MAX_ATTACHED} clients use the session: no more have room");
                self.log
                    .own(Level::Warn, Some(id.0), &format!("turned away: {text}"));
                return self.farewell(id, &["session busy", &text], now);
            }
            Decision::Attach { replaced } => {
                for old in replaced {
                    self.log.own(
                        Level::Info,
                        Some(old.0),
                        &format!("replaced by connection {id}"),
                    );
                    self.detach_one(old, &["new client"], now);
                }
            }
        }
        let attached = Attached {
            description,
            rights: Rights {
                readonly: self.spec.readonly,
            },
            encoder: None,
            encoder_due: None,
            restarts: Restarts::new(Role::Encoder),
            since: now,
            greeted: false,
        };
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.work = Work::Session(Box::new(attached));
        }
        self.connect_client(id, true, now);
    }

    /// Makes the channels of an attached client: all of them for a new one, those to `display`
    /// (and to an encoder that is missing) after `display` was started anew.
    pub fn connect_client(&mut self, id: ConnectionId, new: bool, now: Instant) {
        let facts = new.then(|| Box::new(self.facts()));
        self.display.ask(&mut self.log, now);
        let Some(display) = self.display.worker.as_mut() else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Work::Session(attached) = &mut connection.work else {
            return;
        };
        let made = socketpair().and_then(|windows| Ok((windows, socketpair()?, socketpair()?)));
        let missing = attached.encoder.is_none();
        let made = made.and_then(|pairs| {
            if missing {
                let encoder = self.nursery.start(Role::Encoder, Some(id), &[], now)?;
                attached.encoder = Some(encoder);
                attached.encoder_due = None;
            }
            Ok(pairs)
        });
        let ((network_display, display_network), (display_encoder, encoder_display), pictures) =
            match made {
                Ok(pairs) => pairs,
                Err(error) => {
                    let text = format!("a client cannot be connected: {error}");
                    self.log.own(Level::Error, Some(id.0), &text);
                    return self.farewell(id, &["server error", "out of resources"], now);
                }
            };
        let (network_encoder, encoder_network) = pictures;
        let log = &mut self.log;
        let client = SupervisorToDisplay::Client {
            connection: id,
            rights: attached.rights,
            purpose: Purpose::Session,
        };
        display.tell(&client, vec![display_network, display_encoder], log);
        let network = &mut connection.network;
        if let Some(facts) = facts {
            let session = SupervisorToNetwork::Session(facts);
            network.tell(&session, vec![network_display, network_encoder], log);
        } else {
            network.tell(&SupervisorToNetwork::Display, vec![network_display], log);
            if missing {
                network.tell(&SupervisorToNetwork::Encoder, vec![network_encoder], log);
            }
        }
        if let Some(encoder) = &mut attached.encoder {
            if missing {
                let start = SupervisorToEncoder::Start;
                encoder.tell(&start, vec![encoder_network, encoder_display], log);
            } else {
                encoder.tell(&SupervisorToEncoder::Display, vec![encoder_display], log);
            }
        }
    }

    /// Starts the next encoder of an attached client.
    pub(super) fn restart_encoder(&mut self, id: ConnectionId, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let Work::Session(attached) = &mut connection.work else {
            return;
        };
        attached.encoder_due = None;
        // Without a `display` there is nothing to encode; the next one brings the encoder along.
        let Some(display) = self.display.worker.as_mut() else {
            return;
        };
        let made = socketpair()
            .and_then(|pair| Ok((pair, socketpair()?)))
            .and_then(|pairs| {
                let encoder = self.nursery.start(Role::Encoder, Some(id), &[], now)?;
                Ok((pairs, encoder))
            });
        match made {
            Ok((((network, encoder_network), (to_display, encoder_display)), encoder)) => {
                let encoder: &mut Worker<_, _> = attached.encoder.insert(encoder);
                let start = SupervisorToEncoder::Start;
                encoder.tell(
                    &start,
                    vec![encoder_network, encoder_display],
                    &mut self.log,
                );
                let anew = SupervisorToNetwork::Encoder;
                connection.network.tell(&anew, vec![network], &mut self.log);
                display.tell(
                    &SupervisorToDisplay::Encoder(id),
                    vec![to_display],
                    &mut self.log,
                );
            }
            Err(error) => {
                let text = format!("an encoder cannot be started: {error}");
                self.log.own(Level::Error, Some(id.0), &text);
                self.encoder_gone(id, false, now);
            }
        }
    }

    /// An encoder has died.
    pub fn encoder_died(&mut self, id: ConnectionId, death: Death, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let encoder = match &mut connection.work {
            Work::Session(attached) => attached.encoder.take(),
            Work::Screenshot(picture) => picture.encoder.take(),
            Work::Nothing | Work::Info { .. } => None,
        };
        if let Some(mut encoder) = encoder {
            self.account(&mut encoder.process, death, false);
            self.encoder_gone(id, death.by_sandbox(), now);
        }
    }

    fn encoder_gone(&mut self, id: ConnectionId, by_sandbox: bool, now: Instant) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        match &mut connection.work {
            Work::Session(attached) => match attached.restarts.died(by_sandbox, now) {
                Verdict::After(pause) => attached.encoder_due = Some(now + pause),
                Verdict::Off => {
                    let text = "the encoder keeps failing; the client is sent away";
                    self.log.own(Level::Error, Some(id.0), text);
                    self.farewell(id, &["server error", "the encoder keeps failing"], now);
                }
            },
            Work::Screenshot(_) if !connection.leaving => {
                // After the picture it has nothing more to do, and the client says when it has it.
                connection.network.ends_within(ONE_SHOT, now);
            }
            _ => {}
        }
    }
}
