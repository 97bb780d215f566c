//! Keys and pointer arrive at applications.

mod common;

use common::*;
use display::input::keysyms;
use ipc::display::{Attach, DisplayToNetwork, NetworkToDisplay};
use ipc::input::{KeycodeEntry, Keymap, Modifiers};
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{ConnectionExt as _, KeyPressEvent};

const SHIFT: Modifiers = Modifiers(1);
const LOCK: Modifiers = Modifiers(2);
const ALTGR: Modifiers = Modifiers(128);
const NONE: Modifiers = Modifiers(0);

/// A French X11 keyboard, as a client tells it.
fn french() -> Keymap {
    let rows = [
        (10, "ampersand 1 ampersand 1"),
        (11, "eacute 2 eacute 2 asciitilde Eacute"),
        (23, "Tab ISO_Left_Tab Tab ISO_Left_Tab"),
        (24, "a A a A ae AE"),
        (26, "e E e E EuroSign cent"),
        (36, "Return"),
        (37, "Control_L"),
        (38, "q Q q Q at Greek_OMEGA"),
        (50, "Shift_L"),
        (54, "c C Cyrillic_es Cyrillic_ES"),
        (62, "Shift_R"),
        (64, "Alt_L Meta_L Alt_L Meta_L"),
        (65, "space"),
        (66, "Caps_Lock"),
        (77, "Num_Lock"),
        (87, "KP_End KP_1 KP_End KP_1"),
        (108, "ISO_Level3_Shift"),
        (133, "Super_L"),
    ];
    let filler = (200..215).map(|code| (code, "F13"));
    let rows = rows.into_iter().chain(filler);
    let meanings = [
        ("Shift_L", 1),
        ("Shift_R", 1),
        ("Caps_Lock", 2),
        ("Control_L", 4),
        ("Alt_L", 8),
        ("Meta_L", 8),
        ("Num_Lock", 16),
        ("Super_L", 64),
        ("ISO_Level3_Shift", 128),
    ];
    Keymap {
        x11_keycodes: rows
            .map(|(code, names)| (code, names.split(' ').map(String::from).collect()))
            .collect(),
        modifier_meanings: meanings.map(|(n, m)| (n.to_owned(), Modifiers(m))).into(),
        ..Keymap::default()
    }
}

fn with(keymap: Keymap) -> Attach {
    Attach {
        keymap: Box::new(keymap),
        ..attach()
    }
}

struct Typing {
    _server: Xvfb,
    worker: Worker,
    peer: Peer,
    app: App,
    window: u32,
    id: ipc::WindowId,
}

fn typing(attach: Attach) -> Typing {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let mut peer = worker.attached(1, false, attach);
    let app = App::start(&server);
    let window = app.window("typing", (100, 100, 300, 200));
    let id = peer.titled("typing");
    app.mapped(window);
    peer.map(id);
    peer.say(NetworkToDisplay::Focus(Some(id)));
    app.wait("FocusIn", |e| matches!(e, Event::FocusIn(_)).then_some(()));
    Typing {
        _server: server,
        worker,
        peer,
        app,
        window,
        id,
    }
}

impl Typing {
    fn event(&self, pressed: bool) -> KeyPressEvent {
        self.app.wait("a key event", |event| match event {
            Event::KeyPress(e) if pressed => Some(*e),
            Event::KeyRelease(e) if !pressed => Some(*e),
            _ => None,
        })
    }

    /// The next event of a key that is no modifier.
    fn stroke(&self, pressed: bool) -> (KeyPressEvent, Vec<u32>) {
        loop {
            let event = self.event(pressed);
            let row = self
                .app
                .x
                .get_keyboard_mapping(event.detail, 1)
                .unwrap()
                .reply()
                .unwrap();
            if !row
                .keysyms
                .first()
                .is_some_and(|sym| keysyms::is_modifier(*sym))
            {
                return (event, row.keysyms);
            }
        }
    }

    /// What an application makes of a key press: the level is what XKB says, the core keyboard
    /// mapping of the keycode has the keysym.
    fn typed(&self) -> (u32, u8) {
        let (event, row) = self.stroke(true);
        let state = u8::try_from(u16::from(event.state) & 0xff).unwrap();
        let at = |n: usize| row.get(n).copied().unwrap_or(0);
        let letter = keysyms::is_case_pair(at(0), at(1));
        let keypad = keysyms::is_keypad(at(1));
        let shifted = state & 1 != 0;
        let second = if letter {
            shifted != (state & 2 != 0)
        } else if keypad {
            shifted != (state & 16 != 0)
        } else {
            shifted
        };
        let level3 = state & 128 != 0 && (at(4) != 0 || at(5) != 0);
        let column = usize::from(second) + if level3 { 4 } else { 0 };
        let sym = if at(column) == 0 { at(0) } else { at(column) };
        (sym, state)
    }

    /// Types and checks what arrives.
    fn check(&mut self, name: &str, keycode: u32, modifiers: Modifiers) {
        self.peer.type_key(self.id, name, keycode, modifiers);
        let (sym, state) = self.typed();
        assert_eq!(
            sym,
            keysyms::from_name(name).unwrap(),
            "{name} {modifiers:?} arrived as {sym:#x}"
        );
        assert_eq!(state, modifiers.0, "{name}");
        self.stroke(false);
    }
}

#[test]
fn the_clients_own_keycodes_and_layout() {
    let mut t = typing(with(french()));
    t.check("eacute", 11, NONE);
    t.check("2", 11, SHIFT);
    t.check("EuroSign", 26, ALTGR);
    t.check("e", 26, NONE);
    t.check("A", 24, SHIFT);
    t.check("E", 26, LOCK);
    t.check("e", 26, NONE);
    t.check("KP_1", 87, Modifiers(16));
    t.check("KP_End", 87, NONE);
    t.check("a", 24, Modifiers(4));
    t.check("a", 24, Modifiers(8));
    // The keycode is the client's.
    t.peer.type_key(t.id, "eacute", 11, NONE);
    assert_eq!(t.event(true).detail, 11);
}

#[test]
fn the_second_layout_of_the_keyboard() {
    let mut t = typing(with(french()));
    // Only applications that know XKB are told the group.
    x11rb::protocol::xkb::use_extension(&t.app.x, 1, 0)
        .unwrap()
        .reply()
        .unwrap();
    for (group, name) in [(0, "c"), (1, "Cyrillic_es"), (1, "Cyrillic_ES"), (0, "c")] {
        let modifiers = if name == "Cyrillic_ES" { SHIFT } else { NONE };
        let NetworkToDisplay::Key(key) = key(t.id, name, 54, modifiers, true) else {
            unreachable!()
        };
        for pressed in [true, false] {
            let key = ipc::input::Key {
                group,
                pressed,
                ..key.clone()
            };
            t.peer.say(NetworkToDisplay::Key(key));
        }
        let (event, row) = t.stroke(true);
        let state = u16::from(event.state);
        assert_eq!(state >> 13, u16::from(group), "{name}");
        let column = usize::from(group) * 2 + usize::from(state & 1);
        assert_eq!(row[column], keysyms::from_name(name).unwrap());
        t.stroke(false);
    }
}

#[test]
fn keysyms_that_the_keyboard_lacks() {
    // As a browser does: names and numbers that mean nothing to an X server.
    let table = [("eacute", 50), ("a", 65), ("agrave", 48)].map(|(name, keycode)| KeycodeEntry {
        keysym: keysyms::from_name(name).unwrap(),
        name: name.into(),
        keycode,
        group: 0,
        level: 0,
    });
    let mut t = typing(with(Keymap {
        keycodes: table.into(),
        ..Keymap::default()
    }));
    for (name, code, modifiers) in [
        ("eacute", 50, NONE),
        ("agrave", 48, SHIFT),
        ("a", 65, NONE),
        ("A", 65, SHIFT),
        ("EuroSign", 69, ALTGR),
        ("EuroSign", 69, NONE),
        ("U0416", 300, NONE),
        ("exclam", 49, NONE),
        ("1", 49, SHIFT),
        ("Return", 13, NONE),
        ("Return", 13, SHIFT),
        ("ISO_Left_Tab", 9, SHIFT),
        ("A", 65, LOCK),
    ] {
        t.check(name, code, modifiers);
    }
}

#[test]
fn modifier_keys_are_pressed_and_released_as_the_client_has_them() {
    let mut t = typing(with(french()));
    // Shift went down while another window had the focus: only its effect is seen.
    t.peer.say(key(t.id, "A", 24, SHIFT, true));
    assert_eq!(t.event(true).detail, 50, "shift first");
    assert_eq!(t.event(true).detail, 24);
    t.peer.say(key(t.id, "a", 24, NONE, false));
    let released = [t.event(false).detail, t.event(false).detail];
    assert_eq!(released, [50, 24]);
    // A real press of Shift, then the focus goes elsewhere: nothing stays down.
    t.peer.say(key(t.id, "Shift_L", 50, NONE, true));
    assert_eq!(t.event(true).detail, 50);
    t.peer.say(NetworkToDisplay::Focus(None));
    assert_eq!(t.event(false).detail, 50);
}

#[test]
fn caps_lock_follows_the_client_and_is_not_toggled_twice() {
    let mut t = typing(with(french()));
    // The person presses Caps Lock here.
    t.peer.type_key(t.id, "Caps_Lock", 66, NONE);
    t.check("E", 26, LOCK);
    // Then there, while we do not look.
    t.check("e", 26, NONE);
    t.check("E", 26, LOCK);
    t.peer.type_key(t.id, "Caps_Lock", 66, LOCK);
    t.check("e", 26, NONE);
}

#[test]
fn a_key_that_is_held_repeats_and_is_released_with_its_client() {
    let mut attach = with(french());
    attach.key_repeat = Some((100, 20));
    let mut t = typing(attach);
    t.peer.say(key(t.id, "e", 26, NONE, true));
    t.peer.say(key(t.id, "e", 26, NONE, true));
    for _ in 0..5 {
        assert_eq!(t.event(true).detail, 26, "the X server repeats it");
    }
    let held = |t: &Typing| t.app.x.query_keymap().unwrap().reply().unwrap().keys[26 / 8] & 4 != 0;
    assert!(held(&t));
    let peer = t.peer;
    drop(peer.network);
    t.worker
        .supervisor
        .send(
            &ipc::display::SupervisorToDisplay::Gone(ipc::ConnectionId(1)),
            vec![],
        )
        .unwrap();
    let up = |e: &Event| matches!(e, Event::KeyRelease(e) if e.detail == 26).then_some(());
    t.app.wait("the release", up);
    // A repetition makes a release too: the last word counts.
    let mut rounds = 0;
    while t.app.x.query_keymap().unwrap().reply().unwrap().keys[26 / 8] & 4 != 0 {
        rounds += 1;
        assert!(rounds < 100_000, "the key stays down");
    }
}

#[test]
fn without_keyboard_sync_each_press_is_a_whole_stroke() {
    let mut attach = with(french());
    attach.keyboard_sync = false;
    attach.key_repeat = Some((100, 20));
    let mut t = typing(attach);
    for _ in 0..3 {
        t.peer.say(key(t.id, "e", 26, NONE, true));
        assert_eq!(t.event(true).detail, 26);
        assert_eq!(t.event(false).detail, 26);
    }
    t.peer.say(key(t.id, "Shift_L", 50, NONE, true));
    assert_eq!(t.event(true).detail, 50);
    t.check("A", 24, SHIFT);
    t.peer.say(key(t.id, "Shift_L", 50, SHIFT, false));
    assert_eq!(t.event(false).detail, 50);
}

#[test]
fn pointer_buttons_and_wheel_go_to_the_place_within_the_window() {
    let mut t = typing(attach());
    t.peer.motion(t.id, 17, 23);
    let at = t.app.wait("motion", |e| match e {
        Event::MotionNotify(e) => Some((e.event_x, e.event_y, e.root_x)),
        _ => None,
    });
    assert_eq!(at, (17, 23, 117));
    for button in [1, 3, 4, 5, 6, 7, 9] {
        t.peer.button(t.id, 30, 40, button, true);
        t.peer.button(t.id, 31, 41, button, false);
        let down = t.app.wait("press", |e| match e {
            Event::ButtonPress(e) => Some((e.detail, e.event_x, e.event_y)),
            _ => None,
        });
        assert_eq!(down, (button, 30, 40));
        let up = t.app.wait("release", |e| match e {
            Event::ButtonRelease(e) => Some((e.detail, e.event_x, e.event_y)),
            _ => None,
        });
        assert_eq!(up, (button, 31, 41));
    }
}

#[test]
fn the_window_that_the_client_points_at_gets_the_click_even_when_another_one_covers_it() {
    let mut t = typing(attach());
    let cover = t.app.window("cover", (100, 100, 300, 200));
    let cover_id = t.peer.titled("cover");
    t.app.mapped(cover);
    for (id, window) in [(t.id, t.window), (cover_id, cover), (t.id, t.window)] {
        t.peer.button(id, 50, 50, 1, true);
        let hit = t.app.wait("press", |e| match e {
            Event::ButtonPress(e) => Some(e.event),
            _ => None,
        });
        assert_eq!(hit, window);
        t.peer.button(id, 50, 50, 1, false);
        t.app.wait("release", |e| {
            matches!(e, Event::ButtonRelease(_)).then_some(())
        });
    }
}

#[test]
fn a_button_is_released_even_when_its_window_has_gone() {
    let mut t = typing(attach());
    t.peer.button(t.id, 5, 5, 1, true);
    t.app.wait("press", |e| {
        matches!(e, Event::ButtonPress(_)).then_some(())
    });
    t.app.x.destroy_window(t.window).unwrap();
    t.app.sync();
    t.peer.lost(t.id);
    let down = |t: &Typing| {
        let mask = t
            .app
            .x
            .query_pointer(t.app.root)
            .unwrap()
            .reply()
            .unwrap()
            .mask;
        u16::from(mask) & 0x1f00 != 0
    };
    assert!(down(&t));
    t.peer.button(t.id, 5, 5, 1, false);
    // And a press for a window that has gone is none.
    t.peer.button(t.id, 5, 5, 3, true);
    let other = t.app.window("other", (0, 0, 50, 50));
    let id = t.peer.titled("other");
    t.app.mapped(other);
    t.peer.motion(id, 3, 3);
    let motion = |e: &Event| matches!(e, Event::MotionNotify(_)).then_some(());
    t.app.wait("motion", motion);
    assert!(!down(&t));
}

#[test]
fn real_text_in_a_real_terminal() {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let mut peer = worker.attached(1, false, with(french()));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("typed");
    let pipe = directory.path().join("pipe");
    nix_mkfifo(&pipe);
    let mut terminal = Ending(
        server
            .command("xterm")
            .env("LC_ALL", "C.UTF-8")
            .args(["-u8", "-title", "terminal", "-e", "sh", "-c"])
            .arg(format!(
                "echo ready > {0}; head -n 1 > {1}; echo done > {0}",
                pipe.display(),
                file.display()
            ))
            .spawn()
            .unwrap(),
    );
    let id = peer.titled("terminal");
    peer.map(id);
    assert_eq!(read_pipe(&pipe), "ready\n");
    peer.say(NetworkToDisplay::Focus(Some(id)));
    for (name, code, modifiers) in [
        ("e", 26, NONE),
        ("eacute", 11, NONE),
        ("EuroSign", 26, ALTGR),
        ("A", 24, SHIFT),
        ("at", 38, ALTGR),
        // Not on that keyboard: by its meaning.
        ("U0416", 240, NONE),
        ("Return", 36, NONE),
    ] {
        peer.type_key(id, name, code, modifiers);
    }
    assert_eq!(read_pipe(&pipe), "done\n");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "eé€A@Ж\n");
    peer.lost(id);
    terminal.0.wait().unwrap();
}

/// A process that ends with the test.
struct Ending(std::process::Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What somebody writes into a pipe, unless nobody does for too long.
fn read_pipe(path: &std::path::Path) -> String {
    let (sender, receiver) = std::sync::mpsc::channel();
    let path = path.to_owned();
    std::thread::spawn(move || sender.send(std::fs::read_to_string(path).unwrap()));
    receiver
        .recv_timeout(PATIENCE)
        .expect("something in the pipe")
}

fn nix_mkfifo(path: &std::path::Path) {
    assert!(
        std::process::Command::new("mkfifo")
            .arg(path)
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn clients_are_told_the_modifier_keys() {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let mut peer = worker.client(1, false, ipc::display::Purpose::Session);
    peer.say(NetworkToDisplay::Attach(with(french())));
    let keys = peer.hear("Attached", |m| match m {
        DisplayToNetwork::Attached { modifier_keys, .. } => Some(modifier_keys.clone()),
        _ => None,
    });
    assert_eq!(
        keys[0],
        [(50, "Shift_L".to_owned()), (62, "Shift_R".to_owned())]
    );
    assert_eq!(keys[7], [(108, "ISO_Level3_Shift".to_owned())]);
}
