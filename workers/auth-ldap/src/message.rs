//! The few messages of LDAP that are needed here (RFC 4511, section 4).

use crate::ber::{self, Malformed, Reader};
use zeroize::Zeroizing;

/// The version of the protocol.
const VERSION: u32 = 3;
/// Tags of operations: the application's own, constructed.
const BIND: u8 = 0x60;
const BIND_DONE: u8 = 0x61;
const SEARCH: u8 = 0x63;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SEARCH_REFERENCE: u8 = 0x73;
/// `unbindRequest`: primitive, of nothing.
const UNBIND: u8 = 0x42;
const EXTENDED: u8 = 0x77;
const EXTENDED_DONE: u8 = 0x78;
/// `requestName` in an extended request.
const REQUEST_NAME: u8 = 0x80;
/// "StartTLS" (section 4.14.1).
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
/// `simple` in the choice of authentications.
const SIMPLE: u8 = 0x80;
/// `equalityMatch` in the choice of filters.
const EQUALS: u8 = 0xa3;
/// `wholeSubtree`, `neverDerefAliases`.
const SUBTREE: u32 = 2;
const NEVER: u32 = 0;
/// The entries that a search may find: a second one says that the first is not clear.
const MAX_ENTRIES: u32 = 2;
/// "No attributes" (section 4.5.1.8).
const NO_ATTRIBUTES: &str = "1.1";

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a bind: the result code.
    Bind(u32),
    /// A search has found the entry of this name.
    Entry(String),
    /// A search has found that others know more, who are not asked.
    Reference,
    /// To a search: the result code.
    Done(u32),
    /// To an extended request: the result code.
    Extended(u32),
}

fn message(id: u32, operation: &[u8]) -> Zeroizing<Vec<u8>> {
    ber::all(ber::SEQUENCE, &[&ber::number(ber::INTEGER, id), operation])
}

/// "I am this entry, and this is my password."
#[must_use]
pub fn bind(id: u32, name: &str, password: &str) -> Zeroizing<Vec<u8>> {
    let operation = ber::all(
        BIND,
        &[
            &ber::number(ber::INTEGER, VERSION),
            &ber::element(ber::OCTETS, name.as_bytes()),
            &ber::element(SIMPLE, password.as_bytes()),
        ],
    );
    message(id, &operation)
}

/// "From now on with TLS, please."
#[must_use]
pub fn start_tls(id: u32) -> Vec<u8> {
    let name = ber::element(REQUEST_NAME, START_TLS);
    message(id, &ber::all(EXTENDED, &[&name])).to_vec()
}

/// "Which entries below this one have this value?" The value is bytes in an element of its own:
/// there is no text of a filter that it could change.
#[must_use]
pub fn search(
    id: u32,
    base: &str,
    attribute: &str,
    value: &str,
    seconds: u16,
) -> Zeroizing<Vec<u8>> {
    let text = |text: &str| ber::element(ber::OCTETS, text.as_bytes());
    let operation = ber::all(
        SEARCH,
        &[
            &text(base),
            &ber::number(ber::ENUMERATED, SUBTREE),
            &ber::number(ber::ENUMERATED, NEVER),
            &ber::number(ber::INTEGER, MAX_ENTRIES),
            &ber::number(ber::INTEGER, seconds.into()),
            &ber::element(ber::BOOLEAN, &[0]),
            &ber::all(EQUALS, &[&text(attribute), &text(value)]),
            &ber::all(ber::SEQUENCE, &[&text(NO_ATTRIBUTES)]),
        ],
    );
    message(id, &operation)
}

/// "That was all."
#[must_use]
pub fn unbind(id: u32) -> Zeroizing<Vec<u8>> {
    message(id, &ber::element(UNBIND, &[]))
}

/// Reads an answer to the request with this id.
///
/// # Errors
/// It is none, or to another one (0: the server says that it ends the connection).
pub fn read(bytes: &[u8], id: u32) -> Result<Answer, Malformed> {
    let mut message = Reader::new(Reader::new(bytes).expect(ber::SEQUENCE)?);
    if message.number(ber::INTEGER)? != id {
        return Err(Malformed);
    }
    // Controls may follow; none was asked for, and an answer is complete without.
    let (operation, content) = message.any()?;
    let mut content = Reader::new(content);
    Ok(match operation {
        BIND_DONE => Answer::Bind(content.number(ber::ENUMERATED)?),
        SEARCH_DONE => Answer::Done(content.number(ber::ENUMERATED)?),
        EXTENDED_DONE => Answer::Extended(content.number(ber::ENUMERATED)?),
        SEARCH_REFERENCE => Answer::Reference,
        SEARCH_ENTRY => {
            let name = content.expect(ber::OCTETS)?;
            let name = std::str::from_utf8(name).map_err(|_| Malformed)?;
            Answer::Entry(name.to_owned())
        }
        _ => return Err(Malformed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As a packet capture shows what `ldapwhoami -x -D cn=a -w b` sends.
    #[test]
    fn a_bind_byte_by_byte() {
        let expected = [
            0x30, 0x0f, 2, 1, 1, 0x60, 0x0a, 2, 1, 3, 4, 4, b'c', b'n', b'=', b'a', 0x80, 1, b'b',
        ];
        let mut whole = expected.to_vec();
        // The lengths follow from what is inside.
        (whole[1], whole[6]) = (17, 12);
        assert_eq!(*bind(1, "cn=a", "b"), whole);
    }

    #[test]
    fn answers_are_read_and_must_be_ours() {
        let answer = |id, operation: &[u8]| message(id, operation);
        let result = |tag, code| {
            let empty = ber::element(ber::OCTETS, &[]);
            ber::all(tag, &[&ber::number(ber::ENUMERATED, code), &empty, &empty])
        };
        let bytes = answer(7, &result(BIND_DONE, 49));
        assert_eq!(read(&bytes, 7), Ok(Answer::Bind(49)));
        assert_eq!(read(&bytes, 8), Err(Malformed));
        assert_eq!(read(&answer(0, &result(BIND_DONE, 0)), 7), Err(Malformed));
        assert_eq!(
            read(&answer(7, &result(EXTENDED_DONE, 2)), 7),
            Ok(Answer::Extended(2))
        );
        assert_eq!(read(&answer(7, &result(0x79, 0)), 7), Err(Malformed));
        assert_eq!(
            read(&answer(7, &result(SEARCH_DONE, 4)), 7),
            Ok(Answer::Done(4))
        );
        let entry = ber::all(
            SEARCH_ENTRY,
            &[
                &ber::element(ber::OCTETS, b"uid=a"),
                &ber::element(ber::SEQUENCE, &[]),
            ],
        );
        assert_eq!(
            read(&answer(7, &entry), 7),
            Ok(Answer::Entry("uid=a".into()))
        );
        let bad = ber::all(SEARCH_ENTRY, &[&ber::element(ber::OCTETS, b"\xff")]);
        assert_eq!(read(&answer(7, &bad), 7), Err(Malformed));
        // An empty result is no success.
        assert_eq!(
            read(&answer(7, &ber::element(BIND_DONE, &[])), 7),
            Err(Malformed)
        );
        let none = ber::all(BIND_DONE, &[&ber::element(ber::ENUMERATED, &[])]);
        assert_eq!(read(&answer(7, &none), 7), Err(Malformed));
    }

    #[test]
    fn whatever_the_value_is_the_filter_has_one() {
        for value in ["*", "a)(uid=*", "\\", "x)(|(uid=*))", "a\0b"] {
            let bytes = search(1, "dc=x", "uid", value, 5);
            let mut message = Reader::new(Reader::new(&bytes).expect(ber::SEQUENCE).unwrap());
            message.number(ber::INTEGER).unwrap();
            let mut search = Reader::new(message.expect(SEARCH).unwrap());
            for _ in 0..6 {
                search.any().unwrap();
            }
            let mut filter = Reader::new(search.expect(EQUALS).unwrap());
            assert_eq!(filter.expect(ber::OCTETS), Ok(&b"uid"[..]));
            assert_eq!(filter.expect(ber::OCTETS), Ok(value.as_bytes()));
            assert!(filter.any().is_err());
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&bytes, 1);
        }
    }
}
