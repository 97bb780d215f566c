//! What this machine knows of names without asking: its name servers and `/etc/hosts`.

use crate::error::{Error, Result, reason};
use crate::secrets;
use files::Ids;
use hosts::table;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Where the system has its name servers (resolv.conf(5)).
const SERVERS: &str = "/etc/resolv.conf";
/// Where it has the names that nobody is asked for.
const NAMES: &str = "/etc/hosts";
/// The longest of these files, in bytes.
const MAX_FILE: u64 = 256 * 1024;
/// Most name servers: as many as the C library asks.
const MAX_SERVERS: usize = 3;
/// Where they listen.
const PORT: u16 = 53;

/// The name servers of this machine, the preferred one first.
///
/// # Errors
/// There is none.
pub fn servers() -> Result<Vec<SocketAddr>> {
    let none = |why: &str| {
        Error::new(format!(
            "a rule goes by a client's name, and {SERVERS} {why}: say nameserver=ADDRESS"
        ))
    };
    let text = read(Path::new(SERVERS)).map_err(|error| none(&error))?;
    let servers =
        read_servers(&text).map_err(|odd| none(&format!("has `{odd}`, which cannot be asked")))?;
    match servers.is_empty() {
        true => Err(none("names no name server")),
        false => Ok(servers),
    }
}

/// Or the first that is no address: the one behind it is not the preferred one.
fn read_servers(text: &str) -> std::result::Result<Vec<SocketAddr>, String> {
    let word = |line: &'_ str| {
        let rest = line.strip_prefix("nameserver")?;
        let rest = rest.strip_prefix([' ', '\t'])?;
        rest.split_whitespace().next().map(str::to_owned)
    };
    let server = |word: String| match word.parse::<IpAddr>() {
        Ok(address) => Ok(SocketAddr::new(address, PORT)),
        Err(_) => Err(word.chars().flat_map(char::escape_debug).take(60).collect()),
    };
    let words = text.lines().filter_map(word).take(MAX_SERVERS);
    words.map(server).collect()
}

/// The names that nobody is asked for: those of this file, or of the system's. `user` is the session's in a
/// start as root.
///
/// # Errors
/// The file cannot be read, or others may write it.
pub fn known(file: Option<&Path>, user: Option<Ids>) -> Result<Vec<(IpAddr, Vec<String>)>> {
    let text = match file {
        Some(path) => {
            let opened = secrets::rule_file(path, user)?;
            let text = contents(&File::from(opened.fd));
            text.map_err(|why| Error::new(format!("{}: {why}", path.display())))?
        }
        None => match std::fs::symlink_metadata(NAMES) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            _ => read(Path::new(NAMES)).map_err(|why| {
                Error::new(format!("{NAMES} {why}: say names-file=FILE, another one"))
            })?,
        },
    };
    let entries = table::read(&text).into_iter();
    Ok(entries.map(|entry| (entry.address, entry.names)).collect())
}

fn read(path: &Path) -> std::result::Result<String, String> {
    let file = File::open(path).map_err(|error| format!("cannot be read ({})", reason(&error)))?;
    contents(&file)
}

/// Bytes that are no text are part of no name.
fn contents(file: &File) -> std::result::Result<String, String> {
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read ({})", reason(&error)))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("is longer than {} KiB", MAX_FILE >> 10));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_the_c_library_does() {
        let text = "# nameserver 192.0.2.1\nsearch example.org\nnameserver 192.0.2.2 # here\n nameserver 192.0.2.3\n\
            nameserver\t2001:db8::1\nnameservers 192.0.2.4\nnameserver 192.0.2.5\nnameserver 192.0.2.6\n";
        let wanted = ["192.0.2.2:53", "[2001:db8::1]:53", "192.0.2.5:53"];
        let wanted = wanted.map(|text| text.parse().unwrap());
        assert_eq!(read_servers(text), Ok(wanted.to_vec()));
        // Another one is not asked in its place.
        let scoped = "nameserver fe80::1%eth0\nnameserver 192.0.2.5\n";
        assert_eq!(read_servers(scoped), Err("fe80::1%eth0".to_owned()));
        assert_eq!(read_servers("search example.org\n"), Ok(vec![]));
    }
}
