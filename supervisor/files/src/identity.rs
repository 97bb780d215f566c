//! The file-system identity of a session's user.

use ipc::spec::SessionUser;
use nix::unistd::{Gid, Uid, getegid, geteuid, getgroups, setegid, seteuid, setgroups};
use std::io;

/// User id and group id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl From<&SessionUser> for Ids {
    fn from(user: &SessionUser) -> Self {
        Self {
            uid: user.uid,
            gid: user.gid,
        }
    }
}

/// Runs `action` with the rights of a user, or with our own for `None`. For processes of one
/// thread: an identity is the whole process's.
///
/// # Errors
/// What `action` says; the identity could not be taken.
pub fn as_user<T>(user: Option<Ids>, action: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(Ids { uid, gid }) = user else {
        return action();
    };
    let (old_uid, old_gid, old_groups) = (geteuid(), getegid(), getgroups()?);
    // What root's groups may read is not the user's.
    setgroups(&[Gid::from_raw(gid)])?;
    setegid(Gid::from_raw(gid))?;
    let result = seteuid(Uid::from_raw(uid))
        .map_err(io::Error::from)
        .and_then(|()| action());
    seteuid(old_uid)?;
    setegid(old_gid)?;
    setgroups(&old_groups)?;
    result
}
