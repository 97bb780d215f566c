//! A25: an application that does everything to its windows that X11 allows.

use crate::peer::{LONG, key_to_pixels, only_these_are_left, processes_but};
use bulkhead_tests::application::Application;
use bulkhead_tests::session::Session;
use bulkhead_tests::twins::{attach, shown};
use std::time::Duration;
use test_client::Client;
use test_client::wire::packet::WindowId;
use x11rb::protocol::xproto::{
    ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _, EventMask, PropMode,
};
use x11rb::wrapper::ConnectionExt as _;

const PROPERTIES: [&str; 19] = [
    "_NET_WM_NAME",
    "WM_NAME",
    "WM_ICON_NAME",
    "WM_CLASS",
    "WM_WINDOW_ROLE",
    "WM_COMMAND",
    "WM_CLIENT_MACHINE",
    "WM_HINTS",
    "WM_NORMAL_HINTS",
    "WM_TRANSIENT_FOR",
    "WM_PROTOCOLS",
    "WM_STATE",
    "_MOTIF_WM_HINTS",
    "_NET_WM_ICON",
    "_NET_WM_PID",
    "_NET_WM_STATE",
    "_NET_WM_STRUT_PARTIAL",
    "_NET_WM_WINDOW_OPACITY",
    "_NET_WM_WINDOW_TYPE",
];

/// What the other windows and the client must still do.
fn lives(client: &mut Client, window: WindowId) {
    client.focus(Some(window)).unwrap();
    for _ in 0..3 {
        key_to_pixels(client, window, "x");
    }
}

fn hostile_properties(app: &Application, window: u32) {
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(5000).collect();
    let x = app.x();
    let replace = PropMode::REPLACE;
    for name in PROPERTIES.map(|name| app.atom(name)) {
        for kind in [
            "STRING",
            "UTF8_STRING",
            "CARDINAL",
            "ATOM",
            "WINDOW",
            "WM_HINTS",
        ] {
            let kind = app.atom(kind);
            for value in [&bytes[..], &[], b"\0\0\n\x1b]0;x\x07"] {
                x.change_property8(replace, window, name, kind, value)
                    .unwrap();
            }
            x.change_property16(replace, window, name, kind, &[u16::MAX; 700])
                .unwrap();
            for value in [&[u32::MAX; 700][..], &[window], &[1, 1, 1, 1 << 31]] {
                x.change_property32(replace, window, name, kind, value)
                    .unwrap();
            }
        }
    }
    app.sync();
}

fn hostile_messages(app: &Application, window: u32) {
    let root = app.screen.root();
    for kind in [
        "_NET_WM_STATE",
        "WM_CHANGE_STATE",
        "_NET_WM_MOVERESIZE",
        "_NET_ACTIVE_WINDOW",
    ] {
        let kind = app.atom(kind);
        for data in [[0; 5], [u32::MAX; 5], [7, u32::MAX, 1 << 31, 12, 300]] {
            for target in [window, root, 0x1234_5678, 0] {
                let event = ClientMessageEvent::new(32, target, kind, data);
                let mask = EventMask::SUBSTRUCTURE_REDIRECT;
                app.x().send_event(false, root, mask, event).unwrap();
            }
        }
    }
    for changes in [
        ConfigureWindowAux::new().width(65_535).height(65_535),
        ConfigureWindowAux::new().x(-32_768).y(32_767),
        ConfigureWindowAux::new().border_width(65_535),
        ConfigureWindowAux::new()
            .x(20)
            .y(20)
            .width(240)
            .height(160)
            .border_width(0),
    ] {
        app.x().configure_window(window, &changes).unwrap();
    }
    app.sync();
}

#[test]
fn the_client_and_the_other_windows_live() {
    let session = Session::start(&["--sharing=yes", "--start=xterm -T typing -e cat"]);
    let mut client = attach(&session, 1);
    let typing = shown(&mut client, "typing");
    lives(&mut client, typing);
    let processes = processes_but(&session, &[]);
    let app = Application {
        screen: session.screen(),
    };
    let window = app.window("hostile");
    shown(&mut client, "hostile");

    hostile_properties(&app, window);
    hostile_messages(&app, window);
    lives(&mut client, typing);

    // Icons that promise more than there is, and more than anybody wants.
    for (size, pixels) in [
        ((u32::MAX, u32::MAX), 4),
        ((65_536, 65_536), 4096),
        ((1024, 1024), 1024 * 1024 - 1),
        ((0, 7), 9),
    ] {
        app.icon(window, size, pixels);
    }
    // A title of megabytes.
    let (name, kind) = (app.atom("_NET_WM_NAME"), app.atom("UTF8_STRING"));
    app.x().delete_property(window, name).unwrap();
    let part = "é\u{202e}".repeat(20_000);
    for _ in 0..40 {
        app.x()
            .change_property8(PropMode::APPEND, window, name, kind, part.as_bytes())
            .unwrap();
    }
    app.sync();
    lives(&mut client, typing);

    // Menus that come and go, and more of them than there is room for.
    for n in 0..3000 {
        let menu = app.create((n % 500, n % 300), (40, 40), true);
        app.x().map_window(menu).unwrap();
        app.x().destroy_window(menu).unwrap();
    }
    app.sync();
    let menus: Vec<u32> = (0..1500)
        .map(|n| {
            let menu = app.create((n % 500, 400), (9, 9), true);
            app.x().map_window(menu).unwrap();
            menu
        })
        .collect();
    app.sync();
    lives(&mut client, typing);
    for menu in menus {
        app.x().destroy_window(menu).unwrap();
    }
    app.title(window, "the end");
    app.sync();
    let last =
        |state: &test_client::State| state.titled("the end").is_some() && state.windows.len() == 2;
    client.wait_for(last, LONG).unwrap();
    client.settle(Duration::from_millis(50), LONG).unwrap();
    lives(&mut client, typing);
    assert!(client.state().complaints.is_empty());
    only_these_are_left(&session, &processes);
}

/// Every event that an application can send, about every window that matters, to where a window
/// manager listens. Only the X server knows what is true: none of it counts.
fn forged_events(app: &Application, victim: u32, own: u32) {
    const UNMAP_NOTIFY: u8 = 18;
    let (x, root) = (app.x(), app.screen.root());
    let manager = app.atom("WM_S0");
    let manager = x.get_selection_owner(manager).unwrap();
    let manager = manager.reply().unwrap().owner;
    assert_ne!(manager, 0, "there is a window manager");
    let redirect = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
    let watched = EventMask::PROPERTY_CHANGE | EventMask::FOCUS_CHANGE;
    for code in 2..=127 {
        for about in [victim, own, manager, root, 0, u32::MAX] {
            // ICCCM 4.1.4: this one says that a window withdraws, and anybody can unmap it.
            if code == UNMAP_NOTIFY && [victim, own].contains(&about) {
                continue;
            }
            for detail in [0, 1, u8::MAX] {
                let mut event = [0; 32];
                event[..2].copy_from_slice(&[code, detail]);
                for field in event[4..].as_chunks_mut::<4>().0 {
                    *field = about.to_ne_bytes();
                }
                for (to, mask) in [
                    (root, redirect),
                    (own, watched),
                    (manager, EventMask::NO_EVENT),
                ] {
                    x.send_event(false, to, mask, event).unwrap();
                }
            }
        }
    }
    app.sync();
}

#[test]
fn events_that_an_application_makes_up_do_not_count() {
    let session = Session::start(&["--sharing=yes", "--start=xterm -T typing -e cat"]);
    let mut client = attach(&session, 1);
    let typing = shown(&mut client, "typing");
    let processes = processes_but(&session, &[]);
    let app = Application {
        screen: session.screen(),
    };
    let victim = app.screen.window_named("typing").unwrap();
    let own = app.window("forger");
    shown(&mut client, "forger");
    let before = client.state().windows.clone();
    for _ in 0..3 {
        forged_events(&app, victim, own);
        lives(&mut client, typing);
    }
    app.title(own, "the end");
    app.sync();
    let last = |state: &test_client::State| state.titled("the end").is_some();
    client.wait_for(last, LONG).unwrap();
    lives(&mut client, typing);
    let state = client.state();
    assert!(
        state.windows.keys().eq(before.keys()),
        "nothing came or went"
    );
    for (id, window) in &before {
        assert_eq!(state.windows[id].geometry, window.geometry);
    }
    assert!(state.complaints.is_empty());
    only_these_are_left(&session, &processes);
}
