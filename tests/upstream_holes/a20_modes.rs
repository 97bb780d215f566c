//! A20: everything that a session leaves where others could find it, as one list.

use bulkhead_tests::commands::{chmod, test_user};
use bulkhead_tests::session::{Session, Start};
use bulkhead_tests::tls::tls_socket;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// A directory by another name, and what is in it: kind, mode, owner and path, the session's number as N.
/// Without the sessions of others.
fn list(path: &Path, name: &str, display: u32, all: &mut Vec<String>) {
    let meta = path.symlink_metadata().unwrap();
    let kind = match meta.file_type() {
        kind if kind.is_dir() => "directory",
        kind if kind.is_socket() => "socket",
        kind if kind.is_file() => "file",
        _ => "another",
    };
    let owner = match meta.uid() {
        0 => "root",
        uid if uid == test_user().uid.as_raw() => "user",
        _ => "another",
    };
    let mode = meta.mode() & 0o7777;
    all.push(format!("{kind} {mode:o} {owner} {name}"));
    if !meta.is_dir() {
        return;
    }
    for entry in std::fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let own = entry.file_name().into_string().unwrap();
        let short = match own.strip_suffix(&display.to_string()) {
            Some("") => "N",
            Some(rest) if rest.ends_with('-') => "HOSTNAME-N",
            _ if name == "xpra" => continue,
            _ => &own,
        };
        list(&entry.path(), &format!("{name}/{short}"), display, all);
    }
}

#[test]
fn sockets_and_files_of_a_session_are_for_its_owner_only() {
    for start in [Start::User, Start::Root] {
        if start == Start::Root && !needs::root("start a session for somebody else") {
            continue;
        }
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        std::fs::create_dir(at("sockets")).unwrap();
        for path in [place.path(), &at("sockets")] {
            chmod(path, 0o755);
            // Of a start as root nobody else may have it.
            if start == Start::User {
                let user = test_user();
                nix::unistd::chown(path, Some(user.uid), Some(user.gid)).unwrap();
            }
        }
        let session = Session::start_as(
            start,
            &[
                "--start=xterm",
                "--bind=auto",
                &format!("--bind={}", at("socket").display()),
                &format!("--bind={}/", at("sockets").display()),
                &format!("--pidfile={}", at("pid").display()),
                // With TLS there is a socket for `reload`.
                &tls_socket("fail").1,
            ],
        );
        let mut all = Vec::new();
        list(place.path(), "place", session.display, &mut all);
        let sessions = session.session_dir();
        list(
            sessions.parent().unwrap(),
            "xpra",
            session.display,
            &mut all,
        );
        all.sort();
        // Whose the names are, who else may go to them, and what root has started a session for.
        let (own, sessions, session) = match start {
            Start::User => ("user", 700, 700),
            Start::Root => ("root", 755, 711),
        };
        let mut expected = [
            format!("directory 755 {own} place"),
            format!("directory 755 {own} place/sockets"),
            "socket 600 user place/sockets/HOSTNAME-N".to_owned(),
            "socket 600 user place/socket".to_owned(),
            // A number that everybody can see.
            format!("file 644 {own} place/pid"),
            format!("file 644 {own} xpra/N/server.pid"),
            format!("directory {sessions} {own} xpra"),
            format!("directory {session} {own} xpra/N"),
            "socket 600 user xpra/HOSTNAME-N".to_owned(),
            "socket 600 user xpra/N/socket".to_owned(),
            format!("socket 600 {own} xpra/N/launcher.sock"),
            format!("socket 600 {own} xpra/N/reload.sock"),
            format!("file 600 {own} xpra/N/launcher.state"),
            format!("file 600 {own} xpra/N/reload.state"),
            format!("file 600 {own} xpra/N/server.log"),
            "directory 700 user xpra/N/x11".to_owned(),
            "file 600 user xpra/N/x11/xauthority".to_owned(),
        ];
        expected.sort();
        assert_eq!(all, expected, "{start:?}");
    }
}
