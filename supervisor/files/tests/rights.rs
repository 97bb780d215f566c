//! An identity is the whole process's, so this is one test in a process of its own.

use files::{Ids, Spot, made, remove};
use ipc::spec::FileKind;
use nix::unistd::{chown, geteuid};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

#[test]
fn in_a_users_directory_root_can_do_what_the_user_can() {
    if !needs::root("give a directory to somebody else") {
        return;
    }
    let nobody = Ids {
        uid: 65534,
        gid: 65534,
    };
    let tmp = tempfile::tempdir().unwrap();
    let (mine, theirs) = (tmp.path().join("mine"), tmp.path().join("theirs"));
    for dir in [tmp.path(), &mine, &theirs] {
        let _ = fs::create_dir(dir);
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
    chown(&theirs, Some(nobody.uid.into()), Some(nobody.gid.into())).unwrap();
    let secret = mine.join("secret");
    fs::write(&secret, "root's").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();

    // A planted link leads nowhere.
    symlink(&secret, theirs.join("x")).unwrap();
    let spot = Spot::new(&theirs.join("x"), Some(nobody));
    let error = spot.act(|path| fs::read(path)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert!(geteuid().is_root(), "we are ourselves again");

    // Nor does a file that decides about logins, whose name is found with those rights: it is read with them too.
    let open = || files::open_named(&theirs.join("x"), FileKind::Users, Some(nobody));
    let why = open().unwrap_err();
    assert!(why.contains("permission denied"), "{why}");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(open().is_ok());
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();

    // What is made is the user's, and a directory put in the way by a link stays as it is.
    let spot = Spot::new(&theirs.join("dir/y"), Some(nobody));
    spot.act(|_| fs::create_dir(theirs.join("dir"))).unwrap();
    spot.act(|path| fs::write(path, "")).unwrap();
    assert_eq!(spot.path.metadata().unwrap().uid(), nobody.uid);
    let file = made(&spot).unwrap();
    fs::rename(theirs.join("dir"), theirs.join("old")).unwrap();
    symlink(&mine, theirs.join("dir")).unwrap();
    fs::hard_link(theirs.join("old/y"), mine.join("y")).unwrap();
    remove(&file, Some(nobody));
    assert!(mine.join("y").exists());
    fs::remove_file(theirs.join("dir")).unwrap();
    fs::rename(theirs.join("old"), theirs.join("dir")).unwrap();
    remove(&file, Some(nobody));
    assert!(!spot.path.exists());
}
