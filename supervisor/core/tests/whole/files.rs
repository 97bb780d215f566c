//! Files that decide who is let in: whoever connects finds those of now.

use crate::bench::{Bench, Client, wait_for};
use ipc::keys::{AesMode, Encryption};
use ipc::launcher::{FileId, LauncherToSupervisor, SupervisorToLauncher};
use ipc::spec::{CheckKind, CheckSpec};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

fn file(text: &str) -> OwnedFd {
    let mut file = File::from(memfd_create(c"file", MFdFlags::MFD_CLOEXEC).unwrap());
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file.into()
}

/// File 0 is a secret of `auth`, file 1 one of a check, file 2 one of `keys`.
fn bench() -> Bench {
    let passed = ["spec", "old", "spec", "users", "spec", "a key", "key"].map(file);
    Bench::new_with(passed.into(), |spec, first| {
        spec.auth_fds = vec![first, first + 1];
        spec.checks = vec![CheckSpec {
            module: "certificate".into(),
            timeout: 10,
            kind: CheckKind::Certificate(vec![first + 2, first + 3]),
        }];
        spec.keys_fds = vec![first + 4, first + 5, first + 6];
        spec.listeners[0].encryption = Some(Encryption::Aes(AesMode::Gcm));
        spec.files = vec![first + 1, first + 3, first + 6];
    })
}

/// Somebody connects; the launcher has looked, and this is what it has seen.
fn comes(
    bench: &mut Bench,
    words: &str,
    seen: Vec<(LauncherToSupervisor, Vec<OwnedFd>)>,
) -> Client {
    let mut client = bench.tcp();
    client.say(&format!("login {words}"));
    assert_eq!(bench.asked(), SupervisorToLauncher::Look);
    for (message, fds) in seen {
        bench.launcher.send(&message, fds).unwrap();
    }
    let looked = LauncherToSupervisor::Looked;
    bench.launcher.send(&looked, vec![]).unwrap();
    client.expect("start id=none");
    client
}

fn other(file: u16, text: &str) -> (LauncherToSupervisor, Vec<OwnedFd>) {
    let message = LauncherToSupervisor::File {
        file: FileId(file),
        name: "password file x".into(),
    };
    (message, vec![self::file(text)])
}

fn none(file: u16) -> (LauncherToSupervisor, Vec<OwnedFd>) {
    let message = LauncherToSupervisor::NoFile {
        file: FileId(file),
        reason: "password file x: it is not there".into(),
    };
    (message, vec![])
}

pub fn nobody_goes_on_before_the_files_were_looked_at() {
    let mut bench = bench();
    let comes = |bench: &Bench| {
        let mut client = bench.tcp();
        client.say("login secret:old");
        client
    };
    let mut first = comes(&bench);
    assert_eq!(bench.asked(), SupervisorToLauncher::Look);
    // Those who come meanwhile are for the next question, which is one for all.
    let mut others = [(); 3].map(|()| comes(&bench));
    assert_eq!(bench.answer(Duration::from_secs(1)), None);
    assert_eq!(bench.pids("network"), []);
    let looked = LauncherToSupervisor::Looked;
    bench.launcher.send(&looked, vec![]).unwrap();
    first.expect("start id=none").expect("accepted");
    assert_eq!(bench.asked(), SupervisorToLauncher::Look);
    assert_eq!(bench.answer(Duration::from_millis(200)), None);
    // It says so to the log, which comes by another way.
    wait_for("its process", || {
        (bench.pids("network").len() == 1).then_some(())
    });
    bench.launcher.send(&looked, vec![]).unwrap();
    for other in &mut others {
        other.expect("start id=none").expect("accepted");
    }
    assert_eq!(bench.answer(Duration::from_millis(200)), None);
}

/// The launcher hangs: the log says once that nobody is let in.
pub fn who_waits_in_vain_is_told_about() {
    let mut bench = bench();
    let comes_in_vain = |bench: &Bench| {
        let mut client = bench.tcp();
        client.say("login secret:old");
        client
    };
    let mut clients = vec![comes_in_vain(&bench)];
    assert_eq!(bench.asked(), SupervisorToLauncher::Look);
    // They come one after the other, so their time is over one after the other.
    for _ in 0..2 {
        assert_eq!(bench.answer(Duration::from_millis(200)), None);
        clients.push(comes_in_vain(&bench));
    }
    let late = "nobody is let in: the launcher does not say";
    bench.logged(0, &[late]);
    for client in &mut clients {
        client.expect_end();
    }
    assert_eq!(bench.pids("network"), []);
    bench
        .launcher
        .send(&LauncherToSupervisor::Looked, vec![])
        .unwrap();
    comes(&mut bench, "secret:old", vec![]).expect("accepted");
    // What was said before has come when this has.
    bench.logged(0, &["\"network\""]);
    let told = bench.lines().into_iter().filter(|line| line.contains(late));
    assert_eq!(told.count(), 1);
}

/// Also to one that is not ready yet, which has what there was when it was started.
pub fn a_new_auth_is_told_what_has_changed_since() {
    let mut bench = bench();
    comes(&mut bench, "secret:wait", vec![other(0, "wait")]).expect("accepted");
    bench.kill_last("auth", Signal::SIGKILL);
    bench.logged(0, &["\"auth\"", "killed by SIGKILL"]);
    wait_for("the next one", || {
        (bench.pids("auth").len() == 2).then_some(())
    });
    comes(&mut bench, "secret:new", vec![other(0, "new")]).expect("accepted");
    // What is lost is lost to the next one too.
    comes(&mut bench, "secret:new", vec![none(0)]).expect("rejected");
    bench.kill_last("auth", Signal::SIGKILL);
    wait_for("the next one", || {
        (bench.pids("auth").len() == 3).then_some(())
    });
    comes(&mut bench, "secret:new", vec![]).expect("rejected");
}

pub fn another_file_counts_for_who_connects() {
    let mut bench = bench();
    comes(&mut bench, "secret:old", vec![]).expect("accepted");
    comes(&mut bench, "secret:new", vec![other(0, "new")]).expect("accepted");
    comes(&mut bench, "secret:old", vec![]).expect("rejected");
    // An `auth` that is started anew has it too.
    bench.kill_last("auth", Signal::SIGKILL);
    bench.logged(0, &["\"auth\"", "killed by SIGKILL"]);
    comes(&mut bench, "secret:new", vec![]).expect("accepted");
    // What is not there lets nobody in, until it is there.
    comes(&mut bench, "secret:new", vec![none(0)]).expect("rejected");
    bench.logged(
        0,
        &["password file x: it is not there: until that is mended"],
    );
    comes(&mut bench, "secret:newer", vec![other(0, "newer")]).expect("accepted");
    let told = bench.lines();
    let told = told
        .iter()
        .filter(|line| line.contains("until that is mended"));
    assert_eq!(told.count(), 1);
}

pub fn a_check_without_its_file_is_no() {
    let mut bench = bench();
    comes(&mut bench, "check:0:yes", vec![]).expect("accepted");
    comes(&mut bench, "check:0:yes", vec![none(1)]).expect("rejected");
    bench.logged(
        0,
        &["auth=certificate: a file that it needs cannot be used"],
    );
    assert_eq!(bench.pids("auth-certificate").len(), 1);
    // The other module's is there.
    comes(&mut bench, "secret:old", vec![none(1)]).expect("accepted");
    comes(&mut bench, "check:0:yes", vec![other(1, "users")]).expect("accepted");
}

/// What a launcher says that nobody has asked, or of files that there are not, changes nothing.
pub fn files_that_are_none_are_nobody_s() {
    let mut bench = bench();
    let seen = vec![other(3, "x"), none(3), none(u16::MAX)];
    comes(&mut bench, "secret:old", seen).expect("accepted");
    comes(&mut bench, "check:0:yes", vec![]).expect("accepted");
    let unasked = LauncherToSupervisor::Looked;
    bench.launcher.send(&unasked, vec![]).unwrap();
    comes(&mut bench, "secret:old", vec![]).expect("accepted");
}

pub fn key_data_is_another_for_who_connects() {
    let mut bench = bench();
    bench.logged(0, &["\"keys\"", "and key"]);
    comes(&mut bench, "secret:old", vec![other(2, "other")]).expect("accepted");
    bench.logged(0, &["\"keys\"", "replaced by other"]);
    comes(&mut bench, "secret:old", vec![none(2)]).expect("accepted");
    bench.logged(0, &["\"keys\"", "replaced by nothing"]);
    comes(&mut bench, "secret:old", vec![other(2, "third")]).expect("accepted");
    // One that is started anew has it from the start.
    bench.kill_last("keys", Signal::SIGKILL);
    bench.logged(0, &["\"keys\"", "and third"]);
    // What is lost is lost to the next one too.
    let before = bench.lines().len();
    comes(&mut bench, "secret:old", vec![none(2)]).expect("accepted");
    bench.logged(before, &["\"keys\"", "replaced by nothing"]);
    let before = bench.lines().len();
    bench.kill_last("keys", Signal::SIGKILL);
    bench.logged(before, &["\"keys\"", "and third"]);
    bench.logged(before, &["\"keys\"", "replaced by nothing"]);
}

/// Who does not wait for the launcher gets no process.
pub fn who_leaves_before_is_forgotten() {
    let mut bench = bench();
    let mut client = bench.tcp();
    client.say("login secret:old");
    assert_eq!(bench.asked(), SupervisorToLauncher::Look);
    drop(client);
    // When the next one is asked for, this one's going has been seen.
    let mut next = bench.tcp();
    next.say("login secret:old");
    assert_eq!(bench.answer(Duration::from_millis(200)), None);
    let looked = LauncherToSupervisor::Looked;
    bench.launcher.send(&looked, vec![]).unwrap();
    assert_eq!(bench.asked(), SupervisorToLauncher::Look);
    assert_eq!(bench.pids("network"), []);
    bench.launcher.send(&looked, vec![]).unwrap();
    next.expect("start id=none").expect("accepted");
    wait_for("its process", || {
        (bench.pids("network").len() == 1).then_some(())
    });
}
