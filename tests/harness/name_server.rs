//! Name servers of a test's own, on loopback: a real one, and one that says what the test wants; and rules
//! that go by names.

use crate::commands::{chmod, test_user};
use crate::eventually;
use crate::process::Process;
use crate::session::free_port;
use nix::unistd::{Uid, chown};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// dnsmasq, which knows what it is told at its start and asks nobody.
pub struct Dnsmasq {
    _process: Process,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Dnsmasq {
    /// Starts one with these records, as dnsmasq(8) writes them (`ptr-record=…`, `host-record=…`), and waits
    /// until it answers.
    ///
    /// # Panics
    /// When it does not, or is not installed.
    pub fn start(records: &[&str]) -> Self {
        let port = free_port();
        let mut command = Command::new("/usr/sbin/dnsmasq");
        command
            .args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv"])
            .args(["--no-hosts", "--bind-interfaces", "--local=/#/"])
            .args(["--listen-address=127.0.0.1", &format!("--port={port}")])
            .args(records.iter().map(|record| format!("--{record}")));
        let process = Process::start(&mut command);
        eventually("dnsmasq", Duration::from_secs(20), || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self {
            _process: process,
            port,
        }
    }
}

/// Rules of `auth=hosts`, and what the machine knows of names, in files of the session's user.
pub struct HostRules(tempfile::TempDir);

impl HostRules {
    /// With these in `hosts.allow` and `hosts.deny`. No name is known: that of 127.0.0.1 in a test machine's own
    /// file would be.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn new(allow: &str, deny: &str) -> Self {
        let directory = tempfile::Builder::new().tempdir_in("/tmp").unwrap();
        chmod(directory.path(), 0o755);
        let rules = Self(directory);
        rules.write("hosts.allow", allow);
        rules.write("hosts.deny", deny);
        rules.write("names", "# nobody\n");
        rules
    }

    /// The path of a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file of the session's user.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        chmod(&path, 0o600);
        if Uid::effective().is_root() {
            chown(&path, Some(test_user().uid), Some(test_user().gid)).unwrap();
        }
    }

    /// The module, with the name server at this port of 127.0.0.1.
    pub fn module(&self, port: u16, timeout: u16) -> String {
        let here = self.0.path().display();
        format!(
            "hosts(hosts-allow={here}/hosts.allow,hosts-deny={here}/hosts.deny,names-file={here}/names,\
             nameserver=127.0.0.1:{port},timeout={timeout})"
        )
    }
}

/// What a [`FakeServer`] does with a question.
pub enum Does {
    /// Sends these bytes.
    Says(Vec<u8>),
    /// Nothing, for ever.
    Waits,
    /// Closes the connection.
    Leaves,
}

type Answers = Box<dyn FnMut(&[u8]) -> Does + Send>;

/// A name server that answers as it is told.
pub struct FakeServer {
    /// Its port on 127.0.0.1.
    pub port: u16,
    answers: Arc<Mutex<Answers>>,
}

impl FakeServer {
    /// Starts one that waits.
    ///
    /// # Panics
    /// When it cannot be started.
    #[expect(clippy::new_without_default, reason = "it starts something")]
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Arc<Mutex<Answers>> = Arc::new(Mutex::new(Box::new(|_| Does::Waits)));
        let shared = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &answers));
            }
        });
        Self { port, answers }
    }

    /// From now on it answers in this way. What it is told is a question without its length.
    ///
    /// # Panics
    /// When an answer before it has.
    pub fn answers(&self, answers: impl FnMut(&[u8]) -> Does + Send + 'static) {
        *self.answers.lock().unwrap() = Box::new(answers);
    }
}

fn serve(mut stream: TcpStream, answers: &Mutex<Answers>) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut question).is_err() {
            return;
        }
        let does = (answers.lock().unwrap())(&question);
        match does {
            // It is an error of the other side if nobody reads it.
            Does::Says(bytes) => drop(stream.write_all(&bytes)),
            Does::Waits => drop(stream.read(&mut [0])),
            Does::Leaves => return,
        }
    }
}

/// The number of a kind of records (RFC 1035, RFC 3596).
pub const A: u16 = 1;
/// See [`A`].
pub const CNAME: u16 = 5;
/// See [`A`].
pub const PTR: u16 = 12;

/// Is this question for records of that kind?
#[must_use]
pub fn asks(question: &[u8], kind: u16) -> bool {
    question.ends_with(&[&kind.to_be_bytes()[..], &[0, 1]].concat())
}

/// A name as bytes, of parts that may be anything.
#[must_use]
pub fn name(parts: &[&[u8]]) -> Vec<u8> {
    let part = |part: &&[u8]| {
        let length = u8::try_from(part.len()).unwrap_or(u8::MAX);
        [&[length], *part].concat()
    };
    let mut bytes: Vec<u8> = parts.iter().flat_map(part).collect();
    bytes.push(0);
    bytes
}

/// An answer to a question: flags and code of its header, and records of the name in the question.
#[must_use]
pub fn answer(question: &[u8], flags: u16, records: &[(u16, Vec<u8>)]) -> Vec<u8> {
    /// Where the name of the question is.
    const ASKED: [u8; 2] = [0xc0, 12];
    let owned = records
        .iter()
        .map(|(kind, data)| (ASKED.to_vec(), *kind, data.clone()));
    answer_about(question, flags, &owned.collect::<Vec<_>>())
}

/// The same, with a name for each record.
#[must_use]
pub fn answer_about(question: &[u8], flags: u16, records: &[(Vec<u8>, u16, Vec<u8>)]) -> Vec<u8> {
    let count = u16::try_from(records.len()).unwrap_or(u16::MAX);
    let mut bytes = question[..2].to_vec();
    for word in [flags, 1, count, 0, 0] {
        bytes.extend(word.to_be_bytes());
    }
    bytes.extend(&question[12..]);
    for (owner, kind, data) in records {
        bytes.extend(owner);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 60]);
        bytes.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(data);
    }
    bytes
}

/// Bytes behind their length, as they are sent.
#[must_use]
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], message].concat()
}
