//! Logins at an OpenID Connect provider: where the client is sent.

use super::claim::Claim;
use super::stage::{Checking, Offer, Purpose};
use super::step::Step;
use super::{Conversation, Verifier};
use crate::challenge::{Challenge, ChallengeError, Question};
use crate::modules::Modules;
use ipc::check::CheckId;
use std::time::Instant;

impl Conversation {
    /// Sends the client to the provider of a module; if it is not known where that is, that is asked
    /// first.
    pub(super) fn send_to_provider(
        &mut self,
        offer: Offer,
        module: usize,
        check: CheckId,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Step {
        let (digests, salt_digests) = (&offer.digests, &offer.salt_digests);
        let challenge = match verifier.providers.login(check, Instant::now()) {
            Ok(Some(login)) => Challenge::at_provider(login, digests, salt_digests),
            // The provider does not hear of who could not answer.
            Ok(None) => match Challenge::new(Question::Code, digests, salt_digests) {
                Ok(_) => {
                    let checking = Checking {
                        claim: Some(Claim::Address),
                        purpose: Purpose::Address(check),
                        ..Checking::unasked(offer, module)
                    };
                    return self.check(check, checking);
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(ChallengeError::Random(error)),
        };
        self.challenge(offer, challenge, Some(module), None, modules)
    }
}
