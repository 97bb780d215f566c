//! What one connection may say to us, and in which order.

mod answer;
mod ask;
mod at_provider;
mod certificate;
mod check;
mod claim;
mod finding;
mod names;
mod on_screen;
mod prompt;
mod stage;
mod step;
mod verifier;
mod walk;

pub use finding::Finding;
pub use step::Step;
pub use verifier::Verifier;

use crate::modules::{self, Modules};
use crate::told::Told;
use ipc::ListenerId;
use ipc::auth::{NetworkToAuth, PeerFacts, Refusal};
use ipc::sessions::Summary;
use ipc::spec::AuthStep;
use ipc::tls::Shown;
use stage::{Asked, Offer, Stage};
use step::{module_name, refuse};

/// Bounds of the fields of messages (see [`NetworkToAuth`]).
const MAX_USERNAME: usize = 256;
const MAX_DIGESTS: usize = 16;

/// One connection's way through its chain of modules. Without a right answer to every question
/// there is no [`Step::Accept`]; there is at most one, and nothing after it.
#[derive(Debug)]
pub struct Conversation {
    listener: ListenerId,
    peer: PeerFacts,
    told: Told,
    stage: Stage,
    /// The user as whom a stranger has given its last right answer.
    right: Option<String>,
    /// What the client has shown, until a check is asked about it.
    certificate: Option<Box<Shown>>,
    /// The handshake that it has shown it in, which counts for one login.
    handshake: Option<String>,
    /// Who the client is, by its certificate.
    user: Option<String>,
    /// What a check knows of the user's sessions.
    sessions: Option<Summary>,
}

impl Conversation {
    /// A connection through a listener.
    #[must_use]
    pub fn new(listener: ListenerId, peer: PeerFacts) -> Self {
        Self {
            listener,
            peer,
            told: Told::default(),
            stage: Stage::Fresh,
            right: None,
            certificate: None,
            handshake: None,
            user: None,
            sessions: None,
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
            (Stage::Fresh, NetworkToAuth::Capabilities(values)) => {
                let kept = self.told.keep_capabilities(values);
                self.goes_on(kept)
            }
            (Stage::Fresh, NetworkToAuth::Headers(headers)) => {
                let kept = self.told.keep_headers(headers, self.chain(modules));
                self.goes_on(kept)
            }
            (_, NetworkToAuth::Capabilities(_)) => Step::Violation("capabilities out of order"),
            (_, NetworkToAuth::Headers(_)) => Step::Violation("headers out of order"),
            (_, NetworkToAuth::Certificate(_)) => Step::Violation("a certificate out of order"),
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
                let offer = Offer {
                    username,
                    digests,
                    salt_digests,
                    small,
                };
                self.walk(offer, 0, modules, verifier)
            }
            (
                Stage::Asked(asked),
                NetworkToAuth::Response {
                    response,
                    client_salt,
                },
            ) => self.answered(asked, response, client_salt, modules, verifier),
            (Stage::Asked(Asked { offer, .. }), NetworkToAuth::Hello { .. }) => {
                refuse(None, offer.username, Refusal::OutOfOrder)
            }
            (Stage::Checking(_), _) => Step::Violation("a message before its answer"),
            (Stage::Withdrawn, NetworkToAuth::Response { .. }) => Step::Listen,
            (Stage::Withdrawn, NetworkToAuth::Hello { .. }) => {
                Step::Violation("a hello after the verdict")
            }
            (Stage::Fresh, NetworkToAuth::Response { .. }) => {
                Step::Violation("a response to nothing")
            }
            (Stage::Ended, _) => Step::Violation("a message after the verdict"),
        }
    }

    /// More is to come before anybody is asked, if what came was as it should be.
    fn goes_on(&mut self, kept: Result<(), &'static str>) -> Step {
        match kept {
            Ok(()) => {
                self.stage = Stage::Fresh;
                Step::Listen
            }
            Err(what) => Step::Violation(what),
        }
    }

    /// The module whose question nobody will answer any more, after an answer to another was right,
    /// and the user whom the client named: who leaves here knows that.
    #[must_use]
    pub fn left_halfway<'c>(&'c self, modules: &'c Modules) -> Option<(&'c str, &'c str)> {
        match &self.stage {
            Stage::Asked(Asked {
                offer,
                module: Some(position),
                ..
            }) => {
                let mut before = self.chain(modules).iter().take(*position);
                let answered = before.any(|step| modules::question(&step.module).is_some());
                let step = self.chain(modules).get(*position);
                answered.then_some((module_name(step), &offer.username))
            }
            _ => None,
        }
    }

    fn chain<'m>(&self, modules: &'m Modules) -> &'m [AuthStep] {
        modules.chain(self.listener).unwrap_or_default()
    }

    /// Who the client is by its certificate, or says that it is: for the log.
    fn name(&self, offer: Offer) -> String {
        self.user.clone().unwrap_or(offer.username)
    }
}
