//! A session with a socket on which one module decides, for the stock client.

use crate::session::{Session, Start, free_port};
use crate::{eventually, processes, stock};
use std::process::Output;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

/// A session with one more TCP socket, on which this module decides.
pub struct Door {
    /// The session.
    pub session: Session,
    /// The port of the socket.
    pub port: u16,
    encrypted: bool,
}

impl Door {
    /// Starts it, as a user.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn new(module: &str, encrypted: bool) -> Self {
        Self::start_as(Start::User, module, encrypted)
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_as(start: Start, module: &str, encrypted: bool) -> Self {
        let port = free_port();
        let encryption = match encrypted {
            true => ",encryption=AES-CTR,keyfile=key.txt",
            false => "",
        };
        let bind = format!("--bind-tcp=127.0.0.1:{port},auth={module}{encryption}");
        Self {
            session: Session::start_as(start, &["--debug", &bind]),
            port,
            encrypted,
        }
    }

    /// Does the stock client get an answer there?
    ///
    /// # Panics
    /// When it says neither yes nor no.
    pub fn lets_in(&self, user: &str, password: &str) -> bool {
        let more = self.encryption();
        let more: Vec<_> = more.iter().map(String::as_str).collect();
        let address = self.address(user);
        is_answer(&stock::run_at(
            &self.session,
            &address,
            &[password],
            &more,
            &["info"],
        ))
    }

    /// The same with this handler for challenges, and variables in the client's environment.
    ///
    /// # Panics
    /// When it says neither yes nor no.
    pub fn lets_in_by(&self, user: &str, handler: &str, variables: &[(&str, String)]) -> bool {
        let (address, encryption) = (self.address(user), self.encryption());
        let handler = format!("--challenge-handlers={handler}");
        let mut words = vec!["info", &address, &handler];
        words.extend(encryption.iter().map(String::as_str));
        is_answer(&stock::run_with(&self.session, variables, &words))
    }

    fn address(&self, user: &str) -> String {
        format!("tcp://{user}@127.0.0.1:{}/", self.port)
    }

    fn encryption(&self) -> Vec<String> {
        let key = self.session.home().join("key.txt");
        let key = format!("--encryption-keyfile={}", key.display());
        match self.encrypted {
            true => vec!["--encryption=AES-CTR".to_owned(), key],
            false => Vec::new(),
        }
    }

    /// The log has a line with this text, by and by.
    ///
    /// # Panics
    /// When it has not.
    pub fn logged(&self, text: &str) {
        let process = self.session.process();
        process.wait_for_line(LONG, |line| line.contains(text));
    }

    /// No process of a check is left, and none of these secrets is in the log.
    ///
    /// # Panics
    /// When it is not so.
    pub fn is_clean(&self, role: &str, secrets: &[&str]) {
        eventually("the end of the checks", LONG, || {
            let left = processes::of_role(self.session.process().id(), role);
            left.is_empty().then_some(())
        });
        for line in self.session.process().lines() {
            let shown = secrets.iter().find(|text| line.contains(**text));
            assert_eq!(shown, None, "{line}");
        }
    }
}

fn is_answer(output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stdout);
    let yes = output.status.success();
    assert_eq!(yes, said.contains("server.mode=seamless"), "{output:?}");
    yes
}
