//! The worker that knows the AES key data and the private keys of TLS.
#![forbid(unsafe_code)]

use bulkhead_keys::key_data::{Listeners, StartError};
use bulkhead_keys::salts::UsedSalts;
use bulkhead_keys::service::{self, Supervisor};
use ipc::Channel;
use ipc::keys::KeysToSupervisor;
use ipc::spec::{self, KeysSpec};
use runtime::secret::Buffer;
use std::fs::File;
use std::process::ExitCode;

/// The spec in the descriptor table; key data and private keys follow.
const SPEC: i32 = 5;

fn main() -> ExitCode {
    runtime::run(
        runtime::Role::Keys,
        |seat| {
            let spec = seat.descriptor(SPEC).ok_or("the spec was not passed")?;
            let spec: KeysSpec =
                spec::read(&File::from(spec)).map_err(|error| error.to_string())?;
            let files = seat
                .descriptors_from(SPEC + 1)
                .into_iter()
                .map(File::from)
                .collect();
            let mut buffer = Buffer::new().map_err(|error| error.to_string())?;
            // Never given back: no filter allows that, and the process ends with it.
            let used = Box::leak(Box::new(UsedSalts::default()));
            // Nothing of a peer's: what the operator gave is read here.
            let listeners = Listeners::new(spec, files, &mut buffer, seat.options().restarted);
            Ok::<_, String>((listeners, used, buffer))
        },
        |mut seat, (listeners, used, buffer)| {
            work(Channel::new(seat.supervisor()), listeners, used, buffer)
        },
    )
}

fn work(
    mut supervisor: Supervisor,
    listeners: Result<Listeners, StartError>,
    used: &mut UsedSalts,
    buffer: Buffer,
) -> ExitCode {
    let mut listeners = match listeners {
        Ok(listeners) => listeners,
        Err(error) => {
            let failed = KeysToSupervisor::Failed {
                reason: error.to_string(),
            };
            if let Err(error) = supervisor.send(&failed, Vec::new()) {
                tracing::error!(%error, "the supervisor cannot be told");
            }
            return ExitCode::FAILURE;
        }
    };
    match service::serve(supervisor, &mut listeners, used, buffer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the channel to the supervisor");
            ExitCode::FAILURE
        }
    }
}
