//! Which name counts: the one that the client says, or that of the session's owner.

use crate::modules::Modules;
use ipc::auth::Refusal;
use ipc::spec::{AuthModule, AuthStep, CheckAsks};

/// Does a module of this chain take the client for whom it says it is?
pub(super) fn goes_by_client(chain: &[AuthStep]) -> bool {
    chain.iter().any(|step| step.client_username)
}

/// Does it go by whom the client says that it is, or look at that, or is it told so? A command is.
pub(super) fn is_told_a_name(step: &AuthStep) -> bool {
    let command = matches!(
        step.module,
        AuthModule::Check {
            asks: CheckAsks::Nothing,
            ..
        }
    );
    step.client_username || step.verify_username || command
}

/// Does the client say the name that it has to say?
pub(super) fn check_name(
    step: &AuthStep,
    username: &str,
    modules: &Modules,
) -> Result<(), Refusal> {
    match step.verify_username && username != modules.owner() {
        true => Err(Refusal::OtherName),
        false => Ok(()),
    }
}

/// The user that a module is about.
pub(super) fn user<'n>(step: &AuthStep, username: &'n str, modules: &'n Modules) -> &'n str {
    match step.client_username {
        true => username,
        false => modules.owner(),
    }
}
