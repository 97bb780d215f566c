//! `bulkhead-encoder`: see the library.

use encoder::codec::Codecs;
use encoder::session::Session;
use runtime::Role;
use std::convert::Infallible;
use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::run(
        Role::Encoder,
        |_seat| {
            let mut codecs = Codecs::new();
            codecs.warm_up();
            Ok::<_, Infallible>(codecs)
        },
        |mut seat, codecs| match Session::new(seat.supervisor(), codecs).serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(%error, "the encoder ends");
                ExitCode::FAILURE
            }
        },
    )
}
