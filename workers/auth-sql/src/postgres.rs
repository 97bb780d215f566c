//! PostgreSQL (its manual's chapter "Frontend/Backend Protocol", version 3.0).

use crate::bytes::{Bytes, shown};
use crate::scram::{self, First};
use crate::stream::Wire;
use crate::users::{Database, Value};
use crate::{Failure, Login, MAX_MESSAGE, MAX_MESSAGES};
use backend::Tls;
use std::time::Instant;
use zeroize::Zeroizing;

/// The version of the protocol.
const VERSION: u32 = 3 << 16;
/// What asks for TLS in its place.
const TLS: u32 = 80_877_103;
/// Types of columns whose values are text as it is: `name`, `text`, `varchar` (pg_type).
const TEXTS: [u32; 3] = [19, 25, 1043];
/// Types of columns whose values are integers: `int8`, `int2`, `int4`.
const INTEGERS: [u32; 3] = [20, 21, 23];
/// Most rows that are sent: two, to see that there is one.
const ROWS: u32 = 2;

/// A server that has let us in.
pub struct Connection<W>(W);

impl<W: Wire> Connection<W> {
    /// Convinces the server, and is convinced by it.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn log_in(
        mut stream: W,
        tls: Option<&Tls>,
        login: &Login,
        random: &[u8; scram::NONCE],
    ) -> Result<Self, Failure> {
        if let Some(tls) = tls {
            let [a, b, c, d] = TLS.to_be_bytes();
            stream.send(&[0, 0, 0, 8, a, b, c, d])?;
            if stream.take(1)?[..] != *b"S" {
                return Err(Failure::NoTls);
            }
            // Nobody can have put anything into what comes encrypted.
            if stream.is_ahead() {
                return Err(Failure::Malformed);
            }
            stream.encrypt(tls)?;
        }
        log_in(&mut stream, login, random)?;
        Ok(Self(stream))
    }
}

impl<W: Wire> Database for Connection<W> {
    fn row(
        &mut self,
        query: &str,
        parameters: &[&[u8]],
        columns: usize,
    ) -> Result<Option<Vec<Value>>, Failure> {
        self.0.send(&asked(query, parameters)?)?;
        let (mut found, mut types) = (None, None);
        for _ in 0..MAX_MESSAGES {
            let (kind, body) = next(&mut self.0)?;
            let mut body = Bytes(&body);
            match kind {
                // Parsed, bound.
                b'1' | b'2' => {}
                b'T' => types = Some(described(&mut body, columns)?),
                // It gives nothing at all.
                b'n' => return Err(Failure::Columns),
                b'D' => {
                    if found.is_some() {
                        return Err(Failure::TwoRows);
                    }
                    let types: &Vec<u32> = types.as_ref().ok_or(Failure::Malformed)?;
                    found = Some(values(&mut body, types)?);
                }
                // All rows, or two of them.
                b'C' | b's' => {}
                b'Z' if types.is_some() => return Ok(found),
                _ => return Err(Failure::Malformed),
            }
        }
        Err(Failure::Malformed)
    }

    fn end_by(&mut self, until: Instant) {
        self.0.end_by(until);
    }

    fn leave(&mut self) {
        self.0.leave(b"X\0\0\0\x04");
    }
}

/// The types of the columns that a description describes: of so many.
fn described(body: &mut Bytes<'_>, columns: usize) -> Result<Vec<u32>, Failure> {
    counted(body, columns)?;
    let column = |_| {
        // Its name, its table, its place there.
        body.text()?;
        body.take(4 + 2)?;
        let of_type = u32::from_be_bytes(body.array()?);
        // Its length, twice, and that it comes as text.
        body.take(2 + 4 + 2)?;
        Ok(of_type)
    };
    (0..columns).map(column).collect()
}

/// A row, whose columns have these types.
fn values(body: &mut Bytes<'_>, types: &[u32]) -> Result<Vec<Value>, Failure> {
    counted(body, types.len())?;
    let value = |of_type| {
        let len = match i32::from_be_bytes(body.array()?) {
            -1 => return Ok(Value::Null),
            len => usize::try_from(len).map_err(|_| Failure::Malformed)?,
        };
        let value = body.take(len)?;
        if TEXTS.contains(of_type) {
            Ok(Value::Text(Zeroizing::new(value.to_vec())))
        } else if INTEGERS.contains(of_type) {
            let number = std::str::from_utf8(value).ok();
            let number = number.and_then(|text| text.parse::<i64>().ok());
            number
                .map(|number| Value::Number(number.to_string()))
                .ok_or(Failure::Malformed)
        } else {
            Err(Failure::NoText)
        }
    };
    types.iter().map(value).collect()
}

/// So many columns follow.
fn counted(body: &mut Bytes<'_>, columns: usize) -> Result<(), Failure> {
    match usize::from(u16::from_be_bytes(body.array()?)) == columns {
        true => Ok(()),
        false => Err(Failure::Columns),
    }
}

/// The next message that is not about something else: its kind, and what it says.
fn next(stream: &mut impl Wire) -> Result<(u8, Zeroizing<Vec<u8>>), Failure> {
    for _ in 0..MAX_MESSAGES {
        let head = stream.take(5)?;
        let mut head = Bytes(&head);
        let kind = head.byte()?;
        let len = u32::from_be_bytes(head.array()?);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if !(4..=MAX_MESSAGE).contains(&len) {
            return Err(Failure::Malformed);
        }
        let body = stream.take(len - 4)?;
        match kind {
            // A parameter's status, a notice.
            b'S' | b'N' => {}
            b'E' => return Err(Failure::Refused(code(&body)?)),
            kind => return Ok((kind, body)),
        }
    }
    Err(Failure::Malformed)
}

/// The code of an error. Its text may have values in it.
fn code(body: &[u8]) -> Result<String, Failure> {
    let mut body = Bytes(body);
    loop {
        match body.byte()? {
            0 => return Err(Failure::Malformed),
            b'C' => return Ok(shown(body.text()?)),
            _ => drop(body.text()?),
        }
    }
}

/// A message of ours.
fn message(kind: u8, body: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let len = u32::try_from(body.len() + 4).map_err(|_| Failure::Malformed)?;
    let mut all = Zeroizing::new(Vec::with_capacity(body.len() + 5));
    all.push(kind);
    all.extend_from_slice(&len.to_be_bytes());
    all.extend_from_slice(body);
    Ok(all)
}

fn log_in(
    stream: &mut impl Wire,
    login: &Login,
    random: &[u8; scram::NONCE],
) -> Result<(), Failure> {
    let mut start = VERSION.to_be_bytes().to_vec();
    for word in [
        "user",
        &login.user,
        "database",
        &login.database,
        "client_encoding",
        "UTF8",
        // Nothing that the query calls can write.
        "default_transaction_read_only",
        "on",
    ] {
        start.extend_from_slice(word.as_bytes());
        start.push(0);
    }
    start.push(0);
    // The first message has no kind.
    let all = message(0, &start)?;
    stream.send(all.get(1..).unwrap_or_default())?;
    prove(stream, login, random)?;
    // What there is to say of the session, and that it waits.
    for _ in 0..MAX_MESSAGES {
        match next(stream)?.0 {
            b'K' => {}
            b'Z' => return Ok(()),
            _ => break,
        }
    }
    Err(Failure::Malformed)
}

/// Ends when the server lets us in, and has proved that it knows the password, if there is one.
fn prove(
    stream: &mut impl Wire,
    login: &Login,
    random: &[u8; scram::NONCE],
) -> Result<(), Failure> {
    let mut first = Some(First::new(random));
    let (mut last, mut proved) = (None, false);
    for _ in 0..MAX_MESSAGES {
        let (kind, body) = next(stream)?;
        let mut body = Bytes(&body);
        if kind != b'R' {
            return Err(Failure::Malformed);
        }
        match (u32::from_be_bytes(body.array()?), &login.password) {
            (0, _) if proved => return Ok(()),
            (0, None) if last.is_none() => return Ok(()),
            (0, _) => return Err(Failure::Impostor),
            (10, Some(_)) => {
                let mut mechanisms = body.0.split(|byte| *byte == 0);
                if !mechanisms.any(|name| name == scram::MECHANISM.as_bytes()) {
                    return Err(method(&shown(body.0)));
                }
                let Some((state, text)) = first.take() else {
                    return Err(Failure::Malformed);
                };
                let len = u32::try_from(text.len()).map_err(|_| Failure::Malformed)?;
                let answer = [
                    scram::MECHANISM.as_bytes(),
                    &[0],
                    &len.to_be_bytes(),
                    text.as_bytes(),
                ];
                stream.send(&message(b'p', &answer.concat())?)?;
                last = Some(Err(state));
            }
            (11, Some(password)) => {
                let Some(Err(state)) = last.take() else {
                    return Err(Failure::Malformed);
                };
                let (state, text) = state.answer(body.0, password)?;
                stream.send(&message(b'p', text.as_bytes())?)?;
                last = Some(Ok(state));
            }
            (12, _) => {
                let Some(Ok(state)) = &last else {
                    return Err(Failure::Malformed);
                };
                state.check(body.0)?;
                proved = true;
            }
            (10 | 11, None) => return Err(method("a password, and has none")),
            (3, _) => return Err(method("password")),
            (5, _) => return Err(method("md5")),
            (other, _) => return Err(method(&format!("method {other}"))),
        }
    }
    Err(Failure::Malformed)
}

fn method(name: &str) -> Failure {
    Failure::Method(name.to_owned(), "scram-sha-256")
}

/// Parse, bind, describe, execute, synchronise.
fn asked(query: &str, parameters: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let query = query.as_bytes();
    // No text of PostgreSQL's has one.
    if query.contains(&0) || parameters.iter().any(|text| text.contains(&0)) {
        return Err(Failure::Malformed);
    }
    let count = u16::try_from(parameters.len()).map_err(|_| Failure::Malformed)?;
    // No name for the result and the statement; all parameters as text.
    let len = parameters.iter().map(|text| text.len() + 4).sum::<usize>();
    let mut bound = Zeroizing::new(Vec::with_capacity(len + 8));
    bound.extend_from_slice(&[0, 0, 0, 0]);
    bound.extend_from_slice(&count.to_be_bytes());
    for text in parameters {
        let len = u32::try_from(text.len()).map_err(|_| Failure::Malformed)?;
        bound.extend_from_slice(&len.to_be_bytes());
        bound.extend_from_slice(text);
    }
    // All columns as text.
    bound.extend_from_slice(&[0, 0]);
    let parts = [
        // No name, the query, and the server finds out what types the parameters have.
        message(b'P', &[&[0], query, &[0, 0, 0]].concat())?,
        message(b'B', &bound)?,
        message(b'D', b"P\0")?,
        message(b'E', &[&[0], &ROWS.to_be_bytes()[..]].concat())?,
        message(b'S', &[])?,
    ];
    let mut all = Zeroizing::new(Vec::with_capacity(
        parts.iter().map(|part| part.len()).sum(),
    ));
    for part in &parts {
        all.extend_from_slice(part);
    }
    Ok(all)
}
