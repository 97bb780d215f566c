//! The client has answered a challenge.

use super::names::{check_name, user};
use super::stage::{Asked, Checking, Purpose};
use super::step::{Step, refuse};
use super::{Conversation, Verifier};
use crate::challenge::{Combined, MAX_RESPONSE, Question};
use crate::modules::{self, Modules};
use ipc::auth::Refusal;
use ipc::spec::AuthModule;
use runtime::secret;
use std::time::Instant;
use zeroize::Zeroizing;

/// A client's answer to a challenge.
pub(super) struct Answer {
    pub(super) response: Zeroizing<Vec<u8>>,
    pub(super) client_salt: Vec<u8>,
    /// Nothing is known of who gives it.
    pub(super) stranger: bool,
}

impl Conversation {
    /// Takes the answer to a challenge.
    pub(super) fn answered(
        &mut self,
        asked: Asked,
        response: Vec<u8>,
        client_salt: Vec<u8>,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Step {
        let Asked {
            offer,
            challenge,
            module,
            shown,
        } = asked;
        if response.len() > challenge.max_response() || client_salt.len() > MAX_RESPONSE {
            return Step::Violation("a response with too long fields");
        }
        let Some(position) = module else {
            return self.accept(&offer, modules, verifier);
        };
        let Some(step) = self.chain(modules).get(position) else {
            return refuse(None, offer.username, Refusal::Failed);
        };
        if let Some(shown) = shown {
            let combined = challenge.combine(&client_salt, &mut verifier.used);
            let right = match combined {
                Some(Combined::Proof(proof)) => proof.check(&shown.code.0, &response),
                _ => false,
            };
            return self.passes(right, shown.stranger, offer, position, modules, verifier);
        }
        let user = user(step, &offer.username, modules);
        // Signatures, tickets and codes cannot be guessed, and whoever sends rubbish instead of one
        // keeps nobody out.
        let guess = !matches!(
            modules::question(&step.module),
            Some(Question::Signature(_) | Question::Token(_) | Question::Code)
        );
        let stranger = guess && verifier.guesses.is_stranger(user, &self.peer);
        let now = Instant::now();
        if stranger && self.right.as_deref() == Some(user) {
            verifier.guesses.go_on(user, now);
        } else if stranger && !verifier.guesses.begin(user, now) {
            return refuse(Some(step), self.name(offer), Refusal::TooMany);
        }
        let answer = Answer {
            response: Zeroizing::new(response),
            client_salt,
            stranger,
        };
        if let AuthModule::Check { check, .. } = &step.module {
            let claim = verifier.claim(challenge, &answer);
            secret::wipe_stack();
            // The name is looked at when the check is over: who is told no cannot tell by
            // the time which it was.
            return match claim {
                Some(claim) => {
                    let checking = Checking {
                        offer,
                        module: position,
                        claim: Some(claim),
                        stranger,
                        purpose: Purpose::Decides,
                    };
                    self.check(*check, checking)
                }
                None => refuse(Some(step), self.name(offer), Refusal::Failed),
            };
        }
        // Both are looked at, so that who is told no cannot tell which.
        let checked = verifier.check(step, &offer.username, challenge, &answer, modules);
        let named = check_name(step, &offer.username, modules);
        match checked.and(named) {
            Ok(()) => {
                if stranger {
                    verifier.guesses.was_right(user);
                    self.right = Some(user.to_owned());
                }
                self.walk(offer, position + 1, modules, verifier)
            }
            Err(why) => refuse(Some(step), self.name(offer), why),
        }
    }
}
