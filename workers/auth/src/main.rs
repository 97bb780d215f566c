//! The worker that knows the passwords.
#![forbid(unsafe_code)]

use bulkhead_auth::conversation::Verifier;
use bulkhead_auth::modules::Modules;
use bulkhead_auth::service::{self, Supervisor};
use ipc::Channel;
use ipc::auth::AuthToSupervisor;
use ipc::spec::{self, AuthSpec};
use runtime::secret::Buffer;
use std::fs::File;
use std::process::ExitCode;

/// The spec in the descriptor table; the secrets follow.
const SPEC: i32 = 5;

fn main() -> ExitCode {
    runtime::run(
        runtime::Role::Auth,
        |seat| {
            let spec = seat.descriptor(SPEC).ok_or("the spec was not passed")?;
            let spec: AuthSpec =
                spec::read(&File::from(spec)).map_err(|error| error.to_string())?;
            let secrets = seat
                .descriptors_from(SPEC + 1)
                .into_iter()
                .map(File::from)
                .collect();
            let buffer = Buffer::new().map_err(|error| error.to_string())?;
            Ok::<_, String>((spec, secrets, buffer))
        },
        |mut seat, (spec, secrets, buffer)| {
            let again = seat.options().restarted;
            work(
                Channel::new(seat.supervisor()),
                (spec, secrets),
                buffer,
                again,
            )
        },
    )
}

fn work(
    mut supervisor: Supervisor,
    (spec, secrets): (AuthSpec, Vec<File>),
    mut buffer: Buffer,
    again: bool,
) -> ExitCode {
    let modules = match again {
        true => Ok(Modules::again(spec, secrets, &mut buffer)),
        false => Modules::new(spec, secrets, &mut buffer),
    };
    let mut modules = match modules {
        Ok(modules) => modules,
        Err(error) => {
            let failed = AuthToSupervisor::Failed {
                reason: error.to_string(),
            };
            if let Err(error) = supervisor.send(&failed, Vec::new()) {
                tracing::error!(%error, "the supervisor cannot be told");
            }
            return ExitCode::FAILURE;
        }
    };
    match service::serve(supervisor, &mut modules, Verifier::new(buffer)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the channel to the supervisor");
            ExitCode::FAILURE
        }
    }
}
