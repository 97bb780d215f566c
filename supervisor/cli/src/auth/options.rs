//! The options of modules: where they may stand, and what is said of one that is missing or wrong.

use super::Asks;
use super::kinds::{KINDS, Kind};
use crate::error::{Error, Result};
use crate::options::boolean;
use crate::syntax::{MASK, Pair};
use std::collections::BTreeSet;

/// Options that are secrets themselves.
const SECRETS: [&str; 3] = ["value", "secret", "client_secret_key"];

/// Options that every module takes.
pub(super) const COMMON: [&str; 3] = ["prompt", "client-username", "verify-username"];

/// An option that every module of Xpra's takes and none of ours does yet.
pub(super) const COMMON_NOT_BUILT: [&str; 1] = ["socket-dirs"];

/// Longest `prompt=`, in bytes.
const MAX_PROMPT: usize = 256;

/// Is this the name of a module's option? In a bind string these may stand beside the module.
#[must_use]
pub fn is_option(name: &str) -> bool {
    let own = KINDS.iter().flat_map(|kind| kind.options);
    own.chain(&COMMON)
        .chain(&COMMON_NOT_BUILT)
        .any(|known| *known == name)
}

/// The time limit of a check in seconds, when none is given.
const TIMEOUT: u16 = 10;
/// The longest; a login may take 60 seconds in all.
const MAX_TIMEOUT: u16 = 50;

/// The options of one module while it is being read.
pub struct Options<'a> {
    kind: &'static Kind,
    own: &'a [Pair],
    shared: &'a [Pair],
    used: &'a mut BTreeSet<String>,
}

impl<'a> Options<'a> {
    /// Those of a module of this kind. `used`: which of those beside it a module has taken.
    pub(super) fn new(
        kind: &'static Kind,
        own: &'a [Pair],
        shared: &'a [Pair],
        used: &'a mut BTreeSet<String>,
    ) -> Self {
        Self {
            kind,
            own,
            shared,
            used,
        }
    }

    /// What the module is, by what was read so far.
    pub(super) fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// What was read so far makes another kind of it.
    pub(super) fn turn_into(&mut self, kind: &'static Kind) {
        self.kind = kind;
    }

    /// The last of these that was written. Only names that [`KINDS`] or [`COMMON`] have are found.
    pub fn take(&mut self, key: &str) -> Option<String> {
        if !self.knows(key) {
            return None;
        }
        if self.shared.iter().any(|(name, _)| name == key) {
            self.used.insert(key.to_owned());
        }
        let last = |pairs: &[Pair]| {
            pairs
                .iter()
                .rev()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value.clone())
        };
        last(self.own).or_else(|| last(self.shared))
    }

    /// What was pasted from a line of ours, which does not show secrets, would be a secret that everybody
    /// knows.
    ///
    /// # Errors
    /// One of them is that.
    pub(super) fn are_shown(&self) -> Result<()> {
        let mut all = self.own.iter().chain(self.shared);
        let is_mask = |(key, value): &&Pair| {
            SECRETS.contains(&key.as_str()) && self.knows(key) && value == MASK
        };
        match all.find(is_mask) {
            Some((key, _)) => Err(Error::usage(format!(
                "auth={}: {key}={MASK}: this stands for a value that was not shown: write that",
                self.kind.name
            ))),
            None => Ok(()),
        }
    }

    /// All of them, but for secrets.
    pub(super) fn written(&self) -> Vec<Pair> {
        let is_own = |key: &String| self.own.iter().any(|(own, _)| own == key);
        let beside = self.shared.iter().filter(|(key, _)| !is_own(key));
        let secret = |key: &str| SECRETS.contains(&key) && !self.kind.is_open;
        let shown = |(key, _): &&Pair| self.knows(key) && !secret(key);
        self.own
            .iter()
            .chain(beside)
            .filter(shown)
            .cloned()
            .collect()
    }

    fn knows(&self, key: &str) -> bool {
        let mut known = self.kind.options.iter().chain(&COMMON);
        // Nobody sees the prompt of a module that asks nothing; and it would refuse a wrong name
        // before anything is asked, which tells the right one.
        let vain = ["prompt", "verify-username"].contains(&key) && self.kind.asks == Asks::Nothing;
        known.any(|known| *known == key) && !vain
    }

    /// One that has to be there, and not be empty.
    ///
    /// # Errors
    /// It is not.
    pub fn require(&mut self, key: &str, example: &str) -> Result<String> {
        match self.take(key) {
            Some(value) if !value.is_empty() => Ok(value),
            Some(_) => Err(Error::usage(format!(
                "auth={}: `{key}=` is empty",
                self.kind.name
            ))),
            None => Err(Error::usage(format!(
                "auth={0} needs {key}=, e.g. auth={0}({key}={example})",
                self.kind.name
            ))),
        }
    }

    /// A yes or no.
    ///
    /// # Errors
    /// It is neither.
    pub fn flag(&mut self, key: &str, default: bool) -> Result<bool> {
        match self.take(key) {
            None => Ok(default),
            Some(text) => {
                let place = format!("auth={}: {key}", self.kind.name);
                boolean(&text).map_err(|error| error.at(place))
            }
        }
    }

    /// The time limit of a check in seconds.
    ///
    /// # Errors
    /// None that a login leaves time for.
    pub fn timeout(&mut self) -> Result<u16> {
        self.timeout_or(TIMEOUT)
    }

    /// The same, with another default.
    ///
    /// # Errors
    /// See [`Self::timeout`].
    pub fn timeout_or(&mut self, default: u16) -> Result<u16> {
        let Some(text) = self.take("timeout") else {
            return Ok(default);
        };
        match text.parse() {
            Ok(seconds) if (1..=MAX_TIMEOUT).contains(&seconds) => Ok(seconds),
            _ => {
                let allowed = format!("1 to {MAX_TIMEOUT} seconds: a login may take 60 in all");
                Err(self.wrong("timeout", &text, &allowed))
            }
        }
    }

    /// Whose they are, for errors.
    pub fn place(&self) -> String {
        format!("auth={}", self.kind.name)
    }

    /// An error: this is no value of that option.
    pub fn wrong(&self, key: &str, value: &str, allowed: &str) -> Error {
        Error::usage(format!(
            "auth={}: {key}={value}: there are {allowed}",
            self.kind.name
        ))
    }

    /// An error: this option needs another one.
    pub fn vain(&self, key: &str, needed: &str) -> Error {
        Error::usage(format!("auth={}: `{key}` needs {needed}", self.kind.name))
    }

    /// A list with colons.
    pub(super) fn list(&mut self, key: &str) -> Vec<String> {
        let text = self.take(key).unwrap_or_default();
        let parts = text.split(':').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    }

    pub(super) fn prompt(&mut self) -> Result<Option<String>> {
        let Some(text) = self.take("prompt") else {
            return Ok(None);
        };
        if text.is_empty() || text.len() > MAX_PROMPT || text.contains(char::is_control) {
            return Err(Error::usage(format!(
                "auth={}: `prompt=` is empty, longer than {MAX_PROMPT} bytes or not printable",
                self.kind.name
            )));
        }
        Ok(Some(text))
    }

    pub(super) fn finish(self) -> Result<()> {
        match self.own.iter().find(|(key, _)| !self.knows(key)) {
            None => Ok(()),
            Some((key, _)) if COMMON_NOT_BUILT.contains(&key.as_str()) => {
                Err(Error::usage(format!(
                    "auth={}: the option `{key}` is not built yet",
                    self.kind.name
                )))
            }
            Some((key, _)) => Err(Error::usage(format!(
                "auth={} has no option `{key}`",
                self.kind.name
            ))),
        }
    }
}
