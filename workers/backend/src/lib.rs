//! The connection to a server that decides about one login. The launcher has begun to connect.
//!
//! * [`transport`]: bytes to and from it, in clear or with TLS.
#![forbid(unsafe_code)]

pub mod transport;

pub use transport::{Broken, Tls, Transport};

use check::left;
use ipc::spec::ServerTls;
use runtime::secret::{Buffer, SecretFile};
use runtime::{Interest, PollSet, Ready};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;
use zeroize::Zeroizing;

/// The first socket that is connected; if there are more, the one that is preferred.
///
/// # Errors
/// One line.
pub fn connected(sockets: &mut Vec<OwnedFd>, until: Instant) -> Result<OwnedFd, String> {
    while !sockets.is_empty() {
        let Some(left) = left(until) else {
            return Err("the server does not take a connection".into());
        };
        let mut set = PollSet::new();
        let slots: Vec<_> = sockets
            .iter()
            .map(|socket| set.add(socket.as_fd(), Interest::Write))
            .collect();
        set.wait(Some(left)).map_err(|error| error.to_string())?;
        let states: Vec<_> = slots.into_iter().map(|slot| set.ready(slot)).collect();
        let connected = |state: &Ready| state.writable && !state.hangup;
        if let Some(place) = states.iter().position(connected) {
            return Ok(sockets.swap_remove(place));
        }
        let mut states = states.iter();
        sockets.retain(|_| !states.next().is_some_and(|state| state.hangup));
    }
    Err("the server refuses connections".into())
}

/// How the server proves who it is. The library of TLS is only used, and tried out, where there is
/// TLS.
///
/// # Errors
/// One line.
pub fn tls(spec: ServerTls) -> Result<Tls, String> {
    warm_up()?;
    Tls::new(&spec.name, spec.authorities)
}

/// Tries out the library of TLS, and of signatures, before the sandbox: where it is not done by
/// [`tls()`].
///
/// # Errors
/// One line.
pub fn warm_up() -> Result<(), String> {
    let client = tls::client();
    tls::warm_up(&client)
        .and_then(|()| tls::warm_up_verification(&client))
        .map_err(|_| "the TLS library does not work".to_owned())
}

/// The password in a passed file: a line end at its end is the editor's. `option` is what names it.
///
/// # Errors
/// One line.
pub fn password(file: OwnedFd, option: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut buffer = Buffer::new().map_err(|error| error.to_string())?;
    let file = SecretFile::new(File::from(file));
    let secret = file
        .read(&mut buffer)
        .map_err(|error| format!("{option}: {error}"))?;
    let bytes = secret.bytes();
    let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte));
    Ok(Zeroizing::new(
        bytes
            .iter()
            .take(end.map_or(0, |end| end + 1))
            .copied()
            .collect(),
    ))
}
