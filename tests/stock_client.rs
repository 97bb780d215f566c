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
    let inside = eventually("the window in the session", LONG, || session.window_named(title));
    let outside = eventually("the window at the client", LONG, || client.window_named(title));
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
    screen.xdotool(&["search", "--sync", "--onlyvisible", "--name", title, "windowactivate", "--sync"]);
    screen.xdotool(&["type", "--delay", "20", text]);
    screen.xdotool(&["key", "Return"]);
}

fn typed(session: &Session) -> String {
    std::fs::read_to_string(session.home().join("typed.txt")).unwrap_or_default()
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
        (typed(&session) == "Hello, World! (42% of it) ~/x_y\n").then_some(())
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
    if nix::unistd::Uid::effective().is_root() {
        typed_text_arrives(Via::Tcp, Start::Root);
    }
}
