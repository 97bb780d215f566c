//! A9: secrets and those who share the user. Attacks of another process of the user are in
//! `tests/hostile_neighbour.rs`; here is what there would be to steal.

use crate::peer::{LONG, address, processes_but};
use bulkhead_tests::session::{Session, Start};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use test_client::{Client, Options};

/// Does the memory of a process contain this?
fn holds(pid: u32, needle: &[u8]) -> bool {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let ranges = maps.lines().filter_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let parse = |text| u64::from_str_radix(text, 16).ok();
        rest.starts_with('r').then_some((parse(from)?, parse(to)?))
    });
    let mut found = false;
    for (from, to) in ranges {
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // Devices and memory that even root may not read are no concern of ours.
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            found |= bytes.windows(needle.len()).any(|window| window == needle);
        }
    }
    found
}

fn only_auth_has_it(start: Start) {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("not run: only root can read the memory of our processes");
        return;
    }
    let mut random = [0; 12];
    let mut source = File::open("/dev/urandom").unwrap();
    source.read_exact(&mut random).unwrap();
    let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let session = Session::start_as(start, &["--sharing=yes", "--start=xterm"]);
    // `auth` reads the file anew for each client.
    std::fs::write(session.password_file(), &secret).unwrap();
    let options = Options::gtk().password(&secret);
    let client = Client::connect(&address(&session), &options, LONG).unwrap();
    let processes = processes_but(&session, &[]);
    assert_eq!(processes.len(), 6, "{processes:?}");
    for worker in &processes {
        if worker.role != "auth" {
            assert!(!holds(worker.pid, secret.as_bytes()), "{worker:?}");
        }
    }
    // The control: what is there is found.
    assert!(holds(std::process::id(), secret.as_bytes()));
    drop(client);
}

#[test]
fn no_process_but_auth_holds_the_password() {
    only_auth_has_it(Start::User);
    only_auth_has_it(Start::Root);
}

/// No process of ours writes a core file, whatever ends it.
#[test]
fn nobody_leaves_a_core_file() {
    let session = Session::start(&["--start=xterm"]);
    for worker in processes_but(&session, &[]) {
        if worker.role == "launcher" {
            continue;
        }
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", worker.pid)).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"));
        let words: Vec<_> = line.unwrap().split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{worker:?}");
        // Not dumpable: what is in `/proc` about it belongs to root.
        let owner = std::os::unix::fs::MetadataExt::uid(
            &std::fs::metadata(format!("/proc/{}/mem", worker.pid)).unwrap(),
        );
        assert_eq!(owner, 0, "{worker:?}");
    }
}
