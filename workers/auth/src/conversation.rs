//! What one connection may say to us, and in which order.

use crate::challenge::{Challenge, ChallengeError, Combined, Question, UsedSalts};
use crate::modules::{self, Modules, Opening};
use ipc::ListenerId;
use ipc::auth::{AuthToNetwork, Digest, NetworkToAuth, PeerFacts, Refusal};
use ipc::spec::{AuthModule, AuthStep};
use runtime::secret::Buffer;
use zeroize::Zeroizing;

/// What every client that is turned away is told, whatever the reason.
const FAILED: &str = "authentication failed";
/// Bounds of the fields of messages (see [`NetworkToAuth`]).
const MAX_USERNAME: usize = 256;
const MAX_DIGESTS: usize = 16;
const MAX_RESPONSE: usize = 1024;

/// What follows from a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the client.
    Ask(AuthToNetwork),
    /// Every module has agreed.
    Accept {
        /// The last one.
        module: String,
        /// Who the client is.
        username: String,
    },
    /// The client is turned away.
    Refuse {
        /// The module that did.
        module: String,
        /// Why, for the log.
        why: Refusal,
        /// What it is told.
        text: String,
    },
    /// The `network` worker does what it never does.
    Violation(&'static str),
}

/// What a client's hello said about challenges.
#[derive(Debug)]
struct Offer {
    /// The user it says it is.
    username: String,
    digests: Vec<Digest>,
    salt_digests: Vec<Digest>,
    small: bool,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was said yet.
    Fresh,
    /// A challenge waits for its answer.
    Asked {
        offer: Offer,
        challenge: Challenge,
        /// The module that asked; `None` when the answer decides nothing.
        module: Option<usize>,
    },
    /// There is a verdict, or there will never be one.
    Ended,
}

/// One connection's way through its chain of modules. Without a right answer to every question
/// there is no [`Step::Accept`]; there is at most one, and nothing after it.
#[derive(Debug)]
pub struct Conversation {
    listener: ListenerId,
    peer: PeerFacts,
    stage: Stage,
}

impl Conversation {
    /// A connection through a listener.
    #[must_use]
    pub fn new(listener: ListenerId, peer: PeerFacts) -> Self {
        Self {
            listener,
            peer,
            stage: Stage::Fresh,
        }
    }

    /// Takes a message from the connection's `network`.
    pub fn receive(
        &mut self,
        message: NetworkToAuth,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Step {
        match (std::mem::replace(&mut self.stage, Stage::Ended), message) {
            (
                Stage::Fresh,
                NetworkToAuth::Hello {
                    username,
                    digests,
                    salt_digests,
                    small,
                },
            ) => {
                if username.len() > MAX_USERNAME
                    || digests.len() > MAX_DIGESTS
                    || salt_digests.len() > MAX_DIGESTS
                {
                    return Step::Violation("a hello with too long fields");
                }
                self.walk(
                    Offer {
                        username,
                        digests,
                        salt_digests,
                        small,
                    },
                    0,
                    modules,
                )
            }
            (
                Stage::Asked {
                    offer,
                    challenge,
                    module,
                },
                NetworkToAuth::Response {
                    response,
                    client_salt,
                },
            ) => {
                if response.len() > MAX_RESPONSE || client_salt.len() > MAX_RESPONSE {
                    return Step::Violation("a response with too long fields");
                }
                let Some(position) = module else {
                    return accept(self.chain(modules), &offer, modules);
                };
                let Some(step) = self.chain(modules).get(position) else {
                    return refuse("", Refusal::Failed);
                };
                let answer = Answer {
                    response: Zeroizing::new(response),
                    client_salt,
                };
                // Both are asked, so that who is told no cannot tell which.
                let knows = verifier.check(step, challenge, &answer, modules);
                let named = is_named(step, &offer.username, modules);
                if !(knows & named) {
                    return refuse(modules::name(&step.module), Refusal::Failed);
                }
                self.walk(offer, position + 1, modules)
            }
            (Stage::Asked { .. }, NetworkToAuth::Hello { .. }) => refuse("", Refusal::OutOfOrder),
            (Stage::Fresh, NetworkToAuth::Response { .. }) => {
                Step::Violation("a response to nothing")
            }
            (Stage::Ended, _) => Step::Violation("a message after the verdict"),
        }
    }

    fn chain<'m>(&self, modules: &'m Modules) -> &'m [AuthStep] {
        modules.chain(self.listener).unwrap_or_default()
    }

    /// Asks the modules from this position on, until one of them needs the client's answer.
    fn walk(&mut self, offer: Offer, from: usize, modules: &Modules) -> Step {
        let chain = self.chain(modules);
        // No such listener, or nobody to agree: nobody gets in.
        if chain.is_empty() {
            return refuse("", Refusal::Failed);
        }
        for (position, step) in chain.iter().enumerate().skip(from) {
            match modules::open(&step.module, &self.peer) {
                Opening::Pass if is_named(step, &offer.username, modules) => {}
                Opening::Pass | Opening::Refuse => {
                    return refuse(modules::name(&step.module), Refusal::Failed);
                }
                Opening::Ask(question) => {
                    return self.ask(offer, question, Some(position), modules);
                }
            }
        }
        if offer.small {
            // The client waits for a challenge before it sends its full hello.
            return self.ask(offer, Question::Proof, None, modules);
        }
        accept(chain, &offer, modules)
    }

    fn ask(
        &mut self,
        offer: Offer,
        question: Question,
        module: Option<usize>,
        modules: &Modules,
    ) -> Step {
        let step = module.and_then(|position| self.chain(modules).get(position));
        let name = step.map_or("", |step| modules::name(&step.module));
        match Challenge::new(question, &offer.digests, &offer.salt_digests) {
            Ok(challenge) => {
                let message = challenge.message(prompt(step, &offer.username, modules));
                self.stage = Stage::Asked {
                    offer: Offer {
                        small: false,
                        ..offer
                    },
                    challenge,
                    module,
                };
                Step::Ask(message)
            }
            Err(ChallengeError::NoDigest(digest)) => Step::Refuse {
                module: name.to_owned(),
                why: Refusal::NoDigest,
                text: format!("cannot proceed without '{digest}' digest support"),
            },
            Err(error @ ChallengeError::Random(_)) => {
                tracing::error!(%error, "no challenge can be made");
                refuse(name, Refusal::Failed)
            }
        }
    }
}

fn accept(chain: &[AuthStep], offer: &Offer, modules: &Modules) -> Step {
    let module = chain.last().map_or("", |step| modules::name(&step.module));
    let username = match chain.iter().any(|step| step.client_username) {
        true => &offer.username,
        false => modules.owner(),
    };
    Step::Accept {
        module: module.to_owned(),
        username: username.to_owned(),
    }
}

/// Does the client say the name that it has to say?
fn is_named(step: &AuthStep, username: &str, modules: &Modules) -> bool {
    !step.verify_username || username == modules.owner()
}

/// What the person is asked.
fn prompt(step: Option<&AuthStep>, username: &str, modules: &Modules) -> String {
    match step {
        Some(AuthStep {
            prompt: Some(text), ..
        }) => text.clone(),
        Some(step) if step.client_username => format!("password for user '{username}'"),
        _ => format!("password for user '{}'", modules.owner()),
    }
}

fn refuse(module: &str, why: Refusal) -> Step {
    Step::Refuse {
        module: module.to_owned(),
        why,
        text: FAILED.to_owned(),
    }
}

/// A client's answer to a challenge.
#[derive(Debug)]
struct Answer {
    response: Zeroizing<Vec<u8>>,
    client_salt: Vec<u8>,
}

/// What checks of answers need, for all connections.
#[derive(Debug)]
pub struct Verifier {
    buffer: Buffer,
    used: UsedSalts,
}

impl Verifier {
    /// With memory for the secrets.
    #[must_use]
    pub fn new(buffer: Buffer) -> Self {
        Self {
            buffer,
            used: UsedSalts::default(),
        }
    }

    /// Does the module accept this answer to its challenge?
    fn check(
        &mut self,
        step: &AuthStep,
        challenge: Challenge,
        answer: &Answer,
        modules: &Modules,
    ) -> bool {
        let Some(combined) = challenge.combine(&answer.client_salt, &mut self.used) else {
            return false;
        };
        match (&step.module, combined) {
            (AuthModule::Allow, _) => true,
            (AuthModule::Secret { name, secret }, Combined::Proof(proof)) => {
                match modules.read(*secret, &mut self.buffer) {
                    Ok(secret) => proof.check(secret.bytes(), &answer.response),
                    Err(error) => {
                        tracing::error!(module = %name, %error, "the secret of an auth module");
                        false
                    }
                }
            }
            // The others never ask, or always refuse.
            _ => false,
        }
    }
}
