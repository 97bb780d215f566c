//! What a start that fails removes again.

use files::Ids;
use ipc::spec::MadeFile;
use std::path::{Path, PathBuf};

/// Removes on drop what was noted, in reverse, unless somebody else has taken that over.
#[derive(Debug, Default)]
pub struct Undo {
    /// The session's, in a start as root.
    user: Option<Ids>,
    files: Vec<MadeFile>,
    trees: Vec<PathBuf>,
    directories: Vec<PathBuf>,
    display: Option<u32>,
}

impl Undo {
    /// For a start that makes files with the rights of this user.
    #[must_use]
    pub fn for_user(user: Option<Ids>) -> Self {
        let mut undo = Self::default();
        undo.user = user;
        undo
    }

    /// A file or socket was made.
    pub fn file(&mut self, file: MadeFile) {
        self.files.push(file);
    }

    /// A directory was made, to be removed with everything in it.
    pub fn tree(&mut self, path: &Path) {
        self.trees.push(path.to_path_buf());
    }

    /// Directories were made, to be removed if they are empty.
    pub fn directories(&mut self, paths: Vec<PathBuf>) {
        self.directories.extend(paths);
    }

    /// A display's lock was taken for this process.
    pub fn display(&mut self, display: u32) {
        self.display = Some(display);
    }

    /// Forgets everything: it stays.
    pub fn disarm(&mut self) {
        self.files.clear();
        self.trees.clear();
        self.directories.clear();
        self.display = None;
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        for file in self.files.drain(..).rev() {
            files::remove(&file, self.user);
        }
        for tree in self.trees.drain(..).rev() {
            let _ = std::fs::remove_dir_all(tree);
        }
        for directory in self.directories.drain(..).rev() {
            let _ = std::fs::remove_dir(directory);
        }
        if let Some(display) = self.display {
            files::display::release(display);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_goes_unless_it_was_handed_over() {
        for handed_over in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let (tree, file) = (dir.path().join("a/tree"), dir.path().join("a/file"));
            std::fs::create_dir_all(tree.join("x")).unwrap();
            std::fs::write(&file, "").unwrap();
            let mut undo = Undo::default();
            undo.directories(vec![dir.path().join("a")]);
            undo.tree(&tree);
            undo.file(files::made(&files::Spot::new(&file, None)).unwrap());
            if handed_over {
                undo.disarm();
            }
            drop(undo);
            assert_eq!(dir.path().join("a").exists(), handed_over);
        }
    }
}
