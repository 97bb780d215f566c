//! `/etc/hosts`: the names that a machine knows without asking anybody (hosts(5)).

use crate::{Name, Naming};
use std::net::IpAddr;

/// The names of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The address.
    pub address: IpAddr,
    /// Its name, then others.
    pub names: Vec<String>,
}

/// The lines that have an address and a name. What else is in the file nobody else reads, either.
#[must_use]
pub fn read(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        let (line, _) = line.split_once('#').unwrap_or((line, ""));
        let mut words = line.split_whitespace();
        let address = words.next()?.parse::<IpAddr>().ok()?;
        let names: Vec<_> = words.map(str::to_owned).collect();
        (!names.is_empty()).then_some(Entry {
            address: address.to_canonical(),
            names,
        })
    };
    text.lines().filter_map(entry).collect()
}

/// The name of this address: the first of its first line. `None` when it is not there, and others are to
/// be asked.
pub fn naming<'n>(
    mut entries: impl Iterator<Item = (IpAddr, &'n [String])>,
    address: IpAddr,
) -> Option<Naming> {
    let address = address.to_canonical();
    let (_, names) = entries.find(|(its, _)| *its == address)?;
    let name = names.first().and_then(|name| Name::new(name));
    Some(name.map_or(Naming::Paranoid, Naming::Name))
}

/// Is this a name of somebody there?
pub fn has<'n>(mut entries: impl Iterator<Item = &'n [String]>, name: &Name) -> bool {
    let is_it = |other: &String| other.eq_ignore_ascii_case(name.as_str());
    entries.any(|names| names.iter().any(is_it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_an_address_names_it() {
        let entries = read(
            "127.0.0.1\tlocalhost\n# 10.0.0.1 no\n10.0.0.1 Desk.example.org desk # mine\n10.0.0.1 other\n\
             x y\n10.0.0.2\n::ffff:10.0.0.3 three\n10.0.0.4 a*b fine\nfe80::1%eth0 x\n",
        );
        let named = |address: &str| {
            let entries = entries.iter().map(|one| (one.address, &one.names[..]));
            naming(entries, address.parse().unwrap())
        };
        let name = |text| Some(Naming::Name(Name::new(text).unwrap()));
        assert_eq!(named("127.0.0.1"), name("localhost"));
        assert_eq!(named("::ffff:10.0.0.1"), name("desk.example.org"));
        assert_eq!(named("10.0.0.2"), None);
        assert_eq!(named("10.0.0.3"), name("three"));
        assert_eq!(named("10.0.0.4"), Some(Naming::Paranoid));
        assert_eq!(named("fe80::1"), None);
        let has = |text| {
            has(
                entries.iter().map(|one| &one.names[..]),
                &Name::new(text).unwrap(),
            )
        };
        assert!(has("DESK") && has("fine") && has("other") && !has("no") && !has("desk.example"));
    }
}
