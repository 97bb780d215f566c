//! A question from `auth`, the library, an answer.

use crate::kdc::Kdc;
use crate::krb5::{Failure, Kerberos, SEEN};
use crate::token;
use check::{Check, No};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::{self, KerberosSpec, OwnSpec, StartedSpec};
use nix::sys::memfd::{MFdFlags, memfd_create};
use runtime::secret::{Buffer, SecretFile};
use runtime::{Role, Seat};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// In the descriptor table: the spec, the keytab; then what the library remembers, and sockets.
const SPEC: i32 = 4;
const KEYTAB: i32 = 5;

/// Longest user name, in bytes.
const MAX_NAME: usize = 256;

/// A login that Kerberos decides about.
pub struct Login {
    kerberos: Kerberos,
    sockets: Vec<OwnedFd>,
    /// The library opens it by its number.
    _seen: OwnedFd,
}

impl Check for Login {
    const ROLE: Role = Role::AuthKerberos;
    const AUTH: i32 = 3;
    /// Whether there is such a user must not be seen by how long it took.
    const NO_EVERY: Option<Duration> = Some(Duration::from_secs(1));

    /// Sets the library up, and gives it our keys.
    fn prepare(seat: &mut Seat) -> Result<(Self, u16), String> {
        let told = seat.descriptor(SPEC).ok_or("the spec was not passed")?;
        let keytab = seat.descriptor(KEYTAB).ok_or("no keytab was passed")?;
        let seen = seat.descriptor(SEEN);
        let seen = seen.ok_or("no memory for what was seen was passed")?;
        let StartedSpec { own, .. } =
            spec::read(&File::from(told)).map_err(|error| error.to_string())?;
        let OwnSpec::Kerberos(KerberosSpec {
            service,
            host,
            realm,
            keytab_in_place,
            timeout,
        }) = own
        else {
            return Err("the spec is another role's".into());
        };
        let kerberos = Kerberos::new(&service, &host, &realm)?;
        copy_keys(&kerberos, keytab, keytab_in_place)?;
        let login = Self {
            kerberos,
            sockets: seat.descriptors_from(SEEN + 1),
            _seen: seen,
        };
        Ok((login, timeout))
    }

    fn decide(self, question: AuthToCheck, until: Instant) -> Result<CheckToAuth, No> {
        self.ask(&question, until).map(|()| CheckToAuth::Yes)
    }
}

impl Login {
    fn ask(self, question: &AuthToCheck, until: Instant) -> Result<(), No> {
        let refused = |why: &str| Err(No::Refused(why.to_owned()));
        let (username, said) = match question {
            AuthToCheck::Password { username, password } => (username, password),
            AuthToCheck::Token { username, token } => (username, token),
            _ => {
                return Err(No::Failed(
                    "bug: auth asks about something else than a password or a ticket".into(),
                ));
            }
        };
        if username.is_empty() || username.len() > MAX_NAME {
            return refused("no user name, or one that is too long");
        }
        if username.contains(char::is_control) {
            return refused("a user name with signs that no user has");
        }
        if said.0.is_empty() {
            return refused("an empty password, or no token");
        }
        let answer = if let AuthToCheck::Token { .. } = question {
            let request =
                token::request(&said.0).map_err(|error| No::Refused(error.to_string()))?;
            self.kerberos.request(username, &request)
        } else {
            let mut kdc = Kdc::new(self.sockets, until);
            let password = text(&said.0);
            self.kerberos
                .password(username, password.as_bytes(), |question| kdc.ask(question))
        };
        answer.map_err(|failure| match failure {
            Failure::Kdc(_) => No::Failed(failure.to_string()),
            failure => No::Refused(failure.to_string()),
        })
    }
}

/// The password as Kerberos wants it (UTF-8, RFC 3961, section 6.2). A client sends the characters of a
/// typed one as latin1, and the bytes of a file as they are (protocol "Exact computation").
fn text(bytes: &[u8]) -> Zeroizing<String> {
    // Enough for both: a text that grows leaves a copy behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    match std::str::from_utf8(bytes) {
        Ok(utf8) => text.push_str(utf8),
        Err(_) => text.extend(bytes.iter().copied().map(char::from)),
    }
    text
}

/// Gives the library a copy of the file, which it opens by name: its own it might not be allowed to.
fn copy_keys(kerberos: &Kerberos, keytab: OwnedFd, in_place: bool) -> Result<(), String> {
    let at = |error: &dyn std::fmt::Display| format!("the keytab {error}");
    let mut buffer = Buffer::new().map_err(|error| at(&error))?;
    let file = SecretFile::new(File::from(keytab));
    if in_place {
        // Old keys are no keys: they may have been changed because somebody has them.
        file.check_name().map_err(|error| at(&error))?;
    }
    let secret = file.read(&mut buffer).map_err(|error| at(&error))?;
    let copy = memfd_create(c"keytab", MFdFlags::MFD_CLOEXEC).map_err(|error| at(&error))?;
    let mut copy = File::from(copy);
    copy.write_all(secret.bytes()).map_err(|error| at(&error))?;
    kerberos.copy_keys(&format!("/proc/self/fd/{}", copy.as_raw_fd()))
}
