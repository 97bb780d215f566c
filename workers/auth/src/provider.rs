//! Logins at OpenID Connect providers: what makes one this one and no other, and what is remembered of the
//! providers. What a provider says is parsed elsewhere: here it is an address and bytes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ipc::check::{CheckId, MAX_ADDRESS, MAX_MEMORY, Password};
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How long a provider is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);
/// How long at least: strangers can have logins fail.
const AT_LEAST: Duration = Duration::from_secs(60);

/// A client that is at a provider.
#[derive(Debug)]
pub struct Login {
    /// Where it was sent.
    pub address: String,
    /// What only we know: the provider was shown its hash (PKCE, RFC 7636).
    pub verifier: Password,
    /// What it has to bring back.
    pub state: String,
    /// What has to be in the provider's token.
    pub nonce: String,
    /// What is remembered of the provider.
    pub memory: Vec<u8>,
}

/// A provider that has been asked.
#[derive(Debug)]
struct Known {
    address: String,
    memory: Vec<u8>,
    since: Instant,
}

impl Known {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < REMEMBERED
    }
}

impl Login {
    /// Can this be what the client was sent for? What cannot costs nobody a look at it.
    #[must_use]
    pub fn may_be(&self, answer: &[u8]) -> bool {
        let mut places = answer.windows(self.state.len());
        places.any(|place| place == self.state.as_bytes())
    }
}

/// The providers, by the check that asks each.
#[derive(Debug, Default)]
pub struct Providers(BTreeMap<CheckId, Known>);

/// 256 random bits, as 43 letters that mean themselves in an address.
fn random() -> Result<Zeroizing<String>, rustix::io::Errno> {
    let mut bytes = Zeroizing::new([0; 32]);
    // Up to 256 bytes are never cut short (getrandom(2)).
    getrandom(&mut *bytes, GetRandomFlags::empty())?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

impl Providers {
    /// A new login, if it is known where the provider wants it.
    ///
    /// # Errors
    /// The kernel gives no random bytes.
    pub fn login(&self, check: CheckId, now: Instant) -> Result<Option<Login>, rustix::io::Errno> {
        let Some(known) = self.0.get(&check).filter(|known| known.is_fresh(now)) else {
            return Ok(None);
        };
        let (verifier, state, nonce) = (random()?, random()?, random()?);
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        Ok(Some(Login {
            address: format!(
                "{}&state={}&nonce={}&code_challenge={hash}&code_challenge_method=S256",
                known.address, *state, *nonce
            ),
            verifier: Password(verifier.as_bytes().to_vec()),
            state: state.to_string(),
            nonce: nonce.to_string(),
            memory: known.memory.clone(),
        }))
    }

    /// A provider has said this.
    ///
    /// # Errors
    /// Its check breaks the rules.
    pub fn learn(
        &mut self,
        check: CheckId,
        address: String,
        memory: Vec<u8>,
        now: Instant,
    ) -> Result<(), &'static str> {
        let printable = address.bytes().all(|byte| byte.is_ascii_graphic());
        let has_query = address.contains('?') && !address.contains('#');
        let is_page = ["https://", "http://"]
            .iter()
            .any(|it| address.starts_with(it));
        let is_short = address.len() <= MAX_ADDRESS && memory.len() <= MAX_MEMORY;
        if !(printable && has_query && is_page && is_short) || memory.is_empty() {
            return Err("a check that says what no provider is");
        }
        let known = Known {
            address,
            memory,
            since: now,
        };
        self.0.insert(check, known);
        Ok(())
    }

    /// It may have changed: a login has failed.
    pub fn doubt(&mut self, check: CheckId, now: Instant) {
        let is_old = |known: &Known| now.saturating_duration_since(known.since) >= AT_LEAST;
        if self.0.get(&check).is_some_and(is_old) {
            self.0.remove(&check);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "https://login.test/auth?response_type=code";

    #[test]
    fn each_login_is_another() {
        let now = Instant::now();
        let mut providers = Providers::default();
        let (one, other) = (CheckId(1), CheckId(2));
        assert!(providers.login(one, now).unwrap().is_none());
        providers
            .learn(one, ADDRESS.into(), vec![1, 2], now)
            .unwrap();
        assert!(providers.login(other, now).unwrap().is_none());
        let logins = [(); 2].map(|()| providers.login(one, now).unwrap().unwrap());
        for login in &logins {
            assert_eq!(login.memory, [1, 2]);
            let rest = login.address.strip_prefix(ADDRESS).unwrap();
            let verifier = std::str::from_utf8(&login.verifier.0).unwrap();
            let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
            let (state, nonce) = (&login.state, &login.nonce);
            let wanted = format!(
                "&state={state}&nonce={nonce}&code_challenge={hash}&code_challenge_method=S256"
            );
            assert_eq!(rest, wanted);
            assert!(rest.len() <= 256);
            // RFC 7636, 4.1: from 43 to 128.
            assert_eq!([verifier.len(), state.len(), nonce.len()], [43; 3]);
            assert!(!login.address.contains(verifier));
        }
        let [a, b] = &logins;
        let all = [
            std::str::from_utf8(&a.verifier.0).unwrap(),
            std::str::from_utf8(&b.verifier.0).unwrap(),
            &a.state,
            &b.state,
            &a.nonce,
            &b.nonce,
        ];
        assert_eq!(std::collections::BTreeSet::from(all).len(), 6);
    }

    #[test]
    fn a_provider_is_remembered_for_a_while() {
        let now = Instant::now();
        let mut providers = Providers::default();
        providers
            .learn(CheckId(1), ADDRESS.into(), vec![1], now)
            .unwrap();
        let known =
            |providers: &Providers, now| providers.login(CheckId(1), now).unwrap().is_some();
        assert!(known(&providers, now + Duration::from_secs(599)));
        assert!(!known(&providers, now + REMEMBERED));
        let later = now + AT_LEAST;
        providers.doubt(CheckId(1), later - Duration::from_secs(1));
        assert!(known(&providers, now));
        providers.doubt(CheckId(1), later);
        assert!(!known(&providers, now));
        for (address, memory) in [
            ("https://a/? b".to_owned(), 1),
            ("https://a/?\r\n".to_owned(), 1),
            ("https://\u{e4}/?".to_owned(), 1),
            ("https://a/".to_owned(), 1),
            ("https://a/?#".to_owned(), 1),
            ("javascript:x?".to_owned(), 1),
            ("--x?https://".to_owned(), 1),
            (format!("https://a/?{}", "x".repeat(MAX_ADDRESS)), 1),
            ("https://a/?".to_owned(), MAX_MEMORY + 1),
            ("https://a/?".to_owned(), 0),
        ] {
            assert!(
                providers
                    .learn(CheckId(1), address, vec![0; memory], now)
                    .is_err()
            );
        }
        assert!(!known(&providers, now));
    }
}
