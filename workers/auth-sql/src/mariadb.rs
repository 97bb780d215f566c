//! MariaDB and MySQL (MariaDB's documentation, "Client/Server Protocol").

use crate::bytes::{Bytes, shown};
use crate::stream::Wire;
use crate::{Failure, Found, Login, MAX_MESSAGE, MAX_MESSAGES, Question};
use backend::Tls;
use sha1::Sha1;
use sha2::{Digest, Sha256};
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
/// The type of our parameter.
const VAR_STRING: u8 = 0xfd;

/// Asks for one user's password.
///
/// # Errors
/// [`Failure`].
pub fn ask(
    stream: &mut impl Wire,
    tls: Option<&Tls>,
    login: &Login,
    question: &Question<'_>,
) -> Result<Found, Failure> {
    let mut packets = Packets { stream, number: 0 };
    packets.log_in(tls, login)?;
    // Nothing that the query calls can write.
    packets.command(&[&[QUERY], &b"SET SESSION TRANSACTION READ ONLY"[..]].concat())?;
    if packets.next()?.first() != Some(&OK) {
        return Err(Failure::Malformed);
    }
    let statement = packets.prepare(question.query)?;
    let found = packets.execute(statement, question.username)?;
    packets.stream.leave(&[1, 0, 0, 0, QUIT]);
    Ok(found)
}

/// Packets, which both sides count from the start of each command.
struct Packets<'s, W> {
    stream: &'s mut W,
    number: u8,
}

impl<W: Wire> Packets<'_, W> {
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

    fn log_in(&mut self, tls: Option<&Tls>, login: &Login) -> Result<(), Failure> {
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

    /// The number of a statement.
    fn prepare(&mut self, query: &str) -> Result<u32, Failure> {
        self.command(&[&[PREPARE], query.as_bytes()].concat())?;
        let answer = self.next()?;
        let mut body = Bytes(&answer);
        if body.byte()? != OK {
            return Err(Failure::Malformed);
        }
        let statement = u32::from_le_bytes(body.array()?);
        let columns = u16::from_le_bytes(body.array()?);
        let parameters = u16::from_le_bytes(body.array()?);
        if columns != 1 || parameters != 1 {
            return Err(Failure::Columns);
        }
        // What the parameter is, what the column is, each with its end.
        for _ in 0..2 {
            self.next()?;
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

    fn execute(&mut self, statement: u32, username: &str) -> Result<Found, Failure> {
        let mut ask = vec![EXECUTE];
        ask.extend_from_slice(&statement.to_le_bytes());
        // No cursor, once; the parameter is not NULL, and its type follows.
        ask.extend_from_slice(&[0, 1, 0, 0, 0, 0, 1, VAR_STRING, 0]);
        let len = u16::try_from(username.len()).map_err(|_| Failure::Malformed)?;
        ask.push(0xfc);
        ask.extend_from_slice(&len.to_le_bytes());
        ask.extend_from_slice(username.as_bytes());
        self.command(&ask)?;
        if self.next()?[..] != [1] {
            return Err(Failure::Columns);
        }
        let text = TEXTS.contains(&column_type(&self.next()?)?);
        self.end()?;
        let mut found = None;
        for _ in 0..MAX_MESSAGES {
            let answer = self.next()?;
            if is_end(&answer) {
                return Ok(found);
            }
            let mut body = Bytes(&answer);
            // A row's mark, and which of its values are NULL, from the third bit on.
            if body.byte()? != OK {
                return Err(Failure::Malformed);
            }
            if body.byte()? != 0 || !text {
                return Err(Failure::NoText);
            }
            if found.is_some() {
                return Err(Failure::TwoRows);
            }
            let value = counted(&mut body)?;
            found = Some(Zeroizing::new(value.to_vec()));
        }
        Err(Failure::Malformed)
    }
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

/// The type in the description of a column: after six names come a length, the character set, the
/// size.
fn column_type(packet: &[u8]) -> Result<u8, Failure> {
    let mut body = Bytes(packet);
    for _ in 0..6 {
        counted(&mut body)?;
    }
    body.take(1 + 2 + 4)?;
    body.byte()
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
