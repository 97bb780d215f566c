//! Who may sign the certificates of clients, and which are revoked: one file in PEM.

use crate::{Date, Leaf, pem};
use rustls_pki_types::{CertificateDer, TrustAnchor};
use webpki::{CertRevocationList, OwnedCertRevocationList, anchor_from_trusted_cert};

/// Longest such file, in bytes.
pub const MAX_TRUST: u64 = 1024 * 1024;
/// Most authorities in it, and most lists. Files of those whom everybody trusts have more.
const MAX_COUNT: usize = 32;

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Nobody.
    #[error("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")]
    None,
    /// It is not what it says that it is.
    #[error("is damaged: there is no certificate or revocation list in PEM from begin to end")]
    Damaged,
    /// What the operator may have meant for a list.
    #[error(
        "is not all text: certificates and revocation lists have to be in PEM (openssl crl -inform DER -in list.crl)"
    )]
    Binary,
    /// The same.
    #[error("has a line with `----` that begins or ends no CERTIFICATE and no X509 CRL: line {0}")]
    Label(usize),
    /// Too many.
    #[error(
        "holds more than {MAX_COUNT} certificates or revocation lists: only those who sign certificates of your clients belong into it"
    )]
    TooMany,
    /// One that signs nobody.
    #[error("certificate {0} is no authority's (no CA:TRUE): name the one that has signed it")]
    NoAuthority(usize),
    /// One that the library cannot use.
    #[error("certificate {0} cannot be used ({1})")]
    Unusable(usize, String),
    /// A list that the library cannot use.
    #[error(
        "revocation list {0} cannot be used ({1}): it has to be of version 2, as `openssl ca -gencrl` makes one with `crlnumber` in its configuration"
    )]
    List(usize, String),
    /// One of the two would count, and nobody could say which.
    #[error(
        "revocation list {0} is a second one of an authority with this name: only the newest may be in the file"
    )]
    TwoLists(usize),
    /// A list that may not be the only one, where only one of an authority can be looked at.
    #[error(
        "revocation list {0} says that it is not about all certificates of who has signed it (it names a distribution point, or kinds): a whole one is needed"
    )]
    Part(usize),
    /// Whoever is in the file is believed, so nobody would ask the list.
    #[error("certificate {0} is revoked by a list in the same file: take it out")]
    Revoked(usize),
    /// What must not come near what a stranger sends.
    #[error(
        "holds a private key: take it out, only certificates and revocation lists belong into it"
    )]
    PrivateKey,
    /// None that is good now; this was the last.
    #[error("holds no authority that is good now: the last expired on {0}")]
    Expired(Date),
    /// None that is good now; this will be the first.
    #[error("holds no authority that is good now: the first is not valid before {0}")]
    Early(Date),
}

/// Somebody who may sign.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Name and key.
    pub anchor: TrustAnchor<'static>,
    /// How many others between it and a client's certificate, if that is bounded.
    pub path: Option<u8>,
}

/// Who may sign now, and which are revoked.
#[derive(Debug)]
pub struct Trust {
    /// Those that are good now: never none.
    pub authorities: Vec<Authority>,
    /// The lists, whether they are of now or not.
    pub lists: Vec<CertRevocationList<'static>>,
}

impl Trust {
    /// Reads such a file, at this time (seconds since 1970).
    ///
    /// # Errors
    /// [`Wrong`].
    pub fn read(text: &[u8], now: i64) -> Result<Self, Wrong> {
        const LABELS: [&str; 2] = ["CERTIFICATE", "X509 CRL"];
        const KEY: &[u8] = b"PRIVATE KEY-----";
        if text.windows(KEY.len()).any(|part| part == KEY) {
            return Err(Wrong::PrivateKey);
        }
        // What is not looked at must not be what the operator relies on.
        if text.contains(&0) {
            return Err(Wrong::Binary);
        }
        let is_other = |line: &[u8]| {
            let line = line.trim_ascii();
            let label = line.strip_prefix(b"-----BEGIN ");
            let label = label.or_else(|| line.strip_prefix(b"-----END "));
            let label = label.and_then(|label| label.strip_suffix(b"-----"));
            let known = label.is_some_and(|label| LABELS.map(str::as_bytes).contains(&label));
            !known && line.windows(4).any(|part| part == b"----")
        };
        if let Some(place) = text.split(|byte| *byte == b'\n').position(is_other) {
            return Err(Wrong::Label(place + 1));
        }
        let sections = pem::sections(text, &LABELS).map_err(|_| Wrong::Damaged)?;
        let (mut authorities, mut lists) = (Vec::new(), Vec::new());
        let mut own = Vec::new();
        let mut certificates = 0_usize;
        let (mut expired, mut early): (Option<i64>, Option<i64>) = (None, None);
        for (label, der) in sections {
            if label == 1 {
                let place = lists.len() + 1;
                let list = OwnedCertRevocationList::from_der(&der)
                    .map_err(|error| Wrong::List(place, format!("{error:?}")))?;
                let list = CertRevocationList::Owned(list);
                if list.issuing_distribution_point().is_some() {
                    return Err(Wrong::Part(place));
                }
                let is_same = |other: &CertRevocationList<'_>| other.issuer() == list.issuer();
                if lists.iter().any(is_same) {
                    return Err(Wrong::TwoLists(place));
                }
                lists.push(list);
            } else {
                certificates += 1;
                let leaf = Leaf::read(&der).ok_or(Wrong::Damaged)?;
                let path = leaf.authority().ok_or(Wrong::NoAuthority(certificates))?;
                own.push((leaf.issuer().to_vec(), leaf.serial().to_vec()));
                let der = CertificateDer::from(der.as_slice());
                let anchor = anchor_from_trusted_cert(&der)
                    .map_err(|error| Wrong::Unusable(certificates, format!("{error:?}")))?
                    .to_owned();
                match leaf.validity() {
                    (begins, _) if now < begins => {
                        early = Some(early.map_or(begins, |other| other.min(begins)));
                    }
                    (_, ends) if now > ends => {
                        expired = Some(expired.map_or(ends, |other| other.max(ends)));
                    }
                    _ => authorities.push(Authority { anchor, path }),
                }
            }
            if certificates > MAX_COUNT || lists.len() > MAX_COUNT {
                return Err(Wrong::TooMany);
            }
        }
        for (place, (issuer, serial)) in own.iter().enumerate() {
            let is_revoked = |list: &CertRevocationList<'_>| {
                // One that cannot be looked through says whatever it says.
                list.issuer() == issuer && !matches!(list.find_serial(serial), Ok(None))
            };
            if lists.iter().any(is_revoked) {
                return Err(Wrong::Revoked(place + 1));
            }
        }
        match (authorities.is_empty(), expired, early) {
            (false, ..) => Ok(Self { authorities, lists }),
            (true, Some(ended), _) => Err(Wrong::Expired(Date::of(ended))),
            (true, None, Some(begins)) => Err(Wrong::Early(Date::of(begins))),
            (true, None, None) => Err(Wrong::None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer,
        KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
    };

    fn params(ca: bool, years: (i32, i32)) -> CertificateParams {
        let mut params = CertificateParams::new([]).unwrap();
        if ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        }
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        params
    }

    fn authority(ca: bool, years: (i32, i32)) -> String {
        let key = KeyPair::generate().unwrap();
        params(ca, years).self_signed(&key).unwrap().pem()
    }

    fn list() -> String {
        let issuer = Issuer::new(params(true, (2000, 2100)), KeyPair::generate().unwrap());
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2030, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&issuer).unwrap().pem().unwrap()
    }

    fn at(year: i32) -> i64 {
        let (month, day) = (6, 1);
        Date { year, month, day }.begins()
    }

    #[test]
    fn authorities_and_lists_are_in_one_file() {
        let (good, old) = (authority(true, (2000, 2100)), authority(true, (2000, 2010)));
        let text = format!("words\n{good}{}{old}more", list().replace('\n', "\r\n"));
        let trust = Trust::read(text.as_bytes(), at(2026)).unwrap();
        assert_eq!((trust.authorities.len(), trust.lists.len()), (1, 1));
        assert_eq!(trust.authorities[0].path, Some(1));
        let trust = Trust::read(text.as_bytes(), at(2005)).unwrap();
        assert_eq!(trust.authorities.len(), 2);
    }

    #[test]
    fn what_signs_nobody_is_refused() {
        let old = authority(true, (2000, 2010)) + &authority(true, (2000, 2012));
        let new = authority(true, (2050, 2060)) + &authority(true, (2040, 2060));
        let leaf = authority(true, (2000, 2100)) + &authority(false, (2000, 2100));
        let cut = &leaf[..300];
        let list = list();
        let broken = "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
        let good = authority(true, (2000, 2100));
        let two = good.clone() + &list + &list;
        let with_key = good.clone() + &KeyPair::generate().unwrap().serialize_pem();
        let binary = good.clone() + "\0";
        let other = good.clone() + &list.replace("X509 CRL", "CRL");
        // What begins with a mark is not seen to begin; nor with fewer dashes.
        let marked = format!("{good}\u{feff}{list}");
        let dashes = good.clone() + &list.replace("-----BEGIN", "----BEGIN");
        let many = authority(true, (2000, 2100)).repeat(MAX_COUNT + 1);
        for (text, part) in [
            ("", "holds no certificate"),
            (&list, "holds no certificate"),
            (&old, "expired on 2012-01-01"),
            (&new, "not valid before 2040-01-01"),
            (&leaf, "certificate 2 is no authority's"),
            (cut, "is damaged"),
            (broken, "revocation list 1 cannot be used"),
            (&two, "revocation list 2 is a second one"),
            (&with_key, "holds a private key"),
            (&binary, "is not all text"),
            (&other, "begins or ends no CERTIFICATE and no X509 CRL"),
            (&marked, "begins or ends no CERTIFICATE and no X509 CRL"),
            (&dashes, "begins or ends no CERTIFICATE and no X509 CRL"),
            (&many, "more than 32"),
        ] {
            let error = Trust::read(text.as_bytes(), at(2026)).unwrap_err();
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Trust::read(&bytes, 0);
        }
    }
}
