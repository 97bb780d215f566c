//! What servers say, byte by byte: the seeds of the fuzzer, and what is wrong with others.

use backend::{Broken, Tls};
use bulkhead_auth_sql::stream::Wire;
use bulkhead_auth_sql::users::{self, Database, Found};
use bulkhead_auth_sql::{Failure, Login, mariadb, postgres, scram};
use ipc::sessions::Summary;
use proptest::prelude::*;
use std::time::Instant;
use zeroize::Zeroizing;

/// A server that says this, whatever it is told.
struct Said<'a> {
    says: &'a [u8],
    told: &'a mut Vec<u8>,
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

    fn end_by(&mut self, _: Instant) {}

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

/// A server that says this has let us in, or not.
fn database<'a>(
    name: &str,
    says: &'a [u8],
    password: &str,
    told: &'a mut Vec<u8>,
) -> Result<Box<dyn Database + 'a>, Failure> {
    let login = Login {
        user: "xpra".into(),
        database: "d".into(),
        password: (!password.is_empty()).then(|| Zeroizing::new(password.into())),
    };
    let said = Said { says, told };
    Ok(match name.starts_with("mariadb") {
        true => Box::new(mariadb::Connection::log_in(said, None, &login)?),
        false => {
            let random = [0; scram::NONCE];
            Box::new(postgres::Connection::log_in(said, None, &login, &random)?)
        }
    })
}

const QUERY: &str = "SELECT password FROM users WHERE username=?";
const SESSIONS_QUERY: &str = "SELECT uid, gid, displays, env, options FROM u WHERE n=? AND p=?";
const USER: &str = "o'hara; --";

fn ask(name: &str, says: &[u8], password: &str) -> (Result<Found, Failure>, Vec<u8>) {
    let mut told = Vec::new();
    let found = database(name, says, password, &mut told)
        .and_then(|mut database| users::password(&mut *database, QUERY, USER));
    (found, told)
}

/// The second question, after the first has found a password.
fn sessions(name: &str, says: &[u8]) -> (Result<Option<Summary>, Failure>, Vec<u8>) {
    let mut told = Vec::new();
    let found = database(name, says, "", &mut told).and_then(|mut database| {
        let password = users::password(&mut *database, QUERY, USER)?;
        assert_eq!(password.unwrap().as_slice(), b"secret", "{name}");
        users::sessions(&mut *database, SESSIONS_QUERY, USER, Some(b"secret"))
    });
    (found, told)
}

/// With the last place where `from` stands changed.
fn changed(name: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    changed_in(&seed(name), from, to)
}

fn changed_in(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
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
        assert!(
            at(QUERY.as_bytes()).unwrap() + QUERY.len() < at(USER.as_bytes()).unwrap(),
            "{name}"
        );
    }
}

/// A value of a second answer.
#[derive(Clone, Copy)]
enum Cell<'c> {
    Null,
    Text(&'c [u8]),
    Number(i32),
    Real,
}
use Cell::{Null, Number, Real, Text};

/// What a server says to a second question: these rows, of at least one.
fn second(name: &str, columns: &[Cell<'_>], rows: &[&[Cell<'_>]]) -> Vec<u8> {
    match name.starts_with("mariadb") {
        true => mariadb_says(columns, rows),
        false => postgresql_says(columns, rows),
    }
}

fn mariadb_says(columns: &[Cell<'_>], rows: &[&[Cell<'_>]]) -> Vec<u8> {
    const END: &[u8] = b"\xfe\0\0\x02\0";
    let count = u8::try_from(columns.len()).unwrap();
    let description = |of_type: u8| {
        let names = b"\x03def\x01d\x01u\x01u\x01n\x01n";
        [
            &names[..],
            &[0x0c, 45, 0, 0xfc, 3, 0, 0, of_type, 0, 0, 0, 0, 0],
        ]
        .concat()
    };
    let described = columns.iter().map(|column| {
        description(match column {
            Null | Text(_) => 0xfd,
            Number(_) => 0x03,
            Real => 0x05,
        })
    });
    let described: Vec<_> = described.chain([END.to_vec()]).collect();
    let row = |row: &&[Cell<'_>]| {
        let (mut nulls, mut values) = (0_u8, Vec::new());
        for (at, cell) in row.iter().enumerate() {
            match cell {
                Null => nulls |= 4 << at,
                Text(text) if text.len() <= 250 => {
                    values.push(u8::try_from(text.len()).unwrap());
                    values.extend_from_slice(text);
                }
                Text(text) => {
                    values.push(0xfc);
                    values.extend_from_slice(&u16::try_from(text.len()).unwrap().to_le_bytes());
                    values.extend_from_slice(text);
                }
                Number(number) => values.extend_from_slice(&number.to_le_bytes()),
                Real => values.extend_from_slice(&1.5_f64.to_le_bytes()),
            }
        }
        [&[0, nulls][..], &values].concat()
    };
    let prepared = [
        vec![0, 2, 0, 0, 0, count, 0, 2, 0, 0, 0, 0],
        description(0xfd),
        description(0xfd),
        END.to_vec(),
    ];
    let rows = rows.iter().map(row).chain([END.to_vec()]);
    // Each command begins to count anew.
    let numbered = |packets: Vec<Vec<u8>>| {
        let packet = |(number, body): (u8, Vec<u8>)| {
            let len = u32::try_from(body.len()).unwrap().to_le_bytes();
            [&len[..3], &[number], &body].concat()
        };
        (1..).zip(packets).flat_map(packet).collect::<Vec<u8>>()
    };
    [
        numbered([&prepared[..], &described].concat()),
        numbered([vec![vec![count]], described, rows.collect()].concat()),
    ]
    .concat()
}

fn postgresql_says(columns: &[Cell<'_>], rows: &[&[Cell<'_>]]) -> Vec<u8> {
    let message = |kind: u8, body: &[u8]| {
        let len = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind][..], &len, body].concat()
    };
    let count = u16::try_from(columns.len()).unwrap().to_be_bytes();
    let column = |cell: &Cell<'_>| {
        let of_type: u32 = match cell {
            Null | Text(_) => 1043,
            Number(_) => 23,
            Real => 701,
        };
        [
            &b"n\0\0\0\0\0\0\0"[..],
            &of_type.to_be_bytes(),
            &[0xff; 6],
            &[0, 0],
        ]
        .concat()
    };
    let cell = |cell: &Cell<'_>| {
        let text = match cell {
            Null => return [0xff; 4].to_vec(),
            Text(text) => text.to_vec(),
            Number(number) => number.to_string().into_bytes(),
            Real => b"1.5".to_vec(),
        };
        [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], &text].concat()
    };
    let row = |row: &&[Cell<'_>]| {
        let cells: Vec<u8> = row.iter().flat_map(cell).collect();
        let count = u16::try_from(row.len()).unwrap().to_be_bytes();
        message(b'D', &[&count[..], &cells].concat())
    };
    let described: Vec<u8> = columns.iter().flat_map(column).collect();
    [
        message(b'1', b""),
        message(b'2', b""),
        message(b'T', &[&count[..], &described].concat()),
        rows.iter().flat_map(row).collect(),
        message(b'C', b"SELECT 1\0"),
        message(b'Z', b"I"),
    ]
    .concat()
}

const ROW: [Cell<'_>; 5] = [
    Number(1000),
    Null,
    Text(b":10,:11"),
    Text(b"A=b"),
    Text(b"speed=1"),
];

#[test]
fn one_row_of_five_is_what_is_known_of_sessions() {
    for name in SERVERS {
        let after = |more: &[u8]| [&seed(name), more].concat();
        let seeds = seed(&name.replace("one-user", "sessions"));
        for says in [seeds, after(&second(name, &ROW, &[&ROW]))] {
            let (found, told) = sessions(name, &says);
            assert_eq!(
                found.unwrap().unwrap().to_string(),
                "user 1000, 2 displays, 1 variable, 1 option",
                "{name}"
            );
            // Name and password go beside the query, and are not in it.
            let last = |part: &[u8]| {
                let mut all = told.windows(part.len());
                all.rposition(|window| window == part).unwrap()
            };
            let query = last(SESSIONS_QUERY.as_bytes()) + SESSIONS_QUERY.len();
            assert!(query < last(USER.as_bytes()), "{name}");
            assert!(last(USER.as_bytes()) < last(b"secret"), "{name}");
        }
        for rows in [&[][..], &[&[Null; 5][..]], &[&[Text(b""); 5]]] {
            let (found, _) = sessions(name, &after(&second(name, &[Null; 5], rows)));
            assert_eq!(found.unwrap(), None, "{name}");
        }
        // What a column would have does not count where it has nothing.
        let mut columns = ROW;
        columns[1] = Real;
        let (found, _) = sessions(name, &after(&second(name, &columns, &[&ROW])));
        assert!(found.unwrap().is_some(), "{name}");
        // A number may have a sign, and is none of a user then.
        let root = [Number(0), Number(0), Null, Null, Null];
        let (found, _) = sessions(name, &after(&second(name, &root, &[&root])));
        let root = "user 0, group 0, 0 displays, 0 variables, 0 options";
        assert_eq!(found.unwrap().unwrap().to_string(), root, "{name}");
    }
}

#[test]
fn whatever_else_says_nothing_of_sessions() {
    let long = vec![b'x'; 0x4001];
    let with = |at: usize, cell| {
        let mut row = ROW;
        row[at] = cell;
        row
    };
    for name in SERVERS {
        for (row, part) in [
            (with(0, Number(-2)), "no user and group"),
            (with(1, Text(b"a b")), "no user and group"),
            (with(1, Real), "no text"),
            (with(3, Text(b"nonsense")), "name=value"),
            (with(3, Text(b"A=\xff")), "not UTF-8"),
            (with(2, Text(&long)), "more than 16 KiB"),
        ] {
            let says = [seed(name), second(name, &row, &[&row])].concat();
            let error = sessions(name, &says).0.unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {part}: {error}");
        }
        let wide = vec![Null; 6];
        for (columns, rows, part) in [
            (&ROW[..4], &[&ROW[..4]][..], "five columns"),
            (&wide, &[&wide], "five columns"),
            // They are said to be five.
            (
                &ROW,
                &[&ROW[..4]],
                match name {
                    "mariadb-one-user" => "cannot say here",
                    _ => "five columns",
                },
            ),
            (&ROW, &[&ROW, &ROW], "more than one"),
        ] {
            let says = [seed(name), second(name, columns, rows)].concat();
            let error = sessions(name, &says).0.unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {part}: {error}");
        }
        // It says no, goes, or begins something that is too long.
        let no = match name {
            "mariadb-one-user" => seed("mariadb-no").split_off(4),
            _ => seed("postgresql-no"),
        };
        let no = match name {
            "mariadb-one-user" => [&[11, 0, 0, 1], &no[..]].concat(),
            _ => no,
        };
        let endless = match name {
            "mariadb-one-user" => vec![0xff, 0xff, 0xff, 1],
            _ => vec![b'T', 0x7f, 0xff, 0xff, 0xff],
        };
        for (more, part) in [
            (no, "refuses (error "),
            (Vec::new(), "closed the connection"),
            (endless, "cannot say here"),
        ] {
            let (found, _) = sessions(name, &[seed(name), more].concat());
            let error = found.unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {part}: {error}");
        }
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
                b"D\x00\x00\x00\x10\x00\x01\x00\x00\x00\x06secret",
                b"D\x00\x00\x00\x0a\x00\x01\xff\xff\xff\xff",
            ),
            "no text",
        ),
        (
            "postgresql-one-user",
            changed(
                "postgresql-one-user",
                b"\x00\x00\x04\x13",
                b"\x00\x00\x02\xbd",
            ),
            "no text",
        ),
        (
            "postgresql-one-user",
            changed_in(
                &changed("postgresql-one-user", b"secret", b"123456"),
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

    #[test]
    fn nothing_panics_after_a_password(
        which in 0_usize..2,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let name = SERVERS[which];
        let mut bytes = second(name, &ROW, &[&ROW]);
        let cut = cut.index(bytes.len());
        let some = [&seed(name), &bytes[..cut]].concat();
        prop_assert!(sessions(name, &some).0.is_err());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = sessions(name, &[seed(name), bytes].concat());
    }
}
