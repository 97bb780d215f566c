//! Two headless clients that share a session.

use crate::session::{PASSWORD, Session};
use std::time::Duration;
use test_client::wire::packet::WindowId;
use test_client::{Address, Client, Options};

const LONG: Duration = Duration::from_secs(20);

/// A headless client with a name of its own, that shares.
///
/// # Panics
/// When it cannot attach.
pub fn attach(session: &Session, name: u8) -> Client {
    attach_with(session, name, |_| {})
}

/// The same, with a hello of its own.
///
/// # Panics
/// When it cannot attach.
pub fn attach_with(
    session: &Session,
    name: u8,
    change: impl FnOnce(&mut test_client::wire::hello::ClientHello),
) -> Client {
    let mut options = Options::gtk().password(PASSWORD);
    change(&mut options.hello);
    options.hello.identity.uuid = format!("{name:032x}");
    options.hello.share = true;
    let address = Address::parse(&format!("tcp://127.0.0.1:{}", session.port)).unwrap();
    let mut client = Client::connect(&address, &options, LONG).unwrap();
    client
        .wait_for(|state| state.startup_complete, LONG)
        .unwrap();
    client
}

/// Two clients that have been told of all windows and have seen a picture.
///
/// # Panics
/// When there is nothing to see.
pub fn two_clients(session: &Session) -> [Client; 2] {
    [1, 2].map(|name| {
        let mut client = attach(session, name);
        client.wait_for(|state| state.draws > 0, LONG).unwrap();
        client
    })
}

/// Waits until the client has this window with something drawn in it.
///
/// # Panics
/// When it does not come.
pub fn shown(client: &mut Client, title: &str) -> WindowId {
    let drawn = |state: &test_client::State| {
        state
            .titled(title)
            .is_some_and(|id| state.windows[&id].draws > 0)
    };
    client
        .wait_for(drawn, LONG)
        .unwrap_or_else(|error| panic!("{title}: {error}"));
    client.state().titled(title).unwrap()
}
