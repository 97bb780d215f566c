//! Files that decide who is let in: what they have to be, at the start and whenever another is put in
//! the place of one.

use crate::identity::{Ids, as_user};
use crate::spot::Spot;
use ipc::spec::{FileIdentity, FileKind};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Longest secret in bytes.
pub const MAX_SECRET: u64 = 64 * 1024;
/// Longest file of authorities and revocation lists in bytes (the system's are about 220 KiB).
pub const MAX_AUTHORITIES: u64 = 1 << 20;

/// What messages call it.
#[must_use]
pub fn noun(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Password | FileKind::Users => "password file",
        FileKind::Key => "key file",
        FileKind::Rules => "file",
        FileKind::Authorities => "certificate",
    }
}

/// What messages call one, and where it is.
#[must_use]
pub fn name(path: &Path, kind: FileKind) -> String {
    format!("{} {}", noun(kind), path.display())
}

/// Describes what the kernel said without the number.
#[must_use]
pub fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_lowercase(),
        None => error.to_string(),
    }
}

/// Which file it is.
#[must_use]
pub fn identity(meta: &Metadata) -> FileIdentity {
    FileIdentity {
        device: meta.dev(),
        inode: meta.ino(),
    }
}

/// Checks the length of a secret.
///
/// # Errors
/// It is empty, or too long.
pub fn check_len(len: u64) -> Result<(), String> {
    match len {
        0 => Err("is empty".into()),
        len if len > MAX_SECRET => Err(format!("is longer than {MAX_SECRET} bytes")),
        _ => Ok(()),
    }
}

/// Checks that only root and the session's user, as sshd has it, can change a file: whoever can decides who is
/// let in. `user` is the session's in a start as root.
///
/// # Errors
/// Whose it is, and what to do.
pub fn check_owner(path: &Path, meta: &Metadata, user: Option<Ids>) -> Result<(), String> {
    let own = user.map_or_else(|| geteuid().as_raw(), |user| user.uid);
    match [0, own].contains(&meta.uid()) {
        true => Ok(()),
        false => Err(format!(
            "belongs to the user {}, who could change it: chown {own} {}",
            meta.uid(),
            path.display()
        )),
    }
}

/// Checks the length and the mode of an ordinary file.
///
/// # Errors
/// What is wrong, and what to do.
pub fn check_file(path: &Path, meta: &Metadata, kind: FileKind) -> Result<(), String> {
    let mode = meta.mode() & 0o777;
    let others = |may: &str, mend: &str| {
        let shown = path.display();
        Err(format!(
            "others may {may} it (mode {mode:o}): chmod {mend} {shown}"
        ))
    };
    match kind {
        FileKind::Authorities if meta.len() > MAX_AUTHORITIES => {
            return Err(format!("is longer than {MAX_AUTHORITIES} bytes"));
        }
        FileKind::Authorities => {}
        FileKind::Rules => check_len(meta.len().max(1))?,
        FileKind::Password | FileKind::Users | FileKind::Key => check_len(meta.len())?,
    }
    match (mode & 0o022, mode & 0o044, kind) {
        (0, 0, _) => Ok(()),
        (0, _, FileKind::Key) => others("read", "600"),
        (0, ..) => Ok(()),
        (_, _, FileKind::Authorities) => others("write", "go-w"),
        _ => others("write", "600"),
    }
}

/// Opens what has the name of such a file now, for reading. `user` is the session's in a start as root.
///
/// # Errors
/// One line: what, where and what to do.
pub fn open_named(
    path: &Path,
    kind: FileKind,
    user: Option<Ids>,
) -> Result<(File, FileIdentity), String> {
    let spot = Spot::of_existing(path, user);
    let fail = |why: String| format!("{}: {why}{}", name(path, kind), spot.rights());
    // What it is, is seen before it is opened: to open a device may do something.
    let found = spot.act(|path| {
        let found = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
        Ok(File::from(found))
    });
    let found = found.map_err(|error| fail(reason(&error)))?;
    let meta = found.metadata().map_err(|error| fail(reason(&error)))?;
    if !meta.is_file() {
        return Err(fail("is no ordinary file".into()));
    }
    check_owner(path, &meta, user).map_err(fail)?;
    check_file(path, &meta, kind).map_err(fail)?;
    let name = format!("/proc/self/fd/{}", found.as_raw_fd());
    let file = as_user(spot.user, || File::open(&name)).map_err(|error| fail(reason(&error)))?;
    Ok((file, identity(&meta)))
}

/// Which file has this name now.
///
/// # Errors
/// What the kernel says.
pub fn identity_of(path: &Path, user: Option<Ids>) -> io::Result<FileIdentity> {
    Spot::of_existing(path, user).act(|path| std::fs::metadata(path).map(|meta| identity(&meta)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const KINDS: [FileKind; 5] = [
        FileKind::Password,
        FileKind::Users,
        FileKind::Key,
        FileKind::Rules,
        FileKind::Authorities,
    ];

    fn set(path: &Path, content: &[u8], mode: u32) {
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn who_may_change_or_read_it_is_looked_at() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("a");
        for kind in KINDS {
            for (mode, good) in [
                (0o600, true),
                (0o400, true),
                (0o644, kind != FileKind::Key),
                (0o620, false),
                (0o602, false),
            ] {
                set(&path, b"x", mode);
                let opened = open_named(&path, kind, None);
                assert_eq!(opened.is_ok(), good, "{kind:?} {mode:o}: {opened:?}");
            }
        }
    }

    #[test]
    fn only_rules_and_authorities_may_be_empty_and_none_is_too_long() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("a");
        for kind in KINDS {
            let may = matches!(kind, FileKind::Rules | FileKind::Authorities);
            set(&path, b"", 0o600);
            assert_eq!(open_named(&path, kind, None).is_ok(), may, "{kind:?}");
            let most = match kind {
                FileKind::Authorities => MAX_AUTHORITIES,
                _ => MAX_SECRET,
            };
            for (len, good) in [(most, true), (most + 1, false)] {
                set(&path, b"", 0o600);
                File::options()
                    .write(true)
                    .open(&path)
                    .and_then(|file| file.set_len(len))
                    .unwrap();
                assert_eq!(
                    open_named(&path, kind, None).is_ok(),
                    good,
                    "{kind:?} {len}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("a");
        let why = open_named(&path, FileKind::Users, None).unwrap_err();
        assert_eq!(
            why,
            format!(
                "password file {}: no such file or directory",
                path.display()
            )
        );
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open_named(&path, FileKind::Users, None).is_err());
        assert!(open_named(tmp.path(), FileKind::Users, None).is_err());
    }

    #[test]
    fn another_file_of_the_same_name_is_another() {
        let tmp = tempfile::tempdir().unwrap();
        let (path, other) = (tmp.path().join("a"), tmp.path().join("b"));
        set(&path, b"x", 0o600);
        let (_open, first) = open_named(&path, FileKind::Users, None).unwrap();
        set(&path, b"in place", 0o600);
        assert_eq!(identity_of(&path, None).unwrap(), first);
        set(&other, b"y", 0o600);
        std::fs::rename(&other, &path).unwrap();
        assert_ne!(identity_of(&path, None).unwrap(), first);
        std::fs::remove_file(&path).unwrap();
        assert!(identity_of(&path, None).is_err());
    }

    #[test]
    fn another_user_s_file_decides_nothing() {
        if !needs::root("give a file to somebody else") {
            return;
        }
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("a");
        set(&path, b"x", 0o600);
        nix::unistd::chown(&path, Some(65533.into()), None).unwrap();
        let user = Ids {
            uid: 65534,
            gid: 65534,
        };
        for user in [None, Some(user)] {
            assert!(open_named(&path, FileKind::Users, user).is_err());
        }
    }
}
