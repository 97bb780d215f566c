//! Certificates of every kind that is to be refused, and those that are not.

use bulkhead_auth_certificate::verify::{No, Rules, Yes, name};
use certificates::{Date, Trust, Users, Wrong};
use ipc::tls::{Scheme, Shown};
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, SignatureAlgorithm, SigningKey,
    date_time_ymd,
};
use rustls_pki_types::UnixTime;
use std::time::Duration;

const TRANSCRIPT: [u8; 32] = [7; 32];

fn now() -> UnixTime {
    let (year, month, day) = (2026, 6, 1);
    let seconds = Date { year, month, day }.begins();
    UnixTime::since_unix_epoch(Duration::from_secs(seconds.try_into().unwrap()))
}

/// Who signs others.
struct Authority {
    params: CertificateParams,
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: Vec<u8>,
}

fn authority_params(name: &str, path: Option<u8>) -> CertificateParams {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(path.map_or(
        BasicConstraints::Unconstrained,
        BasicConstraints::Constrained,
    ));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Authority {
    fn root(name: &str, path: Option<u8>) -> Self {
        let params = authority_params(name, path);
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        Self {
            params: params.clone(),
            issuer: Issuer::new(params, key),
            pem: own.pem(),
            der: own.der().to_vec(),
        }
    }

    fn below(&self, name: &str, path: Option<u8>) -> Self {
        let mut params = authority_params(name, path);
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from(77));
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        Self {
            params: params.clone(),
            issuer: Issuer::new(params, key),
            pem: own.pem(),
            der: own.der().to_vec(),
        }
    }

    fn list(&self, revoked: &[u64], until: i32) -> String {
        self.list_at(None, revoked, until)
    }

    /// One that says where it is to be had.
    fn list_at(&self, place: Option<&str>, revoked: &[u64], until: i32) -> String {
        let revoked = revoked.iter().map(|number| RevokedCertParams {
            serial_number: SerialNumber::from(*number),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: place
                .map(|place| CrlDistributionPoint {
                    uris: vec![place.to_owned()],
                })
                .map(|distribution_point| CrlIssuingDistributionPoint {
                    distribution_point,
                    scope: None,
                }),
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// A client's certificate, before it is signed.
fn client() -> CertificateParams {
    let mut params = CertificateParams::new(["ann.x.org".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ann");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.serial_number = Some(SerialNumber::from(5));
    params
}

fn sign(key: &impl SigningKey, transcript: &[u8]) -> Vec<u8> {
    let context = b"TLS 1.3, client CertificateVerify\0";
    key.sign(&[&[b' '; 64], &context[..], transcript].concat())
        .unwrap()
}

/// What this client shows, below those: `by` has signed it.
fn shown(params: &CertificateParams, by: &Authority, between: &[&Authority]) -> Shown {
    let key = KeyPair::generate().unwrap();
    let own = params.signed_by(&key, &by.issuer).unwrap();
    let between = between.iter().map(|one| one.der.clone());
    Shown {
        chain: std::iter::once(own.der().to_vec()).chain(between).collect(),
        scheme: Scheme::EcdsaP256Sha256,
        transcript: TRANSCRIPT.to_vec(),
        signature: sign(&key, &TRANSCRIPT),
    }
}

fn rules(text: &str) -> Rules {
    let seconds = i64::try_from(now().as_secs()).unwrap();
    let trust = Trust::read(text.as_bytes(), seconds).unwrap();
    Rules {
        lists: !trust.lists.is_empty(),
        trust,
        users: None,
    }
}

const GOOD: Result<Yes, No> = Ok(Yes { user: None });

fn day(year: i32, month: u8, day: u8) -> Date {
    Date { year, month, day }
}

#[test]
fn a_good_one_is_good_alone_and_below_others() {
    let root = Authority::root("root", None);
    let middle = root.below("middle", Some(0));
    let rules = rules(&root.pem);
    let own = shown(&client(), &root, &[]);
    assert_eq!(rules.judge(&own, now()), GOOD);
    let below = shown(&client(), &middle, &[&middle]);
    assert_eq!(rules.judge(&below, now()), GOOD);
    // What is too much is not looked for; what is missing is.
    let with_root = shown(&client(), &middle, &[&root, &middle]);
    assert_eq!(rules.judge(&with_root, now()), GOOD);
    let without = shown(&client(), &middle, &[]);
    assert_eq!(rules.judge(&without, now()), Err(No::Foreign));
    // A name for the log.
    let name = name(&own).unwrap();
    assert!(name.starts_with("`CN=ann`, SHA-256 "), "{name}");
}

#[test]
fn every_kind_of_key_signs_with_its_own_scheme_only() {
    let root = Authority::root("root", None);
    let rules = rules(&root.pem);
    let kinds: [(&SignatureAlgorithm, Scheme); 4] = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, Scheme::EcdsaP256Sha256),
        (&rcgen::PKCS_ECDSA_P384_SHA384, Scheme::EcdsaP384Sha384),
        (&rcgen::PKCS_ECDSA_P521_SHA512, Scheme::EcdsaP521Sha512),
        (&rcgen::PKCS_ED25519, Scheme::Ed25519),
    ];
    for (algorithm, scheme) in kinds {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let own = client().signed_by(&key, &root.issuer).unwrap();
        let shown = |scheme| Shown {
            chain: vec![own.der().to_vec()],
            scheme,
            transcript: vec![3; 48],
            signature: sign(&key, &[3; 48]),
        };
        for other in Scheme::ALL {
            let expected = if other == scheme {
                GOOD
            } else {
                Err(No::Signature)
            };
            assert_eq!(
                rules.judge(&shown(other), now()),
                expected,
                "{scheme:?} {other:?}"
            );
        }
    }
}

#[test]
fn an_rsa_key_signs_with_pss_and_is_not_too_long() {
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair};
    let root = Authority::root("root", None);
    let rules = rules(&root.pem);
    for (size, bits) in [(KeySize::Rsa2048, 2048), (KeySize::Rsa8192, 8192)] {
        let rsa = RsaKeyPair::generate(size).unwrap();
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&rsa).unwrap();
        let key = KeyPair::try_from(der.as_ref()).unwrap();
        let own = client().signed_by(&key, &root.issuer).unwrap();
        let text = [
            &[b' '; 64],
            &b"TLS 1.3, client CertificateVerify\0"[..],
            &TRANSCRIPT,
        ]
        .concat();
        for (how, scheme) in [
            (&RSA_PSS_SHA256, Scheme::RsaPssSha256),
            (&RSA_PSS_SHA384, Scheme::RsaPssSha384),
            (&RSA_PSS_SHA512, Scheme::RsaPssSha512),
        ] {
            let mut signature = vec![0; rsa.public_modulus_len()];
            let random = aws_lc_rs::rand::SystemRandom::new();
            rsa.sign(how, &random, &text, &mut signature).unwrap();
            let shown = Shown {
                chain: vec![own.der().to_vec()],
                scheme,
                transcript: TRANSCRIPT.to_vec(),
                signature,
            };
            let expected = if bits > 4096 {
                Err(No::LongKey(bits))
            } else {
                GOOD
            };
            assert_eq!(rules.judge(&shown, now()), expected, "{bits} {scheme:?}");
        }
    }
}

#[test]
fn whose_time_is_over_or_has_not_come() {
    let root = Authority::root("root", None);
    let rules = rules(&root.pem);
    let mut params = client();
    params.not_after = date_time_ymd(2026, 5, 31);
    let judged = rules.judge(&shown(&params, &root, &[]), now());
    assert_eq!(judged, Err(No::Expired(day(2026, 5, 31))));
    let mut params = client();
    params.not_before = date_time_ymd(2027, 1, 2);
    let judged = rules.judge(&shown(&params, &root, &[]), now());
    assert_eq!(judged, Err(No::Early(day(2027, 1, 2))));
}

#[test]
fn who_is_signed_by_somebody_else() {
    let root = Authority::root("root", None);
    let rules = rules(&root.pem);
    let stranger = Authority::root("stranger", None);
    let twin = Authority::root("root", None);
    for other in [&stranger, &twin] {
        let judged = rules.judge(&shown(&client(), other, &[]), now());
        assert_eq!(judged, Err(No::Foreign));
        let judged = rules.judge(&shown(&client(), other, &[other]), now());
        assert_eq!(judged, Err(No::Foreign));
    }
    // By itself.
    let key = KeyPair::generate().unwrap();
    let own = client().self_signed(&key).unwrap();
    let itself = Shown {
        chain: vec![own.der().to_vec()],
        scheme: Scheme::EcdsaP256Sha256,
        transcript: TRANSCRIPT.to_vec(),
        signature: sign(&key, &TRANSCRIPT),
    };
    assert_eq!(rules.judge(&itself, now()), Err(No::Foreign));
    // By a client of ours, who signs nobody.
    let client_key = KeyPair::generate().unwrap();
    let ann = client().signed_by(&client_key, &root.issuer).unwrap();
    let forged = Authority {
        params: client(),
        issuer: Issuer::new(client(), client_key),
        pem: ann.pem(),
        der: ann.der().to_vec(),
    };
    let mut bob = client();
    bob.distinguished_name.push(DnType::CommonName, "bob");
    let judged = rules.judge(&shown(&bob, &forged, &[&forged]), now());
    let why = webpki::Error::EndEntityUsedAsCa;
    assert_eq!(judged, Err(No::Other(why)));
}

#[test]
fn what_is_not_for_clients() {
    let root = Authority::root("root", None);
    let rules = rules(&root.pem);
    let mut params = client();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let judged = rules.judge(&shown(&params, &root, &[]), now());
    assert_eq!(judged, Err(No::NotForClients));
    // Nothing is said (RFC 5280, section 4.2.1.12).
    params.extended_key_usages = Vec::new();
    assert_eq!(rules.judge(&shown(&params, &root, &[]), now()), GOOD);
    // What is for something else than signatures does not sign handshakes.
    let mut params = client();
    params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    let judged = rules.judge(&shown(&params, &root, &[]), now());
    assert_eq!(judged, Err(No::NotForSigning));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    assert_eq!(rules.judge(&shown(&params, &root, &[]), now()), GOOD);
    // An authority's own is no client's, whatever it says.
    let mut params = authority_params("middle", None);
    params.key_usages.push(KeyUsagePurpose::DigitalSignature);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let judged = rules.judge(&shown(&params, &root, &[]), now());
    assert_eq!(judged, Err(No::Authority));
}

#[test]
fn no_more_below_an_authority_than_it_allows() {
    let root = Authority::root("root", Some(0));
    let middle = root.below("middle", None);
    let judged = rules(&root.pem).judge(&shown(&client(), &middle, &[&middle]), now());
    assert_eq!(judged, Err(No::Long));
    let root = Authority::root("root", Some(1));
    let middle = root.below("middle", Some(0));
    let low = middle.below("low", None);
    let rules = rules(&root.pem);
    assert_eq!(
        rules.judge(&shown(&client(), &middle, &[&middle]), now()),
        GOOD
    );
    let judged = rules.judge(&shown(&client(), &low, &[&low, &middle]), now());
    assert_eq!(judged, Err(No::Long));
}

#[test]
fn who_is_revoked_and_what_a_list_must_be() {
    let root = Authority::root("root", None);
    let middle = root.below("middle", None);
    let own = shown(&client(), &root, &[]);
    let below = shown(&client(), &middle, &[&middle]);
    let own_below = shown(&client(), &middle, &[]);
    let with = |lists: &[String]| rules(&(root.pem.clone() + &lists.concat()));
    let empty = || root.list(&[], 2027);
    for (lists, shown, expected) in [
        (vec![empty()], &own, GOOD),
        (vec![root.list(&[5], 2027)], &own, Err(No::Revoked)),
        (vec![root.list(&[4, 6], 2027)], &own, GOOD),
        // One that is too old says nothing.
        (
            vec![root.list(&[], 2026)],
            &own,
            Err(No::ListExpired(day(2026, 1, 1))),
        ),
        // Who signs has to have one, and who has signed that one.
        (vec![empty()], &below, Err(No::NoList)),
        (vec![middle.list(&[], 2027)], &below, Err(No::NoList)),
        (vec![empty(), middle.list(&[], 2027)], &below, GOOD),
        (
            vec![empty(), middle.list(&[5], 2027)],
            &below,
            Err(No::Revoked),
        ),
        (
            vec![root.list(&[77], 2027), middle.list(&[], 2027)],
            &below,
            Err(No::Revoked),
        ),
        // The number of one is another's for another authority.
        (
            vec![root.list(&[5], 2027), middle.list(&[], 2027)],
            &below,
            GOOD,
        ),
    ] {
        assert_eq!(
            with(&lists).judge(shown, now()),
            expected,
            "{}",
            lists.len()
        );
    }
    // One that somebody else has signed in the authority's name.
    let twin = Authority::root("root", None);
    let judged = with(&[twin.list(&[], 2027)]).judge(&own, now());
    assert_eq!(
        judged,
        Err(No::Other(webpki::Error::InvalidCrlSignatureForPublicKey))
    );
    // There were lists, and now there are none.
    let mut rules = rules(&root.pem);
    rules.lists = true;
    assert_eq!(rules.judge(&own, now()), Err(No::NoListAnyMore));
    // Or the other way round.
    let mut rules = with(&[empty()]);
    rules.lists = false;
    assert_eq!(rules.judge(&own, now()), Err(No::ListSince));
    // Of two of one authority only the first would count, in whatever order.
    let placed = root.list_at(Some("http://x.org/list"), &[5], 2027);
    assert!(matches!(
        Trust::read((root.pem.clone() + &placed).as_bytes(), 0),
        Err(Wrong::Part(1))
    ));
    // One below another in the file is believed without a list, but not against one.
    let both = root.pem.clone() + &middle.pem;
    let judged =
        |lists: &[String]| self::rules(&(both.clone() + &lists.concat())).judge(&own_below, now());
    assert_eq!(judged(&[middle.list(&[], 2027)]), GOOD);
    assert_eq!(judged(&[empty()]), Err(No::NoList));
    assert_eq!(
        judged(&[empty(), middle.list(&[5], 2027)]),
        Err(No::Revoked)
    );
    let revoked = both.clone() + &root.list(&[77], 2027) + &middle.list(&[], 2027);
    assert!(matches!(
        Trust::read(revoked.as_bytes(), 0),
        Err(Wrong::Revoked(2))
    ));
    for lists in [
        [empty(), root.list(&[5], 2027)],
        [root.list(&[5], 2027), empty()],
        [empty(), twin.list(&[], 2027)],
    ] {
        let text = root.pem.clone() + &lists.concat();
        assert!(matches!(
            Trust::read(text.as_bytes(), 0),
            Err(Wrong::TwoLists(2))
        ));
    }
    let _ = &root.params;
}

#[test]
fn somebody_elses_key_or_another_handshake() {
    let root = Authority::root("root", None);
    let rules = rules(&root.pem);
    let good = shown(&client(), &root, &[]);
    let other = KeyPair::generate().unwrap();
    for change in [
        Shown {
            signature: sign(&other, &TRANSCRIPT),
            ..good.clone()
        },
        Shown {
            signature: Vec::new(),
            ..good.clone()
        },
        Shown {
            transcript: vec![8; 32],
            ..good.clone()
        },
        Shown {
            transcript: vec![7; 48],
            ..good.clone()
        },
    ] {
        assert_eq!(
            rules.judge(&change, now()),
            Err(No::Signature),
            "{change:?}"
        );
    }
    // What a server signs is not what a client signs.
    let key = KeyPair::generate().unwrap();
    let own = client().signed_by(&key, &root.issuer).unwrap();
    let text = [
        &[b' '; 64],
        &b"TLS 1.3, server CertificateVerify\0"[..],
        &TRANSCRIPT,
    ]
    .concat();
    let server = Shown {
        chain: vec![own.der().to_vec()],
        signature: key.sign(&text).unwrap(),
        ..good.clone()
    };
    assert_eq!(rules.judge(&server, now()), Err(No::Signature));
}

#[test]
fn what_is_too_much_or_nothing() {
    let root = Authority::root("root", None);
    let rules = rules(&root.pem);
    let good = shown(&client(), &root, &[]);
    let many = std::iter::repeat_n(good.chain[0].clone(), 9).collect();
    for change in [
        Shown {
            chain: Vec::new(),
            ..good.clone()
        },
        Shown {
            chain: many,
            ..good.clone()
        },
        Shown {
            chain: vec![good.chain[0].clone(), vec![0; 40_000]],
            ..good.clone()
        },
        Shown {
            transcript: vec![7; 31],
            ..good.clone()
        },
        Shown {
            signature: vec![7; 1025],
            ..good.clone()
        },
        Shown {
            chain: vec![vec![]],
            ..good.clone()
        },
        Shown {
            chain: vec![b"\x30\x03\x02\x01\x01".to_vec()],
            ..good.clone()
        },
        Shown {
            chain: vec![good.chain[0][..200].to_vec()],
            ..good.clone()
        },
    ] {
        assert_eq!(
            rules.judge(&change, now()),
            Err(No::Malformed),
            "{change:?}"
        );
    }
    // Rubbish between does not help, and does not harm.
    let mut odd = good;
    odd.chain.push(b"rubbish".to_vec());
    assert_eq!(rules.judge(&odd, now()), GOOD);
}

#[test]
fn a_good_one_is_a_users_or_nobodys() {
    let root = Authority::root("root", None);
    let good = shown(&client(), &root, &[]);
    for (text, expected) in [
        (
            "ann|subject:CN=ann",
            Ok(Yes {
                user: Some("ann".into()),
            }),
        ),
        (
            "ann|san:ann.x.org",
            Ok(Yes {
                user: Some("ann".into()),
            }),
        ),
        ("bob|subject:CN=bob", Err(No::Nobody)),
        ("ann|subject:CN=ann\nbob|san:ann.x.org", Err(No::Ambiguous)),
    ] {
        let mut rules = rules(&root.pem);
        rules.users = Some(Users::read(format!("{text}\n").as_bytes()).unwrap());
        assert_eq!(rules.judge(&good, now()), expected, "{text}");
        // Being somebody's does not make it good.
        let mut forged = good.clone();
        forged.transcript = vec![9; 32];
        assert_eq!(rules.judge(&forged, now()), Err(No::Signature), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_changed_byte_is_no(at in 0..2000_usize, by in 1..=255_u8) {
        let root = Authority::root("root", None);
        let rules = rules(&root.pem);
        let mut shown = shown(&client(), &root, &[]);
        let at = at % shown.chain[0].len();
        shown.chain[0][at] ^= by;
        let _ = name(&shown);
        prop_assert!(rules.judge(&shown, now()).is_err());
    }
}
