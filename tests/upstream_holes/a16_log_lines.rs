//! A16: nobody writes a log line but the supervisor.

use crate::peer::{LONG, address, logged, packet, say, sharing};
use bulkhead_tests::application::Application;
use bulkhead_tests::session::Session;
use test_client::Client;
use test_client::wire::packet::{ClientPacket, Disconnect, LayoutChanged};
use test_client::wire::rencodeplus::Value;

const FORGED: &str =
    "x\n2026-01-01T00:00:00.000Z error forged: y\r\x1b[2J\x1b]0;z\x07\u{9b}31m\u{202e}\u{2028}\"}";

#[test]
fn each_record_is_one_printable_line_whatever_is_said() {
    let session = Session::start(&["--sharing=yes", "--start=xterm -T wanted"]);
    let app = Application {
        screen: session.screen(),
    };
    app.window(FORGED);
    // As a stranger: a packet with such a name, a goodbye, a hello that is refused.
    say(&session, &packet(&FORGED[..30], vec![]));
    say(&session, &packet("disconnect", vec![Value::from(FORGED)]));
    say(
        &session,
        &packet("hello", vec![Value::dict([(FORGED, Value::from(FORGED))])]),
    );
    // As a client that calls itself so.
    let mut options = sharing(1);
    let identity = &mut options.hello.identity;
    for field in [
        &mut identity.uuid,
        &mut identity.session_id,
        &mut identity.machine_id,
        &mut identity.username,
        &mut identity.hostname,
        &mut identity.client_type,
        &mut identity.version,
    ] {
        *field = FORGED.into();
    }
    options.hello.keymap.layout = FORGED.into();
    let mut client = Client::connect(&address(&session), &options, LONG).unwrap();
    client
        .wait_for(|state| state.windows.len() == 2, LONG)
        .unwrap();
    let layout = LayoutChanged {
        layout: FORGED.into(),
        ..LayoutChanged::default()
    };
    client.send(ClientPacket::LayoutChanged(layout)).unwrap();
    client
        .send(ClientPacket::Disconnect(Disconnect::new(FORGED)))
        .unwrap();
    drop(client);
    logged(&session, "the client has left", 1);
    let lines = session.process().lines();
    let told = lines.iter().filter(|line| line.contains("forged"));
    assert!(told.count() >= 3, "it is logged: {lines:#?}");
    for line in &lines {
        let whole = line.starts_with("{\"time\":\"") && line.ends_with("\"}");
        assert!(whole && !line.starts_with("2026-01-01"), "{line:?}");
        let hidden =
            |c: char| !matches!(c, '"' | '\'' | '\\') && !c.escape_debug().eq(std::iter::once(c));
        assert!(!line.contains(hidden), "{line:?}");
    }
}
