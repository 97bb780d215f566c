//! The process: a question from `auth`, an answer.

use crate::verify::{self, Rules};
use certificates::{MAX_TRUST, MAX_USERS, Trust, Users};
use check::{Check, No};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::{self, CertificateSpec, UsersFile};
use runtime::secret::SecretFile;
use runtime::{Role, Seat};
use rustls_pki_types::UnixTime;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::Instant;
use zeroize::Zeroizing;

/// In the descriptor table: the spec, then what the spec says.
const SPEC: i32 = 6;

/// A login with a certificate: what the operator says, or what is wrong with it, which is no.
pub struct Certificate(Result<Rules, String>);

impl Check for Certificate {
    const ROLE: Role = Role::AuthCertificate;
    const AUTH: i32 = 5;

    fn prepare(seat: &mut Seat) -> Result<(Self, u16), String> {
        let spec = seat.descriptor(SPEC).ok_or("the spec was not passed")?;
        let spec: CertificateSpec =
            spec::read(&File::from(spec)).map_err(|error| error.to_string())?;
        tls::warm_up_verification(&tls::server(false))
            .map_err(|_| "the TLS library does not work")?;
        let rules = rules(&spec, seat.descriptors_from(SPEC + 1));
        Ok((Self(rules), spec.timeout))
    }

    fn decide(self, question: AuthToCheck, _until: Instant) -> Result<CheckToAuth, No> {
        let AuthToCheck::Certificate(shown) = question else {
            return Err(No::Failed("that is no certificate".into()));
        };
        let rules = self.0.map_err(No::Failed)?;
        let name = verify::name(&shown).unwrap_or_else(|| "that cannot be read".to_owned());
        let judged = rules.judge(&shown, UnixTime::now());
        let yes = judged.map_err(|why| No::Refused(format!("the certificate {name}: {why}")))?;
        tracing::info!("the certificate {name} is good");
        Ok(yes.user.map_or(CheckToAuth::Yes, CheckToAuth::User))
    }
}

/// What the operator's files say now.
fn rules(spec: &CertificateSpec, files: Vec<OwnedFd>) -> Result<Rules, String> {
    let mut files = files.into_iter().map(File::from);
    let file = files.next().ok_or("no authorities were passed")?;
    let trust = read(file, spec.in_place, MAX_TRUST)
        .and_then(|text| Trust::read(&text, now()).map_err(|error| error.to_string()))
        .map_err(|error| match spec.in_place {
            true => format!("ssl-ca-certs: {error}"),
            false => format!("ssl-ca-data: {error}"),
        })?;
    let users = spec.users.map(|kind| {
        let file = files.next().ok_or("no users were passed")?;
        read(file, kind == UsersFile::InPlace, MAX_USERS)
            .and_then(|text| Users::read(&text).map_err(|error| error.to_string()))
            .map_err(|error| format!("auth=certificate: users: {error}"))
    });
    Ok(Rules {
        trust,
        lists: spec.lists,
        users: users.transpose()?,
    })
}

/// Seconds since 1970.
fn now() -> i64 {
    i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX)
}

/// What a file holds now. `in_place`: it must still be the one that the operator knows. It is wiped: what
/// the operator has put into the wrong file must not be there when a stranger's bytes are parsed.
fn read(file: File, in_place: bool, limit: u64) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut text = Zeroizing::new(vec![0; usize::try_from(limit).unwrap_or_default() + 1]);
    let mut len = 0;
    while let Some(rest) = text.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, len as u64) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    if len as u64 > limit {
        return Err(format!("is longer than {limit} bytes"));
    }
    text.truncate(len);
    if in_place {
        let named = SecretFile::new(file).check_name();
        named.map_err(|_| {
            "was deleted, or another file was put in its place, after this client had connected: who connects now finds the new one"
        })?;
    }
    Ok(text)
}
