//! A picture of the screen, and the end of every request that is answered once.

use super::{ONE_SHOT, Picture, Work};
use crate::log::Level;
use crate::session::Session;
use crate::worker::Worker;
use ipc::ConnectionId;
use ipc::channel::socketpair;
use ipc::display::{Purpose, SupervisorToDisplay};
use ipc::encoder::{EncoderToSupervisor, SupervisorToEncoder};
use ipc::network::SupervisorToNetwork;
use ipc::verdict::Rights;
use policy::Role;
use std::time::Instant;

impl Session {
    /// Answers `id` for a client that has proved who it is.
    pub(super) fn tell_id(&mut self, id: ConnectionId, now: Instant) {
        let answer = SupervisorToNetwork::Id(Box::new(self.facts()));
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.network.tell(&answer, vec![], &mut self.log);
        }
        self.one_shot_done(id, now);
    }

    pub(super) fn start_screenshot(&mut self, id: ConnectionId, now: Instant) {
        self.display.ask(&mut self.log, now);
        let Some(display) = self.display.worker.as_mut() else {
            return;
        };
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let made = socketpair()
            .and_then(|windows| Ok((windows, socketpair()?, socketpair()?)))
            .and_then(|pairs| {
                Ok((
                    pairs,
                    self.nursery.start(Role::Encoder, Some(id), &[], now)?,
                ))
            });
        let (((unused, display_network), pixels, pictures), encoder) = match made {
            Ok(made) => made,
            Err(error) => {
                self.log
                    .own(Level::Error, Some(id.0), &format!("no screenshot: {error}"));
                return self.farewell(id, &["server error", "out of resources"], now);
            }
        };
        let mut encoder: Worker<SupervisorToEncoder, EncoderToSupervisor> = encoder;
        let (display_encoder, encoder_display) = pixels;
        let (network_encoder, encoder_network) = pictures;
        let log = &mut self.log;
        // No input whatever: the owner of the resource is told so too.
        let rights = Rights { readonly: true };
        let client = SupervisorToDisplay::Client {
            connection: id,
            rights,
            purpose: Purpose::Screenshot,
        };
        display.tell(&client, vec![display_network, display_encoder], log);
        encoder.tell(
            &SupervisorToEncoder::Start,
            vec![encoder_network, encoder_display],
            log,
        );
        connection
            .network
            .tell(&SupervisorToNetwork::Screenshot, vec![network_encoder], log);
        connection.network.ends_within(ONE_SHOT, now);
        let picture = Picture {
            encoder: Some(encoder),
            _unused: unused,
        };
        connection.work = Work::Screenshot(Box::new(picture));
    }

    /// A one-shot answer is out: the client closes, or is closed.
    pub fn one_shot_done(&mut self, id: ConnectionId, now: Instant) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.work = Work::Nothing;
            connection.network.ends_within(ONE_SHOT, now);
        }
    }
}
