//! `--bind-ssl`, `ssl=`, `ssl-cert=` and its like: which sockets have TLS, with what, and what they want
//! to see of their clients.

use crate::certificate;
use crate::config;
use crate::error::{Error, Result};
use crate::hidden::Hidden;
use crate::offer;
use crate::options::boolean;
use crate::trusted::{Authorities, Flags, Pem};
use ipc::tls::{Suite, Version};
use std::fmt;
use std::path::{Path, PathBuf};

/// Environment variable with the pass phrase of keys, when no option says it.
pub const VARIABLE: &str = "XPRA_SSL_KEY_PASSWORD";

/// The certificate in a directory of [`directories`].
pub const CERTIFICATE: &str = "cert.pem";
/// Its key.
pub const KEY: &str = "key.pem";
/// What it is signed with: clients are given it.
pub const AUTHORITY: &str = "ca-cert.pem";

/// `ssl=` of a TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No TLS.
    Off,
    /// For the clients that begin with it.
    On,
    /// The same, if there is a certificate.
    Auto,
}

impl Mode {
    /// Reads the value of `ssl=`.
    ///
    /// # Errors
    /// There is no such value.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            // What is in it: the protocol itself.
            "tcp" => Ok(Self::On),
            "www" => Err(Error::usage("`www`: web pages are not built yet")),
            _ => match boolean(text) {
                Ok(true) => Ok(Self::On),
                Ok(false) => Ok(Self::Off),
                Err(_) => Err(Error::usage(format!(
                    "`{text}` is neither on, auto, tcp nor off"
                ))),
            },
        }
    }
}

/// `ssl-client-verify-mode=`: what clients show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Nothing.
    None,
    /// A good certificate, or none.
    Optional,
    /// A good certificate.
    Required,
}

impl Verify {
    /// Reads the value of `ssl-client-verify-mode=`.
    ///
    /// # Errors
    /// There is no such value.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "none" => Ok(Self::None),
            "optional" => Ok(Self::Optional),
            "required" => Ok(Self::Required),
            _ => Err(Error::usage(format!(
                "`{text}` is neither none, optional nor required"
            ))),
        }
    }
}

/// What is said about TLS, for one socket or for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// `ssl=`.
    pub mode: Option<Mode>,
    /// `ssl-upgrade=`.
    pub upgrade: Option<bool>,
    /// `ssl-cert=`.
    pub certificate: Option<PathBuf>,
    /// `ssl-key=`.
    pub key: Option<PathBuf>,
    /// `ssl-key-password=` and `ssl-key-password-file=`.
    pub pass_phrase: Option<PassPhrase>,
    /// `ssl-client-verify-mode=`.
    pub verify: Option<Verify>,
    /// `ssl-ca-certs=` or `ssl-ca-data=`.
    pub authorities: Option<Authorities>,
    /// `ssl-verify-flags=`.
    pub flags: Option<Flags>,
    /// Which versions are spoken, and with what.
    pub offer: offer::Said,
    /// The options that are said and that a server has nothing to do with.
    pub for_clients: Vec<&'static str>,
}

/// What one tells clients how to look at a server. Xpra's servers read the same files as its clients.
pub const FOR_CLIENTS: [&str; 3] = [
    "ssl-check-hostname",
    "ssl-server-hostname",
    "ssl-server-verify-mode",
];

/// What opens a key that is encrypted.
#[derive(Clone, PartialEq, Eq)]
pub enum PassPhrase {
    /// On the command line.
    Text(Hidden<String>),
    /// In a file.
    File(PathBuf),
}

impl fmt::Debug for PassPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("pass phrase"),
            Self::File(path) => write!(f, "pass phrase in {}", path.display()),
        }
    }
}

/// What a socket's TLS is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Clients in clear are served too.
    pub optional: bool,
    /// Of those, who can is asked to change to TLS.
    pub upgrade: bool,
    /// The certificate and the key; `None`: where `bulkhead setup-ssl` puts them.
    pub files: Option<Pair>,
    /// What opens the key; `None`: what [`VARIABLE`] says, if anything.
    pub pass_phrase: Option<PassPhrase>,
    /// What clients have to show, if anything.
    pub clients: Option<Clients>,
    /// What is spoken, the best first; whatever the certificate's key is.
    pub suites: Vec<Suite>,
}

/// What the clients of a socket show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// Who has no certificate goes on without.
    pub optional: bool,
    /// Those who may have signed it, and revocation lists.
    pub authorities: Authorities,
    /// How it is looked at.
    pub flags: Flags,
}

/// A certificate and its key, which may be in the same file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The file with the certificate.
    pub certificate: PathBuf,
    /// The file with the key.
    pub key: PathBuf,
}

impl Tls {
    /// The certificate and the key: what was said, else what `bulkhead setup-ssl` made.
    ///
    /// # Errors
    /// Nothing was said, and there is none.
    pub fn pair(&self) -> Result<Pair> {
        if let Some(pair) = &self.files {
            return Ok(pair.clone());
        }
        let known = directories();
        let found = known.iter().find(|dir| dir.join(CERTIFICATE).exists());
        let dir = found.ok_or_else(|| {
            Error::usage(
                "TLS needs a certificate: add ssl-cert=FILE,ssl-key=FILE, or make one with `bulkhead setup-ssl`",
            )
        })?;
        Ok(Pair {
            certificate: dir.join(CERTIFICATE),
            key: dir.join(KEY),
        })
    }
}

/// Where certificates are looked for when none is named: beside the configuration files.
#[must_use]
pub fn directories() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let files = config::files(home.as_deref());
    files
        .iter()
        .map(|file| file.with_file_name("ssl"))
        .collect()
}

/// Has `setup-ssl` made one?
fn is_set_up() -> bool {
    let made = |directory: PathBuf| directory.join(CERTIFICATE).exists();
    directories().into_iter().any(made)
}

impl Said {
    /// Takes an option of a socket, if it is one of these.
    ///
    /// # Errors
    /// Its value is wrong.
    pub fn take(&mut self, key: &str, value: &str) -> Result<bool> {
        if key == "ssl" {
            self.mode = Some(Mode::parse(value).map_err(|error| error.at(key))?);
            return Ok(true);
        }
        if self.offer.take(key, value)? {
            return Ok(true);
        }
        if let Some(known) = FOR_CLIENTS.iter().find(|known| **known == key) {
            let at = |error: Error| error.at(key);
            match *known {
                "ssl-check-hostname" => _ = boolean(value).map_err(at)?,
                "ssl-server-verify-mode" => _ = Verify::parse(value).map_err(at)?,
                _ => {}
            }
            self.for_clients.push(known);
            return Ok(true);
        }
        let file = || match value {
            "" => Err(Error::usage(format!("`{key}=` is empty"))),
            path => Ok(PathBuf::from(path)),
        };
        match key {
            "ssl-upgrade" => {
                self.upgrade = Some(boolean(value).map_err(|error| error.at(key))?);
            }
            "ssl-cert" => self.certificate = Some(file()?),
            "ssl-key" => self.key = Some(file()?),
            "ssl-key-password" => {
                self.pass_phrase = Some(PassPhrase::Text(Hidden::new(value.to_owned())));
            }
            "ssl-key-password-file" => self.pass_phrase = Some(PassPhrase::File(file()?)),
            "ssl-client-verify-mode" => {
                self.verify = Some(Verify::parse(value).map_err(|error| error.at(key))?);
            }
            "ssl-ca-certs" | "ssl-ca-data" => {
                let data = || Pem::parse(value).map_err(|error| error.at(key));
                let said = match key {
                    "ssl-ca-certs" => Authorities::File(file()?),
                    _ => Authorities::Data(data()?),
                };
                let same = |other: &Authorities| {
                    std::mem::discriminant(other) == std::mem::discriminant(&said)
                };
                if !self.authorities.as_ref().is_none_or(same) {
                    return Err(Error::usage(
                        "ssl-ca-certs= and ssl-ca-data=: which of them?",
                    ));
                }
                self.authorities = Some(said);
            }
            "ssl-verify-flags" => {
                self.flags = Some(Flags::parse(value).map_err(|error| error.at(key))?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Was nothing said?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is spoken with whom. Who signs in TLS 1.2 signs the whole handshake, and not a hash of it, which is more
    /// than `network` passes on.
    fn suites(&self, all: &Said, clients: Option<&Clients>) -> Result<Vec<Suite>> {
        let suites = self.offer.suites(&all.offer)?;
        let old = |suite: &Suite| suite.version() == Version::Tls12;
        match clients.is_some() && suites.iter().any(old) {
            true => Err(Error::usage(
                "certificates of clients need TLS 1.3, and nothing older: leave ssl-protocol= out, or say ssl-options=NO_TLSv1_2",
            )),
            false => Ok(suites),
        }
    }

    /// The certificate and the key: a socket's own, else those of all sockets. A certificate that
    /// comes with no key has it in its own file.
    fn files(&self, all: &Said) -> Result<Option<Pair>> {
        let said = match self.certificate {
            Some(_) => self,
            None => all,
        };
        let key = self.key.as_ref().or(said.key.as_ref());
        match (&said.certificate, key) {
            (Some(certificate), key) => Ok(Some(Pair {
                certificate: certificate.clone(),
                key: key.unwrap_or(certificate).clone(),
            })),
            (None, Some(_)) => Err(Error::usage(
                "a TLS key without its certificate: add ssl-cert=FILE",
            )),
            (None, None) => Ok(None),
        }
    }

    /// Does it say of clients' certificates what is of no use when none is looked at? For all sockets, flags may be
    /// said that change nothing.
    #[must_use]
    pub fn needs_clients(&self) -> bool {
        self.authorities.is_some() || self.flags.is_some_and(|flags| flags.lists)
    }

    /// Does it say anything about a certificate's key?
    fn names_key(&self) -> bool {
        self.certificate.is_some() || self.key.is_some() || self.pass_phrase.is_some()
    }

    /// A socket's own, else that of all sockets.
    fn pass_phrase(&self, all: &Said) -> Option<PassPhrase> {
        self.pass_phrase.clone().or_else(|| all.pass_phrase.clone())
    }

    /// What clients have to show: as a socket says itself, else as is said for all. `module`: a module
    /// of it goes by their certificates.
    fn clients(&self, all: &Said, module: bool) -> Result<Option<Clients>> {
        let verify = self.verify.or(all.verify);
        let optional = match (verify, module) {
            (Some(Verify::Required), _) | (None, true) => false,
            (Some(Verify::Optional), false) => true,
            (Some(Verify::None | Verify::Optional), true) => {
                return Err(Error::usage(
                    "auth=certificate needs a certificate of every client: ssl-client-verify-mode=required",
                ));
            }
            (None | Some(Verify::None), false)
                if self.authorities.is_some() || self.flags.is_some() =>
            {
                return Err(Error::usage(format!(
                    "`{}=` alone checks nothing: add ssl-client-verify-mode=required, or auth=certificate(users=FILE)",
                    match &self.authorities {
                        Some(authorities) => authorities.option(),
                        None => "ssl-verify-flags",
                    }
                )));
            }
            (None | Some(Verify::None), false) => return Ok(None),
        };
        match self.authorities.as_ref().or(all.authorities.as_ref()) {
            // Whoever the whole world trusts to name servers would say who our clients are.
            Some(Authorities::File(file))
                if ["default", "auto", certificate::SYSTEM]
                    .map(Path::new)
                    .contains(&file.as_path()) =>
            {
                Err(Error::usage(format!(
                    "ssl-ca-certs={}: who may sign the certificates of clients has to be said: a file",
                    file.display()
                )))
            }
            Some(authorities) => Ok(Some(Clients {
                optional,
                authorities: authorities.clone(),
                flags: self.flags.or(all.flags).unwrap_or_default(),
            })),
            None => Err(Error::usage(
                "certificates of clients cannot be checked: add ssl-ca-certs=FILE, with those who may sign them",
            )),
        }
    }

    /// What `--bind-ssl` is to be. `module`: a module of it goes by the certificates of clients.
    ///
    /// # Errors
    /// What is said does not fit together.
    pub fn required(&self, all: &Said, module: bool) -> Result<Tls> {
        if self.mode == Some(Mode::Off) {
            return Err(Error::usage("`ssl=off`: use --bind-tcp"));
        }
        if self.upgrade == Some(true) {
            return Err(Error::usage(
                "`ssl-upgrade=`: nobody is served in clear here, who could change to TLS",
            ));
        }
        let clients = self.clients(all, module)?;
        Ok(Tls {
            optional: false,
            upgrade: false,
            files: self.files(all)?,
            pass_phrase: self.pass_phrase(all),
            suites: self.suites(all, clients.as_ref())?,
            clients,
        })
    }

    /// What a TCP socket is to have, if anything. `module`: a module of it goes by the certificates of
    /// clients.
    ///
    /// # Errors
    /// What is said does not fit together.
    pub fn optional(&self, all: &Said, module: bool) -> Result<Option<Tls>> {
        let own = |verify| verify != Verify::None;
        let looks = self.authorities.is_some() || self.flags.is_some();
        if module || looks || self.verify.is_some_and(own) {
            return Err(Error::usage(
                "certificates of clients need TLS, which all clients have on --bind-ssl only",
            ));
        }
        let mode = self.mode.or(all.mode).unwrap_or(Mode::Off);
        let files = self.files(all)?;
        let has_certificate = mode != Mode::Off && (files.is_some() || is_set_up());
        match mode {
            Mode::Off if self.names_key() => Err(Error::usage(
                "a certificate or key without TLS: use --bind-ssl, or add ssl=on to serve clients in clear too",
            )),
            Mode::Off | Mode::Auto if !self.offer.is_empty() && !has_certificate => {
                Err(Error::usage(
                    "ssl-protocol=, ssl-ciphers= and ssl-options= without TLS: use --bind-ssl, or add ssl=on to serve clients in clear too",
                ))
            }
            Mode::Off | Mode::Auto if self.upgrade == Some(true) && !has_certificate => {
                Err(Error::usage("`ssl-upgrade=` without TLS: add ssl=on"))
            }
            Mode::Off => Ok(None),
            Mode::Auto if !has_certificate => Ok(None),
            // Who may do without TLS may do without a certificate.
            Mode::On | Mode::Auto if all.verify.is_some_and(own) => Err(Error::usage(
                "--ssl-client-verify-mode, and a socket that serves clients in clear too: say ssl-client-verify-mode= on each --bind-ssl instead",
            )),
            Mode::On | Mode::Auto => Ok(Some(Tls {
                optional: true,
                upgrade: self.upgrade.or(all.upgrade).unwrap_or(true),
                files,
                pass_phrase: self.pass_phrase(all),
                suites: self.suites(all, None)?,
                clients: None,
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::taken;

    fn said(options: &[(&str, &str)]) -> Result<Said> {
        taken(options, Said::take)
    }

    fn pair(certificate: &str, key: &str) -> Option<Pair> {
        Some(Pair {
            certificate: certificate.into(),
            key: key.into(),
        })
    }

    #[test]
    fn a_socket_says_more_than_the_options_for_all() {
        let all = said(&[
            ("ssl", "on"),
            ("ssl-cert", "all.pem"),
            ("ssl-key", "all.key"),
        ])
        .unwrap();
        for (own, optional) in [
            (&[][..], pair("all.pem", "all.key")),
            (&[("ssl", "tcp")], pair("all.pem", "all.key")),
            // The key of all sockets is not that of this certificate.
            (&[("ssl-cert", "own.pem")], pair("own.pem", "own.pem")),
            (
                &[("ssl-cert", "own.pem"), ("ssl-key", "k")],
                pair("own.pem", "k"),
            ),
            (&[("ssl-key", "k")], pair("all.pem", "k")),
        ] {
            let own = said(own).unwrap();
            let tls = own.optional(&all, false).unwrap().unwrap();
            assert_eq!((tls.optional, &tls.files), (true, &optional));
            let tls = own.required(&all, false).unwrap();
            assert_eq!((tls.optional, &tls.files), (false, &optional));
        }
        let off = said(&[("ssl", "off")]).unwrap();
        assert_eq!(off.optional(&all, false), Ok(None));
        assert!(off.required(&all, false).is_err());
    }

    #[test]
    fn a_pass_phrase_is_not_shown() {
        let text = |text: &str| PassPhrase::Text(Hidden::new(text.to_owned()));
        let all = said(&[("ssl-cert", "c"), ("ssl-key-password", "hunter2")]).unwrap();
        let own = said(&[("ssl-key-password-file", "pass.txt")]).unwrap();
        let tls = own.required(&all, false).unwrap();
        assert_eq!(tls.pass_phrase, Some(PassPhrase::File("pass.txt".into())));
        let tls = Said::default().required(&all, false).unwrap();
        assert_eq!(tls.pass_phrase, Some(text("hunter2")));
        assert!(!format!("{tls:?}{all:?}").contains("hunter2"));
    }

    #[test]
    fn tls_1_2_has_no_certificates_of_clients() {
        let old = said(&[("ssl-protocol", "TLS")]).unwrap();
        let none = Said::default();
        let shown = [
            ("ssl-client-verify-mode", "optional"),
            ("ssl-ca-certs", "ca"),
        ];
        let shown = said(&shown).unwrap();
        let both = Said {
            offer: old.offer.clone(),
            ..shown.clone()
        };
        for (own, all) in [(&both, &none), (&shown, &old), (&old, &shown)] {
            let error = own.required(all, false).unwrap_err().to_string();
            assert!(
                error.contains("certificates of clients need TLS 1.3"),
                "{error}"
            );
        }
        let error = both.required(&none, true);
        assert!(error.is_err(), "auth=certificate is the same");
        let tls = old.required(&none, false).unwrap();
        assert_eq!(
            (tls.suites.as_slice(), tls.clients),
            (&Suite::ALL[..], None)
        );
        // With clients in clear too it is the same socket.
        let on = said(&[("ssl", "on"), ("ssl-protocol", "TLSv1_2")]).unwrap();
        let tls = on.optional(&none, false).unwrap().unwrap();
        assert!(
            tls.suites
                .iter()
                .all(|suite| suite.version() == Version::Tls12)
        );
    }

    #[test]
    fn who_can_change_to_tls_is_asked_unless_it_is_said_otherwise() {
        let on = ("ssl", "on");
        let all = said(&[("ssl-upgrade", "no")]).unwrap();
        let none = Said::default();
        for (own, all, asked) in [
            (&[on][..], &none, true),
            (&[on, ("ssl-upgrade", "no")], &none, false),
            (&[on], &all, false),
            (&[on, ("ssl-upgrade", "yes")], &all, true),
        ] {
            let own = said(own).unwrap();
            let tls = own.optional(all, false).unwrap().unwrap();
            assert_eq!(tls.upgrade, asked);
        }
        let yes = said(&[("ssl-upgrade", "yes")]).unwrap();
        assert!(yes.optional(&none, false).is_err());
        let auto = said(&[("ssl", "auto"), ("ssl-upgrade", "yes")]).unwrap();
        assert!(auto.optional(&none, false).is_err());
        assert!(yes.required(&none, false).is_err());
        let no = said(&[("ssl-upgrade", "no")]).unwrap();
        assert_eq!(no.optional(&none, false), Ok(None));
        assert!(!no.required(&none, false).unwrap().upgrade);
    }

    #[test]
    fn what_is_for_clients_is_taken_and_known() {
        let all = [
            ("ssl-check-hostname", "no"),
            ("ssl-server-hostname", "host"),
            ("ssl-server-verify-mode", "none"),
        ];
        let said_all = said(&all).unwrap();
        assert_eq!(said_all.for_clients, FOR_CLIENTS);
        assert_eq!(said_all.optional(&Said::default(), false), Ok(None));
        for wrong in [
            ("ssl-check-hostname", "perhaps"),
            ("ssl-server-verify-mode", "sometimes"),
        ] {
            assert!(said(&[wrong]).is_err());
        }
    }

    #[test]
    fn what_would_encrypt_nothing_is_refused() {
        let none = Said::default();
        assert_eq!(none.optional(&none, false), Ok(None));
        assert_eq!(
            said(&[("ssl", "auto")]).unwrap().optional(&none, false),
            Ok(None)
        );
        let auto = said(&[("ssl", "auto"), ("ssl-cert", "c")]).unwrap();
        assert_eq!(
            auto.optional(&none, false).unwrap().unwrap().files,
            pair("c", "c")
        );
        // It is looked for.
        assert_eq!(none.required(&none, false).unwrap().files, None);
        for (options, part) in [
            (&[("ssl-cert", "c")][..], "use --bind-ssl"),
            (&[("ssl", "off"), ("ssl-cert", "c")], "use --bind-ssl"),
            (
                &[("ssl", "on"), ("ssl-key", "k")],
                "without its certificate",
            ),
            (&[("ssl-protocol", "TLS")], "without TLS: use --bind-ssl"),
            (
                &[("ssl", "auto"), ("ssl-options", "ALL")],
                "without TLS: use --bind-ssl",
            ),
            (
                &[("ssl-verify-flags", "X509_STRICT")],
                "certificates of clients need TLS",
            ),
            (
                &[("ssl", "off"), ("ssl-ciphers", "DEFAULT")],
                "without TLS: use --bind-ssl",
            ),
        ] {
            let error = said(options)
                .unwrap()
                .optional(&none, false)
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{options:?}: {error}");
        }
        for (options, part) in [
            (("ssl", "www"), "not built yet"),
            (("ssl", "2"), "neither on, auto, tcp nor off"),
            (("ssl-cert", ""), "is empty"),
            (("ssl-key-password-file", ""), "is empty"),
        ] {
            let error = said(&[options]).unwrap_err().to_string();
            assert!(error.contains(part), "{options:?}: {error}");
        }
    }
}
