//! The modules that look at where a client comes from: `peercred` and `hosts`.

use super::{Options, What};
use crate::error::Result;
use std::path::PathBuf;

/// The options of `peercred`.
pub(super) const PEERCRED: &[&str] = &["uid", "gid", "allow-owner"];

/// The options of `hosts`.
pub(super) const HOSTS: &[&str] = &["hosts-allow", "hosts-deny"];

pub(super) fn peercred(options: &mut Options<'_>) -> Result<What> {
    Ok(What::PeerCred {
        uids: options.list("uid"),
        gids: options.list("gid"),
        allow_owner: options.flag("allow-owner", true)?,
    })
}

pub(super) fn hosts(options: &mut Options<'_>) -> Result<What> {
    Ok(What::Hosts {
        allow: options.take("hosts-allow").map(PathBuf::from),
        deny: options.take("hosts-deny").map(PathBuf::from),
    })
}
