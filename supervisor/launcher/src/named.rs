//! Files that decide who is let in, looked at by their names whenever somebody connects: another may
//! have been put in the place of one. Which names, is fixed before anybody can ask.

use files::Ids;
use ipc::launcher::FileId;
use ipc::spec::{FileIdentity, NamedFile};
use std::os::fd::OwnedFd;

/// Longest text for the log, in bytes.
const MAX_TEXT: usize = 1024;

/// What has changed.
#[derive(Debug)]
pub enum Change {
    /// Another file has the name, and may be used.
    Other {
        /// Which.
        file: FileId,
        /// What the log calls it.
        name: String,
        /// It, open.
        fd: OwnedFd,
    },
    /// What has the name may not, or nothing has it.
    Nothing(FileId, String),
}

/// One line that is not too long.
fn text(words: &str) -> String {
    let mut text = words.replace(char::is_control, " ");
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

/// Those of a session.
#[derive(Debug, Default)]
pub struct Named(Vec<(NamedFile, Option<FileIdentity>)>);

impl Named {
    /// Those of a new supervisor, which has all of them.
    pub fn new(files: Vec<NamedFile>) -> Self {
        let known = |file: NamedFile| {
            let identity = file.identity;
            (file, Some(identity))
        };
        Self(files.into_iter().map(known).collect())
    }

    /// Looks at each: what is not as it was last passed, or still cannot be. `user` is the session's in a
    /// start as root.
    pub fn look(&mut self, user: Option<Ids>) -> Vec<Change> {
        let mut changes = Vec::new();
        for (id, (file, known)) in (0..).map(FileId).zip(&mut self.0) {
            let now = files::identity_of(&file.path, user).ok();
            if now.is_some() && now == *known {
                continue;
            }
            changes.push(match files::open_named(&file.path, file.kind, user) {
                Ok((open, identity)) => {
                    *known = Some(identity);
                    let name = files::name(&file.path, file.kind);
                    Change::Other {
                        file: id,
                        name: text(&name),
                        fd: open.into(),
                    }
                }
                Err(reason) => {
                    *known = None;
                    Change::Nothing(id, text(&reason))
                }
            });
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::spec::FileKind;
    use std::fs::{self, File, Permissions};
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    fn file(path: PathBuf) -> (NamedFile, File) {
        let (open, identity) = files::open_named(&path, FileKind::Users, None).unwrap();
        let kind = FileKind::Users;
        let named = NamedFile {
            path,
            kind,
            identity,
        };
        (named, open)
    }

    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    /// What has changed, in words: the content of another file, or why there is none.
    fn look(named: &mut Named) -> Vec<(u16, String)> {
        let changes = named.look(None);
        let words = changes.into_iter().map(|change| match change {
            Change::Other { file, name, fd } => {
                assert_eq!(
                    name,
                    files::name(&named.0[usize::from(file.0)].0.path, FileKind::Users)
                );
                let mut text = String::new();
                File::from(fd).read_to_string(&mut text).unwrap();
                (file.0, text)
            }
            Change::Nothing(file, reason) => {
                let (_, why) = reason.rsplit_once(": ").unwrap();
                (file.0, why.to_owned())
            }
        });
        words.collect()
    }

    #[test]
    fn another_file_is_told_once_and_none_each_time() {
        let tmp = tempfile::tempdir().unwrap();
        let [first, second, new] = ["first", "second", "new"].map(|name| tmp.path().join(name));
        write(&first, "1");
        write(&second, "2");
        let (first_named, _first) = file(first.clone());
        let (second_named, _second) = file(second.clone());
        let mut named = Named::new(vec![first_named, second_named]);
        assert_eq!(look(&mut named), []);
        // In place: it is the same file.
        write(&first, "one");
        assert_eq!(look(&mut named), []);
        write(&new, "two");
        fs::rename(&new, &second).unwrap();
        assert_eq!(look(&mut named), [(1, "two".to_owned())]);
        assert_eq!(look(&mut named), []);
        // The file that was passed is still there, by another name, and is not what the operator means.
        fs::rename(&second, &new).unwrap();
        let missing = (1, "no such file or directory".to_owned());
        assert_eq!(look(&mut named), std::slice::from_ref(&missing));
        assert_eq!(look(&mut named), [missing]);
        fs::rename(&new, &second).unwrap();
        assert_eq!(look(&mut named), [(1, "two".to_owned())]);
        assert_eq!(look(&mut named), []);
    }

    #[test]
    fn a_link_is_followed_to_what_it_means_now() {
        let tmp = tempfile::tempdir().unwrap();
        let [old, new, link, next] =
            ["old", "new", "link", "next"].map(|name| tmp.path().join(name));
        write(&old, "old");
        write(&new, "new");
        std::os::unix::fs::symlink(&old, &link).unwrap();
        let (link_named, _open) = file(link.clone());
        let mut named = Named::new(vec![link_named]);
        assert_eq!(look(&mut named), []);
        std::os::unix::fs::symlink(&new, &next).unwrap();
        fs::rename(&next, &link).unwrap();
        assert_eq!(look(&mut named), [(0, "new".to_owned())]);
    }

    #[test]
    fn what_others_may_write_does_not_take_its_place() {
        let tmp = tempfile::tempdir().unwrap();
        let (path, new) = (tmp.path().join("users"), tmp.path().join("new"));
        write(&path, "old");
        let (users, _open) = file(path.clone());
        let mut named = Named::new(vec![users]);
        write(&new, "new");
        fs::set_permissions(&new, Permissions::from_mode(0o666)).unwrap();
        fs::rename(&new, &path).unwrap();
        let [(0, why)] = &look(&mut named)[..] else {
            panic!("it has changed");
        };
        assert!(why.starts_with("chmod 600 "), "{why}");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(look(&mut named), [(0, "new".to_owned())]);
    }
}
