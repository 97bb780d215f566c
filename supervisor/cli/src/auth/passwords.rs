//! The modules with a password, or one for each user, that stands in a file, in the environment or on
//! the command line.

use super::{Options, What};
use crate::error::{Error, Result};
use crate::hidden::Hidden;

/// Environment variable that `env` reads when it is not told another.
pub const DEFAULT_VARIABLE: &str = "XPRA_PASSWORD";

/// The options of `file` and `multifile`.
pub(super) const FILE: &[&str] = &["filename"];

/// The options of `env`.
pub(super) const ENV: &[&str] = &["name"];

/// The options of `password`.
pub(super) const PASSWORD: &[&str] = &["value"];

pub(super) fn file(options: &mut Options<'_>) -> Result<What> {
    Ok(What::File {
        filename: options.require("filename", "password.txt")?.into(),
    })
}

pub(super) fn multifile(options: &mut Options<'_>) -> Result<What> {
    Ok(What::MultiFile {
        filename: options.require("filename", "users.txt")?.into(),
    })
}

pub(super) fn env(options: &mut Options<'_>) -> Result<What> {
    let name = options.take("name");
    let name = name.unwrap_or_else(|| DEFAULT_VARIABLE.to_owned());
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(Error::usage(format!(
            "auth=env: `{name}` is no variable's name"
        )));
    }
    Ok(What::Env { name })
}

pub(super) fn password(options: &mut Options<'_>) -> Result<What> {
    Ok(What::Password {
        value: Hidden::new(options.require("value", "SECRET")?),
    })
}
