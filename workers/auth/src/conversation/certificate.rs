//! What a client shows in its TLS handshake: kept until a check is asked about it, and good once.

use super::finding::Finding;
use super::names::is_told_a_name;
use super::stage::{Offer, Stage};
use super::{Conversation, MAX_USERNAME, Verifier};
use crate::modules::Modules;
use ipc::auth::Refusal;
use ipc::spec::{AuthModule, AuthStep};
use ipc::tls::Shown;

impl Conversation {
    /// Keeps what the client has shown until somebody can be asked about it. Not when nobody asked for
    /// it, it comes twice or after a hello, or is too long.
    pub fn keep(&mut self, shown: Box<Shown>, modules: &Modules) -> bool {
        let asks = |step: &AuthStep| matches!(step.module, AuthModule::Certificate { .. });
        let asked = self.chain(modules).iter().any(asks);
        let fresh = matches!(self.stage, Stage::Fresh) && self.handshake.is_none();
        if !asked || !fresh || !shown.is_bounded() {
            self.stage = Stage::Ended;
            return false;
        }
        let transcript = shown.transcript.iter().map(|byte| format!("{byte:02x}"));
        self.handshake = Some(transcript.collect());
        self.certificate = Some(shown);
        true
    }

    /// Is that what lets a client with a certificate pass? `names`: it has to tell who that is.
    pub(super) fn is_good(
        &mut self,
        names: bool,
        finding: Finding,
        offer: &Offer,
        modules: &Modules,
        verifier: &mut Verifier,
    ) -> Result<(), Refusal> {
        let user = match finding {
            Finding::Yes if !names => None,
            Finding::User(user) if names && (1..=MAX_USERNAME).contains(&user.len()) => Some(user),
            _ => return Err(Refusal::Failed),
        };
        // What has been used once may have been written down.
        let handshake = self.handshake.as_deref().ok_or(Refusal::Failed)?;
        if !verifier.handshakes.insert(handshake) {
            return Err(Refusal::UsedCertificate);
        }
        // A certificate of one and a password of another are not one user.
        if let Some(user) = &user
            && self.chain(modules).iter().any(is_told_a_name)
            && offer.username != *user
        {
            return Err(Refusal::OtherName);
        }
        self.user = user;
        Ok(())
    }
}
