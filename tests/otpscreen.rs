//! `auth=otpscreen` in real sessions: what the screen shows is read there, and typed at clients.

use bulkhead_tests::door::Door;
use bulkhead_tests::otpscreen::{self as shown, Shown, TITLE};
use bulkhead_tests::session::{PASSWORD, Session};
use bulkhead_tests::source::connect_from;
use bulkhead_tests::{eventually, processes, stock, twins};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use test_client::{Client, Error, Options};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{AtomEnum, ClientMessageEvent, ConnectionExt as _, EventMask};

const LONG: Duration = Duration::from_secs(60);

/// A session with one more TCP socket for each of these.
fn session<const N: usize>(modules: [&str; N], more: &[&str]) -> (Session, [u16; N]) {
    let words = [&["--debug=all", "--sharing=yes"], more].concat();
    Session::with_sockets(modules, &words)
}

/// No process and no window of a login is left, and no code is in a log.
fn is_clean(session: &Session, codes: &[&str]) {
    eventually("the end of the checks", LONG, || {
        let left = processes::of_role(session.process().id(), "auth-otpscreen");
        left.is_empty().then_some(())
    });
    shown::none_is_left(session);
    let log = std::fs::read_to_string(session.session_dir().join("server.log"));
    let lines = log.iter().flat_map(|log| log.lines().map(str::to_owned));
    for line in session.process().lines().into_iter().chain(lines) {
        let code = codes.iter().find(|code| line.contains(**code));
        assert_eq!(code, None, "{line}");
    }
}

/// Somebody who waits for a code, and then types what they are told.
struct Waiting {
    types: std::sync::mpsc::Sender<String>,
    outcome: JoinHandle<Result<Client, String>>,
}

impl Waiting {
    fn new(port: u16, last: u8, options: Options) -> Self {
        let (types, typed) = std::sync::mpsc::channel::<String>();
        let typed = std::sync::Mutex::new(typed);
        // Whoever types nothing waits until the server has had enough.
        let options = options.reads(move |_| {
            let code = typed.lock().unwrap().recv();
            code.unwrap_or_else(|_| "nothing".into()).into_bytes()
        });
        let outcome = std::thread::spawn(move || {
            let mut client = Client::on(connect_from([0, 1, last], port).unwrap(), &options);
            let shaken = client.handshake(2 * LONG);
            shaken.map(|()| client).map_err(|error| error.to_string())
        });
        Self { types, outcome }
    }

    fn types(self, code: &str) -> Result<Client, String> {
        self.types.send(code.to_owned()).unwrap();
        self.outcome.join().unwrap()
    }
}

/// Somebody who says hello and types nothing.
struct Silent(JoinHandle<Result<Client, String>>);

impl Silent {
    fn new(port: u16, last: u8) -> Self {
        Self(std::thread::spawn(move || {
            let mut client = Client::on(connect_from([0, 1, last], port).unwrap(), &Options::gtk());
            // It has nothing that the challenge could be answered with.
            assert!(matches!(client.handshake(LONG), Err(Error::Challenge(_))));
            loop {
                match client.next_event(LONG) {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("it is not told anything"),
                    Err(error) => return Err(error.to_string()),
                }
            }
        }))
    }

    fn expect_refusal(self) {
        refused(self.0.join().unwrap());
    }
}

fn refused(outcome: Result<Client, String>) {
    let error = outcome.err().expect("nobody is let in");
    assert!(error.contains("authentication failed"), "{error}");
}

/// The windows, once there are so many and all are drawn.
fn several(session: &Session, count: usize) -> Vec<Shown> {
    let screen = session.screen();
    eventually("windows with codes", LONG, || {
        let all = shown::all(&screen);
        (all.len() == count && all.iter().all(Shown::is_drawn)).then_some(all)
    })
}

/// A file that the stock client waits for.
struct Fifo(tempfile::TempDir);

impl Fifo {
    fn new() -> Self {
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        let it = Self(directory);
        std::fs::set_permissions(it.0.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        nix::unistd::mkfifo(&it.path(), nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
        it
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("code")
    }
}

/// What the stock client gets for this, which is made from what the screen shows.
fn stock_says(
    session: &Session,
    port: u16,
    count: usize,
    typed: impl Fn(&str) -> String,
) -> (bool, String) {
    let fifo = Fifo::new();
    let address = format!("tcp://ann@127.0.0.1:{port}/");
    let handler = format!(
        "--challenge-handlers=file:filename={}",
        fifo.path().display()
    );
    let words = ["info", &address, &handler];
    std::thread::scope(|scope| {
        let client = scope.spawn(|| stock::run_with(session, &[], &words));
        let code = shown::one(session).code(count);
        std::fs::write(fifo.path(), typed(&code)).unwrap();
        let output = client.join().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let yes = output.status.success();
        assert_eq!(yes, said.contains("server.mode=seamless"), "{output:?}");
        (yes, code)
    })
}

#[test]
fn the_stock_client_is_let_in_with_what_the_screen_shows() {
    let (session, ports) = session(
        [
            "otpscreen",
            "otpscreen(mode=alpha,count=32)",
            "otpscreen,mode=alphanumeric,count=8,timeout=60",
        ],
        &[],
    );
    let mut codes = Vec::new();
    for (port, (count, letters)) in ports.iter().zip([
        (6, "0123456789"),
        (32, "abcdefghjkmnpqrstuvwxyz"),
        (8, "abcdefghjkmnpqrstuvwxyz23456789"),
    ]) {
        let (yes, code) = stock_says(&session, *port, count, str::to_owned);
        assert!(yes);
        assert!(
            code.chars().all(|letter| letters.contains(letter)),
            "{code}"
        );
        shown::none_is_left(&session);
        codes.push(code);
    }
    session.logged(&["is let in as", "by otpscreen"]);
    // The one before is good no more, and a wrong one never was.
    let last = codes[0].clone();
    let (yes, code) = stock_says(&session, ports[0], 6, |_| last.clone());
    assert!(!yes);
    codes.push(code);
    session.logged(&["is refused by otpscreen: authentication failed"]);
    let (yes, code) = stock_says(&session, ports[0], 6, |code| {
        code.chars().rev().collect::<String>() + "0"
    });
    assert!(!yes);
    codes.push(code);
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    is_clean(&session, &codes);
}

/// Its window comes, or does not.
#[test]
fn the_stock_client_shows_the_session_after_what_the_screen_shows() {
    let door = Door::new("otpscreen", false);
    for right in [true, false] {
        let fifo = Fifo::new();
        let handler = format!("file:filename={}", fifo.path().display());
        std::thread::scope(|scope| {
            let client = scope.spawn(|| door.visitor("ann").by(&handler).is_shown());
            let code = shown::one(&door.session).code(6);
            let typed = match right {
                true => code.clone(),
                false => code.chars().rev().collect::<String>() + "0",
            };
            std::fs::write(fifo.path(), typed).unwrap();
            assert_eq!(client.join().unwrap(), right);
            door.is_silent_about(&[&code]);
        });
    }
}

#[test]
fn each_login_has_its_own_code() {
    let (session, [port]) = session(["otpscreen"], &[]);
    let [one, other] = [1, 2].map(|last| {
        let waiting = Waiting::new(port, last, Options::gtk());
        several(&session, last.into());
        waiting
    });
    let codes: BTreeSet<String> = several(&session, 2).iter().map(|it| it.code(6)).collect();
    assert_eq!(codes.len(), 2);
    // Whose is whose is on the screen; here it is tried.
    let code = codes.first().unwrap();
    let (first, second) = (one.types(code), other.types(code));
    assert!(first.is_ok() != second.is_ok(), "one code, one login");
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    is_clean(&session, &codes);
}

#[test]
fn what_nobody_types_goes_away() {
    let (session, [port, slow]) = session(["otpscreen(timeout=10)", "otpscreen"], &[]);
    // Its time is over.
    let begin = Instant::now();
    let waiting = Silent::new(port, 1);
    let code = shown::one(&session).code(6);
    waiting.expect_refusal();
    assert!(begin.elapsed() >= Duration::from_secs(10));
    session.logged(&["auth-otpscreen", "nobody has typed the code in time"]);
    is_clean(&session, &[&code]);
    // Somebody closes the window.
    let waiting = Silent::new(slow, 2);
    let window = shown::one(&session).window;
    let screen = session.screen();
    let x = screen.connection();
    let atom = |name: &str| {
        let reply = x.intern_atom(false, name.as_bytes()).unwrap();
        reply.reply().unwrap().atom
    };
    let (protocols, delete) = (atom("WM_PROTOCOLS"), atom("WM_DELETE_WINDOW"));
    // An event that means nothing, first.
    for data in [[protocols, 0, 0, 0, 0], [delete, 0, 0, 0, 0]] {
        let event = ClientMessageEvent::new(32, window, protocols, data);
        x.send_event(false, window, EventMask::NO_EVENT, event)
            .unwrap();
    }
    x.flush().unwrap();
    waiting.expect_refusal();
    session.logged(&["auth-otpscreen", "somebody has closed the window"]);
    // An application destroys it.
    let waiting = Silent::new(slow, 3);
    let window = shown::one(&session).window;
    x.destroy_window(window).unwrap();
    x.flush().unwrap();
    waiting.expect_refusal();
    // Its connection ends.
    let waiting = Silent::new(slow, 4);
    let window = shown::one(&session).window;
    x.kill_client(window).unwrap();
    x.flush().unwrap();
    waiting.expect_refusal();
    session.logged(&["auth-otpscreen", "the code cannot be shown"]);
    // The client leaves: that is as much as a wrong answer.
    let gone = Client::on(connect_from([0, 1, 5], slow).unwrap(), &Options::gtk());
    let hello = leave_when_shown(&session, gone);
    drop(hello);
    session.logged(&["127.0.1.5", "has left before the answer"]);
    is_clean(&session, &[]);
    // The process ends, `auth` ends.
    let waiting = Silent::new(slow, 6);
    let _ = shown::one(&session);
    let top = session.process().id();
    processes::end(
        processes::of_role(top, "auth-otpscreen")[0],
        Signal::SIGKILL,
    );
    waiting.expect_refusal();
    let waiting = Silent::new(slow, 7);
    let _ = shown::one(&session);
    processes::replace(top, "auth", Signal::SIGKILL);
    assert!(waiting.0.join().unwrap().is_err());
    is_clean(&session, &[]);
    // And all is well.
    let waiting = Waiting::new(slow, 8, Options::gtk());
    let code = shown::one(&session).code(6);
    waiting.types(&code).unwrap();
}

/// Says hello, and leaves when there is a window.
fn leave_when_shown(session: &Session, mut client: Client) -> Client {
    // The challenge is not answered: there is no password.
    let _ = client.handshake(LONG);
    let _ = shown::one(session);
    client
}

/// The screen is not covered: one window for each place, three for strangers, and who waits gets a turn.
#[test]
fn strangers_do_not_cover_the_screen() {
    let (session, [port]) = session(["otpscreen"], &[]);
    let codes = || -> BTreeSet<String> {
        let all = several(&session, 3);
        all.iter().map(|it| it.code(6)).collect()
    };
    let first = Waiting::new(port, 1, Options::gtk());
    let own = shown::one(&session).code(6);
    let more = [1, 2, 3, 4, 5, 6].map(|last| Waiting::new(port, last, Options::gtk()));
    let before = codes();
    // As long as nobody does anything: the others have begun.
    eventually("all of them", LONG, || {
        let lines = session.process().lines();
        let wait = lines
            .iter()
            .filter(|line| line.contains("waits for a place"));
        (wait.count() == 4).then_some(())
    });
    assert_eq!(codes(), before);
    // One goes, another one comes.
    first.types(&own).unwrap();
    let after = eventually("the next one", LONG, || {
        let after = codes();
        (after != before).then_some(after)
    });
    assert_eq!(before.difference(&after).collect::<Vec<_>>(), [&own]);
    // All get a turn.
    for one in &more {
        one.types.send("nothing".to_owned()).unwrap();
    }
    for one in more {
        refused(one.outcome.join().unwrap());
    }
    is_clean(&session, &[]);
    session.logged(&["127.0.1.6", "is refused by otpscreen"]);
}

/// Strangers who type nothing keep nobody out, whoever has been there before least of all.
#[test]
fn silent_strangers_make_room() {
    let (session, [port]) = session(["otpscreen(timeout=600)"], &[]);
    let come_back = Waiting::new(port, 7, Options::gtk());
    let code = shown::one(&session).code(6);
    drop(come_back.types(&code).unwrap());
    shown::none_is_left(&session);
    let silent = [1, 2, 3].map(|last| Silent::new(port, last));
    let theirs = several(&session, 3);
    let theirs: BTreeSet<String> = theirs.iter().map(|it| it.code(6)).collect();
    let begin = Instant::now();
    let another = Waiting::new(port, 4, Options::gtk());
    session.logged(&["waits for a place on the screen"]);
    let known = Waiting::new(port, 7, Options::gtk());
    let all: BTreeSet<String> = several(&session, 4).iter().map(|it| it.code(6)).collect();
    assert!(begin.elapsed() < Duration::from_secs(20));
    let own: Vec<&String> = all.difference(&theirs).collect();
    known.types(own[0]).unwrap();
    // Another stranger waits for half a minute.
    let code = eventually("its turn", LONG, || {
        let all = shown::all(&session.screen());
        let drawn = all.iter().all(Shown::is_drawn).then_some(all)?;
        let codes: BTreeSet<String> = drawn.iter().map(|it| it.code(6)).collect();
        codes
            .difference(&theirs)
            .find(|code| *code != own[0])
            .cloned()
    });
    assert!(begin.elapsed() > Duration::from_secs(25));
    another.types(&code).unwrap();
    session.logged(&["its place on the screen is for somebody who waits"]);
    eventually("the end of one", LONG, || {
        let ended = silent.iter().filter(|one| one.0.is_finished());
        (ended.count() == 1).then_some(())
    });
}

/// Beside a password, which is asked for first: nobody who lacks it has a window shown.
#[test]
fn a_password_comes_first() {
    let module = "file(filename=password.txt),auth=otpscreen";
    let (session, [port]) = session([module], &[]);
    let wrong = Waiting::new(port, 1, Options::gtk().password("wrong"));
    refused(wrong.outcome.join().unwrap());
    assert!(shown::all(&session.screen()).is_empty());
    let right = Waiting::new(port, 2, Options::gtk().password(PASSWORD));
    let code = shown::one(&session).code(6);
    right.types(&code).unwrap();
    is_clean(&session, &[&code]);
}

/// Whatever a client says that it is called.
#[test]
fn names_are_shown_as_they_can_be() {
    let (session, [port]) = session(["otpscreen"], &[]);
    let names = [
        String::new(),
        "ann".to_owned(),
        "x".repeat(256),
        "\u{202e}nna \u{1b}[2J\r\n\0\u{7f}".to_owned(),
        "J\u{fc}rgen \u{10348}\u{301} \u{4e2d}\u{6587}".to_owned(),
    ];
    let mut pictures = Vec::new();
    for (last, name) in (1..).zip(&names) {
        let waiting = Waiting::new(port, last, Options::gtk().username(name));
        let shown = shown::one(&session);
        let code = shown.code(6);
        assert_eq!((shown.picture.width, shown.picture.height), (720, 280));
        keep(&shown, &format!("name-{last}"));
        waiting.types(&code).unwrap();
        shown::none_is_left(&session);
        pictures.push(shown.picture);
    }
    // The names are different, and on their line only.
    let rows = |picture: &bulkhead_tests::screen::Picture, rows: std::ops::Range<usize>| {
        let row = usize::from(picture.width) * 4;
        picture.pixels[rows.start * row..rows.end * row].to_vec()
    };
    let name = |picture| rows(picture, 84..104);
    let names: BTreeSet<_> = pictures.iter().map(name).collect();
    assert_eq!(names.len(), pictures.len());
    for part in [0..60, 104..128, 200..240] {
        let same: BTreeSet<_> = pictures.iter().map(|it| rows(it, part.clone())).collect();
        assert_eq!(same.len(), 1, "{part:?}");
    }
}

/// For somebody to look at, where that is asked for.
fn keep(shown: &Shown, name: &str) {
    let Some(directory) = std::env::var_os("BULKHEAD_TEST_PICTURES") else {
        return;
    };
    let head = format!("P6 {} {} 255\n", shown.picture.width, shown.picture.height);
    let pixels = shown.picture.pixels.chunks_exact(4);
    let pixels = pixels.flat_map(|it| [it[2], it[1], it[0]]);
    let bytes: Vec<u8> = head.into_bytes().into_iter().chain(pixels).collect();
    std::fs::write(PathBuf::from(directory).join(format!("{name}.ppm")), bytes).unwrap();
}

/// Who is attached sees the window, and goes on typing where they were.
#[test]
fn whoever_is_attached_sees_it() {
    let (session, [port]) = session(["otpscreen"], &["--start=xterm -T typing"]);
    let screen = session.screen();
    let xterm = eventually("an xterm", LONG, || screen.window_named("typing"));
    let mut client = twins::attach(&session, 1);
    let typing = client.state().titled("typing").unwrap();
    client.focus(Some(typing)).unwrap();
    eventually("the focus", LONG, || {
        (screen.focus() == Some(xterm)).then_some(())
    });
    let waiting = Waiting::new(port, 1, Options::gtk());
    let shown = shown::one(&session);
    client
        .wait_for(|state| state.titled(TITLE).is_some(), LONG)
        .unwrap();
    assert_eq!(screen.focus(), Some(xterm));
    assert_eq!(
        screen.text(shown.window, AtomEnum::WM_CLASS).as_deref(),
        Some("bulkhead-otpscreen\0Bulkhead\0")
    );
    waiting.types(&shown.code(6)).unwrap();
    is_clean(&session, &[]);
}

/// The X server goes, and so does the session, with all that waited.
#[test]
fn an_x_server_that_ends_lets_nobody_in() {
    let (session, [port]) = session(["otpscreen"], &[]);
    let waiting = Silent::new(port, 1);
    let _ = shown::one(&session);
    let is_x = |pid: u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.trim_end() == "Xvfb")
    };
    let launcher = session.launcher();
    let mut all = processes::parents().into_iter();
    let x = all.find(|(pid, parent)| *parent == launcher && is_x(*pid));
    processes::end(x.unwrap().0, Signal::SIGKILL);
    session.logged(&["the X server has ended"]);
    assert!(waiting.0.join().unwrap().is_err());
}
