//! What processes are started from: their executables and an empty root directory.

use crate::error::{Error, Result, reason};
use nix::unistd::geteuid;
use policy::Role;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The executable of a role, found beside this one.
///
/// # Errors
/// It is not installed.
pub fn executable(role: Role) -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(|error| {
        Error::new(format!(
            "cannot find this program itself: {}",
            reason(&error)
        ))
    })?;
    let dir = own.parent().unwrap_or(Path::new("/"));
    let places = [dir.to_path_buf(), dir.join("../libexec/bulkhead")];
    places
        .iter()
        .map(|dir| dir.join(role.executable()))
        .find(|path| nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok())
        .ok_or_else(|| {
            Error::new(format!(
                "{} is missing: it belongs into {} or {}; install Bulkhead completely",
                role.executable(),
                places[0].display(),
                places[1].display()
            ))
        })
}

/// Opens a file for reading, or as a mere name (`O_PATH`).
///
/// # Errors
/// What the kernel says.
pub fn open_path(path: &Path, flags: i32) -> Result<OwnedFd> {
    File::options()
        .read(true)
        .custom_flags(flags | libc::O_CLOEXEC)
        .open(path)
        .map(OwnedFd::from)
        .map_err(|error| Error::new(format!("{}: {}", path.display(), reason(&error))))
}

/// An empty directory that nobody can ever put anything into: it is removed, and stays open.
/// It is made in a directory in which only its owner, or root, can replace things.
///
/// # Errors
/// What the kernel says.
pub fn empty_root(parent: &Path) -> Result<OwnedFd> {
    let fail = |error: std::io::Error| {
        Error::new(format!(
            "directory {}: {}",
            parent.display(),
            reason(&error)
        ))
    };
    let make = || -> std::io::Result<OwnedFd> {
        let path = nix::unistd::mkdtemp(&parent.join("empty-XXXXXX"))?;
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let opened = File::options().read(true).custom_flags(flags).open(&path);
        std::fs::remove_dir(&path)?;
        let dir = opened?;
        // By descriptor: a path may mean something else by now.
        if dir.metadata()?.uid() != geteuid().as_raw() {
            return Err(ErrorKind::PermissionDenied.into());
        }
        dir.set_permissions(PermissionsExt::from_mode(0o555))?;
        Ok(OwnedFd::from(dir))
    };
    make().map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_root_stays_empty() {
        let dir = tempfile::tempdir().unwrap();
        let root = empty_root(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&root));
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
        assert!(File::create(format!("{path}/x")).is_err());
        assert!(std::fs::create_dir(format!("{path}/x")).is_err());
    }
}
