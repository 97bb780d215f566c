//! A question of the DNS and its answer, as bytes (RFC 1035).

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, ParsedName, ToName};
use domain::dep::octseq::array::Array;
use domain::rdata::{A, Aaaa, Cname, Ptr};
use ipc::check::MAX_NAMES;
use std::net::IpAddr;
use std::str::FromStr;

/// The longest answer that is looked at, in bytes.
pub const MAX_ANSWER: usize = 16 * 1024;
/// Most records of an answer that are looked at.
const MAX_RECORDS: usize = 1024;
/// Most aliases from a name to what it stands for.
pub const MAX_ALIASES: usize = 8;

/// A name as the DNS has it, with any bytes in it.
pub type WireName = Name<Array<255>>;

/// A question and an answer to it have at most so many bytes before the records: the header, a name,
/// type and class.
const MAX_QUESTION: usize = 12 + 255 + 4;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    name: WireName,
    wanted: Wanted,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// The names of an address (PTR).
    Names,
    /// Has it this address? (A or AAAA)
    Address(IpAddr),
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The names of an address, at most [`MAX_NAMES`], each once; `None` for what is no name of a machine.
    Names(Vec<Option<hosts::Name>>),
    /// This name has that address among its own, or has not.
    HasAddress(bool),
    /// This is another name for something of which nothing is said.
    Alias(Box<WireName>),
    /// There is nothing of that kind.
    Nothing,
}

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// It cannot be read.
    #[error("an answer that cannot be read")]
    Malformed,
    /// It belongs to something else.
    #[error("an answer to another question")]
    Other,
    /// It is not all there.
    #[error("an answer that is cut short")]
    Truncated,
    /// The server says that it has not found out.
    #[error("no answer but code {0}, because it failed or does not serve us")]
    Failed(u8),
    /// It says that there is nothing, and what there is.
    #[error("an answer that contradicts itself")]
    Contradicts,
    /// It knows its own zones only, and refers us to others.
    #[error("a reference to other servers: name one that asks those itself")]
    NotRecursive,
    /// Too many records or bytes.
    #[error("an answer that is too long")]
    Long,
    /// More names than anybody needs.
    #[error("more than {MAX_NAMES} names")]
    Names,
    /// An alias of an alias of an alias …
    #[error("too many aliases, or aliases in a circle")]
    Aliases,
}

impl Question {
    /// Which names has this address?
    #[must_use]
    pub fn names_of(address: IpAddr) -> Option<Self> {
        let text = match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(address) => {
                let halves = address.octets().into_iter().rev();
                let halves = halves.flat_map(|byte| [byte & 15, byte >> 4]);
                let digits: String = halves.map(|half| format!("{half:x}.")).collect();
                digits + "ip6.arpa"
            }
        };
        let name = WireName::from_str(&text).ok()?;
        Some(Self::alias_of(name))
    }

    /// Which names has what this name stands for?
    #[must_use]
    pub fn alias_of(name: WireName) -> Self {
        Self {
            name,
            wanted: Wanted::Names,
        }
    }

    /// Has this name that address?
    #[must_use]
    pub fn has(name: &hosts::Name, address: IpAddr) -> Option<Self> {
        Some(Self {
            name: WireName::from_str(name.as_str()).ok()?,
            wanted: Wanted::Address(address.to_canonical()),
        })
    }

    fn rtype(&self) -> Rtype {
        match self.wanted {
            Wanted::Names => Rtype::PTR,
            Wanted::Address(IpAddr::V4(_)) => Rtype::A,
            Wanted::Address(IpAddr::V6(_)) => Rtype::AAAA,
        }
    }

    /// It, as it is sent.
    #[must_use]
    pub fn encode(&self, id: u16) -> Option<Vec<u8>> {
        let mut message = MessageBuilder::from_target(Array::<MAX_QUESTION>::new()).ok()?;
        message.header_mut().set_id(id);
        message.header_mut().set_rd(true);
        let mut question = message.question();
        question.push((&self.name, self.rtype())).ok()?;
        Some(question.finish().as_ref().to_vec())
    }

    /// What a server's answer to it says.
    ///
    /// # Errors
    /// It says nothing.
    pub fn answer(&self, id: u16, bytes: &[u8]) -> Result<Answer, Mistake> {
        if bytes.len() > MAX_ANSWER {
            return Err(Mistake::Long);
        }
        let message = Message::from_octets(bytes).map_err(|_| Mistake::Malformed)?;
        let header = message.header();
        if header.id() != id || !header.qr() || header.opcode() != Opcode::QUERY {
            return Err(Mistake::Other);
        }
        if header.tc() {
            return Err(Mistake::Truncated);
        }
        // A server that refuses may leave the question out.
        let missing = match header.rcode() {
            Rcode::NOERROR => false,
            Rcode::NXDOMAIN => true,
            code => return Err(Mistake::Failed(code.to_int())),
        };
        let asked = message.sole_question().map_err(|_| Mistake::Malformed)?;
        let same = asked.qname().name_eq(&self.name);
        if !same || asked.qtype() != self.rtype() || asked.qclass() != Class::IN {
            return Err(Mistake::Other);
        }
        let records = Records::read(&message)?;
        let name = records.follow(&self.name)?;
        let answer = match self.wanted {
            Wanted::Names => records.names(&name)?.map(Answer::Names),
            // Another machine's name, even if that has the address.
            Wanted::Address(_) if name != self.name => Some(Answer::HasAddress(false)),
            Wanted::Address(address) => records.has(&name, address)?.map(Answer::HasAddress),
        };
        match answer {
            Some(Answer::Names(_) | Answer::HasAddress(true)) if missing => {
                Err(Mistake::Contradicts)
            }
            Some(answer) => Ok(answer),
            None if !missing && name != self.name => Ok(Answer::Alias(Box::new(name))),
            // Who has not looked has not found, either.
            None if !header.aa() && (!header.ra() || is_referral(&message)?) => {
                Err(Mistake::NotRecursive)
            }
            None => Ok(Answer::Nothing),
        }
    }
}

/// A name, and what it stands for.
type Alias<'m> = (ParsedName<&'m [u8]>, ParsedName<&'m [u8]>);

/// The records of an answer.
struct Records<'m> {
    message: &'m Message<&'m [u8]>,
    aliases: Vec<Alias<'m>>,
}

impl<'m> Records<'m> {
    /// All of them can be read, and there are not too many.
    fn read(message: &'m Message<&'m [u8]>) -> Result<Self, Mistake> {
        if usize::from(message.header_counts().ancount()) > MAX_RECORDS {
            return Err(Mistake::Long);
        }
        let answer = message.answer().map_err(|_| Mistake::Malformed)?;
        for record in answer {
            record.map_err(|_| Mistake::Malformed)?;
        }
        let answer = message.answer().map_err(|_| Mistake::Malformed)?;
        let mut aliases = Vec::new();
        for record in answer.limit_to_in::<Cname<_>>() {
            let record = record.map_err(|_| Mistake::Malformed)?;
            if aliases.len() >= MAX_ALIASES {
                return Err(Mistake::Aliases);
            }
            let (owner, data) = record.into_owner_and_data();
            aliases.push((owner, data.into_cname()));
        }
        Ok(Self { message, aliases })
    }

    /// What this name stands for.
    fn follow(&self, name: &WireName) -> Result<WireName, Mistake> {
        let mut name = name.clone();
        // Each leads somewhere once, so more steps are a circle.
        for _ in 0..=self.aliases.len() {
            let mut others = self
                .aliases
                .iter()
                .filter(|(owner, _)| owner.name_eq(&name));
            let Some((_, other)) = others.next() else {
                return Ok(name);
            };
            if others.any(|(_, another)| !another.name_eq(other)) {
                return Err(Mistake::Contradicts);
            }
            name = other.try_to_name().map_err(|_| Mistake::Malformed)?;
        }
        Err(Mistake::Aliases)
    }

    fn names(&self, of: &WireName) -> Result<Option<Vec<Option<hosts::Name>>>, Mistake> {
        let answer = self.message.answer().map_err(|_| Mistake::Malformed)?;
        let mut names = Vec::new();
        for record in answer.limit_to_in::<Ptr<_>>() {
            let record = record.map_err(|_| Mistake::Malformed)?;
            if !record.owner().name_eq(of) {
                continue;
            }
            let name = machine(record.data().ptrdname());
            if !names.contains(&name) {
                names.push(name);
            }
            if names.len() > MAX_NAMES {
                return Err(Mistake::Names);
            }
        }
        Ok((!names.is_empty()).then_some(names))
    }

    fn has(&self, name: &WireName, address: IpAddr) -> Result<Option<bool>, Mistake> {
        let answer = || self.message.answer().map_err(|_| Mistake::Malformed);
        let mut found = None;
        let mut look = |owner: &ParsedName<&[u8]>, its: IpAddr| {
            if owner.name_eq(name) {
                found = Some(found.unwrap_or(false) || its == address);
            }
        };
        match address {
            IpAddr::V4(_) => {
                for record in answer()?.limit_to_in::<A>() {
                    let record = record.map_err(|_| Mistake::Malformed)?;
                    look(record.owner(), record.data().addr().into());
                }
            }
            IpAddr::V6(_) => {
                for record in answer()?.limit_to_in::<Aaaa>() {
                    let record = record.map_err(|_| Mistake::Malformed)?;
                    look(record.owner(), record.data().addr().into());
                }
            }
        }
        Ok(found)
    }
}

/// Does it say who would know? "There is nothing" comes with the start of the zone, or alone (RFC 2308).
fn is_referral(message: &Message<&[u8]>) -> Result<bool, Mistake> {
    let mut servers = false;
    for record in message.authority().map_err(|_| Mistake::Malformed)? {
        match record.map_err(|_| Mistake::Malformed)?.rtype() {
            Rtype::SOA => return Ok(false),
            Rtype::NS => servers = true,
            _ => {}
        }
    }
    Ok(servers)
}

/// The name of a machine, if it is one: a dot inside of a part is not one between two.
fn machine(name: &ParsedName<&[u8]>) -> Option<hosts::Name> {
    let mut text = String::new();
    for label in name.iter().filter(|label| !label.is_root()) {
        let label = std::str::from_utf8(label.as_slice()).ok()?;
        if label.contains('.') {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(label);
    }
    hosts::Name::new(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEEDS: &str = include_str!("../../../tests/fuzz/seeds/names.hex");

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn desk() -> hosts::Name {
        hosts::Name::new("desk.test").unwrap()
    }

    /// As the fuzzer has it: the first byte says what was asked.
    fn question(what: u8) -> Question {
        let address = address(["127.0.0.1", "::1"][usize::from(what & 1)]);
        match what & 2 {
            0 => Question::names_of(address).unwrap(),
            _ => Question::has(&desk(), address).unwrap(),
        }
    }

    fn seed(name: &str) -> Vec<u8> {
        let line = SEEDS
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        let hex = line.unwrap_or_else(|| panic!("no seed {name}"));
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn questions_are_as_the_dns_has_them() {
        let text = |question: &Question| question.name.to_string();
        let of = |text| Question::names_of(address(text)).unwrap();
        assert_eq!(text(&of("192.0.2.15")), "15.2.0.192.in-addr.arpa");
        assert_eq!(of("::ffff:192.0.2.15"), of("192.0.2.15"));
        assert_eq!(
            text(&of("2001:db8::ab")),
            "b.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
        let asked = question(2).encode(0x1234).unwrap();
        let wanted = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04desk\x04test\0\0\x01\0\x01";
        assert_eq!(asked, wanted);
        // The longest name that there is.
        let long = [
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(61),
        ]
        .join(".");
        let long = hosts::Name::new(&long).unwrap();
        assert!(
            Question::has(&long, address("::1"))
                .unwrap()
                .encode(1)
                .is_some()
        );
    }

    #[test]
    fn answers_say_what_they_say() {
        let names = |names: &[Option<&str>]| {
            let name = |name: &Option<&str>| name.and_then(hosts::Name::new);
            Ok(Answer::Names(names.iter().map(name).collect()))
        };
        let alias = WireName::from_str("1.0/25.arpa").unwrap();
        for (seed_name, wanted) in [
            ("one-name", names(&[Some("desk.test")])),
            ("three-names", names(&[Some("desk.test"), None])),
            ("no-such-name", Ok(Answer::Nothing)),
            ("alias-and-name", names(&[Some("desk.test")])),
            ("alias", Ok(Answer::Alias(Box::new(alias)))),
            ("circle", Err(Mistake::Aliases)),
            ("reference", Err(Mistake::NotRecursive)),
            ("failed", Err(Mistake::Failed(2))),
            ("cut-short", Err(Mistake::Truncated)),
            ("compressed", names(&[Some("desk.in-addr.arpa")])),
            ("name-of-v6", names(&[Some("desk.test")])),
            ("address", Ok(Answer::HasAddress(true))),
            ("other-address", Ok(Answer::HasAddress(false))),
            ("address-of-alias", Ok(Answer::HasAddress(false))),
            ("no-address", Ok(Answer::Nothing)),
            ("address-of-v6", Ok(Answer::HasAddress(true))),
        ] {
            let seed = seed(seed_name);
            let answer = question(seed[0]).answer(0x1234, &seed[1..]);
            assert_eq!(answer, wanted, "{seed_name}");
            // The same to a question that was not asked.
            let other = question(seed[0]).answer(0x1235, &seed[1..]);
            assert_eq!(other, Err(Mistake::Other), "{seed_name}");
            let other = question(seed[0] ^ 1).answer(0x1234, &seed[1..]);
            assert!(other.is_err(), "{seed_name}");
        }
        assert_eq!(
            question(0).answer(1, &vec![0; MAX_ANSWER + 1]),
            Err(Mistake::Long)
        );
    }

    proptest! {
        #[test]
        fn nothing_panics(what in 0_u8..4, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = question(what).answer(0x1234, &bytes);
        }
    }
}
