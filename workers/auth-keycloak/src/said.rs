//! What the client brings back from the provider, and what the provider gives for it (RFC 6749, 4.1).

use crate::provider::{Client, Provider};
use crate::url::encoded;
use crate::{Failure, shown};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::borrow::Cow;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// What one login has that no other has: what is made from it went out with the address.
pub struct Login<'l> {
    /// The secret that only who asked for the code knows (PKCE, RFC 7636).
    pub verifier: &'l str,
    /// What the provider gives back with the code.
    pub state: &'l str,
    /// The provider, which may say that it was it (RFC 9207).
    pub issuer: &'l str,
}

/// The JSON text that a client sends: the parameters with which the provider has sent it back.
#[derive(Deserialize)]
struct Said<'s> {
    #[serde(borrow)]
    code: Option<Cow<'s, str>>,
    #[serde(borrow)]
    state: Option<Cow<'s, str>>,
    #[serde(borrow)]
    error: Option<Cow<'s, str>>,
    #[serde(borrow)]
    iss: Option<Cow<'s, str>>,
}

/// The code that a client has brought, to this login.
///
/// # Errors
/// It has none, or one of another login.
pub fn code(json: &[u8], login: &Login<'_>) -> Result<Zeroizing<String>, Failure> {
    let client = |why: &str| Failure::Client(why.to_owned());
    let said: Said<'_> =
        serde_json::from_slice(json).map_err(|_| client("sends no JSON text with texts in it"))?;
    if let Some(error) = said.error {
        return Err(Failure::Client(format!(
            "was refused by the provider: {}",
            shown(&error)
        )));
    }
    let Some(state) = said.state else {
        return Err(client("sends no state: it may be a code of anybody's"));
    };
    if !bool::from(state.as_bytes().ct_eq(login.state.as_bytes())) {
        return Err(client("sends the state of another login"));
    }
    if said.iss.is_some_and(|issuer| issuer != login.issuer) {
        return Err(client("comes back from another provider"));
    }
    let code = Zeroizing::new(said.code.unwrap_or_default().into_owned());
    // RFC 6749, appendix A.11.
    match !code.is_empty() && code.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        true => Ok(code),
        false => Err(client("sends no code")),
    }
}

/// How the code is exchanged: the form, and the header of who we are.
#[must_use]
pub fn exchange(
    provider: &Provider,
    client: Client<'_>,
    secret: Option<&str>,
    login: &Login<'_>,
    code: &str,
) -> (Zeroizing<String>, Option<Zeroizing<String>>) {
    let id = encoded(client.id);
    let secret_length = secret.map_or(0, str::len);
    let values = [code, client.redirect, login.verifier, client.id];
    let length = values.iter().map(|it| it.len()).sum::<usize>() + secret_length;
    // No growing, which would leave copies behind: each byte is at most three, and there are names.
    let mut form = Zeroizing::new(String::with_capacity(3 * length + 128));
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", client.redirect),
        ("code_verifier", login.verifier),
    ] {
        form.push_str(name);
        form.push('=');
        let mut value = encoded(value);
        form.push_str(&value);
        value.zeroize();
        form.push('&');
    }
    match secret {
        Some(secret) if !provider.secret_in_form => {
            form.pop();
            let pair = Zeroizing::new(format!("{id}:{}", *Zeroizing::new(encoded(secret))));
            let basic = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
            (form, Some(Zeroizing::new(format!("Basic {}", *basic))))
        }
        secret => {
            form.push_str("client_id=");
            form.push_str(&id);
            if let Some(secret) = secret {
                form.push_str("&client_secret=");
                form.push_str(&Zeroizing::new(encoded(secret)));
            }
            (form, None)
        }
    }
}

/// What the provider gives for a code.
#[derive(Deserialize)]
pub struct Tokens<'t> {
    /// Says who somebody is.
    #[serde(borrow)]
    pub id_token: Cow<'t, str>,
    /// Lets ask for more.
    #[serde(borrow)]
    pub access_token: Cow<'t, str>,
    #[serde(borrow)]
    token_type: Cow<'t, str>,
}

impl Drop for Tokens<'_> {
    fn drop(&mut self) {
        for token in [&mut self.id_token, &mut self.access_token] {
            if let Cow::Owned(token) = token {
                token.zeroize();
            }
        }
    }
}

/// Reads the answer to [`exchange`].
///
/// # Errors
/// The provider says no, or something else.
pub fn tokens(status: u16, json: &[u8]) -> Result<Tokens<'_>, Failure> {
    #[derive(Deserialize)]
    struct Refusal<'r> {
        #[serde(borrow)]
        error: Cow<'r, str>,
    }
    if status != 200 {
        let refusal = serde_json::from_slice::<Refusal<'_>>(json).ok();
        let what = refusal.as_ref().map(|refusal| refusal.error.as_ref());
        return Err(match what {
            // The client's fault; all others are ours.
            Some("invalid_grant") => Failure::Code("invalid_grant".into()),
            Some(error) => Failure::Status("token_endpoint", format!("{status} {}", shown(error))),
            None => Failure::Status("token_endpoint", status.to_string()),
        });
    }
    let wrong = |why: &str| Failure::Provider("token_endpoint", why.to_owned());
    let tokens: Tokens<'_> = serde_json::from_slice(json)
        .map_err(|_| wrong("gives no identity token: has scope= the word openid?"))?;
    // RFC 6749, appendix A.12; it goes into a header.
    let access = tokens.access_token.as_bytes();
    let printable = access.iter().all(|byte| (b'!'..=b'~').contains(byte));
    if access.is_empty() || !printable || !tokens.token_type.eq_ignore_ascii_case("bearer") {
        return Err(wrong("gives an access token of an unknown kind"));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOGIN: Login<'_> = Login {
        verifier: "v-v",
        state: "a state",
        issuer: "https://login.test/",
    };
    const CLIENT: Client<'_> = Client {
        id: "bulk head",
        redirect: "https://xpra.test/",
        scope: "openid",
    };

    fn provider(secret_in_form: bool) -> Provider {
        let text = format!(
            r#"{{"issuer":"","authorization":"","token":"","keys_at":"","userinfo":null,
            "secret_in_form":{secret_in_form},"keys":[]}}"#
        );
        Provider::from_memory(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_code_belongs_to_a_login() {
        let said = |json: &str| {
            let code = code(json.as_bytes(), &LOGIN);
            code.map(|code| code.to_string())
                .map_err(|error| error.to_string())
        };
        let good = r#"{"code":"a\u0020+/%","state":"a state","session_state":7,"iss":"https://login.test/"}"#;
        assert_eq!(said(good), Ok("a +/%".to_owned()));
        for (json, part) in [
            ("", "no JSON"),
            ("a code", "no JSON"),
            ("[]", "no JSON"),
            (r#"{"code":["a"],"state":"a state"}"#, "no JSON"),
            (r#"{"code":"a","code":"b","state":"a state"}"#, "no JSON"),
            (r#"{"code":"a","state":"a state"} x"#, "no JSON"),
            (r#"{"code":"a"}"#, "sends no state"),
            (r#"{"code":"a","state":"a statf"}"#, "another login"),
            (r#"{"code":"a","state":""}"#, "another login"),
            (
                r#"{"code":"a","state":"a state","iss":"https://evil.test/"}"#,
                "comes back from another provider",
            ),
            (r#"{"state":"a state"}"#, "sends no code"),
            (r#"{"code":"","state":"a state"}"#, "sends no code"),
            (r#"{"code":"a\r\n","state":"a state"}"#, "sends no code"),
            (r#"{"code":"\u00e4","state":"a state"}"#, "sends no code"),
            (
                r#"{"error":"access_denied\n","code":"a","state":"a state"}"#,
                "was refused by the provider: \"access_denied\\n\"",
            ),
        ] {
            let error = said(json).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
        }
    }

    #[test]
    fn a_code_is_exchanged() {
        let form = "grant_type=authorization_code&code=a%26b&redirect_uri=https%3A%2F%2Fxpra.test%2F&\
                    code_verifier=v-v";
        let exchange = |in_form, secret| {
            let (form, header) = exchange(&provider(in_form), CLIENT, secret, &LOGIN, "a&b");
            (form.to_string(), header.map(|header| header.to_string()))
        };
        // base64 of `bulk%20head:s%3At`: both are encoded first (RFC 6749, 2.3.1).
        let basic = Some("Basic YnVsayUyMGhlYWQ6cyUzQXQ=".to_owned());
        assert_eq!(exchange(false, Some("s:t")), (form.to_owned(), basic));
        let with_id = format!("{form}&client_id=bulk%20head");
        assert_eq!(
            exchange(true, Some("s:t")),
            (format!("{with_id}&client_secret=s%3At"), None)
        );
        assert_eq!(exchange(false, None), (with_id.clone(), None));
        assert_eq!(exchange(true, None), (with_id, None));
    }

    #[test]
    fn tokens_come_or_not() {
        let read = |status, json: &'static str| {
            tokens(status, json.as_bytes()).map_err(|error| error.to_string())
        };
        let good = r#"{"id_token":"i","access_token":"a","token_type":"bearer","expires_in":300}"#;
        let tokens = read(200, good).ok().unwrap();
        assert_eq!((&*tokens.id_token, &*tokens.access_token), ("i", "a"));
        for (status, json, part) in [
            (
                400,
                r#"{"error":"invalid_grant"}"#,
                "does not take the code",
            ),
            (
                401,
                r#"{"error":"invalid_client"}"#,
                "answers 401 \"invalid_client\"",
            ),
            (302, "", "answers 302"),
            (500, "<html>", "answers 500"),
            (201, good, "answers 201"),
            (200, "{}", "no identity token"),
            (
                200,
                r#"{"access_token":"a","token_type":"Bearer"}"#,
                "no identity token",
            ),
            (
                200,
                r#"{"id_token":"i","access_token":"","token_type":"Bearer"}"#,
                "unknown kind",
            ),
            (
                200,
                r#"{"id_token":"i","access_token":"a\r\n","token_type":"Bearer"}"#,
                "unknown",
            ),
            (
                200,
                r#"{"id_token":"i","access_token":"a","token_type":"mac"}"#,
                "unknown kind",
            ),
        ] {
            let error = read(status, json).err().unwrap();
            assert!(error.contains(part), "{json}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(json in "\\PC{0,200}", status in 0_u16..600) {
            let _ = code(json.as_bytes(), &LOGIN);
            let _ = tokens(status, json.as_bytes());
        }
    }
}
