//! What one connection may say to us, and in which order.

use crate::challenge::{Challenge, ChallengeError, UsedSalts};
use crate::modules::{self, Modules, Opening};
use ipc::ListenerId;
use ipc::auth::{AuthToNetwork, Digest, NetworkToAuth, PeerFacts, Refusal};
use ipc::spec::AuthModule;
use runtime::secret::Buffer;

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
                    return accept(self.chain(modules));
                };
                let Some(module) = self.chain(modules).get(position) else {
                    return refuse("", Refusal::Failed);
                };
                if !verifier.check(module, challenge, &response, &client_salt, modules) {
                    return refuse(modules::name(module), Refusal::Failed);
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

    fn chain<'m>(&self, modules: &'m Modules) -> &'m [AuthModule] {
        modules.chain(self.listener).unwrap_or_default()
    }

    /// Asks the modules from this position on, until one of them needs the client's answer.
    fn walk(&mut self, offer: Offer, from: usize, modules: &Modules) -> Step {
        let chain = self.chain(modules);
        // No such listener, or nobody to agree: nobody gets in.
        if chain.is_empty() {
            return refuse("", Refusal::Failed);
        }
        for (position, module) in chain.iter().enumerate().skip(from) {
            match modules::open(module, &self.peer) {
                Opening::Pass => {}
                Opening::Refuse => return refuse(modules::name(module), Refusal::Failed),
                Opening::Ask => return self.ask(offer, Some(position), modules),
            }
        }
        if offer.small {
            // The client waits for a challenge before it sends its full hello.
            return self.ask(offer, None, modules);
        }
        accept(chain)
    }

    fn ask(&mut self, offer: Offer, module: Option<usize>, modules: &Modules) -> Step {
        let name = module.and_then(|position| self.chain(modules).get(position));
        let name = name.map_or("", modules::name);
        match Challenge::new(&offer.digests, &offer.salt_digests) {
            Ok(challenge) => {
                let message = challenge.message(format!("password for user '{}'", modules.owner()));
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
            Err(ChallengeError::NoDigest) => Step::Refuse {
                module: name.to_owned(),
                why: Refusal::NoDigest,
                text: "cannot proceed without 'hmac+sha512' digest support".to_owned(),
            },
            Err(error @ ChallengeError::Random(_)) => {
                tracing::error!(%error, "no challenge can be made");
                refuse(name, Refusal::Failed)
            }
        }
    }
}

fn accept(chain: &[AuthModule]) -> Step {
    let module = chain.last().map_or("", modules::name);
    Step::Accept {
        module: module.to_owned(),
    }
}

fn refuse(module: &str, why: Refusal) -> Step {
    Step::Refuse {
        module: module.to_owned(),
        why,
        text: FAILED.to_owned(),
    }
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
        module: &AuthModule,
        challenge: Challenge,
        response: &[u8],
        client_salt: &[u8],
        modules: &Modules,
    ) -> bool {
        let Some(combined) = challenge.combine(client_salt, &mut self.used) else {
            return false;
        };
        match module {
            AuthModule::Allow => true,
            AuthModule::Secret {
                name,
                secret,
                in_place,
            } => {
                let Some(file) = modules.secret(*secret) else {
                    return false;
                };
                let name_is_right = if *in_place { file.check_name() } else { Ok(()) };
                match name_is_right.and_then(|()| file.read(&mut self.buffer)) {
                    Ok(secret) => combined.check(secret.bytes(), response),
                    Err(error) => {
                        tracing::error!(module = %name, %error, "the secret of an auth module");
                        false
                    }
                }
            }
            // The others never ask.
            AuthModule::None
            | AuthModule::Fail
            | AuthModule::Reject
            | AuthModule::PeerCred { .. } => false,
        }
    }
}
