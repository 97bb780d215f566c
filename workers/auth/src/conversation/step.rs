//! What follows from a message.

use crate::modules;
use ipc::auth::{AuthToNetwork, Refusal};
use ipc::check::CheckId;
use ipc::sessions::Summary;
use ipc::spec::AuthStep;

/// What every client that is turned away is told, whatever the reason.
const FAILED: &str = "authentication failed";

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
        /// What a module knows of this user's sessions.
        sessions: Option<Summary>,
    },
    /// The client is turned away.
    Refuse {
        /// The module that did.
        module: String,
        /// Who it says it is.
        username: String,
        /// Why, for the log.
        why: Refusal,
        /// What it is told.
        text: String,
    },
    /// Somebody outside of this process decides: [`super::Conversation::checked`] is told how.
    Check {
        /// Which check.
        check: CheckId,
        /// Whom it is about.
        username: String,
        /// Nothing is known of the client.
        stranger: bool,
    },
    /// More is to come.
    Listen,
    /// The `network` worker does what it never does.
    Violation(&'static str),
}

pub(super) fn module_name(step: Option<&AuthStep>) -> &str {
    step.map_or("", |step| modules::name(&step.module))
}

/// The client is turned away, by this module if it is one that does.
pub(super) fn refuse(step: Option<&AuthStep>, username: String, why: Refusal) -> Step {
    Step::Refuse {
        module: module_name(step).to_owned(),
        username,
        why,
        text: FAILED.to_owned(),
    }
}
