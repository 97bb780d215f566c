//! Users, groups and host names. The executables are static and so without the C library's name
//! services: getent(1) is asked, and the plain files are read where it is missing.

use crate::error::{Error, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
    /// Shell.
    pub shell: String,
}

/// Ids with which the kernel says "none" (-1).
const NO_ID: u32 = u32::MAX;

fn getent(database: &str, key: &str) -> Option<String> {
    let path = ["/usr/bin/getent", "/bin/getent"]
        .into_iter()
        .find(|p| std::path::Path::new(p).exists())?;
    let output = Command::new(path)
        .args([database, "--", key])
        .env_clear()
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then_some(text)
}

/// A line of a colon-separated file whose `column` is `key`.
fn line_of(path: &str, column: usize, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines()
        .find(|line| line.split(':').nth(column) == Some(key))
        .map(str::to_owned)
}

fn parse_user(line: &str) -> Option<User> {
    let fields: Vec<_> = line.trim_end().split(':').collect();
    let [name, _, uid, gid, _, home, shell] = fields[..] else {
        return None;
    };
    Some(User {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.into(),
        shell: if shell.is_empty() {
            "/bin/sh".to_owned()
        } else {
            shell.to_owned()
        },
    })
}

/// A number that may be a user or group id.
fn id(text: &str) -> Option<u32> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
        .filter(|id| *id != NO_ID)
}

/// Finds a user by name or number.
///
/// # Errors
/// There is none.
pub fn user(text: &str) -> Result<User> {
    let column = if id(text).is_some() { 2 } else { 0 };
    let valid = !text.is_empty() && !text.contains([':', '\n', '\0']);
    valid
        .then(|| line_of("/etc/passwd", column, text).or_else(|| getent("passwd", text)))
        .flatten()
        .and_then(|line| parse_user(&line))
        // getent(1) reads numbers its own way: 4294967296 would be root.
        .filter(|user| user.uid != NO_ID && (user.name == text || id(text) == Some(user.uid)))
        .ok_or_else(|| Error::new(format!("there is no user `{text}`")))
}

/// Finds a group's id by name or number.
///
/// # Errors
/// There is no group of that name.
pub fn group(text: &str) -> Result<u32> {
    if let Some(gid) = id(text) {
        return Ok(gid);
    }
    let valid = !text.is_empty() && !text.contains([':', '\n', '\0']);
    valid
        .then(|| line_of("/etc/group", 0, text).or_else(|| getent("group", text)))
        .flatten()
        .filter(|line| line.split(':').next() == Some(text))
        .and_then(|line| id(line.trim_end().split(':').nth(2)?))
        .ok_or_else(|| Error::new(format!("there is no group `{text}`")))
}

/// A user id by name or number; a number need not belong to anybody.
///
/// # Errors
/// There is no user of that name.
pub fn uid(text: &str) -> Result<u32> {
    id(text).map_or_else(|| user(text).map(|user| user.uid), Ok)
}

/// The supplementary groups of a user.
#[must_use]
pub fn groups(user: &User) -> Vec<u32> {
    if let Some(line) = getent("initgroups", &user.name) {
        return line.split_whitespace().skip(1).filter_map(id).collect();
    }
    let text = std::fs::read_to_string("/etc/group").unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let fields: Vec<_> = line.split(':').collect();
            let member = fields.get(3)?.split(',').any(|name| name == user.name);
            member.then(|| id(fields[2])).flatten()
        })
        .collect()
}

/// Most addresses of one host that anybody tries.
const MAX_ADDRESSES: usize = 4;

/// The addresses of a host, by name or number, at most 4, the preferred one first.
///
/// # Errors
/// The name is not known.
pub fn addresses(host: &str) -> Result<Vec<IpAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    if host == "localhost" {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let mut found: Vec<IpAddr> = Vec::new();
    for line in getent("ahosts", host).unwrap_or_default().lines() {
        let address = line.split_whitespace().next().map(str::parse);
        if let Some(Ok(address)) = address
            && !found.contains(&address)
            && found.len() < MAX_ADDRESSES
        {
            found.push(address);
        }
    }
    match found.is_empty() {
        true => Err(Error::new(format!("the host `{host}` is not known"))),
        false => Ok(found),
    }
}

/// An address of a host, by name or number.
///
/// # Errors
/// The name is not known.
pub fn address(host: &str) -> Result<IpAddr> {
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    if host == "localhost" {
        return Ok(IpAddr::from([127, 0, 0, 1]));
    }
    getent("ahosts", host)
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| Error::new(format!("the host `{host}` is not known")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_name_and_number() {
        let root = user("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(user("0").unwrap(), root);
        assert_eq!(group("root").unwrap(), 0);
        assert_eq!(uid("0").unwrap(), 0);
    }

    #[test]
    fn numbers_that_are_none_and_names_with_digits_are_not_ids() {
        for text in [
            "",
            "-1",
            "4294967295",
            "4294967296",
            "1000x",
            "x:0",
            "+0",
            " 0",
            "0x0",
        ] {
            assert!(uid(text).is_err(), "{text:?}");
            assert!(user(text).is_err(), "{text:?}");
            assert!(group(text).is_err(), "{text:?}");
        }
        assert_eq!(uid("4294967294").unwrap(), 4_294_967_294);
    }

    #[test]
    fn lines_are_read_as_passwd_has_them() {
        let user = parse_user("a1:x:1000:100:A,,,:/home/a1:\n").unwrap();
        assert_eq!(
            (user.uid, user.gid, user.shell.as_str()),
            (1000, 100, "/bin/sh")
        );
        assert!(parse_user("a:x:-1:0::/:").is_none());
        assert!(parse_user("a:x:1000").is_none());
    }

    #[test]
    fn addresses_need_no_names() {
        assert_eq!(address("::1").unwrap(), "::1".parse::<IpAddr>().unwrap());
        assert_eq!(
            address("localhost").unwrap(),
            "127.0.0.1".parse::<IpAddr>().unwrap()
        );
    }
}
