//! A14: what a client calls itself is never a path.

use crate::peer::{LONG, address, sharing};
use bulkhead_tests::session::Session;
use std::path::{Path, PathBuf};
use test_client::Client;

/// Everything below a directory.
fn below(top: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(top).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            let directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let mut inside = if directory { below(&path) } else { vec![] };
            inside.push(path);
            inside
        })
        .collect()
}

#[test]
fn no_file_is_made_of_what_a_client_calls_itself() {
    let session = Session::start(&["--sharing=yes", "--start=xterm"]);
    let top = session.runtime_dir().parent().unwrap().to_owned();
    let mark = format!("hole-{}", std::process::id());
    let listed = |top: &Path| {
        let mut all = below(top);
        all.sort();
        all
    };
    let before = listed(&top);
    for name in [
        format!("../../{mark}"),
        format!("../{mark}"),
        format!("/tmp/{mark}"),
        format!("{}/{mark}", session.home().display()),
        format!("{mark}/../../{mark}"),
        format!("{mark}\0"),
        format!("~/{mark}"),
        format!("$({mark})"),
        mark.clone(),
    ] {
        let mut options = sharing(1);
        let identity = &mut options.hello.identity;
        identity.uuid.clone_from(&name);
        identity.session_id.clone_from(&name);
        identity.machine_id.clone_from(&name);
        identity.username.clone_from(&name);
        identity.hostname.clone_from(&name);
        identity.client_type.clone_from(&name);
        identity.version.clone_from(&name);
        let mut client = Client::connect(&address(&session), &options, LONG).unwrap();
        client.wait_for(|state| state.draws > 0, LONG).unwrap();
        assert_eq!(listed(&top), before, "{name:?}");
    }
    // Nor anywhere else that they could have meant.
    for directory in [
        "/tmp",
        "/run",
        "/run/user",
        "/run/xpra",
        "/",
        "/root",
        "/home",
    ] {
        let names = std::fs::read_dir(directory).into_iter().flatten().flatten();
        for name in names.map(|entry| entry.file_name()) {
            assert!(
                !name.to_string_lossy().contains(&mark),
                "{directory}/{name:?}"
            );
        }
    }
}
