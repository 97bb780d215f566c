//! How far a conversation has come.

use super::claim::Claim;
use crate::challenge::Challenge;
use ipc::auth::Digest;
use ipc::check::{CheckId, Password};

/// What a client's hello said about challenges.
#[derive(Debug)]
pub(super) struct Offer {
    /// The user it says it is.
    pub(super) username: String,
    pub(super) digests: Vec<Digest>,
    pub(super) salt_digests: Vec<Digest>,
    pub(super) small: bool,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Nothing was said yet, but perhaps what the client says of itself.
    Fresh,
    /// A challenge waits for its answer.
    Asked(Asked),
    /// What the screen showed for this login is gone, and the client has been refused; its answer may be on
    /// its way.
    Withdrawn,
    /// A check outside of this process decides.
    Checking(Checking),
    /// There is a verdict, or there will never be one.
    Ended,
}

/// A challenge that waits for its answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) offer: Offer,
    pub(super) challenge: Challenge,
    /// The module that asked; `None` when the answer decides nothing.
    pub(super) module: Option<usize>,
    /// What the screen shows, if that is what it asked for.
    pub(super) shown: Option<OnScreen>,
}

/// A check that is made outside of this process.
#[derive(Debug)]
pub(super) struct Checking {
    pub(super) offer: Offer,
    /// The module that needs it.
    pub(super) module: usize,
    /// What the client has answered, if the module asked it for something.
    pub(super) claim: Option<Claim>,
    /// Is the client a stranger, whose guesses are counted?
    pub(super) stranger: bool,
    pub(super) purpose: Purpose,
}

impl Checking {
    /// The module needs it, and the client was asked for nothing.
    pub(super) fn unasked(offer: Offer, module: usize) -> Self {
        Self {
            offer,
            module,
            claim: None,
            stranger: false,
            purpose: Purpose::Decides,
        }
    }
}

/// What a check is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// It lets the client pass, or does not.
    Decides,
    /// It says where to send the client, and lets nobody in.
    Address(CheckId),
    /// It shows this, and lets nobody in.
    Shows {
        code: Password,
        /// Where, once it is there.
        place: Option<u8>,
    },
    /// It says which names the client's address has: whether they let it pass is seen then.
    Names,
}

/// What the screen shows for a login.
#[derive(Debug)]
pub(super) struct OnScreen {
    pub(super) code: Password,
    pub(super) place: u8,
    /// It was counted as a stranger's guess when it was shown.
    pub(super) stranger: bool,
}
