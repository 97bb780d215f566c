//! OpenID Connect providers on loopback: a real one, whose pages somebody logs in at, and one that says
//! what a test wants it to say.

use crate::commands::{chmod, oidc_provider};
use crate::process::Process;
use crate::security_keys::KeyFiles;
use crate::session::free_port;
use crate::tls;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use test_client::Options;

/// Our secret at every provider here.
pub const SECRET: &str = "our: s&cret%";
/// Where people are sent back.
pub const REDIRECT: &str = "https://xpra.test/login/";

const LONG: Duration = Duration::from_secs(60);

/// oidc-provider with the paths of Keycloak, for the realm `test`. Anybody may log in as anybody.
pub struct Provider {
    process: Process,
    files: KeyFiles,
    /// Its port on 127.0.0.1.
    pub port: u16,
    tls: bool,
}

/// A directory with the file of our secret.
fn secret() -> KeyFiles {
    let files = KeyFiles::new();
    chmod(&files.write("secret", SECRET), 0o600);
    files
}

fn program(name: &str) -> PathBuf {
    let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/programs/oidc");
    PathBuf::from(programs).join(name)
}

fn start(port: u16, files: &KeyFiles, tls: bool) -> Process {
    let mut command = Command::new("node");
    command.arg(program("provider.mjs")).arg(port.to_string());
    command.arg(oidc_provider());
    if tls {
        let made = tls::files();
        command.arg(files.write("cert.pem", &made.certificate));
        command.arg(files.write("key.pem", &made.key));
        files.write("ca.pem", &made.authority);
    }
    let process = Process::start(&mut command);
    process.wait_for_line(LONG, |line| line == "ready");
    process
}

impl Provider {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not start, or is not installed: `tests/tools/install-oidc-provider`.
    #[must_use]
    pub fn start(tls: bool) -> Self {
        let (port, files) = (free_port(), secret());
        Self {
            process: start(port, &files, tls),
            files,
            port,
            tls,
        }
    }

    /// Ends it, and starts another one in its place, which has other keys.
    ///
    /// # Panics
    /// When it does not start.
    pub fn replace(&mut self) {
        let old = std::mem::replace(&mut self.process, Process::start(&mut Command::new("true")));
        drop(old);
        self.process = start(self.port, &self.files, self.tls);
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where a file of these tests is: `secret`, `ca.pem`.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// How often this was asked, of the last part of a path.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        let lines = self.process.lines();
        let asked = |line: &&String| line.starts_with("asked: ") && line.ends_with(name);
        lines.iter().filter(asked).count()
    }

    /// The module that asks it, as this client, with these options beside the usual ones.
    #[must_use]
    pub fn module(&self, client: &str, options: &str) -> String {
        let (scheme, ca) = match self.tls {
            true => (
                "https",
                format!(",cacert={}", self.file("ca.pem").display()),
            ),
            false => ("http", String::new()),
        };
        let secret = match client {
            "public" => String::new(),
            _ => format!(",client-secret-file={}", self.file("secret").display()),
        };
        format!(
            "keycloak(server_url={scheme}://127.0.0.1:{}/,realm_name=test,client_id={client},\
             redirect_uri={REDIRECT},scope=openid profile{secret}{ca}{options})",
            self.port
        )
    }

    /// Logs in at its pages as a browser would, and gives what the client then has.
    ///
    /// # Panics
    /// When that does not work.
    #[must_use]
    pub fn log_in(&self, address: &str, user: &str) -> Vec<u8> {
        log_in(address, user, &self.file("ca.pem"))
    }

    /// A client at which this user logs in.
    #[must_use]
    pub fn client(&self, options: Options, user: &str) -> Options {
        let (user, ca) = (user.to_owned(), self.file("ca.pem"));
        options.visit(move |address| log_in(address, &user, &ca))
    }
}

fn log_in(address: &str, user: &str, authority: &std::path::Path) -> Vec<u8> {
    let mut command = Command::new("node");
    command.arg(program("login.mjs")).args([address, user]);
    if authority.exists() {
        command.env("NODE_EXTRA_CA_CERTS", authority);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{address}: {output:?}");
    output.stdout
}

/// What a provider answers, by the path; `None`: nothing, and the connection stays open.
pub type Answers = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;

/// An answer with this JSON text.
#[must_use]
pub fn json(text: &str) -> Option<Vec<u8>> {
    let length = text.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    Some((head + text).into_bytes())
}

/// A provider that answers what it is told to, in clear.
pub struct Puppet {
    /// Its port on 127.0.0.1.
    pub port: u16,
    files: KeyFiles,
}

impl Puppet {
    /// Starts it; it answers for as long as the test lives. The function is told its address, without
    /// a path.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start(answers: impl FnOnce(&str) -> Arc<Answers>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = answers(&format!("http://127.0.0.1:{port}"));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let answers = Arc::clone(&answers);
                std::thread::spawn(move || converse(socket, &*answers));
            }
        });
        Self {
            port,
            files: secret(),
        }
    }

    /// The module that asks it.
    #[must_use]
    pub fn module(&self, options: &str) -> String {
        format!(
            "keycloak(server_url=http://127.0.0.1:{},realm_name=test,client_id=bulkhead,\
             client-secret-file={},redirect_uri={REDIRECT}{options})",
            self.port,
            self.files.path().join("secret").display()
        )
    }
}

fn converse(socket: TcpStream, answers: &Answers) -> Option<()> {
    let mut to = socket.try_clone().ok()?;
    let mut from = BufReader::new(socket);
    loop {
        let (mut path, mut length) = (None, 0);
        loop {
            let mut line = String::new();
            from.read_line(&mut line).ok().filter(|count| *count > 0)?;
            match line.trim_end() {
                "" => break,
                line if path.is_none() => path = line.split(' ').nth(1).map(str::to_owned),
                line => {
                    if let Some(value) = line.strip_prefix("content-length: ") {
                        length = value.parse().ok()?;
                    }
                }
            }
        }
        let mut form = vec![0; length];
        from.read_exact(&mut form).ok()?;
        match answers(&path?) {
            Some(answer) => to.write_all(&answer).ok()?,
            // Until the other side goes.
            None => from.read_to_end(&mut Vec::new()).map(drop).ok()?,
        }
    }
}
