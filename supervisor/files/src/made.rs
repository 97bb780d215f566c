//! What was made, so that nothing else is removed.

use crate::identity::{Ids, as_user};
use crate::spot::Spot;
use ipc::spec::MadeFile;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

/// Notes what has just been made at a spot.
///
/// # Errors
/// It is gone.
pub fn made(spot: &Spot) -> io::Result<MadeFile> {
    let meta = spot.act(|path| fs::symlink_metadata(path))?;
    Ok(MadeFile {
        path: spot.path.clone(),
        device: meta.dev(),
        inode: meta.ino(),
        by_user: spot.user.is_some(),
    })
}

/// Removes what was made, and nothing that has taken its place since. `user` is the session's.
/// What is gone or cannot be removed stays as it is: this is for ends, which do not fail.
pub fn remove(file: &MadeFile, user: Option<Ids>) {
    let user = user.filter(|_| file.by_user);
    let _ = as_user(user, || {
        let meta = fs::symlink_metadata(&file.path)?;
        match (meta.dev(), meta.ino()) == (file.device, file.inode) {
            true => fs::remove_file(&file.path),
            false => Ok(()),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_made_is_removed() {
        let tmp = tempfile::tempdir().unwrap();
        let spot = Spot::new(&tmp.path().join("x"), None);
        fs::write(&spot.path, "ours").unwrap();
        let file = made(&spot).unwrap();
        // Kept open: its number is not given to another.
        let _ours = fs::File::open(&spot.path).unwrap();
        fs::remove_file(&spot.path).unwrap();
        fs::write(&spot.path, "another's").unwrap();
        remove(&file, None);
        assert!(spot.path.exists());
        remove(&made(&spot).unwrap(), None);
        assert!(!spot.path.exists());
        assert!(made(&spot).is_err());
    }
}
