//! The judgement: a chain to an authority (RFC 5280, by webpki), and a signature of the handshake (RFC
//! 8446, section 4.4.3).

use certificates::{Ambiguous, Date, Leaf, Trust, Users, shown};
use ipc::tls::{Scheme, Shown};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{
    EndEntityCert, Error, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath, aws_lc_rs as algorithms,
};

/// What comes before the hash of what a client signs, after 64 spaces.
const CONTEXT: &[u8] = b"TLS 1.3, client CertificateVerify\0";
/// Longest RSA key, in bits: longer ones cost whoever checks them, and nobody has them.
const MAX_RSA: usize = 4096;

/// Why not: for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum No {
    /// It is too much, or too little.
    #[error("what the client has shown is no certificate with those that it is signed with")]
    Malformed,
    /// Its time is over.
    #[error("it expired on {0}")]
    Expired(Date),
    /// Its time has not come.
    #[error("it is not valid before {0}: is the clock right?")]
    Early(Date),
    /// Nobody whom we trust has signed it.
    #[error("nobody in ssl-ca-certs has signed it")]
    Foreign,
    /// It was taken back.
    #[error("it is revoked, or one that it is signed with is")]
    Revoked,
    /// A list is too old to say so.
    #[error(
        "the revocation list of who has signed it was to be renewed on {0}: put a new one into ssl-ca-certs"
    )]
    ListExpired(Date),
    /// There are lists, and not that one.
    #[error(
        "ssl-ca-certs has revocation lists, and none of who has signed it, or not of all who have"
    )]
    NoList,
    /// There were lists.
    #[error("ssl-ca-certs has no revocation list any more")]
    NoListAnyMore,
    /// There were none, and who takes them out again must not be believed either.
    #[error(
        "ssl-ca-certs had no revocation list when the session was started, and has one now: start it again"
    )]
    ListSince,
    /// It is for something else.
    #[error("it is not for clients (its extended key usage has no clientAuth)")]
    NotForClients,
    /// It is for something else.
    #[error("its key is not for signatures (its key usage has no digitalSignature)")]
    NotForSigning,
    /// It is somebody's who signs others.
    #[error("it is an authority's own")]
    Authority,
    /// Too many between it and the authority.
    #[error("there are more certificates between it and the authority than that one allows")]
    Long,
    /// A key that nobody should have.
    #[error("its RSA key has {0} bits: at most {MAX_RSA} are taken")]
    LongKey(usize),
    /// Somebody else has the key.
    #[error("the handshake is not signed with its key")]
    Signature,
    /// It is nobody's.
    #[error("it is no user's")]
    Nobody,
    /// It is several users'.
    #[error("it fits lines of more than one user")]
    Ambiguous,
    /// Whatever else is wrong.
    #[error("it cannot be used ({})", variant(.0))]
    Other(Error),
}

/// The name of what is wrong, without what the stranger put into it.
fn variant(error: &Error) -> String {
    let text = format!("{error:?}");
    let end = text.find(|c: char| !c.is_ascii_alphanumeric());
    text.get(..end.unwrap_or(text.len()))
        .unwrap_or_default()
        .to_owned()
}

impl From<Error> for No {
    fn from(error: Error) -> Self {
        let date = |time: UnixTime| Date::of(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
        match error {
            Error::CertExpired { not_after, .. } => Self::Expired(date(not_after)),
            Error::CertNotValidYet { not_before, .. } => Self::Early(date(not_before)),
            // Another authority of the same name signs differently.
            Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => Self::Foreign,
            Error::CertRevoked => Self::Revoked,
            Error::CrlExpired { next_update, .. } => Self::ListExpired(date(next_update)),
            Error::UnknownRevocationStatus => Self::NoList,
            Error::RequiredEkuNotFoundContext(_) => Self::NotForClients,
            Error::CaUsedAsEndEntity => Self::Authority,
            Error::PathLenConstraintViolated | Error::MaximumPathDepthExceeded => Self::Long,
            Error::BadDer => Self::Malformed,
            other => Self::Other(other),
        }
    }
}

/// Who may sign, which are revoked, and whose certificate is whose.
#[derive(Debug)]
pub struct Rules {
    /// Who may sign, and lists.
    pub trust: Trust,
    /// There have to be lists.
    pub lists: bool,
    /// Whose is whose, if that is asked.
    pub users: Option<Users>,
}

/// What a good certificate tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yes {
    /// Whose it is, if that was asked.
    pub user: Option<String>,
}

/// What a client has shown, for the log: in quotes, with nothing but printable ASCII. `None` when that
/// cannot be read.
#[must_use]
pub fn name(shown_to_us: &Shown) -> Option<String> {
    let leaf = Leaf::read(shown_to_us.chain.first()?)?;
    let subject = shown(&leaf.subject()?);
    Some(format!("{subject}, SHA-256 {}", leaf.fingerprint_text()))
}

impl Rules {
    /// Judges what a client has shown.
    ///
    /// # Errors
    /// [`No`].
    pub fn judge(&self, shown: &Shown, now: UnixTime) -> Result<Yes, No> {
        if !shown.is_bounded() {
            return Err(No::Malformed);
        }
        let mut chain = shown.chain.iter();
        let own = chain.next().ok_or(No::Malformed)?;
        let leaf = Leaf::read(own).ok_or(No::Malformed)?;
        if let Some(bits) = leaf.rsa_bits().filter(|bits| *bits > MAX_RSA) {
            return Err(No::LongKey(bits));
        }
        if !leaf.signs() {
            return Err(No::NotForSigning);
        }
        let own = CertificateDer::from(own.as_slice());
        let certificate = EndEntityCert::try_from(&own)?;
        let between: Vec<_> = chain
            .map(|der| CertificateDer::from(der.as_slice()))
            .collect();
        self.chain(&certificate, &between, now)?;
        let text = [&[b' '; 64], CONTEXT, &shown.transcript].concat();
        certificate
            .verify_signature(algorithm(shown.scheme), &text, &shown.signature)
            .map_err(|_| No::Signature)?;
        let user = match &self.users {
            None => None,
            Some(users) => match users.user(&leaf) {
                Ok(Some(user)) => Some(user.to_owned()),
                Ok(None) => return Err(No::Nobody),
                Err(Ambiguous) => return Err(No::Ambiguous),
            },
        };
        Ok(Yes { user })
    }

    /// Is there a way to somebody who may sign?
    fn chain(
        &self,
        certificate: &EndEntityCert<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), No> {
        let anchors = self.trust.authorities.iter();
        let anchors: Vec<_> = anchors.map(|one| one.anchor.clone()).collect();
        let lists: Vec<_> = self.trust.lists.iter().collect();
        match (self.lists, lists.is_empty()) {
            (true, true) => return Err(No::NoListAnyMore),
            (false, false) => return Err(No::ListSince),
            (true, false) | (false, true) => {}
        }
        // No lists were given: nobody is asked for one.
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let allowed = |path: &VerifiedPath<'_>| {
            let between = path.intermediate_certificates().count();
            let own = |one: &&certificates::Authority| {
                one.anchor.subject == path.anchor().subject
                    && one.anchor.subject_public_key_info == path.anchor().subject_public_key_info
            };
            let mut found = self.trust.authorities.iter().filter(own);
            // One that is there twice allows what both allow.
            let allows = |one: &certificates::Authority| {
                one.path.is_none_or(|most| between <= usize::from(most))
            };
            match found.all(allows) {
                true => Ok(()),
                false => Err(Error::PathLenConstraintViolated),
            }
        };
        certificate
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &anchors,
                between,
                now,
                KeyUsage::client_auth(),
                revocation,
                Some(&allowed),
            )
            .map(drop)
            .map_err(No::from)
    }
}

fn algorithm(scheme: Scheme) -> &'static dyn SignatureVerificationAlgorithm {
    match scheme {
        Scheme::RsaPssSha256 => algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        Scheme::RsaPssSha384 => algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        Scheme::RsaPssSha512 => algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        Scheme::EcdsaP256Sha256 => algorithms::ECDSA_P256_SHA256,
        Scheme::EcdsaP384Sha384 => algorithms::ECDSA_P384_SHA384,
        Scheme::EcdsaP521Sha512 => algorithms::ECDSA_P521_SHA512,
        Scheme::Ed25519 => algorithms::ED25519,
    }
}
