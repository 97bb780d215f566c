//! Whose rights a path is used with.

use crate::identity::{Ids, as_user};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};
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
    let (dir, meta) = follow(path, &[ROOT]).ok()?;
    let sticky = is_guarded(&dir, &meta, &[ROOT]).ok()?;
    Some(Guard { dir, sticky })
}

/// Checks that a path leads to a program, and that nobody but root and `user` can change it or put
/// another in its place. To be asked with the rights of whom it will be started by.
///
/// # Errors
/// What others could change, and what to do; or what the kernel says.
pub fn check_program(path: &Path, user: u32) -> io::Result<()> {
    if !check_own(path, user)?.is_file() {
        return Err(io::Error::other("it is no ordinary file"));
    }
    // Not access(2), which asks about the real user.
    faccessat(AT_FDCWD, path, AccessFlags::X_OK, AtFlags::AT_EACCESS).map_err(io::Error::from)
}

/// Checks that nobody but root and `user` can change what a path leads to, or put something else in
/// its place; of a directory, that nobody else can make anything in it.
///
/// # Errors
/// What others could change, and what to do; or what the kernel says.
pub fn check_own(path: &Path, user: u32) -> io::Result<fs::Metadata> {
    let owners = [ROOT, user];
    let (found, meta) = follow(path, &owners)?;
    check_owner(&found, &meta, &owners)?;
    match meta.mode() & others(&meta) != 0 {
        true => Err(writable(&found, &meta)),
        false => Ok(meta),
    }
}

/// What a path leads to, without links in its name, if nobody but root and `user` can make it lead
/// somewhere else. What is there is not looked at.
///
/// # Errors
/// What others could change, and what to do; or what the kernel says.
pub fn own_path(path: &Path, user: u32) -> io::Result<PathBuf> {
    follow(path, &[ROOT, user]).map(|(found, _)| found)
}

/// What a path leads to, without links in its name, if every directory on the way is one in which
/// only `owners` can replace what is theirs.
fn follow(path: &Path, owners: &[u32]) -> io::Result<(PathBuf, fs::Metadata)> {
    let names = |path: &Path| -> Vec<OsString> {
        path.components()
            .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
            .map(|part| part.as_os_str().to_owned())
            .collect()
    };
    let look = |at: PathBuf| fs::symlink_metadata(&at).map(|meta| (at, meta));
    if !path.is_absolute() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut left: VecDeque<OsString> = names(path).into();
    let mut links = 0;
    let (mut at, mut meta) = look(PathBuf::from("/"))?;
    while let Some(name) = left.pop_front() {
        let sticky = is_guarded(&at, &meta, owners)?;
        if name == ".." {
            at.pop();
            (at, meta) = look(at)?;
            continue;
        }
        let (next, found) = look(at.join(&name))?;
        if sticky {
            check_owner(&next, &found, owners)?;
        }
        if !found.is_symlink() {
            (at, meta) = (next, found);
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::ELOOP.into());
        }
        let target = fs::read_link(&next)?;
        for name in names(&target).into_iter().rev() {
            left.push_front(name);
        }
        if target.is_absolute() {
            (at, meta) = look(PathBuf::from("/"))?;
        }
    }
    Ok((at, meta))
}

/// Whether a directory in which only `owners` can replace what is theirs is sticky.
fn is_guarded(dir: &Path, meta: &fs::Metadata, owners: &[u32]) -> io::Result<bool> {
    if !meta.is_dir() {
        return Err(Errno::ENOTDIR.into());
    }
    check_owner(dir, meta, owners)?;
    let open = meta.mode() & others(meta) != 0;
    let sticky = meta.mode() & 0o1000 != 0;
    match open && !sticky {
        true => Err(writable(dir, meta)),
        false => Ok(open),
    }
}

/// The bits that let others write.
fn others(meta: &fs::Metadata) -> u32 {
    if meta.gid() == ROOT { 0o002 } else { 0o022 }
}

fn check_owner(path: &Path, meta: &fs::Metadata, owners: &[u32]) -> io::Result<()> {
    match owners.contains(&meta.uid()) {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{} belongs to the user {}, who could change it: chown root {0}",
            path.display(),
            meta.uid()
        ))),
    }
}

fn writable(path: &Path, meta: &fs::Metadata) -> io::Error {
    io::Error::other(format!(
        "others may write {} (mode {:o}): chmod go-w {0}",
        path.display(),
        meta.mode() & 0o7777
    ))
}

/// Does a path name a descriptor of the process that uses it (`/dev/stdin`, `/proc/self/fd/3`), or something else
/// that is another thing to another process?
#[must_use]
pub fn is_of_a_process(path: &Path) -> bool {
    let names = |path: &Path| -> Vec<OsString> {
        let names = path.components().rev();
        names.map(|part| part.as_os_str().to_owned()).collect()
    };
    let Ok(path) = std::path::absolute(path) else {
        return false;
    };
    let (mut left, mut links) = (names(&path), 0);
    let mut at = PathBuf::new();
    while let Some(name) = left.pop() {
        if at.starts_with("/proc") {
            return true;
        }
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        match fs::read_link(&next) {
            Ok(target) if links < MAX_LINKS => {
                links += 1;
                left.extend(names(&target));
            }
            _ => at = next,
        }
    }
    false
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

    /// Decides it for what is there already: root's rights are used only where nobody else can change what the path
    /// leads to, links at its end included.
    #[must_use]
    pub fn of_existing(path: &Path, user: Option<Ids>) -> Self {
        let spot = Self::new(path, user);
        let is_root_s = match own_path(&spot.path, ROOT) {
            Ok(_) => true,
            // As far as there is something, it is.
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        match (spot.user, user) {
            (None, Some(_)) if !is_root_s => Self {
                path: path.to_path_buf(),
                user,
            },
            _ => spot,
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
    fn descriptors_have_names_that_mean_another_thing_elsewhere() {
        use std::os::fd::AsRawFd;
        let tmp = tempfile::tempdir().unwrap();
        let link = |name: &str, target: &str| {
            let path = tmp.path().join(name);
            symlink(target, &path).unwrap();
            path
        };
        for path in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0", "/proc/uptime"] {
            assert!(is_of_a_process(Path::new(path)), "{path}");
        }
        let directory = fs::File::open(tmp.path()).unwrap();
        for path in [
            "/proc/self/cwd/x".to_owned(),
            format!("/proc/self/fd/{}/x", directory.as_raw_fd()),
            format!("/dev/fd/{}/x", directory.as_raw_fd()),
        ] {
            assert!(is_of_a_process(Path::new(&path)), "{path}");
        }
        assert!(is_of_a_process(&link("cwd", "/proc/self/cwd").join("x")));
        let first = link("first", "/dev/stdin");
        assert!(is_of_a_process(&first));
        assert!(is_of_a_process(&link("second", "first")));
        assert!(is_of_a_process(&link("fd", "/proc/self/fd").join("0")));
        fs::write(tmp.path().join("file"), "").unwrap();
        for path in [
            link("third", "file"),
            link("loop", "loop"),
            link("up", "..").join("../etc/passwd"),
            tmp.path().join("file/../missing/x"),
            "/etc/passwd".into(),
        ] {
            assert!(!is_of_a_process(&path), "{}", path.display());
        }
    }

    /// A link of root's to what is somebody's is used with that one's rights.
    #[test]
    fn a_link_at_the_end_is_followed_before_rights_are_chosen() {
        let Some(tmp) = two() else { return };
        let at = |name: &str, target: &str| {
            let path = tmp.path().join(name);
            symlink(tmp.path().join(target), &path).unwrap();
            Spot::of_existing(&path, Some(SOMEBODY)).user
        };
        for place in ["mine", "theirs"] {
            fs::write(tmp.path().join(place).join("x"), "").unwrap();
        }
        assert_eq!(at("a", "mine/x"), None);
        assert_eq!(at("b", "theirs/x"), Some(SOMEBODY));
        assert_eq!(at("c", "theirs/missing"), Some(SOMEBODY));
        assert_eq!(
            Spot::of_existing(&tmp.path().join("mine/x"), Some(SOMEBODY)).user,
            None
        );
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

    /// Whose program it is that decides about logins: as whom it is started, and root.
    #[test]
    fn a_program_is_roots_or_the_users_on_the_whole_way() {
        let Some(tmp) = two() else { return };
        const OTHER: u32 = 65533;
        let chmod = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let (mine, theirs) = (tmp.path().join("mine"), tmp.path().join("theirs"));
        let program = mine.join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        let check = |path: &Path, user: u32| {
            let checked = check_program(path, user).map_err(|error| error.to_string());
            checked.err().unwrap_or_default()
        };
        chmod(&program, 0o644);
        assert!(check(&program, 0).contains("Permission denied"));
        chmod(&program, 0o755);
        assert_eq!(check(&program, OTHER), "");
        assert_eq!(check(Path::new("/bin/sh"), OTHER), "");
        assert!(check(&mine, 0).contains("no ordinary file"));
        assert!(check(Path::new("bin/sh"), 0).contains("invalid"));
        // Another's directory, file or link leads to what the other likes.
        let link = theirs.join("link");
        symlink(&program, &link).unwrap();
        assert_eq!(check(&link, SOMEBODY.uid), "");
        let text = check(&link, OTHER);
        let end = format!("theirs belongs to the user {}, who could", SOMEBODY.uid);
        assert!(text.contains(&end), "{text}");
        for mode in [0o775, 0o757] {
            for path in [&program, &mine] {
                chown(path, None, Some(SOMEBODY.gid.into())).unwrap();
                chmod(path, mode);
                let text = check(&program, OTHER);
                let wanted = format!("others may write {} (mode {mode:o})", path.display());
                assert!(
                    text.contains(&wanted) && text.contains("chmod go-w"),
                    "{text}"
                );
                chmod(path, 0o755);
            }
        }
        // In a directory such as /tmp, what is one's own cannot be replaced by others.
        chmod(&mine, 0o1777);
        assert_eq!(check(&program, OTHER), "");
        chown(&program, Some(SOMEBODY.uid.into()), None).unwrap();
        assert_eq!(check(&program, SOMEBODY.uid), "");
        assert!(check(&program, OTHER).contains("program belongs to"));
        chmod(&mine, 0o755);
        assert!(check(&program, OTHER).contains("program belongs to"));
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
