//! What is remembered of all connections to check answers, and the checks that are made here.

use super::answer::Answer;
use super::claim::Claim;
use super::finding::Finding;
use super::names::user;
use crate::challenge::{Challenge, Combined, Covered, UsedSalts};
use crate::counters::Counters;
use crate::guesses::Guesses;
use crate::modules::{self, Modules, Unusable};
use crate::multifile;
use crate::otp::{self, UsedCodes};
use crate::provider::Providers;
use ipc::auth::Refusal;
use ipc::check::{CheckId, Password};
use ipc::sessions::Summary;
use ipc::spec::{AuthModule, AuthStep, CheckAsks};
use runtime::secret::{self, Buffer};
use std::time::Instant;

/// What checks of answers need, for all connections.
pub struct Verifier {
    pub(super) buffer: Buffer,
    pub(super) used: UsedSalts,
    /// Those in which clients have shown a good certificate.
    pub(super) handshakes: UsedSalts,
    codes: UsedCodes,
    counters: Counters,
    pub(super) providers: Providers,
    pub(super) guesses: Guesses,
    /// The same of codes that are shown: they keep nobody from giving a password.
    pub(super) screens: Guesses,
}

/// Compared with where there is no such user, for as long as a password would be.
const NOBODY: &[u8] = b"nobody's secret";

impl Verifier {
    /// With memory for the secrets.
    #[must_use]
    pub fn new(buffer: Buffer) -> Self {
        Self {
            buffer,
            used: UsedSalts::default(),
            handshakes: UsedSalts::default(),
            codes: UsedCodes::default(),
            counters: Counters::default(),
            providers: Providers::default(),
            guesses: Guesses::default(),
            screens: Guesses::default(),
        }
    }

    /// Does the module accept this answer to its challenge?
    pub(super) fn check(
        &mut self,
        step: &AuthStep,
        username: &str,
        challenge: Challenge,
        answer: &Answer,
        modules: &Modules,
    ) -> Result<(), Refusal> {
        let combined = challenge.combine(&answer.client_salt, &mut self.used);
        let combined = combined.ok_or(Refusal::Failed)?;
        let user = user(step, username, modules);
        let verdict = self.verdict(&step.module, user, combined, answer, modules);
        secret::wipe_stack();
        verdict.unwrap_or_else(|error| {
            tracing::error!(module = modules::name(&step.module), %error, "an auth module");
            Err(Refusal::Unusable)
        })
    }

    /// What the client sent for somebody else to check. An empty password is none: to an LDAP server
    /// it is nobody's, and lets everybody in as nobody.
    #[inline(never)]
    pub(super) fn claim(&mut self, challenge: Challenge, answer: &Answer) -> Option<Claim> {
        match challenge.combine(&answer.client_salt, &mut self.used)? {
            Combined::Password(covered) => taken(covered, answer).map(Claim::Password),
            Combined::Token(covered) => taken(covered, answer).map(Claim::Token),
            Combined::Code(covered, login) => {
                let answer = taken(covered, answer)?;
                if !login.may_be(&answer.0) {
                    tracing::info!("what the client brings has not the state of this login");
                    return None;
                }
                Some(Claim::Code { login, answer })
            }
            Combined::Proof(proof) => {
                let (digest, salt) = proof.into_parts();
                Some(Claim::Proof {
                    digest,
                    salt,
                    response: answer.response.to_vec(),
                })
            }
            Combined::Signature(challenge) => Some(Claim::Signature {
                challenge,
                origin: answer.client_salt.clone(),
                response: answer.response.to_vec(),
            }),
        }
    }

    /// Is it known now where clients have to go?
    pub(super) fn learn(&mut self, check: CheckId, finding: Finding) -> bool {
        let Finding::Address { address, memory } = finding else {
            return false;
        };
        let learnt = self.providers.learn(check, address, memory, Instant::now());
        if let Err(error) = learnt {
            tracing::error!(error, "an auth module");
        }
        learnt.is_ok()
    }

    /// What a password file of this chain says of the user's sessions.
    pub(super) fn sessions(
        &mut self,
        chain: &[AuthStep],
        username: &str,
        modules: &Modules,
    ) -> Option<Summary> {
        chain.iter().find_map(|step| {
            let AuthModule::Users { secret } = step.module else {
                return None;
            };
            let file = modules.read(secret, &mut self.buffer).ok()?;
            multifile::sessions(file.bytes(), user(step, username, modules))
        })
    }

    /// Does this let the client pass the module? Who is asked for a signature has to say whose it is.
    pub(super) fn found(&mut self, module: &AuthModule, finding: Finding) -> Result<(), Refusal> {
        let signature = matches!(
            module,
            AuthModule::Check {
                asks: CheckAsks::Signature(_),
                ..
            }
        );
        match finding {
            Finding::Yes if !signature => Ok(()),
            Finding::Signed { key, counter } if signature => {
                self.counters.go_on(key, counter).map_err(|last| {
                    tracing::warn!(key, last, counter, "a security key has not counted on");
                    Refusal::Counter
                })
            }
            _ => {
                if let AuthModule::Check {
                    check,
                    asks: CheckAsks::Code,
                    ..
                } = module
                {
                    // It may be another one by now.
                    self.providers.doubt(*check, Instant::now());
                }
                Err(Refusal::Failed)
            }
        }
    }

    // What it leaves on the stack is below the frame of who calls it.
    #[inline(never)]
    fn verdict(
        &mut self,
        module: &AuthModule,
        user: &str,
        combined: Combined,
        answer: &Answer,
        modules: &Modules,
    ) -> Result<Result<(), Refusal>, Unusable> {
        let response = &answer.response;
        Ok(match (module, combined) {
            (AuthModule::Allow, _) => Ok(()),
            (AuthModule::Secret { secret, .. }, Combined::Proof(proof)) => {
                let secret = modules.read(*secret, &mut self.buffer)?;
                right(proof.check(secret.bytes(), response))
            }
            (AuthModule::Users { secret }, Combined::Proof(proof)) => {
                let file = modules.read(*secret, &mut self.buffer)?;
                let (password, known) = multifile::password(file.bytes(), user, NOBODY)?;
                let right = right(proof.check(password, response));
                match known {
                    true => right,
                    false => Err(Refusal::UnknownUser),
                }
            }
            (AuthModule::Otp { secret, window }, Combined::Password(covered)) => {
                let key = modules.key(*secret, &mut self.buffer)?;
                let code = covered.password(response);
                let now = otp::now();
                if answer.stranger && !self.codes.begin(&key, now) {
                    return Ok(Err(Refusal::TooMany));
                }
                match key.step_of(code.trim_ascii(), now, *window) {
                    Some(step) if self.codes.spend(&key, step, now, *window) => {
                        if answer.stranger {
                            self.codes.was_right(&key);
                        }
                        Ok(())
                    }
                    Some(_) => Err(Refusal::UsedCode),
                    None => Err(Refusal::Failed),
                }
            }
            // The others never ask, or always refuse.
            _ => Err(Refusal::Failed),
        })
    }
}

fn right(is: bool) -> Result<(), Refusal> {
    match is {
        true => Ok(()),
        false => Err(Refusal::Failed),
    }
}

/// What was sent covered, if it is anything.
fn taken(covered: Covered, answer: &Answer) -> Option<Password> {
    let mut said = covered.password(&answer.response);
    (!said.is_empty()).then(|| Password(std::mem::take(&mut *said)))
}
