//! One login at an OpenID Connect provider, such as Keycloak: the authorization code flow.
//!
//! The process lives for one question of `auth`, on a socket that somebody else has connected. There
//! are two such questions in a login: where the client has to go ([`provider::Provider`]; what was
//! fetched for it is remembered by `auth` for a while), and what the code that it brings back says
//! of who it is.
//!
//! * [`url`]: the few addresses that there are here.
//! * [`http`]: requests and answers, HTTP/1.1 (RFC 9112), bounded.
//! * [`provider`]: what the provider says of itself (OpenID Connect Discovery 1.0).
//! * [`keys`]: the keys that it signs with (RFC 7517), and signatures of them (RFC 7515).
//! * [`said`]: what the client brings back, and what the provider gives for it (RFC 6749).
//! * [`identity`]: the token that says who somebody is (OpenID Connect Core 1.0, 3.1.3.7).
//! * [`process`]: the process around it.
#![forbid(unsafe_code)]

pub mod http;
pub mod identity;
pub mod keys;
pub mod process;
pub mod provider;
pub mod said;
pub mod url;

use backend::Broken;

/// Why somebody is not let in. It is for the log: no secret is in it, and what the other side says
/// only in pieces that are [`shown`].
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The connection to the provider.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// There is none.
    #[error("{0}")]
    Connection(String),
    /// What comes over it is no answer.
    #[error("the provider's answer {0}")]
    Http(#[from] http::Mistake),
    /// The provider cannot be used.
    #[error("the provider's {0} {1}")]
    Provider(&'static str, String),
    /// It answers with this status and says this.
    #[error("the provider's {0} answers {1}")]
    Status(&'static str, String),
    /// What the client brought is not what it was sent for.
    #[error("the client {0}")]
    Client(String),
    /// The provider refuses the code.
    #[error("the provider does not take the code: {0}")]
    Code(String),
    /// The token is not good.
    #[error("the identity token {0}")]
    Token(#[from] identity::Mistake),
    /// Whoever it is may not come in.
    #[error("{0}")]
    Groups(String),
}

impl Failure {
    /// Is it about who wants to come in, and not about the provider?
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Client(_) | Self::Code(_) | Self::Groups(_))
    }
}

/// Somebody else's text, as a log may have it: a piece of it, in which nothing can be taken for
/// anything else.
#[must_use]
pub fn shown(text: &str) -> String {
    let piece: String = text.chars().take(100).collect();
    format!("{piece:?}")
}
