//! What an OpenID Connect provider says, and what a client brings from it. The first byte says what the
//! others are.
#![no_main]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bulkhead_auth_keycloak::http::{MAX_BODY, Reader};
use bulkhead_auth_keycloak::identity::{self, Expected, Groups, Identity};
use bulkhead_auth_keycloak::keys::Key;
use bulkhead_auth_keycloak::provider::{Client, MAX_ADDRESS, Provider};
use bulkhead_auth_keycloak::said::{self, Login};
use bulkhead_auth_keycloak::url::Url;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const ISSUER: &str = "https://login.test/realms/r";
const NONCE: &str = "a nonce";

/// A provider's key, and what it publishes.
static KEY: LazyLock<(Ed25519KeyPair, Vec<Key>)> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}]}}"#);
    (pair, Key::set(set.as_bytes()).unwrap())
});

const EXPECTED: Expected<'_> = Expected {
    issuer: ISSUER,
    client: "us",
    nonce: NONCE,
    access_token: "an-access-token",
    now: 1_800_000_000,
};

/// Pieces of any length make the same answer.
fn http(bytes: &[u8]) {
    let mut whole = Reader::default();
    let result = whole.push(bytes);
    let mut pieces = Reader::default();
    let mut each = bytes.chunks(3).map(|piece| pieces.push(piece));
    assert_eq!(each.find(Result::is_err).unwrap_or(Ok(())), result);
    drop(each);
    if result.is_ok() {
        let parts = |of: &mut Reader| {
            let answer = of.answer()?;
            Some((answer.status, answer.body, answer.is_last))
        };
        let answer = parts(&mut whole);
        assert_eq!(parts(&mut pieces), answer);
        assert!(answer.is_none_or(|(_, body, _)| body.len() <= MAX_BODY));
    }
}

fn provider(bytes: &[u8]) {
    let base = Url::parse(ISSUER).unwrap();
    let Ok(provider) = Provider::read(bytes, ISSUER, &base, true) else {
        return;
    };
    let client = Client {
        id: "us",
        redirect: "https://xpra.test/",
        scope: "openid",
    };
    if let Ok(address) = provider.address(client) {
        assert!(address.starts_with("https://") && address.len() <= MAX_ADDRESS);
        assert!(address.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    if let Ok(memory) = provider.memory() {
        assert_eq!(Provider::from_memory(&memory).unwrap(), provider);
    }
}

/// Claims with a right signature.
fn claims(bytes: &[u8]) {
    let (pair, keys) = &*KEY;
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA"}"#);
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(bytes));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes()));
    let token = format!("{message}.{signature}");
    if let Ok(identity) = Identity::read(&token, keys, EXPECTED) {
        let path = ["realm_access", "roles"].map(str::to_owned);
        let wanted = ["xpra".to_owned()];
        let groups = Groups {
            wanted: &wanted,
            all: true,
        };
        let _ = groups.check(identity.claim(&path));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((what, bytes)) = bytes.split_first() else {
        return;
    };
    match what {
        0 => http(bytes),
        1 => provider(bytes),
        2 => {
            let _ = Key::set(bytes);
        }
        3 => {
            let login = Login {
                verifier: "v",
                state: "s",
                issuer: ISSUER,
            };
            let _ = said::code(bytes, &login);
            let _ = said::tokens(200, bytes);
            let _ = said::tokens(400, bytes);
            let _ = identity::userinfo(bytes, "s", &["groups".to_owned()]);
        }
        4 => claims(bytes),
        // Nobody has signed that.
        _ => {
            if let Ok(token) = std::str::from_utf8(bytes) {
                assert!(Identity::read(token, &KEY.1, EXPECTED).is_err());
            }
        }
    }
});
