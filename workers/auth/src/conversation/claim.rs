//! What a client says to be let in, for somebody else to check.

use crate::challenge::Signed;
use crate::provider::Login;
use ipc::auth::Digest;
use ipc::check::Password;
use std::net::IpAddr;

/// What a client says to be let in, for somebody else to check.
#[derive(Debug)]
pub(super) enum Claim {
    Password(Password),
    Proof {
        digest: Digest,
        salt: String,
        response: Vec<u8>,
    },
    Signature {
        challenge: Signed,
        origin: Vec<u8>,
        response: Vec<u8>,
    },
    Token(Password),
    /// Nothing yet: it has to be sent somewhere.
    Address,
    Code {
        login: Box<Login>,
        answer: Password,
    },
    /// Nothing yet: something has to be shown.
    Show,
    /// Nothing: it comes from this address.
    Names(IpAddr),
}

impl Claim {
    /// Something as long that is nobody's.
    pub(super) fn disguise(&mut self) {
        let bytes = match self {
            Self::Password(Password(bytes)) | Self::Token(Password(bytes)) => bytes,
            Self::Proof { response, .. } => response,
            // It costs nobody anything to look at that; a code is good once.
            Self::Signature { .. }
            | Self::Address
            | Self::Code { .. }
            | Self::Show
            | Self::Names(_) => return,
        };
        bytes.fill(b'x');
    }
}
