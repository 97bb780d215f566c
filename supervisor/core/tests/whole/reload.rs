//! Certificates and keys anew, from whoever has started the session.

use crate::bench::{Bench, Client, PATIENCE, wait_for};
use crate::fake;
use ipc::keys::Encryption;
use ipc::launcher::{FileId, LauncherToSupervisor};
use ipc::reload::{CommandToSupervisor, SupervisorToCommand};
use ipc::spec::{self, FdIndex, KeyData, KeysSpec, ListenerKey, PrivateKey, SupervisorSpec};
use ipc::tls::{Certificate, Clients, KeyKind, Suite, Version};
use ipc::{Channel, ChannelError, ListenerId};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, listen, sendmsg,
    socket,
};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{IoSlice, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

type Visitor = Channel<CommandToSupervisor, SupervisorToCommand>;

/// What both versions are spoken with, and each key that there is here.
const SUITES: [Suite; 2] = [Suite::Aes256, Suite::EcdsaAes128];
/// The listener with TLS.
const TLS: ListenerId = ListenerId(1);

struct Scene {
    bench: Bench,
    path: std::path::PathBuf,
    _dir: tempfile::TempDir,
}

fn unsealed(bytes: &[u8]) -> OwnedFd {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"given", flags).unwrap());
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file.into()
}

fn memory(bytes: &[u8]) -> OwnedFd {
    let file = unsealed(bytes);
    let seals = SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    file
}

/// What `keys` is told of the listener with TLS, and of one with AES, whose key is no certificate's.
fn spec(kind: KeyKind, change: impl FnOnce(&mut KeysSpec)) -> OwnedFd {
    let mut spec = KeysSpec {
        listeners: vec![
            Some(ListenerKey::Aes(KeyData {
                secret: 1,
                trim: true,
                in_place: true,
                key_size: 32,
            })),
            Some(ListenerKey::Tls(PrivateKey {
                name: "key.pem".into(),
                secret: 0,
                pass_phrase: Some(2),
                kind,
                versions: Version::ALL.to_vec(),
                public: format!("{kind:?}").into(),
            })),
        ],
    };
    change(&mut spec);
    memory(&spec::encode(&spec).unwrap())
}

fn seqpacket() -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap()
}

fn certificate(listener: ListenerId, bytes: usize) -> CommandToSupervisor {
    CommandToSupervisor::Certificate {
        listener,
        chain: vec![vec![0; bytes]],
        key: KeyKind::Ed25519,
        suites: SUITES.to_vec(),
    }
}

/// What such a process was given as its key, as it has said: in the order of their starts.
fn given(bench: &Bench) -> Vec<String> {
    let lines = bench.lines().into_iter();
    let lines = lines.filter(|line| line.contains("\"keys\""));
    let said = lines.filter_map(|line| {
        let (_, said) = line.split_once("\"message\":\"given ")?;
        Some(said.trim_end_matches("\"}").to_owned())
    });
    said.collect()
}

impl Scene {
    fn new() -> Self {
        Self::with(|_, _| ())
    }

    /// The descriptors from this one on are the visitors' socket, and those of `keys`.
    fn with(change: impl FnOnce(&mut SupervisorSpec, FdIndex)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("door");
        let door = seqpacket();
        bind(door.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&door, Backlog::new(4).unwrap()).unwrap();
        let mut more = vec![door, spec(KeyKind::EcdsaP256, |_| ())];
        more.extend([&b"first"[..], b"aes", b"pass phrase"].map(memory));
        let bench = Bench::new_with(more, |spec, place| {
            spec.listeners[usize::from(TLS.0)].encryption = Some(Encryption::Tls(Certificate {
                chain: vec![vec![1]],
                key: KeyKind::EcdsaP256,
                suites: SUITES.to_vec(),
                optional: false,
                upgrade: false,
                clients: Clients::NotAsked,
            }));
            spec.door = Some(place);
            spec.keys_fds = (place + 1..=place + 4).collect();
            change(spec, place);
        });
        Self {
            bench,
            path,
            _dir: dir,
        }
    }

    fn visit(&self) -> Visitor {
        let socket = seqpacket();
        connect(socket.as_raw_fd(), &UnixAddr::new(&self.path).unwrap()).unwrap();
        Visitor::new(socket)
    }

    /// Brings a key.
    fn reload(&self, key: &str) -> SupervisorToCommand {
        let mut visitor = self.visit();
        bring(&mut visitor, key);
        answer(&mut visitor)
    }

    /// Who has said its first word, and waits for a signature.
    fn stranger(&self) -> Client {
        let mut client = self.bench.tcp();
        client.say("what?").expect("start").expect("what?");
        client
    }
}

fn bring(visitor: &mut Visitor, key: &str) {
    visitor.send(&certificate(TLS, 9), vec![]).unwrap();
    let secret = CommandToSupervisor::Secret { place: 0 };
    visitor.send(&secret, vec![memory(key.as_bytes())]).unwrap();
    let install = CommandToSupervisor::Install;
    let spec = spec(KeyKind::Ed25519, |_| ());
    visitor.send(&install, vec![spec]).unwrap();
}

fn answer(visitor: &mut Visitor) -> SupervisorToCommand {
    let end = Instant::now() + PATIENCE;
    loop {
        match visitor.receive() {
            Ok(Some((answer, _))) => return answer,
            Ok(None) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(Instant::now() < end, "no answer");
        let mut fds = [PollFd::new(visitor.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(100_u16)).unwrap();
    }
}

fn reason(answer: SupervisorToCommand) -> String {
    match answer {
        SupervisorToCommand::Refused { reason } => reason,
        SupervisorToCommand::Done => panic!("it was done"),
    }
}

/// So many such processes, in the order of their starts: what they say comes to the log a little later.
fn keys(bench: &Bench, count: usize) -> Vec<i32> {
    wait_for("what keys says at its start", || {
        let pids = bench.pids("keys");
        (pids.len() == count).then_some(pids)
    })
}

fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// And each keeps those who know it.
pub fn a_new_keys_takes_the_place_of_the_old() {
    let scene = Scene::new();
    let bench = &scene.bench;
    let mut clients = vec![scene.stranger()];
    for key in ["second", "third"] {
        assert_eq!(scene.reload(key), SupervisorToCommand::Done);
        clients.push(scene.stranger());
    }
    bench.logged(0, &["certificates and keys are new: tcp"]);
    let pids = keys(bench, 3);
    for client in &mut clients {
        client.say("derive 0").expect("no keys");
    }
    // It is told of those whom it knows, and ends when they are in, or gone.
    clients[0].say("login ok").expect("accepted");
    wait_for("the end of the first", || (!lives(pids[0])).then_some(()));
    assert!(lives(pids[1]) && lives(pids[2]));
    drop(clients.remove(1));
    wait_for("the end of the second", || (!lives(pids[1])).then_some(()));
    clients[1].say("derive 0").expect("no keys");
    // Who is not of the last one does not mind its death, and the next one gets what it got.
    assert_eq!(scene.reload("fourth"), SupervisorToCommand::Done);
    wait_for("its start", || {
        (bench.pids("keys").len() == 4).then_some(())
    });
    bench.kill_last("keys", Signal::SIGKILL);
    let expected = ["first", "second", "third", "fourth", "fourth"];
    wait_for("the next", || (given(bench) == expected).then_some(()));
    clients[1].say("derive 0").expect("no keys");
    clients[1].say("login ok").expect("accepted");
    scene.stranger().say("derive 0").expect("no keys");
    // But there is not any number of them.
    let mut all: Vec<_> = (0..6)
        .map(|_| {
            let client = scene.stranger();
            assert_eq!(scene.reload("more"), SupervisorToCommand::Done);
            client
        })
        .collect();
    let live = || {
        let pids = bench.pids("keys");
        pids.into_iter().filter(|pid| lives(*pid)).count()
    };
    wait_for("the end of the oldest", || (live() == 5).then_some(()));
    all[5].say("derive 0").expect("no keys");
}

/// What one that had the place says counts for those who log in with it, and hurts nobody else.
pub fn an_old_keys_is_not_believed_about_others() {
    for lie in [fake::ACCUSE_DISPLAY, 2] {
        let scene = Scene::new();
        let bench = &scene.bench;
        let mut early = scene.stranger();
        assert_eq!(scene.reload("second"), SupervisorToCommand::Done);
        let mut late = scene.stranger();
        let pids = keys(bench, 2);
        early.say(&format!("derive {lie}"));
        wait_for("the end of the liar", || (!lives(pids[0])).then_some(()));
        bench.logged(0, &["violation: rubbish (not believed"]);
        late.say("derive 0").expect("no keys");
        assert!(lives(pids[1]));
    }
    // Nor is the new one about those of the old.
    let scene = Scene::new();
    let mut early = scene.stranger();
    assert_eq!(scene.reload("second"), SupervisorToCommand::Done);
    let mut late = scene.stranger();
    late.say("derive 1").expect("no keys");
    early.say("derive 0").expect("no keys");
    // Each is about its own.
    early.say("derive 1");
    scene
        .bench
        .logged(0, &["keys reports network of connection 1"]);
    late.say("derive 2");
    scene
        .bench
        .logged(0, &["keys reports network of connection 2"]);
}

pub fn what_cannot_be_used_changes_nothing() {
    let scene = Scene::new();
    let bench = &scene.bench;
    let first = keys(bench, 1)[0];
    for (turn, (key, part)) in [
        ("wrong", "not a key"),
        ("die", "ended with status 7"),
        ("forbidden", "by its sandbox"),
        ("hang", "too long"),
    ]
    .into_iter()
    .enumerate()
    {
        let why = reason(scene.reload(key));
        assert!(why.contains(part), "{key}: {why}");
        let line = bench.logged(0, &["reload refused", part]);
        assert!(
            line.contains("as it was") && !line.contains('\u{1b}'),
            "{line}"
        );
        wait_for("the end of what was tried", || {
            let pids = bench.pids("keys");
            (pids.len() == turn + 2 && !lives(pids[turn + 1])).then_some(())
        });
        // Whoever comes is served by the old one.
        let mut client = scene.stranger();
        client.say("derive 0").expect("no keys");
        assert!(lives(first));
    }
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    wait_for("the next", || (given(bench).len() == 6).then_some(()));
    assert_eq!(given(bench).last().unwrap(), "first");
}

/// What is tried was given the one before.
pub fn a_key_file_that_is_replaced_ends_what_is_tried() {
    // The key data of AES has a name.
    let mut scene = Scene::with(|spec, place| spec.files = vec![place + 3]);
    let mut visitor = scene.visit();
    bring(&mut visitor, "hang");
    keys(&scene.bench, 2);
    let other = LauncherToSupervisor::File {
        file: FileId(0),
        name: "key file x".into(),
    };
    let fds = vec![memory(b"other")];
    scene.bench.launcher.send(&other, fds).unwrap();
    let why = reason(answer(&mut visitor));
    assert!(why.contains("a key file is another one since"), "{why}");
}

pub fn one_visitor_at_a_time_and_not_for_long() {
    let scene = Scene::new();
    let mut silent = scene.visit();
    // In the kernel's queue meanwhile.
    let start = Instant::now();
    assert_eq!(scene.reload("second"), SupervisorToCommand::Done);
    let took = start.elapsed();
    let expected = Duration::from_secs(1)..Duration::from_secs(8);
    assert!(expected.contains(&took), "{took:?}");
    assert!(reason(answer(&mut silent)).contains("too long"));
    // One that goes is not waited for.
    let mut early = scene.visit();
    early.send(&certificate(TLS, 9), vec![]).unwrap();
    drop(early);
    let start = Instant::now();
    assert_eq!(scene.reload("third"), SupervisorToCommand::Done);
    assert!(start.elapsed() < Duration::from_millis(1500));
    // The log is not filled by those who come again and again.
    for _ in 0..100 {
        drop(scene.visit());
    }
    assert_eq!(scene.reload("fourth"), SupervisorToCommand::Done);
    let lines = scene.bench.lines();
    let refused = lines.iter().filter(|line| line.contains("reload refused"));
    assert!(refused.count() < 40);
    // The end of the session does not wait for one either.
    let silent = scene.visit();
    let supervisor = scene.bench.supervisor.id().try_into().unwrap();
    kill(Pid::from_raw(supervisor), Signal::SIGTERM).unwrap();
    assert_eq!(scene.bench.stopped(), 0);
    drop(silent);
}

fn secret(place: u16) -> CommandToSupervisor {
    CommandToSupervisor::Secret { place }
}

pub fn who_breaks_the_rules_is_sent_away() {
    let scene = Scene::new();
    let give_up = CommandToSupervisor::GiveUp {
        reason: "as said\n\u{1b}[31m".into(),
    };
    let many = CommandToSupervisor::Certificate {
        listener: TLS,
        chain: vec![vec![1]; 65],
        key: KeyKind::Ed25519,
        suites: SUITES.to_vec(),
    };
    let install = CommandToSupervisor::Install;
    let good = certificate(TLS, 9);
    let with = |suites: &[Suite]| CommandToSupervisor::Certificate {
        listener: TLS,
        chain: vec![vec![1]],
        key: KeyKind::Ed25519,
        suites: suites.to_vec(),
    };
    let cases: [(&[&CommandToSupervisor], &str); 15] = [
        (&[&with(&[])], "other suites for socket 1"),
        (&[&with(&SUITES[..1])], "other suites for socket 1"),
        (&[&with(&SUITES[1..])], "other suites for socket 1"),
        (
            &[&with(&[Suite::Aes256, Suite::RsaAes128])],
            "other suites for socket 1",
        ),
        (&[&certificate(ListenerId(0), 9)], "for socket 0"),
        (&[&certificate(ListenerId(7), 9)], "for socket 7"),
        (&[&good, &good], "two certificates for socket 1"),
        (&[&certificate(TLS, 0)], "of 0 bytes"),
        (&[&certificate(TLS, 33 * 1024)], "of 33792 bytes"),
        (&[&many], "65 certificates"),
        (&[&secret(3)], "for place 3"),
        (&[&secret(0), &secret(0)], "for place 0"),
        (&[&install], "without a certificate"),
        // That of AES is not what this is for.
        (&[&good, &secret(1), &install], "for place 1"),
        (&[&give_up], "as said"),
    ];
    for (messages, part) in cases {
        let mut visitor = scene.visit();
        for message in messages {
            let fds = match message {
                CommandToSupervisor::Secret { .. } => vec![memory(b"x")],
                CommandToSupervisor::Install => vec![spec(KeyKind::Ed25519, |_| ())],
                _ => vec![],
            };
            visitor.send(message, fds).unwrap();
        }
        let why = reason(answer(&mut visitor));
        assert!(
            why.contains(part) && !why.contains("too long"),
            "{part}: {why}"
        );
        // Nothing is said to it any more.
        let end = visitor.receive().map(|_| ());
        assert!(matches!(end, Ok(()) | Err(ChannelError::Closed)), "{end:?}");
    }
    let line = scene.bench.logged(0, &["reload refused", "as said"]);
    assert!(!line.contains('\u{1b}'), "{line}");
    let tls = |change: fn(&mut PrivateKey)| {
        move |spec: &mut KeysSpec| match &mut spec.listeners[1] {
            Some(ListenerKey::Tls(key)) => change(key),
            _ => unreachable!(),
        }
    };
    let kind = KeyKind::Ed25519;
    for (spec, part) in [
        (unsealed(b"x"), "can still be changed"),
        (memory(b"rubbish"), "what keys is told"),
        (spec(KeyKind::EcdsaP256, |_| ()), "another key for socket 1"),
        (
            spec(kind, tls(|key| key.secret = 1)),
            "another key for socket 1",
        ),
        (
            spec(kind, tls(|key| key.pass_phrase = None)),
            "another key for socket 1",
        ),
        (
            spec(kind, |spec| spec.listeners[0] = None),
            "than that of a certificate",
        ),
        (
            spec(kind, |spec| spec.listeners.push(None)),
            "other sockets than there are",
        ),
    ] {
        let mut visitor = scene.visit();
        visitor.send(&good, vec![]).unwrap();
        visitor.send(&install, vec![spec]).unwrap();
        let why = reason(answer(&mut visitor));
        assert!(why.contains(part), "{part}: {why}");
    }
    // Nor are words after the end heard.
    let mut visitor = scene.visit();
    bring(&mut visitor, "hang");
    let _ = visitor.send(&secret(0), vec![memory(b"x")]);
    assert!(reason(answer(&mut visitor)).contains("after the end"));
    // Rubbish is no message.
    let socket = seqpacket();
    connect(socket.as_raw_fd(), &UnixAddr::new(&scene.path).unwrap()).unwrap();
    let (raw, packet) = (socket.as_raw_fd(), [IoSlice::new(b"\xff\xff\xff")]);
    sendmsg::<()>(raw, &packet, &[], MsgFlags::empty(), None).unwrap();
    assert_eq!(scene.reload("second"), SupervisorToCommand::Done);
    let mut client = scene.stranger();
    client.say("derive 0").expect("no keys");
    wait_for("all that was tried", || {
        let given = given(&scene.bench);
        (given.first()? == "first" && given.last()? == "second" && given.len() <= 3).then_some(())
    });
}
