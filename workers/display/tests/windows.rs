//! Windows come, change and go.

mod common;

use common::*;
use ipc::display::{
    DisplayToNetwork, DisplayToSupervisor, Geometry, Metadata, NetworkToDisplay, SizeConstraints,
    SupervisorToDisplay, WindowState, WindowType,
};
use ipc::{Position, Size, WindowId};
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _, EventMask, PropMode,
    StackMode,
};
use x11rb::wrapper::ConnectionExt as _;

fn geometry(x: i32, y: i32, width: u32, height: u32) -> Geometry {
    Geometry {
        position: Position { x, y },
        size: Size::new(width, height).unwrap(),
    }
}

struct Session {
    server: Xvfb,
    worker: Worker,
    peer: Peer,
    app: App,
}

fn session() -> Session {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let peer = worker.attached(1, false, attach());
    let app = App::start(&server);
    Session {
        server,
        worker,
        peer,
        app,
    }
}

impl Session {
    fn shown(&mut self, title: &str, place: (i16, i16, u16, u16)) -> (u32, WindowId) {
        let window = self.app.window(title, place);
        let id = self.peer.titled(title);
        self.app.mapped(window);
        self.peer.map(id);
        (window, id)
    }

    fn moved(&mut self, id: WindowId) -> (Geometry, u32) {
        self.peer.hear("MoveResize", |m| match m {
            DisplayToNetwork::MoveResize {
                window,
                geometry,
                resize_counter,
            } if *window == id => Some((*geometry, *resize_counter)),
            _ => None,
        })
    }

    fn configured(&self, window: u32) -> (i16, i16, u16, u16) {
        self.app.wait("ConfigureNotify", |e| match e {
            Event::ConfigureNotify(e) if e.window == window => Some((e.x, e.y, e.width, e.height)),
            _ => None,
        })
    }

    fn state(&mut self, id: WindowId, state: WindowState) -> bool {
        self.peer.hear("a state", |m| match m {
            DisplayToNetwork::Metadata { window, metadata } if *window == id => {
                metadata.iter().find_map(|m| match m {
                    Metadata::State(s, on) if *s == state => Some(*on),
                    _ => None,
                })
            }
            _ => None,
        })
    }

    fn message(&self, window: u32, name: &str, data: [u32; 5]) {
        let event = ClientMessageEvent::new(32, window, self.app.atom(name), data);
        let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        self.app
            .x
            .send_event(false, self.app.root, mask, event)
            .unwrap();
        self.app.sync();
    }

    /// Everything said so far has been handled.
    fn barrier(&mut self, n: u64) {
        self.worker
            .supervisor
            .send(&SupervisorToDisplay::Describe { token: n }, vec![])
            .unwrap();
        until(&mut self.worker.supervisor, "Description", |m, _| match m {
            DisplayToSupervisor::Description { token, .. } if token == n => Some(()),
            _ => None,
        });
        self.app.sync();
    }
}

#[test]
fn a_window_appears_with_its_title_and_its_pixels() {
    let mut s = session();
    let (window, id) = s.shown("Grüße", (30, 40, 320, 200));
    assert_eq!(id.xid(), window);
    assert_eq!(s.peer.windows[&id].geometry, geometry(30, 40, 320, 200));
    s.app.paint(window, (320, 200));
    s.peer
        .settle(id, (320, 200), &s.app.image(window, (320, 200)));
    s.app.fill(window, 0x00ff_0000, (10, 10, 20, 20));
    s.app.sync();
    s.peer
        .settle(id, (320, 200), &s.app.image(window, (320, 200)));
    s.app.title(window, "Changed");
    assert_eq!(s.peer.titled("Changed"), id);
    s.app.becomes(s.app.root, "_NET_CLIENT_LIST", &[window]);
    s.app.x.destroy_window(window).unwrap();
    s.app.sync();
    s.peer.lost(id);
    let lost = s.peer.encoder_message("LostWindow");
    assert_eq!(lost, ipc::capture::DisplayToEncoder::LostWindow(id));
    assert_eq!(s.worker.stop(), 0);
}

#[test]
fn resizing_from_both_sides() {
    let mut s = session();
    let (window, id) = s.shown("size", (30, 40, 320, 200));
    // The application.
    let larger = ConfigureWindowAux::new().width(400).height(300);
    s.app.x.configure_window(window, &larger).unwrap();
    s.app.sync();
    assert_eq!(s.moved(id), (geometry(30, 40, 400, 300), 1));
    assert_eq!(s.configured(window), (30, 40, 400, 300));
    s.app.paint(window, (400, 300));
    s.peer
        .settle(id, (400, 300), &s.app.image(window, (400, 300)));
    // The client, but it has not seen that: ignored.
    let configure = |geometry, resize_counter| NetworkToDisplay::Configure {
        window: id,
        geometry: Some(geometry),
        resize_counter,
        states: vec![],
    };
    s.app
        .x
        .configure_window(window, &ConfigureWindowAux::new().x(50))
        .unwrap();
    s.app.sync();
    assert_eq!(s.moved(id).1, 2);
    s.peer.say(configure(geometry(0, 0, 10, 10), 1));
    s.peer.say(configure(geometry(60, 70, 250, 150), 2));
    assert_eq!(s.configured(window), (50, 40, 400, 300));
    assert_eq!(s.configured(window), (60, 70, 250, 150));
    s.app.paint(window, (250, 150));
    s.peer
        .settle(id, (250, 150), &s.app.image(window, (250, 150)));
    // Where it could not be reached: corrected, and told.
    s.peer.say(configure(geometry(5000, 70, 250, 150), 0));
    assert_eq!(s.moved(id), (geometry(1030, 70, 250, 150), 3));
    // Nothing changes: the application is told where it is (ICCCM).
    assert_eq!(s.configured(window), (1030, 70, 250, 150));
    let same = ConfigureWindowAux::new().width(250).height(150);
    s.app.x.configure_window(window, &same).unwrap();
    let synthetic = s.app.wait("ConfigureNotify", |e| match e {
        Event::ConfigureNotify(e) => Some((e.response_type & 0x80 != 0, e.x, e.width)),
        _ => None,
    });
    assert_eq!(synthetic, (true, 1030, 250));
}

#[test]
fn a_window_that_changes_before_the_client_has_put_it_up_keeps_the_change() {
    let mut s = session();
    let window = s.app.window("eager", (30, 40, 320, 200));
    let id = s.peer.titled("eager");
    s.app.mapped(window);
    let larger = ConfigureWindowAux::new().width(400).height(300);
    s.app.x.configure_window(window, &larger).unwrap();
    assert_eq!(s.configured(window), (30, 40, 400, 300));
    // The client has not heard of that when it says where it has put the window.
    let (before, states) = (geometry(77, 88, 320, 200), vec![]);
    s.peer.say(NetworkToDisplay::Map {
        window: id,
        geometry: before,
        states,
    });
    assert_eq!(s.moved(id), (geometry(30, 40, 400, 300), 1));
    // Later it counts what it says.
    let (later, states) = (geometry(77, 88, 400, 300), vec![]);
    s.peer.say(NetworkToDisplay::Map {
        window: id,
        geometry: later,
        states,
    });
    assert_eq!(s.configured(window), (77, 88, 400, 300));
}

#[test]
fn a_menu_appears_where_the_application_puts_it_and_needs_no_map() {
    let mut s = session();
    let (_, parent) = s.shown("parent", (30, 40, 320, 200));
    let menu = s.app.menu("menu", (100, 120, 80, 60));
    let id = s.peer.titled("menu");
    let seen = &s.peer.windows[&id];
    assert!(seen.override_redirect && !s.peer.windows[&parent].override_redirect);
    assert_eq!(seen.geometry, geometry(100, 120, 80, 60));
    s.app.mapped(menu);
    s.app.paint(menu, (80, 60));
    s.peer.settle(id, (80, 60), &s.app.image(menu, (80, 60)));
    // It moves and grows without asking.
    let changes = ConfigureWindowAux::new().x(110).width(90);
    s.app.x.configure_window(menu, &changes).unwrap();
    s.app.sync();
    let mut last = geometry(0, 0, 1, 1);
    while last != geometry(110, 120, 90, 60) {
        last = s.moved(id).0;
    }
    s.app.x.unmap_window(menu).unwrap();
    s.app.sync();
    s.peer.lost(id);
    // The same X11 window again is another one for clients.
    s.app.x.map_window(menu).unwrap();
    s.app.sync();
    let again = s.peer.titled("menu");
    assert_eq!(
        (again.xid(), again.generation()),
        (menu, id.generation() + 1)
    );
}

#[test]
fn a_border_belongs_to_the_picture_of_a_menu() {
    let mut s = session();
    let attributes = listening().override_redirect(1).border_pixel(0x00ff_00ff);
    let menu = s.app.create((100, 120, 80, 60), &attributes);
    let border = ConfigureWindowAux::new().border_width(3);
    s.app.x.configure_window(menu, &border).unwrap();
    s.app.title(menu, "border");
    s.app.x.map_window(menu).unwrap();
    s.app.sync();
    let id = s.peer.titled("border");
    s.app.mapped(menu);
    assert_eq!(s.peer.windows[&id].geometry, geometry(100, 120, 86, 66));
    s.app.paint(menu, (80, 60));
    let inner = s.app.image(menu, (80, 60));
    let mut expected = [0xff, 0, 0xff, 0].repeat(86 * 66);
    let rect = ipc::Rect {
        x: 3,
        y: 3,
        size: Size::new(80, 60).unwrap(),
    };
    paste(&mut expected, 86 * 4, rect, &inner);
    s.peer.settle(id, (86, 66), &expected);
    // What is drawn later comes from the right place too.
    s.app.fill(menu, 0x0000_ff00, (5, 5, 10, 10));
    s.app.sync();
    paste(&mut expected, 86 * 4, rect, &s.app.image(menu, (80, 60)));
    s.peer.settle(id, (86, 66), &expected);
}

#[test]
fn properties_become_metadata() {
    let mut s = session();
    let app = &s.app;
    let leader = app.window("leader", (0, 0, 50, 50));
    let leader_id = s.peer.titled("leader");
    let window = app.create((10, 20, 100, 80), &listening());
    let (replace, x) = (PropMode::REPLACE, &app.x);
    let text = |name: &str, kind: AtomEnum, value: &[u8]| {
        x.change_property8(replace, window, app.atom(name), kind, value)
            .unwrap();
    };
    let longs = |name: &str, kind: &str, value: &[u32]| {
        x.change_property32(replace, window, app.atom(name), app.atom(kind), value)
            .unwrap();
    };
    text("WM_NAME", AtomEnum::STRING, b"caf\xe9");
    text("WM_CLASS", AtomEnum::STRING, b"instance\0Class\0");
    text("WM_WINDOW_ROLE", AtomEnum::STRING, b"role");
    text("WM_CLIENT_MACHINE", AtomEnum::STRING, b"host");
    text("WM_COMMAND", AtomEnum::STRING, b"prog\0-x\0");
    longs("_NET_WM_PID", "CARDINAL", &[4711]);
    longs(
        "_NET_WM_WINDOW_TYPE",
        "ATOM",
        &[1, app.atom("_NET_WM_WINDOW_TYPE_UTILITY")],
    );
    longs("WM_TRANSIENT_FOR", "WINDOW", &[leader]);
    longs("_NET_WM_WINDOW_OPACITY", "CARDINAL", &[0x8000_0000]);
    longs("_MOTIF_WM_HINTS", "_MOTIF_WM_HINTS", &[2, 0, 0, 0, 0]);
    longs("WM_HINTS", "WM_HINTS", &[64, 0, 0, 0, 0, 0, 0, 0, leader]);
    let mut hints = [0; 18];
    hints[0] = 1 | 16 | 64;
    hints[5..7].copy_from_slice(&[20, 10]);
    hints[9..11].copy_from_slice(&[6, 13]);
    longs("WM_NORMAL_HINTS", "WM_SIZE_HINTS", &hints);
    longs(
        "_NET_WM_STATE",
        "ATOM",
        &[
            app.atom("_NET_WM_STATE_ABOVE"),
            app.atom("_NET_WM_STATE_HIDDEN"),
        ],
    );
    x.map_window(window).unwrap();
    app.sync();
    let id = s.peer.titled("café");
    let metadata = &s.peer.windows[&id].metadata;
    for expected in [
        Metadata::ClassInstance("Class".into(), "instance".into()),
        Metadata::Role("role".into()),
        Metadata::ClientMachine("host".into()),
        Metadata::Command("prog -x".into()),
        Metadata::Pid(4711),
        Metadata::WindowType(vec![WindowType::Utility]),
        Metadata::TransientFor(leader_id),
        Metadata::Opacity(0x8000_0000),
        Metadata::Decorations(0),
        Metadata::GroupLeader(leader),
        Metadata::SizeConstraints(SizeConstraints {
            minimum: Some((20, 10)),
            increment: Some((6, 13)),
            ..SizeConstraints::default()
        }),
        Metadata::RequestedPosition(Position { x: 10, y: 20 }),
        Metadata::SetInitialPosition(true),
        Metadata::HasAlpha(false),
        Metadata::Xid(window),
        Metadata::State(WindowState::Above, true),
    ] {
        assert!(metadata.contains(&expected), "{expected:?} in {metadata:?}");
    }
    assert!(!metadata.contains(&Metadata::State(WindowState::Iconic, true)));
    let dialog = |m: &Metadata| *m == Metadata::WindowType(vec![WindowType::Normal]);
    assert!(s.peer.windows[&leader_id].metadata.iter().any(dialog));
    // _NET_WM_NAME wins as soon as there is one.
    s.app.title(window, "better");
    assert_eq!(s.peer.titled("better"), id);
    s.app.becomes(window, "WM_STATE", &[1, 0]);
    s.app.becomes(window, "_NET_FRAME_EXTENTS", &[0; 4]);
}

#[test]
fn states_change_from_both_sides() {
    let mut s = session();
    let (window, id) = s.shown("states", (30, 40, 320, 200));
    // Its Map would undo what comes before it.
    s.barrier(0);
    let names = [
        "FULLSCREEN",
        "ABOVE",
        "SHADED",
        "MAXIMIZED_HORZ",
        "MAXIMIZED_VERT",
    ];
    let [full, above, shaded, horizontal, vertical] =
        names.map(|name| s.app.atom(&format!("_NET_WM_STATE_{name}")));
    s.message(window, "_NET_WM_STATE", [1, full, 0, 1, 0]);
    assert!(s.state(id, WindowState::Fullscreen));
    s.message(window, "_NET_WM_STATE", [2, full, above, 1, 0]);
    assert!(!s.state(id, WindowState::Fullscreen));
    s.message(window, "_NET_WM_STATE", [1, vertical, horizontal, 1, 0]);
    assert!(s.state(id, WindowState::Maximized));
    // Iconified by the application, restored by the client.
    s.message(window, "WM_CHANGE_STATE", [3, 0, 0, 0, 0]);
    assert!(s.state(id, WindowState::Iconic));
    let unmapped = |e: &Event| matches!(e, Event::UnmapNotify(_)).then_some(());
    s.app.wait("UnmapNotify", unmapped);
    s.barrier(1);
    s.app.becomes(window, "WM_STATE", &[3, 0]);
    s.peer.map(id);
    s.app.mapped(window);
    // Iconified by the client, restored by the application.
    s.peer.say(NetworkToDisplay::Unmap {
        window: id,
        iconified: true,
    });
    s.app.wait("UnmapNotify", unmapped);
    s.app.x.map_window(window).unwrap();
    s.app.mapped(window);
    assert!(!s.state(id, WindowState::Iconic));
    // The client maximises: the application is told by its property.
    let states = vec![(WindowState::Maximized, false), (WindowState::Shaded, true)];
    let geometry = Some(geometry(0, 0, 1280, 800));
    s.peer.say(NetworkToDisplay::Configure {
        window: id,
        geometry,
        resize_counter: 0,
        states,
    });
    assert_eq!(s.configured(window), (0, 0, 1280, 800));
    let expected = |states: &[u32]| {
        !states.contains(&vertical)
            && !states.contains(&full)
            && states.contains(&shaded)
            && states.contains(&above)
    };
    s.app.until("_NET_WM_STATE", || {
        expected(&s.app.property(window, "_NET_WM_STATE"))
    });
}

#[test]
fn focus_close_raise_and_drag() {
    let mut s = session();
    let (first, first_id) = s.shown("first", (0, 0, 100, 100));
    let (second, second_id) = s.shown("second", (200, 0, 100, 100));
    s.peer.say(NetworkToDisplay::Focus(Some(first_id)));
    assert!(s.state(first_id, WindowState::Focused));
    s.barrier(1);
    s.app.becomes(s.app.root, "_NET_ACTIVE_WINDOW", &[first]);
    let focus = || s.app.x.get_input_focus().unwrap().reply().unwrap().focus;
    s.app.until("the focus", || focus() == first);
    s.peer.say(NetworkToDisplay::Focus(Some(second_id)));
    assert!(!s.state(first_id, WindowState::Focused));
    assert!(s.state(second_id, WindowState::Focused));
    s.peer.say(NetworkToDisplay::Focus(None));
    assert!(!s.state(second_id, WindowState::Focused));
    s.barrier(2);
    s.app.becomes(s.app.root, "_NET_ACTIVE_WINDOW", &[0]);
    // WM_TAKE_FOCUS comes with a time.
    let protocols = [s.app.atom("WM_TAKE_FOCUS"), s.app.atom("WM_DELETE_WINDOW")];
    let name = s.app.atom("WM_PROTOCOLS");
    s.app
        .x
        .change_property32(PropMode::REPLACE, first, name, AtomEnum::ATOM, &protocols)
        .unwrap();
    s.app.sync();
    s.barrier(3);
    s.peer.say(NetworkToDisplay::Focus(Some(first_id)));
    let message = |s: &Session, protocol| {
        s.app.wait("a message", |e| match e {
            Event::ClientMessage(e) => {
                let data = e.data.as_data32();
                (data[0] == protocol).then_some(data[1])
            }
            _ => None,
        })
    };
    assert_ne!(message(&s, protocols[0]), 0);
    // The application asks to be raised, and to be dragged.
    s.app
        .x
        .configure_window(
            second,
            &ConfigureWindowAux::new().stack_mode(StackMode::ABOVE),
        )
        .unwrap();
    s.app.sync();
    let raised = |m: &DisplayToNetwork| match m {
        DisplayToNetwork::Raise(id) => Some(*id),
        _ => None,
    };
    assert_eq!(s.peer.hear("Raise", raised), second_id);
    s.message(first, "_NET_ACTIVE_WINDOW", [1, 0, 0, 0, 0]);
    assert_eq!(s.peer.hear("Raise", raised), first_id);
    s.message(first, "_NET_WM_MOVERESIZE", [5, 6, 99, 1, 0]);
    s.message(first, "_NET_WM_MOVERESIZE", [u32::MAX, 6, 8, 1, 1]);
    let drag = s.peer.hear("a drag", |m| match m {
        DisplayToNetwork::InitiateMoveResize {
            window,
            position,
            direction,
            button,
        } => Some((*window, *position, *direction, *button)),
        _ => None,
    });
    assert_eq!(drag, (first_id, Position { x: -1, y: 6 }, 8, 1));
    // A window that takes part is asked to close; one that does not loses its application.
    s.peer.say(NetworkToDisplay::Close(first_id));
    message(&s, protocols[1]);
    let other = App::start(&s.server);
    let stubborn = other.window("stubborn", (0, 0, 50, 50));
    let stubborn_id = s.peer.titled("stubborn");
    s.peer.say(NetworkToDisplay::Close(stubborn_id));
    s.peer.lost(stubborn_id);
    assert_ne!(stubborn, 0);
}

#[test]
fn a_new_worker_adopts_windows_and_clients_keep_their_ids() {
    let mut s = session();
    let (menu_owner, _) = s.shown("owner", (0, 0, 100, 100));
    let (window, id) = s.shown("kept", (30, 40, 320, 200));
    // It comes again: another generation.
    s.app.x.unmap_window(window).unwrap();
    s.app.sync();
    s.peer.lost(id);
    s.app.x.map_window(window).unwrap();
    s.app.sync();
    let id = s.peer.titled("kept");
    assert_eq!(id.generation(), 1);
    let iconic = s.app.window("iconic", (0, 0, 60, 60));
    let iconic_id = s.peer.titled("iconic");
    s.app.mapped(iconic);
    s.message(iconic, "WM_CHANGE_STATE", [3, 0, 0, 0, 0]);
    assert!(s.state(iconic_id, WindowState::Iconic));
    let menu = s.app.menu("menu", (100, 120, 80, 60));
    let menu_id = s.peer.titled("menu");
    s.app.paint(window, (320, 200));
    s.peer.say(NetworkToDisplay::Focus(Some(id)));
    assert!(s.state(id, WindowState::Focused));
    s.peer.say(key(id, "a", 38, ipc::input::Modifiers(0), true));
    s.peer.button(id, 1, 1, 1, true);
    s.app.wait("press", |e| {
        matches!(e, Event::ButtonPress(_)).then_some(())
    });
    let gone = s.app.window("gone", (0, 0, 10, 10));
    let gone_id = s.peer.titled("gone");
    let held: Vec<_> = s.peer.windows.keys().copied().collect();
    // As after a crash: nothing is tidied up; a window vanishes meanwhile.
    assert_eq!(s.worker.stop(), 0);
    s.app.x.destroy_window(gone).unwrap();
    s.app.sync();
    let mut worker = Worker::start(&s.server);
    let down = s
        .app
        .x
        .query_pointer(s.app.root)
        .unwrap()
        .reply()
        .unwrap()
        .mask;
    assert_eq!(u16::from(down) & 0x1f00, 0, "buttons are released");
    let keys = s.app.x.query_keymap().unwrap().reply().unwrap().keys;
    assert_eq!(keys, [0; 32], "keys are released");
    let mut lost = vec![];
    let mut peer = worker.client(1, false, ipc::display::Purpose::Session);
    peer.say(NetworkToDisplay::Attach(ipc::display::Attach {
        held,
        ..attach()
    }));
    peer.hear("Synced", |m| {
        if let DisplayToNetwork::LostWindow(id) = m {
            lost.push(*id);
        }
        matches!(m, DisplayToNetwork::Synced).then_some(())
    });
    assert_eq!(lost, [gone_id]);
    let ids: Vec<_> = [menu_owner, window, iconic, menu].to_vec();
    let mut present: Vec<_> = peer.windows.keys().map(|id| id.xid()).collect();
    present.sort_unstable();
    let mut expected = ids;
    expected.sort_unstable();
    assert_eq!(present, expected);
    assert_eq!(peer.titled("kept"), id);
    assert_eq!(peer.titled("menu"), menu_id);
    let kept = &peer.windows[&id];
    assert_eq!(kept.geometry, geometry(30, 40, 320, 200));
    assert!(
        kept.metadata
            .contains(&Metadata::State(WindowState::Focused, true))
    );
    assert!(
        kept.metadata
            .contains(&Metadata::State(WindowState::Above, false))
    );
    let icon_state = Metadata::State(WindowState::Iconic, true);
    assert!(peer.windows[&iconic_id].metadata.contains(&icon_state));
    // It need not say again that it shows the window.
    peer.settle(id, (320, 200), &s.app.image(window, (320, 200)));
    // Another client gets the same ids.
    let mut other = worker.attached(2, false, attach());
    assert_eq!(other.titled("kept"), id);
}

#[test]
fn several_clients_see_the_same_and_the_first_decides() {
    let mut s = session();
    let (window, id) = s.shown("shared", (30, 40, 320, 200));
    let mut other = s.worker.attached(2, false, attach());
    assert_eq!(other.titled("shared"), id);
    other.map(id);
    s.app.paint(window, (320, 200));
    s.peer
        .settle(id, (320, 200), &s.app.image(window, (320, 200)));
    other.settle(id, (320, 200), &s.app.image(window, (320, 200)));
    let configure = |width| NetworkToDisplay::Configure {
        window: id,
        geometry: Some(geometry(30, 40, width, 200)),
        resize_counter: 0,
        states: vec![],
    };
    other.say(configure(111));
    s.peer.say(configure(222));
    assert_eq!(s.configured(window), (30, 40, 222, 200));
    while other.windows[&id].geometry != geometry(30, 40, 222, 200) {
        other.hear("MoveResize", |_| Some(()));
    }
    // The first one goes: the other one decides.
    s.worker
        .supervisor
        .send(&SupervisorToDisplay::Gone(ipc::ConnectionId(1)), vec![])
        .unwrap();
    s.barrier(1);
    other.say(configure(333));
    assert_eq!(s.configured(window), (30, 40, 333, 200));
}

#[test]
fn the_supervisor_is_told_how_many_windows_there_are_and_what_they_are() {
    let mut s = session();
    let windows = |s: &mut Session| {
        until(&mut s.worker.supervisor, "Windows", |m, _| match m {
            DisplayToSupervisor::Windows(n) => Some(n),
            _ => None,
        })
    };
    assert_eq!(windows(&mut s), 0);
    let (window, id) = s.shown("counted", (30, 40, 320, 200));
    assert_eq!(windows(&mut s), 1);
    s.worker
        .supervisor
        .send(&SupervisorToDisplay::Describe { token: 9 }, vec![])
        .unwrap();
    let described = until(&mut s.worker.supervisor, "Description", |m, _| match m {
        DisplayToSupervisor::Description {
            token: 9,
            root,
            windows,
        } => Some((root, windows)),
        _ => None,
    });
    assert_eq!(described.0, Size::new(1280, 800).unwrap());
    assert_eq!(
        (described.1[0].window, described.1[0].title.as_str()),
        (id, "counted")
    );
    s.app.x.destroy_window(window).unwrap();
    s.app.sync();
    assert_eq!(windows(&mut s), 0);
}

#[test]
fn the_screen_follows_the_first_client() {
    let mut s = session();
    let size = |w, h| Size::new(w, h).unwrap();
    for (wanted, got) in [
        ((1024, 700), (1024, 700)),
        ((5000, 600), (1280, 600)),
        ((801, 601), (801, 601)),
    ] {
        s.peer
            .say(NetworkToDisplay::DesktopSize(size(wanted.0, wanted.1)));
        let told = s.peer.hear("DesktopSize", |m| match m {
            DisplayToNetwork::DesktopSize { root, max_root } => Some((*root, *max_root)),
            _ => None,
        });
        assert_eq!(told, (size(got.0, got.1), size(1280, 800)));
        let root = s.app.x.get_geometry(s.app.root).unwrap().reply().unwrap();
        assert_eq!((u32::from(root.width), u32::from(root.height)), got);
        s.app
            .becomes(s.app.root, "_NET_WORKAREA", &[0, 0, got.0, got.1]);
    }
    // A second client has no say; it is told.
    let desktop = Some(size(640, 480));
    let mut other = s.worker.client(2, false, ipc::display::Purpose::Session);
    other.say(NetworkToDisplay::Attach(ipc::display::Attach {
        desktop,
        ..attach()
    }));
    let root = other.hear("Attached", |m| match m {
        DisplayToNetwork::Attached { root, .. } => Some(*root),
        _ => None,
    });
    assert_eq!(root, size(801, 601));
}

#[test]
fn the_end_of_the_x_server_is_told() {
    let mut s = session();
    s.server.kill();
    until(&mut s.worker.supervisor, "XClosed", |m, _| match m {
        DisplayToSupervisor::XClosed => Some(()),
        _ => None,
    });
    assert_eq!(s.worker.join(), 1);
}

#[test]
fn a_second_window_manager_is_refused() {
    let s = session();
    let mut second = Worker::launch(&s.server);
    let reason = until(&mut second.supervisor, "Failed", |m, _| match m {
        DisplayToSupervisor::Failed { reason } => Some(reason),
        _ => None,
    });
    assert!(reason.contains("window manager"), "{reason}");
    assert_eq!(second.join(), 1);
}
