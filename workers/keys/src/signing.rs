//! What may be signed: a server's part of a TLS handshake, and nothing else. Its text is made here; so whatever
//! `network` says, a signature is never one of anything else.
//!
//! Of TLS 1.3 only the hash in it is another's. Of TLS 1.2 both randoms and the point are, so four things
//! are seen to here: that nothing of it can be taken for a text of TLS 1.3, nor for a certificate, a revocation list
//! or whatever else is signed in DER, that it has the form that it has to have, and, where TLS 1.3 is spoken too, that
//! it says so: a client that speaks it as well knows then that somebody on the way has made it do with less.

use ipc::tls::{Handshake, Scheme, Version};

/// Handshakes of one connection.
pub const MAX_PER_CONNECTION: u32 = 1;

/// What comes first in a CertificateVerify (RFC 8446, section 4.4.3).
const SPACES: [u8; 64] = [b' '; 64];
/// What comes next, before the hash.
const CONTEXT: &[u8] = b"TLS 1.3, server CertificateVerify\0";
/// How the random of a server ends that would have spoken TLS 1.3 (RFC 8446, section 4.1.3).
const DOWNGRADE: &[u8; 8] = b"DOWNGRD\x01";
/// The type of a curve that is named (RFC 8422, section 5.4).
const NAMED_CURVE: u8 = 3;

/// A signature that is asked for, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// How.
    pub scheme: Scheme,
    /// What.
    pub text: Vec<u8>,
}

/// A question that no sound `network` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The socket has been told not to speak it.
    #[error("a handshake of {}, which the socket does not speak", .0.name())]
    Version(Version),
    /// No cipher suite of TLS 1.3 has such a hash.
    #[error("a transcript hash of {0} bytes")]
    Hash(usize),
    /// Not one of the group.
    #[error("a public point of {0} bytes that has not the form of its group's")]
    Point(usize),
    /// It could be taken for a handshake of TLS 1.3.
    #[error("randoms of TLS 1.2 that begin as a handshake of TLS 1.3 does")]
    Spaces,
    /// It does not say that we speak TLS 1.3.
    #[error("a random of TLS 1.2 that hides that the socket speaks TLS 1.3")]
    Downgrade,
    /// It could be taken for something that is signed, and is no handshake. The one of these that a client can
    /// bring about by itself, and chance in one handshake of some millions.
    #[error("the client's random could be the beginning of a certificate: connect again")]
    Der,
}

impl Malformed {
    /// Does no sound `network` ask so, whatever its client does?
    #[must_use]
    pub fn is_violation(self) -> bool {
        self != Self::Der
    }
}

/// Could this be the part of a certificate, a revocation list, an answer of OCSP or a message of CMS that is signed
/// (RFC 5280, 6960 and 5652)? A sequence or a set of all of the bytes, however its length is written, that begins
/// with a number, another sequence or a numbered field.
fn could_be_der(text: &[u8]) -> bool {
    let [0x30 | 0x31, len, rest @ ..] = text else {
        return false;
    };
    let content = match *len {
        0x80 => Some(rest),
        0..0x80 => (usize::from(*len) == rest.len()).then_some(rest),
        0x81.. => rest
            .split_at_checked(usize::from(*len & 0x7f))
            .filter(|(len, content)| {
                let number = len.iter().fold(0_usize, |number, byte| {
                    number.saturating_mul(256).saturating_add((*byte).into())
                });
                number == content.len()
            })
            .map(|(_, content)| content),
    };
    matches!(content, Some([0x02 | 0x30 | 0xa0..=0xa3, ..]))
}

impl Request {
    /// Checks a question about a socket that speaks these versions.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn new(
        scheme: Scheme,
        handshake: &Handshake,
        versions: &[Version],
    ) -> Result<Request, Malformed> {
        let speaks = |version| match versions.contains(&version) {
            true => Ok(()),
            false => Err(Malformed::Version(version)),
        };
        let text = match handshake {
            Handshake::Tls13 { transcript } => {
                speaks(Version::Tls13)?;
                if !matches!(transcript.len(), 32 | 48) {
                    return Err(Malformed::Hash(transcript.len()));
                }
                [&SPACES[..], CONTEXT, transcript].concat()
            }
            Handshake::Tls12 {
                client_random,
                server_random,
                group,
                point,
            } => {
                speaks(Version::Tls12)?;
                let randoms = [*client_random, *server_random].concat();
                if randoms == SPACES {
                    return Err(Malformed::Spaces);
                }
                if versions.contains(&Version::Tls13) && !server_random.ends_with(DOWNGRADE) {
                    return Err(Malformed::Downgrade);
                }
                let len = u8::try_from(point.len());
                let len = len.ok().filter(|_| group.is_point(point));
                let len = len.ok_or(Malformed::Point(point.len()))?;
                let [high, low] = group.number().to_be_bytes();
                let text = [&randoms[..], &[NAMED_CURVE, high, low, len], point].concat();
                if could_be_der(&text) {
                    return Err(Malformed::Der);
                }
                text
            }
        };
        Ok(Request { scheme, text })
    }

    /// How long the answer takes, in hashes of a derivation: at most about that of RSA with 4096
    /// bits.
    #[must_use]
    pub fn cost(&self) -> u64 {
        match self.scheme {
            Scheme::RsaPssSha256 | Scheme::RsaPssSha384 | Scheme::RsaPssSha512 => 10_000,
            Scheme::EcdsaP256Sha256
            | Scheme::EcdsaP384Sha384
            | Scheme::EcdsaP521Sha512
            | Scheme::Ed25519 => 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipc::tls::Group;
    use proptest::prelude::*;

    /// Which handshakes a text can be signed as: a reader of the RFCs' own, that knows nothing of [`Request`].
    fn read_as(text: &[u8]) -> Vec<Version> {
        let mut read = Vec::new();
        // RFC 8446, section 4.4.3: a text of either side, whatever its context and hash are.
        if text.len() > 64 && text.iter().take(64).all(|byte| *byte == 0x20) {
            read.push(Version::Tls13);
        }
        // RFC 5246, section 7.4.3: two randoms, and then parameters of which RFC 8422 has one kind left, and
        // RFC 4492 two more; those of finite fields begin with the length of a prime of 256 bytes and more.
        if let Some([1..=3, _, ..]) = text.get(64..) {
            read.push(Version::Tls12);
        }
        read
    }

    /// What a text begins with inside that is one sequence or set of DER (X.690, section 10.1).
    fn der_of(text: &[u8]) -> Option<u8> {
        let mut der = certificates::der::Der(text);
        let (tag, content, _) = der.any()?;
        let whole = matches!(tag, 0x30 | 0x31) && der.0.is_empty();
        content.0.first().copied().filter(|_| whole)
    }

    fn tls12(client: [u8; 32], server: [u8; 32], group: Group, point: &[u8]) -> Handshake {
        Handshake::Tls12 {
            client_random: client,
            server_random: server,
            group,
            point: point.to_vec(),
        }
    }

    fn point(group: Group) -> Vec<u8> {
        match group {
            Group::X25519 => vec![b' '; 32],
            Group::P256 => [&[4][..], &[b' '; 64]].concat(),
        }
    }

    const BOTH: &[Version] = &[Version::Tls13, Version::Tls12];
    const OLD: &[Version] = &[Version::Tls12];
    const NEW: &[Version] = &[Version::Tls13];

    fn refused(handshake: &Handshake, versions: &[Version]) -> Malformed {
        Request::new(Scheme::Ed25519, handshake, versions).unwrap_err()
    }

    /// RFC 8422, section 5.4, byte by byte.
    #[test]
    fn the_text_of_tls_1_2_is_the_rfcs() {
        let share: Vec<u8> = (0..32).collect();
        let handshake = tls12([1; 32], [2; 32], Group::X25519, &share);
        let request = Request::new(Scheme::Ed25519, &handshake, OLD).unwrap();
        let expected = [&[1; 32][..], &[2; 32], &[3, 0, 29, 32], &share].concat();
        assert_eq!(request.text, expected);
        let share = point(Group::P256);
        let handshake = tls12([1; 32], [2; 32], Group::P256, &share);
        let request = Request::new(Scheme::EcdsaP256Sha256, &handshake, OLD).unwrap();
        let expected = [&[1; 32][..], &[2; 32], &[3, 0, 23, 65], &share].concat();
        assert_eq!(request.text, expected);
    }

    #[test]
    fn a_version_that_the_socket_does_not_speak_is_not_signed() {
        let old = tls12([1; 32], [2; 32], Group::X25519, &[3; 32]);
        let new = Handshake::Tls13 {
            transcript: vec![1; 32],
        };
        assert_eq!(refused(&old, NEW), Malformed::Version(Version::Tls12));
        assert_eq!(refused(&new, OLD), Malformed::Version(Version::Tls13));
        for handshake in [&old, &new] {
            assert!(matches!(refused(handshake, &[]), Malformed::Version(_)));
        }
        assert!(Request::new(Scheme::Ed25519, &new, BOTH).is_ok());
    }

    #[test]
    fn what_has_not_the_form_of_a_handshake_is_not_signed() {
        for (group, point) in [
            (Group::X25519, vec![]),
            (Group::X25519, vec![1; 31]),
            (Group::X25519, vec![1; 33]),
            (Group::X25519, point(Group::P256)),
            (Group::X25519, vec![1; 32 + 256]),
            (Group::P256, vec![]),
            (Group::P256, vec![4; 64]),
            (Group::P256, vec![4; 66]),
            (Group::P256, vec![2; 65]),
            (Group::P256, vec![2; 33]),
            (Group::P256, vec![4; 65 + 256]),
            (Group::P256, vec![1; 32]),
        ] {
            let len = point.len();
            let handshake = tls12([1; 32], [2; 32], group, &point);
            assert_eq!(refused(&handshake, OLD), Malformed::Point(len));
        }
        let spaces = tls12([b' '; 32], [b' '; 32], Group::X25519, &[1; 32]);
        assert_eq!(refused(&spaces, OLD), Malformed::Spaces);
        assert_eq!(refused(&spaces, BOTH), Malformed::Spaces);
    }

    /// A revocation list, which a broken `network` could have had signed: with this serial number somewhere in it,
    /// OpenSSL takes it for one of the certificate's owner.
    #[test]
    fn a_revocation_list_is_not_signed() {
        let element = |tag: u8, content: &[u8]| {
            let len = u8::try_from(content.len()).unwrap();
            match len {
                0..0x80 => [&[tag, len], content].concat(),
                _ => [&[tag, 0x81, len], content].concat(),
            }
        };
        let attribute = [&b"\x06\x03\x55\x04\x03"[..], &element(0x0c, b"127.0.0.1")].concat();
        let name = element(0x30, &element(0x31, &element(0x30, &attribute)));
        let time = element(0x17, b"261122000000Z");
        let before = [&b"\x30\x05\x06\x03\x2b\x65\x70"[..], &name, &time].concat();
        for (group, total) in [(Group::X25519, 100), (Group::P256, 133)] {
            let head = if total < 130 { 2 } else { 3 };
            let start = head + before.len() + 6;
            let mut serial = vec![0x11; total - start - time.len()];
            let number = group.number().to_be_bytes();
            let len = u8::try_from(total - 68).unwrap();
            let mut fixed = [&DOWNGRADE[..], &[NAMED_CURVE, number[0], number[1], len]].concat();
            if group == Group::P256 {
                fixed.push(4);
            }
            serial[56 - start..][..fixed.len()].copy_from_slice(&fixed);
            let entry = element(0x30, &[element(0x02, &serial), time.clone()].concat());
            let list = element(0x30, &[before.clone(), element(0x30, &entry)].concat());
            assert_eq!(list.len(), total);
            assert_eq!(der_of(&list), Some(0x30));
            let (client, rest) = list.split_first_chunk().unwrap();
            let (server, rest) = rest.split_first_chunk().unwrap();
            let handshake = tls12(*client, *server, group, &rest[4..]);
            assert_eq!(refused(&handshake, BOTH), Malformed::Der);
            assert!(!Malformed::Der.is_violation() && Malformed::Downgrade.is_violation());
            // Written otherwise: a length of two bytes, and one that is not said.
            for (at, bytes) in [(0, &[0x30, 0x82, 0][..]), (0, &[0x31, 0x80, 0x02])] {
                let mut client = *client;
                client[at..at + 3].copy_from_slice(bytes);
                client[3] = u8::try_from(total - 4).unwrap();
                client[4] = 0xa0;
                let handshake = tls12(client, *server, group, &rest[4..]);
                assert_eq!(refused(&handshake, BOTH), Malformed::Der);
            }
            // One byte more is none.
            let mut client = *client;
            client[head - 1] += 1;
            let handshake = tls12(client, *server, group, &rest[4..]);
            assert!(Request::new(Scheme::Ed25519, &handshake, BOTH).is_ok());
        }
    }

    /// RFC 8446, section 4.1.3: a client that speaks TLS 1.3 ends a handshake of TLS 1.2 with this in it.
    #[test]
    fn tls_1_2_says_that_tls_1_3_is_spoken_too() {
        let mut random = [2; 32];
        let handshake = |random| tls12([1; 32], random, Group::X25519, &[3; 32]);
        assert_eq!(refused(&handshake(random), BOTH), Malformed::Downgrade);
        // What a server without TLS 1.2 says.
        random[24..].copy_from_slice(b"DOWNGRD\0");
        assert_eq!(refused(&handshake(random), BOTH), Malformed::Downgrade);
        random[24..].copy_from_slice(b"DOWNGRD\x01");
        assert!(Request::new(Scheme::Ed25519, &handshake(random), BOTH).is_ok());
        assert!(Request::new(Scheme::Ed25519, &handshake([2; 32]), OLD).is_ok());
    }

    /// Bytes that an attacker would choose, and any others.
    fn bytes(count: usize) -> impl Strategy<Value = Vec<u8>> {
        let context = [&SPACES[..], CONTEXT, &SPACES].concat();
        let cut = move |from: usize| {
            context
                .iter()
                .copied()
                .cycle()
                .skip(from)
                .take(count)
                .collect()
        };
        prop_oneof![
            Just(vec![b' '; count]),
            (0_usize..128).prop_map(cut),
            proptest::collection::vec(any::<u8>(), count),
        ]
    }

    proptest! {
        /// Whatever is asked for, by a `network` that somebody has broken into: what is signed can be read as a
        /// handshake of the version that was asked for, and of no other.
        #[test]
        fn no_text_of_one_version_is_one_of_the_other(
            randoms in bytes(64),
            share in bytes(65),
            len in 0_usize..66,
            fix in any::<bool>(),
            says in any::<bool>(),
            der in proptest::option::of((0x30_u8..0x32, 0x60_u8..0x84, any::<u8>(), any::<u8>())),
            which in 0_u8..3,
        ) {
            let mut client = [0; 32];
            let mut server = [0; 32];
            client.copy_from_slice(&randoms[..32]);
            server.copy_from_slice(&randoms[32..]);
            if let Some((tag, len, more, next)) = der {
                client[..4].copy_from_slice(&[tag, len, more, next]);
            }
            if says {
                server[24..].copy_from_slice(DOWNGRADE);
            }
            let group = if which == 0 { Group::X25519 } else { Group::P256 };
            let exact = if which == 0 { 32 } else { 65 };
            let mut share = share;
            if fix {
                share.truncate(exact);
                share[0] = 4;
            } else {
                share.truncate(len);
            }
            let questions = [
                (Version::Tls12, tls12(client, server, group, &share)),
                (Version::Tls13, Handshake::Tls13 { transcript: share }),
            ];
            for (version, handshake) in questions {
                for versions in [BOTH, OLD, NEW] {
                    if let Ok(request) = Request::new(Scheme::Ed25519, &handshake, versions) {
                        prop_assert!(versions.contains(&version));
                        prop_assert_eq!(read_as(&request.text), [version]);
                        prop_assert!(!matches!(der_of(&request.text), Some(0x02 | 0x30 | 0xa0..=0xa3)));
                    }
                }
            }
        }
    }
}
