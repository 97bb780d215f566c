//! What a database server says: MariaDB's protocol and PostgreSQL's.
#![no_main]

use backend::{Broken, Tls};
use bulkhead_auth_sql::stream::Wire;
use bulkhead_auth_sql::{Login, Question, mariadb, postgres, scram};
use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

struct Said<'a>(&'a [u8]);

impl Wire for Said<'_> {
    fn take(&mut self, len: usize) -> Result<Zeroizing<Vec<u8>>, Broken> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Broken::Closed)?;
        self.0 = rest;
        Ok(Zeroizing::new(taken.to_vec()))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        assert!(bytes.len() < 8192);
        Ok(())
    }

    fn encrypt(&mut self, _: &Tls) -> Result<(), Broken> {
        Ok(())
    }

    fn is_ahead(&self) -> bool {
        !self.0.is_empty()
    }

    fn leave(&mut self, _: &[u8]) {}
}

fuzz_target!(|bytes: &[u8]| {
    let question = Question {
        query: "SELECT password FROM users WHERE username=?",
        username: "ann",
    };
    for password in ["", "secret"] {
        let login = Login {
            user: "xpra".into(),
            database: "d".into(),
            password: (!password.is_empty()).then(|| Zeroizing::new(password.into())),
        };
        let _ = mariadb::ask(&mut Said(bytes), None, &login, &question);
        let random = [0; scram::NONCE];
        let found = postgres::ask(&mut Said(bytes), None, &login, &random, &question);
        // Nobody who does not know the password can speak for who does.
        assert!(found.is_err() || password.is_empty());
    }
});
