//! A13: what a client is sent is as long as what is there, never as long as somebody says.

use crate::peer::{LONG, address, sharing};
use bulkhead_tests::application::Application;
use bulkhead_tests::session::Session;
use test_client::wire::packet::{Cursor, Size};
use test_client::{Client, State};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    ChangeGCAux, ChangeWindowAttributesAux, ConnectionExt as _, CreateGCAux, Rectangle,
};

/// Gives a window a cursor of this size: every third pixel red, the others blue.
fn cursor(app: &Application, window: u32, (width, height): (u16, u16)) {
    let x = app.x();
    let [source, mask, gc, cursor] = [(); 4].map(|()| x.generate_id().unwrap());
    for pixmap in [source, mask] {
        x.create_pixmap(1, pixmap, app.screen.root(), width, height)
            .unwrap();
    }
    x.create_gc(gc, mask, &CreateGCAux::new().foreground(0))
        .unwrap();
    let whole = Rectangle {
        x: 0,
        y: 0,
        width,
        height,
    };
    x.poly_fill_rectangle(source, gc, &[whole]).unwrap();
    x.change_gc(gc, &ChangeGCAux::new().foreground(1)).unwrap();
    x.poly_fill_rectangle(mask, gc, &[whole]).unwrap();
    let third: Vec<_> = (0..height)
        .flat_map(|y| (0..width).map(move |x| (x, y)))
        .filter(|(x, y)| (x + y * width) % 3 == 0)
        .map(|(x, y)| Rectangle {
            x: x.cast_signed(),
            y: y.cast_signed(),
            width: 1,
            height: 1,
        })
        .collect();
    for some in third.chunks(4000) {
        x.poly_fill_rectangle(source, gc, some).unwrap();
    }
    let (all, none) = (u16::MAX, 0);
    x.create_cursor(cursor, source, mask, all, none, none, none, none, all, 0, 0)
        .unwrap();
    let values = ChangeWindowAttributesAux::new().cursor(cursor);
    x.change_window_attributes(window, &values).unwrap();
    for pixmap in [source, mask] {
        x.free_pixmap(pixmap).unwrap();
    }
    app.sync();
}

/// What a client must get of it: as many bytes as it has pixels, and these.
fn is_whole(cursor: &Cursor, (width, height): (u16, u16)) -> bool {
    const RED: [u8; 4] = [255, 0, 0, 255];
    const BLUE: [u8; 4] = [0, 0, 255, 255];
    let count = usize::from(width) * usize::from(height);
    let wanted = |first: [u8; 4], other: [u8; 4]| {
        let mut bytes = Vec::new();
        for pixel in 0..count {
            bytes.extend(if pixel % 3 == 0 { first } else { other });
        }
        bytes
    };
    // In either order of the colours.
    cursor.pixels == wanted(RED, BLUE) || cursor.pixels == wanted(BLUE, RED)
}

#[test]
fn cursors_and_icons_are_what_the_application_made() {
    let session = Session::start(&["--sharing=yes"]);
    let app = Application {
        screen: session.screen(),
    };
    let window = app.window("pictures");
    let mut options = sharing(1);
    options.hello.cursor.encodings = vec!["raw".into()];
    options.hello.encoding.icon_encodings = vec!["BGRA".into()];
    let mut client = Client::connect(&address(&session), &options, LONG).unwrap();
    let titled = |state: &State| state.titled("pictures").is_some();
    client.wait_for(titled, LONG).unwrap();
    let id = client.state().titled("pictures").unwrap();
    for (step, size) in (0..).zip([(13, 7), (64, 64), (3, 128), (1, 1)]) {
        cursor(&app, window, size);
        client.point(id, 30 + step, 30).unwrap();
        let wire = Size::new(size.0, size.1).unwrap();
        let there = |state: &State| state.cursor.as_ref().is_some_and(|it| it.size == wire);
        client.wait_for(there, LONG).unwrap();
        let got = client.state().cursor.as_ref().unwrap();
        assert_eq!(got.encoding, "raw");
        assert!(is_whole(got, size), "{size:?}: {} bytes", got.pixels.len());
    }
    // Larger than clients take: made smaller, as a whole.
    cursor(&app, window, (256, 64));
    client.point(id, 50, 50).unwrap();
    let smaller = Size::new(128, 32).unwrap();
    let there = |state: &State| state.cursor.as_ref().is_some_and(|it| it.size == smaller);
    client.wait_for(there, LONG).unwrap();
    let pixels = &client.state().cursor.as_ref().unwrap().pixels;
    assert_eq!(pixels.len(), 128 * 32 * 4);
    // One that is larger than anybody takes is the default one.
    cursor(&app, window, (257, 40));
    client.point(id, 60, 60).unwrap();
    client
        .wait_for(|state| state.cursor.is_none(), LONG)
        .unwrap();

    for (width, height) in [(1, 1), (16, 16), (17, 3), (48, 48)] {
        let count = width as usize * height as usize;
        // Behind the pixels is more, that belongs to nobody.
        app.icon(window, (width, height), count + 100);
        let there = |state: &State| {
            let icon = state.windows[&id].icon.as_ref();
            icon.is_some_and(|it| (u32::from(it.width), u32::from(it.height)) == (width, height))
        };
        client.wait_for(there, LONG).unwrap();
        let icon = client.state().windows[&id].icon.as_ref().unwrap();
        assert_eq!(icon.encoding, "BGRA");
        assert_eq!(icon.data.len(), count * 4, "{width}x{height}");
    }
}
