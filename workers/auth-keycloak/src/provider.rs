//! What a provider says of itself (OpenID Connect Discovery 1.0), and what is remembered of it.

use crate::keys::Key;
use crate::url::{self, Url};
use crate::{Failure, shown};
use serde::{Deserialize, Serialize};

/// Where a provider says it, below its name.
pub const WELL_KNOWN: &str = "/.well-known/openid-configuration";
/// Longest address that a client is sent to, in bytes.
pub const MAX_ADDRESS: usize = ipc::check::MAX_ADDRESS;
/// The longest that is remembered, in bytes.
pub const MAX_MEMORY: usize = ipc::check::MAX_MEMORY;

/// Who we are to the provider.
#[derive(Clone, Copy)]
pub struct Client<'c> {
    /// Our name there.
    pub id: &'c str,
    /// Where it sends people when they have logged in.
    pub redirect: &'c str,
    /// What is asked for.
    pub scope: &'c str,
}

/// A provider that can be asked. It came from the provider alone: nobody who logs in has a part in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its name.
    pub issuer: String,
    /// Where people log in, as it says it.
    authorization: String,
    /// Where codes are exchanged: a path at the provider.
    pub token: String,
    /// Where its keys are: a path.
    pub keys_at: String,
    /// Where more is told of who somebody is: a path.
    pub userinfo: Option<String>,
    /// Our secret belongs into the form, and not into a header.
    pub secret_in_form: bool,
    /// Its keys.
    pub keys: Vec<Key>,
}

/// What there is of use in the document.
#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    response_types_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
}

impl Provider {
    /// From its document, which came from the provider of this name; it has no keys yet.
    ///
    /// # Errors
    /// It is another one's, or cannot be used.
    pub fn read(json: &[u8], issuer: &str, base: &Url, has_secret: bool) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::Provider("description", why);
        let document: Document = serde_json::from_slice(json)
            .map_err(|_| wrong("is not what OpenID Connect Discovery says".into()))?;
        if document.issuer != issuer {
            let is = shown(&document.issuer);
            return Err(wrong(format!(
                "is of {is}, and not of {issuer}: write server_url= and realm_name= as it has them"
            )));
        }
        // Only what is at the same place is asked: there is a connection to no other.
        let beside = |what: &str, address: &str| {
            let url =
                Url::parse(address).map_err(|why| wrong(format!("has a {what} that {why}")))?;
            match url.is_beside(base) {
                true => Ok(url.path),
                false => Err(wrong(format!(
                    "has its {what} at {}, and not at {}",
                    shown(address),
                    base.authority()
                ))),
            }
        };
        let (authorization, _) = Url::parse_with_query(&document.authorization_endpoint)
            .map_err(|why| wrong(format!("has an authorization_endpoint that {why}")))?;
        // People write their passwords there.
        if !authorization.tls && !authorization.is_beside(base) {
            return Err(wrong("has an authorization_endpoint without TLS".into()));
        }
        let without = |list: &Option<Vec<String>>, word: &str| {
            let list = list.as_ref();
            list.is_some_and(|list| !list.iter().any(|one| one == word))
        };
        if without(&document.response_types_supported, "code") {
            return Err(wrong("has no response type `code`".into()));
        }
        if without(&document.code_challenge_methods_supported, "S256") {
            return Err(wrong("has no code challenge method `S256` (PKCE)".into()));
        }
        let methods = &document.token_endpoint_auth_methods_supported;
        let secret_in_form = without(methods, "client_secret_basic");
        if has_secret && secret_in_form && without(methods, "client_secret_post") {
            return Err(wrong("lets no client log in with a secret".into()));
        }
        Ok(Self {
            issuer: document.issuer,
            token: beside("token_endpoint", &document.token_endpoint)?,
            keys_at: beside("jwks_uri", &document.jwks_uri)?,
            userinfo: match &document.userinfo_endpoint {
                None => None,
                Some(address) => Some(beside("userinfo_endpoint", address)?),
            },
            authorization: document.authorization_endpoint,
            secret_in_form,
            keys: Vec::new(),
        })
    }

    /// Where a client is to go. What makes it one login (`state`, `nonce` and `code_challenge`) is
    /// still to be added, each with an `&` before it.
    ///
    /// # Errors
    /// It is too long.
    pub fn address(&self, client: Client<'_>) -> Result<String, Failure> {
        let glue = match self.authorization.contains('?') {
            true => '&',
            false => '?',
        };
        let address = format!(
            "{}{glue}response_type=code&client_id={}&redirect_uri={}&scope={}",
            self.authorization,
            url::encoded(client.id),
            url::encoded(client.redirect),
            url::encoded(client.scope)
        );
        match address.len() <= MAX_ADDRESS {
            true => Ok(address),
            false => Err(Failure::Provider(
                "authorization_endpoint",
                format!("with our options has more than {MAX_ADDRESS} bytes"),
            )),
        }
    }

    /// To be remembered.
    ///
    /// # Errors
    /// It is too much.
    pub fn memory(&self) -> Result<Vec<u8>, Failure> {
        let memory = serde_json::to_vec(self).unwrap_or_default();
        match (1..=MAX_MEMORY).contains(&memory.len()) {
            true => Ok(memory),
            false => Err(Failure::Provider("keys", "are too many or too long".into())),
        }
    }

    /// From what was remembered.
    ///
    /// # Errors
    /// It is none.
    pub fn from_memory(memory: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(memory)
            .map_err(|_| Failure::Provider("description", "was not remembered rightly".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::p256;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const ISSUER: &str = "https://login.test:8443/realms/r";
    const CLIENT: Client<'_> = Client {
        id: "bulk head",
        redirect: "https://xpra.test/?a=b",
        scope: "openid email",
    };

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://www.login.test/auth",
            "token_endpoint": "https://login.test:8443/token",
            "jwks_uri": "https://LOGIN.test:8443/jwks",
            "userinfo_endpoint": "https://login.test:8443/me",
            "response_types_supported": ["code", "id_token"],
            "code_challenge_methods_supported": ["plain", "S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        })
    }

    fn read(document: &Value) -> Result<Provider, String> {
        let base = Url::parse(ISSUER).unwrap();
        Provider::read(document.to_string().as_bytes(), ISSUER, &base, true)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_provider_is_remembered() {
        let mut provider = read(&document()).unwrap();
        assert_eq!(
            (provider.token.as_str(), provider.keys_at.as_str()),
            ("/token", "/jwks")
        );
        assert_eq!(provider.userinfo.as_deref(), Some("/me"));
        assert!(provider.secret_in_form);
        assert_eq!(
            provider.address(CLIENT).unwrap(),
            "https://www.login.test/auth?response_type=code&client_id=bulk%20head&\
             redirect_uri=https%3A%2F%2Fxpra.test%2F%3Fa%3Db&scope=openid%20email"
        );
        let set = json!({"keys": [p256("a").1]}).to_string();
        provider.keys = Key::set(set.as_bytes()).unwrap();
        let memory = provider.memory().unwrap();
        assert_eq!(Provider::from_memory(&memory).unwrap(), provider);
        assert!(Provider::from_memory(b"{}").is_err());
        provider.authorization = "https://a/?x=y".into();
        let address = provider.address(CLIENT).unwrap();
        assert!(address.starts_with("https://a/?x=y&response_type=code&"));
        // What the client adds is as long as this.
        provider.authorization = format!("https://a/{}", "x".repeat(500));
        let long = "y".repeat(300);
        let client = Client {
            redirect: &long,
            ..CLIENT
        };
        assert!(provider.address(client).is_err());
        provider.keys[0].name = Some("x".repeat(MAX_MEMORY));
        assert!(provider.memory().is_err());
    }

    #[test]
    fn what_may_be_missing() {
        let mut document = document();
        for name in [
            "userinfo_endpoint",
            "response_types_supported",
            "code_challenge_methods_supported",
            "token_endpoint_auth_methods_supported",
        ] {
            document.as_object_mut().unwrap().remove(name);
        }
        let provider = read(&document).unwrap();
        assert_eq!((provider.userinfo, provider.secret_in_form), (None, false));
    }

    #[test]
    fn what_a_provider_cannot_say() {
        for (name, value, part) in [
            (
                "issuer",
                json!("https://login.test:8443/realms/r/"),
                "and not of https",
            ),
            ("issuer", json!("evil\r\n"), "is of \"evil\\r\\n\""),
            ("issuer", json!(7), "is not what"),
            (
                "authorization_endpoint",
                json!("http://login.test/"),
                "without TLS",
            ),
            (
                "authorization_endpoint",
                json!("javascript:x"),
                "is no address",
            ),
            (
                "authorization_endpoint",
                json!("https://a/#"),
                "no address has",
            ),
            (
                "token_endpoint",
                json!("https://evil.test:8443/"),
                "has its token_endpoint at",
            ),
            (
                "token_endpoint",
                json!("http://login.test:8443/"),
                "and not at login.test:8443",
            ),
            (
                "token_endpoint",
                json!("https://login.test:8443/ x"),
                "no address has",
            ),
            (
                "jwks_uri",
                json!("https://login.test/jwks"),
                "has its jwks_uri at",
            ),
            (
                "userinfo_endpoint",
                json!("https://login.test/me"),
                "has its userinfo_endpoint at",
            ),
            (
                "response_types_supported",
                json!(["id_token"]),
                "response type `code`",
            ),
            (
                "code_challenge_methods_supported",
                json!(["plain"]),
                "`S256`",
            ),
            (
                "token_endpoint_auth_methods_supported",
                json!(["private_key_jwt"]),
                "no client",
            ),
        ] {
            let mut document = document();
            document[name] = value;
            let error = read(&document).unwrap_err();
            assert!(error.contains(part), "{name}: {error}");
            assert!(!error.contains('\n'));
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(json in "\\PC{0,200}") {
            let base = Url::parse(ISSUER).unwrap();
            let _ = Provider::read(json.as_bytes(), ISSUER, &base, true);
            let _ = Provider::from_memory(json.as_bytes());
        }
    }
}
