//! Windows come, change and go.

mod common;

use common::*;
use ipc::display::Metadata;
use x11rb::protocol::xproto::ConnectionExt as _;

#[test]
fn a_window_appears_with_its_title_and_its_pixels() {
    let server = Xvfb::start("1280x800x24");
    let mut worker = Worker::start(&server);
    let mut peer = worker.attached(1, false, attach());
    let app = App::start(&server);
    let window = app.window("Grüße", (30, 40, 320, 200));
    let id = peer.titled("Grüße");
    assert_eq!(id.xid(), window);
    assert!(!peer.windows[&id].override_redirect);
    app.mapped(window);
    app.paint(window, (320, 200));
    peer.map(id);
    peer.settle(id, (320, 200), &app.image(window, (320, 200)));
    app.fill(window, 0x00ff_0000, (10, 10, 20, 20));
    app.sync();
    peer.settle(id, (320, 200), &app.image(window, (320, 200)));
    app.title(window, "Changed");
    assert_eq!(peer.titled("Changed"), id);
    app.x.destroy_window(window).unwrap();
    app.sync();
    peer.lost(id);
    assert_eq!(worker.stop(), 0);
    let _ = Metadata::Pid(0);
}
