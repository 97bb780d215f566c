//! `auth=certificate`: whose certificate lets in.

use super::{Options, What};
use crate::error::{Error, Result};
use std::path::PathBuf;

/// Whose certificate is whose.
#[derive(Clone, PartialEq, Eq)]
pub enum Whose {
    /// A file says so.
    File(PathBuf),
    /// This one (`KIND:VALUE`, as in such a file) is the session's owner's.
    Owner(String),
}

/// Its options, each a way to say that.
pub(super) const OPTIONS: &[&str] = &["users", "subject", "san", "fingerprint"];

pub(super) fn read(options: &mut Options<'_>) -> Result<What> {
    let given: Vec<_> = OPTIONS
        .iter()
        .copied()
        .filter_map(|key| Some((key, options.take(key)?)))
        .collect();
    let [(key, value)] = &given[..] else {
        return Err(Error::usage(
            "auth=certificate needs to be told whose certificate lets in, in one way: users=FILE, subject=, san= or fingerprint=",
        ));
    };
    if *key == "users" {
        return Ok(What::Certificate(Whose::File(
            options.require("users", "certificates.txt")?.into(),
        )));
    }
    let inner = value.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
    let rule = format!("{key}:{}", inner.unwrap_or(value));
    match certificates::Users::read(format!("owner|{rule}\n").as_bytes()) {
        Ok(_) => Ok(What::Certificate(Whose::Owner(rule))),
        Err(error) => {
            let error = error.to_string();
            let error = error.trim_start_matches("line 1: ");
            Err(Error::usage(format!("auth=certificate: {key}=: {error}")))
        }
    }
}
