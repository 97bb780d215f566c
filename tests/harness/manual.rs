//! The manuals, and somebody who does what stands there: types the examples at a server and at a
//! client, with this test's ports, displays and servers in the place of those that are named.

use crate::commands::{bin_dir, chmod, stock_xpra, test_user};
use crate::process::Process;
use crate::screen::ClientScreen;
use crate::session::{Start, free_port};
use crate::{eventually, processes, stock};
use nix::sys::signal::Signal;
use nix::unistd::{Uid, chown};
use std::io::{Seek, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The pages whose examples are executed.
const PAGES: [&str; 2] = [
    include_str!("../../docs/authentication.md"),
    include_str!("../../docs/encryption.md"),
];

const LONG: Duration = Duration::from_secs(60);
/// What the stock client asks with.
const QUESTION: &str = "Xpra Server Authentication:";
/// What it ends with when it is told that the authentication has failed.
const AUTHENTICATION_FAILED: i32 = 28;

/// A part of a page, a chapter there, and a line of it.
type Line = (&'static str, &'static str, &'static str);

/// Every line with the headings that it is below, without these.
fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for page in PAGES {
        let (mut part, mut chapter, mut fenced) = ("", "", false);
        for line in page.lines() {
            // A heading looks like a comment of the shell.
            fenced ^= line.starts_with("```");
            match (line.strip_prefix("# "), line.strip_prefix("## ")) {
                (Some(name), _) if !fenced => (part, chapter) = (name, ""),
                (_, Some(name)) if !fenced => chapter = name,
                _ => lines.push((part, chapter, line)),
            }
        }
        assert!(!fenced, "the last block has no end");
    }
    lines
}

/// Every block in the order of the pages: part, chapter, text.
fn all_blocks() -> Vec<(&'static str, &'static str, String)> {
    let mut blocks = Vec::new();
    let mut open = None;
    for (part, chapter, line) in lines() {
        let fence = line.trim_start_matches([' ', '>']);
        if fence.starts_with("```") || fence.starts_with("~~~") {
            assert!(line.starts_with("```"), "{chapter}: {line}");
            match open.take() {
                None => open = Some(String::new()),
                Some(text) => blocks.push((part, chapter, text)),
            }
        } else if let Some(text) = &mut open {
            *text += line;
            *text += "\n";
        }
    }
    blocks
}

/// The chapters that have blocks, each with the part that it is in.
#[must_use]
pub fn chapters() -> Vec<(&'static str, &'static str)> {
    let mut chapters: Vec<_> = all_blocks()
        .into_iter()
        .map(|(part, chapter, _)| (part, chapter))
        .collect();
    chapters.dedup();
    chapters
}

/// The blocks of a chapter.
///
/// # Panics
/// When there are more of them, or fewer.
#[must_use]
pub fn blocks<const N: usize>(part: &str, chapter: &str) -> [String; N] {
    let all = all_blocks().into_iter();
    let own = all.filter(|(in_part, in_chapter, _)| (*in_part, *in_chapter) == (part, chapter));
    let texts: Vec<_> = own.map(|(.., text)| text).collect();
    let count = texts.len();
    let texts = texts.try_into();
    texts.unwrap_or_else(|_| panic!("{part}, {chapter}: {count} blocks, of which {N} are executed"))
}

/// The line of a chapter's table that starts a session and has this in it, as it is typed.
///
/// # Panics
/// When there is none, or more than one.
#[must_use]
pub fn row(chapter: &str, has: &str) -> String {
    let rows = lines().into_iter().filter_map(|(_, of, line)| {
        let (line, _) = line.strip_prefix("| `xpra start ")?.split_once("` | ")?;
        (of == chapter && line.contains(has)).then_some(line)
    });
    let rows: Vec<_> = rows.collect();
    let [line] = rows[..] else {
        panic!("{chapter}: {has}: {} lines", rows.len());
    };
    let words = line.split(' ').map(|word| word.trim_matches('\''));
    let quoted: Vec<_> = words.map(|word| format!("'{word}'")).collect();
    format!("bulkhead start :100 --start=xterm {}", quoted.join(" "))
}

/// Somebody who follows a manual, with a place of their own, which is the server's and the client's.
pub struct Reader {
    start: Start,
    directory: tempfile::TempDir,
    /// The session that they start.
    pub display: u32,
    /// Its port.
    pub port: u16,
    /// What is called something else here.
    names: Vec<(String, String)>,
    variables: Vec<(String, String)>,
}

impl Reader {
    /// An ordinary user, or root.
    ///
    /// # Panics
    /// When there is no directory.
    #[must_use]
    pub fn new(start: Start) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = tempfile::Builder::new()
            .prefix("bulkhead-reader-")
            .tempdir_in("/tmp")
            .unwrap();
        chmod(directory.path(), 0o755);
        let reader = Self {
            start,
            directory,
            display: 30_000 + std::process::id() % 900 * 20 + number,
            port: free_port(),
            names: Vec::new(),
            variables: Vec::new(),
        };
        for (path, mode) in [(reader.home(), 0o755), (reader.runtime(), 0o700)] {
            std::fs::create_dir(&path).unwrap();
            chmod(&path, mode);
            reader.own(&path);
        }
        let (display, port) = (reader.display, reader.port);
        reader
            .calls("that-machine:10000", &format!("127.0.0.1:{port}"))
            .calls(":10000", &format!(":{port}"))
            .calls("that-machine", "127.0.0.1")
            .calls(":100 ", &format!(":{display} "))
            .calls(":100'", &format!(":{display}'"))
            .calls(":100\n", &format!(":{display}\n"))
    }

    /// What the manual calls by one name has another one here. What was said first comes first.
    #[must_use]
    pub fn calls(mut self, there: &str, here: &str) -> Self {
        self.names.push((there.to_owned(), here.to_owned()));
        self
    }

    /// The same, before all that was said.
    #[must_use]
    pub fn first_calls(mut self, there: &str, here: &str) -> Self {
        self.names.insert(0, (there.to_owned(), here.to_owned()));
        self
    }

    /// What they have in their environment.
    #[must_use]
    pub fn has(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Their home directory, where they are.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    fn runtime(&self) -> PathBuf {
        self.directory.path().join("runtime")
    }

    /// The session's directory.
    #[must_use]
    pub fn session_dir(&self) -> PathBuf {
        let sessions = match self.start {
            Start::User => self.runtime().join("xpra"),
            Start::Root => PathBuf::from("/run/xpra"),
        };
        sessions.join(self.display.to_string())
    }

    fn own(&self, path: &Path) {
        if self.start == Start::User && Uid::effective().is_root() {
            let user = test_user();
            chown(path, Some(user.uid), Some(user.gid)).unwrap();
        }
    }

    /// A text of the manual, with the names that there are here.
    #[must_use]
    pub fn here(&self, text: &str) -> String {
        let names = self.names.iter();
        names.fold(text.to_owned(), |text, (there, here)| {
            text.replace(there, here)
        })
    }

    /// Writes a file of theirs, that nobody else reads.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn writes(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home().join(name);
        std::fs::write(&path, self.here(text)).unwrap();
        chmod(&path, 0o600);
        self.own(&path);
        path
    }

    /// Types this into a shell that ends at the first mistake.
    ///
    /// # Panics
    /// When there is one.
    pub fn types(&self, text: &str) -> String {
        self.types_with(text, "")
    }

    /// The same, and what they are asked for then.
    ///
    /// # Panics
    /// When there is a mistake.
    pub fn types_with(&self, text: &str, answers: &str) -> String {
        let output = self.shell(text, answers);
        assert!(output.status.success(), "{}: {output:?}", self.here(text));
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }

    fn shell(&self, text: &str, answers: &str) -> Output {
        let mut input = tempfile::tempfile().unwrap();
        input.write_all(answers.as_bytes()).unwrap();
        input.rewind().unwrap();
        let path = format!(
            "{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            bin_dir().display()
        );
        let home = self.home();
        // Without a terminal, of which they could be asked.
        let mut command = Command::new("setsid");
        command
            .args(["-w", "sh", "-e", "-c", &self.here(text)])
            .env_clear()
            .env("PATH", path)
            .env("LANG", "C.UTF-8")
            .env("HOME", &home)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(home)
            .stdin(input);
        if self.start == Start::User {
            command.env("XDG_RUNTIME_DIR", self.runtime());
            if Uid::effective().is_root() {
                let user = test_user();
                command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            }
        }
        command.output().unwrap()
    }

    /// Types an `xpra attach` at a screen of their own.
    ///
    /// # Panics
    /// When it is something else.
    #[must_use]
    pub fn attaches(&self, line: &str) -> Attached {
        let line = line.replace("\\\n", " ");
        let words = line.trim_end().strip_prefix("xpra attach ");
        let words = words.filter(|words| !words.contains('\n'));
        let words = words.unwrap_or_else(|| panic!("{line}"));
        let words = words.split_whitespace().map(|word| self.here(word));
        let home = tempfile::tempdir().unwrap();
        let screen = ClientScreen::start(1280, 800);
        let mut command = stock::command(&stock_xpra(), &self.runtime(), home.path(), &["attach"]);
        command
            .args(words)
            .args(stock::WITHOUT)
            // Without it, this client fails before it asks anybody.
            .arg("--splash=yes")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("DISPLAY", screen.display())
            .current_dir(self.home());
        Attached {
            process: Process::start(&mut command),
            screen,
            _home: home,
        }
    }

    /// Does an `xpra attach` show the session's window, if they type these when they are asked?
    ///
    /// # Panics
    /// When it neither does nor says why.
    #[must_use]
    pub fn is_shown(&self, line: &str, answers: &[&str]) -> bool {
        let mut attached = self.attaches(line);
        for answer in answers {
            attached.types(answer);
        }
        attached.is_shown()
    }

    /// The session's log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.session_dir().join("server.log")).unwrap_or_default()
    }

    /// The log has a line with this text, by and by.
    ///
    /// # Panics
    /// When it has not.
    pub fn logged(&self, text: &str) {
        eventually(text, LONG, || self.log().contains(text).then_some(()));
    }

    /// Ends the session, if there is one.
    ///
    /// # Panics
    /// When it does not end.
    pub fn ends_it(&self) {
        // By the launcher, whose number the display's lock has: some sessions let nobody ask.
        let lock = PathBuf::from(format!("/tmp/.X{}-lock", self.display));
        let launcher = || -> Option<u32> {
            let text = std::fs::read_to_string(&lock).ok()?;
            text.trim().parse().ok()
        };
        if let Some(pid) = launcher() {
            processes::end(pid, Signal::SIGTERM);
            eventually("the end of the session", LONG, || {
                (launcher().is_none() && !self.session_dir().exists()).then_some(())
            });
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the session's log:\n{}", self.log());
        }
        self.ends_it();
    }
}

/// A stock client that somebody has attached.
pub struct Attached {
    process: Process,
    screen: ClientScreen,
    _home: tempfile::TempDir,
}

impl Attached {
    /// Waits until it asks, and types this.
    ///
    /// # Panics
    /// When it does not ask.
    pub fn types(&mut self, answer: &str) {
        let question = || self.screen.screen.window_named(QUESTION);
        let asked = eventually("a question", LONG, || {
            let ended = self.process.ended();
            assert!(ended.is_none(), "{ended:?}: {:?}", self.process.lines());
            question()
        });
        // Not by its name: who looks for that stumbles over windows that go meanwhile.
        let window = asked.to_string();
        self.screen.xdotool(&["windowactivate", "--sync", &window]);
        self.screen.xdotool(&["type", "--delay", "20", answer]);
        self.screen.xdotool(&["key", "Return"]);
        eventually("the end of the question", LONG, || {
            (question() != Some(asked)).then_some(())
        });
    }

    /// Does it show the session's window?
    ///
    /// # Panics
    /// When it neither does nor says that the authentication has failed.
    pub fn is_shown(&mut self) -> bool {
        let ended = eventually("a window, or the client's end", LONG, || {
            let window = self.screen.screen.window_named("xterm").map(|_| None);
            window.or_else(|| self.process.ended().map(Some))
        });
        if let Some(status) = ended {
            let said = self.process.lines();
            assert_eq!(status.code(), Some(AUTHENTICATION_FAILED), "{said:?}");
        }
        ended.is_none()
    }
}
