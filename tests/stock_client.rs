//! The stock Xpra 6.5.5 client, unmodified, against our server under its real sandbox.

use bulkhead_tests::eventually;
use bulkhead_tests::screen::{ClientScreen, Screen};
use bulkhead_tests::session::{Session, Start};
use bulkhead_tests::stock::{self, StockClient, Via};
use std::time::Duration;
use x11rb::protocol::xproto::Window;

const LONG: Duration = Duration::from_secs(30);
const XTERM: &str = "--start=xterm -T wanted -geometry 60x20+40+30 -e tee typed.txt";

/// The session's window and the client's, both with this title.
fn windows(session: &Screen, client: &Screen, title: &str) -> (Window, Window) {
    let inside = eventually("the window in the session", LONG, || {
        session.window_named(title)
    });
    let outside = eventually("the window at the client", LONG, || {
        client.window_named(title)
    });
    (inside, outside)
}

/// Waits until the client shows exactly what the session has.
fn identical(session: &Screen, inside: Window, client: &Screen, outside: Window) {
    eventually("both pictures are the same, and not empty", LONG, || {
        let (wanted, shown) = (session.picture(inside)?, client.picture(outside)?);
        (wanted.difference(&shown) == Some(0) && wanted.colours() > 1).then_some(())
    });
}

fn type_text(screen: &ClientScreen, title: &str, text: &str) {
    screen.activate(title);
    screen.xdotool(&["type", "--delay", "20", text]);
    screen.xdotool(&["key", "Return"]);
}

fn typed_text_arrives(via: Via, start: Start) {
    let session = Session::start_as(start, &[XTERM]);
    let screen = ClientScreen::start(1280, 800);
    let _client = StockClient::attach(&session, &screen, via);
    let x11 = session.screen();
    let (inside, outside) = windows(&x11, &screen.screen, "wanted");
    identical(&x11, inside, &screen.screen, outside);
    type_text(&screen, "wanted", "Hello, World! (42% of it) ~/x_y");
    eventually("the text in the application", LONG, || {
        (session.typed() == "Hello, World! (42% of it) ~/x_y\n").then_some(())
    });
    identical(&x11, inside, &screen.screen, outside);
}

#[test]
fn typed_text_arrives_over_tcp() {
    typed_text_arrives(Via::Tcp, Start::User);
}

#[test]
fn typed_text_arrives_over_the_unix_socket() {
    typed_text_arrives(Via::UnixSocket, Start::User);
}

#[test]
fn typed_text_arrives_in_a_session_that_root_started() {
    if needs::root("start a session for somebody else") {
        typed_text_arrives(Via::Tcp, Start::Root);
    }
}

#[test]
fn a_wrong_password_is_refused() {
    let session = Session::start(&[XTERM]);
    let screen = ClientScreen::start(800, 600);
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong");
    std::fs::write(&wrong, "not the password").unwrap();
    let handler = format!("--challenge-handlers=file:filename={}", wrong.display());
    let mut client = StockClient::attach_with(&session, &screen, Via::Unauthenticated, &[&handler]);
    // AUTHENTICATION_FAILED of the stock client.
    assert_eq!(client.process_mut().wait(LONG).code(), Some(28));
}

#[test]
fn the_stock_command_line_tools_work() {
    let session = Session::start(&[XTERM]);
    for via in [Via::Tcp, Via::UnixSocket] {
        let version = stock::run(&session, via, &["version"]);
        assert!(version.status.success(), "{version:?}");
        let text = String::from_utf8_lossy(&version.stdout).into_owned();
        assert!(
            text.trim().starts_with(|c: char| c.is_ascii_digit()),
            "{text:?}"
        );

        let info = stock::run(&session, via, &["info"]);
        let text = String::from_utf8_lossy(&info.stdout).into_owned();
        assert!(
            info.status.success() && text.contains("server.mode=seamless"),
            "{info:?}"
        );

        let directory = tempfile::tempdir().unwrap();
        let png = directory.path().join("screen.png");
        let shot = stock::run(&session, via, &["screenshot", png.to_str().unwrap()]);
        let bytes = std::fs::read(&png).unwrap_or_default();
        assert!(
            shot.status.success() && bytes.starts_with(b"\x89PNG"),
            "{shot:?}"
        );
    }
    let id = stock::run(&session, Via::UnixSocket, &["id"]);
    let text = String::from_utf8_lossy(&id.stdout).into_owned();
    assert!(
        text.contains(&format!("display=:{}", session.display)),
        "{id:?}"
    );
    let list = stock::run_without_display(&session, &["list"]);
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(
        text.contains(&format!("LIVE session at :{}", session.display)),
        "{list:?}"
    );
}

#[test]
fn stop_ends_the_session_and_leaves_nothing() {
    let mut session = Session::start(&[XTERM]);
    let display = session.display;
    let stop = stock::run(&session, Via::UnixSocket, &["stop"]);
    assert!(stop.status.success(), "{stop:?}");
    assert!(session.process_mut().wait(LONG).success());
    let lock = format!("/tmp/.X{display}-lock");
    let socket = format!("/tmp/.X11-unix/X{display}");
    for left in [
        lock.as_ref(),
        socket.as_ref(),
        session.session_dir().as_path(),
    ] {
        assert!(!left.exists(), "{} is left", left.display());
    }
}

#[test]
fn detach_and_attach_again_restores_everything() {
    let session = Session::start(&[XTERM]);
    let screen = ClientScreen::start(1280, 800);
    let x11 = session.screen();
    let mut client = StockClient::attach(&session, &screen, Via::Tcp);
    windows(&x11, &screen.screen, "wanted");
    type_text(&screen, "wanted", "before");
    let detach = stock::run(&session, Via::UnixSocket, &["detach"]);
    assert!(detach.status.success(), "{detach:?}");
    client.process_mut().wait(LONG);
    let _again = StockClient::attach(&session, &screen, Via::Tcp);
    let (inside, outside) = windows(&x11, &screen.screen, "wanted");
    identical(&x11, inside, &screen.screen, outside);
    type_text(&screen, "wanted", "after");
    eventually("both lines", LONG, || {
        (session.typed() == "before\nafter\n").then_some(())
    });
    identical(&x11, inside, &screen.screen, outside);
}

#[test]
fn a_second_client_takes_over_and_the_first_is_told_why() {
    let session = Session::start(&[XTERM]);
    let (one, two) = (
        ClientScreen::start(1024, 768),
        ClientScreen::start(1024, 768),
    );
    let x11 = session.screen();
    let mut first = StockClient::attach(&session, &one, Via::Tcp);
    windows(&x11, &one.screen, "wanted");
    let _second = StockClient::attach(&session, &two, Via::Tcp);
    let (inside, outside) = windows(&x11, &two.screen, "wanted");
    identical(&x11, inside, &two.screen, outside);
    first.process_mut().wait(LONG);
    assert!(
        first
            .process()
            .lines()
            .iter()
            .any(|line| line.contains("new client"))
    );
}

#[test]
fn a_menu_opens_at_the_right_place() {
    let session = Session::start(&[XTERM]);
    let screen = ClientScreen::start(1280, 800);
    let _client = StockClient::attach(&session, &screen, Via::Tcp);
    let x11 = session.screen();
    let (inside, outside) = windows(&x11, &screen.screen, "wanted");
    identical(&x11, inside, &screen.screen, outside);
    // Control and the first button open xterm's main menu at the pointer.
    let (x, y, _, _) = screen.screen.geometry(outside).unwrap();
    let at = [(x + 50).to_string(), (y + 40).to_string()];
    screen.activate("wanted");
    screen.xdotool(&[
        "mousemove",
        &at[0],
        &at[1],
        "keydown",
        "Control_L",
        "mousedown",
        "1",
    ]);
    let menu = |screen: &Screen| {
        let sizes = |w: &Window| Some((*w, screen.outer_geometry(*w)?));
        let found = screen
            .popups()
            .iter()
            .filter_map(sizes)
            .find(|(_, g)| g.2 > 50 && g.3 > 50);
        found.map(|(_, geometry)| geometry)
    };
    let inside_menu = eventually("the menu in the session", LONG, || menu(&x11));
    let outside_menu = eventually("the menu at the client", LONG, || menu(&screen.screen));
    screen.xdotool(&["mouseup", "1", "keyup", "Control_L"]);
    assert_eq!(
        (inside_menu.2, inside_menu.3),
        (outside_menu.2, outside_menu.3),
        "its size"
    );
    let (ix, iy, _, _) = x11.geometry(inside).unwrap();
    let offsets = |menu: (i16, i16, u16, u16), x: i16, y: i16| (menu.0 - x, menu.1 - y);
    assert_eq!(
        offsets(inside_menu, ix, iy),
        offsets(outside_menu, x, y),
        "beside its window"
    );
    eventually("the menu closes at the client", LONG, || {
        menu(&screen.screen).is_none().then_some(())
    });
}

#[test]
fn windows_are_resized_from_both_sides_and_closed() {
    let session = Session::start(&[
        "--start=xterm -T wanted -geometry 60x20+40+30 -xrm 'XTerm*allowWindowOps: true'",
    ]);
    let screen = ClientScreen::start(1280, 800);
    let _client = StockClient::attach(&session, &screen, Via::Tcp);
    let x11 = session.screen();
    let (inside, outside) = windows(&x11, &screen.screen, "wanted");
    identical(&x11, inside, &screen.screen, outside);
    let before = screen.screen.geometry(outside).unwrap();
    // xterm resizes itself on this escape sequence: 30 rows, 90 columns.
    type_text(&screen, "wanted", r"printf '\033[8;30;90t'");
    eventually("the application's resize at the client", LONG, || {
        let now = screen.screen.geometry(outside)?;
        (now.2 > before.2 && now.3 > before.3).then_some(())
    });
    identical(&x11, inside, &screen.screen, outside);
    let before = x11.geometry(inside).unwrap();
    // A multiple of xterm's character cells: 66 columns, 22 rows.
    screen.xdotool(&[
        "search",
        "--onlyvisible",
        "--name",
        "wanted",
        "windowsize",
        "400",
        "290",
    ]);
    eventually("the person's resize in the session", LONG, || {
        let now = x11.geometry(inside)?;
        (now.2 < before.2 && now.3 < before.3).then_some(())
    });
    identical(&x11, inside, &screen.screen, outside);
    // No multiple: the client's window follows the application, that has whole cells only.
    screen.xdotool(&[
        "search",
        "--onlyvisible",
        "--name",
        "wanted",
        "windowsize",
        "430",
        "330",
    ]);
    let cells = (4 + 71 * 6, 4 + 25 * 13);
    eventually("the same size on both sides", LONG, || {
        let size = |screen: &Screen, window| screen.geometry(window).map(|g| (g.2, g.3));
        let both = (size(&x11, inside)?, size(&screen.screen, outside)?);
        (both == (cells, cells)).then_some(())
    });
    identical(&x11, inside, &screen.screen, outside);
    // openbox sends WM_DELETE_WINDOW.
    screen.activate("wanted");
    screen.xdotool(&["key", "alt+F4"]);
    eventually("the window is closed in the session", LONG, || {
        x11.window_named("wanted").is_none().then_some(())
    });
}
