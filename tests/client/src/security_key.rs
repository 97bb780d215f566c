//! A security key made of software.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use wire::challenge::Digest;
use wire::security_key::{self, PRESENT, Protocol, Token};

/// What becomes of an answer on its way: `challenge_response` and `challenge_client_salt`.
type Change = dyn Fn(&mut Vec<u8>, &mut Vec<u8>) + Send + Sync;

/// A key with the client that has it plugged in. Clones are the same key.
#[derive(Clone)]
pub struct SecurityKey {
    pair: Arc<EcdsaKeyPair>,
    counter: Arc<AtomicU32>,
    flags: u8,
    app_id: String,
    origin: String,
    change: Option<Arc<Change>>,
}

impl fmt::Debug for SecurityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<security key>")
    }
}

impl Default for SecurityKey {
    fn default() -> Self {
        Self::new()
    }
}

impl SecurityKey {
    /// A new one, for the application that stock clients mean.
    ///
    /// # Panics
    /// When the library makes no key.
    #[must_use]
    pub fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        Self {
            pair: Arc::new(pair),
            counter: Arc::default(),
            flags: PRESENT,
            app_id: "Xpra".into(),
            origin: "Xpra".into(),
            change: None,
        }
    }

    /// Its public key, a point of P-256.
    #[must_use]
    pub fn point(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The same in hexadecimal, as files have it.
    #[must_use]
    pub fn hex(&self) -> String {
        self.point()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// How often it says that it has signed: the next time one more than this.
    pub fn set_counter(&self, counter: u32) {
        self.counter.store(counter, Ordering::SeqCst);
    }

    /// Another client with it, which says these flags.
    #[must_use]
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    /// Another client with it, for this application.
    #[must_use]
    pub fn app_id(mut self, app_id: &str) -> Self {
        self.app_id = app_id.into();
        self
    }

    /// Another client with it, which calls itself so.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        self.origin = origin.into();
        self
    }

    /// Another client with it, which changes the answers.
    #[must_use]
    pub fn changed(
        mut self,
        change: impl Fn(&mut Vec<u8>, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        self.change = Some(Arc::new(change));
        self
    }

    /// The answer to a challenge, if it is one for security keys.
    pub(crate) fn answer(&mut self, digest: &str, salt: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let Digest::SecurityKey(_) = Digest::of_challenge(digest)? else {
            return None;
        };
        let (app_id, origin) = (self.app_id.clone(), self.origin.clone());
        let (mut response, mut salt) = security_key::respond(self, &app_id, salt, &origin)?;
        if let Some(change) = &self.change {
            change(&mut response, &mut salt);
        }
        Some((response, salt))
    }

    /// What a client's hello offers that has one.
    pub(crate) fn digests() -> [Digest; 2] {
        [Protocol::Fido2, Protocol::U2f].map(Digest::SecurityKey)
    }
}

impl Token for SecurityKey {
    fn authenticate(&mut self, application: [u8; 32], client_data: [u8; 32]) -> Option<Vec<u8>> {
        let counter = self.counter.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        let head = [&[self.flags][..], &counter.to_be_bytes()].concat();
        let message = [&application[..], &head, &client_data].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &message).ok()?;
        Some([&head[..], signature.as_ref()].concat())
    }
}
