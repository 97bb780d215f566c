//! The real executable under its real policy, against a server that is played by the test.

use ipc::command::{Command, CommandSpec, EXIT_PASSWORD};
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, open};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Output, Stdio};
use std::time::Duration;
use wire::challenge::{self, Digest};
use wire::hello::{ClientHello, Request, id_reply};
use wire::limits::Limits;
use wire::packet::{
    Challenge, ClientPacket, Disconnect, Packet, PreAuthPacket, Screenshot, ServerPacket, reason,
};
use wire::record::{RecordReader, RecordWriter};

/// The server's end of the connection.
struct Server {
    stream: UnixStream,
    reader: RecordReader,
}

impl Server {
    fn send(&mut self, packet: ServerPacket) {
        let bytes = RecordWriter::new(true)
            .record(&packet.into_packet(), true)
            .unwrap();
        // In small pieces, as a network may deliver it.
        bytes
            .chunks(1000)
            .for_each(|piece| self.stream.write_all(piece).unwrap());
    }

    fn message(&mut self) -> wire::record::Message {
        let mut buffer = [0; 4096];
        loop {
            if let Some(message) = self.reader.next_message().unwrap() {
                return message;
            }
            let length = self.stream.read(&mut buffer).unwrap();
            assert!(length > 0, "the client has gone");
            self.reader.push(&buffer[..length]);
        }
    }

    fn hello(&mut self) -> ClientHello {
        let message = self.message();
        match PreAuthPacket::decode(message, &Limits::PRE_AUTH.budget).unwrap() {
            PreAuthPacket::Hello(hello) => *hello,
            other => panic!("{other:?}"),
        }
    }

    fn challenge(&mut self, password: &[u8]) {
        let digest = Digest::parse("hmac+sha512").unwrap();
        self.send(ServerPacket::Challenge(Challenge {
            salt: vec![5; 64],
            auth_caps: vec![],
            digest: digest.name().into(),
            salt_digest: digest.name().into(),
            prompt: "password".into(),
        }));
        let auth = self.hello().auth;
        let combined =
            challenge::combined_salt(digest, &[5; 64], &auth.client_salt.unwrap()).unwrap();
        assert_eq!(
            auth.response.unwrap(),
            challenge::response(digest, password, &combined)
        );
    }
}

fn above(fd: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(nix::libc::fcntl(fd, nix::libc::F_DUPFD_CLOEXEC, 50)) }
}

type Serve<'a> = &'a (dyn Fn(&mut Server) + Sync);

fn spec(command: Command, password: Option<&str>) -> CommandSpec {
    CommandSpec {
        command,
        password: password.map(|word| word.as_bytes().to_vec()),
        can_ask: false,
        username: "me".into(),
        plain: false,
    }
}

/// Runs `bulkhead-ctl` as `bulkhead` does.
fn run(
    command: Command,
    password: Option<&str>,
    picture: Option<&File>,
    serve: impl FnOnce(&mut Server) + Send,
) -> Output {
    run_spec(&spec(command, password), Stdio::piped(), picture, serve)
}

fn run_spec(
    spec: &CommandSpec,
    stdout: Stdio,
    picture: Option<&File>,
    serve: impl FnOnce(&mut Server) + Send,
) -> Output {
    let memory =
        memfd_create(c"spec", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
    File::from(memory.try_clone().unwrap())
        .write_all(&ipc::spec::encode(spec).unwrap())
        .unwrap();
    let seals = SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_SEAL;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let root = open(
        directory.path(),
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let table: Vec<(OwnedFd, RawFd)> = [
        Some((memory.as_raw_fd(), 3)),
        Some((root.as_raw_fd(), 4)),
        Some((theirs.as_raw_fd(), 5)),
        picture.map(|file| (file.as_raw_fd(), 6)),
    ]
    .into_iter()
    .flatten()
    .map(|(fd, place)| (above(fd), place))
    .collect();
    drop(theirs);
    let mode = if nix::unistd::geteuid().is_root() {
        "root"
    } else {
        "user"
    };
    let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_bulkhead-ctl"));
    process
        .args([&format!("--mode={mode}"), "--sandbox=enforce"])
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::piped());
    // SAFETY: between fork and exec only dup2 and close_range are called, which allocate nothing.
    unsafe {
        process.pre_exec(move || {
            for (from, to) in &table {
                nix::libc::dup2(from.as_raw_fd(), *to);
            }
            nix::libc::close_range(7, u32::MAX, nix::libc::CLOSE_RANGE_CLOEXEC.cast_signed());
            Ok(())
        });
    }
    let child = process.spawn().unwrap();
    drop(process);
    let mut server = Server {
        stream: ours,
        reader: RecordReader::new(Limits::PRE_AUTH),
    };
    std::thread::scope(|scope| {
        scope.spawn(move || serve(&mut server));
        child.wait_with_output().unwrap()
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn an_answer_after_a_challenge() {
    let output = run(Command::Id, Some("secret"), None, |server| {
        assert_eq!(server.hello().request, Some(Request::Id));
        server.challenge(b"secret");
        server.send(ServerPacket::Hello(id_reply(
            "a name", "u", "m", ":7", 12, "6.5",
        )));
    });
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("\nsession-name=a name\n"));
}

#[test]
fn a_screenshot_goes_into_the_file() {
    let mut file = tempfile::tempfile().unwrap();
    let data: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let sent = data.clone();
    let output = run(Command::Screenshot, None, Some(&file), move |server| {
        server.hello();
        let (width, height, rowstride) = (10, 10, 40);
        let encoding = "png".into();
        server.send(ServerPacket::Screenshot(Screenshot {
            width,
            height,
            encoding,
            rowstride,
            data: sent,
        }));
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut written = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut written).unwrap();
    assert!(written == data && output.stdout.is_empty());
}

#[test]
fn exit_is_asked_for() {
    let output = run(Command::Exit, None, None, |server| {
        server.hello();
        server.send(ServerPacket::Hello(vec![]));
        let message = server.message();
        let packet = Packet::decode(message, &Limits::CLIENT_TO_SERVER.budget).unwrap();
        assert!(matches!(
            ClientPacket::parse(packet),
            Ok(ClientPacket::ExitServer { .. })
        ));
        server.send(ServerPacket::Disconnect(Disconnect::new(
            reason::SERVER_EXIT,
        )));
    });
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// A server that wants a password.
fn challenge(server: &mut Server) {
    server.hello();
    server.send(ServerPacket::Challenge(Challenge {
        salt: vec![5; 64],
        auth_caps: vec![],
        digest: "hmac+sha512".into(),
        salt_digest: "hmac+sha512".into(),
        prompt: String::new(),
    }));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let (read, write) = nix::unistd::pipe().unwrap();
    drop(read);
    let output = run_spec(
        &spec(Command::Info, None),
        write.into(),
        None,
        |server: &mut Server| {
            server.hello();
            server.send(ServerPacket::Hello(id_reply("", "u", "m", ":7", 1, "6.5")));
        },
    );
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
}

#[test]
fn a_missing_password_is_said_by_code_alone_to_who_can_ask_for_it() {
    let spec = CommandSpec {
        can_ask: true,
        ..spec(Command::Info, None)
    };
    let output = run_spec(&spec, Stdio::piped(), None, challenge);
    assert_eq!(
        output.status.code(),
        Some(EXIT_PASSWORD.into()),
        "{output:?}"
    );
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn failures_are_one_line() {
    let refuse = |server: &mut Server| {
        server.hello();
        server.send(ServerPacket::Disconnect(Disconnect::new(
            reason::PERMISSION_ERROR,
        )));
    };
    let nonsense = |server: &mut Server| drop(server.stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n"));
    let silence = |server: &mut Server| drop(server.hello());
    let cases: [(Command, Serve<'_>, &str); 4] = [
        (Command::Stop, &refuse, "permission error"),
        (
            Command::Info,
            &challenge,
            "--password-file=FILE or the variable XPRA_PASSWORD",
        ),
        (Command::Version, &nonsense, "does not speak the protocol"),
        (Command::Detach, &silence, "closed the connection"),
    ];
    for (command, serve, expected) in cases {
        let output = run(command, None, None, serve);
        assert_eq!(output.status.code(), Some(1));
        let line = text(&output.stderr);
        assert!(
            line.starts_with("bulkhead: ") && line.contains(expected),
            "{line}"
        );
        assert_eq!(line.matches('\n').count(), 1, "{line}");
    }
}
