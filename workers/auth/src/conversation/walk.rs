//! The way through a chain: one module after the other, until the client is asked, somebody else is,
//! or there is a verdict.

use super::claim::Claim;
use super::names::{check_name, goes_by_client, user};
use super::stage::{Checking, Offer, Purpose};
use super::step::{Step, module_name, refuse};
use super::{Conversation, Verifier};
use crate::challenge::Question;
use crate::modules::{self, Modules, Opening};
use ipc::auth::Refusal;
use ipc::spec::AuthModule;

impl Conversation {
    /// Asks the modules from this position on, until one of them needs the client's answer.
    pub(super) fn walk(
        &mut self,
        offer: Offer,
        from: usize,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Step {
        let chain = self.chain(modules);
        // No such listener, or nobody to agree: nobody gets in.
        if chain.is_empty() {
            return refuse(None, offer.username, Refusal::Failed);
        }
        for (position, step) in chain.iter().enumerate().skip(from) {
            if let AuthModule::Certificate {
                check, optional, ..
            } = &step.module
            {
                match (&self.certificate, optional) {
                    (Some(_), _) => return self.check(*check, Checking::unasked(offer, position)),
                    (None, true) => continue,
                    (None, false) => {
                        return refuse(Some(step), offer.username, Refusal::NoCertificate);
                    }
                }
            }
            match modules.open(&step.module, &self.peer, &self.told, &mut verifier.buffer) {
                Opening::Pass => match check_name(step, &offer.username, modules) {
                    Ok(()) => {}
                    Err(why) => return refuse(Some(step), self.name(offer), why),
                },
                Opening::Refuse(why) => return refuse(Some(step), self.name(offer), why),
                Opening::Send(check) => {
                    return self.send_to_provider(offer, position, check, modules, verifier);
                }
                Opening::Name(check, address) => {
                    let claim = Some(Claim::Names(address));
                    let checking = Checking {
                        claim,
                        purpose: Purpose::Names,
                        ..Checking::unasked(offer, position)
                    };
                    return self.check(check, checking);
                }
                Opening::Show(check, code) => {
                    let code = (check, code);
                    return self.show(offer, position, code, modules, verifier);
                }
                Opening::Ask(question) => {
                    return self.ask(offer, question, Some(position), modules);
                }
                Opening::Check(check) => {
                    return match check_name(step, &offer.username, modules) {
                        Ok(()) => self.check(check, Checking::unasked(offer, position)),
                        Err(why) => refuse(Some(step), self.name(offer), why),
                    };
                }
            }
        }
        if offer.small {
            // The client waits for a challenge before it sends its full hello.
            return self.ask(offer, Question::Proof, None, modules);
        }
        self.accept(&offer, modules, verifier)
    }

    /// Every module has agreed.
    pub(super) fn accept(&self, offer: &Offer, modules: &Modules, verifier: &mut Verifier) -> Step {
        let chain = self.chain(modules);
        for step in chain {
            if modules::question(&step.module).is_some() {
                let user = user(step, &offer.username, modules);
                verifier.guesses.is_in(user, &self.peer);
            }
        }
        let username = match &self.user {
            Some(user) => user,
            None if goes_by_client(chain) => &offer.username,
            None => modules.owner(),
        };
        let sessions = match &self.sessions {
            Some(sessions) => Some(sessions.clone()),
            None => verifier.sessions(chain, &offer.username, modules),
        };
        Step::Accept {
            module: module_name(chain.last()).to_owned(),
            username: username.to_owned(),
            sessions,
        }
    }
}
