//! The process: a question from `auth`, a socket that the launcher has begun to connect, an answer.

use crate::stream::Stream;
use crate::{Failure, Found, Login, MAX_MESSAGE, Question, mariadb, postgres, scram};
use accounts::file::Passwords;
use backend::{Tls, Transport};
use check::{Check, No, stored};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::{self, SqlServer, SqlSpec};
use runtime::{Role, Seat, secret};
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// In the descriptor table: the spec, then what it says.
const SPEC: i32 = 6;

/// A login that a database server decides about.
pub struct Sql {
    sockets: Vec<OwnedFd>,
    server: Server,
}

struct Server {
    kind: SqlServer,
    tls: Option<Tls>,
    login: Login,
    query: String,
    kept: Passwords,
    random: [u8; scram::NONCE],
}

impl Check for Sql {
    const ROLE: Role = Role::AuthSql;
    const AUTH: i32 = 5;
    /// As of `auth-sqlite`.
    const NO_EVERY: Option<Duration> = Some(Duration::from_millis(500));

    fn prepare(seat: &mut Seat) -> Result<(Self, u16), String> {
        let spec = seat.descriptor(SPEC).ok_or("the spec was not passed")?;
        let spec: SqlSpec = spec::read(&File::from(spec)).map_err(|error| error.to_string())?;
        let tls = spec.tls.map(backend::tls).transpose()?;
        let mut passed = seat.descriptors_from(SPEC + 1).into_iter();
        let password = match spec.password {
            true => {
                let file = passed.next().ok_or("no password was passed")?;
                let password = backend::password(file, "password-file")?;
                // Nobody has to prove that he knows it.
                if password.is_empty() {
                    return Err("password-file: it has a line end and nothing else".into());
                }
                Some(password)
            }
            false => None,
        };
        let mut random = [0; scram::NONCE];
        // Up to 256 bytes are never cut short (getrandom(2)).
        getrandom(&mut random, GetRandomFlags::empty())
            .map_err(|error| format!("no random bytes: {error}"))?;
        let check = Self {
            sockets: passed.collect(),
            server: Server {
                kind: spec.server,
                tls,
                login: Login {
                    user: spec.user,
                    database: spec.database,
                    password,
                },
                query: spec.query,
                kept: match spec.hashed {
                    true => Passwords::Hashed,
                    false => Passwords::Plain,
                },
                random,
            },
        };
        Ok((check, spec.timeout))
    }

    fn decide(mut self, claim: AuthToCheck, until: Instant) -> Result<CheckToAuth, No> {
        let answer = stored::decide(&claim, |username| {
            let found = self.server.ask(&mut self.sockets, username, until);
            found.map(|found| (found, self.server.kept))
        });
        drop(claim);
        secret::wipe_stack();
        match answer {
            Ok(true) => Ok(CheckToAuth::Yes),
            Ok(false) => Err(No::Refused("it is not the password of this user".into())),
            Err(why) => Err(No::Failed(why)),
        }
    }
}

impl Server {
    fn ask(
        &self,
        sockets: &mut Vec<OwnedFd>,
        username: &str,
        until: Instant,
    ) -> Result<Found, String> {
        let socket = backend::connected(sockets, until)?;
        let mut stream = Stream::new(Transport::new(socket, until), MAX_MESSAGE);
        let question = Question {
            query: &self.query,
            username,
        };
        let (login, tls) = (&self.login, self.tls.as_ref());
        let found: Result<Found, Failure> = match self.kind {
            SqlServer::PostgreSql => {
                postgres::ask(&mut stream, tls, login, &self.random, &question)
            }
            SqlServer::MariaDb => mariadb::ask(&mut stream, tls, login, &question),
        };
        found.map_err(|error| error.to_string())
    }
}
