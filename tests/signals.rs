//! A client has a signal sent to the application behind a window, and to nothing else.

use bulkhead_tests::session::Session;
use bulkhead_tests::twins::{attach, shown};
use std::time::Duration;
use test_client::State;
use test_client::wire::packet::{ClientPacket, WindowId};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    AtomEnum, ConnectionExt as _, CreateWindowAux, PropMode, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

const LONG: Duration = Duration::from_secs(20);

#[test]
fn the_application_gets_the_signal_whatever_pid_a_window_claims() {
    let session = Session::start(&["--start=xterm -T wanted"]);
    let mut client = attach(&session, 1);
    let wanted = shown(&mut client, "wanted");
    // A window of this process, which is none of the session's.
    let x11 = session.screen();
    let (x, root) = (x11.connection(), x11.root());
    let foreign = x.generate_id().unwrap();
    let (visual, class) = (x11rb::COPY_FROM_PARENT, WindowClass::INPUT_OUTPUT);
    let look = CreateWindowAux::new().background_pixel(0xff);
    x.create_window(0, foreign, root, 0, 0, 50, 50, 0, class, visual, &look)
        .unwrap();
    let (name, kind) = (AtomEnum::WM_NAME, AtomEnum::STRING);
    x.change_property8(PropMode::REPLACE, foreign, name, kind, b"foreign")
        .unwrap();
    // The other one claims to be of this process: that is not believed.
    let atom = x.intern_atom(false, b"_NET_WM_PID").unwrap();
    let atom = atom.reply().unwrap().atom;
    let xterm = x11.window_named("wanted").unwrap();
    let (me, kind) = (std::process::id(), AtomEnum::CARDINAL);
    x.change_property32(PropMode::REPLACE, xterm, atom, kind, &[me])
        .unwrap();
    x.map_window(foreign).unwrap();
    x.flush().unwrap();
    let foreign = shown(&mut client, "foreign");
    let mut signal = |window: WindowId, name: &str| {
        let signal = name.to_owned();
        let packet = ClientPacket::WindowSignal { window, signal };
        client.send(packet).unwrap();
    };
    // Either would end this process.
    signal(foreign, "SIGUSR1");
    signal(foreign, "SIGKILL");
    signal(wanted, "SIGTERM");
    let gone = |state: &State| !state.windows.contains_key(&wanted);
    client.wait_for(gone, LONG).unwrap();
    assert!(client.state().windows.contains_key(&foreign));
}
