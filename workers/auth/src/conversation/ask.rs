//! The client is sent a challenge.

use super::Conversation;
use super::prompt::{prompt, service};
use super::stage::{Asked, Offer, OnScreen, Stage};
use super::step::{Step, module_name, refuse};
use crate::challenge::{Challenge, ChallengeError, Question};
use crate::modules::Modules;
use ipc::auth::Refusal;

impl Conversation {
    /// Sends the challenge that a question is.
    pub(super) fn ask(
        &mut self,
        offer: Offer,
        question: Question,
        module: Option<usize>,
        modules: &Modules,
    ) -> Step {
        let challenge = Challenge::new(question, &offer.digests, &offer.salt_digests);
        self.challenge(offer, challenge, module, None, modules)
    }

    /// Sends a challenge, or refuses the client if there can be none.
    pub(super) fn challenge(
        &mut self,
        offer: Offer,
        challenge: Result<Challenge, ChallengeError>,
        module: Option<usize>,
        shown: Option<OnScreen>,
        modules: &Modules,
    ) -> Step {
        let step = module.and_then(|position| self.chain(modules).get(position));
        match challenge {
            Ok(challenge) => {
                let service = step.and_then(service);
                let message = challenge.message(prompt(step, &offer.username, modules), service);
                self.stage = Stage::Asked(Asked {
                    offer: Offer {
                        small: false,
                        ..offer
                    },
                    challenge,
                    module,
                    shown,
                });
                Step::Ask(message)
            }
            Err(ChallengeError::NoDigest(digest)) => Step::Refuse {
                module: module_name(step).to_owned(),
                username: offer.username,
                why: Refusal::NoDigest,
                text: format!("cannot proceed without '{digest}' digest support"),
            },
            Err(error @ ChallengeError::Random(_)) => {
                tracing::error!(%error, "no challenge can be made");
                refuse(step, offer.username, Refusal::Failed)
            }
        }
    }
}
