//! Sizes that the application's hints do not allow.

mod common;

use common::*;
use ipc::display::{DisplayToNetwork, Geometry, NetworkToDisplay, WindowState};
use ipc::{Position, Size, WindowId};
use std::time::{Duration, Instant};
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _, EventMask, PropMode,
};
use x11rb::wrapper::ConnectionExt as _;

/// A terminal's hints: minimum 10×17, base 4×4, steps of 6×13 (ICCCM 4.1.2.3).
fn terminal() -> [u32; 18] {
    let mut hints = [0; 18];
    hints[0] = 16 | 64 | 256;
    hints[5..7].copy_from_slice(&[10, 17]);
    hints[9..11].copy_from_slice(&[6, 13]);
    hints[15..17].copy_from_slice(&[4, 4]);
    hints
}

/// A window of 364×264 with hints, shown by one client.
fn with_hints(hints: &[u32]) -> (Xvfb, Worker, Peer, App, u32, WindowId) {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let mut peer = worker.attached(1, false, attach());
    let app = App::start(&server);
    let window = app.create((30, 40, 364, 264), &listening());
    let (property, kind) = (AtomEnum::WM_NORMAL_HINTS, AtomEnum::WM_SIZE_HINTS);
    app.x
        .change_property32(PropMode::REPLACE, window, property, kind, hints)
        .unwrap();
    app.title(window, "sized");
    app.x.map_window(window).unwrap();
    app.x.flush().unwrap();
    let id = peer.titled("sized");
    app.mapped(window);
    peer.map(id);
    (server, worker, peer, app, window, id)
}

fn configure(window: WindowId, width: u32, height: u32, maximized: bool) -> NetworkToDisplay {
    NetworkToDisplay::Configure {
        window,
        geometry: Some(Geometry {
            position: Position { x: 30, y: 40 },
            size: Size::new(width, height).unwrap(),
        }),
        resize_counter: 0,
        states: vec![(WindowState::Maximized, maximized)],
    }
}

fn configured(app: &App, window: u32) -> (u16, u16) {
    app.wait("ConfigureNotify", |e| match e {
        Event::ConfigureNotify(e) if e.window == window => Some((e.width, e.height)),
        _ => None,
    })
}

fn resized(peer: &mut Peer, id: WindowId) -> (u16, u16) {
    peer.hear("Resize", |m| match m {
        DisplayToNetwork::Resize { window, size, .. } if *window == id => {
            Some((size.width(), size.height()))
        }
        _ => None,
    })
}

#[test]
fn a_client_gets_what_the_hints_allow_and_is_told_when_it_pauses() {
    let (_server, _worker, mut peer, app, window, id) = with_hints(&terminal());
    // The client's first words are its Map.
    assert_eq!(resized(&mut peer, id), (364, 264));
    let start = Instant::now();
    // Three steps of a person's hand: one answer, to the last.
    for (width, height) in [(500, 333), (450, 310), (400, 300)] {
        peer.say(configure(id, width, height, false));
    }
    assert_eq!(configured(&app, window), (496, 329));
    assert_eq!(configured(&app, window), (448, 303));
    assert_eq!(configured(&app, window), (400, 290));
    assert_eq!(resized(&mut peer, id), (400, 290));
    assert!(start.elapsed() >= Duration::from_millis(250), "at once");
    // The stock client rounds down what it says, not what it has: it is told too.
    peer.say(configure(id, 400, 290, false));
    assert_eq!(resized(&mut peer, id), (400, 290));
    // What fills the screen fills it whatever the hints say.
    peer.say(configure(id, 1001, 701, true));
    assert_eq!(configured(&app, window), (1001, 701));
    peer.say(configure(id, 1, 1, false));
    assert_eq!(configured(&app, window), (10, 17));
    assert_eq!(resized(&mut peer, id), (10, 17));
}

#[test]
fn a_pager_gets_what_the_hints_allow_and_the_application_what_it_likes() {
    let (_server, _worker, _peer, app, window, _) = with_hints(&terminal());
    let sides = 1 << 10 | 1 << 11;
    let message = [sides, 0, 0, 400, 300];
    let event = ClientMessageEvent::new(32, window, app.atom("_NET_MOVERESIZE_WINDOW"), message);
    let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
    app.x.send_event(false, app.root, mask, event).unwrap();
    app.sync();
    assert_eq!(configured(&app, window), (400, 290));
    let own = ConfigureWindowAux::new().width(401).height(301);
    app.x.configure_window(window, &own).unwrap();
    app.sync();
    assert_eq!(configured(&app, window), (401, 301));
}
