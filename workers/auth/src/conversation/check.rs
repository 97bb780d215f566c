//! A check outside of this process: what it is asked, and what follows from what it finds.

use super::claim::Claim;
use super::finding::Finding;
use super::names::{check_name, user};
use super::stage::{Asked, Checking, OnScreen, Purpose, Stage};
use super::step::{Step, refuse};
use super::{Conversation, Verifier};
use crate::challenge::{Challenge, Question};
use crate::modules::Modules;
use crate::screen;
use ipc::auth::Refusal;
use ipc::check::{AuthToCheck, CheckId};
use ipc::spec::AuthModule;

/// Who is asked about where the client has said a name that it may not say.
const NO_USER: &str = "no-user-has-this-name";

impl Conversation {
    /// Has a check made.
    pub(super) fn check(&mut self, check: CheckId, checking: Checking) -> Step {
        let username = checking.offer.username.clone();
        let stranger = checking.stranger;
        self.stage = Stage::Checking(checking);
        Step::Check {
            check,
            username,
            stranger,
        }
    }

    /// What the process is asked that the check has been given; once, and `None` when there is
    /// nothing to ask it.
    pub fn question(&mut self, modules: &Modules) -> Option<AuthToCheck> {
        let chain = self.chain(modules);
        let Stage::Checking(Checking {
            offer,
            claim,
            module,
            purpose,
            ..
        }) = &mut self.stage
        else {
            return None;
        };
        let step = chain.get(*module)?;
        if let AuthModule::Certificate { .. } = &step.module {
            return self.certificate.take().map(AuthToCheck::Certificate);
        }
        let mut claim = claim.take()?;
        if let (Claim::Show, Purpose::Shows { code, place }) = (&claim, purpose) {
            return Some(AuthToCheck::Show {
                code: code.clone(),
                username: screen::printable(&offer.username),
                peer: self.peer.clone(),
                place: place.unwrap_or_default(),
            });
        }
        if let Claim::Names(address) = claim {
            return Some(AuthToCheck::Names(address));
        }
        let username = match check_name(step, &offer.username, modules) {
            Ok(()) => user(step, &offer.username, modules),
            // It takes as long, and nobody's password is tried.
            Err(_) => {
                claim.disguise();
                NO_USER
            }
        };
        let username = username.to_owned();
        Some(match claim {
            Claim::Password(password) => AuthToCheck::Password { username, password },
            Claim::Proof {
                digest,
                salt,
                response,
            } => AuthToCheck::Proof {
                username,
                digest,
                salt,
                response,
            },
            Claim::Signature {
                challenge,
                origin,
                response,
            } => AuthToCheck::Signature {
                challenge: challenge.0.to_vec(),
                origin,
                response,
            },
            Claim::Token(token) => AuthToCheck::Token { username, token },
            // They have been made above.
            Claim::Show | Claim::Names(_) => return None,
            Claim::Address => AuthToCheck::Address,
            Claim::Code { login, answer } => AuthToCheck::Code {
                memory: login.memory,
                verifier: login.verifier,
                state: login.state,
                nonce: login.nonce,
                answer,
            },
        })
    }

    /// The check is over. `None` when nobody waits for it.
    pub fn checked(
        &mut self,
        finding: Finding,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Option<Step> {
        let stage = std::mem::replace(&mut self.stage, Stage::Ended);
        let Checking {
            offer,
            module,
            stranger,
            purpose,
            ..
        } = match stage {
            Stage::Checking(checking) => checking,
            Stage::Asked(Asked {
                offer,
                module: Some(module),
                shown: Some(_),
                ..
            }) if finding != Finding::Shown => {
                self.stage = Stage::Withdrawn;
                let step = self.chain(modules).get(module);
                return Some(refuse(step, self.name(offer), Refusal::Failed));
            }
            stage => {
                self.stage = stage;
                return None;
            }
        };
        let Some(step) = self.chain(modules).get(module) else {
            return Some(refuse(None, offer.username, Refusal::Failed));
        };
        match purpose {
            Purpose::Decides => {}
            Purpose::Address(check) => {
                return Some(match verifier.learn(check, finding) {
                    true => self.send_to_provider(offer, module, check, modules, verifier),
                    false => refuse(Some(step), offer.username, Refusal::Unusable),
                });
            }
            Purpose::Names => {
                let opened = match finding {
                    Finding::Named(names) => {
                        let buffer = &mut verifier.buffer;
                        modules.open_named(&step.module, &self.peer, &names, buffer)
                    }
                    _ => Err(Refusal::NoName),
                };
                let named = check_name(step, &offer.username, modules);
                return Some(match opened.and(named) {
                    Ok(()) => self.walk(offer, module + 1, modules, verifier),
                    Err(why) => refuse(Some(step), self.name(offer), why),
                });
            }
            Purpose::Shows { code, place } => {
                return Some(match (finding, place) {
                    (Finding::Shown, Some(place)) => {
                        let (digests, salts) = (&offer.digests, &offer.salt_digests);
                        let challenge = Challenge::new(Question::Shown, digests, salts);
                        let shown = OnScreen {
                            code,
                            place,
                            stranger,
                        };
                        self.challenge(offer, challenge, Some(module), Some(shown), modules)
                    }
                    _ => refuse(Some(step), self.name(offer), Refusal::Unusable),
                });
            }
        }
        let finding = match finding {
            Finding::Sessions(sessions) => {
                self.sessions = Some(sessions);
                Finding::Yes
            }
            finding => finding,
        };
        let found = match &step.module {
            AuthModule::Certificate { names, .. } => {
                self.is_good(*names, finding, &offer, modules, verifier)
            }
            module => verifier.found(module, finding),
        };
        let named = check_name(step, &offer.username, modules);
        if let Err(why) = named.and(found) {
            return Some(refuse(Some(step), self.name(offer), why));
        }
        if stranger {
            let user = user(step, &offer.username, modules);
            verifier.guesses.was_right(user);
            self.right = Some(user.to_owned());
        }
        Some(self.walk(offer, module + 1, modules, verifier))
    }
}
