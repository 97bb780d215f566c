//! A session with a socket on which one chain of modules decides, for the stock client.

use crate::screen::ClientScreen;
use crate::session::{KEY, Session, Start, free_port};
use crate::stock::{self, StockClient};
use crate::{eventually, processes};
use std::process::Output;
use std::time::{Duration, Instant};
use test_client::wire::cipher::Mode;
use test_client::{Address, Client, Options};

const LONG: Duration = Duration::from_secs(30);
/// What the session shows.
const XTERM: &str = "--start=xterm -T wanted -geometry 60x20+40+30";
/// What the stock client ends with when it is told that the authentication has failed.
const AUTHENTICATION_FAILED: i32 = 28;

/// A session with one more TCP socket, on which these modules decide.
pub struct Door {
    /// The session.
    pub session: Session,
    /// The port of the socket.
    pub port: u16,
    encrypted: bool,
}

/// A stock client that comes to a door.
pub struct Visitor<'d> {
    door: &'d Door,
    address: String,
    secrets: Vec<String>,
    words: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Door {
    /// Starts it, as a user. `modules`: what is written after `auth=`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn new(modules: &str, encrypted: bool) -> Self {
        Self::start_as(Start::User, modules, encrypted)
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_as(start: Start, modules: &str, encrypted: bool) -> Self {
        let options = match encrypted {
            true => format!("{modules},encryption=AES-CTR,keyfile=key.txt"),
            false => modules.to_owned(),
        };
        let door = Self::under(&[], start, &options, &[]);
        Self { encrypted, ..door }
    }

    /// Starts it by another program ([`Session::start_under`]), with all options of the socket behind
    /// `auth=`, and more of the session.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn under(wrapper: &[&str], start: Start, options: &str, more: &[&str]) -> Self {
        let port = free_port();
        let bind = format!("--bind-tcp=127.0.0.1:{port},auth={options}");
        let mut words = vec!["--debug=all", "--sharing=yes", XTERM, &bind];
        words.extend(more);
        Self {
            session: Session::start_under(wrapper, start, &words),
            port,
            encrypted: false,
        }
    }

    /// The stock client, in the name of this user.
    pub fn visitor(&self, user: &str) -> Visitor<'_> {
        let visitor = self.visitor_at(format!("tcp://{user}@127.0.0.1:{}/", self.port));
        let key = self.session.home().join("key.txt");
        let key = format!("--encryption-keyfile={}", key.display());
        match self.encrypted {
            true => visitor.with("--encryption=AES-CTR").with(&key),
            false => visitor,
        }
    }

    /// The stock client, at another socket of the session.
    pub fn visitor_at(&self, address: String) -> Visitor<'_> {
        Visitor {
            door: self,
            address,
            secrets: Vec::new(),
            words: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Does the stock client get an answer there?
    ///
    /// # Panics
    /// When it says neither yes nor no.
    pub fn lets_in(&self, user: &str, password: &str) -> bool {
        self.visitor(user).knows(password).is_answered()
    }

    /// Does the stock client show the session's window?
    ///
    /// # Panics
    /// When it neither does nor says why.
    pub fn shows(&self, user: &str, password: &str) -> bool {
        self.visitor(user).knows(password).is_shown()
    }

    /// How long a no takes. Asked by a client of ours, which is there at once.
    ///
    /// # Panics
    /// When it is a yes.
    pub fn refuses_after(&self, user: &str, password: &str) -> Duration {
        let options = Options::gtk().username(user).password(password);
        let options = match self.encrypted {
            true => options.encrypted(Mode::Ctr, KEY.as_bytes()),
            false => options,
        };
        let address = Address::parse(&format!("tcp://127.0.0.1:{}", self.port)).unwrap();
        let start = Instant::now();
        let refused = Client::connect(&address, &options, LONG).err().unwrap();
        assert!(
            refused.to_string().contains("authentication failed"),
            "{refused}"
        );
        start.elapsed()
    }

    /// The log has a line with this text, by and by.
    ///
    /// # Panics
    /// When it has not.
    pub fn logged(&self, text: &str) {
        let process = self.session.process();
        process.wait_for_line(LONG, |line| line.contains(text));
    }

    /// The supervisor's record of a login has all of this, by and by.
    ///
    /// # Panics
    /// When there is none.
    pub fn recorded(&self, parts: &[&str]) {
        self.session.process().wait_for_line(LONG, |line| {
            line.contains("\"role\":\"supervisor\"") && parts.iter().all(|part| line.contains(part))
        });
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
        self.is_silent_about(secrets);
    }

    /// None of these secrets is in the log, which says all that it can say.
    ///
    /// # Panics
    /// When one is.
    pub fn is_silent_about(&self, secrets: &[&str]) {
        for line in self.session.process().lines() {
            let shown = secrets.iter().find(|text| line.contains(**text));
            assert_eq!(shown, None, "{line}");
        }
    }
}

impl Visitor<'_> {
    /// What it answers to the next challenge.
    #[must_use]
    pub fn knows(mut self, secret: &str) -> Self {
        self.secrets.push(secret.to_owned());
        self
    }

    /// It answers challenges in this way: `--challenge-handlers=`.
    #[must_use]
    pub fn by(self, handler: &str) -> Self {
        self.with(&format!("--challenge-handlers={handler}"))
    }

    /// It has one more option.
    #[must_use]
    pub fn with(mut self, word: &str) -> Self {
        self.words.push(word.to_owned());
        self
    }

    /// It has these in its environment.
    #[must_use]
    pub fn variables(mut self, variables: &[(&str, String)]) -> Self {
        let more = variables.iter();
        self.variables
            .extend(more.map(|(name, value)| ((*name).to_owned(), value.clone())));
        self
    }

    /// Does `xpra info` get an answer?
    ///
    /// # Panics
    /// When it says neither yes nor no.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        let home = tempfile::tempdir().unwrap();
        let words = self.words(home.path());
        let mut all = vec!["info", &self.address];
        all.extend(words.iter().map(String::as_str));
        is_answer(&stock::run_with(&self.door.session, &self.named(), &all))
    }

    /// Does `xpra attach` show the session's window? It leaves then.
    ///
    /// # Panics
    /// When it neither does nor says that the authentication has failed.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        let screen = ClientScreen::start(1280, 800);
        let mut client = self.attaches(&screen);
        let shown = eventually("a window, or the client's end", LONG, || {
            let window = screen.screen.window_named("wanted").map(|_| None);
            window.or_else(|| client.process_mut().ended().map(Some))
        });
        if let Some(status) = shown {
            assert_eq!(status.code(), Some(AUTHENTICATION_FAILED));
        }
        shown.is_none()
    }

    /// `xpra attach`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn attaches(&self, screen: &ClientScreen) -> StockClient {
        let home = tempfile::tempdir().unwrap();
        let words = self.words(home.path());
        let session = &self.door.session;
        StockClient::attach_from(home, session, screen, &self.address, &words, &self.named())
    }

    fn named(&self) -> Vec<(&str, String)> {
        let variables = self.variables.iter();
        variables
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect()
    }

    fn words(&self, home: &std::path::Path) -> Vec<String> {
        let secrets: Vec<_> = self.secrets.iter().map(String::as_str).collect();
        let mut words = stock::handlers(home, &secrets);
        words.extend_from_slice(&self.words);
        words
    }
}

fn is_answer(output: &Output) -> bool {
    let said = String::from_utf8_lossy(&output.stdout);
    let yes = output.status.success();
    assert_eq!(yes, said.contains("server.mode=seamless"), "{output:?}");
    yes
}
