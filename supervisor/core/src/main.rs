//! The supervisor: accepts, starts, wires, watches and restarts the workers; decides rights and
//! penalties. It reads no byte of the network, no secret, no pixel, and links neither the wire
//! protocol nor the argument parser.
//!
//! It is a plain loop around `ppoll`, without an asynchronous runtime: fewer system calls, no
//! hidden state before the filter, and fork in a process with one thread is simple.
//!
//! Descriptor 3 is the channel to the launcher, descriptor 4 the
//! [`SupervisorSpec`](ipc::spec::SupervisorSpec), which says what the others are.
//!
//! * [`session`]: the state and the loop; [`life`]: the session's own workers and the launcher;
//!   [`client`]: connections; [`ending`]: the end; [`info`]: what is told about all that.
//! * [`blame`]: who ends when one worker accuses another; [`place`]: a worker of which there is one.
//! * [`reload`]: certificates and keys anew.
//! * [`worker`]: a running worker; [`sys`]: the system calls without a safe form.
//! * Decisions, pure and tested alone: [`admission`], [`penalties`], [`rate`], [`restarts`],
//!   [`sharing`].
//! * [`log`]: one record is one printable line, whoever wrote it.

#![deny(unsafe_code)]

mod admission;
mod blame;
mod client;
mod ending;
mod info;
mod life;
mod log;
mod penalties;
mod place;
mod rate;
mod ready;
mod reload;
mod restarts;
mod session;
mod sharing;
mod start;
#[expect(unsafe_code, reason = "system calls without a safe form")]
mod sys;
mod worker;

use std::io::IsTerminal;
use std::process::ExitCode;

fn main() -> ExitCode {
    match start::session() {
        Ok(session) => ExitCode::from(session.run()),
        Err(reason) => {
            let json = !std::io::stderr().is_terminal();
            let mut log = log::Log::new(json, false, nix::unistd::getpid().as_raw());
            log.own(log::Level::Error, None, &reason);
            ExitCode::FAILURE
        }
    }
}
