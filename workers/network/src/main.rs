//! The worker that reads one client's bytes.
#![forbid(unsafe_code)]

use bulkhead_network::worker::{READ, Worker};
use std::process::ExitCode;

/// The client's socket in the descriptor table.
const CLIENT: i32 = 5;

fn main() -> ExitCode {
    runtime::run(
        runtime::Role::Network,
        |seat| {
            let client = seat
                .descriptor(CLIENT)
                .ok_or("the client's socket was not passed")?;
            wire::cipher::warm_up().map_err(|_| "the AES library does not work")?;
            let tls12 = seat.options().tls12;
            tls::warm_up(&tls::server(tls12)).map_err(|_| "the TLS library does not work")?;
            Ok::<_, &str>((client, vec![0; READ]))
        },
        |mut seat, (client, buffer)| match Worker::new(client, seat.supervisor(), buffer).run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(%error, "the connection ends");
                ExitCode::FAILURE
            }
        },
    )
}
