//! `auth=capability`: what a client has to say of itself.

use super::{Options, What};
use crate::error::Result;
use crate::hidden::Hidden;

/// Its options.
pub(super) const OPTIONS: &[&str] = &["property", "value"];

/// Longest key of a client's hello, in bytes.
const MAX_PROPERTY: usize = 64;
/// Longest value there, in bytes.
const MAX_CAPABILITY: usize = 256;

pub(super) fn read(options: &mut Options<'_>) -> Result<What> {
    let property = options
        .take("property")
        .unwrap_or_else(|| "display".to_owned());
    if property.is_empty() || property.len() > MAX_PROPERTY || property.contains(char::is_control) {
        return Err(options.wrong(
            "property",
            "…",
            &format!("printable texts of 1 to {MAX_PROPERTY} bytes"),
        ));
    }
    let value = Hidden::new(options.require("value", "TEXT")?);
    if value.len() > MAX_CAPABILITY {
        return Err(options.wrong(
            "value",
            "…",
            &format!("texts of 1 to {MAX_CAPABILITY} bytes"),
        ));
    }
    Ok(What::Capability { property, value })
}
