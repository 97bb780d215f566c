//! PostgreSQL (its manual's chapter "Frontend/Backend Protocol", version 3.0).

use crate::bytes::{Bytes, shown};
use crate::scram::{self, First};
use crate::stream::Wire;
use crate::{Failure, Found, Login, MAX_MESSAGE, MAX_MESSAGES, Question};
use backend::Tls;
use zeroize::Zeroizing;

/// The version of the protocol.
const VERSION: u32 = 3 << 16;
/// What asks for TLS in its place.
const TLS: u32 = 80_877_103;
/// Types of columns whose values are text as it is: `name`, `text`, `varchar` (pg_type).
const TEXTS: [u32; 3] = [19, 25, 1043];

/// Asks for one user's password.
///
/// # Errors
/// [`Failure`].
pub fn ask(
    stream: &mut impl Wire,
    tls: Option<&Tls>,
    login: &Login,
    random: &[u8; scram::NONCE],
    question: &Question<'_>,
) -> Result<Found, Failure> {
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
    log_in(stream, login, random)?;
    stream.send(&asked(question)?)?;
    let (mut found, mut text) = (None, None);
    for _ in 0..MAX_MESSAGES {
        let (kind, body) = next(stream)?;
        let mut body = Bytes(&body);
        match kind {
            // Parsed, bound.
            b'1' | b'2' => {}
            b'T' => text = Some(is_text(&mut body)?),
            // It gives nothing at all.
            b'n' => return Err(Failure::Columns),
            b'D' => {
                if found.is_some() {
                    return Err(Failure::TwoRows);
                }
                if u16::from_be_bytes(body.array()?) != 1 {
                    return Err(Failure::Columns);
                }
                let len = i32::from_be_bytes(body.array()?);
                let len = usize::try_from(len).map_err(|_| Failure::NoText)?;
                found = Some(Zeroizing::new(body.take(len)?.to_vec()));
            }
            // All rows, or two of them.
            b'C' | b's' => {}
            b'Z' => {
                // Good-bye; the answer is there.
                stream.leave(b"X\0\0\0\x04");
                return match text {
                    Some(false) if found.is_some() => Err(Failure::NoText),
                    Some(_) => Ok(found),
                    None => Err(Failure::Malformed),
                };
            }
            _ => return Err(Failure::Malformed),
        }
    }
    Err(Failure::Malformed)
}

/// Is the one column, which a description describes, text?
fn is_text(body: &mut Bytes<'_>) -> Result<bool, Failure> {
    if u16::from_be_bytes(body.array()?) != 1 {
        return Err(Failure::Columns);
    }
    // Its name, its table, its place there.
    body.text()?;
    body.take(4 + 2)?;
    Ok(TEXTS.contains(&u32::from_be_bytes(body.array()?)))
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
fn asked(question: &Question<'_>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let query = question.query.as_bytes();
    let name = question.username.as_bytes();
    // No text of PostgreSQL's has one.
    if query.contains(&0) || name.contains(&0) {
        return Err(Failure::Malformed);
    }
    let len = u32::try_from(name.len()).map_err(|_| Failure::Malformed)?;
    // No name, the query, and the server finds out what type the parameter has.
    let parse = message(b'P', &[&[0], query, &[0, 0, 0]].concat())?;
    // One parameter, as text; all columns as text.
    let bind = message(
        b'B',
        &[&[0, 0, 0, 0, 0, 1][..], &len.to_be_bytes(), name, &[0, 0]].concat(),
    )?;
    let describe = message(b'D', b"P\0")?;
    // Two rows, to see that there is one.
    let execute = message(b'E', &[0, 0, 0, 0, 2])?;
    let sync = message(b'S', &[])?;
    let all = [parse, bind, describe, execute, sync];
    Ok(Zeroizing::new(all.map(|one| one.to_vec()).concat()))
}
