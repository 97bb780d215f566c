//! What a database server says: MariaDB's protocol and PostgreSQL's.
#![no_main]

use backend::{Broken, Tls};
use bulkhead_auth_sql::stream::Wire;
use bulkhead_auth_sql::users::{self, Database};
use bulkhead_auth_sql::{Failure, Login, mariadb, postgres, scram};
use libfuzzer_sys::fuzz_target;
use std::time::Instant;
use zeroize::Zeroizing;

struct Said<'a>(&'a [u8]);

impl Wire for Said<'_> {
    fn take(&mut self, len: usize) -> Result<Zeroizing<Vec<u8>>, Broken> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Broken::Closed)?;
        self.0 = rest;
        Ok(Zeroizing::new(taken.to_vec()))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        // A password that it has said before is in it.
        assert!(bytes.len() < 8192 + 65536);
        Ok(())
    }

    fn encrypt(&mut self, _: &Tls) -> Result<(), Broken> {
        Ok(())
    }

    fn end_by(&mut self, _: Instant) {}

    fn is_ahead(&self) -> bool {
        !self.0.is_empty()
    }

    fn leave(&mut self, _: &[u8]) {}
}

/// Asks for the password, then for the sessions of a user who has it.
fn ask(database: Result<impl Database, Failure>) -> Result<(), Failure> {
    let mut database = database?;
    let query = "SELECT password FROM users WHERE username=?";
    if let Some(password) = users::password(&mut database, query, "ann")? {
        let query = "SELECT uid, gid, displays, env, options FROM users WHERE u=? AND p=?";
        let _ = users::sessions(&mut database, query, "ann", Some(&password));
    }
    database.leave();
    Ok(())
}

fuzz_target!(|bytes: &[u8]| {
    for password in ["", "secret"] {
        let login = Login {
            user: "xpra".into(),
            database: "d".into(),
            password: (!password.is_empty()).then(|| Zeroizing::new(password.into())),
        };
        let _ = ask(mariadb::Connection::log_in(Said(bytes), None, &login));
        let random = [0; scram::NONCE];
        let found = postgres::Connection::log_in(Said(bytes), None, &login, &random);
        let found = ask(found);
        // Nobody who does not know the password can speak for who does.
        assert!(found.is_err() || password.is_empty());
    }
});
