//! Workers that do what a test tells them, under the supervisor's real filter.
//!
//! The client's socket carries commands, one line each; what happens to the connection is written
//! back as lines.

use ipc::auth::{AuthToNetwork, AuthToSupervisor, NetworkToAuth, Refusal, SupervisorToAuth};
use ipc::channel::Message;
use ipc::check::{
    AuthToCheck, CheckId, CheckToAuth, CheckToSupervisor, Password, SupervisorToCheck,
};
use ipc::display::{DisplayToSupervisor, SupervisorToDisplay};
use ipc::encoder::{EncoderToSupervisor, SupervisorToEncoder};
use ipc::keys::{
    Derivation, KeyHash, KeysToNetwork, KeysToSupervisor, NetworkToKeys, SupervisorToKeys,
};
use ipc::network::{ClientDescription, NetworkToSupervisor, Request, SupervisorToNetwork};
use ipc::verdict::{Peer, Violation};
use ipc::{Channel, ChannelError, ConnectionId, Size};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{MsgFlags, sendmsg};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::process::exit;

fn descriptor(number: i32) -> OwnedFd {
    // SAFETY: the supervisor passes these, and each is taken once.
    unsafe { OwnedFd::from_raw_fd(number) }
}

fn wait(fds: &[BorrowedFd<'_>]) -> Vec<bool> {
    let mut polled: Vec<_> = fds
        .iter()
        .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
        .collect();
    ppoll(&mut polled, None, None).unwrap();
    polled.iter().map(|fd| fd.any().unwrap_or(false)).collect()
}

/// All messages that are there; ends the process when the channel is closed.
fn receive<Tx: Message, Rx: Message>(channel: &mut Channel<Tx, Rx>) -> Vec<(Rx, Vec<OwnedFd>)> {
    let mut messages = Vec::new();
    loop {
        match channel.receive() {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return messages,
            Err(ChannelError::Closed) => exit(0),
            Err(error) => panic!("{error}"),
        }
    }
}

fn say(line: &str) {
    println!("{line}");
}

/// Becomes the worker that the name says.
pub fn run(name: &str) {
    // Rust's own handler would need calls that a worker may not make.
    // SAFETY: nothing of ours depends on a handler.
    unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
    say("INFO started");
    match name {
        "bulkhead-network" => network(),
        "bulkhead-auth" => auth(),
        "bulkhead-keys" => keys(),
        "bulkhead-auth-ldap"
        | "bulkhead-auth-sql"
        | "bulkhead-auth-keycloak"
        | "bulkhead-auth-names"
        | "bulkhead-auth-otpscreen" => check(Some(File::from(descriptor(6)))),
        "bulkhead-auth-sqlite" | "bulkhead-auth-fido" | "bulkhead-auth-certificate" => check(None),
        "bulkhead-display" => display(),
        "bulkhead-encoder" => encoder(),
        other => panic!("no fake {other}"),
    }
}

struct Network {
    supervisor: Channel<NetworkToSupervisor, SupervisorToNetwork>,
    auth: Option<Channel<NetworkToAuth, AuthToNetwork>>,
    keys: Option<Channel<NetworkToKeys, KeysToNetwork>>,
    /// Ends of channels, by what they lead to; held, not used.
    held: BTreeMap<&'static str, OwnedFd>,
    socket: File,
}

impl Network {
    fn back(&mut self, line: &str) {
        let _ = self.socket.write_all(format!("{line}\n").as_bytes());
    }

    fn ask(&mut self, request: Request) {
        self.supervisor
            .send(&NetworkToSupervisor::Request(request), vec![])
            .unwrap();
    }

    fn accuse(&mut self, peer: Peer) {
        let violation = Violation {
            peer,
            what: "rubbish\n\u{1b}[31m".into(),
        };
        self.supervisor
            .send(&NetworkToSupervisor::Violation(violation), vec![])
            .unwrap();
    }

    fn obey(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["login", username] => {
                let hello = NetworkToAuth::Hello {
                    username: username.into(),
                    digests: vec![],
                    salt_digests: vec![],
                    small: false,
                };
                self.auth.as_mut().unwrap().send(&hello, vec![]).unwrap();
            }
            ["session", uuid, share, steal] => self.ask(Request::Session(ClientDescription {
                client_type: "fake\u{1b}[2J".into(),
                uuid: uuid.into(),
                share: share == "share",
                steal: steal == "steal",
                ..ClientDescription::default()
            })),
            // `keys` is asked something, and does with the number what it likes.
            ["derive", number] => {
                let theirs = Derivation {
                    salt: vec![],
                    hash: KeyHash::Sha1,
                    size: 0,
                    iterations: number.parse().unwrap(),
                };
                let question = NetworkToKeys::Derive { theirs };
                let keys = self.keys.as_mut().unwrap();
                keys.send(&question, vec![]).unwrap();
                let answer = loop {
                    wait(&[keys.as_fd()]);
                    // The greeting may come alone.
                    match keys.receive() {
                        Ok(None) => {}
                        answer => break answer,
                    }
                };
                match answer {
                    Ok(Some((KeysToNetwork::Refused { text }, _))) => self.back(&text),
                    other => self.back(&format!("{other:?}")),
                }
            }
            ["info"] => self.ask(Request::Info),
            ["id"] => self.ask(Request::Id),
            ["screenshot"] => self.ask(Request::Screenshot),
            ["detach"] => self.ask(Request::Detach),
            ["stop"] => self.ask(Request::Stop),
            ["exit"] => self.ask(Request::Exit),
            ["accuse", "display"] => self.accuse(Peer::Display),
            ["accuse", "display", "often"] => {
                for _ in 0..500 {
                    self.accuse(Peer::Display);
                }
            }
            ["accuse", "encoder"] => self.accuse(Peer::Encoder(ConnectionId(4711))),
            ["rubbish"] => {
                let flags = nix::sys::socket::MsgFlags::MSG_NOSIGNAL;
                let packet = [std::io::IoSlice::new(b"\xff\xff\xff")];
                let fd = std::os::fd::AsRawFd::as_raw_fd(&self.supervisor.as_fd());
                nix::sys::socket::sendmsg::<()>(fd, &packet, &[], flags, None).unwrap();
            }
            ["panic"] => {
                say("PANIC network fake.rs:1 asked to");
                exit(101);
            }
            ["forbidden"] => {
                let _ = std::net::UdpSocket::bind("127.0.0.1:0");
                unreachable!("the filter is not in force");
            }
            ["log", ref rest @ ..] => say(&rest.join(" ").replace("^", "\u{1b}")),
            _ => self.back("what?"),
        }
    }

    fn hear(&mut self, message: SupervisorToNetwork, fds: Vec<OwnedFd>) {
        let mut fds = fds.into_iter();
        match message {
            SupervisorToNetwork::Start { id, .. } => {
                self.auth = fds.next().map(Channel::new);
                self.keys = fds.next().map(Channel::new);
                let id = id.map_or("none".into(), |facts| format!(":{}", facts.display));
                self.back(&format!("start id={id}"));
            }
            SupervisorToNetwork::Session(facts) => {
                self.held.insert("display", fds.next().unwrap());
                self.held.insert("encoder", fds.next().unwrap());
                self.supervisor
                    .send(&NetworkToSupervisor::Attached, vec![])
                    .unwrap();
                self.back(&format!("session readonly={}", facts.readonly));
            }
            SupervisorToNetwork::Screenshot => {
                self.held.insert("encoder", fds.next().unwrap());
                self.back("screenshot");
            }
            SupervisorToNetwork::Info(entries) => {
                for (key, value) in entries {
                    self.back(&format!("info {key} {value:?}"));
                }
            }
            SupervisorToNetwork::InfoEnd => self.back("info-end"),
            SupervisorToNetwork::LoginTime(seconds) => {
                self.back(&format!("login-time {seconds}"));
            }
            SupervisorToNetwork::Id(facts) => self.back(&format!("id {}", facts.uuid)),
            SupervisorToNetwork::Display => {
                self.held.insert("display", fds.next().unwrap());
                self.back("new-display");
            }
            SupervisorToNetwork::Encoder => {
                self.held.insert("encoder", fds.next().unwrap());
                self.back("new-encoder");
            }
            SupervisorToNetwork::Disconnect { reason } => {
                self.back(&format!("disconnect {}", reason.join("|")));
                exit(0);
            }
        }
    }
}

fn network() {
    let mut it = Network {
        supervisor: Channel::new(descriptor(3)),
        auth: None,
        keys: None,
        held: BTreeMap::new(),
        socket: File::from(descriptor(5)),
    };
    // As the real one: nothing of the client is read before the supervisor's first message.
    while it.auth.is_none() {
        wait(&[it.supervisor.as_fd()]);
        for (message, fds) in receive(&mut it.supervisor) {
            it.hear(message, fds);
        }
    }
    let mut input = Vec::new();
    loop {
        it.supervisor.flush().ok();
        if let Some(auth) = &mut it.auth {
            auth.flush().ok();
        }
        let mut fds = vec![it.supervisor.as_fd(), it.socket.as_fd()];
        fds.extend(it.auth.as_ref().map(AsFd::as_fd));
        let ready = wait(&fds);
        if ready[0] {
            for (message, fds) in receive(&mut it.supervisor) {
                it.hear(message, fds);
            }
        }
        if ready.get(2) == Some(&true) {
            match it.auth.as_mut().unwrap().receive() {
                Ok(Some((AuthToNetwork::Accepted, _))) => it.back("accepted"),
                Ok(Some((AuthToNetwork::Rejected { text }, _))) => {
                    it.back(&format!("rejected {text}"));
                    exit(0);
                }
                Ok(_) => {}
                Err(_) => it.auth = None,
            }
        }
        if ready[1] {
            let mut bytes = [0; 4096];
            match it.socket.read(&mut bytes) {
                Ok(0) | Err(_) => exit(0),
                Ok(len) => input.extend_from_slice(&bytes[..len]),
            }
            while let Some(end) = input.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = input.drain(..=end).collect();
                it.obey(String::from_utf8_lossy(&line[..end]).as_ref());
            }
        }
    }
}

/// What `auth` says of a login under this name, to the supervisor and to `network`.
fn verdict(
    connection: ConnectionId,
    passed: bool,
    username: &str,
) -> (AuthToSupervisor, AuthToNetwork) {
    let module = "fake".to_owned();
    let username = username.to_owned();
    if passed {
        let accepted = AuthToSupervisor::Accepted {
            connection,
            username,
            module,
            sessions: None,
        };
        return (accepted, AuthToNetwork::Accepted);
    }
    let why = Refusal::Failed;
    let refused = AuthToSupervisor::Refused {
        connection,
        username,
        module,
        why,
    };
    let text = "authentication failed".into();
    (refused, AuthToNetwork::Rejected { text })
}

/// What a secret says, as it is passed at the start or later.
fn text(fd: &OwnedFd) -> String {
    let mut bytes = [0; 64];
    // SAFETY: the bytes are writable, and as many as that.
    let len = unsafe { libc::pread(fd.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    let len = usize::try_from(len).unwrap();
    String::from_utf8(bytes[..len].to_vec()).unwrap()
}

/// Who logs in as `check WORD` is asked about with that word, where a process can be asked; who logs in as
/// `secret:WORD` is let in if that is the secret.
fn auth() {
    let mut secret = None;
    // SAFETY: only asks whether there is such a descriptor.
    if unsafe { libc::fcntl(6, libc::F_GETFD) } != -1 {
        secret = Some(text(&descriptor(6)));
    }
    let mut checks: BTreeMap<ConnectionId, Channel<AuthToCheck, CheckToAuth>> = BTreeMap::new();
    let mut words: BTreeMap<ConnectionId, String> = BTreeMap::new();
    let mut supervisor: Channel<AuthToSupervisor, SupervisorToAuth> = Channel::new(descriptor(3));
    if secret.as_deref() == Some("wait") {
        // Ready when it has been told of another.
        wait(&[supervisor.as_fd()]);
        for (message, fds) in receive(&mut supervisor) {
            assert!(matches!(message, SupervisorToAuth::Secret { .. }));
            secret = Some(text(&fds[0]));
        }
    }
    supervisor.send(&AuthToSupervisor::Ready, vec![]).unwrap();
    let mut networks: BTreeMap<ConnectionId, Channel<AuthToNetwork, NetworkToAuth>> =
        BTreeMap::new();
    loop {
        let ids: Vec<_> = networks.keys().copied().collect();
        let mut fds = vec![supervisor.as_fd()];
        fds.extend(networks.values().map(AsFd::as_fd));
        let asked: Vec<_> = checks.keys().copied().collect();
        fds.extend(checks.values().map(AsFd::as_fd));
        let ready = wait(&fds);
        for (id, ready) in asked.into_iter().zip(&ready[1 + ids.len()..]) {
            let check = checks.get_mut(&id).unwrap();
            let passed = match check.receive() {
                _ if !ready => continue,
                Ok(None) => continue,
                Ok(Some((CheckToAuth::Ready, _))) => {
                    let question = AuthToCheck::Password {
                        username: words[&id].clone(),
                        password: Password(b"secret".to_vec()),
                    };
                    check.send(&question, vec![]).ok();
                    continue;
                }
                Ok(Some((answer, _))) => answer == CheckToAuth::Yes,
                Err(_) => false,
            };
            checks.remove(&id);
            let (verdict, answer) = verdict(id, passed, &words[&id]);
            supervisor.send(&verdict, vec![]).unwrap();
            if let Some(network) = networks.get_mut(&id) {
                network.send(&answer, vec![]).ok();
            }
        }
        for (id, _) in ids.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
            let network = networks.get_mut(id).unwrap();
            match network.receive() {
                Ok(Some((NetworkToAuth::Hello { username, .. }, _)))
                    if username.starts_with("check:") =>
                {
                    let mut parts = username.split(':').skip(1);
                    let check = CheckId(parts.next().unwrap().parse().unwrap());
                    let word = parts.next().unwrap_or_default().to_owned();
                    let check = AuthToSupervisor::Check {
                        stranger: true,
                        connection: *id,
                        check,
                        username: word.clone(),
                    };
                    words.insert(*id, word);
                    supervisor.send(&check, vec![]).unwrap();
                }
                Ok(Some((NetworkToAuth::Hello { username, .. }, _)))
                    if username.starts_with("secret:") =>
                {
                    let right = secret.as_deref() == username.strip_prefix("secret:");
                    let (verdict, answer) = verdict(*id, right, &username);
                    supervisor.send(&verdict, vec![]).unwrap();
                    network.send(&answer, vec![]).ok();
                }
                Ok(Some((NetworkToAuth::Hello { username, .. }, _))) => {
                    let username_is_storm = username == "storm";
                    let (verdict, answer) = verdict(*id, username.starts_with("ok"), &username);
                    let often = if username_is_storm { 500 } else { 1 };
                    for _ in 0..often {
                        supervisor.send(&verdict, vec![]).unwrap();
                    }
                    network.send(&answer, vec![]).ok();
                }
                Ok(_) => {}
                Err(_) => drop(networks.remove(id)),
            }
        }
        if ready[0] {
            for (message, fds) in receive(&mut supervisor) {
                match message {
                    SupervisorToAuth::Connection { connection, .. } => {
                        networks.insert(connection, Channel::new(fds.into_iter().next().unwrap()));
                    }
                    SupervisorToAuth::Secret { index: 0 } => secret = Some(text(&fds[0])),
                    SupervisorToAuth::NoSecret { index: 0 } => secret = None,
                    SupervisorToAuth::Secret { .. } | SupervisorToAuth::NoSecret { .. } => {
                        panic!("there is one secret")
                    }
                    SupervisorToAuth::Gone(id) => {
                        networks.remove(&id);
                        checks.remove(&id);
                    }
                    SupervisorToAuth::Ask(id) => {
                        let check = Channel::new(fds.into_iter().next().unwrap());
                        checks.insert(id, check);
                    }
                    SupervisorToAuth::Tell(_) => {
                        let input = UnixStream::from(fds.into_iter().next().unwrap());
                        let line = [IoSlice::new(b"secret\n")];
                        let (fd, flags) = (input.as_raw_fd(), MsgFlags::MSG_NOSIGNAL);
                        sendmsg::<()>(fd, &line, &[], flags, None).unwrap();
                    }
                    SupervisorToAuth::Checked { connection, passed } => {
                        say(&format!("INFO connection {connection} checked: {passed}"));
                        let (verdict, answer) = verdict(connection, passed, &words[&connection]);
                        supervisor.send(&verdict, vec![]).unwrap();
                        if let Some(network) = networks.get_mut(&connection) {
                            network.send(&answer, vec![]).ok();
                        }
                    }
                    SupervisorToAuth::Ping => {
                        supervisor.send(&AuthToSupervisor::Pong, vec![]).unwrap();
                    }
                }
            }
        }
    }
}

/// Does what the user's name says.
fn check(mut server: Option<File>) {
    let _supervisor: Channel<CheckToSupervisor, SupervisorToCheck> = Channel::new(descriptor(3));
    let mut auth: Channel<CheckToAuth, AuthToCheck> = Channel::new(descriptor(5));
    auth.send(&CheckToAuth::Ready, vec![]).unwrap();
    loop {
        wait(&[auth.as_fd()]);
        for (question, _) in receive(&mut auth) {
            let AuthToCheck::Password { username, password } = question else {
                panic!("{question:?}");
            };
            say(&format!("INFO asked about {username}"));
            match username.as_str() {
                "yes" if password.0 == b"secret" => {
                    // The socket of its server is there.
                    if let Some(server) = &mut server {
                        server.write_all(b"hello").unwrap();
                    }
                    auth.send(&CheckToAuth::Yes, vec![]).unwrap();
                    exit(0);
                }
                "die" => exit(101),
                "forbidden" => {
                    let _ = std::net::UdpSocket::bind("127.0.0.1:0");
                    unreachable!("the filter is not in force");
                }
                "hang" => {}
                _ => {
                    auth.send(&CheckToAuth::No, vec![]).unwrap();
                    exit(0);
                }
            }
        }
    }
}

/// Instead of a connection's number, in a question for `keys`.
pub const ACCUSE_DISPLAY: u32 = u32::MAX;

/// Answers every question, and accuses the connection whose number is asked for, if it is not 0.
fn keys() {
    let mut supervisor: Channel<KeysToSupervisor, SupervisorToKeys> = Channel::new(descriptor(3));
    // What a test has given it, instead of keys.
    let given = |number| {
        let mut bytes = [0; 100];
        // SAFETY: only looks whether it is open.
        let open = unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0;
        let read = open.then(|| File::from(descriptor(number)).read_at(&mut bytes, 0));
        let len = read.and_then(Result::ok).unwrap_or_default();
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    };
    let secret = given(6);
    say(&format!("INFO given {secret}"));
    let second = given(7);
    if !second.is_empty() {
        say(&format!("INFO and {second}"));
    }
    match secret.as_str() {
        "wrong" => {
            let reason = "not a key\n\u{1b}[31m".into();
            let failed = KeysToSupervisor::Failed { reason };
            supervisor.send(&failed, vec![]).unwrap();
            return;
        }
        "die" => exit(7),
        "hang" => loop {
            wait(&[supervisor.as_fd()]);
            drop(receive(&mut supervisor));
        },
        "forbidden" => drop(std::net::UdpSocket::bind("127.0.0.1:0")),
        _ => supervisor.send(&KeysToSupervisor::Ready, vec![]).unwrap(),
    }
    let mut networks: BTreeMap<ConnectionId, Channel<KeysToNetwork, NetworkToKeys>> =
        BTreeMap::new();
    loop {
        let ids: Vec<_> = networks.keys().copied().collect();
        let mut fds = vec![supervisor.as_fd()];
        fds.extend(networks.values().map(AsFd::as_fd));
        let ready = wait(&fds);
        for (id, _) in ids.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
            let network = networks.get_mut(id).unwrap();
            match network.receive() {
                Ok(Some((NetworkToKeys::Derive { theirs }, _))) => {
                    if theirs.iterations > 0 {
                        let violation = Violation {
                            peer: match theirs.iterations {
                                ACCUSE_DISPLAY => Peer::Display,
                                number => Peer::Network(ConnectionId(number.into())),
                            },
                            what: "rubbish".into(),
                        };
                        let violation = KeysToSupervisor::Violation(violation);
                        supervisor.send(&violation, vec![]).unwrap();
                    }
                    let text = "no keys".to_owned();
                    network.send(&KeysToNetwork::Refused { text }, vec![]).ok();
                }
                Ok(Some((NetworkToKeys::Sign { .. }, _)) | None) => {}
                Err(_) => drop(networks.remove(id)),
            }
        }
        if ready[0] {
            for (message, fds) in receive(&mut supervisor) {
                match message {
                    SupervisorToKeys::Connection { connection, .. } => {
                        say(&format!("INFO connection {connection}"));
                        networks.insert(connection, Channel::new(fds.into_iter().next().unwrap()));
                    }
                    SupervisorToKeys::Admitted(id) => {
                        say(&format!("INFO admitted {id}"));
                        networks.remove(&id);
                    }
                    SupervisorToKeys::Gone(id) => drop(networks.remove(&id)),
                    SupervisorToKeys::Secret { index } => {
                        assert_eq!(index, 1);
                        say(&format!("INFO replaced by {}", text(&fds[0])));
                    }
                    SupervisorToKeys::NoSecret { .. } => say("INFO replaced by nothing"),
                    SupervisorToKeys::Ping => {
                        supervisor.send(&KeysToSupervisor::Pong, vec![]).unwrap();
                    }
                }
            }
        }
    }
}

/// A session of this name has a display that fails.
pub const NO_DISPLAY: &str = "no display";
/// A session of this name has a display that says everything too often.
pub const NOISY_DISPLAY: &str = "noisy display";

fn noise(supervisor: &mut Channel<DisplayToSupervisor, SupervisorToDisplay>) {
    let violation = |peer| {
        let what = "noise".into();
        DisplayToSupervisor::Violation(Violation { peer, what })
    };
    let reason = "noise".to_owned();
    for message in [
        DisplayToSupervisor::Ready,
        DisplayToSupervisor::Pong,
        violation(Peer::Network(ConnectionId(1))),
        violation(Peer::Encoder(ConnectionId(1))),
        violation(Peer::Network(ConnectionId(4711))),
        DisplayToSupervisor::Failed { reason },
    ] {
        for _ in 0..500 {
            let _ = supervisor.send(&message, vec![]);
        }
    }
    while supervisor.wants_write() && supervisor.flush().is_ok() {}
}

fn display() {
    let mut supervisor: Channel<DisplayToSupervisor, SupervisorToDisplay> =
        Channel::new(descriptor(3));
    let mut held = Vec::new();
    loop {
        wait(&[supervisor.as_fd()]);
        for (message, fds) in receive(&mut supervisor) {
            held.extend(fds);
            match message {
                SupervisorToDisplay::Start { name, .. } if name == NO_DISPLAY => {
                    let reason = "there is another window manager".into();
                    supervisor
                        .send(&DisplayToSupervisor::Failed { reason }, vec![])
                        .unwrap();
                }
                SupervisorToDisplay::Start { name, .. } => {
                    supervisor
                        .send(&DisplayToSupervisor::Ready, vec![])
                        .unwrap();
                    if name == NOISY_DISPLAY {
                        noise(&mut supervisor);
                    }
                    supervisor
                        .send(&DisplayToSupervisor::Windows(1), vec![])
                        .unwrap();
                }
                SupervisorToDisplay::Client {
                    connection,
                    rights,
                    purpose,
                } => {
                    say(&format!(
                        "INFO client {connection} {purpose:?} readonly={}",
                        rights.readonly
                    ));
                }
                SupervisorToDisplay::Encoder(connection) => {
                    say(&format!("INFO encoder {connection}"));
                }
                SupervisorToDisplay::Gone(connection) => say(&format!("INFO gone {connection}")),
                SupervisorToDisplay::Ping => {
                    supervisor.send(&DisplayToSupervisor::Pong, vec![]).unwrap();
                }
                SupervisorToDisplay::Describe { token } => {
                    let root = Size::new(640, 480).unwrap();
                    let description = DisplayToSupervisor::Description {
                        token,
                        root,
                        windows: vec![],
                    };
                    supervisor.send(&description, vec![]).unwrap();
                }
            }
        }
    }
}

fn encoder() {
    let mut supervisor: Channel<EncoderToSupervisor, SupervisorToEncoder> =
        Channel::new(descriptor(3));
    let mut held = Vec::new();
    loop {
        wait(&[supervisor.as_fd()]);
        for (message, fds) in receive(&mut supervisor) {
            held.extend(fds);
            say(&format!("INFO {message:?}"));
        }
    }
}
