//! The worker that knows the AES key data.
#![forbid(unsafe_code)]

use bulkhead_keys::key_data::Listeners;
use bulkhead_keys::salts::UsedSalts;
use bulkhead_keys::service::{self, Supervisor};
use ipc::Channel;
use ipc::keys::KeysToSupervisor;
use ipc::spec::{self, KeysSpec};
use runtime::secret::Buffer;
use std::fs::File;
use std::process::ExitCode;

/// The spec in the descriptor table; the key data follows.
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
            let buffer = Buffer::new().map_err(|error| error.to_string())?;
            // Never given back: no filter allows that, and the process ends with it.
            let used = Box::leak(Box::new(UsedSalts::default()));
            Ok::<_, String>((spec, files, used, buffer))
        },
        |mut seat, (spec, files, used, buffer)| {
            work(Channel::new(seat.supervisor()), spec, files, used, buffer)
        },
    )
}

fn work(
    mut supervisor: Supervisor,
    spec: KeysSpec,
    files: Vec<File>,
    used: &mut UsedSalts,
    mut buffer: Buffer,
) -> ExitCode {
    let listeners = match Listeners::new(spec, files, &mut buffer) {
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
    match service::serve(supervisor, &listeners, used, buffer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the channel to the supervisor");
            ExitCode::FAILURE
        }
    }
}
