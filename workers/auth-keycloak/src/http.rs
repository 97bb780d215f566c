//! HTTP/1.1 (RFC 9112), as much as it takes to ask one server a few things over one connection.

use crate::url::Url;
use zeroize::{Zeroize, Zeroizing};

/// Longest head of an answer, in bytes; also all of what follows its last chunk.
pub const MAX_HEAD: usize = 16 * 1024;
/// Longest body of an answer, in bytes.
pub const MAX_BODY: usize = 128 * 1024;
/// Most lines of a head.
const MAX_HEADERS: usize = 64;
/// Longest line with the length of a chunk, in bytes.
const MAX_CHUNK_LINE: usize = 128;

/// What is asked.
#[derive(Clone, Copy)]
pub enum Request<'r> {
    /// GET, with the token of who may read it, if it takes one.
    Get(Option<&'r str>),
    /// POST of a form.
    Post {
        /// The form, encoded.
        form: &'r str,
        /// What the header `authorization` says, if there is one.
        authorization: Option<&'r str>,
    },
}

impl Request<'_> {
    /// As it goes over the connection.
    #[must_use]
    pub fn encode(self, url: &Url) -> Zeroizing<String> {
        let (method, authorization, form) = match self {
            Self::Get(token) => (
                "GET",
                token.map(|token| Zeroizing::new(format!("Bearer {token}"))),
                None,
            ),
            Self::Post {
                form,
                authorization,
            } => (
                "POST",
                authorization.map(|it| Zeroizing::new(it.to_owned())),
                Some(form),
            ),
        };
        let mut lines = vec![
            format!("{method} {} HTTP/1.1\r\n", url.path),
            format!("host: {}\r\n", url.authority()),
            "accept: application/json\r\nuser-agent: bulkhead\r\n".to_owned(),
        ];
        if let Some(authorization) = &authorization {
            lines.push(format!("authorization: {}\r\n", authorization.as_str()));
        }
        if let Some(form) = form {
            lines.push(format!(
                "content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n",
                form.len()
            ));
        }
        lines.push("\r\n".to_owned());
        let length = lines.iter().map(String::len).sum::<usize>() + form.map_or(0, str::len);
        // No growing, which would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(length));
        for line in &mut lines {
            text.push_str(line);
            line.zeroize();
        }
        text.push_str(form.unwrap_or_default());
        text
    }
}

/// Why something is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// No head.
    #[error("is not HTTP/1.1")]
    Head,
    /// More than is taken.
    #[error("is too long")]
    TooLong,
    /// Where it ends is not said, or in two ways.
    #[error("does not say how long it is, or says it twice")]
    Length,
    /// A transfer or content coding that was not asked for.
    #[error("is encoded in a way that was not asked for")]
    Coding,
    /// A chunk that is none.
    #[error("has a broken chunk")]
    Chunk,
    /// More than the answer.
    #[error("is followed by something that was not asked for")]
    More,
}

/// A whole answer.
#[cfg_attr(test, derive(Debug, PartialEq, Eq))]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Zeroizing<Vec<u8>>,
    /// The server ends the connection.
    pub is_last: bool,
}

/// Puts an answer together.
pub struct Reader {
    state: State,
    /// The head, or the line that is not complete yet.
    line: Zeroizing<Vec<u8>>,
    body: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    status: u16,
    is_last: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    Length(Head, usize),
    Chunks(Head, Chunk),
    Whole(Head),
}

#[derive(Clone, Copy, Debug)]
enum Chunk {
    /// The line with its length.
    Size,
    /// So many bytes of it are missing.
    Data(usize),
    /// The end of line after it.
    End,
    /// What follows the last; so many bytes were there.
    Trailer(usize),
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            state: State::Head,
            line: Zeroizing::new(Vec::with_capacity(MAX_HEAD)),
            body: Zeroizing::new(Vec::with_capacity(MAX_BODY)),
        }
    }
}

impl Reader {
    /// Takes what has come.
    ///
    /// # Errors
    /// [`Mistake`]: nothing more is to be read from this connection.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Mistake> {
        while let Some((byte, rest)) = bytes.split_first() {
            match self.state {
                State::Head => {
                    self.head(*byte)?;
                    bytes = rest;
                }
                State::Length(head, missing) => {
                    let (taken, after) = bytes.split_at(missing.min(bytes.len()));
                    self.body.extend_from_slice(taken);
                    self.state = body(head, missing - taken.len());
                    bytes = after;
                }
                State::Chunks(head, Chunk::Data(missing)) => {
                    let (taken, after) = bytes.split_at(missing.min(bytes.len()));
                    self.body.extend_from_slice(taken);
                    self.state = State::Chunks(
                        head,
                        match missing - taken.len() {
                            0 => Chunk::End,
                            missing => Chunk::Data(missing),
                        },
                    );
                    bytes = after;
                }
                State::Chunks(head, chunk) => {
                    self.chunk(head, chunk, *byte)?;
                    bytes = rest;
                }
                State::Whole(_) => return Err(Mistake::More),
            }
        }
        Ok(())
    }

    /// The answer, when all of it is there.
    #[must_use]
    pub fn answer(&mut self) -> Option<Answer> {
        let State::Whole(head) = self.state else {
            return None;
        };
        Some(Answer {
            status: head.status,
            body: std::mem::take(&mut self.body),
            is_last: head.is_last,
        })
    }

    fn head(&mut self, byte: u8) -> Result<(), Mistake> {
        if self.line.len() >= MAX_HEAD {
            return Err(Mistake::TooLong);
        }
        self.line.push(byte);
        if !self.line.ends_with(b"\r\n\r\n") {
            return Ok(());
        }
        self.state = parse_head(&self.line)?;
        self.line.clear();
        Ok(())
    }

    fn chunk(&mut self, head: Head, chunk: Chunk, byte: u8) -> Result<(), Mistake> {
        if self.line.len() >= MAX_CHUNK_LINE {
            return Err(match chunk {
                Chunk::Trailer(_) => Mistake::TooLong,
                _ => Mistake::Chunk,
            });
        }
        self.line.push(byte);
        if byte != b'\n' {
            return Ok(());
        }
        let line = self.line.strip_suffix(b"\r\n").ok_or(Mistake::Chunk)?;
        let next = match chunk {
            Chunk::End if line.is_empty() => Chunk::Size,
            Chunk::Size => match chunk_size(line)? {
                0 => Chunk::Trailer(0),
                size if size > MAX_BODY - self.body.len() => return Err(Mistake::TooLong),
                size => Chunk::Data(size),
            },
            Chunk::Trailer(_) if line.is_empty() => {
                self.state = State::Whole(head);
                return Ok(());
            }
            Chunk::Trailer(before) if before + line.len() <= MAX_HEAD => {
                // An empty one would have ended it: each counts for something.
                Chunk::Trailer(before + line.len())
            }
            Chunk::Trailer(_) => return Err(Mistake::TooLong),
            Chunk::End | Chunk::Data(_) => return Err(Mistake::Chunk),
        };
        self.line.clear();
        self.state = State::Chunks(head, next);
        Ok(())
    }
}

fn body(head: Head, missing: usize) -> State {
    match missing {
        0 => State::Whole(head),
        missing => State::Length(head, missing),
    }
}

/// The length of a chunk, in hexadecimal; what may follow it is not looked at.
fn chunk_size(line: &[u8]) -> Result<usize, Mistake> {
    let end = line.iter().position(|byte| *byte == b';');
    let digits = line.get(..end.unwrap_or(line.len())).unwrap_or_default();
    let digits = digits.trim_ascii_end();
    // Eight digits are more than any length that is taken.
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Mistake::Chunk);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Mistake::Chunk)?;
    usize::from_str_radix(digits, 16).map_err(|_| Mistake::Chunk)
}

fn parse_head(bytes: &[u8]) -> Result<State, Mistake> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Mistake::TooLong),
        _ => return Err(Mistake::Head),
    }
    let status = match (response.version, response.code) {
        // Nothing was asked that has an answer before the answer.
        (Some(1), Some(status @ 200..=599)) => status,
        _ => return Err(Mistake::Head),
    };
    let (mut length, mut chunked, mut is_last) = (None, false, false);
    for header in response.headers.iter() {
        let value = header.value.trim_ascii();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let value = std::str::from_utf8(value).ok().filter(|_| digits);
            let value = value.ok_or(Mistake::Length)?;
            if length.replace(value).is_some() {
                return Err(Mistake::Length);
            }
        } else if is("transfer-encoding") {
            if chunked {
                return Err(Mistake::Length);
            }
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Mistake::Coding);
            }
            chunked = true;
        } else if is("content-encoding") && !value.eq_ignore_ascii_case(b"identity") {
            return Err(Mistake::Coding);
        } else if is("connection") {
            let mut words = value.split(|byte| *byte == b',');
            is_last |= words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"));
        }
    }
    let head = Head { status, is_last };
    match (length, chunked) {
        (None, true) => Ok(State::Chunks(head, Chunk::Size)),
        (Some(length), false) => match length.parse() {
            Ok(length) if length <= MAX_BODY => Ok(body(head, length)),
            _ => Err(Mistake::TooLong),
        },
        (None, false) if status == 204 => Ok(State::Whole(head)),
        _ => Err(Mistake::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Option<Answer>, Mistake> {
        let mut reader = Reader::default();
        reader.push(bytes)?;
        Ok(reader.answer())
    }

    #[test]
    fn a_request_goes_over_the_connection() {
        let url = Url::parse("http://[::1]:81/a").unwrap();
        assert_eq!(
            Request::Get(Some("t")).encode(&url).as_str(),
            "GET /a HTTP/1.1\r\nhost: [::1]:81\r\naccept: application/json\r\n\
             user-agent: bulkhead\r\nauthorization: Bearer t\r\n\r\n"
        );
        let post = Request::Post {
            form: "a=b",
            authorization: Some("Basic x"),
        };
        let text = post.encode(&url);
        assert!(text.starts_with("POST /a HTTP/1.1\r\n"), "{}", *text);
        assert!(text.contains("authorization: Basic x\r\n"));
        assert!(text.ends_with("content-length: 3\r\n\r\na=b"));
        // It was not moved.
        assert_eq!(text.capacity(), text.len());
    }

    #[test]
    fn answers() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, Close\r\n\r\n{}";
        let answer = read(text).unwrap().unwrap();
        assert_eq!((answer.status, answer.is_last), (200, true));
        assert_eq!(*answer.body, b"{}");
        let text = b"HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n\
            3;ext=1\r\nabc\r\nA \r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
        let answer = read(text).unwrap().unwrap();
        assert_eq!((answer.status, answer.is_last), (404, false));
        assert_eq!(*answer.body, b"abc0123456789");
        assert_eq!(
            read(b"HTTP/1.1 204 x\r\n\r\n").unwrap().unwrap().status,
            204
        );
        assert_eq!(
            read(b"HTTP/1.1 200 x\r\nContent-Length: 2\r\n\r\n{"),
            Ok(None)
        );
    }

    #[test]
    fn what_is_no_answer() {
        let ok = "HTTP/1.1 200 OK\r\n";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (text, mistake) in [
            ("SSH-2.0-x\r\n\r\n".to_owned(), Mistake::Head),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
                Mistake::Head,
            ),
            ("HTTP/1.1 100 Continue\r\n\r\n".into(), Mistake::Head),
            (format!("{ok}\r\n"), Mistake::Length),
            (
                format!("{ok}Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
                Mistake::Length,
            ),
            (format!("{ok}Content-Length: +1\r\n\r\n"), Mistake::Length),
            (
                format!("{ok}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
                Mistake::Length,
            ),
            (
                format!("{ok}Transfer-Encoding: gzip, chunked\r\n\r\n"),
                Mistake::Coding,
            ),
            (
                format!("{ok}Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\n"),
                Mistake::Coding,
            ),
            (
                format!("{ok}Content-Length: 131073\r\n\r\n"),
                Mistake::TooLong,
            ),
            (
                format!("{ok}Content-Length: 99999999999999999999999\r\n\r\n"),
                Mistake::TooLong,
            ),
            (
                format!("{ok}{}", "x: y\r\n".repeat(65)) + "\r\n",
                Mistake::TooLong,
            ),
            (format!("{ok}x: {}", "y".repeat(MAX_HEAD)), Mistake::TooLong),
            (format!("{ok}Content-Length: 1\r\n\r\nab"), Mistake::More),
            (format!("{chunked}x\r\n"), Mistake::Chunk),
            (format!("{chunked}\r\n"), Mistake::Chunk),
            (format!("{chunked}1\n"), Mistake::Chunk),
            (format!("{chunked}1\r\nab\r\n"), Mistake::Chunk),
            (format!("{chunked}20001\r\n"), Mistake::TooLong),
            (format!("{chunked}FFFFFFFFF\r\n"), Mistake::Chunk),
            (format!("{chunked}{}", "0".repeat(200)), Mistake::Chunk),
            (
                format!("{chunked}0\r\n{}", "trailer: trailer\r\n".repeat(2000)),
                Mistake::TooLong,
            ),
        ] {
            assert_eq!(read(text.as_bytes()), Err(mistake), "{:.80}", text);
        }
    }

    #[test]
    fn a_body_is_not_longer_in_many_chunks() {
        let mut text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..3 {
            text.extend_from_slice(b"B000\r\n");
            text.extend_from_slice(&[b'x'; 0xb000]);
            text.extend_from_slice(b"\r\n");
        }
        assert_eq!(read(&text), Err(Mistake::TooLong));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            body in prop::collection::vec(any::<u8>(), 0..200),
            chunks in prop::collection::vec(1_usize..50, 1..5),
            cuts in prop::collection::vec(1_usize..40, 1..20),
        ) {
            let mut text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            let (mut rest, mut sizes) = (&body[..], chunks.iter().cycle());
            while !rest.is_empty() {
                let size = (*sizes.next().unwrap()).min(rest.len());
                text.extend_from_slice(format!("{size:x}\r\n").as_bytes());
                text.extend_from_slice(&rest[..size]);
                text.extend_from_slice(b"\r\n");
                rest = &rest[size..];
            }
            text.extend_from_slice(b"0\r\n\r\n");
            let mut reader = Reader::default();
            let (mut rest, mut cuts) = (&text[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let cut = (*cuts.next().unwrap()).min(rest.len());
                prop_assert!(reader.answer().is_none());
                prop_assert_eq!(reader.push(&rest[..cut]), Ok(()));
                rest = &rest[cut..];
            }
            prop_assert_eq!(&*reader.answer().unwrap().body, &body);
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), head in any::<bool>()) {
            let mut reader = Reader::default();
            if head {
                reader.push(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
            }
            let _ = reader.push(&bytes);
            prop_assert!(reader.body.len() <= MAX_BODY);
        }
    }
}
