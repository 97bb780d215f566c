//! What servers say, byte by byte: the seeds of the fuzzer, and what is wrong with others.

use backend::{Broken, Tls};
use bulkhead_auth_sql::stream::Wire;
use bulkhead_auth_sql::{Failure, Found, Login, Question, mariadb, postgres, scram};
use proptest::prelude::*;
use zeroize::Zeroizing;

/// A server that says this, whatever it is told.
struct Said<'a> {
    says: &'a [u8],
    told: Vec<u8>,
}

impl Wire for Said<'_> {
    fn take(&mut self, len: usize) -> Result<Zeroizing<Vec<u8>>, Broken> {
        let (taken, rest) = self.says.split_at_checked(len).ok_or(Broken::Closed)?;
        self.says = rest;
        Ok(Zeroizing::new(taken.to_vec()))
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.told.extend_from_slice(bytes);
        Ok(())
    }

    fn encrypt(&mut self, _: &Tls) -> Result<(), Broken> {
        Ok(())
    }

    fn is_ahead(&self) -> bool {
        !self.says.is_empty()
    }

    fn leave(&mut self, _: &[u8]) {}
}

/// The bytes of a seed.
fn seed(name: &str) -> Vec<u8> {
    let text = include_str!("../../../tests/fuzz/seeds/sql_server.hex");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let hex = line.unwrap_or_else(|| panic!("no seed {name}"));
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn ask(name: &str, says: &[u8], password: &str) -> (Result<Found, Failure>, Vec<u8>) {
    let login = Login {
        user: "xpra".into(),
        database: "d".into(),
        password: (!password.is_empty()).then(|| Zeroizing::new(password.into())),
    };
    let question = Question {
        query: "SELECT password FROM users WHERE username=?",
        username: "o'hara; --",
    };
    let mut said = Said {
        says,
        told: Vec::new(),
    };
    let found = match name.starts_with("mariadb") {
        true => mariadb::ask(&mut said, None, &login, &question),
        false => {
            let random = [0; scram::NONCE];
            postgres::ask(&mut said, None, &login, &random, &question)
        }
    };
    (found, said.told)
}

/// With the only place where `from` stands changed.
fn changed(name: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    let bytes = seed(name);
    let at: Vec<_> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(from))
        .collect();
    let last = *at.last().expect("it is there");
    [&bytes[..last], to, &bytes[last + from.len()..]].concat()
}

const SERVERS: [&str; 2] = ["mariadb-one-user", "postgresql-one-user"];

#[test]
fn one_row_of_text_is_a_password() {
    for name in SERVERS {
        let (found, told) = ask(name, &seed(name), "");
        assert_eq!(found.unwrap().unwrap().as_slice(), b"secret", "{name}");
        // The name goes beside the query, and is not in it.
        let at = |part: &[u8]| told.windows(part.len()).position(|window| window == part);
        let query = b"SELECT password FROM users WHERE username=?";
        assert!(
            at(query).unwrap() + query.len() < at(b"o'hara; --").unwrap(),
            "{name}"
        );
    }
}

#[test]
fn whatever_else_is_no_password() {
    let row = b"\x09\x00\x00\x04\x00\x00\x06secret";
    for (name, says, part) in [
        (
            "mariadb-one-user",
            changed("mariadb-one-user", row, b"\x02\x00\x00\x04\x00\x04"),
            "no text",
        ),
        (
            "mariadb-one-user",
            changed(
                "mariadb-one-user",
                b"\xfd\x00\x00\x00\x00\x00",
                b"\x03\x00\x00\x00\x00\x00",
            ),
            "no text",
        ),
        (
            "mariadb-one-user",
            changed(
                "mariadb-one-user",
                b"\x05\x00\x00\x05\xfe",
                b"\x0a\x00\x00\x05\x00\x00\x07another",
            ),
            "more than one",
        ),
        (
            "mariadb-one-user",
            changed(
                "mariadb-one-user",
                row,
                b"\x09\x00\x00\x04\x00\x00\x07secret",
            ),
            "cannot say",
        ),
        (
            "mariadb-one-user",
            changed(
                "mariadb-one-user",
                row,
                b"\x09\x00\x00\x05\x00\x00\x06secret",
            ),
            "cannot say",
        ),
        ("mariadb-no", seed("mariadb-no"), "refuses (error 1045)"),
        (
            "postgresql-one-user",
            changed(
                "postgresql-one-user",
                b"\x00\x00\x00\x06secret",
                b"\xff\xff\xff\xff",
            ),
            "no text",
        ),
        (
            "postgresql-one-user",
            changed(
                "postgresql-one-user",
                b"\x00\x00\x04\x13",
                b"\x00\x00\x00\x17",
            ),
            "no text",
        ),
        (
            "postgresql-one-user",
            changed(
                "postgresql-one-user",
                b"C\x00\x00\x00\x0d",
                b"D\x00\x00\x00\x0d",
            ),
            "more than one",
        ),
        (
            "postgresql-no",
            seed("postgresql-no"),
            "refuses (error 28P01)",
        ),
    ] {
        let error = ask(name, &says, "")
            .0
            .map(|found| found.map(|it| it.to_vec()));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(part), "{name}: {part}: {error}");
    }
}

/// Who has a password for the server wants the server to know it too, where that can be proved.
#[test]
fn postgresql_has_to_prove_itself() {
    let (found, told) = ask("postgresql-one-user", &seed("postgresql-one-user"), "pw");
    assert!(matches!(found, Err(Failure::Impostor)));
    assert!(!told.windows(2).any(|window| window == b"pw"));
    // It skips what it should say, or says something else in its place.
    let all = seed("postgresql-one-user");
    let other = [b"S", &all[1..]].concat();
    let known = [
        &b"K\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00"[..],
        &all[9..],
    ]
    .concat();
    for says in [&all[9..], &other, &known] {
        for password in ["", "pw"] {
            let (found, _) = ask("postgresql", says, password);
            assert!(matches!(found, Err(Failure::Malformed)), "{found:?}");
        }
    }
    let (found, _) = ask("postgresql-scram", &seed("postgresql-scram"), "pw");
    assert!(
        matches!(found, Err(Failure::Impostor | Failure::Malformed)),
        "{found:?}"
    );
    // It asks for the password itself, or for what is as good.
    for method in [3_u8, 5, 9] {
        let says = [b"R\x00\x00\x00\x08\x00\x00\x00", &[method][..]].concat();
        let (found, told) = ask("postgresql", &says, "pw");
        assert!(matches!(found, Err(Failure::Method(..))), "{method}");
        assert!(!told.windows(2).any(|window| window == b"pw"));
    }
}

#[test]
fn mariadb_is_not_sent_the_password_itself() {
    for method in ["mysql_clear_password", "dialog", "client_ed25519"] {
        let method = [method.as_bytes(), b"\0", &[b's'; 20], b"\0"].concat();
        let len = u8::try_from(method.len() + 1).unwrap();
        let greeting = seed("mariadb-another-method");
        let end = 4 + usize::from(greeting[0]);
        let says = [&greeting[..end], &[len, 0, 0, 2, 0xfe], &method].concat();
        let (found, told) = ask("mariadb", &says, "pw");
        assert!(matches!(found, Err(Failure::Method(..))), "{found:?}");
        assert!(!told.windows(2).any(|window| window == b"pw"));
    }
    let says = [&seed("mariadb-another-method")[..], &[]].concat();
    let (found, told) = ask("mariadb", &says, "pw");
    assert!(matches!(found, Err(Failure::Broken(_))), "{found:?}");
    assert!(!told.windows(2).any(|window| window == b"pw"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn nothing_panics(
        which in 0_usize..2,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let name = SERVERS[which];
        let mut bytes = seed(name);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = ask(name, &bytes, "");
        let with_password = ask(name, &bytes, "pw").0;
        prop_assert!(with_password.is_err() || name.starts_with("mariadb"));
        let cut = cut.index(bytes.len());
        prop_assert!(ask(name, &seed(name)[..cut], "").0.is_err());
    }
}
