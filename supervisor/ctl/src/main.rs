//! `bulkhead-ctl`: see the library. Started by `bulkhead` by exec; descriptors as in
//! `ipc::command`.

use ctl::conversation::{Answer, Failure};
use ctl::exchange::{ExchangeError, exchange};
use ipc::command::{CommandSpec, EXIT_PASSWORD};
use runtime::Role;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::Duration;

/// Time for the whole conversation.
const PATIENCE: Duration = Duration::from_secs(30);
/// Descriptors, as the policy has them.
const SPEC: i32 = 3;
const SOCKET: i32 = 5;
const PICTURE: i32 = 6;

/// What is there when the sandbox closes.
struct Ready {
    spec: CommandSpec,
    socket: OwnedFd,
    picture: Option<File>,
}

fn main() -> ExitCode {
    runtime::run(
        Role::Ctl,
        |seat| {
            let missing = |what| io::Error::new(io::ErrorKind::NotFound, what);
            let spec = seat.descriptor(SPEC).ok_or_else(|| missing("no request"))?;
            Ok::<_, io::Error>(Ready {
                spec: ipc::spec::read(&File::from(spec))?,
                socket: seat
                    .descriptor(SOCKET)
                    .ok_or_else(|| missing("no socket"))?,
                picture: seat.descriptor(PICTURE).map(File::from),
            })
        },
        |_seat, ready| match answer(ready) {
            Ok(()) => ExitCode::SUCCESS,
            Err(End::PasswordWanted) => ExitCode::from(EXIT_PASSWORD),
            Err(End::Failed(error)) => {
                // Nothing can be done for who does not want to know.
                let _ = writeln!(io::stderr(), "bulkhead: {error}");
                ExitCode::FAILURE
            }
        },
    )
}

/// Why nothing was printed.
enum End {
    /// Whoever started this asks the person.
    PasswordWanted,
    /// One line for the person.
    Failed(String),
}

fn answer(ready: Ready) -> Result<(), End> {
    let can_ask = ready.spec.can_ask;
    let answer = exchange(&ready.socket, ready.spec, PATIENCE).map_err(|error| match error {
        ExchangeError::Failure(Failure::NoPassword) if can_ask => End::PasswordWanted,
        error => End::Failed(error.to_string()),
    })?;
    let written = match (answer, ready.picture) {
        (Answer::Picture(file), Some(mut picture)) => picture.write_all(&file),
        (Answer::Picture(file), None) => print(&file),
        (Answer::Text(text), _) => print(text.as_bytes()),
    };
    written.map_err(|error| End::Failed(error.to_string()))
}

/// Prints to a reader that may have seen enough (`| head -1`).
fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
