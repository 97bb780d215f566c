//! The token that says who somebody is: what has to be right about it (OpenID Connect Core 1.0,
//! 3.1.3.7; RFC 7515; RFC 7519), and which groups it tells.

use crate::keys::{self, Algorithm, Key};
use crate::{Failure, shown};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

/// Seconds that the clocks of the provider and of this machine may differ.
pub const SKEW: i64 = 60;
/// Longest name of somebody, in bytes (OpenID Connect Core 1.0, 2).
const MAX_SUBJECT: usize = 255;

/// Why a token is not good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Three parts, the first of which says how the others are to be read.
    #[error("is no signed token")]
    Form,
    /// Not one of those that prove something.
    #[error("is signed by {0}, which is not done here")]
    Algorithm(String),
    /// The provider may have new ones.
    #[error("is signed with the key {0}, which the provider does not have")]
    NoKey(String),
    /// Nobody says that it is so.
    #[error("has a wrong signature")]
    Signature,
    /// A claim is not there, or not of its kind.
    #[error("has no {0} that can be read")]
    Missing(&'static str),
    /// Another provider's.
    #[error("is of the provider {0}")]
    Issuer(String),
    /// For somebody else.
    #[error("is for the client {0}")]
    Audience(String),
    /// For the clocks: is this machine's right?
    #[error("has expired, {0} seconds ago: is this machine's clock right?")]
    Expired(i64),
    /// The other way round.
    #[error("is good only in {0} seconds: is this machine's clock right?")]
    Early(i64),
    /// Another login's.
    #[error("is of another login: its nonce is not ours")]
    Nonce,
    /// Another token came with it.
    #[error("belongs to another access token")]
    AccessToken,
}

/// What a token has to say.
#[derive(Clone, Copy)]
pub struct Expected<'e> {
    /// Who says it.
    pub issuer: &'e str,
    /// To whom: our name at the provider.
    pub client: &'e str,
    /// In which login.
    pub nonce: &'e str,
    /// What came with it.
    pub access_token: &'e str,
    /// Seconds since 1970.
    pub now: i64,
}

/// Who somebody is, as the provider says.
#[derive(Debug)]
pub struct Identity {
    /// The provider's own name of them.
    pub subject: String,
    claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    /// Extensions that have to be understood: none is.
    crit: Option<Value>,
}

impl Identity {
    /// Checks a token.
    ///
    /// # Errors
    /// [`Mistake`].
    pub fn read(token: &str, keys: &[Key], expected: Expected<'_>) -> Result<Self, Mistake> {
        let (message, signature) = token.rsplit_once('.').ok_or(Mistake::Form)?;
        let (header, claims) = message.split_once('.').ok_or(Mistake::Form)?;
        if claims.contains('.') {
            return Err(Mistake::Form);
        }
        let part = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Mistake::Form);
        let header: Header = serde_json::from_slice(&part(header)?).map_err(|_| Mistake::Form)?;
        let is_token = |typ: &String| typ.eq_ignore_ascii_case("JWT");
        if header.crit.is_some() || !header.typ.as_ref().is_none_or(is_token) {
            return Err(Mistake::Form);
        }
        let algorithm =
            Algorithm::named(&header.alg).ok_or_else(|| Mistake::Algorithm(shown(&header.alg)))?;
        let name = header.kid.as_deref();
        let key = keys::find(keys, name, algorithm)
            .ok_or_else(|| Mistake::NoKey(shown(name.unwrap_or_default())))?;
        if !key.has_signed(algorithm, message.as_bytes(), &part(signature)?) {
            return Err(Mistake::Signature);
        }
        // From here on the provider says it.
        let claims: Map<String, Value> =
            serde_json::from_slice(&part(claims)?).map_err(|_| Mistake::Form)?;
        check(&claims, algorithm, expected)?;
        let subject = text(&claims, "sub")?;
        match (1..=MAX_SUBJECT).contains(&subject.len()) {
            true => Ok(Self {
                subject: subject.to_owned(),
                claims,
            }),
            false => Err(Mistake::Missing("sub")),
        }
    }

    /// What it says at this place, if there is one.
    #[must_use]
    pub fn claim(&self, path: &[String]) -> Option<&Value> {
        find(&self.claims, path)
    }

    /// A name for the log, if there is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.claims.get("preferred_username")?.as_str()
    }
}

/// What is at this place.
fn find<'v>(claims: &'v Map<String, Value>, path: &[String]) -> Option<&'v Value> {
    let (first, rest) = path.split_first()?;
    let first = claims.get(first)?;
    rest.iter().try_fold(first, |value, name| value.get(name))
}

fn text<'c>(claims: &'c Map<String, Value>, name: &'static str) -> Result<&'c str, Mistake> {
    let value = claims.get(name).and_then(Value::as_str);
    value.ok_or(Mistake::Missing(name))
}

/// A time, in whole seconds, if it is there.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, Mistake> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    // A fraction of a second is nothing to us, and a time that no clock shows is none.
    #[expect(clippy::cast_possible_truncation, reason = "it is within the bounds")]
    let whole = |value: f64| (0.0..1e12).contains(&value).then_some(value as i64);
    let seconds = value.as_f64().and_then(whole);
    seconds.map(Some).ok_or(Mistake::Missing(name))
}

fn check(
    claims: &Map<String, Value>,
    algorithm: Algorithm,
    expected: Expected<'_>,
) -> Result<(), Mistake> {
    let issuer = text(claims, "iss")?;
    if issuer != expected.issuer {
        return Err(Mistake::Issuer(shown(issuer)));
    }
    let other = |who: &str| Mistake::Audience(shown(who));
    let is_alone = match claims.get("aud") {
        Some(Value::String(one)) if one == expected.client => true,
        Some(Value::String(one)) => return Err(other(one)),
        Some(Value::Array(all)) => {
            if !all.iter().any(|one| one.as_str() == Some(expected.client)) {
                let first = all.first().and_then(Value::as_str);
                return Err(other(first.unwrap_or_default()));
            }
            all.len() == 1
        }
        _ => return Err(Mistake::Missing("aud")),
    };
    // Where there are others, it has to say for whom of them it was made.
    match claims.get("azp") {
        None if is_alone => {}
        None => return Err(Mistake::Missing("azp")),
        Some(_) if text(claims, "azp")? == expected.client => {}
        Some(_) => return Err(other(text(claims, "azp")?)),
    }
    let required = |name| time(claims, name)?.ok_or(Mistake::Missing(name));
    let ago = expected.now - required("exp")?;
    if ago >= SKEW {
        return Err(Mistake::Expired(ago));
    }
    let starts = [Some(required("iat")?), time(claims, "nbf")?];
    for start in starts.into_iter().flatten() {
        let early = start - expected.now;
        if early > SKEW {
            return Err(Mistake::Early(early));
        }
    }
    let nonce = text(claims, "nonce")?;
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(Mistake::Nonce);
    }
    let hash = algorithm.half_hash(expected.access_token.as_bytes());
    match claims.get("at_hash") {
        Some(_) if text(claims, "at_hash")? != hash => Err(Mistake::AccessToken),
        _ => Ok(()),
    }
}

/// What the userinfo endpoint says at this place of somebody whom a token is about.
///
/// # Errors
/// It is about somebody else, or says nothing.
pub fn userinfo(json: &[u8], subject: &str, path: &[String]) -> Result<Option<Value>, Failure> {
    let wrong = |why: &str| Failure::Provider("userinfo_endpoint", why.to_owned());
    let claims: Map<String, Value> =
        serde_json::from_slice(json).map_err(|_| wrong("gives no JSON text"))?;
    // OpenID Connect Core 1.0, 5.3.2: the token that asked may have been somebody else's.
    match claims.get("sub").and_then(Value::as_str) {
        Some(who) if who == subject => Ok(find(&claims, path).cloned()),
        _ => Err(wrong("tells of somebody else")),
    }
}

/// Which groups somebody has to be in.
#[derive(Clone, Copy)]
pub struct Groups<'g> {
    /// These.
    pub wanted: &'g [String],
    /// All of them, and not only one.
    pub all: bool,
}

impl Groups<'_> {
    /// Is somebody in them who is in those that this value of a claim says?
    ///
    /// # Errors
    /// No.
    pub fn check(self, claim: Option<&Value>) -> Result<(), Failure> {
        let no = |why: &str| Err(Failure::Groups(why.to_owned()));
        let has: Vec<&str> = match claim {
            None => return no("the claim of claim_field is not there"),
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            Some(_) => return no("the claim of claim_field is neither a text nor a list of texts"),
        };
        let is_in = |group: &String| has.contains(&group.as_str());
        let is_right = match self.all {
            // Of nothing all is true.
            true => !self.wanted.is_empty() && self.wanted.iter().all(is_in),
            false => self.wanted.iter().any(is_in),
        };
        match is_right {
            true => Ok(()),
            false => no("not in the groups of auth_groups"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::tests::p256;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::EcdsaKeyPair;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;
    const EXPECTED: Expected<'_> = Expected {
        issuer: "https://login.test/realms/r",
        client: "us",
        nonce: "a nonce",
        access_token: "an access token",
        now: NOW,
    };

    fn encode(json: &Value) -> String {
        URL_SAFE_NO_PAD.encode(json.to_string())
    }

    fn sign(pair: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = pair.sign(&SystemRandom::new(), message.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature.unwrap().as_ref());
        format!("{message}.{signature}")
    }

    fn header() -> Value {
        json!({"alg": "ES256", "kid": "a", "typ": "JWT"})
    }

    fn claims() -> Value {
        json!({
            "iss": EXPECTED.issuer, "sub": "f:1", "aud": "us", "exp": NOW + 60, "iat": NOW,
            "nonce": EXPECTED.nonce, "preferred_username": "ann",
            "realm_access": {"roles": ["x", 7, "y"]}, "n": 1.5,
        })
    }

    fn with(mut json: Value, name: &str, value: Value) -> Value {
        match value {
            Value::Null => {
                json.as_object_mut().unwrap().remove(name);
            }
            value => json[name] = value,
        }
        json
    }

    fn key() -> (EcdsaKeyPair, Vec<Key>) {
        let (pair, public) = p256("a");
        let keys = Key::set(json!({"keys": [public]}).to_string().as_bytes());
        (pair, keys.unwrap())
    }

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn a_good_token() {
        let (pair, keys) = key();
        let read = |header: &Value, claims: &Value| {
            Identity::read(&sign(&pair, header, claims), &keys, EXPECTED)
        };
        let identity = read(&header(), &claims()).unwrap();
        assert_eq!(
            (identity.subject.as_str(), identity.name()),
            ("f:1", Some("ann"))
        );
        let roles = json!(["x", 7, "y"]);
        assert_eq!(identity.claim(&path("realm_access.roles")), Some(&roles));
        for nothing in [
            "",
            "x",
            "realm_access.roles.x",
            "n.x",
            "preferred_username.x",
        ] {
            assert_eq!(identity.claim(&path(nothing)), None, "{nothing}");
        }
        let hash = Algorithm::named("ES256")
            .unwrap()
            .half_hash(b"an access token");
        assert_eq!(hash.len(), 22);
        for (name, value) in [
            ("aud", json!(["us"])),
            ("azp", json!("us")),
            ("exp", json!(NOW - 59)),
            ("exp", json!(f64::from(i32::MAX) + 0.5)),
            ("iat", json!(NOW + 60)),
            ("nbf", json!(NOW + 60)),
            ("at_hash", json!(hash)),
        ] {
            let changed = with(claims(), name, value.clone());
            assert!(read(&header(), &changed).is_ok(), "{name} {value}");
        }
        let several = with(
            with(claims(), "aud", json!(["x", "us"])),
            "azp",
            json!("us"),
        );
        assert!(read(&header(), &several).is_ok());
        for (name, value) in [
            ("typ", Value::Null),
            ("typ", json!("jwt")),
            ("kid", Value::Null),
        ] {
            let changed = with(header(), name, value);
            assert!(read(&changed, &claims()).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_with_the_claims() {
        let (pair, keys) = key();
        use Mistake::{Early, Expired, Missing};
        let audience = |who: &str| Mistake::Audience(shown(who));
        for (name, value, mistake) in [
            (
                "iss",
                json!("https://evil.test"),
                Mistake::Issuer(shown("https://evil.test")),
            ),
            (
                "iss",
                json!(["https://login.test/realms/r"]),
                Missing("iss"),
            ),
            ("iss", Value::Null, Missing("iss")),
            ("aud", json!("them"), audience("them")),
            ("aud", json!(["them"]), audience("them")),
            ("aud", json!([]), audience("")),
            ("aud", json!(["us", "them"]), Missing("azp")),
            ("aud", Value::Null, Missing("aud")),
            ("azp", json!("them"), audience("them")),
            ("azp", json!(7), Missing("azp")),
            ("exp", json!(NOW - 60), Expired(60)),
            ("exp", json!("2099"), Missing("exp")),
            ("exp", json!(-1), Missing("exp")),
            ("exp", json!(1e300), Missing("exp")),
            ("exp", Value::Null, Missing("exp")),
            ("iat", json!(NOW + 61), Early(61)),
            ("iat", Value::Null, Missing("iat")),
            ("nbf", json!(NOW + 61), Early(61)),
            ("nbf", json!("x"), Missing("nbf")),
            ("nonce", json!("another"), Mistake::Nonce),
            ("nonce", json!(""), Mistake::Nonce),
            ("nonce", Value::Null, Missing("nonce")),
            (
                "at_hash",
                json!("AAAAAAAAAAAAAAAAAAAAAA"),
                Mistake::AccessToken,
            ),
            ("at_hash", json!(7), Missing("at_hash")),
            ("sub", Value::Null, Missing("sub")),
            ("sub", json!(""), Missing("sub")),
            ("sub", json!("s".repeat(256)), Missing("sub")),
        ] {
            let token = sign(&pair, &header(), &with(claims(), name, value.clone()));
            let error = Identity::read(&token, &keys, EXPECTED).unwrap_err();
            assert_eq!(error, mistake, "{name} {value}");
        }
    }

    #[test]
    fn what_proves_nothing() {
        let (pair, keys) = key();
        let (other, _) = p256("a");
        let good = sign(&pair, &header(), &claims());
        let with_header =
            |name: &str, value: Value| sign(&pair, &with(header(), name, value), &claims());
        let (message, signature) = good.rsplit_once('.').unwrap();
        let algorithm = |name: &str| Mistake::Algorithm(shown(name));
        let no_key = |name: &str| Mistake::NoKey(shown(name));
        let changed = format!("{}.{}.{signature}", encode(&header()), encode(&json!({})));
        let none = json!({"alg": "none"});
        for (token, mistake) in [
            (String::new(), Mistake::Form),
            ("a.b".into(), Mistake::Form),
            ("a.b.c".into(), Mistake::Form),
            (format!("{good}."), Mistake::Form),
            (format!("{good}.x"), Mistake::Form),
            (format!("{good}="), Mistake::Form),
            (format!("{message}."), Mistake::Signature),
            (changed, Mistake::Signature),
            (sign(&other, &header(), &claims()), Mistake::Signature),
            (
                format!("{}.{}.", encode(&none), encode(&claims())),
                algorithm("none"),
            ),
            (with_header("alg", json!("HS256")), algorithm("HS256")),
            (with_header("alg", json!("RS256")), no_key("a")),
            (with_header("alg", json!("ES384")), no_key("a")),
            (with_header("alg", json!(["ES256"])), Mistake::Form),
            (with_header("kid", json!("b")), no_key("b")),
            (with_header("kid", json!(7)), Mistake::Form),
            (with_header("crit", json!(["exp"])), Mistake::Form),
            (with_header("typ", json!("at+jwt")), Mistake::Form),
        ] {
            let error = Identity::read(&token, &keys, EXPECTED).unwrap_err();
            assert_eq!(error, mistake, "{token}");
        }
        assert_eq!(
            Identity::read(&good, &[], EXPECTED).unwrap_err(),
            no_key("a")
        );
    }

    #[test]
    fn the_provider_tells_of_the_same_person() {
        let told = |json: Value, name| userinfo(json.to_string().as_bytes(), "f:1", &path(name));
        let json = json!({"sub": "f:1", "groups": ["a"]});
        assert_eq!(told(json.clone(), "groups").unwrap(), Some(json!(["a"])));
        assert_eq!(told(json, "x").unwrap(), None);
        for json in [
            json!({"sub": "f:2"}),
            json!({}),
            json!([]),
            json!({"sub": ["f:1"]}),
        ] {
            assert!(told(json, "groups").is_err());
        }
    }

    #[test]
    fn groups() {
        let is_in = |wanted: &[&str], all, claim: Option<Value>| {
            let wanted: Vec<_> = wanted.iter().map(|it| (*it).to_owned()).collect();
            Groups {
                wanted: &wanted,
                all,
            }
            .check(claim.as_ref())
            .is_ok()
        };
        let claim = || Some(json!(["a", "b", 7, ["c"]]));
        assert!(is_in(&["a"], true, claim()) && is_in(&["a", "b"], true, claim()));
        assert!(is_in(&["x", "b"], false, claim()) && is_in(&["ann"], true, Some(json!("ann"))));
        assert!(!is_in(&["a", "x"], true, claim()) && !is_in(&["x"], false, claim()));
        assert!(!is_in(&[], true, claim()) && !is_in(&[], false, claim()));
        assert!(!is_in(&["c"], false, claim()) && !is_in(&["7"], false, claim()));
        assert!(!is_in(&["a"], true, Some(json!("ann"))));
        for nothing in [
            None,
            Some(json!({"a": 1})),
            Some(json!(7)),
            Some(Value::Null),
        ] {
            assert!(!is_in(&["a"], false, nothing));
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(token in "[a-zA-Z0-9_.=-]{0,200}", json in "\\PC{0,100}") {
            let (_, keys) = key();
            prop_assert!(Identity::read(&token, &keys, EXPECTED).is_err());
            let _ = userinfo(json.as_bytes(), "s", &path("a.b"));
        }

        /// Whatever byte of it is changed, it is not good any more.
        #[test]
        fn a_changed_token_is_not_good(place in 0_usize..1000, to in "[A-Za-z0-9_-]") {
            let (pair, keys) = key();
            let mut token = sign(&pair, &header(), &claims());
            let place = place % token.len();
            if token.as_bytes()[place] != to.as_bytes()[0] {
                token.replace_range(place..=place, &to);
                prop_assert!(Identity::read(&token, &keys, EXPECTED).is_err());
            }
        }
    }
}
