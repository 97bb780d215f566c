//! `ssl-protocol=`, `ssl-ciphers=` and `ssl-options=`: which versions of TLS a socket speaks, and with which cipher
//! suites. TLS 1.3 alone when nothing is said, and never anything older than TLS 1.2.

use crate::error::{Error, Result};
use ipc::tls::{KeyKind, Suite, Version};

/// `ssl-protocol=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TLS 1.3 alone.
    New,
    /// TLS 1.2 as well.
    Both,
    /// TLS 1.2 alone, as it means in Xpra.
    Old,
}

/// `ssl-options=`: the versions that are not to be spoken. All else in it is the case anyway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Without(Vec<Version>);

/// `ssl-ciphers=`: what is named, in order; `None` is `DEFAULT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphers(Vec<Option<Suite>>);

/// What is said about it, for one socket or for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `ssl-protocol=`.
    pub protocol: Option<Protocol>,
    /// `ssl-options=`.
    pub without: Option<Without>,
    /// `ssl-ciphers=`.
    pub ciphers: Option<Ciphers>,
}

impl Protocol {
    /// Reads the value of `ssl-protocol=`: the names are those of Python's `ssl`, without `PROTOCOL_`.
    ///
    /// # Errors
    /// There is no such value, or it is too old.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "tlsv1_3" => Ok(Self::New),
            "tls" | "auto" | "tls_server" | "sslv23" => Ok(Self::Both),
            "tlsv1_2" => Ok(Self::Old),
            "sslv2" | "sslv3" | "tlsv1" | "tlsv1_1" => Err(Error::usage(format!(
                "`{text}` is not safe, and not built: TLS is TLS 1.2 and newer, and TLSv1_3 is that alone"
            ))),
            _ => Err(Error::usage(format!(
                "`{text}` is neither TLSv1_3, TLS (1.2 and newer) nor TLSv1_2 (and nothing newer)"
            ))),
        }
    }

    fn versions(self) -> &'static [Version] {
        match self {
            Self::New => &[Version::Tls13],
            Self::Both => &[Version::Tls13, Version::Tls12],
            Self::Old => &[Version::Tls12],
        }
    }
}

/// What one of OpenSSL's options is here.
#[derive(Clone, Copy)]
enum Meaning {
    /// The case, whether it is said or not.
    Always,
    /// This version is not spoken.
    Not(Version),
    /// Refused: something would not be noticed that has to be.
    Weakens,
}
use Meaning::{Always, Not, Weakens};

/// The options as OpenSSL and Python's `ssl` call them, without `OP_`.
const OPTIONS: [(&str, Meaning); 17] = [
    // Ways around mistakes of other libraries, of which we need none.
    ("ALL", Always),
    ("CIPHER_SERVER_PREFERENCE", Always),
    ("ENABLE_MIDDLEBOX_COMPAT", Always),
    ("NO_COMPRESSION", Always),
    ("NO_RENEGOTIATION", Always),
    ("NO_SSLv2", Always),
    ("NO_SSLv3", Always),
    ("NO_TICKET", Always),
    ("NO_TLSv1", Always),
    ("NO_TLSv1_1", Always),
    ("SINGLE_DH_USE", Always),
    ("SINGLE_ECDH_USE", Always),
    ("NO_TLSv1_2", Not(Version::Tls12)),
    ("NO_TLSv1_3", Not(Version::Tls13)),
    ("ALLOW_UNSAFE_LEGACY_RENEGOTIATION", Weakens),
    ("IGNORE_UNEXPECTED_EOF", Weakens),
    ("LEGACY_SERVER_CONNECT", Weakens),
];

/// The names in a list: between commas, colons or spaces. In the option of a socket, where a comma begins the
/// next option, it may stand in parentheses.
pub(crate) fn names(text: &str) -> Result<Vec<&str>> {
    let inner = text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'));
    let parts = inner.unwrap_or(text).split([',', ':', ' ']);
    let names: Vec<_> = parts.filter(|name| !name.is_empty()).collect();
    match names.is_empty() {
        true => Err(Error::usage("an empty list")),
        false => Ok(names),
    }
}

impl Without {
    /// Reads the value of `ssl-options=`.
    ///
    /// # Errors
    /// An option that is not known, or that would weaken TLS.
    pub fn parse(text: &str) -> Result<Self> {
        let mut versions = Vec::new();
        for name in names(text)? {
            let known = OPTIONS.iter();
            let mut known = known.filter(|(known, _)| known.eq_ignore_ascii_case(name));
            match known.next() {
                Some((_, Always)) => {}
                Some((_, Not(version))) => versions.push(*version),
                Some((_, Weakens)) => {
                    return Err(Error::usage(format!(
                        "`{name}` would make TLS weaker, and does not exist here: leave it out"
                    )));
                }
                None => {
                    let known = OPTIONS.iter().filter(|(_, what)| !matches!(what, Weakens));
                    let known: Vec<_> = known.map(|(name, _)| *name).collect();
                    return Err(Error::usage(format!(
                        "`{name}` is no option of TLS that is known here; there are {}",
                        known.join(", ")
                    )));
                }
            }
        }
        Ok(Self(versions))
    }
}

impl Ciphers {
    /// Reads the value of `ssl-ciphers=`.
    ///
    /// # Errors
    /// A suite that there is not.
    pub fn parse(text: &str) -> Result<Self> {
        let named = names(text)?.into_iter().map(|name| {
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            if is("DEFAULT") {
                return Ok(None);
            }
            let mut known = Suite::ALL.into_iter();
            let suite = known.find(|suite| is(suite.name()) || is(suite.openssl_name()));
            suite.map(Some).ok_or_else(|| {
                Error::usage(format!(
                    "`{name}` is no cipher suite that there is here; there are DEFAULT, which is all of them, {}",
                    list(Suite::ALL)
                ))
            })
        });
        named.collect::<Result<_>>().map(Self)
    }
}

/// The names of suites, for people.
fn list(suites: impl IntoIterator<Item = Suite>) -> String {
    let names: Vec<_> = suites.into_iter().map(Suite::openssl_name).collect();
    names.join(", ")
}

impl Said {
    /// Takes an option of a socket, if it is one of these.
    ///
    /// # Errors
    /// Its value is wrong.
    pub fn take(&mut self, key: &str, value: &str) -> Result<bool> {
        let at = |error: Error| error.at(key);
        let again = match key {
            "ssl-protocol" => self
                .protocol
                .replace(Protocol::parse(value).map_err(at)?)
                .is_some(),
            "ssl-options" => self
                .without
                .replace(Without::parse(value).map_err(at)?)
                .is_some(),
            "ssl-ciphers" => self
                .ciphers
                .replace(Ciphers::parse(value).map_err(at)?)
                .is_some(),
            _ => return Ok(false),
        };
        match again {
            true => Err(at(Error::usage("said twice: which of them?"))),
            false => Ok(true),
        }
    }

    /// Was nothing said?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The cipher suites of a socket that says this, of which those of one version at least; each option of its
    /// own, else that for all.
    ///
    /// # Errors
    /// Nothing would be left, or something that is named would never be used.
    pub fn suites(&self, all: &Self) -> Result<Vec<Suite>> {
        let protocol = self.protocol.or(all.protocol).unwrap_or(Protocol::New);
        let without = self.without.as_ref().or(all.without.as_ref());
        let not = |version| without.is_some_and(|without| without.0.contains(&version));
        let versions = protocol.versions().iter().copied();
        let versions: Vec<_> = versions.filter(|version| !not(*version)).collect();
        if versions.is_empty() {
            return Err(Error::usage(
                "ssl-options= leaves no version of TLS: without NO_TLSv1_3 it is TLS 1.3, and ssl-protocol=TLS is TLS 1.2 too",
            ));
        }
        let spoken = |suite: &Suite| versions.contains(&suite.version());
        let all_of_them = Suite::ALL.into_iter().filter(spoken);
        let Some(Ciphers(named)) = self.ciphers.as_ref().or(all.ciphers.as_ref()) else {
            return Ok(all_of_them.collect());
        };
        let mut suites: Vec<Suite> = Vec::new();
        for named in named {
            match named {
                None => suites.extend(all_of_them.clone()),
                Some(suite) if spoken(suite) => suites.push(*suite),
                Some(suite) => {
                    let (name, version) = (suite.openssl_name(), suite.version().name());
                    return Err(Error::usage(format!(
                        "ssl-ciphers= has {name}, and {version} is not spoken: leave it out, or add ssl-protocol=TLS"
                    )));
                }
            }
        }
        let mut once = Vec::new();
        suites.retain(|suite| {
            let first = !once.contains(suite);
            once.push(*suite);
            first
        });
        for version in versions {
            let of = |suite: &Suite| suite.version() == version;
            if !suites.iter().any(of) {
                return Err(none(version, "", Suite::ALL.into_iter().filter(of)));
            }
        }
        Ok(suites)
    }
}

/// There is nothing to encrypt with.
fn none(version: Version, why: &str, suites: impl Iterator<Item = Suite>) -> Error {
    Error::usage(format!(
        "ssl-ciphers= has no cipher suite of {}{why}: add DEFAULT, or of these: {}",
        version.name(),
        list(suites)
    ))
}

/// Those of them that a key can sign for.
///
/// # Errors
/// Of a version that is spoken there is none.
pub fn for_key(suites: &[Suite], key: KeyKind) -> Result<Vec<Suite>> {
    let fit: Vec<_> = suites
        .iter()
        .copied()
        .filter(|suite| suite.fits(key))
        .collect();
    for suite in suites {
        let version = suite.version();
        if !fit.iter().any(|fit| fit.version() == version) {
            let why = format!(" for a certificate with a key of {}", key.name());
            let of = |suite: &Suite| suite.version() == version && suite.fits(key);
            return Err(none(version, &why, Suite::ALL.into_iter().filter(of)));
        }
    }
    Ok(fit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::taken;
    use proptest::prelude::*;

    fn said(options: &[(&str, &str)]) -> Result<Said> {
        taken(options, Said::take)
    }

    fn suites(options: &[(&str, &str)]) -> Result<Vec<Suite>> {
        said(options)?.suites(&Said::default())
    }

    fn versions(options: &[(&str, &str)]) -> Vec<Version> {
        let suites = suites(options).unwrap();
        let speaks = |version: &Version| suites.iter().any(|suite| suite.version() == *version);
        Version::ALL.into_iter().filter(speaks).collect()
    }

    const NEW: &[Version] = &[Version::Tls13];
    const BOTH: &[Version] = &[Version::Tls12, Version::Tls13];
    const OLD: &[Version] = &[Version::Tls12];

    #[test]
    fn which_versions_are_spoken() {
        assert_eq!(versions(&[]), NEW);
        for (text, expected) in [
            ("TLSv1_3", NEW),
            ("tlsv1_3", NEW),
            ("TLS", BOTH),
            ("auto", BOTH),
            ("TLS_SERVER", BOTH),
            ("SSLv23", BOTH),
            ("TLSv1_2", OLD),
        ] {
            assert_eq!(versions(&[("ssl-protocol", text)]), expected, "{text}");
        }
        for text in ["SSLv2", "SSLv3", "TLSv1", "TLSv1_1", "tlsv1"] {
            let error = Protocol::parse(text).unwrap_err().to_string();
            assert!(
                error.contains("is not safe") && error.contains("TLSv1_3"),
                "{error}"
            );
        }
        for text in ["", "TLS_CLIENT", "TLSv1.2", "1.2", "DTLS", "TLS,TLSv1_2"] {
            let error = Protocol::parse(text).unwrap_err().to_string();
            assert!(error.contains("is neither TLSv1_3, TLS"), "{error}");
        }
    }

    #[test]
    fn options_are_the_case_or_take_a_version_away_or_are_refused() {
        for (text, expected) in [
            ("ALL,NO_COMPRESSION", BOTH),
            ("(ALL,NO_COMPRESSION)", BOTH),
            (
                "NO_SSLv2:no_sslv3:NO_TLSV1:NO_TLSv1_1:NO_TICKET:NO_RENEGOTIATION",
                BOTH,
            ),
            (
                "SINGLE_DH_USE, SINGLE_ECDH_USE, CIPHER_SERVER_PREFERENCE, ENABLE_MIDDLEBOX_COMPAT",
                BOTH,
            ),
            ("NO_TLSv1_2", NEW),
            ("ALL,NO_TLSv1_3", OLD),
        ] {
            let options = [("ssl-protocol", "TLS"), ("ssl-options", text)];
            assert_eq!(versions(&options), expected, "{text}");
        }
        // Every one of Python's that is known here.
        for (name, meaning) in OPTIONS {
            assert_eq!(Without::parse(name).is_ok(), !matches!(meaning, Weakens));
        }
        for (text, part) in [
            ("", "an empty list"),
            ("()", "an empty list"),
            ("LEGACY_SERVER_CONNECT", "would make TLS weaker"),
            ("ALL,IGNORE_UNEXPECTED_EOF", "would make TLS weaker"),
            ("NO_TLS", "`NO_TLS` is no option"),
            ("OP_ALL", "`OP_ALL` is no option"),
            ("ALL)", "`ALL)` is no option"),
        ] {
            let error = Without::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        for options in [
            &[("ssl-options", "NO_TLSv1_3")][..],
            &[
                ("ssl-options", "NO_TLSv1_3,NO_TLSv1_2"),
                ("ssl-protocol", "TLS"),
            ],
            &[("ssl-protocol", "TLSv1_2"), ("ssl-options", "NO_TLSv1_2")],
        ] {
            let error = suites(options).unwrap_err().to_string();
            assert!(error.contains("leaves no version"), "{error}");
        }
    }

    #[test]
    fn suites_have_the_names_of_openssl_and_of_iana() {
        for suite in Suite::ALL {
            for name in [suite.name(), suite.openssl_name()] {
                let small = name.to_ascii_lowercase();
                for name in [name, &small] {
                    assert_eq!(Ciphers::parse(name), Ok(Ciphers(vec![Some(suite)])));
                }
            }
        }
        let both = ("ssl-protocol", "TLS");
        assert_eq!(suites(&[both]).unwrap(), Suite::ALL);
        assert_eq!(
            suites(&[both, ("ssl-ciphers", "DEFAULT")]).unwrap(),
            Suite::ALL
        );
        let named = "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
        let expected = [Suite::Chacha20, Suite::Aes128];
        assert_eq!(suites(&[("ssl-ciphers", named)]).unwrap(), expected);
        // One first, and the others as they are.
        let first = "(TLS_AES_128_GCM_SHA256,DEFAULT)";
        let expected = [Suite::Aes128, Suite::Aes256, Suite::Chacha20];
        assert_eq!(suites(&[("ssl-ciphers", first)]).unwrap(), expected);
    }

    #[test]
    fn what_is_weak_or_unknown_is_refused_with_a_list() {
        for text in [
            "RC4-SHA",
            "DES-CBC3-SHA",
            "AES256-SHA",
            "AES256-GCM-SHA384",
            "ECDHE-RSA-AES256-SHA384",
            "DHE-RSA-AES256-GCM-SHA384",
            "TLS_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_AES_128_CCM_SHA256",
            "EXP-RC4-MD5",
            "NULL-SHA256",
            "ADH-AES256-GCM-SHA384",
            "HIGH",
            "ALL",
            "!aNULL",
            "@SECLEVEL=2",
            "TLS_AES_256_GCM_SHA384:RC4-SHA",
        ] {
            let error = Ciphers::parse(text).unwrap_err().to_string();
            let last = text.rsplit(':').next().unwrap();
            assert!(
                error.contains(&format!("`{last}` is no cipher suite"))
                    && error.contains("ECDHE-RSA-AES256-GCM-SHA384"),
                "{text}: {error}"
            );
        }
        for text in ["", ":", ",", "( )"] {
            let error = Ciphers::parse(text).unwrap_err().to_string();
            assert!(error.contains("an empty list"), "{text}: {error}");
        }
    }

    #[test]
    fn a_version_without_a_suite_and_a_suite_without_its_version_are_refused() {
        for (protocol, ciphers, part) in [
            (
                "TLS",
                "TLS_AES_256_GCM_SHA384",
                "no cipher suite of TLS 1.2",
            ),
            (
                "TLS",
                "ECDHE-RSA-AES256-GCM-SHA384",
                "no cipher suite of TLS 1.3",
            ),
            (
                "TLSv1_3",
                "DEFAULT:ECDHE-RSA-AES256-GCM-SHA384",
                "has ECDHE-RSA-AES256-GCM-SHA384, and TLS 1.2 is not spoken",
            ),
            ("TLSv1_2", "TLS_AES_256_GCM_SHA384", "TLS 1.3 is not spoken"),
        ] {
            let options = [("ssl-protocol", protocol), ("ssl-ciphers", ciphers)];
            let error = suites(&options).unwrap_err().to_string();
            assert!(error.contains(part), "{protocol} {ciphers}: {error}");
        }
    }

    #[test]
    fn a_key_signs_for_its_own_suites() {
        for key in KeyKind::ALL {
            let fit = for_key(&Suite::ALL, key).unwrap();
            assert_eq!(fit.len(), 6, "{key:?}");
            assert_eq!(for_key(&Suite::ALL[..3], key).unwrap(), &Suite::ALL[..3]);
            let other = match key {
                KeyKind::Rsa => Suite::EcdsaAes256,
                _ => Suite::RsaAes256,
            };
            let error = for_key(&[Suite::Aes256, other], key)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(&format!(
                    "TLS 1.2 for a certificate with a key of {}",
                    key.name()
                )),
                "{error}"
            );
        }
    }

    #[test]
    fn a_socket_says_more_than_the_options_for_all() {
        let all = said(&[("ssl-protocol", "TLS"), ("ssl-options", "NO_TLSv1_2")]).unwrap();
        let none = Said::default();
        let twice = said(&[("ssl-protocol", "TLS"), ("ssl-protocol", "TLSv1_3")]);
        assert!(twice.unwrap_err().to_string().contains("said twice"));
        let speaks = |own: &Said| {
            let suites = own.suites(&all).unwrap();
            suites.iter().any(|suite| suite.version() == Version::Tls12)
        };
        assert!(!speaks(&none));
        assert!(speaks(&said(&[("ssl-options", "ALL")]).unwrap()));
        assert!(none.is_empty() && !all.is_empty());
    }

    proptest! {
        /// Whatever is said: if it is accepted, each version that is spoken has something to encrypt with, and
        /// nothing comes twice.
        #[test]
        fn what_is_accepted_makes_sense(
            protocol in prop_oneof![Just("TLS"), Just("TLSv1_2"), Just("TLSv1_3")],
            options in prop_oneof![Just("ALL"), Just("NO_TLSv1_2"), Just("NO_TLSv1_3")],
            places in proptest::collection::vec(0_usize..10, 1..6),
        ) {
            let name = |place: usize| Suite::ALL.get(place).map_or("DEFAULT", |suite| suite.openssl_name());
            let ciphers: Vec<_> = places.into_iter().map(name).collect();
            let ciphers = ciphers.join(":");
            let options = [("ssl-protocol", protocol), ("ssl-options", options), ("ssl-ciphers", &ciphers)];
            if let Ok(suites) = suites(&options) {
                prop_assert!(!suites.is_empty());
                for (place, suite) in suites.iter().enumerate() {
                    prop_assert!(!suites[..place].contains(suite));
                }
            }
        }

        #[test]
        fn nothing_panics(text in ".{0,60}") {
            let _ = (Protocol::parse(&text), Without::parse(&text), Ciphers::parse(&text));
        }
    }
}
