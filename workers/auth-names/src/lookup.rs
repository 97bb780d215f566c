//! The questions about an address, and what follows from the answers.

use crate::Failure;
use crate::message::{Answer, MAX_ALIASES, Mistake, Question};
use hosts::{Name, Naming, table};
use ipc::check::AddressName;
use std::net::IpAddr;

/// The name of this address in `/etc/hosts`. Nobody else is asked about it.
#[must_use]
pub fn known(address: IpAddr, known: &[(IpAddr, Vec<String>)]) -> Option<AddressName> {
    let entries = known.iter().map(|(its, names)| (*its, &names[..]));
    table::naming(entries, address).map(told)
}

/// Which names has this address, which is not in `/etc/hosts` (`known`)? `ask` asks a name server.
///
/// A name counts if it has that address. Each of them is told: which one is the first differs from
/// answer to answer.
///
/// # Errors
/// It could not be found out.
pub fn names(
    address: IpAddr,
    known: &[(IpAddr, Vec<String>)],
    mut ask: impl FnMut(&Question) -> Result<Answer, Failure>,
) -> Result<Vec<AddressName>, Failure> {
    let names = pointers(address, &mut ask)?;
    let mut found = Vec::new();
    for name in names {
        let naming = match name {
            Some(name) if is_it(&name, address, known, &mut ask)? => Naming::Name(name),
            _ => Naming::Paranoid,
        };
        let naming = told(naming);
        if !found.contains(&naming) {
            found.push(naming);
        }
    }
    if found.is_empty() {
        found.push(told(Naming::Unknown));
    }
    Ok(found)
}

/// What the owner of an address says that it is called.
fn pointers(
    address: IpAddr,
    ask: &mut impl FnMut(&Question) -> Result<Answer, Failure>,
) -> Result<Vec<Option<Name>>, Failure> {
    let mut question = Question::names_of(address).ok_or(Failure::Unaskable)?;
    for _ in 0..MAX_ALIASES {
        match ask(&question)? {
            Answer::Names(names) => return Ok(names),
            Answer::Nothing => return Ok(Vec::new()),
            // Of a part of a network whose names somebody else has (RFC 2317).
            Answer::Alias(name) => question = Question::alias_of(*name),
            Answer::HasAddress(_) => break,
        }
    }
    Err(Mistake::Aliases.into())
}

/// Does the owner of this name say that it has the address?
fn is_it(
    name: &Name,
    address: IpAddr,
    known: &[(IpAddr, Vec<String>)],
    ask: &mut impl FnMut(&Question) -> Result<Answer, Failure>,
) -> Result<bool, Failure> {
    // The address is not there, so this name is another's.
    if table::has(known.iter().map(|(_, names)| &names[..]), name) {
        return Ok(false);
    }
    let question = Question::has(name, address).ok_or(Failure::Unaskable)?;
    // An alias is another machine's name, as it is to tcp-wrappers.
    Ok(matches!(ask(&question)?, Answer::HasAddress(true)))
}

fn told(naming: Naming) -> AddressName {
    match naming {
        Naming::Name(name) => AddressName::Verified(name.as_str().to_owned()),
        Naming::Paranoid => AddressName::Paranoid,
        Naming::Unknown => AddressName::Unknown,
    }
}
