//! `--bind-ssl`, `ssl=`, `ssl-cert=` and its like: which sockets have TLS, with what, and what they want
//! to see of their clients.

use crate::certificate;
use crate::config;
use crate::error::{Error, Result};
use crate::options::boolean;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

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
    /// `ssl-cert=`.
    pub certificate: Option<PathBuf>,
    /// `ssl-key=`.
    pub key: Option<PathBuf>,
    /// `ssl-key-password=` and `ssl-key-password-file=`.
    pub pass_phrase: Option<PassPhrase>,
    /// `ssl-client-verify-mode=`.
    pub verify: Option<Verify>,
    /// `ssl-ca-certs=`.
    pub authorities: Option<PathBuf>,
}

/// What opens a key that is encrypted.
#[derive(Clone, PartialEq, Eq)]
pub enum PassPhrase {
    /// On the command line.
    Text(Zeroizing<String>),
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
    /// The certificate and the key; `None`: where `bulkhead setup-ssl` puts them.
    pub files: Option<Pair>,
    /// What opens the key; `None`: what [`VARIABLE`] says, if anything.
    pub pass_phrase: Option<PassPhrase>,
    /// What clients have to show, if anything.
    pub clients: Option<Clients>,
}

/// What the clients of a socket show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// Who has no certificate goes on without.
    pub optional: bool,
    /// The file of those who may have signed it, and of revocation lists.
    pub authorities: PathBuf,
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
        let file = || match value {
            "" => Err(Error::usage(format!("`{key}=` is empty"))),
            path => Ok(PathBuf::from(path)),
        };
        match key {
            "ssl-cert" => self.certificate = Some(file()?),
            "ssl-key" => self.key = Some(file()?),
            "ssl-key-password" => {
                self.pass_phrase = Some(PassPhrase::Text(Zeroizing::new(value.to_owned())));
            }
            "ssl-key-password-file" => self.pass_phrase = Some(PassPhrase::File(file()?)),
            "ssl-client-verify-mode" => {
                self.verify = Some(Verify::parse(value).map_err(|error| error.at(key))?);
            }
            "ssl-ca-certs" => self.authorities = Some(file()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Was nothing said?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
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
            (None | Some(Verify::None), false) if self.authorities.is_some() => {
                return Err(Error::usage(
                    "`ssl-ca-certs=` alone checks nothing: add ssl-client-verify-mode=required, or auth=certificate(users=FILE)",
                ));
            }
            (None | Some(Verify::None), false) => return Ok(None),
        };
        match self.authorities.as_ref().or(all.authorities.as_ref()) {
            // Whoever the whole world trusts to name servers would say who our clients are.
            Some(file)
                if ["default", "auto", certificate::SYSTEM]
                    .map(Path::new)
                    .contains(&file.as_path()) =>
            {
                Err(Error::usage(format!(
                    "ssl-ca-certs={}: who may sign the certificates of clients has to be said: a file",
                    file.display()
                )))
            }
            Some(file) => Ok(Some(Clients {
                optional,
                authorities: file.clone(),
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
        Ok(Tls {
            optional: false,
            files: self.files(all)?,
            pass_phrase: self.pass_phrase(all),
            clients: self.clients(all, module)?,
        })
    }

    /// What a TCP socket is to have, if anything. `module`: a module of it goes by the certificates of
    /// clients.
    ///
    /// # Errors
    /// What is said does not fit together.
    pub fn optional(&self, all: &Said, module: bool) -> Result<Option<Tls>> {
        let own = |verify| verify != Verify::None;
        if module || self.authorities.is_some() || self.verify.is_some_and(own) {
            return Err(Error::usage(
                "certificates of clients need TLS, which all clients have on --bind-ssl only",
            ));
        }
        let mode = self.mode.or(all.mode).unwrap_or(Mode::Off);
        let files = self.files(all)?;
        match mode {
            Mode::Off if self.names_key() => Err(Error::usage(
                "a certificate or key without TLS: use --bind-ssl, or add ssl=on to serve clients in clear too",
            )),
            Mode::Off => Ok(None),
            Mode::Auto if files.is_none() && !is_set_up() => Ok(None),
            // Who may do without TLS may do without a certificate.
            Mode::On | Mode::Auto if all.verify.is_some_and(own) => Err(Error::usage(
                "--ssl-client-verify-mode, and a socket that serves clients in clear too: say ssl-client-verify-mode= on each --bind-ssl instead",
            )),
            Mode::On | Mode::Auto => Ok(Some(Tls {
                optional: true,
                files,
                pass_phrase: self.pass_phrase(all),
                clients: None,
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(options: &[(&str, &str)]) -> Result<Said> {
        let mut said = Said::default();
        for (key, value) in options {
            assert!(said.take(key, value)?, "{key}");
        }
        Ok(said)
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
        let text = |text: &str| PassPhrase::Text(Zeroizing::new(text.to_owned()));
        let all = said(&[("ssl-cert", "c"), ("ssl-key-password", "hunter2")]).unwrap();
        let own = said(&[("ssl-key-password-file", "pass.txt")]).unwrap();
        let tls = own.required(&all, false).unwrap();
        assert_eq!(tls.pass_phrase, Some(PassPhrase::File("pass.txt".into())));
        let tls = Said::default().required(&all, false).unwrap();
        assert_eq!(tls.pass_phrase, Some(text("hunter2")));
        assert!(!format!("{tls:?}{all:?}").contains("hunter2"));
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
