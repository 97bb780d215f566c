//! A3: the client chooses how pictures come, on every channel that carries some.

use crate::peer::{LONG, address, sharing};
use bulkhead_tests::application::Application;
use bulkhead_tests::session::Session;
use std::time::{Duration, Instant};
use test_client::wire::packet::{Coding, ServerPacket};
use test_client::{Client, Happening};

#[test]
fn pictures_icons_and_cursors_come_as_announced() {
    let session = Session::start(&["--sharing=yes"]);
    let app = Application {
        screen: session.screen(),
    };
    let window = app.window("pictures");
    app.icon(window, (32, 32), 32 * 32);
    let cases: [(&[Coding], &str, &str); 5] = [
        (&[Coding::Rgb24], "png", "raw"),
        (&[Coding::Rgb32], "BGRA", "png"),
        (&[Coding::Png], "png", "png"),
        (&[Coding::Jpeg, Coding::Png], "BGRA", "raw"),
        (&[Coding::Webp], "png", "raw"),
    ];
    for (round, (codings, icons, cursors)) in (0u16..).zip(cases) {
        let mut options = sharing(1).codings(codings);
        options.hello.encoding.icon_encodings = vec![icons.into()];
        options.hello.cursor.encodings = vec![cursors.into()];
        let mut client = Client::connect(&address(&session), &options, LONG).unwrap();
        let (mut pictures, mut icon, mut cursor) = (0, 0, 0);
        let end = Instant::now() + LONG;
        while pictures < 6 || icon == 0 || cursor == 0 {
            assert!(
                Instant::now() < end,
                "{codings:?}: {pictures} pictures, {icon} icons, {cursor} cursors"
            );
            let Some(event) = client.next_event(Duration::from_millis(20)).unwrap() else {
                app.noise(window, u32::from(round) + pictures);
                if let Some(id) = client.state().titled("pictures") {
                    app.cursor(window, 2 * round + 20);
                    client.point(id, 30, 30 + i32::from(round)).unwrap();
                }
                continue;
            };
            match event.what {
                Happening::Drawn { coding, .. } => {
                    assert!(codings.contains(&coding), "{coding:?} for {codings:?}");
                    pictures += 1;
                }
                Happening::Packet(packet) => match *packet {
                    ServerPacket::WindowIcon(it) => {
                        assert_eq!(it.encoding, icons);
                        icon += 1;
                    }
                    ServerPacket::Cursor(Some(it)) => {
                        assert_eq!(it.encoding, cursors);
                        cursor += 1;
                    }
                    _ => {}
                },
            }
        }
    }
}
