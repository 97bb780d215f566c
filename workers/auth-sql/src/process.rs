//! The process: a question from `auth`, a socket that the launcher has begun to connect, an answer.

use crate::stream::Stream;
use crate::users::{self, Database};
use crate::{Failure, Login, MAX_MESSAGE, mariadb, postgres, scram};
use accounts::file::Passwords;
use backend::{Tls, Transport};
use check::stored::{self, Whose};
use check::{Check, No};
use ipc::check::{AuthToCheck, CheckToAuth};
use ipc::spec::{self, SessionsQuery, SqlServer, SqlSpec};
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
    sessions: Option<SessionsQuery>,
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
                sessions: spec.sessions,
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
        let server = &self.server;
        let (mut database, mut whose) = (None, None);
        let answer = stored::decide(&claim, |username| {
            let database = database.insert(server.log_in(&mut self.sockets, until)?);
            let password = users::password(&mut **database, &server.query, username)
                .map_err(|error| error.to_string())?;
            whose = Whose::new(username, password.as_ref(), server.sessions.as_ref());
            Ok((password, server.kept))
        });
        drop(claim);
        let sessions = database.as_mut().zip(server.sessions.as_ref()).zip(whose);
        let sessions = sessions.map(|((database, query), whose)| {
            move |until| {
                database.end_by(until);
                let password = whose.password.as_ref().map(|password| &password[..]);
                users::sessions(&mut **database, &query.query, &whose.username, password)
            }
        });
        let answer = stored::answer(answer, until, sessions);
        if let Some(mut database) = database {
            database.leave();
        }
        secret::wipe_stack();
        answer
    }
}

impl Server {
    fn log_in(
        &self,
        sockets: &mut Vec<OwnedFd>,
        until: Instant,
    ) -> Result<Box<dyn Database>, String> {
        let socket = backend::connected(sockets, until)?;
        let stream = Stream::new(Transport::new(socket, until), MAX_MESSAGE);
        let (login, tls) = (&self.login, self.tls.as_ref());
        let database: Result<Box<dyn Database>, Failure> = match self.kind {
            SqlServer::PostgreSql => postgres::Connection::log_in(stream, tls, login, &self.random)
                .map(|it| Box::new(it) as _),
            SqlServer::MariaDb => {
                mariadb::Connection::log_in(stream, tls, login).map(|it| Box::new(it) as _)
            }
        };
        database.map_err(|error| error.to_string())
    }
}
