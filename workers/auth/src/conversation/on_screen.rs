//! Codes that the session's screen shows: when one may be, where, and what an answer to it means.

use super::claim::Claim;
use super::names::{check_name, user};
use super::stage::{Asked, Checking, Offer, Purpose, Stage};
use super::step::{Step, refuse};
use super::{Conversation, Verifier};
use crate::challenge::{Challenge, ChallengeError, Question};
use crate::modules::Modules;
use crate::screen;
use ipc::auth::Refusal;
use ipc::check::CheckId;
use ipc::spec::Code;
use std::time::Instant;

impl Conversation {
    /// Has a new code shown, which the client is asked for when it can be seen.
    pub(super) fn show(
        &mut self,
        offer: Offer,
        module: usize,
        (check, code): (CheckId, Code),
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Step {
        let Some(step) = self.chain(modules).get(module) else {
            return refuse(None, offer.username, Refusal::Failed);
        };
        let possible = Challenge::new(Question::Shown, &offer.digests, &offer.salt_digests);
        if possible.is_err() {
            // Nobody sees a code that could not be answered for.
            return self.challenge(offer, possible, Some(module), None, modules);
        }
        let user = user(step, &offer.username, modules);
        let stranger = verifier.guesses.is_stranger(user, &self.peer);
        let may = verifier.screens.may_begin(user, Instant::now());
        if stranger && !may && self.right.as_deref() != Some(user) {
            return refuse(Some(step), self.name(offer), Refusal::TooMany);
        }
        match screen::draw(code) {
            Ok(code) => {
                let checking = Checking {
                    offer,
                    module,
                    claim: Some(Claim::Show),
                    stranger,
                    purpose: Purpose::Shows { code, place: None },
                };
                self.check(check, checking)
            }
            Err(error) => {
                let challenge = Err(ChallengeError::Random(error));
                self.challenge(offer, challenge, Some(module), None, modules)
            }
        }
    }

    /// Does the screen show something for this login?
    #[must_use]
    pub fn is_shown(&self) -> bool {
        matches!(self.stage, Stage::Asked(Asked { shown: Some(_), .. }))
    }

    /// Which place on the screen it has.
    #[must_use]
    pub fn place(&self) -> Option<u8> {
        match &self.stage {
            Stage::Asked(Asked { shown, .. }) => shown.as_ref().map(|shown| shown.place),
            Stage::Checking(Checking {
                purpose: Purpose::Shows { place, .. },
                ..
            }) => *place,
            _ => None,
        }
    }

    /// What has to be shown can be, now and at this place: from now on it is as much as a guess, of a stranger.
    /// Nobody has the screen full of codes, or many to try. `Some`: there have been too many.
    pub fn takes_place(
        &mut self,
        free: u8,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Option<Step> {
        let chain = self.chain(modules);
        let Stage::Checking(Checking {
            offer,
            module,
            stranger,
            purpose: Purpose::Shows { place, .. },
            ..
        }) = &mut self.stage
        else {
            return None;
        };
        *place = Some(free);
        let step = chain.get(*module)?;
        let user = user(step, &offer.username, modules);
        let (now, screens) = (Instant::now(), &mut verifier.screens);
        if !*stranger {
            return None;
        }
        if self.right.as_deref() == Some(user) {
            screens.go_on(user, now);
            return None;
        }
        if screens.begin(user, now) {
            return None;
        }
        let username = offer.username.clone();
        let refused = refuse(
            Some(step),
            self.user.clone().unwrap_or(username),
            Refusal::TooMany,
        );
        self.stage = Stage::Ended;
        Some(refused)
    }

    /// An answer has been looked at: was it right?
    pub(super) fn passes(
        &mut self,
        right: bool,
        stranger: bool,
        offer: Offer,
        position: usize,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Step {
        let Some(step) = self.chain(modules).get(position) else {
            return refuse(None, offer.username, Refusal::Failed);
        };
        let named = check_name(step, &offer.username, modules);
        let right = match right {
            true => named,
            false => Err(Refusal::Failed),
        };
        if let Err(why) = right {
            return refuse(Some(step), self.name(offer), why);
        }
        if stranger {
            let user = user(step, &offer.username, modules);
            verifier.screens.was_right(user);
            self.right = Some(user.to_owned());
        }
        self.walk(offer, position + 1, modules, verifier)
    }
}
