//! MariaDB and MySQL (MariaDB's documentation, "Client/Server Protocol").

use crate::bytes::{Bytes, shown};
use crate::stream::Wire;
use crate::users::{Database, Value};
use crate::{Failure, Login, MAX_MESSAGE, MAX_MESSAGES};
use backend::Tls;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::time::Instant;
use zeroize::Zeroizing;

/// The version of the handshake.
const VERSION: u8 = 10;
/// utf8mb4.
const CHARSET: u8 = 45;
/// What we can do: names of databases, the protocol of version 4.1, its salts, names of methods.
const CAPABILITIES: u32 = 0x0008 | 0x0200 | 0x8000 | 0x0008_0000;
/// The same for TLS.
const TLS: u32 = 0x0800;
/// Bytes of a salt.
const SALT: usize = 20;

const NATIVE: &[u8] = b"mysql_native_password";
const CACHING: &[u8] = b"caching_sha2_password";

/// Kinds of answers.
const OK: u8 = 0x00;
const MORE: u8 = 0x01;
const EOF: u8 = 0xfe;
const ERROR: u8 = 0xff;
/// Longest answer that is an end, and not a row.
const MAX_EOF: usize = 9;

/// Commands.
const QUIT: u8 = 0x01;
const QUERY: u8 = 0x03;
const PREPARE: u8 = 0x16;
const EXECUTE: u8 = 0x17;

/// Types of columns whose values are bytes with their length before them.
const TEXTS: [u8; 7] = [0x0f, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe];
/// The type of our parameters.
const VAR_STRING: u8 = 0xfd;
/// Types of columns whose values are integers, and how many bytes they are.
const INTEGERS: [(u8, usize); 5] = [(0x01, 1), (0x02, 2), (0x03, 4), (0x08, 8), (0x09, 4)];
/// Such a column has no negative ones.
const UNSIGNED: u16 = 0x20;

/// A server that has let us in. Both sides count packets, from the start of each command.
pub struct Connection<W> {
    stream: W,
    number: u8,
}

impl<W: Wire> Connection<W> {
    /// Convinces the server.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn log_in(stream: W, tls: Option<&Tls>, login: &Login) -> Result<Self, Failure> {
        let mut it = Self { stream, number: 0 };
        it.prove(tls, login)?;
        // Nothing that the query calls can write.
        it.command(&[&[QUERY], &b"SET SESSION TRANSACTION READ ONLY"[..]].concat())?;
        match it.next()?[..] {
            [OK, ..] => Ok(it),
            _ => Err(Failure::Malformed),
        }
    }

    /// What the server says next: at least a byte, and no refusal.
    fn next(&mut self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let head = self.stream.take(4)?;
        let [low, middle, high, number] = Bytes(&head).array()?;
        let len = u32::from_le_bytes([low, middle, high, 0]);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len > MAX_MESSAGE || number != self.number {
            return Err(Failure::Malformed);
        }
        self.number = self.number.wrapping_add(1);
        let body = self.stream.take(len)?;
        match body.split_first() {
            Some((&ERROR, rest)) => {
                let number = u16::from_le_bytes(Bytes(rest).array()?);
                Err(Failure::Refused(number.to_string()))
            }
            Some(_) => Ok(body),
            None => Err(Failure::Malformed),
        }
    }

    fn send(&mut self, body: &[u8]) -> Result<(), Failure> {
        let len = u32::try_from(body.len()).ok();
        let len = len.filter(|len| *len < 1 << 24).ok_or(Failure::Malformed)?;
        let [low, middle, high, _] = len.to_le_bytes();
        let mut all = Zeroizing::new(Vec::with_capacity(body.len() + 4));
        all.extend_from_slice(&[low, middle, high, self.number]);
        all.extend_from_slice(body);
        self.number = self.number.wrapping_add(1);
        self.stream.send(&all)?;
        Ok(())
    }

    fn command(&mut self, body: &[u8]) -> Result<(), Failure> {
        self.number = 0;
        self.send(body)
    }

    fn prove(&mut self, tls: Option<&Tls>, login: &Login) -> Result<(), Failure> {
        let greeting = self.next()?;
        let greeting = Greeting::read(&greeting)?;
        // Character set, and what was there before there were names of methods.
        let mut answer = Zeroizing::new(Vec::with_capacity(256));
        let capabilities = match tls {
            Some(_) => CAPABILITIES | TLS,
            None => CAPABILITIES,
        };
        answer.extend_from_slice(&capabilities.to_le_bytes());
        answer.extend_from_slice(&(1_u32 << 24).to_le_bytes());
        answer.push(CHARSET);
        answer.extend_from_slice(&[0; 23]);
        if let Some(tls) = tls {
            if greeting.offered & TLS == 0 {
                return Err(Failure::NoTls);
            }
            // Nobody can have put anything into what comes encrypted.
            if self.stream.is_ahead() {
                return Err(Failure::Malformed);
            }
            self.send(&answer)?;
            self.stream.encrypt(tls)?;
        }
        // A method that we do not know is asked for again, by name.
        let name = match greeting.method {
            CACHING => CACHING,
            _ => NATIVE,
        };
        let password = login.password.as_ref().map_or(&[][..], |password| password);
        let first = proof(name, password, &greeting.salt)?;
        let words = [login.user.as_bytes(), login.database.as_bytes()];
        if words.iter().any(|word| word.contains(&0)) {
            return Err(Failure::Malformed);
        }
        answer.extend_from_slice(words[0]);
        answer.push(0);
        answer.push(u8::try_from(first.len()).map_err(|_| Failure::Malformed)?);
        answer.extend_from_slice(&first);
        for word in [words[1], name] {
            answer.extend_from_slice(word);
            answer.push(0);
        }
        self.send(&answer)?;
        let mut switched = false;
        for _ in 0..MAX_MESSAGES {
            let answer = self.next()?;
            let mut body = Bytes(&answer);
            match (body.byte()?, body.0) {
                (OK, _) => return Ok(()),
                // The server had the proof in its memory: an OK comes next.
                (MORE, [3]) => {}
                // It has not, and wants the password: only what has proved to be the server gets it.
                (MORE, [4]) if tls.is_some() => {
                    self.send(&Zeroizing::new([password, &[0]].concat()))?;
                }
                (MORE, [4]) => return Err(method("caching_sha2_password without tls=yes")),
                (EOF, _) if !switched => {
                    switched = true;
                    let name = body.text().map_err(|_| method("a method of before 4.1"))?;
                    let salt = body.array()?;
                    // Who asks may be anybody, and learns what is easier to guess from.
                    if name == NATIVE && greeting.method == CACHING && tls.is_none() {
                        return Err(Failure::Method(
                            "mysql_native_password after all".into(),
                            "caching_sha2_password, or use tls=yes",
                        ));
                    }
                    let again = proof(name, password, &salt)?;
                    self.send(&again)?;
                }
                _ => return Err(Failure::Malformed),
            }
        }
        Err(Failure::Malformed)
    }

    /// The number of a statement with so many parameters, that gives so many columns.
    fn prepare(&mut self, query: &str, parameters: usize, columns: usize) -> Result<u32, Failure> {
        self.command(&[&[PREPARE], query.as_bytes()].concat())?;
        let answer = self.next()?;
        let mut body = Bytes(&answer);
        if body.byte()? != OK {
            return Err(Failure::Malformed);
        }
        let statement = u32::from_le_bytes(body.array()?);
        let given = [body.array()?, body.array()?].map(|it| usize::from(u16::from_le_bytes(it)));
        if given != [columns, parameters] {
            return Err(Failure::Columns);
        }
        // What each parameter is, what each column is, both with their end.
        for count in [parameters, columns] {
            for _ in 0..count {
                self.next()?;
            }
            self.end()?;
        }
        Ok(statement)
    }

    fn end(&mut self) -> Result<(), Failure> {
        match is_end(&self.next()?) {
            true => Ok(()),
            false => Err(Failure::Malformed),
        }
    }
}

impl<W: Wire> Database for Connection<W> {
    fn row(
        &mut self,
        query: &str,
        parameters: &[&[u8]],
        columns: usize,
    ) -> Result<Option<Vec<Value>>, Failure> {
        let statement = self.prepare(query, parameters.len(), columns)?;
        self.command(&execution(statement, parameters)?)?;
        if !matches!(self.next()?[..], [count] if usize::from(count) == columns) {
            return Err(Failure::Columns);
        }
        let mut kinds = Vec::with_capacity(columns);
        for _ in 0..columns {
            kinds.push(Kind::read(&self.next()?)?);
        }
        self.end()?;
        let mut found = None;
        for _ in 0..MAX_MESSAGES {
            let answer = self.next()?;
            if is_end(&answer) {
                return Ok(found);
            }
            let row = values(&answer, &kinds)?;
            if found.replace(row).is_some() {
                return Err(Failure::TwoRows);
            }
        }
        Err(Failure::Malformed)
    }

    fn end_by(&mut self, until: Instant) {
        self.stream.end_by(until);
    }

    fn leave(&mut self) {
        self.stream.leave(&[1, 0, 0, 0, QUIT]);
    }
}

/// What executes a statement: at least one parameter, all of them texts.
fn execution(statement: u32, parameters: &[&[u8]]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let len = parameters.iter().map(|text| text.len() + 6).sum::<usize>();
    let mut ask = Zeroizing::new(Vec::with_capacity(len + 16));
    ask.push(EXECUTE);
    ask.extend_from_slice(&statement.to_le_bytes());
    // No cursor, once.
    ask.extend_from_slice(&[0, 1, 0, 0, 0]);
    // None of them is NULL: a bit for each; and their types follow.
    ask.extend(std::iter::repeat_n(0, parameters.len().div_ceil(8)));
    ask.push(1);
    for _ in parameters {
        ask.extend_from_slice(&[VAR_STRING, 0]);
    }
    for text in parameters {
        let len = u16::try_from(text.len()).map_err(|_| Failure::Malformed)?;
        ask.push(0xfc);
        ask.extend_from_slice(&len.to_le_bytes());
        ask.extend_from_slice(text);
    }
    Ok(ask)
}

/// What the values of a column are.
enum Kind {
    Text,
    Integer { len: usize, signed: bool },
    Other,
}

impl Kind {
    /// From the description of a column: after six names come a length, the character set, the size, the
    /// type, and what else is so of it.
    fn read(packet: &[u8]) -> Result<Self, Failure> {
        let mut body = Bytes(packet);
        for _ in 0..6 {
            counted(&mut body)?;
        }
        body.take(1 + 2 + 4)?;
        let of_type = body.byte()?;
        let signed = u16::from_le_bytes(body.array()?) & UNSIGNED == 0;
        let integer = INTEGERS.iter().find(|(it, _)| *it == of_type);
        Ok(match integer {
            Some((_, len)) => Self::Integer { len: *len, signed },
            None if TEXTS.contains(&of_type) => Self::Text,
            None => Self::Other,
        })
    }

    fn value(&self, body: &mut Bytes<'_>) -> Result<Value, Failure> {
        match self {
            Self::Text => Ok(Value::Text(Zeroizing::new(counted(body)?.to_vec()))),
            Self::Integer { len, signed } => {
                let bytes = body.take(*len)?;
                let negative = *signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
                let mut all = [if negative { 0xff } else { 0 }; 16];
                all.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                Ok(Value::Number(i128::from_le_bytes(all).to_string()))
            }
            Self::Other => Err(Failure::NoText),
        }
    }
}

/// A row, whose columns are these: its mark, which of its values are NULL, from the third bit on, the
/// others.
fn values(row: &[u8], kinds: &[Kind]) -> Result<Vec<Value>, Failure> {
    let mut body = Bytes(row);
    if body.byte()? != OK {
        return Err(Failure::Malformed);
    }
    let nulls = body.take((kinds.len() + 2).div_ceil(8))?;
    let is_null = |at: usize| {
        nulls
            .get(at / 8)
            .is_some_and(|byte| byte >> (at % 8) & 1 != 0)
    };
    let value = |(at, kind): (usize, &Kind)| match is_null(at) {
        true => Ok(Value::Null),
        false => kind.value(&mut body),
    };
    (2..).zip(kinds).map(value).collect()
}

fn is_end(answer: &[u8]) -> bool {
    answer.first() == Some(&EOF) && answer.len() < MAX_EOF
}

/// A server's first packet.
struct Greeting<'m> {
    salt: [u8; SALT],
    /// What it can do.
    offered: u32,
    /// How it would like to be convinced.
    method: &'m [u8],
}

impl<'m> Greeting<'m> {
    fn read(packet: &'m [u8]) -> Result<Self, Failure> {
        let mut body = Bytes(packet);
        if body.byte()? != VERSION {
            return Err(Failure::Malformed);
        }
        body.text()?;
        body.take(4)?;
        let first: [u8; 8] = body.array()?;
        body.take(1)?;
        let low = u16::from_le_bytes(body.array()?);
        body.take(3)?;
        let high = u16::from_le_bytes(body.array()?);
        let offered = u32::from(low) | u32::from(high) << 16;
        if offered & CAPABILITIES != CAPABILITIES {
            return Err(Failure::Malformed);
        }
        body.take(1 + 10)?;
        let second: [u8; 12] = body.array()?;
        body.take(1)?;
        let mut salt = [0; SALT];
        let both = first.iter().chain(&second);
        salt.iter_mut().zip(both).for_each(|(to, from)| *to = *from);
        Ok(Self {
            salt,
            offered,
            method: body.text().unwrap_or(NATIVE),
        })
    }
}

/// What proves to the server that we know a password; the password cannot be read from it.
fn proof(name: &[u8], password: &[u8], salt: &[u8; SALT]) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let xor = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a ^ b).collect();
    Ok(Zeroizing::new(match name {
        NATIVE | CACHING if password.is_empty() => Vec::new(),
        NATIVE => {
            let once = Zeroizing::new(<[u8; 20]>::from(Sha1::digest(password)));
            let twice = Sha1::digest(&once[..]);
            let salted = Sha1::new().chain_update(salt).chain_update(twice);
            xor(&once[..], &salted.finalize())
        }
        CACHING => {
            let once = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(password)));
            let twice = Sha256::digest(&once[..]);
            let salted = Sha256::new().chain_update(Sha256::digest(twice));
            xor(&once[..], &salted.chain_update(salt).finalize())
        }
        other => return Err(method(&shown(other))),
    }))
}

fn method(name: &str) -> Failure {
    Failure::Method(name.to_owned(), "mysql_native_password")
}

/// Bytes with their number before them.
fn counted<'m>(body: &mut Bytes<'m>) -> Result<&'m [u8], Failure> {
    let len = match body.byte()? {
        len @ 0..=0xfa => usize::from(len),
        0xfc => usize::from(u16::from_le_bytes(body.array()?)),
        // Longer than a packet.
        _ => return Err(Failure::Malformed),
    };
    body.take(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The description of a column of this type.
    fn column(of_type: u8, flags: u16) -> Kind {
        let [low, high] = flags.to_le_bytes();
        let rest = [0x0c, 45, 0, 0, 0, 0, 0, of_type, low, high, 0, 0, 0];
        Kind::read(&[&[0; 6][..], &rest].concat()).unwrap()
    }

    #[test]
    fn integers_of_every_size_have_their_sign() {
        for (of_type, flags, bytes, wanted) in [
            (0x01, 0, &b"\xff"[..], "-1"),
            (0x01, UNSIGNED, b"\xff", "255"),
            (0x02, 0, b"\x00\x80", "-32768"),
            (0x02, UNSIGNED, b"\xe8\x03", "1000"),
            (0x09, 0, b"\xff\xff\xff\xff", "-1"),
            (0x03, UNSIGNED, b"\xff\xff\xff\xff", "4294967295"),
            (0x08, 0, b"\0\0\0\0\0\0\0\x80", "-9223372036854775808"),
            (0x08, UNSIGNED, &[0xff; 8], "18446744073709551615"),
        ] {
            let kind = column(of_type, flags);
            let mut body = Bytes(bytes);
            let Ok(Value::Number(number)) = kind.value(&mut body) else {
                panic!("{wanted}");
            };
            assert_eq!((&*number, body.0), (wanted, &b""[..]));
            let short = kind.value(&mut Bytes(&bytes[1..]));
            assert!(matches!(short, Err(Failure::Malformed)), "{wanted}");
        }
        for of_type in [0x04, 0x05, 0xf6, 0x0c] {
            let value = column(of_type, 0).value(&mut Bytes(b"12345678"));
            assert!(matches!(value, Err(Failure::NoText)), "{of_type}");
        }
    }
}
