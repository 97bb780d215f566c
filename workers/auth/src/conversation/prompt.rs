//! What a person is asked.

use super::names::user;
use crate::modules::Modules;
use ipc::spec::{AuthModule, AuthStep, CheckAsks, Token};

/// What a ticket is asked for, if it is one.
pub(super) fn service(step: &AuthStep) -> Option<&str> {
    match &step.module {
        AuthModule::Check {
            asks: CheckAsks::Token { service, .. },
            ..
        } => Some(service),
        _ => None,
    }
}

/// What the person is asked.
pub(super) fn prompt(step: Option<&AuthStep>, username: &str, modules: &Modules) -> String {
    let user = match step {
        Some(AuthStep {
            prompt: Some(text), ..
        }) => return text.clone(),
        Some(AuthStep {
            module: AuthModule::Otp { .. },
            ..
        }) => return "OTP".to_owned(),
        Some(AuthStep {
            module:
                AuthModule::Check {
                    asks: CheckAsks::Signature(_),
                    ..
                },
            ..
        }) => return "security key".to_owned(),
        Some(AuthStep {
            module:
                AuthModule::Check {
                    asks: CheckAsks::Code,
                    ..
                },
            ..
        }) => return "keycloak".to_owned(),
        Some(AuthStep {
            module:
                AuthModule::Check {
                    asks: CheckAsks::Shown(_),
                    ..
                },
            ..
        }) => return "code on the session's screen".to_owned(),
        Some(AuthStep {
            module:
                AuthModule::Check {
                    asks: CheckAsks::Token { token, .. },
                    ..
                },
            ..
        }) => {
            return match token {
                Token::Kerberos => "kerberos token".to_owned(),
                Token::Gss => "GSS token".to_owned(),
            };
        }
        // Who has to name the owner is not told the name.
        Some(step) if step.verify_username => username,
        Some(step) => user(step, username, modules),
        None => modules.owner(),
    };
    format!("password for user '{user}'")
}
