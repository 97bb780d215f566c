//! The process: a question from `auth`, an answer.

use crate::signed::Rules;
use check::{Check, No};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::{self, FidoSpec};
use runtime::{Role, Seat};
use std::fs::File;
use std::time::Instant;

/// In the descriptor table: the spec.
const SPEC: i32 = 6;

/// A login that a security key signs.
pub struct Fido(Rules);

impl Check for Fido {
    const ROLE: Role = Role::AuthFido;
    const AUTH: i32 = 5;

    fn prepare(seat: &mut Seat) -> Result<(Self, u16), String> {
        let spec = seat.descriptor(SPEC).ok_or("the spec was not passed")?;
        let spec: FidoSpec = spec::read(&File::from(spec)).map_err(|error| error.to_string())?;
        let timeout = spec.timeout;
        Ok((Self(Rules::new(spec)?), timeout))
    }

    fn decide(self, question: AuthToCheck, _until: Instant) -> Result<CheckToAuth, No> {
        let AuthToCheck::Signature {
            challenge,
            origin,
            response,
        } = question
        else {
            let what = "bug: auth asks about something else than a signature";
            return Err(No::Failed(what.into()));
        };
        match self.0.check(&challenge, &origin, &response) {
            Ok((key, counter)) => {
                tracing::info!(counter, "signed by {}", key.name);
                Ok(CheckToAuth::Signed {
                    key: key.number,
                    counter,
                })
            }
            Err(why) => Err(No::Refused(why.to_string())),
        }
    }
}
