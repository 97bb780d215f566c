//! Whose rights a path is used with.

use crate::identity::{Ids, as_user};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Most links in one path, as in the kernel (path_resolution(7)).
const MAX_LINKS: u32 = 40;
/// Members of the group root may write to what is root's: a stock server leaves `/run/xpra` so.
const ROOT: u32 = 0;

/// A directory that is root's, reached in a way that only root can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Its path without links.
    pub dir: PathBuf,
    /// Others may make things in it, but not replace root's (`/tmp`).
    pub sticky: bool,
}

/// Follows a path to a directory as the kernel would, and gives it if nobody but root can change
/// what the path leads to.
#[must_use]
pub fn guard(path: &Path) -> Option<Guard> {
    let names = |path: &Path| -> Vec<OsString> {
        path.components()
            .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
            .map(|part| part.as_os_str().to_owned())
            .collect()
    };
    let mut left: VecDeque<OsString> = names(path).into();
    let mut links = 0;
    let mut dir = PathBuf::from("/");
    let mut sticky = is_guarded(&dir)?;
    if !path.is_absolute() {
        return None;
    }
    while let Some(name) = left.pop_front() {
        if name == ".." {
            dir.pop();
            sticky = is_guarded(&dir)?;
            continue;
        }
        let next = dir.join(&name);
        let meta = fs::symlink_metadata(&next).ok()?;
        if sticky && meta.uid() != ROOT {
            return None;
        }
        if meta.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            let target = fs::read_link(&next).ok()?;
            for name in names(&target).into_iter().rev() {
                left.push_front(name);
            }
            if target.is_absolute() {
                dir = PathBuf::from("/");
                sticky = is_guarded(&dir)?;
            }
        } else {
            dir = next;
            sticky = is_guarded(&dir)?;
        }
    }
    Some(Guard { dir, sticky })
}

/// Whether a directory in which only root can replace root's things is sticky; `None` if it is
/// no such directory.
fn is_guarded(dir: &Path) -> Option<bool> {
    let meta = fs::symlink_metadata(dir).ok()?;
    let others = if meta.gid() == ROOT { 0o002 } else { 0o022 };
    let sticky = meta.mode() & 0o1000 != 0 && meta.mode() & others != 0;
    (meta.is_dir() && meta.uid() == ROOT && (meta.mode() & others == 0 || sticky)).then_some(sticky)
}

/// A path and whose rights it is used with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The path; where root's rights are used, without links in front of its last name.
    pub path: PathBuf,
    /// The user whose rights are used; `None`: our own.
    pub user: Option<Ids>,
}

impl Spot {
    /// Decides it. `user` is the session's in a start as root, and `None` in any other.
    #[must_use]
    pub fn new(path: &Path, user: Option<Ids>) -> Self {
        let guarded = || {
            let path = std::path::absolute(path).ok()?;
            let Guard { dir, sticky } = guard(path.parent()?)?;
            (!sticky).then_some(dir.join(path.file_name()?))
        };
        let own = match user {
            None => Some(path.to_path_buf()),
            Some(_) => guarded(),
        };
        match own {
            Some(path) => Self { path, user: None },
            None => Self {
                path: path.to_path_buf(),
                user,
            },
        }
    }

    /// Uses it.
    ///
    /// # Errors
    /// What `action` says.
    pub fn act<T>(&self, action: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        as_user(self.user, || action(&self.path))
    }

    /// What to add to an error: whose rights were not enough is not to be guessed.
    #[must_use]
    pub fn rights(&self) -> String {
        self.user.map_or_else(String::new, |user| {
            format!(
                " (with the rights of the user {}: others than root can change what this path leads to)",
                user.uid
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::chown;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// `nobody`.
    const SOMEBODY: Ids = Ids {
        uid: 65534,
        gid: 65534,
    };

    /// A directory of root's with one of somebody's in it, as `mine` and `theirs`.
    fn two() -> Option<tempfile::TempDir> {
        if !needs::root("give a directory to somebody else") {
            return None;
        }
        let tmp = tempfile::tempdir().unwrap();
        let chmod = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        chmod(tmp.path(), 0o755);
        for name in ["mine", "theirs", "theirs/mine"] {
            fs::create_dir(tmp.path().join(name)).unwrap();
            chmod(&tmp.path().join(name), 0o755);
        }
        let theirs = tmp.path().join("theirs");
        chown(
            &theirs,
            Some(SOMEBODY.uid.into()),
            Some(SOMEBODY.gid.into()),
        )
        .unwrap();
        Some(tmp)
    }

    #[test]
    fn roots_rights_are_used_where_only_root_can_change_the_path() {
        let Some(tmp) = two() else { return };
        let at = |name: &str| Spot::new(&tmp.path().join(name), Some(SOMEBODY)).user;
        assert_eq!(at("mine/x"), None);
        assert_eq!(at("x"), None);
        assert_eq!(at("theirs/x"), Some(SOMEBODY));
        assert_eq!(at("theirs/mine/x"), Some(SOMEBODY));
        assert_eq!(at("missing/x"), Some(SOMEBODY));
        assert_eq!(
            Spot::new(Path::new("/tmp/x"), Some(SOMEBODY)).user,
            Some(SOMEBODY)
        );
        for mode in [0o775, 0o757] {
            fs::set_permissions(tmp.path().join("mine"), fs::Permissions::from_mode(mode)).unwrap();
            // The group is root's own.
            let wanted = (mode == 0o757).then_some(SOMEBODY);
            assert_eq!(at("mine/x"), wanted, "{mode:o}");
        }
    }

    #[test]
    fn links_are_followed_by_the_walk_and_not_by_the_use() {
        let Some(tmp) = two() else { return };
        let (mine, theirs) = (tmp.path().join("mine"), tmp.path().join("theirs"));
        symlink(&mine, theirs.join("to-mine")).unwrap();
        symlink(&theirs, mine.join("to-theirs")).unwrap();
        symlink("../mine", mine.join("round")).unwrap();
        symlink("loop", mine.join("loop")).unwrap();
        let at = |path: PathBuf| Spot::new(&path, Some(SOMEBODY));
        assert_eq!(at(theirs.join("to-mine/x")).user, Some(SOMEBODY));
        assert_eq!(at(mine.join("to-theirs/x")).user, Some(SOMEBODY));
        assert_eq!(at(mine.join("loop/x")).user, Some(SOMEBODY));
        let round = at(mine.join("round/x"));
        assert_eq!((round.path, round.user), (mine.join("x"), None));
    }
}
