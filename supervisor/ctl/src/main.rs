//! `bulkhead-ctl`: see the library. Started by `bulkhead` by exec; descriptors as in
//! `ipc::command`.

use ctl::conversation::Answer;
use ctl::exchange::exchange;
use ipc::command::CommandSpec;
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
                spec: ipc::spec::read(&mut File::from(spec))?,
                socket: seat
                    .descriptor(SOCKET)
                    .ok_or_else(|| missing("no socket"))?,
                picture: seat.descriptor(PICTURE).map(File::from),
            })
        },
        |_seat, ready| match answer(ready) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // Nothing can be done for who does not want to know.
                let _ = writeln!(io::stderr(), "bulkhead: {error}");
                ExitCode::FAILURE
            }
        },
    )
}

fn answer(ready: Ready) -> Result<(), Box<dyn std::error::Error>> {
    match exchange(&ready.socket, ready.spec, PATIENCE)? {
        Answer::Text(text) => io::stdout().lock().write_all(text.as_bytes())?,
        Answer::Picture(file) => match ready.picture {
            Some(mut picture) => picture.write_all(&file)?,
            None => io::stdout().lock().write_all(&file)?,
        },
    }
    io::stdout().flush()?;
    Ok(())
}
