//! A session with a socket on which one module decides, for the stock client.

use crate::session::{Session, free_port};
use crate::{eventually, processes, stock};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

/// A session with one more TCP socket, on which this module decides.
pub struct Door {
    /// The session.
    pub session: Session,
    port: u16,
    encrypted: bool,
}

impl Door {
    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn new(module: &str, encrypted: bool) -> Self {
        let port = free_port();
        let encryption = match encrypted {
            true => ",encryption=AES-CTR,keyfile=key.txt",
            false => "",
        };
        let bind = format!("--bind-tcp=127.0.0.1:{port},auth={module}{encryption}");
        Self {
            session: Session::start(&["--debug", &bind]),
            port,
            encrypted,
        }
    }

    /// Does the stock client get an answer there?
    ///
    /// # Panics
    /// When it says neither yes nor no.
    pub fn lets_in(&self, user: &str, password: &str) -> bool {
        let address = format!("tcp://{user}@127.0.0.1:{}/", self.port);
        let key = self.session.home().join("key.txt");
        let key = format!("--encryption-keyfile={}", key.display());
        let more: &[&str] = match self.encrypted {
            true => &["--encryption=AES-CTR", &key],
            false => &[],
        };
        let output = stock::run_at(&self.session, &address, &[password], more, &["info"]);
        let said = String::from_utf8_lossy(&output.stdout);
        let yes = output.status.success();
        assert_eq!(yes, said.contains("server.mode=seamless"), "{output:?}");
        yes
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
