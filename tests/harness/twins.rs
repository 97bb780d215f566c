//! Two headless clients that share a session.

use crate::screen::Screen;
use crate::session::{KEY, PASSWORD, Session};
use std::time::{Duration, Instant};
use test_client::wire::cipher::Mode;
use test_client::wire::packet::WindowId;
use test_client::{Address, Client, Options};

const LONG: Duration = Duration::from_secs(20);

/// A headless client with a name of its own, that shares and knows the password.
pub fn options(name: u8) -> Options {
    let mut options = Options::gtk().password(PASSWORD);
    options.hello.identity.uuid = format!("{name:032x}");
    options.hello.share = true;
    options
}

/// Attaches a client with these [`options`].
///
/// # Panics
/// When it cannot attach.
pub fn attach(session: &Session, name: u8) -> Client {
    attach_as(session, &options(name))
}

/// Attaches a client.
///
/// # Panics
/// When it cannot attach.
pub fn attach_as(session: &Session, options: &Options) -> Client {
    let address = Address::parse(&format!("tcp://127.0.0.1:{}", session.port)).unwrap();
    let mut options = options.clone();
    if session.is_encrypted() {
        options = options.encrypted(Mode::Gcm, KEY.as_bytes());
    }
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

/// Waits until the client has every pixel of this window as the X server has it.
///
/// # Panics
/// When some stay different.
pub fn same_pixels(client: &mut Client, screen: &Screen, window: WindowId) {
    let xid = u32::try_from(window.get() & u64::from(u32::MAX)).unwrap();
    let end = Instant::now() + LONG;
    loop {
        let theirs = screen.picture(xid).expect("the window exists");
        let mut ours = client.pixels(window).unwrap().bytes().to_vec();
        ours.chunks_exact_mut(4).for_each(|pixel| pixel[3] = 0);
        if ours == theirs.pixels {
            return;
        }
        assert!(Instant::now() < end, "some pixels stay different");
        client.next_event(Duration::from_millis(20)).unwrap();
    }
}
