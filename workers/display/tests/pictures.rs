//! Frames, icons, cursors, bells, screenshots: what goes to encoders, and when.

mod common;

use common::*;
use ipc::capture::{DisplayToEncoder, EncoderToDisplay, PixelFormat};
use ipc::channel::socketpair;
use ipc::display::{
    Attach, DisplayToNetwork, DisplayToSupervisor, NetworkToDisplay, Purpose, SupervisorToDisplay,
};
use ipc::{ConnectionId, Size, WindowId};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ColormapAlloc, ConnectionExt as _, CreateGCAux,
    CreateWindowAux, PropMode, Rectangle, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

struct Session {
    _server: Xvfb,
    worker: Worker,
    peer: Peer,
    app: App,
}

fn session(attach: Attach) -> Session {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let peer = worker.attached(1, false, attach);
    let app = App::start(&server);
    Session {
        _server: server,
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

    fn barrier(&mut self, n: u64) {
        self.worker
            .supervisor
            .send(&SupervisorToDisplay::Describe { token: n }, vec![])
            .unwrap();
        until(&mut self.worker.supervisor, "Description", |m, _| match m {
            DisplayToSupervisor::Description { token, .. } if token == n => Some(()),
            _ => None,
        });
    }

    fn frame(&mut self) -> (WindowId, ipc::Rect) {
        self.peer.ask(EncoderToDisplay::Pull);
        loop {
            let message = self.peer.encoder_message("a frame");
            self.peer.apply(&message);
            if let DisplayToEncoder::Frame { window, rect, .. } = message {
                return (window, rect);
            }
        }
    }
}

#[test]
fn small_changes_make_small_frames_and_windows_take_turns() {
    let mut s = session(attach());
    let (a, a_id) = s.shown("a", (0, 0, 300, 300));
    let (b, b_id) = s.shown("b", (400, 0, 300, 300));
    for (window, id) in [(a, a_id), (b, b_id)] {
        s.app.paint(window, (300, 300));
        s.peer
            .settle(id, (300, 300), &s.app.image(window, (300, 300)));
    }
    s.app.fill(a, 0x0012_3456, (40, 50, 7, 9));
    s.app.sync();
    let (window, rect) = s.frame();
    assert_eq!(
        (window, rect.x, rect.y, rect.size),
        (a_id, 40, 50, Size::new(7, 9).unwrap())
    );
    // Both are damaged all the time: each gets its turn.
    let mut turns = vec![];
    for n in 0..6 {
        s.app.fill(a, n, (0, 0, 9, 9));
        s.app.fill(b, n, (0, 0, 9, 9));
        s.app.sync();
        s.barrier(u64::from(n));
        turns.push(s.frame().0);
    }
    assert!(turns.windows(2).all(|pair| pair[0] != pair[1]), "{turns:?}");
    assert_eq!(
        s.peer.buffers.len(),
        1,
        "one buffer is enough when it comes back at once"
    );
}

#[test]
fn nothing_is_sent_unless_asked_for_shown_and_active() {
    let mut s = session(attach());
    let window = s.app.window("hidden", (0, 0, 100, 100));
    let id = s.peer.titled("hidden");
    s.app.mapped(window);
    s.peer.ask(EncoderToDisplay::Pull);
    s.app.paint(window, (100, 100));
    s.barrier(1);
    assert!(
        s.peer.encoder.receive().unwrap().is_none(),
        "the client does not show it"
    );
    s.peer.ask(EncoderToDisplay::Active(false));
    // The encoder's word first.
    s.barrier(2);
    s.peer.map(id);
    s.barrier(3);
    assert!(s.peer.encoder.receive().unwrap().is_none(), "suspended");
    s.peer.ask(EncoderToDisplay::Active(true));
    let message = s.peer.encoder_message("a frame");
    assert!(matches!(message, DisplayToEncoder::Frame { .. }));
    s.peer.apply(&message);
    s.peer
        .settle(id, (100, 100), &s.app.image(window, (100, 100)));
    s.peer.say(NetworkToDisplay::Unmap {
        window: id,
        iconified: false,
    });
    s.barrier(4);
    s.peer.ask(EncoderToDisplay::Pull);
    s.app.paint(window, (100, 100));
    s.barrier(5);
    assert!(
        s.peer.encoder.receive().unwrap().is_none(),
        "not shown any more"
    );
    // A refresh is everything again.
    s.peer.map(id);
    let message = s.peer.encoder_message("a frame");
    s.peer.apply(&message);
    s.peer.ask(EncoderToDisplay::Refresh(Some(id)));
    s.barrier(6);
    assert_eq!(s.frame().1.size, Size::new(100, 100).unwrap());
    s.peer.ask(EncoderToDisplay::Refresh(None));
    s.barrier(7);
    assert_eq!(s.frame().1.size, Size::new(100, 100).unwrap());
}

#[test]
fn buffers_that_do_not_come_back_stop_the_frames_and_nothing_else() {
    let mut s = session(attach());
    let (window, id) = s.shown("greedy", (0, 0, 100, 100));
    let mut kept = vec![];
    for n in 0..8 {
        s.app.fill(window, n * 1000 + 7, (0, 0, 100, 100));
        s.app.sync();
        s.peer.ask(EncoderToDisplay::Pull);
        if let DisplayToEncoder::Frame { buffer, .. } = s.peer.encoder_message("a frame") {
            kept.push(buffer);
        }
    }
    kept.sort_by_key(|b| b.0);
    assert!(
        kept.iter().enumerate().all(|(n, b)| usize::from(b.0) == n),
        "{kept:?}"
    );
    s.peer.ask(EncoderToDisplay::Pull);
    s.app.fill(window, 9, (0, 0, 100, 100));
    s.app.sync();
    s.barrier(1);
    assert!(s.peer.encoder.receive().unwrap().is_none());
    s.app.title(window, "still told");
    assert_eq!(s.peer.titled("still told"), id);
    s.peer.release(kept[3]);
    let message = s.peer.encoder_message("a frame");
    assert!(matches!(message, DisplayToEncoder::Frame { buffer, .. } if buffer == kept[3]));
}

#[test]
fn a_new_encoder_gets_everything_again() {
    let mut s = session(Attach {
        cursors: true,
        ..attach()
    });
    let (window, id) = s.shown("restart", (0, 0, 120, 90));
    s.app.paint(window, (120, 90));
    s.peer
        .settle(id, (120, 90), &s.app.image(window, (120, 90)));
    let (ours, theirs) = socketpair().unwrap();
    s.peer.encoder = ipc::Channel::new(ours);
    s.peer.buffers.clear();
    s.peer.canvases.clear();
    let message = SupervisorToDisplay::Encoder(ConnectionId(1));
    s.worker.supervisor.send(&message, vec![theirs]).unwrap();
    s.peer
        .settle(id, (120, 90), &s.app.image(window, (120, 90)));
}

#[test]
fn a_window_with_alpha() {
    let mut s = session(attach());
    let setup = s.app.x.setup();
    let depth = setup.roots[0]
        .allowed_depths
        .iter()
        .find(|d| d.depth == 32)
        .unwrap();
    let visual = depth.visuals[0].visual_id;
    let x = &s.app.x;
    let (map, window) = (x.generate_id().unwrap(), x.generate_id().unwrap());
    x.create_colormap(ColormapAlloc::NONE, map, s.app.root, visual)
        .unwrap();
    let attributes = CreateWindowAux::new()
        .colormap(map)
        .border_pixel(0)
        .background_pixel(0x4010_2030);
    let class = WindowClass::INPUT_OUTPUT;
    x.create_window(
        32,
        window,
        s.app.root,
        0,
        0,
        40,
        30,
        0,
        class,
        visual,
        &attributes,
    )
    .unwrap();
    s.app.title(window, "alpha");
    x.map_window(window).unwrap();
    s.app.sync();
    let id = s.peer.titled("alpha");
    let has_alpha = ipc::display::Metadata::HasAlpha(true);
    assert!(s.peer.windows[&id].metadata.contains(&has_alpha));
    s.peer.map(id);
    let gc = x.generate_id().unwrap();
    x.create_gc(gc, window, &CreateGCAux::new().foreground(0x8040_0010))
        .unwrap();
    let rect = Rectangle {
        x: 10,
        y: 10,
        width: 5,
        height: 5,
    };
    x.poly_fill_rectangle(window, gc, &[rect]).unwrap();
    s.app.sync();
    let mut expected = [0x30, 0x20, 0x10, 0x40].repeat(40 * 30);
    for y in 10..15 {
        expected[(y * 40 + 10) * 4..(y * 40 + 15) * 4]
            .copy_from_slice(&[0x10, 0, 0x40, 0x80].repeat(5));
    }
    loop {
        s.peer.ask(EncoderToDisplay::Pull);
        let message = s.peer.encoder_message("a frame");
        assert!(matches!(
            message,
            DisplayToEncoder::Frame {
                format: PixelFormat::Bgra,
                ..
            }
        ));
        s.peer.apply(&message);
        if s.peer.canvases[&id].pixels == expected {
            break;
        }
    }
}

#[test]
fn icons_and_cursors_travel_in_small_buffers() {
    let mut s = session(Attach {
        cursors: true,
        ..attach()
    });
    assert_eq!(
        s.peer.encoder_message("the cursor"),
        DisplayToEncoder::DefaultCursor
    );
    let window = s.app.create((0, 0, 100, 100), &listening());
    let mut icon = vec![16, 16];
    icon.resize(2 + 256, 0x80ff_0000);
    let name = s.app.atom("_NET_WM_ICON");
    let cardinal = AtomEnum::CARDINAL;
    s.app
        .x
        .change_property32(PropMode::REPLACE, window, name, cardinal, &icon)
        .unwrap();
    s.app.title(window, "icon");
    s.app.x.map_window(window).unwrap();
    s.app.sync();
    let id = s.peer.titled("icon");
    let message = s.peer.encoder_message("the icon");
    let DisplayToEncoder::Icon {
        buffer,
        window: whose,
        size,
    } = message
    else {
        panic!("{message:?}")
    };
    assert_eq!((whose, size), (id, Size::new(16, 16).unwrap()));
    assert_eq!(s.peer.buffers[&buffer.0].bytes()[..4], [0, 0, 0x80, 0x80]);
    s.peer.release(buffer);
    // Another icon, in the same buffer.
    s.barrier(7);
    icon[2..].fill(0xff00_00ff);
    s.app
        .x
        .change_property32(PropMode::REPLACE, window, name, cardinal, &icon)
        .unwrap();
    s.app.sync();
    let message = s.peer.encoder_message("the icon");
    assert!(matches!(message, DisplayToEncoder::Icon { buffer: b, .. } if b == buffer));
    assert_eq!(s.peer.buffers[&buffer.0].bytes()[..4], [0xff, 0, 0, 0xff]);
    s.peer.release(buffer);
    // A cursor of the application's.
    let x = &s.app.x;
    let (bitmap, mask) = (x.generate_id().unwrap(), x.generate_id().unwrap());
    let (cursor, gc) = (x.generate_id().unwrap(), x.generate_id().unwrap());
    for pixmap in [bitmap, mask] {
        x.create_pixmap(1, pixmap, s.app.root, 8, 12).unwrap();
    }
    x.create_gc(gc, bitmap, &CreateGCAux::new().foreground(1))
        .unwrap();
    let all = Rectangle {
        x: 0,
        y: 0,
        width: 8,
        height: 12,
    };
    x.poly_fill_rectangle(bitmap, gc, &[all]).unwrap();
    x.poly_fill_rectangle(mask, gc, &[all]).unwrap();
    x.create_cursor(cursor, bitmap, mask, 0xffff, 0, 0x8000, 0, 0, 0, 3, 4)
        .unwrap();
    x.change_window_attributes(window, &ChangeWindowAttributesAux::new().cursor(cursor))
        .unwrap();
    s.app.mapped(window);
    s.peer.motion(id, 20, 20);
    let message = s.peer.encoder_message("the cursor");
    let DisplayToEncoder::Cursor {
        buffer,
        size,
        hotspot,
        ..
    } = message
    else {
        panic!("{message:?}")
    };
    assert_eq!((size, hotspot), (Size::new(8, 12).unwrap(), (3, 4)));
    assert_eq!(
        s.peer.buffers[&buffer.0].bytes()[..4],
        [0x80, 0, 0xff, 0xff]
    );
    s.peer.release(buffer);
    // Off, then on again.
    s.peer.say(NetworkToDisplay::SetCursors(false));
    s.barrier(1);
    let back = ChangeWindowAttributesAux::new().cursor(x11rb::NONE);
    s.app.x.change_window_attributes(window, &back).unwrap();
    s.app.sync();
    s.barrier(2);
    assert!(s.peer.encoder.receive().unwrap().is_none());
    s.peer.say(NetworkToDisplay::SetCursors(true));
    assert_eq!(
        s.peer.encoder_message("the cursor"),
        DisplayToEncoder::DefaultCursor
    );
}

#[test]
fn the_bell_rings_for_those_who_want_it() {
    let mut s = session(Attach {
        bell: true,
        ..attach()
    });
    let mut deaf = s.worker.attached(2, false, attach());
    s.shown("bell", (0, 0, 10, 10));
    s.app.x.bell(50).unwrap();
    s.app.sync();
    let percent = s.peer.hear("Bell", |m| match m {
        DisplayToNetwork::Bell { percent, .. } => Some(*percent),
        _ => None,
    });
    assert!((1..=100).contains(&percent));
    deaf.titled("bell");
    s.barrier(1);
    while let Some((message, _)) = deaf.network.receive().unwrap() {
        assert!(!matches!(message, DisplayToNetwork::Bell { .. }));
    }
}

#[test]
fn a_screenshot_is_every_window_from_the_bottom_up() {
    let mut s = session(attach());
    let (low, _) = s.shown("low", (0, 0, 100, 80));
    let (high, _) = s.shown("high", (50, 40, 100, 80));
    s.app.paint(low, (100, 80));
    s.app.fill(high, 0x0000_00ff, (0, 0, 100, 80));
    let menu = s.app.menu("menu", (-10, 60, 30, 30));
    s.app.mapped(menu);
    s.app.fill(menu, 0x00ff_0000, (0, 0, 30, 30));
    s.peer.titled("menu");
    s.app.sync();
    s.barrier(1);
    let mut shot = s.worker.client(2, true, Purpose::Screenshot);
    let mut parts = vec![];
    for _ in 0..8 {
        shot.ask(EncoderToDisplay::Pull);
    }
    let root = loop {
        match shot.encoder_message("a part") {
            DisplayToEncoder::ScreenshotPart {
                buffer,
                size,
                position,
                ..
            } => {
                let bytes = &shot.buffers[&buffer.0].bytes()[..size.bytes() as usize];
                parts.push((position, size, bytes.to_vec()));
                shot.release(buffer);
            }
            DisplayToEncoder::ScreenshotDone { root } => break root,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(root, Size::new(1280, 800).unwrap());
    let places: Vec<_> = parts
        .iter()
        .map(|(p, size, _)| (p.x, p.y, size.width()))
        .collect();
    assert_eq!(places, [(0, 0, 100), (50, 40, 100), (-10, 60, 30)]);
    assert!(same_colours(&parts[0].2, &s.app.image(low, (100, 80))));
    assert!(parts[1].2.chunks_exact(4).all(|p| p[..3] == [0xff, 0, 0]));
    assert!(parts[2].2.chunks_exact(4).all(|p| p[..3] == [0, 0, 0xff]));
}

#[test]
fn a_screenshot_of_nothing_is_complete_at_once() {
    let mut s = session(attach());
    let mut shot = s.worker.client(2, false, Purpose::Screenshot);
    shot.ask(EncoderToDisplay::Pull);
    let message = shot.encoder_message("the end");
    assert!(matches!(message, DisplayToEncoder::ScreenshotDone { .. }));
}
