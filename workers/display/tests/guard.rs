//! What a client, a peer or an application must not be able to do.

mod common;

use common::*;
use ipc::capture::{CaptureBuffer, EncoderToDisplay};
use ipc::display::{
    Attach, DisplayToNetwork, DisplayToSupervisor, Geometry, Metadata, NetworkToDisplay, Purpose,
    Signal, SupervisorToDisplay, WindowState,
};
use ipc::input::Modifiers;
use ipc::verdict::Peer as Who;
use ipc::{ConnectionId, Position, Size, WindowId};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use x11rb::connection::Connection as _;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _, EventMask, PropMode,
};
use x11rb::wrapper::ConnectionExt as _;

fn size(width: u32, height: u32) -> Size {
    Size::new(width, height).unwrap()
}

fn describe(worker: &mut Worker, token: u64) {
    worker
        .supervisor
        .send(&SupervisorToDisplay::Describe { token }, vec![])
        .unwrap();
    until(&mut worker.supervisor, "Description", |m, _| match m {
        DisplayToSupervisor::Description { token: t, .. } if t == token => Some(()),
        DisplayToSupervisor::Signal { .. } => panic!("a signal: {m:?}"),
        _ => None,
    });
}

#[test]
fn a_read_only_client_sees_and_changes_nothing() {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let app = App::start(&server);
    let keymap = Box::new(ipc::input::Keymap {
        x11_keycodes: (30..60).map(|k| (k, vec!["F20".into()])).collect(),
        ..Default::default()
    });
    let desktop = Some(size(640, 480));
    let before = app
        .x
        .get_keyboard_mapping(38, 1)
        .unwrap()
        .reply()
        .unwrap()
        .keysyms;
    let mut peer = worker.attached(
        1,
        true,
        Attach {
            keymap: keymap.clone(),
            desktop,
            ..attach()
        },
    );
    let window = app.window("watched", (30, 40, 320, 200));
    let id = peer.titled("watched");
    app.mapped(window);
    let geometry = Geometry {
        position: Position { x: 1, y: 2 },
        size: size(50, 60),
    };
    let states = vec![(WindowState::Iconic, true), (WindowState::Maximized, true)];
    peer.say(NetworkToDisplay::Map {
        window: id,
        geometry,
        states: states.clone(),
    });
    peer.say(NetworkToDisplay::Configure {
        window: id,
        geometry: Some(geometry),
        resize_counter: 0,
        states,
    });
    peer.say(NetworkToDisplay::Focus(Some(id)));
    peer.type_key(id, "a", 38, Modifiers(1));
    peer.motion(id, 5, 5);
    peer.button(id, 5, 5, 1, true);
    peer.say(NetworkToDisplay::Keymap(keymap));
    peer.say(NetworkToDisplay::KeyboardSync(false));
    peer.say(NetworkToDisplay::DesktopSize(size(700, 500)));
    peer.say(NetworkToDisplay::Signal {
        window: id,
        signal: Signal::Term,
    });
    peer.say(NetworkToDisplay::Close(id));
    peer.say(NetworkToDisplay::Unmap {
        window: id,
        iconified: true,
    });
    peer.map(id);
    describe(&mut worker, 1);
    // The answer to this is the first that the application sees of the worker.
    let same = ConfigureWindowAux::new().width(320).height(200);
    app.x.configure_window(window, &same).unwrap();
    let first = app.wait("the answer", |event| match event {
        Event::Expose(_) | Event::PropertyNotify(_) | Event::MapNotify(_) => None,
        Event::ConfigureNotify(e) if e.response_type & 0x80 != 0 => Some(Ok((e.x, e.width))),
        other => Some(Err(format!("{other:?}"))),
    });
    assert_eq!(first, Ok((30, 320)));
    let place = app.x.get_geometry(window).unwrap().reply().unwrap();
    assert_eq!(
        (place.x, place.y, place.width, place.height),
        (30, 40, 320, 200)
    );
    let root = app.x.get_geometry(app.root).unwrap().reply().unwrap();
    assert_eq!((root.width, root.height), (1280, 800));
    assert_eq!(
        app.x
            .get_keyboard_mapping(38, 1)
            .unwrap()
            .reply()
            .unwrap()
            .keysyms,
        before
    );
    assert!(app.property(window, "_NET_WM_STATE").is_empty());
    assert_eq!(app.property(window, "WM_STATE")[0], 1);
    // It sees all the same.
    app.paint(window, (320, 200));
    peer.settle(id, (320, 200), &app.image(window, (320, 200)));
    app.title(window, "still watched");
    assert_eq!(peer.titled("still watched"), id);
}

#[test]
fn peers_that_break_the_rules_are_reported_and_nobody_else_notices() {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let mut good = worker.attached(1, false, attach());
    let app = App::start(&server);
    let window = app.window("calm", (0, 0, 64, 64));
    let id = good.titled("calm");
    app.mapped(window);
    good.map(id);
    let violation = |worker: &mut Worker| {
        until(&mut worker.supervisor, "Violation", |m, _| match m {
            DisplayToSupervisor::Violation(v) => Some(v.peer),
            _ => None,
        })
    };
    // First message is not Attach.
    let mut bad = worker.client(2, false, Purpose::Session);
    bad.say(NetworkToDisplay::SetBell(true));
    assert_eq!(violation(&mut worker), Who::Network(ConnectionId(2)));
    // Attach twice.
    let mut bad = worker.attached(3, false, attach());
    bad.say(NetworkToDisplay::Attach(attach()));
    assert_eq!(violation(&mut worker), Who::Network(ConnectionId(3)));
    // Too many windows held.
    let mut bad = worker.client(4, false, Purpose::Session);
    let held = (1..1100).map(|xid| WindowId::new(0, xid)).collect();
    bad.say(NetworkToDisplay::Attach(Attach { held, ..attach() }));
    assert_eq!(violation(&mut worker), Who::Network(ConnectionId(4)));
    // An encoder that gives back what it does not have.
    let mut bad = worker.attached(5, false, attach());
    bad.ask(EncoderToDisplay::Release(CaptureBuffer(0)));
    assert_eq!(violation(&mut worker), Who::Encoder(ConnectionId(5)));
    // An encoder that pulls without end: nothing is shown, so all stay open.
    let mut bad = worker.attached(6, false, attach());
    for _ in 0..9 {
        bad.ask(EncoderToDisplay::Pull);
    }
    assert_eq!(violation(&mut worker), Who::Encoder(ConnectionId(6)));
    // Rubbish in place of a greeting.
    let (ours, theirs) = ipc::channel::socketpair().unwrap();
    let (_encoder, encoder_end) = ipc::channel::socketpair().unwrap();
    let message = SupervisorToDisplay::Client {
        connection: ConnectionId(7),
        rights: ipc::verdict::Rights { readonly: false },
        purpose: Purpose::Session,
    };
    worker
        .supervisor
        .send(&message, vec![theirs, encoder_end])
        .unwrap();
    let mut wrong: ipc::Channel<EncoderToDisplay, DisplayToNetwork> = ipc::Channel::new(ours);
    // It may be cut off after its greeting already.
    let _ = wrong.send(&EncoderToDisplay::Pull, vec![]);
    assert_eq!(violation(&mut worker), Who::Network(ConnectionId(7)));
    // The first client has noticed nothing.
    app.paint(window, (64, 64));
    good.settle(id, (64, 64), &app.image(window, (64, 64)));
}

#[test]
fn a_client_that_does_not_read_costs_nobody_anything() {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let mut lazy = worker.client(1, false, Purpose::Session);
    lazy.say(NetworkToDisplay::Attach(attach()));
    let mut good = worker.attached(2, false, attach());
    let app = App::start(&server);
    let window = app.window("start", (0, 0, 64, 64));
    good.titled("start");
    // Far more than a socket holds.
    for n in 0..3000 {
        app.title(window, &format!("{n} {}", "x".repeat(900)));
        let menu = app.menu("flash", (0, 0, 5, 5));
        app.x.destroy_window(menu).unwrap();
    }
    app.title(window, "end");
    let id = good.titled("end");
    describe(&mut worker, 1);
    // It reads at last: the present state, not the history.
    let mut messages = 0;
    while lazy.windows.get(&id).is_none_or(|w| w.title() != "end") {
        lazy.hear("the end", |_| Some(()));
        messages += 1;
    }
    assert!(messages < 3000, "{messages}");
    assert_eq!(lazy.windows.len(), 1);
}

#[test]
fn hostile_properties_are_bounded_and_harmless() {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let mut peer = worker.attached(1, false, attach());
    let app = App::start(&server);
    let window = app.window("victim", (0, 0, 64, 64));
    let id = peer.titled("victim");
    let names = [
        "_NET_WM_NAME",
        "WM_NAME",
        "_NET_WM_ICON_NAME",
        "WM_ICON_NAME",
        "WM_CLASS",
        "WM_WINDOW_ROLE",
        "WM_COMMAND",
        "WM_CLIENT_MACHINE",
        "_NET_WM_PID",
        "WM_TRANSIENT_FOR",
        "_NET_WM_WINDOW_TYPE",
        "WM_NORMAL_HINTS",
        "WM_HINTS",
        "_NET_WM_WINDOW_OPACITY",
        "_MOTIF_WM_HINTS",
        "WM_PROTOCOLS",
        "_NET_WM_ICON",
        "_NET_WM_STATE",
        "WM_STATE",
    ];
    let kinds = [
        "STRING",
        "UTF8_STRING",
        "COMPOUND_TEXT",
        "CARDINAL",
        "ATOM",
        "WINDOW",
        "WM_HINTS",
    ];
    let bytes: Vec<u8> = (0..=255u8).cycle().take(5000).collect();
    for name in names.map(|name| app.atom(name)) {
        for kind in kinds.map(|kind| app.atom(kind)) {
            let put8 = |value: &[u8]| {
                app.x
                    .change_property8(PropMode::REPLACE, window, name, kind, value)
            };
            put8(&bytes).unwrap();
            put8(&[]).unwrap();
            put8(b"\0\0\n\x1b]0;x\x07").unwrap();
            app.x
                .change_property16(PropMode::REPLACE, window, name, kind, &[0xffff; 700])
                .unwrap();
            app.x
                .change_property32(PropMode::REPLACE, window, name, kind, &[u32::MAX; 700])
                .unwrap();
            app.x
                .change_property32(PropMode::REPLACE, window, name, kind, &[window])
                .unwrap();
            app.x
                .change_property32(PropMode::REPLACE, window, name, kind, &[1, 1, 1, 1 << 31])
                .unwrap();
            app.sync();
        }
    }
    // A property of megabytes, of which only the beginning is read.
    let name = app.atom("_NET_WM_NAME");
    app.x.delete_property(window, name).unwrap();
    let utf8 = app.atom("UTF8_STRING");
    for _ in 0..40 {
        let part = "é\u{202e}".repeat(20_000);
        app.x
            .change_property8(PropMode::APPEND, window, name, utf8, part.as_bytes())
            .unwrap();
    }
    app.sync();
    let long = peer.hear("a long title", |m| match m {
        DisplayToNetwork::Metadata { metadata, .. } => metadata.iter().find_map(|m| match m {
            Metadata::Title(title) if title.starts_with("é\u{202e}") => Some(title.len()),
            _ => None,
        }),
        _ => None,
    });
    assert!(long <= 1024);
    // Messages with rubbish in them, to every window and none.
    let types = [
        "_NET_WM_STATE",
        "WM_CHANGE_STATE",
        "_NET_WM_MOVERESIZE",
        "_NET_MOVERESIZE_WINDOW",
        "_NET_ACTIVE_WINDOW",
        "_NET_REQUEST_FRAME_EXTENTS",
        "_NET_SUPPORTED",
        "WM_PROTOCOLS",
    ];
    for kind in types.map(|name| app.atom(name)) {
        for data in [
            [0; 5],
            [u32::MAX; 5],
            [7, u32::MAX, 1 << 31, 12, 300],
            [0xf00, 1 << 31, 3, 0, 0],
        ] {
            for target in [window, app.root, 0x1234_5678, 0] {
                let event = ClientMessageEvent::new(32, target, kind, data);
                let mask = EventMask::SUBSTRUCTURE_REDIRECT;
                app.x.send_event(false, app.root, mask, event).unwrap();
            }
        }
    }
    // Geometry without sense.
    for changes in [
        ConfigureWindowAux::new().width(65535).height(65535),
        ConfigureWindowAux::new().x(-32768).y(32767),
        ConfigureWindowAux::new().border_width(65535),
    ] {
        app.x.configure_window(window, &changes).unwrap();
    }
    app.sync();
    app.title(window, "survivor");
    while !peer.windows[&id].title().contains("survivor") {
        peer.hear("the last title", |_| Some(()));
    }
    for metadata in &peer.windows[&id].metadata {
        let texts: Vec<&str> = match metadata {
            Metadata::Title(t) | Metadata::IconTitle(t) | Metadata::Role(t) => vec![t],
            Metadata::Command(t) | Metadata::ClientMachine(t) => vec![t],
            Metadata::ClassInstance(a, b) => vec![a, b],
            _ => vec![],
        };
        for text in texts {
            assert!(
                text.len() <= 1024 && !text.chars().any(char::is_control),
                "{text:?}"
            );
        }
    }
    assert_eq!(worker.stop(), 0);
}

#[test]
fn enormous_windows_cursors_and_floods() {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let mut peer = worker.attached(
        1,
        false,
        Attach {
            cursors: true,
            ..attach()
        },
    );
    let app = App::start(&server);
    // More windows than anybody looks after: the rest is not shown, and works all the same.
    let many: Vec<u32> = (0..1300)
        .map(|_| app.create((0, 0, 2, 2), &listening()))
        .collect();
    for window in &many {
        app.x.map_window(*window).unwrap();
    }
    app.mapped(*many.last().unwrap());
    describe(&mut worker, 1);
    for window in many {
        app.x.destroy_window(window).unwrap();
    }
    app.sync();
    let window = app.window("after the flood", (0, 0, 64, 64));
    let id = peer.titled("after the flood");
    assert!(peer.windows.len() <= 1025);
    // A cursor whose picture is far larger than any reply we take: 9 MiB of it.
    let bitmap = x11rb::connection::Connection::generate_id(&app.x).unwrap();
    let cursor = x11rb::connection::Connection::generate_id(&app.x).unwrap();
    app.x
        .create_pixmap(1, bitmap, app.root, 1500, 1500)
        .unwrap();
    app.x
        .create_cursor(cursor, bitmap, bitmap, 0, 0, 0, 0, 0, 0, 0, 0)
        .unwrap();
    let attributes = x11rb::protocol::xproto::ChangeWindowAttributesAux::new().cursor(cursor);
    app.x.change_window_attributes(window, &attributes).unwrap();
    app.mapped(window);
    peer.motion(id, 30, 30);
    let motion = |e: &Event| matches!(e, Event::MotionNotify(_)).then_some(());
    app.wait("motion", motion);
    app.title(window, "still here");
    peer.titled("still here");
    // A window as large as they get is seen in bands.
    let large = app.menu("large", (0, 0, 16384, 2000));
    let large_id = peer.titled("large");
    app.mapped(large);
    let mut rows = 0;
    while rows < 2000 {
        peer.ask(EncoderToDisplay::Pull);
        loop {
            let message = peer.encoder_message("a band");
            if let ipc::capture::DisplayToEncoder::Frame {
                buffer,
                window,
                rect,
                ..
            } = message
            {
                if window == large_id {
                    assert_eq!(u32::from(rect.y), rows);
                    rows += u32::from(rect.size.height());
                }
                peer.release(buffer);
                break;
            }
        }
    }
    assert_eq!(rows, 2000);
    assert!(peer.buffers.len() <= 8);
    assert_eq!(worker.stop(), 0);
}

type Network = ipc::Channel<NetworkToDisplay, DisplayToNetwork>;

/// Says these again and again, as fast as they are taken, `times` times.
fn flood(network: &mut Network, messages: &[NetworkToDisplay], times: usize) {
    for message in messages.iter().cycle().take(times) {
        network.send(message, vec![]).unwrap();
        while network.wants_write() {
            let mut fds = [PollFd::new(network.as_fd(), PollFlags::POLLOUT)];
            poll(&mut fds, PollTimeout::from(1000u16)).unwrap();
            network.flush().unwrap();
        }
    }
}

#[test]
fn a_flood_of_what_is_expensive_slows_nobody_else() {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let mut first = worker.attached(1, false, attach());
    let mut other = worker.attached(2, false, attach());
    let app = App::start(&server);
    let window = app.window("before", (30, 40, 320, 200));
    let id = other.titled("before");
    app.mapped(window);
    const SAID: usize = 4000;
    // Two keyboards, as large as they get.
    let keymap = |name: &str| {
        let names = vec![name.to_owned(); 4];
        NetworkToDisplay::Keymap(Box::new(ipc::input::Keymap {
            x11_keycodes: (8..=255).map(|k| (k, names.clone())).collect(),
            ..Default::default()
        }))
    };
    let messages = [
        keymap("Cyrillic_es"),
        NetworkToDisplay::DesktopSize(size(640, 480)),
        keymap("Greek_OMEGA"),
        NetworkToDisplay::DesktopSize(size(1024, 768)),
    ];
    let network = &mut first.network;
    let start = Instant::now();
    let mut times = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(network, &messages, SAID));
        let mut times = Vec::new();
        while !flooding.is_finished() {
            let title = format!("title {}", times.len());
            let start = Instant::now();
            app.title(window, &title);
            other.titled(&title);
            times.push(start.elapsed());
        }
        times
    });
    let elapsed = start.elapsed();
    times.sort_unstable();
    let mut changes = 0_u128;
    while let Some(event) = app.x.poll_for_event().unwrap() {
        changes += u128::from(matches!(event, Event::MappingNotify(_)));
    }
    let (count, median) = (times.len(), times[times.len() / 2]);
    println!(
        "{SAID} said in {elapsed:?}, {changes} mapping events; {count} titles, each {median:?}, at worst {:?}",
        times[count - 1]
    );
    // A machine that does other things too may take its time.
    assert!(median < Duration::from_millis(100), "{median:?}");
    // Each change is told twice; one change a tenth of a second, and some.
    let most = 2 * (elapsed.as_millis() / 100 + 3);
    assert!(changes <= most, "{changes} mapping events, {most} allowed");
    // The last ones count in the end.
    let expected = size(800, 600);
    first.say(NetworkToDisplay::DesktopSize(expected));
    let resized = |m: &DisplayToNetwork| match m {
        DisplayToNetwork::DesktopSize { root, .. } if *root == expected => Some(()),
        _ => None,
    };
    other.hear("the last size", resized);
    assert!(other.windows.contains_key(&id));
    assert_eq!(worker.stop(), 0);
}
