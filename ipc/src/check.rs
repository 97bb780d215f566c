//! One check of one login in a process of its own, whose role depends on the module (`auth-ldap`,
//! `auth-sqlite`, `auth-sql`, `auth-fido`, `auth-kerberos`, `auth-keycloak`, `auth-otpscreen`, `auth-names`): its edges to `supervisor` and to
//! `auth`. The password goes from `auth` to that process and passes nobody else.

use crate::auth::{Digest, MAX_TOKEN, PeerFacts};
use crate::channel::Message;
use crate::sessions::Summary;
use crate::tls::{MAX_CHAIN, Shown};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A check that a module of a listener needs: an index into
/// [`SupervisorSpec::checks`](crate::spec::SupervisorSpec) and
/// [`ChecksSpec::checks`](crate::spec::ChecksSpec).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CheckId(pub u16);

/// The longest address that a client is sent to, in bytes, before `auth` adds to it what makes it one
/// login: other implementations take 1023 bytes for a salt, and that is where it goes.
pub const MAX_ADDRESS: usize = 1023 - 256;
/// The longest code that is shown on a screen, in letters.
pub const MAX_CODE: u8 = 32;
/// How many codes may be on a screen beside each other.
pub const PLACES: u8 = 4;
/// Most names of one address that are looked at.
pub const MAX_NAMES: usize = 4;
/// The longest that is remembered of an OpenID Connect provider, in bytes.
pub const MAX_MEMORY: usize = 24 * 1024;

/// The supervisor has nothing to say to a check: all that it needs is in its descriptors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SupervisorToCheck {}

impl Message for SupervisorToCheck {
    const NAME: &'static str = "supervisor>check";
}

/// A check has nothing to say to the supervisor: it answers `auth`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckToSupervisor {}

impl Message for CheckToSupervisor {
    const NAME: &'static str = "check>supervisor";
}

/// The password of one login. Wiped when dropped, and not shown.
#[derive(Clone, Serialize, Deserialize)]
pub struct Password(pub Vec<u8>);

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Password {}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<password>")
    }
}

/// `auth` asks, once, a process that has said [`CheckToAuth::Ready`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthToCheck {
    /// Is this the password of this user?
    Password {
        /// Who the client says it is: at most 256 bytes, not empty.
        username: String,
        /// As the client sent it: at most 1024 bytes, not empty.
        password: Password,
    },
    /// Does who answered this challenge know the password of this user?
    Proof {
        /// Who the client says it is: at most 256 bytes, not empty.
        username: String,
        /// How the response was made; not [`Digest::Xor`].
        digest: Digest,
        /// Both salts, mixed, as text (protocol "Exact computation"): at most 128 bytes.
        salt: String,
        /// As the client sent it: at most 1024 bytes.
        response: Vec<u8>,
    },
    /// Which of the security keys has signed this?
    Signature {
        /// What it had to sign: our salt, 64 bytes.
        challenge: Vec<u8>,
        /// What the client says that its origin is: at most 1024 bytes.
        origin: Vec<u8>,
        /// As the client sent it: at most 1024 bytes.
        response: Vec<u8>,
    },
    /// Is this a ticket of this user?
    Token {
        /// Who the client says it is: at most 256 bytes, not empty.
        username: String,
        /// As the client sent it: at most [`MAX_TOKEN`] bytes, not empty. Who
        /// has it could be the user, for some minutes.
        token: Password,
    },
    /// Is this certificate good, and whose is it?
    Certificate(Box<Shown>),
    /// Where do clients have to go, to log in at the provider?
    Address,
    /// May somebody come in whom the provider has given this?
    Code {
        /// From [`CheckToAuth::Address`].
        memory: Vec<u8>,
        /// The secret of this login: what was made from it went out with the address.
        verifier: Password,
        /// What went out with the address, and has to come back with the code.
        state: String,
        /// What went out with the address, and has to be in the provider's token.
        nonce: String,
        /// As the client sent it: at most [`MAX_TOKEN`] bytes, not empty.
        answer: Password,
    },
    /// Show this on the session's screen, until the channel ends.
    Show {
        /// What is to be typed at the client: at most [`MAX_CODE`] letters and digits.
        code: Password,
        /// Who the client says it is: at most 64 characters of ASCII that can be printed, or U+FFFD; may be empty.
        username: String,
        /// Where the client is.
        peer: PeerFacts,
        /// Which place on the screen is free, of [`PLACES`].
        place: u8,
    },
    /// Which names has this address?
    Names(IpAddr),
}

impl Message for AuthToCheck {
    const NAME: &'static str = "auth>check";
    const SECRET: bool = true;
    fn limit(&self) -> usize {
        match self {
            Self::Token { .. } => MAX_TOKEN + 1024,
            Self::Certificate(_) => MAX_CHAIN + 4096,
            Self::Code { .. } => MAX_MEMORY + MAX_TOKEN + 1024,
            _ => 4096,
        }
    }
}

/// What a check says to `auth`: that it is ready, then one answer. None is no. After [`CheckToAuth::Shown`]
/// there may be a [`CheckToAuth::No`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckToAuth {
    /// Its sandbox is in force: now it may be asked.
    Ready,
    /// It is.
    Yes,
    /// It is not, or that could not be found out: the reason is in the log only.
    No,
    /// This one has, to [`AuthToCheck::Signature`].
    Signed {
        /// Its number in the configuration.
        key: u16,
        /// How often it has signed, as it says itself.
        counter: u32,
    },
    /// It is, and it is this user's: at most 256 bytes, not empty.
    User(String),
    /// The answer to [`AuthToCheck::Address`].
    Address {
        /// Where to go: at most [`MAX_ADDRESS`] bytes, printable ASCII. Its query is still to say
        /// what makes it one login.
        address: String,
        /// What is to be remembered for those who come back: at most [`MAX_MEMORY`] bytes.
        memory: Vec<u8>,
    },
    /// It is, and that is known of this user's sessions.
    Sessions(Summary),
    /// The answer to [`AuthToCheck::Show`]: it can be seen now. It lets nobody in.
    Shown,
    /// The answer to [`AuthToCheck::Names`]: between one and [`MAX_NAMES`], each of them once. It lets
    /// nobody in.
    Named(Vec<AddressName>),
}

/// What is known of a name of an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AddressName {
    /// This one, which has that address: at most 253 bytes.
    Verified(String),
    /// It has one that has not that address, or that is no name of a machine.
    Paranoid,
    /// It has none.
    Unknown,
}

impl Message for CheckToAuth {
    const NAME: &'static str = "check>auth";
    fn limit(&self) -> usize {
        match self {
            Self::Address { .. } => MAX_MEMORY + 1024,
            _ => 4096,
        }
    }
}
