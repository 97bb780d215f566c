//! `auth=otp`: where the key of one-time codes is, and how far clocks may differ.

use super::{Options, What};
use crate::error::{Error, Result};
use crate::hidden::Hidden;
use std::path::PathBuf;

/// Where the key of one-time codes is.
#[derive(Clone, PartialEq, Eq)]
pub enum OtpKey {
    /// In a file.
    File(PathBuf),
    /// On the command line.
    Value(Hidden<String>),
}

/// Its options.
pub(super) const OPTIONS: &[&str] = &["filename", "secret", "valid-window"];

/// Most codes before and after the present one: five minutes.
const MAX_WINDOW: u8 = 10;

pub(super) fn read(options: &mut Options<'_>) -> Result<What> {
    let window = options.take("valid-window").unwrap_or_else(|| "0".into());
    let bad = || {
        Error::usage(format!(
            "auth=otp: `valid-window={window}` is not a number of codes from 0 to {MAX_WINDOW}"
        ))
    };
    let number = window.parse().ok().filter(|number| *number <= MAX_WINDOW);
    let number = number.ok_or_else(bad)?;
    let key = match (options.take("filename"), options.take("secret")) {
        (Some(_), Some(_)) => {
            return Err(Error::usage("auth=otp: either `filename=` or `secret=`"));
        }
        (_, Some(value)) => OtpKey::Value(Hidden::new(value)),
        _ => OtpKey::File(options.require("filename", "otp.txt")?.into()),
    };
    Ok(What::Otp {
        key,
        window: number,
    })
}
