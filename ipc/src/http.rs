//! The request that opened a WebSocket, as far as somebody decides by it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Most header fields that are told of a request.
pub const MAX_HEADERS: usize = 64;
/// Most bytes of their names and values, together.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;

/// A header field as it came: nothing is decoded, trimmed or put together. What a proxy says there may be
/// known to it and us alone: it is wiped when dropped, and not shown.
#[derive(Clone, Serialize, Deserialize)]
pub struct Header {
    /// In whatever case.
    pub name: Vec<u8>,
    /// Any bytes.
    pub value: Vec<u8>,
}

impl Header {
    /// Names are the same in small and capital letters (RFC 9110, section 5.1).
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// May all these be told of one request?
    #[must_use]
    pub fn are_bounded(headers: &[Self]) -> bool {
        let len = |header: &Self| header.name.len() + header.value.len();
        headers.len() <= MAX_HEADERS && headers.iter().map(len).sum::<usize>() <= MAX_HEADER_BYTES
    }
}

impl PartialEq for Header {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && bool::from(self.value.ct_eq(&other.value))
    }
}

impl Eq for Header {}

impl Drop for Header {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<header>")
    }
}

/// The addresses that begin with the same bits, e.g. `10.0.0.0/8`; not all that there are. (The rules of
/// tcp-wrappers know networks of other kinds, and keep to themselves.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(IpAddr, u8)", into = "(IpAddr, u8)")]
pub struct Cidr {
    first: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Those that have the first `prefix` bits of `first`. `None` when that is no bit, when an address has not
    /// so many, or when `first` has others after them.
    #[must_use]
    pub fn new(first: IpAddr, prefix: u8) -> Option<Self> {
        let (bits, len) = bits(first);
        let rest = len.checked_sub(prefix)?;
        // With no bit set behind the prefix: a mistake, or another network than is meant.
        let is_first = (bits >> rest.min(127)) << rest.min(127) == bits;
        (prefix > 0 && is_first).then_some(Self { first, prefix })
    }

    /// That one alone.
    #[must_use]
    pub fn one(address: IpAddr) -> Self {
        Self {
            first: address,
            prefix: bits(address).1,
        }
    }

    /// Is it one of them? An address of IPv4 is none of IPv6, however it is written.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let ((first, len), (other, other_len)) = (bits(self.first), bits(address));
        len == other_len && (first ^ other) >> (len - self.prefix) == 0
    }
}

impl TryFrom<(IpAddr, u8)> for Cidr {
    type Error = &'static str;

    fn try_from((first, prefix): (IpAddr, u8)) -> Result<Self, Self::Error> {
        Self::new(first, prefix).ok_or("no network of addresses")
    }
}

impl From<Cidr> for (IpAddr, u8) {
    fn from(network: Cidr) -> Self {
        (network.first, network.prefix)
    }
}

/// An address, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        for (first, prefix, inside, outside) in [
            (
                "127.0.0.0",
                8,
                &["127.0.0.1", "127.255.255.255"][..],
                &["128.0.0.0", "126.255.255.255", "::1", "::ffff:127.0.0.1"][..],
            ),
            ("10.0.0.1", 32, &["10.0.0.1"], &["10.0.0.0", "10.0.0.2"]),
            ("128.0.0.0", 1, &["255.1.1.1"], &["127.1.1.1", "8000::"]),
            ("::1", 128, &["::1"], &["::", "::2", "0.0.0.1"]),
            ("2001:db8::", 32, &["2001:db8:ffff::"], &["2001:db9::"]),
            ("8000::", 1, &["ffff::"], &["7fff::", "128.0.0.0"]),
        ] {
            let network = Cidr::new(address(first), prefix).unwrap();
            for (texts, is_inside) in [(inside, true), (outside, false)] {
                for text in texts {
                    assert_eq!(network.holds(address(text)), is_inside, "{first} {text}");
                }
            }
        }
        for (first, prefix) in [
            ("0.0.0.0", 0),
            ("::", 0),
            ("10.0.0.1", 8),
            ("10.0.0.0", 33),
            ("::1", 127),
            ("::", 129),
            ("10.0.0.0", 255),
        ] {
            assert_eq!(Cidr::new(address(first), prefix), None, "{first}/{prefix}");
        }
    }

    proptest! {
        #[test]
        fn a_network_holds_its_first_address_and_travels(first: IpAddr, prefix: u8) {
            prop_assert!(Cidr::one(first).holds(first));
            if let Some(network) = Cidr::new(first, prefix) {
                prop_assert!(network.holds(first));
                prop_assert_eq!(Cidr::try_from(<(IpAddr, u8)>::from(network)), Ok(network));
            }
        }
    }

    #[test]
    fn a_request_is_told_only_so_much() {
        let headers = |count: usize, len: usize| {
            let one = Header {
                name: b"Name".to_vec(),
                value: vec![b'x'; len],
            };
            vec![one; count]
        };
        for (count, len, bounded) in [
            (0, 0, true),
            (64, 124, true),
            (64, 125, false),
            (65, 0, false),
            (1, MAX_HEADER_BYTES - 4, true),
            (1, MAX_HEADER_BYTES - 3, false),
        ] {
            let outcome = Header::are_bounded(&headers(count, len));
            assert_eq!(outcome, bounded, "{count} {len}");
        }
    }

    #[test]
    fn a_header_is_not_shown() {
        let header = Header {
            name: b"Authorization".to_vec(),
            value: b"hunter2".to_vec(),
        };
        assert_eq!(format!("{header:?}"), "<header>");
        assert!(header.is_named("authorization") && !header.is_named("authorizatio"));
    }
}
