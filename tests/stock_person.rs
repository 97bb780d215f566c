//! What a person does and notices with the stock Xpra 6.5.5 client, beside windows
//! (`stock_client.rs`): the keyboard in their own layout, the wheel, and what is not a picture.

use bulkhead_tests::eventually;
use bulkhead_tests::screen::{ClientScreen, Screen};
use bulkhead_tests::session::Session;
use bulkhead_tests::stock::{StockClient, Via};
use std::process::Command;
use std::time::Duration;
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xfixes::ConnectionExt as _;
use x11rb::protocol::xkb::{self, ConnectionExt as _};
use x11rb::protocol::xproto::Window;

const LONG: Duration = Duration::from_secs(30);

/// Waits until the client shows a window with this title.
fn shown(screen: &Screen, title: &str) -> Window {
    eventually("the window at the client", LONG, || {
        screen.window_named(title)
    })
}

/// Keycodes of a PC keyboard (xkb's `evdev`): `108` is AltGr, `50` Shift, `66` Caps Lock, `77` Num
/// Lock. Each word is pressed in turn and then released, last first.
fn strokes(screen: &ClientScreen, words: &str) {
    for word in words.split(' ') {
        let keys: Vec<&str> = word.split('+').collect();
        let down = keys.iter().flat_map(|key| ["keydown", key]);
        let up = keys.iter().rev().flat_map(|key| ["keyup", key]);
        screen.xdotool(&down.chain(up).collect::<Vec<_>>());
    }
}

/// Runs a program on the client's screen.
fn run(screen: &ClientScreen, program: &str, words: &[&str]) {
    let mut command = Command::new(program);
    let command = command.args(words).env("DISPLAY", screen.display());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program} {words:?}: {output:?}");
}

fn layout_arrives(layout: &str, words: &str, expected: &str) {
    let session = Session::start(&["--start=xterm -u8 -T wanted -e tee typed.txt"]);
    let screen = ClientScreen::start(1024, 768);
    run(&screen, "setxkbmap", &[layout]);
    let _client = StockClient::attach(&session, &screen, Via::Tcp);
    shown(&screen.screen, "wanted");
    screen.activate("wanted");
    strokes(&screen, words);
    strokes(&screen, "36");
    eventually("the text in the application", LONG, || {
        let typed = session.typed();
        assert!(
            typed.is_empty() || typed.trim_end() == expected,
            "{typed:?} instead of {expected:?}"
        );
        (!typed.is_empty()).then_some(())
    });
}

#[test]
fn a_german_keyboard_with_all_its_levels_dead_keys_and_locks() {
    // Letters; AltGr, AltGr with Shift; dead keys; Caps Lock on and off; Num Lock on and off.
    let words = "24 29 52 47 48 34 20 108+24 108+26 108+50+24 108+16 21 26 50+21 38 49 32 \
                 66 38 47 66 38 77 87 77";
    layout_arrives("de", words, "qzyöäüß@€Ω{éàôAÖa1");
}

#[test]
fn a_french_keyboard_with_all_its_levels_dead_keys_and_locks() {
    let words = "24 25 38 11 50+11 108+26 108+19 34 26 50+34 31 66 24 66 24 77 87 77";
    layout_arrives("fr", words, "azqé2€@êïAa1");
}

#[test]
fn the_wheel_turns_both_ways() {
    let session = Session::start(&["--start=sh -c 'xev -name wheel > events.txt'"]);
    let screen = ClientScreen::start(1024, 768);
    let _client = StockClient::attach(&session, &screen, Via::Tcp);
    let outside = shown(&screen.screen, "wheel");
    let (x, y, _, _) = screen.screen.geometry(outside).unwrap();
    let at = [(x + 20).to_string(), (y + 20).to_string()];
    screen.xdotool(&["mousemove", &at[0], &at[1]]);
    let turns = [(4, 1), (5, 2), (6, 3), (7, 4)];
    for (button, times) in turns {
        for _ in 0..times {
            screen.xdotool(&["click", &button.to_string()]);
        }
    }
    eventually("the wheel in the application", LONG, || {
        let events = std::fs::read_to_string(session.home().join("events.txt")).unwrap_or_default();
        let count = |button| events.matches(&format!("button {button},")).count();
        // A press and a release each.
        let all = turns
            .iter()
            .all(|(button, times)| count(*button) == 2 * times);
        all.then_some(())
    });
}

/// Width, height and pixels of the pointer's shape, at the same place in both.
fn cursor(screen: &Screen) -> Option<(u16, u16, Vec<u32>)> {
    let cookie = screen.connection().xfixes_get_cursor_image().ok()?;
    let image = cookie.reply().ok()?;
    Some((image.width, image.height, image.cursor_image))
}

#[test]
fn title_cursor_bell_and_screen_arrive() {
    // A line typed is a new title; then the bell rings.
    let script = r#"--start=xterm -T wanted -geometry 60x20+40+30 -e sh -c 'while read line; do printf "\033]0;%s\007\007" "$line"; done'"#;
    let session = Session::start(&[script]);
    let screen = ClientScreen::start(1024, 768);
    let x11 = session.screen();
    let (inside, outside) = (x11.connection(), screen.screen.connection());
    for connection in [inside, outside] {
        connection
            .xfixes_query_version(5, 0)
            .unwrap()
            .reply()
            .unwrap();
        connection.xkb_use_extension(1, 0).unwrap().reply().unwrap();
    }
    let bell = xkb::SelectEventsAuxBellNotify {
        affect_bell: 1,
        bell_details: 1,
    };
    let bell = xkb::SelectEventsAux::new().bell_notify(bell);
    let (none, nothing) = (xkb::EventType::from(0u16), xkb::MapPart::from(0u16));
    outside
        .xkb_select_events(0x100, none, none, nothing, nothing, &bell)
        .unwrap();
    let _client = StockClient::attach(&session, &screen, Via::Tcp);
    let window = shown(&screen.screen, "wanted");
    eventually("the screen has the client's size", LONG, || {
        let root = x11.geometry(x11.root())?;
        ((root.2, root.3) == (1024, 768)).then_some(())
    });
    // The client's screen becomes smaller.
    for words in [
        "--newmode small 42 1000 1000 1000 1000 700 700 700 700",
        "--addmode screen small",
        "--output screen --mode small",
    ] {
        run(&screen, "xrandr", &words.split(' ').collect::<Vec<_>>());
    }
    eventually("the screen follows", LONG, || {
        let root = x11.geometry(x11.root())?;
        ((root.2, root.3) == (1000, 700)).then_some(())
    });
    // The pointer has a terminal's shape there, and the client's own elsewhere.
    let (x, y, _, _) = screen.screen.geometry(window).unwrap();
    let at = [(x + 60).to_string(), (y + 60).to_string()];
    let elsewhere = cursor(&screen.screen);
    screen.xdotool(&["mousemove", &at[0], &at[1]]);
    eventually("the cursor at the client", LONG, || {
        let (wanted, shown) = (cursor(&x11)?, cursor(&screen.screen)?);
        (wanted == shown && Some(&shown) != elsewhere.as_ref()).then_some(())
    });
    screen.activate("wanted");
    screen.xdotool(&["type", "--delay", "20", "renamed"]);
    screen.xdotool(&["key", "Return"]);
    shown(&screen.screen, "renamed");
    eventually("the bell at the client", LONG, || {
        let event = outside.poll_for_event().unwrap()?;
        matches!(event, Event::XkbBellNotify(_)).then_some(())
    });
}
