//! The process: a question from `auth`, sockets that the launcher has begun to connect, an answer.

use crate::lookup;
use crate::server;
use check::{Check, No};
use ipc::check::{AddressName, AuthToCheck, CheckToAuth};
use ipc::spec::{self, NamesSpec};
use runtime::{Role, Seat};
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// In the descriptor table: the spec, then the sockets.
const SPEC: i32 = 6;
/// Most questions: with aliases and all the names that may be, at four servers.
const QUESTIONS: usize = 64;
/// What has to be left of the time for an answer to `auth`.
const SPARE: Duration = Duration::from_millis(200);

/// A login for which a rule goes by the client's name.
pub struct Names {
    sockets: Vec<OwnedFd>,
    known: Vec<(IpAddr, Vec<String>)>,
    ids: Vec<u16>,
}

impl Check for Names {
    const ROLE: Role = Role::AuthNames;
    const AUTH: i32 = 5;

    fn prepare(seat: &mut Seat) -> Result<(Self, u16), String> {
        let spec = seat.descriptor(SPEC).ok_or("the spec was not passed")?;
        let spec: NamesSpec = spec::read(&File::from(spec)).map_err(|error| error.to_string())?;
        let mut random = [0; 2 * QUESTIONS];
        // Up to 256 bytes are never cut short (getrandom(2)).
        getrandom(&mut random, GetRandomFlags::empty())
            .map_err(|error| format!("no random bytes: {error}"))?;
        let (ids, _) = random.as_chunks();
        let check = Self {
            sockets: seat.descriptors_from(SPEC + 1),
            known: spec.known,
            ids: ids.iter().map(|id| u16::from_be_bytes(*id)).collect(),
        };
        Ok((check, spec.timeout))
    }

    fn decide(mut self, question: AuthToCheck, until: Instant) -> Result<CheckToAuth, No> {
        let AuthToCheck::Names(address) = question else {
            return Err(No::Failed(
                "bug: auth asks about something else than an address".into(),
            ));
        };
        let address = address.to_canonical();
        match self.names(address, until) {
            Ok(names) => {
                let said: Vec<_> = names.iter().map(said).collect();
                tracing::info!("{address} has {}", said.join(", "));
                Ok(CheckToAuth::Named(names))
            }
            Err(why) => Err(No::Failed(format!(
                "which name {address} has could not be found out: {why}"
            ))),
        }
    }
}

impl Names {
    /// Asks the servers, until one has answered.
    fn names(&mut self, address: IpAddr, until: Instant) -> Result<Vec<AddressName>, String> {
        if let Some(name) = lookup::known(address, &self.known) {
            return Ok(vec![name]);
        }
        // Before `auth` waits no more.
        let until = until.checked_sub(SPARE).unwrap_or(until);
        let sockets = std::mem::take(&mut self.sockets);
        server::names(address, &self.known, sockets, &mut self.ids, until)
    }
}

fn said(name: &AddressName) -> String {
    match name {
        AddressName::Verified(name) => format!("the name {name}"),
        AddressName::Paranoid => "a name that is not believed".to_owned(),
        AddressName::Unknown => "no name".to_owned(),
    }
}
